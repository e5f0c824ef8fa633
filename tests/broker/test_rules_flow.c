/* Acknowledgements that wait for the store, windows, and every bound that holds a sender or a queue back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/place.h"
#include "gateway/broker/session.h"
#include "gateway/broker/stats.h"
#include "tests/broker/rules.h"
#include "tests/check_main.h"

/* --- acknowledgements and the store ------------------------------------------------------------------------------------- */

/* A broker whose "t/x" has a durable subscriber that is away; the store is held. */
static struct harness *held_store_new(void)
{
    struct harness *h = harness_new(1);
    struct tc *subscriber = tc_connect_persistent(h, "subscriber", MQTT_5_0);
    tc_subscribe(subscriber, "t/#", 2);
    tc_hang_up(subscriber);
    return h;
}

START_TEST(sends_acknowledgements_in_the_order_of_the_packets)
{
    struct harness *h = held_store_new();
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t waits = tc_send_publish(c, (struct tc_message){.topic = "t/x", .payload = "1", .qos = 1});
    uint16_t behind = tc_send_publish(c, (struct tc_message){.topic = "nobody", .payload = "2", .qos = 1});
    tc_expect_nothing(c);
    tc_expect_alive(c); /* what answers no packet that waits is not held up */
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c, waits);
    tc_expect_puback(c, behind);
    tc_expect_nothing(c);
    harness_free(h);
}
END_TEST

START_TEST(waits_for_no_store_without_durable_interest)
{
    struct harness *h = held_store_new();
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *live = tc_connect(h, "live", MQTT_5_0);
    tc_subscribe(live, "live", 2);
    h->store.is_held = true;
    tc_publish(c, "live", "m", 2);
    tc_receive(live, "live", "m", 2);
    harness_free(h);
}
END_TEST

START_TEST(waits_for_the_store_with_a_retained_message)
{
    struct harness *h = held_store_new();
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "nobody", .payload = "m", .qos = 1, .retain = true});
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c, id);
    harness_free(h);
}
END_TEST

START_TEST(waits_with_qos2_from_a_persistent_session_for_its_own_entry)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = "nobody", .payload = "m", .qos = 2});
    tc_expect_nothing(c);
    ck_assert_uint_eq(h->store.submitted.puts[STORE_RECEIVED], 1);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubrec(c, id);
    harness_free(h);
}
END_TEST

START_TEST(forgets_parked_acknowledgements_with_their_connection)
{
    struct harness *h = held_store_new();
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *other = tc_connect(h, "other", MQTT_5_0);
    h->store.is_held = true;
    tc_send_publish(c, (struct tc_message){.topic = "t/x", .payload = "1", .qos = 1});
    uint16_t id = tc_send_publish(other, (struct tc_message){.topic = "t/x", .payload = "1", .qos = 1});
    tc_hang_up(c);
    c = tc_connect(h, "c", MQTT_5_0);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_nothing(c);
    tc_expect_puback(other, id);
    harness_free(h);
}
END_TEST

START_TEST(lets_a_client_send_its_whole_receive_maximum_while_the_store_is_slow)
{
    struct harness *h = harness_new(1);
    h->limits->inflight_messages = 10;
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t subscribe_id = tc_send_subscribe(c, (struct tc_subscription){.filter = "nothing", .qos = 1});
    uint16_t ids[10];
    for (int i = 0; i < 10; i++) {
        ids[i] = tc_send_publish(c, (struct tc_message){.topic = "nobody", .payload = "m", .qos = 2});
    }
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_suback(c, subscribe_id, "01");
    for (int i = 0; i < 10; i++) {
        tc_expect_pubrec(c, ids[i]);
    }
    tc_send_publish(c, (struct tc_message){.topic = "nobody", .payload = "m", .qos = 1});
    tc_expect_refused(c, 0x93); /* [MQTT-3.3.4-9] that was one too many */
    harness_free(h);
}
END_TEST

START_TEST(counts_the_receive_maximum_anew_on_each_connection_mqtt_4_9)
{
    struct harness *h = harness_new(1);
    h->limits->inflight_messages = 2;
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    uint16_t ids[2];
    for (int i = 0; i < 2; i++) {
        ids[i] = tc_send_publish(c, (struct tc_message){.topic = "nobody", .payload = "m", .qos = 2});
        tc_expect_pubrec(c, ids[i]);
    }
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    for (uint16_t id = 100; id < 102; id++) {
        tc_send_publish(c, (struct tc_message){.topic = "nobody", .payload = "m", .qos = 2, .id = id});
        tc_expect_pubrec(c, id);
    }
    for (int i = 0; i < 2; i++) { /* of the old connection: it frees nothing, and costs nothing */
        tc_pubrel(c, ids[i]);
        tc_expect_pubcomp(c, ids[i]);
    }
    tc_pubrel(c, 100);
    tc_expect_pubcomp(c, 100);
    harness_free(h);
}
END_TEST

START_TEST(stops_reading_when_too_many_acknowledgements_wait_and_its_keep_alive_stands_still)
{
    struct harness *h = held_store_new();
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .keep_alive_s = 10);
    h->store.is_held = true;
    uint16_t id = 0;
    while (!c->paused && id < 5000) {
        id++;
        feed_publish(c, (struct tc_message){.topic = "t/x", .payload = "m", .qos = 1, .id = id});
    }
    ck_assert_uint_lt(id, 5000);
    harness_advance(h, 60000);
    tc_expect_nothing(c); /* nor closed */
    harness_complete_store(h, SIZE_MAX);
    for (uint16_t i = 1; i <= id; i++) {
        tc_expect_puback(c, i);
    }
    ck_assert(!c->paused);
    harness_advance(h, 14999);
    tc_expect_nothing(c);
    harness_advance(h, 2);
    tc_expect_closed(c);
    harness_free(h);
}
END_TEST

START_TEST(sends_connack_when_the_store_is_done_and_then_reads_what_came_meanwhile)
{
    struct harness *h = harness_new(1);
    harness_start(h);
    h->store.is_held = true;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:60"});
    feed_publish(c, (struct tc_message){.topic = "a", .payload = "m", .qos = 1, .id = 7});
    harness_run(h);
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_connack(c, false, 0);
    tc_expect_puback(c, 7);
    harness_free(h);
}
END_TEST

/* --- windows ------------------------------------------------------------------------------------------------------------ */

START_TEST(honours_a_receive_maximum_that_has_become_smaller)
{
    struct harness *h = harness_new(2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 2);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    static const char *const payloads[] = {"0", "1", "2", "3", "4", "5"};
    for (int i = 0; i < 6; i++) {
        tc_publish(publisher, "t", payloads[i], i % 2 == 0 ? 1 : 2);
    }
    ck_assert_uint_eq(take_publishes(c), 6);
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "c", .place = 1, .resume = true, .properties = "session_expiry:60 receive_max:2");
    for (int i = 0; i < 6; i++) { /* that there are never more than two, the client checks */
        ck_assert(tc_receive(c, "t", payloads[i], i % 2 == 0 ? 1 : 2)->dup);
    }
    tc_publish(publisher, "t", "new", 1);
    ck_assert(!tc_receive(c, "t", "new", 1)->dup);
    harness_free(h);
}
END_TEST

START_TEST(never_lets_two_open_messages_have_the_same_packet_id)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "lowest", 1);
    uint16_t id = tc_expect_publish(c, "t", "lowest", 1)->packet_id;
    c->client->session->outgoing.next_seq += 65533; /* so many have come and gone */
    tc_publish(publisher, "t", "last", 1);
    ck_assert_uint_ne(tc_receive(c, "t", "last", 1)->packet_id, id);
    tc_publish(publisher, "t", "too far", 1);
    tc_publish(publisher, "t", "behind it", 1);
    tc_expect_nothing(c);
    tc_puback(c, id);
    ck_assert_uint_eq(tc_receive(c, "t", "too far", 1)->packet_id, id);
    tc_receive(c, "t", "behind it", 1);
    harness_free(h);
}
END_TEST

START_TEST(goes_on_behind_what_is_never_sent)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    tc_hang_up(c);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    char *large = long_text(500);
    tc_publish_with(publisher, .topic = "t", .payload = "expires", .qos = 1, .properties = "message_expiry:10");
    tc_publish(publisher, "t", large, 1);
    tc_publish(publisher, "t", "small", 1);
    harness_advance(h, 11000);
    c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:60 packet_max:100 receive_max:1");
    tc_receive(c, "t", "small", 1);
    tc_expect_nothing(c);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_expired), 1);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_too_large), 1);
    ck_assert_uint_eq(h->store.submitted.finishes, 3);
    free(large);
    harness_free(h);
}
END_TEST

/* --- mailboxes ---------------------------------------------------------------------------------------------------------- */

START_TEST(finds_who_waits_for_the_place_without_looking_at_all_who_do_not)
{
    struct harness *h = harness_new(1);
    struct tc *clients[20];
    for (int i = 0; i < 20; i++) {
        char id[8];
        snprintf(id, sizeof(id), "%d", i);
        clients[i] = tc_connect_at(h, 0, id, MQTT_5_0);
    }
    struct place *place = broker_place(h->broker, 0);
    client_set_paused(clients[3]->client, CLIENT_PAUSE_CONGESTED, true);
    client_set_paused(clients[4]->client, CLIENT_PAUSE_MEMORY, true);
    client_set_paused(clients[4]->client, CLIENT_PAUSE_CONGESTED, true);
    client_set_paused(clients[5]->client, CLIENT_PAUSE_PARKED, true);
    client_set_paused(clients[0]->client, CLIENT_PAUSE_MEMORY, true);
    ck_assert_uint_eq(place->held_clients, 3);
    ck_assert_ptr_eq(place->clients, clients[0]->client);
    ck_assert_ptr_eq(place->clients->next, clients[4]->client);
    ck_assert_ptr_eq(place->clients->next->next, clients[3]->client);
    struct tc *newcomer = tc_connect_at(h, 0, "newcomer", MQTT_5_0);
    client_unpause_all(place, CLIENT_PAUSE_CONGESTED);
    ck_assert(!clients[3]->paused && clients[4]->paused && clients[5]->paused && clients[0]->paused);
    ck_assert_uint_eq(place->held_clients, 2);
    tc_hang_up(clients[0]);
    ck_assert_uint_eq(place->held_clients, 1);
    client_unpause_all(place, CLIENT_PAUSE_MEMORY);
    ck_assert(!clients[4]->paused && clients[5]->paused);
    ck_assert_uint_eq(place->held_clients, 0);
    client_unpause_all(place, CLIENT_PAUSE_MEMORY);
    tc_expect_alive(clients[4]);
    tc_expect_alive(newcomer);
    harness_free(h);
}
END_TEST

START_TEST(pauses_publishers_for_a_full_mailbox_and_resumes_them)
{
    struct harness *h = harness_new(3);
    h->limits->mailbox_bytes = 4096;
    struct tc *subscriber = tc_connect_at(h, 1, "subscriber", MQTT_5_0);
    tc_subscribe(subscriber, "t", 1);
    struct tc *elsewhere = tc_connect_at(h, 2, "elsewhere", MQTT_5_0);
    tc_subscribe(elsewhere, "u", 0);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    struct tc *bystander = tc_connect_at(h, 0, "bystander", MQTT_5_0);
    char *payload = long_text(10000);
    int sent = 0;
    while (!publisher->paused && sent < 50) {
        feed_publish(publisher, (struct tc_message){.topic = "t", .payload = payload});
        harness_place(h, 0);
        place_end_turn(broker_place(h->broker, 0)); /* place 0 posts, place 1 sleeps */
        sent++;
    }
    ck_assert_int_le(sent, 3); /* a bound may be exceeded by one read */
    feed_publish(bystander, (struct tc_message){.topic = "u", .payload = payload});
    ck_assert(!bystander->paused);
    feed_publish(bystander, (struct tc_message){.topic = "t", .payload = payload});
    ck_assert(bystander->paused);
    harness_run(h);
    ck_assert(!publisher->paused);
    ck_assert(!bystander->paused);
    ck_assert_uint_eq(take_publishes(subscriber), (size_t)sent + 1);
    ck_assert_uint_eq(take_publishes(elsewhere), 1);
    free(payload);
    harness_free(h);
}
END_TEST

START_TEST(never_holds_up_a_handover_for_a_full_mailbox)
{
    struct harness *h = harness_new(2);
    h->limits->mailbox_bytes = 4096;
    struct tc *c = tc_connect_persistent_at(h, 1, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    char *payload = long_text(10000);
    for (uint16_t id = 1; id <= 5; id++) {
        feed_publish(publisher, (struct tc_message){.topic = "t", .payload = payload, .qos = 1, .id = id});
    }
    struct tc *again = tc_connect_persistent_at(h, 0, "c", MQTT_5_0);
    take_publishes(c);
    tc_expect_refused(c, 0x8E);
    ck_assert_uint_eq(take_publishes(again), 5);
    free(payload);
    harness_free(h);
}
END_TEST

/* --- memory ------------------------------------------------------------------------------------------------------------- */

START_TEST(counts_sessions_subscriptions_and_aliases_and_takes_no_further_subscription_while_memory_is_short)
{
    struct harness *h = harness_new(1);
    h->limits->memory_bytes = 200000;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    size_t empty = broker_memory(h->broker);
    ck_assert_uint_gt(empty, 0); /* the session */
    char *topic = long_text(60000);
    tc_subscribe(c, topic, 0);
    ck_assert_uint_ge(broker_memory(h->broker), empty + 60000);
    char *alias = long_text(50000);
    tc_publish_with(c, .topic = alias, .payload = "x", .properties = "230001");
    ck_assert_uint_ge(broker_memory(h->broker), empty + 110000);
    ck_assert(broker_is_memory_short(h->broker));
    tc_subscribe(c, topic, 0); /* it has that one already */
    tc_expect_suback(c, tc_send_subscribe(c, (struct tc_subscription){.filter = "b"}), "97");
    tc_unsubscribe(c, topic);
    tc_subscribe(c, "b", 0);
    tc_unsubscribe(c, "b");
    tc_disconnect(c);
    ck_assert_uint_eq(broker_memory(h->broker), 0);
    free(alias);
    free(topic);
    harness_free(h);
}
END_TEST

START_TEST(pauses_large_publishers_while_memory_is_short_and_their_keep_alive_stands_still)
{
    struct harness *h = harness_new(1);
    h->limits->memory_bytes = 100000;
    struct tc *c = tc_connect_with(h, .id = "c", .keep_alive_s = 10);
    struct tc *other = tc_connect(h, "other", MQTT_5_0);
    char *payload = long_text(120000);
    tc_retain(other, "r", payload, 0);
    ck_assert(broker_is_memory_short(h->broker));
    const char head[] = "\x30\xd3\x86\x03\x00\x01t\x00"; /* 50003 bytes follow, of which many come later */
    tc_feed(c, head, sizeof(head) - 1);
    tc_feed(c, payload, 10000);
    harness_run(h);
    ck_assert(c->paused);
    tc_expect_alive(other); /* who sends little is read */
    harness_advance(h, 60000);
    tc_expect_nothing(c);
    tc_retain(other, "r", "", 0);
    harness_advance(h, 200);
    ck_assert(!c->paused);
    tc_send(c, payload, 50003 - 10000 - 4);
    tc_expect_alive(c);
    harness_advance(h, 15001);
    tc_expect_refused(c, 0x8D);
    free(payload);
    harness_free(h);
}
END_TEST

START_TEST(allocates_nothing_for_what_a_connect_announces)
{
    struct harness *h = harness_new(1);
    enum { COUNT = 200 };
    for (int i = 0; i < COUNT; i++) {
        struct tc *c = tc_open(h, 0);
        tc_send_spec(c, "10 80f007 <MQTT> 05 02 003c"); /* 129 024 bytes */
        ck_assert(!c->closed);
    }
    ck_assert_uint_le(HARNESS_STAT(h, input_bytes), COUNT * 512);
    struct tc *c = tc_open(h, 0);
    tc_send_spec(c, "10 808080 01"); /* 2 MiB */
    tc_expect_closed(c);
    harness_advance(h, h->limits->connect_timeout_ms + 1);
    ck_assert_uint_eq(HARNESS_STAT(h, input_bytes), 0);
    harness_free(h);
}
END_TEST

START_TEST(keeps_little_of_what_comes_before_connack)
{
    struct harness *h = harness_new(1);
    h->limits->connect_bytes = 4096;
    h->access.is_held = true;
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c"});
    ck_assert(c->paused);
    char *payload = long_text(3000);
    for (int i = 0; i < 3; i++) { /* what was read already */
        client_receive(c->client, (const uint8_t *)payload, 3000);
    }
    harness_run(h);
    ck_assert(c->closed);
    ck_assert_uint_eq(HARNESS_STAT(h, input_bytes), 0);
    free(payload);
    harness_free(h);
}
END_TEST

/* --- a session's queue -------------------------------------------------------------------------------------------------- */

/* A session that is away at place 0 with room for three messages, and a publisher at PLACE. */
struct full {
    struct harness *h;
    struct tc *publisher;
};

static struct full full_new(enum queue_full_policy policy, unsigned place, enum mqtt_version version)
{
    struct full f = {.h = harness_new(2)};
    f.h->limits->queued_messages = 3;
    f.h->limits->queue_full = policy;
    struct tc *c = tc_connect_persistent(f.h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    tc_hang_up(c);
    f.publisher = tc_connect_at(f.h, place, "publisher", version);
    return f;
}

static void expect_queued(struct full *f, const char *const *payloads, size_t count)
{
    struct tc *c = tc_connect_persistent(f->h, "c", MQTT_5_0);
    for (size_t i = 0; i < count; i++) {
        tc_receive(c, "t", payloads[i], 1);
    }
    tc_expect_nothing(c);
    ck_assert_uint_eq(HARNESS_STAT(f->h, queued_messages), 0);
    ck_assert_uint_eq(HARNESS_STAT(f->h, queued_bytes), 0);
    harness_free(f->h);
}

static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

START_TEST(drops_the_oldest_of_a_full_queue)
{
    struct full f = full_new(QUEUE_DROP_OLDEST, (unsigned)_i, MQTT_5_0);
    for (int i = 0; i < 5; i++) {
        tc_publish(f.publisher, "t", numbers[i], 1);
    }
    ck_assert_uint_eq(HARNESS_STAT(f.h, dropped_queue_full), 2);
    ck_assert_uint_eq(f.h->store.submitted.finishes, 2); /* the store need not keep them */
    expect_queued(&f, numbers + 2, 3);
}
END_TEST

START_TEST(drops_the_newest_for_a_full_queue)
{
    struct full f = full_new(QUEUE_DROP_NEWEST, (unsigned)_i, MQTT_5_0);
    for (int i = 0; i < 5; i++) {
        tc_publish(f.publisher, "t", numbers[i], 1);
    }
    ck_assert_uint_eq(HARNESS_STAT(f.h, dropped_queue_full), 2);
    expect_queued(&f, numbers, 3);
}
END_TEST

START_TEST(refuses_what_a_full_queue_has_no_room_for)
{
    struct full f = full_new(QUEUE_REFUSE, (unsigned)_i, MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish(f.publisher, "t", numbers[i], 1);
    }
    for (uint8_t qos = 1; qos <= 2; qos++) {
        uint16_t id = tc_send_publish(f.publisher, (struct tc_message){.topic = "t", .payload = "no", .qos = qos});
        tc_expect_ack(f.publisher, qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, id, 0x97);
    }
    tc_publish(f.publisher, "t", "gone", 0);     /* QoS 0 is nobody's duty */
    tc_publish(f.publisher, "elsewhere", "", 1); /* and other topics are not held up */
    tc_expect_alive(f.publisher);
    ck_assert_uint_eq(HARNESS_STAT(f.h, dropped_queue_full), 0);
    expect_queued(&f, numbers, 3);
}
END_TEST

START_TEST(closes_a_3_1_1_publisher_for_whom_a_queue_has_no_room)
{
    struct full f = full_new(QUEUE_REFUSE, (unsigned)_i, MQTT_3_1_1);
    for (int i = 0; i < 3; i++) {
        tc_publish(f.publisher, "t", numbers[i], 1);
    }
    tc_send_publish(f.publisher, (struct tc_message){.topic = "t", .payload = "no", .qos = 1});
    tc_expect_closed(f.publisher);
    expect_queued(&f, numbers, 3);
}
END_TEST

START_TEST(accepts_again_when_a_full_queue_has_room)
{
    struct full f = full_new(QUEUE_REFUSE, 1, MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish(f.publisher, "t", numbers[i], 1);
    }
    struct tc *c = tc_connect_persistent_at(f.h, 1, "c", MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_receive(c, "t", numbers[i], 1);
    }
    tc_publish(f.publisher, "t", "yes", 1);
    tc_receive(c, "t", "yes", 1);
    harness_free(f.h);
}
END_TEST

START_TEST(keeps_what_it_has_acknowledged_before_it_could_know_of_a_full_queue)
{
    struct full f = full_new(QUEUE_REFUSE, 1, MQTT_5_0);
    for (uint16_t i = 0; i < 6; i++) { /* all of them before the other place sees one */
        feed_publish(f.publisher,
                     (struct tc_message){.topic = "t", .payload = numbers[i], .qos = 1, .id = (uint16_t)(i + 1)});
    }
    harness_run(f.h);
    for (uint16_t id = 1; id <= 6; id++) {
        tc_expect_puback(f.publisher, id);
    }
    expect_queued(&f, numbers, 6);
}
END_TEST

START_TEST(refuses_for_a_subscription_that_a_full_session_makes)
{
    struct harness *h = harness_new(1);
    h->limits->queued_messages = 2;
    h->limits->queue_full = QUEUE_REFUSE;
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "receive_max:1");
    tc_subscribe(c, "t", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish(publisher, "t", numbers[i], 1);
    }
    (void)tc_expect_publish(c, "t", "0", 1);
    tc_subscribe(c, "u", 1);
    uint16_t id = tc_send_publish(publisher, (struct tc_message){.topic = "u", .payload = "no", .qos = 1});
    tc_expect_ack(publisher, PACKET_PUBACK, id, 0x97);
    tc_unsubscribe(c, "u");
    tc_publish(publisher, "u", "nobody", 1);
    harness_free(h);
}
END_TEST

START_TEST(refuses_for_a_full_session_that_has_moved_and_is_away)
{
    struct full f = full_new(QUEUE_REFUSE, 1, MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish(f.publisher, "t", numbers[i], 1);
    }
    struct tc *dying = tc_open(f.h, 1); /* it takes the session to place 1, and is gone before it is there */
    const uint8_t connect[] = "\x10\x13\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\x0e\x10\x00\x01"
                              "c";
    tc_feed(dying, connect, sizeof(connect) - 1);
    tc_hang_up(dying);
    ck_assert_uint_eq(HARNESS_STAT(f.h, handovers), 1);
    uint16_t id = tc_send_publish(f.publisher, (struct tc_message){.topic = "t", .payload = "no", .qos = 1});
    tc_expect_ack(f.publisher, PACKET_PUBACK, id, 0x97);
    expect_queued(&f, numbers, 3);
}
END_TEST

START_TEST(does_not_refuse_for_what_has_expired_in_a_full_queue)
{
    struct full f = full_new(QUEUE_REFUSE, (unsigned)_i, MQTT_5_0);
    for (int i = 0; i < 3; i++) {
        tc_publish_with(f.publisher, .topic = "t", .payload = "old", .qos = 1, .properties = "message_expiry:10");
    }
    harness_advance(f.h, 12000);
    tc_publish(f.publisher, "t", "0", 1);
    expect_queued(&f, numbers, 1);
}
END_TEST

START_TEST(bounds_the_bytes_of_a_queue)
{
    struct harness *h = harness_new(1);
    h->limits->queued_bytes = 10000;
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    tc_hang_up(c);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    char *payload = long_text(4000);
    char *huge = long_text(11000);
    for (int i = 0; i < 4; i++) {
        payload[0] = (char)('0' + i);
        tc_publish(publisher, "t", payload, 1);
        ck_assert_uint_le(HARNESS_STAT(h, queued_bytes), 10000);
    }
    tc_publish(publisher, "t", huge, 1); /* one that never fits pushes out nobody */
    ck_assert_uint_eq(HARNESS_STAT(h, queued_messages), 2);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_queue_full), 3);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    ck_assert_uint_eq(tc_expect_any_publish(c)->payload.data[0], '2');
    ck_assert_uint_eq(tc_expect_any_publish(c)->payload.data[0], '3');
    free(payload);
    free(huge);
    harness_free(h);
}
END_TEST

START_TEST(drops_qos0_for_a_slow_reader_and_keeps_the_rest)
{
    struct harness *h = harness_new(2);
    h->limits->output_bytes = 20000;
    struct tc *slow = tc_connect(h, "slow", MQTT_5_0);
    struct tc *quick = tc_connect_at(h, 1, "quick", MQTT_5_0);
    tc_subscribe(slow, "t", 1);
    tc_subscribe(quick, "t", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_set_room(slow, 0);
    char *payload = long_text(1000);
    for (int i = 0; i < 100; i++) {
        tc_publish(publisher, "t", payload, 0);
    }
    for (int i = 0; i < 10; i++) {
        tc_publish(publisher, "t", numbers[i], 1);
    }
    uint64_t dropped = HARNESS_STAT(h, dropped_output_full);
    ck_assert_uint_ge(dropped, 75);
    ck_assert_uint_lt(dropped, 100);
    ck_assert_uint_eq(take_publishes(quick), 110);
    tc_set_room(slow, SIZE_MAX);
    for (uint64_t i = dropped; i < 100; i++) {
        tc_expect_publish(slow, "t", payload, 0);
    }
    for (int i = 0; i < 10; i++) {
        tc_receive(slow, "t", numbers[i], 1);
    }
    tc_expect_nothing(slow);
    free(payload);
    harness_free(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rules_flow");
    TCase *acks = tcase_create("acknowledgements");
    tcase_add_test(acks, sends_acknowledgements_in_the_order_of_the_packets);
    tcase_add_test(acks, waits_for_no_store_without_durable_interest);
    tcase_add_test(acks, waits_for_the_store_with_a_retained_message);
    tcase_add_test(acks, waits_with_qos2_from_a_persistent_session_for_its_own_entry);
    tcase_add_test(acks, forgets_parked_acknowledgements_with_their_connection);
    tcase_add_test(acks, lets_a_client_send_its_whole_receive_maximum_while_the_store_is_slow);
    tcase_add_test(acks, counts_the_receive_maximum_anew_on_each_connection_mqtt_4_9);
    tcase_add_test(acks, stops_reading_when_too_many_acknowledgements_wait_and_its_keep_alive_stands_still);
    tcase_add_test(acks, sends_connack_when_the_store_is_done_and_then_reads_what_came_meanwhile);
    suite_add_tcase(s, acks);
    TCase *windows = tcase_create("windows");
    tcase_add_test(windows, honours_a_receive_maximum_that_has_become_smaller);
    tcase_add_test(windows, never_lets_two_open_messages_have_the_same_packet_id);
    tcase_add_test(windows, goes_on_behind_what_is_never_sent);
    suite_add_tcase(s, windows);
    TCase *mailboxes = tcase_create("mailboxes");
    tcase_add_test(mailboxes, finds_who_waits_for_the_place_without_looking_at_all_who_do_not);
    tcase_add_test(mailboxes, pauses_publishers_for_a_full_mailbox_and_resumes_them);
    tcase_add_test(mailboxes, never_holds_up_a_handover_for_a_full_mailbox);
    suite_add_tcase(s, mailboxes);
    TCase *memory = tcase_create("memory");
    tcase_add_test(memory,
                   counts_sessions_subscriptions_and_aliases_and_takes_no_further_subscription_while_memory_is_short);
    tcase_add_test(memory, pauses_large_publishers_while_memory_is_short_and_their_keep_alive_stands_still);
    tcase_add_test(memory, allocates_nothing_for_what_a_connect_announces);
    tcase_add_test(memory, keeps_little_of_what_comes_before_connack);
    suite_add_tcase(s, memory);
    TCase *queue = tcase_create("queue");
    tcase_add_loop_test(queue, drops_the_oldest_of_a_full_queue, 0, 2);
    tcase_add_loop_test(queue, drops_the_newest_for_a_full_queue, 0, 2);
    tcase_add_loop_test(queue, refuses_what_a_full_queue_has_no_room_for, 0, 2);
    tcase_add_loop_test(queue, closes_a_3_1_1_publisher_for_whom_a_queue_has_no_room, 0, 2);
    tcase_add_test(queue, accepts_again_when_a_full_queue_has_room);
    tcase_add_test(queue, keeps_what_it_has_acknowledged_before_it_could_know_of_a_full_queue);
    tcase_add_test(queue, refuses_for_a_subscription_that_a_full_session_makes);
    tcase_add_test(queue, refuses_for_a_full_session_that_has_moved_and_is_away);
    tcase_add_loop_test(queue, does_not_refuse_for_what_has_expired_in_a_full_queue, 0, 2);
    tcase_add_test(queue, bounds_the_bytes_of_a_queue);
    tcase_add_test(queue, drops_qos0_for_a_slow_reader_and_keeps_the_rest);
    suite_add_tcase(s, queue);
    return s;
}

CHECK_MAIN(suite)
