/* Claims about addresses and networks: what is read from which text, what is refused, who lies in a network. */
#include "config/address.h"

#include "tests/check_main.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

START_TEST(reads_ipv4_ipv6_and_any)
{
    struct config_listener l = {0};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    ck_assert_ptr_null(address_parse("192.0.2.7:65535", &l));
    memcpy(&v4, &l.address, sizeof(v4));
    ck_assert_int_eq(v4.sin_family, AF_INET);
    ck_assert_uint_eq(ntohl(v4.sin_addr.s_addr), 0xC0000207);
    ck_assert_uint_eq(ntohs(v4.sin_port), 65535);
    ck_assert_uint_eq(l.address_len, sizeof(v4));
    ck_assert_ptr_null(address_parse("[2001:db8::1]:0", &l));
    memcpy(&v6, &l.address, sizeof(v6));
    ck_assert_int_eq(v6.sin6_family, AF_INET6);
    ck_assert_uint_eq(v6.sin6_addr.s6_addr[0], 0x20);
    ck_assert_uint_eq(v6.sin6_addr.s6_addr[15], 1);
    ck_assert_uint_eq(v6.sin6_port, 0);
    ck_assert_uint_eq(l.address_len, sizeof(v6));
    ck_assert(l.ipv6_only);
    ck_assert_ptr_null(address_parse("*:1883", &l));
    memcpy(&v6, &l.address, sizeof(v6));
    ck_assert(IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr));
    ck_assert_uint_eq(ntohs(v6.sin6_port), 1883);
    ck_assert(!l.ipv6_only);
}
END_TEST

START_TEST(refuses_everything_else)
{
    static const char *const bad[] = {
        "",
        "1883",
        ":1883",
        "localhost:1883",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999",
        "127.0.0.1:01883",
        "127.0.0.1:+1",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        "127.0.0.1:1 ",
        " 127.0.0.1:1",
        "127.1:1",
        "0x7f.0.0.1:1",
        "127.0.0.01:1",
        "256.0.0.1:1",
        "::1:1883",
        "[::1]",
        "[::1]1883",
        "[::1",
        "[]:1",
        "[:1",
        "[127.0.0.1]:1",
        "[::ffff:127.0.0.1]:1",
        "[fe80::1]:1",
        "[::1%lo]:1",
        "[fe80::1%no-such-if]:1",
        "[fe80::1%]:1",
        "**:1",
        "*",
        "[aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa]:1",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct config_listener l = {.backlog = 5}, untouched = {.backlog = 5};
        ck_assert_msg(address_parse(bad[i], &l) != NULL, "accepted: %s", bad[i]);
        ck_assert_msg(memcmp(&l, &untouched, sizeof(l)) == 0, "touched by %s", bad[i]);
    }
}
END_TEST

START_TEST(reads_a_link_local_address_with_its_interface)
{
    struct config_listener l = {0};
    struct sockaddr_in6 v6;

    ck_assert_ptr_null(address_parse("[fe80::1%lo]:1883", &l));
    memcpy(&v6, &l.address, sizeof(v6));
    ck_assert_uint_ne(v6.sin6_scope_id, 0);
    ck_assert(!address_is_local(&l));
}
END_TEST

START_TEST(reads_networks)
{
    static const struct {
        const char *text;
        unsigned bits;
        const char *again;
    } cases[] = {
        {"10.0.0.0/8", 104, "10.0.0.0/8"},
        {"0.0.0.0/0", 96, "0.0.0.0/0"},
        {"192.0.2.1", 128, "192.0.2.1/32"},
        {"192.0.2.128/25", 121, "192.0.2.128/25"},
        {"::/0", 0, "::/0"},
        {"fd00::/8", 8, "fd00::/8"},
        {"::1", 128, "::1/128"},
        {"2001:db8:8000::/33", 33, "2001:db8:8000::/33"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_network network;
        char text[NETWORK_TEXT_BYTES];
        ck_assert_msg(network_parse(cases[i].text, &network) == NULL, "refused: %s", cases[i].text);
        ck_assert_uint_eq(network.prefix_bits, cases[i].bits);
        network_text(&network, text);
        ck_assert_str_eq(text, cases[i].again);
    }
}
END_TEST

START_TEST(refuses_what_is_no_network)
{
    static const char *const bad[] = {
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.1/8",
        "10.0/8",
        "fd00::/129",
        "fd00::1/8",
        "[::1]",
        "::ffff:10.0.0.0/104",
        "host",
        "10.0.0.0/8/8",
        "10.0.0.0 /8",
        "192.0.2.129/25",
        "::ffff:1.2.3.4",
        "fe80::1%lo",
        "aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa/8",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct config_network network = {.prefix_bits = 77};
        ck_assert_msg(network_parse(bad[i], &network) != NULL, "accepted: %s", bad[i]);
        ck_assert_uint_eq(network.prefix_bits, 77);
    }
}
END_TEST

/** True if HOST (IPv4 or IPv6) lies in the network TEXT. */
static bool contains(const char *text, const char *host)
{
    struct config_network network, single;

    ck_assert_ptr_null(network_parse(text, &network));
    ck_assert_ptr_null(network_parse(host, &single));
    return config_network_contains(&network, single.address);
}

START_TEST(network_contains_exactly_its_addresses)
{
    ck_assert(contains("10.0.0.0/8", "10.255.0.1"));
    ck_assert(!contains("10.0.0.0/8", "11.0.0.0"));
    ck_assert(contains("192.0.2.128/25", "192.0.2.255"));
    ck_assert(!contains("192.0.2.128/25", "192.0.2.127"));
    ck_assert(contains("192.0.2.4/31", "192.0.2.5"));
    ck_assert(!contains("192.0.2.4/31", "192.0.2.6"));
    ck_assert(contains("0.0.0.0/0", "255.255.255.255"));
    ck_assert(!contains("0.0.0.0/0", "2001:db8::1"));
    ck_assert(contains("::/0", "10.0.0.1"));
    ck_assert(contains("::/0", "2001:db8::1"));
    ck_assert(contains("::1", "::1"));
    ck_assert(!contains("::1", "::2"));
    ck_assert(contains("2001:db8:8000::/33", "2001:db8:ffff::1"));
    ck_assert(!contains("2001:db8:8000::/33", "2001:db8:7fff::1"));
}
END_TEST

START_TEST(local_is_loopback_and_unix)
{
    static const char *const local[] = {"127.0.0.1:1", "127.255.255.255:1", "[::1]:1"};
    static const char *const open[] = {"0.0.0.0:1", "128.0.0.1:1", "126.255.255.255:1", "[::]:1", "[::2]:1", "*:1"};
    struct config_listener l = {0};
    char path[] = "/tmp/x";

    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        ck_assert_ptr_null(address_parse(local[i], &l));
        ck_assert_msg(address_is_local(&l), "%s", local[i]);
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        ck_assert_ptr_null(address_parse(open[i], &l));
        ck_assert_msg(!address_is_local(&l), "%s", open[i]);
    }
    l = (struct config_listener){.unix_path = path};
    ck_assert(address_is_local(&l));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("address");
    TCase *tc = tcase_create("address");

    tcase_add_test(tc, reads_ipv4_ipv6_and_any);
    tcase_add_test(tc, refuses_everything_else);
    tcase_add_test(tc, reads_a_link_local_address_with_its_interface);
    tcase_add_test(tc, reads_networks);
    tcase_add_test(tc, refuses_what_is_no_network);
    tcase_add_test(tc, network_contains_exactly_its_addresses);
    tcase_add_test(tc, local_is_loopback_and_unix);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
