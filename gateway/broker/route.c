#include "gateway/broker/route.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/broker/core.h"
#include "gateway/broker/deliver.h"
#include "gateway/broker/mail.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/share.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"
#include "protocol/reason.h"

#define BATCH_BYTES          (32u * 1024u)
#define BATCH_SPARES         16u
#define COPIED_PAYLOAD_BYTES 2048u /* up to which a publication is copied instead of referenced */

/* One publication in a batch; topic, properties and payload follow unless there is a message. */
struct batch_record {
    uint32_t size; /* with what follows, a multiple of 8 */
    uint32_t payload_len;
    uint32_t properties_len;
    uint16_t topic_len;
    uint8_t qos;
    bool retain;
    uint64_t expires_ms;
    uint64_t publisher;
    uint64_t version;
    uint64_t number;
    uint64_t group;              /* number of the shared group it is for; 0: for plain receivers */
    struct store_record *record; /* NULL: none; else a reference of the record's own, and it is open for the receiver */
    struct message *message;     /* NULL: copied; else a reference of the record's own */
};

struct batch { /* the sender's until posted, the receiver's until returned */
    struct mail mail;
    struct batch *next; /* among returned or spare ones */
    struct place *origin;
    uint32_t used;
    uint32_t reserved;
    uint8_t data[BATCH_BYTES];
};

/* --- batches ---------------------------------------------------------------------------------------------------------- */

static void on_batch(struct place *place, struct mail *mail);

static void spare_batch(struct place *place, struct batch *batch)
{
    if (place->spare_batch_count >= BATCH_SPARES) {
        free(batch);
        return;
    }
    batch->next = place->spare_batches;
    place->spare_batches = batch;
    place->spare_batch_count++;
}

static struct batch *batch_new(struct place *place)
{
    if (place->spare_batches == NULL) {
        struct batch *returned = atomic_exchange_explicit(&place->returned_batches, NULL, memory_order_acquire);
        while (returned != NULL) {
            struct batch *next = returned->next;
            spare_batch(place, returned);
            returned = next;
        }
    }
    struct batch *batch = place->spare_batches;
    if (batch != NULL) {
        place->spare_batches = batch->next;
        place->spare_batch_count--;
    } else {
        batch = malloc(sizeof(*batch));
        if (batch == NULL) {
            return NULL;
        }
    }
    batch->mail = (struct mail){.receive = on_batch};
    batch->next = NULL;
    batch->origin = place;
    batch->used = 0;
    return batch;
}

static void batch_return(struct batch *batch)
{
    struct place *origin = batch->origin;
    struct batch *head = atomic_load_explicit(&origin->returned_batches, memory_order_relaxed);
    do {
        batch->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&origin->returned_batches, &head, batch, memory_order_release,
                                                    memory_order_relaxed));
}

static void batch_post(struct place *place, unsigned to)
{
    struct batch *batch = place->batches[to];
    place->batches[to] = NULL;
    place->batches_open &= ~(UINT64_C(1) << to);
    batch->mail.charge += batch->used;
    mail_post(place, to, &batch->mail);
    if (mail_is_full(place, to) && (place->congested >> to & 1u) == 0) {
        place->congested |= UINT64_C(1) << to;
        mailbox_wait(place, to);
    }
}

void route_flush(struct place *place)
{
    for (uint64_t open = place->batches_open; open != 0; open &= open - 1) {
        batch_post(place, (unsigned)__builtin_ctzll(open));
    }
}

/* Room for SIZE bytes in the batch for place TO. */
static void *batch_reserve(struct place *place, unsigned to, size_t size)
{
    struct batch *batch = place->batches[to];
    if (batch != NULL && BATCH_BYTES - batch->used < size) {
        batch_post(place, to);
        batch = NULL;
    }
    if (batch == NULL) {
        batch = batch_new(place);
        if (batch == NULL) {
            return NULL;
        }
        place->batches[to] = batch;
        place->batches_open |= UINT64_C(1) << to;
    }
    void *room = batch->data + batch->used;
    batch->used += (uint32_t)size;
    return room;
}

static uint8_t *put(uint8_t *at, struct bytes b)
{
    if (b.len > 0) {
        memcpy(at, b.data, b.len);
    }
    return at + b.len;
}

/* Put PUBLICATION into the batch for place TO. @return false without memory. */
static bool send_to(struct place *place, unsigned to, struct publication *publication, uint64_t group)
{
    struct message *message = NULL;
    size_t content = publication->topic.len + publication->properties.len + publication->payload.len;
    if (content > COPIED_PAYLOAD_BYTES) {
        message = publication_message(place, publication);
        if (message == NULL) {
            return false;
        }
        content = 0;
    }
    size_t size = (sizeof(struct batch_record) + content + 7) & ~(size_t)7;
    struct batch_record *record = batch_reserve(place, to, size);
    if (record == NULL) {
        return false;
    }
    *record = (struct batch_record){
        .size = (uint32_t)size,
        .payload_len = (uint32_t)publication->payload.len,
        .properties_len = (uint32_t)publication->properties.len,
        .topic_len = (uint16_t)publication->topic.len,
        .qos = publication->qos,
        .retain = publication->retain,
        .expires_ms = publication->expires_ms,
        .publisher = publication->publisher,
        .version = publication->version,
        .number = publication->number,
        .group = group,
        .record = publication->record,
    };
    if (publication->record != NULL) {
        store_record_open(store_record_ref(publication->record));
    }
    if (message != NULL) {
        record->message = message_ref(message);
        place->batches[to]->mail.charge += message_size(message);
        return true;
    }
    uint8_t *at = put((uint8_t *)(record + 1), publication->topic);
    at = put(at, publication->properties);
    put(at, publication->payload);
    return true;
}

bool route_send_to_group(struct place *place, unsigned to, const struct share_group *group,
                         struct publication *publication)
{
    publication->interest |= UINT64_C(1) << to; /* who publishes waits for that place too */
    return send_to(place, to, publication, group->number);
}

static void publication_of_record(struct publication *publication, struct batch_record *record, unsigned origin)
{
    if (record->message != NULL) {
        publication_from_message(publication, record->message);
    } else {
        const uint8_t *at = (const uint8_t *)(record + 1);
        *publication = (struct publication){
            .topic = {at, record->topic_len},
            .properties = {at + record->topic_len, record->properties_len},
            .payload = {at + record->topic_len + record->properties_len, record->payload_len},
            .expires_ms = record->expires_ms,
            .publisher = record->publisher,
            .qos = record->qos,
            .retain = record->retain,
        };
    }
    publication->record = record->record;
    publication->version = record->version;
    publication->number = record->number;
    publication->origin = origin;
}

/* The group's last member here has just left: find it by its filter. */
static void pass_on(struct place *place, struct publication *publication, uint64_t number)
{
    const struct route *route = route_cache_find(place->cache, publication->topic);
    struct share_group *group = route->no_memory ? NULL : share_find(route->filters, route->count, number);
    if (group == NULL) {
        STATS_ADD(&place->stats, dropped_no_member, 1);
    } else {
        (void)share_dispatch(place, group, publication);
    }
}

static void receive_for_group(struct place *place, struct publication *publication, uint64_t number)
{
    struct share_group *group = share_find_here(place, number);
    if (group == NULL || !share_deliver_here(place, group, publication)) {
        pass_on(place, publication, number);
    }
}

static void receive_record(struct place *place, struct batch_record *record, unsigned origin)
{
    struct publication publication;
    publication_of_record(&publication, record, origin);
    if (record->group != 0) {
        receive_for_group(place, &publication, record->group);
    } else {
        const struct route *route = route_cache_find(place->cache, publication.topic);
        if (route->no_memory) {
            publication_is_incomplete(place, &publication);
        } else {
            deliver_to_filters(place, &publication, route->filters, route->count);
        }
    }
    publication_fini(place, &publication);
    message_unref(record->message);
    if (record->record != NULL) {
        store_port_close(place->port, record->record);
        store_record_unref(record->record);
    }
}

static void on_batch(struct place *place, struct mail *mail)
{
    struct batch *batch = (struct batch *)mail;
    size_t charge = mail->charge;
    for (uint32_t at = 0; at < batch->used;) {
        struct batch_record *record = (struct batch_record *)(void *)(batch->data + at);
        at += record->size;
        receive_record(place, record, batch->origin->index);
    }
    batch_return(batch);
    mailbox_settle(place, charge);
}

static void batch_free(struct batch *batch)
{
    for (uint32_t at = 0; at < batch->used;) {
        struct batch_record *record = (struct batch_record *)(void *)(batch->data + at);
        at += record->size;
        message_unref(record->message);
        store_record_unref(record->record);
    }
    free(batch);
}

void route_fini(struct place *place)
{
    for (uint64_t open = place->batches_open; open != 0; open &= open - 1) {
        batch_free(place->batches[__builtin_ctzll(open)]);
    }
    place->batches_open = 0;
    struct batch *batch = place->spare_batches;
    while (batch != NULL) {
        struct batch *next = batch->next;
        free(batch);
        batch = next;
    }
    batch = atomic_exchange(&place->returned_batches, NULL);
    while (batch != NULL) {
        struct batch *next = batch->next;
        free(batch);
        batch = next;
    }
}

/* --- publishing ------------------------------------------------------------------------------------------------------- */

/* The message for the retained store; its version becomes the publication's. */
static uint8_t store_retained(struct place *place, struct publication *publication)
{
    struct message *message = publication_message(place, publication);
    struct store_record *old = NULL;
    bool is_kept = place->port != NULL && !publication->is_volatile;
    if (message == NULL || (is_kept && !publication_keep(place, publication, true))) {
        return REASON_QUOTA_EXCEEDED;
    }
    if (retained_store(place->broker->retained, message, publication->record, &old) != TG_OK) {
        if (is_kept) { /* nor is it retained on disk: nothing is submitted */
            publication->owns_record = false;
            store_record_unref(publication->record);
            publication->record = NULL;
        }
        return REASON_QUOTA_EXCEEDED;
    }
    publication->version = message->version;
    if (old != NULL) {
        store_record_replace(publication->record, old, STORE_RETAINED);
    }
    if (is_kept && publication->payload.len == 0) {
        /* It only says that there is nothing, until those that it replaces are deleted. */
        store_port_finish(place->port, store_record_ref(publication->record), STORE_RETAINED);
    }
    return REASON_SUCCESS;
}

/* Policy `refuse`: somebody's queue is full. */
static bool some_queue_is_full(const struct route *route)
{
    for (uint32_t i = 0; i < route->count; i++) {
        if (atomic_load_explicit(&route->filters[i]->full, memory_order_relaxed) > 0) {
            return true;
        }
    }
    return false;
}

static bool dispatch_to_groups(struct place *place, struct publication *publication, const struct route *route)
{
    bool complete = true;
    for (uint32_t i = 0; i < route->count; i++) {
        struct share_group *group = atomic_load_explicit(&route->filters[i]->groups, memory_order_acquire);
        for (; group != NULL; group = atomic_load_explicit(&group->next, memory_order_acquire)) {
            complete &= share_dispatch(place, group, publication);
        }
    }
    return complete;
}

uint8_t route_publish(struct place *place, struct publication *publication, bool *matched)
{
    publication->origin = place->index;
    publication->number = ++place->publication_number;
    if (publication->qos > 0 && place->settings->limits.queue_full == QUEUE_REFUSE &&
        some_queue_is_full(route_cache_find(place->cache, publication->topic))) {
        return REASON_QUOTA_EXCEEDED;
    }
    if (publication->retain) {
        uint8_t reason_code = store_retained(place, publication); /* before receivers are resolved */
        if (reason_code != REASON_SUCCESS) {
            return reason_code;
        }
    }
    const struct route *route = route_cache_find(place->cache, publication->topic);
    publication->interest = route->interest;
    publication->durable = route->durable;
    if (matched != NULL) {
        *matched = route->count > 0;
    }
    bool complete = !route->no_memory;
    if (publication->qos > 0 && publication->durable != 0 && publication->record == NULL && place->port != NULL) {
        complete &= publication_keep(place, publication, false);
    }
    uint64_t here = UINT64_C(1) << place->index;
    for (uint64_t others = route->interest & ~here; others != 0; others &= others - 1) {
        complete &= send_to(place, (unsigned)__builtin_ctzll(others), publication, 0);
    }
    if ((route->interest & here) != 0) {
        deliver_to_filters(place, publication, route->filters, route->count);
    }
    if (route->has_groups) {
        complete &= dispatch_to_groups(place, publication, route);
    }
    if (!complete) {
        STATS_ADD(&place->stats, dropped_no_memory, 1);
        return REASON_QUOTA_EXCEEDED;
    }
    return REASON_SUCCESS;
}
