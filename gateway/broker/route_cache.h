/**
 * A place's cache of resolved topics: what index_match() said, good for as long as the generations of the topic stand.
 *
 * Sets of four entries, chosen by a seeded hash of the topic; the topic itself is compared, so a collision costs a walk and never
 * gives a wrong answer. A new topic takes the place of one that was not asked for since the set was last searched for a
 * victim: topics used once push out each other, not those that are used again and again. Each entry keeps one block for
 * topic and filters, so that random topics do not allocate for ever.
 */
#ifndef GATEWAY_BROKER_ROUTE_CACHE_H
#define GATEWAY_BROKER_ROUTE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/broker/index.h"
#include "protocol/bytes.h"

enum {
    ROUTE_CACHE_TOPIC_MAX = 256,   /* bytes; longer topics are resolved each time */
    ROUTE_CACHE_FILTERS_MAX = 128, /* topics with more matching filters are, too */
};

struct route_cache; /* owner: one place's thread */

/** A resolved topic. Valid until the thread's next quiescent state; revalidated by route_cache_find(). */
struct route {
    struct index_stamp stamp;
    uint64_t interest; /* union of the filters' interest when resolved: a place not in it gets nothing */
    uint64_t durable;  /* union of the filters' durable interest */
    bool has_groups;   /* some filter has shared groups */
    bool no_memory;    /* it could not be resolved: count is 0, and that says nothing */
    uint16_t stripe;   /* of the topic */
    uint32_t count;
    struct filter **filters;
};

/**
 * A cache for at most ENTRIES (1.., rounded up to a power of two, at least 4) topics, about 100 bytes each, at most
 * 64 + ROUTE_CACHE_TOPIC_MAX + 8 * ROUTE_CACHE_FILTERS_MAX. Returns owned; NULL without memory.
 */
struct route_cache *route_cache_new(struct index *index, size_t entries);

/** Free CACHE; NULL is a no-op. */
void route_cache_free(struct route_cache *cache);

/** What the valid topic name TOPIC resolves to now. Never NULL; count 0 if nobody is interested. The next call may reuse
 * what an earlier one returned. The thread is a registered RCU reader. */
const struct route *route_cache_find(struct route_cache *cache, struct bytes topic);

/** Changes whenever an entry of the cache is replaced or rebuilt, i.e. when a kept struct route may be of another topic. */
uint64_t route_cache_epoch(const struct route_cache *cache);

/**
 * True if ROUTE, which a caller kept over a turn, still says what its topic resolves to, so that a lookup (10 ns) can be left out.
 *
 * @param route as an earlier route_cache_find() of this cache returned it; borrowed
 * @param epoch what route_cache_epoch() was right after that
 */
bool route_cache_is_current(const struct route_cache *cache, const struct route *route, uint64_t epoch);

/** Bytes that CACHE takes at the moment. */
size_t route_cache_bytes(const struct route_cache *cache);

#endif
