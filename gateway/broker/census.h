/**
 * Lists of what the broker holds, for people and tools: sessions with their connections, and subscriptions.
 *
 * Sessions belong to their places, so a list is put together by asking one after the other, each for some hundreds of sessions at a time;
 * what is listed is copied. A list is no snapshot: a session that moves or comes meanwhile may be missed or seen twice.
 *
 *      census_start -> on_entry* -> on_part -> census_continue -> ... -> on_part (is_complete) -> census_free
 */
#ifndef GATEWAY_BROKER_CENSUS_H
#define GATEWAY_BROKER_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct census;
struct place;

enum census_kind {
    CENSUS_SESSIONS,      /* one entry a session */
    CENSUS_SUBSCRIPTIONS, /* one entry a subscription; of the session only its client id is told */
};

/** One session, or one subscription. Its strings are valid until census_continue() or census_free(). */
struct census_entry {
    struct bytes client_id;
    uint32_t part; /* where a list begins that is to begin with this entry */
    uint64_t
        key; /* of the session or subscription: well mixed. Part and key stay the same while the session stays at its place */

    /* CENSUS_SESSIONS */
    struct bytes user_name; /* empty: anonymous */
    bool is_connected;
    bool has_will;
    const char *transport; /* "tcp", "ws", ...; NULL unless connected */
    struct bytes peer;     /* address as text; empty unless connected */
    uint8_t version;       /* enum mqtt_version of the last connection */
    unsigned place;
    uint16_t keep_alive_s;
    uint32_t expiry_s; /* Session Expiry Interval; UINT32_MAX: never */
    uint32_t queued_messages;
    uint64_t queued_bytes;
    uint32_t inflight_messages; /* sent and not finished */
    uint32_t subscriptions;

    /* CENSUS_SUBSCRIPTIONS */
    struct bytes filter; /* as the client wrote it, "$share/..." included */
    uint32_t id;         /* Subscription Identifier; 0: none */
    uint8_t qos;
    uint8_t retain_handling;
    bool no_local;
    bool retain_as_published;
};

struct census_ops {
    /** One entry. Must not call the broker. */
    void (*on_entry)(void *owner, const struct census_entry *entry);
    /** The entries of some parts have been told; IS_COMPLETE: it was the last. May call the broker. FAILED: memory ran out, some are missing. */
    void (*on_part)(void *owner, bool is_complete, bool failed);
};

/**
 * Begin a list at PART (0: from the beginning; else what census_part() said). OPS is static. Callbacks come on PLACE's thread, later.
 * Returns owned; NULL without memory.
 */
struct census *census_start(struct place *place, enum census_kind kind, uint32_t part, const struct census_ops *ops,
                            void *owner);

/** Go on with the next parts, from within or after on_part() (not is_complete). */
void census_continue(struct census *census);

/**
 * Begin a list of the one session called CLIENT_ID (copied), or of its subscriptions. Else as census_start(): a place is asked after the
 * other.
 */
struct census *census_find(struct place *place, enum census_kind kind, struct bytes client_id,
                           const struct census_ops *ops, void *owner);

/** True if the place that was asked last is to be asked again: with a pause before, its other work is not held up. Within or after on_part(). */
bool census_stays(const struct census *census);

/** Where the list goes on after what was told last: what census_start() takes to resume it. */
uint32_t census_part(const struct census *census);

/** End it, at any time on PLACE's thread, also within its callbacks: none comes any more. Takes CENSUS. */
void census_free(struct census *census);

#endif
