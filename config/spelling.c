#include "config/spelling.h"

#include <string.h>

#define WORD_MAX 48u

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The table of distances between all beginnings of A and B; only the last three of its rows are kept. */
unsigned spelling_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *above2 = rows[0], *above = rows[1], *row = rows[2];
    size_t a_len = strnlen(a, WORD_MAX + 1);
    size_t b_len = strnlen(b, WORD_MAX + 1);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return SPELLING_FAR;
    for (unsigned j = 0; j <= b_len; j++)
        above[j] = above2[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);

            best = least(best, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = least(best, above2[j - 2] + 1);
            row[j] = best;
        }
        unsigned *free_row = above2;
        above2 = above;
        above = row;
        row = free_row;
    }
    return above[b_len];
}
