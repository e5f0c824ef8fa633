/* Encoding is libcrypto's. Its decoder passes over blanks and stray bits and counts padding as data, so decoding is strict here. */
#include "gateway/base/base64.h"

#include <limits.h>
#include <string.h>

#include <openssl/evp.h>

size_t base64_encode(struct bytes data, char *out)
{
    if (data.len == 0 || data.len > INT_MAX / 2) {
        out[0] = '\0';
        return 0;
    }
    return (size_t)EVP_EncodeBlock((unsigned char *)out, data.data, (int)data.len);
}

static int value_of(uint8_t c, bool url)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == (url ? '-' : '+')) {
        return 62;
    }
    return c == (url ? '_' : '/') ? 63 : -1;
}

/* Decode LEN characters without padding. */
static size_t decode(const uint8_t *text, size_t len, uint8_t *out, bool url)
{
    uint32_t bits = 0;
    size_t written = 0;
    if (len % 4 == 1) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i], url);
        if (value < 0) {
            return SIZE_MAX;
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            out[written++] = (uint8_t)(bits >> 16);
            out[written++] = (uint8_t)(bits >> 8);
            out[written++] = (uint8_t)bits;
            bits = 0;
        }
    }
    if (len % 4 == 2) {
        out[written++] = (uint8_t)(bits >> 4);
        return (bits & 0x0Fu) == 0 ? written : SIZE_MAX;
    }
    if (len % 4 == 3) {
        out[written++] = (uint8_t)(bits >> 10);
        out[written++] = (uint8_t)(bits >> 2);
        return (bits & 0x03u) == 0 ? written : SIZE_MAX;
    }
    return written;
}

size_t base64_decode(struct bytes text, uint8_t *out)
{
    size_t len = text.len;
    if (len % 4 != 0) {
        return SIZE_MAX;
    }
    for (int i = 0; i < 2 && len > 0 && text.data[len - 1] == '='; i++) {
        len--;
    }
    return decode(text.data, len, out, false);
}

size_t base64url_encode(struct bytes data, char *out)
{
    size_t len = base64_encode(data, out);
    while (len > 0 && out[len - 1] == '=') {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    }
    out[len] = '\0';
    return len;
}

size_t base64url_decode(struct bytes text, uint8_t *out)
{
    return decode(text.data, text.len, out, true);
}
