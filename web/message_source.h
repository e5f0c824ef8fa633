/**
 * From an HTTP request, or from a JSON object, to a message to be published.
 *
 * The message borrows from the request (http_alloc(), body, query), or from the JSON object and an arena, and lives as long as they.
 */
#ifndef WEB_MESSAGE_SOURCE_H
#define WEB_MESSAGE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "gateway/broker/place_publish.h"

struct arena;
struct http_request;

/**
 * The topic that REQUEST is about: query parameter `topic`, exactly, or else the path behind /topics/. May be empty or not valid.
 */
struct bytes message_topic_of(const struct http_request *request);

/**
 * The message that a request to a /topics route describes: topic, query parameters, x-amz-mqtt5-* headers, Content-Type, body.
 * @return false: REQUEST has been answered with 400 or 503
 */
bool message_of_request(struct http_request *request, struct place_publication *out)
    __attribute__((warn_unused_result));

/** What a JSON object may say of a message, by the names that the route uses. */
struct message_json_names {
    bool json_payload; /* a payload that is no string is sent as its JSON text, with content type application/json */
};

/** Why a JSON object is no message. */
struct message_fault {
    const char *field; /* "payload", "properties.content_type"; NULL: the object itself */
    const char *text;
    bool is_base64; /* the payload is no valid base64 */
};

/**
 * The message that OBJECT describes: topic, payload, payload_encoding or encoding (plain, base64), qos, retain, properties
 * {payload_format_indicator, message_expiry_interval, response_topic, correlation_data, user_properties, content_type}; clientid is passed over.
 * Memory comes from ARENA.
 * @return false with *FAULT (static texts)
 */
bool message_of_json(struct arena *arena, const json_t *object, const struct message_json_names *names,
                     struct place_publication *out, struct message_fault *fault) __attribute__((warn_unused_result));

#endif
