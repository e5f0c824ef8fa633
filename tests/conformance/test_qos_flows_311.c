/* MQTT 3.1.1, 4.3, 4.4 and 4.6: QoS, delivery again, order. */
#include <stdio.h>

#include "tests/conformance/v311.h"

/* --- QoS 0 -------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_4_3_1_1_qos_0_is_sent_once_with_dup_0)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 0);
    tc_publish(p, "a", "x", 2);
    const struct publish *publish = tc_expect_publish(c, "a", "x", 0);
    ck_assert(!publish->dup);
    harness_advance(h, 1000000);
    tc_expect_nothing(c);
    tc_hang_up(c);
    tc_expect_nothing(v311_resume(h, "c"));
}

/* --- QoS 1 -------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_4_3_2_1_qos_1_sender_keeps_the_message_until_puback)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 1);
    tc_publish(p, "a", "x", 1);
    const struct publish *publish = tc_expect_publish(c, "a", "x", 1);
    uint16_t id = publish->packet_id;
    ck_assert(!publish->dup);
    harness_advance(h, 1000000);
    tc_expect_nothing(c); /* 3.1.1 repeats on a new connection only */
    tc_publish(p, "a", "y", 1);
    ck_assert_uint_ne(tc_receive(c, "a", "y", 1)->packet_id, id);
    tc_hang_up(c);
    c = v311_resume(h, "c");
    ck_assert_uint_eq(tc_expect_publish(c, "a", "x", 1)->packet_id, id);
    tc_puback(c, id);
    tc_hang_up(c);
    tc_expect_nothing(v311_resume(h, "c"));
}

CONFORMANCE_TEST(mqtt311_4_3_2_2_id_means_a_new_message_after_puback)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 1);
    struct tc *c = v311_connect(h, "c");
    for (int i = 0; i < 3; i++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 5, .dup = i > 0});
        tc_expect_puback(c, 5);
        tc_receive(w, "a", "x", 1);
    }
}

CONFORMANCE_TEST(mqtt311_4_3_2_2_puback_comes_when_the_message_is_kept)
{
    struct tc *w = v311_resume(h, "w");
    tc_subscribe(w, "a", 1);
    struct tc *c = v311_connect(h, "c");
    h->store.is_held = true;
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 5});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c, 5);
    tc_receive(w, "a", "x", 1);
}

/* --- QoS 2 -------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_4_3_3_1_qos_2_sender_sends_pubrel_on_pubrec_and_waits_for_pubcomp)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    const struct publish *publish = tc_expect_publish(c, "a", "x", 2);
    uint16_t id = publish->packet_id;
    ck_assert(!publish->dup);
    tc_hang_up(c);
    c = v311_resume(h, "c");
    ck_assert_uint_eq(tc_expect_publish(c, "a", "x", 2)->packet_id, id); /* no PUBREC came */
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    tc_pubrec(c, id); /* repeated: PUBREL again */
    tc_expect_pubrel(c, id);
    tc_expect_nothing(c);
    for (int i = 0; i < 2; i++) {
        tc_hang_up(c);
        c = v311_resume(h, "c");
        tc_expect_pubrel(c, id); /* PUBREL is repeated, PUBLISH never */
        tc_expect_nothing(c);
    }
    tc_publish(p, "a", "y", 2);
    ck_assert_uint_ne(tc_receive(c, "a", "y", 2)->packet_id, id);
    tc_pubcomp(c, id);
    tc_hang_up(c);
    tc_expect_nothing(v311_resume(h, "c"));
}

CONFORMANCE_TEST(mqtt311_4_3_3_2_qos_2_receiver_passes_a_repeated_message_on_once)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 2);
    struct tc *c = v311_resume(h, "c");
    for (int i = 0; i < 3; i++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 5, .dup = i > 0});
        tc_expect_pubrec(c, 5);
    }
    tc_hang_up(c);
    c = v311_resume(h, "c");
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 5, .dup = true});
    tc_expect_pubrec(c, 5);
    tc_receive(w, "a", "x", 2);
    tc_expect_nothing(w);
    tc_pubrel(c, 5);
    tc_expect_pubcomp(c, 5);
    tc_pubrel(c, 5); /* repeated */
    tc_expect_pubcomp(c, 5);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "new", .qos = 2, .id = 5});
    tc_expect_pubrec(c, 5);
    tc_receive(w, "a", "new", 2);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_4_3_3_2_pubrec_comes_when_the_message_is_kept)
{
    struct tc *w = v311_resume(h, "w");
    tc_subscribe(w, "a", 2);
    struct tc *c = v311_resume(h, "c");
    h->store.is_held = true;
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 5});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubrec(c, 5);
}

/* --- delivery again ----------------------------------------------------------------------------------------------- */

/* Publish to "a", with QoS 1 and 2 in turn, the numbers FROM to TO. */
static void publish_numbers(struct tc *p, int from, int to)
{
    for (int i = from; i <= to; i++) {
        char payload[16];
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, (uint8_t)(1 + i % 2));
    }
}

static const struct publish *expect_number(struct tc *c, int number)
{
    char payload[16];
    snprintf(payload, sizeof(payload), "%d", number);
    return tc_expect_publish(c, "a", payload, (uint8_t)(1 + number % 2));
}

CONFORMANCE_TEST(mqtt311_4_4_0_1_mqtt311_2_3_1_4_reconnection_repeats_what_is_open_with_its_old_ids)
{
    enum { MESSAGES = 12 };
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    publish_numbers(p, 0, MESSAGES - 1);
    uint16_t ids[MESSAGES];
    for (int i = 0; i < MESSAGES; i++) {
        ids[i] = expect_number(c, i)->packet_id;
    }
    tc_puback(c, ids[2]);
    tc_pubrec(c, ids[1]);
    tc_expect_pubrel(c, ids[1]);
    tc_pubrec(c, ids[5]);
    tc_expect_pubrel(c, ids[5]);
    tc_pubcomp(c, ids[5]);
    for (int round = 0; round < 3; round++) {
        tc_hang_up(c);
        c = v311_resume(h, "c");
        for (int i = 0; i < MESSAGES; i++) {
            if (i == 2 || i == 5) {
                continue;
            }
            if (i == 1) {
                tc_expect_pubrel(c, ids[1]);
                continue;
            }
            const struct publish *publish = expect_number(c, i);
            ck_assert_uint_eq(publish->packet_id, ids[i]);
            ck_assert(publish->dup);
        }
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt311_4_4_0_1_taking_over_repeats_what_is_open_too)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    publish_numbers(p, 0, 3);
    uint16_t ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = expect_number(c, i)->packet_id;
    }
    struct tc *taker = v311_resume(h, "c");
    tc_expect_closed(c);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(expect_number(taker, i)->packet_id, ids[i]);
    }
    publish_numbers(p, 4, 4);
    expect_number(taker, 4);
    tc_expect_nothing(taker);
}

CONFORMANCE_TEST(mqtt311_4_4_0_1_what_is_acknowledged_before_its_repetition_is_not_repeated)
{
    h->limits->output_bytes = 20; /* CONNACK and two repetitions */
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    publish_numbers(p, 0, 5);
    uint16_t ids[6];
    for (int i = 0; i < 6; i++) {
        ids[i] = expect_number(c, i)->packet_id;
    }
    tc_hang_up(c);
    c = tc_open(h, 0);
    tc_set_room(c, 16); /* half of the second repetition */
    tc_send_connect(c, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, true, 0);
    tc_puback(c, ids[4]);
    tc_pubrec(c, ids[5]);
    tc_set_room(c, SIZE_MAX);
    ck_assert_uint_eq(expect_number(c, 0)->packet_id, ids[0]);
    ck_assert_uint_eq(expect_number(c, 1)->packet_id, ids[1]);
    tc_expect_pubrel(c, ids[5]);
    ck_assert_uint_eq(expect_number(c, 2)->packet_id, ids[2]);
    ck_assert_uint_eq(expect_number(c, 3)->packet_id, ids[3]);
    tc_expect_nothing(c);
    publish_numbers(p, 6, 7); /* it goes on with what is new */
    expect_number(c, 6);
    expect_number(c, 7);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_4_4_0_1_what_is_acknowledged_between_repetitions_lets_none_out)
{
    enum { MESSAGES = 6 };
    h->limits->output_bytes = 20;
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    publish_numbers(p, 0, MESSAGES - 1);
    uint16_t ids[MESSAGES];
    for (int i = 0; i < MESSAGES; i++) {
        ids[i] = expect_number(c, i)->packet_id;
    }
    tc_hang_up(c);
    c = tc_open(h, 0);
    tc_set_room(c, 16);
    tc_send_connect(c, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, true, 0);
    ck_assert_uint_eq(expect_number(c, 0)->packet_id, ids[0]);
    tc_puback(c, ids[0]);
    tc_set_room(c, SIZE_MAX);
    for (int i = 1; i < MESSAGES; i++) {
        const struct publish *publish = expect_number(c, i);
        ck_assert_uint_eq(publish->packet_id, ids[i]);
        ck_assert(publish->dup);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_4_4_0_1_clean_session_repeats_nothing)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    publish_numbers(p, 0, 3);
    for (int i = 0; i < 4; i++) {
        expect_number(c, i);
    }
    tc_hang_up(c);
    tc_expect_nothing(v311_connect(h, "c"));
}

/* --- order -------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_4_6_0_5_mqtt311_4_6_0_6_consumers_get_each_topic_in_the_order_of_its_publisher)
{
    enum { MESSAGES = 30 };
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    struct tc *d = v311_connect(h, "d");
    tc_subscribe(c, "a", 2);
    tc_subscribe(d, "#", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        char payload[16];
        for (int i = 0; i < MESSAGES; i++) {
            snprintf(payload, sizeof(payload), "%d", i);
            tc_publish(p, "a", payload, qos);
        }
        for (int i = 0; i < MESSAGES; i++) {
            snprintf(payload, sizeof(payload), "%d", i);
            tc_receive(c, "a", payload, qos);
        }
        for (int i = 0; i < MESSAGES; i++) {
            snprintf(payload, sizeof(payload), "%d", i);
            tc_receive(d, "a", payload, qos);
        }
    }
}

CONFORMANCE_TEST(mqtt311_4_6_0_6_order_holds_over_full_windows_and_absences)
{
    h->limits->inflight_messages = 5;
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        char payload[16];
        for (int i = 0; i < 30; i++) {
            snprintf(payload, sizeof(payload), "%d", i);
            tc_publish(p, "a", payload, qos);
        }
        c = v311_resume(h, "c");
        for (int i = 0; i < 10; i++) {
            snprintf(payload, sizeof(payload), "%d", i);
            tc_receive(c, "a", payload, 1);
        }
        tc_hang_up(c);
        c = v311_resume(h, "c");
        for (int i = 10; i < 30; i++) {
            snprintf(payload, sizeof(payload), "%d", i);
            tc_receive(c, "a", payload, 1);
        }
        tc_expect_nothing(c);
        tc_hang_up(c);
    }
}

CONFORMANCE_TEST(mqtt311_4_6_0_1_mqtt311_4_6_0_6_publishes_are_repeated_in_their_original_order)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    publish_numbers(p, 0, 9);
    for (int i = 0; i < 10; i++) {
        expect_number(c, i);
    }
    tc_hang_up(c);
    publish_numbers(p, 10, 14);
    c = v311_resume(h, "c");
    for (int i = 0; i < 15; i++) {
        ck_assert_int_eq(expect_number(c, i)->dup, i < 10);
    }
}

CONFORMANCE_TEST(mqtt311_4_6_0_2_mqtt311_4_6_0_6_pubacks_follow_the_order_of_the_publishes)
{
    struct tc *w = v311_resume(h, "w");
    tc_subscribe(w, "a", 2);
    struct tc *c = v311_connect(h, "c");
    h->store.is_held = true;
    /* those to "b" have nobody to be kept for, and yet do not overtake */
    tc_send_spec(c, "32{<a> 0009} 32{<b> 0004} 32{<a> 0006} 32{<b> 0001}");
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c, 9);
    tc_expect_puback(c, 4);
    tc_expect_puback(c, 6);
    tc_expect_puback(c, 1);
}

CONFORMANCE_TEST(mqtt311_4_6_0_3_mqtt311_4_6_0_6_pubrecs_follow_the_order_of_the_publishes)
{
    struct tc *w = v311_resume(h, "w");
    tc_subscribe(w, "a", 2);
    struct tc *c = v311_connect(h, "c");
    h->store.is_held = true;
    tc_send_spec(c, "34{<a> 0009} 34{<b> 0004} 34{<a> 0006} 34{<b> 0001}");
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubrec(c, 9);
    tc_expect_pubrec(c, 4);
    tc_expect_pubrec(c, 6);
    tc_expect_pubrec(c, 1);
}

CONFORMANCE_TEST(mqtt311_4_6_0_4_mqtt311_4_6_0_6_pubrels_follow_the_order_of_the_pubrecs)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    uint16_t ids[4];
    for (int i = 0; i < 4; i++) {
        tc_publish(p, "a", "x", 2);
        ids[i] = tc_expect_publish(c, "a", "x", 2)->packet_id;
    }
    h->store.is_held = true;
    tc_send_spec(c, "50{%04x} 50{%04x} 50{%04x} 50{%04x}", ids[0], ids[1], ids[2], ids[3]);
    harness_complete_store(h, SIZE_MAX);
    for (int i = 0; i < 4; i++) {
        tc_expect_pubrel(c, ids[i]);
    }
    h->store.is_held = false;
    tc_hang_up(c);
    c = v311_resume(h, "c");
    for (int i = 0; i < 4; i++) {
        tc_expect_pubrel(c, ids[i]);
    }
    tc_expect_nothing(c);
}
