/* Accepting adapts: one connection a turn, and twice as many in the next one as long as there were enough; so a lone client costs one
 * call that finds nothing now and then, and a storm is taken in batches between which established clients have their turn. */
#include "gateway/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "config/address.h"
#include "gateway/base/log.h"
#include "gateway/broker/broker.h"
#include "gateway/net/connection.h"
#include "gateway/net/worker.h"

#define ACCEPT_BATCH_MAX 32u
#define MS_PER_S         1000.0
#define LOCK_TRIES       100
#define LOCK_PAUSE_NS    10000000L

/* --- accepting --------------------------------------------------------------------------------------------------- */

struct peer {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
};

static bool peer_from_sockaddr(struct peer *peer, const struct sockaddr_storage *from)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        memcpy(peer->address, mapped, sizeof mapped);
        memcpy(peer->address + sizeof mapped, &in.sin_addr, 4);
        peer->port = ntohs(in.sin_port);
        return true;
    }
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        memcpy(peer->address, &in6.sin6_addr, 16);
        peer->port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

static bool is_trusted(const struct listener *listener, const struct peer *peer)
{
    if (listener->proxy_trusted_len == 0) {
        return true;
    }
    for (size_t i = 0; i < listener->proxy_trusted_len; i++) {
        if (config_network_contains(&listener->proxy_trusted[i], peer->address)) {
            return true;
        }
    }
    return false;
}

/* Why nobody, or not this PEER (NULL: unix socket), may connect now; NULL: it may. Other workers that accept at the same instant can
 * take the total above its limit by one each. */
static const char *reason_to_refuse(const struct listener *listener, int fd, const struct peer *peer)
{
    const struct workers *workers = listener->worker->workers;
    uint32_t max = atomic_load_explicit(&workers->connections_max, memory_order_relaxed);
    if (max != 0 && atomic_load_explicit(&workers->connections, memory_order_relaxed) >= max) {
        return "limits.connections is reached";
    }
    if (listener->connections_max != 0 &&
        atomic_load_explicit(&listener->connections, memory_order_relaxed) >= listener->connections_max) {
        return "the listener's limit of connections is reached";
    }
    if (broker_is_memory_short(workers->broker)) {
        return "limits.memory_bytes is exceeded";
    }
    if (listener->is_for_guest && fd >= workers->guest_descriptors) {
        return "limits.web_connections is reached";
    }
    if (listener->has_proxy_header && peer != NULL && !is_trusted(listener, peer)) {
        return "not trusted to send a PROXY header";
    }
    return NULL;
}

static void log_refusal(const struct listener *listener, const struct peer *peer, const char *reason)
{
    char text[CONNECTION_ADDRESS_BYTES] = "";
    if (peer != NULL) {
        connection_print_address(text, sizeof text, peer->address, peer->port);
    }
    log_warning("connection refused", LOG_STR("listener", listener->name), LOG_STR("peer", text),
                LOG_STR("reason", reason));
}

/* A guest has a table by descriptor and so wants low numbers: ours are moved out of its way. */
static int choose_descriptor(const struct listener *listener, int fd)
{
    int floor = listener->worker->workers->guest_descriptors;
    if (listener->is_for_guest || fd >= floor) {
        return fd;
    }
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, floor);
    if (moved < 0) {
        return fd; /* better there than not at all */
    }
    close(fd);
    return moved;
}

static void welcome(struct listener *listener, int fd, const struct sockaddr_storage *from)
{
    struct peer peer;
    bool has_peer = peer_from_sockaddr(&peer, from);
    const char *reason = reason_to_refuse(listener, fd, has_peer ? &peer : NULL);
    if (reason != NULL) {
        log_refusal(listener, has_peer ? &peer : NULL, reason);
        close(fd);
        return;
    }
    fd = choose_descriptor(listener, fd);
    struct worker *worker = workers_least_loaded(listener->worker->workers, listener->worker);
    struct connection *connection =
        connection_new(fd, listener, has_peer ? peer.address : NULL, has_peer ? peer.port : (uint16_t)0, worker);
    if (connection == NULL) {
        log_refusal(listener, has_peer ? &peer : NULL, "out of memory");
    } else if (worker == listener->worker) {
        connection_start(connection);
    } else {
        connection_post(connection);
    }
}

static int accept_one(const struct listener *listener, struct sockaddr_storage *from)
{
    socklen_t from_len = sizeof *from;
    from->ss_family = AF_UNSPEC; /* not written for an unnamed unix socket */
    return accept4(listener->io.fd, (struct sockaddr *)from, &from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* No descriptors: tell one waiting client so with the one in reserve, and let the others wait a moment. */
static void run_out(struct listener *listener, int error)
{
    struct sockaddr_storage from;
    log_warning("no file descriptor for a connection", LOG_STR("listener", listener->name), LOG_ERRNO(error));
    if (listener->reserve_fd >= 0) {
        close(listener->reserve_fd);
        int fd = accept_one(listener, &from);
        if (fd >= 0) {
            close(fd);
        }
        listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    ev_io_stop(listener->worker->loop, &listener->io);
    ev_timer_set(&listener->pause, LISTENER_PAUSE_MS / MS_PER_S, 0.0);
    ev_timer_start(listener->worker->loop, &listener->pause);
}

static void on_connections(struct ev_loop *loop, ev_io *io, int events)
{
    struct listener *listener = io->data;
    struct sockaddr_storage from;
    (void)loop;
    (void)events;
    for (unsigned taken = 0; taken < listener->batch; taken++) {
        int fd = accept_one(listener, &from);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                run_out(listener, errno);
            }
            listener->batch =
                1; /* EAGAIN, or an error of the connection that was to be accepted: look again next turn */
            return;
        }
        welcome(listener, fd, &from);
    }
    if (listener->batch < ACCEPT_BATCH_MAX) {
        listener->batch *= 2;
    }
}

static void on_pause_end(struct ev_loop *loop, ev_timer *pause, int events)
{
    struct listener *listener = pause->data;
    (void)events;
    if (listener->reserve_fd < 0) {
        listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    ev_io_start(loop, &listener->io);
}

void listener_start(struct listener *listener, struct worker *worker)
{
    listener->worker = worker;
    ev_io_start(worker->loop, &listener->io);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static enum tg_err err_of_errno(int error)
{
    switch (error) {
    case EADDRINUSE:
    case EEXIST:
        return TG_ERR_EXISTS;
    case EACCES:
    case EPERM:
        return TG_ERR_DENIED;
    case ENOMEM:
    case ENOBUFS:
        return TG_ERR_NO_MEMORY;
    default:
        return TG_ERR_IO;
    }
}

static enum tg_err fail_to_listen(const struct config_listener *config, const char *step, int error)
{
    log_error("cannot listen", LOG_STR("address", config->name), LOG_STR("step", step), LOG_ERRNO(error));
    return err_of_errno(error);
}

/* Write the bound address of a TCP listener. */
static void name_tcp(struct listener *listener)
{
    struct sockaddr_storage bound = {0};
    socklen_t bound_len = sizeof bound;
    struct peer self;
    if (getsockname(listener->io.fd, (struct sockaddr *)&bound, &bound_len) == 0 && peer_from_sockaddr(&self, &bound)) {
        connection_print_address(listener->name, sizeof listener->name, self.address, self.port);
    }
}

/* Connections inherit these from their listener on Linux, which saves a call for each. */
static bool set_tcp_options(int fd, const struct config_listener *config)
{
    int on = 1;
    int ipv6_only = config->ipv6_only;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
           (config->address.ss_family != AF_INET6 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof ipv6_only) == 0);
}

static enum tg_err open_tcp(struct listener *listener, const struct config_listener *config)
{
    int fd = socket(config->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        if (config->optional && errno == EAFNOSUPPORT) {
            return TG_ERR_UNSUPPORTED;
        }
        return fail_to_listen(config, "socket", errno);
    }
    ev_io_set(&listener->io, fd, EV_READ);
    if (!set_tcp_options(fd, config)) {
        return fail_to_listen(config, "setsockopt", errno);
    }
    if (bind(fd, (const struct sockaddr *)&config->address, config->address_len) != 0) {
        if (config->optional && errno == EADDRNOTAVAIL) {
            return TG_ERR_UNSUPPORTED;
        }
        return fail_to_listen(config, "bind", errno);
    }
    if (listen(fd, (int)config->backlog) != 0) {
        return fail_to_listen(config, "listen", errno);
    }
    name_tcp(listener);
    return TG_OK;
}

/* Is somebody listening on the socket file at ADDRESS? */
static bool is_in_use(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return !refused;
}

/* Take the lock of the folder that PATH is in: between two processes that start at once, only one may judge the file that the
 * other has just made. @return a descriptor, -1 with errno set */
static int lock_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    snprintf(folder, sizeof folder, "%.*s", (int)len, len > 0 ? path : ".");
    int fd = open(len > 0 ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int tries = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
        int error = errno;
        if ((error != EWOULDBLOCK && error != EINTR) || tries == LOCK_TRIES) {
            close(fd);
            errno = error;
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    return fd;
}

/* Bind, with no permissions at first, so that nobody connects before the mode is set. */
static int bind_unix(int fd, const struct sockaddr_un *address)
{
    mode_t before = umask(0777);
    int result = bind(fd, (const struct sockaddr *)address, sizeof *address);
    int error = errno;
    umask(before);
    errno = error;
    return result;
}

static int replace_stale_and_bind(int fd, const struct sockaddr_un *address)
{
    struct stat file;
    if (bind_unix(fd, address) == 0) {
        return 0;
    }
    if (errno != EADDRINUSE) {
        return -1;
    }
    if (lstat(address->sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) {
        errno = EEXIST; /* no socket: not ours to take away */
        return -1;
    }
    if (is_in_use(address)) {
        errno = EADDRINUSE;
        return -1;
    }
    return unlink(address->sun_path) == 0 ? bind_unix(fd, address) : -1;
}

static enum tg_err open_unix(struct listener *listener, const struct config_listener *config)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_to_listen(config, "socket", errno);
    }
    ev_io_set(&listener->io, fd, EV_READ);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", config->unix_path);
    int lock = lock_folder(address.sun_path);
    if (lock < 0) {
        return fail_to_listen(config, "open its folder", errno);
    }
    int bound = replace_stale_and_bind(fd, &address);
    int error = errno;
    close(lock);
    if (bound != 0) {
        return fail_to_listen(config, "bind", error);
    }
    listener->unix_path = strdup(address.sun_path);
    if (listener->unix_path == NULL || lstat(address.sun_path, &file) != 0) {
        unlink(address.sun_path);
        return fail_to_listen(config, "bind", errno);
    }
    listener->unix_dev = file.st_dev;
    listener->unix_ino = file.st_ino;
    if (listen(fd, (int)config->backlog) != 0 || chmod(address.sun_path, config->unix_mode) != 0) {
        return fail_to_listen(config, "listen", errno);
    }
    snprintf(listener->name, sizeof listener->name, "unix:%s", listener->unix_path);
    return TG_OK;
}

static bool copy_trusted(struct listener *listener, const struct config_listener *config)
{
    if (!config->proxy_protocol || config->proxy_trusted_len == 0) {
        return true;
    }
    size_t bytes = config->proxy_trusted_len * sizeof(*config->proxy_trusted);
    listener->proxy_trusted = malloc(bytes);
    if (listener->proxy_trusted == NULL) {
        return false;
    }
    memcpy(listener->proxy_trusted, config->proxy_trusted, bytes);
    listener->proxy_trusted_len = config->proxy_trusted_len;
    return true;
}

enum tg_err listener_open(const struct config_listener *config, struct listener **out)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        return fail_to_listen(config, "memory", ENOMEM);
    }
    listener->batch = 1;
    listener->reserve_fd = -1;
    listener->connections_max = config->connections;
    listener->has_proxy_header = config->proxy_protocol;
    listener->is_for_guest = config->protocol != CONFIG_PROTOCOL_MQTT;
    listener->is_local = address_is_local(config);
    ev_io_init(&listener->io, on_connections, -1, EV_READ);
    ev_set_priority(&listener->io, WORKER_PRIORITY);
    listener->io.data = listener;
    ev_timer_init(&listener->pause, on_pause_end, 0.0, 0.0);
    ev_set_priority(&listener->pause, WORKER_PRIORITY);
    listener->pause.data = listener;

    enum tg_err err = config->unix_path != NULL ? open_unix(listener, config) : open_tcp(listener, config);
    if (err == TG_OK) {
        listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (listener->reserve_fd < 0) {
            err = fail_to_listen(config, "reserve a descriptor", errno);
        } else if (!copy_trusted(listener, config)) {
            err = fail_to_listen(config, "memory", ENOMEM);
        }
    }
    if (err != TG_OK) {
        listener_free(listener);
        return err;
    }
    *out = listener;
    return TG_OK;
}

bool listener_give_to(struct listener *listener, uid_t uid, gid_t gid)
{
    return listener->unix_path == NULL || lchown(listener->unix_path, uid, gid) == 0;
}

void listener_close(struct listener *listener)
{
    struct stat file;
    if (listener->io.fd < 0) {
        return;
    }
    if (listener->worker != NULL) {
        ev_io_stop(listener->worker->loop, &listener->io);
        ev_timer_stop(listener->worker->loop, &listener->pause);
    }
    if (listener->unix_path != NULL && lstat(listener->unix_path, &file) == 0 && file.st_dev == listener->unix_dev &&
        file.st_ino == listener->unix_ino) {
        unlink(listener->unix_path); /* without the right to, it stays: the next start finds it stale */
    }
    close(listener->io.fd);
    listener->io.fd = -1;
    if (listener->reserve_fd >= 0) {
        close(listener->reserve_fd);
        listener->reserve_fd = -1;
    }
}

void listener_free(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    listener_close(listener);
    free(listener->proxy_trusted);
    free(listener->unix_path);
    free(listener);
}

uint16_t listener_port(const struct listener *listener)
{
    struct sockaddr_storage bound = {0};
    struct peer self;
    socklen_t bound_len = sizeof bound;
    bool known =
        getsockname(listener->io.fd, (struct sockaddr *)&bound, &bound_len) == 0 && peer_from_sockaddr(&self, &bound);
    return known ? self.port : 0;
}
