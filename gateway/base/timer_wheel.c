/* Eight levels of 64 slots. A timer stands at the level of the highest group of six bits in which its due time differs from
 * now, in the slot that this group names:
 *
 *      now  = ... 000010 110001        due differs first in the second group: level 1, slot 3
 *      due  = ... 000011 000111
 *
 * So all timers of a lower level are due before those of a higher one, and the lowest occupied slot of the lowest
 * occupied level is what comes next. When time reaches a slot, its timers fire or move to a lower level. Each timer moves at
 * most seven times. */
#include "gateway/base/timer_wheel.h"

#include <stdlib.h>

#define LEVELS    8u
#define SLOT_BITS 6u
#define SLOTS     (1u << SLOT_BITS)
#define SPAN_BITS (LEVELS * SLOT_BITS)

struct timer_wheel { /* owner: one thread */
    uint64_t now_ms;
    uint64_t occupied[LEVELS]; /* bit s: slots[level][s] is not empty */
    struct timer pending;      /* list heads: only next and prev are used */
    struct timer firing;
    struct timer slots[LEVELS][SLOTS];
};

static void list_init(struct timer *head)
{
    head->next = head;
    head->prev = head;
}

static void list_append(struct timer *head, struct timer *timer)
{
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
}

static void list_unlink(struct timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->next = NULL;
    timer->prev = NULL;
}

/* Move all of FROM to the end of TO. */
static void list_splice(struct timer *from, struct timer *to)
{
    if (from->next == from) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

struct timer_wheel *timer_wheel_new(uint64_t now_ms)
{
    struct timer_wheel *wheel = calloc(1, sizeof(*wheel));
    if (wheel == NULL) {
        return NULL;
    }
    wheel->now_ms = now_ms;
    list_init(&wheel->pending);
    list_init(&wheel->firing);
    for (unsigned level = 0; level < LEVELS; level++) {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            list_init(&wheel->slots[level][slot]);
        }
    }
    return wheel;
}

void timer_wheel_free(struct timer_wheel *wheel)
{
    free(wheel);
}

/* Put TIMER, which is in no list, where it belongs; what is due already goes to DUE. */
static void wheel_insert(struct timer_wheel *wheel, struct timer *timer, struct timer *due)
{
    if (timer->due_ms <= wheel->now_ms) {
        list_append(due, timer);
        return;
    }
    uint64_t differing = timer->due_ms ^ wheel->now_ms;
    unsigned level = LEVELS - 1;
    unsigned slot = SLOTS - 1; /* beyond the span: wait at its end, and look again there */
    if (differing >> SPAN_BITS == 0) {
        level = (63u - (unsigned)__builtin_clzll(differing)) / SLOT_BITS;
        slot = (unsigned)(timer->due_ms >> (level * SLOT_BITS)) & (SLOTS - 1);
    }
    list_append(&wheel->slots[level][slot], timer);
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

void timer_wheel_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (!timer_is_set(timer)) {
        return;
    }
    struct timer *head = timer->next == timer->prev ? timer->next : NULL; /* last one: its neighbour is the head */
    list_unlink(timer);
    if (head >= &wheel->slots[0][0] && head < &wheel->slots[0][0] + (size_t)LEVELS * SLOTS) {
        size_t at = (size_t)(head - &wheel->slots[0][0]);
        wheel->occupied[at / SLOTS] &= ~(UINT64_C(1) << (at % SLOTS));
    }
}

void timer_wheel_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms)
{
    timer_wheel_stop(wheel, timer);
    timer->due_ms = due_ms;
    wheel_insert(wheel, timer, &wheel->pending);
}

/* The slot that time reaches next: true, and when. */
static bool wheel_next_slot(const struct timer_wheel *wheel, unsigned *level, unsigned *slot, uint64_t *at_ms)
{
    for (unsigned l = 0; l < LEVELS; l++) {
        if (wheel->occupied[l] != 0) {
            unsigned s = (unsigned)__builtin_ctzll(wheel->occupied[l]);
            unsigned above = (l + 1) * SLOT_BITS;
            *level = l;
            *slot = s;
            *at_ms = (wheel->now_ms >> above << above) | (uint64_t)s << (l * SLOT_BITS);
            return true;
        }
    }
    return false;
}

static void wheel_fire(struct timer_wheel *wheel)
{
    while (wheel->firing.next != &wheel->firing) {
        struct timer *timer = wheel->firing.next;
        list_unlink(timer);
        timer->fire(timer);
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms)
{
    list_splice(&wheel->pending, &wheel->firing);
    wheel_fire(wheel);

    unsigned level;
    unsigned slot;
    uint64_t at_ms;
    while (wheel_next_slot(wheel, &level, &slot, &at_ms) && at_ms <= now_ms) {
        struct timer moving;
        list_init(&moving);
        list_splice(&wheel->slots[level][slot], &moving);
        wheel->occupied[level] &= ~(UINT64_C(1) << slot);
        wheel->now_ms = at_ms;
        while (moving.next != &moving) {
            struct timer *timer = moving.next;
            list_unlink(timer);
            wheel_insert(wheel, timer, &wheel->firing);
        }
        wheel_fire(wheel);
    }
    if (now_ms > wheel->now_ms) {
        wheel->now_ms = now_ms;
    }
}

uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel)
{
    unsigned level;
    unsigned slot;
    uint64_t at_ms;
    if (wheel->pending.next != &wheel->pending) {
        return wheel->now_ms;
    }
    return wheel_next_slot(wheel, &level, &slot, &at_ms) ? at_ms : UINT64_MAX;
}
