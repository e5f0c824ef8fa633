/* MQTT 5.0, 3.12 and 3.14: PINGREQ, PINGRESP, DISCONNECT. */
#include "tests/conformance/conformance.h"
#include "tests/conformance/optional_parts.h"

#include <stdio.h>
#include <string.h>

/* --- PINGREQ ------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_12_4_1_each_pingreq_has_a_pingresp)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "c000 c000 c000");
    for (int i = 0; i < 3; i++) {
        tc_expect_pingresp(c);
    }
    ck_assert_uint_eq(tc_last_bytes(c)[0], 0xd0);
    ck_assert_uint_eq(tc_last_bytes(c)[1], 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_12_4_1_pingreq_with_a_body_is_malformed)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "c0{00}");
    tc_expect_refused(c, REASON_MALFORMED_PACKET);
}

/* --- a DISCONNECT of the server ------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_14_0_1_no_disconnect_before_a_connack_that_accepts)
{
    static const char *const packets[] = {
        "c000",
        "20{00 00 {}}",
        "30{<a> {} 'x'}",
        "e000",
        "f0{18 {auth_method:<TEST>}}",
        "0000",
        "1f{}",
        "10 ffffffff 01",
        "10 ffffff7f",
        "10{<MQTT> 05}",
        "10{<MQTT> 05 03 0000 {} <c>}",
        "10{<MQTT> 05 02 0000 {session_expiry:1 session_expiry:2} <c>}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_open(h, 0);
        tc_send_spec(c, "%s", packets[i]);
        ck_assert_msg(c->closed, "%s", packets[i]);
        ck_assert_msg(!c->has_disconnect, "%s", packets[i]);
    }
    struct tc *silent = tc_open(h, 0);
    harness_advance(h, h->limits->connect_timeout_ms + 1100);
    ck_assert(silent->closed);
    ck_assert(!silent->has_disconnect);
    h->access.refusal = REASON_NOT_AUTHORIZED;
    struct tc *refused = tc_try_connect(h, (struct tc_options){.id = "c"});
    tc_expect_connack(refused, false, REASON_NOT_AUTHORIZED);
    tc_expect_closed(refused);
}

CONFORMANCE_TEST(mqtt_3_14_2_1_disconnect_has_a_listed_reason_code_for_each_fault)
{
    h->limits->packet_bytes = 1000;
    h->limits->topic_alias_max = 5;
    h->limits->inflight_messages = 2;
    const struct {
        const char *packet;
        uint8_t reason_code;
    } cases[] = {
        {"30{<a>}", REASON_MALFORMED_PACKET},
        {"10{<MQTT> 05 02 0000 {} <c>}", REASON_PROTOCOL_ERROR},
        {"82{0001 {} <a#> 00}", REASON_TOPIC_FILTER_INVALID},
        {"30{<a/+> {} 'x'}", REASON_TOPIC_NAME_INVALID},
        {"30{<a> {alias:6} 'x'}", REASON_TOPIC_ALIAS_INVALID},
        {"30 ff07", REASON_PACKET_TOO_LARGE},
        {"34{<a> 0001 {}} 34{<a> 0002 {}} 34{<a> 0003 {}}", REASON_RECEIVE_MAXIMUM_EXCEEDED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_send_spec(c, "%s", cases[i].packet);
        if (cases[i].reason_code == REASON_RECEIVE_MAXIMUM_EXCEEDED) {
            tc_expect_pubrec(c, 1);
            tc_expect_pubrec(c, 2);
        }
        tc_expect_refused(c, cases[i].reason_code);
    }
}

CONFORMANCE_TEST(mqtt_3_14_2_1_disconnect_with_an_unlisted_reason_code_is_a_protocol_error)
{
    static const uint8_t listed[] = {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90,
                                     0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};
    for (unsigned code = 0; code <= 0xff; code++) {
        bool is_listed = memchr(listed, (int)code, sizeof(listed)) != NULL;
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_send_spec(c, "e0{%02x}", code);
        if (is_listed) {
            tc_expect_closed(c);
        } else {
            tc_expect_refused(c, REASON_PROTOCOL_ERROR);
        }
    }
}

/* What the server says in DISCONNECT to C, which has made a mistake. */
static const struct properties *provoke_disconnect(struct tc *c)
{
    tc_send_spec(c, "82{0001 {} <a#> 00}");
    return &tc_expect_refused(c, REASON_TOPIC_FILTER_INVALID)->properties;
}

CONFORMANCE_TEST(mqtt_3_14_2_2_a_disconnect_of_the_server_has_no_session_expiry_interval)
{
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:60");
    ck_assert(!properties_has(provoke_disconnect(c), PROPERTY_SESSION_EXPIRY_INTERVAL));
    struct tc *taken = tc_connect_with(h, .id = "c", .properties = "session_expiry:60");
    tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:10");
    const struct disconnect *disconnect = tc_expect_refused(taken, REASON_SESSION_TAKEN_OVER);
    ck_assert(!HAS(disconnect, SESSION_EXPIRY_INTERVAL));
}

CONFORMANCE_TEST(mqtt_3_14_2_3_mqtt_3_14_2_4_disconnect_leaves_out_what_exceeds_the_maximum_packet_size)
{
    check_optional_parts(h, provoke_disconnect);
}

CONFORMANCE_TEST(mqtt_3_14_4_1_mqtt_3_14_4_2_nothing_follows_a_disconnect_of_the_server_but_the_end)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    h->closes_late = true;
    /* in one segment, behind the mistake: nothing is answered, nothing takes effect */
    tc_send_spec(c, "c000 82{0001 {} <a#> 00} c000 32{<a> 0001 {} 'x'} 82{0002 {} <b> 00}");
    tc_expect_pingresp(c);
    tc_expect_refused(c, REASON_TOPIC_FILTER_INVALID);
    uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1});
    tc_expect_ack(p, PACKET_PUBACK, id, REASON_NO_MATCHING_SUBSCRIBERS);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_3_14_4_2_server_closes_though_the_socket_takes_no_more)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_set_room(c, 0);
    tc_send_spec(c, "82{0001 {} <a#> 00}");
    ck_assert(c->closed); /* the transport is told; what it could not write goes first, if it ever does */
    tc_set_room(c, SIZE_MAX);
    tc_expect_refused(c, REASON_TOPIC_FILTER_INVALID);
}

/* --- a DISCONNECT of the client --------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_14_1_1_reserved_bits_of_disconnect_are_malformed)
{
    for (unsigned flags = 1; flags <= 0xf; flags++) {
        struct tc *w = tc_connect(h, "w", MQTT_5_0);
        tc_subscribe(w, "will", 0);
        struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "x"});
        tc_send_spec(c, "e%x{}", flags);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
        tc_receive(w, "will", "x", 0); /* it was no disconnection in good order */
    }
}

CONFORMANCE_TEST(mqtt_3_14_4_1_what_follows_a_disconnect_of_the_client_has_no_effect)
{
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "#", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "30{<a> {} '1'} e000 30{<a> {} '2'} c000");
    tc_receive(s, "a", "1", 0);
    tc_expect_nothing(s);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_3_14_4_3_disconnect_0x00_drops_the_will)
{
    static const char *const packets[] = {"e000", "e0{00}", "e0{00 {}}", "e0{00 {user:<k><v> reason_string:<bye>}}"};
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "will", 0);
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:5",
                                       .will = {.topic = "will", .payload = "x", .properties = "will_delay:2"});
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
        tc_hang_up(c);
        harness_advance(h, 10000); /* past the delay and the session's end */
        tc_expect_nothing(w);
    }
}

CONFORMANCE_TEST(mqtt_3_14_4_3_any_other_reason_leaves_the_will)
{
    static const uint8_t codes[] = {0x04, 0x80, 0x98};
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "will", 0);
    for (size_t i = 0; i < sizeof(codes); i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "x"});
        tc_send_spec(c, "e0{%02x}", codes[i]);
        tc_expect_closed(c);
        tc_receive(w, "will", "x", 0);
        tc_expect_nothing(w);
    }
}

/* --- its Session Expiry Interval ---------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_14_2_2_mqtt_4_1_0_2_disconnect_may_change_the_session_expiry_interval)
{
    static const struct {
        unsigned connect_s;
        unsigned disconnect_s;
    } cases[] = {{60, 5}, {60, 100}, {60, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char properties[32];
        snprintf(properties, sizeof(properties), "session_expiry:%u", cases[i].connect_s);
        for (int past = 0; past <= 1; past++) {
            struct tc *c = tc_connect_with(h, .id = "c", .properties = properties);
            tc_send_spec(c, "e0{00 {session_expiry:%u}}", cases[i].disconnect_s);
            tc_expect_closed(c);
            uint64_t end_ms = cases[i].disconnect_s * 1000u;
            harness_advance(h, past ? end_ms + 1100 : end_ms / 2);
            c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = properties});
            tc_expect_connack(c, !past && cases[i].disconnect_s > 0, REASON_SUCCESS);
        }
    }
}

CONFORMANCE_TEST(mqtt_3_14_2_2_session_expiry_of_0_cannot_be_raised_by_disconnect)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "e0{00 {session_expiry:60}}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_send_spec(c, "e0{00 {session_expiry:0}}");
    tc_expect_closed(c);
}
