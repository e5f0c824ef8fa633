/**
 * How often which time was seen, in a fixed table: values below 128 exactly, larger ones in 64 steps per power of two,
 * so that a percentile is at most 1.6 % too high. Adding costs one increment.
 */
#ifndef TESTS_BENCH_HISTOGRAM_H
#define TESTS_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6u
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 40) - 1) /* 18 minutes in ns; what is larger counts as this */
#define HISTOGRAM_BUCKETS   ((40u - HISTOGRAM_STEP_BITS + 1u) << HISTOGRAM_STEP_BITS)

/** Zeroed means empty. */
struct histogram {
    uint64_t count;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/** Note one VALUE. */
void histogram_add(struct histogram *h, uint64_t value);

/**
 * The smallest bound that at least QUANTILE (0..1) of the values do not exceed; 0 if there are none.
 * It is the largest value of its bucket: never below the true percentile.
 */
uint64_t histogram_percentile(const struct histogram *h, double quantile);

#endif
