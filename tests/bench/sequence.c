/* The part of sequence_note() that a correct server never makes run. */
#include "tests/bench/sequence.h"

void sequence_note_out_of_order(struct sequence *s, uint32_t number)
{
    if (number >= s->next) {
        uint32_t skipped = number - s->next;
        s->missing += skipped;
        s->seen = skipped + 1u >= SEQUENCE_HISTORY ? 1u : s->seen << (skipped + 1u) | 1u;
        s->next = number + 1u;
        return;
    }
    uint32_t back = s->next - 1u - number;
    if (back >= SEQUENCE_HISTORY || (s->seen >> back & 1u) != 0) {
        s->duplicates++;
        return;
    }
    s->seen |= UINT64_C(1) << back;
    s->missing--;
    s->reordered++;
}

bool sequence_is_perfect(const struct sequence *s, uint32_t sent)
{
    return s->next == sent && s->missing == 0 && s->duplicates == 0 && s->reordered == 0;
}
