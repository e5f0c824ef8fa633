/**
 * The ticket interface to durable storage.
 *
 * Whoever wants something kept submits an operation and gets a ticket; an acknowledgement is sent when its ticket is done. Nobody ever blocks.
 * Tickets belong to a domain (an engine may complete several domains out of order); within a domain they are done in order
 * of their numbers. Number 0 is done from the beginning: the memory engine gives nothing else.
 *
 * Credit is asked for once, before a message is routed (store_admit); after that a submit cannot fail.
 */
#ifndef GATEWAY_STORE_STORE_H
#define GATEWAY_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message;
struct store;

struct store_ticket {
    uint64_t number; /* 0: done */
    uint32_t domain;
};

enum store_operation_kind {
    STORE_PUBLISH,       /* a message with QoS > 0 or a retained one, with its persistent recipients */
    STORE_SESSION,       /* a persistent session is created, resumed, or its expiry or will changed */
    STORE_SESSION_END,   /* a persistent session is gone */
    STORE_SUBSCRIPTIONS, /* a persistent session's subscriptions changed */
    STORE_QOS2_RECEIVED, /* rx2: packet id of a QoS 2 PUBLISH received and not yet released */
    STORE_QOS2_RELEASED, /* rx2 ends: PUBREL came */
    STORE_QOS2_SENT,     /* tx2: PUBREC came, PUBREL is due */
    STORE_FINISHED,      /* a delivery was finished by PUBACK or PUBCOMP */
};

struct store_operation {
    enum store_operation_kind kind;
    uint64_t session;        /* number of the session; 0: none */
    uint64_t seq;            /* of the delivery, for STORE_QOS2_SENT and STORE_FINISHED */
    uint16_t packet_id;      /* for STORE_QOS2_* */
    struct message *message; /* for STORE_PUBLISH; shares */
};

struct store_engine {
    const char *name;
    /** True if BYTES more may be published now. */
    bool (*admit)(struct store *store, size_t bytes);
    /** Queue OPERATION (copied). Any thread. */
    struct store_ticket (*submit)(struct store *store, const struct store_operation *operation);
    /** The highest number of DOMAIN that is done. Any thread. */
    uint64_t (*done_up_to)(struct store *store, uint32_t domain);
    void (*free)(struct store *store);
};

/** Called by the engine, from any thread, when done_up_to() has moved. Must not block. */
typedef void (*store_progress_fn)(void *arg);

struct store {
    const struct store_engine *engine;
    store_progress_fn on_progress; /* set once before the first submit; may be NULL */
    void *on_progress_arg;
};

static inline bool store_admit(struct store *store, size_t bytes)
{
    return store->engine->admit(store, bytes);
}

static inline struct store_ticket store_submit(struct store *store, const struct store_operation *operation)
{
    return store->engine->submit(store, operation);
}

/** True if what TICKET stands for is durable. Any thread. */
static inline bool store_is_done(struct store *store, struct store_ticket ticket)
{
    return ticket.number == 0 || ticket.number <= store->engine->done_up_to(store, ticket.domain);
}

static inline void store_free(struct store *store)
{
    if (store != NULL) {
        store->engine->free(store);
    }
}

#endif
