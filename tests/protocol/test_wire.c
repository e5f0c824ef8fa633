/**
 * protocol/wire.h: the cursor's fault is sticky, and a read that fails yields zero and moves nothing.
 */
#include "protocol/wire.h"

#include "tests/protocol/expect.h"

START_TEST(fields_are_read_in_order)
{
    struct wire w = wire_over(guarded_hex("01 0203 04050607 0002 'hi' 80 01 0001 'u' 'rest'"));
    ck_assert_uint_eq(wire_get_u8(&w), 1);
    ck_assert_uint_eq(wire_get_u16(&w), 0x0203);
    ck_assert_uint_eq(wire_get_u32(&w), 0x04050607);
    expect_bytes(wire_get_block(&w), "hi");
    ck_assert_uint_eq(wire_get_varint(&w), 128);
    expect_bytes(wire_get_string(&w, "never told"), "u");
    ck_assert_uint_eq(wire_left(&w), 4);
    expect_bytes(wire_get_rest(&w), "rest");
    struct fault fault;
    ck_assert(wire_finish_empty(&w, &fault));
}
END_TEST

START_TEST(failed_read_yields_zero)
{
    struct wire w = wire_over(guarded_hex("01"));
    ck_assert_uint_eq(wire_get_u16(&w), 0);
    w = wire_over(guarded_hex("010203"));
    ck_assert_uint_eq(wire_get_u32(&w), 0);
    w = wire_over(guarded_hex("0002 'h'"));
    ck_assert_uint_eq(wire_get_block(&w).len, 0);
    w = wire_over(guarded_hex("80"));
    ck_assert_uint_eq(wire_get_varint(&w), 0);
    w = wire_over(guarded_hex(""));
    ck_assert_uint_eq(wire_get_u8(&w), 0);
    w = wire_over(NO_BYTES);
    ck_assert_uint_eq(wire_get_u8(&w), 0);
    ck_assert_uint_ne(w.fault.reason_code, 0);
}
END_TEST

START_TEST(nothing_is_read_behind_a_fault)
{
    struct wire w = wire_over(guarded_hex("0002 c080 01 02"));
    wire_get_string(&w, "first fault");
    ck_assert_uint_eq(wire_get_u8(&w), 0);
    ck_assert_uint_eq(wire_get_rest(&w).len, 0);
    struct fault fault;
    ck_assert(!wire_finish_empty(&w, &fault));
    ck_assert_str_eq(fault.why, "first fault");
    expect_fault(fault, REASON_MALFORMED_PACKET);
}
END_TEST

START_TEST(first_fault_is_the_one_that_is_told)
{
    struct wire w = wire_over(guarded_hex("01"));
    wire_fail(&w, REASON_TOPIC_ALIAS_INVALID, "first");
    wire_fail(&w, REASON_PROTOCOL_ERROR, "second");
    struct fault fault;
    ck_assert(!wire_finish(&w, &fault));
    expect_fault(fault, REASON_TOPIC_ALIAS_INVALID);
    ck_assert_str_eq(fault.why, "first");
}
END_TEST

START_TEST(left_over_bytes_are_a_fault_where_none_may_be)
{
    struct wire w = wire_over(guarded_hex("01"));
    struct fault fault;
    ck_assert(wire_finish(&w, &fault));
    ck_assert(!wire_finish_empty(&w, &fault));
}
END_TEST

START_TEST(lengths_saturate)
{
    ck_assert_uint_eq(wire_add(1, 2), 3);
    ck_assert_uint_eq(wire_add(SIZE_MAX, 1), SIZE_MAX);
    ck_assert_uint_eq(wire_add(SIZE_MAX, SIZE_MAX), SIZE_MAX);
    ck_assert_uint_eq(wire_block_len((struct bytes){NULL, 65535}), 65537);
    ck_assert_uint_eq(wire_block_len((struct bytes){NULL, 65536}), SIZE_MAX);
    ck_assert(wire_fits(PACKET_BODY_MAX, SIZE_MAX));
    ck_assert(!wire_fits((size_t)PACKET_BODY_MAX + 1, SIZE_MAX));
    ck_assert(wire_fits(0, 2) && !wire_fits(0, 1));
    ck_assert(wire_fits(127, 129) && !wire_fits(128, 130) && wire_fits(128, 131));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("wire");
    TCase *read = tcase_create("read");
    TCase *length = tcase_create("length");

    tcase_add_test(read, fields_are_read_in_order);
    tcase_add_test(read, failed_read_yields_zero);
    tcase_add_test(read, nothing_is_read_behind_a_fault);
    tcase_add_test(read, first_fault_is_the_one_that_is_told);
    tcase_add_test(read, left_over_bytes_are_a_fault_where_none_may_be);
    suite_add_tcase(s, read);
    tcase_add_test(length, lengths_saturate);
    suite_add_tcase(s, length);
    return s;
}

CHECK_MAIN(suite)
