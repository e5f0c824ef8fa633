/* Password hashes: every form that Mosquitto's tools write is accepted and checked, everything near them is refused. */
#include <string.h>

#include "gateway/access/password_hash.h"
#include "tests/access/hashes.h"
#include "tests/check_main.h"

static bool is_right(const char *text, struct bytes password)
{
    struct password_hash hash;
    const char *wrong = password_hash_parse(bytes_from_string(text), &hash);
    ck_assert_msg(wrong == NULL, "%s: %s", text, wrong);
    return password_hash_check(&hash, password);
}

static void expect_refusal(const char *text, const char *why)
{
    struct password_hash hash;
    const char *wrong = password_hash_parse(bytes_from_string(text), &hash);
    ck_assert_msg(wrong != NULL, "%s is accepted", text);
    ck_assert_msg(strstr(wrong, why) != NULL, "%s: %s", text, wrong);
}

START_TEST(checks_passwords_of_every_form)
{
    static const char *const forms[] = {HASH_S6_12, HASH_S6_64,  HASH_S7_12,        HASH_S7_64,
                                        HASH_S7_1,  HASH_ARGON2, HASH_MOSQUITTO_2_0};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        ck_assert_msg(is_right(forms[i], bytes_from_string("secret")), "%s", forms[i]);
        ck_assert(!is_right(forms[i], bytes_from_string("secre")));
        ck_assert(!is_right(forms[i], bytes_from_string("secret1")));
        ck_assert(!is_right(forms[i], bytes_from_string("Secret")));
        ck_assert(!is_right(forms[i], (struct bytes){NULL, 0}));
        /* HMAC fills short keys with zeros: to $7$ alone a byte 0 behind the password makes no difference. */
        ck_assert_int_eq(is_right(forms[i], (struct bytes){(const uint8_t *)"secret", 7}),
                         strncmp(forms[i], "$7$", 3) == 0);
    }
}
END_TEST

START_TEST(passwords_are_counted_bytes)
{
    ck_assert(is_right(HASH_S6_NUL, (struct bytes){(const uint8_t *)"se\0cret", 7}));
    ck_assert(!is_right(HASH_S6_NUL, bytes_from_string("se")));
    ck_assert(is_right(HASH_S6_EMPTY, (struct bytes){NULL, 0}));
    ck_assert(!is_right(HASH_S6_EMPTY, (struct bytes){(const uint8_t *)"\0", 1}));
}
END_TEST

START_TEST(refuses_what_is_near_a_hash)
{
    expect_refusal("", "no password hash");
    expect_refusal("secret", "not a password hash");
    expect_refusal("$5$x$y", "not known here");
    expect_refusal("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "not known here");
    expect_refusal(HASH_S6_11, "12 or 64 bytes");
    expect_refusal("$6$AAECAwQFBgcICQoL", "parts");
    expect_refusal("$6$AAECAwQFBgcICQoL$", "64 bytes");
    expect_refusal("$6$AAECAwQFBgcICQoL$AAECAwQFBgcICQoL", "64 bytes");
    expect_refusal(HASH_S6_12 "$", "parts");
    expect_refusal(HASH_S6_12 "AAAA", "64 bytes");
    expect_refusal("$6$AAECAwQFBgcI!QoL$AAECAwQFBgcICQoL", "salt");
    expect_refusal("$7$$AAECAwQFBgcICQoL$x", "iterations");
    expect_refusal("$7$0$AAECAwQFBgcICQoL$x", "iterations");
    expect_refusal("$7$-1$AAECAwQFBgcICQoL$x", "iterations");
    expect_refusal("$7$100000001$AAECAwQFBgcICQoL$x", "iterations");
    expect_refusal("$7$18446744073709551617$AAECAwQFBgcICQoL$x", "iterations");
    expect_refusal("$7$1e2$AAECAwQFBgcICQoL$x", "iterations");
    expect_refusal("$7$101", "parts");
    expect_refusal("$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "version");
    expect_refusal("$argon2id$m=64,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "parts");
    expect_refusal("$argon2id$v=19$m=64,p=1,t=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "parameters");
    expect_refusal("$argon2id$v=19$m=7,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "parameters");
    expect_refusal("$argon2id$v=19$m=1048577,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "too large");
    expect_refusal("$argon2id$v=19$m=64,t=1,p=1,x=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "parameters");
    expect_refusal("$argon2id$v=19$m=64,t=1,p=1$c29tZQ$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ", "salt or hash");
    expect_refusal("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMv", "salt or hash");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("password_hash");
    TCase *tc = tcase_create("hash");
    tcase_add_test(tc, checks_passwords_of_every_form);
    tcase_add_test(tc, passwords_are_counted_bytes);
    tcase_add_test(tc, refuses_what_is_near_a_hash);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
