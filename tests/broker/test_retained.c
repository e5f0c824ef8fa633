/*
 * Claims about the retained store, against a model that is an array: what is stored is found, a walk delivers each value at or
 * below its stamp once whatever happens meanwhile, nothing passes the bounds, and running out of memory changes nothing.
 */
#include "gateway/broker/retained.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "protocol/topic.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SEED            UINT64_C(0x5eed)
#define NO_STAMP        UINT64_MAX

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % bound;
}

static struct bytes text(const char *s)
{
    return bytes_from_string(s);
}

static struct message *make(struct bytes topic, size_t payload_len, uint64_t expires_ms)
{
    struct message *message = message_new(topic.len, 0, payload_len);
    ck_assert_ptr_nonnull(message);
    memcpy(message->bytes, topic.data, topic.len);
    memset(message->bytes + topic.len, 'x', payload_len);
    message->retain = true;
    message->expires_ms = expires_ms;
    return message;
}

/* Nothing outlives the process here. */
static enum tg_err store(struct retained *retained, struct message *message)
{
    struct store_record *old = NULL;
    enum tg_err err = retained_store(retained, message, NULL, &old);
    return old == NULL ? err : TG_ERR_INVALID;
}

static size_t sweep(struct retained *retained, uint64_t now_ms)
{
    return retained_sweep(retained, now_ms, NULL);
}

/* Store a value of LEN bytes (0: delete). */
static enum tg_err put_until(struct retained *retained, const char *topic, size_t len, uint64_t expires_ms)
{
    struct message *message = make(text(topic), len, expires_ms);
    message->version = UINT64_MAX; /* left over */
    enum tg_err err = store(retained, message);
    ck_assert((message->version != 0) == (err == TG_OK));
    message_unref(message);
    return err;
}

static enum tg_err put(struct retained *retained, const char *topic, size_t len)
{
    return put_until(retained, topic, len, MESSAGE_NEVER_EXPIRES);
}

static bool has(struct retained *retained, const char *topic, uint64_t now_ms)
{
    struct message *message = retained_get(retained, text(topic), now_ms);
    if (message == NULL) {
        return false;
    }
    ck_assert(bytes_equal(message_topic(message), text(topic)));
    message_unref(message);
    return true;
}

/* Walk FILTER in slices of MAX; write the topics into TOPICS, each followed by a blank. Returns how many. */
static size_t walk(struct retained *retained, const char *filter, uint64_t stamp, uint64_t now_ms, size_t max,
                   char *topics)
{
    struct retained_cursor cursor;
    struct message *out[64];
    size_t count = 0;
    ck_assert(max <= COUNT_OF(out));
    ck_assert_int_eq(retained_cursor_init(&cursor, text(filter), stamp), TG_OK);
    while (!cursor.done) {
        size_t n = retained_cursor_next(retained, &cursor, now_ms, out, max);
        ck_assert(n <= max);
        for (size_t i = 0; i < n; i++) {
            if (topics != NULL) {
                topics += sprintf(topics, "%.*s ", (int)out[i]->topic_len, (const char *)out[i]->bytes);
            }
            message_unref(out[i]);
        }
        count += n;
    }
    ck_assert_uint_eq(retained_cursor_next(retained, &cursor, now_ms, out, max), 0);
    retained_cursor_fini(&cursor);
    return count;
}

static size_t walk_all(struct retained *retained, const char *filter)
{
    return walk(retained, filter, NO_STAMP, 0, 64, NULL);
}

static struct retained *unbounded(void)
{
    struct retained *retained = retained_new(0, 0, SEED);
    ck_assert_ptr_nonnull(retained);
    return retained;
}

/* --- values ----------------------------------------------------------------------------------------------------- */

START_TEST(a_new_value_replaces_the_old_one_mqtt_3_3_1_5)
{
    struct retained *retained = unbounded();
    ck_assert_uint_eq(retained_stamp(retained), 0);
    ck_assert_int_eq(put(retained, "a/b", 3), TG_OK);
    ck_assert_int_eq(put(retained, "a/b", 5), TG_OK);
    ck_assert_uint_eq(retained_count(retained), 1);
    struct message *message = retained_get(retained, text("a/b"), 0);
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(message->payload_len, 5);
    ck_assert_uint_eq(message->version, 2);
    ck_assert_uint_eq(retained_stamp(retained), 2);
    message_unref(message);
    ck_assert(!has(retained, "a", 0));
    ck_assert(!has(retained, "a/b/", 0));
    retained_free(retained);
}
END_TEST

START_TEST(an_empty_payload_deletes_and_is_not_kept_mqtt_3_3_1_6_and_7)
{
    struct retained *retained = unbounded();
    ck_assert_int_eq(put(retained, "a", 1), TG_OK);
    ck_assert_int_eq(put(retained, "a", 0), TG_OK);
    ck_assert(!has(retained, "a", 0));
    ck_assert_int_eq(put(retained, "never/there", 0), TG_OK);
    ck_assert_uint_eq(retained_count(retained), 0);
    ck_assert_uint_eq(retained_bytes(retained), 0);
    ck_assert_uint_eq(walk_all(retained, "#"), 0);
    ck_assert_uint_eq(retained_stamp(retained), 3);
    retained_free(retained);
}
END_TEST

START_TEST(a_value_outlives_store_and_replacement_while_it_is_referenced)
{
    struct retained *retained = unbounded();
    ck_assert_int_eq(put(retained, "a", 1), TG_OK);
    struct message *first = retained_get(retained, text("a"), 0);
    ck_assert_ptr_nonnull(first);
    ck_assert_int_eq(put(retained, "a", 2), TG_OK);
    struct message *second = retained_get(retained, text("a"), 0);
    ck_assert_ptr_nonnull(second);
    retained_free(retained);
    ck_assert_uint_eq(atomic_load(&first->refs), 1);
    ck_assert_uint_eq(first->payload_len, 1);
    ck_assert_uint_eq(second->payload_len, 2);
    message_unref(first);
    message_unref(second);
    retained_free(NULL);
}
END_TEST

START_TEST(takes_the_longest_topic)
{
    enum { LEN = 65535 };
    static char topic[LEN + 1];
    memset(topic, '/', LEN);
    struct retained *retained = unbounded();
    ck_assert_int_eq(put(retained, topic, 1), TG_OK);
    topic[LEN - 1] = 'a';
    ck_assert_int_eq(put(retained, topic, 1), TG_OK);
    ck_assert(has(retained, topic, 0));
    ck_assert_uint_eq(walk_all(retained, "/#"), 2);
    ck_assert_uint_eq(walk_all(retained, topic), 1);
    topic[LEN - 1] = '#';
    ck_assert_uint_eq(walk_all(retained, topic), 2);
    topic[LEN - 1] = '+';
    ck_assert_uint_eq(walk_all(retained, topic), 1);
    retained_free(retained);
}
END_TEST

/* --- expiry ----------------------------------------------------------------------------------------------------- */

START_TEST(an_expired_value_is_passed_over)
{
    struct retained *retained = unbounded();
    char topics[64];
    ck_assert_int_eq(put_until(retained, "soon", 1, 1000), TG_OK);
    ck_assert_int_eq(put(retained, "never", 1), TG_OK);
    ck_assert(has(retained, "soon", 999));
    ck_assert(!has(retained, "soon", 1000));
    ck_assert_uint_eq(walk(retained, "soon", NO_STAMP, 999, 1, topics), 1);
    ck_assert_uint_eq(walk(retained, "soon", NO_STAMP, 1000, 1, topics), 0);
    ck_assert_uint_eq(walk(retained, "#", NO_STAMP, 999, 1, topics), 2);
    ck_assert_uint_eq(walk(retained, "#", NO_STAMP, 1000, 1, topics), 1);
    ck_assert_str_eq(topics, "never ");
    ck_assert(has(retained, "never", UINT64_MAX));
    retained_free(retained);
}
END_TEST

START_TEST(the_sweep_drops_every_expired_value_and_no_other)
{
    enum { VALUES = 3000 };
    struct retained *retained = unbounded();
    char topic[32];
    for (unsigned i = 0; i < VALUES; i++) {
        sprintf(topic, "s/%u", i);
        ck_assert_int_eq(put_until(retained, topic, 1, i % 3 == 0 ? MESSAGE_NEVER_EXPIRES : i), TG_OK);
    }
    size_t gone = 0;
    size_t most = 0;
    for (unsigned call = 0; call < 2 * VALUES / 100; call++) {
        size_t now_gone = sweep(retained, VALUES / 2);
        most = now_gone > most ? now_gone : most;
        gone += now_gone;
    }
    ck_assert_uint_eq(gone, VALUES / 3);
    ck_assert(most < 600);
    ck_assert_uint_eq(retained_count(retained), VALUES - gone);
    for (unsigned i = 0; i < VALUES; i++) {
        sprintf(topic, "s/%u", i);
        ck_assert(has(retained, topic, 0) == (i % 3 == 0 || i > VALUES / 2));
    }
    retained_free(retained);
}
END_TEST

START_TEST(the_sweep_goes_on_while_the_value_it_stopped_at_is_deleted)
{
    enum { VALUES = 2000 };
    struct retained *retained = unbounded();
    char topic[32];
    for (unsigned i = 0; i < VALUES; i++) {
        sprintf(topic, "%u", i);
        ck_assert_int_eq(put_until(retained, topic, 1, i % 2 == 0 ? 10 : 20), TG_OK);
    }
    size_t gone = 0;
    for (unsigned i = 0; i < VALUES; i++) {
        if (i % 50 == 0) {
            gone += sweep(retained, 15);
        }
        if (i % 2 == 1) {
            sprintf(topic, "%u", i);
            ck_assert_int_eq(put(retained, topic, 0), TG_OK);
        }
    }
    for (unsigned i = 0; i < 20; i++) {
        gone += sweep(retained, 15);
    }
    ck_assert_uint_eq(gone, VALUES / 2);
    ck_assert_uint_eq(retained_count(retained), 0);
    ck_assert_uint_eq(retained_bytes(retained), 0);
    ck_assert_uint_eq(sweep(retained, UINT64_MAX - 1), 0);
    retained_free(retained);
}
END_TEST

START_TEST(a_replaced_value_no_longer_expires)
{
    struct retained *retained = unbounded();
    ck_assert_int_eq(put_until(retained, "a", 1, 10), TG_OK);
    ck_assert_int_eq(put(retained, "a", 1), TG_OK);
    ck_assert_uint_eq(sweep(retained, 20), 0);
    ck_assert(has(retained, "a", 20));
    ck_assert_int_eq(put_until(retained, "a", 1, 30), TG_OK);
    ck_assert_uint_eq(sweep(retained, 29), 0);
    ck_assert_uint_eq(sweep(retained, 30), 1);
    ck_assert_uint_eq(retained_count(retained), 0);
    retained_free(retained);
}
END_TEST

/* --- bounds ----------------------------------------------------------------------------------------------------- */

START_TEST(refuses_a_new_topic_at_messages_max_but_replaces_and_deletes)
{
    struct retained *retained = retained_new(2, 0, SEED);
    ck_assert_ptr_nonnull(retained);
    ck_assert_int_eq(put(retained, "a", 1), TG_OK);
    ck_assert_int_eq(put(retained, "b", 1), TG_OK);
    uint64_t stamp = retained_stamp(retained);
    ck_assert_int_eq(put(retained, "c", 1), TG_ERR_LIMIT);
    ck_assert(!has(retained, "c", 0));
    ck_assert_uint_eq(retained_count(retained), 2);
    ck_assert_uint_eq(retained_stamp(retained), stamp);
    ck_assert_int_eq(put(retained, "a", 100), TG_OK);
    ck_assert_int_eq(put(retained, "a", 0), TG_OK);
    ck_assert_int_eq(put(retained, "c", 1), TG_OK);
    retained_set_limits(retained, 1, 0);
    ck_assert_uint_eq(retained_count(retained), 2);
    ck_assert_int_eq(put(retained, "c", 2), TG_OK);
    ck_assert_int_eq(put(retained, "c", 0), TG_OK);
    ck_assert_int_eq(put(retained, "d", 1), TG_ERR_LIMIT);
    retained_set_limits(retained, 0, 0);
    ck_assert_int_eq(put(retained, "d", 1), TG_OK);
    retained_free(retained);
}
END_TEST

START_TEST(refuses_bytes_past_bytes_max_but_always_takes_a_smaller_value)
{
    struct retained *retained = unbounded();
    ck_assert_int_eq(put(retained, "a", 100), TG_OK);
    size_t bytes = retained_bytes(retained);
    ck_assert(bytes >= sizeof(struct message) + 101);
    retained_set_limits(retained, 0, bytes + 10);
    ck_assert_int_eq(put(retained, "b", 1), TG_ERR_LIMIT);
    ck_assert_int_eq(put(retained, "a", 111), TG_ERR_LIMIT);
    struct message *kept = retained_get(retained, text("a"), 0);
    ck_assert_ptr_nonnull(kept);
    ck_assert_uint_eq(kept->payload_len, 100);
    message_unref(kept);
    ck_assert_uint_eq(retained_bytes(retained), bytes);
    ck_assert_int_eq(put(retained, "a", 110), TG_OK);
    ck_assert_uint_eq(retained_bytes(retained), bytes + 10);
    retained_set_limits(retained, 0, 1);
    ck_assert_int_eq(put(retained, "a", 110), TG_OK);
    ck_assert_int_eq(put(retained, "a", 111), TG_ERR_LIMIT);
    ck_assert_int_eq(put(retained, "a", 50), TG_OK);
    ck_assert_uint_eq(retained_bytes(retained), bytes - 50);
    ck_assert_uint_eq(retained_count(retained), 1);
    ck_assert_int_eq(put(retained, "a", 0), TG_OK);
    ck_assert_uint_eq(retained_bytes(retained), 0);
    retained_free(retained);
}
END_TEST

/* --- walks ------------------------------------------------------------------------------------------------------ */

START_TEST(leading_wildcards_do_not_match_dollar_topics_mqtt_4_7_2_1)
{
    static const char *topics[] = {"$SYS/a", "$SYS/b", "$", "$a", "!", "#!", "%", "a", "a/$b", "/", "/$SYS", "~/a"};
    struct retained *retained = unbounded();
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        ck_assert_int_eq(put(retained, topics[i], 1), TG_OK);
    }
    ck_assert_uint_eq(walk_all(retained, "#"), 8);
    ck_assert_uint_eq(walk_all(retained, "+"), 4);
    ck_assert_uint_eq(walk_all(retained, "+/+"), 4);
    ck_assert_uint_eq(walk_all(retained, "+/a"), 1);
    ck_assert_uint_eq(walk_all(retained, "$SYS/#"), 2);
    ck_assert_uint_eq(walk_all(retained, "$SYS/+"), 2);
    ck_assert_uint_eq(walk_all(retained, "$SYS/a"), 1);
    ck_assert_uint_eq(walk_all(retained, "$/#"), 1);
    retained_free(retained);
}
END_TEST

START_TEST(a_subtree_begins_with_its_root_and_ends_before_names_that_only_begin_alike)
{
    static const char *topics[] = {"a", "a/", "a/b", "a/b/c", "a!", "a!/b", "a\001", "ab", "A", "b", "a/!", "a//"};
    struct retained *retained = unbounded();
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        ck_assert_int_eq(put(retained, topics[i], 1), TG_OK);
    }
    ck_assert_uint_eq(walk_all(retained, "a/#"), 6);
    ck_assert_uint_eq(walk_all(retained, "a/+"), 3);
    ck_assert_uint_eq(walk_all(retained, "a/b/#"), 2);
    ck_assert_uint_eq(walk_all(retained, "a//#"), 2);
    ck_assert_uint_eq(walk_all(retained, "a/+/c"), 1);
    ck_assert_uint_eq(walk_all(retained, "c/#"), 0);
    retained_free(retained);
}
END_TEST

START_TEST(a_call_looks_at_a_bounded_number_of_entries)
{
    enum { VALUES = 20000 };
    struct retained *retained = unbounded();
    struct message *out[8];
    char topic[32];
    for (unsigned i = 0; i < VALUES; i++) {
        sprintf(topic, "%u/x", i);
        ck_assert_int_eq(put(retained, topic, 1), TG_OK);
    }
    struct retained_cursor cursor;
    ck_assert_int_eq(retained_cursor_init(&cursor, text("+/y"), NO_STAMP), TG_OK);
    unsigned calls = 0;
    while (!cursor.done) {
        ck_assert_uint_eq(retained_cursor_next(retained, &cursor, 0, out, 0), 0);
        ck_assert_uint_eq(retained_cursor_next(retained, &cursor, 0, out, COUNT_OF(out)), 0);
        calls++;
    }
    retained_cursor_fini(&cursor);
    ck_assert(calls >= VALUES / 600);
    ck_assert(calls <= VALUES / 100);
    retained_free(retained);
}
END_TEST

START_TEST(a_cursor_that_is_put_back_gives_the_rest_again)
{
    enum { VALUES = 200 };
    struct retained *retained = unbounded();
    struct message *out[16];
    char topic[32];
    for (unsigned i = 0; i < VALUES; i++) {
        sprintf(topic, "%u", i);
        ck_assert_int_eq(put(retained, topic, 1), TG_OK);
    }
    struct retained_cursor cursor;
    ck_assert_int_eq(retained_cursor_init(&cursor, text("#"), NO_STAMP), TG_OK);
    bool seen[VALUES] = {false};
    unsigned kept = 0;
    while (!cursor.done) {
        size_t count = retained_cursor_next(retained, &cursor, 0, out, COUNT_OF(out));
        /* keep some, give back the others: over the borders of shards and at the very end too */
        size_t keep = count > 1 ? 1 + kept % (count - 1) : count;
        for (size_t i = 0; i < keep; i++) {
            sprintf(topic, "%.*s", (int)out[i]->topic_len, (const char *)out[i]->bytes);
            unsigned long number = strtoul(topic, NULL, 10);
            ck_assert(number < VALUES && !seen[number]);
            seen[number] = true;
            kept++;
        }
        if (keep < count) {
            retained_cursor_put_back(retained, &cursor, out[keep - 1]);
        }
        for (size_t i = 0; i < count; i++) {
            message_unref(out[i]);
        }
    }
    ck_assert_uint_eq(kept, VALUES);
    retained_cursor_fini(&cursor);
    retained_free(retained);
}
END_TEST

START_TEST(a_cursor_may_be_given_up_anywhere)
{
    struct retained *retained = unbounded();
    struct message *out[2];
    struct retained_cursor nothing = {0};
    retained_cursor_fini(&nothing);
    char topic[32];
    for (unsigned i = 0; i < 100; i++) {
        sprintf(topic, "%u", i);
        ck_assert_int_eq(put(retained, topic, 1), TG_OK);
    }
    struct retained_cursor cursor;
    ck_assert_int_eq(retained_cursor_init(&cursor, text("#"), NO_STAMP), TG_OK);
    ck_assert_uint_eq(retained_cursor_next(retained, &cursor, 0, out, 2), 2);
    ck_assert(!cursor.done);
    retained_cursor_fini(&cursor);
    retained_cursor_fini(&cursor);
    retained_free(retained); /* the messages outlive the store */
    message_unref(out[0]);
    message_unref(out[1]);
}
END_TEST

/* The model: topics in an array, each with its value now and what a walk has delivered. */

enum { MODEL_TOPICS = 1200 };

struct model_topic {
    char name[80];
    uint64_t version; /* 0: no value */
    uint64_t expires_ms;
    size_t payload_len;
    uint64_t walk_version; /* value at the walk's beginning that has stayed since; 0: none */
    uint64_t delivered;    /* version; 0: none */
};

static struct model_topic model[MODEL_TOPICS];

static void model_make(void)
{
    static const char *levels[] = {"a", "b", "$x", "", "!", "a!", "a-", "ab", "\xc3\xa4", "z\001", "long-level-name"};
    for (size_t i = 0; i < MODEL_TOPICS; i++) {
        bool is_new = false;
        while (!is_new) {
            char *at = model[i].name;
            *at = '\0';
            for (uint32_t depth = 1 + random_below(4); depth > 0; depth--) {
                at += sprintf(at, "%s%s", levels[random_below(COUNT_OF(levels))], depth > 1 ? "/" : "");
            }
            if (random_below(2) == 0) {
                sprintf(at, "%u", random_below(100));
            }
            is_new = model[i].name[0] != '\0';
            for (size_t j = 0; j < i && is_new; j++) {
                is_new = strcmp(model[i].name, model[j].name) != 0;
            }
        }
    }
}

/* The topic of MESSAGE, whose number in the model is its publisher. */
static struct model_topic *model_find(const struct message *message)
{
    struct model_topic *topic = &model[message->publisher];
    ck_assert(bytes_equal(text(topic->name), message_topic(message)));
    return topic;
}

/* One random store or deletion, done to both. */
static void model_change(struct retained *retained, uint64_t now_ms)
{
    struct model_topic *topic = &model[random_below(MODEL_TOPICS)];
    size_t len = random_below(3) == 0 ? 0 : 1 + random_below(20);
    uint64_t expires_ms = random_below(3) == 0 ? now_ms + random_below(200) : MESSAGE_NEVER_EXPIRES;
    struct message *message = make(text(topic->name), len, expires_ms);
    message->publisher = (uint64_t)(topic - model);
    uint64_t before = retained_stamp(retained);
    ck_assert_int_eq(store(retained, message), TG_OK);
    ck_assert_uint_eq(message->version, before + 1);
    topic->version = len > 0 ? message->version : 0;
    topic->expires_ms = expires_ms;
    topic->payload_len = len;
    topic->walk_version = 0;
    message_unref(message);
}

static bool model_is_there(const struct model_topic *topic, uint64_t now_ms)
{
    return topic->version != 0 && topic->expires_ms > now_ms;
}

/* Note what stays, at the beginning of a walk and as time passes. */
static void model_note(uint64_t now_ms, bool begins)
{
    for (size_t i = 0; i < MODEL_TOPICS; i++) {
        if (begins) {
            model[i].walk_version = model[i].version;
            model[i].delivered = 0;
        }
        if (!model_is_there(&model[i], now_ms)) {
            model[i].walk_version = 0;
        }
    }
}

static void check_delivery(struct message *message, const char *filter, uint64_t stamp, uint64_t now_ms)
{
    struct model_topic *topic = model_find(message);
    ck_assert(topic_matches(text(filter), message_topic(message)));
    ck_assert_uint_le(message->version, stamp);
    ck_assert_uint_eq(topic->delivered, 0);
    ck_assert(model_is_there(topic, now_ms));
    ck_assert_uint_eq(message->version, topic->version);
    ck_assert_uint_eq(message->payload_len, topic->payload_len);
    topic->delivered = message->version;
}

START_TEST(a_walk_delivers_each_value_that_stays_once_and_none_above_its_stamp)
{
    static const char *filters[] = {"#",         "+",
                                    "+/#",       "a/#",
                                    "a/+",       "a/+/b",
                                    "+/a/#",     "$x/#",
                                    "$x/+/a",    "/#",
                                    "//#",       "+/+",
                                    "+/+/+/+",   "/+",
                                    "ab/#",      "a/b/#",
                                    "a/b",       "a",
                                    "+/b",       "b/+/#",
                                    "no/#",      "long-level-name/long-level-name/+",
                                    "\xc3\xa4/#"};
    random_state = 3;
    model_make();
    struct retained *retained = unbounded();
    uint64_t now_ms = 1000;
    uint64_t total = 0;
    for (unsigned round = 0; round < 300; round++) {
        const char *filter = filters[random_below(COUNT_OF(filters))];
        for (unsigned i = 0; i < (round == 0 ? 1500 : 40); i++) {
            model_change(retained, now_ms);
        }
        struct retained_cursor cursor;
        uint64_t stamp = retained_stamp(retained) - (round % 4 == 0 ? random_below(100) : 0);
        ck_assert_int_eq(retained_cursor_init(&cursor, text(filter), stamp), TG_OK);
        model_note(now_ms, true);
        while (!cursor.done) {
            struct message *out[40];
            size_t count = retained_cursor_next(retained, &cursor, now_ms, out, 1 + random_below(COUNT_OF(out)));
            for (size_t i = 0; i < count; i++) {
                check_delivery(out[i], filter, stamp, now_ms);
                message_unref(out[i]);
            }
            for (uint32_t i = random_below(8); i > 0; i--) {
                model_change(retained, now_ms);
            }
            if (random_below(4) == 0) {
                now_ms += random_below(10);
                sweep(retained, now_ms);
                model_note(now_ms, false);
            }
        }
        retained_cursor_fini(&cursor);
        for (size_t i = 0; i < MODEL_TOPICS; i++) {
            bool must = model[i].walk_version != 0 && model[i].walk_version <= stamp &&
                        topic_matches(text(filter), text(model[i].name));
            if (must && model[i].delivered != model[i].walk_version) {
                ck_abort_msg("%s misses %s", filter, model[i].name);
            }
            total += model[i].delivered != 0;
        }
    }
    ck_assert_uint_ge(total, 10000);

    /* what is left is what the model says, and it is counted */
    size_t count = 0;
    size_t bytes = 0;
    struct retained *alone = unbounded();
    for (unsigned i = 0; i < 100; i++) {
        sweep(retained, now_ms);
    }
    for (size_t i = 0; i < MODEL_TOPICS; i++) {
        bool is_there = model_is_there(&model[i], now_ms);
        ck_assert(has(retained, model[i].name, now_ms) == is_there);
        count += is_there;
        if (is_there) {
            ck_assert_int_eq(put(alone, model[i].name, model[i].payload_len), TG_OK);
            bytes = retained_bytes(alone);
        }
    }
    ck_assert_uint_eq(retained_count(retained), count);
    ck_assert_uint_eq(retained_bytes(retained), bytes);
    retained_free(alone);
    retained_free(retained);
}
END_TEST

static bool is_ascending(struct bytes a, struct bytes b)
{
    size_t i = 0;
    while (i < a.len && i < b.len && a.data[i] == b.data[i]) {
        i++;
    }
    if (i == a.len || i == b.len) {
        return a.len < b.len;
    }
    return a.data[i] == '/' || (b.data[i] != '/' && a.data[i] < b.data[i]);
}

START_TEST(topics_come_in_order_with_the_separator_before_every_other_byte)
{
    random_state = 11;
    model_make();
    struct retained *retained = unbounded();
    for (size_t i = 0; i < MODEL_TOPICS; i++) {
        ck_assert_int_eq(put(retained, model[i].name, 1), TG_OK);
    }
    struct retained_cursor cursor;
    struct message *before = NULL;
    unsigned runs = 1;
    ck_assert_int_eq(retained_cursor_init(&cursor, text("#"), NO_STAMP), TG_OK);
    while (!cursor.done) {
        struct message *out[1];
        if (retained_cursor_next(retained, &cursor, 0, out, 1) == 1) {
            runs += before != NULL && !is_ascending(message_topic(before), message_topic(out[0]));
            message_unref(before);
            before = out[0];
        }
    }
    message_unref(before);
    retained_cursor_fini(&cursor);
    retained_free(retained);
    ck_assert_uint_le(runs, 64); /* one a shard */
}
END_TEST

/* --- memory ----------------------------------------------------------------------------------------------------- */

/* What a run with a failing allocation left behind. */
struct run {
    enum tg_err store_first;
    enum tg_err store_second;
    enum tg_err clear;
    enum tg_err init;
    size_t count; /* after both stores */
    size_t bytes_after_first;
    size_t walked;
};

static struct run run_with_failure(struct retained *retained, struct message *first, struct message *second,
                                   struct message *clear, struct retained_cursor *cursor, struct message **out)
{
    struct run run = {0};
    run.store_first = store(retained, first);
    run.bytes_after_first = retained_bytes(retained);
    run.store_second = store(retained, second);
    run.count = retained_count(retained);
    run.init = retained_cursor_init(cursor, text("+/#"), NO_STAMP);
    if (run.init == TG_OK) {
        run.walked = retained_cursor_next(retained, cursor, 0, out, 1);
        run.walked += retained_cursor_next(retained, cursor, 0, out + run.walked, 3);
    }
    run.clear = store(retained, clear);
    sweep(retained, 100);
    return run;
}

START_TEST(running_out_of_memory_leaves_everything_as_it_was)
{
    uint64_t n = 0;
    bool failed = true;
    while (failed) {
        struct message *first = make(text("a/b"), 3, 50);
        struct message *second = make(text("a/c"), 3, MESSAGE_NEVER_EXPIRES);
        struct message *clear = make(text("a/b"), 0, MESSAGE_NEVER_EXPIRES);
        struct retained_cursor cursor = {.stamp = 77};
        struct message *out[4] = {NULL};
        struct run run = {0};
        malloc_fail_at(++n);
        struct retained *retained = retained_new(0, 0, SEED);
        if (retained != NULL) {
            run = run_with_failure(retained, first, second, clear, &cursor, out);
        }
        failed = malloc_fail_end();
        ck_assert(failed || retained != NULL);
        if (retained != NULL) {
            int failures = (run.store_first != TG_OK) + (run.store_second != TG_OK) + (run.init != TG_OK);
            ck_assert_int_eq(failures, failed);
            ck_assert_int_eq(run.clear, TG_OK); /* deleting needs no memory */
            ck_assert_uint_eq(first->version, run.store_first == TG_OK);
            ck_assert((run.bytes_after_first != 0) == (run.store_first == TG_OK));
            ck_assert_int_eq((int)run.count, (run.store_first == TG_OK) + (run.store_second == TG_OK));
            ck_assert_uint_eq(run.walked, run.init == TG_OK ? run.count : 0);
            ck_assert_uint_eq(cursor.stamp, run.init == TG_OK ? NO_STAMP : 77);
            ck_assert(has(retained, "a/c", 0) == (run.store_second == TG_OK));
        }
        retained_cursor_fini(&cursor);
        for (size_t i = 0; i < COUNT_OF(out); i++) {
            message_unref(out[i]);
        }
        retained_free(retained);
        ck_assert_uint_eq(atomic_load(&first->refs), 1);
        ck_assert_uint_eq(atomic_load(&second->refs), 1);
        message_unref(first);
        message_unref(second);
        message_unref(clear);
    }
    ck_assert_uint_eq(n, 5); /* the store, two values, the cursor's filter */
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------------------------- */

enum { WRITERS = 3, TOPICS_EACH = 60, STORES_EACH = 6000 };

struct shared_store {
    struct retained *retained;
    _Atomic unsigned writing;
};

struct writer {
    pthread_t thread;
    struct shared_store *shared;
    unsigned number;
    uint64_t last_version[TOPICS_EACH]; /* 0: no value */
};

static void *write_values(void *arg)
{
    struct writer *writer = arg;
    uint32_t state = writer->number + 1;
    char topic[32];
    for (unsigned i = 0; i < STORES_EACH; i++) {
        state = state * 1664525u + 1013904223u;
        unsigned which = (state >> 8) % TOPICS_EACH;
        sprintf(topic, "w%u/%u", writer->number, which);
        struct message *message = make(text(topic), (state >> 20) % 4, MESSAGE_NEVER_EXPIRES);
        ck_assert_int_eq(store(writer->shared->retained, message), TG_OK);
        ck_assert_uint_gt(message->version, writer->last_version[which]);
        ck_assert_uint_ge(retained_stamp(writer->shared->retained), message->version);
        writer->last_version[which] = message->payload_len > 0 ? message->version : 0;
        message_unref(message);
    }
    atomic_fetch_sub(&writer->shared->writing, 1);
    return NULL;
}

/* Walk and get until nobody writes: no topic twice in one walk, nothing above the stamp. */
static void *read_values(void *arg)
{
    struct shared_store *shared = arg;
    while (atomic_load(&shared->writing) > 0) {
        struct retained_cursor cursor;
        bool seen[WRITERS][TOPICS_EACH] = {{false}};
        uint64_t stamp = retained_stamp(shared->retained);
        ck_assert_int_eq(retained_cursor_init(&cursor, text("+/+"), stamp), TG_OK);
        while (!cursor.done) {
            struct message *out[7];
            size_t count = retained_cursor_next(shared->retained, &cursor, 0, out, COUNT_OF(out));
            for (size_t i = 0; i < count; i++) {
                unsigned writer;
                unsigned which;
                char topic[32] = "";
                memcpy(topic, out[i]->bytes, out[i]->topic_len);
                ck_assert_int_eq(sscanf(topic, "w%u/%u", &writer, &which), 2);
                ck_assert(!seen[writer][which]);
                seen[writer][which] = true;
                ck_assert_uint_le(out[i]->version, stamp);
                ck_assert_uint_gt(out[i]->payload_len, 0);
                message_unref(out[i]);
            }
        }
        retained_cursor_fini(&cursor);
        struct message *message = retained_get(shared->retained, text("w0/1"), 0);
        ck_assert(message == NULL || message->payload_len > 0);
        message_unref(message);
        sweep(shared->retained, 0);
        ck_assert_uint_le(retained_count(shared->retained), WRITERS * TOPICS_EACH);
    }
    return NULL;
}

START_TEST(many_threads_store_clear_get_and_walk_at_once)
{
    struct shared_store shared = {.retained = unbounded(), .writing = WRITERS};
    struct writer writers[WRITERS] = {{0}};
    pthread_t readers[2];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].shared = &shared;
        writers[i].number = i;
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_values, &writers[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_values, &shared), 0);
    }
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        ck_assert_int_eq(pthread_join(readers[i], NULL), 0);
    }
    size_t count = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
        for (unsigned which = 0; which < TOPICS_EACH; which++) {
            char topic[32];
            sprintf(topic, "w%u/%u", i, which);
            struct message *message = retained_get(shared.retained, text(topic), 0);
            ck_assert_uint_eq(message != NULL ? message->version : 0, writers[i].last_version[which]);
            count += message != NULL;
            message_unref(message);
        }
    }
    ck_assert_uint_eq(retained_stamp(shared.retained), WRITERS * STORES_EACH);
    ck_assert_uint_eq(retained_count(shared.retained), count);
    ck_assert_uint_eq(walk_all(shared.retained, "#"), count);
    retained_free(shared.retained);
}
END_TEST

enum { ROUNDS = 400 };

/* One round: a publisher stores a value while a subscriber begins. Plain members are ordered by the store's versions alone. */
struct meeting {
    bool subscribed;                 /* plain: written before the stamp is taken, read by whose version is above it */
    _Atomic uint64_t stamp_plus_one; /* relaxed: 0 until the subscriber has one */
    _Atomic uint64_t version;        /* relaxed: 0 until the publisher has one */
    bool came_live;                  /* the publisher's */
    bool came_by_walk;               /* the subscriber's */
};

struct meetings {
    struct retained *retained;
    pthread_barrier_t begin;
    struct meeting rounds[ROUNDS];
};

static void loiter(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++) {
    }
}

static uint64_t wait_for(_Atomic uint64_t *value)
{
    uint64_t seen = atomic_load_explicit(value, memory_order_relaxed);
    while (seen == 0) {
        sched_yield();
        seen = atomic_load_explicit(value, memory_order_relaxed);
    }
    return seen;
}

static void *publish_each_round(void *arg)
{
    struct meetings *meetings = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct meeting *meeting = &meetings->rounds[i];
        struct message *message = make(text("t"), 1 + i, MESSAGE_NEVER_EXPIRES);
        pthread_barrier_wait(&meetings->begin);
        if (i % 4 == 0) {
            wait_for(&meeting->stamp_plus_one);
        }
        loiter(i % 20 * 40);
        ck_assert_int_eq(store(meetings->retained, message), TG_OK);
        atomic_store_explicit(&meeting->version, message->version, memory_order_relaxed);
        uint64_t stamp_plus_one = wait_for(&meeting->stamp_plus_one);
        meeting->came_live = message->version >= stamp_plus_one && meeting->subscribed;
        message_unref(message);
    }
    return NULL;
}

static void *subscribe_each_round(void *arg)
{
    struct meetings *meetings = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct meeting *meeting = &meetings->rounds[i];
        struct message *out[4];
        pthread_barrier_wait(&meetings->begin);
        if (i % 4 == 1) {
            wait_for(&meeting->version);
        }
        loiter(i / 20 * 40);
        meeting->subscribed = true;
        uint64_t stamp = retained_stamp(meetings->retained);
        atomic_store_explicit(&meeting->stamp_plus_one, stamp + 1, memory_order_relaxed);
        if (i % 4 == 0) {
            wait_for(&meeting->version); /* walk after the store, so that no mutex orders what is to be ordered */
        }
        struct retained_cursor cursor;
        ck_assert_int_eq(retained_cursor_init(&cursor, text("#"), stamp), TG_OK);
        while (!cursor.done) {
            size_t count = retained_cursor_next(meetings->retained, &cursor, 0, out, COUNT_OF(out));
            for (size_t n = 0; n < count; n++) {
                meeting->came_by_walk = out[n]->payload_len == 1 + i;
                message_unref(out[n]);
            }
        }
        retained_cursor_fini(&cursor);
    }
    return NULL;
}

START_TEST(a_value_stored_while_somebody_subscribes_comes_by_the_walk_or_live_and_not_by_both)
{
    static struct meetings meetings;
    memset(&meetings, 0, sizeof(meetings));
    meetings.retained = unbounded();
    pthread_t publisher;
    pthread_t subscriber;
    ck_assert_int_eq(pthread_barrier_init(&meetings.begin, NULL, 2), 0);
    ck_assert_int_eq(pthread_create(&publisher, NULL, publish_each_round, &meetings), 0);
    ck_assert_int_eq(pthread_create(&subscriber, NULL, subscribe_each_round, &meetings), 0);
    ck_assert_int_eq(pthread_join(publisher, NULL), 0);
    ck_assert_int_eq(pthread_join(subscriber, NULL), 0);
    unsigned live = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        ck_assert_msg(meetings.rounds[i].came_live != meetings.rounds[i].came_by_walk, "round %u: live %d", i,
                      meetings.rounds[i].came_live);
        live += meetings.rounds[i].came_live;
    }
    ck_assert_uint_ge(live, ROUNDS / 4);
    ck_assert_uint_le(live, ROUNDS - ROUNDS / 4);
    pthread_barrier_destroy(&meetings.begin);
    retained_free(meetings.retained);
}
END_TEST

static void *fill_one_topic_each(void *arg)
{
    struct writer *writer = arg;
    char topic[32];
    for (unsigned i = 0; i < 2000; i++) {
        sprintf(topic, "%u/%u", writer->number, i % 500);
        struct message *message = make(text(topic), i % 7 == 0 ? 0 : 10, MESSAGE_NEVER_EXPIRES);
        enum tg_err err = store(writer->shared->retained, message);
        ck_assert(err == TG_OK || err == TG_ERR_LIMIT);
        ck_assert_uint_le(retained_count(writer->shared->retained), 100);
        message_unref(message);
    }
    return NULL;
}

START_TEST(threads_together_never_exceed_the_bounds)
{
    struct shared_store shared = {.retained = retained_new(100, 0, SEED)};
    struct writer writers[WRITERS] = {{0}};
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].shared = &shared;
        writers[i].number = i;
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, fill_one_topic_each, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
    }
    ck_assert_uint_eq(walk_all(shared.retained, "#"), retained_count(shared.retained));
    retained_free(shared.retained);
}
END_TEST

static Suite *retained_suite(void)
{
    Suite *suite = suite_create("retained");
    TCase *values = tcase_create("values");
    tcase_add_test(values, a_new_value_replaces_the_old_one_mqtt_3_3_1_5);
    tcase_add_test(values, an_empty_payload_deletes_and_is_not_kept_mqtt_3_3_1_6_and_7);
    tcase_add_test(values, a_value_outlives_store_and_replacement_while_it_is_referenced);
    tcase_add_test(values, takes_the_longest_topic);
    suite_add_tcase(suite, values);
    TCase *expiry = tcase_create("expiry");
    tcase_add_test(expiry, an_expired_value_is_passed_over);
    tcase_add_test(expiry, the_sweep_drops_every_expired_value_and_no_other);
    tcase_add_test(expiry, the_sweep_goes_on_while_the_value_it_stopped_at_is_deleted);
    tcase_add_test(expiry, a_replaced_value_no_longer_expires);
    suite_add_tcase(suite, expiry);
    TCase *bounds = tcase_create("bounds");
    tcase_add_test(bounds, refuses_a_new_topic_at_messages_max_but_replaces_and_deletes);
    tcase_add_test(bounds, refuses_bytes_past_bytes_max_but_always_takes_a_smaller_value);
    suite_add_tcase(suite, bounds);
    TCase *walks = tcase_create("walks");
    tcase_add_test(walks, leading_wildcards_do_not_match_dollar_topics_mqtt_4_7_2_1);
    tcase_add_test(walks, a_subtree_begins_with_its_root_and_ends_before_names_that_only_begin_alike);
    tcase_add_test(walks, a_call_looks_at_a_bounded_number_of_entries);
    tcase_add_test(walks, a_cursor_that_is_put_back_gives_the_rest_again);
    tcase_add_test(walks, a_cursor_may_be_given_up_anywhere);
    tcase_add_test(walks, a_walk_delivers_each_value_that_stays_once_and_none_above_its_stamp);
    tcase_add_test(walks, topics_come_in_order_with_the_separator_before_every_other_byte);
    suite_add_tcase(suite, walks);
    TCase *memory = tcase_create("memory");
    tcase_add_test(memory, running_out_of_memory_leaves_everything_as_it_was);
    suite_add_tcase(suite, memory);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, many_threads_store_clear_get_and_walk_at_once);
    tcase_add_test(threads, a_value_stored_while_somebody_subscribes_comes_by_the_walk_or_live_and_not_by_both);
    tcase_add_test(threads, threads_together_never_exceed_the_bounds);
    suite_add_tcase(suite, threads);
    return suite;
}

CHECK_MAIN(retained_suite)
