/**
 * What a reload may change. Clients stay connected over a reload, so some values can only follow a restart, and
 * what a client was told at CONNECT holds for as long as it stays.
 */
#ifndef CONFIG_RELOAD_H
#define CONFIG_RELOAD_H

#include "config/config.h"
#include "config/report.h"

/** What differs between two configurations, by how it takes effect. */
struct config_changes {
    struct config_report now;         /* applies at once */
    struct config_report connections; /* applies to clients that connect from now on */
    struct config_report restart;     /* does not apply before a restart */
};

/** Make CHANGES empty. */
void config_changes_init(struct config_changes *changes);

/** Free what CHANGES holds. */
void config_changes_fini(struct config_changes *changes);

/**
 * Compare the configuration in use with a new one.
 *
 * Sorts each difference by path into CHANGES (initialised by the caller), with old and new value as its text.
 *
 * @param changes  out: one entry per path that differs
 *
 * @return owned: the configuration to use from now on, that is NEXT with the values of IN_USE where a restart is
 *         needed; NULL if memory is exhausted
 */
struct config *config_reload(const struct config *in_use, const struct config *next, struct config_changes *changes)
    __attribute__((warn_unused_result));

#endif
