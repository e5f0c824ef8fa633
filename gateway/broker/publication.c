#include "gateway/broker/publication.h"

#include <string.h>

#include "gateway/broker/core.h"
#include "protocol/publish.h"

struct message *publication_message(struct place *place, struct publication *publication)
{
    if (publication->message != NULL) {
        return publication->message;
    }
    struct message *message = message_of_parts(publication->topic, publication->properties, publication->payload);
    if (message == NULL) {
        return NULL;
    }
    message->qos = publication->qos;
    message->retain = publication->retain;
    message->expires_ms = publication->expires_ms;
    message->publisher = publication->publisher;
    message->version = publication->version;
    message->stored_ms = place->wall_ms;
    publication->message = message;
    return message;
}

bool publication_keep(struct place *place, struct publication *publication, bool is_retained)
{
    struct message *message = place->port != NULL ? publication_message(place, publication) : NULL;
    if (message == NULL) {
        return false;
    }
    uint64_t expires_ms = STORE_NEVER_EXPIRES;
    if (publication->expires_ms != MESSAGE_NEVER_EXPIRES) {
        expires_ms = place->wall_ms + (publication->expires_ms - place->now_ms);
    }
    publication->record = store_record_new(message, place->broker->place_count, expires_ms, is_retained);
    publication->owns_record = publication->record != NULL;
    return publication->owns_record;
}

void publication_is_incomplete(struct place *place, struct publication *publication)
{
    STATS_ADD(&place->stats, dropped_no_memory, 1);
    if (publication->record != NULL) {
        store_record_set_incomplete(publication->record);
    }
}

struct store_ticket publication_commit(struct place *place, struct publication *publication, struct store_write *writes)
{
    struct store_ticket ticket = STORE_TICKET_DONE;
    if (publication->owns_record) {
        if (writes != NULL) {
            store_record_attach(publication->record, writes);
        }
        ticket.record = publication->record; /* the reference goes with it */
        publication->owns_record = false;
        publication->record = NULL;
        store_port_close(place->port, ticket.record);
    } else if (writes != NULL && !store_port_write(place->port, writes, &ticket)) {
        ticket.number = STORE_NEVER;
    }
    return ticket;
}

uint32_t publication_remaining_s(uint64_t expires_ms, uint64_t now_ms)
{
    if (expires_ms <= now_ms) {
        return 0;
    }
    uint64_t remaining_s = (expires_ms - now_ms + 999) / 1000;
    return remaining_s < UINT32_MAX ? (uint32_t)remaining_s : UINT32_MAX;
}

static struct outq_shared *encode(struct place *place, struct publication *publication, enum mqtt_version version,
                                  bool retain, struct outq_shared *out)
{
    struct publish_head head = {
        .retain = retain,
        .topic = publication->topic,
        .has_message_expiry = publication->expires_ms != MESSAGE_NEVER_EXPIRES,
        .forwarded_properties = publication->properties,
        .payload_len = publication->payload.len,
    };
    if (head.has_message_expiry) {
        head.message_expiry_interval_s = publication_remaining_s(publication->expires_ms, place->now_ms);
    }
    size_t len = publish_encoded_len(&head, version);
    uint8_t *room;
    if (len > PACKET_BODY_MAX || !outq_shared_new(place->pool, len, out, &room)) {
        return NULL;
    }
    size_t head_len = publish_encode_head(room, len, &head, version, NULL);
    if (publication->payload.len > 0) {
        memcpy(room + head_len, publication->payload.data, publication->payload.len);
    }
    return out;
}

const struct outq_shared *publication_encoding(struct place *place, struct publication *publication,
                                               enum mqtt_version version, bool retain)
{
    unsigned n = (version == MQTT_5_0 ? 2u : 0u) | (retain ? 1u : 0u);
    struct outq_shared *encoding = &publication->encodings[n];
    if (((unsigned)publication->encoded >> n & 1u) == 0) {
        if (encode(place, publication, version, retain, encoding) == NULL) {
            return NULL;
        }
        publication->encoded = (uint8_t)(publication->encoded | 1u << n);
    }
    return encoding;
}

const struct outq_shared *publication_shared_payload(struct place *place, struct publication *publication)
{
    if (publication->shared_payload.block == NULL) {
        uint8_t *room;
        if (!outq_shared_new(place->pool, publication->payload.len, &publication->shared_payload, &room)) {
            return NULL;
        }
        memcpy(room, publication->payload.data, publication->payload.len);
    }
    return &publication->shared_payload;
}

void publication_over_message(struct publication *publication, const struct message *message)
{
    *publication = (struct publication){
        .topic = message_topic(message),
        .payload = message_payload(message),
        .properties = message_properties(message),
        .expires_ms = message->expires_ms,
        .publisher = message->publisher,
        .qos = message->qos,
        .retain = message->retain,
    };
}

void publication_from_message(struct publication *publication, struct message *message)
{
    publication_over_message(publication, message);
    publication->version = message->version;
    publication->message = message_ref(message);
}

void publication_fini(struct place *place, struct publication *publication)
{
    if (publication->owns_record) {
        struct store_ticket ticket = publication_commit(place, publication, NULL);
        store_ticket_release(&ticket);
    }
    message_unref(publication->message);
    publication->message = NULL;
    if (publication->encoded != 0) {
        for (unsigned n = 0; n < PUBLICATION_ENCODINGS; n++) {
            if (((unsigned)publication->encoded >> n & 1u) != 0) {
                outq_shared_release(place->pool, &publication->encodings[n]);
            }
        }
        publication->encoded = 0;
    }
    outq_shared_release(place->pool, &publication->shared_payload);
}
