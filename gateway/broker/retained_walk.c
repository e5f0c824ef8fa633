#include "gateway/broker/retained_walk.h"

#include <stdlib.h>

#include "gateway/base/assert.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/deliver.h"
#include "gateway/broker/index.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/message.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/session.h"

#define SLICE_VALUES 256u

bool retained_walk_begin(struct place *place, struct session *session, struct subscription *subscription,
                         uint64_t stamp)
{
    retained_walk_drop(place, session, subscription); /* subscribed again: from the beginning */
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
    struct retained_walk **last = &session->walks;
    while (*last != NULL) {
        last = &(*last)->session_next;
    }
    *last = walk;
    retained_walk_schedule(place, session);
    return true;
}

void retained_walk_schedule(struct place *place, struct session *session)
{
    for (struct retained_walk *walk = session->walks; walk != NULL; walk = walk->session_next) {
        if (!walk->is_scheduled) {
            walk->is_scheduled = true;
            walk->place_next = place->walks;
            place->walks = walk;
        }
    }
}

/* Take WALK out of the list that begins at *AT. @return false if it does not stand there */
static bool take_out(struct retained_walk **at, const struct retained_walk *walk)
{
    while (*at != NULL && *at != walk) {
        at = &(*at)->place_next;
    }
    if (*at == NULL) {
        return false;
    }
    *at = walk->place_next;
    return true;
}

static void unschedule(struct place *place, struct retained_walk *walk)
{
    if (walk->is_scheduled) {
        walk->is_scheduled = false;
        TG_ASSERT(take_out(&place->walks, walk) || take_out(&place->running, walk));
    }
}

static void walk_free(struct place *place, struct retained_walk *walk)
{
    unschedule(place, walk);
    retained_cursor_fini(&walk->cursor);
    free(walk);
}

void retained_walk_drop(struct place *place, struct session *session, const struct subscription *subscription)
{
    for (struct retained_walk **at = &session->walks; *at != NULL; at = &(*at)->session_next) {
        struct retained_walk *walk = *at;
        if (walk->subscription == subscription) {
            *at = walk->session_next;
            walk_free(place, walk);
            return;
        }
    }
}

void retained_walk_unschedule(struct place *place, struct session *session)
{
    for (struct retained_walk *walk = session->walks; walk != NULL; walk = walk->session_next) {
        unschedule(place, walk);
    }
}

void retained_walk_clear(struct place *place, struct session *session)
{
    while (session->walks != NULL) {
        struct retained_walk *walk = session->walks;
        session->walks = walk->session_next;
        walk_free(place, walk);
    }
}

/* How many values SESSION takes now: what its window has room for, if they have QoS > 0, so that they never pile up in its queue. */
static size_t room(const struct place *place, const struct session *session, const struct subscription *subscription)
{
    const struct client *client = session->client;
    const struct outgoing *outgoing = &session->outgoing;
    if (client == NULL || client->state != CLIENT_CONNECTED || client->blocked || outgoing->queue.count > 0 ||
        outgoing->resend > 0 || client->out.len >= place->settings->limits.output_bytes) {
        return 0;
    }
    if (subscription->qos == 0) {
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
    if (subscription->reads_some &&
        !access->provider->may_read(access, session->identity, message_topic(message))) {
        STATS_ADD(&place->stats, dropped_denied, 1);
        return;
    }
    struct publication publication;
    publication_from_message(&publication, message);
    /* [MQTT-3.3.1-8] RETAIN 1: it is there because of the subscription */
    deliver_to_session(place, &publication, session, subscription->qos, true, &subscription->id,
                       subscription->id != 0, NULL);
    publication_fini(place, &publication);
}

/* One slice. @return true if it can go on at once. */
static bool run_slice(struct place *place, struct retained_walk *walk)
{
    struct message *values[SLICE_VALUES];
    size_t max = room(place, walk->session, walk->subscription);
    if (max == 0) {
        return false; /* session_pump() schedules it again */
    }
    size_t count =
        retained_cursor_next(place->broker->retained, &walk->cursor, place->now_ms, values, max);
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

bool retained_walk_run(struct place *place)
{
    place->running = place->walks;
    place->walks = NULL;
    while (place->running != NULL) { /* local_synced() may end walks */
        struct retained_walk *walk = place->running;
        place->running = walk->place_next;
        walk->is_scheduled = false;
        if (run_slice(place, walk)) {
            if (walk->cursor.done) {
                struct session *session = walk->session;
                retained_walk_drop(place, session, walk->subscription);
                if (session->walks == NULL && session->client->is_local) {
                    local_synced(session->client);
                }
            } else {
                walk->is_scheduled = true;
                walk->place_next = place->walks;
                place->walks = walk;
            }
        }
    }
    return place->walks != NULL;
}
