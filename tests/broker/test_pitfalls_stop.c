/* Where brokers go wrong: stopping in order, a store that says no, and clients of different versions. */
#include "tests/conformance/conformance.h"

#include <string.h>

#include "gateway/broker/stats.h"

/* --- stopping ----------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(stop_tells_clients_of_5_0_and_closes_those_of_3_1_1)
{
    struct tc *new = tc_connect(h, "new", MQTT_5_0);
    struct tc *old = tc_connect(h, "old", MQTT_3_1_1);
    struct tc *silent = tc_open(h, 0);
    ck_assert(!harness_is_drained(h));
    harness_drain(h);
    tc_expect_refused(new, REASON_SERVER_SHUTTING_DOWN);
    tc_expect_closed(old);
    tc_expect_closed(silent);
    ck_assert(harness_is_drained(h));
}

CONFORMANCE_TEST(stop_waits_for_acknowledgements_that_wait_for_the_store)
{
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *idle = tc_connect(h, "idle", MQTT_5_0);
    h->store.is_held = true;
    tc_send_publish(p, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 7});
    harness_drain(h);
    tc_expect_refused(idle, REASON_SERVER_SHUTTING_DOWN);
    tc_expect_nothing(p);
    ck_assert(!harness_is_drained(h));
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(p, 7);
    tc_expect_refused(p, REASON_SERVER_SHUTTING_DOWN);
    ck_assert(harness_is_drained(h));
}

CONFORMANCE_TEST(nobody_connects_while_stopping)
{
    harness_start(h);
    harness_drain(h);
    struct tc *c = tc_open(h, 0);
    ck_assert(c->closed);
}

CONFORMANCE_TEST(slow_transport_holds_up_the_stop_until_it_is_gone)
{
    h->closes_late = true;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_set_room(c, 0);
    harness_drain(h);
    ck_assert(c->closed);
    ck_assert(!harness_is_drained(h));
    tc_set_room(c, SIZE_MAX);
    tc_expect_refused(c, REASON_SERVER_SHUTTING_DOWN);
    ck_assert(harness_is_drained(h));
}

/* --- a store without credit --------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(publish_that_the_store_has_no_credit_for_is_refused_and_goes_nowhere)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    h->store.admission = STORE_FULL;
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1, .id = 1});
    tc_expect_ack(c, PACKET_PUBACK, 1, REASON_QUOTA_EXCEEDED);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 2, .id = 2});
    tc_expect_ack(c, PACKET_PUBREC, 2, REASON_QUOTA_EXCEEDED);
    tc_expect_nothing(c);
    tc_publish(c, "a", "needs no store", 0);
    tc_receive(c, "a", "needs no store", 0);
    h->store.admission = STORE_ADMITTED;
    tc_publish_with(c, .topic = "a", .payload = "y", .qos = 2, .id = 2);
    tc_receive(c, "a", "y", 2);
}

CONFORMANCE_TEST(publish_of_3_1_1_without_credit_is_not_acknowledged)
{
    struct tc *w = tc_connect(h, "w", MQTT_5_0);
    tc_subscribe(w, "a", 1);
    struct tc *c = tc_connect(h, "c", MQTT_3_1_1);
    h->store.admission = STORE_FULL;
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = 1});
    tc_expect_closed(c); /* 3.1.1 has no word for it */
    tc_expect_nothing(w);
}

/* --- versions side by side ---------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(message_of_5_0_reaches_3_1_1_without_its_properties)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *old = tc_connect(h, "old", MQTT_3_1_1);
    struct tc *new = tc_connect(h, "new", MQTT_5_0);
    tc_subscribe(old, "a", 2);
    tc_subscribe_with(new, .filter = "a", .qos = 2, .id = 5);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish_with(p, .topic = "a", .payload = "x", .qos = qos, .retain = true,
                        .properties = "content_type:<t> user:<k><v> message_expiry:100");
        const struct publish *publish =
            tc_receive(old, "a", "x", qos); /* decoded as 3.1.1: nothing between topic and payload */
        ck_assert(!publish->retain);
        ck_assert(HAS(tc_receive(new, "a", "x", qos), CONTENT_TYPE));
        struct tc *late = tc_connect(h, "late", MQTT_3_1_1);
        tc_subscribe(late, "a", 2);
        ck_assert(tc_receive(late, "a", "x", qos)->retain);
    }
}

CONFORMANCE_TEST(message_of_3_1_1_reaches_5_0_with_an_empty_set_of_properties)
{
    struct tc *p = tc_connect(h, "p", MQTT_3_1_1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "a", "x", qos);
        ck_assert_uint_eq(tc_receive(c, "a", "x", qos)->properties.present, 0);
    }
}

CONFORMANCE_TEST(session_goes_on_when_the_client_changes_its_version)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_3_1_1);
    tc_subscribe(c, "a", 2);
    tc_publish(p, "a", "open", 1);
    uint16_t id = tc_expect_publish(c, "a", "open", 1)->packet_id;
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a", .payload = "queued", .qos = 2, .properties = "user:<k><v>");
    c = tc_try_connect(h, (struct tc_options){.id = "c", .resume = true, .properties = "session_expiry:100"});
    tc_expect_connack(c, true, REASON_SUCCESS);
    const struct publish *again = tc_receive(c, "a", "open", 1);
    ck_assert(again->dup);
    ck_assert_uint_eq(again->packet_id, id);
    ck_assert(tc_has_properties(&tc_receive(c, "a", "queued", 2)->properties, "user:<k><v>"));
    tc_hang_up(c);
    c = tc_try_connect(h, (struct tc_options){.id = "c", .version = MQTT_3_1_1, .resume = true});
    tc_expect_connack(c, true, 0);
    tc_publish(p, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
}

CONFORMANCE_TEST(message_expires_for_a_client_of_3_1_1_too)
{
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_3_1_1);
    tc_subscribe(c, "a", 1);
    tc_hang_up(c);
    tc_publish_with(p, .topic = "a", .payload = "late", .qos = 1, .properties = "message_expiry:5");
    tc_publish(p, "a", "lasting", 1);
    harness_advance(h, 6000);
    c = tc_connect_persistent(h, "c", MQTT_3_1_1);
    tc_receive(c, "a", "lasting", 1);
    tc_expect_nothing(c);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_expired), 1);
}

/* --- more that is valid and hostile ------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(topic_of_65535_slashes_is_refused_and_harms_nobody)
{
    static char topic[65536];
    memset(topic, '/', 65535);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = topic, .payload = "x", .qos = 1});
    tc_expect_ack(c, PACKET_PUBACK, id, REASON_TOPIC_NAME_INVALID);
    id = tc_send_subscribe(c, (struct tc_subscription){.filter = topic});
    tc_expect_suback(c, id, "8f");
    memset(topic, '+', 1);
    for (size_t i = 2; i < 65535; i += 2) {
        topic[i] = '+';
    }
    id = tc_send_subscribe(c, (struct tc_subscription){.filter = topic}); /* 32768 levels of wildcards */
    tc_expect_suback(c, id, "8f");
    tc_expect_alive(c);
}

CONFORMANCE_TEST(retained_bytes_are_bounded)
{
    h->limits->retained_bytes = 20000;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    char payload[1001];
    memset(payload, 'x', sizeof(payload) - 1);
    payload[1000] = '\0';
    int accepted = 0;
    for (int i = 0; i < 50; i++) {
        char topic[2] = {(char)('A' + i), '\0'};
        uint16_t id =
            tc_send_publish(c, (struct tc_message){.topic = topic, .payload = payload, .qos = 1, .retain = true});
        const struct ack *ack = tc_expect_any_ack(c, PACKET_PUBACK, id);
        ck_assert(ack->reason_code < 0x80 || ack->reason_code == REASON_QUOTA_EXCEEDED);
        accepted += ack->reason_code < 0x80;
    }
    ck_assert_int_ge(accepted, 10);
    ck_assert_int_lt(accepted, 20);
}
