/* Deletes that nobody waits for. They are collected, sorted, and done some thousand neighbours at a time, within commits that take place
 * anyway or in commits of their own when the thread has nothing else to do.
 *
 * A crash loses what was only collected: it is delivered again then. For retained values that would be wrong, so rounds follow one another
 * in the order of deaths and go up in mids: a value is never deleted before an older one that it hides. For one that goes without another
 * that takes its place, and whose forerunner may still be under way from another thread, there is a grave first. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/store/lmdb_engine.h"

static int compare(const void *a, const void *b)
{
    const struct lmdb_deletion *x = a;
    const struct lmdb_deletion *y = b;
    return x->mid < y->mid ? -1 : x->mid > y->mid;
}

/* Without memory the message stays until the next start, where it is found and finished again. */
static bool add(struct lmdb_deletions *to, struct lmdb_deletion one)
{
    if (to->count == to->capacity) {
        size_t capacity = to->capacity > 0 ? to->capacity * 2 : LMDB_DELETES_AT;
        struct lmdb_deletion *items = realloc(to->items, capacity * sizeof(*items));
        if (items == NULL) {
            return false;
        }
        to->items = items;
        to->capacity = capacity;
    }
    to->items[to->count++] = one;
    return true;
}

static void add_dead(struct lmdb_store *lmdb, uint64_t mid, bool only_retained)
{
    if (add(&lmdb->dead, (struct lmdb_deletion){mid, LMDB_NO_DOMAIN, only_retained})) {
        lmdb->deaths++;
        if (lmdb->dead.count == 1) {
            lmdb->dead_since_ms = lmdb->monotonic_ms();
        }
    }
}

static void add_grave(struct lmdb_store *lmdb, uint64_t mid, bool only_retained)
{
    if (lmdb->graves_at > 0 && lmdb->graves_at * 2 >= lmdb->graves_count) {
        lmdb->graves_count -= lmdb->graves_at;
        lmdb->graves_stamped -= lmdb->graves_at;
        memmove(lmdb->graves, lmdb->graves + lmdb->graves_at, lmdb->graves_count * sizeof(*lmdb->graves));
        lmdb->graves_at = 0;
    }
    if (lmdb->graves_count == lmdb->graves_capacity) {
        size_t capacity = lmdb->graves_capacity > 0 ? lmdb->graves_capacity * 2 : 64;
        struct lmdb_grave *graves = realloc(lmdb->graves, capacity * sizeof(*graves));
        if (graves == NULL) {
            return;
        }
        lmdb->graves = graves;
        lmdb->graves_capacity = capacity;
    }
    lmdb->graves[lmdb->graves_count++] = (struct lmdb_grave){mid, lmdb->monotonic_ms() + LMDB_GRAVE_MS, only_retained};
}

void lmdb_delete_later(struct lmdb_store *lmdb, uint64_t mid, bool only_retained, bool is_grave, uint32_t behind)
{
    if (is_grave) {
        add_grave(lmdb, mid, only_retained);
    } else if (behind != LMDB_NO_DOMAIN) {
        (void)add(&lmdb->after, (struct lmdb_deletion){mid, behind, only_retained});
    } else {
        add_dead(lmdb, mid, only_retained);
    }
}

void lmdb_deletes_release(struct lmdb_store *lmdb)
{
    size_t left = 0;
    for (size_t i = 0; i < lmdb->after.count; i++) {
        struct lmdb_deletion one = lmdb->after.items[i];
        if (lmdb->writes_of[one.behind]) {
            lmdb->after.items[left++] = one;
        } else {
            add_dead(lmdb, one.mid, one.only_retained);
        }
    }
    lmdb->after.count = left;
}

/* Graves: first wait for the time, then for all that had died by then. */
static void open_graves(struct lmdb_store *lmdb)
{
    if (lmdb->graves_at == lmdb->graves_count) {
        return;
    }
    uint64_t now = lmdb->monotonic_ms();
    while (lmdb->graves_stamped < lmdb->graves_count && lmdb->graves[lmdb->graves_stamped].when <= now) {
        lmdb->graves[lmdb->graves_stamped++].when = lmdb->deaths;
    }
    while (lmdb->graves_at < lmdb->graves_stamped && lmdb->graves[lmdb->graves_at].when <= lmdb->deaths_done) {
        const struct lmdb_grave *grave = &lmdb->graves[lmdb->graves_at++];
        add_dead(lmdb, grave->mid, grave->only_retained);
    }
}

bool lmdb_deletes_are_due(struct lmdb_store *lmdb, bool is_pressed)
{
    open_graves(lmdb);
    if (lmdb->round.count > 0 || lmdb->ending != NULL) {
        return true;
    }
    if (lmdb->dead.count == 0 || (!is_pressed && lmdb->dead.count < LMDB_DELETES_AT &&
                                  lmdb->monotonic_ms() - lmdb->dead_since_ms < LMDB_DELETES_MS)) {
        return false;
    }
    struct lmdb_deletions empty = lmdb->round;
    lmdb->round = lmdb->dead;
    lmdb->dead = empty;
    lmdb->round_at = 0;
    qsort(lmdb->round.items, lmdb->round.count, sizeof(*lmdb->round.items), compare);
    return true;
}

int lmdb_deletes_due_ms(const struct lmdb_store *lmdb)
{
    uint64_t now = lmdb->monotonic_ms();
    uint64_t due = UINT64_MAX;
    if (lmdb->round.count > 0 || lmdb->ending != NULL) {
        return 0;
    }
    if (lmdb->dead.count > 0) {
        due = lmdb->dead_since_ms + LMDB_DELETES_MS;
    }
    if (lmdb->graves_stamped < lmdb->graves_count && lmdb->graves[lmdb->graves_stamped].when < due) {
        due = lmdb->graves[lmdb->graves_stamped].when;
    }
    if (due == UINT64_MAX) {
        return -1;
    }
    return due > now ? (int)(due - now) : 0;
}

size_t lmdb_deletes_slice_size(const struct lmdb_store *lmdb)
{
    /* So that they keep up with what is put, and no commit does all of it. */
    size_t share = (lmdb->dead.count + lmdb->round.count - lmdb->round_at) / 4;
    return share < LMDB_DELETES_SLICE ? LMDB_DELETES_SLICE : share > 20000 ? 20000 : share;
}

int lmdb_delete_prefix(MDB_txn *txn, MDB_dbi dbi, uint64_t prefix, size_t *left)
{
    uint8_t begin[8];
    tg_put_be(begin, prefix, 8);
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return rc;
    }
    MDB_val key = {8, begin};
    MDB_val value;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && *left > 0 && key.mv_size >= 8 && memcmp(key.mv_data, begin, 8) == 0) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0) {
            --*left;
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int lmdb_delete_message(const struct lmdb_files *files, MDB_txn *txn, uint64_t mid)
{
    uint8_t buf[8];
    tg_put_be(buf, mid, 8);
    MDB_val key = {8, buf};
    MDB_val value;
    size_t no_limit = SIZE_MAX;
    int rc = mdb_get(txn, files->tables[LMDB_MESSAGES], &key, &value);
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    uint8_t flags = lmdb_message_flags(&value);
    rc = mdb_del(txn, files->tables[LMDB_MESSAGES], &key, NULL);
    if (rc == 0 && (flags & LMDB_FLAG_MORE) != 0) {
        rc = lmdb_delete_prefix(txn, files->tables[LMDB_RECIPIENTS], mid, &no_limit);
    }
    if (rc == 0 && (flags & LMDB_FLAG_PARTS) != 0) {
        rc = lmdb_delete_prefix(txn, files->tables[LMDB_PARTS], mid, &no_limit);
    }
    return rc;
}

/* Message MID is not the retained value of its topic any more, but still has recipients. */
static int delete_retained(const struct lmdb_files *files, MDB_txn *txn, uint64_t mid)
{
    uint8_t buf[8];
    tg_put_be(buf, mid, 8);
    MDB_val key = {8, buf};
    MDB_val value;
    int rc = mdb_get(txn, files->tables[LMDB_MESSAGES], &key, &value);
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    if (lmdb_unseal(LMDB_MESSAGES, &key, &value).data == NULL) {
        return 0; /* damaged meanwhile: not to be sealed anew */
    }
    size_t len = value.mv_size;
    uint8_t *copy = malloc(len); /* the page may move when it is written to */
    if (copy == NULL) {
        return 0; /* it is one of several retained values at the next start, and not the newest */
    }
    memcpy(copy, value.mv_data, len);
    lmdb_message_set_flags(copy, (uint8_t)(lmdb_message_flags(&value) & ~LMDB_FLAG_RETAINED));
    lmdb_seal(LMDB_MESSAGES, &key, copy, len);
    rc = mdb_put(txn, files->tables[LMDB_MESSAGES], &key, &(MDB_val){len, copy}, 0);
    free(copy);
    return rc;
}

int lmdb_delete_session(const struct lmdb_files *files, MDB_txn *txn, uint64_t session, size_t *left)
{
    static const enum store_table tables[] = {STORE_SESSIONS, STORE_SUBSCRIPTIONS, STORE_POSITIONS, STORE_RECEIVED,
                                              STORE_SENT};
    int rc = 0;
    for (size_t i = 0; rc == 0 && *left > 0 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        rc = lmdb_delete_prefix(txn, files->tables[LMDB_ENTRIES + tables[i]], session, left);
    }
    return rc;
}

int lmdb_deletes_slice(struct lmdb_store *lmdb, MDB_txn *txn, size_t count, size_t *out)
{
    size_t end = lmdb->round.count - lmdb->round_at < count ? lmdb->round.count : lmdb->round_at + count;
    for (size_t i = lmdb->round_at; i < end; i++) {
        const struct lmdb_deletion *one = &lmdb->round.items[i];
        int rc = one->only_retained ? delete_retained(&lmdb->files, txn, one->mid)
                                    : lmdb_delete_message(&lmdb->files, txn, one->mid);
        if (rc != 0) {
            return rc;
        }
    }
    *out = end - lmdb->round_at;
    return 0;
}

void lmdb_deletes_advance(struct lmdb_store *lmdb, size_t count)
{
    lmdb->round_at += count;
    if (lmdb->round.count > 0 && lmdb->round_at == lmdb->round.count) {
        lmdb->deaths_done += lmdb->round.count;
        lmdb->round.count = 0;
        lmdb->round_at = 0;
    }
}

/* A session has ended in an earlier transaction, which has left this much. */
static int delete_session_rest(struct lmdb_store *lmdb, MDB_txn *txn, size_t count, bool *is_done)
{
    size_t left = count;
    int rc = lmdb->ending != NULL ? lmdb_delete_session(&lmdb->files, txn, lmdb->ending->session, &left) : 0;
    *is_done = rc == 0 && lmdb->ending != NULL && left > 0;
    return rc;
}

int lmdb_deletes_commit(struct lmdb_store *lmdb, size_t count)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(lmdb->files.env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    size_t done = 0;
    bool is_session_done = false;
    rc = lmdb_deletes_slice(lmdb, txn, count, &done);
    if (rc == 0) {
        rc = delete_session_rest(lmdb, txn, count, &is_session_done);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc != 0) {
        return rc;
    }
    lmdb_deletes_advance(lmdb, done);
    if (is_session_done) {
        struct lmdb_session_end *end = lmdb->ending;
        lmdb->ending = end->next;
        free(end);
    }
    return 0;
}

void lmdb_deletes_free(struct lmdb_store *lmdb)
{
    free(lmdb->dead.items);
    free(lmdb->after.items);
    free(lmdb->round.items);
    free(lmdb->graves);
    while (lmdb->ending != NULL) {
        struct lmdb_session_end *end = lmdb->ending;
        lmdb->ending = end->next;
        free(end);
    }
}
