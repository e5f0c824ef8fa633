/* Parts are numbered by place, then by part of the directory. The census travels by mail to the place, which writes the entries of a few
 * parts into a buffer, and back. While it is away its home touches nothing of it but is_cancelled. Who asks for one session goes from place to place with
 * its id. */
#include "gateway/broker/census.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/access/access.h"
#include "gateway/base/hash.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/directory.h"
#include "gateway/broker/mail.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscription.h"

#define PEER_TEXT_BYTES 128u
#define VISIT_SESSIONS  512u                 /* looked at in one visit, and those of one part more */
#define VISIT_BYTES     ((size_t)128 * 1024) /* of entries, the same */

/* An entry in the buffer; its strings follow, in the order of its members. */
struct census_record {
    struct census_entry entry; /* pointers are not valid */
    size_t size;               /* with the strings, a multiple of 8 */
};

struct census { /* whoever has its mail; home's members: home */
    struct mail mail;
    struct place *home;
    const struct census_ops *ops;
    void *owner;
    enum census_kind kind;
    uint8_t *wanted; /* owned: id of the one session that is asked for; NULL: all */
    size_t wanted_len;
    uint32_t part;     /* place * DIRECTORY_PARTS + part of the directory that is to be looked at next */
    bool is_away;      /* home's */
    bool is_telling;   /* home's: its callbacks are being called */
    bool is_cancelled; /* home's */
    bool is_complete;
    bool failed;
    uint8_t *records; /* owned */
    size_t used;
    size_t capacity;
};

/* --- at the place that is asked ------------------------------------------------------------------------------------------ */

static uint8_t *put(uint8_t *at, struct bytes b)
{
    if (b.len > 0) {
        memcpy(at, b.data, b.len);
    }
    return at + b.len;
}

static void add(struct census *census, const struct census_entry *entry)
{
    size_t strings = entry->client_id.len + entry->user_name.len + entry->peer.len + entry->filter.len;
    size_t size = (sizeof(struct census_record) + strings + 7) & ~(size_t)7;
    if (census->capacity - census->used < size) {
        size_t capacity = census->capacity * 2 > census->used + size ? census->capacity * 2 : census->used + size;
        capacity = capacity < 4096 ? 4096 : capacity;
        uint8_t *grown = realloc(census->records, capacity);
        if (grown == NULL) {
            census->failed = true;
            return;
        }
        census->records = grown;
        census->capacity = capacity;
    }
    struct census_record *record = (struct census_record *)(void *)(census->records + census->used);
    record->entry = *entry;
    record->size = size;
    uint8_t *at = (uint8_t *)(record + 1);
    at = put(at, entry->client_id);
    at = put(at, entry->user_name);
    at = put(at, entry->peer);
    put(at, entry->filter);
    census->used += size;
}

static void add_session(struct place *place, struct session *session, struct census *census)
{
    char peer[PEER_TEXT_BYTES] = "";
    const struct client *client = session->client;
    struct census_entry entry = {
        .client_id = session_client_id(session),
        .part = census->part,
        .key = session->hash,
        .is_connected = client != NULL,
        .has_will = session->will != NULL,
        .version = session->version,
        .place = place->index,
        .expiry_s = session->expiry_s,
        .queued_messages = session->outgoing.queue.count,
        .queued_bytes = session->outgoing.queue_bytes,
        .inflight_messages = session->outgoing.window.count,
        .subscriptions = session->subscriptions.count,
    };
    if (session->identity != NULL) {
        entry.user_name = session->identity->user_name;
    }
    if (client != NULL) {
        client->ops->describe(client->transport, peer, sizeof(peer));
        entry.peer = bytes_from_string(peer);
        entry.transport = client->ops->name;
        entry.keep_alive_s = client->keep_alive_s;
    }
    add(census, &entry);
}

static void add_subscriptions(struct session *session, struct census *census)
{
    uint32_t at = 0;
    for (const struct subscription *s = subscription_next(&session->subscriptions, &at); s != NULL;
         s = subscription_next(&session->subscriptions, &at)) {
        struct census_entry entry = {
            .client_id = session_client_id(session),
            .part = census->part,
            .key = tg_hash(s->full, s->full_len, session->hash),
            .filter = {s->full, s->full_len},
            .id = s->id,
            .qos = s->qos,
            .retain_handling = s->retain_handling,
            .no_local = s->no_local,
            .retain_as_published = s->retain_as_published,
        };
        add(census, &entry);
    }
}

static void visit(struct place *place, struct session *session, void *arg)
{
    struct census *census = arg;
    if (census->kind == CENSUS_SESSIONS) {
        add_session(place, session, census);
    } else {
        add_subscriptions(session, census);
    }
}

/* --- at home --------------------------------------------------------------------------------------------------------------- */

static void tell(const struct census *census)
{
    for (size_t at = 0; at < census->used && !census->is_cancelled;) {
        const struct census_record *record = (const struct census_record *)(const void *)(census->records + at);
        struct census_entry entry = record->entry;
        const uint8_t *string = (const uint8_t *)(record + 1);
        struct bytes *strings[] = {&entry.client_id, &entry.user_name, &entry.peer, &entry.filter};
        for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
            strings[i]->data = string;
            string += strings[i]->len;
        }
        census->ops->on_entry(census->owner, &entry);
        at += record->size;
    }
}

static void destroy(struct census *census)
{
    free(census->wanted);
    free(census->records);
    free(census);
}

static void on_return(struct place *place, struct mail *mail)
{
    struct census *census = (struct census *)mail;
    (void)place;
    census->is_away = false;
    if (!census->is_cancelled) {
        census->is_telling = true;
        tell(census);
        if (!census->is_cancelled) {
            census->ops->on_part(census->owner, census->is_complete, census->failed);
        }
        census->is_telling = false;
    }
    if (census->is_cancelled && !census->is_away) {
        destroy(census);
    }
}

static unsigned place_of(const struct census *census)
{
    return census->part / DIRECTORY_PARTS;
}

static void visit_wanted(struct place *place, struct census *census)
{
    struct bytes client_id = {census->wanted, census->wanted_len};
    uint64_t hash = tg_hash(client_id.data, client_id.len, place->broker->hash_seed);
    census->part = place->index * DIRECTORY_PARTS + directory_part_of(hash);
    directory_visit_one(place, client_id, visit, census);
    census->part = (place->index + 1) * DIRECTORY_PARTS;
}

static void visit_parts(struct place *place, struct census *census)
{
    size_t sessions = 0;
    while (place_of(census) == place->index && sessions < VISIT_SESSIONS && census->used < VISIT_BYTES) {
        sessions += directory_visit_part(place, census->part % DIRECTORY_PARTS, visit, census);
        census->part++;
    }
}

static void on_visit(struct place *place, struct mail *mail)
{
    struct census *census = (struct census *)mail;
    if (census->wanted != NULL) {
        visit_wanted(place, census);
    } else {
        visit_parts(place, census);
    }
    census->is_complete = place_of(census) >= place->broker->place_count;
    census->mail = (struct mail){.receive = on_return};
    mail_post(place, census->home->index, &census->mail);
}

void census_continue(struct census *census)
{
    struct place *home = census->home;
    unsigned to = place_of(census);
    census->is_away = true;
    census->used = 0;
    if (to < home->broker->place_count) {
        census->mail = (struct mail){.receive = on_visit};
    } else { /* begun behind the end */
        census->is_complete = true;
        census->mail = (struct mail){.receive = on_return};
        to = home->index;
    }
    mail_post(home, to, &census->mail);
}

static struct census *census_new(struct place *place, enum census_kind kind, const struct census_ops *ops, void *owner)
{
    struct census *census = calloc(1, sizeof(*census));
    if (census == NULL) {
        return NULL;
    }
    census->home = place;
    census->ops = ops;
    census->owner = owner;
    census->kind = kind;
    return census;
}

struct census *census_start(struct place *place, enum census_kind kind, uint32_t part, const struct census_ops *ops,
                            void *owner)
{
    struct census *census = census_new(place, kind, ops, owner);
    if (census == NULL) {
        return NULL;
    }
    census->part = part;
    census_continue(census);
    return census;
}

struct census *census_find(struct place *place, enum census_kind kind, struct bytes client_id,
                           const struct census_ops *ops, void *owner)
{
    struct census *census = census_new(place, kind, ops, owner);
    if (census == NULL) {
        return NULL;
    }
    census->wanted = malloc(client_id.len + 1);
    if (census->wanted == NULL) {
        free(census);
        return NULL;
    }
    if (client_id.len > 0) {
        memcpy(census->wanted, client_id.data, client_id.len);
    }
    census->wanted_len = client_id.len;
    census_continue(census);
    return census;
}

bool census_stays(const struct census *census)
{
    return census->part % DIRECTORY_PARTS != 0;
}

uint32_t census_part(const struct census *census)
{
    return census->part;
}

void census_free(struct census *census)
{
    if (census == NULL) {
        return;
    }
    if (census->is_away || census->is_telling) {
        census->is_cancelled = true; /* freed when it is back */
        return;
    }
    destroy(census);
}
