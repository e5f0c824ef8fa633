/* See outq.h for the picture. A block is either shared (appended to by the whole pool while it is current) or private to one
 * queue (made by outq_settle, or because one packet is larger than a block). References are counted without atomics: pool
 * and queues belong to one thread. */
#include "gateway/broker/outq.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"

#define OUTQ_BLOCK_BYTES       ((size_t)64 * 1024)
#define OUTQ_SPARE_BLOCKS      32u
#define OUTQ_SPARE_CHUNKS      4096u
#define OUTQ_CHUNK_SEGMENTS    10u
#define OUTQ_PRIVATE_BYTES_MIN 4096u

struct outq_block {          /* owner: the place's thread */
    struct outq_block *next; /* in the pool's list of spares */
    uint32_t refs;           /* segments, outq_shared, and one of the pool while it is current */
    bool is_private;
    size_t used;
    size_t capacity;
    uint8_t data[];
};

struct segment {
    struct outq_block *block; /* holds a reference */
    const uint8_t *data;
    size_t len;
};

struct outq_chunk { /* owner: the place's thread */
    struct outq_chunk *next;
    uint32_t first; /* segments[first .. end) are in use */
    uint32_t end;
    struct segment segments[OUTQ_CHUNK_SEGMENTS];
};

struct outq_pool {              /* owner: the place's thread */
    struct outq_block *current; /* NULL until needed */
    struct outq_block *spare_blocks;
    struct outq_chunk *spare_chunks;
    uint32_t spare_block_count;
    uint32_t spare_chunk_count;
};

struct outq_pool *outq_pool_new(void)
{
    return calloc(1, sizeof(struct outq_pool));
}

void outq_pool_free(struct outq_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    free(pool->current);
    while (pool->spare_blocks != NULL) {
        struct outq_block *block = pool->spare_blocks;
        pool->spare_blocks = block->next;
        free(block);
    }
    while (pool->spare_chunks != NULL) {
        struct outq_chunk *chunk = pool->spare_chunks;
        pool->spare_chunks = chunk->next;
        free(chunk);
    }
    free(pool);
}

static struct outq_block *block_new(size_t capacity, bool is_private)
{
    struct outq_block *block = malloc(sizeof(*block) + capacity);
    if (block != NULL) {
        *block = (struct outq_block){.refs = 1, .is_private = is_private, .capacity = capacity};
    }
    return block;
}

static void block_unref(struct outq_pool *pool, struct outq_block *block)
{
    if (--block->refs > 0) {
        if (block->refs == 1 && block == pool->current) {
            block->used = 0; /* only the pool holds it: start over where the cache is warm */
        }
        return;
    }
    if (block->is_private || pool->spare_block_count >= OUTQ_SPARE_BLOCKS) {
        free(block);
        return;
    }
    block->next = pool->spare_blocks;
    pool->spare_blocks = block;
    pool->spare_block_count++;
}

/* Make the current block one that has room for LEN (<= OUTQ_BLOCK_BYTES). */
static bool pool_reserve(struct outq_pool *pool, size_t len)
{
    struct outq_block *current = pool->current;
    if (current != NULL && current->capacity - current->used >= len) {
        return true;
    }
    struct outq_block *block = pool->spare_blocks;
    if (block != NULL) {
        pool->spare_blocks = block->next;
        pool->spare_block_count--;
        block->refs = 1;
        block->used = 0;
    } else {
        block = block_new(OUTQ_BLOCK_BYTES, false);
        if (block == NULL) {
            return false;
        }
    }
    pool->current = block;
    if (current != NULL) {
        block_unref(pool, current);
    }
    return true;
}

/* A segment at the end of QUEUE, or NULL without memory. */
static struct segment *queue_add_segment(struct outq_pool *pool, struct outq *queue)
{
    struct outq_chunk *tail = queue->tail;
    if (tail != NULL && tail->end < OUTQ_CHUNK_SEGMENTS) {
        return &tail->segments[tail->end++];
    }
    struct outq_chunk *chunk = pool->spare_chunks;
    if (chunk != NULL) {
        pool->spare_chunks = chunk->next;
        pool->spare_chunk_count--;
    } else {
        chunk = malloc(sizeof(*chunk));
        if (chunk == NULL) {
            return NULL;
        }
    }
    chunk->next = NULL;
    chunk->first = 0;
    chunk->end = 1;
    if (tail != NULL) {
        tail->next = chunk;
    } else {
        queue->head = chunk;
    }
    queue->tail = chunk;
    return &chunk->segments[0];
}

static void chunk_release(struct outq_pool *pool, struct outq_chunk *chunk)
{
    if (pool->spare_chunk_count >= OUTQ_SPARE_CHUNKS) {
        free(chunk);
        return;
    }
    chunk->next = pool->spare_chunks;
    pool->spare_chunks = chunk;
    pool->spare_chunk_count++;
}

static struct segment *queue_last_segment(const struct outq *queue)
{
    return queue->tail != NULL ? &queue->tail->segments[queue->tail->end - 1] : NULL;
}

uint8_t *outq_append(struct outq_pool *pool, struct outq *queue, size_t len)
{
    struct outq_block *block;
    if (len > OUTQ_BLOCK_BYTES) {
        block = block_new(len, true);
        if (block == NULL) {
            return NULL;
        }
    } else {
        if (!pool_reserve(pool, len)) {
            return NULL;
        }
        block = pool->current;
        struct segment *last = queue_last_segment(queue);
        if (last != NULL && last->block == block && last->data + last->len == block->data + block->used) {
            last->len += len;
            block->used += len;
            queue->len += len;
            return block->data + block->used - len;
        }
        block->refs++;
    }
    struct segment *segment = queue_add_segment(pool, queue);
    if (segment == NULL) {
        block_unref(pool, block);
        return NULL;
    }
    uint8_t *room = block->data + block->used;
    *segment = (struct segment){block, room, len};
    block->used += len;
    queue->len += len;
    return room;
}

/* Forget the last, now empty, segment of QUEUE. */
static void queue_drop_last_segment(struct outq_pool *pool, struct outq *queue)
{
    struct outq_chunk *tail = queue->tail;
    block_unref(pool, tail->segments[tail->end - 1].block);
    tail->end--;
    if (tail->end > tail->first) {
        return;
    }
    struct outq_chunk *before = queue->head == tail ? NULL : queue->head;
    while (before != NULL && before->next != tail) {
        before = before->next;
    }
    if (before != NULL) {
        before->next = NULL;
    } else {
        queue->head = NULL;
    }
    queue->tail = before;
    chunk_release(pool, tail);
}

void outq_unappend(struct outq_pool *pool, struct outq *queue, size_t len)
{
    struct segment *last = queue_last_segment(queue);
    TG_ASSERT(last != NULL && last->len >= len);
    last->len -= len;
    last->block->used -= len;
    queue->len -= len;
    if (last->len == 0) {
        queue_drop_last_segment(pool, queue);
    }
}

bool outq_shared_new(struct outq_pool *pool, size_t len, struct outq_shared *out, uint8_t **room)
{
    struct outq_block *block;
    if (len > OUTQ_BLOCK_BYTES) {
        block = block_new(len, true);
        if (block == NULL) {
            return false;
        }
    } else {
        if (!pool_reserve(pool, len)) {
            return false;
        }
        block = pool->current;
        block->refs++;
    }
    *room = block->data + block->used;
    block->used += len;
    *out = (struct outq_shared){block, *room, len};
    return true;
}

bool outq_append_shared(struct outq_pool *pool, struct outq *queue, const struct outq_shared *shared)
{
    struct segment *last = queue_last_segment(queue);
    if (last != NULL && last->block == shared->block && last->data + last->len == shared->data) {
        last->len += shared->len; /* the packet before it was shared too: one run of bytes */
        queue->len += shared->len;
        return true;
    }
    struct segment *segment = queue_add_segment(pool, queue);
    if (segment == NULL) {
        return false;
    }
    shared->block->refs++;
    *segment = (struct segment){shared->block, shared->data, shared->len};
    queue->len += shared->len;
    return true;
}

void outq_shared_release(struct outq_pool *pool, struct outq_shared *shared)
{
    if (shared->block != NULL) {
        block_unref(pool, shared->block);
        *shared = (struct outq_shared){0};
    }
}

int outq_iov(const struct outq *queue, struct iovec *iov, int max)
{
    int count = 0;
    for (const struct outq_chunk *chunk = queue->head; chunk != NULL && count < max; chunk = chunk->next) {
        for (uint32_t i = chunk->first; i < chunk->end && count < max; i++) {
            const struct segment *segment = &chunk->segments[i];
            iov[count].iov_base = (void *)(uintptr_t)segment->data; /* NOLINT(performance-no-int-to-ptr): only read */
            iov[count].iov_len = segment->len;
            count++;
        }
    }
    return count;
}

void outq_consume(struct outq_pool *pool, struct outq *queue, size_t len)
{
    TG_ASSERT(len <= queue->len);
    queue->len -= len;
    while (len > 0) {
        struct outq_chunk *chunk = queue->head;
        TG_ASSERT(chunk != NULL);
        struct segment *segment = &chunk->segments[chunk->first];
        if (segment->len > len) {
            segment->data += len;
            segment->len -= len;
            return;
        }
        len -= segment->len;
        block_unref(pool, segment->block);
        chunk->first++;
        if (chunk->first == chunk->end) {
            queue->head = chunk->next;
            if (queue->head == NULL) {
                queue->tail = NULL;
            }
            chunk_release(pool, chunk);
        }
    }
}

/* What a queue holds from its first shared segment on, and the private one before that. */
struct shared_rest {
    size_t len;
    bool found;
    struct outq_block *block_before; /* private; NULL: none */
    const uint8_t *end_before;
};

static struct shared_rest find_shared(const struct outq *queue)
{
    struct shared_rest rest = {0};
    for (const struct outq_chunk *chunk = queue->head; chunk != NULL; chunk = chunk->next) {
        for (uint32_t i = chunk->first; i < chunk->end; i++) {
            const struct segment *segment = &chunk->segments[i];
            rest.found |= !segment->block->is_private;
            if (rest.found) {
                rest.len += segment->len;
            } else {
                rest.block_before = segment->block;
                rest.end_before = segment->data + segment->len;
            }
        }
    }
    return rest;
}

/* Where the bytes from the first shared segment on were moved out of. */
struct moved {
    struct outq_chunk *chunk;
    uint32_t at;
    struct segment *before; /* the private segment before it; NULL: none */
};

/* Copy all from the first shared segment on to the end of BLOCK and give their blocks back; chunks behind go. */
static struct moved move_shared(struct outq_pool *pool, struct outq *queue, struct outq_block *block)
{
    struct moved moved = {0};
    for (struct outq_chunk *chunk = queue->head; chunk != NULL; chunk = chunk->next) {
        for (uint32_t i = chunk->first; i < chunk->end; i++) {
            struct segment *segment = &chunk->segments[i];
            if (moved.chunk == NULL && segment->block->is_private) {
                moved.before = segment;
                continue;
            }
            memcpy(block->data + block->used, segment->data, segment->len);
            block->used += segment->len;
            if (moved.chunk == NULL) {
                moved.chunk = chunk;
                moved.at = i;
            }
            block_unref(pool, segment->block);
        }
    }
    TG_ASSERT(moved.chunk != NULL); /* there is a shared segment */
    struct outq_chunk *rest = moved.chunk->next;
    moved.chunk->next = NULL;
    queue->tail = moved.chunk;
    while (rest != NULL) {
        struct outq_chunk *next = rest->next;
        chunk_release(pool, rest);
        rest = next;
    }
    return moved;
}

/* The last chunk of QUEUE has become empty, and is not the only one. */
static void drop_last_chunk(struct outq_pool *pool, struct outq *queue)
{
    struct outq_chunk *previous = queue->head;
    while (previous != NULL && previous->next != queue->tail) {
        previous = previous->next;
    }
    TG_ASSERT(previous != NULL); /* the private segment before it stands in an earlier chunk */
    chunk_release(pool, queue->tail);
    previous->next = NULL;
    queue->tail = previous;
}

void outq_settle(struct outq_pool *pool, struct outq *queue)
{
    struct shared_rest rest = find_shared(queue);
    if (!rest.found) {
        return;
    }
    /* It moves to the end of the last private block, if that has room. */
    struct outq_block *block = rest.block_before;
    bool extends =
        block != NULL && rest.end_before == block->data + block->used && block->capacity - block->used >= rest.len;
    if (!extends) {
        size_t capacity = rest.len > queue->len / 2 ? rest.len * 2 : queue->len;
        block = block_new(capacity > OUTQ_PRIVATE_BYTES_MIN ? capacity : OUTQ_PRIVATE_BYTES_MIN, true);
        if (block == NULL) {
            return; /* it stays where it is: correct, only less frugal */
        }
    }
    uint8_t *start = block->data + block->used;
    struct moved moved = move_shared(pool, queue, block);
    if (!extends) {
        moved.chunk->segments[moved.at] =
            (struct segment){block, start, rest.len}; /* which has the block's first reference */
        moved.chunk->end = moved.at + 1;
        return;
    }
    TG_ASSERT(moved.before != NULL); /* the block that was extended is its */
    moved.before->len += rest.len;
    moved.chunk->end = moved.at;
    if (moved.chunk->end == moved.chunk->first) {
        drop_last_chunk(pool, queue);
    }
}

void outq_clear(struct outq_pool *pool, struct outq *queue)
{
    outq_consume(pool, queue, queue->len);
}
