#include "config/rules.h"

#include <stdio.h>

#include "config/address.h"

bool rules_anonymous_is_missing(const struct config *c, size_t *listener)
{
    if (c->access.anonymous_given || c->access.password_file)
        return false;
    for (size_t i = 0; i < c->listeners_len; i++) {
        if (!address_is_local(&c->listeners[i])) {
            *listener = i;
            return true;
        }
    }
    return false;
}

static void check_listeners_differ(const struct config *c, struct config_report *report)
{
    char path[48];

    for (size_t i = 0; i < c->listeners_len; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!address_is_same(&c->listeners[i], &c->listeners[j]))
                continue;
            snprintf(path, sizeof(path), "listeners[%zu].%s", i, c->listeners[i].unix_path ? "unix" : "bind");
            config_report_add(report, path, "is the same as that of listeners[%zu]", j);
            break;
        }
    }
}

void rules_check(const struct config *c, struct config_report *report)
{
    size_t open;

    check_listeners_differ(c, report);
    if (rules_anonymous_is_missing(c, &open))
        config_report_add(report, "access.anonymous",
                          "must be written because listeners[%zu] (%s) can be reached from other machines: "
                          "\"access\": {\"anonymous\": true} lets everybody in who can reach it, "
                          "\"access\": {\"password_file\": \"FILE\"} those with a password",
                          open, c->listeners[open].name ? c->listeners[open].name : "");
}
