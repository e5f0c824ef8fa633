/* MQTT 3.1.1, 3.1.2.4, 3.1.3.1, 4.1 and 4.5: what belongs to a Session, and how long it lives. */
#include "tests/conformance/v311.h"

CONFORMANCE_TEST(mqtt311_3_1_2_4_session_is_created_stored_and_resumed)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, false, 0);
    tc_subscribe(c, "a", 1);
    tc_subscribe(c, "b/+", 0);
    for (int i = 0; i < 3; i++) {
        tc_disconnect(c);
        harness_advance(h, UINT64_C(100000000)); /* days: 3.1.1 lets no session expire */
        c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
        tc_expect_connack(c, true, 0);
        tc_publish(p, "a", "x", 2);
        tc_receive(c, "a", "x", 1);
        tc_publish(p, "b/c", "y", 2);
        tc_receive(c, "b/c", "y", 0);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_2_4_mqtt311_4_1_0_1_open_flows_of_both_directions_are_part_of_the_session)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "in", 2);
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "out", 2);
    tc_publish(p, "out", "1", 1);
    uint16_t qos1 = tc_expect_publish(c, "out", "1", 1)->packet_id;
    tc_publish(p, "out", "2", 2);
    uint16_t qos2 = tc_expect_publish(c, "out", "2", 2)->packet_id;
    tc_pubrec(c, qos2);
    tc_expect_pubrel(c, qos2);
    tc_send_publish(c, (struct tc_message){.topic = "in", .payload = "once", .qos = 2, .id = 7});
    tc_expect_pubrec(c, 7);
    tc_receive(w, "in", "once", 2);
    tc_hang_up(c);
    c = v311_resume(h, "c");
    const struct publish *again = tc_expect_publish(c, "out", "1", 1);
    ck_assert_uint_eq(again->packet_id, qos1);
    tc_expect_pubrel(c, qos2);
    tc_send_publish(c, (struct tc_message){.topic = "in", .payload = "once", .qos = 2, .id = 7, .dup = true});
    tc_expect_pubrec(c, 7);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_1_2_5_messages_of_qos_1_and_2_are_stored_while_the_client_is_away)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "one", 1);
    tc_subscribe(c, "two", 2);
    tc_disconnect(c);
    tc_publish(p, "one", "1", 1);
    tc_publish(p, "two", "2", 2);
    tc_publish(p, "one", "3", 2);
    tc_publish(p, "two", "4", 1);
    tc_publish(p, "three", "5", 1);
    c = v311_resume(h, "c");
    tc_receive(c, "one", "1", 1);
    tc_receive(c, "two", "2", 2);
    tc_receive(c, "one", "3", 1);
    tc_receive(c, "two", "4", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_1_2_6_clean_session_discards_what_was_stored)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_resume(h, "c");
    tc_subscribe(c, "a", 1);
    tc_publish(p, "a", "unacknowledged", 1);
    tc_expect_publish(c, "a", "unacknowledged", 1);
    tc_hang_up(c);
    tc_publish(p, "a", "queued", 1);
    c = v311_connect(h, "c");
    tc_publish(p, "a", "not subscribed", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_1_2_6_clean_session_ends_with_its_connection)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    tc_publish(p, "a", "queued for nobody", 1);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, false, 0);
    tc_publish(p, "a", "not subscribed", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_3_1_2_6_unreleased_packet_ids_go_with_what_a_clean_session_discards)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 2);
    for (int was_clean = 0; was_clean <= 1; was_clean++) {
        struct tc *c = was_clean ? v311_connect(h, "c") : v311_resume(h, "c");
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "1", .qos = 2, .id = 7});
        tc_expect_pubrec(c, 7);
        tc_receive(w, "a", "1", 2);
        tc_hang_up(c);
        c = v311_connect(h, "c");
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "2", .qos = 2, .id = 7});
        tc_expect_pubrec(c, 7);
        tc_receive(w, "a", "2", 2);
        tc_hang_up(c);
    }
}

CONFORMANCE_TEST(mqtt311_3_1_2_7_retained_messages_survive_the_session)
{
    struct tc *c = v311_resume(h, "c");
    tc_retain(c, "r", "kept", 1);
    tc_hang_up(c);
    c = v311_connect(h, "c");
    tc_subscribe(c, "r", 1);
    ck_assert(tc_receive(c, "r", "kept", 1)->retain);
    tc_hang_up(c);
    c = v311_connect(h, "d");
    tc_subscribe(c, "r", 1);
    ck_assert(tc_receive(c, "r", "kept", 1)->retain);
}

CONFORMANCE_TEST(mqtt311_3_1_3_2_session_state_is_found_by_the_client_id_alone)
{
    static const char *const ids[] = {"c", "C", "cc", "c ", " c", "c/1", "ç"};
    enum { IDS = sizeof(ids) / sizeof(ids[0]) };
    struct tc *p = v311_connect(h, "p");
    for (int i = 0; i < IDS; i++) {
        struct tc *c = v311_resume(h, ids[i]);
        char topic[2] = {(char)('0' + i), '\0'};
        tc_subscribe(c, topic, 1);
        tc_hang_up(c);
    }
    for (int i = 0; i < IDS; i++) {
        struct tc *c = tc_try_connect(
            h, (struct tc_options){.id = ids[i], .version = MQTT_3_1_1, .resume = true, .user_name = "other"});
        tc_expect_connack(c, true, 0);
        for (int j = 0; j < IDS; j++) {
            char topic[2] = {(char)('0' + j), '\0'};
            tc_publish(p, topic, "x", 0);
        }
        char topic[2] = {(char)('0' + i), '\0'};
        tc_receive(c, topic, "x", 0);
        tc_expect_nothing(c);
    }
}

CONFORMANCE_TEST(mqtt311_4_1_0_2_session_lasts_as_long_as_its_connection)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "1", 2);
    uint16_t id = tc_expect_publish(c, "a", "1", 2)->packet_id;
    harness_advance(h, UINT64_C(1000000000));
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    tc_pubcomp(c, id);
    tc_publish(p, "a", "2", 1);
    tc_receive(c, "a", "2", 1);
}

CONFORMANCE_TEST(mqtt311_4_5_0_1_message_is_added_to_the_session_of_each_subscriber)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *clean = v311_connect(h, "clean");
    struct tc *here = v311_resume(h, "here");
    struct tc *away = v311_resume(h, "away");
    struct tc *deaf = v311_resume(h, "deaf");
    tc_subscribe(clean, "a/#", 1);
    tc_subscribe(here, "a/+", 2);
    tc_subscribe(away, "a/b", 1);
    tc_subscribe(deaf, "a", 1);
    tc_hang_up(away);
    tc_set_room(clean, 0); /* takes nothing at this moment */
    tc_publish(p, "a/b", "1", 1);
    tc_publish(p, "a/b", "2", 2);
    tc_receive(here, "a/b", "1", 1);
    tc_receive(here, "a/b", "2", 2);
    tc_set_room(clean, SIZE_MAX);
    tc_receive(clean, "a/b", "1", 1);
    tc_receive(clean, "a/b", "2", 1);
    away = v311_resume(h, "away");
    tc_receive(away, "a/b", "1", 1);
    tc_receive(away, "a/b", "2", 1);
    tc_expect_nothing(deaf);
}
