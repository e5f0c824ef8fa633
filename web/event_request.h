/**
 * What a request for events asks for.
 */
#ifndef WEB_EVENT_REQUEST_H
#define WEB_EVENT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "web/event_cursor.h"
#include "web/event_text.h"

struct http_request;

#define EVENT_FILTERS_MAX 64u /* of one request */
#define EVENT_WAIT_S_MAX  300u

struct event_request {         /* borrows from the HTTP request */
    struct bytes *filters;     /* valid */
    size_t filter_count;       /* 1.. */
    struct bytes client_id;    /* empty: the stream has a session of its own */
    struct event_cursor after; /* go on behind this; undefined without has_cursor */
    uint32_t expiry_s;         /* what the session lives on for */
    uint32_t wait_s;           /* of a poll */
    enum event_format format;
    uint8_t qos;
    bool has_cursor;
    bool cursor_is_explicit; /* it stands in the URL, and is not what a browser says by itself */
    bool wants_retained;
    bool is_poll;
};

/** Read what REQUEST asks for. @return false: it has been answered with 400, 406 or 503 */
bool event_request_read(struct http_request *request, struct event_request *out) __attribute__((warn_unused_result));

/** "text/event-stream". */
const char *event_request_type(const struct event_request *asked);

#endif
