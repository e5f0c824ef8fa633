/* MQTT 5.0, 4.9: Receive Maximum, in both directions. */
#include "tests/conformance/conformance.h"

#include <stdio.h>

static void publish_many(struct tc *p, unsigned count, uint8_t qos)
{
    for (unsigned i = 0; i < count; i++) {
        tc_publish(p, "a", "x", qos);
    }
}

/* How many messages C has been sent and not looked at; all of QOS. The ids are stored from IDS on. */
static unsigned take(struct tc *c, uint8_t qos, uint16_t *ids)
{
    unsigned count = 0;
    while (tc_next_type(c) == PACKET_PUBLISH) {
        ids[count++] = tc_expect_publish(c, "a", "x", qos)->packet_id;
    }
    return count;
}

/* --- the server as sender ---------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_9_0_1_sends_up_to_the_receive_maximum_and_no_more)
{
    static const unsigned maxima[] = {1, 2, 7, 50};
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        for (uint8_t qos = 1; qos <= 2; qos++) {
            char properties[32];
            snprintf(properties, sizeof(properties), "receive_max:%u", maxima[i]);
            struct tc *c = tc_connect_with(h, .id = "c", .properties = properties);
            tc_subscribe(c, "a", qos);
            publish_many(p, 60, qos);
            uint16_t ids[60];
            ck_assert_uint_eq(take(c, qos, ids), maxima[i]);
            tc_disconnect(c);
        }
    }
}

CONFORMANCE_TEST(mqtt_4_9_0_1_without_a_receive_maximum_it_is_65535)
{
    h->limits->inflight_messages = 65535;
    h->limits->queued_messages = 10;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    publish_many(p, 2000, 1);
    static uint16_t ids[2000];
    ck_assert_uint_eq(take(c, 1, ids), 2000);
}

CONFORMANCE_TEST(mqtt_4_9_0_1_receive_maximum_of_0_is_a_protocol_error)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "receive_max:0"});
    tc_expect_connack(c, false, REASON_PROTOCOL_ERROR);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_4_9_0_2_quota_returns_by_puback_pubcomp_and_pubrec_with_an_error)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:2");
    uint16_t ids[8];
    tc_subscribe(c, "a", 2);
    publish_many(p, 8, 2);
    ck_assert_uint_eq(take(c, 2, ids), 2);
    tc_pubrec(c, ids[0]);
    tc_expect_pubrel(c, ids[0]);
    tc_expect_nothing(c); /* PUBREC that says success returns nothing */
    tc_pubcomp(c, ids[0]);
    ck_assert_uint_eq(take(c, 2, ids + 2), 1);
    tc_send_ack(c, PACKET_PUBREC, ids[1], REASON_QUOTA_EXCEEDED);
    ck_assert_uint_eq(take(c, 2, ids + 3), 1);
    tc_pubcomp(c, 999); /* for nothing: returns nothing */
    tc_expect_nothing(c);
    struct tc *d = tc_connect_with(h, .id = "d", .properties = "receive_max:2");
    tc_subscribe(d, "a", 1);
    publish_many(p, 5, 1);
    ck_assert_uint_eq(take(d, 1, ids), 2);
    tc_puback(d, ids[1]); /* in any order */
    ck_assert_uint_eq(take(d, 1, ids + 2), 1);
    tc_send_ack(d, PACKET_PUBACK, ids[0], REASON_UNSPECIFIED_ERROR);
    ck_assert_uint_eq(take(d, 1, ids + 3), 1);
}

CONFORMANCE_TEST(mqtt_4_9_0_2_qos_0_needs_no_quota)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    tc_subscribe(c, "a", 1);
    publish_many(p, 2, 1);
    uint16_t ids[2];
    ck_assert_uint_eq(take(c, 1, ids), 1);
    for (int i = 0; i < 5; i++) {
        tc_publish(p, "a", "y", 0);
        tc_receive(c, "a", "y", 0);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_9_0_3_all_else_goes_on_at_zero_quota)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    tc_subscribe(c, "a", 2);
    publish_many(p, 3, 2);
    uint16_t ids[3];
    ck_assert_uint_eq(take(c, 2, ids), 1);
    tc_expect_alive(c);
    tc_subscribe(c, "b", 1);
    tc_unsubscribe(c, "b");
    tc_publish(c, "c", "x", 1);
    tc_publish(c, "c", "x", 2);
    tc_pubrec(c, ids[0]);
    tc_expect_pubrel(c, ids[0]);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_4_9_0_2_quota_begins_anew_with_each_connection)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 receive_max:4");
    tc_subscribe(c, "a", 1);
    publish_many(p, 10, 1);
    uint16_t ids[10];
    ck_assert_uint_eq(take(c, 1, ids), 4);
    tc_hang_up(c);
    /* less than what is to be repeated */
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 receive_max:2");
    unsigned sum = 0;
    for (unsigned count = take(c, 1, ids); count > 0; count = take(c, 1, ids)) {
        ck_assert_uint_le(count, 2);
        sum += count;
        for (unsigned i = 0; i < count; i++) {
            tc_puback(c, ids[i]);
        }
    }
    ck_assert_uint_eq(sum, 10);
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60"); /* more */
    publish_many(p, 20, 1);
    static uint16_t more[20];
    ck_assert_uint_eq(take(c, 1, more), 20);
}

CONFORMANCE_TEST(mqtt_4_9_0_3_pubrels_are_repeated_at_zero_quota)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    publish_many(p, 4, 2);
    uint16_t ids[4];
    ck_assert_uint_eq(take(c, 2, ids), 4);
    tc_pubrec(c, ids[3]);
    tc_expect_pubrel(c, ids[3]);
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:3600 receive_max:1");
    /* one PUBLISH uses all the quota; the PUBREL must not wait for the three PUBLISHes before it */
    bool has_pubrel = tc_next_type(c) == PACKET_PUBREL;
    if (has_pubrel) {
        tc_expect_pubrel(c, ids[3]);
    }
    ck_assert_uint_eq(tc_expect_publish(c, "a", "x", 2)->packet_id, ids[0]);
    if (!has_pubrel) {
        tc_expect_pubrel(c, ids[3]);
    }
    tc_expect_nothing(c);
    tc_pubcomp(c, ids[3]);
    for (int i = 0; i < 3; i++) {
        tc_pubrec(c, ids[i]);
        tc_expect_pubrel(c, ids[i]);
        tc_pubcomp(c, ids[i]);
        if (i < 2) {
            ck_assert_uint_eq(tc_expect_publish(c, "a", "x", 2)->packet_id, ids[i + 1]);
        }
        tc_expect_nothing(c);
    }
    publish_many(p, 1, 2);
    tc_receive(c, "a", "x", 2);
}

/* --- the server as receiver ------------------------------------------------------------------------------------------------------------ */

/* Send COUNT messages of QOS with ids from FROM on, in one segment. */
static void send_from(struct tc *c, unsigned from, unsigned count, uint8_t qos)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned id = from + i;
        const uint8_t publish[] = {(uint8_t)(0x30 | qos << 1), 7, 0, 1, 'a', (uint8_t)(id >> 8), (uint8_t)id, 0, 'x'};
        tc_feed(c, publish, sizeof(publish));
    }
    harness_run(c->h);
}

static void expect_from(struct tc *c, enum packet_type type, unsigned from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        TC_AT(tc_expect_success_(c, type, (uint16_t)(from + i)));
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_9_0_1_announced_receive_maximum_may_be_used_up)
{
    h->limits->inflight_messages = 10;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    ck_assert_uint_eq(tc_expect_connack(c, false, REASON_SUCCESS)->properties.receive_maximum, 10);
    send_from(c, 1, 10, 2);
    expect_from(c, PACKET_PUBREC, 1, 10);
    tc_pubrel(c, 5);
    tc_expect_pubcomp(c, 5);
    send_from(c, 5, 1, 2);
    expect_from(c, PACKET_PUBREC, 5, 1);
    send_from(c, 3, 1, 2); /* a repeated one is none more */
    expect_from(c, PACKET_PUBREC, 3, 1);
    send_from(c, 11, 1, 2);
    tc_expect_refused(c, REASON_RECEIVE_MAXIMUM_EXCEEDED);
}

CONFORMANCE_TEST(mqtt_4_9_0_1_qos_1_above_the_announced_receive_maximum_is_refused)
{
    h->limits->inflight_messages = 10;
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    h->store.is_held = true; /* so that they stay unacknowledged */
    send_from(c, 1, 10, 1);
    tc_expect_nothing(c);
    harness_complete_store(h, 3);
    expect_from(c, PACKET_PUBACK, 1, 3);
    send_from(c, 11, 3, 1);
    tc_expect_nothing(c);
    send_from(c, 14, 1, 1);
    tc_expect_refused(c, REASON_RECEIVE_MAXIMUM_EXCEEDED);
}

CONFORMANCE_TEST(mqtt_4_9_0_1_a_slow_store_takes_nothing_of_the_receive_maximum)
{
    h->limits->inflight_messages = 10;
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->store.is_held = true;
    for (int i = 0; i < 12; i++) { /* their answers wait as well, and are no messages */
        tc_send_subscribe(c, (struct tc_subscription){.filter = "b"});
    }
    send_from(c, 101, 10, 2);
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    for (int i = 0; i < 12; i++) {
        tc_expect_any_suback(c, (uint16_t)(1 + i));
    }
    expect_from(c, PACKET_PUBREC, 101, 10);
    for (unsigned id = 101; id <= 110; id++) {
        tc_pubrel(c, (uint16_t)id);
    }
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    expect_from(c, PACKET_PUBCOMP, 101, 10);
    send_from(c, 201, 10, 2);
    harness_complete_store(h, SIZE_MAX);
    expect_from(c, PACKET_PUBREC, 201, 10);
}

CONFORMANCE_TEST(mqtt_4_9_0_2_refused_message_returns_its_quota)
{
    h->limits->inflight_messages = 10;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    for (unsigned i = 1; i <= 40; i++) {
        uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "$SYS/x", .qos = i % 2 == 0 ? 1 : 2});
        tc_expect_ack(c, i % 2 == 0 ? PACKET_PUBACK : PACKET_PUBREC, id, REASON_NOT_AUTHORIZED);
    }
    send_from(c, 1001, 10, 2);
    expect_from(c, PACKET_PUBREC, 1001, 10);
}

CONFORMANCE_TEST(mqtt_4_9_0_2_quota_of_the_client_begins_anew_with_each_connection)
{
    h->limits->inflight_messages = 10;
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    send_from(c, 1, 10, 2);
    expect_from(c, PACKET_PUBREC, 1, 10);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    send_from(c, 11, 10, 2); /* before any PUBREL of the old ones */
    expect_from(c, PACKET_PUBREC, 11, 10);
    tc_pubrel(c, 1);
    tc_expect_ack(c, PACKET_PUBCOMP, 1, REASON_SUCCESS);
}

CONFORMANCE_TEST(mqtt_4_9_0_2_pubrel_for_nothing_returns_no_quota)
{
    h->limits->inflight_messages = 10;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    send_from(c, 1, 10, 2);
    expect_from(c, PACKET_PUBREC, 1, 10);
    for (uint16_t id = 100; id < 110; id++) {
        tc_pubrel(c, id);
        tc_expect_ack(c, PACKET_PUBCOMP, id, REASON_PACKET_IDENTIFIER_NOT_FOUND);
    }
    send_from(c, 11, 1, 2);
    tc_expect_refused(c, REASON_RECEIVE_MAXIMUM_EXCEEDED);
}
