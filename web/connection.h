/**
 * One adopted connection: HTTP at first, perhaps a WebSocket later. Known to http.c, ws.c and web.c only.
 *
 *      IDLE ---> REQUEST ---> IDLE ...        between requests; a request from its head to its answer
 *        |          |
 *        +----------+--> WEBSOCKET
 *        |          |        |
 *        +----------+--------+--> CLOSING     the library will end it; nothing of ours is left but this struct
 *
 * It ends in web_connection_gone(), called when the library destroys its part. Whoever wants it to end outside of a callback of the
 * library says web_connection_kill(), which takes effect at the end of the turn; inside, a callback returns -1.
 *
 * owner: the worker's thread
 */
#ifndef WEB_CONNECTION_H
#define WEB_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>

#include <ev.h>
#include <libwebsockets.h>

#include "gateway/base/timer_wheel.h"
#include "web/http.h"
#include "web/lws_guard.h"
#include "web/web.h"

struct backup;
struct client;
struct http_request;
struct listener;
struct request_stats;
struct store;
struct web_linger;
struct worker;

enum web_state {
    WEB_IDLE,
    WEB_REQUEST,
    WEB_WEBSOCKET,
    WEB_CLOSING,
};

struct web_connection {
    struct lws *wsi;
    struct web_worker *owner;
    TAILQ_ENTRY(web_connection) link; /* in one of the owner's two lists */
    struct timer timer;               /* deadline of the state */
    struct listener *listener;        /* that accepted it; outlives it */
    char *forwarded;                  /* owned: address that a trusted proxy vouches for; NULL: none */
    struct http_request *request;     /* REQUEST: owned */
    struct client *client;            /* WEBSOCKET: owned; NULL once the core has been told that it is gone */
    struct input_check check;
    int fd;                    /* the library's; only to tell the guard */
    struct web_linger *linger; /* owned; closing, but not before the peer has read; NULL: it is not */
    uint16_t port;             /* of the peer, host order */
    uint8_t address[16];       /* of the peer, IPv4 as ::ffff:a.b.c.d; zeros for a unix socket */
    uint8_t state;             /* enum web_state */
    uint8_t ws_end;            /* enum client_end to tell the core when it is gone */
    bool has_address : 1;      /* false: unix socket */
    bool has_served : 1;       /* at least one request has come */
    bool in_callback : 1;      /* of the library, for this connection */
    bool is_doomed : 1;        /* in the list of those to be killed */
    bool wants_linger : 1;     /* when it is closed, not before the peer has read the last answer */
    bool is_refused : 1;       /* an error has been answered that ends the connection */
    bool ws_is_blocked : 1;    /* output waits for the socket */
    bool ws_is_closing : 1;    /* the core is done: close after the output */
    bool ws_awaits_pong : 1;
    bool ws_is_paused : 1;
};

TAILQ_HEAD(web_connection_list, web_connection);
TAILQ_HEAD(http_request_list, http_request);

struct web_worker { /* owner: the worker's thread, before and after it the main thread */
    struct web *web;
    struct worker *worker;
    struct lws_guard guard;
    struct timer_wheel *timers;
    ev_timer alarm;     /* when the next timer is due */
    ev_prepare prepare; /* sets it */
    ev_timer tick;      /* once a second while there are connections */
    uint64_t alarm_ms;  /* when the alarm goes off; UINT64_MAX: it is not set */
    struct web_connection_list connections;
    struct web_connection_list doomed;
    struct web_connection *adopting;  /* by the library just now */
    struct http_request_list waiting; /* requests that are held, streamed or sent in pieces */
    size_t lingering;                 /* sockets whose peer is still reading the last answer */
    struct request_stats *requests;   /* owned; any thread reads */
    uint8_t *scratch;                 /* WEB_SCRATCH_BYTES, for one write */
    struct http_parts parts;
    bool is_draining;
};

/** Room in front of what is written, for the library's framing and for a chunk's length; and behind it. */
#define WEB_HEADROOM      ((size_t)LWS_PRE + 16u)
#define WEB_SCRATCH_BYTES (WEB_HEADROOM + LWS_GUARD_WRITE_BYTES_MAX + 16u)

/** The settings in force; valid until the end of the turn. */
const struct web_settings *web_settings(const struct web_worker *owner);

/** The counters of worker number INDEX. Any thread. */
const struct request_stats *web_request_stats(const struct web_worker *owner, unsigned index);

/** HTTP_SECRET_BYTES of this process. */
const uint8_t *web_secret(const struct web_worker *owner);

/** Whether the gateway is ready. Any thread. */
bool web_is_ready(const struct web_worker *owner);

/** True until the gateway is ready for the first time. Any thread. */
bool web_is_starting(const struct web_worker *owner);

/** How far the store has been read. TOTAL 0: not known. Any thread. */
void web_recovery(const struct web_worker *owner, uint64_t *done, uint64_t *total);

/** See http_store() and http_backup(). */
struct store *web_store(const struct web_worker *owner);
struct backup *web_backup(const struct web_worker *owner);

/** Monotonic time of this turn. */
uint64_t web_now_ms(const struct web_worker *owner);

/** Let CONNECTION's timer fire MS from now. */
void web_connection_set_timer(struct web_connection *connection, uint64_t ms);
void web_connection_stop_timer(struct web_connection *connection);

/** End CONNECTION without a word at the end of the turn. */
void web_connection_kill(struct web_connection *connection);

/**
 * Close CONNECTION after its last answer, outside of the library's callbacks. If wants_linger is set, then not before the peer has read it, or
 * some time has passed: closing resets a connection on which input is unread, and a reset overtakes the answer. In a
 * callback, setting wants_linger and returning -1 does the same.
 */
void web_connection_close(struct web_connection *connection);

/** Write the peer's address to BUF, as client_transport.describe does. */
void web_connection_describe(const struct web_connection *connection, char *buf, size_t cap);

#endif
