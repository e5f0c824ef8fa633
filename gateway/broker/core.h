/**
 * Private to gateway/broker: what a broker and a place are made of.
 *
 * A place is touched by its own thread alone, but for its mailbox and its counters. The broker's members say themselves how they
 * are shared.
 */
#ifndef GATEWAY_BROKER_CORE_H
#define GATEWAY_BROKER_CORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include "config/config.h"
#include "gateway/access/access_port.h"
#include "gateway/base/rcu.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/broker.h"
#include "gateway/broker/index.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/link_table.h"
#include "gateway/broker/mail.h"
#include "gateway/broker/outq.h"
#include "gateway/broker/place.h"
#include "gateway/broker/route_cache.h"
#include "gateway/broker/stats.h"

struct access;
struct batch;
struct client;
struct directory;
struct gather;
struct place_wait;
struct recovering;
struct retained;
struct retained_walk;
struct session;
struct store;
struct store_port;
struct sys;

/** The part of the configuration that a reload may change. immutable after it is published; freed after a grace period */
struct broker_settings {
    struct tg_rcu_head rcu;
    struct config_limits limits;
    size_t memory_bytes; /* limits.memory_bytes, resolved */
    uint32_t sys_interval_s;
    uint16_t response_information_len;
    char response_information[256]; /* prefix of the Response Information; empty: none is given */
};

struct place { /* owner: its thread, but for mailbox and stats */
    struct broker *broker;
    const struct broker_settings *settings; /* loaded at the start of each turn */
    uint64_t now_ms;                        /* monotonic */
    uint64_t wall_ms;
    struct outq_pool *pool;
    struct timer_wheel *wheel;
    struct route_cache *cache;
    struct gather *gather;             /* scratch of deliver.c */
    struct link_table groups;          /* shared groups with members here, by number */
    struct client *dirty;              /* has output to be flushed; linked by dirty_next */
    struct client *clients;            /* all connections; linked by next and prev; see client_set_paused() */
    struct client *parked;             /* clients with parked acknowledgements; linked by parked_next */
    TAILQ_HEAD(, retained_walk) walks; /* those that can go on now, next first */
    struct place_wait *waits;          /* oldest first */
    struct place_wait *last_wait;
    struct store_port *port;                 /* NULL: nothing outlives the process */
    struct store_ticket last_end;            /* of the session that ended last */
    struct kept_list waiting;                /* whose next message is not on disk yet */
    struct kept_list positions;              /* whose position is to be stored */
    struct timer position_timer;             /* set while there is one */
    struct recovering *recovering;           /* while what was stored is read; NULL: no more */
    struct batch *batches[INDEX_PLACES_MAX]; /* publications for other places, not posted yet */
    struct batch *spare_batches;
    uint32_t spare_batch_count;
    uint64_t batches_open;       /* bit p: batches[p] is there */
    uint64_t publication_number; /* of the last publication that went to another place */
    uint64_t congested;          /* bit p: clients here are paused until place p's mailbox has drained */
    uint64_t access_generation;  /* of the rules that the subscriptions here were classed by, or are being classed by */
    size_t classed_shards;       /* how far that has come in the directory */
    struct timer sys_timer;      /* place 0: next $SYS update */
    struct timer sweep_timer;    /* place 0: next look for expired retained values */
    struct session **full;       /* whose queue is full, policy `refuse`; owned, heap */
    size_t held_clients;         /* clients that are paused until this place lets them go on: CLIENT_PAUSE_BY_PLACE */
    uint32_t full_count;
    uint32_t full_capacity;
    struct timer full_timer;   /* set while there may be one */
    struct timer memory_timer; /* set while clients here are paused for lack of memory */
    struct sys *sys;           /* place 0 */
    unsigned index;
    bool draining;
    bool store_busy;          /* some client here is paused because much waits to be written */
    bool memory_short;        /* some client here is paused for lack of memory */
    _Atomic bool store_moved; /* any thread sets it, the place's thread looks at its parked acknowledgements */

    struct access_port access_port; /* answers of the provider */
    struct mailbox mailbox __attribute__((aligned(64)));
    _Atomic uint64_t drained; /* bit p: place p's mailbox has room again; any thread sets, the place's thread takes */
    _Atomic(struct batch *) returned_batches; /* any thread pushes, the place's thread takes all */
    struct stats stats __attribute__((aligned(64)));
};

struct broker {
    struct index *index;
    struct retained *retained;
    struct directory *directory;
    struct store *store;
    struct access *access;
    broker_wake_fn wake;
    void *wake_arg;
    uint64_t hash_seed;
    uint64_t started_ms;
    uint64_t started_wall_ms;                   /* wall clock at started_ms */
    _Atomic(struct broker_settings *) settings; /* RCU; replaced by broker_reload() */
    _Atomic uint64_t share_number;              /* of the last shared group made */
    struct link_table groups;                   /* all shared groups, by filter and name; lock: index mutex */
    _Atomic size_t clients_maximum;             /* most connected at once, as seen at each $SYS update */
    unsigned place_count;
    struct place *places[];
};

/** Set up and take down the $SYS updates of place 0. @return false without memory. */
bool sys_place_init(struct place *place);
void sys_place_fini(struct place *place);
/** Arm the timer again after the interval may have changed. */
void sys_place_reconfigure(struct place *place);

#endif
