/**
 * Moving a session from place A to place B, where its client has connected, so that nothing is lost, doubled or reordered.
 *
 *      B                                A                                 every other place P
 *      |--- start ---------------------> close the old connection, freeze
 *      <-- prepare: subscriptions ------|
 *      subscribe, holding what comes
 *      |--- barrier -------------------> leave shared groups
 *                                       |--- barrier ---------------------> post what is under way,
 *                                       <-- n = my last publish number ----|
 *                                       (of P: up to n is A's, above n is B's)
 *                                       all have answered: unsubscribe
 *      <-- session, numbers n ----------|
 *      drop what was held and is A's, queue the rest, CONNACK
 *
 * Mail of one place to another keeps its order, and P sees B's subscriptions before it answers: so each publication reaches A with
 * a number up to n, or B with one above.
 *
 * If the new connection dies meanwhile the session arrives all the same, and stays at B without a connection. An ended session, or one that
 * a clean start throws away, is passed on at once, empty.
 */
#ifndef GATEWAY_BROKER_HANDOVER_H
#define GATEWAY_BROKER_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

struct acquire;
struct handover;
struct place;
struct publication;
struct session;
struct subscription;

/** A move of SESSION from FROM to TO for ACQUIRE (taken with success). Returns owned; NULL without memory. */
struct handover *handover_new(struct session *session, struct place *from, struct place *to, struct acquire *acquire);

/** Begin; SESSION is marked as moving. Takes HANDOVER. Any of both places' threads, named by HERE. */
void handover_start(struct place *here, struct handover *handover);

/** True if the place that SESSION leaves still has to deliver publication NUMBER of place ORIGIN to it. That place's thread. */
bool handover_accepts(const struct handover *handover, unsigned origin, uint64_t number);

/** Keep PUBLICATION for SUBSCRIPTION, whose session is on its way to PLACE. */
void handover_hold(struct place *place, struct subscription *subscription, struct publication *publication);

#endif
