/**
 * The Will Message of a session: published once, when its connection ended without a DISCONNECT 0x00 and either its delay
 * has passed or the session ends; removed by a DISCONNECT 0x00 or by the client's return. [MQTT 5.0, 3.1.2.5]
 */
#ifndef GATEWAY_BROKER_WILL_H
#define GATEWAY_BROKER_WILL_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/timer_wheel.h"

struct message;
struct place;
struct session;

struct will {           /* owner: the session's place */
    struct timer timer; /* set while the delay runs */
    struct session *session;
    struct message *message; /* owned; its expires_ms is not used */
    uint32_t delay_s;
    uint32_t expiry_interval_s; /* counts from the publish */
    bool has_expiry;
    bool
        after_restart; /* its connection was there when the process ended: not published if the client is back in time */
    uint64_t due_ms;   /* monotonic; while the timer is set */
};

/**
 * A will for SESSION. MESSAGE is taken.
 * Returns owned; NULL without memory, then MESSAGE is given back.
 */
struct will *will_new(struct session *session, struct message *message);

/** Publish the will of SESSION now and free it; a no-op if there is none. [MQTT-3.1.2-8] [MQTT-3.1.2-10] */
void will_publish(struct place *place, struct session *session);

/** Start its delay; DELAY_S > 0. */
void will_arm(struct place *place, struct session *session, uint32_t delay_s);

/** The same in milliseconds, 0 included. */
void will_arm_ms(struct place *place, struct session *session, uint64_t delay_ms);

/** Stop a delay that runs, keeping the will: the session moves, or freezes. */
void will_disarm(struct place *place, struct session *session);

/** The client of SESSION is back after a restart: a will that only waited for that is dropped. */
void will_forget_restart(struct place *place, struct session *session);

/** Free the will of SESSION and leave it in the store: the process ends. A no-op if there is none. */
void will_free(struct place *place, struct session *session);

/** Drop the will of SESSION unpublished; a no-op if there is none. */
void will_drop(struct place *place, struct session *session);

#endif
