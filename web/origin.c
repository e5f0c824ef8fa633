#include "web/origin.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PORT_MAX 65535u

/* Read the decimal port that TEXT is. */
static bool parse_port(const char *text, unsigned *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    unsigned long port = strtoul(text, NULL, 10);
    if (port == 0 || port > PORT_MAX) {
        return false;
    }
    *out = (unsigned)port;
    return true;
}

static bool is_ipv4(const char *text)
{
    struct in_addr address;
    return inet_pton(AF_INET, text, &address) == 1;
}

static bool is_ipv6(const char *text)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* Copy LEN characters of a host name, lower case. @return false if they do not fit or are no name */
static bool copy_name(const char *text, size_t len, char *out, size_t cap)
{
    if (len > 0 && text[len - 1] == '.') {
        len--; /* "localhost." is localhost */
    }
    if (len == 0 || len >= cap) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!isalnum(c) && c != '-' && c != '.' && c != '_') {
            return false;
        }
        out[i] = (char)tolower(c);
    }
    out[len] = '\0';
    return true;
}

bool authority_parse(const char *text, struct authority *out)
{
    const char *rest;
    out->port = 0;
    if (text[0] == '[') {
        size_t len = strcspn(text + 1, "]");
        if (len >= sizeof out->host || text[1 + len] != ']') {
            return false;
        }
        memcpy(out->host, text + 1, len);
        out->host[len] = '\0';
        out->is_address = is_ipv6(out->host);
        if (!out->is_address) {
            return false;
        }
        rest = text + len + 2;
    } else {
        size_t len = strcspn(text, ":");
        if (!copy_name(text, len, out->host, sizeof out->host)) {
            return false;
        }
        out->is_address = is_ipv4(out->host);
        rest = text + len;
    }
    return *rest == '\0' || (*rest == ':' && parse_port(rest + 1, &out->port));
}

static bool is_loopback(const struct authority *host)
{
    struct in6_addr six;
    struct in_addr four;
    if (!host->is_address) {
        return strcmp(host->host, "localhost") == 0;
    }
    if (inet_pton(AF_INET, host->host, &four) == 1) {
        return (ntohl(four.s_addr) >> 24) == 127;
    }
    return inet_pton(AF_INET6, host->host, &six) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127));
}

/* HOST is OWN name, alone or in a domain where nobody else can have it. */
static bool is_own_name(const char *host, struct own_name own)
{
    /* Reserved for such use, or known to be used so and never to be delegated. */
    static const char *const local_domains[] = {"local", "lan",         "home.arpa", "internal", "home",
                                                "corp",  "localdomain", "private",   "intranet"};
    size_t len = strlen(own.name);
    if (len == 0 || strncmp(host, own.name, len) != 0) {
        return false;
    }
    if (host[len] != '.') {
        return host[len] == '\0';
    }
    const char *domain = host + len + 1;
    bool is_own = own.domain[0] != '\0' && strcmp(domain, own.domain) == 0;
    for (size_t i = 0; i < sizeof local_domains / sizeof local_domains[0] && !is_own; i++) {
        is_own = strcmp(domain, local_domains[i]) == 0;
    }
    return is_own;
}

bool host_is_allowed(const struct config_http *http, struct own_name own, bool is_local, const struct authority *host)
{
    for (size_t i = 0; i < http->hosts_len; i++) {
        if (strcmp(http->hosts[i], "*") == 0 || strcasecmp(http->hosts[i], host->host) == 0) {
            return true;
        }
    }
    return is_loopback(host) || (!is_local && (host->is_address || is_own_name(host->host, own)));
}

/* The origin of our own pages is what the browser called us, by either scheme: behind a proxy we do not know which it was. */
static bool is_same(const struct authority *host, const char *origin)
{
    struct authority other;
    bool secure = strncasecmp(origin, "https://", 8) == 0;
    if (!secure && strncasecmp(origin, "http://", 7) != 0) {
        return false;
    }
    if (!authority_parse(origin + (secure ? 8 : 7), &other) || strcmp(other.host, host->host) != 0) {
        return false;
    }
    unsigned standard = secure ? 443 : 80;
    return (other.port != 0 ? other.port : standard) == (host->port != 0 ? host->port : standard);
}

enum origin origin_judge(const struct config_http *http, const struct authority *host, const char *text)
{
    if (text == NULL) {
        return ORIGIN_NONE;
    }
    if (is_same(host, text)) {
        return ORIGIN_SAME;
    }
    for (size_t i = 0; i < http->origins_len; i++) {
        if (strcasecmp(http->origins[i], text) == 0) {
            return ORIGIN_LISTED;
        }
    }
    return ORIGIN_FOREIGN;
}
