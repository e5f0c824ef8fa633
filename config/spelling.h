/**
 * How far two words are apart, to find what somebody meant by a key that does not exist.
 */
#ifndef CONFIG_SPELLING_H
#define CONFIG_SPELLING_H

#include <limits.h>

#define SPELLING_FAR UINT_MAX

/**
 * The least number of characters to insert, remove, change or swap with their neighbour that turns A into B.
 * @return SPELLING_FAR if one of them is longer than any key of ours
 */
unsigned spelling_distance(const char *a, const char *b);

#endif
