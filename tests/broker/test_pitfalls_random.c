/* Clients that do anything in any order: connect, take over, vanish, subscribe, publish, acknowledge rightly and wrongly, send half
 * packets and none at all, while sockets fill, time goes by, and store and access answer late. What must hold always is checked on every packet
 * that comes (test_client.h); in the end everything must be accounted for. A number names a sequence of steps: CK_RUN_CASE
 * and the number in a failure repeat it. */
#include <stdio.h>
#include <string.h>

#include "gateway/broker/stats.h"
#include "protocol/reason.h"
#include "tests/broker/harness.h"
#include "tests/broker/test_client.h"
#include "tests/check_main.h"

enum { SLOTS = 8, IDS = 7, STEPS = 1500, HELD = 16, SEQUENCES = 30 };

static const char *const ids[IDS] = {"a", "b", "c", "d", "e", "f", "g"};
static const char *const topics[] = {"t", "t/1", "t/2", "t/1/x", "u", "u/1", "secret", "$d/1"};
static const char *const filters[] = {"t",          "t/#",          "t/+",        "#", "+/1",   "u", "$share/g/t/#",
                                      "$share/g/u", "$share/h/t/1", "$share/h/#", "+", "secret"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

struct slot {
    struct tc *c; /* NULL: free */
    bool broken;  /* what was sent ends within a packet: nothing more makes sense */
    struct {
        uint16_t id;
        uint8_t qos;
    } held[HELD]; /* messages to be acknowledged later */
    size_t held_len;
};

struct storm {
    struct harness *h;
    uint64_t random;
    struct slot slots[SLOTS];
};

static unsigned draw(struct storm *s, unsigned below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (unsigned)(s->random >> 32) % below;
}

static bool chance(struct storm *s, unsigned percent)
{
    return draw(s, 100) < percent;
}

/* --- connections ------------------------------------------------------------------------------------------------------ */

static void draw_properties(struct storm *s, char *text, size_t cap)
{
    static const char *const names[] = {"session_expiry", "receive_max", "packet_max", "alias_max"};
    static const unsigned from[] = {0, 1, 60, 0};
    static const unsigned below[] = {5, 4, 60, 3};
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < COUNT(names); i++) {
        if (chance(s, 50)) {
            unsigned value = from[i] + draw(s, below[i]);
            len += (size_t)snprintf(text + len, cap - len, " %s:%u", names[i], value);
        }
    }
}

static void connect_one(struct storm *s, struct slot *slot)
{
    static const enum mqtt_version versions[] = {MQTT_5_0, MQTT_5_0, MQTT_5_0, MQTT_3_1_1, MQTT_3_1};
    char properties[128];
    struct tc_options options = {.id = ids[draw(s, IDS)],
                                 .version = versions[draw(s, COUNT(versions))],
                                 .place = draw(s, s->h->places),
                                 .resume = chance(s, 70),
                                 .keep_alive_s = (uint16_t)draw(s, 20)};
    if (options.version == MQTT_5_0) {
        draw_properties(s, properties, sizeof(properties));
        options.properties = properties;
    }
    if (chance(s, 40)) {
        options.will.topic = topics[draw(s, COUNT(topics))];
        options.will.payload = "will";
        options.will.qos = (uint8_t)draw(s, 3);
        options.will.retain = chance(s, 20);
        options.will.properties = options.version == MQTT_5_0 && chance(s, 50) ? "will_delay:1" : NULL;
    }
    s->h->access.is_held = s->h->access.waiting == NULL && chance(s, 10);
    bool was_held = s->h->access.is_held;
    *slot = (struct slot){.c = tc_try_connect(s->h, options)};
    s->h->access.is_held = false;
    if (was_held && s->h->access.waiting != NULL && chance(s, 70)) {
        harness_answer_access(s->h);
    } else if (was_held) {
        tc_hang_up(slot->c);
        slot->c = NULL;
    }
}

static void end_one(struct storm *s, struct slot *slot)
{
    if (chance(s, 50)) {
        if (slot->c->version == MQTT_5_0 && chance(s, 50)) {
            tc_send_spec(slot->c, "e0{%02x {session_expiry:%u}}", chance(s, 50) ? 0 : 4, draw(s, 3));
        } else {
            tc_send_spec(slot->c, "e000");
        }
    }
    tc_hang_up(slot->c);
    slot->c = NULL;
}

/* --- packets ---------------------------------------------------------------------------------------------------------- */

static void subscribe(struct storm *s, struct tc *c)
{
    const char *filter = filters[draw(s, COUNT(filters))];
    struct tc_subscription subscription = {.filter = filter, .qos = (uint8_t)draw(s, 3)};
    if (c->version == MQTT_5_0) {
        subscription.no_local = filter[0] != '$' && chance(s, 20);
        subscription.retain_as_published = chance(s, 30);
        subscription.retain_handling = (uint8_t)draw(s, 3);
        subscription.id = chance(s, 30) ? 1 + draw(s, 200) : 0;
    }
    tc_send_subscribe(c, subscription);
}

static void publish(struct storm *s, struct tc *c)
{
    static char payload[3000];
    memset(payload, 'x', sizeof(payload) - 1);
    char properties[64] = "";
    struct tc_message message = {.topic = topics[draw(s, COUNT(topics))],
                                 .payload = payload,
                                 .payload_len = 1 + draw(s, chance(s, 10) ? 2990 : 30),
                                 .qos = (uint8_t)draw(s, 3),
                                 .retain = chance(s, 15)};
    message.id = message.qos > 0 ? (uint16_t)(1 + draw(s, 6)) : 0;
    message.dup = message.qos > 0 && chance(s, 20);
    if (chance(s, 5)) {
        message.payload = NULL; /* clears what is retained */
        message.payload_len = 0;
    }
    if (c->version == MQTT_5_0 && chance(s, 40)) {
        snprintf(properties, sizeof(properties), "message_expiry:%u alias:%u user:<k><v>", draw(s, 4), 1 + draw(s, 2));
        message.properties = properties;
        if (chance(s, 4)) {
            message.topic = ""; /* perhaps the alias is known */
        }
    }
    tc_send_publish(c, message);
}

static void acknowledge(struct storm *s, struct tc *c, uint16_t id, uint8_t qos)
{
    uint8_t code = c->version == MQTT_5_0 && chance(s, 10) ? REASON_QUOTA_EXCEEDED : 0;
    tc_send_ack(c, qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, id, code);
}

/* Look at the oldest packet and do what it asks for, mostly. */
static void read_one(struct storm *s, struct slot *slot)
{
    struct tc *c = slot->c;
    unsigned type = tc_next_type(c);
    if (type == PACKET_PUBLISH) {
        const struct publish *p = tc_expect_any_publish(c);
        if (p->qos == 0) {
            return;
        }
        if (slot->held_len < HELD && chance(s, 30)) {
            slot->held[slot->held_len].id = p->packet_id;
            slot->held[slot->held_len++].qos = p->qos;
        } else {
            acknowledge(s, c, p->packet_id, p->qos);
        }
    } else if (type == PACKET_PUBREC) {
        const struct ack *ack = tc_take_ack(c, PACKET_PUBREC);
        if (ack->reason_code < 0x80 && chance(s, 80)) {
            tc_pubrel(c, ack->packet_id);
        }
    } else if (type == PACKET_PUBREL) {
        const struct ack *ack = tc_take_ack(c, PACKET_PUBREL);
        if (chance(s, 80)) {
            tc_pubcomp(c, ack->packet_id);
        }
    } else if (type != 0) {
        tc_skip(c);
    }
}

static void acknowledge_held(struct storm *s, struct slot *slot)
{
    if (slot->held_len > 0) {
        size_t at = draw(s, (unsigned)slot->held_len);
        acknowledge(s, slot->c, slot->held[at].id, slot->held[at].qos);
        slot->held[at] = slot->held[--slot->held_len];
    }
}

static void send_nonsense(struct storm *s, struct slot *slot)
{
    static const char *const packets[] = {
        "30{<t> {user:<k><v>} 'xyz'}",
        "82{0001 {} <t/#> 01 <#> 02}",
        "a2{0001 {} <t>}",
        "34{<t> 0003 {} 'x'}",
        "40",
        "82{0001 {} <t> 01 <#/t> 00}",
        "f0{19 {auth_method:<TEST>}}",
        "20{00 00 {}}",
        "0000",
        "30 ffffff7f",
    };
    tc_send_spec(slot->c, "%s", packets[draw(s, COUNT(packets))]);
    if (chance(s, 50)) {
        static const uint8_t half[] = {0x32, 0x20, 0x00, 0x01, 't', 0x00};
        tc_send(slot->c, half, 1 + draw(s, sizeof(half)));
        slot->broken = true;
    }
}

/* --- steps -------------------------------------------------------------------------------------------------------------- */

static void step_of_client(struct storm *s, struct slot *slot)
{
    struct tc *c = slot->c;
    unsigned kind = slot->broken ? 99 : draw(s, 100);
    if (kind < 15) {
        subscribe(s, c);
    } else if (kind < 20) {
        tc_send_unsubscribe(c, filters[draw(s, COUNT(filters))]);
    } else if (kind < 50) {
        publish(s, c);
    } else if (kind < 75) {
        for (unsigned i = 0; i < 5; i++) {
            read_one(s, slot);
        }
    } else if (kind < 82) {
        acknowledge_held(s, slot);
    } else if (kind < 87) {
        tc_set_room(c, chance(s, 50) ? draw(s, 200) : SIZE_MAX);
    } else if (kind < 90) {
        tc_pubrel(c, (uint16_t)(1 + draw(s, 6)));
    } else if (kind < 92) {
        tc_send_ping(c);
    } else if (kind < 94) {
        tc_send_subscribe(c, (struct tc_subscription){.filter = "t/#", .qos = 2});
    } else if (kind < 95) {
        tc_send_ack(c, (enum packet_type)(PACKET_PUBACK + draw(s, 4)), (uint16_t)(1 + draw(s, 20)), 0);
    } else if (kind < 96) {
        send_nonsense(s, slot);
    } else {
        end_one(s, slot);
    }
}

static void step(struct storm *s)
{
    unsigned kind = draw(s, 100);
    if (kind < 5) {
        harness_advance(s->h, draw(s, 1500));
    } else if (kind < 8) {
        s->h->store.is_held = chance(s, 50);
        harness_complete_store(s->h, s->h->store.is_held ? draw(s, 10) : SIZE_MAX);
    } else if (kind < 9) {
        s->h->closes_late = chance(s, 50);
    } else {
        struct slot *slot = &s->slots[draw(s, SLOTS)];
        if (slot->c != NULL && (slot->c->closed || slot->c->client == NULL)) {
            tc_set_room(slot->c, SIZE_MAX);
            tc_hang_up(slot->c);
            slot->c = NULL;
        }
        if (slot->c == NULL) {
            connect_one(s, slot);
        } else {
            step_of_client(s, slot);
        }
    }
}

/* Every limit is small, so that each is met. */
static void limit(struct storm *s, int sequence)
{
    static const enum queue_full_policy policies[] = {QUEUE_DROP_OLDEST, QUEUE_DROP_NEWEST, QUEUE_REFUSE};
    struct config_limits *limits = s->h->limits;
    limits->queue_full = policies[sequence % 3];
    limits->queued_messages = 1 + draw(s, 10);
    limits->queued_bytes = 500 + draw(s, 4000);
    limits->inflight_messages = 6 + draw(s, 8); /* a client has six ids at most open */
    limits->output_bytes = 200 + draw(s, 3000);
    limits->topic_alias_max = 2;
    limits->queue_qos0 = chance(s, 50);
    limits->shared_redeliver_on_disconnect = chance(s, 50);
    s->h->has_rules = chance(s, 50);
    s->h->access.unreadable = s->h->has_rules ? "secret" : NULL;
    s->h->access.unwritable = s->h->has_rules ? "u" : NULL;
}

/* End all sessions; nothing may be left of anything. */
static void check_accounts(struct storm *s)
{
    struct harness *h = s->h;
    h->store.is_held = false;
    h->closes_late = false;
    harness_complete_store(h, SIZE_MAX);
    for (size_t i = 0; i < SLOTS; i++) {
        if (s->slots[i].c != NULL) {
            tc_set_room(s->slots[i].c, SIZE_MAX);
            tc_hang_up(s->slots[i].c);
        }
    }
    for (size_t i = 0; i < IDS; i++) {
        tc_disconnect(tc_connect_with(h, .id = ids[i]));
    }
    harness_advance(h, 2000);
    ck_assert_uint_eq(HARNESS_STAT(h, clients_connected), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, shared_subscriptions), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, queued_messages), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, queued_bytes), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, input_bytes), 0);
}

START_TEST(anything_in_any_order_breaks_no_rule_and_leaves_nothing)
{
    struct storm s = {.h = harness_new(_i % 2 == 0 ? 1 : 3),
                      .random = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(_i + 1)};
    limit(&s, _i);
    harness_start(s.h);
    for (int i = 0; i < STEPS; i++) {
        step(&s);
    }
    check_accounts(&s);
    harness_free(s.h);
}
END_TEST

static Suite *random_suite(void)
{
    Suite *suite = suite_create("pitfalls_random");
    TCase *storm = tcase_create("storm");
    tcase_add_loop_test(storm, anything_in_any_order_breaks_no_rule_and_leaves_nothing, 0, SEQUENCES);
    suite_add_tcase(suite, storm);
    return suite;
}

CHECK_MAIN(random_suite)
