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
#include "gateway/base/rcu.h"
#include "protocol/bytes.h"

#define INDEX_PLACES_MAX 64u /* interest is a bitmap in one word */
#define INDEX_STRIPES    256u
#define INDEX_WILD       INDEX_STRIPES /* the stripe of filters that begin with a wildcard */

struct index;
struct level_node;
struct share_group;
struct subscription;

/** What is out of the trie and waits to be freed; the first thing in its object. */
struct index_retired {
    struct index_retired *next;
};

/** The receivers of one filter at one place. owner: that place's thread, which alone reads and writes it */
struct filter_receivers {
    union {
        struct subscription *one;   /* capacity == 0: at most one plain (not shared) receiver */
        struct subscription **many; /* capacity > 0: heap array */
    };
    uint32_t count; /* plain receivers */
    uint32_t capacity;
    uint32_t durable_count; /* plain receivers with durable interest */
    uint32_t group_members; /* members of this filter's shared groups */
    uint32_t group_durable; /* of those, with durable interest */
};

/** One filter that somebody subscribed to. Readers may use it until their next quiescent state. */
struct filter {
    union {
        struct {
            struct level_node *node; /* where it hangs in the trie; index.c alone */
            uint32_t refs;           /* index mutex */
            uint32_t stripe;         /* which generation its changes move: 0..255, INDEX_WILD: begins with a wildcard */
        };
        struct index_retired retired; /* once it is out of the trie; index.c alone */
    };
    _Atomic uint64_t interest;            /* bit p: place p has a plain receiver; writers: index mutex */
    _Atomic uint64_t durable;             /* bit p: place p has a receiver or group member with durable interest;
                                             writers: index mutex */
    _Atomic(struct share_group *) groups; /* RCU list of shared groups on this filter; writers: index mutex */
    _Atomic uint32_t full; /* subscriptions with QoS > 0 whose session's queue is full; only under `refuse` */
    uint16_t text_len;
    uint16_t text_offset;            /* behind local[] */
    struct filter_receivers local[]; /* one a place */
};

/** The filter as it was subscribed to, without "$share/..."; borrowed from FILTER. Any thread that may use FILTER. */
static inline struct bytes filter_text(const struct filter *filter)
{
    return (struct bytes){(const uint8_t *)filter + filter->text_offset, filter->text_len};
}

/** Called (under the index mutex, must not block or call back) when a filter gets its first or loses its last interest
 * anywhere: the seam for other nodes. May be NULL. */
typedef void (*index_interest_fn)(void *arg, struct bytes filter, bool added);

/** An empty index for PLACES (1..INDEX_PLACES_MAX) places; hashes are seeded with SEED. Returns owned; NULL without memory. */
struct index *index_new(unsigned places, uint64_t seed, index_interest_fn on_interest, void *arg);

/** Free INDEX and every filter; no reader and no writer may be left. The calling thread is registered, and may wait for a
 * grace period. NULL is a no-op. */
void index_free(struct index *index);

/**
 * Find or create the filter TEXT (valid, without "$share/...") and take a reference to it. Any thread that is a
 * registered RCU reader.
 *
 * @param out shares; untouched on failure
 * @return TG_OK or TG_ERR_NO_MEMORY
 */
enum tg_err index_acquire(struct index *index, struct bytes text, struct filter **out)
    __attribute__((warn_unused_result));

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
 * Collect the filters that match the valid topic name TOPIC and have interest or groups. "$"-topics are not matched by
 * leading wildcards [MQTT-4.7.2-1]. Registered reader; valid until its next quiescent state.
 *
 * @param out room for MAX pointers
 * @return how many match, which may exceed MAX (then only MAX are written: call again with more room)
 */
size_t index_match(struct index *index, struct bytes topic, struct filter **out, size_t max);

/** What the caches compare. Any thread; in one block, because every cached topic reads two of them. */
struct index_generations {
    _Atomic uint32_t wild;
    _Atomic uint32_t stripes[INDEX_STRIPES];
};

/** The generations of INDEX; borrowed from it. */
const struct index_generations *index_generations(const struct index *index);

/** Which stripe the first level of TOPIC (or of a filter that does not begin with a wildcard) belongs to, 0..255. */
uint32_t index_stripe(const struct index *index, struct bytes topic);

/** The stamp that a result is valid for; load it before index_match(). Equal stamps: nothing changed. */
struct index_stamp {
    uint32_t stripe;
    uint32_t wild;
};

/** The stamp of topics of STRIPE now. Any thread. */
static inline struct index_stamp index_stamp_of(const struct index_generations *generations, uint32_t stripe)
{
    return (struct index_stamp){atomic_load_explicit(&generations->stripes[stripe], memory_order_acquire),
                                atomic_load_explicit(&generations->wild, memory_order_acquire)};
}

/** The stamp of TOPIC now. Any thread. */
static inline struct index_stamp index_stamp(const struct index *index, struct bytes topic)
{
    return index_stamp_of(index_generations(index), index_stripe(index, topic));
}

/** The seed of INDEX's hashes, for tables of topics beside it. */
uint64_t index_seed(const struct index *index);

/** How many filters there are. Any thread; approximate while others write. */
size_t index_filter_count(const struct index *index);

/** Bytes that trie, table and filters take as they were asked for, without the heap's own. Takes the writer mutex. */
size_t index_bytes(struct index *index);

#endif
