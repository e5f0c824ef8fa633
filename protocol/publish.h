/**
 * PUBLISH. [MQTT 5.0, 3.3] The hot path: decoding allocates and copies nothing; encoding is in two parts, so that a
 * payload shared by many receivers need not be copied behind each receiver's header.
 */
#ifndef PROTOCOL_PUBLISH_H
#define PROTOCOL_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"
#include "protocol/property.h"

#define PUBLISH_DUP    0x08u
#define PUBLISH_RETAIN 0x01u

struct publish {
    bool dup;
    bool retain;
    uint8_t qos;        /* 0..2 */
    uint16_t packet_id; /* 0 iff qos is 0 */
    struct bytes topic; /* valid topic name; empty only in 5.0 together with a Topic Alias */
    struct bytes payload;
    struct properties properties; /* present == 0 in 3.x */
};

/**
 * Decode the body of a PUBLISH; FLAGS are the header's low four bits. [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT-3.3.2-2]
 *
 * Checks the topic name (valid UTF-8, no wildcard, not empty unless aliased), the packet id, the properties, and
 * DUP with QoS 0. It does not check the payload against the Payload Format Indicator: publish_payload_is_valid().
 *
 * @param from_client true on a server: then a Subscription Identifier is a protocol error [MQTT-3.3.4-6]
 * @return true; false with FAULT filled (0x81 malformed, 0x82 protocol error, 0x90 topic name, 0x94 alias 0)
 */
bool publish_decode(struct bytes body, uint8_t flags, enum mqtt_version version, bool from_client, struct publish *out,
                    struct fault *fault);

/** True unless the Payload Format Indicator is 1 and the payload is no valid UTF-8. */
bool publish_payload_is_valid(const struct publish *p);

/** A PUBLISH to be written: what stands before the payload, in parts that need not be built anew per receiver. */
struct publish_head {
    bool dup;
    bool retain;
    uint8_t qos;
    uint16_t packet_id;      /* ignored if qos is 0 */
    struct bytes topic;      /* empty if the alias stands for it */
    uint16_t topic_alias;    /* 5.0; 0: none */
    bool has_message_expiry; /* 5.0 */
    uint32_t message_expiry_interval_s;
    struct bytes subscription_ids;     /* 5.0: encoded entries, see property_encode_subscription_identifier() */
    struct bytes forwarded_properties; /* 5.0: encoded entries, see properties_forwarded() */
    size_t payload_len;                /* counted in the Remaining Length; its bytes are appended by the caller */
};

/**
 * Bytes of the whole packet, header and payload; more than PACKET_BODY_MAX + 5 if the fields are too large for MQTT.
 */
size_t publish_encoded_len(const struct publish_head *h, enum mqtt_version version);

/**
 * Write all of a PUBLISH but the payload.
 *
 * @param packet_id_at out, may be NULL: offset in BUF of the two packet id bytes (big-endian), to patch copies for other
 *                     receivers; untouched for QoS 0
 * @return bytes written; 0 if CAP is too small or the packet would exceed PACKET_BODY_MAX
 */
size_t publish_encode_head(uint8_t *buf, size_t cap, const struct publish_head *h, enum mqtt_version version,
                           size_t *packet_id_at);

#endif
