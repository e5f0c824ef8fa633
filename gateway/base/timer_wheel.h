/**
 * Timers without a clock: a hierarchical wheel that is told what time it is.
 *
 * Setting and stopping a timer is O(1) and allocates nothing (the timer is embedded in its owner); an idle
 * wheel costs nothing. Time is monotonic milliseconds, given by the caller, so tests turn it by hand. A timer never
 * fires early; it fires at the first timer_wheel_advance() whose now_ms has reached its due_ms. Timers due at
 * different milliseconds fire in order; equal ones in any order.
 *
 * A wheel and its timers belong to one thread.
 */
#ifndef GATEWAY_BASE_TIMER_WHEEL_H
#define GATEWAY_BASE_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

struct timer_wheel;
struct timer;

typedef void (*timer_fire_fn)(struct timer *timer);

struct timer {
    struct timer *next; /* NULL: not set */
    struct timer *prev;
    uint64_t due_ms; /* monotonic */
    timer_fire_fn fire;
};

/** Make TIMER ready, not set; FIRE is called from timer_wheel_advance(), after the timer has become unset. */
static inline void timer_init(struct timer *timer, timer_fire_fn fire)
{
    *timer = (struct timer){.fire = fire};
}

/** True while TIMER waits to fire. */
static inline bool timer_is_set(const struct timer *timer)
{
    return timer->next != 0;
}

/** A wheel whose time is NOW_MS. Returns owned, NULL without memory. */
struct timer_wheel *timer_wheel_new(uint64_t now_ms);

/** Free WHEEL; timers still set are forgotten, not fired. NULL is a no-op. */
void timer_wheel_free(struct timer_wheel *wheel);

/** Let TIMER fire at DUE_MS (in the past: at the next advance). A timer that is set already is moved. Borrows TIMER until
 * it fires or is stopped. */
void timer_wheel_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);

/** Unset TIMER; a no-op if it is not set. */
void timer_wheel_stop(struct timer_wheel *wheel, struct timer *timer);

/**
 * Move time to NOW_MS (never backwards) and fire what is due. A fire function may set and stop any timer,
 * also itself, and free its owner.
 */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

/**
 * A time before which advancing fires nothing: exact, or (for far timers) earlier. UINT64_MAX if no timer is set.
 * So a loop may sleep until then.
 */
uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel);

#endif
