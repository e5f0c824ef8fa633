/* SUBSCRIBE and UNSUBSCRIBE from a client. [MQTT 5.0, 3.8.4 and 3.10.4]
 *
 * All of a packet is checked before any of it takes effect; what then fails for one filter alone is told by that filter's
 * reason code. */
#include <stdlib.h>

#include "gateway/base/log.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscribe_one.h"
#include "gateway/store/store.h"
#include "protocol/subscribe.h"
#include "protocol/topic.h"

#define CODES_STACK_BYTES 256u
#define FILTERS_FACTOR    8u /* this times limits.subscriptions_per_packet filters may be looked at in one go */

static void log_subscribed(const struct client *client, const struct subscribe_entry *entry, uint8_t code,
                           const char *why)
{
    struct bytes id = client_id(client);
    if (code < 0x80) {
        log_debug("subscribed", LOG_BYTES("client_id", id.data, id.len),
                  LOG_BYTES("filter", entry->filter.data, entry->filter.len), LOG_UNUM("qos", code));
    } else {
        log_debug("subscription refused", LOG_BYTES("client_id", id.data, id.len),
                  LOG_BYTES("filter", entry->filter.data, entry->filter.len), LOG_CODE("reason_code", code),
                  LOG_STR("reason", why));
    }
}

static void log_unsubscribed(const struct client *client, struct bytes filter, bool existed)
{
    struct bytes id = client_id(client);
    log_debug("unsubscribed", LOG_BYTES("client_id", id.data, id.len), LOG_BYTES("filter", filter.data, filter.len),
              LOG_BOOL("existed", existed));
}

/* Answer once WRITES (taken, may be NULL) are on disk. */
static void answer(struct client *client, struct store_write *writes, enum packet_type type, uint16_t packet_id,
                   struct bytes codes, const char *why)
{
    struct store_ticket ticket = STORE_TICKET_DONE;
    if (writes != NULL && !store_port_write(client->place->port, writes, &ticket)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    reply_suback(client, ticket, type, packet_id, codes, why);
}

/* All of a packet is handled in one turn, which is that of others, too. @return false if it names too many filters; the client was closed then */
static bool check_count(struct client *client, size_t count)
{
    size_t max = client->place->settings->limits.subscriptions_per_packet;
    if (max == 0 || count <= max * FILTERS_FACTOR) {
        return true;
    }
    client_close(client, REASON_QUOTA_EXCEEDED, "too many topic filters in one packet");
    return false;
}

/* @return false if the packet as a whole is a protocol error; the client was closed then */
static bool check_entries(struct client *client, const struct subscribe *packet)
{
    struct bytes cursor = packet->entries;
    struct subscribe_entry entry;
    while (subscribe_next(&cursor, client->version, &entry)) {
        struct topic_filter parsed;
        if (!topic_filter_parse(entry.filter, &parsed)) {
            /* [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
            client_close(client, REASON_TOPIC_FILTER_INVALID, "topic filter is not valid");
            return false;
        }
        if (entry.no_local && parsed.share_name.len > 0) {
            /* [MQTT-3.8.3-4] */
            client_close(client, REASON_PROTOCOL_ERROR, "No Local on a shared subscription");
            return false;
        }
    }
    if (packet->properties.user_properties > client->place->settings->limits.user_properties_max) {
        client_close(client, REASON_QUOTA_EXCEEDED, "too many user properties");
        return false;
    }
    return true;
}

void handle_subscribe(struct client *client, struct bytes body)
{
    struct subscribe packet;
    struct fault fault;
    if (!subscribe_decode(body, client->version, &packet, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    if (!check_count(client, packet.entry_count) || !check_entries(client, &packet)) {
        return;
    }
    uint8_t small[CODES_STACK_BYTES];
    uint8_t *codes = packet.entry_count <= sizeof(small) ? small : malloc(packet.entry_count);
    if (codes == NULL) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    uint32_t id = client->version == MQTT_5_0 && properties_has(&packet.properties, PROPERTY_SUBSCRIPTION_IDENTIFIER)
                      ? packet.properties.subscription_identifier
                      : 0;
    const char *why = NULL;
    size_t count = 0;
    struct store_write *writes = NULL;
    struct bytes cursor = packet.entries;
    struct subscribe_entry entry;
    uint32_t max = client->place->settings->limits.subscriptions_per_packet;
    while (subscribe_next(&cursor, client->version, &entry)) {
        if (max > 0 && count >= max) {
            codes[count++] = REASON_QUOTA_EXCEEDED;
            why = "too many subscriptions in one packet";
        } else {
            codes[count++] = subscribe_one(client, &entry, id, &writes, &why);
        }
        log_subscribed(client, &entry, codes[count - 1], why);
    }
    answer(client, writes, PACKET_SUBACK, packet.packet_id, (struct bytes){codes, count}, why);
    if (codes != small) {
        free(codes);
    }
}

static bool check_filters(struct client *client, const struct unsubscribe *packet)
{
    struct bytes cursor = packet->entries;
    struct bytes filter;
    struct topic_filter parsed;
    while (unsubscribe_next(&cursor, &filter)) {
        if (!topic_filter_parse(filter, &parsed)) {
            client_close(client, REASON_TOPIC_FILTER_INVALID, "topic filter is not valid");
            return false;
        }
    }
    if (packet->properties.user_properties > client->place->settings->limits.user_properties_max) {
        client_close(client, REASON_QUOTA_EXCEEDED, "too many user properties");
        return false;
    }
    return true;
}

void handle_unsubscribe(struct client *client, struct bytes body)
{
    struct unsubscribe packet;
    struct fault fault;
    if (!unsubscribe_decode(body, client->version, &packet, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    if (!check_count(client, packet.entry_count) || !check_filters(client, &packet)) {
        return;
    }
    uint8_t small[CODES_STACK_BYTES];
    uint8_t *codes = packet.entry_count <= sizeof(small) ? small : malloc(packet.entry_count);
    if (codes == NULL) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    struct place *place = client->place;
    struct session *session = client->session;
    size_t count = 0;
    struct bytes cursor = packet.entries;
    struct bytes filter;
    struct store_write *writes = NULL;
    while (unsubscribe_next(&cursor, &filter)) {
        struct subscription *subscription =
            subscription_find(&session->subscriptions, filter, place->broker->hash_seed);
        if (subscription != NULL && !kept_subscription(session, subscription, true, &writes)) {
            codes[count++] = REASON_UNSPECIFIED_ERROR;
        } else if (subscription != NULL) {
            subscription_remove(place, &session->subscriptions, subscription);
            codes[count++] = REASON_SUCCESS;
        } else {
            codes[count++] = REASON_NO_SUBSCRIPTION_EXISTED;
        }
        log_unsubscribed(client, filter, subscription != NULL);
    }
    answer(client, writes, PACKET_UNSUBACK, packet.packet_id, (struct bytes){codes, count}, NULL);
    if (codes != small) {
        free(codes);
    }
}
