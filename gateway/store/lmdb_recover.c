/* Reading it all after the start. What is damaged is copied to the quarantine file and deleted when everything has been read; so is, without
 * a copy, what leads nowhere: pieces of a message that was never put, and small entries of a session that is not there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
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
    MDB_txn *txn;
    uint64_t read;
    uint64_t total;
    uint64_t told_ms;
    uint64_t highest_session;
    uint64_t leftovers; /* deleted without being damaged */
    uint64_t *sessions; /* that are there, ascending */
    size_t session_count;
    size_t session_capacity;
    struct doomed *doomed;
    size_t doomed_count;
    size_t doomed_capacity;
    uint8_t *buf; /* for what lies in several entries */
    size_t buf_size;
};

static void step(struct recovery *recovery)
{
    if (++recovery->read % LOOK_AT_CLOCK != 0 || recovery->visitor->progress == NULL) {
        return;
    }
    uint64_t now = recovery->lmdb->monotonic_ms();
    if (now - recovery->told_ms >= PROGRESS_MS) {
        recovery->told_ms = now;
        recovery->visitor->progress(recovery->visitor->arg, recovery->read, recovery->total);
    }
}

/* Room for one more of SIZE bytes. */
static bool grow(void **items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return true;
    }
    size_t more = *capacity > 0 ? *capacity * 2 : 64;
    void *grown = realloc(*items, more * size);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *capacity = more;
    return true;
}

static enum tg_err doom(struct recovery *recovery, enum lmdb_table table, const MDB_val *key)
{
    void *items = recovery->doomed;
    if (key->mv_size > STORE_KEY_BYTES) {
        return TG_OK; /* none of ours; it stays */
    }
    if (!grow(&items, recovery->doomed_count, &recovery->doomed_capacity, sizeof(struct doomed))) {
        return TG_ERR_NO_MEMORY;
    }
    recovery->doomed = items;
    struct doomed *one = &recovery->doomed[recovery->doomed_count++];
    *one = (struct doomed){.table = (uint8_t)table, .key_len = (uint8_t)key->mv_size};
    memcpy(one->key, key->mv_data, key->mv_size);
    return TG_OK;
}

static enum tg_err damaged(struct recovery *recovery, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                           const char *why)
{
    lmdb_quarantine(recovery->lmdb, table, key, value, why);
    return doom(recovery, table, key);
}

static enum tg_err leftover(struct recovery *recovery, enum lmdb_table table, const MDB_val *key)
{
    recovery->leftovers++;
    return doom(recovery, table, key);
}

static enum tg_err lmdb_error(int rc)
{
    if (rc == MDB_NOTFOUND) {
        return TG_OK;
    }
    log_error("the store cannot be read", LOG_STR("reason", mdb_strerror(rc)));
    return rc == ENOMEM ? TG_ERR_NO_MEMORY : TG_ERR_IO;
}

/* --- small entries ------------------------------------------------------------------------------------------------------------- */

static enum tg_err add_session(struct recovery *recovery, uint64_t session)
{
    void *items = recovery->sessions;
    if (!grow(&items, recovery->session_count, &recovery->session_capacity, sizeof(uint64_t))) {
        return TG_ERR_NO_MEMORY;
    }
    recovery->sessions = items;
    recovery->sessions[recovery->session_count++] = session;
    return TG_OK;
}

static bool key_is_sound(enum store_table table, const MDB_val *key)
{
    static const uint8_t lengths[STORE_TABLES] = {
        [STORE_SESSIONS] = 8,  [STORE_WILLS] = 8, [STORE_SUBSCRIPTIONS] = 12, [STORE_POSITIONS] = 8,
        [STORE_RECEIVED] = 10, [STORE_SENT] = 16, [STORE_IDEMPOTENCY] = 16,
    };
    return key->mv_size == lengths[table];
}

static enum tg_err read_entry(struct recovery *recovery, enum store_table which, const MDB_val *key,
                              const MDB_val *value, size_t *session_at)
{
    enum lmdb_table table = LMDB_ENTRIES + which;
    if (!key_is_sound(which, key)) {
        return damaged(recovery, table, key, value, "length of the key");
    }
    if (which != STORE_IDEMPOTENCY) {
        uint64_t session = tg_get_be(key->mv_data, 8);
        recovery->highest_session = session > recovery->highest_session ? session : recovery->highest_session;
        if (which == STORE_SESSIONS) {
            enum tg_err err =
                add_session(recovery, session); /* a damaged one, too: what belongs to it is no leftover */
            if (err != TG_OK) {
                return err;
            }
        } else if (which != STORE_WILLS) {
            while (*session_at < recovery->session_count && recovery->sessions[*session_at] < session) {
                ++*session_at;
            }
            if (*session_at == recovery->session_count || recovery->sessions[*session_at] != session) {
                return leftover(recovery, table, key);
            }
        }
    }
    struct bytes plain = lmdb_unseal(table, key, value);
    if (plain.data == NULL) {
        return damaged(recovery, table, key, value, "checksum or version");
    }
    if (!recovery->visitor->entry(recovery->visitor->arg, which, (struct bytes){key->mv_data, key->mv_size}, plain)) {
        return damaged(recovery, table, key, value, "its content makes no sense");
    }
    return TG_OK;
}

static enum tg_err read_entries(struct recovery *recovery, enum store_table which)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    size_t session_at = 0;
    int rc = mdb_cursor_open(recovery->txn, recovery->lmdb->files.tables[LMDB_ENTRIES + which], &cursor);
    if (rc != 0) {
        return lmdb_error(rc);
    }
    enum tg_err err = TG_OK;
    while (err == TG_OK && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        err = read_entry(recovery, which, &key, &value, &session_at);
        step(recovery);
    }
    mdb_cursor_close(cursor);
    return err != TG_OK ? err : lmdb_error(rc);
}

/* --- messages ------------------------------------------------------------------------------------------------------------------ */

/* Goes through a table of pieces beside the messages, in the same order. */
struct pieces {
    enum lmdb_table table;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    bool is_at_end;
};

static int next_piece(struct recovery *recovery, struct pieces *pieces)
{
    int rc = mdb_cursor_get(pieces->cursor, &pieces->key, &pieces->value, MDB_NEXT);
    pieces->is_at_end = rc != 0;
    step(recovery);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool is_piece_of(const struct pieces *pieces, uint64_t mid)
{
    return !pieces->is_at_end && pieces->key.mv_size == 12 && tg_get_be(pieces->key.mv_data, 8) == mid;
}

/* Pieces of messages below MID, which are not there, or not any more. */
static enum tg_err skip_pieces(struct recovery *recovery, struct pieces *pieces, uint64_t mid)
{
    while (!pieces->is_at_end && (pieces->key.mv_size != 12 || tg_get_be(pieces->key.mv_data, 8) < mid)) {
        enum tg_err err = leftover(recovery, pieces->table, &pieces->key);
        int rc = next_piece(recovery, pieces);
        if (err != TG_OK || rc != 0) {
            return err != TG_OK ? err : lmdb_error(rc);
        }
    }
    return TG_OK;
}

static bool reserve(struct recovery *recovery, size_t size)
{
    if (size <= recovery->buf_size) {
        return true;
    }
    uint8_t *grown = realloc(recovery->buf, size);
    if (grown == NULL) {
        return false;
    }
    recovery->buf = grown;
    recovery->buf_size = size;
    return true;
}

/* What the pieces of message MID hold, appended to the buffer at *LEN. @return TG_ERR_CORRUPT if one is damaged or missing */
static enum tg_err collect(struct recovery *recovery, struct pieces *pieces, uint64_t mid, size_t *len)
{
    enum tg_err err = TG_OK;
    for (uint32_t number = 0; is_piece_of(pieces, mid); number++) {
        struct bytes plain = lmdb_unseal(pieces->table, &pieces->key, &pieces->value);
        if (plain.data == NULL) {
            lmdb_quarantine(recovery->lmdb, pieces->table, &pieces->key, &pieces->value, "checksum or version");
            err = TG_ERR_CORRUPT;
        } else if (tg_get_be((const uint8_t *)pieces->key.mv_data + 8, 4) != number) {
            err = TG_ERR_CORRUPT;
        } else if (!reserve(recovery, *len + plain.len > recovery->buf_size ? (*len + plain.len) * 2 : 0)) {
            return TG_ERR_NO_MEMORY;
        } else if (err == TG_OK && plain.len > 0) {
            memcpy(recovery->buf + *len, plain.data, plain.len);
            *len += plain.len;
        }
        int rc = next_piece(recovery, pieces);
        if (rc != 0) {
            return lmdb_error(rc);
        }
    }
    return err;
}

/* Bring all recipients and the body of MESSAGE together, wherever they lie. */
static enum tg_err assemble(struct recovery *recovery, struct pieces *more, struct pieces *parts, uint64_t mid,
                            struct lmdb_message *message)
{
    size_t recipients_len = message->recipients.len;
    size_t len = recipients_len;
    uint32_t count = 0;
    if (!reserve(recovery, len)) {
        return TG_ERR_NO_MEMORY;
    }
    if (len > 0) {
        memcpy(recovery->buf, message->recipients.data, len);
    }
    enum tg_err err = collect(recovery, more, mid, &len);
    recipients_len = len;
    if (err == TG_OK && (!lmdb_recipients_count((struct bytes){recovery->buf, len}, &count) ||
                         count != message->recipient_count + message->more_count)) {
        err = TG_ERR_CORRUPT;
    }
    enum tg_err parts_err = collect(recovery, parts, mid, &len);
    err = err != TG_OK ? err : parts_err;
    if (err != TG_OK) {
        return err;
    }
    if ((message->flags & LMDB_FLAG_PARTS) != 0) {
        if (len - recipients_len != lmdb_body_len(message)) {
            return TG_ERR_CORRUPT;
        }
        message->body = (struct bytes){recovery->buf + recipients_len, len - recipients_len};
    }
    message->recipient_count = count;
    message->recipients = (struct bytes){recovery->buf, recipients_len};
    return TG_OK;
}

static enum tg_err show(struct recovery *recovery, uint64_t mid, const struct lmdb_message *message)
{
    bool is_retained = (message->flags & LMDB_FLAG_RETAINED) != 0;
    bool retain = (message->flags & LMDB_FLAG_RETAIN) != 0;
    int64_t live = (int64_t)message->recipient_count + (is_retained ? 1 : 0);
    if (live == 0 || live > INT32_MAX || message->body.len != lmdb_body_len(message)) {
        return TG_ERR_CORRUPT;
    }
    struct store_record *record =
        store_record_found(mid, sizeof(struct message) + message->body.len, message->expires_ms, (int32_t)live, retain);
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

static enum tg_err read_message(struct recovery *recovery, struct pieces *more, struct pieces *parts,
                                const MDB_val *key, const MDB_val *value)
{
    struct lmdb_message message;
    if (key->mv_size != 8) {
        return damaged(recovery, LMDB_MESSAGES, key, value, "length of the key");
    }
    uint64_t mid = tg_get_be(key->mv_data, 8);
    enum tg_err err = skip_pieces(recovery, more, mid);
    err = err != TG_OK ? err : skip_pieces(recovery, parts, mid);
    if (err != TG_OK) {
        return err;
    }
    struct bytes plain = lmdb_unseal(LMDB_MESSAGES, key, value);
    if (plain.data == NULL || !lmdb_message_decode(plain, &message)) {
        return damaged(recovery, LMDB_MESSAGES, key, value, "checksum or version"); /* its pieces are leftovers then */
    }
    if ((message.flags & (LMDB_FLAG_MORE | LMDB_FLAG_PARTS)) != 0) {
        err = assemble(recovery, more, parts, mid, &message);
    }
    err = err != TG_OK ? err : show(recovery, mid, &message);
    if (err == TG_ERR_CORRUPT) {
        return damaged(recovery, LMDB_MESSAGES, key, value, "its content makes no sense, or a part of it is missing");
    }
    return err;
}

static enum tg_err read_messages(struct recovery *recovery)
{
    const struct lmdb_files *files = &recovery->lmdb->files;
    struct pieces more = {.table = LMDB_RECIPIENTS};
    struct pieces parts = {.table = LMDB_PARTS};
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(recovery->txn, files->tables[LMDB_MESSAGES], &cursor);
    rc = rc != 0 ? rc : mdb_cursor_open(recovery->txn, files->tables[LMDB_RECIPIENTS], &more.cursor);
    rc = rc != 0 ? rc : mdb_cursor_open(recovery->txn, files->tables[LMDB_PARTS], &parts.cursor);
    rc = rc != 0 ? rc : next_piece(recovery, &more);
    rc = rc != 0 ? rc : next_piece(recovery, &parts);
    enum tg_err err = rc != 0 ? lmdb_error(rc) : TG_OK;
    while (err == TG_OK && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        err = read_message(recovery, &more, &parts, &key, &value);
        step(recovery);
    }
    err = err != TG_OK ? err : lmdb_error(rc);
    err = err != TG_OK ? err : skip_pieces(recovery, &more, UINT64_MAX);
    err = err != TG_OK ? err : skip_pieces(recovery, &parts, UINT64_MAX);
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    if (more.cursor != NULL) {
        mdb_cursor_close(more.cursor);
    }
    if (parts.cursor != NULL) {
        mdb_cursor_close(parts.cursor);
    }
    return err;
}

/* --- all of it ----------------------------------------------------------------------------------------------------------------- */

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
            return lmdb_error(rc);
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
            return lmdb_error(rc);
        }
    }
    return TG_OK;
}

static uint64_t count_entries(struct recovery *recovery)
{
    uint64_t total = 0;
    for (unsigned t = LMDB_MESSAGES; t < LMDB_TABLES; t++) {
        MDB_stat stat;
        if (mdb_stat(recovery->txn, recovery->lmdb->files.tables[t], &stat) == 0) {
            total += stat.ms_entries;
        }
    }
    return total;
}

enum tg_err lmdb_recover(struct store *store, const struct store_visitor *visitor)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    struct recovery recovery = {.lmdb = lmdb, .visitor = visitor, .told_ms = lmdb->monotonic_ms()};
    int rc = mdb_txn_begin(lmdb->files.env, NULL, MDB_RDONLY, &recovery.txn);
    if (rc != 0) {
        return lmdb_error(rc);
    }
    recovery.total = count_entries(&recovery);
    enum tg_err err = TG_OK;
    for (unsigned t = 0; err == TG_OK && t < STORE_TABLES; t++) {
        err = read_entries(&recovery, (enum store_table)t);
    }
    err = err != TG_OK ? err : read_messages(&recovery);
    mdb_txn_abort(recovery.txn);
    err = err != TG_OK ? err : delete_doomed(&recovery);
    if (err == TG_OK && recovery.leftovers > 0) {
        log_info("leftovers in the store deleted", LOG_UNUM("entries", recovery.leftovers));
    }
    uint64_t next = atomic_load_explicit(&store->next_session, memory_order_relaxed);
    if (recovery.highest_session >= next) {
        atomic_store_explicit(&store->next_session, recovery.highest_session + 1, memory_order_relaxed);
    }
    lmdb->is_recovered = err == TG_OK;
    free(recovery.sessions);
    free(recovery.doomed);
    free(recovery.buf);
    return err;
}
