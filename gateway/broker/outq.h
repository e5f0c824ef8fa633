/**
 * Output of one connection: bytes that wait for the end of the loop turn, and for the socket.
 *
 * A place has a pool of 64 KiB blocks that all its connections append to, one behind the other; a connection's queue is a list
 * of segments that point into blocks. So an idle connection owns nothing, a busy one owns no block of its own, appending in a
 * row extends the last segment, and one encoded packet can be referenced by a thousand queues (fan-out). Blocks
 * count their references and go back to the pool.
 *
 *      block  [ packet packet | packet | packet packet ... free ]
 *                 ^---- a ----^ ^- b -^ ^---- a ----^          a.head -> seg, seg   b.head -> seg
 *
 * What a full socket leaves over is moved to memory of the connection's own (outq_settle), so that a slow reader does not pin
 * a block that thousands share.
 *
 * owner: the place's thread, for pool and queues alike.
 */
#ifndef GATEWAY_BROKER_OUTQ_H
#define GATEWAY_BROKER_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "protocol/bytes.h"

struct outq_pool;
struct outq_block;
struct outq_chunk;

struct outq {
    struct outq_chunk *head; /* NULL: empty */
    struct outq_chunk *tail;
    size_t len; /* bytes waiting */
};

/** A run of bytes in a block that holds a reference to it, to be appended to many queues. */
struct outq_shared {
    struct outq_block *block;
    const uint8_t *data;
    size_t len;
};

struct outq_pool *outq_pool_new(void);
void outq_pool_free(struct outq_pool *pool);

/**
 * Room for LEN bytes at the end of QUEUE. The caller fills exactly LEN bytes before any other call.
 * @return NULL without memory; then QUEUE is unchanged
 */
uint8_t *outq_append(struct outq_pool *pool, struct outq *queue, size_t len);

/** Take back the last LEN bytes of what the last outq_append() on this queue gave. */
void outq_unappend(struct outq_pool *pool, struct outq *queue, size_t len);

/** Room for LEN bytes that no queue holds yet. @return false without memory. Give it back with outq_shared_release(). */
bool outq_shared_new(struct outq_pool *pool, size_t len, struct outq_shared *out, uint8_t **room);
/** Append SHARED's bytes to QUEUE by reference. @return false without memory. */
bool outq_append_shared(struct outq_pool *pool, struct outq *queue, const struct outq_shared *shared);
void outq_shared_release(struct outq_pool *pool, struct outq_shared *shared);

/** Fill up to MAX entries of IOV with what waits. @return entries used. */
int outq_iov(const struct outq *queue, struct iovec *iov, int max);

/** Drop the first LEN (<= queue->len) bytes: they were written. */
void outq_consume(struct outq_pool *pool, struct outq *queue, size_t len);

/** The socket is full: move what is left into memory of this queue's own. */
void outq_settle(struct outq_pool *pool, struct outq *queue);

/** Drop everything. */
void outq_clear(struct outq_pool *pool, struct outq *queue);

#endif
