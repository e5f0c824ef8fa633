/**
 * Shared subscriptions: "$share/NAME/FILTER" makes its subscribers one group, of which each message goes to one member. [MQTT 5.0, 4.8.2]
 *
 * Two levels, like all routing: the publisher's place picks a place, in proportion to its connected members with room; that
 * place picks the member. Offline members of persistent sessions are chosen only when there is nobody else. A place whose last
 * member has just left passes the message on.
 */
#ifndef GATEWAY_BROKER_SHARE_H
#define GATEWAY_BROKER_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "gateway/base/rcu.h"
#include "gateway/broker/link_table.h"
#include "protocol/bytes.h"

struct filter;
struct place;
struct publication;
struct subscription;

/** The members of a group at one place. owner: that place's thread, but for the two counts */
struct share_members {
    struct subscription **list;
    uint32_t count;
    uint32_t capacity;
    uint32_t turn;          /* where the last choice was made */
    struct link by_number;  /* in the place's table, while there is a member */
    _Atomic uint32_t ready; /* connected with room in their window; written by the owner, read by publishers */
    _Atomic uint32_t total; /* all members; the same */
};

struct share_group {                    /* list, table and refs: index mutex; readers under RCU */
    _Atomic(struct share_group *) next; /* on the same filter */
    struct share_group *prev;           /* the same; for writers */
    struct link by_name;                /* in the broker's table */
    const struct filter *filter;
    uint64_t number;       /* process-wide, never used again */
    uint32_t refs;         /* members */
    _Atomic uint32_t turn; /* of the publishers' choice of a place */
    struct tg_rcu_head rcu;
    uint16_t name_len;
    const uint8_t *name;          /* behind local[] */
    struct share_members local[]; /* one a place */
};

/** Find or create the group NAME on FILTER and take a reference. @return TG_OK or TG_ERR_NO_MEMORY. */
enum tg_err share_acquire(struct place *place, struct filter *filter, struct bytes name, struct share_group **out)
    __attribute__((warn_unused_result));

/** Give a reference to GROUP on FILTER back; the last one frees it after a grace period. */
void share_release(struct place *place, struct share_group *group, struct filter *filter);

/** Make SUBSCRIPTION, whose group is set, a member at PLACE, not ready. @return false without memory. */
bool share_add(struct place *place, struct subscription *subscription);

/** Let SUBSCRIPTION be chosen no more; a no-op if that has been done. */
void share_remove(struct place *place, struct subscription *subscription);

/** Say whether the member is connected and has room. */
void share_update(struct place *place, struct subscription *subscription, bool is_ready);

/** True if some member of GROUP, anywhere, is connected and has room. Any place's thread; it may have changed at once. */
bool share_is_ready(const struct place *place, const struct share_group *group);

/**
 * Give PUBLICATION to one member of GROUP, here or by mail elsewhere; counted as dropped if there is no member.
 *
 * @return false if memory ran out
 */
bool share_dispatch(struct place *place, struct share_group *group, struct publication *publication);

/** The same, but only to a member at PLACE: mail of another place asked for it. @return false if there is no member here. */
bool share_deliver_here(struct place *place, struct share_group *group, struct publication *publication);

/** The group NUMBER, if it has members at PLACE; else NULL. */
struct share_group *share_find_here(const struct place *place, uint64_t number);

/** The group NUMBER on any of the COUNT filters, NULL if it is gone; looked for one by one. Reader. */
struct share_group *share_find(struct filter *const *filters, size_t count, uint64_t number);

#endif
