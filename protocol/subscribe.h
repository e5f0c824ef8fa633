/**
 * SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK. [MQTT 5.0, 3.8 to 3.11]
 * The lists inside are not unpacked: decoding checks all of a list, then the caller iterates over it. So a
 * malformed packet takes no effect up to its bad entry.
 */
#ifndef PROTOCOL_SUBSCRIBE_H
#define PROTOCOL_SUBSCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"
#include "protocol/property.h"

struct subscribe {
    uint16_t packet_id; /* never 0 */
    struct properties properties;
    struct bytes entries; /* cursor for subscribe_next() */
    size_t entry_count;   /* >= 1 */
};

struct subscribe_entry {
    struct bytes filter; /* UTF-8 checked, not empty; wildcards and $share are *not* checked: topic_filter_parse() */
    uint8_t qos;         /* 0..2 */
    bool no_local;       /* 5.0 */
    bool retain_as_published; /* 5.0 */
    uint8_t retain_handling;  /* 5.0: 0..2 */
};

/**
 * Decode the body of a SUBSCRIBE. [MQTT-3.8.1-1] [MQTT-3.8.3-2] [MQTT-3.8.3-5]
 * @return true; false with FAULT filled (0x81; 0x82 for an empty list, retain handling 3, Subscription Identifier 0)
 */
bool subscribe_decode(struct bytes body, enum mqtt_version version, struct subscribe *out, struct fault *fault);

/** Step through the entries of an accepted SUBSCRIBE. @return true and *ENTRY; false at the end. */
bool subscribe_next(struct bytes *cursor, enum mqtt_version version, struct subscribe_entry *entry);

/**
 * Write a SUBSCRIBE (client side) of COUNT entries; P may be NULL; SUBSCRIPTION_ID 0: none.
 * @return bytes written; 0 if CAP is too small
 */
size_t subscribe_encode(uint8_t *buf, size_t cap, uint16_t packet_id, const struct subscribe_entry *entries,
                        size_t count, uint32_t subscription_id, struct bytes extra, enum mqtt_version version);

struct unsubscribe {
    uint16_t packet_id; /* never 0 */
    struct properties properties;
    struct bytes entries; /* cursor for unsubscribe_next() */
    size_t entry_count;   /* >= 1 */
};

/** Decode the body of an UNSUBSCRIBE. [MQTT-3.10.3-2] @return true; false with FAULT filled. */
bool unsubscribe_decode(struct bytes body, enum mqtt_version version, struct unsubscribe *out, struct fault *fault);

/** Step through the filters of an accepted UNSUBSCRIBE. @return true and *FILTER; false at the end. */
bool unsubscribe_next(struct bytes *cursor, struct bytes *filter);

/** Write an UNSUBSCRIBE (client side). @return bytes written; 0 if CAP is too small. */
size_t unsubscribe_encode(uint8_t *buf, size_t cap, uint16_t packet_id, const struct bytes *filters, size_t count,
                          struct bytes extra, enum mqtt_version version);

struct suback {
    uint16_t packet_id;
    struct properties properties;
    struct bytes reason_codes; /* one byte per entry; empty for a 3.x UNSUBACK */
};

/** Decode the body of a SUBACK or UNSUBACK (client side). @return true; false with FAULT filled. */
bool suback_decode(struct bytes body, enum packet_type type, enum mqtt_version version, struct suback *out,
                   struct fault *fault);

/**
 * Write a SUBACK or UNSUBACK. In 3.x every reason code >= 0x80 of a SUBACK becomes 0x80 and an UNSUBACK has none.
 *
 * @param reason_string may be empty; left out if the packet would exceed MAX_LEN (0: no limit)
 * @return bytes written; 0 if CAP is too small
 */
size_t suback_encode(uint8_t *buf, size_t cap, enum packet_type type, uint16_t packet_id, struct bytes reason_codes,
                     struct bytes reason_string, size_t max_len, enum mqtt_version version);

#endif
