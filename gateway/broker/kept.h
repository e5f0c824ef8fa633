/**
 * What the store keeps of a session, and how it gets there: one entry for the session, one for its will, one for each subscription, for each QoS 2
 * packet id received, for each PUBREL that is due, and the position up to which deliveries are finished. The messages themselves are
 * commit records (gateway/store/record.h), in which the session is a recipient.
 *
 * A session has a struct kept if it outlives its connection or has a will, and the store is durable. It moves with the session.
 *
 * Functions that return a ticket: what the acknowledgement must wait for. Those that return false ran out of memory and changed nothing.
 */
#ifndef GATEWAY_BROKER_KEPT_H
#define GATEWAY_BROKER_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include "gateway/store/store.h"
#include "protocol/bytes.h"

struct load;
struct outgoing_entry;
struct place;
struct session;
struct subscription;

/** A QoS 2 message that was received and is not on disk yet. */
struct unsettled {
    struct store_record *record; /* holds a reference */
    uint16_t packet_id;
};

struct kept { /* owner: the session's place */
    struct session *session;
    uint64_t number;             /* of the session in the store; 0: nothing of it is there */
    uint64_t will_number;        /* of its will in the store; 0: that has none */
    uint64_t seq_reserved;       /* the store knows that numbers below it may have been used */
    size_t unloaded_bytes;       /* of queued messages that are on disk alone */
    struct load *load;           /* messages that are being read; NULL: none */
    struct unsettled *unsettled; /* owned, heap */
    uint32_t unsettled_count;
    uint32_t unsettled_capacity;
    uint32_t subscription_number; /* of the newest subscription */
    bool is_stored;               /* its entry has been put */
    bool is_waiting;              /* in place->waiting: its next message is not on disk yet */
    bool is_position_due;         /* in place->positions */
    struct store_ticket ended;    /* that an old session with this client id is gone */
    TAILQ_ENTRY(kept) waiting;
    TAILQ_ENTRY(kept) positions;
};

TAILQ_HEAD(kept_list, kept);

/** SESSION begins or goes on with a connection, or its expiry or will has changed: put its entry, or take it away if nothing of it must last. */
bool kept_put(struct place *place, struct session *session, struct store_ticket *out)
    __attribute__((warn_unused_result));

/** The connection has ended: its entry says so, and when. Best effort: what it said before stays true enough. */
void kept_detached(struct place *place, struct session *session);

/** The state of SESSION ends: nothing of it comes back. Its deliveries are to be finished by the caller. */
void kept_end(struct place *place, struct session *session);

/** The same as soon as all of the COUNT TICKETS (taken, with the heap array, which may be NULL) are done: what the session was given has moved to others. */
void kept_end_after(struct place *place, struct session *session, struct store_ticket *tickets, size_t count);

/** PLACE ends: forget what waits for the store, which never got to it. */
void kept_fini(struct place *place);

/** Some delivery is over that the store may still have for others: say soon how far SESSION is. */
void kept_mark_position(struct place *place, struct session *session);

/** SESSION has no will any more: what takes it out of the store, with its message or by kept_forget(). Returns owned; NULL if the store has none,
 * or without memory: then it comes back after a restart. */
struct store_write *kept_take_will(struct session *session);

/** Submit WRITES (taken, a list, may be NULL), for which nobody waits. */
void kept_forget(struct place *place, struct store_write *writes);

/** SESSION leaves PLACE, for another one or for good: out of its lists; what is being read is not for it any more. */
void kept_leave(struct place *place, struct session *session);

/** Free what SESSION has in memory for this. */
void kept_free(struct place *place, struct session *session);

/** Add to WRITES what the store must know about SUBSCRIPTION, which is made or changed (or else: removed). */
bool kept_subscription(struct session *session, struct subscription *subscription, bool is_removed,
                       struct store_write **writes) __attribute__((warn_unused_result));

/** True if SESSION is in the store and what it is sent must be, too. */
bool kept_is_begun(const struct session *session);

/** ENTRY has its sequence number: make SESSION a recipient in its record. Without memory it is not durable. */
void kept_deliver(struct place *place, struct session *session, struct outgoing_entry *entry);

/** A sequence number has been used for something that the store does not know. */
void kept_count(struct place *place, struct session *session);

/** ENTRY is finished, for whatever reason, except that PUBREC came (then kept_sent() came). */
void kept_finish(struct place *place, struct session *session, struct outgoing_entry *entry);

/** PUBREC has come for ENTRY: PUBREL may leave when the ticket is done. */
bool kept_sent(struct place *place, struct session *session, struct outgoing_entry *entry, struct store_ticket *out)
    __attribute__((warn_unused_result));

/** PUBCOMP has come for SEQ, which is out of the window already. */
void kept_completed(struct place *place, struct session *session, uint64_t seq);

/** What to store with the message of a QoS 2 PUBLISH from SESSION; *OUT is NULL if nothing. */
bool kept_received(const struct session *session, uint16_t packet_id, struct store_write **out)
    __attribute__((warn_unused_result));

/** Room to remember one more message, whatever comes. */
bool kept_reserve_unsettled(struct session *session) __attribute__((warn_unused_result));

/** TICKET is that of the message with PACKET_ID: a repetition of it will wait, too. */
void kept_unsettled(struct session *session, uint16_t packet_id, const struct store_ticket *ticket);

/** What a repeated PUBLISH with PACKET_ID must wait for. */
struct store_ticket kept_settles(struct session *session, uint16_t packet_id);

/** PUBREL came for PACKET_ID. */
bool kept_released(struct place *place, struct session *session, uint16_t packet_id, struct store_ticket *out)
    __attribute__((warn_unused_result));

/** Say up to where SESSION has finished its deliveries; and the same for all of PLACE for which that is due (every KEPT_POSITION_MS). */
void kept_put_position(struct place *place, struct session *session);
void kept_put_positions(struct place *place);
#define KEPT_POSITION_MS 1000u

/** SESSION's next message waits for the store: pump it when there is progress. */
void kept_wait(struct place *place, struct session *session);

/** The store has moved: pump those who waited. */
void kept_resume_waiting(struct place *place);

/* --- what was written, read again (recover.c) ---------------------------------------------------------------------------------- */

struct kept_session { /* all of it borrowed from the value */
    struct bytes client_id;
    struct bytes user_name;
    bool has_user_name;
    bool is_connected; /* no end of its connection was written */
    bool keeps_qos0;
    uint8_t version;
    uint32_t expiry_s;
    uint32_t queue_max;
    uint32_t queue_bytes_max;
    uint32_t subscription_number;
    uint64_t disconnected_ms; /* wall clock */
    uint64_t next_seq;
    uint64_t sent_below; /* what has a lower number may have been sent */
};

struct kept_will {
    struct bytes client_id; /* whose it is, in case that its session has ended */
    uint64_t session;       /* number of that */
    uint64_t due_ms;        /* wall clock; 0: its connection had not ended */
    uint32_t delay_s;
    uint32_t expiry_s;
    bool has_expiry;
    bool retain;
    uint8_t qos;
    struct bytes topic;
    struct bytes properties;
    struct bytes payload;
};

struct kept_subscription {
    struct bytes filter;
    uint32_t id;
    uint8_t qos;
    uint8_t retain_handling;
    bool no_local;
    bool retain_as_published;
};

/** @return false: damaged */
bool kept_session_read(struct bytes value, struct kept_session *out);
bool kept_will_read(struct bytes value, struct kept_will *out);
bool kept_subscription_read(struct bytes value, struct kept_subscription *out);
/** Of a position; the other two take one that is valid. */
bool kept_position_is_valid(struct bytes value);
/** Numbers from here on are not said to be finished. */
uint64_t kept_position_end(struct bytes value);
/** True if SEQ is finished. */
bool kept_position_has(struct bytes value, uint64_t seq);

#endif
