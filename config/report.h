/**
 * What is wrong with a configuration: a list of problems, each with the path of the value it concerns.
 *
 * A reader adds every problem it finds instead of stopping at the first, so that an operator repairs a file in
 * one go. Paths look like `listeners[1].bind`; for text that is not JSON at all they are `line 3, column 7`.
 */
#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CONFIG_REPORT_PROBLEMS_MAX 1000u /* kept; more are only counted */

struct config_problem {
    char *path; /* owned; "" for the file as a whole */
    char *text; /* owned; one line, printable */
};

/** owner: the calling thread */
struct config_report {
    struct config_problem *problems; /* owned, in the order found */
    size_t len;
    size_t cap;
    size_t omitted;     /* problems beyond CONFIG_REPORT_PROBLEMS_MAX */
    bool out_of_memory; /* something, perhaps a problem, could not be kept */
};

/** Make REPORT empty. */
void config_report_init(struct config_report *report);

/** Free what REPORT holds and make it empty. */
void config_report_fini(struct config_report *report);

/** True if nothing was found wrong. */
bool config_report_is_empty(const struct config_report *report);

/**
 * Add a problem at PATH (copied). What FORMAT makes may contain bytes from the file: whatever is not printable is
 * escaped and very long text is cut. If memory runs out, out_of_memory is set instead.
 */
void config_report_add(struct config_report *report, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Write one line per problem to STREAM: `FILE: PATH: TEXT`; FILE is left out if NULL. */
void config_report_print(const struct config_report *report, FILE *stream, const char *file);

#endif
