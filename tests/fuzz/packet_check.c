/*
 * The checks. Memory is allocated per step in exact sizes, slow but telling.
 */
#include "tests/fuzz/packet_check.h"

#include "tests/fuzz/fuzz.h"

#define CUTS_AT_EACH_END 40u

void require_inside(struct bytes b, struct bytes outer)
{
    if (b.len > 0) {
        REQUIRE(b.data >= outer.data && b.len <= outer.len);
        REQUIRE((size_t)(b.data - outer.data) <= outer.len - b.len);
    }
}

struct bytes collect_entries(const struct properties *p, enum property_id id, uint8_t *buf)
{
    size_t len = 0;
    struct bytes cursor = p->raw;
    struct property_entry e;
    while (properties_next(&cursor, &e)) {
        if (e.id == id) {
            memcpy(buf + len, e.whole.data, e.whole.len);
            len += e.whole.len;
        }
    }
    return (struct bytes){buf, len};
}

static void require_same_entries(const struct properties *p, const struct properties *q, enum property_id id)
{
    struct bytes cursors[2] = {p->raw, q->raw};
    struct property_entry entries[2];
    bool more[2];
    do {
        for (int i = 0; i < 2; i++) {
            do {
                more[i] = properties_next(&cursors[i], &entries[i]);
            } while (more[i] && entries[i].id != id);
        }
        REQUIRE(more[0] == more[1]);
        REQUIRE(!more[0] || bytes_equal(entries[0].whole, entries[1].whole));
    } while (more[0]);
}

void require_same_properties(const struct properties *p, const struct properties *q)
{
    REQUIRE(p->present == q->present);
    REQUIRE(p->user_properties == q->user_properties);
    REQUIRE(p->subscription_identifiers == q->subscription_identifiers);
    for (unsigned id = 0; id < 64; id++) {
        if (properties_has(p, (enum property_id)id)) {
            require_same_entries(p, q, (enum property_id)id);
        }
    }
#define SAME(id, member)       REQUIRE(!properties_has(p, (id)) || p->member == q->member)
#define SAME_BYTES(id, member) REQUIRE(!properties_has(p, (id)) || bytes_equal(p->member, q->member))
    SAME(PROPERTY_PAYLOAD_FORMAT_INDICATOR, payload_format_indicator);
    SAME(PROPERTY_MESSAGE_EXPIRY_INTERVAL, message_expiry_interval_s);
    SAME(PROPERTY_SUBSCRIPTION_IDENTIFIER, subscription_identifier);
    SAME(PROPERTY_SESSION_EXPIRY_INTERVAL, session_expiry_interval_s);
    SAME(PROPERTY_SERVER_KEEP_ALIVE, server_keep_alive_s);
    SAME(PROPERTY_REQUEST_PROBLEM_INFORMATION, request_problem_information);
    SAME(PROPERTY_WILL_DELAY_INTERVAL, will_delay_interval_s);
    SAME(PROPERTY_REQUEST_RESPONSE_INFORMATION, request_response_information);
    SAME(PROPERTY_RECEIVE_MAXIMUM, receive_maximum);
    SAME(PROPERTY_TOPIC_ALIAS_MAXIMUM, topic_alias_maximum);
    SAME(PROPERTY_TOPIC_ALIAS, topic_alias);
    SAME(PROPERTY_MAXIMUM_QOS, maximum_qos);
    SAME(PROPERTY_RETAIN_AVAILABLE, retain_available);
    SAME(PROPERTY_MAXIMUM_PACKET_SIZE, maximum_packet_size);
    SAME(PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE, wildcard_subscription_available);
    SAME(PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE, subscription_identifier_available);
    SAME(PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE, shared_subscription_available);
    SAME_BYTES(PROPERTY_CONTENT_TYPE, content_type);
    SAME_BYTES(PROPERTY_RESPONSE_TOPIC, response_topic);
    SAME_BYTES(PROPERTY_CORRELATION_DATA, correlation_data);
    SAME_BYTES(PROPERTY_ASSIGNED_CLIENT_IDENTIFIER, assigned_client_identifier);
    SAME_BYTES(PROPERTY_AUTHENTICATION_METHOD, authentication_method);
    SAME_BYTES(PROPERTY_AUTHENTICATION_DATA, authentication_data);
    SAME_BYTES(PROPERTY_RESPONSE_INFORMATION, response_information);
    SAME_BYTES(PROPERTY_SERVER_REFERENCE, server_reference);
    SAME_BYTES(PROPERTY_REASON_STRING, reason_string);
#undef SAME
#undef SAME_BYTES
}

static void require_fault(const struct fault *fault)
{
    REQUIRE(fault->reason_code >= 0x80);
    REQUIRE(fault->why != NULL && fault->why[0] != '\0');
}

/*
 * Show the header decoder DATA byte by byte. What it said first that was not "need more" it must keep saying.
 * Returns that: a header's length, -1, or 0 if DATA ends before.
 */
static int check_header(const uint8_t *data, size_t size, enum mqtt_version version, struct packet_header *out)
{
    int verdict = 0;
    for (size_t len = 0; len <= size && len <= PACKET_HEADER_MAX + 2; len++) {
        uint8_t *seen = exact_copy(data, len);
        struct packet_header header;
        struct fault fault = {0, NULL};
        int said = packet_header_decode(seen, len, version, &header, &fault);
        free(seen);
        REQUIRE(verdict == 0 || said == verdict);
        REQUIRE(said == -1 || said == 0 || (said >= 2 && said <= (int)PACKET_HEADER_MAX));
        REQUIRE(said <= 0 || (size_t)said <= len);
        if (said > 0) {
            REQUIRE(header.len == said && header.body_len <= PACKET_BODY_MAX && header.flags <= 0x0F);
            REQUIRE(verdict != 0 || (size_t)said == len); /* told with the first byte that shows it */
            REQUIRE((size_t)said + header.body_len == packet_len(header.body_len));
            *out = header;
        } else if (said < 0) {
            require_fault(&fault);
        }
        verdict = said;
    }
    REQUIRE(verdict != 0 || size < PACKET_HEADER_MAX);
    return verdict;
}

/* No cut of the body may make the decoder read on. ASan watches the exact block. */
static void check_cuts(const struct packet_header *header, struct bytes body, enum mqtt_version version, void *state,
                       const struct packet_codec *codec)
{
    for (size_t len = 0; len < body.len; len++) {
        if (len == CUTS_AT_EACH_END && body.len > 2 * (size_t)CUTS_AT_EACH_END) {
            len = body.len - CUTS_AT_EACH_END;
        }
        uint8_t *cut = exact_copy(body.data, len);
        struct packet_header shorter = *header;
        shorter.body_len = (uint32_t)len;
        struct fault fault = {0, NULL};
        if (!codec->decode(state, 1, &shorter, (struct bytes){cut, len}, version, &fault)) {
            require_fault(&fault);
        }
        free(cut);
    }
}

/* Encode slot 0 with exactly enough room, then with one byte too few. Returns owned. */
static uint8_t *encode_exactly(const struct packet_header *header, enum mqtt_version version, void *state,
                               const struct packet_codec *codec, size_t *len, uint8_t *scratch, size_t scratch_len)
{
    uint8_t *roomy = exact_alloc(scratch_len);
    *len = codec->encode(state, roomy, scratch_len, header, version, scratch);
    REQUIRE(*len >= 2);
    uint8_t *tight = exact_alloc(*len);
    REQUIRE(codec->encode(state, tight, *len, header, version, scratch) == *len);
    REQUIRE(memcmp(roomy, tight, *len) == 0);
    free(roomy);
    if (codec->predicted_len != NULL) {
        REQUIRE(codec->predicted_len(state, header, version, scratch) == *len);
    }
    uint8_t *small = exact_alloc(*len - 1);
    REQUIRE(codec->encode(state, small, *len - 1, header, version, scratch) == 0);
    free(small);
    return tight;
}

/* Slot 0 was decoded from BODY: encode it, decode that into slot 1, compare. */
static void check_round_trip(const struct packet_header *header, struct bytes body, enum mqtt_version version,
                             void *state, const struct packet_codec *codec)
{
    size_t scratch_len = packet_len(header->body_len);
    uint8_t *scratch = exact_alloc(scratch_len);
    size_t len;
    uint8_t *encoded = encode_exactly(header, version, state, codec, &len, scratch, scratch_len);
    REQUIRE(len <= scratch_len); /* the encoder knows no longer way to say it */

    struct packet_header again;
    REQUIRE(check_header(encoded, len, version, &again) > 0);
    REQUIRE(again.type == header->type && again.len + (size_t)again.body_len == len);
    uint8_t *again_body = exact_copy(encoded + again.len, again.body_len);
    struct fault fault = {0, NULL};
    REQUIRE(codec->decode(state, 1, &again, (struct bytes){again_body, again.body_len}, version, &fault));
    codec->compare(state, body);
    free(again_body);
    free(encoded);
    free(scratch);
}

void packet_check(const uint8_t *data, size_t size, enum mqtt_version version, void *state,
                  const struct packet_codec *(*codec_of)(enum packet_type type))
{
    struct packet_header header;
    if (check_header(data, size, version, &header) <= 0 || size - header.len < header.body_len) {
        return;
    }
    const struct packet_codec *codec = codec_of(header.type);
    if (codec == NULL) {
        return;
    }
    uint8_t *copy = exact_copy(data + header.len, header.body_len);
    struct bytes body = {copy, header.body_len};
    struct fault fault = {0, NULL};
    if (codec->decode(state, 0, &header, body, version, &fault)) {
        check_round_trip(&header, body, version, state, codec);
    } else {
        require_fault(&fault);
    }
    check_cuts(&header, body, version, state, codec);
    free(copy);
}
