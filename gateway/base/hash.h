/**
 * The hash of every table whose keys a peer can choose: XXH3 with a seed drawn at start.
 *
 * With an unknown seed nobody can prepare keys that fall into one chain. The seed belongs to whoever owns the
 * tables (one per broker); values are good for this process only and never go to disk or wire.
 */
#ifndef GATEWAY_BASE_HASH_H
#define GATEWAY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/**
 * A fresh random seed from the kernel; called at start, may block until the kernel's generator is ready.
 * Aborts if the kernel has none to give.
 */
uint64_t tg_hash_seed_new(void);

/**
 * 64 well mixed bits (any of them may be used alone) of the LEN bytes at BYTES, which it borrows; BYTES may be
 * NULL if LEN is 0. Equal bytes and SEED give an equal value. Any thread.
 */
static inline uint64_t tg_hash(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

/** As tg_hash(), for a key that is one integer, such as a pair of ids packed into it. */
static inline uint64_t tg_hash_u64(uint64_t key, uint64_t seed)
{
    return XXH3_64bits_withSeed(&key, sizeof key, seed);
}

#endif
