/**
 * Unsigned integers of any width as big-endian bytes.
 */
#ifndef GATEWAY_BASE_BE_H
#define GATEWAY_BASE_BE_H

#include <stdint.h>

/** Write the low BYTES (1..8) bytes of VALUE to AT. @return behind them */
static inline uint8_t *tg_put_be(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        *at++ = (uint8_t)(value >> (8 * (i - 1)));
    }
    return at;
}

/** The number in the BYTES (1..8) bytes from AT. */
static inline uint64_t tg_get_be(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

#endif
