/*
 * SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK. A list is read by one function per kind of entry, both when it is checked
 * and when it is stepped through later.
 */
#include "protocol/subscribe.h"

#include "protocol/reason.h"
#include "protocol/utf8.h"
#include "protocol/wire.h"

#define OPTION_QOS                 0x03u
#define OPTION_NO_LOCAL            0x04u
#define OPTION_RETAIN_AS_PUBLISHED 0x08u
#define OPTION_RETAIN_HANDLING     0x30u
#define OPTION_RESERVED            0xC0u /* 5.0 */
#define OPTION_RESERVED_V3         0xFCu

/* Read a filter and check what every filter must be. [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-1] */
static struct bytes read_filter(struct wire *w)
{
    struct bytes filter = wire_get_string(w, "topic filter is not valid UTF-8");
    if (filter.len == 0) {
        wire_fail(w, REASON_MALFORMED_PACKET, "topic filter is empty");
    }
    return filter;
}

static void check_options(struct wire *w, uint8_t options, enum mqtt_version version)
{
    unsigned reserved = version == MQTT_5_0 ? OPTION_RESERVED : OPTION_RESERVED_V3;
    if (version == MQTT_3_1) {
        reserved = 0; /* 3.1 does not say what they must be */
    }
    if ((options & reserved) != 0) {
        wire_fail(w, REASON_MALFORMED_PACKET, "reserved subscription options are set"); /* [MQTT-3.8.3-5] */
    } else if ((options & OPTION_QOS) == 3) {
        /* [MQTT311-3.8.3-4] */
        wire_fail(w, version == MQTT_5_0 ? REASON_PROTOCOL_ERROR : REASON_MALFORMED_PACKET, "requested QoS is 3");
    } else if (version == MQTT_5_0 && (options & OPTION_RETAIN_HANDLING) == OPTION_RETAIN_HANDLING) {
        wire_fail(w, REASON_PROTOCOL_ERROR, "retain handling is 3");
    }
}

static struct subscribe_entry unpack_entry(struct bytes filter, uint8_t options, enum mqtt_version version)
{
    struct subscribe_entry entry = {.filter = filter, .qos = options & OPTION_QOS};
    if (version == MQTT_5_0) {
        entry.no_local = (options & OPTION_NO_LOCAL) != 0;
        entry.retain_as_published = (options & OPTION_RETAIN_AS_PUBLISHED) != 0;
        entry.retain_handling = (uint8_t)((options & OPTION_RETAIN_HANDLING) >> 4);
    }
    return entry;
}

static uint8_t pack_options(const struct subscribe_entry *entry, enum mqtt_version version)
{
    unsigned options = entry->qos & OPTION_QOS;
    if (version == MQTT_5_0) {
        options |= (entry->no_local ? OPTION_NO_LOCAL : 0) |
                   (entry->retain_as_published ? OPTION_RETAIN_AS_PUBLISHED : 0) |
                   ((unsigned)entry->retain_handling << 4 & OPTION_RETAIN_HANDLING);
    }
    return (uint8_t)options;
}

/* Packet id and properties, which begin all four packets. */
static void read_start(struct wire *w, enum packet_type type, enum mqtt_version version, uint16_t *packet_id,
                       struct properties *properties)
{
    *packet_id = wire_get_packet_id(w);
    wire_no_properties(properties);
    if (version == MQTT_5_0) {
        wire_get_properties(w, type, properties);
    }
}

bool subscribe_decode(struct bytes body, enum mqtt_version version, struct subscribe *out, struct fault *fault)
{
    struct wire w = wire_over(body);
    read_start(&w, PACKET_SUBSCRIBE, version, &out->packet_id, &out->properties);
    out->entries = (struct bytes){w.at, wire_left(&w)};
    out->entry_count = 0;
    while (wire_left(&w) > 0) {
        read_filter(&w);
        check_options(&w, wire_get_u8(&w), version);
        out->entry_count++;
    }
    if (out->entry_count == 0) {
        wire_fail(&w, REASON_PROTOCOL_ERROR, "no topic filter"); /* [MQTT-3.8.3-2] */
    }
    return wire_finish(&w, fault);
}

bool subscribe_next(struct bytes *cursor, enum mqtt_version version, struct subscribe_entry *entry)
{
    struct wire w = wire_over(*cursor);
    struct bytes filter = wire_get_block(&w);
    uint8_t options = wire_get_u8(&w);
    if (w.fault.reason_code != 0) {
        return false;
    }
    *entry = unpack_entry(filter, options, version);
    *cursor = wire_get_rest(&w);
    return true;
}

/* The property section of a request; SUBSCRIPTION_ID 0: none. Both 0 and empty in 3.x, where there is no section. */
struct request_section {
    uint32_t subscription_id;
    struct bytes extra;
    size_t content_len;
};

static struct request_section request_section(uint32_t subscription_id, struct bytes extra)
{
    size_t id_len = subscription_id == 0 ? 0 : 1 + varint_len(subscription_id);
    return (struct request_section){subscription_id, extra, wire_add(id_len, extra.len)};
}

/* Packet id and section. */
static size_t request_start_len(const struct request_section *section, enum mqtt_version version)
{
    if (version != MQTT_5_0) {
        return 2;
    }
    if (section->content_len > VARINT_MAX || section->subscription_id > VARINT_MAX) {
        return SIZE_MAX;
    }
    return 2 + varint_len((uint32_t)section->content_len) + section->content_len;
}

static uint8_t *request_put_start(uint8_t *at, enum packet_type type, size_t body_len, uint16_t packet_id,
                                  const struct request_section *section, enum mqtt_version version)
{
    at = wire_put_u8(at, (uint8_t)((unsigned)type << 4 | 2u)); /* [MQTT-3.8.1-1] [MQTT-3.10.1-1] */
    at = wire_put_varint(at, (uint32_t)body_len);
    at = wire_put_u16(at, packet_id);
    if (version != MQTT_5_0) {
        return at;
    }
    at = wire_put_varint(at, (uint32_t)section->content_len);
    if (section->subscription_id != 0) {
        at = wire_put_u8(at, PROPERTY_SUBSCRIPTION_IDENTIFIER);
        at = wire_put_varint(at, section->subscription_id);
    }
    return wire_put_bytes(at, section->extra);
}

size_t subscribe_encode(uint8_t *buf, size_t cap, uint16_t packet_id, const struct subscribe_entry *entries,
                        size_t count, uint32_t subscription_id, struct bytes extra, enum mqtt_version version)
{
    struct request_section section = request_section(subscription_id, extra);
    size_t body_len = request_start_len(&section, version);
    for (size_t i = 0; i < count; i++) {
        body_len = wire_add(body_len, wire_add(wire_block_len(entries[i].filter), 1));
    }
    if (!wire_fits(body_len, cap)) {
        return 0;
    }
    uint8_t *at = request_put_start(buf, PACKET_SUBSCRIBE, body_len, packet_id, &section, version);
    for (size_t i = 0; i < count; i++) {
        at = wire_put_block(at, entries[i].filter);
        at = wire_put_u8(at, pack_options(&entries[i], version));
    }
    return (size_t)(at - buf);
}

bool unsubscribe_decode(struct bytes body, enum mqtt_version version, struct unsubscribe *out, struct fault *fault)
{
    struct wire w = wire_over(body);
    read_start(&w, PACKET_UNSUBSCRIBE, version, &out->packet_id, &out->properties);
    out->entries = (struct bytes){w.at, wire_left(&w)};
    out->entry_count = 0;
    while (wire_left(&w) > 0) {
        read_filter(&w);
        out->entry_count++;
    }
    if (out->entry_count == 0) {
        wire_fail(&w, REASON_PROTOCOL_ERROR, "no topic filter"); /* [MQTT-3.10.3-2] */
    }
    return wire_finish(&w, fault);
}

bool unsubscribe_next(struct bytes *cursor, struct bytes *filter)
{
    struct wire w = wire_over(*cursor);
    struct bytes next = wire_get_block(&w);
    if (w.fault.reason_code != 0) {
        return false;
    }
    *filter = next;
    *cursor = wire_get_rest(&w);
    return true;
}

size_t unsubscribe_encode(uint8_t *buf, size_t cap, uint16_t packet_id, const struct bytes *filters, size_t count,
                          struct bytes extra, enum mqtt_version version)
{
    struct request_section section = request_section(0, extra);
    size_t body_len = request_start_len(&section, version);
    for (size_t i = 0; i < count; i++) {
        body_len = wire_add(body_len, wire_block_len(filters[i]));
    }
    if (!wire_fits(body_len, cap)) {
        return 0;
    }
    uint8_t *at = request_put_start(buf, PACKET_UNSUBSCRIBE, body_len, packet_id, &section, version);
    for (size_t i = 0; i < count; i++) {
        at = wire_put_block(at, filters[i]);
    }
    return (size_t)(at - buf);
}

/* True if CODE may stand in a SUBACK or UNSUBACK. [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT311-3.9.3-2] */
static bool suback_allows(enum packet_type type, uint8_t code, enum mqtt_version version)
{
    if (version == MQTT_5_0) {
        return reason_is_allowed(type, code, false);
    }
    return code <= REASON_GRANTED_QOS_2 || code == REASON_UNSPECIFIED_ERROR;
}

bool suback_decode(struct bytes body, enum packet_type type, enum mqtt_version version, struct suback *out,
                   struct fault *fault)
{
    struct wire w = wire_over(body);
    read_start(&w, type, version, &out->packet_id, &out->properties);
    if (type == PACKET_UNSUBACK && version != MQTT_5_0) {
        out->reason_codes = (struct bytes){NULL, 0};
        return wire_finish_empty(&w, fault);
    }
    out->reason_codes = wire_get_rest(&w);
    if (out->reason_codes.len == 0) {
        wire_fail(&w, REASON_PROTOCOL_ERROR, "no reason code");
    }
    for (size_t i = 0; i < out->reason_codes.len; i++) {
        if (!suback_allows(type, out->reason_codes.data[i], version)) {
            wire_fail(&w, REASON_PROTOCOL_ERROR, "reason code is not one of this packet");
            break;
        }
    }
    return wire_finish(&w, fault);
}

static uint8_t *put_reason_codes(uint8_t *at, struct bytes codes, enum mqtt_version version)
{
    if (version == MQTT_5_0) {
        return wire_put_bytes(at, codes);
    }
    for (size_t i = 0; i < codes.len; i++) {
        /* [MQTT311-3.9.3-2] one word for all failures */
        at = wire_put_u8(at, codes.data[i] >= 0x80 ? REASON_UNSPECIFIED_ERROR : codes.data[i]);
    }
    return at;
}

size_t suback_encode(uint8_t *buf, size_t cap, enum packet_type type, uint16_t packet_id, struct bytes reason_codes,
                     struct bytes reason_string, size_t max_len, enum mqtt_version version)
{
    const struct bytes none = {NULL, 0};
    struct properties p;
    wire_no_properties(&p);
    if (version != MQTT_5_0) {
        if (type == PACKET_UNSUBACK) {
            reason_codes = none;
        }
    } else if (reason_string.len > 0) {
        p.reason_string = reason_string;
        properties_set(&p, PROPERTY_REASON_STRING);
        size_t len = wire_add(wire_add(2, properties_encoded_len(&p, none)), reason_codes.len);
        if (!wire_fits(len, max_len == 0 ? SIZE_MAX : max_len)) {
            p.present = 0; /* [MQTT-3.9.2-1] [MQTT-3.11.2-1] */
        }
    }
    size_t section_len = version == MQTT_5_0 ? properties_encoded_len(&p, none) : 0;
    size_t body_len = wire_add(2 + section_len, reason_codes.len);
    if (!wire_fits(body_len, cap)) {
        return 0;
    }
    uint8_t *at = wire_put_u8(buf, (uint8_t)((unsigned)type << 4));
    at = wire_put_varint(at, (uint32_t)body_len);
    at = wire_put_u16(at, packet_id);
    if (version == MQTT_5_0) {
        at += properties_encode(at, section_len, &p, none);
    }
    return (size_t)(put_reason_codes(at, reason_codes, version) - buf);
}
