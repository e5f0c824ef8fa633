/*
 * What a client decodes: the packets of a server, in all three versions, see packet_check.h.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packet_check.h"
#include "tests/fuzz/packet_codecs.h"

static bool connack_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                                 enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    (void)header;
    return connack_decode(body, version, &s->slot[which].connack, fault);
}

static size_t connack_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                   enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    const struct connack *c = &s->slot[0].connack;
    (void)header;
    struct bytes extra = collect_entries(&c->properties, PROPERTY_USER_PROPERTY, scratch);
    return connack_encode(buf, cap, c, extra, version);
}

static void connack_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct connack *a = &s->slot[0].connack;
    const struct connack *b = &s->slot[1].connack;
    REQUIRE(a->session_present == b->session_present && a->reason_code == b->reason_code);
    REQUIRE(!a->session_present || a->reason_code == 0);
    require_same_properties(&a->properties, &b->properties);
    require_inside(a->properties.raw, body);
}

static const struct packet_codec connack_codec = {
    connack_codec_decode,
    connack_codec_encode,
    connack_codec_compare,
    NULL,
};

static bool suback_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                                enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    return suback_decode(body, header->type, version, &s->slot[which].suback, fault);
}

static size_t suback_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                  enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    struct suback *a = &s->slot[0].suback;
    struct bytes reason_string = {NULL, 0};
    (void)scratch;
    /* the encoder writes no user properties, and no reason string that is empty */
    a->properties.present &= ~(UINT64_C(1) << PROPERTY_USER_PROPERTY);
    a->properties.user_properties = 0;
    if (properties_has(&a->properties, PROPERTY_REASON_STRING)) {
        reason_string = a->properties.reason_string;
        if (reason_string.len == 0) {
            a->properties.present = 0;
        }
    }
    size_t len = suback_encode(buf, cap, header->type, a->packet_id, a->reason_codes, reason_string, 0, version);
    if (len > 0 && reason_string.len > 0) {
        size_t short_len =
            suback_encode(buf, cap, header->type, a->packet_id, a->reason_codes, reason_string, len - 1, version);
        REQUIRE(short_len >= 5 && short_len < len);
        REQUIRE(suback_encode(buf, cap, header->type, a->packet_id, a->reason_codes, reason_string, len, version) ==
                len);
    }
    return len;
}

static void suback_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct suback *a = &s->slot[0].suback;
    const struct suback *b = &s->slot[1].suback;
    REQUIRE(a->packet_id != 0 && a->packet_id == b->packet_id);
    REQUIRE(bytes_equal(a->reason_codes, b->reason_codes));
    require_same_properties(&a->properties, &b->properties);
    require_inside(a->reason_codes, body);
    require_inside(a->properties.raw, body);
}

static const struct packet_codec suback_codec = {
    suback_codec_decode,
    suback_codec_encode,
    suback_codec_compare,
    NULL,
};

static const struct packet_codec *codec_of(enum packet_type type)
{
    switch (type) {
    case PACKET_CONNACK:
        return &connack_codec;
    case PACKET_PUBLISH:
        return &publish_codec;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
        return &ack_codec;
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        return &suback_codec;
    case PACKET_PINGRESP:
        return &ping_codec;
    case PACKET_DISCONNECT:
    case PACKET_AUTH:
        return &disconnect_codec;
    default:
        return NULL;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet_state state = {.from_client = false};
    for (int version = MQTT_3_1; version <= MQTT_5_0; version++) {
        packet_check(data, size, (enum mqtt_version)version, &state, codec_of);
    }
    return 0;
}
