/* The load generator: one workload against one server, figures as one line of JSON on stdout. Exit 0 if nothing was lost, doubled or
 * out of order, else 1; 2 if nothing could be measured. bench.py runs it. */
#include "tests/bench/load.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/bench/histogram.h"
#include "tests/bench/process.h"

#define NS_PER_US  1e3
#define REST_MS    40
#define REST_LOOKS 50u

struct workload {
    const char *name;
    workload_fn run;
    const char *about;
};

static const struct workload workloads[] = {
    {"pairs", pairs_run, "one publisher and one subscriber each"},
    {"fan-in", fan_in_run, "many publishers, one subscriber"},
    {"fan-out", fan_out_run, "one publisher, many subscribers"},
    {"offline", offline_run, "publishers to sessions that are away, and what these then get"},
    {"queue", queue_run, "a number of messages to sessions that are away, and stay away"},
    {"collect", collect_run, "the sessions of queue come and get what it left"},
    {"retained", retained_run, "retained messages to a new subscriber"},
    {"connect", connect_run, "connect and disconnect"},
    {"idle", idle_run, "connections that do nothing"},
    {"post", post_run, "HTTP POST on kept connections, one MQTT subscriber"},
    {"churn", churn_run, "all connect, all leave, again and again"},
};

/* Every option is a number. */
enum option_id {
    OPTION_PORT = 1000,
    OPTION_PID,
    OPTION_CLIENTS,
    OPTION_WINDOW,
    OPTION_QOS,
    OPTION_PAYLOAD,
    OPTION_FILTERS,
    OPTION_MESSAGES,
    OPTION_ROUNDS,
    OPTION_RATE,
    OPTION_VERSION,
    OPTION_HTTP_PORT,
    OPTION_KEPT,
    OPTION_FILLED,
    OPTION_WEBSOCKET,
    OPTION_WAIT,
    OPTION_WARM_UP,
    OPTION_MEASURE,
};

static const struct option long_options[] = {
    {"port", required_argument, NULL, OPTION_PORT},
    {"pid", required_argument, NULL, OPTION_PID},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {"qos", required_argument, NULL, OPTION_QOS},
    {"payload", required_argument, NULL, OPTION_PAYLOAD},
    {"filters", required_argument, NULL, OPTION_FILTERS},
    {"messages", required_argument, NULL, OPTION_MESSAGES},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"mqtt", required_argument, NULL, OPTION_VERSION},
    {"http-port", required_argument, NULL, OPTION_HTTP_PORT},
    {"kept", no_argument, NULL, OPTION_KEPT},
    {"filled", no_argument, NULL, OPTION_FILLED},
    {"websocket", no_argument, NULL, OPTION_WEBSOCKET},
    {"wait", no_argument, NULL, OPTION_WAIT},
    {"warm-up-ms", required_argument, NULL, OPTION_WARM_UP},
    {"measure-ms", required_argument, NULL, OPTION_MEASURE},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *stream)
{
    (void)fprintf(stream, "load WORKLOAD --port PORT --pid PID [OPTION...]\n");
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        (void)fprintf(stream, "  %-9s %s\n", workloads[i].name, workloads[i].about);
    }
    (void)fprintf(stream, "options, each with a number:\n ");
    for (const struct option *o = long_options; o->name != NULL; o++) {
        (void)fprintf(stream, " --%s", o->name);
    }
    (void)fprintf(stream, "\n");
}

static uint32_t number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value > UINT32_MAX) {
        die("\"%s\" is no number", text);
    }
    return (uint32_t)value;
}

/* @return the port */
static uint16_t parse(int argc, char **argv, struct options *o)
{
    uint32_t port = 0;
    int id;
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        uint32_t value = optarg != NULL && id != '?' ? number(optarg) : 0;
        switch (id) {
        case OPTION_PORT:
            port = value;
            break;
        case OPTION_PID:
            o->pid = (pid_t)value;
            break;
        case OPTION_CLIENTS:
            o->clients = value;
            break;
        case OPTION_WINDOW:
            o->window = value;
            break;
        case OPTION_QOS:
            o->qos = (uint8_t)value;
            break;
        case OPTION_PAYLOAD:
            o->payload_bytes = value;
            break;
        case OPTION_FILTERS:
            o->filters = value;
            break;
        case OPTION_MESSAGES:
            o->messages = value;
            break;
        case OPTION_ROUNDS:
            o->rounds = value;
            break;
        case OPTION_RATE:
            o->rate = value;
            break;
        case OPTION_VERSION:
            o->version = (enum mqtt_version)value;
            break;
        case OPTION_HTTP_PORT:
            o->http_port = (uint16_t)value;
            break;
        case OPTION_KEPT:
            o->kept = true;
            break;
        case OPTION_FILLED:
            o->filled = true;
            break;
        case OPTION_WEBSOCKET:
            o->websocket = true;
            break;
        case OPTION_WAIT:
            o->wait = true;
            break;
        case OPTION_WARM_UP:
            o->warm_up_ms = value;
            break;
        case OPTION_MEASURE:
            o->measure_ms = value;
            break;
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (port == 0 || port > UINT16_MAX || o->pid == 0 || o->clients == 0 || o->window == 0 || o->qos > 2 ||
        o->payload_bytes < sizeof(struct stamp) || (o->version != MQTT_3_1_1 && o->version != MQTT_5_0)) {
        die("port, pid, or an option out of range");
    }
    return (uint16_t)port;
}

/* --- what workloads report ------------------------------------------------------------------------------------------------- */

static uint64_t own_cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint64_t server_cpu_ns(pid_t pid)
{
    uint64_t ns;
    if (!process_cpu_ns(pid, &ns)) {
        die("the server is gone");
    }
    return ns;
}

static uint64_t server_written_bytes(pid_t pid)
{
    uint64_t bytes;
    return process_written_bytes(pid, &bytes) ? bytes : 0;
}

void span_begin(struct span *span, pid_t pid)
{
    span->written_bytes = server_written_bytes(pid);
    span->server_ns = server_cpu_ns(pid);
    span->own_ns = own_cpu_ns();
    span->ns = clock_ns();
}

void span_end(struct span *span, pid_t pid)
{
    span->server_ns = server_cpu_ns(pid) - span->server_ns;
    span->own_ns = own_cpu_ns() - span->own_ns;
    span->ns = clock_ns() - span->ns;
    span->written_bytes = server_written_bytes(pid) - span->written_bytes;
}

void server_memory_at_rest(pid_t pid, struct process_memory *memory)
{
    struct span span;
    unsigned looks = 0;
    do {
        span_begin(&span, pid);
        (void)poll(NULL, 0, REST_MS);
        span_end(&span, pid);
    } while (span.server_ns > span.ns / 100 && looks++ < REST_LOOKS);
    if (!process_memory_get(pid, memory)) {
        die("the server is gone");
    }
}

void span_report(json_t *result, const struct span *span, uint64_t count)
{
    double divisor = count > 0 ? (double)count : 1;
    report_count(result, "count", count);
    report_real(result, "cpu_us", (double)span->server_ns / NS_PER_US / divisor);
    report_real(result, "generator_cpu_us", (double)span->own_ns / NS_PER_US / divisor);
    report_real(result, "per_second", (double)count * 1e9 / (double)span->ns);
    report_real(result, "written_bytes", (double)span->written_bytes / divisor);
    report_real(result, "server_busy", (double)span->server_ns / (double)span->ns);
}

void report_real(json_t *result, const char *key, double value)
{
    if (json_object_set_new(result, key, json_real(value)) != 0) {
        die("out of memory");
    }
}

void report_count(json_t *result, const char *key, uint64_t value)
{
    if (json_object_set_new(result, key, json_integer((json_int_t)value)) != 0) {
        die("out of memory");
    }
}

void report_latency(json_t *result, const struct histogram *h)
{
    report_real(result, "p50_us", (double)histogram_percentile(h, 0.5) / NS_PER_US);
    report_real(result, "p99_us", (double)histogram_percentile(h, 0.99) / NS_PER_US);
    report_real(result, "p999_us", (double)histogram_percentile(h, 0.999) / NS_PER_US);
}

/* --- main ------------------------------------------------------------------------------------------------------------------- */

static const struct workload *find_workload(const char *name)
{
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (strcmp(name, workloads[i].name) == 0) {
            return &workloads[i];
        }
    }
    return NULL;
}

static void use_all_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    const struct workload *workload = argc > 1 ? find_workload(argv[1]) : NULL;
    if (workload == NULL) {
        usage(stderr);
        return 2;
    }
    struct options options = {
        .clients = 10,
        .window = 100,
        .payload_bytes = 16,
        .messages = 50000,
        .rounds = 3,
        .version = MQTT_3_1_1,
        .warm_up_ms = 500,
        .measure_ms = 2000,
    };
    uint16_t port = parse(argc - 1, argv + 1, &options);
    use_all_descriptors();
    struct loop loop;
    loop_init(&loop, port);
    loop.websocket = options.websocket;
    json_t *result = json_object();
    if (result == NULL) {
        die("out of memory");
    }
    workload->run(&options, &loop, result);
    loop_fini(&loop);
    bool right = json_integer_value(json_object_get(result, "wrong")) == 0;
    (void)json_dumpf(result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    (void)printf("\n");
    json_decref(result);
    return right ? 0 : 1;
}
