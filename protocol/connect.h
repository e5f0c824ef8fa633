/**
 * CONNECT and CONNACK. [MQTT 5.0, 3.1 and 3.2]
 */
#ifndef PROTOCOL_CONNECT_H
#define PROTOCOL_CONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"
#include "protocol/property.h"

struct connect {
    enum mqtt_version version;
    bool clean_start; /* CleanSession in 3.x */
    bool bridge;      /* 3.x: bit 7 of the protocol level was set, a widespread extension of bridges */
    bool has_will;
    bool will_retain;
    bool has_user_name;
    bool has_password;
    uint8_t will_qos;
    uint16_t keep_alive_s;        /* 0: off */
    struct properties properties; /* present == 0 in 3.x */
    struct bytes client_id;       /* may be empty */
    struct properties will_properties;
    struct bytes will_topic;
    struct bytes will_payload;
    struct bytes user_name;
    struct bytes password;
};

/**
 * Decode the body of a CONNECT of any supported version. [MQTT-3.1.2-1] [MQTT-3.1.2-3] [MQTT-3.1.4-1]
 *
 * Accepts protocol name "MQTT" with level 4 or 5 and "MQIsdp" with level 3. Any other level of a known name fails with
 * 0x84; then OUT->version is set to the version whose CONNACK the peer will understand (5 for levels above 5, else
 * 4) and nothing else. Any other name fails with 0x84 too. All rules of the flags, lengths, UTF-8, will topic
 * (no wildcards, not empty), properties and trailing bytes are checked. A password without a user name is
 * allowed in 5.0 only. 3.1 leaves the reserved flag and the will's flags without a will free, and lets a user name
 * or password that is flagged be missing at the packet's end: it counts as not given then. The 3.1.1 rule about empty client ids is the server's (0x85), not checked here.
 *
 * @param out   points into BODY; out->version is meaningful also on failure (MQTT_5_0 or MQTT_3_1_1 or MQTT_3_1,
 *              the best guess), 0 if the name was not MQTT's
 * @return true; false with FAULT filled
 */
bool connect_decode(struct bytes body, struct connect *out, struct fault *fault);

/** Bytes that connect_encode() needs; EXTRA as there. */
size_t connect_encoded_len(const struct connect *c, struct bytes extra, struct bytes will_extra);

/**
 * Write a CONNECT (client side).
 * @param extra, will_extra encoded user properties appended to the two property sections; empty in 3.x
 * @return bytes written; 0 if CAP is too small
 */
size_t connect_encode(uint8_t *buf, size_t cap, const struct connect *c, struct bytes extra, struct bytes will_extra);

struct connack {
    bool session_present;
    uint8_t reason_code; /* 5.0 reason code; in 3.x the return code 0..5 as on the wire */
    struct properties properties;
};

/** Decode the body of a CONNACK (client side). @return true; false with FAULT filled. */
bool connack_decode(struct bytes body, enum mqtt_version version, struct connack *out, struct fault *fault);

/**
 * Write a CONNACK; EXTRA is encoded user properties.
 * @return bytes written; 0 if CAP is too small
 */
size_t connack_encode(uint8_t *buf, size_t cap, const struct connack *c, struct bytes extra, enum mqtt_version version);

#endif
