#include "gateway/access/rule_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool rule_fault_set(struct rule_fault *fault, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault->line = line;
    vsnprintf(fault->text, sizeof(fault->text), format, args);
    va_end(args);
    return false;
}

static bool next_line(struct rule_lines *lines, struct bytes *line)
{
    struct bytes rest = lines->rest;
    if (rest.len == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest.data, '\n', rest.len);
    size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
    size_t used = end != NULL ? len + 1 : len;
    lines->rest = (struct bytes){rest.data + used, rest.len - used};
    lines->line++;
    while (len > 0 && rest.data[len - 1] == '\r') {
        len--;
    }
    *line = (struct bytes){rest.data, len};
    return true;
}

bool rule_lines_next(struct rule_lines *lines, struct bytes *line)
{
    while (next_line(lines, line)) {
        if (line->len == 0 || line->data[0] != '#') {
            return true;
        }
    }
    return false;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

struct bytes rule_text_trim(struct bytes text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* @return bytes read; -1 with errno */
static ssize_t read_all(int fd, uint8_t *buf, size_t cap)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read(fd, buf + len, cap - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    return (ssize_t)len;
}

bool rule_file_read(const char *path, struct bytes *out, struct rule_fault *fault)
{
    struct stat st;
    uint8_t *buf = NULL;
    ssize_t len;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait for its writer */
    if (fd < 0) {
        return rule_fault_set(fault, 0, "cannot be read: %s", strerror(errno));
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rule_fault_set(fault, 0, "is not a file");
        goto fail;
    }
    if (st.st_size > (off_t)RULE_FILE_BYTES_MAX) {
        rule_fault_set(fault, 0, "is larger than %u bytes", RULE_FILE_BYTES_MAX);
        goto fail;
    }
    buf = malloc((size_t)st.st_size + 1);
    if (buf == NULL) {
        rule_fault_set(fault, 0, "out of memory");
        goto fail;
    }
    len = read_all(fd, buf, (size_t)st.st_size + 1);
    if (len < 0 || len > (ssize_t)st.st_size) {
        rule_fault_set(fault, 0, "%s", len < 0 ? strerror(errno) : "is being written to");
        goto fail;
    }
    close(fd);
    *out = (struct bytes){buf, (size_t)len};
    return true;
fail:
    free(buf);
    close(fd);
    return false;
}
