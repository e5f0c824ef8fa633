/**
 * What lies in the store beside messages and sessions: small entries of whoever uses a place without a connection.
 *
 * All functions: the place's thread.
 */
#ifndef GATEWAY_BROKER_PLACE_STORE_H
#define GATEWAY_BROKER_PLACE_STORE_H

#include <stdbool.h>

#include "gateway/store/store.h"
#include "protocol/bytes.h"

struct place;

/** True if what is stored outlives the process. */
bool place_is_durable(const struct place *place);

/**
 * Submit WRITES (taken; NULL: none) as one transaction of PLACE, which is durable.
 *
 * @param out what a confirmation must wait for: to be given to place_await(), or released; NULL: nobody waits
 * @return false without memory: they are not submitted
 */
bool place_write(struct place *place, struct store_write *writes, struct store_ticket *out);

/** True if somebody is interested in the valid topic name TOPIC now. */
bool place_has_interest(struct place *place, struct bytes topic);

#endif
