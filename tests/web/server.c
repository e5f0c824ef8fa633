/* A gateway with routes of its own, for what the real ones do not do at will: answers that come later, streams, large bodies.
 *
 *      server CONFIG.json      serves until SIGTERM; says "ready" on standard output when it does
 *
 * /stats tells what has become of requests that were held or streamed, so that a test can wait for it. After /store?hold=true nothing that is
 * to be kept is on disk until /store?hold=false. With SLOW_START in the environment clients wait until /recovery?end=true. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "gateway/access/access_open.h"
#include "gateway/base/container.h"
#include "gateway/base/log.h"
#include "gateway/base/rcu.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/broker.h"
#include "gateway/net/listener.h"
#include "gateway/net/worker.h"
#include "gateway/store/record_engine.h"
#include "gateway/store/store.h"
#include "web/backup.h"
#include "web/health.h"
#include "web/http.h"
#include "web/metrics.h"
#include "web/routes.h"
#include "web/topics.h"
#include "web/web.h"
#include "web/ws.h"

static _Atomic unsigned handled, gone, finished;

/* --- at once ----------------------------------------------------------------------------------------------------- */

static json_t *text_of(struct bytes text)
{
    return json_stringn(text.len > 0 ? (const char *)text.data : "", text.len);
}

/* Tell what the request looks like from here. */
static void describe(struct http_request *request)
{
    struct bytes name, value;
    json_t *params = json_array();
    for (size_t i = 0; http_query_at(request, i, &name, &value); i++) {
        json_array_append_new(params, json_pack("[o, o]", text_of(name), text_of(value)));
    }
    atomic_fetch_add(&handled, 1);
    http_reply_json(request, 200,
                    json_pack("{s:i, s:b, s:o, s:o, s:o, s:o, s:b, s:s, s:b}", "method", (int)http_method(request),
                              "head", http_is_head(request), "path", text_of(http_path(request)), "rest",
                              text_of(http_path_rest(request)), "query", params, "body", text_of(http_body(request)),
                              "has_body", http_has_body(request), "peer", http_peer(request), "secure",
                              http_is_secure(request)));
}

static void echo(struct http_request *request)
{
    struct bytes type = http_header(request, "content-type");
    struct bytes custom = http_header(request, "x-custom");
    size_t len;
    atomic_fetch_add(&handled, 1);
    if (custom.data != NULL) {
        http_add_header_f(request, "X-Custom", "%s", (const char *)custom.data);
    }
    uint8_t *body = http_take_body(request, &len);
    http_reply(request, 200, type.data != NULL ? (const char *)type.data : "application/octet-stream", body, len);
    free(body);
}

static void large(struct http_request *request)
{
    uint64_t len = 1000000;
    if (!http_query_number(request, "bytes", 0, 100000000, &len)) {
        return;
    }
    uint8_t *body = malloc(len + 1);
    if (body == NULL) {
        http_problem(request, 503, NULL);
        return;
    }
    for (uint64_t i = 0; i < len; i++) {
        body[i] = (uint8_t)('a' + i % 26);
    }
    http_reply(request, 200, "text/plain", body, len);
    free(body);
}

static void stats(struct http_request *request)
{
    http_reply_json(request, 200,
                    json_pack("{s:i, s:i, s:i}", "handled", (int)atomic_load(&handled), "gone", (int)atomic_load(&gone),
                              "finished", (int)atomic_load(&finished)));
}

/* --- a store that takes its time ------------------------------------------------------------------------------------ */

/* Durable in name alone: what is submitted is done at once, or, while it is held, later. */
static struct slow_store {
    struct store store;
    pthread_mutex_t mutex;        /* of what follows */
    struct store_operation *held; /* newest first */
    unsigned records;             /* messages that were submitted */
    unsigned puts[STORE_TABLES];
    unsigned deletes[STORE_TABLES];
    bool is_held;
} slow_store = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static enum store_admission slow_admit(struct store *store, size_t bytes)
{
    (void)store;
    (void)bytes;
    return STORE_ADMITTED;
}

/* Under the mutex. */
static void finish(struct store_operation *operation)
{
    if (operation->kind == STORE_RECORD) {
        store_record_set_done(operation->record);
    }
    atomic_store(&slow_store.store.done[operation->domain], operation->number);
    store_operation_free(operation);
}

/* Under the mutex. */
static void count(const struct store_operation *operation)
{
    slow_store.records += operation->kind == STORE_RECORD;
    for (const struct store_write *write = operation->writes; write != NULL; write = write->next) {
        (write->is_delete ? slow_store.deletes : slow_store.puts)[write->table]++;
    }
}

static void slow_submit(struct store *store, struct store_operation *list)
{
    bool any_done = false;
    pthread_mutex_lock(&slow_store.mutex);
    while (list != NULL) {
        struct store_operation *operation = list;
        list = operation->next;
        count(operation);
        if (slow_store.is_held) {
            operation->next = slow_store.held;
            slow_store.held = operation;
        } else {
            finish(operation);
            any_done = true;
        }
    }
    pthread_mutex_unlock(&slow_store.mutex);
    if (any_done && store->on_progress != NULL) {
        store->on_progress(store->on_progress_arg);
    }
}

static void slow_fetch(struct store *store, struct store_fetch *fetch)
{
    (void)store;
    for (uint32_t i = 0; i < fetch->count; i++) {
        struct store_fetched *item = &fetch->items[i];
        item->message = store_record_message(item->record);
        item->status = item->message != NULL ? STORE_FETCH_FOUND : STORE_FETCH_GONE;
    }
    fetch->done(fetch);
}

static enum tg_err slow_recover(struct store *store, const struct store_visitor *visitor)
{
    (void)store;
    (void)visitor;
    return TG_OK;
}

static void slow_figures(struct store *store, struct store_figures *out)
{
    (void)store;
    *out = (struct store_figures){.commits = 5,
                                  .operations = 50,
                                  .commit_us_sum = 1500000,
                                  .commit_us_max = 1000000,
                                  .commit_us_buckets = {[0] = 3, [2] = 1, [STORE_COMMIT_BUCKETS - 1] = 1},
                                  .used_bytes = 1000,
                                  .limit_bytes = 4000,
                                  .oldest_waiting_ms = 250};
}

/* Takes as long as the store is held. */
static enum tg_err slow_backup(struct store *store, const char *path)
{
    (void)store;
    FILE *file = fopen(path, "wxe");
    bool ok = file != NULL && fputs("copy", file) >= 0;
    if (file != NULL && fclose(file) != 0) {
        ok = false;
    }
    for (bool waits = true; waits;) {
        struct timespec pause = {.tv_nsec = 5000000};
        pthread_mutex_lock(&slow_store.mutex);
        waits = slow_store.is_held;
        pthread_mutex_unlock(&slow_store.mutex);
        nanosleep(&pause, NULL);
    }
    return ok ? TG_OK : TG_ERR_IO;
}

static void release(void)
{
    struct store_operation *list = NULL;
    pthread_mutex_lock(&slow_store.mutex);
    slow_store.is_held = false;
    while (slow_store.held != NULL) { /* oldest first */
        struct store_operation *operation = slow_store.held;
        slow_store.held = operation->next;
        operation->next = list;
        list = operation;
    }
    while (list != NULL) {
        struct store_operation *operation = list;
        list = operation->next;
        finish(operation);
    }
    pthread_mutex_unlock(&slow_store.mutex);
    if (slow_store.store.on_progress != NULL) {
        slow_store.store.on_progress(slow_store.store.on_progress_arg);
    }
}

static void slow_settle(struct store *store)
{
    (void)store;
    release();
}

static void slow_free(struct store *store)
{
    (void)store;
}

static const struct store_engine slow_engine = {
    .name = "slow",
    .admit = slow_admit,
    .submit = slow_submit,
    .fetch = slow_fetch,
    .recover = slow_recover,
    .figures = slow_figures,
    .backup = slow_backup,
    .settle = slow_settle,
    .free = slow_free,
};

static void hold_store(struct http_request *request)
{
    bool hold = false;
    if (!http_query_bool(request, "hold", &hold)) {
        return;
    }
    if (!hold) {
        release();
    }
    pthread_mutex_lock(&slow_store.mutex);
    slow_store.is_held = hold;
    json_t *answer =
        json_pack("{s:i, s:i, s:i}", "submitted", (int)slow_store.records, "keys_put",
                  (int)slow_store.puts[STORE_IDEMPOTENCY], "keys_deleted", (int)slow_store.deletes[STORE_IDEMPOTENCY]);
    pthread_mutex_unlock(&slow_store.mutex);
    http_reply_json(request, 200, answer);
}

/* --- a start that takes its time ------------------------------------------------------------------------------------- */

static struct workers *workers;
static struct web *web;

/* With "end" whoever waits is let in. */
static void tell_recovery(struct http_request *request)
{
    uint64_t done = 0, total = 0;
    bool end = false;
    if (!http_query_number(request, "done", 0, UINT32_MAX, &done) ||
        !http_query_number(request, "total", 0, UINT32_MAX, &total) || !http_query_bool(request, "end", &end)) {
        return;
    }
    web_set_recovery(web, done, total);
    if (end) {
        workers_release(workers);
        web_set_ready(web, true);
    }
    http_reply(request, 204, NULL, NULL, 0);
}

/* --- later ------------------------------------------------------------------------------------------------------- */

struct waiting {
    struct timer timer;
    struct http_request *request;
    struct timer_wheel *timers;
};

static void on_gone(void *arg)
{
    struct waiting *waiting = arg;
    timer_wheel_stop(waiting->timers, &waiting->timer);
    free(waiting);
    atomic_fetch_add(&gone, 1);
}

static void on_time(struct timer *timer)
{
    struct waiting *waiting = TG_CONTAINER_OF(timer, struct waiting, timer);
    http_reply(waiting->request, 200, "text/plain", "later\n", 6);
    atomic_fetch_add(&finished, 1);
    free(waiting);
}

static void later(struct http_request *request)
{
    uint64_t ms = 20, deadline_ms = 0;
    if (!http_query_number(request, "ms", 0, 100000, &ms) ||
        !http_query_number(request, "deadline", 1, 100000, &deadline_ms)) {
        return;
    }
    struct waiting *waiting = malloc(sizeof(*waiting));
    if (waiting == NULL) {
        http_problem(request, 503, NULL);
        return;
    }
    waiting->request = request;
    waiting->timers = http_timers(request);
    timer_init(&waiting->timer, on_time);
    timer_wheel_set(waiting->timers, &waiting->timer, http_now_ms(request) + ms);
    http_hold(request, on_gone, waiting);
    if (deadline_ms > 0) {
        http_deadline(request, deadline_ms, 504);
    }
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

struct stream {
    struct http_request *request;
    uint64_t left; /* UINT64_MAX: never ends */
    size_t at;
};

static void stream_fill(struct stream *stream)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char piece[2600];
    while (stream->left > 0) {
        size_t room = http_stream_room(stream->request);
        size_t len = room < sizeof piece ? room : sizeof piece;
        len = stream->left < len ? (size_t)stream->left : len;
        if (len == 0) {
            return;
        }
        for (size_t i = 0; i < len; i++) {
            piece[i] = letters[(stream->at + i) % 26];
        }
        stream->at = (stream->at + len) % 26;
        stream->left -= stream->left == UINT64_MAX ? 0 : len;
        if (!http_stream_write(stream->request, piece, len)) {
            return;
        }
    }
    http_stream_end(stream->request);
    atomic_fetch_add(&finished, 1);
    free(stream);
}

static void stream_writable(void *arg)
{
    stream_fill(arg);
}

static void stream_gone(void *arg)
{
    atomic_fetch_add(&gone, 1);
    free(arg);
}

static const struct http_stream_ops stream_ops = {stream_writable, stream_gone};

static void stream(struct http_request *request)
{
    uint64_t len = 100;
    bool endless = false;
    if (!http_query_number(request, "bytes", 0, UINT32_MAX, &len) || !http_query_bool(request, "endless", &endless)) {
        return;
    }
    struct stream *stream = malloc(sizeof(*stream));
    if (stream == NULL) {
        http_problem(request, 503, NULL);
        return;
    }
    *stream = (struct stream){request, endless ? UINT64_MAX : len, 0};
    if (!http_stream_begin(request, 200, "text/plain", &stream_ops, stream)) {
        free(stream);
        return;
    }
    stream_fill(stream);
}

const struct http_route web_routes[] = {
    {HTTP_GET, "/describe/*", describe, .summary = ""},
    {HTTP_POST, "/describe/*", describe, .summary = ""},
    {HTTP_PUT, "/describe/*", describe, .summary = ""},
    {HTTP_PATCH, "/describe/*", describe, .summary = ""},
    {HTTP_DELETE, "/describe/*", describe, .summary = ""},
    {HTTP_GET, "/describe/exact", describe, .summary = ""},
    {HTTP_POST, "/echo", echo, .summary = ""},
    {HTTP_PUT, "/echo", echo, .summary = ""},
    {HTTP_POST, "/small", echo, .summary = "", .body_bytes_max = 10},
    {HTTP_GET, "/large", large, .summary = ""},
    {HTTP_GET, "/later", later, .summary = ""},
    {HTTP_POST, "/later", later, .summary = ""},
    {HTTP_GET, "/stream", stream, .summary = ""},
    {HTTP_GET, "/stats", stats, .summary = "", .any_origin = true},
    {HTTP_POST, "/topics/*", topics_post, .summary = ""},
    {HTTP_POST, "/publish", publish_bulk, .summary = ""},
    {HTTP_GET, "/store", hold_store, .summary = "", .when_starting = true},
    {HTTP_GET, "/recovery", tell_recovery, .summary = "", .when_starting = true},
    {HTTP_GET, "/readyz", health_handle_ready, .summary = "", .when_starting = true},
    {HTTP_GET, "/metrics", metrics_handle, .summary = "", .when_starting = true},
    {HTTP_GET, "/api/v1/stats", metrics_handle_stats, .summary = ""},
    {HTTP_POST, "/api/v1/backup", backup_post, .summary = "", .query_is_closed = true},
    {HTTP_GET, "/mqtt", ws_handle_plain_request, .summary = ""},
};

const size_t web_route_count = sizeof web_routes / sizeof web_routes[0];

/* --- the program ------------------------------------------------------------------------------------------------- */

static const char *serve(struct config *config, const sigset_t *signals)
{
    unsigned count = config->workers > 0 ? config->workers : 1;
    workers = workers_new(count, &worker_system_clock);
    slow_store.store.engine = &slow_engine;
    slow_store.store.is_durable = true;
    struct store *store = &slow_store.store;
    struct access *access = access_open_new(true);
    struct broker *broker = NULL;
    bool starts_slowly = getenv("SLOW_START") != NULL;
    const char *problem = "memory";
    int number;
    if (workers == NULL || access == NULL) {
        goto out;
    }
    struct broker_env env = {
        .wake = workers_wake,
        .wake_arg = workers,
        .store = store,
        .access = access,
        .now_ms = worker_system_clock.monotonic_ms(),
        .wall_ms = worker_system_clock.wall_ms(),
    };
    broker = broker_new(config, count, &env);
    web = broker != NULL ? web_new(config, workers) : NULL;
    if (web == NULL || !web_set_store(web, store, config->store.backup_path)) {
        goto out;
    }
    for (size_t i = 0; i < config->listeners_len; i++) {
        struct listener *listener;
        if (listener_open(&config->listeners[i], &listener) != TG_OK) {
            problem = "listen";
            goto out;
        }
        workers_add_listener(workers, listener);
    }
    workers_set_limits(workers, &config->limits);
    if (starts_slowly) {
        workers_hold(workers);
    }
    if (workers_start(workers, broker) != TG_OK) {
        goto out;
    }
    web_set_ready(web, !starts_slowly);
    puts("ready");
    fflush(stdout);
    tg_rcu_offline();
    sigwait(signals, &number);
    tg_rcu_online();
    workers_drain(workers);
    for (int i = 0; i < 200 && !workers_are_drained(workers); i++) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
    }
    problem = workers_are_drained(workers) ? NULL : "not drained";
    workers_stop(workers);
out:
    web_free(web);
    broker_free(broker);
    workers_free(workers);
    access_free(access);
    store_free(store);
    return problem;
}

int main(int argc, char **argv)
{
    struct config_report report;
    sigset_t signals;
    config_report_init(&report);
    struct config *config = argc == 2 ? config_load_file(argv[1], &report) : NULL;
    if (config == NULL) {
        config_report_print(&report, stderr, argc == 2 ? argv[1] : "usage: server CONFIG");
        config_report_fini(&report);
        return 2;
    }
    config_report_fini(&report);
    log_configure(&config->log);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    tg_rcu_register_thread();
    const char *problem = serve(config, &signals);
    config_free(config);
    tg_rcu_barrier();
    tg_rcu_unregister_thread();
    if (problem != NULL) {
        fprintf(stderr, "server: %s\n", problem);
    }
    return problem == NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}
