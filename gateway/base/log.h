/**
 * The log: one line per event on stderr, as text for people or JSON for machines.
 *
 *      log_info("client refused", LOG_BYTES("client_id", id.data, id.len), LOG_CODE("reason_code", 0x87),
 *               LOG_STR("reason", "topic name is empty"));
 *
 *      2026-01-31T12:00:00.123Z info client refused client_id="sensor-7" reason_code=0x87 reason="topic name is empty"
 *      {"time":"2026-01-31T12:00:00.123Z","level":"info","event":"client refused","client_id":"sensor-7",...}
 *
 * An event is a fixed text of ours; everything that varies is a typed field, so no format string meets a peer's
 * bytes. Whatever a field holds comes out harmless: control characters, line separators, text direction marks
 * and invalid UTF-8 are escaped, long values are cut. Each place in the code that logs has its own
 * budget of lines per second, so that a flood of one event neither fills a disk nor hides the others. A line is
 * one write(2); if the reader of stderr does not keep up, lines are lost and counted, and no thread waits for it.
 *
 * Secrets (passwords, tokens, keys, enhanced authentication data) are never given to these functions.
 *
 * All functions may be called from any thread, but not from a signal handler. Nothing here takes a lock.
 */
#ifndef GATEWAY_BASE_LOG_H
#define GATEWAY_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not LOG_ERR, LOG_INFO ...: those names belong to <syslog.h>, which OpenSSL's headers include. */
enum log_level {
    LOG_LEVEL_ERROR,   /* something does not work and stays so until somebody acts */
    LOG_LEVEL_WARNING, /* a peer or the machine misbehaves; we go on */
    LOG_LEVEL_INFO,    /* start, stop, clients come and go, with the reason */
    LOG_LEVEL_DEBUG,   /* for one who hunts a bug: packets, hand-overs */
};

enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
};

#define LOG_LINE_BYTES_MAX      4096u /* with the newline: what a pipe takes in one piece (PIPE_BUF) */
#define LOG_FIELD_BYTES_MAX     256u  /* of a value, before escaping; what is longer is cut and its length told */
#define LOG_LINES_PER_S_DEFAULT 100u

struct log_options {
    enum log_level level; /* this and the graver ones are written */
    enum log_format format;
    uint32_t lines_per_s; /* budget of each place that logs; 0: no limit */
};

/** Where lines go and which clock they follow; the defaults suit everyone but tests. */
struct log_sink {
    int fd;                         /* borrowed; 2 at start */
    uint64_t (*realtime_ms)(void);  /* since 1970, UTC; NULL: the system's clock */
    uint64_t (*monotonic_ms)(void); /* NULL: the system's clock */
};

/**
 * Set level, format and budget. Before the first call: info, text, LOG_LINES_PER_S_DEFAULT.
 * May be called while other threads log; a line in the making may still follow the old options.
 */
void log_configure(const struct log_options *options);

/** Redirect the log. Not to be called while another thread may log. NULL: back to stderr and the system's clocks. */
void log_set_sink(const struct log_sink *new_sink);

/**
 * Report what was held back: for each place in the code whose budget ran out in a second that is over, and for
 * lines that stderr did not take, one line with the count. Call it about once a second, from one or several
 * threads, and before exit.
 */
void log_tick(void);

/** "error", "warning", "info" or "debug". */
const char *log_level_name(enum log_level level);

enum log_field_type {
    LOG_FIELD_EVENT,
    LOG_FIELD_BYTES,
    LOG_FIELD_SIGNED,
    LOG_FIELD_UNSIGNED,
    LOG_FIELD_CODE,
    LOG_FIELD_BOOL,
    LOG_FIELD_ERRNO,
};

/** One name and value; made by the macros below, lives until the end of the log call. */
struct log_field {
    const char *name; /* static, [a-z0-9_]+ */
    enum log_field_type type;
    size_t len; /* of bytes */
    union {
        const void *bytes; /* borrowed */
        int64_t i;
        uint64_t u;
    };
};

/** LEN bytes at DATA, from anywhere; NULL if LEN is 0 is fine. */
#define LOG_BYTES(name_, data_, len_)                                                                                  \
    ((struct log_field){.name = (name_), .type = LOG_FIELD_BYTES, .len = (len_), .bytes = (data_)})

/** A NUL-terminated string; NULL is shown as empty. */
#define LOG_STR(name_, string_) log_field_string((name_), (string_))

/** A signed number. */
#define LOG_NUM(name_, value_) ((struct log_field){.name = (name_), .type = LOG_FIELD_SIGNED, .i = (int64_t)(value_)})

/** An unsigned number: counts, sizes. */
#define LOG_UNUM(name_, value_)                                                                                        \
    ((struct log_field){.name = (name_), .type = LOG_FIELD_UNSIGNED, .u = (uint64_t)(value_)})

/** An MQTT reason code or another byte that people know in hexadecimal: 0x8E in text, "0x8E" in JSON. */
#define LOG_CODE(name_, value_) ((struct log_field){.name = (name_), .type = LOG_FIELD_CODE, .u = (uint64_t)(value_)})

#define LOG_BOOL(name_, value_) ((struct log_field){.name = (name_), .type = LOG_FIELD_BOOL, .u = (value_) ? 1u : 0u})

/** The system's text for an errno value, as field "error". */
#define LOG_ERRNO(errnum_) ((struct log_field){.name = "error", .type = LOG_FIELD_ERRNO, .i = (errnum_)})

/** What LOG_STR expands to. */
struct log_field log_field_string(const char *name, const char *string);

/** Private to the macros and log.c: one per place that logs. */
struct log_site {
    const char *event; /* static text of the first field */
    enum log_level level;
    _Atomic uint64_t window;     /* second << 32 | lines written in it */
    _Atomic uint64_t suppressed; /* lines held back and not yet reported */
    atomic_bool listed;          /* is on log.c's list of places that held lines back */
    struct log_site *next;       /* of that list; written once */
};

/** Private to the macros: the least grave level that is written. */
extern _Atomic int log_threshold;

/** Private to the macros: write one line if SITE's budget allows. fields[0] is the event itself. */
void log_write(struct log_site *site, const struct log_field *fields, size_t field_count);

/** True if LEVEL is written: for callers that must prepare something costly. */
static inline bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

/**
 * Log EVENT, a string literal, with any number of LOG_ fields. Fields are evaluated only if LEVEL is on; off, the
 * call costs one relaxed load.
 */
#define log_event(level_, event_, ...)                                                                                 \
    do {                                                                                                               \
        if (log_is_on(level_)) {                                                                                       \
            static struct log_site log_site_ = {.event = "" event_, .level = (level_)};                                \
            const struct log_field log_fields_[] = {{.name = "event", .type = LOG_FIELD_EVENT}, ##__VA_ARGS__};        \
            log_write(&log_site_, log_fields_, sizeof(log_fields_) / sizeof(log_fields_[0]));                          \
        }                                                                                                              \
    } while (0)

#define log_error(...)   log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_event(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
