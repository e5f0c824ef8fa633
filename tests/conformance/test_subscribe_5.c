/* MQTT 5.0, 3.8 to 3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK. */
#include "tests/conformance/conformance.h"
#include "tests/conformance/optional_parts.h"

#include <stdio.h>

/* --- SUBSCRIBE: what is no valid one ------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_8_1_1_subscribe_with_flags_other_than_0010_is_malformed)
{
    for (unsigned flags = 0; flags <= 0xf; flags++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_send_spec(c, "8%x{0001 {} <a> 00}", flags);
        if (flags == 2) {
            tc_expect_suback(c, 1, "00");
        } else {
            tc_expect_refused(c, REASON_MALFORMED_PACKET);
        }
    }
}

/* SUBSCRIBE with ENTRIES, the first of which is good, is refused, and none of it takes effect. */
static void check_refused(struct harness *h, const char *entries, uint8_t reason_code)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {} %s}", entries);
    tc_expect_refused(c, reason_code);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "good", .payload = "x", .qos = 1});
    tc_expect_ack(p, PACKET_PUBACK, id, REASON_NO_MATCHING_SUBSCRIBERS);
    tc_disconnect(p);
}

CONFORMANCE_TEST(mqtt_3_8_3_1_filter_that_is_no_utf8_is_malformed)
{
    check_refused(h, "<good> 01 ['a' ff] 00", REASON_MALFORMED_PACKET);
    check_refused(h, "<good> 01 [eda080] 00", REASON_MALFORMED_PACKET);
    check_refused(h, "<good> 01 ['a' 00] 00", REASON_MALFORMED_PACKET);
}

CONFORMANCE_TEST(mqtt_3_8_3_2_subscribe_without_a_filter_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {}}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_8_3_2_filter_without_options_is_malformed)
{
    check_refused(h, "<good> 01 <a>", REASON_MALFORMED_PACKET);
    check_refused(h, "<good> 01 00", REASON_MALFORMED_PACKET);
}

CONFORMANCE_TEST(mqtt_3_8_3_4_no_local_on_a_shared_subscription_is_a_protocol_error)
{
    check_refused(h, "<good> 01 <$share/g/a> 04", REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_8_3_5_reserved_option_bits_are_malformed)
{
    check_refused(h, "<good> 01 <a> 40", REASON_MALFORMED_PACKET);
    check_refused(h, "<good> 01 <a> 80", REASON_MALFORMED_PACKET);
    check_refused(h, "<good> 01 <a> c2", REASON_MALFORMED_PACKET);
}

CONFORMANCE_TEST(mqtt_3_8_3_5_qos_or_retain_handling_of_3_is_a_protocol_error)
{
    check_refused(h, "<good> 01 <a> 03", REASON_PROTOCOL_ERROR);
    check_refused(h, "<good> 01 <a> 30", REASON_PROTOCOL_ERROR);
}

/* --- No Local ------------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_8_3_3_no_local_keeps_ones_own_messages_away)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *d = tc_connect(h, "d", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a/#", .qos = 2, .no_local = true);
    tc_subscribe_with(d, .filter = "a/#", .qos = 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(c, "a/b", "from c", qos);
        tc_receive(d, "a/b", "from c", qos);
        tc_publish(d, "a/b", "from d", qos);
        tc_receive(c, "a/b", "from d", qos);
        tc_receive(d, "a/b", "from d", qos);
    }
    tc_expect_nothing(c);
    tc_expect_nothing(d);
}

CONFORMANCE_TEST(mqtt_3_8_3_3_no_local_holds_for_the_client_identifier_over_connections)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .no_local = true);
    tc_publish(c, "a", "x", 1);
    tc_disconnect(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_publish(c, "a", "y", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_8_3_3_no_local_holds_for_retained_messages)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *d = tc_connect(h, "d", MQTT_5_0);
    tc_retain(c, "mine", "x", 1);
    tc_retain(d, "theirs", "y", 1);
    tc_subscribe_with(c, .filter = "#", .qos = 1, .no_local = true);
    tc_receive(c, "theirs", "y", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_8_3_3_another_subscription_without_no_local_still_gets_the_message)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .no_local = true);
    tc_subscribe_with(c, .filter = "+", .qos = 1);
    tc_publish(c, "a", "x", 1);
    tc_receive(c, "a", "x", 1);
    tc_expect_nothing(c);
}

/* --- SUBSCRIBE: what it does ----------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_8_4_1_mqtt_3_8_4_2_mqtt_2_2_1_6_each_subscribe_has_a_suback_with_its_id)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{ffff {} <a> 00} 82{0001 {} <b> 01} 82{0102 {} <c> 02}");
    tc_expect_suback(c, 0xffff, "00");
    tc_expect_suback(c, 1, "01");
    tc_expect_suback(c, 0x0102, "02");
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_8_4_1_suback_waits_until_the_store_has_the_subscription)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = "a"});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_suback(c, id, "00");
}

CONFORMANCE_TEST(mqtt_3_8_4_3_same_filter_again_replaces_the_subscription)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a/+", .qos = 0, .id = 1);
    tc_subscribe_with(c, .filter = "a/+", .qos = 1, .id = 2, .retain_as_published = true);
    tc_retain(c, "a/b", "x", 2);
    const struct publish *publish = tc_receive(c, "a/b", "x", 1);
    ck_assert(publish->retain);
    ck_assert(tc_has_properties(&publish->properties, "subscription_id:2"));
    tc_expect_nothing(c); /* one subscription, one copy */
    tc_unsubscribe(c, "a/+");
    uint16_t id = tc_send_unsubscribe(c, "a/+");
    tc_expect_unsuback(c, id, "11");
}

CONFORMANCE_TEST(mqtt_3_8_4_3_replacing_may_lower_the_qos_and_drop_the_identifier)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a", .qos = 2, .id = 1);
    tc_subscribe(c, "a", 0);
    tc_publish(c, "a", "x", 2);
    ck_assert(!HAS(tc_receive(c, "a", "x", 0), SUBSCRIPTION_IDENTIFIER));
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_8_4_4_replacing_with_retain_handling_0_sends_retained_messages_again)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "a", "kept", 1);
    for (int i = 0; i < 2; i++) {
        tc_subscribe(c, "a", 1);
        ck_assert(tc_receive(c, "a", "kept", 1)->retain);
    }
    tc_subscribe_with(c, .filter = "a", .qos = 1, .retain_handling = 1);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .retain_handling = 2);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_8_4_4_nothing_is_lost_by_replacing)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    for (int i = 0; i < 50; i++) {
        char payload[16];
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, 1);
        uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = "a", .qos = 1});
        tc_receive(c, "a", payload, 1);
        tc_expect_suback(c, id, "01");
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_8_4_4_replacing_keeps_messages_that_are_under_way)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 2);
    tc_publish(p, "a", "2", 2);
    const struct publish *first = tc_expect_publish(c, "a", "1", 2);
    tc_subscribe(c, "a", 0);
    tc_pubrec(c, first->packet_id);
    tc_expect_pubrel(c, first->packet_id);
    tc_pubcomp(c, first->packet_id);
    tc_receive(c, "a", "2", 2);
}

CONFORMANCE_TEST(mqtt_3_8_4_5_several_filters_act_like_separate_ones_with_one_suback)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "kept", "x", 0);
    tc_send_spec(c, "82{0005 {subscription_id:9} <a> 00 <b> 01 <kept> 00 <b> 02}");
    tc_expect_suback(c, 5, "00 01 00 02");
    ck_assert(tc_has_properties(&tc_receive(c, "kept", "x", 0)->properties, "subscription_id:9"));
    tc_publish(c, "a", "1", 2);
    tc_receive(c, "a", "1", 0);
    tc_publish(c, "b", "2", 2);
    tc_receive(c, "b", "2", 2); /* the later one replaces the earlier */
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_8_4_6_mqtt_3_9_3_1_one_code_per_filter_in_order)
{
    h->has_rules = true;
    h->access.unreadable = "secret";
    h->limits->filter_levels = 3;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0005 {} <a> 02 <secret> 02 <b> 00 <1/2/3/4> 00 <c> 01 <secret> 00}");
    tc_expect_suback(c, 5, "02 87 00 8f 01 87");
    tc_publish(c, "a", "x", 1); /* the good ones are in force */
    tc_receive(c, "a", "x", 1);
}

CONFORMANCE_TEST(mqtt_3_8_4_6_a_thousand_filters_have_a_thousand_codes)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    static char entries[16 * 1000];
    static char codes[4 * 1000];
    for (size_t i = 0, at = 0, code_at = 0; i < 1000; i++) {
        at += (size_t)snprintf(entries + at, sizeof(entries) - at, "<t/%zu> %02zx ", i, i % 3);
        code_at += (size_t)snprintf(codes + code_at, sizeof(codes) - code_at, "%02zx ", i % 3);
    }
    tc_send_spec(c, "82{0001 {} %s}", entries);
    tc_expect_suback(c, 1, codes);
    tc_publish(c, "t/998", "x", 2);
    tc_receive(c, "t/998", "x", 2);
}

CONFORMANCE_TEST(mqtt_3_8_4_7_code_is_the_granted_qos)
{
    h->limits->qos_max = 1;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0005 {} <a> 00 <b> 01 <c> 02}");
    tc_expect_suback(c, 5, "00 01 01");
    tc_publish(c, "c", "x", 1);
    tc_receive(c, "c", "x", 1);
}

CONFORMANCE_TEST(mqtt_3_8_4_7_quota_of_subscriptions_is_told_by_the_code)
{
    h->limits->subscriptions_per_session = 2;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0005 {} <a> 00 <b> 00 <c> 00 <a> 01}");
    tc_expect_suback(c, 5, "00 00 97 01"); /* replacing takes no more room */
    tc_unsubscribe(c, "b");
    tc_subscribe(c, "c", 0);
}

CONFORMANCE_TEST(mqtt_3_8_4_8_delivers_at_the_lower_of_both_qos)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c[3] = {tc_connect(h, "0", MQTT_5_0), tc_connect(h, "1", MQTT_5_0), tc_connect(h, "2", MQTT_5_0)};
    for (uint8_t granted = 0; granted <= 2; granted++) {
        tc_subscribe(c[granted], "a", granted);
    }
    for (uint8_t published = 0; published <= 2; published++) {
        tc_publish(p, "a", "x", published);
        tc_retain(p, "kept", "y", published);
        for (uint8_t granted = 0; granted <= 2; granted++) {
            uint8_t lower = published < granted ? published : granted;
            tc_receive(c[granted], "a", "x", lower);
            tc_subscribe(c[granted], "kept", granted); /* the same for retained messages */
            tc_receive(c[granted], "kept", "y", lower);
            tc_unsubscribe(c[granted], "kept");
            tc_expect_nothing(c[granted]);
        }
    }
}

CONFORMANCE_TEST(mqtt_3_8_4_8_identifier_of_0_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {subscription_id:0} <a> 00}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {subscription_id:1 subscription_id:2} <a> 00}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a", .id = 268435455);
    tc_publish(c, "a", "x", 0);
    ck_assert(tc_has_properties(&tc_receive(c, "a", "x", 0)->properties, "subscription_id:268435455"));
}

/* --- SUBACK ------------------------------------------------------------------------------------------------------------------------ */

static const struct properties *provoke_suback(struct tc *c)
{
    uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = "a/b/c/d/e"});
    return &tc_expect_suback(c, id, "8f")->properties;
}

CONFORMANCE_TEST(mqtt_3_9_2_1_mqtt_3_9_2_2_suback_leaves_out_what_exceeds_the_maximum_packet_size)
{
    h->limits->filter_levels = 4;
    check_optional_parts(h, provoke_suback);
}

CONFORMANCE_TEST(mqtt_3_9_3_2_suback_has_only_listed_reason_codes)
{
    h->has_rules = true;
    h->access.unreadable = "secret";
    h->limits->filter_levels = 3;
    h->limits->subscriptions_per_session = 3;
    struct tc *c = tc_connect(h, "c", MQTT_5_0); /* which looks at each code */
    tc_send_spec(c, "82{0005 {} <a> 00 <b> 01 <c> 02 <secret> 02 <1/2/3/4> 00 <d> 01}");
    tc_expect_suback(c, 5, "00 01 02 97 8f 97");
    tc_unsubscribe(c, "a");
    uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = "secret"});
    tc_expect_suback(c, id, "87");
}

/* --- UNSUBSCRIBE -------------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_10_1_1_unsubscribe_with_flags_other_than_0010_is_malformed)
{
    for (unsigned flags = 0; flags <= 0xf; flags++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 0);
        tc_send_spec(c, "a%x{0001 {} <a>}", flags);
        if (flags == 2) {
            tc_expect_unsuback(c, 1, "00");
        } else {
            tc_expect_refused(c, REASON_MALFORMED_PACKET);
        }
    }
}

/* UNSUBSCRIBE with ENTRIES, the first of which is subscribed to, is refused, and none of it takes effect. */
static void check_unsubscribe_refused(struct harness *h, const char *entries, uint8_t reason_code)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "good", 1);
    tc_send_spec(c, "a2{0001 {} %s}", entries);
    tc_expect_refused(c, reason_code);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_publish(c, "good", "x", 1);
    tc_receive(c, "good", "x", 1);
}

CONFORMANCE_TEST(mqtt_3_10_3_1_filter_that_is_no_utf8_is_malformed)
{
    check_unsubscribe_refused(h, "<good> ['a' ff]", REASON_MALFORMED_PACKET);
    check_unsubscribe_refused(h, "<good> ['a' 00]", REASON_MALFORMED_PACKET);
}

CONFORMANCE_TEST(mqtt_3_10_3_1_filter_that_is_none_is_invalid)
{
    check_unsubscribe_refused(h, "<good> <a/#/b>", REASON_TOPIC_FILTER_INVALID);
}

CONFORMANCE_TEST(mqtt_3_10_3_2_unsubscribe_without_a_filter_is_a_protocol_error)
{
    check_unsubscribe_refused(h, "", REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_10_4_1_filters_are_compared_literally)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a/+", 0);
    tc_send_spec(c, "a2{0001 {} <a/b> <a/#> <+/+> <A/+> <a/+/> <#>}");
    tc_expect_unsuback(c, 1, "11 11 11 11 11 11");
    tc_publish(c, "a/b", "x", 0);
    tc_receive(c, "a/b", "x", 0);
    tc_unsubscribe(c, "a/+");
    tc_publish(c, "a/b", "y", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_10_4_1_only_the_clients_own_subscription_goes)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *d = tc_connect(h, "d", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    tc_subscribe(c, "+", 0);
    tc_subscribe(d, "a", 0);
    tc_unsubscribe(c, "a");
    tc_publish(c, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
    tc_receive(d, "a", "x", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_10_4_1_shared_and_plain_subscription_are_two)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    tc_subscribe(c, "$share/g/a", 0);
    tc_unsubscribe(c, "$share/g/a");
    tc_publish(c, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
    tc_expect_nothing(c);
    tc_subscribe(c, "$share/g/a", 0);
    tc_unsubscribe(c, "a");
    tc_publish(c, "a", "y", 0);
    tc_receive(c, "a", "y", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_10_4_2_nothing_new_is_queued_after_unsubscribe)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_retain(p, "a", "kept", 1);
    /* in one segment: the retained message does not come behind UNSUBACK either */
    tc_send_spec(c, "82{0001 {} <a> 01} a2{0002 {} <a>}");
    tc_expect_suback(c, 1, "01");
    while (c->first != NULL && tc_last_bytes(c)[0] >> 4 == PACKET_PUBLISH) {
        tc_receive(c, "a", "kept", 1);
    }
    tc_expect_unsuback(c, 2, "00");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "a", "x", qos);
    }
    tc_expect_nothing(c);
    tc_disconnect(c);
    tc_publish(p, "a", "x", 2);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_10_4_3_deliveries_that_have_begun_are_finished)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    tc_expect_publish(c, "a", "1", 1);
    uint16_t second = tc_expect_publish(c, "a", "2", 2)->packet_id;
    tc_unsubscribe(c, "a");
    tc_pubrec(c, second);
    tc_expect_pubrel(c, second);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0); /* on the next connection too */
    const struct publish *again = tc_expect_publish(c, "a", "1", 1);
    ck_assert(again->dup);
    tc_puback(c, again->packet_id);
    tc_expect_pubrel(c, second);
    tc_pubcomp(c, second);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_3_10_4_4_mqtt_3_10_4_5_each_unsubscribe_has_an_unsuback_with_its_id)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    tc_send_spec(c, "a2{ffff {} <a>} a2{0001 {} <a>} a2{0102 {user:<k><v>} <never>}");
    tc_expect_unsuback(c, 0xffff, "00");
    tc_expect_unsuback(c, 1, "11"); /* nothing was deleted */
    tc_expect_unsuback(c, 0x0102, "11");
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_10_4_4_unsuback_waits_until_the_store_has_forgotten)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    h->store.is_held = true;
    uint16_t id = tc_send_unsubscribe(c, "a");
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_unsuback(c, id, "00");
}

CONFORMANCE_TEST(mqtt_3_10_4_6_several_filters_act_like_separate_ones_with_one_unsuback)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    tc_subscribe(c, "b", 0);
    tc_subscribe(c, "c", 0);
    tc_send_spec(c, "a2{0007 {} <a> <a> <x> <c>}");
    tc_expect_unsuback(c, 7, "00 11 11 00");
    tc_publish(c, "a", "1", 0);
    tc_publish(c, "c", "2", 0);
    tc_publish(c, "b", "3", 0);
    tc_receive(c, "b", "3", 0);
    tc_expect_nothing(c);
}

/* --- UNSUBACK -------------------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_11_2_1_mqtt_3_11_2_2_unsuback_has_nothing_that_could_exceed_the_maximum_packet_size)
{
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "packet_max:20");
    uint16_t id = tc_send_unsubscribe(c, "never");
    ck_assert_uint_eq(tc_expect_unsuback(c, id, "11")->properties.present, 0);
    ck_assert_uint_eq(tc_last_bytes(c)[1], 4);
}

CONFORMANCE_TEST(mqtt_3_11_3_1_mqtt_3_11_3_2_one_listed_code_per_filter_in_order)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    tc_subscribe(c, "b", 0);
    tc_send_spec(c, "a2{0007 {} <x> <a> <y> <b> <$share/g/a>}");
    tc_expect_unsuback(c, 7, "11 00 11 00 11");
}
