/**
 * Counters of the HTTP requests of one worker: by route and status, and how long their answers took to begin.
 *
 * Its thread writes, any thread reads. Relaxed atomics, as in gateway/broker/stats.h.
 */
#ifndef WEB_REQUEST_STATS_H
#define WEB_REQUEST_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "web/http.h"

#define REQUEST_STATS_BOUNDS   10u
#define REQUEST_STATS_STATUSES 64u /* more than statuses in use */

/** Upper bounds of request_row.durations, in ns, ascending. */
extern const uint64_t request_stats_bounds_ns[REQUEST_STATS_BOUNDS];

struct request_row {
    _Atomic uint64_t statuses[REQUEST_STATS_STATUSES];    /* index: http_status_index() */
    _Atomic uint64_t durations[REQUEST_STATS_BOUNDS + 1]; /* by the first bound that is not exceeded */
    _Atomic uint64_t duration_ns;                         /* the sum */
};

struct request_stats {
    uint64_t since_ms; /* when counting began: wall clock, ms since the epoch. immutable */
    size_t row_count;
    struct request_row rows[]; /* one for each of web_routes, then REQUEST_STATS_FILES, REQUEST_STATS_UNKNOWN */
};

/** Rows behind those of the routes: static files, and what no route took. */
enum {
    REQUEST_STATS_FILES,
    REQUEST_STATS_UNKNOWN,
    REQUEST_STATS_EXTRA,
};

/** All zero, counting since SINCE_MS. Returns owned, free with free(3); NULL without memory. */
struct request_stats *request_stats_new(uint64_t since_ms);

/**
 * An answer begins.
 *
 * @param route  NULL: none took the request
 * @param status one of those in use
 */
void request_stats_count(struct request_stats *stats, const struct http_route *route, unsigned status,
                         uint64_t duration_ns);

/** What row number INDEX is called: "/topics/{topic}" is its route's path as in the table; "(files)", "(none)". Static. */
const char *request_stats_route(size_t index);

/** The method of row number INDEX: "GET"; "" for what no route took. Static. */
const char *request_stats_method(size_t index);

/** A clock to measure with, monotonic. */
uint64_t request_stats_now_ns(void);

#endif
