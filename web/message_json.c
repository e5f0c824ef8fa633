#include "web/message_json.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/base64.h"
#include "gateway/broker/publication.h"
#include "gateway/store/message.h"
#include "protocol/property.h"
#include "protocol/utf8.h"

static json_t *text(struct bytes s)
{
    return json_stringn((const char *)s.data, s.len);
}

/* Bytes as text, or in base64 with *IS_BASE64. */
static json_t *text_or_base64(struct bytes data, bool *is_base64)
{
    *is_base64 = data.len > 0 && !utf8_is_valid_text(data);
    if (!*is_base64) {
        return data.len > 0 ? text(data) : json_string("");
    }
    char *encoded = malloc(base64_encoded_size(data.len));
    if (encoded == NULL) {
        return NULL;
    }
    size_t len = base64_encode(data, encoded);
    json_t *value = json_stringn(encoded, len);
    free(encoded);
    return value;
}

/* @return false without memory */
static bool add_user(json_t *users, struct bytes name, struct bytes value)
{
    char *key = strndup((const char *)name.data, name.len); /* it has no NUL [MQTT-1.5.4-2] */
    if (key == NULL) {
        return false;
    }
    json_t *old = json_object_get(users, key);
    bool ok;
    if (old == NULL) {
        ok = json_object_set_new(users, key, text(value)) == 0;
    } else if (json_is_array(old)) {
        ok = json_array_append_new(old, text(value)) == 0;
    } else {
        json_t *array = json_array();
        ok = json_array_append(array, old) == 0 && json_array_append_new(array, text(value)) == 0 &&
             json_object_set(users, key, array) == 0;
        json_decref(array);
    }
    free(key);
    return ok;
}

static bool add_entry(json_t *object, json_t *users, const struct property_entry *entry)
{
    bool is_base64;
    switch (entry->id) {
    case PROPERTY_PAYLOAD_FORMAT_INDICATOR:
        return json_object_set_new(object, "payload_format_indicator", json_integer(entry->number)) == 0;
    case PROPERTY_CONTENT_TYPE:
        return json_object_set_new(object, "content_type", text(entry->value)) == 0;
    case PROPERTY_RESPONSE_TOPIC:
        return json_object_set_new(object, "response_topic", text(entry->value)) == 0;
    case PROPERTY_CORRELATION_DATA:
        if (json_object_set_new(object, "correlation_data", text_or_base64(entry->value, &is_base64)) != 0) {
            return false;
        }
        return !is_base64 || json_object_set_new(object, "correlation_data_encoding", json_string("base64")) == 0;
    case PROPERTY_USER_PROPERTY:
        return add_user(users, entry->name, entry->value);
    default:
        return true;
    }
}

json_t *message_json_properties(struct bytes properties, bool has_expiry, uint32_t expiry_s)
{
    json_t *object = json_object();
    json_t *users = json_object();
    struct bytes cursor = properties;
    struct property_entry entry;
    bool ok = object != NULL && users != NULL;
    while (ok && properties_next(&cursor, &entry)) {
        ok = add_entry(object, users, &entry);
    }
    if (ok && has_expiry) {
        ok = json_object_set_new(object, "message_expiry_interval", json_integer(expiry_s)) == 0;
    }
    if (ok && json_object_size(users) > 0) {
        ok = json_object_set(object, "user_properties", users) == 0;
    }
    json_decref(users);
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *message_json(const struct message_view *view)
{
    bool is_base64 = false;
    json_t *properties = message_json_properties(view->properties, view->has_expiry, view->expiry_s);
    json_t *object = json_object();
    bool ok = properties != NULL && object != NULL && json_object_set_new(object, "topic", text(view->topic)) == 0 &&
              json_object_set_new(object, "payload", text_or_base64(view->payload, &is_base64)) == 0 &&
              (!is_base64 || json_object_set_new(object, "payload_encoding", json_string("base64")) == 0) &&
              json_object_set_new(object, "qos", json_integer(view->qos)) == 0 &&
              json_object_set_new(object, "retain", json_boolean(view->retain)) == 0 &&
              (json_object_size(properties) == 0 || json_object_set(object, "properties", properties) == 0);
    json_decref(properties);
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

size_t message_json_append(const struct message *message, uint64_t now_ms, char **out, size_t *len)
{
    struct message_view view = {
        .topic = message_topic(message),
        .payload = message_payload(message),
        .properties = message_properties(message),
        .has_expiry = message->expires_ms != MESSAGE_NEVER_EXPIRES,
        .expiry_s = publication_remaining_s(message->expires_ms, now_ms),
        .qos = message->qos,
        .retain = true,
    };
    json_t *object = message_json(&view);
    char *line = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    size_t line_len = line != NULL ? strlen(line) : 0;
    char *grown = line != NULL ? realloc(*out, *len + line_len + 1) : NULL;
    if (grown == NULL) {
        free(line);
        return 0;
    }
    memcpy(grown + *len, line, line_len);
    grown[*len + line_len] = '\n';
    *out = grown;
    *len += line_len + 1;
    free(line);
    return 1;
}
