/**
 * Routing: who gets a publication. The publisher's place resolves places; each place picks its receivers.
 */
#ifndef GATEWAY_BROKER_ROUTE_H
#define GATEWAY_BROKER_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

struct mail;
struct place;
struct publication;
struct share_group;

/**
 * Publish: store if retained, resolve, deliver to the receivers here, send to the other places with interest. PUBLICATION's origin, number
 * and version are set here.
 *
 * @param matched out, may be NULL: somebody is interested
 * @return a reason code: 0x00; 0x97 if the retained store is full, then nothing happened
 */
uint8_t route_publish(struct place *place, struct publication *publication, bool *matched);

/** What other places were sent during this turn goes into their mailboxes now. Part of place_end_turn(). */
void route_flush(struct place *place);

/** Send PUBLICATION to a member of GROUP at place TO. @return false without memory. */
bool route_send_to_group(struct place *place, unsigned to, struct share_group *group, struct publication *publication);

/** Places that PLACE is sending to and whose mailbox is over its bound: bit p. */
uint64_t route_congested(struct place *place, uint64_t interest);

#endif
