/**
 * What the fuzz targets share: a property that must hold, and memory of exactly the right size.
 *
 * A broken property prints what it was and aborts, which both libFuzzer and the replay report with the input.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "protocol/bytes.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** A block of LEN bytes, and not one more that could be read unnoticed. Returns owned. */
static inline uint8_t *exact_alloc(size_t len)
{
    uint8_t *copy = calloc(1, len);
    REQUIRE(copy != NULL || len == 0);
    return copy;
}

/** A copy of LEN bytes of DATA in such a block. Returns owned. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = exact_alloc(len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

#endif
