/**
 * protocol/connect.h: CONNECT of all three versions with every rule of its flags and fields, and CONNACK.
 */
#include "protocol/connect.h"

#include "protocol/reason.h"

#include "tests/protocol/expect.h"

#include <stdio.h>

/* Name, level and what the tests vary behind them. */
#define V31  "0006 'MQIsdp' 03 "
#define V311 "0004 'MQTT' 04 "
#define V5   "0004 'MQTT' 05 "

static struct connect expect_accepted(const char *hex)
{
    struct connect c;
    struct fault fault = {0, NULL};
    ck_assert_msg(connect_decode(guarded_hex(hex), &c, &fault), "%s: %s", hex, fault.why);
    return c;
}

/* HEX is refused with CODE. Returns the version that the answer should have. */
static unsigned expect_refused(const char *hex, uint8_t code)
{
    struct connect c;
    struct fault fault = {0, NULL};
    ck_assert_msg(!connect_decode(guarded_hex(hex), &c, &fault), "accepted: %s", hex);
    expect_fault(fault, code);
    return (unsigned)c.version;
}

/* ---- protocol name and level */

START_TEST(three_versions_are_known_mqtt_3_1_2_1_mqtt311_3_1_2_1)
{
    ck_assert_int_eq(expect_accepted(V31 "02 003c 0001 'c'").version, MQTT_3_1);
    ck_assert_int_eq(expect_accepted(V311 "02 003c 0001 'c'").version, MQTT_3_1_1);
    ck_assert_int_eq(expect_accepted(V5 "02 003c 00 0001 'c'").version, MQTT_5_0);
}
END_TEST

START_TEST(other_names_are_refused_mqtt_3_1_2_1_mqtt311_3_1_2_1)
{
    static const char *const names[] = {"0004 'mqtt'", "0004 'MQTt'",   "0005 'MQTT5'", "0000",
                                        "0003 'MQT'",  "0006 'MQIsdP'", "0004 'HTTP'"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char hex[64];
        snprintf(hex, sizeof hex, "%s 04 02 003c 0000", names[i]);
        ck_assert_uint_eq(expect_refused(hex, REASON_UNSUPPORTED_PROTOCOL_VERSION), 0);
    }
}
END_TEST

START_TEST(other_levels_are_refused_mqtt_3_1_2_2_mqtt311_3_1_2_2)
{
    for (unsigned level = 0; level < 256; level++) {
        char hex[64];
        unsigned answer = level > 5 ? MQTT_5_0 : MQTT_3_1_1;
        snprintf(hex, sizeof hex, "0004 'MQTT' %02x 02 003c 00 0000", level);
        if (level != 4 && level != 5 && level != 0x84) {
            ck_assert_uint_eq(expect_refused(hex, REASON_UNSUPPORTED_PROTOCOL_VERSION), answer);
        }
        snprintf(hex, sizeof hex, "0006 'MQIsdp' %02x 02 003c 0000", level);
        if (level != 3 && level != 0x83) {
            ck_assert_uint_eq(expect_refused(hex, REASON_UNSUPPORTED_PROTOCOL_VERSION), answer);
        }
    }
}
END_TEST

START_TEST(bridges_of_3_x_set_the_top_bit_of_the_level)
{
    struct connect c = expect_accepted("0006 'MQIsdp' 83 02 003c 0001 'c'");
    ck_assert_int_eq(c.version, MQTT_3_1);
    ck_assert(c.bridge);
    c = expect_accepted("0004 'MQTT' 84 02 003c 0001 'c'");
    ck_assert_int_eq(c.version, MQTT_3_1_1);
    ck_assert(c.bridge);
    ck_assert(!expect_accepted(V311 "02 003c 0001 'c'").bridge);
}
END_TEST

/* ---- flags */

START_TEST(reserved_flag_is_0_mqtt_3_1_2_3_mqtt311_3_1_2_3)
{
    ck_assert_uint_eq(expect_refused(V311 "03 003c 0001 'c'", REASON_MALFORMED_PACKET), MQTT_3_1_1);
    ck_assert_uint_eq(expect_refused(V5 "03 003c 00 0001 'c'", REASON_MALFORMED_PACKET), MQTT_5_0);
    expect_accepted(V31 "03 003c 0001 'c'"); /* 3.1 has no such rule */
}
END_TEST

START_TEST(clean_start_is_the_second_bit)
{
    ck_assert(expect_accepted(V311 "02 003c 0001 'c'").clean_start);
    ck_assert(!expect_accepted(V311 "00 003c 0001 'c'").clean_start);
}
END_TEST

START_TEST(will_qos_needs_a_will_mqtt_3_1_2_11_mqtt311_3_1_2_13_mqtt311_3_1_2_11)
{
    expect_refused(V5 "08 003c 00 0001 'c'", REASON_MALFORMED_PACKET);
    expect_refused(V5 "10 003c 00 0001 'c'", REASON_MALFORMED_PACKET);
    expect_refused(V311 "08 003c 0001 'c'", REASON_MALFORMED_PACKET);
    ck_assert_uint_eq(expect_accepted(V31 "08 003c 0001 'c'").will_qos, 0);
}
END_TEST

START_TEST(will_retain_needs_a_will_mqtt_3_1_2_13_mqtt311_3_1_2_15)
{
    expect_refused(V5 "20 003c 00 0001 'c'", REASON_MALFORMED_PACKET);
    expect_refused(V311 "20 003c 0001 'c'", REASON_MALFORMED_PACKET);
    ck_assert(!expect_accepted(V31 "20 003c 0001 'c'").will_retain);
}
END_TEST

START_TEST(will_qos_is_0_1_or_2_mqtt_3_1_2_12_mqtt311_3_1_2_14)
{
    for (uint8_t qos = 0; qos < 3; qos++) {
        char hex[64];
        snprintf(hex, sizeof hex, V5 "%02x 003c 00 0001 'c' 00 0001 'w' 0000", 4 | qos << 3);
        ck_assert_uint_eq(expect_accepted(hex).will_qos, qos);
    }
    expect_refused(V5 "1c 003c 00 0001 'c' 00 0001 'w' 0000", REASON_MALFORMED_PACKET);
    expect_refused(V311 "1c 003c 0001 'c' 0001 'w' 0000", REASON_MALFORMED_PACKET);
    expect_refused(V31 "1c 003c 0001 'c' 0001 'w' 0000", REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(password_without_user_name_is_for_5_0_mqtt311_3_1_2_22)
{
    expect_refused(V311 "42 003c 0001 'c' 0001 'p'", REASON_MALFORMED_PACKET);
    expect_refused(V31 "42 003c 0001 'c' 0001 'p'", REASON_MALFORMED_PACKET);
    struct connect c = expect_accepted(V5 "42 003c 00 0001 'c' 0001 'p'");
    ck_assert(!c.has_user_name && c.has_password);
    expect_bytes(c.password, "p");
}
END_TEST

/* ---- payload */

START_TEST(fields_come_in_order_mqtt_3_1_3_1_mqtt311_3_1_3_1)
{
    struct connect c = expect_accepted(V5 "ee 1234 05 11 00000007 0002 'id' 05 18 00000009 0001 't' 0002 'wp' 0001 'u' "
                                          "0003 'p' 00 'q'");
    ck_assert_uint_eq(c.keep_alive_s, 0x1234);
    ck_assert_uint_eq(c.properties.session_expiry_interval_s, 7);
    expect_bytes(c.client_id, "id");
    ck_assert(c.has_will && c.will_retain);
    ck_assert_uint_eq(c.will_qos, 1);
    ck_assert_uint_eq(c.will_properties.will_delay_interval_s, 9);
    expect_bytes(c.will_topic, "t");
    expect_bytes(c.will_payload, "wp");
    ck_assert(c.has_user_name && c.has_password);
    expect_bytes(c.user_name, "u");
    ck_assert_uint_eq(c.password.len, 3);
    c = expect_accepted(V311 "ee 1234 0002 'id' 0001 't' 0002 'wp' 0001 'u' 0001 'p'");
    expect_bytes(c.will_payload, "wp");
    expect_bytes(c.password, "p");
    ck_assert_uint_eq(c.properties.present, 0);
    ck_assert_uint_eq(c.will_properties.present, 0);
}
END_TEST

START_TEST(client_id_is_there_and_may_be_empty_mqtt_3_1_3_3_mqtt311_3_1_3_3)
{
    expect_refused(V5 "02 003c 00", REASON_MALFORMED_PACKET);
    expect_refused(V311 "02 003c", REASON_MALFORMED_PACKET);
    ck_assert_uint_eq(expect_accepted(V5 "02 003c 00 0000").client_id.len, 0);
    ck_assert_uint_eq(expect_accepted(V311 "00 003c 0000").client_id.len, 0);
}
END_TEST

START_TEST(client_id_is_utf8_mqtt_3_1_3_4_mqtt311_3_1_3_4)
{
    expect_refused(V5 "02 003c 00 0001 ff", REASON_MALFORMED_PACKET);
    expect_refused(V5 "02 003c 00 0001 00", REASON_MALFORMED_PACKET);
    expect_refused(V311 "02 003c 0002 c080", REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(will_fields_follow_the_will_flag_mqtt_3_1_2_9_mqtt311_3_1_2_9_mqtt311_3_1_2_11)
{
    expect_refused(V5 "04 003c 00 0001 'c'", REASON_MALFORMED_PACKET);
    expect_refused(V5 "04 003c 00 0001 'c' 00", REASON_MALFORMED_PACKET);
    expect_refused(V5 "04 003c 00 0001 'c' 00 0001 't'", REASON_MALFORMED_PACKET);
    expect_refused(V311 "04 003c 0001 'c' 0001 't'", REASON_MALFORMED_PACKET);
    expect_refused(V311 "00 003c 0001 'c' 0001 't' 0000", REASON_MALFORMED_PACKET);
    struct connect c = expect_accepted(V311 "00 003c 0001 'c'");
    ck_assert(!c.has_will);
    ck_assert_uint_eq(c.will_topic.len + c.will_payload.len, 0);
}
END_TEST

START_TEST(will_topic_is_utf8_mqtt_3_1_3_11_mqtt311_3_1_3_10)
{
    expect_refused(V5 "04 003c 00 0001 'c' 00 0001 ff 0000", REASON_MALFORMED_PACKET);
    expect_refused(V311 "04 003c 0001 'c' 0001 00 0000", REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(will_topic_is_a_topic_name_mqtt_4_7_0_1_mqtt_4_7_3_1_mqtt311_4_7_1_1)
{
    expect_refused(V5 "04 003c 00 0001 'c' 00 0003 'a/#' 0000", REASON_TOPIC_NAME_INVALID);
    expect_refused(V5 "04 003c 00 0001 'c' 00 0001 '+' 0000", REASON_TOPIC_NAME_INVALID);
    expect_refused(V311 "04 003c 0001 'c' 0000 0000", REASON_TOPIC_NAME_INVALID);
}
END_TEST

START_TEST(user_name_follows_its_flag_mqtt_3_1_2_16_mqtt_3_1_2_17_mqtt311_3_1_2_18_mqtt311_3_1_2_19)
{
    expect_refused(V5 "82 003c 00 0001 'c'", REASON_MALFORMED_PACKET);
    expect_refused(V311 "82 003c 0001 'c'", REASON_MALFORMED_PACKET);
    expect_refused(V5 "02 003c 00 0001 'c' 0001 'u'", REASON_MALFORMED_PACKET);
    expect_refused(V311 "02 003c 0001 'c' 0001 'u'", REASON_MALFORMED_PACKET);
    expect_bytes(expect_accepted(V311 "82 003c 0001 'c' 0001 'u'").user_name, "u");
    ck_assert(expect_accepted(V311 "82 003c 0001 'c' 0000").has_user_name);
}
END_TEST

START_TEST(password_follows_its_flag_mqtt_3_1_2_18_mqtt_3_1_2_19_mqtt311_3_1_2_20_mqtt311_3_1_2_21)
{
    expect_refused(V5 "c2 003c 00 0001 'c' 0001 'u'", REASON_MALFORMED_PACKET);
    expect_refused(V311 "c2 003c 0001 'c' 0001 'u'", REASON_MALFORMED_PACKET);
    expect_refused(V5 "82 003c 00 0001 'c' 0001 'u' 0001 'p'", REASON_MALFORMED_PACKET);
    ck_assert(expect_accepted(V311 "c2 003c 0001 'c' 0001 'u' 0000").has_password);
}
END_TEST

START_TEST(user_name_is_utf8_but_password_is_binary_mqtt_3_1_3_12_mqtt311_3_1_3_11)
{
    expect_refused(V5 "82 003c 00 0001 'c' 0001 ff", REASON_MALFORMED_PACKET);
    expect_refused(V311 "82 003c 0001 'c' 0001 00", REASON_MALFORMED_PACKET);
    ck_assert_uint_eq(expect_accepted(V311 "c2 003c 0001 'c' 0001 'u' 0002 ff00").password.len, 2);
}
END_TEST

START_TEST(flagged_fields_may_be_missing_at_the_end_in_3_1)
{
    struct connect c = expect_accepted(V31 "c2 003c 0001 'c'");
    ck_assert(!c.has_user_name && !c.has_password);
    c = expect_accepted(V31 "c2 003c 0001 'c' 0001 'u'");
    ck_assert(c.has_user_name && !c.has_password);
    expect_refused(V31 "c2 003c 0001 'c' 0001", REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(left_over_bytes_are_refused_mqtt_3_1_4_1)
{
    expect_refused(V5 "02 003c 00 0001 'c' 00", REASON_MALFORMED_PACKET);
    expect_refused(V311 "c2 003c 0001 'c' 0001 'u' 0001 'p' 'x'", REASON_MALFORMED_PACKET);
    expect_refused(V31 "02 003c 0001 'c' 'x'", REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(properties_of_connect_and_will_are_checked)
{
    expect_refused(V5 "02 003c 03 21 0000 0001 'c'", REASON_PROTOCOL_ERROR);
    expect_refused(V5 "02 003c 02 01 01 0001 'c'", REASON_MALFORMED_PACKET);
    expect_refused(V5 "04 003c 00 0001 'c' 05 11 00000001 0001 't' 0000", REASON_MALFORMED_PACKET);
    expect_refused(V5 "02 003c 04 16 0001 'd' 0001 'c'", REASON_PROTOCOL_ERROR); /* data without a method */
    expect_accepted(V5 "02 003c 08 16 0001 'd' 15 0001 'm' 0001 'c'");
}
END_TEST

/* ---- encoding */

static struct connect full_connect(enum mqtt_version version)
{
    struct connect c = {
        .version = version,
        .clean_start = true,
        .has_will = true,
        .will_retain = true,
        .will_qos = 2,
        .has_user_name = true,
        .has_password = true,
        .keep_alive_s = 30,
        .client_id = bytes_from_string("id"),
        .will_topic = bytes_from_string("w/t"),
        .will_payload = bytes_from_string("gone"),
        .user_name = bytes_from_string("u"),
        .password = bytes_from_string("pw"),
    };
    c.properties.receive_maximum = 5;
    properties_set(&c.properties, PROPERTY_RECEIVE_MAXIMUM);
    c.will_properties.will_delay_interval_s = 6;
    properties_set(&c.will_properties, PROPERTY_WILL_DELAY_INTERVAL);
    return c;
}

START_TEST(connect_is_written)
{
    static const char *const expected[] = {
        "10 22 0006 'MQIsdp' 03 f6 001e 0002 'id' 0003 'w/t' 0004 'gone' 0001 'u' 0002 'pw'",
        "10 20 0004 'MQTT' 04 f6 001e 0002 'id' 0003 'w/t' 0004 'gone' 0001 'u' 0002 'pw'",
        ("10 34 0004 'MQTT' 05 f6 001e 08 21 0005 26 0000 0000 0002 'id' 0a 18 00000006 26 0000 0000 0003 'w/t' "
         "0004 'gone' 0001 'u' 0002 'pw'"),
    };
    struct connect c = full_connect((enum mqtt_version)_i);
    struct bytes extra = _i == MQTT_5_0 ? guarded_hex("26 0000 0000") : NO_BYTES;
    size_t len = connect_encoded_len(&c, extra, extra);
    uint8_t *buf = guarded_alloc(len);
    expect_hex(buf, connect_encode(buf, len, &c, extra, extra), expected[_i - MQTT_3_1]);
    for (size_t cap = 0; cap < len; cap++) {
        ck_assert_uint_eq(connect_encode(buf + len - cap, cap, &c, extra, extra), 0);
    }
}
END_TEST

START_TEST(connect_decodes_to_what_was_encoded)
{
    struct connect c = full_connect((enum mqtt_version)_i);
    c.bridge = _i != MQTT_5_0;
    size_t len = connect_encoded_len(&c, NO_BYTES, NO_BYTES);
    uint8_t *buf = guarded_alloc(len);
    ck_assert_uint_eq(connect_encode(buf, len, &c, NO_BYTES, NO_BYTES), len);
    struct packet_header header;
    struct bytes body = expect_header((struct bytes){buf, len}, MQTT_5_0, &header);
    struct connect d;
    struct fault fault;
    ck_assert_int_eq(header.type, PACKET_CONNECT);
    ck_assert(connect_decode(body, &d, &fault));
    ck_assert_int_eq(d.version, c.version);
    ck_assert(d.bridge == c.bridge && d.clean_start && d.has_will && d.will_retain && d.will_qos == 2);
    ck_assert(bytes_equal(d.client_id, c.client_id) && bytes_equal(d.will_topic, c.will_topic));
    ck_assert(bytes_equal(d.will_payload, c.will_payload) && bytes_equal(d.user_name, c.user_name));
    ck_assert(bytes_equal(d.password, c.password));
    ck_assert_uint_eq(d.properties.present, _i == MQTT_5_0 ? c.properties.present : 0);
    ck_assert_uint_eq(d.will_properties.present, _i == MQTT_5_0 ? c.will_properties.present : 0);
}
END_TEST

START_TEST(minimal_connect_is_written)
{
    struct connect c = {.version = (enum mqtt_version)_i};
    uint8_t buf[32];
    static const char *const expected[] = {"10 0e 0006 'MQIsdp' 03 00 0000 0000", "10 0c 0004 'MQTT' 04 00 0000 0000",
                                           "10 0d 0004 'MQTT' 05 00 0000 00 0000"};
    expect_hex(buf, connect_encode(buf, sizeof buf, &c, NO_BYTES, NO_BYTES), expected[_i - MQTT_3_1]);
}
END_TEST

START_TEST(field_too_long_for_its_prefix_is_not_written)
{
    static uint8_t text[65536];
    static uint8_t buf[70000];
    struct connect c = {.version = MQTT_5_0, .client_id = {text, 65536}};
    ck_assert_uint_gt(connect_encoded_len(&c, NO_BYTES, NO_BYTES), PACKET_BODY_MAX);
    ck_assert_uint_eq(connect_encode(buf, sizeof buf, &c, NO_BYTES, NO_BYTES), 0);
    c.client_id.len = 65535;
    ck_assert_uint_gt(connect_encode(buf, sizeof buf, &c, NO_BYTES, NO_BYTES), 65535);
}
END_TEST

/* ---- CONNACK */

static bool connack_accepts(const char *hex, enum mqtt_version version, struct connack *out, uint8_t code)
{
    struct fault fault = {0, NULL};
    bool accepted = connack_decode(guarded_hex(hex), version, out, &fault);
    if (!accepted) {
        expect_fault(fault, code);
    }
    return accepted;
}

START_TEST(connack_flags_are_0_but_session_present_mqtt_3_2_2_1)
{
    struct connack c;
    uint8_t code = REASON_MALFORMED_PACKET;
    ck_assert(!connack_accepts("02 00 00", MQTT_5_0, &c, code));
    ck_assert(!connack_accepts("80 00", MQTT_3_1_1, &c, code));
    ck_assert(connack_accepts("01 00 00", MQTT_5_0, &c, code) && c.session_present);
    ck_assert(connack_accepts("00 00", MQTT_3_1_1, &c, code) && !c.session_present);
    ck_assert(connack_accepts("ff 00", MQTT_3_1, &c, code) && !c.session_present); /* no meaning in 3.1 */
}
END_TEST

START_TEST(refusal_has_no_session_present_mqtt_3_2_2_6_mqtt311_3_2_2_4)
{
    struct connack c;
    ck_assert(!connack_accepts("01 87 00", MQTT_5_0, &c, REASON_PROTOCOL_ERROR));
    ck_assert(!connack_accepts("01 05", MQTT_3_1_1, &c, REASON_PROTOCOL_ERROR));
}
END_TEST

START_TEST(connack_codes_are_listed_mqtt_3_2_2_8)
{
    struct connack c;
    ck_assert(!connack_accepts("00 01 00", MQTT_5_0, &c, REASON_PROTOCOL_ERROR));
    ck_assert(!connack_accepts("00 92 00", MQTT_5_0, &c, REASON_PROTOCOL_ERROR));
    ck_assert(!connack_accepts("00 06", MQTT_3_1_1, &c, REASON_PROTOCOL_ERROR));
    ck_assert(connack_accepts("00 05", MQTT_3_1_1, &c, 0) && c.reason_code == 5);
    ck_assert(connack_accepts("00 9f 00", MQTT_5_0, &c, 0) && c.reason_code == 0x9F);
}
END_TEST

START_TEST(connack_length_is_exact)
{
    struct connack c;
    ck_assert(!connack_accepts("00", MQTT_3_1_1, &c, REASON_MALFORMED_PACKET));
    ck_assert(!connack_accepts("00 00 00", MQTT_3_1_1, &c, REASON_MALFORMED_PACKET));
    ck_assert(!connack_accepts("00 00", MQTT_5_0, &c, REASON_MALFORMED_PACKET));
    ck_assert(!connack_accepts("00 00 00 00", MQTT_5_0, &c, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(connack_is_written)
{
    static const char *const expected[] = {"20 02 00 00", "20 02 01 00", "20 0b 01 00 08 21 0007 26 0000 0000"};
    struct connack c = {.session_present = true};
    c.properties.receive_maximum = 7;
    properties_set(&c.properties, PROPERTY_RECEIVE_MAXIMUM);
    struct bytes expected_bytes = guarded_hex(expected[_i - MQTT_3_1]);
    uint8_t *buf = guarded_alloc(expected_bytes.len);
    enum mqtt_version version = (enum mqtt_version)_i;
    struct bytes extra = guarded_hex("26 0000 0000");
    size_t len = connack_encode(buf, expected_bytes.len, &c, extra, version);
    expect_hex(buf, len, expected[_i - MQTT_3_1]);
    ck_assert_uint_eq(connack_encode(buf + 1, len - 1, &c, extra, version), 0);
    struct connack d;
    struct packet_header header;
    struct fault fault;
    ck_assert(connack_decode(expect_header((struct bytes){buf, len}, version, &header), version, &d, &fault));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("connect");
    TCase *version = tcase_create("version");
    TCase *flags = tcase_create("flags");
    TCase *payload = tcase_create("payload");
    TCase *encode = tcase_create("encode");
    TCase *connack = tcase_create("connack");

    tcase_add_test(version, three_versions_are_known_mqtt_3_1_2_1_mqtt311_3_1_2_1);
    tcase_add_test(version, other_names_are_refused_mqtt_3_1_2_1_mqtt311_3_1_2_1);
    tcase_add_test(version, other_levels_are_refused_mqtt_3_1_2_2_mqtt311_3_1_2_2);
    tcase_add_test(version, bridges_of_3_x_set_the_top_bit_of_the_level);
    suite_add_tcase(s, version);
    tcase_add_test(flags, reserved_flag_is_0_mqtt_3_1_2_3_mqtt311_3_1_2_3);
    tcase_add_test(flags, clean_start_is_the_second_bit);
    tcase_add_test(flags, will_qos_needs_a_will_mqtt_3_1_2_11_mqtt311_3_1_2_13_mqtt311_3_1_2_11);
    tcase_add_test(flags, will_retain_needs_a_will_mqtt_3_1_2_13_mqtt311_3_1_2_15);
    tcase_add_test(flags, will_qos_is_0_1_or_2_mqtt_3_1_2_12_mqtt311_3_1_2_14);
    tcase_add_test(flags, password_without_user_name_is_for_5_0_mqtt311_3_1_2_22);
    suite_add_tcase(s, flags);
    tcase_add_test(payload, fields_come_in_order_mqtt_3_1_3_1_mqtt311_3_1_3_1);
    tcase_add_test(payload, client_id_is_there_and_may_be_empty_mqtt_3_1_3_3_mqtt311_3_1_3_3);
    tcase_add_test(payload, client_id_is_utf8_mqtt_3_1_3_4_mqtt311_3_1_3_4);
    tcase_add_test(payload, will_fields_follow_the_will_flag_mqtt_3_1_2_9_mqtt311_3_1_2_9_mqtt311_3_1_2_11);
    tcase_add_test(payload, will_topic_is_utf8_mqtt_3_1_3_11_mqtt311_3_1_3_10);
    tcase_add_test(payload, will_topic_is_a_topic_name_mqtt_4_7_0_1_mqtt_4_7_3_1_mqtt311_4_7_1_1);
    tcase_add_test(payload, user_name_follows_its_flag_mqtt_3_1_2_16_mqtt_3_1_2_17_mqtt311_3_1_2_18_mqtt311_3_1_2_19);
    tcase_add_test(payload, password_follows_its_flag_mqtt_3_1_2_18_mqtt_3_1_2_19_mqtt311_3_1_2_20_mqtt311_3_1_2_21);
    tcase_add_test(payload, user_name_is_utf8_but_password_is_binary_mqtt_3_1_3_12_mqtt311_3_1_3_11);
    tcase_add_test(payload, flagged_fields_may_be_missing_at_the_end_in_3_1);
    tcase_add_test(payload, left_over_bytes_are_refused_mqtt_3_1_4_1);
    tcase_add_test(payload, properties_of_connect_and_will_are_checked);
    suite_add_tcase(s, payload);
    tcase_add_loop_test(encode, connect_is_written, FIRST_VERSION, END_VERSION);
    tcase_add_loop_test(encode, connect_decodes_to_what_was_encoded, FIRST_VERSION, END_VERSION);
    tcase_add_loop_test(encode, minimal_connect_is_written, FIRST_VERSION, END_VERSION);
    tcase_add_test(encode, field_too_long_for_its_prefix_is_not_written);
    suite_add_tcase(s, encode);
    tcase_add_test(connack, connack_flags_are_0_but_session_present_mqtt_3_2_2_1);
    tcase_add_test(connack, refusal_has_no_session_present_mqtt_3_2_2_6_mqtt311_3_2_2_4);
    tcase_add_test(connack, connack_codes_are_listed_mqtt_3_2_2_8);
    tcase_add_test(connack, connack_length_is_exact);
    tcase_add_loop_test(connack, connack_is_written, FIRST_VERSION, END_VERSION);
    suite_add_tcase(s, connack);
    return s;
}

CHECK_MAIN(suite)
