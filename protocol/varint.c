/*
 * The Variable Byte Integer. Malformed is told by the first byte that shows it: a fourth byte that announces a
 * fifth, or a last byte of zero that adds nothing.
 */
#include "protocol/varint.h"

#define VARINT_BYTES_MAX 4u

int varint_decode(const uint8_t *buf, size_t len, uint32_t *value)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
        if (i == len) {
            return 0;
        }
        sum |= (uint32_t)(buf[i] & 0x7Fu) << (7 * i);
        if (buf[i] < 0x80) {
            if (buf[i] == 0 && i > 0) {
                return -1; /* [MQTT-1.5.5-1] not the shortest form */
            }
            *value = sum;
            return (int)i + 1;
        }
    }
    return -1;
}

size_t varint_len(uint32_t value)
{
    return 1 + (size_t)(value >= 1u << 7) + (size_t)(value >= 1u << 14) + (size_t)(value >= 1u << 21);
}

size_t varint_encode(uint8_t *buf, uint32_t value)
{
    size_t len = 0;
    for (; value >= 0x80; value >>= 7) {
        buf[len++] = (uint8_t)(value | 0x80);
    }
    buf[len++] = (uint8_t)value;
    return len;
}
