/* PUBACK, PUBREC, PUBREL and PUBCOMP from a client. [MQTT 5.0, 4.3.2 and 4.3.3] */
#include "gateway/broker/connection_state.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/outgoing.h"
#include "gateway/broker/packet_ids.h"
#include "gateway/broker/session.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"
#include "protocol/ack.h"

static void finish(struct client *client, uint32_t at)
{
    struct session *session = client->session;
    session_finish(client->place, session, at);
    session_pump(client->place, session);
}

static void on_puback(struct client *client, const struct ack *ack)
{
    const struct outgoing *outgoing = &client->session->outgoing;
    int64_t at = outgoing_find(outgoing, ack->packet_id);
    if (at < 0) {
        client_close(client, REASON_PROTOCOL_ERROR, "PUBACK for a packet id that is not in use");
        return;
    }
    if (outgoing_at(&outgoing->window, (uint32_t)at)->qos != 1) {
        client_close(client, REASON_PROTOCOL_ERROR, "PUBACK for a QoS 2 message");
        return;
    }
    finish(client, (uint32_t)at);
}

static void on_pubrec(struct client *client, const struct ack *ack)
{
    struct outgoing *outgoing = &client->session->outgoing;
    int64_t at = outgoing_find(outgoing, ack->packet_id);
    if (at < 0) {
        reply_ack(client, STORE_TICKET_DONE, PACKET_PUBREL, ack->packet_id, REASON_PACKET_IDENTIFIER_NOT_FOUND,
                  "packet id is not in use");
        return;
    }
    struct outgoing_entry *entry = outgoing_at(&outgoing->window, (uint32_t)at);
    if (entry->qos != 2) {
        client_close(client, REASON_PROTOCOL_ERROR, "PUBREC for a QoS 1 message");
        return;
    }
    if (ack->reason_code >= 0x80) {
        finish(client, (uint32_t)at); /* [MQTT-4.8.2-6] refused: not sent to anybody else either */
        return;
    }
    outgoing_unmark(outgoing, entry); /* if it was still to be repeated, it need not be */
    message_unref(entry->message);    /* [MQTT-4.3.3-6] from here on only the id counts */
    entry->message = NULL;
    entry->state = OUTGOING_RELEASED;
    struct store_ticket ticket;
    if (!kept_sent(client->place, client->session, entry, &ticket)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    reply_ack(client, ticket, PACKET_PUBREL, ack->packet_id, REASON_SUCCESS, NULL);
}

static void on_pubrel(struct client *client, const struct ack *ack)
{
    struct session *session = client->session;
    if (!packet_ids_remove(&session->received, ack->packet_id)) {
        reply_ack(client, STORE_TICKET_DONE, PACKET_PUBCOMP, ack->packet_id, REASON_PACKET_IDENTIFIER_NOT_FOUND,
                  "packet id is not in use");
        return;
    }
    struct store_ticket ticket;
    if (!kept_released(client->place, session, ack->packet_id, &ticket)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    reply_ack(client, ticket, PACKET_PUBCOMP, ack->packet_id, REASON_SUCCESS, NULL);
}

static void on_pubcomp(struct client *client, const struct ack *ack)
{
    const struct outgoing *outgoing = &client->session->outgoing;
    int64_t at = outgoing_find(outgoing, ack->packet_id);
    if (at < 0) {
        return; /* the answer to a PUBREL that said "packet id is not in use" */
    }
    const struct outgoing_entry *entry = outgoing_at(&outgoing->window, (uint32_t)at);
    if (entry->state != OUTGOING_RELEASED && entry->state != OUTGOING_RERELEASE) {
        client_close(client, REASON_PROTOCOL_ERROR, "PUBCOMP before PUBREC");
        return;
    }
    uint64_t seq = entry->seq;
    session_finish(client->place, client->session, (uint32_t)at);
    kept_completed(client->place, client->session, seq);
    session_pump(client->place, client->session);
}

void handle_ack(struct client *client, enum packet_type type, struct bytes body)
{
    struct ack ack;
    struct fault fault;
    if (!ack_decode(body, type, client->version, &ack, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    switch (type) {
    case PACKET_PUBACK:
        on_puback(client, &ack);
        break;
    case PACKET_PUBREC:
        on_pubrec(client, &ack);
        break;
    case PACKET_PUBREL:
        on_pubrel(client, &ack);
        break;
    default:
        on_pubcomp(client, &ack);
        break;
    }
}
