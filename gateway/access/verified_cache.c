#include "gateway/access/verified_cache.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#define SETS 64u
#define WAYS 4u

struct entry {
    struct verified_key key;
    uint64_t until_ms; /* 0: free */
};

struct verified_cache {
    uint8_t secret[VERIFIED_KEY_BYTES];
    uint64_t generation;
    struct entry entries[SETS][WAYS];
};

struct verified_cache *verified_cache_new(void)
{
    struct verified_cache *cache = calloc(1, sizeof(*cache));
    if (cache != NULL && RAND_bytes(cache->secret, sizeof(cache->secret)) != 1) {
        free(cache);
        return NULL;
    }
    return cache;
}

void verified_cache_free(struct verified_cache *cache)
{
    if (cache != NULL) {
        OPENSSL_cleanse(cache, sizeof(*cache));
        free(cache);
    }
}

/* The length of the name goes in front, so that the border between the two is part of what is hashed. */
bool verified_cache_key(const struct verified_cache *cache, struct bytes name, struct bytes password,
                        struct verified_key *key)
{
    const uint64_t name_len = name.len;
    const size_t len = sizeof(name_len) + name.len + password.len;
    unsigned made = 0;
    uint8_t *text = malloc(len);
    if (text == NULL) {
        return false;
    }
    memcpy(text, &name_len, sizeof(name_len));
    if (name.len > 0) {
        memcpy(text + sizeof(name_len), name.data, name.len);
    }
    if (password.len > 0) {
        memcpy(text + sizeof(name_len) + name.len, password.data, password.len);
    }
    bool ok = HMAC(EVP_sha256(), cache->secret, sizeof(cache->secret), text, len, key->bytes, &made) != NULL;
    OPENSSL_cleanse(text, len);
    free(text);
    return ok && made == sizeof(key->bytes);
}

static struct entry *set_of(struct verified_cache *cache, uint64_t generation, const struct verified_key *key)
{
    if (cache->generation != generation) {
        cache->generation = generation;
        memset(cache->entries, 0, sizeof(cache->entries));
    }
    return cache->entries[key->bytes[0] % SETS];
}

bool verified_cache_has(struct verified_cache *cache, uint64_t generation, const struct verified_key *key,
                        uint64_t now_ms)
{
    const struct entry *set = set_of(cache, generation, key);
    bool has = false;
    for (unsigned i = 0; i < WAYS; i++) {
        bool is_it = CRYPTO_memcmp(&set[i].key, key, sizeof(*key)) == 0;
        has |= is_it && set[i].until_ms > now_ms;
    }
    return has;
}

void verified_cache_add(struct verified_cache *cache, uint64_t generation, const struct verified_key *key,
                        uint64_t now_ms)
{
    struct entry *set = set_of(cache, generation, key);
    struct entry *oldest = &set[0];
    for (unsigned i = 0; i < WAYS; i++) {
        if (CRYPTO_memcmp(&set[i].key, key, sizeof(*key)) == 0) {
            oldest = &set[i];
            break;
        }
        oldest = set[i].until_ms < oldest->until_ms ? &set[i] : oldest;
    }
    oldest->key = *key;
    oldest->until_ms = now_ms + VERIFIED_MS;
}
