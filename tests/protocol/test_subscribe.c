/**
 * protocol/subscribe.h: the lists of filters and of reason codes, and that one bad entry spoils its packet.
 */
#include "protocol/subscribe.h"

#include "protocol/reason.h"

#include "tests/protocol/expect.h"

#include <stdio.h>

static bool subscribe_accepts(const char *hex, enum mqtt_version version, struct subscribe *out, uint8_t code)
{
    struct fault fault = {0, NULL};
    bool accepted = subscribe_decode(guarded_hex(hex), version, out, &fault);
    if (!accepted) {
        expect_fault(fault, code);
    }
    return accepted;
}

static bool unsubscribe_accepts(const char *hex, enum mqtt_version version, struct unsubscribe *out, uint8_t code)
{
    struct fault fault = {0, NULL};
    bool accepted = unsubscribe_decode(guarded_hex(hex), version, out, &fault);
    if (!accepted) {
        expect_fault(fault, code);
    }
    return accepted;
}

static bool suback_accepts(const char *hex, enum packet_type type, enum mqtt_version version, struct suback *out,
                           uint8_t code)
{
    struct fault fault = {0, NULL};
    bool accepted = suback_decode(guarded_hex(hex), type, version, out, &fault);
    if (!accepted) {
        expect_fault(fault, code);
    }
    return accepted;
}

/* ---- SUBSCRIBE */

START_TEST(entries_are_stepped_through_in_5_0)
{
    struct subscribe s;
    struct subscribe_entry e;
    ck_assert(subscribe_accepts("1234 02 0b 05 0003 'a/#' 2d 0001 'b' 10", MQTT_5_0, &s, 0));
    ck_assert_uint_eq(s.packet_id, 0x1234);
    ck_assert_uint_eq(s.entry_count, 2);
    ck_assert_uint_eq(s.properties.subscription_identifier, 5);
    struct bytes cursor = s.entries;
    ck_assert(subscribe_next(&cursor, MQTT_5_0, &e));
    expect_bytes(e.filter, "a/#");
    ck_assert(e.qos == 1 && e.no_local && e.retain_as_published && e.retain_handling == 2);
    ck_assert(subscribe_next(&cursor, MQTT_5_0, &e));
    expect_bytes(e.filter, "b");
    ck_assert(e.qos == 0 && !e.no_local && !e.retain_as_published && e.retain_handling == 1);
    ck_assert(!subscribe_next(&cursor, MQTT_5_0, &e));
    ck_assert(!subscribe_next(&cursor, MQTT_5_0, &e));
}
END_TEST

START_TEST(entries_are_stepped_through_in_3_x)
{
    struct subscribe s;
    struct subscribe_entry e;
    ck_assert(subscribe_accepts("0001 0001 'a' 02 0001 'b' 00", (enum mqtt_version)_i, &s, 0));
    ck_assert_uint_eq(s.entry_count, 2);
    struct bytes cursor = s.entries;
    ck_assert(subscribe_next(&cursor, (enum mqtt_version)_i, &e));
    ck_assert(e.qos == 2 && !e.no_local && !e.retain_as_published && e.retain_handling == 0);
    ck_assert(subscribe_next(&cursor, (enum mqtt_version)_i, &e));
    ck_assert(!subscribe_next(&cursor, (enum mqtt_version)_i, &e));
}
END_TEST

START_TEST(subscribe_has_a_packet_id_mqtt_2_2_1_3_mqtt311_2_3_1_1)
{
    struct subscribe s;
    ck_assert(!subscribe_accepts("0000 00 0001 'a' 00", MQTT_5_0, &s, REASON_MALFORMED_PACKET));
    ck_assert(!subscribe_accepts("0000 0001 'a' 00", MQTT_3_1_1, &s, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(subscribe_has_an_entry_mqtt_3_8_3_2_mqtt311_3_8_3_3)
{
    struct subscribe s;
    ck_assert(!subscribe_accepts("0001 00", MQTT_5_0, &s, REASON_PROTOCOL_ERROR));
    ck_assert(!subscribe_accepts("0001", MQTT_3_1_1, &s, REASON_PROTOCOL_ERROR));
}
END_TEST

START_TEST(subscribe_filter_is_utf8_mqtt_3_8_3_1_mqtt311_3_8_3_1)
{
    struct subscribe s;
    ck_assert(!subscribe_accepts("0001 00 0001 ff 00", MQTT_5_0, &s, REASON_MALFORMED_PACKET));
    ck_assert(!subscribe_accepts("0001 0001 00 00", MQTT_3_1_1, &s, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(subscribe_filter_is_not_empty_mqtt_4_7_3_1_mqtt311_4_7_3_1)
{
    struct subscribe s;
    ck_assert(!subscribe_accepts("0001 00 0000 00", MQTT_5_0, &s, REASON_MALFORMED_PACKET));
    ck_assert(!subscribe_accepts("0001 0000 00", MQTT_3_1_1, &s, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(subscribe_options_are_checked_mqtt_3_8_3_5_mqtt311_3_8_3_4)
{
    struct subscribe s;
    for (unsigned options = 0; options < 256; options++) {
        char hex[32];
        bool qos_3 = (options & 3) == 3;
        bool reserved = (options & 0xC0) != 0;
        bool handling_3 = (options & 0x30) == 0x30;
        snprintf(hex, sizeof hex, "0001 00 0001 'a' %02x", options);
        ck_assert(subscribe_accepts(hex, MQTT_5_0, &s, reserved ? REASON_MALFORMED_PACKET : REASON_PROTOCOL_ERROR) ==
                  (!qos_3 && !reserved && !handling_3));
        snprintf(hex, sizeof hex, "0001 0001 'a' %02x", options);
        ck_assert(subscribe_accepts(hex, MQTT_3_1_1, &s, REASON_MALFORMED_PACKET) == (options < 3));
        ck_assert(subscribe_accepts(hex, MQTT_3_1, &s, REASON_MALFORMED_PACKET) == !qos_3);
    }
}
END_TEST

START_TEST(bad_entry_spoils_the_whole_list)
{
    struct subscribe s;
    ck_assert(!subscribe_accepts("0001 00 0001 'a' 00 0001 'b' 03", MQTT_5_0, &s, REASON_PROTOCOL_ERROR));
    ck_assert(!subscribe_accepts("0001 00 0001 'a' 00 0001 'b'", MQTT_5_0, &s, REASON_MALFORMED_PACKET));
    ck_assert(!subscribe_accepts("0001 0001 'a' 00 0002 'b' 00", MQTT_3_1_1, &s, REASON_MALFORMED_PACKET));
    ck_assert(!subscribe_accepts("0001 0001 'a' 00 00", MQTT_3_1_1, &s, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(subscription_identifier_is_not_0_and_stands_once)
{
    struct subscribe s;
    ck_assert(!subscribe_accepts("0001 02 0b 00 0001 'a' 00", MQTT_5_0, &s, REASON_PROTOCOL_ERROR));
    ck_assert(!subscribe_accepts("0001 04 0b 01 0b 02 0001 'a' 00", MQTT_5_0, &s, REASON_PROTOCOL_ERROR));
}
END_TEST

START_TEST(subscribe_is_written)
{
    static const char *const expected[] = {"82 0c 1234 0003 'a/#' 01 0001 'b' 02",
                                           "82 0c 1234 0003 'a/#' 01 0001 'b' 02",
                                           "82 15 1234 08 0b ac 02 26 0000 0000 0003 'a/#' 2d 0001 'b' 02"};
    const struct subscribe_entry entries[] = {
        {.filter = bytes_from_string("a/#"),
         .qos = 1,
         .no_local = true,
         .retain_as_published = true,
         .retain_handling = 2},
        {.filter = bytes_from_string("b"), .qos = 2},
    };
    enum mqtt_version version = (enum mqtt_version)_i;
    struct bytes hex = guarded_hex(expected[_i - MQTT_3_1]);
    uint8_t *buf = guarded_alloc(hex.len);
    struct bytes extra = guarded_hex("26 0000 0000");
    size_t len = subscribe_encode(buf, hex.len, 0x1234, entries, 2, 300, extra, version);
    expect_hex(buf, len, expected[_i - MQTT_3_1]);
    for (size_t cap = 0; cap < len; cap++) {
        ck_assert_uint_eq(subscribe_encode(buf + len - cap, cap, 0x1234, entries, 2, 300, extra, version), 0);
    }
    struct packet_header header;
    struct subscribe s;
    struct fault fault;
    ck_assert(subscribe_decode(expect_header((struct bytes){buf, len}, version, &header), version, &s, &fault));
    ck_assert_uint_eq(s.entry_count, 2);
}
END_TEST

START_TEST(filter_or_identifier_too_large_is_not_written)
{
    static uint8_t text[65536];
    static uint8_t buf[70000];
    struct subscribe_entry entry = {.filter = {text, 65536}};
    ck_assert_uint_eq(subscribe_encode(buf, sizeof buf, 1, &entry, 1, 0, NO_BYTES, MQTT_5_0), 0);
    ck_assert_uint_eq(unsubscribe_encode(buf, sizeof buf, 1, &entry.filter, 1, NO_BYTES, MQTT_5_0), 0);
    entry.filter.len = 1;
    ck_assert_uint_eq(subscribe_encode(buf, sizeof buf, 1, &entry, 1, 268435456, NO_BYTES, MQTT_5_0), 0);
    ck_assert_uint_gt(subscribe_encode(buf, sizeof buf, 1, &entry, 1, 268435455, NO_BYTES, MQTT_5_0), 0);
}
END_TEST

/* ---- UNSUBSCRIBE */

START_TEST(filters_are_stepped_through)
{
    struct unsubscribe u;
    struct bytes filter;
    enum mqtt_version version = (enum mqtt_version)_i;
    ck_assert(unsubscribe_accepts(version == MQTT_5_0 ? "1234 00 0003 'a/#' 0001 'b'" : "1234 0003 'a/#' 0001 'b'",
                                  version, &u, 0));
    ck_assert_uint_eq(u.packet_id, 0x1234);
    ck_assert_uint_eq(u.entry_count, 2);
    struct bytes cursor = u.entries;
    ck_assert(unsubscribe_next(&cursor, &filter));
    expect_bytes(filter, "a/#");
    ck_assert(unsubscribe_next(&cursor, &filter));
    expect_bytes(filter, "b");
    ck_assert(!unsubscribe_next(&cursor, &filter));
    ck_assert(!unsubscribe_next(&cursor, &filter));
}
END_TEST

START_TEST(unsubscribe_has_a_filter_mqtt_3_10_3_2_mqtt311_3_10_3_2)
{
    struct unsubscribe u;
    ck_assert(!unsubscribe_accepts("0001 00", MQTT_5_0, &u, REASON_PROTOCOL_ERROR));
    ck_assert(!unsubscribe_accepts("0001", MQTT_3_1_1, &u, REASON_PROTOCOL_ERROR));
}
END_TEST

START_TEST(unsubscribe_filter_is_utf8_and_packed_mqtt_3_10_3_1_mqtt311_3_10_3_1)
{
    struct unsubscribe u;
    ck_assert(!unsubscribe_accepts("0001 00 0001 ff", MQTT_5_0, &u, REASON_MALFORMED_PACKET));
    ck_assert(!unsubscribe_accepts("0001 0001 00", MQTT_3_1_1, &u, REASON_MALFORMED_PACKET));
    ck_assert(!unsubscribe_accepts("0001 0000", MQTT_3_1_1, &u, REASON_MALFORMED_PACKET));
    ck_assert(!unsubscribe_accepts("0001 0001 'a' 00", MQTT_3_1_1, &u, REASON_MALFORMED_PACKET));
    ck_assert(!unsubscribe_accepts("0001 0002 'a'", MQTT_3_1_1, &u, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(unsubscribe_has_a_packet_id_mqtt_2_2_1_3_mqtt311_2_3_1_1)
{
    struct unsubscribe u;
    ck_assert(!unsubscribe_accepts("0000 00 0001 'a'", MQTT_5_0, &u, REASON_MALFORMED_PACKET));
    ck_assert(!unsubscribe_accepts("0000 0001 'a'", MQTT_3_1_1, &u, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(unsubscribe_is_written)
{
    static const char *const expected[] = {"a2 08 1234 0001 'a' 0001 'b'", "a2 08 1234 0001 'a' 0001 'b'",
                                           "a2 0e 1234 05 26 0000 0000 0001 'a' 0001 'b'"};
    const struct bytes filters[] = {bytes_from_string("a"), bytes_from_string("b")};
    enum mqtt_version version = (enum mqtt_version)_i;
    struct bytes hex = guarded_hex(expected[_i - MQTT_3_1]);
    uint8_t *buf = guarded_alloc(hex.len);
    struct bytes extra = guarded_hex("26 0000 0000");
    size_t len = unsubscribe_encode(buf, hex.len, 0x1234, filters, 2, extra, version);
    expect_hex(buf, len, expected[_i - MQTT_3_1]);
    ck_assert_uint_eq(unsubscribe_encode(buf + 1, len - 1, 0x1234, filters, 2, extra, version), 0);
}
END_TEST

/* ---- SUBACK and UNSUBACK */

START_TEST(suback_codes_are_found)
{
    struct suback s;
    ck_assert(suback_accepts("1234 04 1f 0001 'r' 00 02 97", PACKET_SUBACK, MQTT_5_0, &s, 0));
    ck_assert_uint_eq(s.packet_id, 0x1234);
    expect_bytes(s.properties.reason_string, "r");
    expect_hex(s.reason_codes.data, s.reason_codes.len, "00 02 97");
    ck_assert(suback_accepts("1234 01 80", PACKET_SUBACK, MQTT_3_1_1, &s, 0));
    expect_hex(s.reason_codes.data, s.reason_codes.len, "01 80");
    ck_assert(suback_accepts("1234 00 11", PACKET_UNSUBACK, MQTT_5_0, &s, 0));
    expect_hex(s.reason_codes.data, s.reason_codes.len, "11");
    ck_assert(suback_accepts("1234", PACKET_UNSUBACK, MQTT_3_1_1, &s, 0));
    ck_assert_uint_eq(s.reason_codes.len, 0);
}
END_TEST

START_TEST(suback_codes_are_listed_mqtt_3_9_3_2_mqtt311_3_9_3_2)
{
    struct suback s;
    for (unsigned code = 0; code < 256; code++) {
        char hex[16];
        snprintf(hex, sizeof hex, "0001 00 00 %02x", code);
        ck_assert(suback_accepts(hex, PACKET_SUBACK, MQTT_5_0, &s, REASON_PROTOCOL_ERROR) ==
                  reason_is_allowed(PACKET_SUBACK, (uint8_t)code, false));
        snprintf(hex, sizeof hex, "0001 00 %02x", code);
        ck_assert(suback_accepts(hex, PACKET_SUBACK, MQTT_3_1_1, &s, REASON_PROTOCOL_ERROR) ==
                  (code <= 2 || code == 0x80));
    }
}
END_TEST

START_TEST(unsuback_codes_are_listed_mqtt_3_11_3_2)
{
    struct suback s;
    for (unsigned code = 0; code < 256; code++) {
        char hex[16];
        snprintf(hex, sizeof hex, "0001 00 %02x", code);
        ck_assert(suback_accepts(hex, PACKET_UNSUBACK, MQTT_5_0, &s, REASON_PROTOCOL_ERROR) ==
                  reason_is_allowed(PACKET_UNSUBACK, (uint8_t)code, false));
    }
}
END_TEST

START_TEST(suback_without_codes_is_refused)
{
    struct suback s;
    ck_assert(!suback_accepts("0001 00", PACKET_SUBACK, MQTT_5_0, &s, REASON_PROTOCOL_ERROR));
    ck_assert(!suback_accepts("0001 00", PACKET_UNSUBACK, MQTT_5_0, &s, REASON_PROTOCOL_ERROR));
    ck_assert(!suback_accepts("0001", PACKET_SUBACK, MQTT_3_1_1, &s, REASON_PROTOCOL_ERROR));
    ck_assert(!suback_accepts("0001 00", PACKET_UNSUBACK, MQTT_3_1_1, &s, REASON_MALFORMED_PACKET));
    ck_assert(!suback_accepts("0000 00 00", PACKET_SUBACK, MQTT_5_0, &s, REASON_MALFORMED_PACKET));
}
END_TEST

START_TEST(suback_is_written)
{
    uint8_t buf[32];
    struct bytes codes = guarded_hex("00 01 97");
    struct bytes why = bytes_from_string("why");
    expect_hex(buf, suback_encode(buf, 32, PACKET_SUBACK, 0x1234, codes, NO_BYTES, 0, MQTT_5_0),
               "90 06 1234 00 00 01 97");
    expect_hex(buf, suback_encode(buf, 32, PACKET_SUBACK, 0x1234, codes, why, 0, MQTT_5_0),
               "90 0c 1234 06 1f 0003 'why' 00 01 97");
    ck_assert_uint_eq(suback_encode(buf, 13, PACKET_SUBACK, 0x1234, codes, why, 0, MQTT_5_0), 0);
    codes = guarded_hex("00 11 8f");
    expect_hex(buf, suback_encode(buf, 32, PACKET_UNSUBACK, 0x1234, codes, NO_BYTES, 0, MQTT_5_0),
               "b0 06 1234 00 00 11 8f");
}
END_TEST

START_TEST(suback_of_3_x_knows_one_failure_mqtt311_3_9_3_2)
{
    uint8_t buf[32];
    struct bytes codes = guarded_hex("02 97 80 a2 00");
    struct bytes why = bytes_from_string("why");
    enum mqtt_version version = (enum mqtt_version)_i;
    expect_hex(buf, suback_encode(buf, 32, PACKET_SUBACK, 0x1234, codes, why, 0, version), "90 07 1234 02 80 80 80 00");
    expect_hex(buf, suback_encode(buf, 32, PACKET_UNSUBACK, 0x1234, codes, why, 0, version), "b0 02 1234");
}
END_TEST

START_TEST(reason_string_gives_way_to_the_maximum_mqtt_3_9_2_1_mqtt_3_11_2_1)
{
    uint8_t buf[32];
    struct bytes codes = guarded_hex("00");
    struct bytes why = bytes_from_string("why");
    ck_assert_uint_eq(suback_encode(buf, 32, PACKET_SUBACK, 1, codes, why, 12, MQTT_5_0), 12);
    ck_assert_uint_eq(suback_encode(buf, 32, PACKET_SUBACK, 1, codes, why, 11, MQTT_5_0), 6);
    ck_assert_uint_eq(suback_encode(buf, 32, PACKET_UNSUBACK, 1, codes, why, 11, MQTT_5_0), 6);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("subscribe");
    TCase *subscribe = tcase_create("subscribe");
    TCase *unsubscribe = tcase_create("unsubscribe");
    TCase *suback = tcase_create("suback");

    tcase_add_test(subscribe, entries_are_stepped_through_in_5_0);
    tcase_add_loop_test(subscribe, entries_are_stepped_through_in_3_x, MQTT_3_1, MQTT_5_0);
    tcase_add_test(subscribe, subscribe_has_a_packet_id_mqtt_2_2_1_3_mqtt311_2_3_1_1);
    tcase_add_test(subscribe, subscribe_has_an_entry_mqtt_3_8_3_2_mqtt311_3_8_3_3);
    tcase_add_test(subscribe, subscribe_filter_is_utf8_mqtt_3_8_3_1_mqtt311_3_8_3_1);
    tcase_add_test(subscribe, subscribe_filter_is_not_empty_mqtt_4_7_3_1_mqtt311_4_7_3_1);
    tcase_add_test(subscribe, subscribe_options_are_checked_mqtt_3_8_3_5_mqtt311_3_8_3_4);
    tcase_add_test(subscribe, bad_entry_spoils_the_whole_list);
    tcase_add_test(subscribe, subscription_identifier_is_not_0_and_stands_once);
    tcase_add_loop_test(subscribe, subscribe_is_written, FIRST_VERSION, END_VERSION);
    tcase_add_test(subscribe, filter_or_identifier_too_large_is_not_written);
    suite_add_tcase(s, subscribe);
    tcase_add_loop_test(unsubscribe, filters_are_stepped_through, FIRST_VERSION, END_VERSION);
    tcase_add_test(unsubscribe, unsubscribe_has_a_filter_mqtt_3_10_3_2_mqtt311_3_10_3_2);
    tcase_add_test(unsubscribe, unsubscribe_filter_is_utf8_and_packed_mqtt_3_10_3_1_mqtt311_3_10_3_1);
    tcase_add_test(unsubscribe, unsubscribe_has_a_packet_id_mqtt_2_2_1_3_mqtt311_2_3_1_1);
    tcase_add_loop_test(unsubscribe, unsubscribe_is_written, FIRST_VERSION, END_VERSION);
    suite_add_tcase(s, unsubscribe);
    tcase_add_test(suback, suback_codes_are_found);
    tcase_add_test(suback, suback_codes_are_listed_mqtt_3_9_3_2_mqtt311_3_9_3_2);
    tcase_add_test(suback, unsuback_codes_are_listed_mqtt_3_11_3_2);
    tcase_add_test(suback, suback_without_codes_is_refused);
    tcase_add_test(suback, suback_is_written);
    tcase_add_loop_test(suback, suback_of_3_x_knows_one_failure_mqtt311_3_9_3_2, MQTT_3_1, MQTT_5_0);
    tcase_add_test(suback, reason_string_gives_way_to_the_maximum_mqtt_3_9_2_1_mqtt_3_11_2_1);
    suite_add_tcase(s, suback);
    return s;
}

CHECK_MAIN(suite)
