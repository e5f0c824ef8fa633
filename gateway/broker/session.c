/* What a session does with its messages, and how it begins and ends. The window and the queue are outgoing.h; who gets what is
 * decided in deliver.c. */
#include "gateway/broker/session.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/access/access.h"
#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/base/log.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/deliver.h"
#include "gateway/broker/directory.h"
#include "gateway/broker/index.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/load.h"
#include "gateway/broker/packet_ids.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/retained_walk.h"
#include "gateway/broker/share.h"
#include "gateway/broker/will.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"

static void on_expiry(struct timer *timer)
{
    struct session *session = TG_CONTAINER_OF(timer, struct session, timer);
    struct place *place = session->place;
    struct bytes id = session_client_id(session);
    log_debug("session expired", LOG_BYTES("client_id", id.data, id.len));
    STATS_ADD(&place->stats, sessions_expired, 1);
    session_end(place, session);
}

struct session *session_new(struct place *place, struct bytes client_id, uint64_t hash)
{
    struct session *session = calloc(1, sizeof(*session) + client_id.len + 1);
    if (session == NULL) {
        return NULL;
    }
    session->place = place;
    session->hash = hash;
    session->client_id_len = (uint16_t)client_id.len;
    memcpy(session->client_id, client_id.data, client_id.len);
    timer_init(&session->timer, on_expiry);
    STATS_ADD(&place->stats, sessions, 1);
    return session;
}

void session_set_keeps_qos0(struct place *place, struct session *session, bool keeps)
{
    STATS_ADD(&place->stats, stream_sessions, (int)keeps - (int)session->keeps_qos0);
    session->keeps_qos0 = keeps;
}

/* --- the queue -------------------------------------------------------------------------------------------------------- */

/* Bytes of ENTRY, which is in the queue, that are in the store alone. */
static size_t unloaded_size(const struct outgoing_entry *entry)
{
    return entry->message == NULL ? outgoing_size(entry) : 0;
}

/* Count ENTRY, which goes into the queue (SIGN 1) or leaves it (-1). */
static void count_queued(struct place *place, struct session *session, const struct outgoing_entry *entry, int sign)
{
    uint64_t size = (uint64_t)sign * outgoing_size(entry);
    uint64_t unloaded = (uint64_t)sign * unloaded_size(entry);
    session->outgoing.queue_bytes += size;
    STATS_ADD(&place->stats, queued_messages, sign);
    STATS_ADD(&place->stats, queued_bytes, size);
    if (unloaded != 0) {
        session->kept->unloaded_bytes += unloaded;
        STATS_ADD(&place->stats, unloaded_bytes, unloaded);
    }
}

static struct outgoing_entry queue_pop(struct place *place, struct session *session)
{
    struct outgoing_entry entry = outgoing_pop(&session->outgoing.queue);
    count_queued(place, session, &entry, -1);
    return entry;
}

static bool is_expired(const struct place *place, const struct outgoing_entry *entry)
{
    return entry->message != NULL ? entry->message->expires_ms <= place->now_ms
                                  : store_record_expires_ms(entry->record) <= place->wall_ms;
}

static void queue_drop_oldest(struct place *place, struct session *session)
{
    struct outgoing_entry entry = queue_pop(place, session);
    if (is_expired(place, &entry)) {
        STATS_ADD(&place->stats, dropped_expired, 1);
    } else {
        STATS_ADD(&place->stats, dropped_queue_full, 1);
    }
    kept_finish(place, session, &entry);
    outgoing_entry_fini(&entry);
}

void session_drop_queued(struct place *place, struct session *session, uint32_t at)
{
    struct outgoing_entry entry = outgoing_remove(&session->outgoing.queue, at);
    count_queued(place, session, &entry, -1);
    kept_finish(place, session, &entry);
    outgoing_entry_fini(&entry);
}

void session_loaded(struct place *place, struct session *session, struct outgoing_entry *entry, bool is_queued,
                    struct message *message)
{
    if (is_queued) {
        count_queued(place, session, entry, -1);
    }
    entry->message = message;
    if (is_queued) {
        count_queued(place, session, entry, 1);
    }
}

/* What bounds a session's queue. */
struct queue_bound {
    size_t messages;
    size_t bytes;
    enum queue_full_policy policy;
};

static struct queue_bound queue_bound(const struct session *session, const struct config_limits *limits)
{
    if (session->queue_max > 0) {
        return (struct queue_bound){session->queue_max, session->queue_bytes_max, QUEUE_DROP_OLDEST};
    }
    return (struct queue_bound){limits->queued_messages, limits->queued_bytes, limits->queue_full};
}

static bool queue_has_room(const struct session *session, const struct queue_bound *bound, size_t size)
{
    const struct outgoing *outgoing = &session->outgoing;
    return outgoing->queue.count < bound->messages && outgoing->queue_bytes + size <= bound->bytes;
}

static void drop_expired(struct place *place, struct session *session)
{
    const struct outgoing_ring *queue = &session->outgoing.queue;
    while (queue->count > 0 && is_expired(place, outgoing_at(queue, 0))) {
        queue_drop_oldest(place, session);
    }
}

/* Policy `refuse`: its publisher would have been refused, had it been known there that this queue is full. What was on its way then is
 * acknowledged, and kept: a mailbox's worth, and one message in bytes. */
static bool was_accepted(const struct session *session, const struct outgoing_entry *entry)
{
    return entry->message->qos > 0 && entry->qos > 0 && entry->shared == NULL && !session->keeps_qos0;
}

bool session_enqueue(struct place *place, struct session *session, struct outgoing_entry *entry)
{
    const struct queue_bound bound = queue_bound(session, &place->settings->limits);
    struct outgoing *outgoing = &session->outgoing;
    size_t size = outgoing_size(entry);
    drop_expired(place, session);
    bool is_owed = bound.policy == QUEUE_REFUSE && was_accepted(session, entry);
    bool fits = bound.messages > 0 && (size <= bound.bytes || is_owed);
    if (fits && bound.policy == QUEUE_DROP_OLDEST) {
        while (!queue_has_room(session, &bound, size)) {
            queue_drop_oldest(place, session);
        }
    }
    if (!fits || (!is_owed && !queue_has_room(session, &bound, size))) {
        STATS_ADD(&place->stats, dropped_queue_full, 1);
        outgoing->next_seq += entry->qos > 0;
        outgoing_entry_fini(entry);
        session_update_room(place, session);
        return false;
    }
    entry->state = OUTGOING_QUEUED;
    if (entry->qos > 0) {
        entry->seq = outgoing->next_seq++;
        kept_deliver(place, session, entry);
        kept_count(place, session);
    }
    if (session->client == NULL && entry->record != NULL && entry->shared == NULL) {
        message_unref(entry->message); /* the record has it until the store does */
        entry->message = NULL;
    }
    if (!outgoing_push(&outgoing->queue, entry)) {
        STATS_ADD(&place->stats, dropped_no_memory, 1);
        if (entry->record != NULL) {
            store_record_set_incomplete(entry->record);
        }
        kept_finish(place, session, entry);
        outgoing_entry_fini(entry);
        return false;
    }
    count_queued(place, session, entry, 1);
    session_update_room(place, session);
    return true;
}

bool session_restore(struct place *place, struct session *session, const struct outgoing_entry *entries, uint32_t count)
{
    struct outgoing *outgoing = &session->outgoing;
    uint32_t sent = 0;
    while (sent < count && entries[sent].state != OUTGOING_QUEUED) {
        outgoing->rerelease += entries[sent].state == OUTGOING_RERELEASE;
        sent++;
    }
    outgoing->resend = sent;
    if (entries[count - 1].seq >= outgoing->next_seq) {
        outgoing->next_seq = entries[count - 1].seq + 1;
    }
    if (!outgoing_fill(&outgoing->window, entries, sent) ||
        !outgoing_fill(&outgoing->queue, entries + sent, count - sent)) {
        return false;
    }
    for (uint32_t at = sent; at < count; at++) {
        count_queued(place, session, &entries[at], 1);
    }
    return true;
}

/* --- sending ---------------------------------------------------------------------------------------------------------- */

static bool output_has_room(const struct client *client)
{
    return client->out.len < client->place->settings->limits.output_bytes && !client->blocked;
}

static bool window_has_room(const struct session *session, uint64_t seq)
{
    const struct outgoing_ring *window = &session->outgoing.window;
    return window->count < session->client->window && (window->count == 0 || seq < outgoing_at(window, 0)->seq + 65535);
}

/* Send the PUBREL of ENTRY again, if an earlier connection left it to be repeated. */
static void rerelease(struct session *session, struct outgoing_entry *entry)
{
    if (entry->state == OUTGOING_RERELEASE) {
        session->outgoing.resend--;
        session->outgoing.rerelease--;
        entry->state = OUTGOING_RELEASED;
        reply_ack(session->client, STORE_TICKET_DONE, PACKET_PUBREL, outgoing_packet_id(entry->seq), 0, NULL);
    }
}

/* The window is full before resend_from: what is behind it and no PUBLISH must not wait for it. [MQTT-3.3.4-10] */
static void rerelease_rest(struct session *session)
{
    const struct outgoing *outgoing = &session->outgoing;
    for (uint32_t at = outgoing->resend_from; outgoing->rerelease > 0 && at < outgoing->window.count; at++) {
        rerelease(session, outgoing_at(&outgoing->window, at));
    }
}

/* Send again what an earlier connection left unfinished, in order, as far as output and Receive Maximum take it: what stands
 * before resend_from has been sent on this connection and is not acknowledged. */
static void resend(struct place *place, struct session *session)
{
    struct client *client = session->client;
    struct outgoing *outgoing = &session->outgoing;
    while (outgoing->resend > 0 && output_has_room(client)) {
        struct outgoing_entry *entry = outgoing_at(&outgoing->window, outgoing->resend_from);
        if (entry->state == OUTGOING_RESEND) {
            if (outgoing->resend_from >= client->window) {
                rerelease_rest(session);
                return; /* [MQTT-3.3.4-9] */
            }
            /* Else it had begun in time. Of QoS 2 the client may hold the packet id, and would take a later message for this one. */
            if (entry->is_restored && entry->qos < 2 && is_expired(place, entry)) {
                STATS_ADD(&place->stats, dropped_expired, 1);
                session_finish(place, session, outgoing->resend_from);
                continue; /* the next one has moved here */
            }
            if (entry->message == NULL && !load_entry(place, session, entry)) {
                return;
            }
            outgoing->resend--;
            entry->state = OUTGOING_SENT;
            enum deliver_result result = deliver_send(client, entry, true);
            if (result != DELIVER_SENT) {
                if (result == DELIVER_NO_MEMORY) {
                    return;
                }
                session_finish(place, session, outgoing->resend_from);
                continue; /* the next one has moved here */
            }
        }
        rerelease(session, entry);
        outgoing->resend_from++;
    }
}

/* Send the oldest message of the queue. @return false if the connection was given up. */
static bool send_next(struct place *place, struct session *session)
{
    struct outgoing *outgoing = &session->outgoing;
    struct outgoing_entry entry = *outgoing_at(&outgoing->queue, 0);
    if (is_expired(place, &entry)) {
        queue_drop_oldest(place, session);
        return true;
    }
    if (entry.qos > 0) {
        entry.state = OUTGOING_SENT;
        if (!outgoing_push(&outgoing->window, &entry)) { /* it stays in the queue */
            client_doom(session->client);
            return false;
        }
    }
    (void)queue_pop(place, session);
    enum deliver_result result = deliver_send(session->client, &entry, false);
    if (entry.qos == 0) {
        outgoing_entry_fini(&entry);
    } else if (result == DELIVER_TOO_LARGE) {
        session_finish(place, session, outgoing->window.count - 1); /* [MQTT-3.1.2-25] */
    }
    return result != DELIVER_NO_MEMORY;
}

void session_pump(struct place *place, struct session *session)
{
    struct client *client = session->client;
    if (client == NULL || client->state != CLIENT_CONNECTED) {
        return;
    }
    struct outgoing *outgoing = &session->outgoing;
    if (outgoing->resend > 0) {
        resend(place, session);
        if (outgoing->resend > 0) {
            return;
        }
    }
    while (outgoing->queue.count > 0 && output_has_room(client)) {
        struct outgoing_entry *next = outgoing_at(&outgoing->queue, 0);
        if (next->qos > 0 && !window_has_room(session, next->seq)) {
            break;
        }
        if (next->qos == 2 && next->record != NULL && !store_record_is_done(next->record)) {
            kept_wait(place, session); /* the publisher might publish it once more after a crash */
            break;
        }
        if (next->message == NULL && !is_expired(place, next) && !load_entry(place, session, next)) {
            break;
        }
        if (!send_next(place, session)) {
            return;
        }
    }
    if (session->walks != NULL && outgoing->queue.count == 0 && output_has_room(client)) {
        retained_walk_schedule(place, session);
    }
    if (session->shared_count > 0 || session->is_full) {
        session_update_room(place, session);
    }
}

void session_resume(struct place *place, struct session *session)
{
    session->outgoing.resend_from = 0;
    session_pump(place, session);
}

void session_finish(struct place *place, struct session *session, uint32_t at)
{
    struct outgoing_entry entry = outgoing_remove(&session->outgoing.window, at);
    outgoing_unmark(&session->outgoing, &entry);
    if (at < session->outgoing.resend_from) {
        session->outgoing.resend_from--;
    }
    kept_finish(place, session, &entry);
    outgoing_entry_fini(&entry);
}

/* --- room ------------------------------------------------------------------------------------------------------------- */

bool session_has_room(const struct session *session)
{
    return session->client != NULL && session->client->state == CLIENT_CONNECTED &&
           session->outgoing.queue.count == 0 && session->outgoing.window.count < session->client->window;
}

/* Who is full while nobody is connected is looked at by a timer. @return false without memory */
static bool list_full(struct place *place, struct session *session)
{
    if (place->full_count == place->full_capacity) {
        uint32_t capacity = place->full_capacity > 0 ? place->full_capacity * 2 : 16;
        struct session **grown = realloc(place->full, capacity * sizeof(struct session *));
        if (grown == NULL) {
            return false;
        }
        place->full = grown;
        place->full_capacity = capacity;
    }
    session->full_at = place->full_count;
    place->full[place->full_count++] = session;
    if (!timer_is_set(&place->full_timer)) {
        timer_wheel_set(place->wheel, &place->full_timer, place->now_ms + SESSION_SWEEP_MS);
    }
    return true;
}

static void unlist_full(struct place *place, const struct session *session)
{
    struct session *last = place->full[--place->full_count];
    place->full[session->full_at] = last;
    last->full_at = session->full_at;
}

static void count_full(struct place *place, struct session *session, bool is_full)
{
    if (!is_full) {
        unlist_full(place, session);
    } else if (!list_full(place, session)) {
        return; /* publishers are not refused, and what comes is dropped, counted */
    }
    session->is_full = is_full;
    uint32_t at = 0;
    for (struct subscription *s = subscription_next(&session->subscriptions, &at); s != NULL;
         s = subscription_next(&session->subscriptions, &at)) {
        subscription_count_full(s, is_full);
    }
}

/* A session may be in thousands of groups, and its room may change with each packet. So that it has none is said at once, lest it get
 * more; that it has room again once a turn. */
static void tell_groups(struct place *place, struct session *session, bool has_room)
{
    session->had_room = has_room;
    uint32_t at = 0;
    for (struct subscription *s = subscription_next(&session->subscriptions, &at); s != NULL;
         s = subscription_next(&session->subscriptions, &at)) {
        if (s->group != NULL) {
            share_update(place, s, has_room);
        }
    }
}

void session_update_room(struct place *place, struct session *session)
{
    const struct queue_bound bound = queue_bound(session, &place->settings->limits);
    bool is_full = bound.policy == QUEUE_REFUSE && session->outgoing.queue.count > 0 &&
                   (session->outgoing.queue.count >= bound.messages || session->outgoing.queue_bytes >= bound.bytes);
    if (is_full != session->is_full) {
        count_full(place, session, is_full);
    }
    bool has_room = session_has_room(session);
    if (session->shared_count == 0) {
        session->had_room = has_room;
    } else if (has_room && !session->had_room) {
        client_touch(session->client); /* session_tell_room() at the end of the turn */
    } else if (!has_room && session->had_room) {
        tell_groups(place, session, false);
    }
}

void session_tell_room(struct place *place, struct session *session)
{
    if (session->shared_count > 0 && !session->had_room && session_has_room(session)) {
        tell_groups(place, session, true);
    }
}

void session_leave_full(struct place *place, struct session *session)
{
    if (session->is_full) {
        count_full(place, session, false);
    }
}

bool session_sweep_full(struct place *place)
{
    for (uint32_t at = place->full_count; at > 0; at--) { /* from the end: one that leaves is replaced by the last */
        struct session *session = place->full[at - 1];
        drop_expired(place, session);
        session_update_room(place, session);
    }
    return place->full_count > 0;
}

/* --- connections ------------------------------------------------------------------------------------------------------ */

struct access_identity *session_identity_new(const struct session *session, struct bytes user_name)
{
    struct access_identity *identity = calloc(1, sizeof(*identity) + user_name.len);
    if (identity == NULL) {
        return NULL;
    }
    uint8_t *copy = (uint8_t *)(identity + 1);
    if (user_name.len > 0) {
        memcpy(copy, user_name.data, user_name.len);
    }
    identity->client_id = session_client_id(session);
    identity->user_name = (struct bytes){copy, user_name.len};
    return identity;
}

void session_identity_free(struct place *place, struct access_identity *identity)
{
    if (identity != NULL) {
        struct access *access = place->broker->access;
        access->provider->forget(access, identity);
        free(identity);
    }
}

void session_set_identity(struct place *place, struct session *session, struct access_identity *identity)
{
    session_identity_free(place, session->identity);
    session->identity = identity;
}

/* What the gateway itself receives is nobody's to read or not. */
static bool session_knows_no_rules(const struct place *place, const struct session *session)
{
    return place->broker->access->allows_all || (session->client != NULL && session->client->is_gateway);
}

void session_classify(struct place *place, struct session *session)
{
    struct access *access = place->broker->access;
    uint32_t at = 0;
    for (struct subscription *s =
             session_knows_no_rules(place, session) ? NULL : subscription_next(&session->subscriptions, &at);
         s != NULL; s = subscription_next(&session->subscriptions, &at)) {
        s->reads_some = access->provider->classify(access, session->identity, filter_text(s->filter)) != ACCESS_ALL;
    }
}

bool session_is_welcome(struct place *place, const struct session *session)
{
    struct access *access = place->broker->access;
    return session_knows_no_rules(place, session) || access->provider->is_welcome == NULL ||
           access->provider->is_welcome(access, session->identity);
}

void session_set_expiry(struct place *place, struct session *session, uint32_t expiry_s)
{
    bool was_durable = session_is_durable(session);
    session->expiry_s = expiry_s;
    if (was_durable != session_is_durable(session)) {
        subscription_set_durable(place, &session->subscriptions, session_is_lasting(session));
    }
}

void session_attach(struct place *place, struct session *session, struct client *client)
{
    TG_ASSERT(session->client == NULL);
    timer_wheel_stop(place->wheel, &session->timer);
    will_drop(place, session); /* [MQTT-3.1.3-9] back in time; a new CONNECT brings its own will */
    session->client = client;
    client->session = session;
}

/* Take the delivery AT of RING out of SESSION, which need not finish it any more: whoever gets it instead does. */
static struct outgoing_entry take_back(struct place *place, struct session *session, struct outgoing_ring *ring,
                                       uint32_t at)
{
    struct outgoing_entry taken = outgoing_remove(ring, at);
    if (ring == &session->outgoing.queue) {
        count_queued(place, session, &taken, -1);
    } else {
        outgoing_unmark(&session->outgoing, &taken);
    }
    return taken;
}

/* The records of what has moved to other sessions. */
struct moves {
    struct store_ticket *tickets; /* owned, heap */
    size_t count;
    size_t capacity;
};

/* Without memory the end of the session does not wait for this one. */
static void moves_add(struct moves *moves, struct store_record *record)
{
    if (moves->count == moves->capacity) {
        size_t capacity = moves->capacity > 0 ? 2 * moves->capacity : 16;
        struct store_ticket *grown = realloc(moves->tickets, capacity * sizeof(*grown));
        if (grown == NULL) {
            return;
        }
        moves->tickets = grown;
        moves->capacity = capacity;
    }
    moves->tickets[moves->count++] = (struct store_ticket){.record = store_record_ref(record)};
}

/* QoS 1 that this session was given as a member of a group, and did not acknowledge, goes to another member [MQTT-4.8.2-5]: at the end
 * of the session (MOVES: what it must wait for; NULL: it goes on) in any case, else if there is one that can take it; what nobody else can
 * take is to be repeated here. */
static void give_back_shared(struct place *place, struct session *session, struct moves *moves)
{
    struct outgoing_ring *rings[] = {&session->outgoing.window, &session->outgoing.queue};
    uint32_t counts[] = {rings[0]->count, rings[1]->count}; /* what comes back to this session is not given again */
    for (size_t r = 0; r < 2; r++) {
        uint32_t at = 0;
        for (uint32_t n = counts[r]; n > 0; n--) {
            const struct outgoing_entry *entry = outgoing_at(rings[r], at);
            if (entry->shared == NULL || entry->qos != 1 || entry->message == NULL ||
                (moves == NULL && !share_is_ready(place, entry->shared->group))) {
                at++;
                continue;
            }
            struct share_group *group = entry->shared->group;
            struct outgoing_entry taken = take_back(place, session, rings[r], at);
            struct publication publication;
            publication_from_message(&publication, taken.message);
            if (taken.record != NULL &&
                publication_keep(place, &publication, false)) { /* a move: added there, then finished here */
                store_record_replace(publication.record, taken.record, taken.recipient);
                taken.record = NULL;
                kept_mark_position(place, session);
                if (moves != NULL) {
                    moves_add(moves, publication.record);
                }
            }
            (void)share_dispatch(place, group, &publication);
            publication_fini(place, &publication);
            kept_finish(place, session, &taken);
            outgoing_entry_fini(&taken);
        }
    }
}

/* Nobody is there to be chosen for a group through this session any more. */
static void leave_groups(struct place *place, struct session *session)
{
    uint32_t at = 0;
    for (struct subscription *s = subscription_next(&session->subscriptions, &at); s != NULL;
         s = subscription_next(&session->subscriptions, &at)) {
        if (s->group != NULL) {
            share_remove(place, s);
        }
    }
}

/* What is in flight is to be repeated on the next connection. */
static void mark_unfinished(struct session *session)
{
    struct outgoing *outgoing = &session->outgoing;
    outgoing->resend = 0;
    outgoing->rerelease = 0;
    outgoing->resend_from = 0;
    for (uint32_t at = 0; at < outgoing->window.count; at++) {
        struct outgoing_entry *entry = outgoing_at(&outgoing->window, at);
        bool is_released = entry->state == OUTGOING_RELEASED || entry->state == OUTGOING_RERELEASE;
        entry->state = is_released ? OUTGOING_RERELEASE : OUTGOING_RESEND;
        outgoing->resend++;
        outgoing->rerelease += is_released;
    }
}

void session_detach(struct place *place, struct session *session, bool with_will)
{
    if (!with_will) {
        will_drop(place, session);
    } else if (session->will != NULL && session->expiry_s > 0) {
        uint32_t delay_s = session->will->delay_s < session->expiry_s ? session->will->delay_s : session->expiry_s;
        if (delay_s > 0) {
            will_arm(place, session, delay_s);
        } else {
            will_publish(place, session);
        }
    }
    if (session->expiry_s == 0) {
        session_end(place, session); /* publishes the will */
        return;
    }
    mark_unfinished(session);
    kept_detached(place, session);
    session_update_room(place, session);
    if (session->shared_count > 0 && place->settings->limits.shared_redeliver_on_disconnect) {
        give_back_shared(place, session, NULL);
    }
    if (session->expiry_s != SESSION_NEVER_EXPIRES) {
        timer_wheel_set(place->wheel, &session->timer, place->now_ms + (uint64_t)session->expiry_s * 1000);
    }
}

static void ring_clear(struct outgoing_ring *ring)
{
    while (ring->count > 0) {
        struct outgoing_entry entry = outgoing_pop(ring);
        outgoing_entry_fini(&entry);
    }
    outgoing_ring_fini(ring);
}

/* Free all state but the session itself. */
static void clear(struct place *place, struct session *session)
{
    timer_wheel_stop(place->wheel, &session->timer);
    will_free(place, session);
    retained_walk_clear(place, session);
    session_leave_full(place, session);
    STATS_ADD(&place->stats, queued_messages, -(uint64_t)session->outgoing.queue.count);
    STATS_ADD(&place->stats, queued_bytes, -(uint64_t)session->outgoing.queue_bytes);
    if (session->kept != NULL) {
        STATS_ADD(&place->stats, unloaded_bytes, -(uint64_t)session->kept->unloaded_bytes);
        session->kept->unloaded_bytes = 0;
    }
    ring_clear(&session->outgoing.window);
    ring_clear(&session->outgoing.queue);
    subscription_clear(place, &session->subscriptions); /* it looks in the rings for what came by them */
    session->outgoing = (struct outgoing){.next_seq = session->outgoing.next_seq};
    packet_ids_free(session->received);
    session->received = NULL;
    session->shared_count = 0;
}

/* The store may forget what SESSION does not get any more. */
static void finish_all(struct place *place, struct session *session)
{
    struct outgoing_ring *rings[] = {&session->outgoing.window, &session->outgoing.queue};
    for (size_t r = 0; r < 2; r++) {
        for (uint32_t at = 0; at < rings[r]->count; at++) {
            kept_finish(place, session, outgoing_at(rings[r], at));
        }
    }
}

void session_reset(struct place *place, struct session *session)
{
    struct moves moves = {0};
    will_publish(place, session);
    if (session->shared_count > 0) {
        leave_groups(place, session);
        give_back_shared(place, session, &moves);
    }
    kept_end_after(place, session, moves.tickets, moves.count);
    finish_all(place, session);
    kept_leave(place, session);
    clear(place, session);
    session->expiry_s = 0;
}

void session_end(struct place *place, struct session *session)
{
    TG_ASSERT(session->client == NULL);
    session_reset(place, session);
    session->ended = true;
    if (directory_remove(place->broker->directory, session)) {
        session_free(place, session);
    }
}

void session_free(struct place *place, struct session *session)
{
    clear(place, session);
    kept_free(place, session);
    session_set_identity(place, session, NULL);
    session_set_keeps_qos0(place, session, false);
    STATS_ADD(&place->stats, sessions, -1);
    free(session);
}
