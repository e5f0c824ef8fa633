/* From the library's callbacks to a request, and from its answer back to the connection.
 *
 * A callback that has seen a request through says settle(): the library hears that the transaction is over, or is told to close. An answer
 * that is finished later says the same from outside. */
#include "web/http_connection.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "gateway/access/access.h"
#include "gateway/base/assert.h"
#include "gateway/base/log.h"
#include "gateway/broker/place_publish.h"
#include "gateway/net/listener.h"
#include "gateway/net/worker.h"
#include "protocol/utf8.h"
#include "web/forwarded.h"
#include "web/http_login.h"
#include "web/http_request.h"
#include "web/request_stats.h"
#include "web/routes.h"
#include "web/static_files.h"
#include "web/ws.h"

#define DISCARD_MAX   (64u * 1024u) /* of the body of a request that is refused, to keep the connection */
#define BODY_FIRST    4096u         /* bytes reserved for a body when it begins to come */
#define HOST_BYTES    300u
#define ORIGIN_BYTES  300u
#define REFUSAL_BYTES 1024u
#define POLL_BATCH    128u
#define PARAMS_BYTES  300u /* for the names of a route's parameters */

#define PARAM_NAME_SHOWN 64u /* bytes; nobody means a longer one */

static const struct config_http *http_config(const struct web_connection *connection)
{
    return &web_settings(connection->owner)->config->http;
}

/* --- refusals without a request ---------------------------------------------------------------------------------- */

void http_refuse(struct web_connection *connection, unsigned status, const char *detail)
{
    char text[REFUSAL_BYTES];
    if (connection->state != WEB_IDLE || connection->is_refused) {
        return;
    }
    struct iovec iov = {text, http_write_refusal(text, sizeof text, status, detail)};
    connection->is_refused = true;
    connection->state = WEB_CLOSING;
    request_stats_count(connection->owner->requests, NULL, status, 0);
    connection->wants_linger = true;
    if (lws_guard_send(connection->wsi, &iov, 1) > 0) {
        char peer[160];
        web_connection_describe(connection, peer, sizeof peer);
        log_debug("request refused", LOG_STR("peer", peer), LOG_UNUM("status", status), LOG_STR("reason", detail));
    }
}

/* --- Host and Origin --------------------------------------------------------------------------------------------- */

/* The origin that a page says it is from: NULL if none does. @return false if it is too long to be one */
static bool read_origin(struct web_connection *connection, char *buf, size_t cap, const char **origin)
{
    int len = lws_guard_header(connection->wsi, "origin", buf, cap);
    *origin = len > 0 ? buf : NULL;
    return len >= 0;
}

static const char no_valid_host[] = "one valid Host header is needed";

/* @return 0, or the status to refuse with. HOST is set if 0 or the verdict is about the origin. */
static unsigned check_host(struct web_connection *connection, struct authority *host, const char **detail)
{
    char text[HOST_BYTES];
    const struct web_settings *settings = web_settings(connection->owner);
    int len = lws_guard_header(connection->wsi, "host", text, sizeof text);
    if (len <= 0 || !authority_parse(text, host)) {
        *detail = no_valid_host;
        return 400;
    }
    bool is_local = connection->listener->is_local;
    struct own_name own = {settings->host_name, settings->host_domain};
    if (!host_is_allowed(&settings->config->http, own, is_local, host)) {
        *detail = "this server does not go by the name in the Host header; the setting http.hosts lists others";
        return 421;
    }
    return 0;
}

static unsigned check_host_and_origin(struct web_connection *connection, enum origin *verdict, char *origin_buf,
                                      const char **origin, const char **detail)
{
    struct authority host;
    unsigned status = check_host(connection, &host, detail);
    if (status != 0) {
        return status;
    }
    *verdict = ORIGIN_FOREIGN;
    if (read_origin(connection, origin_buf, ORIGIN_BYTES, origin)) {
        *verdict = origin_judge(http_config(connection), &host, *origin);
    }
    if (*verdict == ORIGIN_FOREIGN) {
        *detail = "pages of this origin may not use the server; the setting http.origins lists those that may";
        return 403;
    }
    return 0;
}

unsigned http_check_origin(struct web_connection *connection, const char **detail)
{
    char buf[ORIGIN_BYTES];
    const char *origin;
    enum origin verdict;
    return check_host_and_origin(connection, &verdict, buf, &origin, detail);
}

void http_learn_forwarded(struct web_connection *connection)
{
    char text[1024], list[1024], address[INET6_ADDRSTRLEN];
    free(connection->forwarded);
    connection->forwarded = NULL;
    if (!forwarded_is_trusted(connection)) {
        return;
    }
    if (lws_guard_header(connection->wsi, "x-forwarded-for", text, sizeof text) <= 0) {
        if (lws_guard_header(connection->wsi, "forwarded", list, sizeof list) <= 0 ||
            !forwarded_list(list, text, sizeof text)) {
            return;
        }
    }
    if (forwarded_find(http_config(connection), text, address, sizeof address)) {
        connection->forwarded = strdup(address); /* without memory the proxy's address is shown */
    }
}

/* --- a request begins -------------------------------------------------------------------------------------------- */

static void request_free(struct http_request *request)
{
    struct web_worker *owner = request->connection->owner;
    if (request->is_waiting) {
        TAILQ_REMOVE(&owner->waiting, request, link);
    }
    timer_wheel_stop(owner->timers, &request->deadline);
    http_login_fini(request);
    http_output_fini(request);
    arena_fini(&request->memory);
    free(request->headers);
    free(request->body);
    free(request);
}

static char *copy_text(struct http_request *request, const char *text, size_t len)
{
    char *copy = http_alloc(request, len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

static bool read_path(struct http_request *request)
{
    static const struct {
        int library;
        enum http_method method;
    } methods[] = {
        {LWSHUMETH_GET, HTTP_GET},         {LWSHUMETH_HEAD, HTTP_HEAD},   {LWSHUMETH_POST, HTTP_POST},
        {LWSHUMETH_PUT, HTTP_PUT},         {LWSHUMETH_PATCH, HTTP_PATCH}, {LWSHUMETH_DELETE, HTTP_DELETE},
        {LWSHUMETH_OPTIONS, HTTP_OPTIONS},
    };
    char *path;
    int len, method = lws_http_get_uri_and_method(request->connection->wsi, &path, &len);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (methods[i].library == method) {
            request->method = (uint8_t)methods[i].method;
            request->is_head = methods[i].method == HTTP_HEAD;
            request->path_len = (size_t)len;
            request->path = copy_text(request, path, (size_t)len);
            return request->path != NULL;
        }
    }
    return false;
}

/* Each fragment is one "name=value", decoded; an encoded '=' in a name has become '_', so the first '=' is the one. */
static bool read_query(struct http_request *request)
{
    struct lws *wsi = request->connection->wsi;
    size_t total = (size_t)lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS) + 1;
    char *text = total > 1 ? http_alloc(request, total) : NULL;
    int count = 0;
    if (total == 1) {
        return true;
    }
    while (text != NULL && lws_hdr_copy_fragment(wsi, text, (int)total, WSI_TOKEN_HTTP_URI_ARGS, count) >= 0) {
        count++;
    }
    request->params = text == NULL ? NULL : http_alloc(request, (size_t)count * sizeof(*request->params));
    if (request->params == NULL) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        int len = lws_hdr_copy_fragment(wsi, text, (int)total, WSI_TOKEN_HTTP_URI_ARGS, i);
        char *copy = len > 0 ? copy_text(request, text, (size_t)len) : NULL;
        if (len > 0 && copy == NULL) {
            return false;
        }
        if (len <= 0 || (len == 1 && copy[0] == '/')) {
            continue; /* "&&"; the library makes an empty query, "?" alone, a slash */
        }
        char *equals = memchr(copy, '=', (size_t)len);
        size_t name_len = equals != NULL ? (size_t)(equals - copy) : (size_t)len;
        size_t value_at = equals != NULL ? name_len + 1 : name_len;
        request->params[request->params_len++] = (struct http_query_param){
            {(const uint8_t *)copy, name_len},
            {(const uint8_t *)copy + value_at, (size_t)len - value_at},
        };
    }
    return true;
}

static void refuse_later(struct http_request *request, unsigned status, const char *detail)
{
    if (request->refusal == 0) {
        request->refusal = status;
        request->refusal_detail = detail;
    }
}

/* What answers the request: a route, a file, or why nothing does. */
static void find_route(struct http_request *request)
{
    struct route_match match = routes_match((enum http_method)request->method, request->path, request->path_len);
    bool is_get = request->method == HTTP_GET || request->method == HTTP_HEAD;
    request->route = match.route;
    request->rest = match.rest;
    request->allow = match.methods;
    if (web_is_starting(request->connection->owner) && (match.route == NULL || !match.route->when_starting)) {
        refuse_later(request, 503, "the gateway is starting");
        return;
    }
    if (match.route != NULL) {
        return;
    }
    if (match.methods == 0 && (is_get || request->method == HTTP_OPTIONS) &&
        web_settings(request->connection->owner)->files != NULL) {
        request->route = &static_files_route;
        request->allow = 1u << HTTP_GET;
    } else if (match.methods == 0) {
        refuse_later(request, 404, "there is nothing at this path");
    } else if (request->method != HTTP_OPTIONS) {
        refuse_later(request, 405, "the path has no such method");
    }
}

static void check_origin_of(struct http_request *request)
{
    char buf[ORIGIN_BYTES];
    const char *origin = NULL, *detail = NULL;
    enum origin verdict = ORIGIN_NONE;
    request->any_origin = request->route != NULL && request->route->any_origin;
    if (request->any_origin) {
        /* Any name will do, but there has to be one [RFC 9112, 3.2]. Two come joined by a comma. */
        char host[HOST_BYTES];
        struct authority any;
        int len = lws_guard_header(request->connection->wsi, "host", host, sizeof host);
        if (!request->is_http_1_0 && (len <= 0 || !authority_parse(host, &any))) {
            refuse_later(request, 400, no_valid_host);
            request->closes = true;
        }
        return;
    }
    unsigned status = check_host_and_origin(request->connection, &verdict, buf, &origin, &detail);
    if (status != 0) {
        request->refusal = 0; /* this comes first: nothing is told to strangers */
        refuse_later(request, status, detail);
        request->closes = request->closes || status == 400;
    } else if (verdict == ORIGIN_LISTED) {
        request->allow_origin = copy_text(request, origin, strlen(origin));
    }
    request->is_preflight = request->method == HTTP_OPTIONS && origin != NULL &&
                            lws_guard_header_len(request->connection->wsi, "access-control-request-method") > 0;
}

static bool wants_continue(struct http_request *request)
{
    char text[32];
    int len = lws_guard_header(request->connection->wsi, "expect", text, sizeof text);
    if (len == 0 || request->is_http_1_0) {
        return false;
    }
    if (len < 0 || strcasecmp(text, "100-continue") != 0) {
        refuse_later(request, 417, "the only expectation that can be met is 100-continue");
    }
    return true;
}

/* The origin of a Referer: up to the slash behind the authority. */
static bool referer_is_ours(struct http_request *request)
{
    char text[ORIGIN_BYTES];
    const char *detail;
    struct authority host;
    struct bytes referer = http_header(request, "referer");
    const uint8_t *colon = referer.len > 0 ? memmem(referer.data, referer.len, "://", 3) : NULL;
    if (colon == NULL || check_host(request->connection, &host, &detail) != 0) {
        return false;
    }
    const uint8_t *name = colon + 3;
    const uint8_t *slash = memchr(name, '/', referer.len - (size_t)(name - referer.data));
    size_t len = slash != NULL ? (size_t)(slash - referer.data) : referer.len;
    if (len >= sizeof text) {
        return false;
    }
    memcpy(text, referer.data, len);
    text[len] = '\0';
    return origin_judge(http_config(request->connection), &host, text) != ORIGIN_FOREIGN;
}

bool http_may_be_foreign(struct http_request *request, bool in_doubt)
{
    static const char browser[] = "Mozilla/";
    struct bytes site = http_header(request, "sec-fetch-site");
    struct bytes agent = http_header(request, "user-agent");
    if (http_header(request, "origin").len > 0) {
        return false; /* it has been judged */
    }
    if (site.len > 0) {
        return bytes_equal(site, bytes_from_string("cross-site")) || bytes_equal(site, bytes_from_string("same-site"));
    }
    bool is_browser = agent.len >= sizeof(browser) - 1 && memcmp(agent.data, browser, sizeof(browser) - 1) == 0;
    return in_doubt && is_browser && !referer_is_ours(request);
}

/* True if the value of Connection, a list of words, has "close". */
static bool says_close(struct web_connection *connection)
{
    char text[256];
    char *rest = text;
    if (lws_guard_header(connection->wsi, "connection", text, sizeof text) <= 0) {
        return false;
    }
    for (char *word; (word = strsep(&rest, ", \t")) != NULL;) {
        if (strcasecmp(word, "close") == 0) {
            return true;
        }
    }
    return false;
}

/* --- handling ---------------------------------------------------------------------------------------------------- */

static void add_allow(struct http_request *request)
{
    char text[64] = "OPTIONS";
    for (int method = 0; method < HTTP_METHODS; method++) {
        bool is_allowed = (request->allow & (1u << method)) != 0;
        if (is_allowed && method != HTTP_OPTIONS) {
            strncat(text, ", ", sizeof text - strlen(text) - 1);
            strncat(text, http_method_name((enum http_method)method), sizeof text - strlen(text) - 1);
        }
        if (is_allowed && method == HTTP_GET) {
            strncat(text, ", HEAD", sizeof text - strlen(text) - 1);
        }
    }
    http_add_header(request, request->is_preflight ? "Access-Control-Allow-Methods" : "Allow", text);
}

/* OPTIONS of any path that has no handler of its own for it. */
static void answer_options(struct http_request *request)
{
    add_allow(request);
    if (request->is_preflight) {
        struct bytes headers = http_header(request, "access-control-request-headers");
        if (headers.len > 0) {
            http_add_header(request, "Access-Control-Allow-Headers", (const char *)headers.data);
        }
        http_add_header(request, "Access-Control-Max-Age", "600");
    }
    http_reply(request, 204, NULL, NULL, 0);
}

static bool has_query_param(const struct http_route *route, struct bytes name)
{
    for (const struct http_param *param = route->params; param != NULL && param->name != NULL; param++) {
        if (strcmp(param->in, "query") == 0 && bytes_equal(name, bytes_from_string(param->name))) {
            return true;
        }
    }
    return false;
}

/* "qos, retain"; "none" */
static void list_query_params(const struct http_route *route, char *text, size_t cap)
{
    size_t len = 0;
    (void)snprintf(text, cap, "none");
    for (const struct http_param *param = route->params; param != NULL && param->name != NULL; param++) {
        if (strcmp(param->in, "query") == 0 && len < cap) {
            len += (size_t)snprintf(text + len, cap - len, "%s%s", len > 0 ? ", " : "", param->name);
        }
    }
}

/* Whoever writes qso=1 wants QoS 1. @return false: REQUEST has been answered */
static bool check_query(struct http_request *request)
{
    char known[PARAMS_BYTES];
    struct bytes name, value;
    for (size_t i = 0; request->route->query_is_closed && http_query_at(request, i, &name, &value); i++) {
        if (has_query_param(request->route, name)) {
            continue;
        }
        bool is_fit_to_print = name.len <= PARAM_NAME_SHOWN && utf8_is_valid_string(name);
        list_query_params(request->route, known, sizeof known);
        http_problem(request, 400, "there is no query parameter \"%.*s\" here; there are: %s",
                     is_fit_to_print ? (int)name.len : 3, is_fit_to_print ? (const char *)name.data : "...", known);
        return false;
    }
    return true;
}

/* Where there are no rules, only what clients of the broker do asks whether they may be clients. */
static bool needs_login(const struct http_request *request)
{
    const struct http_route *route = request->route;
    return !route->any_origin && !route->is_public &&
           (route->is_for_clients || !place_access(http_place(request))->allows_all);
}

static void hold(struct http_request *request)
{
    TG_ASSERT(request->on_gone != NULL); /* a handler that neither answers nor holds */
    request->phase = HTTP_HELD;
    http_request_wait(request);
}

/* It is known who asks, within a callback of the library or later. Afterwards REQUEST may be gone. */
static void call_handler(struct http_request *request)
{
    struct web_connection *connection = request->connection;
    request->phase = HTTP_HANDLING;
    request->on_gone = NULL;
    if (!check_query(request)) {
        return;
    }
    request->route->handler(request);
    if (connection->request == request && request->phase == HTTP_HANDLING) {
        hold(request);
    }
}

/* The request is complete: answer it, or let a handler. Afterwards it may be gone. */
static void handle(struct http_request *request)
{
    struct web_connection *connection = request->connection;
    web_connection_stop_timer(connection);
    request->phase = HTTP_HANDLING;
    request->complete_ns = request_stats_now_ns();
    if (request->refusal != 0) {
        if (request->refusal == 405) {
            add_allow(request);
        } else if (request->refusal == 503) {
            http_add_header(request, "Retry-After", "1");
        }
        http_problem(request, request->refusal, "%s", request->refusal_detail);
        return;
    }
    if (request->method == HTTP_OPTIONS && (request->route == NULL || request->route->method != HTTP_OPTIONS)) {
        answer_options(request);
        return;
    }
    if (!needs_login(request)) {
        call_handler(request);
        return;
    }
    switch (http_login(request, call_handler)) {
    case HTTP_LOGIN_IN:
        call_handler(request);
        break;
    case HTTP_LOGIN_WAITS:
        hold(request);
        break;
    case HTTP_LOGIN_ANSWERED:
        break;
    }
}

void http_request_wait(struct http_request *request)
{
    if (!request->is_waiting) {
        request->is_waiting = true;
        TAILQ_INSERT_TAIL(&request->connection->owner->waiting, request, link);
        lws_guard_read(request->connection->wsi, false);
    }
}

void http_stop_output(struct web_connection *connection)
{
    if (connection->request != NULL) {
        ev_io_stop(connection->owner->worker->loop, &connection->request->writable);
    }
}

void http_request_break(struct http_request *request)
{
    request->is_broken = true;
    http_stop_output(request->connection);
    web_connection_kill(request->connection);
}

/* --- after the answer -------------------------------------------------------------------------------------------- */

/* @return false if the connection is to be closed */
static bool go_on(struct web_connection *connection)
{
    if (connection->state == WEB_IDLE && lws_http_transaction_completed(connection->wsi) == 0) {
        lws_set_timeout(connection->wsi, NO_PENDING_TIMEOUT, 0);
        web_connection_set_timer(connection, http_config(connection)->keep_alive_timeout_ms);
        return true;
    }
    connection->state = WEB_CLOSING;
    return false;
}

/* @return what the callback has to return */
static int settle(struct web_connection *connection)
{
    return connection->request != NULL || go_on(connection) ? 0 : -1;
}

void http_request_finish(struct http_request *request)
{
    struct web_connection *connection = request->connection;
    struct lws *wsi = connection->wsi;
    bool closes = request->closes || connection->owner->is_draining;
    int unread = 0;
    if (request->is_waiting && !closes) {
        lws_guard_read(wsi, true);
    }
    request_free(request);
    connection->request = NULL;
    connection->state = closes ? WEB_CLOSING : WEB_IDLE;
    if (closes && (ioctl(lws_get_socket_fd(wsi), FIONREAD, &unread) != 0 || unread > 0 || connection->is_refused)) {
        connection->wants_linger = true;
    }
    if (!connection->in_callback && !go_on(connection)) {
        web_connection_close(connection);
    }
}

/* --- the library's callbacks ------------------------------------------------------------------------------------- */

/* Read the head into REQUEST. @return false if the connection is to be closed without a word */
static bool read_head(struct http_request *request, const struct lws_guard_body *body)
{
    struct web_connection *connection = request->connection;
    const struct config_http *http = http_config(connection);
    char version[16];
    lws_hdr_copy(connection->wsi, version, sizeof version, WSI_TOKEN_HTTP);
    request->is_http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    request->closes = request->is_http_1_0 || says_close(connection) || !lws_guard_is_complete();
    request->has_length = body->is_announced;
    request->body_announced = (size_t)body->len;
    if (!read_path(request) || !read_query(request)) {
        return false;
    }
    if (!request->is_http_1_0 && strcmp(version, "HTTP/1.1") != 0) {
        request->closes = true;
        refuse_later(request, 505, "the version of HTTP must be 1.0 or 1.1");
    }
    if (memchr(request->path, '\0', request->path_len) != NULL) {
        refuse_later(request, 400, "the path has a NUL");
    }
    find_route(request);
    check_origin_of(request);
    size_t body_max = request->route != NULL && request->route->body_bytes_max != 0 ? request->route->body_bytes_max
                                                                                    : http->body_bytes;
    if (request->body_announced > body_max) {
        refuse_later(request, 413, "the body is larger than this server takes");
    }
    return true;
}

/* A body is to come: invite it, or say at once that it is not wanted. @return what the callback has to return */
static int await_body(struct http_request *request)
{
    static const char go_on_text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct web_connection *connection = request->connection;
    bool is_asking = wants_continue(request);
    if (request->refusal != 0 && (is_asking || request->body_announced > DISCARD_MAX)) {
        request->closes = true;
        connection->is_refused = true; /* with a body unread: linger */
        handle(request);
        if (connection->request == NULL) {
            return -1;
        }
        lws_guard_expect_body(connection->wsi, request->body_announced); /* the answer is still going out */
        return 0;
    }
    if (is_asking) {
        struct iovec iov = {(void *)(uintptr_t)go_on_text, sizeof go_on_text - 1};
        if (lws_guard_send(connection->wsi, &iov, 1) != (ssize_t)iov.iov_len) {
            return -1;
        }
    }
    web_connection_set_timer(connection, http_config(connection)->body_timeout_ms);
    lws_guard_expect_body(connection->wsi, request->body_announced);
    return 0;
}

static int on_head(struct web_connection *connection)
{
    struct lws_guard_body body;
    const char *detail = NULL;
    lws_set_timeout(connection->wsi, NO_PENDING_TIMEOUT, 0);
    if (connection->state != WEB_IDLE) {
        return -1; /* a second request while one is not answered */
    }
    unsigned status = lws_guard_check_framing(connection->wsi, !connection->has_served, &body, &detail);
    connection->has_served = true;
    if (status != 0) {
        http_refuse(connection, status, detail);
        return -1;
    }
    struct http_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        return -1;
    }
    request->connection = connection;
    connection->request = request;
    connection->state = WEB_REQUEST;
    http_learn_forwarded(connection);
    if (!read_head(request, &body)) {
        return -1;
    }
    if (body.comes_later) {
        return await_body(request);
    }
    handle(request);
    return settle(connection);
}

/* Make room for LEN more bytes, growing with what has come, not with what was announced. */
static bool reserve_body(struct http_request *request, size_t len)
{
    size_t need = request->body_len + len;
    size_t cap = request->body_cap == 0 ? BODY_FIRST : request->body_cap;
    if (need <= request->body_cap) {
        return true;
    }
    while (cap < need) {
        cap *= 2;
    }
    cap = cap < request->body_announced ? cap : request->body_announced;
    uint8_t *larger = realloc(request->body, cap);
    if (larger == NULL) {
        return false;
    }
    request->body = larger;
    request->body_cap = cap;
    return true;
}

static int on_body(struct web_connection *connection, const void *data, size_t len)
{
    struct http_request *request = connection->request;
    if (request == NULL || request->phase != HTTP_READING || len > request->body_announced - request->body_len) {
        return -1;
    }
    if (len == 0) {
        return 0;
    }
    if (request->refusal != 0) {
        request->body_announced -= len; /* read, so that the next request is found, and forgotten */
        return 0;
    }
    if (!reserve_body(request, len)) {
        return -1;
    }
    memcpy(request->body + request->body_len, data, len);
    request->body_len += len;
    return 0;
}

static int on_body_end(struct web_connection *connection)
{
    struct http_request *request = connection->request;
    if (request == NULL || request->phase != HTTP_READING) {
        return -1;
    }
    handle(request);
    return settle(connection);
}

int http_on_library(struct web_connection *connection, enum lws_callback_reasons reason, void *in, size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_head(connection);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(connection, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return on_body_end(connection);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return connection->state == WEB_CLOSING ? -1 : 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return ws_on_upgrade(connection, in);
    case LWS_CALLBACK_ESTABLISHED:
        return ws_on_established(connection);
    case LWS_CALLBACK_RAW_ADOPT: /* this is how the library takes CONNECT */
    case LWS_CALLBACK_RAW_RX:
        http_refuse(connection, 501, "this is no proxy");
        return -1;
    default:
        return 0;
    }
}

/* --- what else happens ------------------------------------------------------------------------------------------- */

/* Has the library read a part of the next request? */
static bool has_begun(struct lws *wsi)
{
    static const enum lws_token_indexes methods[] = {
        WSI_TOKEN_GET_URI,    WSI_TOKEN_POST_URI,    WSI_TOKEN_PUT_URI,  WSI_TOKEN_PATCH_URI,
        WSI_TOKEN_DELETE_URI, WSI_TOKEN_OPTIONS_URI, WSI_TOKEN_HEAD_URI,
    };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (lws_hdr_total_length(wsi, methods[i]) > 0) {
            return true;
        }
    }
    return false;
}

/* Answer STATUS although the body has not come in full, and close. */
static void stop_reading_body(struct http_request *request, unsigned status, const char *detail)
{
    request->closes = true;
    request->connection->is_refused = true;
    request->refusal = 0;
    refuse_later(request, status, detail);
    handle(request);
}

void http_on_timeout(struct web_connection *connection)
{
    struct http_request *request = connection->request;
    if (request == NULL) {
        if (has_begun(connection->wsi)) {
            http_refuse(connection, 408, "the request head did not come in time");
        }
        web_connection_close(connection);
    } else if (request->phase == HTTP_READING) {
        stop_reading_body(request, 408, "the request body did not come in time");
    } else {
        http_request_break(request); /* its output did not move */
    }
}

void http_on_gone(struct web_connection *connection)
{
    struct http_request *request = connection->request;
    if (request == NULL) {
        return;
    }
    connection->request = NULL;
    if (request->phase == HTTP_STREAMING) {
        request->stream->gone(request->arg);
    } else if (request->phase == HTTP_HELD && request->on_gone != NULL) {
        request->on_gone(request->arg);
    }
    request_free(request);
}

void http_on_drain(struct web_connection *connection)
{
    struct http_request *request = connection->request;
    if (request == NULL || request->phase == HTTP_STREAMING) {
        web_connection_kill(connection);
    } else if (request->phase == HTTP_HELD && !request->outlasts_drain) {
        http_abandon(request, 503);
    } else if (request->phase == HTTP_READING) {
        stop_reading_body(request, 503, "the server is stopping");
    }
}

void http_look_for_departed(struct web_worker *owner)
{
    struct pollfd fds[POLL_BATCH];
    struct http_request *requests[POLL_BATCH];
    struct http_request *request = TAILQ_FIRST(&owner->waiting);
    while (request != NULL) {
        nfds_t count = 0;
        for (; request != NULL && count < POLL_BATCH; request = TAILQ_NEXT(request, link)) {
            fds[count] = (struct pollfd){lws_get_socket_fd(request->connection->wsi), POLLRDHUP, 0};
            requests[count++] = request;
        }
        if (poll(fds, count, 0) <= 0) {
            continue;
        }
        for (nfds_t i = 0; i < count; i++) {
            /* A peer that has only said that it will send no more may still be reading an answer that is under way. */
            bool has_left = (fds[i].revents & (POLLHUP | POLLERR)) != 0;
            bool sends_no_more = (fds[i].revents & POLLRDHUP) != 0 && requests[i]->phase != HTTP_SENDING;
            if ((has_left || sends_no_more) && !requests[i]->is_broken) {
                http_request_break(requests[i]);
            }
        }
    }
}
