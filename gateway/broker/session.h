/**
 * A session: what the broker knows about one client id, whether or not a connection is there. [MQTT 5.0, 4.1]
 *
 * It lives at the place of its connection and moves when the client comes back elsewhere (directory.h, handover.h). Who may touch it is said
 * member by member: the place that owns it, or whoever holds the lock of its directory shard.
 */
#ifndef GATEWAY_BROKER_SESSION_H
#define GATEWAY_BROKER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/outgoing.h"
#include "gateway/broker/subscription.h"
#include "protocol/bytes.h"
#include "protocol/packet.h"

#define SESSION_NEVER_EXPIRES UINT32_MAX
#define SESSION_SWEEP_MS      1000u /* how often full queues are looked at for what has expired */

struct access_identity;
struct acquire;
struct client;
struct handover;
struct kept;
struct outgoing_entry;
struct message;
struct packet_ids;
struct place;
struct retained_walk;
struct will;

struct session { /* owner: the place it is at */
    /* lock: directory shard */
    struct session *directory_next;
    struct acquire *waiting; /* the newest CONNECT that wants it after the move under way; borrowed from that place */
    struct place *place;     /* where it is, or moves away from; its own thread may read it without the lock */
    bool moving;             /* a byte of its own: no other member shares its memory location */

    /* owner */
    bool ended;        /* its state is gone, only the directory entry is kept, for a move under way */
    uint8_t version;   /* enum mqtt_version of the last connection */
    bool is_full;      /* counted as full in its filters (queue_full = refuse) */
    bool is_transient; /* it ends with the process, however long it outlives its connection (local.h) */
    bool keeps_qos0;   /* QoS 0 is treated as QoS 1 (local.h) */
    bool had_room;     /* what its shared groups were told last */
    uint16_t client_id_len;
    uint32_t expiry_s;     /* Session Expiry Interval; SESSION_NEVER_EXPIRES */
    uint32_t shared_count; /* how many of its subscriptions are shared */
    uint32_t queue_max; /* messages in its queue, in place of limits.queued_messages and queue_full; 0: as these say */
    uint32_t queue_bytes_max;         /* the same of their bytes */
    uint32_t full_at;                 /* where it stands in place->full, while is_full */
    uint32_t gather_at;               /* scratch of deliver.c */
    uint64_t hash;                    /* of the client id, keyed: directory, No Local */
    struct client *client;            /* NULL: no connection */
    struct access_identity *identity; /* owned; whose session it is; NULL: an anonymous client without rules */
    struct subscription_set subscriptions;
    struct outgoing outgoing;
    struct packet_ids *received; /* QoS 2 PUBLISHes received and not released */
    struct will *will;           /* NULL: none */
    struct retained_walk *walks; /* retained values that are still to be sent; the oldest walk */
    struct handover *handover;   /* it is on its way to another place */
    struct kept *kept;           /* what the store has of it; NULL: nothing */
    struct timer timer;          /* expiry; set only while there is no connection */
    uint64_t gather_mark;        /* scratch of deliver.c */
    char client_id[];
};

static inline struct bytes session_client_id(const struct session *session)
{
    return (struct bytes){(const uint8_t *)session->client_id, session->client_id_len};
}

/** True if the session outlives its connection, and so what it is sent with QoS > 0 must last. */
static inline bool session_is_durable(const struct session *session)
{
    return session->expiry_s > 0;
}

/** KEEPS: it is an event stream's, and QoS 0 is treated as QoS 1. Its place's thread. */
void session_set_keeps_qos0(struct place *place, struct session *session, bool keeps);

/** The same, over a restart too. */
static inline bool session_is_lasting(const struct session *session)
{
    return session->expiry_s > 0 && !session->is_transient;
}

/** A session without any state for CLIENT_ID, not in the directory. Returns owned, NULL without memory. */
struct session *session_new(struct place *place, struct bytes client_id, uint64_t hash);

/** Free SESSION, which is in no directory and has no connection; subscriptions, queue and will go unheard. */
void session_free(struct place *place, struct session *session);

/** Bind CLIENT to SESSION, which has none: stop its expiry and its will's delay. */
void session_attach(struct place *place, struct session *session, struct client *client);

/**
 * The connection of SESSION is over. Publishes the will or starts its delay, or drops it if WITH_WILL is false [MQTT-3.1.2-8]; ends the session
 * if it does not outlive its connection, else starts its expiry. SESSION may be gone afterwards.
 */
void session_detach(struct place *place, struct session *session, bool with_will);

/**
 * The Session ends: its will is published [MQTT-3.1.2-8], what shared subscriptions owe goes back to their groups, and all of its
 * state is freed, with the directory's entry unless a move is under way. It has no connection.
 */
void session_end(struct place *place, struct session *session);

/** Throw the state away but keep SESSION in the directory: Clean Start found an old session. [MQTT-3.1.2-4] */
void session_reset(struct place *place, struct session *session);

/** Let the session belong to IDENTITY (taken, may be NULL) from now on. */
void session_set_identity(struct place *place, struct session *session, struct access_identity *identity);

/** Ask again how much of what its subscriptions match SESSION may read: it, or its rules, may have changed. */
void session_classify(struct place *place, struct session *session);

/** True if SESSION's owner may be connected, by the rules of now. */
bool session_is_welcome(struct place *place, const struct session *session);

/** Who SESSION belongs to: USER_NAME (copied, may be empty), without rules yet. Returns owned; NULL without memory. */
struct access_identity *session_identity_new(const struct session *session, struct bytes user_name);

/** Free IDENTITY with its rules; NULL is a no-op. */
void session_identity_free(struct place *place, struct access_identity *identity);

/** Set the Session Expiry Interval and say in the index whether subscriptions are durable now. */
void session_set_expiry(struct place *place, struct session *session, uint32_t expiry_s);

/** Send what the window and the output leave room for. No-op without a connection. */
void session_pump(struct place *place, struct session *session);

/** After CONNACK with an old session: repeat PUBREL and PUBLISH in the original order [MQTT-4.4.0-1] [MQTT-4.6.0-1], then go on. */
void session_resume(struct place *place, struct session *session);

/**
 * COUNT ENTRIES (> 0; their references are taken; ascending seq, those that may have been sent first) are what SESSION, which has nothing, is to send.
 * @return false without memory
 */
bool session_restore(struct place *place, struct session *session, const struct outgoing_entry *entries,
                     uint32_t count);

/**
 * Put ENTRY (its references are taken) at the end of the queue, as limits and policy say.
 * @return false if it was dropped; with QoS > 0 its sequence number is used up all the same, so that the hole tells
 */
bool session_enqueue(struct place *place, struct session *session, struct outgoing_entry *entry);

/** ENTRY, which is in the queue (IS_QUEUED) or window, was on disk alone and has MESSAGE (taken) now. */
void session_loaded(struct place *place, struct session *session, struct outgoing_entry *entry, bool is_queued,
                    struct message *message);

/** Take entry AT of the queue out, unsent; who calls has counted it. */
void session_drop_queued(struct place *place, struct session *session, uint32_t at);

/** The delivery AT of the window is finished: take it out and go on with the queue. */
void session_finish(struct place *place, struct session *session, uint32_t at);

/** True if a member of a shared group that has this session may be given something now: connected, with room. */
bool session_has_room(const struct session *session);

/** Room, connection or queue have changed: bring the shared groups' counts and the filters' `full` up to date; that there is room
 * again, at the end of the turn. */
void session_update_room(struct place *place, struct session *session);

/** The turn of SESSION's client ends: tell the shared groups if there is room again. */
void session_tell_room(struct place *place, struct session *session);

/** SESSION moves away: it is not counted as full here any more. */
void session_leave_full(struct place *place, struct session *session);

/** Drop what has expired at the head of full queues here, so that nobody is refused for it. @return true if there still are full ones */
bool session_sweep_full(struct place *place);

#endif
