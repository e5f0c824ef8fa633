/* MQTT 5.0, 3.3: PUBLISH. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <string.h>

/* --- fixed header: DUP and QoS ------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_3_1_1_mqtt_4_4_0_1_repeated_publish_has_dup_and_its_old_id)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 2);
    const struct publish *first = tc_expect_publish(c, "a", "1", 1);
    const struct publish *second = tc_expect_publish(c, "a", "2", 2);
    ck_assert(!first->dup);
    ck_assert(!second->dup);
    for (int i = 0; i < 2; i++) {
        tc_hang_up(c);
        c = tc_connect_persistent(h, "c", MQTT_5_0);
        const struct publish *again = tc_expect_publish(c, "a", "1", 1);
        ck_assert(again->dup);
        ck_assert_uint_eq(again->packet_id, first->packet_id);
        again = tc_expect_publish(c, "a", "2", 2);
        ck_assert(again->dup);
        ck_assert_uint_eq(again->packet_id, second->packet_id);
    }
}

CONFORMANCE_TEST(mqtt_3_3_1_2_qos_0_with_dup_is_refused)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "38{<a> {} 'x'}");
    tc_expect_refused(c, REASON_MALFORMED_PACKET);
}

CONFORMANCE_TEST(mqtt_3_3_1_2_mqtt_3_3_1_3_dup_of_the_publisher_is_not_forwarded)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c[3] = {tc_connect(h, "0", MQTT_5_0), tc_connect(h, "1", MQTT_5_0), tc_connect(h, "2", MQTT_5_0)};
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_subscribe(c[qos], "a", qos);
    }
    for (uint8_t published = 1; published <= 2; published++) {
        tc_publish_with(p, .topic = "a", .payload = "x", .qos = published, .dup = true);
        for (uint8_t qos = 0; qos <= 2; qos++) {
            ck_assert(!tc_receive(c[qos], "a", "x", qos < published ? qos : published)->dup);
        }
    }
}

CONFORMANCE_TEST(mqtt_3_3_1_4_qos_3_is_malformed)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "36{<a> 0001 {} 'x'}");
    tc_expect_refused(c, REASON_MALFORMED_PACKET);
}

/* --- fixed header: RETAIN ----------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_3_1_5_retained_message_is_stored_and_replaces_the_old_one)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_retain(p, "a", "old", qos);
        tc_retain(p, "a", "new", qos);
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 2);
        ck_assert(tc_receive(c, "a", "new", qos)->retain);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt_3_3_1_5_each_topic_has_its_own_retained_message)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    char topic[16];
    for (int i = 0; i < 50; i++) {
        snprintf(topic, sizeof(topic), "t/%02d", i);
        tc_retain(p, topic, topic, 1);
    }
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/07", 1);
    tc_receive(c, "t/07", "t/07", 1);
    tc_expect_nothing(c);
    tc_subscribe(c, "t/+", 1);
    bool seen[50] = {false};
    for (int i = 0; i < 50; i++) {
        const struct publish *publish = tc_expect_any_publish(c);
        tc_puback(c, publish->packet_id);
        ck_assert(bytes_equal(publish->topic, publish->payload));
        int number = (publish->topic.data[2] - '0') * 10 + publish->topic.data[3] - '0';
        ck_assert(!seen[number]);
        seen[number] = true;
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_1_6_mqtt_3_3_1_7_empty_retained_payload_deletes_and_is_not_kept)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *live = tc_connect(h, "live", MQTT_5_0);
    tc_subscribe(live, "a", 1);
    for (uint8_t qos = 0; qos <= 1; qos++) {
        tc_retain(p, "a", "x", qos);
        tc_receive(live, "a", "x", qos);
        tc_retain(p, "a", "", qos);
        tc_receive(live, "a", "", qos); /* it is a message like any other to those who listen */
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_subscribe(c, "a", 1);
        tc_subscribe(c, "#", 1);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt_3_3_1_8_message_without_retain_changes_no_retained_message)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_publish(p, "a", "not stored", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_expect_nothing(c);
    tc_retain(p, "a", "stored", 1);
    tc_receive(c, "a", "stored", 1);
    tc_publish(p, "a", "not stored", 1);
    tc_receive(c, "a", "not stored", 1);
    tc_publish(p, "a", "", 1);
    tc_receive(c, "a", "", 1);
    tc_subscribe(c, "a", 1);
    tc_receive(c, "a", "stored", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_1_9_retain_handling_0_sends_at_every_subscribe)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "a/b", "x", 1);
    for (int i = 0; i < 3; i++) {
        tc_subscribe_with(c, .filter = "a/+", .qos = 1);
        ck_assert(tc_receive(c, "a/b", "x", 1)->retain);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt_3_3_1_10_retain_handling_1_sends_to_a_new_subscription_only)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "a/b", "x", 1);
    tc_subscribe_with(c, .filter = "a/+", .qos = 1, .retain_handling = 1);
    ck_assert(tc_receive(c, "a/b", "x", 1)->retain);
    tc_subscribe_with(c, .filter = "a/+", .qos = 0, .retain_handling = 1);
    tc_expect_nothing(c);
    tc_subscribe_with(c, .filter = "a/#", .qos = 1, .retain_handling = 1); /* another filter, though it matches too */
    tc_receive(c, "a/b", "x", 1);
    tc_unsubscribe(c, "a/+");
    tc_subscribe_with(c, .filter = "a/+", .qos = 1, .retain_handling = 1);
    tc_receive(c, "a/b", "x", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_1_10_subscription_of_a_resumed_session_is_not_new)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_retain(c, "a", "x", 1);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .retain_handling = 1);
    tc_receive(c, "a", "x", 1);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .retain_handling = 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_1_11_retain_handling_2_sends_none)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "a/b", "x", 1);
    tc_subscribe_with(c, .filter = "a/+", .qos = 1, .retain_handling = 2);
    tc_expect_nothing(c);
    tc_retain(c, "a/b", "y", 1); /* live it comes */
    tc_receive(c, "a/b", "y", 1);
}

CONFORMANCE_TEST(mqtt_3_3_1_12_mqtt_3_3_1_13_retain_as_published_decides_on_the_flag)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *off = tc_connect(h, "off", MQTT_5_0);
    struct tc *on = tc_connect(h, "on", MQTT_5_0);
    tc_subscribe_with(off, .filter = "a", .qos = 2);
    tc_subscribe_with(on, .filter = "a", .qos = 2, .retain_as_published = true);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "a", "plain", qos);
        ck_assert(!tc_receive(off, "a", "plain", qos)->retain);
        ck_assert(!tc_receive(on, "a", "plain", qos)->retain);
        tc_retain(p, "a", "retained", qos);
        ck_assert(!tc_receive(off, "a", "retained", qos)->retain);
        ck_assert(tc_receive(on, "a", "retained", qos)->retain);
    }
}

CONFORMANCE_TEST(mqtt_3_3_1_12_mqtt_3_3_1_13_flag_survives_the_queue_of_an_absent_client)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "off", .qos = 1);
    tc_subscribe_with(c, .filter = "on", .qos = 1, .retain_as_published = true);
    tc_hang_up(c);
    tc_retain(p, "off", "x", 1);
    tc_retain(p, "on", "x", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert(!tc_receive(c, "off", "x", 1)->retain);
    ck_assert(tc_receive(c, "on", "x", 1)->retain);
}

/* --- topic name --------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_3_2_1_topic_that_is_not_utf_8_is_malformed)
{
    static const char *const topics[] = {"[c328]", "['a' 00 'b']", "[eda080]", "[f4908080]", "[c080]", "[ff]"};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        struct tc *c = tc_connect(h, topics[i], MQTT_5_0);
        tc_send_spec(c, "30{%s {} 'x'}", topics[i]);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
    }
}

CONFORMANCE_TEST(mqtt_3_3_2_2_mqtt_4_7_0_1_topic_with_wildcards_is_refused)
{
    static const char *const topics[] = {"a/+", "#", "a#", "+/a", "a/b#/c", "a+b"};
    struct tc *all = tc_connect(h, "all", MQTT_5_0);
    tc_subscribe(all, "#", 0);
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        for (uint8_t qos = 0; qos <= 1; qos++) {
            struct tc *c = tc_connect(h, "c", MQTT_5_0);
            tc_send_publish(c, (struct tc_message){.topic = topics[i], .payload = "x", .qos = qos});
            tc_expect_refused(c, REASON_TOPIC_NAME_INVALID);
        }
    }
    tc_expect_nothing(all);
}

CONFORMANCE_TEST(mqtt_3_3_2_3_delivered_topic_matches_the_filter)
{
    static const struct {
        const char *filter;
        const char *matches;
        const char *does_not;
    } cases[] = {
        {"a/b", "a/b", "a/b/"},    {"a/+", "a/x", "a"},     {"a/+", "a/", "a/b/c"},    {"a/#", "a", "ab"},
        {"a/#", "a/b/c", "b/a"},   {"+", "a", "/a"},        {"+/+", "/a", "a"},        {"#", "a/b", "$a/b"},
        {"+/b", "a/b", "$a/b"},    {"$a/#", "$a/b", "a/b"}, {"/a", "/a", "a"},         {"a//b", "a//b", "a/b"},
        {"a/+/c", "a/b/c", "a/c"}, {"a/+/#", "a/b", "a"},   {"+/a/#", "x/a", "x/b/a"},
    };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_name(c, cases[i].filter);
        tc_subscribe(c, cases[i].filter, 0);
        tc_publish(p, cases[i].does_not, "no", 0);
        tc_publish(p, cases[i].matches, "yes", 0);
        tc_receive(c, cases[i].matches, "yes", 0);
        tc_expect_nothing(c);
    }
}

/* --- properties --------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_3_2_4_mqtt_3_3_2_15_mqtt_3_3_2_16_mqtt_3_3_2_20_properties_are_forwarded_unchanged)
{
    static const char *const sets[] = {
        "payload_format:1",
        "payload_format:0",
        "response_topic:<answer/here>",
        "correlation:[00ff0001]",
        "correlation:[]",
        "content_type:<text/plain>",
        "content_type:<>",
        "payload_format:1 content_type:<t> response_topic:<r> correlation:<c> user:<k><v>",
    };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *live = tc_connect(h, "live", MQTT_5_0);
    tc_subscribe(live, "a", 2);
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        for (uint8_t qos = 0; qos <= 2; qos++) {
            tc_publish_with(p, .topic = "a", .payload = "x", .qos = qos, .properties = sets[i], .retain = true);
            ck_assert(tc_has_properties(&tc_receive(live, "a", "x", qos)->properties, sets[i]));
            struct tc *late = tc_connect(h, "late", MQTT_5_0);
            tc_subscribe(late, "a", 2);
            ck_assert(tc_has_properties(&tc_receive(late, "a", "x", qos)->properties, sets[i]));
        }
    }
}

CONFORMANCE_TEST(mqtt_3_3_2_4_mqtt_3_3_2_15_mqtt_3_3_2_16_mqtt_3_3_2_20_properties_survive_the_queue)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    static const char properties[] = "payload_format:1 content_type:<t> response_topic:<r> correlation:<c> user:<k><v>";
    tc_publish_with(p, .topic = "a", .payload = "x", .qos = 1, .properties = properties);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert(tc_has_properties(&tc_receive(c, "a", "x", 1)->properties, properties));
}

CONFORMANCE_TEST(mqtt_3_3_2_17_mqtt_3_3_2_18_all_user_properties_are_forwarded_in_order)
{
    static const char properties[] =
        "user:<b><1> user:<a><2> user:<b><1> user:<><> user:<b><3> user:<a><a longer value>";
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    for (uint8_t qos = 0; qos <= 1; qos++) {
        tc_publish_with(p, .topic = "a", .payload = "x", .qos = qos, .properties = properties);
        ck_assert(tc_has_properties(&tc_receive(c, "a", "x", qos)->properties, properties));
    }
}

CONFORMANCE_TEST(mqtt_3_3_2_5_expired_message_is_not_delivered)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a", .payload = "short-lived", .qos = 1, .properties = "message_expiry:5");
    tc_publish_with(p, .topic = "a", .payload = "lasting", .qos = 1);
    tc_publish_with(p, .topic = "a", .payload = "long-lived", .qos = 1, .properties = "message_expiry:500");
    harness_advance(h, 6000);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_receive(c, "a", "lasting", 1);
    tc_receive(c, "a", "long-lived", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_2_5_expired_retained_message_is_not_delivered)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_publish_with(c, .topic = "a", .payload = "x", .retain = true, .properties = "message_expiry:5");
    harness_advance(h, 4000);
    tc_subscribe(c, "a", 1);
    tc_receive(c, "a", "x", 0);
    harness_advance(h, 2000);
    tc_subscribe(c, "a", 1);
    tc_subscribe(c, "#", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_2_6_expiry_interval_is_reduced_by_the_time_spent_waiting)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_publish_with(p, .topic = "a", .payload = "at once", .qos = 1, .properties = "message_expiry:100");
    ck_assert_uint_eq(tc_receive(c, "a", "at once", 1)->properties.message_expiry_interval_s, 100);
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a", .payload = "x", .qos = 1, .retain = true, .properties = "message_expiry:100");
    harness_advance(h, 30000);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    const struct publish *queued = tc_receive(c, "a", "x", 1);
    ck_assert(HAS(queued, MESSAGE_EXPIRY_INTERVAL));
    ck_assert_uint_eq(queued->properties.message_expiry_interval_s, 70);
    struct tc *late = tc_connect(h, "late", MQTT_5_0);
    tc_subscribe(late, "a", 1);
    const struct publish *retained = tc_receive(late, "a", "x", 1);
    ck_assert(HAS(retained, MESSAGE_EXPIRY_INTERVAL));
    ck_assert_uint_eq(retained->properties.message_expiry_interval_s, 70);
}

CONFORMANCE_TEST(mqtt_3_3_2_7_aliases_are_forgotten_with_the_connection)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_publish_with(c, .topic = "a", .payload = "x", .properties = "alias:1");
    tc_publish_with(c, .topic = "", .payload = "x", .properties = "alias:1");
    tc_expect_alive(c);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "", .payload = "x", .properties = "alias:1"});
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_3_2_7_broker_begins_its_own_aliases_anew)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    for (int i = 0; i < 2; i++) { /* the client knows no alias at first, and fails if one has no topic */
        struct tc *c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 alias_max:10");
        if (i == 0) {
            tc_subscribe(c, "some/long/topic", 1);
        }
        tc_publish(p, "some/long/topic", "x", 1);
        tc_receive(c, "some/long/topic", "x", 1);
        tc_publish(p, "some/long/topic", "y", 1);
        tc_receive(c, "some/long/topic", "y", 1);
        tc_hang_up(c);
    }
}

CONFORMANCE_TEST(mqtt_3_3_2_8_alias_0_is_refused)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .properties = "alias:0"});
    tc_expect_refused(c, REASON_TOPIC_ALIAS_INVALID);
}

CONFORMANCE_TEST(mqtt_3_3_2_12_accepts_every_alias_up_to_the_announced_maximum_and_none_above)
{
    h->limits->topic_alias_max = 7;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(HAS(connack, TOPIC_ALIAS_MAXIMUM));
    ck_assert_uint_eq(connack->properties.topic_alias_maximum, 7);
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "#", 0);
    char topic[16];
    char alias[16];
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i <= 7; i++) {
            snprintf(topic, sizeof(topic), "t%d/%d", round, i);
            snprintf(alias, sizeof(alias), "alias:%d", i);
            tc_publish_with(c, .topic = topic, .payload = "named", .properties = alias);
            ck_assert(!HAS(tc_receive(w, topic, "named", 0), TOPIC_ALIAS));
        }
        for (int i = 7; i >= 1; i--) {
            snprintf(topic, sizeof(topic), "t%d/%d", round, i);
            snprintf(alias, sizeof(alias), "alias:%d", i);
            tc_publish_with(c, .topic = "", .payload = "by alias", .properties = alias);
            tc_receive(w, topic, "by alias", 0);
        }
    }
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .properties = "alias:8"});
    tc_expect_refused(c, REASON_TOPIC_ALIAS_INVALID);
}

CONFORMANCE_TEST(mqtt_3_3_2_13_mqtt_3_3_2_14_mqtt_3_3_2_19_ill_formed_properties_are_refused)
{
    static const struct {
        const char *properties;
        uint8_t reason_code;
    } cases[] = {
        {"response_topic:[c328]", REASON_MALFORMED_PACKET}, {"response_topic:<a/+>", REASON_PROTOCOL_ERROR},
        {"response_topic:<#>", REASON_PROTOCOL_ERROR},      {"content_type:[ff]", REASON_MALFORMED_PACKET},
        {"content_type:[00]", REASON_MALFORMED_PACKET},
    };
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "#", 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tc *c = tc_connect(h, cases[i].properties, MQTT_5_0);
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .properties = cases[i].properties});
        ck_assert_ptr_nonnull(c->first);
        tc_expect_refused(c, cases[i].reason_code);
    }
    tc_expect_nothing(w);
}

/* --- actions (3.3.4) ---------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_3_3_4_1_each_publish_is_answered_as_its_qos_demands)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x"});
    tc_expect_nothing(c);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 7});
    tc_expect_puback(c, 7);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 8});
    tc_expect_pubrec(c, 8);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_4_1_refused_publish_is_answered_as_its_qos_demands)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "forbidden", 2);
    tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "x"});
    tc_expect_nothing(c);
    tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "x", .qos = 1, .id = 7});
    tc_expect_ack(c, PACKET_PUBACK, 7, REASON_NOT_AUTHORIZED);
    tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "x", .qos = 2, .id = 8});
    tc_expect_ack(c, PACKET_PUBREC, 8, REASON_NOT_AUTHORIZED);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_4_2_overlapping_subscriptions_deliver_at_the_highest_qos)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a/#", 0);
    tc_subscribe(c, "a/+", 2);
    tc_subscribe(c, "a/b", 1);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "a/b", "x", qos);
        tc_receive(c, "a/b", "x", qos);
        tc_expect_nothing(c); /* one copy it is */
    }
    tc_unsubscribe(c, "a/+");
    tc_publish(p, "a/b", "x", 2);
    tc_receive(c, "a/b", "x", 1);
    tc_expect_nothing(c);
}

/* The Subscription Identifiers of PUBLISH as a set of bits. */
static unsigned identifiers(const struct publish *publish)
{
    unsigned set = 0;
    struct bytes cursor = publish->properties.raw;
    struct property_entry entry;
    while (properties_next(&cursor, &entry)) {
        if (entry.id == PROPERTY_SUBSCRIPTION_IDENTIFIER) {
            ck_assert_uint_lt(entry.number, 32);
            ck_assert((set >> entry.number & 1) == 0);
            set |= 1u << entry.number;
        }
    }
    return set;
}

CONFORMANCE_TEST(mqtt_3_3_4_3_mqtt_3_3_4_4_the_copy_lists_every_matching_subscription_identifier)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a/#", .qos = 1, .id = 1);
    tc_subscribe_with(c, .filter = "a/+", .qos = 2, .id = 2);
    tc_subscribe_with(c, .filter = "a/b", .qos = 0, .id = 3);
    tc_subscribe_with(c, .filter = "#", .qos = 0);
    tc_subscribe_with(c, .filter = "b/#", .qos = 0, .id = 5);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "a/b", "x", qos);
        ck_assert_uint_eq(identifiers(tc_receive(c, "a/b", "x", qos)), 1u << 1 | 1u << 2 | 1u << 3);
        tc_publish(p, "a/c", "x", qos);
        ck_assert_uint_eq(identifiers(tc_receive(c, "a/c", "x", qos)), 1u << 1 | 1u << 2);
        tc_publish(p, "c", "x", qos);
        ck_assert_uint_eq(identifiers(tc_receive(c, "c", "x", 0)), 0);
        tc_expect_nothing(c);
    }
    tc_hang_up(c);
    tc_publish(p, "a/b", "queued", 2);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert_uint_eq(identifiers(tc_receive(c, "a/b", "queued", 2)), 1u << 1 | 1u << 2 | 1u << 3);
}

CONFORMANCE_TEST(mqtt_3_3_4_4_hundreds_of_matching_subscriptions_have_all_their_identifiers_in_the_copy)
{
    enum { LEVELS = 9, FILTERS = 1 << LEVELS, LARGE_ID = 268435455 - FILTERS };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    for (unsigned i = 0; i < FILTERS; i++) { /* each level a 1 or a wildcard */
        char filter[2 * LEVELS] = {0};
        for (unsigned level = 0; level < LEVELS; level++) {
            filter[2 * level] = (i >> level & 1) != 0 ? '+' : '1';
            filter[2 * level + 1] = level + 1 < LEVELS ? '/' : '\0';
        }
        tc_subscribe_with(c, .filter = filter, .qos = 1, .id = LARGE_ID + i);
    }
    for (uint8_t qos = 0; qos <= 1; qos++) {
        tc_publish(p, "1/1/1/1/1/1/1/1/1", "x", qos);
        ck_assert_uint_eq(tc_receive(c, "1/1/1/1/1/1/1/1/1", "x", qos)->properties.subscription_identifiers, FILTERS);
    }
    tc_hang_up(c);
    tc_publish(p, "1/1/1/1/1/1/1/1/1", "queued", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert_uint_eq(tc_receive(c, "1/1/1/1/1/1/1/1/1", "queued", 1)->properties.subscription_identifiers, FILTERS);
}

CONFORMANCE_TEST(mqtt_3_3_4_3_retained_message_has_the_identifier_too)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "a", "x", 1);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .id = 9);
    ck_assert_uint_eq(identifiers(tc_receive(c, "a", "x", 1)), 1u << 9);
}

CONFORMANCE_TEST(mqtt_3_3_4_3_replaced_subscription_has_its_new_identifier)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .id = 9);
    tc_subscribe_with(c, .filter = "a", .qos = 1, .id = 10);
    tc_publish(c, "a", "x", 0);
    ck_assert_uint_eq(identifiers(tc_receive(c, "a", "x", 0)), 1u << 10);
    tc_subscribe_with(c, .filter = "a", .qos = 1);
    tc_publish(c, "a", "x", 0);
    ck_assert_uint_eq(identifiers(tc_receive(c, "a", "x", 0)), 0);
}

CONFORMANCE_TEST(mqtt_3_3_4_6_subscription_identifier_from_a_client_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .properties = "subscription_id:1"});
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_3_4_7_client_beyond_the_receive_maximum_is_closed)
{
    h->limits->inflight_messages = 3;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(HAS(connack, RECEIVE_MAXIMUM));
    ck_assert_uint_eq(connack->properties.receive_maximum, 3);
    for (uint16_t id = 1; id <= 3; id++) {
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = id});
        tc_expect_pubrec(c, id);
    }
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 2, .dup = true});
    tc_expect_pubrec(c, 2); /* a repeat is none too many */
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 4});
    tc_expect_refused(c, REASON_RECEIVE_MAXIMUM_EXCEEDED);
}

CONFORMANCE_TEST(mqtt_3_3_4_9_keeps_within_the_clients_receive_maximum)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:3");
    tc_subscribe(c, "a", 2);
    char payload[16];
    for (int i = 0; i < 20; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, (uint8_t)(1 + i % 2));
    }
    /* the client itself fails on a fourth; here: three come, and each that is finished makes room for one */
    uint16_t ids[20];
    for (int i = 0; i < 20; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        if (i >= 3) {
            tc_expect_nothing(c);
            int oldest = i - 3;
            if (oldest % 2 == 0) {
                tc_puback(c, ids[oldest]);
            } else {
                tc_pubrec(c, ids[oldest]);
                tc_expect_pubrel(c, ids[oldest]);
                tc_expect_nothing(c); /* PUBREC makes no room */
                tc_pubcomp(c, ids[oldest]);
            }
        }
        ids[i] = tc_expect_publish(c, "a", payload, (uint8_t)(1 + i % 2))->packet_id;
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_4_9_keeps_within_the_receive_maximum_after_a_reconnect)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    char payload[16];
    for (int i = 0; i < 10; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_publish(p, "a", payload, 1);
    }
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 receive_max:2");
    for (int i = 0; i < 10; i++) {
        snprintf(payload, sizeof(payload), "%d", i);
        tc_receive(c, "a", payload, 1);
    }
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_3_3_4_10_full_receive_maximum_delays_nothing_else)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 1);
    tc_publish(p, "a", "2", 1);
    uint16_t open = tc_expect_publish(c, "a", "1", 1)->packet_id;
    tc_publish(p, "a", "qos 0", 0);
    tc_receive(c, "a", "qos 0", 0);
    tc_expect_alive(c);
    tc_subscribe(c, "b", 0);
    tc_unsubscribe(c, "b");
    tc_publish(c, "c", "x", 1);
    tc_publish(c, "c", "x", 2);
    tc_expect_nothing(c);
    tc_puback(c, open);
    tc_receive(c, "a", "2", 1);
}
