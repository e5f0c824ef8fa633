/*
 * The calls into liburcu, and what ThreadSanitizer is told about them.
 *
 * One address stands for all grace periods: a reader that lets go of its pointers releases on it, a callback acquires it
 * before it frees. That orders more than a grace period does (a callback sees readers that it did not wait for), so it can
 * hide a race with a callback, and never reports one that is none.
 */
#include "gateway/base/rcu.h"

#include <pthread.h>
#include <stdbool.h>
#include <urcu/urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif

#ifdef RCU_TSAN
#include <sanitizer/tsan_interface.h>

static char readers_done; /* released by readers, acquired by callbacks */

#define order_release(address) __tsan_release(address)
#define order_acquire(address) __tsan_acquire(address)
#else
#define order_release(address) ((void)0)
#define order_acquire(address) ((void)0)
#endif

void tg_rcu_register_thread(void)
{
    urcu_qsbr_register_thread();
}

void tg_rcu_unregister_thread(void)
{
    order_release(&readers_done);
    urcu_qsbr_unregister_thread();
}

void tg_rcu_quiescent(void)
{
    order_release(&readers_done);
    urcu_qsbr_quiescent_state();
}

void tg_rcu_offline(void)
{
    order_release(&readers_done);
    urcu_qsbr_thread_offline();
}

void tg_rcu_online(void)
{
    urcu_qsbr_thread_online();
}

_Static_assert(sizeof(struct rcu_head) == sizeof(((struct tg_rcu_head *)0)->urcu), "room for liburcu's head");
_Static_assert(_Alignof(struct rcu_head) <= _Alignof(struct tg_rcu_head), "aligned for liburcu's head");

static void run_callback(struct rcu_head *urcu)
{
    struct tg_rcu_head *head = (struct tg_rcu_head *)urcu; /* its first member */
    order_acquire(&readers_done);
    order_acquire(head);
    head->fn(head);
}

void tg_rcu_call(struct tg_rcu_head *head, tg_rcu_fn fn)
{
    head->fn = fn;
    order_release(head);
    urcu_qsbr_call_rcu((struct rcu_head *)head->urcu, run_callback);
}

struct barrier {
    struct tg_rcu_head rcu;
    pthread_mutex_t mutex;
    pthread_cond_t passed;
    bool has_passed;
};

static void pass_barrier(struct tg_rcu_head *head)
{
    struct barrier *barrier = (struct barrier *)head; /* its first member */
    pthread_mutex_lock(&barrier->mutex);
    barrier->has_passed = true;
    pthread_cond_signal(&barrier->passed);
    pthread_mutex_unlock(&barrier->mutex);
}

/* One thread runs all callbacks in the order in which they were submitted, so one more at the end will do. */
void tg_rcu_barrier(void)
{
    struct barrier barrier = {.has_passed = false};
    pthread_mutex_init(&barrier.mutex, NULL);
    pthread_cond_init(&barrier.passed, NULL);
    tg_rcu_call(&barrier.rcu, pass_barrier);
    tg_rcu_offline();
    pthread_mutex_lock(&barrier.mutex);
    while (!barrier.has_passed) {
        pthread_cond_wait(&barrier.passed, &barrier.mutex);
    }
    pthread_mutex_unlock(&barrier.mutex);
    tg_rcu_online();
    pthread_cond_destroy(&barrier.passed);
    pthread_mutex_destroy(&barrier.mutex);
}
