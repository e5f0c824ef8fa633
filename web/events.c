#include "web/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "gateway/access/access.h"
#include "gateway/base/container.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/local.h"
#include "protocol/reason.h"
#include "web/event_request.h"
#include "web/event_text.h"
#include "web/http.h"
#include "web/web.h"

#define WINDOW       65535u /* unfinished messages are bounded by count and bytes, not by the window */
#define BUFFER_BYTES 32768u /* of text that waits; above it the session waits */
#define RETRY_MS     500u
#define PEER_BYTES   128u

/* owner: the worker's thread. Freed when both its request and its local client are gone */
struct stream {
    struct http_request *request; /* NULL: gone */
    struct local *local;          /* NULL: closed */
    struct event_text *text;      /* borrowed from the worker */
    struct timer_wheel *timers;
    struct event_request asked; /* valid while the request is there */
    struct event_cursor cursor; /* of the last message that was handed over */
    struct event_buffer buffer;
    struct timer timer;    /* heart beat, or the end of a poll */
    uint64_t next_seq;     /* that the next message must have */
    uint64_t queued_until; /* messages below it were queued before this connection */
    uint64_t dropped;      /* of local_dropped(), what has been told */
    uint64_t sent_ms;      /* when something was sent last */
    char client_id[EVENT_CLIENT_ID_BYTES];
    char peer[PEER_BYTES];
    bool is_streaming;   /* the head of the answer has been sent */
    bool is_blocked;     /* the local client is told to wait */
    bool wants_snapshot; /* retained values are to be sent again */
    bool owes_synced;    /* the reader is to be told when it has all that was there before */
    bool has_content;    /* a poll: there is something to answer with */
    bool is_due;         /* a poll: its time is over, it waits for the retained values alone */
    bool lacks_memory;   /* a mark could not be written: the reader must come again */
};

static void stream_free(struct stream *stream)
{
    timer_wheel_stop(stream->timers, &stream->timer);
    event_buffer_fini(&stream->buffer);
    free(stream);
}

static const struct config_events *config_of(const struct stream *stream)
{
    return &http_settings(stream->request)->config->events;
}

/* The request is over: the session lives on for EXPIRY_S (UINT32_MAX: as long as was asked for). */
static void leave(struct stream *stream, uint32_t expiry_s)
{
    stream->request = NULL;
    timer_wheel_stop(stream->timers, &stream->timer);
    event_buffer_fini(&stream->buffer);
    if (stream->local != NULL) {
        local_close(stream->local, expiry_s); /* on_close() frees the stream */
    } else {
        stream_free(stream);
    }
}

/* Answer with STATUS in place of events. A session that was made for this request alone ends. */
static void refuse(struct stream *stream, unsigned status, const char *why, bool session_ends)
{
    struct http_request *request = stream->request;
    if (status == 503) {
        http_add_header(request, "Retry-After", "1");
    }
    http_problem(request, status, "%s", why);
    leave(stream, session_ends ? 0 : UINT32_MAX);
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void mark(struct stream *stream, const char *name)
{
    if (!event_text_mark(&stream->buffer, stream->asked.format, &stream->cursor, name)) {
        stream->lacks_memory = true;
    }
}

/* Something is missing behind where the reader stands. */
static void tell_gap(struct stream *stream)
{
    mark(stream, "gap");
    stream->wants_snapshot = stream->asked.wants_retained;
    stream->has_content = true;
}

static void tell_if_synced(struct stream *stream)
{
    if (stream->owes_synced && local_is_synced(stream->local)) {
        stream->owes_synced = false;
        mark(stream, "synced");
    }
}

static void set_blocked(struct stream *stream, bool blocked)
{
    if (stream->is_blocked != blocked) {
        stream->is_blocked = blocked;
        local_set_blocked(stream->local, blocked);
    }
}

/* Send what the connection takes, and let the session wait or go on. */
static void flush(struct stream *stream)
{
    struct event_buffer *buffer = &stream->buffer;
    size_t left = event_buffer_left(buffer);
    size_t room = http_stream_room(stream->request);
    while (left > 0 && room > 0) {
        size_t len = left < room ? left : room;
        if (!http_stream_write(stream->request, buffer->text.at + buffer->sent, len)) {
            return; /* gone() follows */
        }
        stream->sent_ms = http_now_ms(stream->request);
        buffer->sent += len;
        left -= len;
        room = http_stream_room(stream->request);
    }
    if (left == 0) {
        event_buffer_fini(buffer);
    }
    set_blocked(stream, left >= BUFFER_BYTES);
}

/* The answer to a poll: what has come, or nothing. */
static void answer_poll(struct stream *stream)
{
    struct http_request *request = stream->request;
    struct event_buffer *buffer = &stream->buffer;
    char cursor[EVENT_CURSOR_BYTES];
    (void)event_cursor_write(&stream->cursor, cursor);
    http_add_header(request, "X-Cursor", cursor);
    http_add_header(request, "Cache-Control", "no-store");
    if (!stream->has_content) {
        http_reply(request, 204, NULL, NULL, 0);
    } else if (stream->asked.format == EVENT_ARRAY && !event_buffer_add(buffer, "]\n")) {
        http_problem(request, 503, "out of memory");
    } else {
        if (stream->asked.format == EVENT_ARRAY) {
            buffer->text.at[0] = '['; /* in place of the first comma */
        }
        http_reply(request, 200, event_request_type(&stream->asked), buffer->text.at, buffer->text.len);
    }
    leave(stream, UINT32_MAX);
}

/* Send or answer what there is. STREAM may be gone from its request afterwards. */
static void put_out(struct stream *stream)
{
    if (stream->lacks_memory) {
        local_close(stream->local, UINT32_MAX); /* the reader comes again, and finds what is missing */
    } else if (stream->is_streaming) {
        flush(stream);
    } else if ((stream->has_content || stream->is_due) && !stream->wants_snapshot &&
               (local_is_synced(stream->local) || event_buffer_left(&stream->buffer) >= BUFFER_BYTES)) {
        answer_poll(stream);
    }
}

/* --- subscribing ------------------------------------------------------------------------------------------------- */

static unsigned status_of(uint8_t reason_code)
{
    switch (reason_code) {
    case REASON_NOT_AUTHORIZED:
        return 403;
    case REASON_TOPIC_FILTER_INVALID:
        return 400;
    default:
        return 503;
    }
}

/* @return 0, or a reason code with *WHY */
static uint8_t subscribe(struct stream *stream, uint8_t retain_handling, const char **why)
{
    const struct event_request *asked = &stream->asked;
    for (size_t i = 0; i < asked->filter_count; i++) {
        struct local_subscription subscription = {
            .filter = asked->filters[i], .qos = asked->qos, .retain_handling = retain_handling};
        uint8_t code = local_subscribe(stream->local, &subscription, why);
        if (code >= 0x80) {
            return code;
        }
    }
    return 0;
}

/* After a gap: all retained values once more. */
static void send_snapshot(struct stream *stream)
{
    const char *why;
    stream->wants_snapshot = false;
    if (subscribe(stream, 0, &why) != 0) { /* rights or memory have gone: the reader must come again */
        local_close(stream->local, UINT32_MAX);
    }
    stream->owes_synced = true;
}

/* --- what the broker tells --------------------------------------------------------------------------------------- */

static const struct http_stream_ops stream_ops;
static void on_heartbeat(struct timer *timer);

/* Where the reader stands, and whether something behind it is missing. @return false if the request has been refused */
static bool take_cursor(struct stream *stream, bool session_present, bool *gap)
{
    const struct event_request *asked = &stream->asked;
    *gap = false;
    if (asked->has_cursor && session_present) {
        local_finish_up_to(stream->local, asked->after.seq);
        *gap = local_first_seq(stream->local) != asked->after.seq + 1;
    } else if (asked->has_cursor && asked->cursor_is_explicit) {
        refuse(stream, 410, "what this id stands for is not kept any more: begin without it", true);
        return false;
    } else if (asked->has_cursor) {
        *gap = true; /* a browser would give up at an error */
    }
    stream->next_seq = local_first_seq(stream->local);
    stream->queued_until = local_next_seq(stream->local);
    stream->cursor.seq = stream->next_seq - 1;
    return true;
}

static bool begin_stream(struct stream *stream)
{
    struct http_request *request = stream->request;
    char cursor[EVENT_CURSOR_BYTES];
    char hello[EVENT_CURSOR_BYTES + 64];
    http_add_header(request, "Cache-Control", "no-store");
    http_add_header(request, "X-Accel-Buffering", "no");
    if (!http_stream_begin(request, 200, event_request_type(&stream->asked), &stream_ops, stream)) {
        leave(stream, UINT32_MAX);
        return false;
    }
    stream->is_streaming = true;
    (void)event_cursor_write(&stream->cursor, cursor);
    if (stream->asked.format == EVENT_STREAM) {
        (void)snprintf(hello, sizeof(hello), "retry: %u\nid: %s\n\n", RETRY_MS, cursor);
    } else {
        (void)snprintf(hello, sizeof(hello), "{\"event\":\"open\",\"id\":\"%s\"}\n", cursor);
    }
    if (!event_buffer_add(&stream->buffer, hello)) {
        stream->lacks_memory = true;
    }
    return true;
}

/* The session is there: subscribe, and begin to answer. */
static void on_open(void *owner, bool session_present)
{
    struct stream *stream = owner;
    const struct event_request *asked = &stream->asked;
    struct local *local = stream->local;
    const char *why = NULL;
    bool gap;
    if (!take_cursor(stream, session_present, &gap)) {
        return;
    }
    if (session_present) {
        local_unsubscribe_others(local, asked->filters, asked->filter_count);
    }
    bool goes_on = session_present && asked->has_cursor && !gap;
    uint8_t retain_handling = !asked->wants_retained ? 2 : goes_on ? 1 : 0;
    uint8_t code = subscribe(stream, retain_handling, &why);
    if (code != 0) {
        refuse(stream, status_of(code), why, !session_present);
        return;
    }
    if (!asked->is_poll && !begin_stream(stream)) {
        return;
    }
    if (gap) {
        tell_gap(stream);
        stream->wants_snapshot = false; /* it has been asked for */
    }
    stream->owes_synced = true;
    timer_init(&stream->timer, on_heartbeat);
    uint64_t now_ms = http_now_ms(stream->request);
    uint32_t interval_s = asked->is_poll ? asked->wait_s : config_of(stream)->heartbeat_s;
    stream->sent_ms = now_ms;
    timer_wheel_set(stream->timers, &stream->timer, now_ms + (uint64_t)interval_s * 1000);
}

/* Messages without numbers may have been dropped while the reader was slow. */
static void look_for_dropped(struct stream *stream)
{
    uint64_t dropped = local_dropped(stream->local);
    if (dropped != stream->dropped && !stream->is_blocked) {
        stream->dropped = dropped;
        tell_gap(stream);
    }
}

/* Must not call the broker. */
static void on_message(void *owner, const struct local_message *message)
{
    struct stream *stream = owner;
    if (stream->request == NULL || stream->lacks_memory) {
        return; /* it stays in the session */
    }
    bool has_number = message->qos > 0;
    look_for_dropped(stream);
    if (has_number) {
        stream->cursor.seq = message->seq - 1;
        if (message->seq != stream->next_seq) {
            tell_gap(stream);
        }
        stream->next_seq = message->seq + 1;
        stream->cursor.seq = message->seq;
        if (message->seq < stream->queued_until && !local_may_read(stream->local, message->topic)) {
            return;
        }
    }
    struct message_view view = {
        .topic = message->topic,
        .payload = message->payload,
        .properties = message->properties,
        .has_expiry = message->has_expiry,
        .expiry_s = message->expiry_s,
        .qos = message->published_qos < stream->asked.qos ? message->published_qos : stream->asked.qos,
        .retain = message->retain,
    };
    if (!event_text_message(stream->text, &stream->buffer, stream->asked.format, has_number ? &stream->cursor : NULL,
                            &view)) {
        stream->lacks_memory = true;
        return;
    }
    stream->has_content = true;
    if (event_buffer_left(&stream->buffer) >= BUFFER_BYTES) {
        set_blocked(stream, true);
    }
}

static void on_synced(void *owner)
{
    struct stream *stream = owner;
    if (stream->request != NULL) {
        tell_if_synced(stream);
        put_out(stream);
    }
}

static void on_end_turn(void *owner)
{
    struct stream *stream = owner;
    if (stream->request == NULL) {
        return;
    }
    const struct config_events *config = config_of(stream);
    look_for_dropped(stream);
    local_finish_beyond(stream->local, config->queued_messages, config->queued_bytes);
    if (stream->wants_snapshot && !stream->lacks_memory) {
        send_snapshot(stream);
    }
    tell_if_synced(stream);
    put_out(stream);
}

/* The session is gone from here: by our own will, taken over, or because the server stops. */
static void on_close(void *owner, uint8_t reason_code, const char *why)
{
    struct stream *stream = owner;
    struct http_request *request = stream->request;
    stream->local = NULL;
    if (request != NULL && !stream->is_streaming) {
        bool is_taken = reason_code == REASON_SESSION_TAKEN_OVER;
        if (!is_taken) {
            http_add_header(request, "Retry-After", "1");
        }
        http_problem(request, is_taken ? 409 : 503, "%s", is_taken ? "another client uses this session now" : why);
    } else if (request != NULL) {
        if (reason_code == REASON_SESSION_TAKEN_OVER && event_buffer_left(&stream->buffer) == 0 &&
            http_stream_room(request) > 0) {
            /* not to be fought for: a page that does not close the stream comes again later than others do */
            static const char stream_text[] = "retry: 10000\nevent: closed\ndata: {\"reason\":\"taken over\"}\n\n";
            static const char line_text[] = "{\"event\":\"closed\",\"reason\":\"taken over\"}\n";
            bool is_stream = stream->asked.format == EVENT_STREAM;
            (void)!http_stream_write(request, is_stream ? stream_text : line_text,
                                     is_stream ? sizeof(stream_text) - 1 : sizeof(line_text) - 1);
        }
        http_stream_end(request);
    }
    stream_free(stream);
}

static void describe(void *owner, char *buf, size_t cap)
{
    const struct stream *stream = owner;
    (void)snprintf(buf, cap, "%s", stream->peer);
}

static const struct local_ops local_ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_synced = on_synced,
    .on_end_turn = on_end_turn,
    .on_close = on_close,
    .describe = describe,
    .name = "events",
};

/* --- what HTTP and time tell ------------------------------------------------------------------------------------- */

static void on_gone(void *arg)
{
    leave(arg, UINT32_MAX);
}

static void on_writable(void *arg)
{
    struct stream *stream = arg;
    if (stream->local != NULL) {
        flush(stream);
    }
}

static const struct http_stream_ops stream_ops = {.writable = on_writable, .gone = on_gone};

/* A stream that was silent is sent a sign of life; a poll ends. */
static void on_heartbeat(struct timer *timer)
{
    struct stream *stream = TG_CONTAINER_OF(timer, struct stream, timer);
    if (stream->asked.is_poll) {
        stream->is_due = true;
        put_out(stream);
        return;
    }
    uint64_t now_ms = http_now_ms(stream->request);
    uint64_t interval_ms = (uint64_t)config_of(stream)->heartbeat_s * 1000;
    if (now_ms - stream->sent_ms >= interval_ms) {
        bool is_stream = stream->asked.format == EVENT_STREAM;
        const char *text = is_stream ? ":\n\n" : "{\"event\":\"heartbeat\"}\n";
        if (event_buffer_left(&stream->buffer) == 0 && event_buffer_add(&stream->buffer, text)) {
            flush(stream);
        }
        stream->sent_ms = now_ms;
    }
    timer_wheel_set(stream->timers, timer, stream->sent_ms + interval_ms);
}

/* --- the request ------------------------------------------------------------------------------------------------- */

static struct event_text *text_of(struct http_request *request)
{
    struct http_parts *parts = http_parts(request);
    if (parts->event_text == NULL) {
        parts->event_text = event_text_new();
    }
    return parts->event_text;
}

/* Whose session it is. @return false without memory or random bytes */
static bool choose_session(struct stream *stream, struct local_options *options)
{
    const struct event_request *asked = &stream->asked;
    if (asked->client_id.len > 0) {
        options->client_id = asked->client_id;
        return true;
    }
    if (asked->has_cursor) {
        stream->cursor = asked->after;
    } else if (!event_cursor_begin(&stream->cursor)) {
        return false;
    }
    if (!event_cursor_client_id(&stream->cursor, (struct bytes){NULL, 0}, http_secret(stream->request),
                                stream->client_id)) {
        return false;
    }
    options->client_id = bytes_from_string(stream->client_id);
    options->keeps_qos0 = true;
    options->is_transient = true;
    options->sessions_max = config_of(stream)->sessions;
    return true;
}

void events_get(struct http_request *request)
{
    struct event_request asked;
    if (!event_request_read(request, &asked)) {
        return;
    }
    if (http_is_head(request)) {
        http_reply(request, 200, event_request_type(&asked), NULL, 0);
        return;
    }
    struct stream *stream = calloc(1, sizeof(*stream));
    struct event_text *text = text_of(request);
    if (stream == NULL || text == NULL) {
        free(stream);
        http_problem(request, 503, "out of memory");
        return;
    }
    stream->request = request;
    stream->text = text;
    stream->timers = http_timers(request);
    stream->asked = asked;
    timer_init(&stream->timer, on_heartbeat);
    (void)snprintf(stream->peer, sizeof(stream->peer), "%s", http_peer(request));
    const struct config_events *config = config_of(stream);
    struct local_options options = {
        .expiry_s = asked.expiry_s,
        .window = WINDOW,
        .queued_messages = config->queued_messages,
        .queued_bytes = config->queued_bytes,
    };
    if (!choose_session(stream, &options)) {
        stream_free(stream);
        http_problem(request, 503, "out of memory");
        return;
    }
    struct access_identity *identity;
    if (!http_copy_identity(http_identity(request), &identity)) {
        stream_free(stream);
        http_problem(request, 503, "out of memory");
        return;
    }
    http_hold(request, on_gone, stream);
    stream->local = local_open(http_place(request), &local_ops, stream, &options, identity);
    if (stream->local == NULL) {
        stream_free(stream);
        http_problem(request, 503, "out of memory");
    }
}
