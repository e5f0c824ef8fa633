/* The reader thread: brings back messages that are on disk only. A look into the map may wait for the disk, so nobody else does it. Its transactions
 * are short, for pages that one of them sees cannot be used again; within one, messages are read in the order in which they lie. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
#include "gateway/store/message.h"

#define ITEMS_AT_ONCE 64u
#define BYTES_AT_ONCE (1u << 20)

bool lmdb_read_body(const struct lmdb_files *files, MDB_txn *txn, uint64_t mid, const struct lmdb_message *message,
                    uint8_t *buf)
{
    if ((message->flags & LMDB_FLAG_PARTS) == 0) {
        if (message->body.len > 0) {
            memcpy(buf, message->body.data, message->body.len);
        }
        return true;
    }
    size_t len = lmdb_body_len(message);
    size_t at = 0;
    for (uint32_t number = 0; at < len; number++) {
        uint8_t key_bytes[12];
        tg_put_be(tg_put_be(key_bytes, mid, 8), number, 4);
        MDB_val key = {sizeof(key_bytes), key_bytes};
        MDB_val value;
        if (mdb_get(txn, files->tables[LMDB_PARTS], &key, &value) != 0) {
            return false;
        }
        struct bytes part = lmdb_unseal(LMDB_PARTS, &key, &value);
        if (part.len == 0 || part.len > len - at) {
            return false;
        }
        memcpy(buf + at, part.data, part.len);
        at += part.len;
    }
    return true;
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

/* @return NULL if it is not there, damaged, or there is no memory */
static struct message *read_message(struct lmdb_store *lmdb, MDB_txn *txn, uint64_t mid)
{
    uint8_t buf[8];
    tg_put_be(buf, mid, 8);
    MDB_val key = {8, buf};
    MDB_val value;
    struct lmdb_message found;
    int rc = mdb_get(txn, lmdb->files.tables[LMDB_MESSAGES], &key, &value);
    if (rc != 0) {
        return NULL; /* deleted meanwhile */
    }
    struct bytes plain = lmdb_unseal(LMDB_MESSAGES, &key, &value);
    if (plain.data == NULL || !lmdb_message_decode(plain, &found)) {
        lmdb_quarantine(lmdb, LMDB_MESSAGES, &key, &value, "read back");
        return NULL;
    }
    struct message *message = message_new(found.topic_len, found.properties_len, found.payload_len);
    if (message == NULL) {
        return NULL;
    }
    if (!lmdb_read_body(&lmdb->files, txn, mid, &found, message->bytes)) {
        lmdb_quarantine(lmdb, LMDB_MESSAGES, &key, &value, "a part of it is missing or damaged");
        message_unref(message);
        return NULL;
    }
    message->qos = found.qos;
    message->retain = (found.flags & LMDB_FLAG_RETAIN) != 0;
    message->expires_ms = expiry_of(lmdb, &found);
    message->publisher = found.publisher;
    message->version = found.version;
    message->stored_ms = found.stored_ms;
    return message;
}

static int compare(const void *a, const void *b)
{
    const struct store_fetched *x = a;
    const struct store_fetched *y = b;
    return x->record->id < y->record->id ? -1 : x->record->id > y->record->id;
}

static void read_items(struct lmdb_store *lmdb, struct store_fetch *fetch)
{
    uint64_t count = 0;
    /* What is still in memory needs no reading, and its place on disk may not be known yet. */
    uint32_t missing = 0;
    for (uint32_t i = 0; i < fetch->count; i++) {
        struct store_fetched *item = &fetch->items[i];
        item->message = store_record_message(item->record);
        if (item->message == NULL) {
            struct store_fetched swap = fetch->items[missing];
            fetch->items[missing++] = *item;
            *item = swap;
        }
    }
    if (missing > 0) {
        qsort(fetch->items, missing, sizeof(*fetch->items), compare);
    }
    for (uint32_t i = 0; i < missing;) {
        MDB_txn *txn;
        size_t bytes = 0;
        int rc = mdb_txn_begin(lmdb->files.env, NULL, MDB_RDONLY, &txn);
        if (rc != 0) {
            log_error("messages cannot be read back", LOG_STR("reason", mdb_strerror(rc)));
            break;
        }
        for (uint32_t n = 0; i < missing && n < ITEMS_AT_ONCE && bytes < BYTES_AT_ONCE; n++, i++) {
            struct store_fetched *item = &fetch->items[i];
            item->message = read_message(lmdb, txn, item->record->id);
            if (item->message != NULL) {
                bytes += message_size(item->message);
                count++;
            }
        }
        mdb_txn_abort(txn);
    }
    atomic_fetch_add_explicit(&lmdb->fetched, count, memory_order_relaxed);
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
