#include "gateway/broker/directory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/hash.h"
#include "gateway/broker/connecting.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/handover.h"
#include "gateway/broker/session.h"
#include "gateway/broker/will.h"
#include "protocol/reason.h"

#define SHARDS      64u
#define BUCKETS_MIN 16u
#define SLICES      (DIRECTORY_PARTS / SHARDS) /* of a shard: by the lowest bits of a hash, which choose the bucket */

_Static_assert(SLICES == BUCKETS_MIN, "a slice is a number of whole buckets, however many there are");

struct shard { /* lock: mutex */
    pthread_mutex_t mutex;
    struct session **buckets;
    size_t bucket_count; /* power of two */
    size_t count;
} __attribute__((aligned(64)));

struct directory {
    struct shard shards[SHARDS];
};

struct directory *directory_new(void)
{
    struct directory *directory = aligned_alloc(_Alignof(struct directory), sizeof(*directory));
    if (directory == NULL) {
        return NULL;
    }
    memset(directory, 0, sizeof(*directory));
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &directory->shards[i];
        pthread_mutex_init(&shard->mutex, NULL);
        shard->buckets = calloc(BUCKETS_MIN, sizeof(struct session *));
        shard->bucket_count = BUCKETS_MIN;
        if (shard->buckets == NULL) {
            directory_free(directory);
            return NULL;
        }
    }
    return directory;
}

void directory_free(struct directory *directory)
{
    if (directory == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &directory->shards[i];
        for (size_t b = 0; shard->buckets != NULL && b < shard->bucket_count; b++) {
            while (shard->buckets[b] != NULL) {
                struct session *session = shard->buckets[b];
                shard->buckets[b] = session->directory_next;
                session_free(session->place, session);
            }
        }
        free(shard->buckets);
        pthread_mutex_destroy(&shard->mutex);
    }
    free(directory);
}

static struct shard *shard_of(struct directory *directory, uint64_t hash)
{
    return &directory->shards[hash >> 58];
}

static struct session **bucket_of(const struct shard *shard, uint64_t hash)
{
    return &shard->buckets[hash & (shard->bucket_count - 1)];
}

static struct session *find(const struct shard *shard, uint64_t hash, struct bytes client_id)
{
    struct session *session = *bucket_of(shard, hash);
    while (session != NULL && (session->hash != hash || !bytes_equal(session_client_id(session), client_id))) {
        session = session->directory_next;
    }
    return session;
}

/* One that fails leaves longer chains, no more. */
static void grow(struct shard *shard)
{
    if (shard->count <= shard->bucket_count) {
        return;
    }
    struct session **old = shard->buckets;
    size_t old_count = shard->bucket_count;
    struct session **grown = calloc(old_count * 2, sizeof(struct session *));
    if (grown == NULL) {
        return;
    }
    shard->buckets = grown;
    shard->bucket_count = old_count * 2;
    for (size_t b = 0; b < old_count; b++) {
        while (old[b] != NULL) {
            struct session *session = old[b];
            old[b] = session->directory_next;
            struct session **bucket = bucket_of(shard, session->hash);
            session->directory_next = *bucket;
            *bucket = session;
        }
    }
    free(old);
}

static void insert(struct shard *shard, struct session *session)
{
    struct session **bucket = bucket_of(shard, session->hash);
    session->directory_next = *bucket;
    *bucket = session;
    shard->count++;
    grow(shard);
}

void directory_restore(struct directory *directory, struct session *session)
{
    struct shard *shard = shard_of(directory, session->hash);
    pthread_mutex_lock(&shard->mutex);
    insert(shard, session);
    pthread_mutex_unlock(&shard->mutex);
}

struct session *directory_find_here(struct place *place, struct bytes client_id)
{
    uint64_t hash = tg_hash(client_id.data, client_id.len, place->broker->hash_seed);
    struct shard *shard = shard_of(place->broker->directory, hash);
    pthread_mutex_lock(&shard->mutex);
    struct session *session = find(shard, hash, client_id);
    bool is_here = session != NULL && !session->moving && session->place == place;
    pthread_mutex_unlock(&shard->mutex);
    return is_here ? session : NULL;
}

bool directory_remove(struct directory *directory, struct session *session)
{
    struct shard *shard = shard_of(directory, session->hash);
    pthread_mutex_lock(&shard->mutex);
    bool may_go = !session->moving;
    if (may_go) {
        struct session **at = bucket_of(shard, session->hash);
        while (*at != session) {
            at = &(*at)->directory_next;
        }
        *at = session->directory_next;
        shard->count--;
    }
    pthread_mutex_unlock(&shard->mutex);
    return may_go;
}

bool directory_visit(struct place *place, size_t *shard, directory_visit_fn visit, void *arg)
{
    if (*shard >= SHARDS) {
        return false;
    }
    struct shard *s = &place->broker->directory->shards[(*shard)++];
    pthread_mutex_lock(&s->mutex);
    for (size_t b = 0; b < s->bucket_count; b++) {
        for (struct session *session = s->buckets[b]; session != NULL; session = session->directory_next) {
            if (!session->moving && session->place == place) {
                visit(place, session, arg);
            }
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return *shard < SHARDS;
}

unsigned directory_part_of(uint64_t hash)
{
    return (unsigned)(hash >> 58) * SLICES + (unsigned)(hash % SLICES);
}

size_t directory_visit_part(struct place *place, unsigned part, directory_visit_fn visit, void *arg)
{
    struct shard *shard = &place->broker->directory->shards[part / SLICES];
    size_t count = 0;
    pthread_mutex_lock(&shard->mutex);
    for (size_t b = part % SLICES; b < shard->bucket_count; b += SLICES) {
        for (struct session *session = shard->buckets[b]; session != NULL; session = session->directory_next) {
            count++;
            if (!session->moving && session->place == place) {
                visit(place, session, arg);
            }
        }
    }
    pthread_mutex_unlock(&shard->mutex);
    return count;
}

void directory_visit_one(struct place *place, struct bytes client_id, directory_visit_fn visit, void *arg)
{
    uint64_t hash = tg_hash(client_id.data, client_id.len, place->broker->hash_seed);
    struct shard *shard = shard_of(place->broker->directory, hash);
    pthread_mutex_lock(&shard->mutex);
    struct session *session = find(shard, hash, client_id);
    if (session != NULL && !session->moving && session->place == place) {
        visit(place, session, arg);
    }
    pthread_mutex_unlock(&shard->mutex);
}

/* --- acquisition ------------------------------------------------------------------------------------------------------ */

static struct acquire *acquire_new(struct place *place, struct client *client, struct bytes client_id, uint64_t hash,
                                   bool clean_start)
{
    struct acquire *acquire = malloc(sizeof(*acquire) + client_id.len);
    if (acquire == NULL) {
        return NULL;
    }
    *acquire = (struct acquire){.client = client,
                                .place = place,
                                .hash = hash,
                                .clean_start = clean_start,
                                .client_id_len = (uint16_t)client_id.len};
    memcpy(acquire->client_id, client_id.data, client_id.len);
    return acquire;
}

void acquire_finish(struct acquire *acquire, struct session *session, bool present, uint8_t reason_code,
                    const char *why)
{
    struct client *client = acquire->client;
    free(acquire);
    if (client != NULL) {
        connecting_acquired(client, session, present, reason_code, why);
    }
}

static void on_superseded(struct place *place, struct mail *mail)
{
    (void)place;
    acquire_finish((struct acquire *)mail, NULL, false, REASON_SESSION_TAKEN_OVER, "taken over by a newer connection");
}

static void on_unavailable(struct place *place, struct mail *mail)
{
    (void)place;
    acquire_finish((struct acquire *)mail, NULL, false, REASON_SERVER_UNAVAILABLE, "session cannot be had");
}

void acquire_refuse(struct place *from, struct acquire *acquire, uint8_t reason_code)
{
    acquire->mail = (struct mail){.receive = reason_code == REASON_SESSION_TAKEN_OVER ? on_superseded : on_unavailable};
    mail_post(from, acquire->place->index, &acquire->mail);
}

/* PLACE has SESSION: bring it into the state that a new connection finds it in. @return NULL if it is gone: there is none then. */
static struct session *prepare_here(struct place *place, struct session *session, bool clean_start)
{
    struct client *old = session->client;
    if (old != NULL) {
        uint32_t expiry_s = session->expiry_s;
        STATS_ADD(&place->stats, takeovers, 1);
        client_close(old, REASON_SESSION_TAKEN_OVER, "taken over by another connection");
        if (expiry_s == 0) {
            return NULL; /* the session has ended with its connection */
        }
    }
    will_forget_restart(place, session);
    if (clean_start || session->expiry_s == 0) { /* 0: it came from another place, empty, for one who did not wait */
        session_end(place, session);
        return NULL;
    }
    return session;
}

/* What directory_acquire() has found. */
enum found {
    FOUND_NOTHING, /* a new session was made */
    FOUND_HERE,
    FOUND_BUSY, /* a move is under way, the acquisition waits */
    FOUND_ELSEWHERE,
    FOUND_NO_MEMORY,
    FOUND_TOO_MANY, /* there is none, and there are as many as there may be */
};

/* True if one more session may be begun for CLIENT. Places do not wait for each other: when all begin one now, it is one of each too many. */
static bool may_begin(struct place *place, const struct client *client)
{
    const struct broker *broker = place->broker;
    uint32_t max = place->settings->limits.sessions;
    uint32_t streams_max = client->connecting->keeps_qos0 ? client->connecting->sessions_max : 0;
    uint64_t sessions = 0;
    uint64_t streams = 0;
    if ((max == 0 && streams_max == 0) || client->is_gateway) {
        return true;
    }
    for (unsigned p = 0; p < broker->place_count; p++) {
        const struct stats *stats = &broker->places[p]->stats;
        sessions += atomic_load_explicit(&stats->sessions, memory_order_relaxed);
        streams += atomic_load_explicit(&stats->stream_sessions, memory_order_relaxed);
    }
    if ((max == 0 || sessions < max) && (streams_max == 0 || streams < streams_max)) {
        return true;
    }
    STATS_ADD(&place->stats, sessions_refused, 1);
    return false;
}

static enum found look_up(struct place *place, struct client *client, struct bytes client_id, uint64_t hash,
                          bool clean_start, struct session **session, struct acquire **acquire,
                          struct acquire **replaced, struct handover **handover)
{
    struct shard *shard = shard_of(place->broker->directory, hash);
    struct session *s = find(shard, hash, client_id);
    if (s == NULL && !may_begin(place, client)) {
        return FOUND_TOO_MANY;
    }
    if (s == NULL) {
        s = session_new(place, client_id, hash);
        if (s == NULL) {
            return FOUND_NO_MEMORY;
        }
        insert(shard, s);
        *session = s;
        return FOUND_NOTHING;
    }
    *session = s;
    if (!s->moving && s->place == place) {
        return FOUND_HERE;
    }
    *acquire = acquire_new(place, client, client_id, hash, clean_start);
    if (*acquire == NULL) {
        return FOUND_NO_MEMORY;
    }
    if (s->moving) {
        *replaced = s->waiting;
        s->waiting = *acquire;
        return FOUND_BUSY;
    }
    *handover = handover_new(s, s->place, place, *acquire);
    if (*handover == NULL) {
        free(*acquire);
        return FOUND_NO_MEMORY;
    }
    s->moving = true;
    return FOUND_ELSEWHERE;
}

void directory_acquire(struct place *place, struct client *client, struct bytes client_id, bool clean_start,
                       struct acquire **pending)
{
    uint64_t hash = tg_hash(client_id.data, client_id.len, place->broker->hash_seed);
    struct shard *shard = shard_of(place->broker->directory, hash);
    for (;;) {
        struct session *session = NULL;
        struct acquire *acquire = NULL;
        struct acquire *replaced = NULL;
        struct handover *handover = NULL;
        pthread_mutex_lock(&shard->mutex);
        enum found found =
            look_up(place, client, client_id, hash, clean_start, &session, &acquire, &replaced, &handover);
        pthread_mutex_unlock(&shard->mutex);
        switch (found) {
        case FOUND_NOTHING:
            connecting_acquired(client, session, false, 0, NULL);
            return;
        case FOUND_HERE:
            if (prepare_here(place, session, clean_start) != NULL) {
                connecting_acquired(client, session, true, 0, NULL);
                return;
            }
            continue; /* what was there has ended: now there is nothing, or another place was faster */
        case FOUND_BUSY:
            *pending = acquire;
            if (replaced != NULL) {
                acquire_refuse(place, replaced, REASON_SESSION_TAKEN_OVER);
            }
            return;
        case FOUND_ELSEWHERE:
            *pending = acquire;
            handover_start(place, handover);
            return;
        case FOUND_TOO_MANY:
            connecting_acquired(client, NULL, false, REASON_QUOTA_EXCEEDED, "too many sessions");
            return;
        case FOUND_NO_MEMORY:
            connecting_acquired(client, NULL, false, REASON_QUOTA_EXCEEDED, "out of memory");
            return;
        }
    }
}

struct acquire *directory_settle(struct place *place, struct session *session)
{
    struct shard *shard = shard_of(place->broker->directory, session->hash);
    pthread_mutex_lock(&shard->mutex);
    session->place = place;
    struct acquire *waiting = session->waiting;
    session->waiting = NULL;
    session->moving = waiting != NULL && waiting->place != place;
    pthread_mutex_unlock(&shard->mutex);
    return waiting;
}

void directory_continue(struct place *place, struct session *session, struct acquire *acquire)
{
    while (acquire != NULL && acquire->place != place) {
        struct handover *handover = handover_new(session, place, acquire->place, acquire);
        if (handover != NULL) {
            handover_start(place, handover);
            return;
        }
        acquire_refuse(place, acquire, REASON_SERVER_UNAVAILABLE);
        acquire = directory_settle(place, session);
    }
    if (acquire == NULL) {
        return;
    }
    struct client *client = acquire->client;
    if (client != NULL) {
        struct acquire *pending = NULL;
        struct bytes client_id = {acquire->client_id, acquire->client_id_len};
        connecting_set_pending(client, NULL);
        directory_acquire(place, client, client_id, acquire->clean_start, &pending);
        if (pending != NULL) {
            connecting_set_pending(client, pending);
        }
    }
    free(acquire);
}
