/* Text that grows, and JSON strings in it. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/check_main.h"
#include "tests/malloc_fail.h"
#include "web/buffer.h"

static bool holds(const struct buffer *buffer, const char *text)
{
    return buffer->len == strlen(text) && memcmp(buffer->at, text, buffer->len) == 0;
}

START_TEST(grows_by_any_amount)
{
    struct buffer buffer = {0};
    static char block[5000];
    size_t len = 0;
    memset(block, 'x', sizeof block);
    for (size_t i = 0; i < sizeof block; i += 97) {
        buffer_add(&buffer, block, i);
        len += i;
    }
    ck_assert(!buffer.has_failed);
    ck_assert_uint_eq(buffer.len, len);
    for (size_t i = 0; i < len; i++) {
        ck_assert(buffer.at[i] == 'x');
    }
    buffer_fini(&buffer);
    ck_assert_ptr_null(buffer.at);
}
END_TEST

START_TEST(adds_formatted_text)
{
    struct buffer buffer = {0};
    buffer_add_text(&buffer, "a=");
    buffer_add_f(&buffer, "%d,%s", 17, "b");
    ck_assert(holds(&buffer, "a=17,b"));
    buffer_cut(&buffer, 2);
    buffer_add_text(&buffer, "");
    ck_assert(holds(&buffer, "a="));
    buffer_cut(&buffer, 99);
    ck_assert(holds(&buffer, "a="));
    buffer_fini(&buffer);
}
END_TEST

START_TEST(every_character_of_a_json_string_comes_back)
{
    for (unsigned c = 1; c < 0x250; c++) {
        char text[8];
        size_t len = 0;
        if (c < 0x80) {
            text[len++] = (char)c;
        } else {
            text[len++] = (char)(0xC0 | (c >> 6));
            text[len++] = (char)(0x80 | (c & 0x3F));
        }
        struct buffer buffer = {0};
        buffer_add_json(&buffer, (struct bytes){(const uint8_t *)text, len});
        json_t *value = json_loadb(buffer.at, buffer.len, JSON_DECODE_ANY, NULL);
        ck_assert_ptr_nonnull(value);
        ck_assert_uint_eq(json_string_length(value), len);
        ck_assert_int_eq(memcmp(json_string_value(value), text, len), 0);
        json_decref(value);
        buffer_fini(&buffer);
    }
}
END_TEST

START_TEST(an_empty_json_string_is_two_quotes)
{
    struct buffer buffer = {0};
    buffer_add_json(&buffer, (struct bytes){NULL, 0});
    ck_assert(holds(&buffer, "\"\""));
    buffer_fini(&buffer);
}
END_TEST

START_TEST(remembers_that_memory_ran_out)
{
    static const char long_text[2000] = "";
    struct buffer buffer = {0};
    buffer_add_text(&buffer, "kept");
    malloc_fail_at(1);
    buffer_add(&buffer, long_text, sizeof long_text);
    ck_assert(malloc_fail_end());
    ck_assert(buffer.has_failed);
    buffer_add_text(&buffer, "lost");
    buffer_add_json(&buffer, bytes_from_string("lost"));
    ck_assert(holds(&buffer, "kept"));
    buffer_cut(&buffer, 2);
    ck_assert(!buffer.has_failed);
    buffer_add_text(&buffer, "y");
    ck_assert(holds(&buffer, "key"));
    buffer_fini(&buffer);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("buffer");
    TCase *tc = tcase_create("buffer");
    tcase_add_test(tc, grows_by_any_amount);
    tcase_add_test(tc, adds_formatted_text);
    tcase_add_test(tc, every_character_of_a_json_string_comes_back);
    tcase_add_test(tc, an_empty_json_string_is_two_quotes);
    tcase_add_test(tc, remembers_that_memory_ran_out);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
