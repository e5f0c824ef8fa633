#include "web/event_cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "gateway/base/base64.h"

#define TOKEN_BYTES      16u /* random; EVENT_TOKEN_CHARS as text */
#define CLIENT_ID_PREFIX "events-"
#define CLIENT_ID_HASH   16u /* bytes of the hash in a client id */

bool event_cursor_begin(struct event_cursor *cursor)
{
    uint8_t random[TOKEN_BYTES];
    char text[64];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return false;
    }
    size_t len = base64url_encode((struct bytes){random, sizeof(random)}, text);
    memcpy(cursor->token, text, len);
    cursor->token[len] = '\0';
    cursor->seq = 0;
    return true;
}

static bool is_token_character(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool event_cursor_parse(struct bytes text, struct event_cursor *cursor)
{
    struct event_cursor parsed = {.token = ""};
    size_t at = 0;
    while (at < text.len && at < EVENT_TOKEN_CHARS && is_token_character(text.data[at])) {
        parsed.token[at] = (char)text.data[at];
        at++;
    }
    if ((at != 0 && at != EVENT_TOKEN_CHARS) || at == text.len || text.data[at] != '.' || at + 1 == text.len) {
        return false;
    }
    while (++at < text.len) {
        unsigned digit = (unsigned)text.data[at] - '0';
        if (digit > 9 || parsed.seq > (UINT64_MAX - digit) / 10) {
            return false;
        }
        parsed.seq = parsed.seq * 10 + digit;
    }
    *cursor = parsed;
    return true;
}

size_t event_cursor_write(const struct event_cursor *cursor, char out[EVENT_CURSOR_BYTES])
{
    return (size_t)snprintf(out, EVENT_CURSOR_BYTES, "%s.%" PRIu64, cursor->token, cursor->seq);
}

bool event_cursor_client_id(const struct event_cursor *cursor, struct bytes user, const uint8_t *secret,
                            char out[EVENT_CLIENT_ID_BYTES])
{
    uint8_t key[EVP_MAX_MD_SIZE];
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned key_len;
    unsigned hash_len;
    /* a key for this token, then the user under it: no pair of them is another pair */
    if (HMAC(EVP_sha256(), secret, (int)EVENT_SECRET_BYTES, (const uint8_t *)cursor->token, EVENT_TOKEN_CHARS, key,
             &key_len) == NULL ||
        HMAC(EVP_sha256(), key, (int)key_len, user.len > 0 ? user.data : (const uint8_t *)"", user.len, hash,
             &hash_len) == NULL) {
        return false;
    }
    size_t at = (size_t)snprintf(out, EVENT_CLIENT_ID_BYTES, "%s", CLIENT_ID_PREFIX);
    for (size_t i = 0; i < CLIENT_ID_HASH; i++) {
        at += (size_t)snprintf(out + at, EVENT_CLIENT_ID_BYTES - at, "%02x", hash[i]);
    }
    return true;
}
