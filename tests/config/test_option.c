/* Claims about the option table: each row is sound, and each key keeps to the range that its row states. */
#include "config/option.h"

#include "config/spelling.h"

#include "tests/config/load.h"

#include <inttypes.h>
#include <stdio.h>

/** TEXT: a configuration in which the key of ROW has the value VALUE. */
static void text_with(const struct option *row, const char *value, char *text, size_t cap)
{
    const char *name = option_name(row);
    const char *dot = strrchr(row->path, '.');

    if (option_is_of_listener(row))
        snprintf(text, cap, "{\"listeners\": [{\"bind\": \"127.0.0.1:0\", \"%s\": %s}]}", name, value);
    else if (strcmp(row->path, "store.interval_ms") == 0) /* has no effect otherwise */
        snprintf(text, cap, "{\"store\": {\"sync\": \"interval\", \"%s\": %s}}", name, value);
    else if (dot)
        snprintf(text, cap, "{\"%.*s\": {\"%s\": %s}}", (int)(dot - row->path), row->path, name, value);
    else
        snprintf(text, cap, "{\"%s\": %s}", name, value);
}

static const void *base_of(const struct option *row, const struct config *c)
{
    return option_is_of_listener(row) ? (const void *)&c->listeners[0] : (const void *)c;
}

/** Where a problem of ROW is reported. */
static void problem_path(const struct option *row, char *path, size_t cap)
{
    if (option_is_of_listener(row))
        snprintf(path, cap, "listeners[0].%s", option_name(row));
    else
        snprintf(path, cap, "%s", row->path);
}

static void expect_number(const struct option *row, uint64_t number)
{
    char text[256], value[32];

    snprintf(value, sizeof(value), "%" PRIu64, number);
    text_with(row, value, text, sizeof(text));
    struct config *c = load_valid(text);
    ck_assert_uint_eq(option_number(row, base_of(row, c)), number);
    config_free(c);
}

static void expect_refused(const struct option *row, const char *value)
{
    char text[256], path[128];

    text_with(row, value, text, sizeof(text));
    problem_path(row, path, sizeof(path));
    expect_problem(text, path, "must be");
}

START_TEST(every_row_is_sound)
{
    OPTION_FOREACH (row) {
        ck_assert_msg(row->help && row->help[0] && !strchr(row->help, '\n') && !strchr(row->help, '|'), "%s",
                      row->path);
        ck_assert_msg(strlen(option_name(row)) < 40, "%s", row->path);
        ck_assert_uint_ne(spelling_distance(option_name(row), ""), SPELLING_FAR);
        if (row->type == OPTION_NUMBER) {
            ck_assert_msg(row->min <= row->max, "%s", row->path);
            ck_assert_msg(!row->zero || row->min > 0, "%s", row->path);
            ck_assert_msg(row->number <= option_max(row), "%s", row->path);
            ck_assert_msg(row->number >= row->min || (row->zero && row->number == 0), "%s", row->path);
        }
        if (row->type == OPTION_STRING)
            ck_assert_msg(row->size == sizeof(char *) && row->max > 0, "%s", row->path);
        for (const struct option *other = option_table; other < row; other++)
            ck_assert_str_ne(other->path, row->path);
    }
}
END_TEST

START_TEST(no_two_rows_share_a_member)
{
    OPTION_FOREACH (row) {
        for (const struct option *other = option_table; other < row; other++) {
            if (row->size == 0 || other->size == 0 || option_is_of_listener(row) != option_is_of_listener(other))
                continue;
            ck_assert_msg(row->offset >= other->offset + other->size || other->offset >= row->offset + row->size,
                          "%s and %s", row->path, other->path);
        }
    }
}
END_TEST

START_TEST(every_number_keeps_to_its_range)
{
    char value[32];

    OPTION_FOREACH (row) {
        if (row->type != OPTION_NUMBER)
            continue;
        expect_number(row, row->min);
        expect_number(row, option_max(row));
        snprintf(value, sizeof(value), "%" PRIu64, option_max(row) + 1);
        expect_refused(row, value);
        expect_refused(row, "-1");
        expect_refused(row, "1.5");
        expect_refused(row, "true");
        if (row->zero) {
            expect_number(row, 0);
        } else if (row->min > 0) {
            snprintf(value, sizeof(value), "%" PRIu64, row->min - 1);
            expect_refused(row, value);
        }
    }
}
END_TEST

START_TEST(every_choice_is_accepted_and_no_other)
{
    char text[256], value[64];

    OPTION_FOREACH (row) {
        if (row->type != OPTION_CHOICE)
            continue;
        for (size_t i = 0; i < OPTION_CHOICES_MAX && row->choices[i]; i++) {
            snprintf(value, sizeof(value), "\"%s\"", row->choices[i]);
            text_with(row, value, text, sizeof(text));
            struct config *c = load_valid(text);
            ck_assert_uint_eq(option_number(row, base_of(row, c)), i);
            config_free(c);
        }
        expect_refused(row, "\"\"");
        expect_refused(row, "0");
    }
}
END_TEST

START_TEST(every_bool_takes_both)
{
    char text[256];

    OPTION_FOREACH (row) {
        /* proxy_protocol needs proxy_trusted when it is true */
        if (row->type != OPTION_BOOL || strcmp(option_name(row), "proxy_protocol") == 0)
            continue;
        for (unsigned on = 0; on < 2; on++) {
            text_with(row, on ? "true" : "false", text, sizeof(text));
            struct config *c = load_valid(text);
            ck_assert_uint_eq(option_number(row, base_of(row, c)), on);
            config_free(c);
        }
        expect_refused(row, "1");
        expect_refused(row, "null");
    }
}
END_TEST

START_TEST(later_keys_are_refused_whatever_their_value)
{
    static const char *const values[] = {"null", "1", "{}", "[]", "\"x\""};
    char text[256], path[128];

    OPTION_FOREACH (row) {
        if (row->type != OPTION_NOT_BUILT)
            continue;
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            text_with(row, values[i], text, sizeof(text));
            problem_path(row, path, sizeof(path));
            expect_problem(text, path, "is not built in this version");
        }
    }
}
END_TEST

START_TEST(spelling_distance_counts_edits)
{
    ck_assert_uint_eq(spelling_distance("", ""), 0);
    ck_assert_uint_eq(spelling_distance("bind", "bind"), 0);
    ck_assert_uint_eq(spelling_distance("bind", "bnd"), 1);
    ck_assert_uint_eq(spelling_distance("bind", "bindd"), 1);
    ck_assert_uint_eq(spelling_distance("bind", "bend"), 1);
    ck_assert_uint_eq(spelling_distance("bind", "bidn"), 1);
    ck_assert_uint_eq(spelling_distance("kitten", "sitting"), 3);
    ck_assert_uint_eq(spelling_distance("abc", ""), 3);
    ck_assert_uint_eq(spelling_distance("bind", "123456789012345678901234567890123456789012345678901234567890"),
                      SPELLING_FAR);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("option");
    TCase *table = tcase_create("table");
    TCase *values = tcase_create("values");

    tcase_add_test(table, every_row_is_sound);
    tcase_add_test(table, no_two_rows_share_a_member);
    tcase_add_test(table, spelling_distance_counts_edits);
    suite_add_tcase(s, table);
    tcase_add_test(values, every_number_keeps_to_its_range);
    tcase_add_test(values, every_choice_is_accepted_and_no_other);
    tcase_add_test(values, every_bool_takes_both);
    tcase_add_test(values, later_keys_are_refused_whatever_their_value);
    suite_add_tcase(s, values);
    return s;
}

CHECK_MAIN(suite)
