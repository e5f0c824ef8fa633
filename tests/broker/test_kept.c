/* What gets to the disk, when, in which transaction, and who waits for it; and that it is there after a restart. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/be.h"
#include "gateway/broker/broker.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/place.h"
#include "gateway/broker/stats.h"
#include "gateway/store/message.h"
#include "protocol/reason.h"
#include "tests/broker/rules.h"
#include "tests/check_main.h"

enum { STEPS_MAX = 100 };

/* A persistent session "ID" at PLACE, with a subscription to "t", that is away. */
static void leave_subscriber(struct harness *h, unsigned place, const char *id, uint8_t qos)
{
    struct tc *c = tc_connect_persistent_at(h, place, id, MQTT_5_0);
    tc_subscribe(c, "t", qos);
    tc_hang_up(c);
}

static uint16_t send_message(struct tc *c, const char *topic, const char *payload, uint8_t qos)
{
    return tc_send_publish(c, (struct tc_message){.topic = topic, .payload = payload, .qos = qos});
}

static size_t records(const struct harness *h)
{
    return h->store.submitted.records;
}

static size_t entries(struct harness *h, enum store_table table)
{
    return ram_store_entries(&h->store, table);
}

static size_t messages(struct harness *h, const char *topic)
{
    return ram_store_messages_of(&h->store, topic);
}

static bool payload_is(struct harness *h, const char *topic, const char *payload)
{
    struct store_found found;
    return ram_store_message(&h->store, topic, &found) && bytes_equal(found.payload, bytes_from_string(payload));
}

/* The entry of the session "ID". @return false if there is none */
static bool find_session(struct harness *h, const char *id, struct kept_session *out, uint64_t *number)
{
    struct bytes key, value;
    for (size_t at = 0; ram_store_entry(&h->store, STORE_SESSIONS, at, &key, &value); at++) {
        ck_assert(kept_session_read(value, out));
        if (bytes_equal(out->client_id, bytes_from_string(id))) {
            *number = tg_get_be(key.data, 8);
            return true;
        }
    }
    return false;
}

/* --- records ------------------------------------------------------------------------------------------------------------ */

START_TEST(a_publication_with_recipients_at_three_places_is_one_record_submitted_by_the_last)
{
    struct harness *h = harness_new(3);
    leave_subscriber(h, 0, "a", 1);
    leave_subscriber(h, 1, "b", 1);
    leave_subscriber(h, 2, "c", 2);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    h->asleep[1] = true;
    h->asleep[2] = true;
    uint16_t id = send_message(publisher, "t", "m", 2);
    ck_assert_uint_eq(records(h), 0);
    h->asleep[2] = false;
    harness_run(h);
    ck_assert_uint_eq(records(h), 0);
    tc_expect_nothing(publisher);
    h->asleep[1] = false;
    harness_run(h);
    ck_assert_uint_eq(records(h), 1);
    tc_expect_pubrec(publisher, id);
    struct store_found found;
    ck_assert(ram_store_message(&h->store, "t", &found));
    ck_assert_uint_eq(found.recipient_count, 3);
    ck_assert(!found.is_retained);
    unsigned qos_sum = 0;
    for (uint32_t i = 0; i < found.recipient_count; i++) {
        struct store_recipient recipient;
        size_t len = store_recipient_decode(found.recipients, &recipient);
        ck_assert_uint_gt(len, 0);
        found.recipients.data += len;
        found.recipients.len -= len;
        qos_sum += recipient.qos;
    }
    ck_assert_uint_eq(qos_sum, 1 + 1 + 2);
    ck_assert_uint_eq(found.recipients.len, 0);
    harness_free(h);
}
END_TEST

START_TEST(what_no_session_that_lasts_is_to_get_is_no_record)
{
    struct harness *h = harness_new(2);
    leave_subscriber(h, 0, "elsewhere", 0); /* QoS 0 is not kept */
    struct tc *here = tc_connect_at(h, 0, "here", MQTT_5_0);
    struct tc *there = tc_connect_at(h, 1, "there", MQTT_5_0);
    tc_subscribe(here, "t", 1);
    tc_subscribe(there, "t", 2);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    h->store.is_held = true;
    tc_publish(publisher, "t", "m", 2);
    tc_receive(here, "t", "m", 1);
    tc_receive(there, "t", "m", 2);
    ck_assert_uint_eq(records(h), 0);
    harness_free(h);
}
END_TEST

START_TEST(puback_waits_for_its_record_and_for_nothing_else)
{
    struct harness *h = harness_new(1);
    leave_subscriber(h, 0, "s", 1);
    struct tc *first = tc_connect(h, "first", MQTT_5_0);
    struct tc *second = tc_connect(h, "second", MQTT_5_0);
    h->store.is_held = true;
    uint16_t first_id = send_message(first, "t", "1", 1);
    struct tc *late =
        tc_try_connect(h, (struct tc_options){.id = "late", .resume = true, .properties = "session_expiry:3600"});
    uint16_t second_id = send_message(second, "t", "2", 1);
    uint16_t free_id = send_message(late, "t", "3", 0);
    ck_assert_uint_eq(free_id, 0);
    tc_expect_nothing(first);
    harness_complete_store(h, 1);
    tc_expect_puback(first, first_id);
    tc_expect_nothing(late);
    tc_expect_nothing(second);
    harness_complete_store(h, 1);
    tc_expect_connack(late, false, REASON_SUCCESS);
    tc_expect_nothing(second);
    harness_complete_store(h, 1);
    tc_expect_puback(second, second_id);
    harness_free(h);
}
END_TEST

START_TEST(acknowledgements_before_the_put_cancel_it)
{
    struct harness *h = harness_new(2);
    struct tc *here = tc_connect_persistent_at(h, 0, "here", MQTT_5_0);
    struct tc *there = tc_connect_persistent_at(h, 1, "there", MQTT_5_0);
    tc_subscribe(here, "t", 1);
    tc_subscribe(there, "t", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = send_message(publisher, "t", "m", 1);
    tc_receive(here, "t", "m", 1); /* QoS 1 waits for no disk */
    tc_receive(there, "t", "m", 1);
    tc_expect_nothing(publisher);
    ck_assert_uint_eq(h->store.submitted.finishes, 2);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(publisher, id);
    ck_assert_uint_eq(messages(h, "t"), 0);
    ck_assert_uint_eq(h->store.done.cancelled, 1);
    harness_free(h);
}
END_TEST

START_TEST(an_acknowledgement_from_a_place_that_is_faster_than_the_last_report_counts)
{
    struct harness *h = harness_new(2);
    struct tc *fast = tc_connect_persistent_at(h, 0, "fast", MQTT_5_0);
    tc_subscribe(fast, "t", 1);
    leave_subscriber(h, 1, "slow", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    h->asleep[1] = true;
    uint16_t id = send_message(publisher, "t", "m", 1);
    tc_receive(fast, "t", "m", 1);
    ck_assert_uint_eq(h->store.submitted.finishes, 1);
    ck_assert_uint_eq(records(h), 0);
    h->asleep[1] = false;
    harness_run(h);
    tc_expect_puback(publisher, id);
    struct store_found found;
    ck_assert(ram_store_message(&h->store, "t", &found));
    ck_assert_uint_eq(found.recipient_count, 1);
    harness_free(h);
}
END_TEST

START_TEST(the_last_acknowledgement_deletes_the_message)
{
    struct harness *h = harness_new(2);
    struct tc *here = tc_connect_persistent_at(h, 0, "here", MQTT_5_0);
    struct tc *there = tc_connect_persistent_at(h, 1, "there", MQTT_5_0);
    tc_subscribe(here, "t", 1);
    tc_subscribe(there, "t", 1);
    tc_publish(here, "t", "m", 1);
    ck_assert_uint_eq(ram_store_live(&h->store, "t"), 2);
    tc_receive(here, "t", "m", 1);
    ck_assert_uint_eq(ram_store_live(&h->store, "t"), 1);
    tc_receive(there, "t", "m", 1);
    ck_assert_uint_eq(messages(h, "t"), 0);
    harness_free(h);
}
END_TEST

/* --- QoS 2 -------------------------------------------------------------------------------------------------------------- */

START_TEST(pubrec_waits_for_message_and_packet_id_in_one_transaction)
{
    struct harness *h = harness_new(1);
    leave_subscriber(h, 0, "s", 2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->store.is_held = true;
    uint16_t id = send_message(c, "t", "m", 2);
    tc_expect_nothing(c);
    ck_assert_uint_eq(messages(h, "t") + entries(h, STORE_RECEIVED), 0);
    harness_complete_store(h, 1);
    tc_expect_pubrec(c, id);
    ck_assert_uint_eq(messages(h, "t"), 1);
    ck_assert_uint_eq(entries(h, STORE_RECEIVED), 1);
    struct bytes key, value;
    ck_assert(ram_store_entry(&h->store, STORE_RECEIVED, 0, &key, &value));
    ck_assert_uint_eq(tg_get_be(key.data + 8, 2), id);
    harness_free(h);
}
END_TEST

START_TEST(a_publish_repeated_on_a_new_connection_waits_for_the_record_of_the_first_mqtt_4_3_3_10)
{
    struct harness *h = harness_new(2);
    leave_subscriber(h, 1, "s", 2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    h->asleep[1] = true; /* its report is due */
    uint16_t id = send_message(c, "t", "m", 2);
    tc_expect_nothing(c);
    tc_hang_up(c);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "t", .payload = "m", .qos = 2, .id = id, .dup = true});
    tc_expect_nothing(c);
    h->asleep[1] = false;
    harness_run(h);
    tc_expect_pubrec(c, id);
    ck_assert_uint_eq(records(h), 1);
    harness_free(h);
}
END_TEST

START_TEST(qos2_is_sent_to_who_lasts_once_it_is_on_disk)
{
    struct harness *h = harness_new(2);
    struct tc *lasting = tc_connect_persistent_at(h, 1, "lasting", MQTT_5_0);
    struct tc *brief = tc_connect_at(h, 1, "brief", MQTT_5_0);
    tc_subscribe(lasting, "t", 2);
    tc_subscribe(brief, "t", 2);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    h->store.is_held = true;
    send_message(publisher, "t", "m", 2);
    tc_expect_publish(brief, "t", "m", 2);
    tc_expect_nothing(lasting);
    harness_complete_store(h, 1);
    tc_expect_publish(lasting, "t", "m", 2);
    harness_free(h);
}
END_TEST

START_TEST(pubrel_to_a_subscriber_waits_until_it_is_stored_that_it_is_due)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 2);
    tc_publish(tc_connect(h, "publisher", MQTT_5_0), "t", "m", 2);
    uint16_t id = tc_expect_publish(c, "t", "m", 2)->packet_id;
    h->store.is_held = true;
    tc_pubrec(c, id);
    tc_expect_nothing(c);
    ck_assert_uint_eq(messages(h, "t"), 1);
    harness_complete_store(h, 1);
    ck_assert_uint_eq(messages(h, "t"), 1); /* never goes before it is stored that PUBREL is due */
    tc_expect_pubrel(c, id);
    ck_assert_uint_eq(entries(h, STORE_SENT), 1);
    harness_complete_store(h, SIZE_MAX);
    ck_assert_uint_eq(messages(h, "t"), 0);
    size_t positions = h->store.submitted.puts[STORE_POSITIONS];
    tc_pubcomp(c, id);
    ck_assert_uint_eq(h->store.submitted.puts[STORE_POSITIONS], positions + 1);
    ck_assert_uint_eq(entries(h, STORE_SENT), 1);
    harness_complete_store(h, 1);
    ck_assert_uint_eq(entries(h, STORE_SENT), 0);
    ck_assert_uint_eq(entries(h, STORE_POSITIONS), 1); /* in the same transaction */
    harness_free(h);
}
END_TEST

START_TEST(pubcomp_to_a_publisher_waits_until_the_packet_id_is_deleted)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    uint16_t id = send_message(c, "nobody", "m", 2);
    tc_expect_ack(c, PACKET_PUBREC, id, REASON_NO_MATCHING_SUBSCRIBERS);
    ck_assert_uint_eq(entries(h, STORE_RECEIVED), 1);
    h->store.is_held = true;
    tc_pubrel(c, id);
    tc_expect_nothing(c);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_pubcomp(c, id);
    ck_assert_uint_eq(entries(h, STORE_RECEIVED), 0);
    harness_free(h);
}
END_TEST

/* --- wills -------------------------------------------------------------------------------------------------------------- */

/* Let one operation after another be durable. */
#define FOR_EACH_STEP(h)                                                                                               \
    for (int step = 0; step < STEPS_MAX && (h)->store.waiting > 0; step++, harness_complete_store((h), 1))

START_TEST(a_will_is_deleted_in_the_transaction_with_its_message)
{
    for (int persistent = 0; persistent < 2; persistent++) {
        struct harness *h = harness_new(1);
        leave_subscriber(h, 0, "s", 1);
        h->store.is_held = true;
        struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c",
                                                             .properties = persistent ? "session_expiry:60" : NULL,
                                                             .will = {.topic = "t", .payload = "w", .qos = 1}});
        tc_expect_nothing(c);
        harness_complete_store(h, SIZE_MAX);
        tc_expect_connack(c, false, REASON_SUCCESS);
        ck_assert_uint_eq(entries(h, STORE_WILLS), 1);
        tc_hang_up(c);
        ck_assert_uint_eq(h->store.submitted.deletes[STORE_WILLS], 1);
        FOR_EACH_STEP(h)
        {
            ck_assert_uint_eq(entries(h, STORE_WILLS) + messages(h, "t"), 1);
        }
        ck_assert_uint_eq(messages(h, "t"), 1);
        harness_free(h);
    }
}
END_TEST

START_TEST(a_will_that_is_taken_back_is_deleted)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_with(h, .id = "c", .will = {.topic = "t", .payload = "w", .qos = 1});
    ck_assert_uint_eq(entries(h, STORE_WILLS), 1);
    tc_disconnect(c);
    ck_assert_uint_eq(entries(h, STORE_WILLS), 0);
    ck_assert_uint_eq(entries(h, STORE_SESSIONS), 0);
    harness_free(h);
}
END_TEST

START_TEST(a_will_whose_delay_runs_is_still_there_after_a_clean_stop)
{
    struct harness *h = harness_new(2);
    leave_subscriber(h, 0, "s", 1);
    struct tc *c = tc_connect_with(h, .id = "c", .properties = "session_expiry:3600",
                                   .will = {.topic = "t", .payload = "w", .qos = 1, .properties = "will_delay:100"});
    tc_hang_up(c);
    harness_advance(h, 40000);
    harness_stop(h);
    ck_assert_uint_eq(entries(h, STORE_WILLS), 1);
    harness_start(h);
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    harness_advance(h, 59000);
    tc_expect_nothing(s);
    harness_advance(h, 2000);
    tc_receive(s, "t", "w", 1);
    ck_assert_uint_eq(entries(h, STORE_WILLS), 0);
    harness_free(h);
}
END_TEST

/* --- retained ----------------------------------------------------------------------------------------------------------- */

static uint16_t send_retained(struct tc *c, const char *topic, const char *payload)
{
    return tc_send_publish(c, (struct tc_message){.topic = topic, .payload = payload, .qos = 1, .retain = true});
}

START_TEST(the_older_retained_value_goes_when_the_newer_is_there)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "r", "1", 1);
    h->store.is_held = true;
    send_retained(c, "r", "2");
    send_retained(c, "r", "3");
    ck_assert(payload_is(h, "r", "1"));
    harness_complete_store(h, 1);
    ck_assert_uint_eq(messages(h, "r"), 1);
    ck_assert(payload_is(h, "r", "2"));
    harness_complete_store(h, SIZE_MAX);
    ck_assert_uint_eq(messages(h, "r"), 1);
    ck_assert(payload_is(h, "r", "3"));
    send_retained(c, "r", "4");
    send_retained(c, "r", "5");
    size_t cancelled = h->store.done.cancelled;
    harness_complete_store(h, SIZE_MAX);
    ck_assert_uint_eq(h->store.done.cancelled, cancelled + 1); /* 4 never got to the disk */
    ck_assert(payload_is(h, "r", "5"));
    harness_free(h);
}
END_TEST

START_TEST(what_clears_a_value_stays_until_the_value_is_gone)
{
    struct harness *h = harness_new(1);
    h->store.deletes_late = true;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "r", "1", 1);
    tc_retain(c, "r", "", 1);
    ck_assert_uint_eq(messages(h, "r"), 2);
    harness_crash(h);
    c = tc_connect(h, "c", MQTT_5_0);
    tc_subscribe(c, "r", 1);
    tc_expect_nothing(c);
    ram_store_sweep(&h->store);
    ck_assert_uint_eq(messages(h, "r"), 0);
    harness_free(h);
}
END_TEST

START_TEST(a_retained_value_outlives_its_receivers_and_the_other_way_round)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "r", 1);
    tc_retain(c, "r", "1", 1);
    ck_assert_uint_eq(ram_store_live(&h->store, "r"), 2);
    tc_retain(c, "r", "2", 1);
    ck_assert_uint_eq(messages(h, "r"), 2); /* 1 is still to be acknowledged */
    tc_receive(c, "r", "1", 1);
    ck_assert_uint_eq(messages(h, "r"), 1);
    tc_receive(c, "r", "2", 1);
    ck_assert_uint_eq(ram_store_live(&h->store, "r"), 1);
    harness_free(h);
}
END_TEST

START_TEST(a_retained_value_that_is_refused_does_not_get_to_the_disk)
{
    struct harness *h = harness_new(1);
    h->limits->retained_messages = 1;
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_retain(c, "r", "1", 1);
    uint16_t id = send_retained(c, "q", "1");
    tc_expect_ack(c, PACKET_PUBACK, id, REASON_QUOTA_EXCEEDED);
    ck_assert_uint_eq(messages(h, "q"), 0);
    ck_assert_uint_eq(messages(h, "r"), 1);
    harness_free(h);
}
END_TEST

START_TEST(an_expired_retained_value_goes_from_the_disk)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_publish_with(c, .topic = "r", .payload = "1", .qos = 1, .retain = true, .properties = "message_expiry:5");
    ck_assert_uint_eq(messages(h, "r"), 1);
    harness_advance(h, 10000);
    ck_assert_uint_eq(messages(h, "r"), 0);
    harness_free(h);
}
END_TEST

/* --- sessions ----------------------------------------------------------------------------------------------------------- */

/* Members "a" and "b" of a group, at places 0 and 1; one of them is given a message, which it does not acknowledge. @return which */
static unsigned give_to_group(struct harness *h, struct tc *members[2])
{
    for (unsigned i = 0; i < 2; i++) {
        members[i] = tc_connect_persistent_at(h, i, i == 0 ? "a" : "b", MQTT_5_0);
        tc_subscribe(members[i], "$share/g/t", 1);
    }
    tc_publish(tc_connect(h, "publisher", MQTT_5_0), "t", "m", 1);
    unsigned who = tc_count(members[0]) > 0 ? 0 : 1;
    tc_expect_publish(members[who], "t", "m", 1);
    return who;
}

START_TEST(a_shared_message_that_moves_is_added_before_it_is_finished)
{
    struct harness *h = harness_new(2);
    struct tc *members[2];
    unsigned who = give_to_group(h, members);
    ck_assert_uint_eq(messages(h, "t"), 1);
    h->store.is_held = true;
    h->asleep[1 - who] = true; /* it has not added itself yet */
    tc_send_spec(members[who], "e0 { 00 { session_expiry:0 } }");
    harness_complete_store(h, SIZE_MAX);
    ck_assert_uint_eq(messages(h, "t"), 1);
    h->asleep[1 - who] = false;
    harness_run(h);
    ck_assert_uint_eq(records(h), 2);
    tc_expect_publish(members[1 - who], "t", "m", 1);
    FOR_EACH_STEP(h)
    {
        ck_assert_uint_ge(messages(h, "t"), 1);
    }
    ck_assert_uint_eq(messages(h, "t"), 1);
    ck_assert_uint_eq(ram_store_live(&h->store, "t"), 1);
    struct store_found found;
    struct store_recipient recipient;
    struct kept_session kept;
    uint64_t number;
    ck_assert(ram_store_message(&h->store, "t", &found));
    ck_assert_uint_gt(store_recipient_decode(found.recipients, &recipient), 0);
    ck_assert(find_session(h, who == 0 ? "b" : "a", &kept, &number));
    ck_assert_uint_eq(recipient.session, number);
    ck_assert_uint_ne(recipient.shared, 0);
    harness_free(h);
}
END_TEST

START_TEST(the_end_of_a_session_takes_its_entries_and_finishes_its_messages)
{
    struct harness *h = harness_new(2);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 2);
    tc_subscribe(c, "u", 1);
    send_message(c, "nobody", "m", 2);
    tc_hang_up(c);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "1", 2);
    tc_publish(publisher, "u", "2", 1);
    c = tc_connect_persistent(h, "c", MQTT_5_0);
    uint16_t id = tc_expect_publish(c, "t", "1", 2)->packet_id;
    tc_pubrec(c, id);
    tc_hang_up(c);
    tc_publish(publisher, "t", "3", 1);
    ck_assert_uint_eq(entries(h, STORE_SUBSCRIPTIONS), 2);
    ck_assert_uint_eq(entries(h, STORE_RECEIVED), 1);
    ck_assert_uint_eq(entries(h, STORE_SENT), 1);
    ck_assert_uint_eq(ram_store_messages(&h->store), 2);
    (void)tc_connect_at(h, 1, "c", MQTT_5_0); /* Clean Start, elsewhere */
    ck_assert_uint_eq(h->store.submitted.session_ends, 1);
    ck_assert(ram_store_is_empty(&h->store));
    harness_free(h);
}
END_TEST

START_TEST(an_expired_session_takes_everything_with_it)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_with(h, .id = "c", .resume = true, .properties = "session_expiry:10");
    tc_subscribe(c, "t", 1);
    tc_hang_up(c);
    tc_publish(tc_connect(h, "publisher", MQTT_5_0), "t", "m", 1);
    ck_assert_uint_eq(messages(h, "t"), 1);
    harness_advance(h, 11000);
    ck_assert(ram_store_is_empty(&h->store));
    harness_free(h);
}
END_TEST

START_TEST(unsubscribing_is_stored_before_it_is_answered)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    tc_subscribe(c, "t", 1);
    tc_subscribe(c, "u", 1);
    h->store.is_held = true;
    uint16_t id = tc_send_unsubscribe(c, "t");
    tc_expect_nothing(c);
    ck_assert_uint_eq(entries(h, STORE_SUBSCRIPTIONS), 2);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_unsuback(c, id, "00");
    ck_assert_uint_eq(entries(h, STORE_SUBSCRIPTIONS), 1);
    harness_free(h);
}
END_TEST

START_TEST(a_disconnect_with_another_expiry_is_stored)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_connect_persistent(h, "c", MQTT_5_0);
    struct kept_session kept;
    uint64_t number;
    ck_assert(find_session(h, "c", &kept, &number));
    ck_assert_uint_eq(kept.expiry_s, 3600);
    ck_assert(kept.is_connected);
    tc_send_spec(c, "e0 { 00 { session_expiry:77 } }");
    ck_assert(find_session(h, "c", &kept, &number));
    ck_assert_uint_eq(kept.expiry_s, 77);
    ck_assert(!kept.is_connected);
    ck_assert_uint_eq(kept.disconnected_ms, h->wall_ms);
    harness_free(h);
}
END_TEST

START_TEST(what_a_moving_session_is_held_for_stays_open_until_it_has_arrived)
{
    struct harness *h = harness_new(3);
    leave_subscriber(h, 1, "s", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    h->asleep[2] = true; /* does not say how far it is, so that the move is not over */
    struct tc *s = tc_try_connect(
        h, (struct tc_options){.id = "s", .place = 0, .resume = true, .properties = "session_expiry:3600"});
    tc_expect_nothing(s);
    uint16_t id = send_message(publisher, "t", "m", 1);
    ck_assert_uint_eq(records(h), 0);
    tc_expect_nothing(publisher);
    h->asleep[2] = false;
    harness_run(h);
    tc_expect_puback(publisher, id);
    ck_assert_uint_eq(records(h), 1);
    ck_assert_uint_eq(ram_store_live(&h->store, "t"), 1);
    tc_expect_connack(s, true, REASON_SUCCESS);
    tc_receive(s, "t", "m", 1);
    ck_assert_uint_eq(messages(h, "t"), 0);
    harness_free(h);
}
END_TEST

/* --- admission ---------------------------------------------------------------------------------------------------------- */

START_TEST(a_full_store_refuses_with_0x97_or_the_end_of_the_connection)
{
    struct harness *h = harness_new(1);
    struct tc *v5 = tc_connect(h, "v5", MQTT_5_0);
    struct tc *v3 = tc_connect(h, "v3", MQTT_3_1_1);
    tc_subscribe(v5, "t", 0);
    h->store.admission = STORE_FULL;
    uint16_t id = send_message(v5, "t", "m", 1);
    tc_expect_ack(v5, PACKET_PUBACK, id, REASON_QUOTA_EXCEEDED);
    tc_publish(v3, "t", "QoS 0 needs no store", 0);
    tc_expect_publish(v5, "t", "QoS 0 needs no store", 0);
    send_message(v3, "t", "m", 1);
    tc_expect_closed(v3);
    h->store.admission = STORE_ADMITTED;
    tc_publish(v5, "t", "m", 1);
    harness_free(h);
}
END_TEST

START_TEST(a_busy_store_takes_what_has_come_and_lets_publishers_wait)
{
    struct harness *h = harness_new(1);
    leave_subscriber(h, 0, "s", 1);
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    struct tc *other = tc_connect(h, "other", MQTT_5_0);
    h->store.is_held = true;
    h->store.admission = STORE_BUSY;
    uint16_t first = send_message(c, "t", "1", 1);
    ck_assert(c->paused);
    ck_assert(!other->paused);
    uint16_t second = send_message(c, "t", "2", 1);
    tc_publish(other, "t", "QoS 0 needs no store", 0);
    ck_assert(!other->paused);
    harness_complete_store(h, 1);
    tc_expect_puback(c, first);
    tc_expect_nothing(c);
    ck_assert(c->paused); /* it is busy still */
    h->store.admission = STORE_ADMITTED;
    send_message(other, "t", "3", 1);
    harness_complete_store(h, SIZE_MAX);
    ck_assert(!c->paused);
    harness_complete_store(h, SIZE_MAX);
    tc_expect_puback(c, second);
    harness_free(h);
}
END_TEST

/* --- reading back ------------------------------------------------------------------------------------------------------- */

static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

START_TEST(what_waits_for_who_is_away_is_on_disk_alone)
{
    struct harness *h = harness_new(1);
    leave_subscriber(h, 0, "s", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    for (int i = 0; i < 10; i++) {
        tc_publish(publisher, "t", numbers[i], 1);
    }
    ck_assert_uint_gt(HARNESS_STAT(h, queued_bytes), 0);
    ck_assert_uint_eq(HARNESS_STAT(h, unloaded_bytes), HARNESS_STAT(h, queued_bytes));
    h->store.holds_reads = true;
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_expect_nothing(s);
    tc_publish(publisher, "t", "live", 1);
    tc_expect_nothing(s); /* it may not overtake */
    h->store.holds_reads = false;
    harness_answer_reads(h, SIZE_MAX);
    for (int i = 0; i < 10; i++) {
        tc_receive(s, "t", numbers[i], 1);
    }
    tc_receive(s, "t", "live", 1);
    ck_assert_uint_eq(HARNESS_STAT(h, unloaded_bytes), 0);
    ck_assert_uint_eq(messages(h, "t"), 0);
    harness_free(h);
}
END_TEST

START_TEST(a_session_that_moves_or_ends_while_it_is_read_for_leaves_nothing_behind)
{
    struct harness *h = harness_new(2);
    leave_subscriber(h, 0, "s", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "m", 1);
    h->store.holds_reads = true;
    (void)tc_connect_persistent_at(h, 0, "s", MQTT_5_0);
    struct tc *s = tc_connect_persistent_at(h, 1, "s", MQTT_5_0); /* takes it over */
    tc_expect_nothing(s);
    ck_assert_uint_eq(h->store.submitted.reads, 2);
    harness_answer_reads(h, 1); /* the old place's */
    tc_expect_nothing(s);
    harness_answer_reads(h, 1);
    tc_expect_publish(s, "t", "m", 1);
    tc_hang_up(s);
    tc_publish(publisher, "t", "n", 1);
    s = tc_connect_persistent_at(h, 0, "s", MQTT_5_0);
    tc_expect_publish(s, "t", "m", 1);
    (void)tc_connect_at(h, 0, "s", MQTT_5_0); /* Clean Start */
    ck_assert_uint_eq(ram_store_messages(&h->store), 0);
    harness_answer_reads(h, SIZE_MAX);
    harness_free(h);
}
END_TEST

START_TEST(what_is_read_ahead_does_not_ask_for_what_is_not_on_disk_yet)
{
    struct harness *h = harness_new(2);
    leave_subscriber(h, 0, "s", 1);
    leave_subscriber(h, 1, "other", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "on disk", 1);
    h->asleep[1] = true; /* it has not added itself yet */
    send_message(publisher, "t", "in memory", 1);
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_receive(s, "t", "on disk", 1);
    tc_receive(s, "t", "in memory", 1);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_damaged), 0);
    ck_assert_uint_eq(h->store.submitted.reads, 1);
    harness_free(h);
}
END_TEST

START_TEST(a_message_that_cannot_be_read_is_counted_and_skipped)
{
    struct harness *h = harness_new(1);
    leave_subscriber(h, 0, "s", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "1", 1);
    tc_publish(publisher, "t", "2", 1);
    ram_store_damage(&h->store, "t");
    tc_publish(publisher, "t", "3", 1);
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_receive(s, "t", "1", 1);
    tc_receive(s, "t", "3", 1);
    tc_expect_nothing(s);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_damaged), 1);
    ck_assert_uint_eq(messages(h, "t"), 0);
    harness_free(h);
}
END_TEST

START_TEST(what_cannot_be_read_now_is_sent_when_it_can_be)
{
    struct harness *h = harness_new(1);
    leave_subscriber(h, 0, "s", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "1", 1);
    tc_publish(publisher, "t", "2", 1);
    h->store.reads_fail = true;
    struct tc *s = tc_connect_persistent(h, "s", MQTT_5_0);
    tc_expect_nothing(s);
    ck_assert_uint_eq(h->store.submitted.reads, 2); /* and not again and again */
    harness_advance(h, 1000);
    tc_expect_nothing(s);
    size_t reads = h->store.submitted.reads;
    ck_assert_uint_gt(reads, 2);
    ck_assert_uint_lt(reads, 2 + 2 * 12);
    h->store.reads_fail = false;
    harness_advance(h, 200);
    tc_receive(s, "t", "1", 1);
    tc_receive(s, "t", "2", 1);
    ck_assert_uint_eq(HARNESS_STAT(h, dropped_damaged), 0);
    ck_assert_uint_eq(messages(h, "t"), 0);
    harness_free(h);
}
END_TEST

START_TEST(a_session_that_moves_or_ends_while_it_waits_to_be_read_for_again_leaves_nothing_behind)
{
    struct harness *h = harness_new(2);
    leave_subscriber(h, 0, "s", 1);
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "m", 1);
    h->store.reads_fail = true;
    tc_expect_nothing(tc_connect_persistent_at(h, 0, "s", MQTT_5_0));
    tc_expect_nothing(tc_connect_persistent_at(h, 1, "s", MQTT_5_0)); /* takes it over */
    struct tc *s = tc_connect_persistent_at(h, 0, "s", MQTT_5_0);     /* and back */
    h->store.reads_fail = false;
    harness_advance(h, 1000);
    tc_receive(s, "t", "m", 1);
    h->store.reads_fail = true;
    tc_hang_up(s);
    tc_publish(publisher, "t", "n", 1);
    tc_expect_nothing(tc_connect_persistent_at(h, 1, "s", MQTT_5_0));
    (void)tc_connect_at(h, 0, "s", MQTT_5_0); /* Clean Start */
    harness_advance(h, 1000);
    ck_assert_uint_eq(ram_store_messages(&h->store), 0);
    harness_free(h);
}
END_TEST

/* --- after a restart ---------------------------------------------------------------------------------------------------- */

START_TEST(who_has_acknowledged_is_not_sent_it_again_because_another_has_not)
{
    struct harness *h = harness_new(2);
    struct tc *done = tc_connect_persistent_at(h, 0, "done", MQTT_5_0);
    tc_subscribe(done, "t", 1);
    leave_subscriber(h, 1, "away", 1);
    tc_publish(tc_connect(h, "publisher", MQTT_5_0), "t", "m", 1);
    tc_receive(done, "t", "m", 1);
    ck_assert_uint_eq(entries(h, STORE_POSITIONS), 0);
    harness_advance(h, KEPT_POSITION_MS);
    ck_assert_uint_eq(entries(h, STORE_POSITIONS), 1);
    harness_crash(h);
    done = tc_connect_persistent_at(h, 0, "done", MQTT_5_0);
    tc_expect_nothing(done);
    struct tc *away = tc_connect_persistent_at(h, 0, "away", MQTT_5_0);
    tc_receive(away, "t", "m", 1);
    ck_assert_uint_eq(messages(h, "t"), 0);
    harness_free(h);
}
END_TEST

START_TEST(qos2_that_was_completed_is_not_sent_again_after_a_crash)
{
    struct harness *h = harness_new(1);
    struct tc *done = tc_connect_persistent(h, "done", MQTT_5_0);
    tc_subscribe(done, "t", 2);
    leave_subscriber(h, 0, "away", 2);
    h->store.deletes_late = true;
    struct tc *publisher = tc_connect(h, "publisher", MQTT_5_0);
    tc_publish(publisher, "t", "1", 2);
    tc_publish(publisher, "t", "2", 2);
    tc_receive(done, "t", "1", 2);
    uint16_t id = tc_expect_publish(done, "t", "2", 2)->packet_id;
    tc_pubrec(done, id);
    tc_expect_pubrel(done, id);
    harness_crash(h);
    done = tc_connect_persistent(h, "done", MQTT_5_0);
    tc_expect_pubrel(done, id);
    tc_expect_nothing(done);
    tc_pubcomp(done, id);
    struct tc *away = tc_connect_persistent(h, "away", MQTT_5_0);
    tc_receive(away, "t", "1", 2);
    tc_receive(away, "t", "2", 2);
    harness_free(h);
}
END_TEST

START_TEST(what_was_acknowledged_is_there_after_a_crash_and_the_rest_as_if_it_had_not_come)
{
    struct harness *h = harness_new(3);
    leave_subscriber(h, 1, "s", 2);
    struct tc *c = tc_connect_persistent_at(h, 0, "c", MQTT_5_0);
    tc_retain(c, "r", "old", 1);
    tc_publish(c, "t", "1", 1);
    uint16_t id = send_message(c, "t", "2", 2);
    tc_expect_pubrec(c, id);
    h->store.is_held = true;
    send_retained(c, "r", "new");
    send_message(c, "t", "3", 1);
    tc_expect_nothing(c);
    harness_crash(h);
    h->store.is_held = false;
    c = tc_connect_persistent_at(h, 2, "c", MQTT_5_0);
    tc_send_publish(c, (struct tc_message){.topic = "t", .payload = "2", .qos = 2, .id = id, .dup = true});
    tc_expect_pubrec(c, id); /* it is known: no second delivery */
    tc_subscribe(c, "r", 0);
    tc_expect_publish(c, "r", "old", 0);
    struct tc *s = tc_connect_persistent_at(h, 0, "s", MQTT_5_0);
    tc_receive(s, "t", "1", 1);
    tc_receive(s, "t", "2", 2);
    tc_expect_nothing(s);
    tc_publish(c, "t", "4", 1);
    tc_receive(s, "t", "4", 1);
    harness_free(h);
}
END_TEST

START_TEST(loses_nothing_of_a_group_when_a_member_ends_and_the_process_too)
{
    struct harness *h = harness_new(2);
    struct tc *members[2];
    unsigned who = give_to_group(h, members);
    h->asleep[1 - who] = true;
    tc_send_spec(members[who], "e0 { 00 { session_expiry:0 } }");
    harness_crash(h);
    h->asleep[1 - who] = false;
    harness_start(h);
    harness_run(h);
    const struct tc_options other = {.id = who == 0 ? "b" : "a", .resume = true, .properties = "session_expiry:36000"};
    struct tc *b = tc_try_connect(h, other);
    tc_expect_connack(b, true, 0);
    tc_expect_nothing(b);
    harness_advance(h, 3600 * 1000 +
                           1000); /* the member is back, away: what it was given is still its own until it ends */
    tc_expect_publish(b, "t", "m", 1);
    harness_free(h);
}
END_TEST

START_TEST(repeats_nothing_that_has_moved_to_another_member)
{
    struct harness *h = harness_new(2);
    h->limits->shared_redeliver_on_disconnect = true;
    leave_subscriber(h, 0, "away", 1);
    struct tc *members[2];
    unsigned who = give_to_group(h, members);
    tc_hang_up(members[who]);
    harness_run(h);
    tc_puback(members[1 - who], tc_expect_publish(members[1 - who], "t", "m", 1)->packet_id);
    harness_advance(h, 5000);
    harness_stop(h);
    harness_start(h);
    harness_run(h);
    struct tc *a = tc_try_connect(
        h, (struct tc_options){.id = who == 0 ? "a" : "b", .resume = true, .properties = "session_expiry:3600"});
    tc_expect_connack(a, true, 0);
    tc_expect_nothing(a);
    harness_free(h);
}
END_TEST

START_TEST(begins_no_session_will_or_subscription_while_the_store_is_full)
{
    struct harness *h = harness_new(1);
    struct tc *c0 = tc_connect(h, "x", MQTT_5_0);
    (void)c0;
    atomic_store(&h->store.admission, STORE_FULL);
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "w",
                                                         .resume = true,
                                                         .properties = "session_expiry:3600",
                                                         .will = {.topic = "w", .payload = "bigbigbig"}});
    tc_expect_connack(c, false, REASON_QUOTA_EXCEEDED);
    atomic_store(&h->store.admission, STORE_ADMITTED);
    struct tc *s = tc_connect_persistent_at(h, 0, "s", MQTT_5_0);
    atomic_store(&h->store.admission, STORE_FULL);
    tc_send_spec(s, "82{0001 {} <t> 01}");
    tc_expect_suback(s, 1, "97");
    ck_assert_uint_eq(entries(h, STORE_WILLS), 0);
    ck_assert_uint_eq(entries(h, STORE_SUBSCRIPTIONS), 0);
    harness_free(h);
}
END_TEST

START_TEST(ends_while_a_damaged_message_is_being_read)
{
    struct harness *h = harness_new(2);
    leave_subscriber(h, 1, "s", 1);
    tc_publish(tc_connect(h, "publisher", MQTT_5_0), "t", "m", 1);
    h->store.holds_reads = true;
    struct tc *s = tc_try_connect(
        h, (struct tc_options){.id = "s", .place = 1, .resume = true, .properties = "session_expiry:3600"});
    tc_expect_connack(s, true, 0);
    tc_expect_nothing(s);
    ram_store_damage(&h->store, "t");
    harness_stop(h);
    harness_free(h);
}
END_TEST

static void rv_retain(struct tc *c, const char *topic, const char *payload)
{
    uint16_t id = tc_send_publish(c, (struct tc_message){.topic = topic, .payload = payload, .qos = 1, .retain = true});
    tc_expect_success_(c, PACKET_PUBACK, id);
}

START_TEST(counts_no_cleared_value_against_the_limits_when_it_starts)
{
    struct harness *h = harness_new(1);
    h->limits->retained_messages = 1;
    struct tc *p = tc_connect(h, "publisher", MQTT_5_0);
    rv_retain(p, "a", "1");
    rv_retain(p, "a", "");
    rv_retain(p, "b", "2");
    harness_crash(h);
    harness_start(h);
    harness_run(h);
    struct tc *s = tc_connect(h, "s", MQTT_5_0);
    tc_subscribe(s, "b", 1);
    tc_expect_publish(s, "b", "2", 1);
    harness_free(h);
}
END_TEST

START_TEST(stores_no_position_of_a_session_that_is_kept_for_its_will_alone)
{
    struct harness *h = harness_new(1);
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "w", .will = {.topic = "w", .payload = "x"}});
    tc_expect_connack(c, false, 0);
    tc_subscribe(c, "t", 2);
    tc_publish(tc_connect(h, "publisher", MQTT_5_0), "t", "m", 2);
    tc_receive(c, "t", "m", 2);
    tc_disconnect(c);
    harness_advance(h, 5000);
    ck_assert_uint_eq(entries(h, STORE_SESSIONS), 0);
    ck_assert_uint_eq(entries(h, STORE_WILLS), 0);
    ck_assert_uint_eq(entries(h, STORE_POSITIONS), 0);
    harness_free(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("kept");
    TCase *records = tcase_create("records");
    tcase_add_test(records, a_publication_with_recipients_at_three_places_is_one_record_submitted_by_the_last);
    tcase_add_test(records, what_no_session_that_lasts_is_to_get_is_no_record);
    tcase_add_test(records, puback_waits_for_its_record_and_for_nothing_else);
    tcase_add_test(records, acknowledgements_before_the_put_cancel_it);
    tcase_add_test(records, an_acknowledgement_from_a_place_that_is_faster_than_the_last_report_counts);
    tcase_add_test(records, the_last_acknowledgement_deletes_the_message);
    suite_add_tcase(s, records);
    TCase *qos2 = tcase_create("qos2");
    tcase_add_test(qos2, pubrec_waits_for_message_and_packet_id_in_one_transaction);
    tcase_add_test(qos2, a_publish_repeated_on_a_new_connection_waits_for_the_record_of_the_first_mqtt_4_3_3_10);
    tcase_add_test(qos2, qos2_is_sent_to_who_lasts_once_it_is_on_disk);
    tcase_add_test(qos2, pubrel_to_a_subscriber_waits_until_it_is_stored_that_it_is_due);
    tcase_add_test(qos2, pubcomp_to_a_publisher_waits_until_the_packet_id_is_deleted);
    suite_add_tcase(s, qos2);
    TCase *wills = tcase_create("wills");
    tcase_add_test(wills, a_will_is_deleted_in_the_transaction_with_its_message);
    tcase_add_test(wills, a_will_that_is_taken_back_is_deleted);
    tcase_add_test(wills, a_will_whose_delay_runs_is_still_there_after_a_clean_stop);
    suite_add_tcase(s, wills);
    TCase *retained = tcase_create("retained");
    tcase_add_test(retained, the_older_retained_value_goes_when_the_newer_is_there);
    tcase_add_test(retained, what_clears_a_value_stays_until_the_value_is_gone);
    tcase_add_test(retained, a_retained_value_outlives_its_receivers_and_the_other_way_round);
    tcase_add_test(retained, a_retained_value_that_is_refused_does_not_get_to_the_disk);
    tcase_add_test(retained, an_expired_retained_value_goes_from_the_disk);
    suite_add_tcase(s, retained);
    TCase *sessions = tcase_create("sessions");
    tcase_add_test(sessions, a_shared_message_that_moves_is_added_before_it_is_finished);
    tcase_add_test(sessions, the_end_of_a_session_takes_its_entries_and_finishes_its_messages);
    tcase_add_test(sessions, an_expired_session_takes_everything_with_it);
    tcase_add_test(sessions, unsubscribing_is_stored_before_it_is_answered);
    tcase_add_test(sessions, a_disconnect_with_another_expiry_is_stored);
    tcase_add_test(sessions, what_a_moving_session_is_held_for_stays_open_until_it_has_arrived);
    suite_add_tcase(s, sessions);
    TCase *admission = tcase_create("admission");
    tcase_add_test(admission, a_full_store_refuses_with_0x97_or_the_end_of_the_connection);
    tcase_add_test(admission, a_busy_store_takes_what_has_come_and_lets_publishers_wait);
    suite_add_tcase(s, admission);
    TCase *reading = tcase_create("reading");
    tcase_add_test(reading, what_waits_for_who_is_away_is_on_disk_alone);
    tcase_add_test(reading, a_session_that_moves_or_ends_while_it_is_read_for_leaves_nothing_behind);
    tcase_add_test(reading, what_is_read_ahead_does_not_ask_for_what_is_not_on_disk_yet);
    tcase_add_test(reading, a_message_that_cannot_be_read_is_counted_and_skipped);
    tcase_add_test(reading, what_cannot_be_read_now_is_sent_when_it_can_be);
    tcase_add_test(reading, a_session_that_moves_or_ends_while_it_waits_to_be_read_for_again_leaves_nothing_behind);
    suite_add_tcase(s, reading);
    TCase *restart = tcase_create("restart");
    tcase_add_test(restart, who_has_acknowledged_is_not_sent_it_again_because_another_has_not);
    tcase_add_test(restart, qos2_that_was_completed_is_not_sent_again_after_a_crash);
    tcase_add_test(restart, what_was_acknowledged_is_there_after_a_crash_and_the_rest_as_if_it_had_not_come);
    tcase_add_test(restart, ends_while_a_damaged_message_is_being_read);
    tcase_add_test(restart, counts_no_cleared_value_against_the_limits_when_it_starts);
    tcase_add_test(restart, stores_no_position_of_a_session_that_is_kept_for_its_will_alone);
    tcase_add_test(restart, loses_nothing_of_a_group_when_a_member_ends_and_the_process_too);
    tcase_add_test(restart, repeats_nothing_that_has_moved_to_another_member);
    tcase_add_test(restart, begins_no_session_will_or_subscription_while_the_store_is_full);
    suite_add_tcase(s, restart);
    return s;
}

CHECK_MAIN(suite)
