/**
 * Counters of one place: written by its thread alone, read by anyone ($SYS, metrics). Relaxed atomics, so a reader sees
 * whole values, if not all of one instant.
 */
#ifndef GATEWAY_BROKER_STATS_H
#define GATEWAY_BROKER_STATS_H

#include <stdatomic.h>
#include <stdint.h>

/** What carries a client's bytes or messages. */
enum transport_kind {
    TRANSPORT_TCP,
    TRANSPORT_UNIX,
    TRANSPORT_WEBSOCKET,
    TRANSPORT_LOCAL, /* no stream of MQTT bytes: event streams, requests */
    TRANSPORTS,
};

struct stats { /* owner: the place's thread writes, any thread reads */
    /* what is there now */
    _Atomic uint64_t clients_connected;
    _Atomic uint64_t clients_by_transport[TRANSPORTS]; /* of those; index: enum transport_kind */
    _Atomic uint64_t sessions;
    _Atomic uint64_t stream_sessions; /* of those, those of keeps_qos0 (local.h) */
    _Atomic uint64_t subscriptions;
    _Atomic uint64_t shared_subscriptions;
    _Atomic uint64_t queued_messages;
    _Atomic uint64_t queued_bytes;
    _Atomic uint64_t unloaded_bytes;          /* of these, that are in the store alone */
    _Atomic uint64_t input_bytes;             /* cut packets and topic aliases kept for connections */
    _Atomic uint64_t subscription_bytes;      /* subscriptions, with their filters in the index */
    _Atomic uint64_t parked_acknowledgements; /* they wait for the store */

    /* what has happened */
    _Atomic uint64_t connections_opened;
    _Atomic uint64_t connects_accepted;
    _Atomic uint64_t connects_refused;
    _Atomic uint64_t takeovers;
    _Atomic uint64_t handovers;
    _Atomic uint64_t sessions_expired;
    _Atomic uint64_t sessions_refused; /* for there were as many as there may be */
    _Atomic uint64_t packets_received;
    _Atomic uint64_t packets_sent;
    _Atomic uint64_t bytes_received;
    _Atomic uint64_t bytes_sent;
    _Atomic uint64_t publish_received[3]; /* PUBLISH packets by QoS */
    _Atomic uint64_t publish_sent[3];
    _Atomic uint64_t publish_bytes_received[3]; /* payload, by QoS */
    _Atomic uint64_t publish_bytes_sent[3];
    _Atomic uint64_t wills_published;

    /* what was not delivered, by cause */
    _Atomic uint64_t dropped_output_full; /* QoS 0 for a connection whose output is full */
    _Atomic uint64_t dropped_queue_full;  /* a session's queue bound */
    _Atomic uint64_t dropped_expired;
    _Atomic uint64_t dropped_too_large; /* above the client's Maximum Packet Size */
    _Atomic uint64_t dropped_denied;
    _Atomic uint64_t dropped_no_memory;
    _Atomic uint64_t dropped_damaged;   /* what the store had of it cannot be read */
    _Atomic uint64_t dropped_no_member; /* a shared group without members */
};

/* Add N (may be negative in two's complement) to MEMBER of STATS: a load and a store, for there is one writer. */
#define STATS_ADD(stats, member, n)                                                                                    \
    atomic_store_explicit(&(stats)->member,                                                                            \
                          atomic_load_explicit(&(stats)->member, memory_order_relaxed) + (uint64_t)(n),                \
                          memory_order_relaxed)

#endif
