/* Claims about untrusted text: what is a character, what must not be shown as it is, where text may be cut. */
#include "gateway/base/character.h"

#include "tests/check_main.h"

#include <string.h>

static size_t decode(const char *text, uint32_t *character)
{
    *character = 0xABCDEF;
    return character_decode((const uint8_t *)text, strlen(text), character);
}

START_TEST(decodes_the_ends_of_each_length)
{
    static const struct {
        const char *text;
        uint32_t character;
    } cases[] = {
        {"\x01", 1},
        {"\x7F", 0x7F},
        {"\xC2\x80", 0x80},
        {"\xDF\xBF", 0x7FF},
        {"\xE0\xA0\x80", 0x800},
        {"\xED\x9F\xBF", 0xD7FF},
        {"\xEE\x80\x80", 0xE000},
        {"\xEF\xBF\xBF", 0xFFFF},
        {"\xF0\x90\x80\x80", 0x10000},
        {"\xF4\x8F\xBF\xBF", 0x10FFFF},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t character;
        ck_assert_uint_eq(decode(cases[i].text, &character), strlen(cases[i].text));
        ck_assert_uint_eq(character, cases[i].character);
    }
}
END_TEST

START_TEST(refuses_overlong_surrogate_too_large_and_cut_forms)
{
    static const char *const cases[] = {
        "\x80",         "\xBF",
        "\xC0\x80",     "\xC1\xBF",
        "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xC3",         "\xE2\x82",
        "\xF0\x9F\x98", "\xF0\x8F\xBF\xBF",
        "\xFF",         "\xF4\x90\x80\x80",
        "\xC3(",        "\xF5\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t character;
        ck_assert_uint_eq(decode(cases[i], &character), 0);
        ck_assert_uint_eq(character, 0xABCDEF);
    }
}
END_TEST

START_TEST(knows_what_would_deceive_a_reader)
{
    static const uint32_t harmless[] = {' ', '~', 0xA0, 0xE4, 0x2027, 0x202F, 0x4E2D, 0x1F600};
    static const uint32_t deceptive[] = {0, 0x1B, 0x7F, 0x9B, 0xAD, 0x200B, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xE0041};
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        ck_assert(!character_is_deceptive(harmless[i]));
    for (size_t i = 0; i < sizeof(deceptive) / sizeof(deceptive[0]); i++)
        ck_assert(character_is_deceptive(deceptive[i]));
}
END_TEST

START_TEST(cuts_between_characters)
{
    const uint8_t *text = (const uint8_t *)"a\xE2\x82\xAC"
                                           "b"; /* a, a euro sign, b */
    static const size_t cut[] = {0, 1, 1, 1, 4, 5, 5};
    for (size_t limit = 0; limit < sizeof(cut) / sizeof(cut[0]); limit++)
        ck_assert_uint_eq(character_cut(text, 5, limit), cut[limit]);
    ck_assert_uint_eq(character_cut((const uint8_t *)"\x80\x80\x80\x80\x80\x80", 6, 5), 5);
    ck_assert_uint_eq(character_cut((const uint8_t *)"\x80\x80", 2, 1), 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("character");
    TCase *tc = tcase_create("character");

    tcase_add_test(tc, decodes_the_ends_of_each_length);
    tcase_add_test(tc, refuses_overlong_surrogate_too_large_and_cut_forms);
    tcase_add_test(tc, knows_what_would_deceive_a_reader);
    tcase_add_test(tc, cuts_between_characters);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
