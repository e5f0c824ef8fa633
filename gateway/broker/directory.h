/**
 * The directory of sessions: client id -> session and the place that has it. One per broker, in shards with a mutex each, held
 * for one lookup.
 *
 * A CONNECT acquires its session: always asynchronously, for another place may have it. Only one acquisition of a session is
 * under way at a time; of those that wait behind it the newest stays and the others are refused with 0x8E, as any
 * connection that is taken over.
 */
#ifndef GATEWAY_BROKER_DIRECTORY_H
#define GATEWAY_BROKER_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/broker/mail.h"
#include "protocol/bytes.h"

struct client;
struct directory;
struct place;
struct session;

/** A CONNECT that waits for its session. Other places pass it on by pointer only. */
struct acquire { /* owner: place's thread */
    struct mail mail;
    struct client *client; /* NULL once its connection is gone */
    struct place *place;
    uint64_t hash;
    bool clean_start;
    uint16_t client_id_len;
    uint8_t client_id[];
};

struct directory *directory_new(void);
/** Free DIRECTORY and every session in it; all threads have ended. Frees at PLACE's expense what a session holds there. */
void directory_free(struct directory *directory);

/**
 * Ask for the session of CLIENT_ID for CLIENT at PLACE. Answered by connecting_acquired(), perhaps before this returns. An old connection is
 * closed with 0x8E [MQTT-3.1.4-3]; with CLEAN_START an old session ends [MQTT-3.1.2-4].
 *
 * @param pending out: set while the answer is outstanding, untouched otherwise; when CLIENT goes away first, the
 *                caller sets (*pending)->client to NULL
 */
void directory_acquire(struct place *place, struct client *client, struct bytes client_id, bool clean_start,
                       struct acquire **pending);

/** Go on with an acquisition that waited, at a place whose thread owns SESSION. Takes ACQUIRE. */
void directory_continue(struct place *place, struct session *session, struct acquire *acquire);

/** Put SESSION, whose client id no other has, in. Any thread. */
void directory_restore(struct directory *directory, struct session *session);

/** The session of CLIENT_ID if it is at PLACE and not moving; NULL: none. PLACE's thread. */
struct session *directory_find_here(struct place *place, struct bytes client_id);

/** Take SESSION out. @return false if a move is under way: then it stays, and the move finds it ended. */
bool directory_remove(struct directory *directory, struct session *session);

/**
 * A move of SESSION has arrived at PLACE, or failed there.
 * @return the acquisition that has waited meanwhile, NULL: none. If that is for another place, SESSION is moving again.
 */
struct acquire *directory_settle(struct place *place, struct session *session);

/** Answer ACQUIRE (taken), at its own place. */
void acquire_finish(struct acquire *acquire, struct session *session, bool present, uint8_t reason_code,
                    const char *why);

/** Refuse ACQUIRE (taken): its place is told by mail. */
void acquire_refuse(struct place *from, struct acquire *acquire, uint8_t reason_code);

/** Called for each session of a shard that is at PLACE, with the shard's lock held: must not end or add sessions. */
typedef void (*directory_visit_fn)(struct place *place, struct session *session, void *arg);

/** Call VISIT for the sessions of shard number *SHARD (from 0) that are at PLACE, and move on to the next. @return false after the last */
bool directory_visit(struct place *place, size_t *shard, directory_visit_fn visit, void *arg);

/** How many parts directory_visit_part() divides the directory into. Which one a session is in depends on its hash alone. */
#define DIRECTORY_PARTS 1024u

/** The part of a session with HASH. */
unsigned directory_part_of(uint64_t hash);

/** Call VISIT for the sessions of part PART (below DIRECTORY_PARTS) that are at PLACE. @return how many sessions the part has, at any place */
size_t directory_visit_part(struct place *place, unsigned part, directory_visit_fn visit, void *arg);

/** Call VISIT for the session of CLIENT_ID if it is at PLACE. */
void directory_visit_one(struct place *place, struct bytes client_id, directory_visit_fn visit, void *arg);

#endif
