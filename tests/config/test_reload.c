/* Claims about a reload: what applies when, what is told, and that no door opens by itself. */
#include "config/option.h"
#include "config/reload.h"

#include "tests/config/load.h"

#include <stdio.h>

static struct config *in_use, *next, *merged;
static struct config_changes changes;

static void reload(const char *from, const char *to)
{
    in_use = load_valid(from);
    next = load_valid(to);
    config_changes_init(&changes);
    merged = config_reload(in_use, next, &changes);
    ck_assert_ptr_nonnull(merged);
}

static void teardown(void)
{
    config_free(in_use);
    config_free(next);
    config_free(merged);
    config_changes_fini(&changes);
    in_use = next = merged = NULL;
}

static void expect(const struct config_report *report, size_t i, const char *path, const char *text)
{
    ck_assert_uint_lt(i, report->len);
    ck_assert_str_eq(report->problems[i].path, path);
    ck_assert_str_eq(report->problems[i].text, text);
}

START_TEST(same_text_changes_nothing)
{
    static const char text[] = "{\"listeners\": [{\"bind\": \"[::1]:5\", \"proxy_protocol\": true, "
                               "\"proxy_trusted\": [\"::1\"]}, {\"unix\": \"/tmp/x\"}], \"user\": \"root\"}";
    reload(text, text);
    ck_assert(config_report_is_empty(&changes.now));
    ck_assert(config_report_is_empty(&changes.connections));
    ck_assert(config_report_is_empty(&changes.restart));
    ck_assert_uint_eq(merged->listeners_len, 2);
    ck_assert_str_eq(merged->user, "root");
}
END_TEST

START_TEST(sorts_changes_by_how_they_take_effect)
{
    reload("{\"workers\": 1}",
           "{\"workers\": 2, \"user\": \"root\", \"limits\": {\"packet_bytes\": 1000, \"queued_messages\": 5,"
           " \"queue_full\": \"refuse\"}, \"log\": {\"level\": \"debug\"}, \"access\": {\"anonymous\": false},"
           " \"response_information\": \"x/\"}");
    ck_assert_uint_eq(changes.now.len, 3);
    expect(&changes.now, 0, "limits.queued_messages", "5, was 1000");
    expect(&changes.now, 1, "limits.queue_full", "\"refuse\", was \"drop_oldest\"");
    expect(&changes.now, 2, "log.level", "\"debug\", was \"info\"");
    ck_assert_uint_eq(changes.connections.len, 3);
    expect(&changes.connections, 0, "access.anonymous", "false, was true");
    expect(&changes.connections, 1, "limits.packet_bytes", "1000, was 2097152");
    expect(&changes.connections, 2, "response_information", "\"x/\", was \"responses/\"");
    ck_assert_uint_eq(changes.restart.len, 2);
    expect(&changes.restart, 0, "workers", "2, was 1");
    expect(&changes.restart, 1, "user", "\"root\", was null");
    ck_assert_uint_eq(merged->workers, 1);
    ck_assert_ptr_null(merged->user);
    ck_assert_uint_eq(merged->limits.packet_bytes, 1000);
    ck_assert_uint_eq(merged->limits.queued_messages, 5);
    ck_assert_int_eq(merged->limits.queue_full, QUEUE_REFUSE);
    ck_assert_int_eq(merged->log.level, LOG_LEVEL_DEBUG);
    ck_assert(!merged->access.anonymous);
    ck_assert(merged->access.anonymous_given);
    ck_assert_str_eq(merged->response_information, "x/");
}
END_TEST

START_TEST(listeners_wait_for_a_restart)
{
    reload("{\"listeners\": [{\"bind\": \"127.0.0.1:5\"}, {\"unix\": \"/tmp/x\", \"unix_mode\": \"0600\"}]}",
           "{\"listeners\": [{\"bind\": \"127.0.0.1:6\", \"proxy_protocol\": true, \"proxy_trusted\": [\"::1\"]},"
           " {\"unix\": \"/tmp/y\"}, {\"bind\": \"[::1]:7\"}]}");
    ck_assert_uint_eq(changes.restart.len, 6);
    expect(&changes.restart, 0, "listeners[0].bind", "\"127.0.0.1:6\", was \"127.0.0.1:5\"");
    expect(&changes.restart, 1, "listeners[0].proxy_protocol", "true, was false");
    expect(&changes.restart, 2, "listeners[0].proxy_trusted", "[\"::1/128\"], was []");
    expect(&changes.restart, 3, "listeners[1].unix", "\"/tmp/y\", was \"/tmp/x\"");
    expect(&changes.restart, 4, "listeners[1].unix_mode", "\"0660\", was \"0600\"");
    expect(&changes.restart, 5, "listeners[2]", "added: [::1]:7");
    ck_assert_uint_eq(merged->listeners_len, 2);
    ck_assert_str_eq(merged->listeners[0].name, "127.0.0.1:5");
    ck_assert(!merged->listeners[0].proxy_protocol);
    ck_assert_str_eq(merged->listeners[1].unix_path, "/tmp/x");
    ck_assert_uint_eq(merged->listeners[1].unix_mode, 0600);
}
END_TEST

START_TEST(store_waits_for_a_restart)
{
    reload("{\"store\": {\"path\": \"/x\"}}", "{\"store\": null}");
    ck_assert_uint_eq(changes.restart.len, 2);
    expect(&changes.restart, 0, "store.path", "null, was \"/x\"");
    expect(&changes.restart, 1, "store", "null, was an object");
    ck_assert(!merged->store.memory);
    ck_assert_str_eq(merged->store.path, "/x");
    teardown();
    reload("{\"store\": null}", "{\"store\": {\"sync\": \"interval\"}}");
    ck_assert_uint_eq(changes.restart.len, 2);
    expect(&changes.restart, 0, "store.sync", "\"interval\", was \"always\"");
    expect(&changes.restart, 1, "store", "an object, was null");
    ck_assert(merged->store.memory);
}
END_TEST

START_TEST(tells_of_listeners_that_go_and_that_change_their_kind)
{
    reload("{\"listeners\": [{\"bind\": \"127.0.0.1:5\"}, {\"bind\": \"[::1]:5\"}]}",
           "{\"listeners\": [{\"unix\": \"/tmp/x\"}]}");
    ck_assert_uint_eq(changes.restart.len, 3);
    expect(&changes.restart, 0, "listeners[0].bind", "null, was \"127.0.0.1:5\"");
    expect(&changes.restart, 1, "listeners[0].unix", "\"/tmp/x\", was null");
    expect(&changes.restart, 2, "listeners[1]", "removed: [::1]:5");
    ck_assert_uint_eq(merged->listeners_len, 2);
}
END_TEST

/* The listener that others can reach stays until the restart: a text that has only local ones must not open it. */
START_TEST(open_listener_that_stays_keeps_its_access)
{
    reload("{\"listeners\": [{\"bind\": \"0.0.0.0:5\"}], \"access\": {\"anonymous\": false}}", "{}");
    ck_assert(!merged->access.anonymous);
    ck_assert(merged->access.anonymous_given);
    ck_assert_uint_eq(changes.connections.len, 0);
    expect(&changes.restart, 0, "access.anonymous", "true, was false");
}
END_TEST

START_TEST(access_that_is_written_applies_to_listeners_that_stay)
{
    reload("{\"listeners\": [{\"bind\": \"0.0.0.0:5\"}], \"access\": {\"anonymous\": false}}",
           "{\"access\": {\"anonymous\": true}}");
    ck_assert(merged->access.anonymous);
    expect(&changes.connections, 0, "access.anonymous", "true, was false");
}
END_TEST

START_TEST(files_of_access_may_change_but_not_appear)
{
    reload("{\"access\": {\"acl_file\": \"a\"}}", "{\"access\": {\"acl_file\": \"b\", \"password_file\": \"p\"}}");
    ck_assert_str_eq(merged->access.acl_file, "b");
    ck_assert_str_eq(merged->access.password_file, "p");
    ck_assert(!merged->access.anonymous);
    ck_assert_uint_eq(changes.restart.len, 0);
    expect(&changes.now, 1, "access.acl_file", "\"b\", was \"a\"");
}
END_TEST

START_TEST(whether_there_are_files_of_access_stays_until_the_restart)
{
    reload("{\"access\": {\"password_file\": \"p\"}}", "{}");
    ck_assert_str_eq(merged->access.password_file, "p");
    ck_assert(!merged->access.anonymous);
    ck_assert_uint_eq(changes.now.len, 0);
    expect(&changes.restart, 0, "access.anonymous", "true, was false");
    expect(&changes.restart, 1, "access.password_file", "null, was \"p\"");
}
END_TEST

START_TEST(long_values_are_cut)
{
    static char text[6000];
    size_t len = (size_t)snprintf(text, sizeof(text),
                                  "{\"listeners\": [{\"bind\": \"[::1]:5\", \"proxy_protocol\": true, "
                                  "\"proxy_trusted\": [");
    for (unsigned i = 0; i < CONFIG_TRUSTED_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\"1111:2222:3333:4444:5555:6666:7777:%u\"",
                                i > 0 ? "," : "", 1000 + i);
    snprintf(text + len, sizeof(text) - len, "]}]}");
    reload("{\"listeners\": [{\"bind\": \"[::1]:5\"}]}", text);
    ck_assert_uint_eq(changes.restart.len, 2);
    ck_assert_ptr_nonnull(strstr(changes.restart.problems[1].text, ":1000/128\", "));
    ck_assert_ptr_nonnull(strstr(changes.restart.problems[1].text, ", ...], was []"));
}
END_TEST

/* merged is NEXT but for what waits for a restart, whatever keys the table has. */
START_TEST(every_key_goes_the_way_of_its_row)
{
    reload("{}", "{\"workers\": 7, \"drain_s\": 77, \"sys_interval_s\": 0, \"response_information\": \"\","
                 " \"user\": \"root\", \"log\": {\"format\": \"json\", \"lines_per_s\": 5}}");
    OPTION_FOREACH (row) {
        if (option_is_of_listener(row))
            continue;
        ck_assert_msg(option_equal(row, merged, row->reload == OPTION_RESTART ? in_use : next), "%s", row->path);
    }
}
END_TEST

START_TEST(copy_shares_nothing)
{
    reload("{}", "{\"listeners\": [{\"unix\": \"/tmp/x\", \"proxy_protocol\": true}, {\"bind\": \"[::1]:5\","
                 " \"proxy_protocol\": true, \"proxy_trusted\": [\"::1\"]}], \"user\": \"root\"}");
    struct config *copy = config_copy(next);
    ck_assert_ptr_nonnull(copy);
    config_free(next);
    next = NULL;
    ck_assert_str_eq(copy->listeners[0].unix_path, "/tmp/x");
    ck_assert_uint_eq(copy->listeners[1].proxy_trusted[0].prefix_bits, 128);
    ck_assert_str_eq(copy->user, "root");
    ck_assert_str_eq(copy->response_information, "responses/");
    config_free(copy);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("reload");
    TCase *tc = tcase_create("reload");

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, same_text_changes_nothing);
    tcase_add_test(tc, sorts_changes_by_how_they_take_effect);
    tcase_add_test(tc, listeners_wait_for_a_restart);
    tcase_add_test(tc, store_waits_for_a_restart);
    tcase_add_test(tc, tells_of_listeners_that_go_and_that_change_their_kind);
    tcase_add_test(tc, open_listener_that_stays_keeps_its_access);
    tcase_add_test(tc, files_of_access_may_change_but_not_appear);
    tcase_add_test(tc, whether_there_are_files_of_access_stays_until_the_restart);
    tcase_add_test(tc, access_that_is_written_applies_to_listeners_that_stay);
    tcase_add_test(tc, long_values_are_cut);
    tcase_add_test(tc, every_key_goes_the_way_of_its_row);
    tcase_add_test(tc, copy_shares_nothing);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
