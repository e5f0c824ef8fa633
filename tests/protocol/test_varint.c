/**
 * protocol/varint.h: the borders of each length, and what is told at which byte.
 */
#include "protocol/varint.h"

#include "tests/protocol/expect.h"

static const struct {
    uint32_t value;
    const char *hex;
} borders[] = {
    {0, "00"},
    {1, "01"},
    {127, "7f"},
    {128, "80 01"},
    {16383, "ff 7f"},
    {16384, "80 80 01"},
    {2097151, "ff ff 7f"},
    {2097152, "80 80 80 01"},
    {321, "c1 02"},
    {VARINT_MAX, "ff ff ff 7f"},
};

#define BORDER_COUNT ((int)(sizeof borders / sizeof borders[0]))

START_TEST(decodes_the_borders_of_each_length)
{
    struct bytes in = guarded_hex(borders[_i].hex);
    uint32_t value = 0;
    ck_assert_int_eq(varint_decode(in.data, in.len, &value), (int)in.len);
    ck_assert_uint_eq(value, borders[_i].value);
}
END_TEST

START_TEST(encodes_in_the_shortest_form_mqtt_1_5_5_1)
{
    struct bytes expected = guarded_hex(borders[_i].hex);
    uint8_t *buf = guarded_alloc(expected.len);
    ck_assert_uint_eq(varint_len(borders[_i].value), expected.len);
    ck_assert_uint_eq(varint_encode(buf, borders[_i].value), expected.len);
    ck_assert_mem_eq(buf, expected.data, expected.len);
}
END_TEST

START_TEST(asks_for_more_at_every_cut)
{
    struct bytes in = guarded_hex(borders[_i].hex);
    for (size_t len = 0; len < in.len; len++) {
        struct bytes cut = guarded_copy((struct bytes){in.data, len});
        uint32_t value = 42;
        ck_assert_int_eq(varint_decode(cut.data, cut.len, &value), 0);
        ck_assert_uint_eq(value, 42);
        guarded_free(cut.data, cut.len);
    }
}
END_TEST

START_TEST(reads_nothing_behind_the_integer)
{
    static const uint8_t in[] = {0x80, 0x01, 0xFF, 0xFF, 0xFF, 0xFF};
    uint32_t value = 0;
    ck_assert_int_eq(varint_decode(in, sizeof in, &value), 2);
    ck_assert_uint_eq(value, 128);
}
END_TEST

START_TEST(rejects_overlong_form_mqtt_1_5_5_1)
{
    static const char *const forms[] = {"80 00", "ff 00", "80 80 00", "81 80 00", "80 80 80 00", "ff ff ff 00"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct bytes in = guarded_hex(forms[i]);
        uint32_t value = 42;
        ck_assert_int_eq(varint_decode(in.data, in.len, &value), -1);
        ck_assert_uint_eq(value, 42);
    }
}
END_TEST

START_TEST(rejects_a_fifth_byte_as_soon_as_it_is_announced)
{
    struct bytes in = guarded_hex("80 80 80 80");
    uint32_t value = 42;
    ck_assert_int_eq(varint_decode(in.data, in.len, &value), -1);
    in = guarded_hex("ff ff ff ff 01");
    ck_assert_int_eq(varint_decode(in.data, in.len, &value), -1);
    ck_assert_uint_eq(value, 42);
}
END_TEST

START_TEST(decodes_what_it_encodes)
{
    uint8_t buf[4];
    for (uint32_t value = 0; value <= VARINT_MAX; value += 1 + value / 1000) {
        uint32_t again = 0;
        size_t len = varint_encode(buf, value);
        ck_assert_int_eq(varint_decode(buf, len, &again), (int)len);
        ck_assert_uint_eq(again, value);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("varint");
    TCase *decode = tcase_create("decode");
    TCase *encode = tcase_create("encode");

    tcase_add_loop_test(decode, decodes_the_borders_of_each_length, 0, BORDER_COUNT);
    tcase_add_loop_test(decode, asks_for_more_at_every_cut, 0, BORDER_COUNT);
    tcase_add_test(decode, reads_nothing_behind_the_integer);
    tcase_add_test(decode, rejects_overlong_form_mqtt_1_5_5_1);
    tcase_add_test(decode, rejects_a_fifth_byte_as_soon_as_it_is_announced);
    suite_add_tcase(s, decode);
    tcase_add_loop_test(encode, encodes_in_the_shortest_form_mqtt_1_5_5_1, 0, BORDER_COUNT);
    tcase_add_test(encode, decodes_what_it_encodes);
    suite_add_tcase(s, encode);
    return s;
}

CHECK_MAIN(suite)
