/**
 * A place: one worker thread's part of the broker. It owns sessions, the clients' protocol state, timers and output blocks.
 *
 * The thread's loop, once per turn:
 *
 *      place_set_time()       what time it is
 *      client_receive() ...   for every connection that has something
 *      place_receive_mail()   if it was woken
 *      place_end_turn()       run due timers, send mail, flush every connection that has output, close what is to be closed
 *      (rcu quiescent state, sleep until place_next_ms() or I/O)
 *
 * All functions: the place's own thread only, unless said.
 */
#ifndef GATEWAY_BROKER_PLACE_H
#define GATEWAY_BROKER_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct place;

/** Tell PLACE the time: monotonic NOW_MS (never backwards) and wall clock WALL_MS, ms since the epoch. */
void place_set_time(struct place *place, uint64_t now_ms, uint64_t wall_ms);

/** Take the mail that is there and act on it. @return true if more may be waiting (call again next turn without sleeping). */
bool place_receive_mail(struct place *place);

/**
 * End a loop turn: fire due timers, go on with sliced work (retained walks), post the mail of this turn, then flush and close
 * connections through their transports.
 *
 * @return true if sliced work is left: the next turn must follow without sleeping
 */
bool place_end_turn(struct place *place);

/** Monotonic time until which the thread may sleep; UINT64_MAX: no timer set. */
uint64_t place_next_ms(const struct place *place);

/**
 * Stop: refuse new CONNECTs, stop reading from every client, and disconnect each with 0x8B as soon as no acknowledgement of it waits.
 * Wills of those clients are kept, not published (their connection ends by the server's choice with 0x8B: the will is published
 * as [MQTT-3.1.2-8] says unless `session expiry` keeps it).
 */
void place_drain(struct place *place);

/** True once no client is connected any more. */
bool place_is_drained(const struct place *place);

#endif
