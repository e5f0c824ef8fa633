#include "web/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"

#define CAPACITY_MIN  1024u
#define FORMATTED_MAX 512u
#define JSON_ESCAPED  6u /* bytes that one byte becomes at most: "\u0001" */

void buffer_fini(struct buffer *buffer)
{
    free(buffer->at);
    *buffer = (struct buffer){0};
}

/* Room for LEN more bytes. @return NULL without memory */
static char *reserve(struct buffer *buffer, size_t len)
{
    if (buffer->has_failed) {
        return NULL;
    }
    if (buffer->capacity - buffer->len < len) {
        size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
        while (capacity - buffer->len < len) {
            capacity *= 2;
        }
        char *grown = realloc(buffer->at, capacity);
        if (grown == NULL) {
            buffer->has_failed = true;
            return NULL;
        }
        buffer->at = grown;
        buffer->capacity = capacity;
    }
    return buffer->at + buffer->len;
}

void buffer_add(struct buffer *buffer, const void *data, size_t len)
{
    char *room = len > 0 ? reserve(buffer, len) : NULL;
    if (room != NULL) {
        memcpy(room, data, len);
        buffer->len += len;
    }
}

void buffer_add_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void buffer_add_f(struct buffer *buffer, const char *format, ...)
{
    char text[FORMATTED_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    TG_ASSERT(len >= 0 && (size_t)len < sizeof text);
    buffer_add(buffer, text, (size_t)len);
}

void buffer_add_json(struct buffer *buffer, struct bytes text)
{
    static const char hex[] = "0123456789abcdef";
    char *room = reserve(buffer, text.len * JSON_ESCAPED + 2);
    if (room == NULL) {
        return;
    }
    char *to = room;
    *to++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c < 0x20) {
            *to++ = '\\';
            *to++ = 'u';
            *to++ = '0';
            *to++ = '0';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    buffer->len += (size_t)(to - room);
}

void buffer_cut(struct buffer *buffer, size_t len)
{
    if (len < buffer->len) {
        buffer->len = len;
    }
    buffer->has_failed = false;
}
