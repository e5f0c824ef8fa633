/* MQTT 3.1 ("MQIsdp", level 3), as far as it differs from 3.1.1 or is what its clients need. */
#include "tests/conformance/conformance.h"

CONFORMANCE_TEST(mqtt31_connect_is_accepted)
{
    struct tc *c = tc_open(h, 0);
    c->version = MQTT_3_1;
    tc_send_spec(c, "10{<MQIsdp> 03 02 003c <c>}");
    tc_expect_connack(c, false, 0);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt31_other_levels_of_its_name_are_refused_with_1)
{
    static const uint8_t levels[] = {0, 1, 2, 4, 5};
    for (size_t i = 0; i < sizeof(levels); i++) {
        struct tc *c = tc_open(h, 0);
        c->version = MQTT_3_1;
        tc_send_spec(c, "10{<MQIsdp> %02x 02 003c <c>}", levels[i]);
        tc_expect_connack(c, false, 1);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt31_empty_client_id_is_refused_with_2)
{
    struct tc *c = tc_open(h, 0);
    c->version = MQTT_3_1;
    tc_send_spec(c, "10{<MQIsdp> 03 02 0000 <>}");
    tc_expect_connack(c, false, 2);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt31_refusals_are_told_by_their_return_codes)
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
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        h->access.refusal = cases[i].refusal;
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1});
        tc_expect_connack(c, false, cases[i].return_code);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt31_first_byte_of_connack_is_0_though_a_session_is_present)
{
    tc_hang_up(tc_connect_persistent(h, "c", MQTT_3_1));
    struct tc *c = tc_open(h, 0);
    tc_set_room(c, 3);
    tc_send_connect(c, (struct tc_options){.id = "c", .version = MQTT_3_1, .resume = true});
    ck_assert_uint_eq(c->partial_len, 3);
    ck_assert_uint_eq(c->partial[0], 0x20);
    ck_assert_uint_eq(c->partial[2], 0); /* reserved in 3.1, Session Present in 3.1.1 */
    tc_set_room(c, SIZE_MAX);
    tc_expect_connack(c, false, 0);
}

CONFORMANCE_TEST(mqtt31_user_name_flag_without_a_user_name_is_accepted)
{
    struct tc *c = tc_open(h, 0);
    c->version = MQTT_3_1;
    tc_send_spec(c, "10{<MQIsdp> 03 c2 0000 <c>}"); /* the Remaining Length outranks the flags */
    tc_expect_connack(c, false, 0);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt31_clean_session_forgets_and_its_absence_keeps)
{
    struct tc *p = tc_connect(h, "p", MQTT_3_1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_3_1);
    tc_subscribe(c, "a", 2);
    tc_disconnect(c);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    c = tc_connect_persistent(h, "c", MQTT_3_1);
    tc_receive(c, "a", "1", 1);
    tc_receive(c, "a", "2", 2);
    tc_hang_up(c);
    tc_publish(p, "a", "lost", 1);
    c = tc_connect(h, "c", MQTT_3_1);
    tc_publish(p, "a", "not subscribed", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt31_session_goes_over_to_a_client_of_3_1_1_and_back)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_3_1);
    tc_subscribe(c, "a", 1);
    tc_publish_with(p, .topic = "a", .payload = "x", .properties = "user:<k><v>", .qos = 1);
    tc_expect_publish(c, "a", "x", 1);
    struct tc *newer = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_closed(c);
    tc_expect_connack(newer, true, 0);
    tc_expect_publish(newer, "a", "x", 1);
    tc_hang_up(newer);
    c = tc_connect_persistent(h, "c", MQTT_3_1);
    tc_receive(c, "a", "x", 1);
}

CONFORMANCE_TEST(mqtt31_same_client_id_takes_over)
{
    struct tc *first = tc_connect(h, "c", MQTT_3_1);
    struct tc *second = tc_connect(h, "c", MQTT_3_1);
    tc_expect_closed(first);
    tc_expect_alive(second);
}

CONFORMANCE_TEST(mqtt31_flows_of_every_qos)
{
    struct tc *p = tc_connect(h, "p", MQTT_3_1);
    struct tc *c = tc_connect(h, "c", MQTT_3_1);
    for (uint8_t granted = 0; granted <= 2; granted++) {
        tc_subscribe(c, "a/+", granted);
        for (uint8_t qos = 0; qos <= 2; qos++) {
            tc_publish(p, "a/b", "x", qos);
            tc_receive(c, "a/b", "x", qos < granted ? qos : granted);
            tc_expect_nothing(c);
        }
    }
    tc_unsubscribe(c, "a/+");
    tc_publish(p, "a/b", "x", 2);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt31_dup_is_tolerated_where_3_1_lets_a_request_be_repeated)
{
    struct tc *p = tc_connect(h, "p", MQTT_3_1);
    struct tc *c = tc_connect(h, "c", MQTT_3_1);
    tc_send_spec(c, "82{0001 <a> 01} 8a{0001 <a> 01}");
    tc_expect_suback(c, 1, "01");
    tc_expect_suback(c, 1, "01");
    tc_publish(p, "a", "x", 1);
    tc_receive(c, "a", "x", 1);
    tc_expect_nothing(c); /* one subscription, not two */
    tc_send_spec(c, "34{<b> 0002 'y'} 3c{<b> 0002 'y'} 62{0002} 6a{0002}");
    tc_expect_pubrec(c, 2);
    tc_expect_pubrec(c, 2);
    tc_expect_pubcomp(c, 2);
    tc_expect_pubcomp(c, 2);
    tc_send_spec(c, "a2{0003 <a>} aa{0003 <a>}");
    tc_expect_unsuback(c, 3, "");
    tc_expect_unsuback(c, 3, "");
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt31_other_flags_close_the_connection)
{
    static const char *const packets[] = {"80{0001 <a> 00}", "83{0001 <a> 00}", "60{0001}", "a0{0001 <a>}", "c100"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, "c", MQTT_3_1);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt31_reserved_bits_of_a_requested_qos_do_not_count)
{
    struct tc *c = tc_connect(h, "c", MQTT_3_1);
    tc_send_spec(c, "82{0001 <a> fd}");
    tc_expect_suback(c, 1, "01");
}

CONFORMANCE_TEST(mqtt31_reconnection_repeats_what_is_open)
{
    struct tc *p = tc_connect(h, "p", MQTT_3_1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_3_1);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    tc_publish(p, "a", "3", 2);
    uint16_t one = tc_expect_publish(c, "a", "1", 1)->packet_id;
    uint16_t two = tc_expect_publish(c, "a", "2", 2)->packet_id;
    uint16_t three = tc_expect_publish(c, "a", "3", 2)->packet_id;
    tc_pubrec(c, two);
    tc_expect_pubrel(c, two);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_3_1);
    const struct publish *again = tc_receive(c, "a", "1", 1);
    ck_assert(again->dup);
    ck_assert_uint_eq(again->packet_id, one);
    tc_expect_pubrel(c, two);
    tc_pubcomp(c, two);
    ck_assert_uint_eq(tc_receive(c, "a", "3", 2)->packet_id, three);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt31_will_and_retained_messages)
{
    struct tc *w = tc_connect(h, "w", MQTT_3_1);
    tc_subscribe(w, "will", 2);
    tc_hang_up(tc_connect_with(h, .id = "c", .version = MQTT_3_1,
                               .will = {.topic = "will", .payload = "bye", .qos = 2, .retain = true}));
    ck_assert(!tc_receive(w, "will", "bye", 2)->retain);
    struct tc *late = tc_connect(h, "late", MQTT_3_1);
    tc_subscribe(late, "will", 1);
    ck_assert(tc_receive(late, "will", "bye", 1)->retain);
    tc_disconnect(tc_connect_with(h, .id = "c", .version = MQTT_3_1, .will = {.topic = "will", .payload = "bye"}));
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt31_keep_alive_is_enforced)
{
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1, .keep_alive_s = 10);
    harness_advance(h, 14000);
    tc_expect_alive(c);
    harness_advance(h, 16000);
    tc_expect_closed(c);
}
