/**
 * protocol/utf8.h: every sequence that is and is not a character, at every place of an eight-byte block.
 */
#include "protocol/utf8.h"

#include "tests/protocol/expect.h"

static bool is_string(const char *hex)
{
    struct bytes s = guarded_hex(hex);
    bool valid = utf8_is_valid_string(s);
    guarded_free(s.data, s.len);
    return valid;
}

START_TEST(accepts_ascii_of_every_length)
{
    for (size_t len = 0; len < 40; len++) {
        uint8_t *data = guarded_alloc(len);
        memset(data, 'a', len);
        ck_assert(utf8_is_valid_string((struct bytes){data, len}));
        ck_assert(utf8_is_valid_text((struct bytes){data, len}));
        guarded_free(data, len);
    }
    ck_assert(utf8_is_valid_string(NO_BYTES));
    ck_assert(is_string("01 1f 7f"));
}
END_TEST

START_TEST(rejects_ill_formed_sequences_mqtt_1_5_4_1_mqtt311_1_5_3_1)
{
    static const char *const forms[] = {
        "80",          "bf",          "c3",          "c3 28",       "c0 80",       "c1 bf",          "e2 82",
        "e2 28 a1",    "e2 82 28",    "e0 80 80",    "e0 9f bf",    "f0 9f 98",    "f0 28 8c bc",    "f0 90 28 bc",
        "f0 90 8c 28", "f0 80 80 80", "f0 8f bf bf", "f4 90 80 80", "f5 80 80 80", "f8 88 80 80 80", "fe",
        "ff",          "c3 bc bc",    "e2 82 ac ac",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        ck_assert_msg(!is_string(forms[i]), "%s", forms[i]);
    }
}
END_TEST

START_TEST(rejects_surrogates_mqtt_1_5_4_1_mqtt311_1_5_3_1)
{
    for (unsigned second = 0xA0; second <= 0xBF; second++) {
        const uint8_t surrogate[] = {0xED, (uint8_t)second, 0x80};
        ck_assert(!utf8_is_valid_string((struct bytes){surrogate, sizeof surrogate}));
        ck_assert(!utf8_is_valid_text((struct bytes){surrogate, sizeof surrogate}));
    }
    ck_assert(is_string("ed 9f bf"));
    ck_assert(is_string("ee 80 80"));
}
END_TEST

START_TEST(rejects_nul_in_strings_but_not_in_text_mqtt_1_5_4_2_mqtt311_1_5_3_2)
{
    for (size_t len = 1; len < 30; len++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t data[30];
            memset(data, 'a', sizeof data);
            data[at] = 0;
            ck_assert(!utf8_is_valid_string((struct bytes){data, len}));
            ck_assert(utf8_is_valid_text((struct bytes){data, len}));
        }
    }
}
END_TEST

START_TEST(takes_a_byte_order_mark_for_a_character_mqtt_1_5_4_3_mqtt311_1_5_3_3)
{
    ck_assert(is_string("ef bb bf"));
    ck_assert(is_string("ef bb bf 'a'"));
    ck_assert(is_string("'a' ef bb bf ef bb bf"));
}
END_TEST

START_TEST(accepts_borders_and_noncharacters)
{
    static const char *const forms[] = {"c2 80",       "df bf",    "e0 a0 80", "ef bf bd",
                                        "ef bf bf",    "ef b7 90", "ee 80 80", "f0 90 80 80",
                                        "f4 8f bf bf", "c2 9f",    "7f",       "f0 9f 98 80 'abcdefgh' e2 82 ac"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        ck_assert_msg(is_string(forms[i]), "%s", forms[i]);
    }
}
END_TEST

START_TEST(finds_a_bad_byte_at_every_place)
{
    for (size_t len = 1; len < 30; len++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t *data = guarded_alloc(len);
            memset(data, 'a', len);
            data[at] = 0x80;
            ck_assert(!utf8_is_valid_text((struct bytes){data, len}));
            data[at] = 0xC3; /* a lead byte before ASCII, or before the end */
            ck_assert(!utf8_is_valid_text((struct bytes){data, len}));
            guarded_free(data, len);
        }
    }
}
END_TEST

START_TEST(finds_a_character_at_every_place)
{
    static const char *const characters[] = {"\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t i = 0; i < 3; i++) {
        size_t character_len = strlen(characters[i]);
        for (size_t len = character_len; len < 30; len++) {
            for (size_t at = 0; at + character_len <= len; at++) {
                uint8_t *data = guarded_alloc(len);
                memset(data, 'a', len);
                memcpy(data + at, characters[i], character_len);
                ck_assert(utf8_is_valid_string((struct bytes){data, len}));
                guarded_free(data, len);
            }
        }
    }
}
END_TEST

/* Of all sequences of two and three bytes exactly as many are valid as there are such characters. */
START_TEST(accepts_each_character_of_two_and_three_bytes_once)
{
    unsigned long two = 0;
    unsigned long three = 0;
    for (unsigned first = 0x80; first <= 0xFF; first++) {
        for (unsigned rest = 0; rest <= 0xFFFF; rest++) {
            const uint8_t data[] = {(uint8_t)first, (uint8_t)(rest >> 8), (uint8_t)rest};
            three += data[1] >= 0x80 && data[2] >= 0x80 && utf8_is_valid_text((struct bytes){data, 3});
            two += data[2] == 0 && utf8_is_valid_text((struct bytes){data, 2});
        }
    }
    ck_assert_uint_eq(two, 0x800 - 0x80);
    ck_assert_uint_eq(three, 0x10000 - 0x800 - 0x800);
}
END_TEST

START_TEST(accepts_each_character_of_four_bytes_once)
{
    unsigned long four = 0;
    for (unsigned first = 0xF0; first <= 0xFF; first++) {
        for (unsigned rest = 0; rest < 64 * 64 * 64; rest++) {
            const uint8_t data[] = {(uint8_t)first, (uint8_t)(0x80 | rest >> 12), (uint8_t)(0x80 | (rest >> 6 & 63)),
                                    (uint8_t)(0x80 | (rest & 63))};
            four += utf8_is_valid_text((struct bytes){data, 4});
        }
    }
    ck_assert_uint_eq(four, 0x100000);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("utf8");
    TCase *forms = tcase_create("forms");
    TCase *places = tcase_create("places");
    TCase *all = tcase_create("all");

    tcase_add_test(forms, rejects_ill_formed_sequences_mqtt_1_5_4_1_mqtt311_1_5_3_1);
    tcase_add_test(forms, rejects_surrogates_mqtt_1_5_4_1_mqtt311_1_5_3_1);
    tcase_add_test(forms, takes_a_byte_order_mark_for_a_character_mqtt_1_5_4_3_mqtt311_1_5_3_3);
    tcase_add_test(forms, accepts_borders_and_noncharacters);
    suite_add_tcase(s, forms);
    tcase_add_test(places, accepts_ascii_of_every_length);
    tcase_add_test(places, rejects_nul_in_strings_but_not_in_text_mqtt_1_5_4_2_mqtt311_1_5_3_2);
    tcase_add_test(places, finds_a_bad_byte_at_every_place);
    tcase_add_test(places, finds_a_character_at_every_place);
    suite_add_tcase(s, places);
    tcase_add_test(all, accepts_each_character_of_two_and_three_bytes_once);
    tcase_add_test(all, accepts_each_character_of_four_bytes_once);
    suite_add_tcase(s, all);
    return s;
}

CHECK_MAIN(suite)
