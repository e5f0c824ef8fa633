/* MQTT 3.1.1, 3.3: PUBLISH. */
#include "tests/conformance/v311.h"

/* --- DUP and QoS -------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_3_3_1_1_repeated_publish_has_dup_1)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        tc_publish(p, "a", "x", qos);
        ck_assert(!tc_expect_publish(c, "a", "x", qos)->dup);
        for (int i = 0; i < 3; i++) {
            tc_hang_up(c);
            c = v311_resume(h, "c");
            ck_assert(tc_expect_publish(c, "a", "x", qos)->dup);
        }
        tc_hang_up(c);
        c = v311_resume(h, "c");
        ck_assert(tc_receive(c, "a", "x", qos)->dup);
    }
}

CONFORMANCE_TEST(mqtt311_3_3_1_2_dup_1_with_qos_0_closes_the_connection)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 2);
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "38{<a> 'x'}");
    tc_expect_closed(c);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_3_1_2_mqtt311_3_3_1_3_dup_of_the_publisher_is_not_passed_on)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    for (uint8_t granted = 0; granted <= 2; granted++) {
        tc_subscribe(c, "a", granted);
        for (uint8_t qos = 1; qos <= 2; qos++) {
            tc_publish_with(p, .topic = "a", .payload = "x", .qos = qos, .dup = true);
            ck_assert(!tc_receive(c, "a", "x", qos < granted ? qos : granted)->dup);
        }
    }
}

CONFORMANCE_TEST(mqtt311_3_3_1_3_dup_says_nothing_of_the_payload_either)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a", .payload = "x", .qos = 1, .dup = true);
    c = v311_resume(h, "c");
    ck_assert(!tc_receive(c, "a", "x", 1)->dup); /* kept for it, but sent for the first time */
}

CONFORMANCE_TEST(mqtt311_3_3_1_4_both_qos_bits_close_the_connection)
{
    static const uint8_t firsts[] = {0x36, 0x37, 0x3e, 0x3f};
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 2);
    for (size_t i = 0; i < sizeof(firsts); i++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%02x{<a> 0001 'x'}", firsts[i]);
        tc_expect_closed(c);
    }
    tc_expect_nothing(w);
}

/* --- RETAIN ------------------------------------------------------------------------------------------------------- */

/* A new client subscribes to FILTER. */
static struct tc *late_comer(struct harness *h, const char *filter, uint8_t qos)
{
    struct tc *c = v311_connect(h, "");
    tc_subscribe(c, filter, qos);
    return c;
}

CONFORMANCE_TEST(mqtt311_3_3_1_5_message_and_its_qos_are_stored_for_later_subscribers)
{
    struct tc *p = v311_connect(h, "p");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_retain(p, "r", "kept", qos);
        for (uint8_t granted = 0; granted <= 2; granted++) {
            struct tc *c = late_comer(h, "r", granted);
            tc_receive(c, "r", "kept", qos < granted ? qos : granted);
            tc_expect_nothing(c);
        }
    }
}

CONFORMANCE_TEST(mqtt311_3_3_1_5_newer_message_takes_the_place_of_the_older)
{
    struct tc *p = v311_connect(h, "p");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_retain(p, "r", "old", 2);
        tc_retain(p, "r", "new", qos);
        struct tc *c = late_comer(h, "r", 2);
        tc_receive(c, "r", "new", qos);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_3_1_6_retained_message_of_each_matching_topic_is_sent)
{
    struct tc *p = v311_connect(h, "p");
    tc_retain(p, "a", "1", 0);
    tc_retain(p, "a/b", "2", 1);
    tc_retain(p, "a/b/c", "3", 2);
    tc_retain(p, "b", "4", 0);
    struct tc *c = late_comer(h, "a/#", 0);
    bool seen[3] = {false};
    for (int i = 0; i < 3; i++) {
        const struct publish *publish = tc_expect_any_publish(c);
        ck_assert_uint_eq(publish->payload.len, 1);
        ck_assert_uint_ge(publish->payload.data[0], '1');
        ck_assert_uint_le(publish->payload.data[0], '3');
        seen[publish->payload.data[0] - '1'] = true;
    }
    ck_assert(seen[0] && seen[1] && seen[2]);
    tc_expect_nothing(c);
    c = late_comer(h, "+/b", 0);
    tc_receive(c, "a/b", "2", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_3_1_7_qos_0_discards_what_was_retained)
{
    struct tc *p = v311_connect(h, "p");
    tc_retain(p, "r", "old", 1);
    tc_retain(p, "r", "new", 0);
    struct tc *c = late_comer(h, "r", 2);
    tc_receive(c, "r", "new", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_3_1_8_retain_is_1_for_a_new_subscription)
{
    struct tc *p = v311_connect(h, "p");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_retain(p, "r", "kept", qos);
        ck_assert(tc_receive(late_comer(h, "r", 2), "r", "kept", qos)->retain);
        ck_assert(tc_receive(late_comer(h, "#", qos), "r", "kept", qos)->retain);
    }
}

CONFORMANCE_TEST(mqtt311_3_3_1_9_retain_is_0_for_an_established_subscription)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "r", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_retain(p, "r", "now", qos);
        ck_assert(!tc_receive(c, "r", "now", qos)->retain);
    }
    tc_hang_up(c);
    tc_retain(p, "r", "later", 1);
    c = v311_resume(h, "c");
    ck_assert(!tc_receive(c, "r", "later", 1)->retain);
    tc_expect_nothing(c); /* a session that is resumed is no new subscription */
}

CONFORMANCE_TEST(mqtt311_3_3_1_10_empty_retained_payload_is_delivered_and_deletes)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_retain(p, "r", "kept", qos);
        tc_subscribe(c, "r", 2);
        tc_receive(c, "r", "kept", qos);
        tc_retain(p, "r", NULL, qos);
        ck_assert(!tc_receive(c, "r", "", qos)->retain);
        tc_unsubscribe(c, "r");
        tc_expect_nothing(late_comer(h, "r", 2));
    }
}

CONFORMANCE_TEST(mqtt311_3_3_1_11_empty_payload_is_not_kept)
{
    struct tc *p = v311_connect(h, "p");
    tc_retain(p, "r", NULL, 1);
    tc_expect_nothing(late_comer(h, "r", 2));
    tc_expect_nothing(late_comer(h, "#", 2));
}

CONFORMANCE_TEST(mqtt311_3_3_1_12_message_without_retain_does_not_touch_what_is_retained)
{
    struct tc *p = v311_connect(h, "p");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "none", "passes", qos);
        tc_expect_nothing(late_comer(h, "none", 2));
        tc_retain(p, "r", "kept", 1);
        tc_publish(p, "r", "passes", qos);
        tc_publish(p, "r", NULL, qos); /* empty, but not retained: deletes nothing */
        struct tc *c = late_comer(h, "r", 2);
        tc_receive(c, "r", "kept", 1);
        tc_expect_nothing(c);
    }
}

/* --- the topic, and the answer ------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt311_3_3_2_1_topic_name_comes_first_and_is_utf8)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "to/#", 1);
    tc_set_room(c, 12);
    tc_send_spec(p, "32{<to/\u20ac> 0007 'payload'}");
    ck_assert_uint_eq(c->partial_len, 12);
    ck_assert_mem_eq(c->partial, "\x32\x11\0\6to/\xe2\x82\xac", 10);
    tc_set_room(c, SIZE_MAX);
    tc_receive(c, "to/\u20ac", "payload", 1);
    tc_expect_puback(p, 7);
    V311_FOR_ILL_FORMED(text)
    {
        c = v311_connect(h, "c");
        tc_send_spec(c, "30{%s 'x'}", text);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_3_2_2_mqtt311_4_7_1_1_wildcard_in_a_topic_name_closes_the_connection)
{
    static const char *const topics[] = {"#", "+", "a/#", "a/+", "a/+/b", "+/a", "a#", "a+b", "/#"};
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "#", 2);
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "30{<%s> 'x'}", topics[i]);
        tc_expect_closed(c);
        c = v311_connect(h, "c");
        tc_send_spec(c, "34{<%s> 0001 'x'}", topics[i]);
        tc_expect_closed(c);
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_3_2_3_delivered_topic_is_the_published_one_and_matches_the_filter)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a/+/c", 0);
    tc_subscribe(c, "x/#", 0);
    tc_publish(p, "a/b/c", "1", 0);
    tc_publish(p, "a/b/d", "2", 0);
    tc_publish(p, "x", "3", 0);
    tc_publish(p, "x/y/z", "4", 0);
    tc_publish(p, "y/x", "5", 0);
    tc_receive(c, "a/b/c", "1", 0);
    tc_receive(c, "x", "3", 0);
    tc_receive(c, "x/y/z", "4", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_3_4_1_publish_is_answered_as_its_qos_demands)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "30{<a> 'x'}");
    tc_expect_nothing(c);
    tc_send_spec(c, "32{<a> 0001 'x'}");
    tc_expect_ack(c, PACKET_PUBACK, 1, 0);
    tc_expect_nothing(c);
    tc_send_spec(c, "34{<a> 0002 'x'}");
    tc_expect_ack(c, PACKET_PUBREC, 2, 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_3_5_1_overlapping_subscriptions_deliver_at_the_highest_qos)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a/#", 0);
    tc_subscribe(c, "a/b", 2);
    tc_subscribe(c, "+/b", 1);
    tc_publish(p, "a/b", "x", 2);
    tc_receive(c, "a/b", "x", 2); /* the highest comes, and with this server nothing beside it */
    tc_expect_nothing(c);
    tc_unsubscribe(c, "a/b");
    tc_publish(p, "a/b", "y", 2);
    tc_receive(c, "a/b", "y", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_3_5_2_publish_without_the_right_to_it_is_acknowledged_and_dropped)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    struct tc *w = v311_resume(h, "w");
    tc_subscribe(w, "#", 2);
    struct tc *c = v311_connect(h, "c");
    tc_publish(c, "forbidden", "x", 0);
    tc_publish(c, "forbidden", "x", 1);
    tc_publish(c, "forbidden", "x", 2);
    tc_retain(c, "forbidden", "x", 1);
    tc_publish(c, "allowed", "x", 1);
    tc_receive(w, "allowed", "x", 1);
    tc_expect_nothing(w);
    tc_expect_nothing(late_comer(h, "forbidden", 2));
}
