/* MQTT 5.0, 3.1: CONNECT. Wills are in test_will_5.c. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <string.h>

CONFORMANCE_TEST(mqtt_3_1_0_2_second_connect_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_connect(c, (struct tc_options){.id = "c"});
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_1_0_2_second_connect_in_the_same_segment_is_a_protocol_error)
{
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10{<MQTT> 05 02 0000 {} <c>} 10{<MQTT> 05 02 0000 {} <c>}");
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_1_2_1_another_protocol_name_is_not_served)
{
    static const char *const names[] = {"MQTX", "mqtt", "MQTTT", "", "HTTP"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tc *c = tc_open(h, 0);
        tc_send_spec(c, "10{<%s> 05 02 0000 {} <c>}", names[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt_3_1_2_2_another_protocol_version_is_refused_with_0x84)
{
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10{<MQTT> 06 02 0000 {} <c>}");
    tc_expect_connack(c, false, REASON_UNSUPPORTED_PROTOCOL_VERSION);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_3_1_2_3_reserved_connect_flag_is_malformed)
{
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10{<MQTT> 05 03 0000 {} <c>}");
    tc_expect_connack(c, false, REASON_MALFORMED_PACKET);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_3_1_2_4_clean_start_throws_the_old_session_away)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_disconnect(c);
    tc_publish(p, "a", "queued", 1);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "session_expiry:3600"});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_publish(p, "a", "not subscribed any more", 1);
    tc_expect_nothing(c);
    tc_disconnect(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, true, REASON_SUCCESS);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_1_2_5_carries_on_with_a_stored_session)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_receive(c, "a", "1", 1);
    tc_receive(c, "a", "2", 1);
    tc_publish(p, "a", "3", 1);
    tc_receive(c, "a", "3", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_1_2_6_makes_a_new_session_if_there_is_none)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_subscribe(c, "a", 0);
    tc_publish(c, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
}

/* --- keep alive, session expiry ---------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_1_2_22_silent_client_is_closed_after_one_and_a_half_keep_alives)
{
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "will", 0);
    struct tc *c =
        tc_connect_with(h, .id = "c", .keep_alive_s = 10, .will = {.topic = "will", .payload = "network failure"});
    harness_advance(h, 14900);
    tc_expect_nothing(c);
    tc_expect_nothing(w);
    harness_advance(h, 1100);
    tc_expect_refused(c, REASON_KEEP_ALIVE_TIMEOUT);
    tc_receive(w, "will", "network failure", 0);
}

CONFORMANCE_TEST(mqtt_3_1_2_22_any_packet_counts_as_a_sign_of_life)
{
    struct tc *c = tc_connect_with(h, .id = "c", .keep_alive_s = 10);
    harness_advance(h, 14000);
    tc_expect_alive(c);
    harness_advance(h, 14000);
    tc_publish(c, "a", "x", 0);
    harness_advance(h, 14000);
    tc_expect_nothing(c);
    harness_advance(h, 2000);
    tc_expect_refused(c, REASON_KEEP_ALIVE_TIMEOUT);
}

CONFORMANCE_TEST(mqtt_3_1_2_22_what_the_server_sends_is_no_sign_of_life)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .keep_alive_s = 10);
    tc_subscribe(c, "a", 0);
    for (int i = 0; i < 3; i++) {
        harness_advance(h, 4900);
        tc_publish(p, "a", "x", 0);
        tc_receive(c, "a", "x", 0);
    }
    harness_advance(h, 1300);
    tc_expect_refused(c, REASON_KEEP_ALIVE_TIMEOUT);
}

CONFORMANCE_TEST(mqtt_3_1_2_22_keep_alive_0_never_closes)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    harness_jump(h, UINT64_C(1000) * 3600 * 24 * 30);
    tc_expect_nothing(c);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_3_1_2_22_keep_alive_of_65535_s_is_kept)
{
    struct tc *c = tc_connect_with(h, .id = "c", .keep_alive_s = 65535);
    harness_advance(h, UINT64_C(98302000));
    tc_expect_nothing(c);
    harness_advance(h, 2000);
    tc_expect_refused(c, REASON_KEEP_ALIVE_TIMEOUT);
}

CONFORMANCE_TEST(mqtt_3_1_2_23_session_is_kept_as_long_as_its_expiry_interval)
{
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:100");
    tc_subscribe(c, "a", 1);
    tc_disconnect(c);
    harness_advance(h, 99000);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:100"});
    tc_expect_connack(c, true, REASON_SUCCESS);
    tc_publish(c, "a", "x", 1);
    tc_receive(c, "a", "x", 1);
}

CONFORMANCE_TEST(mqtt_3_1_2_23_session_with_expiry_0xffffffff_never_ends)
{
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:4294967295");
    tc_disconnect(c);
    harness_jump(h, UINT64_C(1000) * 4294967296);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true});
    tc_expect_connack(c, true, REASON_SUCCESS);
}

/* --- Maximum Packet Size, aliases, response and problem information ------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_1_2_24_sends_what_fits_the_maximum_packet_size_exactly_and_nothing_larger)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "packet_max:30");
    tc_subscribe(c, "a", 1);
    /* 2 fixed header, 3 topic, 2 packet id, 1 properties: 22 bytes of payload make 30 */
    tc_publish(p, "a", "1234567890123456789012", 1);
    tc_publish(p, "a", "12345678901234567890123", 1);
    tc_publish(p, "a", "1234567890123456789012345", 0);
    tc_receive(c, "a", "1234567890123456789012", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_1_2_25_oversized_message_counts_as_delivered)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c =
        tc_connect_with(h, .id = "c", .resume = true, .properties = "packet_max:30 receive_max:1 session_expiry:3600");
    tc_subscribe(c, "a", 2);
    for (int qos = 0; qos <= 2; qos++) {
        tc_publish_with(p, .topic = "a", .payload = "this one does not fit into thirty bytes", .qos = (uint8_t)qos);
        tc_publish_with(p, .topic = "a", .payload = "fits", .qos = (uint8_t)qos);
        tc_receive(c, "a", "fits", (uint8_t)qos);
    }
    tc_expect_nothing(c);
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:3600");
    tc_expect_nothing(c); /* it does not come later, when there is room */
}

CONFORMANCE_TEST(mqtt_3_1_2_25_other_subscribers_get_the_message_all_the_same)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *small = tc_connect_with(h, .id = "small", .properties = "packet_max:20");
    struct tc *large = tc_connect(h, "large", MQTT_5_0);
    tc_subscribe(small, "a", 1);
    tc_subscribe(large, "a", 1);
    tc_publish(p, "a", "more than twenty bytes", 1);
    tc_receive(large, "a", "more than twenty bytes", 1);
    tc_expect_nothing(small);
}

CONFORMANCE_TEST(mqtt_3_1_2_26_mqtt_3_3_2_11_uses_no_alias_above_the_clients_maximum)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "alias_max:2");
    tc_subscribe(c, "some/long/topic/#", 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) { /* the client checks each alias */
            char topic[64];
            snprintf(topic, sizeof(topic), "some/long/topic/%d", i);
            tc_publish(p, topic, "x", 0);
            tc_receive(c, topic, "x", 0);
        }
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_1_2_27_uses_no_alias_unless_the_client_allows_it)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *none = tc_connect(h, "none", MQTT_5_0);
    struct tc *zero = tc_connect_with(h, .id = "zero", .properties = "alias_max:0");
    tc_subscribe(none, "some/long/topic", 0);
    tc_subscribe(zero, "some/long/topic", 0);
    for (int i = 0; i < 3; i++) {
        tc_publish(p, "some/long/topic", "x", 0);
        ck_assert(!HAS(tc_receive(none, "some/long/topic", "x", 0), TOPIC_ALIAS));
        ck_assert(!HAS(tc_receive(zero, "some/long/topic", "x", 0), TOPIC_ALIAS));
    }
}

CONFORMANCE_TEST(mqtt_3_1_2_28_no_response_information_unless_requested)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    ck_assert(!HAS(tc_expect_connack(c, false, REASON_SUCCESS), RESPONSE_INFORMATION));
    c = tc_try_connect(h, (struct tc_options){.id = "d", .properties = "request_response:0"});
    ck_assert(!HAS(tc_expect_connack(c, false, REASON_SUCCESS), RESPONSE_INFORMATION));
}

CONFORMANCE_TEST(mqtt_3_1_2_29_no_reason_string_or_user_property_without_problem_information)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    h->access.unreadable = "secret";
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "request_problem:0");
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "x", .qos = 1});
    ck_assert_uint_eq(tc_expect_ack(c, PACKET_PUBACK, id, REASON_NOT_AUTHORIZED)->properties.present, 0);
    id = tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "x", .qos = 2});
    ck_assert_uint_eq(tc_expect_ack(c, PACKET_PUBREC, id, REASON_NOT_AUTHORIZED)->properties.present, 0);
    id = tc_send_subscribe(c, (struct tc_subscription){.filter = "secret"});
    ck_assert_uint_eq(tc_expect_suback(c, id, "87")->properties.present, 0);
    id = tc_send_unsubscribe(c, "unknown");
    ck_assert_uint_eq(tc_expect_unsuback(c, id, "11")->properties.present, 0);
    tc_pubrel(c, 77);
    ck_assert_uint_eq(tc_expect_ack(c, PACKET_PUBCOMP, 77, REASON_PACKET_IDENTIFIER_NOT_FOUND)->properties.present, 0);
}

/* --- client identifiers ------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_1_3_2_each_client_identifier_has_its_own_session)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *a = tc_connect_persistent(h, "a", MQTT_5_0);
    struct tc *b = tc_connect_persistent(h, "A", MQTT_5_0); /* compared byte by byte */
    tc_subscribe(a, "for/a", 1);
    tc_subscribe(b, "for/b", 1);
    tc_disconnect(a);
    tc_disconnect(b);
    tc_publish(p, "for/a", "1", 1);
    tc_publish(p, "for/b", "2", 1);
    a = tc_connect_persistent(h, "a", MQTT_5_0);
    b = tc_connect_persistent(h, "A", MQTT_5_0);
    tc_receive(a, "for/a", "1", 1);
    tc_receive(b, "for/b", "2", 1);
    tc_expect_nothing(a);
    tc_expect_nothing(b);
}

CONFORMANCE_TEST(mqtt_3_1_3_5_accepts_alphanumeric_identifiers_of_1_to_23_bytes)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t len = 1; len <= 23; len++) {
        char id[24] = "";
        memcpy(id, letters + (len * 7) % (sizeof(letters) - 24), len);
        struct tc *c = tc_connect(h, id, MQTT_5_0);
        tc_disconnect(c);
    }
    for (size_t i = 0; i < sizeof(letters) - 1; i++) {
        char id[2] = {letters[i], '\0'};
        tc_disconnect(tc_connect(h, id, MQTT_5_0));
    }
}

static void assigned_id(const struct connack *connack, char *id, size_t cap)
{
    ck_assert(HAS(connack, ASSIGNED_CLIENT_IDENTIFIER));
    struct bytes assigned = connack->properties.assigned_client_identifier;
    ck_assert_uint_gt(assigned.len, 0);
    ck_assert_uint_lt(assigned.len, cap);
    memcpy(id, assigned.data, assigned.len);
    id[assigned.len] = '\0';
}

CONFORMANCE_TEST(mqtt_3_1_3_6_mqtt_3_2_2_16_empty_identifier_gets_a_unique_one)
{
    enum { CLIENTS = 20 };
    char ids[CLIENTS][100];
    for (int i = 0; i < CLIENTS; i++) {
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "", .resume = i % 2 == 1});
        assigned_id(tc_expect_connack(c, false, REASON_SUCCESS), ids[i], sizeof(ids[i]));
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(ids[i], ids[j]);
        }
    }
}

CONFORMANCE_TEST(mqtt_3_1_3_7_assigned_identifier_is_as_good_as_one_of_the_clients)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "", .properties = "session_expiry:3600"});
    char id[256];
    assigned_id(tc_expect_connack(c, false, REASON_SUCCESS), id, sizeof(id));
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    c = tc_try_connect(h, (struct tc_options){.id = id, .resume = true, .properties = "session_expiry:3600"});
    const struct connack *connack = tc_expect_connack(c, true, REASON_SUCCESS);
    ck_assert(!HAS(connack, ASSIGNED_CLIENT_IDENTIFIER));
    tc_publish(c, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
    struct tc *again = tc_connect(h, id, MQTT_5_0);
    tc_expect_refused(c, REASON_SESSION_TAKEN_OVER);
    tc_expect_alive(again);
}

CONFORMANCE_TEST(mqtt_3_1_3_8_refused_identifier_is_told_by_0x85_and_closed)
{
    h->access.refusal = REASON_CLIENT_IDENTIFIER_NOT_VALID;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "not wanted"});
    tc_expect_connack(c, false, REASON_CLIENT_IDENTIFIER_NOT_VALID);
    tc_expect_closed(c);
}

/* --- actions (3.1.4) --------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_1_4_1_connect_that_breaks_the_format_is_closed)
{
    static const struct {
        const char *why;
        const char *packet;
        uint8_t reason_code;
    } cases[] = {
        {"flags of the fixed header", "11{<MQTT> 05 02 0000 {} <c>}", 0},
        {"no client identifier", "10{<MQTT> 05 02 0000 {}}", 0x81},
        {"no properties", "10{<MQTT> 05 02 0000}", 0x81},
        {"client identifier that leaves the packet", "10{<MQTT> 05 02 0000 {} 0005 'c'}", 0x81},
        {"bytes behind the last field", "10{<MQTT> 05 02 0000 {} <c> 00}", 0x81},
        {"client identifier that is not UTF-8", "10{<MQTT> 05 02 0000 {} [c328]}", 0x81},
        {"client identifier with U+0000", "10{<MQTT> 05 02 0000 {} ['c' 00]}", 0x81},
        {"will QoS 3", "10{<MQTT> 05 1e 0000 {} <c> {} <w> <x>}", 0x81},
        {"will QoS without will", "10{<MQTT> 05 0a 0000 {} <c>}", 0x81},
        {"will retain without will", "10{<MQTT> 05 22 0000 {} <c>}", 0x81},
        {"will topic that is missing", "10{<MQTT> 05 06 0000 {} <c> {}}", 0x81},
        {"user name that is missing", "10{<MQTT> 05 82 0000 {} <c>}", 0x81},
        {"user name that is not UTF-8", "10{<MQTT> 05 82 0000 {} <c> [ff]}", 0x81},
        {"password that is missing", "10{<MQTT> 05 42 0000 {} <c>}", 0x81},
        {"property of another packet", "10{<MQTT> 05 02 0000 {alias:1} <c>}", 0x81},
        {"unknown property", "10{<MQTT> 05 02 0000 {7f00} <c>}", 0x81},
        {"property twice", "10{<MQTT> 05 02 0000 {receive_max:1 receive_max:1} <c>}", 0x82},
        {"Receive Maximum 0", "10{<MQTT> 05 02 0000 {receive_max:0} <c>}", 0x82},
        {"Maximum Packet Size 0", "10{<MQTT> 05 02 0000 {packet_max:0} <c>}", 0x82},
        {"Request Problem Information 2", "10{<MQTT> 05 02 0000 {request_problem:2} <c>}", 0x82},
        {"Request Response Information 2", "10{<MQTT> 05 02 0000 {request_response:2} <c>}", 0x82},
        {"authentication data without a method", "10{<MQTT> 05 02 0000 {auth_data:<x>} <c>}", 0x82},
        {"Property Length that leaves the packet", "10{<MQTT> 05 02 0000 7f}", 0x81},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tc *c = tc_open(h, 0);
        tc_name(c, cases[i].why);
        tc_send_spec(c, "%s", cases[i].packet);
        if (cases[i].reason_code != 0) {
            tc_expect_connack(c, false, cases[i].reason_code);
        }
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt_3_1_4_2_failed_authentication_or_authorization_is_closed)
{
    static const uint8_t codes[] = {REASON_BAD_USER_NAME_OR_PASSWORD, REASON_NOT_AUTHORIZED, REASON_BANNED,
                                    REASON_SERVER_BUSY};
    for (size_t i = 0; i < sizeof(codes); i++) {
        h->access.refusal = codes[i];
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .user_name = "u", .password = "p"});
        tc_expect_connack(c, false, codes[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt_3_1_4_3_older_connection_with_the_identifier_gets_0x8e)
{
    struct tc *old = tc_connect(h, "c", MQTT_5_0);
    struct tc *new = tc_connect(h, "c", MQTT_5_0);
    tc_expect_refused(old, REASON_SESSION_TAKEN_OVER);
    tc_expect_alive(new);
}

CONFORMANCE_TEST(mqtt_3_1_4_3_last_of_many_connections_keeps_the_session)
{
    struct tc *clients[10];
    for (int i = 0; i < 10; i++) {
        clients[i] = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_subscribe(clients[i], "a", 1);
    }
    for (int i = 0; i < 9; i++) {
        tc_expect_refused(clients[i], REASON_SESSION_TAKEN_OVER);
    }
    tc_publish(clients[9], "a", "x", 0);
    tc_receive(clients[9], "a", "x", 0);
    tc_expect_nothing(clients[9]);
}

CONFORMANCE_TEST(mqtt_3_1_4_4_clean_start_is_carried_out_when_taking_over_too)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *old = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(old, "a", 1);
    tc_publish(p, "a", "unacknowledged", 1);
    tc_expect_publish(old, "a", "unacknowledged", 1);
    struct tc *new = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "session_expiry:3600"});
    tc_expect_refused(old, REASON_SESSION_TAKEN_OVER);
    tc_expect_connack(new, false, REASON_SUCCESS);
    tc_publish(p, "a", "x", 1);
    tc_expect_nothing(new);
}

CONFORMANCE_TEST(mqtt_3_1_4_5_valid_connect_is_acknowledged)
{
    struct tc *c =
        tc_try_connect(h, (struct tc_options){.id = "c",
                                              .keep_alive_s = 60,
                                              .user_name = "u",
                                              .password = "p",
                                              .properties = "session_expiry:10 receive_max:20 packet_max:100"
                                                            " alias_max:5 request_response:1 request_problem:1"
                                                            " user:<a><b> user:<a><b>",
                                              .will = {.topic = "w",
                                                       .payload = "x",
                                                       .qos = 2,
                                                       .properties = "will_delay:1 payload_format:1"
                                                                     " message_expiry:1 content_type:<t>"
                                                                     " response_topic:<r> correlation:<c>"}});
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_1_4_5_password_without_user_name_is_allowed)
{
    tc_expect_alive(tc_connect_with(h, .id = "c", .password = "token"));
}

CONFORMANCE_TEST(mqtt_3_1_4_6_nothing_behind_a_refused_connect_is_processed)
{
    h->access.refusal = REASON_NOT_AUTHORIZED;
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10{<MQTT> 05 02 0000 {} <c>} 31{<a> {} 'retained'} 82{0001 {} <a> 00} c000");
    tc_expect_connack(c, false, REASON_NOT_AUTHORIZED);
    tc_expect_closed(c);
    h->access.refusal = 0;
    struct tc *d = tc_connect(h, "d", MQTT_5_0);
    tc_subscribe(d, "#", 0);
    tc_expect_nothing(d);
}

CONFORMANCE_TEST(mqtt_3_1_4_6_nothing_is_processed_before_the_connect_is_decided)
{
    h->access.is_held = true;
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10{<MQTT> 05 02 0000 {} <c>} 31{<a> {} 'retained'} c000");
    ck_assert_ptr_null(c->all);
    h->access.refusal = REASON_NOT_AUTHORIZED;
    harness_answer_access(h);
    tc_expect_connack(c, false, REASON_NOT_AUTHORIZED);
    tc_expect_closed(c);
    h->access.is_held = false;
    h->access.refusal = 0;
    struct tc *d = tc_connect(h, "d", MQTT_5_0);
    tc_subscribe(d, "#", 0);
    tc_expect_nothing(d);
}
