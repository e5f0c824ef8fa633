/* Clients of the broker without a stream of MQTT bytes, and publishing without a connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/local.h"
#include "gateway/broker/place.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/stats.h"
#include "gateway/store/message.h"
#include "protocol/reason.h"
#include "tests/broker/rules.h"
#include "tests/check_main.h"

enum { SEEN_MAX = 1000 };

struct seen {
    char topic[32];
    char payload[32];
    uint64_t seq;
    uint32_t ids[4];
    uint32_t id_count;
    uint8_t qos;
    bool retain;
    bool is_repeated;
};

/* A local client, and what it was told. */
struct lc {
    struct harness *h;
    struct local *local;
    unsigned opened;
    unsigned closed;
    unsigned synced;
    size_t synced_at; /* messages seen when it was synced last */
    unsigned ended_turns;
    bool session_present;
    uint8_t reason_code;
    struct seen seen[SEEN_MAX];
    size_t count;
    size_t taken;
    struct local *to_close;   /* on_synced() closes it */
    const char *to_subscribe; /* on_open() subscribes to it */
};

static void on_open(void *owner, bool session_present)
{
    struct lc *lc = owner;
    ck_assert_ptr_nonnull(lc->local); /* local_open() has returned */
    lc->opened++;
    lc->session_present = session_present;
    if (lc->to_subscribe != NULL) {
        const struct local_subscription subscription = {.filter = bytes_from_string(lc->to_subscribe), .qos = 1};
        ck_assert_uint_eq(local_subscribe(lc->local, &subscription, NULL), 1);
    }
}

static void copy(char *to, size_t cap, struct bytes from)
{
    size_t len = from.len < cap - 1 ? from.len : cap - 1;
    if (len > 0) {
        memcpy(to, from.data, len);
    }
    to[len] = '\0';
}

static void on_message(void *owner, const struct local_message *message)
{
    struct lc *lc = owner;
    ck_assert_uint_lt(lc->count, SEEN_MAX);
    ck_assert_uint_eq(lc->opened, 1);
    ck_assert_uint_le(message->qos, 1);
    struct seen *seen = &lc->seen[lc->count++];
    copy(seen->topic, sizeof(seen->topic), message->topic);
    copy(seen->payload, sizeof(seen->payload), message->payload);
    seen->seq = message->seq;
    seen->qos = message->qos;
    seen->retain = message->retain;
    seen->is_repeated = message->is_repeated;
    for (seen->id_count = 0; seen->id_count < message->id_count && seen->id_count < 4; seen->id_count++) {
        seen->ids[seen->id_count] = message->ids[seen->id_count];
    }
}

static void on_synced(void *owner)
{
    struct lc *lc = owner;
    lc->synced++;
    lc->synced_at = lc->count;
    if (lc->to_close != NULL) {
        local_close(lc->to_close, 0);
        lc->to_close = NULL;
    }
}

static void on_end_turn(void *owner)
{
    ((struct lc *)owner)->ended_turns++;
}

static void on_close(void *owner, uint8_t reason_code, const char *why)
{
    struct lc *lc = owner;
    ck_assert_ptr_nonnull(why);
    lc->closed++;
    lc->local = NULL;
    lc->reason_code = reason_code;
}

static void on_describe(void *owner, char *buf, size_t cap)
{
    (void)owner;
    snprintf(buf, cap, "local");
}

static const struct local_ops ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_synced = on_synced,
    .on_end_turn = on_end_turn,
    .on_close = on_close,
    .describe = on_describe,
    .name = "test",
};

/* Ask for a local client; expect nothing. */
static struct lc *lc_try(struct harness *h, unsigned place, struct local_options options)
{
    harness_start(h);
    struct lc *lc = calloc(1, sizeof(*lc));
    ck_assert_ptr_nonnull(lc);
    lc->h = h;
    lc->local = local_open(harness_place(h, place), &ops, lc, &options, NULL);
    ck_assert_ptr_nonnull(lc->local);
    ck_assert_uint_eq(lc->opened, 0);
    return lc;
}

static struct lc *lc_open_with(struct harness *h, unsigned place, struct local_options options)
{
    struct lc *lc = lc_try(h, place, options);
    harness_run(h);
    ck_assert_uint_eq(lc->opened, 1);
    return lc;
}

static struct lc *lc_open(struct harness *h, unsigned place, const char *id)
{
    return lc_open_with(h, place,
                        (struct local_options){.client_id = bytes_from_string(id), .expiry_s = 60, .window = 100});
}

static void lc_subscribe(struct lc *lc, struct local_subscription subscription)
{
    const char *why = NULL;
    ck_assert_uint_eq(local_subscribe(lc->local, &subscription, &why), subscription.qos);
    harness_run(lc->h);
}

static const struct seen *lc_expect(struct lc *lc, const char *topic, const char *payload)
{
    ck_assert_uint_lt(lc->taken, lc->count);
    const struct seen *seen = &lc->seen[lc->taken++];
    ck_assert_str_eq(seen->topic, topic);
    ck_assert_str_eq(seen->payload, payload);
    return seen;
}

static void lc_expect_nothing(const struct lc *lc)
{
    ck_assert_uint_eq(lc->taken, lc->count);
}

static void lc_free(struct lc *lc)
{
    if (lc->local != NULL) {
        local_close(lc->local, 0);
        harness_run(lc->h);
        ck_assert_uint_eq(lc->closed, 1);
    }
    free(lc);
}

#define FILTER(text) .filter = {(const uint8_t *)(text), sizeof(text) - 1}

static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

/* --- messages ----------------------------------------------------------------------------------------------------------- */

START_TEST(hands_over_messages_with_ascending_numbers_within_its_window)
{
    struct harness *h = harness_new(2);
    struct lc *lc = lc_open_with(h, 0, (struct local_options){.window = 2});
    ck_assert_uint_gt(local_client_id(lc->local).len, 10); /* made up */
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1, .id = 5});
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    for (int i = 0; i < 5; i++) {
        tc_publish(publisher, "t", numbers[i], 1);
    }
    ck_assert_uint_eq(lc->count, 2);
    uint64_t first = lc_expect(lc, "t", "0")->seq;
    const struct seen *second = lc_expect(lc, "t", "1");
    ck_assert_uint_gt(second->seq, first);
    ck_assert_uint_eq(second->id_count, 1);
    ck_assert_uint_eq(second->ids[0], 5);
    local_finish_up_to(lc->local, first);
    harness_run(h);
    lc_expect(lc, "t", "2");
    lc_expect_nothing(lc);
    local_finish_up_to(lc->local, UINT64_MAX);
    harness_run(h);
    lc_expect(lc, "t", "3");
    lc_expect(lc, "t", "4");
    ck_assert_uint_ge(lc->ended_turns, 3);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(keeps_qos0_as_if_it_had_numbers_if_told_so)
{
    struct harness *h = harness_new(2);
    struct local_options options = {.client_id = bytes_from_string("x"), .expiry_s = 60, .window = 10};
    options.keeps_qos0 = _i == 1;
    struct lc *lc = lc_open_with(h, 0, options);
    lc_subscribe(lc, (struct local_subscription){FILTER("t")});
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "0", 0);
    const struct seen *live = lc_expect(lc, "t", "0");
    ck_assert((live->seq != 0 || live->qos == 1) == options.keeps_qos0);
    local_close(lc->local, 60);
    harness_run(h);
    tc_publish(publisher, "t", "1", 0);
    lc_free(lc);
    lc = lc_open_with(h, 1, options);
    ck_assert(lc->session_present);
    if (options.keeps_qos0) {
        ck_assert(lc_expect(lc, "t", "0")->is_repeated);
        ck_assert(!lc_expect(lc, "t", "1")->is_repeated);
    }
    lc_expect_nothing(lc);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(holds_numbered_messages_while_blocked_and_drops_qos0)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    local_set_blocked(lc->local, true);
    tc_publish(publisher, "t", "0", 1);
    tc_publish(publisher, "t", "lost", 0);
    tc_publish(publisher, "t", "1", 1);
    lc_expect_nothing(lc);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_output_full), 1);
    local_set_blocked(lc->local, false);
    harness_run(h);
    lc_expect(lc, "t", "0");
    lc_expect(lc, "t", "1");
    lc_expect_nothing(lc);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(resumes_here_and_elsewhere_with_what_is_not_finished)
{
    struct harness *h = harness_new(2);
    struct lc *lc = lc_open(h, 0, "x");
    ck_assert(!lc->session_present);
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish(publisher, "t", numbers[i], 1);
    }
    uint64_t seq = lc_expect(lc, "t", "0")->seq;
    local_finish_up_to(lc->local, seq);
    local_close(lc->local, UINT32_MAX);
    harness_run(h);
    ck_assert_uint_eq(lc->closed, 1);
    ck_assert_uint_eq(lc->reason_code, 0);
    lc_free(lc);
    tc_publish(publisher, "t", "3", 1);
    lc = lc_open(h, (unsigned)_i, "x");
    ck_assert(lc->session_present);
    const struct seen *again = lc_expect(lc, "t", "1");
    ck_assert(again->is_repeated);
    ck_assert_uint_gt(again->seq, seq);
    ck_assert(lc_expect(lc, "t", "2")->is_repeated);
    ck_assert(!lc_expect(lc, "t", "3")->is_repeated);
    lc_expect_nothing(lc);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(ends_its_session_when_its_time_is_over)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    local_close(lc->local, UINT32_MAX); /* 60 s, as it was opened */
    harness_run(h);
    lc_free(lc);
    harness_advance(h, 59999);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 1);
    harness_advance(h, 2);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 0);
    lc = lc_open(h, 0, "y");
    lc_free(lc); /* closes with 0: at once */
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 0);
    harness_free(h);
}
END_TEST

/* --- subscribing -------------------------------------------------------------------------------------------------------- */

START_TEST(subscribes_as_any_client_does)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    static const struct {
        struct local_subscription subscription;
        uint8_t code;
    } cases[] = {
        {{FILTER("a/#/b")}, REASON_TOPIC_FILTER_INVALID},
        {{FILTER("")}, REASON_TOPIC_FILTER_INVALID},
        {{FILTER("$share/g/a"), .qos = 1}, 1},
        {{FILTER("a/+"), .qos = 1}, 1},
        {{FILTER("b")}, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why = NULL;
        ck_assert_uint_eq(local_subscribe(lc->local, &cases[i].subscription, &why), cases[i].code);
        ck_assert((why != NULL) == (cases[i].code >= 0x80));
    }
    ck_assert(local_unsubscribe(lc->local, bytes_from_string("b")));
    ck_assert(!local_unsubscribe(lc->local, bytes_from_string("b")));
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 2);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(says_when_all_retained_values_have_come)
{
    struct harness *h = harness_new(1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    enum { VALUES = 600 };
    for (int i = 0; i < VALUES; i++) {
        char topic[16];
        snprintf(topic, sizeof(topic), "r/%d", i);
        tc_retain(publisher, topic, "v", 1);
    }
    struct lc *lc = lc_open(h, 0, "x");
    lc_subscribe(lc, (struct local_subscription){FILTER("r/#"), .qos = (uint8_t)_i});
    while (lc->synced == 0) {
        size_t before = lc->count;
        local_finish_up_to(lc->local, lc->seen[lc->count - 1].seq);
        harness_run(h);
        ck_assert(lc->count > before || lc->synced > 0);
    }
    ck_assert_uint_eq(lc->count, VALUES);
    ck_assert_uint_eq(lc->synced_at, VALUES);
    ck_assert(lc->seen[0].retain);
    lc_subscribe(lc, (struct local_subscription){FILTER("nothing")});
    ck_assert_uint_eq(lc->synced, 2);
    ck_assert_uint_eq(lc->count, VALUES);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(may_end_another_one_when_it_is_synced)
{
    struct harness *h = harness_new(1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_retain(publisher, "r", "v", 0);
    struct lc *a = lc_open(h, 0, "a");
    struct lc *b = lc_open(h, 0, "b");
    a->to_close = b->local;
    b->to_close = a->local;
    struct local_subscription subscription = {FILTER("r")};
    ck_assert_uint_eq(local_subscribe(a->local, &subscription, NULL), 0); /* both walks begin in the same turn */
    ck_assert_uint_eq(local_subscribe(b->local, &subscription, NULL), 0);
    harness_run(h);
    ck_assert_uint_eq(a->closed + b->closed, 1);
    ck_assert_uint_eq(a->synced + b->synced, 1);
    lc_free(a);
    lc_free(b);
    harness_free(h);
}
END_TEST

START_TEST(may_subscribe_as_soon_as_it_is_open)
{
    struct harness *h = harness_new(1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_retain(publisher, "r", "v", 1);
    struct lc *lc = lc_try(h, 0, (struct local_options){.window = 1});
    lc->to_subscribe = "r";
    harness_run(h);
    lc_expect(lc, "r", "v");
    ck_assert_uint_eq(lc->synced, 1);
    lc_free(lc);
    harness_free(h);
}
END_TEST

/* --- the end ------------------------------------------------------------------------------------------------------------ */

START_TEST(is_told_when_another_client_takes_its_session)
{
    struct harness *h = harness_new(2);
    struct lc *lc = lc_open(h, 0, "x");
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "m", 1);
    struct tc *taker = tc_connect_persistent_at(h, (unsigned)_i, "x", MQTT_5_0);
    ck_assert(tc_receive(taker, "t", "m", 1)->dup);
    ck_assert_uint_eq(lc->closed, 1);
    ck_assert_uint_eq(lc->reason_code, REASON_SESSION_TAKEN_OVER);
    lc_free(lc);
    lc = lc_open(h, 1 - (unsigned)_i, "x"); /* and back */
    tc_expect_refused(taker, 0x8E);
    ck_assert(lc->session_present);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(may_be_used_until_it_is_told_that_it_is_over)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    struct tc *taker = tc_open(h, 0);
    const uint8_t connect[] = "\x10\x0e\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x01x";
    tc_feed(taker, connect, sizeof(connect) - 1); /* the turn has not ended */
    ck_assert_uint_eq(lc->closed, 0);
    const char *why = NULL;
    const struct local_subscription subscription = {FILTER("u")};
    ck_assert_uint_eq(local_subscribe(lc->local, &subscription, &why), REASON_SESSION_TAKEN_OVER);
    ck_assert_ptr_nonnull(why);
    ck_assert(!local_unsubscribe(lc->local, bytes_from_string("t")));
    local_finish_up_to(lc->local, 10);
    local_set_blocked(lc->local, true);
    local_set_blocked(lc->local, false);
    ck_assert_uint_eq(local_client_id(lc->local).len, 0);
    local_close(lc->local, 0);
    harness_run(h);
    ck_assert_uint_eq(lc->closed, 1);
    ck_assert_uint_eq(lc->reason_code, REASON_SESSION_TAKEN_OVER);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(may_be_closed_before_it_is_open)
{
    struct harness *h = harness_new(2);
    struct tc *old = tc_connect_persistent_at(h, 1, "x", MQTT_5_0);
    tc_subscribe(old, "t", 1);
    struct lc *lc = lc_try(h, 0, (struct local_options){.client_id = bytes_from_string("x"), .window = 1});
    local_close(lc->local, 0);
    harness_run(h);
    ck_assert_uint_eq(lc->opened, 0);
    ck_assert_uint_eq(lc->closed, 1);
    free(lc);
    lc = lc_try(h, 0, (struct local_options){.client_id = bytes_from_string("y"), .window = 1});
    local_close(lc->local, 0);
    harness_run(h);
    ck_assert_uint_eq(lc->opened, 0);
    ck_assert_uint_eq(lc->closed, 1);
    free(lc);
    harness_free(h);
}
END_TEST

START_TEST(takes_over_what_an_mqtt_client_has_left_in_the_middle_of_qos2)
{
    struct harness *h = harness_new(2);
    struct tc *c = tc_connect_persistent(h, "x", MQTT_5_0);
    tc_subscribe(c, "t", 2);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish(publisher, "t", numbers[i], 2);
    }
    uint16_t id = tc_expect_publish(c, "t", "0", 2)->packet_id;
    tc_pubrec(c, id);
    tc_hang_up(c);
    struct lc *lc = lc_try(h, (unsigned)_i,
                           (struct local_options){.client_id = bytes_from_string("x"), .expiry_s = 60, .window = 2});
    harness_run(h);
    uint64_t seq = lc_expect(lc, "t", "1")->seq;
    local_finish_up_to(lc->local, seq + 1000);
    harness_run(h);
    tc_publish(publisher, "t", "3", 2);
    ck_assert_str_eq(lc->seen[lc->count - 1].payload, "3");
    local_finish_up_to(lc->local, UINT64_MAX);
    harness_run(h);
    local_close(lc->local, UINT32_MAX);
    harness_run(h);
    c = tc_connect_persistent(h, "x", MQTT_5_0);
    tc_expect_nothing(c);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(is_told_that_the_server_goes_down)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    place_drain(broker_place(h->broker, 0));
    harness_run(h);
    ck_assert_uint_eq(lc->closed, 1);
    ck_assert_uint_eq(lc->reason_code, REASON_SERVER_SHUTTING_DOWN);
    lc_free(lc);
    lc = lc_try(h, 0, (struct local_options){.window = 1});
    harness_run(h);
    ck_assert_uint_eq(lc->opened, 0);
    ck_assert_uint_eq(lc->closed, 1);
    lc_free(lc);
    ck_assert(place_is_drained(broker_place(h->broker, 0)));
    harness_free(h);
}
END_TEST

/* --- publishing without a connection ------------------------------------------------------------------------------------ */

static struct place_published publish(struct harness *h, struct place_publication publication)
{
    harness_start(h);
    struct place_published published = place_publish(harness_place(h, 0), &publication);
    return published;
}

START_TEST(checks_what_is_published_without_a_connection)
{
    struct harness *h = harness_new(1);
    h->limits->qos_max = 1;
    h->limits->retain_available = false;
    h->limits->check_payload_format = true;
    h->limits->packet_bytes = 1000;
    char *large = long_text(1001);
    const struct {
        struct place_publication publication;
        uint8_t code;
    } cases[] = {
        {{.topic = bytes_from_string("a/+")}, REASON_TOPIC_NAME_INVALID},
        {{.topic = {NULL, 0}}, REASON_TOPIC_NAME_INVALID},
        {{.topic = {(const uint8_t *)"a\xff", 2}}, REASON_TOPIC_NAME_INVALID},
        {{.topic = bytes_from_string("$SYS/x")}, REASON_NOT_AUTHORIZED},
        {{.topic = bytes_from_string("a"), .qos = 2}, REASON_QOS_NOT_SUPPORTED},
        {{.topic = bytes_from_string("a"), .retain = true}, REASON_RETAIN_NOT_SUPPORTED},
        {{.topic = bytes_from_string("a"), .payload = {(const uint8_t *)"\xff", 1}, .is_utf8 = true},
         REASON_PAYLOAD_FORMAT_INVALID},
        {{.topic = bytes_from_string("a"), .payload = bytes_from_string(large)}, REASON_PACKET_TOO_LARGE},
        {{.topic = bytes_from_string("a"), .qos = 1}, REASON_SUCCESS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct place_published published = publish(h, cases[i].publication);
        ck_assert_uint_eq(published.reason_code, cases[i].code);
        ck_assert((published.why != NULL) == (published.reason_code != 0));
        ck_assert(!published.matched);
    }
    free(large);
    harness_free(h);
}
END_TEST

struct waiting {
    struct place_wait wait;
    unsigned done;
};

static void on_done(struct place_wait *wait)
{
    ((struct waiting *)wait)->done++;
}

START_TEST(lets_a_confirmation_wait_for_the_store)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    h->store.is_held = true;
    struct waiting waits[] = {{.wait.done = on_done}, {.wait.done = on_done}, {.wait.done = on_done}};
    struct place *place = broker_place(h->broker, 0);
    for (int i = 0; i < 3; i++) {
        struct place_published published =
            publish(h, (struct place_publication){
                           .topic = bytes_from_string("t"), .payload = bytes_from_string(numbers[i]), .qos = 1});
        ck_assert(published.matched);
        place_await(place, &waits[i].wait, published.ticket);
    }
    harness_run(h);
    place_await_cancel(place, &waits[1].wait);
    place_await_cancel(place, &waits[1].wait); /* waits no more */
    ck_assert_uint_eq(waits[0].done, 0);
    harness_complete_store(h, 1);
    ck_assert_uint_eq(waits[0].done, 1);
    ck_assert_uint_eq(waits[2].done, 0);
    harness_complete_store(h, SIZE_MAX);
    ck_assert_uint_eq(waits[1].done, 0);
    ck_assert_uint_eq(waits[2].done, 1);
    place_await_cancel(place, &waits[2].wait); /* a no-op */
    struct waiting at_once = {.wait.done = on_done};
    place_await(place, &at_once.wait, STORE_TICKET_DONE);
    ck_assert_uint_eq(at_once.done, 1);
    for (int i = 0; i < 3; i++) {
        tc_receive(c, "t", numbers[i], 1);
    }
    harness_free(h);
}
END_TEST

START_TEST(refuses_what_the_store_or_a_busy_place_has_no_room_for)
{
    struct harness *h = harness_new(2);
    h->limits->mailbox_bytes = 4096;
    struct tc *c = tc_connect_at(h, 1, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    h->store.admission = STORE_FULL;
    ck_assert_uint_eq(publish(h, (struct place_publication){.topic = bytes_from_string("t"), .qos = 1}).reason_code,
                      REASON_QUOTA_EXCEEDED);
    h->store.admission = STORE_ADMITTED;
    char *payload = long_text(10000);
    struct place_published published;
    unsigned accepted = 0;
    for (;; accepted++) {
        published = publish(
            h, (struct place_publication){.topic = bytes_from_string("t"), .payload = bytes_from_string(payload)});
        if (published.reason_code != 0 || accepted == 100) {
            break;
        }
        place_end_turn(harness_place(h, 0)); /* place 1 sleeps */
    }
    ck_assert_uint_lt(accepted, 3);
    ck_assert_uint_eq(published.reason_code, REASON_QUOTA_EXCEEDED);
    ck_assert_uint_eq(publish(h, (struct place_publication){.topic = bytes_from_string("u")}).reason_code, 0);
    harness_run(h);
    ck_assert_uint_eq(take_publishes(c), accepted);
    ck_assert_uint_eq(publish(h, (struct place_publication){.topic = bytes_from_string("t")}).reason_code, 0);
    harness_run(h);
    ck_assert_uint_eq(take_publishes(c), 1);
    free(payload);
    harness_free(h);
}
END_TEST

START_TEST(finds_the_retained_value_until_it_expires)
{
    struct harness *h = harness_new(1);
    const struct place_publication publication = {.topic = bytes_from_string("r"),
                                                  .payload = bytes_from_string("v"),
                                                  .has_expiry = true,
                                                  .expiry_s = 10,
                                                  .retain = true};
    struct place_published published = publish(h, publication);
    ck_assert_uint_eq(published.reason_code, 0);
    store_ticket_release(&published.ticket);
    struct message *message = place_retained(harness_place(h, 0), publication.topic);
    ck_assert_ptr_nonnull(message);
    message_unref(message);
    ck_assert_ptr_null(place_retained(harness_place(h, 0), bytes_from_string("other")));
    harness_advance(h, 10001);
    ck_assert_ptr_null(place_retained(harness_place(h, 0), publication.topic));
    harness_free(h);
}
END_TEST

/* --- bounds ------------------------------------------------------------------------------------------------------------- */

static struct local_options bounded(const char *id, uint32_t messages, size_t bytes)
{
    return (struct local_options){.client_id = bytes_from_string(id),
                                  .expiry_s = 60,
                                  .window = 100,
                                  .keeps_qos0 = true,
                                  .queued_messages = messages,
                                  .queued_bytes = bytes};
}

/* Close LC's connection, publish the first COUNT numbers to "t", and come back. */
static struct lc *lc_miss(struct lc *lc, struct tc *publisher, unsigned place, struct local_options options, int count)
{
    struct harness *h = lc->h;
    local_close(lc->local, UINT32_MAX);
    harness_run(h);
    lc_free(lc);
    for (int i = 0; i < count; i++) {
        tc_publish(publisher, "t", numbers[i], (uint8_t)(i % 3));
    }
    return lc_open_with(h, place, options);
}

START_TEST(bounds_its_queue_by_itself_whatever_the_policy_of_others)
{
    struct harness *h = harness_new(2);
    h->limits->queue_full = QUEUE_REFUSE;
    struct local_options options = bounded("x", 3, 10000);
    struct lc *lc = lc_open_with(h, 0, options);
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    uint64_t first = local_next_seq(lc->local);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    lc = lc_miss(lc, publisher, (unsigned)_i, options, 10);
    for (int i = 7; i < 10; i++) {
        ck_assert_uint_eq(lc_expect(lc, "t", numbers[i])->seq, first + (uint64_t)i); /* the hole tells */
    }
    lc_expect_nothing(lc);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_queue_full), 7);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(what_is_too_large_for_its_queue_leaves_a_hole)
{
    struct harness *h = harness_new(1);
    struct local_options options = bounded("x", 100, 1000);
    struct lc *lc = lc_open_with(h, 0, options);
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    uint64_t first = local_next_seq(lc->local);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    local_set_blocked(lc->local, true);
    char *large = long_text(2000);
    tc_publish(publisher, "t", large, 1);
    tc_publish(publisher, "t", "small", 1);
    local_set_blocked(lc->local, false);
    harness_run(h);
    ck_assert_uint_eq(lc_expect(lc, "t", "small")->seq, first + 1);
    lc_expect_nothing(lc);
    free(large);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(forgets_the_oldest_beyond_a_count_or_size)
{
    struct harness *h = harness_new(1);
    struct local_options options = bounded("x", 100, 100000);
    struct lc *lc = lc_open_with(h, 0, options);
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    uint64_t first = local_next_seq(lc->local);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    for (int i = 0; i < 10; i++) {
        tc_publish(publisher, "t", numbers[i], 1); /* two bytes each */
    }
    ck_assert_uint_eq(local_first_seq(lc->local), first);
    ck_assert_uint_eq(local_next_seq(lc->local), first + 10);
    local_finish_beyond(lc->local, 10, 20);
    ck_assert_uint_eq(local_first_seq(lc->local), first);
    local_finish_beyond(lc->local, 8, 20);
    ck_assert_uint_eq(local_first_seq(lc->local), first + 2);
    local_finish_beyond(lc->local, 10, 13);
    ck_assert_uint_eq(local_first_seq(lc->local), first + 4);
    lc = lc_miss(lc, publisher, 0, options, 1);
    lc->taken = lc->count; /* six that come again, and one */
    ck_assert_uint_eq(lc->count, 7);
    local_finish_beyond(lc->local, 10, 14);
    ck_assert_uint_eq(local_first_seq(lc->local), first + 4);
    local_finish_beyond(lc->local, 10, 2);
    ck_assert_uint_eq(local_first_seq(lc->local), first + 10);
    local_finish_beyond(lc->local, 0, 0);
    ck_assert_uint_eq(local_first_seq(lc->local), first + 11);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(numbers_of_a_new_session_are_above_those_of_an_old_one)
{
    struct harness *h = harness_new(2);
    struct lc *lc = lc_open(h, 0, "x");
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    for (int i = 0; i < 10; i++) {
        tc_publish(publisher, "t", numbers[i], 1);
    }
    uint64_t last = local_next_seq(lc->local) - 1;
    ck_assert_uint_eq(lc->seen[9].seq, last);
    lc_free(lc);
    harness_advance(h, 1);
    lc = lc_open(h, (unsigned)_i, "x");
    ck_assert(!lc->session_present);
    ck_assert_uint_gt(local_first_seq(lc->local), last + 1);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(counts_what_was_dropped_while_it_was_blocked)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    ck_assert_uint_eq(local_dropped(lc->local), 0);
    local_set_blocked(lc->local, true);
    unsigned turns = lc->ended_turns;
    tc_publish(publisher, "t", "0", 0);
    tc_publish(publisher, "t", "1", 0);
    ck_assert_uint_eq(local_dropped(lc->local), 2);
    ck_assert_uint_gt(lc->ended_turns, turns);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(unsubscribes_from_all_but_some)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    static const char *const filters[] = {"a", "b/+", "$share/g/c", "d/#", "e"};
    for (size_t i = 0; i < 5; i++) {
        lc_subscribe(lc, (struct local_subscription){.filter = bytes_from_string(filters[i]), .qos = 1});
    }
    const struct bytes stay[] = {bytes_from_string("b/+"), bytes_from_string("$share/g/c"), bytes_from_string("new")};
    local_unsubscribe_others(lc->local, stay, 3);
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 2);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    static const char *const topics[] = {"a", "b/x", "c", "d/x", "e"};
    for (size_t i = 0; i < 5; i++) {
        tc_publish(publisher, topics[i], "", 1);
    }
    lc_expect(lc, "b/x", "");
    lc_expect(lc, "c", "");
    lc_expect_nothing(lc);
    local_unsubscribe_others(lc->local, NULL, 0);
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 0);
    lc_free(lc);
    harness_free(h);
}
END_TEST

START_TEST(the_gateway_alone_reads_what_is_sent_to_it)
{
    static const struct {
        const char *filter;
        bool is_reserved;
    } cases[] = {
        {"$tidegate", true},     {"$tidegate/#", true}, {"$tidegate/rpc/+", true}, {"$share/g/$tidegate/+", true},
        {"$tidegates/+", false}, {"#", false},          {"+/rpc/x", false}};
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    struct lc *gateway = lc_open_with(h, 0, (struct local_options){.window = 10, .is_gateway = true});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct local_subscription subscription = {.filter = bytes_from_string(cases[i].filter), .qos = 1};
        uint8_t code = cases[i].is_reserved ? REASON_NOT_AUTHORIZED : 1;
        ck_assert_uint_eq(local_subscribe(lc->local, &subscription, NULL), code);
        ck_assert_uint_eq(local_subscribe(gateway->local, &subscription, NULL), 1);
    }
    lc_free(gateway);
    lc_free(lc);
    harness_free(h);
}
END_TEST

/* What may be asked after the session has gone and before on_close(). */
START_TEST(has_nothing_once_its_session_has_gone)
{
    struct harness *h = harness_new(1);
    struct lc *lc = lc_open(h, 0, "x");
    lc_subscribe(lc, (struct local_subscription){FILTER("t"), .qos = 1});
    local_close(lc->local, 60);
    local_unsubscribe_others(lc->local, NULL, 0);
    local_finish_beyond(lc->local, 0, 0);
    ck_assert_uint_eq(local_first_seq(lc->local), 0);
    ck_assert_uint_eq(local_next_seq(lc->local), 0);
    ck_assert(local_is_synced(lc->local));
    ck_assert(!local_may_read(lc->local, bytes_from_string("t")));
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 1);
    harness_run(h);
    ck_assert_uint_eq(lc->closed, 1);
    lc_free(lc);
    harness_free(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rules_local");
    TCase *messages = tcase_create("messages");
    tcase_add_test(messages, hands_over_messages_with_ascending_numbers_within_its_window);
    tcase_add_loop_test(messages, keeps_qos0_as_if_it_had_numbers_if_told_so, 0, 2);
    tcase_add_test(messages, holds_numbered_messages_while_blocked_and_drops_qos0);
    tcase_add_loop_test(messages, resumes_here_and_elsewhere_with_what_is_not_finished, 0, 2);
    tcase_add_test(messages, ends_its_session_when_its_time_is_over);
    suite_add_tcase(s, messages);
    TCase *subscribing = tcase_create("subscribing");
    tcase_add_test(subscribing, subscribes_as_any_client_does);
    tcase_add_loop_test(subscribing, says_when_all_retained_values_have_come, 0, 2);
    tcase_add_test(subscribing, may_end_another_one_when_it_is_synced);
    tcase_add_test(subscribing, may_subscribe_as_soon_as_it_is_open);
    suite_add_tcase(s, subscribing);
    TCase *bounds = tcase_create("bounds");
    tcase_add_loop_test(bounds, bounds_its_queue_by_itself_whatever_the_policy_of_others, 0, 2);
    tcase_add_test(bounds, what_is_too_large_for_its_queue_leaves_a_hole);
    tcase_add_test(bounds, forgets_the_oldest_beyond_a_count_or_size);
    tcase_add_loop_test(bounds, numbers_of_a_new_session_are_above_those_of_an_old_one, 0, 2);
    tcase_add_test(bounds, counts_what_was_dropped_while_it_was_blocked);
    tcase_add_test(bounds, unsubscribes_from_all_but_some);
    tcase_add_test(bounds, the_gateway_alone_reads_what_is_sent_to_it);
    tcase_add_test(bounds, has_nothing_once_its_session_has_gone);
    suite_add_tcase(s, bounds);
    TCase *end = tcase_create("end");
    tcase_add_loop_test(end, is_told_when_another_client_takes_its_session, 0, 2);
    tcase_add_test(end, may_be_used_until_it_is_told_that_it_is_over);
    tcase_add_test(end, may_be_closed_before_it_is_open);
    tcase_add_loop_test(end, takes_over_what_an_mqtt_client_has_left_in_the_middle_of_qos2, 0, 2);
    tcase_add_test(end, is_told_that_the_server_goes_down);
    suite_add_tcase(s, end);
    TCase *publishing = tcase_create("publishing");
    tcase_add_test(publishing, checks_what_is_published_without_a_connection);
    tcase_add_test(publishing, lets_a_confirmation_wait_for_the_store);
    tcase_add_test(publishing, refuses_what_the_store_or_a_busy_place_has_no_room_for);
    tcase_add_test(publishing, finds_the_retained_value_until_it_expires);
    suite_add_tcase(s, publishing);
    return s;
}

CHECK_MAIN(suite)
