/**
 * Bytes in memory whose next byte cannot be read: the block ends where a page without any rights begins. So a
 * codec that reads one byte too far crashes in every build, not only under a sanitizer.
 *
 * Blocks that a test does not free are gone with its process.
 */
#ifndef TESTS_PROTOCOL_GUARDED_H
#define TESTS_PROTOCOL_GUARDED_H

#include "protocol/bytes.h"

/** LEN bytes, writable, of undefined content, with the guard behind them. Returns owned. */
uint8_t *guarded_alloc(size_t len);

/** A copy of B. Returns owned. */
struct bytes guarded_copy(struct bytes b);

/**
 * The bytes that HEX spells. Blanks are passed over, and 'text' stands for the characters of text:
 * "82 08 0001 0003 'a/b' 01". Returns owned.
 */
struct bytes guarded_hex(const char *hex);

/** Free what one of the above returned, given its start and length. */
void guarded_free(const uint8_t *data, size_t len);

#endif
