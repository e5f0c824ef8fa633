/**
 * The Variable Byte Integer: 7 bits a byte, lowest first, bit 7 says that another follows. [MQTT 5.0, 1.5.5]
 */
#ifndef PROTOCOL_VARINT_H
#define PROTOCOL_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX 268435455u

/**
 * Decode a Variable Byte Integer from the start of BUF. [MQTT-1.5.5-1]
 *
 * @param buf    bytes received so far; borrowed for the call
 * @param len    bytes in BUF, may be 0
 * @param value  out: 0 .. VARINT_MAX; untouched unless the call returns > 0
 *
 * @return bytes consumed (1..4); 0 if BUF ends inside the integer; -1 if malformed (a fifth byte, or not the shortest
 *         form).
 */
int varint_decode(const uint8_t *buf, size_t len, uint32_t *value);

/** Bytes that VALUE (<= VARINT_MAX) takes: 1..4. */
size_t varint_len(uint32_t value);

/** Write VALUE (<= VARINT_MAX) to BUF, which has room for varint_len() bytes. @return bytes written (1..4). */
size_t varint_encode(uint8_t *buf, uint32_t value);

#endif
