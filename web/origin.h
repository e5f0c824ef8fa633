/**
 * Which pages may use the server, and under which names it may be called: the defence of a server on somebody's own machine against web
 * pages from elsewhere, which the browser on that machine lets send requests to it.
 *
 *   Host     must be a name of ours: a page whose own name was made to point here (DNS rebinding) has another one
 *   Origin   if it is sent, must be our own or one that the configuration lists
 *
 * Pure functions of text and settings. Any thread.
 */
#ifndef WEB_ORIGIN_H
#define WEB_ORIGIN_H

#include <stdbool.h>

#include "config/config.h"

enum origin {
    ORIGIN_NONE,    /* not a page's request, or one that needs no leave */
    ORIGIN_SAME,    /* our own page */
    ORIGIN_LISTED,  /* one that the configuration lists: gets CORS headers, with credentials */
    ORIGIN_FOREIGN, /* to be refused */
};

/** Host and port as in a Host header. */
struct authority {
    char host[256];  /* lower case, without brackets and without a final dot */
    unsigned port;   /* 0: none was given */
    bool is_address; /* host is an IP address */
};

/** Read TEXT, the value of a Host header. @return false if it is none */
bool authority_parse(const char *text, struct authority *out) __attribute__((warn_unused_result));

/** What this machine calls itself, in lower case. */
struct own_name {
    const char *name;   /* without its domain; "": unknown */
    const char *domain; /* that it says it is in; "": none */
};

/**
 * May the server be called HOST? IS_LOCAL: it was reached through a listener that only this machine can reach; then localhost and loopback
 * addresses, else any address and OWN name too: alone, in its domain, or in one that is only ever used in local networks (".local", ".lan").
 * In any other domain that name can be everybody's, and be made to mean this machine for a page from there. And what HTTP lists.
 */
bool host_is_allowed(const struct config_http *http, struct own_name own, bool is_local, const struct authority *host);

/** Judge TEXT, the value of an Origin header (NULL: there is none), of a request to HOST. */
enum origin origin_judge(const struct config_http *http, const struct authority *host, const char *text);

#endif
