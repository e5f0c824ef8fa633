/**
 * Two walks along the option table: one tells what differs, the other gives a copy of the new configuration the
 * old values of what can't change while we run.
 */
#include "config/reload.h"

#include <stdio.h>

#include "config/option.h"
#include "config/rules.h"

#define PATH_BYTES 96u

void config_changes_init(struct config_changes *changes)
{
    config_report_init(&changes->now);
    config_report_init(&changes->connections);
    config_report_init(&changes->restart);
}

void config_changes_fini(struct config_changes *changes)
{
    config_report_fini(&changes->now);
    config_report_fini(&changes->connections);
    config_report_fini(&changes->restart);
}

static struct config_report *report_of(struct config_changes *changes, enum option_reload reload)
{
    switch (reload) {
    case OPTION_CONNECTIONS:
        return &changes->connections;
    case OPTION_RESTART:
        return &changes->restart;
    default:
        return &changes->now;
    }
}

static void add_change(struct config_report *report, const char *path, const struct option *row, const void *from,
                       const void *to)
{
    char old_text[OPTION_TEXT_BYTES], new_text[OPTION_TEXT_BYTES];

    option_text(row, from, old_text);
    option_text(row, to, new_text);
    config_report_add(report, path, "%s, was %s", new_text, old_text);
}

static void compare_listener(const struct config_listener *from, const struct config_listener *to, size_t index,
                             struct config_changes *changes)
{
    char path[PATH_BYTES];

    OPTION_FOREACH (row) {
        if (!option_is_of_listener(row) || option_equal(row, from, to))
            continue;
        snprintf(path, sizeof(path), "listeners[%zu].%s", index, option_name(row));
        add_change(report_of(changes, row->reload), path, row, from, to);
    }
}

static void compare_listeners(const struct config *from, const struct config *to, struct config_changes *changes)
{
    char path[PATH_BYTES];

    for (size_t i = 0; i < from->listeners_len || i < to->listeners_len; i++) {
        if (i < from->listeners_len && i < to->listeners_len) {
            compare_listener(&from->listeners[i], &to->listeners[i], i, changes);
            continue;
        }
        snprintf(path, sizeof(path), "listeners[%zu]", i);
        if (i < to->listeners_len)
            config_report_add(&changes->restart, path, "added: %s", to->listeners[i].name);
        else
            config_report_add(&changes->restart, path, "removed: %s", from->listeners[i].name);
    }
}

static bool has_access_files(const struct config *c)
{
    return c->access.password_file || c->access.acl_file;
}

/** Let TO have the access section of FROM. @return false without memory */
static bool keep_access_of(struct config *to, const struct config *from)
{
    OPTION_FOREACH (row) {
        if (!option_name_in(row, "access."))
            continue;
        option_clear(row, to);
        if (!option_copy(row, to, from))
            return false;
    }
    to->access.anonymous_given = from->access.anonymous_given;
    return true;
}

/** Take from IN_USE what only a restart can change. @return owned; NULL without memory */
static struct config *merge(const struct config *in_use, const struct config *next)
{
    /* Listeners are most of what stays, so start from there. */
    struct config *merged = config_copy(in_use);

    if (!merged)
        return NULL;
    OPTION_FOREACH (row) {
        if (option_is_of_listener(row) || row->reload == OPTION_RESTART)
            continue;
        option_clear(row, merged);
        if (!option_copy(row, merged, next)) {
            config_free(merged);
            return NULL;
        }
    }
    merged->access.anonymous_given = next->access.anonymous_given;
    return merged;
}

struct config *config_reload(const struct config *in_use, const struct config *next, struct config_changes *changes)
{
    struct config *merged = merge(in_use, next);
    size_t open;

    if (!merged)
        return NULL;
    /* The old listeners stay: a new text may be silent about anonymous clients because it has only local ones. */
    bool keep_access = rules_anonymous_is_missing(merged, &open);
    /* Whether there are rules at all is known to every session from its beginning. */
    keep_access = keep_access || has_access_files(in_use) != has_access_files(next);
    if (keep_access && !keep_access_of(merged, in_use)) {
        config_free(merged);
        return NULL;
    }

    OPTION_FOREACH (row) {
        if (option_is_of_listener(row) || option_equal(row, in_use, next))
            continue;
        bool kept = keep_access && option_name_in(row, "access.");
        add_change(kept ? &changes->restart : report_of(changes, row->reload), row->path, row, in_use, next);
    }
    if (in_use->store.memory != next->store.memory)
        config_report_add(&changes->restart, "store", "%s",
                          next->store.memory ? "null, was an object" : "an object, was null");
    compare_listeners(in_use, next, changes);
    return merged;
}
