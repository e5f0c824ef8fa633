/*
 * What a server decodes: the packets of a client, in all three versions, see packet_check.h.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packet_check.h"
#include "tests/fuzz/packet_codecs.h"

static bool connect_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                                 enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    (void)header, (void)version;
    if (connect_decode(body, &s->slot[which].connect, fault)) {
        return true;
    }
    unsigned guess = (unsigned)s->slot[which].connect.version;
    REQUIRE(guess == 0 || (guess >= MQTT_3_1 && guess <= MQTT_5_0));
    return false;
}

static size_t connect_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                   enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    const struct connect *c = &s->slot[0].connect;
    (void)header, (void)version;
    struct bytes extra = collect_entries(&c->properties, PROPERTY_USER_PROPERTY, scratch);
    struct bytes will_extra = collect_entries(&c->will_properties, PROPERTY_USER_PROPERTY, scratch + extra.len);
    return connect_encode(buf, cap, c, extra, will_extra);
}

static size_t connect_codec_predicted_len(void *state, const struct packet_header *header, enum mqtt_version version,
                                          uint8_t *scratch)
{
    struct packet_state *s = state;
    const struct connect *c = &s->slot[0].connect;
    (void)header, (void)version;
    struct bytes extra = collect_entries(&c->properties, PROPERTY_USER_PROPERTY, scratch);
    struct bytes will_extra = collect_entries(&c->will_properties, PROPERTY_USER_PROPERTY, scratch + extra.len);
    return connect_encoded_len(c, extra, will_extra);
}

static void connect_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct connect *c = &s->slot[0].connect;
    const struct connect *d = &s->slot[1].connect;
    REQUIRE(c->version == d->version && c->clean_start == d->clean_start && c->bridge == d->bridge);
    REQUIRE(c->keep_alive_s == d->keep_alive_s);
    REQUIRE(c->has_will == d->has_will && c->will_qos == d->will_qos && c->will_retain == d->will_retain);
    REQUIRE(c->has_user_name == d->has_user_name && c->has_password == d->has_password);
    const struct bytes fields[2][5] = {
        {c->client_id, c->will_topic, c->will_payload, c->user_name, c->password},
        {d->client_id, d->will_topic, d->will_payload, d->user_name, d->password},
    };
    for (size_t i = 0; i < 5; i++) {
        REQUIRE(bytes_equal(fields[0][i], fields[1][i]));
        require_inside(fields[0][i], body);
    }
    require_same_properties(&c->properties, &d->properties);
    require_same_properties(&c->will_properties, &d->will_properties);
    require_inside(c->properties.raw, body);
    require_inside(c->will_properties.raw, body);
}

static const struct packet_codec connect_codec = {
    connect_codec_decode,
    connect_codec_encode,
    connect_codec_compare,
    connect_codec_predicted_len,
};

static bool subscribe_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                                   enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    (void)header;
    return subscribe_decode(body, version, &s->slot[which].subscribe, fault);
}

static size_t subscribe_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                     enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    const struct subscribe *sub = &s->slot[0].subscribe;
    (void)header;
    struct subscribe_entry *entries = calloc(sub->entry_count, sizeof *entries);
    REQUIRE(entries != NULL);
    struct bytes cursor = sub->entries;
    for (size_t i = 0; i < sub->entry_count; i++) {
        REQUIRE(subscribe_next(&cursor, version, &entries[i]));
        require_inside(entries[i].filter, sub->entries);
        REQUIRE(entries[i].filter.len > 0 && entries[i].qos <= 2 && entries[i].retain_handling <= 2);
    }
    struct subscribe_entry none;
    REQUIRE(!subscribe_next(&cursor, version, &none));
    uint32_t id = properties_has(&sub->properties, PROPERTY_SUBSCRIPTION_IDENTIFIER)
                      ? sub->properties.subscription_identifier
                      : 0;
    struct bytes extra = collect_entries(&sub->properties, PROPERTY_USER_PROPERTY, scratch);
    size_t len = subscribe_encode(buf, cap, sub->packet_id, entries, sub->entry_count, id, extra, version);
    free(entries);
    return len;
}

static void subscribe_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct subscribe *a = &s->slot[0].subscribe;
    const struct subscribe *b = &s->slot[1].subscribe;
    REQUIRE(a->packet_id != 0 && a->packet_id == b->packet_id);
    REQUIRE(a->entry_count > 0 && a->entry_count == b->entry_count);
    REQUIRE(a->entries.len == b->entries.len); /* the entries themselves: 3.1 ignores bits that are written as 0 */
    require_same_properties(&a->properties, &b->properties);
    require_inside(a->entries, body);
    require_inside(a->properties.raw, body);
}

static const struct packet_codec subscribe_codec = {
    subscribe_codec_decode,
    subscribe_codec_encode,
    subscribe_codec_compare,
    NULL,
};

static bool unsubscribe_codec_decode(void *state, int which, const struct packet_header *header, struct bytes body,
                                     enum mqtt_version version, struct fault *fault)
{
    struct packet_state *s = state;
    (void)header;
    return unsubscribe_decode(body, version, &s->slot[which].unsubscribe, fault);
}

static size_t unsubscribe_codec_encode(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                                       enum mqtt_version version, uint8_t *scratch)
{
    struct packet_state *s = state;
    const struct unsubscribe *unsub = &s->slot[0].unsubscribe;
    (void)header;
    struct bytes *filters = calloc(unsub->entry_count, sizeof *filters);
    REQUIRE(filters != NULL);
    struct bytes cursor = unsub->entries;
    for (size_t i = 0; i < unsub->entry_count; i++) {
        REQUIRE(unsubscribe_next(&cursor, &filters[i]));
        require_inside(filters[i], unsub->entries);
        REQUIRE(filters[i].len > 0);
    }
    struct bytes none;
    REQUIRE(!unsubscribe_next(&cursor, &none));
    struct bytes extra = collect_entries(&unsub->properties, PROPERTY_USER_PROPERTY, scratch);
    size_t len = unsubscribe_encode(buf, cap, unsub->packet_id, filters, unsub->entry_count, extra, version);
    free(filters);
    return len;
}

static void unsubscribe_codec_compare(void *state, struct bytes body)
{
    struct packet_state *s = state;
    const struct unsubscribe *a = &s->slot[0].unsubscribe;
    const struct unsubscribe *b = &s->slot[1].unsubscribe;
    REQUIRE(a->packet_id != 0 && a->packet_id == b->packet_id && a->entry_count == b->entry_count);
    REQUIRE(bytes_equal(a->entries, b->entries));
    require_same_properties(&a->properties, &b->properties);
    require_inside(a->entries, body);
    require_inside(a->properties.raw, body);
}

static const struct packet_codec unsubscribe_codec = {
    unsubscribe_codec_decode,
    unsubscribe_codec_encode,
    unsubscribe_codec_compare,
    NULL,
};

static const struct packet_codec *codec_of(enum packet_type type)
{
    switch (type) {
    case PACKET_CONNECT:
        return &connect_codec;
    case PACKET_PUBLISH:
        return &publish_codec;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
        return &ack_codec;
    case PACKET_SUBSCRIBE:
        return &subscribe_codec;
    case PACKET_UNSUBSCRIBE:
        return &unsubscribe_codec;
    case PACKET_PINGREQ:
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
    struct packet_state state = {.from_client = true};
    for (int version = MQTT_3_1; version <= MQTT_5_0; version++) {
        packet_check(data, size, (enum mqtt_version)version, &state, codec_of);
    }
    return 0;
}
