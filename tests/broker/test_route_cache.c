/* Claims about a place's cache of resolved topics: always what the index says now, bounded, and of use. */
#include "gateway/broker/route_cache.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/rcu.h"
#include "tests/broker/index_model.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"

static void join_rcu(void)
{
    tg_rcu_register_thread();
}

static void leave_rcu(void)
{
    tg_rcu_unregister_thread();
}

static struct route_cache *new_cache(struct index *index, size_t entries)
{
    struct route_cache *cache = route_cache_new(index, entries);
    ck_assert_ptr_nonnull(cache);
    return cache;
}

static struct index *new_index(void)
{
    struct index *index = index_new(2, 11, NULL, NULL);
    ck_assert_ptr_nonnull(index);
    return index;
}

static const struct route *find(struct route_cache *cache, const char *topic)
{
    return route_cache_find(cache, bytes_from_string(topic));
}

static struct filter *subscribe(struct index *index, const char *text, unsigned place, bool durable)
{
    struct filter *filter = NULL;
    ck_assert_int_eq(index_acquire(index, bytes_from_string(text), &filter), TG_OK);
    index_set_interest(index, filter, place, true, durable);
    return filter;
}

static void unsubscribe(struct index *index, struct filter *filter, unsigned place)
{
    index_set_interest(index, filter, place, false, false);
    index_release(index, filter);
}

/* Small caches, so that entries are replaced, rebuilt and found in every mixture. */
START_TEST(says_what_the_index_says_while_filters_come_and_go)
{
    static const size_t sizes[] = {1, 4, 64, 1024};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct model model;
        uint64_t random = s + 3;
        model_init(&model, 2);
        struct route_cache *cache = new_cache(model.index, sizes[s]);
        for (size_t step = 0; step < 3000; step++) {
            uint32_t action = model_random(&random) % 16;
            if (action == 0 && model.count < 200) {
                model_add_random(&model, &random);
            } else if (action == 1 && model.count > 100) {
                model_remove(&model, model_random(&random) % model.count);
            } else {
                char topic[MODEL_TEXT_MAX];
                model_random_topic(&random, topic);
                const struct route *route = find(cache, topic);
                ck_assert(!route->no_memory);
                model_check(&model, bytes_from_string(topic), route->filters, route->count);
            }
            tg_rcu_quiescent();
        }
        route_cache_free(cache);
        model_fini(&model);
    }
}
END_TEST

START_TEST(unites_interest_and_durable_interest_of_its_filters)
{
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, 16);
    ck_assert_uint_eq(find(cache, "a/b")->count, 0);
    ck_assert_uint_eq(find(cache, "a/b")->interest, 0);
    struct filter *one = subscribe(index, "a/+", 0, false);
    ck_assert_uint_eq(find(cache, "a/b")->interest, 1);
    struct filter *two = subscribe(index, "a/#", 1, true);
    const struct route *route = find(cache, "a/b");
    ck_assert_uint_eq(route->count, 2);
    ck_assert_uint_eq(route->interest, 3);
    ck_assert_uint_eq(route->durable, 2);
    ck_assert(!route->has_groups);
    index_set_interest(index, one, 0, true, true);
    ck_assert_uint_eq(find(cache, "a/b")->durable, 3);
    unsubscribe(index, two, 1);
    ck_assert_uint_eq(find(cache, "a/b")->interest, 1);
    unsubscribe(index, one, 0);
    ck_assert_uint_eq(find(cache, "a/b")->count, 0);
    route_cache_free(cache);
    index_free(index);
}
END_TEST

START_TEST(says_when_a_filter_has_shared_groups)
{
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, 16);
    struct filter *filter = subscribe(index, "+/b", 0, false);
    ck_assert(!find(cache, "a/b")->has_groups);
    index_lock(index);
    tg_rcu_assign(filter->groups, (struct share_group *)filter); /* any pointer: it is not looked into */
    index_changed(index, filter);
    index_unlock(index);
    ck_assert(find(cache, "a/b")->has_groups);
    tg_rcu_assign(filter->groups, NULL);
    unsubscribe(index, filter, 0);
    ck_assert(!find(cache, "a/b")->has_groups);
    route_cache_free(cache);
    index_free(index);
}
END_TEST

START_TEST(finds_a_topic_again_without_a_walk_until_its_stripe_moves)
{
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, 16);
    struct filter *filter = subscribe(index, "a/b", 0, false);
    struct bytes topic = bytes_from_string("a/b");
    const struct route *route = route_cache_find(cache, topic);
    uint64_t epoch = route_cache_epoch(cache);
    ck_assert(route_cache_is_current(cache, route, epoch));
    ck_assert_ptr_eq(route_cache_find(cache, topic), route);
    ck_assert_uint_eq(route_cache_epoch(cache), epoch);

    char other[32];
    for (int i = 0;; i++) {
        snprintf(other, sizeof(other), "other%d", i);
        if (index_stripe(index, bytes_from_string(other)) != index_stripe(index, topic)) {
            break;
        }
    }
    struct filter *elsewhere = subscribe(index, other, 0, false);
    ck_assert(route_cache_is_current(cache, route, epoch));
    struct filter *here = subscribe(index, "a/x", 0, false);
    ck_assert(!route_cache_is_current(cache, route, epoch));
    route = route_cache_find(cache, topic);
    ck_assert_uint_ne(route_cache_epoch(cache), epoch);
    epoch = route_cache_epoch(cache);
    ck_assert(route_cache_is_current(cache, route, epoch));
    struct filter *wild = subscribe(index, "+/x", 0, false);
    ck_assert(!route_cache_is_current(cache, route, epoch));
    route = route_cache_find(cache, topic);
    epoch = route_cache_epoch(cache);
    find(cache, "another");
    ck_assert(!route_cache_is_current(cache, route, epoch));
    unsubscribe(index, filter, 0);
    unsubscribe(index, elsewhere, 0);
    unsubscribe(index, here, 0);
    unsubscribe(index, wild, 0);
    route_cache_free(cache);
    index_free(index);
}
END_TEST

/* Filters that match "t/t/t/t/t/t/t/t", numbered by the bits of N. */
static struct filter *subscribe_numbered(struct index *index, unsigned n)
{
    char text[20];
    for (unsigned i = 0; i < 8; i++) {
        text[2 * i] = (n >> i & 1) != 0 ? '+' : 't';
        text[2 * i + 1] = '/';
    }
    text[15] = '\0';
    if (n >= 256) {
        text[15] = '/';
        text[16] = '#';
        text[17] = '\0';
    }
    return subscribe(index, text, n % 2, false);
}

START_TEST(resolves_what_it_does_not_keep_each_time)
{
    enum { FILTERS = 384 };
    static struct filter *filters[FILTERS];
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, 4);
    for (unsigned i = 0; i < FILTERS; i++) {
        filters[i] = subscribe_numbered(index, i);
    }
    for (unsigned round = 0; round < 3; round++) {
        const struct route *route = find(cache, "t/t/t/t/t/t/t/t");
        ck_assert_uint_eq(route->count, FILTERS);
        ck_assert_uint_eq(route->interest, 3);
    }
    struct filter *rest = subscribe(index, "long/#", 0, false);
    char topic[ROUTE_CACHE_TOPIC_MAX + 2];
    memset(topic, 'x', sizeof(topic));
    memcpy(topic, "long/", 5);
    for (size_t len = ROUTE_CACHE_TOPIC_MAX - 1; len <= sizeof(topic); len++) {
        uint64_t epoch = 0;
        for (unsigned round = 0; round < 3; round++) {
            const struct route *route = route_cache_find(cache, (struct bytes){(const uint8_t *)topic, len});
            ck_assert_uint_eq(route->count, 1);
            ck_assert_ptr_eq(route->filters[0], rest);
            ck_assert_int_eq(round > 0 && epoch == route_cache_epoch(cache), round > 0 && len <= ROUTE_CACHE_TOPIC_MAX);
            epoch = route_cache_epoch(cache);
        }
    }
    unsubscribe(index, rest, 0);
    for (unsigned i = 0; i < FILTERS; i++) {
        unsubscribe(index, filters[i], i % 2);
    }
    route_cache_free(cache);
    index_free(index);
}
END_TEST

START_TEST(topics_used_once_do_not_push_out_those_used_again)
{
    enum { HOT = 16, COLD = 20000 };
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, 256);
    char topic[32];
    size_t walks = 0;
    size_t lookups = 0;
    for (unsigned i = 0; i < COLD; i++) {
        snprintf(topic, sizeof(topic), "cold/%u", i);
        find(cache, topic);
        if (i % 4 != 0) {
            continue;
        }
        snprintf(topic, sizeof(topic), "hot/%u", i / 4 % HOT);
        uint64_t epoch = route_cache_epoch(cache);
        find(cache, topic);
        walks += route_cache_epoch(cache) != epoch;
        lookups++;
    }
    ck_assert_msg(walks < lookups / 10, "%zu of %zu", walks, lookups);
    route_cache_free(cache);
    index_free(index);
}
END_TEST

START_TEST(keeps_within_its_bound_and_stops_allocating)
{
    enum { ENTRIES = 64 };
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, ENTRIES);
    char topic[ROUTE_CACHE_TOPIC_MAX + 1];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(topic, sizeof(topic), "%0*u", (int)(i % ROUTE_CACHE_TOPIC_MAX) + 1, i);
        find(cache, topic);
    }
    size_t bytes = route_cache_bytes(cache);
    ck_assert_uint_le(bytes, 16384 + ENTRIES * (80 + ROUTE_CACHE_TOPIC_MAX + 64));
    malloc_fail_at(1);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(topic, sizeof(topic), "%040u", i);
        find(cache, topic);
    }
    bool allocated = malloc_fail_end();
    ck_assert(!allocated);
    ck_assert_uint_eq(route_cache_bytes(cache), bytes);
    route_cache_free(cache);
    index_free(index);
}
END_TEST

START_TEST(a_cache_is_made_whole_or_not_at_all)
{
    struct index *index = new_index();
    bool failed;
    uint64_t n = 1;
    do {
        malloc_fail_at(n++);
        struct route_cache *cache = route_cache_new(index, 100);
        failed = malloc_fail_end();
        ck_assert_int_eq(failed, cache == NULL);
        route_cache_free(cache);
    } while (failed);
    ck_assert_uint_gt(n, 4);
    index_free(index);
}
END_TEST

START_TEST(without_memory_for_an_entry_the_route_is_right_all_the_same)
{
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, 4);
    struct filter *filter = subscribe(index, "a/+", 0, false);
    char topic[32];
    for (unsigned i = 0; i < 32; i++) {
        snprintf(topic, sizeof(topic), i % 2 == 0 ? "a/%u" : "b/%u", i);
        malloc_fail_at(1);
        const struct route *route = find(cache, topic);
        malloc_fail_end();
        ck_assert(!route->no_memory);
        ck_assert_uint_eq(route->count, i % 2 == 0);
        ck_assert_uint_eq(find(cache, topic)->count, i % 2 == 0);
    }
    unsubscribe(index, filter, 0);
    route_cache_free(cache);
    index_free(index);
}
END_TEST

START_TEST(says_so_when_there_is_no_memory_for_very_many_filters)
{
    enum { LEVELS = 11, FILTERS = 1 << LEVELS };
    static struct filter *filters[FILTERS];
    struct index *index = new_index();
    struct route_cache *cache = new_cache(index, 4);
    for (unsigned n = 0; n < FILTERS; n++) {
        char text[2 * LEVELS];
        for (unsigned i = 0; i < LEVELS; i++) {
            text[2 * i] = (n >> i & 1) != 0 ? '+' : 't';
            text[2 * i + 1] = '/';
        }
        text[2 * LEVELS - 1] = '\0';
        filters[n] = subscribe(index, text, 0, false);
    }
    struct bytes topic = bytes_from_string("t/t/t/t/t/t/t/t/t/t/t");
    malloc_fail_at(1);
    const struct route *route = route_cache_find(cache, topic);
    malloc_fail_end();
    ck_assert(route->no_memory);
    ck_assert_uint_eq(route->count, 0);
    ck_assert_uint_eq(route->interest, 0);
    route = route_cache_find(cache, topic);
    ck_assert(!route->no_memory);
    ck_assert_uint_eq(route->count, FILTERS);
    for (unsigned n = 0; n < FILTERS; n++) {
        unsubscribe(index, filters[n], 0);
    }
    route_cache_free(cache);
    index_free(index);
}
END_TEST

/* ---- threads: what is subscribed before a question is in its answer ---- */

enum { ROUNDS = 3000 };

struct pair {
    struct index *index;
    _Atomic unsigned asked;    /* the publisher asked for that round */
    _Atomic unsigned answered; /* and the subscriber is subscribed (odd) or not (even) since */
};

static void *subscribe_by_turns(void *arg)
{
    struct pair *pair = arg;
    struct filter *filter = NULL;
    tg_rcu_register_thread();
    bool ok = true;
    for (unsigned round = 1; ok && round <= ROUNDS; round++) {
        while (atomic_load(&pair->asked) < round) {
            tg_rcu_quiescent();
            sched_yield();
        }
        if (round % 2 != 0) {
            ok = index_acquire(pair->index, bytes_from_string(round % 4 == 1 ? "a/+/#" : "+/b"), &filter) == TG_OK;
            if (ok) {
                index_set_interest(pair->index, filter, 1, true, false);
            }
        } else {
            index_set_interest(pair->index, filter, 1, false, false);
            index_release(pair->index, filter);
        }
        atomic_store(&pair->answered, round);
    }
    tg_rcu_unregister_thread();
    return ok ? pair : NULL;
}

START_TEST(sees_at_once_what_another_thread_has_subscribed_or_unsubscribed)
{
    struct pair pair = {.index = new_index()};
    pthread_t thread;
    struct route_cache *cache = new_cache(pair.index, 16);
    ck_assert_int_eq(pthread_create(&thread, NULL, subscribe_by_turns, &pair), 0);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        atomic_store(&pair.asked, round);
        while (atomic_load(&pair.answered) < round) {
            const struct route *route = find(cache, "a/b");
            for (uint32_t i = 0; i < route->count; i++) {
                ck_assert_uint_gt(filter_text(route->filters[i]).len, 2);
            }
            tg_rcu_quiescent();
            sched_yield();
        }
        ck_assert_uint_eq(find(cache, "a/b")->count, round % 2);
    }
    void *ok;
    tg_rcu_offline();
    pthread_join(thread, &ok);
    tg_rcu_online();
    ck_assert_ptr_nonnull(ok);
    route_cache_free(cache);
    index_free(pair.index);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, join_rcu, leave_rcu);
    suite_add_tcase(suite, tcase);
    return tcase;
}

static Suite *route_cache_suite(void)
{
    Suite *suite = suite_create("route_cache");
    TCase *content = add_case(suite, "content");
    tcase_add_test(content, says_what_the_index_says_while_filters_come_and_go);
    tcase_add_test(content, unites_interest_and_durable_interest_of_its_filters);
    tcase_add_test(content, says_when_a_filter_has_shared_groups);
    tcase_add_test(content, finds_a_topic_again_without_a_walk_until_its_stripe_moves);
    tcase_add_test(content, resolves_what_it_does_not_keep_each_time);
    TCase *bounds = add_case(suite, "bounds");
    tcase_add_test(bounds, topics_used_once_do_not_push_out_those_used_again);
    tcase_add_test(bounds, keeps_within_its_bound_and_stops_allocating);
    TCase *memory = add_case(suite, "no_memory");
    tcase_add_test(memory, a_cache_is_made_whole_or_not_at_all);
    tcase_add_test(memory, without_memory_for_an_entry_the_route_is_right_all_the_same);
    tcase_add_test(memory, says_so_when_there_is_no_memory_for_very_many_filters);
    TCase *threads = add_case(suite, "threads");
    tcase_add_test(threads, sees_at_once_what_another_thread_has_subscribed_or_unsubscribed);
    return suite;
}

CHECK_MAIN(route_cache_suite)
