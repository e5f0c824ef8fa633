#include "gateway/broker/handover.h"

#include <stdlib.h>

#include "gateway/base/assert.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/deliver.h"
#include "gateway/broker/directory.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/mail.h"
#include "gateway/broker/place_init.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/retained_walk.h"
#include "gateway/broker/route.h"
#include "gateway/broker/session.h"
#include "gateway/broker/share.h"
#include "gateway/broker/subscription.h"
#include "gateway/broker/will.h"
#include "gateway/store/message.h"
#include "protocol/reason.h"

/* One subscription of the session, at both places. */
struct moved_subscription {
    struct subscription *old; /* A's; B reads what it says, which A does not change any more */
    struct subscription *new; /* B's */
};

/* A publication that came to B before the session did. */
struct held {
    struct held *next;
    struct message *message;     /* holds a reference */
    struct store_record *record; /* holds a reference, and has it open; NULL: not durable */
    struct subscription *subscription;
    uint64_t number;
    unsigned origin;
    bool is_shared; /* chosen for this member: nobody else has it */
};

struct barrier {
    struct mail mail;
    struct handover *handover;
    uint64_t number;
};

struct handover { /* whoever has received its mail last: A or B; the lists of what is held: B */
    struct mail mail;
    struct session *session;
    struct place *from;
    struct place *to;
    struct acquire *acquire;
    struct moved_subscription *moved; /* owned */
    uint32_t moved_count;
    bool present; /* there is state to be resumed */
    bool will_delayed;
    uint64_t expires_ms;         /* monotonic: when the session ends if nobody comes; UINT64_MAX: never */
    struct subscription_set set; /* B's */
    uint32_t *ids;               /* owned scratch: as many as moved */
    struct held *held;           /* B's; oldest first */
    struct held *held_last;
    size_t held_bytes;
    uint32_t held_count;
    bool held_dropped;                  /* something did not fit */
    unsigned echoes_left;               /* A's */
    uint64_t cutoffs[INDEX_PLACES_MAX]; /* A's, then B's: last publish number of each place that is A's */
    struct barrier barriers[];          /* one a place */
};

struct handover *handover_new(struct session *session, struct place *from, struct place *to, struct acquire *acquire)
{
    unsigned places = from->broker->place_count;
    struct handover *handover = calloc(1, sizeof(*handover) + places * sizeof(struct barrier));
    if (handover == NULL) {
        return NULL;
    }
    handover->session = session;
    handover->from = from;
    handover->to = to;
    handover->acquire = acquire;
    for (unsigned p = 0; p < INDEX_PLACES_MAX; p++) {
        handover->cutoffs[p] = UINT64_MAX;
    }
    return handover;
}

static void post(struct place *from, struct place *to, struct handover *handover, mail_receive_fn receive)
{
    handover->mail = (struct mail){.receive = receive};
    mail_post(from, to->index, &handover->mail);
}

static struct handover *handover_of(struct mail *mail)
{
    return (struct handover *)mail;
}

bool handover_accepts(const struct handover *handover, unsigned origin, uint64_t number)
{
    return number <= handover->cutoffs[origin];
}

/* --- B: hold and release ------------------------------------------------------------------------------------------------ */

void handover_hold(struct place *place, struct subscription *subscription, struct publication *publication)
{
    struct handover *handover = subscription->holding;
    const struct config_limits *limits = &place->settings->limits;
    uint8_t qos = publication->qos < subscription->qos ? publication->qos : subscription->qos;
    if (qos == 0 && !limits->queue_qos0 && !handover->session->keeps_qos0) {
        return; /* nobody is connected to the session right now */
    }
    struct message *message = publication_message(place, publication);
    struct held *held = message != NULL ? calloc(1, sizeof(*held)) : NULL;
    if (held == NULL) {
        publication_is_incomplete(place, publication);
        return;
    }
    size_t size = message_size(message);
    if (handover->held_count >= limits->queued_messages || handover->held_bytes + size > limits->queued_bytes) {
        STATS_ADD(&place->stats, dropped_queue_full, 1);
        handover->held_dropped = true;
        free(held);
        return;
    }
    held->message = message_ref(message);
    if (publication->record != NULL) {
        held->record = store_record_ref(publication->record);
        store_record_open(held->record);
    }
    held->subscription = subscription;
    held->number = publication->number;
    held->origin = publication->origin;
    held->is_shared = subscription->group != NULL;
    if (handover->held_last != NULL) {
        handover->held_last->next = held;
    } else {
        handover->held = held;
    }
    handover->held_last = held;
    handover->held_bytes += size;
    handover->held_count++;
}

static void held_free(struct place *place, struct held *held)
{
    message_unref(held->message);
    if (held->record != NULL) {
        store_port_close(place->port, held->record);
        store_record_unref(held->record);
    }
    free(held);
}

/* Deliver the publication of FIRST, together with what stands behind it for other subscriptions. @return what comes after */
static struct held *release_one(struct place *place, const struct handover *handover, struct held *first)
{
    struct session *session = handover->session;
    uint32_t *ids = handover->ids;
    uint32_t id_count = 0;
    uint8_t qos = 0;
    bool retain = false;
    bool wanted = false;
    struct publication publication;
    publication_from_message(&publication, first->message);
    publication.record = first->record;
    publication.origin = first->origin;
    publication.number = first->number;
    struct subscription *shared = first->is_shared ? first->subscription : NULL;
    struct held *held = first;
    do {
        const struct subscription *s = held->subscription;
        if ((held->is_shared || !handover_accepts(handover, held->origin, held->number)) &&
            deliver_is_wanted(place, &publication, s)) {
            wanted = true;
            qos = s->qos > qos ? s->qos : qos;
            retain |= publication.retain && s->retain_as_published;
            if (s->id != 0) {
                ids[id_count++] = s->id;
            }
        }
        held = held->next;
    } while (held != NULL && shared == NULL && !held->is_shared && held->origin == first->origin &&
             held->number == first->number);
    if (wanted) {
        deliver_to_session(place, &publication, session, qos, retain, ids, id_count, shared);
    }
    publication_fini(place, &publication);
    return held;
}

static void release_held(struct place *place, struct handover *handover)
{
    struct held *held = handover->held;
    while (held != NULL) {
        struct held *next = release_one(place, handover, held);
        while (held != next) {
            struct held *done = held;
            held = held->next;
            held_free(place, done);
        }
    }
    handover->held = NULL;
    handover->session->outgoing.next_seq += handover->held_dropped; /* a hole tells of the loss */
}

/* --- both: the end ------------------------------------------------------------------------------------------------------- */

/* The session is at PLACE, without a connection. */
static void rest(struct place *place, struct session *session, const struct handover *handover)
{
    if (handover->will_delayed && session->will != NULL) {
        timer_wheel_set(place->wheel, &session->will->timer, session->will->due_ms);
    }
    if (handover->expires_ms != UINT64_MAX) {
        timer_wheel_set(place->wheel, &session->timer, handover->expires_ms);
    }
}

static void handover_free(struct handover *handover)
{
    free(handover->moved);
    free(handover->ids);
    free(handover);
}

/* The acquisition that caused the move gets the session, unless a newer one has come meanwhile. */
static void grant(struct place *place, struct handover *handover)
{
    struct session *session = handover->session;
    struct acquire *acquire = handover->acquire;
    bool present = handover->present;
    struct acquire *waiting = directory_settle(place, session);
    if (!present) {
        handover->expires_ms = place->now_ms; /* nobody comes: it ends at the next turn */
    }
    if (waiting != NULL || acquire->client == NULL) {
        rest(place, session, handover);
        handover_free(handover);
        acquire_finish(acquire, NULL, false, REASON_SESSION_TAKEN_OVER, "taken over by a newer connection");
        if (waiting != NULL) {
            directory_continue(place, session, waiting);
        }
        return;
    }
    handover_free(handover);
    acquire_finish(acquire, session, present, 0, NULL);
}

/* B: the session is here. */
static void on_import(struct place *place, struct mail *mail)
{
    struct handover *handover = handover_of(mail);
    struct session *session = handover->session;
    session->place = place; /* nobody else looks at it while it is moving */
    session->subscriptions = handover->set;
    STATS_ADD(&place->stats, sessions, 1);
    STATS_ADD(&place->stats, stream_sessions, session->keeps_qos0);
    STATS_ADD(&place->stats, queued_messages, session->outgoing.queue.count);
    STATS_ADD(&place->stats, queued_bytes, session->outgoing.queue_bytes);
    STATS_ADD(&place->stats, handovers, 1);
    if (session->kept != NULL) {
        STATS_ADD(&place->stats, unloaded_bytes, session->kept->unloaded_bytes);
    }
    uint32_t at = 0;
    for (struct subscription *s = subscription_next(&session->subscriptions, &at); s != NULL;
         s = subscription_next(&session->subscriptions, &at)) {
        s->holding = NULL;
        session->shared_count += s->group != NULL;
    }
    session_classify(place, session); /* no place has looked at it while it was moving */
    session->had_room = false;
    session->gather_mark = 0; /* the marks of another place mean nothing here */
    release_held(place, handover);
    session_update_room(place, session);
    grant(place, handover);
}

/* --- A: freeze, wait for everybody, export ------------------------------------------------------------------------------- */

static struct subscription *moved_to(const struct place *place, const struct handover *handover,
                                     const struct subscription *old)
{
    return subscription_find(&handover->set, (struct bytes){old->full, old->full_len}, place->broker->hash_seed);
}

/* What refers to A's subscriptions refers to B's from now on. */
static void redirect(const struct place *place, struct handover *handover)
{
    struct session *session = handover->session;
    for (uint32_t i = 0; i < handover->moved_count; i++) {
        retained_walk_move(handover->moved[i].old, handover->moved[i].new);
    }
    if (session->shared_count == 0) {
        return;
    }
    struct outgoing_ring *rings[] = {&session->outgoing.window, &session->outgoing.queue};
    for (size_t r = 0; r < 2; r++) {
        for (uint32_t at = 0; at < rings[r]->count; at++) {
            struct outgoing_entry *entry = outgoing_at(rings[r], at);
            if (entry->shared != NULL) {
                entry->shared = moved_to(place, handover, entry->shared);
            }
        }
    }
}

static void export_session(struct place *place, struct handover *handover)
{
    struct session *session = handover->session;
    /* What was published here before leaves before: what the session's client publishes at B may not overtake what it has
     * published here, and B drops what is A's only as long as it holds. */
    route_flush(place);
    redirect(place, handover);
    session_leave_full(place, session);
    subscription_clear(place, &session->subscriptions);
    session->handover = NULL;
    kept_leave(place, session);
    if (session->kept != NULL) {
        STATS_ADD(&place->stats, unloaded_bytes, -(uint64_t)session->kept->unloaded_bytes);
    }
    place_flush_port(place); /* what B submits about the session comes later */
    STATS_ADD(&place->stats, sessions, -1);
    STATS_ADD(&place->stats, stream_sessions, -(int)session->keeps_qos0);
    STATS_ADD(&place->stats, queued_messages, -(uint64_t)session->outgoing.queue.count);
    STATS_ADD(&place->stats, queued_bytes, -(uint64_t)session->outgoing.queue_bytes);
    post(place, handover->to, handover, on_import);
}

static void on_echo(struct place *place, struct mail *mail)
{
    struct barrier *barrier = (struct barrier *)mail;
    struct handover *handover = barrier->handover;
    unsigned origin = (unsigned)(barrier - handover->barriers);
    handover->cutoffs[origin] = barrier->number;
    if (--handover->echoes_left == 0) {
        export_session(place, handover);
    }
}

/* P: everything that was published up to here is on its way; what follows finds B. */
static void on_barrier(struct place *place, struct mail *mail)
{
    struct barrier *barrier = (struct barrier *)mail;
    route_flush(place);
    barrier->number = place->publication_number;
    barrier->mail = (struct mail){.receive = on_echo};
    mail_post(place, barrier->handover->from->index, &barrier->mail);
}

/* A: B holds. */
static void on_prepared(struct place *place, struct mail *mail)
{
    struct handover *handover = handover_of(mail);
    for (uint32_t i = 0; i < handover->moved_count; i++) {
        if (handover->moved[i].old->group != NULL) {
            share_remove(place, handover->moved[i].old); /* B's member is there already */
        }
    }
    unsigned places = place->broker->place_count;
    handover->cutoffs[place->index] = place->publication_number;
    handover->echoes_left = places - 1;
    for (unsigned p = 0; p < places; p++) {
        if (p != place->index) {
            struct barrier *barrier = &handover->barriers[p];
            barrier->handover = handover;
            barrier->mail = (struct mail){.receive = on_barrier};
            mail_post(place, p, &barrier->mail);
        }
    }
}

/* A: B could not subscribe for lack of memory: the session stays. */
static void on_failed(struct place *place, struct mail *mail)
{
    struct handover *handover = handover_of(mail);
    struct session *session = handover->session;
    session->handover = NULL;
    session_classify(place, session); /* it was passed over while it was moving */
    rest(place, session, handover);
    retained_walk_schedule(place, session);
    acquire_refuse(place, handover->acquire, REASON_SERVER_UNAVAILABLE);
    handover_free(handover);
    struct acquire *waiting = directory_settle(place, session);
    if (waiting != NULL) {
        directory_continue(place, session, waiting);
    }
}

/* B: subscribe in the session's name, holding what comes. */
static void on_prepare(struct place *place, struct mail *mail)
{
    struct handover *handover = handover_of(mail);
    for (uint32_t i = 0; i < handover->moved_count; i++) {
        const struct subscription *old = handover->moved[i].old;
        struct subscription_options options = {
            .id = old->id,
            .qos = old->qos,
            .retain_handling = old->retain_handling,
            .no_local = old->no_local,
            .retain_as_published = old->retain_as_published,
            .reads_some = old->reads_some,
            .is_durable = old->is_durable,
            .holding = handover,
        };
        if (subscription_put(place, handover->session, &handover->set, (struct bytes){old->full, old->full_len},
                             &options, &handover->moved[i].new, NULL) != TG_OK) {
            subscription_clear(place, &handover->set);
            while (handover->held != NULL) {
                struct held *held = handover->held;
                handover->held = held->next;
                held_free(place, held);
            }
            post(place, handover->from, handover, on_failed);
            return;
        }
        handover->moved[i].new->retained_stamp = old->retained_stamp;
        handover->moved[i].new->number = old->number;
    }
    post(place, handover->from, handover, on_prepared);
}

/* @return false without memory */
static bool list_subscriptions(struct handover *handover)
{
    const struct subscription_set *set = &handover->session->subscriptions;
    if (set->count == 0) {
        return true;
    }
    handover->moved = calloc(set->count, sizeof(*handover->moved));
    handover->ids = calloc(set->count, sizeof(*handover->ids));
    if (handover->moved == NULL || handover->ids == NULL) {
        return false;
    }
    uint32_t at = 0;
    for (struct subscription *s = subscription_next(set, &at); s != NULL; s = subscription_next(set, &at)) {
        handover->moved[handover->moved_count++].old = s;
    }
    return true;
}

/* A: nothing of the session moves by itself any more. */
static void freeze(struct place *place, struct handover *handover)
{
    struct session *session = handover->session;
    handover->expires_ms = timer_is_set(&session->timer) ? session->timer.due_ms : UINT64_MAX;
    timer_wheel_stop(place->wheel, &session->timer);
    handover->will_delayed = session->will != NULL && timer_is_set(&session->will->timer);
    will_disarm(place, session);
    retained_walk_unschedule(place, session);
    session->handover = handover;
}

static void on_start(struct place *place, struct mail *mail)
{
    struct handover *handover = handover_of(mail);
    struct session *session = handover->session;
    if (session->client != NULL) {
        STATS_ADD(&place->stats, takeovers, 1);
        client_close(session->client, REASON_SESSION_TAKEN_OVER, "taken over by another connection");
    }
    will_forget_restart(place, session);
    if (!session->ended && (handover->acquire->clean_start || session->expiry_s == 0)) {
        session_reset(place, session); /* [MQTT-3.1.2-4] */
        session->ended = true;
    }
    handover->present = !session->ended;
    session->ended = false;
    freeze(place, handover);
    if (!list_subscriptions(handover)) {
        on_failed(place, mail);
        return;
    }
    if (handover->moved_count == 0) {
        export_session(place, handover); /* nobody sends it anything */
        return;
    }
    post(place, handover->to, handover, on_prepare);
}

void handover_start(struct place *here, struct handover *handover)
{
    post(here, handover->from, handover, on_start);
}
