/* MQTT 5.0, 3.4 to 3.7: PUBACK, PUBREC, PUBREL, PUBCOMP as packets. The exchanges they belong to are in test_qos_5.c. */
#include "tests/conformance/conformance.h"
#include "tests/conformance/optional_parts.h"

/* --- reason codes ------------------------------------------------------------------------------------------------------- */

/* Everything that a PUBLISH of QOS can be answered with; the client refuses what is not listed for TYPE. */
static void check_publish_codes(struct harness *h, enum packet_type type, uint8_t qos)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    h->limits->check_payload_format = true;
    h->limits->filter_levels = 4;
    h->limits->queue_full = QUEUE_REFUSE;
    h->limits->queued_messages = 1;
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_subscribe(s, "full", 2);
    tc_hang_up(s);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_publish(p, "full", "1", qos);
    const struct {
        struct tc_message message;
        uint8_t reason_code;
    } cases[] = {
        {{.topic = "nobody", .payload = "x"}, REASON_NO_MATCHING_SUBSCRIBERS},
        {{.topic = "forbidden", .payload = "x"}, REASON_NOT_AUTHORIZED},
        {{.topic = "$SYS/broker", .payload = "x"}, REASON_NOT_AUTHORIZED},
        {{.topic = "a/b/c/d/e", .payload = "x"}, REASON_TOPIC_NAME_INVALID},
        {{.topic = "nobody", .payload = "\xff", .properties = "payload_format:1"}, REASON_PAYLOAD_FORMAT_INVALID},
        {{.topic = "full", .payload = "2"}, REASON_QUOTA_EXCEEDED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tc_message message = cases[i].message;
        message.qos = qos;
        uint16_t id = tc_send_publish(p, message);
        tc_expect_ack(p, type, id, cases[i].reason_code);
        if (qos == 2 && cases[i].reason_code < 0x80) {
            tc_pubrel(p, id);
            tc_expect_pubcomp(p, id);
        }
    }
    h->store.admission = STORE_FULL;
    uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "nobody", .payload = "x", .qos = qos});
    tc_expect_ack(p, type, id, REASON_QUOTA_EXCEEDED);
    tc_expect_alive(p);
}

CONFORMANCE_TEST(mqtt_3_4_2_1_puback_tells_why_with_listed_reason_codes)
{
    check_publish_codes(h, PACKET_PUBACK, 1);
}

CONFORMANCE_TEST(mqtt_3_5_2_1_pubrec_tells_why_with_listed_reason_codes)
{
    check_publish_codes(h, PACKET_PUBREC, 2);
}

CONFORMANCE_TEST(mqtt_3_6_2_1_pubrel_for_an_unknown_id_says_0x92)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_pubrec(c, 77);
    tc_expect_ack(c, PACKET_PUBREL, 77, REASON_PACKET_IDENTIFIER_NOT_FOUND);
    tc_pubcomp(c, 77);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_3_7_2_1_pubcomp_for_an_unknown_id_says_0x92)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_pubrel(c, 77);
    tc_expect_ack(c, PACKET_PUBCOMP, 77, REASON_PACKET_IDENTIFIER_NOT_FOUND);
    tc_expect_alive(c);
}

/* Send every possible reason code in a packet of TYPE with a fresh id; those in LISTED are taken, others are a protocol error. */
static void check_codes_from_client(struct harness *h, enum packet_type type, const uint8_t *listed, size_t listed_len)
{
    for (unsigned code = 1; code <= 0xff; code++) {
        bool is_listed = false;
        for (size_t i = 0; i < listed_len; i++) {
            is_listed |= listed[i] == code;
        }
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 2);
        uint16_t id = 9;
        if (type == PACKET_PUBACK || type == PACKET_PUBREC) {
            tc_publish(c, "a", "x", type == PACKET_PUBACK ? 1 : 2);
            id = tc_expect_any_publish(c)->packet_id;
        }
        tc_send_spec(c, "%02x{%04x %02x}", type << 4 | (type == PACKET_PUBREL ? 2 : 0), id, code);
        if (!is_listed) {
            tc_expect_refused(c, REASON_PROTOCOL_ERROR);
            continue;
        }
        if (type == PACKET_PUBREC && code < 0x80) {
            tc_expect_pubrel(c, id);
        } else if (type == PACKET_PUBREL) {
            tc_expect_ack(c, PACKET_PUBCOMP, id, REASON_PACKET_IDENTIFIER_NOT_FOUND);
        }
        tc_expect_alive(c);
    }
}

static const uint8_t publish_codes[] = {0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
static const uint8_t release_codes[] = {0x92};

CONFORMANCE_TEST(mqtt_3_4_2_1_puback_with_an_unlisted_reason_code_is_a_protocol_error)
{
    check_codes_from_client(h, PACKET_PUBACK, publish_codes, sizeof(publish_codes));
}

CONFORMANCE_TEST(mqtt_3_5_2_1_pubrec_with_an_unlisted_reason_code_is_a_protocol_error)
{
    check_codes_from_client(h, PACKET_PUBREC, publish_codes, sizeof(publish_codes));
}

CONFORMANCE_TEST(mqtt_3_6_2_1_pubrel_with_an_unlisted_reason_code_is_a_protocol_error)
{
    check_codes_from_client(h, PACKET_PUBREL, release_codes, sizeof(release_codes));
}

CONFORMANCE_TEST(mqtt_3_7_2_1_pubcomp_with_an_unlisted_reason_code_is_a_protocol_error)
{
    check_codes_from_client(h, PACKET_PUBCOMP, release_codes, sizeof(release_codes));
}

/* --- what goes with the reason code --------------------------------------------------------------------------------------- */

static const struct properties *provoke_puback(struct tc *c)
{
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "$SYS/x", .qos = 1});
    return &tc_expect_ack(c, PACKET_PUBACK, id, REASON_NOT_AUTHORIZED)->properties;
}

static const struct properties *provoke_pubrec(struct tc *c)
{
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "$SYS/x", .qos = 2});
    return &tc_expect_ack(c, PACKET_PUBREC, id, REASON_NOT_AUTHORIZED)->properties;
}

static const struct properties *provoke_pubrel(struct tc *c)
{
    tc_pubrec(c, 7);
    return &tc_expect_ack(c, PACKET_PUBREL, 7, REASON_PACKET_IDENTIFIER_NOT_FOUND)->properties;
}

static const struct properties *provoke_pubcomp(struct tc *c)
{
    tc_pubrel(c, 7);
    return &tc_expect_ack(c, PACKET_PUBCOMP, 7, REASON_PACKET_IDENTIFIER_NOT_FOUND)->properties;
}

CONFORMANCE_TEST(mqtt_3_4_2_2_mqtt_3_4_2_3_puback_leaves_out_what_exceeds_the_maximum_packet_size)
{
    check_optional_parts(h, provoke_puback);
}

CONFORMANCE_TEST(mqtt_3_5_2_2_mqtt_3_5_2_3_pubrec_leaves_out_what_exceeds_the_maximum_packet_size)
{
    check_optional_parts(h, provoke_pubrec);
}

CONFORMANCE_TEST(mqtt_3_6_2_2_mqtt_3_6_2_3_pubrel_leaves_out_what_exceeds_the_maximum_packet_size)
{
    check_optional_parts(h, provoke_pubrel);
}

CONFORMANCE_TEST(mqtt_3_7_2_2_mqtt_3_7_2_3_pubcomp_leaves_out_what_exceeds_the_maximum_packet_size)
{
    check_optional_parts(h, provoke_pubcomp);
}

CONFORMANCE_TEST(mqtt_3_4_2_2_mqtt_3_4_2_3_acknowledgements_of_a_client_may_say_more)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(c, "a", "1", 1);
    tc_send_spec(c, "40{%04x 00 {reason_string:<all is well> user:<k><v> user:<k><v>}}",
                 tc_expect_publish(c, "a", "1", 1)->packet_id);
    tc_publish(c, "a", "2", 2);
    uint16_t id = tc_expect_publish(c, "a", "2", 2)->packet_id;
    tc_send_spec(c, "50{%04x 00 {reason_string:<all is well> user:<k><v>}}", id);
    tc_expect_pubrel(c, id);
    tc_send_spec(c, "70{%04x 00 {user:<k><v> reason_string:<all is well>}}", id);
    tc_send_spec(c, "62{0009 92 {reason_string:<never heard of>}}");
    tc_expect_ack(c, PACKET_PUBCOMP, 9, REASON_PACKET_IDENTIFIER_NOT_FOUND);
    tc_expect_alive(c);
}

/* --- flags ------------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_6_1_1_pubrel_with_flags_other_than_0010_is_malformed)
{
    for (unsigned flags = 0; flags <= 0xf; flags++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2});
        tc_expect_pubrec(c, id);
        tc_send_spec(c, "6%x{%04x}", flags, id);
        if (flags == 2) {
            tc_expect_pubcomp(c, id);
            ck_assert_uint_eq(tc_last_bytes(c)[0], 0x70);
        } else {
            tc_expect_refused(c, REASON_MALFORMED_PACKET);
        }
    }
}

CONFORMANCE_TEST(mqtt_3_6_1_1_pubrel_of_the_server_has_flags_0010)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(c, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    ck_assert_uint_eq(tc_last_bytes(c)[0], 0x62);
}
