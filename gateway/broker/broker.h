/**
 * The broker core: everything that the places (worker threads) share.
 *
 * A broker has 1..64 places. Each place belongs to one thread and owns the sessions of the clients connected to it. What is shared is
 * either immutable, read under RCU (index), behind a short lock (directory, retained, shared groups), or a counter. Places
 * talk by mail (place.h). The core does no I/O and reads no clock: transports feed it bytes and carry its
 * output, the thread tells it the time.
 */
#ifndef GATEWAY_BROKER_BROKER_H
#define GATEWAY_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "gateway/base/err.h"

struct access;
struct broker;
struct place;
struct stats;
struct store;

/** Wake the thread of one place: it will call place_receive_mail() soon. Called from any thread; must not block. */
typedef void (*broker_wake_fn)(void *arg, unsigned place);

struct broker_env {
    broker_wake_fn wake;
    void *wake_arg;
    struct store *store;   /* borrowed; outlives the broker */
    struct access *access; /* borrowed; outlives the broker */
    uint64_t now_ms;       /* monotonic */
    uint64_t wall_ms;      /* wall clock at now_ms, ms since the epoch */
};

/**
 * A broker with PLACES places, reading LIMITS from CONFIG (copied). Main thread, before any place runs; the calling thread must
 * be a registered RCU thread. Returns owned; NULL without memory.
 */
struct broker *broker_new(const struct config *config, unsigned places, const struct broker_env *env);

/** Free BROKER and what is left in its places. All place threads have ended. NULL is a no-op. */
void broker_free(struct broker *broker);

/** Place number INDEX. */
struct place *broker_place(struct broker *broker, unsigned index);
unsigned broker_places(const struct broker *broker);

/** Take over the reloadable parts of CONFIG (limits, $SYS interval, anonymous). Any one thread; places see it at their next turn. */
void broker_reload(struct broker *broker, const struct config *config);

/** The counters of all places, added up (stats.h). Any thread; not of one instant. */
void broker_sum_stats(const struct broker *broker, struct stats *sum);

/** Retained values, and with BYTES the bytes they count for. Any thread; approximate. */
size_t broker_retained(const struct broker *broker, size_t *bytes);

/** Bytes of publications that wait in the mailbox of place number INDEX. Any thread; approximate. */
size_t broker_mailbox_bytes(const struct broker *broker, unsigned index);

/** Connected clients over all places. Any thread; approximate. */
size_t broker_connections(const struct broker *broker);

/** Bytes held in queues, partial packets, aliases, sessions, subscriptions and retained values. Any thread; approximate. */
size_t broker_memory(const struct broker *broker);

/** True if limits.memory_bytes is exceeded: listeners refuse new connections. Any thread. */
bool broker_is_memory_short(const struct broker *broker);

#endif
