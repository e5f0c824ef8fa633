/**
 * One subscription of one session, and the set of them that a session has.
 */
#ifndef GATEWAY_BROKER_SUBSCRIPTION_H
#define GATEWAY_BROKER_SUBSCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "protocol/bytes.h"

struct filter;
struct handover;
struct place;
struct retained_walk;
struct session;
struct share_group;

struct subscription { /* owner: the place that has it in its receivers; options change on its thread only */
    struct session *session;
    struct filter *filter;      /* holds a reference in the index */
    struct share_group *group;  /* NULL: not shared */
    struct handover *holding;   /* not NULL: the session is on its way to this place, hold what it would get; then
                                   nothing of it may be touched here but its hash */
    struct retained_walk *walk; /* retained values that it is still to be sent; NULL: none */
    uint64_t retained_stamp;    /* retained versions up to it come by the walk that the subscription began with */
    uint32_t slot;              /* where it stands among its filter's or group's receivers here */
    uint32_t id;                /* Subscription Identifier; 0: none */
    uint32_t hash;              /* of full */
    uint32_t number;            /* in the store, counts per session; 0: it is not there */
    uint8_t qos;
    uint8_t retain_handling;
    bool no_local;
    bool retain_as_published;
    bool reads_some; /* each message must be asked for (ACCESS_SOME) */
    bool is_durable; /* QoS > 0 of a session that outlives its connection */
    bool is_ready;   /* member of a group: counted as connected with room */
    bool is_full;    /* counted in filter->full */
    uint16_t full_len;
    uint8_t full[]; /* the Topic Filter as the client wrote it, "$share/..." included */
};

struct subscription_set {        /* owner: the session's place */
    struct subscription **slots; /* open addressing; NULL while empty */
    uint32_t capacity;           /* power of two, or 0 */
    uint32_t count;
};

/** What a subscription is to be; see struct subscription. */
struct subscription_options {
    uint32_t id;
    uint8_t qos;
    uint8_t retain_handling;
    bool no_local;
    bool retain_as_published;
    bool reads_some;
    bool is_durable;          /* the session outlives its connection; counts only with QoS > 0 */
    struct handover *holding; /* see struct subscription */
};

/** The member of SET with exactly this Topic Filter [MQTT-3.10.4-1]; NULL if there is none. */
struct subscription *subscription_find(const struct subscription_set *set, struct bytes full, uint64_t seed);

/**
 * Subscribe SESSION to FULL (valid) at PLACE, or change the options of the subscription that it has [MQTT-3.8.4-3]. On return the
 * index change is visible to every publisher.
 *
 * @param out      out, may be NULL: borrowed from the session
 * @param existed  out, may be NULL
 * @return TG_OK or TG_ERR_NO_MEMORY, then nothing changed
 */
enum tg_err subscription_put(struct place *place, struct session *session, struct subscription_set *set,
                             struct bytes full, const struct subscription_options *options, struct subscription **out,
                             bool *existed) __attribute__((warn_unused_result));

/** Unsubscribe: take SUBSCRIPTION out of SET, receivers and index, and free it. */
void subscription_remove(struct place *place, struct subscription_set *set, struct subscription *subscription);

/** Remove every member of SET and free its table. */
void subscription_clear(struct place *place, struct subscription_set *set);

/** Say again what the index must know about all of SET after the session's durability changed. */
void subscription_set_durable(struct place *place, struct subscription_set *set, bool durable);

/** Count SUBSCRIPTION, or no longer, among those whose session's queue is full (policy `refuse`). */
void subscription_count_full(struct subscription *subscription, bool is_full);

/** Iterate: the next member at or after *AT, NULL at the end. */
struct subscription *subscription_next(const struct subscription_set *set, uint32_t *at);

#endif
