/*
 * The writers' half of the level table: put in, take out, split and join segments. See the header for the picture.
 */
#include "gateway/broker/level_table.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"

enum {
    SEGMENT_SLOTS = LEVEL_BUCKETS * LEVEL_SLOTS,
    SPLIT_AT = SEGMENT_SLOTS * 3 / 4, /* beyond it, too many nodes stand in a later bucket */
    JOIN_AT = SEGMENT_SLOTS / 4,      /* of two together; far from SPLIT_AT, so that they do not take turns */
    DEPTH_MAX = 24,                   /* enough for four thousand million nodes */
    OVER_MAX = 255,
};

#define OVER_ONE (UINT64_C(1) << 56)

static struct level_segment *segment_new(uint32_t depth)
{
    struct level_segment *segment = aligned_alloc(_Alignof(struct level_segment), sizeof(*segment));
    if (segment != NULL) {
        memset(segment, 0, sizeof(*segment));
        segment->depth = depth;
    }
    return segment;
}

static void segment_free(struct tg_rcu_head *rcu)
{
    free((char *)rcu - offsetof(struct level_segment, rcu));
}

static struct level_directory *directory_new(uint32_t depth)
{
    size_t size = sizeof(struct level_directory) + (sizeof(struct level_segment *) << depth);
    struct level_directory *directory = malloc(size);
    if (directory != NULL) {
        directory->depth = depth;
    }
    return directory;
}

static void directory_free(struct tg_rcu_head *rcu)
{
    free((char *)rcu - offsetof(struct level_directory, rcu));
}

/* Only the writer changes what these two read, so it needs no order. */
static struct level_directory *directory_of(const struct level_table *table)
{
    return atomic_load_explicit(&table->directory, memory_order_relaxed);
}

static uint64_t tags_of(const struct level_bucket *bucket)
{
    return atomic_load_explicit(&bucket->tags, memory_order_relaxed);
}

bool level_table_init(struct level_table *table, uint64_t seed)
{
    struct level_directory *directory = directory_new(1);
    struct level_segment *segment = segment_new(0);
    if (directory == NULL || segment == NULL) {
        free(directory);
        free(segment);
        return false;
    }
    atomic_init(&directory->segments[0], segment);
    atomic_init(&directory->segments[1], segment);
    atomic_init(&table->directory, directory);
    table->seed = seed;
    return true;
}

/* The number of pointers in DIRECTORY that lead to SEGMENT. */
static size_t span_of(const struct level_directory *directory, const struct level_segment *segment)
{
    return (size_t)1 << (directory->depth - segment->depth);
}

void level_table_fini(struct level_table *table)
{
    struct level_directory *directory = directory_of(table);
    size_t size = (size_t)1 << directory->depth;
    for (size_t i = 0; i < size;) {
        struct level_segment *segment = tg_rcu_dereference(directory->segments[i]);
        i += span_of(directory, segment);
        free(segment);
    }
    free(directory);
}

static void bucket_for_each(struct level_bucket *bucket, void (*fn)(void *arg, struct level_node *node), void *arg)
{
    uint64_t tags = tags_of(bucket);
    for (unsigned slot = 0; slot < LEVEL_SLOTS; slot++) {
        if ((tags >> (8 * slot) & 0xff) != 0) {
            fn(arg, atomic_load_explicit(&bucket->slots[slot], memory_order_relaxed));
        }
    }
}

static void segment_for_each(struct level_segment *segment, void (*fn)(void *arg, struct level_node *node), void *arg)
{
    for (unsigned i = 0; i < LEVEL_BUCKETS; i++) {
        bucket_for_each(&segment->buckets[i], fn, arg);
    }
}

void level_table_for_each(struct level_table *table, void (*fn)(void *arg, struct level_node *node), void *arg)
{
    struct level_directory *directory = directory_of(table);
    size_t size = (size_t)1 << directory->depth;
    for (size_t i = 0; i < size;) {
        struct level_segment *segment = tg_rcu_dereference(directory->segments[i]);
        i += span_of(directory, segment);
        segment_for_each(segment, fn, arg);
    }
}

/* SEGMENT has an empty slot. */
static void segment_put(struct level_segment *segment, struct level_node *node)
{
    TG_ASSERT(segment->count < SEGMENT_SLOTS);
    struct level_bucket *bucket = &segment->buckets[node->hash % LEVEL_BUCKETS];
    uint64_t tags = tags_of(bucket);
    for (uint32_t i = 1; ((tags - LEVEL_TAG_ONES) & ~tags & LEVEL_TAG_TOPS) == 0; i++) {
        if (tags >> 56 < OVER_MAX) {
            atomic_store_explicit(&bucket->tags, tags + OVER_ONE, memory_order_release);
        }
        bucket = &segment->buckets[(node->hash + i) % LEVEL_BUCKETS];
        tags = tags_of(bucket);
    }
    /* The lowest such bit is exact. */
    unsigned slot = (unsigned)__builtin_ctzll((tags - LEVEL_TAG_ONES) & ~tags & LEVEL_TAG_TOPS) / 8;
    tg_rcu_assign(bucket->slots[slot], node);
    atomic_store_explicit(&bucket->tags, tags | level_tag(node->hash) << (8 * slot), memory_order_release);
    segment->count++;
}

static bool bucket_take(struct level_bucket *bucket, const struct level_node *node)
{
    for (unsigned slot = 0; slot < LEVEL_SLOTS; slot++) {
        if (atomic_load_explicit(&bucket->slots[slot], memory_order_relaxed) == node) {
            uint64_t tags = tags_of(bucket) & ~(UINT64_C(0xff) << (8 * slot));
            atomic_store_explicit(&bucket->tags, tags, memory_order_release);
            tg_rcu_assign(bucket->slots[slot], NULL);
            return true;
        }
    }
    return false;
}

static void segment_take(struct level_segment *segment, const struct level_node *node)
{
    for (uint32_t i = 0; i < LEVEL_BUCKETS; i++) {
        struct level_bucket *bucket = &segment->buckets[(node->hash + i) % LEVEL_BUCKETS];
        if (bucket_take(bucket, node)) {
            segment->count--;
            return;
        }
        uint64_t tags = tags_of(bucket);
        TG_ASSERT(tags >> 56 != 0);
        if (tags >> 56 < OVER_MAX) {
            atomic_store_explicit(&bucket->tags, tags - OVER_ONE, memory_order_release);
        }
    }
    TG_ASSERT(false);
}

static size_t slot_of(const struct level_directory *directory, uint64_t hash)
{
    return (size_t)(hash >> (64 - directory->depth));
}

static struct level_segment *segment_of(const struct level_table *table, uint64_t hash)
{
    const struct level_directory *directory = directory_of(table);
    return atomic_load_explicit(&directory->segments[slot_of(directory, hash)], memory_order_relaxed);
}

/* Let all pointers for hashes that share the upper SEGMENT->depth bits of HASH lead to SEGMENT. */
static void segment_publish(struct level_directory *directory, struct level_segment *segment, uint64_t hash)
{
    size_t span = span_of(directory, segment);
    size_t first = slot_of(directory, hash) & ~(span - 1);
    for (size_t i = first; i < first + span; i++) {
        tg_rcu_assign(directory->segments[i], segment);
    }
}

static bool directory_double(struct level_table *table)
{
    struct level_directory *old = directory_of(table);
    struct level_directory *directory = directory_new(old->depth + 1);
    if (directory == NULL) {
        return false;
    }
    size_t size = (size_t)1 << directory->depth;
    for (size_t i = 0; i < size; i++) {
        atomic_init(&directory->segments[i], atomic_load_explicit(&old->segments[i / 2], memory_order_relaxed));
    }
    tg_rcu_assign(table->directory, directory);
    tg_rcu_call(&old->rcu, directory_free);
    return true;
}

struct halves {
    struct level_segment *half[2];
    uint32_t bit; /* of the hash, that chooses */
};

static void put_in_half(void *arg, struct level_node *node)
{
    struct halves *halves = arg;
    segment_put(halves->half[node->hash >> halves->bit & 1], node);
}

/* Replace the full SEGMENT, where HASH belongs, by two. @return false if it cannot be done. */
static bool segment_split(struct level_table *table, struct level_segment *segment, uint64_t hash)
{
    if (segment->depth == DEPTH_MAX || (segment->depth == directory_of(table)->depth && !directory_double(table))) {
        return false;
    }
    uint32_t depth = segment->depth + 1;
    struct halves halves = {{segment_new(depth), segment_new(depth)}, 64 - depth};
    if (halves.half[0] == NULL || halves.half[1] == NULL) {
        free(halves.half[0]);
        free(halves.half[1]);
        return false;
    }
    segment_for_each(segment, put_in_half, &halves);
    uint64_t bit = UINT64_C(1) << halves.bit;
    segment_publish(directory_of(table), halves.half[0], hash & ~bit);
    segment_publish(directory_of(table), halves.half[1], hash | bit);
    tg_rcu_call(&segment->rcu, segment_free);
    return true;
}

static void put_in_segment(void *arg, struct level_node *node)
{
    segment_put(arg, node);
}

/* Join SEGMENT, where HASH belongs, with the other half of what they were split from, if both are nearly empty. */
static void segment_join(struct level_table *table, struct level_segment *segment, uint64_t hash)
{
    if (segment->depth == 0 || segment->count > JOIN_AT) {
        return;
    }
    struct level_segment *other = segment_of(table, hash ^ UINT64_C(1) << (64 - segment->depth));
    if (other->depth != segment->depth || segment->count + other->count > JOIN_AT) {
        return;
    }
    struct level_segment *both = segment_new(segment->depth - 1);
    if (both == NULL) {
        return; /* it only saves memory */
    }
    segment_for_each(segment, put_in_segment, both);
    segment_for_each(other, put_in_segment, both);
    segment_publish(directory_of(table), both, hash);
    tg_rcu_call(&segment->rcu, segment_free);
    tg_rcu_call(&other->rcu, segment_free);
}

enum tg_err level_table_add(struct level_table *table, struct level_node *node)
{
    struct level_segment *segment = segment_of(table, node->hash);
    while (segment->count >= SPLIT_AT && segment_split(table, segment, node->hash)) {
        segment = segment_of(table, node->hash);
    }
    if (segment->count == SEGMENT_SLOTS) {
        return TG_ERR_NO_MEMORY;
    }
    segment_put(segment, node);
    return TG_OK;
}

void level_table_remove(struct level_table *table, struct level_node *node)
{
    struct level_segment *segment = segment_of(table, node->hash);
    segment_take(segment, node);
    segment_join(table, segment, node->hash);
}

size_t level_table_bytes(const struct level_table *table)
{
    const struct level_directory *directory = directory_of(table);
    size_t size = (size_t)1 << directory->depth;
    size_t bytes = sizeof(*directory) + size * sizeof(directory->segments[0]);
    for (size_t i = 0; i < size;) {
        const struct level_segment *segment = atomic_load_explicit(&directory->segments[i], memory_order_relaxed);
        i += span_of(directory, segment);
        bytes += sizeof(*segment);
    }
    return bytes;
}
