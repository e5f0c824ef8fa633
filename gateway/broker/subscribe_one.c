#include "gateway/broker/subscribe_one.h"

#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/retained_walk.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscription.h"
#include "gateway/broker/topic_rules.h"
#include "protocol/subscribe.h"
#include "protocol/topic.h"

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
    if (broker_is_memory_short(place->broker) &&
        subscription_find(set, entry->filter, place->broker->hash_seed) == NULL) {
        *why = "server is short of memory";
        return REASON_QUOTA_EXCEEDED;
    }
    if (session_is_lasting(client->session) && store_admit(place->broker->store, entry->filter.len) == STORE_FULL &&
        subscription_find(set, entry->filter, place->broker->hash_seed) == NULL) {
        *why = "store is full";
        return REASON_QUOTA_EXCEEDED;
    }
    if (filter_is_reserved(parsed->filter) && !client->is_gateway) {
        *why = "topic filter is reserved for the gateway";
        return REASON_NOT_AUTHORIZED;
    }
    *reads_some = false;
    struct access *access = place->broker->access;
    if (!access->allows_all && !client->is_gateway) {
        enum access_class class = access->provider->classify(access, client->session->identity, parsed->filter);
        if (class == ACCESS_NONE) {
            *why = "not allowed to read anything that the topic filter matches";
            return REASON_NOT_AUTHORIZED;
        }
        *reads_some = class == ACCESS_SOME;
    }
    return REASON_SUCCESS;
}

uint8_t subscribe_one(struct client *client, const struct subscribe_entry *entry, uint32_t id,
                      struct store_write **writes, const char **why)
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
        .is_durable = session_is_lasting(session),
    };
    uint8_t reason_code = check_entry(client, entry, &parsed, &options.reads_some, why);
    if (reason_code != REASON_SUCCESS) {
        return reason_code;
    }
    struct subscription *subscription;
    bool existed;
    if (subscription_put(place, session, &session->subscriptions, entry->filter, &options, &subscription, &existed) !=
        TG_OK) {
        *why = "out of memory";
        return REASON_QUOTA_EXCEEDED;
    }
    bool wants_retained =
        parsed.share_name.len == 0 && (entry->retain_handling == 0 || (entry->retain_handling == 1 && !existed));
    if (wants_retained) { /* [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] */
        /* What is replaced keeps its stamp: publications on their way here at this moment must still come live. [MQTT-3.8.4-4] */
        uint64_t stamp = retained_stamp(place->broker->retained);
        uint64_t old_stamp = subscription->retained_stamp;
        subscription->retained_stamp = existed ? old_stamp : stamp;
        if (!retained_walk_begin(place, session, subscription, stamp)) {
            subscription->retained_stamp = old_stamp;
            if (!existed) { /* refused: then there is none */
                subscription_remove(place, &session->subscriptions, subscription);
            }
            *why = "out of memory";
            return REASON_QUOTA_EXCEEDED;
        }
    }
    if (!kept_subscription(session, subscription, false, writes)) {
        if (!existed) {
            subscription_remove(place, &session->subscriptions, subscription);
        }
        *why = "out of memory";
        return REASON_QUOTA_EXCEEDED;
    }
    return options.qos;
}
