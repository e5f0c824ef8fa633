/* Claims about cutting JSON into items. */
#include "web/json_items.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check_main.h"

/* What TEXT is cut into, joined by '|', then how it ended: '.', '!' malformed or '#' too large. */
static const char *cut(const char *text, bool lines)
{
    static char out[512];
    struct json_items items;
    struct bytes item;
    enum json_items_found found;
    size_t len = strlen(text);
    char *at = malloc(len > 0 ? len : 1); /* so that a sanitizer sees a read behind its end */
    ck_assert_ptr_nonnull(at);
    memcpy(at, text, len);
    out[0] = '\0';
    json_items_init(&items, (struct bytes){(const uint8_t *)at, len}, lines);
    while ((found = json_items_next(&items, &item)) == JSON_ITEMS_ONE) {
        ck_assert_uint_gt(item.len, 0);
        strncat(out, (const char *)item.data, item.len);
        strcat(out, "|");
    }
    strcat(out, found == JSON_ITEMS_END ? "." : found == JSON_ITEMS_MALFORMED ? "!" : "#");
    free(at);
    return out;
}

START_TEST(cuts_an_array_into_its_items)
{
    ck_assert_str_eq(cut("[]", false), ".");
    ck_assert_str_eq(cut(" [ ] \r\n", false), ".");
    ck_assert_str_eq(cut("[1]", false), "1|.");
    ck_assert_str_eq(cut("[ {\"a\": [1, 2, {}]} , \"x\",null ]\n", false), "{\"a\": [1, 2, {}]}|\"x\"|null|.");
}
END_TEST

START_TEST(takes_brackets_and_commas_in_strings_for_text)
{
    ck_assert_str_eq(cut("[\"],[\",\"\\\"],\", \"\\\\\"]", false), "\"],[\"|\"\\\"],\"|\"\\\\\"|.");
}
END_TEST

START_TEST(says_what_is_no_array)
{
    static const char *const texts[] = {"",     " ",      "{}", "1",    "[",     "[,1]",
                                        "[1,]", "[1,,2]", "[1", "[1]]", "[1] 2", "[1}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *found = cut(texts[i], false);
        ck_assert_msg(found[strlen(found) - 1] == '!', "%s: %s", texts[i], found);
    }
}
END_TEST

START_TEST(an_open_string_or_bracket_ends_with_the_text)
{
    ck_assert_str_eq(cut("[\"a", false), "\"a|!");
    ck_assert_str_eq(cut("[\"a\\", false), "\"a\\|!");
    ck_assert_str_eq(cut("[[1,2", false), "[1,2|!");
}
END_TEST

START_TEST(cuts_lines_and_passes_over_blank_ones)
{
    ck_assert_str_eq(cut("", true), ".");
    ck_assert_str_eq(cut("\n \r\n", true), ".");
    ck_assert_str_eq(cut("{\"a\":1}\r\n\n {}\n[", true), "{\"a\":1}|{}|[|.");
}
END_TEST

/* How [ and then LEN times C, in quotes if QUOTED, and then ] ends. */
static enum json_items_found cut_long(char c, size_t len, bool quoted, bool lines)
{
    struct json_items items;
    struct bytes item;
    enum json_items_found found;
    char *text = malloc(len + 4);
    ck_assert_ptr_nonnull(text);
    size_t at = 0;
    if (!lines) {
        text[at++] = '[';
    }
    if (quoted) {
        text[at++] = '"';
    }
    memset(text + at, c, len);
    at += len;
    if (quoted) {
        text[at++] = '"';
    }
    if (!lines) {
        text[at++] = ']';
    }
    json_items_init(&items, (struct bytes){(const uint8_t *)text, at}, lines);
    found = json_items_next(&items, &item);
    free(text);
    return found;
}

START_TEST(an_item_has_bounds_of_bytes_and_values)
{
    for (int lines = 0; lines < 2; lines++) {
        ck_assert_int_eq(cut_long('x', JSON_ITEM_BYTES_MAX - 2, true, lines), JSON_ITEMS_ONE);
        ck_assert_int_eq(cut_long('x', JSON_ITEM_BYTES_MAX - 1, true, lines), JSON_ITEMS_TOO_LARGE);
        ck_assert_int_eq(cut_long('x', JSON_ITEM_BYTES_MAX * 3, true, lines), JSON_ITEMS_TOO_LARGE);
        ck_assert_int_eq(cut_long('x', JSON_ITEM_BYTES_MAX, false, lines), JSON_ITEMS_ONE);
        ck_assert_int_eq(cut_long('x', JSON_ITEM_BYTES_MAX + 1, false, lines), JSON_ITEMS_TOO_LARGE);
        ck_assert_int_eq(cut_long('[', JSON_ITEM_VALUES_MAX - 1, false, lines), JSON_ITEMS_ONE);
        ck_assert_int_eq(cut_long('[', JSON_ITEM_VALUES_MAX, false, lines), JSON_ITEMS_TOO_LARGE);
        ck_assert_int_eq(cut_long(',', JSON_ITEM_VALUES_MAX, true, lines), JSON_ITEMS_ONE);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json_items");
    TCase *tc = tcase_create("cut");
    tcase_add_test(tc, cuts_an_array_into_its_items);
    tcase_add_test(tc, takes_brackets_and_commas_in_strings_for_text);
    tcase_add_test(tc, says_what_is_no_array);
    tcase_add_test(tc, an_open_string_or_bracket_ends_with_the_text);
    tcase_add_test(tc, cuts_lines_and_passes_over_blank_ones);
    tcase_add_test(tc, an_item_has_bounds_of_bytes_and_values);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
