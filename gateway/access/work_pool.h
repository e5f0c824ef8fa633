/**
 * A few threads for work that takes too long for a worker's loop: password hashes. The queue is bounded; what does not fit is refused at
 * once, for whoever asked to say so. The threads are nice, so that a flood of logins does not slow down who is logged in.
 *
 *      submit -> (queue) -> run(work, true)      on a thread of the pool
 *                   \-----> run(work, false)     the pool ends first
 */
#ifndef GATEWAY_ACCESS_WORK_POOL_H
#define GATEWAY_ACCESS_WORK_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct work_pool;

/** One piece of work; embedded in its owner, the pool's from submit to run. */
struct work {
    struct work *next;
    /** Do it; IS_ON false: the pool ends, it is to be given up instead. WORK may be freed. */
    void (*run)(struct work *work, bool is_on);
};

/** THREADS (1 or more) threads and a queue of at most QUEUE_MAX. Signals that the caller blocks are blocked in them. Returns owned; NULL without memory. */
struct work_pool *work_pool_new(unsigned threads, size_t queue_max);

/** @return false if the queue is full, or the pool ends: then WORK is still the caller's. Any thread. */
bool work_pool_submit(struct work_pool *pool, struct work *work) __attribute__((warn_unused_result));

/** Wait for what is being done, and give up the rest, on this thread. From now on nothing is accepted. */
void work_pool_stop(struct work_pool *pool);

/** Stop and free POOL; NULL is a no-op. Nobody submits any more. */
void work_pool_free(struct work_pool *pool);

#endif
