/* Claims about the subscription index: what matches, what moves a generation, what is counted and freed, and what readers see
 * while others write. */
#include "gateway/broker/index.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/rcu.h"
#include "protocol/topic.h"
#include "tests/broker/index_model.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 10
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOWER 10
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

static void join_rcu(void)
{
    tg_rcu_register_thread();
}

static void leave_rcu(void)
{
    tg_rcu_unregister_thread();
}

static struct filter *acquire(struct index *index, const char *text)
{
    struct filter *filter = NULL;
    ck_assert_int_eq(index_acquire(index, bytes_from_string(text), &filter), TG_OK);
    ck_assert(bytes_equal(filter_text(filter), bytes_from_string(text)));
    return filter;
}

/* Acquire TEXT with the interest of place 0. */
static struct filter *subscribe(struct index *index, const char *text)
{
    struct filter *filter = acquire(index, text);
    index_set_interest(index, filter, 0, true, false);
    return filter;
}

static void unsubscribe(struct index *index, struct filter *filter)
{
    index_set_interest(index, filter, 0, false, false);
    index_release(index, filter);
}

static struct index *new_index(unsigned places)
{
    struct index *index = index_new(places, 7, NULL, NULL);
    ck_assert_ptr_nonnull(index);
    return index;
}

static size_t match_count(struct index *index, const char *topic)
{
    struct filter *out[64];
    return index_match(index, bytes_from_string(topic), out, 64);
}

/* ---- matching ---- */

START_TEST(matches_what_a_naive_matcher_matches)
{
    static struct filter *out[MODEL_FILTERS_MAX];
    struct model model;
    uint64_t random = 1;
    model_init(&model, 2);
    for (size_t round = 0; round < 30; round++) {
        while (model.count < 20 + 20 * round) {
            model_add_random(&model, &random);
        }
        for (size_t i = 0; i < model.count / 3; i++) {
            model_remove(&model, model_random(&random) % model.count);
        }
        for (size_t i = 0; i < 1000 / SLOWER; i++) {
            char topic[MODEL_TEXT_MAX];
            model_random_topic(&random, topic);
            struct bytes name = bytes_from_string(topic);
            model_check(&model, name, out, index_match(model.index, name, out, MODEL_FILTERS_MAX));
        }
        tg_rcu_quiescent();
    }
    model_fini(&model);
}
END_TEST

START_TEST(leading_wildcards_do_not_match_dollar_topics_mqtt_4_7_2_1)
{
    struct index *index = new_index(1);
    struct filter *filters[] = {subscribe(index, "#"),   subscribe(index, "+"),      subscribe(index, "+/b"),
                                subscribe(index, "+/#"), subscribe(index, "$SYS/+"), subscribe(index, "$SYS/#")};
    ck_assert_uint_eq(match_count(index, "$SYS"), 1);
    ck_assert_uint_eq(match_count(index, "$SYS/b"), 2);
    ck_assert_uint_eq(match_count(index, "a/b"), 3);
    ck_assert_uint_eq(match_count(index, "a/$b"), 2);
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        unsubscribe(index, filters[i]);
    }
    index_free(index);
}
END_TEST

START_TEST(hash_matches_the_level_above_it_mqtt_4_7_1_2)
{
    struct index *index = new_index(1);
    struct filter *filter = subscribe(index, "sport/tennis/player1/#");
    ck_assert_uint_eq(match_count(index, "sport/tennis/player1"), 1);
    ck_assert_uint_eq(match_count(index, "sport/tennis/player1/"), 1);
    ck_assert_uint_eq(match_count(index, "sport/tennis/player1/score/wimbledon"), 1);
    ck_assert_uint_eq(match_count(index, "sport/tennis/player10"), 0);
    ck_assert_uint_eq(match_count(index, "sport/tennis"), 0);
    unsubscribe(index, filter);
    index_free(index);
}
END_TEST

START_TEST(counts_more_matches_than_there_is_room_for)
{
    struct index *index = new_index(1);
    struct filter *filters[] = {subscribe(index, "#"), subscribe(index, "a/b"), subscribe(index, "a/+"),
                                subscribe(index, "+/b")};
    struct filter *out[4] = {NULL};
    ck_assert_uint_gt(index_match(index, bytes_from_string("a/b"), out, 2), 2);
    ck_assert_ptr_nonnull(out[1]);
    ck_assert_ptr_null(out[2]);
    ck_assert_uint_gt(index_match(index, bytes_from_string("a/b"), NULL, 0), 0);
    ck_assert_uint_eq(index_match(index, bytes_from_string("a/b"), out, 4), 4);
    for (size_t i = 0; i < 4; i++) {
        unsubscribe(index, filters[i]);
    }
    index_free(index);
}
END_TEST

/* The topic x/x/.../x of LEVELS levels, a string in the heap. */
static char *deep_topic(size_t levels)
{
    char *topic = malloc(levels * 2);
    ck_assert_ptr_nonnull(topic);
    memset(topic, '/', levels * 2);
    for (size_t i = 0; i < levels; i++) {
        topic[2 * i] = 'x';
    }
    topic[2 * levels - 1] = '\0';
    return topic;
}

START_TEST(walks_the_deepest_topics_and_takes_each_plus_on_the_way)
{
    enum { LEVELS = 32768 };
    static const size_t plus_at[] = {0, 1, 61, 62, 63, 64, 65, 100, 20000, 32766, 32767};
    enum { COUNT = sizeof(plus_at) / sizeof(plus_at[0]) };
    struct index *index = new_index(1);
    char *topic = deep_topic(LEVELS);
    struct filter *filters[COUNT + 2];
    for (size_t i = 0; i < COUNT; i++) {
        topic[2 * plus_at[i]] = '+';
        filters[i] = subscribe(index, topic);
        topic[2 * plus_at[i]] = 'x';
    }
    filters[COUNT] = subscribe(index, topic);
    filters[COUNT + 1] = subscribe(index, "#");
    ck_assert_uint_eq(match_count(index, topic), COUNT + 2);
    topic[2 * 64] = 'y'; /* only that '+' and '#' are left */
    ck_assert_uint_eq(match_count(index, topic), 2);
    free(topic);
    for (size_t i = 0; i < COUNT + 2; i++) {
        unsubscribe(index, filters[i]);
    }
    index_free(index);
}
END_TEST

START_TEST(looking_up_random_topics_inserts_nothing)
{
    struct index *index = new_index(1);
    struct filter *filter = subscribe(index, "a/+/c");
    size_t bytes = index_bytes(index);
    uint64_t random = 5;
    for (size_t i = 0; i < 1000; i++) {
        char topic[MODEL_TEXT_MAX];
        model_random_topic(&random, topic);
        match_count(index, topic);
    }
    ck_assert_uint_eq(index_filter_count(index), 1);
    ck_assert_uint_eq(index_bytes(index), bytes);
    unsubscribe(index, filter);
    index_free(index);
}
END_TEST

/* ---- references, interest, generations ---- */

START_TEST(a_filter_lives_until_its_last_reference_is_given_back)
{
    struct index *index = new_index(1);
    size_t empty = index_bytes(index);
    struct filter *filter = acquire(index, "a/b/+/c/#");
    ck_assert_ptr_eq(acquire(index, "a/b/+/c/#"), filter);
    struct filter *other = acquire(index, "a/b/+/c");
    ck_assert_ptr_ne(other, filter);
    ck_assert_uint_eq(index_filter_count(index), 2);
    index_release(index, filter);
    ck_assert_uint_eq(index_filter_count(index), 2);
    index_release(index, filter);
    ck_assert_uint_eq(index_filter_count(index), 1);
    index_release(index, other);
    ck_assert_uint_eq(index_filter_count(index), 0);
    ck_assert_uint_eq(index_bytes(index), empty);
    index_free(index);
}
END_TEST

START_TEST(a_filter_without_interest_does_not_match)
{
    struct index *index = new_index(3);
    struct filter *filter = acquire(index, "a");
    ck_assert_uint_eq(match_count(index, "a"), 0);
    index_set_interest(index, filter, 2, true, true);
    ck_assert_uint_eq(match_count(index, "a"), 1);
    ck_assert_uint_eq(atomic_load(&filter->interest), 4);
    ck_assert_uint_eq(atomic_load(&filter->durable), 4);
    index_set_interest(index, filter, 2, true, false);
    ck_assert_uint_eq(atomic_load(&filter->durable), 0);
    index_set_interest(index, filter, 2, false, false);
    ck_assert_uint_eq(match_count(index, "a"), 0);
    index_release(index, filter);
    index_free(index);
}
END_TEST

START_TEST(a_filter_that_has_only_groups_matches_until_the_last_goes)
{
    struct index *index = new_index(2);
    struct filter *filter = acquire(index, "a/+");
    struct index_stamp stamp = index_stamp(index, bytes_from_string("a"));
    tg_rcu_assign(filter->groups, (struct share_group *)filter); /* any pointer: it is not looked into */
    index_set_interest(index, filter, 1, false, true);
    ck_assert(index_stamp(index, bytes_from_string("a")).stripe != stamp.stripe);
    ck_assert_uint_eq(match_count(index, "a/b"), 1);
    ck_assert_uint_gt(index_match(index, bytes_from_string("a/b"), NULL, 0), 0);
    index_set_interest(index, filter, 1, false, false);
    ck_assert_uint_eq(match_count(index, "a/b"), 1);
    tg_rcu_assign(filter->groups, NULL);
    ck_assert_uint_eq(match_count(index, "a/b"), 0);
    index_release(index, filter);
    index_free(index);
}
END_TEST

START_TEST(each_place_begins_with_no_receivers)
{
    struct index *index = new_index(INDEX_PLACES_MAX);
    struct filter *filter = acquire(index, "some/text/behind/the/places");
    for (unsigned place = 0; place < INDEX_PLACES_MAX; place++) {
        ck_assert_uint_eq(filter->local[place].count, 0);
        ck_assert_uint_eq(filter->local[place].capacity, 0);
        filter->local[place].count = UINT32_MAX;
        filter->local[place].group_durable = UINT32_MAX;
    }
    ck_assert(bytes_equal(filter_text(filter), bytes_from_string("some/text/behind/the/places")));
    index_set_interest(index, filter, INDEX_PLACES_MAX - 1, true, false);
    ck_assert_uint_eq(atomic_load(&filter->interest), UINT64_C(1) << 63);
    index_set_interest(index, filter, INDEX_PLACES_MAX - 1, false, false);
    index_release(index, filter);
    index_free(index);
}
END_TEST

static bool stamps_differ(struct index_stamp a, struct index_stamp b)
{
    return a.stripe != b.stripe || a.wild != b.wild;
}

/* A topic whose stripe is not that of TOPIC. */
static void find_other_stripe(struct index *index, const char *topic, char other[32])
{
    for (int i = 0;; i++) {
        snprintf(other, 32, "other%d/b", i);
        if (index_stripe(index, bytes_from_string(other)) != index_stripe(index, bytes_from_string(topic))) {
            return;
        }
    }
}

START_TEST(only_a_change_of_interest_moves_the_generation_of_its_stripe)
{
    struct index *index = new_index(2);
    char other_topic[32];
    find_other_stripe(index, "a", other_topic);
    struct bytes topic = bytes_from_string("a/b");
    struct index_stamp other = index_stamp(index, bytes_from_string(other_topic));
    struct index_stamp stamp = index_stamp(index, topic);
    struct filter *filter = acquire(index, "a/#");
    ck_assert(!stamps_differ(stamp, index_stamp(index, topic)));
    static const struct {
        bool any, durable, moves;
    } steps[] = {{true, false, true}, {true, false, false}, {true, true, true},    {true, true, false},
                 {true, false, true}, {false, false, true}, {false, false, false}, {true, true, true}};
    for (unsigned place = 0; place < 2; place++) {
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            index_set_interest(index, filter, place, steps[i].any, steps[i].durable);
            struct index_stamp now = index_stamp(index, topic);
            ck_assert_int_eq(stamps_differ(stamp, now), steps[i].moves);
            stamp = now;
        }
    }
    index_set_interest(index, filter, 0, false, false);
    index_set_interest(index, filter, 1, false, false);
    stamp = index_stamp(index, topic);
    index_release(index, filter);
    ck_assert(!stamps_differ(stamp, index_stamp(index, topic)));
    ck_assert(!stamps_differ(other, index_stamp(index, bytes_from_string(other_topic))));
    index_free(index);
}
END_TEST

START_TEST(a_filter_that_begins_with_a_wildcard_moves_every_stamp)
{
    static const char *const texts[] = {"#", "+", "+/a", "+/#"};
    struct index *index = new_index(1);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct index_stamp before[2] = {index_stamp(index, bytes_from_string("x/y")),
                                        index_stamp(index, bytes_from_string("another"))};
        struct filter *filter = subscribe(index, texts[i]);
        struct index_stamp after[2] = {index_stamp(index, bytes_from_string("x/y")),
                                       index_stamp(index, bytes_from_string("another"))};
        for (size_t k = 0; k < 2; k++) {
            ck_assert_uint_ne(before[k].wild, after[k].wild);
            ck_assert_uint_eq(before[k].stripe, after[k].stripe);
        }
        unsubscribe(index, filter);
    }
    index_free(index);
}
END_TEST

START_TEST(changed_under_the_lock_moves_the_generation)
{
    struct index *index = new_index(1);
    struct filter *filter = acquire(index, "a/b");
    struct index_stamp before = index_stamp(index, bytes_from_string("a"));
    index_lock(index);
    index_changed(index, filter);
    index_unlock(index);
    ck_assert(stamps_differ(before, index_stamp(index, bytes_from_string("a"))));
    index_release(index, filter);
    index_free(index);
}
END_TEST

struct heard {
    unsigned added, removed;
    char last[32];
};

static void hear(void *arg, struct bytes filter, bool added)
{
    struct heard *heard = arg;
    *(added ? &heard->added : &heard->removed) += 1;
    snprintf(heard->last, sizeof(heard->last), "%.*s", (int)filter.len, (const char *)filter.data);
}

START_TEST(says_when_the_first_interest_comes_and_the_last_goes)
{
    struct heard heard = {0};
    struct index *index = index_new(2, 7, hear, &heard);
    ck_assert_ptr_nonnull(index);
    struct filter *filter = acquire(index, "a/+");
    ck_assert_uint_eq(heard.added, 0);
    index_set_interest(index, filter, 0, true, false);
    index_set_interest(index, filter, 1, true, true);
    index_set_interest(index, filter, 0, true, true);
    ck_assert_uint_eq(heard.added, 1);
    ck_assert_str_eq(heard.last, "a/+");
    index_set_interest(index, filter, 0, false, false);
    ck_assert_uint_eq(heard.removed, 0);
    index_set_interest(index, filter, 1, false, false);
    index_set_interest(index, filter, 1, false, false);
    ck_assert_uint_eq(heard.removed, 1);
    ck_assert_uint_eq(heard.added, 1);
    index_release(index, filter);
    index_free(index);
}
END_TEST

/* ---- size ---- */

static void name_filter(char text[64], size_t i)
{
    snprintf(text, 64, "a/+/c/%zu/#", i);
}

START_TEST(grows_to_200000_filters_and_shrinks_again)
{
    enum { FILTERS = 200000 / SLOWER };
    struct index *index = new_index(2);
    size_t empty = index_bytes(index);
    struct filter **filters = calloc(FILTERS, sizeof(struct filter *));
    ck_assert_ptr_nonnull(filters);
    char text[64];
    for (size_t i = 0; i < FILTERS; i++) {
        name_filter(text, i);
        filters[i] = subscribe(index, text);
    }
    ck_assert_uint_eq(index_filter_count(index), FILTERS);
    ck_assert_uint_lt(index_bytes(index), FILTERS * 256u);
    for (size_t i = 0; i < FILTERS; i++) {
        struct filter *out[2];
        snprintf(text, 64, "a/b/c/%zu/x/y", i);
        ck_assert_uint_eq(index_match(index, bytes_from_string(text), out, 2), 1);
        ck_assert_ptr_eq(out[0], filters[i]);
    }
    for (size_t i = 0; i < FILTERS; i += 2) {
        unsubscribe(index, filters[i]);
    }
    for (size_t i = 0; i < FILTERS; i++) {
        snprintf(text, 64, "a/b/c/%zu", i);
        ck_assert_uint_eq(match_count(index, text), i % 2);
    }
    for (size_t i = 1; i < FILTERS; i += 2) {
        unsubscribe(index, filters[i]);
    }
    ck_assert_uint_eq(index_filter_count(index), 0);
    ck_assert_uint_lt(index_bytes(index), empty + FILTERS);
    free(filters);
    index_free(index);
}
END_TEST

/* ---- without memory ---- */

START_TEST(an_index_is_made_whole_or_not_at_all)
{
    struct index *index;
    bool failed;
    uint64_t n = 1;
    do {
        malloc_fail_at(n++);
        index = index_new(2, 1, NULL, NULL);
        failed = malloc_fail_end();
        ck_assert_int_eq(failed, index == NULL);
        index_free(index);
    } while (failed);
    ck_assert_uint_gt(n, 4);
}
END_TEST

START_TEST(acquire_without_memory_changes_nothing)
{
    struct index *index = new_index(2);
    struct filter *near = subscribe(index, "a/b");
    size_t bytes = index_bytes(index);
    struct filter *filter;
    bool failed;
    uint64_t n = 1;
    do {
        filter = near;
        malloc_fail_at(n++);
        enum tg_err err = index_acquire(index, bytes_from_string("a/b/+/+/c/d/#"), &filter);
        failed = malloc_fail_end();
        ck_assert_int_eq(err, failed ? TG_ERR_NO_MEMORY : TG_OK);
        if (failed) {
            ck_assert_ptr_eq(filter, near);
            ck_assert_uint_eq(index_filter_count(index), 1);
            ck_assert_uint_eq(index_bytes(index), bytes);
        }
        ck_assert_uint_eq(match_count(index, "a/b"), 1);
    } while (failed);
    ck_assert_uint_eq(n, 1 + 4 + 1 + 1);
    index_release(index, filter);
    unsubscribe(index, near);
    index_free(index);
}
END_TEST

/* The growth of the table may fail at any time: then it goes on fuller, or says so, and loses nothing. */
START_TEST(growth_without_memory_loses_no_filter)
{
    enum { FILTERS = 4000 };
    struct index *index = new_index(1);
    static struct filter *filters[FILTERS];
    char text[64];
    size_t refused = 0;
    for (size_t i = 0; i < FILTERS; i++) {
        snprintf(text, sizeof(text), "f/%zu", i);
        filters[i] = NULL;
        malloc_fail_at(i % 4 + 1);
        enum tg_err err = index_acquire(index, bytes_from_string(text), &filters[i]);
        malloc_fail_end();
        ck_assert_int_eq(err != TG_OK, filters[i] == NULL);
        refused += err != TG_OK;
        if (err == TG_OK) {
            index_set_interest(index, filters[i], 0, true, false);
        }
    }
    ck_assert_uint_ge(refused, FILTERS / 3); /* for want of a node or a filter; a split that fails refuses nothing */
    ck_assert_uint_gt(FILTERS - refused, 1000);
    ck_assert_uint_eq(index_filter_count(index), FILTERS - refused);
    for (size_t i = 0; i < FILTERS; i++) {
        snprintf(text, sizeof(text), "f/%zu", i);
        ck_assert_uint_eq(match_count(index, text), filters[i] != NULL);
    }
    for (size_t i = 0; i < FILTERS; i++) {
        if (filters[i] != NULL) {
            malloc_fail_at(1); /* joining segments is not vital either */
            unsubscribe(index, filters[i]);
            malloc_fail_end();
        }
    }
    ck_assert_uint_eq(index_filter_count(index), 0);
    index_free(index);
}
END_TEST

/* ---- threads ---- */

enum {
    WRITERS = 2,
    READERS = 3,
    FIXED = 64,            /* filters that are never removed */
    CHURN = 9000 / SLOWER, /* that each writer adds, then removes: the table splits and joins */
    WRITER_ROUNDS = 4,
};

struct crowd {
    struct index *index;
    struct filter *fixed[FIXED];
    _Atomic unsigned writers_left;
    pthread_t threads[WRITERS + READERS];
};

struct member {
    struct crowd *crowd;
    unsigned number;
    bool ok;
    size_t matches;
};

static void name_fixed(char text[64], size_t i, bool as_filter)
{
    snprintf(text, 64, i % 2 == 0 ? "f/%zu/x" : as_filter ? "f/%zu/+/#" : "f/%zu/x/y", i);
}

static void *write_filters(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;
    struct filter **filters = calloc(CHURN, sizeof(struct filter *));
    member->ok = filters != NULL;
    tg_rcu_register_thread();
    for (size_t round = 0; member->ok && round < WRITER_ROUNDS; round++) {
        char text[64];
        for (size_t i = 0; i < CHURN; i++) {
            /* under the fixed ones, beside them, and the same for both writers */
            snprintf(text, sizeof(text),
                     i % 3 == 0   ? "f/%zu/+"
                     : i % 3 == 1 ? "f/%zu/x/y"
                                  : "g/+/%zu/#",
                     i % 3 == 2 ? i : i % FIXED);
            if (i % 3 == 2 && member->number == 1) {
                snprintf(text, sizeof(text), "f/%zu", FIXED + i);
            }
            member->ok = member->ok && index_acquire(crowd->index, bytes_from_string(text), &filters[i]) == TG_OK;
            index_set_interest(crowd->index, filters[i], member->number, true, i % 2 == 0);
            filters[i]->local[member->number].count++;
            tg_rcu_quiescent();
        }
        for (size_t i = 0; i < CHURN; i++) {
            struct filter_receivers *local = &filters[i]->local[member->number];
            if (--local->count == 0) {
                index_set_interest(crowd->index, filters[i], member->number, false, false);
            }
            index_release(crowd->index, filters[i]);
            tg_rcu_quiescent();
        }
    }
    tg_rcu_unregister_thread();
    free(filters);
    atomic_fetch_sub(&crowd->writers_left, 1);
    return NULL;
}

/* TOPIC must be matched by FIXED, by nothing twice, and by nothing that does not match. */
static bool is_sound(const struct filter *fixed, struct bytes topic, struct filter *const *out, size_t count)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || out[i] == fixed;
        if (!topic_matches(filter_text(out[i]), topic)) {
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (out[k] == out[i]) {
                return false;
            }
        }
    }
    return found;
}

static void *read_filters(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;
    uint64_t random = member->number + 100;
    member->ok = true;
    tg_rcu_register_thread();
    while (member->ok && atomic_load(&crowd->writers_left) > 0) {
        struct filter *out[64];
        char text[64];
        size_t at = model_random(&random) % FIXED;
        name_fixed(text, at, false);
        struct bytes topic = bytes_from_string(text);
        size_t count = index_match(crowd->index, topic, out, 64);
        member->ok = count <= 64 && is_sound(crowd->fixed[at], topic, out, count);
        member->matches++;
        if (member->matches % 16 == 0) {
            tg_rcu_quiescent();
        }
        if (member->matches % 1024 == 0) {
            tg_rcu_offline();
            tg_rcu_online();
        }
    }
    tg_rcu_unregister_thread();
    return NULL;
}

START_TEST(readers_always_find_a_filter_that_stays_while_others_come_and_go)
{
    struct crowd crowd = {.index = new_index(WRITERS + 1)};
    struct member members[WRITERS + READERS] = {0};
    atomic_init(&crowd.writers_left, WRITERS);
    for (size_t i = 0; i < FIXED; i++) {
        char text[64];
        name_fixed(text, i, true);
        crowd.fixed[i] = acquire(crowd.index, text);
        index_set_interest(crowd.index, crowd.fixed[i], WRITERS, true, false);
    }
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        members[i].crowd = &crowd;
        members[i].number = i;
        ck_assert_int_eq(
            pthread_create(&crowd.threads[i], NULL, i < WRITERS ? write_filters : read_filters, &members[i]), 0);
    }
    tg_rcu_offline();
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        pthread_join(crowd.threads[i], NULL);
        ck_assert_msg(members[i].ok, "thread %u", i);
    }
    tg_rcu_online();
    ck_assert_uint_eq(index_filter_count(crowd.index), FIXED);
    for (size_t i = 0; i < FIXED; i++) {
        index_set_interest(crowd.index, crowd.fixed[i], WRITERS, false, false);
        index_release(crowd.index, crowd.fixed[i]);
    }
    tg_rcu_barrier();
    index_free(crowd.index);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, join_rcu, leave_rcu);
    suite_add_tcase(suite, tcase);
    return tcase;
}

static Suite *index_suite(void)
{
    Suite *suite = suite_create("index");
    TCase *match = add_case(suite, "match");
    tcase_add_test(match, matches_what_a_naive_matcher_matches);
    tcase_add_test(match, leading_wildcards_do_not_match_dollar_topics_mqtt_4_7_2_1);
    tcase_add_test(match, hash_matches_the_level_above_it_mqtt_4_7_1_2);
    tcase_add_test(match, counts_more_matches_than_there_is_room_for);
    tcase_add_test(match, walks_the_deepest_topics_and_takes_each_plus_on_the_way);
    tcase_add_test(match, looking_up_random_topics_inserts_nothing);
    TCase *interest = add_case(suite, "interest");
    tcase_add_test(interest, a_filter_lives_until_its_last_reference_is_given_back);
    tcase_add_test(interest, a_filter_without_interest_does_not_match);
    tcase_add_test(interest, a_filter_that_has_only_groups_matches_until_the_last_goes);
    tcase_add_test(interest, each_place_begins_with_no_receivers);
    tcase_add_test(interest, only_a_change_of_interest_moves_the_generation_of_its_stripe);
    tcase_add_test(interest, a_filter_that_begins_with_a_wildcard_moves_every_stamp);
    tcase_add_test(interest, changed_under_the_lock_moves_the_generation);
    tcase_add_test(interest, says_when_the_first_interest_comes_and_the_last_goes);
    TCase *size = add_case(suite, "size");
    tcase_add_test(size, grows_to_200000_filters_and_shrinks_again);
    TCase *memory = add_case(suite, "no_memory");
    tcase_add_test(memory, an_index_is_made_whole_or_not_at_all);
    tcase_add_test(memory, acquire_without_memory_changes_nothing);
    tcase_add_test(memory, growth_without_memory_loses_no_filter);
    TCase *threads = add_case(suite, "threads");
    tcase_add_test(threads, readers_always_find_a_filter_that_stays_while_others_come_and_go);
    return suite;
}

CHECK_MAIN(index_suite)
