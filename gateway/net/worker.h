/**
 * Worker threads: each runs one place of the broker, its connections and its listeners on one libev loop.
 *
 *      one turn    sleep in epoll until I/O, mail or a timer (offline for RCU)
 *                  tell the place the time, once
 *                  events: read -> client_receive(), accept, writable -> flush
 *                  connections handed over by other workers, mail
 *                  place_end_turn(): due timers, mail out, one flush for each connection with output
 *
 * All of our watchers have priority -1, so that a library that shares the loop may have idle watchers of its own at 0.
 *
 * A connection stays with its worker for life. Whoever accepts it deals it to the worker with the fewest (listener.c).
 */
#ifndef GATEWAY_NET_WORKER_H
#define GATEWAY_NET_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include <ev.h>

#include "gateway/base/err.h"
#include "gateway/net/connection.h"

struct broker;
struct config_limits;
struct listener;
struct place;
struct workers;

#define WORKER_BUFFER_BYTES   ((size_t)256 * 1024)
#define WORKER_PRIORITY       (-1)  /* of all our watchers */
#define WORKER_SWEEP_MS       1000u /* between two looks at connections that are stalled or closing */
#define WORKER_DRAIN_SWEEP_MS 100u  /* the same, while draining */

/** Where the time comes from: the system's clocks, but in tests. Called from every worker. */
struct worker_clock {
    uint64_t (*monotonic_ms)(void);
    uint64_t (*wall_ms)(void); /* since the epoch */
};

/** The system's clocks. */
extern const struct worker_clock worker_system_clock;

/**
 * Who else serves connections on the workers' loops: the web side. It keeps to the same turn: what comes, comes while the loop runs; at the
 * end of a turn it may be flushed; nothing of it is called from two threads. All functions are called by WORKER's thread.
 */
struct worker_guest {
    void *arg;
    /**
     * Serve the socket FD (taken), which LISTENER has accepted and counts until connection_count_out().
     *
     * @param address 16 bytes, borrowed; NULL for a unix socket
     */
    void (*adopt)(void *arg, struct worker *worker, int fd, struct listener *listener, const uint8_t *address,
                  uint16_t port);
    /** The loop has run, the place's turn ends soon, or has just ended. @return true if something was done, so that the place must end its turn (again) */
    bool (*turn)(void *arg, struct worker *worker);
    /** Accept no more requests; close what is idle. */
    void (*drain)(void *arg, struct worker *worker);
    /** The thread ends: close everything. */
    void (*stop)(void *arg, struct worker *worker);
};

#define WORKER_TURN_BOUNDS 10u

/** Upper bounds of worker_turns.counts, in ns, ascending. */
extern const uint64_t worker_turn_bounds_ns[WORKER_TURN_BOUNDS];

/** How long turns took, from the end of the sleep: what an event that comes meanwhile waits at most. Its thread writes, any reads. */
struct worker_turns {
    _Atomic uint64_t counts[WORKER_TURN_BOUNDS + 1]; /* by the first bound that is not exceeded; the last: above all */
    _Atomic uint64_t busy_ns;                        /* of all turns */
};

struct worker {                        /* owner: its thread, unless a line says otherwise */
    _Alignas(64) struct ev_loop *loop; /* immutable; workers share no cache line */
    ev_async wake;
    ev_timer alarm;          /* ends the sleep when the place or a sweep is due */
    uint64_t alarm_ms;       /* when it goes off; UINT64_MAX: not set */
    struct workers *workers; /* immutable */
    struct place *place;     /* immutable */
    unsigned index;          /* immutable */
    uint8_t *buffer;         /* WORKER_BUFFER_BYTES for one read, lent to client_receive() */
    uint64_t now_ms;         /* of this turn, monotonic */
    uint64_t swept_ms;
    uint64_t woke_ns; /* when this turn began, monotonic */
    uint32_t turn;    /* number of this turn, wraps */
    bool may_sleep;
    bool is_woken; /* since the last turn */
    bool mail_is_left;
    bool is_open; /* its listeners accept, not only those for the guest */
    bool is_draining;
    struct connection_list lists[CONNECTION_STATES];

    _Atomic(struct connection *) inbox; /* stack of connections dealt by other workers; any thread pushes */
    _Atomic uint32_t connections;       /* here or on their way here; any thread */
    _Atomic uint64_t turns;             /* done; read by any thread */
    struct worker_turns durations;
    atomic_bool is_drained; /* read by any thread */

    struct listener *listeners; /* list; main thread before start and after stop */
    pthread_t thread;
    bool has_thread; /* main thread */
};

enum workers_phase {
    WORKERS_RUN,
    WORKERS_HOLD, /* only what is for the guest is accepted */
    WORKERS_DRAIN,
    WORKERS_STOP,
};

struct workers {
    struct broker *broker; /* set before threads start */
    struct worker_clock clock;
    _Atomic uint32_t write_stall_timeout_ms;
    _Atomic uint32_t connections_max; /* 0: no limit */
    _Atomic uint32_t connections;     /* of all workers */
    const struct worker_guest *guest; /* NULL: none; set before threads start */
    int guest_descriptors;            /* descriptors below this one are for the guest; set before threads start */
    _Atomic int phase;
    unsigned count;
    uint64_t *turns_seen;  /* by workers_have_moved(); main thread */
    struct worker *worker; /* array */
};

/**
 * Make COUNT (1 or more) workers that do not run yet. From now on workers_wake() may be called. Main thread.
 *
 * @param clock copied
 * @return owned, NULL without memory or file descriptors (errno is set)
 */
struct workers *workers_new(unsigned count, const struct worker_clock *clock);

/** Free WORKERS with their listeners. They have been stopped or never ran. NULL is a no-op. */
void workers_free(struct workers *workers);

/** Give LISTENER (taken) to one of the workers, which accepts for it once it runs. Main thread, before workers_start(). */
void workers_add_listener(struct workers *workers, struct listener *listener);

/** Let GUEST (borrowed until workers_stop()) serve the listeners that are not for MQTT over TCP, with descriptors below DESCRIPTORS. Main thread, before
 * workers_start(). */
void workers_set_guest(struct workers *workers, const struct worker_guest *guest, int descriptors);

/** Follow LIMITS (connections, write_stall_timeout_ms) from now on. Any one thread. */
void workers_set_limits(struct workers *workers, const struct config_limits *limits);

/**
 * Let the clients of listeners that are not for the guest wait, until workers_release(): the kernel keeps them. Main thread, before
 * workers_start().
 */
void workers_hold(struct workers *workers);

/** Accept them; a no-op if they were not held, or WORKERS are being drained. Main thread. */
void workers_release(struct workers *workers);

/**
 * Start a thread for each place of BROKER (borrowed until workers_stop(); as many places as workers). Main thread; signals that the caller
 * blocks are blocked in the workers.
 *
 * @return TG_OK, or TG_ERR_NO_MEMORY if a thread cannot be made: then none runs
 */
enum tg_err workers_start(struct workers *workers, struct broker *broker) TG_MUST_CHECK;

/** A broker_wake_fn: let worker number INDEX of WORKERS (a struct workers) take a turn soon. Any thread. */
void workers_wake(void *workers, unsigned index);

/** Close the listeners and drain the places. Main thread. */
void workers_drain(struct workers *workers);

/** True once, after workers_drain(), no connection is left. Main thread. */
bool workers_are_drained(const struct workers *workers);

/**
 * True if every worker has ended a turn since the last call; then each is asked for another one. So, called at intervals, it tells
 * whether all of them are alive. Main thread.
 */
bool workers_have_moved(struct workers *workers);

/** Close what is open and join the threads. Main thread; a no-op if they do not run. */
void workers_stop(struct workers *workers);

/** The worker with the fewest connections; FAVOURITE if none has fewer. Any thread. */
struct worker *workers_least_loaded(struct workers *workers, struct worker *favourite);

#endif
