/* Bucket of a value with highest bit b >= 6: the bits behind the highest one, six of them, in the group b - 6 + 1:
 *
 *      value  1 xxxxxx yyy      group: number of y bits + 1, step: xxxxxx
 *
 * Group 0 holds the values below 64 themselves. */
#include "tests/bench/histogram.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < 1u << HISTOGRAM_STEP_BITS) {
        return (unsigned)value;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    unsigned step = (unsigned)(value >> shift) & ((1u << HISTOGRAM_STEP_BITS) - 1u);
    return ((shift + 1u) << HISTOGRAM_STEP_BITS) + step;
}

static uint64_t largest_in(unsigned bucket)
{
    unsigned group = bucket >> HISTOGRAM_STEP_BITS;
    uint64_t step = bucket & ((1u << HISTOGRAM_STEP_BITS) - 1u);
    if (group == 0) {
        return step;
    }
    uint64_t first = ((UINT64_C(1) << HISTOGRAM_STEP_BITS) + step) << (group - 1u);
    return first + (UINT64_C(1) << (group - 1u)) - 1u;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->buckets[bucket_of(value > HISTOGRAM_VALUE_MAX ? HISTOGRAM_VALUE_MAX : value)]++;
}

uint64_t histogram_percentile(const struct histogram *h, double quantile)
{
    double wanted = quantile * (double)h->count;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS && h->count > 0; bucket++) {
        seen += h->buckets[bucket];
        if (seen > 0 && (double)seen >= wanted) {
            return largest_in(bucket);
        }
    }
    return 0;
}
