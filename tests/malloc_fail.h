/**
 * Make the n-th allocation fail, so that a test can go through every place where memory may run out.
 *
 *     for (uint64_t n = 1;; n++) {
 *         malloc_fail_at(n);
 *         ... what is tested ...
 *         if (!malloc_fail_end()) {
 *             break;               it ran to its end without meeting the failure
 *         }
 *     }
 *
 * A test that uses it lists $(malloc_fail_sources) among its sources and links with $(malloc_fail_ldflags). What our own
 * objects allocate is counted, in all threads; what shared libraries allocate within themselves is not. libcheck is no shared
 * library: between the two calls there must be no ck_assert.
 */
#ifndef TESTS_MALLOC_FAIL_H
#define TESTS_MALLOC_FAIL_H

#include <stdbool.h>
#include <stdint.h>

/** From now on count allocations; the N-th (from 1) fails, once. */
void malloc_fail_at(uint64_t n);

/** The same, but COUNT allocations from the N-th on fail; UINT64_MAX: all of them. */
void malloc_fail_run(uint64_t n, uint64_t count);

/** Stop counting. @return true if an allocation was made to fail since counting began */
bool malloc_fail_end(void);

#endif
