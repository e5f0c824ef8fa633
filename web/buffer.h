/**
 * Text that grows: pages of numbers and JSON that is made piece by piece. Memory that runs out is remembered: what was added afterwards is
 * lost, and has_failed says so.
 *
 * A struct of zeros is an empty buffer.
 */
#ifndef WEB_BUFFER_H
#define WEB_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct buffer {
    char *at; /* owned; not NUL-terminated */
    size_t len;
    size_t capacity;
    bool has_failed;
};

/** Free what BUFFER holds; it is empty afterwards. */
void buffer_fini(struct buffer *buffer);

/** Add LEN bytes. */
void buffer_add(struct buffer *buffer, const void *data, size_t len);

/** Add the string TEXT. */
void buffer_add_text(struct buffer *buffer, const char *text);

/** Add a text made like printf(3), of less than 512 bytes. */
void buffer_add_f(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Add TEXT, which is valid UTF-8, as a JSON string with its quotes. */
void buffer_add_json(struct buffer *buffer, struct bytes text);

/** Take back what was added behind the first LEN bytes, and forget that memory ran out. */
void buffer_cut(struct buffer *buffer, size_t len);

#endif
