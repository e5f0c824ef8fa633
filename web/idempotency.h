/**
 * Idempotency-Key: a request that is repeated with the same key gets the answer of the first, and takes no effect. The key belongs to
 * who asks and what for: peer identity, method and path; a key that comes again with other content is refused with 422.
 *
 * One table for all workers, bounded by count and age. A repetition that comes while the first is still being worked on waits for it, on
 * whichever worker. Where the store is durable, answers outlive the process: what a restart replays was on disk with the message that it is about.
 */
#ifndef WEB_IDEMPOTENCY_H
#define WEB_IDEMPOTENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/broker/recover.h"
#include "protocol/bytes.h"

struct http_request;
struct idempotency;
struct place;
struct store_write;

#define IDEMPOTENCY_KEYS_MAX  10000u   /* remembered; the oldest goes first */
#define IDEMPOTENCY_BYTES_MAX 8388608u /* of the answers remembered; the oldest goes first */
#define IDEMPOTENCY_AGE_MS    3600000u /* how long an answer is remembered */
#define IDEMPOTENCY_KEY_BYTES 255u     /* a longer key is refused with 400 */

/**
 * Look at REQUEST's key.
 *
 * @param out  owned by the caller: the entry that idempotency_reply() or idempotency_drop() takes; NULL if there is no key
 * @return true: go on; false: REQUEST has been answered, or will be
 */
bool idempotency_begin(struct http_request *request, struct idempotency **out) __attribute__((warn_unused_result));

/**
 * Answer REQUEST with STATUS and LEN bytes of JSON at BODY, and remember that for ENTRY (taken; NULL: nothing to remember). An
 * answer of 500 and above is not remembered: those who wait for it get it, who comes later begins anew.
 */
void idempotency_reply(struct http_request *request, struct idempotency *entry, unsigned status, const char *type,
                       const void *body, size_t len);

/** The same for a request that has gone: who repeats it, as one does who has heard nothing, gets the answer. PLACE: the request's. */
void idempotency_finish(struct place *place, struct idempotency *entry, unsigned status, const char *type,
                        const void *body, size_t len);

/**
 * What keeps the answer to come in a durable store: to be put in one transaction with the message, or, if there are several, once they are all on
 * disk. The same values are given to idempotency_reply() or idempotency_finish() when that is done; after idempotency_drop() it is taken out again.
 *
 * @param type "application/json", or NULL
 * @param out  owned by the caller; NULL if there is nothing to keep: no ENTRY, or no durable store
 * @return false without memory
 */
bool idempotency_store(struct place *place, struct idempotency *entry, unsigned status, const char *type,
                       const void *body, size_t len, struct store_write **out) __attribute__((warn_unused_result));

/**
 * An entry that the store has kept: remember its answer again. Before requests are served; any one thread.
 *
 * @param now_ms  monotonic
 * @param wall_ms at that moment
 */
enum broker_answer idempotency_restore(struct bytes key, struct bytes value, uint64_t now_ms, uint64_t wall_ms);

/** Nothing was done, or nobody knows what to say: a repetition begins anew. Takes ENTRY; NULL is a no-op. PLACE: the request's. */
void idempotency_drop(struct place *place, struct idempotency *entry);

#endif
