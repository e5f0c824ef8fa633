/* Claims about the output queue: bytes come out as they went in, idle queues own nothing, blocks are shared and given back. */
#include "gateway/broker/outq.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check_main.h"

#define IOV_MAX_USED 64

static struct outq_pool *pool;

static void setup(void)
{
    pool = outq_pool_new();
    ck_assert_ptr_nonnull(pool);
}

static void teardown(void)
{
    outq_pool_free(pool);
}

static void append(struct outq *queue, const void *bytes, size_t len)
{
    uint8_t *room = outq_append(pool, queue, len);
    ck_assert_ptr_nonnull(room);
    memcpy(room, bytes, len);
}

/* Take up to MAX bytes from the front of QUEUE into OUT, as a socket would. */
static size_t drain(struct outq *queue, uint8_t *out, size_t max)
{
    struct iovec iov[IOV_MAX_USED];
    int count = outq_iov(queue, iov, IOV_MAX_USED);
    size_t taken = 0;
    for (int i = 0; i < count && taken < max; i++) {
        size_t part = iov[i].iov_len < max - taken ? iov[i].iov_len : max - taken;
        memcpy(out + taken, iov[i].iov_base, part);
        taken += part;
    }
    outq_consume(pool, queue, taken);
    return taken;
}

START_TEST(joins_bytes_appended_in_a_row_into_one_segment)
{
    struct outq queue = {0};
    struct iovec iov[2];
    append(&queue, "abc", 3);
    append(&queue, "defg", 4);
    ck_assert_uint_eq(queue.len, 7);
    ck_assert_int_eq(outq_iov(&queue, iov, 2), 1);
    ck_assert_uint_eq(iov[0].iov_len, 7);
    ck_assert_mem_eq(iov[0].iov_base, "abcdefg", 7);
    outq_clear(pool, &queue);
    ck_assert_ptr_null(queue.head);
}
END_TEST

START_TEST(keeps_interleaved_queues_apart)
{
    struct outq a = {0};
    struct outq b = {0};
    uint8_t out[8];
    append(&a, "1", 1);
    append(&b, "x", 1);
    append(&a, "2", 1);
    append(&b, "y", 1);
    ck_assert_uint_eq(drain(&a, out, sizeof(out)), 2);
    ck_assert_mem_eq(out, "12", 2);
    ck_assert_uint_eq(drain(&b, out, sizeof(out)), 2);
    ck_assert_mem_eq(out, "xy", 2);
}
END_TEST

START_TEST(lets_many_queues_share_one_run_of_bytes)
{
    struct outq queues[3] = {0};
    struct outq_shared shared;
    uint8_t *room;
    uint8_t out[8];
    ck_assert(outq_shared_new(pool, 5, &shared, &room));
    memcpy(room, "hello", 5);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(outq_append_shared(pool, &queues[i], &shared));
    }
    outq_shared_release(pool, &shared);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(drain(&queues[i], out, sizeof(out)), 5);
        ck_assert_mem_eq(out, "hello", 5);
    }
}
END_TEST

START_TEST(takes_back_what_was_appended_last)
{
    struct outq queue = {0};
    uint8_t out[4];
    append(&queue, "ab", 2);
    append(&queue, "cd", 2);
    outq_unappend(pool, &queue, 2);
    ck_assert_uint_eq(drain(&queue, out, sizeof(out)), 2);
    ck_assert_mem_eq(out, "ab", 2);
    append(&queue, "z", 1);
    outq_unappend(pool, &queue, 1);
    ck_assert_ptr_null(queue.head);
    ck_assert_uint_eq(queue.len, 0);
}
END_TEST

START_TEST(carries_a_packet_larger_than_a_block)
{
    struct outq queue = {0};
    size_t len = 200000;
    uint8_t *bytes = malloc(len);
    uint8_t *out = malloc(len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    append(&queue, bytes, len);
    ck_assert_uint_eq(drain(&queue, out, len), len);
    ck_assert_mem_eq(out, bytes, len);
    free(bytes);
    free(out);
}
END_TEST

START_TEST(settles_without_changing_the_bytes)
{
    struct outq slow = {0};
    struct outq other = {0};
    uint8_t expected[26 * 3];
    uint8_t out[sizeof(expected)];
    for (uint8_t i = 0; i < sizeof(expected); i++) {
        expected[i] = (uint8_t)('a' + i % 26);
        append(&slow, &expected[i], 1);
        append(&other, "-", 1); /* so that no two bytes of slow lie side by side */
        if (i % 5 == 0) {
            outq_settle(pool, &slow);
        }
    }
    outq_settle(pool, &slow);
    struct iovec iov[IOV_MAX_USED];
    ck_assert_int_lt(outq_iov(&slow, iov, IOV_MAX_USED), 5);
    outq_clear(pool, &other);
    ck_assert_uint_eq(drain(&slow, out, sizeof(out)), sizeof(expected));
    ck_assert_mem_eq(out, expected, sizeof(expected));
}
END_TEST

/* A queue against a flat copy of the same bytes, through every operation in random order. */
START_TEST(agrees_with_a_flat_buffer_under_random_operations)
{
    enum { QUEUES = 3, STEPS = 20000, MODEL_BYTES = 1 << 20 };
    struct outq queues[QUEUES] = {0};
    uint8_t *model[QUEUES];
    size_t start[QUEUES] = {0};
    size_t end[QUEUES] = {0};
    uint8_t *out = malloc(MODEL_BYTES);
    uint32_t random = 12345;
    for (size_t i = 0; i < QUEUES; i++) {
        model[i] = malloc(MODEL_BYTES);
    }
    for (size_t step = 0; step < STEPS; step++) {
        random = random * 1664525u + 1013904223u;
        size_t q = (random >> 8) % QUEUES;
        size_t len = 1 + (random >> 16) % 3000;
        if (end[q] + len > MODEL_BYTES) {
            size_t taken;
            while ((taken = drain(&queues[q], out, MODEL_BYTES)) > 0) {
                ck_assert_mem_eq(out, model[q] + start[q], taken);
                start[q] += taken;
            }
            ck_assert_uint_eq(start[q], end[q]);
            start[q] = end[q] = 0;
        }
        uint32_t action = (random >> 4) % 8;
        if (action < 4) {
            uint8_t *room = outq_append(pool, &queues[q], len);
            memset(room, (int)(step & 0xff), len);
            memset(model[q] + end[q], (int)(step & 0xff), len);
            end[q] += len;
        } else if (action < 7) {
            size_t taken = drain(&queues[q], out, len * 2);
            ck_assert_mem_eq(out, model[q] + start[q], taken);
            start[q] += taken;
        } else {
            outq_settle(pool, &queues[q]);
        }
        ck_assert_uint_eq(queues[q].len, end[q] - start[q]);
    }
    for (size_t i = 0; i < QUEUES; i++) {
        outq_clear(pool, &queues[i]);
        free(model[i]);
    }
    free(out);
}
END_TEST

static Suite *outq_suite(void)
{
    Suite *suite = suite_create("outq");
    TCase *tcase = tcase_create("queue");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, joins_bytes_appended_in_a_row_into_one_segment);
    tcase_add_test(tcase, keeps_interleaved_queues_apart);
    tcase_add_test(tcase, lets_many_queues_share_one_run_of_bytes);
    tcase_add_test(tcase, takes_back_what_was_appended_last);
    tcase_add_test(tcase, carries_a_packet_larger_than_a_block);
    tcase_add_test(tcase, settles_without_changing_the_bytes);
    tcase_add_test(tcase, agrees_with_a_flat_buffer_under_random_operations);
    suite_add_tcase(suite, tcase);
    return suite;
}

CHECK_MAIN(outq_suite)
