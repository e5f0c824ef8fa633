#include "web/request_stats.h"

#include <stdlib.h>
#include <time.h>

#include "web/http_request.h"
#include "web/http_status.h"
#include "web/routes.h"
#include "web/static_files.h"

const uint64_t request_stats_bounds_ns[REQUEST_STATS_BOUNDS] = {
    500000, 1000000, 2500000, 5000000, 10000000, 25000000, 100000000, 500000000, 2500000000, 10000000000,
};

struct request_stats *request_stats_new(uint64_t since_ms)
{
    size_t count = web_route_count + REQUEST_STATS_EXTRA;
    struct request_stats *stats = calloc(1, sizeof(*stats) + count * sizeof(stats->rows[0]));
    if (stats != NULL) {
        stats->since_ms = since_ms;
        stats->row_count = count;
    }
    return stats;
}

uint64_t request_stats_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One writer: a load and a store do. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static size_t row_of(const struct http_route *route)
{
    if (route == &static_files_route) {
        return web_route_count + REQUEST_STATS_FILES;
    }
    return route != NULL ? (size_t)(route - web_routes) : web_route_count + REQUEST_STATS_UNKNOWN;
}

void request_stats_count(struct request_stats *stats, const struct http_route *route, unsigned status,
                         uint64_t duration_ns)
{
    struct request_row *row = &stats->rows[row_of(route)];
    size_t i = 0;
    while (i < REQUEST_STATS_BOUNDS && duration_ns > request_stats_bounds_ns[i]) {
        i++;
    }
    add(&row->statuses[http_status_index(status)], 1);
    add(&row->durations[i], 1);
    add(&row->duration_ns, duration_ns);
}

const char *request_stats_route(size_t index)
{
    if (index < web_route_count) {
        return web_routes[index].path;
    }
    return index == web_route_count + REQUEST_STATS_FILES ? "(files)" : "(none)";
}

const char *request_stats_method(size_t index)
{
    if (index < web_route_count) {
        return http_method_name(web_routes[index].method);
    }
    return index == web_route_count + REQUEST_STATS_FILES ? "GET" : "";
}
