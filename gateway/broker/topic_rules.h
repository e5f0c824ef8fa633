/**
 * What this broker allows of topics and filters beyond the specification's syntax.
 */
#ifndef GATEWAY_BROKER_TOPIC_RULES_H
#define GATEWAY_BROKER_TOPIC_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

/** True if TOPIC has at most MAX levels. Any thread. */
bool topic_is_within_levels(struct bytes topic, uint32_t max);

/** True if clients may not publish to TOPIC: "$SYS" and what is below it, which the broker alone speaks of, and "$share". Any thread. */
bool topic_is_reserved(struct bytes topic);

/**
 * True if clients may not subscribe to FILTER (without "$share/NAME/"): what is below "$tidegate" is sent to the gateway itself, and nobody else is to
 * read it. Anybody may publish there whom the rules let. Any thread.
 */
bool filter_is_reserved(struct bytes filter);

#endif
