/**
 * One connection's protocol state, whatever carries its bytes: native TCP, unix socket, later TLS and WebSocket.
 *
 * The transport feeds bytes in (client_receive), is told at the end of the turn that output waits (flush), and says when it is
 * gone (client_gone, which ends the struct's life). The core never calls the transport from within client_receive() but for
 * pause(); so a transport need not be re-entrant.
 *
 *      client_new -> receive* -> ... -> [ops.close] -> client_gone
 *
 * owner: the place's thread.
 */
#ifndef GATEWAY_BROKER_CLIENT_H
#define GATEWAY_BROKER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/broker/outq.h"

struct client;
struct place;

struct client_transport {
    /** End of turn, output waits: write as much as the transport takes, then call client_written(). */
    void (*flush)(void *transport);
    /** Stop (true) or go on (false) reading from the peer. What was read already is still given to client_receive(). */
    void (*pause)(void *transport, bool paused);
    /** Called from place_end_turn(), after flush: the core is done. Close after the output that is left (bounded in time), and call client_gone(); not necessarily at once.
     * client_receive() must not be called any more. */
    void (*close)(void *transport);
    /** Write the peer's address as text ("127.0.0.1:4711", "unix:...") to BUF, NUL-terminated; for logs and access. */
    void (*describe)(void *transport, char *buf, size_t cap);
    const char *name; /* "tcp", "unix", "ws": static */
    uint8_t kind;     /* enum transport_kind (stats.h), by which connections are counted */
};

/** Why a connection ended, from the transport's point of view. */
enum client_end {
    CLIENT_END_PEER,        /* EOF or reset by the peer */
    CLIENT_END_CLOSED,      /* the core asked for it through close() */
    CLIENT_END_WRITE_STALL, /* output did not move for limits.write_stall_timeout_ms */
    CLIENT_END_IO_ERROR,
    CLIENT_END_NO_PROXY_HEADER,
};

/**
 * A new connection, waiting for CONNECT until limits.connect_timeout_ms. OPS is static, TRANSPORT outlives the client.
 * Returns owned (by the transport, until client_gone()); NULL without memory.
 */
struct client *client_new(struct place *place, const struct client_transport *ops, void *transport);

/**
 * Bytes have come. Complete packets are handled at once, a cut one is kept inside. Everything in BUF is consumed,
 * borrowed for the call.
 */
void client_receive(struct client *client, const uint8_t *buf, size_t len);

/** What waits to be written; read by flush with outq_iov(), and consumed by client_written(). */
const struct outq *client_output(const struct client *client);

/**
 * The transport wrote SENT bytes of the output; BLOCKED: it takes no more for now, and the transport will call flush of its own accord when it does. Messages held
 * back for a full output go on.
 */
void client_written(struct client *client, size_t sent, bool blocked);

/** The transport is gone. Publishes the will if due, keeps or ends the session, frees CLIENT. */
void client_gone(struct client *client, enum client_end why);

#endif
