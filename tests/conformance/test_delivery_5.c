/* MQTT 5.0, 4.3: the delivery protocols in both directions. */
#include "tests/conformance/conformance.h"

#include <stdio.h>

/* --- QoS 0 and 1 -------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_3_1_1_qos_0_is_sent_with_qos_0_and_dup_0)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    tc_publish_with(p, .topic = "a", .payload = "x", .qos = 1, .dup = true);
    const struct publish *publish = tc_expect_publish(c, "a", "x", 0);
    ck_assert(!publish->dup);
    ck_assert_uint_eq(tc_last_bytes(c)[0], 0x30);
}

CONFORMANCE_TEST(mqtt_4_3_2_1_mqtt_4_3_2_2_mqtt_4_3_3_1_mqtt_4_3_3_2_mqtt_2_2_1_4_new_message_has_a_free_id_and_dup_0)
{
    h->limits->inflight_messages = 100;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    uint16_t ids[60];
    for (int i = 0; i < 60; i++) { /* the client fails on an id in use; a decoder refuses id 0 */
        uint8_t qos = (uint8_t)(1 + i % 2);
        tc_publish(p, "a", "x", qos);
        const struct publish *publish = tc_expect_publish(c, "a", "x", qos);
        ck_assert(!publish->dup);
        ids[i] = publish->packet_id;
        for (int j = 0; j < i; j++) {
            ck_assert_uint_ne(ids[i], ids[j]);
        }
    }
}

CONFORMANCE_TEST(mqtt_2_2_1_4_ids_stay_unique_when_they_wrap_around_an_open_one)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_publish(p, "a", "open", 1);
    uint16_t open = tc_expect_publish(c, "a", "open", 1)->packet_id;
    uint32_t delivered = 0;
    for (uint32_t i = 0; i < 66000; i++) { /* the client fails if the open id comes again */
        tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 1});
        tc_expect_puback(p, 1);
        if (tc_count(c) == 0) {
            break; /* it may wait until the open one is finished */
        }
        tc_receive(c, "a", "x", 1);
        delivered++;
    }
    ck_assert_uint_ge(delivered, 65533);
    tc_puback(c, open);
    while (tc_count(c) > 0) {
        tc_receive(c, "a", "x", 1);
        delivered++;
    }
    tc_publish(p, "a", "last", 1);
    tc_receive(c, "a", "last", 1);
}

CONFORMANCE_TEST(mqtt_4_3_2_3_mqtt_4_3_3_3_publish_stays_unacknowledged_until_its_answer)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    uint16_t ids[2];
    for (int i = 0; i < 3; i++) {
        ids[0] = tc_expect_publish(c, "a", "1", 1)->packet_id;
        ids[1] = tc_expect_publish(c, "a", "2", 2)->packet_id;
        harness_advance(h, 100000);
        tc_hang_up(c);
        c = tc_connect_persistent(h, "c", MQTT_5_0);
    }
    tc_expect_publish(c, "a", "1", 1);
    tc_expect_publish(c, "a", "2", 2);
    tc_puback(c, ids[0]);
    tc_pubrec(c, ids[1]);
    tc_expect_pubrel(c, ids[1]);
    tc_pubcomp(c, ids[1]);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_2_4_mqtt_2_2_1_5_qos_1_is_owned_before_its_puback)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    h->store.is_held = true;
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 12345});
    tc_expect_nothing(p); /* not stored yet */
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(p, 12345);
    tc_expect_nothing(p);
}

CONFORMANCE_TEST(mqtt_4_3_2_4_retained_qos_1_is_stored_before_its_puback)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    h->store.is_held = true;
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 5, .retain = true});
    tc_expect_nothing(p);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(p, 5);
}

CONFORMANCE_TEST(mqtt_4_3_2_5_id_means_a_new_message_after_puback)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    for (int i = 0; i < 4; i++) {
        tc_publish_with(p, .topic = "a", .payload = "x", .qos = 1, .id = 9, .dup = i % 2 == 1);
        tc_receive(c, "a", "x", 1);
    }
    tc_expect_nothing(c);
}

/* --- QoS 2, the broker sends -------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_3_3_4_mqtt_4_3_3_5_mqtt_4_3_3_6_pubrec_is_answered_by_pubrel_until_pubcomp)
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
        c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_expect_pubrel(c, id); /* and no PUBLISH again */
        tc_expect_nothing(c);
    }
    tc_pubcomp(c, id);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_4_mqtt_4_3_3_6_repeated_pubrec_is_answered_by_pubrel_again)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    for (int i = 0; i < 3; i++) {
        tc_pubrec(c, id);
        tc_expect_pubrel(c, id);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt_4_3_3_5_pubrel_waits_for_the_store)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    h->store.is_held = true;
    tc_pubrec(c, id);
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubrel(c, id);
}

CONFORMANCE_TEST(mqtt_4_3_3_7_expiry_does_not_apply_once_publish_was_sent)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish_with(p, .topic = "a", .payload = "x", .qos = 2, .properties = "message_expiry:5");
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    tc_hang_up(c);
    harness_advance(h, 10000);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    const struct publish *again = tc_receive(c, "a", "x", 2);
    ck_assert(again->dup);
    ck_assert_uint_eq(again->packet_id, id);
}

/* --- QoS 2, the broker receives ----------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_3_3_8_mqtt_2_2_1_5_qos_2_is_owned_before_its_pubrec)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_hang_up(c);
    struct tc *p = tc_connect_persistent(h, "p", MQTT_5_0);
    h->store.is_held = true;
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 54321});
    tc_expect_nothing(p);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubrec(p, 54321);
    tc_expect_nothing(p);
}

CONFORMANCE_TEST(mqtt_4_3_3_9_id_means_a_new_message_after_pubrec_with_an_error)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "#", 2);
    tc_send_publish(p, (struct tc_message){.topic = "forbidden", .payload = "x", .qos = 2, .id = 4});
    tc_expect_ack(p, PACKET_PUBREC, 4, REASON_NOT_AUTHORIZED);
    tc_publish_with(p, .topic = "allowed", .payload = "y", .qos = 2, .id = 4);
    tc_receive(c, "allowed", "y", 2);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_10_repeats_until_pubrel_get_pubrec_and_are_not_passed_on)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    struct tc *p = tc_connect_persistent(h, "p", MQTT_5_0);
    for (int connection = 0; connection < 3; connection++) {
        for (int i = 0; i < 3; i++) {
            bool repeat = connection > 0 || i > 0;
            tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 3, .dup = repeat});
            tc_expect_pubrec(p, 3);
        }
        tc_hang_up(p);
        p = tc_connect_persistent(h, "p", MQTT_5_0);
    }
    tc_receive(c, "a", "x", 2);
    tc_expect_nothing(c);
    tc_pubrel(p, 3);
    tc_expect_pubcomp(p, 3);
}

CONFORMANCE_TEST(mqtt_4_3_3_11_mqtt_4_3_3_12_pubrel_is_answered_by_pubcomp_and_frees_the_id)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    for (int i = 0; i < 4; i++) {
        tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 3, .dup = i % 2 == 1});
        tc_expect_pubrec(p, 3);
        tc_pubrel(p, 3);
        tc_expect_pubcomp(p, 3);
        tc_receive(c, "a", "x", 2);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_3_3_11_pubcomp_waits_for_the_store)
{
    struct tc *p = tc_connect_persistent(h, "p", MQTT_5_0);
    uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2});
    tc_expect_pubrec(p, id);
    h->store.is_held = true;
    tc_pubrel(p, id);
    tc_expect_nothing(p);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubcomp(p, id);
}

CONFORMANCE_TEST(mqtt_4_3_3_13_handshake_is_finished_for_an_expired_message)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_send_publish(
        p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 3, .properties = "message_expiry:1"});
    tc_expect_pubrec(p, 3);
    harness_advance(h, 5000);
    tc_pubrel(p, 3);
    tc_expect_pubcomp(p, 3);
}
