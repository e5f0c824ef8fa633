/**
 * Where a reader of an event stream stands: the `id` of an event, which the reader gives back to go on behind it.
 *
 *      Xq2...22 characters.1793562412345678        a stream with a session of its own: its token, and the message's number
 *      .1793562412345678                           a stream with a client id
 *
 * The token is what a session of its own is known by, 128 random bits. Its client id is made from token and user with a secret of this
 * process: who sees the client id (in a log, say) does not learn the token, and with the token of another user one finds nothing.
 */
#ifndef WEB_EVENT_CURSOR_H
#define WEB_EVENT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

#define EVENT_TOKEN_CHARS     22u
#define EVENT_CURSOR_BYTES    (EVENT_TOKEN_CHARS + 1u + 20u + 1u) /* as text, with its NUL */
#define EVENT_CLIENT_ID_BYTES 40u
#define EVENT_SECRET_BYTES    32u

struct event_cursor {
    char token[EVENT_TOKEN_CHARS + 1]; /* "": the stream has a client id */
    uint64_t seq;
};

/** A fresh token. @return false if the system has no random bytes */
bool event_cursor_begin(struct event_cursor *cursor) __attribute__((warn_unused_result));

/** Read TEXT, any bytes. @return false if it is no cursor; then *CURSOR is untouched */
bool event_cursor_parse(struct bytes text, struct event_cursor *cursor) __attribute__((warn_unused_result));

/** Write CURSOR as text, NUL-terminated. @return its length */
size_t event_cursor_write(const struct event_cursor *cursor, char out[EVENT_CURSOR_BYTES]);

/**
 * The client id of the session that CURSOR's token, which is not empty, stands for, if USER has it.
 * @param secret EVENT_SECRET_BYTES
 * @return false without memory
 */
bool event_cursor_client_id(const struct event_cursor *cursor, struct bytes user, const uint8_t *secret,
                            char out[EVENT_CLIENT_ID_BYTES]) __attribute__((warn_unused_result));

#endif
