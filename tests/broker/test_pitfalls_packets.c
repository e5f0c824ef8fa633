/* Where brokers go wrong: packets that are out of place, malformed, of the wrong kind, or valid but hostile. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/stats.h"

/* --- CONNECT and what stands around it ---------------------------------------------------------------------------------- */

CONFORMANCE_TEST(first_packet_that_is_not_connect_is_closed_unanswered)
{
    static const char *const packets[] = {
        "30{<a> {} 'x'}",
        "82{0001 {} <a> 00}",
        "a2{0001 {} <a>}",
        "c000",
        "d000",
        "e000",
        "f0{00 {}}",
        "40{0001}",
        "50{0001}",
        "62{0001}",
        "20{00 00 {}}",
        "00",
        "f000",
        "90{0001 {} 00}",
        "'GET / HTTP/1.1' 0d0a0d0a",
        "16030102000100",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_open(h, 0);
        tc_name(c, packets[i]);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(first_byte_that_is_not_connect_is_enough_to_close)
{
    struct tc *c = tc_open(h, 0);
    tc_send(c, "\x30", 1);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(connect_with_left_over_bytes_is_refused)
{
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10{<MQTT> 05 02 0000 {} <c> 'left over'}");
    tc_expect_connack(c, false, REASON_MALFORMED_PACKET);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(connect_that_comes_byte_by_byte_is_accepted)
{
    struct tc *c = tc_open(h, 0);
    static const char connect[] = "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01"
                                  "c";
    for (size_t i = 0; i < sizeof(connect) - 1; i++) {
        ck_assert_uint_eq(tc_count(c), 0);
        tc_send(c, connect + i, 1);
    }
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(connection_without_a_connect_is_closed_in_time)
{
    h->limits->connect_timeout_ms = 5000;
    struct tc *silent = tc_open(h, 0);
    struct tc *slow = tc_open(h, 0);
    for (int i = 0; i < 49; i++) { /* bytes that trickle in are no reason to wait longer */
        tc_send(slow, &"\x10\x7f\x00\x04MQTT\x05\x02\x00\x00"[i < 12 ? i : 11], 1);
        harness_advance(h, 100);
    }
    ck_assert(!silent->closed);
    ck_assert(!slow->closed);
    harness_advance(h, 200);
    tc_expect_closed(silent);
    tc_expect_closed(slow);
}

CONFORMANCE_TEST(announced_length_costs_no_memory_until_bytes_come)
{
    struct tc *probe = tc_connect(h, "probe", MQTT_5_0);
    size_t before = broker_memory(h->broker);
    for (int i = 0; i < 50; i++) {
        tc_send_spec(tc_open(h, 0), "10 8080 06 <MQTT>"); /* 98304 bytes: as much as a CONNECT may have */
        struct tc *c = tc_open(h, 0);
        tc_send_connect(c, (struct tc_options){.id = ""});
        tc_send_spec(c, "30 ffff7f <topic>"); /* 2097151 bytes */
    }
    ck_assert_uint_lt(broker_memory(h->broker) - before, 100 * 1024);
    tc_expect_alive(probe);
}

CONFORMANCE_TEST(connect_larger_than_its_own_limit_is_refused_at_once)
{
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10 ffffff7f"); /* 256 MB */
    tc_expect_closed(c);
}

CONFORMANCE_TEST(variable_byte_integer_of_five_bytes_is_malformed)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "30 8080808001");
    tc_expect_refused(c, REASON_MALFORMED_PACKET);
    c = tc_open(h, 0);
    tc_send_spec(c, "10 8080808001");
    ck_assert(c->closed);
}

/* --- fixed headers ------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(reserved_header_bits_of_every_packet_are_malformed)
{
    static const char *const packets[] = {
        "41{0001}",
        "48{0001}",
        "51{0001}",
        "60{0001}",
        "6a{0001}",
        "71{0001}",
        "80{0001 {} <a> 00}",
        "a0{0001 {} <a>}",
        "c100",
        "c800",
        "e100",
        "e8{00}",
        "f1{18 {auth_method:<x>}}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
        c = tc_connect(h, packets[i], MQTT_3_1_1);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(lengths_that_a_packet_cannot_have_are_malformed)
{
    static const char *const packets[] = {
        "c0{00}",
        "40{00}",
        "40{}",
        "50{00}",
        "62{00}",
        "70{00}",
        "30{}",
        "30{00}",
        "32{<a>}",
        "32{<a> 00}",
        "82{00}",
        "82{0001}",
        "a2{0001}",
        "40{0001 00 {} 00}",
        "e0{00 {} 00}",
        "82{0001 {} <a>}",
        "a2{0001 {} 0005 'a'}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
    }
}

CONFORMANCE_TEST(lengths_that_a_packet_of_3_1_1_cannot_have_are_closed)
{
    static const char *const packets[] = {"c0{00}",     "40{000100}", "50{000100}",   "62{000100}",
                                          "70{000100}", "e0{00}",     "82{0001}",     "a2{0001}",
                                          "30{00}",     "32{<a>}",    "82{0001 <a>}", "f000"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_3_1_1);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(packet_id_0_is_malformed)
{
    static const char *const packets[] = {
        "32{<a> 0000 {} 'x'}", "82{0000 {} <a> 00}", "a2{0000 {} <a>}", "40{0000}", "50{0000}", "62{0000}", "70{0000}"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        ck_assert(c->closed);
        ck_assert_uint_eq(tc_count(c), 1);
    }
}

/* --- packets out of place ----------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(packets_that_only_a_server_sends_are_protocol_errors)
{
    static const char *const packets[] = {"20{00 00 {}}", "90{0001 {} 00}", "b0{0001 {} 00}", "d000"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_PROTOCOL_ERROR);
        c = tc_connect(h, packets[i], MQTT_3_1_1);
        tc_send_spec(c, "%s", i == 0 ? "20{0000}" : i == 3 ? "d000" : i == 1 ? "90{0001 00}" : "b0{0001}");
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(acknowledgement_of_the_wrong_kind_finishes_nothing)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    static const struct {
        uint8_t qos;
        enum packet_type type;
    } cases[] = {{1, PACKET_PUBREC}, {1, PACKET_PUBCOMP}, {2, PACKET_PUBACK}, {2, PACKET_PUBCOMP}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 2);
        tc_publish(p, "a", "x", cases[i].qos);
        const struct publish *first = tc_expect_publish(c, "a", "x", cases[i].qos);
        tc_send_ack(c, cases[i].type, first->packet_id, 0);
        tc_hang_up(c);
        c = tc_connect_persistent(h, "c", MQTT_5_0);
        const struct publish *again = tc_receive(c, "a", "x", cases[i].qos);
        ck_assert(again->dup);
        ck_assert_uint_eq(again->packet_id, first->packet_id);
        tc_expect_nothing(c);
        tc_disconnect(c);
    }
}

CONFORMANCE_TEST(acknowledgements_for_nothing_harm_nobody)
{
    static const char *const packets[] = {"40{1234}", "50{1234}", "62{1234}", "70{1234}", "50{1234 80}", "40{1234 97}"};
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "#", 2);
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        if (c->closed) {
            tc_expect_refused(c, REASON_PROTOCOL_ERROR);
        } else {
            ck_assert_uint_le(tc_count(c), 1); /* 0x92, if anything */
        }
        c = tc_connect(h, packets[i], MQTT_3_1_1);
        tc_send_spec(c, "%.2s{1234}", packets[i]);
        ck_assert(c->closed || tc_count(c) <= 1);
    }
    tc_publish(w, "a", "x", 2);
    tc_receive(w, "a", "x", 2);
}

CONFORMANCE_TEST(pubrel_before_pubrec_was_sent_waits_for_the_store_too)
{
    struct tc *p = tc_connect_persistent(h, "p", MQTT_5_0);
    h->store.is_held = true;
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 5});
    tc_pubrel(p, 5);
    tc_expect_nothing(p);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubrec(p, 5);
    tc_expect_pubcomp(p, 5);
    tc_expect_nothing(p);
}

CONFORMANCE_TEST(acknowledgements_leave_in_the_order_in_which_packets_came)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "stored", 1);
    tc_hang_up(c);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    h->store.is_held = true;
    tc_send_publish(p, (struct tc_message){.topic = "stored", .payload = "x", .qos = 1, .id = 1});
    tc_send_publish(p, (struct tc_message){.topic = "nobody", .payload = "x", .qos = 1, .id = 2});
    tc_send_publish(p, (struct tc_message){.topic = "stored", .payload = "x", .qos = 1, .id = 3});
    tc_send_publish(p, (struct tc_message){.topic = "nobody", .payload = "x", .qos = 1, .id = 4});
    tc_expect_nothing(p);
    tc_expect_alive(p);
    harness_complete_store(h, SIZE_MAX);
    for (uint16_t id = 1; id <= 4; id++) {
        tc_expect_puback(p, id);
    }
}

/* --- properties --------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(property_in_the_wrong_packet_is_malformed)
{
    static const char *const packets[] = {
        "30{<a> {session_expiry:1} 'x'}",
        "30{<a> {receive_max:1} 'x'}",
        "30{<a> {will_delay:1} 'x'}",
        "30{<a> {reason_string:<x>} 'x'}",
        "82{0001 {alias:1} <a> 00}",
        "82{0001 {message_expiry:1} <a> 00}",
        "a2{0001 {subscription_id:1} <a>}",
        "40{0001 00 {content_type:<x>}}",
        "e0{00 {alias:1}}",
        "e0{00 {packet_max:1}}",
        "30{<a> {00} 'x'}",
        "30{<a> {04} 'x'}",
        "30{<a> {7f} 'x'}",
        "30{<a> {ff7f} 'x'}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:10");
        tc_name(c, packets[i]);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
    }
}

CONFORMANCE_TEST(property_twice_or_with_a_forbidden_value_is_a_protocol_error)
{
    static const char *const packets[] = {
        "30{<a> {payload_format:0 payload_format:0} 'x'}",
        "30{<a> {message_expiry:1 message_expiry:1} 'x'}",
        "30{<a> {content_type:<x> content_type:<x>} 'x'}",
        "30{<a> {alias:1 alias:1} 'x'}",
        "30{<a> {payload_format:2} 'x'}",
        "30{<a> {subscription_id:1} 'x'}",
        "82{0001 {subscription_id:0} <a> 00}",
        "e0{00 {session_expiry:1 session_expiry:1}}",
        "e0{00 {reason_string:<x> reason_string:<x>}}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:10");
        tc_name(c, packets[i]);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    }
}

CONFORMANCE_TEST(property_lengths_that_do_not_fit_are_malformed)
{
    static const char *const packets[] = {
        "30{<a> 05}",           "30{<a> 0501}",
        "30{<a> ffffff7f}",     "30{<a> 8000 'x'}",
        "30{<a> 03 02 0000}",   "30{<a> {0300ff 'x'}}",
        "82{0001 7f <a> 00}",   "e0{00 05}",
        "30{<a> {26 <k>} 'x'}", "30{<a> {26 <k> 0005 'v'} 'x'}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
    }
}

/* --- UTF-8 -------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(ill_formed_text_is_malformed_wherever_it_stands)
{
    static const char *const texts[] = {"[c3]",     "[c328]",   "[80]",       "[c0af]",     "[e08080]",
                                        "[eda080]", "[edbfbf]", "[f0808080]", "[f4908080]", "[f8888080 80]",
                                        "[ff]",     "[00]",     "['a' 00]"};
    static const char *const packets[] = {
        "30{%s {} 'x'}",
        "30{<a> {content_type:%s} 'x'}",
        "30{<a> {response_topic:%s} 'x'}",
        "30{<a> {user:%s <v>} 'x'}",
        "30{<a> {user:<k> %s} 'x'}",
        "82{0001 {} %s 00}",
        "a2{0001 {} %s}",
        "e0{00 {reason_string:%s}}",
    };
    for (size_t p = 0; p < sizeof(packets) / sizeof(packets[0]); p++) {
        for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
            char text[128];
            const char *hole = strstr(packets[p], "%s");
            snprintf(text, sizeof(text), "%.*s%s%s", (int)(hole - packets[p]), packets[p], texts[t], hole + 2);
            struct tc *c = tc_connect(h, "c", MQTT_5_0);
            tc_name(c, text);
            tc_send_spec(c, "%s", text);
            tc_expect_refused(c, REASON_MALFORMED_PACKET);
            tc_hang_up(c);
        }
    }
}

CONFORMANCE_TEST(payload_that_says_it_is_text_is_checked_if_told_so)
{
    h->limits->check_payload_format = true;
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "a", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_publish_with(c, .topic = "a", .payload = "caf\xc3\xa9", .qos = 1, .properties = "payload_format:1");
    tc_receive(w, "a", "caf\xc3\xa9", 1);
    tc_publish_with(c, .topic = "a", .payload = "\xff", .qos = 1, .properties = "payload_format:0");
    tc_receive(w, "a", "\xff", 1);
    uint16_t id = tc_send_publish(
        c, (struct tc_message){.topic = "a", .payload = "\xff", .qos = 1, .properties = "payload_format:1"});
    tc_expect_ack(c, PACKET_PUBACK, id, REASON_PAYLOAD_FORMAT_INVALID);
    tc_expect_nothing(w);
}

/* --- topics ------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(ill_formed_filters_are_refused)
{
    static const char *const filters[] = {"#/a", "a/#/b", "a#", "a+", "+a", "a/b+/c", "##", "++", "a/##", "#+"};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        struct tc *c = tc_connect(h, filters[i], MQTT_5_0);
        uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = filters[i]});
        if (c->closed) {
            tc_expect_refused(c, REASON_TOPIC_FILTER_INVALID);
        } else {
            tc_expect_suback(c, id, "8f");
        }
    }
}

CONFORMANCE_TEST(empty_topics_and_filters_are_refused)
{
    static const char *const packets[] = {"30{<> {} 'x'}", "82{0001 {} <> 00}", "a2{0001 {} <>}"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, packets[i], MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        ck_assert(c->closed);
        ck_assert_uint_eq(tc_count(c), 1);
    }
}

CONFORMANCE_TEST(subscribe_with_a_bad_filter_takes_no_effect_up_to_it)
{
    static const char *const packets[] = {"82{0001 {} <good> 01 <a> 03}", "82{0001 {} <good> 01 [ff] 00}",
                                          "82{0001 {} <good> 01 <cut>}", "82{0001 {} <good> 01 0009 'c'}"};
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        ck_assert(c->closed);
        tc_publish(p, "good", "x", 1);
        c = tc_connect_persistent(h, "c", MQTT_5_0);
        tc_expect_nothing(c);
        tc_disconnect(c);
    }
}

/* --- enhanced authentication -------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(packets_other_than_auth_during_authentication_are_refused)
{
    static const char *const packets[] = {"30{<a> {} 'x'}", "c000", "82{0001 {} <a> 00}"};
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "#", 0);
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "auth_method:<TEST>"});
        tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_connack(c, false, REASON_PROTOCOL_ERROR);
        tc_expect_closed(c);
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(failed_re_authentication_ends_with_one_disconnect)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "auth_method:<TEST>"});
    tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
    tc_send_spec(c, "f0{18 {auth_method:<TEST> auth_data:<response>}}");
    tc_expect_connack(c, false, REASON_SUCCESS);
    tc_send_spec(c, "f0{19 {auth_method:<TEST>}}");
    tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
    tc_expect_alive(c); /* meanwhile the connection is of use */
    tc_send_spec(c, "f0{18 {auth_method:<TEST> auth_data:<wrong>}}");
    tc_expect_refused(c, REASON_NOT_AUTHORIZED);
}

CONFORMANCE_TEST(unknown_authentication_method_is_refused_with_0x8c)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "auth_method:<UNKNOWN>"});
    tc_expect_connack(c, false, REASON_BAD_AUTHENTICATION_METHOD);
    tc_expect_closed(c);
}

/* --- abuse by what is valid --------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(qos_2_ids_that_are_never_released_are_bounded_by_the_receive_maximum)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    for (uint16_t id = 1; id <= h->limits->inflight_messages; id++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = id});
        tc_expect_pubrec(c, id);
    }
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 60000});
    tc_expect_refused(c, REASON_RECEIVE_MAXIMUM_EXCEEDED);
}

CONFORMANCE_TEST(flood_of_control_packets_to_a_blocked_socket_is_held_up_until_it_drains)
{
    h->limits->output_bytes = 10000;
    h->limits->packet_bytes = 10000;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_set_room(c, 0);
    uint8_t pings[2000];
    for (size_t i = 0; i < sizeof(pings); i += 2) {
        pings[i] = 0xc0;
        pings[i + 1] = 0x00;
    }
    size_t sent = 0;
    for (; sent < 100000 && !c->paused; sent += sizeof(pings) / 2) {
        tc_send(c, pings, sizeof(pings));
    }
    ck_assert_uint_le(sent, 11000);
    tc_send(c, pings, sizeof(pings)); /* is not read now */
    sent += sizeof(pings) / 2;
    tc_set_room(c, SIZE_MAX);
    ck_assert(!c->paused);
    ck_assert_uint_eq(tc_count(c), sent);
}

CONFORMANCE_TEST(client_that_writes_before_it_reads_is_read_on)
{
    h->limits->output_bytes = 10000;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_set_room(c, 0);
    char payload[1001];
    memset(payload, 'x', sizeof(payload) - 1);
    payload[1000] = '\0';
    for (int i = 0; i < 200; i++) { /* far more than may wait for it */
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = payload, .qos = (uint8_t)(i % 2)});
        ck_assert(!c->paused);
    }
    tc_set_room(c, SIZE_MAX);
    uint16_t acknowledged = 1; /* the id of SUBSCRIBE */
    int delivered = 0;
    while (tc_count(c) > 0) {
        if (tc_next_is(c, PACKET_PUBACK)) {
            tc_expect_puback(c, ++acknowledged);
            continue;
        }
        const struct publish *publish = tc_expect_any_publish(c);
        if (publish->qos == 1) {
            delivered++;
            tc_puback(c, publish->packet_id);
        }
    }
    ck_assert_uint_eq(acknowledged, 101);
    ck_assert_int_eq(delivered, 100);
}

CONFORMANCE_TEST(storm_of_takeovers_leaves_one_session)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (int i = 0; i < 60; i++) {
        struct tc *c = tc_open(h, 0);
        tc_send_spec(c, "10{<MQTT> 05 00 0000 {session_expiry:60} <c>} 82{0001 {} <a/%d> 01 <b> 01}", i % 3);
    }
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    while (tc_count(c) > 0) {
        tc_receive(c, "b", "x", 1);
    }
    tc_publish(p, "b", "y", 1);
    tc_receive(c, "b", "y", 1);
    tc_expect_nothing(c);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 2);
    ck_assert_uint_eq(HARNESS_STAT(h, clients_connected), 2);
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 4);
}

CONFORMANCE_TEST(malformed_is_0x81_a_protocol_error_0x82_and_3_1_1_gets_no_packet)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "36{<a> 0001 {} 'x'}");
    tc_expect_refused(c, REASON_MALFORMED_PACKET);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {}}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    c = tc_connect(h, "c", MQTT_3_1_1);
    tc_send_spec(c, "36{<a> 0001 'x'}");
    tc_expect_closed(c);
    c = tc_connect(h, "c", MQTT_3_1_1);
    tc_send_spec(c, "82{0001}");
    tc_expect_closed(c);
}
