/**
 * The end of a process that has found a bug in itself. The line goes out by one write(2): standard output
 * and its locks may be part of the trouble.
 */
#include "gateway/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void tg_assert_failed(const char *condition, const char *file, int line, const char *function)
{
    char text[512];
    int len = snprintf(text, sizeof text, "tidegate: bug: \"%s\" does not hold in %s (%s:%d)\n", condition, function,
                       file, line);

    if (len >= (int)sizeof text)
        len = (int)sizeof text - 1;
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        _exit(134); /* nobody can read it: at least stop at once */
    abort();
}
