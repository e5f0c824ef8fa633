/*
 * Judges configurations for test_schema.py: one per line on standard input, in JSON without line breaks; for each a
 * line "yes", or "no" and the path of the first problem.
 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    while ((len = getline(&line, &cap, stdin)) > 0) {
        struct config_report report;
        config_report_init(&report);
        struct config *c = config_load_text(line, (size_t)len, &report);
        printf("%s %s\n", c ? "yes" : "no", report.len > 0 ? report.problems[0].path : "");
        config_free(c);
        config_report_fini(&report);
    }
    free(line);
    return EXIT_SUCCESS;
}
