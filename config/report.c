#include "config/report.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/character.h"

#define TEXT_BYTES_MAX    1024u /* of a path or text, before escaping; the rest is cut */
#define ESCAPED_BYTES_MAX 4u    /* what one byte can become: \xNN */
#define ELLIPSIS          "\xE2\x80\xA6"

void config_report_init(struct config_report *report)
{
    *report = (struct config_report){0};
}

void config_report_fini(struct config_report *report)
{
    for (size_t i = 0; i < report->len; i++) {
        free(report->problems[i].path);
        free(report->problems[i].text);
    }
    free(report->problems);
    config_report_init(report);
}

bool config_report_is_empty(const struct config_report *report)
{
    return report->len == 0 && report->omitted == 0 && !report->out_of_memory;
}

/** Write the LEN bytes at P to OUT, which has ESCAPED_BYTES_MAX for each, harmless. @return bytes written */
static size_t escape(char *out, const uint8_t *p, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *to = out;

    while (len > 0) {
        uint32_t c = 0;
        size_t taken = character_decode(p, len, &c);
        bool show = taken > 0 && !character_is_deceptive(c);

        if (taken == 0)
            taken = 1;
        for (size_t i = 0; i < taken; i++) {
            if (show) {
                *to++ = (char)p[i];
                continue;
            }
            *to++ = '\\';
            *to++ = 'x';
            *to++ = digits[p[i] >> 4];
            *to++ = digits[p[i] & 0xF];
        }
        p += taken;
        len -= taken;
    }
    return (size_t)(to - out);
}

/** A copy of TEXT that is one printable line of bounded length. @return owned; NULL without memory */
static char *printable_copy(const char *text)
{
    size_t len = strlen(text);
    size_t shown = character_cut((const uint8_t *)text, len, TEXT_BYTES_MAX);
    char *copy = malloc(shown * ESCAPED_BYTES_MAX + sizeof(ELLIPSIS));

    if (!copy)
        return NULL;
    size_t copy_len = escape(copy, (const uint8_t *)text, shown);
    memcpy(copy + copy_len, ELLIPSIS, sizeof(ELLIPSIS));
    if (shown == len)
        copy[copy_len] = '\0';
    char *fitted = realloc(copy, strlen(copy) + 1);
    return fitted ? fitted : copy;
}

static bool has_slot(struct config_report *report)
{
    if (report->len < report->cap)
        return true;
    size_t cap = report->cap > 0 ? report->cap * 2 : 8;
    struct config_problem *problems = realloc(report->problems, cap * sizeof(*problems));
    if (!problems)
        return false;
    report->problems = problems;
    report->cap = cap;
    return true;
}

void config_report_add(struct config_report *report, const char *path, const char *format, ...)
{
    char text[TEXT_BYTES_MAX + 2]; /* one byte more than is shown, so that printable_copy() sees the cut */
    struct config_problem problem;
    va_list args;

    if (report->len >= CONFIG_REPORT_PROBLEMS_MAX) {
        report->omitted++;
        return;
    }
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || !has_slot(report)) {
        report->out_of_memory = true;
        return;
    }
    problem.path = printable_copy(path);
    problem.text = printable_copy(text);
    if (!problem.path || !problem.text) {
        free(problem.path);
        free(problem.text);
        report->out_of_memory = true;
        return;
    }
    report->problems[report->len++] = problem;
}

static void print_start(FILE *stream, const char *file)
{
    char escaped[64 * ESCAPED_BYTES_MAX];

    if (!file)
        return;
    for (size_t len = strlen(file); len > 0;) {
        size_t part = character_cut((const uint8_t *)file, len, 64);
        fwrite(escaped, 1, escape(escaped, (const uint8_t *)file, part), stream);
        file += part;
        len -= part;
    }
    fputs(": ", stream);
}

void config_report_print(const struct config_report *report, FILE *stream, const char *file)
{
    for (size_t i = 0; i < report->len; i++) {
        const struct config_problem *p = &report->problems[i];

        print_start(stream, file);
        fprintf(stream, "%s%s%s\n", p->path, p->path[0] ? ": " : "", p->text);
    }
    if (report->omitted > 0) {
        print_start(stream, file);
        fprintf(stream, "%zu more problems are not shown\n", report->omitted);
    }
    if (report->out_of_memory) {
        print_start(stream, file);
        fputs("out of memory, there may be more problems\n", stream);
    }
}
