/**
 * What the tests of config/ share: load a text and look at what was said about it.
 */
#ifndef TESTS_CONFIG_LOAD_H
#define TESTS_CONFIG_LOAD_H

#include "config/config.h"
#include "config/report.h"

#include "tests/check_main.h"

#include <string.h>

/** Load TEXT, which must be valid. @return owned */
static inline struct config *load_valid(const char *text)
{
    struct config_report report;

    config_report_init(&report);
    struct config *c = config_load_text(text, strlen(text), &report);
    if (!config_report_is_empty(&report))
        config_report_print(&report, stderr, text);
    ck_assert(config_report_is_empty(&report));
    ck_assert_ptr_nonnull(c);
    return c;
}

/** Load TEXT, which must be refused. @param report out: to be freed with config_report_fini() */
static inline void load_refused(const char *text, struct config_report *report)
{
    config_report_init(report);
    struct config *c = config_load_text(text, strlen(text), report);
    ck_assert_msg(c == NULL, "accepted: %s", text);
    ck_assert(!config_report_is_empty(report));
}

/** TEXT has exactly one problem: at PATH, with PART in its text. */
static inline void expect_problem(const char *text, const char *path, const char *part)
{
    struct config_report report;

    load_refused(text, &report);
    if (report.len != 1 || strcmp(report.problems[0].path, path) != 0 || !strstr(report.problems[0].text, part))
        config_report_print(&report, stderr, text);
    ck_assert_uint_eq(report.len, 1);
    ck_assert_str_eq(report.problems[0].path, path);
    ck_assert_ptr_nonnull(strstr(report.problems[0].text, part));
    config_report_fini(&report);
}

#endif
