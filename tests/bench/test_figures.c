/* What the load generator counts with: a figure that is wrong here makes every row of the table worthless. */
#include "tests/bench/histogram.h"
#include "tests/bench/process.h"
#include "tests/bench/sequence.h"
#include "tests/check_main.h"

static struct histogram histogram;

static void clear(void)
{
    histogram = (struct histogram){0};
}

START_TEST(percentiles_of_small_values_are_exact)
{
    clear();
    for (uint64_t i = 1; i <= 100; i++) {
        histogram_add(&histogram, i);
    }
    ck_assert_uint_eq(histogram_percentile(&histogram, 0.5), 50);
    ck_assert_uint_eq(histogram_percentile(&histogram, 0.99), 99);
    ck_assert_uint_eq(histogram_percentile(&histogram, 1.0), 100);
}
END_TEST

START_TEST(percentiles_of_large_values_are_never_too_low_and_at_most_a_step_too_high)
{
    for (uint64_t value = 129; value < HISTOGRAM_VALUE_MAX / 3; value = value * 3 + 1) {
        clear();
        histogram_add(&histogram, value);
        uint64_t p = histogram_percentile(&histogram, 0.5);
        ck_assert_uint_ge(p, value);
        ck_assert_uint_le(p, value + value / 60);
    }
}
END_TEST

START_TEST(an_empty_histogram_has_percentile_zero)
{
    clear();
    ck_assert_uint_eq(histogram_percentile(&histogram, 0.99), 0);
}
END_TEST

START_TEST(values_beyond_the_table_count_as_its_largest)
{
    clear();
    histogram_add(&histogram, UINT64_MAX);
    ck_assert_uint_eq(histogram_percentile(&histogram, 0.5), HISTOGRAM_VALUE_MAX);
}
END_TEST

START_TEST(a_stream_without_fault_is_perfect)
{
    struct sequence s = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        sequence_note(&s, i);
    }
    ck_assert(sequence_is_perfect(&s, 1000));
    ck_assert(!sequence_is_perfect(&s, 1001));
}
END_TEST

START_TEST(a_lost_message_is_seen)
{
    struct sequence s = {0};
    sequence_note(&s, 0);
    sequence_note(&s, 2);
    ck_assert_uint_eq(s.missing, 1);
    ck_assert(!sequence_is_perfect(&s, 3));
}
END_TEST

START_TEST(a_doubled_message_is_seen)
{
    struct sequence s = {0};
    sequence_note(&s, 0);
    sequence_note(&s, 1);
    sequence_note(&s, 0);
    ck_assert_uint_eq(s.duplicates, 1);
    ck_assert(!sequence_is_perfect(&s, 2));
}
END_TEST

START_TEST(an_overtaken_message_is_seen_and_not_counted_as_lost)
{
    struct sequence s = {0};
    sequence_note(&s, 0);
    sequence_note(&s, 2);
    sequence_note(&s, 1);
    ck_assert_uint_eq(s.reordered, 1);
    ck_assert_uint_eq(s.missing, 0);
    ck_assert(!sequence_is_perfect(&s, 3));
}
END_TEST

START_TEST(memory_is_read_from_the_lines_that_hold_it)
{
    struct process_memory memory;
    ck_assert(process_memory_parse("Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t     56 kB\n", &memory));
    ck_assert_uint_eq(memory.rss_bytes, 1234u * 1024u);
    ck_assert_uint_eq(memory.anon_bytes, 56u * 1024u);
    ck_assert(!process_memory_parse("Name:\tx\nVmRSS:\t    1234 kB\n", &memory));
}
END_TEST

START_TEST(bytes_written_are_read_from_their_own_line)
{
    uint64_t bytes;
    ck_assert(process_written_parse("wchar: 7\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n", &bytes));
    ck_assert_uint_eq(bytes, 8192);
    ck_assert(!process_written_parse("wchar: 7\ncancelled_write_bytes: 4096\n", &bytes));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("figures");
    TCase *tc = tcase_create("histogram");
    tcase_add_test(tc, percentiles_of_small_values_are_exact);
    tcase_add_test(tc, percentiles_of_large_values_are_never_too_low_and_at_most_a_step_too_high);
    tcase_add_test(tc, an_empty_histogram_has_percentile_zero);
    tcase_add_test(tc, values_beyond_the_table_count_as_its_largest);
    suite_add_tcase(s, tc);
    tc = tcase_create("sequence");
    tcase_add_test(tc, a_stream_without_fault_is_perfect);
    tcase_add_test(tc, a_lost_message_is_seen);
    tcase_add_test(tc, a_doubled_message_is_seen);
    tcase_add_test(tc, an_overtaken_message_is_seen_and_not_counted_as_lost);
    suite_add_tcase(s, tc);
    tc = tcase_create("process");
    tcase_add_test(tc, memory_is_read_from_the_lines_that_hold_it);
    tcase_add_test(tc, bytes_written_are_read_from_their_own_line);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
