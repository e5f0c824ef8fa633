/* The library's callbacks come while the loop runs. What they must not do (end another connection, say) is kept in lists and done in
 * on_turn(), when no callback is on the stack. */
#include "web/web.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/base/log.h"
#include "gateway/base/rcu.h"
#include "gateway/net/connection.h"
#include "gateway/net/listener.h"
#include "gateway/net/worker.h"
#include "web/backup.h"
#include "web/bulk.h"
#include "web/connection.h"
#include "web/event_text.h"
#include "web/http_connection.h"
#include "web/idempotency.h"
#include "web/request_stats.h"
#include "web/rpc.h"
#include "web/static_files.h"
#include "web/ws.h"

#define DESCRIPTORS_DEFAULT 65536u
#define DESCRIPTORS_MIN     64u
#define LINGER_MS           2000u /* for the peer to read the last answer */
#define LINGERING_MAX       1024u /* of one worker; more are closed at once */
#define KILL_AGAIN_MS       1000u
#define TICK_S              1.0
#define MS_PER_S            1000.0
#define WS_RX_BYTES         608u /* each WebSocket keeps a buffer of this size: calls per frame against memory while idle */

struct web {
    struct workers *workers;
    struct worker_guest guest;
    _Atomic(struct web_settings *) settings; /* replaced by the main thread, read under RCU */
    struct store *store;                     /* immutable once workers run; NULL: not known */
    struct backup *backup;                   /* the same; NULL: none can be made */
    atomic_bool is_ready;
    atomic_bool has_started;         /* it was ready once */
    _Atomic uint64_t recovery_done;  /* entries of the store that were read */
    _Atomic uint64_t recovery_total; /* 0: not known */
    size_t descriptors;
    uint8_t secret[HTTP_SECRET_BYTES]; /* immutable */
    uint64_t fingerprint;              /* of http.directory at the last look; owner: main thread */
    bool cannot_refresh;               /* what was there then cannot be served; owner: main thread */
    unsigned count;                    /* of workers that are initialised */
    struct web_worker *worker;         /* array */
};

/* Of a connection that waits for its peer to have read the last answer. */
struct web_linger {
    ev_io io;
    struct web_connection *connection;
};

/* --- settings ---------------------------------------------------------------------------------------------------- */

static void settings_free(struct web_settings *settings)
{
    if (settings != NULL) {
        static_files_free(settings->files);
        config_free(settings->config);
        free(settings->host_name);
        free(settings->host_domain);
        free(settings);
    }
}

static void settings_reclaim(struct tg_rcu_head *head)
{
    settings_free(TG_CONTAINER_OF(head, struct web_settings, rcu));
}

static char *lower_copy(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; c != NULL && *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return copy;
}

/* The domain that the host name has (OF_HOST_NAME) or else the resolver searches first. There a single word is passed over: machines do not
 * stand in "com", and those that stand in "lan" are known anyhow. @return owned; NULL without memory */
static char *own_domain(const char *of_host_name)
{
    struct __res_state resolver = {0};
    if (of_host_name[0] != '\0') {
        return lower_copy(of_host_name);
    }
    if (res_ninit(&resolver) != 0) {
        return strdup("");
    }
    const char *first = resolver.dnsrch[0];
    char *domain = lower_copy(first != NULL && strchr(first, '.') != NULL ? first : "");
    res_nclose(&resolver);
    return domain;
}

/* Find out what this machine is called. @return false without memory */
static bool learn_own_name(struct web_settings *settings)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0) {
        name[0] = '\0';
    }
    size_t len = strcspn(name, ".");
    settings->host_domain = own_domain(name[len] == '.' ? name + len + 1 : "");
    name[len] = '\0';
    settings->host_name = lower_copy(name);
    return settings->host_name != NULL && settings->host_domain != NULL;
}

/* @return owned; NULL: why has been logged */
static struct web_settings *settings_new(const struct config *config)
{
    struct web_settings *settings = calloc(1, sizeof(*settings));
    if (settings == NULL) {
        log_error("cannot serve HTTP", LOG_STR("reason", "out of memory"));
        return NULL;
    }
    settings->config = config_copy(config);
    if (settings->config == NULL || !learn_own_name(settings)) {
        log_error("cannot serve HTTP", LOG_STR("reason", "out of memory"));
        settings_free(settings);
        return NULL;
    }
    if (config->http.directory != NULL) {
        settings->files = static_files_load(config->http.directory);
        if (settings->files == NULL) {
            settings_free(settings);
            return NULL;
        }
    }
    return settings;
}

const struct web_settings *web_settings(const struct web_worker *owner)
{
    return atomic_load_explicit(&owner->web->settings, memory_order_acquire);
}

static void settings_replace(struct web *web, struct web_settings *settings)
{
    struct web_settings *old = atomic_exchange_explicit(&web->settings, settings, memory_order_acq_rel);
    tg_rcu_call(&old->rcu, settings_reclaim);
}

/* A folder is read when it has looked the same twice, so that half of a copy is not served for long. */
void web_refresh(struct web *web)
{
    const struct web_settings *settings = atomic_load_explicit(&web->settings, memory_order_acquire);
    if (settings->files == NULL) {
        return;
    }
    uint64_t now = static_files_fingerprint(settings->config->http.directory);
    if (now != web->fingerprint) {
        web->cannot_refresh = false;
    } else if (now != static_files_fingerprint_of(settings->files) && !web->cannot_refresh) {
        struct web_settings *fresh = settings_new(settings->config);
        web->cannot_refresh = fresh == NULL; /* why has been logged, and stays so until something changes */
        if (fresh != NULL) {
            settings_replace(web, fresh);
        }
    }
    web->fingerprint = now;
}

bool web_reload(struct web *web, const struct config *config)
{
    struct web_settings *settings = settings_new(config);
    if (settings == NULL) {
        return false;
    }
    settings_replace(web, settings);
    return true;
}

void web_set_ready(struct web *web, bool is_ready)
{
    if (is_ready) {
        atomic_store_explicit(&web->has_started, true, memory_order_release);
    }
    atomic_store_explicit(&web->is_ready, is_ready, memory_order_relaxed);
}

bool web_set_store(struct web *web, struct store *store, const char *backups)
{
    web->store = store;
    web->backup = backups != NULL ? backup_new(store, backups) : NULL;
    return backups == NULL || web->backup != NULL;
}

struct store *web_store(const struct web_worker *owner)
{
    return owner->web->store;
}

struct backup *web_backup(const struct web_worker *owner)
{
    return owner->web->backup;
}

enum broker_answer web_restore_answer(void *web, struct bytes key, struct bytes value)
{
    const struct worker_clock *clock = &((struct web *)web)->workers->clock;
    return idempotency_restore(key, value, clock->monotonic_ms(), clock->wall_ms());
}

void web_set_recovery(struct web *web, uint64_t done, uint64_t total)
{
    atomic_store_explicit(&web->recovery_done, done, memory_order_relaxed);
    atomic_store_explicit(&web->recovery_total, total, memory_order_relaxed);
}

bool web_is_starting(const struct web_worker *owner)
{
    return !atomic_load_explicit(&owner->web->has_started, memory_order_acquire);
}

void web_recovery(const struct web_worker *owner, uint64_t *done, uint64_t *total)
{
    *done = atomic_load_explicit(&owner->web->recovery_done, memory_order_relaxed);
    *total = atomic_load_explicit(&owner->web->recovery_total, memory_order_relaxed);
}

const uint8_t *web_secret(const struct web_worker *owner)
{
    return owner->web->secret;
}

bool web_is_ready(const struct web_worker *owner)
{
    return atomic_load_explicit(&owner->web->is_ready, memory_order_relaxed) && !owner->is_draining;
}

const struct request_stats *web_request_stats(const struct web_worker *owner, unsigned index)
{
    return owner->web->worker[index].requests;
}

uint64_t web_now_ms(const struct web_worker *owner)
{
    return owner->worker->now_ms;
}

/* --- timers ------------------------------------------------------------------------------------------------------ */

static void on_alarm(struct ev_loop *loop, ev_timer *alarm, int events)
{
    struct web_worker *owner = alarm->data;
    (void)loop;
    (void)events;
    owner->alarm_ms = UINT64_MAX;
    timer_wheel_advance(owner->timers, web_now_ms(owner));
}

/* The loop is about to wait: let it wake up for the next timer. */
static void on_prepare(struct ev_loop *loop, ev_prepare *prepare, int events)
{
    struct web_worker *owner = prepare->data;
    uint64_t due_ms = timer_wheel_next_ms(owner->timers);
    (void)events;
    if (due_ms == owner->alarm_ms) {
        return;
    }
    owner->alarm_ms = due_ms;
    ev_timer_stop(loop, &owner->alarm);
    if (due_ms != UINT64_MAX) {
        uint64_t now_ms = web_now_ms(owner);
        ev_timer_set(&owner->alarm, due_ms > now_ms ? (double)(due_ms - now_ms) / MS_PER_S : 0.0, 0.0);
        ev_timer_start(loop, &owner->alarm);
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *tick, int events)
{
    struct web_worker *owner = tick->data;
    (void)loop;
    (void)events;
    lws_guard_tick(&owner->guard);
    http_look_for_departed(owner);
}

void web_connection_set_timer(struct web_connection *connection, uint64_t ms)
{
    timer_wheel_set(connection->owner->timers, &connection->timer, web_now_ms(connection->owner) + ms);
}

void web_connection_stop_timer(struct web_connection *connection)
{
    timer_wheel_stop(connection->owner->timers, &connection->timer);
}

/* --- lingering --------------------------------------------------------------------------------------------------- */

static void linger_stop(struct web_connection *connection)
{
    struct web_worker *owner = connection->owner;
    if (connection->linger != NULL) {
        ev_io_stop(owner->worker->loop, &connection->linger->io);
        free(connection->linger);
        connection->linger = NULL;
        owner->lingering--;
    }
}

/* What the peer still sends is of no interest, but must be taken: unread input makes a close a reset. */
static void on_linger_input(struct ev_loop *loop, ev_io *io, int events)
{
    struct web_linger *linger = (struct web_linger *)io; /* its first member */
    struct worker *worker = linger->connection->owner->worker;
    (void)loop;
    (void)events;
    ssize_t len = recv(io->fd, worker->buffer, WORKER_BUFFER_BYTES, MSG_DONTWAIT);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
        web_connection_kill(linger->connection);
    }
}

/* Say goodbye to the peer, and let the library neither read nor close. @return false if that is not possible */
static bool linger_start(struct web_connection *connection)
{
    struct web_worker *owner = connection->owner;
    int fd = lws_get_socket_fd(connection->wsi);
    struct web_linger *linger = owner->lingering < LINGERING_MAX ? malloc(sizeof(*linger)) : NULL;
    connection->wants_linger = false;
    if (linger == NULL || shutdown(fd, SHUT_WR) != 0) {
        free(linger);
        return false;
    }
    lws_guard_read(connection->wsi, false);
    lws_guard_forget(connection->fd, &connection->check);
    linger->connection = connection;
    ev_io_init(&linger->io, on_linger_input, fd, EV_READ);
    ev_set_priority(&linger->io, WORKER_PRIORITY);
    ev_io_start(owner->worker->loop, &linger->io);
    connection->linger = linger;
    connection->state = WEB_CLOSING;
    owner->lingering++;
    web_connection_set_timer(connection, LINGER_MS);
    return true;
}

void web_connection_close(struct web_connection *connection)
{
    if (!connection->wants_linger || !linger_start(connection)) {
        web_connection_kill(connection);
    }
}

/* --- connections ------------------------------------------------------------------------------------------------- */

void web_connection_describe(const struct web_connection *connection, char *buf, size_t cap)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct in6_addr address;
    memcpy(&address, connection->address, sizeof address);
    if (connection->forwarded != NULL) {
        snprintf(buf, cap, "%s", connection->forwarded);
    } else if (!connection->has_address) {
        snprintf(buf, cap, "%s", connection->listener->name);
    } else if (IN6_IS_ADDR_V4MAPPED(&address)) {
        inet_ntop(AF_INET, &address.s6_addr[12], text, sizeof text);
        snprintf(buf, cap, "%s:%u", text, (unsigned)connection->port);
    } else {
        inet_ntop(AF_INET6, &address, text, sizeof text);
        snprintf(buf, cap, "[%s]:%u", text, (unsigned)connection->port);
    }
}

void web_connection_kill(struct web_connection *connection)
{
    struct web_worker *owner = connection->owner;
    if (!connection->is_doomed) {
        connection->is_doomed = true;
        TAILQ_REMOVE(&owner->connections, connection, link);
        TAILQ_INSERT_TAIL(&owner->doomed, connection, link);
    }
}

/* No callback of the library is on the stack. */
static void kill_now(struct web_connection *connection)
{
    struct web_worker *owner = connection->owner;
    TAILQ_REMOVE(&owner->doomed, connection, link);
    TAILQ_INSERT_TAIL(&owner->connections, connection, link);
    connection->is_doomed = false;
    connection->wants_linger = false;
    connection->state = WEB_CLOSING;
    linger_stop(connection);
    http_stop_output(connection);
    web_connection_set_timer(connection, KILL_AGAIN_MS);
    if (lws_guard_is_blocked(connection->wsi)) {
        /* The library would wait for the socket to take what is left: let it fail. */
        shutdown(lws_get_socket_fd(connection->wsi), SHUT_RDWR);
    }
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void on_timeout(struct timer *timer)
{
    struct web_connection *connection = TG_CONTAINER_OF(timer, struct web_connection, timer);
    if (connection->state == WEB_WEBSOCKET) {
        ws_on_timeout(connection);
    } else if (connection->state == WEB_CLOSING) {
        web_connection_kill(connection);
    } else {
        http_on_timeout(connection);
    }
}

/* Free what is ours of CONNECTION, whose library part is being destroyed, or was never made. */
static void connection_free(struct web_connection *connection)
{
    struct web_worker *owner = connection->owner;
    if (owner->adopting == connection) {
        owner->adopting = NULL;
    }
    timer_wheel_stop(owner->timers, &connection->timer);
    http_on_gone(connection);
    ws_on_gone(connection);
    TAILQ_REMOVE(connection->is_doomed ? &owner->doomed : &owner->connections, connection, link);
    linger_stop(connection);
    lws_guard_forget(connection->fd, &connection->check);
    connection_count_out(owner->worker, connection->listener);
    free(connection->forwarded);
    free(connection);
    if (TAILQ_EMPTY(&owner->connections) && TAILQ_EMPTY(&owner->doomed)) {
        ev_timer_stop(owner->worker->loop, &owner->tick);
    }
}

/* The one callback of all protocols. */
static int on_library(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct web_connection *connection = lws_get_opaque_user_data(wsi);
    int result = 0;
    (void)user;
    if (connection == NULL) {
        return 0; /* of the context, not of a connection of ours */
    }
    if (reason == LWS_CALLBACK_WSI_CREATE || reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED) {
        return 0;
    }
    if (reason == LWS_CALLBACK_WSI_DESTROY) {
        connection->wsi = NULL;
        lws_set_opaque_user_data(wsi, NULL);
        connection_free(connection);
        return 0;
    }
    bool was_in_callback = connection->in_callback;
    connection->in_callback = true;
    if (connection->state == WEB_WEBSOCKET) {
        result = ws_on_library(connection, reason, in, len);
    } else {
        result = http_on_library(connection, reason, in, len);
    }
    connection->in_callback = was_in_callback;
    return result;
}

static void on_refusal(struct lws *wsi, unsigned status, const char *detail)
{
    struct web_connection *connection = lws_get_opaque_user_data(wsi);
    if (connection == NULL || connection->wsi == NULL) {
        return;
    }
    if (connection->state == WEB_WEBSOCKET) {
        ws_refuse(connection, detail);
    } else {
        http_refuse(connection, status, detail);
    }
}

/* The library wants to close a connection. @return true if it must not yet */
static bool on_close(struct lws *wsi)
{
    struct web_connection *connection = lws_get_opaque_user_data(wsi);
    return connection != NULL && connection->wsi != NULL &&
           (connection->linger != NULL || (connection->wants_linger && linger_start(connection)));
}

static void adopt(void *arg, struct worker *worker, int fd, struct listener *listener, const uint8_t *address,
                  uint16_t port)
{
    struct web *web = arg;
    struct web_worker *owner = &web->worker[worker->index];
    struct web_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL || owner->is_draining) {
        free(connection);
        close(fd);
        connection_count_out(worker, listener);
        return;
    }
    connection->owner = owner;
    connection->listener = listener;
    connection->fd = fd;
    if (address != NULL) {
        memcpy(connection->address, address, sizeof connection->address);
        connection->port = port;
        connection->has_address = true;
    }
    timer_init(&connection->timer, on_timeout);
    TAILQ_INSERT_TAIL(&owner->connections, connection, link);
    if (!ev_is_active(&owner->tick)) {
        ev_timer_again(worker->loop, &owner->tick);
    }
    web_connection_set_timer(connection, web_settings(owner)->config->http.head_timeout_ms);

    /* On failure the library destroys what it has made, and with it CONNECTION, or has made nothing at all. */
    owner->adopting = connection;
    struct lws *wsi = lws_guard_adopt(&owner->guard, fd, &connection->check, connection);
    bool was_freed = owner->adopting == NULL;
    owner->adopting = NULL;
    if (wsi != NULL) {
        connection->wsi = wsi;
    } else if (!was_freed) {
        connection_free(connection);
    }
}

/* --- the guest of the workers ------------------------------------------------------------------------------------ */

static bool on_turn(void *arg, struct worker *worker)
{
    struct web *web = arg;
    struct web_worker *owner = &web->worker[worker->index];
    struct web_connection *connection;
    bool any = lws_guard_serve(&owner->guard);
    while ((connection = TAILQ_FIRST(&owner->doomed)) != NULL) {
        kill_now(connection);
        any = true;
    }
    return any;
}

static void drain(void *arg, struct worker *worker)
{
    struct web *web = arg;
    struct web_worker *owner = &web->worker[worker->index];
    struct web_connection *connection, *next;
    owner->is_draining = true;
    for (connection = TAILQ_FIRST(&owner->connections); connection != NULL; connection = next) {
        next = TAILQ_NEXT(connection, link);
        if (connection->state != WEB_WEBSOCKET) { /* those are told by the core */
            http_on_drain(connection);
        }
    }
}

static void stop(void *arg, struct worker *worker)
{
    struct web *web = arg;
    struct web_worker *owner = &web->worker[worker->index];
    struct web_connection *connection, *next;
    owner->is_draining = true;
    for (connection = TAILQ_FIRST(&owner->connections); connection != NULL; connection = next) {
        next = TAILQ_NEXT(connection, link);
        web_connection_kill(connection);
    }
    on_turn(arg, worker);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

/* The first name is no word, so that no client can ask for it as a sub-protocol. */
static const struct lws_protocols protocols[] = {
    {.name = "(http)", .callback = on_library, .tx_packet_size = LWS_GUARD_WRITE_BYTES_MAX},
    {.name = "mqtt",
     .callback = on_library,
     .rx_buffer_size = WS_RX_BYTES,
     .tx_packet_size = LWS_GUARD_WRITE_BYTES_MAX},
    {.name = "mqttv3.1",
     .callback = on_library,
     .rx_buffer_size = WS_RX_BYTES,
     .tx_packet_size = LWS_GUARD_WRITE_BYTES_MAX},
    {.name = NULL},
};

static void worker_fini(struct web_worker *owner)
{
    struct web_connection *connection;
    TAILQ_FOREACH(connection, &owner->connections, link)
    {
        linger_stop(connection);
        http_stop_output(connection);
    }
    if (owner->guard.context != NULL) {
        ev_timer_stop(owner->worker->loop, &owner->tick);
        ev_timer_stop(owner->worker->loop, &owner->alarm);
        ev_prepare_stop(owner->worker->loop, &owner->prepare);
        lws_guard_fini(&owner->guard);
    }
    bulks_free(owner->parts.bulks);
    rpc_free(owner->parts.rpc);
    event_text_free(owner->parts.event_text);
    timer_wheel_free(owner->timers);
    free(owner->requests);
    free(owner->scratch);
}

static bool worker_init(struct web_worker *owner, struct web *web, struct worker *worker)
{
    owner->web = web;
    owner->worker = worker;
    owner->alarm_ms = UINT64_MAX;
    TAILQ_INIT(&owner->connections);
    TAILQ_INIT(&owner->doomed);
    TAILQ_INIT(&owner->waiting);
    owner->scratch = malloc(WEB_SCRATCH_BYTES);
    owner->timers = timer_wheel_new(web->workers->clock.monotonic_ms());
    owner->requests = request_stats_new(web->workers->clock.wall_ms());
    if (owner->scratch == NULL || owner->timers == NULL || owner->requests == NULL) {
        return false;
    }
    if (!lws_guard_init(&owner->guard, worker->loop, protocols, web->descriptors)) {
        return false;
    }
    ev_timer_init(&owner->alarm, on_alarm, 0.0, 0.0);
    ev_set_priority(&owner->alarm, WORKER_PRIORITY);
    owner->alarm.data = owner;
    ev_timer_init(&owner->tick, on_tick, 0.0, TICK_S);
    ev_set_priority(&owner->tick, WORKER_PRIORITY);
    owner->tick.data = owner;
    ev_prepare_init(&owner->prepare, on_prepare);
    ev_set_priority(&owner->prepare, WORKER_PRIORITY);
    owner->prepare.data = owner;
    ev_prepare_start(worker->loop, &owner->prepare);
    return true;
}

/* How many descriptors to keep for the library. */
static size_t choose_descriptors(const struct config *config)
{
    struct rlimit limit;
    size_t wanted = config->limits.web_connections;
    size_t possible = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (size_t)limit.rlim_cur : DESCRIPTORS_MIN;
    if (wanted == 0) {
        wanted = possible / 2 < DESCRIPTORS_DEFAULT ? possible / 2 : DESCRIPTORS_DEFAULT;
    }
    if (wanted > possible) {
        log_warning("fewer HTTP connections than configured", LOG_STR("path", "limits.web_connections"),
                    LOG_UNUM("descriptors", possible));
        wanted = possible;
    }
    return wanted < DESCRIPTORS_MIN ? DESCRIPTORS_MIN : wanted;
}

struct web *web_new(const struct config *config, struct workers *workers)
{
    struct web_settings *settings = settings_new(config);
    if (settings == NULL) {
        return NULL;
    }
    struct web *web = calloc(1, sizeof(*web));
    if (web == NULL) {
        settings_free(settings);
        goto fail;
    }
    web->workers = workers;
    web->guest = (struct worker_guest){web, adopt, on_turn, drain, stop};
    web->descriptors = choose_descriptors(config);
    web->worker = calloc(workers->count, sizeof(*web->worker));
    atomic_init(&web->settings, settings);
    if (web->worker == NULL || getrandom(web->secret, sizeof(web->secret), 0) != (ssize_t)sizeof(web->secret)) {
        goto fail;
    }
    if (!lws_guard_open(on_refusal, on_close, web->descriptors)) {
        goto fail;
    }
    for (unsigned i = 0; i < workers->count; i++) {
        web->count++;
        if (!worker_init(&web->worker[i], web, &workers->worker[i])) {
            goto fail;
        }
    }
    workers_set_guest(workers, &web->guest, (int)web->descriptors);
    return web;
fail:
    log_error("cannot serve HTTP",
              LOG_STR("reason", "no memory, no descriptors, or no libwebsockets-evlib-ev installed"));
    web_free(web);
    return NULL;
}

void web_free(struct web *web)
{
    if (web == NULL) {
        return;
    }
    for (unsigned i = 0; i < web->count; i++) {
        worker_fini(&web->worker[i]);
    }
    backup_free(web->backup);
    lws_guard_close();
    workers_set_guest(web->workers, NULL, 0);
    settings_free(atomic_load(&web->settings));
    free(web->worker);
    free(web);
}

size_t web_descriptors(const struct web *web)
{
    return web->descriptors;
}
