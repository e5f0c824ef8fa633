/* The reader thread: brings back messages that are on disk only. A look into the map may wait for the disk, so nobody else does it. Its transactions
 * are short, for pages that one of them sees cannot be used again; within one, messages are read in the order in which they lie. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
#include "gateway/store/message.h"

#define ITEMS_AT_ONCE 64u
#define BYTES_AT_ONCE (1u << 20)

/* Read the body of message MID, whose head MESSAGE is, to BUF (lmdb_body_len() bytes). @return an error of LMDB; MDB_NOTFOUND, too, if a part is damaged */
static int read_body(const struct lmdb_files *files, MDB_txn *txn, uint64_t mid, const struct lmdb_message *message,
                     uint8_t *buf)
{
    if ((message->flags & LMDB_FLAG_PARTS) == 0) {
        if (message->body.len > 0) {
            memcpy(buf, message->body.data, message->body.len);
        }
        return 0;
    }
    size_t len = lmdb_body_len(message);
    size_t at = 0;
    for (uint32_t number = 0; at < len; number++) {
        uint8_t key_bytes[12];
        tg_put_be(tg_put_be(key_bytes, mid, 8), number, 4);
        MDB_val key = {sizeof(key_bytes), key_bytes};
        MDB_val value;
        int rc = mdb_get(txn, files->tables[LMDB_PARTS], &key, &value);
        if (rc != 0) {
            return rc;
        }
        struct bytes part = lmdb_unseal(LMDB_PARTS, &key, &value);
        if (part.len == 0 || part.len > len - at) {
            return MDB_NOTFOUND;
        }
        memcpy(buf + at, part.data, part.len);
        at += part.len;
    }
    return 0;
}

/* When FOUND expires: wall clock of the disk to the clock of this boot; not later than it was when it was published, if the wall clock was
 * set back since. */
static uint64_t expiry_of(const struct lmdb_store *lmdb, const struct lmdb_message *found)
{
    if (found->expires_ms == STORE_NEVER_EXPIRES) {
        return MESSAGE_NEVER_EXPIRES;
    }
    uint64_t wall_now = lmdb->wall_ms();
    uint64_t now = lmdb->monotonic_ms();
    uint64_t since = found->stored_ms > wall_now ? found->stored_ms : wall_now;
    return found->expires_ms > since ? now + (found->expires_ms - since) : now;
}

/* Read message MID to ITEM. @return 0, also if it is damaged or not there; an error of LMDB that says nothing about it, or ENOMEM: ITEM is as it was */
static int read_message(struct lmdb_store *lmdb, MDB_txn *txn, uint64_t mid, struct store_fetched *item)
{
    uint8_t buf[8];
    tg_put_be(buf, mid, 8);
    MDB_val key = {8, buf};
    MDB_val value;
    struct lmdb_message found;
    int rc = mdb_get(txn, lmdb->files.tables[LMDB_MESSAGES], &key, &value);
    if (rc == MDB_NOTFOUND) { /* deleted meanwhile */
        item->status = STORE_FETCH_GONE;
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    struct bytes plain = lmdb_unseal(LMDB_MESSAGES, &key, &value);
    if (plain.data == NULL || !lmdb_message_decode(plain, &found)) {
        lmdb_quarantine(lmdb, LMDB_MESSAGES, &key, &value, "read back");
        item->status = STORE_FETCH_GONE;
        return 0;
    }
    struct message *message = message_new(found.topic_len, found.properties_len, found.payload_len);
    if (message == NULL) {
        return ENOMEM;
    }
    rc = read_body(&lmdb->files, txn, mid, &found, message->bytes);
    if (rc != 0) {
        message_unref(message);
        if (rc != MDB_NOTFOUND) {
            return rc;
        }
        lmdb_quarantine(lmdb, LMDB_MESSAGES, &key, &value, "a part of it is missing or damaged");
        item->status = STORE_FETCH_GONE;
        return 0;
    }
    message->qos = found.qos;
    message->retain = (found.flags & LMDB_FLAG_RETAIN) != 0;
    message->expires_ms = expiry_of(lmdb, &found);
    message->publisher = found.publisher;
    message->version = found.version;
    message->stored_ms = found.stored_ms;
    item->message = message;
    item->status = STORE_FETCH_FOUND;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct store_fetched *x = a;
    const struct store_fetched *y = b;
    return x->record->id < y->record->id ? -1 : x->record->id > y->record->id;
}

/* Read some of ITEMS, LEFT of them, in one transaction. @return how many; 0: nothing can be read now */
static uint32_t read_some(struct lmdb_store *lmdb, struct store_fetched *items, uint32_t left)
{
    MDB_txn *txn;
    uint32_t n = 0;
    uint64_t found = 0;
    size_t bytes = 0;
    int rc = mdb_txn_begin(lmdb->files.env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        while (n < left && n < ITEMS_AT_ONCE && bytes < BYTES_AT_ONCE &&
               (rc = read_message(lmdb, txn, items[n].record->id, &items[n])) == 0) {
            if (items[n].message != NULL) {
                bytes += message_size(items[n].message);
                found++;
            }
            n++;
        }
        mdb_txn_abort(txn);
    }
    if (rc != 0) {
        log_error("messages cannot be read back now", LOG_STR("reason", mdb_strerror(rc)));
    }
    atomic_fetch_add_explicit(&lmdb->fetched, found, memory_order_relaxed);
    return n;
}

static void read_items(struct lmdb_store *lmdb, struct store_fetch *fetch)
{
    /* What is still in memory needs no reading, and its place on disk may not be known yet. */
    uint32_t missing = 0;
    for (uint32_t i = 0; i < fetch->count; i++) {
        struct store_fetched *item = &fetch->items[i];
        item->message = store_record_message(item->record);
        item->status = item->message != NULL ? STORE_FETCH_FOUND : STORE_FETCH_AGAIN;
        if (item->message == NULL) {
            struct store_fetched swap = fetch->items[missing];
            fetch->items[missing++] = *item;
            *item = swap;
        }
    }
    if (missing > 0) {
        qsort(fetch->items, missing, sizeof(*fetch->items), compare);
    }
    uint32_t at = 0;
    uint32_t n = 1;
    while (at < missing && n > 0) {
        n = read_some(lmdb, fetch->items + at, missing - at);
        at += n;
    }
}

void lmdb_fetch(struct store *store, struct store_fetch *fetch)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    atomic_fetch_add(&lmdb->fetches_asked, 1);
    fetch->next = atomic_load_explicit(&lmdb->fetches, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&lmdb->fetches, &fetch->next, fetch)) {
    }
    lmdb_bell_ring(&lmdb->reader_bell);
}

static struct store_fetch *take_fetches(struct lmdb_store *lmdb)
{
    struct store_fetch *top = atomic_exchange(&lmdb->fetches, NULL);
    struct store_fetch *list = NULL;
    while (top != NULL) {
        struct store_fetch *next = top->next;
        top->next = list;
        list = top;
        top = next;
    }
    return list;
}

void *lmdb_reader_main(void *arg)
{
    struct lmdb_store *lmdb = arg;
    for (;;) {
        bool is_stopping = atomic_load(&lmdb->is_stopping); /* before taking: nothing comes after it */
        struct store_fetch *list = take_fetches(lmdb);
        while (list != NULL) {
            struct store_fetch *fetch = list;
            list = fetch->next;
            read_items(lmdb, fetch);
            fetch->done(fetch); /* not ours any more */
            atomic_fetch_add(&lmdb->fetches_done, 1);
            lmdb_tell_settled(lmdb);
        }
        if (is_stopping) {
            return NULL;
        }
        lmdb_bell_arm(&lmdb->reader_bell);
        bool is_idle = atomic_load(&lmdb->fetches) == NULL && !atomic_load(&lmdb->is_stopping);
        lmdb_bell_wait(&lmdb->reader_bell, is_idle ? -1 : 0);
    }
}
