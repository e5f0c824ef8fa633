/* The persistence thread: takes what is there, commits it, says so, and does lazy deletes when nothing else waits. It alone writes. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
#include "gateway/store/message.h"

#define STUCK_RETRY_MS   100
#define OPERATION_BYTES  64u /* what any takes, about */
#define CLOSING_ATTEMPTS 20u

/* --- bells --------------------------------------------------------------------------------------------------------------------- */

bool lmdb_bell_init(struct lmdb_bell *bell)
{
    atomic_init(&bell->is_armed, false);
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return bell->fd >= 0;
}

void lmdb_bell_fini(struct lmdb_bell *bell)
{
    if (bell->fd >= 0) {
        close(bell->fd);
    }
}

void lmdb_bell_ring(struct lmdb_bell *bell)
{
    /* In total order with arming: either the thread sees what was put down before this, or this sees that it is armed. */
    if (atomic_exchange(&bell->is_armed, false)) {
        uint64_t one = 1;
        while (write(bell->fd, &one, sizeof(one)) < 0 && errno == EINTR) {
        }
    }
}

void lmdb_bell_arm(struct lmdb_bell *bell)
{
    atomic_store(&bell->is_armed, true);
}

void lmdb_bell_wait(struct lmdb_bell *bell, int timeout_ms)
{
    struct pollfd pfd = {.fd = bell->fd, .events = POLLIN};
    uint64_t count;
    poll(&pfd, 1, timeout_ms);
    if (!atomic_exchange(&bell->is_armed, false) && read(bell->fd, &count, sizeof(count)) < 0 && errno == EAGAIN) {
        /* It was rung, and the write is yet to come: the next wait returns once too early. */
    }
}

/* --- the intake ---------------------------------------------------------------------------------------------------------------- */

static size_t operation_bytes(const struct store_operation *operation)
{
    size_t bytes = OPERATION_BYTES;
    for (const struct store_write *at = operation->writes; at != NULL; at = at->next) {
        bytes += sizeof(*at) + at->value_len;
    }
    if (operation->kind == STORE_RECORD) {
        const struct store_pending *pending = operation->record->pending;
        bytes += operation->record->message_size;
        for (unsigned p = 0; p < pending->places; p++) {
            bytes += pending->reports[p] != NULL ? pending->reports[p]->len : 0;
        }
    }
    return bytes;
}

void lmdb_submit(struct store *store, struct store_operation *list)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    struct store_operation *last = list; /* the oldest becomes the bottom of the stack */
    struct store_operation *top = NULL;
    size_t bytes = 0;
    uint64_t count = 0;
    while (list != NULL) {
        struct store_operation *next = list->next;
        count++;
        list->bytes = operation_bytes(list);
        bytes += list->bytes;
        list->next = top;
        top = list;
        list = next;
    }
    if (last == NULL) {
        return;
    }
    lmdb_waiting_add(lmdb, bytes);
    atomic_fetch_add(&lmdb->operations_submitted, count);
    struct store_operation *old = atomic_load_explicit(&lmdb->intake, memory_order_relaxed);
    do {
        last->next = old;
    } while (!atomic_compare_exchange_weak(&lmdb->intake, &old, top));
    if (old == NULL) {
        atomic_store_explicit(&lmdb->intake_since_ms, lmdb->monotonic_ms(), memory_order_relaxed);
    }
    lmdb_bell_ring(&lmdb->writer_bell);
}

/* Append what is in the intake to the queue. */
static void take_intake(struct lmdb_store *lmdb)
{
    struct store_operation *top = atomic_exchange(&lmdb->intake, NULL);
    struct store_operation *list = NULL;
    struct store_operation *end = top;
    while (top != NULL) {
        struct store_operation *next = top->next;
        top->next = list;
        list = top;
        top = next;
    }
    if (list != NULL) {
        *lmdb->queue_end = list;
        lmdb->queue_end = &end->next;
    }
}

static bool batch_has_room(const struct lmdb_store *lmdb, size_t bytes)
{
    const struct lmdb_batch *batch = &lmdb->batch;
    return batch->operations == 0 ||
           (batch->operations < LMDB_BATCH_OPERATIONS && batch->bytes + bytes <= LMDB_BATCH_BYTES);
}

static struct store_operation *pop(struct lmdb_store *lmdb)
{
    struct store_operation *operation = lmdb->queue;
    lmdb->queue = operation->next;
    if (lmdb->queue == NULL) {
        lmdb->queue_end = &lmdb->queue;
    }
    return operation;
}

static void fill_batch(struct lmdb_store *lmdb)
{
    while (lmdb->queue != NULL && batch_has_room(lmdb, lmdb->queue->bytes)) {
        lmdb_batch_add(lmdb, pop(lmdb));
    }
}

/* --- no room ------------------------------------------------------------------------------------------------------------------- */

/* Finishes that stand behind the batch which cannot be put, from domains that have put nothing since: they take nothing and give room. */
static void take_finishes(struct lmdb_store *lmdb)
{
    bool writes_of[STORE_DOMAINS_MAX];
    struct store_operation **link = &lmdb->queue;
    for (size_t i = 0; i < STORE_DOMAINS_MAX; i++) {
        writes_of[i] = lmdb->writes_of[i];
    }
    while (*link != NULL) {
        struct store_operation *at = *link;
        if (at->kind != STORE_FINISHES || writes_of[at->domain]) {
            writes_of[at->domain] = true;
            link = &at->next;
            continue;
        }
        *link = at->next;
        lmdb_batch_add(lmdb, at);
    }
    lmdb->queue_end = link;
}

/* Operations that only delete small entries, of domains that have put nothing since, go before the batch. @return false: none could */
static bool pass_some(struct lmdb_store *lmdb)
{
    bool any = false;
    size_t max = LMDB_DELETES_SLICE;
    while (max > 0) {
        size_t count;
        int rc = lmdb_put_passing(lmdb, max, &count);
        if (rc == 0 && count == 0) {
            break;
        }
        if (rc == 0) {
            any = true;
            lmdb_passing_complete(lmdb, count);
        } else if (lmdb_is_room_error(rc)) {
            max /= 4;
        } else {
            lmdb_fatal("the store cannot be written", rc);
        }
    }
    return any;
}

/* Delete what may be deleted, in slices small enough to go through. @return false: nothing could be */
static bool delete_some(struct lmdb_store *lmdb)
{
    bool any = false;
    size_t count = LMDB_DELETES_SLICE;
    while (count > 0 && lmdb_deletes_are_due(lmdb, true)) {
        int rc = lmdb_deletes_commit(lmdb, count);
        if (rc == 0) {
            any = true;
        } else if (lmdb_is_room_error(rc)) {
            count /= 4;
        } else {
            lmdb_fatal("the store cannot be written", rc);
        }
    }
    return any;
}

/* LMDB uses pages again in the second transaction after the one that freed them: let one pass that hardly needs any. */
static void turn_over(struct lmdb_store *lmdb)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->files.env, NULL, 0, &txn);
    if (rc == 0) {
        rc = lmdb_meta_put(txn, lmdb->files.tables[LMDB_META], "clean", 0, 1);
        if (rc == 0) {
            rc = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    if (rc != 0 && !lmdb_is_room_error(rc)) {
        lmdb_fatal("the store cannot be written", rc);
    }
}

static void make_room(struct lmdb_store *lmdb, int rc)
{
    atomic_store_explicit(&lmdb->is_full, true, memory_order_relaxed);
    if (!lmdb->is_stuck) {
        lmdb->is_stuck = true;
        log_error("store is full: what was admitted waits until something is deleted",
                  LOG_STR("reason", mdb_strerror(rc)), LOG_UNUM("limit_bytes", lmdb->size_limit_bytes));
    }
    lmdb_bell_arm(&lmdb->writer_bell);
    take_intake(lmdb);
    bool any = pass_some(lmdb);
    take_finishes(lmdb);
    any = delete_some(lmdb) || any;
    if (any) {
        turn_over(lmdb);
    } else {
        lmdb_bell_wait(&lmdb->writer_bell, STUCK_RETRY_MS);
    }
    lmdb_space_prepare(lmdb);
}

/* --- the loop ------------------------------------------------------------------------------------------------------------------ */

/* @return false: there is no room, and nobody is left who could make some */
static bool commit_batch(struct lmdb_store *lmdb)
{
    unsigned attempts = 0;
    bool is_last = false;
    if (lmdb_batch_has_writes(lmdb)) {
        lmdb_space_prepare(lmdb);
        for (;;) {
            int rc = lmdb_put_batch(lmdb);
            if (rc == 0) {
                break;
            }
            if (!lmdb_is_room_error(rc)) {
                lmdb_fatal("the store cannot be written", rc);
            }
            is_last = atomic_load(&lmdb->is_stopping) || atomic_load(&lmdb->is_settling);
            if (is_last && ++attempts > CLOSING_ATTEMPTS) {
                log_error("store is full: what waited for it is lost, and was not acknowledged",
                          LOG_UNUM("operations", lmdb->batch.operations));
                return false;
            }
            make_room(lmdb, rc);
        }
        if (lmdb->is_stuck) {
            lmdb->is_stuck = false;
            log_info("store has room again for what waited");
            lmdb_space_measure(lmdb, true);
        }
    }
    lmdb_batch_complete(lmdb);
    lmdb_space_measure(lmdb, false);
    return true;
}

static bool batch_is_due(struct lmdb_store *lmdb, bool is_stopping)
{
    const struct lmdb_batch *batch = &lmdb->batch;
    return batch->operations > 0 &&
           (lmdb->interval_ms == 0 || is_stopping || atomic_load(&lmdb->is_settling) || lmdb->queue != NULL ||
            lmdb->monotonic_ms() - batch->since_ms >= lmdb->interval_ms);
}

/* @return false: nothing could be deleted */
static bool delete_idly(struct lmdb_store *lmdb)
{
    bool any = true;
    int rc = lmdb_deletes_commit(lmdb, LMDB_DELETES_SLICE);
    if (rc != 0 && !lmdb_is_room_error(rc)) {
        lmdb_fatal("the store cannot be written", rc);
    }
    if (rc != 0) {
        /* Deletes need pages, too: a smaller step, or wait. */
        lmdb_bell_arm(&lmdb->writer_bell);
        any = delete_some(lmdb);
        if (!any) {
            lmdb_bell_wait(&lmdb->writer_bell, STUCK_RETRY_MS);
        }
    }
    lmdb_space_measure(lmdb, false);
    return any;
}

static void sleep_a_while(struct lmdb_store *lmdb)
{
    int timeout = lmdb_deletes_due_ms(lmdb);
    if (lmdb->batch.operations > 0) {
        uint64_t age = lmdb->monotonic_ms() - lmdb->batch.since_ms;
        int left = age < lmdb->interval_ms ? (int)(lmdb->interval_ms - age) : 0;
        timeout = timeout < 0 || left < timeout ? left : timeout;
    }
    if (lmdb->is_unmeasured && (timeout < 0 || timeout > LMDB_MEASURE_MS)) {
        timeout = LMDB_MEASURE_MS;
    }
    if (atomic_load_explicit(&lmdb->is_full, memory_order_relaxed) && (timeout < 0 || timeout > 1000)) {
        timeout = 1000; /* others may have made room on the disk */
    }
    lmdb_bell_arm(&lmdb->writer_bell);
    if (atomic_load(&lmdb->intake) != NULL || atomic_load(&lmdb->is_stopping) ||
        (lmdb->batch.operations > 0 && atomic_load(&lmdb->is_settling))) {
        timeout = 0;
    }
    lmdb_bell_wait(&lmdb->writer_bell, timeout);
    if (atomic_load_explicit(&lmdb->is_full, memory_order_relaxed)) {
        lmdb_space_prepare(lmdb);
        lmdb_space_measure(lmdb, true);
    } else if (lmdb->is_unmeasured) {
        lmdb_space_measure(lmdb, false);
    }
}

/* Forget what waits, with nothing of it called done. */
static void give_up(struct lmdb_store *lmdb)
{
    lmdb_batch_abandon(lmdb);
    take_intake(lmdb);
    while (lmdb->queue != NULL) {
        struct store_operation *operation = pop(lmdb);
        lmdb_waiting_remove(lmdb, operation->bytes);
        lmdb_operation_abandon(operation);
        atomic_fetch_add(&lmdb->operations_done, 1);
    }
    lmdb_tell_settled(lmdb);
}

void *lmdb_writer_main(void *arg)
{
    struct lmdb_store *lmdb = arg;
    unsigned attempts = 0; /* to delete something while stopping */
    for (;;) {
        bool is_stopping = atomic_load(&lmdb->is_stopping); /* before the intake: nothing comes after it */
        take_intake(lmdb);
        fill_batch(lmdb);
        if (lmdb->interval_ms > 0) {
            lmdb_batch_announce(lmdb);
        }
        if (batch_is_due(lmdb, is_stopping)) {
            if (!commit_batch(lmdb)) {
                give_up(lmdb);
            }
        } else if (attempts <= CLOSING_ATTEMPTS && lmdb_deletes_are_due(lmdb, is_stopping)) {
            bool any = delete_idly(lmdb);
            attempts = any || !is_stopping ? 0 : attempts + 1;
            if (attempts > CLOSING_ATTEMPTS) {
                log_warning("store has no room to delete in: what is finished comes back at the next start");
            }
        } else if (is_stopping && lmdb->queue == NULL) {
            break;
        } else {
            sleep_a_while(lmdb);
        }
    }
    lmdb_early_free(lmdb);
    return NULL;
}
