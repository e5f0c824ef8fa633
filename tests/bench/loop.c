#include "tests/bench/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/frames.h"

#define READ_BYTES       (256u * 1024u)
#define REST_BYTES_MAX   (1024u * 1024u) /* the largest packet this reads */
#define EVENTS           512
#define SOURCE_ADDRESSES 16u
#define OUT_BYTES_MIN    256u

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("load: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(2);
}

void *must_calloc(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (p == NULL) {
        die("out of memory");
    }
    return p;
}

void *must_realloc(void *old, size_t size)
{
    void *p = realloc(old, size);
    if (p == NULL) {
        die("out of memory");
    }
    return p;
}

uint64_t clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void loop_init(struct loop *loop, uint16_t port)
{
    *loop = (struct loop){
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .now_ns = clock_ns(),
        .server = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}},
        .events = must_calloc(EVENTS, sizeof(struct epoll_event)),
        .in = must_calloc(1, REST_BYTES_MAX + READ_BYTES),
    };
    if (loop->epoll_fd < 0) {
        die("epoll_create1: %s", strerror(errno));
    }
}

void loop_set_port(struct loop *loop, uint16_t port)
{
    loop->server.sin_port = htons(port);
}

void loop_fini(struct loop *loop)
{
    (void)close(loop->epoll_fd);
    free(loop->events);
    free(loop->in);
    free(loop->dirty);
}

static void watch(struct loop *loop, struct peer *peer, int operation, bool write)
{
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data = {.ptr = peer}};
    if (epoll_ctl(loop->epoll_fd, operation, peer->fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    peer->blocked = write;
}

void peer_open(struct loop *loop, struct peer *peer, const struct peer_handler *handler, void *owner, uint32_t index)
{
    const int on = 1;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr = {htonl(INADDR_LOOPBACK + 1u + loop->opened++ % SOURCE_ADDRESSES)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die("socket: %s", strerror(errno));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&source, sizeof source) != 0 ||
        connect(fd, (const struct sockaddr *)&loop->server, sizeof loop->server) != 0) {
        die("connect: %s", strerror(errno));
    }
    peer->frames = loop->websocket ? frames_open(fd) : NULL;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        die("fcntl: %s", strerror(errno));
    }
    peer->fd = fd;
    peer->index = index;
    peer->handler = handler;
    peer->owner = owner;
    peer->rest_len = 0;
    peer->out_at = 0;
    peer->out_len = 0;
    watch(loop, peer, EPOLL_CTL_ADD, false);
}

void peer_close(struct loop *loop, struct peer *peer)
{
    if (peer->fd < 0) {
        return;
    }
    (void)close(peer->fd);
    peer->fd = -1;
    free(peer->rest);
    free(peer->out);
    free(peer->frames);
    peer->frames = NULL;
    peer->rest = NULL;
    peer->out = NULL;
    peer->out_at = 0;
    peer->out_len = 0;
    peer->out_capacity = 0;
    peer->blocked = false;
    for (size_t i = 0; peer->dirty; i++) {
        if (loop->dirty[i] == peer) {
            loop->dirty[i] = loop->dirty[--loop->dirty_len];
            peer->dirty = false;
        }
    }
}

void peer_mark_dirty(struct loop *loop, struct peer *peer)
{
    if (peer->dirty) {
        return;
    }
    if (loop->dirty_len == loop->dirty_capacity) {
        loop->dirty_capacity = loop->dirty_capacity == 0 ? 64 : loop->dirty_capacity * 2;
        loop->dirty = must_realloc(loop->dirty, loop->dirty_capacity * sizeof *loop->dirty);
    }
    loop->dirty[loop->dirty_len++] = peer;
    peer->dirty = true;
}

uint8_t *peer_reserve(struct peer *peer, size_t len)
{
    size_t needed = peer->out_len + len;
    if (needed > peer->out_capacity) {
        size_t capacity = peer->out_capacity == 0 ? OUT_BYTES_MIN : peer->out_capacity;
        while (capacity < needed) {
            capacity *= 2;
        }
        peer->out = must_realloc(peer->out, capacity);
        peer->out_capacity = capacity;
    }
    return peer->out + peer->out_len;
}

void peer_queue(struct loop *loop, struct peer *peer, const void *data, size_t len)
{
    memcpy(peer_reserve(peer, len), data, len);
    peer_commit(peer, len);
    peer_mark_dirty(loop, peer);
}

/* Hand each whole packet of DATA to the peer's handler. Returns the bytes these took. */
static size_t take_packets(struct loop *loop, struct peer *peer, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (len - at >= 2) {
        size_t body_len = data[at + 1];
        size_t header = 2;
        if (body_len >= 0x80) {
            body_len &= 0x7F;
            unsigned shift = 7;
            do {
                if (header == len - at) {
                    return at;
                }
                if (shift > 21) {
                    die("the server sent a packet length of more than four bytes");
                }
                body_len |= (size_t)(data[at + header] & 0x7F) << shift;
                shift += 7;
            } while ((data[at + header++] & 0x80) != 0);
        }
        if (body_len > len - at - header) {
            break;
        }
        peer->handler->on_packet(loop, peer, data[at], data + at + header, body_len);
        at += header + body_len;
    }
    return at;
}

static void receive(struct loop *loop, struct peer *peer)
{
    size_t rest = peer->rest_len;
    if (rest > 0) {
        memcpy(loop->in, peer->rest, rest);
    }
    ssize_t n = read(peer->fd, loop->in + rest, READ_BYTES);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            peer->handler->on_closed(loop, peer);
        }
        return;
    }
    loop->now_ns = clock_ns();
    size_t came = peer->frames != NULL ? frames_unwrap(peer->frames, loop->in + rest, (size_t)n) : (size_t)n;
    size_t len = rest + came;
    size_t taken = peer->handler->on_bytes != NULL ? peer->handler->on_bytes(loop, peer, loop->in, len)
                                                   : take_packets(loop, peer, loop->in, len);
    peer->rest_len = len - taken;
    if (peer->rest_len > REST_BYTES_MAX) {
        die("the server sent a packet of more than %u bytes", REST_BYTES_MAX);
    }
    if (peer->rest_len > 0) {
        peer->rest = must_realloc(peer->rest, peer->rest_len);
        memcpy(peer->rest, loop->in + taken, peer->rest_len);
    }
}

/* Write what is waiting, as much as the socket takes. */
static void write_out(struct loop *loop, struct peer *peer)
{
    const uint8_t *data = peer->out + peer->out_at;
    size_t len = peer->out_len - peer->out_at;
    ssize_t n =
        peer->frames != NULL ? frames_send(peer->frames, peer->fd, data, len) : send(peer->fd, data, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        return; /* reset: the next read says so */
    }
    peer->out_at += n > 0 ? (size_t)n : 0;
    if (peer->out_at == peer->out_len) {
        peer->out_at = 0;
        peer->out_len = 0;
    }
    bool full = peer->out_len > 0;
    if (full != peer->blocked) {
        watch(loop, peer, EPOLL_CTL_MOD, full);
    }
}

void loop_turn(struct loop *loop, int timeout_ms)
{
    int n = loop->dirty_len == 0 ? epoll_wait(loop->epoll_fd, loop->events, EVENTS, timeout_ms) : 0;
    loop->now_ns = clock_ns();
    for (int i = 0; i < n; i++) {
        struct peer *peer = loop->events[i].data.ptr;
        uint32_t what = loop->events[i].events;
        if ((what & EPOLLOUT) != 0 && peer->blocked) {
            write_out(loop, peer);
            peer_mark_dirty(loop, peer);
        }
        if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            receive(loop, peer);
        }
    }
    while (loop->dirty_len > 0) {
        struct peer *peer = loop->dirty[--loop->dirty_len];
        peer->dirty = false;
        if (peer->blocked) {
            continue;
        }
        if (peer->handler->on_flush != NULL) {
            peer->handler->on_flush(loop, peer);
        }
        if (peer->out_len > 0) {
            write_out(loop, peer);
        }
    }
}
