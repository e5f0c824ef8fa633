/* MQTT 3.1.1, 3.1: CONNECT. Wills are in test_will_311.c, sessions in test_session_311.c. */
#include <stdio.h>
#include <string.h>

#include "tests/conformance/v311.h"

CONFORMANCE_TEST(mqtt311_3_1_0_1_first_packet_has_to_be_connect)
{
    static const char *const firsts[] = {
        "30{<a> 'x'}", "82{0001 <a> 00}", "a2{0001 <a>}", "c000", "e000", "20{0000}", "40{0001}", "62{0001}",
    };
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 0);
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "%s 10{<MQTT> 04 02 0000 <c>}", firsts[i]);
        tc_expect_closed(c);
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_1_0_2_second_connect_closes_the_connection)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "will", 0);
    struct tc *c =
        tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = "no DISCONNECT"});
    tc_send_spec(c, "10{<MQTT> 04 02 0000 <c>}");
    tc_expect_closed(c);
    tc_receive(w, "will", "no DISCONNECT", 0);
}

CONFORMANCE_TEST(mqtt311_3_1_0_2_second_connect_in_one_segment_closes_behind_the_answer_to_the_first)
{
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 02 0000 <c>} 10{<MQTT> 04 02 0000 <c>}");
    tc_expect_connack(c, false, 0);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_1_2_1_another_protocol_name_is_not_served)
{
    static const char *const names[] = {"MQTX", "mqtt", "MQTTT", "MQT", "", "MQIsdp", "HTTP"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "10{<%s> 04 02 0000 <c>} c000", names[i]);
        if (c->first != NULL) {
            tc_expect_connack(c, false, 1); /* a level that MQIsdp does not have */
        }
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_2_2_another_protocol_level_is_refused_with_1)
{
    static const uint8_t levels[] = {0, 1, 2, 3};
    for (size_t i = 0; i < sizeof(levels); i++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> %02x 02 0000 <c>} c000", levels[i]);
        tc_expect_connack(c, false, 1);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_2_3_reserved_connect_flag_closes_without_connack)
{
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 03 0000 <c>}");
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_1_2_24_silent_client_is_closed_after_one_and_a_half_keep_alives)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "will", 0);
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .keep_alive_s = 10,
                                   .will = {.topic = "will", .payload = "network failure"});
    harness_advance(h, 14900);
    tc_expect_nothing(c);
    tc_expect_nothing(w);
    harness_advance(h, 1100);
    tc_expect_closed(c);
    tc_receive(w, "will", "network failure", 0);
}

CONFORMANCE_TEST(mqtt311_3_1_2_24_any_packet_counts_and_what_is_sent_to_the_client_does_not)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .keep_alive_s = 10);
    tc_subscribe(c, "to", 1);
    harness_advance(h, 14000);
    tc_expect_alive(c);
    harness_advance(h, 14000);
    tc_publish(c, "a", "x", 0);
    harness_advance(h, 14000);
    tc_publish(c, "a", "x", 2);
    harness_advance(h, 14000);
    tc_publish(p, "to", "x", 1);
    tc_expect_publish(c, "to", "x", 1);
    harness_advance(h, 2000);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_1_2_24_keep_alive_0_lets_the_client_be_silent)
{
    struct tc *c = v311_connect(h, "c");
    harness_advance(h, UINT64_C(200000000));
    tc_expect_alive(c);
}

/* --- the payload -------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_3_1_2_9_mqtt311_3_1_2_19_mqtt311_3_1_2_21_flagged_fields_have_to_be_there)
{
    static const char *const packets[] = {
        "10{<MQTT> 04 06 0000 <c>}",              /* no will topic */
        "10{<MQTT> 04 06 0000 <c> <t>}",          /* no will message */
        "10{<MQTT> 04 82 0000 <c>}",              /* no user name */
        "10{<MQTT> 04 c2 0000 <c> <u>}",          /* no password */
        "10{<MQTT> 04 c2 0000 <c> <u> 0004 'p'}", /* a password cut short */
        "10{<MQTT> 04 02 0000}",                  /* no client id */
        "10{<MQTT> 04 02 00}",                    /* keep alive cut short */
        "10{<MQTT> 04}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_2_11_mqtt311_3_1_2_18_mqtt311_3_1_2_20_fields_that_are_not_flagged_must_not_be_there)
{
    static const char *const packets[] = {
        "10{<MQTT> 04 02 0000 <c> <t>}",
        "10{<MQTT> 04 02 0000 <c> <t> <m>}",
        "10{<MQTT> 04 82 0000 <c> <u> <p>}",
        "10{<MQTT> 04 c2 0000 <c> <u> <p> 00}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_3_1_payload_fields_are_read_in_their_order)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "t", 0);
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 c6 0000 <c> <t> <m> <u> <p>}");
    tc_expect_connack(c, false, 0);
    v311_connect(h, "c");
    tc_expect_closed(c); /* its client id is "c" */
    tc_receive(w, "t", "m", 0);
}

CONFORMANCE_TEST(mqtt311_3_1_2_22_password_without_user_name_closes_without_connack)
{
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 42 0000 <c> <p>}");
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_1_3_4_mqtt311_3_1_3_10_mqtt311_3_1_3_11_ill_formed_strings_close_without_connack)
{
    V311_FOR_ILL_FORMED(text)
    {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> 04 02 0000 %s}", text);
        tc_expect_closed(c);
        c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> 04 06 0000 <c> %s <m>}", text);
        tc_expect_closed(c);
        c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> 04 82 0000 <c> %s}", text);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_3_5_every_id_of_up_to_23_letters_and_digits_is_accepted)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t len = 1; len <= 23; len++) {
        char id[24];
        for (size_t i = 0; i < len; i++) {
            id[i] = letters[(23 * len + i) % (sizeof(letters) - 1)];
        }
        id[len] = '\0';
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = id, .version = MQTT_3_1_1, .resume = len % 2 != 0});
        tc_expect_connack(c, false, 0);
        tc_expect_alive(c);
    }
    for (size_t i = 0; i + 1 < sizeof(letters); i++) {
        char id[] = {letters[i], letters[i], '\0'};
        tc_connect(h, id, MQTT_3_1_1);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_3_6_clients_with_empty_ids_get_sessions_of_their_own)
{
    struct tc *a = v311_connect(h, "");
    struct tc *b = v311_connect(h, "");
    struct tc *p = v311_connect(h, "");
    tc_subscribe(a, "t", 1);
    tc_publish(p, "t", "x", 1);
    tc_receive(a, "t", "x", 1);
    tc_expect_nothing(a);
    tc_expect_nothing(b);
    tc_expect_alive(b);
    tc_expect_alive(p);
}

CONFORMANCE_TEST(mqtt311_3_1_3_8_empty_id_without_clean_session_is_refused_with_2)
{
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 00 0000 <>} c000");
    tc_expect_connack(c, false, 2);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_3_1_3_9_rejected_id_is_refused_with_2)
{
    h->access.refusal = REASON_CLIENT_IDENTIFIER_NOT_VALID;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1});
    tc_expect_connack(c, false, 2);
    tc_expect_closed(c);
}

/* --- actions ------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt311_3_1_4_1_connect_that_does_not_conform_closes_without_connack)
{
    static const char *const packets[] = {
        "10{<MQTT> 04 0a 0000 <c>}",           /* will QoS 1 without a will [MQTT311-3.1.2-13] */
        "10{<MQTT> 04 12 0000 <c>}",           /* will QoS 2 without a will */
        "10{<MQTT> 04 22 0000 <c>}",           /* will retain without a will [MQTT311-3.1.2-15] */
        "10{<MQTT> 04 1e 0000 <c> <t> <m>}",   /* will QoS 3 [MQTT311-3.1.2-14] */
        "10{<MQTT> 04 06 0000 <c> <> <m>}",    /* a will topic that is empty */
        "10{<MQTT> 04 06 0000 <c> <t/#> <m>}", /* a will topic with a wildcard */
        "10{<MQTT> 04 02 0000 <c> 00}",        /* a byte too many */
        "11{<MQTT> 04 02 0000 <c>}",           /* reserved bits of the fixed header */
        "10{'MQTT' 04 02 0000 <c>}",           /* a name without its length */
        "10ffffffff7f",                        /* a length of five bytes */
        "10{}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_4_2_older_connection_of_the_same_client_id_is_closed)
{
    struct tc *first = v311_connect(h, "c");
    struct tc *second = v311_connect(h, "c");
    tc_expect_closed(first);
    tc_expect_alive(second);
    struct tc *third = v311_resume(h, "c");
    tc_expect_closed(second);
    struct tc *fourth = v311_resume(h, "c");
    tc_expect_closed(third);
    tc_expect_alive(fourth);
}

CONFORMANCE_TEST(mqtt311_3_1_4_2_refused_connect_takes_nothing_over)
{
    struct tc *c = v311_connect(h, "c");
    h->access.refusal = REASON_NOT_AUTHORIZED;
    struct tc *intruder = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1});
    tc_expect_connack(intruder, false, 5);
    tc_expect_closed(intruder);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt311_3_1_4_3_only_an_accepted_connect_cleans_the_session)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    h->access.refusal = REASON_NOT_AUTHORIZED;
    tc_expect_connack(tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1}), false, 5);
    h->access.refusal = 0;
    tc_publish(p, "a", "kept", 1);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, true, 0);
    tc_receive(c, "a", "kept", 1);
    tc_hang_up(c);
    tc_expect_connack(tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1}), false, 0);
    tc_publish(p, "a", "for nobody", 1);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, false, 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_1_4_4_accepted_connect_is_answered_with_0)
{
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 02 003c <c>}");
    tc_expect_connack(c, false, 0);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt311_3_1_4_5_nothing_behind_a_refused_connect_is_done)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 0);
    h->access.refusal = REASON_BAD_USER_NAME_OR_PASSWORD;
    struct tc *c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 02 0000 <c>} 31{<a> 'x'} 30{<a> 'y'} c000");
    tc_expect_connack(c, false, 4);
    tc_expect_closed(c);
    h->access.is_held = true;
    c = v311_open(h);
    tc_send_spec(c, "10{<MQTT> 04 02 0000 <c>} 31{<a> 'x'}");
    tc_send_spec(c, "30{<a> 'y'} c000");
    harness_answer_access(h);
    tc_expect_connack(c, false, 4);
    tc_expect_closed(c);
    tc_subscribe(w, "#", 0);
    tc_expect_nothing(w);
}
