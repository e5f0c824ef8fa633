/**
 * The subscription index: which places are interested in a topic.
 *
 * A trie over topic levels, kept as one flat concurrent hash of (parent, level), so that a node costs one entry and a
 * lookup one probe a level; '+' and '#' children hang off their parent directly. Readers take no lock: they are
 * RCU readers (QSBR), quiescent once per loop turn. Writers hold one mutex for O(levels) changes, node by node, and
 * free by call_rcu, so nobody ever waits for a grace period.
 *
 * The index knows filters and places only. The receivers of one place hang off the filter in a slot that is that
 * place's alone; groups of shared subscriptions hang off it too (share.h).
 *
 * Generations tell caches when they are stale: 256 stripes by hash of the first level, and one more for filters that begin
 * with a wildcard. A stripe changes only when the interest of a (filter, place) changes, and after the change
 * is visible; a filter is freed a grace period after its stripe has changed.
 *
 * Random topics that are only looked up insert nothing.
 */
#ifndef GATEWAY_BROKER_INDEX_H
#define GATEWAY_BROKER_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "protocol/bytes.h"

#define INDEX_PLACES_MAX 64u /* interest is a bitmap in one word */

struct index;
struct share_group;
struct subscription;

/** The plain (not shared) receivers of one filter at one place. owner: that place's thread */
struct filter_receivers {
    union {
        struct subscription *one;   /* capacity == 0: at most one receiver */
        struct subscription **many; /* capacity > 0: heap array */
    };
    uint32_t count;
    uint32_t capacity;
};

/** One filter that somebody subscribed to. Readers may use it until their next quiescent state. */
struct filter {
    _Atomic uint64_t interest;            /* bit p: place p has a receiver or group member; writers: index mutex */
    _Atomic uint64_t durable;             /* bit p: place p has one with durable interest; writers: index mutex */
    _Atomic(struct share_group *) groups; /* RCU list of shared groups on this filter; writers: index mutex */
    uint32_t refs;                        /* index mutex */
    uint32_t stripe;                      /* which generation its changes move: 0..255, 256 = begins with a wildcard */
    struct filter_receivers local[];      /* one a place; owner: that place's thread */
};

/** Called (under the index mutex, must not block or call back) when a filter gets its first or loses its last interest
 * anywhere: the seam for other nodes. May be NULL. */
typedef void (*index_interest_fn)(void *arg, struct bytes filter, bool added);

/** An empty index for PLACES (1..INDEX_PLACES_MAX) places; hashes are seeded with SEED. Returns owned; NULL without memory. */
struct index *index_new(unsigned places, uint64_t seed, index_interest_fn on_interest, void *arg);

/** Free INDEX and every filter; no reader may be left. NULL is a no-op. */
void index_free(struct index *index);

/**
 * Find or create the filter TEXT (valid, without "$share/...") and take a reference to it. Any thread that is a
 * registered RCU reader.
 *
 * @param out shares; untouched on failure
 * @return TG_OK or TG_ERR_NO_MEMORY
 */
enum tg_err index_acquire(struct index *index, struct bytes text, struct filter **out) __attribute__((warn_unused_result));

/** Give a reference back; the last one takes the filter out of the index and frees it after a grace period. The
 * caller has cleared the interest it had set and emptied its local slot. Any registered thread. */
void index_release(struct index *index, struct filter *filter);

/**
 * Say what PLACE wants of FILTER from now on. Moves the generation if a bit changes. When it returns, every reader that
 * loads the generation afterwards sees the change (so SUBACK may leave). Any registered thread.
 */
void index_set_interest(struct index *index, struct filter *filter, unsigned place, bool any, bool durable);

/** Lock and unlock the writer mutex, for changes to filter->groups (share.c); and move FILTER's generation while it is held. */
void index_lock(struct index *index);
void index_unlock(struct index *index);
void index_changed(struct index *index, struct filter *filter);

/**
 * Collect the filters that match the valid topic name TOPIC and have any interest. "$"-topics are not matched by
 * leading wildcards [MQTT-4.7.2-1]. Registered reader; valid until its next quiescent state.
 *
 * @param out room for MAX pointers
 * @return how many match, which may exceed MAX (then only MAX are written: call again with more room)
 */
size_t index_match(struct index *index, struct bytes topic, struct filter **out, size_t max);

/** The stamp that a result for TOPIC is valid for; load it before index_match(). Equal stamps: nothing changed. */
struct index_stamp {
    uint32_t stripe;
    uint32_t wild;
};
struct index_stamp index_stamp(struct index *index, struct bytes topic);

/** How many filters there are. Any thread; approximate while others write. */
size_t index_filter_count(const struct index *index);

/* --- a place's cache of resolved topics ------------------------------------------------------------------------- */

struct route_cache; /* owner: one place's thread */

/** A resolved topic. Valid until the thread's next quiescent state; revalidated by route_cache_find(). */
struct route {
    struct index_stamp stamp;
    uint64_t interest;     /* union of the filters' interest when resolved: a place not in it gets nothing */
    uint64_t durable;      /* union of the filters' durable interest */
    bool has_groups;       /* some filter has shared groups */
    uint32_t count;
    struct filter **filters;
};

/** A cache for at most ENTRIES (rounded up to a power of two) topics of up to 256 bytes; longer ones and topics with very
 * many filters are resolved each time into one scratch route. Bounded memory. Returns owned; NULL without memory. */
struct route_cache *route_cache_new(struct index *index, size_t entries);
void route_cache_free(struct route_cache *cache);

/** What TOPIC resolves to now. Never NULL: count 0 if nobody is interested or memory ran out. */
const struct route *route_cache_find(struct route_cache *cache, struct bytes topic);

/** True if ROUTE, which an earlier route_cache_find() for TOPIC returned *to a caller that kept it over a turn*, may be
 * used again without a lookup: EPOCH as returned then by route_cache_epoch() is still the cache's, and the stamp is current. */
bool route_cache_is_current(const struct route_cache *cache, const struct route *route, struct bytes topic, uint64_t epoch);

/** Changes whenever an entry of the cache is replaced or rebuilt, i.e. when kept struct route pointers may dangle. */
uint64_t route_cache_epoch(const struct route_cache *cache);

#endif
