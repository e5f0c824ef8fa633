#include "gateway/broker/retained_walk.h"

#include <stdlib.h>

#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/deliver.h"
#include "gateway/broker/index.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscription.h"
#include "gateway/store/message.h"

#define SLICE_VALUES  256u
#define COST_PER_TURN 1024u /* of all slices, see struct retained_cursor; the last may go beyond it */

/* --- the walks of a session, and whose turn it is ------------------------------------------------------------------------- */

static void append(struct session *session, struct retained_walk *walk)
{
    struct retained_walk *oldest = session->walks;
    if (oldest == NULL) {
        session->walks = walk;
        walk->prev = walk;
        return;
    }
    walk->prev = oldest->prev;
    oldest->prev->next = walk;
    oldest->prev = walk;
}

static void take_out(struct session *session, struct retained_walk *walk)
{
    struct retained_walk *next = walk->next;
    if (session->walks == walk) {
        session->walks = next;
    } else {
        walk->prev->next = next;
    }
    if (next != NULL) {
        next->prev = walk->prev;
    } else if (session->walks != NULL) {
        session->walks->prev = walk->prev;
    }
}

static void schedule(struct place *place, struct retained_walk *walk)
{
    if (!walk->is_scheduled) {
        walk->is_scheduled = true;
        TAILQ_INSERT_TAIL(&place->walks, walk, turns);
    }
}

static void unschedule(struct place *place, struct retained_walk *walk)
{
    if (walk->is_scheduled) {
        walk->is_scheduled = false;
        TAILQ_REMOVE(&place->walks, walk, turns);
    }
}

static void walk_free(struct place *place, struct retained_walk *walk)
{
    struct session *session = walk->session;
    bool was_scheduled = walk->is_scheduled;
    unschedule(place, walk);
    take_out(session, walk);
    if (was_scheduled) {
        retained_walk_schedule(place, session);
    }
    walk->subscription->walk = NULL;
    retained_cursor_fini(&walk->cursor);
    free(walk);
}

bool retained_walk_begin(struct place *place, struct session *session, struct subscription *subscription,
                         uint64_t stamp)
{
    retained_walk_drop(place, subscription); /* subscribed again: from the beginning */
    struct retained_walk *walk = calloc(1, sizeof(*walk));
    if (walk == NULL) {
        return false;
    }
    if (retained_cursor_init(&walk->cursor, filter_text(subscription->filter), stamp) != TG_OK) {
        free(walk);
        return false;
    }
    walk->session = session;
    walk->subscription = subscription;
    subscription->walk = walk;
    append(session, walk);
    retained_walk_schedule(place, session);
    return true;
}

void retained_walk_schedule(struct place *place, struct session *session)
{
    if (session->walks != NULL) {
        schedule(place, session->walks);
    }
}

void retained_walk_drop(struct place *place, struct subscription *subscription)
{
    if (subscription->walk != NULL) {
        walk_free(place, subscription->walk);
    }
}

void retained_walk_move(struct subscription *from, struct subscription *to)
{
    struct retained_walk *walk = from->walk;
    if (walk != NULL) {
        walk->subscription = to;
        to->walk = walk;
        from->walk = NULL;
    }
}

void retained_walk_unschedule(struct place *place, struct session *session)
{
    if (session->walks != NULL) {
        unschedule(place, session->walks);
    }
}

void retained_walk_clear(struct place *place, struct session *session)
{
    while (session->walks != NULL) {
        walk_free(place, session->walks);
    }
}

/* --- walking --------------------------------------------------------------------------------------------------------------- */

/* How many values SESSION takes now: what its window has room for, if they have QoS > 0, so that they never pile up in its queue. */
static size_t room(const struct place *place, const struct session *session, const struct subscription *subscription)
{
    const struct client *client = session->client;
    const struct outgoing *outgoing = &session->outgoing;
    if (client == NULL || client->state != CLIENT_CONNECTED || client->blocked || outgoing->queue.count > 0 ||
        outgoing->resend > 0 || client->out.len >= place->settings->limits.output_bytes) {
        return 0;
    }
    if (subscription->qos == 0 && !session->keeps_qos0) {
        return SLICE_VALUES;
    }
    size_t window = client->window > outgoing->window.count ? client->window - outgoing->window.count : 0;
    return window < SLICE_VALUES ? window : SLICE_VALUES;
}

static void send_value(struct place *place, struct retained_walk *walk, struct message *message)
{
    struct session *session = walk->session;
    const struct subscription *subscription = walk->subscription;
    if (subscription->no_local && message->publisher == session->hash) {
        return;
    }
    struct access *access = place->broker->access;
    if (subscription->reads_some && !access->provider->may_read(access, session->identity, message_topic(message))) {
        STATS_ADD(&place->stats, dropped_denied, 1);
        return;
    }
    struct publication publication;
    publication_from_message(&publication, message);
    if (session->kept != NULL && message->qos > 0 && subscription->qos > 0) {
        (void)publication_keep(place, &publication, false); /* what it is sent must last, like all that it is sent */
    }
    /* [MQTT-3.3.1-8] RETAIN 1: it is there because of the subscription */
    deliver_to_session(place, &publication, session, subscription->qos, true, &subscription->id, subscription->id != 0,
                       NULL);
    publication_fini(place, &publication);
}

/* One slice. @return true if it can go on at once. */
static bool run_slice(struct place *place, struct retained_walk *walk)
{
    struct message *values[SLICE_VALUES];
    size_t max = room(place, walk->session, walk->subscription);
    if (max == 0) {
        walk->cursor.cost = 0;
        return false; /* session_pump() schedules it again */
    }
    size_t count = retained_cursor_next(place->broker->retained, &walk->cursor, place->now_ms, values, max);
    size_t sent = 0;
    while (sent < count && (sent == 0 || room(place, walk->session, walk->subscription) > 0)) {
        send_value(place, walk, values[sent++]);
    }
    if (sent < count) {
        /* they are larger than there is room for: the others come when the client has taken these */
        retained_cursor_put_back(place->broker->retained, &walk->cursor, values[sent - 1]);
    }
    for (size_t i = 0; i < count; i++) {
        message_unref(values[i]);
    }
    return true;
}

/* WALK, which was next, has had its slice and CAN_GO_ON: let its session's next slice come last. */
static void take_turns(struct place *place, struct retained_walk *walk, bool can_go_on)
{
    struct session *session = walk->session;
    unschedule(place, walk);
    if (!walk->cursor.done) {
        if (can_go_on) {
            schedule(place, walk);
        }
        return;
    }
    walk_free(place, walk);
    retained_walk_schedule(place, session);
    if (session->walks == NULL && session->client->is_local) {
        local_synced(session->client); /* may end SESSION, or any other local client's */
    }
}

bool retained_walk_run(struct place *place)
{
    uint32_t cost = 0;
    struct retained_walk *walk;
    while ((walk = TAILQ_FIRST(&place->walks)) != NULL && cost < COST_PER_TURN) {
        bool can_go_on = run_slice(place, walk);
        cost += walk->cursor.cost;
        take_turns(place, walk, can_go_on);
    }
    return walk != NULL;
}
