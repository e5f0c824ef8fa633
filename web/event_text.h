/**
 * Events as text, in one of three forms:
 *
 *      event stream   id: CURSOR        lines     {"id":"CURSOR","topic":...}     array   [{"id":"CURSOR","topic":...},
 *                     data: {"topic":...}                                                  {"event":"gap","id":"CURSOR"}]
 *
 *                     event: gap        lines     {"event":"gap","id":"CURSOR"}
 *                     id: CURSOR
 *                     data: {}
 *
 * A message is an object as message_json.h makes it. What many readers are given in a row is made into JSON once.
 *
 * owner: a worker's thread
 */
#ifndef WEB_EVENT_TEXT_H
#define WEB_EVENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "web/buffer.h"
#include "web/event_cursor.h"
#include "web/message_json.h"

struct event_text;

enum event_format {
    EVENT_STREAM, /* text/event-stream */
    EVENT_LINES,  /* application/x-ndjson */
    EVENT_ARRAY,  /* application/json */
};

/** Text that waits to be sent. All zero: empty. */
struct event_buffer {
    struct buffer text;
    size_t sent; /* up to here */
};

/** What the last message was made into. Returns owned, NULL without memory. */
struct event_text *event_text_new(void);
void event_text_free(struct event_text *text);

/**
 * Append MESSAGE; CURSOR is NULL if it has no number.
 * @return false without memory: nothing was appended
 */
bool event_text_message(struct event_text *text, struct event_buffer *buffer, enum event_format format,
                        const struct event_cursor *cursor, const struct message_view *message)
    __attribute__((warn_unused_result));

/** Append what is no message: NAME is "synced" or "gap". @return as above */
bool event_text_mark(struct event_buffer *buffer, enum event_format format, const struct event_cursor *cursor,
                     const char *name) __attribute__((warn_unused_result));

/** Append TEXT as it is. @return as above */
bool event_buffer_add(struct event_buffer *buffer, const char *text) __attribute__((warn_unused_result));

/** Bytes that are not sent yet. */
static inline size_t event_buffer_left(const struct event_buffer *buffer)
{
    return buffer->text.len - buffer->sent;
}

/** Free what BUFFER holds; it is empty then. */
void event_buffer_fini(struct event_buffer *buffer);

#endif
