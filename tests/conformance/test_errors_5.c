/* MQTT 5.0, 1.5, 2.1, 2.2.2 and 4.13: bytes that are no packet, and what becomes of their connection. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <string.h>

/* PACKET on a connection that is open is refused with REASON_CODE. */
static void check_refused(struct harness *h, const char *packet, uint8_t reason_code)
{
    struct tc *c = tc_connect_with(h, .id = packet, .properties = "session_expiry:0");
    tc_send_spec(c, "%s", packet);
    tc_expect_refused(c, reason_code);
}

static void check_malformed(struct harness *h, const char *const *packets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_refused(h, packets[i], REASON_MALFORMED_PACKET);
    }
}

#define CHECK_MALFORMED(packets) check_malformed(h, packets, sizeof(packets) / sizeof((packets)[0]))

/* --- strings ---------------------------------------------------------------------------------------------------------------------- */

/* Bytes that are no UTF-8, in a string of every packet and place that a client may put one. */
static void check_string_everywhere(struct harness *h, const char *string)
{
    static const char *const places[][2] = {
        {"30{", " {} 'x'}"},
        {"30{<a> {content_type:", "} 'x'}"},
        {"30{<a> {response_topic:", "} 'x'}"},
        {"30{<a> {user:", "<v>} 'x'}"},
        {"30{<a> {user:<k>", "} 'x'}"},
        {"40{0001 00 {reason_string:", "}}"},
        {"62{0001 00 {user:", "<v>}}"},
        {"82{0001 {} ", " 00}"},
        {"82{0001 {user:<k>", "} <a> 00}"},
        {"a2{0001 {} ", "}"},
        {"e0{00 {reason_string:", "}}"},
        {"f0{19 {auth_method:", "}}"},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char packet[256];
        snprintf(packet, sizeof(packet), "%s%s%s", places[i][0], string, places[i][1]);
        check_refused(h, packet, REASON_MALFORMED_PACKET);
    }
    static const char *const connects[][2] = {
        {"10{<MQTT> 05 02 0000 {} ", "}"},
        {"10{<MQTT> 05 02 0000 {user:", "<v>} <c>}"},
        {"10{<MQTT> 05 02 0000 {auth_method:", "} <c>}"},
        {"10{<MQTT> 05 06 0000 {} <c> {} ", " <x>}"},
        {"10{<MQTT> 05 06 0000 {} <c> {content_type:", "} <w> <x>}"},
        {"10{<MQTT> 05 82 0000 {} <c> ", "}"},
    };
    for (size_t i = 0; i < sizeof(connects) / sizeof(connects[0]); i++) {
        struct tc *c = tc_open(h, 0);
        tc_send_spec(c, "%s%s%s", connects[i][0], string, connects[i][1]);
        tc_expect_connack(c, false, REASON_MALFORMED_PACKET);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt_1_5_4_1_strings_that_are_no_utf8_are_malformed)
{
    static const char *const strings[] = {
        "['a' ff]",    /* no such byte */
        "['a' c3]",    /* cut off */
        "['a' c3 28]", /* no continuation */
        "[80]",        /* a continuation alone */
        "[c0 af]",     /* overlong */
        "[e0 80 af]",
        "[f0 80 80 af]",
        "[ed a0 80]",          /* a surrogate, D800 */
        "[ed bf bf]",          /* DFFF */
        "[ed a1 8c ed be b4]", /* a pair of them */
        "[f4 90 80 80]",       /* above 10FFFF */
        "[f8 88 80 80 80]",
    };
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        check_string_everywhere(h, strings[i]);
    }
}

CONFORMANCE_TEST(mqtt_1_5_4_2_strings_with_nul_are_malformed)
{
    check_string_everywhere(h, "['a' 00 'b']");
    check_string_everywhere(h, "[00]");
}

CONFORMANCE_TEST(mqtt_1_5_4_1_all_other_characters_are_carried)
{
    /* the borders of each length, and the last before and the first behind the surrogates */
    static const char topic[] =
        "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xf0\x90\x80\x80\xf4\x8f\xbf\xbd";
    struct tc *c = tc_connect(h, topic, MQTT_5_0);
    tc_subscribe(c, topic, 1);
    tc_publish(c, topic, "x", 1);
    tc_receive(c, topic, "x", 1);
}

CONFORMANCE_TEST(mqtt_1_5_4_3_u_feff_is_kept)
{
    static const char with[] = "\xef\xbb\xbf"
                               "a";
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, with, 1);
    tc_publish(c, "a", "not this", 1);
    tc_publish_with(c, .topic = with, .payload = with, .qos = 1,
                    .properties = "content_type:<\xef\xbb\xbf"
                                  "t>");
    const struct publish *publish = tc_receive(c, with, with, 1);
    ck_assert(tc_has_properties(&publish->properties, "content_type:<\xef\xbb\xbf"
                                                      "t>"));
    tc_expect_nothing(c);
    struct tc *d = tc_connect(h,
                              "\xef\xbb\xbf"
                              "c",
                              MQTT_5_0); /* another client than "c" */
    tc_expect_alive(d);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_1_5_7_1_names_and_values_of_user_properties_are_strings)
{
    static const char *const packets[] = {
        "30{<a> {user:['k' ff]<v>} 'x'}",  "30{<a> {user:<k>['v' ff]} 'x'}",
        "30{<a> {user:['k' 00]<v>} 'x'}",  "30{<a> {user:<k>[00]} 'x'}",
        "30{<a> {user:<k>} 'x'}",          "30{<a> {user:<k> 00} 'x'}",
        "30{<a> {user:<k> 0002 'v'} 'x'}", "82{0001 {user:<k>[eda080]} <a> 00}",
    };
    CHECK_MALFORMED(packets);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_publish_with(c, .topic = "a", .payload = "x", .qos = 1, .properties = "user:<><> user:<k><> user:<><v>");
    ck_assert(tc_has_properties(&tc_receive(c, "a", "x", 1)->properties, "user:<><> user:<k><> user:<><v>"));
}

/* --- numbers and lengths -------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_1_5_5_1_variable_byte_integers_have_their_shortest_form)
{
    static const char *const packets[] = {
        "30 8700 <a> 00 'abc'", /* Remaining Length of 7 in two bytes */
        "c0 8000",              /* 0 in two */
        "30 ffffff80 01",       /* a fifth byte */
        "30 ffffffff 7f",
        "30{<a> 8000 'x'}", /* Property Length */
        "30{<a> 8300 010100 'x'}",
        "82{0001 {0b 8100} <a> 00}", /* Subscription Identifier */
        "82{0001 {0b ffffff8001} <a> 00}",
    };
    CHECK_MALFORMED(packets);
}

CONFORMANCE_TEST(mqtt_1_5_5_1_server_writes_the_shortest_form)
{
    static char payload[130];
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    for (size_t len = 120; len < 130; len++) { /* across the border of one and two bytes; the client decodes strictly */
        memset(payload, 'x', len);
        payload[len] = '\0';
        tc_publish(c, "a", payload, 0);
        tc_receive(c, "a", payload, 0);
        ck_assert_uint_eq(tc_last_bytes(c)[1] & 0x80u, len + 4 > 127 ? 0x80 : 0);
    }
}

CONFORMANCE_TEST(mqtt_2_1_3_1_reserved_flags_are_malformed)
{
    static const char *const bodies[] = {
        [PACKET_PUBACK] = "{0001}",
        [PACKET_PUBREC] = "{0001}",
        [PACKET_PUBREL] = "{0001}",
        [PACKET_PUBCOMP] = "{0001}",
        [PACKET_SUBSCRIBE] = "{0001 {} <a> 00}",
        [PACKET_UNSUBSCRIBE] = "{0001 {} <a>}",
        [PACKET_PINGREQ] = "{}",
        [PACKET_DISCONNECT] = "{}",
        [PACKET_AUTH] = "{19 {auth_method:<TEST>}}",
        [PACKET_CONNECT] = "{<MQTT> 05 02 0000 {} <c>}",
    };
    for (unsigned type = 1; type < sizeof(bodies) / sizeof(bodies[0]); type++) {
        unsigned prescribed = type == PACKET_PUBREL || type == PACKET_SUBSCRIBE || type == PACKET_UNSUBSCRIBE ? 2 : 0;
        for (unsigned flags = 0; bodies[type] != NULL && flags <= 0xf; flags++) {
            if (flags != prescribed) {
                char packet[64];
                snprintf(packet, sizeof(packet), "%x%x%s", type, flags, bodies[type]);
                check_refused(h, packet, REASON_MALFORMED_PACKET);
            }
        }
    }
}

CONFORMANCE_TEST(mqtt_2_1_3_1_packet_type_0_is_malformed)
{
    static const char *const packets[] = {"0000", "0f00", "02{0001}"};
    CHECK_MALFORMED(packets);
}

CONFORMANCE_TEST(mqtt_2_2_2_1_property_length_is_announced_though_it_is_0)
{
    /* what the client leaves out */
    static const char *const packets[] = {"82{0001}", "a2{0001}", "30{<a>}", "32{<a> 0001}"};
    CHECK_MALFORMED(packets);
    /* and what the server writes */
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    ck_assert_mem_eq(tc_last_bytes(c), "\x90\x04\x00\x01\x00\x00", 6);
    tc_publish(c, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
    ck_assert_mem_eq(tc_last_bytes(c), "\x30\x05\x00\x01\x61\x00x", 7);
    tc_unsubscribe(c, "a");
    ck_assert_mem_eq(tc_last_bytes(c), "\xb0\x04\x00\x02\x00\x00", 6);
}

/* --- 4.13 -------------------------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_13_1_1_malformed_packets_are_told_with_0x81_and_closed)
{
    static const char *const packets[] = {
        "36{<a> 0001 {} 'x'}", /* QoS 3 */
        "3e{<a> 0001 {} 'x'}",
        "30{0005 'a'}", /* a string that leaves the packet */
        "30{}",
        "30{00}",
        "32{<a> 00}",
        "30{<a> 05 'x'}", /* properties that leave the packet */
        "30{<a> {} 'x'} 30{<a> 7f}",
        "30{<a> {01} 'x'}", /* a value that is cut */
        "30{<a> {02 000000} 'x'}",
        "30{<a> {03} 'x'}",
        "30{<a> {04 00} 'x'}", /* no such property */
        "30{<a> {7f} 'x'}",
        "30{<a> {session_expiry:1} 'x'}", /* one of another packet */
        "82{0001 {alias:1} <a> 00}",
        "a2{0001 {subscription_id:1} <a>}",
        "40{0001 00 {session_expiry:1}}",
        "e0{00 {will_delay:1}}",
        "40{}",
        "40{00}",
        "40{0001 00 00 00}", /* bytes behind the end */
        "62{0001 00 {} 00}",
        "e0{00 {} 00}",
        "c0{00}",
    };
    CHECK_MALFORMED(packets);
}

CONFORMANCE_TEST(mqtt_4_13_1_1_protocol_errors_are_told_with_0x82_and_closed)
{
    static const char *const packets[] = {
        "10{<MQTT> 05 02 0000 {} <c>}", /* once more */
        "20{00 00 {}}",                 /* a server's */
        "90{0001 {} 00}",
        "b0{0001 {} 00}",
        "d000",
        "30{<a> {payload_format:0 payload_format:0} 'x'}", /* twice */
        "30{<a> {message_expiry:1 message_expiry:1} 'x'}",
        "30{<a> {content_type:<a> content_type:<a>} 'x'}",
        "30{<a> {response_topic:<a> response_topic:<a>} 'x'}",
        "30{<a> {correlation:<a> correlation:<a>} 'x'}",
        "30{<a> {alias:1 alias:1} 'x'}",
        "30{<a> {payload_format:2} 'x'}",  /* out of range */
        "30{<a> {subscription_id:1} 'x'}", /* [MQTT-3.3.4-6] */
        "30{<a> {response_topic:<a/#>} 'x'}",
        "30{<> {alias:3} 'x'}", /* not set yet */
        "30{<> {} 'x'}",
        "82{0001 {}}",
        "82{0001 {} <a> 03}",
        "82{0001 {subscription_id:0} <a> 00}",
        "a2{0001 {}}",
        "40{0001}",    /* for nothing */
        "40{0001 92}", /* not one of its reason codes */
        "e0{8e}",
        "e0{00 {session_expiry:1 session_expiry:1}}",
        "f0{19 {auth_method:<TEST>}}", /* without a method in CONNECT */
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        check_refused(h, packets[i], REASON_PROTOCOL_ERROR);
    }
}

CONFORMANCE_TEST(mqtt_4_13_1_1_other_connections_do_not_notice)
{
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "#", 1);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    check_refused(h, "30{<a> 7f 'x'}", REASON_MALFORMED_PACKET);
    tc_publish(p, "a", "x", 1);
    tc_receive(s, "a", "x", 1);
    tc_expect_nothing(s);
}

CONFORMANCE_TEST(mqtt_4_13_1_1_session_outlives_the_fault)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_send_spec(c, "30{<a> 7f 'x'}");
    tc_expect_refused(c, REASON_MALFORMED_PACKET);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_publish(p, "a", "x", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_receive(c, "a", "x", 1);
}

CONFORMANCE_TEST(mqtt_4_13_2_1_connection_is_closed_though_the_refusal_cannot_be_sent)
{
    h->access.refusal = REASON_NOT_AUTHORIZED;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "packet_max:4"}); /* CONNACK has 5 */
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_4_13_2_1_connection_is_closed_whether_disconnect_is_read_or_not)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_set_room(c, 1);
    tc_send_spec(c, "20{00 00 {}}");
    ck_assert(c->closed);
    tc_hang_up(c);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_4_13_2_1_nothing_is_kept_open_behind_a_refusal)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "20{00 00 {}} c000 c000 30{<a> {} 'x'}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    ck_assert_ptr_null(c->client);
}
