/* MQTT 3.1.1, 4.7: topic names and topic filters. */
#include <string.h>

#include "tests/conformance/v311.h"

/* A client subscribed to FILTER gets what is published to NAME, or does not. */
static void check_match(struct harness *h, const char *filter, const char *name, bool matches)
{
    struct tc *c = v311_connect(h, filter);
    tc_subscribe(c, filter, 0);
    tc_publish(c, name, "live", 0);
    if (matches) {
        tc_receive(c, name, "live", 0);
    }
    tc_expect_nothing(c);
    tc_retain(c, name, "kept", 0); /* what is retained has to be found by the same rules */
    tc_disconnect(c);
    c = v311_connect(h, filter);
    tc_subscribe(c, filter, 0);
    if (matches) {
        tc_receive(c, name, "kept", 0);
    }
    tc_expect_nothing(c);
    tc_retain(c, name, NULL, 0);
    tc_hang_up(c);
}

static void expect_invalid(struct harness *h, const char *filter)
{
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "82{0001 <%s> 00}", filter);
    tc_expect_closed(c);
    c = v311_connect(h, "c");
    tc_send_spec(c, "a2{0001 <%s>}", filter);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_4_7_1_2_multi_level_wildcard_stands_alone_at_the_end)
{
    static const char *const invalid[] = {"a#", "a/b#", "#a", "#/a", "a/#/b", "##", "a/##", "#/#", "#/"};
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        expect_invalid(h, invalid[i]);
    }
    check_match(h, "a/#", "a", true);
    check_match(h, "a/#", "a/b", true);
    check_match(h, "a/#", "a/", true);
    check_match(h, "a/#", "a/b/c/d", true);
    check_match(h, "a/#", "ab", false);
    check_match(h, "a/#", "b/a", false);
    check_match(h, "#", "a/b/c", true);
    check_match(h, "#", "/", true);
    check_match(h, "/#", "/a", true);
    check_match(h, "/#", "a", false);
}

CONFORMANCE_TEST(mqtt311_4_7_1_3_single_level_wildcard_fills_a_whole_level)
{
    static const char *const invalid[] = {"a+", "+a", "a/b+", "a/+b/c", "++", "+#", "a/+#"};
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        expect_invalid(h, invalid[i]);
    }
    check_match(h, "+", "a", true);
    check_match(h, "+", "/a", false);
    check_match(h, "+/+", "/a", true);
    check_match(h, "/+", "/a", true);
    check_match(h, "a/+", "a/b", true);
    check_match(h, "a/+", "a/", true);
    check_match(h, "a/+", "a", false);
    check_match(h, "a/+", "a/b/c", false);
    check_match(h, "a/+/c", "a/b/c", true);
    check_match(h, "a/+/c", "a//c", true);
    check_match(h, "+/b/#", "a/b", true);
    check_match(h, "+/b/#", "a/b/c/d", true);
    check_match(h, "+/b/#", "a/c/b", false);
}

CONFORMANCE_TEST(mqtt311_4_7_2_1_leading_wildcard_does_not_match_a_leading_dollar)
{
    check_match(h, "#", "$x/a", false);
    check_match(h, "+/a", "$x/a", false);
    check_match(h, "+/+", "$x/a", false);
    check_match(h, "+", "$x", false);
    check_match(h, "+/#", "$x", false);
    check_match(h, "$x/#", "$x/a", true);
    check_match(h, "$x/+", "$x/a", true);
    check_match(h, "$x/a", "$x/a", true);
    check_match(h, "+/$x", "a/$x", true);
    check_match(h, "a/#", "a/$x", true);
}

CONFORMANCE_TEST(mqtt311_4_7_3_1_empty_names_and_filters_close_the_connection)
{
    static const char *const packets[] = {"30{<> 'x'}", "32{<> 0001 'x'}", "82{0001 <> 00}", "82{0001 <a> 00 <> 00}",
                                          "a2{0001 <>}"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
    check_match(h, "/", "/", true); /* one character is enough */
    check_match(h, " ", " ", true);
}

CONFORMANCE_TEST(mqtt311_4_7_3_2_null_character_in_names_and_filters_closes_the_connection)
{
    static const char *const packets[] = {"30{['a'00'b'] 'x'}", "34{[00] 0001 'x'}", "82{0001 ['a/'00] 00}",
                                          "a2{0001 ['a/'00]}"};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_4_7_3_3_names_and_filters_may_have_65535_bytes)
{
    enum { LONG = 65535 };
    static char topic[LONG + 1];
    memset(topic, 'a', LONG);
    topic[LONG] = '\0';
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, topic, 1);
    tc_retain(p, topic, "x", 1);
    tc_receive(c, topic, "x", 1);
    tc_unsubscribe(c, topic);
    tc_publish(p, topic, "y", 1);
    tc_subscribe(c, "+", 1);
    tc_receive(c, topic, "x", 1);
    topic[LONG - 1] = 'b';
    tc_publish(p, topic, "z", 1);
    tc_receive(c, topic, "z", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_4_7_3_4_matching_changes_no_character)
{
    check_match(h, "ACCOUNTS", "Accounts", false);
    check_match(h, "Accounts payable", "Accounts payable", true);
    check_match(h, "a", "a ", false);
    check_match(h, "a", "/a", false);
    check_match(h, "a/b", "a//b", false);
    check_match(h, "a", "a/", false);
    check_match(h, "\u00e9", "e\u0301", false); /* the same letter to a reader */
    check_match(h, "\u00c5", "\u212b", false);
    check_match(h, "\ufb01", "fi", false);
    check_match(h, "a/../b", "b", false);
    check_match(h, "a/../b", "a/../b", true);
    check_match(h, "%41", "A", false);
}
