/**
 * Reading the store at start, on a thread of its own: the workers run already, so that whoever asks can be told how far it is, and a signal
 * can end it.
 */
#ifndef GATEWAY_RECOVERY_H
#define GATEWAY_RECOVERY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "gateway/broker/recover.h"

struct broker;

struct recovery { /* owner: main thread, but for what a line says */
    struct broker *broker;
    struct broker_recovery progress; /* the thread writes */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_over; /* the thread writes */
    enum tg_err result;  /* the thread writes before is_over */
    uint64_t begun_ms;
    uint64_t logged_ms;
};

/** Begin to read the store of BROKER (borrowed until recovery_join()); progress.answer may have been set before. NOW_MS: monotonic. @return false if no thread can be made */
bool recovery_start(struct recovery *recovery, struct broker *broker, uint64_t now_ms)
    __attribute__((warn_unused_result));

/** How far it is; about once a second it is also logged. @return true if it is over */
bool recovery_look(struct recovery *recovery, uint64_t now_ms, uint64_t *done, uint64_t *total);

/** Let it end soon. */
void recovery_cancel(struct recovery *recovery);

/**
 * Wait for its end, and log why it failed. A no-op if it was not started, or has been joined.
 * @return TG_OK; TG_ERR_CLOSED after recovery_cancel(); any other: the gateway must not serve
 */
enum tg_err recovery_join(struct recovery *recovery, uint64_t now_ms);

#endif
