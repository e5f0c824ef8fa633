/* What a batch becomes on disk. Values are written into LMDB's pages at once, without a copy between. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/base/be.h"
#include "gateway/store/lmdb_engine.h"
#include "gateway/store/message.h"

static int begin(struct lmdb_put *put)
{
    int rc = mdb_txn_begin(put->lmdb->files.env, NULL, 0, &put->txn);
    if (rc != 0) {
        put->txn = NULL;
        return rc;
    }
    put->bytes = 0;
    rc = mdb_cursor_open(put->txn, put->lmdb->files.tables[LMDB_MESSAGES], &put->messages);
    if (rc != 0) {
        put->messages = NULL;
    }
    return rc;
}

static void close_cursor(struct lmdb_put *put)
{
    if (put->messages != NULL) {
        mdb_cursor_close(put->messages);
        put->messages = NULL;
    }
}

static int commit(struct lmdb_put *put)
{
    struct lmdb_store *lmdb = put->lmdb;
    struct timespec begun;
    struct timespec ended;
    close_cursor(put);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    MDB_txn *txn = put->txn;
    put->txn = NULL;
    int rc = mdb_txn_commit(txn);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    int64_t ns = (ended.tv_sec - begun.tv_sec) * 1000000000 + (ended.tv_nsec - begun.tv_nsec);
    uint64_t us = (uint64_t)ns / 1000;
    unsigned bucket = 0;
    while (bucket < 15 && us > 64ULL << bucket) {
        bucket++;
    }
    pthread_mutex_lock(&lmdb->figures_lock);
    lmdb->counts.commits++;
    lmdb->counts.commit_us_sum += us;
    lmdb->counts.commit_us_max = us > lmdb->counts.commit_us_max ? us : lmdb->counts.commit_us_max;
    lmdb->counts.commit_us_buckets[bucket]++;
    lmdb->counts.bytes_written += put->bytes;
    pthread_mutex_unlock(&lmdb->figures_lock);
    lmdb->put_bytes += put->bytes;
    return rc;
}

static void account(struct lmdb_put *put, size_t bytes)
{
    put->bytes += bytes;
    put->total_bytes += bytes;
}

/* In the midst of message MID, which is more than one transaction should hold: what was put of it so far leads nowhere until the message is there. Of
 * operations before it that would not be so: they would be put again, if the rest has no room. */
static int commit_between(struct lmdb_put *put, uint64_t mid)
{
    if (put->bytes < LMDB_BATCH_BYTES || !put->is_alone) {
        return 0;
    }
    int rc = commit(put);
    put->begun_mid = mid;
    return rc != 0 ? rc : begin(put);
}

static MDB_val piece_key(uint8_t *buf, uint64_t mid, uint32_t number)
{
    tg_put_be(tg_put_be(buf, mid, 8), number, 4);
    return (MDB_val){12, buf};
}

static int put_sealed(struct lmdb_put *put, enum lmdb_table table, MDB_val *key, const uint8_t *bytes, size_t len)
{
    MDB_val value = {LMDB_HEAD_BYTES + len, NULL};
    int rc = mdb_put(put->txn, put->lmdb->files.tables[table], key, &value, MDB_RESERVE);
    if (rc != 0) {
        return rc;
    }
    if (len > 0) {
        memcpy((uint8_t *)value.mv_data + LMDB_HEAD_BYTES, bytes, len);
    }
    lmdb_seal(table, key, value.mv_data, value.mv_size);
    account(put, key->mv_size + value.mv_size);
    return 0;
}

/* --- a message ----------------------------------------------------------------------------------------------------------------- */

/* Goes through the recipients of a record that are not finished. */
struct walk {
    const struct store_pending *pending;
    unsigned place;
    uint32_t ordinal;
    size_t offset;
};

/* The next one; data is NULL at the end. */
static struct bytes next_recipient(struct walk *walk)
{
    for (; walk->place < walk->pending->places; walk->place++, walk->ordinal = 0, walk->offset = 0) {
        const struct store_report *report = walk->pending->reports[walk->place];
        while (report != NULL && walk->ordinal < report->count) {
            const uint8_t *at = report->bytes + walk->offset;
            size_t len = lmdb_recipient_len(at);
            uint64_t finished = store_report_finished(report, walk->ordinal / 64);
            bool is_finished = (finished >> (walk->ordinal % 64) & 1) != 0;
            walk->ordinal++;
            walk->offset += len;
            if (!is_finished) {
                return (struct bytes){at, len};
            }
        }
    }
    return (struct bytes){NULL, 0};
}

/* Go on as long as at most MAX recipients fit into BYTES, one at least unless MAY_BE_NONE. @return where that ends */
static struct walk gather(struct walk from, uint32_t max, size_t bytes, bool may_be_none, struct lmdb_message *out)
{
    struct walk end = from;
    out->recipient_count = 0;
    out->recipients_len = 0;
    while (out->recipient_count < max) {
        struct walk next = end;
        struct bytes one = next_recipient(&next);
        if (one.data == NULL || (out->recipients_len + one.len > bytes && (may_be_none || out->recipient_count > 0))) {
            break;
        }
        out->recipient_count++;
        out->recipients_len += (uint32_t)one.len;
        end = next;
    }
    return end;
}

static uint8_t *copy_recipients(struct walk walk, uint32_t count, uint8_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bytes one = next_recipient(&walk);
        memcpy(at, one.data, one.len);
        at += one.len;
    }
    return at;
}

/* Recipients from WALK on, in entries of their own. */
static int put_more(struct lmdb_put *put, uint64_t mid, struct walk walk, struct lmdb_message *message)
{
    for (uint32_t number = 0;; number++) {
        struct lmdb_message chunk;
        struct walk end = gather(walk, LMDB_CHUNK_MAX, LMDB_CHUNK_BYTES, false, &chunk);
        if (chunk.recipient_count == 0) {
            return 0;
        }
        uint8_t buf[12];
        MDB_val key = piece_key(buf, mid, number);
        MDB_val value = {LMDB_HEAD_BYTES + chunk.recipients_len, NULL};
        int rc = mdb_put(put->txn, put->lmdb->files.tables[LMDB_RECIPIENTS], &key, &value, MDB_RESERVE);
        if (rc != 0) {
            return rc;
        }
        copy_recipients(walk, chunk.recipient_count, (uint8_t *)value.mv_data + LMDB_HEAD_BYTES);
        lmdb_seal(LMDB_RECIPIENTS, &key, value.mv_data, value.mv_size);
        account(put, key.mv_size + value.mv_size);
        message->flags |= LMDB_FLAG_MORE;
        message->more_count += chunk.recipient_count;
        walk = end;
        rc = commit_between(put, mid);
        if (rc != 0) {
            return rc;
        }
    }
}

static int put_parts(struct lmdb_put *put, uint64_t mid, struct bytes body)
{
    for (uint32_t number = 0; body.len > 0; number++) {
        size_t len = body.len < LMDB_PART_BYTES ? body.len : LMDB_PART_BYTES;
        uint8_t buf[12];
        MDB_val key = piece_key(buf, mid, number);
        int rc = put_sealed(put, LMDB_PARTS, &key, body.data, len);
        if (rc == 0) {
            rc = commit_between(put, mid);
        }
        if (rc != 0) {
            return rc;
        }
        body.data += len;
        body.len -= len;
    }
    return 0;
}

static int put_message(struct lmdb_put *put, struct store_record *record)
{
    const struct message *from = store_record_peek(record);
    uint64_t mid = put->next_mid++;
    struct lmdb_message message = {
        .flags = (uint8_t)((from->retain ? LMDB_FLAG_RETAIN : 0) |
                           (record->pending->is_retained && !record->is_replaced ? LMDB_FLAG_RETAINED : 0)),
        .qos = from->qos,
        .topic_len = from->topic_len,
        .properties_len = from->properties_len,
        .payload_len = from->payload_len,
        .expires_ms = record->expires_ms,
        .stored_ms = from->stored_ms,
        .version = from->version,
        .publisher = from->publisher,
    };
    struct bytes body = {from->bytes, lmdb_body_len(&message)};
    if (body.len > LMDB_WHOLE_MAX) {
        message.flags |= LMDB_FLAG_PARTS;
        int rc = put_parts(put, mid, body);
        if (rc != 0) {
            return rc;
        }
        body.len = 0;
    }
    struct walk walk = {.pending = record->pending};
    struct walk rest = gather(walk, LMDB_INLINE_MAX, LMDB_INLINE_BYTES, true, &message);
    int rc = put_more(put, mid, rest, &message);
    if (rc != 0) {
        return rc;
    }
    uint8_t buf[8];
    tg_put_be(buf, mid, 8);
    MDB_val key = {8, buf};
    MDB_val value = {LMDB_MESSAGE_BYTES + message.recipients_len + body.len, NULL};
    rc = mdb_cursor_put(put->messages, &key, &value, MDB_APPEND | MDB_RESERVE);
    if (rc != 0) {
        return rc;
    }
    uint8_t *at = lmdb_message_encode(&message, value.mv_data);
    at = copy_recipients(walk, message.recipient_count, at);
    memcpy(at, body.data, body.len);
    lmdb_seal(LMDB_MESSAGES, &key, value.mv_data, value.mv_size);
    account(put, key.mv_size + value.mv_size);
    record->id = mid;
    return 0;
}

/* --- the rest ------------------------------------------------------------------------------------------------------------------ */

static int put_writes(struct lmdb_put *put, const struct store_write *writes)
{
    int rc = 0;
    for (const struct store_write *at = writes; rc == 0 && at != NULL; at = at->next) {
        enum lmdb_table table = LMDB_ENTRIES + at->table;
        MDB_val key = {at->key_len, (void *)(uintptr_t)at->key};
        if (at->is_delete) {
            rc = mdb_del(put->txn, put->lmdb->files.tables[table], &key, NULL);
            rc = rc == MDB_NOTFOUND ? 0 : rc;
            account(put, key.mv_size);
        } else {
            rc = put_sealed(put, table, &key, at->value, at->value_len);
        }
    }
    return rc;
}

/* The first entries go at once, the session's own among them; the rest, which means nothing without it, later. */
static int end_session(struct lmdb_put *put, struct store_operation *operation)
{
    size_t left = LMDB_DELETES_SLICE;
    int rc = lmdb_delete_session(&put->lmdb->files, put->txn, operation->session, &left);
    if (rc == 0 && left == 0) {
        struct lmdb_session_end *end = malloc(sizeof(*end)); /* without memory: at the next start */
        if (end != NULL) {
            *end = (struct lmdb_session_end){put->ending, operation->session};
            put->ending = end;
        }
    }
    return rc;
}

/* The rest may be deleted from now on if IS_COMMITTED; else the ends have not begun. */
static void settle_ending(struct lmdb_put *put, bool is_committed)
{
    while (put->ending != NULL) {
        struct lmdb_session_end *end = put->ending;
        put->ending = end->next;
        if (is_committed) {
            end->next = put->lmdb->ending;
            put->lmdb->ending = end;
        } else {
            free(end);
        }
    }
}

static int put_operation(struct lmdb_put *put, struct store_operation *operation)
{
    int rc = 0;
    if (operation->kind == STORE_RECORD && lmdb_record_is_needed(operation->record)) {
        rc = put_message(put, operation->record);
    } else if (operation->kind == STORE_SESSION_END) {
        rc = end_session(put, operation);
    }
    return rc != 0 ? rc : put_writes(put, operation->writes);
}

/* Numbers of sessions are used once, also after a crash: what is given out is below what is reserved in this transaction. */
static int reserve_sessions(struct lmdb_put *put, uint64_t *out)
{
    struct lmdb_store *lmdb = put->lmdb;
    uint64_t next = atomic_load_explicit(&lmdb->store.next_session, memory_order_relaxed);
    *out = lmdb->sessions_reserved;
    if (next < lmdb->sessions_reserved) {
        return 0;
    }
    *out = next + LMDB_SESSIONS_BLOCK;
    return lmdb_meta_put(put->txn, lmdb->files.tables[LMDB_META], "next_session", *out, 8);
}

/* The message that was begun will not be: take away what of it is committed, as far as there is room to. */
static void drop_begun(struct lmdb_put *put)
{
    struct lmdb_store *lmdb = put->lmdb;
    size_t no_limit = SIZE_MAX;
    uint64_t mid = put->begun_mid;
    lmdb->next_mid = mid + 1;
    MDB_txn *txn;
    if (mdb_txn_begin(lmdb->files.env, NULL, 0, &txn) != 0) {
        return;
    }
    int rc = lmdb_delete_prefix(txn, lmdb->files.tables[LMDB_RECIPIENTS], mid, &no_limit);
    rc = rc != 0 ? rc : lmdb_delete_prefix(txn, lmdb->files.tables[LMDB_PARTS], mid, &no_limit);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return;
    }
    rc = mdb_txn_commit(txn);
    if (rc != 0 && !lmdb_is_room_error(rc)) {
        lmdb_fatal("the store cannot be written", rc);
    }
}

int lmdb_put_batch(struct lmdb_store *lmdb)
{
    struct lmdb_put put = {.lmdb = lmdb, .next_mid = lmdb->next_mid};
    size_t deleted = 0;
    uint64_t reserved = 0;
    int rc = begin(&put);
    for (struct store_operation *at = lmdb->batch.first; rc == 0 && at != NULL; at = at->next) {
        put.is_alone = at == lmdb->batch.first;
        rc = put_operation(&put, at);
    }
    if (rc == 0 && lmdb_deletes_are_due(lmdb, false)) {
        rc = lmdb_deletes_slice(lmdb, put.txn, lmdb_deletes_slice_size(lmdb), &deleted);
    }
    rc = rc != 0 ? rc : reserve_sessions(&put, &reserved);
    if (rc == 0) {
        rc = commit(&put);
    } else {
        close_cursor(&put);
        mdb_txn_abort(put.txn);
    }
    settle_ending(&put, rc == 0);
    if (rc != 0) {
        if (put.begun_mid != 0 && lmdb_is_room_error(rc)) {
            drop_begun(&put);
        }
        return rc;
    }
    lmdb->next_mid = put.next_mid;
    lmdb->sessions_reserved = reserved;
    lmdb_deletes_advance(lmdb, deleted);
    return 0;
}

int lmdb_put_passing(struct lmdb_store *lmdb, size_t max, size_t *out)
{
    struct lmdb_put put = {.lmdb = lmdb};
    struct lmdb_passing passing = {0};
    struct store_operation **link;
    size_t count = 0;
    *out = 0;
    if (lmdb_passing_next(lmdb, &passing) == NULL) {
        return 0;
    }
    int rc = begin(&put);
    while (rc == 0 && count < max && (link = lmdb_passing_next(lmdb, &passing)) != NULL) {
        rc = put_operation(&put, *link);
        lmdb_passing_skip(&passing);
        count++;
    }
    if (rc == 0) {
        rc = commit(&put);
    } else {
        close_cursor(&put);
        mdb_txn_abort(put.txn);
    }
    settle_ending(&put, rc == 0);
    *out = rc == 0 ? count : 0;
    return rc;
}
