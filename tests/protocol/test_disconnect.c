/**
 * protocol/disconnect.h: DISCONNECT and AUTH, whose rules depend on who sends them.
 */
#include "protocol/disconnect.h"

#include "protocol/reason.h"

#include "tests/protocol/expect.h"

#include <stdio.h>

static bool accepts(const char *hex, enum packet_type type, enum mqtt_version version, bool from_client,
                    struct disconnect *out, uint8_t code)
{
    struct fault fault = {0, NULL};
    bool accepted = disconnect_decode(guarded_hex(hex), type, version, from_client, out, &fault);
    if (!accepted) {
        expect_fault(fault, code);
    }
    return accepted;
}

/* ---- DISCONNECT */

START_TEST(empty_disconnect_is_normal)
{
    struct disconnect d;
    for (int version = FIRST_VERSION; version < END_VERSION; version++) {
        ck_assert(accepts("", PACKET_DISCONNECT, (enum mqtt_version)version, true, &d, 0));
        ck_assert_uint_eq(d.reason_code, 0);
        ck_assert_uint_eq(d.properties.present, 0);
    }
}
END_TEST

START_TEST(disconnect_of_3_x_is_empty)
{
    struct disconnect d;
    ck_assert(!accepts("00", PACKET_DISCONNECT, MQTT_3_1_1, true, &d, REASON_MALFORMED_PACKET));
    ck_assert(!accepts("00 00", PACKET_DISCONNECT, MQTT_3_1, true, &d, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(reason_and_properties_may_follow)
{
    struct disconnect d;
    ck_assert(accepts("04", PACKET_DISCONNECT, MQTT_5_0, true, &d, 0) && d.reason_code == 4);
    ck_assert(accepts("00 00", PACKET_DISCONNECT, MQTT_5_0, true, &d, 0));
    ck_assert(accepts("04 0e 11 0000000a 1f 0001 'r' 26 0000 0000", PACKET_DISCONNECT, MQTT_5_0, true, &d, 0));
    ck_assert_uint_eq(d.properties.session_expiry_interval_s, 10);
    expect_bytes(d.properties.reason_string, "r");
    ck_assert(!accepts("00 00 00", PACKET_DISCONNECT, MQTT_5_0, true, &d, REASON_MALFORMED_PACKET));
    ck_assert(!accepts("00 05", PACKET_DISCONNECT, MQTT_5_0, true, &d, REASON_MALFORMED_PACKET));
    ck_assert(!accepts("00 02 01 01", PACKET_DISCONNECT, MQTT_5_0, true, &d, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(disconnect_reason_is_one_of_its_direction_mqtt_3_14_2_1)
{
    struct disconnect d;
    for (unsigned code = 0; code < 256; code++) {
        for (int from_client = 0; from_client < 2; from_client++) {
            char hex[8];
            snprintf(hex, sizeof hex, "%02x", code);
            ck_assert(accepts(hex, PACKET_DISCONNECT, MQTT_5_0, from_client, &d, REASON_PROTOCOL_ERROR) ==
                      reason_is_allowed(PACKET_DISCONNECT, (uint8_t)code, from_client));
        }
    }
}
END_TEST

START_TEST(server_sends_no_session_expiry_mqtt_3_14_2_2)
{
    struct disconnect d;
    const char *hex = "00 05 11 0000000a";
    ck_assert(!accepts(hex, PACKET_DISCONNECT, MQTT_5_0, false, &d, REASON_PROTOCOL_ERROR));
    ck_assert(accepts(hex, PACKET_DISCONNECT, MQTT_5_0, true, &d, 0));
}
END_TEST

/* ---- AUTH */

START_TEST(auth_names_its_method_mqtt_4_12_0_5)
{
    struct disconnect d;
    ck_assert(accepts("18 09 15 0001 'm' 16 0002 00ff", PACKET_AUTH, MQTT_5_0, true, &d, 0));
    expect_bytes(d.properties.authentication_method, "m");
    ck_assert_uint_eq(d.properties.authentication_data.len, 2);
    ck_assert(!accepts("18", PACKET_AUTH, MQTT_5_0, true, &d, REASON_PROTOCOL_ERROR));
    ck_assert(!accepts("18 00", PACKET_AUTH, MQTT_5_0, true, &d, REASON_PROTOCOL_ERROR));
    ck_assert(!accepts("18 04 16 0001 'd'", PACKET_AUTH, MQTT_5_0, false, &d, REASON_PROTOCOL_ERROR));
}
END_TEST

START_TEST(empty_auth_is_a_servers_success)
{
    struct disconnect d;
    ck_assert(accepts("", PACKET_AUTH, MQTT_5_0, false, &d, 0) && d.reason_code == 0);
    ck_assert(!accepts("", PACKET_AUTH, MQTT_5_0, true, &d, REASON_PROTOCOL_ERROR));
}
END_TEST

START_TEST(auth_reason_is_one_of_its_direction_mqtt_3_15_2_1)
{
    struct disconnect d;
    for (unsigned code = 0; code < 256; code++) {
        for (int from_client = 0; from_client < 2; from_client++) {
            char hex[24];
            snprintf(hex, sizeof hex, "%02x 04 15 0001 'm'", code);
            ck_assert(accepts(hex, PACKET_AUTH, MQTT_5_0, from_client, &d, REASON_PROTOCOL_ERROR) ==
                      reason_is_allowed(PACKET_AUTH, (uint8_t)code, from_client));
        }
    }
}
END_TEST

START_TEST(auth_is_unknown_in_3_x)
{
    struct disconnect d;
    ck_assert(!accepts("", PACKET_AUTH, MQTT_3_1_1, true, &d, REASON_MALFORMED_PACKET));
    ck_assert(!accepts("18 04 15 0001 'm'", PACKET_AUTH, MQTT_3_1_1, true, &d, REASON_MALFORMED_PACKET));
}
END_TEST

/* ---- encoding */

static struct disconnect refusal(void)
{
    struct disconnect d = {.reason_code = REASON_QUOTA_EXCEEDED};
    d.properties.reason_string = bytes_from_string("why");
    properties_set(&d.properties, PROPERTY_REASON_STRING);
    return d;
}

START_TEST(what_says_nothing_is_left_out)
{
    struct disconnect d = {.reason_code = 0};
    uint8_t buf[8];
    for (int version = FIRST_VERSION; version < END_VERSION; version++) {
        expect_hex(buf, disconnect_encode(buf, 8, PACKET_DISCONNECT, &d, NO_BYTES, 0, (enum mqtt_version)version),
                   "e0 00");
        ck_assert_uint_eq(disconnect_encode(buf, 1, PACKET_DISCONNECT, &d, NO_BYTES, 0, (enum mqtt_version)version), 0);
    }
    d.reason_code = REASON_PROTOCOL_ERROR;
    expect_hex(buf, disconnect_encode(buf, 8, PACKET_DISCONNECT, &d, NO_BYTES, 0, MQTT_5_0), "e0 01 82");
    expect_hex(buf, disconnect_encode(buf, 8, PACKET_AUTH, &d, NO_BYTES, 0, MQTT_5_0), "f0 01 82");
}
END_TEST

START_TEST(disconnect_of_3_x_is_two_bytes_whatever_it_says)
{
    struct disconnect d = refusal();
    uint8_t buf[8];
    struct bytes extra = guarded_hex("26 0000 0000");
    expect_hex(buf, disconnect_encode(buf, 8, PACKET_DISCONNECT, &d, extra, 0, MQTT_3_1_1), "e0 00");
}
END_TEST

START_TEST(everything_is_written_if_it_fits)
{
    struct disconnect d = refusal();
    uint8_t *buf = guarded_alloc(15);
    struct bytes extra = guarded_hex("26 0000 0000");
    expect_hex(buf, disconnect_encode(buf, 15, PACKET_DISCONNECT, &d, extra, 15, MQTT_5_0),
               "e0 0d 97 0b 1f 0003 'why' 26 0000 0000");
    ck_assert_uint_eq(disconnect_encode(buf + 1, 14, PACKET_DISCONNECT, &d, extra, 0, MQTT_5_0), 0);
}
END_TEST

START_TEST(user_properties_give_way_first_mqtt_3_14_2_4_mqtt_3_15_2_3)
{
    struct disconnect d = refusal();
    uint8_t buf[32];
    struct bytes extra = guarded_hex("26 0000 0000");
    expect_hex(buf, disconnect_encode(buf, 32, PACKET_DISCONNECT, &d, extra, 14, MQTT_5_0),
               "e0 08 97 06 1f 0003 'why'");
    expect_hex(buf, disconnect_encode(buf, 32, PACKET_AUTH, &d, extra, 10, MQTT_5_0), "f0 08 97 06 1f 0003 'why'");
}
END_TEST

START_TEST(reason_string_gives_way_to_the_maximum_mqtt_3_14_2_3_mqtt_3_15_2_2)
{
    struct disconnect d = refusal();
    uint8_t buf[32];
    struct bytes extra = guarded_hex("26 0000 0000");
    expect_hex(buf, disconnect_encode(buf, 32, PACKET_DISCONNECT, &d, extra, 9, MQTT_5_0), "e0 01 97");
    d.properties.server_reference = bytes_from_string("b");
    properties_set(&d.properties, PROPERTY_SERVER_REFERENCE);
    expect_hex(buf, disconnect_encode(buf, 32, PACKET_DISCONNECT, &d, extra, 9, MQTT_5_0), "e0 06 97 04 1c 0001 'b'");
}
END_TEST

START_TEST(decoded_user_properties_are_written_from_extra_alone)
{
    struct disconnect d;
    uint8_t buf[32];
    ck_assert(accepts("00 05 26 0000 0000", PACKET_DISCONNECT, MQTT_5_0, true, &d, 0));
    expect_hex(buf, disconnect_encode(buf, 32, PACKET_DISCONNECT, &d, NO_BYTES, 0, MQTT_5_0), "e0 00");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("disconnect");
    TCase *disconnect = tcase_create("disconnect");
    TCase *auth = tcase_create("auth");
    TCase *encode = tcase_create("encode");

    tcase_add_test(disconnect, empty_disconnect_is_normal);
    tcase_add_test(disconnect, disconnect_of_3_x_is_empty);
    tcase_add_test(disconnect, reason_and_properties_may_follow);
    tcase_add_test(disconnect, disconnect_reason_is_one_of_its_direction_mqtt_3_14_2_1);
    tcase_add_test(disconnect, server_sends_no_session_expiry_mqtt_3_14_2_2);
    suite_add_tcase(s, disconnect);
    tcase_add_test(auth, auth_names_its_method_mqtt_4_12_0_5);
    tcase_add_test(auth, empty_auth_is_a_servers_success);
    tcase_add_test(auth, auth_reason_is_one_of_its_direction_mqtt_3_15_2_1);
    tcase_add_test(auth, auth_is_unknown_in_3_x);
    suite_add_tcase(s, auth);
    tcase_add_test(encode, what_says_nothing_is_left_out);
    tcase_add_test(encode, disconnect_of_3_x_is_two_bytes_whatever_it_says);
    tcase_add_test(encode, everything_is_written_if_it_fits);
    tcase_add_test(encode, user_properties_give_way_first_mqtt_3_14_2_4_mqtt_3_15_2_3);
    tcase_add_test(encode, reason_string_gives_way_to_the_maximum_mqtt_3_14_2_3_mqtt_3_15_2_2);
    tcase_add_test(encode, decoded_user_properties_are_written_from_extra_alone);
    suite_add_tcase(s, encode);
    return s;
}

CHECK_MAIN(suite)
