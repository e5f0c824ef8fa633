/**
 * protocol/reason.h: the tables of the specification, one list per packet.
 */
#include "protocol/reason.h"

#include "tests/protocol/expect.h"

#include <string.h>

/* True if HEX, two digits per code, lists CODE. */
static bool lists(const char *hex, unsigned code)
{
    struct bytes codes = guarded_hex(hex);
    bool found = memchr(codes.data, (int)code, codes.len) != NULL;
    guarded_free(codes.data, codes.len);
    return found;
}

static void expect_allowed(enum packet_type type, bool from_client, const char *hex)
{
    for (unsigned code = 0; code < 256; code++) {
        ck_assert_msg(reason_is_allowed(type, (uint8_t)code, from_client) == lists(hex, code), "%s 0x%02X",
                      packet_name(type), code);
    }
}

START_TEST(connack_has_its_codes_mqtt_3_2_2_8)
{
    expect_allowed(PACKET_CONNACK, false, "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f");
}
END_TEST

START_TEST(puback_has_its_codes_mqtt_3_4_2_1)
{
    expect_allowed(PACKET_PUBACK, true, "00 10 80 83 87 90 91 97 99");
    expect_allowed(PACKET_PUBACK, false, "00 10 80 83 87 90 91 97 99");
}
END_TEST

START_TEST(pubrec_has_its_codes_mqtt_3_5_2_1)
{
    expect_allowed(PACKET_PUBREC, true, "00 10 80 83 87 90 91 97 99");
}
END_TEST

START_TEST(pubrel_has_its_codes_mqtt_3_6_2_1)
{
    expect_allowed(PACKET_PUBREL, true, "00 92");
}
END_TEST

START_TEST(pubcomp_has_its_codes_mqtt_3_7_2_1)
{
    expect_allowed(PACKET_PUBCOMP, true, "00 92");
}
END_TEST

START_TEST(suback_has_its_codes_mqtt_3_9_3_2)
{
    expect_allowed(PACKET_SUBACK, false, "00 01 02 80 83 87 8f 91 97 9e a1 a2");
}
END_TEST

START_TEST(unsuback_has_its_codes_mqtt_3_11_3_2)
{
    expect_allowed(PACKET_UNSUBACK, false, "00 11 80 83 87 8f 91");
}
END_TEST

START_TEST(disconnect_has_its_codes_in_each_direction_mqtt_3_14_2_1)
{
    expect_allowed(PACKET_DISCONNECT, true, "00 04 80 81 82 83 90 93 94 95 96 97 98 99");
    expect_allowed(PACKET_DISCONNECT, false,
                   "00 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2");
}
END_TEST

START_TEST(auth_has_its_codes_in_each_direction_mqtt_3_15_2_1)
{
    expect_allowed(PACKET_AUTH, true, "18 19");
    expect_allowed(PACKET_AUTH, false, "00 18");
}
END_TEST

START_TEST(other_packets_have_none)
{
    static const enum packet_type types[] = {PACKET_CONNECT,     PACKET_PUBLISH, PACKET_SUBSCRIBE,
                                             PACKET_UNSUBSCRIBE, PACKET_PINGREQ, PACKET_PINGRESP};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        expect_allowed(types[i], true, "");
        expect_allowed(types[i], false, "");
    }
    expect_allowed((enum packet_type)0, true, "");
    expect_allowed((enum packet_type)16, true, "");
    expect_allowed((enum packet_type)1000, true, "");
}
END_TEST

START_TEST(names_are_those_of_the_specification)
{
    ck_assert_str_eq(reason_name(0x00), "Success");
    ck_assert_str_eq(reason_name(0x04), "Disconnect with Will Message");
    ck_assert_str_eq(reason_name(0x82), "Protocol Error");
    ck_assert_str_eq(reason_name(0x90), "Topic Name invalid");
    ck_assert_str_eq(reason_name(0xA2), "Wildcard Subscriptions not supported");
    unsigned named = 0;
    for (unsigned code = 0; code < 256; code++) {
        named += strcmp(reason_name((uint8_t)code), "unknown") != 0;
    }
    ck_assert_uint_eq(named, 43);
    ck_assert_str_eq(reason_name(0x03), "unknown");
    ck_assert_str_eq(reason_name(0xA3), "unknown");
    ck_assert_str_eq(reason_name(0xFF), "unknown");
}
END_TEST

START_TEST(refusals_become_return_codes_where_one_fits_mqtt311_3_2_2_6)
{
    ck_assert_uint_eq(reason_to_connack_v3(REASON_UNSUPPORTED_PROTOCOL_VERSION), 1);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_CLIENT_IDENTIFIER_NOT_VALID), 2);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_SERVER_UNAVAILABLE), 3);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_SERVER_BUSY), 3);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_BAD_USER_NAME_OR_PASSWORD), 4);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_NOT_AUTHORIZED), 5);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_BANNED), 5);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_MALFORMED_PACKET), 0);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_PROTOCOL_ERROR), 0);
    ck_assert_uint_eq(reason_to_connack_v3(REASON_TOPIC_NAME_INVALID), 0);
    for (unsigned code = 0x80; code < 256; code++) {
        ck_assert_uint_le(reason_to_connack_v3((uint8_t)code), 5);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reason");
    TCase *allowed = tcase_create("allowed");
    TCase *words = tcase_create("words");

    tcase_add_test(allowed, connack_has_its_codes_mqtt_3_2_2_8);
    tcase_add_test(allowed, puback_has_its_codes_mqtt_3_4_2_1);
    tcase_add_test(allowed, pubrec_has_its_codes_mqtt_3_5_2_1);
    tcase_add_test(allowed, pubrel_has_its_codes_mqtt_3_6_2_1);
    tcase_add_test(allowed, pubcomp_has_its_codes_mqtt_3_7_2_1);
    tcase_add_test(allowed, suback_has_its_codes_mqtt_3_9_3_2);
    tcase_add_test(allowed, unsuback_has_its_codes_mqtt_3_11_3_2);
    tcase_add_test(allowed, disconnect_has_its_codes_in_each_direction_mqtt_3_14_2_1);
    tcase_add_test(allowed, auth_has_its_codes_in_each_direction_mqtt_3_15_2_1);
    tcase_add_test(allowed, other_packets_have_none);
    suite_add_tcase(s, allowed);
    tcase_add_test(words, names_are_those_of_the_specification);
    tcase_add_test(words, refusals_become_return_codes_where_one_fits_mqtt311_3_2_2_6);
    suite_add_tcase(s, words);
    return s;
}

CHECK_MAIN(suite)
