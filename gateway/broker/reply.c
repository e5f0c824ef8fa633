/* Acknowledgements: at once if what they stand for is done, else parked on their ticket, in the order of the packets they
 * answer. Nothing overtakes a parked acknowledgement of the same connection. */
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "protocol/ack.h"
#include "protocol/subscribe.h"

#define RESUME_PARKED 500u /* parked acknowledgements below which a paused client is read again */

enum parked_kind {
    PARKED_ACK,
    PARKED_SUBACK,
    PARKED_CONNACK,
};

struct parked_ack { /* owner: the client's place */
    struct parked_ack *next;
    struct store_ticket ticket;
    enum parked_kind kind;
    enum packet_type type;
    const char *why; /* static */
    uint16_t packet_id;
    uint8_t reason_code;
    size_t code_count;
    uint8_t codes[];
};

/* WHY as far as CLIENT wants to hear it. [MQTT-3.1.2-29] */
static struct bytes reason_string(const struct client *client, const char *why)
{
    if (why == NULL || client->version != MQTT_5_0 || !client->problem_information) {
        return (struct bytes){NULL, 0};
    }
    return bytes_from_string(why);
}

/* An acknowledgement leaves. If a message of the client's is over with it, it may send one more. [MQTT 5.0, 4.9] */
static void return_quota(struct client *client, enum packet_type type, uint8_t reason_code)
{
    bool is_end = type == PACKET_PUBACK || (type == PACKET_PUBREC && reason_code >= 0x80) ||
                  (type == PACKET_PUBCOMP && reason_code == REASON_SUCCESS);
    if (is_end && client->unanswered > 0) { /* 0: PUBCOMP for a message of an earlier connection */
        client->unanswered--;
    }
}

static void send_ack(struct client *client, enum packet_type type, uint16_t packet_id, uint8_t reason_code,
                     const char *why)
{
    return_quota(client, type, reason_code);
    struct bytes reason = reason_string(client, why);
    size_t cap = 16 + reason.len;
    uint8_t *room = client_append(client, cap);
    if (room == NULL) {
        client_doom(client);
        return;
    }
    size_t len = ack_encode(room, cap, type, packet_id, reason_code, reason, client->max_packet, client->version);
    if (client->max_packet > 0 && len > client->max_packet) {
        len = 0; /* [MQTT-3.1.2-24] */
    }
    client_unappend(client, cap - len);
    STATS_ADD(&client->place->stats, packets_sent, len > 0);
}

static void send_suback(struct client *client, enum packet_type type, uint16_t packet_id, struct bytes codes,
                        const char *why)
{
    struct bytes reason = reason_string(client, why);
    size_t cap = 16 + reason.len + codes.len;
    uint8_t *room = client_append(client, cap);
    if (room == NULL) {
        client_doom(client);
        return;
    }
    size_t len = suback_encode(room, cap, type, packet_id, codes, reason, client->max_packet, client->version);
    if (client->max_packet > 0 && len > client->max_packet) {
        len = 0; /* [MQTT-3.1.2-24] */
    }
    client_unappend(client, cap - len);
    STATS_ADD(&client->place->stats, packets_sent, len > 0);
}

/* True if what waits for TICKET may be sent now. */
static bool may_send(const struct client *client, struct store_ticket ticket)
{
    return client->parked == NULL && store_is_done(client->place->broker->store, &ticket);
}

/* Clients that have something parked are in their place's list. */
static void link_parked(struct client *client)
{
    struct place *place = client->place;
    client->parked_next = place->parked;
    client->parked_at = &place->parked;
    place->parked = client;
    if (client->parked_next != NULL) {
        client->parked_next->parked_at = &client->parked_next;
    }
}

static void unlink_parked(struct client *client)
{
    *client->parked_at = client->parked_next;
    if (client->parked_next != NULL) {
        client->parked_next->parked_at = client->parked_at;
    }
    client->parked_at = NULL;
}

/* Park ACK (taken, may be NULL). */
static void park(struct client *client, struct parked_ack *ack)
{
    if (ack == NULL) {
        client_doom(client);
        return;
    }
    if (client->parked_last != NULL) {
        client->parked_last->next = ack;
    } else {
        client->parked = ack;
    }
    client->parked_last = ack;
    client->parked_count++;
    STATS_ADD(&client->place->stats, parked_acknowledgements, 1);
    if (client->parked_at == NULL) {
        link_parked(client);
    }
}

/* TICKET is taken. */
static struct parked_ack *parked_new(enum parked_kind kind, struct store_ticket ticket, size_t code_count)
{
    struct parked_ack *ack = calloc(1, sizeof(*ack) + code_count);
    if (ack == NULL) {
        store_ticket_release(&ticket);
    } else {
        ack->kind = kind;
        ack->ticket = ticket;
        ack->code_count = code_count;
    }
    return ack;
}

void reply_ack(struct client *client, struct store_ticket ticket, enum packet_type type, uint16_t packet_id,
               uint8_t reason_code, const char *why)
{
    if (client->is_local) {
        store_ticket_release(&ticket);
        return; /* it speaks in sequence numbers, see local.h */
    }
    if (may_send(client, ticket)) {
        store_ticket_release(&ticket);
        send_ack(client, type, packet_id, reason_code, why);
        return;
    }
    struct parked_ack *ack = parked_new(PARKED_ACK, ticket, 0);
    if (ack != NULL) {
        ack->type = type;
        ack->packet_id = packet_id;
        ack->reason_code = reason_code;
        ack->why = why;
    }
    park(client, ack);
}

void reply_suback(struct client *client, struct store_ticket ticket, enum packet_type type, uint16_t packet_id,
                  struct bytes codes, const char *why)
{
    if (may_send(client, ticket)) {
        store_ticket_release(&ticket);
        send_suback(client, type, packet_id, codes, why);
        return;
    }
    struct parked_ack *ack = parked_new(PARKED_SUBACK, ticket, codes.len);
    if (ack != NULL) {
        ack->type = type;
        ack->packet_id = packet_id;
        ack->why = why;
        memcpy(ack->codes, codes.data, codes.len);
    }
    park(client, ack);
}

void reply_connack(struct client *client, struct store_ticket ticket)
{
    if (may_send(client, ticket)) {
        store_ticket_release(&ticket);
        connecting_finish(client);
        return;
    }
    park(client, parked_new(PARKED_CONNACK, ticket, 0));
}

static void release(struct client *client, const struct parked_ack *ack)
{
    switch (ack->kind) {
    case PARKED_ACK:
        send_ack(client, ack->type, ack->packet_id, ack->reason_code, ack->why);
        break;
    case PARKED_SUBACK:
        send_suback(client, ack->type, ack->packet_id, (struct bytes){ack->codes, ack->code_count}, ack->why);
        break;
    case PARKED_CONNACK:
        connecting_finish(client);
        break;
    }
}

/* Send what of CLIENT's may be sent. */
static void release_client(struct client *client)
{
    struct store *store = client->place->broker->store;
    while (client->parked != NULL && store_is_done(store, &client->parked->ticket)) {
        struct parked_ack *ack = client->parked;
        client->parked = ack->next;
        if (client->parked == NULL) {
            client->parked_last = NULL;
        }
        client->parked_count--;
        STATS_ADD(&client->place->stats, parked_acknowledgements, -1);
        bool is_incomplete = store_ticket_is_incomplete(&ack->ticket);
        store_ticket_release(&ack->ticket);
        if (is_incomplete) {
            free(ack);
            client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
            return;
        }
        release(client, ack); /* what a CONNACK sets free may park anew, or close the client */
        free(ack);
    }
    if (client->parked_count <= RESUME_PARKED && (client->paused & CLIENT_PAUSE_PARKED) != 0) {
        client_set_paused(client, CLIENT_PAUSE_PARKED, false);
    }
}

void reply_release_parked(struct place *place)
{
    struct client *todo = place->parked; /* what is released may park anew, and may end any of these clients */
    place->parked = NULL;
    if (todo != NULL) {
        todo->parked_at = &todo;
    }
    while (todo != NULL) {
        struct client *client = todo;
        unlink_parked(client);
        release_client(client);
        if (client->parked != NULL && client->parked_at == NULL) {
            link_parked(client);
        }
    }
}

void reply_drop_parked(struct client *client)
{
    while (client->parked != NULL) {
        struct parked_ack *ack = client->parked;
        client->parked = ack->next;
        store_ticket_release(&ack->ticket);
        free(ack);
    }
    STATS_ADD(&client->place->stats, parked_acknowledgements, -(uint64_t)client->parked_count);
    client->parked_last = NULL;
    client->parked_count = 0;
    if (client->parked_at != NULL) {
        unlink_parked(client);
    }
}
