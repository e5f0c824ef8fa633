/**
 * The flat table of the index: (parent node, level) to node, for the children whose level is literal.
 *
 * Extendible hashing. A directory of 2^depth pointers is indexed by the upper bits of the hash; each leads to a segment of 64 buckets,
 * and a bucket is one cache line:
 *
 *     directory   [ 0 | 1 | 2 | 3 ]          depth 2: the upper 2 bits
 *                   |   |    \ /
 *     segments      A   B     C              A, B of depth 2; C of depth 1, so two pointers lead to it
 *
 *     bucket      | tag tag tag tag tag tag tag over | node node node node node node node |
 *
 * A tag is one byte of the hash, 0 for an empty slot; all seven are compared at once. A full bucket sends nodes on to the next one
 * and counts them in "over", so a reader stops where nothing went on.
 *
 * A segment that is nearly full is replaced by two copies, each with half of its nodes, so growing costs a writer the same small step
 * every time, however large the table is (doubling the directory copies one pointer per segment). A node never changes
 * its slot within a segment. So a reader, whichever directory and segment it came by, finds every node that was there when it
 * began and still is: the old segment is complete until the new ones stand, and is freed a grace period later. Segments that
 * have become nearly empty are joined again.
 *
 * Readers: any registered RCU thread, without a lock. Writers: one at a time (the index mutex).
 */
#ifndef GATEWAY_BROKER_LEVEL_TABLE_H
#define GATEWAY_BROKER_LEVEL_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "gateway/base/hash.h"
#include "gateway/base/rcu.h"
#include "gateway/broker/index.h"
#include "protocol/bytes.h"

/** A node of the trie: one level below PARENT. Immutable but for what is atomic; writers: index mutex. */
struct level_node {
    union {
        uint64_t hash;                /* of (parent, level); of literal nodes, for writers */
        struct index_retired retired; /* once it is out of the trie */
    };
    struct level_node *parent;         /* NULL: the root */
    _Atomic(struct level_node *) plus; /* the child '+' */
    _Atomic(struct filter *) exact;    /* the filter that ends here */
    _Atomic(struct filter *) rest;     /* the filter that ends in '#' below here */
    _Atomic uint32_t children;         /* in the table */
    uint16_t len;                      /* of level */
    uint8_t level[];                   /* "+" is only ever the parent's plus: no topic contains it */
};

enum {
    LEVEL_BUCKETS = 64, /* a segment */
    LEVEL_SLOTS = 7,    /* a bucket */
};

struct level_bucket {
    _Atomic uint64_t tags; /* bytes 0..6: of the slots; byte 7: nodes that went on to the next bucket, 255: and more */
    _Atomic(struct level_node *) slots[LEVEL_SLOTS];
};

struct level_segment {
    _Alignas(64) struct level_bucket buckets[LEVEL_BUCKETS];
    struct tg_rcu_head rcu;
    uint32_t count; /* nodes */
    uint32_t depth; /* upper bits of the hash that all of them share */
};

struct level_directory {
    struct tg_rcu_head rcu;
    uint32_t depth; /* >= 1 */
    _Atomic(struct level_segment *) segments[];
};

struct level_table {
    _Atomic(struct level_directory *) directory;
    uint64_t seed;
};

/** Make TABLE empty; hashes are seeded with SEED. @return false without memory, then there is nothing to undo. */
bool level_table_init(struct level_table *table, uint64_t seed) __attribute__((warn_unused_result));

/** Free the table, not the nodes. No reader may be left. */
void level_table_fini(struct level_table *table);

/** Put NODE (hash, parent and level set) into TABLE, which has no equal. @return TG_OK or TG_ERR_NO_MEMORY, then it is not in it. */
enum tg_err level_table_add(struct level_table *table, struct level_node *node) __attribute__((warn_unused_result));

/** Take NODE out of TABLE, where it is. Readers may still use it until they are quiescent. */
void level_table_remove(struct level_table *table, struct level_node *node);

/** Call FN for each node; it may free the node. No reader and no other writer may be left. */
void level_table_for_each(struct level_table *table, void (*fn)(void *arg, struct level_node *node), void *arg);

/** Bytes that TABLE takes, without nodes. Writers. */
size_t level_table_bytes(const struct level_table *table);

/** The hash of the child LEVEL of PARENT. */
static inline uint64_t level_table_hash(const struct level_table *table, const struct level_node *parent,
                                        struct bytes level)
{
    /* The product spreads an address over all bits: short keys meet the seed almost unmixed. */
    uint64_t mixed = (uint64_t)(uintptr_t)parent * UINT64_C(0x9e3779b97f4a7c15);
    return tg_hash(level.data, level.len, table->seed ^ mixed);
}

#define LEVEL_TAG_ONES UINT64_C(0x0001010101010101)
#define LEVEL_TAG_TOPS UINT64_C(0x0080808080808080)

/** The byte that stands for HASH in a bucket, 1..255; buckets and segments are chosen by other bits. */
static inline uint64_t level_tag(uint64_t hash)
{
    uint64_t tag = hash >> 8 & 0xff;
    return tag != 0 ? tag : 1;
}

/** The child LEVEL of PARENT, whose hash is HASH; NULL if there is none. Registered reader, or writer. */
static inline struct level_node *level_table_find(const struct level_table *table, const struct level_node *parent,
                                                  struct bytes level, uint64_t hash)
{
    const struct level_directory *directory = tg_rcu_dereference(table->directory);
    const struct level_segment *segment = tg_rcu_dereference(directory->segments[hash >> (64 - directory->depth)]);
    uint64_t wanted = level_tag(hash) * LEVEL_TAG_ONES;
    for (uint32_t i = 0; i < LEVEL_BUCKETS; i++) {
        const struct level_bucket *bucket = &segment->buckets[(hash + i) % LEVEL_BUCKETS];
        uint64_t tags = tg_rcu_dereference(bucket->tags);
        uint64_t difference = tags ^ wanted;
        /* The top bit of each byte that is 0; of one behind such a byte too, sometimes: the node itself decides. */
        uint64_t equal = (difference - LEVEL_TAG_ONES) & ~difference & LEVEL_TAG_TOPS;
        for (; equal != 0; equal &= equal - 1) {
            struct level_node *node = tg_rcu_dereference(bucket->slots[__builtin_ctzll(equal) / 8]);
            if (node != NULL && node->parent == parent && node->len == level.len &&
                memcmp(node->level, level.data, level.len) == 0) {
                return node;
            }
        }
        if (tags >> 56 == 0) {
            return NULL;
        }
    }
    return NULL;
}

#endif
