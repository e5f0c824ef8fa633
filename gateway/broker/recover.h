/**
 * Reading back what the store keeps: sessions, subscriptions, queues, retained values, wills.
 */
#ifndef GATEWAY_BROKER_RECOVER_H
#define GATEWAY_BROKER_RECOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "protocol/bytes.h"

struct broker;
struct place;

/** What is to become of an entry that is not the broker's own. */
enum broker_answer {
    BROKER_ANSWER_KEPT,
    BROKER_ANSWER_EXPIRED, /* to be deleted */
    BROKER_ANSWER_DAMAGED, /* makes no sense: to be put aside */
};

/** A recovery that is under way. */
struct broker_recovery {
    _Atomic uint64_t done;    /* entries that were read; any thread reads */
    _Atomic uint64_t total;   /* of so many, about; 0: not known yet */
    atomic_bool is_cancelled; /* any thread sets: end soon with TG_ERR_CLOSED */

    /** An entry of STORE_IDEMPOTENCY, called by the thread of broker_recover(). NULL: all of them are kept, and nobody knows them. */
    enum broker_answer (*answer)(void *arg, struct bytes key, struct bytes value);
    void *arg;
};

/**
 * Read everything. Once, before clients are let in; on a thread of its own, which is registered for RCU. Places may run.
 *
 * @return TG_OK; TG_ERR_CLOSED if it was cancelled; any other: what is in the store is not known, and the gateway must not serve
 */
enum tg_err broker_recover(struct broker *broker, struct broker_recovery *recovery) TG_MUST_CHECK;

/** Free what a recovery that did not come to its end has left at PLACE. */
void recover_drop(struct place *place);

#endif
