/* A persistent session that is taken from place to place while all places publish to it. The places are turned one at a time, in a random
 * order, so that every interleaving of mail that threads could bring about comes up; what must hold is counted by the
 * subscriber: each message once without DUP, each publisher's in its order, none missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/access/access_open.h"
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
#include "tests/check_main.h"

enum {
    PLACES = 4,
    MESSAGES = 400, /* per publisher */
    CONNECTIONS_MAX = 600,
    OUTPUT_BYTES = 1 << 20,
};

/* One connection, with a socket that takes everything. */
struct peer {
    struct client *client; /* NULL: gone */
    unsigned place;
    uint8_t *output; /* what the broker sent and nobody has read */
    size_t output_len;
    bool has_connack;
    bool session_present;
    uint8_t refused; /* reason code of CONNACK or DISCONNECT */
};

struct world {
    struct config *config;
    struct store *store;
    struct access *access;
    struct broker *broker;
    bool woken[PLACES];
    uint64_t now_ms;
    uint64_t random;
    struct peer *peers[CONNECTIONS_MAX];
    size_t peer_count;
    /* what the subscriber has seen */
    uint32_t next[PLACES]; /* per publisher: the number that comes next without DUP */
    bool seen[PLACES][MESSAGES];
    bool is_qos2;
    bool is_shared; /* a group may give the messages of one publisher out of order while members come and go */
    uint16_t unacknowledged[4096];
    size_t unacknowledged_count;
};

static struct world world;

static uint32_t random_below(uint32_t n)
{
    world.random = world.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(world.random >> 33) % n;
}

/* --- transport ---------------------------------------------------------------------------------------------------------- */

static void peer_flush(void *transport)
{
    struct peer *peer = transport;
    struct iovec iov[64];
    const struct outq *out = client_output(peer->client);
    size_t sent = 0;
    int count = outq_iov(out, iov, 64);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_le(peer->output_len + iov[i].iov_len, OUTPUT_BYTES);
        memcpy(peer->output + peer->output_len, iov[i].iov_base, iov[i].iov_len);
        peer->output_len += iov[i].iov_len;
        sent += iov[i].iov_len;
    }
    client_written(peer->client, sent, false);
}

static void peer_pause(void *transport, bool paused)
{
    (void)transport;
    (void)paused;
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

static struct place *at_place(unsigned index)
{
    struct place *place = broker_place(world.broker, index);
    place_set_time(place, world.now_ms, world.now_ms);
    return place;
}

static struct peer *open_peer(unsigned place)
{
    ck_assert_uint_lt(world.peer_count, CONNECTIONS_MAX);
    struct peer *peer = calloc(1, sizeof(*peer));
    ck_assert_ptr_nonnull(peer);
    peer->output = malloc(OUTPUT_BYTES);
    ck_assert_ptr_nonnull(peer->output);
    peer->place = place;
    peer->client = client_new(at_place(place), &transport, peer);
    ck_assert_ptr_nonnull(peer->client);
    world.peers[world.peer_count++] = peer;
    return peer;
}

static void feed(struct peer *peer, const uint8_t *bytes, size_t len)
{
    if (peer->client != NULL) {
        (void)at_place(peer->place);
        client_receive(peer->client, bytes, len);
    }
}

static void send_connect(struct peer *peer, const char *id, bool clean_start)
{
    struct connect c = {.version = MQTT_5_0, .clean_start = clean_start, .client_id = bytes_from_string(id)};
    c.properties.session_expiry_interval_s = 3600;
    properties_set(&c.properties, PROPERTY_SESSION_EXPIRY_INTERVAL);
    uint8_t buf[256];
    size_t len = connect_encode(buf, sizeof(buf), &c, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    ck_assert_uint_gt(len, 0);
    feed(peer, buf, len);
}

static void send_ack(struct peer *peer, enum packet_type type, uint16_t packet_id)
{
    uint8_t buf[16];
    size_t len = ack_encode(buf, sizeof(buf), type, packet_id, 0, (struct bytes){NULL, 0}, 0, MQTT_5_0);
    feed(peer, buf, len);
}

static void send_message(struct peer *peer, unsigned publisher, uint32_t number)
{
    char topic[32];
    char payload[32];
    (void)snprintf(topic, sizeof(topic), "t/%u", publisher);
    int payload_len = snprintf(payload, sizeof(payload), "%u %u", publisher, number);
    struct publish_head head = {.qos = world.is_qos2 ? 2 : 1,
                                .packet_id = (uint16_t)(number + 1),
                                .topic = bytes_from_string(topic),
                                .payload_len = (size_t)payload_len};
    uint8_t buf[128];
    size_t len = publish_encode_head(buf, sizeof(buf), &head, MQTT_5_0, NULL);
    ck_assert_uint_gt(len, 0);
    memcpy(buf + len, payload, (size_t)payload_len);
    feed(peer, buf, len + (size_t)payload_len);
    if (world.is_qos2) {
        send_ack(peer, PACKET_PUBREL, head.packet_id);
    }
}

/* --- turns -------------------------------------------------------------------------------------------------------------- */

static void turn(unsigned index)
{
    struct place *place = at_place(index);
    if (world.woken[index]) {
        world.woken[index] = place_receive_mail(place);
    }
    if (place_end_turn(place)) {
        world.woken[index] = true;
    }
    tg_rcu_quiescent();
}

static void run(void)
{
    bool again = true;
    while (again) {
        again = false;
        for (unsigned p = 0; p < PLACES; p++) {
            turn(p);
        }
        for (unsigned p = 0; p < PLACES; p++) {
            again |= world.woken[p];
        }
    }
}

static void wake(void *arg, unsigned place)
{
    (void)arg;
    world.woken[place] = true;
}

/* --- the subscriber ------------------------------------------------------------------------------------------------------- */

static void on_message(const struct publish *p)
{
    unsigned publisher;
    uint32_t number;
    char text[32] = {0};
    ck_assert_uint_lt(p->payload.len, sizeof(text));
    memcpy(text, p->payload.data, p->payload.len);
    ck_assert_int_eq(sscanf(text, "%u %u", &publisher, &number), 2);
    if (world.is_shared) {
        ck_assert_msg(p->dup || !world.seen[publisher][number], "publisher %u: %u came twice", publisher, number);
    } else if (p->dup) {
        ck_assert_msg(number <= world.next[publisher], "publisher %u: %u repeated before it was sent", publisher,
                      number);
        if (number == world.next[publisher]) {
            world.next[publisher]++; /* the connection that it was sent on first was never read */
        }
    } else {
        ck_assert_msg(number == world.next[publisher], "publisher %u: %u came instead of %u", publisher, number,
                      world.next[publisher]);
        world.next[publisher]++;
    }
    world.seen[publisher][number] = true;
    ck_assert_uint_lt(world.unacknowledged_count, sizeof(world.unacknowledged) / sizeof(world.unacknowledged[0]));
    world.unacknowledged[world.unacknowledged_count++] = p->packet_id;
}

/* Read what the broker sent to PEER. IS_SUBSCRIBER: it counts. */
static void read_output(struct peer *peer, bool is_subscriber)
{
    size_t at = 0;
    while (at < peer->output_len) {
        struct packet_header header;
        struct fault fault;
        int header_len = packet_header_decode(peer->output + at, peer->output_len - at, MQTT_5_0, &header, &fault);
        ck_assert_int_gt(header_len, 0);
        struct bytes body = {peer->output + at + header_len, header.body_len};
        at += (size_t)header_len + header.body_len;
        if (header.type == PACKET_CONNACK) {
            struct connack connack;
            ck_assert(connack_decode(body, MQTT_5_0, &connack, &fault));
            peer->has_connack = connack.reason_code == 0;
            peer->session_present = connack.session_present;
            peer->refused = connack.reason_code;
        } else if (header.type == PACKET_DISCONNECT) {
            peer->refused = body.len > 0 ? body.data[0] : 0;
        } else if (header.type == PACKET_PUBLISH && is_subscriber) {
            struct publish publish;
            ck_assert(publish_decode(body, header.flags, MQTT_5_0, false, &publish, &fault));
            on_message(&publish);
        } else if (header.type == PACKET_PUBREL && is_subscriber) {
            send_ack(peer, PACKET_PUBCOMP, (uint16_t)(body.data[0] << 8 | body.data[1]));
        }
    }
    peer->output_len = 0;
}

static void acknowledge(struct peer *peer, size_t count)
{
    count = count < world.unacknowledged_count ? count : world.unacknowledged_count;
    for (size_t i = 0; i < count; i++) {
        send_ack(peer, world.is_qos2 ? PACKET_PUBREC : PACKET_PUBACK, world.unacknowledged[i]);
    }
    world.unacknowledged_count -= count;
    memmove(world.unacknowledged, world.unacknowledged + count,
            world.unacknowledged_count * sizeof(world.unacknowledged[0]));
}

/* --- cases ---------------------------------------------------------------------------------------------------------------- */

static void set_up(uint64_t seed)
{
    memset(&world, 0, sizeof(world));
    world.random = seed;
    world.now_ms = 1000;
    tg_rcu_register_thread();
    world.config = config_default();
    ck_assert_ptr_nonnull(world.config);
    world.config->limits.queued_messages = 100000;
    world.config->sys_interval_s = 0;
    world.store = store_memory_new();
    world.access = access_open_new(true);
    const struct broker_env env = {
        .wake = wake, .store = world.store, .access = world.access, .now_ms = 1000, .wall_ms = 1000};
    world.broker = broker_new(world.config, PLACES, &env);
    ck_assert_ptr_nonnull(world.broker);
    const struct log_options quiet = {.level = LOG_LEVEL_ERROR, .lines_per_s = LOG_LINES_PER_S_DEFAULT};
    log_configure(&quiet);
}

static void tear_down(void)
{
    for (size_t i = 0; i < world.peer_count; i++) {
        struct peer *peer = world.peers[i];
        if (peer->client != NULL) {
            (void)at_place(peer->place);
            client_gone(peer->client, CLIENT_END_PEER);
        }
        free(peer->output);
        free(peer);
    }
    broker_free(world.broker);
    store_free(world.store);
    access_free(world.access);
    config_free(world.config);
    tg_rcu_unregister_thread();
}

static struct peer *connected(unsigned place, const char *id, bool clean_start)
{
    struct peer *peer = open_peer(place);
    send_connect(peer, id, clean_start);
    run();
    read_output(peer, false);
    ck_assert(peer->has_connack);
    return peer;
}

static void subscribe(struct peer *peer, const char *const *filters, size_t count, uint8_t qos)
{
    for (size_t i = 0; i < count; i++) {
        struct subscribe_entry entry = {.filter = bytes_from_string(filters[i]), .qos = qos};
        uint8_t buf[256];
        size_t len =
            subscribe_encode(buf, sizeof(buf), (uint16_t)(i + 1), &entry, 1, 0, (struct bytes){NULL, 0}, MQTT_5_0);
        feed(peer, buf, len);
    }
    run();
    read_output(peer, false);
}

/* Move the session about while everybody publishes. With probability 1 / MOVE_EVERY per step it is taken elsewhere. */
static void roam(const char *const *filters, size_t filter_count, uint32_t move_every)
{
    uint8_t qos = world.is_qos2 ? 2 : 1;
    struct peer *publishers[PLACES];
    uint32_t published[PLACES] = {0};
    for (unsigned p = 0; p < PLACES; p++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "publisher%u", p);
        publishers[p] = connected(p, id, true);
    }
    struct peer *subscriber = connected(0, "roamer", true);
    subscribe(subscriber, filters, filter_count, qos);
    size_t moves = 0;
    for (;;) {
        uint32_t left = 0;
        for (unsigned p = 0; p < PLACES; p++) {
            left += MESSAGES - published[p];
            read_output(publishers[p], false);
        }
        if (left == 0) {
            break;
        }
        unsigned p = random_below(PLACES);
        for (uint32_t burst = random_below(4); burst > 0 && published[p] < MESSAGES; burst--) {
            send_message(publishers[p], p, published[p]++);
        }
        turn(random_below(PLACES));
        if (random_below(3) == 0) {
            read_output(subscriber, true);
            acknowledge(subscriber, random_below(8));
        }
        if (random_below(move_every) == 0 && moves < CONNECTIONS_MAX - 20) {
            read_output(subscriber, true);
            world.unacknowledged_count = 0;
            if (random_below(4) == 0 && subscriber->client != NULL) {
                (void)at_place(subscriber->place);
                client_gone(subscriber->client, CLIENT_END_PEER);
                subscriber->client = NULL;
            }
            subscriber = open_peer(random_below(PLACES));
            send_connect(subscriber, "roamer", false);
            moves++;
        }
    }
    /* A last connection gets the rest. */
    read_output(subscriber, true);
    run();
    world.unacknowledged_count = 0;
    subscriber = open_peer(random_below(PLACES));
    send_connect(subscriber, "roamer", false);
    run();
    for (int i = 0; i < 1000 && (subscriber->output_len > 0 || i == 0); i++) {
        read_output(subscriber, true);
        acknowledge(subscriber, SIZE_MAX);
        run();
    }
    ck_assert(subscriber->has_connack);
    ck_assert(subscriber->session_present);
    ck_assert_uint_gt(moves, 5);
    for (unsigned p = 0; p < PLACES; p++) {
        for (uint32_t n = 0; n < MESSAGES; n++) {
            ck_assert_msg(world.seen[p][n], "publisher %u: %u is lost", p, n);
        }
    }
}

static const char *const one_filter[] = {"t/#"};
static const char *const overlapping_filters[] = {"t/#", "t/+", "t/1", "#"};
static const char *const shared_filter[] = {"$share/g/t/#"};

START_TEST(loses_nothing_and_keeps_order_over_moves_under_load)
{
    set_up((uint64_t)_i * 7919 + 1);
    roam(one_filter, 1, 20);
    tear_down();
}
END_TEST

START_TEST(delivers_overlapping_subscriptions_once_over_moves)
{
    set_up((uint64_t)_i * 104729 + 5);
    roam(overlapping_filters, 4, 25);
    tear_down();
}
END_TEST

START_TEST(keeps_qos2_exactly_once_over_moves)
{
    set_up((uint64_t)_i * 15485863 + 3);
    world.is_qos2 = true;
    roam(one_filter, 1, 20);
    tear_down();
}
END_TEST

START_TEST(moves_the_only_member_of_a_shared_group_without_loss)
{
    set_up((uint64_t)_i * 1299709 + 7);
    world.is_shared = true;
    roam(shared_filter, 1, 25);
    tear_down();
}
END_TEST

START_TEST(survives_a_storm_of_connects_for_one_session)
{
    set_up((uint64_t)_i + 11);
    roam(one_filter, 1, 3);
    tear_down();
}
END_TEST

START_TEST(gives_the_newest_of_many_waiting_connections_the_session)
{
    set_up(1);
    struct peer *first = connected(0, "x", true);
    struct peer *waiting[3];
    for (unsigned p = 1; p < 4; p++) {
        waiting[p - 1] = open_peer(p);
        send_connect(waiting[p - 1], "x", false);
    }
    run();
    read_output(first, false);
    ck_assert_uint_eq(first->refused, 0x8E);
    for (unsigned i = 0; i < 3; i++) {
        read_output(waiting[i], false);
    }
    ck_assert(!waiting[0]->has_connack || waiting[0]->client == NULL);
    ck_assert_ptr_null(waiting[1]->client);
    ck_assert(waiting[2]->has_connack);
    ck_assert_ptr_nonnull(waiting[2]->client);
    tear_down();
}
END_TEST

START_TEST(clean_start_elsewhere_ends_the_old_session)
{
    set_up(1);
    struct peer *old = connected(0, "x", true);
    subscribe(old, one_filter, 1, 1);
    struct peer *fresh = connected(2, "x", true);
    ck_assert(!fresh->session_present);
    run();
    ck_assert_ptr_null(old->client);
    struct peer *publisher = connected(3, "p", true);
    send_message(publisher, 0, 0);
    run();
    ck_assert_uint_eq(fresh->output_len, 0);
    struct peer *again = connected(1, "x", false);
    ck_assert(again->session_present);
    tear_down();
}
END_TEST

START_TEST(keeps_the_session_when_the_new_connection_dies_on_the_way)
{
    set_up(1);
    struct peer *old = connected(0, "x", true);
    subscribe(old, one_filter, 1, 1);
    struct peer *dying = open_peer(1);
    send_connect(dying, "x", false);
    (void)at_place(1);
    client_gone(dying->client, CLIENT_END_PEER);
    dying->client = NULL;
    struct peer *publisher = connected(3, "p", true);
    send_message(publisher, 0, 0);
    run();
    struct peer *again = open_peer(2);
    send_connect(again, "x", false);
    run();
    read_output(again, true);
    ck_assert(again->session_present);
    ck_assert(world.seen[0][0]);
    tear_down();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("handover");
    TCase *tc = tcase_create("moves");
    tcase_add_loop_test(tc, loses_nothing_and_keeps_order_over_moves_under_load, 0, 10);
    tcase_add_loop_test(tc, delivers_overlapping_subscriptions_once_over_moves, 0, 6);
    tcase_add_loop_test(tc, keeps_qos2_exactly_once_over_moves, 0, 6);
    tcase_add_loop_test(tc, survives_a_storm_of_connects_for_one_session, 0, 4);
    tcase_add_test(tc, gives_the_newest_of_many_waiting_connections_the_session);
    tcase_add_test(tc, clean_start_elsewhere_ends_the_old_session);
    tcase_add_test(tc, keeps_the_session_when_the_new_connection_dies_on_the_way);
    suite_add_tcase(s, tc);
    TCase *shared = tcase_create("shared");
    tcase_add_loop_test(shared, moves_the_only_member_of_a_shared_group_without_loss, 0, 6);
    suite_add_tcase(s, shared);
    return s;
}

CHECK_MAIN(suite)
