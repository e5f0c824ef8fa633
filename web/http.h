/**
 * HTTP/1.1 requests and answers, as handlers of routes see them. Nothing here knows libwebsockets or MQTT.
 *
 * A route (struct http_route) names a method, a path and a handler. The handler is called when the request is complete, its body
 * included, with Host and Origin checked and the client logged in; it runs on the thread of the worker that owns the connection, like everything else that
 * happens to the request, and never blocks. It does one of three things:
 *
 *      answer at once    http_reply(), http_reply_json(), http_problem()
 *      answer later      http_hold(), and one of the above when the time has come. Until then nothing more is read from the connection
 *      stream            http_stream_begin(), then http_stream_write() as long as http_stream_room(), at last http_stream_end()
 *
 *                      handler                             reply, end
 *      (reading) ------------------> HELD or STREAMING ------------------> gone
 *                        |                    | peer gone, drain, http_deadline()
 *                        | reply              v
 *                        +-----> gone       on_gone(arg), gone
 *
 * When a request is gone its pointer is dead; after an answer, or on_gone(), it must not be used again. An answer is one write, head
 * and body together. Answers keep the connection open unless the peer or an error wants it closed; HEAD is answered like GET with the
 * body left out. What a handler need not care for: OPTIONS and CORS, 404, 405 with Allow, 408, 411, 413, 417, 421, 431, query parameters that
 * its route does not have.
 *
 * Text of requests is what the peer sent, percent-encoding decoded: any bytes but NUL, which also ends it.
 */
#ifndef WEB_HTTP_H
#define WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "protocol/bytes.h"

struct access_identity;
struct arena;
struct bulks;
struct backup;
struct event_text;
struct http_request;
struct place;
struct request_stats;
struct rpc;
struct store;
struct timer_wheel;
struct web_settings;
struct worker;

enum http_method {
    HTTP_GET, /* answers HEAD too */
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHODS,
};

typedef void (*http_handler_fn)(struct http_request *request);

/** One query parameter or header of a route, for the API description. */
struct http_param {
    const char *name;   /* "qos"; NULL ends a list */
    const char *in;     /* "query", "header" or "path" */
    const char *schema; /* JSON Schema of its value: "{\"type\":\"integer\",\"minimum\":0,\"maximum\":2}" */
    const char *text;   /* what it does, one sentence */
    bool required;
};

/** One answer of a route, for the API description. */
struct http_outcome {
    unsigned status;  /* 0 ends a list */
    const char *type; /* media type of the body; NULL: no body */
    const char *text; /* when, one sentence */
};

/** One line of the table in routes.c. */
struct http_route {
    enum http_method method;
    const char *path; /* "/healthz": exactly that; a path that ends in a "/" and a star: everything below, the part
                                before the slash included; the longest match wins, whatever the order */
    http_handler_fn handler;
    const char *summary;                 /* one line, for the API description */
    const char *tag;                     /* group in the API description: "publish", "health" */
    const struct http_param *params;     /* NULL: none */
    const struct http_outcome *outcomes; /* NULL: 200 */
    const char
        *body_type; /* media type of the request body, for the API description; NULL: takes no body. One that comes all
                                the same is read, within the limit, and ignored */
    size_t body_bytes_max; /* a larger body is answered with 413; 0: http.body_bytes of the configuration */
    bool
        any_origin; /* answered to pages of every origin, and to any Host: nothing secret, nothing that acts (health) */
    bool is_public; /* answered without login: what it tells is for everybody, as is with any_origin */
    bool when_starting;  /* served also while the store is being read: touches nothing that comes from there */
    bool is_for_clients; /* what a client of the broker does: only for who may be one, also where there are no rules */
    bool
        query_is_closed; /* a query parameter that is not among params is a slip of the pen: 400. Else it is passed over */
};

/* --- the request ------------------------------------------------------------------------------------------------- */

enum http_method http_method(const struct http_request *request); /* HTTP_GET for HEAD: see http_is_head() */
bool http_is_head(const struct http_request *request);

/** The route that matched. */
const struct http_route *http_route(const struct http_request *request);

/** The decoded path, as in "/topics/a/b": '+', "//", dot segments and "%2F" have not survived (use a query parameter for exact bytes). */
struct bytes http_path(const struct http_request *request);

/** What the star of the route stands for: "a/b" for "/topics/a/b"; empty for "/topics" and "/topics/". */
struct bytes http_path_rest(const struct http_request *request);

/**
 * The value of query parameter NAME, decoded exactly ('+' is a space). If it is given more than once, the first.
 * @return data NULL if it is not there; a parameter without '=' is there and empty. Lives as long as the request
 */
struct bytes http_query(const struct http_request *request, const char *name);

/** The INDEX-th (from 0) value of parameter NAME; data NULL if there are not so many. */
struct bytes http_query_nth(const struct http_request *request, const char *name, size_t index);

/** The INDEX-th parameter of all, in the order given. @return false if there are not so many */
bool http_query_at(const struct http_request *request, size_t index, struct bytes *name, struct bytes *value);

/**
 * Read parameter NAME as a decimal number from MIN to MAX into OUT, which keeps its value (the default) if the parameter is not there.
 * @return false if it is there but no such number: then the request has been answered with 400
 */
bool http_query_number(struct http_request *request, const char *name, uint64_t min, uint64_t max, uint64_t *out)
    __attribute__((warn_unused_result));

/** The same for "true", "1" or nothing (true) and "false" or "0" (false). */
bool http_query_bool(struct http_request *request, const char *name, bool *out) __attribute__((warn_unused_result));

/**
 * The value of header NAME (lower case, no colon: "content-type"). A header that came more than once: all values, joined by ", ", or only
 * the first one for headers this server has no use of its own for.
 * @return NUL-terminated; data NULL if it is not there. Lives as long as the request
 */
struct bytes http_header(struct http_request *request, const char *name);

/** The body; empty if there was none. It may be changed in place. Lives as long as the request, or until http_take_body(). */
struct bytes http_body(const struct http_request *request);

/** True if the request came with a Content-Length (even 0): PUT with an empty body is not PUT without a body. */
bool http_has_body(const struct http_request *request);

/** The body's memory becomes the caller's, to be freed with free(). @return NULL if the body is empty */
uint8_t *http_take_body(struct http_request *request, size_t *len) __attribute__((warn_unused_result));

/** LEN bytes that live as long as the request. @return NULL without memory */
void *http_alloc(struct http_request *request, size_t len);

/** What http_alloc() takes from. */
struct arena *http_arena(struct http_request *request);

/** The peer for logs and access: "127.0.0.1:4711"; behind a trusted proxy the address that it vouches for ("192.0.2.7"). */
const char *http_peer(struct http_request *request);

/**
 * True if whoever asks is on this machine: the socket's own address is a loopback address or a unix socket, and no proxy says that it asks
 * for somebody else.
 */
bool http_is_from_here(struct http_request *request);

/**
 * True if a page of another site may have had a browser send the request, as it does for an image or a link, without an Origin that could have
 * been judged. Browsers say so (Sec-Fetch-Site), but not to plain HTTP on a network. IN_DOUBT: there the Referer must be a page of ours, or of
 * http.origins, if the User-Agent begins as that of every browser does, which a page cannot change.
 */
bool http_may_be_foreign(struct http_request *request, bool in_doubt);

/**
 * Whose rights the request has, as place_publish() and place_may_read() want it: NULL if everybody may do everything. Lives as long as the
 * request.
 */
const struct access_identity *http_identity(const struct http_request *request);

/** Copy IDENTITY (NULL: then *OUT is NULL) to *OUT, owned, for local_open(), or freed with free(). @return false without memory */
bool http_copy_identity(const struct access_identity *identity, struct access_identity **out)
    __attribute__((warn_unused_result));

/** True if the request came over TLS, to us or (vouched for by a trusted proxy) to the proxy. */
bool http_is_secure(struct http_request *request);

/* --- where it runs ----------------------------------------------------------------------------------------------- */

struct worker *http_worker(const struct http_request *request);
struct place *http_place(const struct http_request *request);

/** The counters of requests of worker number INDEX. */
const struct request_stats *http_request_stats(const struct http_request *request, unsigned index);

/** Timers of this worker's web side; exact to the millisecond, fired outside of every callback of libraries. */
struct timer_wheel *http_timers(const struct http_request *request);

/** Monotonic time of this turn. */
uint64_t http_now_ms(const struct http_request *request);

/** False until the gateway serves, and while it stops. */
bool http_is_ready(const struct http_request *request);

/** How far the store has been read while the gateway starts: DONE of TOTAL entries. @return false if it has started, or TOTAL is not known */
bool http_recovery(const struct http_request *request, uint64_t *done, uint64_t *total);

/** The settings of the web side (web.h), its configuration among them; valid until the handler or callback returns. */
const struct web_settings *http_settings(const struct http_request *request);

/** The store of the gateway, borrowed; NULL: nobody has said (web_set_store()). */
struct store *http_store(const struct http_request *request);

/** What makes copies of it; NULL: it is not durable. */
struct backup *http_backup(const struct http_request *request);

/** What other parts of the web side keep for each worker; theirs, NULL until they are used, freed after the worker's end. */
struct http_parts {
    struct bulks *bulks;
    struct event_text *event_text;
    struct rpc *rpc;
};

struct http_parts *http_parts(const struct http_request *request);

/** Random bytes of this process, which nobody else knows. */
#define HTTP_SECRET_BYTES 32u
const uint8_t *http_secret(const struct http_request *request);

/* --- answers ----------------------------------------------------------------------------------------------------- */

/**
 * Add a header to the answer that is to come. NAME and VALUE are copied; both are ours or checked: a VALUE with control characters is
 * left out. What is set by itself: Date is not sent; Content-Length, Content-Type, Connection, Vary and CORS headers, Allow, and
 * "X-Content-Type-Options: nosniff".
 */
void http_add_header(struct http_request *request, const char *name, const char *value);

/** The same, with a value made like printf(3); at most 1024 bytes, what is longer is left out. */
void http_add_header_f(struct http_request *request, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * Answer. TYPE is the media type, NULL only with LEN 0 (204, 304). BODY is borrowed for the call. REQUEST is gone afterwards.
 * If memory is short the connection is closed instead.
 */
void http_reply(struct http_request *request, unsigned status, const char *type, const void *body, size_t len);

/** Answer with VALUE (taken; NULL, from a constructor without memory, is a 503) as application/json and a newline. */
void http_reply_json(struct http_request *request, unsigned status, json_t *value);

/** Answer with an RFC 9457 problem: STATUS and its title, and a DETAIL made like printf(3) for people; NULL: none. */
void http_problem(struct http_request *request, unsigned status, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

/** The same, with MEMBERS (taken; NULL: out of memory) of an object added to it. */
void http_problem_with(struct http_request *request, unsigned status, json_t *members, const char *detail);

/** The reason phrase of STATUS: "Not Found"; "Unknown" for one that is not in use here. */
const char *http_status_text(unsigned status);

/* --- answering later --------------------------------------------------------------------------------------------- */

/** The request is gone without an answer of yours: the peer went away, or the server stops. ARG as given. */
typedef void (*http_gone_fn)(void *arg);

/**
 * The answer follows later. ON_GONE (not NULL) is called if the request ends before it; not after an answer. May be called again, to
 * replace ON_GONE and ARG.
 */
void http_hold(struct http_request *request, http_gone_fn on_gone, void *arg);

/**
 * What REQUEST, which is held, has asked for is being done and will be answered soon: a server that is told to stop waits for that, as long as
 * drain_s allows. Otherwise it answers 503 in its place.
 */
void http_outlast_drain(struct http_request *request);

/**
 * Answer a held request with STATUS and a problem if it is not answered within MS from now. ON_GONE is called first.
 * Without this a held request may wait for ever.
 */
void http_deadline(struct http_request *request, uint64_t ms, unsigned status);

/* --- answers of unknown length ----------------------------------------------------------------------------------- */

struct http_stream_ops {
    /** There is room again after http_stream_write() left none. */
    void (*writable)(void *arg);
    /** As http_gone_fn; not after http_stream_end(). */
    void (*gone)(void *arg);
};

/**
 * Answer with STATUS and a body of TYPE that is sent piece by piece (chunked; to HTTP/1.0, until the connection closes). OPS is static.
 * The head is sent at once.
 *
 * @return false: no body is wanted (HEAD) or possible (memory, connection broken): the request is gone, no op was or will be called
 */
bool http_stream_begin(struct http_request *request, unsigned status, const char *type,
                       const struct http_stream_ops *ops, void *arg) __attribute__((warn_unused_result));

/** Bytes that http_stream_write() takes now; 0: wait for writable(). */
size_t http_stream_room(const struct http_request *request);

/**
 * Send LEN bytes (1 .. http_stream_room()), copied. Each call is a write of its own: collect what belongs together.
 * @return false if the connection is broken; gone() follows, not from within this call
 */
bool http_stream_write(struct http_request *request, const void *data, size_t len) __attribute__((warn_unused_result));

/** The body is complete. REQUEST is gone. */
void http_stream_end(struct http_request *request);

#endif
