#include "web/ws.h"

#include <string.h>

#include "gateway/base/log.h"
#include "gateway/broker/client.h"
#include "gateway/broker/stats.h"
#include "gateway/net/worker.h"
#include "protocol/utf8.h"
#include "web/http.h"
#include "web/http_connection.h"

#define WS_PATH        "/mqtt"
#define IOV_ENTRIES    64
#define FLUSH_MAX      (1024u * 1024u) /* of one connection in one turn; the others want theirs too */
#define MS_PER_S       1000u
#define CLOSE_MS       2000u    /* for the peer to answer our close frame */
#define DRAIN_CLOSE_MS 300u     /* the same, when the process ends as soon as it has */
#define CLOSE_CODE_MAX 4999u    /* that a peer may close with */
#define PING_TEXT      "alive?" /* not empty: the library keeps empty pongs to itself */

/* --- timers ------------------------------------------------------------------------------------------------------ */

/* Let the timer fire when the next ping is due, or when output that waits has waited for too long. */
static void set_timer(struct web_connection *connection)
{
    const struct config *config = web_settings(connection->owner)->config;
    if (connection->ws_is_blocked) {
        web_connection_set_timer(connection, config->limits.write_stall_timeout_ms);
    } else if (config->http.websocket_ping_s > 0) {
        web_connection_set_timer(connection, (uint64_t)config->http.websocket_ping_s * MS_PER_S);
    } else {
        web_connection_stop_timer(connection);
    }
}

static void send_ping(struct web_connection *connection)
{
    uint8_t *data = connection->owner->scratch + WEB_HEADROOM;
    memcpy(data, PING_TEXT, sizeof PING_TEXT - 1);
    if (!lws_guard_write_frame(connection->wsi, data, sizeof PING_TEXT - 1, LWS_WRITE_PING)) {
        web_connection_kill(connection);
        return;
    }
    connection->ws_awaits_pong = true;
    set_timer(connection);
}

void ws_on_timeout(struct web_connection *connection)
{
    if (connection->client == NULL) {
        web_connection_kill(connection); /* its close was not answered */
    } else if (connection->ws_is_blocked) {
        connection->ws_end = CLIENT_END_WRITE_STALL;
        web_connection_kill(connection);
    } else if (connection->ws_is_paused || lws_guard_is_blocked(connection->wsi)) {
        set_timer(connection); /* an answer would not be read, a ping not be sent */
    } else if (connection->ws_awaits_pong) {
        web_connection_kill(connection);
    } else {
        send_ping(connection);
    }
}

/* --- output ------------------------------------------------------------------------------------------------------ */

/* Copy at most CAP bytes of what waits to DATA. @return how many */
static size_t collect(const struct outq *output, uint8_t *data, size_t cap)
{
    struct iovec iov[IOV_ENTRIES];
    int count = outq_iov(output, iov, IOV_ENTRIES);
    size_t len = 0;
    for (int i = 0; i < count && len < cap; i++) {
        size_t part = iov[i].iov_len < cap - len ? iov[i].iov_len : cap - len;
        memcpy(data + len, iov[i].iov_base, part);
        len += part;
    }
    return len;
}

static void set_blocked(struct web_connection *connection, bool blocked)
{
    if (connection->ws_is_blocked != blocked) {
        connection->ws_is_blocked = blocked;
        set_timer(connection);
    }
}

/* Write what waits, in frames as large as the worker's buffer, until the socket is full. @return false if the connection is broken */
static bool write_output(struct web_connection *connection)
{
    uint8_t *data = connection->owner->scratch + WEB_HEADROOM;
    const struct outq *output = client_output(connection->client);
    size_t written = 0;
    bool blocked = lws_guard_is_blocked(connection->wsi);
    if (blocked) {
        client_written(connection->client, 0, true);
    }
    while (output->len > 0 && !blocked) {
        size_t len = collect(output, data, LWS_GUARD_WRITE_BYTES_MAX);
        if (!lws_guard_write_frame(connection->wsi, data, len, LWS_WRITE_BINARY)) {
            return false;
        }
        written += len;
        blocked = lws_guard_is_blocked(connection->wsi) || written >= FLUSH_MAX;
        client_written(connection->client, len, blocked);
    }
    if (blocked) {
        lws_callback_on_writable(connection->wsi);
    }
    if (written > 0 && blocked) {
        set_timer(connection); /* it moves */
    }
    set_blocked(connection, blocked);
    return true;
}

/* --- what the core calls ----------------------------------------------------------------------------------------- */

static void transport_flush(void *transport)
{
    struct web_connection *connection = transport;
    if (connection->ws_is_blocked || connection->is_doomed) {
        client_written(connection->client, 0, true);
    } else if (!write_output(connection)) {
        client_written(connection->client, 0, true);
        web_connection_kill(connection);
    }
}

static void transport_pause(void *transport, bool paused)
{
    struct web_connection *connection = transport;
    if (connection->ws_is_paused != paused) {
        connection->ws_is_paused = paused;
        lws_rx_flow_control(connection->wsi, paused ? 0 : 1);
    }
}

static void transport_close(void *transport)
{
    struct web_connection *connection = transport;
    connection->ws_is_closing = true;
    lws_callback_on_writable(connection->wsi);
}

static void transport_describe(void *transport, char *buf, size_t cap)
{
    web_connection_describe(transport, buf, cap);
}

static const struct client_transport ws_transport = {
    transport_flush, transport_pause, transport_close, transport_describe, "ws", TRANSPORT_WEBSOCKET,
};

static void end_client(struct web_connection *connection, enum client_end why)
{
    struct client *client = connection->client;
    if (client != NULL) {
        connection->client = NULL;
        client_gone(client, why);
    }
}

/* --- from a request to a WebSocket ------------------------------------------------------------------------------- */

void ws_handle_plain_request(struct http_request *request)
{
    http_add_header(request, "Upgrade", "websocket");
    http_add_header(request, "Sec-WebSocket-Version", "13");
    http_problem(request, 426, "this is where MQTT over WebSocket begins");
}

static bool is_ws_path(struct lws *wsi)
{
    char *path;
    int len;
    return lws_http_get_uri_and_method(wsi, &path, &len) >= 0 && (size_t)len == sizeof WS_PATH - 1 &&
           memcmp(path, WS_PATH, sizeof WS_PATH - 1) == 0;
}

int ws_on_upgrade(struct web_connection *connection, void *in)
{
    static const char *const protocols[] = {"mqtt", "mqttv3.1", NULL};
    bool is_plain_http;
    const char *detail = NULL;
    if (connection->state != WEB_IDLE) {
        return -1;
    }
    struct lws_guard_refusal refusal = lws_guard_check_upgrade(connection->wsi, in, protocols, &is_plain_http);
    if (is_plain_http) {
        return 0;
    }
    if (refusal.status == 0 && !is_ws_path(connection->wsi)) {
        refusal = (struct lws_guard_refusal){404, "MQTT over WebSocket is at " WS_PATH};
    }
    if (refusal.status == 0) {
        refusal.status = http_check_origin(connection, &detail);
        refusal.detail = detail;
    }
    if (refusal.status == 0 && web_is_starting(connection->owner)) {
        refusal = (struct lws_guard_refusal){503, "the gateway is starting"};
    }
    if (refusal.status == 0 && connection->owner->is_draining) {
        refusal = (struct lws_guard_refusal){503, "the server is stopping"};
    }
    if (refusal.status != 0) {
        http_refuse(connection, refusal.status, refusal.detail);
        return -1;
    }
    http_learn_forwarded(connection);
    return 0;
}

int ws_on_established(struct web_connection *connection)
{
    connection->state = WEB_WEBSOCKET;
    connection->ws_end = CLIENT_END_PEER;
    connection->client = client_new(connection->owner->worker->place, &ws_transport, connection);
    if (connection->client == NULL) {
        log_warning("connection refused", LOG_STR("reason", "out of memory"));
        return -1;
    }
    set_timer(connection);
    return 0;
}

/* --- input ------------------------------------------------------------------------------------------------------- */

/* Let the library say goodbye. The core need not wait for the peer's answer, and we do not for long. */
static int close_with(struct web_connection *connection, enum client_end why, enum lws_close_status status,
                      const char *reason)
{
    char text[64];
    end_client(connection, why);
    connection->ws_is_closing = true;
    web_connection_set_timer(connection, connection->owner->is_draining ? DRAIN_CLOSE_MS : CLOSE_MS);
    size_t len = strlen(reason);
    memcpy(text, reason, len);
    lws_close_reason(connection->wsi, status, (unsigned char *)text, len);
    return -1;
}

static int on_receive(struct web_connection *connection, void *in, size_t len)
{
    connection->ws_awaits_pong = false;
    if (connection->client == NULL || connection->ws_is_closing) {
        return 0; /* the core is done with it */
    }
    if (!lws_frame_is_binary(connection->wsi)) {
        return close_with(connection, CLIENT_END_PEER, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "MQTT is binary");
    }
    if (len > 0) {
        client_receive(connection->client, in, len);
    }
    return 0;
}

static int on_writable(struct web_connection *connection)
{
    if (connection->client == NULL) {
        return 0;
    }
    if ((connection->ws_is_blocked || connection->ws_is_closing) && !write_output(connection)) {
        return -1;
    }
    if (connection->ws_is_closing && !connection->ws_is_blocked) {
        return close_with(connection, CLIENT_END_CLOSED, LWS_CLOSE_STATUS_NORMAL, "");
    }
    return 0;
}

void ws_refuse(struct web_connection *connection, const char *detail)
{
    static const uint8_t close_frame[] = {0x88, 2, LWS_CLOSE_STATUS_PROTOCOL_ERR >> 8,
                                          LWS_CLOSE_STATUS_PROTOCOL_ERR & 0xFF};
    struct iovec iov = {(void *)(uintptr_t)close_frame, sizeof close_frame};
    char peer[160];
    web_connection_describe(connection, peer, sizeof peer);
    log_debug("WebSocket refused", LOG_STR("peer", peer), LOG_STR("reason", detail));
    if (!connection->ws_is_closing && !lws_guard_is_blocked(connection->wsi)) {
        lws_guard_send(connection->wsi, &iov, 1);
    }
}

/* The peer's close frame has the payload IN of LEN bytes: a code and a reason, or nothing. Answered with what it said, unless that is wrong. */
static int on_close_frame(struct web_connection *connection, const uint8_t *in, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)in[0] << 8 | in[1] : 0;
    if (len == 1 || code > CLOSE_CODE_MAX) {
        return close_with(connection, CLIENT_END_PEER, LWS_CLOSE_STATUS_PROTOCOL_ERR, "");
    }
    if (len > 2 && !utf8_is_valid_text((struct bytes){in + 2, len - 2})) {
        return close_with(connection, CLIENT_END_PEER, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "");
    }
    return 0;
}

int ws_on_library(struct web_connection *connection, enum lws_callback_reasons reason, void *in, size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_RECEIVE:
        return on_receive(connection, in, len);
    case LWS_CALLBACK_RECEIVE_PONG:
        connection->ws_awaits_pong = false;
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writable(connection);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_close_frame(connection, in, len);
    default:
        return 0;
    }
}

void ws_on_gone(struct web_connection *connection)
{
    end_client(connection, (enum client_end)connection->ws_end);
}
