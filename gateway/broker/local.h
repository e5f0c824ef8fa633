/**
 * Clients of the broker that are no stream of MQTT bytes: an event stream, an HTTP request that waits for a reply, a webhook.
 *
 * A local client is a client like any other: its session is acquired, resumed, expires and moves between places as theirs do, has the same queue,
 * window and rights. Only that messages are handed over instead of being encoded, and acknowledged by sequence number.
 *
 *      local_open -> on_open -> local_subscribe ... -> on_message* <- local_finish_up_to
 *                                                   -> local_close -> on_close
 *
 * Callbacks come on the place's thread, also from within functions that are called here, and must not call the broker
 * themselves, but for on_open, on_synced and on_end_turn, which may; on_message may block the client.
 */
#ifndef GATEWAY_BROKER_LOCAL_H
#define GATEWAY_BROKER_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct access_identity;
struct local;
struct place;

/** A message for a local client; all of it borrowed for the call. */
struct local_message {
    struct bytes topic;
    struct bytes payload;
    struct bytes properties; /* encoded entries as they travel on: properties_next() steps through them */
    uint64_t seq; /* of the session, ascending, also over sessions of the same id; a hole: something was dropped, or has
                                expired. 0 for what needs no finishing */
    uint32_t expiry_s; /* Message Expiry Interval that is left, if has_expiry */
    bool has_expiry;
    bool retain;           /* it is there because of the subscription, or retain-as-published was asked for */
    bool is_repeated;      /* was handed over on an earlier connection of the session */
    uint8_t qos;           /* 0 or 1, effective */
    uint8_t published_qos; /* 0..2, what its publisher gave it */
    const uint32_t *ids;   /* Subscription Identifiers of the subscriptions that matched */
    uint32_t id_count;
};

struct local_ops {
    /** The session is there; SESSION_PRESENT: with its subscriptions and queue, which is handed over afterwards. */
    void (*on_open)(void *owner, bool session_present);
    /** Take MESSAGE. Never called while blocked, but for QoS 0 (see local_set_blocked()). */
    void (*on_message)(void *owner, const struct local_message *message);
    /** All retained values that the subscriptions so far asked for have been handed over. */
    void (*on_synced)(void *owner);
    /** It was opened, or something was handed over, in this turn, and the turn ends. May be NULL. */
    void (*on_end_turn)(void *owner);
    /** It is over: local_close() was called, another client took the session, or the server ends. The struct local is gone afterwards. */
    void (*on_close)(void *owner, uint8_t reason_code, const char *why);
    /** Write the peer's address as text to BUF, NUL-terminated, for the log. */
    void (*describe)(void *owner, char *buf, size_t cap);
    const char *name; /* "sse", "rpc": static */
};

struct local_options {
    struct bytes client_id; /* empty: one is made up, see local_client_id() */
    bool clean_start;
    uint32_t
        expiry_s;    /* Session Expiry Interval: what the session lives on after local_close(); UINT32_MAX: for ever */
    uint16_t window; /* how many messages may be unfinished, 1..65535; further ones wait in the session's queue */
    bool is_transient; /* nothing of it is stored: it ends with the process */
    bool keeps_qos0;   /* QoS 0 is treated as QoS 1: numbered, queued while away, handed over again */
    uint32_t
        queued_messages; /* bound of the queue, above which the oldest goes; 0: limits.queued_messages and queue_full */
    size_t queued_bytes; /* of these; without effect if queued_messages is 0 */
    uint32_t sessions_max; /* with keeps_qos0: none is begun, 0x97, if there are so many of these; 0: no limit */
    bool is_gateway; /* it may subscribe to reserved filters, see filter_is_reserved(), and no rules hold for it */
};

/**
 * Open a local client at PLACE. OPS is static, OWNER outlives the client. IDENTITY (taken, may be NULL if access allows all) owns the session
 * from now on; its client_id is set here.
 *
 * on_open() follows at the end of a turn, never before this returns. Returns borrowed, until on_close(); NULL without memory, then IDENTITY was freed.
 */
struct local *local_open(struct place *place, const struct local_ops *ops, void *owner,
                         const struct local_options *options, struct access_identity *identity);

/** Its client id; valid after on_open(), until the connection ends. */
struct bytes local_client_id(const struct local *local);

struct local_subscription {
    struct bytes filter; /* any bytes; "$share/..." too */
    uint32_t id;         /* Subscription Identifier, 0: none */
    uint8_t qos;         /* 0..1 */
    uint8_t retain_handling;
    bool no_local;
    bool retain_as_published;
};

/**
 * Subscribe, after on_open(). When the connection has ended in this turn, and on_close() is still to come, it is refused with 0x8E; all other calls do nothing
 * then. @param why out, may be NULL: static text if refused
 * @return the granted QoS 0..1, or a reason code >= 0x80
 */
uint8_t local_subscribe(struct local *local, const struct local_subscription *subscription, const char **why);

/** Unsubscribe. @return false if there was no such subscription. */
bool local_unsubscribe(struct local *local, struct bytes filter);

/** Unsubscribe from everything but the COUNT FILTERS. */
void local_unsubscribe_others(struct local *local, const struct bytes *filters, size_t count);

/** Everything up to SEQ is finished: it is not handed over again. */
void local_finish_up_to(struct local *local, uint64_t seq);

/** Finish the oldest of what was handed over, until at most MESSAGES with BYTES of topic, properties and payload are left unfinished. */
void local_finish_beyond(struct local *local, uint32_t messages, size_t bytes);

/** The number of the oldest message that is not finished; if there is none, of the next one. */
uint64_t local_first_seq(const struct local *local);

/** The number that the next message will have that is sent to the session. */
uint64_t local_next_seq(const struct local *local);

/** True if nothing is on its way that was there before: neither retained values nor what waits in the session. */
bool local_is_synced(const struct local *local);

/** May it read TOPIC, by the rules of now? For what was queued under older ones. May be called from on_message. */
bool local_may_read(const struct local *local, struct bytes topic);

/** How many messages of QoS 0 were dropped since local_open() because the client was blocked. */
uint64_t local_dropped(const struct local *local);

/**
 * BLOCKED: the client takes no more for now. Messages that are numbered stay in the session; QoS 0 is dropped, counted. Not blocked any more: they
 * come at the end of the turn.
 */
void local_set_blocked(struct local *local, bool blocked);

/** End the connection, not the session: that lives on for EXPIRY_S (UINT32_MAX: what local_open() said). on_close() follows at the
 * end of the turn. */
void local_close(struct local *local, uint32_t expiry_s);

#endif
