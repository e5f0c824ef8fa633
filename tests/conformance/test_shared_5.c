/* MQTT 5.0, 4.8: shared subscriptions. */
#include "tests/conformance/conformance.h"

#include <stdio.h>

static void check_invalid(struct harness *h, const char *filter)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_subscribe(c, (struct tc_subscription){.filter = filter});
    tc_expect_refused(c, REASON_TOPIC_FILTER_INVALID);
}

CONFORMANCE_TEST(mqtt_4_8_2_1_shared_filter_has_a_name)
{
    check_invalid(h, "$share");
    check_invalid(h, "$share/");
    check_invalid(h, "$share//a");
    check_invalid(h, "$share/g");
}

CONFORMANCE_TEST(mqtt_4_8_2_2_name_has_no_wildcards_and_a_filter_behind_it)
{
    check_invalid(h, "$share/+/a");
    check_invalid(h, "$share/#/a");
    check_invalid(h, "$share/g+/a");
    check_invalid(h, "$share/#");
    check_invalid(h, "$share/g/");
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "$share/g/+/b/#", 0);
    tc_subscribe(c, "$share/g//", 0);
    tc_publish(c, "a/b/c", "1", 0);
    tc_receive(c, "a/b/c", "1", 0);
    tc_publish(c, "/", "2", 0);
    tc_receive(c, "/", "2", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_8_2_2_each_group_gets_each_message_once)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *g[2][3];
    for (size_t group = 0; group < 2; group++) {
        for (size_t i = 0; i < 3; i++) {
            char text[16];
            snprintf(text, sizeof(text), "%zu-%zu", group, i);
            g[group][i] = tc_connect(h, text, MQTT_5_0);
            snprintf(text, sizeof(text), "$share/%zu/a", group);
            tc_subscribe(g[group][i], text, 1);
        }
    }
    struct tc *plain = tc_connect(h, "plain", MQTT_5_0);
    tc_subscribe(plain, "a", 1);
    unsigned got[2][3] = {{0}};
    for (int i = 0; i < 30; i++) {
        tc_publish(p, "a", "x", 1);
        tc_receive(plain, "a", "x", 1);
        for (size_t group = 0; group < 2; group++) {
            unsigned copies = 0;
            for (size_t k = 0; k < 3; k++) {
                while (tc_next_type(g[group][k]) == PACKET_PUBLISH) {
                    tc_receive(g[group][k], "a", "x", 1);
                    got[group][k]++;
                    copies++;
                }
            }
            ck_assert_uint_eq(copies, 1);
        }
    }
    for (size_t k = 0; k < 3; k++) { /* all of them have their part */
        ck_assert_uint_ge(got[0][k], 5);
        ck_assert_uint_ge(got[1][k], 5);
    }
}

CONFORMANCE_TEST(mqtt_4_8_2_3_delivery_has_the_qos_that_the_chosen_client_was_granted)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c[3] = {tc_connect(h, "0", MQTT_5_0), tc_connect(h, "1", MQTT_5_0), tc_connect(h, "2", MQTT_5_0)};
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_subscribe(c[qos], "$share/g/a", qos);
    }
    unsigned count = 0;
    for (int i = 0; i < 30; i++) {
        tc_publish(p, "a", "x", 2);
        for (uint8_t qos = 0; qos <= 2; qos++) {
            while (tc_next_type(c[qos]) == PACKET_PUBLISH) {
                tc_receive(c[qos], "a", "x", qos); /* which looks at the QoS */
                count++;
            }
        }
    }
    ck_assert_uint_eq(count, 30);
}

/* A group of two persistent members; the one that a message of QOS went to, and the other. */
struct pair {
    struct tc *chosen;
    struct tc *other;
    const char *chosen_id;
    uint16_t packet_id;
};

static struct pair pair_new(struct harness *h, struct tc *p, uint8_t qos)
{
    struct tc *a = tc_connect_persistent(h, "a", MQTT_5_0);
    struct tc *b = tc_connect_persistent(h, "b", MQTT_5_0);
    tc_subscribe(a, "$share/g/t", 2);
    tc_subscribe(b, "$share/g/t", 2);
    tc_publish(p, "t", "x", qos);
    bool first = tc_next_type(a) == PACKET_PUBLISH;
    struct pair pair = {first ? a : b, first ? b : a, first ? "a" : "b", 0};
    pair.packet_id = tc_expect_publish(pair.chosen, "t", "x", qos)->packet_id;
    return pair;
}

CONFORMANCE_TEST(mqtt_4_8_2_4_qos_2_is_finished_with_the_same_client)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct pair pair = pair_new(h, p, 2);
    tc_hang_up(pair.chosen);
    tc_expect_nothing(pair.other);
    struct tc *back = tc_connect_persistent(h, pair.chosen_id, MQTT_5_0);
    const struct publish *publish = tc_expect_publish(back, "t", "x", 2);
    ck_assert(publish->dup);
    ck_assert_uint_eq(publish->packet_id, pair.packet_id);
    tc_pubrec(back, pair.packet_id);
    tc_expect_pubrel(back, pair.packet_id);
    tc_hang_up(back);
    back = tc_connect_persistent(h, pair.chosen_id, MQTT_5_0);
    tc_expect_pubrel(back, pair.packet_id);
    tc_pubcomp(back, pair.packet_id);
    tc_expect_nothing(back);
    tc_expect_nothing(pair.other);
}

CONFORMANCE_TEST(mqtt_4_8_2_4_qos_2_stays_even_if_qos_1_goes_back_to_the_group)
{
    h->limits->shared_redeliver_on_disconnect = true;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct pair pair = pair_new(h, p, 2);
    tc_hang_up(pair.chosen);
    tc_expect_nothing(pair.other);
    struct tc *back = tc_connect_persistent(h, pair.chosen_id, MQTT_5_0);
    ck_assert_uint_eq(tc_receive(back, "t", "x", 2)->packet_id, pair.packet_id);
}

CONFORMANCE_TEST(mqtt_4_8_2_5_qos_2_ends_with_the_session_of_its_client)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct pair pair = pair_new(h, p, 2);
    tc_hang_up(pair.chosen);
    harness_advance(h, UINT64_C(3601) * 1000);
    tc_expect_nothing(pair.other);
    pair = pair_new(h, p, 2);
    tc_connect(h, pair.chosen_id, MQTT_5_0); /* a clean start ends it too */
    tc_expect_nothing(pair.other);
}

CONFORMANCE_TEST(mqtt_4_8_2_5_qos_1_goes_to_another_member_when_the_session_ends)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct pair pair = pair_new(h, p, 1);
    tc_hang_up(pair.chosen);
    tc_expect_nothing(pair.other);
    harness_advance(h, UINT64_C(3601) * 1000);
    tc_receive(pair.other, "t", "x", 1);
    tc_expect_nothing(pair.other);
}

CONFORMANCE_TEST(mqtt_4_8_2_5_qos_1_may_go_to_another_member_when_the_connection_ends)
{
    h->limits->shared_redeliver_on_disconnect = true;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct pair pair = pair_new(h, p, 1);
    tc_hang_up(pair.chosen);
    tc_receive(pair.other, "t", "x", 1);
    struct tc *back = tc_connect_persistent(h, pair.chosen_id, MQTT_5_0);
    tc_expect_nothing(back);
}

CONFORMANCE_TEST(mqtt_4_8_2_6_refused_message_is_discarded)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct pair pair = pair_new(h, p, qos);
        tc_send_ack(pair.chosen, qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, pair.packet_id, REASON_QUOTA_EXCEEDED);
        tc_expect_nothing(pair.chosen);
        tc_expect_nothing(pair.other);
        tc_connect(h, pair.chosen_id, MQTT_5_0); /* nor later, when its session ends */
        tc_expect_nothing(pair.other);
        tc_disconnect(pair.other);
    }
}

CONFORMANCE_TEST(mqtt_4_8_2_6_no_retained_messages_for_a_shared_subscription)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "a", "kept", 1);
    for (uint8_t handling = 0; handling <= 1; handling++) {
        tc_subscribe_with(c, .filter = "$share/g/a", .qos = 1, .retain_handling = handling);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt_4_8_2_3_identifier_of_the_shared_subscription_travels_with_the_message)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "$share/g/a", .qos = 1, .id = 5);
    tc_publish(c, "a", "x", 1);
    ck_assert(tc_has_properties(&tc_receive(c, "a", "x", 1)->properties, "subscription_id:5"));
}
