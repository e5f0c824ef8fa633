/**
 * Becoming another account: root is needed to bind low ports, and for nothing afterwards.
 */
#ifndef GATEWAY_ACCOUNT_H
#define GATEWAY_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

struct account {
    const char *name; /* borrowed */
    uid_t uid;
    gid_t gid;
};

/** Look NAME (borrowed, must outlive OUT) up. @return NULL, or why there is no such account: static text */
const char *account_find(const char *name, struct account *out) __attribute__((warn_unused_result));

/**
 * Become ACCOUNT for good, with its groups, and verify that there is no way back. Whoever is that account already stays so. Main thread,
 * before there are others.
 *
 * @return NULL, or what failed: static text; errno is set if the system refused. Then the process must end.
 */
const char *account_become(const struct account *account) __attribute__((warn_unused_result));

#endif
