/*
 * PUBACK, PUBREC, PUBREL, PUBCOMP. In 5.0 what says nothing is left out from the end: no properties, then
 * no reason code, so that the usual acknowledgement has four bytes in every version.
 */
#include "protocol/ack.h"

#include "protocol/reason.h"
#include "protocol/wire.h"

bool ack_decode(struct bytes body, enum packet_type type, enum mqtt_version version, struct ack *out,
                struct fault *fault)
{
    struct wire w = wire_over(body);
    out->packet_id = wire_get_packet_id(&w);
    out->reason_code = REASON_SUCCESS;
    wire_no_properties(&out->properties);
    if (version == MQTT_5_0 && wire_left(&w) > 0) {
        out->reason_code = wire_get_u8(&w);
        if (!reason_is_allowed(type, out->reason_code, true)) {
            /* [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] */
            wire_fail(&w, REASON_PROTOCOL_ERROR, "reason code is not one of this packet");
        }
        if (wire_left(&w) > 0) {
            wire_get_properties(&w, type, &out->properties);
        }
    }
    return wire_finish_empty(&w, fault);
}

/* The length of the body with REASON_STRING; without properties if that is empty. */
static size_t body_len(uint8_t reason_code, const struct properties *p)
{
    if (p->present != 0) {
        return wire_add(3, properties_encoded_len(p, (struct bytes){NULL, 0}));
    }
    return reason_code != REASON_SUCCESS ? 3 : 2;
}

size_t ack_encode(uint8_t *buf, size_t cap, enum packet_type type, uint16_t packet_id, uint8_t reason_code,
                  struct bytes reason_string, size_t max_len, enum mqtt_version version)
{
    struct properties p;
    wire_no_properties(&p);
    if (version != MQTT_5_0) {
        reason_code = REASON_SUCCESS;
    } else if (reason_string.len > 0) {
        p.reason_string = reason_string;
        properties_set(&p, PROPERTY_REASON_STRING);
        if (!wire_fits(body_len(reason_code, &p), max_len == 0 ? SIZE_MAX : max_len)) {
            p.present = 0; /* [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2] */
        }
    }
    size_t len = body_len(reason_code, &p);
    if (!wire_fits(len, cap)) {
        return 0;
    }
    uint8_t flags = type == PACKET_PUBREL ? 2 : 0; /* [MQTT-3.6.1-1] */
    uint8_t *at = wire_put_u8(buf, (uint8_t)((unsigned)type << 4 | flags));
    at = wire_put_varint(at, (uint32_t)len);
    at = wire_put_u16(at, packet_id);
    if (len > 2) {
        at = wire_put_u8(at, reason_code);
    }
    if (len > 3) {
        at += properties_encode(at, len - 3, &p, (struct bytes){NULL, 0});
    }
    return (size_t)(at - buf);
}
