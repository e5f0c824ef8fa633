/*
 * How long a match and a cached lookup take: prints nanoseconds per call and bytes per filter for 100 000 and 1 000 000
 * wildcard filters.
 *
 *     tests/bench/micro_index [FILTERS...]
 *
 * Filters look like those of a fleet of devices: a/+/c/N/#, fleet/N/+/state, d/N/cmd/+, +/N/alarm. Topics are random, one in two matches
 * one filter. Not part of make check: figures are for people to compare, on a quiet machine.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/base/rcu.h"
#include "gateway/broker/index.h"
#include "gateway/broker/route_cache.h"

enum {
    TOPICS = 1 << 20, /* prepared, so that making them is not measured */
    TEXT_MAX = 48,
    CALLS = 4000000,
    HOT_TOPICS = 1000,
    CACHE_ENTRIES = 8192,
    OUT_MAX = 64,
};

struct topic {
    uint8_t len;
    char text[TEXT_MAX - 1];
};

/* CPU time of this thread: others on the machine disturb it least. */
static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

static struct bytes bytes_of(const struct topic *topic)
{
    return (struct bytes){(const uint8_t *)topic->text, topic->len};
}

static void fill(struct index *index, struct filter **filters, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[TEXT_MAX];
        switch (i % 4) {
        case 0:
            snprintf(text, sizeof(text), "a/+/c/%u/#", i);
            break;
        case 1:
            snprintf(text, sizeof(text), "fleet/%u/+/state", i);
            break;
        case 2:
            snprintf(text, sizeof(text), "d/%u/cmd/+", i);
            break;
        default:
            snprintf(text, sizeof(text), "+/%u/alarm", i);
        }
        if (index_acquire(index, bytes_from_string(text), &filters[i]) != TG_OK) {
            fputs("out of memory\n", stderr);
            exit(1);
        }
        index_set_interest(index, filters[i], i % 2, true, i % 3 == 0);
    }
}

static void make_topics(struct topic *topics, unsigned filters)
{
    uint64_t random = 1;
    for (unsigned i = 0; i < TOPICS; i++) {
        unsigned shape = next_random(&random) % 4;
        unsigned number = next_random(&random) % (2 * filters) / 4 * 4 + shape; /* every second one of no filter */
        unsigned device = next_random(&random) % 1000;
        char text[TEXT_MAX];
        switch (shape) {
        case 0:
            snprintf(text, sizeof(text), "a/dev%u/c/%u/temperature", device, number);
            break;
        case 1:
            snprintf(text, sizeof(text), "fleet/%u/dev%u/state", number, device);
            break;
        case 2:
            snprintf(text, sizeof(text), "d/%u/cmd/dev%u", number, device);
            break;
        default:
            snprintf(text, sizeof(text), "dev%u/%u/alarm", device, number);
        }
        topics[i].len = (uint8_t)strlen(text);
        memcpy(topics[i].text, text, topics[i].len);
    }
}

static void report(const char *what, uint64_t began, size_t matches)
{
    double ns = (double)(now_ns() - began) / CALLS;
    printf("  %-34s %7.1f ns, %.3f filters a call\n", what, ns, (double)matches / CALLS);
}

static void time_match(struct index *index, const struct topic *topics, unsigned mask, const char *what)
{
    struct filter *out[OUT_MAX];
    size_t matches = 0;
    uint64_t began = now_ns();
    for (unsigned i = 0; i < CALLS; i++) {
        matches += index_match(index, bytes_of(&topics[i & mask]), out, OUT_MAX);
    }
    report(what, began, matches);
}

static void time_find(struct route_cache *cache, const struct topic *topics, unsigned count, const char *what)
{
    size_t matches = 0;
    uint64_t began = now_ns();
    for (unsigned i = 0, at = 0; i < CALLS; i++) {
        matches += route_cache_find(cache, bytes_of(&topics[at]))->count;
        at = at + 1 == count ? 0 : at + 1;
    }
    report(what, began, matches);
}

static void time_current(struct route_cache *cache, const struct topic *topic)
{
    const struct route *route = route_cache_find(cache, bytes_of(topic));
    uint64_t epoch = route_cache_epoch(cache);
    size_t current = 0;
    uint64_t began = now_ns();
    for (unsigned i = 0; i < CALLS; i++) {
        current += route_cache_is_current(cache, route, epoch);
    }
    report("route_cache_is_current", began, current);
}

static void measure(unsigned count, struct topic *topics)
{
    struct filter **filters = calloc(count, sizeof(struct filter *));
    struct index *index = index_new(2, 12345, NULL, NULL);
    struct route_cache *cache = index != NULL ? route_cache_new(index, CACHE_ENTRIES) : NULL;
    if (filters == NULL || cache == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    size_t heap = mallinfo2().uordblks;
    uint64_t began = now_ns();
    fill(index, filters, count);
    printf("%u filters, 2 places: %.1f ns to add one, %.1f bytes each asked for, %.1f of heap\n", count,
           (double)(now_ns() - began) / count, (double)index_bytes(index) / count,
           (double)(mallinfo2().uordblks - heap) / count);
    make_topics(topics, count);
    time_match(index, topics, TOPICS - 1, "index_match, a million topics");
    time_match(index, topics, 1023, "index_match, 1024 topics");
    time_find(cache, topics, TOPICS, "route_cache_find, a million topics");
    time_find(cache, topics, HOT_TOPICS, "route_cache_find, 1000 topics");
    time_find(cache, topics, 10, "route_cache_find, 10 topics");
    time_current(cache, topics);
    printf("  cache of %d entries: %zu KiB\n", CACHE_ENTRIES, route_cache_bytes(cache) / 1024);
    began = now_ns();
    for (unsigned i = 0; i < count; i++) {
        index_set_interest(index, filters[i], i % 2, false, false);
        index_release(index, filters[i]);
        if (i % 64 == 0) {
            tg_rcu_quiescent();
        }
    }
    printf("  removing one %.1f ns\n", (double)(now_ns() - began) / count);
    route_cache_free(cache);
    tg_rcu_barrier();
    index_free(index);
    free(filters);
}

int main(int argc, char **argv)
{
    struct topic *topics = calloc(TOPICS, sizeof(*topics));
    if (topics == NULL) {
        return 1;
    }
    tg_rcu_register_thread();
    if (argc == 1) {
        measure(100000, topics);
        measure(1000000, topics);
    }
    for (int i = 1; i < argc; i++) {
        measure((unsigned)strtoul(argv[i], NULL, 10), topics);
    }
    tg_rcu_unregister_thread();
    free(topics);
    return 0;
}
