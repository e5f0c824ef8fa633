/* Retained messages: fill the server with many, unless they survived from an earlier run, then let one new subscriber after the other have them all through `#`.
 * Measured is the time from SUBSCRIBE to the last of them. */
#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/publish.h"
#include "tests/bench/mqtt.h"

#define TOPIC_BYTES    32u
#define PATIENCE_S     10u /* without a packet */
#define NS_PER_S       UINT64_C(1000000000)
#define PUBLISH_WINDOW 500u

struct retained {
    const struct options *options;
    struct loop *loop;
    struct peer peer;
    bool connected;
    uint32_t sent;
    uint32_t acked;
    bool subscribed;
    bool answered;  /* PINGRESP came */
    uint8_t *seen;  /* per message, how often it came this round, saturating */
    uint32_t count; /* that came this round for the first time */
    uint64_t duplicated;
    uint64_t wrong;
    uint64_t last_ns; /* a packet came */
};

static void topic_of(char *out, uint32_t number)
{
    (void)snprintf(out, TOPIC_BYTES, "site/%u/device/%u", number % 100, number);
}

static void lost(struct loop *loop, struct peer *peer)
{
    (void)loop;
    (void)peer;
    die("the server closed the connection");
}

/* Turn until CONDITION of R holds; false if nothing comes any more. */
static bool wait_until(struct retained *r, bool (*condition)(const struct retained *))
{
    r->last_ns = clock_ns();
    while (!condition(r)) {
        loop_turn(r->loop, r->options->wait ? 10 : 0);
        if (clock_ns() > r->last_ns + PATIENCE_S * NS_PER_S) {
            return false;
        }
    }
    return true;
}

static bool is_connected(const struct retained *r)
{
    return r->connected;
}

/* ---- filling */

static bool is_filled(const struct retained *r)
{
    return r->acked == r->options->messages;
}

static void filler_flush(struct loop *loop, struct peer *peer)
{
    struct retained *r = peer->owner;
    (void)loop;
    while (r->connected && r->sent < r->options->messages && r->sent - r->acked < PUBLISH_WINDOW) {
        char topic[TOPIC_BYTES];
        topic_of(topic, r->sent);
        struct publish_head head = {.qos = 1,
                                    .retain = true,
                                    .packet_id = (uint16_t)(1u + r->sent % 65535u),
                                    .topic = bytes_from_string(topic),
                                    .payload_len = r->options->payload_bytes};
        struct stamp stamp = {.number = r->sent, .sent_ns = 0};
        size_t len = publish_encoded_len(&head, r->options->version);
        uint8_t *at = peer_reserve(peer, len);
        size_t head_len = publish_encode_head(at, len, &head, r->options->version, NULL);
        memset(at + head_len, 0, r->options->payload_bytes);
        memcpy(at + head_len, &stamp, sizeof stamp);
        peer_commit(peer, len);
        r->sent++;
    }
}

static void filler_packet(struct loop *loop, struct peer *peer, uint8_t first, const uint8_t *body, size_t len)
{
    struct retained *r = peer->owner;
    r->last_ns = loop->now_ns;
    if (first == MQTT_PUBACK) {
        (void)mqtt_ack_id(body, len);
        r->acked++;
    } else {
        mqtt_check_connack(first, body, len, false, r->options->version);
        r->connected = true;
    }
    peer_mark_dirty(loop, peer);
}

static const struct peer_handler filler = {.on_packet = filler_packet, .on_flush = filler_flush, .on_closed = lost};

/* ---- reading */

static bool is_complete(const struct retained *r)
{
    return r->subscribed && r->count == r->options->messages;
}

static bool is_answered(const struct retained *r)
{
    return r->answered;
}

static void receive_publish(struct retained *r, uint8_t first, const uint8_t *body, size_t len)
{
    char topic[TOPIC_BYTES];
    struct publish p;
    struct fault fault;
    struct stamp stamp;
    if (!publish_decode((struct bytes){body, len}, first & 15u, r->options->version, false, &p, &fault)) {
        die("PUBLISH: %s", fault.why);
    }
    if (p.qos != 0 || !p.retain || p.payload.len != r->options->payload_bytes) {
        r->wrong++;
        return;
    }
    memcpy(&stamp, p.payload.data, sizeof stamp);
    if (stamp.number >= r->options->messages) {
        r->wrong++;
        return;
    }
    topic_of(topic, stamp.number);
    r->wrong += !bytes_equal(p.topic, bytes_from_string(topic));
    if (r->seen[stamp.number]) {
        r->duplicated++;
        return;
    }
    r->seen[stamp.number] = 1;
    r->count++;
}

static void reader_packet(struct loop *loop, struct peer *peer, uint8_t first, const uint8_t *body, size_t len)
{
    struct retained *r = peer->owner;
    r->last_ns = loop->now_ns;
    if (first >> 4 == PACKET_PUBLISH) {
        receive_publish(r, first, body, len);
    } else if (!r->connected) {
        mqtt_check_connack(first, body, len, false, r->options->version);
        r->connected = true;
    } else if (first == MQTT_PINGRESP) {
        r->answered = true;
    } else {
        mqtt_check_suback(first, body, len, 1, 0, r->options->version);
        r->subscribed = true;
    }
}

static const struct peer_handler reader = {.on_packet = reader_packet, .on_closed = lost};

static void connect_peer(struct retained *r, const struct peer_handler *handler, const char *prefix, uint32_t number)
{
    r->connected = false;
    peer_open(r->loop, &r->peer, handler, r, 0);
    mqtt_queue_connect(r->loop, &r->peer, prefix, number, MQTT_SESSION_CLEAN, r->options->version);
    if (!wait_until(r, is_connected)) {
        die("no CONNACK");
    }
}

/* One subscriber. Adds its time to SUM; returns how many messages it did not get. */
static uint32_t read_all(struct retained *r, uint32_t round, struct span *sum)
{
    const struct bytes all = bytes_from_string("#");
    struct span span;
    r->subscribed = false;
    r->answered = false;
    r->count = 0;
    memset(r->seen, 0, r->options->messages);
    connect_peer(r, &reader, "reader", round);

    span_begin(&span, r->options->pid);
    mqtt_queue_subscribe(r->loop, &r->peer, 1, &all, 1, 0, r->options->version);
    (void)wait_until(r, is_complete);
    span_end(&span, r->options->pid);
    sum->ns += span.ns;
    sum->server_ns += span.server_ns;
    sum->own_ns += span.own_ns;

    mqtt_queue_empty(r->loop, &r->peer, MQTT_PINGREQ); /* whatever comes twice has come when this is answered */
    if (!wait_until(r, is_answered)) {
        die("no PINGRESP");
    }
    peer_close(r->loop, &r->peer);
    return r->options->messages - r->count;
}

void retained_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct retained r = {.options = options, .loop = loop, .peer = {.fd = -1}};
    struct span sum = {0};
    uint64_t missing = 0;
    r.seen = must_calloc(options->messages, 1);
    if (!options->filled) {
        connect_peer(&r, &filler, "filler", 0);
        if (!wait_until(&r, is_filled)) {
            die("%u of %u retained messages were acknowledged", r.acked, options->messages);
        }
        peer_close(loop, &r.peer);
    }
    for (uint32_t round = 0; round < options->rounds; round++) {
        missing += read_all(&r, round, &sum);
    }
    span_report(result, &sum, (uint64_t)options->rounds * options->messages);
    report_real(result, "milliseconds_per_subscriber", (double)sum.ns / 1e6 / options->rounds);
    report_count(result, "lost", missing);
    report_count(result, "duplicated", r.duplicated);
    report_count(result, "wrong", missing + r.duplicated + r.wrong);
    free(r.seen);
}
