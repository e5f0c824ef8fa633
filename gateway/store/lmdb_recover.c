/* Reading it all after the start. What is damaged is copied to the quarantine file and deleted when everything has been read; so is, without
 * a copy, what leads nowhere: pieces of a message that was never put, and small entries of a session that is not there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
#include "gateway/store/lmdb_walk.h"
#include "gateway/store/message.h"

#define LOOK_AT_CLOCK 1024u
#define PROGRESS_MS   100u
#define DELETES_MAX   10000u /* in one transaction */

struct doomed { /* an entry to be deleted; those of messages go with everything that belongs to them */
    uint8_t table;
    uint8_t key_len;
    uint8_t key[STORE_KEY_BYTES];
};

struct recovery {
    struct lmdb_store *lmdb;
    const struct store_visitor *visitor;
    uint64_t read;
    uint64_t total;
    uint64_t told_ms;
    uint64_t highest_session;
    uint64_t leftovers; /* deleted without being damaged */
    struct doomed *doomed;
    size_t doomed_count;
    size_t doomed_capacity;
};

static void on_step(void *arg)
{
    struct recovery *recovery = arg;
    if (++recovery->read % LOOK_AT_CLOCK != 0 || recovery->visitor->progress == NULL) {
        return;
    }
    uint64_t now = recovery->lmdb->monotonic_ms();
    if (now - recovery->told_ms >= PROGRESS_MS) {
        recovery->told_ms = now;
        recovery->visitor->progress(recovery->visitor->arg, recovery->read, recovery->total);
    }
}

static enum tg_err doom(struct recovery *recovery, enum lmdb_table table, const MDB_val *key)
{
    void *items = recovery->doomed;
    if (key->mv_size > STORE_KEY_BYTES) {
        return TG_OK; /* none of ours; it stays */
    }
    if (!lmdb_walk_grow(&items, recovery->doomed_count, &recovery->doomed_capacity, sizeof(struct doomed))) {
        return TG_ERR_NO_MEMORY;
    }
    recovery->doomed = items;
    struct doomed *one = &recovery->doomed[recovery->doomed_count++];
    *one = (struct doomed){.table = (uint8_t)table, .key_len = (uint8_t)key->mv_size};
    memcpy(one->key, key->mv_data, key->mv_size);
    return TG_OK;
}

static enum tg_err on_damaged(void *arg, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                              const char *why)
{
    struct recovery *recovery = arg;
    lmdb_quarantine(recovery->lmdb, table, key, value, why);
    return doom(recovery, table, key);
}

static enum tg_err on_leftover(void *arg, enum lmdb_table table, const MDB_val *key)
{
    struct recovery *recovery = arg;
    recovery->leftovers++;
    return doom(recovery, table, key);
}

static bool on_entry(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
    struct recovery *recovery = arg;
    uint64_t number = table != STORE_IDEMPOTENCY ? tg_get_be(key.data, 8) : 0; /* of a session, or a will */
    recovery->highest_session = number > recovery->highest_session ? number : recovery->highest_session;
    return recovery->visitor->entry(recovery->visitor->arg, table, key, value);
}

static enum tg_err on_message(void *arg, uint64_t mid, const struct lmdb_message *message)
{
    struct recovery *recovery = arg;
    bool is_retained = (message->flags & LMDB_FLAG_RETAINED) != 0;
    bool retain = (message->flags & LMDB_FLAG_RETAIN) != 0;
    int32_t live = (int32_t)message->recipient_count + (is_retained ? 1 : 0);
    struct store_record *record =
        store_record_found(mid, sizeof(struct message) + message->body.len, message->expires_ms, live, retain);
    if (record == NULL) {
        return TG_ERR_NO_MEMORY;
    }
    const uint8_t *body = message->body.data;
    struct store_found found = {
        .record = record,
        .topic = {body, message->topic_len},
        .properties = {body + message->topic_len, message->properties_len},
        .payload = {body + message->topic_len + message->properties_len, message->payload_len},
        .expires_ms = message->expires_ms,
        .stored_ms = message->stored_ms,
        .version = message->version,
        .publisher = message->publisher,
        .qos = message->qos,
        .retain = retain,
        .is_retained = is_retained,
        .recipient_count = message->recipient_count,
        .recipients = message->recipients,
    };
    enum tg_err err = recovery->visitor->message(recovery->visitor->arg, &found);
    store_record_unref(record);
    return err;
}

static enum tg_err read_error(int rc)
{
    log_error("the store cannot be read", LOG_STR("reason", mdb_strerror(rc)));
    return rc == ENOMEM ? TG_ERR_NO_MEMORY : TG_ERR_IO;
}

static int delete_one(const struct lmdb_files *files, MDB_txn *txn, const struct doomed *one)
{
    MDB_val key = {one->key_len, (void *)(uintptr_t)one->key};
    int rc;
    if (one->table == LMDB_MESSAGES && one->key_len == 8) {
        size_t no_limit = SIZE_MAX;
        uint64_t mid = tg_get_be(one->key, 8); /* its flags may be what is damaged */
        rc = lmdb_delete_prefix(txn, files->tables[LMDB_RECIPIENTS], mid, &no_limit);
        rc = rc != 0 ? rc : lmdb_delete_prefix(txn, files->tables[LMDB_PARTS], mid, &no_limit);
        if (rc != 0) {
            return rc;
        }
    }
    rc = mdb_del(txn, files->tables[one->table], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static enum tg_err delete_doomed(struct recovery *recovery)
{
    const struct lmdb_files *files = &recovery->lmdb->files;
    for (size_t i = 0; i < recovery->doomed_count;) {
        MDB_txn *txn;
        int rc = mdb_txn_begin(files->env, NULL, 0, &txn);
        if (rc != 0) {
            return read_error(rc);
        }
        for (size_t n = 0; rc == 0 && n < DELETES_MAX && i < recovery->doomed_count; n++, i++) {
            rc = delete_one(files, txn, &recovery->doomed[i]);
        }
        if (rc != 0) {
            mdb_txn_abort(txn);
        } else {
            rc = mdb_txn_commit(txn);
        }
        if (lmdb_is_room_error(rc)) {
            return TG_OK; /* they are found again the next time */
        }
        if (rc != 0) {
            return read_error(rc);
        }
    }
    return TG_OK;
}

enum tg_err lmdb_recover(struct store *store, const struct store_visitor *visitor)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    struct recovery recovery = {.lmdb = lmdb, .visitor = visitor, .told_ms = lmdb->monotonic_ms()};
    const struct lmdb_walker walker = {.entry = on_entry,
                                       .message = on_message,
                                       .damaged = on_damaged,
                                       .leftover = on_leftover,
                                       .step = on_step,
                                       .arg = &recovery};
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->files.env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return read_error(rc);
    }
    recovery.total = lmdb_walk_total(&lmdb->files, txn);
    enum tg_err err = lmdb_walk(&lmdb->files, txn, &walker, &rc);
    mdb_txn_abort(txn);
    if (rc != 0) {
        read_error(rc);
    }
    err = err != TG_OK ? err : delete_doomed(&recovery);
    if (err == TG_OK && recovery.leftovers > 0) {
        log_info("leftovers in the store deleted", LOG_UNUM("entries", recovery.leftovers));
    }
    uint64_t next = atomic_load_explicit(&store->next_session, memory_order_relaxed);
    if (recovery.highest_session >= next) {
        atomic_store_explicit(&store->next_session, recovery.highest_session + 1, memory_order_relaxed);
    }
    lmdb->is_recovered = err == TG_OK;
    free(recovery.doomed);
    return err;
}
