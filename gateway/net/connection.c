/* The rule that keeps this simple: nothing is freed inside a callback of the core. What ends goes to the list of ended ones, and
 * connections_end() frees those between two steps of the worker's turn. */
#include "gateway/net/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/base/assert.h"
#include "gateway/base/log.h"
#include "gateway/broker/client.h"
#include "gateway/broker/stats.h"
#include "gateway/net/listener.h"
#include "gateway/net/proxy.h"
#include "gateway/net/worker.h"

#define IOV_ENTRIES     64
#define FLUSH_BYTES_MAX ((size_t)4 * 1024 * 1024) /* of one connection in one turn; the others want theirs too */

struct proxy_input {
    size_t len;
    uint8_t bytes[PROXY_HEADER_BYTES_MAX];
};

static struct worker *owner(const struct connection *connection)
{
    return connection->io.data;
}

static void set_state(struct connection *connection, enum connection_state state)
{
    struct worker *worker = owner(connection);
    TAILQ_REMOVE(&worker->lists[connection->state], connection, link);
    connection->state = (uint8_t)state;
    TAILQ_INSERT_TAIL(&worker->lists[state], connection, link);
}

/* Watch for what the state asks for. epoll is told at the end of the turn, and only if it comes out different. */
static void watch(struct connection *connection)
{
    struct ev_loop *loop = owner(connection)->loop;
    bool reads = (connection->state <= CONNECTION_BLOCKED && !connection->is_paused) ||
                 connection->state == CONNECTION_LINGERING || connection->state == CONNECTION_GREETING;
    bool writes = connection->state == CONNECTION_BLOCKED || connection->state == CONNECTION_FLUSHING;
    ev_io_stop(loop, &connection->io);
    ev_io_modify(&connection->io, (reads ? EV_READ : 0) | (writes ? EV_WRITE : 0));
    if (reads || writes) {
        ev_io_start(loop, &connection->io);
    }
}

static void end(struct connection *connection, enum client_end why)
{
    if (connection->state != CONNECTION_ENDED) {
        set_state(connection, CONNECTION_ENDED);
        connection->end = (uint8_t)why & 7u;
        watch(connection);
    }
}

static enum client_end end_of_errno(int error)
{
    return error == ECONNRESET || error == EPIPE || error == ETIMEDOUT ? CLIENT_END_PEER : CLIENT_END_IO_ERROR;
}

/* --- output ------------------------------------------------------------------------------------------------------ */

/* Write until the output or the socket's patience ends. @return bytes that the socket took */
static size_t write_output(struct connection *connection, bool *blocked)
{
    struct iovec iov[IOV_ENTRIES];
    struct msghdr message = {.msg_iov = iov};
    const struct outq *output = client_output(connection->client);
    size_t written = 0;

    *blocked = false;
    if (output->len == 0) {
        client_written(connection->client, 0, false); /* all went in the turn before, which only had to stop there */
    }
    while (output->len > 0 && !*blocked) {
        size_t offered = 0;
        int count = outq_iov(output, iov, IOV_ENTRIES);
        for (int i = 0; i < count; i++) {
            offered += iov[i].iov_len;
        }
        message.msg_iovlen = (size_t)count;
        ssize_t sent = sendmsg(connection->io.fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno != EAGAIN) {
            end(connection, end_of_errno(errno));
            sent = 0;
        }
        size_t moved = sent > 0 ? (size_t)sent : 0;
        written += moved;
        /* A short write is a full socket: to ask again would cost a call to learn just that. */
        *blocked = moved < offered || written >= FLUSH_BYTES_MAX;
        client_written(connection->client, moved, *blocked);
    }
    return written;
}

/* The last byte is out, but the socket must live on until the peer has read it. */
static void linger(struct connection *connection)
{
    if (shutdown(connection->io.fd, SHUT_WR) != 0) {
        end(connection, CLIENT_END_CLOSED);
        return;
    }
    connection->since_ms = owner(connection)->now_ms;
    set_state(connection, CONNECTION_LINGERING);
    watch(connection);
}

static void write_and_wait(struct connection *connection)
{
    struct worker *worker = owner(connection);
    bool blocked;
    size_t written = write_output(connection, &blocked);
    if (written > 0) {
        connection->wrote_turn = worker->turn;
    }
    if (connection->state == CONNECTION_FLUSHING) {
        if (client_output(connection->client)->len == 0) {
            linger(connection);
        }
    } else if (connection->state == CONNECTION_BLOCKED && !blocked) {
        set_state(connection, CONNECTION_OPEN);
        watch(connection);
    } else if (connection->state == CONNECTION_OPEN && blocked) {
        connection->since_ms = worker->now_ms;
        set_state(connection, CONNECTION_BLOCKED);
        watch(connection);
    } else if (connection->state == CONNECTION_BLOCKED && written > 0) {
        connection->since_ms = worker->now_ms;
        set_state(connection, CONNECTION_BLOCKED); /* to the end of the list, which is in this order */
    }
}

void connection_print_address(char *buf, size_t cap, const uint8_t address[16], uint16_t port)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct in6_addr in6;
    memcpy(&in6, address, sizeof in6);
    if (IN6_IS_ADDR_V4MAPPED(&in6)) {
        inet_ntop(AF_INET, address + 12, text, sizeof text);
        snprintf(buf, cap, "%s:%u", text, (unsigned)port);
    } else {
        inet_ntop(AF_INET6, address, text, sizeof text);
        snprintf(buf, cap, "[%s]:%u", text, (unsigned)port);
    }
}

/* --- what the core calls ----------------------------------------------------------------------------------------- */

static void transport_flush(void *transport)
{
    struct connection *connection = transport;
    if (connection->state == CONNECTION_OPEN) {
        write_and_wait(connection);
    } else {
        client_written(connection->client, 0, true); /* still full, or broken: no use in asking the socket */
    }
}

static void transport_pause(void *transport, bool paused)
{
    struct connection *connection = transport;
    if (connection->is_paused != paused) {
        connection->is_paused = paused;
        watch(connection);
    }
}

static void transport_close(void *transport)
{
    struct connection *connection = transport;
    struct worker *worker = owner(connection);
    if (connection->state > CONNECTION_BLOCKED) {
        return;
    }
    if (client_output(connection->client)->len > 0) {
        connection->since_ms = worker->now_ms;
        set_state(connection, CONNECTION_FLUSHING);
        watch(connection);
    } else if (connection->wrote_turn == worker->turn) {
        linger(connection);
    } else {
        end(connection, CLIENT_END_CLOSED); /* nothing of ours can be on its way: the peer has said goodbye */
    }
}

static void transport_describe(void *transport, char *buf, size_t cap)
{
    const struct connection *connection = transport;
    if (connection->has_address) {
        connection_print_address(buf, cap, connection->address, connection->port);
    } else {
        snprintf(buf, cap, "%s", connection->listener->name);
    }
}

static const struct client_transport tcp_transport = {
    transport_flush, transport_pause, transport_close, transport_describe, "tcp", TRANSPORT_TCP,
};

static const struct client_transport unix_transport = {
    transport_flush, transport_pause, transport_close, transport_describe, "unix", TRANSPORT_UNIX,
};

/* --- input ------------------------------------------------------------------------------------------------------- */

static void log_bad_header(struct connection *connection, const char *reason)
{
    char peer[128];
    transport_describe(connection, peer, sizeof peer);
    log_warning("connection closed", LOG_STR("peer", peer), LOG_STR("listener", connection->listener->name),
                LOG_STR("reason", reason));
}

/* Keep the LEN (<= PROXY_HEADER_BYTES_MAX) bytes of a cut header. */
static bool keep_header(struct connection *connection, const uint8_t *bytes, size_t len)
{
    struct proxy_input *input = connection->proxy;
    if (input == NULL) {
        input = malloc(sizeof(*input));
        if (input == NULL) {
            return false;
        }
        memcpy(input->bytes, bytes, len);
        connection->proxy = input;
    }
    input->len = len;
    return true;
}

/* LEN bytes have come, and the PROXY header has not ended before them. @return how many of them belong to it, or it and the
 * connection are at an end */
static size_t receive_header(struct connection *connection, const uint8_t *bytes, size_t len)
{
    struct proxy_input *input = connection->proxy;
    size_t had = input != NULL ? input->len : 0;
    size_t taken = len < PROXY_HEADER_BYTES_MAX - had ? len : PROXY_HEADER_BYTES_MAX - had;
    struct proxy_header header;

    if (input != NULL) {
        memcpy(input->bytes + had, bytes, taken);
    }
    ssize_t header_len = proxy_header_decode(input != NULL ? input->bytes : bytes, had + taken, &header);
    if (header_len < 0) {
        if (connection->client == NULL) { /* else the core tells */
            log_bad_header(connection, "no valid PROXY header");
        }
        end(connection, CLIENT_END_NO_PROXY_HEADER);
        return len;
    }
    if (header_len == 0) {
        if (!keep_header(connection, bytes, had + taken)) {
            end(connection, CLIENT_END_IO_ERROR);
        }
        return len;
    }
    connection->awaits_proxy = false;
    if (header.has_source) {
        memcpy(connection->address, header.source, sizeof connection->address);
        connection->port = header.source_port;
        connection->has_address = true;
    }
    free(input);
    connection->proxy = NULL;
    return (size_t)header_len - had;
}

static void read_input(struct connection *connection)
{
    const uint8_t *bytes = owner(connection)->buffer;
    ssize_t len = read(connection->io.fd, owner(connection)->buffer, WORKER_BUFFER_BYTES);
    if (len <= 0) {
        if (len == 0) {
            end(connection, CLIENT_END_PEER);
        } else if (errno != EAGAIN && errno != EINTR) {
            end(connection, end_of_errno(errno));
        }
        return;
    }
    if (connection->state == CONNECTION_LINGERING) {
        return;
    }
    size_t left = (size_t)len;
    if (connection->awaits_proxy) {
        size_t header_len = receive_header(connection, bytes, left);
        bytes += header_len;
        left -= header_len;
    }
    if (left > 0) {
        client_receive(connection->client, bytes, left);
    }
}

/* --- guests ------------------------------------------------------------------------------------------------------ */

static void hand_to_guest(struct connection *connection)
{
    struct worker *worker = owner(connection);
    const struct worker_guest *guest = worker->workers->guest;
    guest->adopt(guest->arg, worker, connection->io.fd, connection->listener,
                 connection->has_address ? connection->address : NULL, connection->port);
    free(connection->proxy);
    free(connection);
}

/* Take from the socket what belongs to the PROXY header and not a byte more: what follows is for the guest to read. */
static void read_greeting(struct connection *connection)
{
    struct worker *worker = owner(connection);
    size_t had = connection->proxy != NULL ? connection->proxy->len : 0;
    ssize_t len = recv(connection->io.fd, worker->buffer, PROXY_HEADER_BYTES_MAX - had, MSG_PEEK);
    if (len <= 0) {
        if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
            end(connection, CLIENT_END_PEER);
        }
        return;
    }
    size_t taken = receive_header(connection, worker->buffer, (size_t)len);
    if (connection->state == CONNECTION_ENDED) {
        return;
    }
    if (taken > PROXY_HEADER_BYTES_MAX - had || recv(connection->io.fd, worker->buffer, taken, 0) != (ssize_t)taken) {
        end(connection, CLIENT_END_IO_ERROR);
        return;
    }
    if (!connection->awaits_proxy) {
        ev_io_stop(worker->loop, &connection->io);
        TAILQ_REMOVE(&worker->lists[CONNECTION_GREETING], connection, link);
        hand_to_guest(connection);
    }
}

static void start_for_guest(struct connection *connection)
{
    struct worker *worker = owner(connection);
    if (!connection->awaits_proxy) {
        hand_to_guest(connection);
        return;
    }
    connection->since_ms = worker->now_ms;
    connection->state = CONNECTION_GREETING;
    TAILQ_INSERT_TAIL(&worker->lists[CONNECTION_GREETING], connection, link);
    ev_io_start(worker->loop, &connection->io);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *connection = (struct connection *)io; /* its first member */
    (void)loop;
    if ((events & EV_ERROR) != 0) {
        end(connection, CLIENT_END_IO_ERROR);
        return;
    }
    if (connection->state == CONNECTION_GREETING) {
        read_greeting(connection);
        return;
    }
    if ((events & EV_WRITE) != 0) {
        write_and_wait(connection);
    }
    if ((events & EV_READ) != 0 && connection->state != CONNECTION_ENDED && !connection->is_paused) {
        read_input(connection);
    }
}

/* --- life -------------------------------------------------------------------------------------------------------- */

void connection_count_out(struct worker *worker, struct listener *listener)
{
    atomic_fetch_sub_explicit(&listener->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->workers->connections, 1, memory_order_relaxed);
}

static void release(struct connection *connection)
{
    struct worker *worker = owner(connection);
    close(connection->io.fd);
    connection_count_out(worker, connection->listener);
    free(connection->proxy);
    free(connection);
}

struct connection *connection_new(int fd, struct listener *listener, const uint8_t *address, uint16_t port,
                                  struct worker *worker)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        close(fd);
        return NULL;
    }
    ev_io_init(&connection->io, on_io, fd, EV_READ);
    ev_set_priority(&connection->io, WORKER_PRIORITY);
    connection->io.data = worker;
    connection->listener = listener;
    connection->awaits_proxy = listener->has_proxy_header;
    if (address != NULL) {
        memcpy(connection->address, address, sizeof connection->address);
        connection->port = port;
        connection->has_address = true;
    }
    atomic_fetch_add_explicit(&listener->connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->workers->connections, 1, memory_order_relaxed);
    return connection;
}

void connection_post(struct connection *connection)
{
    struct worker *worker = owner(connection);
    struct connection *top = atomic_load_explicit(&worker->inbox, memory_order_relaxed);
    do {
        connection->link.tqe_next = top;
    } while (!atomic_compare_exchange_weak_explicit(&worker->inbox, &top, connection, memory_order_release,
                                                    memory_order_relaxed));
    if (top == NULL) {
        workers_wake(worker->workers, worker->index);
    }
}

void connection_start(struct connection *connection)
{
    struct worker *worker = owner(connection);
    if (worker->is_draining) {
        release(connection);
        return;
    }
    if (connection->listener->is_for_guest) {
        start_for_guest(connection);
        return;
    }
    connection->wrote_turn = worker->turn - 1;
    connection->client =
        client_new(worker->place, connection->has_address ? &tcp_transport : &unix_transport, connection);
    if (connection->client == NULL) {
        log_warning("connection refused", LOG_STR("listener", connection->listener->name),
                    LOG_STR("reason", "out of memory"));
        release(connection);
        return;
    }
    connection->state = CONNECTION_OPEN;
    TAILQ_INSERT_TAIL(&worker->lists[CONNECTION_OPEN], connection, link);
    ev_io_start(worker->loop, &connection->io);
}

void connections_start_posted(struct worker *worker)
{
    struct connection *connection = atomic_exchange_explicit(&worker->inbox, NULL, memory_order_acquire);
    while (connection != NULL) {
        struct connection *next = connection->link.tqe_next;
        connection_start(connection);
        connection = next;
    }
}

static void end_client(struct connection *connection, enum client_end why)
{
    struct client *client = connection->client;
    if (client != NULL) {
        client_gone(client, why);
        connection->client = NULL;
    }
}

bool connections_end(struct worker *worker)
{
    struct connection_list *lingering = &worker->lists[CONNECTION_LINGERING];
    struct connection_list *ended = &worker->lists[CONNECTION_ENDED];
    struct connection *connection;
    bool any = !TAILQ_EMPTY(ended);

    /* Those that have begun to linger since the last call stand at the end of their list. */
    connection = TAILQ_LAST(lingering, connection_list);
    for (; connection != NULL && connection->client != NULL;
         connection = TAILQ_PREV(connection, connection_list, link)) {
        end_client(connection, CLIENT_END_CLOSED);
        any = true;
    }
    while ((connection = TAILQ_FIRST(ended)) != NULL) {
        TAILQ_REMOVE(ended, connection, link);
        end_client(connection, (enum client_end)connection->end);
        release(connection);
    }
    return any;
}

static void end_overdue(struct worker *worker, enum connection_state state, uint64_t limit_ms, enum client_end why)
{
    struct connection *connection;
    while ((connection = TAILQ_FIRST(&worker->lists[state])) != NULL &&
           worker->now_ms - connection->since_ms >= limit_ms) {
        end(connection, why);
    }
}

void connections_sweep(struct worker *worker)
{
    uint32_t stall_ms = atomic_load_explicit(&worker->workers->write_stall_timeout_ms, memory_order_relaxed);
    uint32_t linger_ms = worker->is_draining ? CONNECTION_DRAIN_LINGER_MS : CONNECTION_LINGER_MS;
    worker->swept_ms = worker->now_ms;
    end_overdue(worker, CONNECTION_BLOCKED, stall_ms, CLIENT_END_WRITE_STALL);
    end_overdue(worker, CONNECTION_FLUSHING, CONNECTION_FLUSH_MS, CLIENT_END_CLOSED);
    end_overdue(worker, CONNECTION_LINGERING, linger_ms, CLIENT_END_CLOSED);
    end_overdue(worker, CONNECTION_GREETING, worker->is_draining ? 0 : CONNECTION_GREET_MS, CLIENT_END_PEER);
}

uint64_t connections_sweep_due_ms(const struct worker *worker)
{
    bool none = TAILQ_EMPTY(&worker->lists[CONNECTION_BLOCKED]) && TAILQ_EMPTY(&worker->lists[CONNECTION_FLUSHING]) &&
                TAILQ_EMPTY(&worker->lists[CONNECTION_LINGERING]) && TAILQ_EMPTY(&worker->lists[CONNECTION_GREETING]);
    return none ? UINT64_MAX : worker->swept_ms + (worker->is_draining ? WORKER_DRAIN_SWEEP_MS : WORKER_SWEEP_MS);
}

void connections_end_all(struct worker *worker)
{
    worker->is_draining = true;
    connections_start_posted(worker); /* which, as we are draining, closes them */
    for (unsigned state = 0; state < CONNECTION_ENDED; state++) {
        end_overdue(worker, (enum connection_state)state, 0, CLIENT_END_CLOSED);
    }
    connections_end(worker);
}
