/**
 * Delivery at one place: from matched filters to sessions, and from sessions to bytes.
 *
 * A session gets a message once, however many of its subscriptions match: with the highest of their QoS and all their
 * Subscription Identifiers. [MQTT-3.3.4-2] [MQTT-3.3.4-3] Nothing here ends a session or a connection, so nobody's receivers change while they are
 * gone through.
 *
 * All functions: the place's thread.
 */
#ifndef GATEWAY_BROKER_DELIVER_H
#define GATEWAY_BROKER_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct filter;
struct gather;
struct message;
struct outgoing_entry;
struct place;
struct publication;
struct session;
struct subscription;

enum deliver_result {
    DELIVER_SENT,
    DELIVER_TOO_LARGE, /* for the client's Maximum Packet Size: counted, to be treated as delivered [MQTT-3.1.2-25] */
    DELIVER_NO_MEMORY, /* the connection will be ended */
};

/** Scratch for messages that several filters match. NULL without memory. */
struct gather *gather_new(void);
void gather_free(struct gather *gather);

/** Give PUBLICATION to the plain (not shared) receivers that the COUNT filters have at PLACE. */
void deliver_to_filters(struct place *place, struct publication *publication, struct filter *const *filters,
                        size_t count);

/** Give PUBLICATION to one subscription: the chosen member of a shared group. */
void deliver_to_subscription(struct place *place, struct publication *publication, struct subscription *subscription);

/**
 * What a session that came from another place was held back: one message with the subscriptions that matched there. IDS: COUNT identifiers,
 * QOS and RETAIN as for the session.
 */
void deliver_to_session(struct place *place, struct publication *publication, struct session *session, uint8_t qos,
                        bool retain, const uint32_t *ids, uint32_t id_count, struct subscription *shared);

/** True if SUBSCRIPTION wants PUBLICATION: No Local, retained stamp, right to read. */
bool deliver_is_wanted(struct place *place, const struct publication *publication,
                       const struct subscription *subscription);

/** Write ENTRY's PUBLISH to CLIENT's output. */
enum deliver_result deliver_send(struct client *client, const struct outgoing_entry *entry, bool dup);

#endif
