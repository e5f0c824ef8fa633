#include <stdbool.h>
#include <string.h>

#include "web/routes.h"

/* How much of PATH the pattern ROUTE stands for by its fixed part; SIZE_MAX if it does not match. REST: where the star begins. */
static size_t fixed_len(const struct http_route *route, const char *path, size_t len, size_t *rest)
{
    size_t pattern_len = strlen(route->path);
    bool has_star = pattern_len >= 2 && memcmp(route->path + pattern_len - 2, "/*", 2) == 0;
    size_t fixed = has_star ? pattern_len - 2 : pattern_len;
    if (len < fixed || memcmp(path, route->path, fixed) != 0) {
        return SIZE_MAX;
    }
    if (!has_star) {
        *rest = len;
        return len == fixed ? fixed : SIZE_MAX;
    }
    if (len > fixed && path[fixed] != '/') {
        return SIZE_MAX; /* "/topicsx" is not below "/topics" */
    }
    *rest = len > fixed ? fixed + 1 : len;
    return fixed;
}

struct route_match routes_match(enum http_method method, const char *path, size_t len)
{
    struct route_match match = {NULL, 0, len};
    size_t longest = 0;
    if (method == HTTP_HEAD) {
        method = HTTP_GET;
    }
    for (size_t i = 0; i < web_route_count; i++) {
        const struct http_route *route = &web_routes[i];
        size_t rest = len;
        size_t fixed = fixed_len(route, path, len, &rest);
        if (fixed == SIZE_MAX || (match.methods != 0 && fixed < longest)) {
            continue;
        }
        if (fixed > longest) {
            match = (struct route_match){NULL, 0, len};
            longest = fixed;
        }
        match.methods |= 1u << route->method;
        bool is_exact = strchr(route->path, '*') == NULL;
        if (route->method == method && (match.route == NULL || is_exact)) {
            match.route = route;
            match.rest = rest;
        }
    }
    return match;
}
