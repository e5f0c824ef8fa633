/**
 * Properties of the packet codec that hold for any input, shared by the targets of the two directions:
 *
 *   - of a growing buffer the header decoder says "need more" until it says "header" or "malformed" for good;
 *   - what a decoder points at lies in the body;
 *   - decode(encode(x)) == x for all x that were decoded;
 *   - an encoder writes exactly as many bytes as it says, needs exactly as much room, and refuses one byte less;
 *   - no cut of a body makes a decoder read past its end.
 */
#ifndef TESTS_FUZZ_PACKET_CHECK_H
#define TESTS_FUZZ_PACKET_CHECK_H

#include "protocol/packet.h"
#include "protocol/property.h"

/**
 * A decoder, its encoder and the comparison, for one packet type.
 * All work on a state of their own that the caller of packet_check() provides.
 */
struct packet_codec {
    /** Decode BODY into slot WHICH (0 or 1) of STATE. */
    bool (*decode)(void *state, int which, const struct packet_header *header, struct bytes body,
                   enum mqtt_version version, struct fault *fault);
    /** Encode what slot 0 holds. SCRATCH has room for the whole packet. */
    size_t (*encode)(void *state, uint8_t *buf, size_t cap, const struct packet_header *header,
                     enum mqtt_version version, uint8_t *scratch);
    /** REQUIRE that both slots say the same and that slot 0 lies in BODY. */
    void (*compare)(void *state, struct bytes body);
    /** What the encoder should need for slot 0; 0: the codec has no such function. */
    size_t (*predicted_len)(void *state, const struct packet_header *header, enum mqtt_version version,
                            uint8_t *scratch);
};

/** Check the packet at the start of DATA; CODEC_OF returns NULL for types that do not come this way. */
void packet_check(const uint8_t *data, size_t size, enum mqtt_version version, void *state,
                  const struct packet_codec *(*codec_of)(enum packet_type type));

/** REQUIRE that B is empty or lies in OUTER. */
void require_inside(struct bytes b, struct bytes outer);

/** REQUIRE that P and Q say the same, their entries in the same order within each identifier. */
void require_same_properties(const struct properties *p, const struct properties *q);

/** The entries of P with identifier ID, copied one behind the other to BUF, which has room for all of P->raw. */
struct bytes collect_entries(const struct properties *p, enum property_id id, uint8_t *buf);

#endif
