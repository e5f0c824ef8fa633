/**
 * Sending retained values to a new subscriber, in slices: a walk goes on only while its client takes what it is given. All walks
 * of a place together look at no more than about a thousand values a turn, and sessions take turns, each with one of its walks
 * after the other: so who subscribes to everything ten thousand times waits for that alone. A walk belongs to the session, so a
 * persistent one gets the rest after it has come back.
 *
 * All functions: the session's place.
 */
#ifndef GATEWAY_BROKER_RETAINED_WALK_H
#define GATEWAY_BROKER_RETAINED_WALK_H

#include <stdbool.h>

#include <sys/queue.h>

#include "gateway/broker/retained.h"

struct place;
struct session;
struct subscription;

struct retained_walk {                /* owner: the session's place */
    struct retained_walk *next;       /* of the session, oldest first; NULL: the newest */
    struct retained_walk *prev;       /* of the session; the oldest one's is the newest */
    TAILQ_ENTRY(retained_walk) turns; /* in the place's list, while is_scheduled */
    struct session *session;
    struct subscription *subscription; /* whose `walk` this is */
    struct retained_cursor cursor;
    bool is_scheduled; /* only a session's oldest one ever is */
};

/** Begin to send what matches SUBSCRIPTION (not shared), versions up to STAMP. @return false without memory. */
bool retained_walk_begin(struct place *place, struct session *session, struct subscription *subscription,
                         uint64_t stamp);

/** SESSION can take more: let its walks go on at the end of the turn. */
void retained_walk_schedule(struct place *place, struct session *session);

/** Go on with the walks that are scheduled, as far as one turn allows. @return true if there is more to do at once. */
bool retained_walk_run(struct place *place);

/** End the walk of SUBSCRIPTION, if there is one. */
void retained_walk_drop(struct place *place, struct subscription *subscription);

/** The walk of FROM, if there is one, is TO's from now on: their session moves. It is not scheduled. */
void retained_walk_move(struct subscription *from, struct subscription *to);

/** Take SESSION out of the place's list: it moves away. */
void retained_walk_unschedule(struct place *place, struct session *session);

/** End all walks of SESSION. */
void retained_walk_clear(struct place *place, struct session *session);

#endif
