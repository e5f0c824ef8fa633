/* Memory that runs out anywhere: nothing leaks (the address sanitizer says so), nothing crashes, and the broker goes on serving
 * others. Each scenario runs once for every allocation that it makes, and that one fails. */
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/client.h"
#include "gateway/broker/local.h"
#include "gateway/broker/place.h"
#include "gateway/broker/stats.h"
#include "protocol/connect.h"
#include "protocol/publish.h"
#include "protocol/subscribe.h"
#include "tests/broker/rules.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"

enum { FAILURES_MAX = 2000, PACKET_MAX = 8192, OUTPUT_MAX = 1 << 16 };

/* A connection whose transport allocates nothing: it counts what it is given. */
struct wire {
    struct client *client;
    unsigned place;
    size_t sent;
    uint8_t output[OUTPUT_MAX];
};

static void wire_flush(void *transport)
{
    struct wire *wire = transport;
    struct iovec iov[16];
    const struct outq *out = client_output(wire->client);
    while (out->len > 0) {
        int count = outq_iov(out, iov, 16);
        size_t sent = 0;
        for (int i = 0; i < count; i++) {
            for (size_t at = 0; at < iov[i].iov_len && wire->sent + at < OUTPUT_MAX; at++) {
                wire->output[wire->sent + at] = ((const uint8_t *)iov[i].iov_base)[at];
            }
            wire->sent += iov[i].iov_len;
            sent += iov[i].iov_len;
        }
        client_written(wire->client, sent, false);
    }
}

static void wire_pause(void *transport, bool paused)
{
    (void)transport;
    (void)paused;
}

static void wire_close(void *transport)
{
    struct wire *wire = transport;
    client_gone(wire->client, CLIENT_END_CLOSED);
    wire->client = NULL;
}

static void wire_describe(void *transport, char *buf, size_t cap)
{
    (void)transport;
    buf[0] = '\0';
    (void)cap;
}

static const struct client_transport wire_transport = {
    .flush = wire_flush, .pause = wire_pause, .close = wire_close, .describe = wire_describe, .name = "wire"};

/* What a scenario works with; made anew for each failure. */
struct scene {
    struct harness *h;
    struct wire *wires[4];
    size_t wire_count;
    uint8_t packets[4][PACKET_MAX]; /* encoded beforehand */
    size_t lens[4];
    struct tc *keeper; /* stays connected at place 1 with a subscription to "#" */
    struct local *local;
    bool local_is_open;
    void (*verify)(struct scene *s); /* what must hold afterwards, beside check_alive(); may be NULL */
};

static struct wire *wire_new(struct scene *s, unsigned place)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    if (wire == NULL) {
        return NULL;
    }
    wire->place = place;
    wire->client = client_new(harness_place(s->h, place), &wire_transport, wire);
    s->wires[s->wire_count++] = wire;
    return wire;
}

static void wire_feed(struct scene *s, struct wire *wire, size_t packet)
{
    if (wire != NULL && wire->client != NULL) {
        (void)harness_place(s->h, wire->place);
        client_receive(wire->client, s->packets[packet], s->lens[packet]);
    }
}

static void run(struct scene *s)
{
    harness_run(s->h);
}

/* Feed a packet and let the broker act on it. */
static void wire_send(struct scene *s, struct wire *wire, size_t packet)
{
    wire_feed(s, wire, packet);
    run(s);
}

static void wire_hang_up(struct scene *s, struct wire *wire)
{
    if (wire != NULL && wire->client != NULL) {
        (void)harness_place(s->h, wire->place);
        client_gone(wire->client, CLIENT_END_PEER);
        wire->client = NULL;
    }
    run(s);
}

static void put_connect(struct scene *s, size_t packet, const char *id, bool clean_start, bool with_will)
{
    struct connect c = {.version = MQTT_5_0, .clean_start = clean_start, .client_id = bytes_from_string(id)};
    c.properties.session_expiry_interval_s = 3600;
    properties_set(&c.properties, PROPERTY_SESSION_EXPIRY_INTERVAL);
    c.properties.topic_alias_maximum = 10;
    properties_set(&c.properties, PROPERTY_TOPIC_ALIAS_MAXIMUM);
    if (with_will) {
        c.has_will = true;
        c.will_qos = 1;
        c.will_retain = true;
        c.will_topic = bytes_from_string("will/topic");
        c.will_payload = bytes_from_string("gone");
    }
    s->lens[packet] =
        connect_encode(s->packets[packet], PACKET_MAX, &c, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    ck_assert_uint_gt(s->lens[packet], 0);
}

static void put_subscribe(struct scene *s, size_t packet, const char *const *filters, size_t count, uint8_t qos)
{
    struct subscribe_entry entries[8];
    ck_assert_uint_le(count, 8);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct subscribe_entry){.filter = bytes_from_string(filters[i]), .qos = qos};
    }
    s->lens[packet] =
        subscribe_encode(s->packets[packet], PACKET_MAX, 1, entries, count, 7, (struct bytes){NULL, 0}, MQTT_5_0);
    ck_assert_uint_gt(s->lens[packet], 0);
}

static void put_publish(struct scene *s, size_t packet, const char *topic, size_t payload_len, uint8_t qos, bool retain)
{
    const struct publish_head head = {.qos = qos,
                                      .retain = retain,
                                      .packet_id = qos > 0 ? 9 : 0,
                                      .topic = bytes_from_string(topic),
                                      .payload_len = payload_len};
    size_t len = publish_encode_head(s->packets[packet], PACKET_MAX, &head, MQTT_5_0, NULL);
    ck_assert_uint_le(len + payload_len, PACKET_MAX);
    memset(s->packets[packet] + len, 'p', payload_len);
    s->lens[packet] = len + payload_len;
}

/* A persistent session "x" that has been at PLACE, with FILTERS and COUNT messages of QoS 1 on "t/x" waiting. */
static void leave_session(struct scene *s, unsigned place, const char *const *filters, size_t filter_count,
                          int messages)
{
    struct tc *c = tc_connect_persistent_at(s->h, place, "x", MQTT_5_0);
    for (size_t i = 0; i < filter_count; i++) {
        tc_subscribe(c, filters[i], 1);
    }
    tc_hang_up(c);
    for (int i = 0; i < messages; i++) {
        tc_publish(s->keeper, "t/x", "queued", 1);
    }
}

static struct scene *scene_new(void)
{
    struct scene *s = calloc(1, sizeof(*s));
    ck_assert_ptr_nonnull(s);
    s->h = harness_new(2);
    s->h->limits->queue_qos0 = true;
    s->keeper = tc_connect_at(s->h, 1, "keeper", MQTT_5_0);
    return s;
}

/* Whatever has happened, somebody else is served, and the session "x" can be had. */
static void check_alive(struct scene *s)
{
    struct tc *a = tc_connect_at(s->h, 0, "somebody", MQTT_5_0);
    struct tc *b = tc_connect_at(s->h, 1, "somebody else", MQTT_5_0);
    tc_subscribe(b, "alive/+", 2);
    tc_subscribe(b, "$share/g/alive/shared", 1);
    tc_publish(a, "alive/x", "yes", 2);
    tc_receive(b, "alive/x", "yes", 2);
    struct tc *x = tc_connect_with(s->h, .id = "x", .place = 1, .resume = true);
    tc_expect_alive(s->keeper);
    tc_hang_up(x);
}

static void scene_free(struct scene *s)
{
    for (size_t i = 0; i < s->wire_count; i++) {
        if (s->wires[i]->client != NULL) {
            wire_hang_up(s, s->wires[i]);
        }
        free(s->wires[i]);
    }
    if (s->local_is_open) {
        local_close(s->local, 0);
        run(s);
    }
    harness_free(s->h);
    free(s);
}

/* Run SCENARIO for each n with the n-th allocation, and RUN - 1 behind it, failing. */
static void go_through(void (*prepare)(struct scene *s), void (*scenario)(struct scene *s), uint64_t run_length)
{
    uint64_t n = 1;
    for (; n <= FAILURES_MAX; n++) {
        struct scene *s = scene_new();
        prepare(s);
        malloc_fail_run(n, run_length);
        scenario(s);
        bool failed = malloc_fail_end();
        if (s->verify != NULL) {
            s->verify(s);
        }
        check_alive(s);
        scene_free(s);
        if (!failed) {
            break;
        }
    }
    ck_assert_uint_gt(n, 1);
    ck_assert_uint_le(n, FAILURES_MAX);
}

#define GO_THROUGH(name)                                                                                               \
    START_TEST(survives_##name)                                                                                        \
    {                                                                                                                  \
        go_through(prepare_##name, do_##name, 1);                                                                      \
        go_through(prepare_##name, do_##name, UINT64_MAX);                                                             \
    }                                                                                                                  \
    END_TEST

static const char *const plain_filters[] = {"t/#", "t/+", "t/x"};
static const char *const receivers_filters[] = {"t/#", "t/x", "will/#", "$share/g/t/x"};
static const char *const shared_filters[] = {"$share/g/t/#", "$share/h/t/+"};

/* --- connecting --------------------------------------------------------------------------------------------------------- */

static void prepare_connect(struct scene *s)
{
    put_connect(s, 0, "x", true, true);
}

static void do_connect(struct scene *s)
{
    struct wire *wire = wire_new(s, 0);
    wire_send(s, wire, 0);
}

GO_THROUGH(connect)

static void prepare_resume(struct scene *s)
{
    leave_session(s, 0, plain_filters, 3, 20);
    put_connect(s, 0, "x", false, false);
}

static void do_resume(struct scene *s)
{
    struct wire *wire = wire_new(s, 0);
    wire_send(s, wire, 0);
}

GO_THROUGH(resume)

/* The queue holds QoS 0, too. */
static void prepare_resume_with_qos0(struct scene *s)
{
    leave_session(s, 0, plain_filters, 3, 0);
    char *payload = long_text(30000); /* so that output blocks run out */
    for (int i = 0; i < 20; i++) {
        tc_publish(s->keeper, "t/x", payload, 0);
    }
    free(payload);
    put_connect(s, 0, "x", false, false);
}

static void do_resume_with_qos0(struct scene *s)
{
    do_resume(s);
}

GO_THROUGH(resume_with_qos0)

static void prepare_handover(struct scene *s)
{
    leave_session(s, 1, plain_filters, 3, 20);
    put_connect(s, 0, "x", false, true);
    put_publish(s, 1, "t/x", 3000, 1, false);
}

static void do_handover(struct scene *s)
{
    struct wire *publisher = s->wires[0];
    struct wire *wire = wire_new(s, 0);
    wire_feed(s, wire, 0);
    wire_feed(s, publisher, 1);
    run(s);
}

static void prepare_handover_with_traffic(struct scene *s)
{
    prepare_handover(s);
    struct wire *publisher = wire_new(s, 0);
    put_connect(s, 2, "publisher", true, false);
    wire_send(s, publisher, 2);
}

static void do_handover_with_traffic(struct scene *s)
{
    do_handover(s);
}

GO_THROUGH(handover_with_traffic)

static void prepare_handover_of_shared(struct scene *s)
{
    leave_session(s, 1, shared_filters, 2, 5);
    put_connect(s, 0, "x", false, false);
}

static void do_handover_of_shared(struct scene *s)
{
    struct wire *wire = wire_new(s, 0);
    wire_send(s, wire, 0);
}

GO_THROUGH(handover_of_shared)

/* --- subscribing -------------------------------------------------------------------------------------------------------- */

static void prepare_client(struct scene *s)
{
    put_connect(s, 3, "x", true, true);
    wire_send(s, wire_new(s, 0), 3);
}

/* What SUBACK calls refused is not subscribed to, and what it calls granted is. */
static void verify_codes(struct scene *s)
{
    struct wire *wire = s->wires[0];
    struct packet_header header;
    struct fault fault;
    int len = packet_header_decode(wire->output, wire->sent, MQTT_5_0, &header, &fault);
    struct suback suback;
    if (wire->client == NULL || len <= 0 || header.type != PACKET_SUBACK ||
        !suback_decode((struct bytes){wire->output + len, header.body_len}, header.type, MQTT_5_0, &suback, &fault)) {
        return; /* the connection was given up */
    }
    size_t granted = 0;
    for (size_t i = 0; i < suback.reason_codes.len; i++) {
        granted += suback.reason_codes.data[i] < 0x80;
    }
    ck_assert_uint_eq(HARNESS_STAT(s->h, subscriptions), granted);
}

static void prepare_subscribe(struct scene *s)
{
    tc_retain(s->keeper, "t/x", "kept", 1);
    tc_retain(s->keeper, "t/y", "kept", 1);
    prepare_client(s);
    put_subscribe(s, 0, plain_filters, 3, 1);
    s->wires[0]->sent = 0;
    s->verify = verify_codes;
}

static void do_subscribe(struct scene *s)
{
    wire_send(s, s->wires[0], 0);
}

GO_THROUGH(subscribe)

static void prepare_subscribe_shared(struct scene *s)
{
    prepare_client(s);
    put_subscribe(s, 0, shared_filters, 2, 1);
    s->wires[0]->sent = 0;
    s->verify = verify_codes;
}

static void do_subscribe_shared(struct scene *s)
{
    wire_send(s, s->wires[0], 0);
}

GO_THROUGH(subscribe_shared)

/* --- publishing --------------------------------------------------------------------------------------------------------- */

/* Receivers of "t/x" here and elsewhere, connected and not, and members of groups. */
static void prepare_publish(struct scene *s, uint8_t qos, size_t len, bool retain)
{
    leave_session(s, 0, plain_filters, 3, 0);
    put_connect(s, 3, "publisher", true, true);
    put_subscribe(s, 2, receivers_filters, 4, 2);
    struct wire *publisher = wire_new(s, 0);
    wire_send(s, publisher, 3);
    wire_send(s, publisher, 2);
    put_connect(s, 3, "there", true, false);
    struct wire *there = wire_new(s, 1);
    wire_send(s, there, 3);
    wire_send(s, there, 2);
    put_publish(s, 0, "t/x", len, qos, retain);
}

static void do_publish(struct scene *s)
{
    wire_send(s, s->wires[0], 0);
}

#define GO_THROUGH_PUBLISH(name, qos, len, retain)                                                                     \
    static void prepare_##name(struct scene *s)                                                                        \
    {                                                                                                                  \
        prepare_publish(s, (qos), (len), (retain));                                                                    \
    }                                                                                                                  \
    static void do_##name(struct scene *s)                                                                             \
    {                                                                                                                  \
        do_publish(s);                                                                                                 \
    }                                                                                                                  \
    GO_THROUGH(name)

GO_THROUGH_PUBLISH(publish_qos0, 0, 10, false)
GO_THROUGH_PUBLISH(publish_qos0_large, 0, 5000, false)
GO_THROUGH_PUBLISH(publish_qos1, 1, 10, false)
GO_THROUGH_PUBLISH(publish_qos2_large, 2, 5000, false)
GO_THROUGH_PUBLISH(publish_retained, 1, 100, true)

/* A connection ends, and leaves a retained will and a member's unacknowledged message. */
static void prepare_will(struct scene *s)
{
    prepare_publish(s, 1, 10, false);
    do_publish(s);
}

static void do_will(struct scene *s)
{
    wire_hang_up(s, s->wires[0]);
}

GO_THROUGH(will)

/* --- local clients ------------------------------------------------------------------------------------------------------ */

static void on_open(void *owner, bool session_present)
{
    (void)session_present;
    ((struct scene *)owner)->local_is_open = true;
}

static void on_message(void *owner, const struct local_message *message)
{
    (void)owner;
    (void)message;
}

static void on_synced(void *owner)
{
    (void)owner;
}

static void on_close(void *owner, uint8_t reason_code, const char *why)
{
    (void)reason_code;
    (void)why;
    ((struct scene *)owner)->local_is_open = false;
}

static void on_describe(void *owner, char *buf, size_t cap)
{
    (void)owner;
    (void)cap;
    buf[0] = '\0';
}

static const struct local_ops local_ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_synced = on_synced,
    .on_close = on_close,
    .describe = on_describe,
    .name = "test",
};

static void prepare_local_open(struct scene *s)
{
    leave_session(s, 1, plain_filters, 3, 5);
    tc_retain(s->keeper, "r/x", "kept", 1);
    put_publish(s, 0, "t/x", 10, 1, false);
}

static void do_local_open(struct scene *s)
{
    const struct local_options options = {
        .client_id = bytes_from_string("x"), .expiry_s = 60, .window = 10, .keeps_qos0 = true};
    s->local = local_open(harness_place(s->h, 0), &local_ops, s, &options, NULL);
    run(s);
    if (s->local_is_open) {
        const struct local_subscription subscription = {.filter = bytes_from_string("r/#"), .qos = 1};
        (void)local_subscribe(s->local, &subscription, NULL);
        run(s);
    }
    if (s->local_is_open) {
        local_finish_up_to(s->local, 3);
        run(s);
    }
}

GO_THROUGH(local_open)

static Suite *suite(void)
{
    Suite *s = suite_create("rules_memory");
    TCase *connecting = tcase_create("connecting");
    tcase_add_test(connecting, survives_connect);
    tcase_add_test(connecting, survives_resume);
    tcase_add_test(connecting, survives_resume_with_qos0);
    tcase_add_test(connecting, survives_handover_with_traffic);
    tcase_add_test(connecting, survives_handover_of_shared);
    suite_add_tcase(s, connecting);
    TCase *subscribing = tcase_create("subscribing");
    tcase_add_test(subscribing, survives_subscribe);
    tcase_add_test(subscribing, survives_subscribe_shared);
    suite_add_tcase(s, subscribing);
    TCase *publishing = tcase_create("publishing");
    tcase_add_test(publishing, survives_publish_qos0);
    tcase_add_test(publishing, survives_publish_qos0_large);
    tcase_add_test(publishing, survives_publish_qos1);
    tcase_add_test(publishing, survives_publish_qos2_large);
    tcase_add_test(publishing, survives_publish_retained);
    tcase_add_test(publishing, survives_will);
    suite_add_tcase(s, publishing);
    TCase *local = tcase_create("local");
    tcase_add_test(local, survives_local_open);
    suite_add_tcase(s, local);
    return s;
}

CHECK_MAIN(suite)
