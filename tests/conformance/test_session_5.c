/* MQTT 5.0, 4.1, 4.5 and 4.6: what a session keeps and for how long, and the order of messages. */
#include "gateway/broker/stats.h"
#include "tests/conformance/conformance.h"

#include <stdio.h>

/* --- 4.1 --------------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_1_0_1_session_is_kept_as_long_as_its_connection)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0); /* expires with its connection */
    struct tc *d = tc_connect_with(h, .id = "d", .properties = "session_expiry:1");
    tc_subscribe(c, "a", 2);
    tc_subscribe(d, "a", 2);
    tc_send_publish(c, (struct tc_message){.topic = "b", .payload = "x", .qos = 2, .id = 7});
    tc_expect_pubrec(c, 7);
    harness_advance(h, UINT64_C(3600) * 24 * 1000);
    tc_publish(p, "a", "x", 2);
    tc_receive(c, "a", "x", 2);
    tc_receive(d, "a", "x", 2);
    tc_pubrel(c, 7);
    tc_expect_ack(c, PACKET_PUBCOMP, 7, REASON_SUCCESS);
}

CONFORMANCE_TEST(mqtt_4_1_0_2_session_without_expiry_ends_with_its_connection)
{
    for (int i = 0; i < 2; i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .resume = true, .properties = i == 0 ? NULL : "session_expiry:0");
        tc_subscribe(c, "a", 1);
        if (i == 0) {
            tc_disconnect(c);
        } else {
            tc_hang_up(c);
        }
        struct tc *p = tc_connect(h, "p", MQTT_5_0);
        uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1});
        tc_expect_ack(p, PACKET_PUBACK, id, REASON_NO_MATCHING_SUBSCRIBERS);
        tc_disconnect(p);
        c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
        tc_expect_connack(c, false, REASON_SUCCESS);
        tc_disconnect(c);
    }
}

CONFORMANCE_TEST(mqtt_4_1_0_2_session_is_deleted_once_its_interval_is_over)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:10");
    tc_subscribe(c, "a", 1);
    harness_advance(h, 60000); /* the interval begins with the end of the connection */
    tc_hang_up(c);
    harness_advance(h, 9900);
    uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1});
    tc_expect_ack(p, PACKET_PUBACK, id, REASON_SUCCESS);
    harness_advance(h, 1200);
    id = tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1});
    tc_expect_ack(p, PACKET_PUBACK, id, REASON_NO_MATCHING_SUBSCRIBERS);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_expect_nothing(c);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions_expired), 1);
}

CONFORMANCE_TEST(mqtt_4_1_0_2_coming_back_stops_the_interval_and_brings_a_new_one)
{
    for (int i = 0; i < 5; i++) {
        struct tc *c =
            tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:10"});
        tc_expect_connack(c, i > 0, REASON_SUCCESS);
        harness_advance(h, 15000);
        tc_hang_up(c);
        harness_advance(h, 8000);
    }
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, true, REASON_SUCCESS);
    tc_hang_up(c); /* this time without an interval */
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, false, REASON_SUCCESS);
}

/* --- 4.5 --------------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_5_0_1_each_matching_session_gets_the_message_here_or_away)
{
    static const char *const filters[] = {"a/b", "a/+", "#", "+/b", "a/#", "a/b/#"};
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *here[6];
    for (size_t i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof(id), "here-%zu", i);
        here[i] = tc_connect(h, id, MQTT_5_0);
        tc_subscribe(here[i], filters[i], 2);
        snprintf(id, sizeof(id), "away-%zu", i);
        struct tc *away = tc_connect_persistent(h, id, MQTT_5_0);
        tc_subscribe(away, filters[i], 2);
        tc_hang_up(away);
    }
    tc_publish(p, "a/b", "1", 1);
    tc_publish(p, "a/b", "2", 2);
    for (size_t i = 0; i < 6; i++) {
        tc_receive(here[i], "a/b", "1", 1);
        tc_receive(here[i], "a/b", "2", 2);
        tc_expect_nothing(here[i]);
        char id[16];
        snprintf(id, sizeof(id), "away-%zu", i);
        struct tc *back = tc_connect_persistent(h, id, MQTT_5_0);
        tc_receive(back, "a/b", "1", 1);
        tc_receive(back, "a/b", "2", 2);
        tc_expect_nothing(back);
    }
}

CONFORMANCE_TEST(mqtt_4_5_0_1_publishers_end_takes_nothing_back)
{
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "a", 2);
    tc_hang_up(s);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "1", .qos = 1});
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "2", .qos = 2}); /* never released */
    tc_hang_up(p);
    s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_receive(s, "a", "1", 1);
    tc_receive(s, "a", "2", 2);
    tc_expect_nothing(s);
}

/* --- 4.6 --------------------------------------------------------------------------------------------------------------------- */

/* Take all messages that C has for now, which must be FROM, FROM + 1 and so on, without gaps. Returns the next number. */
static int receive_numbers(struct tc *c, int from, uint8_t qos)
{
    while (tc_next_type(c) == PACKET_PUBLISH) {
        char payload[16];
        snprintf(payload, sizeof(payload), "%d", from++);
        tc_receive(c, "a", payload, qos);
    }
    return from;
}

static void send_numbers(struct tc *p, int from, int to, uint8_t qos)
{
    for (int i = from; i < to; i++) {
        char payload[16];
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, qos);
    }
}

CONFORMANCE_TEST(mqtt_4_6_0_5_mqtt_4_6_0_6_messages_arrive_in_their_order)
{
    for (uint8_t qos = 0; qos <= 2; qos++) {
        struct tc *p = tc_connect(h, "p", MQTT_5_0);
        struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:7");
        tc_subscribe(c, "a", qos);
        send_numbers(p, 0, 100, qos); /* more than the window holds */
        ck_assert_int_eq(receive_numbers(c, 0, qos), 100);
        tc_disconnect(p);
    }
}

CONFORMANCE_TEST(mqtt_4_6_0_5_order_holds_over_absence_and_return)
{
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct tc *p = tc_connect(h, "p", MQTT_5_0);
        struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", qos);
        send_numbers(p, 0, 10, qos);
        int next = receive_numbers(c, 0, qos);
        for (int round = 0; round < 3; round++) {
            tc_hang_up(c);
            send_numbers(p, next, next + 10, qos);
            c = tc_connect_persistent(h, "c", MQTT_5_0);
            send_numbers(p, next + 10, next + 20, qos); /* behind what waited */
            ck_assert_int_eq(receive_numbers(c, next, qos), next + 20);
            next += 20;
        }
        send_numbers(p, next, next + 10, qos);
        struct tc *other = tc_connect_persistent(h, "c", MQTT_5_0); /* take-over with ten in flight */
        ck_assert_int_eq(receive_numbers(other, next, qos), next + 10);
        tc_unsubscribe(other, "a");
        tc_disconnect(other);
        tc_disconnect(p);
    }
}

CONFORMANCE_TEST(mqtt_4_6_0_5_order_holds_if_the_socket_is_full_now_and_then)
{
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct tc *p = tc_connect(h, "p", MQTT_5_0);
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", qos);
        int next = 0;
        for (int i = 0; i < 10; i++) {
            tc_set_room(c, (size_t)(i * 7 % 30)); /* cut anywhere */
            send_numbers(p, i * 10, i * 10 + 10, qos);
            tc_set_room(c, SIZE_MAX);
            next = receive_numbers(c, next, qos);
        }
        ck_assert_int_eq(next, 100);
        tc_disconnect(p);
    }
}

CONFORMANCE_TEST(mqtt_4_6_0_5_order_holds_for_each_of_several_publishers)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "+", 1);
    struct tc *p[3] = {tc_connect(h, "p0", MQTT_5_0), tc_connect(h, "p1", MQTT_5_0), tc_connect(h, "p2", MQTT_5_0)};
    int sent[3] = {0, 0, 0};
    for (int i = 0; i < 60; i++) {
        int who = i * 7 % 3;
        char topic[2] = {(char)('a' + who), '\0'};
        char payload[16];
        snprintf(payload, sizeof(payload), "%d", sent[who]++);
        tc_publish(p[who], topic, payload, 1);
    }
    int next[3] = {0, 0, 0};
    for (int i = 0; i < 60; i++) {
        const struct publish *publish = tc_expect_any_publish(c);
        int who = publish->topic.data[0] - 'a';
        char payload[16];
        snprintf(payload, sizeof(payload), "%d", next[who]++);
        ck_assert(bytes_equal(publish->payload, bytes_from_string(payload)));
        tc_puback(c, publish->packet_id);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_6_0_5_acknowledgements_keep_the_order_of_what_they_answer)
{
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "durable", 2);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    h->store.is_held = true;
    /* some wait for the store, others would not have to */
    static const char *const topics[] = {"durable", "nobody", "durable", "nobody", "$SYS/x", "durable"};
    uint16_t id[6];
    for (size_t i = 0; i < 6; i++) {
        id[i] = tc_send_publish(p, (struct tc_message){.topic = topics[i], .payload = "x", .qos = 1});
    }
    harness_complete_store(h, 1);
    harness_complete_store(h, 1);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_ack(p, PACKET_PUBACK, id[0], REASON_SUCCESS);
    tc_expect_ack(p, PACKET_PUBACK, id[1], REASON_NO_MATCHING_SUBSCRIBERS);
    tc_expect_ack(p, PACKET_PUBACK, id[2], REASON_SUCCESS);
    tc_expect_ack(p, PACKET_PUBACK, id[3], REASON_NO_MATCHING_SUBSCRIBERS);
    tc_expect_ack(p, PACKET_PUBACK, id[4], REASON_NOT_AUTHORIZED);
    tc_expect_ack(p, PACKET_PUBACK, id[5], REASON_SUCCESS);
}

CONFORMANCE_TEST(mqtt_4_6_0_5_pubrels_keep_the_order_of_the_pubrecs)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    send_numbers(p, 0, 4, 2);
    uint16_t id[4];
    for (int i = 0; i < 4; i++) {
        id[i] = tc_expect_any_publish(c)->packet_id;
    }
    static const int order[] = {2, 0, 3, 1};
    h->store.is_held = true;
    for (int i = 0; i < 4; i++) {
        tc_pubrec(c, id[order[i]]);
    }
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    for (int i = 0; i < 4; i++) {
        tc_expect_pubrel(c, id[order[i]]);
    }
}
