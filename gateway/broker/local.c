#include "gateway/broker/local.h"

#include <stdlib.h>

#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscribe_one.h"
#include "protocol/reason.h"
#include "protocol/subscribe.h"

struct local { /* owner: the place's thread */
    struct client *client;
    const struct local_ops *ops;
    void *owner;
    uint32_t expiry_s; /* what local_open() said */
    const char *why;   /* why it ended */
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

void local_opened(struct client *client, bool session_present)
{
    struct local *local = local_of(client);
    local->ops->on_open(local->owner, session_present);
}

void local_deliver(struct client *client, const struct local_message *message)
{
    struct local *local = local_of(client);
    local->has_messages = true;
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
    uint8_t code = subscribe_one(local->client, &entry, subscription->id, &reason);
    if (why != NULL) {
        *why = reason;
    }
    return code;
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
    subscription_remove(place, &session->subscriptions, subscription);
    return true;
}

void local_finish_up_to(struct local *local, uint64_t seq)
{
    if (!is_open(local)) {
        return;
    }
    struct place *place = local->client->place;
    struct session *session = local->client->session;
    struct outgoing *outgoing = &session->outgoing;
    while (outgoing->window.count > 0 && outgoing_at(&outgoing->window, 0)->seq <= seq) {
        session_finish(place, session, 0);
    }
    client_touch(local->client);
    local->wants_pump = true;
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
