#include "gateway/store/lmdb.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t system_monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

static uint64_t system_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

bool lmdb_is_room_error(int rc)
{
    return rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG;
}

_Noreturn void lmdb_fatal(const char *what, int rc)
{
    /* Whether what was written before is on disk cannot be found out any more: the system may have dropped it with the error. The next start
     * reads what there is. */
    log_error("giving up, so that nothing is acknowledged that is not on disk", LOG_STR("reason", what),
              LOG_STR("error", mdb_strerror(rc)));
    log_tick();
    _exit(EXIT_FAILURE);
}

static void lmdb_figures(struct store *store, struct store_figures *out)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    pthread_mutex_lock(&lmdb->figures_lock);
    *out = lmdb->counts;
    lmdb->counts.commit_us_max = 0;
    pthread_mutex_unlock(&lmdb->figures_lock);
    out->used_bytes = atomic_load_explicit(&lmdb->used_bytes, memory_order_relaxed);
    out->limit_bytes = lmdb->size_limit_bytes;
    out->waiting_bytes = atomic_load_explicit(&lmdb->waiting_bytes, memory_order_relaxed);
    out->damaged = atomic_load_explicit(&lmdb->damaged, memory_order_relaxed);
    out->fetched = atomic_load_explicit(&lmdb->fetched, memory_order_relaxed);
    uint64_t since = atomic_load_explicit(&lmdb->batch_since_ms, memory_order_relaxed);
    if (since == 0 && atomic_load(&lmdb->intake) != NULL) {
        since = atomic_load_explicit(&lmdb->intake_since_ms, memory_order_relaxed);
    }
    uint64_t now = lmdb->monotonic_ms();
    out->oldest_waiting_ms = since != 0 && since < now ? now - since : 0;
}

/* --- opening and closing -------------------------------------------------------------------------------------------------------- */

static bool start_thread(pthread_t *thread, void *(*run)(void *), struct lmdb_store *lmdb)
{
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(thread, NULL, run, lmdb);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0;
}

static void ask_to_stop(struct lmdb_store *lmdb)
{
    atomic_store(&lmdb->is_stopping, true);
    lmdb_bell_ring(&lmdb->writer_bell);
    lmdb_bell_ring(&lmdb->reader_bell);
}

/* The next start need not suspect anything, unless this one had to and got nowhere. */
static int mark_clean(struct lmdb_store *lmdb)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->files.env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    MDB_dbi meta = lmdb->files.tables[LMDB_META];
    rc = lmdb_meta_put(txn, meta, "clean", lmdb->is_recovered || lmdb->files.was_clean ? 1 : 0, 1);
    rc = rc != 0 ? rc : lmdb_meta_put(txn, meta, "next_session", atomic_load(&lmdb->store.next_session), 8);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static void release(struct lmdb_store *lmdb)
{
    lmdb_deletes_free(lmdb);
    lmdb_files_close(&lmdb->files);
    lmdb_bell_fini(&lmdb->writer_bell);
    lmdb_bell_fini(&lmdb->reader_bell);
    pthread_mutex_destroy(&lmdb->quarantine_lock);
    pthread_mutex_destroy(&lmdb->figures_lock);
    pthread_mutex_destroy(&lmdb->settle_lock);
    pthread_cond_destroy(&lmdb->settled);
    free(lmdb);
}

static bool is_settled(struct lmdb_store *lmdb)
{
    return atomic_load(&lmdb->operations_done) == atomic_load(&lmdb->operations_submitted) &&
           atomic_load(&lmdb->fetches_done) == atomic_load(&lmdb->fetches_asked);
}

static void lmdb_settle(struct store *store)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    pthread_mutex_lock(&lmdb->settle_lock);
    atomic_store(&lmdb->is_settling, true);
    lmdb_bell_ring(&lmdb->writer_bell);
    while (!is_settled(lmdb)) {
        pthread_cond_wait(&lmdb->settled, &lmdb->settle_lock);
    }
    atomic_store(&lmdb->is_settling, false);
    pthread_mutex_unlock(&lmdb->settle_lock);
}

void lmdb_tell_settled(struct lmdb_store *lmdb)
{
    if (atomic_load(&lmdb->is_settling)) {
        pthread_mutex_lock(&lmdb->settle_lock);
        pthread_cond_signal(&lmdb->settled);
        pthread_mutex_unlock(&lmdb->settle_lock);
    }
}

static void lmdb_free(struct store *store)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    ask_to_stop(lmdb);
    pthread_join(lmdb->writer, NULL);
    pthread_join(lmdb->reader, NULL);
    int rc = mark_clean(lmdb);
    if (rc != 0) {
        log_warning("store is not marked as stopped cleanly", LOG_STR("reason", mdb_strerror(rc)));
    }
    release(lmdb);
}

static const struct store_engine lmdb_engine = {
    .name = "lmdb",
    .admit = lmdb_admit,
    .submit = lmdb_submit,
    .fetch = lmdb_fetch,
    .recover = lmdb_recover,
    .figures = lmdb_figures,
    .backup = lmdb_backup,
    .settle = lmdb_settle,
    .free = lmdb_free,
};

/* Mids go up from the highest that anything has, be it without its message. */
static int find_next_mid(struct lmdb_store *lmdb)
{
    static const enum lmdb_table tables[] = {LMDB_MESSAGES, LMDB_RECIPIENTS, LMDB_PARTS};
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->files.env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return rc;
    }
    lmdb->next_mid = 1;
    for (size_t i = 0; rc == 0 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        MDB_cursor *cursor;
        MDB_val key;
        MDB_val value;
        rc = mdb_cursor_open(txn, lmdb->files.tables[tables[i]], &cursor);
        if (rc != 0) {
            break;
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
        if (rc == 0 && key.mv_size >= 8) {
            uint64_t mid = tg_get_be(key.mv_data, 8);
            lmdb->next_mid = mid >= lmdb->next_mid ? mid + 1 : lmdb->next_mid;
        }
        rc = rc == MDB_NOTFOUND ? 0 : rc;
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return rc;
}

static void init(struct lmdb_store *lmdb, const struct store_lmdb_options *options)
{
    lmdb->files.lock_fd = -1;
    lmdb->writer_bell.fd = -1;
    lmdb->reader_bell.fd = -1;
    lmdb->store.engine = &lmdb_engine;
    lmdb->store.is_durable = true;
    lmdb->interval_ms = options->interval_ms;
    lmdb->size_limit_bytes = options->size_limit_bytes & ~(uint64_t)0xFFFF;
    lmdb->monotonic_ms = options->monotonic_ms != NULL ? options->monotonic_ms : system_monotonic_ms;
    lmdb->wall_ms = options->wall_ms != NULL ? options->wall_ms : system_wall_ms;
    lmdb->queue_end = &lmdb->queue;
    lmdb->batch.end = &lmdb->batch.first;
    lmdb->can_allocate = true;
    pthread_mutex_init(&lmdb->quarantine_lock, NULL);
    pthread_mutex_init(&lmdb->figures_lock, NULL);
    pthread_mutex_init(&lmdb->settle_lock, NULL);
    pthread_cond_init(&lmdb->settled, NULL);
}

static void take_identity(struct lmdb_store *lmdb)
{
    struct store *store = &lmdb->store;
    store->was_stopped_cleanly = lmdb->files.was_clean;
    store->boot = lmdb->files.boot;
    memcpy(store->node, lmdb->files.node, sizeof(store->node));
    /* Nothing below was given out and is not on disk: a number is reserved in the transaction that first knows it, at the latest. */
    atomic_init(&store->next_session, lmdb->files.next_session);
    lmdb->sessions_reserved = lmdb->files.next_session;
}

struct store *store_lmdb_new(const struct store_lmdb_options *options, char *why, size_t why_size)
{
    if (sizeof(void *) < 8 || options->size_limit_bytes < STORE_LMDB_SIZE_MIN) {
        snprintf(why, why_size, "%s",
                 sizeof(void *) < 8 ? "the durable store needs a machine with 64 bits"
                                    : "the durable store needs a size limit of at least 1 MiB");
        return NULL;
    }
    struct lmdb_store *lmdb = calloc(1, sizeof(*lmdb));
    if (lmdb == NULL) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    init(lmdb, options);
    if (lmdb_files_open(&lmdb->files, options->path, LMDB_OWN, lmdb->size_limit_bytes, &lmdb_schema, why, why_size) !=
        TG_OK) {
        goto fail;
    }
    take_identity(lmdb);
    int rc = find_next_mid(lmdb);
    if (rc != 0) {
        snprintf(why, why_size, "%s: %s", lmdb->files.folder, mdb_strerror(rc));
        goto fail;
    }
    lmdb_space_prepare(lmdb);
    lmdb_space_measure(lmdb, true);
    if (!lmdb_bell_init(&lmdb->writer_bell) || !lmdb_bell_init(&lmdb->reader_bell)) {
        snprintf(why, why_size, "no descriptors for the store's threads: %s", strerror(errno));
        goto fail;
    }
    if (!start_thread(&lmdb->writer, lmdb_writer_main, lmdb)) {
        snprintf(why, why_size, "no thread for the store");
        goto fail;
    }
    if (!start_thread(&lmdb->reader, lmdb_reader_main, lmdb)) {
        snprintf(why, why_size, "no thread for the store");
        ask_to_stop(lmdb);
        pthread_join(lmdb->writer, NULL);
        goto fail;
    }
    return &lmdb->store;
fail:
    release(lmdb);
    return NULL;
}
