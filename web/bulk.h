/**
 * Many messages in one request: parsed and published a few milliseconds at a time, on the request's worker, so that others have their turn.
 *
 *      PARSING --- not JSON, too many, too large: refused, nothing is published
 *         |
 *      PUBLISHING --- one result an item
 *         |
 *      WAITING for the store, then the answer
 *
 * A peer that goes away, at whatever stage, has its messages published all the same; a server that is told to stop answers first.
 */
#ifndef WEB_BULK_H
#define WEB_BULK_H

#include <stdbool.h>

#include <jansson.h>

#include "gateway/broker/place_publish.h"

struct arena;
struct bulks;
struct http_request;
struct idempotency;

#define BULK_ITEMS_MAX 10000u

/** What has become of the items so far. */
struct bulk_sum {
    struct store_ticket *tickets; /* owned: one for each item that was taken, and room for all */
    size_t ticket_count;
    bool any_taken;
    bool any_unmatched;
    bool any_failed;
};

/** What differs between the routes. static */
struct bulk_shape {
    bool is_whole; /* one item at fault, and nothing is published */
    /** ITEM as a message, which borrows from it and from ARENA. @return false with *FAULT (owned; NULL without memory), what the answer says of it */
    bool (*read)(struct arena *arena, const json_t *item, struct place_publication *out, json_t **fault);
    /** Publish MESSAGE and add to SUM. @return what the answer says of it, owned; NULL without memory */
    json_t *(*publish)(struct place *place, const struct place_publication *message, struct bulk_sum *sum);
    /** Answer REQUEST, of which nothing was published: STATUS is 400 (not JSON), 413 (an item is too large) or 422 (their number). */
    void (*refuse)(struct http_request *request, unsigned status, const char *detail);
    /** The status of an answer with results. */
    unsigned (*status)(const struct bulk_sum *sum);
};

/**
 * Publish the body of REQUEST, an array or, if IS_LINES, one item a line, and answer it.
 * @param key  taken: from idempotency_begin(); NULL: none
 */
void bulk_begin(struct http_request *request, const struct bulk_shape *shape, bool is_lines, struct idempotency *key);

/** Free what is left of a worker's bulks (http_parts); its thread has ended. NULL is a no-op. */
void bulks_free(struct bulks *bulks);

#endif
