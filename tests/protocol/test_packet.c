/**
 * protocol/packet.h: the fixed header of every type in every version, byte by byte.
 */
#include "protocol/packet.h"

#include "protocol/reason.h"

#include "tests/protocol/expect.h"

#include <stdio.h>

#define FIRST_TYPE 1
#define END_TYPE   16

/* Decode the header that HEX spells. The length, 0 or -1; where not -1 nothing is told as a fault. */
static int decode(const char *hex, enum mqtt_version version, struct packet_header *header)
{
    struct bytes in = guarded_hex(hex);
    struct fault fault = {0, NULL};
    int len = packet_header_decode(in.data, in.len, version, header, &fault);
    guarded_free(in.data, in.len);
    if (len == -1) {
        expect_fault(fault, REASON_MALFORMED_PACKET);
    } else {
        ck_assert_ptr_null(fault.why);
    }
    return len;
}

static int decode_two(uint8_t first, uint8_t second, enum mqtt_version version)
{
    char hex[8];
    struct packet_header header;
    snprintf(hex, sizeof hex, "%02x %02x", first, second);
    return decode(hex, version, &header);
}

/* What the low four bits of TYPE are in the tables of 3.1.1 and 5.0; -1 for PUBLISH, where they vary. */
static int prescribed_flags(int type)
{
    switch (type) {
    case PACKET_PUBLISH:
        return -1;
    case PACKET_PUBREL:
    case PACKET_SUBSCRIBE:
    case PACKET_UNSUBSCRIBE:
        return 2;
    default:
        return 0;
    }
}

/* A body length that TYPE may have in all versions. */
static uint8_t possible_len(int type)
{
    return type == PACKET_PINGREQ || type == PACKET_PINGRESP || type == PACKET_DISCONNECT ? 0 : 2;
}

START_TEST(reserved_flags_have_one_value_mqtt_2_1_3_1_mqtt311_2_2_2_1_mqtt311_2_2_2_2)
{
    for (int type = FIRST_TYPE; type < END_TYPE; type++) {
        if (type == PACKET_PUBLISH) {
            continue;
        }
        for (int flags = 0; flags < 16; flags++) {
            uint8_t first = (uint8_t)(type << 4 | flags);
            int expected = flags == prescribed_flags(type) ? 2 : -1;
            ck_assert_int_eq(decode_two(first, possible_len(type), MQTT_5_0), expected);
            if (type != PACKET_AUTH) {
                ck_assert_int_eq(decode_two(first, possible_len(type), MQTT_3_1_1), expected);
            }
        }
    }
}
END_TEST

START_TEST(pubrel_has_flags_0010_mqtt_3_6_1_1_mqtt311_3_6_1_1)
{
    ck_assert_int_eq(decode_two(0x62, 2, (enum mqtt_version)_i), 2);
    ck_assert_int_eq(decode_two(0x60, 2, (enum mqtt_version)_i), -1);
    ck_assert_int_eq(decode_two(0x63, 2, (enum mqtt_version)_i), -1);
}
END_TEST

START_TEST(subscribe_has_flags_0010_mqtt_3_8_1_1_mqtt311_3_8_1_1)
{
    ck_assert_int_eq(decode_two(0x82, 9, (enum mqtt_version)_i), 2);
    ck_assert_int_eq(decode_two(0x80, 9, (enum mqtt_version)_i), -1);
    ck_assert_int_eq(decode_two(0x83, 9, (enum mqtt_version)_i), -1);
}
END_TEST

START_TEST(unsubscribe_has_flags_0010_mqtt_3_10_1_1_mqtt311_3_10_1_1)
{
    ck_assert_int_eq(decode_two(0xA2, 9, (enum mqtt_version)_i), 2);
    ck_assert_int_eq(decode_two(0xA0, 9, (enum mqtt_version)_i), -1);
    ck_assert_int_eq(decode_two(0xA3, 9, (enum mqtt_version)_i), -1);
}
END_TEST

START_TEST(disconnect_has_flags_0000_mqtt_3_14_1_1_mqtt311_3_14_1_1)
{
    ck_assert_int_eq(decode_two(0xE0, 0, (enum mqtt_version)_i), 2);
    ck_assert_int_eq(decode_two(0xE1, 0, (enum mqtt_version)_i), -1);
}
END_TEST

START_TEST(auth_has_flags_0000_mqtt_3_15_1_1)
{
    ck_assert_int_eq(decode_two(0xF0, 0, MQTT_5_0), 2);
    for (uint8_t flags = 1; flags < 16; flags++) {
        ck_assert_int_eq(decode_two(0xF0 | flags, 0, MQTT_5_0), -1);
    }
}
END_TEST

START_TEST(repeated_requests_of_3_1_may_have_dup)
{
    static const uint8_t firsts[] = {0x6A, 0x8A, 0xAA};
    for (size_t i = 0; i < sizeof firsts; i++) {
        ck_assert_int_eq(decode_two(firsts[i], 2, MQTT_3_1), 2);
        ck_assert_int_eq(decode_two(firsts[i], 2, MQTT_3_1_1), -1);
        ck_assert_int_eq(decode_two(firsts[i], 2, MQTT_5_0), -1);
    }
    ck_assert_int_eq(decode_two(0x48, 2, MQTT_3_1), -1);
}
END_TEST

START_TEST(publish_flags_are_taken_but_qos_3_mqtt_3_3_1_4_mqtt311_3_3_1_4)
{
    for (uint8_t flags = 0; flags < 16; flags++) {
        struct packet_header header;
        char hex[8];
        snprintf(hex, sizeof hex, "3%x 05", flags);
        bool qos_3 = flags >> 1 == 3 || flags >> 1 == 7;
        ck_assert_int_eq(decode(hex, (enum mqtt_version)_i, &header), qos_3 ? -1 : 2);
        if (!qos_3) {
            ck_assert_int_eq(header.type, PACKET_PUBLISH);
            ck_assert_uint_eq(header.flags, flags);
        }
    }
}
END_TEST

START_TEST(type_0_is_reserved_and_auth_is_in_5_0_only)
{
    for (uint8_t flags = 0; flags < 16; flags++) {
        ck_assert_int_eq(decode_two(flags, 0, (enum mqtt_version)_i), -1);
    }
    ck_assert_int_eq(decode_two(0xF0, 0, (enum mqtt_version)_i), _i == MQTT_5_0 ? 2 : -1);
}
END_TEST

START_TEST(fixed_lengths_are_checked)
{
    static const uint8_t two_in_v3[] = {0x20, 0x40, 0x50, 0x62, 0x70, 0xB0};
    static const uint8_t empty[] = {0xC0, 0xD0};
    for (unsigned len = 0; len < 256; len++) {
        for (size_t i = 0; i < sizeof empty; i++) {
            ck_assert_int_eq(decode_two(empty[i], (uint8_t)len, (enum mqtt_version)_i), len == 0 ? 2 : -1);
        }
        if (_i == MQTT_5_0) {
            continue;
        }
        for (size_t i = 0; i < sizeof two_in_v3; i++) {
            ck_assert_int_eq(decode_two(two_in_v3[i], (uint8_t)len, (enum mqtt_version)_i), len == 2 ? 2 : -1);
        }
        ck_assert_int_eq(decode_two(0xE0, (uint8_t)len, (enum mqtt_version)_i), len == 0 ? 2 : -1);
    }
}
END_TEST

START_TEST(lengths_are_free_in_5_0)
{
    static const uint8_t firsts[] = {0x20, 0x40, 0x50, 0x62, 0x70, 0xB0, 0xE0, 0xF0, 0x90, 0x10, 0x82, 0xA2};
    for (size_t i = 0; i < sizeof firsts; i++) {
        ck_assert_int_eq(decode_two(firsts[i], 0, MQTT_5_0), 2);
        ck_assert_int_eq(decode_two(firsts[i], 0x7F, MQTT_5_0), 2);
        ck_assert_int_eq(decode_two(firsts[i], 0x80, MQTT_5_0), 0);
    }
}
END_TEST

static const struct {
    const char *hex;
    uint32_t body_len;
    int len;
} lengths[] = {
    {"30 00", 0, 2},
    {"30 7f", 127, 2},
    {"30 80 01", 128, 3},
    {"30 ff 7f", 16383, 3},
    {"30 80 80 01", 16384, 4},
    {"30 ff ff 7f", 2097151, 4},
    {"30 80 80 80 01", 2097152, 5},
    {"30 ff ff ff 7f", PACKET_BODY_MAX, 5},
};

#define LENGTH_COUNT ((int)(sizeof lengths / sizeof lengths[0]))

START_TEST(header_of_each_length_is_decoded_and_encoded)
{
    struct packet_header header;
    uint8_t buf[PACKET_HEADER_MAX];
    ck_assert_int_eq(decode(lengths[_i].hex, MQTT_5_0, &header), lengths[_i].len);
    ck_assert_uint_eq(header.body_len, lengths[_i].body_len);
    ck_assert_int_eq(header.len, lengths[_i].len);
    ck_assert_uint_eq(packet_len(header.body_len), header.body_len + header.len);
    expect_hex(buf, packet_header_encode(buf, 0x30, header.body_len), lengths[_i].hex);
}
END_TEST

START_TEST(every_cut_of_a_header_needs_more)
{
    struct bytes whole = guarded_hex(lengths[_i].hex);
    for (size_t len = 0; len < whole.len; len++) {
        struct bytes cut = guarded_copy((struct bytes){whole.data, len});
        struct packet_header header = {.body_len = 42};
        struct fault fault = {0, NULL};
        ck_assert_int_eq(packet_header_decode(cut.data, cut.len, MQTT_5_0, &header, &fault), 0);
        ck_assert_uint_eq(header.body_len, 42);
        guarded_free(cut.data, cut.len);
    }
    struct packet_header header;
    struct fault fault;
    ck_assert_int_eq(packet_header_decode(NULL, 0, MQTT_5_0, &header, &fault), 0);
}
END_TEST

START_TEST(fault_shows_at_the_first_byte_that_has_it)
{
    struct packet_header header;
    ck_assert_int_eq(decode("00", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("80", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("36", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("c0 01", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("c0 80", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("40 80", MQTT_3_1_1, &header), -1);
    ck_assert_int_eq(decode("30 80 80 80", MQTT_5_0, &header), 0);
    ck_assert_int_eq(decode("30 80 80 80 80", MQTT_5_0, &header), -1);
}
END_TEST

START_TEST(overlong_length_is_malformed_mqtt_1_5_5_1)
{
    struct packet_header header;
    ck_assert_int_eq(decode("30 80 00", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("30 ff 80 00", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("30 ff ff ff 00", MQTT_5_0, &header), -1);
    ck_assert_int_eq(decode("30 ff ff ff ff 7f", MQTT_5_0, &header), -1);
}
END_TEST

START_TEST(ping_is_two_bytes)
{
    uint8_t *buf = guarded_alloc(2);
    expect_hex(buf, packet_encode_ping(buf, 2, PACKET_PINGREQ), "c0 00");
    expect_hex(buf, packet_encode_ping(buf, 2, PACKET_PINGRESP), "d0 00");
    ck_assert_uint_eq(packet_encode_ping(buf + 1, 1, PACKET_PINGREQ), 0);
    ck_assert_uint_eq(packet_encode_ping(buf + 2, 0, PACKET_PINGRESP), 0);
}
END_TEST

START_TEST(types_have_names)
{
    ck_assert_str_eq(packet_name(PACKET_CONNECT), "CONNECT");
    ck_assert_str_eq(packet_name(PACKET_PUBLISH), "PUBLISH");
    ck_assert_str_eq(packet_name(PACKET_UNSUBACK), "UNSUBACK");
    ck_assert_str_eq(packet_name(PACKET_AUTH), "AUTH");
    ck_assert_str_eq(packet_name((enum packet_type)0), "?");
    ck_assert_str_eq(packet_name((enum packet_type)16), "?");
    for (int type = FIRST_TYPE; type < END_TYPE; type++) {
        ck_assert_str_ne(packet_name((enum packet_type)type), "?");
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("packet");
    TCase *flags = tcase_create("flags");
    TCase *length = tcase_create("length");
    TCase *other = tcase_create("other");

    tcase_add_test(flags, reserved_flags_have_one_value_mqtt_2_1_3_1_mqtt311_2_2_2_1_mqtt311_2_2_2_2);
    tcase_add_loop_test(flags, pubrel_has_flags_0010_mqtt_3_6_1_1_mqtt311_3_6_1_1, FIRST_VERSION, END_VERSION);
    tcase_add_loop_test(flags, subscribe_has_flags_0010_mqtt_3_8_1_1_mqtt311_3_8_1_1, FIRST_VERSION, END_VERSION);
    tcase_add_loop_test(flags, unsubscribe_has_flags_0010_mqtt_3_10_1_1_mqtt311_3_10_1_1, FIRST_VERSION, END_VERSION);
    tcase_add_loop_test(flags, disconnect_has_flags_0000_mqtt_3_14_1_1_mqtt311_3_14_1_1, FIRST_VERSION, END_VERSION);
    tcase_add_test(flags, auth_has_flags_0000_mqtt_3_15_1_1);
    tcase_add_test(flags, repeated_requests_of_3_1_may_have_dup);
    tcase_add_loop_test(flags, publish_flags_are_taken_but_qos_3_mqtt_3_3_1_4_mqtt311_3_3_1_4, FIRST_VERSION,
                        END_VERSION);
    tcase_add_loop_test(flags, type_0_is_reserved_and_auth_is_in_5_0_only, FIRST_VERSION, END_VERSION);
    suite_add_tcase(s, flags);
    tcase_add_loop_test(length, fixed_lengths_are_checked, FIRST_VERSION, END_VERSION);
    tcase_add_test(length, lengths_are_free_in_5_0);
    tcase_add_loop_test(length, header_of_each_length_is_decoded_and_encoded, 0, LENGTH_COUNT);
    tcase_add_loop_test(length, every_cut_of_a_header_needs_more, 0, LENGTH_COUNT);
    tcase_add_test(length, fault_shows_at_the_first_byte_that_has_it);
    tcase_add_test(length, overlong_length_is_malformed_mqtt_1_5_5_1);
    suite_add_tcase(s, length);
    tcase_add_test(other, ping_is_two_bytes);
    tcase_add_test(other, types_have_names);
    suite_add_tcase(s, other);
    return s;
}

CHECK_MAIN(suite)
