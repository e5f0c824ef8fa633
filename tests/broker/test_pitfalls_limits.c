/* Where brokers go wrong: sizes, windows, expiry in queues, what CONNACK announces, bounds of queues. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/stats.h"

/* --- Maximum Packet Size ------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(connack_larger_than_the_clients_maximum_packet_size_is_not_sent)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "packet_max:4"});
    tc_expect_closed(c); /* not even 5 bytes of CONNACK fit */
    c = tc_try_connect(h, (struct tc_options){.id = "", .properties = "packet_max:12"});
    tc_expect_closed(c); /* an assigned identifier that cannot be told is no use */
}

CONFORMANCE_TEST(maximum_packet_size_counts_the_whole_fixed_header)
{
    /* a Remaining Length of 128 takes two bytes: the packet is 131 bytes long, not 130 */
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "packet_max:130");
    tc_subscribe(c, "a", 0);
    char payload[125];
    memset(payload, 'x', sizeof(payload));
    payload[124] = '\0'; /* 3 topic, 1 properties: a body of 128 */
    tc_publish(p, "a", payload, 0);
    tc_expect_nothing(c);
    payload[123] = '\0';
    tc_publish(p, "a", payload, 0);
    tc_receive(c, "a", payload, 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(maximum_packet_size_counts_properties_that_the_broker_adds)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "packet_max:40");
    tc_subscribe_with(c, .filter = "a", .qos = 1, .id = 268435455); /* five bytes in each PUBLISH */
    tc_publish(p, "a", "12345678901234567890123456789", 1);
    tc_expect_nothing(c); /* 8 + 29 + 5 = 42 */
    tc_publish(p, "a", "123456789012345678901234567", 1);
    tc_receive(c, "a", "123456789012345678901234567", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(queued_message_too_large_for_the_next_connection_is_passed_over)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_hang_up(c);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        tc_publish(p, "a", "this one is too long for the connection to come", qos);
        tc_publish(p, "a", "short", qos);
    }
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 packet_max:40 receive_max:1");
    tc_receive(c, "a", "short", 1);
    tc_receive(c, "a", "short", 2);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(unacknowledged_message_too_large_for_the_next_connection_is_passed_over)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "this one is too long for the connection to come", 1);
    tc_publish(p, "a", "short", 1);
    tc_expect_publish(c, "a", "this one is too long for the connection to come", 1);
    tc_expect_publish(c, "a", "short", 1);
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 packet_max:40 receive_max:1");
    ck_assert(tc_receive(c, "a", "short", 1)->dup);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(retained_message_too_large_for_a_client_is_passed_over)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_retain(p, "r/a", "this one is too long for the connection to come", 1);
    tc_retain(p, "r/b", "short", 1);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "packet_max:40");
    tc_subscribe(c, "r/+", 1);
    tc_receive(c, "r/b", "short", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(packet_larger_than_announced_is_refused_with_0x95_before_it_is_complete)
{
    h->limits->packet_bytes = 1000;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(HAS(connack, MAXIMUM_PACKET_SIZE));
    ck_assert_uint_eq(connack->properties.maximum_packet_size, 1000);
    static uint8_t payload[1001];
    memset(payload, 'x', sizeof(payload));
    /* 3 fixed header, 3 topic, 1 properties */
    tc_publish_with(c, .topic = "a", .payload = (const char *)payload, .payload_len = 1000 - 7);
    tc_expect_alive(c);
    tc_send_spec(c, "30 e607"); /* announces 998 bytes: 1001 in all */
    tc_expect_refused(c, REASON_PACKET_TOO_LARGE);
}

/* --- Receive Maximum ---------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(sending_resumes_after_puback_pubcomp_and_pubrec_with_an_error)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    tc_publish(p, "a", "3", 2);
    tc_publish(p, "a", "4", 1);
    tc_publish(p, "a", "5", 1);
    tc_puback(c, tc_expect_publish(c, "a", "1", 1)->packet_id);
    uint16_t id = tc_expect_publish(c, "a", "2", 2)->packet_id;
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    tc_expect_nothing(c);
    tc_pubcomp(c, id);
    tc_send_ack(c, PACKET_PUBREC, tc_expect_publish(c, "a", "3", 2)->packet_id, REASON_QUOTA_EXCEEDED);
    tc_send_ack(c, PACKET_PUBACK, tc_expect_publish(c, "a", "4", 1)->packet_id, REASON_QUOTA_EXCEEDED);
    tc_receive(c, "a", "5", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(window_is_full_again_after_a_takeover)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    char payload[16];
    for (int i = 0; i < 6; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, (uint8_t)(1 + i % 2));
    }
    for (int round = 0; round < 3; round++) { /* nobody acknowledges; the client fails if too many come */
        c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 receive_max:2");
        ck_assert_uint_eq(tc_count(c), 2);
        tc_expect_publish(c, "a", "0", 1);
        tc_expect_publish(c, "a", "1", 2);
    }
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 receive_max:2");
    for (int i = 0; i < 6; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_receive(c, "a", payload, (uint8_t)(1 + i % 2));
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(brokers_own_limit_of_inflight_messages_bounds_a_generous_client)
{
    h->limits->inflight_messages = 5;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    for (int i = 0; i < 10; i++) {
        tc_publish(p, "a", "x", 1);
    }
    ck_assert_uint_eq(tc_count(c), 5);
    for (int i = 0; i < 10; i++) {
        tc_receive(c, "a", "x", 1);
    }
    tc_expect_nothing(c);
}

/* --- expiry in queues --------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(expired_head_of_the_queue_blocks_nothing)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "open", 1);
    uint16_t open = tc_expect_publish(c, "a", "open", 1)->packet_id;
    for (int i = 0; i < 50; i++) {
        tc_publish_with(p, .topic = "a", .payload = "late", .qos = (uint8_t)(1 + i % 2),
                        .properties = "message_expiry:3");
    }
    tc_publish(p, "a", "last", 2);
    harness_advance(h, 4000);
    tc_puback(c, open);
    tc_receive(c, "a", "last", 2);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(expiry_of_a_will_begins_when_it_is_published)
{
    struct tc *c = tc_connect_with(
        h, .id = "c", .properties = "session_expiry:100",
        .will = {.topic = "will", .payload = "bye", .retain = true, .properties = "will_delay:20 message_expiry:10"});
    harness_advance(h, 60000);
    tc_hang_up(c);
    harness_advance(h, 24000); /* published 4 s ago */
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "will", 0);
    const struct publish *will = tc_receive(w, "will", "bye", 0);
    ck_assert(HAS(will, MESSAGE_EXPIRY_INTERVAL));
    ck_assert_uint_eq(will->properties.message_expiry_interval_s, 6);
    ck_assert(!HAS(will, WILL_DELAY_INTERVAL));
    harness_advance(h, 7000);
    tc_subscribe(w, "will", 0);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(message_expiry_of_0_is_delivered_at_once_or_not_at_all)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a", .payload = "x", .qos = 1, .properties = "message_expiry:0");
    harness_advance(h, 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_expect_nothing(c);
    tc_expect_alive(c);
}

/* --- announced capabilities are enforced -------------------------------------------------------------------------------- */

CONFORMANCE_TEST(retained_message_without_retain_support_is_refused_with_0x9a)
{
    h->limits->retain_available = false;
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "#", 0);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = qos, .retain = true});
        tc_expect_refused(c, REASON_RETAIN_NOT_SUPPORTED);
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(publish_above_the_maximum_qos_is_refused_with_0x9b)
{
    h->limits->qos_max = 0;
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "#", 0);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
        ck_assert_uint_eq(tc_expect_connack(c, false, REASON_SUCCESS)->properties.maximum_qos, 0);
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = qos});
        tc_expect_refused(c, REASON_QOS_NOT_SUPPORTED);
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(session_expiry_above_the_limit_is_lowered_and_told)
{
    h->limits->session_expiry_s_max = 100;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "session_expiry:1000"});
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(HAS(connack, SESSION_EXPIRY_INTERVAL));
    ck_assert_uint_eq(connack->properties.session_expiry_interval_s, 100);
    tc_hang_up(c);
    harness_advance(h, 101000);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:50"});
    ck_assert(!HAS(tc_expect_connack(c, false, REASON_SUCCESS), SESSION_EXPIRY_INTERVAL));
}

/* --- bounds of queues --------------------------------------------------------------------------------------------------- */

/* Publish COUNT numbered messages for the absent client "c", let it come back, and expect FIRST to LAST. */
static void fill_queue(struct harness *h, int count, int first, int last)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    char payload[16];
    for (int i = 0; i < count; i++) {
        snprintf(payload, sizeof(payload), "%09d", i);
        tc_publish(p, "a", payload, 1);
    }
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    for (int i = first; i <= last; i++) {
        snprintf(payload, sizeof(payload), "%09d", i);
        tc_receive(c, "a", payload, 1);
    }
    tc_expect_nothing(c);
    tc_expect_alive(p);
}

CONFORMANCE_TEST(full_queue_drops_the_oldest_and_counts_them)
{
    h->limits->queued_messages = 10;
    fill_queue(h, 25, 15, 24);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_queue_full), 15);
}

CONFORMANCE_TEST(full_queue_drops_the_newest_if_told_so)
{
    h->limits->queued_messages = 10;
    h->limits->queue_full = QUEUE_DROP_NEWEST;
    fill_queue(h, 25, 0, 9);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_queue_full), 15);
}

CONFORMANCE_TEST(queue_is_bounded_in_bytes_too)
{
    h->limits->queued_bytes = 4096;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    char payload[1001];
    memset(payload, 'x', sizeof(payload) - 1);
    payload[1000] = '\0';
    for (int i = 0; i < 20; i++) {
        payload[0] = (char)('A' + i);
        tc_publish(p, "a", payload, 1);
    }
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    size_t count = tc_count(c);
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, 4);
    for (size_t i = 0; i < count; i++) {
        payload[0] = (char)('A' + 20 - count + i);
        tc_receive(c, "a", payload, 1);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(full_queue_refuses_the_publisher_if_told_so)
{
    h->limits->queued_messages = 3;
    h->limits->queue_full = QUEUE_REFUSE;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    int accepted = 0;
    for (int i = 0; i < 10; i++) {
        char payload[16];
        snprintf(payload, sizeof(payload), "%d", i);
        uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "a", .payload = payload, .qos = 1});
        const struct ack *ack = tc_expect_any_ack(p, PACKET_PUBACK, id);
        if (ack->reason_code < 0x80) {
            ck_assert_int_eq(accepted, i); /* none is accepted after one was refused */
            accepted++;
        } else {
            ck_assert_uint_eq(ack->reason_code, REASON_QUOTA_EXCEEDED);
        }
    }
    ck_assert_int_eq(accepted, 3);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_receive(c, "a", "0", 1);
    tc_receive(c, "a", "1", 1);
    tc_receive(c, "a", "2", 1);
    tc_expect_nothing(c);
    tc_publish(p, "a", "room again", 1);
    tc_receive(c, "a", "room again", 1);
}

CONFORMANCE_TEST(qos_0_is_queued_for_absent_clients_only_if_told_so)
{
    for (int round = 0; round < 2; round++) {
        struct tc *p = tc_connect(h, "p", MQTT_5_0);
        struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 1);
        tc_hang_up(c);
        tc_publish(p, "a", "qos 0", 0);
        tc_publish(p, "a", "qos 1", 1);
        c = tc_connect_persistent(h, "c", MQTT_5_0);
        if (round == 1) {
            tc_receive(c, "a", "qos 0", 0);
        }
        tc_receive(c, "a", "qos 1", 1);
        tc_expect_nothing(c);
        harness_restart(h);
        h->limits->queue_qos0 = true;
    }
}

CONFORMANCE_TEST(slow_reader_loses_qos_0_keeps_qos_1_and_holds_up_nobody)
{
    h->limits->output_bytes = 20000;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *slow = tc_connect(h, "slow", MQTT_5_0);
    struct tc *fast = tc_connect(h, "fast", MQTT_5_0);
    tc_subscribe(slow, "a", 1);
    tc_subscribe(fast, "a", 1);
    tc_set_room(slow, 100);
    char payload[1001];
    memset(payload, 'x', sizeof(payload) - 1);
    payload[1000] = '\0';
    for (int i = 0; i < 100; i++) {
        tc_publish(p, "a", payload, 0);
        tc_receive(fast, "a", payload, 0);
        if (i % 10 == 0) {
            tc_publish(p, "a", "important", 1);
            tc_receive(fast, "a", "important", 1);
        }
    }
    ck_assert_uint_gt(HARNESS_STAT(h, dropped_output_full), 50);
    tc_set_room(slow, SIZE_MAX);
    int important = 0;
    while (tc_count(slow) > 0) {
        const struct publish *publish = tc_expect_any_publish(slow);
        if (publish->qos == 1) {
            important++;
            tc_puback(slow, publish->packet_id);
        }
    }
    ck_assert_int_eq(important, 10);
    tc_expect_alive(slow);
}

CONFORMANCE_TEST(user_properties_beyond_the_limit_are_refused)
{
    h->limits->user_properties_max = 10;
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "a", 0);
    for (int count = 10; count <= 11; count++) {
        char properties[1024] = "";
        for (int i = 0; i < count; i++) {
            strcat(properties, "user:<k><v> ");
        }
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .properties = properties});
        if (count == 10) {
            tc_receive(w, "a", "x", 0);
            tc_expect_alive(c);
        } else {
            ck_assert(c->closed);
            tc_expect_nothing(w);
        }
    }
}

CONFORMANCE_TEST(subscriptions_beyond_the_limit_are_refused_with_0x97)
{
    h->limits->subscriptions_per_session = 3;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {} <a> 00 <b> 00 <c> 00 <d> 00}");
    tc_expect_suback(c, 1, "00 00 00 97");
    tc_send_spec(c, "82{0002 {} <a> 01}"); /* a replacement takes no more room */
    tc_expect_suback(c, 2, "01");
    tc_unsubscribe(c, "b");
    tc_subscribe(c, "d", 0);
}

CONFORMANCE_TEST(filters_and_topics_of_too_many_levels_are_refused)
{
    h->limits->filter_levels = 8;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "1/2/3/4/5/6/7/8", 0);
    tc_publish(c, "1/2/3/4/5/6/7/8", "x", 0);
    tc_receive(c, "1/2/3/4/5/6/7/8", "x", 0);
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "1/2/3/4/5/6/7/8/9", .payload = "x", .qos = 1});
    tc_expect_ack(c, PACKET_PUBACK, id, REASON_TOPIC_NAME_INVALID);
    id = tc_send_subscribe(c, (struct tc_subscription){.filter = "1/2/3/4/5/6/7/8/9"});
    tc_expect_suback(c, id, "8f");
    tc_expect_alive(c);
}

CONFORMANCE_TEST(sessions_beyond_the_limit_are_refused_and_counted)
{
    h->limits->sessions = 2;
    struct tc *a = tc_connect_persistent(h, "a", MQTT_5_0);
    struct tc *b = tc_connect(h, "b", MQTT_3_1_1);
    tc_hang_up(a); /* its session stays */
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    tc_expect_connack(c, false, REASON_QUOTA_EXCEEDED);
    tc_expect_closed(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1});
    tc_expect_connack(c, false, 3);
    tc_expect_closed(c);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions_refused), 2);
    ck_assert_uint_eq(HARNESS_STAT(h, connects_refused), 2);
    a = tc_connect_with(h, .id = "a", .resume = true, .properties = "session_expiry:60"); /* what is there is not new */
    tc_expect_alive(a);
    a = tc_connect_persistent(h, "a", MQTT_5_0); /* nor does a clean start take more room */
    tc_hang_up(b);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_expect_alive(c);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 2);
}

CONFORMANCE_TEST(subscriptions_beyond_the_limit_of_a_packet_are_refused_with_0x97)
{
    h->limits->subscriptions_per_packet = 2;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {} <a> 00 <b> 01 <c> 00}");
    tc_expect_suback(c, 1, "00 01 97");
    struct tc *old = tc_connect(h, "old", MQTT_3_1_1);
    tc_send_spec(old, "82{0001 <a> 00 <b> 01 <c> 00}");
    tc_expect_suback(old, 1, "00 01 80");
    tc_publish(c, "c", "x", 0);
    tc_expect_nothing(c);
    tc_expect_nothing(old);
    tc_unsubscribe(c, "a");
    tc_send_spec(c, "a2{0002 {} <1><2><3><4><5><6><7><8><9><10><11><12><13><14><15><b>}");
    tc_expect_unsuback(c, 2, "11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 00");
    tc_send_spec(c, "a2{0003 {} <1><2><3><4><5><6><7><8><9><10><11><12><13><14><15><16><17>}");
    tc_expect_refused(c, REASON_QUOTA_EXCEEDED);
}
