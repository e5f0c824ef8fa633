/**
 * Passwords that have been verified not long ago, so that each HTTP request of a client does not cost a password hash.
 *
 * Nothing that is kept is a password: entries are HMACs of name and password under a key that this process drew for this cache, and live
 * for VERIFIED_MS at most. Only passwords that were right are in it. Four entries share a set; the oldest makes room.
 */
#ifndef GATEWAY_ACCESS_VERIFIED_CACHE_H
#define GATEWAY_ACCESS_VERIFIED_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

#define VERIFIED_MS 60000u

struct verified_cache; /* owner: one thread */

#define VERIFIED_KEY_BYTES 32u

/** What stands for a name and its password. */
struct verified_key {
    uint8_t bytes[VERIFIED_KEY_BYTES];
};

/** Returns owned; NULL without memory or random numbers. */
struct verified_cache *verified_cache_new(void);
void verified_cache_free(struct verified_cache *cache); /* NULL is a no-op */

/** Make KEY of NAME and PASSWORD. @return false without memory */
bool verified_cache_key(const struct verified_cache *cache, struct bytes name, struct bytes password,
                        struct verified_key *key) __attribute__((warn_unused_result));

/**
 * Was KEY added not more than VERIFIED_MS before NOW_MS, and under this GENERATION of the rules? What was added under another is forgotten.
 */
bool verified_cache_has(struct verified_cache *cache, uint64_t generation, const struct verified_key *key,
                        uint64_t now_ms);

void verified_cache_add(struct verified_cache *cache, uint64_t generation, const struct verified_key *key,
                        uint64_t now_ms);

#endif
