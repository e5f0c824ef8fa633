#include "gateway/broker/share.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/base/hash.h"
#include "gateway/broker/core.h"
#include "gateway/broker/deliver.h"
#include "gateway/broker/index.h"
#include "gateway/broker/route.h"
#include "gateway/broker/subscription.h"

#define NOT_A_MEMBER UINT32_MAX /* subscription->slot after share_remove() */

/* --- groups: on their filter's list for readers, and in a table by filter and name, because clients choose how many there are ----- */

static uint64_t hash_of_name(const struct broker *broker, const struct filter *filter, struct bytes name)
{
    return tg_hash(name.data, name.len, broker->hash_seed ^ (uint64_t)(uintptr_t)filter);
}

static struct share_group *group_new(struct place *place, struct filter *filter, struct bytes name, uint64_t hash)
{
    struct broker *broker = place->broker;
    size_t members = broker->place_count * sizeof(struct share_members);
    struct share_group *group = calloc(1, sizeof(*group) + members + name.len);
    if (group == NULL) {
        return NULL;
    }
    if (!link_table_add(&broker->groups, &group->by_name, hash)) {
        free(group);
        return NULL;
    }
    uint8_t *copy = (uint8_t *)group + sizeof(*group) + members;
    memcpy(copy, name.data, name.len);
    group->filter = filter;
    group->name = copy;
    group->name_len = (uint16_t)name.len;
    group->number = atomic_fetch_add_explicit(&broker->share_number, 1, memory_order_relaxed) + 1;
    return group;
}

static struct share_group *find_by_name(const struct broker *broker, const struct filter *filter, struct bytes name,
                                        uint64_t hash)
{
    for (struct link *link = link_table_first(&broker->groups, hash); link != NULL; link = link_table_next(link)) {
        struct share_group *group = TG_CONTAINER_OF(link, struct share_group, by_name);
        if (group->filter == filter && bytes_equal((struct bytes){group->name, group->name_len}, name)) {
            return group;
        }
    }
    return NULL;
}

static void link_group(struct filter *filter, struct share_group *group)
{
    struct share_group *first = atomic_load_explicit(&filter->groups, memory_order_relaxed);
    if (first != NULL) {
        first->prev = group;
    }
    atomic_init(&group->next, first);
    atomic_store_explicit(&filter->groups, group, memory_order_release);
}

enum tg_err share_acquire(struct place *place, struct filter *filter, struct bytes name, struct share_group **out)
{
    struct broker *broker = place->broker;
    uint64_t hash = hash_of_name(broker, filter, name);
    index_lock(broker->index);
    struct share_group *group = find_by_name(broker, filter, name, hash);
    if (group == NULL) {
        group = group_new(place, filter, name, hash);
        if (group == NULL) {
            index_unlock(broker->index);
            return TG_ERR_NO_MEMORY;
        }
        link_group(filter, group);
        index_changed(broker->index, filter);
    }
    group->refs++;
    index_unlock(broker->index);
    *out = group;
    return TG_OK;
}

static void group_free(struct tg_rcu_head *head)
{
    free(TG_CONTAINER_OF(head, struct share_group, rcu));
}

static void unlink_group(struct filter *filter, struct share_group *group)
{
    struct share_group *next = atomic_load_explicit(&group->next, memory_order_relaxed);
    _Atomic(struct share_group *) *at = group->prev != NULL ? &group->prev->next : &filter->groups;
    if (next != NULL) {
        next->prev = group->prev;
    }
    atomic_store_explicit(at, next, memory_order_release);
}

void share_release(struct place *place, struct share_group *group, struct filter *filter)
{
    struct index *index = place->broker->index;
    index_lock(index);
    bool is_last = --group->refs == 0;
    if (is_last) {
        unlink_group(filter, group);
        link_table_remove(&place->broker->groups, &group->by_name);
        index_changed(index, filter);
    }
    index_unlock(index);
    if (is_last) {
        tg_rcu_call(&group->rcu, group_free);
    }
}

/* --- members ------------------------------------------------------------------------------------------------------------ */

static uint64_t hash_of_number(const struct place *place, uint64_t number)
{
    return tg_hash(&number, sizeof(number), place->broker->hash_seed);
}

bool share_add(struct place *place, struct subscription *subscription)
{
    struct share_members *members = &subscription->group->local[place->index];
    if (members->count == members->capacity) {
        uint32_t capacity = members->capacity > 0 ? members->capacity * 2 : 4;
        struct subscription **list = realloc(members->list, capacity * sizeof(struct subscription *));
        if (list == NULL) {
            return false;
        }
        members->list = list;
        members->capacity = capacity;
    }
    if (members->count == 0 &&
        !link_table_add(&place->groups, &members->by_number, hash_of_number(place, subscription->group->number))) {
        free(members->list);
        members->list = NULL;
        members->capacity = 0;
        return false;
    }
    subscription->slot = members->count;
    subscription->is_ready = false;
    members->list[members->count++] = subscription;
    atomic_store_explicit(&members->total, members->count, memory_order_relaxed);
    return true;
}

void share_remove(struct place *place, struct subscription *subscription)
{
    if (subscription->slot == NOT_A_MEMBER) {
        return;
    }
    share_update(place, subscription, false);
    struct share_members *members = &subscription->group->local[place->index];
    struct subscription *last = members->list[--members->count];
    members->list[subscription->slot] = last;
    last->slot = subscription->slot;
    subscription->slot = NOT_A_MEMBER;
    atomic_store_explicit(&members->total, members->count, memory_order_relaxed);
    if (members->count == 0) {
        link_table_remove(&place->groups, &members->by_number);
        free(members->list);
        members->list = NULL;
        members->capacity = 0;
    }
}

void share_update(struct place *place, struct subscription *subscription, bool is_ready)
{
    if (subscription->is_ready == is_ready || subscription->slot == NOT_A_MEMBER) {
        return;
    }
    subscription->is_ready = is_ready;
    struct share_members *members = &subscription->group->local[place->index];
    uint32_t ready = atomic_load_explicit(&members->ready, memory_order_relaxed);
    atomic_store_explicit(&members->ready, is_ready ? ready + 1 : ready - 1, memory_order_relaxed);
}

/* --- choosing --------------------------------------------------------------------------------------------------------- */

static uint32_t weight(const struct share_group *group, unsigned place, bool ready)
{
    const struct share_members *members = &group->local[place];
    return atomic_load_explicit(ready ? &members->ready : &members->total, memory_order_relaxed);
}

bool share_is_ready(const struct place *place, const struct share_group *group)
{
    for (unsigned p = 0; p < place->broker->place_count; p++) {
        if (weight(group, p, true) > 0) {
            return true;
        }
    }
    return false;
}

/* A place in proportion to its members (READY: those alone); PLACES: nobody. */
static unsigned choose_place(struct share_group *group, unsigned places, bool ready)
{
    uint32_t sum = 0;
    for (unsigned p = 0; p < places; p++) {
        sum += weight(group, p, ready);
    }
    if (sum == 0) {
        return places;
    }
    uint32_t turn = atomic_fetch_add_explicit(&group->turn, 1, memory_order_relaxed) % sum;
    for (unsigned p = 0; p < places; p++) {
        uint32_t here = weight(group, p, ready);
        if (turn < here) {
            return p;
        }
        turn -= here;
    }
    return 0; /* counts have changed meanwhile; place 0 passes it on if it has nobody */
}

bool share_dispatch(struct place *place, struct share_group *group, struct publication *publication)
{
    unsigned places = place->broker->place_count;
    for (unsigned tries = 0; tries < 2; tries++) {
        unsigned to = choose_place(group, places, tries == 0);
        if (to == places) {
            continue;
        }
        if (to != place->index) {
            return route_send_to_group(place, to, group, publication);
        }
        if (share_deliver_here(place, group, publication)) {
            return true;
        }
    }
    STATS_ADD(&place->stats, dropped_no_member, 1);
    return true;
}

/* The next member at PLACE that wants PUBLICATION; NULL: none. */
static struct subscription *choose_member(struct place *place, struct share_members *members,
                                          const struct publication *publication, bool ready)
{
    for (uint32_t i = 1; i <= members->count; i++) {
        uint32_t at = (members->turn + i) % members->count;
        struct subscription *member = members->list[at];
        if (member->is_ready == ready && (member->holding != NULL || deliver_is_wanted(place, publication, member))) {
            members->turn = at;
            return member;
        }
    }
    return NULL;
}

bool share_deliver_here(struct place *place, struct share_group *group, struct publication *publication)
{
    struct share_members *members = &group->local[place->index];
    if (members->count == 0) {
        return false;
    }
    struct subscription *member =
        weight(group, place->index, true) > 0 ? choose_member(place, members, publication, true) : NULL;
    if (member == NULL) {
        member = choose_member(place, members, publication, false);
    }
    if (member != NULL) {
        deliver_to_subscription(place, publication, member);
    }
    return true;
}

struct share_group *share_find_here(const struct place *place, uint64_t number)
{
    struct link *link = link_table_first(&place->groups, hash_of_number(place, number));
    for (; link != NULL; link = link_table_next(link)) {
        struct share_members *members = TG_CONTAINER_OF(link, struct share_members, by_number);
        struct share_group *group = TG_CONTAINER_OF(members - place->index, struct share_group, local);
        if (group->number == number) {
            return group;
        }
    }
    return NULL;
}

struct share_group *share_find(struct filter *const *filters, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++) {
        struct share_group *group = atomic_load_explicit(&filters[i]->groups, memory_order_acquire);
        for (; group != NULL; group = atomic_load_explicit(&group->next, memory_order_acquire)) {
            if (group->number == number) {
                return group;
            }
        }
    }
    return NULL;
}
