#include "web/message_source.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/base64.h"
#include "protocol/property.h"
#include "protocol/topic.h"
#include "protocol/utf8.h"
#include "protocol/varint.h"
#include "web/arena.h"
#include "web/http.h"

#define STRING_BYTES_MAX 65535u /* of what stands in an MQTT string */

/* Properties as they are collected; user properties are whole encoded entries. */
struct builder {
    struct arena *arena;
    struct properties p;
    uint8_t *users;
    size_t users_len;
    size_t users_capacity;
    bool out_of_memory;
};

static void set_string(struct builder *b, enum property_id id, struct bytes *member, struct bytes value)
{
    *member = value;
    properties_set(&b->p, id);
}

static bool add_user(struct builder *b, struct bytes name, struct bytes value)
{
    size_t need = 5 + name.len + value.len;
    if (b->users_capacity - b->users_len < need) {
        size_t capacity = b->users_capacity * 2 + need;
        uint8_t *grown = arena_alloc(b->arena, capacity);
        if (grown == NULL) {
            b->out_of_memory = true;
            return false;
        }
        if (b->users_len > 0) {
            memcpy(grown, b->users, b->users_len);
        }
        b->users = grown;
        b->users_capacity = capacity;
    }
    size_t len = property_encode_user(b->users + b->users_len, b->users_capacity - b->users_len, name, value);
    b->users_len += len;
    return len > 0;
}

/* Encode what was collected, without the section's length. @return false without memory */
static bool finish(struct builder *b, struct place_publication *out)
{
    struct bytes users = {b->users, b->users_len};
    if (b->p.present == 0 && users.len == 0) {
        out->properties = (struct bytes){NULL, 0};
        return true;
    }
    size_t len = properties_encoded_len(&b->p, users);
    uint8_t *buf = arena_alloc(b->arena, len);
    if (buf == NULL || properties_encode(buf, len, &b->p, users) != len) {
        return false;
    }
    uint32_t section_len;
    int skip = varint_decode(buf, len, &section_len);
    out->properties = (struct bytes){buf + skip, section_len};
    out->is_utf8 = properties_has(&b->p, PROPERTY_PAYLOAD_FORMAT_INDICATOR) && b->p.payload_format_indicator == 1;
    return true;
}

static bool is_string(struct bytes s)
{
    return s.len <= STRING_BYTES_MAX && utf8_is_valid_string(s);
}

/* --- from the request ---------------------------------------------------------------------------------------------------- */

struct bytes message_topic_of(const struct http_request *request)
{
    struct bytes topic = http_query(request, "topic");
    return topic.data != NULL ? topic : http_path_rest(request);
}

static bool refuse(struct http_request *request, const char *what)
{
    http_problem(request, 400, "%s", what);
    return false;
}

/* A query parameter or header in base64. @return false if it has been refused */
static bool decode_binary(struct http_request *request, struct bytes text, const char *what, struct bytes *out)
{
    uint8_t *room = http_alloc(request, base64_decoded_size(text.len));
    if (room == NULL) {
        http_problem(request, 503, "out of memory");
        return false;
    }
    size_t len = base64_decode(text, room);
    if (len > STRING_BYTES_MAX) {
        http_problem(request, 400, "%s is not base64, or too long", what);
        return false;
    }
    *out = (struct bytes){room, len};
    return true;
}

/* userProperty=name:value, as often as wanted. */
static bool take_query_users(struct http_request *request, struct builder *b)
{
    for (size_t i = 0;; i++) {
        struct bytes pair = http_query_nth(request, "userProperty", i);
        if (pair.data == NULL) {
            return true;
        }
        const uint8_t *colon = memchr(pair.data, ':', pair.len);
        if (colon == NULL) {
            return refuse(request, "userProperty must be NAME:VALUE");
        }
        struct bytes name = {pair.data, (size_t)(colon - pair.data)};
        struct bytes value = {colon + 1, pair.len - name.len - 1};
        if (!is_string(name) || !is_string(value)) {
            return refuse(request, "userProperty must be valid UTF-8, at most 65535 bytes each side");
        }
        if (!add_user(b, name, value)) {
            http_problem(request, 503, "out of memory");
            return false;
        }
    }
}

/* One object of the header's array, {"name": "value"}. */
static bool take_user_object(struct builder *b, const json_t *object)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        return false;
    }
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        if (!json_is_string(value) ||
            !add_user(b, bytes_from_string(key),
                      (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)})) {
            return false;
        }
    }
    return true;
}

/* x-amz-mqtt5-user-properties: a JSON array of objects, in base64. */
static bool take_header_users(struct http_request *request, struct builder *b)
{
    struct bytes text = http_header(request, "x-amz-mqtt5-user-properties");
    struct bytes decoded;
    if (text.data == NULL) {
        return true;
    }
    if (!decode_binary(request, text, "x-amz-mqtt5-user-properties", &decoded)) {
        return false;
    }
    json_t *array = json_loadb((const char *)decoded.data, decoded.len, JSON_REJECT_DUPLICATES, NULL);
    bool ok = json_is_array(array);
    for (size_t i = 0; ok && i < json_array_size(array); i++) {
        ok = take_user_object(b, json_array_get(array, i));
    }
    json_decref(array);
    return ok || refuse(request, "x-amz-mqtt5-user-properties must be a JSON array of objects of strings, in base64");
}

static bool take_format(struct http_request *request, struct builder *b)
{
    struct bytes text = http_header(request, "x-amz-mqtt5-payload-format-indicator");
    if (text.data == NULL) {
        return true;
    }
    if (bytes_equal(text, bytes_from_string("UTF8_DATA"))) {
        b->p.payload_format_indicator = 1;
    } else if (bytes_equal(text, bytes_from_string("UNSPECIFIED_BYTES"))) {
        b->p.payload_format_indicator = 0;
    } else {
        return refuse(request, "x-amz-mqtt5-payload-format-indicator must be UTF8_DATA or UNSPECIFIED_BYTES");
    }
    properties_set(&b->p, PROPERTY_PAYLOAD_FORMAT_INDICATOR);
    return true;
}

/* True for what curl and forms say of any body: that is no statement about it. */
static bool is_default_type(struct bytes type)
{
    static const char form[] = "application/x-www-form-urlencoded";
    static const char multipart[] = "multipart/form-data";
    return type.len == 0 || (type.len >= sizeof(form) - 1 && memcmp(type.data, form, sizeof(form) - 1) == 0) ||
           (type.len >= sizeof(multipart) - 1 && memcmp(type.data, multipart, sizeof(multipart) - 1) == 0);
}

static bool take_content_type(struct http_request *request, struct builder *b)
{
    struct bytes type = http_query(request, "contentType");
    if (type.data == NULL) {
        type = http_header(request, "content-type");
        if (type.data == NULL || is_default_type(type)) {
            return true;
        }
    }
    if (!is_string(type)) {
        return refuse(request, "contentType must be valid UTF-8, at most 65535 bytes");
    }
    set_string(b, PROPERTY_CONTENT_TYPE, &b->p.content_type, type);
    return true;
}

static bool take_response_topic(struct http_request *request, struct builder *b)
{
    struct bytes topic = http_query(request, "responseTopic");
    if (topic.data == NULL) {
        return true;
    }
    if (!topic_name_is_valid(topic)) {
        return refuse(request, "responseTopic is not a valid topic name");
    }
    set_string(b, PROPERTY_RESPONSE_TOPIC, &b->p.response_topic, topic);
    return true;
}

static bool take_correlation_data(struct http_request *request, struct builder *b)
{
    struct bytes text = http_query(request, "correlationData");
    const char *what = "correlationData";
    if (text.data == NULL) {
        what = "x-amz-mqtt5-correlation-data";
        text = http_header(request, what);
    }
    if (text.data == NULL) {
        return true;
    }
    struct bytes data;
    if (!decode_binary(request, text, what, &data)) {
        return false;
    }
    set_string(b, PROPERTY_CORRELATION_DATA, &b->p.correlation_data, data);
    return true;
}

bool message_of_request(struct http_request *request, struct place_publication *out)
{
    struct builder b = {.arena = http_arena(request)};
    uint64_t qos = 0;
    uint64_t expiry_s = UINT64_MAX;
    *out = (struct place_publication){
        .topic = message_topic_of(request), .payload = http_body(request), .identity = http_identity(request)};
    if (!http_query_number(request, "qos", 0, 2, &qos) || !http_query_bool(request, "retain", &out->retain) ||
        !http_query_number(request, "messageExpiry", 0, UINT32_MAX, &expiry_s) || !take_format(request, &b) ||
        !take_content_type(request, &b) || !take_response_topic(request, &b) || !take_correlation_data(request, &b) ||
        !take_query_users(request, &b) || !take_header_users(request, &b)) {
        return false;
    }
    out->qos = (uint8_t)qos;
    out->has_expiry = expiry_s != UINT64_MAX;
    out->expiry_s = out->has_expiry ? (uint32_t)expiry_s : 0;
    if (!finish(&b, out)) {
        http_problem(request, 503, "out of memory");
        return false;
    }
    return true;
}

/* --- from JSON --------------------------------------------------------------------------------------------------------------- */

static bool fail(struct message_fault *fault, const char *field, const char *text)
{
    *fault = (struct message_fault){.field = field, .text = text};
    return false;
}

static struct bytes text_of(const json_t *value)
{
    return (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

static bool take_integer(const json_t *object, const char *key, const char *field, uint64_t max, uint64_t *out,
                         bool *given, struct message_fault *fault)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL) {
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max) {
        return fail(fault, field, "must be an integer within its range");
    }
    *out = (uint64_t)json_integer_value(value);
    *given = true;
    return true;
}

static bool take_text(const json_t *object, const char *key, const char *field, struct bytes *out,
                      struct message_fault *fault)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL) {
        return true;
    }
    if (!json_is_string(value) || !is_string(text_of(value))) {
        return fail(fault, field, "must be a string of at most 65535 bytes without U+0000");
    }
    *out = text_of(value);
    return true;
}

static bool take_user_properties(const json_t *properties, struct builder *b, struct message_fault *fault)
{
    json_t *users = json_object_get(properties, "user_properties");
    const char *key;
    json_t *value;
    if (users == NULL) {
        return true;
    }
    if (!json_is_object(users)) {
        return fail(fault, "properties.user_properties", "must be an object of strings");
    }
    json_object_foreach (users, key, value) {
        if (!json_is_string(value) || !is_string(text_of(value)) || !is_string(bytes_from_string(key))) {
            return fail(fault, "properties.user_properties", "must be an object of strings");
        }
        if (!add_user(b, bytes_from_string(key), text_of(value))) {
            return fail(fault, NULL, "out of memory");
        }
    }
    return true;
}

static bool take_properties(const json_t *object, struct builder *b, struct place_publication *out,
                            struct message_fault *fault)
{
    const json_t *properties = json_object_get(object, "properties");
    struct bytes content_type = {NULL, 0};
    struct bytes response_topic = {NULL, 0};
    struct bytes correlation_data = {NULL, 0};
    uint64_t format = 0;
    uint64_t expiry_s = 0;
    bool has_format = false;
    if (properties == NULL || json_is_null(properties)) {
        return true;
    }
    if (!json_is_object(properties)) {
        return fail(fault, "properties", "must be an object");
    }
    if (!take_integer(properties, "payload_format_indicator", "properties.payload_format_indicator", 1, &format,
                      &has_format, fault) ||
        !take_integer(properties, "message_expiry_interval", "properties.message_expiry_interval", UINT32_MAX,
                      &expiry_s, &out->has_expiry, fault) ||
        !take_text(properties, "content_type", "properties.content_type", &content_type, fault) ||
        !take_text(properties, "response_topic", "properties.response_topic", &response_topic, fault) ||
        !take_text(properties, "correlation_data", "properties.correlation_data", &correlation_data, fault) ||
        !take_user_properties(properties, b, fault)) {
        return false;
    }
    out->expiry_s = (uint32_t)expiry_s;
    if (has_format) {
        b->p.payload_format_indicator = (uint8_t)format;
        properties_set(&b->p, PROPERTY_PAYLOAD_FORMAT_INDICATOR);
    }
    if (content_type.data != NULL) {
        set_string(b, PROPERTY_CONTENT_TYPE, &b->p.content_type, content_type);
    }
    if (response_topic.data != NULL) {
        if (!topic_name_is_valid(response_topic)) {
            return fail(fault, "properties.response_topic", "is not a valid topic name");
        }
        set_string(b, PROPERTY_RESPONSE_TOPIC, &b->p.response_topic, response_topic);
    }
    if (correlation_data.data != NULL) {
        set_string(b, PROPERTY_CORRELATION_DATA, &b->p.correlation_data, correlation_data);
    }
    return true;
}

/* True if the payload is base64. @return false with *FAULT */
static bool take_encoding(const json_t *object, bool *is_base64, struct message_fault *fault)
{
    const json_t *value = json_object_get(object, "payload_encoding");
    if (value == NULL) {
        value = json_object_get(object, "encoding");
    }
    *is_base64 = false;
    if (value == NULL) {
        return true;
    }
    const char *name = json_string_value(value);
    if (name == NULL || (strcmp(name, "plain") != 0 && strcmp(name, "base64") != 0)) {
        return fail(fault, "payload_encoding", "must be \"plain\" or \"base64\"");
    }
    *is_base64 = strcmp(name, "base64") == 0;
    return true;
}

/* A payload that is not a string: its JSON text. */
static bool take_json_payload(const json_t *payload, struct builder *b, struct place_publication *out,
                              struct message_fault *fault)
{
    char *text = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t len = text != NULL ? strlen(text) : 0;
    uint8_t *copy = text != NULL ? arena_alloc(b->arena, len) : NULL;
    if (copy == NULL) {
        free(text);
        return fail(fault, NULL, "out of memory");
    }
    memcpy(copy, text, len);
    free(text);
    out->payload = (struct bytes){copy, len};
    if (!properties_has(&b->p, PROPERTY_CONTENT_TYPE)) {
        set_string(b, PROPERTY_CONTENT_TYPE, &b->p.content_type, bytes_from_string("application/json"));
    }
    return true;
}

static bool take_payload(const json_t *object, const struct message_json_names *names, struct builder *b,
                         struct place_publication *out, struct message_fault *fault)
{
    const json_t *payload = json_object_get(object, "payload");
    bool is_base64;
    if (!take_encoding(object, &is_base64, fault)) {
        return false;
    }
    if (payload == NULL || (!json_is_string(payload) && !names->json_payload)) {
        return fail(fault, "payload", payload == NULL ? "is missing" : "must be a string");
    }
    if (!json_is_string(payload)) {
        return is_base64 ? fail(fault, "payload", "must be a string in base64")
                         : take_json_payload(payload, b, out, fault);
    }
    out->payload = text_of(payload);
    if (!is_base64) {
        return true;
    }
    uint8_t *room = arena_alloc(b->arena, base64_decoded_size(out->payload.len));
    if (room == NULL) {
        return fail(fault, NULL, "out of memory");
    }
    size_t len = base64_decode(out->payload, room);
    if (len == SIZE_MAX) {
        (void)fail(fault, "payload", "is not base64");
        fault->is_base64 = true;
        return false;
    }
    out->payload = (struct bytes){room, len};
    return true;
}

bool message_of_json(struct arena *arena, const json_t *object, const struct message_json_names *names,
                     struct place_publication *out, struct message_fault *fault)
{
    struct builder b = {.arena = arena};
    uint64_t qos = 0;
    bool qos_given;
    *out = (struct place_publication){0};
    *fault = (struct message_fault){0};
    if (!json_is_object(object)) {
        return fail(fault, NULL, "must be an object");
    }
    const json_t *topic = json_object_get(object, "topic");
    const json_t *retain = json_object_get(object, "retain");
    if (!json_is_string(topic)) {
        return fail(fault, "topic", topic == NULL ? "is missing" : "must be a string");
    }
    if (retain != NULL && !json_is_boolean(retain)) {
        return fail(fault, "retain", "must be true or false");
    }
    out->topic = text_of(topic);
    out->retain = json_is_true(retain);
    if (!take_integer(object, "qos", "qos", 2, &qos, &qos_given, fault) || !take_properties(object, &b, out, fault) ||
        !take_payload(object, names, &b, out, fault)) {
        return false;
    }
    out->qos = (uint8_t)qos;
    return finish(&b, out) || fail(fault, NULL, "out of memory");
}
