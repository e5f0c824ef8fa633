/**
 * Publishing, and reading retained values, without a connection: what HTTP routes use.
 *
 * All functions: the place's thread.
 */
#ifndef GATEWAY_BROKER_PLACE_PUBLISH_H
#define GATEWAY_BROKER_PLACE_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/store/store.h"
#include "protocol/bytes.h"

struct access;
struct access_identity;
struct access_port;
struct message;
struct place;
struct publication;
struct retained;

struct place_publication { /* all of it borrowed for the call */
    struct bytes topic;    /* checked: any bytes will do */
    struct bytes payload;
    struct bytes properties; /* encoded entries that travel on, valid */
    bool has_expiry;
    uint32_t expiry_s;
    uint8_t qos;
    bool retain;
    bool is_utf8;                           /* Payload Format Indicator 1 is among the properties */
    const struct access_identity *identity; /* NULL if access allows all */
    struct store_write *writes;             /* to be stored in the same transaction; taken, in any case */
};

struct place_published {
    uint8_t reason_code;        /* 0; >= 0x80: refused, nothing happened */
    const char *why;            /* static, if refused */
    bool matched;               /* somebody is interested */
    struct store_ticket ticket; /* what a confirmation must wait for: to be given to place_await(), or released */
};

/** Publish as a client would, with all checks: topic, rights, limits, payload format. The place's thread. */
struct place_published place_publish(struct place *place, const struct place_publication *p);

/** Waits for a ticket. Embedded in its owner, not to be touched while it waits. owner: the place's thread */
struct place_wait {
    struct place_wait *next;
    struct place_wait *prev;
    struct store_ticket ticket;
    struct store_ticket *more; /* further ones; borrowed, but what they hold is taken */
    size_t more_count;
    bool
        failed; /* on done(): not all of it could be stored, for want of memory: nobody may be told that it was taken */
    void (*done)(struct place_wait *wait); /* called once, on the place's thread; may call the broker */
};

/** Call WAIT->done() when TICKET (taken) is done: at once if it is. */
void place_await(struct place *place, struct place_wait *wait, struct store_ticket ticket);

/** The same for all of the COUNT TICKETS (what they hold is taken; the array is borrowed while it waits). */
void place_await_all(struct place *place, struct place_wait *wait, struct store_ticket *tickets, size_t count);

/** Wait no more; a no-op if it is done. */
void place_await_cancel(struct place *place, struct place_wait *wait);

/** The retained value of TOPIC; returns owned (message_unref()), NULL: none. It is not checked whether anybody may read it. */
struct message *place_retained(struct place *place, struct bytes topic);

/** The retained values of all places, for walks (retained.h). */
struct retained *place_retained_values(struct place *place);

/** The rules, and the port for asking them from PLACE's thread (access.h). */
struct access *place_access(struct place *place);
struct access_port *place_access_port(struct place *place);

/** True if IDENTITY (NULL: anonymous) may publish to TOPIC, as far as its rights go. */
bool place_may_publish(struct place *place, const struct access_identity *identity, struct bytes topic);

/** True if IDENTITY (NULL: anonymous) may read all that FILTER (valid, not shared) matches. */
bool place_may_read_all(struct place *place, const struct access_identity *identity, struct bytes filter);

/** True if IDENTITY (NULL: anonymous) may read TOPIC. */
bool place_may_read(struct place *place, const struct access_identity *identity, struct bytes topic);

/** Its number among the broker's places. */
unsigned place_index(const struct place *place);

/** Monotonic and wall-clock ms of this turn. */
uint64_t place_now_ms(const struct place *place);
uint64_t place_wall_ms(const struct place *place);

/* --- for this folder ------------------------------------------------------------------------------------------------------ */

/**
 * May this be published? Topic levels, reserved topics, payload format, rights, room in the store.
 * @return a reason code with *WHY (static); 0: yes
 */
uint8_t publish_check(struct place *place, const struct access_identity *identity, const struct place_publication *p,
                      const char **why);

/** Call those whose ticket is done. */
void place_release_waits(struct place *place);

#endif
