/* What a handler may ask of its request. */
#include "web/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <netinet/in.h>

#include "gateway/net/listener.h"
#include "gateway/net/worker.h"
#include "web/arena.h"
#include "web/forwarded.h"
#include "web/http_connection.h"
#include "web/http_request.h"

const char *http_method_name(enum http_method method)
{
    static const char *const names[HTTP_METHODS] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    return names[method];
}

enum http_method http_method(const struct http_request *request)
{
    return request->method == HTTP_HEAD ? HTTP_GET : (enum http_method)request->method;
}

bool http_is_head(const struct http_request *request)
{
    return request->is_head;
}

const struct http_route *http_route(const struct http_request *request)
{
    return request->route;
}

struct bytes http_path(const struct http_request *request)
{
    return (struct bytes){(const uint8_t *)request->path, request->path_len};
}

struct bytes http_path_rest(const struct http_request *request)
{
    return (struct bytes){(const uint8_t *)request->path + request->rest, request->path_len - request->rest};
}

void *http_alloc(struct http_request *request, size_t len)
{
    return arena_alloc(&request->memory, len);
}

struct arena *http_arena(struct http_request *request)
{
    return &request->memory;
}

/* --- query ------------------------------------------------------------------------------------------------------- */

bool http_query_at(const struct http_request *request, size_t index, struct bytes *name, struct bytes *value)
{
    if (index >= request->params_len) {
        return false;
    }
    *name = request->params[index].name;
    *value = request->params[index].value;
    return true;
}

struct bytes http_query_nth(const struct http_request *request, const char *name, size_t index)
{
    struct bytes wanted = bytes_from_string(name);
    for (size_t i = 0; i < request->params_len; i++) {
        if (bytes_equal(request->params[i].name, wanted) && index-- == 0) {
            return request->params[i].value;
        }
    }
    return (struct bytes){NULL, 0};
}

struct bytes http_query(const struct http_request *request, const char *name)
{
    return http_query_nth(request, name, 0);
}

/* @return false if VALUE is no decimal number from MIN to MAX */
static bool parse_number(struct bytes value, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned)value.data[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    if (value.len == 0 || number < min || number > max) {
        return false;
    }
    *out = number;
    return true;
}

bool http_query_number(struct http_request *request, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
    struct bytes value = http_query(request, name);
    if (value.data == NULL || parse_number(value, min, max, out)) {
        return true;
    }
    http_problem(request, 400, "query parameter %s must be a number from %llu to %llu", name, (unsigned long long)min,
                 (unsigned long long)max);
    return false;
}

bool http_query_bool(struct http_request *request, const char *name, bool *out)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"true", true}, {"1", true}, {"", true}, {"false", false}, {"0", false}};
    struct bytes value = http_query(request, name);
    if (value.data == NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (bytes_equal(value, bytes_from_string(words[i].text))) {
            *out = words[i].value;
            return true;
        }
    }
    http_problem(request, 400, "query parameter %s must be true or false", name);
    return false;
}

/* --- headers and body -------------------------------------------------------------------------------------------- */

struct bytes http_header(struct http_request *request, const char *name)
{
    struct lws *wsi = request->connection->wsi;
    int len = lws_guard_header_len(wsi, name);
    char *value = len < 0 ? NULL : http_alloc(request, (size_t)len + 1);
    if (value == NULL) {
        return (struct bytes){NULL, 0};
    }
    int copied = lws_guard_header(wsi, name, value, (size_t)len + 1);
    while (copied > 0 && (value[copied - 1] == ' ' || value[copied - 1] == '\t')) {
        value[--copied] = '\0';
    }
    return (struct bytes){(const uint8_t *)value, copied > 0 ? (size_t)copied : 0};
}

struct bytes http_body(const struct http_request *request)
{
    return (struct bytes){request->body, request->body_len};
}

bool http_has_body(const struct http_request *request)
{
    return request->has_length;
}

uint8_t *http_take_body(struct http_request *request, size_t *len)
{
    uint8_t *body = request->body;
    *len = request->body_len;
    request->body = NULL;
    request->body_len = request->body_cap = 0;
    return body;
}

/* --- where it runs ----------------------------------------------------------------------------------------------- */

#define PEER_BYTES 160u

const char *http_peer(struct http_request *request)
{
    char *text = http_alloc(request, PEER_BYTES);
    if (text == NULL) {
        return "";
    }
    web_connection_describe(request->connection, text, PEER_BYTES);
    return text;
}

bool http_is_secure(struct http_request *request)
{
    return forwarded_is_trusted(request->connection) &&
           bytes_equal(http_header(request, "x-forwarded-proto"), bytes_from_string("https"));
}

bool http_is_from_here(struct http_request *request)
{
    const struct web_connection *connection = request->connection;
    struct in6_addr address;
    if (connection->listener->has_proxy_header || lws_guard_header_len(connection->wsi, "x-forwarded-for") >= 0 ||
        lws_guard_header_len(connection->wsi, "forwarded") >= 0) {
        return false;
    }
    if (!connection->has_address) {
        return true;
    }
    memcpy(&address, connection->address, sizeof address);
    return IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127);
}

const struct request_stats *http_request_stats(const struct http_request *request, unsigned index)
{
    return web_request_stats(request->connection->owner, index);
}

struct worker *http_worker(const struct http_request *request)
{
    return request->connection->owner->worker;
}

struct place *http_place(const struct http_request *request)
{
    return request->connection->owner->worker->place;
}

struct timer_wheel *http_timers(const struct http_request *request)
{
    return request->connection->owner->timers;
}

uint64_t http_now_ms(const struct http_request *request)
{
    return web_now_ms(request->connection->owner);
}

const struct web_settings *http_settings(const struct http_request *request)
{
    return web_settings(request->connection->owner);
}

struct http_parts *http_parts(const struct http_request *request)
{
    return &request->connection->owner->parts;
}

const uint8_t *http_secret(const struct http_request *request)
{
    return web_secret(request->connection->owner);
}

bool http_is_ready(const struct http_request *request)
{
    return web_is_ready(request->connection->owner);
}

struct store *http_store(const struct http_request *request)
{
    return web_store(request->connection->owner);
}

struct backup *http_backup(const struct http_request *request)
{
    return web_backup(request->connection->owner);
}

bool http_recovery(const struct http_request *request, uint64_t *done, uint64_t *total)
{
    web_recovery(request->connection->owner, done, total);
    return web_is_starting(request->connection->owner) && *total > 0;
}
