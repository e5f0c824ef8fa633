/* MQTT 3.1.1, 3.4 to 3.7: PUBACK, PUBREC, PUBREL, PUBCOMP. The flows as a whole are in test_qos_flows_311.c. */
#include "tests/conformance/v311.h"

CONFORMANCE_TEST(mqtt311_3_6_1_1_pubrel_with_other_flags_closes_the_connection)
{
    for (unsigned flags = 0; flags < 16; flags++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 7});
        tc_expect_pubrec(c, 7);
        tc_send_spec(c, "%02x{0007}", 0x60 | flags);
        if (flags == 2) {
            tc_expect_pubcomp(c, 7);
        } else {
            tc_expect_closed(c);
        }
    }
}

CONFORMANCE_TEST(mqtt311_2_3_1_6_mqtt311_3_6_1_1_pubrel_of_the_server_has_flags_0010_and_the_id)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    tc_set_room(c, 3);
    tc_pubrec(c, id);
    ck_assert_uint_eq(c->partial_len, 3);
    ck_assert_uint_eq(c->partial[0], 0x62);
    ck_assert_uint_eq(c->partial[1], 2);
    ck_assert_uint_eq(c->partial[2], id >> 8);
    tc_set_room(c, SIZE_MAX);
    tc_expect_pubrel(c, id);
}

CONFORMANCE_TEST(mqtt311_4_3_3_2_pubrel_for_nothing_is_answered_by_pubcomp)
{
    struct tc *c = v311_connect(h, "c");
    tc_pubrel(c, 77);
    tc_expect_pubcomp(c, 77);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt311_4_8_0_1_acknowledgement_of_the_wrong_kind_closes_the_connection)
{
    struct tc *p = v311_connect(h, "p");
    static const struct {
        uint8_t qos;
        enum packet_type type;
    } cases[] = {{1, PACKET_PUBREC}, {1, PACKET_PUBCOMP}, {2, PACKET_PUBACK}, {2, PACKET_PUBCOMP}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tc *c = v311_connect(h, "c");
        tc_subscribe(c, "a", 2);
        tc_publish(p, "a", "x", cases[i].qos);
        tc_send_ack(c, cases[i].type, tc_expect_publish(c, "a", "x", cases[i].qos)->packet_id, 0);
        tc_expect_closed(c);
    }
}
