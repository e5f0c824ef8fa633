/**
 * The load generator's side of many connections, in one thread: read, cut into packets, answer, write.
 *
 * It is built to cost less than any server that it measures, and to write as a server likes best:
 *
 *      turn:  epoll_wait -> for each readable peer: one read, on_packet() for each whole packet in it
 *                        -> for each peer marked dirty: on_flush() adds what it may send, one write
 *
 * Whatever on_packet() queues for whichever peer leaves at the end of the turn, one write per peer.
 */
#ifndef TESTS_BENCH_LOOP_H
#define TESTS_BENCH_LOOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoll_event;
struct frames;
struct loop;
struct peer;

struct peer_handler {
    /** A whole packet came: its FIRST byte and its BODY, borrowed for the call. Must not close the peer. */
    void (*on_packet)(struct loop *loop, struct peer *peer, uint8_t first, const uint8_t *body, size_t len);
    /** The peer is dirty and its socket not full: may queue more. NULL: nothing to add. */
    void (*on_flush)(struct loop *loop, struct peer *peer);
    /** The server closed the connection; it is still open here and the handler must call peer_close(). */
    void (*on_closed)(struct loop *loop, struct peer *peer);
    /**
     * Instead of on_packet(), for what is not MQTT: LEN bytes that have come and not been taken yet. @return how many are taken now
     */
    size_t (*on_bytes)(struct loop *loop, struct peer *peer, const uint8_t *data, size_t len);
};

/** One connection. Zeroed, with fd -1, means closed. */
struct peer {
    int fd;
    uint32_t index; /* the owner's own number for it */
    bool dirty;     /* is in the loop's list */
    bool blocked;   /* the socket is full, EPOLLOUT is armed */
    const struct peer_handler *handler;
    void *owner;
    uint8_t *rest; /* the beginning of a packet that is not whole yet */
    size_t rest_len;
    uint8_t *out; /* out[out_at .. out_len) is to be written */
    size_t out_at;
    size_t out_len;
    size_t out_capacity;
    struct frames *frames; /* owned; NULL: no WebSocket */
};

struct loop {
    int epoll_fd;
    bool websocket;  /* peers opened from now on speak MQTT over WebSocket */
    uint64_t now_ns; /* monotonic; set by loop_turn() and after each read */
    struct sockaddr_in server;
    uint32_t opened; /* connections so far; picks the source address */
    struct epoll_event *events;
    uint8_t *in;
    struct peer **dirty;
    size_t dirty_len;
    size_t dirty_capacity;
};

/** Say on stderr, in printf's manner, why the measurement makes no sense, and exit 2. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** malloc, realloc and calloc that die() if there is no memory. @return owned */
void *must_calloc(size_t count, size_t size) __attribute__((warn_unused_result));
void *must_realloc(void *old, size_t size) __attribute__((warn_unused_result));

/** Now, monotonic, in nanoseconds. */
uint64_t clock_ns(void);

/** Make a loop for connections to 127.0.0.1:PORT. Dies on failure. */
void loop_init(struct loop *loop, uint16_t port);

/** Let peers opened from now on connect to PORT. */
void loop_set_port(struct loop *loop, uint16_t port);

/** Free what the loop holds; every peer must be closed. */
void loop_fini(struct loop *loop);

/** One turn. TIMEOUT_MS: 0 does not wait, -1 waits for ever. */
void loop_turn(struct loop *loop, int timeout_ms);

/**
 * Connect PEER, which is closed, and wait until that is done: a loopback connection is made within the call. Sources are
 * spread over 127.0.0.0/8, so that ports last. Dies on failure.
 */
void peer_open(struct loop *loop, struct peer *peer, const struct peer_handler *handler, void *owner, uint32_t index);

/** Close at once, by a reset: no socket stays behind in TIME_WAIT. Nothing if it is closed. */
void peer_close(struct loop *loop, struct peer *peer);

/** Put PEER on the list for the end of this turn. */
void peer_mark_dirty(struct loop *loop, struct peer *peer);

/** Room for LEN bytes at the end of what is to be written; valid until the next call for PEER. Dies without memory. */
uint8_t *peer_reserve(struct peer *peer, size_t len);

/** The first LEN of the reserved bytes were filled. */
static inline void peer_commit(struct peer *peer, size_t len)
{
    peer->out_len += len;
}

/** Queue a copy of DATA and mark PEER dirty. */
void peer_queue(struct loop *loop, struct peer *peer, const void *data, size_t len);

#endif
