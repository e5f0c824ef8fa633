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

/* The number in the line of TEXT that begins with NAME and ends with UNIT. */
static bool parse_line(const char *text, const char *name, const char *unit, uint64_t *out)
{
    const char *line = text;
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
    unsigned long long value = strtoull(line + name_len, &end, 10);
    if (errno != 0 || end == line + name_len || strncmp(end, unit, strlen(unit)) != 0) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

/* The value in kB of the line that begins with NAME, in bytes. */
static bool parse_kb(const char *status, const char *name, uint64_t *bytes)
{
    uint64_t kb;
    if (!parse_line(status, name, " kB", &kb)) {
        return false;
    }
    *bytes = kb * 1024u;
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

/* The text of /proc/PID/NAME, as much of it as there is room for. */
static bool read_proc(pid_t pid, const char *name, char *text, size_t room)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, room - 1);
    (void)close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    return true;
}

bool process_memory_get(pid_t pid, struct process_memory *out)
{
    char text[3072];
    return read_proc(pid, "status", text, sizeof text) && process_memory_parse(text, out);
}

bool process_written_parse(const char *io, uint64_t *bytes)
{
    return parse_line(io, "write_bytes:", "\n", bytes);
}

bool process_written_bytes(pid_t pid, uint64_t *bytes)
{
    char text[1024];
    return read_proc(pid, "io", text, sizeof text) && process_written_parse(text, bytes);
}
