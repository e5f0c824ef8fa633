#include "gateway/broker/broker.h"

#include <stdlib.h>
#include <string.h>

#include "config/memory.h"
#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/base/hash.h"
#include "gateway/broker/core.h"
#include "gateway/broker/directory.h"
#include "gateway/broker/place_init.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/retained.h"
#include "gateway/broker/route.h"
#include "gateway/broker/session.h"
#include "gateway/store/store.h"

#define LAST_ROUNDS 3u /* what is done at last may be the reason for something else */

/* --- settings ----------------------------------------------------------------------------------------------------------- */

static struct broker_settings *settings_new(const struct config *config)
{
    struct broker_settings *settings = calloc(1, sizeof(*settings));
    if (settings == NULL) {
        return NULL;
    }
    settings->limits = config->limits;
    settings->memory_bytes = memory_limit_bytes(&config->limits);
    settings->sys_interval_s = config->sys_interval_s;
    size_t len = strlen(config->response_information);
    TG_ASSERT(len < sizeof(settings->response_information));
    memcpy(settings->response_information, config->response_information, len);
    settings->response_information_len = (uint16_t)len;
    return settings;
}

static void settings_free(struct tg_rcu_head *head)
{
    free(TG_CONTAINER_OF(head, struct broker_settings, rcu));
}

void broker_reload(struct broker *broker, const struct config *config)
{
    struct broker_settings *settings = settings_new(config);
    if (settings == NULL) {
        return; /* the old ones stay in force */
    }
    struct broker_settings *old = atomic_exchange(&broker->settings, settings);
    retained_set_limits(broker->retained, settings->limits.retained_messages, settings->limits.retained_bytes);
    tg_rcu_call(&old->rcu, settings_free);
    for (unsigned p = 0; p < broker->place_count; p++) {
        broker->wake(broker->wake_arg, p);
    }
}

/* --- birth and death ---------------------------------------------------------------------------------------------------- */

/* The store has moved: every place looks at what it has parked. */
static void on_store_progress(void *arg)
{
    struct broker *broker = arg;
    for (unsigned p = 0; p < broker->place_count; p++) {
        atomic_store(&broker->places[p]->store_moved, true);
        broker->wake(broker->wake_arg, p);
    }
}

struct broker *broker_new(const struct config *config, unsigned places, const struct broker_env *env)
{
    TG_ASSERT(places >= 1 && places <= INDEX_PLACES_MAX);
    struct broker *broker = calloc(1, sizeof(*broker) + places * sizeof(struct place *));
    if (broker == NULL) {
        return NULL;
    }
    broker->store = env->store;
    broker->access = env->access;
    broker->wake = env->wake;
    broker->wake_arg = env->wake_arg;
    broker->hash_seed = tg_hash_seed_new();
    broker->started_ms = env->now_ms;
    broker->started_wall_ms = env->wall_ms;
    struct broker_settings *settings = settings_new(config);
    atomic_init(&broker->settings, settings);
    broker->directory = directory_new();
    broker->index = index_new(places, broker->hash_seed, NULL, NULL);
    broker->retained = retained_new(config->limits.retained_messages, config->limits.retained_bytes, broker->hash_seed);
    if (settings == NULL || broker->directory == NULL || broker->index == NULL || broker->retained == NULL) {
        broker_free(broker);
        return NULL;
    }
    for (unsigned p = 0; p < places; p++) {
        broker->places[p] = place_new(broker, p, env->now_ms, env->wall_ms);
        if (broker->places[p] == NULL) {
            broker_free(broker);
            return NULL;
        }
        broker->place_count = p + 1;
    }
    broker->store->on_progress_arg = broker;
    broker->store->on_progress = on_store_progress;
    return broker;
}

/* Let moves that are under way come to their end. */
static void receive_all_mail(struct broker *broker)
{
    bool again = true;
    while (again) {
        again = false;
        for (unsigned p = 0; p < broker->place_count; p++) {
            struct place *place = broker->places[p];
            TG_ASSERT(place != NULL);
            struct mail *mail = mailbox_take(&place->mailbox);
            for (; mail != NULL; mail = mailbox_take(&place->mailbox)) {
                again = true;
                mail->receive(place, mail);
            }
            again |= place->batches_open != 0;
            route_flush(place);
        }
    }
}

void broker_free(struct broker *broker)
{
    if (broker == NULL) {
        return;
    }
    for (unsigned round = 0; round < LAST_ROUNDS; round++) {
        receive_all_mail(broker); /* what the store has read, too */
        for (unsigned p = 0; p < broker->place_count; p++) {
            place_release_waits(broker->places[p]);
            kept_put_positions(broker->places[p]);
            place_flush_port(broker->places[p]);
        }
        broker->store->engine->settle(broker->store);
    }
    broker->store->on_progress = NULL;
    receive_all_mail(broker);
    directory_free(broker->directory);
    for (unsigned p = 0; p < broker->place_count; p++) {
        place_free(broker->places[p]);
    }
    tg_rcu_barrier();
    retained_free(broker->retained);
    index_free(broker->index);
    link_table_fini(&broker->groups);
    free(atomic_load(&broker->settings));
    free(broker);
}

struct place *broker_place(struct broker *broker, unsigned index)
{
    return broker->places[index];
}

unsigned broker_places(const struct broker *broker)
{
    return broker->place_count;
}

/* --- what there is -------------------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(struct stats) % sizeof(_Atomic uint64_t) == 0, "counters and nothing else");

void broker_sum_stats(const struct broker *broker, struct stats *sum)
{
    enum { COUNTERS = sizeof(struct stats) / sizeof(_Atomic uint64_t) };
    memset(sum, 0, sizeof(*sum));
    _Atomic uint64_t *to = (_Atomic uint64_t *)sum;
    for (unsigned p = 0; p < broker->place_count; p++) {
        const _Atomic uint64_t *from = (const _Atomic uint64_t *)&broker->places[p]->stats;
        for (unsigned i = 0; i < COUNTERS; i++) {
            uint64_t so_far = atomic_load_explicit(&to[i], memory_order_relaxed);
            atomic_store_explicit(&to[i], so_far + atomic_load_explicit(&from[i], memory_order_relaxed),
                                  memory_order_relaxed);
        }
    }
}

size_t broker_connections(const struct broker *broker)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < broker->place_count; p++) {
        sum += atomic_load_explicit(&broker->places[p]->stats.clients_connected, memory_order_relaxed);
    }
    return (size_t)sum;
}

size_t broker_retained(const struct broker *broker, size_t *bytes)
{
    *bytes = retained_bytes(broker->retained);
    return retained_count(broker->retained);
}

size_t broker_mailbox_bytes(const struct broker *broker, unsigned index)
{
    return atomic_load_explicit(&broker->places[index]->mailbox.charged, memory_order_relaxed);
}

size_t broker_memory(const struct broker *broker)
{
    uint64_t sum = retained_bytes(broker->retained);
    for (unsigned p = 0; p < broker->place_count; p++) {
        const struct stats *stats = &broker->places[p]->stats;
        sum += atomic_load_explicit(&stats->queued_bytes, memory_order_relaxed) -
               atomic_load_explicit(&stats->unloaded_bytes, memory_order_relaxed) +
               atomic_load_explicit(&stats->input_bytes, memory_order_relaxed) +
               atomic_load_explicit(&stats->subscription_bytes, memory_order_relaxed) +
               atomic_load_explicit(&stats->sessions, memory_order_relaxed) * sizeof(struct session) +
               atomic_load_explicit(&broker->places[p]->mailbox.charged, memory_order_relaxed);
    }
    return (size_t)sum;
}

bool broker_is_memory_short(const struct broker *broker)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): clang 14 loads no atomic member of a const struct */
    const struct broker_settings *settings = tg_rcu_dereference(((struct broker *)(uintptr_t)broker)->settings);
    return broker_memory(broker) > settings->memory_bytes;
}
