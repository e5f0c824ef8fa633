/* Going through all that a store holds, in the order in which it means something: tables of small entries, then messages with their pieces,
 * which lie in other tables in the same order. */
#include "gateway/store/lmdb_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/store/lmdb_engine.h"

struct walk {
    const struct lmdb_files *files;
    MDB_txn *txn;
    const struct lmdb_walker *walker;
    int rc;             /* the error of LMDB that ended it */
    uint64_t *sessions; /* that are there, ascending */
    size_t session_count;
    size_t session_capacity;
    uint8_t *buf; /* for what lies in several entries */
    size_t buf_size;
};

static void step(struct walk *walk)
{
    if (walk->walker->step != NULL) {
        walk->walker->step(walk->walker->arg);
    }
}

static enum tg_err damaged(struct walk *walk, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                           const char *why)
{
    return walk->walker->damaged(walk->walker->arg, table, key, value, why);
}

static enum tg_err leftover(struct walk *walk, enum lmdb_table table, const MDB_val *key)
{
    return walk->walker->leftover(walk->walker->arg, table, key);
}

static enum tg_err lmdb_error(struct walk *walk, int rc)
{
    if (rc == 0 || rc == MDB_NOTFOUND) {
        return TG_OK;
    }
    walk->rc = rc;
    return rc == ENOMEM ? TG_ERR_NO_MEMORY : TG_ERR_IO;
}

/* --- small entries ------------------------------------------------------------------------------------------------------------- */

static enum tg_err add_session(struct walk *walk, uint64_t session)
{
    void *items = walk->sessions;
    if (!lmdb_walk_grow(&items, walk->session_count, &walk->session_capacity, sizeof(uint64_t))) {
        return TG_ERR_NO_MEMORY;
    }
    walk->sessions = items;
    walk->sessions[walk->session_count++] = session;
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

static enum tg_err read_entry(struct walk *walk, enum store_table which, const MDB_val *key, const MDB_val *value,
                              size_t *session_at)
{
    enum lmdb_table table = LMDB_ENTRIES + which;
    if (!key_is_sound(which, key)) {
        return damaged(walk, table, key, value, "length of the key");
    }
    if (which != STORE_IDEMPOTENCY) {
        uint64_t session = tg_get_be(key->mv_data, 8);
        if (which == STORE_SESSIONS) {
            enum tg_err err = add_session(walk, session); /* a damaged one, too: what belongs to it is no leftover */
            if (err != TG_OK) {
                return err;
            }
        } else if (which != STORE_WILLS) {
            while (*session_at < walk->session_count && walk->sessions[*session_at] < session) {
                ++*session_at;
            }
            if (*session_at == walk->session_count || walk->sessions[*session_at] != session) {
                return leftover(walk, table, key);
            }
        }
    }
    struct bytes plain = lmdb_unseal(table, key, value);
    if (plain.data == NULL) {
        return damaged(walk, table, key, value, "checksum or version");
    }
    if (!walk->walker->entry(walk->walker->arg, which, (struct bytes){key->mv_data, key->mv_size}, plain)) {
        return damaged(walk, table, key, value, "its content makes no sense");
    }
    return TG_OK;
}

static enum tg_err read_entries(struct walk *walk, enum store_table which)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    size_t session_at = 0;
    int rc = mdb_cursor_open(walk->txn, walk->files->tables[LMDB_ENTRIES + which], &cursor);
    if (rc != 0) {
        return lmdb_error(walk, rc);
    }
    enum tg_err err = TG_OK;
    while (err == TG_OK && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        err = read_entry(walk, which, &key, &value, &session_at);
        step(walk);
    }
    mdb_cursor_close(cursor);
    return err != TG_OK ? err : lmdb_error(walk, rc);
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

static int next_piece(struct walk *walk, struct pieces *pieces)
{
    int rc = mdb_cursor_get(pieces->cursor, &pieces->key, &pieces->value, MDB_NEXT);
    pieces->is_at_end = rc != 0;
    step(walk);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool is_piece_of(const struct pieces *pieces, uint64_t mid)
{
    return !pieces->is_at_end && pieces->key.mv_size == 12 && tg_get_be(pieces->key.mv_data, 8) == mid;
}

/* Pieces of messages below MID, which are not there, or not any more. */
static enum tg_err skip_pieces(struct walk *walk, struct pieces *pieces, uint64_t mid)
{
    while (!pieces->is_at_end && (pieces->key.mv_size != 12 || tg_get_be(pieces->key.mv_data, 8) < mid)) {
        enum tg_err err = leftover(walk, pieces->table, &pieces->key);
        int rc = next_piece(walk, pieces);
        if (err != TG_OK || rc != 0) {
            return err != TG_OK ? err : lmdb_error(walk, rc);
        }
    }
    return TG_OK;
}

/* Room for SIZE bytes in the buffer, which keeps what it has. */
static bool reserve(struct walk *walk, size_t size)
{
    if (size <= walk->buf_size) {
        return true;
    }
    uint8_t *grown = realloc(walk->buf, 2 * size);
    if (grown == NULL) {
        return false;
    }
    walk->buf = grown;
    walk->buf_size = 2 * size;
    return true;
}

/* What the pieces of message MID hold, appended to the buffer at *LEN. @return TG_ERR_CORRUPT if one is damaged or missing */
static enum tg_err collect(struct walk *walk, struct pieces *pieces, uint64_t mid, size_t *len)
{
    bool is_damaged = false;
    for (uint32_t number = 0; is_piece_of(pieces, mid); number++) {
        struct bytes plain = lmdb_unseal(pieces->table, &pieces->key, &pieces->value);
        if (plain.data == NULL) {
            enum tg_err err = damaged(walk, pieces->table, &pieces->key, &pieces->value, "checksum or version");
            if (err != TG_OK) {
                return err;
            }
            is_damaged = true;
        } else if (tg_get_be((const uint8_t *)pieces->key.mv_data + 8, 4) != number) {
            is_damaged = true;
        } else if (!reserve(walk, *len + plain.len)) {
            return TG_ERR_NO_MEMORY;
        } else {
            memcpy(walk->buf + *len, plain.data, plain.len);
            *len += plain.len;
        }
        int rc = next_piece(walk, pieces);
        if (rc != 0) {
            return lmdb_error(walk, rc);
        }
    }
    return is_damaged ? TG_ERR_CORRUPT : TG_OK;
}

/* Bring all recipients and the body of MESSAGE together, wherever they lie. */
static enum tg_err assemble(struct walk *walk, struct pieces *more, struct pieces *parts, uint64_t mid,
                            struct lmdb_message *message)
{
    size_t recipients_len = message->recipients.len;
    size_t len = recipients_len;
    uint32_t count = 0;
    if (!reserve(walk, len)) {
        return TG_ERR_NO_MEMORY;
    }
    if (len > 0) {
        memcpy(walk->buf, message->recipients.data, len);
    }
    enum tg_err err = collect(walk, more, mid, &len);
    recipients_len = len;
    if (err == TG_OK && (!lmdb_recipients_count((struct bytes){walk->buf, len}, &count) ||
                         count != message->recipient_count + message->more_count)) {
        err = TG_ERR_CORRUPT;
    }
    enum tg_err parts_err = collect(walk, parts, mid, &len);
    err = err != TG_OK ? err : parts_err;
    if (err != TG_OK) {
        return err;
    }
    if ((message->flags & LMDB_FLAG_PARTS) != 0) {
        if (len - recipients_len != lmdb_body_len(message)) {
            return TG_ERR_CORRUPT;
        }
        message->body = (struct bytes){walk->buf + recipients_len, len - recipients_len};
    }
    message->recipient_count = count;
    message->recipients = (struct bytes){walk->buf, recipients_len};
    return TG_OK;
}

static enum tg_err show(struct walk *walk, uint64_t mid, const struct lmdb_message *message)
{
    int64_t live = (int64_t)message->recipient_count + ((message->flags & LMDB_FLAG_RETAINED) != 0 ? 1 : 0);
    if (live == 0 || live > INT32_MAX || message->body.len != lmdb_body_len(message)) {
        return TG_ERR_CORRUPT;
    }
    return walk->walker->message(walk->walker->arg, mid, message);
}

static enum tg_err read_message(struct walk *walk, struct pieces *more, struct pieces *parts, const MDB_val *key,
                                const MDB_val *value)
{
    struct lmdb_message message;
    if (key->mv_size != 8) {
        return damaged(walk, LMDB_MESSAGES, key, value, "length of the key");
    }
    uint64_t mid = tg_get_be(key->mv_data, 8);
    enum tg_err err = skip_pieces(walk, more, mid);
    err = err != TG_OK ? err : skip_pieces(walk, parts, mid);
    if (err != TG_OK) {
        return err;
    }
    struct bytes plain = lmdb_unseal(LMDB_MESSAGES, key, value);
    if (plain.data == NULL || !lmdb_message_decode(plain, &message)) {
        return damaged(walk, LMDB_MESSAGES, key, value, "checksum or version"); /* its pieces are leftovers then */
    }
    if ((message.flags & (LMDB_FLAG_MORE | LMDB_FLAG_PARTS)) != 0) {
        err = assemble(walk, more, parts, mid, &message);
    }
    err = err != TG_OK ? err : show(walk, mid, &message);
    if (err == TG_ERR_CORRUPT) {
        return damaged(walk, LMDB_MESSAGES, key, value, "its content makes no sense, or a part of it is missing");
    }
    return err;
}

static enum tg_err read_messages(struct walk *walk)
{
    const struct lmdb_files *files = walk->files;
    struct pieces more = {.table = LMDB_RECIPIENTS};
    struct pieces parts = {.table = LMDB_PARTS};
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(walk->txn, files->tables[LMDB_MESSAGES], &cursor);
    rc = rc != 0 ? rc : mdb_cursor_open(walk->txn, files->tables[LMDB_RECIPIENTS], &more.cursor);
    rc = rc != 0 ? rc : mdb_cursor_open(walk->txn, files->tables[LMDB_PARTS], &parts.cursor);
    rc = rc != 0 ? rc : next_piece(walk, &more);
    rc = rc != 0 ? rc : next_piece(walk, &parts);
    enum tg_err err = rc != 0 ? lmdb_error(walk, rc) : TG_OK;
    while (err == TG_OK && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        err = read_message(walk, &more, &parts, &key, &value);
        step(walk);
    }
    err = err != TG_OK ? err : lmdb_error(walk, rc);
    err = err != TG_OK ? err : skip_pieces(walk, &more, UINT64_MAX);
    err = err != TG_OK ? err : skip_pieces(walk, &parts, UINT64_MAX);
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

bool lmdb_walk_grow(void **items, size_t count, size_t *capacity, size_t size)
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

uint64_t lmdb_walk_total(const struct lmdb_files *files, MDB_txn *txn)
{
    uint64_t total = 0;
    for (unsigned t = LMDB_MESSAGES; t < LMDB_TABLES; t++) {
        MDB_stat stat;
        if (mdb_stat(txn, files->tables[t], &stat) == 0) {
            total += stat.ms_entries;
        }
    }
    return total;
}

enum tg_err lmdb_walk(const struct lmdb_files *files, MDB_txn *txn, const struct lmdb_walker *walker, int *rc)
{
    struct walk walk = {.files = files, .txn = txn, .walker = walker};
    enum tg_err err = TG_OK;
    for (unsigned t = 0; err == TG_OK && t < STORE_TABLES; t++) {
        err = read_entries(&walk, (enum store_table)t);
    }
    err = err != TG_OK ? err : read_messages(&walk);
    free(walk.sessions);
    free(walk.buf);
    *rc = walk.rc;
    return err;
}
