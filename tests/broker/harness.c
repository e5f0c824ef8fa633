#include "tests/broker/harness.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/rcu.h"
#include "gateway/broker/broker.h"
#include "gateway/broker/core.h"
#include "gateway/broker/place.h"
#include "gateway/broker/recover.h"
#include "gateway/broker/stats.h"
#include "protocol/reason.h"
#include "protocol/topic.h"
#include "tests/broker/test_client.h"

enum {
    TURNS_MAX = 100000, /* a broker that is not quiet after so many turns never is */
    START_MS = 1000000, /* not 0, so that times in the past exist */
};
static const uint64_t START_WALL_MS = UINT64_C(1700000000000);

/* --- the store -------------------------------------------------------------------------------------------------------- */

void harness_complete_store(struct harness *h, size_t count)
{
    ram_store_complete(&h->store, count);
    harness_run(h);
}

void harness_answer_reads(struct harness *h, size_t count)
{
    ram_store_answer_reads(&h->store, count);
    harness_run(h);
}

/* --- access ----------------------------------------------------------------------------------------------------------- */

static void refuse(struct access_request *request, uint8_t reason_code)
{
    request->outcome = ACCESS_REFUSED;
    request->reason_code = reason_code;
    request->why = "refused by the test";
}

/* The "TEST" method: challenge, response, welcome. */
static void authenticate(struct access_request *request)
{
    if (request->state == NULL) {
        request->state = request;
        request->outcome = ACCESS_CONTINUE;
        request->method_data = bytes_from_string("challenge");
        return;
    }
    request->state = NULL;
    if (!bytes_equal(request->data, bytes_from_string("response"))) {
        refuse(request, REASON_NOT_AUTHORIZED);
        return;
    }
    request->outcome = ACCESS_GRANTED;
    request->method_data = bytes_from_string("welcome");
}

static void answer(struct test_access *a, struct access_request *request)
{
    if (a->refusal != 0) {
        refuse(request, a->refusal);
    } else if (request->method.data == NULL) {
        request->outcome = ACCESS_GRANTED;
    } else if (bytes_equal(request->method, bytes_from_string("TEST"))) {
        authenticate(request);
    } else {
        refuse(request, REASON_BAD_AUTHENTICATION_METHOD);
    }
    request->done(request);
}

static void test_access_connect(struct access *access, struct access_request *request)
{
    struct test_access *a = (struct test_access *)access;
    a->asked++;
    if (a->is_held) {
        ck_assert_msg(a->waiting == NULL, "the harness holds one access request at a time");
        a->waiting = request;
        return;
    }
    answer(a, request);
}

static void test_access_cancel(struct access *access, struct access_request *request)
{
    struct test_access *a = (struct test_access *)access;
    a->cancelled++;
    if (a->waiting == request) {
        a->waiting = NULL;
    }
}

static bool test_access_may_publish(struct access *access, const struct access_identity *identity, struct bytes topic,
                                    bool retain)
{
    const char *unwritable = ((struct test_access *)access)->unwritable;
    (void)identity;
    (void)retain;
    return unwritable == NULL || !bytes_equal(topic, bytes_from_string(unwritable));
}

static bool test_access_may_read(struct access *access, const struct access_identity *identity, struct bytes topic)
{
    const char *unreadable = ((struct test_access *)access)->unreadable;
    (void)identity;
    return unreadable == NULL || !bytes_equal(topic, bytes_from_string(unreadable));
}

static enum access_class test_access_classify(struct access *access, const struct access_identity *identity,
                                              struct bytes filter)
{
    if (((struct test_access *)access)->unreadable == NULL) {
        return ACCESS_ALL;
    }
    return test_access_may_read(access, identity, filter) ? ACCESS_SOME : ACCESS_NONE;
}

static void test_access_forget(struct access *access, struct access_identity *identity)
{
    (void)access;
    (void)identity;
}

static void test_access_free(struct access *access)
{
    (void)access;
}

static const struct access_provider test_provider = {
    .name = "test",
    .connect = test_access_connect,
    .cancel = test_access_cancel,
    .may_publish = test_access_may_publish,
    .classify = test_access_classify,
    .may_read = test_access_may_read,
    .forget = test_access_forget,
    .free = test_access_free,
};

void harness_answer_access(struct harness *h)
{
    struct access_request *request = h->access.waiting;
    ck_assert_msg(request != NULL, "no access request waits");
    h->access.waiting = NULL;
    answer(&h->access, request);
    harness_run(h);
}

/* --- the broker and its clock ----------------------------------------------------------------------------------------- */

static void on_wake(void *arg, unsigned place)
{
    ((struct harness *)arg)->woken[place] = true;
}

struct harness *harness_new(unsigned places)
{
    ck_assert_uint_le(places, HARNESS_PLACES);
    tg_rcu_register_thread();
    struct harness *h = calloc(1, sizeof(*h));
    ck_assert_ptr_nonnull(h);
    h->places = places;
    h->now_ms = START_MS;
    h->wall_ms = START_WALL_MS;
    h->config = config_default();
    ck_assert_ptr_nonnull(h->config);
    h->config->sys_interval_s = 0;
    h->limits = &h->config->limits;
    ram_store_init(&h->store);
    h->access.access.provider = &test_provider;
    const struct log_options quiet = {.level = LOG_LEVEL_ERROR, .lines_per_s = LOG_LINES_PER_S_DEFAULT};
    log_configure(&quiet);
    return h;
}

struct place *harness_place(struct harness *h, unsigned index)
{
    struct place *place = broker_place(h->broker, index);
    place_set_time(place, h->now_ms, h->wall_ms);
    return place;
}

/* One turn of every place. @return true if something is left to do now */
static bool turn(struct harness *h)
{
    bool more = false;
    for (unsigned i = 0; i < h->places; i++) {
        if (h->asleep[i]) {
            continue;
        }
        struct place *place = harness_place(h, i);
        for (struct tc *c = h->clients; c != NULL; c = c->next) {
            more |= c->place == i && tc_turn(c);
        }
        if (h->woken[i]) {
            h->woken[i] = false;
            if (place_receive_mail(place)) {
                h->woken[i] = true;
            }
        }
        more |= place_end_turn(place);
        tg_rcu_quiescent();
    }
    for (unsigned i = 0; i < h->places; i++) {
        more |= h->woken[i] && !h->asleep[i];
    }
    return more;
}

struct recovery {
    struct broker *broker;
    struct broker_recovery recovery;
    enum tg_err err;
    _Atomic bool is_over;
};

static void *recover(void *arg)
{
    struct recovery *r = arg;
    tg_rcu_register_thread();
    r->err = broker_recover(r->broker, &r->recovery);
    tg_rcu_unregister_thread();
    atomic_store(&r->is_over, true);
    return NULL;
}

/* On a thread of its own, as it waits for the places. */
static void read_store(struct harness *h)
{
    struct recovery r = {.broker = h->broker};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, recover, &r), 0);
    while (!atomic_load(&r.is_over)) {
        (void)turn(h);
        sched_yield();
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(r.err, TG_OK);
}

void harness_start(struct harness *h)
{
    if (h->broker != NULL) {
        return;
    }
    h->access.access.allows_all = !h->has_rules;
    const struct broker_env env = {
        .wake = on_wake,
        .wake_arg = h,
        .store = &h->store.store,
        .access = &h->access.access,
        .now_ms = h->now_ms,
        .wall_ms = h->wall_ms,
    };
    h->broker = broker_new(h->config, h->places, &env);
    ck_assert_ptr_nonnull(h->broker);
    if (!ram_store_is_empty(&h->store)) {
        read_store(h);
    }
    harness_run(h);
}

static void hang_up_all(struct harness *h)
{
    memset(h->asleep, 0, sizeof(h->asleep));
    for (struct tc *c = h->clients; c != NULL; c = c->next) {
        tc_hang_up(c);
    }
    if (h->broker != NULL) {
        harness_run(h);
    }
    while (h->clients != NULL) {
        struct tc *next = h->clients->next;
        tc_free(h->clients);
        h->clients = next;
    }
}

void harness_stop(struct harness *h)
{
    hang_up_all(h);
    tg_rcu_barrier();
    broker_free(h->broker);
    h->broker = NULL;
    tg_rcu_barrier();
    ram_store_reopen(&h->store);
}

void harness_crash(struct harness *h)
{
    ram_store_crash(&h->store);
    harness_stop(h);
}

void harness_restart(struct harness *h)
{
    harness_stop(h);
    ram_store_clear(&h->store);
}

void harness_free(struct harness *h)
{
    harness_stop(h);
    store_free(&h->store.store);
    config_free(h->config);
    free(h);
    tg_rcu_unregister_thread();
}

void harness_run(struct harness *h)
{
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        if (!turn(h)) {
            return;
        }
    }
    ck_abort_msg("the broker does not come to rest");
}

void harness_advance(struct harness *h, uint64_t ms)
{
    harness_start(h);
    uint64_t end_ms = h->now_ms + ms;
    while (h->now_ms < end_ms) {
        uint64_t next_ms = end_ms;
        for (unsigned i = 0; i < h->places; i++) {
            uint64_t due_ms = place_next_ms(broker_place(h->broker, i));
            next_ms = due_ms < next_ms ? due_ms : next_ms;
        }
        if (next_ms <= h->now_ms) {
            next_ms = h->now_ms + 1;
        }
        h->wall_ms += next_ms - h->now_ms;
        h->now_ms = next_ms;
        harness_run(h);
    }
}

void harness_drain(struct harness *h)
{
    for (unsigned i = 0; i < h->places; i++) {
        place_drain(harness_place(h, i));
    }
    harness_run(h);
}

bool harness_is_drained(const struct harness *h)
{
    bool drained = true;
    for (unsigned i = 0; i < h->places; i++) {
        drained = drained && place_is_drained(broker_place(h->broker, i));
    }
    return drained;
}

void harness_jump(struct harness *h, uint64_t ms)
{
    harness_start(h);
    h->now_ms += ms;
    h->wall_ms += ms;
    harness_run(h);
}

uint64_t harness_stat(struct harness *h, size_t offset)
{
    struct stats sum;
    memset(&sum, 0, sizeof(sum));
    broker_sum_stats(h->broker, &sum);
    return atomic_load((_Atomic uint64_t *)(void *)((char *)&sum + offset));
}
