/**
 * gateway/base/err.h: every error has a text of its own.
 */
#include "gateway/base/err.h"

#include "tests/check_main.h"

#include <string.h>

static const enum tg_err all[] = {
#define NAME(name, value, text) name,
    TG_ERR_TABLE(NAME)
#undef NAME
};

START_TEST(every_error_is_negative_and_unique)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        ck_assert_int_lt(all[i], 0);
        for (size_t j = 0; j < i; j++)
            ck_assert_int_ne(all[i], all[j]);
    }
}
END_TEST

START_TEST(every_error_has_its_own_text)
{
    ck_assert_str_eq(tg_strerror(TG_OK), "ok");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        ck_assert_str_ne(tg_strerror(all[i]), "unknown error");
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(tg_strerror(all[i]), tg_strerror(all[j]));
    }
}
END_TEST

START_TEST(unknown_number_has_a_text_too)
{
    ck_assert_str_eq(tg_strerror((enum tg_err)(-10000)), "unknown error");
    ck_assert_str_eq(tg_strerror((enum tg_err)1), "unknown error");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("err");
    TCase *texts = tcase_create("texts");

    tcase_add_test(texts, every_error_is_negative_and_unique);
    tcase_add_test(texts, every_error_has_its_own_text);
    tcase_add_test(texts, unknown_number_has_a_text_too);
    suite_add_tcase(s, texts);
    return s;
}

CHECK_MAIN(suite)
