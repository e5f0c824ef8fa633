/**
 * What the workloads of the load generator share: what was asked for, and the window over which the server is measured.
 */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/packet.h"
#include "tests/bench/loop.h"

struct options {
    pid_t pid;                 /* the server */
    uint32_t clients;          /* pairs, publishers, subscribers, connections: whatever the workload has many of */
    uint32_t window;           /* messages that a publisher may have on their way */
    uint8_t qos;               /* 0..2 */
    size_t payload_bytes;      /* at least sizeof(struct stamp) */
    uint32_t filters;          /* pairs: wildcard filters over all subscribers; 0: one plain topic per pair */
    uint32_t messages;         /* retained, queue, collect: how many */
    uint32_t rounds;           /* retained, churn: how often */
    uint32_t rate;             /* pairs: messages per second over all publishers; 0: as fast as the windows allow */
    enum mqtt_version version; /* MQTT_3_1_1 or MQTT_5_0 */
    uint16_t http_port;        /* post: where the server speaks HTTP */
    bool kept;                 /* pairs: the subscribers' sessions outlive their connections */
    bool filled;               /* retained: they are there already */
    bool websocket;            /* MQTT over WebSocket; --port is the one for HTTP then */
    bool wait;                 /* sleep in epoll_wait(), instead of asking again and again */
    uint32_t warm_up_ms;
    uint32_t measure_ms; /* also: how long idle connections are watched */
};

/** What every payload begins with, in this machine's byte order. */
struct stamp {
    uint32_t publisher;
    uint32_t number; /* counts from 0 per publisher */
    uint64_t sent_ns;
};

/** A span of time and the CPU time in it; between begin and end the members are the clocks at the beginning. */
struct span {
    uint64_t ns;
    uint64_t server_ns;
    uint64_t own_ns;
    uint64_t written_bytes; /* by the server, to a disk; 0: the kernel does not count them */
};

/** Start measuring server PID. Dies if it is gone. */
void span_begin(struct span *span, pid_t pid);

/** Stop: now SPAN holds differences. */
void span_end(struct span *span, pid_t pid);

/** Set in RESULT what every workload reports of COUNT units done within SPAN. */
void span_report(json_t *result, const struct span *span, uint64_t count);

/** Set in RESULT the number KEY. Dies without memory. */
void report_real(json_t *result, const char *key, double value);
void report_count(json_t *result, const char *key, uint64_t value);

struct process_memory;
/** Memory of server PID, once it has had nothing to do for a moment. Dies if it is gone. */
void server_memory_at_rest(pid_t pid, struct process_memory *memory);

struct histogram;
/** Set in RESULT the percentiles of H, which holds nanoseconds. */
void report_latency(json_t *result, const struct histogram *h);

/** A workload: use LOOP, set figures in RESULT; a value above 0 in "wrong" means that they are worth nothing. */
typedef void (*workload_fn)(const struct options *options, struct loop *loop, json_t *result);

void pairs_run(const struct options *options, struct loop *loop, json_t *result);
void fan_in_run(const struct options *options, struct loop *loop, json_t *result);
void fan_out_run(const struct options *options, struct loop *loop, json_t *result);
void offline_run(const struct options *options, struct loop *loop, json_t *result);
void queue_run(const struct options *options, struct loop *loop, json_t *result);
void collect_run(const struct options *options, struct loop *loop, json_t *result);
void retained_run(const struct options *options, struct loop *loop, json_t *result);
void connect_run(const struct options *options, struct loop *loop, json_t *result);
void idle_run(const struct options *options, struct loop *loop, json_t *result);
void post_run(const struct options *options, struct loop *loop, json_t *result);
void churn_run(const struct options *options, struct loop *loop, json_t *result);

#endif
