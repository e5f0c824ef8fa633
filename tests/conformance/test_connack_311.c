/* MQTT 3.1.1, 3.2: CONNACK. */
#include "tests/conformance/v311.h"

CONFORMANCE_TEST(mqtt311_3_2_0_1_connack_comes_before_the_answers_to_what_was_sent_with_connect)
{
    struct tc *p = v311_connect(h, "p");
    tc_retain(p, "r", "kept", 0);
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 02 0000 <c>} 82{0007 <r> 00} c000 32{<a> 0009 'x'}");
    tc_expect_connack(c, false, 0);
    tc_expect_suback(c, 7, "00");
    tc_expect_pingresp(c);
    tc_expect_puback(c, 9);
    tc_receive(c, "r", "kept", 0);
}

CONFORMANCE_TEST(mqtt311_3_2_0_1_connack_comes_before_the_messages_that_were_kept)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 2);
    tc_hang_up(c);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, true, 0);
    tc_receive(c, "a", "1", 1);
    tc_receive(c, "a", "2", 2);
}

CONFORMANCE_TEST(mqtt311_3_2_0_1_nothing_comes_before_connack_while_it_is_decided)
{
    h->access.is_held = true;
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 02 0000 <c>} c000");
    tc_send_spec(c, "c000");
    tc_expect_nothing(c);
    harness_answer_access(h);
    tc_expect_connack(c, false, 0);
    tc_expect_pingresp(c);
    tc_expect_pingresp(c);
}

CONFORMANCE_TEST(mqtt311_3_2_2_1_clean_session_is_accepted_with_session_present_0)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1});
    tc_expect_connack(c, false, 0);
    tc_hang_up(c);
    c = v311_resume(h, "c");
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    tc_expect_connack(tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1}), false, 0);
}

CONFORMANCE_TEST(mqtt311_3_2_2_2_stored_session_is_told_with_session_present_1)
{
    struct tc *c = v311_resume(h, "c");
    tc_hang_up(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, true, 0);
    struct tc *taker = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(taker, true, 0);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_2_2_3_without_stored_session_session_present_is_0)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, false, 0);
    tc_hang_up(v311_connect(h, "d"));
    c = tc_try_connect(h, (struct tc_options){.id = "d", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, false, 0);
}

CONFORMANCE_TEST(mqtt311_3_2_2_4_mqtt311_3_2_2_5_refusal_says_session_present_0_and_closes)
{
    static const struct {
        uint8_t refusal;
        uint8_t return_code;
    } cases[] = {
        {REASON_CLIENT_IDENTIFIER_NOT_VALID, 2},
        {REASON_SERVER_UNAVAILABLE, 3},
        {REASON_BAD_USER_NAME_OR_PASSWORD, 4},
        {REASON_NOT_AUTHORIZED, 5},
    };
    tc_hang_up(v311_resume(h, "c"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        h->access.refusal = cases[i].refusal;
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
        tc_expect_connack(c, false, cases[i].return_code);
        tc_expect_closed(c);
    }
    h->access.refusal = 0;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, true, 0);
}

CONFORMANCE_TEST(mqtt311_3_2_2_6_refusal_that_no_return_code_says_closes_without_connack)
{
    h->limits->qos_max = 1;
    h->limits->retain_available = false;
    struct tc *c = tc_try_connect(
        h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .will = {.topic = "t", .payload = "m", .qos = 2}});
    tc_expect_closed(c);
    c = tc_try_connect(
        h,
        (struct tc_options){.id = "c", .version = MQTT_3_1_1, .will = {.topic = "t", .payload = "m", .retain = true}});
    tc_expect_closed(c);
}
