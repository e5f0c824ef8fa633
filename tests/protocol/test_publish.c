/**
 * protocol/publish.h: what a PUBLISH may be, and that its head is written as asked.
 */
#include "protocol/publish.h"

#include "protocol/reason.h"

#include "tests/protocol/expect.h"

/* Decode the whole packet that HEX spells. */
static bool decode(const char *hex, enum mqtt_version version, bool from_client, struct publish *out,
                   struct fault *fault)
{
    struct packet_header header;
    struct bytes body = expect_header(guarded_hex(hex), version, &header);
    ck_assert_int_eq(header.type, PACKET_PUBLISH);
    *fault = (struct fault){0, NULL};
    return publish_decode(body, header.flags, version, from_client, out, fault);
}

static struct publish expect_accepted(const char *hex, enum mqtt_version version)
{
    struct publish p;
    struct fault fault;
    ck_assert_msg(decode(hex, version, true, &p, &fault), "%s: %s", hex, fault.why);
    return p;
}

static void expect_refused(const char *hex, enum mqtt_version version, uint8_t code)
{
    struct publish p;
    struct fault fault;
    ck_assert_msg(!decode(hex, version, true, &p, &fault), "accepted: %s", hex);
    expect_fault(fault, code);
}

START_TEST(parts_are_found_in_3_x)
{
    struct publish p = expect_accepted("30 07 0003 'a/b' 'hi'", (enum mqtt_version)_i);
    expect_bytes(p.topic, "a/b");
    expect_bytes(p.payload, "hi");
    ck_assert(!p.dup && !p.retain && p.qos == 0 && p.packet_id == 0);
    ck_assert_uint_eq(p.properties.present, 0);
    ck_assert_uint_eq(p.properties.raw.len, 0);
    ck_assert_uint_eq(p.properties.user_properties, 0);
    p = expect_accepted("3d 08 0003 'a/b' 1234 'x'", (enum mqtt_version)_i);
    ck_assert(p.dup && p.retain && p.qos == 2 && p.packet_id == 0x1234);
    p = expect_accepted("31 03 0001 'a'", (enum mqtt_version)_i);
    ck_assert(p.retain && p.payload.len == 0);
}
END_TEST

START_TEST(parts_are_found_in_5_0)
{
    struct publish p = expect_accepted("30 08 0003 'a/b' 00 'hi'", MQTT_5_0);
    expect_bytes(p.topic, "a/b");
    expect_bytes(p.payload, "hi");
    ck_assert_uint_eq(p.properties.present, 0);
    p = expect_accepted("33 0e 0003 'a/b' 0001 05 02 00000009 'x'", MQTT_5_0);
    ck_assert_uint_eq(p.properties.message_expiry_interval_s, 9);
    expect_bytes(p.payload, "x");
    ck_assert_uint_eq(p.packet_id, 1);
}
END_TEST

START_TEST(qos_0_has_no_packet_id_mqtt_2_2_1_2_mqtt311_2_3_1_5)
{
    struct publish p = expect_accepted("30 05 0001 'a' 1234", MQTT_3_1_1);
    ck_assert_uint_eq(p.packet_id, 0);
    ck_assert_uint_eq(p.payload.len, 2); /* the two bytes are payload */
}
END_TEST

START_TEST(packet_id_is_not_0_mqtt_2_2_1_3_mqtt_2_2_1_4_mqtt311_2_3_1_1)
{
    expect_refused("32 05 0001 'a' 0000", MQTT_3_1_1, REASON_MALFORMED_PACKET);
    expect_refused("34 06 0001 'a' 0000 00", MQTT_5_0, REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(dup_is_0_with_qos_0_mqtt_3_3_1_2_mqtt311_3_3_1_2_mqtt_4_3_1_1_mqtt311_4_3_1_1)
{
    expect_refused("38 03 0001 'a'", MQTT_3_1_1, REASON_MALFORMED_PACKET);
    expect_refused("39 04 0001 'a' 00", MQTT_5_0, REASON_MALFORMED_PACKET);
    ck_assert(expect_accepted("3a 05 0001 'a' 0001", MQTT_3_1_1).dup);
}
END_TEST

START_TEST(qos_3_is_malformed_mqtt_3_3_1_4_mqtt311_3_3_1_4)
{
    struct publish p;
    struct fault fault = {0, NULL};
    ck_assert(!publish_decode(guarded_hex("0001 'a' 0001 00"), 6, MQTT_5_0, true, &p, &fault));
    expect_fault(fault, REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(topic_is_first_and_utf8_mqtt_3_3_2_1_mqtt311_3_3_2_1)
{
    expect_refused("30 03 0001 ff", MQTT_3_1_1, REASON_MALFORMED_PACKET);
    expect_refused("30 04 0001 00 00", MQTT_5_0, REASON_MALFORMED_PACKET);
    expect_refused("30 06 0003 eda080 00", MQTT_5_0, REASON_MALFORMED_PACKET);
    expect_refused("30 03 0002 'a'", MQTT_3_1_1, REASON_MALFORMED_PACKET); /* longer than the packet */
    expect_refused("30 01 00", MQTT_3_1_1, REASON_MALFORMED_PACKET);
    expect_refused("30 00", MQTT_5_0, REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(topic_has_no_wildcard_mqtt_3_3_2_2_mqtt311_3_3_2_2)
{
    expect_refused("30 05 0003 'a/#'", MQTT_3_1_1, REASON_TOPIC_NAME_INVALID);
    expect_refused("30 04 0001 '+' 00", MQTT_5_0, REASON_TOPIC_NAME_INVALID);
    expect_refused("30 13 000d 'sensors/+/tem' 00 'x' 00 00", MQTT_5_0, REASON_TOPIC_NAME_INVALID);
}
END_TEST

START_TEST(empty_topic_needs_an_alias)
{
    expect_refused("30 02 0000", MQTT_3_1_1, REASON_TOPIC_NAME_INVALID);
    expect_refused("30 03 0000 00", MQTT_5_0, REASON_PROTOCOL_ERROR);
    struct publish p = expect_accepted("30 06 0000 03 23 0001", MQTT_5_0);
    ck_assert_uint_eq(p.topic.len, 0);
    ck_assert_uint_eq(p.properties.topic_alias, 1);
}
END_TEST

START_TEST(alias_0_is_refused_mqtt_3_3_2_8)
{
    expect_refused("30 07 0001 'a' 03 23 0000", MQTT_5_0, REASON_TOPIC_ALIAS_INVALID);
}
END_TEST

START_TEST(client_sends_no_subscription_identifier_mqtt_3_3_4_6)
{
    struct publish p;
    struct fault fault;
    const char *hex = "30 06 0001 'a' 02 0b 05";
    expect_refused(hex, MQTT_5_0, REASON_PROTOCOL_ERROR);
    ck_assert(decode(hex, MQTT_5_0, false, &p, &fault));
    ck_assert_uint_eq(p.properties.subscription_identifier, 5);
}
END_TEST

START_TEST(properties_that_are_missing_or_too_long_are_malformed)
{
    expect_refused("30 03 0001 'a'", MQTT_5_0, REASON_MALFORMED_PACKET);
    expect_refused("30 05 0001 'a' 02 01", MQTT_5_0, REASON_MALFORMED_PACKET);
    expect_refused("30 07 0001 'a' 03 21 0001", MQTT_5_0, REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(payload_is_held_against_its_format)
{
    ck_assert(publish_payload_is_valid(&(struct publish){.payload = guarded_hex("ff")}));
    struct publish p = expect_accepted("30 07 0001 'a' 02 01 01 ff", MQTT_5_0);
    ck_assert(!publish_payload_is_valid(&p));
    p = expect_accepted("30 07 0001 'a' 02 01 00 ff", MQTT_5_0);
    ck_assert(publish_payload_is_valid(&p));
    p = expect_accepted("30 09 0001 'a' 02 01 01 c3bc 00", MQTT_5_0);
    ck_assert(publish_payload_is_valid(&p)); /* U+0000 is text */
}
END_TEST

/* ---- encoding */

static struct publish_head full_head(void)
{
    return (struct publish_head){
        .dup = true,
        .retain = true,
        .qos = 1,
        .packet_id = 0x1234,
        .topic = bytes_from_string("a/b"),
        .topic_alias = 7,
        .has_message_expiry = true,
        .message_expiry_interval_s = 60,
        .subscription_ids = guarded_hex("0b 05 0b 80 01"),
        .forwarded_properties = guarded_hex("01 01 26 0000 0000"),
        .payload_len = 2,
    };
}

START_TEST(head_is_written)
{
    static const char *const expected[] = {
        "3b 09 0003 'a/b' 1234",
        "3b 09 0003 'a/b' 1234",
        "3b 1e 0003 'a/b' 1234 14 23 0007 02 0000003c 0b 05 0b 80 01 01 01 26 0000 0000",
    };
    enum mqtt_version version = (enum mqtt_version)_i;
    struct publish_head h = full_head();
    struct bytes hex = guarded_hex(expected[_i - MQTT_3_1]);
    uint8_t *buf = guarded_alloc(hex.len);
    size_t id_at = 0;
    ck_assert_uint_eq(publish_encoded_len(&h, version), hex.len + 2);
    expect_hex(buf, publish_encode_head(buf, hex.len, &h, version, &id_at), expected[_i - MQTT_3_1]);
    ck_assert_uint_eq(id_at, 7);
    for (size_t cap = 0; cap < hex.len; cap++) {
        ck_assert_uint_eq(publish_encode_head(buf + hex.len - cap, cap, &h, version, NULL), 0);
    }
}
END_TEST

START_TEST(head_without_anything_is_short_mqtt_2_2_2_1_mqtt_2_2_1_2_mqtt311_2_3_1_5)
{
    struct publish_head h = {.packet_id = 9, .topic = bytes_from_string("a"), .payload_len = 1};
    uint8_t buf[16];
    size_t id_at = 42;
    expect_hex(buf, publish_encode_head(buf, sizeof buf, &h, MQTT_3_1_1, &id_at), "30 04 0001 'a'");
    expect_hex(buf, publish_encode_head(buf, sizeof buf, &h, MQTT_5_0, &id_at), "30 05 0001 'a' 00");
    ck_assert_uint_eq(id_at, 42);
}
END_TEST

START_TEST(alias_alone_stands_for_the_topic)
{
    struct publish_head h = {.topic_alias = 1, .payload_len = 1};
    uint8_t buf[16];
    expect_hex(buf, publish_encode_head(buf, sizeof buf, &h, MQTT_5_0, NULL), "30 07 0000 03 23 0001");
}
END_TEST

START_TEST(length_counts_a_payload_of_any_size)
{
    static const size_t payloads[] = {124, 125, 16380, 16381, 2097148, 2097149, PACKET_BODY_MAX - 3};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct publish_head h = {.topic = bytes_from_string("a"), .payload_len = payloads[i]};
        uint8_t buf[16];
        struct packet_header header;
        struct fault fault;
        size_t len = publish_encode_head(buf, sizeof buf, &h, MQTT_3_1_1, NULL);
        ck_assert_int_gt(packet_header_decode(buf, len, MQTT_3_1_1, &header, &fault), 0);
        ck_assert_uint_eq(header.body_len, 3 + payloads[i]);
        ck_assert_uint_eq(publish_encoded_len(&h, MQTT_3_1_1), len + payloads[i]);
    }
}
END_TEST

START_TEST(what_is_too_large_for_mqtt_is_not_written)
{
    static uint8_t big[65536];
    static uint8_t buf[70000];
    struct publish_head h = {.topic = bytes_from_string("a"), .payload_len = PACKET_BODY_MAX - 2};
    ck_assert_uint_gt(publish_encoded_len(&h, MQTT_3_1_1), PACKET_BODY_MAX + 5);
    ck_assert_uint_eq(publish_encode_head(buf, sizeof buf, &h, MQTT_3_1_1, NULL), 0);
    h.payload_len = SIZE_MAX;
    ck_assert_uint_eq(publish_encode_head(buf, sizeof buf, &h, MQTT_5_0, NULL), 0);
    h = (struct publish_head){.topic = {big, 65536}};
    ck_assert_uint_gt(publish_encoded_len(&h, MQTT_5_0), PACKET_BODY_MAX + 5);
    ck_assert_uint_eq(publish_encode_head(buf, sizeof buf, &h, MQTT_5_0, NULL), 0);
    h.topic.len = 65535;
    ck_assert_uint_eq(publish_encode_head(buf, sizeof buf, &h, MQTT_5_0, NULL), 1 + 3 + 2 + 65535 + 1);
    h = (struct publish_head){.topic = bytes_from_string("a"), .forwarded_properties = {big, PACKET_BODY_MAX}};
    ck_assert_uint_gt(publish_encoded_len(&h, MQTT_5_0), PACKET_BODY_MAX + 5);
    h.subscription_ids = (struct bytes){big, SIZE_MAX};
    ck_assert_uint_gt(publish_encoded_len(&h, MQTT_5_0), PACKET_BODY_MAX + 5);
}
END_TEST

START_TEST(publish_decodes_to_what_was_encoded)
{
    enum mqtt_version version = (enum mqtt_version)_i;
    struct publish_head h = full_head();
    size_t len = publish_encoded_len(&h, version);
    uint8_t *buf = guarded_alloc(len);
    size_t head_len = publish_encode_head(buf, len, &h, version, NULL);
    memcpy(buf + head_len, "hi", 2);
    struct packet_header header;
    struct bytes body = expect_header((struct bytes){buf, len}, version, &header);
    struct publish p;
    struct fault fault;
    ck_assert(publish_decode(body, header.flags, version, false, &p, &fault));
    ck_assert(p.dup && p.retain && p.qos == 1 && p.packet_id == 0x1234);
    expect_bytes(p.topic, "a/b");
    expect_bytes(p.payload, "hi");
    if (version == MQTT_5_0) {
        ck_assert_uint_eq(p.properties.topic_alias, 7);
        ck_assert_uint_eq(p.properties.message_expiry_interval_s, 60);
        ck_assert_uint_eq(p.properties.subscription_identifiers, 2);
        ck_assert_uint_eq(p.properties.user_properties, 1);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("publish");
    TCase *decode_case = tcase_create("decode");
    TCase *encode = tcase_create("encode");

    tcase_add_loop_test(decode_case, parts_are_found_in_3_x, MQTT_3_1, MQTT_5_0);
    tcase_add_test(decode_case, parts_are_found_in_5_0);
    tcase_add_test(decode_case, qos_0_has_no_packet_id_mqtt_2_2_1_2_mqtt311_2_3_1_5);
    tcase_add_test(decode_case, packet_id_is_not_0_mqtt_2_2_1_3_mqtt_2_2_1_4_mqtt311_2_3_1_1);
    tcase_add_test(decode_case, dup_is_0_with_qos_0_mqtt_3_3_1_2_mqtt311_3_3_1_2_mqtt_4_3_1_1_mqtt311_4_3_1_1);
    tcase_add_test(decode_case, qos_3_is_malformed_mqtt_3_3_1_4_mqtt311_3_3_1_4);
    tcase_add_test(decode_case, topic_is_first_and_utf8_mqtt_3_3_2_1_mqtt311_3_3_2_1);
    tcase_add_test(decode_case, topic_has_no_wildcard_mqtt_3_3_2_2_mqtt311_3_3_2_2);
    tcase_add_test(decode_case, empty_topic_needs_an_alias);
    tcase_add_test(decode_case, alias_0_is_refused_mqtt_3_3_2_8);
    tcase_add_test(decode_case, client_sends_no_subscription_identifier_mqtt_3_3_4_6);
    tcase_add_test(decode_case, properties_that_are_missing_or_too_long_are_malformed);
    tcase_add_test(decode_case, payload_is_held_against_its_format);
    suite_add_tcase(s, decode_case);
    tcase_add_loop_test(encode, head_is_written, FIRST_VERSION, END_VERSION);
    tcase_add_test(encode, head_without_anything_is_short_mqtt_2_2_2_1_mqtt_2_2_1_2_mqtt311_2_3_1_5);
    tcase_add_test(encode, alias_alone_stands_for_the_topic);
    tcase_add_test(encode, length_counts_a_payload_of_any_size);
    tcase_add_test(encode, what_is_too_large_for_mqtt_is_not_written);
    tcase_add_loop_test(encode, publish_decodes_to_what_was_encoded, FIRST_VERSION, END_VERSION);
    suite_add_tcase(s, encode);
    return s;
}

CHECK_MAIN(suite)
