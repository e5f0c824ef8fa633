/**
 * libwebsockets made safe for hostile HTTP: every trap of the versions in use is closed in this file and nowhere else, and
 * tests/web/test_http_hostile.py keeps the attack that goes with each.
 *
 * Some functions are called through the dynamic linker, so that definitions in the program take their place:
 *
 *      lws_buflist_next_segment_len    a request with a body that is parsed from leftover bytes would be taken for its own body,
 *                                      for ever; one answer of "empty" at the right moment makes it take the right way
 *      recv                            what comes is looked at before the library reads it in its own way (input_check.h)
 *      lws_return_http_status          what the parser refuses by itself (unknown method, bad escapes) gets our kind of answer
 *      lws_close_free_wsi              a request head that is malformed or too large would be dropped without a word; and a close
 *                                      while input is unread would take the last answer away from the peer
 *
 * If the first two are not in effect (a program that hides its symbols), connections are not kept open and a body is accepted only on the
 * first request of a connection: slow, but as safe.
 *
 * One context belongs to one worker and its loop. Contexts are made and freed one after another by the main thread; everything else here
 * is called by the worker's thread.
 */
#ifndef WEB_LWS_GUARD_H
#define WEB_LWS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>
#include <sys/uio.h>

#include <libwebsockets.h>

#include "web/input_check.h"

struct ev_loop;

#define LWS_GUARD_HEAD_BYTES_MAX  8192u         /* of a request head: request line and headers */
#define LWS_GUARD_WRITE_BYTES_MAX (64u * 1024u) /* in one lws_guard_write() */
#define LWS_GUARD_BODY_DIGITS_MAX 9             /* of a Content-Length */

/** The library refuses a request by itself. Answer STATUS with DETAIL (static text); the connection closes afterwards. */
typedef void (*lws_guard_refuse_fn)(struct lws *wsi, unsigned status, const char *detail);

/** The library is about to close a connection. @return true to keep it: then nothing is read any more, until it is closed again */
typedef bool (*lws_guard_defer_fn)(struct lws *wsi);

struct lws_guard {               /* owner: main thread, while the worker runs the worker's */
    struct lws_context *context; /* NULL: none; set to NULL by the library when it has been freed */
    struct lws_vhost *vhost;
};

/**
 * Once for the process, before the first context, for descriptors below DESCRIPTORS. Finds out whether the replacement of library functions
 * is in effect; a log line says so if not. Main thread.
 * @return false without memory; lws_guard_close() is to be called all the same
 */
bool lws_guard_open(lws_guard_refuse_fn refuse, lws_guard_defer_fn defer_close, size_t descriptors)
    __attribute__((warn_unused_result));

/** Undo lws_guard_open(). All contexts are freed. */
void lws_guard_close(void);

/** True if the replacement is in effect, so that connections can be kept open and every request may have a body. */
bool lws_guard_is_complete(void);

/**
 * A context on LOOP with safe options; PROTOCOLS (static) as for lws_create_context(), the first one is HTTP. Never listens.
 *
 * @param descriptors numbers of file descriptors that it can adopt: those below this one
 * @return false without memory, descriptors or the library's libev plugin (package libwebsockets-evlib-ev)
 */
bool lws_guard_init(struct lws_guard *guard, struct ev_loop *loop, const struct lws_protocols *protocols,
                    size_t descriptors) __attribute__((warn_unused_result));

/** Free the context. Its connections have been closed. */
void lws_guard_fini(struct lws_guard *guard);

/**
 * Adopt the connected, non-blocking socket FD (taken, also on failure) with OPAQUE. What comes from it is looked at with CHECK (zeroed), which
 * must live until lws_guard_forget().
 * @return NULL without memory
 */
struct lws *lws_guard_adopt(struct lws_guard *guard, int fd, struct input_check *check, void *opaque);

/** The connection that had FD and CHECK is gone, or was never adopted. */
void lws_guard_forget(int fd, struct input_check *check);

/**
 * Once a turn, outside of the library's callbacks: let it go on with leftover input, which it would otherwise leave to an idle watcher that
 * a busy loop starves.
 * @return true if something was done
 */
bool lws_guard_serve(struct lws_guard *guard);

/** About once a second while there are connections: let the library look at its timeouts, which it does not while nothing comes. */
void lws_guard_tick(struct lws_guard *guard);

/** How a request may end up with a body. */
struct lws_guard_body {
    uint64_t len;
    bool is_announced; /* there is a Content-Length, perhaps of 0 */
    bool
        comes_later; /* BODY_COMPLETION follows: not to be answered from within LWS_CALLBACK_HTTP. False: no body callbacks come */
};

/**
 * For LWS_CALLBACK_HTTP: check how the request's end is marked, before anything else is believed.
 *
 * @param is_first it is the first request of its connection
 * @param detail   out: what is wrong, static text
 * @return 0, or the status to answer with before closing the connection: 400, 411, 501
 */
unsigned lws_guard_check_framing(struct lws *wsi, bool is_first, struct lws_guard_body *body, const char **detail);

/**
 * For LWS_CALLBACK_HTTP that is about to return 0 on a request with body->comes_later: the library is going to look for the body, of LEN bytes.
 */
void lws_guard_expect_body(struct lws *wsi, uint64_t len);

/** The value of header NAME (lower case) as one string with ", " between several; -1 if it is longer than CAP - 1, 0 if not there. */
int lws_guard_header(struct lws *wsi, const char *name, char *buf, size_t cap);

/** Its length; -1 if it is not there. */
int lws_guard_header_len(struct lws *wsi, const char *name);

/** Why a request for an upgrade is refused. */
struct lws_guard_refusal {
    unsigned status;    /* 0: it is not */
    const char *detail; /* static text */
};

/**
 * For LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: may this become a WebSocket for MQTT? Checks method, version of HTTP and of WebSocket, key,
 * Connection and that a sub-protocol in PROTOCOLS (NULL-terminated) is offered. Host and Origin are for the caller.
 *
 * @param in       what the callback was given
 * @param is_plain_http out: this is no request for a WebSocket but an offer of HTTP/2, which has been declined: return 0 and the request
 *                 goes on as HTTP
 */
struct lws_guard_refusal lws_guard_check_upgrade(struct lws *wsi, void *in, const char *const *protocols,
                                                 bool *is_plain_http);

/**
 * Stop (false) or go on (true) reading from the connection. Not reading, an HTTP connection gets no events at all from the library, and has
 * no output in it: see lws_guard_send().
 */
void lws_guard_read(struct lws *wsi, bool enable);

/**
 * Send what the COUNT entries of IOV hold on an HTTP connection, past the library's own output: what that holds back, for want of room in the socket, would
 * keep it from serving the connection and spinning meanwhile. The caller waits for room by itself.
 *
 * @return bytes that were taken, 0 if there is no room; -1 if the connection is broken
 */
ssize_t lws_guard_send(struct lws *wsi, struct iovec *iov, size_t count);

/**
 * Write LEN (0 .. LWS_GUARD_WRITE_BYTES_MAX) bytes at DATA as one WebSocket frame. LWS_PRE bytes in front of it are free to be changed. What
 * the socket does not take is kept by the library, which is why nothing may be written while lws_guard_is_blocked().
 * @return false if the connection is broken
 */
bool lws_guard_write_frame(struct lws *wsi, uint8_t *data, size_t len, enum lws_write_protocol type)
    __attribute__((warn_unused_result));

/** True while the library holds output that the socket did not take. A writable callback comes when it does not any more. */
bool lws_guard_is_blocked(struct lws *wsi);

#endif
