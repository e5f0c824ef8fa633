/**
 * MQTT over WebSocket: the transport of a broker client (broker/client.h) whose bytes come and go in binary frames.
 *
 * Where MQTT packets begin and end has nothing to do with where frames do: what comes in a frame, whole or in part, is bytes for
 * client_receive(); what waits at the end of a turn goes out as one frame in one write. Text frames are refused with close code 1003. The
 * library answers pings and closes; the gateway sends pings of its own, so that proxies keep the connection and a peer that has vanished is
 * noticed even if its keep alive is long (browsers answer by themselves, also for pages that sleep).
 *
 * owner: the worker's thread
 */
#ifndef WEB_WS_H
#define WEB_WS_H

#include <stddef.h>

#include "web/connection.h"

struct http_request;

/** A request wants to become a WebSocket; IN is what the library's callback was given. @return 0 to let it, -1 after it was refused */
int ws_on_upgrade(struct web_connection *connection, void *in);

/** It has become one. @return 0, or -1 to close */
int ws_on_established(struct web_connection *connection);

/** A callback of the library for a WebSocket. @return 0, or -1 to close */
int ws_on_library(struct web_connection *connection, enum lws_callback_reasons reason, void *in, size_t len);

/** CONNECTION's timer has fired. */
void ws_on_timeout(struct web_connection *connection);

/** What has come is against the protocol for the reason DETAIL: say so as far as there is room. The connection is about to be closed. */
void ws_refuse(struct web_connection *connection, const char *detail);

/** The library destroys its part: tell the core. A no-op if CONNECTION is no WebSocket. */
void ws_on_gone(struct web_connection *connection);

/** Handler of "GET /mqtt" without an upgrade. */
void ws_handle_plain_request(struct http_request *request);

#endif
