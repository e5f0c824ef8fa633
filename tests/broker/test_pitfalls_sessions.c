/* Where brokers go wrong: wills, redelivery, session expiry, takeover, offline queues. */
#include "tests/conformance/conformance.h"

#include <stdio.h>

#include "gateway/broker/stats.h"

static struct tc *watcher(struct harness *h)
{
    struct tc *w = tc_connect(h, "watcher", MQTT_5_0);
    tc_subscribe(w, "will", 0);
    return w;
}

/* --- wills -------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(expiry_set_to_0_in_disconnect_with_will_publishes_it_at_once)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:100",
                                   .will = {.topic = "will", .payload = "bye", .properties = "will_delay:50"});
    tc_send_spec(c, "e0{04 {session_expiry:0}}");
    tc_hang_up(c);
    tc_receive(w, "will", "bye", 0);
    harness_advance(h, 200000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(will_delay_of_0xffffffff_ends_with_the_session)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:100",
                                   .will = {.topic = "will", .payload = "bye", .properties = "will_delay:4294967295"});
    tc_hang_up(c);
    harness_advance(h, 99900);
    tc_expect_nothing(w);
    harness_advance(h, 200);
    tc_receive(w, "will", "bye", 0);
}

CONFORMANCE_TEST(will_of_the_new_connection_replaces_the_old_one)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:100",
                                   .will = {.topic = "will", .payload = "old", .properties = "will_delay:10"});
    tc_hang_up(c);
    harness_advance(h, 5000);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:100",
                        .will = {.topic = "will", .payload = "new", .properties = "will_delay:1"});
    harness_advance(h, 20000);
    tc_hang_up(c);
    harness_advance(h, 1100);
    tc_receive(w, "will", "new", 0);
    harness_advance(h, 200000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(will_on_keep_alive_timeout_waits_for_its_delay)
{
    struct tc *w = watcher(h);
    tc_connect_with(h, .id = "c", .keep_alive_s = 10, .properties = "session_expiry:100",
                    .will = {.topic = "will", .payload = "bye", .properties = "will_delay:20"});
    harness_advance(h, 34000);
    tc_expect_nothing(w);
    harness_advance(h, 2500);
    tc_receive(w, "will", "bye", 0);
}

CONFORMANCE_TEST(will_that_may_not_be_published_any_more_is_not)
{
    h->has_rules = true;
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "bye"});
    h->access.unwritable = "will";
    tc_hang_up(c);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(will_that_may_not_be_published_refuses_the_connection)
{
    h->has_rules = true;
    h->access.unwritable = "will";
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .will = {.topic = "will", .payload = "bye"}});
    tc_expect_connack(c, false, REASON_NOT_AUTHORIZED);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(refused_connect_publishes_no_will)
{
    struct tc *w = watcher(h);
    h->access.refusal = REASON_NOT_AUTHORIZED;
    tc_try_connect(h, (struct tc_options){.id = "c", .will = {.topic = "will", .payload = "bye"}});
    h->access.refusal = 0;
    struct tc *c = tc_try_connect(
        h, (struct tc_options){.id = "d", .properties = "packet_max:4", .will = {.topic = "will", .payload = "bye"}});
    tc_expect_closed(c);
    harness_advance(h, 100000);
    tc_expect_nothing(w);
}

/* --- redelivery --------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(redelivery_keeps_order_ids_and_states_of_a_mixed_window)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    enum { COUNT = 12 };
    uint16_t ids[COUNT];
    char payload[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, (uint8_t)(1 + i % 2));
        ids[i] = tc_expect_publish(c, "a", payload, (uint8_t)(1 + i % 2))->packet_id;
    }
    /* 0 mod 4: untouched; 1: PUBREC; 2: acknowledged; 3: finished */
    for (int i = COUNT - 1; i >= 0; i--) {
        if (i % 4 == 1 || i % 4 == 3) {
            tc_pubrec(c, ids[i]);
            tc_expect_pubrel(c, ids[i]);
        }
        if (i % 4 == 3) {
            tc_pubcomp(c, ids[i]);
        } else if (i % 4 == 2) {
            tc_puback(c, ids[i]);
        }
    }
    tc_hang_up(c);
    tc_publish(p, "a", "queued", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        if (i % 4 == 0) {
            const struct publish *again = tc_expect_publish(c, "a", payload, 1);
            ck_assert(again->dup);
            ck_assert_uint_eq(again->packet_id, ids[i]);
        } else if (i % 4 == 1) {
            tc_expect_pubrel(c, ids[i]);
        }
    }
    ck_assert(!tc_receive(c, "a", "queued", 1)->dup);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(qos_2_ids_received_are_remembered_over_a_disconnect)
{
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "a", 0);
    struct tc *p = tc_connect_persistent(h, "p", MQTT_5_0);
    for (uint16_t id = 1; id <= 5; id++) {
        tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = id});
        tc_expect_pubrec(p, id);
        tc_receive(w, "a", "x", 0);
    }
    tc_pubrel(p, 3);
    tc_expect_pubcomp(p, 3);
    tc_hang_up(p);
    p = tc_connect_persistent(h, "p", MQTT_5_0);
    for (uint16_t id = 1; id <= 5; id++) {
        tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = id, .dup = true});
        tc_expect_pubrec(p, id);
        if (id == 3) { /* released: a new message */
            tc_receive(w, "a", "x", 0);
        }
        tc_expect_nothing(w);
    }
    tc_hang_up(p);
    p = tc_connect(h, "p", MQTT_5_0); /* clean start forgets them */
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "y", .qos = 2, .id = 1});
    tc_expect_pubrec(p, 1);
    tc_receive(w, "a", "y", 0);
}

/* --- session expiry ----------------------------------------------------------------------------------------------------- */

static bool is_present(struct harness *h, const char *id)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = id, .resume = true});
    ck_assert_ptr_nonnull(c->all);
    bool present = (tc_last_bytes(c)[2] & 1) != 0;
    tc_expect_connack(c, present, REASON_SUCCESS);
    return present;
}

CONFORMANCE_TEST(session_lasts_exactly_as_long_as_it_said)
{
    tc_hang_up(tc_connect_with(h, .id = "zero"));
    tc_hang_up(tc_connect_with(h, .id = "explicit zero", .properties = "session_expiry:0"));
    tc_hang_up(tc_connect_with(h, .id = "ten", .properties = "session_expiry:10"));
    tc_hang_up(tc_connect_with(h, .id = "ten too", .properties = "session_expiry:10"));
    ck_assert(!is_present(h, "zero"));
    ck_assert(!is_present(h, "explicit zero"));
    harness_advance(h, 9900);
    ck_assert(is_present(h, "ten"));
    harness_advance(h, 200);
    ck_assert(!is_present(h, "ten too"));
}

CONFORMANCE_TEST(expiry_counts_from_the_end_of_the_connection)
{
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:10");
    harness_advance(h, 1000000);
    tc_hang_up(c);
    harness_advance(h, 9900);
    ck_assert(is_present(h, "c"));
}

CONFORMANCE_TEST(disconnect_changes_the_session_expiry)
{
    struct tc *c = tc_connect_with(h, .id = "longer", .properties = "session_expiry:10");
    tc_send_spec(c, "e0{00 {session_expiry:1000}}");
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "shorter", .properties = "session_expiry:1000");
    tc_send_spec(c, "e0{00 {session_expiry:10}}");
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "none", .properties = "session_expiry:1000");
    tc_send_spec(c, "e0{00 {session_expiry:0}}");
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "for ever", .properties = "session_expiry:10");
    tc_send_spec(c, "e0{00 {session_expiry:4294967295}}");
    tc_hang_up(c);
    ck_assert(!is_present(h, "none"));
    harness_advance(h, 11000);
    ck_assert(is_present(h, "longer"));
    ck_assert(!is_present(h, "shorter"));
    harness_advance(h, 100000000);
    ck_assert(is_present(h, "for ever"));
}

CONFORMANCE_TEST(session_without_expiry_cannot_get_one_in_disconnect)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "e0{00 {session_expiry:10}}");
    ck_assert(c->closed);
    if (tc_count(c) > 0) {
        tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    }
    ck_assert(!is_present(h, "c"));
}

CONFORMANCE_TEST(session_present_says_no_after_clean_start_with_expiry)
{
    tc_hang_up(tc_connect_persistent(h, "c", MQTT_5_0));
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "session_expiry:100"});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_hang_up(c);
    ck_assert(is_present(h, "c"));
}

CONFORMANCE_TEST(expired_sessions_leave_nothing_behind)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "c%d", i);
        struct tc *c = tc_connect_with(h, .id = id, .properties = "session_expiry:10");
        tc_subscribe(c, "a/+", 1);
        tc_subscribe(c, "$share/g/a/#", 1);
        tc_hang_up(c);
    }
    tc_publish(p, "a/b", "x", 1);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 21);
    ck_assert_uint_gt(HARNESS_STAT(h, queued_messages), 0);
    harness_advance(h, 11000);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 1);
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, shared_subscriptions), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, queued_messages), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, queued_bytes), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions_expired), 20);
}

/* --- takeover ----------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(takeover_closes_a_3_1_1_client_without_a_packet)
{
    struct tc *old = tc_connect(h, "c", MQTT_3_1_1);
    struct tc *new = tc_connect(h, "c", MQTT_5_0);
    tc_expect_closed(old);
    struct tc *newer = tc_connect(h, "c", MQTT_3_1_1);
    tc_expect_refused(new, REASON_SESSION_TAKEN_OVER);
    tc_expect_alive(newer);
}

CONFORMANCE_TEST(takeover_loses_and_doubles_nothing)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    char payload[16];
    int next = 0; /* next message that the client has not finished */
    for (int i = 0; i < 60; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, (uint8_t)(1 + i % 2));
        if (i % 3 == 2) {
            struct tc *new = tc_connect_persistent(h, "c", MQTT_5_0);
            ck_assert(c->closed);
            c = new;
            for (; next <= i - 2; next++) {
                snprintf(payload, sizeof(payload), "%d", next);
                tc_receive(c, "a", payload, (uint8_t)(1 + next % 2));
            }
        }
    }
    for (; next < 60; next++) {
        snprintf(payload, sizeof(payload), "%d", next);
        tc_receive(c, "a", payload, (uint8_t)(1 + next % 2));
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(transport_that_closes_late_does_not_end_the_new_connection)
{
    h->closes_late = true;
    struct tc *old = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_set_room(old, 0); /* its DISCONNECT does not leave, so it stays for long */
    struct tc *new = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_expect_closed(old);
    tc_subscribe(new, "a", 1);
    tc_hang_up(old);
    tc_publish(new, "a", "x", 0);
    tc_receive(new, "a", "x", 0);
    tc_expect_alive(new);
}

CONFORMANCE_TEST(connection_lost_while_its_connect_is_decided_leaves_nothing)
{
    h->access.is_held = true;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "session_expiry:100"});
    ck_assert_ptr_nonnull(h->access.waiting);
    tc_hang_up(c);
    ck_assert_ptr_null(h->access.waiting);
    ck_assert_uint_eq(h->access.cancelled, 1);
    h->access.is_held = false;
    ck_assert(!is_present(h, "c"));
}

CONFORMANCE_TEST(connack_waits_until_a_persistent_session_is_stored)
{
    harness_start(h);
    h->store.is_held = true;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "session_expiry:100"});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_connack(c, false, REASON_SUCCESS);
}

/* --- offline queue ------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(offline_queue_keeps_order_over_qos_and_topics)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a/#", 2);
    tc_hang_up(c);
    char payload[16];
    char topic[16];
    for (int i = 0; i < 200; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        snprintf(topic, sizeof(topic), "a/%d", i % 7);
        tc_publish(p, topic, payload, (uint8_t)(1 + i % 2));
    }
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 receive_max:7");
    for (int i = 0; i < 200; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        snprintf(topic, sizeof(topic), "a/%d", i % 7);
        tc_receive(c, topic, payload, (uint8_t)(1 + i % 2));
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(session_of_another_user_is_not_handed_over)
{
    h->has_rules = true;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .user_name = "alice", .properties = "session_expiry:100");
    tc_subscribe(c, "private", 1);
    tc_hang_up(c);
    tc_publish(p, "private", "for alice", 1);
    c = tc_try_connect(
        h, (struct tc_options){.id = "c", .user_name = "mallory", .resume = true, .properties = "session_expiry:100"});
    tc_expect_connack(c, false, REASON_SUCCESS); /* a session of its own */
    tc_publish(p, "private", "for alice", 1);
    tc_expect_nothing(c);
    tc_hang_up(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .user_name = "mallory", .resume = true});
    tc_expect_connack(c, true, REASON_SUCCESS);
}
