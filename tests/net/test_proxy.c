#include "gateway/net/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "tests/check_main.h"

static ssize_t decode_text(const char *text, struct proxy_header *out)
{
    return proxy_header_decode((const uint8_t *)text, strlen(text), out);
}

static void check_source(const struct proxy_header *header, const char *address, unsigned port)
{
    uint8_t expected[16];
    ck_assert_int_eq(inet_pton(AF_INET6, address, expected), 1);
    ck_assert(header->has_source);
    ck_assert_mem_eq(header->source, expected, 16);
    ck_assert_uint_eq(header->source_port, port);
}

/* signature, VERSION_COMMAND, FAMILY, LENGTH of the body, then BODY_LEN bytes of zeros with an IPv4 or IPv6 source */
static size_t make_v2(uint8_t *buf, unsigned version_command, unsigned family, size_t length, size_t body_len)
{
    static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
    memcpy(buf, signature, 12);
    buf[12] = (uint8_t)version_command;
    buf[13] = (uint8_t)family;
    buf[14] = (uint8_t)(length >> 8);
    buf[15] = (uint8_t)length;
    memset(buf + 16, 0, body_len);
    return 16 + body_len;
}

START_TEST(reads_the_source_of_a_text_header_with_ipv4)
{
    struct proxy_header header;
    const char *text = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n\x10\x0c";
    ck_assert_int_eq(decode_text(text, &header), (int)strlen(text) - 2);
    check_source(&header, "::ffff:192.0.2.7", 56324);
}
END_TEST

START_TEST(reads_the_source_of_a_text_header_with_ipv6)
{
    struct proxy_header header;
    const char *text = "PROXY TCP6 2001:db8::7 ::1 1 65535\r\n";
    ck_assert_int_eq(decode_text(text, &header), (int)strlen(text));
    check_source(&header, "2001:db8::7", 1);
}
END_TEST

START_TEST(takes_the_longest_text_header_there_is)
{
    struct proxy_header header;
    const char *text =
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    ck_assert_int_eq(decode_text(text, &header), (int)strlen(text));
    ck_assert_int_eq(decode_text("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                                 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                                 &header),
                     107);
}
END_TEST

START_TEST(keeps_the_connections_own_address_when_the_source_is_unknown)
{
    struct proxy_header header;
    ck_assert_int_eq(decode_text("PROXY UNKNOWN\r\n", &header), 15);
    ck_assert(!header.has_source);
    ck_assert_int_eq(decode_text("PROXY UNKNOWN what ever\r\nx", &header), 25);
    ck_assert(!header.has_source);
}
END_TEST

START_TEST(wants_more_of_every_beginning)
{
    static const char text[] = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n";
    uint8_t binary[16 + 36];
    struct proxy_header header;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        ck_assert_int_eq(proxy_header_decode((const uint8_t *)text, len, &header), 0);
    }
    make_v2(binary, 0x21, 0x21, 36, 36);
    for (size_t len = 0; len < sizeof binary; len++) {
        ck_assert_int_eq(proxy_header_decode(binary, len, &header), 0);
    }
}
END_TEST

static const char *const bad_lines[] = {
    "GET / HTTP/1.1\r\n",
    "\x10\x0c",
    "PROXY\r\n",
    "PROXY \r\n",
    "PROXY \n",
    "PROXY\tTCP4 1.2.3.4 1.2.3.4 1 1\r\n",
    "PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
    "PROXY UNKNOWNS\r\n",
    "PROXY TCP4\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
    "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\r\n",
    "PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n",
    "PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.256 1 1\r\n",
    "PROXY TCP4 ::1 ::1 1 1\r\n",
    "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
    "PROXY TCP6 ::1%lo ::1 1 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 99999999999999999999 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 0x1\r\n",
};

START_TEST(refuses_what_is_no_text_header)
{
    struct proxy_header header;
    ck_assert_msg(decode_text(bad_lines[_i], &header) == -1, "accepted: %s", bad_lines[_i]);
}
END_TEST

START_TEST(refuses_a_text_header_with_a_nul_inside)
{
    static const char text[] = "PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n";
    struct proxy_header header;
    ck_assert_int_eq(proxy_header_decode((const uint8_t *)text, sizeof text - 1, &header), -1);
}
END_TEST

START_TEST(refuses_a_text_header_that_does_not_end_within_107_bytes)
{
    struct proxy_header header;
    uint8_t line[200];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    ck_assert_int_eq(proxy_header_decode(line, 106, &header), 0);
    ck_assert_int_eq(proxy_header_decode(line, 107, &header), -1);
    memcpy(line + 106, "\r\n", 2);
    ck_assert_int_eq(proxy_header_decode(line, 200, &header), -1);
}
END_TEST

START_TEST(reads_the_source_of_a_binary_header)
{
    struct proxy_header header;
    uint8_t buf[16 + 60];
    size_t len = make_v2(buf, 0x21, 0x11, 12, 60); /* more bytes follow: the client's */
    memcpy(buf + 16, (const uint8_t[]){192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x07, 0x5B}, 12);
    ck_assert_int_eq(proxy_header_decode(buf, len, &header), 28);
    check_source(&header, "::ffff:192.0.2.7", 0x1234);

    len = make_v2(buf, 0x21, 0x21, 44, 60); /* with 8 bytes of TLVs */
    buf[16] = 0x20;
    buf[31] = 0x09;
    buf[48] = 0xFF;
    ck_assert_int_eq(proxy_header_decode(buf, len, &header), 60);
    check_source(&header, "2000::9", 0xFF00);
}
END_TEST

START_TEST(keeps_the_connections_own_address_when_the_proxy_speaks_for_itself)
{
    struct proxy_header header;
    uint8_t buf[16 + 216];
    ck_assert_int_eq(proxy_header_decode(buf, make_v2(buf, 0x20, 0x00, 0, 0), &header), 16);
    ck_assert(!header.has_source);
    /* LOCAL with whatever as its family and addresses */
    ck_assert_int_eq(proxy_header_decode(buf, make_v2(buf, 0x20, 0xFF, 5, 5), &header), 21);
    ck_assert(!header.has_source);
    ck_assert_int_eq(proxy_header_decode(buf, make_v2(buf, 0x21, 0x00, 7, 7), &header), 23);
    ck_assert(!header.has_source);
    ck_assert_int_eq(proxy_header_decode(buf, make_v2(buf, 0x21, 0x31, 216, 216), &header), 232);
    ck_assert(!header.has_source);
}
END_TEST

static const struct {
    uint8_t version_command;
    uint8_t family;
    uint16_t length;
} bad_binaries[] = {
    {0x11, 0x11, 12}, /* version 1 */
    {0x22, 0x11, 12}, /* unknown command */
    {0x31, 0x11, 12}, /* version 3 */
    {0x21, 0x12, 12}, /* datagrams */
    {0x21, 0x22, 36},         {0x21, 0x32, 216},
    {0x21, 0x41, 36},         {0x21, 0x01, 36},
    {0x21, 0x11, 11}, /* addresses cut short */
    {0x21, 0x21, 35},         {0x21, 0x31, 215},
    {0x21, 0x11, 0},          {0x21, 0x11, PROXY_HEADER_BYTES_MAX - 15}, /* too long */
    {0x20, 0x00, UINT16_MAX},
};

START_TEST(refuses_a_bad_binary_header)
{
    struct proxy_header header;
    uint8_t buf[PROXY_HEADER_BYTES_MAX + 16];
    size_t length = bad_binaries[_i].length;
    size_t body_len = length < PROXY_HEADER_BYTES_MAX ? length : PROXY_HEADER_BYTES_MAX;
    size_t len = make_v2(buf, bad_binaries[_i].version_command, bad_binaries[_i].family, length, body_len);
    ck_assert_int_eq(proxy_header_decode(buf, len, &header), -1);
}
END_TEST

START_TEST(takes_the_longest_binary_header_it_allows)
{
    struct proxy_header header;
    uint8_t buf[PROXY_HEADER_BYTES_MAX];
    size_t length = PROXY_HEADER_BYTES_MAX - 16;
    size_t len = make_v2(buf, 0x21, 0x11, length, length);
    ck_assert_int_eq(proxy_header_decode(buf, len - 1, &header), 0);
    ck_assert_int_eq(proxy_header_decode(buf, len, &header), PROXY_HEADER_BYTES_MAX);
}
END_TEST

START_TEST(refuses_a_broken_signature_at_its_first_wrong_byte)
{
    struct proxy_header header;
    uint8_t buf[16];
    for (size_t at = 0; at < 12; at++) {
        make_v2(buf, 0x21, 0x11, 12, 0);
        buf[at] ^= 0x80;
        ck_assert_int_eq(proxy_header_decode(buf, at + 1, &header), -1);
    }
}
END_TEST

START_TEST(leaves_the_result_alone_when_there_is_none)
{
    struct proxy_header header = {.source_port = 4711};
    ck_assert_int_eq(decode_text("PROXY TCP4 1.2.3.4", &header), 0);
    ck_assert_int_eq(decode_text("PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n", &header), -1);
    ck_assert_uint_eq(header.source_port, 4711);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("proxy");
    TCase *text = tcase_create("text");
    tcase_add_test(text, reads_the_source_of_a_text_header_with_ipv4);
    tcase_add_test(text, reads_the_source_of_a_text_header_with_ipv6);
    tcase_add_test(text, takes_the_longest_text_header_there_is);
    tcase_add_test(text, keeps_the_connections_own_address_when_the_source_is_unknown);
    tcase_add_loop_test(text, refuses_what_is_no_text_header, 0, (int)(sizeof bad_lines / sizeof bad_lines[0]));
    tcase_add_test(text, refuses_a_text_header_with_a_nul_inside);
    tcase_add_test(text, refuses_a_text_header_that_does_not_end_within_107_bytes);
    suite_add_tcase(suite, text);
    TCase *binary = tcase_create("binary");
    tcase_add_test(binary, reads_the_source_of_a_binary_header);
    tcase_add_test(binary, keeps_the_connections_own_address_when_the_proxy_speaks_for_itself);
    tcase_add_loop_test(binary, refuses_a_bad_binary_header, 0, (int)(sizeof bad_binaries / sizeof bad_binaries[0]));
    tcase_add_test(binary, takes_the_longest_binary_header_it_allows);
    tcase_add_test(binary, refuses_a_broken_signature_at_its_first_wrong_byte);
    suite_add_tcase(suite, binary);
    TCase *both = tcase_create("both");
    tcase_add_test(both, wants_more_of_every_beginning);
    tcase_add_test(both, leaves_the_result_alone_when_there_is_none);
    suite_add_tcase(suite, both);
    return suite;
}

CHECK_MAIN(suite)
