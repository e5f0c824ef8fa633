#include "web/event_request.h"

#include <string.h>
#include <strings.h>

#include "config/config.h"
#include "protocol/topic.h"
#include "protocol/utf8.h"
#include "web/http.h"
#include "web/web.h"

#define CLIENT_ID_BYTES_MAX 65535u

static bool refuse(struct http_request *request, const char *what)
{
    http_problem(request, 400, "%s", what);
    return false;
}

static bool read_filters(struct http_request *request, struct event_request *out)
{
    struct topic_filter parsed;
    size_t count = 0;
    while (http_query_nth(request, "filter", count).data != NULL) {
        if (++count > EVENT_FILTERS_MAX) {
            return refuse(request, "too many filters");
        }
    }
    if (count == 0) {
        return refuse(request, "query parameter filter is missing");
    }
    out->filters = http_alloc(request, count * sizeof(*out->filters));
    if (out->filters == NULL) {
        http_problem(request, 503, "out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        out->filters[i] = http_query_nth(request, "filter", i);
        if (!topic_filter_parse(out->filters[i], &parsed)) {
            return refuse(request, "filter is not a valid topic filter");
        }
    }
    out->filter_count = count;
    return true;
}

static bool read_retained(struct http_request *request, struct event_request *out)
{
    struct bytes word = http_query(request, "retained");
    out->wants_retained = word.data == NULL || bytes_equal(word, bytes_from_string("send"));
    return out->wants_retained || bytes_equal(word, bytes_from_string("skip")) ||
           refuse(request, "retained must be send or skip");
}

/* The session: of its own, or by client id. */
static bool read_session(struct http_request *request, struct event_request *out)
{
    uint64_t expiry_s = http_settings(request)->config->events.resume_s;
    struct bytes client_id = http_query(request, "client_id");
    if (!http_query_number(request, "session_expiry", 0, UINT32_MAX, &expiry_s)) {
        return false;
    }
    if (client_id.data == NULL && http_query(request, "session_expiry").data != NULL) {
        return refuse(request, "session_expiry needs a client_id");
    }
    if (client_id.data != NULL &&
        (client_id.len == 0 || client_id.len > CLIENT_ID_BYTES_MAX || !utf8_is_valid_string(client_id))) {
        return refuse(request, "client_id must be 1 to 65535 bytes of UTF-8");
    }
    out->client_id = client_id;
    out->expiry_s = (uint32_t)expiry_s;
    return true;
}

static bool read_cursor(struct http_request *request, struct event_request *out)
{
    struct bytes text = http_header(request, "last-event-id");
    if (text.data == NULL ||
        text.len == 0) { /* a browser that reconnects says where it is now, its URL where it began */
        text = http_query(request, "since");
        out->cursor_is_explicit = true;
    }
    out->has_cursor = text.data != NULL;
    if (!out->has_cursor) {
        return true;
    }
    if (!event_cursor_parse(text, &out->after)) {
        return refuse(request, "this is not the id of an event of this server");
    }
    if ((out->after.token[0] == '\0') != (out->client_id.len > 0)) {
        return refuse(request, out->client_id.len > 0 ? "this id is of a stream without client_id"
                                                      : "this id is of a stream with a client_id");
    }
    return true;
}

/* True if WORD stands in the list ACCEPT, parameters left aside. */
static bool accepts(struct bytes accept, const char *word)
{
    size_t word_len = strlen(word);
    const char *at = (const char *)accept.data;
    const char *end = at + accept.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        while (at < stop && (*at == ' ' || *at == '\t')) {
            at++;
        }
        size_t len = (size_t)(stop - at);
        if (len >= word_len && strncasecmp(at, word, word_len) == 0 &&
            (len == word_len || strchr("; \t", at[word_len]) != NULL)) {
            return true;
        }
        at = comma != NULL ? comma + 1 : end;
    }
    return false;
}

static bool choose_format(struct http_request *request, struct event_request *out)
{
    struct bytes accept = http_header(request, "accept");
    if (accept.data != NULL && accepts(accept, "application/x-ndjson")) {
        out->format = EVENT_LINES;
    } else if (accept.data != NULL && accepts(accept, "text/event-stream")) {
        out->format = EVENT_STREAM;
    } else if (out->is_poll && accept.data != NULL && accepts(accept, "application/json")) {
        out->format = EVENT_ARRAY;
    } else if (accept.data == NULL || accept.len == 0 || accepts(accept, "*/*") || accepts(accept, "text/*")) {
        out->format = out->is_poll ? EVENT_LINES : EVENT_STREAM;
    } else {
        http_problem(request, 406, "events come as text/event-stream or application/x-ndjson%s",
                     out->is_poll ? ", with wait as application/json too" : "");
        return false;
    }
    return true;
}

bool event_request_read(struct http_request *request, struct event_request *out)
{
    uint64_t qos = http_query(request, "client_id").data != NULL;
    uint64_t wait_s = 0;
    *out = (struct event_request){.is_poll = http_query(request, "wait").data != NULL};
    /* Other sites could not read the answer, but they would take a client's session by its id all the same. */
    bool is_named = http_query(request, "client_id").data != NULL;
    if (http_may_be_foreign(request, is_named)) {
        http_problem(request, 403, "pages of other sites may ask for events by EventSource or fetch only%s",
                     is_named ? "; with client_id a browser must say by Referer that its page is none of these" : "");
        return false;
    }
    if (!http_query_number(request, "qos", 0, 1, &qos) ||
        !http_query_number(request, "wait", 0, EVENT_WAIT_S_MAX, &wait_s) || !read_filters(request, out) ||
        !read_retained(request, out) || !read_session(request, out) || !read_cursor(request, out) ||
        !choose_format(request, out)) {
        return false;
    }
    out->qos = (uint8_t)qos;
    out->wait_s = (uint32_t)wait_s;
    return true;
}

const char *event_request_type(const struct event_request *asked)
{
    static const char *const types[] = {
        [EVENT_STREAM] = "text/event-stream",
        [EVENT_LINES] = "application/x-ndjson",
        [EVENT_ARRAY] = "application/json",
    };
    return types[asked->format];
}
