/**
 * protocol/ack.h: PUBACK, PUBREC, PUBREL and PUBCOMP, which differ in their type, flags and reason codes alone.
 */
#include "protocol/ack.h"

#include "protocol/reason.h"

#include "tests/protocol/expect.h"

#include <stdio.h>

static const struct {
    enum packet_type type;
    uint8_t first;
    uint8_t error; /* a reason code of this packet */
} acks[] = {
    {PACKET_PUBACK, 0x40, REASON_QUOTA_EXCEEDED},
    {PACKET_PUBREC, 0x50, REASON_NOT_AUTHORIZED},
    {PACKET_PUBREL, 0x62, REASON_PACKET_IDENTIFIER_NOT_FOUND},
    {PACKET_PUBCOMP, 0x70, REASON_PACKET_IDENTIFIER_NOT_FOUND},
};

#define ACK_COUNT ((int)(sizeof acks / sizeof acks[0]))

static bool decode(const char *hex, enum packet_type type, enum mqtt_version version, struct ack *out, uint8_t code)
{
    struct fault fault = {0, NULL};
    bool accepted = ack_decode(guarded_hex(hex), type, version, out, &fault);
    if (!accepted) {
        expect_fault(fault, code);
    }
    return accepted;
}

/* "1234 CODE REST" with the error code of the type. */
static const char *with_error(int which, const char *rest)
{
    static char hex[64];
    snprintf(hex, sizeof hex, "1234 %02x %s", acks[which].error, rest);
    return hex;
}

START_TEST(id_alone_is_success)
{
    struct ack a;
    for (int version = FIRST_VERSION; version < END_VERSION; version++) {
        ck_assert(decode("1234", acks[_i].type, (enum mqtt_version)version, &a, 0));
        ck_assert_uint_eq(a.packet_id, 0x1234);
        ck_assert_uint_eq(a.reason_code, 0);
        ck_assert_uint_eq(a.properties.present, 0);
    }
}
END_TEST

START_TEST(reason_and_properties_may_follow_in_5_0)
{
    struct ack a;
    ck_assert(decode(with_error(_i, ""), acks[_i].type, MQTT_5_0, &a, 0));
    ck_assert_uint_eq(a.reason_code, acks[_i].error);
    ck_assert_uint_eq(a.properties.present, 0);
    ck_assert(decode(with_error(_i, "00"), acks[_i].type, MQTT_5_0, &a, 0));
    ck_assert(decode(with_error(_i, "09 1f 0001 'r' 26 0000 0000"), acks[_i].type, MQTT_5_0, &a, 0));
    expect_bytes(a.properties.reason_string, "r");
    ck_assert_uint_eq(a.properties.user_properties, 1);
}
END_TEST

START_TEST(nothing_follows_the_id_in_3_x)
{
    struct ack a;
    ck_assert(!decode("1234 00", acks[_i].type, MQTT_3_1_1, &a, REASON_MALFORMED_PACKET));
    ck_assert(!decode("1234 00 00", acks[_i].type, MQTT_3_1, &a, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(id_is_there_and_not_0_mqtt_2_2_1_5_mqtt311_2_3_1_1)
{
    struct ack a;
    for (int version = FIRST_VERSION; version < END_VERSION; version++) {
        ck_assert(!decode("0000", acks[_i].type, (enum mqtt_version)version, &a, REASON_MALFORMED_PACKET));
        ck_assert(!decode("12", acks[_i].type, (enum mqtt_version)version, &a, REASON_MALFORMED_PACKET));
        ck_assert(!decode("", acks[_i].type, (enum mqtt_version)version, &a, REASON_MALFORMED_PACKET));
    }
}
END_TEST

START_TEST(reason_is_listed_mqtt_3_4_2_1_mqtt_3_5_2_1_mqtt_3_6_2_1_mqtt_3_7_2_1)
{
    struct ack a;
    for (unsigned code = 0; code < 256; code++) {
        char hex[16];
        snprintf(hex, sizeof hex, "1234 %02x", code);
        ck_assert(decode(hex, acks[_i].type, MQTT_5_0, &a, REASON_PROTOCOL_ERROR) ==
                  reason_is_allowed(acks[_i].type, (uint8_t)code, true));
    }
}
END_TEST

START_TEST(left_over_and_foreign_properties_are_malformed)
{
    struct ack a;
    ck_assert(!decode(with_error(_i, "00 00"), acks[_i].type, MQTT_5_0, &a, REASON_MALFORMED_PACKET));
    ck_assert(!decode(with_error(_i, "05"), acks[_i].type, MQTT_5_0, &a, REASON_MALFORMED_PACKET));
    ck_assert(!decode(with_error(_i, "02 01 01"), acks[_i].type, MQTT_5_0, &a, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(usual_acknowledgement_has_four_bytes)
{
    uint8_t *buf = guarded_alloc(4);
    char expected[16];
    snprintf(expected, sizeof expected, "%02x 02 1234", acks[_i].first);
    for (int version = FIRST_VERSION; version < END_VERSION; version++) {
        expect_hex(buf, ack_encode(buf, 4, acks[_i].type, 0x1234, 0, NO_BYTES, 0, (enum mqtt_version)version),
                   expected);
        ck_assert_uint_eq(ack_encode(buf + 1, 3, acks[_i].type, 1, 0, NO_BYTES, 0, (enum mqtt_version)version), 0);
    }
    /* 3.x has no word for an error */
    struct bytes why = bytes_from_string("why");
    expect_hex(buf, ack_encode(buf, 4, acks[_i].type, 0x1234, acks[_i].error, why, 0, MQTT_3_1_1), expected);
}
END_TEST

START_TEST(reason_is_written_in_5_0)
{
    uint8_t buf[32];
    char expected[64];
    struct bytes why = bytes_from_string("why");
    snprintf(expected, sizeof expected, "%02x 03 1234 %02x", acks[_i].first, acks[_i].error);
    expect_hex(buf, ack_encode(buf, sizeof buf, acks[_i].type, 0x1234, acks[_i].error, NO_BYTES, 0, MQTT_5_0),
               expected);
    snprintf(expected, sizeof expected, "%02x 0a 1234 %02x 06 1f 0003 'why'", acks[_i].first, acks[_i].error);
    expect_hex(buf, ack_encode(buf, sizeof buf, acks[_i].type, 0x1234, acks[_i].error, why, 0, MQTT_5_0), expected);
    ck_assert_uint_eq(ack_encode(buf, 11, acks[_i].type, 0x1234, acks[_i].error, why, 0, MQTT_5_0), 0);
}
END_TEST

START_TEST(reason_string_gives_way_to_the_maximum_mqtt_3_4_2_2_mqtt_3_5_2_2_mqtt_3_6_2_2_mqtt_3_7_2_2)
{
    static uint8_t text[65536];
    uint8_t buf[32];
    struct bytes why = bytes_from_string("why");
    uint8_t error = acks[_i].error;
    ck_assert_uint_eq(ack_encode(buf, sizeof buf, acks[_i].type, 1, error, why, 12, MQTT_5_0), 12);
    ck_assert_uint_eq(ack_encode(buf, sizeof buf, acks[_i].type, 1, error, why, 11, MQTT_5_0), 5);
    ck_assert_uint_eq(ack_encode(buf, sizeof buf, acks[_i].type, 1, 0, why, 11, MQTT_5_0), 4);
    why = (struct bytes){text, sizeof text}; /* no string at all */
    ck_assert_uint_eq(ack_encode(buf, sizeof buf, acks[_i].type, 1, error, why, 0, MQTT_5_0), 5);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ack");
    TCase *decode_case = tcase_create("decode");
    TCase *encode = tcase_create("encode");

    tcase_add_loop_test(decode_case, id_alone_is_success, 0, ACK_COUNT);
    tcase_add_loop_test(decode_case, reason_and_properties_may_follow_in_5_0, 0, ACK_COUNT);
    tcase_add_loop_test(decode_case, nothing_follows_the_id_in_3_x, 0, ACK_COUNT);
    tcase_add_loop_test(decode_case, id_is_there_and_not_0_mqtt_2_2_1_5_mqtt311_2_3_1_1, 0, ACK_COUNT);
    tcase_add_loop_test(decode_case, reason_is_listed_mqtt_3_4_2_1_mqtt_3_5_2_1_mqtt_3_6_2_1_mqtt_3_7_2_1, 0,
                        ACK_COUNT);
    tcase_add_loop_test(decode_case, left_over_and_foreign_properties_are_malformed, 0, ACK_COUNT);
    suite_add_tcase(s, decode_case);
    tcase_add_loop_test(encode, usual_acknowledgement_has_four_bytes, 0, ACK_COUNT);
    tcase_add_loop_test(encode, reason_is_written_in_5_0, 0, ACK_COUNT);
    tcase_add_loop_test(encode,
                        reason_string_gives_way_to_the_maximum_mqtt_3_4_2_2_mqtt_3_5_2_2_mqtt_3_6_2_2_mqtt_3_7_2_2, 0,
                        ACK_COUNT);
    suite_add_tcase(s, encode);
    return s;
}

CHECK_MAIN(suite)
