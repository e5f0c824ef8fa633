/*
 * The properties, from one table: type, where allowed, where repeatable, range, and the member that holds it.
 *
 * Reading a value needs its type only (entry_read), so that stepping through an accepted section and decoding a
 * hostile one share the code that moves the cursor. What else the table says is checked in entry_accept.
 */
#include "protocol/property.h"

#include "protocol/reason.h"
#include "protocol/topic.h"
#include "protocol/utf8.h"
#include "protocol/wire.h"

enum value_type {
    VALUE_NONE, /* no such property */
    VALUE_BYTE,
    VALUE_U16,
    VALUE_U32,
    VALUE_VARINT,
    VALUE_STRING,
    VALUE_BINARY,
    VALUE_PAIR,
};

enum value_range {
    RANGE_ANY,
    RANGE_FLAG, /* 0 or 1 */
    RANGE_NOT_ZERO,
    RANGE_ALIAS, /* not 0, with a reason code of its own */
    RANGE_TOPIC, /* a topic name */
};

struct property_rule {
    uint8_t type;
    uint8_t range;
    uint16_t places;  /* bit n: allowed in packet type n; bit 0: in the Will Properties */
    uint16_t repeats; /* the same bits: may stand more than once */
    uint16_t member;  /* offset in struct properties */
};

#define PROPERTY_IDS 64u /* identifiers fit the bits of properties.present */

#define AT(place)    (1u << (unsigned)(place))
#define WILL         AT(PROPERTY_PLACE_WILL)
#define CONNECT      AT(PACKET_CONNECT)
#define CONNACK      AT(PACKET_CONNACK)
#define PUBLISH      AT(PACKET_PUBLISH)
#define SUBSCRIBE    AT(PACKET_SUBSCRIBE)
#define DISCONNECT   AT(PACKET_DISCONNECT)
#define AUTH         AT(PACKET_AUTH)
#define ACKS         (AT(PACKET_PUBACK) | AT(PACKET_PUBREC) | AT(PACKET_PUBREL) | AT(PACKET_PUBCOMP))
#define SUB_ACKS     (AT(PACKET_SUBACK) | AT(PACKET_UNSUBACK))
#define ANSWERS      (CONNACK | ACKS | SUB_ACKS | DISCONNECT | AUTH)
#define EVERYWHERE   (ANSWERS | WILL | CONNECT | PUBLISH | SUBSCRIBE | AT(PACKET_UNSUBSCRIBE))
#define MEMBER(name) ((uint16_t)offsetof(struct properties, name))
#define ONCE         0

static const struct property_rule rules[PROPERTY_IDS] = {
    [PROPERTY_PAYLOAD_FORMAT_INDICATOR] = {VALUE_BYTE, RANGE_FLAG, PUBLISH | WILL, ONCE,
                                           MEMBER(payload_format_indicator)},
    [PROPERTY_MESSAGE_EXPIRY_INTERVAL] = {VALUE_U32, RANGE_ANY, PUBLISH | WILL, ONCE,
                                          MEMBER(message_expiry_interval_s)},
    [PROPERTY_CONTENT_TYPE] = {VALUE_STRING, RANGE_ANY, PUBLISH | WILL, ONCE, MEMBER(content_type)},
    [PROPERTY_RESPONSE_TOPIC] = {VALUE_STRING, RANGE_TOPIC, PUBLISH | WILL, ONCE, MEMBER(response_topic)},
    [PROPERTY_CORRELATION_DATA] = {VALUE_BINARY, RANGE_ANY, PUBLISH | WILL, ONCE, MEMBER(correlation_data)},
    [PROPERTY_SUBSCRIPTION_IDENTIFIER] = {VALUE_VARINT, RANGE_NOT_ZERO, PUBLISH | SUBSCRIBE, PUBLISH,
                                          MEMBER(subscription_identifier)},
    [PROPERTY_SESSION_EXPIRY_INTERVAL] = {VALUE_U32, RANGE_ANY, CONNECT | CONNACK | DISCONNECT, ONCE,
                                          MEMBER(session_expiry_interval_s)},
    [PROPERTY_ASSIGNED_CLIENT_IDENTIFIER] = {VALUE_STRING, RANGE_ANY, CONNACK, ONCE,
                                             MEMBER(assigned_client_identifier)},
    [PROPERTY_SERVER_KEEP_ALIVE] = {VALUE_U16, RANGE_ANY, CONNACK, ONCE, MEMBER(server_keep_alive_s)},
    [PROPERTY_AUTHENTICATION_METHOD] = {VALUE_STRING, RANGE_ANY, CONNECT | CONNACK | AUTH, ONCE,
                                        MEMBER(authentication_method)},
    [PROPERTY_AUTHENTICATION_DATA] = {VALUE_BINARY, RANGE_ANY, CONNECT | CONNACK | AUTH, ONCE,
                                      MEMBER(authentication_data)},
    [PROPERTY_REQUEST_PROBLEM_INFORMATION] = {VALUE_BYTE, RANGE_FLAG, CONNECT, ONCE,
                                              MEMBER(request_problem_information)},
    [PROPERTY_WILL_DELAY_INTERVAL] = {VALUE_U32, RANGE_ANY, WILL, ONCE, MEMBER(will_delay_interval_s)},
    [PROPERTY_REQUEST_RESPONSE_INFORMATION] = {VALUE_BYTE, RANGE_FLAG, CONNECT, ONCE,
                                               MEMBER(request_response_information)},
    [PROPERTY_RESPONSE_INFORMATION] = {VALUE_STRING, RANGE_ANY, CONNACK, ONCE, MEMBER(response_information)},
    [PROPERTY_SERVER_REFERENCE] = {VALUE_STRING, RANGE_ANY, CONNACK | DISCONNECT, ONCE, MEMBER(server_reference)},
    [PROPERTY_REASON_STRING] = {VALUE_STRING, RANGE_ANY, ANSWERS, ONCE, MEMBER(reason_string)},
    [PROPERTY_RECEIVE_MAXIMUM] = {VALUE_U16, RANGE_NOT_ZERO, CONNECT | CONNACK, ONCE, MEMBER(receive_maximum)},
    [PROPERTY_TOPIC_ALIAS_MAXIMUM] = {VALUE_U16, RANGE_ANY, CONNECT | CONNACK, ONCE, MEMBER(topic_alias_maximum)},
    [PROPERTY_TOPIC_ALIAS] = {VALUE_U16, RANGE_ALIAS, PUBLISH, ONCE, MEMBER(topic_alias)},
    [PROPERTY_MAXIMUM_QOS] = {VALUE_BYTE, RANGE_FLAG, CONNACK, ONCE, MEMBER(maximum_qos)},
    [PROPERTY_RETAIN_AVAILABLE] = {VALUE_BYTE, RANGE_FLAG, CONNACK, ONCE, MEMBER(retain_available)},
    [PROPERTY_USER_PROPERTY] = {VALUE_PAIR, RANGE_ANY, EVERYWHERE, EVERYWHERE, 0},
    [PROPERTY_MAXIMUM_PACKET_SIZE] = {VALUE_U32, RANGE_NOT_ZERO, CONNECT | CONNACK, ONCE, MEMBER(maximum_packet_size)},
    [PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE] = {VALUE_BYTE, RANGE_FLAG, CONNACK, ONCE,
                                                  MEMBER(wildcard_subscription_available)},
    [PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE] = {VALUE_BYTE, RANGE_FLAG, CONNACK, ONCE,
                                                    MEMBER(subscription_identifier_available)},
    [PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE] = {VALUE_BYTE, RANGE_FLAG, CONNACK, ONCE,
                                                MEMBER(shared_subscription_available)},
};

/* Read one entry, which must not leave W. Only its extent and type are looked at. */
static void entry_read(struct wire *w, struct property_entry *e)
{
    const uint8_t *start = w->at;
    uint8_t id = wire_get_u8(w); /* all identifiers are below 128: one byte each */
    *e = (struct property_entry){.id = (enum property_id)id};
    switch (id < PROPERTY_IDS ? rules[id].type : VALUE_NONE) {
    case VALUE_BYTE:
        e->number = wire_get_u8(w);
        break;
    case VALUE_U16:
        e->number = wire_get_u16(w);
        break;
    case VALUE_U32:
        e->number = wire_get_u32(w);
        break;
    case VALUE_VARINT:
        e->number = wire_get_varint(w);
        break;
    case VALUE_STRING:
    case VALUE_BINARY:
        e->value = wire_get_block(w);
        break;
    case VALUE_PAIR:
        e->name = wire_get_block(w);
        e->value = wire_get_block(w);
        break;
    default:
        wire_fail(w, REASON_MALFORMED_PACKET, "property identifier is unknown");
        break;
    }
    if (w->fault.reason_code == 0) {
        e->whole = (struct bytes){start, (size_t)(w->at - start)};
    }
}

/* Check E against its rule, but for its place and repetition. */
static void entry_check(struct wire *w, const struct property_rule *rule, const struct property_entry *e)
{
    if (rule->type == VALUE_STRING || rule->type == VALUE_PAIR) {
        /* [MQTT-1.5.4-1] [MQTT-1.5.7-1] */
        if (!utf8_is_valid_string(e->name) || !utf8_is_valid_string(e->value)) {
            wire_fail(w, REASON_MALFORMED_PACKET, "property is not valid UTF-8");
            return;
        }
    }
    switch ((enum value_range)rule->range) {
    case RANGE_ANY:
        break;
    case RANGE_FLAG:
        if (e->number > 1) {
            wire_fail(w, REASON_PROTOCOL_ERROR, "property is neither 0 nor 1");
        }
        break;
    case RANGE_NOT_ZERO:
        if (e->number == 0) {
            wire_fail(w, REASON_PROTOCOL_ERROR, "property is 0");
        }
        break;
    case RANGE_ALIAS:
        if (e->number == 0) {
            wire_fail(w, REASON_TOPIC_ALIAS_INVALID, "topic alias is 0"); /* [MQTT-3.3.2-8] */
        }
        break;
    case RANGE_TOPIC:
        if (!topic_name_is_valid(e->value)) {
            wire_fail(w, REASON_PROTOCOL_ERROR, "response topic is no topic name"); /* [MQTT-3.3.2-14] */
        }
        break;
    }
}

static void count_saturating(uint16_t *count)
{
    if (*count < UINT16_MAX) {
        (*count)++;
    }
}

/* Put the value of E, the first of its kind, into its member of P. */
static void entry_store(const struct property_rule *rule, const struct property_entry *e, struct properties *p)
{
    void *member = (uint8_t *)p + rule->member;
    switch (rule->type) {
    case VALUE_BYTE:
        *(uint8_t *)member = (uint8_t)e->number;
        break;
    case VALUE_U16:
        *(uint16_t *)member = (uint16_t)e->number;
        break;
    case VALUE_U32:
    case VALUE_VARINT:
        *(uint32_t *)member = e->number;
        break;
    case VALUE_STRING:
    case VALUE_BINARY:
        *(struct bytes *)member = e->value;
        break;
    default:
        break;
    }
}

/* Accept the entry that was read into E as one of PLACE, or fail W. */
static void entry_accept(struct wire *w, const struct property_entry *e, unsigned place, struct properties *out)
{
    const struct property_rule *rule = &rules[e->id];
    if ((rule->places >> place & 1u) == 0) {
        wire_fail(w, REASON_MALFORMED_PACKET, "property is not allowed in this packet");
        return;
    }
    bool repeated = properties_has(out, e->id);
    if (repeated && (rule->repeats >> place & 1u) == 0) {
        wire_fail(w, REASON_PROTOCOL_ERROR, "property stands twice");
        return;
    }
    entry_check(w, rule, e);
    if (e->id == PROPERTY_USER_PROPERTY) {
        count_saturating(&out->user_properties);
    } else if (e->id == PROPERTY_SUBSCRIPTION_IDENTIFIER) {
        count_saturating(&out->subscription_identifiers);
    }
    if (!repeated) {
        entry_store(rule, e, out);
        properties_set(out, e->id);
    }
}

int properties_decode(const uint8_t *buf, size_t len, unsigned place, struct properties *out, struct fault *fault)
{
    wire_no_properties(out);
    if (len > 0 && buf[0] == 0) { /* nearly always */
        out->raw.data = buf + 1;
        return 1;
    }
    uint32_t section_len;
    int prefix_len = varint_decode(buf, len, &section_len);
    if (prefix_len <= 0) {
        wire_refuse(fault, REASON_MALFORMED_PACKET, "property length is malformed");
        return -1;
    }
    if (section_len > len - (size_t)prefix_len) {
        wire_refuse(fault, REASON_MALFORMED_PACKET, "property length leaves the packet");
        return -1;
    }
    out->raw = (struct bytes){buf + prefix_len, section_len};
    struct wire w = wire_over(out->raw);
    while (wire_left(&w) > 0) {
        struct property_entry e;
        entry_read(&w, &e);
        if (w.fault.reason_code == 0) {
            entry_accept(&w, &e, place, out);
        }
    }
    return wire_finish(&w, fault) ? prefix_len + (int)section_len : -1;
}

bool properties_next(struct bytes *cursor, struct property_entry *entry)
{
    if (cursor->len == 0) {
        return false;
    }
    struct wire w = wire_over(*cursor);
    struct property_entry e;
    entry_read(&w, &e);
    if (w.fault.reason_code != 0) {
        return false; /* the section was never accepted */
    }
    *entry = e;
    *cursor = wire_get_rest(&w);
    return true;
}

#define BIT(id) (UINT64_C(1) << (unsigned)(id))

static const uint64_t not_forwarded = BIT(PROPERTY_MESSAGE_EXPIRY_INTERVAL) | BIT(PROPERTY_TOPIC_ALIAS) |
                                      BIT(PROPERTY_SUBSCRIPTION_IDENTIFIER) | BIT(PROPERTY_WILL_DELAY_INTERVAL);

struct bytes properties_forwarded(const struct properties *p, uint8_t *buf)
{
    if ((p->present & not_forwarded) == 0) {
        return p->raw;
    }
    uint8_t *at = buf;
    struct bytes cursor = p->raw;
    struct property_entry e;
    while (properties_next(&cursor, &e)) {
        if ((not_forwarded & BIT(e.id)) == 0) {
            at = wire_put_bytes(at, e.whole);
        }
    }
    return (struct bytes){buf, (size_t)(at - buf)};
}

/* Bytes of the property of RULE with its identifier; 0 if it has no member of its own. */
static size_t member_len(const struct property_rule *rule, const struct properties *p)
{
    switch (rule->type) {
    case VALUE_BYTE:
        return 2;
    case VALUE_U16:
        return 3;
    case VALUE_U32:
        return 5;
    case VALUE_STRING:
    case VALUE_BINARY:
        return wire_add(1, wire_block_len(*(const struct bytes *)(const void *)((const uint8_t *)p + rule->member)));
    default:
        return 0;
    }
}

/* Length of the section without its prefix; more than VARINT_MAX if there can be no such section. */
static size_t section_content_len(const struct properties *p, struct bytes extra)
{
    size_t len = extra.len;
    for (uint64_t left = p->present; left != 0; left &= left - 1) {
        len = wire_add(len, member_len(&rules[__builtin_ctzll(left)], p));
    }
    return len;
}

size_t properties_encoded_len(const struct properties *p, struct bytes extra)
{
    size_t content_len = section_content_len(p, extra);
    return content_len > VARINT_MAX ? SIZE_MAX : varint_len((uint32_t)content_len) + content_len;
}

static uint8_t *member_put(uint8_t *at, uint8_t id, const struct properties *p)
{
    const void *member = (const uint8_t *)p + rules[id].member;
    switch (rules[id].type) {
    case VALUE_BYTE:
        return wire_put_u8(wire_put_u8(at, id), *(const uint8_t *)member);
    case VALUE_U16:
        return wire_put_u16(wire_put_u8(at, id), *(const uint16_t *)member);
    case VALUE_U32:
        return wire_put_u32(wire_put_u8(at, id), *(const uint32_t *)member);
    case VALUE_STRING:
    case VALUE_BINARY:
        return wire_put_block(wire_put_u8(at, id), *(const struct bytes *)member);
    default:
        return at;
    }
}

size_t properties_encode(uint8_t *buf, size_t cap, const struct properties *p, struct bytes extra)
{
    size_t content_len = section_content_len(p, extra);
    if (content_len > VARINT_MAX || varint_len((uint32_t)content_len) + content_len > cap) {
        return 0;
    }
    uint8_t *at = wire_put_varint(buf, (uint32_t)content_len);
    for (uint64_t left = p->present; left != 0; left &= left - 1) {
        at = member_put(at, (uint8_t)__builtin_ctzll(left), p);
    }
    return (size_t)(wire_put_bytes(at, extra) - buf);
}

size_t property_encode_user(uint8_t *buf, size_t cap, struct bytes name, struct bytes value)
{
    if (wire_add(1, wire_add(wire_block_len(name), wire_block_len(value))) > cap) {
        return 0;
    }
    uint8_t *at = wire_put_u8(buf, PROPERTY_USER_PROPERTY);
    return (size_t)(wire_put_block(wire_put_block(at, name), value) - buf);
}

size_t property_encode_subscription_identifier(uint8_t *buf, size_t cap, uint32_t id)
{
    if (id == 0 || id > VARINT_MAX || 1 + varint_len(id) > cap) {
        return 0;
    }
    return (size_t)(wire_put_varint(wire_put_u8(buf, PROPERTY_SUBSCRIPTION_IDENTIFIER), id) - buf);
}
