/* Reading the store beside everything else: how far it is, its end, and that it can be ended. */
#include "gateway/recovery.h"

#include <sched.h>

#include "gateway/base/rcu.h"
#include "tests/check_main.h"

#define TOTAL 1000u

/* --- a core that reads as slowly as the test wants ------------------------------------------------------------------------------- */

static atomic_bool may_end;
static enum tg_err outcome;
static int registered;

enum tg_err broker_recover(struct broker *broker, struct broker_recovery *recovery)
{
    (void)broker;
    atomic_store(&recovery->total, TOTAL);
    atomic_store(&recovery->done, TOTAL / 2);
    while (!atomic_load(&may_end)) {
        if (atomic_load(&recovery->is_cancelled)) {
            return TG_ERR_CLOSED;
        }
        sched_yield();
    }
    atomic_store(&recovery->done, TOTAL);
    return outcome;
}

void tg_rcu_register_thread(void)
{
    registered++;
}

void tg_rcu_unregister_thread(void)
{
    registered--;
}

/* --- claims ---------------------------------------------------------------------------------------------------------------------- */

static struct recovery recovery;
static uint64_t done, total;

static void setup(void)
{
    recovery = (struct recovery){0};
    registered = 0;
    outcome = TG_OK;
    atomic_store(&may_end, false);
    ck_assert(recovery_start(&recovery, NULL, 1000));
    do {
        ck_assert(!recovery_look(&recovery, 1000, &done, &total));
        sched_yield();
    } while (done == 0);
}

static void let_it_end(void)
{
    atomic_store(&may_end, true);
    while (!recovery_look(&recovery, 1000, &done, &total)) {
        sched_yield();
    }
}

START_TEST(tells_how_far_it_is_until_it_is_over)
{
    ck_assert_uint_eq(done, TOTAL / 2);
    ck_assert_uint_eq(total, TOTAL);
    let_it_end();
    ck_assert_uint_eq(done, TOTAL);
    ck_assert_int_eq(recovery_join(&recovery, 2000), TG_OK);
    ck_assert_int_eq(registered, 0);
}
END_TEST

START_TEST(logs_progress_about_once_a_second)
{
    ck_assert_uint_eq(recovery.logged_ms, 1000);
    recovery_look(&recovery, 1999, &done, &total);
    ck_assert_uint_eq(recovery.logged_ms, 1000);
    recovery_look(&recovery, 2000, &done, &total);
    ck_assert_uint_eq(recovery.logged_ms, 2000);
    recovery_look(&recovery, 2001, &done, &total);
    ck_assert_uint_eq(recovery.logged_ms, 2000);
    let_it_end();
    ck_assert_int_eq(recovery_join(&recovery, 2002), TG_OK);
}
END_TEST

START_TEST(ends_when_it_is_cancelled)
{
    recovery_cancel(&recovery);
    ck_assert_int_eq(recovery_join(&recovery, 1000), TG_ERR_CLOSED);
    ck_assert_int_eq(recovery_join(&recovery, 1000), TG_ERR_CLOSED);
}
END_TEST

START_TEST(hands_on_why_it_failed)
{
    outcome = TG_ERR_CORRUPT;
    let_it_end();
    ck_assert_int_eq(recovery_join(&recovery, 1000), TG_ERR_CORRUPT);
}
END_TEST

START_TEST(joining_what_was_not_started_does_nothing)
{
    struct recovery none = {0};
    recovery_cancel(&none);
    ck_assert_int_eq(recovery_join(&none, 0), TG_OK);
    recovery_cancel(&recovery);
    ck_assert_int_eq(recovery_join(&recovery, 1000), TG_ERR_CLOSED);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("recovery");
    TCase *tc = tcase_create("recovery");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, tells_how_far_it_is_until_it_is_over);
    tcase_add_test(tc, logs_progress_about_once_a_second);
    tcase_add_test(tc, ends_when_it_is_cancelled);
    tcase_add_test(tc, hands_on_why_it_failed);
    tcase_add_test(tc, joining_what_was_not_started_does_nothing);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
