/* Rights where messages flow: what is asked when, and that nothing is read or taken by who has lost the right, or never had it. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/core.h"
#include "gateway/broker/stats.h"
#include "protocol/reason.h"
#include "tests/broker/rules.h"
#include "tests/check_main.h"

/* --- a provider that counts, and gives everybody rules of his own -------------------------------------------------------- */

static struct {
    struct access_provider provider;
    const struct access_provider *inner;
    size_t reads_asked;
    size_t rules_given;
    size_t rules_forgotten;
    const char *unreadable_user; /* for him class is SOME, and nothing may be read */
    const char *unwelcome_user;  /* may not be connected any more */
} counting;

static void connect_with_rules(struct access *access, struct access_request *request)
{
    (void)access;
    request->rules = malloc(1); /* the address sanitizer sees that it is forgotten once */
    counting.rules_given++;
    request->outcome = ACCESS_GRANTED;
    request->done(request);
}

static bool is_unreadable_user(const struct access_identity *identity)
{
    return counting.unreadable_user != NULL &&
           bytes_equal(identity->user_name, bytes_from_string(counting.unreadable_user));
}

static bool may_read(struct access *access, const struct access_identity *identity, struct bytes topic)
{
    counting.reads_asked++;
    return !is_unreadable_user(identity) && counting.inner->may_read(access, identity, topic);
}

static enum access_class classify(struct access *access, const struct access_identity *identity, struct bytes filter)
{
    return is_unreadable_user(identity) ? ACCESS_SOME : counting.inner->classify(access, identity, filter);
}

static bool is_welcome(struct access *access, const struct access_identity *identity)
{
    (void)access;
    return counting.unwelcome_user == NULL ||
           !bytes_equal(identity->user_name, bytes_from_string(counting.unwelcome_user));
}

static void forget(struct access *access, struct access_identity *identity)
{
    (void)access;
    counting.rules_forgotten += identity->rules != NULL;
    free(identity->rules);
    identity->rules = NULL;
}

static struct harness *rules_new(unsigned places)
{
    struct harness *h = harness_new(places);
    h->has_rules = true;
    memset(&counting, 0, sizeof(counting));
    counting.inner = h->access.access.provider;
    counting.provider = *counting.inner;
    counting.provider.connect = connect_with_rules;
    counting.provider.may_read = may_read;
    counting.provider.classify = classify;
    counting.provider.is_welcome = is_welcome;
    counting.provider.forget = forget;
    h->access.access.provider = &counting.provider;
    return h;
}

static void rules_free(struct harness *h)
{
    harness_free(h);
    ck_assert_uint_eq(counting.rules_forgotten, counting.rules_given);
}

static void change_rules(struct harness *h, const char *unreadable)
{
    h->access.unreadable = unreadable;
    atomic_fetch_add(&h->access.access.generation, 1);
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

START_TEST(asks_nothing_per_message_for_who_may_read_all)
{
    struct harness *h = rules_new(2);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/#", 1);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    for (int i = 0; i < 10; i++) {
        tc_publish(publisher, "t/x", "m", 0);
    }
    ck_assert_uint_eq(take_publishes(c), 10);
    ck_assert_uint_eq(counting.reads_asked, 0);
    rules_free(h);
}
END_TEST

START_TEST(asks_for_each_message_of_who_may_read_some)
{
    struct harness *h = rules_new(2);
    h->access.unreadable = "t/secret";
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/#", 1);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    tc_publish(publisher, "t/secret", "no", 1);
    tc_publish(publisher, "t/x", "yes", 1);
    tc_receive(c, "t/x", "yes", 1);
    tc_expect_nothing(c);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_denied), 1);
    ck_assert_uint_eq(counting.reads_asked, 2);
    rules_free(h);
}
END_TEST

START_TEST(refuses_a_subscription_of_which_nothing_may_be_read)
{
    struct harness *h = rules_new(1);
    h->access.unreadable = "t/secret";
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    uint16_t id = tc_send_subscribe(c, (struct tc_subscription){.filter = "t/secret", .qos = 1});
    tc_expect_suback(c, id, "87");
    ck_assert_uint_eq(HARNESS_STAT(h, subscriptions), 0);
    rules_free(h);
}
END_TEST

START_TEST(classes_subscriptions_again_when_the_rules_change)
{
    struct harness *h = rules_new(2);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/#", 1);
    tc_subscribe(c, "u", 1);
    struct tc *publisher = tc_connect_at(h, 1, "publisher", MQTT_5_0);
    change_rules(h, "t/secret");
    harness_run(h);
    tc_publish(publisher, "t/secret", "no", 1);
    tc_expect_nothing(c);
    change_rules(h, "u"); /* all of a subscription is lost: it stays, and is silent */
    harness_run(h);
    tc_publish(publisher, "u", "no", 1);
    tc_publish(publisher, "t/secret", "yes", 1);
    tc_receive(c, "t/secret", "yes", 1);
    change_rules(h, NULL);
    harness_run(h);
    size_t asked = counting.reads_asked;
    tc_publish(publisher, "u", "yes", 1);
    tc_receive(c, "u", "yes", 1);
    ck_assert_uint_eq(counting.reads_asked, asked);
    rules_free(h);
}
END_TEST

START_TEST(classes_what_was_on_its_way_between_places_when_the_rules_changed)
{
    struct harness *h = rules_new(2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/#", 1);
    tc_hang_up(c);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    struct tc *dying = tc_open(h, 1);
    const uint8_t connect[] = "\x10\x13\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\x0e\x10\x00\x01"
                              "c";
    tc_feed(dying, connect, sizeof(connect) - 1);
    change_rules(h, "t/secret");
    for (unsigned p = 0; p < 2; p++) { /* both have looked at their sessions, and this one was at neither */
        struct place *place = harness_place(h, p);
        place->access_generation = atomic_load(&h->access.access.generation);
        place->classed_shards = SIZE_MAX;
    }
    tc_hang_up(dying);
    ck_assert_uint_eq(HARNESS_STAT(h, handovers), 1);
    tc_publish(publisher, "t/secret", "no", 1);
    tc_publish(publisher, "t/x", "yes", 1);
    c = tc_connect_persistent_at(h, 1, "c", MQTT_5_0);
    tc_receive(c, "t/x", "yes", 1);
    tc_expect_nothing(c);
    rules_free(h);
}
END_TEST

START_TEST(classes_a_session_anew_for_the_rules_of_its_new_connection)
{
    struct harness *h = rules_new(2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/#", 1);
    tc_hang_up(c);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    h->access.unreadable = "t/secret"; /* what a token says may change without a reload */
    c = tc_connect_persistent_at(h, (unsigned)_i, "c", MQTT_5_0);
    tc_publish(publisher, "t/secret", "no", 1);
    tc_expect_nothing(c);
    rules_free(h);
}
END_TEST

START_TEST(disconnects_who_is_not_welcome_any_more)
{
    struct harness *h = rules_new(2);
    struct tc *gone = tc_connect_with(h, .id = "gone", .user_name = "gone", .place = 1);
    struct tc *stays = tc_connect_with(h, .id = "stays", .user_name = "stays", .place = 1);
    tc_subscribe(gone, "t", 1);
    tc_subscribe(stays, "t", 1);
    counting.unwelcome_user = "gone";
    harness_run(h); /* nobody is looked at before the generation rises */
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "m", 1);
    ck_assert_uint_eq(take_publishes(gone), 1);
    change_rules(h, NULL);
    harness_run(h);
    tc_expect_refused(gone, REASON_NOT_AUTHORIZED);
    tc_publish(publisher, "t", "n", 1);
    ck_assert_uint_eq(take_publishes(stays), 2);
    rules_free(h);
}
END_TEST

START_TEST(sends_no_retained_value_that_may_not_be_read)
{
    struct harness *h = rules_new(1);
    h->access.unreadable = "t/secret";
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_retain(publisher, "t/secret", "no", 1);
    tc_retain(publisher, "t/x", "yes", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t/#", 1);
    tc_receive(c, "t/x", "yes", 1);
    tc_expect_nothing(c);
    rules_free(h);
}
END_TEST

START_TEST(passes_over_a_member_who_may_not_read)
{
    struct harness *h = rules_new(1);
    counting.unreadable_user = "blind";
    struct tc *blind = tc_connect_with(h, .id = "blind", .user_name = "blind");
    struct tc *seeing = tc_connect_with(h, .id = "seeing", .user_name = "seeing");
    tc_subscribe(blind, "$share/g/t", 1);
    tc_subscribe(seeing, "$share/g/t", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    for (int i = 0; i < 6; i++) {
        tc_publish(publisher, "t", "m", 1);
    }
    tc_expect_nothing(blind);
    ck_assert_uint_eq(take_publishes(seeing), 6);
    rules_free(h);
}
END_TEST

/* --- publishing and wills ----------------------------------------------------------------------------------------------- */

START_TEST(refuses_to_publish_where_it_is_forbidden)
{
    struct harness *h = rules_new(1);
    h->access.unwritable = "t";
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    struct tc *v5 = tc_connect(h, "v5", MQTT_5_0);
    uint16_t id = tc_send_publish(v5, (struct tc_message){.topic = "t", .payload = "no", .qos = 1});
    tc_expect_ack(v5, PACKET_PUBACK, id, 0x87);
    id = tc_send_publish(v5, (struct tc_message){.topic = "t", .payload = "no", .qos = 2});
    tc_expect_ack(v5, PACKET_PUBREC, id, 0x87);
    struct tc *v3 = tc_connect(h, "v3", MQTT_3_1_1);
    tc_publish(v3, "t", "no", 1); /* acknowledged, and dropped: 3.1.1 has no word for it */
    tc_expect_nothing(c);
    rules_free(h);
}
END_TEST

START_TEST(takes_nothing_over_for_a_client_whose_will_is_forbidden)
{
    struct harness *h = rules_new(2);
    h->access.unwritable = "t/will";
    struct tc *old = tc_connect_persistent(h, "c", MQTT_5_0);
    struct tc *refused = tc_try_connect(h, (struct tc_options){.id = "c",
                                                               .place = (unsigned)_i,
                                                               .properties = "session_expiry:60",
                                                               .will = {.topic = "t/will", .payload = "w"}});
    tc_expect_connack(refused, false, 0x87);
    tc_expect_closed(refused);
    tc_expect_alive(old);
    refused = tc_try_connect(h, (struct tc_options){.id = "fresh",
                                                    .properties = "session_expiry:60",
                                                    .will = {.topic = "t/will", .payload = "w"}});
    tc_expect_connack(refused, false, 0x87);
    ck_assert_uint_eq(HARNESS_STAT(h, sessions), 1); /* it leaves none behind */
    rules_free(h);
}
END_TEST

START_TEST(publishes_no_will_for_who_has_lost_the_right)
{
    struct harness *h = rules_new(1);
    struct tc *watcher = tc_connect(h, "watcher", MQTT_5_0);
    tc_subscribe(watcher, "t/#", 1);
    struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "t/will", .payload = "w"});
    h->access.unwritable = "t/will";
    tc_hang_up(c);
    tc_expect_nothing(watcher);
    rules_free(h);
}
END_TEST

/* --- rules have owners -------------------------------------------------------------------------------------------------- */

START_TEST(forgets_rules_once_on_every_path)
{
    struct harness *h = rules_new(2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    c = tc_connect_persistent(h, "c", MQTT_5_0); /* taken over here */
    ck_assert_uint_eq(counting.rules_forgotten, 1);
    c = tc_connect_persistent_at(h, 1, "c", MQTT_5_0); /* and elsewhere */
    ck_assert_uint_eq(counting.rules_forgotten, 2);
    tc_hang_up(c);
    ck_assert_uint_eq(counting.rules_forgotten, 2); /* the session lives on */
    c = tc_connect_at(h, 0, "c", MQTT_5_0);         /* Clean Start */
    ck_assert_uint_eq(counting.rules_forgotten, 3);
    tc_hang_up(c);
    ck_assert_uint_eq(counting.rules_forgotten, 4);
    rules_free(h);
}
END_TEST

START_TEST(takes_the_rules_of_a_re_authentication)
{
    struct harness *h = rules_new(1);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "auth_method:<TEST>");
    tc_subscribe(c, "t/#", 1);
    h->access.unreadable = "t/secret";
    tc_send_spec(c, "f0 { 19 { auth_method:<TEST> } }");
    tc_expect_auth(c, 0);
    ck_assert_uint_eq(counting.rules_given, 2);
    ck_assert_uint_eq(counting.rules_forgotten, 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t/secret", "no", 1);
    tc_expect_nothing(c);
    rules_free(h);
}
END_TEST

START_TEST(gives_no_session_to_another_user)
{
    struct harness *h = rules_new(2);
    struct tc *c =
        tc_connect_with(h, .id = "c", .user_name = "owner", .resume = true, .properties = "session_expiry:60");
    tc_subscribe(c, "t", 1);
    tc_hang_up(c);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "for the owner", 1);
    struct tc *thief = tc_try_connect(
        h,
        (struct tc_options){
            .id = "c", .user_name = "thief", .resume = true, .place = (unsigned)_i, .properties = "session_expiry:60"});
    tc_expect_connack(thief, false, 0);
    tc_publish(publisher, "t", "for nobody", 1);
    tc_expect_nothing(thief);
    rules_free(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rules_access");
    TCase *reading = tcase_create("reading");
    tcase_add_test(reading, asks_nothing_per_message_for_who_may_read_all);
    tcase_add_test(reading, asks_for_each_message_of_who_may_read_some);
    tcase_add_test(reading, refuses_a_subscription_of_which_nothing_may_be_read);
    tcase_add_test(reading, classes_subscriptions_again_when_the_rules_change);
    tcase_add_test(reading, classes_what_was_on_its_way_between_places_when_the_rules_changed);
    tcase_add_loop_test(reading, classes_a_session_anew_for_the_rules_of_its_new_connection, 0, 2);
    tcase_add_test(reading, disconnects_who_is_not_welcome_any_more);
    tcase_add_test(reading, sends_no_retained_value_that_may_not_be_read);
    tcase_add_test(reading, passes_over_a_member_who_may_not_read);
    suite_add_tcase(s, reading);
    TCase *publishing = tcase_create("publishing");
    tcase_add_test(publishing, refuses_to_publish_where_it_is_forbidden);
    tcase_add_loop_test(publishing, takes_nothing_over_for_a_client_whose_will_is_forbidden, 0, 2);
    tcase_add_test(publishing, publishes_no_will_for_who_has_lost_the_right);
    suite_add_tcase(s, publishing);
    TCase *owners = tcase_create("owners");
    tcase_add_test(owners, forgets_rules_once_on_every_path);
    tcase_add_test(owners, takes_the_rules_of_a_re_authentication);
    tcase_add_loop_test(owners, gives_no_session_to_another_user, 0, 2);
    suite_add_tcase(s, owners);
    return s;
}

CHECK_MAIN(suite)
