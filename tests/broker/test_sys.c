/* Claims about the $SYS tree: names, formats, averages, and that only what changed is published. */
#include "gateway/broker/sys.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "protocol/topic.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TOPICS_MAX      80

/* What was published: the last payload of each topic, and how often since taken_reset(). */
struct taken {
    struct {
        char topic[64];
        char payload[64];
        unsigned times;
    } topics[TOPICS_MAX];
    size_t count;
    unsigned publishes;
    bool refuses;
};

static struct taken sink; /* cleared by each test */

static bool take(void *arg, struct bytes topic, struct bytes payload)
{
    struct taken *taken = arg;
    size_t i = 0;
    ck_assert(topic_name_is_valid(topic));
    ck_assert_uint_gt(payload.len, 0);
    ck_assert(topic.len < sizeof(taken->topics[i].topic) && payload.len < sizeof(taken->topics[i].payload));
    taken->publishes++;
    if (taken->refuses) {
        return false;
    }
    while (i < taken->count && !bytes_equal(bytes_from_string(taken->topics[i].topic), topic)) {
        i++;
    }
    ck_assert_uint_lt(i, TOPICS_MAX);
    if (i == taken->count) {
        taken->count++;
        memcpy(taken->topics[i].topic, topic.data, topic.len);
    }
    memset(taken->topics[i].payload, 0, sizeof(taken->topics[i].payload));
    memcpy(taken->topics[i].payload, payload.data, payload.len);
    taken->topics[i].times++;
    return true;
}

static void taken_reset(struct taken *taken)
{
    taken->publishes = 0;
    for (size_t i = 0; i < taken->count; i++) {
        taken->topics[i].times = 0;
    }
}

static size_t taken_find(const struct taken *taken, const char *topic)
{
    size_t i = 0;
    while (i < taken->count && strcmp(taken->topics[i].topic, topic) != 0) {
        i++;
    }
    ck_assert_msg(i < taken->count, "nothing was published to %s", topic);
    return i;
}

static const char *value_of(const struct taken *taken, const char *topic)
{
    return taken->topics[taken_find(taken, topic)].payload;
}

static struct sys *sys_made(void)
{
    struct sys *sys = sys_new("1.2.3");
    ck_assert_ptr_nonnull(sys);
    return sys;
}

/* Each member another number, so that no two can be mistaken for each other. */
static const struct sys_values all_different = {
    .uptime_ms = 0,
    .clients_connected = 102,
    .clients_disconnected = 1003,
    .subscriptions = 104,
    .shared_subscriptions = 105,
    .retained_messages = 106,
    .stored_messages = 107,
    .stored_bytes = 108,
    .heap_bytes = 109,
    .clients_expired = 110,
    .sockets_opened = 111,
    .connects_received = 112,
    .packets_received = 113,
    .packets_sent = 114,
    .bytes_received = 115,
    .bytes_sent = UINT64_C(18446744073709551614),
    .publish_received = 117,
    .publish_sent = 118,
    .publish_dropped = 119,
    .publish_bytes_received = 120,
    .publish_bytes_sent = 121,
};

/* The names and formats were compared with those of a running Mosquitto 2.0.11. */
START_TEST(publishes_every_name_of_mosquitto_with_its_format_at_first)
{
    static const char *expected[][2] = {
        {"version", "tidegate version 1.2.3"},
        {"uptime", "0 seconds"},
        {"clients/total", "1105"},
        {"clients/inactive", "1003"},
        {"clients/disconnected", "1003"},
        {"clients/active", "102"},
        {"clients/connected", "102"},
        {"clients/expired", "110"},
        {"clients/maximum", "102"},
        {"load/messages/received/1min", "0.00"},
        {"load/messages/received/5min", "0.00"},
        {"load/messages/received/15min", "0.00"},
        {"load/messages/sent/1min", "0.00"},
        {"load/messages/sent/5min", "0.00"},
        {"load/messages/sent/15min", "0.00"},
        {"load/publish/dropped/1min", "0.00"},
        {"load/publish/dropped/5min", "0.00"},
        {"load/publish/dropped/15min", "0.00"},
        {"load/publish/received/1min", "0.00"},
        {"load/publish/received/5min", "0.00"},
        {"load/publish/received/15min", "0.00"},
        {"load/publish/sent/1min", "0.00"},
        {"load/publish/sent/5min", "0.00"},
        {"load/publish/sent/15min", "0.00"},
        {"load/bytes/received/1min", "0.00"},
        {"load/bytes/received/5min", "0.00"},
        {"load/bytes/received/15min", "0.00"},
        {"load/bytes/sent/1min", "0.00"},
        {"load/bytes/sent/5min", "0.00"},
        {"load/bytes/sent/15min", "0.00"},
        {"load/sockets/1min", "0.00"},
        {"load/sockets/5min", "0.00"},
        {"load/sockets/15min", "0.00"},
        {"load/connections/1min", "0.00"},
        {"load/connections/5min", "0.00"},
        {"load/connections/15min", "0.00"},
        {"messages/stored", "107"},
        {"messages/received", "113"},
        {"messages/sent", "114"},
        {"store/messages/count", "107"},
        {"store/messages/bytes", "108"},
        {"subscriptions/count", "104"},
        {"shared_subscriptions/count", "105"},
        {"retained messages/count", "106"},
        {"heap/current", "109"},
        {"heap/maximum", "109"},
        {"publish/messages/dropped", "119"},
        {"publish/messages/received", "117"},
        {"publish/messages/sent", "118"},
        {"publish/bytes/received", "120"},
        {"publish/bytes/sent", "121"},
        {"bytes/received", "115"},
        {"bytes/sent", "18446744073709551614"},
    };
    memset(&sink, 0, sizeof(sink));
    struct sys *sys = sys_made();
    sys_update(sys, &all_different, take, &sink);
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        char topic[64];
        snprintf(topic, sizeof(topic), "$SYS/broker/%s", expected[i][0]);
        ck_assert_msg(strcmp(value_of(&sink, topic), expected[i][1]) == 0, "%s is %s", topic, value_of(&sink, topic));
    }
    ck_assert_uint_eq(sink.count, COUNT_OF(expected));
    ck_assert_uint_eq(sink.publishes, COUNT_OF(expected));
    sys_free(sys);
    sys_free(NULL);
}
END_TEST

START_TEST(publishes_only_what_changed_after_that)
{
    memset(&sink, 0, sizeof(sink));
    struct sys *sys = sys_made();
    struct sys_values values = all_different;
    sys_update(sys, &values, take, &sink);

    taken_reset(&sink);
    sys_update(sys, &values, take, &sink);
    ck_assert_uint_eq(sink.publishes, 0);

    values.subscriptions++;
    values.clients_connected--;
    sys_update(sys, &values, take, &sink);
    ck_assert_uint_eq(sink.publishes, 4);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/subscriptions/count"), "105");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/clients/connected"), "101");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/clients/active"), "101");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/clients/total"), "1104");
    sys_free(sys);
}
END_TEST

START_TEST(uptime_is_published_once_a_second_at_most)
{
    memset(&sink, 0, sizeof(sink));
    struct sys *sys = sys_made();
    struct sys_values values = {0};
    sys_update(sys, &values, take, &sink);
    taken_reset(&sink);
    values.uptime_ms = 999;
    sys_update(sys, &values, take, &sink);
    ck_assert_uint_eq(sink.publishes, 0);
    values.uptime_ms = 1000;
    sys_update(sys, &values, take, &sink);
    ck_assert_uint_eq(sink.publishes, 1);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/uptime"), "1 seconds");
    values.uptime_ms = UINT64_C(400) * 86400 * 1000;
    sys_update(sys, &values, take, &sink);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/uptime"), "34560000 seconds");
    sys_free(sys);
}
END_TEST

START_TEST(maxima_stay_when_the_values_fall)
{
    memset(&sink, 0, sizeof(sink));
    struct sys *sys = sys_made();
    struct sys_values values = {.clients_connected = 5, .heap_bytes = 500};
    sys_update(sys, &values, take, &sink);
    values = (struct sys_values){.clients_connected = 2, .clients_disconnected = 9, .heap_bytes = 100};
    sys_update(sys, &values, take, &sink);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/clients/maximum"), "5");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/clients/total"), "11");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/heap/maximum"), "500");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/heap/current"), "100");
    values.clients_connected = 7;
    sys_update(sys, &values, take, &sink);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/clients/maximum"), "7");
    sys_free(sys);
}
END_TEST

/* Figures seen with Mosquitto 2.0.11: 8 packets in its first 3 seconds. */
START_TEST(averages_are_those_of_mosquitto)
{
    memset(&sink, 0, sizeof(sink));
    struct sys *sys = sys_made();
    struct sys_values values = {0};
    sys_update(sys, &values, take, &sink);
    values.uptime_ms = 3000;
    values.packets_received = 8;
    sys_update(sys, &values, take, &sink);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/messages/received/1min"), "7.80");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/messages/received/5min"), "1.59");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/messages/received/15min"), "0.53");
    values.uptime_ms = 6000;
    sys_update(sys, &values, take, &sink);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/messages/received/1min"), "7.42");
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/messages/received/5min"), "1.58");
    sys_free(sys);
}
END_TEST

START_TEST(each_average_follows_its_own_counter)
{
    static const struct {
        const char *topic;
        size_t offset;
    } loads[] = {
        {"$SYS/broker/load/messages/received/15min", offsetof(struct sys_values, packets_received)},
        {"$SYS/broker/load/messages/sent/15min", offsetof(struct sys_values, packets_sent)},
        {"$SYS/broker/load/publish/received/15min", offsetof(struct sys_values, publish_received)},
        {"$SYS/broker/load/publish/sent/15min", offsetof(struct sys_values, publish_sent)},
        {"$SYS/broker/load/publish/dropped/15min", offsetof(struct sys_values, publish_dropped)},
        {"$SYS/broker/load/bytes/received/15min", offsetof(struct sys_values, bytes_received)},
        {"$SYS/broker/load/bytes/sent/15min", offsetof(struct sys_values, bytes_sent)},
        {"$SYS/broker/load/sockets/15min", offsetof(struct sys_values, sockets_opened)},
        {"$SYS/broker/load/connections/15min", offsetof(struct sys_values, connects_received)},
    };
    for (size_t i = 0; i < COUNT_OF(loads); i++) {
        memset(&sink, 0, sizeof(sink));
        struct sys *sys = sys_made();
        struct sys_values values = {0};
        sys_update(sys, &values, take, &sink);
        for (uint64_t minute = 1; minute <= 200; minute++) {
            values.uptime_ms = minute * 60000;
            uint64_t counter = minute * 1000;
            memcpy((char *)&values + loads[i].offset, &counter, sizeof(counter));
            sys_update(sys, &values, take, &sink);
        }
        ck_assert_str_eq(value_of(&sink, loads[i].topic), "1000.00");
        for (size_t other = 0; other < COUNT_OF(loads); other++) {
            ck_assert(other == i || strcmp(value_of(&sink, loads[other].topic), "0.00") == 0);
        }
        sys_free(sys);
    }
}
END_TEST

START_TEST(an_average_does_not_depend_on_the_interval_and_fades_to_nothing)
{
    for (uint64_t interval_ms = 1000; interval_ms <= 60000; interval_ms *= 60) {
        memset(&sink, 0, sizeof(sink));
        struct sys *sys = sys_made();
        struct sys_values values = {0};
        sys_update(sys, &values, take, &sink);
        while (values.uptime_ms < 600000) {
            values.uptime_ms += interval_ms;
            values.bytes_sent = values.uptime_ms / 10; /* 6000 a minute */
            sys_update(sys, &values, take, &sink);
        }
        double average;
        ck_assert_int_eq(sscanf(value_of(&sink, "$SYS/broker/load/bytes/sent/5min"), "%lf", &average), 1);
        ck_assert_double_eq_tol(average, 6000 * (1 - exp(-2.0)), 0.006);
        values.uptime_ms += UINT64_C(86400000);
        sys_update(sys, &values, take, &sink);
        ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/bytes/sent/15min"), "0.00");
        sys_free(sys);
    }
}
END_TEST

START_TEST(what_comes_between_two_updates_of_one_instant_is_counted_later)
{
    memset(&sink, 0, sizeof(sink));
    struct sys *sys = sys_made();
    struct sys_values values = {.packets_sent = 3};
    sys_update(sys, &values, take, &sink);
    values.packets_sent = 8;
    sys_update(sys, &values, take, &sink);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/messages/sent/1min"), "0.00");
    values.uptime_ms = 3000;
    sys_update(sys, &values, take, &sink);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/load/messages/sent/1min"), "7.80");
    sys_free(sys);
}
END_TEST

START_TEST(what_could_not_be_published_comes_with_the_next_update)
{
    memset(&sink, 0, sizeof(sink));
    sink.refuses = true;
    struct sys *sys = sys_made();
    sys_update(sys, &all_different, take, &sink);
    unsigned all = sink.publishes;
    sink.refuses = false;
    taken_reset(&sink);
    sys_update(sys, &all_different, take, &sink);
    ck_assert_uint_eq(sink.publishes, all);
    ck_assert_str_eq(value_of(&sink, "$SYS/broker/version"), "tidegate version 1.2.3");
    taken_reset(&sink);
    sys_update(sys, &all_different, take, &sink);
    ck_assert_uint_eq(sink.publishes, 0);
    sys_free(sys);
}
END_TEST

START_TEST(without_memory_there_is_no_tree)
{
    malloc_fail_at(1);
    struct sys *sys = sys_new("1");
    ck_assert(malloc_fail_end());
    ck_assert_ptr_null(sys);
}
END_TEST

static Suite *sys_suite(void)
{
    Suite *suite = suite_create("sys");
    TCase *tree = tcase_create("tree");
    tcase_add_test(tree, publishes_every_name_of_mosquitto_with_its_format_at_first);
    tcase_add_test(tree, publishes_only_what_changed_after_that);
    tcase_add_test(tree, uptime_is_published_once_a_second_at_most);
    tcase_add_test(tree, maxima_stay_when_the_values_fall);
    tcase_add_test(tree, what_could_not_be_published_comes_with_the_next_update);
    tcase_add_test(tree, without_memory_there_is_no_tree);
    suite_add_tcase(suite, tree);
    TCase *averages = tcase_create("averages");
    tcase_add_test(averages, averages_are_those_of_mosquitto);
    tcase_add_test(averages, each_average_follows_its_own_counter);
    tcase_add_test(averages, an_average_does_not_depend_on_the_interval_and_fades_to_nothing);
    tcase_add_test(averages, what_comes_between_two_updates_of_one_instant_is_counted_later);
    suite_add_tcase(suite, averages);
    return suite;
}

CHECK_MAIN(sys_suite)
