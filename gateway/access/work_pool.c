#include "gateway/access/work_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define POOL_NICE 10

struct work_pool {
    pthread_mutex_t lock; /* of all below but threads */
    pthread_cond_t has_work;
    struct work *first;
    struct work *last;
    size_t queued;
    size_t queue_max; /* immutable */
    bool is_ending;
    unsigned threads_len;
    pthread_t threads[];
};

/* @return the oldest work; NULL: the pool ends */
static struct work *take(struct work_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->is_ending) {
        pthread_cond_wait(&pool->has_work, &pool->lock);
    }
    struct work *work = pool->is_ending ? NULL : pool->first;
    if (work != NULL) {
        pool->first = work->next;
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    return work;
}

static void *run_thread(void *arg)
{
    struct work_pool *pool = arg;
    struct work *work;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), POOL_NICE); /* on Linux that is this thread alone */
    while ((work = take(pool)) != NULL) {
        work->run(work, true);
    }
    return NULL;
}

struct work_pool *work_pool_new(unsigned threads, size_t queue_max)
{
    struct work_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
    if (pool == NULL) {
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->has_work, NULL);
    pool->queue_max = queue_max;
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&pool->threads[i], NULL, run_thread, pool) != 0) {
            work_pool_free(pool);
            return NULL;
        }
        pool->threads_len++;
    }
    return pool;
}

bool work_pool_submit(struct work_pool *pool, struct work *work)
{
    pthread_mutex_lock(&pool->lock);
    bool is_accepted = !pool->is_ending && pool->queued < pool->queue_max;
    if (is_accepted) {
        work->next = NULL;
        if (pool->first == NULL) {
            pool->first = work;
        } else {
            pool->last->next = work;
        }
        pool->last = work;
        pool->queued++;
        pthread_cond_signal(&pool->has_work);
    }
    pthread_mutex_unlock(&pool->lock);
    return is_accepted;
}

void work_pool_stop(struct work_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_ending = true;
    pthread_cond_broadcast(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
    for (; pool->threads_len > 0; pool->threads_len--) {
        pthread_join(pool->threads[pool->threads_len - 1], NULL);
    }
    while (pool->first != NULL) {
        struct work *work = pool->first;
        pool->first = work->next;
        work->run(work, false);
    }
}

void work_pool_free(struct work_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    work_pool_stop(pool);
    pthread_cond_destroy(&pool->has_work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
