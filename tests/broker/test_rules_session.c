/* What goes along with a session, or ends with it, on its way between places and at the end of the server; what retained values, the
 * index and topic aliases promise beside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/core.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/stats.h"
#include "tests/broker/rules.h"
#include "tests/check_main.h"

static struct tc *watcher_at(struct harness *h, unsigned place, const char *filter)
{
    struct tc *c = tc_connect_at(h, place, "watcher", MQTT_5_0);
    tc_subscribe(c, filter, 1);
    return c;
}

/* --- wills -------------------------------------------------------------------------------------------------------------- */

/* A session for a minute with a will that is delayed by DELAY_S, at place 0. */
static struct tc *with_will(struct harness *h, const char *will_properties)
{
    return tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60",
                           .will = {.topic = "will", .payload = "w", .qos = 1, .properties = will_properties});
}

START_TEST(takes_a_delayed_will_back_when_the_client_returns_at_any_place)
{
    struct harness *h = harness_new(2);
    struct tc *watcher = watcher_at(h, 1, "will");
    struct tc *c = with_will(h, "will_delay:10");
    if (_i >= 2) { /* else it is taken over while it is connected */
        tc_hang_up(c);
    }
    harness_advance(h, 9000);
    c = tc_connect_persistent_at(h, (unsigned)_i % 2, "c", MQTT_5_0);
    harness_advance(h, 100000);
    tc_expect_nothing(watcher);
    tc_expect_alive(c);
    harness_free(h);
}
END_TEST

START_TEST(publishes_a_delayed_will_when_a_clean_start_ends_the_session_at_any_place)
{
    struct harness *h = harness_new(2);
    struct tc *watcher = watcher_at(h, 1, "will");
    struct tc *c = with_will(h, "will_delay:10");
    if (_i >= 2) {
        tc_hang_up(c);
    }
    (void)tc_connect_at(h, (unsigned)_i % 2, "c", MQTT_5_0);
    tc_receive(watcher, "will", "w", 1);
    harness_advance(h, 100000);
    tc_expect_nothing(watcher);
    harness_free(h);
}
END_TEST

START_TEST(publishes_an_undelayed_will_when_the_session_is_taken_over_at_any_place)
{
    struct harness *h = harness_new(2);
    struct tc *watcher = watcher_at(h, 1, "will");
    (void)with_will(h, NULL);
    (void)tc_connect_persistent_at(h, (unsigned)_i, "c", MQTT_5_0);
    tc_receive(watcher, "will", "w", 1);
    tc_expect_nothing(watcher);
    harness_free(h);
}
END_TEST

START_TEST(publishes_a_will_no_later_than_the_session_ends)
{
    struct harness *h = harness_new(1);
    struct tc *watcher = watcher_at(h, 0, "will");
    struct tc *c = with_will(h, "will_delay:1000");
    tc_hang_up(c);
    harness_advance(h, 59999);
    tc_expect_nothing(watcher);
    harness_advance(h, 2);
    tc_receive(watcher, "will", "w", 1);
    harness_advance(h, 2000000);
    tc_expect_nothing(watcher);
    harness_free(h);
}
END_TEST

START_TEST(lets_delay_and_expiry_run_on_at_another_place)
{
    struct harness *h = harness_new(2);
    struct tc *watcher = watcher_at(h, 0, "will");
    struct tc *c = with_will(h, "will_delay:10");
    tc_hang_up(c);
    harness_advance(h, 4000);
    struct tc *dying = tc_open(h, 1); /* it takes the session along, and never has it */
    const uint8_t connect[] = "\x10\x13\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\x0e\x10\x00\x01"
                              "c";
    tc_feed(dying, connect, sizeof(connect) - 1);
    tc_hang_up(dying);
    ck_assert_uint_eq(HARNESS_STAT(h, handovers), 1);
    harness_advance(h, 5999);
    tc_expect_nothing(watcher);
    harness_advance(h, 2);
    tc_receive(watcher, "will", "w", 1);
    harness_advance(h, 49990);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 2);
    harness_advance(h, 20);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 1);
    harness_free(h);
}
END_TEST

START_TEST(lets_the_expiry_of_a_will_count_from_its_publication)
{
    struct harness *h = harness_new(2);
    struct tc *watcher = watcher_at(h, 1, "will");
    struct tc *c = with_will(h, "will_delay:10 message_expiry:5");
    tc_hang_up(c);
    harness_advance(h, 10001);
    const struct publish *will = tc_receive(watcher, "will", "w", 1);
    ck_assert_uint_eq(will->properties.message_expiry_interval_s, 5);
    harness_free(h);
}
END_TEST

/* --- moving ------------------------------------------------------------------------------------------------------------- */

START_TEST(knows_elsewhere_which_qos2_messages_it_has_received)
{
    struct harness *h = harness_new(2);
    struct tc *watcher = watcher_at(h, 1, "t");
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    const struct tc_message message = {.topic = "t", .payload = "m", .qos = 2, .id = 7};
    tc_send_publish(c, message);
    tc_expect_pubrec(c, 7);
    c = tc_connect_persistent_at(h, 1, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "t", .payload = "m", .qos = 2, .id = 7, .dup = true});
    tc_expect_pubrec(c, 7);
    tc_receive(watcher, "t", "m", 1);
    tc_expect_nothing(watcher);
    tc_pubrel(c, 7);
    tc_expect_pubcomp(c, 7);
    harness_free(h);
}
END_TEST

START_TEST(leaves_no_interest_behind_where_a_session_was)
{
    struct harness *h = harness_new(2);
    struct tc *c = tc_connect_persistent_at(h, 1, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    const struct place *place = broker_place(h->broker, 0);
    feed_publish(publisher, (struct tc_message){.topic = "t", .payload = "m"});
    ck_assert_uint_eq(place->batches_open, 2); /* place 1 */
    c = tc_connect_persistent_at(h, 0, "c", MQTT_5_0);
    feed_publish(publisher, (struct tc_message){.topic = "t", .payload = "m"});
    ck_assert_uint_eq(place->batches_open, 0);
    harness_run(h);
    ck_assert_uint_ge(take_publishes(c), 1);
    harness_free(h);
}
END_TEST

START_TEST(tells_the_store_when_a_session_is_not_to_last_any_more)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert_uint_eq(h->store.submitted.puts[STORE_SESSIONS], 1);
    tc_send_spec(c, "e0 { 00 { session_expiry:0 } }");
    ck_assert_uint_eq(h->store.submitted.session_ends, 1);
    (void)tc_connect_persistent(h, "d", MQTT_5_0);
    (void)tc_connect_with(h, .id = "d", .resume = true); /* for as long as the connection */
    ck_assert_uint_eq(h->store.submitted.session_ends, 2);
    harness_free(h);
}
END_TEST

/* --- stopping ----------------------------------------------------------------------------------------------------------- */

START_TEST(acknowledges_what_it_has_taken_before_it_goes_down)
{
    struct harness *h = harness_new(1);
    struct tc *watcher = tc_connect_persistent(h, "watcher", MQTT_5_0);
    tc_subscribe(watcher, "t", 1);
    struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "w", .retain = true});
    struct tc *v3 = tc_connect(h, "v3", MQTT_3_1_1);
    h->store.is_held = true;
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "t", .payload = "m", .qos = 1});
    place_drain(harness_place(h, 0));
    ck_assert(c->paused); /* nothing more is read */
    harness_run(h);
    tc_expect_publish(watcher, "t", "m", 1);
    tc_expect_refused(watcher, 0x8B);
    tc_expect_closed(v3);
    tc_expect_nothing(c);
    ck_assert(!place_is_drained(broker_place(h->broker, 0)));
    struct tc *late = tc_open(h, 0);
    ck_assert(late->closed);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c, id);
    tc_expect_refused(c, 0x8B);
    ck_assert(place_is_drained(broker_place(h->broker, 0)));
    ck_assert_uint_eq(retained_count(h->broker->retained), 1); /* its will */
    harness_free(h);
}
END_TEST

/* --- the index ---------------------------------------------------------------------------------------------------------- */

START_TEST(forgets_no_other_routes_for_a_subscription)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "warm/topic", 0);
    tc_publish(c, "warm/topic", "m", 0);
    tc_expect_publish(c, "warm/topic", "m", 0);
    const struct place *place = broker_place(h->broker, 0);
    uint64_t epoch = route_cache_epoch(place->cache);
    unsigned kept = 0;
    for (int i = 0; i < 50; i++) { /* the stripe of a first level may be the same one: 1 in 256 */
        char filter[32];
        snprintf(filter, sizeof(filter), "cold%d/topic", i);
        tc_subscribe(c, filter, 0);
        tc_unsubscribe(c, filter);
        tc_publish(c, "warm/topic", "m", 0);
        tc_expect_publish(c, "warm/topic", "m", 0);
        kept += route_cache_epoch(place->cache) == epoch;
        epoch = route_cache_epoch(place->cache);
    }
    ck_assert_uint_ge(kept, 45);
    tc_subscribe(c, "+/other", 0); /* this one may concern any topic */
    tc_publish(c, "warm/topic", "m", 0);
    ck_assert_uint_ne(route_cache_epoch(place->cache), epoch);
    harness_free(h);
}
END_TEST

START_TEST(moves_no_generation_for_a_second_subscriber_of_the_same_place)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *d = tc_connect(h, "d", MQTT_5_0);
    tc_subscribe(c, "t/x", 0);
    struct index_stamp before = index_stamp(h->broker->index, bytes_from_string("t/x"));
    tc_subscribe(d, "t/x", 0);
    tc_unsubscribe(d, "t/x");
    struct index_stamp after = index_stamp(h->broker->index, bytes_from_string("t/x"));
    ck_assert_uint_eq(before.stripe, after.stripe);
    ck_assert_uint_eq(before.wild, after.wild);
    tc_unsubscribe(c, "t/x");
    after = index_stamp(h->broker->index, bytes_from_string("t/x"));
    ck_assert_uint_ne(before.stripe, after.stripe);
    harness_free(h);
}
END_TEST

START_TEST(inserts_nothing_for_topics_that_nobody_subscribes_to)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/+/x", 0);
    size_t bytes = index_bytes(h->broker->index);
    for (int i = 0; i < 500; i++) {
        char topic[32];
        snprintf(topic, sizeof(topic), "t/%d/y/%d", i, i);
        tc_publish(c, topic, "m", 1);
    }
    ck_assert_uint_eq(index_bytes(h->broker->index), bytes);
    harness_free(h);
}
END_TEST

/* --- retained values ---------------------------------------------------------------------------------------------------- */

enum { VALUES = 600 };

static void retain_number(struct tc *publisher, int topic_number, int value)
{
    char topic[16];
    char payload[16];
    snprintf(topic, sizeof(topic), "r/%d", topic_number);
    snprintf(payload, sizeof(payload), "%d", value);
    tc_retain(publisher, topic, payload, 1);
}

/* Take what has come; each topic's values must ascend. @return how many */
static size_t take_numbers(struct tc *c, int *last, bool acknowledge)
{
    size_t count = 0;
    while (tc_next_is(c, PACKET_PUBLISH)) {
        const struct publish *p = tc_expect_any_publish(c);
        char topic[16] = {0};
        char payload[16] = {0};
        memcpy(topic, p->topic.data, p->topic.len);
        memcpy(payload, p->payload.data, p->payload.len);
        int number = (int)strtol(topic + 2, NULL, 10);
        int value = (int)strtol(payload, NULL, 10);
        ck_assert_msg(value > last[number] || p->dup, "r/%d: %d came behind %d", number, value, last[number]);
        last[number] = value > last[number] ? value : last[number];
        count++;
        if (acknowledge && p->qos == 1) {
            tc_puback(c, p->packet_id);
        }
    }
    return count;
}

/* A walk that a blocked socket (QoS 0) or a small window (QoS 1) cuts into pieces, while values change at another place. */
START_TEST(sends_each_retained_value_once_while_it_changes_during_a_walk)
{
    uint8_t qos = (uint8_t)_i;
    struct harness *h = harness_new(2);
    h->limits->output_bytes = 2000;
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    for (int i = 0; i < VALUES; i++) {
        retain_number(publisher, i, 1);
    }
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:20");
    tc_set_room(c, 1500);
    tc_subscribe(c, "r/#", qos);
    int last[VALUES] = {0};
    for (int round = 0; round < 200; round++) {
        (void)take_numbers(c, last, true);
        if (round < 30) {
            retain_number(publisher, round * 17 % VALUES, 2);
        }
        tc_set_room(c, 1500);
    }
    tc_set_room(c, SIZE_MAX);
    while (take_numbers(c, last, true) > 0) {
    }
    size_t dropped = HARNESS_STAT(h, dropped_output_full); /* QoS 0 that came live for a blocked socket */
    size_t missing = 0;
    for (int i = 0; i < VALUES; i++) {
        bool has_changed = false;
        for (int round = 0; round < 30; round++) {
            has_changed |= round * 17 % VALUES == i;
        }
        ck_assert(last[i] >= 1 || qos == 0);
        missing += last[i] != (has_changed ? 2 : 1);
    }
    ck_assert_uint_eq(missing, dropped);
    ck_assert(qos == 0 || dropped == 0);
    harness_free(h);
}
END_TEST

START_TEST(sends_once_what_was_on_its_way_when_somebody_subscribed)
{
    struct harness *h = harness_new(2);
    struct tc *other = watcher_at(h, 0, "r"); /* for whose sake it is sent here */
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    feed_publish(publisher, (struct tc_message){.topic = "r", .payload = "v", .qos = 1, .id = 1, .retain = true});
    tc_subscribe(c, "r", 1);
    ck_assert(tc_receive(c, "r", "v", 1)->retain);
    tc_expect_nothing(c);
    ck_assert(!tc_receive(other, "r", "v", 1)->retain);
    feed_publish(publisher, (struct tc_message){.topic = "r", .payload = "w", .qos = 1, .id = 2, .retain = true});
    harness_run(h);
    ck_assert(!tc_receive(c, "r", "w", 1)->retain);
    tc_expect_nothing(c);
    harness_free(h);
}
END_TEST

START_TEST(goes_on_with_a_walk_at_another_place)
{
    struct harness *h = harness_new(2);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    for (int i = 0; i < VALUES; i++) {
        retain_number(publisher, i, 1);
    }
    struct tc *c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 receive_max:20");
    tc_subscribe(c, "r/#", 1);
    int last[VALUES] = {0};
    ck_assert_uint_eq(take_numbers(c, last, false), 20);
    tc_hang_up(c);
    retain_number(publisher, 5, 2);
    c = tc_connect_persistent_at(h, 1, "c", MQTT_5_0);
    while (take_numbers(c, last, true) > 0) {
    }
    for (int i = 0; i < VALUES; i++) {
        ck_assert_int_eq(last[i], i == 5 ? 2 : 1);
    }
    tc_expect_alive(c);
    harness_free(h);
}
END_TEST

/* --- topic aliases ------------------------------------------------------------------------------------------------------ */

START_TEST(uses_no_more_aliases_than_the_client_takes_and_forgets_them_with_the_connection)
{
    struct harness *h = harness_new(1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    for (int connection = 0; connection < 2; connection++) {
        struct tc *c = tc_connect_with(h, .id = "c", .properties = "alias_max:2");
        tc_subscribe(c, "topic/+", 1);
        for (int round = 0; round < 2; round++) {
            static const char *const topics[] = {"topic/1", "topic/2", "topic/3"};
            for (int i = 0; i < 3; i++) {
                tc_publish(publisher, topics[i], "m", (uint8_t)(round % 2));
                const struct publish *p = tc_receive(c, topics[i], "m", (uint8_t)(round % 2));
                ck_assert(properties_has(&p->properties, PROPERTY_TOPIC_ALIAS) == (i < 2));
            }
        }
        tc_hang_up(c);
    }
    harness_free(h);
}
END_TEST

START_TEST(keeps_the_aliases_of_one_connection_from_others)
{
    struct harness *h = harness_new(2);
    struct tc *c = tc_connect_at(h, 1, "c", MQTT_5_0);
    tc_subscribe(c, "#", 1);
    struct tc *a = tc_connect_persistent(h, "a", MQTT_5_0);
    struct tc *b = tc_connect(h, "b", MQTT_5_0);
    tc_publish_with(a, .topic = "a/topic", .payload = "m", .qos = 1, .properties = "alias:1");
    tc_publish_with(b, .topic = "b/topic", .payload = "m", .qos = 1, .properties = "alias:1");
    tc_publish_with(a, .topic = "", .payload = "again", .qos = 1, .properties = "alias:1");
    const struct publish *p = tc_receive(c, "a/topic", "m", 1);
    ck_assert(!properties_has(&p->properties, PROPERTY_TOPIC_ALIAS)); /* it is not passed on */
    tc_receive(c, "b/topic", "m", 1);
    tc_receive(c, "a/topic", "again", 1);
    tc_publish_with(a, .topic = "new/topic", .payload = "m", .qos = 1, .properties = "alias:1");
    tc_publish_with(a, .topic = "", .payload = "again", .qos = 1, .properties = "alias:1");
    tc_receive(c, "new/topic", "m", 1);
    tc_receive(c, "new/topic", "again", 1);
    tc_hang_up(a);
    a = tc_connect_persistent_at(h, 1, "a", MQTT_5_0);
    tc_send_publish(a, (struct tc_message){.topic = "", .payload = "m", .qos = 1, .properties = "alias:1"});
    tc_expect_refused(a, 0x82);
    tc_send_publish(b, (struct tc_message){.topic = "t", .payload = "m", .qos = 1, .properties = "alias:11"});
    tc_expect_refused(b, 0x94);
    harness_free(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rules_session");
    TCase *wills = tcase_create("wills");
    tcase_add_loop_test(wills, takes_a_delayed_will_back_when_the_client_returns_at_any_place, 0, 4);
    tcase_add_loop_test(wills, publishes_a_delayed_will_when_a_clean_start_ends_the_session_at_any_place, 0, 4);
    tcase_add_loop_test(wills, publishes_an_undelayed_will_when_the_session_is_taken_over_at_any_place, 0, 2);
    tcase_add_test(wills, publishes_a_will_no_later_than_the_session_ends);
    tcase_add_test(wills, lets_delay_and_expiry_run_on_at_another_place);
    tcase_add_test(wills, lets_the_expiry_of_a_will_count_from_its_publication);
    suite_add_tcase(s, wills);
    TCase *moving = tcase_create("moving");
    tcase_add_test(moving, knows_elsewhere_which_qos2_messages_it_has_received);
    tcase_add_test(moving, leaves_no_interest_behind_where_a_session_was);
    tcase_add_test(moving, tells_the_store_when_a_session_is_not_to_last_any_more);
    suite_add_tcase(s, moving);
    TCase *stopping = tcase_create("stopping");
    tcase_add_test(stopping, acknowledges_what_it_has_taken_before_it_goes_down);
    suite_add_tcase(s, stopping);
    TCase *index = tcase_create("index");
    tcase_add_test(index, forgets_no_other_routes_for_a_subscription);
    tcase_add_test(index, moves_no_generation_for_a_second_subscriber_of_the_same_place);
    tcase_add_test(index, inserts_nothing_for_topics_that_nobody_subscribes_to);
    suite_add_tcase(s, index);
    TCase *retained = tcase_create("retained");
    tcase_add_loop_test(retained, sends_each_retained_value_once_while_it_changes_during_a_walk, 0, 2);
    tcase_add_test(retained, sends_once_what_was_on_its_way_when_somebody_subscribed);
    tcase_add_test(retained, goes_on_with_a_walk_at_another_place);
    suite_add_tcase(s, retained);
    TCase *aliases = tcase_create("aliases");
    tcase_add_test(aliases, uses_no_more_aliases_than_the_client_takes_and_forgets_them_with_the_connection);
    tcase_add_test(aliases, keeps_the_aliases_of_one_connection_from_others);
    suite_add_tcase(s, aliases);
    return s;
}

CHECK_MAIN(suite)
