/* MQTT 3.1.1, 3.1.2.5 to 3.1.2.7: the Will. */
#include "tests/conformance/v311.h"

static struct tc *watcher(struct harness *h)
{
    struct tc *w = v311_connect(h, "watcher");
    tc_subscribe(w, "will", 2);
    return w;
}

CONFORMANCE_TEST(mqtt311_3_1_2_8_will_is_published_when_the_network_connection_ends)
{
    struct tc *w = watcher(h);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .resume = qos == 1,
                                       .will = {.topic = "will", .payload = "bye", .qos = qos});
        harness_advance(h, 1000);
        tc_expect_nothing(w);
        tc_hang_up(c);
        tc_receive(w, "will", "bye", qos);
    }
    tc_hang_up(tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will"}));
    tc_receive(w, "will", "", 0); /* an empty will is one */
}

CONFORMANCE_TEST(mqtt311_3_1_2_8_will_is_published_when_the_server_closes_for_an_error)
{
    struct tc *w = watcher(h);
    struct tc *c =
        tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = "bye", .qos = 1});
    tc_send_spec(c, "30{<bad/#> 'x'}");
    tc_expect_closed(c);
    tc_receive(w, "will", "bye", 1);
}

CONFORMANCE_TEST(mqtt311_3_1_2_8_will_is_published_when_the_keep_alive_is_over)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .keep_alive_s = 2,
                                   .will = {.topic = "will", .payload = "bye", .qos = 1});
    harness_advance(h, 4000);
    tc_expect_closed(c);
    tc_receive(w, "will", "bye", 1);
}

CONFORMANCE_TEST(mqtt311_3_1_2_8_will_is_published_when_another_connection_takes_over)
{
    struct tc *w = watcher(h);
    for (int resume = 0; resume <= 1; resume++) {
        tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .resume = resume,
                        .will = {.topic = "will", .payload = "old"});
        struct tc *new = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .resume = resume,
                                         .will = {.topic = "will", .payload = "new"});
        tc_receive(w, "will", "old", 0);
        tc_hang_up(new);
        tc_receive(w, "will", "new", 0);
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_1_2_8_refused_connect_leaves_no_will)
{
    struct tc *w = watcher(h);
    h->access.refusal = REASON_NOT_AUTHORIZED;
    struct tc *c = tc_try_connect(
        h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = "bye"}});
    tc_expect_connack(c, false, 5);
    tc_hang_up(c);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_1_2_10_will_that_was_published_is_gone)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .resume = true,
                                   .will = {.topic = "will", .payload = "bye"});
    tc_hang_up(c);
    tc_receive(w, "will", "bye", 0);
    harness_advance(h, 1000000);
    tc_hang_up(v311_resume(h, "c"));
    tc_hang_up(v311_connect(h, "c"));
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_1_2_10_mqtt311_3_14_4_3_will_is_gone_with_disconnect)
{
    struct tc *w = watcher(h);
    for (int resume = 0; resume <= 1; resume++) {
        struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .resume = resume,
                                       .will = {.topic = "will", .payload = "bye", .qos = 2});
        tc_disconnect(c);
        harness_advance(h, 1000000);
        tc_hang_up(v311_resume(h, "c"));
        tc_hang_up(v311_connect(h, "c"));
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_1_2_12_without_will_flag_nothing_is_published)
{
    struct tc *w = v311_connect(h, "watcher");
    tc_subscribe(w, "#", 2);
    tc_hang_up(v311_connect(h, "c"));
    tc_hang_up(v311_resume(h, "c"));
    tc_send_spec(v311_resume(h, "c"), "00");
    struct tc *c = tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .keep_alive_s = 1);
    harness_advance(h, 2000);
    tc_expect_closed(c);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_3_1_2_16_will_without_will_retain_is_not_kept)
{
    struct tc *w = watcher(h);
    tc_hang_up(
        tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = "bye", .qos = 1}));
    ck_assert(!tc_receive(w, "will", "bye", 1)->retain);
    struct tc *late = v311_connect(h, "late");
    tc_subscribe(late, "will", 2);
    tc_expect_nothing(late);
}

CONFORMANCE_TEST(mqtt311_3_1_2_17_will_with_will_retain_is_kept)
{
    struct tc *w = watcher(h);
    tc_hang_up(tc_connect_with(h, .id = "c", .version = MQTT_3_1_1,
                               .will = {.topic = "will", .payload = "bye", .qos = 1, .retain = true}));
    ck_assert(!tc_receive(w, "will", "bye", 1)->retain); /* as for every established subscription */
    struct tc *late = v311_connect(h, "late");
    tc_subscribe(late, "will", 2);
    ck_assert(tc_receive(late, "will", "bye", 1)->retain);
    tc_hang_up(tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .retain = true}));
    struct tc *later = v311_connect(h, "later");
    tc_subscribe(later, "will", 2);
    tc_expect_nothing(later); /* an empty one has deleted it */
}
