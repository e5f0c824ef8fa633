/**
 * Base64 (RFC 4648) as JSON payloads and headers use it: the standard alphabet with padding, strictly, or the one for URLs without.
 */
#ifndef GATEWAY_BASE_BASE64_H
#define GATEWAY_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/** Bytes that the text of LEN bytes has at most, with its NUL. */
static inline size_t base64_encoded_size(size_t len)
{
    return (len + 2) / 3 * 4 + 1;
}

/** Bytes that decoding LEN characters needs at most. */
static inline size_t base64_decoded_size(size_t len)
{
    return len / 4 * 3 + 3;
}

/** Write DATA to OUT, which has base64_encoded_size(), NUL-terminated. @return length without the NUL */
size_t base64_encode(struct bytes data, char *out);

/** Decode TEXT into OUT, which has base64_decoded_size() and may be TEXT's own memory. @return length; SIZE_MAX if it is not base64 */
size_t base64_decode(struct bytes text, uint8_t *out);

/** The same with '-' and '_' and without padding. */
size_t base64url_encode(struct bytes data, char *out);
size_t base64url_decode(struct bytes text, uint8_t *out);

#endif
