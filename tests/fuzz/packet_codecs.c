/*
 * Each codec carries what was decoded over to the encoder's arguments, which is also what a broker does that
 * forwards a message.
 */
#include "tests/fuzz/packet_codecs.h"

#include "tests/fuzz/fuzz.h"

static bool publish_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                                 enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    return publish_decode(body, header->flags, version, s->from_client, &s->slot[which].publish, fault);
}

static struct publish_head publish_head_of(const struct publish *p, uint8_t *scratch)
{
    struct publish_head head = {
        .dup = p->dup,
        .retain = p->retain,
        .qos = p->qos,
        .packet_id = p->packet_id,
        .topic = p->topic,
        .payload_len = p->payload.len,
    };
    if (properties_has(&p->properties, PROPERTY_TOPIC_ALIAS)) {
        head.topic_alias = p->properties.topic_alias;
    }
    if (properties_has(&p->properties, PROPERTY_MESSAGE_EXPIRY_INTERVAL)) {
        head.has_message_expiry = true;
        head.message_expiry_interval_s = p->properties.message_expiry_interval_s;
    }
    head.subscription_ids = collect_entries(&p->properties, PROPERTY_SUBSCRIPTION_IDENTIFIER, scratch);
    head.forwarded_properties = properties_forwarded(&p->properties, scratch + head.subscription_ids.len);
    return head;
}

static size_t publish_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                   enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    const struct publish *p = &s->slot[0].publish;
    struct publish_head head = publish_head_of(p, scratch);
    size_t id_at = 0;
    (void)header;
    if (cap < p->payload.len) {
        return 0;
    }
    size_t len = publish_encode_head(buf, cap - p->payload.len, &head, version, &id_at);
    if (len == 0) {
        return 0;
    }
    REQUIRE(p->qos == 0 ? id_at == 0 : (buf[id_at] << 8 | buf[id_at + 1]) == p->packet_id);
    if (p->payload.len > 0) {
        memcpy(buf + len, p->payload.data, p->payload.len);
    }
    return len + p->payload.len;
}

static size_t publish_codec_predicted_len(void *state, const struct packet_header *header, enum mqtt_version version,
                                          uint8_t *scratch)
{
    struct packet_state *s = state;
    struct publish_head head = publish_head_of(&s->slot[0].publish, scratch);
    (void)header;
    return publish_encoded_len(&head, version);
}

static void publish_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct publish *p = &s->slot[0].publish;
    const struct publish *q = &s->slot[1].publish;
    REQUIRE(p->dup == q->dup && p->retain == q->retain && p->qos == q->qos && p->packet_id == q->packet_id);
    REQUIRE((p->packet_id == 0) == (p->qos == 0) && p->qos <= 2 && !(p->dup && p->qos == 0));
    REQUIRE(bytes_equal(p->topic, q->topic) && bytes_equal(p->payload, q->payload));
    REQUIRE(p->topic.len > 0 || properties_has(&p->properties, PROPERTY_TOPIC_ALIAS));
    REQUIRE(publish_payload_is_valid(p) == publish_payload_is_valid(q));
    require_same_properties(&p->properties, &q->properties);
    require_inside(p->topic, body);
    require_inside(p->payload, body);
    require_inside(p->properties.raw, body);
}

const struct packet_codec publish_codec = {
    publish_codec_decode,
    publish_codec_encode,
    publish_codec_compare,
    publish_codec_predicted_len,
};

static bool ack_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                             enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    return ack_decode(body, header->type, version, &s->slot[which].ack, fault);
}

/* User properties are not the encoder's to write: they are taken out before the comparison. */
static void forget_user_properties(struct properties *p)
{
    p->present &= ~(UINT64_C(1) << PROPERTY_USER_PROPERTY);
    p->user_properties = 0;
}

static size_t ack_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                               enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    struct ack *a = &s->slot[0].ack;
    struct bytes reason_string = {NULL, 0};
    (void)scratch;
    forget_user_properties(&a->properties);
    if (properties_has(&a->properties, PROPERTY_REASON_STRING)) {
        reason_string = a->properties.reason_string;
        if (reason_string.len == 0) {
            a->properties.present = 0; /* an empty one is not written */
        }
    }
    size_t len = ack_encode(buf, cap, header->type, a->packet_id, a->reason_code, reason_string, 0, version);
    if (len > 0 && reason_string.len > 0) {
        /* the reason string is the first to go */
        size_t short_len =
            ack_encode(buf, cap, header->type, a->packet_id, a->reason_code, reason_string, len - 1, version);
        REQUIRE(short_len >= 4 && short_len < len);
        REQUIRE(ack_encode(buf, cap, header->type, a->packet_id, a->reason_code, reason_string, len, version) == len);
    }
    return len;
}

static void ack_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct ack *a = &s->slot[0].ack;
    const struct ack *b = &s->slot[1].ack;
    REQUIRE(a->packet_id != 0 && a->packet_id == b->packet_id && a->reason_code == b->reason_code);
    require_same_properties(&a->properties, &b->properties);
    require_inside(a->properties.raw, body);
}

const struct packet_codec ack_codec = {ack_codec_decode, ack_codec_encode, ack_codec_compare, NULL};

static bool disconnect_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                                    enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    return disconnect_decode(body, header->type, version, s->from_client, &s->slot[which].disconnect, fault);
}

static size_t disconnect_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                      enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    const struct disconnect *d = &s->slot[0].disconnect;
    struct bytes extra = collect_entries(&d->properties, PROPERTY_USER_PROPERTY, scratch);
    size_t len = disconnect_encode(buf, cap, header->type, d, extra, 0, version);
    if (len > 0 && extra.len > 0) {
        size_t short_len = disconnect_encode(buf, cap, header->type, d, extra, len - 1, version);
        REQUIRE(short_len >= 2 && short_len < len);
        REQUIRE(disconnect_encode(buf, cap, header->type, d, extra, len, version) == len);
    }
    return len;
}

static void disconnect_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct disconnect *a = &s->slot[0].disconnect;
    const struct disconnect *b = &s->slot[1].disconnect;
    REQUIRE(a->reason_code == b->reason_code);
    require_same_properties(&a->properties, &b->properties);
    require_inside(a->properties.raw, body);
}

const struct packet_codec disconnect_codec = {
    disconnect_codec_decode,
    disconnect_codec_encode,
    disconnect_codec_compare,
    NULL,
};

static bool ping_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                              enum mqtt_version version, struct fault *fault)
{
    (void)state, (void)which, (void)header, (void)version, (void)fault;
    REQUIRE(body.len == 0);
    return true;
}

static size_t ping_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                enum mqtt_version version, uint8_t *scratch)
{
    (void)state, (void)version, (void)scratch;
    return packet_encode_ping(buf, cap, header->type);
}

static void ping_codec_compare(void *state, struct bytes body)
{
    (void)state, (void)body;
}

const struct packet_codec ping_codec = {ping_codec_decode, ping_codec_encode, ping_codec_compare, NULL};
