/**
 * The table of all routes: what the HTTP side answers to, in the order of the API description. To add a route is to add a line to
 * routes.c and a handler (http.h) in a file of its own. A test program that has a table of its own does not link routes.c.
 */
#ifndef WEB_ROUTES_H
#define WEB_ROUTES_H

#include <stddef.h>

#include "web/http.h"

extern const struct http_route web_routes[];
extern const size_t web_route_count;

/** What a path can be answered with. */
struct route_match {
    const struct http_route *route; /* NULL: the path is known, but not with this method, or not at all */
    unsigned methods;               /* bit per enum http_method that the path is known with; 0: unknown path */
    size_t rest;                    /* offset in the path of what the star stands for; its length if there is no star */
};

/**
 * Find what METHOD and the decoded PATH of LEN bytes are answered with; HEAD finds GET. The longest path wins, also if only a shorter one
 * has METHOD. Any thread.
 */
struct route_match routes_match(enum http_method method, const char *path, size_t len);

#endif
