/**
 * Retained messages: the last value of each topic, in memory, shared by all places.
 *
 * Sharded by hash of the topic; a shard is an ordered tree (a level separator sorts before every other byte, so that a
 * topic's subtree is contiguous) behind one mutex that is held for one lookup or one slice of a walk, never over a
 * callback. A walk keeps no pointer into the tree between slices: it resumes by topic.
 *
 * Versions come from one process-wide counter and are taken under the shard's mutex. A subscriber publishes its
 * subscription, then takes the stamp; a publisher stores, then resolves receivers. So a version above the stamp
 * comes live, and one at or below it by the walk: exactly once each.
 */
#ifndef GATEWAY_BROKER_RETAINED_H
#define GATEWAY_BROKER_RETAINED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "gateway/store/message.h"
#include "protocol/bytes.h"

struct retained;
struct store_port;
struct store_record;

/** An empty store; MESSAGES_MAX and BYTES_MAX bound it (0: no bound); hashes are seeded. Returns owned; NULL without memory. */
struct retained *retained_new(size_t messages_max, size_t bytes_max, uint64_t seed);

/** Free RETAINED and give back its references. No other thread uses it any more. NULL is a no-op. */
void retained_free(struct retained *retained);

/** Change the bounds; what is stored stays. Any thread. */
void retained_set_limits(struct retained *retained, size_t messages_max, size_t bytes_max);

/**
 * Store MESSAGE as its topic's retained value and set message->version, or delete the topic's value if the payload
 * is empty [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]; a deletion takes a version as well. Any thread. The message is not
 * yet visible to anybody else.
 *
 * Against the bounds a value counts for what it takes in memory, its place in the tree included. A value that is not larger than the
 * one it replaces is always taken.
 *
 * @param message shares: a reference is added if it is kept
 * @param record  shares: what the store has of MESSAGE; NULL: nothing
 * @param old     out: owned, the record of the value that was there, whose STORE_RETAINED is to be finished; untouched if there was none
 * @return TG_OK (also for deleting what was not there); TG_ERR_LIMIT if the bounds forbid a *new* topic or more bytes, TG_ERR_NO_MEMORY;
 *         then nothing changed, and message->version is 0
 */
enum tg_err retained_store(struct retained *retained, struct message *message, struct store_record *record,
                           struct store_record **old) __attribute__((warn_unused_result));

/** The retained value of TOPIC; returns owned (a reference), NULL if there is none or it expired at or before NOW_MS. Any thread. */
struct message *retained_get(struct retained *retained, struct bytes topic, uint64_t now_ms);

/** The newest version given so far: what a new subscription takes as its stamp. Any thread. */
uint64_t retained_stamp(struct retained *retained);

/** A walk over the values that match a filter. Memory of the owner; owner's thread only. */
struct retained_cursor {
    struct bytes filter;      /* owned copy */
    struct message *position; /* shares: the message visited last in this shard, NULL at a shard's start */
    uint64_t stamp;           /* versions above it are passed over */
    uint32_t shard;
    uint32_t cost; /* of the last call: entries looked at, and searches */
    bool done;
};

/** Begin a walk for the valid FILTER (copied) up to STAMP. @return TG_OK or TG_ERR_NO_MEMORY; then CURSOR is untouched. */
enum tg_err retained_cursor_init(struct retained_cursor *cursor, struct bytes filter, uint64_t stamp)
    __attribute__((warn_unused_result));

/** End a walk, wherever it is; a cursor of zeros is fine too. */
void retained_cursor_fini(struct retained_cursor *cursor);

/**
 * Continue a walk: up to MAX matching, unexpired values in OUT, each a reference owned by the caller. Looks at a bounded
 * number of entries per call (a few hundred), so it may return 0 with cursor->done still false. A filter without
 * wildcard costs one lookup; one with a literal prefix visits only that prefix. "$"-topics are not matched by leading wildcards.
 * Order: ordered topic by topic within a shard.
 *
 * @return how many are in OUT; cursor->done tells whether that was all
 */
size_t retained_cursor_next(struct retained *retained, struct retained_cursor *cursor, uint64_t now_ms,
                            struct message **out, size_t max);

/**
 * Put a walk back to just behind MESSAGE, one of those that the last retained_cursor_next() returned, but not its last one: those
 * returned behind it come again.
 */
void retained_cursor_put_back(struct retained *retained, struct retained_cursor *cursor, struct message *message);

/**
 * A value from the store, at the start: it is kept if no higher version of its topic is there. MESSAGE->version is its own.
 *
 * @param loser out: owned, the record (RECORD itself, or that of what was there) that has been superseded; untouched if none was
 */
enum tg_err retained_restore(struct retained *retained, struct message *message, struct store_record *record,
                             struct store_record **loser) __attribute__((warn_unused_result));

/** Everything has been restored: values with an empty payload say that there is none, and go, their records finished through PORT. */
void retained_sweep_tombstones(struct retained *retained, struct store_port *port);

/** Versions from now on are above VERSION. */
void retained_continue_at(struct retained *retained, uint64_t version);

/**
 * Look for expired values and drop them: at most a few hundred entries per call, going round; shards in which nothing can expire
 * cost nothing. Their records are finished through PORT (NULL: there are none). Returns how many went. PORT's thread.
 */
size_t retained_sweep(struct retained *retained, uint64_t now_ms, struct store_port *port);

/** Values stored, and the bytes they count for against the bound. Any thread; approximate while others write. */
size_t retained_count(const struct retained *retained);
size_t retained_bytes(const struct retained *retained);

#endif
