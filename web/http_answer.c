/* Answers: one head, then the body in one piece or in chunks. What the socket does not take waits in the request. */
#include "web/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/base/log.h"
#include "gateway/net/worker.h"
#include "web/http_request.h"
#include "web/http_status.h"
#include "web/request_stats.h"

#define HEADER_VALUE_MAX 1024u
#define DETAIL_MAX       512u
#define HEAD_ROOM        640u            /* of a head beside the headers that were added, and the origin */
#define SEND_MAX         (1024u * 1024u) /* of one answer at a time; others want to be served too */
#define CHUNK_FRAMING    16u             /* length, line ends and the end of the chunk */
#define CHUNK_END        "\r\n"
#define LAST_CHUNK       "0\r\n\r\n"

/* The place of a status in this table is its index. */
static const struct {
    unsigned status;
    const char *text;
} statuses[] = {
    {0, "Unknown"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])

_Static_assert(STATUS_COUNT <= REQUEST_STATS_STATUSES, "each has a counter");

unsigned http_status_index(unsigned status)
{
    unsigned index = STATUS_COUNT - 1;
    while (index > 0 && statuses[index].status != status) {
        index--;
    }
    return index;
}

unsigned http_status_at(unsigned index)
{
    return index < STATUS_COUNT ? statuses[index].status : 0;
}

const char *http_status_text(unsigned status)
{
    return statuses[http_status_index(status)].text;
}

/* --- headers ----------------------------------------------------------------------------------------------------- */

static bool is_clean(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 0x7F) {
            return false;
        }
    }
    return true;
}

void http_add_header(struct http_request *request, const char *name, const char *value)
{
    size_t len = strlen(name) + strlen(value) + sizeof(": \r\n") - 1;
    if (!is_clean(value)) {
        return;
    }
    if (request->headers_cap - request->headers_len < len + 1) {
        size_t cap = request->headers_len + len + 256;
        char *larger = realloc(request->headers, cap);
        if (larger == NULL) {
            request->headers_failed = true;
            return;
        }
        request->headers = larger;
        request->headers_cap = cap;
    }
    snprintf(request->headers + request->headers_len, len + 1, "%s: %s\r\n", name, value);
    request->headers_len += len;
}

void http_add_header_f(struct http_request *request, const char *name, const char *format, ...)
{
    char value[HEADER_VALUE_MAX + 1];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof value) {
        http_add_header(request, name, value);
    }
}

/* A text that grows in a buffer of known size; too much is remembered. */
struct text {
    char *at;
    size_t len;
    size_t cap;
};

static void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void text_add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->at + text->len, text->cap - text->len, format, args);
    va_end(args);
    TG_ASSERT(len >= 0 && (size_t)len < text->cap - text->len); /* callers have made room */
    text->len += (size_t)len;
}

static void add_cors(struct text *text, const struct http_request *request)
{
    if (request->any_origin) {
        text_add(text, "Access-Control-Allow-Origin: *\r\n");
    } else if (request->allow_origin != NULL) {
        text_add(text,
                 "Access-Control-Allow-Origin: %s\r\nAccess-Control-Allow-Credentials: true\r\n"
                 "Access-Control-Expose-Headers: ETag, Last-Modified, Location, Retry-After, Idempotency-Replayed, "
                 "X-MQTT-QoS, X-MQTT-Message-Expiry, X-MQTT-Response-Topic, X-MQTT-User-Property, X-Cursor\r\n",
                 request->allow_origin);
    }
    if (!request->any_origin) {
        text_add(text, "Vary: Origin\r\n");
    }
}

/* Write the head up to the headers that were added, with FRAMING (lines that tell where the body ends), into a new buffer if the worker's is
 * too small. @return false without memory */
static bool make_head(struct http_request *request, unsigned status, const char *type, const char *framing,
                      struct text *head)
{
    size_t need = HEAD_ROOM + request->headers_len + strlen(framing) + (type != NULL ? strlen(type) : 0) +
                  (request->allow_origin != NULL ? strlen(request->allow_origin) : 0);
    head->at = (char *)request->connection->owner->scratch + WEB_HEADROOM;
    head->cap = LWS_GUARD_WRITE_BYTES_MAX;
    head->len = 0;
    if (need > head->cap || request->headers_failed) {
        return false;
    }
    text_add(head, "HTTP/1.1 %u %s\r\n", status, http_status_text(status));
    if (type != NULL) {
        text_add(head, "Content-Type: %s\r\n", type);
    }
    text_add(head, "%s%sX-Content-Type-Options: nosniff\r\n", framing, request->closes ? "Connection: close\r\n" : "");
    add_cors(head, request);
    if (request->headers_len > 0) {
        memcpy(head->at + head->len, request->headers, request->headers_len);
        head->len += request->headers_len;
    }
    text_add(head, "\r\n");
    return true;
}

size_t http_write_refusal(char *buf, size_t cap, unsigned status, const char *detail)
{
    char body[DETAIL_MAX];
    struct text text = {buf, 0, cap};
    int len =
        snprintf(body, sizeof body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":\"%s\"}\n",
                 http_status_text(status), status, detail);
    TG_ASSERT(len > 0 && (size_t)len < sizeof body);
    text_add(&text,
             "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
             "Connection: close\r\nX-Content-Type-Options: nosniff\r\n%s\r\n%s",
             status, http_status_text(status), len,
             status == 426   ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             : status == 405 ? "Allow: GET\r\n"
             : status == 503 ? "Retry-After: 1\r\n"
                             : "",
             body);
    return text.len;
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct http_request *request = TG_CONTAINER_OF(io, struct http_request, writable);
    (void)loop;
    (void)events;
    http_send_rest(request);
}

static void stop_watching(struct http_request *request)
{
    ev_io_stop(request->connection->owner->worker->loop, &request->writable);
}

/* Output is left: be told when there is room, but not wait for ever. */
static void watch(struct http_request *request)
{
    struct web_connection *connection = request->connection;
    struct web_worker *owner = connection->owner;
    http_request_wait(request);
    if (!ev_is_active(&request->writable)) {
        ev_io_init(&request->writable, on_writable, lws_get_socket_fd(connection->wsi), EV_WRITE);
        ev_set_priority(&request->writable, WORKER_PRIORITY);
        ev_io_start(owner->worker->loop, &request->writable);
    }
    web_connection_set_timer(connection, web_settings(owner)->config->limits.write_stall_timeout_ms);
}

static void release_tail(struct http_request *request)
{
    if (request->tail_owner.release != NULL) {
        request->tail_owner.release(request->tail_owner.arg);
        request->tail_owner.release = NULL;
    }
    request->tail = NULL;
    request->tail_len = 0;
}

/* Keep LEN bytes at DATA behind the output that is left. */
static bool keep_output(struct http_request *request, const void *data, size_t len)
{
    size_t left = request->output_len - request->output_at;
    if (len == 0) {
        return true;
    }
    uint8_t *output = malloc(left + len);
    if (output == NULL) {
        return false;
    }
    if (left > 0) {
        memcpy(output, request->output + request->output_at, left);
    }
    memcpy(output + left, data, len);
    free(request->output);
    request->output = output;
    request->output_at = 0;
    request->output_len = left + len;
    return true;
}

static bool has_output(const struct http_request *request)
{
    return request->output_at < request->output_len || request->tail_len > 0;
}

void http_send_rest(struct http_request *request)
{
    struct web_connection *connection = request->connection;
    size_t left = request->output_len - request->output_at;
    size_t tail = request->tail_len < SEND_MAX ? request->tail_len : SEND_MAX;
    struct iovec iov[2] = {
        {left > 0 ? request->output + request->output_at : NULL, left},
        {(void *)(uintptr_t)request->tail, tail},
    };
    ssize_t sent =
        has_output(request) ? lws_guard_send(connection->wsi, left > 0 ? iov : iov + 1, left > 0 ? 2 : 1) : 0;
    if (sent < 0) {
        http_request_break(request);
        return;
    }
    size_t from_output = (size_t)sent < left ? (size_t)sent : left;
    request->output_at += from_output;
    request->tail += (size_t)sent - from_output;
    request->tail_len -= (size_t)sent - from_output;
    if (has_output(request)) {
        if (sent > 0 || !ev_is_active(&request->writable)) {
            watch(request);
        }
        return;
    }
    free(request->output);
    request->output = NULL;
    request->output_at = request->output_len = 0;
    release_tail(request);
    stop_watching(request);
    web_connection_stop_timer(connection);
    if (request->phase == HTTP_SENDING) {
        http_request_finish(request);
    } else if (request->stream_is_blocked) {
        request->stream_is_blocked = false;
        request->stream->writable(request->arg);
    }
}

void http_output_fini(struct http_request *request)
{
    stop_watching(request);
    release_tail(request);
    free(request->output);
}

/* --- whole answers ----------------------------------------------------------------------------------------------- */

/* An answer to what is not connected any more, or that cannot be made. */
static void drop_answer(struct http_request *request, struct http_shared owner)
{
    if (owner.release != NULL) {
        owner.release(owner.arg);
    }
    request->phase = HTTP_SENDING;
    http_request_break(request);
}

static void stop_deadline(struct http_request *request)
{
    timer_wheel_stop(request->connection->owner->timers, &request->deadline);
}

/* Without its query, which may hold what is nobody's business. */
static void log_answer(const struct http_request *request, unsigned status)
{
    char peer[160];
    if (log_is_on(LOG_LEVEL_DEBUG)) {
        web_connection_describe(request->connection, peer, sizeof peer);
        log_debug("request answered", LOG_STR("peer", peer),
                  LOG_STR("method", http_method_name((enum http_method)request->method)),
                  LOG_BYTES("path", request->path, request->path_len), LOG_UNUM("status", status));
    }
}

static void begin_answer(struct http_request *request, unsigned status)
{
    TG_ASSERT(request->phase <= HTTP_HELD);
    stop_deadline(request);
    log_answer(request, status);
    request_stats_count(request->connection->owner->requests, request->route, status,
                        request_stats_now_ns() - request->complete_ns);
    if (request->connection->owner->is_draining) {
        request->closes = true;
    }
}

void http_reply_shared(struct http_request *request, unsigned status, const char *type, const void *body, size_t len,
                       struct http_shared owner)
{
    struct text head;
    char framing[48] = "";
    begin_answer(request, status);
    if (status != 204 && status != 304) {
        snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", len);
    }
    if (request->is_broken || !make_head(request, status, type, framing, &head)) {
        drop_answer(request, owner);
        return;
    }
    size_t body_len = request->is_head ? 0 : len;
    struct iovec iov[2] = {{head.at, head.len}, {(void *)(uintptr_t)body, body_len}};
    ssize_t sent = lws_guard_send(request->connection->wsi, iov, body_len > 0 ? 2 : 1);
    size_t of_head = sent < 0 ? 0 : (size_t)sent < head.len ? (size_t)sent : head.len;
    if (sent < 0 || !keep_output(request, head.at + of_head, head.len - of_head)) {
        drop_answer(request, owner);
        return;
    }
    const uint8_t *tail = (const uint8_t *)body + ((size_t)sent - of_head);
    size_t tail_len = body_len - ((size_t)sent - of_head);
    if (owner.release == NULL && tail_len > 0) { /* the body is the caller's: keep a copy */
        if (!keep_output(request, tail, tail_len)) {
            drop_answer(request, owner);
            return;
        }
        tail_len = 0;
    }
    request->phase = HTTP_SENDING;
    request->tail = tail_len > 0 ? tail : NULL;
    request->tail_len = tail_len;
    request->tail_owner = owner;
    if (has_output(request)) {
        watch(request);
    } else {
        release_tail(request);
        http_request_finish(request);
    }
}

void http_reply(struct http_request *request, unsigned status, const char *type, const void *body, size_t len)
{
    http_reply_shared(request, status, type, body, len, (struct http_shared){NULL, NULL});
}

void http_reply_json(struct http_request *request, unsigned status, json_t *value)
{
    static const char unavailable[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503}\n";
    const char *type = status >= 400 ? "application/problem+json" : "application/json";
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    size_t len = text != NULL ? strlen(text) : 0;
    if (text == NULL) {
        http_reply(request, 503, "application/problem+json", unavailable, sizeof unavailable - 1);
        return;
    }
    text[len] = '\n'; /* in the place of the NUL */
    http_reply(request, status, type, text, len + 1);
    free(text);
}

void http_problem(struct http_request *request, unsigned status, const char *detail, ...)
{
    char text[DETAIL_MAX];
    text[0] = '\0';
    if (detail != NULL) {
        va_list args;
        va_start(args, detail);
        vsnprintf(text, sizeof text, detail, args);
        va_end(args);
    }
    json_t *problem =
        json_pack("{s:s, s:s, s:i}", "type", "about:blank", "title", http_status_text(status), "status", (int)status);
    if (problem != NULL && text[0] != '\0') {
        json_t *value = json_string(text); /* NULL if the text holds something that is not UTF-8: then it stays out */
        if (value != NULL && json_object_set_new(problem, "detail", value) != 0) {
            json_decref(problem);
            problem = NULL;
        }
    }
    http_reply_json(request, status, problem);
}

void http_problem_with(struct http_request *request, unsigned status, json_t *members, const char *detail)
{
    json_t *problem = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", http_status_text(status),
                                "status", (int)status, "detail", detail);
    if (problem != NULL && json_object_update(problem, members) != 0) {
        json_decref(problem);
        problem = NULL;
    }
    json_decref(members);
    http_reply_json(request, status, problem);
}

/* --- later ------------------------------------------------------------------------------------------------------- */

void http_hold(struct http_request *request, http_gone_fn on_gone, void *arg)
{
    TG_ASSERT(request->phase == HTTP_HANDLING || request->phase == HTTP_HELD);
    request->on_gone = on_gone;
    request->arg = arg;
}

void http_outlast_drain(struct http_request *request)
{
    request->outlasts_drain = true;
}

static void on_deadline(struct timer *timer)
{
    struct http_request *request = TG_CONTAINER_OF(timer, struct http_request, deadline);
    http_abandon(request, request->deadline_status);
}

void http_abandon(struct http_request *request, unsigned status)
{
    http_gone_fn on_gone = request->on_gone;
    request->on_gone = NULL;
    if (on_gone != NULL) {
        on_gone(request->arg);
    }
    http_problem(request, status, NULL);
}

void http_deadline(struct http_request *request, uint64_t ms, unsigned status)
{
    timer_init(&request->deadline, on_deadline);
    request->deadline_status = status;
    timer_wheel_set(request->connection->owner->timers, &request->deadline, http_now_ms(request) + ms);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

bool http_stream_begin(struct http_request *request, unsigned status, const char *type,
                       const struct http_stream_ops *ops, void *arg)
{
    struct text head;
    const struct http_shared nobody = {NULL, NULL};
    begin_answer(request, status);
    request->stream_is_chunked = !request->is_http_1_0;
    request->closes = request->closes || request->is_http_1_0;
    if (request->is_broken ||
        !make_head(request, status, type, request->stream_is_chunked ? "Transfer-Encoding: chunked\r\n" : "", &head)) {
        drop_answer(request, nobody);
        return false;
    }
    struct iovec iov = {head.at, head.len};
    ssize_t sent = lws_guard_send(request->connection->wsi, &iov, 1);
    if (sent < 0 || !keep_output(request, head.at + sent, head.len - (size_t)sent)) {
        drop_answer(request, nobody);
        return false;
    }
    if (request->is_head) {
        request->phase = HTTP_SENDING;
        http_send_rest(request);
        return false;
    }
    request->phase = HTTP_STREAMING;
    request->on_gone = NULL;
    request->stream = ops;
    request->arg = arg;
    http_request_wait(request);
    if (has_output(request)) {
        request->stream_is_blocked = true;
        watch(request);
    }
    return true;
}

size_t http_stream_room(const struct http_request *request)
{
    return request->is_broken || has_output(request) ? 0 : LWS_GUARD_WRITE_BYTES_MAX - CHUNK_FRAMING;
}

bool http_stream_write(struct http_request *request, const void *data, size_t len)
{
    char size[CHUNK_FRAMING];
    TG_ASSERT(request->phase == HTTP_STREAMING && len > 0);
    if (request->is_broken) {
        return false;
    }
    TG_ASSERT(len <= http_stream_room(request));
    int size_len = request->stream_is_chunked ? snprintf(size, sizeof size, "%zx\r\n", len) : 0;
    struct iovec iov[3] = {
        {size, (size_t)size_len},
        {(void *)(uintptr_t)data, len},
        {(void *)(uintptr_t)CHUNK_END, request->stream_is_chunked ? sizeof CHUNK_END - 1 : 0},
    };
    ssize_t sent = lws_guard_send(request->connection->wsi, iov, 3);
    size_t left = sent < 0 ? 0 : (size_t)sent;
    bool kept = sent >= 0;
    for (size_t i = 0; i < 3 && kept; i++) {
        size_t taken = left < iov[i].iov_len ? left : iov[i].iov_len;
        kept = keep_output(request, (const uint8_t *)iov[i].iov_base + taken, iov[i].iov_len - taken);
        left -= taken;
    }
    if (!kept) {
        http_request_break(request);
        return false;
    }
    if (has_output(request)) {
        request->stream_is_blocked = true;
        watch(request);
    }
    return true;
}

void http_stream_end(struct http_request *request)
{
    TG_ASSERT(request->phase == HTTP_STREAMING);
    request->phase = HTTP_SENDING;
    request->stream_is_blocked = false;
    if (request->is_broken) {
        return; /* it is going to be killed */
    }
    if (request->stream_is_chunked && !keep_output(request, LAST_CHUNK, sizeof LAST_CHUNK - 1)) {
        http_request_break(request);
        return;
    }
    http_send_rest(request);
}
