/* POST /publish: many messages in one request, as a JSON array or one JSON object a line. Each item succeeds or fails by itself; the answer
 * tells in the same order. They are published a few milliseconds at a time; who goes away meanwhile has them published all the same. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gateway/base/container.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/place_publish.h"
#include "gateway/net/worker.h"
#include "protocol/reason.h"
#include "web/http.h"
#include "web/idempotency.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/topics.h"

#define ITEMS_MAX    10000u
#define SLICE_MS     2u /* of a turn, about: then it is that of others */
#define CLOCK_EVERY  16u
#define NEXT_TURN_MS 1u

/* A bulk that is being published, and then waits for the store. owner: the worker's thread */
struct bulk {
    struct place_wait wait;
    struct timer timer; /* until the next turn */
    struct timer_wheel *timers;
    struct http_request *request;
    struct place *place;
    struct idempotency *key;
    json_t *items;   /* owned; NULL: all are published */
    size_t at;       /* of the item that is next */
    json_t *results; /* owned; NULL: without memory, or they are in the answer */
    struct store_ticket last;
    bool any;     /* something was published */
    char *answer; /* owned */
    unsigned status;
};

static void bulk_free(struct bulk *bulk)
{
    timer_wheel_stop(bulk->timers, &bulk->timer);
    json_decref(bulk->items);
    json_decref(bulk->results);
    free(bulk->answer);
    free(bulk);
}

static void on_stored(struct place_wait *wait)
{
    struct bulk *bulk = (struct bulk *)wait;
    size_t len = strlen(bulk->answer);
    if (bulk->request != NULL) {
        idempotency_reply(bulk->request, bulk->key, bulk->status, "application/json", bulk->answer, len);
    } else {
        idempotency_finish(bulk->place, bulk->key, bulk->status, "application/json", bulk->answer, len);
    }
    bulk_free(bulk);
}

static void publish_next(struct bulk *bulk);
static void confirm(struct bulk *bulk);

/* Who has sent a key will come again and wants to know. */
static void on_gone(void *arg)
{
    struct bulk *bulk = arg;
    bool is_published = bulk->items == NULL;
    while (bulk->at < json_array_size(bulk->items)) { /* the request's memory is there until we return */
        publish_next(bulk);
    }
    bulk->request = NULL;
    if (bulk->key == NULL) {
        place_await_cancel(bulk->place, &bulk->wait);
        bulk_free(bulk);
    } else if (!is_published) {
        timer_wheel_stop(bulk->timers, &bulk->timer);
        confirm(bulk);
    }
}

/* --- items ------------------------------------------------------------------------------------------------------------------- */

static bool starts_with(struct bytes s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

/* One object a line; blank lines are passed over. @return an array, owned; NULL: REQUEST has been answered */
static json_t *parse_lines(struct http_request *request, struct bytes body)
{
    json_t *items = json_array();
    size_t number = 0;
    while (body.len > 0 && items != NULL) {
        const uint8_t *end = memchr(body.data, '\n', body.len);
        size_t len = end != NULL ? (size_t)(end - body.data) : body.len;
        number++;
        if (len > 0 && !(len == 1 && body.data[0] == '\r')) {
            json_error_t error;
            json_t *item = json_loadb((const char *)body.data, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
            if (item == NULL || json_array_append_new(items, item) != 0) {
                json_decref(items);
                http_problem(request, 400, "line %zu is not JSON: %s", number,
                             item == NULL ? error.text : "out of memory");
                return NULL;
            }
        }
        size_t step = end != NULL ? len + 1 : len;
        body.data += step;
        body.len -= step;
    }
    if (items == NULL) {
        http_problem(request, 503, "out of memory");
    }
    return items;
}

static json_t *parse_array(struct http_request *request, struct bytes body)
{
    json_error_t error;
    json_t *items = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (items == NULL) {
        http_problem(request, 400, "the body is not JSON: %s (line %d, column %d)", error.text, error.line,
                     error.column);
        return NULL;
    }
    if (!json_is_array(items)) {
        json_decref(items);
        http_problem(request, 400,
                     "the body must be an array of messages, or lines of messages as application/x-ndjson");
        return NULL;
    }
    return items;
}

/* The result of one item. @return owned; NULL without memory */
static json_t *publish_item(struct bulk *bulk, const json_t *item)
{
    static const struct message_json_names names = {.json_payload = true};
    struct place_publication message;
    struct message_fault fault;
    char id[PUBLISH_ID_BYTES];
    if (!message_of_json(bulk->request, item, &names, &message, &fault)) {
        return json_pack("{s:i, s:s, s:s*}", "status", 400, "detail", fault.text, "field", fault.field);
    }
    struct place_published result = place_publish(bulk->place, &message);
    if (result.reason_code != REASON_SUCCESS) {
        return json_pack("{s:i, s:s}", "status", (int)publish_status(result.reason_code), "detail",
                         result.why != NULL ? result.why : "the message was not taken");
    }
    if (result.ticket.number > 0) {
        bulk->last = result.ticket;
    }
    bulk->any = true;
    publish_id(id);
    return json_pack("{s:i, s:s, s:b}", "status", result.matched || message.retain ? 200 : 202, "id", id, "matched",
                     result.matched);
}

static void publish_next(struct bulk *bulk)
{
    json_t *result = publish_item(bulk, json_array_get(bulk->items, bulk->at++));
    if (bulk->results != NULL && json_array_append_new(bulk->results, result) == 0) {
        return;
    }
    if (bulk->results == NULL) {
        json_decref(result);
    }
    json_decref(bulk->results);
    bulk->results = NULL;
}

/* All are published: answer when they are on disk. */
static void confirm(struct bulk *bulk)
{
    bulk->answer = bulk->results != NULL ? json_dumps(bulk->results, JSON_COMPACT) : NULL;
    json_decref(bulk->items);
    json_decref(bulk->results);
    bulk->items = bulk->results = NULL;
    if (bulk->answer == NULL) {
        struct http_request *request = bulk->request;
        idempotency_drop(bulk->place, bulk->key);
        bulk_free(bulk);
        if (request == NULL) {
            return;
        }
        http_problem(request, 503, "the messages were published, but there is no memory to tell their results");
        return;
    }
    bulk->status = bulk->any ? 200 : 422;
    place_await(bulk->place, &bulk->wait, bulk->last);
}

/* Publish for a few milliseconds. BULK may be gone afterwards. */
static void go_on(struct bulk *bulk)
{
    const struct worker_clock *clock = &http_worker(bulk->request)->workers->clock;
    uint64_t begun_ms = clock->monotonic_ms();
    size_t count = json_array_size(bulk->items);
    while (bulk->at < count) {
        publish_next(bulk);
        if (bulk->at % CLOCK_EVERY == 0 && bulk->at < count && clock->monotonic_ms() - begun_ms >= SLICE_MS) {
            timer_wheel_set(bulk->timers, &bulk->timer, http_now_ms(bulk->request) + NEXT_TURN_MS);
            return;
        }
    }
    confirm(bulk);
}

static void on_turn(struct timer *timer)
{
    go_on(TG_CONTAINER_OF(timer, struct bulk, timer));
}

/* ITEMS is taken. */
static void publish_items(struct http_request *request, struct idempotency *key, json_t *items)
{
    struct bulk *bulk = calloc(1, sizeof(*bulk));
    json_t *results = json_array();
    if (bulk == NULL || results == NULL) {
        free(bulk);
        json_decref(results);
        json_decref(items);
        idempotency_drop(http_place(request), key);
        http_problem(request, 503, "out of memory");
        return;
    }
    bulk->wait.done = on_stored;
    timer_init(&bulk->timer, on_turn);
    bulk->timers = http_timers(request);
    bulk->request = request;
    bulk->place = http_place(request);
    bulk->key = key;
    bulk->items = items;
    bulk->results = results;
    http_hold(request, on_gone, bulk);
    go_on(bulk);
}

void publish_bulk(struct http_request *request)
{
    struct bytes type = http_header(request, "content-type");
    bool is_lines = starts_with(type, "application/x-ndjson") || starts_with(type, "application/jsonl");
    struct idempotency *key;
    if (type.data != NULL && !is_lines && !starts_with(type, "application/json")) {
        http_problem(request, 415, "send application/json or application/x-ndjson");
        return;
    }
    json_t *items = is_lines ? parse_lines(request, http_body(request)) : parse_array(request, http_body(request));
    if (items == NULL) {
        return;
    }
    if (json_array_size(items) == 0 || json_array_size(items) > ITEMS_MAX) {
        http_problem(request, 422, "1 to %u messages can be published at once", ITEMS_MAX);
    } else if (idempotency_begin(request, &key)) {
        publish_items(request, key, json_incref(items));
    }
    json_decref(items);
}
