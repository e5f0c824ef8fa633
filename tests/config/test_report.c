/* Claims about the report: every problem kept or counted, each one printable line, whatever bytes it is made of. */
#include "config/report.h"

#include "tests/check_main.h"

#include <stdio.h>
#include <string.h>

static struct config_report report;

static void setup(void)
{
    config_report_init(&report);
}

static void teardown(void)
{
    config_report_fini(&report);
}

/** What config_report_print() writes. */
static const char *printed(const char *file)
{
    static char text[4096];
    FILE *stream = fmemopen(text, sizeof(text), "w");

    ck_assert_ptr_nonnull(stream);
    memset(text, 0, sizeof(text));
    config_report_print(&report, stream, file);
    fclose(stream);
    return text;
}

START_TEST(is_empty_until_something_is_wrong)
{
    ck_assert(config_report_is_empty(&report));
    report.out_of_memory = true;
    ck_assert(!config_report_is_empty(&report));
    report.out_of_memory = false;
    config_report_add(&report, "", "x");
    ck_assert(!config_report_is_empty(&report));
}
END_TEST

START_TEST(prints_one_line_per_problem)
{
    config_report_add(&report, "listeners[1].bind", "must be %s, not %d", "an address", 5);
    config_report_add(&report, "", "cannot be read");
    ck_assert_str_eq(printed("a.json"),
                     "a.json: listeners[1].bind: must be an address, not 5\na.json: cannot be read\n");
    ck_assert_str_eq(printed(NULL), "listeners[1].bind: must be an address, not 5\ncannot be read\n");
}
END_TEST

START_TEST(tells_what_is_not_shown)
{
    report.omitted = 7;
    report.out_of_memory = true;
    ck_assert_str_eq(printed("f"), "f: 7 more problems are not shown\nf: out of memory, there may be more problems\n");
}
END_TEST

START_TEST(escapes_what_is_not_printable)
{
    config_report_add(&report, "a\nb", "%s", "\x1b[31m\x7f\xc2\x9b\xff\xe2\x80\xae caf\xc3\xa9");
    ck_assert_str_eq(report.problems[0].path, "a\\x0ab");
    ck_assert_str_eq(report.problems[0].text, "\\x1b[31m\\x7f\\xc2\\x9b\\xff\\xe2\\x80\\xae caf\xc3\xa9");
    ck_assert_str_eq(printed("x\ry\xc3\xa4"),
                     "x\\x0dy\xc3\xa4: a\\x0ab: \\x1b[31m\\x7f\\xc2\\x9b\\xff\\xe2\\x80\\xae caf\xc3\xa9\n");
}
END_TEST

START_TEST(cuts_long_text_between_characters)
{
    char text[3001];

    for (size_t i = 0; i + 3 <= sizeof(text) - 1; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3);
    text[sizeof(text) - 1] = '\0';
    config_report_add(&report, text, "%s", text);
    /* 341 whole characters are 1023 of 1024 bytes */
    ck_assert_uint_eq(strlen(report.problems[0].text), 1023 + 3);
    ck_assert_str_eq(report.problems[0].text + 1020, "\xE2\x82\xAC\xE2\x80\xA6");
    ck_assert_str_eq(report.problems[0].path, report.problems[0].text);
}
END_TEST

START_TEST(text_of_just_the_bound_is_not_cut)
{
    char text[1026];

    memset(text, 'x', sizeof(text));
    text[1025] = '\0';
    config_report_add(&report, "", "%s", text + 1);
    config_report_add(&report, "", "%s", text);
    ck_assert_str_eq(report.problems[0].text, text + 1);
    ck_assert_uint_eq(strlen(report.problems[1].text), 1024 + 3);
}
END_TEST

START_TEST(keeps_the_first_problems_and_counts_the_others)
{
    for (unsigned i = 0; i < CONFIG_REPORT_PROBLEMS_MAX + 3; i++)
        config_report_add(&report, "p", "%u", i);
    ck_assert_uint_eq(report.len, CONFIG_REPORT_PROBLEMS_MAX);
    ck_assert_uint_eq(report.omitted, 3);
    ck_assert_str_eq(report.problems[CONFIG_REPORT_PROBLEMS_MAX - 1].text, "999");
    config_report_fini(&report);
    ck_assert(config_report_is_empty(&report));
}
END_TEST

START_TEST(prints_a_long_file_name_whole)
{
    char file[200];

    memset(file, 'f', sizeof(file));
    file[199] = '\0';
    config_report_add(&report, "", "x");
    ck_assert_uint_eq(strlen(printed(file)), 199 + strlen(": x\n"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("report");
    TCase *tc = tcase_create("report");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, is_empty_until_something_is_wrong);
    tcase_add_test(tc, prints_one_line_per_problem);
    tcase_add_test(tc, tells_what_is_not_shown);
    tcase_add_test(tc, escapes_what_is_not_printable);
    tcase_add_test(tc, cuts_long_text_between_characters);
    tcase_add_test(tc, text_of_just_the_bound_is_not_cut);
    tcase_add_test(tc, keeps_the_first_problems_and_counts_the_others);
    tcase_add_test(tc, prints_a_long_file_name_whole);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
