/**
 * MQTT 5.0 properties [MQTT 5.0, 2.2.2]: one struct that can hold any packet's property section.
 *
 * A table in property.c gives for each of the 27 properties its identifier, its type, the packets it may stand
 * in, whether it may repeat, and its range; decode and encode walk that table. `present` says which members are
 * set; the others are undefined after decoding, so test it first (properties_has). The two repeatable
 * properties, User Property and Subscription Identifier, are not unpacked: iterate over `raw`.
 */
#ifndef PROTOCOL_PROPERTY_H
#define PROTOCOL_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"

/** Property identifiers; each < 64, so that a set of them fits a uint64_t. */
enum property_id {
    PROPERTY_PAYLOAD_FORMAT_INDICATOR = 0x01,
    PROPERTY_MESSAGE_EXPIRY_INTERVAL = 0x02,
    PROPERTY_CONTENT_TYPE = 0x03,
    PROPERTY_RESPONSE_TOPIC = 0x08,
    PROPERTY_CORRELATION_DATA = 0x09,
    PROPERTY_SUBSCRIPTION_IDENTIFIER = 0x0B,
    PROPERTY_SESSION_EXPIRY_INTERVAL = 0x11,
    PROPERTY_ASSIGNED_CLIENT_IDENTIFIER = 0x12,
    PROPERTY_SERVER_KEEP_ALIVE = 0x13,
    PROPERTY_AUTHENTICATION_METHOD = 0x15,
    PROPERTY_AUTHENTICATION_DATA = 0x16,
    PROPERTY_REQUEST_PROBLEM_INFORMATION = 0x17,
    PROPERTY_WILL_DELAY_INTERVAL = 0x18,
    PROPERTY_REQUEST_RESPONSE_INFORMATION = 0x19,
    PROPERTY_RESPONSE_INFORMATION = 0x1A,
    PROPERTY_SERVER_REFERENCE = 0x1C,
    PROPERTY_REASON_STRING = 0x1F,
    PROPERTY_RECEIVE_MAXIMUM = 0x21,
    PROPERTY_TOPIC_ALIAS_MAXIMUM = 0x22,
    PROPERTY_TOPIC_ALIAS = 0x23,
    PROPERTY_MAXIMUM_QOS = 0x24,
    PROPERTY_RETAIN_AVAILABLE = 0x25,
    PROPERTY_USER_PROPERTY = 0x26,
    PROPERTY_MAXIMUM_PACKET_SIZE = 0x27,
    PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28,
    PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29,
    PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE = 0x2A,
};

/** Where a property section stands: a packet type, or the Will Properties inside CONNECT. */
#define PROPERTY_PLACE_WILL 0 /* packet types start at 1 */

struct properties {
    uint64_t present;         /* bit n set: property with identifier n stands here at least once */
    struct bytes raw;         /* the section as received, without its length; valid as long as the packet's bytes are */
    uint16_t user_properties; /* how many User Property entries raw holds, saturating */
    uint16_t subscription_identifiers; /* how many Subscription Identifier entries raw holds, saturating */

    uint8_t payload_format_indicator;
    uint8_t request_problem_information;
    uint8_t request_response_information;
    uint8_t maximum_qos;
    uint8_t retain_available;
    uint8_t wildcard_subscription_available;
    uint8_t subscription_identifier_available;
    uint8_t shared_subscription_available;
    uint16_t server_keep_alive_s;
    uint16_t receive_maximum;
    uint16_t topic_alias_maximum;
    uint16_t topic_alias;
    uint32_t message_expiry_interval_s;
    uint32_t session_expiry_interval_s;
    uint32_t will_delay_interval_s;
    uint32_t maximum_packet_size;
    uint32_t subscription_identifier; /* the first one */
    struct bytes content_type;
    struct bytes response_topic;
    struct bytes correlation_data;
    struct bytes assigned_client_identifier;
    struct bytes authentication_method;
    struct bytes authentication_data;
    struct bytes response_information;
    struct bytes server_reference;
    struct bytes reason_string;
};

/** True if P has the property ID. */
static inline bool properties_has(const struct properties *p, enum property_id id)
{
    return (p->present >> (unsigned)id & 1u) != 0;
}

/** Note that P's member of property ID is set (for encoding). */
static inline void properties_set(struct properties *p, enum property_id id)
{
    p->present |= UINT64_C(1) << (unsigned)id;
}

/**
 * Decode a property section, Property Length included, from the start of BUF.
 *
 * Refused with 0x81: a length that leaves BUF, an entry that leaves the section, an unknown identifier, a value that
 * is no valid UTF-8 where it must be, a property that may not stand in PLACE. With 0x82: one that
 * stands twice, or a value outside the range the specification gives (0 where forbidden, flags above 1, a Topic
 * Alias of 0 is 0x94, a Response Topic with wildcards is 0x82 and so on).
 *
 * @param place packet type, or PROPERTY_PLACE_WILL
 * @param out   all of it undefined on failure
 * @return bytes consumed (>= 1); -1 on failure, FAULT filled. BUF holds a whole packet's rest, so "need more" is
 *         malformed here.
 */
int properties_decode(const uint8_t *buf, size_t len, unsigned place, struct properties *out, struct fault *fault);

/** One entry of a section, as it stands in the bytes. */
struct property_entry {
    enum property_id id;
    struct bytes whole; /* identifier and value, as encoded */
    struct bytes name;  /* User Property: its name; else empty */
    struct bytes value; /* User Property: its value; strings and binary data: their content; else empty */
    uint32_t number;    /* numeric properties: the value */
};

/**
 * Step through a section that properties_decode() accepted.
 *
 * @param cursor  in/out: bytes not yet visited; start with a copy of properties.raw
 * @return true and *ENTRY; false at the end
 */
bool properties_next(struct bytes *cursor, struct property_entry *entry);

/**
 * What of a PUBLISH's or will's properties travels on to receivers: all entries but Message Expiry Interval, Topic
 * Alias, Subscription Identifier and Will Delay Interval, in their order. [MQTT-3.3.2-17] [MQTT-3.3.2-18]
 *
 * @param p   decoded properties
 * @param buf scratch of at least p->raw.len bytes; used only if something has to be left out
 * @return p->raw itself if nothing is left out, else the bytes written to BUF
 */
struct bytes properties_forwarded(const struct properties *p, uint8_t *buf);

/**
 * Bytes that properties_encode() needs for P, Property Length included.
 * User properties and subscription identifiers of P->raw are *not* counted: see EXTRA.
 */
size_t properties_encoded_len(const struct properties *p, struct bytes extra);

/**
 * Write a section, Property Length included: the scalar and string members in `present` in ascending order of
 * identifier (User Property and Subscription Identifier bits are passed over), then EXTRA, which is whole encoded
 * entries (e.g. forwarded properties, or user properties built with property_encode_user()).
 *
 * @return bytes written; 0 if CAP is too small
 */
size_t properties_encode(uint8_t *buf, size_t cap, const struct properties *p, struct bytes extra);

/** Write one User Property entry. @return bytes written; 0 if CAP is too small. */
size_t property_encode_user(uint8_t *buf, size_t cap, struct bytes name, struct bytes value);

/** Write one Subscription Identifier entry, ID 1..268435455. @return bytes written (2..5); 0 if CAP is too small. */
size_t property_encode_subscription_identifier(uint8_t *buf, size_t cap, uint32_t id);

#endif
