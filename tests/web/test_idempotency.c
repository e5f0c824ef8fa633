/* Answers that come back from the store: what is remembered, what is to be deleted, and what makes no sense. */
#include "web/idempotency.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/base/hash.h"
#include "gateway/store/store.h"
#include "tests/check_main.h"

#define NOW_MS       5000000u
#define WALL_MS      1700000000000u
#define SEED         0x7469646567617465u /* of what is on disk: another one forgets all keys at an update */
#define HEAD         22u
#define FULL_KEY     "\x02/topics/a\0key-1"
#define FULL_KEY_LEN (sizeof(FULL_KEY) - 1)
#define BODY         "{\"id\":\"1\"}"

static uint8_t key[STORE_KEY_BYTES];
static uint8_t value[512];
static size_t value_len;

/* An entry for the full key TEXT, which expires at EXPIRES_MS. */
static void write_entry(const char *text, size_t len, uint64_t expires_ms)
{
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits_withSeed(text, len, SEED));
    memcpy(key, hash.digest, sizeof key);
    uint8_t *at = value;
    *at++ = 1;
    at = tg_put_be(at, expires_ms, 8);
    at = tg_put_be(at, 42, 8);
    at = tg_put_be(at, 200, 2);
    *at++ = 1;
    at = tg_put_be(at, len, 2);
    memcpy(at, text, len);
    memcpy(at + len, BODY, sizeof(BODY) - 1);
    value_len = HEAD + len + sizeof(BODY) - 1;
}

static void setup(void)
{
    write_entry(FULL_KEY, FULL_KEY_LEN, WALL_MS + 1000);
}

/* Of a copy of the right size, so that a sanitizer sees a step too far. */
static enum broker_answer restore_part(size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, value, len);
    enum broker_answer answer =
        idempotency_restore((struct bytes){key, sizeof key}, (struct bytes){copy, len}, NOW_MS, WALL_MS);
    free(copy);
    return answer;
}

static enum broker_answer restore(void)
{
    return restore_part(value_len);
}

START_TEST(keeps_an_answer_that_has_not_expired_once)
{
    ck_assert_int_eq(restore(), BROKER_ANSWER_KEPT);
    ck_assert_int_eq(restore(), BROKER_ANSWER_EXPIRED);
}
END_TEST

START_TEST(gives_back_what_has_expired)
{
    write_entry(FULL_KEY, FULL_KEY_LEN, WALL_MS);
    ck_assert_int_eq(restore(), BROKER_ANSWER_EXPIRED);
    write_entry(FULL_KEY, FULL_KEY_LEN, WALL_MS + 1);
    ck_assert_int_eq(restore(), BROKER_ANSWER_KEPT);
}
END_TEST

START_TEST(keeps_an_answer_whose_clock_was_ahead)
{
    write_entry(FULL_KEY, FULL_KEY_LEN, UINT64_MAX);
    ck_assert_int_eq(restore(), BROKER_ANSWER_KEPT);
}
END_TEST

START_TEST(calls_every_cut_of_the_head_and_key_damaged)
{
    for (size_t len = 0; len < HEAD + FULL_KEY_LEN; len++) {
        ck_assert_int_eq(restore_part(len), BROKER_ANSWER_DAMAGED);
    }
}
END_TEST

START_TEST(calls_another_version_type_or_key_damaged)
{
    value[0] = 2;
    ck_assert_int_eq(restore(), BROKER_ANSWER_DAMAGED);
    setup();
    value[19] = 2;
    ck_assert_int_eq(restore(), BROKER_ANSWER_DAMAGED);
    setup();
    value[HEAD + 1]++;
    ck_assert_int_eq(restore(), BROKER_ANSWER_DAMAGED);
    setup();
    ck_assert_int_eq(idempotency_restore((struct bytes){key, 8}, (struct bytes){value, value_len}, NOW_MS, WALL_MS),
                     BROKER_ANSWER_DAMAGED);
    ck_assert_int_eq(restore(), BROKER_ANSWER_KEPT);
}
END_TEST

START_TEST(remembers_no_more_than_it_may)
{
    char text[32] = "\x02/topics/a";
    for (unsigned i = 0; i <= IDEMPOTENCY_KEYS_MAX; i++) {
        tg_put_be((uint8_t *)text + 16, i, 4);
        write_entry(text, 20, WALL_MS + 1 + i);
        ck_assert_int_eq(restore(), i < IDEMPOTENCY_KEYS_MAX ? BROKER_ANSWER_KEPT : BROKER_ANSWER_EXPIRED);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("idempotency");
    TCase *tc = tcase_create("restore");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, keeps_an_answer_that_has_not_expired_once);
    tcase_add_test(tc, gives_back_what_has_expired);
    tcase_add_test(tc, keeps_an_answer_whose_clock_was_ahead);
    tcase_add_test(tc, calls_every_cut_of_the_head_and_key_damaged);
    tcase_add_test(tc, calls_another_version_type_or_key_damaged);
    tcase_add_test(tc, remembers_no_more_than_it_may);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
