/**
 * Private to protocol/: the one scan behind UTF-8 and topic name validity.
 *
 * Nearly all strings that a broker sees are ASCII, and short. So the scan looks at eight bytes at a time and asks
 * one question: are all of them ASCII and none forbidden? A string that is not a multiple of eight is covered by
 * a last block that overlaps the one before. Only when the answer is no does the character-wise scan
 * take over, from there on. RULES are constants at every call, so what does not apply is not compiled in.
 */
#ifndef PROTOCOL_UTF8_SCAN_H
#define PROTOCOL_UTF8_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/bytes.h"

#define UTF8_SCAN_NO_NUL       1u /* U+0000 is refused */
#define UTF8_SCAN_NO_WILDCARDS 2u /* '+' and '#' are refused */

#define UTF8_SCAN_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/** True if the eight bytes of BLOCK are all ASCII and accepted by RULES. */
static inline bool utf8_scan_block(uint64_t block, unsigned rules)
{
    /*
     * Adding 0x7F to a byte below 0x80 sets its bit 7 unless the byte is 0, and carries nothing over. Where a byte
     * is above 0x7F sums may carry, but then ~block has a zero in bit 7 of that byte and the answer is no anyway.
     */
    const uint64_t low = UTF8_SCAN_EACH(0x7Fu);
    const uint64_t top = UTF8_SCAN_EACH(0x80u);
    uint64_t accepted = ~block;
    if ((rules & UTF8_SCAN_NO_NUL) != 0) {
        accepted &= block + low;
    }
    if ((rules & UTF8_SCAN_NO_WILDCARDS) != 0) {
        accepted &= (block ^ UTF8_SCAN_EACH((uint64_t)'+')) + low;
        accepted &= (block ^ UTF8_SCAN_EACH((uint64_t)'#')) + low;
    }
    return (accepted & top) == top;
}

static inline uint64_t utf8_scan_load(const uint8_t *at)
{
    uint64_t block;
    memcpy(&block, at, sizeof block);
    return block;
}

/** The character-wise scan of the LEN bytes at AT. */
bool utf8_scan_characters(const uint8_t *at, size_t len, unsigned rules);

/** One block that holds the LEN bytes (1..7) at AT, some of them twice, and nothing else but letters. */
static inline uint64_t utf8_scan_load_short(const uint8_t *at, size_t len)
{
    if (len >= 4) {
        uint32_t head;
        uint32_t tail;
        memcpy(&head, at, sizeof head);
        memcpy(&tail, at + len - 4, sizeof tail);
        return (uint64_t)head << 32 | tail;
    }
    return UTF8_SCAN_EACH((uint64_t)'x') << 24 | (uint64_t)at[0] << 16 | (uint64_t)at[len / 2] << 8 | at[len - 1];
}

/** True if S is well-formed UTF-8 and accepted by RULES. */
static inline bool utf8_scan(struct bytes s, unsigned rules)
{
    const uint8_t *at = s.data;
    size_t left = s.len;
    if (left < 8) {
        return left == 0 || utf8_scan_block(utf8_scan_load_short(at, left), rules) ||
               utf8_scan_characters(at, left, rules);
    }
    for (; left > 8; at += 8, left -= 8) {
        if (!utf8_scan_block(utf8_scan_load(at), rules)) {
            return utf8_scan_characters(at, left, rules);
        }
    }
    return utf8_scan_block(utf8_scan_load(s.data + s.len - 8), rules) || utf8_scan_characters(at, left, rules);
}

#endif
