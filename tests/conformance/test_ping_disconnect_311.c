/* MQTT 3.1.1, 3.12 to 3.14: PINGREQ, PINGRESP, DISCONNECT. */
#include "tests/conformance/v311.h"

CONFORMANCE_TEST(mqtt311_3_12_4_1_pingreq_is_answered_by_pingresp)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "c000");
    tc_expect_pingresp(c);
    tc_send_spec(c, "c000 c000 c000");
    tc_expect_pingresp(c);
    tc_expect_pingresp(c);
    tc_expect_pingresp(c);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_14_1_1_disconnect_with_reserved_bits_is_none)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "will", 0);
    for (unsigned flags = 1; flags < 16; flags++) {
        struct tc *c =
            tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = "malformed"});
        tc_send_spec(c, "%02x00", 0xe0 | flags);
        tc_expect_closed(c);
        tc_receive(w, "will", "malformed", 0);
    }
}

CONFORMANCE_TEST(mqtt311_3_14_4_3_disconnect_with_a_body_is_none)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "will", 0);
    struct tc *c =
        tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = "malformed"});
    tc_send_spec(c, "e0{00 00}"); /* 5.0 allows this */
    tc_expect_closed(c);
    tc_receive(w, "will", "malformed", 0);
}

CONFORMANCE_TEST(mqtt311_3_14_4_1_server_closes_behind_disconnect_and_does_nothing_that_follows)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "#", 0);
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = "bye"});
    tc_send_spec(c, "30{<a> 'before'} e000 30{<a> 'behind'} c000");
    tc_expect_closed(c);
    tc_receive(w, "a", "before", 0);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_14_4_3_disconnect_drops_the_will)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "will", 2);
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .keep_alive_s = 10,
                                   .will = {.topic = "will", .payload = "bye", .qos = 1, .retain = true});
    tc_send_spec(c, "e000");
    tc_expect_closed(c);
    tc_hang_up(c);
    harness_advance(h, 60000);
    tc_expect_nothing(w);
    tc_subscribe(w, "#", 2);
    tc_expect_nothing(w); /* nor is it retained */
}
