#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/address.h"
#include "config/json_text.h"
#include "config/option.h"
#include "config/reader.h"
#include "config/rules.h"
#include "gateway/base/assert.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

static void listener_fini(struct config_listener *listener)
{
    free(listener->name);
    OPTION_FOREACH (row) {
        if (option_is_of_listener(row))
            option_clear(row, listener);
    }
}

static void free_listeners(struct config *c)
{
    for (size_t i = 0; i < c->listeners_len; i++)
        listener_fini(&c->listeners[i]);
    free(c->listeners);
    c->listeners = NULL;
    c->listeners_len = 0;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    free_listeners(c);
    OPTION_FOREACH (row) {
        if (!option_is_of_listener(row))
            option_clear(row, c);
    }
    free(c);
}

/** Defaults without listeners. @return owned; NULL without memory */
static struct config *new_without_listeners(void)
{
    struct config *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->store.memory = !CONFIG_STORE_IS_POSSIBLE;
    OPTION_FOREACH (row) {
        if (!option_is_of_listener(row) && !option_set_default(row, c)) {
            config_free(c);
            return NULL;
        }
    }
    return c;
}

/** @return false without memory; then LISTENER can still be freed */
static bool listener_init(struct config_listener *listener, enum config_protocol protocol, const char *bind)
{
    OPTION_FOREACH (row) {
        if (option_is_of_listener(row) && !option_set_default(row, listener))
            return false;
    }
    const char *wrong = address_parse(bind, listener);
    TG_ASSERT(!wrong);
    listener->protocol = protocol;
    listener->name = strdup(bind);
    return listener->name != NULL;
}

static bool add_default_listeners(struct config *c)
{
    static const struct {
        enum config_protocol protocol;
        const char *bind;
    } listeners[] = {
        {CONFIG_PROTOCOL_MQTT, "127.0.0.1:1883"},
        {CONFIG_PROTOCOL_MQTT, "[::1]:1883"},
        {CONFIG_PROTOCOL_HTTP, "127.0.0.1:8080"},
        {CONFIG_PROTOCOL_HTTP, "[::1]:8080"},
    };
    const size_t len = sizeof(listeners) / sizeof(listeners[0]);

    c->listeners = calloc(len, sizeof(*c->listeners));
    if (!c->listeners)
        return false;
    c->listeners_len = len;
    for (size_t i = 0; i < len; i++) {
        if (!listener_init(&c->listeners[i], listeners[i].protocol, listeners[i].bind))
            return false;
        c->listeners[i].optional = c->listeners[i].address.ss_family == AF_INET6;
    }
    return true;
}

struct config *config_default(void)
{
    struct config *c = new_without_listeners();

    if (c && !add_default_listeners(c)) {
        config_free(c);
        return NULL;
    }
    return c;
}

static bool copy_listener(struct config_listener *to, const struct config_listener *from)
{
    to->name = strdup(from->name);
    if (!to->name)
        return false;
    OPTION_FOREACH (row) {
        if (option_is_of_listener(row) && !option_copy(row, to, from))
            return false;
    }
    return true;
}

struct config *config_copy(const struct config *c)
{
    struct config *copy = malloc(sizeof(*copy));

    if (!copy)
        return NULL;
    *copy = *c;
    copy->listeners_len = 0;
    OPTION_FOREACH (row) {
        if (!option_is_of_listener(row))
            option_forget(row, copy);
    }
    copy->listeners = calloc(c->listeners_len, sizeof(*copy->listeners));
    if (!copy->listeners)
        goto fail;
    copy->listeners_len = c->listeners_len;
    for (size_t i = 0; i < c->listeners_len; i++) {
        if (!copy_listener(&copy->listeners[i], &c->listeners[i]))
            goto fail;
    }
    OPTION_FOREACH (row) {
        if (!option_is_of_listener(row) && !option_copy(row, copy, c))
            goto fail;
    }
    return copy;
fail:
    config_free(copy);
    return NULL;
}

static void report_syntax(struct config_report *report, const json_error_t *error)
{
    char where[48];

    snprintf(where, sizeof(where), "line %d, column %d", error->line, error->column);
    config_report_add(report, where, "%s", error->text);
}

/** @return owned; NULL with a problem in REPORT */
static json_t *parse(const char *text, size_t len, struct config_report *report)
{
    const size_t mark_len = sizeof(BYTE_ORDER_MARK) - 1;
    json_error_t error;
    bool out_of_memory;

    if (len >= mark_len && memcmp(text, BYTE_ORDER_MARK, mark_len) == 0) {
        text += mark_len;
        len -= mark_len;
    }
    json_t *root = json_text_parse(text, len, &error, &out_of_memory);
    if (out_of_memory)
        report->out_of_memory = true;
    else if (!root)
        report_syntax(report, &error);
    return root;
}

/** Problems so far; grows with each, kept or not. */
static size_t problem_count(const struct config_report *report)
{
    return report->len + report->omitted;
}

struct config *config_load_text(const char *text, size_t len, struct config_report *report)
{
    size_t count_before = problem_count(report);
    struct config *c = NULL;
    json_t *root = NULL;

    if (len > CONFIG_FILE_BYTES_MAX) {
        config_report_add(report, "", "is larger than %u bytes", CONFIG_FILE_BYTES_MAX);
        return NULL;
    }
    root = parse(text, len, report);
    if (!root)
        return NULL;
    c = new_without_listeners();
    if (c) {
        reader_read(root, c, report);
        if (!json_object_get(root, "listeners") && !add_default_listeners(c))
            report->out_of_memory = true;
        rules_check(c, report);
    } else {
        report->out_of_memory = true;
    }
    json_decref(root);
    if (problem_count(report) > count_before || report->out_of_memory) {
        config_free(c);
        return NULL;
    }
    return c;
}

/** Read FD to its end, but at most CAP bytes. @return bytes; -1 with errno */
static ssize_t read_all(int fd, char *text, size_t cap)
{
    size_t len = 0;

    while (len < cap) {
        ssize_t n = read(fd, text + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/** Let the file that *NAME (owned) names be beside PATH, if it is named by a relative path. @return false without memory */
static bool put_beside(const char *path, char **name)
{
    const char *slash = strrchr(path, '/');
    char *joined;

    if (!*name || (*name)[0] == '/' || !slash)
        return true;
    if (asprintf(&joined, "%.*s/%s", (int)(slash - path), path, *name) < 0)
        return false;
    free(*name);
    *name = joined;
    return true;
}

struct config *config_load_file(const char *path, struct config_report *report)
{
    const size_t cap = CONFIG_FILE_BYTES_MAX + 1; /* one more, to see that a file is too large */
    struct config *c = NULL;
    char *text = NULL;
    ssize_t len = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        config_report_add(report, "", "cannot be read: %s", strerror(errno));
        return NULL;
    }
    text = malloc(cap);
    if (!text) {
        report->out_of_memory = true;
        goto out;
    }
    len = read_all(fd, text, cap);
    if (len < 0)
        config_report_add(report, "", "cannot be read: %s", strerror(errno));
    else
        c = config_load_text(text, (size_t)len, report);
    if (c && (!put_beside(path, &c->access.password_file) || !put_beside(path, &c->access.acl_file))) {
        report->out_of_memory = true;
        config_free(c);
        c = NULL;
    }
out:
    free(text);
    close(fd);
    return c;
}
