/* Entries are in a hash table by key and in a list by age. All of it is under one mutex, held for a look-up. Who waits is told by mail to the
 * worker it waits on, with a copy of the answer, so no request is ever touched by another thread.
 *
 * In a durable store an answer is an entry of STORE_IDEMPOTENCY, put with the message that it is about. Its key is a hash, for keys there are
 * short; whose it is stands in the value, big-endian:
 *
 *      version 1 | expires 8 (wall clock, ms) | fingerprint 8 | status 2 | type 1 | length of the key 2 | key | body
 *
 * It is deleted when it is forgotten. Between two workers the order of the two is not certain: a key that is used again in the very moment in which
 * another worker forgets it, an hour later, may be forgotten by the store, too. */
#include "web/idempotency.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sys/queue.h>

#include "gateway/access/access.h"
#include "gateway/base/assert.h"
#include "gateway/base/be.h"
#include "gateway/base/hash.h"
#include "gateway/broker/mail.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/place_store.h"
#include "web/http.h"

#define BUCKETS      4096u
#define VERSION      1u
#define HEAD_BYTES   22u
#define TYPE_JSON    "application/json"
#define FULL_KEY_MAX 65535u
#define SEED_ON_DISK 0x7469646567617465u /* what is on disk is compared with what another process makes of a request */

_Static_assert(sizeof(XXH128_canonical_t) == STORE_KEY_BYTES, "it is the key in the store");

/* One who waits for the answer of a first request. owner: the thread of its place; in the entry's list: the mutex */
struct waiter {
    struct mail mail;
    struct waiter *next;
    struct http_request *request; /* NULL once it is gone */
    struct place *place;
    unsigned status;
    const char *type;
    void *body; /* owned */
    size_t len;
};

struct idempotency {          /* lock: mutex */
    struct idempotency *next; /* in its bucket */
    TAILQ_ENTRY(idempotency) link;
    uint64_t hash;
    uint64_t fingerprint; /* of the request's content */
    uint64_t expires_ms;  /* monotonic */
    bool is_done;
    bool is_stored; /* the store has the answer, or will have */
    struct waiter *waiters;
    unsigned status;
    const char *type;
    void *body; /* owned */
    size_t len;
    size_t key_len;
    uint8_t key[];
};

TAILQ_HEAD(idempotency_list, idempotency);

static struct { /* lock: mutex */
    pthread_mutex_t mutex;
    struct idempotency *buckets[BUCKETS];
    struct idempotency_list by_age; /* oldest first */
    size_t count;
    size_t bytes; /* of bodies */
    uint64_t seed;
    bool is_ready;
    bool is_unsorted; /* some came from the store, in no order */
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void make_ready(void)
{
    if (!table.is_ready) {
        table.seed = tg_hash_seed_new();
        TAILQ_INIT(&table.by_age);
        table.is_ready = true;
    }
}

static struct idempotency **find(const uint8_t *key, size_t len, uint64_t hash)
{
    struct idempotency **at = &table.buckets[hash % BUCKETS];
    while (*at != NULL && ((*at)->hash != hash || (*at)->key_len != len || memcmp((*at)->key, key, len) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static XXH128_canonical_t key_on_disk(const struct idempotency *entry)
{
    XXH128_canonical_t key;
    XXH128_canonicalFromHash(&key, XXH3_128bits_withSeed(entry->key, entry->key_len, SEED_ON_DISK));
    return key;
}

/* Add to DELETES what takes ENTRY out of the store. Without memory it stays there until a restart finds that it is too old. */
static void add_delete(const struct idempotency *entry, struct store_write **deletes)
{
    XXH128_canonical_t key = key_on_disk(entry);
    struct store_write *write = store_write_new(STORE_IDEMPOTENCY, key.digest, sizeof(key.digest), 0);
    if (write != NULL) {
        write->is_delete = true;
        write->next = *deletes;
        *deletes = write;
    }
}

/* Forget ENTRY, which is in the table and has nobody waiting; what must be done in the store is added to DELETES. */
static void forget(struct idempotency *entry, struct store_write **deletes)
{
    struct idempotency **at = find(entry->key, entry->key_len, entry->hash);
    if (entry->is_stored) {
        add_delete(entry, deletes);
    }
    *at = entry->next;
    TAILQ_REMOVE(&table.by_age, entry, link);
    table.count--;
    table.bytes -= entry->body != NULL ? entry->len : 0;
    free(entry->body);
    free(entry);
}

/* Make room for one more entry and LEN bytes. Entries that are being worked on stay. */
static void forget_old(uint64_t now_ms, size_t len, struct store_write **deletes)
{
    struct idempotency *entry = TAILQ_FIRST(&table.by_age);
    while (entry != NULL) {
        struct idempotency *next = TAILQ_NEXT(entry, link);
        if (now_ms < entry->expires_ms && table.count < IDEMPOTENCY_KEYS_MAX &&
            table.bytes + len <= IDEMPOTENCY_BYTES_MAX) {
            return;
        }
        if (entry->is_done) {
            forget(entry, deletes);
        }
        entry = next;
    }
}

static int by_expiry(const void *a, const void *b)
{
    uint64_t left = (*(struct idempotency *const *)a)->expires_ms;
    uint64_t right = (*(struct idempotency *const *)b)->expires_ms;
    return left < right ? -1 : left > right;
}

/* Put the list in order that was filled from the store. Without memory the next one tries again. */
static void sort_list(void)
{
    struct idempotency **all = table.is_unsorted ? malloc(table.count * sizeof(struct idempotency *)) : NULL;
    struct idempotency *entry;
    size_t count = 0;
    if (all == NULL) {
        return;
    }
    TAILQ_FOREACH(entry, &table.by_age, link)
    {
        all[count++] = entry;
    }
    qsort(all, count, sizeof(struct idempotency *), by_expiry);
    TAILQ_INIT(&table.by_age);
    for (size_t at = 0; at < count; at++) {
        TAILQ_INSERT_TAIL(&table.by_age, all[at], link);
    }
    free(all);
    table.is_unsorted = false;
}

/* DELETES: taken. Not under the mutex. */
static void submit(struct place *place, struct store_write *deletes)
{
    (void)place_write(place, deletes, NULL); /* if not: see add_delete() */
}

/* The key as it is kept: method, path, the user's name if there is one, the header's value; between them NUL, which none of them has. @return its length, 0 without memory */
static size_t full_key(struct http_request *request, struct bytes header, uint8_t **out)
{
    struct bytes path = http_path(request);
    const struct access_identity *identity = http_identity(request);
    struct bytes user = identity != NULL ? identity->user_name : (struct bytes){NULL, 0};
    size_t user_len = user.len > 0 ? user.len + 1 : 0;
    size_t len = 1 + path.len + 1 + user_len + header.len;
    uint8_t *key = http_alloc(request, len);
    if (key == NULL) {
        return 0;
    }
    key[0] = (uint8_t)http_route(request)->method;
    memcpy(key + 1, path.data, path.len);
    key[1 + path.len] = '\0';
    if (user_len > 0) {
        memcpy(key + 2 + path.len, user.data, user.len);
        key[2 + path.len + user.len] = '\0';
    }
    memcpy(key + 2 + path.len + user_len, header.data, header.len);
    *out = key;
    return len;
}

static uint64_t fingerprint_of(const struct http_request *request)
{
    struct bytes body = http_body(request);
    uint64_t hash = tg_hash(body.data, body.len, SEED_ON_DISK);
    struct bytes name;
    struct bytes value;
    for (size_t i = 0; http_query_at(request, i, &name, &value); i++) {
        hash = tg_hash(name.data, name.len, hash);
        hash = tg_hash(value.data, value.len, hash);
    }
    return hash;
}

/* --- waiting ---------------------------------------------------------------------------------------------------------------- */

static void on_waiter_gone(void *arg)
{
    struct waiter *waiter = arg;
    waiter->request = NULL;
}

static void on_answer(struct place *place, struct mail *mail)
{
    struct waiter *waiter = (struct waiter *)mail;
    (void)place;
    if (waiter->request != NULL) {
        if (waiter->status == 0) {
            http_problem(waiter->request, 409, "the first request with this key ended without an answer");
        } else {
            http_add_header(waiter->request, "Idempotency-Replayed", "true");
            http_reply(waiter->request, waiter->status, waiter->type, waiter->body, waiter->len);
        }
    }
    free(waiter->body);
    free(waiter);
}

/* Tell WAITERS, a list that is nobody's any more. */
static void tell(struct place *from, struct waiter *waiters, unsigned status, const char *type, const void *body,
                 size_t len)
{
    while (waiters != NULL) {
        struct waiter *waiter = waiters;
        waiters = waiter->next;
        waiter->body = malloc(len > 0 ? len : 1);
        waiter->status = waiter->body != NULL ? status : 0;
        if (waiter->body != NULL && len > 0) {
            memcpy(waiter->body, body, len);
        }
        waiter->type = type;
        waiter->len = len;
        waiter->mail = (struct mail){.receive = on_answer};
        mail_post(from, place_index(waiter->place), &waiter->mail);
    }
}

/* --- the interface ---------------------------------------------------------------------------------------------------------- */

static void wait_for(struct http_request *request, struct waiter *waiter)
{
    waiter->request = request;
    waiter->place = http_place(request);
    http_hold(request, on_waiter_gone, waiter);
}

/* What begin() found. */
enum found {
    FOUND_FIRST,
    FOUND_DONE,
    FOUND_IN_WORK,
    FOUND_OTHER,
    FOUND_NO_MEMORY,
};

/* Under the mutex. FOUND_DONE: *BODY is a copy to be freed. FOUND_IN_WORK: WAITER is in the list. What has become too old is added to DELETES. */
static enum found look_up(struct http_request *request, const uint8_t *key, size_t key_len, struct waiter *waiter,
                          struct idempotency **entry, void **body, struct store_write **deletes)
{
    make_ready();
    sort_list();
    forget_old(http_now_ms(request), 0, deletes);
    uint64_t hash = tg_hash(key, key_len, table.seed);
    uint64_t fingerprint = fingerprint_of(request);
    struct idempotency **at = find(key, key_len, hash);
    if (*at == NULL) {
        struct idempotency *fresh = calloc(1, sizeof(*fresh) + key_len);
        if (fresh == NULL) {
            return FOUND_NO_MEMORY;
        }
        fresh->hash = hash;
        fresh->fingerprint = fingerprint;
        fresh->expires_ms = http_now_ms(request) + IDEMPOTENCY_AGE_MS;
        fresh->key_len = key_len;
        memcpy(fresh->key, key, key_len);
        *at = fresh;
        TAILQ_INSERT_TAIL(&table.by_age, fresh, link);
        table.count++;
        *entry = fresh;
        return FOUND_FIRST;
    }
    *entry = *at;
    if ((*at)->fingerprint != fingerprint) {
        return FOUND_OTHER;
    }
    if (!(*at)->is_done) {
        waiter->next = (*at)->waiters;
        (*at)->waiters = waiter;
        return FOUND_IN_WORK;
    }
    *body = malloc((*at)->len > 0 ? (*at)->len : 1);
    if (*body == NULL) {
        return FOUND_NO_MEMORY;
    }
    if ((*at)->len > 0) {
        memcpy(*body, (*at)->body, (*at)->len);
    }
    waiter->status = (*at)->status;
    waiter->type = (*at)->type;
    waiter->len = (*at)->len;
    return FOUND_DONE;
}

bool idempotency_begin(struct http_request *request, struct idempotency **out)
{
    struct bytes header = http_header(request, "idempotency-key");
    *out = NULL;
    if (header.data == NULL) {
        return true;
    }
    if (header.len == 0 || header.len > IDEMPOTENCY_KEY_BYTES) {
        http_problem(request, 400, "Idempotency-Key must have 1 to %u bytes", IDEMPOTENCY_KEY_BYTES);
        return false;
    }
    uint8_t *key = NULL;
    size_t key_len = full_key(request, header, &key);
    struct waiter *waiter = key_len > 0 ? calloc(1, sizeof(*waiter)) : NULL;
    if (waiter == NULL) {
        http_problem(request, 503, "out of memory");
        return false;
    }
    wait_for(request, waiter);
    struct idempotency *entry = NULL;
    void *body = NULL;
    struct store_write *deletes = NULL;
    pthread_mutex_lock(&table.mutex);
    enum found found = look_up(request, key, key_len, waiter, &entry, &body, &deletes);
    pthread_mutex_unlock(&table.mutex);
    submit(http_place(request), deletes);
    if (found == FOUND_IN_WORK) {
        return false;
    }
    unsigned status = waiter->status;
    const char *type = waiter->type;
    size_t len = waiter->len;
    free(waiter); /* REQUEST is answered, or held anew, before anything else can happen to it */
    switch (found) {
    case FOUND_FIRST:
        *out = entry;
        return true;
    case FOUND_DONE:
        http_add_header(request, "Idempotency-Replayed", "true");
        http_reply(request, status, type, body, len);
        free(body);
        return false;
    case FOUND_OTHER:
        http_problem(request, 422, "this Idempotency-Key was used for another request");
        return false;
    default:
        http_problem(request, 503, "out of memory");
        return false;
    }
}

void idempotency_finish(struct place *place, struct idempotency *entry, unsigned status, const char *type,
                        const void *body, size_t len)
{
    if (entry == NULL) {
        return;
    }
    void *copy = status < 500 && len <= IDEMPOTENCY_BYTES_MAX ? malloc(len > 0 ? len : 1) : NULL;
    if (copy != NULL && len > 0) {
        memcpy(copy, body, len);
    }
    struct store_write *deletes = NULL;
    pthread_mutex_lock(&table.mutex);
    struct waiter *waiters = entry->waiters;
    entry->waiters = NULL;
    if (copy != NULL) {
        forget_old(place_now_ms(place), len, &deletes); /* not this one, which is not done yet */
        entry->is_done = true;
        entry->status = status;
        entry->type = type;
        entry->body = copy;
        entry->len = len;
        table.bytes += len;
    } else {
        forget(entry, &deletes);
    }
    pthread_mutex_unlock(&table.mutex);
    submit(place, deletes);
    tell(place, waiters, status, type, body, len);
}

void idempotency_reply(struct http_request *request, struct idempotency *entry, unsigned status, const char *type,
                       const void *body, size_t len)
{
    idempotency_finish(http_place(request), entry, status, type, body, len);
    http_reply(request, status, type, body, len);
}

void idempotency_drop(struct place *place, struct idempotency *entry)
{
    if (entry == NULL) {
        return;
    }
    struct store_write *deletes = NULL;
    pthread_mutex_lock(&table.mutex);
    struct waiter *waiters = entry->waiters;
    forget(entry, &deletes);
    pthread_mutex_unlock(&table.mutex);
    submit(place, deletes);
    tell(place, waiters, 0, NULL, NULL, 0);
}

/* --- in the store ----------------------------------------------------------------------------------------------------------- */

bool idempotency_store(struct place *place, struct idempotency *entry, unsigned status, const char *type,
                       const void *body, size_t len, struct store_write **out)
{
    *out = NULL;
    if (entry == NULL || !place_is_durable(place) || len > IDEMPOTENCY_BYTES_MAX || entry->key_len > FULL_KEY_MAX) {
        return true;
    }
    TG_ASSERT(type == NULL || strcmp(type, TYPE_JSON) == 0);
    XXH128_canonical_t key = key_on_disk(entry);
    struct store_write *write =
        store_write_new(STORE_IDEMPOTENCY, key.digest, sizeof(key.digest), HEAD_BYTES + entry->key_len + len);
    if (write == NULL) {
        return false;
    }
    uint8_t *at = write->value;
    *at++ = VERSION;
    at = tg_put_be(at, place_wall_ms(place) + IDEMPOTENCY_AGE_MS, 8);
    at = tg_put_be(at, entry->fingerprint, 8);
    at = tg_put_be(at, status, 2);
    *at++ = type != NULL;
    at = tg_put_be(at, entry->key_len, 2);
    memcpy(at, entry->key, entry->key_len);
    if (len > 0) {
        memcpy(at + entry->key_len, body, len);
    }
    pthread_mutex_lock(&table.mutex);
    entry->is_stored = true;
    pthread_mutex_unlock(&table.mutex);
    *out = write;
    return true;
}

/* What VALUE says, as an entry that is done. @return false: it is damaged; *OUT is NULL without memory */
static bool decode(struct bytes value, struct idempotency **out)
{
    *out = NULL;
    if (value.len < HEAD_BYTES || value.data[0] != VERSION || value.data[19] > 1) {
        return false;
    }
    size_t key_len = tg_get_be(value.data + 20, 2);
    if (key_len > value.len - HEAD_BYTES) {
        return false;
    }
    size_t len = value.len - HEAD_BYTES - key_len;
    struct idempotency *entry = calloc(1, sizeof(*entry) + key_len);
    void *body = malloc(len > 0 ? len : 1);
    if (entry == NULL || body == NULL) {
        free(entry);
        free(body);
        return true;
    }
    entry->fingerprint = tg_get_be(value.data + 9, 8);
    entry->status = (unsigned)tg_get_be(value.data + 17, 2);
    entry->type = value.data[19] != 0 ? TYPE_JSON : NULL;
    entry->is_done = true;
    entry->is_stored = true;
    entry->key_len = key_len;
    memcpy(entry->key, value.data + HEAD_BYTES, key_len);
    entry->body = body;
    entry->len = len;
    memcpy(body, value.data + HEAD_BYTES + key_len, len);
    *out = entry;
    return true;
}

/* Put ENTRY into the table. @return false if there is no room, or one like it */
static bool restore(struct idempotency *entry)
{
    make_ready();
    entry->hash = tg_hash(entry->key, entry->key_len, table.seed);
    struct idempotency **at = find(entry->key, entry->key_len, entry->hash);
    if (*at != NULL || table.count >= IDEMPOTENCY_KEYS_MAX || table.bytes + entry->len > IDEMPOTENCY_BYTES_MAX) {
        return false;
    }
    *at = entry;
    TAILQ_INSERT_TAIL(&table.by_age, entry, link);
    table.count++;
    table.bytes += entry->len;
    table.is_unsorted = true;
    return true;
}

enum broker_answer idempotency_restore(struct bytes key, struct bytes value, uint64_t now_ms, uint64_t wall_ms)
{
    struct idempotency *entry;
    if (!decode(value, &entry)) {
        return BROKER_ANSWER_DAMAGED;
    }
    if (entry == NULL) {
        return BROKER_ANSWER_EXPIRED;
    }
    XXH128_canonical_t expected = key_on_disk(entry);
    bool is_whole = key.len == sizeof(expected.digest) && memcmp(key.data, expected.digest, key.len) == 0;
    uint64_t expires_ms = tg_get_be(value.data + 1, 8);
    bool is_kept = is_whole && expires_ms > wall_ms;
    if (is_kept) {
        uint64_t left_ms = expires_ms - wall_ms;
        entry->expires_ms = now_ms + (left_ms < IDEMPOTENCY_AGE_MS ? left_ms : IDEMPOTENCY_AGE_MS);
        pthread_mutex_lock(&table.mutex);
        is_kept = restore(entry);
        pthread_mutex_unlock(&table.mutex);
    }
    if (!is_kept) {
        free(entry->body);
        free(entry);
    }
    return is_kept ? BROKER_ANSWER_KEPT : is_whole ? BROKER_ANSWER_EXPIRED : BROKER_ANSWER_DAMAGED;
}
