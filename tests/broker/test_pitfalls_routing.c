/* Where brokers go wrong: retained messages, shared and overlapping subscriptions, topic aliases, topics that look special. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/stats.h"

/* --- retained messages -------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(retained_message_of_the_parent_matches_a_filter_that_ends_with_the_multi_level_wildcard)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "foo", "x", 0);
    tc_retain(c, "fooo", "z", 0);
    tc_retain(c, "fo", "z", 0);
    tc_subscribe(c, "foo/#", 0);
    tc_receive(c, "foo", "x", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(retained_messages_match_wildcards_as_live_ones_do)
{
    static const char *const topics[] = {"a", "/", "/a", "a/", "a/b", "a//b", "$sys/a", "a/b/c", "b/a"};
    static const char *const filters[] = {"#",   "+",   "+/+",   "/#",     "/+",     "a/+", "a/+/+",
                                          "+/b", "a/#", "+/+/b", "$sys/#", "$sys/+", "+/a"};
    enum { TOPICS = sizeof(topics) / sizeof(topics[0]) };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (size_t f = 0; f < sizeof(filters) / sizeof(filters[0]); f++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_subscribe_with(c, .filter = filters[f], .retain_handling = 2);
        bool live[TOPICS];
        for (size_t t = 0; t < TOPICS; t++) {
            tc_retain(p, topics[t], topics[t], 0);
            live[t] = tc_count(c) == 1;
            if (live[t]) {
                tc_receive(c, topics[t], topics[t], 0);
            }
        }
        struct tc *late = tc_connect(h, "late", MQTT_5_0);
        tc_subscribe(late, filters[f], 0);
        bool kept[TOPICS] = {false};
        while (tc_count(late) > 0) {
            const struct publish *publish = tc_expect_any_publish(late);
            for (size_t t = 0; t < TOPICS; t++) {
                if (bytes_equal(publish->topic, bytes_from_string(topics[t]))) {
                    ck_assert(!kept[t]);
                    kept[t] = true;
                }
            }
        }
        for (size_t t = 0; t < TOPICS; t++) {
            ck_assert_msg(live[t] == kept[t], "%s and %s: live %d, retained %d", filters[f], topics[t], live[t],
                          kept[t]);
        }
    }
}

CONFORMANCE_TEST(shared_subscription_gets_no_retained_messages)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(p, "a", "x", 1);
    for (uint8_t handling = 0; handling <= 2; handling++) {
        tc_subscribe_with(c, .filter = "$share/g/a", .qos = 1, .retain_handling = handling);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(retained_delivery_has_the_flag_and_live_delivery_has_not)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(p, "a", "kept", 1);
    tc_subscribe_with(c, .filter = "a", .qos = 1);
    ck_assert(tc_receive(c, "a", "kept", 1)->retain); /* whatever Retain As Published says */
    tc_retain(p, "a", "live", 1);
    ck_assert(!tc_receive(c, "a", "live", 1)->retain);
}

CONFORMANCE_TEST(large_retained_walk_is_complete_and_lets_live_messages_through_once)
{
    enum { TOPICS = 1500 };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    char topic[32];
    for (int i = 0; i < TOPICS; i++) {
        snprintf(topic, sizeof(topic), "t/%d/%d", i % 50, i);
        tc_retain(p, topic, "old", 0);
    }
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_set_room(c, 2000); /* the walk stops at a full socket */
    tc_send_subscribe(c, (struct tc_subscription){.filter = "t/#", .retain_as_published = true});
    tc_publish_with(p, .topic = "t/0/0", .payload = "new", .retain = true);
    tc_publish_with(p, .topic = "t/49/1499", .payload = "new", .retain = true);
    tc_set_room(c, SIZE_MAX);
    tc_expect_suback(c, 1, "00");
    bool *seen = calloc(TOPICS, sizeof(*seen));
    ck_assert_ptr_nonnull(seen);
    int fresh = 0;
    for (int left = TOPICS; left > 0 || tc_count(c) > 0;) {
        const struct publish *publish = tc_expect_any_publish(c);
        char text[32] = "";
        memcpy(text, publish->topic.data, publish->topic.len);
        int number = atoi(strrchr(text, '/') + 1);
        bool is_new = bytes_equal(publish->payload, bytes_from_string("new"));
        fresh += is_new;
        if (!seen[number]) {
            left--;
        } else {
            ck_assert_msg(is_new, "%s came twice", text); /* the old value, then the new one */
        }
        seen[number] = true;
    }
    ck_assert_int_eq(fresh, 2);
    free(seen);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(retained_messages_are_bounded_and_a_refusal_is_told)
{
    h->limits->retained_messages = 3;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_retain(p, "1", "x", 1);
    tc_retain(p, "2", "x", 1);
    tc_retain(p, "3", "x", 1);
    uint16_t id = tc_send_publish(p, (struct tc_message){.topic = "4", .payload = "x", .qos = 1, .retain = true});
    tc_expect_ack(p, PACKET_PUBACK, id, REASON_QUOTA_EXCEEDED);
    tc_retain(p, "3", "replaced", 1);
    tc_retain(p, "1", "", 1);
    tc_retain(p, "4", "x", 1);
}

/* --- shared subscriptions ----------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(each_message_goes_to_one_member_and_all_members_get_some)
{
    enum { MEMBERS = 4, MESSAGES = 100 };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *members[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        char id[8];
        snprintf(id, sizeof(id), "m%d", i);
        members[i] = tc_connect(h, id, MQTT_5_0);
        tc_subscribe(members[i], "$share/g/a/+", 1);
    }
    for (int i = 0; i < MESSAGES; i++) {
        tc_publish(p, "a/b", "x", 1);
        size_t sum = 0;
        for (int m = 0; m < MEMBERS; m++) {
            sum += tc_count(members[m]);
        }
        ck_assert_uint_eq(sum, (size_t)i + 1);
    }
    for (int m = 0; m < MEMBERS; m++) {
        ck_assert_uint_ge(tc_count(members[m]), 1);
    }
}

CONFORMANCE_TEST(groups_and_plain_subscriptions_are_apart)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *a = tc_connect(h, "a", MQTT_5_0);
    struct tc *b = tc_connect(h, "b", MQTT_5_0);
    tc_subscribe(a, "$share/g1/t", 0);
    tc_subscribe(b, "$share/g2/t", 0);
    tc_subscribe(b, "t", 0);
    tc_publish(p, "t", "x", 0);
    tc_receive(a, "t", "x", 0);
    tc_receive(b, "t", "x", 0);
    tc_receive(b, "t", "x", 0);
    tc_unsubscribe(b, "$share/g2/t");
    tc_publish(p, "t", "y", 0);
    tc_receive(a, "t", "y", 0);
    tc_receive(b, "t", "y", 0);
    tc_expect_nothing(b);
}

CONFORMANCE_TEST(ill_formed_shared_filters_are_refused)
{
    static const char *const filters[] = {"$share",     "$share/",     "$share/g",   "$share/g/",   "$share//a",
                                          "$share/+/a", "$share/g+/a", "$share/#/a", "$share/g/a#", "$share/g/#/a"};
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

CONFORMANCE_TEST(connected_member_is_preferred_to_an_absent_one)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *away = tc_connect_persistent(h, "away", MQTT_5_0);
    struct tc *here = tc_connect(h, "here", MQTT_5_0);
    tc_subscribe(away, "$share/g/a", 1);
    tc_subscribe(here, "$share/g/a", 1);
    tc_hang_up(away);
    for (int i = 0; i < 10; i++) {
        tc_publish(p, "a", "x", 1);
        tc_receive(here, "a", "x", 1);
    }
    tc_hang_up(here);
    tc_publish(p, "a", "kept for the absent", 1);
    away = tc_connect_persistent(h, "away", MQTT_5_0);
    tc_receive(away, "a", "kept for the absent", 1);
    tc_expect_nothing(away);
}

CONFORMANCE_TEST(unacknowledged_qos_1_goes_to_another_member_when_the_session_ends)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *first = tc_connect(h, "first", MQTT_5_0);
    tc_subscribe(first, "$share/g/a", 1);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 1);
    tc_expect_publish(first, "a", "1", 1);
    struct tc *second = tc_connect(h, "second", MQTT_5_0);
    tc_subscribe(second, "$share/g/a", 1);
    tc_hang_up(first); /* its session ends with it */
    tc_receive(second, "a", "1", 1);
    tc_receive(second, "a", "2", 1);
    tc_expect_nothing(second);
}

/* --- overlapping subscriptions ------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(overlap_of_plain_subscriptions_gives_one_copy_with_the_strongest_options)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a/#", .qos = 0, .retain_as_published = true, .id = 1);
    tc_subscribe_with(c, .filter = "a/+", .qos = 2, .id = 2);
    for (int retain = 0; retain <= 1; retain++) {
        tc_publish_with(p, .topic = "a/b", .payload = "x", .qos = 2, .retain = retain == 1);
        const struct publish *publish = tc_receive(c, "a/b", "x", 2);
        ck_assert(publish->retain == (retain == 1));
        ck_assert_uint_eq(publish->properties.subscription_identifiers, 2);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(many_overlapping_subscriptions_give_one_copy_with_all_identifiers)
{
    enum { FILTERS = 200 };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    char topic[2 * 8] = "0/0/0/0/0/0/0/0";
    uint32_t made = 0;
    for (unsigned mask = 0; mask < 256 && made < FILTERS; mask++) { /* each level by name or by wildcard */
        char filter[16];
        memcpy(filter, topic, sizeof(filter));
        for (int level = 0; level < 8; level++) {
            if ((mask >> level & 1) != 0) {
                filter[2 * level] = '+';
            }
        }
        tc_subscribe_with(c, .filter = filter, .qos = 1, .id = 1000 + mask);
        made++;
    }
    for (uint8_t qos = 0; qos <= 1; qos++) {
        tc_publish(p, topic, "x", qos);
        ck_assert_uint_eq(tc_receive(c, topic, "x", qos)->properties.subscription_identifiers, made);
        tc_expect_nothing(c);
    }
    tc_hang_up(c);
    tc_publish(p, topic, "y", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert_uint_eq(tc_receive(c, topic, "y", 1)->properties.subscription_identifiers, made);
}

CONFORMANCE_TEST(subscription_identifier_0_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {subscription_id:0} <a> 00}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(subscription_identifier_twice_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {subscription_id:1 subscription_id:2} <a> 00}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

/* --- topic aliases ------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(unknown_alias_without_topic_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "", .payload = "x", .properties = "alias:3"});
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(topic_neither_named_nor_aliased_is_refused)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "", .payload = "x"});
    ck_assert(c->closed);
    ck_assert_uint_eq(tc_count(c), 1);
}

CONFORMANCE_TEST(alias_is_neither_stored_nor_forwarded)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a/b", 1);
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a/b", .payload = "1", .qos = 1, .retain = true, .properties = "alias:1 user:<k><v>");
    tc_publish_with(p, .topic = "", .payload = "2", .qos = 1, .retain = true, .properties = "alias:1 user:<k><v>");
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert(tc_has_properties(&tc_receive(c, "a/b", "1", 1)->properties, "user:<k><v>"));
    ck_assert(tc_has_properties(&tc_receive(c, "a/b", "2", 1)->properties, "user:<k><v>"));
    struct tc *late = tc_connect(h, "late", MQTT_5_0);
    tc_subscribe(late, "a/b", 1);
    ck_assert(tc_has_properties(&tc_receive(late, "a/b", "2", 1)->properties, "user:<k><v>"));
}

CONFORMANCE_TEST(alias_is_set_even_if_the_message_is_not_allowed)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "allowed", 0);
    tc_publish_with(c, .topic = "allowed", .payload = "1", .properties = "alias:1");
    tc_receive(c, "allowed", "1", 0);
    tc_send_publish(
        c, (struct tc_message){.topic = "forbidden", .payload = "x", .qos = 1, .properties = "alias:1", .id = 9});
    tc_expect_ack(c, PACKET_PUBACK, 9, REASON_NOT_AUTHORIZED);
    /* the alias stands for the forbidden topic now: nothing may go out under the old one */
    tc_send_publish(c, (struct tc_message){.topic = "", .payload = "2", .qos = 1, .properties = "alias:1", .id = 9});
    tc_expect_ack(c, PACKET_PUBACK, 9, REASON_NOT_AUTHORIZED);
    tc_expect_nothing(c);
}

/* --- topics ------------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(topics_are_compared_byte_by_byte)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "caf\xc3\xa9", 0);     /* one code point */
    tc_publish(p, "cafe\xcc\x81", "x", 0); /* e and a combining accent */
    tc_publish(p, "Caf\xc3\xa9", "x", 0);
    tc_publish(p, "caf\xc3\xa9 ", "x", 0);
    tc_expect_nothing(c);
    tc_publish(p, "caf\xc3\xa9", "x", 0);
    tc_receive(c, "caf\xc3\xa9", "x", 0);
}

CONFORMANCE_TEST(topics_of_slashes_alone_are_topics)
{
    char topic[101];
    memset(topic, '/', 100);
    topic[100] = '\0';
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, topic, 0);
    tc_publish(c, topic, "x", 0);
    tc_receive(c, topic, "x", 0);
    topic[99] = '\0';
    tc_publish(c, topic, "x", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(topic_of_65535_bytes_is_delivered)
{
    static char topic[65536];
    memset(topic, 'x', 65535);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "+", 1);
    tc_subscribe(c, topic, 1);
    for (uint8_t qos = 0; qos <= 1; qos++) {
        tc_publish(c, topic, "payload", qos);
        const struct publish *publish = tc_expect_any_publish(c);
        ck_assert_uint_eq(publish->topic.len, 65535);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(dollar_topics_are_not_matched_by_leading_wildcards)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "#", 0);
    tc_subscribe(c, "+/x", 0);
    tc_subscribe(c, "$share/g/#", 0);
    tc_subscribe(c, "$share/g/+/x", 0);
    tc_publish(p, "$own/x", "no", 0);
    tc_expect_nothing(c);
    tc_subscribe(c, "$own/+", 0);
    tc_publish(p, "$own/x", "yes", 0);
    tc_receive(c, "$own/x", "yes", 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(clients_cannot_publish_what_the_broker_says_of_itself)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "$SYS/#", 0);
    while (tc_count(c) > 0) {
        tc_expect_any_publish(c);
    }
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "$SYS/broker/version", .payload = "x", .qos = 1});
    const struct ack *ack = tc_expect_any_ack(c, PACKET_PUBACK, id);
    ck_assert_uint_ge(ack->reason_code, 0x80);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(order_is_kept_from_one_publisher_to_many_subscribers)
{
    enum { SUBSCRIBERS = 6, MESSAGES = 60 };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c[SUBSCRIBERS];
    char payload[16];
    for (int i = 0; i < SUBSCRIBERS; i++) {
        snprintf(payload, sizeof(payload), "c%d", i);
        c[i] = tc_connect(h, payload, MQTT_5_0);
        tc_subscribe(c[i], i % 2 == 0 ? "a" : "#", (uint8_t)(i % 3));
    }
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, 2);
    }
    for (int s = 0; s < SUBSCRIBERS; s++) {
        for (int i = 0; i < MESSAGES; i++) {
            snprintf(payload, sizeof(payload), "%d", i);
            tc_receive(c[s], "a", payload, (uint8_t)(s % 3));
        }
        tc_expect_nothing(c[s]);
    }
}
