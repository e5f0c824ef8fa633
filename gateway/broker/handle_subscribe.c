/* SUBSCRIBE and UNSUBSCRIBE from a client. [MQTT 5.0, 3.8.4 and 3.10.4]
 *
 * All of a packet is checked before any of it takes effect; what then fails for one filter alone is told by that filter's
 * reason code. */
#include <stdlib.h>

#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/retained_walk.h"
#include "gateway/broker/session.h"
#include "gateway/broker/topic_rules.h"
#include "gateway/store/store.h"
#include "protocol/subscribe.h"
#include "protocol/topic.h"

#define CODES_STACK_BYTES 256u

static struct store_ticket submit(struct client *client)
{
    const struct session *session = client->session;
    if (!session_is_durable(session)) {
        return (struct store_ticket){0, 0};
    }
    struct store_operation operation = {.kind = STORE_SUBSCRIPTIONS, .session = session->hash};
    return store_submit(client->place->broker->store, &operation);
}

/* @return false if the packet as a whole is a protocol error; the client was closed then */
static bool check_entries(struct client *client, const struct subscribe *packet)
{
    struct bytes cursor = packet->entries;
    struct subscribe_entry entry;
    while (subscribe_next(&cursor, client->version, &entry)) {
        struct topic_filter parsed;
        if (entry.no_local && topic_filter_parse(entry.filter, &parsed) && parsed.share_name.len > 0) {
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

/* May CLIENT subscribe to this? @return a reason code, with *WHY; 0: yes */
static uint8_t check_entry(const struct client *client, const struct subscribe_entry *entry,
                           struct topic_filter *parsed, bool *reads_some, const char **why)
{
    const struct place *place = client->place;
    const struct config_limits *limits = &place->settings->limits;
    if (!topic_filter_parse(entry->filter, parsed)) {
        *why = "topic filter is not valid";
        return REASON_TOPIC_FILTER_INVALID;
    }
    if (parsed->levels > limits->filter_levels) {
        *why = "topic filter has too many levels";
        return REASON_TOPIC_FILTER_INVALID;
    }
    const struct subscription_set *set = &client->session->subscriptions;
    if (limits->subscriptions_per_session > 0 && set->count >= limits->subscriptions_per_session &&
        subscription_find(set, entry->filter, place->broker->hash_seed) == NULL) {
        *why = "too many subscriptions";
        return REASON_QUOTA_EXCEEDED;
    }
    *reads_some = false;
    struct access *access = place->broker->access;
    if (!access->allows_all) {
        enum access_class class = access->provider->classify(access, client->session->identity, parsed->filter);
        if (class == ACCESS_NONE) {
            *why = "not allowed to read anything that the topic filter matches";
            return REASON_NOT_AUTHORIZED;
        }
        *reads_some = class == ACCESS_SOME;
    }
    return REASON_SUCCESS;
}

static uint8_t subscribe_entry(struct client *client, const struct subscribe_entry *entry, uint32_t id,
                               const char **why)
{
    struct place *place = client->place;
    struct session *session = client->session;
    struct topic_filter parsed;
    struct subscription_options options = {
        .id = id,
        .qos = entry->qos < client->qos_max ? entry->qos : client->qos_max,
        .retain_handling = entry->retain_handling,
        .no_local = entry->no_local,
        .retain_as_published = entry->retain_as_published,
        .is_durable = session_is_durable(session),
    };
    uint8_t reason_code = check_entry(client, entry, &parsed, &options.reads_some, why);
    if (reason_code != REASON_SUCCESS) {
        return reason_code;
    }
    struct subscription *subscription;
    bool existed;
    if (subscription_put(place, session, &session->subscriptions, entry->filter, &options, &subscription,
                         &existed) != TG_OK) {
        *why = "out of memory";
        return REASON_QUOTA_EXCEEDED;
    }
    bool wants_retained = parsed.share_name.len == 0 &&
                          (entry->retain_handling == 0 || (entry->retain_handling == 1 && !existed));
    if (wants_retained) { /* [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] */
        subscription->retained_stamp = retained_stamp(place->broker->retained);
        if (!retained_walk_begin(place, session, subscription)) {
            *why = "out of memory";
            subscription->retained_stamp = 0;
            return REASON_QUOTA_EXCEEDED;
        }
    }
    return options.qos;
}

void handle_subscribe(struct client *client, struct bytes body)
{
    struct subscribe packet;
    struct fault fault;
    if (!subscribe_decode(body, client->version, &packet, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    if (!check_entries(client, &packet)) {
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
    struct bytes cursor = packet.entries;
    struct subscribe_entry entry;
    while (subscribe_next(&cursor, client->version, &entry)) {
        codes[count++] = subscribe_entry(client, &entry, id, &why);
    }
    reply_suback(client, submit(client), PACKET_SUBACK, packet.packet_id, (struct bytes){codes, count}, why);
    if (codes != small) {
        free(codes);
    }
}

void handle_unsubscribe(struct client *client, struct bytes body)
{
    struct unsubscribe packet;
    struct fault fault;
    if (!unsubscribe_decode(body, client->version, &packet, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    if (packet.properties.user_properties > client->place->settings->limits.user_properties_max) {
        client_close(client, REASON_QUOTA_EXCEEDED, "too many user properties");
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
    while (unsubscribe_next(&cursor, &filter)) {
        struct subscription *subscription =
            subscription_find(&session->subscriptions, filter, place->broker->hash_seed);
        struct topic_filter parsed;
        if (subscription != NULL) {
            subscription_remove(place, &session->subscriptions, subscription);
            codes[count++] = REASON_SUCCESS;
        } else {
            codes[count++] =
                topic_filter_parse(filter, &parsed) ? REASON_NO_SUBSCRIPTION_EXISTED : REASON_TOPIC_FILTER_INVALID;
        }
    }
    reply_suback(client, submit(client), PACKET_UNSUBACK, packet.packet_id, (struct bytes){codes, count}, NULL);
    if (codes != small) {
        free(codes);
    }
}
