/*
 * Lookup in the cache: one line of tags, then one entry (a cache line), then its block. An entry that is stale, or that is
 * to hold another topic, is resolved anew where it stands.
 */
#include "gateway/broker/route_cache.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/hash.h"

enum {
    WAYS = 4,
    FOUND_AT_FIRST = 1024, /* filters */
    BLOCK_STEP = 64,       /* bytes; most topics fit in the block that is there */
};

struct entry {
    _Alignas(64) struct route route; /* its filters begin the block; the topic stands behind them */
    uint32_t block_size;
    uint16_t topic_len; /* 0: empty, and there may be a block all the same */
    bool was_used;      /* since a victim was last looked for in vain */
};

struct set_tags {
    uint32_t way[WAYS]; /* bits of the topic's hash that do not choose the set */
};

struct route_cache {
    struct index *index;
    const struct index_generations *generations;
    uint64_t seed;
    uint64_t epoch;
    size_t set_mask;
    size_t block_bytes; /* of all blocks */
    struct set_tags *tags;
    struct entry *entries; /* WAYS a set */
    struct filter **found; /* where topics are resolved */
    size_t found_max;
    struct route scratch; /* of a topic that is not kept; its filters are found */
};

struct route_cache *route_cache_new(struct index *index, size_t entries)
{
    size_t sets = 1;
    while (sets < SIZE_MAX / 2 / WAYS / sizeof(struct entry) && sets * WAYS < entries) {
        sets *= 2;
    }
    struct route_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return NULL;
    }
    cache->index = index;
    cache->generations = index_generations(index);
    cache->seed = index_seed(index);
    cache->set_mask = sets - 1;
    cache->tags = aligned_alloc(64, (sets * sizeof(*cache->tags) + 63) / 64 * 64);
    cache->entries = aligned_alloc(_Alignof(struct entry), sets * WAYS * sizeof(*cache->entries));
    cache->found = malloc(FOUND_AT_FIRST * sizeof(struct filter *));
    cache->found_max = FOUND_AT_FIRST;
    if (cache->tags == NULL || cache->entries == NULL || cache->found == NULL) {
        free(cache->tags);
        free(cache->entries);
        free(cache->found);
        free(cache);
        return NULL;
    }
    memset(cache->tags, 0, sets * sizeof(*cache->tags));
    memset(cache->entries, 0, sets * WAYS * sizeof(*cache->entries));
    return cache;
}

void route_cache_free(struct route_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (size_t i = 0; i < (cache->set_mask + 1) * WAYS; i++) {
        free(cache->entries[i].route.filters);
    }
    free(cache->tags);
    free(cache->entries);
    free(cache->found);
    free(cache);
}

static const uint8_t *topic_of(const struct entry *entry)
{
    return (const uint8_t *)(entry->route.filters + entry->route.count);
}

static bool is_of(const struct entry *entry, struct bytes topic)
{
    return entry->topic_len == topic.len && memcmp(topic_of(entry), topic.data, topic.len) == 0;
}

static bool is_equal(struct index_stamp a, struct index_stamp b)
{
    return a.stripe == b.stripe && a.wild == b.wild;
}

/* The entry of SET that is to give way. FIRST, another one each time, spreads the choice among those that nobody used: by a fixed
 * choice two topics could push out each other for ever. */
static struct entry *choose_victim(struct entry *set, uint64_t first)
{
    for (uint32_t i = 0; i < WAYS; i++) {
        struct entry *entry = &set[(first + i) % WAYS];
        if (!entry->was_used) {
            return entry;
        }
    }
    for (uint32_t i = 0; i < WAYS; i++) {
        set[i].was_used = false;
    }
    return &set[first % WAYS];
}

/* Put the filters that match TOPIC in cache->found. @return how many; SIZE_MAX without memory */
static size_t find_all(struct route_cache *cache, struct bytes topic)
{
    for (;;) {
        size_t count = index_match(cache->index, topic, cache->found, cache->found_max);
        if (count <= cache->found_max) {
            return count;
        }
        size_t max = count + count / 8; /* more may come meanwhile */
        struct filter **found = malloc(max * sizeof(struct filter *));
        if (found == NULL) {
            return SIZE_MAX;
        }
        free(cache->found);
        cache->found = found;
        cache->found_max = max;
    }
}

/* Give ENTRY a block for COUNT filters and LEN bytes. @return false without memory, then it is as it was */
static bool make_room(struct route_cache *cache, struct entry *entry, size_t count, size_t len)
{
    size_t size = (count * sizeof(struct filter *) + len + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP;
    if (size <= entry->block_size) {
        return true;
    }
    struct filter **block = malloc(size);
    if (block == NULL) {
        return false;
    }
    free(entry->route.filters);
    entry->route.filters = block;
    cache->block_bytes += size - entry->block_size;
    entry->block_size = (uint32_t)size;
    return true;
}

/* Fill in ROUTE, but for its filters, from the COUNT in cache->found. */
static void unite(const struct route_cache *cache, struct route *route, uint32_t stripe, struct index_stamp stamp,
                  size_t count)
{
    route->stamp = stamp;
    route->stripe = (uint16_t)stripe;
    route->interest = 0;
    route->durable = 0;
    route->has_groups = false;
    route->no_memory = false;
    route->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct filter *filter = cache->found[i];
        route->interest |= atomic_load_explicit(&filter->interest, memory_order_relaxed);
        route->durable |= atomic_load_explicit(&filter->durable, memory_order_relaxed);
        route->has_groups |= atomic_load_explicit(&filter->groups, memory_order_relaxed) != NULL;
    }
}

/* Resolve TOPIC of STRIPE into ENTRY, or, if ENTRY is NULL or has not enough room, into the scratch route. */
static const struct route *resolve(struct route_cache *cache, struct entry *entry, struct bytes topic, uint32_t stripe)
{
    cache->epoch++;
    struct index_stamp stamp = index_stamp_of(cache->generations, stripe);
    size_t count = find_all(cache, topic);
    if (count == SIZE_MAX) {
        cache->scratch = (struct route){.stamp = stamp, .stripe = (uint16_t)stripe, .no_memory = true};
        return &cache->scratch;
    }
    if (entry == NULL || count > ROUTE_CACHE_FILTERS_MAX || !make_room(cache, entry, count, topic.len)) {
        unite(cache, &cache->scratch, stripe, stamp, count);
        cache->scratch.filters = cache->found;
        return &cache->scratch;
    }
    unite(cache, &entry->route, stripe, stamp, count);
    memcpy(entry->route.filters, cache->found, count * sizeof(struct filter *));
    memcpy(entry->route.filters + count, topic.data, topic.len);
    entry->topic_len = (uint16_t)topic.len;
    return &entry->route;
}

const struct route *route_cache_find(struct route_cache *cache, struct bytes topic)
{
    if (topic.len > ROUTE_CACHE_TOPIC_MAX) {
        return resolve(cache, NULL, topic, index_stripe(cache->index, topic));
    }
    uint64_t hash = tg_hash(topic.data, topic.len, cache->seed);
    size_t set = (size_t)hash & cache->set_mask;
    uint32_t tag = (uint32_t)(hash >> 32);
    struct set_tags *tags = &cache->tags[set];
    struct entry *entries = &cache->entries[set * WAYS];
    for (uint32_t i = 0; i < WAYS; i++) {
        struct entry *entry = &entries[i];
        if (tags->way[i] != tag || !is_of(entry, topic)) {
            continue;
        }
        entry->was_used = true;
        if (is_equal(entry->route.stamp, index_stamp_of(cache->generations, entry->route.stripe))) {
            return &entry->route;
        }
        return resolve(cache, entry, topic, entry->route.stripe);
    }
    struct entry *victim = choose_victim(entries, cache->epoch);
    const struct route *route = resolve(cache, victim, topic, index_stripe(cache->index, topic));
    if (route == &victim->route) {
        tags->way[victim - entries] = tag;
    }
    return route;
}

bool route_cache_is_current(const struct route_cache *cache, const struct route *route, uint64_t epoch)
{
    return cache->epoch == epoch && is_equal(route->stamp, index_stamp_of(cache->generations, route->stripe));
}

uint64_t route_cache_epoch(const struct route_cache *cache)
{
    return cache->epoch;
}

size_t route_cache_bytes(const struct route_cache *cache)
{
    size_t sets = cache->set_mask + 1;
    return sizeof(*cache) + sets * (sizeof(struct set_tags) + WAYS * sizeof(struct entry)) + cache->block_bytes +
           cache->found_max * sizeof(struct filter *);
}
