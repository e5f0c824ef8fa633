/**
 * What the values of a configuration must be together.
 */
#ifndef CONFIG_RULES_H
#define CONFIG_RULES_H

#include "config/config.h"
#include "config/report.h"

/** Add to REPORT every rule that C breaks. C may be in the making: listeners without an address are passed over. */
void rules_check(const struct config *c, struct config_report *report);

/**
 * Who reaches a listener from another machine may use the broker without a password only if the operator says so.
 * @return true if C leaves it to the default whether that is so; then *LISTENER is the first such listener
 */
bool rules_anonymous_is_missing(const struct config *c, size_t *listener);

#endif
