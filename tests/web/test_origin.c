/* Claims about names of hosts, origins of pages, and addresses that proxies vouch for. */
#include "web/origin.h"

#include <string.h>

#include "tests/check_main.h"

START_TEST(reads_hosts_with_and_without_port)
{
    static const struct {
        const char *text;
        const char *host;
        unsigned port;
        bool is_address;
    } cases[] = {
        {"localhost", "localhost", 0, false},
        {"LocalHost:8080", "localhost", 8080, false},
        {"a-b.c_d.example.", "a-b.c_d.example", 0, false},
        {"192.0.2.1:1", "192.0.2.1", 1, true},
        {"[::1]", "::1", 0, true},
        {"[2001:db8::1]:65535", "2001:db8::1", 65535, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct authority authority;
        ck_assert_msg(authority_parse(cases[i].text, &authority), "%s", cases[i].text);
        ck_assert_str_eq(authority.host, cases[i].host);
        ck_assert_uint_eq(authority.port, cases[i].port);
        ck_assert(authority.is_address == cases[i].is_address);
    }
}
END_TEST

START_TEST(refuses_what_is_no_host)
{
    static const char *const texts[] = {"",        ".",      ":80",   "a b",        "a/b",  "a:",       "a:0",
                                        "a:65536", "a:1x",   "a:-1",  "a@b",        "[::1", "[::1]x",   "[x]",
                                        "[]",      "::1",    "a,b",   "a\tb",       "a%2e", "\xC3\xA4", "a?b",
                                        "*",       "[::1]:", "a:1:2", "[127.0.0.1]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct authority authority;
        ck_assert_msg(!authority_parse(texts[i], &authority), "%s", texts[i]);
    }
    char text[400];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    struct authority authority;
    ck_assert(!authority_parse(text, &authority));
}
END_TEST

static bool is_allowed(const struct config_http *http, bool is_local, const char *text)
{
    struct authority authority;
    ck_assert(authority_parse(text, &authority));
    return host_is_allowed(http, (struct own_name){"box", "fritz.example"}, is_local, &authority);
}

START_TEST(knows_its_names_by_where_it_listens)
{
    struct config_http none = {0};
    static const char *const everywhere[] = {"localhost", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::ffff:127.0.0.1]"};
    static const char *const elsewhere[] = {"192.0.2.1",        "[2001:db8::1]",     "box",
                                            "BOX.local",        "box.fritz.example", "box.lan",
                                            "box.home.arpa:80", "box.internal",      "0.0.0.0"};
    static const char *const nowhere[] = {
        "evil.example",          "localhost.evil.example", "box2",           "mybox",
        "127.0.0.1.nip.example", "box.evil.example",       "box.example",    "box.local.evil.example",
        "box.x.fritz.example",   "box.fritz.example.evil", "box.lan.example"};
    for (size_t i = 0; i < sizeof everywhere / sizeof everywhere[0]; i++) {
        ck_assert_msg(is_allowed(&none, true, everywhere[i]) && is_allowed(&none, false, everywhere[i]), "%s",
                      everywhere[i]);
    }
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        ck_assert_msg(!is_allowed(&none, true, elsewhere[i]) && is_allowed(&none, false, elsewhere[i]), "%s",
                      elsewhere[i]);
    }
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        ck_assert_msg(!is_allowed(&none, true, nowhere[i]) && !is_allowed(&none, false, nowhere[i]), "%s", nowhere[i]);
    }
}
END_TEST

START_TEST(settings_add_names)
{
    char *names[] = {(char *)(uintptr_t) "gw.example"};
    char *any[] = {(char *)(uintptr_t) "*"};
    struct config_http named = {.hosts = names, .hosts_len = 1};
    struct config_http open = {.hosts = any, .hosts_len = 1};
    ck_assert(is_allowed(&named, true, "GW.example:8080"));
    ck_assert(!is_allowed(&named, true, "x.gw.example"));
    ck_assert(is_allowed(&open, true, "what.ever"));
}
END_TEST

START_TEST(machine_without_a_name_has_no_name)
{
    struct config_http none = {0};
    struct authority authority;
    ck_assert(authority_parse("evil.example", &authority));
    ck_assert(!host_is_allowed(&none, (struct own_name){"", "example"}, false, &authority));
}
END_TEST

START_TEST(judges_origins)
{
    char *origins[] = {(char *)(uintptr_t) "https://app.example", (char *)(uintptr_t) "http://app.example:8080"};
    struct config_http http = {.origins = origins, .origins_len = 2};
    static const struct {
        const char *host;
        const char *origin;
        enum origin verdict;
    } cases[] = {
        {"localhost", NULL, ORIGIN_NONE},
        {"localhost", "http://localhost", ORIGIN_SAME},
        {"localhost:80", "http://localhost", ORIGIN_SAME},
        {"gw.example", "https://gw.example", ORIGIN_SAME}, /* a proxy in front of us speaks TLS */
        {"localhost:8080", "http://LOCALHOST:8080", ORIGIN_SAME},
        {"[::1]:8080", "http://[::1]:8080", ORIGIN_SAME},
        {"localhost:8080", "http://localhost", ORIGIN_FOREIGN},
        {"localhost:8080", "http://localhost:8081", ORIGIN_FOREIGN},
        {"localhost", "ftp://localhost", ORIGIN_FOREIGN},
        {"localhost", "null", ORIGIN_FOREIGN},
        {"localhost", "", ORIGIN_FOREIGN},
        {"localhost", "http://localhost/", ORIGIN_FOREIGN},
        {"localhost", "http://evil.example, http://localhost", ORIGIN_FOREIGN},
        {"localhost", "https://app.example", ORIGIN_LISTED},
        {"localhost", "http://app.example:8080", ORIGIN_LISTED},
        {"localhost", "http://app.example", ORIGIN_FOREIGN},
        {"localhost", "https://app.example.evil", ORIGIN_FOREIGN},
        {"localhost", "https://xapp.example", ORIGIN_FOREIGN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct authority host;
        ck_assert(authority_parse(cases[i].host, &host));
        ck_assert_msg(origin_judge(&http, &host, cases[i].origin) == cases[i].verdict, "%s for %s",
                      cases[i].origin != NULL ? cases[i].origin : "none", cases[i].host);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("origin");
    TCase *hosts = tcase_create("hosts");
    TCase *origins = tcase_create("origins");
    tcase_add_test(hosts, reads_hosts_with_and_without_port);
    tcase_add_test(hosts, refuses_what_is_no_host);
    tcase_add_test(hosts, knows_its_names_by_where_it_listens);
    tcase_add_test(hosts, settings_add_names);
    tcase_add_test(hosts, machine_without_a_name_has_no_name);
    tcase_add_test(origins, judges_origins);
    suite_add_tcase(s, hosts);
    suite_add_tcase(s, origins);
    return s;
}

CHECK_MAIN(suite)
