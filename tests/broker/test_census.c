/* Lists of sessions and subscriptions, gathered from four places. */
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/census.h"
#include "gateway/broker/directory.h"
#include "tests/broker/harness.h"
#include "tests/broker/test_client.h"
#include "tests/check_main.h"

enum { PLACES = 4, CLIENTS = 40 };

struct list {
    struct census *census;
    size_t entries;
    size_t connected;
    size_t parts;
    size_t queued;
    bool seen[CLIENTS];
    bool is_complete;
    bool stops_early; /* free the census in the middle */
    uint32_t stopped; /* where it would have gone on */
};

static void on_entry(void *owner, const struct census_entry *entry)
{
    struct list *list = owner;
    char id[16] = {0};
    ck_assert_uint_lt(entry->client_id.len, sizeof(id));
    memcpy(id, entry->client_id.data, entry->client_id.len);
    unsigned long number = strtoul(id + 1, NULL, 10);
    ck_assert_uint_lt(number, CLIENTS);
    list->entries++;
    list->connected += entry->is_connected;
    list->queued += entry->queued_messages;
    list->seen[number] = true;
    if (entry->filter.len > 0) {
        ck_assert_uint_eq(entry->qos, 1);
        ck_assert(entry->filter.len == 3 && memcmp(entry->filter.data, "a/#", 3) == 0);
    } else if (entry->is_connected) {
        ck_assert_ptr_nonnull(entry->transport);
        ck_assert_uint_gt(entry->peer.len, 0);
    }
}

static void on_part(void *owner, bool is_complete, bool failed)
{
    struct list *list = owner;
    ck_assert(!failed);
    list->parts++;
    list->is_complete = is_complete;
    if (list->stops_early && list->parts == 3) {
        list->stopped = census_part(list->census);
        census_free(list->census);
        list->census = NULL;
    } else if (!is_complete) {
        census_continue(list->census);
    }
}

static const struct census_ops ops = {on_entry, on_part};

static struct harness *forty_clients(void)
{
    struct harness *h = harness_new(PLACES);
    static char ids[CLIENTS][16];
    for (unsigned i = 0; i < CLIENTS; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "c%u", i);
        struct tc *c = tc_connect_persistent_at(h, i % PLACES, ids[i], MQTT_5_0);
        tc_subscribe(c, "a/#", 1);
        if (i % 2 == 1) {
            tc_disconnect(c);
        }
    }
    return h;
}

START_TEST(lists_every_session_of_every_place_once)
{
    struct harness *h = forty_clients();
    struct tc *publisher = tc_connect_at(h, 0, "c0", MQTT_5_0); /* takes c0 over, without its session */
    tc_publish(publisher, "a/b", "x", 1);
    struct list list = {0};
    list.census = census_start(harness_place(h, 1), CENSUS_SESSIONS, 0, &ops, &list);
    ck_assert_ptr_nonnull(list.census);
    harness_run(h);
    ck_assert(list.is_complete);
    ck_assert_uint_eq(list.entries, CLIENTS);
    ck_assert_uint_eq(list.connected, CLIENTS / 2);
    ck_assert_uint_eq(list.queued, CLIENTS / 2);
    census_free(list.census);
    harness_free(h);
}
END_TEST

START_TEST(lists_every_subscription)
{
    struct harness *h = forty_clients();
    struct list list = {0};
    list.census = census_start(harness_place(h, 2), CENSUS_SUBSCRIPTIONS, 0, &ops, &list);
    harness_run(h);
    ck_assert(list.is_complete);
    ck_assert_uint_eq(list.entries, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ck_assert(list.seen[i]);
    }
    census_free(list.census);
    harness_free(h);
}
END_TEST

START_TEST(goes_on_where_a_list_was_left)
{
    struct harness *h = forty_clients();
    struct list first = {.stops_early = true};
    first.census = census_start(harness_place(h, 0), CENSUS_SESSIONS, 0, &ops, &first);
    harness_run(h);
    ck_assert_ptr_null(first.census);
    ck_assert_uint_eq(first.parts, 3);
    struct list rest = {0};
    rest.census = census_start(harness_place(h, 0), CENSUS_SESSIONS, first.stopped, &ops, &rest);
    harness_run(h);
    ck_assert(rest.is_complete);
    ck_assert_uint_eq(first.entries + rest.entries, CLIENTS);
    census_free(rest.census);
    harness_free(h);
}
END_TEST

START_TEST(may_be_ended_while_it_is_away)
{
    struct harness *h = forty_clients();
    struct list list = {0};
    list.census = census_start(harness_place(h, 0), CENSUS_SESSIONS, 0, &ops, &list);
    census_free(list.census);
    harness_run(h);
    ck_assert_uint_eq(list.entries, 0);
    harness_free(h);
}
END_TEST

/* What was told last, kept beyond the callback. */
struct kept {
    struct census *census;
    struct census_entry entry;
    size_t entries;
    size_t parts;
    bool is_complete;
};

static void keep_entry(void *owner, const struct census_entry *entry)
{
    struct kept *kept = owner;
    kept->entry = *entry;
    kept->entries++;
}

static void keep_part(void *owner, bool is_complete, bool failed)
{
    struct kept *kept = owner;
    ck_assert(!failed);
    kept->parts++;
    kept->is_complete = is_complete;
    if (!is_complete && kept->entries == 0) {
        census_continue(kept->census);
    }
}

static const struct census_ops keep_ops = {keep_entry, keep_part};

START_TEST(finds_one_session_whichever_place_has_it)
{
    static const char *const ids[] = {"c1", "c6", "c11", "c16"}; /* of four places */
    struct harness *h = forty_clients();
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct kept kept = {0};
        kept.census = census_find(harness_place(h, 2), CENSUS_SESSIONS, bytes_from_string(ids[i]), &keep_ops, &kept);
        harness_run(h);
        ck_assert_uint_eq(kept.entries, 1);
        ck_assert(bytes_equal(kept.entry.client_id, bytes_from_string(ids[i]))); /* still valid */
        ck_assert_uint_eq(kept.entry.subscriptions, 1);
        census_free(kept.census);
    }
    harness_free(h);
}
END_TEST

START_TEST(looks_at_every_place_for_a_session_that_is_not_there)
{
    struct harness *h = forty_clients();
    struct kept kept = {0};
    kept.census = census_find(harness_place(h, 0), CENSUS_SESSIONS, bytes_from_string("nobody"), &keep_ops, &kept);
    harness_run(h);
    ck_assert_uint_eq(kept.entries, 0);
    ck_assert_uint_eq(kept.parts, PLACES);
    ck_assert(kept.is_complete);
    census_free(kept.census);
    harness_free(h);
}
END_TEST

START_TEST(keys_stay_and_tell_subscriptions_apart)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect(h, "c0", MQTT_5_0);
    tc_subscribe(c, "a/#", 1);
    uint64_t first = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct kept kept = {0};
        kept.census = census_find(harness_place(h, 0), CENSUS_SUBSCRIPTIONS, bytes_from_string("c0"), &keep_ops, &kept);
        harness_run(h);
        ck_assert_uint_eq(kept.entries, 1);
        ck_assert(i == 0 || (kept.entry.key == first) == (i == 1));
        first = kept.entry.key;
        census_free(kept.census);
        if (i == 1) {
            tc_unsubscribe(c, "a/#");
            tc_subscribe(c, "a/b", 1);
        }
    }
    harness_free(h);
}
END_TEST

/* How many entries came before each on_part(). */
struct portions {
    struct census *census;
    size_t now;
    size_t most;
    size_t all;
};

static void count_entry(void *owner, const struct census_entry *entry)
{
    struct portions *portions = owner;
    (void)entry;
    portions->now++;
}

static void count_part(void *owner, bool is_complete, bool failed)
{
    struct portions *portions = owner;
    ck_assert(!failed);
    portions->all += portions->now;
    portions->most = portions->now > portions->most ? portions->now : portions->most;
    portions->now = 0;
    if (!is_complete) {
        census_continue(portions->census);
    }
}

static const struct census_ops count_ops = {count_entry, count_part};

START_TEST(asks_a_place_for_some_hundreds_at_a_time)
{
    enum { MANY = 2000 };
    struct harness *h = harness_new(1);
    for (unsigned i = 0; i < MANY; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "m%u", i);
        tc_disconnect(tc_connect_persistent(h, id, MQTT_5_0));
    }
    struct portions portions = {0};
    portions.census = census_start(harness_place(h, 0), CENSUS_SESSIONS, 0, &count_ops, &portions);
    harness_run(h);
    ck_assert_uint_eq(portions.all, MANY);
    ck_assert_uint_le(portions.most, 600);
    census_free(portions.census);
    harness_free(h);
}
END_TEST

START_TEST(ends_behind_any_part_that_a_list_never_had)
{
    static const uint32_t parts[] = {DIRECTORY_PARTS * PLACES, DIRECTORY_PARTS * PLACES + 1, UINT32_MAX - 1,
                                     UINT32_MAX};
    struct harness *h = forty_clients();
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct list list = {0};
        list.census = census_start(harness_place(h, 0), CENSUS_SESSIONS, parts[i], &ops, &list);
        harness_run(h);
        ck_assert(list.is_complete);
        ck_assert_uint_eq(list.entries, 0);
        census_free(list.census);
    }
    harness_free(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("census");
    TCase *tc = tcase_create("lists");
    tcase_add_test(tc, lists_every_session_of_every_place_once);
    tcase_add_test(tc, lists_every_subscription);
    tcase_add_test(tc, goes_on_where_a_list_was_left);
    tcase_add_test(tc, may_be_ended_while_it_is_away);
    tcase_add_test(tc, finds_one_session_whichever_place_has_it);
    tcase_add_test(tc, looks_at_every_place_for_a_session_that_is_not_there);
    tcase_add_test(tc, keys_stay_and_tell_subscriptions_apart);
    tcase_add_test(tc, asks_a_place_for_some_hundreds_at_a_time);
    tcase_add_test(tc, ends_behind_any_part_that_a_list_never_had);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
