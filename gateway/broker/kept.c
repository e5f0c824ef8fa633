#include "gateway/broker/kept.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/access/access.h"
#include "gateway/base/assert.h"
#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/broker/core.h"
#include "gateway/broker/load.h"
#include "gateway/broker/outgoing.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscription.h"
#include "gateway/broker/will.h"
#include "gateway/store/message.h"

#define ENCODING           1u     /* first byte of every value */
#define SEQ_BLOCK          16384u /* numbers that are reserved at a time */
#define RANGES_MAX         65536u /* of a position: as many as a window has entries */
#define POSITION_HEAD      1u
#define RANGE_BYTES        16u
#define SESSION_FIXED      47u
#define WILL_FIXED         39u
#define SUBSCRIPTION_FIXED 6u

enum {
    FLAG_CONNECTED = 1,
    FLAG_KEEPS_QOS0 = 2,
    FLAG_USER_NAME = 4,
};

enum {
    WILL_RETAIN = 1,
    WILL_EXPIRY = 2,
};

enum {
    OPTION_QOS = 3,
    OPTION_NO_LOCAL = 4,
    OPTION_RETAIN_AS_PUBLISHED = 8,
    OPTION_RETAIN_HANDLING_SHIFT = 4,
};

/* --- keys ----------------------------------------------------------------------------------------------------------------------- */

static struct store_write *write_for(enum store_table table, uint64_t number, uint64_t part, unsigned part_bytes,
                                     size_t value_len)
{
    uint8_t key[STORE_KEY_BYTES];
    uint8_t *end = tg_put_be(key, number, 8);
    end = tg_put_be(end, part, part_bytes);
    return store_write_new(table, key, (size_t)(end - key), value_len);
}

static struct store_write *delete_of(enum store_table table, uint64_t number, uint64_t part, unsigned part_bytes)
{
    struct store_write *write = write_for(table, number, part, part_bytes, 0);
    if (write != NULL) {
        write->is_delete = true;
    }
    return write;
}

/* True if the store has, or is to have, anything of SESSION. */
static bool is_kept(const struct session *session)
{
    return session->kept != NULL && session->kept->number != 0;
}

/* --- the session's entry ---------------------------------------------------------------------------------------------------------- */

static uint8_t *put_bytes(uint8_t *at, struct bytes b, unsigned len_bytes)
{
    at = tg_put_be(at, b.len, len_bytes);
    if (b.len > 0) {
        memcpy(at, b.data, b.len);
    }
    return at + b.len;
}

static unsigned flags_of(const struct session *session)
{
    return (session->client != NULL ? FLAG_CONNECTED : 0u) | (session->keeps_qos0 ? FLAG_KEEPS_QOS0 : 0u) |
           (session->identity != NULL ? FLAG_USER_NAME : 0u);
}

/* What has a lower number may have been sent: all that is not in the queue. */
static uint64_t sent_below(const struct session *session)
{
    const struct outgoing *outgoing = &session->outgoing;
    for (uint32_t at = 0; at < outgoing->queue.count; at++) {
        const struct outgoing_entry *entry = outgoing_at(&outgoing->queue, at);
        if (entry->qos > 0) {
            return entry->seq;
        }
    }
    return outgoing->next_seq;
}

/* The entry of SESSION as it is now. @return NULL without memory */
static struct store_write *session_write(const struct place *place, struct session *session)
{
    struct kept *kept = session->kept;
    struct bytes user_name = session->identity != NULL ? session->identity->user_name : (struct bytes){NULL, 0};
    size_t len = SESSION_FIXED + session->client_id_len + user_name.len;
    struct store_write *write = write_for(STORE_SESSIONS, kept->number, 0, 0, len);
    if (write == NULL) {
        return NULL;
    }
    kept->seq_reserved = session->outgoing.next_seq;
    if (session->client != NULL || session->keeps_qos0) {
        kept->seq_reserved += SEQ_BLOCK;
    }
    uint8_t *at = write->value;
    *at++ = ENCODING;
    *at++ = session->version;
    *at++ = (uint8_t)flags_of(session);
    at = tg_put_be(at, session->expiry_s, 4);
    at = tg_put_be(at, place->wall_ms, 8);
    at = tg_put_be(at, kept->seq_reserved, 8);
    at = tg_put_be(at, sent_below(session), 8);
    at = tg_put_be(at, session->queue_max, 4);
    at = tg_put_be(at, session->queue_bytes_max, 4);
    at = tg_put_be(at, kept->subscription_number, 4);
    at = put_bytes(at, session_client_id(session), 2);
    at = put_bytes(at, user_name, 2);
    TG_ASSERT(at == write->value + len);
    return write;
}

static struct store_write *will_write(const struct place *place, const struct session *session)
{
    const struct kept *kept = session->kept;
    const struct will *will = session->will;
    const struct message *message = will->message;
    size_t len = WILL_FIXED + session->client_id_len + message->topic_len + message->properties_len +
                 (size_t)message->payload_len;
    struct store_write *write = write_for(STORE_WILLS, kept->will_number, 0, 0, len);
    if (write == NULL) {
        return NULL;
    }
    /* One that waits for its client after a restart would wait anew after another one. */
    bool is_due = timer_is_set(&will->timer) && !will->after_restart;
    uint64_t due_ms = is_due ? place->wall_ms + (will->due_ms - place->now_ms) : 0;
    uint8_t *at = write->value;
    *at++ = ENCODING;
    *at++ = (uint8_t)((message->retain ? WILL_RETAIN : 0) | (will->has_expiry ? WILL_EXPIRY : 0));
    *at++ = message->qos;
    at = tg_put_be(at, kept->number, 8);
    at = tg_put_be(at, due_ms, 8);
    at = tg_put_be(at, will->delay_s, 4);
    at = tg_put_be(at, will->expiry_interval_s, 4);
    at = put_bytes(at, session_client_id(session), 2);
    at = put_bytes(at, message_topic(message), 2);
    at = put_bytes(at, message_properties(message), 4);
    at = put_bytes(at, message_payload(message), 4);
    TG_ASSERT(at == write->value + len);
    return write;
}

void kept_forget(struct place *place, struct store_write *writes)
{
    struct store_ticket ticket;
    if (writes != NULL && !store_port_write(place->port, writes, &ticket)) {
        log_warning("a change is not stored", LOG_STR("reason", "out of memory")); /* after a restart it is undone */
    }
}

/* A kept for SESSION; that is not to say that the store has anything of it. @return false without memory */
static bool begin(struct place *place, struct session *session)
{
    if (session->kept == NULL) {
        session->kept = calloc(1, sizeof(*session->kept));
        if (session->kept == NULL) {
            return false;
        }
        session->kept->session = session;
    }
    if (session->kept->number == 0) {
        session->kept->number = atomic_fetch_add(&place->broker->store->next_session, 1);
    }
    return true;
}

/* Everything about SESSION and its will. @return false without memory */
static bool put_all(struct place *place, struct session *session, struct store_ticket *out)
{
    struct kept *kept = session->kept;
    struct store_write *writes = NULL;
    if (session_is_lasting(session)) {
        writes = session_write(place, session);
        if (writes == NULL) {
            return false;
        }
        kept->is_stored = true;
    }
    if (session->will != NULL) {
        if (kept->will_number == 0) {
            kept->will_number = atomic_fetch_add(&place->broker->store->next_session, 1);
        }
        struct store_write *write = will_write(place, session);
        if (write == NULL) {
            store_writes_free(writes);
            return false;
        }
        write->next = writes;
        writes = write;
    }
    return store_port_write(place->port, writes, out);
}

bool kept_put(struct place *place, struct session *session, struct store_ticket *out)
{
    *out = STORE_TICKET_DONE;
    if (place->port == NULL) {
        return true;
    }
    if (!session_is_lasting(session)) { /* what the store has of it must not come back after a restart */
        kept_end(place, session);
    }
    if (!session_is_lasting(session) && session->will == NULL) {
        /* That an old session is gone is what its client may rely on. */
        *out = session->kept != NULL && session->kept->ended.number != 0 ? session->kept->ended : place->last_end;
        return true;
    }
    return begin(place, session) && put_all(place, session, out);
}

void kept_detached(struct place *place, struct session *session)
{
    struct store_ticket ticket;
    if (is_kept(session) && (session_is_lasting(session) || session->will != NULL)) {
        if (!put_all(place, session, &ticket)) {
            log_warning("the end of a connection is not stored", LOG_STR("reason", "out of memory"));
        }
    }
}

static void settle(struct kept *kept)
{
    for (uint32_t i = 0; i < kept->unsettled_count; i++) {
        store_record_unref(kept->unsettled[i].record);
    }
    free(kept->unsettled);
    kept->unsettled = NULL;
    kept->unsettled_count = 0;
    kept->unsettled_capacity = 0;
}

void kept_end(struct place *place, struct session *session)
{
    if (is_kept(session) && session->kept->is_stored) {
        session->kept->is_stored = false;
        place->last_end = store_port_end_session(place->port, session->kept->number);
        session->kept->ended = place->last_end;
    }
    if (session->kept != NULL) {
        session->kept->number = 0;
        settle(session->kept);
    }
}

struct store_write *kept_take_will(struct session *session)
{
    struct kept *kept = session->kept;
    if (kept == NULL || kept->will_number == 0) {
        return NULL;
    }
    struct store_write *write = delete_of(STORE_WILLS, kept->will_number, 0, 0);
    kept->will_number = 0;
    return write;
}

/* Ends what the store has of a session when what it was given is stored for others. */
struct ending {
    struct place_wait wait;
    struct place *place;
    uint64_t number;
    struct store_ticket *tickets; /* owned */
};

static void on_moved(struct place_wait *wait)
{
    struct ending *ending = (struct ending *)wait;
    ending->place->last_end = store_port_end_session(ending->place->port, ending->number);
    free(ending->tickets);
    free(ending);
}

void kept_fini(struct place *place)
{
    struct place_wait *wait = place->waits;
    while (wait != NULL) {
        struct place_wait *next = wait->next;
        if (wait->done == on_moved) {
            struct ending *ending = (struct ending *)wait;
            place_await_cancel(place, wait);
            free(ending->tickets);
            free(ending);
        }
        wait = next;
    }
}

void kept_end_after(struct place *place, struct session *session, struct store_ticket *tickets, size_t count)
{
    bool must_wait = count > 0 && is_kept(session) && session->kept->is_stored;
    struct ending *ending = must_wait ? malloc(sizeof(*ending)) : NULL;
    if (ending == NULL) {
        for (size_t i = 0; i < count; i++) {
            store_ticket_release(&tickets[i]);
        }
        free(tickets);
        kept_end(place, session);
        return;
    }
    *ending = (struct ending){
        .wait = {.done = on_moved}, .place = place, .number = session->kept->number, .tickets = tickets};
    session->kept->is_stored = false;
    session->kept->number = 0;
    settle(session->kept);
    place_await_all(place, &ending->wait, tickets, count);
}

static void leave_lists(struct place *place, struct kept *kept)
{
    if (kept->is_waiting) {
        TAILQ_REMOVE(&place->waiting, kept, waiting);
        kept->is_waiting = false;
    }
    if (kept->is_position_due) {
        TAILQ_REMOVE(&place->positions, kept, positions);
        kept->is_position_due = false;
    }
}

void kept_leave(struct place *place, struct session *session)
{
    struct kept *kept = session->kept;
    if (kept != NULL) {
        bool is_position_due = kept->is_position_due;
        leave_lists(place, kept);
        load_forget(session);
        if (is_position_due) {
            kept_put_position(place, session);
        }
    }
}

void kept_free(struct place *place, struct session *session)
{
    struct kept *kept = session->kept;
    if (kept == NULL) {
        return;
    }
    leave_lists(place, kept);
    load_forget(session);
    settle(kept);
    free(kept);
    session->kept = NULL;
}

/* --- subscriptions ------------------------------------------------------------------------------------------------------------------ */

bool kept_subscription(struct session *session, struct subscription *subscription, bool is_removed,
                       struct store_write **writes)
{
    if (!kept_is_begun(session)) {
        return true;
    }
    struct kept *kept = session->kept;
    if (subscription->number == 0) {
        subscription->number = ++kept->subscription_number;
    }
    struct store_write *write;
    if (is_removed) {
        write = delete_of(STORE_SUBSCRIPTIONS, kept->number, subscription->number, 4);
    } else {
        write = write_for(STORE_SUBSCRIPTIONS, kept->number, subscription->number, 4,
                          SUBSCRIPTION_FIXED + subscription->full_len);
    }
    if (write == NULL) {
        return false;
    }
    if (!is_removed) {
        uint8_t *at = write->value;
        *at++ = ENCODING;
        *at++ = (uint8_t)(subscription->qos | (subscription->no_local ? OPTION_NO_LOCAL : 0) |
                          (subscription->retain_as_published ? OPTION_RETAIN_AS_PUBLISHED : 0) |
                          subscription->retain_handling << OPTION_RETAIN_HANDLING_SHIFT);
        at = tg_put_be(at, subscription->id, 4);
        memcpy(at, subscription->full, subscription->full_len);
    }
    write->next = *writes;
    *writes = write;
    return true;
}

/* --- deliveries --------------------------------------------------------------------------------------------------------------------- */

void kept_count(struct place *place, struct session *session)
{
    struct kept *kept = session->kept;
    if (kept == NULL || kept->number == 0 || session->outgoing.next_seq <= kept->seq_reserved ||
        (session->client == NULL && !session->keeps_qos0)) { /* what comes while it is away is in the store itself */
        return;
    }
    kept_detached(place, session); /* reserves anew */
}

bool kept_is_begun(const struct session *session)
{
    return is_kept(session) && session_is_lasting(session);
}

void kept_deliver(struct place *place, struct session *session, struct outgoing_entry *entry)
{
    if (entry->record == NULL) {
        return;
    }
    const struct outgoing_ids *more = entry->more;
    struct store_recipient recipient = {
        .session = session->kept->number,
        .seq = entry->seq,
        .ids = more != NULL ? more->ids : &entry->subscription_id,
        .id_count = (uint16_t)(more != NULL ? (more->count < UINT16_MAX ? more->count : UINT16_MAX)
                                            : entry->subscription_id != 0),
        .shared = entry->shared != NULL ? entry->shared->number : 0,
        .qos = entry->qos,
        .retain = entry->retain,
    };
    if (!store_record_add(entry->record, place->index, &recipient, &entry->recipient)) {
        STATS_ADD(&place->stats, dropped_no_memory, 1);
        store_record_set_incomplete(entry->record);
        store_record_unref(entry->record);
        entry->record = NULL;
    }
}

void kept_mark_position(struct place *place, struct session *session)
{
    struct kept *kept = session->kept;
    if (kept_is_begun(session) && !kept->is_position_due) {
        kept->is_position_due = true;
        TAILQ_INSERT_TAIL(&place->positions, kept, positions);
        if (!timer_is_set(&place->position_timer)) {
            timer_wheel_set(place->wheel, &place->position_timer, place->now_ms + KEPT_POSITION_MS);
        }
    }
}

void kept_finish(struct place *place, struct session *session, struct outgoing_entry *entry)
{
    struct store_record *record = entry->record;
    if (record == NULL) {
        return;
    }
    entry->record = NULL;
    /* While others are still to get it, it stays in the store, and only the position says that this session has had it. */
    if (!store_record_is_done(record) || store_record_has_many(record)) {
        kept_mark_position(place, session);
    }
    store_port_finish(place->port, record, entry->recipient);
}

/* Ranges of finished numbers, from..to-1, in ascending order, from what is not finished; the first begins with 0. */
struct ranges {
    uint8_t *at; /* where the next is written; NULL: they are only counted */
    uint32_t count;
    uint64_t from;
};

static void unfinished(struct ranges *ranges, uint64_t seq)
{
    if (seq > ranges->from || ranges->count == 0) {
        if (ranges->at != NULL) {
            ranges->at = tg_put_be(ranges->at, ranges->from, 8);
            ranges->at = tg_put_be(ranges->at, seq, 8);
        }
        ranges->count++;
    }
    ranges->from = seq + 1;
}

static void find_ranges(const struct session *session, struct ranges *ranges)
{
    const struct outgoing *outgoing = &session->outgoing;
    for (uint32_t at = 0; at < outgoing->window.count; at++) {
        unfinished(ranges, outgoing_at(&outgoing->window, at)->seq);
    }
    uint64_t next = outgoing->next_seq;
    for (uint32_t at = 0; at < outgoing->queue.count; at++) {
        const struct outgoing_entry *entry = outgoing_at(&outgoing->queue, at);
        if (entry->qos > 0) {
            next = entry->seq; /* holes behind it are of messages that were dropped, and finished on their own */
            break;
        }
    }
    unfinished(ranges, next);
}

/* @return NULL without memory */
static struct store_write *position_write(const struct session *session)
{
    struct ranges count = {0};
    find_ranges(session, &count);
    struct store_write *write =
        write_for(STORE_POSITIONS, session->kept->number, 0, 0, POSITION_HEAD + RANGE_BYTES * (size_t)count.count);
    if (write != NULL) {
        write->value[0] = ENCODING;
        struct ranges ranges = {.at = write->value + POSITION_HEAD};
        find_ranges(session, &ranges);
    }
    return write;
}

void kept_put_position(struct place *place, struct session *session)
{
    if (kept_is_begun(session)) {
        kept_forget(place, position_write(session)); /* without it some messages come once more after a crash */
    }
}

void kept_put_positions(struct place *place)
{
    struct kept *kept;
    while ((kept = TAILQ_FIRST(&place->positions)) != NULL) {
        TAILQ_REMOVE(&place->positions, kept, positions);
        kept->is_position_due = false;
        kept_put_position(place, kept->session);
    }
}

/* --- QoS 2 --------------------------------------------------------------------------------------------------------------------------- */

bool kept_sent(struct place *place, struct session *session, struct outgoing_entry *entry, struct store_ticket *out)
{
    *out = STORE_TICKET_DONE;
    struct store_record *record = entry->record;
    if (record == NULL) {
        return true;
    }
    if (is_kept(session)) {
        struct store_write *write = write_for(STORE_SENT, session->kept->number, entry->seq, 8, 0);
        if (write == NULL || !store_port_write(place->port, write, out)) {
            return false;
        }
    }
    entry->record = NULL;
    store_port_finish(place->port, record, entry->recipient); /* behind it: it never takes effect earlier */
    return true;
}

void kept_completed(struct place *place, struct session *session, uint64_t seq)
{
    if (!kept_is_begun(session)) {
        return;
    }
    struct store_write *write = position_write(session);
    struct store_write *sent = delete_of(STORE_SENT, session->kept->number, seq, 8);
    if (write == NULL || sent == NULL) { /* after a crash PUBREL is repeated */
        store_writes_free(write);
        store_writes_free(sent);
        return;
    }
    write->next = sent;
    kept_forget(place, write);
}

bool kept_received(const struct session *session, uint16_t packet_id, struct store_write **out)
{
    *out = NULL;
    if (!kept_is_begun(session)) {
        return true;
    }
    *out = write_for(STORE_RECEIVED, session->kept->number, packet_id, 2, 0);
    return *out != NULL;
}

/* Forget those that are on disk. */
static void prune_unsettled(struct kept *kept)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < kept->unsettled_count; i++) {
        if (store_record_is_done(kept->unsettled[i].record)) {
            store_record_unref(kept->unsettled[i].record);
        } else {
            kept->unsettled[count++] = kept->unsettled[i];
        }
    }
    kept->unsettled_count = count;
}

bool kept_reserve_unsettled(struct session *session)
{
    struct kept *kept = session->kept;
    if (!kept_is_begun(session)) {
        return true;
    }
    if (kept->unsettled_count == kept->unsettled_capacity) {
        prune_unsettled(kept);
    }
    if (kept->unsettled_count == kept->unsettled_capacity) {
        uint32_t capacity = kept->unsettled_capacity > 0 ? 2 * kept->unsettled_capacity : 4;
        struct unsettled *grown = realloc(kept->unsettled, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        kept->unsettled = grown;
        kept->unsettled_capacity = capacity;
    }
    return true;
}

void kept_unsettled(struct session *session, uint16_t packet_id, const struct store_ticket *ticket)
{
    struct kept *kept = session->kept;
    if (kept_is_begun(session) && ticket->record != NULL && !store_record_is_done(ticket->record)) {
        TG_ASSERT(kept->unsettled_count < kept->unsettled_capacity);
        kept->unsettled[kept->unsettled_count++] =
            (struct unsettled){.record = store_record_ref(ticket->record), .packet_id = packet_id};
    }
}

struct store_ticket kept_settles(struct session *session, uint16_t packet_id)
{
    struct kept *kept = session->kept;
    for (uint32_t i = 0; kept != NULL && i < kept->unsettled_count; i++) {
        if (kept->unsettled[i].packet_id == packet_id && !store_record_is_done(kept->unsettled[i].record)) {
            return (struct store_ticket){.record = store_record_ref(kept->unsettled[i].record)};
        }
    }
    return STORE_TICKET_DONE;
}

bool kept_released(struct place *place, struct session *session, uint16_t packet_id, struct store_ticket *out)
{
    *out = STORE_TICKET_DONE;
    if (!kept_is_begun(session)) {
        return true;
    }
    struct store_write *write = delete_of(STORE_RECEIVED, session->kept->number, packet_id, 2);
    return write != NULL && store_port_write(place->port, write, out);
}

/* --- waiting ---------------------------------------------------------------------------------------------------------------------------- */

void kept_wait(struct place *place, struct session *session)
{
    struct kept *kept = session->kept;
    if (!kept->is_waiting) {
        kept->is_waiting = true;
        TAILQ_INSERT_TAIL(&place->waiting, kept, waiting);
    }
}

void kept_resume_waiting(struct place *place)
{
    size_t count = 0; /* whoever still has to wait goes to the end, once */
    struct kept *kept;
    TAILQ_FOREACH(kept, &place->waiting, waiting)
    {
        count++;
    }
    for (; count > 0 && (kept = TAILQ_FIRST(&place->waiting)) != NULL; count--) {
        TAILQ_REMOVE(&place->waiting, kept, waiting);
        kept->is_waiting = false;
        session_pump(place, kept->session);
    }
}

/* --- reading ---------------------------------------------------------------------------------------------------------------------------- */

/* Bytes that are taken from the front; one failed read makes all that follow fail. */
struct source {
    struct bytes left;
    bool failed;
};

static uint64_t take(struct source *source, unsigned bytes)
{
    if (source->failed || source->left.len < bytes) {
        source->failed = true;
        return 0;
    }
    uint64_t value = tg_get_be(source->left.data, bytes);
    source->left.data += bytes;
    source->left.len -= bytes;
    return value;
}

static struct bytes take_bytes(struct source *source, unsigned len_bytes)
{
    size_t len = (size_t)take(source, len_bytes);
    if (source->failed || source->left.len < len) {
        source->failed = true;
        return (struct bytes){NULL, 0};
    }
    struct bytes b = {source->left.data, len};
    source->left.data += len;
    source->left.len -= len;
    return b;
}

bool kept_session_read(struct bytes value, struct kept_session *out)
{
    struct source source = {.left = value};
    if (take(&source, 1) != ENCODING) {
        return false;
    }
    *out = (struct kept_session){.version = (uint8_t)take(&source, 1)};
    unsigned flags = (unsigned)take(&source, 1);
    out->expiry_s = (uint32_t)take(&source, 4);
    out->disconnected_ms = take(&source, 8);
    out->next_seq = take(&source, 8);
    out->sent_below = take(&source, 8);
    out->queue_max = (uint32_t)take(&source, 4);
    out->queue_bytes_max = (uint32_t)take(&source, 4);
    out->subscription_number = (uint32_t)take(&source, 4);
    out->client_id = take_bytes(&source, 2);
    out->user_name = take_bytes(&source, 2);
    out->is_connected = (flags & FLAG_CONNECTED) != 0;
    out->keeps_qos0 = (flags & FLAG_KEEPS_QOS0) != 0;
    out->has_user_name = (flags & FLAG_USER_NAME) != 0;
    return !source.failed && source.left.len == 0 && out->client_id.len > 0 && out->expiry_s > 0;
}

bool kept_will_read(struct bytes value, struct kept_will *out)
{
    struct source source = {.left = value};
    if (take(&source, 1) != ENCODING) {
        return false;
    }
    unsigned flags = (unsigned)take(&source, 1);
    *out = (struct kept_will){.retain = (flags & WILL_RETAIN) != 0, .has_expiry = (flags & WILL_EXPIRY) != 0};
    out->qos = (uint8_t)take(&source, 1);
    out->session = take(&source, 8);
    out->due_ms = take(&source, 8);
    out->delay_s = (uint32_t)take(&source, 4);
    out->expiry_s = (uint32_t)take(&source, 4);
    out->client_id = take_bytes(&source, 2);
    out->topic = take_bytes(&source, 2);
    out->properties = take_bytes(&source, 4);
    out->payload = take_bytes(&source, 4);
    return !source.failed && source.left.len == 0 && out->qos <= 2 && out->client_id.len > 0 && out->topic.len > 0;
}

bool kept_subscription_read(struct bytes value, struct kept_subscription *out)
{
    struct source source = {.left = value};
    if (take(&source, 1) != ENCODING) {
        return false;
    }
    unsigned options = (unsigned)take(&source, 1);
    *out = (struct kept_subscription){
        .id = (uint32_t)take(&source, 4),
        .qos = options & OPTION_QOS,
        .retain_handling = (uint8_t)(options >> OPTION_RETAIN_HANDLING_SHIFT),
        .no_local = (options & OPTION_NO_LOCAL) != 0,
        .retain_as_published = (options & OPTION_RETAIN_AS_PUBLISHED) != 0,
    };
    out->filter = source.left;
    return !source.failed && out->qos <= 2 && out->retain_handling <= 2 && out->filter.len > 0 &&
           out->filter.len <= UINT16_MAX;
}

bool kept_position_is_valid(struct bytes value)
{
    return value.len > POSITION_HEAD && value.data[0] == ENCODING && (value.len - POSITION_HEAD) % RANGE_BYTES == 0 &&
           value.len - POSITION_HEAD <= RANGE_BYTES * ((size_t)RANGES_MAX + 1);
}

uint64_t kept_position_end(struct bytes value)
{
    return tg_get_be(value.data + value.len - 8, 8);
}

bool kept_position_has(struct bytes value, uint64_t seq)
{
    const uint8_t *ranges = value.data + POSITION_HEAD;
    size_t count = (value.len - POSITION_HEAD) / RANGE_BYTES;
    size_t low = 0;
    size_t high = count;
    while (low < high) { /* the first range that ends behind SEQ */
        size_t middle = low + (high - low) / 2;
        if (tg_get_be(ranges + RANGE_BYTES * middle + 8, 8) <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && tg_get_be(ranges + RANGE_BYTES * low, 8) <= seq;
}
