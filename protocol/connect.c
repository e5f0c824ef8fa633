/*
 * CONNECT and CONNACK. The name and level at the front decide by which version the rest is read; until they are known,
 * a fault can only be answered by the best guess.
 */
#include "protocol/connect.h"

#include "protocol/reason.h"
#include "protocol/topic.h"
#include "protocol/utf8.h"
#include "protocol/wire.h"

#define CONNECT_RESERVED    0x01u
#define CONNECT_CLEAN_START 0x02u
#define CONNECT_WILL        0x04u
#define CONNECT_WILL_QOS    0x18u
#define CONNECT_WILL_RETAIN 0x20u
#define CONNECT_PASSWORD    0x40u
#define CONNECT_USER_NAME   0x80u

#define LEVEL_BRIDGE 0x80u /* 3.x: set by bridges */

#define CONNACK_SESSION_PRESENT 0x01u
#define CONNACK_RETURN_CODE_MAX 5u /* 3.x */

static const char *protocol_name(enum mqtt_version version)
{
    return version == MQTT_3_1 ? "MQIsdp" : "MQTT";
}

/* Read name and level, set version and bridge. [MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT311-3.1.2-1] [MQTT311-3.1.2-2] */
static void read_version(struct wire *w, struct connect *out)
{
    struct bytes name = wire_get_block(w);
    bool is_mqtt = bytes_equal(name, bytes_from_string("MQTT"));
    bool is_mqisdp = bytes_equal(name, bytes_from_string("MQIsdp"));
    out->version = (enum mqtt_version)0;
    if (!is_mqtt && !is_mqisdp) {
        wire_fail(w, REASON_UNSUPPORTED_PROTOCOL_VERSION, "protocol name is not MQTT");
        return;
    }
    out->version = MQTT_3_1_1;
    uint8_t level = wire_get_u8(w);
    if (w->fault.reason_code != 0) {
        return;
    }
    unsigned base = level & ~LEVEL_BRIDGE;
    out->bridge = (level & LEVEL_BRIDGE) != 0;
    if (is_mqtt && level == MQTT_5_0) {
        out->version = MQTT_5_0;
    } else if (is_mqisdp && base == MQTT_3_1) {
        out->version = MQTT_3_1;
    } else if (!is_mqtt || base != MQTT_3_1_1) {
        out->version = level > MQTT_5_0 ? MQTT_5_0 : MQTT_3_1_1;
        wire_fail(w, REASON_UNSUPPORTED_PROTOCOL_VERSION, "protocol level is not supported");
    }
}

static void read_flags(struct wire *w, struct connect *out)
{
    uint8_t flags = wire_get_u8(w);
    out->clean_start = (flags & CONNECT_CLEAN_START) != 0;
    out->has_will = (flags & CONNECT_WILL) != 0;
    out->will_qos = (uint8_t)((flags & CONNECT_WILL_QOS) >> 3);
    out->will_retain = (flags & CONNECT_WILL_RETAIN) != 0;
    out->has_password = (flags & CONNECT_PASSWORD) != 0;
    out->has_user_name = (flags & CONNECT_USER_NAME) != 0;
    if (out->version == MQTT_3_1 && !out->has_will) {
        out->will_qos = 0; /* 3.1 does not say that the bits are 0 then */
        out->will_retain = false;
    }
    if ((flags & CONNECT_RESERVED) != 0 && out->version != MQTT_3_1) {
        /* [MQTT-3.1.2-3] */
        wire_fail(w, REASON_MALFORMED_PACKET, "reserved bit of the connect flags is set");
    } else if (!out->has_will && (out->will_qos != 0 || out->will_retain)) {
        /* [MQTT-3.1.2-11] [MQTT-3.1.2-13] */
        wire_fail(w, REASON_MALFORMED_PACKET, "will QoS or will retain without a will");
    } else if (out->will_qos == 3) {
        wire_fail(w, REASON_MALFORMED_PACKET, "will QoS is 3"); /* [MQTT-3.1.2-12] */
    } else if (out->has_password && !out->has_user_name && out->version != MQTT_5_0) {
        wire_fail(w, REASON_MALFORMED_PACKET, "password without user name"); /* [MQTT311-3.1.2-22] */
    }
}

static void read_properties(struct wire *w, struct connect *out)
{
    wire_get_properties(w, PACKET_CONNECT, &out->properties);
    if (properties_has(&out->properties, PROPERTY_AUTHENTICATION_DATA) &&
        !properties_has(&out->properties, PROPERTY_AUTHENTICATION_METHOD)) {
        wire_fail(w, REASON_PROTOCOL_ERROR, "authentication data without authentication method");
    }
}

static void read_will(struct wire *w, struct connect *out)
{
    if (out->version == MQTT_5_0) {
        wire_get_properties(w, PROPERTY_PLACE_WILL, &out->will_properties);
    }
    out->will_topic = wire_get_string(w, "will topic is not valid UTF-8"); /* [MQTT-3.1.3-11] */
    out->will_payload = wire_get_block(w);
    if (!topic_name_is_valid(out->will_topic)) {
        wire_fail(w, REASON_TOPIC_NAME_INVALID,
                  out->will_topic.len == 0 ? "will topic is empty" : "will topic has a wildcard");
    }
}

/*
 * In 3.1 the Remaining Length outranks the flags of user name and password: a field that is flagged
 * but would begin behind the end counts as not given.
 */
static bool field_is_there(const struct wire *w, bool flagged, enum mqtt_version version)
{
    return flagged && (version != MQTT_3_1 || wire_left(w) > 0);
}

bool connect_decode(struct bytes body, struct connect *out, struct fault *fault)
{
    const struct bytes none = {NULL, 0};
    struct wire w = wire_over(body);
    read_version(&w, out);
    if (w.fault.reason_code != 0) {
        return wire_finish(&w, fault);
    }
    read_flags(&w, out);
    out->keep_alive_s = wire_get_u16(&w);
    wire_no_properties(&out->properties);
    if (out->version == MQTT_5_0) {
        read_properties(&w, out);
    }
    /* [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4] */
    out->client_id = wire_get_string(&w, "client identifier is not valid UTF-8");
    wire_no_properties(&out->will_properties);
    out->will_topic = none;
    out->will_payload = none;
    if (out->has_will) {
        read_will(&w, out);
    }
    /* [MQTT-3.1.2-16] to [MQTT-3.1.2-19], [MQTT-3.1.3-12] */
    out->has_user_name = field_is_there(&w, out->has_user_name, out->version);
    out->user_name = out->has_user_name ? wire_get_string(&w, "user name is not valid UTF-8") : none;
    out->has_password = field_is_there(&w, out->has_password, out->version);
    out->password = out->has_password ? wire_get_block(&w) : none;
    return wire_finish_empty(&w, fault);
}

static size_t body_len(const struct connect *c, struct bytes extra, struct bytes will_extra)
{
    size_t len = 2 + strlen(protocol_name(c->version)) + 1 + 1 + 2;
    if (c->version == MQTT_5_0) {
        len = wire_add(len, properties_encoded_len(&c->properties, extra));
    }
    len = wire_add(len, wire_block_len(c->client_id));
    if (c->has_will) {
        if (c->version == MQTT_5_0) {
            len = wire_add(len, properties_encoded_len(&c->will_properties, will_extra));
        }
        len = wire_add(len, wire_block_len(c->will_topic));
        len = wire_add(len, wire_block_len(c->will_payload));
    }
    if (c->has_user_name) {
        len = wire_add(len, wire_block_len(c->user_name));
    }
    if (c->has_password) {
        len = wire_add(len, wire_block_len(c->password));
    }
    return len;
}

size_t connect_encoded_len(const struct connect *c, struct bytes extra, struct bytes will_extra)
{
    size_t len = body_len(c, extra, will_extra);
    return len <= PACKET_BODY_MAX ? packet_len((uint32_t)len) : SIZE_MAX;
}

static uint8_t pack_flags(const struct connect *c)
{
    unsigned flags = 0;
    flags |= c->clean_start ? CONNECT_CLEAN_START : 0;
    flags |= c->has_user_name ? CONNECT_USER_NAME : 0;
    flags |= c->has_password ? CONNECT_PASSWORD : 0;
    if (c->has_will) {
        flags |= CONNECT_WILL | ((unsigned)c->will_qos << 3 & CONNECT_WILL_QOS);
        flags |= c->will_retain ? CONNECT_WILL_RETAIN : 0;
    }
    return (uint8_t)flags;
}

size_t connect_encode(uint8_t *buf, size_t cap, const struct connect *c, struct bytes extra, struct bytes will_extra)
{
    size_t len = body_len(c, extra, will_extra);
    if (!wire_fits(len, cap)) {
        return 0;
    }
    const uint8_t *end = buf + cap;
    unsigned level = (unsigned)c->version | (c->bridge && c->version != MQTT_5_0 ? LEVEL_BRIDGE : 0);
    uint8_t *at = wire_put_u8(buf, (uint8_t)((unsigned)PACKET_CONNECT << 4));
    at = wire_put_varint(at, (uint32_t)len);
    at = wire_put_block(at, bytes_from_string(protocol_name(c->version)));
    at = wire_put_u8(at, (uint8_t)level);
    at = wire_put_u8(at, pack_flags(c));
    at = wire_put_u16(at, c->keep_alive_s);
    if (c->version == MQTT_5_0) {
        at += properties_encode(at, (size_t)(end - at), &c->properties, extra);
    }
    at = wire_put_block(at, c->client_id);
    if (c->has_will) {
        if (c->version == MQTT_5_0) {
            at += properties_encode(at, (size_t)(end - at), &c->will_properties, will_extra);
        }
        at = wire_put_block(at, c->will_topic);
        at = wire_put_block(at, c->will_payload);
    }
    if (c->has_user_name) {
        at = wire_put_block(at, c->user_name);
    }
    if (c->has_password) {
        at = wire_put_block(at, c->password);
    }
    return (size_t)(at - buf);
}

bool connack_decode(struct bytes body, enum mqtt_version version, struct connack *out, struct fault *fault)
{
    struct wire w = wire_over(body);
    uint8_t flags = wire_get_u8(&w);
    if (version == MQTT_3_1) {
        flags = 0; /* a byte without meaning there */
    }
    out->session_present = (flags & CONNACK_SESSION_PRESENT) != 0;
    out->reason_code = wire_get_u8(&w);
    wire_no_properties(&out->properties);
    if ((flags & ~CONNACK_SESSION_PRESENT) != 0) {
        wire_fail(&w, REASON_MALFORMED_PACKET, "reserved bits of the connect acknowledge flags are set");
    } else if (out->session_present && out->reason_code != 0) {
        /* [MQTT-3.2.2-6] [MQTT311-3.2.2-4] */
        wire_fail(&w, REASON_PROTOCOL_ERROR, "session present in a refusal");
    } else if (version == MQTT_5_0 ? !reason_is_allowed(PACKET_CONNACK, out->reason_code, false)
                                   : out->reason_code > CONNACK_RETURN_CODE_MAX) {
        wire_fail(&w, REASON_PROTOCOL_ERROR, "reason code is not one of this packet"); /* [MQTT-3.2.2-8] */
    }
    if (version == MQTT_5_0) {
        wire_get_properties(&w, PACKET_CONNACK, &out->properties);
    }
    return wire_finish_empty(&w, fault);
}

size_t connack_encode(uint8_t *buf, size_t cap, const struct connack *c, struct bytes extra, enum mqtt_version version)
{
    size_t section_len = version == MQTT_5_0 ? properties_encoded_len(&c->properties, extra) : 0;
    size_t len = wire_add(2, section_len);
    if (!wire_fits(len, cap)) {
        return 0;
    }
    bool session_present = c->session_present && version != MQTT_3_1;
    uint8_t *at = wire_put_u8(buf, (uint8_t)((unsigned)PACKET_CONNACK << 4));
    at = wire_put_varint(at, (uint32_t)len);
    at = wire_put_u8(at, session_present ? CONNACK_SESSION_PRESENT : 0); /* [MQTT-3.2.2-1] */
    at = wire_put_u8(at, c->reason_code);
    if (version == MQTT_5_0) {
        at += properties_encode(at, section_len, &c->properties, extra);
    }
    return (size_t)(at - buf);
}
