/**
 * The web side of the gateway: HTTP and WebSocket on the same workers, loops and broker as native connections.
 *
 *      net/listener accepts --> net/connection (PROXY header) --> web_adopt() --> libwebsockets, on the worker's loop
 *                                                                       |
 *                          origin.h   may this page ask?                v
 *                          routes.h   what answers it?         http.h  requests      ws.h  MQTT over WebSocket
 *
 * Each worker has a struct web_worker: its context of the library (behind lws_guard.h), its connections and their timers. Settings that a
 * reload may change are one immutable struct, replaced as a whole and freed after a grace period.
 */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "gateway/base/rcu.h"
#include "gateway/broker/recover.h"
#include "protocol/bytes.h"

struct static_files;
struct store;
struct web;
struct workers;

/** The http section of the configuration, and what else the web side needs of it. immutable */
struct web_settings {
    struct config *config;      /* owned copy */
    struct static_files *files; /* of http.directory; NULL: none */
    char *host_name;            /* owned; of this machine, lower case, without its domain; "" if it has none */
    char *host_domain;          /* owned; the domain that this machine says it is in, lower case; "" if in none */
    struct tg_rcu_head rcu;
};

/**
 * The web side of WORKERS, which do not run yet and become able to adopt connections of http listeners. Their loops must outlive it.
 * Main thread, before other threads.
 *
 * @return owned; NULL without memory or descriptors, or without the library's plugin: why has been logged
 */
struct web *web_new(const struct config *config, struct workers *workers);

/** Free WEB. WORKERS have been stopped, but not freed. NULL is a no-op. Main thread. */
void web_free(struct web *web);

/** Follow CONFIG (borrowed for the call) from now on. Main thread, which is registered for RCU. @return false without memory: nothing has changed */
bool web_reload(struct web *web, const struct config *config);

/** About once a second: read http.directory again if it has changed. Main thread, registered for RCU. */
void web_refresh(struct web *web);

/**
 * STORE (borrowed until web_free()) is that of the gateway, and copies of it go to the folder BACKUPS (borrowed for the call; NULL: none can be
 * made). Main thread, before workers_start(). @return false without memory
 */
bool web_set_store(struct web *web, struct store *store, const char *backups) __attribute__((warn_unused_result));

/** Tell whether the gateway is ready (/readyz). Until it is for the first time only routes that say so (http_route.when_starting) are served,
 * all others are answered with 503. Any thread. */
void web_set_ready(struct web *web, bool is_ready);

/** What the web side has in the store is found again: broker_recovery.answer, with WEB as its arg. */
enum broker_answer web_restore_answer(void *web, struct bytes key, struct bytes value);

/** Tell how far the store has been read: DONE of TOTAL entries, about. Any thread. */
void web_set_recovery(struct web *web, uint64_t done, uint64_t total);

/** The first file descriptor that is not kept for web connections. */
size_t web_descriptors(const struct web *web);

#endif
