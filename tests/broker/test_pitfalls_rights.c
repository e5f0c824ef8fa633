/* Where brokers go wrong: rights that change, and what must not get round them. */
#include "tests/conformance/conformance.h"

#include <stdatomic.h>

/* Nobody may read TOPIC from now on. */
static void forbid_reading(struct harness *h, const char *topic)
{
    h->access.unreadable = topic;
    atomic_fetch_add(&h->access.access.generation, 1);
    harness_run(h);
}

CONFORMANCE_TEST(subscription_is_worth_nothing_once_its_right_is_gone)
{
    h->has_rules = true;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "secret", 1);
    tc_subscribe(c, "#", 1);
    tc_publish(p, "secret", "1", 1);
    tc_receive(c, "secret", "1", 1);
    forbid_reading(h, "secret");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        tc_publish(p, "secret", "2", qos);
    }
    tc_expect_nothing(c);
    tc_publish(p, "open", "3", 1);
    tc_receive(c, "open", "3", 1);
    forbid_reading(h, NULL);
    tc_publish(p, "secret", "4", 1);
    tc_receive(c, "secret", "4", 1);
}

CONFORMANCE_TEST(resumed_session_does_not_skip_the_rules)
{
    h->has_rules = true;
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "secret", 1);
    tc_subscribe(c, "secret/#", 1);
    tc_hang_up(c);
    forbid_reading(h, "secret");
    tc_publish(p, "secret", "while away", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_expect_nothing(c);
    tc_publish(p, "secret", "live", 1);
    tc_expect_nothing(c);
    tc_publish(p, "secret/not", "x", 1);
    tc_receive(c, "secret/not", "x", 1);
}

CONFORMANCE_TEST(retained_message_that_may_not_be_read_is_not_sent)
{
    h->has_rules = true;
    h->access.unreadable = "secret";
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    tc_retain(p, "secret", "x", 1);
    tc_retain(p, "open", "y", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "#", 1);
    tc_receive(c, "open", "y", 1);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(shared_subscription_does_not_skip_the_rules)
{
    h->has_rules = true;
    h->access.unreadable = "secret";
    struct tc *p = tc_connect(h, "p", MQTT_5_0);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = "$share/g/secret", .qos = 1});
    tc_expect_suback(c, id, "87");
    tc_subscribe(c, "$share/g/#", 1);
    tc_publish(p, "secret", "x", 1);
    tc_expect_nothing(c);
    tc_publish(p, "open", "y", 1);
    tc_receive(c, "open", "y", 1);
}

CONFORMANCE_TEST(forbidden_publish_is_neither_delivered_nor_retained)
{
    h->has_rules = true;
    h->access.unwritable = "forbidden";
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "#", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        uint16_t id =
            tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "x", .qos = qos, .retain = true});
        if (qos > 0) {
            tc_expect_ack(c, qos == 1 ? PACKET_PUBACK : PACKET_PUBREC, id, REASON_NOT_AUTHORIZED);
        }
    }
    tc_send_publish(c, (struct tc_message){.topic = "forbidden", .payload = "x", .properties = "alias:1"});
    tc_send_publish(c, (struct tc_message){.topic = "", .payload = "x", .properties = "alias:1"});
    tc_expect_nothing(c);
    struct tc *late = tc_connect(h, "late", MQTT_5_0);
    tc_subscribe(late, "#", 0);
    tc_expect_nothing(late);
    tc_publish(c, "forbidden/not", "y", 0);
    tc_receive(c, "forbidden/not", "y", 0);
}

CONFORMANCE_TEST(verdict_is_not_kept_when_the_rules_change)
{
    h->has_rules = true;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "a", 0);
    for (int i = 0; i < 3; i++) { /* the same topic again and again may be answered from a cache */
        tc_publish(c, "a", "x", 0);
        tc_receive(c, "a", "x", 0);
    }
    h->access.unwritable = "a";
    atomic_fetch_add(&h->access.access.generation, 1);
    tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x"});
    tc_expect_nothing(c);
    h->access.unwritable = NULL;
    atomic_fetch_add(&h->access.access.generation, 1);
    tc_publish(c, "a", "x", 0);
    tc_receive(c, "a", "x", 0);
}
