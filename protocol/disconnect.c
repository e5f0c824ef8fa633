/*
 * DISCONNECT and AUTH. As with acknowledgements, what says nothing is left out from the end.
 */
#include "protocol/disconnect.h"

#include "protocol/reason.h"
#include "protocol/wire.h"

/* The rules that tie properties to type and direction. */
static void check_properties(struct wire *w, enum packet_type type, bool from_client, const struct disconnect *d,
                             bool has_reason)
{
    if (type == PACKET_AUTH) {
        if (has_reason && !properties_has(&d->properties, PROPERTY_AUTHENTICATION_METHOD)) {
            wire_fail(w, REASON_PROTOCOL_ERROR, "AUTH without authentication method"); /* [MQTT-4.12.0-5] */
        }
    } else if (!from_client && properties_has(&d->properties, PROPERTY_SESSION_EXPIRY_INTERVAL)) {
        wire_fail(w, REASON_PROTOCOL_ERROR, "session expiry interval from a server"); /* [MQTT-3.14.2-2] */
    }
}

bool disconnect_decode(struct bytes body, enum packet_type type, enum mqtt_version version, bool from_client,
                       struct disconnect *out, struct fault *fault)
{
    struct wire w = wire_over(body);
    out->reason_code = REASON_SUCCESS;
    wire_no_properties(&out->properties);
    if (version != MQTT_5_0) {
        if (type == PACKET_AUTH) {
            wire_fail(&w, REASON_MALFORMED_PACKET, "packet type is reserved");
        }
        return wire_finish_empty(&w, fault);
    }
    if (body.len > 0) {
        out->reason_code = wire_get_u8(&w);
    }
    if (!reason_is_allowed(type, out->reason_code, from_client)) {
        wire_fail(&w, REASON_PROTOCOL_ERROR, "reason code is not one of this packet and direction");
    }
    if (wire_left(&w) > 0) {
        wire_get_properties(&w, type, &out->properties);
    }
    check_properties(&w, type, from_client, out, body.len > 0);
    return wire_finish_empty(&w, fault);
}

static size_t body_len(const struct disconnect *d, struct bytes extra)
{
    if (d->properties.present != 0 || extra.len > 0) {
        return wire_add(1, properties_encoded_len(&d->properties, extra));
    }
    return d->reason_code != REASON_SUCCESS ? 1 : 0;
}

size_t disconnect_encode(uint8_t *buf, size_t cap, enum packet_type type, const struct disconnect *d,
                         struct bytes extra, size_t max_len, enum mqtt_version version)
{
    /* User properties and subscription identifiers of D stand in EXTRA or nowhere: their bits must not count */
    const uint64_t in_extra = UINT64_C(1) << PROPERTY_USER_PROPERTY | UINT64_C(1) << PROPERTY_SUBSCRIPTION_IDENTIFIER;
    struct disconnect said = *d;
    said.properties.present &= ~in_extra;
    size_t limit = max_len == 0 ? SIZE_MAX : max_len;
    if (version != MQTT_5_0) {
        said.reason_code = REASON_SUCCESS;
        said.properties.present = 0;
        extra.len = 0;
    }
    if (!wire_fits(body_len(&said, extra), limit)) {
        extra.len = 0; /* [MQTT-3.14.2-4] [MQTT-3.15.2-3] */
    }
    if (!wire_fits(body_len(&said, extra), limit)) {
        said.properties.present &= ~(UINT64_C(1) << PROPERTY_REASON_STRING); /* [MQTT-3.14.2-3] [MQTT-3.15.2-2] */
    }
    size_t len = body_len(&said, extra);
    if (!wire_fits(len, cap)) {
        return 0;
    }
    uint8_t *at = wire_put_u8(buf, (uint8_t)((unsigned)type << 4));
    at = wire_put_varint(at, (uint32_t)len);
    if (len > 0) {
        at = wire_put_u8(at, said.reason_code);
    }
    if (len > 1) {
        at += properties_encode(at, len - 1, &said.properties, extra);
    }
    return (size_t)(at - buf);
}
