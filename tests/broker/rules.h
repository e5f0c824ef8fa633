/**
 * What the tests of the core's rules need beside harness.h and test_client.h: packets that are read in the middle of a turn, so that a
 * test decides what has not gone to other places yet.
 */
#ifndef TESTS_BROKER_RULES_H
#define TESTS_BROKER_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "tests/broker/harness.h"
#include "tests/broker/test_client.h"

/** Let the broker read a PUBLISH without ending its turn. MESSAGE.id must be set for QoS > 0; no properties. */
void feed_publish(struct tc *c, struct tc_message message);

/** The same with an UNSUBSCRIBE of one filter. */
void feed_unsubscribe(struct tc *c, const char *filter, uint16_t packet_id);

/** Take all PUBLISH packets that have come, without answering them. @return how many */
size_t take_publishes(struct tc *c);

/** LEN bytes of text with a NUL behind; owned by the caller. */
char *long_text(size_t len);

#endif
