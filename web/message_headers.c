#include "web/message_headers.h"

#include <stdio.h>
#include <string.h>

#include "protocol/property.h"
#include "web/http.h"

#define USER_BYTES_MAX 8192u /* of user properties as headers; further ones are left out */

/* A value of a header made of bytes that anybody may have sent: what is not printable ASCII, and '%', is percent-encoded. */
static void add_escaped(struct http_request *request, const char *name, struct bytes first, struct bytes second,
                        bool has_second)
{
    char text[1024];
    size_t len = 0;
    const struct bytes parts[] = {first, second};
    for (size_t p = 0; p < (has_second ? 2u : 1u); p++) {
        if (p == 1 && len + 2 < sizeof(text)) {
            text[len++] = '=';
        }
        for (size_t i = 0; i < parts[p].len; i++) {
            uint8_t c = parts[p].data[i];
            bool plain = c > 0x20 && c < 0x7F && c != '%' && !(p == 0 && has_second && c == '=');
            if (len + 4 > sizeof(text)) {
                return; /* too long for a header: it is in the JSON forms */
            }
            if (plain || (c == ' ' && i > 0 && i + 1 < parts[p].len)) {
                text[len++] = (char)c;
            } else {
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%%%02X", c);
            }
        }
    }
    text[len] = '\0';
    http_add_header(request, name, text);
}

/* A media type that may be sent as a header; else NULL. */
static const char *safe_type(struct http_request *request, struct bytes type)
{
    if (type.len == 0 || type.len > 255) {
        return NULL;
    }
    for (size_t i = 0; i < type.len; i++) {
        if (type.data[i] < 0x20 || type.data[i] > 0x7E) {
            return NULL;
        }
    }
    char *copy = http_alloc(request, type.len + 1);
    if (copy != NULL) {
        memcpy(copy, type.data, type.len);
        copy[type.len] = '\0';
    }
    return copy;
}

const char *message_headers_add(struct http_request *request, struct bytes properties)
{
    struct bytes cursor = properties;
    struct property_entry entry;
    struct bytes content_type = {NULL, 0};
    size_t users_len = 0;
    bool is_text = false;
    while (properties_next(&cursor, &entry)) {
        switch (entry.id) {
        case PROPERTY_CONTENT_TYPE:
            content_type = entry.value;
            break;
        case PROPERTY_PAYLOAD_FORMAT_INDICATOR:
            is_text = entry.number == 1;
            break;
        case PROPERTY_USER_PROPERTY:
            users_len += entry.name.len + entry.value.len;
            if (users_len <= USER_BYTES_MAX) {
                add_escaped(request, "X-MQTT-User-Property", entry.name, entry.value, true);
            }
            break;
        case PROPERTY_RESPONSE_TOPIC:
            add_escaped(request, "X-MQTT-Response-Topic", entry.value, entry.value, false);
            break;
        default:
            break;
        }
    }
    http_add_header(request, "Content-Security-Policy", "sandbox; default-src 'none'");
    const char *type = safe_type(request, content_type);
    if (type == NULL) {
        type = is_text ? "text/plain; charset=utf-8" : "application/octet-stream";
    }
    return type;
}
