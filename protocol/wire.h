/**
 * Private to protocol/: the cursor that decoders read with, and the writers that encoders use.
 *
 * Reading: the cursor's fault is sticky. A decoder reads all its fields and looks at the fault once; a read that
 * fails, and every read after it, yields zero and moves nothing. So no decoder can step over the end, and none
 * needs a check after each field.
 *
 * Writing: an encoder first computes the length of what it will write, compares it with the room it has once,
 * and then writes without looking. Lengths saturate at SIZE_MAX, which is never room enough, so a field that is
 * too long for its length prefix shows in the same comparison.
 */
#ifndef PROTOCOL_WIRE_H
#define PROTOCOL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"
#include "protocol/property.h"
#include "protocol/reason.h"
#include "protocol/varint.h"

#define WIRE_BLOCK_MAX 65535u /* content of a string or of binary data, whose length prefix has two bytes */

struct wire {
    const uint8_t *at;
    const uint8_t *end;
    struct fault fault; /* reason_code 0: none so far */
};

/** A cursor over B, which it borrows for its whole life. */
static inline struct wire wire_over(struct bytes b)
{
    return (struct wire){b.data, b.len == 0 ? b.data : b.data + b.len, {0, NULL}};
}

/** Note the fault (CODE, WHY) unless one was noted before, and leave nothing to read. */
void wire_fail(struct wire *w, uint8_t code, const char *why) __attribute__((cold));

/** Fill FAULT; always false, so that a decoder can return it. */
bool wire_refuse(struct fault *fault, uint8_t code, const char *why) __attribute__((cold));

/** Bytes not read yet. */
static inline size_t wire_left(const struct wire *w)
{
    return (size_t)(w->end - w->at);
}

/** True if the next N bytes are there; notes a fault if not. */
static inline bool wire_need(struct wire *w, size_t n)
{
    if (__builtin_expect(wire_left(w) < n, 0)) {
        wire_fail(w, REASON_MALFORMED_PACKET, "packet ends inside a field");
        return false;
    }
    return true;
}

/** Copy the cursor's fault to FAULT. @return true if there is none. */
static inline bool wire_finish(const struct wire *w, struct fault *fault)
{
    if (__builtin_expect(w->fault.reason_code != 0, 0)) {
        *fault = w->fault;
        return false;
    }
    return true;
}

/** The same, and bytes left over are a fault too. */
static inline bool wire_finish_empty(struct wire *w, struct fault *fault)
{
    if (__builtin_expect(w->at != w->end, 0)) {
        wire_fail(w, REASON_MALFORMED_PACKET, "bytes left over behind the last field");
    }
    return wire_finish(w, fault);
}

static inline uint8_t wire_get_u8(struct wire *w)
{
    return wire_need(w, 1) ? *w->at++ : 0;
}

static inline uint16_t wire_get_u16(struct wire *w)
{
    if (!wire_need(w, 2)) {
        return 0;
    }
    uint16_t value = (uint16_t)(w->at[0] << 8 | w->at[1]);
    w->at += 2;
    return value;
}

static inline uint32_t wire_get_u32(struct wire *w)
{
    if (!wire_need(w, 4)) {
        return 0;
    }
    uint32_t value = (uint32_t)w->at[0] << 24 | (uint32_t)w->at[1] << 16 | (uint32_t)w->at[2] << 8 | w->at[3];
    w->at += 4;
    return value;
}

/** A Packet Identifier: 0 is a fault. [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1] */
static inline uint16_t wire_get_packet_id(struct wire *w)
{
    uint16_t id = wire_get_u16(w);
    if (__builtin_expect(id == 0, 0)) {
        wire_fail(w, REASON_MALFORMED_PACKET, "packet identifier is 0");
    }
    return id;
}

/** Everything that is left. */
static inline struct bytes wire_get_rest(struct wire *w)
{
    struct bytes rest = {w->at, wire_left(w)};
    w->at = w->end;
    return rest;
}

/** Binary data: a two-byte length and as many bytes. */
static inline struct bytes wire_get_block(struct wire *w)
{
    size_t len = wire_get_u16(w);
    if (!wire_need(w, len)) {
        return (struct bytes){NULL, 0};
    }
    struct bytes block = {w->at, len};
    w->at += len;
    return block;
}

/** A Variable Byte Integer. [MQTT-1.5.5-1] */
uint32_t wire_get_varint(struct wire *w);

/** A UTF-8 string; WHY is the fault's text if its content is not one. [MQTT-1.5.4-1] [MQTT-1.5.4-2] */
struct bytes wire_get_string(struct wire *w, const char *why);

/** A property section of PLACE, see properties_decode(). */
void wire_get_properties(struct wire *w, unsigned place, struct properties *out);

/** Say that P holds nothing, without touching the members that this leaves undefined. */
static inline void wire_no_properties(struct properties *p)
{
    p->present = 0;
    p->raw = (struct bytes){NULL, 0};
    p->user_properties = 0;
    p->subscription_identifiers = 0;
}

/** A + B, SIZE_MAX if that overflows. */
static inline size_t wire_add(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/** Bytes of B as string or binary data; SIZE_MAX if it is too long for that. */
static inline size_t wire_block_len(struct bytes b)
{
    return b.len > WIRE_BLOCK_MAX ? SIZE_MAX : b.len + 2;
}

/** True if a packet with a body of BODY_LEN bytes exists and fits CAP bytes. */
static inline bool wire_fits(size_t body_len, size_t cap)
{
    return body_len <= PACKET_BODY_MAX && packet_len((uint32_t)body_len) <= cap;
}

/* The writers return the place behind what they wrote. */

static inline uint8_t *wire_put_u8(uint8_t *at, uint8_t value)
{
    *at = value;
    return at + 1;
}

static inline uint8_t *wire_put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static inline uint8_t *wire_put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
    return at + 4;
}

static inline uint8_t *wire_put_varint(uint8_t *at, uint32_t value)
{
    if (__builtin_expect(value < 0x80, 1)) {
        *at = (uint8_t)value;
        return at + 1;
    }
    return at + varint_encode(at, value);
}

static inline uint8_t *wire_put_bytes(uint8_t *at, struct bytes b)
{
    if (b.len > 0) {
        memcpy(at, b.data, b.len);
    }
    return at + b.len;
}

/** B as string or binary data; its length was checked with wire_block_len(). */
static inline uint8_t *wire_put_block(uint8_t *at, struct bytes b)
{
    return wire_put_bytes(wire_put_u16(at, (uint16_t)b.len), b);
}

#endif
