/* Claims about first bytes that are no MQTT. */
#include "protocol/greeting.h"

#include <string.h>

#include "tests/check_main.h"

static const char *recognize(const char *bytes, size_t len)
{
    return greeting_recognize((const uint8_t *)bytes, len);
}

START_TEST(recognizes_what_is_often_sent_to_the_port_of_mqtt)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *word;
    } cases[] = {
        {"\x16\x03\x01\x02\x00\x01", 6, "TLS"},    {"\x16\x03", 2, "TLS"},
        {"GET / HTTP/1.1\r\n", 16, "HTTP"},        {"POST ", 5, "HTTP"},
        {"PRI * HTTP/2.0\r\n", 16, "HTTP"},        {"PROXY TCP4 192.0.2.7", 20, "PROXY"},
        {"\r\n\r\n\0\r\nQUIT\n\x21", 13, "PROXY"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = recognize(cases[i].bytes, cases[i].len);
        ck_assert_ptr_nonnull(text);
        ck_assert_msg(strstr(text, cases[i].word) != NULL, "%zu: %s", i, text);
    }
}
END_TEST

START_TEST(says_nothing_of_mqtt_of_what_it_does_not_know_and_of_too_little)
{
    ck_assert_ptr_null(recognize("", 0));
    ck_assert_ptr_null(recognize("\x10\x0c\x00\x04MQTT", 8));
    ck_assert_ptr_null(recognize("\x16", 1));
    ck_assert_ptr_null(recognize("GET", 3));
    ck_assert_ptr_null(recognize("PROXY", 5));
    ck_assert_ptr_null(recognize("\r\n\r\n\0\r\nQUIT", 11));
    ck_assert_ptr_null(recognize("GETS ", 5));
    ck_assert_ptr_null(recognize("SSH-2.0-x", 9));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("greeting");
    TCase *tc = tcase_create("greeting");
    tcase_add_test(tc, recognizes_what_is_often_sent_to_the_port_of_mqtt);
    tcase_add_test(tc, says_nothing_of_mqtt_of_what_it_does_not_know_and_of_too_little);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
