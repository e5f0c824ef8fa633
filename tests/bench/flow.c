/* Workloads in which messages flow from publishers to subscribers: pairs, fan-in, fan-out, and with subscribers that are away.
 *
 * Each publisher keeps a window: it never has more messages on their way than that, from its own write until all their
 * receivers have them and, above QoS 0, until they are acknowledged. So no server has a reason to drop one, and
 * every missing, doubled or overtaken message is a fault. When a part of the window comes free, it is filled with one
 * write. At a fixed rate a message is stamped with the time at which it should have been sent, so that a server that is
 * late cannot hide it by slowing the publisher down.
 *
 * While the subscribers are away a message has left the window when it is acknowledged, which is what is measured; then they come back and
 * get everything. */
#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/publish.h"
#include "tests/bench/histogram.h"
#include "tests/bench/mqtt.h"
#include "tests/bench/process.h"
#include "tests/bench/sequence.h"

#define TOPIC_BYTES           24u
#define WILDCARD_TOPIC_BYTES  11u
#define WILDCARD_FILTERS_END  10000000u
#define FILTERS_PER_SUBSCRIBE 500u
#define CONNECTING_MAX        50u /* at the same time: below every server's backlog */
#define SET_UP_S              120u
#define DRAIN_S               5u /* without a delivery: what is missing then is lost */
#define NS_PER_S              UINT64_C(1000000000)
#define NS_PER_MS             UINT64_C(1000000)

struct publisher {
    struct peer peer;
    uint32_t sent;
    uint32_t due;       /* fixed rate: messages whose time has come */
    uint32_t delivered; /* messages that all receivers have */
    uint32_t released;  /* QoS 2: PUBRELs sent */
    uint32_t acked;     /* above QoS 0: messages that the server is done with */
    uint32_t *receipts; /* fan-out: per message of the window, how many receivers have it */
    uint64_t *sent_ns;  /* receivers are away: of each message of the window */
    uint8_t *packet;    /* a whole PUBLISH, patched for each message */
    size_t packet_len;
    size_t topic_at;
    size_t topic_len;
    size_t id_at; /* 0: QoS 0 */
    size_t stamp_at;
};

struct subscriber {
    struct peer peer;
    bool connected;
    uint32_t granted; /* filters that were subscribed to so far */
    uint32_t asked;   /* filters in the SUBSCRIBE on its way */
};

struct flow {
    const struct options *options;
    struct loop *loop;
    struct publisher *publishers;
    struct subscriber *subscribers;
    uint32_t publisher_count;
    uint32_t subscriber_count;
    uint32_t receivers; /* of each message */
    bool one_stream_per_publisher;
    bool away;                /* the receivers are, so far */
    bool returning;           /* they have sessions already */
    uint32_t quota;           /* messages that each publisher may send */
    struct sequence *streams; /* by publisher or by subscriber */
    uint32_t ready;           /* peers that are connected and subscribed */
    bool sending;
    uint64_t done;  /* deliveries; while receivers are away: acknowledgements */
    uint64_t wrong; /* packets that nobody should have got, or not like this */
    uint64_t start_ns;
    uint64_t scheduled; /* fixed rate: messages that became due so far */
    struct histogram latency;
};

/* ---- topics */

static uint32_t filters_per_subscriber(const struct flow *f)
{
    return f->options->filters / f->subscriber_count;
}

/* The three kinds of filters, and for each a topic that it alone matches. */
static void wildcard_filter(char *out, uint32_t number)
{
    if (number % 3 == 1) {
        (void)snprintf(out, TOPIC_BYTES, "w/+/%07u", number % WILDCARD_FILTERS_END);
    } else {
        (void)snprintf(out, TOPIC_BYTES, "w/%07u/%c", number % WILDCARD_FILTERS_END, number % 3 == 0 ? '+' : '#');
    }
}

static void wildcard_topic(uint8_t *out, uint32_t number)
{
    bool number_last = number % 3 == 1;
    memcpy(out, number_last ? "w/t/0000000" : "w/0000000/t", WILDCARD_TOPIC_BYTES);
    uint8_t *digit = out + (number_last ? 10 : 8);
    for (uint32_t rest = number; rest > 0; rest /= 10) {
        *digit-- = (uint8_t)('0' + rest % 10);
    }
}

/* Which of its subscriber's filters the message NUMBER of PUBLISHER goes to: any, but the same for sender and receiver. */
static uint32_t wildcard_of_message(const struct flow *f, uint32_t publisher, uint32_t number)
{
    uint64_t x = ((uint64_t)publisher << 32 | number) * UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 32;
    x *= UINT64_C(0xD6E8FEB86659FD93);
    x ^= x >> 32;
    uint32_t per_subscriber = filters_per_subscriber(f);
    return publisher * per_subscriber + (uint32_t)(x % per_subscriber);
}

static void plain_topic(char *out, uint32_t publisher)
{
    (void)snprintf(out, TOPIC_BYTES, "bench/%u/value", publisher % 1000000u);
}

/* ---- publishers */

static uint32_t free_window(const struct flow *f, const struct publisher *p)
{
    uint32_t done = p->delivered;
    if (f->away || (f->options->qos > 0 && p->acked < done)) {
        done = p->acked;
    }
    uint32_t room = f->options->window - (p->sent - done);
    if (f->options->rate > 0 && room > p->due - p->sent) {
        room = p->due - p->sent;
    }
    return room < f->quota - p->sent ? room : f->quota - p->sent;
}

static uint64_t due_ns(const struct flow *f, uint64_t message)
{
    return f->start_ns + message * NS_PER_S / f->options->rate;
}

static void publisher_flush(struct loop *loop, struct peer *peer)
{
    struct flow *f = peer->owner;
    struct publisher *p = &f->publishers[peer->index];
    uint32_t count = f->sending ? free_window(f, p) : 0;
    if (count == 0) {
        return;
    }
    uint8_t *at = peer_reserve(peer, count * p->packet_len);
    struct stamp stamp = {.publisher = peer->index, .sent_ns = clock_ns()};
    for (uint32_t i = 0; i < count; i++) {
        stamp.number = p->sent++;
        memcpy(at, p->packet, p->packet_len);
        if (f->options->filters > 0) {
            wildcard_topic(at + p->topic_at, wildcard_of_message(f, peer->index, stamp.number));
        }
        if (p->id_at > 0) {
            uint32_t id = 1u + stamp.number % 65535u;
            at[p->id_at] = (uint8_t)(id >> 8);
            at[p->id_at + 1] = (uint8_t)id;
        }
        if (f->options->rate > 0) {
            stamp.sent_ns = due_ns(f, (uint64_t)stamp.number * f->publisher_count + peer->index);
        }
        if (f->away) {
            p->sent_ns[stamp.number % f->options->window] = stamp.sent_ns;
        }
        memcpy(at + p->stamp_at, &stamp, sizeof stamp);
        at += p->packet_len;
    }
    peer_commit(peer, count * p->packet_len);
    (void)loop;
}

static void publisher_packet(struct loop *loop, struct peer *peer, uint8_t first, const uint8_t *body, size_t len)
{
    struct flow *f = peer->owner;
    struct publisher *p = &f->publishers[peer->index];
    const uint8_t last_ack = f->options->qos == 1 ? MQTT_PUBACK : MQTT_PUBCOMP;
    if (f->options->qos == 2 && first == MQTT_PUBREC) {
        uint16_t id = mqtt_ack_id(body, len);
        f->wrong += id != 1u + p->released % 65535u; /* [MQTT-4.6.0-4]: in the order of the PUBLISHes */
        p->released++;
        mqtt_queue_ack(loop, peer, MQTT_PUBREL, id);
    } else if (f->options->qos > 0 && first == last_ack) {
        f->wrong += mqtt_ack_id(body, len) != 1u + p->acked % 65535u;
        if (f->away) {
            histogram_add(&f->latency, loop->now_ns - p->sent_ns[p->acked % f->options->window]);
            f->done++;
        }
        p->acked++;
        peer_mark_dirty(loop, peer);
    } else {
        mqtt_check_connack(first, body, len, false, f->options->version);
        f->ready++;
    }
}

static void peer_lost(struct loop *loop, struct peer *peer)
{
    (void)loop;
    die("the server closed connection %u", peer->index);
}

static const struct peer_handler publisher_handler = {
    .on_packet = publisher_packet, .on_flush = publisher_flush, .on_closed = peer_lost};

static void publisher_init(struct flow *f, struct publisher *p, uint32_t index)
{
    const struct options *o = f->options;
    char topic[TOPIC_BYTES] = "w/t/0000000";
    if (o->filters == 0) {
        plain_topic(topic, index);
    }
    struct publish_head head = {
        .qos = o->qos, .packet_id = 1, .topic = bytes_from_string(topic), .payload_len = o->payload_bytes};
    p->packet_len = publish_encoded_len(&head, o->version);
    p->packet = must_calloc(1, p->packet_len);
    p->stamp_at = publish_encode_head(p->packet, p->packet_len, &head, o->version, &p->id_at);
    p->topic_len = strlen(topic);
    p->topic_at = 1 + 2;
    do {
        p->topic_at++;
    } while ((p->packet[p->topic_at - 3] & 0x80) != 0);
    p->peer.fd = -1;
    if (f->receivers > 1) {
        p->receipts = must_calloc(o->window, sizeof *p->receipts);
    }
    if (f->away) {
        p->sent_ns = must_calloc(o->window, sizeof *p->sent_ns);
    }
}

/* ---- subscribers */

/* The filter NUMBER of subscriber INDEX. */
static void filter_text(const struct flow *f, char *out, uint32_t index, uint32_t number)
{
    if (f->options->filters > 0) {
        wildcard_filter(out, index * filters_per_subscriber(f) + number);
    } else if (f->one_stream_per_publisher) {
        (void)snprintf(out, TOPIC_BYTES, "bench/+/value");
    } else {
        plain_topic(out, f->receivers > 1 ? 0 : index);
    }
}

static uint32_t filters_of_each(const struct flow *f)
{
    return f->options->filters > 0 ? filters_per_subscriber(f) : 1;
}

/* Ask for the next filters. */
static void subscribe(struct flow *f, struct subscriber *s)
{
    uint32_t count = filters_of_each(f) - s->granted;
    if (count > FILTERS_PER_SUBSCRIBE) {
        count = FILTERS_PER_SUBSCRIBE;
    }
    char *texts = must_calloc(count, TOPIC_BYTES);
    struct bytes *filters = must_calloc(count, sizeof *filters);
    for (uint32_t i = 0; i < count; i++) {
        filter_text(f, texts + i * TOPIC_BYTES, s->peer.index, s->granted + i);
        filters[i] = bytes_from_string(texts + i * TOPIC_BYTES);
    }
    mqtt_queue_subscribe(f->loop, &s->peer, 1, filters, count, f->options->qos, f->options->version);
    s->asked = count;
    free(filters);
    free(texts);
}

/* A receiver has message NUMBER of P. */
static void note_delivery(struct flow *f, struct publisher *p, uint32_t number)
{
    if (f->receivers == 1) {
        p->delivered++;
    } else {
        p->receipts[number % f->options->window]++;
        while (p->delivered < p->sent && p->receipts[p->delivered % f->options->window] == f->receivers) {
            p->receipts[p->delivered % f->options->window] = 0;
            p->delivered++;
        }
    }
    f->done++;
    if (f->sending) {
        peer_mark_dirty(f->loop, &p->peer);
    }
}

/* True if TOPIC is the one that message NUMBER of P was sent to. */
static bool is_topic_of(const struct flow *f, const struct publisher *p, uint32_t number, const uint8_t *topic)
{
    if (f->options->filters == 0) {
        return memcmp(topic, p->packet + p->topic_at, p->topic_len) == 0;
    }
    uint8_t expected[WILDCARD_TOPIC_BYTES];
    wildcard_topic(expected, wildcard_of_message(f, p->peer.index, number));
    return memcmp(topic, expected, sizeof expected) == 0;
}

static void receive_publish(struct flow *f, struct subscriber *s, uint8_t first, const uint8_t *body, size_t len)
{
    uint8_t qos = first >> 1 & 3;
    size_t topic_len = len < 2 ? 0 : (size_t)(body[0] << 8 | body[1]);
    size_t at = 2 + topic_len;
    size_t id_at = at;
    at += qos > 0 ? 2 : 0;
    if (f->options->version == MQTT_5_0) {
        at += len > at ? 1u + body[at] : 1u; /* properties: shorter than 128 bytes, or the payload's length is wrong */
    }
    struct stamp stamp;
    if (qos != f->options->qos || (first & PUBLISH_RETAIN) != 0 || len < at || len - at != f->options->payload_bytes) {
        f->wrong++;
        return;
    }
    memcpy(&stamp, body + at, sizeof stamp);
    if (stamp.publisher >= f->publisher_count) {
        f->wrong++;
        return;
    }
    struct publisher *p = &f->publishers[stamp.publisher];
    if (stamp.number >= p->sent || topic_len != p->topic_len || !is_topic_of(f, p, stamp.number, body + 2) ||
        (f->receivers == 1 && !f->one_stream_per_publisher && stamp.publisher != s->peer.index)) {
        f->wrong++;
        return;
    }
    sequence_note(&f->streams[f->one_stream_per_publisher ? stamp.publisher : s->peer.index], stamp.number);
    histogram_add(&f->latency, f->loop->now_ns > stamp.sent_ns ? f->loop->now_ns - stamp.sent_ns : 0);
    note_delivery(f, p, stamp.number);
    if (qos > 0) {
        uint16_t id = (uint16_t)(body[id_at] << 8 | body[id_at + 1]);
        f->wrong += id == 0;
        mqtt_queue_ack(f->loop, &s->peer, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, id);
    }
}

static void subscriber_packet(struct loop *loop, struct peer *peer, uint8_t first, const uint8_t *body, size_t len)
{
    struct flow *f = peer->owner;
    struct subscriber *s = &f->subscribers[peer->index];
    if (first >> 4 == PACKET_PUBLISH) {
        receive_publish(f, s, first, body, len);
    } else if (first == MQTT_PUBREL && f->options->qos == 2) {
        mqtt_queue_ack(loop, peer, MQTT_PUBCOMP, mqtt_ack_id(body, len));
    } else if (!s->connected) {
        mqtt_check_connack(first, body, len, f->returning, f->options->version);
        s->connected = true;
        if (f->returning) {
            f->ready++;
        } else {
            subscribe(f, s);
        }
    } else {
        mqtt_check_suback(first, body, len, s->asked, f->options->qos, f->options->version);
        s->granted += s->asked;
        s->asked = 0;
        if (s->granted < filters_of_each(f)) {
            subscribe(f, s);
        } else {
            f->ready++;
        }
    }
}

static const struct peer_handler subscriber_handler = {.on_packet = subscriber_packet, .on_closed = peer_lost};

/* ---- phases */

static void open_publisher(struct flow *f, uint32_t index)
{
    struct peer *peer = &f->publishers[index].peer;
    peer_open(f->loop, peer, &publisher_handler, f, index);
    mqtt_queue_connect(f->loop, peer, "pub", index, MQTT_SESSION_CLEAN, f->options->version);
}

static void open_subscriber(struct flow *f, uint32_t index)
{
    struct peer *peer = &f->subscribers[index].peer;
    bool is_away = f->away || f->returning;
    enum mqtt_session session = f->options->kept || is_away ? MQTT_SESSION_KEPT : MQTT_SESSION_CLEAN;
    f->subscribers[index].connected = false;
    peer_open(f->loop, peer, &subscriber_handler, f, index);
    mqtt_queue_connect(f->loop, peer, is_away ? "away" : "sub", index, session, f->options->version);
}

/* Connect COUNT clients, and wait until they are ready. */
static void open_all(struct flow *f, void (*open_one)(struct flow *f, uint32_t index), uint32_t count)
{
    uint32_t opened = 0;
    uint64_t deadline_ns = clock_ns() + SET_UP_S * NS_PER_S;
    f->ready = 0;
    while (f->ready < count) {
        while (opened < count && opened - f->ready < CONNECTING_MAX) {
            open_one(f, opened++);
        }
        loop_turn(f->loop, 1000);
        if (clock_ns() > deadline_ns) {
            die("only %u of %u clients are connected and subscribed after %u s", f->ready, count, SET_UP_S);
        }
    }
}

static void subscriber_left(struct loop *loop, struct peer *peer)
{
    struct flow *f = peer->owner;
    peer_close(loop, peer);
    f->ready--;
}

static const struct peer_handler leaving_handler = {.on_packet = subscriber_packet, .on_closed = subscriber_left};

/* Let all subscribers say DISCONNECT, and wait until the server has closed their connections. */
static void send_away(struct flow *f)
{
    uint64_t deadline_ns = clock_ns() + SET_UP_S * NS_PER_S;
    for (uint32_t i = 0; i < f->subscriber_count; i++) {
        f->subscribers[i].peer.handler = &leaving_handler;
        mqtt_queue_empty(f->loop, &f->subscribers[i].peer, MQTT_DISCONNECT);
    }
    while (f->ready > 0) {
        loop_turn(f->loop, 1000);
        if (clock_ns() > deadline_ns) {
            die("the server did not close the connections of clients that said DISCONNECT");
        }
    }
}

/* Connect everyone, subscribers first, so that no message finds its receiver missing. */
static void set_up(struct flow *f)
{
    open_all(f, open_subscriber, f->subscriber_count);
    if (f->away) {
        send_away(f);
    }
    open_all(f, open_publisher, f->publisher_count);
}

static void wake_publishers(struct flow *f)
{
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        peer_mark_dirty(f->loop, &f->publishers[i].peer);
    }
}

/* Fixed rate: hand out the messages whose time has come, in turn. */
static void schedule(struct flow *f)
{
    uint64_t now_ns = clock_ns();
    while (due_ns(f, f->scheduled) <= now_ns) {
        struct publisher *p = &f->publishers[f->scheduled % f->publisher_count];
        p->due++;
        peer_mark_dirty(f->loop, &p->peer);
        f->scheduled++;
    }
}

static void run_for(struct flow *f, uint32_t ms)
{
    uint64_t end_ns = clock_ns() + ms * NS_PER_MS;
    int timeout_ms = f->options->wait && f->options->rate == 0 ? 10 : 0;
    do {
        if (f->options->rate > 0) {
            schedule(f);
        }
        loop_turn(f->loop, timeout_ms);
    } while (f->loop->now_ns < end_ns);
}

static bool is_drained(const struct flow *f)
{
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        const struct publisher *p = &f->publishers[i];
        if ((p->delivered != p->sent && !f->away) || (f->options->qos > 0 && p->acked != p->sent)) {
            return false;
        }
    }
    return true;
}

/* Turn until CONDITION holds, or nothing comes any more. */
static void wait_until(struct flow *f, bool (*condition)(const struct flow *f))
{
    uint64_t before = f->done;
    uint64_t deadline_ns = clock_ns() + DRAIN_S * NS_PER_S;
    while (!condition(f) && clock_ns() < deadline_ns) {
        loop_turn(f->loop, 10);
        if (f->done != before) {
            before = f->done;
            deadline_ns = clock_ns() + DRAIN_S * NS_PER_S;
        }
    }
}

/* Stop sending and wait for what is on its way. */
static void drain(struct flow *f)
{
    f->sending = false;
    wait_until(f, is_drained);
}

static void report_faults(const struct flow *f, json_t *result)
{
    uint64_t lost = 0;
    uint64_t duplicated = 0;
    uint64_t reordered = 0;
    uint64_t unacknowledged = 0;
    uint64_t sent = 0;
    uint32_t streams = f->one_stream_per_publisher ? f->publisher_count : f->subscriber_count;
    for (uint32_t i = 0; i < streams; i++) {
        const struct sequence *s = &f->streams[i];
        lost += f->publishers[f->receivers > 1 ? 0 : i].sent - s->next + s->missing;
        duplicated += s->duplicates;
        reordered += s->reordered;
    }
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        sent += f->publishers[i].sent;
        unacknowledged += f->options->qos > 0 ? f->publishers[i].sent - f->publishers[i].acked : 0;
    }
    report_count(result, "sent", sent);
    report_count(result, "lost", lost);
    report_count(result, "duplicated", duplicated);
    report_count(result, "reordered", reordered);
    report_count(result, "unacknowledged", unacknowledged);
    report_count(result, "wrong", f->wrong + lost + duplicated + reordered + unacknowledged);
}

static void tear_down(struct flow *f)
{
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        peer_close(f->loop, &f->publishers[i].peer);
        free(f->publishers[i].packet);
        free(f->publishers[i].receipts);
        free(f->publishers[i].sent_ns);
    }
    for (uint32_t i = 0; i < f->subscriber_count; i++) {
        peer_close(f->loop, &f->subscribers[i].peer);
    }
    free(f->publishers);
    free(f->subscribers);
    free(f->streams);
    free(f);
}

static void make_peers(struct flow *f)
{
    f->publishers = must_calloc(f->publisher_count, sizeof *f->publishers);
    f->subscribers = must_calloc(f->subscriber_count, sizeof *f->subscribers);
    f->streams =
        must_calloc(f->one_stream_per_publisher ? f->publisher_count : f->subscriber_count, sizeof *f->streams);
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        publisher_init(f, &f->publishers[i], i);
    }
    for (uint32_t i = 0; i < f->subscriber_count; i++) {
        f->subscribers[i].peer.fd = -1;
    }
}

/* Connect everyone, send, and measure what is done for a while. */
static void measure(struct flow *f, json_t *result)
{
    set_up(f);
    f->sending = true;
    f->start_ns = clock_ns();
    wake_publishers(f);
    run_for(f, f->options->warm_up_ms);

    struct span span;
    uint64_t before = f->done;
    f->latency = (struct histogram){0};
    span_begin(&span, f->options->pid);
    run_for(f, f->options->measure_ms);
    span_end(&span, f->options->pid);
    uint64_t done = f->done - before;

    drain(f);
    span_report(result, &span, done);
    report_latency(result, &f->latency);
}

/* All of a workload but its shape. Takes F. */
static void flow_run(struct flow *f, json_t *result)
{
    make_peers(f);
    measure(f, result);
    report_faults(f, result);
    tear_down(f);
}

static struct flow *flow_new(const struct options *options, struct loop *loop)
{
    struct flow *f = must_calloc(1, sizeof *f);
    f->options = options;
    f->loop = loop;
    f->receivers = 1;
    f->publisher_count = options->clients;
    f->subscriber_count = options->clients;
    f->quota = UINT32_MAX;
    return f;
}

void pairs_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct flow *f = flow_new(options, loop);
    if (options->filters > 0 && filters_per_subscriber(f) == 0) {
        die("fewer filters than pairs");
    }
    flow_run(f, result);
}

void fan_in_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct flow *f = flow_new(options, loop);
    f->subscriber_count = 1;
    f->one_stream_per_publisher = true;
    flow_run(f, result);
}

void fan_out_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct flow *f = flow_new(options, loop);
    f->publisher_count = 1;
    f->receivers = options->clients;
    flow_run(f, result);
}

/* ---- subscribers that are away */

/* They come back, for what has been sent to them. */
static void come_back(struct flow *f, struct span *span)
{
    f->away = false;
    f->returning = true;
    f->done = 0;
    f->latency = (struct histogram){0};
    span_begin(span, f->options->pid);
    open_all(f, open_subscriber, f->subscriber_count);
    wait_until(f, is_drained);
    span_end(span, f->options->pid);
}

static struct flow *away_new(const struct options *options, struct loop *loop)
{
    struct flow *f = flow_new(options, loop);
    if (options->qos == 0) {
        die("nobody says when messages of QoS 0 have come");
    }
    f->away = true;
    make_peers(f);
    return f;
}

void offline_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct flow *f = away_new(options, loop);
    struct span span;
    measure(f, result);
    come_back(f, &span);
    report_real(result, "collected_per_second", (double)f->done * (double)NS_PER_S / (double)span.ns);
    report_real(result, "collected_cpu_us", (double)span.server_ns / 1e3 / (double)(f->done > 0 ? f->done : 1));
    report_faults(f, result);
    tear_down(f);
}

static bool is_sent(const struct flow *f)
{
    return f->done == (uint64_t)f->quota * f->publisher_count;
}

void queue_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct flow *f = away_new(options, loop);
    struct process_memory memory;
    struct span span;
    f->quota = options->messages / options->clients;
    set_up(f);
    f->sending = true;
    span_begin(&span, options->pid);
    wake_publishers(f);
    wait_until(f, is_sent);
    span_end(&span, options->pid);
    span_report(result, &span, f->done);
    report_latency(result, &f->latency);
    uint64_t sent = (uint64_t)f->quota * f->publisher_count;
    uint64_t unacknowledged = sent - f->done;
    uint64_t wrong = f->wrong;
    tear_down(f);
    server_memory_at_rest(options->pid, &memory);
    report_count(result, "sent", sent);
    report_count(result, "anon_bytes", memory.anon_bytes);
    report_count(result, "unacknowledged", unacknowledged);
    report_count(result, "wrong", wrong + unacknowledged);
}

void collect_run(const struct options *options, struct loop *loop, json_t *result)
{
    struct flow *f = away_new(options, loop);
    struct span span;
    for (uint32_t i = 0; i < f->publisher_count; i++) {
        f->publishers[i].sent = f->publishers[i].acked = options->messages / options->clients;
    }
    come_back(f, &span);
    span_report(result, &span, f->done);
    report_faults(f, result);
    tear_down(f);
}
