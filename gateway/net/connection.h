/**
 * Native connections: MQTT bytes over TCP and unix sockets, as transports of broker clients (broker/client.h).
 *
 * An idle connection is this struct alone: input goes through the worker's buffer, output waits in the client. Instead of a
 * timer it has a place in one of its worker's lists, one for each state; lists with a deadline are in the order
 * in which that will pass, and their heads are looked at once a second.
 *
 *                     socket full                    core: close()
 *          OPEN <----------------------> BLOCKED -----------------+
 *            |                              | stalled             v
 *            | close(), no output           |                 FLUSHING     output is left, no more reading
 *            v                              v                     |
 *          ENDED <-------- error ------------              LINGERING       client is gone, FIN is sent: discard input
 *          (client_gone(), close and free at a safe point)        |        until the peer's FIN, so that no reset
 *            ^----------------------------------------------------+        overtakes our last packet
 *
 * A connection for a guest (worker.h) is given to it once its PROXY header has come, if it has one (state GREETING until then), and is
 * no struct connection any more.
 *
 * owner: the worker's thread, but until it is started.
 */
#ifndef GATEWAY_NET_CONNECTION_H
#define GATEWAY_NET_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include <ev.h>

struct client;
struct listener;
struct proxy_input;
struct worker;

enum connection_state {
    CONNECTION_OPEN,
    CONNECTION_BLOCKED, /* as open, but its socket takes no more output */
    CONNECTION_FLUSHING,
    CONNECTION_LINGERING,
    CONNECTION_GREETING, /* for a guest, once the PROXY header has come */
    CONNECTION_ENDED,
    CONNECTION_STATES,
};

TAILQ_HEAD(connection_list, connection);

struct connection {
    ev_io io;                     /* its data is the worker */
    TAILQ_ENTRY(connection) link; /* in the worker's list of its state; on the way to a worker: in its inbox */
    struct client *client;        /* owned; NULL before start and while lingering */
    struct listener *listener;    /* that accepted it; outlives it */
    struct proxy_input *proxy;    /* owned: the beginning of a PROXY header; NULL if none is cut */
    uint64_t since_ms;            /* blocked: when output last moved; flushing, lingering, greeting: since when */
    uint8_t address[16];          /* of the peer, IPv4 as ::ffff:a.b.c.d; zeros for a unix socket */
    uint32_t wrote_turn;          /* number of the worker's turn in which output was last written */
    uint16_t port;                /* of the peer, host order */
    uint8_t state;                /* enum connection_state */
    uint8_t end : 3;              /* enum client_end, once state is ENDED */
    bool awaits_proxy : 1;        /* its PROXY header has not come yet */
    bool has_address : 1;         /* false: unix socket */
    bool is_paused : 1;           /* the core does not want to read */
};

#if UINTPTR_MAX > UINT32_MAX
_Static_assert(sizeof(struct connection) <= 120, "tens of thousands of them are idle, and malloc adds 8");
#endif

#define CONNECTION_ADDRESS_BYTES 64u /* what connection_print_address() needs at most */

#define CONNECTION_FLUSH_MS        5000u  /* to get rid of the output that is left when the core closes */
#define CONNECTION_GREET_MS        10000u /* for the PROXY header of a connection for a guest */
#define CONNECTION_LINGER_MS       2000u  /* for the peer to answer our FIN */
#define CONNECTION_DRAIN_LINGER_MS 300u   /* the same, when the process ends as soon as it has */

/**
 * A connection on the socket FD (taken, also on failure), non-blocking, accepted by LISTENER, whose and whose workers' counters count it
 * until it is freed. Any thread.
 *
 * @param address 16 bytes, copied; NULL for a unix socket
 * @param worker  that will own it
 * @return owned by the worker once it is started; NULL without memory
 */
struct connection *connection_new(int fd, struct listener *listener, const uint8_t *address, uint16_t port,
                                  struct worker *worker);

/** A connection of WORKER that LISTENER accepted, and that a guest has adopted, is closed: it counts no more. WORKER's thread. */
void connection_count_out(struct worker *worker, struct listener *listener);

/** Let CONNECTION (taken) be started by the thread of its worker. Any thread. */
void connection_post(struct connection *connection);

/** Make the client and begin to read. The worker's thread. */
void connection_start(struct connection *connection);

/** Start what other workers have posted, or close it if WORKER is draining. */
void connections_start_posted(struct worker *worker);

/** Free connections that have ended, and tell their clients. @return true if there were any: the core may have more to do */
bool connections_end(struct worker *worker);

/** When connections_sweep_due_ms() has come: end those that have been stalled, flushing or lingering for too long. */
void connections_sweep(struct worker *worker);

/** When connections_sweep() has to be called next; UINT64_MAX if nobody waits for it. */
uint64_t connections_sweep_due_ms(const struct worker *worker);

/** Write ADDRESS (IPv4 as ::ffff:a.b.c.d) and PORT as people read them, "127.0.0.1:4711" or "[::1]:4711", to BUF. Any thread. */
void connection_print_address(char *buf, size_t cap, const uint8_t address[16], uint16_t port);

/** End every connection of WORKER, posted ones included. */
void connections_end_all(struct worker *worker);

#endif
