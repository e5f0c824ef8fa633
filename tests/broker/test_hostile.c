/* What a client may do that keeps to the protocol and means ill: requests that cost the broker far more than they cost the client.
 * Where work grew with the square of what one client may ask for, a test would not end in the time that it has; so the numbers are
 * above what the default limits allow. */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/place.h"
#include "gateway/broker/stats.h"

enum { MANY = 30000, PACKET_BYTES_MAX = 1 << 20, FILTER_BYTES_MAX = 64 };

/** Write filter number I to BUF. */
typedef void (*filter_fn)(char buf[FILTER_BYTES_MAX], unsigned i);

/* Feed a SUBSCRIBE or UNSUBSCRIBE for filters 0 .. COUNT - 1. */
static void feed_many(struct tc *c, enum packet_type type, filter_fn filter, unsigned count, uint8_t qos)
{
    uint8_t *packet = malloc(PACKET_BYTES_MAX);
    ck_assert_ptr_nonnull(packet);
    size_t len = 5;
    memcpy(packet + len, (const uint8_t[]){0, 1, 0}, 3); /* packet id, no properties */
    len += 3;
    for (unsigned i = 0; i < count; i++) {
        char text[FILTER_BYTES_MAX];
        filter(text, i);
        size_t text_len = strlen(text);
        ck_assert_uint_lt(len + text_len + 3, PACKET_BYTES_MAX);
        packet[len++] = 0;
        packet[len++] = (uint8_t)text_len;
        memcpy(packet + len, text, text_len);
        len += text_len;
        if (type == PACKET_SUBSCRIBE) {
            packet[len++] = qos;
        }
    }
    uint8_t head[5] = {(uint8_t)(type << 4 | 2)};
    size_t head_len = 1;
    for (size_t rest = len - 5; rest > 0; rest >>= 7) {
        head[head_len++] = (uint8_t)((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
    }
    memcpy(packet + 5 - head_len, head, head_len);
    tc_feed(c, packet + 5 - head_len, len - 5 + head_len);
    free(packet);
}

/* --- retained messages ------------------------------------------------------------------------------------------------- */

enum { WILD_LEVELS = 7 };

/* Up to 128 filters that all match "1/1/1/1/1/1/1/" and one level more. */
static void wild_filter(char buf[FILTER_BYTES_MAX], unsigned i)
{
    for (unsigned level = 0; level < WILD_LEVELS; level++) {
        *buf++ = (i >> level & 1) != 0 ? '+' : '1';
        *buf++ = '/';
    }
    memcpy(buf, "#", 2);
}

CONFORMANCE_TEST(retained_messages_for_many_subscriptions_do_not_hold_up_others)
{
    enum { VALUES = 1000, FILTERS = 100, SENT_MAX = 2048 };
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    for (unsigned i = 0; i < VALUES; i++) {
        char topic[32];
        snprintf(topic, sizeof(topic), "1/1/1/1/1/1/1/%u", i);
        tc_retain(c, topic, "x", 0);
    }
    struct tc *other = tc_open(h, 0);
    while (other->place != c->place) {
        tc_hang_up(other);
        other = tc_open(h, 0);
    }
    tc_send_connect(other, (struct tc_options){.id = "other"});
    tc_expect_connack(other, false, 0);
    feed_many(c, PACKET_SUBSCRIBE, wild_filter, FILTERS, 0);
    feed_many(other, PACKET_SUBSCRIBE, wild_filter, 1, 0);
    uint64_t before = HARNESS_STAT(h, publish_sent[0]);
    (void)place_end_turn(harness_place(h, c->place));
    ck_assert_uint_le(HARNESS_STAT(h, publish_sent[0]) - before, SENT_MAX);
    ck_assert_uint_gt(tc_count(other), 1); /* its SUBACK, and its share */
    harness_run(h);
    ck_assert_uint_eq(HARNESS_STAT(h, publish_sent[0]) - before, (FILTERS + 1) * VALUES);
}

static void numbered_wild_filter(char buf[FILTER_BYTES_MAX], unsigned i)
{
    snprintf(buf, FILTER_BYTES_MAX, "+/%u", i);
}

CONFORMANCE_TEST(subscriptions_that_wait_for_retained_messages_cost_each_the_same)
{
    h->limits->subscriptions_per_session = 0;
    h->limits->subscriptions_per_packet = 0;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    feed_many(c, PACKET_SUBSCRIBE, numbered_wild_filter, MANY, 0);
    feed_many(c, PACKET_SUBSCRIBE, numbered_wild_filter, MANY, 0);
    feed_many(c, PACKET_UNSUBSCRIBE, numbered_wild_filter, MANY, 0);
    harness_run(h);
    feed_many(c, PACKET_SUBSCRIBE, numbered_wild_filter, MANY, 0);
    tc_hang_up(c); /* with all of them waiting */
}

/* --- shared subscriptions --------------------------------------------------------------------------------------------------- */

static void numbered_group(char buf[FILTER_BYTES_MAX], unsigned i)
{
    snprintf(buf, FILTER_BYTES_MAX, "$share/%u/a", i);
}

CONFORMANCE_TEST(groups_on_one_filter_cost_each_the_same)
{
    h->limits->subscriptions_per_session = 0;
    h->limits->subscriptions_per_packet = 0;
    h->limits->mailbox_bytes = 64 * 1024 * 1024;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *p = tc_connect(h, "p", MQTT_5_0); /* with several places, at another one */
    feed_many(c, PACKET_SUBSCRIBE, numbered_group, MANY, 0);
    harness_run(h);
    tc_publish(p, "a", "x", 0);
    ck_assert_uint_eq(HARNESS_STAT(h, publish_sent[0]), MANY);
    feed_many(c, PACKET_UNSUBSCRIBE, numbered_group, MANY, 0);
    tc_publish(p, "a", "x", 0);
    ck_assert_uint_eq(HARNESS_STAT(h, publish_sent[0]), MANY);
}

CONFORMANCE_TEST(session_with_many_groups_and_messages_is_resumed_in_time)
{
    h->limits->subscriptions_per_session = 0;
    h->limits->subscriptions_per_packet = 0;
    h->limits->queued_messages = MANY;
    h->limits->mailbox_bytes = 64 * 1024 * 1024;
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    feed_many(c, PACKET_SUBSCRIBE, numbered_group, MANY, 1);
    tc_hang_up(c);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_publish(p, "a", "x", 1);
    ck_assert_uint_eq(HARNESS_STAT(h, queued_messages), MANY);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60"); /* elsewhere */
    tc_receive(c, "a", "x", 1);
}

CONFORMANCE_TEST(member_of_many_groups_may_be_busy_and_free_again_at_each_packet)
{
    enum { ROUNDS = 10000, ROUND_BYTES = 14 };
    h->limits->subscriptions_per_session = 0;
    h->limits->subscriptions_per_packet = 0;
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    feed_many(c, PACKET_SUBSCRIBE, numbered_group, MANY, 0);
    harness_run(h);
    tc_expect_any_suback(c, 1);
    tc_subscribe(c, "b", 1);
    uint8_t *packets = malloc(ROUNDS * ROUND_BYTES);
    ck_assert_ptr_nonnull(packets);
    for (unsigned i = 0; i < ROUNDS; i++) { /* publish to itself, and acknowledge that before it has come */
        uint8_t id[2] = {(uint8_t)((i + 1) >> 8), (uint8_t)(i + 1)};
        const uint8_t round[ROUND_BYTES] = {0x32, 8, 0, 1, 'b', 0, 1, 0, 'x', 'y', 0x40, 2, id[0], id[1]};
        memcpy(packets + i * ROUND_BYTES, round, sizeof(round));
    }
    tc_feed(c, packets, ROUNDS * ROUND_BYTES);
    free(packets);
    ck_assert_uint_eq(HARNESS_STAT(h, publish_sent[1]), ROUNDS);
}

CONFORMANCE_TEST(member_that_was_busy_when_it_subscribed_gets_its_share)
{
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    struct tc *idle = tc_connect(h, "idle", MQTT_5_0);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_subscribe(c, "b", 1);
    tc_publish(p, "b", "x", 1);
    uint16_t id = tc_expect_publish(c, "b", "x", 1)->packet_id;
    tc_subscribe(c, "$share/g/a", 0);
    tc_subscribe(idle, "$share/g/a", 0);
    tc_puback(c, id);
    for (int i = 0; i < 4; i++) {
        tc_publish(p, "a", "x", 0);
    }
    ck_assert_uint_eq(tc_count(c), 2);
    ck_assert_uint_eq(tc_count(idle), 2);
}
