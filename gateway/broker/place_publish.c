#include "gateway/broker/place_publish.h"

#include "gateway/access/access.h"
#include "gateway/base/log.h"
#include "gateway/broker/core.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/route.h"
#include "gateway/broker/topic_rules.h"
#include "gateway/store/message.h"
#include "protocol/reason.h"
#include "protocol/topic.h"
#include "protocol/utf8.h"

uint8_t publish_check(struct place *place, const struct access_identity *identity, const struct place_publication *p,
                      const char **why)
{
    const struct config_limits *limits = &place->settings->limits;
    if (!topic_is_within_levels(p->topic, limits->filter_levels)) {
        *why = "topic has too many levels";
        return REASON_TOPIC_NAME_INVALID;
    }
    if (topic_is_reserved(p->topic)) {
        *why = "topic is reserved for the server";
        return REASON_NOT_AUTHORIZED;
    }
    if (p->is_utf8 && limits->check_payload_format && !utf8_is_valid_text(p->payload)) {
        *why = "payload is not the UTF-8 it is said to be";
        return REASON_PAYLOAD_FORMAT_INVALID;
    }
    struct access *access = place->broker->access;
    if (!access->allows_all && !access->provider->may_publish(access, identity, p->topic, p->retain)) {
        *why = "not allowed to publish to this topic";
        return REASON_NOT_AUTHORIZED;
    }
    if (p->qos > 0 || p->retain) {
        switch (store_admit(place->broker->store, p->topic.len + p->payload.len)) {
        case STORE_FULL:
            *why = "store is full";
            return REASON_QUOTA_EXCEEDED;
        case STORE_BUSY:
            place->store_busy = true;
            break;
        case STORE_ADMITTED:
            break;
        }
    }
    return REASON_SUCCESS;
}

/* What a PUBLISH packet is checked for while it is decoded. */
static uint8_t check_fields(const struct place *place, const struct place_publication *p, const char **why)
{
    const struct config_limits *limits = &place->settings->limits;
    if (!topic_name_is_valid(p->topic)) {
        *why = "topic name is not valid";
        return REASON_TOPIC_NAME_INVALID;
    }
    if (p->qos > limits->qos_max) {
        *why = "QoS is above the Maximum QoS";
        return REASON_QOS_NOT_SUPPORTED;
    }
    if (p->retain && !limits->retain_available) {
        *why = "retained messages are not available";
        return REASON_RETAIN_NOT_SUPPORTED;
    }
    if (p->payload.len + p->topic.len + p->properties.len > limits->packet_bytes) {
        *why = "message exceeds the Maximum Packet Size";
        return REASON_PACKET_TOO_LARGE;
    }
    return REASON_SUCCESS;
}

/* True if somebody interested is at a place whose mailbox is full: who has no socket that could be paused is refused. */
static bool is_congested(struct place *place, struct bytes topic)
{
    return place->congested != 0 && (route_cache_find(place->cache, topic)->interest & place->congested) != 0;
}

/* Who publishes here is told so; a client of MQTT may be told nothing, and is logged as a warning. */
static void log_refused(const struct place_publication *p, const struct place_published *result)
{
    log_debug("publish refused", LOG_BYTES("topic", p->topic.data, p->topic.len),
              LOG_CODE("reason_code", result->reason_code), LOG_STR("reason", result->why));
}

static struct place_published publish(struct place *place, const struct place_publication *p,
                                      struct store_write **writes)
{
    struct place_published result = {0};
    result.reason_code = check_fields(place, p, &result.why);
    if (result.reason_code == REASON_SUCCESS) {
        result.reason_code = publish_check(place, p->identity, p, &result.why);
    }
    if (result.reason_code == REASON_SUCCESS && is_congested(place, p->topic)) {
        result.reason_code = REASON_QUOTA_EXCEEDED;
        result.why = "receivers are busy";
    }
    if (result.reason_code == REASON_SUCCESS && place->store_busy && (p->qos > 0 || p->retain)) {
        result.reason_code = REASON_SERVER_BUSY;
        result.why = "the store is busy";
    }
    if (result.reason_code != REASON_SUCCESS) {
        log_refused(p, &result);
        return result;
    }
    STATS_ADD(&place->stats, publish_received[p->qos], 1);
    STATS_ADD(&place->stats, publish_bytes_received[p->qos], p->payload.len);
    struct publication publication = {
        .topic = p->topic,
        .payload = p->payload,
        .properties = p->properties,
        .expires_ms = p->has_expiry ? place->now_ms + (uint64_t)p->expiry_s * 1000 : MESSAGE_NEVER_EXPIRES,
        .qos = p->qos,
        .retain = p->retain,
    };
    result.reason_code = route_publish(place, &publication, &result.matched);
    if (result.reason_code != REASON_SUCCESS) {
        result.why = "no room for the message";
        log_refused(p, &result);
    } else {
        result.ticket = publication_commit(place, &publication, *writes);
        *writes = NULL;
        if (store_ticket_is_never(&result.ticket)) {
            result.reason_code = REASON_SERVER_UNAVAILABLE;
            result.why = "out of memory";
            result.ticket = STORE_TICKET_DONE;
        }
    }
    publication_fini(place, &publication);
    return result;
}

struct place_published place_publish(struct place *place, const struct place_publication *p)
{
    struct store_write *writes = p->writes;
    struct place_published result = publish(place, p, &writes);
    store_writes_free(writes);
    return result;
}

/* --- waiting --------------------------------------------------------------------------------------------------------------- */

/* Give back those of WAIT's tickets that are done. @return true if all are */
static bool settle(const struct place *place, struct place_wait *wait)
{
    while (store_is_done(place->broker->store, &wait->ticket)) {
        wait->failed |= store_ticket_is_incomplete(&wait->ticket);
        store_ticket_release(&wait->ticket);
        if (wait->more_count == 0) {
            return true;
        }
        wait->ticket = wait->more[--wait->more_count];
    }
    return false;
}

/* Wait for the ticket and the further ones of WAIT. */
static void await(struct place *place, struct place_wait *wait)
{
    wait->failed = false;
    wait->next = NULL;
    wait->prev = NULL;
    if (settle(place, wait)) {
        wait->done(wait);
        return;
    }
    wait->prev = place->last_wait;
    if (wait->prev != NULL) {
        wait->prev->next = wait;
    } else {
        place->waits = wait;
    }
    place->last_wait = wait;
}

void place_await(struct place *place, struct place_wait *wait, struct store_ticket ticket)
{
    wait->ticket = ticket;
    wait->more = NULL;
    wait->more_count = 0;
    await(place, wait);
}

void place_await_all(struct place *place, struct place_wait *wait, struct store_ticket *tickets, size_t count)
{
    wait->ticket = STORE_TICKET_DONE;
    wait->more = tickets;
    wait->more_count = count;
    await(place, wait);
}

static bool is_waiting(const struct place *place, const struct place_wait *wait)
{
    return place->waits == wait || wait->prev != NULL;
}

void place_await_cancel(struct place *place, struct place_wait *wait)
{
    if (!is_waiting(place, wait)) {
        return;
    }
    if (wait->prev != NULL) {
        wait->prev->next = wait->next;
    } else {
        place->waits = wait->next;
    }
    if (wait->next != NULL) {
        wait->next->prev = wait->prev;
    } else {
        place->last_wait = wait->prev;
    }
    wait->next = NULL;
    wait->prev = NULL;
    store_ticket_release(&wait->ticket);
    while (wait->more_count > 0) {
        store_ticket_release(&wait->more[--wait->more_count]);
    }
}

void place_release_waits(struct place *place)
{
    struct place_wait *wait = place->waits;
    while (wait != NULL) { /* not in the order in which they began: records are done when they are done */
        struct place_wait *next = wait->next;
        if (settle(place, wait)) {
            place_await_cancel(place, wait);
            wait->done(wait);
            next = place->waits; /* it may have ended others */
        }
        wait = next;
    }
}

struct message *place_retained(struct place *place, struct bytes topic)
{
    return retained_get(place->broker->retained, topic, place->now_ms);
}

struct retained *place_retained_values(struct place *place)
{
    return place->broker->retained;
}

struct access *place_access(struct place *place)
{
    return place->broker->access;
}

struct access_port *place_access_port(struct place *place)
{
    return &place->access_port;
}

bool place_may_publish(struct place *place, const struct access_identity *identity, struct bytes topic)
{
    struct access *access = place->broker->access;
    return access->allows_all || access->provider->may_publish(access, identity, topic, true);
}

bool place_may_read_all(struct place *place, const struct access_identity *identity, struct bytes filter)
{
    struct access *access = place->broker->access;
    return access->allows_all || access->provider->classify(access, identity, filter) == ACCESS_ALL;
}

bool place_may_read(struct place *place, const struct access_identity *identity, struct bytes topic)
{
    struct access *access = place->broker->access;
    return access->allows_all || access->provider->may_read(access, identity, topic);
}

unsigned place_index(const struct place *place)
{
    return place->index;
}

uint64_t place_now_ms(const struct place *place)
{
    return place->now_ms;
}

uint64_t place_wall_ms(const struct place *place)
{
    return place->wall_ms;
}
