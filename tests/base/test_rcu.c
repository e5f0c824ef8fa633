/* Claims about RCU: when a callback runs, and that the order it gives is visible (to ThreadSanitizer too). */
#include "gateway/base/rcu.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "tests/check_main.h"

static void join_rcu(void)
{
    tg_rcu_register_thread();
}

static void leave_rcu(void)
{
    tg_rcu_unregister_thread();
}

struct counted {
    struct tg_rcu_head rcu;
    unsigned value;
    struct order *order;
};

struct order {
    unsigned expected;
    bool ok;
    _Atomic unsigned ran;
};

static void count_callback(struct tg_rcu_head *head)
{
    struct counted *counted = (struct counted *)head;
    struct order *order = counted->order;
    order->ok = order->ok && counted->value == order->expected;
    order->expected++;
    free(counted);
    atomic_fetch_add(&order->ran, 1);
}

static void submit(struct order *order, unsigned value)
{
    struct counted *counted = malloc(sizeof(*counted));
    ck_assert_ptr_nonnull(counted);
    counted->value = value;
    counted->order = order;
    tg_rcu_call(&counted->rcu, count_callback);
}

START_TEST(callbacks_run_once_each_in_order_before_the_barrier_ends)
{
    struct order order = {.ok = true};
    for (unsigned i = 0; i < 1000; i++) {
        submit(&order, i);
    }
    tg_rcu_barrier();
    ck_assert(order.ok);
    ck_assert_uint_eq(order.expected, 1000);
    tg_rcu_barrier();
    ck_assert_uint_eq(order.expected, 1000);
}
END_TEST

static void *pass_a_barrier(void *arg)
{
    _Atomic bool *passed = arg;
    tg_rcu_register_thread();
    tg_rcu_barrier();
    tg_rcu_unregister_thread();
    atomic_store(passed, true);
    return NULL;
}

/* The callback thread may run as often as it likes: it may not call back while this thread has not been quiescent. */
START_TEST(a_callback_waits_for_a_reader_that_is_online)
{
    struct order order = {.ok = true};
    _Atomic bool passed;
    atomic_init(&passed, false);
    pthread_t thread;
    submit(&order, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, pass_a_barrier, &passed), 0);
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert_uint_eq(atomic_load(&order.ran), 0);
        ck_assert(!atomic_load(&passed));
        sched_yield();
    }
    while (!atomic_load(&passed)) {
        tg_rcu_quiescent(); /* any number of grace periods may be under way */
    }
    ck_assert_uint_eq(atomic_load(&order.ran), 1);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_reader_that_is_offline_keeps_nobody_waiting)
{
    struct order order = {.ok = true};
    _Atomic bool passed;
    atomic_init(&passed, false);
    pthread_t thread;
    submit(&order, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, pass_a_barrier, &passed), 0);
    tg_rcu_offline();
    pthread_join(thread, NULL);
    tg_rcu_online();
    ck_assert(atomic_load(&passed));
    ck_assert_uint_eq(atomic_load(&order.ran), 1);
}
END_TEST

struct chain {
    struct tg_rcu_head rcu;
    unsigned links; /* that are to follow */
    _Atomic unsigned ran;
};

static void run_chain(struct tg_rcu_head *head)
{
    struct chain *chain = (struct chain *)head;
    bool is_last = chain->links-- == 0;
    if (!is_last) {
        tg_rcu_call(&chain->rcu, run_chain);
    }
    atomic_fetch_add(&chain->ran, 1);
}

START_TEST(a_callback_may_submit_itself_again)
{
    struct chain chain = {.links = 3};
    tg_rcu_call(&chain.rcu, run_chain);
    for (unsigned links = 1; links <= 4; links++) {
        tg_rcu_barrier();
        ck_assert_uint_ge(atomic_load(&chain.ran), links);
    }
    ck_assert_uint_eq(atomic_load(&chain.ran), 4);
}
END_TEST

/* ---- a value replaced while others read it ---- */

enum {
    VERSIONS = 3000,
    READERS = 3,
};

struct version {
    struct tg_rcu_head rcu;
    unsigned number;
    unsigned twice;
};

struct shared {
    _Atomic(struct version *) current;
    _Atomic bool is_over;
};

static void free_version(struct tg_rcu_head *head)
{
    struct version *version = (struct version *)head;
    version->number = 0; /* a reader would notice, and so would ThreadSanitizer */
    version->twice = 1;
    free(version);
}

static void *read_versions(void *arg)
{
    struct shared *shared = arg;
    unsigned last = 0;
    bool ok = true;
    tg_rcu_register_thread();
    for (unsigned i = 0; ok && !atomic_load(&shared->is_over); i++) {
        const struct version *version = tg_rcu_dereference(shared->current);
        ok = version->number >= last && version->twice == 2 * version->number;
        last = version->number;
        if (i % 5 == 0) {
            tg_rcu_quiescent();
        }
        if (i % 64 == 0) {
            tg_rcu_offline();
            tg_rcu_online();
        }
    }
    tg_rcu_unregister_thread();
    return ok ? shared : NULL;
}

static struct version *version_new(unsigned number)
{
    struct version *version = malloc(sizeof(*version));
    ck_assert_ptr_nonnull(version);
    version->number = number;
    version->twice = 2 * number;
    return version;
}

START_TEST(readers_never_see_what_has_been_freed)
{
    struct shared shared;
    pthread_t readers[READERS];
    atomic_init(&shared.current, version_new(1));
    atomic_init(&shared.is_over, false);
    for (size_t i = 0; i < READERS; i++) {
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_versions, &shared), 0);
    }
    for (unsigned number = 2; number < VERSIONS; number++) {
        struct version *old = tg_rcu_dereference(shared.current);
        tg_rcu_assign(shared.current, version_new(number));
        tg_rcu_call(&old->rcu, free_version);
        tg_rcu_quiescent();
        if (number % 16 == 0) {
            sched_yield();
        }
    }
    atomic_store(&shared.is_over, true);
    tg_rcu_offline();
    for (size_t i = 0; i < READERS; i++) {
        void *ok;
        pthread_join(readers[i], &ok);
        ck_assert_ptr_nonnull(ok);
    }
    tg_rcu_online();
    tg_rcu_barrier();
    free(atomic_load(&shared.current));
}
END_TEST

START_TEST(a_thread_may_register_again)
{
    struct order order = {.ok = true};
    for (unsigned i = 0; i < 3; i++) {
        submit(&order, i);
        tg_rcu_unregister_thread();
        tg_rcu_register_thread();
    }
    tg_rcu_barrier();
    ck_assert(order.ok);
    ck_assert_uint_eq(order.expected, 3);
}
END_TEST

static Suite *rcu_suite(void)
{
    Suite *suite = suite_create("rcu");
    TCase *callbacks = tcase_create("callbacks");
    tcase_add_checked_fixture(callbacks, join_rcu, leave_rcu);
    tcase_add_test(callbacks, callbacks_run_once_each_in_order_before_the_barrier_ends);
    tcase_add_test(callbacks, a_callback_waits_for_a_reader_that_is_online);
    tcase_add_test(callbacks, a_reader_that_is_offline_keeps_nobody_waiting);
    tcase_add_test(callbacks, a_callback_may_submit_itself_again);
    tcase_add_test(callbacks, a_thread_may_register_again);
    suite_add_tcase(suite, callbacks);
    TCase *readers = tcase_create("readers");
    tcase_add_checked_fixture(readers, join_rcu, leave_rcu);
    tcase_add_test(readers, readers_never_see_what_has_been_freed);
    suite_add_tcase(suite, readers);
    return suite;
}

CHECK_MAIN(rcu_suite)
