/* MQTT 3.1.1, 4.3 to 4.6, over connections that break at any moment.
 *
 * Publishers number their messages, one count for each QoS. Consumers follow the protocol as good clients do, but at
 * random they, or their network, lose what is under way, come back elsewhere, are slow, or take their own connection
 * over; the store answers when it likes. In the end every consumer must have had every QoS 2 message once and in order,
 * and every QoS 1 message in order, too, but for repetitions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/broker/spec.h"
#include "tests/conformance/v311.h"

enum { PUBLISHERS = 2, CONSUMERS = 3, STEPS = 1000, OPEN_MAX = 64 };

/* A message that a publisher has not brought to its end. */
struct open_message {
    uint16_t id;
    uint8_t qos;
    unsigned number;
    bool released; /* PUBREC came */
};

struct peer {
    struct tc *c; /* NULL: away */
    char id[16];
    bool is_publisher;
    bool is_accepted; /* CONNACK came */
    bool was_there;   /* its session exists */

    /* a publisher: */
    unsigned index;
    unsigned published[3]; /* by QoS */
    struct open_message open[OPEN_MAX];
    unsigned open_count;
    uint16_t last_id;

    /* a consumer: */
    unsigned next[PUBLISHERS][3];
    bool received[UINT16_MAX + 1]; /* ids of QoS 2 without PUBREL */
};

struct run {
    struct harness *h;
    uint64_t random;
    struct peer peers[PUBLISHERS + CONSUMERS]; /* publishers first */
};

static unsigned below(struct run *run, unsigned limit)
{
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return (unsigned)(run->random >> 32) % limit;
}

/* --- publishers --------------------------------------------------------------------------------------------------- */

/* Hand it to the broker, which goes on with it in its next turn. */
static void send_message(const struct peer *peer, const struct open_message *message, bool again)
{
    char spec[64];
    if (message->released) {
        snprintf(spec, sizeof(spec), "62{%04x}", message->id);
    } else {
        snprintf(spec, sizeof(spec), "%02x{<t/%u/%u> %04x '%u'}", 0x30 | (again ? 8 : 0) | message->qos << 1,
                 peer->index, message->qos, message->id, message->number);
    }
    struct spec_bytes bytes = spec_encode(spec);
    tc_feed(peer->c, bytes.data, bytes.len);
    free(bytes.data);
}

static struct open_message *find_open(struct peer *peer, uint16_t id)
{
    for (unsigned i = 0; i < peer->open_count; i++) {
        if (peer->open[i].id == id) {
            return &peer->open[i];
        }
    }
    ck_abort_msg("%s: acknowledgement of %u, which is not open", peer->id, id);
    return NULL;
}

static void close_open(struct peer *peer, uint16_t id)
{
    struct open_message *message = find_open(peer, id);
    struct open_message *end = peer->open + peer->open_count;
    memmove(message, message + 1, (size_t)((char *)end - (char *)(message + 1)));
    peer->open_count--;
}

/* A new message; it is lost on its way if the network is about to break. */
static void publish(struct run *run, struct peer *peer, bool is_lost)
{
    if (!peer->is_accepted || peer->open_count == OPEN_MAX) {
        return;
    }
    uint8_t qos = (uint8_t)(1 + below(run, 2));
    struct open_message *message = &peer->open[peer->open_count++];
    *message = (struct open_message){.id = ++peer->last_id, .qos = qos, .number = peer->published[qos]++};
    if (!is_lost) {
        send_message(peer, message, false);
    }
}

static void on_acknowledgement(struct peer *peer, enum packet_type type, bool answers)
{
    static const char *const names[] = {"PUBACK", "PUBREC", "PUBREL", "PUBCOMP"};
    const struct ack *ack = tc_expect_any_ack(peer->c, type, 0);
    struct open_message *message = find_open(peer, ack->packet_id);
    if (type != PACKET_PUBREC) {
        ck_assert_msg((type == PACKET_PUBACK) == (message->qos == 1), "%s for QoS %u", names[type - PACKET_PUBACK],
                      message->qos);
        close_open(peer, ack->packet_id);
        return;
    }
    ck_assert_uint_eq(message->qos, 2);
    message->released = true;
    if (answers) {
        tc_pubrel(peer->c, ack->packet_id);
    }
}

/* --- consumers ---------------------------------------------------------------------------------------------------- */

/* The application gets a message. */
static void consume(struct peer *peer, const struct publish *publish)
{
    unsigned from;
    unsigned qos;
    unsigned number;
    char text[64];
    snprintf(text, sizeof(text), "%.*s %.*s", (int)publish->topic.len, (const char *)publish->topic.data,
             (int)publish->payload.len, (const char *)publish->payload.data);
    ck_assert_msg(sscanf(text, "t/%u/%u %u", &from, &qos, &number) == 3, "%s: %s", peer->id, text);
    ck_assert_uint_lt(from, PUBLISHERS);
    ck_assert_uint_eq(qos, publish->qos);
    unsigned *next = &peer->next[from][qos];
    if (number == *next) {
        ++*next;
    } else {
        ck_assert_msg(qos == 1 && number < *next, "%s: %s, expected %u", peer->id, text, *next);
    }
}

static void on_publish(struct peer *peer, bool answers)
{
    const struct publish *publish = tc_expect_any_publish(peer->c);
    if (publish->qos == 1) {
        consume(peer, publish);
        if (answers) {
            tc_puback(peer->c, publish->packet_id);
        }
        return;
    }
    if (!peer->received[publish->packet_id]) {
        peer->received[publish->packet_id] = true;
        consume(peer, publish);
    }
    if (answers) {
        tc_pubrec(peer->c, publish->packet_id);
    }
}

static void on_pubrel(struct peer *peer, bool answers)
{
    const struct ack *ack = tc_expect_any_ack(peer->c, PACKET_PUBREL, 0);
    peer->received[ack->packet_id] = false;
    if (answers) {
        tc_pubcomp(peer->c, ack->packet_id);
    }
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void on_connack(struct peer *peer)
{
    tc_expect_connack(peer->c, peer->was_there, 0);
    peer->is_accepted = true;
    if (peer->is_publisher) {
        for (unsigned i = 0; i < peer->open_count; i++) {
            send_message(peer, &peer->open[i], true);
        }
    } else if (!peer->was_there) {
        tc_send_subscribe(peer->c, (struct tc_subscription){.filter = "t/#", .qos = 2});
    }
    peer->was_there = true;
}

/* Read one packet, and answer it unless the answer is lost. @return false if there is none */
static bool read_one(struct peer *peer, bool answers)
{
    unsigned type = peer->c != NULL ? tc_next_type(peer->c) : 0;
    switch (type) {
    case 0:
        return false;
    case PACKET_CONNACK:
        on_connack(peer);
        break;
    case PACKET_PUBLISH:
        on_publish(peer, answers);
        break;
    case PACKET_PUBREL:
        on_pubrel(peer, answers);
        break;
    case PACKET_SUBACK:
        tc_expect_suback(peer->c, 1, "02");
        break;
    default:
        on_acknowledgement(peer, (enum packet_type)type, answers);
    }
    return true;
}

/* PEER connects, perhaps elsewhere than before. What others have just sent is under way meanwhile. */
static void come(struct run *run, struct peer *peer)
{
    peer->is_accepted = false;
    peer->c = tc_open(run->h, below(run, run->h->places));
    tc_set_room(peer->c, below(run, 2) == 0 ? SIZE_MAX : below(run, 100));
    for (unsigned i = below(run, 4); i > 0 && run->peers[PUBLISHERS].was_there; i--) {
        publish(run, &run->peers[below(run, PUBLISHERS)], false);
    }
    tc_send_connect(peer->c, (struct tc_options){.id = peer->id, .version = MQTT_3_1_1, .resume = true});
}

static void hang_up(struct peer *peer)
{
    tc_hang_up(peer->c);
    peer->c = NULL;
    peer->is_accepted = false;
}

/* The network breaks, and takes along what is on its way: packets unread, answers, a message. */
static void break_network(struct run *run, struct peer *peer)
{
    (void)read_one(peer, false);
    if (peer->is_publisher && below(run, 2) == 0) {
        publish(run, peer, true);
    }
    hang_up(peer);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static void step(struct run *run)
{
    struct peer *peer = &run->peers[below(run, PUBLISHERS + CONSUMERS)];
    unsigned what = below(run, 100);
    if (what < 2) {
        run->h->store.is_held = true;
    } else if (what < 6) {
        run->h->store.is_held = false;
        harness_complete_store(run->h, SIZE_MAX);
    } else if (what < 12) {
        harness_complete_store(run->h, 1 + below(run, 5));
    } else if (peer->c == NULL) {
        come(run, peer);
    } else if (what < 15) {
        break_network(run, peer);
    } else if (what < 17) {
        come(run, peer); /* takes its own connection over */
    } else if (what < 22) {
        tc_set_room(peer->c, below(run, 30));
    } else if (what < 30) {
        tc_set_room(peer->c, SIZE_MAX);
    } else if (what < 65 && peer->is_publisher) {
        for (unsigned i = below(run, 5); i > 0; i--) {
            publish(run, peer, false);
        }
    } else {
        for (unsigned i = below(run, 10); i > 0 && read_one(peer, true); i--) {
        }
    }
}

/* Nothing breaks any more. */
static void drain(struct run *run)
{
    run->h->store.is_held = false;
    harness_complete_store(run->h, SIZE_MAX);
    bool more = true;
    while (more) {
        more = false;
        harness_run(run->h);
        for (unsigned i = 0; i < PUBLISHERS + CONSUMERS; i++) {
            struct peer *peer = &run->peers[i];
            if (peer->c == NULL) {
                come(run, peer);
            }
            tc_set_room(peer->c, SIZE_MAX);
            while (read_one(peer, true)) {
                more = true;
            }
        }
    }
}

static void check(const struct run *run)
{
    for (unsigned p = 0; p < PUBLISHERS; p++) {
        const struct peer *publisher = &run->peers[p];
        ck_assert_uint_eq(publisher->open_count, 0);
        ck_assert_uint_gt(publisher->published[1], 0);
        ck_assert_uint_gt(publisher->published[2], 0);
        for (unsigned c = PUBLISHERS; c < PUBLISHERS + CONSUMERS; c++) {
            for (unsigned qos = 1; qos <= 2; qos++) {
                ck_assert_msg(run->peers[c].next[p][qos] == publisher->published[qos], "%s had %u of %u with QoS %u",
                              run->peers[c].id, run->peers[c].next[p][qos], publisher->published[qos], qos);
            }
        }
    }
}

static void run_with(struct harness *h, uint64_t seed)
{
    h->limits->inflight_messages = 8;
    h->limits->output_bytes = 40;
    struct run *run = calloc(1, sizeof(*run));
    ck_assert_ptr_nonnull(run);
    run->h = h;
    run->random = seed * UINT64_C(0x9E3779B97F4A7C15);
    for (unsigned i = 0; i < PUBLISHERS + CONSUMERS; i++) {
        struct peer *peer = &run->peers[i];
        peer->is_publisher = i < PUBLISHERS;
        peer->index = i;
        snprintf(peer->id, sizeof(peer->id), "%s%u", peer->is_publisher ? "publisher" : "consumer", i);
    }
    for (unsigned i = PUBLISHERS + CONSUMERS; i-- > 0;) { /* consumers first, to miss nothing */
        come(run, &run->peers[i]);
        tc_set_room(run->peers[i].c, SIZE_MAX);
        while (read_one(&run->peers[i], true)) {
        }
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step(run);
    }
    drain(run);
    check(run);
    free(run);
}

CONFORMANCE_TEST(mqtt311_4_3_2_1_mqtt311_4_3_3_1_mqtt311_4_4_0_1_mqtt311_4_6_0_6_survives_interruptions_1)
{
    run_with(h, 1);
}

CONFORMANCE_TEST(mqtt311_4_3_2_2_mqtt311_4_3_3_2_mqtt311_4_4_0_1_mqtt311_4_5_0_1_survives_interruptions_2)
{
    run_with(h, 2);
}
