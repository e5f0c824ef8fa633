/**
 * Sending retained values to a new subscriber, in slices: a walk goes on only while its client takes what it is given, and never
 * holds a place for more than a few hundred values a turn. It belongs to the session, so a persistent one gets the rest after
 * it has come back.
 *
 * All functions: the session's place.
 */
#ifndef GATEWAY_BROKER_RETAINED_WALK_H
#define GATEWAY_BROKER_RETAINED_WALK_H

#include <stdbool.h>

#include "gateway/broker/retained.h"

struct place;
struct session;
struct subscription;

struct retained_walk { /* owner: the session's place */
    struct retained_walk *session_next;
    struct retained_walk *place_next;
    struct session *session;
    struct subscription *subscription;
    struct retained_cursor cursor;
    bool is_scheduled; /* stands in the place's list */
};

/** Begin to send what matches SUBSCRIPTION (not shared), versions up to STAMP. @return false without memory. */
bool retained_walk_begin(struct place *place, struct session *session, struct subscription *subscription,
                         uint64_t stamp);

/** SESSION can take more: let its walks go on at the end of the turn. */
void retained_walk_schedule(struct place *place, struct session *session);

/** Go on with all walks that are scheduled, a slice each. @return true if there is more to do at once. */
bool retained_walk_run(struct place *place);

/** End the walk of SUBSCRIPTION, if there is one. */
void retained_walk_drop(struct place *place, struct session *session, const struct subscription *subscription);

/** Take the walks of SESSION out of the place's list: it moves away. */
void retained_walk_unschedule(struct place *place, struct session *session);

/** End all walks of SESSION. */
void retained_walk_clear(struct place *place, struct session *session);

#endif
