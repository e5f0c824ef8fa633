/**
 * The log's machinery: budget, escaping, one write per line.
 *
 * A line is built in a buffer of the calling thread and leaves in one write(2) of at most PIPE_BUF bytes, which
 * the kernel does not mix with others; so no lock is needed. Before the write, poll(2) asks whether stderr has
 * room: a worker must not stand still because the reader of a pipe does.
 *
 * The budget is one 64-bit word per place that logs, changed by compare-and-swap:
 *
 *      63            32 31             0
 *     +----------------+----------------+
 *     | second (mono.) | lines in it    |
 *     +----------------+----------------+
 *
 * A place that runs out of it is put on a list, once and for ever, for log_tick() to find.
 */
#include "gateway/base/log.h"

#include "gateway/base/character.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STDERR_FD     2
#define CUT_RESERVE   16u /* room kept for `,"cut":true` and what closes the line */
#define TIME_TEXT_LEN 20u /* 2026-01-31T12:00:00. */
#define MS_PER_S      1000u
#define REPLACEMENT   0xFFFDu

/** A line in the making. owner: the calling thread */
struct line {
    char text[LOG_LINE_BYTES_MAX];
    size_t len;
    size_t limit; /* of len */
    bool overflow;
};

_Atomic int log_threshold = LOG_LEVEL_INFO;

static _Atomic int current_format = LOG_FORMAT_TEXT;
static _Atomic uint32_t lines_per_s = LOG_LINES_PER_S_DEFAULT;
static struct log_site *_Atomic limited_sites; /* all that ever ran out of budget */
static _Atomic uint64_t lost_lines;
static atomic_bool torn; /* the last write ended inside a line */

/* Set while one thread runs. */
static struct log_sink sink = {.fd = STDERR_FD};

static uint64_t system_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / 1000000u;
}

static uint64_t realtime_ms(void)
{
    return sink.realtime_ms ? sink.realtime_ms() : system_ms(CLOCK_REALTIME);
}

static uint32_t monotonic_s(void)
{
    uint64_t ms = sink.monotonic_ms ? sink.monotonic_ms() : system_ms(CLOCK_MONOTONIC);

    return (uint32_t)(ms / MS_PER_S);
}

void log_configure(const struct log_options *options)
{
    atomic_store_explicit(&current_format, (int)options->format, memory_order_relaxed);
    atomic_store_explicit(&lines_per_s, options->lines_per_s, memory_order_relaxed);
    atomic_store_explicit(&log_threshold, (int)options->level, memory_order_relaxed);
}

void log_set_sink(const struct log_sink *new_sink)
{
    sink = new_sink ? *new_sink : (struct log_sink){.fd = STDERR_FD};
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARNING] = "warning",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
    };

    return (size_t)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown";
}

struct log_field log_field_string(const char *name, const char *string)
{
    return LOG_BYTES(name, string, string ? strlen(string) : 0);
}

static void put(struct line *line, const char *bytes, size_t len)
{
    if (len > line->limit - line->len) {
        line->overflow = true;
        return;
    }
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void put_string(struct line *line, const char *string)
{
    put(line, string, strlen(string));
}

static void __attribute__((format(printf, 2, 3))) put_format(struct line *line, const char *format, ...)
{
    char text[32];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len > 0)
        put(line, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static void put_json_escape(struct line *line, uint32_t c)
{
    if (c > 0xFFFF) {
        put_format(line, "\\u%04x", 0xD7C0u + (c >> 10));
        c = 0xDC00u + (c & 0x3FFu);
    }
    put_format(line, "\\u%04x", c);
}

/** A value in quotes. Text escapes bytes (\xNN) and can be undone; JSON escapes characters, bad bytes become U+FFFD. */
static void put_quoted(struct line *line, enum log_format format, const uint8_t *p, size_t len)
{
    while (len > 0 && !line->overflow) {
        uint32_t c = REPLACEMENT;
        size_t taken = character_decode(p, len, &c);
        bool escape = taken == 0 || character_is_deceptive(c);

        if (taken == 0)
            taken = 1;
        if (escape && format == LOG_FORMAT_JSON) {
            put_json_escape(line, c);
        } else if (escape) {
            for (size_t i = 0; i < taken; i++)
                put_format(line, "\\x%02x", p[i]);
        } else {
            if (c == '"' || c == '\\')
                put(line, "\\", 1);
            put(line, (const char *)p, taken);
        }
        p += taken;
        len -= taken;
    }
}

static void put_name(struct line *line, enum log_format format, const char *name, const char *suffix)
{
    bool json = format == LOG_FORMAT_JSON;

    put_string(line, json ? ",\"" : " ");
    put_string(line, name);
    put_string(line, suffix);
    put_string(line, json ? "\":" : "=");
}

static void put_bytes(struct line *line, enum log_format format, const struct log_field *field)
{
    size_t shown = character_cut(field->bytes, field->len, LOG_FIELD_BYTES_MAX);

    put_string(line, "\"");
    put_quoted(line, format, field->bytes, shown);
    put_string(line, shown < field->len ? "\xE2\x80\xA6\"" : "\"");
    if (shown < field->len) {
        put_name(line, format, field->name, "_len");
        put_format(line, "%zu", field->len);
    }
}

static void put_field(struct line *line, enum log_format format, const struct log_field *field)
{
    put_name(line, format, field->name, "");
    switch (field->type) {
    case LOG_FIELD_EVENT:
    case LOG_FIELD_BYTES:
        put_bytes(line, format, field);
        break;
    case LOG_FIELD_SIGNED:
        put_format(line, "%" PRId64, field->i);
        break;
    case LOG_FIELD_UNSIGNED:
        put_format(line, "%" PRIu64, field->u);
        break;
    case LOG_FIELD_CODE:
        put_format(line, format == LOG_FORMAT_JSON ? "\"0x%02" PRIX64 "\"" : "0x%02" PRIX64, field->u);
        break;
    case LOG_FIELD_BOOL:
        put_string(line, field->u ? "true" : "false");
        break;
    case LOG_FIELD_ERRNO: {
        /* glibc's strerror() keeps its buffer per thread. */
        struct log_field text = log_field_string(field->name, strerror((int)field->i));
        put_bytes(line, format, &text);
        break;
    }
    }
}

/** Time, level and event: always fit. */
static void put_head(struct line *line, enum log_format format, enum log_level level, const char *event)
{
    /* A second's text is made once per thread: gmtime_r() takes a lock inside the C library. */
    static _Thread_local time_t known_s = -1;
    static _Thread_local char known_text[TIME_TEXT_LEN + 1];
    uint64_t now_ms = realtime_ms();
    time_t now_s = (time_t)(now_ms / MS_PER_S);
    bool json = format == LOG_FORMAT_JSON;

    if (now_s != known_s) {
        struct tm utc;
        if (gmtime_r(&now_s, &utc) &&
            strftime(known_text, sizeof(known_text), "%Y-%m-%dT%H:%M:%S.", &utc) == TIME_TEXT_LEN)
            known_s = now_s;
    }
    put_string(line, json ? "{\"time\":\"" : "");
    put_string(line, known_text);
    put_format(line, "%03uZ", (unsigned)(now_ms % MS_PER_S));
    put_string(line, json ? "\",\"level\":\"" : " ");
    put_string(line, log_level_name(level));
    if (json) {
        struct log_field field = log_field_string("event", event);
        put_string(line, "\"");
        put_field(line, format, &field);
    } else {
        put_string(line, " ");
        put_string(line, event);
    }
}

static bool has_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

/** One write. @return false if the reader of stderr did not take it; then it is lost and counted */
static bool write_line(const char *text, size_t len)
{
    ssize_t written = -1;

    if (has_room(sink.fd)) {
        do {
            written = write(sink.fd, text, len);
        } while (written < 0 && errno == EINTR);
    }
    if (written == (ssize_t)len)
        return true;
    atomic_fetch_add_explicit(&lost_lines, 1, memory_order_relaxed);
    if (written > 0)
        atomic_store_explicit(&torn, true, memory_order_relaxed);
    return false;
}

/** Make a line and write it. @return false if it was lost */
static bool write_fields(enum log_level level, const char *event, const struct log_field *fields, size_t field_count)
{
    static _Thread_local struct line line;
    enum log_format format = (enum log_format)atomic_load_explicit(&current_format, memory_order_relaxed);

    line.len = 0;
    line.limit = sizeof(line.text) - CUT_RESERVE;
    line.overflow = false;
    if (atomic_exchange_explicit(&torn, false, memory_order_relaxed))
        put(&line, "\n", 1);
    put_head(&line, format, level, event);
    for (size_t i = 0; i < field_count && !line.overflow; i++) {
        size_t before = line.len;
        put_field(&line, format, &fields[i]);
        if (line.overflow)
            line.len = before;
    }
    line.limit = sizeof(line.text);
    if (line.overflow)
        put_string(&line, format == LOG_FORMAT_JSON ? ",\"cut\":true" : " cut=true");
    put_string(&line, format == LOG_FORMAT_JSON ? "}\n" : "\n");
    return write_line(line.text, line.len);
}

/** Take one line from SITE's budget. @return false if there is none left in this second */
static bool site_take(struct log_site *site, uint32_t now_s)
{
    uint32_t budget = atomic_load_explicit(&lines_per_s, memory_order_relaxed);
    uint64_t seen = atomic_load_explicit(&site->window, memory_order_relaxed);
    uint64_t next;

    do {
        /* A thread that read its clock a moment ago may come late: it counts in the newer second. */
        if ((int32_t)(now_s - (uint32_t)(seen >> 32)) > 0)
            next = (uint64_t)now_s << 32 | 1u;
        else if (budget != 0 && (uint32_t)seen >= budget)
            return false;
        else
            next = (uint32_t)seen == UINT32_MAX ? seen : seen + 1;
    } while (
        !atomic_compare_exchange_weak_explicit(&site->window, &seen, next, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void site_suppress(struct log_site *site)
{
    atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
    if (atomic_exchange_explicit(&site->listed, true, memory_order_relaxed))
        return;
    site->next = atomic_load_explicit(&limited_sites, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&limited_sites, &site->next, site, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

static void site_report_suppressed(struct log_site *site)
{
    uint64_t count = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);

    if (count == 0 || !log_is_on(site->level))
        return;
    const struct log_field fields[] = {LOG_STR("of", site->event), LOG_UNUM("count", count)};
    (void)write_fields(site->level, "lines suppressed", fields, sizeof(fields) / sizeof(fields[0]));
}

void log_write(struct log_site *site, const struct log_field *fields, size_t field_count)
{
    int saved_errno = errno;

    if (!site_take(site, monotonic_s())) {
        site_suppress(site);
    } else {
        if (atomic_load_explicit(&site->suppressed, memory_order_relaxed) != 0)
            site_report_suppressed(site);
        (void)write_fields(site->level, site->event, fields + 1, field_count - 1);
    }
    errno = saved_errno;
}

void log_tick(void)
{
    int saved_errno = errno;
    uint32_t now_s = monotonic_s();
    struct log_site *site = atomic_load_explicit(&limited_sites, memory_order_acquire);

    for (; site; site = site->next) {
        uint64_t window = atomic_load_explicit(&site->window, memory_order_relaxed);
        if ((int32_t)(now_s - (uint32_t)(window >> 32)) > 0)
            site_report_suppressed(site);
    }
    if (atomic_load_explicit(&lost_lines, memory_order_relaxed) != 0 && has_room(sink.fd)) {
        uint64_t lost = atomic_exchange_explicit(&lost_lines, 0, memory_order_relaxed);
        const struct log_field field = LOG_UNUM("count", lost);
        if (!write_fields(LOG_LEVEL_WARNING, "log lines lost", &field, 1))
            atomic_fetch_add_explicit(&lost_lines, lost - 1, memory_order_relaxed);
    }
    errno = saved_errno;
}
