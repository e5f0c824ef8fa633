/* MQTT 5.0, 3.1.2.5 and 3.1.3.2: Will Messages. */
#include "tests/conformance/conformance.h"

static struct tc *watcher(struct harness *h)
{
    struct tc *w = tc_connect(h, "watcher", MQTT_5_0);
    tc_subscribe_with(w, .filter = "will", .qos = 2, .retain_as_published = true);
    return w;
}

CONFORMANCE_TEST(mqtt_3_1_2_7_will_is_kept_with_the_session)
{
    struct tc *w = watcher(h);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "bye", .qos = qos});
        harness_advance(h, 1000);
        tc_expect_nothing(w);
        tc_hang_up(c);
        tc_receive(w, "will", "bye", qos);
    }
    struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will"});
    tc_hang_up(c);
    tc_receive(w, "will", "", 0); /* an empty will is one */
}

CONFORMANCE_TEST(mqtt_3_1_2_8_mqtt_3_14_4_3_normal_disconnect_removes_the_will)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:100",
                                   .will = {.topic = "will", .payload = "bye", .properties = "will_delay:10"});
    tc_send_spec(c, "e000");
    tc_hang_up(c);
    c = tc_connect_with(h, .id = "d", .will = {.topic = "will", .payload = "bye"});
    tc_send_spec(c, "e0{00 {}}");
    tc_hang_up(c);
    harness_advance(h, 1000000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_2_8_will_is_published_on_disconnect_with_another_reason)
{
    static const uint8_t codes[] = {0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};
    struct tc *w = watcher(h);
    for (size_t i = 0; i < sizeof(codes); i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "bye"});
        tc_send_spec(c, "e0{%02x}", codes[i]);
        tc_receive(w, "will", "bye", 0);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt_3_1_2_8_will_is_published_when_the_server_closes_for_an_error)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "bye"});
    tc_send_spec(c, "30{<bad/#> {} 'x'}");
    ck_assert(c->closed);
    tc_receive(w, "will", "bye", 0);
}

CONFORMANCE_TEST(mqtt_3_1_2_8_will_is_published_when_the_session_is_taken_over)
{
    struct tc *w = watcher(h);
    tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "bye"});
    struct tc *new = tc_connect(h, "c", MQTT_5_0);
    tc_receive(w, "will", "bye", 0);
    tc_disconnect(new);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_2_8_will_is_published_when_its_delay_is_over)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:100",
                                   .will = {.topic = "will", .payload = "bye", .properties = "will_delay:10"});
    tc_hang_up(c);
    harness_advance(h, 9900);
    tc_expect_nothing(w);
    harness_advance(h, 200);
    tc_receive(w, "will", "bye", 0);
    harness_advance(h, 200000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_2_8_will_is_published_when_the_session_ends_before_its_delay)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:5",
                                   .will = {.topic = "will", .payload = "bye", .properties = "will_delay:10"});
    tc_hang_up(c);
    harness_advance(h, 4900);
    tc_expect_nothing(w);
    harness_advance(h, 200);
    tc_receive(w, "will", "bye", 0);
    harness_advance(h, 20000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_2_8_will_delay_without_session_expiry_is_none)
{
    struct tc *w = watcher(h);
    struct tc *c =
        tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "bye", .properties = "will_delay:10"});
    tc_hang_up(c);
    tc_receive(w, "will", "bye", 0);
}

CONFORMANCE_TEST(mqtt_3_1_2_8_clean_start_ends_the_session_and_so_publishes_a_delayed_will)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:100",
                                   .will = {.topic = "will", .payload = "bye", .properties = "will_delay:10"});
    tc_hang_up(c);
    harness_advance(h, 1000);
    tc_connect(h, "c", MQTT_5_0);
    tc_receive(w, "will", "bye", 0);
    harness_advance(h, 100000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_2_10_published_will_is_gone)
{
    struct tc *w = watcher(h);
    struct tc *c =
        tc_connect_with(h, .id = "c", .properties = "session_expiry:100", .will = {.topic = "will", .payload = "bye"});
    tc_hang_up(c);
    tc_receive(w, "will", "bye", 0);
    c = tc_connect_with(h, .id = "c", .resume = true);
    tc_hang_up(c);
    harness_advance(h, 200000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_2_10_will_removed_by_disconnect_is_gone)
{
    struct tc *w = watcher(h);
    struct tc *c =
        tc_connect_with(h, .id = "c", .properties = "session_expiry:100", .will = {.topic = "will", .payload = "bye"});
    tc_disconnect(c);
    c = tc_connect_with(h, .id = "c", .resume = true);
    tc_hang_up(c);
    harness_advance(h, 200000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_2_14_mqtt_3_1_2_15_will_is_retained_only_if_it_says_so)
{
    struct tc *w = watcher(h);
    for (int retain = 0; retain <= 1; retain++) {
        struct tc *c =
            tc_connect_with(h, .id = "c", .will = {.topic = "will", .payload = "bye", .qos = 1, .retain = retain == 1});
        tc_hang_up(c);
        ck_assert(tc_receive(w, "will", "bye", 1)->retain == (retain == 1));
        struct tc *late = tc_connect(h, "late", MQTT_5_0);
        tc_subscribe(late, "will", 1);
        if (retain == 1) {
            ck_assert(tc_receive(late, "will", "bye", 1)->retain);
        }
        tc_expect_nothing(late);
    }
}

CONFORMANCE_TEST(mqtt_3_1_3_9_back_within_the_delay_suppresses_the_will)
{
    struct tc *w = watcher(h);
    for (int i = 0; i < 3; i++) {
        struct tc *c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:100",
                                       .will = {.topic = "will", .payload = "bye", .properties = "will_delay:10"});
        tc_hang_up(c);
        harness_advance(h, 9900);
    }
    struct tc *c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:100");
    harness_advance(h, 200000);
    tc_expect_nothing(w);
    tc_hang_up(c);
    harness_advance(h, 200000);
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt_3_1_3_9_takeover_within_the_delay_suppresses_the_will)
{
    struct tc *w = watcher(h);
    struct tc *old = tc_connect_with(h, .id = "c", .properties = "session_expiry:100",
                                     .will = {.topic = "will", .payload = "bye", .properties = "will_delay:10"});
    struct tc *new = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:100");
    tc_expect_refused(old, REASON_SESSION_TAKEN_OVER);
    harness_advance(h, 200000);
    tc_expect_nothing(w);
    tc_expect_nothing(new);
}

CONFORMANCE_TEST(mqtt_3_1_3_10_user_properties_of_the_will_keep_their_order)
{
    struct tc *w = watcher(h);
    struct tc *c = tc_connect_with(h, .id = "c",
                                   .will = {.topic = "will",
                                            .payload = "bye",
                                            .properties = "user:<z><1> content_type:<t> user:<a><2> will_delay:0"
                                                          " user:<z><1> correlation:<k> user:<><>"});
    tc_hang_up(c);
    const struct publish *publish = tc_receive(w, "will", "bye", 0);
    ck_assert(tc_has_properties(&publish->properties, "user:<z><1> content_type:<t> user:<a><2> user:<z><1>"
                                                      " correlation:<k> user:<><>"));
}
