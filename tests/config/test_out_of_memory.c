/* Claims about the n-th allocation that fails, for every n: nothing leaks, and nothing half-made comes out. */
#include "config/option.h"
#include "config/reload.h"

#include "tests/config/load.h"
#include "tests/malloc_fail.h"

#include <stdio.h>

#define CALLS_MIN 5u /* fewer allocations than this, and the test tests nothing */

static const char valid_text[] =
    "{\"listeners\": [{\"bind\": \"127.0.0.1:0\", \"proxy_protocol\": true, \"proxy_trusted\": [\"10.0.0.0/8\", "
    "\"::1\"]},"
    " {\"unix\": \"/tmp/a-socket-with-a-name-longer-than-the-first-buffer-of-the-parser\"}], \"user\": \"root\","
    " \"limits\": {\"queued_bytes\": 1099511627776}, \"response_information\": \"a/\", \"log\": {\"level\": "
    "\"debug\"}}";
static const char refused_text[] = "{\"listeners\": [{\"bnd\": 1}, {\"bind\": \"*:1883\"}], \"limits\": {\"x\": 1}}";

static void expect_equal(const struct config *a, const struct config *b)
{
    ck_assert_uint_eq(a->listeners_len, b->listeners_len);
    OPTION_FOREACH (row) {
        if (!option_is_of_listener(row)) {
            ck_assert_msg(option_equal(row, a, b), "%s differs", row->path);
            continue;
        }
        for (size_t i = 0; i < a->listeners_len; i++)
            ck_assert_msg(option_equal(row, &a->listeners[i], &b->listeners[i]), "%s differs", row->path);
    }
}

START_TEST(load_gives_the_whole_configuration_or_a_problem)
{
    struct config *whole = load_valid(valid_text);
    struct config_report report;
    uint64_t refused = 0;

    for (uint64_t n = 1;; n++) {
        config_report_init(&report);
        malloc_fail_at(n);
        struct config *c = config_load_text(valid_text, strlen(valid_text), &report);
        bool failed = malloc_fail_end();
        if (c)
            expect_equal(c, whole);
        ck_assert_int_eq(c == NULL, !config_report_is_empty(&report));
        refused += c == NULL;
        config_free(c);
        config_report_fini(&report);
        if (!failed)
            break;
    }
    ck_assert_uint_ge(refused, CALLS_MIN);
    config_free(whole);
}
END_TEST

/** Load TEXT while COUNT allocations from the n-th on fail, for every n. */
static void refuse_without_memory(const char *text, uint64_t count)
{
    struct config_report report;
    bool failed = true;

    for (uint64_t n = 1; failed; n++) {
        config_report_init(&report);
        malloc_fail_run(n, count);
        struct config *c = config_load_text(text, strlen(text), &report);
        failed = malloc_fail_end();
        ck_assert_int_eq(c == NULL, failed);
        ck_assert_int_eq(report.out_of_memory, failed);
        config_free(c);
        config_report_fini(&report);
    }
}

/* Words of every length, so that the parser's buffer has to grow at each of their bytes, the closing quote included. */
START_TEST(load_is_refused_when_memory_is_gone_for_a_while)
{
    char text[200];

    for (int len = 1; len < 140; len++) {
        snprintf(text, sizeof(text), "{\"$schema\": \"%0*d\"}", len, 0);
        refuse_without_memory(text, 2);
        refuse_without_memory(text, 3);
    }
}
END_TEST

START_TEST(load_is_refused_when_memory_is_gone_for_good)
{
    refuse_without_memory("{\"$schema\": \"a-word-that-is-longer-than-the-first-buffer\", \"workers\": 1}", UINT64_MAX);
}
END_TEST

START_TEST(refused_text_stays_refused)
{
    struct config_report report;
    bool failed = true;
    uint64_t n = 1;

    for (; failed; n++) {
        config_report_init(&report);
        malloc_fail_at(n);
        struct config *c = config_load_text(refused_text, strlen(refused_text), &report);
        failed = malloc_fail_end();
        ck_assert_ptr_null(c);
        ck_assert(!config_report_is_empty(&report));
        config_report_fini(&report);
    }
    ck_assert_uint_ge(n, CALLS_MIN);
}
END_TEST

START_TEST(default_and_copy_are_whole_or_null)
{
    struct config *whole = load_valid(valid_text);
    struct config *defaults = load_valid("{}");
    uint64_t nulls = 0;
    bool failed = true;

    for (uint64_t n = 1; failed; n++) {
        malloc_fail_at(n);
        struct config *made = config_default();
        failed = malloc_fail_end();
        ck_assert_int_eq(made == NULL, failed);
        if (made)
            expect_equal(made, defaults);
        config_free(made);
    }
    failed = true;
    for (uint64_t n = 1; failed; n++) {
        malloc_fail_at(n);
        struct config *copy = config_copy(whole);
        failed = malloc_fail_end();
        ck_assert_int_eq(copy == NULL, failed);
        nulls += copy == NULL;
        if (copy)
            expect_equal(copy, whole);
        config_free(copy);
    }
    ck_assert_uint_ge(nulls, CALLS_MIN);
    config_free(whole);
    config_free(defaults);
}
END_TEST

START_TEST(reload_is_whole_or_null_and_says_when_changes_are_lost)
{
    struct config *in_use = load_valid("{\"response_information\": \"old/\"}");
    struct config *next = load_valid(valid_text);
    struct config_changes changes;
    bool failed = true;
    uint64_t n = 1;

    config_changes_init(&changes);
    config_free(config_reload(in_use, next, &changes));
    const size_t all = changes.now.len + changes.connections.len + changes.restart.len;
    ck_assert_uint_ge(all, CALLS_MIN);
    config_changes_fini(&changes);
    for (; failed; n++) {
        config_changes_init(&changes);
        malloc_fail_at(n);
        struct config *merged = config_reload(in_use, next, &changes);
        failed = malloc_fail_end();
        if (merged) {
            ck_assert_str_eq(merged->response_information, "a/");
            ck_assert_uint_eq(merged->listeners_len, 4);
        }
        bool said = changes.now.out_of_memory || changes.connections.out_of_memory || changes.restart.out_of_memory;
        size_t kept = changes.now.len + changes.connections.len + changes.restart.len;
        if (merged)
            ck_assert_int_eq(said, kept < all);
        config_free(merged);
        config_changes_fini(&changes);
    }
    ck_assert_uint_ge(n, CALLS_MIN);
    config_free(in_use);
    config_free(next);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("out of memory");
    TCase *tc = tcase_create("out of memory");

    tcase_add_test(tc, load_gives_the_whole_configuration_or_a_problem);
    tcase_add_test(tc, load_is_refused_when_memory_is_gone_for_a_while);
    tcase_add_test(tc, load_is_refused_when_memory_is_gone_for_good);
    tcase_add_test(tc, refused_text_stays_refused);
    tcase_add_test(tc, default_and_copy_are_whole_or_null);
    tcase_add_test(tc, reload_is_whole_or_null_and_says_when_changes_are_lost);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
