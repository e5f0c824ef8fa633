/* See worker.h for the turn. */
#include "gateway/net/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/config.h"
#include "gateway/base/assert.h"
#include "gateway/base/log.h"
#include "gateway/base/rcu.h"
#include "gateway/broker/broker.h"
#include "gateway/broker/place.h"
#include "gateway/net/listener.h"

#define MS_PER_S 1000.0

static uint64_t clock_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint64_t system_monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

static uint64_t system_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

const struct worker_clock worker_system_clock = {system_monotonic_ms, system_wall_ms};

/* Finer than the clock that the core is told: for measuring. */
static uint64_t precise_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const uint64_t worker_turn_bounds_ns[WORKER_TURN_BOUNDS] = {
    100000, 500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000, 100000000, 1000000000,
};

/* --- the turn of one worker -------------------------------------------------------------------------------------- */

static void set_time(struct worker *worker)
{
    worker->now_ms = worker->workers->clock.monotonic_ms();
    place_set_time(worker->place, worker->now_ms, worker->workers->clock.wall_ms());
}

/* libev is about to wait for events. */
static void loop_releases(struct ev_loop *loop) EV_NOEXCEPT
{
    const struct worker *worker = ev_userdata(loop);
    if (worker->may_sleep) {
        tg_rcu_offline();
    } else {
        tg_rcu_quiescent();
    }
}

/* libev has waited, and will handle what has come: everything in this turn happens now. */
static void loop_acquires(struct ev_loop *loop) EV_NOEXCEPT
{
    struct worker *worker = ev_userdata(loop);
    if (worker->may_sleep) {
        tg_rcu_online();
    }
    worker->turn++;
    worker->woke_ns = precise_ns();
    set_time(worker);
}

static void on_wake(struct ev_loop *loop, ev_async *wake, int events)
{
    struct worker *worker = wake->data;
    (void)loop;
    (void)events;
    worker->is_woken = true;
}

static void on_alarm(struct ev_loop *loop, ev_timer *alarm, int events)
{
    struct worker *worker = alarm->data;
    (void)loop;
    (void)events;
    worker->alarm_ms = UINT64_MAX; /* it has only to end the sleep */
}

/* Set the alarm for what is due next. It counts from the beginning of the turn, in libev as here. */
static void set_alarm(struct worker *worker)
{
    uint64_t due_ms = place_next_ms(worker->place);
    uint64_t sweep_ms = connections_sweep_due_ms(worker);
    if (sweep_ms < due_ms) {
        due_ms = sweep_ms;
    }
    if (due_ms == worker->alarm_ms) {
        return;
    }
    worker->alarm_ms = due_ms;
    ev_timer_stop(worker->loop, &worker->alarm);
    if (due_ms != UINT64_MAX) {
        double after_ms = due_ms > worker->now_ms ? (double)(due_ms - worker->now_ms) : 0.0;
        ev_timer_set(&worker->alarm, after_ms / MS_PER_S, 0.0);
        ev_timer_start(worker->loop, &worker->alarm);
    }
}

static void start_listeners(struct worker *worker, bool for_guest)
{
    for (struct listener *listener = worker->listeners; listener != NULL; listener = listener->next) {
        if (listener->is_for_guest == for_guest) {
            listener_start(listener, worker);
        }
    }
}

static void close_listeners(struct worker *worker)
{
    for (struct listener *listener = worker->listeners; listener != NULL; listener = listener->next) {
        listener_close(listener);
    }
}

static bool guest_turn(struct worker *worker)
{
    const struct worker_guest *guest = worker->workers->guest;
    return guest != NULL && guest->turn(guest->arg, worker);
}

static void follow_phase(struct worker *worker)
{
    int phase = atomic_load_explicit(&worker->workers->phase, memory_order_acquire);
    if (phase == WORKERS_RUN && !worker->is_open) {
        worker->is_open = true;
        start_listeners(worker, false);
    }
    if (phase == WORKERS_DRAIN && !worker->is_draining) {
        worker->is_draining = true;
        const struct worker_guest *guest = worker->workers->guest;
        close_listeners(worker);
        if (guest != NULL) {
            guest->drain(guest->arg, worker);
        }
        place_drain(worker->place);
    }
}

static void say_if_drained(struct worker *worker)
{
    if (worker->is_draining && place_is_drained(worker->place) &&
        atomic_load_explicit(&worker->connections, memory_order_relaxed) == 0) {
        atomic_store_explicit(&worker->is_drained, true, memory_order_release);
    }
}

/* One writer: a load and a store do. */
static void add_relaxed(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static void count_turn(struct worker *worker)
{
    uint64_t took_ns = precise_ns() - worker->woke_ns;
    size_t i = 0;
    while (i < WORKER_TURN_BOUNDS && took_ns > worker_turn_bounds_ns[i]) {
        i++;
    }
    add_relaxed(&worker->durations.counts[i], 1);
    add_relaxed(&worker->durations.busy_ns, took_ns);
}

static void take_turn(struct worker *worker)
{
    ev_run(worker->loop, worker->may_sleep ? EVRUN_ONCE : EVRUN_NOWAIT);
    if (worker->is_woken) {
        follow_phase(worker);
        connections_start_posted(worker);
    }
    if (worker->is_woken || worker->mail_is_left) {
        worker->is_woken = false;
        worker->mail_is_left = place_receive_mail(worker->place);
    }
    if (worker->now_ms >= connections_sweep_due_ms(worker)) {
        connections_sweep(worker);
    }
    connections_end(worker);
    guest_turn(worker);
    bool work_is_left = place_end_turn(worker->place);
    bool any_ended = connections_end(worker);
    if (guest_turn(worker) || any_ended) {
        work_is_left = place_end_turn(worker->place); /* wills of those that have ended, room for others */
    }
    worker->may_sleep = !work_is_left && !worker->mail_is_left && TAILQ_EMPTY(&worker->lists[CONNECTION_ENDED]);
    say_if_drained(worker);
    set_alarm(worker);
    count_turn(worker);
    atomic_fetch_add_explicit(&worker->turns, 1, memory_order_relaxed);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    tg_rcu_register_thread();
    set_time(worker);
    worker->swept_ms = worker->now_ms;
    start_listeners(worker, true);
    follow_phase(worker);
    while (atomic_load_explicit(&worker->workers->phase, memory_order_acquire) != WORKERS_STOP) {
        take_turn(worker);
    }
    close_listeners(worker);
    connections_end_all(worker);
    if (worker->workers->guest != NULL) {
        worker->workers->guest->stop(worker->workers->guest->arg, worker);
    }
    tg_rcu_unregister_thread();
    return NULL;
}

/* --- one worker -------------------------------------------------------------------------------------------------- */

static bool worker_init(struct worker *worker, struct workers *workers, unsigned index)
{
    worker->workers = workers;
    worker->index = index;
    worker->alarm_ms = UINT64_MAX;
    for (unsigned state = 0; state < CONNECTION_STATES; state++) {
        TAILQ_INIT(&worker->lists[state]);
    }
    worker->buffer = malloc(WORKER_BUFFER_BYTES);
    worker->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (worker->buffer == NULL || worker->loop == NULL) {
        return false;
    }
    ev_set_userdata(worker->loop, worker);
    ev_set_loop_release_cb(worker->loop, loop_releases, loop_acquires);
    ev_async_init(&worker->wake, on_wake);
    ev_set_priority(&worker->wake, WORKER_PRIORITY);
    worker->wake.data = worker;
    ev_async_start(worker->loop, &worker->wake);
    ev_timer_init(&worker->alarm, on_alarm, 0.0, 0.0);
    ev_set_priority(&worker->alarm, WORKER_PRIORITY);
    worker->alarm.data = worker;
    return true;
}

static void worker_fini(struct worker *worker)
{
    while (worker->listeners != NULL) {
        struct listener *listener = worker->listeners;
        worker->listeners = listener->next;
        listener_free(listener);
    }
    if (worker->loop != NULL) {
        ev_loop_destroy(worker->loop);
    }
    free(worker->buffer);
}

/* --- all workers ------------------------------------------------------------------------------------------------- */

struct workers *workers_new(unsigned count, const struct worker_clock *clock)
{
    struct workers *workers = calloc(1, sizeof(*workers));
    if (workers == NULL) {
        return NULL;
    }
    workers->clock = *clock;
    workers->turns_seen = calloc(count, sizeof(*workers->turns_seen));
    workers->worker = aligned_alloc(_Alignof(struct worker), count * sizeof(*workers->worker));
    if (workers->turns_seen == NULL || workers->worker == NULL) {
        goto fail;
    }
    memset(workers->worker, 0, count * sizeof(*workers->worker));
    for (unsigned i = 0; i < count; i++) {
        workers->count++;
        if (!worker_init(&workers->worker[i], workers, i)) {
            goto fail;
        }
    }
    return workers;
fail:
    workers_free(workers);
    return NULL;
}

void workers_free(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    for (unsigned i = 0; i < workers->count; i++) {
        worker_fini(&workers->worker[i]);
    }
    free(workers->worker);
    free(workers->turns_seen);
    free(workers);
}

void workers_add_listener(struct workers *workers, struct listener *listener)
{
    /* The worker that has the fewest of them so far. */
    struct worker *fewest = &workers->worker[0];
    size_t fewest_count = SIZE_MAX;
    for (unsigned i = 0; i < workers->count; i++) {
        size_t count = 0;
        for (const struct listener *each = workers->worker[i].listeners; each != NULL; each = each->next) {
            count++;
        }
        if (count < fewest_count) {
            fewest = &workers->worker[i];
            fewest_count = count;
        }
    }
    listener->next = fewest->listeners;
    fewest->listeners = listener;
}

void workers_set_guest(struct workers *workers, const struct worker_guest *guest, int descriptors)
{
    workers->guest = guest;
    workers->guest_descriptors = descriptors;
}

void workers_set_limits(struct workers *workers, const struct config_limits *limits)
{
    atomic_store_explicit(&workers->write_stall_timeout_ms, limits->write_stall_timeout_ms, memory_order_relaxed);
    atomic_store_explicit(&workers->connections_max, limits->connections, memory_order_relaxed);
}

enum tg_err workers_start(struct workers *workers, struct broker *broker)
{
    TG_ASSERT(broker_places(broker) == workers->count);
    workers->broker = broker;
    for (unsigned i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->worker[i];
        worker->place = broker_place(broker, i);
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            workers_stop(workers);
            return TG_ERR_NO_MEMORY;
        }
        worker->has_thread = true;
    }
    return TG_OK;
}

void workers_wake(void *workers, unsigned index)
{
    struct worker *worker = &((struct workers *)workers)->worker[index];
    ev_async_send(worker->loop, &worker->wake);
}

static void set_phase(struct workers *workers, enum workers_phase phase)
{
    atomic_store_explicit(&workers->phase, (int)phase, memory_order_release);
    for (unsigned i = 0; i < workers->count; i++) {
        workers_wake(workers, i);
    }
}

void workers_hold(struct workers *workers)
{
    atomic_store_explicit(&workers->phase, (int)WORKERS_HOLD, memory_order_relaxed);
}

void workers_release(struct workers *workers)
{
    if (atomic_load_explicit(&workers->phase, memory_order_relaxed) == WORKERS_HOLD) {
        set_phase(workers, WORKERS_RUN);
    }
}

void workers_drain(struct workers *workers)
{
    set_phase(workers, WORKERS_DRAIN);
}

bool workers_are_drained(const struct workers *workers)
{
    for (unsigned i = 0; i < workers->count; i++) {
        if (!atomic_load_explicit(&workers->worker[i].is_drained, memory_order_acquire)) {
            return false;
        }
    }
    return true;
}

bool workers_have_moved(struct workers *workers)
{
    bool all = true;
    for (unsigned i = 0; i < workers->count; i++) {
        uint64_t turns = atomic_load_explicit(&workers->worker[i].turns, memory_order_relaxed);
        all = all && turns != workers->turns_seen[i];
        workers->turns_seen[i] = turns;
        workers_wake(workers, i);
    }
    return all;
}

void workers_stop(struct workers *workers)
{
    set_phase(workers, WORKERS_STOP);
    for (unsigned i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->worker[i];
        if (worker->has_thread) {
            pthread_join(worker->thread, NULL);
            worker->has_thread = false;
        }
    }
    for (unsigned i = 0; i < workers->count; i++) {
        connections_end_all(&workers->worker[i]); /* dealt by one that went on a little longer */
    }
}

struct worker *workers_least_loaded(struct workers *workers, struct worker *favourite)
{
    struct worker *best = favourite;
    uint32_t best_count = atomic_load_explicit(&favourite->connections, memory_order_relaxed);
    for (unsigned i = 0; i < workers->count; i++) {
        uint32_t count = atomic_load_explicit(&workers->worker[i].connections, memory_order_relaxed);
        if (count < best_count) {
            best = &workers->worker[i];
            best_count = count;
        }
    }
    return best;
}
