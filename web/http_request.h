/**
 * Inside of a request. Known to the files of http.h alone (http.c, http_answer.c, http_connection.c).
 *
 *      READING -> HANDLING -> HELD -> SENDING -> (freed)
 *                    |   \------------^  ^
 *                    +-> STREAMING ------+
 *
 * From HELD on nothing is read from the connection, and output that the socket does not take waits here, not in the library.
 *
 * owner: the worker's thread
 */
#ifndef WEB_HTTP_REQUEST_H
#define WEB_HTTP_REQUEST_H

#include "web/arena.h"
#include "web/connection.h"
#include "web/http.h"
#include "web/origin.h"

enum http_phase {
    HTTP_READING,  /* its body */
    HTTP_HANDLING, /* the handler is running */
    HTTP_HELD,     /* the handler has returned, the answer is to come */
    HTTP_STREAMING,
    HTTP_SENDING, /* answered; output is left */
};

struct http_query_param {
    struct bytes name;
    struct bytes value;
};

/** A body that is shared with others until it has been sent. */
struct http_shared {
    void (*release)(void *arg); /* NULL: nothing to release */
    void *arg;
};

struct http_login;

struct http_request {
    struct web_connection *connection;
    TAILQ_ENTRY(http_request) link; /* in the worker's list `waiting`, if is_waiting */
    const struct http_route *route; /* NULL: `refusal` says why */
    struct arena memory;            /* what http_alloc() gave */
    char *path;                     /* in memory */
    size_t path_len;
    size_t rest;                     /* offset in path of what the star of the route stands for */
    struct http_query_param *params; /* in memory */
    size_t params_len;

    uint8_t *body; /* owned; grows as it comes */
    size_t body_len;
    size_t body_cap;
    size_t body_announced;

    struct http_login *login;         /* in memory, while it is found out who asks */
    struct access_identity *identity; /* owned: who asks; NULL: that is not known yet, or makes no difference */

    unsigned refusal; /* status to answer with instead of calling a handler; 0: none */
    const char *refusal_detail;
    unsigned allow; /* with 405: methods of the path, a bit each */

    char *headers; /* owned: lines of the answer that http_add_header() made */
    size_t headers_len;
    size_t headers_cap;
    bool headers_failed; /* memory was short: the answer would lack something */

    uint8_t *output; /* owned: what the socket has not taken; sent before `tail` */
    size_t output_len;
    size_t output_at;
    const uint8_t *tail; /* of the body, sent from where it is */
    size_t tail_len;
    struct http_shared tail_owner;
    ev_io writable; /* while output is left */

    uint64_t complete_ns;                 /* when the handler was called, to measure with */
    http_gone_fn on_gone;                 /* HELD */
    const struct http_stream_ops *stream; /* STREAMING */
    void *arg;                            /* of both */
    struct timer deadline;
    unsigned deadline_status;

    const char *allow_origin; /* in memory: to be allowed by CORS; NULL: none */
    uint8_t method;           /* enum http_method as sent */
    uint8_t phase;            /* enum http_phase */
    bool is_http_1_0 : 1;
    bool has_length : 1; /* a Content-Length came */
    bool is_head : 1;
    bool closes : 1;     /* the connection ends after the answer */
    bool any_origin : 1; /* CORS for all */
    bool is_waiting : 1;
    bool stream_is_blocked : 1; /* writable() is owed */
    bool stream_is_chunked : 1;
    bool is_broken : 1; /* the connection does not work any more and will be killed */
    bool is_preflight : 1;
    bool outlasts_drain : 1;
};

/** The request has been answered in full: go on with its connection. REQUEST is freed. */
void http_request_finish(struct http_request *request);

/** The peer is gone or must go: REQUEST's owner is told, the connection killed at the end of the turn. */
void http_request_break(struct http_request *request);

/** Put REQUEST into its worker's list of waiting ones, and stop reading, if that is not so yet. */
void http_request_wait(struct http_request *request);

/** Answer with a body that need not be copied: OWNER.release(OWNER.arg) is called when it is not needed any more, on this thread. */
void http_reply_shared(struct http_request *request, unsigned status, const char *type, const void *body, size_t len,
                       struct http_shared owner);

/** Send what is left of REQUEST's answer, and finish it or wait for room. */
void http_send_rest(struct http_request *request);

/** Tell whoever holds REQUEST that it is gone, and answer it with STATUS. */
void http_abandon(struct http_request *request, unsigned status);

/** Free what REQUEST's answer holds. */
void http_output_fini(struct http_request *request);

/** Write into BUF a whole answer without a request: a problem, closing the connection. @return its length, < CAP */
size_t http_write_refusal(char *buf, size_t cap, unsigned status, const char *detail);

/** "GET"; static. */
const char *http_method_name(enum http_method method);

#endif
