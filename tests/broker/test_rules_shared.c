/* Shared subscriptions over several places: who is chosen, and what becomes of what the chosen one does not acknowledge. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/broker/stats.h"
#include "tests/broker/rules.h"
#include "tests/check_main.h"

#define GROUP "$share/g/t/#"

static struct tc *member_at(struct harness *h, unsigned place, const char *id, uint8_t qos)
{
    struct tc *c = tc_connect_at(h, place, id, MQTT_5_0);
    tc_subscribe(c, GROUP, qos);
    return c;
}

static struct tc *persistent_member_at(struct harness *h, unsigned place, const char *id, uint8_t qos)
{
    struct tc *c = tc_connect_persistent_at(h, place, id, MQTT_5_0);
    tc_subscribe(c, GROUP, qos);
    return c;
}

/* --- who is chosen ------------------------------------------------------------------------------------------------------ */

START_TEST(chooses_places_in_proportion_to_their_members)
{
    struct harness *h = harness_new(3);
    struct tc *alone = member_at(h, 0, "alone", 0);
    struct tc *three[3];
    for (unsigned i = 0; i < 3; i++) {
        static const char *const ids[] = {"m1", "m2", "m3"};
        three[i] = member_at(h, 1, ids[i], 0);
    }
    struct tc *publisher = tc_connect_at(h, 2, "publisher", MQTT_5_0);
    for (int i = 0; i < 40; i++) {
        tc_publish(publisher, "t/x", "m", 0);
    }
    ck_assert_uint_eq(take_publishes(alone), 10);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(take_publishes(three[i]), 10);
    }
    harness_free(h);
}
END_TEST

START_TEST(gives_an_offline_member_nothing_while_another_is_connected)
{
    struct harness *h = harness_new(2);
    struct tc *away = persistent_member_at(h, 0, "away", 1);
    struct tc *here = member_at(h, 1, "here", 1);
    tc_hang_up(away);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    for (int i = 0; i < 10; i++) {
        tc_publish(publisher, "t/x", "m", 1);
        tc_receive(here, "t/x", "m", 1);
    }
    away = tc_connect_persistent_at(h, 0, "away", MQTT_5_0);
    tc_expect_nothing(away);
    harness_free(h);
}
END_TEST

START_TEST(keeps_messages_for_an_offline_member_when_nobody_else_is_there)
{
    struct harness *h = harness_new(2);
    struct tc *away = persistent_member_at(h, 1, "away", 1);
    tc_hang_up(away);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    tc_publish(publisher, "t/x", "m", 1);
    away = tc_connect_persistent_at(h, 0, "away", MQTT_5_0);
    tc_receive(away, "t/x", "m", 1);
    tc_expect_nothing(away);
    harness_free(h);
}
END_TEST

START_TEST(passes_over_a_member_whose_window_is_full)
{
    struct harness *h = harness_new(2);
    struct tc *slow = tc_connect_with(h, .id = "slow", .properties = "receive_max:1");
    tc_subscribe(slow, GROUP, 1);
    struct tc *quick = member_at(h, 1, "quick", 1);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    for (int i = 0; i < 10; i++) {
        tc_publish(publisher, "t/x", "m", 1);
    }
    const struct publish *first = tc_expect_publish(slow, "t/x", "m", 1);
    tc_expect_nothing(slow);
    ck_assert_uint_eq(take_publishes(quick), 9);
    tc_puback(slow, first->packet_id);
    for (int i = 0; i < 2; i++) {
        tc_publish(publisher, "t/x", "m", 1);
    }
    ck_assert_uint_eq(take_publishes(slow), 1);
    harness_free(h);
}
END_TEST

START_TEST(passes_on_what_comes_when_the_last_member_has_left)
{
    struct harness *h = harness_new(3);
    struct tc *leaving = member_at(h, 1, "leaving", 1);
    struct tc *staying = member_at(h, 2, "staying", 1);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    feed_publish(publisher, (struct tc_message){.topic = "t/x", .payload = "1", .qos = 1, .id = 1});
    feed_publish(publisher, (struct tc_message){.topic = "t/x", .payload = "2", .qos = 1, .id = 2});
    feed_unsubscribe(leaving, GROUP, 100); /* one of the two is on its way to it */
    harness_run(h);
    tc_expect_unsuback(leaving, 100, "00");
    tc_expect_nothing(leaving);
    ck_assert_uint_eq(take_publishes(staying), 2);
    harness_free(h);
}
END_TEST

START_TEST(drops_and_counts_what_comes_when_all_members_have_left)
{
    struct harness *h = harness_new(2);
    struct tc *leaving = member_at(h, 1, "leaving", 1);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    feed_publish(publisher, (struct tc_message){.topic = "t/x", .payload = "1", .qos = 1, .id = 1});
    feed_unsubscribe(leaving, GROUP, 100);
    harness_run(h);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_no_member), 1);
    tc_expect_puback(publisher, 1);
    harness_free(h);
}
END_TEST

START_TEST(pauses_who_publishes_to_a_group_whose_place_is_congested)
{
    struct harness *h = harness_new(2);
    h->limits->mailbox_bytes = 4096;
    struct tc *member = member_at(h, 1, "member", 0);
    struct tc *publisher = tc_connect_at(h, 0, "publisher", MQTT_5_0);
    char *payload = long_text(1000);
    int sent = 0;
    while (!publisher->paused && sent < 200) {
        feed_publish(publisher, (struct tc_message){.topic = "t/x", .payload = payload});
        sent++;
    }
    ck_assert_int_lt(sent, 200);
    harness_run(h);
    ck_assert(!publisher->paused);
    ck_assert_uint_eq(take_publishes(member), (size_t)sent);
    free(payload);
    harness_free(h);
}
END_TEST

/* --- what is not acknowledged ------------------------------------------------------------------------------------------- */

/* One member takes a message and does not acknowledge it; then another joins. */
struct pair {
    struct harness *h;
    struct tc *taker;
    struct tc *other;
    const struct publish *taken;
};

static struct pair pair_new(bool by_disconnect, bool is_persistent, uint8_t qos)
{
    struct pair p = {.h = harness_new(2)};
    p.h->limits->shared_redeliver_on_disconnect = by_disconnect;
    p.taker = is_persistent ? persistent_member_at(p.h, 0, "taker", qos) : member_at(p.h, 0, "taker", qos);
    struct tc *publisher = tc_connect_at(p.h, 1, "publisher", MQTT_5_0);
    tc_publish(publisher, "t/x", "m", qos);
    p.taken = tc_expect_publish(p.taker, "t/x", "m", qos);
    p.other = member_at(p.h, 1, "other", qos);
    return p;
}

START_TEST(gives_qos1_back_to_the_group_when_the_session_ends)
{
    struct pair p = pair_new(false, false, 1);
    tc_hang_up(p.taker);
    tc_receive(p.other, "t/x", "m", 1);
    tc_expect_nothing(p.other);
    harness_free(p.h);
}
END_TEST

START_TEST(leaves_qos1_with_a_session_that_is_away)
{
    struct pair p = pair_new(false, true, 1);
    tc_hang_up(p.taker);
    tc_expect_nothing(p.other);
    p.taker = tc_connect_persistent_at(p.h, 1, "taker", MQTT_5_0);
    ck_assert(tc_receive(p.taker, "t/x", "m", 1)->dup);
    tc_hang_up(p.taker);
    harness_advance(p.h, 3600 * 1000 + 1);
    tc_expect_nothing(p.other);
    harness_free(p.h);
}
END_TEST

START_TEST(gives_qos1_back_when_a_session_expires)
{
    struct pair p = pair_new(false, true, 1);
    tc_hang_up(p.taker);
    harness_advance(p.h, 3600 * 1000 - 1);
    tc_expect_nothing(p.other);
    harness_advance(p.h, 2);
    tc_receive(p.other, "t/x", "m", 1);
    tc_expect_nothing(p.other);
    harness_free(p.h);
}
END_TEST

START_TEST(gives_qos1_back_when_a_clean_start_elsewhere_ends_the_session)
{
    struct pair p = pair_new(false, true, 1);
    tc_hang_up(p.taker);
    struct tc *again = tc_connect_at(p.h, 1, "taker", MQTT_5_0);
    tc_expect_nothing(again);
    tc_receive(p.other, "t/x", "m", 1);
    tc_expect_nothing(p.other);
    harness_free(p.h);
}
END_TEST

START_TEST(gives_qos1_back_at_disconnect_if_told_so)
{
    struct pair p = pair_new(true, true, 1);
    tc_hang_up(p.taker);
    tc_receive(p.other, "t/x", "m", 1);
    tc_expect_nothing(p.other);
    p.taker = tc_connect_persistent_at(p.h, 1, "taker", MQTT_5_0);
    tc_expect_nothing(p.taker);
    harness_free(p.h);
}
END_TEST

START_TEST(keeps_qos1_of_the_only_member_at_disconnect)
{
    struct harness *h = harness_new(2);
    h->limits->shared_redeliver_on_disconnect = true;
    struct tc *only =
        tc_connect_with(h, .id = "only", .resume = true, .properties = "session_expiry:3600 receive_max:2");
    tc_subscribe(only, GROUP, 1);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    static const char *const payloads[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++) {
        tc_publish(publisher, "t/x", payloads[i], 1);
    }
    uint16_t first_id = tc_expect_publish(only, "t/x", "1", 1)->packet_id;
    tc_hang_up(only);
    only = tc_connect_persistent_at(h, 0, "only", MQTT_5_0);
    const struct publish *again = tc_expect_publish(only, "t/x", "1", 1);
    ck_assert(again->dup);
    ck_assert_uint_eq(again->packet_id, first_id);
    tc_puback(only, first_id);
    for (int i = 1; i < 4; i++) {
        tc_receive(only, "t/x", payloads[i], 1);
    }
    tc_expect_nothing(only);
    harness_free(h);
}
END_TEST

START_TEST(gives_back_what_waits_in_the_queue_in_order)
{
    struct harness *h = harness_new(2);
    struct tc *slow = tc_connect_with(h, .id = "slow", .properties = "receive_max:1");
    tc_subscribe(slow, GROUP, 1);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    static const char *const payloads[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        tc_publish(publisher, "t/x", payloads[i], 1);
    }
    ck_assert_uint_eq(HARNESS_STAT(h, queued_messages), 2);
    struct tc *other = member_at(h, 1, "other", 1);
    tc_hang_up(slow);
    for (int i = 0; i < 3; i++) {
        tc_receive(other, "t/x", payloads[i], 1);
    }
    tc_expect_nothing(other);
    ck_assert_uint_eq(HARNESS_STAT(h, queued_messages), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, queued_bytes), 0);
    harness_free(h);
}
END_TEST

START_TEST(ends_qos2_with_its_session_mqtt_4_8_2_5)
{
    struct pair p = pair_new(true, false, 2);
    tc_hang_up(p.taker);
    tc_expect_nothing(p.other);
    harness_free(p.h);
}
END_TEST

START_TEST(completes_qos2_with_its_session_mqtt_4_8_2_4)
{
    struct pair p = pair_new(true, true, 2);
    tc_hang_up(p.taker);
    tc_expect_nothing(p.other);
    p.taker = tc_connect_persistent_at(p.h, 1, "taker", MQTT_5_0);
    tc_receive(p.taker, "t/x", "m", 2);
    tc_expect_nothing(p.taker);
    tc_expect_nothing(p.other);
    harness_free(p.h);
}
END_TEST

START_TEST(discards_what_is_acknowledged_with_an_error_mqtt_4_8_2_6)
{
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct pair p = pair_new(true, false, qos);
        tc_send_ack(p.taker, qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, p.taken->packet_id, 0x97);
        tc_hang_up(p.taker);
        tc_expect_nothing(p.other);
        harness_free(p.h);
    }
}
END_TEST

START_TEST(leaves_qos1_with_who_has_unsubscribed)
{
    struct pair p = pair_new(true, false, 1);
    tc_unsubscribe(p.taker, GROUP);
    tc_hang_up(p.taker);
    tc_expect_nothing(p.other);
    harness_free(p.h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rules_shared");
    TCase *choice = tcase_create("choice");
    tcase_add_test(choice, chooses_places_in_proportion_to_their_members);
    tcase_add_test(choice, gives_an_offline_member_nothing_while_another_is_connected);
    tcase_add_test(choice, keeps_messages_for_an_offline_member_when_nobody_else_is_there);
    tcase_add_test(choice, passes_over_a_member_whose_window_is_full);
    tcase_add_test(choice, passes_on_what_comes_when_the_last_member_has_left);
    tcase_add_test(choice, drops_and_counts_what_comes_when_all_members_have_left);
    tcase_add_test(choice, pauses_who_publishes_to_a_group_whose_place_is_congested);
    suite_add_tcase(s, choice);
    TCase *back = tcase_create("give_back");
    tcase_add_test(back, gives_qos1_back_to_the_group_when_the_session_ends);
    tcase_add_test(back, leaves_qos1_with_a_session_that_is_away);
    tcase_add_test(back, gives_qos1_back_when_a_session_expires);
    tcase_add_test(back, gives_qos1_back_when_a_clean_start_elsewhere_ends_the_session);
    tcase_add_test(back, gives_qos1_back_at_disconnect_if_told_so);
    tcase_add_test(back, keeps_qos1_of_the_only_member_at_disconnect);
    tcase_add_test(back, gives_back_what_waits_in_the_queue_in_order);
    tcase_add_test(back, ends_qos2_with_its_session_mqtt_4_8_2_5);
    tcase_add_test(back, completes_qos2_with_its_session_mqtt_4_8_2_4);
    tcase_add_test(back, discards_what_is_acknowledged_with_an_error_mqtt_4_8_2_6);
    tcase_add_test(back, leaves_qos1_with_who_has_unsubscribed);
    suite_add_tcase(s, back);
    return s;
}

CHECK_MAIN(suite)
