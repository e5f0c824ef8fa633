/* MQTT 5.0, 4.7: topic names and topic filters. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <string.h>

/* --- wildcards ------------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_4_7_0_1_wildcard_in_a_topic_name_is_refused)
{
    static const char *const topics[] = {"#", "+", "a/#", "a/+/b", "a+", "a#b"};
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "#", 0);
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        for (uint8_t qos = 0; qos <= 2; qos++) {
            struct tc *c = tc_connect(h, "c", MQTT_5_0);
            tc_send_publish(c, (struct tc_message){.topic = topics[i], .payload = "x", .qos = qos});
            tc_expect_refused(c, REASON_TOPIC_NAME_INVALID);
        }
    }
    tc_expect_nothing(s);
}

/* SUBSCRIBE with FILTER ends the connection with 0x8F; so does UNSUBSCRIBE. */
static void check_invalid(struct harness *h, const char *filter)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_subscribe(c, (struct tc_subscription){.filter = filter});
    tc_expect_refused(c, REASON_TOPIC_FILTER_INVALID);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_send_unsubscribe(c, filter);
    tc_expect_refused(c, REASON_TOPIC_FILTER_INVALID);
}

CONFORMANCE_TEST(mqtt_4_7_1_1_hash_stands_alone_and_last)
{
    static const char *const filters[] = {"a#",   "a/b#", "#/a", "a/#/b", "##",
                                          "a/##", "#a",   "/#/", "+#",    "$share/g/a/#/b"};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        check_invalid(h, filters[i]);
    }
}

CONFORMANCE_TEST(mqtt_4_7_1_2_plus_fills_a_level)
{
    static const char *const filters[] = {"a+", "+a", "a/b+", "a/+b/c", "++", "a/++", "$share/g/a+"};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        check_invalid(h, filters[i]);
    }
}

/* True if a subscription to FILTER of C brings a message to TOPIC that P publishes. */
static bool matches(struct tc *p, struct tc *c, const char *filter, const char *topic)
{
    tc_subscribe(c, filter, 0);
    tc_publish(p, topic, "x", 0);
    bool came = tc_next_type(c) == PACKET_PUBLISH;
    if (came) {
        tc_receive(c, topic, "x", 0);
    }
    tc_expect_nothing(c);
    tc_unsubscribe(c, filter);
    return came;
}

CONFORMANCE_TEST(mqtt_4_7_1_1_mqtt_4_7_1_2_wildcards_match_as_the_examples_say)
{
    static const struct {
        const char *filter;
        const char *topic;
        bool matches;
    } cases[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player11", false},
        {"sport/#", "sport", true},
        {"sport/#", "sport/", true},
        {"sport/#", "sports", false},
        {"#", "a", true},
        {"#", "/", true},
        {"#", "//", true},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"+", "finance", true},
        {"+/tennis/#", "sport/tennis", true},
        {"+/tennis/#", "/tennis/x/y", true},
        {"sport/+/player1", "sport//player1", true},
        {"sport/+/player1", "sport/player1", false},
        {"/#", "a", false},
        {"/#", "/", true},
        {"+/+/+", "//", true},
        {"a//b", "a//b", true},
        {"a//b", "a/b", false},
    };
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(matches(p, c, cases[i].filter, cases[i].topic) == cases[i].matches, "%s, %s", cases[i].filter,
                      cases[i].topic);
    }
}

CONFORMANCE_TEST(mqtt_4_7_2_1_leading_wildcard_matches_no_topic_with_a_dollar)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    static const char *const topics[] = {"$a", "$a/b", "$a/b/c", "$", "$/b", "$SYSTEM"};
    static const char *const filters[] = {"#", "+", "+/#", "+/b", "+/+", "+/b/#"};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        for (size_t k = 0; k < sizeof(filters) / sizeof(filters[0]); k++) {
            ck_assert(!matches(p, c, filters[k], topics[i]));
        }
    }
    ck_assert(matches(p, c, "$a/#", "$a/b"));
    ck_assert(matches(p, c, "$a/+", "$a/b"));
    ck_assert(matches(p, c, "+/$a", "b/$a")); /* only at the beginning */
}

CONFORMANCE_TEST(mqtt_4_7_2_1_leading_wildcard_gets_no_retained_topic_with_a_dollar)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_retain(p, "$a/b", "x", 0);
    tc_retain(p, "a/b", "y", 0);
    static const char *const filters[] = {"#", "+/#", "+/b", "+/+"};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_subscribe(c, filters[i], 0);
        tc_receive(c, "a/b", "y", 0);
        tc_expect_nothing(c);
        tc_disconnect(c);
    }
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "$a/#", 0);
    tc_receive(c, "$a/b", "x", 0);
}

/* --- names ------------------------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_4_7_3_1_empty_names_and_filters_are_refused)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "30{<> {} 'x'}");
    ck_assert(c->closed);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "82{0001 {} <> 00}");
    ck_assert(c->closed);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "a2{0001 {} <>}");
    ck_assert(c->closed);
    check_invalid(h, "$share/g/"); /* nothing behind the group */
    c = tc_connect(h, "c", MQTT_5_0);
    ck_assert(matches(c, c, " ", " ")); /* one character is enough */
    ck_assert(matches(c, c, "/", "/"));
}

CONFORMANCE_TEST(mqtt_4_7_3_2_names_and_filters_with_nul_are_refused)
{
    static const char *const packets[] = {"30{['a' 00 'b'] {} 'x'}", "82{0001 {} ['a' 00] 00}", "a2{0001 {} [00]}"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = tc_connect(h, "c", MQTT_5_0);
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
    }
}

CONFORMANCE_TEST(mqtt_4_7_3_3_names_and_filters_may_have_65535_bytes)
{
    static char name[65536];
    memset(name, 'n', 65535);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, name, 1);
    tc_publish(p, name, "x", 1);
    tc_receive(c, name, "x", 1);
    name[65534] = 'm'; /* every byte of it counts */
    tc_publish(p, name, "y", 1);
    tc_expect_nothing(c);
    tc_retain(p, name, "kept", 1);
    tc_subscribe(c, "+", 1);
    tc_receive(c, name, "kept", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_7_3_4_matching_compares_bytes)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    static const char *const names[] = {
        "ACCOUNTS",
        "Accounts",
        "accounts",
        "accounts ",
        " accounts",
        "/accounts",
        "accounts/",
        "caf\xc3\xa9",  /* e with acute */
        "cafe\xcc\x81", /* e, then a combining acute */
        "\xef\xbb\xbf\x63\x61\x66",
        "caf", /* U+FEFF is a character */
        "\xef\xac\x81",
        "fi", /* a ligature */
        "a\xe2\x84\xab",
        "a\xc3\x85", /* Angstrom and A with ring */
        "a\\b",
        "a/b",
        "a%2fb",
        "a.b",
        "*",
        "a/*",
    };
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    for (size_t i = 0; i < COUNT; i++) {
        tc_subscribe(c, names[i], 0);
        for (size_t k = 0; k < COUNT; k++) {
            tc_publish(p, names[k], "x", 0);
        }
        tc_receive(c, names[i], "x", 0); /* this one alone, unchanged */
        tc_expect_nothing(c);
        tc_unsubscribe(c, names[i]);
    }
}
