/*
 * PUBLISH, the hot path. The decoder touches each byte of the topic once and no byte of the payload; a 5.0 packet
 * without properties costs one byte more than one of 3.1.1.
 */
#include "protocol/publish.h"

#include "protocol/reason.h"
#include "protocol/topic.h"
#include "protocol/utf8.h"
#include "protocol/wire.h"

/* Tell what is wrong with TOPIC, which is no valid topic name. */
static __attribute__((cold)) bool refuse_topic(struct bytes topic, struct fault *fault)
{
    if (!utf8_is_valid_string(topic)) {
        return wire_refuse(fault, REASON_MALFORMED_PACKET, "topic name is not valid UTF-8"); /* [MQTT-3.3.2-1] */
    }
    return wire_refuse(fault, REASON_TOPIC_NAME_INVALID,
                       topic.len == 0 ? "topic name is empty" : "topic name has a wildcard"); /* [MQTT-3.3.2-2] */
}

/* Read a 5.0 property section into OUT and check what concerns PUBLISH as a whole. */
static void decode_properties(struct wire *w, bool from_client, struct publish *out)
{
    wire_get_properties(w, PACKET_PUBLISH, &out->properties);
    if (from_client && properties_has(&out->properties, PROPERTY_SUBSCRIPTION_IDENTIFIER)) {
        /* [MQTT-3.3.4-6] */
        wire_fail(w, REASON_PROTOCOL_ERROR, "subscription identifier in a publish of a client");
    } else if (out->topic.len == 0 && !properties_has(&out->properties, PROPERTY_TOPIC_ALIAS)) {
        wire_fail(w, REASON_PROTOCOL_ERROR, "topic name is empty and there is no topic alias");
    }
}

bool publish_decode(struct bytes body, uint8_t flags, enum mqtt_version version, bool from_client, struct publish *out,
                    struct fault *fault)
{
    struct wire w = wire_over(body);
    out->dup = (flags & PUBLISH_DUP) != 0;
    out->retain = (flags & PUBLISH_RETAIN) != 0;
    out->qos = flags >> 1 & 3u;
    if (out->qos == 3) {
        return wire_refuse(fault, REASON_MALFORMED_PACKET, "QoS is 3"); /* [MQTT-3.3.1-4] */
    }
    if (out->dup && out->qos == 0) {
        return wire_refuse(fault, REASON_MALFORMED_PACKET, "DUP is set with QoS 0"); /* [MQTT-3.3.1-2] */
    }
    out->topic = wire_get_block(&w);
    out->packet_id = out->qos > 0 ? wire_get_packet_id(&w) : 0; /* [MQTT-2.2.1-2] */
    if (w.fault.reason_code != 0) {
        return wire_finish(&w, fault);
    }
    if (!topic_name_is_valid(out->topic) && (out->topic.len > 0 || version != MQTT_5_0)) {
        return refuse_topic(out->topic, fault);
    }
    if (version == MQTT_5_0) {
        decode_properties(&w, from_client, out);
    } else {
        wire_no_properties(&out->properties);
    }
    out->payload = wire_get_rest(&w);
    return wire_finish(&w, fault);
}

bool publish_payload_is_valid(const struct publish *p)
{
    return !properties_has(&p->properties, PROPERTY_PAYLOAD_FORMAT_INDICATOR) ||
           p->properties.payload_format_indicator != 1 || utf8_is_valid_text(p->payload);
}

/* What a head needs, computed once per encoding. */
struct head_len {
    uint32_t properties; /* content of the property section */
    uint32_t body;       /* Remaining Length */
    bool ok;             /* false: no PUBLISH can be that large */
};

static inline struct head_len measure(const struct publish_head *h, enum mqtt_version version)
{
    struct head_len len = {0, 0, false};
    /* each of them below 2^28, so that sums cannot overflow 32 bits before they are compared */
    if (h->topic.len > WIRE_BLOCK_MAX || h->payload_len > PACKET_BODY_MAX) {
        return len;
    }
    len.body = (uint32_t)(2 + h->topic.len + (h->qos > 0 ? 2u : 0u));
    if (version == MQTT_5_0) {
        if (h->subscription_ids.len > PACKET_BODY_MAX || h->forwarded_properties.len > PACKET_BODY_MAX) {
            return len;
        }
        len.properties = (uint32_t)((h->topic_alias != 0 ? 3u : 0u) + (h->has_message_expiry ? 5u : 0u) +
                                    h->subscription_ids.len + h->forwarded_properties.len);
        if (len.properties > PACKET_BODY_MAX) {
            return len;
        }
        len.body += (uint32_t)varint_len(len.properties) + len.properties;
    }
    len.body += (uint32_t)h->payload_len;
    len.ok = len.body <= PACKET_BODY_MAX;
    return len;
}

size_t publish_encoded_len(const struct publish_head *h, enum mqtt_version version)
{
    struct head_len len = measure(h, version);
    return len.ok ? packet_len(len.body) : SIZE_MAX;
}

static uint8_t *put_properties(uint8_t *at, const struct publish_head *h, uint32_t section_len)
{
    at = wire_put_varint(at, section_len); /* [MQTT-2.2.2-1] 0 too */
    if (section_len == 0) {
        return at;
    }
    if (h->topic_alias != 0) { /* [MQTT-3.3.2-8] */
        at = wire_put_u16(wire_put_u8(at, PROPERTY_TOPIC_ALIAS), h->topic_alias);
    }
    if (h->has_message_expiry) {
        at = wire_put_u32(wire_put_u8(at, PROPERTY_MESSAGE_EXPIRY_INTERVAL), h->message_expiry_interval_s);
    }
    return wire_put_bytes(wire_put_bytes(at, h->subscription_ids), h->forwarded_properties);
}

size_t publish_encode_head(uint8_t *buf, size_t cap, const struct publish_head *h, enum mqtt_version version,
                           size_t *packet_id_at)
{
    struct head_len len = measure(h, version);
    if (!len.ok || packet_len(len.body) - h->payload_len > cap) {
        return 0;
    }
    unsigned flags = (h->dup ? PUBLISH_DUP : 0) | (unsigned)(h->qos & 3u) << 1 | (h->retain ? PUBLISH_RETAIN : 0);
    uint8_t *at = wire_put_u8(buf, (uint8_t)((unsigned)PACKET_PUBLISH << 4 | flags));
    at = wire_put_varint(at, len.body);
    at = wire_put_block(at, h->topic);
    if (h->qos > 0) {
        if (packet_id_at != NULL) {
            *packet_id_at = (size_t)(at - buf);
        }
        at = wire_put_u16(at, h->packet_id);
    }
    if (version == MQTT_5_0) {
        at = put_properties(at, h, len.properties);
    }
    return (size_t)(at - buf);
}
