/**
 * A whole broker in one thread, under a clock that the test turns, with an access provider and a durable store
 * (ram_store.h) that do what the test says. Clients are in test_client.h.
 *
 *      struct harness *h = harness_new(1);
 *      h->limits->qos_max = 1;                        until the first client comes
 *      struct tc *c = tc_connect(h, "id", MQTT_5_0);  ...
 *      harness_advance(h, 1500);
 *      harness_free(h);
 *
 * Every call that gives a place something to do turns all places until they are quiet. Nothing here waits for
 * anything, and time stands still but for harness_advance().
 */
#ifndef TESTS_BROKER_HARNESS_H
#define TESTS_BROKER_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "gateway/access/access.h"
#include "tests/broker/ram_store.h"

struct broker;
struct tc;

enum { HARNESS_PLACES = 8 };

/**
 * An access provider. As it is made it lets everybody do everything. Authentication method "TEST" is known:
 * it sends "challenge" and wants "response", then says "welcome".
 */
struct test_access {
    struct access access;
    uint8_t refusal;                /* not 0: every CONNECT is refused with it */
    bool is_held;                   /* answers wait for harness_answer_access() */
    struct access_request *waiting; /* the one that waits */
    const char *unwritable;         /* not NULL: nobody may publish to this topic */
    const char *unreadable;         /* not NULL: nobody may read it: class NONE for this filter, SOME for all others */
    size_t asked;                   /* times that connect() was called */
    size_t cancelled;
};

struct harness {
    struct config *config;        /* for the test to change before the broker starts */
    struct config_limits *limits; /* config's */
    bool has_rules;               /* to be set before the start: access is asked for each publish and subscription */
    struct ram_store store;       /* what is submitted is durable at once, or when the test says so */
    struct test_access access;
    struct broker *broker; /* NULL until the first client comes */
    unsigned places;
    uint64_t now_ms;
    uint64_t wall_ms;
    bool asleep[HARNESS_PLACES]; /* these places have no turns until they are not any more */
    _Atomic bool woken[HARNESS_PLACES];
    bool spreads;       /* client number n is put n places further than the test says */
    unsigned opened;    /* clients so far */
    bool closes_late;   /* transports say that they are gone after the turn, not from within close() */
    struct tc *clients; /* all that ever were */
};

/** A broker to be of PLACES places, with the default configuration but without $SYS. Registers the thread as a reader. */
struct harness *harness_new(unsigned places);

/** End all connections and the broker, and free everything. */
void harness_free(struct harness *h);

/** End all connections and the broker, and empty the store; the configuration may be changed before the next client comes. */
void harness_restart(struct harness *h);

/** End all connections and the broker, as on SIGTERM; what is in the store stays there, and the next broker begins with it. */
void harness_stop(struct harness *h);

/** The same by a crash: what was not durable is lost. */
void harness_crash(struct harness *h);

/** Start the broker now, not with the first client; it reads what is in the store. */
void harness_start(struct harness *h);

/** Begin to stop (place_drain) at every place, and run. */
void harness_drain(struct harness *h);

/** True if no place has a connection any more. */
bool harness_is_drained(const struct harness *h);

/** Turn all places until nothing is left to do at this moment. A broker that is never quiet fails the test. */
void harness_run(struct harness *h);

/** Let MS milliseconds go by; every timer fires at its own time. */
void harness_advance(struct harness *h, uint64_t ms);

/** Let MS milliseconds go by in one step, as when the machine was asleep, and run. */
void harness_jump(struct harness *h, uint64_t ms);

/** Complete the COUNT oldest operations that are held (all: SIZE_MAX), see ram_store_complete(), and run. */
void harness_complete_store(struct harness *h, size_t count);

/** Answer the COUNT oldest reads of the store that are held, and run. */
void harness_answer_reads(struct harness *h, size_t count);

/** Answer the CONNECT or AUTH that waits in the access provider, and run. */
void harness_answer_access(struct harness *h);

/** One counter of struct stats, added up over all places: HARNESS_STAT(h, dropped_expired). */
#define HARNESS_STAT(h, member) harness_stat((h), offsetof(struct stats, member))
uint64_t harness_stat(struct harness *h, size_t offset);

/* --- for test_client.c -------------------------------------------------------------------------------------------- */

/** Tell place number INDEX the time, so that it may be given something. Returns it. */
struct place *harness_place(struct harness *h, unsigned index);

#endif
