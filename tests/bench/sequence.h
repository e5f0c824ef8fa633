/**
 * Whether numbered messages come as they were sent: each once, in order. One struct per stream, that is per publisher
 * and receiver; the numbers of a stream begin at 0.
 */
#ifndef TESTS_BENCH_SEQUENCE_H
#define TESTS_BENCH_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_HISTORY 64u /* a number further back than this counts as a duplicate: whether it came is forgotten */

/** Zeroed means nothing came yet. */
struct sequence {
    uint32_t next;       /* one above the largest number that came */
    uint32_t missing;    /* numbers below `next` that have not come */
    uint32_t duplicates; /* came again */
    uint32_t reordered;  /* came after a larger one */
    uint64_t seen;       /* bit k: next - 1 - k came */
};

void sequence_note_out_of_order(struct sequence *s, uint32_t number);

/** Note that NUMBER came. */
static inline void sequence_note(struct sequence *s, uint32_t number)
{
    if (__builtin_expect(number == s->next, 1)) {
        s->next++;
        s->seen = s->seen << 1 | 1u;
    } else {
        sequence_note_out_of_order(s, number);
    }
}

/** True if all of 0..SENT-1 came, once and in order, and nothing else. */
bool sequence_is_perfect(const struct sequence *s, uint32_t sent);

#endif
