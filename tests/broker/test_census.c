/* Lists of sessions and subscriptions, gathered from four places. */
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/census.h"
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
    rest.census = census_start(harness_place(h, 0), CENSUS_SESSIONS, 3, &ops, &rest);
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

static Suite *suite(void)
{
    Suite *s = suite_create("census");
    TCase *tc = tcase_create("lists");
    tcase_add_test(tc, lists_every_session_of_every_place_once);
    tcase_add_test(tc, lists_every_subscription);
    tcase_add_test(tc, goes_on_where_a_list_was_left);
    tcase_add_test(tc, may_be_ended_while_it_is_away);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
