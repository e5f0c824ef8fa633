/* Strict where the specification is: single spaces, no leading zeros, CRLF within 107 bytes, known versions and commands
 * only. TLVs of version 2 are passed over. */
#include "gateway/net/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#define V1_BYTES_MAX   107u /* with CRLF */
#define V1_PREFIX      "PROXY "
#define V1_PREFIX_LEN  6u
#define V2_PREFIX_LEN  16u /* signature, two bytes, length */
#define V2_VERSION     0x20u
#define V2_LOCAL       0x00u
#define V2_PROXY       0x01u
#define V2_UNSPECIFIED 0x00u
#define V2_TCP4        0x11u
#define V2_TCP6        0x21u
#define V2_UNIX_STREAM 0x31u
#define V2_TCP4_LEN    12u
#define V2_TCP6_LEN    36u
#define V2_UNIX_LEN    216u

static const uint8_t v2_signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};

static void map_ipv4(uint8_t out[16], const void *ipv4)
{
    static const uint8_t prefix[12] = {[10] = 0xFF, [11] = 0xFF};
    memcpy(out, prefix, sizeof prefix);
    memcpy(out + sizeof prefix, ipv4, 4);
}

/* --- version 1 --------------------------------------------------------------------------------------------------- */

struct words { /* what is left of the line */
    const char *at;
    const char *end;
};

/* Copy the next word, without the space behind it, to WORD. @return false if it is empty or too long */
static bool next_word(struct words *words, char *word, size_t cap)
{
    size_t left = (size_t)(words->end - words->at);
    const char *space = memchr(words->at, ' ', left);
    size_t len = space != NULL ? (size_t)(space - words->at) : left;
    if (len == 0 || len >= cap) {
        return false;
    }
    memcpy(word, words->at, len);
    word[len] = '\0';
    words->at += len;
    if (space != NULL) {
        words->at++;
    }
    return true;
}

static bool decode_address(const char *word, int family, uint8_t out[16])
{
    uint8_t ipv4[4];
    if (family == AF_INET6) {
        return inet_pton(AF_INET6, word, out) == 1;
    }
    if (inet_pton(AF_INET, word, ipv4) != 1) {
        return false;
    }
    map_ipv4(out, ipv4);
    return true;
}

static bool decode_port(const char *word, uint16_t *out)
{
    uint32_t value = 0;
    if (word[0] == '0' && word[1] != '\0') {
        return false;
    }
    for (const char *digit = word; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(*digit - '0');
        if (value > UINT16_MAX) {
            return false;
        }
    }
    *out = (uint16_t)value;
    return true;
}

/* LINE is what stands between "PROXY " and CRLF. */
static bool decode_v1_line(const char *line, size_t len, struct proxy_header *out)
{
    struct words words = {line, line + len};
    char word[INET6_ADDRSTRLEN];
    uint8_t destination[16];
    uint16_t destination_port;
    struct proxy_header header = {.has_source = true};

    if (!next_word(&words, word, sizeof word)) {
        return false;
    }
    if (strcmp(word, "UNKNOWN") == 0) {
        *out = (struct proxy_header){0}; /* the rest of the line is to be ignored */
        return true;
    }
    int family = strcmp(word, "TCP4") == 0 ? AF_INET : strcmp(word, "TCP6") == 0 ? AF_INET6 : AF_UNSPEC;
    if (family == AF_UNSPEC || memchr(line, '\0', len) != NULL || line[len - 1] == ' ') {
        return false;
    }
    if (!next_word(&words, word, sizeof word) || !decode_address(word, family, header.source) ||
        !next_word(&words, word, sizeof word) || !decode_address(word, family, destination) ||
        !next_word(&words, word, sizeof word) || !decode_port(word, &header.source_port) ||
        !next_word(&words, word, sizeof word) || !decode_port(word, &destination_port) || words.at != words.end) {
        return false;
    }
    *out = header;
    return true;
}

static ssize_t decode_v1(const uint8_t *buf, size_t len, struct proxy_header *out)
{
    size_t searched = len < V1_BYTES_MAX ? len : V1_BYTES_MAX;
    if (memcmp(buf, V1_PREFIX, searched < V1_PREFIX_LEN ? searched : V1_PREFIX_LEN) != 0) {
        return -1;
    }
    const uint8_t *newline = memchr(buf, '\n', searched);
    if (newline == NULL) {
        return len >= V1_BYTES_MAX ? -1 : 0;
    }
    size_t header_len = (size_t)(newline - buf) + 1;
    const char *line = (const char *)buf + V1_PREFIX_LEN;
    if (header_len < V1_PREFIX_LEN + 3 || newline[-1] != '\r' ||
        !decode_v1_line(line, header_len - V1_PREFIX_LEN - 2, out)) {
        return -1;
    }
    return (ssize_t)header_len;
}

/* --- version 2 --------------------------------------------------------------------------------------------------- */

static bool decode_v2_addresses(uint8_t family, const uint8_t *body, size_t len, struct proxy_header *out)
{
    struct proxy_header header = {0};
    switch (family) {
    case V2_UNSPECIFIED:
        break;
    case V2_UNIX_STREAM:
        if (len < V2_UNIX_LEN) {
            return false;
        }
        break;
    case V2_TCP4:
        if (len < V2_TCP4_LEN) {
            return false;
        }
        header.has_source = true;
        map_ipv4(header.source, body);
        header.source_port = (uint16_t)(body[8] << 8 | body[9]);
        break;
    case V2_TCP6:
        if (len < V2_TCP6_LEN) {
            return false;
        }
        header.has_source = true;
        memcpy(header.source, body, 16);
        header.source_port = (uint16_t)(body[32] << 8 | body[33]);
        break;
    default:
        return false; /* datagrams, or a family that is not known: nobody can have forwarded a stream from there */
    }
    *out = header;
    return true;
}

static ssize_t decode_v2(const uint8_t *buf, size_t len, struct proxy_header *out)
{
    if (memcmp(buf, v2_signature, len < sizeof v2_signature ? len : sizeof v2_signature) != 0) {
        return -1;
    }
    if (len > 12 && buf[12] != (V2_VERSION | V2_LOCAL) && buf[12] != (V2_VERSION | V2_PROXY)) {
        return -1;
    }
    if (len < V2_PREFIX_LEN) {
        return 0;
    }
    size_t body_len = (size_t)buf[14] << 8 | buf[15];
    if (body_len > PROXY_HEADER_BYTES_MAX - V2_PREFIX_LEN) {
        return -1;
    }
    if (len - V2_PREFIX_LEN < body_len) {
        return 0;
    }
    if (buf[12] == (V2_VERSION | V2_LOCAL)) {
        *out = (struct proxy_header){0}; /* family and addresses mean nothing then */
    } else if (!decode_v2_addresses(buf[13], buf + V2_PREFIX_LEN, body_len, out)) {
        return -1;
    }
    return (ssize_t)(V2_PREFIX_LEN + body_len);
}

ssize_t proxy_header_decode(const uint8_t *buf, size_t len, struct proxy_header *out)
{
    if (len == 0) {
        return 0;
    }
    return buf[0] == v2_signature[0] ? decode_v2(buf, len, out) : decode_v1(buf, len, out);
}
