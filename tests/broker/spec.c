#include "tests/broker/spec.h"

#include <check.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/property.h"
#include "protocol/varint.h"

enum value { BYTE, U16, U32, VARINT, OTHER };

static const struct {
    const char *name;
    uint8_t id;
    enum value value;
} names[] = {
    {"payload_format", PROPERTY_PAYLOAD_FORMAT_INDICATOR, BYTE},
    {"message_expiry", PROPERTY_MESSAGE_EXPIRY_INTERVAL, U32},
    {"content_type", PROPERTY_CONTENT_TYPE, OTHER},
    {"response_topic", PROPERTY_RESPONSE_TOPIC, OTHER},
    {"correlation", PROPERTY_CORRELATION_DATA, OTHER},
    {"subscription_id", PROPERTY_SUBSCRIPTION_IDENTIFIER, VARINT},
    {"session_expiry", PROPERTY_SESSION_EXPIRY_INTERVAL, U32},
    {"auth_method", PROPERTY_AUTHENTICATION_METHOD, OTHER},
    {"auth_data", PROPERTY_AUTHENTICATION_DATA, OTHER},
    {"request_problem", PROPERTY_REQUEST_PROBLEM_INFORMATION, BYTE},
    {"will_delay", PROPERTY_WILL_DELAY_INTERVAL, U32},
    {"request_response", PROPERTY_REQUEST_RESPONSE_INFORMATION, BYTE},
    {"server_reference", PROPERTY_SERVER_REFERENCE, OTHER},
    {"reason_string", PROPERTY_REASON_STRING, OTHER},
    {"receive_max", PROPERTY_RECEIVE_MAXIMUM, U16},
    {"alias_max", PROPERTY_TOPIC_ALIAS_MAXIMUM, U16},
    {"alias", PROPERTY_TOPIC_ALIAS, U16},
    {"maximum_qos", PROPERTY_MAXIMUM_QOS, BYTE},
    {"user", PROPERTY_USER_PROPERTY, OTHER},
    {"packet_max", PROPERTY_MAXIMUM_PACKET_SIZE, U32},
};

struct encoder {
    const char *text; /* whole, for the message about a mistake */
    const char *at;
    struct spec_bytes out;
    size_t capacity;
};

static void mistake(const struct encoder *e, const char *why)
{
    ck_abort_msg("packet spec: %s at \"%s\" in \"%s\"", why, e->at, e->text);
}

static void put(struct encoder *e, const void *bytes, size_t len)
{
    if (e->out.len + len > e->capacity) {
        e->capacity = 2 * (e->out.len + len) + 64;
        e->out.data = realloc(e->out.data, e->capacity);
        ck_assert_ptr_nonnull(e->out.data);
    }
    memcpy(e->out.data + e->out.len, bytes, len);
    e->out.len += len;
}

static void put_number(struct encoder *e, uint32_t number, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) {
        uint8_t byte = (uint8_t)(number >> 8 * i);
        put(e, &byte, 1);
    }
}

/* Put PREFIX in front of everything from position FROM. */
static void insert(struct encoder *e, size_t from, const uint8_t *prefix, size_t len)
{
    put(e, prefix, len);
    memmove(e->out.data + from + len, e->out.data + from, e->out.len - len - from);
    memcpy(e->out.data + from, prefix, len);
}

static void insert_u16(struct encoder *e, size_t from)
{
    size_t len = e->out.len - from;
    if (len > 65535) {
        mistake(e, "too long for a string");
    }
    insert(e, from, (uint8_t[]){(uint8_t)(len >> 8), (uint8_t)len}, 2);
}

static void insert_varint(struct encoder *e, size_t from)
{
    uint8_t prefix[4];
    size_t len = varint_encode(prefix, (uint32_t)(e->out.len - from));
    insert(e, from, prefix, len);
}

static void text_until(struct encoder *e, char end)
{
    const char *stop = strchr(++e->at, end);
    if (stop == NULL) {
        mistake(e, "text does not end");
        return;
    }
    put(e, e->at, (size_t)(stop - e->at));
    e->at = stop + 1;
}

/* A property's identifier and, if it is numeric, its value. @return false if no name stands here */
static bool property(struct encoder *e)
{
    size_t len = strspn(e->at, "abcdefghijklmnopqrstuvwxyz_");
    if (len == 0 || e->at[len] != ':') {
        return false;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i].name) != len || strncmp(names[i].name, e->at, len) != 0) {
            continue;
        }
        e->at += len + 1;
        put(e, &names[i].id, 1);
        if (names[i].value == OTHER) {
            return true;
        }
        char *end;
        uint32_t number = (uint32_t)strtoul(e->at, &end, 10);
        if (end == e->at) {
            mistake(e, "number expected");
        }
        e->at = end;
        if (names[i].value == VARINT) {
            uint8_t bytes[4];
            put(e, bytes, varint_encode(bytes, number));
        } else {
            put_number(e, number, names[i].value == BYTE ? 1 : names[i].value == U16 ? 2 : 4);
        }
        return true;
    }
    mistake(e, "unknown property");
    return false;
}

static void hex(struct encoder *e)
{
    char digits[3] = {e->at[0], e->at[0] == '\0' ? '\0' : e->at[1], '\0'};
    if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1])) {
        mistake(e, "not understood");
        return;
    }
    uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
    put(e, &byte, 1);
    e->at += 2;
}

/* Everything up to END, which is stepped over. */
static void sequence(struct encoder *e, char end)
{
    while (*e->at != end) {
        size_t from = e->out.len;
        switch (*e->at) {
        case '\0':
            mistake(e, "bracket does not end");
            return;
        case ' ':
        case '\n':
            e->at++;
            break;
        case '<':
            text_until(e, '>');
            insert_u16(e, from);
            break;
        case '\'':
            text_until(e, '\'');
            break;
        case '[':
            e->at++;
            sequence(e, ']');
            insert_u16(e, from);
            break;
        case '{':
            e->at++;
            sequence(e, '}');
            insert_varint(e, from);
            break;
        default:
            if (!property(e)) {
                hex(e);
            }
        }
    }
    if (end != '\0') {
        e->at++;
    }
}

struct spec_bytes spec_encode(const char *text)
{
    struct encoder e = {.text = text, .at = text};
    if (text != NULL) {
        sequence(&e, '\0');
    }
    return e.out;
}

struct spec_bytes spec_vencode(const char *format, va_list arguments)
{
    char *text;
    ck_assert_int_ge(vasprintf(&text, format, arguments), 0);
    struct spec_bytes bytes = spec_encode(text);
    free(text);
    return bytes;
}
