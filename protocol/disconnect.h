/**
 * DISCONNECT and AUTH: a reason code and properties, both optional. [MQTT 5.0, 3.14 and 3.15]
 */
#ifndef PROTOCOL_DISCONNECT_H
#define PROTOCOL_DISCONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"
#include "protocol/property.h"

struct disconnect {
    uint8_t reason_code; /* 0x00 if the packet has none */
    struct properties properties;
};

/**
 * Decode the body of a DISCONNECT or AUTH. A reason code not listed for TYPE and direction is a protocol error. An AUTH
 * needs an Authentication Method unless it is empty altogether (then reason 0x00, which only a server may send).
 * @return true; false with FAULT filled
 */
bool disconnect_decode(struct bytes body, enum packet_type type, enum mqtt_version version, bool from_client,
                       struct disconnect *out, struct fault *fault);

/**
 * Write a DISCONNECT or AUTH. In 3.x a DISCONNECT is two bytes whatever D says.
 *
 * @param d       reason_string in its properties is left out if the packet would exceed MAX_LEN (0: no limit)
 * @param extra   encoded user properties, left out first
 * @return bytes written; 0 if CAP is too small
 */
size_t disconnect_encode(uint8_t *buf, size_t cap, enum packet_type type, const struct disconnect *d,
                         struct bytes extra, size_t max_len, enum mqtt_version version);

#endif
