/* MQTT 3.1.1, 3.8 and 3.9: SUBSCRIBE, SUBACK. */
#include "tests/conformance/v311.h"

CONFORMANCE_TEST(mqtt311_3_8_1_1_subscribe_with_other_flags_closes_the_connection)
{
    for (unsigned flags = 0; flags < 16; flags++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%02x{0001 <a> 00}", 0x80 | flags);
        if (flags == 2) {
            tc_expect_suback(c, 1, "00");
        } else {
            tc_expect_closed(c);
        }
    }
}

CONFORMANCE_TEST(mqtt311_3_8_3_1_filter_that_is_not_utf8_closes_the_connection_and_nothing_of_the_packet_is_done)
{
    struct tc *p = v311_connect(h, "p");
    V311_FOR_ILL_FORMED(text)
    {
        struct tc *c = v311_resume(h, "c");
        tc_send_spec(c, "82{0001 <good> 01 %s 01}", text);
        tc_expect_closed(c);
    }
    tc_publish(p, "good", "x", 1);
    tc_expect_nothing(v311_resume(h, "c"));
}

CONFORMANCE_TEST(mqtt311_3_8_3_2_wildcards_are_supported)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0001 <#> 00 <+/a> 01 <a/+/#> 02}");
    tc_expect_suback(c, 1, "00 01 02");
}

CONFORMANCE_TEST(mqtt311_3_8_3_3_subscribe_without_a_filter_closes_the_connection)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0001}");
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_8_3_4_reserved_bits_and_qos_3_close_the_connection)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c;
    for (unsigned options = 3; options < 256; options++) {
        c = v311_resume(h, "c");
        tc_send_spec(c, "82{0001 <a> 01 <b> %02x <c> 01}", options);
        tc_expect_closed(c);
    }
    c = v311_resume(h, "c");
    tc_publish(p, "a", "x", 1);
    tc_publish(p, "c", "x", 1);
    tc_expect_nothing(c); /* nothing of such a packet is done */
}

CONFORMANCE_TEST(mqtt311_3_8_4_1_mqtt311_3_8_4_2_each_subscribe_gets_a_suback_with_its_id)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0005 <a> 00} 82{0003 <b> 01} 82{ffff <a> 02} 82{0005 <a> 02}");
    tc_expect_suback(c, 5, "00");
    tc_expect_suback(c, 3, "01");
    tc_expect_suback(c, 0xffff, "02");
    tc_expect_suback(c, 5, "02");
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_8_4_3_same_filter_again_replaces_the_subscription)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    static const uint8_t granted[] = {0, 2, 1, 0};
    for (size_t i = 0; i < sizeof(granted); i++) {
        tc_subscribe(c, "a/+", granted[i]);
        tc_publish(p, "a/b", "x", 2);
        tc_receive(c, "a/b", "x", granted[i]);
        tc_expect_nothing(c);
    }
    tc_unsubscribe(c, "a/+");
    tc_publish(p, "a/b", "x", 2);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_8_4_3_same_filter_again_sends_retained_messages_again)
{
    struct tc *p = v311_connect(h, "p");
    tc_retain(p, "a/1", "kept", 1);
    struct tc *c = v311_connect(h, "c");
    for (int i = 0; i < 3; i++) {
        tc_subscribe(c, "a/+", 1);
        ck_assert(tc_receive(c, "a/1", "kept", 1)->retain);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_8_4_3_same_filter_again_does_not_interrupt_the_flow)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a", 2);
    tc_set_room(c, 0);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    uint16_t again = tc_send_subscribe(c, (struct tc_subscription){.filter = "a", .qos = 1});
    tc_publish(p, "a", "3", 2);
    tc_set_room(c, SIZE_MAX);
    uint16_t one = tc_expect_publish(c, "a", "1", 1)->packet_id;
    tc_expect_suback(c, again, "01");
    uint16_t two = tc_expect_publish(c, "a", "2", 2)->packet_id; /* it waited behind the first */
    tc_receive(c, "a", "3", 1);
    tc_puback(c, one);
    tc_pubrec(c, two);
    tc_expect_pubrel(c, two);
    tc_pubcomp(c, two);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_8_4_4_several_filters_act_like_separate_subscribes_but_yield_one_suback)
{
    struct tc *p = v311_connect(h, "p");
    tc_retain(p, "b/1", "kept", 2);
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0009 <a> 00 <b/#> 01 <c> 02 <a> 02}");
    tc_expect_suback(c, 9, "00 01 02 02");
    tc_receive(c, "b/1", "kept", 1);
    tc_publish(p, "a", "1", 2);
    tc_receive(c, "a", "1", 2); /* the last one counts */
    tc_publish(p, "b", "2", 2);
    tc_receive(c, "b", "2", 1);
    tc_publish(p, "c", "3", 2);
    tc_receive(c, "c", "3", 2);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_8_4_5_suback_says_the_granted_maximum_or_failure_for_each_filter)
{
    h->has_rules = true;
    h->access.unreadable = "secret";
    h->limits->qos_max = 1;
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0009 <a> 00 <secret> 01 <b> 02 <secret> 00}");
    tc_expect_suback(c, 9, "00 80 01 80");
    struct tc *p = v311_connect(h, "p");
    tc_publish(p, "secret", "x", 0);
    tc_publish(p, "b", "y", 1);
    tc_receive(c, "b", "y", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_8_4_6_delivery_has_the_lower_of_published_and_granted_qos)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    for (uint8_t granted = 0; granted <= 2; granted++) {
        tc_subscribe(c, "a", granted);
        for (uint8_t qos = 0; qos <= 2; qos++) {
            tc_publish(p, "a", "x", qos);
            tc_receive(c, "a", "x", qos < granted ? qos : granted);
            tc_expect_nothing(c);
        }
    }
}

CONFORMANCE_TEST(mqtt311_3_9_3_1_codes_stand_in_the_order_of_the_filters)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0001 <a> 02 <b> 00 <c> 01 <d> 01 <e> 02 <f> 00}");
    tc_expect_suback(c, 1, "02 00 01 01 02 00");
}

CONFORMANCE_TEST(mqtt311_3_9_3_2_every_failure_is_code_0x80)
{
    h->has_rules = true;
    h->access.unreadable = "secret";
    h->limits->filter_levels = 3;
    h->limits->subscriptions_per_session = 2;
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0001 <secret> 01 <a/b/c/d> 01 <1> 01 <2> 02 <3> 00}");
    tc_expect_suback(c, 1, "80 80 01 02 80");
}
