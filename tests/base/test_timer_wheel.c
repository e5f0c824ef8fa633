/* Claims about the timer wheel: never early, never missed, in order, and safe against what a fire function may do. */
#include "gateway/base/timer_wheel.h"

#include "tests/check_main.h"

struct probe {
    struct timer timer; /* first: fire functions cast */
    unsigned fired;
};

static struct timer_wheel *wheel;
static uint64_t now;
static uint64_t last_due;

static void count(struct timer *timer)
{
    struct probe *probe = (struct probe *)timer;
    ck_assert(!timer_is_set(timer));
    ck_assert_uint_ge(timer->due_ms, last_due);
    last_due = timer->due_ms;
    probe->fired++;
}

static void setup(void)
{
    now = 1000;
    last_due = 0;
    wheel = timer_wheel_new(now);
    ck_assert_ptr_nonnull(wheel);
}

static void teardown(void)
{
    timer_wheel_free(wheel);
}

START_TEST(fires_at_the_due_millisecond_and_not_before)
{
    static const uint64_t delays[] = {1, 63, 64, 65, 4095, 4096, 100000, UINT64_C(1) << 33};
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        struct probe probe = {0};
        timer_init(&probe.timer, count);
        timer_wheel_set(wheel, &probe.timer, now + delays[i]);
        timer_wheel_advance(wheel, now + delays[i] - 1);
        ck_assert_uint_eq(probe.fired, 0);
        ck_assert(timer_is_set(&probe.timer));
        timer_wheel_advance(wheel, now + delays[i]);
        ck_assert_uint_eq(probe.fired, 1);
        now += delays[i];
    }
}
END_TEST

START_TEST(fires_a_timer_set_in_the_past_at_the_next_advance)
{
    struct probe probe = {0};
    timer_init(&probe.timer, count);
    timer_wheel_set(wheel, &probe.timer, 5);
    ck_assert_uint_le(timer_wheel_next_ms(wheel), now);
    timer_wheel_advance(wheel, now);
    ck_assert_uint_eq(probe.fired, 1);
    ck_assert_uint_eq(timer_wheel_next_ms(wheel), UINT64_MAX);
}
END_TEST

START_TEST(forgets_a_stopped_timer)
{
    struct probe probe = {0};
    timer_init(&probe.timer, count);
    timer_wheel_set(wheel, &probe.timer, now + 10);
    timer_wheel_stop(wheel, &probe.timer);
    timer_wheel_stop(wheel, &probe.timer);
    ck_assert_uint_eq(timer_wheel_next_ms(wheel), UINT64_MAX);
    timer_wheel_advance(wheel, now + 100);
    ck_assert_uint_eq(probe.fired, 0);
}
END_TEST

static struct probe victim;

static void stop_victim(struct timer *timer)
{
    count(timer);
    timer_wheel_stop(wheel, &victim.timer);
    timer_wheel_set(wheel, timer, timer->due_ms); /* in the past: not before the next advance */
}

START_TEST(lets_a_fire_function_stop_its_neighbour_and_set_itself_again)
{
    struct probe first = {0};
    timer_init(&first.timer, stop_victim);
    timer_init(&victim.timer, count);
    victim.fired = 0;
    timer_wheel_set(wheel, &first.timer, now + 70);
    timer_wheel_set(wheel, &victim.timer, now + 70);
    timer_wheel_advance(wheel, now + 70);
    ck_assert_uint_eq(first.fired, 1);
    ck_assert_uint_eq(victim.fired, 0);
    timer_wheel_advance(wheel, now + 70);
    ck_assert_uint_eq(first.fired, 2);
    timer_wheel_stop(wheel, &first.timer);
}
END_TEST

/* Against a plain array of due times: after each advance exactly those have fired that are due, and next_ms never lies beyond
 * the earliest. */
START_TEST(agrees_with_a_plain_list_under_random_operations)
{
    enum { TIMERS = 200, STEPS = 20000 };
    static struct probe probes[TIMERS];
    static uint64_t due[TIMERS]; /* 0: not set */
    static unsigned expected[TIMERS];
    uint64_t random = 99;
    for (size_t i = 0; i < TIMERS; i++) {
        probes[i] = (struct probe){.fired = 0};
        timer_init(&probes[i].timer, count);
        due[i] = expected[i] = 0;
    }
    for (size_t step = 0; step < STEPS; step++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t i = (size_t)(random >> 40) % TIMERS;
        uint64_t amount = (random >> 20) % (UINT64_C(1) << ((random >> 56) % 20));
        switch ((random >> 33) % 4) {
        case 0:
        case 1:
            due[i] = now + 1 + amount;
            timer_wheel_set(wheel, &probes[i].timer, due[i]);
            break;
        case 2:
            due[i] = 0;
            timer_wheel_stop(wheel, &probes[i].timer);
            break;
        default:
            now += amount % 5000;
            timer_wheel_advance(wheel, now);
            break;
        }
        uint64_t earliest = UINT64_MAX;
        bool agrees = true; /* each ck_assert is a message to another process */
        for (size_t t = 0; t < TIMERS; t++) {
            if (due[t] != 0 && due[t] <= now) {
                due[t] = 0;
                expected[t]++;
            }
            agrees &= probes[t].fired == expected[t];
            if (due[t] != 0 && due[t] < earliest) {
                earliest = due[t];
            }
        }
        ck_assert_msg(agrees, "step %zu: not exactly those have fired that were due", step);
        ck_assert_uint_le(timer_wheel_next_ms(wheel), earliest);
        ck_assert((timer_wheel_next_ms(wheel) == UINT64_MAX) == (earliest == UINT64_MAX));
    }
}
END_TEST

static Suite *timer_wheel_suite(void)
{
    Suite *suite = suite_create("timer_wheel");
    TCase *tcase = tcase_create("wheel");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, fires_at_the_due_millisecond_and_not_before);
    tcase_add_test(tcase, fires_a_timer_set_in_the_past_at_the_next_advance);
    tcase_add_test(tcase, forgets_a_stopped_timer);
    tcase_add_test(tcase, lets_a_fire_function_stop_its_neighbour_and_set_itself_again);
    tcase_add_test(tcase, agrees_with_a_plain_list_under_random_operations);
    suite_add_tcase(suite, tcase);
    return suite;
}

CHECK_MAIN(timer_wheel_suite)
