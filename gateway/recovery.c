#include "gateway/recovery.h"

#include "gateway/base/log.h"
#include "gateway/base/rcu.h"

#define LOG_MS 1000u

static void *read_store(void *arg)
{
    struct recovery *recovery = arg;
    tg_rcu_register_thread();
    recovery->result = broker_recover(recovery->broker, &recovery->progress);
    tg_rcu_unregister_thread();
    atomic_store_explicit(&recovery->is_over, true, memory_order_release);
    return NULL;
}

bool recovery_start(struct recovery *recovery, struct broker *broker, uint64_t now_ms)
{
    recovery->broker = broker;
    recovery->begun_ms = recovery->logged_ms = now_ms;
    recovery->has_thread = pthread_create(&recovery->thread, NULL, read_store, recovery) == 0;
    return recovery->has_thread;
}

bool recovery_look(struct recovery *recovery, uint64_t now_ms, uint64_t *done, uint64_t *total)
{
    bool is_over = atomic_load_explicit(&recovery->is_over, memory_order_acquire);
    *done = atomic_load_explicit(&recovery->progress.done, memory_order_relaxed);
    *total = atomic_load_explicit(&recovery->progress.total, memory_order_relaxed);
    if (!is_over && now_ms - recovery->logged_ms >= LOG_MS) {
        recovery->logged_ms = now_ms;
        log_info("reading the store", LOG_UNUM("done", *done), LOG_UNUM("total", *total));
    }
    return is_over;
}

void recovery_cancel(struct recovery *recovery)
{
    atomic_store_explicit(&recovery->progress.is_cancelled, true, memory_order_relaxed);
}

static void log_result(const struct recovery *recovery, uint64_t now_ms)
{
    if (recovery->result == TG_OK) {
        log_info("store read", LOG_UNUM("entries", atomic_load(&recovery->progress.done)),
                 LOG_UNUM("ms", now_ms - recovery->begun_ms));
    } else if (recovery->result != TG_ERR_CLOSED) {
        log_error("the store cannot be read", LOG_STR("reason", tg_strerror(recovery->result)));
    }
}

enum tg_err recovery_join(struct recovery *recovery, uint64_t now_ms)
{
    if (recovery->has_thread) {
        pthread_join(recovery->thread, NULL);
        recovery->has_thread = false;
        log_result(recovery, now_ms);
    }
    return recovery->result;
}
