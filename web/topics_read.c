/* GET /topics/...: retained values as resources, and lists of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/base/container.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/publication.h"
#include "gateway/broker/retained.h"
#include "gateway/net/worker.h"
#include "gateway/store/message.h"
#include "protocol/topic.h"
#include "web/http.h"
#include "web/message_headers.h"
#include "web/message_json.h"
#include "web/message_source.h"
#include "web/topics.h"

#define LIST_BATCH     64u /* values taken at once */
#define LIST_SLICE_MS  2u  /* of a turn, about: then it is that of others */
#define NEXT_TURN_MS   1u
#define LIST_LIMIT_MAX 100000u
#define LIST_LIMIT     1000u /* without a limit of the caller's */

/* --- one value ------------------------------------------------------------------------------------------------------------- */

/* The value's ETag, quotes included. Versions begin anew with the process, times do not. */
static void etag_of(const struct message *message, char out[48])
{
    (void)snprintf(out, 48, "\"%llx-%llx\"", (unsigned long long)message->stored_ms,
                   (unsigned long long)message->version);
}

/* True if the list of ETags in TEXT holds ETAG, or is a star. */
static bool etag_matches(struct bytes text, const char *etag)
{
    size_t etag_len = strlen(etag);
    if (text.data == NULL) {
        return false;
    }
    if (text.len == 1 && text.data[0] == '*') {
        return true;
    }
    return memmem(text.data, text.len, etag, etag_len) != NULL;
}

static void add_last_modified(struct http_request *request, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char text[64];
    if (gmtime_r(&seconds, &utc) != NULL && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc) > 0) {
        http_add_header(request, "Last-Modified", text);
    }
}

/* The value of REQUEST's topic, or NULL: then it has been answered. */
static struct message *find(struct http_request *request)
{
    struct bytes topic = message_topic_of(request);
    struct place *place = http_place(request);
    if (!topic_name_is_valid(topic)) {
        http_problem(request, 400, "this is not a valid topic name");
        return NULL;
    }
    if (!place_may_read(place, http_identity(request), topic)) {
        http_problem(request, 403, "not allowed to read this topic");
        return NULL;
    }
    struct message *message = place_retained(place, topic);
    if (message == NULL) {
        http_problem(request, 404, "nothing is retained for this topic");
    }
    return message;
}

void topics_get(struct http_request *request)
{
    if (message_topic_of(request).len == 0 && http_query(request, "filter").data != NULL) {
        topics_list(request);
        return;
    }
    if (message_topic_of(request).len == 0) {
        http_problem(request, 400,
                     "name a topic, in the path or as ?topic=, or a filter as ?filter= (there # is %%23)");
        return;
    }
    struct message *message = find(request);
    if (message == NULL) {
        return;
    }
    char etag[48];
    etag_of(message, etag);
    http_add_header(request, "ETag", etag);
    http_add_header(request, "Cache-Control", "no-cache");
    add_last_modified(request, message->stored_ms);
    if (etag_matches(http_header(request, "if-none-match"), etag)) {
        http_reply(request, 304, NULL, NULL, 0);
        message_unref(message);
        return;
    }
    const char *type = message_headers_add(request, message_properties(message));
    http_add_header_f(request, "X-MQTT-QoS", "%u", message->qos);
    if (message->expires_ms != MESSAGE_NEVER_EXPIRES) {
        http_add_header_f(request, "X-MQTT-Message-Expiry", "%u",
                          publication_remaining_s(message->expires_ms, http_now_ms(request)));
    }
    struct bytes payload = message_payload(message);
    http_reply(request, 200, type, payload.data, payload.len);
    message_unref(message);
}

/* --- lists -------------------------------------------------------------------------------------------------------------------- */

/* A list under way. owner: the worker's thread */
struct list {
    struct http_request *request;
    struct timer timer; /* until the next turn */
    struct timer_wheel *timers;
    struct retained *retained;
    struct retained_cursor cursor;
    uint64_t left; /* of the caller's limit */
    char *line;    /* owned: lines that are being sent */
    size_t line_len;
    size_t line_at;
    struct message *values[LIST_BATCH]; /* scratch */
};

static void list_free(struct list *list)
{
    timer_wheel_stop(list->timers, &list->timer);
    retained_cursor_fini(&list->cursor);
    free(list->line);
    free(list);
}

static void on_list_gone(void *arg)
{
    list_free(arg);
}

/* Send what is left of the line. @return false: no room, or the stream is broken */
static bool send_line(struct list *list)
{
    while (list->line_at < list->line_len) {
        size_t room = http_stream_room(list->request);
        size_t len = list->line_len - list->line_at;
        if (room == 0) {
            return false;
        }
        len = len < room ? len : room;
        if (!http_stream_write(list->request, list->line + list->line_at, len)) {
            return false;
        }
        list->line_at += len;
    }
    free(list->line);
    list->line = NULL;
    list->line_len = 0;
    list->line_at = 0;
    return true;
}

/* Make the next batch of values, some of which may not be told, one run of lines. */
static void next_lines(struct list *list)
{
    struct place *place = http_place(list->request);
    uint64_t now_ms = http_now_ms(list->request);
    size_t max = list->left < LIST_BATCH ? (size_t)list->left : LIST_BATCH;
    size_t count = retained_cursor_next(list->retained, &list->cursor, now_ms, list->values, max);
    for (size_t i = 0; i < count; i++) {
        struct message *message = list->values[i];
        if (place_may_read(place, http_identity(list->request), message_topic(message))) {
            list->left -= message_json_append(message, now_ms, &list->line, &list->line_len);
        }
        message_unref(message);
    }
}

static uint64_t clock_ms(const struct list *list)
{
    return http_worker(list->request)->workers->clock.monotonic_ms();
}

/* Send as much as the stream takes, for a few milliseconds; then go on in the next turn. LIST may be gone afterwards. */
static void go_on(struct list *list)
{
    uint64_t begun_ms = clock_ms(list);
    for (;;) {
        if (!send_line(list)) {
            return; /* writable() or gone() follows */
        }
        if (list->left == 0 || list->cursor.done) {
            http_stream_end(list->request);
            list_free(list);
            return;
        }
        if (clock_ms(list) - begun_ms >= LIST_SLICE_MS) {
            timer_wheel_set(list->timers, &list->timer, http_now_ms(list->request) + NEXT_TURN_MS);
            return;
        }
        next_lines(list);
    }
}

static void on_list_turn(struct timer *timer)
{
    go_on(TG_CONTAINER_OF(timer, struct list, timer));
}

static void on_list_writable(void *arg)
{
    go_on(arg);
}

static const struct http_stream_ops list_ops = {.writable = on_list_writable, .gone = on_list_gone};

/* cursor=TOPIC: go on behind that topic, which a line before ended with. @return false: REQUEST has been answered */
static bool list_resume(struct http_request *request, struct list *list)
{
    struct bytes topic = http_query(request, "cursor");
    if (topic.data == NULL) {
        return true;
    }
    if (!topic_name_is_valid(topic)) {
        http_problem(request, 400, "cursor must be the topic of the last line received");
        return false;
    }
    struct message *position = message_new(topic.len, 0, 0);
    if (position == NULL) {
        http_problem(request, 503, "out of memory");
        return false;
    }
    memcpy(position->bytes, topic.data, topic.len);
    retained_cursor_put_back(list->retained, &list->cursor, position);
    message_unref(position);
    return true;
}

void topics_list(struct http_request *request)
{
    struct bytes filter = http_query(request, "filter");
    struct topic_filter parsed;
    uint64_t limit = LIST_LIMIT;
    if (filter.data == NULL) {
        http_problem(request, 400, "query parameter filter is missing");
        return;
    }
    if (!topic_filter_parse(filter, &parsed) || parsed.share_name.len > 0) {
        http_problem(request, 400, "filter is not a valid topic filter");
        return;
    }
    if (!http_query_number(request, "limit", 1, LIST_LIMIT_MAX, &limit)) {
        return;
    }
    struct list *list = calloc(1, sizeof(*list));
    struct retained *retained = place_retained_values(http_place(request));
    if (list == NULL || retained_cursor_init(&list->cursor, filter, retained_stamp(retained)) != TG_OK) {
        free(list);
        http_problem(request, 503, "out of memory");
        return;
    }
    list->request = request;
    list->timers = http_timers(request);
    timer_init(&list->timer, on_list_turn);
    list->retained = retained;
    list->left = limit;
    if (!list_resume(request, list)) {
        list_free(list);
        return;
    }
    if (!http_stream_begin(request, 200, "application/x-ndjson", &list_ops, list)) {
        list_free(list);
        return;
    }
    go_on(list);
}
