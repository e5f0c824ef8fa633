#include "web/forwarded.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "web/connection.h"

#define FORWARDED_VALUE_BYTES 128u /* of one value in a Forwarded header */

/* Read LEN characters at TEXT: an address, perhaps with port or brackets. IPv4 becomes ::ffff:a.b.c.d. */
static bool parse_address(const char *text, size_t len, uint8_t out[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    char copy[INET6_ADDRSTRLEN + 10]; /* "[...]:65535" */
    if (len == 0 || len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (copy[0] == '[') {
        char *end = strchr(copy, ']');
        if (end == NULL) {
            return false;
        }
        *end = '\0';
        return inet_pton(AF_INET6, copy + 1, out) == 1;
    }
    if (strchr(copy, '.') != NULL && strrchr(copy, ':') != NULL && strchr(copy, ':') == strrchr(copy, ':')) {
        *strchr(copy, ':') = '\0';
    }
    memcpy(out, mapped, sizeof mapped);
    return inet_pton(AF_INET, copy, out + sizeof mapped) == 1 || inet_pton(AF_INET6, copy, out) == 1;
}

static bool is_proxy(const struct config_http *http, const uint8_t address[16])
{
    for (size_t i = 0; i < http->trusted_proxies_len; i++) {
        if (config_network_contains(&http->trusted_proxies[i], address)) {
            return true;
        }
    }
    return false;
}

bool forwarded_find(const struct config_http *http, const char *text, char *out, size_t cap)
{
    size_t end = strlen(text);
    struct in6_addr address;
    for (;;) {
        size_t begin = end;
        while (begin > 0 && text[begin - 1] != ',') {
            begin--;
        }
        size_t from = begin + strspn(text + begin, " \t");
        size_t to = end;
        while (to > from && (text[to - 1] == ' ' || text[to - 1] == '\t')) {
            to--;
        }
        if (from > end || !parse_address(text + from, to - from, address.s6_addr)) {
            return false;
        }
        if (!is_proxy(http, address.s6_addr)) {
            break;
        }
        if (begin == 0) {
            return false;
        }
        end = begin - 1;
    }
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
        return inet_ntop(AF_INET, &address.s6_addr[12], out, (socklen_t)cap) != NULL;
    }
    return inet_ntop(AF_INET6, &address, out, (socklen_t)cap) != NULL;
}

/* Read a token or quoted string at *TEXT into OUT, NUL-terminated. @return false if it is malformed or too long */
static bool take_value(const char **text, char *out, size_t cap)
{
    const char *at = *text;
    bool quoted = *at == '"';
    size_t len = 0;
    at += quoted;
    while (quoted ? *at != '"' : *at != '\0' && strchr(";, \t\"", *at) == NULL) {
        at += quoted && *at == '\\';
        if (*at == '\0' || len + 1 >= cap) {
            return false;
        }
        out[len++] = *at++;
    }
    out[len] = '\0';
    *text = at + quoted;
    return true;
}

/* Read one element, NAME=VALUE pairs between semicolons, and put its "for" into NODE. */
static bool take_element(const char **text, char *node, size_t cap)
{
    (void)snprintf(node, cap, "unknown");
    for (;;) {
        char value[FORWARDED_VALUE_BYTES];
        *text += strspn(*text, " \t");
        const char *name = *text;
        size_t name_len = strcspn(name, "=;, \t\"");
        if (name_len == 0 || name[name_len] != '=') {
            return false;
        }
        *text += name_len + 1;
        if (!take_value(text, value, sizeof value)) {
            return false;
        }
        if (name_len == 3 && strncasecmp(name, "for", 3) == 0) {
            (void)snprintf(node, cap, "%s", value);
        }
        *text += strspn(*text, " \t");
        if (**text != ';') {
            return **text == ',' || **text == '\0';
        }
        (*text)++;
    }
}

bool forwarded_list(const char *text, char *out, size_t cap)
{
    size_t len = 0;
    for (;;) {
        char node[FORWARDED_VALUE_BYTES];
        if (!take_element(&text, node, sizeof node)) {
            return false;
        }
        int more = snprintf(out + len, cap - len, "%s%s", len > 0 ? ", " : "", node);
        if (more < 0 || (size_t)more >= cap - len || strchr(node, ',') != NULL) {
            return false;
        }
        len += (size_t)more;
        if (*text == '\0') {
            return true;
        }
        text++;
    }
}

bool forwarded_is_trusted(const struct web_connection *connection)
{
    const struct config_http *http = &web_settings(connection->owner)->config->http;
    return !connection->has_address || is_proxy(http, connection->address);
}
