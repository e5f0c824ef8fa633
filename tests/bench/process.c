#include "tests/bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool process_cpu_ns(pid_t pid, uint64_t *cpu_ns)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return false;
    }
    *cpu_ns = (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
    return true;
}

/* The value in kB of the line that begins with NAME, in bytes. */
static bool parse_kb(const char *status, const char *name, uint64_t *bytes)
{
    const char *line = status;
    size_t name_len = strlen(name);
    while (strncmp(line, name, name_len) != 0) {
        line = strchr(line, '\n');
        if (line == NULL) {
            return false;
        }
        line++;
    }
    char *end;
    errno = 0;
    unsigned long long kb = strtoull(line + name_len, &end, 10);
    if (errno != 0 || end == line + name_len || strncmp(end, " kB", 3) != 0) {
        return false;
    }
    *bytes = (uint64_t)kb * 1024u;
    return true;
}

bool process_memory_parse(const char *status, struct process_memory *out)
{
    struct process_memory m;
    if (!parse_kb(status, "VmRSS:", &m.rss_bytes) || !parse_kb(status, "RssAnon:", &m.anon_bytes)) {
        return false;
    }
    *out = m;
    return true;
}

bool process_memory_get(pid_t pid, struct process_memory *out)
{
    char path[64];
    char text[3072];
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    return process_memory_parse(text, out);
}
