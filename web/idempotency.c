/* Entries are in a hash table by key and in a list by age. All of it is under one mutex, held for a look-up. Who waits is told by mail to the
 * worker it waits on, with a copy of the answer, so no request is ever touched by another thread. */
#include "web/idempotency.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sys/queue.h>

#include "gateway/base/hash.h"
#include "gateway/broker/mail.h"
#include "gateway/broker/place_publish.h"
#include "web/http.h"

#define BUCKETS 4096u

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
    uint64_t created_ms;
    bool is_done;
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

/* Forget ENTRY, which is in the table and has nobody waiting. */
static void forget(struct idempotency *entry)
{
    struct idempotency **at = find(entry->key, entry->key_len, entry->hash);
    *at = entry->next;
    TAILQ_REMOVE(&table.by_age, entry, link);
    table.count--;
    table.bytes -= entry->body != NULL ? entry->len : 0;
    free(entry->body);
    free(entry);
}

/* Make room for one more entry and LEN bytes. Entries that are being worked on stay. */
static void forget_old(uint64_t now_ms, size_t len)
{
    struct idempotency *entry = TAILQ_FIRST(&table.by_age);
    while (entry != NULL) {
        struct idempotency *next = TAILQ_NEXT(entry, link);
        bool is_old = now_ms >= entry->created_ms + IDEMPOTENCY_AGE_MS;
        if (!is_old && table.count < IDEMPOTENCY_KEYS_MAX && table.bytes + len <= IDEMPOTENCY_BYTES_MAX) {
            return;
        }
        if (entry->is_done) {
            forget(entry);
        }
        entry = next;
    }
}

/* The key as it is kept: method, path, and the header's value. @return its length, 0 without memory */
static size_t full_key(struct http_request *request, struct bytes header, uint8_t **out)
{
    struct bytes path = http_path(request);
    size_t len = 1 + path.len + 1 + header.len;
    uint8_t *key = http_alloc(request, len);
    if (key == NULL) {
        return 0;
    }
    key[0] = (uint8_t)http_route(request)->method;
    memcpy(key + 1, path.data, path.len);
    key[1 + path.len] = '\0';
    memcpy(key + 2 + path.len, header.data, header.len);
    *out = key;
    return len;
}

static uint64_t fingerprint_of(const struct http_request *request)
{
    struct bytes body = http_body(request);
    uint64_t hash = tg_hash(body.data, body.len, table.seed);
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

/* Under the mutex. FOUND_DONE: *BODY is a copy to be freed. FOUND_IN_WORK: WAITER is in the list. */
static enum found look_up(struct http_request *request, const uint8_t *key, size_t key_len, struct waiter *waiter,
                          struct idempotency **entry, void **body)
{
    make_ready();
    forget_old(http_now_ms(request), 0);
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
        fresh->created_ms = http_now_ms(request);
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
    pthread_mutex_lock(&table.mutex);
    enum found found = look_up(request, key, key_len, waiter, &entry, &body);
    pthread_mutex_unlock(&table.mutex);
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
    pthread_mutex_lock(&table.mutex);
    struct waiter *waiters = entry->waiters;
    entry->waiters = NULL;
    if (copy != NULL) {
        forget_old(place_now_ms(place), len); /* not this one, which is not done yet */
        entry->is_done = true;
        entry->status = status;
        entry->type = type;
        entry->body = copy;
        entry->len = len;
        table.bytes += len;
    } else {
        forget(entry);
    }
    pthread_mutex_unlock(&table.mutex);
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
    pthread_mutex_lock(&table.mutex);
    struct waiter *waiters = entry->waiters;
    forget(entry);
    pthread_mutex_unlock(&table.mutex);
    tell(place, waiters, 0, NULL, NULL, 0);
}
