/* Claims about the notation that other tests write packets in. */
#include "tests/broker/spec.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check_main.h"

static void expect(const char *text, const void *bytes, size_t len)
{
    struct spec_bytes encoded = spec_encode(text);
    ck_assert_msg(encoded.len == len && (len == 0 || memcmp(encoded.data, bytes, len) == 0), "%s",
                  text != NULL ? text : "nothing");
    free(encoded.data);
}

START_TEST(writes_hexadecimal_and_text)
{
    expect(NULL, "", 0);
    expect("", "", 0);
    expect("00 ff 0aB1", "\x00\xff\x0a\xb1", 4);
    expect("'ab' 00 'c'", "ab\0c", 4);
    expect("<ab><>", "\0\2ab\0\0", 6);
    expect("[ff <a>]", "\0\4\xff\0\1a", 6);
}
END_TEST

START_TEST(counts_what_is_in_braces)
{
    expect("10{<MQTT> 05 02 003c {} <id>}", "\x10\x0f\0\4MQTT\x05\x02\0\x3c\0\0\2id", 17);
    char text[512] = "30{'";
    memset(text + 4, 'x', 200);
    strcpy(text + 204, "'}");
    struct spec_bytes encoded = spec_encode(text);
    ck_assert_uint_eq(encoded.len, 203);
    ck_assert_mem_eq(encoded.data, "\x30\xc8\x01x", 4);
    free(encoded.data);
}
END_TEST

START_TEST(knows_properties_by_name)
{
    expect("session_expiry:60", "\x11\0\0\0\x3c", 5);
    expect("receive_max:258", "\x21\1\2", 3);
    expect("payload_format:1", "\1\1", 2);
    expect("subscription_id:200", "\x0b\xc8\1", 3);
    expect("user:<k><v> content_type:<t>", "\x26\0\1k\0\1v\3\0\1t", 11);
    expect("ad user:<k><v>", "\xad\x26\0\1k\0\1v", 8); /* two letters that are hexadecimal are no name */
}
END_TEST

static Suite *spec_suite(void)
{
    Suite *suite = suite_create("spec");
    TCase *notation = tcase_create("notation");
    tcase_add_test(notation, writes_hexadecimal_and_text);
    tcase_add_test(notation, counts_what_is_in_braces);
    tcase_add_test(notation, knows_properties_by_name);
    suite_add_tcase(suite, notation);
    return suite;
}

CHECK_MAIN(spec_suite)
