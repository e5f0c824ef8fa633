/**
 * Where hash seeds come from.
 */
#include "gateway/base/hash.h"

#include "gateway/base/assert.h"

#include <sys/random.h>

uint64_t tg_hash_seed_new(void)
{
    uint64_t seed;

    /* Requests of up to 256 bytes are never cut short once the generator is ready. */
    TG_ASSERT(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    return seed;
}
