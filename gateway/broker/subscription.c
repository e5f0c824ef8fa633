#include "gateway/broker/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/hash.h"
#include "gateway/broker/core.h"
#include "gateway/broker/retained_walk.h"
#include "gateway/broker/session.h"
#include "gateway/broker/share.h"
#include "protocol/topic.h"

#define SET_CAPACITY_MIN 4u
#define INDEX_BYTES      256u /* of a filter in the index, beside its text */

/* --- the set: open addressing, linear probing, holes closed on removal -------------------------------------------------- */

static uint32_t hash_of(struct bytes full, uint64_t seed)
{
    return (uint32_t)tg_hash(full.data, full.len, seed);
}

static struct bytes full_of(const struct subscription *subscription)
{
    return (struct bytes){subscription->full, subscription->full_len};
}

struct subscription *subscription_find(const struct subscription_set *set, struct bytes full, uint64_t seed)
{
    if (set->count == 0) {
        return NULL;
    }
    uint32_t hash = hash_of(full, seed);
    uint32_t mask = set->capacity - 1;
    for (uint32_t at = hash & mask; set->slots[at] != NULL; at = (at + 1) & mask) {
        struct subscription *s = set->slots[at];
        if (s->hash == hash && bytes_equal(full_of(s), full)) {
            return s;
        }
    }
    return NULL;
}

static void set_insert(struct subscription_set *set, struct subscription *subscription)
{
    uint32_t mask = set->capacity - 1;
    uint32_t at = subscription->hash & mask;
    while (set->slots[at] != NULL) {
        at = (at + 1) & mask;
    }
    set->slots[at] = subscription;
}

/* Room for one more; at most three quarters are used. */
static bool set_reserve(struct subscription_set *set)
{
    if ((set->count + 1) * 4 <= set->capacity * 3) {
        return true;
    }
    struct subscription_set grown = {.capacity = set->capacity > 0 ? set->capacity * 2 : SET_CAPACITY_MIN,
                                     .count = set->count};
    grown.slots = calloc(grown.capacity, sizeof(struct subscription *));
    if (grown.slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < set->capacity; i++) {
        if (set->slots[i] != NULL) {
            set_insert(&grown, set->slots[i]);
        }
    }
    free(set->slots);
    *set = grown;
    return true;
}

static void set_take_out(struct subscription_set *set, const struct subscription *subscription)
{
    uint32_t mask = set->capacity - 1;
    uint32_t hole = subscription->hash & mask;
    while (set->slots[hole] != subscription) {
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; set->slots[at] != NULL; at = (at + 1) & mask) {
        uint32_t home = set->slots[at]->hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) { /* it may stand in the hole */
            set->slots[hole] = set->slots[at];
            hole = at;
        }
    }
    set->slots[hole] = NULL;
    set->count--;
}

struct subscription *subscription_next(const struct subscription_set *set, uint32_t *at)
{
    while (*at < set->capacity) {
        struct subscription *s = set->slots[(*at)++];
        if (s != NULL) {
            return s;
        }
    }
    return NULL;
}

/* --- a filter's receivers at this place ---------------------------------------------------------------------------------- */

static struct filter_receivers *receivers_of(const struct place *place, const struct subscription *subscription)
{
    return &subscription->filter->local[place->index];
}

static bool receivers_add(struct filter_receivers *receivers, struct subscription *subscription)
{
    if (receivers->capacity == 0 && receivers->count == 1) {
        struct subscription **many = malloc(4 * sizeof(struct subscription *));
        if (many == NULL) {
            return false;
        }
        many[0] = receivers->one;
        receivers->many = many;
        receivers->capacity = 4;
    } else if (receivers->capacity > 0 && receivers->count == receivers->capacity) {
        struct subscription **many =
            realloc(receivers->many, (size_t)receivers->capacity * 2 * sizeof(struct subscription *));
        if (many == NULL) {
            return false;
        }
        receivers->many = many;
        receivers->capacity *= 2;
    }
    subscription->slot = receivers->count++;
    if (receivers->capacity == 0) {
        receivers->one = subscription;
    } else {
        receivers->many[subscription->slot] = subscription;
    }
    return true;
}

static void receivers_remove(struct filter_receivers *receivers, const struct subscription *subscription)
{
    receivers->count--;
    if (receivers->capacity == 0) {
        receivers->one = NULL;
        return;
    }
    struct subscription *last = receivers->many[receivers->count];
    receivers->many[subscription->slot] = last;
    last->slot = subscription->slot;
    if (receivers->count == 0) {
        free(receivers->many);
        receivers->one = NULL;
        receivers->capacity = 0;
    }
}

static void publish_interest(struct place *place, const struct subscription *subscription)
{
    const struct filter_receivers *receivers = receivers_of(place, subscription);
    index_set_interest(place->broker->index, subscription->filter, place->index, receivers->count > 0,
                       receivers->durable_count > 0 || receivers->group_durable > 0);
}

static void count_durable(struct place *place, struct subscription *subscription, bool is_durable)
{
    if (subscription->is_durable == is_durable) {
        return;
    }
    struct filter_receivers *receivers = receivers_of(place, subscription);
    uint32_t *count = subscription->group != NULL ? &receivers->group_durable : &receivers->durable_count;
    *count += is_durable ? 1u : UINT32_MAX;
    subscription->is_durable = is_durable;
}

void subscription_count_full(struct subscription *subscription, bool is_full)
{
    if (subscription->is_full == is_full || (is_full && (subscription->qos == 0 || subscription->group != NULL))) {
        return;
    }
    subscription->is_full = is_full;
    atomic_fetch_add_explicit(&subscription->filter->full, is_full ? 1u : UINT32_MAX, memory_order_relaxed);
}

/* --- subscribing --------------------------------------------------------------------------------------------------------- */

static void count_subscription(struct place *place, const struct subscription *subscription, uint64_t n)
{
    /* The filter stands in the index, too, with a node for each level that nobody had yet. */
    uint64_t bytes = sizeof(*subscription) + 3 * (uint64_t)subscription->full_len + INDEX_BYTES;
    STATS_ADD(&place->stats, subscriptions, n);
    STATS_ADD(&place->stats, subscription_bytes, n * bytes);
    if (subscription->group != NULL) {
        STATS_ADD(&place->stats, shared_subscriptions, n);
    }
}

static void set_options(struct place *place, struct subscription *subscription,
                        const struct subscription_options *options)
{
    subscription->id = options->id;
    subscription->qos = options->qos;
    subscription->retain_handling = options->retain_handling;
    subscription->no_local = options->no_local;
    subscription->retain_as_published = options->retain_as_published;
    subscription->reads_some = options->reads_some;
    count_durable(place, subscription, options->is_durable && options->qos > 0);
    publish_interest(place, subscription);
}

/* Let SUBSCRIPTION, whose filter is known, be chosen by messages. @return false without memory. */
static bool attach(struct place *place, struct subscription *subscription, struct bytes share_name)
{
    if (share_name.len == 0) {
        return receivers_add(receivers_of(place, subscription), subscription);
    }
    if (share_acquire(place, subscription->filter, share_name, &subscription->group) != TG_OK) {
        return false;
    }
    if (!share_add(place, subscription)) {
        share_release(place, subscription->group, subscription->filter);
        return false;
    }
    receivers_of(place, subscription)->group_members++;
    return true;
}

static struct subscription *subscription_new(struct place *place, struct session *session, struct bytes full,
                                             struct handover *holding)
{
    struct topic_filter parsed;
    TG_ASSERT(topic_filter_parse(full, &parsed));
    struct subscription *subscription = calloc(1, sizeof(*subscription) + full.len);
    if (subscription == NULL) {
        return NULL;
    }
    subscription->session = session;
    subscription->holding = holding;
    subscription->hash = hash_of(full, place->broker->hash_seed);
    subscription->full_len = (uint16_t)full.len;
    memcpy(subscription->full, full.data, full.len);
    if (index_acquire(place->broker->index, parsed.filter, &subscription->filter) != TG_OK) {
        free(subscription);
        return NULL;
    }
    if (!attach(place, subscription, parsed.share_name)) {
        index_release(place->broker->index, subscription->filter);
        free(subscription);
        return NULL;
    }
    return subscription;
}

enum tg_err subscription_put(struct place *place, struct session *session, struct subscription_set *set,
                             struct bytes full, const struct subscription_options *options, struct subscription **out,
                             bool *existed)
{
    struct subscription *subscription = subscription_find(set, full, place->broker->hash_seed);
    bool found = subscription != NULL;
    if (!found) {
        if (!set_reserve(set)) {
            return TG_ERR_NO_MEMORY;
        }
        subscription = subscription_new(place, session, full, options->holding);
        if (subscription == NULL) {
            return TG_ERR_NO_MEMORY;
        }
        set_insert(set, subscription);
        set->count++;
        count_subscription(place, subscription, 1);
        if (subscription->group != NULL && options->holding == NULL) {
            session->shared_count++;
            share_update(place, subscription, session->had_room);
            session_update_room(place, session);
        }
    }
    set_options(place, subscription, options);
    if (options->holding == NULL) {
        subscription_count_full(subscription, session->is_full && options->qos > 0);
    }
    if (out != NULL) {
        *out = subscription;
    }
    if (existed != NULL) {
        *existed = found;
    }
    return TG_OK;
}

/* What was sent to this member stays with its session from now on. */
static void forget_member(struct session *session, const struct subscription *subscription)
{
    struct outgoing_ring *rings[] = {&session->outgoing.window, &session->outgoing.queue};
    for (size_t r = 0; r < 2; r++) {
        for (uint32_t at = 0; at < rings[r]->count; at++) {
            struct outgoing_entry *entry = outgoing_at(rings[r], at);
            if (entry->shared == subscription) {
                entry->shared = NULL;
            }
        }
    }
}

/* Take SUBSCRIPTION away from messages and free it; its set is the caller's business. */
static void destroy(struct place *place, struct subscription *subscription)
{
    struct session *session = subscription->session;
    struct filter_receivers *receivers = receivers_of(place, subscription);
    subscription_count_full(subscription, false);
    count_durable(place, subscription, false);
    count_subscription(place, subscription, (uint64_t)-1);
    if (subscription->group != NULL) {
        share_remove(place, subscription);
        receivers->group_members--;
        if (subscription->holding == NULL) {
            if (session->handover == NULL) { /* else what it was sent is the new place's member's already */
                forget_member(session, subscription);
            }
            session->shared_count--;
        }
    } else {
        receivers_remove(receivers, subscription);
    }
    publish_interest(place, subscription);
    retained_walk_drop(place, subscription);
    if (subscription->group != NULL) {
        share_release(place, subscription->group, subscription->filter);
    }
    index_release(place->broker->index, subscription->filter);
    free(subscription);
}

void subscription_remove(struct place *place, struct subscription_set *set, struct subscription *subscription)
{
    set_take_out(set, subscription);
    destroy(place, subscription);
}

void subscription_clear(struct place *place, struct subscription_set *set)
{
    uint32_t at = 0;
    for (struct subscription *s = subscription_next(set, &at); s != NULL; s = subscription_next(set, &at)) {
        destroy(place, s);
    }
    free(set->slots);
    *set = (struct subscription_set){0};
}

void subscription_set_durable(struct place *place, struct subscription_set *set, bool durable)
{
    uint32_t at = 0;
    for (struct subscription *s = subscription_next(set, &at); s != NULL; s = subscription_next(set, &at)) {
        count_durable(place, s, durable && s->qos > 0);
        publish_interest(place, s);
    }
}
