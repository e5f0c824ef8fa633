/* PUBLISH from a client. [MQTT 5.0, 3.3.4 and 4.3] */
#include <stdlib.h>

#include "gateway/base/log.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/packet_ids.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/route.h"
#include "gateway/broker/session.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"
#include "protocol/publish.h"

#define FORWARDED_STACK_BYTES 1024u

/* Find the topic that the packet names, by alias or in full. @return false if the client was closed. */
static bool resolve_topic(struct client *client, struct publish *p)
{
    if (client->version != MQTT_5_0 || !properties_has(&p->properties, PROPERTY_TOPIC_ALIAS)) {
        return true;
    }
    uint16_t alias = p->properties.topic_alias;
    if (alias == 0 || alias > client->topic_alias_max) {
        /* [MQTT-3.3.2-8] [MQTT-3.3.2-9] */
        client_close(client, REASON_TOPIC_ALIAS_INVALID, "topic alias is above the Topic Alias Maximum");
        return false;
    }
    if (p->topic.len > 0) {
        if (!alias_in_set(client, alias, p->topic)) {
            client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
            return false;
        }
        return true;
    }
    p->topic = alias_in_find(client, alias);
    if (p->topic.len == 0) {
        client_close(client, REASON_PROTOCOL_ERROR, "topic alias is not known");
        return false;
    }
    return true;
}

/* What breaks the rules that the client was told. @return a reason code, with *WHY; 0: nothing */
static uint8_t check_packet(const struct client *client, const struct publish *p, const char **why)
{
    const struct config_limits *limits = &client->place->settings->limits;
    if (p->qos > client->qos_max) {
        *why = "QoS is above the Maximum QoS"; /* [MQTT-3.2.2-11] */
        return REASON_QOS_NOT_SUPPORTED;
    }
    if (p->retain && !client->retain_available) {
        *why = "retained messages are not available"; /* [MQTT-3.2.2-14] */
        return REASON_RETAIN_NOT_SUPPORTED;
    }
    if (p->properties.user_properties > limits->user_properties_max) {
        *why = "too many user properties";
        return REASON_QUOTA_EXCEEDED;
    }
    const struct session *session = client->session;
    if (client->version == MQTT_5_0 && p->qos > 0 && !packet_ids_has(session->received, p->packet_id) &&
        client->unanswered >= client->receive_maximum) {
        *why = "more unacknowledged messages than the Receive Maximum"; /* [MQTT-3.3.4-7] */
        return REASON_RECEIVE_MAXIMUM_EXCEEDED;
    }
    return REASON_SUCCESS;
}

/* What is wrong with this message alone; the connection stays. */
static uint8_t check_message(const struct client *client, const struct publish *p, const char **why)
{
    struct place_publication publication = {
        .topic = p->topic,
        .payload = p->payload,
        .qos = p->qos,
        .retain = p->retain,
        .is_utf8 = properties_has(&p->properties, PROPERTY_PAYLOAD_FORMAT_INDICATOR) &&
                   p->properties.payload_format_indicator == 1,
    };
    return publish_check(client->place, client->session->identity, &publication, why);
}

static void answer(struct client *client, const struct publish *p, struct store_ticket ticket, uint8_t reason_code,
                   const char *why)
{
    if (p->qos > 0) {
        reply_ack(client, ticket, p->qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, p->packet_id, reason_code, why);
    }
}

/* The message is not taken. 5.0 says so in the acknowledgement; 3.x has no word for it: what is forbidden is
 * acknowledged and dropped, what there is no room for ends the connection, so that it comes again. */
static void refuse(struct client *client, const struct publish *p, uint8_t reason_code, const char *why)
{
    struct bytes id = client_id(client);
    STATS_ADD(&client->place->stats, dropped_denied, 1);
    log_warning("publish refused", LOG_BYTES("client_id", id.data, id.len),
                LOG_BYTES("topic", p->topic.data, p->topic.len), LOG_CODE("reason_code", reason_code),
                LOG_STR("reason", why));
    if (client->version == MQTT_5_0 && p->qos > 0) {
        answer(client, p, STORE_TICKET_DONE, reason_code, why);
    } else if (reason_code == REASON_NOT_AUTHORIZED || (reason_code == REASON_QUOTA_EXCEEDED && p->qos == 0)) {
        answer(client, p, STORE_TICKET_DONE, REASON_SUCCESS, NULL);
    } else {
        client_close(client, reason_code, why);
    }
}

/* Publish what was routed, with WRITES (taken), and answer. */
static void commit(struct client *client, const struct publish *p, struct publication *publication, bool matched,
                   struct store_write *writes)
{
    struct store_ticket ticket = publication_commit(client->place, publication, writes);
    if (store_ticket_is_never(&ticket)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    if (p->qos == 2) {
        kept_unsettled(client->session, p->packet_id, &ticket);
    }
    if (p->qos > 0) {
        answer(client, p, ticket, matched ? REASON_SUCCESS : REASON_NO_MATCHING_SUBSCRIBERS, NULL);
    } else {
        store_ticket_release(&ticket);
    }
}

/* What the session must remember of a QoS 2 message; before it is routed, so that nothing can fail afterwards. @return false without memory */
static bool begin_qos2(struct client *client, const struct publish *p, struct store_write **writes)
{
    struct session *session = client->session;
    if (!kept_reserve_unsettled(session) || !kept_received(session, p->packet_id, writes)) {
        return false;
    }
    if (!packet_ids_add(&session->received, p->packet_id)) {
        store_writes_free(*writes);
        return false;
    }
    return true;
}

static void publish(struct client *client, const struct publish *p, struct bytes forwarded)
{
    struct place *place = client->place;
    struct publication publication = {
        .topic = p->topic,
        .payload = p->payload,
        .properties = forwarded,
        .expires_ms = MESSAGE_NEVER_EXPIRES,
        .publisher = client->session->hash,
        .qos = p->qos,
        .retain = p->retain,
    };
    if (client->version == MQTT_5_0 && properties_has(&p->properties, PROPERTY_MESSAGE_EXPIRY_INTERVAL)) {
        publication.expires_ms = place->now_ms + (uint64_t)p->properties.message_expiry_interval_s * 1000;
    }
    struct store_write *writes = NULL;
    if (p->qos == 2 && !begin_qos2(client, p, &writes)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    bool matched = false;
    uint8_t reason_code = route_publish(place, &publication, &matched);
    if (reason_code != REASON_SUCCESS) {
        if (p->qos == 2) {
            (void)packet_ids_remove(&client->session->received, p->packet_id);
            store_writes_free(writes);
        }
        refuse(client, p, reason_code, "no room for the message");
    } else {
        commit(client, p, &publication, matched, writes);
        if (place->store_busy && (p->qos > 0 || p->retain)) {
            client_set_paused(client, CLIENT_PAUSE_STORE, true);
        }
        if ((publication.interest & place->congested) != 0) {
            client_set_paused(client, CLIENT_PAUSE_CONGESTED, true);
        }
    }
    publication_fini(place, &publication);
}

void handle_publish(struct client *client, uint8_t flags, struct bytes body)
{
    struct publish p;
    struct fault fault;
    if (!publish_decode(body, flags, client->version, true, &p, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    struct place *place = client->place;
    STATS_ADD(&place->stats, publish_received[p.qos], 1);
    STATS_ADD(&place->stats, publish_bytes_received[p.qos], p.payload.len);
    const char *why = NULL;
    uint8_t reason_code = check_packet(client, &p, &why);
    if (reason_code != REASON_SUCCESS) {
        client_close(client, reason_code, why);
        return;
    }
    if (!resolve_topic(client, &p)) {
        return;
    }
    if (p.qos == 2 && packet_ids_has(client->session->received, p.packet_id)) {
        answer(client, &p, kept_settles(client->session, p.packet_id), REASON_SUCCESS, NULL); /* [MQTT-4.3.3-10] */
        return;
    }
    if (client->version == MQTT_5_0 && p.qos > 0) {
        client->unanswered++; /* below the Receive Maximum, as was checked */
    }
    reason_code = check_message(client, &p, &why);
    if (reason_code != REASON_SUCCESS) {
        refuse(client, &p, reason_code, why);
        return;
    }
    if (p.properties.present == 0) {
        publish(client, &p, (struct bytes){NULL, 0});
        return;
    }
    uint8_t small[FORWARDED_STACK_BYTES];
    uint8_t *scratch = p.properties.raw.len <= sizeof(small) ? small : malloc(p.properties.raw.len);
    if (scratch == NULL) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    publish(client, &p, properties_forwarded(&p.properties, scratch));
    if (scratch != small) {
        free(scratch);
    }
}
