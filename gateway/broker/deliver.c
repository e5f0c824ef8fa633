#include "gateway/broker/deliver.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/access/access.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/handover.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/local.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/outgoing.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscription.h"
#include "gateway/store/message.h"
#include "protocol/publish.h"

#define FAN_OUT_MIN         4u    /* receivers from which on bytes are shared */
#define SHARE_PAYLOAD_BYTES 2048u /* payload from which on it is shared though the heads differ */
#define IDS_STACK_BYTES     1024u /* of encoded Subscription Identifiers in one PUBLISH; more are on the heap */
#define ID_BYTES_MAX        5u    /* of one of them */

/* One message for one session: what all its matching subscriptions make of it. */
struct delivery {
    struct session *session;
    struct subscription *shared; /* the member's subscription, if it comes by a shared group */
    const uint32_t *ids;
    uint32_t id_count;
    uint8_t qos; /* the highest of them */
    bool retain; /* the RETAIN flag that the client sees */
};

/* --- writing PUBLISH packets ------------------------------------------------------------------------------------------ */

struct publish_parts {
    struct publish_head head;
    struct bytes payload;
    const struct outq_shared *shared_payload; /* NULL: copy it */
    const uint32_t *ids;                      /* Subscription Identifiers */
    uint32_t id_count;
    uint64_t seq; /* of the session, for QoS > 0 */
    uint8_t published_qos;
};

/* Let HEAD use an alias, if CLIENT takes them and the packet stays small enough. */
static void apply_alias(struct client *client, struct publish_head *head, size_t len)
{
    if (client->aliases_out == NULL || len + 3 > client_max_packet(client)) {
        return;
    }
    bool is_new;
    head->topic_alias = alias_out_find(client, head->topic, &is_new);
    if (head->topic_alias != 0 && !is_new) {
        head->topic.len = 0;
    }
}

static enum deliver_result write_encoded(struct client *client, struct publish_parts *parts)
{
    struct place *place = client->place;
    struct publish_head *head = &parts->head;
    enum mqtt_version version = client->version;
    size_t len = publish_encoded_len(head, version);
    if (len > client_max_packet(client)) {
        STATS_ADD(&place->stats, dropped_too_large, 1);
        return DELIVER_TOO_LARGE;
    }
    if (version == MQTT_5_0) {
        apply_alias(client, head, len);
        len = client->aliases_out != NULL ? publish_encoded_len(head, version) : len;
    }
    size_t copied = parts->shared_payload != NULL ? len - parts->payload.len : len;
    uint8_t *room = client_append(client, copied);
    if (room == NULL) {
        client_doom(client);
        return DELIVER_NO_MEMORY;
    }
    size_t head_len = publish_encode_head(room, copied, head, version, NULL);
    if (parts->shared_payload != NULL) {
        if (!outq_append_shared(place->pool, &client->out, parts->shared_payload)) {
            client_unappend(client, copied);
            client_doom(client);
            return DELIVER_NO_MEMORY;
        }
    } else if (parts->payload.len > 0) {
        memcpy(room + head_len, parts->payload.data, parts->payload.len);
    }
    STATS_ADD(&place->stats, packets_sent, 1);
    STATS_ADD(&place->stats, publish_sent[head->qos], 1);
    STATS_ADD(&place->stats, publish_bytes_sent[head->qos], parts->payload.len);
    return DELIVER_SENT;
}

/* With all identifiers [MQTT-3.3.4-4]; few subscriptions of a client overlap, so the stack nearly always has room. */
static __attribute__((noinline)) enum deliver_result write_with_ids(struct client *client, struct publish_parts *parts)
{
    uint8_t small[IDS_STACK_BYTES];
    size_t cap = (size_t)parts->id_count * ID_BYTES_MAX;
    uint8_t *buf = cap <= sizeof(small) ? small : malloc(cap);
    size_t len = 0;
    if (buf == NULL) {
        client_doom(client);
        return DELIVER_NO_MEMORY;
    }
    for (uint32_t i = 0; i < parts->id_count; i++) {
        len += property_encode_subscription_identifier(buf + len, cap - len, parts->ids[i]);
    }
    parts->head.subscription_ids = (struct bytes){buf, len};
    enum deliver_result result = write_encoded(client, parts);
    parts->head.subscription_ids = (struct bytes){NULL, 0};
    if (buf != small) {
        free(buf);
    }
    return result;
}

static enum deliver_result hand_over(struct client *client, const struct publish_parts *parts)
{
    const struct publish_head *head = &parts->head;
    struct local_message message = {
        .topic = head->topic,
        .payload = parts->payload,
        .properties = head->forwarded_properties,
        .seq = parts->seq,
        .expiry_s = head->message_expiry_interval_s,
        .has_expiry = head->has_message_expiry,
        .retain = head->retain,
        .is_repeated = head->dup,
        .qos = head->qos > 0, /* 2 is left of an MQTT client that had the session */
        .published_qos = parts->published_qos,
        .ids = parts->ids,
        .id_count = parts->id_count,
    };
    local_deliver(client, &message);
    STATS_ADD(&client->place->stats, publish_sent[head->qos], 1);
    STATS_ADD(&client->place->stats, publish_bytes_sent[head->qos], parts->payload.len);
    return DELIVER_SENT;
}

static enum deliver_result write_publish(struct client *client, struct publish_parts *parts)
{
    if (__builtin_expect(client->is_local, 0)) {
        return hand_over(client, parts);
    }
    if (__builtin_expect(parts->id_count > 0, 0)) {
        return write_with_ids(client, parts);
    }
    return write_encoded(client, parts);
}

static void set_ids(struct publish_parts *parts, const struct outgoing_entry *entry)
{
    if (entry->more != NULL) {
        parts->ids = entry->more->ids;
        parts->id_count = entry->more->count;
    } else if (entry->subscription_id != 0) {
        parts->ids = &entry->subscription_id;
        parts->id_count = 1;
    }
}

enum deliver_result deliver_send(struct client *client, const struct outgoing_entry *entry, bool dup)
{
    const struct message *message = entry->message;
    struct publish_parts parts = {
        .head = {.dup = dup,
                 .retain = entry->retain,
                 .qos = entry->qos,
                 .packet_id = entry->qos > 0 ? outgoing_packet_id(entry->seq) : 0,
                 .topic = message_topic(message),
                 .forwarded_properties = message_properties(message),
                 .payload_len = message->payload_len},
        .payload = message_payload(message),
        .seq = entry->qos > 0 ? entry->seq : 0,
        .published_qos = message->qos,
    };
    set_ids(&parts, entry);
    if (message->expires_ms != MESSAGE_NEVER_EXPIRES) {
        uint32_t remaining_s = publication_remaining_s(message->expires_ms, client->place->now_ms);
        parts.head.has_message_expiry = true;                                     /* [MQTT-3.3.2-6] */
        parts.head.message_expiry_interval_s = remaining_s > 0 ? remaining_s : 1; /* repeated: it had begun in time */
    }
    return write_publish(client, &parts);
}

/* --- one session ------------------------------------------------------------------------------------------------------ */

static bool send_shared_encoding(struct client *client, struct publication *publication, bool retain)
{
    struct place *place = client->place;
    const struct outq_shared *encoding = publication_encoding(place, publication, client->version, retain);
    if (encoding == NULL) {
        return false;
    }
    if (encoding->len > client_max_packet(client)) {
        STATS_ADD(&place->stats, dropped_too_large, 1);
        return true;
    }
    if (!outq_append_shared(place->pool, &client->out, encoding)) {
        client_doom(client);
        return true;
    }
    client_touch(client);
    STATS_ADD(&place->stats, packets_sent, 1);
    STATS_ADD(&place->stats, publish_sent[0], 1);
    STATS_ADD(&place->stats, publish_bytes_sent[0], publication->payload.len);
    return true;
}

static void deliver_qos0(struct place *place, struct publication *publication, struct client *client,
                         const struct delivery *d)
{
    if (client->out.len >= place->settings->limits.output_bytes || (client->is_local && client->blocked)) {
        STATS_ADD(&place->stats, dropped_output_full, 1);
        if (client->is_local) {
            local_note_dropped(client);
        }
        return;
    }
    if (publication->is_fan_out && d->id_count == 0 && client->aliases_out == NULL && !client->is_local &&
        send_shared_encoding(client, publication, d->retain)) {
        return;
    }
    struct publish_parts parts = {
        .head = {.retain = d->retain,
                 .topic = publication->topic,
                 .forwarded_properties = publication->properties,
                 .payload_len = publication->payload.len},
        .payload = publication->payload,
        .published_qos = publication->qos,
        .ids = d->ids,
        .id_count = d->id_count,
    };
    if (publication->expires_ms != MESSAGE_NEVER_EXPIRES) {
        parts.head.has_message_expiry = true;
        parts.head.message_expiry_interval_s = publication_remaining_s(publication->expires_ms, place->now_ms);
    }
    (void)write_publish(client, &parts);
}

/* An entry for a session's queue. @return false without memory. */
static bool entry_init(struct place *place, struct publication *publication, const struct delivery *d, uint8_t qos,
                       struct outgoing_entry *entry)
{
    struct message *message = publication_message(place, publication);
    if (message == NULL) {
        return false;
    }
    *entry = (struct outgoing_entry){.shared = d->shared, .qos = qos, .retain = d->retain};
    if (d->id_count > 1) {
        entry->more = malloc(sizeof(*entry->more) + d->id_count * sizeof(d->ids[0]));
        if (entry->more == NULL) {
            return false;
        }
        entry->more->count = d->id_count;
        memcpy(entry->more->ids, d->ids, d->id_count * sizeof(d->ids[0]));
    }
    entry->subscription_id = d->id_count > 0 ? d->ids[0] : 0;
    entry->message = message_ref(message);
    if (qos > 0 && publication->record != NULL && kept_is_begun(d->session)) {
        entry->record = store_record_ref(publication->record); /* kept_deliver() makes it a recipient */
    }
    return true;
}

/* True if a QoS > 0 message may leave at once. */
static bool may_send_now(const struct place *place, const struct session *session, const struct client *client,
                         const struct outgoing_entry *entry)
{
    const struct outgoing *outgoing = &session->outgoing;
    if (entry->qos == 2 && entry->record != NULL) { /* when it is on disk */
        return false;
    }
    return client->state == CLIENT_CONNECTED && !client->blocked && outgoing->queue.count == 0 &&
           outgoing->resend == 0 && outgoing->window.count < client->window &&
           client->out.len < place->settings->limits.output_bytes &&
           (outgoing->window.count == 0 || outgoing->next_seq < outgoing_at(&outgoing->window, 0)->seq + 65535);
}

/* Push ENTRY (taken) to the window and write its PUBLISH. @return false without memory: then ENTRY is still the caller's. */
static bool send_now(struct place *place, struct publication *publication, struct session *session,
                     struct outgoing_entry *entry)
{
    struct client *client = session->client;
    struct outgoing *outgoing = &session->outgoing;
    entry->seq = outgoing->next_seq++;
    entry->state = OUTGOING_SENT;
    kept_deliver(place, session, entry);
    kept_count(place, session);
    if (!outgoing_push(&outgoing->window, entry)) {
        kept_finish(place, session, entry);
        return false;
    }
    struct publish_parts parts = {
        .head = {.retain = entry->retain,
                 .qos = entry->qos,
                 .packet_id = outgoing_packet_id(entry->seq),
                 .topic = publication->topic,
                 .forwarded_properties = publication->properties,
                 .payload_len = publication->payload.len},
        .payload = publication->payload,
        .seq = entry->seq,
        .published_qos = publication->qos,
    };
    if (publication->expires_ms != MESSAGE_NEVER_EXPIRES) {
        parts.head.has_message_expiry = true;
        parts.head.message_expiry_interval_s = publication_remaining_s(publication->expires_ms, place->now_ms);
    }
    if (publication->is_fan_out && publication->payload.len >= SHARE_PAYLOAD_BYTES) {
        parts.shared_payload = publication_shared_payload(place, publication);
    }
    set_ids(&parts, entry);
    enum deliver_result result = write_publish(client, &parts);
    if (result == DELIVER_TOO_LARGE) {
        session_finish(place, session, outgoing->window.count - 1);
    }
    if (session->shared_count > 0) {
        session_update_room(place, session);
    }
    return true;
}

static void deliver_queued(struct place *place, struct publication *publication, const struct delivery *d, uint8_t qos)
{
    struct session *session = d->session;
    struct client *client = session->client;
    struct outgoing_entry entry;
    if (!entry_init(place, publication, d, qos, &entry)) {
        publication_is_incomplete(place, publication);
        return;
    }
    if (qos > 0 && client != NULL && may_send_now(place, session, client, &entry)) {
        if (!send_now(place, publication, session, &entry)) {
            publication_is_incomplete(place, publication);
            outgoing_entry_fini(&entry);
        }
        return;
    }
    bool must_wait = client != NULL && qos == 2 && entry.record != NULL;
    if (session_enqueue(place, session, &entry) && must_wait) {
        kept_wait(place, session);
    }
}

static void deliver(struct place *place, struct publication *publication, const struct delivery *d)
{
    struct session *session = d->session;
    uint8_t qos = publication->qos < d->qos ? publication->qos : d->qos; /* [MQTT-3.8.4-8] */
    if (session->keeps_qos0 && qos == 0) {
        qos = 1;
    }
    if (qos > 0) {
        deliver_queued(place, publication, d, qos);
        return;
    }
    struct client *client = session->client;
    if (client != NULL && client->state == CLIENT_CONNECTED) {
        deliver_qos0(place, publication, client, d);
    } else if (place->settings->limits.queue_qos0 && session_is_durable(session)) {
        deliver_queued(place, publication, d, 0);
    }
}

bool deliver_is_wanted(struct place *place, const struct publication *publication,
                       const struct subscription *subscription)
{
    const struct session *session = subscription->session;
    if (subscription->no_local && publication->publisher == session->hash) {
        return false; /* [MQTT-3.8.3-3] */
    }
    if (publication->version != 0 && publication->version <= subscription->retained_stamp) {
        return false; /* it comes, or came, by the walk */
    }
    if (session->handover != NULL && !handover_accepts(session->handover, publication->origin, publication->number)) {
        return false; /* the place that SESSION moves to has it */
    }
    if (subscription->reads_some) {
        struct access *access = place->broker->access;
        if (!access->provider->may_read(access, session->identity, publication->topic)) {
            STATS_ADD(&place->stats, dropped_denied, 1);
            return false;
        }
    }
    return true;
}

/* [MQTT-3.8.4-4] retain-as-published; otherwise a live message has RETAIN 0 [MQTT-3.3.1-12] */
static bool retain_flag(const struct publication *publication, const struct subscription *subscription)
{
    return publication->retain && subscription->retain_as_published;
}

void deliver_to_subscription(struct place *place, struct publication *publication, struct subscription *subscription)
{
    if (subscription->holding != NULL) {
        handover_hold(place, subscription, publication);
        return;
    }
    if (!deliver_is_wanted(place, publication, subscription)) {
        return;
    }
    struct delivery d = {
        .session = subscription->session,
        .shared = subscription->group != NULL ? subscription : NULL,
        .ids = &subscription->id,
        .id_count = subscription->id != 0,
        .qos = subscription->qos,
        .retain = retain_flag(publication, subscription),
    };
    deliver(place, publication, &d);
}

void deliver_to_session(struct place *place, struct publication *publication, struct session *session, uint8_t qos,
                        bool retain, const uint32_t *ids, uint32_t id_count, struct subscription *shared)
{
    struct delivery d = {
        .session = session, .shared = shared, .ids = ids, .id_count = id_count, .qos = qos, .retain = retain};
    deliver(place, publication, &d);
}

/* --- several filters -------------------------------------------------------------------------------------------------- */

struct gathered_id {
    uint32_t id;
    uint32_t next; /* place in the list of ids; UINT32_MAX: none */
};

struct gathered {
    struct session *session;
    uint32_t first_id; /* UINT32_MAX: none */
    uint32_t last_id;
    uint32_t id_count;
    uint8_t qos;
    bool retain;
};

struct gather { /* owner: the place's thread */
    struct gathered *list;
    struct gathered_id *ids;
    uint32_t *flat_ids; /* as many as ids */
    uint32_t count;
    uint32_t capacity;
    uint32_t id_count;
    uint32_t id_capacity;
    uint64_t mark; /* of the message being gathered */
};

struct gather *gather_new(void)
{
    return calloc(1, sizeof(struct gather));
}

void gather_free(struct gather *gather)
{
    if (gather == NULL) {
        return;
    }
    free(gather->list);
    free(gather->ids);
    free(gather->flat_ids);
    free(gather);
}

static bool gather_reserve(struct gather *gather)
{
    if (gather->count == gather->capacity) {
        uint32_t capacity = gather->capacity > 0 ? gather->capacity * 2 : 64;
        struct gathered *list = realloc(gather->list, capacity * sizeof(*list));
        if (list == NULL) {
            return false;
        }
        gather->list = list;
        gather->capacity = capacity;
    }
    if (gather->id_count == gather->id_capacity) {
        uint32_t capacity = gather->id_capacity > 0 ? gather->id_capacity * 2 : 64;
        struct gathered_id *ids = realloc(gather->ids, capacity * sizeof(*ids));
        if (ids == NULL) {
            return false;
        }
        gather->ids = ids;
        uint32_t *flat = realloc(gather->flat_ids, capacity * sizeof(*flat));
        if (flat == NULL) {
            return false;
        }
        gather->flat_ids = flat;
        gather->id_capacity = capacity;
    }
    return true;
}

static void gather_id(struct gather *gather, struct gathered *g, uint32_t id)
{
    gather->ids[gather->id_count] = (struct gathered_id){id, UINT32_MAX};
    if (g->first_id == UINT32_MAX) {
        g->first_id = gather->id_count;
    } else {
        gather->ids[g->last_id].next = gather->id_count;
    }
    g->last_id = gather->id_count++;
    g->id_count++;
}

/* @return false without memory: the subscription is to be served by itself */
static bool gather_subscription(struct gather *gather, const struct publication *publication,
                                const struct subscription *subscription)
{
    if (!gather_reserve(gather)) {
        return false;
    }
    struct session *session = subscription->session;
    if (session->gather_mark != gather->mark) {
        session->gather_mark = gather->mark;
        session->gather_at = gather->count;
        gather->list[gather->count++] =
            (struct gathered){.session = session, .first_id = UINT32_MAX, .last_id = UINT32_MAX};
    }
    struct gathered *g = &gather->list[session->gather_at];
    g->qos = subscription->qos > g->qos ? subscription->qos : g->qos;
    g->retain |= retain_flag(publication, subscription);
    if (subscription->id != 0) {
        gather_id(gather, g, subscription->id);
    }
    return true;
}

static void deliver_gathered(struct place *place, struct publication *publication)
{
    struct gather *gather = place->gather;
    for (uint32_t i = 0; i < gather->count; i++) {
        const struct gathered *g = &gather->list[i];
        uint32_t id_count = 0;
        for (uint32_t at = g->first_id; at != UINT32_MAX; at = gather->ids[at].next) {
            gather->flat_ids[id_count++] = gather->ids[at].id;
        }
        struct delivery d = {
            .session = g->session, .ids = gather->flat_ids, .id_count = id_count, .qos = g->qos, .retain = g->retain};
        deliver(place, publication, &d);
    }
}

static struct subscription *const *receivers_list(const struct filter_receivers *receivers)
{
    return receivers->capacity == 0 ? &receivers->one : receivers->many;
}

void deliver_to_filters(struct place *place, struct publication *publication, struct filter *const *filters,
                        size_t count)
{
    size_t total = 0;
    size_t with_receivers = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t here = filters[i]->local[place->index].count;
        total += here;
        with_receivers += here > 0;
    }
    publication->is_fan_out = total >= FAN_OUT_MIN;
    struct gather *gather = place->gather;
    gather->mark++;
    gather->count = 0;
    gather->id_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct filter_receivers *receivers = &filters[i]->local[place->index];
        struct subscription *const *list = receivers_list(receivers);
        for (uint32_t r = 0; r < receivers->count; r++) {
            struct subscription *subscription = list[r];
            if (with_receivers == 1 || subscription->holding != NULL ||
                (deliver_is_wanted(place, publication, subscription) &&
                 !gather_subscription(gather, publication, subscription))) {
                deliver_to_subscription(place, publication, subscription);
            }
        }
    }
    deliver_gathered(place, publication);
}
