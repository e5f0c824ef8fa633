/**
 * A second look at what peers send, before the library sees it: for what the library reads differently from everybody else.
 *
 * Refused:
 *   * White space within or around names, and line ends that are none: a proxy in front of us might see one request where the library
 *     sees two.
 *   * Methods in small letters, which the library would take for those in capitals.
 *   * WebSocket frames of clients that have no mask, control frames of more than 125 bytes, lengths with their highest bit set.
 *
 * Mended, so that the library reads it as everybody does:
 *   * A header whose name is the beginning of one that the library knows ("Accep: x") would swallow the line that follows, which may be the
 *     length of the body. It becomes "Accep!: x".
 *   * A POST, PUT or PATCH of HTTP/1.1 with neither Content-Length nor Transfer-Encoding has an empty body: it gets "Content-Length: 0".
 *   * Empty lines in front of a request are taken away.
 *
 * It follows requests, bodies and, once a head asks for a WebSocket, frames, byte by byte and in place. Requests whose length is not
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
    uint8_t at;     /* characters of the line, the name or the value that have come */
    uint8_t digits; /* of Content-Length */
    uint8_t header; /* which of the headers that matter the value belongs to */
    uint8_t
        methods; /* bit i: what has come of the line is the beginning of, or begins with, the i-th method with a body */
    uint8_t dropped; /* bytes of empty lines in front of this request */
    bool in_method : 1;
    bool has_small : 1; /* letters in the method */
    bool is_http_1_0 : 1;
    bool has_held_cr : 1; /* the CR of the empty line was held back */
    bool is_control : 1;  /* the frame */
    bool has_cr : 1;      /* the last byte was CR */
    bool is_upgrade : 1;  /* the head asks for a WebSocket */
    bool is_unknown : 1;  /* where the request ends is not known: it will be refused */
    bool has_length : 1;
};

#define INPUT_CHECK_NAMES_MAX 128u

/**
 * Tell which names the library knows: COUNT of them, lower case, without their colon, sorted by strcmp(), static. Once for the process,
 * before the first check.
 */
void input_check_open(const char *const *names, size_t count);

/** How many bytes to read into a buffer of CAP, so that what they become fits, but for nonsense. */
size_t input_check_room(const struct input_check *check, size_t cap);

/** True while what comes are frames of a WebSocket, if the request for it is granted. */
bool input_check_has_upgraded(const struct input_check *check);

/**
 * Look at *LEN bytes that have come next, and mend them in place, in a buffer that has room for CAP. What does not fit is refused or left to
 * be refused.
 *
 * @param len  in, out; 0 if nothing is for the library
 *
 * @return NULL, or what is wrong with them: static text; then CHECK must not be used again, other than to ask whether it has upgraded
 */
const char *input_check_bytes(struct input_check *check, uint8_t *bytes, size_t *len, size_t cap);

#endif
