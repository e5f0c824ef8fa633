/**
 * Routing: who gets a publication. The publisher's place resolves places; each place picks its receivers.
 *
 * What goes to other places is collected in batches, one per place, that are posted when they are full and at the end of the turn.
 * A publication with a small payload is copied into the batch, so that no memory is freed by another thread than the one that got it; a large
 * one is passed as a message.
 *
 * All functions: the place's thread.
 */
#ifndef GATEWAY_BROKER_ROUTE_H
#define GATEWAY_BROKER_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

struct place;
struct publication;
struct share_group;

/**
 * Publish: store if retained, resolve, deliver to the receivers here, send to the other places with interest. PUBLICATION's
 * origin, number, version, interest and durable are set here.
 *
 * @param matched out, may be NULL: somebody is interested
 * @return a reason code: 0x00; 0x97 if the retained store or (policy `refuse`) a receiver's queue is full, then nothing
 *         happened, or if memory ran out, then some receivers may lack it
 */
uint8_t route_publish(struct place *place, struct publication *publication, bool *matched);

/** What other places were sent goes into their mailboxes now. */
void route_flush(struct place *place);

/** Send PUBLICATION to a member of GROUP at place TO. @return false without memory. */
bool route_send_to_group(struct place *place, unsigned to, const struct share_group *group,
                         struct publication *publication);

/** Free the batches that PLACE keeps. */
void route_fini(struct place *place);

#endif
