/* MQTT 5.0, 4.3 and 4.4: the exchanges of QoS 0, 1 and 2, and what of them is repeated. 2.2.1: packet identifiers. */
#include "gateway/broker/stats.h"
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <string.h>

/* A client with a session that lasts, back on a new connection. */
static struct tc *again(struct harness *h, const char *id)
{
    struct tc *c =
        tc_try_connect(h, (struct tc_options){.id = id, .resume = true, .properties = "session_expiry:3600"});
    tc_expect_connack(c, true, REASON_SUCCESS);
    return c;
}

static const struct publish *expect_repeated(struct tc *c, const char *payload, uint8_t qos, uint16_t packet_id)
{
    const struct publish *publish = tc_expect_publish(c, "a", payload, qos);
    ck_assert(publish->dup);
    ck_assert_uint_eq(publish->packet_id, packet_id);
    return publish;
}

/* --- QoS 0 ------------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_4_3_1_1_mqtt_2_2_1_2_qos_0_is_sent_without_dup_and_id)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(c, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
    /* 30, length, topic, no properties, payload: no room for an id */
    ck_assert_mem_eq(tc_last_bytes(c), "\x30\x05\x00\x01\x61\x00x", 7);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_1_1_mqtt_2_2_1_2_qos_0_from_a_client_has_no_id_and_no_answer)
{
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "30{<a> {} '12'}"); /* where an id would stand, the payload does */
    tc_receive(s, "a", "12", 0);
    tc_expect_nothing(c);
    tc_send_spec(c, "38{<a> {} 'x'}");
    tc_expect_refused(c, REASON_MALFORMED_PACKET); /* [MQTT-3.3.1-2] */
    tc_expect_nothing(s);
}

/* --- packet identifiers of the server ------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_2_2_1_4_mqtt_4_3_2_1_mqtt_4_3_3_1_each_message_has_an_id_that_is_not_in_use)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "stays", 1); /* this one is never acknowledged */
    uint16_t stays = tc_expect_publish(c, "a", "stays", 1)->packet_id;
    ck_assert_uint_ne(stays, 0);
    for (int i = 0; i < 40; i++) { /* the client checks that none is 0 or in use */
        tc_publish(p, "a", "x", 1);
        tc_publish(p, "a", "y", 2);
        tc_receive(c, "a", "x", 1);
        tc_receive(c, "a", "y", 2);
    }
    tc_puback(c, stays);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_2_2_1_4_ids_wrap_around_but_not_into_one_that_is_in_use)
{
    enum { BATCH = 993 }; /* 66 of them are 65538 */
    if (h->places > 1) {
        return; /* it takes a while, and ids are a session's own affair */
    }
    h->limits->inflight_messages = 1000;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_publish(p, "a", "stays", 1);
    uint16_t stays = tc_expect_publish(c, "a", "stays", 1)->packet_id;
    unsigned count = 0;
    for (int batch = 0; batch < 66; batch++) {
        for (int i = 0; i < BATCH; i++) {
            static const uint8_t publish[] = {0x32, 7, 0, 1, 'a', 0, 1, 0, 'x'};
            tc_feed(p, publish, sizeof(publish));
        }
        harness_run(h);
        while (tc_next_type(c) == PACKET_PUBLISH) { /* the client checks that the id is not in use */
            uint16_t id = tc_expect_any_publish(c)->packet_id;
            const uint8_t puback[] = {0x40, 2, (uint8_t)(id >> 8), (uint8_t)id};
            tc_feed(c, puback, sizeof(puback));
            count++;
        }
        harness_run(h);
    }
    ck_assert_uint_eq(count, 65534); /* as many as there are other ids */
    tc_puback(c, stays);
    while (tc_next_type(c) == PACKET_PUBLISH) {
        tc_receive(c, "a", "x", 1);
        count++;
    }
    ck_assert_uint_eq(count, 66 * BATCH);
}

CONFORMANCE_TEST(mqtt_2_2_1_4_id_of_0_from_a_client_is_malformed)
{
    static const char *const packets[] = {"32{<a> 0000 {} 'x'}",
                                          "34{<a> 0000 {} 'x'}",
                                          "82{0000 {} <a> 00}",
                                          "a2{0000 {} <a>}",
                                          "40{0000}",
                                          "50{0000}",
                                          "62{0000}",
                                          "70{0000}"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
    }
}

CONFORMANCE_TEST(mqtt_2_2_1_4_clients_and_servers_ids_are_apart)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    uint16_t same = tc_send_publish(c, (struct tc_message){.topic = "b", .payload = "y", .qos = 2, .id = id});
    tc_expect_ack(c, PACKET_PUBREC, same, REASON_NO_MATCHING_SUBSCRIBERS);
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    tc_pubrel(c, same);
    tc_expect_pubcomp(c, same);
    tc_pubcomp(c, id);
    tc_expect_alive(c);
}

/* --- QoS 1 as the sender ------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_4_3_2_2_mqtt_4_3_3_2_first_publish_has_id_and_qos_and_no_dup)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        /* a repeated packet of the publisher is a first one for the subscriber */
        uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = qos, .dup = true});
        tc_expect_ack(p, qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, id, REASON_SUCCESS);
        const struct publish *publish = tc_receive(c, "a", "x", qos);
        ck_assert(!publish->dup);
        ck_assert_uint_ne(publish->packet_id, 0);
    }
}

CONFORMANCE_TEST(mqtt_4_3_2_2_message_that_waited_for_its_subscriber_has_no_dup)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_hang_up(c);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    c = again(h, "c");
    ck_assert(!tc_receive(c, "a", "1", 1)->dup);
    ck_assert(!tc_receive(c, "a", "2", 2)->dup);
}

CONFORMANCE_TEST(mqtt_4_3_2_3_mqtt_4_4_0_1_qos_1_is_repeated_until_its_puback)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_publish(p, "a", "x", 1);
    uint16_t id = tc_expect_publish(c, "a", "x", 1)->packet_id;
    for (int i = 0; i < 3; i++) {
        tc_hang_up(c);
        c = again(h, "c");
        expect_repeated(c, "x", 1, id);
        tc_expect_nothing(c);
    }
    tc_puback(c, id);
    tc_hang_up(c);
    c = again(h, "c");
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_2_3_another_packet_is_no_puback)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    static const enum packet_type wrong[] = {PACKET_PUBREC, PACKET_PUBCOMP};
    for (size_t i = 0; i < 2; i++) {
        struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 1);
        tc_publish(p, "a", "x", 1);
        uint16_t id = tc_expect_publish(c, "a", "x", 1)->packet_id;
        tc_send_ack(c, wrong[i], id, 0);
        tc_expect_refused(c, REASON_PROTOCOL_ERROR);
        c = again(h, "c");
        expect_repeated(c, "x", 1, id); /* it still waits for its PUBACK */
        tc_puback(c, id);
        tc_disconnect(c);
    }
}

CONFORMANCE_TEST(mqtt_4_3_2_3_puback_for_nothing_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_puback(c, 5);
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_4_4_0_1_nothing_is_repeated_while_the_connection_lasts)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    tc_publish(p, "a", "3", 2);
    tc_expect_publish(c, "a", "1", 1);
    uint16_t second = tc_expect_publish(c, "a", "2", 2)->packet_id;
    tc_expect_publish(c, "a", "3", 2);
    tc_pubrec(c, second);
    tc_expect_pubrel(c, second);
    harness_advance(h, UINT64_C(3600) * 1000);
    tc_expect_nothing(c);
    tc_expect_alive(c);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_4_0_1_nothing_is_repeated_to_a_clean_start)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    tc_expect_publish(c, "a", "1", 1);
    uint16_t second = tc_expect_publish(c, "a", "2", 2)->packet_id;
    tc_pubrec(c, second);
    tc_expect_pubrel(c, second);
    tc_hang_up(c);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_4_0_1_open_packets_are_repeated_in_their_order_with_their_ids)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    uint16_t ids[6];
    for (int i = 0; i < 6; i++) {
        char payload[2] = {(char)('0' + i), '\0'};
        tc_publish(p, "a", payload, i % 2 == 0 ? 1 : 2);
        ids[i] = tc_expect_publish(c, "a", payload, i % 2 == 0 ? 1 : 2)->packet_id;
    }
    tc_puback(c, ids[2]);
    tc_pubrec(c, ids[3]);
    tc_expect_pubrel(c, ids[3]);
    tc_publish(p, "a", "6", 1);
    tc_expect_publish(c, "a", "6", 1);
    tc_hang_up(c);
    tc_publish(p, "a", "7", 1);
    for (int round = 0; round < 2; round++) {
        c = again(h, "c");
        bool released = false;
        unsigned next = 0;
        static const uint8_t open[] = {0, 1, 4, 5};
        for (int i = 0; i < 5; i++) { /* PUBLISHes in their order; the one PUBREL may stand anywhere among them */
            if (!released && next < 4 && tc_next_type(c) == PACKET_PUBREL) {
                tc_expect_pubrel(c, ids[3]);
                released = true;
                continue;
            }
            char payload[2] = {(char)('0' + open[next]), '\0'};
            expect_repeated(c, payload, open[next] % 2 == 0 ? 1 : 2, ids[open[next]]);
            next++;
        }
        if (!released) {
            tc_expect_pubrel(c, ids[3]);
        }
        ck_assert(tc_expect_publish(c, "a", "6", 1)->dup);
        ck_assert(tc_expect_publish(c, "a", "7", 1)->dup == (round == 1)); /* new, and last */
        tc_expect_nothing(c);
        tc_hang_up(c);
    }
}

CONFORMANCE_TEST(mqtt_4_4_0_1_take_over_repeats_as_well)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    uint16_t first = tc_expect_publish(c, "a", "1", 1)->packet_id;
    uint16_t second = tc_expect_publish(c, "a", "2", 2)->packet_id;
    struct tc *d = again(h, "c");
    tc_expect_refused(c, REASON_SESSION_TAKEN_OVER);
    ck_assert_uint_eq(HARNESS_STAT(h, takeovers), 1);
    expect_repeated(d, "1", 1, first);
    expect_repeated(d, "2", 2, second);
    tc_expect_nothing(d);
}

CONFORMANCE_TEST(mqtt_4_4_0_2_puback_or_pubrec_with_an_error_settles_the_message)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    tc_send_ack(c, PACKET_PUBACK, tc_expect_publish(c, "a", "1", 1)->packet_id, REASON_QUOTA_EXCEEDED);
    tc_send_ack(c, PACKET_PUBREC, tc_expect_publish(c, "a", "2", 2)->packet_id, REASON_UNSPECIFIED_ERROR);
    tc_expect_nothing(c); /* no PUBREL either */
    tc_hang_up(c);
    c = again(h, "c");
    tc_expect_nothing(c);
}

/* --- QoS 1 as the receiver ------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_4_3_2_4_mqtt_2_2_1_5_puback_has_the_id_of_its_publish)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    static const uint16_t ids[] = {1, 2, 0x100, 0x7fff, 0xffff, 1};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = ids[i]});
        tc_expect_puback(c, ids[i]);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_2_4_puback_comes_when_the_message_is_safe)
{
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c, id);
}

CONFORMANCE_TEST(mqtt_4_3_2_4_connections_may_end_while_pubacks_wait)
{
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 1);
    struct tc *c[6];
    for (size_t i = 0; i < 6; i++) {
        char id[2] = {(char)('0' + i), '\0'};
        c[i] = tc_connect(h, id, MQTT_5_0);
    }
    h->store.is_held = true;
    uint16_t id[6];
    for (size_t i = 0; i < 6; i++) {
        id[i] = tc_send_publish(c[i], (struct tc_message){.topic = "a", .payload = "x", .qos = 1});
    }
    tc_hang_up(c[0]);
    tc_hang_up(c[3]);
    tc_hang_up(c[5]);
    harness_complete_store(h, 3);
    tc_disconnect(c[2]);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c[1], id[1]);
    tc_expect_puback(c[4], id[4]);
}

CONFORMANCE_TEST(mqtt_4_3_2_5_after_puback_the_same_id_is_a_new_message)
{
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    for (int i = 0; i < 4; i++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 7, .dup = i % 2 == 1});
        tc_expect_puback(c, 7);
        tc_receive(s, "a", "x", 1);
    }
    tc_expect_nothing(s);
}

/* --- QoS 2 as the sender -------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_3_3_3_mqtt_4_4_0_1_qos_2_is_repeated_until_its_pubrec)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    for (int i = 0; i < 3; i++) {
        tc_hang_up(c);
        c = again(h, "c");
        expect_repeated(c, "x", 2, id);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt_4_3_3_3_another_packet_is_no_pubrec)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    static const enum packet_type wrong[] = {PACKET_PUBACK, PACKET_PUBCOMP};
    for (size_t i = 0; i < 2; i++) {
        struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 2);
        tc_publish(p, "a", "x", 2);
        uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
        tc_send_ack(c, wrong[i], id, 0);
        tc_expect_refused(c, REASON_PROTOCOL_ERROR);
        c = again(h, "c");
        expect_repeated(c, "x", 2, id);
        tc_pubrec(c, id);
        tc_expect_pubrel(c, id);
        tc_pubcomp(c, id);
        tc_disconnect(c);
    }
}

CONFORMANCE_TEST(mqtt_4_3_3_4_mqtt_2_2_1_5_pubrec_is_answered_by_pubrel_with_the_same_id)
{
    static const uint8_t codes[] = {0x00, 0x10};
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    for (size_t i = 0; i < sizeof(codes); i++) {
        tc_publish(p, "a", "x", 2);
        uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
        tc_send_ack(c, PACKET_PUBREC, id, codes[i]);
        tc_expect_ack(c, PACKET_PUBREL, id, REASON_SUCCESS);
        tc_pubcomp(c, id);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_5_mqtt_4_4_0_1_pubrel_is_repeated_until_its_pubcomp)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    for (int i = 0; i < 3; i++) {
        tc_hang_up(c);
        c = again(h, "c");
        tc_expect_ack(c, PACKET_PUBREL, id, REASON_SUCCESS);
        tc_expect_nothing(c);
    }
    tc_pubcomp(c, id);
    tc_hang_up(c);
    c = again(h, "c");
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_5_pubrec_once_more_has_pubrel_once_more)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    for (int i = 0; i < 3; i++) {
        tc_pubrec(c, id);
        tc_expect_ack(c, PACKET_PUBREL, id, REASON_SUCCESS);
    }
    tc_pubcomp(c, id);
    tc_pubrec(c, id);
    tc_expect_ack(c, PACKET_PUBREL, id, REASON_PACKET_IDENTIFIER_NOT_FOUND);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_6_no_publish_once_pubrel_was_sent)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    struct tc *d = again(h, "c"); /* by take-over */
    tc_expect_refused(c, REASON_SESSION_TAKEN_OVER);
    tc_expect_pubrel(d, id);
    tc_expect_nothing(d);
    tc_hang_up(d);
    d = again(h, "c"); /* and by coming back */
    tc_expect_pubrel(d, id);
    tc_expect_nothing(d);
}

CONFORMANCE_TEST(mqtt_4_3_3_7_message_expiry_stops_nothing_that_was_sent)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish_with(p, .topic = "a", .payload = "x", .qos = 2, .properties = "message_expiry:5");
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a", .payload = "never sent", .qos = 2, .properties = "message_expiry:5");
    harness_advance(h, 10000);
    c = again(h, "c");
    expect_repeated(c, "x", 2, id);
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    tc_pubcomp(c, id);
    tc_expect_nothing(c);
}

/* --- QoS 2 as the receiver ------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_3_3_8_pubrec_has_the_id_of_its_publish)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    static const uint16_t ids[] = {1, 2, 0x100, 0x7fff, 0xffff};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = ids[i]});
        tc_expect_pubrec(c, ids[i]);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_8_pubrec_comes_when_the_message_is_safe)
{
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubrec(c, id);
    ck_assert_uint_eq(h->store.submitted.puts[STORE_RECEIVED], 1);
}

CONFORMANCE_TEST(mqtt_4_3_3_8_publish_repeated_on_a_new_connection_waits_for_the_store_too)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2});
    tc_hang_up(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:3600"});
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = id, .dup = true});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_connack(c, true, REASON_SUCCESS);
    tc_expect_pubrec(c, id);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_9_after_pubrec_with_an_error_the_id_is_a_new_message)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "#", 2);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "1", .qos = 2, .id = 7});
    tc_expect_ack(c, PACKET_PUBREC, 7, REASON_NOT_AUTHORIZED);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "2", .qos = 2, .id = 7});
    tc_expect_ack(c, PACKET_PUBREC, 7, REASON_SUCCESS);
    tc_receive(s, "a", "2", 2);
    tc_pubrel(c, 7);
    tc_expect_ack(c, PACKET_PUBCOMP, 7, REASON_SUCCESS);
}

CONFORMANCE_TEST(mqtt_4_3_3_10_repeats_have_pubrec_and_are_not_passed_on)
{
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 7, .dup = i > 0});
        tc_expect_pubrec(c, 7);
    }
    tc_hang_up(c);
    c = again(h, "c"); /* the id is remembered over connections */
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 7, .dup = true});
    tc_expect_pubrec(c, 7);
    struct tc *d = again(h, "c"); /* and over a take-over */
    tc_expect_refused(c, REASON_SESSION_TAKEN_OVER);
    tc_send_publish(d, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 7, .dup = true});
    tc_expect_pubrec(d, 7);
    tc_receive(s, "a", "x", 2);
    tc_expect_nothing(s);
}

CONFORMANCE_TEST(mqtt_4_3_3_10_clean_start_forgets_the_ids)
{
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 2);
    for (int i = 0; i < 2; i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:60");
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 7});
        tc_expect_ack(c, PACKET_PUBREC, 7, REASON_SUCCESS);
        tc_receive(s, "a", "x", 2);
        tc_hang_up(c);
    }
}

CONFORMANCE_TEST(mqtt_4_3_3_11_pubrel_is_answered_by_pubcomp_with_the_same_id)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 0x1234});
    tc_expect_pubrec(c, 0x1234);
    tc_hang_up(c);
    c = again(h, "c");
    tc_pubrel(c, 0x1234);
    tc_expect_ack(c, PACKET_PUBCOMP, 0x1234, REASON_SUCCESS);
    tc_pubrel(c, 0x1234);
    tc_expect_ack(c, PACKET_PUBCOMP, 0x1234, REASON_PACKET_IDENTIFIER_NOT_FOUND);
}

CONFORMANCE_TEST(mqtt_4_3_3_12_after_pubcomp_the_id_is_a_new_message)
{
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 2);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish_with(c, .topic = "a", .payload = "x", .qos = 2, .id = 7, .dup = i == 1);
        tc_receive(s, "a", "x", 2);
    }
    tc_expect_nothing(s);
}

CONFORMANCE_TEST(mqtt_4_3_3_13_handshake_of_an_expired_message_is_finished)
{
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 2);
    tc_hang_up(s);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    uint16_t id = tc_send_publish(
        c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .properties = "message_expiry:1"});
    tc_expect_pubrec(c, id);
    harness_advance(h, 5000);
    s = again(h, "s");
    tc_expect_nothing(s);
    tc_pubrel(c, id);
    tc_expect_ack(c, PACKET_PUBCOMP, id, REASON_SUCCESS);
}
