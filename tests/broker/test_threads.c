/* A broker of four places run by four real threads, for the thread sanitizer and for what only real interleavings bring about.
 *
 * Each thread has a publisher, a subscriber that stays, two members of a shared group, one who subscribes and unsubscribes all the
 * time, and a connection for each of two persistent sessions that the threads take from each other. Publishers send numbered messages of all
 * QoS, and retained ones. It ends when everybody has got everything: who stays each message once and in order, the group each message
 * once, the roaming sessions all of theirs. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/access/access_open.h"
#include "gateway/base/log.h"
#include "gateway/base/rcu.h"
#include "gateway/broker/broker.h"
#include "gateway/broker/client.h"
#include "gateway/broker/core.h"
#include "gateway/broker/place.h"
#include "gateway/store/memory.h"
#include "protocol/ack.h"
#include "protocol/connect.h"
#include "protocol/packet.h"
#include "protocol/publish.h"
#include "protocol/subscribe.h"
#include "tests/broker/ram_store.h"
#include "tests/check_main.h"

enum {
    PLACES = 4,
    MESSAGES = 1000, /* per publisher and QoS */
    IN_FLIGHT_MAX = 40,
    BURST = 6,   /* publications per turn and publisher */
    MEMBERS = 2, /* of the group, per thread */
    ROAMERS = 2, /* sessions that the threads take from each other */
    ROLES = 3 + MEMBERS + ROAMERS,
    BUFFER_BYTES = 256 * 1024,
    DEADLINE_S = 60,
    IDLE_MS = 5,
};

enum role { PUBLISHER, STAYER, CHURNER, MEMBER, ROAMER };

/* What a roaming client knows of its session, whichever connection it has. lock: mutex */
struct roaming {
    pthread_mutex_t mutex;
    const struct peer *current; /* its newest connection: what comes on another one is not read any more */
    uint8_t qos;
    uint8_t times[PLACES][MESSAGES];
    int last[PLACES]; /* highest number so far */
    bool open[65536]; /* QoS 2 packet ids received and not released */
    unsigned seen;
    unsigned takeovers;
};

/* One connection, with a socket that takes everything. owner: its thread */
struct peer {
    struct runner *runner;
    enum role role;
    unsigned number;       /* among those of its role */
    struct client *client; /* NULL: none */
    bool has_connack;
    bool is_paused;
    uint16_t packet_id;
    uint8_t *input; /* what the broker sent and is cut */
    size_t input_len;
    uint8_t *output; /* what is to be sent at the next turn */
    size_t output_len;
    /* publisher */
    unsigned published; /* of 3 * MESSAGES */
    unsigned in_flight;
    /* stayer, member: per publisher and QoS, the next or lowest number that may come; churner: [p][0], above the last retained */
    int next[PLACES][3];
    unsigned received;
    /* churner */
    bool is_subscribed;
    bool waits;      /* for SUBACK or UNSUBACK */
    bool is_last;    /* the subscription that gets the last retained values */
    unsigned linger; /* turns until it unsubscribes */
};

struct runner { /* one thread */
    pthread_t thread;
    unsigned index;
    uint64_t random;
    struct peer peers[ROLES];
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool is_woken; /* lock: mutex */
    unsigned turns;
};

static struct {
    struct broker *broker;
    struct runner runners[PLACES];
    struct roaming roaming[ROAMERS];
    _Atomic uint8_t by_group[PLACES][3][MESSAGES];
    _Atomic unsigned group_received;
    _Atomic unsigned subscribed; /* connections whose subscription must be there before anybody publishes */
    _Atomic unsigned publishers_done;
    _Atomic unsigned runners_done; /* whose connections have got everything */
    _Atomic bool has_failed;
    char failure[256]; /* the first one; lock: failure_mutex */
    pthread_mutex_t failure_mutex;
    struct timespec started;
} world;

static void fail_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void fail_run(const char *format, ...)
{
    pthread_mutex_lock(&world.failure_mutex);
    if (!atomic_load(&world.has_failed)) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(world.failure, sizeof(world.failure), format, arguments);
        va_end(arguments);
        atomic_store(&world.has_failed, true);
    }
    pthread_mutex_unlock(&world.failure_mutex);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint32_t random_below(struct runner *runner, uint32_t n)
{
    runner->random = runner->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(runner->random >> 33) % n;
}

/* --- what clients send -------------------------------------------------------------------------------------------------- */

static uint8_t *room(struct peer *peer)
{
    if (BUFFER_BYTES - peer->output_len < 1024) {
        fail_run("a client has too much to send");
        peer->output_len = 0;
    }
    return peer->output + peer->output_len;
}

static void send_connect(struct peer *peer, const char *id, bool clean_start)
{
    struct connect c = {.version = MQTT_5_0, .clean_start = clean_start, .client_id = bytes_from_string(id)};
    if (!clean_start) {
        c.properties.session_expiry_interval_s = 3600;
        properties_set(&c.properties, PROPERTY_SESSION_EXPIRY_INTERVAL);
    }
    peer->output_len += connect_encode(room(peer), 1024, &c, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
}

static void send_subscribe(struct peer *peer, const char *filter, uint8_t qos)
{
    const struct subscribe_entry entry = {.filter = bytes_from_string(filter), .qos = qos};
    peer->output_len += subscribe_encode(room(peer), 1024, 1, &entry, 1, 0, (struct bytes){NULL, 0}, MQTT_5_0);
}

static void send_unsubscribe(struct peer *peer, const char *filter)
{
    struct bytes f = bytes_from_string(filter);
    peer->output_len += unsubscribe_encode(room(peer), 1024, 1, &f, 1, (struct bytes){NULL, 0}, MQTT_5_0);
}

static void send_ack(struct peer *peer, enum packet_type type, uint16_t packet_id)
{
    peer->output_len += ack_encode(room(peer), 1024, type, packet_id, 0, (struct bytes){NULL, 0}, 0, MQTT_5_0);
}

static void send_publish(struct peer *peer, const char *topic, unsigned number, uint8_t qos, bool retain)
{
    char payload[16];
    int len = snprintf(payload, sizeof(payload), "%u", number);
    if (qos > 0) {
        peer->packet_id = peer->packet_id == UINT16_MAX ? 1 : (uint16_t)(peer->packet_id + 1);
        peer->in_flight++;
    }
    const struct publish_head head = {.qos = qos,
                                      .retain = retain,
                                      .packet_id = qos > 0 ? peer->packet_id : 0,
                                      .topic = bytes_from_string(topic),
                                      .payload_len = (size_t)len};
    uint8_t *at = room(peer);
    size_t head_len = publish_encode_head(at, 1024, &head, MQTT_5_0, NULL);
    memcpy(at + head_len, payload, (size_t)len);
    peer->output_len += head_len + (size_t)len;
}

/* --- what clients receive ----------------------------------------------------------------------------------------------- */

struct numbered {
    unsigned publisher;
    unsigned qos; /* as published */
    int number;
};

static bool parse(const struct publish *p, struct numbered *out)
{
    char topic[16] = {0};
    char payload[16] = {0};
    if (p->topic.len >= sizeof(topic) || p->payload.len >= sizeof(payload)) {
        return false;
    }
    memcpy(topic, p->topic.data, p->topic.len);
    memcpy(payload, p->payload.data, p->payload.len);
    out->number = (int)strtol(payload, NULL, 10);
    out->qos = 0;
    bool is_retained = topic[0] == 'r';
    int fields =
        is_retained ? sscanf(topic, "r/%u", &out->publisher) : sscanf(topic, "s/%u/%u", &out->publisher, &out->qos);
    return fields == (is_retained ? 1 : 2) && out->publisher < PLACES && out->qos < 3 && out->number >= 0 &&
           out->number < MESSAGES;
}

static void acknowledge(struct peer *peer, const struct publish *p)
{
    if (p->qos > 0) {
        send_ack(peer, p->qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, p->packet_id);
    }
}

static void stayer_receives(struct peer *peer, const struct publish *p, const struct numbered *n)
{
    int *next = &peer->next[n->publisher][n->qos];
    if (n->number != *next || p->qos != n->qos || p->dup) {
        fail_run("stayer %u: publisher %u, qos %u: %d came instead of %d", peer->runner->index, n->publisher, n->qos,
                 n->number, *next);
    }
    *next = n->number + 1;
    peer->received++;
    acknowledge(peer, p);
}

static void member_receives(struct peer *peer, const struct publish *p, const struct numbered *n)
{
    int *lowest = &peer->next[n->publisher][n->qos];
    if (n->number < *lowest) {
        fail_run("member: publisher %u, qos %u: %d came behind %d", n->publisher, n->qos, n->number, *lowest - 1);
    }
    *lowest = n->number + 1;
    if (atomic_fetch_add(&world.by_group[n->publisher][n->qos][n->number], 1) != 0) {
        fail_run("group: publisher %u, qos %u: %d came twice", n->publisher, n->qos, n->number);
    }
    atomic_fetch_add(&world.group_received, 1);
    acknowledge(peer, p);
}

static void churner_receives(struct peer *peer, const struct publish *p, const struct numbered *n)
{
    if (p->topic.data[0] == 'r') {
        int *lowest = &peer->next[n->publisher][0];
        if (n->number < *lowest) {
            fail_run("churner: retained %d of publisher %u came behind %d", n->number, n->publisher, *lowest - 1);
        }
        *lowest = n->number + 1;
    }
    acknowledge(peer, p);
}

static void roamer_receives(struct peer *peer, const struct publish *p, const struct numbered *n)
{
    struct roaming *roaming = &world.roaming[peer->number];
    pthread_mutex_lock(&roaming->mutex);
    bool is_repeated = p->qos == 2 && roaming->open[p->packet_id];
    if (roaming->current == peer && !is_repeated) {
        uint8_t *times = &roaming->times[n->publisher][n->number];
        int *last = &roaming->last[n->publisher];
        if (*times > 0 && (p->qos == 2 || !p->dup)) {
            fail_run("roamer %u: publisher %u: %d came twice", peer->number, n->publisher, n->number);
        }
        if (!p->dup && n->number <= *last) {
            fail_run("roamer %u: publisher %u: %d came behind %d", peer->number, n->publisher, n->number, *last);
        }
        *last = n->number > *last ? n->number : *last;
        roaming->seen += *times == 0;
        *times = 1;
        roaming->open[p->packet_id] = p->qos == 2;
    }
    if (roaming->current == peer) {
        acknowledge(peer, p);
    }
    pthread_mutex_unlock(&roaming->mutex);
}

static void on_publish(struct peer *peer, const struct publish *p)
{
    struct numbered n;
    if (!parse(p, &n)) {
        fail_run("a message that nobody has published came");
        return;
    }
    switch (peer->role) {
    case STAYER:
        stayer_receives(peer, p, &n);
        break;
    case MEMBER:
        member_receives(peer, p, &n);
        break;
    case CHURNER:
        churner_receives(peer, p, &n);
        break;
    case ROAMER:
        roamer_receives(peer, p, &n);
        break;
    case PUBLISHER:
        fail_run("a publisher has received a message");
        break;
    }
}

static void on_pubrel(struct peer *peer, uint16_t packet_id)
{
    if (peer->role == ROAMER) {
        struct roaming *roaming = &world.roaming[peer->number];
        pthread_mutex_lock(&roaming->mutex);
        if (roaming->current == peer) {
            roaming->open[packet_id] = false;
            send_ack(peer, PACKET_PUBCOMP, packet_id);
        }
        pthread_mutex_unlock(&roaming->mutex);
    } else {
        send_ack(peer, PACKET_PUBCOMP, packet_id);
    }
}

static void on_ack(struct peer *peer, enum packet_type type, struct bytes body)
{
    struct ack ack;
    struct fault fault;
    if (!ack_decode(body, type, MQTT_5_0, &ack, &fault) || (ack.reason_code >= 0x80 && peer->role != ROAMER)) {
        fail_run("%s: reason 0x%02X", packet_name(type), ack.reason_code);
    } else if (type == PACKET_PUBREC) {
        send_ack(peer, PACKET_PUBREL, ack.packet_id);
    } else if (type == PACKET_PUBREL) {
        on_pubrel(peer, ack.packet_id);
    } else {
        peer->in_flight--;
    }
}

static void on_suback(struct peer *peer)
{
    if (peer->role == CHURNER) {
        peer->waits = false;
        peer->is_subscribed = !peer->is_subscribed;
    } else {
        atomic_fetch_add(&world.subscribed, 1);
    }
}

static void on_packet(struct peer *peer, const struct packet_header *header, struct bytes body)
{
    struct fault fault;
    struct publish publish;
    struct connack connack;
    switch (header->type) {
    case PACKET_CONNACK:
        peer->has_connack = connack_decode(body, MQTT_5_0, &connack, &fault) && connack.reason_code == 0;
        break;
    case PACKET_PUBLISH:
        if (publish_decode(body, header->flags, MQTT_5_0, false, &publish, &fault)) {
            on_publish(peer, &publish);
        } else {
            fail_run("malformed PUBLISH: %s", fault.why);
        }
        break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
        on_ack(peer, header->type, body);
        break;
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        on_suback(peer);
        break;
    case PACKET_DISCONNECT:
        if (peer->role != ROAMER) {
            fail_run("DISCONNECT 0x%02X for role %d", body.len > 0 ? body.data[0] : 0, (int)peer->role);
        }
        break;
    default:
        fail_run("unexpected %s", packet_name(header->type));
    }
}

static void on_bytes(struct peer *peer, const uint8_t *bytes, size_t len)
{
    if (peer->input_len + len > BUFFER_BYTES) {
        fail_run("a client is sent too much at once");
        return;
    }
    memcpy(peer->input + peer->input_len, bytes, len);
    peer->input_len += len;
    size_t used = 0;
    for (;;) {
        struct packet_header header;
        struct fault fault;
        int n = packet_header_decode(peer->input + used, peer->input_len - used, MQTT_5_0, &header, &fault);
        if (n < 0) {
            fail_run("malformed packet: %s", fault.why);
        }
        if (n <= 0 || peer->input_len - used < (size_t)n + header.body_len) {
            break;
        }
        on_packet(peer, &header, (struct bytes){peer->input + used + n, header.body_len});
        used += (size_t)n + header.body_len;
    }
    peer->input_len -= used;
    memmove(peer->input, peer->input + used, peer->input_len);
}

/* --- transport ---------------------------------------------------------------------------------------------------------- */

static void peer_flush(void *transport)
{
    struct peer *peer = transport;
    const struct outq *out = client_output(peer->client);
    while (out->len > 0) {
        struct iovec iov[16];
        int count = outq_iov(out, iov, 16);
        size_t sent = 0;
        for (int i = 0; i < count; i++) {
            on_bytes(peer, iov[i].iov_base, iov[i].iov_len);
            sent += iov[i].iov_len;
        }
        client_written(peer->client, sent, false);
    }
}

static void peer_pause(void *transport, bool paused)
{
    ((struct peer *)transport)->is_paused = paused;
}

static void peer_close(void *transport)
{
    struct peer *peer = transport;
    client_gone(peer->client, CLIENT_END_CLOSED);
    peer->client = NULL;
}

static void peer_describe(void *transport, char *buf, size_t cap)
{
    (void)transport;
    (void)snprintf(buf, cap, "test");
}

static const struct client_transport transport = {peer_flush, peer_pause, peer_close, peer_describe, "test", 0};

static void open_peer(struct peer *peer, const char *id, bool clean_start)
{
    peer->has_connack = false;
    peer->is_paused = false;
    peer->input_len = 0;
    peer->output_len = 0;
    peer->client = client_new(broker_place(world.broker, peer->runner->index), &transport, peer);
    if (peer->client == NULL) {
        fail_run("out of memory");
        return;
    }
    send_connect(peer, id, clean_start);
}

/* --- what clients do in a turn ------------------------------------------------------------------------------------------ */

static bool may_publish(void)
{
    return atomic_load(&world.subscribed) == PLACES * (1 + MEMBERS) + ROAMERS;
}

static bool all_is_published(void)
{
    return atomic_load(&world.publishers_done) == PLACES;
}

/* Each of these: @return true once the client has got all it must */
static bool step_publisher(struct peer *peer)
{
    if (!peer->has_connack || !may_publish()) {
        return false;
    }
    unsigned all = 3 * MESSAGES;
    for (int burst = 0; burst < BURST && peer->published < all && peer->in_flight < IN_FLIGHT_MAX; burst++) {
        unsigned qos = peer->published % 3;
        unsigned number = peer->published / 3;
        char topic[16];
        (void)snprintf(topic, sizeof(topic), "s/%u/%u", peer->runner->index, qos);
        send_publish(peer, topic, number, (uint8_t)qos, false);
        if (qos == 0) {
            (void)snprintf(topic, sizeof(topic), "r/%u", peer->runner->index);
            send_publish(peer, topic, number, 1, true);
        }
        peer->published++;
    }
    if (peer->published == all && peer->in_flight == 0) {
        peer->published++; /* said once */
        atomic_fetch_add(&world.publishers_done, 1);
    }
    return peer->published > all;
}

static bool step_subscriber(struct peer *peer, const char *filter, unsigned wanted, unsigned got)
{
    if (peer->has_connack && !peer->waits) {
        peer->waits = true; /* subscribed once */
        send_subscribe(peer, filter, 2);
    }
    return got == wanted;
}

static bool step_churner(struct peer *peer)
{
    if (peer->is_last) {
        bool has_all = peer->is_subscribed;
        for (unsigned p = 0; p < PLACES; p++) {
            has_all &= peer->next[p][0] == MESSAGES;
        }
        return has_all;
    }
    if (!peer->has_connack || peer->waits) {
        return false;
    }
    static const char *const filters[] = {"r/#", "$share/churn/s/#"};
    const char *filter = filters[peer->number % 2];
    if (!peer->is_subscribed) {
        peer->is_last = all_is_published();
        filter = peer->is_last ? filters[0] : filter;
        memset(peer->next, 0, sizeof(peer->next));
        send_subscribe(peer, filter, 0);
        peer->linger = 1 + random_below(peer->runner, 10);
        peer->waits = true;
    } else if (--peer->linger == 0) {
        send_unsubscribe(peer, filter);
        peer->number++; /* the other filter next time */
        peer->waits = true;
    }
    return false;
}

static bool roaming_is_complete(struct roaming *roaming)
{
    pthread_mutex_lock(&roaming->mutex);
    bool is_complete = roaming->seen == PLACES * MESSAGES;
    pthread_mutex_unlock(&roaming->mutex);
    return is_complete;
}

static void hang_up(struct peer *peer)
{
    if (peer->client != NULL) {
        client_gone(peer->client, CLIENT_END_PEER);
        peer->client = NULL;
    }
}

/* The session's home subscribes, then everybody takes it from everybody, and in the end its home gets the rest. */
static bool step_roamer(struct peer *peer)
{
    struct roaming *roaming = &world.roaming[peer->number];
    struct runner *runner = peer->runner;
    bool is_home = runner->index == peer->number;
    if (is_home && peer->has_connack && !peer->waits) {
        peer->waits = true; /* subscribed once */
        send_subscribe(peer, peer->number == 0 ? "s/+/1" : "s/+/2", roaming->qos);
    }
    bool is_over = all_is_published();
    bool may_open = is_over ? is_home : may_publish() ? random_below(runner, 12) == 0 : is_home;
    if (peer->client == NULL && may_open) {
        char id[16];
        (void)snprintf(id, sizeof(id), "roamer%u", peer->number);
        pthread_mutex_lock(&roaming->mutex);
        roaming->current = peer;
        roaming->takeovers++;
        pthread_mutex_unlock(&roaming->mutex);
        open_peer(peer, id, false);
    } else if (peer->client != NULL && may_publish() && !is_home && (is_over || random_below(runner, 100) == 0)) {
        hang_up(peer);
    }
    return (is_home || peer->client == NULL) && roaming_is_complete(roaming);
}

static bool step(struct peer *peer)
{
    switch (peer->role) {
    case PUBLISHER:
        return step_publisher(peer);
    case STAYER:
        return step_subscriber(peer, "s/#", PLACES * 3 * MESSAGES, peer->received);
    case MEMBER:
        return step_subscriber(peer, "$share/g/s/#", PLACES * 3 * MESSAGES, atomic_load(&world.group_received));
    case CHURNER:
        return step_churner(peer);
    case ROAMER:
        return step_roamer(peer);
    }
    return true;
}

/* --- threads ------------------------------------------------------------------------------------------------------------ */

static void wake(void *arg, unsigned place)
{
    (void)arg;
    struct runner *runner = &world.runners[place];
    pthread_mutex_lock(&runner->mutex);
    runner->is_woken = true;
    pthread_cond_signal(&runner->woken);
    pthread_mutex_unlock(&runner->mutex);
}

/* @return true if there is mail */
static bool wait_for_mail(struct runner *runner, bool may_sleep)
{
    tg_rcu_offline();
    pthread_mutex_lock(&runner->mutex);
    if (!runner->is_woken && may_sleep) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += IDLE_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&runner->woken, &runner->mutex, &until);
    }
    bool is_woken = runner->is_woken;
    runner->is_woken = false;
    pthread_mutex_unlock(&runner->mutex);
    tg_rcu_online();
    return is_woken;
}

static void feed(struct peer *peer)
{
    if (peer->client == NULL || peer->is_paused || peer->output_len == 0) {
        return;
    }
    size_t len = peer->output_len;
    uint8_t *bytes = malloc(len); /* what comes is answered into the same buffer */
    if (bytes == NULL) {
        fail_run("out of memory");
        return;
    }
    memcpy(bytes, peer->output, len);
    peer->output_len = 0;
    client_receive(peer->client, bytes, len);
    free(bytes);
}

/* @return true if everybody here has got everything */
static bool turn(struct runner *runner, bool has_mail, bool *more)
{
    struct place *place = broker_place(world.broker, runner->index);
    uint64_t now = now_ms();
    place_set_time(place, now, now);
    bool is_done = true;
    *more = false;
    for (unsigned i = 0; i < ROLES; i++) {
        is_done &= step(&runner->peers[i]);
        feed(&runner->peers[i]);
    }
    if (has_mail && place_receive_mail(place)) {
        wake(NULL, runner->index);
    }
    *more |= place_end_turn(place);
    for (unsigned i = 0; i < ROLES; i++) {
        *more |= runner->peers[i].output_len > 0 && !runner->peers[i].is_paused;
    }
    tg_rcu_quiescent();
    return is_done;
}

static void wake_all(void)
{
    for (unsigned p = 0; p < PLACES; p++) {
        wake(NULL, p);
    }
}

static void *run(void *arg)
{
    struct runner *runner = arg;
    tg_rcu_register_thread();
    struct place *place = broker_place(world.broker, runner->index);
    uint64_t now = now_ms();
    place_set_time(place, now, now);
    uint64_t deadline_ms = now + DEADLINE_S * 1000;
    for (unsigned i = 0; i < ROLES; i++) {
        struct peer *peer = &runner->peers[i];
        if (peer->role != ROAMER) {
            char id[16];
            (void)snprintf(id, sizeof(id), "%u-%u", runner->index, i);
            open_peer(peer, id, true);
        }
    }
    bool has_mail = true;
    bool was_done = false;
    while (atomic_load(&world.runners_done) < PLACES && !atomic_load(&world.has_failed)) {
        bool more;
        bool is_done = turn(runner, has_mail, &more);
        if (is_done && !was_done) {
            was_done = true;
            atomic_fetch_add(&world.runners_done, 1);
            wake_all();
        }
        if (now_ms() > deadline_ms) {
            fail_run("it does not come to an end: %u published, group %u of %u, roamers %u and %u of %u",
                     atomic_load(&world.publishers_done), atomic_load(&world.group_received), PLACES * 3 * MESSAGES,
                     world.roaming[0].seen, world.roaming[1].seen, PLACES * MESSAGES);
        }
        has_mail = wait_for_mail(runner, !more);
        runner->turns++;
    }
    for (unsigned i = 0; i < ROLES; i++) {
        hang_up(&runner->peers[i]);
    }
    (void)place_end_turn(place);
    tg_rcu_unregister_thread();
    return NULL;
}

static void *must(void *memory)
{
    ck_assert_ptr_nonnull(memory);
    return memory;
}

static void set_up(void)
{
    static const enum role roles[ROLES] = {PUBLISHER, STAYER, CHURNER, MEMBER, MEMBER, ROAMER, ROAMER};
    pthread_mutex_init(&world.failure_mutex, NULL);
    for (unsigned p = 0; p < PLACES; p++) {
        struct runner *runner = &world.runners[p];
        runner->index = p;
        runner->random = p * 7919 + 1;
        pthread_mutex_init(&runner->mutex, NULL);
        pthread_cond_init(&runner->woken, NULL);
        for (unsigned i = 0; i < ROLES; i++) {
            struct peer *peer = &runner->peers[i];
            *peer = (struct peer){.runner = runner, .role = roles[i]};
            peer->number = i > 0 && roles[i - 1] == roles[i] ? 1 : 0;
            peer->input = must(malloc(BUFFER_BYTES));
            peer->output = must(malloc(BUFFER_BYTES));
        }
    }
    for (unsigned r = 0; r < ROAMERS; r++) {
        pthread_mutex_init(&world.roaming[r].mutex, NULL);
        world.roaming[r].qos = (uint8_t)(r + 1);
        for (unsigned p = 0; p < PLACES; p++) {
            world.roaming[r].last[p] = -1;
        }
    }
}

static void tear_down(void)
{
    for (unsigned p = 0; p < PLACES; p++) {
        for (unsigned i = 0; i < ROLES; i++) {
            free(world.runners[p].peers[i].input);
            free(world.runners[p].peers[i].output);
        }
    }
}

static void *run_store(void *arg)
{
    ram_store_run(arg);
    return NULL;
}

/* With the store in memory, and with a durable one that has its own thread. */
START_TEST(loses_doubles_and_reorders_nothing_between_threads)
{
    bool is_durable = _i > 0;
    set_up();
    tg_rcu_register_thread();
    struct config *config = must(config_default());
    config->sys_interval_s = 0;
    config->limits.queued_messages = 100000;
    config->limits.mailbox_bytes = 2048; /* so that publishers are paused now and then */
    static struct ram_store ram;
    pthread_t engine;
    ram_store_init(&ram);
    ram.is_held = true;
    ram.holds_reads = true;
    struct store *store = is_durable ? &ram.store : must(store_memory_new());
    struct access *access = must(access_open_new(true));
    const struct log_options quiet = {.level = LOG_LEVEL_ERROR, .lines_per_s = LOG_LINES_PER_S_DEFAULT};
    log_configure(&quiet);
    uint64_t now = now_ms();
    const struct broker_env env = {.wake = wake, .store = store, .access = access, .now_ms = now, .wall_ms = now};
    world.broker = must(broker_new(config, PLACES, &env));
    if (is_durable) {
        ck_assert_int_eq(pthread_create(&engine, NULL, run_store, &ram), 0);
    }
    for (unsigned p = 0; p < PLACES; p++) {
        ck_assert_int_eq(pthread_create(&world.runners[p].thread, NULL, run, &world.runners[p]), 0);
    }
    tg_rcu_offline();
    for (unsigned p = 0; p < PLACES; p++) {
        pthread_join(world.runners[p].thread, NULL);
    }
    if (is_durable) {
        ram_store_end(&ram);
        pthread_join(engine, NULL);
    }
    tg_rcu_online();
    ck_assert_msg(!atomic_load(&world.has_failed), "%s", world.failure);
    for (unsigned r = 0; r < ROAMERS; r++) {
        ck_assert_uint_gt(world.roaming[r].takeovers, 5);
    }
    broker_free(world.broker);
    if (!is_durable) {
        store_free(store);
    }
    ck_assert(!is_durable || ram.done.operations > 1000);
    ram_store_fini(&ram);
    access_free(access);
    config_free(config);
    tg_rcu_unregister_thread();
    tear_down();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("threads");
    TCase *tc = tcase_create("threads");
    tcase_add_loop_test(tc, loses_doubles_and_reorders_nothing_between_threads, 0, 2);
    tcase_set_timeout(tc, DEADLINE_S + 10);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
