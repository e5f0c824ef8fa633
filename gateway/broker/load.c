#include "gateway/broker/load.h"

#include <stdlib.h>

#include "gateway/base/container.h"
#include "gateway/base/log.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/mail.h"
#include "gateway/broker/outgoing.h"
#include "gateway/broker/session.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"

#define LOAD_MESSAGES 64u
#define LOAD_BYTES    (512u * 1024u)
#define LOAD_AGAIN_MS 100u

struct load { /* owner: the place, but while the store reads: its reader */
    struct mail mail;
    struct store_fetch fetch;
    struct timer again; /* set: all has come back, and what could not be read is asked for when it fires */
    struct place *place;
    struct session *session; /* NULL: nobody waits for it. owner: the place */
    struct asked {           /* in the order of the queue; what comes back is in an order of the store's own */
        const struct store_record *record; /* NULL: it has come back */
        uint64_t seq;
    } asked[LOAD_MESSAGES];
    struct store_fetched items[LOAD_MESSAGES];
};

/* The number that was asked for with RECORD; one of them, if it was asked for more than once. */
static uint64_t asked_seq(struct load *load, const struct store_record *record)
{
    struct asked *asked = load->asked;
    while (asked->record != record) {
        asked++;
    }
    asked->record = NULL;
    return asked->seq;
}

/* The entry of SESSION with SEQ and RECORD, if it is still to be sent. *AT: where in the queue; -1: it is in the window */
static struct outgoing_entry *find(struct session *session, uint64_t seq, const struct store_record *record,
                                   int64_t *at)
{
    const struct outgoing *outgoing = &session->outgoing;
    *at = outgoing_find(outgoing, outgoing_packet_id(seq));
    if (*at >= 0) {
        struct outgoing_entry *entry = outgoing_at(&outgoing->window, (uint32_t)*at);
        *at = -1 - *at;
        return entry->record == record ? entry : NULL;
    }
    for (uint32_t i = 0; i < outgoing->queue.count; i++) {
        struct outgoing_entry *entry = outgoing_at(&outgoing->queue, i);
        if (entry->record == record) {
            *at = i;
            return entry;
        }
        if (entry->qos > 0 && entry->seq > seq) {
            return NULL;
        }
    }
    return NULL;
}

/* @return false: the entry is still without its message, which may be there */
static bool take(struct place *place, struct session *session, uint64_t seq, struct store_fetched *item)
{
    int64_t at;
    struct outgoing_entry *entry = find(session, seq, item->record, &at);
    if (entry == NULL || entry->message != NULL) {
        return true;
    }
    if (item->status == STORE_FETCH_AGAIN) {
        return false;
    }
    if (item->status == STORE_FETCH_GONE) {
        struct bytes id = session_client_id(session);
        log_error("a stored message cannot be read", LOG_BYTES("client_id", id.data, id.len), LOG_UNUM("number", seq));
        STATS_ADD(&place->stats, dropped_damaged, 1);
        if (at < 0) {
            session_finish(place, session, (uint32_t)(-1 - at));
        } else {
            session_drop_queued(place, session, (uint32_t)at);
        }
        return true;
    }
    session_loaded(place, session, entry, at >= 0, item->message);
    item->message = NULL;
    return true;
}

/* It was too early: the session asks again for what it needs by now. */
static void on_again(struct timer *timer)
{
    struct load *load = TG_CONTAINER_OF(timer, struct load, again);
    struct place *place = load->place;
    struct session *session = load->session;
    session->kept->load = NULL;
    free(load);
    session_pump(place, session);
}

static void on_loaded(struct place *place, struct mail *mail)
{
    struct load *load = (struct load *)mail;
    struct session *session = load->session;
    bool is_complete = true;
    for (uint32_t i = 0; i < load->fetch.count; i++) {
        if (session != NULL && !take(place, session, asked_seq(load, load->items[i].record), &load->items[i])) {
            is_complete = false;
        }
        message_unref(load->items[i].message);
        store_record_unref(load->items[i].record);
    }
    if (session != NULL && !is_complete) {
        timer_wheel_set(place->wheel, &load->again, place->now_ms + LOAD_AGAIN_MS);
    } else {
        if (session != NULL) {
            session->kept->load = NULL;
        }
        free(load);
    }
    if (session != NULL) {
        session_pump(place, session);
    }
}

/* The reader's thread. */
static void on_fetched(struct store_fetch *fetch)
{
    struct load *load = TG_CONTAINER_OF(fetch, struct load, fetch);
    load->mail = (struct mail){.receive = on_loaded};
    mail_post(load->place, load->place->index, &load->mail);
}

/* Ask for ENTRY, unless that would be too much at once. @return false then */
static bool ask_for(struct load *load, const struct outgoing_entry *entry, size_t *bytes)
{
    size_t size = outgoing_size(entry);
    if (load->fetch.count == LOAD_MESSAGES || (load->fetch.count > 0 && *bytes + size > LOAD_BYTES)) {
        return false;
    }
    *bytes += size;
    load->asked[load->fetch.count] = (struct asked){entry->record, entry->seq};
    load->items[load->fetch.count++] = (struct store_fetched){.record = store_record_ref(entry->record)};
    return true;
}

/* True if ENTRY is to be sent and on disk alone. What its record has still in memory need not be there yet. */
static bool is_missing(const struct outgoing_entry *entry)
{
    if (entry->message != NULL || entry->record == NULL || entry->state == OUTGOING_RELEASED ||
        entry->state == OUTGOING_RERELEASE) {
        return false;
    }
    struct message *message = store_record_message(entry->record);
    message_unref(message);
    return message == NULL;
}

/* What SESSION sends next. */
static void ask_for_next(struct load *load, const struct session *session)
{
    const struct outgoing *outgoing = &session->outgoing;
    size_t bytes = 0;
    uint32_t seen = 0;
    for (uint32_t at = outgoing->resend > 0 ? outgoing->resend_from : outgoing->window.count;
         at < outgoing->window.count && seen < LOAD_MESSAGES; at++, seen++) {
        const struct outgoing_entry *entry = outgoing_at(&outgoing->window, at);
        if (is_missing(entry) && !ask_for(load, entry, &bytes)) {
            return;
        }
    }
    for (uint32_t at = 0; at < outgoing->queue.count && seen < LOAD_MESSAGES; at++, seen++) {
        const struct outgoing_entry *entry = outgoing_at(&outgoing->queue, at);
        if (is_missing(entry) && !ask_for(load, entry, &bytes)) {
            return;
        }
    }
}

static void start(struct place *place, struct session *session)
{
    struct load *load = malloc(sizeof(*load));
    if (load == NULL) {
        client_doom(session->client);
        return;
    }
    load->fetch = (struct store_fetch){.done = on_fetched, .items = load->items};
    timer_init(&load->again, on_again);
    load->place = place;
    load->session = session;
    session->kept->load = load;
    ask_for_next(load, session);
    place->broker->store->engine->fetch(place->broker->store, &load->fetch);
}

bool load_entry(struct place *place, struct session *session, struct outgoing_entry *entry)
{
    if (entry->message != NULL) {
        return true;
    }
    struct message *message = store_record_message(entry->record);
    if (message != NULL) {
        session_loaded(place, session, entry, entry->state == OUTGOING_QUEUED, message);
        return true;
    }
    if (session->kept->load == NULL) {
        start(place, session);
    }
    return false;
}

void load_forget(struct session *session)
{
    struct load *load = session->kept->load;
    if (load == NULL) {
        return;
    }
    session->kept->load = NULL;
    load->session = NULL;
    if (timer_is_set(&load->again)) { /* the store is through with it */
        timer_wheel_stop(load->place->wheel, &load->again);
        free(load);
    }
}
