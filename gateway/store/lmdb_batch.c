/* What operations mean. All of a batch take effect in memory first, in order, so that what is finished within it is not written at all;
 * what is left of it becomes one transaction (lmdb_put.c).
 *
 * An effect on what is on disk already must not get there before what the batch puts: a delivery may have moved into it. So such deletes wait
 * for the batch, unless the domain that they come from has put nothing in it. */
#include <stdlib.h>

#include "gateway/base/assert.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"

/* --- finishes ------------------------------------------------------------------------------------------------------------------ */

static bool add_early(struct lmdb_store *lmdb, struct store_record *record, uint32_t recipient)
{
    struct lmdb_early *early = malloc(sizeof(*early));
    if (early == NULL) {
        return false; /* delivered again after a restart */
    }
    *early = (struct lmdb_early){.next = record->early,
                                 .all_next = lmdb->early,
                                 .all_link = &lmdb->early,
                                 .record = store_record_ref(record),
                                 .recipient = recipient};
    if (lmdb->early != NULL) {
        lmdb->early->all_link = &early->all_next;
    }
    lmdb->early = early;
    record->early = early;
    return true;
}

static void free_early(struct lmdb_early *early)
{
    *early->all_link = early->all_next;
    if (early->all_next != NULL) {
        early->all_next->all_link = early->all_link;
    }
    store_record_unref(early->record);
    free(early);
}

static bool finish_recipient(struct store_record *record, uint32_t number)
{
    unsigned place = number >> RECORD_ORDINAL_BITS;
    uint32_t ordinal = number & ((1u << RECORD_ORDINAL_BITS) - 1);
    TG_ASSERT(place < record->pending->places && record->pending->reports[place] != NULL &&
              ordinal < record->pending->reports[place]->count);
    return store_report_finish(record->pending->reports[place], ordinal);
}

/* RECORD is on disk. */
static void finish_put(struct lmdb_store *lmdb, struct store_record *record, bool is_retained, uint32_t behind)
{
    TG_ASSERT(record->live > 0);
    if (--record->live == 0) {
        record->state = RECORD_DELETED;
        lmdb_delete_later(lmdb, record->id, false, record->outlives, behind);
    } else if (is_retained) {
        lmdb_delete_later(lmdb, record->id, true, record->outlives, behind);
    }
}

static void finish(struct lmdb_store *lmdb, struct store_record *record, uint32_t number, bool is_replaced,
                   uint32_t behind)
{
    bool is_retained = number == STORE_RETAINED;
    if (is_retained && is_replaced) {
        record->is_replaced = 1;
    } else if (is_retained) {
        record->outlives = 1;
    }
    switch ((enum record_state)record->state) {
    case RECORD_OPEN:
        if (is_retained || add_early(lmdb, record, number)) {
            record->live--;
        }
        break;
    case RECORD_TAKEN:
        if (is_retained || finish_recipient(record, number)) {
            record->live--;
        }
        break;
    case RECORD_PUT:
        finish_put(lmdb, record, is_retained, behind);
        break;
    case RECORD_CANCELLED:
    case RECORD_DELETED:
        break;
    }
}

/* --- taking -------------------------------------------------------------------------------------------------------------------- */

static void take_record(struct lmdb_store *lmdb, struct store_record *record, uint32_t domain)
{
    struct store_pending *pending = record->pending;
    struct lmdb_early *early = record->early;
    int64_t live = record->live;
    record->early = NULL;
    record->id = 0;
    record->state = RECORD_TAKEN;
    for (; early != NULL;) {
        struct lmdb_early *next = early->next;
        if (!finish_recipient(record, early->recipient)) {
            live++; /* the number was taken off when it came */
        }
        free_early(early);
        early = next;
    }
    uint64_t count = pending->is_retained ? 1 : 0;
    for (unsigned p = 0; p < pending->places; p++) {
        count += pending->reports[p] != NULL ? pending->reports[p]->count : 0;
    }
    TG_ASSERT(live + (int64_t)count >= 0 && live + (int64_t)count <= INT32_MAX);
    record->live = (int32_t)(live + (int64_t)count);
    record->has_many = count > 1;
    if (pending->replaces != NULL) {
        finish(lmdb, pending->replaces, pending->replaced, true, domain);
        store_record_unref(pending->replaces);
        pending->replaces = NULL;
    }
}

bool lmdb_record_is_needed(const struct store_record *record)
{
    /* A retained value is not cancelled but by one that takes its place: it hides an older one, which may still be on disk. */
    return record->message != NULL && (record->live > 0 || (record->pending->is_retained && !record->is_replaced));
}

void lmdb_batch_add(struct lmdb_store *lmdb, struct store_operation *operation)
{
    struct lmdb_batch *batch = &lmdb->batch;
    if (batch->operations == 0) {
        batch->since_ms = lmdb->monotonic_ms();
        atomic_store_explicit(&lmdb->batch_since_ms, batch->since_ms, memory_order_relaxed);
    }
    operation->next = NULL;
    *batch->end = operation;
    batch->end = &operation->next;
    batch->operations++;
    batch->bytes += operation->bytes;
    switch (operation->kind) {
    case STORE_RECORD:
        take_record(lmdb, operation->record, operation->domain);
        lmdb->writes_of[operation->domain] = true;
        break;
    case STORE_WRITES:
    case STORE_SESSION_END:
        lmdb->writes_of[operation->domain] = true;
        break;
    case STORE_FINISHES:
        for (uint32_t i = 0; i < operation->finish_count; i++) {
            finish(lmdb, operation->finishes[i].record, operation->finishes[i].recipient, false,
                   lmdb->writes_of[operation->domain] ? operation->domain : LMDB_NO_DOMAIN);
        }
        break;
    }
}

bool lmdb_batch_has_writes(const struct lmdb_store *lmdb)
{
    for (const struct store_operation *at = lmdb->batch.first; at != NULL; at = at->next) {
        if (at->writes != NULL || at->kind == STORE_SESSION_END ||
            (at->kind == STORE_RECORD && lmdb_record_is_needed(at->record))) {
            return true;
        }
    }
    return false;
}

/* --- done ---------------------------------------------------------------------------------------------------------------------- */

static void set_done(struct lmdb_store *lmdb, const struct store_operation *operation)
{
    if (operation->kind == STORE_RECORD) {
        store_record_set_done(operation->record);
    }
    /* What was announced ahead of its commit has numbers behind this one: never back. */
    _Atomic uint64_t *done = &lmdb->store.done[operation->domain];
    if (atomic_load_explicit(done, memory_order_relaxed) < operation->number) {
        atomic_store_explicit(done, operation->number, memory_order_release);
    }
}

static void notify(struct lmdb_store *lmdb)
{
    if (lmdb->store.on_progress != NULL) {
        lmdb->store.on_progress(lmdb->store.on_progress_arg);
    }
}

void lmdb_batch_announce(struct lmdb_store *lmdb)
{
    size_t n = 0;
    bool is_news = false;
    for (const struct store_operation *at = lmdb->batch.first; at != NULL; at = at->next) {
        if (n++ >= lmdb->batch.announced) {
            set_done(lmdb, at);
            is_news = true;
        }
    }
    lmdb->batch.announced = n;
    if (is_news) {
        notify(lmdb);
    }
}

static void complete_record(struct lmdb_store *lmdb, struct store_record *record)
{
    if (!lmdb_record_is_needed(record)) {
        record->state = RECORD_CANCELLED;
        if (record->message != NULL) {
            lmdb->batch.cancelled++;
        }
    } else if (record->live > 0) {
        record->state = RECORD_PUT;
        if (record->outlives) {
            lmdb_delete_later(lmdb, record->id, true, true, LMDB_NO_DOMAIN);
        }
    } else {
        record->state = RECORD_DELETED;
        lmdb_delete_later(lmdb, record->id, false, true, LMDB_NO_DOMAIN);
    }
    store_record_drop_message(record);
}

static void reset(struct lmdb_store *lmdb)
{
    lmdb->batch = (struct lmdb_batch){.end = &lmdb->batch.first};
    for (size_t i = 0; i < STORE_DOMAINS_MAX; i++) {
        lmdb->writes_of[i] = false;
    }
    atomic_store_explicit(&lmdb->batch_since_ms, 0, memory_order_relaxed);
}

void lmdb_batch_complete(struct lmdb_store *lmdb)
{
    struct store_operation *next;
    size_t bytes = lmdb->batch.bytes;
    for (struct store_operation *at = lmdb->batch.first; at != NULL; at = next) {
        next = at->next;
        if (at->kind == STORE_RECORD) {
            complete_record(lmdb, at->record);
        }
        set_done(lmdb, at);
        store_operation_free(at);
    }
    size_t operations = lmdb->batch.operations;
    pthread_mutex_lock(&lmdb->figures_lock);
    lmdb->counts.operations += operations;
    lmdb->counts.cancelled += lmdb->batch.cancelled;
    pthread_mutex_unlock(&lmdb->figures_lock);
    reset(lmdb);
    lmdb_deletes_release(lmdb);
    lmdb_waiting_remove(lmdb, bytes);
    notify(lmdb);
    atomic_fetch_add(&lmdb->operations_done, operations);
    lmdb_tell_settled(lmdb);
}

/* --- what may go first --------------------------------------------------------------------------------------------------------- */

static bool only_deletes(const struct store_operation *operation)
{
    for (const struct store_write *at = operation->writes; at != NULL; at = at->next) {
        if (!at->is_delete) {
            return false;
        }
    }
    return operation->kind != STORE_RECORD;
}

struct store_operation **lmdb_passing_next(struct lmdb_store *lmdb, struct lmdb_passing *passing)
{
    if (passing->link == NULL) {
        passing->link = &lmdb->batch.first;
    }
    for (;;) {
        struct store_operation *at = *passing->link;
        if (at == NULL) {
            if (passing->is_in_queue) {
                return NULL;
            }
            passing->is_in_queue = true;
            passing->link = &lmdb->queue;
        } else if (!only_deletes(at)) {
            passing->is_blocked[at->domain] = true;
            lmdb_passing_skip(passing);
        } else if (at->kind == STORE_FINISHES || passing->is_blocked[at->domain]) {
            lmdb_passing_skip(passing);
        } else {
            return passing->link;
        }
    }
}

void lmdb_passing_skip(struct lmdb_passing *passing)
{
    passing->link = &(*passing->link)->next;
    passing->before += !passing->is_in_queue;
}

/* Take the operation at which PASSING stands out of the batch or the queue. */
static struct store_operation *take_out(struct lmdb_store *lmdb, struct lmdb_passing *passing)
{
    struct store_operation *operation = *passing->link;
    struct lmdb_batch *batch = &lmdb->batch;
    *passing->link = operation->next;
    if (passing->is_in_queue) {
        if (operation->next == NULL) {
            lmdb->queue_end = passing->link;
        }
        return operation;
    }
    if (operation->next == NULL) {
        batch->end = passing->link;
    }
    batch->operations--;
    batch->bytes -= operation->bytes;
    batch->announced -= passing->before < batch->announced;
    return operation;
}

void lmdb_passing_complete(struct lmdb_store *lmdb, size_t count)
{
    struct lmdb_passing passing = {0};
    for (size_t i = 0; i < count; i++) {
        lmdb_passing_next(lmdb, &passing);
        struct store_operation *operation = take_out(lmdb, &passing);
        set_done(lmdb, operation);
        lmdb_waiting_remove(lmdb, operation->bytes);
        store_operation_free(operation);
    }
    for (size_t i = 0; i < STORE_DOMAINS_MAX; i++) {
        lmdb->writes_of[i] = false;
    }
    for (const struct store_operation *at = lmdb->batch.first; at != NULL; at = at->next) {
        lmdb->writes_of[at->domain] = lmdb->writes_of[at->domain] || at->kind != STORE_FINISHES;
    }
    lmdb_deletes_release(lmdb);
    pthread_mutex_lock(&lmdb->figures_lock);
    lmdb->counts.operations += count;
    pthread_mutex_unlock(&lmdb->figures_lock);
    notify(lmdb);
    atomic_fetch_add(&lmdb->operations_done, count);
    lmdb_tell_settled(lmdb);
}

/* --- giving up ----------------------------------------------------------------------------------------------------------------- */

void lmdb_operation_abandon(struct store_operation *operation)
{
    if (operation->kind == STORE_RECORD) {
        operation->record->state = RECORD_CANCELLED;
    }
    store_operation_free(operation);
}

void lmdb_batch_abandon(struct lmdb_store *lmdb)
{
    struct store_operation *next;
    for (struct store_operation *at = lmdb->batch.first; at != NULL; at = next) {
        next = at->next;
        lmdb_operation_abandon(at);
    }
    lmdb->after.count = 0;
    lmdb_waiting_remove(lmdb, lmdb->batch.bytes);
    atomic_fetch_add(&lmdb->operations_done, lmdb->batch.operations);
    reset(lmdb);
}

void lmdb_early_free(struct lmdb_store *lmdb)
{
    while (lmdb->early != NULL) {
        lmdb->early->record->early = NULL;
        free_early(lmdb->early);
    }
}
