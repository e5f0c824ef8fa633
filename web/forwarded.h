/**
 * Whom a request is really from, when it comes through a reverse proxy that the configuration trusts.
 */
#ifndef WEB_FORWARDED_H
#define WEB_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct web_connection;

/**
 * Find in TEXT, the value of X-Forwarded-For ("client, proxy1, proxy2"), the last address that is not one of HTTP's trusted proxies: what
 * stands further left, anybody can have written. Any thread.
 *
 * @return false if there is none; else OUT (of CAP >= INET6_ADDRSTRLEN bytes) is the address as text
 */
bool forwarded_find(const struct config_http *http, const char *text, char *out, size_t cap)
    __attribute__((warn_unused_result));

/**
 * Rewrite TEXT, the value of Forwarded [RFC 7239], as that of X-Forwarded-For: the "for" of each element, "unknown" where there is none.
 * Any thread.
 *
 * @return false if TEXT is malformed or OUT of CAP bytes is too small
 */
bool forwarded_list(const char *text, char *out, size_t cap) __attribute__((warn_unused_result));

/** True if CONNECTION comes from a trusted proxy: from one of its networks, or over a unix socket. The worker's thread. */
bool forwarded_is_trusted(const struct web_connection *connection);

#endif
