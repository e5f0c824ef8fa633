/* Workloads of connections alone: come and go as fast as possible, be idle, come and go in crowds. */
#include "tests/bench/load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/histogram.h"
#include "tests/bench/mqtt.h"
#include "tests/bench/process.h"

#define CONNECTING_MAX 50u /* at the same time: below every server's backlog */
#define PATIENCE_S     60u
#define NS_PER_S       UINT64_C(1000000000)
#define NS_PER_MS      UINT64_C(1000000)

struct visitor {
    struct peer peer;
    bool connected;
    uint64_t opened_ns;
};

struct crowd {
    const struct options *options;
    struct loop *loop;
    struct visitor *visitors;
    bool subscribe;  /* each to a topic of its own */
    bool again;      /* whoever is gone comes back */
    uint32_t number; /* connections so far: each has a client id of its own */
    uint32_t ready;  /* visitors that are connected (and subscribed) */
    uint64_t gone;   /* visits that are over */
    struct histogram latency;
};

static void enter(struct crowd *c, uint32_t index);

/* Waiting for the server to close, after DISCONNECT, makes its part of the work count. */
static void visitor_closed(struct loop *loop, struct peer *peer)
{
    struct crowd *c = peer->owner;
    struct visitor *v = &c->visitors[peer->index];
    if (!v->connected) {
        die("the server closed a connection that was not to end");
    }
    v->connected = false;
    peer_close(loop, peer);
    c->gone++;
    if (c->again) {
        enter(c, peer->index);
    }
}

static void visitor_ready(struct crowd *c, struct visitor *v)
{
    v->connected = true;
    c->ready++;
    if (c->again) {
        mqtt_queue_empty(c->loop, &v->peer, MQTT_DISCONNECT);
    }
}

static void visitor_packet(struct loop *loop, struct peer *peer, uint8_t first, const uint8_t *body, size_t len)
{
    struct crowd *c = peer->owner;
    struct visitor *v = &c->visitors[peer->index];
    if (first == MQTT_SUBACK) {
        mqtt_check_suback(first, body, len, 1, 1, c->options->version);
        visitor_ready(c, v);
        return;
    }
    mqtt_check_connack(first, body, len, false, c->options->version);
    histogram_add(&c->latency, loop->now_ns - v->opened_ns);
    if (c->subscribe) {
        char text[48];
        (void)snprintf(text, sizeof text, "device/%u/command", c->number);
        const struct bytes filter = bytes_from_string(text);
        mqtt_queue_subscribe(loop, peer, 1, &filter, 1, 1, c->options->version);
    } else {
        visitor_ready(c, v);
    }
}

static const struct peer_handler visitor_handler = {.on_packet = visitor_packet, .on_closed = visitor_closed};

static void enter(struct crowd *c, uint32_t index)
{
    struct visitor *v = &c->visitors[index];
    v->connected = false;
    v->opened_ns = clock_ns();
    peer_open(c->loop, &v->peer, &visitor_handler, c, index);
    mqtt_queue_connect(c->loop, &v->peer, "visitor", c->number++, MQTT_SESSION_CLEAN, c->options->version);
}

/* Connect all visitors, none of which is connected. */
static void enter_all(struct crowd *c)
{
    uint64_t deadline_ns = clock_ns() + PATIENCE_S * NS_PER_S;
    uint32_t opened = 0;
    c->ready = 0;
    while (c->ready < c->options->clients) {
        while (opened < c->options->clients && opened - c->ready < CONNECTING_MAX) {
            enter(c, opened++);
        }
        loop_turn(c->loop, 1000);
        if (clock_ns() > deadline_ns) {
            die("only %u of %u clients are connected after %u s", c->ready, c->options->clients, PATIENCE_S);
        }
    }
}

/* Every second one says DISCONNECT and is closed by the server, the others vanish. */
static void leave_all(struct crowd *c)
{
    uint64_t deadline_ns = clock_ns() + PATIENCE_S * NS_PER_S;
    uint64_t expected = c->gone + c->options->clients;
    for (uint32_t i = 0; i < c->options->clients; i++) {
        if (i % 2 == 0) {
            mqtt_queue_empty(c->loop, &c->visitors[i].peer, MQTT_DISCONNECT);
        } else {
            peer_close(c->loop, &c->visitors[i].peer);
            c->gone++;
        }
    }
    while (c->gone < expected) {
        loop_turn(c->loop, 1000);
        if (clock_ns() > deadline_ns) {
            die("the server did not close the connections of clients that said DISCONNECT");
        }
    }
}

static struct crowd *crowd_new(const struct options *options, struct loop *loop)
{
    struct crowd *c = must_calloc(1, sizeof *c);
    c->options = options;
    c->loop = loop;
    c->visitors = must_calloc(options->clients, sizeof *c->visitors);
    for (uint32_t i = 0; i < options->clients; i++) {
        c->visitors[i].peer.fd = -1;
    }
    return c;
}

static void crowd_free(struct crowd *c)
{
    for (uint32_t i = 0; i < c->options->clients; i++) {
        peer_close(c->loop, &c->visitors[i].peer);
    }
    free(c->visitors);
    free(c);
}

static void come_and_go_for(struct crowd *c, uint32_t ms)
{
    uint64_t end_ns = clock_ns() + ms * NS_PER_MS;
    while (clock_ns() < end_ns) {
        loop_turn(c->loop, c->options->wait ? 10 : 0);
    }
}

void connect_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct crowd *c = crowd_new(options, loop);
    struct span span;
    c->again = true;
    for (uint32_t i = 0; i < options->clients; i++) {
        enter(c, i);
    }
    come_and_go_for(c, options->warm_up_ms);
    c->latency = (struct histogram){0};
    uint64_t before = c->gone;
    span_begin(&span, options->pid);
    come_and_go_for(c, options->measure_ms);
    span_end(&span, options->pid);
    span_report(result, &span, c->gone - before);
    report_latency(result, &c->latency);
    report_count(result, "wrong", 0);
    crowd_free(c);
}

void idle_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct crowd *c = crowd_new(options, loop);
    struct process_memory before;
    struct process_memory after;
    struct span span;
    server_memory_at_rest(c->options->pid, &before);
    enter_all(c);
    server_memory_at_rest(c->options->pid, &after);
    span_begin(&span, options->pid);
    uint64_t end_ns = clock_ns() + options->measure_ms * NS_PER_MS;
    while (clock_ns() < end_ns) {
        (void)poll(NULL, 0, 10);
    }
    span_end(&span, options->pid);
    loop_turn(loop, 0); /* whoever was closed meanwhile is gone now */
    double clients = options->clients;
    span_report(result, &span, 0);
    report_latency(result, &c->latency);
    report_real(result, "idle_cpu_percent", 100.0 * (double)span.server_ns / (double)span.ns);
    report_real(result, "anon_bytes_per_connection", ((double)after.anon_bytes - (double)before.anon_bytes) / clients);
    report_real(result, "rss_bytes_per_connection", ((double)after.rss_bytes - (double)before.rss_bytes) / clients);
    report_count(result, "lost", c->gone);
    report_count(result, "wrong", c->gone);
    crowd_free(c);
}

void churn_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct crowd *c = crowd_new(options, loop);
    struct process_memory first = {0};
    struct process_memory last = {0};
    struct span span;
    c->subscribe = true;
    span_begin(&span, options->pid);
    for (uint32_t round = 0; round < options->rounds; round++) {
        enter_all(c);
        leave_all(c);
        server_memory_at_rest(c->options->pid, round == 0 ? &first : &last);
    }
    span_end(&span, options->pid);
    span_report(result, &span, (uint64_t)options->clients * options->rounds);
    report_latency(result, &c->latency);
    report_count(result, "anon_bytes_after_first_round", first.anon_bytes);
    report_real(result, "anon_growth_bytes", (double)last.anon_bytes - (double)first.anon_bytes);
    report_real(result, "rss_growth_bytes", (double)last.rss_bytes - (double)first.rss_bytes);
    report_count(result, "wrong", 0);
    crowd_free(c);
}
