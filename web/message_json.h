/**
 * A message as JSON, the way that lists, event streams and replies show it:
 *
 *      {"topic":"a/b","payload":"21.5","qos":1,"retain":true,"properties":{"content_type":"text/plain","user_properties":{...}}}
 *
 * A payload that is not UTF-8 is in base64, and "payload_encoding":"base64" says so.
 */
#ifndef WEB_MESSAGE_JSON_H
#define WEB_MESSAGE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "protocol/bytes.h"

struct message;

/** What is to be shown; all borrowed. */
struct message_view {
    struct bytes topic;
    struct bytes payload;
    struct bytes properties; /* encoded entries */
    bool has_expiry;
    uint32_t expiry_s;
    uint8_t qos;
    bool retain;
};

/** VIEW as an object. @return owned; NULL without memory */
json_t *message_json(const struct message_view *view);

/** The properties as an object, empty if there are none; a user property that comes more than once is an array of strings. @return owned; NULL
 * without memory */
json_t *message_json_properties(struct bytes properties, bool has_expiry, uint32_t expiry_s);

/**
 * Append MESSAGE as one line to the LEN bytes at *TEXT (owned, realloc(3)ed). NOW_MS: monotonic, for the rest of its expiry.
 * @return 1; 0 without memory: then nothing was appended
 */
size_t message_json_append(const struct message *message, uint64_t now_ms, char **text, size_t *len);

#endif
