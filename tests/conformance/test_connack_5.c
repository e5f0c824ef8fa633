/* MQTT 5.0, 3.2: CONNACK. */
#include "tests/conformance/conformance.h"

#include <stdlib.h>
#include <string.h>

CONFORMANCE_TEST(mqtt_3_2_0_1_connack_comes_before_all_else)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_hang_up(c);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    c = tc_open(h, 1);
    /* what is queued, and the answers to what stands behind CONNECT, all come in one turn */
    tc_send_spec(c, "10{<MQTT> 05 00 0000 {session_expiry:60} <c>} c000 82{0001 {} <b> 00}");
    tc_expect_connack(c, true, REASON_SUCCESS);
    ck_assert_ptr_nonnull(c->last);
    ck_assert(c->all != c->first);
}

CONFORMANCE_TEST(mqtt_3_2_0_2_there_is_one_connack)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_expect_alive(c);
    harness_advance(h, 1000);
    tc_expect_nothing(c);
    tc_send_connect(c, (struct tc_options){.id = "c"});
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

/* The first bytes of an answer, as they came. */
static const uint8_t *answer(struct harness *h, struct tc_options options, uint8_t reason_code)
{
    struct tc *c = tc_try_connect(h, options);
    bool present = options.resume && reason_code == 0;
    tc_expect_connack(c, present, reason_code);
    return tc_last_bytes(c);
}

CONFORMANCE_TEST(mqtt_3_2_2_1_reserved_flags_are_0)
{
    tc_disconnect(tc_connect_persistent(h, "kept", MQTT_5_0));
    ck_assert_uint_eq(answer(h, (struct tc_options){.id = "new"}, REASON_SUCCESS)[2], 0);
    ck_assert_uint_eq(answer(h, (struct tc_options){.id = "kept", .resume = true}, REASON_SUCCESS)[2], 1);
    h->access.refusal = REASON_NOT_AUTHORIZED;
    ck_assert_uint_eq(answer(h, (struct tc_options){.id = "new"}, REASON_NOT_AUTHORIZED)[2], 0);
}

CONFORMANCE_TEST(mqtt_3_2_2_2_clean_start_has_session_present_0)
{
    tc_disconnect(tc_connect_persistent(h, "c", MQTT_5_0));
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    tc_expect_connack(c, false, REASON_SUCCESS);
}

CONFORMANCE_TEST(mqtt_3_2_2_3_session_present_tells_whether_there_is_state)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_disconnect(c); /* without an expiry interval it ends here */
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:10"});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_disconnect(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:10"});
    tc_expect_connack(c, true, REASON_SUCCESS);
    tc_disconnect(c);
    harness_advance(h, 10100);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, false, REASON_SUCCESS);
}

CONFORMANCE_TEST(mqtt_3_2_2_6_mqtt_3_2_2_7_refusal_has_session_present_0_and_is_closed)
{
    tc_disconnect(tc_connect_persistent(h, "c", MQTT_5_0));
    h->access.refusal = REASON_BAD_USER_NAME_OR_PASSWORD;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, false, REASON_BAD_USER_NAME_OR_PASSWORD);
    tc_expect_closed(c);
    h->access.refusal = 0;
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, true, REASON_SUCCESS); /* the refused one has not touched the session */
}

CONFORMANCE_TEST(mqtt_3_2_2_8_connack_has_only_listed_reason_codes)
{
    /* faults whose code a CONNACK may not carry must come out as one that it may; the client checks */
    static const char *const packets[] = {
        "10{<MQTT> 05 02 0000 {session_expiry:1 session_expiry:1} <c>}",
        "10{<MQTT> 05 06 0000 {} <c> {} <bad/#> <x>}",
        "10{<MQTT> 05 06 0000 {} <c> {} <> <x>}",
        "10{<MQTT> 05 06 0000 {} <c> {alias:1} <w> <x>}",
        "10{<MQTT> 05 06 0000 {} <c> {response_topic:<#>} <w> <x>}",
        "10{<MQTT> 05 06 0000 {} <c> {payload_format:2} <w> <x>}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_open(h, 0);
        tc_send_spec(c, "%s", packets[i]);
        ck_assert(c->closed);
        ck_assert_ptr_nonnull(c->all);
    }
}

CONFORMANCE_TEST(mqtt_3_2_2_9_server_without_qos_2_announces_its_maximum)
{
    h->limits->qos_max = 1;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(HAS(connack, MAXIMUM_QOS));
    ck_assert_uint_eq(connack->properties.maximum_qos, 1);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2});
    tc_expect_refused(c, REASON_QOS_NOT_SUPPORTED);
}

CONFORMANCE_TEST(mqtt_3_2_2_9_server_with_all_qos_announces_no_maximum)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    ck_assert(!HAS(tc_expect_connack(c, false, REASON_SUCCESS), MAXIMUM_QOS));
    tc_publish(c, "a", "x", 2);
}

CONFORMANCE_TEST(mqtt_3_2_2_10_such_a_server_takes_subscriptions_of_any_qos)
{
    h->limits->qos_max = 0;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = "a", .qos = qos});
        const struct suback *suback = tc_expect_any_suback(c, id);
        ck_assert_uint_eq(suback->reason_codes.len, 1);
        ck_assert_uint_le(suback->reason_codes.data[0], qos);
        tc_publish(c, "a", "x", 0);
        tc_receive(c, "a", "x", 0);
    }
}

CONFORMANCE_TEST(mqtt_3_2_2_12_will_above_the_maximum_qos_is_refused)
{
    h->limits->qos_max = 1;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .will = {.topic = "w", .payload = "x", .qos = 2}});
    tc_expect_connack(c, false, REASON_QOS_NOT_SUPPORTED);
    tc_expect_closed(c);
    tc_connect_with(h, .id = "c", .will = {.topic = "w", .payload = "x", .qos = 1});
}

CONFORMANCE_TEST(mqtt_3_2_2_13_retained_will_without_retain_support_is_refused)
{
    h->limits->retain_available = false;
    struct tc *c =
        tc_try_connect(h, (struct tc_options){.id = "c", .will = {.topic = "w", .payload = "x", .retain = true}});
    tc_expect_connack(c, false, REASON_RETAIN_NOT_SUPPORTED);
    tc_expect_closed(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .will = {.topic = "w", .payload = "x"}});
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(HAS(connack, RETAIN_AVAILABLE));
    ck_assert_uint_eq(connack->properties.retain_available, 0);
}

CONFORMANCE_TEST(mqtt_3_2_2_19_mqtt_3_2_2_20_connack_leaves_out_what_exceeds_the_maximum_packet_size)
{
    h->access.refusal = REASON_NOT_AUTHORIZED;
    /* 5 bytes hold flags, reason code and no property; the client checks the size */
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "packet_max:5"});
    const struct connack *connack = tc_expect_connack(c, false, REASON_NOT_AUTHORIZED);
    ck_assert(!HAS(connack, REASON_STRING));
    ck_assert(!HAS(connack, USER_PROPERTY));
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_3_2_2_22_clients_keep_alive_holds_without_a_server_keep_alive)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .keep_alive_s = 20});
    ck_assert(!HAS(tc_expect_connack(c, false, REASON_SUCCESS), SERVER_KEEP_ALIVE));
    harness_advance(h, 29900);
    tc_expect_nothing(c);
    harness_advance(h, 1100);
    tc_expect_refused(c, REASON_KEEP_ALIVE_TIMEOUT);
}

CONFORMANCE_TEST(mqtt_3_2_2_22_an_announced_server_keep_alive_is_what_is_enforced)
{
    h->limits->keep_alive_s_max = 10;
    for (uint16_t asked_s = 0; asked_s <= 60; asked_s = (uint16_t)(asked_s + 30)) {
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .keep_alive_s = asked_s});
        const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
        ck_assert(HAS(connack, SERVER_KEEP_ALIVE));
        ck_assert_uint_eq(connack->properties.server_keep_alive_s, 10);
        harness_advance(h, 14900);
        tc_expect_nothing(c);
        harness_advance(h, 1100);
        tc_expect_refused(c, REASON_KEEP_ALIVE_TIMEOUT);
    }
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .keep_alive_s = 10});
    ck_assert(!HAS(tc_expect_connack(c, false, REASON_SUCCESS), SERVER_KEEP_ALIVE));
}
