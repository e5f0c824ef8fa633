/**
 * gateway/base/hash.h: seeded, well mixed, and safe on empty input.
 */
#include "gateway/base/hash.h"

#include "tests/check_main.h"

#include <stdio.h>
#include <string.h>

START_TEST(equal_bytes_and_seed_give_equal_values)
{
    char topic[] = "home/kitchen/temperature";
    char copy[sizeof topic];

    memcpy(copy, topic, sizeof topic);
    ck_assert_uint_eq(tg_hash(topic, strlen(topic), 42), tg_hash(copy, strlen(copy), 42));
    ck_assert_uint_eq(tg_hash_u64(7, 42), tg_hash_u64(7, 42));
}
END_TEST

START_TEST(another_seed_gives_another_value)
{
    ck_assert_uint_ne(tg_hash("a", 1, 1), tg_hash("a", 1, 2));
    ck_assert_uint_ne(tg_hash_u64(7, 1), tg_hash_u64(7, 2));
}
END_TEST

START_TEST(fresh_seeds_differ)
{
    ck_assert_uint_ne(tg_hash_seed_new(), tg_hash_seed_new());
}
END_TEST

START_TEST(no_bytes_have_a_value_that_depends_on_the_seed)
{
    ck_assert_uint_eq(tg_hash(NULL, 0, 5), tg_hash("", 0, 5));
    ck_assert_uint_ne(tg_hash(NULL, 0, 5), tg_hash(NULL, 0, 6));
}
END_TEST

/* 4096 numbered keys into 256 chains by the low and by the high byte: 16 each if ideal; 48 is beyond any luck. */
START_TEST(numbered_keys_spread_over_low_and_high_bits)
{
    unsigned low[256] = {0};
    unsigned high[256] = {0};

    for (unsigned i = 0; i < 4096; i++) {
        char key[32];
        int len = snprintf(key, sizeof key, "device/%u", i);
        uint64_t value = tg_hash(key, (size_t)len, 99);
        low[value & 255]++;
        high[value >> 56]++;
    }
    for (unsigned i = 0; i < 256; i++) {
        ck_assert_uint_lt(low[i], 48);
        ck_assert_uint_lt(high[i], 48);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hash");
    TCase *values = tcase_create("values");

    tcase_add_test(values, equal_bytes_and_seed_give_equal_values);
    tcase_add_test(values, another_seed_gives_another_value);
    tcase_add_test(values, fresh_seeds_differ);
    tcase_add_test(values, no_bytes_have_a_value_that_depends_on_the_seed);
    tcase_add_test(values, numbered_keys_spread_over_low_and_high_bits);
    suite_add_tcase(s, values);
    return s;
}

CHECK_MAIN(suite)
