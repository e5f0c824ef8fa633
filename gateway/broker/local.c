#include "gateway/broker/local.h"

#include <stdlib.h>

#include "gateway/access/access.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscribe_one.h"
#include "gateway/broker/subscription.h"
#include "gateway/store/message.h"
#include "protocol/reason.h"
#include "protocol/subscribe.h"

struct local { /* owner: the place's thread */
    struct client *client;
    const struct local_ops *ops;
    void *owner;
    uint32_t expiry_s;   /* what local_open() said */
    const char *why;     /* why it ended */
    uint64_t dropped;    /* messages of QoS 0, since local_open() */
    size_t window_bytes; /* of what was handed over and is not finished */
    uint8_t reason_code;
    bool has_messages; /* since the last on_end_turn() */
    bool wants_open;   /* the session is there: on_open() follows at the end of the turn */
    bool is_turn_end;  /* that is now */
    bool wants_pump;   /* it can take more than it was given */
};

static struct local *local_of(struct client *client)
{
    return client->transport;
}

/* --- as a transport -------------------------------------------------------------------------------------------------------- */

static void transport_flush(void *transport)
{
    (void)transport; /* a local client has no output of bytes */
}

static void transport_pause(void *transport, bool paused)
{
    (void)transport; /* it sends nothing that could be held up */
    (void)paused;
}

static void transport_close(void *transport)
{
    struct local *local = transport;
    local->ops->on_close(local->owner, local->reason_code, local->why);
    client_gone(local->client, CLIENT_END_CLOSED);
    free(local);
}

static void transport_describe(void *transport, char *buf, size_t cap)
{
    struct local *local = transport;
    local->ops->describe(local->owner, buf, cap);
}

static const struct client_transport local_transport = {
    .flush = transport_flush,
    .pause = transport_pause,
    .close = transport_close,
    .describe = transport_describe,
    .name = "local",
    .kind = TRANSPORT_LOCAL,
};

/* --- what the core tells ---------------------------------------------------------------------------------------------------- */

bool local_may_open(struct client *client)
{
    struct local *local = local_of(client);
    if (!local->is_turn_end) {
        local->wants_open = true;
        client_touch(client);
    }
    return local->is_turn_end;
}

static size_t size_of(struct bytes topic, struct bytes properties, struct bytes payload)
{
    return topic.len + properties.len + payload.len;
}

static size_t size_of_entry(const struct outgoing_entry *entry)
{
    size_t size = outgoing_size(entry);
    return size == 0 ? 0 : size - sizeof(struct message);
}

void local_opened(struct client *client, bool session_present)
{
    struct local *local = local_of(client);
    const struct outgoing_ring *window = &client->session->outgoing.window;
    for (uint32_t at = 0; at < window->count; at++) {
        local->window_bytes += size_of_entry(outgoing_at(window, at));
    }
    local->has_messages = true; /* perhaps: on_end_turn() tells what follows */
    local->ops->on_open(local->owner, session_present);
}

void local_deliver(struct client *client, const struct local_message *message)
{
    struct local *local = local_of(client);
    local->has_messages = true;
    if (message->qos > 0 && !message->is_repeated) {
        local->window_bytes += size_of(message->topic, message->properties, message->payload);
    }
    local->ops->on_message(local->owner, message);
    client_touch(client);
}

void local_synced(struct client *client)
{
    struct local *local = local_of(client);
    local->ops->on_synced(local->owner);
    client_touch(client);
}

void local_end_turn(struct client *client)
{
    struct local *local = local_of(client);
    if (local->wants_open && client->state == CLIENT_CONNECTING) {
        local->wants_open = false;
        local->is_turn_end = true;
        connecting_finish(client);
        local->is_turn_end = false;
    }
    if (client->state != CLIENT_CONNECTED) {
        return;
    }
    if (local->wants_pump) {
        local->wants_pump = false;
        session_pump(client->place, client->session);
    }
    if (local->has_messages) {
        local->has_messages = false;
        if (local->ops->on_end_turn != NULL) {
            local->ops->on_end_turn(local->owner);
        }
    }
}

void local_note_dropped(struct client *client)
{
    struct local *local = local_of(client);
    local->dropped++;
    local->has_messages = true; /* of its absence on_end_turn() tells, too */
    client_touch(client);
}

void local_note_end(struct client *client, uint8_t reason_code, const char *why)
{
    struct local *local = local_of(client);
    local->reason_code = reason_code;
    local->why = why;
}

/* --- the interface ----------------------------------------------------------------------------------------------------------- */

struct local *local_open(struct place *place, const struct local_ops *ops, void *owner,
                         const struct local_options *options, struct access_identity *identity)
{
    struct local *local = calloc(1, sizeof(*local));
    if (local != NULL) { /* client_new() may ask who it is */
        *local = (struct local){.ops = ops, .owner = owner, .expiry_s = options->expiry_s};
    }
    struct client *client = local != NULL ? client_new(place, &local_transport, local) : NULL;
    if (client == NULL) {
        session_identity_free(place, identity);
        free(local);
        return NULL;
    }
    local->client = client;
    client->is_local = true;
    client->is_gateway = options->is_gateway;
    if (client->state == CLIENT_CLOSING) { /* the server is going down: on_close() follows */
        local_note_end(client, REASON_SERVER_SHUTTING_DOWN, "server is shutting down");
        session_identity_free(place, identity);
        return local;
    }
    if (!connecting_open_local(client, options, identity)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
    }
    return local;
}

struct bytes local_client_id(const struct local *local)
{
    return client_id(local->client);
}

/* Its session may have been taken, or the server may go down: on_close() comes at the end of the turn. */
static bool is_open(const struct local *local)
{
    return local->client->state == CLIENT_CONNECTED;
}

uint8_t local_subscribe(struct local *local, const struct local_subscription *subscription, const char **why)
{
    struct subscribe_entry entry = {
        .filter = subscription->filter,
        .qos = subscription->qos,
        .no_local = subscription->no_local,
        .retain_as_published = subscription->retain_as_published,
        .retain_handling = subscription->retain_handling,
    };
    if (!is_open(local)) {
        if (why != NULL) {
            *why = "the session is not there any more";
        }
        return REASON_SESSION_TAKEN_OVER;
    }
    const char *reason = NULL;
    struct store_write *writes = NULL;
    uint8_t code = subscribe_one(local->client, &entry, subscription->id, &writes, &reason);
    kept_forget(local->client->place, writes);
    if (why != NULL) {
        *why = reason;
    }
    return code;
}

static void unsubscribe(struct place *place, struct session *session, struct subscription *subscription)
{
    struct store_write *writes = NULL;
    if (kept_subscription(session, subscription, true, &writes)) {
        kept_forget(place, writes);
    }
    subscription_remove(place, &session->subscriptions, subscription);
}

bool local_unsubscribe(struct local *local, struct bytes filter)
{
    if (!is_open(local)) {
        return false;
    }
    struct place *place = local->client->place;
    struct session *session = local->client->session;
    struct subscription *subscription = subscription_find(&session->subscriptions, filter, place->broker->hash_seed);
    if (subscription == NULL) {
        return false;
    }
    unsubscribe(place, session, subscription);
    return true;
}

void local_unsubscribe_others(struct local *local, const struct bytes *filters, size_t count)
{
    if (!is_open(local)) {
        return;
    }
    struct subscription_set *set = &local->client->session->subscriptions;
    uint32_t at = 0;
    struct subscription *s = subscription_next(set, &at);
    while (s != NULL) {
        bool stays = false;
        for (size_t i = 0; i < count && !stays; i++) {
            stays = bytes_equal((struct bytes){s->full, s->full_len}, filters[i]);
        }
        if (!stays) {
            unsubscribe(local->client->place, local->client->session, s);
            at = 0; /* the others may have moved */
        }
        s = subscription_next(set, &at);
    }
}

/* Finish the oldest of what was handed over. */
static void finish_oldest(struct local *local)
{
    struct session *session = local->client->session;
    local->window_bytes -= size_of_entry(outgoing_at(&session->outgoing.window, 0));
    session_finish(local->client->place, session, 0);
}

/* The window has room: what waits for it comes at the end of the turn. */
static void go_on(struct local *local)
{
    const struct session *session = local->client->session;
    if (session->outgoing.queue.count > 0 || session->outgoing.resend > 0 || session->walks != NULL) {
        local->wants_pump = true;
        client_touch(local->client);
    }
}

void local_finish_up_to(struct local *local, uint64_t seq)
{
    if (!is_open(local)) {
        return;
    }
    const struct outgoing_ring *window = &local->client->session->outgoing.window;
    while (window->count > 0 && outgoing_at(window, 0)->seq <= seq) {
        finish_oldest(local);
    }
    go_on(local);
}

void local_finish_beyond(struct local *local, uint32_t messages, size_t bytes)
{
    if (!is_open(local)) {
        return;
    }
    const struct outgoing_ring *window = &local->client->session->outgoing.window;
    while (window->count > 0 && (window->count > messages || local->window_bytes > bytes)) {
        finish_oldest(local);
    }
    go_on(local);
}

uint64_t local_first_seq(const struct local *local)
{
    if (!is_open(local)) {
        return 0;
    }
    const struct outgoing *outgoing = &local->client->session->outgoing;
    if (outgoing->window.count > 0) {
        return outgoing_at(&outgoing->window, 0)->seq;
    }
    /* QoS 0 that was queued for another kind of connection has no number */
    for (uint32_t at = 0; at < outgoing->queue.count; at++) {
        const struct outgoing_entry *entry = outgoing_at(&outgoing->queue, at);
        if (entry->qos > 0) {
            return entry->seq;
        }
    }
    return outgoing->next_seq;
}

uint64_t local_next_seq(const struct local *local)
{
    return is_open(local) ? local->client->session->outgoing.next_seq : 0;
}

bool local_is_synced(const struct local *local)
{
    if (!is_open(local)) {
        return true;
    }
    const struct session *session = local->client->session;
    return session->walks == NULL && session->outgoing.queue.count == 0 && session->outgoing.resend == 0;
}

bool local_may_read(const struct local *local, struct bytes topic)
{
    struct access *access = local->client->place->broker->access;
    return is_open(local) &&
           (access->allows_all || access->provider->may_read(access, local->client->session->identity, topic));
}

uint64_t local_dropped(const struct local *local)
{
    return local->dropped;
}

void local_set_blocked(struct local *local, bool blocked)
{
    struct client *client = local->client;
    client->blocked = blocked;
    if (!blocked) {
        client_touch(client);
        local->wants_pump = true;
    }
}

void local_close(struct local *local, uint32_t expiry_s)
{
    struct client *client = local->client;
    if (client->state == CLIENT_CLOSING) {
        return;
    }
    local_note_end(client, REASON_SUCCESS, "closed");
    if (client->session != NULL && expiry_s != UINT32_MAX) {
        session_set_expiry(client->place, client->session, expiry_s);
    }
    client_end_quietly(client, false, REASON_SUCCESS, "closed");
}
