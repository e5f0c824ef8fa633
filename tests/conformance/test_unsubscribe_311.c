/* MQTT 3.1.1, 3.10 and 3.11: UNSUBSCRIBE, UNSUBACK. */
#include "tests/conformance/v311.h"

CONFORMANCE_TEST(mqtt311_3_10_1_1_unsubscribe_with_other_flags_closes_the_connection)
{
    for (unsigned flags = 0; flags < 16; flags++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%02x{0001 <a>}", 0xa0 | flags);
        if (flags == 2) {
            tc_expect_unsuback(c, 1, "");
        } else {
            tc_expect_closed(c);
        }
    }
}

CONFORMANCE_TEST(mqtt311_3_10_3_1_filter_that_is_not_utf8_closes_the_connection_and_nothing_of_the_packet_is_done)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "good", 1);
    V311_FOR_ILL_FORMED(text)
    {
        tc_send_spec(c, "a2{0001 <good> %s}", text);
        tc_expect_closed(c);
        c = v311_resume(h, "c");
    }
    tc_send_spec(c, "a2{0001 <good> <bad+>}");
    tc_expect_closed(c);
    c = v311_resume(h, "c");
    tc_publish(p, "good", "x", 1);
    tc_receive(c, "good", "x", 1);
}

CONFORMANCE_TEST(mqtt311_3_10_3_2_unsubscribe_without_a_filter_closes_the_connection)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "a2{0001}");
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_10_4_1_only_the_filter_that_is_equal_byte_by_byte_is_deleted)
{
    static const char *const others[] = {"A/b", "a/B", "a/b/", "/a/b", "a/+", "a/#", "#", "+/b", "a", "a/b/#", "a//b"};
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a/b", 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        tc_unsubscribe(c, others[i]);
    }
    tc_publish(p, "a/b", "1", 0);
    tc_receive(c, "a/b", "1", 0);
    tc_unsubscribe(c, "a/b");
    tc_publish(p, "a/b", "2", 0);
    tc_expect_nothing(c);
    tc_subscribe(c, "a/+", 0);
    tc_subscribe(c, "a/#", 0);
    tc_unsubscribe(c, "a/+");
    tc_unsubscribe(c, "a/b");
    tc_publish(p, "a/b", "3", 0);
    tc_receive(c, "a/b", "3", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_10_4_1_subscription_of_another_client_stays)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    struct tc *d = v311_connect(h, "d");
    tc_subscribe(c, "a", 0);
    tc_subscribe(d, "a", 0);
    tc_unsubscribe(c, "a");
    tc_publish(p, "a", "x", 0);
    tc_receive(d, "a", "x", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_10_4_2_nothing_new_comes_after_the_deletion)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    tc_unsubscribe(c, "a");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "a", "x", qos);
    }
    tc_expect_nothing(c);
    tc_hang_up(c);
    tc_publish(p, "a", "x", 1);
    tc_expect_nothing(v311_resume(h, "c"));
}

CONFORMANCE_TEST(mqtt311_3_10_4_3_deliveries_that_have_begun_are_finished)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    uint16_t one = tc_expect_publish(c, "a", "1", 1)->packet_id;
    tc_publish(p, "a", "2", 2);
    uint16_t two = tc_expect_publish(c, "a", "2", 2)->packet_id;
    tc_publish(p, "a", "3", 2);
    uint16_t three = tc_expect_publish(c, "a", "3", 2)->packet_id;
    tc_unsubscribe(c, "a");
    tc_pubrec(c, two);
    tc_expect_pubrel(c, two);
    tc_hang_up(c);
    c = v311_resume(h, "c");
    ck_assert_uint_eq(tc_receive(c, "a", "1", 1)->packet_id, one);
    tc_expect_pubrel(c, two);
    tc_pubcomp(c, two);
    ck_assert_uint_eq(tc_receive(c, "a", "3", 2)->packet_id, three);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_10_4_4_each_unsubscribe_gets_an_unsuback_with_its_id)
{
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a", 0);
    tc_send_spec(c, "a2{0005 <a>} a2{0003 <a>} a2{ffff <b>}");
    tc_expect_unsuback(c, 5, "");
    tc_expect_unsuback(c, 3, "");
    tc_expect_unsuback(c, 0xffff, "");
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_10_4_5_unsuback_comes_although_nothing_was_deleted)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "a2{0001 <never/subscribed>}");
    tc_expect_unsuback(c, 1, "");
}

CONFORMANCE_TEST(mqtt311_3_10_4_6_several_filters_act_like_separate_unsubscribes_but_yield_one_unsuback)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0001 <a> 00 <b> 01 <c> 02}");
    tc_expect_suback(c, 1, "00 01 02");
    tc_send_spec(c, "a2{0002 <a> <unknown> <c> <a>}");
    tc_expect_unsuback(c, 2, "");
    tc_publish(p, "a", "1", 0);
    tc_publish(p, "b", "2", 1);
    tc_publish(p, "c", "3", 2);
    tc_receive(c, "b", "2", 1);
    tc_expect_nothing(c);
}
