/**
 * A second look at what peers send, before the library sees it: for what the library reads differently from everybody else.
 *
 *   * A header whose name is the beginning of one that the library knows ("Accep: x") swallows the line that follows, which may be the
 *     length of the body. A proxy in front of us would see one request where the library sees two.
 *   * White space within or around names, and line ends that are none, are ways to do the same.
 *   * WebSocket frames of clients must be masked.
 *
 * It follows requests, bodies and, once a head asks for a WebSocket, frames, byte by byte but without copies. Requests whose length is not
 * stated in the one form that is accepted are refused elsewhere and end their connection, so it need not know where they end.
 *
 *      LINE -> NAME <-> VALUE -> (end of head) -> BODY -> LINE ...
 *                                     |--> FRAME -> LENGTH -> MASK -> PAYLOAD -> FRAME ...
 *                                     `--> ANYTHING
 *
 * owner: the thread of the connection
 */
#ifndef WEB_INPUT_CHECK_H
#define WEB_INPUT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input_check { /* zeroed: the beginning of a connection */
    uint64_t left;   /* bytes of the body or payload that are to come */
    uint32_t length; /* Content-Length */
    uint8_t state;
    uint8_t first; /* of the known names that begin with what has come of this one, and how many there are */
    uint8_t matching;
    uint8_t at;          /* characters of the name, or of the value, that have come */
    uint8_t digits;      /* of Content-Length */
    uint8_t header;      /* which of the headers that matter the value belongs to */
    bool has_cr : 1;     /* the last byte was CR */
    bool is_upgrade : 1; /* the head asks for a WebSocket */
    bool is_unknown : 1; /* where the request ends is not known: it will be refused */
    bool has_length : 1;
};

#define INPUT_CHECK_NAMES_MAX 128u

/**
 * Tell which names the library knows: COUNT of them, lower case, without their colon, sorted by strcmp(), static. Once for the process,
 * before the first check.
 */
void input_check_open(const char *const *names, size_t count);

/** Look at LEN bytes that have come next. @return NULL, or what is wrong with them: static text; then CHECK must not be used again */
const char *input_check_bytes(struct input_check *check, const uint8_t *bytes, size_t len);

#endif
