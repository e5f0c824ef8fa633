/* What each part defends against stands in front of it. Line numbers of the library are not given: look for the named function. */
#include "web/lws_guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/assert.h"
#include "gateway/base/log.h"

#define TIMEOUT_S_NEVER (24 * 3600) /* the library's own timeouts are one sorted list: ours replace them */
#define SERV_BUF_BYTES  (16u * 1024u)
#define LIST_OFFSET_MAX 4096 /* of the leftover list within a connection of the library */
#define LIST_HEADER_MAX 127  /* bytes of Connection and Sec-WebSocket-Protocol that the library has room for */
#define KEY_CHARS       24   /* of Sec-WebSocket-Key: 16 bytes in base64 */

typedef size_t (*next_segment_len_fn)(struct lws_buflist **head, uint8_t **buf);
typedef ssize_t (*recv_fn)(int fd, void *buf, size_t len, int flags);
typedef void (*close_free_fn)(struct lws *wsi, enum lws_close_status reason, const char *caller);

static struct { /* written by the main thread before there are others */
    lws_guard_refuse_fn refuse;
    lws_guard_defer_fn defer_close;
    next_segment_len_fn next_segment_len;
    close_free_fn close_free;
    recv_fn recv;
    _Atomic(struct input_check *) *checks; /* by descriptor; an entry is its connection's thread's */
    size_t descriptors;
    const char *names[INPUT_CHECK_NAMES_MAX]; /* of headers that the library knows, sorted; owned */
    bool is_complete;
} guard_process;

/* Of the thread, because a library callback does not say which list it comes from. */
static _Thread_local struct lws_buflist **last_list; /* that the library has looked at */
static _Thread_local struct lws_buflist **look_away; /* answer "empty" on its next look at this one */
static _Thread_local ptrdiff_t list_offset;          /* of the list within a connection; 0: not known yet */
static _Thread_local bool head_is_too_large;
static _Thread_local const char
    *wrong_input;                         /* why the library was told that a connection is broken; NULL: it was not */
static _Thread_local bool hides_leftover; /* answer "empty" to the question whether there is any */

/* --- replaced functions of the library --------------------------------------------------------------------------- */

/* The library declares it without visibility; a program built with hidden symbols must still export it. */
#define REPLACES_LIBRARY __attribute__((visibility("default")))

/* lws_http_action() consumes "what is left of the input" as the body of the request it has just parsed. If the request itself came from
 * the leftover list, its head is still the first thing there: it is parsed again, for ever. Told "nothing left", it returns, and the
 * rest of the list is read as a body the ordinary way. */
REPLACES_LIBRARY size_t lws_buflist_next_segment_len(struct lws_buflist **head, uint8_t **buf)
{
    if (guard_process.next_segment_len == NULL) {
        *(void **)&guard_process.next_segment_len = dlsym(RTLD_NEXT, "lws_buflist_next_segment_len");
    }
    if (buf == NULL && hides_leftover) {
        return 0;
    }
    if (buf != NULL) {
        last_list = head;
        if (look_away == head) {
            look_away = NULL;
            *buf = NULL;
            return 0;
        }
    }
    return guard_process.next_segment_len(head, buf);
}

static struct input_check *check_of(int fd)
{
    return fd >= 0 && (size_t)fd < guard_process.descriptors
               ? atomic_load_explicit(&guard_process.checks[fd], memory_order_relaxed)
               : NULL;
}

/* What peers send passes here first: see input_check.h. An error ends the connection; why is told by lws_close_free_wsi(). */
REPLACES_LIBRARY ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    if (guard_process.recv == NULL) {
        *(void **)&guard_process.recv = dlsym(RTLD_NEXT, "recv");
    }
    struct input_check *check = check_of(fd);
    ssize_t got = guard_process.recv(fd, buf, check != NULL ? input_check_room(check, len) : len, flags);
    if (got <= 0 || check == NULL) {
        return got;
    }
    size_t left = (size_t)got;
    wrong_input = input_check_bytes(check, buf, &left, len);
    if (wrong_input == NULL && left > 0) {
        return (ssize_t)left;
    }
    errno = wrong_input != NULL ? ECONNRESET : EAGAIN;
    return -1;
}

/* The parser's own refusals. Some callers go on after a success, with memory that is gone: all are told to close. */
REPLACES_LIBRARY int lws_return_http_status(struct lws *wsi, unsigned int code, const char *html_body)
{
    char *path;
    int path_len;
    (void)code;
    (void)html_body;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) > 0) {
        guard_process.refuse(wsi, 400, "the only protocol to upgrade to is websocket");
    } else if (lws_http_get_uri_and_method(wsi, &path, &path_len) < 0) {
        guard_process.refuse(wsi, 501, "the method is not known");
    } else {
        guard_process.refuse(wsi, 400, "the request target is no absolute path or has an invalid escape");
    }
    return 1;
}

/* To lws_read_h1() they are HTTP, too; but it has said itself what is wrong with a frame. */
static bool is_websocket(struct lws *wsi)
{
    const struct input_check *check = check_of(lws_get_socket_fd(wsi));
    return check != NULL && input_check_has_upgraded(check);
}

/* lws_read_h1() gives up on a head: without an answer, unless there was one already. */
REPLACES_LIBRARY void lws_close_free_wsi(struct lws *wsi, enum lws_close_status reason, const char *caller)
{
    if (guard_process.close_free == NULL) {
        *(void **)&guard_process.close_free = dlsym(RTLD_NEXT, "lws_close_free_wsi");
    }
    if (wrong_input != NULL) {
        guard_process.refuse(wsi, 400, wrong_input);
    } else if (caller != NULL && strcmp(caller, "lws_read_h1 bail") == 0 && !is_websocket(wsi)) {
        if (head_is_too_large) {
            guard_process.refuse(wsi, 431, "the request line and headers are too large or too many");
        } else {
            guard_process.refuse(wsi, 400, "the request is malformed");
        }
    }
    head_is_too_large = false;
    wrong_input = NULL;
    if (guard_process.defer_close(wsi)) {
        return; /* who calls this does not look at the connection again */
    }
    guard_process.close_free(wsi, reason, caller);
}

/* The library tells why it gives up on a head in its log only. */
static void on_library_log(int level, const char *line)
{
    size_t len = strlen(line);
    if (strstr(line, "Ran out of header data space") != NULL || strstr(line, "hdr frags than we can") != NULL ||
        strstr(line, "exceeds limit") != NULL) {
        head_is_too_large = true;
    }
    (void)level;
    log_debug("libwebsockets", LOG_BYTES("text", line, len > 0 && line[len - 1] == '\n' ? len - 1 : len));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The library's table of tokens has methods and names of HTTP/2, too; a header that begins like one of those goes wrong just the same. */
static bool learn_names(void)
{
    size_t count = 0;
    for (int token = 0; token < WSI_TOKEN_COUNT && count < INPUT_CHECK_NAMES_MAX; token++) {
        const char *text = (const char *)lws_token_to_string((enum lws_token_indexes)token);
        size_t len = text != NULL ? strlen(text) : 0;
        if (len > 0) {
            guard_process.names[count] = strndup(text, text[len - 1] == ':' && len > 1 ? len - 1 : len);
            if (guard_process.names[count++] == NULL) {
                return false;
            }
        }
    }
    qsort(guard_process.names, count, sizeof guard_process.names[0], compare_names);
    input_check_open(guard_process.names, count);
    return true;
}

bool lws_guard_open(lws_guard_refuse_fn refuse, lws_guard_defer_fn defer_close, size_t descriptors)
{
    TG_ASSERT(guard_process.checks == NULL);
    guard_process.refuse = refuse;
    guard_process.defer_close = defer_close;
    guard_process.checks = calloc(descriptors, sizeof(*guard_process.checks));
    guard_process.descriptors = guard_process.checks != NULL ? descriptors : 0;
    if (guard_process.checks == NULL || !learn_names()) {
        return false;
    }
    lws_set_log_level(LLL_ERR | LLL_WARN, on_library_log);
    *(void **)&guard_process.next_segment_len = dlsym(RTLD_NEXT, "lws_buflist_next_segment_len");
    *(void **)&guard_process.close_free = dlsym(RTLD_NEXT, "lws_close_free_wsi");
    TG_ASSERT(guard_process.next_segment_len != NULL && guard_process.close_free != NULL);
    *(void **)&guard_process.recv = dlsym(RTLD_NEXT, "recv");
    guard_process.is_complete =
        dlsym(RTLD_DEFAULT, "recv") == (void *)&recv && (void *)guard_process.recv != (void *)&recv &&
        dlsym(RTLD_DEFAULT, "lws_buflist_next_segment_len") == (void *)&lws_buflist_next_segment_len &&
        (void *)guard_process.next_segment_len != (void *)&lws_buflist_next_segment_len;
    if (!guard_process.is_complete) {
        log_error("HTTP connections will not be kept open",
                  LOG_STR("reason", "this program was built so that it cannot repair libwebsockets"));
    }
#ifdef LWS_EVLIB_EV
    /* Freeing the last context unloads the plugin, whose watchers the loops may still know. Loaded once more it stays. */
    if (dlopen(LWS_EVLIB_EV, RTLD_NOW | RTLD_NODELETE) == NULL) {
        log_debug("libwebsockets", LOG_STR("text", "no libev plugin where it was when this program was built"));
    }
#endif
    return true;
}

void lws_guard_close(void)
{
    free(guard_process.checks);
    guard_process.checks = NULL;
    guard_process.descriptors = 0;
    for (size_t i = 0; i < INPUT_CHECK_NAMES_MAX; i++) {
        free((void *)(uintptr_t)guard_process.names[i]);
        guard_process.names[i] = NULL;
    }
}

bool lws_guard_is_complete(void)
{
    return guard_process.is_complete;
}

/* --- contexts ---------------------------------------------------------------------------------------------------- */

bool lws_guard_init(struct lws_guard *guard, struct ev_loop *loop, const struct lws_protocols *protocols,
                    size_t descriptors)
{
    static const lws_retry_bo_t no_validity_pings = {0}; /* they would be a sorted list of all connections */
    struct rlimit limit;
    void *loops[1] = {loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .protocols = protocols,
        .extensions = NULL, /* permessage-deflate aborts on an empty message */
        .gid = -1,          /* none: leave it alone */
        .uid = -1,
        .timeout_secs = TIMEOUT_S_NEVER,
        .keepalive_timeout = TIMEOUT_S_NEVER,
        .max_http_header_data2 = LWS_GUARD_HEAD_BYTES_MAX,
        .pt_serv_buf_size = SERV_BUF_BYTES,
        .retry_and_idle_policy = &no_validity_pings,
        .alpn = "http/1.1",
        .vhost_name = "tidegate",
        .pcontext = &guard->context, /* so that it is not freed twice */
    };

    /* Tables are as long as the limit of descriptors, and each close walks one. */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return false;
    }
    rlim_t before = limit.rlim_cur;
    if (limit.rlim_cur > descriptors) {
        limit.rlim_cur = descriptors;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            return false;
        }
    }
    guard->context = lws_create_context(&info);
    guard->vhost = guard->context != NULL ? lws_create_vhost(guard->context, &info) : NULL;
    limit.rlim_cur = before;
    bool is_restored = setrlimit(RLIMIT_NOFILE, &limit) == 0;
    if (guard->vhost == NULL || !is_restored) {
        lws_guard_fini(guard);
        return false;
    }
    return true;
}

void lws_guard_fini(struct lws_guard *guard)
{
    if (guard->context != NULL) {
        lws_context_destroy(guard->context); /* frees at once, as the loop is ours */
        guard->context = NULL;
    }
}

void lws_guard_forget(int fd, struct input_check *check)
{
    /* The number may belong to another connection by now. */
    if (fd >= 0 && (size_t)fd < guard_process.descriptors) {
        atomic_compare_exchange_strong_explicit(&guard_process.checks[fd], &check, NULL, memory_order_relaxed,
                                                memory_order_relaxed);
    }
}

struct lws *lws_guard_adopt(struct lws_guard *guard, int fd, struct input_check *check, void *opaque)
{
    lws_adopt_desc_t adoption = {
        .vh = guard->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
        .fd.sockfd = fd,
        .opaque = opaque,
    };
    if (fd < 0 || (size_t)fd >= guard_process.descriptors) {
        close(fd);
        return NULL;
    }
    atomic_store_explicit(&guard_process.checks[fd], check, memory_order_relaxed);
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&adoption);
    if (wsi != NULL) {
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    }
    return wsi;
}

bool lws_guard_serve(struct lws_guard *guard)
{
    if (guard->context == NULL || lws_service_adjust_timeout(guard->context, 1, 0) != 0) {
        return false;
    }
    _lws_plat_service_forced_tsi(guard->context, 0);
    return true;
}

void lws_guard_tick(struct lws_guard *guard)
{
    lws_cancel_service(guard->context);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

/* @return the token of the header NAME ("host"), -1 if the library keeps it among unknown ones */
static int known_token(const char *name)
{
    size_t len = strlen(name);
    for (int token = 0; token < WSI_TOKEN_COUNT; token++) {
        const char *known = (const char *)lws_token_to_string((enum lws_token_indexes)token);
        if (known != NULL && strncmp(known, name, len) == 0 && known[len] == ':' && known[len + 1] == '\0') {
            return token;
        }
    }
    return -1;
}

/* Unknown headers are found by name and colon. */
static int unknown_name(const char *name, char *out, size_t cap)
{
    int len = snprintf(out, cap, "%s:", name);
    return len > 0 && (size_t)len < cap ? len : -1;
}

int lws_guard_header_len(struct lws *wsi, const char *name)
{
    char full[64];
    int token = known_token(name);
    if (token >= 0) {
        int len = lws_hdr_total_length(wsi, (enum lws_token_indexes)token);
        return len > 0 ? len : -1;
    }
    int full_len = unknown_name(name, full, sizeof full);
    return full_len < 0 ? -1 : lws_hdr_custom_length(wsi, full, full_len);
}

int lws_guard_header(struct lws *wsi, const char *name, char *buf, size_t cap)
{
    char full[64];
    int token = known_token(name);
    buf[0] = '\0';
    if (token >= 0) {
        return lws_hdr_copy(wsi, buf, (int)cap, (enum lws_token_indexes)token);
    }
    int full_len = unknown_name(name, full, sizeof full);
    if (full_len < 0 || lws_hdr_custom_length(wsi, full, full_len) < 0) {
        return 0;
    }
    return lws_hdr_custom_copy(wsi, buf, (int)cap, full, full_len);
}

/* @return false if TEXT is not a plain number of at most nine digits. Duplicates come joined by a comma, so they are not. */
static bool parse_length(const char *text, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > LWS_GUARD_BODY_DIGITS_MAX || text[digits] != '\0') {
        return false;
    }
    *out = strtoull(text, NULL, 10);
    return true;
}

/* The list that the library looked at before it parsed this request is the one of this connection: learn where it is in there. */
static bool knows_list(struct lws *wsi)
{
    ptrdiff_t offset = (char *)last_list - (char *)wsi;
    if (!guard_process.is_complete || last_list == NULL || offset <= 0 || offset >= LIST_OFFSET_MAX) {
        return false;
    }
    if (list_offset == 0) {
        list_offset = offset;
    }
    return offset == list_offset;
}

/* True for methods that the library expects a body with, of 100 MiB if nothing is said. */
static bool method_needs_length(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0 || lws_hdr_total_length(wsi, WSI_TOKEN_PUT_URI) > 0 ||
           lws_hdr_total_length(wsi, WSI_TOKEN_PATCH_URI) > 0;
}

unsigned lws_guard_check_framing(struct lws *wsi, bool is_first, struct lws_guard_body *body, const char **detail)
{
    char length[LWS_GUARD_BODY_DIGITS_MAX + 2];
    *body = (struct lws_guard_body){0};
    if (lws_guard_header_len(wsi, "transfer-encoding") >= 0) {
        *detail = "a body needs a Content-Length; Transfer-Encoding is not supported";
        return 411;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0) {
        if (lws_hdr_copy(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0 ||
            !parse_length(length, &body->len)) {
            *detail = "Content-Length must be one number of at most nine digits";
            return 400;
        }
        body->is_announced = true;
    } else if (method_needs_length(wsi)) {
        *detail = "this method needs a Content-Length, be it 0";
        return 411;
    }
    body->comes_later = body->len > 0 || (body->is_announced && lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0);
    if (body->len > 0 && !is_first && !knows_list(wsi)) {
        *detail = "a body is possible only on the first request of a connection";
        return 400;
    }
    return 0;
}

void lws_guard_expect_body(struct lws *wsi, uint64_t len)
{
    /* For a body of 0 bytes the library does not look: it would be at the wrong moment that it finds nothing. */
    if (len > 0 && knows_list(wsi) && guard_process.next_segment_len(last_list, NULL) > 0) {
        look_away = last_list;
    }
}

/* --- upgrades ---------------------------------------------------------------------------------------------------- */

static bool is_list_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

/* Take the next word of the comma separated list at *P. @return its length, 0 at the end, -1 if it is no such list */
static int next_word(const char **p, const char **word)
{
    *p += strspn(*p, " \t,");
    *word = *p;
    while (is_list_char(**p)) {
        (*p)++;
    }
    if (**p != '\0' && strchr(" \t,", **p) == NULL) {
        return -1;
    }
    return (int)(*p - *word);
}

/* @return 1 if one of WORDS is in the list TEXT, 0 if none is, -1 if it is no list that the library could read */
static int list_has(const char *text, const char *const *words, bool ignore_case)
{
    const char *word;
    int found = 0, len;
    while ((len = next_word(&text, &word)) > 0) {
        for (size_t i = 0; words[i] != NULL; i++) {
            bool same =
                ignore_case ? strncasecmp(words[i], word, (size_t)len) == 0 : strncmp(words[i], word, (size_t)len) == 0;
            found |= same && words[i][len] == '\0';
        }
    }
    return len < 0 ? -1 : found;
}

static bool is_key(const char *key)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strspn(key, base64);
    return len == KEY_CHARS - 2 && strcmp(key + len, "==") == 0;
}

/* A client that would rather speak HTTP/2 ("Upgrade: h2c", as curl --http2 says) may be answered in HTTP/1.1. The library would follow;
 * but it looks at the word again after the callback, where it is another one then. WORD points into the head; it would not if the library had
 * answered by itself and gone on, which lws_return_http_status() above prevents. */
static bool decline_http2(struct lws *wsi, char *word)
{
    if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) <= 0 || strcasecmp(word, "h2c") != 0) {
        return false;
    }
    memset(word, '-', strlen(word));
    return true;
}

struct lws_guard_refusal lws_guard_check_upgrade(struct lws *wsi, void *in, const char *const *protocols,
                                                 bool *is_plain_http)
{
    static const char *const upgrade[] = {"upgrade", NULL};
    char text[LIST_HEADER_MAX + 1];

    *is_plain_http = decline_http2(wsi, in);
    if (*is_plain_http) {
        return (struct lws_guard_refusal){0, NULL};
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0) {
        return (struct lws_guard_refusal){405, "a WebSocket begins with GET"};
    }
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_UPGRADE) <= 0 || strcasecmp(text, "websocket") != 0) {
        return (struct lws_guard_refusal){400, "the only protocol to upgrade to is websocket"};
    }
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP) <= 0 || strcmp(text, "HTTP/1.1") != 0) {
        return (struct lws_guard_refusal){400, "a WebSocket needs HTTP/1.1"};
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
        lws_guard_header_len(wsi, "transfer-encoding") >= 0) {
        return (struct lws_guard_refusal){400, "a request for a WebSocket has no body"};
    }
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_CONNECTION) <= 0 || list_has(text, upgrade, true) != 1) {
        return (struct lws_guard_refusal){400, "Connection must name Upgrade"};
    }
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_VERSION) <= 0 || strcmp(text, "13") != 0) {
        return (struct lws_guard_refusal){426, "the version of WebSocket is 13"};
    }
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_KEY) <= 0 || !is_key(text)) {
        return (struct lws_guard_refusal){400, "Sec-WebSocket-Key is missing or invalid"};
    }
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_PROTOCOL) <= 0 || list_has(text, protocols, false) != 1) {
        return (struct lws_guard_refusal){400, "Sec-WebSocket-Protocol must offer mqtt or mqttv3.1"};
    }
    return (struct lws_guard_refusal){0, NULL};
}

/* --- output ------------------------------------------------------------------------------------------------------ */

/* Flow control of an HTTP connection stops its output too; and with leftover input, stopping asks to be called when the socket is writable,
 * which it is, for ever. So the leftover is kept from the library while it stops. */
void lws_guard_read(struct lws *wsi, bool enable)
{
    hides_leftover = !enable;
    lws_rx_flow_control(wsi, enable ? 1 : 0);
    hides_leftover = false;
}

ssize_t lws_guard_send(struct lws *wsi, struct iovec *iov, size_t count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t sent = sendmsg(lws_get_socket_fd(wsi), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)) {
        return 0;
    }
    return sent;
}

bool lws_guard_write_frame(struct lws *wsi, uint8_t *data, size_t len, enum lws_write_protocol type)
{
    TG_ASSERT(len <= LWS_GUARD_WRITE_BYTES_MAX);
    return lws_write(wsi, data, len, type) >= 0;
}

bool lws_guard_is_blocked(struct lws *wsi)
{
    return lws_partial_buffered(wsi) != 0;
}
