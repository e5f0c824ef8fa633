/* Claims about the reading of a configuration: what is accepted, what it becomes, what is refused with which words. */
#include "tests/config/load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A configuration with every part that is planned; much of it is for later versions. */
static const char full_example[] =
    "{\"$schema\": \"tidegate.schema.json\", \"listeners\": [\n"
    " {\"protocol\": \"mqtt\",  \"bind\": \"127.0.0.1:1883\"},\n"
    " {\"protocol\": \"http\",  \"bind\": \"127.0.0.1:8080\"},\n"
    " {\"protocol\": \"mqtts\", \"bind\": \"0.0.0.0:8883\", \"tls\": {\"certificate\": \"server.pem\"}},\n"
    " {\"protocol\": \"https\", \"bind\": \"0.0.0.0:8443\", \"tls\": {\"certificate\": \"server.pem\"}},\n"
    " {\"protocol\": \"mqtt\",  \"unix\": \"/run/tidegate/mqtt.sock\"}],\n"
    " \"workers\": 0,\n"
    " \"access\": {\"anonymous\": false, \"password_file\": \"passwd\", \"acl_file\": \"acl\", \"jwt\": {}},\n"
    " \"limits\": {\"packet_bytes\": 2097152, \"connections\": 0, \"web_connections\": 5000},\n"
    " \"store\": {\"path\": \"/var/lib/tidegate\", \"size_limit_bytes\": 17179869184, "
    "\"sync\": \"always\"},\n"
    " \"http\": {\"hosts\": [\"*\"]}, \"events\": {}, \"webhooks\": [],\n"
    " \"sys_interval_s\": 10, \"log\": {\"level\": \"info\", \"format\": \"text\"}}";

START_TEST(defaults_are_for_this_machine_alone)
{
    struct config *c = config_default();
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    ck_assert_ptr_nonnull(c);
    ck_assert_uint_eq(c->listeners_len, 4);
    memcpy(&v4, &c->listeners[0].address, sizeof(v4));
    memcpy(&v6, &c->listeners[1].address, sizeof(v6));
    ck_assert_int_eq(v4.sin_family, AF_INET);
    ck_assert_uint_eq(ntohl(v4.sin_addr.s_addr), INADDR_LOOPBACK);
    ck_assert_uint_eq(ntohs(v4.sin_port), 1883);
    ck_assert_uint_eq(c->listeners[0].address_len, sizeof(v4));
    ck_assert(!c->listeners[0].optional);
    ck_assert_int_eq(v6.sin6_family, AF_INET6);
    ck_assert(IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
    ck_assert_uint_eq(ntohs(v6.sin6_port), 1883);
    ck_assert(c->listeners[1].ipv6_only);
    ck_assert(c->listeners[1].optional);
    ck_assert_uint_eq(c->listeners[1].backlog, 1024);
    for (size_t i = 0; i < c->listeners_len; i++)
        ck_assert_int_eq(c->listeners[i].protocol, i < 2 ? CONFIG_PROTOCOL_MQTT : CONFIG_PROTOCOL_HTTP);
    ck_assert(c->access.anonymous);
    ck_assert(!c->access.anonymous_given);
    ck_assert_int_eq(c->store.memory, sizeof(void *) < 8);
    ck_assert(!c->store.given);
    ck_assert_ptr_null(c->store.path);
    ck_assert_uint_eq(c->store.size_limit_bytes, 17179869184u);
    ck_assert_int_eq(c->store.sync, STORE_SYNC_ALWAYS);
    ck_assert_uint_eq(c->store.interval_ms, 1000);
    ck_assert_ptr_null(c->store.backup_path);
    ck_assert_uint_eq(c->limits.restart_will_grace_s, 60);
    ck_assert_uint_eq(c->workers, 0);
    ck_assert_uint_eq(c->sys_interval_s, 10);
    ck_assert_uint_eq(c->drain_s, 10);
    ck_assert_ptr_null(c->user);
    ck_assert_str_eq(c->response_information, "responses/");
    config_free(c);
}
END_TEST

/* The numbers that config.h promises. */
START_TEST(default_limits_are_those_of_the_contract)
{
    struct config *c = config_default();

    ck_assert_ptr_nonnull(c);
    const struct config_limits *l = &c->limits;
    ck_assert_uint_eq(l->packet_bytes, 2097152);
    ck_assert_uint_eq(l->connect_bytes, 131072);
    ck_assert_uint_eq(l->inflight_messages, 100);
    ck_assert_uint_eq(l->topic_alias_max, 10);
    ck_assert_uint_eq(l->qos_max, 2);
    ck_assert(l->retain_available);
    ck_assert_uint_eq(l->keep_alive_s_max, 0);
    ck_assert_uint_eq(l->session_expiry_s_max, CONFIG_NO_SESSION_EXPIRY);
    ck_assert(!l->check_payload_format);
    ck_assert_uint_eq(l->user_properties_max, 256);
    ck_assert_uint_eq(l->filter_levels, 128);
    ck_assert_uint_eq(l->subscriptions_per_session, 10000);
    ck_assert_uint_eq(l->queued_messages, 1000);
    ck_assert_uint_eq(l->queued_bytes, 16777216);
    ck_assert_int_eq(l->queue_full, QUEUE_DROP_OLDEST);
    ck_assert(!l->queue_qos0);
    ck_assert_uint_eq(l->topic_alias_out_max, 16);
    ck_assert_uint_eq(l->retained_messages, 0);
    ck_assert_uint_eq(l->retained_bytes, 1073741824);
    ck_assert(!l->shared_redeliver_on_disconnect);
    ck_assert_uint_eq(l->connections, 0);
    ck_assert_uint_eq(l->memory_bytes, 0);
    ck_assert_uint_eq(l->output_bytes, 1048576);
    ck_assert_uint_eq(l->mailbox_bytes, 16777216);
    ck_assert_uint_eq(l->connect_timeout_ms, 10000);
    ck_assert_uint_eq(l->write_stall_timeout_ms, 30000);
    ck_assert_int_eq(c->log.level, LOG_LEVEL_INFO);
    ck_assert_int_eq(c->log.format, LOG_FORMAT_TEXT);
    ck_assert_uint_eq(c->log.lines_per_s, LOG_LINES_PER_S_DEFAULT);
    config_free(c);
}
END_TEST

START_TEST(empty_object_means_the_defaults)
{
    struct config *c = load_valid("{}");

    ck_assert_uint_eq(c->listeners_len, 4);
    ck_assert_str_eq(c->listeners[0].name, "127.0.0.1:1883");
    ck_assert_str_eq(c->listeners[1].name, "[::1]:1883");
    ck_assert_str_eq(c->listeners[2].name, "127.0.0.1:8080");
    ck_assert_str_eq(c->listeners[3].name, "[::1]:8080");
    config_free(c);
}
END_TEST

START_TEST(every_value_arrives_in_its_member)
{
    struct config *c =
        load_valid("{\"listeners\": [{\"protocol\": \"mqtt\", \"bind\": \"*:0\", \"connections\": 7, \"backlog\": 5,"
                   "  \"optional\": true, \"proxy_protocol\": true, \"proxy_trusted\": [\"10.0.0.0/8\", \"::1\"]},"
                   " {\"unix\": \"/tmp/x.sock\", \"unix_mode\": \"0600\"}],"
                   " \"access\": {\"anonymous\": false}, \"workers\": 3, \"user\": \"root\", \"drain_s\": 0,"
                   " \"sys_interval_s\": 0, \"response_information\": \"\", \"store\": null,"
                   " \"limits\": {\"queue_full\": \"refuse\", \"qos_max\": 1, \"retain_available\": false,"
                   "  \"topic_alias_max\": 65535, \"session_expiry_s_max\": 0, \"memory_bytes\": 1099511627776},"
                   " \"log\": {\"level\": \"debug\", \"format\": \"json\", \"lines_per_s\": 0}}");
    const struct config_listener *any = &c->listeners[0];

    ck_assert_uint_eq(c->listeners_len, 2);
    ck_assert_int_eq(any->address.ss_family, AF_INET6);
    ck_assert(!any->ipv6_only);
    ck_assert(any->optional);
    ck_assert(any->proxy_protocol);
    ck_assert_uint_eq(any->connections, 7);
    ck_assert_uint_eq(any->backlog, 5);
    ck_assert_uint_eq(any->proxy_trusted_len, 2);
    ck_assert_uint_eq(any->proxy_trusted[0].prefix_bits, 104);
    ck_assert_uint_eq(any->proxy_trusted[1].prefix_bits, 128);
    ck_assert_str_eq(c->listeners[1].unix_path, "/tmp/x.sock");
    ck_assert_str_eq(c->listeners[1].name, "/tmp/x.sock");
    ck_assert_uint_eq(c->listeners[1].unix_mode, 0600);
    ck_assert_uint_eq(c->listeners[1].address_len, 0);
    ck_assert(!c->access.anonymous);
    ck_assert(c->access.anonymous_given);
    ck_assert(c->store.memory);
    ck_assert(c->store.given);
    ck_assert_uint_eq(c->workers, 3);
    ck_assert_str_eq(c->user, "root");
    ck_assert_uint_eq(c->drain_s, 0);
    ck_assert_uint_eq(c->sys_interval_s, 0);
    ck_assert_str_eq(c->response_information, "");
    ck_assert_int_eq(c->limits.queue_full, QUEUE_REFUSE);
    ck_assert_uint_eq(c->limits.qos_max, 1);
    ck_assert(!c->limits.retain_available);
    ck_assert_uint_eq(c->limits.topic_alias_max, 65535);
    ck_assert_uint_eq(c->limits.session_expiry_s_max, 0);
    ck_assert_uint_eq(c->limits.memory_bytes, SIZE_MAX > UINT32_MAX ? 1099511627776u : SIZE_MAX);
    ck_assert_int_eq(c->log.level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(c->log.format, LOG_FORMAT_JSON);
    ck_assert_uint_eq(c->log.lines_per_s, 0);
    config_free(c);
}
END_TEST

START_TEST(store_is_durable_unless_it_is_null)
{
    struct config *c = load_valid("{}");
    ck_assert_int_eq(c->store.memory, !CONFIG_STORE_IS_POSSIBLE);
    ck_assert(!c->store.given);
    config_free(c);
    c = load_valid("{\"store\": null}");
    ck_assert(c->store.memory);
    ck_assert(c->store.given);
    config_free(c);
    if (!CONFIG_STORE_IS_POSSIBLE) {
        expect_problem("{\"store\": {}}", "store", "needs a 64-bit machine");
        return;
    }
    c = load_valid("{\"store\": {}}");
    ck_assert(!c->store.memory);
    ck_assert(c->store.given);
    config_free(c);
    c = load_valid("{\"store\": {\"path\": \"/srv/x\", \"size_limit_bytes\": 4194304, \"sync\": \"interval\","
                   " \"interval_ms\": 20, \"backup_path\": \"/srv/y/\"}, \"limits\": {\"restart_will_grace_s\": 0}}");
    ck_assert_str_eq(c->store.path, "/srv/x");
    ck_assert_uint_eq(c->store.size_limit_bytes, 4194304);
    ck_assert_int_eq(c->store.sync, STORE_SYNC_INTERVAL);
    ck_assert_uint_eq(c->store.interval_ms, 20);
    ck_assert_str_eq(c->store.backup_path, "/srv/y/");
    ck_assert_uint_eq(c->limits.restart_will_grace_s, 0);
    config_free(c);
}
END_TEST

START_TEST(refuses_store_values_that_make_no_sense)
{
    if (!CONFIG_STORE_IS_POSSIBLE)
        return;
    expect_problem("{\"store\": {\"path\": \"here\"}}", "store.path", "must be an absolute path");
    expect_problem("{\"store\": {\"backup_path\": \"here\"}}", "store.backup_path", "must be an absolute path");
    expect_problem("{\"store\": {\"size_limit_bytes\": 4194303}}", "store.size_limit_bytes",
                   "must be a number from 4194304");
    expect_problem("{\"store\": {\"sync\": \"never\"}}", "store.sync",
                   "must be \"always\" or \"interval\", not \"never\"");
    expect_problem("{\"store\": {\"interval_ms\": 100}}", "store.interval_ms", "without \"sync\": \"interval\"");
    expect_problem("{\"store\": {\"sync\": \"always\", \"interval_ms\": 100}}", "store.interval_ms", "has no effect");
    expect_problem("{\"store\": {\"sync\": \"interval\", \"interval_ms\": 9}}", "store.interval_ms",
                   "from 10 to 3600000");
    expect_problem("{\"store\": {\"pth\": \"/x\"}}", "store.pth", "did you mean \"path\"?");
}
END_TEST

START_TEST(byte_order_mark_is_passed_over)
{
    config_free(load_valid("\xEF\xBB\xBF{\"workers\": 1}"));
}
END_TEST

START_TEST(names_line_and_column_of_a_syntax_error)
{
    expect_problem("{\n  \"workers\": 1\n  \"user\": null\n}", "line 3, column 8", "'}' expected");
    expect_problem("", "line 1, column 0", "");
    expect_problem("{} {}", "line 1, column 4", "end of file");
    expect_problem("{\"workers\": 99999999999999999999999}", "line 1, column 35", "too big");
    expect_problem("{\"user\": \"\\u0000\"}", "line 1, column 17", "not allowed");
}
END_TEST

START_TEST(refuses_a_key_that_stands_twice)
{
    expect_problem("{\"workers\": 1,\n \"workers\": 2}", "line 2, column 10", "duplicate object key");
    expect_problem("{\"limits\": {\"qos_max\": 1, \"qos_max\": 1}}", "line 1, column 35", "duplicate object key");
}
END_TEST

START_TEST(refuses_what_is_no_object)
{
    expect_problem("[]", "", "must be an object, not a list");
    expect_problem("1", "", "must be an object, not a number");
    expect_problem("{\"limits\": []}", "limits", "must be an object, not a list");
    expect_problem("{\"access\": null}", "access", "must be an object, not null");
    expect_problem("{\"store\": true}", "store", "must be an object or null, not true");
    expect_problem("{\"listeners\": {}}", "listeners", "must be a list of listeners, not an object");
    expect_problem("{\"listeners\": [\"x\"]}", "listeners[0]", "must be an object, not a string");
    expect_problem("{\"$schema\": 1}", "$schema", "must be a string, not a number");
}
END_TEST

START_TEST(names_the_nearest_key)
{
    expect_problem("{\"worker\": 1}", "worker", "did you mean \"workers\"?");
    expect_problem("{\"listener\": []}", "listener", "did you mean \"listeners\"?");
    expect_problem("{\"limits\": {\"packet-bytes\": 1}}", "limits.packet-bytes", "did you mean \"packet_bytes\"?");
    expect_problem("{\"packet_bytes\": 1}", "packet_bytes", "did you mean `limits.packet_bytes`?");
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"protocl\": \"mqtt\"}]}", "listeners[0].protocl",
                   "did you mean \"protocol\"?");
    expect_problem("{\"log\": {\"leevl\": \"info\"}}", "log.leevl", "did you mean \"level\"?");
    expect_problem("{\"quite_something_else\": 1}", "quite_something_else", "unknown key");
    struct config_report report;
    load_refused("{\"quite_something_else\": 1}", &report);
    ck_assert_str_eq(report.problems[0].text, "unknown key");
    config_report_fini(&report);
}
END_TEST

START_TEST(odd_keys_are_shown_in_brackets_and_harmless)
{
    expect_problem("{\"a.b\": 1}", "[\"a.b\"]", "unknown key");
    expect_problem("{\"\": 1}", "[\"\"]", "unknown key");
    expect_problem("{\"log\": {\"\\u001b[2J\\u202e\": 1}}", "log[\"\\x1b[2J\\xe2\\x80\\xae\"]", "unknown key");
    expect_problem("{\"log\": {\"level\": \"\\n\\u0007\"}}", "log.level", "not \"\\x0a\\x07\"");
    static char text[2048], key[1025];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    snprintf(text, sizeof(text), "{\"%s\": 1}", key);
    struct config_report report;
    load_refused(text, &report);
    ck_assert_uint_lt(strlen(report.problems[0].path), 100);
    config_report_fini(&report);
}
END_TEST

START_TEST(tells_all_problems_in_one_go)
{
    static const char *const expected[] = {"workers", "listeners[0].bind", "listeners[1]", "limits.qos_max", "lgo"};
    struct config_report report;

    load_refused("{\"workers\": 65, \"listeners\": [{\"bind\": 5}, {}], \"limits\": {\"qos_max\": 3}, \"lgo\": {}}",
                 &report);
    ck_assert_uint_eq(report.len, 5);
    for (size_t i = 0; i < report.len; i++)
        ck_assert_str_eq(report.problems[i].path, expected[i]);
    config_report_fini(&report);
}
END_TEST

START_TEST(says_of_each_later_key_that_it_is_not_built)
{
    static const char *const expected[] = {
        "listeners[2].protocol", "listeners[2].tls", "listeners[3].protocol",
        "listeners[3].tls",      "access.jwt",       "webhooks",
    };
    struct config_report report;

    load_refused(full_example, &report);
    ck_assert_uint_eq(report.len, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < report.len; i++) {
        ck_assert_str_eq(report.problems[i].path, expected[i]);
        ck_assert_ptr_nonnull(strstr(report.problems[i].text, "not built in this version"));
    }
    config_report_fini(&report);
}
END_TEST

START_TEST(refuses_values_of_another_type)
{
    expect_problem("{\"workers\": \"4\"}", "workers", "must be a whole number, not a string");
    expect_problem("{\"workers\": 4.0}", "workers", "must be a whole number, not a number with a fraction");
    expect_problem("{\"workers\": null}", "workers", "must be a whole number, not null");
    expect_problem("{\"access\": {\"anonymous\": \"yes\"}}", "access.anonymous", "must be true or false, not a string");
    expect_problem("{\"access\": {\"anonymous\": 1}}", "access.anonymous", "must be true or false, not a number");
    expect_problem("{\"user\": 0}", "user", "must be a string or null, not a number");
    expect_problem("{\"response_information\": null}", "response_information", "must be a string, not null");
    expect_problem("{\"log\": {\"level\": 1}}", "log.level",
                   "must be \"error\" or \"warning\" or \"info\" or \"debug\"");
    expect_problem("{\"log\": {\"level\": \"warn\"}}", "log.level", "not \"warn\"");
}
END_TEST

START_TEST(refuses_an_account_that_does_not_exist)
{
    expect_problem("{\"user\": \"no such account\"}", "user", "must be an account of this machine");
    expect_problem("{\"user\": \"\"}", "user", "must have from 1 to 255 bytes, not 0");
    struct config *c = load_valid("{\"user\": null}");
    ck_assert_ptr_null(c->user);
    config_free(c);
}
END_TEST

START_TEST(response_information_begins_a_topic)
{
    char text[400], long_text[257];

    expect_problem("{\"response_information\": \"a/+/\"}", "response_information", "must not contain '+' or '#'");
    expect_problem("{\"response_information\": \"#\"}", "response_information", "must not contain '+' or '#'");
    expect_problem("{\"response_information\": \"$SYS/\"}", "response_information", "must not begin with '$'");
    memset(long_text, 'a', 256);
    long_text[256] = '\0';
    snprintf(text, sizeof(text), "{\"response_information\": \"%s\"}", long_text);
    expect_problem(text, "response_information", "must have from 0 to 255 bytes, not 256");
    snprintf(text, sizeof(text), "{\"response_information\": \"%s\"}", long_text + 1);
    config_free(load_valid(text));
}
END_TEST

START_TEST(address_for_others_needs_a_word_about_anonymous_clients)
{
    static const char *const open[] = {"0.0.0.0:1883", "*:1883", "[::]:1883", "192.0.2.1:0", "[2001:db8::1]:1883"};
    static const char *const local[] = {"127.0.0.1:1883", "127.8.9.10:0", "[::1]:1883"};
    char text[200];

    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        snprintf(text, sizeof(text), "{\"listeners\": [{\"unix\": \"/tmp/x\"}, {\"bind\": \"%s\"}]}", open[i]);
        expect_problem(text, "access.anonymous", open[i]);
        expect_problem(text, "access.anonymous", "\"access\": {\"anonymous\": true}");
        for (int value = 0; value < 2; value++) {
            snprintf(text, sizeof(text), "{\"access\": {\"anonymous\": %s}, \"listeners\": [{\"bind\": \"%s\"}]}",
                     value ? "true" : "false", open[i]);
            struct config *c = load_valid(text);
            ck_assert_int_eq(c->access.anonymous, value);
            config_free(c);
        }
    }
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        snprintf(text, sizeof(text), "{\"listeners\": [{\"unix\": \"/tmp/x\"}, {\"bind\": \"%s\"}]}", local[i]);
        struct config *c = load_valid(text);
        ck_assert(c->access.anonymous);
        config_free(c);
    }
}
END_TEST

START_TEST(password_file_is_a_word_about_anonymous_clients)
{
    struct config *c =
        load_valid("{\"listeners\": [{\"bind\": \"0.0.0.0:1\"}], \"access\": {\"password_file\": \"p\"}}");
    ck_assert(!c->access.anonymous);
    ck_assert_str_eq(c->access.password_file, "p");
    config_free(c);
    c = load_valid("{\"access\": {\"password_file\": \"p\", \"anonymous\": true}}");
    ck_assert(c->access.anonymous);
    config_free(c);
    c = load_valid("{\"access\": {\"acl_file\": \"/a\", \"password_file\": null}}");
    ck_assert(c->access.anonymous);
    ck_assert_str_eq(c->access.acl_file, "/a");
    ck_assert_ptr_null(c->access.password_file);
    config_free(c);
    expect_problem("{\"listeners\": [{\"bind\": \"0.0.0.0:1\"}], \"access\": {\"acl_file\": \"a\"}}",
                   "access.anonymous", "\"access\": {\"password_file\": \"FILE\"}");
    expect_problem("{\"access\": {\"acl_file\": \"a/\"}}", "access.acl_file", "must name a file, not a folder");
    expect_problem("{\"access\": {\"password_file\": \"\"}}", "access.password_file", "must have from 1 to 4095 bytes");
}
END_TEST

START_TEST(listener_has_exactly_one_place)
{
    expect_problem("{\"listeners\": [{}]}", "listeners[0]", "must have \"bind\"");
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"unix\": \"/tmp/x\"}]}", "listeners[0]", "has both");
    expect_problem("{\"listeners\": [{\"unix\": \"x.sock\"}]}", "listeners[0].unix", "must be an absolute path");
    expect_problem("{\"listeners\": [{\"unix\": \"/tmp/\"}]}", "listeners[0].unix", "must name a file");
    expect_problem("{\"listeners\": []}", "listeners", "must have from 1 to 64 listeners, not 0");
}
END_TEST

START_TEST(unix_path_fits_the_system)
{
    char text[300], path[120] = "/";

    memset(path + 1, 'p', sizeof(path) - 2);
    path[107] = '\0';
    snprintf(text, sizeof(text), "{\"listeners\": [{\"unix\": \"%s\"}]}", path);
    config_free(load_valid(text));
    path[107] = 'p';
    path[108] = '\0';
    snprintf(text, sizeof(text), "{\"listeners\": [{\"unix\": \"%s\"}]}", path);
    expect_problem(text, "listeners[0].unix", "must have from 2 to 107 bytes, not 108");
}
END_TEST

START_TEST(unix_mode_is_octal_text)
{
    static const char *const bad[] = {"660", "\"66\"", "\"0888\"", "\"1777\"", "\"06600\"", "\"rw-\"", "\"\"", "null"};
    char text[200];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "{\"listeners\": [{\"unix\": \"/tmp/x\", \"unix_mode\": %s}]}", bad[i]);
        expect_problem(text, "listeners[0].unix_mode", "must be octal permissions in a string");
    }
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"unix_mode\": \"0600\"}]}", "listeners[0].unix_mode",
                   "has no effect without \"unix\"");
    struct config *c =
        load_valid("{\"listeners\": [{\"unix\": \"/tmp/x\", \"unix_mode\": \"777\"}, {\"unix\": \"/tmp/y\"}]}");
    ck_assert_uint_eq(c->listeners[0].unix_mode, 0777);
    ck_assert_uint_eq(c->listeners[1].unix_mode, 0660);
    config_free(c);
}
END_TEST

START_TEST(two_listeners_differ)
{
    expect_problem(
        "{\"listeners\": [{\"bind\": \"127.0.0.1:5\"}, {\"bind\": \"127.0.0.1:6\"}, {\"bind\": \"127.0.0.1:5\"}]}",
        "listeners[2].bind", "is the same as that of listeners[0]");
    expect_problem("{\"listeners\": [{\"unix\": \"/tmp/x\"}, {\"unix\": \"/tmp/x\"}]}", "listeners[1].unix",
                   "is the same as that of listeners[0]");
    expect_problem("{\"access\": {\"anonymous\": true}, \"listeners\": [{\"bind\": \"[::]:5\"}, {\"bind\": \"*:5\"}]}",
                   "listeners[1].bind", "is the same as that of listeners[0]");
    config_free(load_valid("{\"listeners\": [{\"bind\": \"127.0.0.1:0\"}, {\"bind\": \"127.0.0.1:0\"}]}"));
    config_free(load_valid("{\"listeners\": [{\"bind\": \"127.0.0.1:5\"}, {\"bind\": \"127.0.0.2:5\"}, "
                           "{\"bind\": \"[::1]:5\"}]}"));
}
END_TEST

START_TEST(proxies_are_named_where_they_count)
{
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"proxy_protocol\": true}]}", "listeners[0].proxy_trusted",
                   "must be written with \"proxy_protocol\"");
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"proxy_trusted\": [\"::1\"]}]}",
                   "listeners[0].proxy_trusted", "has no effect without \"proxy_protocol\"");
    expect_problem("{\"listeners\": [{\"unix\": \"/tmp/x\", \"proxy_protocol\": true, \"proxy_trusted\": [\"::1\"]}]}",
                   "listeners[0].proxy_trusted", "has no effect on a unix socket");
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"proxy_protocol\": true, \"proxy_trusted\": []}]}",
                   "listeners[0].proxy_trusted", "must have from 1 to 64 networks, not 0");
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"proxy_protocol\": true, "
                   "\"proxy_trusted\": [\"::1\", \"proxy.example\"]}]}",
                   "listeners[0].proxy_trusted[1]", "must be a network");
    expect_problem("{\"listeners\": [{\"bind\": \"[::1]:1\", \"proxy_protocol\": true, \"proxy_trusted\": [1]}]}",
                   "listeners[0].proxy_trusted[0]", "must be a string, not a number");
    config_free(load_valid("{\"listeners\": [{\"unix\": \"/tmp/x\", \"proxy_protocol\": true}]}"));
    config_free(load_valid("{\"listeners\": [{\"bind\": \"[::1]:1\", \"proxy_protocol\": false, "
                           "\"proxy_trusted\": [\"::1\"]}]}"));
}
END_TEST

START_TEST(list_of_listeners_has_a_bound)
{
    static char text[8192];

    for (size_t count = CONFIG_LISTENERS_MAX; count <= CONFIG_LISTENERS_MAX + 1; count++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "{\"listeners\": [");
        for (size_t i = 0; i < count; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s{\"bind\": \"[::1]:0\"}", i > 0 ? "," : "");
        snprintf(text + len, sizeof(text) - len, "]}");
        if (count <= CONFIG_LISTENERS_MAX)
            config_free(load_valid(text));
        else
            expect_problem(text, "listeners", "not 65");
    }
}
END_TEST

START_TEST(problems_without_end_are_counted_not_kept)
{
    const size_t count = CONFIG_REPORT_PROBLEMS_MAX + 500;
    char *text = malloc(32 * count);
    struct config_report report;

    ck_assert_ptr_nonnull(text);
    size_t len = (size_t)sprintf(text, "{");
    for (size_t i = 0; i < count; i++)
        len += (size_t)sprintf(text + len, "%s\"zzzzz%zu\": 1", i > 0 ? "," : "", i);
    sprintf(text + len, "}");
    load_refused(text, &report);
    ck_assert_uint_eq(report.len, CONFIG_REPORT_PROBLEMS_MAX);
    ck_assert_uint_eq(report.omitted, 500);
    config_report_fini(&report);
    free(text);
}
END_TEST

START_TEST(refuses_too_large_a_text_unread)
{
    struct config_report report;
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);

    ck_assert_ptr_nonnull(text);
    memset(text, ' ', CONFIG_FILE_BYTES_MAX + 1);
    memcpy(text, "{}", 2);
    config_report_init(&report);
    struct config *c = config_load_text(text, CONFIG_FILE_BYTES_MAX, &report);
    ck_assert_ptr_nonnull(c);
    config_free(c);
    ck_assert_ptr_null(config_load_text(text, CONFIG_FILE_BYTES_MAX + 1, &report));
    ck_assert_uint_eq(report.len, 1);
    ck_assert_str_eq(report.problems[0].path, "");
    ck_assert_str_eq(report.problems[0].text, "is larger than 1048576 bytes");
    config_report_fini(&report);
    free(text);
}
END_TEST

/** A file with the content TEXT. @param path out: "/tmp/test_config_XXXXXX" */
static void write_file(char path[], const char *text, size_t len)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

START_TEST(reads_a_file)
{
    char path[] = "/tmp/test_config_XXXXXX";
    struct config_report report;

    write_file(path, "{\"workers\": 2}", 14);
    config_report_init(&report);
    struct config *c = config_load_file(path, &report);
    unlink(path);
    ck_assert(config_report_is_empty(&report));
    ck_assert_ptr_nonnull(c);
    ck_assert_uint_eq(c->workers, 2);
    config_free(c);
    config_report_fini(&report);
}
END_TEST

static void expect_unreadable(const char *path, const char *part)
{
    struct config_report report;

    config_report_init(&report);
    ck_assert_ptr_null(config_load_file(path, &report));
    ck_assert_uint_eq(report.len, 1);
    ck_assert_str_eq(report.problems[0].path, "");
    ck_assert_ptr_nonnull(strstr(report.problems[0].text, part));
    config_report_fini(&report);
}

START_TEST(says_why_a_file_is_not_read)
{
    expect_unreadable("/nonexistent/tidegate.json", "cannot be read: No such file or directory");
    expect_unreadable("/", "cannot be read: Is a directory");
    expect_unreadable("/dev/zero", "is larger than 1048576 bytes");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("config");
    TCase *values = tcase_create("values");
    TCase *refusals = tcase_create("refusals");
    TCase *rules = tcase_create("rules");
    TCase *files = tcase_create("files");

    tcase_add_test(values, defaults_are_for_this_machine_alone);
    tcase_add_test(values, default_limits_are_those_of_the_contract);
    tcase_add_test(values, empty_object_means_the_defaults);
    tcase_add_test(values, every_value_arrives_in_its_member);
    tcase_add_test(values, store_is_durable_unless_it_is_null);
    tcase_add_test(values, byte_order_mark_is_passed_over);
    suite_add_tcase(s, values);
    tcase_add_test(refusals, names_line_and_column_of_a_syntax_error);
    tcase_add_test(refusals, refuses_a_key_that_stands_twice);
    tcase_add_test(refusals, refuses_what_is_no_object);
    tcase_add_test(refusals, names_the_nearest_key);
    tcase_add_test(refusals, odd_keys_are_shown_in_brackets_and_harmless);
    tcase_add_test(refusals, tells_all_problems_in_one_go);
    tcase_add_test(refusals, says_of_each_later_key_that_it_is_not_built);
    tcase_add_test(refusals, refuses_values_of_another_type);
    tcase_add_test(refusals, problems_without_end_are_counted_not_kept);
    suite_add_tcase(s, refusals);
    tcase_add_test(rules, refuses_store_values_that_make_no_sense);
    tcase_add_test(rules, refuses_an_account_that_does_not_exist);
    tcase_add_test(rules, response_information_begins_a_topic);
    tcase_add_test(rules, password_file_is_a_word_about_anonymous_clients);
    tcase_add_test(rules, address_for_others_needs_a_word_about_anonymous_clients);
    tcase_add_test(rules, listener_has_exactly_one_place);
    tcase_add_test(rules, unix_path_fits_the_system);
    tcase_add_test(rules, unix_mode_is_octal_text);
    tcase_add_test(rules, two_listeners_differ);
    tcase_add_test(rules, proxies_are_named_where_they_count);
    tcase_add_test(rules, list_of_listeners_has_a_bound);
    suite_add_tcase(s, rules);
    tcase_add_test(files, refuses_too_large_a_text_unread);
    tcase_add_test(files, reads_a_file);
    tcase_add_test(files, says_why_a_file_is_not_read);
    suite_add_tcase(s, files);
    return s;
}

CHECK_MAIN(suite)
