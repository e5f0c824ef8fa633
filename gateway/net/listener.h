/**
 * Listening sockets: TCP over IPv4 and IPv6, and unix sockets.
 *
 * A listener belongs to one worker. That worker accepts for it and deals each connection to the worker with the fewest (to
 * itself, if none has fewer), so that even a handful of clients spreads evenly; SO_REUSEPORT would let a hash decide, which
 * with few clients often puts most of them on one worker. With one worker nothing is ever passed on.
 */
#ifndef GATEWAY_NET_LISTENER_H
#define GATEWAY_NET_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include <ev.h>

#include "config/config.h"
#include "gateway/base/err.h"

struct worker;

#define LISTENER_PAUSE_MS   100u /* without a file descriptor to accept with */
#define LISTENER_NAME_BYTES 128u

struct
    listener { /* owner: the main thread until started, then its worker's, after that has ended the main thread again */
    ev_io io;
    ev_timer pause;
    struct listener *next;        /* in the worker's list */
    struct worker *worker;        /* NULL until started */
    int reserve_fd;               /* given up for a moment to refuse somebody when descriptors run out; -1: none */
    unsigned batch;               /* accept at most so many in the next turn */
    _Atomic uint32_t connections; /* accepted here and still there; any thread */

    /* immutable: */
    char name[LISTENER_NAME_BYTES]; /* real address: "127.0.0.1:1883", "[::1]:1883", "unix:/run/..." */
    uint32_t connections_max;       /* 0: no limit */
    bool has_proxy_header;
    bool is_for_guest;                    /* its connections are not MQTT over TCP, but for workers->guest */
    bool is_local;                        /* can be reached from this machine alone */
    struct config_network *proxy_trusted; /* owned */
    size_t proxy_trusted_len;             /* 0: whoever connects is trusted (unix socket) */

    char *unix_path; /* owned; NULL: TCP */
    dev_t unix_dev;  /* of the socket file, so that only our own is removed */
    ino_t unix_ino;
};

/**
 * Bind and listen as CONFIG (borrowed for the call) says. A socket file on which nobody listens any more is replaced; anything
 * else in its place is an error. Main thread, before there are others (the umask is changed for a moment).
 *
 * @param out owned; untouched on failure
 * @return TG_OK; TG_ERR_UNSUPPORTED if the machine lacks this address and it is optional; otherwise why not has been logged:
 *         TG_ERR_NO_MEMORY, TG_ERR_EXISTS (address in use), TG_ERR_DENIED or TG_ERR_IO
 */
enum tg_err listener_open(const struct config_listener *config, struct listener **out) TG_MUST_CHECK;

/** Make UID and GID owner of a unix socket's file; other listeners are left alone. @return false with errno set */
bool listener_give_to(struct listener *listener, uid_t uid, gid_t gid) TG_MUST_CHECK;

/** Begin to accept, on WORKER's thread. */
void listener_start(struct listener *listener, struct worker *worker);

/** Stop accepting and close the socket, remove its file. More than once is fine. */
void listener_close(struct listener *listener);

/** Close and free LISTENER; its connections are gone. NULL is a no-op. */
void listener_free(struct listener *listener);

/** The port of a TCP listener in host order; 0 for a unix socket. */
uint16_t listener_port(const struct listener *listener);

#endif
