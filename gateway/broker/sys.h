/**
 * The $SYS tree: what the broker says about itself under "$SYS/broker/", with the names and number formats of Mosquitto 2.0, so
 * that existing dashboards go on working.
 *
 * Pure computation: counters and the time come in, topics and payloads go out, and only those that changed. Averages are
 * exponentially damped, per minute, over 1, 5 and 15 minutes, whatever the interval between updates is.
 */
#ifndef GATEWAY_BROKER_SYS_H
#define GATEWAY_BROKER_SYS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct sys; /* owner: one thread */

/** The broker's counters, summed over its places. */
struct sys_values {
    uint64_t uptime_ms; /* since the start; never less than at the update before */

    /* what is there now */
    uint64_t clients_connected;
    uint64_t clients_disconnected; /* sessions without a connection */
    uint64_t subscriptions;        /* shared ones too */
    uint64_t shared_subscriptions;
    uint64_t retained_messages;
    uint64_t stored_messages; /* retained and queued for clients */
    uint64_t stored_bytes;
    uint64_t heap_bytes;

    /* what has happened since the start; these only grow */
    uint64_t clients_expired; /* sessions that ended by their expiry */
    uint64_t sockets_opened;
    uint64_t connects_received;
    uint64_t packets_received; /* MQTT control packets of any type */
    uint64_t packets_sent;
    uint64_t bytes_received;
    uint64_t bytes_sent;
    uint64_t publish_received;
    uint64_t publish_sent;
    uint64_t publish_dropped;
    uint64_t publish_bytes_received; /* payloads */
    uint64_t publish_bytes_sent;
};

/**
 * Publish PAYLOAD, never empty, as retained value of TOPIC; both borrowed. Must not call back into the struct sys.
 *
 * @return false if that was not possible; the value is then published by the next update, changed or not
 */
typedef bool (*sys_publish_fn)(void *arg, struct bytes topic, struct bytes payload);

/** A tree that says "tidegate version VERSION" (borrowed). Nothing was published yet. Returns owned; NULL without memory. */
struct sys *sys_new(const char *version);
void sys_free(struct sys *sys);

/** Publish what differs from the last update; all of it the first time. */
void sys_update(struct sys *sys, const struct sys_values *values, sys_publish_fn publish, void *arg);

#endif
