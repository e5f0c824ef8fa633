/* HTTP POST to an MQTT subscriber: each connection is kept alive and has one request on its way at a time, whose body is a stamped
 * message. Counted is what the subscriber gets. */
#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/publish.h"
#include "tests/bench/histogram.h"
#include "tests/bench/mqtt.h"
#include "tests/bench/sequence.h"

#define REQUEST_HEAD_MAX 256u
#define DRAIN_S          5u
#define SET_UP_S         20u
#define NS_PER_S         UINT64_C(1000000000)
#define NS_PER_MS        UINT64_C(1000000)

struct poster {
    struct peer peer;
    uint32_t sent;
    bool waits; /* for an answer */
    struct sequence stream;
};

struct posts {
    const struct options *options;
    struct loop *loop;
    struct poster *posters;
    struct peer subscriber;
    bool is_subscribed;
    bool sending;
    uint64_t deliveries;
    uint64_t wrong;
    struct histogram latency;
};

static void lost(struct loop *loop, struct peer *peer)
{
    (void)loop;
    die("the server closed connection %u", peer->index);
}

/* --- the subscriber ----------------------------------------------------------------------------------------------------- */

static void on_publish(struct posts *p, uint8_t first, const uint8_t *body, size_t len)
{
    struct publish publish;
    struct fault fault;
    struct stamp stamp;
    if (!publish_decode((struct bytes){body, len}, first & 0x0Fu, MQTT_3_1_1, false, &publish, &fault) ||
        publish.payload.len < sizeof stamp) {
        p->wrong++;
        return;
    }
    memcpy(&stamp, publish.payload.data, sizeof stamp);
    if (stamp.publisher >= p->options->clients) {
        p->wrong++;
        return;
    }
    p->deliveries++;
    sequence_note(&p->posters[stamp.publisher].stream, stamp.number);
    histogram_add(&p->latency, p->loop->now_ns > stamp.sent_ns ? p->loop->now_ns - stamp.sent_ns : 0);
}

static void subscriber_packet(struct loop *loop, struct peer *peer, uint8_t first, const uint8_t *body, size_t len)
{
    struct posts *p = peer->owner;
    if (first >> 4 == PACKET_PUBLISH) {
        on_publish(p, first, body, len);
    } else if (first >> 4 == PACKET_CONNACK) {
        const struct bytes filter = bytes_from_string("post/#");
        mqtt_check_connack(first, body, len, false, MQTT_3_1_1);
        mqtt_queue_subscribe(loop, peer, 1, &filter, 1, 0, MQTT_3_1_1);
    } else {
        p->is_subscribed = true;
    }
}

static const struct peer_handler subscriber_handler = {.on_packet = subscriber_packet, .on_closed = lost};

/* --- who posts ---------------------------------------------------------------------------------------------------------- */

static void post(struct loop *loop, struct peer *peer)
{
    struct posts *p = peer->owner;
    struct poster *poster = &p->posters[peer->index];
    size_t body_len = p->options->payload_bytes;
    if (poster->waits || !p->sending) {
        return;
    }
    uint8_t *room = peer_reserve(peer, REQUEST_HEAD_MAX + body_len);
    int head_len = snprintf((char *)room, REQUEST_HEAD_MAX,
                            "POST /topics/post/%u HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
                            peer->index, body_len);
    struct stamp stamp = {.publisher = peer->index, .number = poster->sent++, .sent_ns = loop->now_ns};
    memset(room + head_len, 'x', body_len);
    memcpy(room + head_len, &stamp, sizeof stamp);
    peer_commit(peer, (size_t)head_len + body_len);
    poster->waits = true;
}

/* One answer: its head, and as many bytes as that says. */
static size_t on_answer(struct loop *loop, struct peer *peer, const uint8_t *data, size_t len)
{
    static const char length_name[] = "Content-Length: ";
    struct posts *p = peer->owner;
    const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t head_len = (size_t)(end - data) + 4;
    const uint8_t *length = memmem(data, head_len, length_name, sizeof length_name - 1);
    size_t body_len = length != NULL ? strtoul((const char *)length + sizeof length_name - 1, NULL, 10) : 0;
    if (len < head_len + body_len) {
        return 0;
    }
    if (len < 12 || memcmp(data + 9, "200", 3) != 0) {
        p->wrong++;
    }
    p->posters[peer->index].waits = false;
    peer_mark_dirty(loop, peer);
    return head_len + body_len;
}

static const struct peer_handler poster_handler = {.on_bytes = on_answer, .on_flush = post, .on_closed = lost};

/* --- the run ------------------------------------------------------------------------------------------------------------ */

static void run_for(struct posts *p, uint32_t ms)
{
    uint64_t end_ns = clock_ns() + ms * NS_PER_MS;
    do {
        loop_turn(p->loop, p->options->wait ? 10 : 0);
    } while (clock_ns() < end_ns);
}

static bool is_drained(const struct posts *p)
{
    for (uint32_t i = 0; i < p->options->clients; i++) {
        if (p->posters[i].waits || !sequence_is_perfect(&p->posters[i].stream, p->posters[i].sent)) {
            return false;
        }
    }
    return true;
}

static void set_up(struct posts *p)
{
    uint64_t deadline_ns = clock_ns() + SET_UP_S * NS_PER_S;
    peer_open(p->loop, &p->subscriber, &subscriber_handler, p, 0);
    mqtt_queue_connect(p->loop, &p->subscriber, "sub", 0, MQTT_SESSION_CLEAN, MQTT_3_1_1);
    while (!p->is_subscribed) {
        loop_turn(p->loop, 100);
        if (clock_ns() > deadline_ns) {
            die("no SUBACK after %u s", SET_UP_S);
        }
    }
    loop_set_port(p->loop, p->options->http_port);
    for (uint32_t i = 0; i < p->options->clients; i++) {
        peer_open(p->loop, &p->posters[i].peer, &poster_handler, p, i);
    }
}

static void start(struct posts *p)
{
    p->sending = true;
    for (uint32_t i = 0; i < p->options->clients; i++) {
        peer_mark_dirty(p->loop, &p->posters[i].peer);
    }
}

static void report_faults(const struct posts *p, json_t *result)
{
    uint64_t lost_count = 0;
    uint64_t duplicated = 0;
    uint64_t reordered = 0;
    for (uint32_t i = 0; i < p->options->clients; i++) {
        const struct poster *poster = &p->posters[i];
        lost_count += poster->sent - poster->stream.next + poster->stream.missing;
        duplicated += poster->stream.duplicates;
        reordered += poster->stream.reordered;
    }
    report_count(result, "lost", lost_count);
    report_count(result, "duplicated", duplicated);
    report_count(result, "reordered", reordered);
    report_count(result, "wrong", p->wrong + lost_count + duplicated + reordered);
}

void post_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct posts *p = must_calloc(1, sizeof *p);
    struct span span;
    p->options = options;
    p->loop = loop;
    p->posters = must_calloc(options->clients, sizeof *p->posters);
    set_up(p);
    start(p);
    run_for(p, options->warm_up_ms);
    p->latency = (struct histogram){0};
    uint64_t before = p->deliveries;
    span_begin(&span, options->pid);
    run_for(p, options->measure_ms);
    span_end(&span, options->pid);
    uint64_t count = p->deliveries - before;
    p->sending = false;
    uint64_t deadline_ns = clock_ns() + DRAIN_S * NS_PER_S;
    while (!is_drained(p) && clock_ns() < deadline_ns) {
        loop_turn(loop, 10);
    }
    span_report(result, &span, count);
    report_latency(result, &p->latency);
    report_faults(p, result);
    for (uint32_t i = 0; i < options->clients; i++) {
        peer_close(loop, &p->posters[i].peer);
    }
    peer_close(loop, &p->subscriber);
    free(p->posters);
    free(p);
}
