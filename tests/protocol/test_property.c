/**
 * protocol/property.h: which property may stand where, how often, with which value.
 * The table here is written from the specification's own list, not from the codec's.
 */
#include "protocol/property.h"

#include "protocol/reason.h"
#include "protocol/varint.h"

#include "tests/protocol/expect.h"

#include <stdio.h>

#define PLACE_COUNT 16

/* One letter per place: w will, c CONNECT, C CONNACK, p PUBLISH, a PUBACK..PUBCOMP, s SUBSCRIBE, S SUBACK,
 * u UNSUBSCRIBE, U UNSUBACK, d DISCONNECT, A AUTH; "-" PINGREQ and PINGRESP, which have no properties. */
static const char place_letters[PLACE_COUNT + 1] = "wcCpaaaasSuU--dA";

static const struct spec_property {
    enum property_id id;
    const char *value; /* a valid one */
    const char *places;
} spec[] = {
    {PROPERTY_PAYLOAD_FORMAT_INDICATOR, "01", "pw"},
    {PROPERTY_MESSAGE_EXPIRY_INTERVAL, "00000000", "pw"},
    {PROPERTY_CONTENT_TYPE, "0004 'text'", "pw"},
    {PROPERTY_RESPONSE_TOPIC, "0003 'r/t'", "pw"},
    {PROPERTY_CORRELATION_DATA, "0003 00ff01", "pw"},
    {PROPERTY_SUBSCRIPTION_IDENTIFIER, "ffffff7f", "ps"},
    {PROPERTY_SESSION_EXPIRY_INTERVAL, "ffffffff", "cCd"},
    {PROPERTY_ASSIGNED_CLIENT_IDENTIFIER, "0002 'id'", "C"},
    {PROPERTY_SERVER_KEEP_ALIVE, "0000", "C"},
    {PROPERTY_AUTHENTICATION_METHOD, "0001 'm'", "cCA"},
    {PROPERTY_AUTHENTICATION_DATA, "0000", "cCA"},
    {PROPERTY_REQUEST_PROBLEM_INFORMATION, "01", "c"},
    {PROPERTY_WILL_DELAY_INTERVAL, "00000005", "w"},
    {PROPERTY_REQUEST_RESPONSE_INFORMATION, "00", "c"},
    {PROPERTY_RESPONSE_INFORMATION, "0001 'r'", "C"},
    {PROPERTY_SERVER_REFERENCE, "0001 's'", "Cd"},
    {PROPERTY_REASON_STRING, "0003 'why'", "CaSUdA"},
    {PROPERTY_RECEIVE_MAXIMUM, "0001", "cC"},
    {PROPERTY_TOPIC_ALIAS_MAXIMUM, "0000", "cC"},
    {PROPERTY_TOPIC_ALIAS, "0001", "p"},
    {PROPERTY_MAXIMUM_QOS, "01", "C"},
    {PROPERTY_RETAIN_AVAILABLE, "00", "C"},
    {PROPERTY_USER_PROPERTY, "0001 'k' 0001 'v'", "wcCpasSuUdA"},
    {PROPERTY_MAXIMUM_PACKET_SIZE, "00000001", "cC"},
    {PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE, "01", "C"},
    {PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE, "01", "C"},
    {PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE, "01", "C"},
};

#define SPEC_COUNT ((int)(sizeof spec / sizeof spec[0]))

/* Decode the section whose entries ENTRIES spells; its length is put in front. Returns what the decoder did. */
static int decode_entries(const char *entries, unsigned place, struct properties *out, struct fault *fault)
{
    struct bytes content = guarded_hex(entries);
    ck_assert_uint_lt(content.len, 128);
    uint8_t *section = guarded_alloc(1 + content.len);
    section[0] = (uint8_t)content.len;
    memcpy(section + 1, content.data, content.len);
    *fault = (struct fault){0, NULL};
    return properties_decode(section, 1 + content.len, place, out, fault);
}

static void expect_refused(const char *entries, unsigned place, uint8_t code)
{
    struct properties p;
    struct fault fault;
    ck_assert_msg(decode_entries(entries, place, &p, &fault) == -1, "accepted: %s", entries);
    expect_fault(fault, code);
}

static struct properties expect_accepted(const char *entries, unsigned place)
{
    struct properties p;
    struct fault fault;
    int used = decode_entries(entries, place, &p, &fault);
    ck_assert_msg(used > 0, "%s: %s", entries, fault.why);
    ck_assert_uint_eq((size_t)used, 1 + p.raw.len);
    return p;
}

START_TEST(empty_section_is_one_byte_mqtt_2_2_2_1)
{
    struct properties p;
    struct fault fault;
    uint8_t *in = guarded_alloc(1);
    in[0] = 0;
    for (unsigned place = 0; place < PLACE_COUNT; place++) {
        ck_assert_int_eq(properties_decode(in, 1, place, &p, &fault), 1);
        ck_assert_uint_eq(p.present, 0);
        ck_assert_uint_eq(p.raw.len, 0);
        ck_assert_uint_eq(p.user_properties, 0);
        ck_assert_uint_eq(p.subscription_identifiers, 0);
    }
    uint8_t *out = guarded_alloc(1);
    ck_assert_uint_eq(properties_encoded_len(&p, NO_BYTES), 1);
    expect_hex(out, properties_encode(out, 1, &p, NO_BYTES), "00");
    ck_assert_uint_eq(properties_encode(out, 0, &p, NO_BYTES), 0);
}
END_TEST

START_TEST(stands_where_the_specification_lists_it_and_nowhere_else)
{
    char entry[64];
    snprintf(entry, sizeof entry, "%02x %s", spec[_i].id, spec[_i].value);
    for (unsigned place = 0; place < PLACE_COUNT; place++) {
        if (strchr(spec[_i].places, place_letters[place]) != NULL) {
            struct properties p = expect_accepted(entry, place);
            ck_assert_uint_eq(p.present, UINT64_C(1) << spec[_i].id);
            ck_assert(properties_has(&p, spec[_i].id));
        } else {
            expect_refused(entry, place, REASON_MALFORMED_PACKET);
        }
    }
}
END_TEST

START_TEST(stands_once_unless_it_may_repeat)
{
    char entries[128];
    snprintf(entries, sizeof entries, "%02x %s %02x %s", spec[_i].id, spec[_i].value, spec[_i].id, spec[_i].value);
    for (unsigned place = 0; place < PLACE_COUNT; place++) {
        if (strchr(spec[_i].places, place_letters[place]) == NULL) {
            continue;
        }
        bool may_repeat = spec[_i].id == PROPERTY_USER_PROPERTY ||
                          (spec[_i].id == PROPERTY_SUBSCRIPTION_IDENTIFIER && place == PACKET_PUBLISH);
        if (may_repeat) {
            expect_accepted(entries, place);
        } else {
            expect_refused(entries, place, REASON_PROTOCOL_ERROR);
        }
    }
}
END_TEST

START_TEST(cut_entry_is_malformed)
{
    char hex[64];
    unsigned place = 0;
    while (strchr(spec[_i].places, place_letters[place]) == NULL) {
        place++;
    }
    snprintf(hex, sizeof hex, "%02x %s", spec[_i].id, spec[_i].value);
    struct bytes entry = guarded_hex(hex);
    for (size_t len = 1; len < entry.len; len++) {
        /* the section ends inside the entry, and so does the packet; then bytes of the packet go on */
        for (size_t behind = 0; behind <= 8; behind += 8) {
            uint8_t *section = guarded_alloc(1 + len + behind);
            struct properties p;
            struct fault fault = {0, NULL};
            section[0] = (uint8_t)len;
            memcpy(section + 1, entry.data, len);
            memset(section + 1 + len, 0, behind);
            ck_assert_int_eq(properties_decode(section, 1 + len + behind, place, &p, &fault), -1);
            expect_fault(fault, REASON_MALFORMED_PACKET);
            guarded_free(section, 1 + len + behind);
        }
    }
}
END_TEST

START_TEST(unknown_identifier_is_malformed)
{
    for (unsigned id = 0; id < 256; id++) {
        bool known = false;
        for (int i = 0; i < SPEC_COUNT; i++) {
            known = known || (unsigned)spec[i].id == id;
        }
        if (!known) {
            char entry[32];
            snprintf(entry, sizeof entry, "%02x 00000000", id);
            expect_refused(entry, PACKET_PUBLISH, REASON_MALFORMED_PACKET);
            expect_refused(entry, PACKET_CONNACK, REASON_MALFORMED_PACKET);
        }
    }
}
END_TEST

START_TEST(section_length_stays_in_the_packet)
{
    static const char *const sections[] = {
        "", "01", "05 26 0000 00", "80", "80 80 80", "ff ff ff 7f", "ff ff ff ff", "80 00", "03 01 01"};
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        struct bytes in = guarded_hex(sections[i]);
        struct properties p;
        struct fault fault = {0, NULL};
        ck_assert_int_eq(properties_decode(in.data, in.len, PACKET_PUBLISH, &p, &fault), -1);
        expect_fault(fault, REASON_MALFORMED_PACKET);
    }
}
END_TEST

START_TEST(flags_are_0_or_1)
{
    static const enum property_id connack_flags[] = {
        PROPERTY_MAXIMUM_QOS, PROPERTY_RETAIN_AVAILABLE, PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE,
        PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE, PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE};
    for (size_t i = 0; i < sizeof connack_flags / sizeof connack_flags[0]; i++) {
        char entry[16];
        snprintf(entry, sizeof entry, "%02x 00", connack_flags[i]);
        expect_accepted(entry, PACKET_CONNACK);
        snprintf(entry, sizeof entry, "%02x 02", connack_flags[i]);
        expect_refused(entry, PACKET_CONNACK, REASON_PROTOCOL_ERROR);
    }
    expect_refused("01 02", PACKET_PUBLISH, REASON_PROTOCOL_ERROR);
    expect_refused("01 ff", PROPERTY_PLACE_WILL, REASON_PROTOCOL_ERROR);
    expect_refused("17 02", PACKET_CONNECT, REASON_PROTOCOL_ERROR);
    expect_refused("19 02", PACKET_CONNECT, REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(zero_is_refused_where_it_means_nothing)
{
    expect_refused("21 0000", PACKET_CONNECT, REASON_PROTOCOL_ERROR);
    expect_refused("21 0000", PACKET_CONNACK, REASON_PROTOCOL_ERROR);
    expect_refused("27 00000000", PACKET_CONNECT, REASON_PROTOCOL_ERROR);
    expect_refused("27 00000000", PACKET_CONNACK, REASON_PROTOCOL_ERROR);
    expect_refused("0b 00", PACKET_SUBSCRIBE, REASON_PROTOCOL_ERROR);
    expect_refused("0b 00", PACKET_PUBLISH, REASON_PROTOCOL_ERROR);
    expect_accepted("22 0000", PACKET_CONNECT);
    expect_accepted("11 00000000", PACKET_CONNECT);
}
END_TEST

START_TEST(topic_alias_0_is_invalid_mqtt_3_3_2_8)
{
    expect_refused("23 0000", PACKET_PUBLISH, REASON_TOPIC_ALIAS_INVALID);
    ck_assert_uint_eq(expect_accepted("23 ffff", PACKET_PUBLISH).topic_alias, 65535);
}
END_TEST

START_TEST(response_topic_is_a_topic_name_mqtt_3_3_2_14)
{
    expect_refused("08 0003 'a/+'", PACKET_PUBLISH, REASON_PROTOCOL_ERROR);
    expect_refused("08 0003 'a/#'", PROPERTY_PLACE_WILL, REASON_PROTOCOL_ERROR);
    expect_refused("08 0000", PACKET_PUBLISH, REASON_PROTOCOL_ERROR);
}
END_TEST

START_TEST(strings_are_utf8_mqtt_3_3_2_13_mqtt_3_3_2_19_mqtt_1_5_4_1_mqtt_1_5_4_2)
{
    static const struct {
        const char *entry;
        unsigned place;
    } entries[] = {
        {"03 0001 ff", PACKET_PUBLISH},     {"03 0001 00", PACKET_PUBLISH},    {"08 0002 'a' 80", PACKET_PUBLISH},
        {"08 0003 eda080", PACKET_PUBLISH}, {"12 0001 ff", PACKET_CONNACK},    {"15 0001 ff", PACKET_CONNECT},
        {"1a 0001 00", PACKET_CONNACK},     {"1c 0001 ff", PACKET_DISCONNECT}, {"1f 0002 c0 80", PACKET_PUBACK},
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        expect_refused(entries[i].entry, entries[i].place, REASON_MALFORMED_PACKET);
    }
    expect_accepted("09 0002 ff00", PACKET_PUBLISH);
    expect_accepted("16 0002 ff00", PACKET_AUTH);
}
END_TEST

START_TEST(both_halves_of_a_pair_are_utf8_mqtt_1_5_7_1)
{
    expect_refused("26 0001 ff 0001 'v'", PACKET_PUBLISH, REASON_MALFORMED_PACKET);
    expect_refused("26 0001 'k' 0001 ff", PACKET_PUBLISH, REASON_MALFORMED_PACKET);
    expect_refused("26 0001 'k' 0001 00", PACKET_PUBLISH, REASON_MALFORMED_PACKET);
    expect_refused("26 0001 00 0001 'v'", PACKET_PUBLISH, REASON_MALFORMED_PACKET);
    expect_accepted("26 0000 0000", PACKET_PUBLISH);
}
END_TEST

START_TEST(values_reach_their_members)
{
    struct properties p = expect_accepted("01 01 02 01020304 03 0001 'c' 08 0001 'r' 09 0001 00 0b 8001 0b 05 23 0708 "
                                          "26 0001 'k' 0001 'v' 26 0000 0000",
                                          PACKET_PUBLISH);
    ck_assert_uint_eq(p.payload_format_indicator, 1);
    ck_assert_uint_eq(p.message_expiry_interval_s, 0x01020304);
    expect_bytes(p.content_type, "c");
    expect_bytes(p.response_topic, "r");
    ck_assert_uint_eq(p.correlation_data.len, 1);
    ck_assert_uint_eq(p.subscription_identifier, 128);
    ck_assert_uint_eq(p.subscription_identifiers, 2);
    ck_assert_uint_eq(p.topic_alias, 0x0708);
    ck_assert_uint_eq(p.user_properties, 2);
    p = expect_accepted("11 0000000a 21 0014 27 00010000 22 0009 19 01 17 00 15 0001 'm' 16 0001 'd'", PACKET_CONNECT);
    ck_assert_uint_eq(p.session_expiry_interval_s, 10);
    ck_assert_uint_eq(p.receive_maximum, 20);
    ck_assert_uint_eq(p.maximum_packet_size, 65536);
    ck_assert_uint_eq(p.topic_alias_maximum, 9);
    ck_assert_uint_eq(p.request_response_information, 1);
    ck_assert_uint_eq(p.request_problem_information, 0);
    expect_bytes(p.authentication_method, "m");
    expect_bytes(p.authentication_data, "d");
    p = expect_accepted("24 01 25 00 28 01 29 00 2a 01 13 001e 12 0001 'i' 1a 0001 'R' 1c 0001 's' 1f 0001 'w'",
                        PACKET_CONNACK);
    ck_assert_uint_eq(p.maximum_qos, 1);
    ck_assert_uint_eq(p.retain_available, 0);
    ck_assert_uint_eq(p.wildcard_subscription_available, 1);
    ck_assert_uint_eq(p.subscription_identifier_available, 0);
    ck_assert_uint_eq(p.shared_subscription_available, 1);
    ck_assert_uint_eq(p.server_keep_alive_s, 30);
    expect_bytes(p.assigned_client_identifier, "i");
    expect_bytes(p.response_information, "R");
    expect_bytes(p.server_reference, "s");
    expect_bytes(p.reason_string, "w");
    ck_assert_uint_eq(expect_accepted("18 00000007", PROPERTY_PLACE_WILL).will_delay_interval_s, 7);
}
END_TEST

START_TEST(entries_are_stepped_through_in_order)
{
    struct properties p =
        expect_accepted("26 0001 'b' 0001 '1' 02 00000009 26 0001 'a' 0001 '2' 09 0001 00", PACKET_PUBLISH);
    struct bytes cursor = p.raw;
    struct property_entry e;
    ck_assert(properties_next(&cursor, &e));
    ck_assert_int_eq(e.id, PROPERTY_USER_PROPERTY);
    expect_bytes(e.name, "b");
    expect_bytes(e.value, "1");
    expect_hex(e.whole.data, e.whole.len, "26 0001 'b' 0001 '1'");
    ck_assert(properties_next(&cursor, &e));
    ck_assert_int_eq(e.id, PROPERTY_MESSAGE_EXPIRY_INTERVAL);
    ck_assert_uint_eq(e.number, 9);
    ck_assert_uint_eq(e.value.len, 0);
    ck_assert(properties_next(&cursor, &e));
    expect_bytes(e.name, "a");
    ck_assert(properties_next(&cursor, &e));
    ck_assert_int_eq(e.id, PROPERTY_CORRELATION_DATA);
    ck_assert_uint_eq(e.value.len, 1);
    ck_assert(!properties_next(&cursor, &e));
    ck_assert(!properties_next(&cursor, &e));
}
END_TEST

START_TEST(iterator_stops_at_bytes_that_are_no_entry)
{
    struct bytes cursor = guarded_hex("26 0001 'k' 00");
    struct property_entry e;
    ck_assert(!properties_next(&cursor, &e));
    cursor = guarded_hex("ff");
    ck_assert(!properties_next(&cursor, &e));
}
END_TEST

START_TEST(forwarded_is_all_but_what_ends_here_mqtt_3_3_2_17_mqtt_3_3_2_18)
{
    struct properties p =
        expect_accepted("26 0001 'b' 0000 02 00000009 01 01 23 0001 26 0001 'a' 0000 0b 05 09 0000", PACKET_PUBLISH);
    uint8_t *buf = guarded_alloc(p.raw.len);
    struct bytes forwarded = properties_forwarded(&p, buf);
    expect_hex(forwarded.data, forwarded.len, "26 0001 'b' 0000 01 01 26 0001 'a' 0000 09 0000");
    p = expect_accepted("18 00000001 03 0001 't'", PROPERTY_PLACE_WILL);
    forwarded = properties_forwarded(&p, buf);
    expect_hex(forwarded.data, forwarded.len, "03 0001 't'");
    p = expect_accepted("23 0001", PACKET_PUBLISH);
    ck_assert_uint_eq(properties_forwarded(&p, buf).len, 0);
}
END_TEST

START_TEST(forwarded_is_not_copied_if_all_travels_on)
{
    struct properties p = expect_accepted("26 0001 'b' 0000 01 01", PACKET_PUBLISH);
    struct bytes forwarded = properties_forwarded(&p, NULL);
    ck_assert_ptr_eq(forwarded.data, p.raw.data);
    ck_assert_uint_eq(forwarded.len, p.raw.len);
}
END_TEST

START_TEST(members_are_written_in_order_then_extra)
{
    struct properties p = {.present = 0};
    p.topic_alias_maximum = 10;
    p.session_expiry_interval_s = 60;
    p.assigned_client_identifier = bytes_from_string("id");
    p.maximum_qos = 1;
    properties_set(&p, PROPERTY_TOPIC_ALIAS_MAXIMUM);
    properties_set(&p, PROPERTY_SESSION_EXPIRY_INTERVAL);
    properties_set(&p, PROPERTY_ASSIGNED_CLIENT_IDENTIFIER);
    properties_set(&p, PROPERTY_MAXIMUM_QOS);
    properties_set(&p, PROPERTY_USER_PROPERTY); /* passed over */
    properties_set(&p, PROPERTY_SUBSCRIPTION_IDENTIFIER);
    struct bytes extra = guarded_hex("26 0001 'k' 0001 'v'");
    const char *expected = "16 11 0000003c 12 0002 'id' 22 000a 24 01 26 0001 'k' 0001 'v'";
    size_t len = properties_encoded_len(&p, extra);
    ck_assert_uint_eq(len, 23);
    uint8_t *buf = guarded_alloc(len);
    expect_hex(buf, properties_encode(buf, len, &p, extra), expected);
    ck_assert_uint_eq(properties_encode(buf + 1, len - 1, &p, extra), 0);
}
END_TEST

START_TEST(length_prefix_grows_with_the_section)
{
    static const struct {
        size_t extra_len, expected_len;
    } sizes[] = {{127, 128}, {128, 130}, {16383, 16385}, {16384, 16387}};
    struct properties p = {.present = 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *extra = guarded_alloc(sizes[i].extra_len);
        uint8_t *buf = guarded_alloc(sizes[i].expected_len);
        struct bytes e = {extra, sizes[i].extra_len};
        ck_assert_uint_eq(properties_encoded_len(&p, e), sizes[i].expected_len);
        ck_assert_uint_eq(properties_encode(buf, sizes[i].expected_len, &p, e), sizes[i].expected_len);
        ck_assert_uint_eq(properties_encode(buf, sizes[i].expected_len - 1, &p, e), 0);
    }
}
END_TEST

START_TEST(string_longer_than_65535_is_not_written)
{
    static uint8_t text[65536];
    static uint8_t buf[70000];
    struct properties p = {.present = 0};
    p.reason_string = (struct bytes){text, 65536};
    properties_set(&p, PROPERTY_REASON_STRING);
    ck_assert_uint_gt(properties_encoded_len(&p, NO_BYTES), PACKET_BODY_MAX);
    ck_assert_uint_eq(properties_encode(buf, sizeof buf, &p, NO_BYTES), 0);
    ck_assert_uint_eq(property_encode_user(buf, sizeof buf, p.reason_string, NO_BYTES), 0);
    ck_assert_uint_eq(property_encode_user(buf, sizeof buf, NO_BYTES, p.reason_string), 0);
    p.reason_string.len = 65535;
    ck_assert_uint_eq(properties_encode(buf, sizeof buf, &p, NO_BYTES), 3 + 1 + 2 + 65535);
}
END_TEST

START_TEST(user_property_is_written)
{
    uint8_t *buf = guarded_alloc(8);
    struct bytes name = bytes_from_string("ab");
    struct bytes value = bytes_from_string("c");
    expect_hex(buf, property_encode_user(buf, 8, name, value), "26 0002 'ab' 0001 'c'");
    ck_assert_uint_eq(property_encode_user(buf + 1, 7, name, value), 0);
}
END_TEST

START_TEST(subscription_identifier_is_written)
{
    uint8_t *buf = guarded_alloc(5);
    expect_hex(buf, property_encode_subscription_identifier(buf, 5, 1), "0b 01");
    expect_hex(buf, property_encode_subscription_identifier(buf, 5, 128), "0b 80 01");
    expect_hex(buf, property_encode_subscription_identifier(buf, 5, 268435455), "0b ff ff ff 7f");
    ck_assert_uint_eq(property_encode_subscription_identifier(buf, 4, 268435455), 0);
    ck_assert_uint_eq(property_encode_subscription_identifier(buf, 5, 0), 0);
    ck_assert_uint_eq(property_encode_subscription_identifier(buf, 5, 268435456), 0);
}
END_TEST

START_TEST(counters_saturate)
{
    static uint8_t section[5 + 70000 * 5 + 70000 * 2];
    struct properties p;
    struct fault fault;
    size_t content_len = 70000 * 5 + 70000 * 2;
    uint8_t *at = section;
    at += varint_encode(at, (uint32_t)content_len);
    for (int i = 0; i < 70000; i++, at += 5) {
        at[0] = PROPERTY_USER_PROPERTY;
    }
    for (int i = 0; i < 70000; i++, at += 2) {
        at[0] = PROPERTY_SUBSCRIPTION_IDENTIFIER;
        at[1] = 1;
    }
    ck_assert_int_eq(properties_decode(section, (size_t)(at - section), PACKET_PUBLISH, &p, &fault),
                     (int)(at - section));
    ck_assert_uint_eq(p.user_properties, 65535);
    ck_assert_uint_eq(p.subscription_identifiers, 65535);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("property");
    TCase *places = tcase_create("places");
    TCase *values = tcase_create("values");
    TCase *lists = tcase_create("lists");
    TCase *encode = tcase_create("encode");

    tcase_add_test(places, empty_section_is_one_byte_mqtt_2_2_2_1);
    tcase_add_loop_test(places, stands_where_the_specification_lists_it_and_nowhere_else, 0, SPEC_COUNT);
    tcase_add_loop_test(places, stands_once_unless_it_may_repeat, 0, SPEC_COUNT);
    tcase_add_loop_test(places, cut_entry_is_malformed, 0, SPEC_COUNT);
    tcase_add_test(places, unknown_identifier_is_malformed);
    tcase_add_test(places, section_length_stays_in_the_packet);
    suite_add_tcase(s, places);
    tcase_add_test(values, flags_are_0_or_1);
    tcase_add_test(values, zero_is_refused_where_it_means_nothing);
    tcase_add_test(values, topic_alias_0_is_invalid_mqtt_3_3_2_8);
    tcase_add_test(values, response_topic_is_a_topic_name_mqtt_3_3_2_14);
    tcase_add_test(values, strings_are_utf8_mqtt_3_3_2_13_mqtt_3_3_2_19_mqtt_1_5_4_1_mqtt_1_5_4_2);
    tcase_add_test(values, both_halves_of_a_pair_are_utf8_mqtt_1_5_7_1);
    tcase_add_test(values, values_reach_their_members);
    suite_add_tcase(s, values);
    tcase_add_test(lists, entries_are_stepped_through_in_order);
    tcase_add_test(lists, iterator_stops_at_bytes_that_are_no_entry);
    tcase_add_test(lists, forwarded_is_all_but_what_ends_here_mqtt_3_3_2_17_mqtt_3_3_2_18);
    tcase_add_test(lists, forwarded_is_not_copied_if_all_travels_on);
    tcase_add_test(lists, counters_saturate);
    suite_add_tcase(s, lists);
    tcase_add_test(encode, members_are_written_in_order_then_extra);
    tcase_add_test(encode, length_prefix_grows_with_the_section);
    tcase_add_test(encode, string_longer_than_65535_is_not_written);
    tcase_add_test(encode, user_property_is_written);
    tcase_add_test(encode, subscription_identifier_is_written);
    suite_add_tcase(s, encode);
    return s;
}

CHECK_MAIN(suite)
