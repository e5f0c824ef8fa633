#include "gateway/broker/place.h"

#include <stdlib.h>

#include "gateway/access/access.h"
#include "gateway/base/container.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/deliver.h"
#include "gateway/broker/directory.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/place_init.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/recover.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/retained_walk.h"
#include "gateway/broker/route.h"
#include "gateway/broker/session.h"
#include "gateway/broker/subscription.h"
#include "gateway/store/store.h"
#include "protocol/reason.h"

#define ROUTE_CACHE_ENTRIES 4096u
#define MAIL_PER_TURN       4096u
#define MEMORY_CHECK_MS     100u
#define SWEEP_MS            1000u
#define SWEEP_BUSY_MS       20u /* while there is something to drop */

/* --- timers ------------------------------------------------------------------------------------------------------------- */

static void on_memory_timer(struct timer *timer)
{
    struct place *place = TG_CONTAINER_OF(timer, struct place, memory_timer);
    if (broker_is_memory_short(place->broker)) {
        timer_wheel_set(place->wheel, timer, place->now_ms + MEMORY_CHECK_MS);
        return;
    }
    place->memory_short = false;
    client_unpause_all(place, CLIENT_PAUSE_MEMORY);
}

static void on_position_timer(struct timer *timer)
{
    kept_put_positions(TG_CONTAINER_OF(timer, struct place, position_timer));
}

static void on_full_timer(struct timer *timer)
{
    struct place *place = TG_CONTAINER_OF(timer, struct place, full_timer);
    if (session_sweep_full(place)) {
        timer_wheel_set(place->wheel, timer, place->now_ms + SESSION_SWEEP_MS);
    }
}

static void on_sweep_timer(struct timer *timer)
{
    struct place *place = TG_CONTAINER_OF(timer, struct place, sweep_timer);
    size_t dropped = retained_sweep(place->broker->retained, place->now_ms, place->port);
    timer_wheel_set(place->wheel, timer, place->now_ms + (dropped > 0 ? SWEEP_BUSY_MS : SWEEP_MS));
}

/* --- birth and death ---------------------------------------------------------------------------------------------------- */

struct place *place_new(struct broker *broker, unsigned index, uint64_t now_ms, uint64_t wall_ms)
{
    struct place *place = aligned_alloc(_Alignof(struct place), sizeof(*place));
    if (place == NULL) {
        return NULL;
    }
    *place = (struct place){
        .broker = broker,
        .settings = atomic_load(&broker->settings),
        .now_ms = now_ms,
        .wall_ms = wall_ms,
        .index = index,
        .access_generation = atomic_load(&broker->access->generation),
        .classed_shards = SIZE_MAX,
        .pool = outq_pool_new(),
        .wheel = timer_wheel_new(now_ms),
        .cache = route_cache_new(broker->index, ROUTE_CACHE_ENTRIES),
        .gather = gather_new(),
    };
    access_port_init(&place->access_port, index, broker->wake, broker->wake_arg);
    TAILQ_INIT(&place->walks);
    TAILQ_INIT(&place->waiting);
    TAILQ_INIT(&place->positions);
    timer_init(&place->position_timer, on_position_timer);
    if (broker->store->is_durable) {
        place->port = store_port_new(broker->store, index);
    }
    timer_init(&place->memory_timer, on_memory_timer);
    timer_init(&place->full_timer, on_full_timer);
    timer_init(&place->sweep_timer, on_sweep_timer);
    if (place->pool == NULL || place->wheel == NULL || place->cache == NULL || place->gather == NULL ||
        (broker->store->is_durable && place->port == NULL) || (index == 0 && !sys_place_init(place))) {
        place_free(place);
        return NULL;
    }
    if (index == 0) {
        timer_wheel_set(place->wheel, &place->sweep_timer, now_ms + SWEEP_MS);
    }
    return place;
}

void place_free(struct place *place)
{
    if (place == NULL) {
        return;
    }
    access_port_run(&place->access_port); /* answers for those who are not there any more */
    sys_place_fini(place);
    route_fini(place);
    kept_fini(place);
    recover_drop(place);
    store_port_free(place->port);
    link_table_fini(&place->groups);
    free(place->full);
    gather_free(place->gather);
    route_cache_free(place->cache);
    timer_wheel_free(place->wheel);
    outq_pool_free(place->pool);
    free(place);
}

void place_flush_port(struct place *place)
{
    if (place->port != NULL) {
        store_port_flush(place->port);
    }
}

/* --- a turn ------------------------------------------------------------------------------------------------------------- */

void place_set_time(struct place *place, uint64_t now_ms, uint64_t wall_ms)
{
    place->now_ms = now_ms;
    place->wall_ms = wall_ms;
    place->access_port.now_ms = now_ms;
    const struct broker_settings *settings = tg_rcu_dereference(place->broker->settings);
    if (settings != place->settings) {
        place->settings = settings;
        sys_place_reconfigure(place);
    }
}

static void take_drained(struct place *place)
{
    if (atomic_load_explicit(&place->drained, memory_order_relaxed) == 0) {
        return;
    }
    place->congested &= ~atomic_exchange(&place->drained, 0);
    client_unpause_all(place, CLIENT_PAUSE_CONGESTED); /* who publishes to one that is still full is paused again */
}

bool place_receive_mail(struct place *place)
{
    access_port_run(&place->access_port);
    for (unsigned i = 0; i < MAIL_PER_TURN; i++) {
        struct mail *mail = mailbox_take(&place->mailbox);
        if (mail == NULL) {
            take_drained(place);
            return false;
        }
        mail->receive(place, mail);
    }
    return true;
}

static void classify(struct place *place, struct session *session, void *arg)
{
    (void)arg;
    session_classify(place, session);
    if (session->client != NULL && !session_is_welcome(place, session)) {
        session->client->unwelcome = true; /* nobody is disconnected while the directory is locked */
        client_touch(session->client);
    }
}

/* The rules have changed: look at every subscription here again, a shard of the directory a turn. @return true if there is more */
static bool classify_again(struct place *place)
{
    uint64_t generation = atomic_load_explicit(&place->broker->access->generation, memory_order_acquire);
    if (generation != place->access_generation) {
        place->access_generation = generation;
        place->classed_shards = 0;
    }
    if (place->classed_shards == SIZE_MAX) {
        return false;
    }
    if (directory_visit(place, &place->classed_shards, classify, NULL)) {
        return true;
    }
    place->classed_shards = SIZE_MAX;
    return false;
}

/* Disconnect those whose acknowledgements have all been sent. */
static void drain_clients(struct place *place)
{
    struct client *client = place->clients;
    while (client != NULL) {
        struct client *next = client->next;
        if (client->parked == NULL) {
            client_close(client, REASON_SERVER_SHUTTING_DOWN, "server is shutting down");
        }
        client = next;
    }
}

/* CLIENT may be gone afterwards. */
static void finish_turn(struct client *client)
{
    if (client->doomed) { /* while it counts as dirty, so that it is not put in the list again */
        client->doomed = false;
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
    }
    if (client->unwelcome) {
        client->unwelcome = false;
        client_close(client, REASON_NOT_AUTHORIZED, "the rules of who may connect have changed");
    }
    client->is_dirty = false;
    const struct client_transport *ops = client->ops;
    void *transport = client->transport;
    bool close = client->state == CLIENT_CLOSING && !client->close_asked;
    if (client->out.len > 0 && !client->blocked && !client->close_asked) {
        ops->flush(transport);
    }
    if (client->session != NULL) {
        session_tell_room(client->place, client->session);
    }
    if (client->is_local) {
        local_end_turn(client);
    }
    if (close) {
        client->close_asked = true;
        ops->close(transport);
    }
}

static void flush_clients(struct place *place)
{
    struct client *client = place->dirty;
    place->dirty = NULL;
    while (client != NULL) {
        struct client *next = client->dirty_next;
        finish_turn(client);
        client = next;
    }
}

bool place_end_turn(struct place *place)
{
    timer_wheel_advance(place->wheel, place->now_ms);
    if (atomic_load_explicit(&place->store_moved, memory_order_relaxed)) {
        atomic_store(&place->store_moved, false);
        reply_release_parked(place);
        place_release_waits(place);
        kept_resume_waiting(place);
        if (place->store_busy && store_admit(place->broker->store, 0) != STORE_BUSY) {
            place->store_busy = false;
            client_unpause_all(place, CLIENT_PAUSE_STORE);
        }
    }
    bool more = classify_again(place);
    more |= retained_walk_run(place);
    if (place->draining) {
        drain_clients(place);
    }
    route_flush(place);
    flush_clients(place);
    route_flush(place); /* a connection that ended may have left a will */
    place_flush_port(place);
    return more || place->dirty != NULL ||
           !TAILQ_EMPTY(&place->walks); /* what has ended a turn may have begun something */
}

uint64_t place_next_ms(const struct place *place)
{
    return timer_wheel_next_ms(place->wheel);
}

void place_drain(struct place *place)
{
    place->draining = true;
    for (struct client *client = place->clients; client != NULL; client = client->next) {
        client_set_paused(client, CLIENT_PAUSE_DRAIN, true);
    }
}

bool place_is_drained(const struct place *place)
{
    return place->clients == NULL;
}
