/**
 * A borrowed run of bytes: how the codec names a field without copying it.
 *
 * A struct bytes never owns what it points at. Decoders point it into the packet they were given, so it is
 * valid for as long as those bytes are. Length 0 goes with any pointer, NULL included.
 */
#ifndef PROTOCOL_BYTES_H
#define PROTOCOL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t len;
};

/** The bytes of the NUL-terminated string S, without the NUL; borrows S. */
static inline struct bytes bytes_from_string(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

/** True if A and B have the same length and content. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
