/**
 * Private to gateway/broker: the struct behind client.h, and what handlers do with it.
 */
#ifndef GATEWAY_BROKER_CONNECTION_STATE_H
#define GATEWAY_BROKER_CONNECTION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/access/access.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/client.h"
#include "gateway/broker/core.h"
#include "gateway/broker/outq.h"
#include "gateway/store/store.h"
#include "protocol/packet.h"
#include "protocol/property.h"
#include "protocol/reason.h"

struct acquire;
struct aliases_in;
struct aliases_out;
struct auth_method;
struct connecting;
struct local_options;
struct parked_ack;
struct session;

enum client_state {
    CLIENT_NEW,            /* waits for CONNECT */
    CLIENT_AUTHENTICATING, /* waits for the client's AUTH */
    CLIENT_CONNECTING,     /* CONNECT is being decided; what comes meanwhile is kept */
    CLIENT_CONNECTED,
    CLIENT_CLOSING, /* to be closed at the end of the turn, or waits for client_gone() */
};

/** Why we do not read from a client: bits. Its keep alive stands still as long as any is set. */
enum client_pause {
    CLIENT_PAUSE_CONNECTING = 1,
    CLIENT_PAUSE_CONGESTED = 2, /* another place's mailbox is full */
    CLIENT_PAUSE_MEMORY = 4,
    CLIENT_PAUSE_PARKED = 8, /* too many acknowledgements wait for the store */
    CLIENT_PAUSE_DRAIN = 16,
    CLIENT_PAUSE_STORE = 64,  /* much waits to be written */
    CLIENT_PAUSE_OUTPUT = 32, /* it does not take the answers to what it sends */
};

struct client { /* owner: the place's thread */
    struct place *place;
    const struct client_transport *ops;
    void *transport;
    struct session *session; /* NULL before CONNACK and while closing */
    struct client *prev;     /* all connections of the place */
    struct client *next;
    struct client *dirty_next;
    struct outq out;
    uint8_t *partial; /* a cut packet, or while connecting what came behind CONNECT; owned */
    uint32_t partial_len;
    uint32_t partial_capacity;
    struct timer timer;              /* until CONNECTED: connect deadline; then: keep alive */
    struct connecting *connecting;   /* owned; from CONNECT to CONNACK, and during re-authentication */
    struct auth_method *auth_method; /* owned; NULL: CONNECT named none */
    struct aliases_in *aliases_in;
    struct aliases_out *aliases_out;
    struct parked_ack *parked; /* oldest first */
    struct parked_ack *parked_last;
    struct client *parked_next; /* in the place's list of clients that have something parked */
    struct client **parked_at;  /* what points to this one there; NULL: it is not in the list */
    uint32_t parked_count;
    uint32_t heard_ms;        /* low 32 bits of the time when the last packet was complete */
    uint32_t max_packet;      /* the client's Maximum Packet Size; 0: none */
    uint32_t packet_bytes;    /* the Maximum Packet Size we announced */
    uint16_t unanswered;      /* QoS > 0 messages of this connection without PUBACK, PUBCOMP or a PUBREC that refuses */
    uint16_t window;          /* what we may have unacknowledged: min(Receive Maximum, inflight_messages) */
    uint16_t receive_maximum; /* what we announced */
    uint16_t keep_alive_s;    /* in force; 0: off */
    uint16_t topic_alias_max; /* what we announced */
    uint8_t state;            /* enum client_state */
    uint8_t version;          /* enum mqtt_version; 0: not known */
    uint8_t paused;           /* enum client_pause bits */
    uint8_t qos_max;          /* what we announced */
    bool retain_available;    /* the same */
    bool is_dirty;
    bool blocked;             /* the transport takes no more */
    bool close_asked;         /* ops->close was called */
    bool is_local;            /* its transport is a struct local: messages are handed over, not encoded */
    bool is_gateway;          /* see struct local_options */
    bool doomed;              /* out of memory: to be closed at the end of the turn */
    bool unwelcome;           /* may not be connected any more: the same */
    bool problem_information; /* Request Problem Information is not 0 */
    bool re_authenticating;
};

/** Output was added, or the client is to be closed: look at it at the end of the turn. */
static inline void client_touch(struct client *client)
{
    if (!client->is_dirty) {
        client->is_dirty = true;
        client->dirty_next = client->place->dirty;
        client->place->dirty = client;
    }
}

/** Room for LEN bytes of output; the caller fills all of it. NULL without memory: then the connection is to be given up. */
uint8_t *client_append(struct client *client, size_t len);

/** Take back the last LEN bytes of the room just given. */
void client_unappend(struct client *client, size_t len);

/**
 * End the connection from our side: with a DISCONNECT (5.0, connected) or CONNACK (before that) that carries REASON_CODE, logged with WHY (static), then closed at the
 * end of the turn. Its session is detached at once; the will is published [MQTT-3.1.2-8]. A no-op while closing.
 */
void client_close(struct client *client, uint8_t reason_code, const char *why);

/** The same, without a packet and, if WITH_WILL is false, without the will: the client asked for it. */
void client_end_quietly(struct client *client, bool with_will, uint8_t reason_code, const char *why);

/** Memory ran out while something was sent to CLIENT: end the connection at the end of the turn, when nobody iterates over receivers. */
void client_doom(struct client *client);

/** What the place lifts for all its clients at once. */
#define CLIENT_PAUSE_BY_PLACE                                                                                          \
    ((unsigned)CLIENT_PAUSE_CONGESTED | (unsigned)CLIENT_PAUSE_MEMORY | (unsigned)CLIENT_PAUSE_STORE)

/**
 * Set or clear one reason not to read from CLIENT. Those that begin to wait for the place (CLIENT_PAUSE_BY_PLACE) move to the head of its list of
 * clients, where client_unpause_all() need not look for them among all that do not.
 */
void client_set_paused(struct client *client, enum client_pause reason, bool paused);

/** Read again from all clients of PLACE that are paused for REASON, one of CLIENT_PAUSE_BY_PLACE. */
void client_unpause_all(struct place *place, enum client_pause reason);

/** CONNACK has been sent: the client counts as connected, its keep alive starts. */
void client_connected(struct client *client);

/** The decision that input waited for has been made: read on, beginning with what came meanwhile. CLIENT may be closing afterwards. */
void client_resume_input(struct client *client);

/** Largest packet that may be sent to CLIENT. */
static inline size_t client_max_packet(const struct client *client)
{
    return client->max_packet > 0 ? client->max_packet : PACKET_BODY_MAX + PACKET_HEADER_MAX;
}

/** Client id for the log, empty before it is known. */
struct bytes client_id(const struct client *client);

/* --- handlers, one file each. BODY is borrowed; faults end the connection. ------------------------------------------ */

void handle_connect(struct client *client, struct bytes body);
void handle_publish(struct client *client, uint8_t flags, struct bytes body);
void handle_ack(struct client *client, enum packet_type type, struct bytes body);
void handle_subscribe(struct client *client, struct bytes body);
void handle_unsubscribe(struct client *client, struct bytes body);
void handle_disconnect(struct client *client, struct bytes body);
void handle_auth(struct client *client, struct bytes body);
void handle_pingreq(struct client *client);

/** Drop what a CONNECT under way holds: its access request is cancelled, its place in a session's line given up. */
void connecting_cancel(struct client *client);

/** Acquisition of a session has come to an end (directory.h): SESSION is attached to no client yet; NULL: refused with REASON_CODE. */
void connecting_acquired(struct client *client, struct session *session, bool present, uint8_t reason_code,
                         const char *why);

/** Begin to open CLIENT, which is local, without a packet. IDENTITY is taken. @return false without memory; IDENTITY is freed, CLIENT stays. */
bool connecting_open_local(struct client *client, const struct local_options *options,
                           struct access_identity *identity);

/** The acquisition that CLIENT, which is connecting, waits for; NULL: none. */
void connecting_set_pending(struct client *client, struct acquire *pending);

/* --- acknowledgements (reply.c) --------------------------------------------------------------------------------------- */

/* TICKET is taken in all of them. */

/**
 * Answer with a PUBACK, PUBREC, PUBREL or PUBCOMP once TICKET is done, in the order of the calls. WHY is static text or NULL.
 */
void reply_ack(struct client *client, struct store_ticket ticket, enum packet_type type, uint16_t packet_id,
               uint8_t reason_code, const char *why);

/** The same with a SUBACK or UNSUBACK; CODES is borrowed. */
void reply_suback(struct client *client, struct store_ticket ticket, enum packet_type type, uint16_t packet_id,
                  struct bytes codes, const char *why);

/** CONNACK is due once TICKET is done: connecting_finish() is called then, perhaps at once. */
void reply_connack(struct client *client, struct store_ticket ticket);
void connecting_finish(struct client *client);

/** The store has moved: send what waited for it. */
void reply_release_parked(struct place *place);

/** Forget the acknowledgements that CLIENT has parked. */
void reply_drop_parked(struct client *client);

/* --- topic aliases (alias.c) -------------------------------------------------------------------------------------------- */

/** What ALIAS (1..topic_alias_max) stands for; empty: nothing yet. Borrowed until it is set again. */
struct bytes alias_in_find(const struct client *client, uint16_t alias);
/** Let ALIAS stand for TOPIC. @return false without memory. */
bool alias_in_set(struct client *client, uint16_t alias, struct bytes topic);

/** An alias of ours for TOPIC, or 0; *IS_NEW: the packet must still carry the topic. */
uint16_t alias_out_find(struct client *client, struct bytes topic, bool *is_new);
/** Allow up to MAX aliases of ours. @return false without memory. */
bool alias_out_init(struct client *client, uint16_t max);
void aliases_free(struct client *client);

#endif
