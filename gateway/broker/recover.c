/* One thread reads the store and knows which place each session goes to; it sends what it finds there by mail, a batch at a time, so that every
 * session is made by the thread that owns it, and all places work at once. Messages come last, in the order in which they were put; each
 * session's are sorted by their own numbers at the end. */
#include "gateway/broker/recover.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/access/access.h"
#include "gateway/base/assert.h"
#include "gateway/base/be.h"
#include "gateway/base/container.h"
#include "gateway/base/hash.h"
#include "gateway/base/log.h"
#include "gateway/broker/core.h"
#include "gateway/broker/directory.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/link_table.h"
#include "gateway/broker/outgoing.h"
#include "gateway/broker/packet_ids.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscription.h"
#include "gateway/broker/will.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"
#include "protocol/topic.h"

#define BATCH_ITEMS 256u
#define BATCHES_MAX 64u /* on their way at once */
#define WINDOW_SEQS 65535u
#define OWN_DOMAIN  (STORE_DOMAINS_MAX - 1u)

enum item_kind {
    ITEM_SESSION,
    ITEM_WILL,
    ITEM_SUBSCRIPTION,
    ITEM_POSITION,
    ITEM_RECEIVED,
    ITEM_SENT,
    ITEM_MESSAGE,
    ITEM_RETAINED,
};

/* Something for one session. The reading thread's, then its place's. */
struct item {
    struct item *next;
    enum item_kind kind;
    uint64_t session;
    uint64_t part;               /* of the key: subscription, packet id, seq, or number of the will */
    struct outgoing_entry entry; /* ITEM_MESSAGE; shared is not set yet. ITEM_RETAINED: message and record */
    uint32_t shared;             /* the same: number of the shared subscription */
    uint32_t value_len;
    uint8_t value[];
};

struct batch {
    struct mail mail;
    struct recover *recover;
    struct item *first;
    struct item **end;
    uint32_t count;
};

/* What the reading thread knows of a session. */
struct home {
    struct link link;
    uint64_t session;
    unsigned place;
};

struct recover { /* owner: the reading thread, but for what the mutex is for */
    struct broker *broker;
    struct broker_recovery *recovery;
    struct store_port *port;
    struct link_table homes;
    struct batch *open[INDEX_PLACES_MAX]; /* being filled */
    uint64_t version;                     /* the highest found */
    uint64_t entries;                     /* found so far */
    bool out_of_memory;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned left;      /* batches that places still have; lock: mutex */
    bool places_failed; /* one of them has run out of memory; lock: mutex */
};

/* A session that is being put together. */
struct recovered { /* owner: its place */
    struct link link;
    struct session *session; /* NULL: it has ended since */
    uint64_t number;
    uint64_t sent_below;
    bool was_connected;
    uint64_t disconnected_ms;
    struct item *position; /* owned; NULL: none */
    uint64_t *sent;        /* owned; PUBREL is due */
    uint32_t sent_count;
};

/* A will that is published, or begins to wait, when everything is there that may want it. */
struct found_will {
    struct session *session;
    struct will *will; /* owned */
    uint64_t number;
    uint64_t delay_ms;
};

struct recovering { /* owner: the place */
    struct link_table sessions;
    struct found_will *wills; /* owned, heap */
    size_t will_count;
    size_t will_capacity;
};

/* --- both sides ------------------------------------------------------------------------------------------------------------------ */

static uint64_t hash_of(uint64_t number)
{
    return number * UINT64_C(0x9e3779b97f4a7c15); /* numbers are ours: nobody can choose them */
}

static void item_free(struct item *item)
{
    if (item != NULL) {
        outgoing_entry_fini(&item->entry);
        free(item);
    }
}

/* --- the place's side: sessions ---------------------------------------------------------------------------------------------------- */

static struct recovered *recovered_find(const struct place *place, uint64_t number)
{
    struct link *link = link_table_first(&place->recovering->sessions, hash_of(number));
    for (; link != NULL; link = link_table_next(link)) {
        struct recovered *r = TG_CONTAINER_OF(link, struct recovered, link);
        if (r->number == number) {
            return r;
        }
    }
    return NULL;
}

static void recovered_free(struct recovered *r)
{
    item_free(r->position);
    free(r->sent);
    free(r);
}

/* SESSION is ended by a newer one, which has the same client id: its numbers mean nothing any more. */
static void disown(const struct place *place, const struct session *session)
{
    struct recovered *r = recovered_find(place, session->kept->number);
    if (r != NULL) {
        r->session = NULL;
    }
}

/* A session in the directory, with a struct kept for NUMBER. NULL without memory. */
static struct session *make_session(struct place *place, struct bytes client_id, uint64_t number)
{
    struct session *session =
        session_new(place, client_id, tg_hash(client_id.data, client_id.len, place->broker->hash_seed));
    struct kept *kept = session != NULL ? calloc(1, sizeof(*kept)) : NULL;
    if (kept == NULL) {
        if (session != NULL) {
            session_free(place, session);
        }
        return NULL;
    }
    kept->session = session;
    kept->number = number;
    session->kept = kept;
    directory_restore(place->broker->directory, session);
    return session;
}

static bool restore_session(struct place *place, const struct item *item)
{
    struct kept_session k;
    TG_ASSERT(kept_session_read((struct bytes){item->value, item->value_len}, &k)); /* it was read before */
    struct session *old = directory_find_here(place, k.client_id);
    if (old != NULL) { /* its end was not written any more; numbers ascend, so this one is newer */
        disown(place, old);
        session_end(place, old);
    }
    struct recovered *r = calloc(1, sizeof(*r));
    struct session *session = r != NULL ? make_session(place, k.client_id, item->session) : NULL;
    if (session == NULL || !link_table_add(&place->recovering->sessions, &r->link, hash_of(item->session))) {
        free(r);
        return false;
    }
    r->session = session;
    r->number = item->session;
    r->sent_below = k.is_connected ? UINT64_MAX : k.sent_below;
    r->was_connected = k.is_connected;
    r->disconnected_ms = k.is_connected ? place->wall_ms : k.disconnected_ms;
    session->version = k.version;
    session_set_keeps_qos0(place, session, k.keeps_qos0);
    session->expiry_s = k.expiry_s;
    session->queue_max = k.queue_max;
    session->queue_bytes_max = k.queue_bytes_max;
    session->outgoing.next_seq = k.next_seq;
    session->kept->is_stored = true;
    session->kept->subscription_number = k.subscription_number;
    if (k.has_user_name && !place->broker->access->allows_all) {
        session->identity = session_identity_new(session, k.user_name);
        return session->identity != NULL;
    }
    return true;
}

static struct message *will_message(const struct kept_will *k, uint64_t publisher)
{
    struct message *message = message_of_parts(k->topic, k->properties, k->payload);
    if (message != NULL) {
        message->qos = k->qos;
        message->retain = k->retain;
        message->publisher = publisher;
    }
    return message;
}

/* The session that a will is to wait in: its own, or one that is made for it alone, if that has ended. */
static struct session *session_for_will(struct place *place, const struct kept_will *k)
{
    const struct recovered *r = recovered_find(place, k->session);
    struct session *session = r != NULL && r->session != NULL ? r->session : directory_find_here(place, k->client_id);
    if (session == NULL) {
        session = make_session(place, k->client_id, atomic_fetch_add(&place->broker->store->next_session, 1));
    }
    return session;
}

static bool restore_will(struct place *place, const struct item *item)
{
    struct kept_will k;
    TG_ASSERT(kept_will_read((struct bytes){item->value, item->value_len}, &k));
    struct session *session = session_for_will(place, &k);
    if (session == NULL) {
        return false;
    }
    struct recovering *recovering = place->recovering;
    if (recovering->will_count == recovering->will_capacity) {
        size_t capacity = recovering->will_capacity > 0 ? 2 * recovering->will_capacity : 16;
        struct found_will *grown = realloc(recovering->wills, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        recovering->wills = grown;
        recovering->will_capacity = capacity;
    }
    struct message *message = will_message(&k, session->hash);
    struct will *will = message != NULL ? will_new(session, message) : NULL;
    if (will == NULL) {
        return false;
    }
    will->delay_s = k.delay_s;
    will->has_expiry = k.has_expiry;
    will->expiry_interval_s = k.expiry_s;
    will->after_restart = k.due_ms == 0;
    uint64_t delay_ms = (uint64_t)k.delay_s * 1000;
    if (k.due_ms != 0) {
        uint64_t left_ms = k.due_ms > place->wall_ms ? k.due_ms - place->wall_ms : 0;
        delay_ms = left_ms < delay_ms ? left_ms : delay_ms; /* the clock may have been set back */
    } else {
        uint64_t grace_ms = (uint64_t)place->settings->limits.restart_will_grace_s * 1000;
        delay_ms = delay_ms > grace_ms ? delay_ms : grace_ms;
    }
    recovering->wills[recovering->will_count++] =
        (struct found_will){.session = session, .will = will, .number = item->part, .delay_ms = delay_ms};
    return true;
}

/* The wills begin to wait. Of several in one session the newest does, the others are those of sessions that have ended. */
static void release_wills(struct place *place)
{
    struct recovering *recovering = place->recovering;
    for (size_t i = 0; i < recovering->will_count; i++) {
        const struct found_will *found = &recovering->wills[i];
        struct session *session = found->session;
        will_publish(place, session);
        session->will = found->will;
        session->kept->will_number = found->number;
        will_arm_ms(place, session, found->delay_ms);
        if (session->expiry_s == 0) { /* it only waits for its will */
            timer_wheel_set(place->wheel, &session->timer, session->will->due_ms + 1);
        }
    }
    recovering->will_count = 0; /* they are their sessions' now */
}

static bool restore_subscription(struct place *place, const struct recovered *r, const struct item *item)
{
    struct kept_subscription k;
    struct topic_filter parsed;
    TG_ASSERT(kept_subscription_read((struct bytes){item->value, item->value_len}, &k));
    if (!topic_filter_parse(k.filter, &parsed)) {
        return true; /* read before; limits do not change what a filter is */
    }
    struct session *session = r->session;
    const struct subscription_options options = {
        .id = k.id,
        .qos = k.qos,
        .retain_handling = k.retain_handling,
        .no_local = k.no_local,
        .retain_as_published = k.retain_as_published,
        .is_durable = true,
    };
    struct subscription *subscription;
    if (subscription_put(place, session, &session->subscriptions, k.filter, &options, &subscription, NULL) != TG_OK) {
        return false;
    }
    subscription->number = (uint32_t)item->part;
    if (session->kept->subscription_number < subscription->number) {
        session->kept->subscription_number = subscription->number;
    }
    return true;
}

static bool add_sent(struct recovered *r, uint64_t seq)
{
    uint64_t *grown = realloc(r->sent, (r->sent_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    grown[r->sent_count++] = seq;
    r->sent = grown;
    return true;
}

/* --- the place's side: messages ----------------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* True if SEQ was acknowledged, as far as a message goes. */
static bool is_finished(const struct recovered *r, uint64_t seq)
{
    if (r->sent_count > 0 && bsearch(&seq, r->sent, r->sent_count, sizeof(seq), by_number) != NULL) {
        return true; /* they came in ascending order */
    }
    return r->position != NULL && kept_position_has((struct bytes){r->position->value, r->position->value_len}, seq);
}

static struct subscription *shared_of(const struct session *session, uint32_t number)
{
    uint32_t at = 0;
    struct subscription *s = NULL;
    do {
        s = subscription_next(&session->subscriptions, &at);
    } while (s != NULL && s->number != number);
    return s != NULL && s->group != NULL ? s : NULL;
}

static bool restore_message(struct place *place, const struct recovered *r, struct item *item)
{
    struct outgoing_entry *entry = &item->entry;
    struct session *session = r != NULL ? r->session : NULL;
    bool is_expired = store_record_expires_ms(entry->record) <= place->wall_ms;
    if (session != NULL && entry->qos == 2 && entry->seq < r->sent_below) {
        is_expired = false; /* the client may hold its packet id, and would take a later message for this one */
    }
    if (session == NULL || is_expired || is_finished(r, entry->seq)) {
        if (is_expired) {
            STATS_ADD(&place->stats, dropped_expired, 1);
        }
        store_port_finish(place->port, entry->record, entry->recipient);
        entry->record = NULL;
        return true;
    }
    entry->shared = item->shared != 0 ? shared_of(session, item->shared) : NULL;
    if (!outgoing_push(&session->outgoing.queue, entry)) {
        return false;
    }
    *entry = (struct outgoing_entry){0}; /* the queue has it */
    return true;
}

static bool restore_retained(struct place *place, const struct item *item)
{
    struct message *message = item->entry.message;
    struct store_record *record = item->entry.record;
    struct store_record *loser = NULL;
    enum tg_err err = retained_restore(place->broker->retained, message, record, &loser);
    if (loser != NULL) {
        store_port_finish(place->port, loser, STORE_RETAINED);
    }
    return err == TG_OK;
}

static bool restore(struct place *place, struct item **owned)
{
    struct item *item = *owned;
    if (item->kind == ITEM_SESSION) {
        return restore_session(place, item);
    }
    if (item->kind == ITEM_WILL) {
        return restore_will(place, item);
    }
    if (item->kind == ITEM_RETAINED) {
        return restore_retained(place, item);
    }
    struct recovered *r = recovered_find(place, item->session);
    if (item->kind == ITEM_MESSAGE) {
        return restore_message(place, r, item);
    }
    if (r == NULL || r->session == NULL) {
        return true; /* it has ended meanwhile, and the store is told */
    }
    switch (item->kind) {
    case ITEM_SUBSCRIPTION:
        return restore_subscription(place, r, item);
    case ITEM_RECEIVED:
        return packet_ids_add(&r->session->received, (uint16_t)item->part);
    case ITEM_SENT:
        return add_sent(r, item->part);
    default:
        r->position = item;
        *owned = NULL;
        return true;
    }
}

/* --- the place's side: the end ------------------------------------------------------------------------------------------------------- */

static int by_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct outgoing_entry *)a)->seq;
    uint64_t y = ((const struct outgoing_entry *)b)->seq;
    return x < y ? -1 : x > y;
}

/* What the session has to send, in order: first what may have been sent. */
static bool arrange(struct place *place, struct recovered *r)
{
    struct session *session = r->session;
    struct outgoing *outgoing = &session->outgoing;
    uint32_t count = outgoing->queue.count + r->sent_count;
    if (count == 0) {
        return true;
    }
    struct outgoing_entry *entries = calloc(count, sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    uint32_t n = 0;
    while (outgoing->queue.count > 0) {
        entries[n] = outgoing_pop(&outgoing->queue);
        entries[n].state = entries[n].seq < r->sent_below ? OUTGOING_RESEND : OUTGOING_QUEUED;
        entries[n].is_restored = true;
        n++;
    }
    for (uint32_t i = 0; i < r->sent_count; i++) {
        entries[n++] = (struct outgoing_entry){.seq = r->sent[i], .state = OUTGOING_RERELEASE, .qos = 2};
    }
    qsort(entries, count, sizeof(*entries), by_seq);
    while (count > 0 && entries[count - 1].state == OUTGOING_RERELEASE &&
           entries[count - 1].seq >= entries[0].seq + WINDOW_SEQS) {
        count--; /* a number that was never used: of packet ids there are not so many */
    }
    for (n = 0; n < count; n++) {
        if (entries[n].state == OUTGOING_RESEND && entries[n].seq >= entries[0].seq + WINDOW_SEQS) {
            entries[n].state = OUTGOING_QUEUED;
        }
    }
    bool restored = session_restore(place, session, entries, count);
    free(entries);
    return restored;
}

static uint64_t next_seq(const struct recovered *r)
{
    uint64_t next = r->session->outgoing.next_seq;
    uint64_t end =
        r->position != NULL ? kept_position_end((struct bytes){r->position->value, r->position->value_len}) : 0;
    return end > next ? end : next;
}

static void set_expiry_timer(struct place *place, const struct recovered *r)
{
    struct session *session = r->session;
    if (session->expiry_s == SESSION_NEVER_EXPIRES) {
        return;
    }
    uint64_t away_ms = place->wall_ms > r->disconnected_ms ? place->wall_ms - r->disconnected_ms : 0;
    uint64_t expiry_ms = (uint64_t)session->expiry_s * 1000;
    timer_wheel_set(place->wheel, &session->timer, place->now_ms + (away_ms < expiry_ms ? expiry_ms - away_ms : 0));
}

static bool settle(struct place *place, struct recovered *r)
{
    struct session *session = r->session;
    session->outgoing.next_seq = next_seq(r);
    if (!arrange(place, r)) {
        return false;
    }
    session_classify(place, session);
    session_update_room(place, session);
    return true;
}

static bool settle_all(struct place *place)
{
    struct link_table *sessions = &place->recovering->sessions;
    bool all = true;
    for (size_t c = 0; c < sessions->chain_count; c++) {
        for (struct link *link = sessions->chains[c]; link != NULL; link = link->next) {
            struct recovered *r = TG_CONTAINER_OF(link, struct recovered, link);
            all &= r->session == NULL || settle(place, r);
        }
    }
    return all;
}

void recover_drop(struct place *place)
{
    struct recovering *recovering = place->recovering;
    if (recovering == NULL) {
        return;
    }
    for (size_t c = 0; c < recovering->sessions.chain_count; c++) {
        for (struct link *link = recovering->sessions.chains[c]; link != NULL;) {
            struct recovered *r = TG_CONTAINER_OF(link, struct recovered, link);
            link = link->next;
            recovered_free(r);
        }
    }
    for (size_t i = 0; i < recovering->will_count; i++) {
        message_unref(recovering->wills[i].will->message);
        free(recovering->wills[i].will);
    }
    link_table_fini(&recovering->sessions);
    free(recovering->wills);
    free(recovering);
    place->recovering = NULL;
}

/* Time goes on for what was restored. */
static void release_all(struct place *place)
{
    const struct link_table *sessions = &place->recovering->sessions;
    release_wills(place);
    for (size_t c = 0; c < sessions->chain_count; c++) {
        for (struct link *link = sessions->chains[c]; link != NULL; link = link->next) {
            const struct recovered *r = TG_CONTAINER_OF(link, struct recovered, link);
            if (r->session != NULL) {
                set_expiry_timer(place, r);
            }
            if (r->session != NULL && r->was_connected) {
                kept_detached(place, r->session); /* its time begins now, and not once more after the next crash */
            }
        }
    }
    recover_drop(place);
}

/* --- batches -------------------------------------------------------------------------------------------------------------------------- */

static void give_back(struct batch *batch, bool failed)
{
    struct recover *recover = batch->recover;
    free(batch);
    pthread_mutex_lock(&recover->mutex);
    recover->left--;
    recover->places_failed |= failed;
    pthread_cond_signal(&recover->changed);
    pthread_mutex_unlock(&recover->mutex);
}

static void on_batch(struct place *place, struct mail *mail)
{
    struct batch *batch = (struct batch *)mail;
    bool failed = false;
    if (place->recovering == NULL) {
        place->recovering = calloc(1, sizeof(*place->recovering));
    }
    for (struct item *item = batch->first; item != NULL;) {
        struct item *next = item->next;
        failed |= place->recovering == NULL || !restore(place, &item);
        item_free(item);
        item = next;
    }
    give_back(batch, failed);
}

static void on_end(struct place *place, struct mail *mail)
{
    give_back((struct batch *)mail, place->recovering != NULL && !settle_all(place));
}

static void on_release(struct place *place, struct mail *mail)
{
    if (place->recovering != NULL) {
        release_all(place);
    }
    give_back((struct batch *)mail, false);
}

/* Wait until places have COUNT batches at most. @return false if one of them ran out of memory */
static bool wait_for_places(struct recover *recover, unsigned count)
{
    pthread_mutex_lock(&recover->mutex);
    while (recover->left > count) {
        pthread_cond_wait(&recover->changed, &recover->mutex);
    }
    bool ok = !recover->places_failed;
    pthread_mutex_unlock(&recover->mutex);
    return ok;
}

static bool post(struct recover *recover, unsigned to, struct batch *batch, mail_receive_fn receive)
{
    pthread_mutex_lock(&recover->mutex);
    recover->left++;
    pthread_mutex_unlock(&recover->mutex);
    batch->mail = (struct mail){.receive = receive};
    mail_post(recover->broker->places[to], to, &batch->mail);
    return wait_for_places(recover, BATCHES_MAX);
}

static bool flush(struct recover *recover, unsigned to)
{
    struct batch *batch = recover->open[to];
    recover->open[to] = NULL;
    return batch == NULL || post(recover, to, batch, on_batch);
}

static struct batch *batch_new(struct recover *recover)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch != NULL) {
        batch->recover = recover;
        batch->end = &batch->first;
    }
    return batch;
}

/* Send ITEM (taken) to place TO. @return false without memory */
static bool send_item(struct recover *recover, unsigned to, struct item *item)
{
    struct batch *batch = recover->open[to];
    if (batch == NULL) {
        batch = batch_new(recover);
        if (batch == NULL) {
            item_free(item);
            return false;
        }
        recover->open[to] = batch;
    }
    *batch->end = item;
    batch->end = &item->next;
    return ++batch->count < BATCH_ITEMS || flush(recover, to);
}

static struct item *item_new(enum item_kind kind, uint64_t session, uint64_t part, struct bytes value)
{
    struct item *item = calloc(1, sizeof(*item) + value.len);
    if (item != NULL) {
        item->kind = kind;
        item->session = session;
        item->part = part;
        item->value_len = (uint32_t)value.len;
        if (value.len > 0) {
            memcpy(item->value, value.data, value.len);
        }
    }
    return item;
}

/* --- the reading side ------------------------------------------------------------------------------------------------------------------- */

static struct home *home_find(const struct recover *recover, uint64_t session)
{
    struct link *link = link_table_first(&recover->homes, hash_of(session));
    for (; link != NULL; link = link_table_next(link)) {
        struct home *home = TG_CONTAINER_OF(link, struct home, link);
        if (home->session == session) {
            return home;
        }
    }
    return NULL;
}

/* All sessions with a client id come to one place, and all versions of a retained topic. */
static unsigned place_of(const struct recover *recover, struct bytes name)
{
    return (unsigned)(tg_hash(name.data, name.len, recover->broker->hash_seed) % recover->broker->place_count);
}

static bool send_new(struct recover *recover, unsigned to, enum item_kind kind, uint64_t session, uint64_t part,
                     struct bytes value)
{
    struct item *item = item_new(kind, session, part, value);
    return item != NULL && send_item(recover, to, item);
}

static bool found_session(struct recover *recover, uint64_t number, struct bytes value)
{
    struct kept_session k;
    if (!kept_session_read(value, &k)) {
        return false;
    }
    struct home *home = calloc(1, sizeof(*home));
    if (home == NULL || !link_table_add(&recover->homes, &home->link, hash_of(number))) {
        free(home);
        recover->out_of_memory = true;
        return true;
    }
    home->session = number;
    home->place = place_of(recover, k.client_id);
    recover->out_of_memory |= !send_new(recover, home->place, ITEM_SESSION, number, 0, value);
    return true;
}

static bool found_will(struct recover *recover, uint64_t number, struct bytes value)
{
    struct kept_will k;
    if (!kept_will_read(value, &k)) {
        return false;
    }
    recover->out_of_memory |= !send_new(recover, place_of(recover, k.client_id), ITEM_WILL, k.session, number, value);
    return true;
}

static bool is_sound(enum item_kind kind, struct bytes value)
{
    struct kept_subscription k;
    struct topic_filter parsed;
    switch (kind) {
    case ITEM_SUBSCRIPTION:
        return kept_subscription_read(value, &k) && topic_filter_parse(k.filter, &parsed);
    case ITEM_POSITION:
        return kept_position_is_valid(value);
    default:
        return true;
    }
}

/* Something that belongs to a session; without that it is of no use. */
static bool found_part(struct recover *recover, enum store_table table, enum item_kind kind, struct bytes key,
                       struct bytes value)
{
    uint64_t session = tg_get_be(key.data, 8);
    uint64_t part = key.len > 8 ? tg_get_be(key.data + 8, (unsigned)key.len - 8) : 0;
    if (!is_sound(kind, value)) {
        return false;
    }
    const struct home *home = home_find(recover, session);
    if (home != NULL) {
        recover->out_of_memory |= !send_new(recover, home->place, kind, session, part, value);
        return true;
    }
    struct store_write *write = store_write_new(table, key.data, key.len, 0);
    struct store_ticket ticket;
    if (write != NULL) {
        write->is_delete = true;
        recover->out_of_memory |= !store_port_write(recover->port, write, &ticket);
    }
    return true;
}

static bool found_answer(struct recover *recover, struct bytes key, struct bytes value)
{
    const struct broker_recovery *recovery = recover->recovery;
    enum broker_answer answer =
        recovery->answer != NULL ? recovery->answer(recovery->arg, key, value) : BROKER_ANSWER_KEPT;
    struct store_ticket ticket;
    struct store_write *write =
        answer == BROKER_ANSWER_EXPIRED ? store_write_new(STORE_IDEMPOTENCY, key.data, key.len, 0) : NULL;
    if (write != NULL) {
        write->is_delete = true;
        recover->out_of_memory |= !store_port_write(recover->port, write, &ticket);
    }
    return answer != BROKER_ANSWER_DAMAGED;
}

static bool on_entry(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
    static const struct {
        size_t key_len;
        enum item_kind kind;
    } tables[STORE_TABLES] = {
        [STORE_SESSIONS] = {8, ITEM_SESSION},
        [STORE_WILLS] = {8, ITEM_WILL},
        [STORE_SUBSCRIPTIONS] = {12, ITEM_SUBSCRIPTION},
        [STORE_POSITIONS] = {8, ITEM_POSITION},
        [STORE_RECEIVED] = {10, ITEM_RECEIVED},
        [STORE_SENT] = {16, ITEM_SENT},
        [STORE_IDEMPOTENCY] = {16, ITEM_SESSION},
    };
    struct recover *recover = arg;
    recover->entries++;
    if (key.len != tables[table].key_len) {
        return false;
    }
    switch (table) {
    case STORE_IDEMPOTENCY:
        return found_answer(recover, key, value);
    case STORE_SESSIONS:
        return found_session(recover, tg_get_be(key.data, 8), value);
    case STORE_WILLS:
        return found_will(recover, tg_get_be(key.data, 8), value);
    default:
        return found_part(recover, table, tables[table].kind, key, value);
    }
}

/* When FOUND expires, wall clock to monotonic, as far as this process is concerned; not later than it would have been given when it was published,
 * if the clock was set back since. */
static uint64_t expiry_of(const struct recover *recover, const struct store_found *found)
{
    const struct broker *broker = recover->broker;
    if (found->expires_ms == STORE_NEVER_EXPIRES) {
        return MESSAGE_NEVER_EXPIRES;
    }
    uint64_t since_ms = found->stored_ms > broker->started_wall_ms ? found->stored_ms : broker->started_wall_ms;
    return found->expires_ms > since_ms ? broker->started_ms + (found->expires_ms - since_ms) : broker->started_ms;
}

/* What FOUND was when it was published. NULL without memory. */
static struct message *message_of(const struct recover *recover, const struct store_found *found)
{
    struct message *message = message_of_parts(found->topic, found->properties, found->payload);
    if (message != NULL) {
        message->qos = found->qos;
        message->retain = found->retain;
        message->expires_ms = expiry_of(recover, found);
        message->publisher = found->publisher;
        message->version = found->version;
        message->stored_ms = found->stored_ms;
    }
    return message;
}

/* @return NULL without memory */
static struct outgoing_ids *more_ids(const struct store_recipient *recipient)
{
    struct outgoing_ids *more = malloc(sizeof(*more) + recipient->id_count * sizeof(more->ids[0]));
    if (more != NULL) {
        more->count = recipient->id_count;
        for (uint16_t i = 0; i < recipient->id_count; i++) {
            more->ids[i] = store_recipient_id(recipient, i);
        }
    }
    return more;
}

/* Recipient NUMBER of FOUND. MESSAGE: what was found, if it was made already; made if it must be in memory. */
static enum tg_err found_recipient(struct recover *recover, const struct store_found *found, uint32_t number,
                                   const struct store_recipient *recipient, struct message **message)
{
    const struct home *home = home_find(recover, recipient->session);
    if (home == NULL) {
        store_port_finish(recover->port, store_record_ref(found->record), number);
        return TG_OK;
    }
    struct item *item = item_new(ITEM_MESSAGE, recipient->session, 0, (struct bytes){NULL, 0});
    if (item == NULL) {
        return TG_ERR_NO_MEMORY;
    }
    item->shared = recipient->shared;
    item->entry = (struct outgoing_entry){
        .record = store_record_ref(found->record),
        .seq = recipient->seq,
        .subscription_id = recipient->id_count > 0 ? store_recipient_id(recipient, 0) : 0,
        .recipient = number,
        .qos = recipient->qos,
        .retain = recipient->retain,
    };
    if (recipient->id_count > 1) {
        item->entry.more = more_ids(recipient);
    }
    if (recipient->shared != 0) { /* it may have to be given to another member at once */
        if (*message == NULL) {
            *message = message_of(recover, found);
        }
        item->entry.message = *message != NULL ? message_ref(*message) : NULL;
    }
    if ((recipient->id_count > 1 && item->entry.more == NULL) || (recipient->shared != 0 && *message == NULL)) {
        item_free(item);
        return TG_ERR_NO_MEMORY;
    }
    return send_item(recover, home->place, item) ? TG_OK : TG_ERR_NO_MEMORY;
}

/* Any place can take a value: they share the work, which is finding its topic among all others. */
static enum tg_err found_retained(struct recover *recover, const struct store_found *found, struct message **message)
{
    struct item *item = item_new(ITEM_RETAINED, 0, 0, (struct bytes){NULL, 0});
    *message = message_of(recover, found);
    if (item == NULL || *message == NULL) {
        item_free(item);
        return TG_ERR_NO_MEMORY;
    }
    item->entry.message = message_ref(*message);
    item->entry.record = store_record_ref(found->record);
    return send_item(recover, place_of(recover, found->topic), item) ? TG_OK : TG_ERR_NO_MEMORY;
}

static enum tg_err found_message(struct recover *recover, const struct store_found *found, struct message **message)
{
    recover->entries++;
    if (found->version > recover->version) {
        recover->version = found->version;
    }
    enum tg_err err = found->is_retained ? found_retained(recover, found, message) : TG_OK;
    struct bytes left = found->recipients;
    for (uint32_t i = 0; i < found->recipient_count && err == TG_OK; i++) {
        struct store_recipient recipient;
        size_t len = store_recipient_decode(left, &recipient);
        if (len == 0) {
            return TG_ERR_CORRUPT;
        }
        left.data += len;
        left.len -= len;
        err = found_recipient(recover, found, i, &recipient, message);
    }
    return err;
}

static enum tg_err on_message(void *arg, const struct store_found *found)
{
    struct recover *recover = arg;
    if (atomic_load(&recover->recovery->is_cancelled)) {
        return TG_ERR_CLOSED;
    }
    struct message *message = NULL;
    enum tg_err err = recover->out_of_memory ? TG_ERR_NO_MEMORY : found_message(recover, found, &message);
    message_unref(message);
    if (recover->entries % 1024 == 0) {
        store_port_flush(recover->port);
    }
    return err;
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct recover *recover = arg;
    atomic_store(&recover->recovery->done, done);
    atomic_store(&recover->recovery->total, total);
}

/* Let every place do something, and wait for it. @return false without memory */
static bool everywhere(struct recover *recover, mail_receive_fn receive)
{
    bool ok = true;
    for (unsigned p = 0; ok && p < recover->broker->place_count; p++) {
        struct batch *batch = batch_new(recover);
        ok = batch != NULL && post(recover, p, batch, receive);
    }
    return wait_for_places(recover, 0) && ok;
}

/* Everything has been read and sent: let the places put it in order, and then, when all of them have, let time go on. */
static enum tg_err end(struct recover *recover)
{
    bool ok = true;
    for (unsigned p = 0; p < recover->broker->place_count; p++) {
        ok &= flush(recover, p);
    }
    ok = wait_for_places(recover, 0) && ok && everywhere(recover, on_end);
    if (!ok || recover->out_of_memory) {
        return TG_ERR_NO_MEMORY;
    }
    retained_sweep_tombstones(recover->broker->retained, recover->port);
    retained_continue_at(recover->broker->retained, recover->version);
    return everywhere(recover, on_release) ? TG_OK : TG_ERR_NO_MEMORY;
}

static void fini(struct recover *recover)
{
    for (size_t c = 0; c < recover->homes.chain_count; c++) {
        for (struct link *link = recover->homes.chains[c]; link != NULL;) {
            struct home *home = TG_CONTAINER_OF(link, struct home, link);
            link = link->next;
            free(home);
        }
    }
    link_table_fini(&recover->homes);
    store_port_free(recover->port);
    pthread_cond_destroy(&recover->changed);
    pthread_mutex_destroy(&recover->mutex);
}

enum tg_err broker_recover(struct broker *broker, struct broker_recovery *recovery)
{
    struct store *store = broker->store;
    if (!store->is_durable) {
        return TG_OK;
    }
    struct recover recover = {.broker = broker, .recovery = recovery, .port = store_port_new(store, OWN_DOMAIN)};
    if (recover.port == NULL) {
        return TG_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&recover.mutex, NULL);
    pthread_cond_init(&recover.changed, NULL);
    tg_rcu_offline(); /* it may wait for places, and reads nothing of theirs */
    const struct store_visitor visitor = {
        .entry = on_entry, .message = on_message, .progress = on_progress, .arg = &recover};
    enum tg_err err = store->engine->recover(store, &visitor);
    if (err == TG_OK) {
        on_progress(&recover, recover.entries, recover.entries);
        err = end(&recover);
    } else {
        for (unsigned p = 0; p < broker->place_count; p++) { /* what is on its way comes to an end */
            (void)flush(&recover, p);
        }
        (void)wait_for_places(&recover, 0);
    }
    fini(&recover);
    tg_rcu_online();
    return err;
}
