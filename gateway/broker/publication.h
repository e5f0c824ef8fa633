/**
 * A publication: one PUBLISH on its way through a place, from wherever it came. All of it is borrowed, for the duration of a call.
 *
 * The encoded form for receivers that all get the same bytes, and the refcounted message for those who keep it, are made when the first receiver
 * needs them.
 */
#ifndef GATEWAY_BROKER_PUBLICATION_H
#define GATEWAY_BROKER_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/broker/outq.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"
#include "protocol/bytes.h"
#include "protocol/packet.h"

struct place;

enum { PUBLICATION_ENCODINGS = 4 }; /* 5.0 or 3.x, RETAIN or not */

struct publication {
    struct bytes topic;
    struct bytes payload;
    struct bytes properties; /* encoded entries that travel on */
    uint64_t expires_ms;     /* MESSAGE_NEVER_EXPIRES */
    uint64_t publisher;      /* keyed hash of the client id, for No Local; 0: the broker itself */
    uint64_t version;        /* retained version; 0: not retained */
    uint64_t number;         /* counts per origin */
    uint64_t interest;       /* set by route_publish(): places that get it */
    uint64_t durable;        /* set by route_publish(): places with durable interest */
    unsigned origin;         /* place whose thread routed it first */
    uint8_t qos;
    bool retain;
    bool is_volatile;            /* of no use after a restart: never stored, whatever else it is */
    bool is_fan_out;             /* many receivers here: encode once, let them share the bytes */
    struct message *message;     /* NULL until needed; one reference of the publication's own */
    struct store_record *record; /* to which durable receivers are added; NULL: none. Borrowed, or: */
    bool owns_record;            /* a reference, and it is open on this publication's account */
    uint8_t encoded;             /* bit n: encodings[n] is made */
    struct outq_shared encodings[PUBLICATION_ENCODINGS];
    struct outq_shared shared_payload; /* block NULL: not made */
};

/** The message of PUBLICATION, made now if need be; borrowed. NULL without memory. */
struct message *publication_message(struct place *place, struct publication *publication);

/** Let PUBLICATION, which is (IS_RETAINED) the retained value of its topic, have a record of its own, if the store is durable. @return false without memory, or if nothing is durable */
bool publication_keep(struct place *place, struct publication *publication, bool is_retained);

/**
 * Everything has been routed: close PUBLICATION's own record, if it has one, with WRITES (taken, may be NULL) in the same transaction.
 * @return what an acknowledgement waits for (to be released); store_ticket_is_never() without memory for the writes
 */
struct store_ticket publication_commit(struct place *place, struct publication *publication,
                                       struct store_write *writes);

/** A receiver that should have had PUBLICATION for good does not, for want of memory: who publishes must not be told that all is well. */
void publication_is_incomplete(struct place *place, struct publication *publication);

/** The PUBLISH packet with QoS 0 and no more than what all receivers of VERSION get; NULL without memory, or when it would be too large for MQTT. */
const struct outq_shared *publication_encoding(struct place *place, struct publication *publication,
                                               enum mqtt_version version, bool retain);

/** The payload alone, to be put behind heads that differ by receiver; NULL without memory. */
const struct outq_shared *publication_shared_payload(struct place *place, struct publication *publication);

/** Seconds until EXPIRES_MS, rounded up, at least 1 for what has not expired; 0 for what has. */
uint32_t publication_remaining_s(uint64_t expires_ms, uint64_t now_ms);

/** A publication of MESSAGE (borrowed), with a reference of its own, which receivers share. */
void publication_from_message(struct publication *publication, struct message *message);

/** A publication of MESSAGE's bytes (borrowed until publication_fini()), to be published anew: receivers get a message of their own. */
void publication_over_message(struct publication *publication, const struct message *message);

/** Give back the message and the encodings; a record of its own that is open is closed. */
void publication_fini(struct place *place, struct publication *publication);

#endif
