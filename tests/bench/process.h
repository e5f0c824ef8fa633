/**
 * What another process costs: its CPU time and its memory, as the kernel counts them.
 */
#ifndef TESTS_BENCH_PROCESS_H
#define TESTS_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_memory {
    uint64_t rss_bytes;  /* resident, shared pages and files included */
    uint64_t anon_bytes; /* resident and its own: RssAnon */
};

/**
 * CPU time, user and system, of all threads of PID, in nanoseconds. Read from its CPU clock: the same sum as utime + stime
 * in /proc/PID/stat, without their rounding to 10 ms.
 * @return true; false if there is no such process
 */
bool process_cpu_ns(pid_t pid, uint64_t *cpu_ns);

/** Memory of PID. @return true; false if there is no such process. */
bool process_memory_get(pid_t pid, struct process_memory *out);

/**
 * Bytes that PID made the kernel write to a disk, or will: each page once, however often it changes before it gets there.
 * @return true; false if there is no such process, or the kernel does not count them
 */
bool process_written_bytes(pid_t pid, uint64_t *bytes);

/** Find write_bytes in the text of a /proc/PID/io. @return true; false if it is missing. */
bool process_written_parse(const char *io, uint64_t *bytes);

/** Find VmRSS and RssAnon in the text of a /proc/PID/status. @return true; false if one is missing. */
bool process_memory_parse(const char *status, struct process_memory *out);

#endif
