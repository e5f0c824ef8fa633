/* Names follow the conventions of Prometheus: base units, _total for what only grows; all of our own begin with "tidegate_". */
#include "web/metrics.h"

#include <inttypes.h>
#include <stdlib.h>

#include "gateway/broker/broker.h"
#include "gateway/net/worker.h"
#include "gateway/store/store.h"
#include "web/admin.h"
#include "web/buffer.h"
#include "web/figures.h"
#include "web/http.h"
#include "web/http_status.h"
#include "web/request_stats.h"

#define PREFIX       "tidegate_"
#define NS_PER_S     1000000000u
#define MS_PER_S     1000u
#define NS_PER_US    1000u
#define NS_PER_MS    1000000u
#define US_PER_S     1000000u
#define SECONDS      "%" PRIu64 ".%09" PRIu64
#define SPLIT_NS(ns) (uint64_t)(ns) / NS_PER_S, (uint64_t)(ns) % NS_PER_S

/* Of all buckets but the last. */
static uint64_t commit_bound_us(unsigned bucket)
{
    return (uint64_t)STORE_COMMIT_BUCKET_US << bucket;
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void begin_family(struct buffer *page, const char *name, const char *type, const char *help)
{
    buffer_add_f(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static void add_figure(struct buffer *page, const struct figures *figures, size_t index)
{
    const struct figure *row = &figure_rows[index];
    if (figure_begins_family(index)) {
        buffer_add_f(page, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", row->family, row->help, row->family,
                     row->is_counter ? "counter" : "gauge");
    }
    buffer_add_f(page, PREFIX "%s", row->family);
    for (size_t i = 0; i < FIGURE_LABELS && row->labels[i] != NULL; i++) {
        buffer_add_f(page, "%c%s=\"%s\"", i == 0 ? '{' : ',', row->labels[i], row->values[i]);
    }
    buffer_add_f(page, "%s %" PRIu64 "\n", row->labels[0] != NULL ? "}" : "", figure_value(figures, row));
}

static void add_figures(struct buffer *page, const struct figures *figures)
{
    for (size_t i = 0; i < figure_count; i++) {
        add_figure(page, figures, i);
    }
}

/* --- the store ---------------------------------------------------------------------------------------------------- */

static void add_commits(struct buffer *page, const struct store_figures *store)
{
    static const char name[] = PREFIX "store_commit_duration_seconds";
    uint64_t count = 0;
    begin_family(page, name, "histogram", "From the beginning of a transaction until it is on disk.");
    for (unsigned i = 0; i + 1 < STORE_COMMIT_BUCKETS; i++) {
        count += store->commit_us_buckets[i];
        buffer_add_f(page, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)commit_bound_us(i) / US_PER_S, count);
    }
    count += store->commit_us_buckets[STORE_COMMIT_BUCKETS - 1];
    buffer_add_f(page, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    buffer_add_f(page, "%s_sum " SECONDS "\n%s_count %" PRIu64 "\n", name, SPLIT_NS(store->commit_us_sum * NS_PER_US),
                 name, count);
}

static const char *engine_name(const struct http_request *request)
{
    const struct store *store = http_store(request);
    return store != NULL ? store->engine->name : "none";
}

static void add_store(struct buffer *page, const struct http_request *request, const struct store_figures *store)
{
    begin_family(page, PREFIX "store_info", "gauge", "Always 1; the label tells what keeps messages.");
    buffer_add_f(page, PREFIX "store_info{engine=\"%s\"} 1\n", engine_name(request));
    add_commits(page, store);
    begin_family(page, PREFIX "store_slowest_commit_seconds", "gauge",
                 "The longest commit since this was asked for last.");
    buffer_add_f(page, PREFIX "store_slowest_commit_seconds " SECONDS "\n", SPLIT_NS(store->commit_us_max * NS_PER_US));
    begin_family(page, PREFIX "store_oldest_waiting_seconds", "gauge", "Age of the oldest of what is not on disk yet.");
    buffer_add_f(page, PREFIX "store_oldest_waiting_seconds " SECONDS "\n",
                 SPLIT_NS(store->oldest_waiting_ms * NS_PER_MS));
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static void add_turns(struct buffer *page, const struct worker *worker)
{
    static const char name[] = PREFIX "worker_turn_duration_seconds";
    uint64_t count = 0;
    for (size_t i = 0; i < WORKER_TURN_BOUNDS; i++) {
        count += load(&worker->durations.counts[i]);
        buffer_add_f(page, "%s_bucket{worker=\"%u\",le=\"%g\"} %" PRIu64 "\n", name, worker->index,
                     (double)worker_turn_bounds_ns[i] / NS_PER_S, count);
    }
    count += load(&worker->durations.counts[WORKER_TURN_BOUNDS]);
    buffer_add_f(page, "%s_bucket{worker=\"%u\",le=\"+Inf\"} %" PRIu64 "\n", name, worker->index, count);
    buffer_add_f(page, "%s_sum{worker=\"%u\"} " SECONDS "\n", name, worker->index,
                 SPLIT_NS(load(&worker->durations.busy_ns)));
    buffer_add_f(page, "%s_count{worker=\"%u\"} %" PRIu64 "\n", name, worker->index, count);
}

static void add_workers(struct buffer *page, const struct workers *workers)
{
    begin_family(page, PREFIX "worker_connections", "gauge", "Sockets of clients, by worker; HTTP included.");
    for (unsigned i = 0; i < workers->count; i++) {
        buffer_add_f(page, PREFIX "worker_connections{worker=\"%u\"} %u\n", i,
                     atomic_load_explicit(&workers->worker[i].connections, memory_order_relaxed));
    }
    begin_family(page, PREFIX "worker_mailbox_bytes", "gauge",
                 "Bytes of messages on their way from other workers, by worker.");
    for (unsigned i = 0; i < workers->count; i++) {
        buffer_add_f(page, PREFIX "worker_mailbox_bytes{worker=\"%u\"} %zu\n", i,
                     broker_mailbox_bytes(workers->broker, i));
    }
    begin_family(page, PREFIX "worker_turn_duration_seconds", "histogram",
                 "Turns of the workers' loops: what an event that comes meanwhile waits at most.");
    for (unsigned i = 0; i < workers->count; i++) {
        add_turns(page, &workers->worker[i]);
    }
}

/* --- HTTP --------------------------------------------------------------------------------------------------------- */

/* One row of the counters of requests, added up over the workers. */
struct request_sum {
    uint64_t statuses[REQUEST_STATS_STATUSES];
    uint64_t durations[REQUEST_STATS_BOUNDS + 1];
    uint64_t duration_ns;
    uint64_t count;
};

static void sum_row(const struct http_request *request, size_t row, struct request_sum *sum)
{
    *sum = (struct request_sum){0};
    for (unsigned w = 0; w < http_worker(request)->workers->count; w++) {
        const struct request_row *from = &http_request_stats(request, w)->rows[row];
        for (size_t i = 0; i < REQUEST_STATS_STATUSES; i++) {
            sum->statuses[i] += load(&from->statuses[i]);
        }
        for (size_t i = 0; i <= REQUEST_STATS_BOUNDS; i++) {
            sum->durations[i] += load(&from->durations[i]);
        }
        sum->duration_ns += load(&from->duration_ns);
    }
    for (size_t i = 0; i <= REQUEST_STATS_BOUNDS; i++) {
        sum->count += sum->durations[i];
    }
}

static void add_statuses(struct buffer *page, size_t row, const struct request_sum *sum)
{
    for (unsigned i = 0; i < REQUEST_STATS_STATUSES; i++) {
        if (sum->statuses[i] > 0) {
            buffer_add_f(page, PREFIX "http_requests_total{method=\"%s\",route=\"%s\",status=\"%u\"} %" PRIu64 "\n",
                         request_stats_method(row), request_stats_route(row), http_status_at(i), sum->statuses[i]);
        }
    }
}

static void add_durations(struct buffer *page, size_t row, const struct request_sum *sum)
{
    static const char name[] = PREFIX "http_request_duration_seconds";
    const char *method = request_stats_method(row);
    const char *route = request_stats_route(row);
    uint64_t count = 0;
    for (size_t i = 0; i < REQUEST_STATS_BOUNDS; i++) {
        count += sum->durations[i];
        buffer_add_f(page, "%s_bucket{method=\"%s\",route=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, method, route,
                     (double)request_stats_bounds_ns[i] / NS_PER_S, count);
    }
    buffer_add_f(page, "%s_bucket{method=\"%s\",route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, method, route,
                 sum->count);
    buffer_add_f(page, "%s_sum{method=\"%s\",route=\"%s\"} " SECONDS "\n", name, method, route,
                 SPLIT_NS(sum->duration_ns));
    buffer_add_f(page, "%s_count{method=\"%s\",route=\"%s\"} %" PRIu64 "\n", name, method, route, sum->count);
}

static void add_requests(struct buffer *page, const struct http_request *request)
{
    struct request_sum sum;
    size_t rows = http_request_stats(request, 0)->row_count;
    begin_family(page, PREFIX "http_requests_total", "counter", "Answers to HTTP requests.");
    for (size_t row = 0; row < rows; row++) {
        sum_row(request, row, &sum);
        add_statuses(page, row, &sum);
    }
    begin_family(page, PREFIX "http_request_duration_seconds", "histogram",
                 "From a complete HTTP request to the beginning of its answer.");
    for (size_t row = 0; row < rows; row++) {
        sum_row(request, row, &sum);
        if (sum.count > 0) {
            add_durations(page, row, &sum);
        }
    }
}

/* --- the process --------------------------------------------------------------------------------------------------- */

static void add_process(struct buffer *page, const struct http_request *request)
{
    struct process_figures process;
    uint64_t since_ms = http_request_stats(request, 0)->since_ms;
    process_figures_read(&process);
    begin_family(page, PREFIX "build_info", "gauge", "Always 1; the labels tell the version.");
    buffer_add_f(page, PREFIX "build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
    begin_family(page, "process_start_time_seconds", "gauge", "When the process started, since the epoch.");
    buffer_add_f(page, "process_start_time_seconds %" PRIu64 ".%03" PRIu64 "\n", since_ms / MS_PER_S,
                 since_ms % MS_PER_S);
    begin_family(page, "process_cpu_seconds_total", "counter", "Processor time used.");
    buffer_add_f(page, "process_cpu_seconds_total " SECONDS "\n", SPLIT_NS(process.cpu_ns));
    begin_family(page, "process_resident_memory_bytes", "gauge", "Memory in use, as the kernel counts it.");
    buffer_add_f(page, "process_resident_memory_bytes %" PRIu64 "\n", process.resident_bytes);
    begin_family(page, "process_virtual_memory_bytes", "gauge", "Address space in use.");
    buffer_add_f(page, "process_virtual_memory_bytes %" PRIu64 "\n", process.virtual_bytes);
    begin_family(page, "process_max_fds", "gauge", "File descriptors that the process may open.");
    buffer_add_f(page, "process_max_fds %" PRIu64 "\n", process.descriptors_max);
}

void metrics_handle(struct http_request *request)
{
    struct buffer page = {0};
    struct figures figures;
    const struct workers *workers = http_worker(request)->workers;
    if (!admin_is_allowed(request)) {
        return;
    }
    add_process(&page, request);
    figures_read(workers->broker, http_store(request), &figures);
    add_figures(&page, &figures);
    add_store(&page, request, &figures.store);
    add_workers(&page, workers);
    add_requests(&page, request);
    http_add_header(request, "Cache-Control", "no-store");
    if (page.has_failed) {
        http_problem(request, 503, "out of memory");
    } else {
        http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", page.at, page.len);
    }
    buffer_fini(&page);
}

/* --- as JSON ------------------------------------------------------------------------------------------------------- */

/* Member NAME of OBJECT, an object that is made if it is not there. Returns borrowed; NULL without memory. */
static json_t *member(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (value == NULL && json_object_set_new(object, name, json_object()) == 0) {
        value = json_object_get(object, name);
    }
    return value;
}

/* {"messages_total":{"received":{"0":17,...},...},...}: a level for each label. */
static bool put_figures(json_t *root, const struct figures *figures)
{
    for (size_t i = 0; i < figure_count; i++) {
        const struct figure *row = &figure_rows[i];
        const char *names[FIGURE_LABELS + 1] = {row->family};
        size_t depth = 1;
        for (; depth <= FIGURE_LABELS && row->labels[depth - 1] != NULL; depth++) {
            names[depth] = row->values[depth - 1];
        }
        json_t *object = root;
        for (size_t level = 0; level + 1 < depth && object != NULL; level++) {
            object = member(object, names[level]);
        }
        if (object == NULL ||
            json_object_set_new(object, names[depth - 1], json_integer((json_int_t)figure_value(figures, row))) != 0) {
            return false;
        }
    }
    return true;
}

static bool put_store(json_t *root, const struct http_request *request, const struct store_figures *store)
{
    json_t *buckets = json_array();
    bool ok = buckets != NULL;
    for (unsigned i = 0; i < STORE_COMMIT_BUCKETS && ok; i++) {
        json_t *at_most = i + 1 < STORE_COMMIT_BUCKETS ? json_integer((json_int_t)commit_bound_us(i)) : json_null();
        ok = json_array_append_new(buckets, json_pack("{s:o, s:I}", "at_most_us", at_most, "commits",
                                                      (json_int_t)store->commit_us_buckets[i])) == 0;
    }
    ok = json_object_set_new(root, "store_commit_durations", buckets) == 0 && ok;
    ok =
        json_object_set_new(root, "store_slowest_commit_us", json_integer((json_int_t)store->commit_us_max)) == 0 &&
        json_object_set_new(root, "store_oldest_waiting_ms", json_integer((json_int_t)store->oldest_waiting_ms)) == 0 &&
        ok;
    return json_object_set_new(root, "store_commit_seconds_total",
                               json_real((double)store->commit_us_sum / US_PER_S)) == 0 &&
           json_object_set_new(root, "store_engine", json_string(engine_name(request))) == 0 && ok;
}

static json_t *worker_json(const struct worker *worker, const struct broker *broker)
{
    json_t *buckets = json_array();
    for (size_t i = 0; i <= WORKER_TURN_BOUNDS && buckets != NULL; i++) {
        json_t *at_most =
            i < WORKER_TURN_BOUNDS ? json_integer((json_int_t)(worker_turn_bounds_ns[i] / NS_PER_US)) : json_null();
        json_t *bucket =
            json_pack("{s:o, s:I}", "at_most_us", at_most, "turns", (json_int_t)load(&worker->durations.counts[i]));
        if (json_array_append_new(buckets, bucket) != 0) {
            json_decref(buckets);
            buckets = NULL;
        }
    }
    return json_pack("{s:I, s:I, s:f, s:o}", "connections",
                     (json_int_t)atomic_load_explicit(&worker->connections, memory_order_relaxed), "mailbox_bytes",
                     (json_int_t)broker_mailbox_bytes(broker, worker->index), "busy_seconds",
                     (double)load(&worker->durations.busy_ns) / NS_PER_S, "turns", buckets);
}

static bool put_workers(json_t *root, const struct workers *workers)
{
    json_t *array = json_array();
    bool ok = array != NULL;
    for (unsigned i = 0; i < workers->count && ok; i++) {
        ok = json_array_append_new(array, worker_json(&workers->worker[i], workers->broker)) == 0;
    }
    return json_object_set_new(root, "workers", array) == 0 && ok;
}

static bool put_row(json_t *array, size_t row, const struct request_sum *sum)
{
    for (unsigned i = 0; i < REQUEST_STATS_STATUSES; i++) {
        if (sum->statuses[i] > 0 &&
            json_array_append_new(array, json_pack("{s:s, s:s, s:i, s:I}", "method", request_stats_method(row), "route",
                                                   request_stats_route(row), "status", (int)http_status_at(i), "count",
                                                   (json_int_t)sum->statuses[i])) != 0) {
            return false;
        }
    }
    return true;
}

static bool put_requests(json_t *root, const struct http_request *request)
{
    struct request_sum sum;
    json_t *array = json_array();
    bool ok = array != NULL;
    size_t rows = http_request_stats(request, 0)->row_count;
    for (size_t row = 0; row < rows && ok; row++) {
        sum_row(request, row, &sum);
        ok = put_row(array, row, &sum);
    }
    return json_object_set_new(root, "http_requests_total", array) == 0 && ok;
}

static bool put_process(json_t *root, const struct http_request *request)
{
    struct process_figures process;
    uint64_t since_ms = http_request_stats(request, 0)->since_ms;
    process_figures_read(&process);
    return json_object_set_new(root, "version", json_string(PACKAGE_VERSION)) == 0 &&
           json_object_set_new(root, "started_ms", json_integer((json_int_t)since_ms)) == 0 &&
           json_object_set_new(root, "resident_memory_bytes", json_integer((json_int_t)process.resident_bytes)) == 0 &&
           json_object_set_new(root, "cpu_seconds_total", json_real((double)process.cpu_ns / NS_PER_S)) == 0;
}

void metrics_handle_stats(struct http_request *request)
{
    struct figures figures;
    const struct workers *workers = http_worker(request)->workers;
    if (!admin_is_allowed(request)) {
        return;
    }
    json_t *root = json_object();
    figures_read(workers->broker, http_store(request), &figures);
    if (root != NULL &&
        !(put_process(root, request) && put_figures(root, &figures) && put_store(root, request, &figures.store) &&
          put_workers(root, workers) && put_requests(root, request))) {
        json_decref(root);
        root = NULL;
    }
    http_add_header(request, "Cache-Control", "no-store");
    http_reply_json(request, 200, root);
}
