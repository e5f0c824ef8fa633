/**
 * The four acknowledgements of a PUBLISH: PUBACK, PUBREC, PUBREL, PUBCOMP. [MQTT 5.0, 3.4 to 3.7]
 * They share one layout: packet id, and in 5.0 optionally a reason code and properties.
 */
#ifndef PROTOCOL_ACK_H
#define PROTOCOL_ACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"
#include "protocol/property.h"

struct ack {
    uint16_t packet_id; /* never 0 */
    uint8_t reason_code;
    struct properties properties;
};

/**
 * Decode the body of an acknowledgement of TYPE. A reason code that TYPE does not list is a protocol error;
 * packet id 0 is malformed.
 * @return true; false with FAULT filled
 */
bool ack_decode(struct bytes body, enum packet_type type, enum mqtt_version version, struct ack *out,
                struct fault *fault);

/**
 * Write an acknowledgement: four bytes if nothing but the id is to be said (3.x: always).
 *
 * @param reason_string may be empty; left out if the packet would exceed MAX_LEN [MQTT-3.4.2-2] and its siblings
 * @param max_len       the receiver's Maximum Packet Size; 0: no limit
 * @return bytes written (4 .. 4 + rest); 0 if CAP is too small
 */
size_t ack_encode(uint8_t *buf, size_t cap, enum packet_type type, uint16_t packet_id, uint8_t reason_code,
                  struct bytes reason_string, size_t max_len, enum mqtt_version version);

#endif
