/**
 * From JSON values to members of struct config, row by row of the option table. What a value must be by itself is
 * checked here; what several values must be together is in rules.h.
 */
#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include <jansson.h>

#include "config/config.h"
#include "config/report.h"

/**
 * Read ROOT, the JSON text as a whole, into CONFIG.
 *
 * @param config  in/out: holds the defaults but for listeners, which are none; what can't be read keeps its
 *                default, so that the rules can be checked all the same
 * @param report  gets every problem
 */
void reader_read(const json_t *root, struct config *config, struct config_report *report);

#endif
