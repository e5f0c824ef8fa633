/* Claims about the log: one line an event, harmless whatever a field holds, bounded when one place floods. */
#include "gateway/base/log.h"

#include "tests/check_main.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

static int pipe_fds[2];
static uint64_t monotonic_ms;

static uint64_t fixed_realtime_ms(void)
{
    return UINT64_C(1769860800123); /* 2026-01-31T12:00:00.123Z */
}

static uint64_t fixed_monotonic_ms(void)
{
    return monotonic_ms;
}

static void setup(void)
{
    ck_assert_int_eq(pipe(pipe_fds), 0);
    monotonic_ms = 1000000;
    struct log_sink sink = {pipe_fds[1], fixed_realtime_ms, fixed_monotonic_ms};
    log_set_sink(&sink);
}

static void teardown(void)
{
    log_set_sink(NULL);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void configure(enum log_level level, enum log_format format, uint32_t lines_per_s)
{
    struct log_options options = {level, format, lines_per_s};
    log_configure(&options);
}

/* What was written so far; a newline of our own marks the end, so that reading never waits. */
static const char *written(void)
{
    static char text[65536];
    size_t len = 0;
    ck_assert_int_eq(write(pipe_fds[1], "\x04", 1), 1);
    while (len == 0 || text[len - 1] != '\x04') {
        ssize_t n = read(pipe_fds[0], text + len, sizeof(text) - len);
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
    }
    text[len - 1] = '\0';
    return text;
}

START_TEST(writes_one_text_line_with_time_level_and_fields)
{
    configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 0);
    log_info("client refused", LOG_BYTES("client_id", "sensor-7", 8), LOG_CODE("reason_code", 0x87), LOG_NUM("n", -3));
    ck_assert_str_eq(written(),
                     "2026-01-31T12:00:00.123Z info client refused client_id=\"sensor-7\" reason_code=0x87 n=-3\n");
}
END_TEST

START_TEST(stays_silent_above_its_level)
{
    configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, 0);
    log_info("client refused", LOG_NUM("n", 1));
    ck_assert_str_eq(written(), "");
    ck_assert(!log_is_on(LOG_LEVEL_INFO));
    ck_assert(log_is_on(LOG_LEVEL_ERROR));
}
END_TEST

/* Every pair of bytes as a client's field: the line has no control byte but its newline, and as JSON it parses. */
START_TEST(escapes_whatever_a_client_sends)
{
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second += 3) {
            char bytes[2] = {(char)first, (char)second};
            configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 0);
            log_info("client refused", LOG_BYTES("client_id", bytes, 2));
            const char *line = written();
            ck_assert_ptr_eq(strpbrk(line, "\n"), line + strlen(line) - 1);
            for (const char *c = line; c[1] != '\0'; c++) {
                ck_assert((unsigned char)*c >= 0x20 && *c != 0x7f);
            }
            configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, 0);
            log_info("client refused", LOG_BYTES("client_id", bytes, 2));
            json_error_t error;
            json_t *json = json_loads(written(), JSON_ALLOW_NUL, &error);
            ck_assert_msg(json != NULL, "bytes %02x %02x: %s", first, second, error.text);
            ck_assert(json_is_string(json_object_get(json, "client_id")));
            json_decref(json);
        }
    }
}
END_TEST

START_TEST(cuts_a_long_field)
{
    static char id[5000];
    memset(id, 'x', sizeof(id));
    configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 0);
    log_info("client refused", LOG_BYTES("client_id", id, sizeof(id)));
    const char *line = written();
    ck_assert_uint_lt(strlen(line), 2 * LOG_FIELD_BYTES_MAX);
    ck_assert_ptr_nonnull(strstr(line, "5000"));
}
END_TEST

START_TEST(holds_back_a_flood_from_one_place_and_tells_how_much)
{
    configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 10);
    for (int i = 0; i < 50; i++) {
        log_info("flood", LOG_NUM("n", i));
    }
    const char *text = written();
    ck_assert_ptr_nonnull(strstr(text, "n=9\n"));
    ck_assert_ptr_null(strstr(text, "n=10\n"));
    monotonic_ms += 2000;
    log_tick();
    text = written();
    ck_assert_ptr_nonnull(strstr(text, "40"));
    ck_assert_ptr_nonnull(strstr(text, "flood"));
}
END_TEST

static Suite *log_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("line");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, writes_one_text_line_with_time_level_and_fields);
    tcase_add_test(tcase, stays_silent_above_its_level);
    tcase_add_test(tcase, escapes_whatever_a_client_sends);
    tcase_add_test(tcase, cuts_a_long_field);
    tcase_add_test(tcase, holds_back_a_flood_from_one_place_and_tells_how_much);
    suite_add_tcase(suite, tcase);
    return suite;
}

CHECK_MAIN(log_suite)
