/**
 * What web.c and ws.c want of HTTP: the library's callbacks and what else happens to a connection that is no WebSocket.
 *
 * owner: the worker's thread
 */
#ifndef WEB_HTTP_CONNECTION_H
#define WEB_HTTP_CONNECTION_H

#include <stddef.h>

#include "web/connection.h"

/** A callback of the library. @return as the library wants it: 0 to go on, -1 to close */
int http_on_library(struct web_connection *connection, enum lws_callback_reasons reason, void *in, size_t len);

/** CONNECTION's timer has fired. */
void http_on_timeout(struct web_connection *connection);

/** The library destroys its part: tell who waits for an answer, and free the request. A no-op if there is none. */
void http_on_gone(struct web_connection *connection);

/** CONNECTION's descriptor is going to be closed: watch it no more. */
void http_stop_output(struct web_connection *connection);

/** The server stops: end CONNECTION now or after its answer. */
void http_on_drain(struct web_connection *connection);

/**
 * Answer STATUS with DETAIL (static text) to a request that has no struct http_request, if nothing was answered yet. The connection is
 * closed afterwards by the caller (inside of a callback it returns -1, else web_connection_close()).
 */
void http_refuse(struct web_connection *connection, unsigned status, const char *detail);

/**
 * Check Host and Origin of the request that the library has parsed.
 * @return 0, or the status to refuse with: 400, 403, 421; then DETAIL is set to static text
 */
unsigned http_check_origin(struct web_connection *connection, const char **detail);

/** Learn from X-Forwarded-For whom the request is from, if the peer is a trusted proxy. */
void http_learn_forwarded(struct web_connection *connection);

/** About once a second: end requests whose peer has gone while nothing was read from it. */
void http_look_for_departed(struct web_worker *owner);

#endif
