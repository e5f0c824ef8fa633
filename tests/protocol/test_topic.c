/**
 * protocol/topic.h: what a topic name and a filter may be, and what matches what.
 */
#include "protocol/topic.h"

#include "tests/protocol/expect.h"

static bool name_is_valid(const char *hex)
{
    struct bytes name = guarded_hex(hex);
    bool valid = topic_name_is_valid(name);
    guarded_free(name.data, name.len);
    return valid;
}

static bool filter_is_valid(const char *text)
{
    struct topic_filter filter;
    struct bytes full = guarded_copy(bytes_from_string(text));
    bool valid = topic_filter_parse(full, &filter);
    guarded_free(full.data, full.len);
    return valid;
}

static bool matches(const char *filter, const char *name)
{
    struct bytes f = guarded_copy(bytes_from_string(filter));
    struct bytes n = guarded_copy(bytes_from_string(name));
    bool matched = topic_matches(f, n);
    guarded_free(f.data, f.len);
    guarded_free(n.data, n.len);
    return matched;
}

/* ---- names */

START_TEST(name_may_be_any_text_without_wildcards)
{
    ck_assert(name_is_valid("'a'"));
    ck_assert(name_is_valid("'/'"));
    ck_assert(name_is_valid("'sensors/room 7//temperature'"));
    ck_assert(name_is_valid("'$SYS/broker'"));
    ck_assert(name_is_valid("c3 bc '/' f0 9f 98 80"));
}
END_TEST

START_TEST(name_has_one_character_or_more_mqtt_4_7_3_1_mqtt311_4_7_3_1)
{
    ck_assert(!name_is_valid(""));
    ck_assert(!topic_name_is_valid(NO_BYTES));
}
END_TEST

START_TEST(name_has_no_wildcard_at_any_place_mqtt_4_7_0_1_mqtt_3_3_2_2_mqtt311_4_7_1_1)
{
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t *data = guarded_alloc(len);
            memset(data, 'a', len);
            data[at] = '+';
            ck_assert(!topic_name_is_valid((struct bytes){data, len}));
            data[at] = '#';
            ck_assert(!topic_name_is_valid((struct bytes){data, len}));
            data[at] = '*'; /* one bit away from a wildcard */
            ck_assert(topic_name_is_valid((struct bytes){data, len}));
            guarded_free(data, len);
        }
    }
    ck_assert(!name_is_valid("c3 bc '/#'"));
    ck_assert(!name_is_valid("'abcdefgh' c3 bc '+'"));
}
END_TEST

START_TEST(name_has_no_nul_mqtt_4_7_3_2_mqtt311_4_7_3_2)
{
    ck_assert(!name_is_valid("'a' 00"));
    ck_assert(!name_is_valid("00"));
    ck_assert(!name_is_valid("'abcdefgh' 00 'i'"));
}
END_TEST

START_TEST(name_has_at_most_65535_bytes_mqtt_4_7_3_3_mqtt311_4_7_3_3)
{
    uint8_t *data = guarded_alloc(65536);
    memset(data, 'a', 65536);
    ck_assert(topic_name_is_valid((struct bytes){data + 1, 65535}));
    ck_assert(!topic_name_is_valid((struct bytes){data, 65536}));
}
END_TEST

START_TEST(name_is_utf8_mqtt_3_3_2_1)
{
    ck_assert(!name_is_valid("'a' ff"));
    ck_assert(!name_is_valid("ed a0 80"));
}
END_TEST

/* ---- filters */

START_TEST(filter_is_taken_apart)
{
    static const struct {
        const char *full, *share_name, *filter;
        bool has_wildcard;
        unsigned levels;
    } filters[] = {
        {"a", "", "a", false, 1},
        {"/", "", "/", false, 2},
        {"a/b/c", "", "a/b/c", false, 3},
        {"a//", "", "a//", false, 3},
        {"#", "", "#", true, 1},
        {"+", "", "+", true, 1},
        {"+/+/#", "", "+/+/#", true, 3},
        {"/#", "", "/#", true, 2},
        {"$SYS/#", "", "$SYS/#", true, 2},
        {"$share/group/a/b", "group", "a/b", false, 2},
        {"$share/g/#", "g", "#", true, 1},
        {"$share/g//", "g", "/", false, 2},
        {"$share/$g/+", "$g", "+", true, 1},
        {"$shared/a", "", "$shared/a", false, 2},
        {"$Share/g/a", "", "$Share/g/a", false, 3},
        {"a/$share/g/b", "", "a/$share/g/b", false, 4},
        {"$shar", "", "$shar", false, 1},
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        struct topic_filter out;
        struct bytes full = guarded_copy(bytes_from_string(filters[i].full));
        ck_assert_msg(topic_filter_parse(full, &out), "%s", filters[i].full);
        expect_bytes(out.share_name, filters[i].share_name);
        expect_bytes(out.filter, filters[i].filter);
        ck_assert_ptr_eq(out.filter.data + out.filter.len, full.data + full.len);
        ck_assert(out.has_wildcard == filters[i].has_wildcard);
        ck_assert_uint_eq(out.levels, filters[i].levels);
    }
}
END_TEST

START_TEST(hash_stands_alone_in_the_last_level_mqtt_4_7_1_1_mqtt311_4_7_1_2)
{
    static const char *const filters[] = {"a#", "#a", "a/b#", "a/#/b", "#/a", "#/", "##", "a/##", "#/#", "+#", "#+"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        ck_assert_msg(!filter_is_valid(filters[i]), "%s", filters[i]);
    }
}
END_TEST

START_TEST(plus_fills_a_level_mqtt_4_7_1_2_mqtt311_4_7_1_3)
{
    static const char *const filters[] = {"a+", "+a", "a/+b", "a/b+/c", "++", "+/++", "a+/b"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        ck_assert_msg(!filter_is_valid(filters[i]), "%s", filters[i]);
    }
    ck_assert(filter_is_valid("+/a"));
    ck_assert(filter_is_valid("a/+/b"));
    ck_assert(filter_is_valid("a/+"));
}
END_TEST

START_TEST(filter_has_one_character_or_more_mqtt_4_7_3_1_mqtt311_4_7_3_1)
{
    struct topic_filter out;
    ck_assert(!topic_filter_parse(NO_BYTES, &out));
}
END_TEST

START_TEST(filter_has_no_nul_and_is_utf8_mqtt_4_7_3_2_mqtt_3_8_3_1_mqtt_3_10_3_1_mqtt311_4_7_3_2)
{
    struct topic_filter out;
    ck_assert(!topic_filter_parse(guarded_hex("'a/' 00"), &out));
    ck_assert(!topic_filter_parse(guarded_hex("'a/' ff"), &out));
    ck_assert(!topic_filter_parse(guarded_hex("'$share/' ff '/a'"), &out));
}
END_TEST

START_TEST(filter_of_65535_levels_is_parsed_mqtt_4_7_3_3_mqtt311_4_7_3_3)
{
    struct topic_filter out;
    uint8_t *data = guarded_alloc(65536);
    memset(data, '/', 65536);
    ck_assert(topic_filter_parse((struct bytes){data + 1, 65535}, &out));
    ck_assert_uint_eq(out.levels, 65536);
    ck_assert(!topic_filter_parse((struct bytes){data, 65536}, &out));
}
END_TEST

START_TEST(shared_filter_has_a_name_mqtt_4_8_2_1)
{
    ck_assert(!filter_is_valid("$share"));
    ck_assert(!filter_is_valid("$share/"));
    ck_assert(!filter_is_valid("$share//a"));
    ck_assert(!filter_is_valid("$share///"));
}
END_TEST

START_TEST(share_name_is_plain_and_a_filter_follows_mqtt_4_8_2_2)
{
    static const char *const filters[] = {"$share/g",     "$share/g/",   "$share/+/a",  "$share/#/a",
                                          "$share/g+/a",  "$share/g#/a", "$share/g/a#", "$share/g/#/a",
                                          "$share/g/a+b", "$share/#",    "$share/+"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        ck_assert_msg(!filter_is_valid(filters[i]), "%s", filters[i]);
    }
}
END_TEST

/* ---- matching */

START_TEST(matches_as_the_specification_shows)
{
    static const struct {
        const char *filter, *name;
        bool matched;
    } pairs[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player12", false},
        {"sport/#", "sport", true},
        {"sport/#", "sports", false},
        {"sport/#", "spor", false},
        {"#", "a/b/c", true},
        {"#", "/", true},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"+/tennis/#", "sport/tennis", true},
        {"+/tennis/#", "sport/golf", false},
        {"+/+/#", "a/b", true},
        {"+/+/#", "a", false},
        {"+", "a", true},
        {"+/+", "a/b/c", false},
        {"a/+/c", "a/b/c", true},
        {"a/+/c", "a//c", true},
        {"a/+/c", "a/b/d", false},
        {"a/+/c", "a/b", false},
        {"a/b", "a/b", true},
        {"a/b", "a/b/", false},
        {"a/b/", "a/b", false},
        {"a//b", "a//b", true},
        {"a//b", "a/b", false},
        {"/#", "a", false},
        {"/#", "/", true},
        {"/#", "/a/b", true},
        {"a", "b", false},
        {"ab", "a", false},
        {"a", "ab", false},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        ck_assert_msg(matches(pairs[i].filter, pairs[i].name) == pairs[i].matched, "%s against %s", pairs[i].filter,
                      pairs[i].name);
    }
}
END_TEST

START_TEST(leading_wildcard_does_not_match_dollar_topics_mqtt_4_7_2_1_mqtt311_4_7_2_1)
{
    ck_assert(!matches("#", "$SYS/uptime"));
    ck_assert(!matches("+/uptime", "$SYS/uptime"));
    ck_assert(!matches("#", "$"));
    ck_assert(!matches("+", "$"));
    ck_assert(matches("$SYS/#", "$SYS/uptime"));
    ck_assert(matches("$SYS/+", "$SYS/uptime"));
    ck_assert(matches("+/$SYS", "a/$SYS"));
    ck_assert(matches("a/#", "a/$SYS"));
}
END_TEST

START_TEST(nothing_is_normalised_mqtt_4_7_3_4_mqtt311_4_7_3_4)
{
    ck_assert(!matches("A", "a"));
    ck_assert(!matches("a b", "a  b"));
    ck_assert(!matches("\xC3\xBC", "u\xCC\x88")); /* the same letter, composed and decomposed */
    ck_assert(!matches("\xEF\xBB\xBF"
                       "a",
                       "a"));
    ck_assert(matches("\xC3\xBC/+", "\xC3\xBC/a"));
}
END_TEST

START_TEST(filter_of_32768_wildcards_is_matched)
{
    uint8_t *pluses = guarded_alloc(65535);
    uint8_t *slashes = guarded_alloc(32767);
    for (size_t i = 0; i < 65535; i++) {
        pluses[i] = i % 2 == 0 ? '+' : '/';
    }
    memset(slashes, '/', 32767);
    struct bytes filter = {pluses, 65535};
    ck_assert(topic_matches(filter, (struct bytes){slashes, 32767}));
    ck_assert(!topic_matches(filter, (struct bytes){slashes, 32766}));
}
END_TEST

START_TEST(levels_are_stepped_through)
{
    static const struct {
        const char *name;
        const char *levels[4];
        size_t count;
    } names[] = {
        {"a", {"a"}, 1},      {"a/b", {"a", "b"}, 2}, {"/a", {"", "a"}, 2},
        {"a/", {"a", ""}, 2}, {"/", {"", ""}, 2},     {"a//b", {"a", "", "b"}, 3},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bytes rest = guarded_copy(bytes_from_string(names[i].name));
        struct bytes level;
        for (size_t k = 0; k < names[i].count; k++) {
            ck_assert(topic_next_level(&rest, &level));
            expect_bytes(level, names[i].levels[k]);
        }
        ck_assert(!topic_next_level(&rest, &level));
        ck_assert(!topic_next_level(&rest, &level));
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("topic");
    TCase *name = tcase_create("name");
    TCase *filter = tcase_create("filter");
    TCase *match = tcase_create("match");

    tcase_add_test(name, name_may_be_any_text_without_wildcards);
    tcase_add_test(name, name_has_one_character_or_more_mqtt_4_7_3_1_mqtt311_4_7_3_1);
    tcase_add_test(name, name_has_no_wildcard_at_any_place_mqtt_4_7_0_1_mqtt_3_3_2_2_mqtt311_4_7_1_1);
    tcase_add_test(name, name_has_no_nul_mqtt_4_7_3_2_mqtt311_4_7_3_2);
    tcase_add_test(name, name_has_at_most_65535_bytes_mqtt_4_7_3_3_mqtt311_4_7_3_3);
    tcase_add_test(name, name_is_utf8_mqtt_3_3_2_1);
    suite_add_tcase(s, name);
    tcase_add_test(filter, filter_is_taken_apart);
    tcase_add_test(filter, hash_stands_alone_in_the_last_level_mqtt_4_7_1_1_mqtt311_4_7_1_2);
    tcase_add_test(filter, plus_fills_a_level_mqtt_4_7_1_2_mqtt311_4_7_1_3);
    tcase_add_test(filter, filter_has_one_character_or_more_mqtt_4_7_3_1_mqtt311_4_7_3_1);
    tcase_add_test(filter, filter_has_no_nul_and_is_utf8_mqtt_4_7_3_2_mqtt_3_8_3_1_mqtt_3_10_3_1_mqtt311_4_7_3_2);
    tcase_add_test(filter, filter_of_65535_levels_is_parsed_mqtt_4_7_3_3_mqtt311_4_7_3_3);
    tcase_add_test(filter, shared_filter_has_a_name_mqtt_4_8_2_1);
    tcase_add_test(filter, share_name_is_plain_and_a_filter_follows_mqtt_4_8_2_2);
    suite_add_tcase(s, filter);
    tcase_add_test(match, matches_as_the_specification_shows);
    tcase_add_test(match, leading_wildcard_does_not_match_dollar_topics_mqtt_4_7_2_1_mqtt311_4_7_2_1);
    tcase_add_test(match, nothing_is_normalised_mqtt_4_7_3_4_mqtt311_4_7_3_4);
    tcase_add_test(match, filter_of_32768_wildcards_is_matched);
    tcase_add_test(match, levels_are_stepped_through);
    suite_add_tcase(s, match);
    return s;
}

CHECK_MAIN(suite)
