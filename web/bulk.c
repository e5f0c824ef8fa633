#include "web/bulk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "gateway/access/access.h"
#include "gateway/base/container.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/broker/place_store.h"
#include "gateway/net/worker.h"
#include "web/arena.h"
#include "web/buffer.h"
#include "web/http.h"
#include "web/idempotency.h"
#include "web/json_items.h"

#define SLICE_MS     2u /* of a turn, about: then it is that of others */
#define NEXT_TURN_MS 1u
#define ITEMS_FIRST  16u
#define DETAIL_BYTES 256u

/* owner: the worker's thread */
struct bulk {
    struct place_wait wait;
    struct timer timer; /* until the next turn */
    LIST_ENTRY(bulk) link;
    const struct bulk_shape *shape;
    struct http_request *request; /* NULL: gone */
    struct worker *worker;
    struct timer_wheel *timers;
    struct idempotency *key;
    struct access_identity *identity; /* owned; whose messages these are */
    uint8_t *body;                    /* owned, until it is parsed */
    struct json_items cut;
    json_t **items; /* owned array of owned ones; NULL once published */
    size_t count;
    size_t capacity;
    size_t at; /* of the item that is next */
    struct buffer answer;
    struct bulk_sum sum;
    unsigned status;
    bool is_parsed;
    bool is_waiting; /* for the store */
};

struct bulks {
    LIST_HEAD(, bulk) all;
};

static void bulk_free(struct bulk *bulk)
{
    LIST_REMOVE(bulk, link);
    timer_wheel_stop(bulk->timers, &bulk->timer);
    for (size_t i = 0; i < bulk->count; i++) {
        json_decref(bulk->items[i]);
    }
    for (size_t i = 0; i < bulk->sum.ticket_count; i++) {
        store_ticket_release(&bulk->sum.tickets[i]);
    }
    free(bulk->sum.tickets);
    free(bulk->items);
    free(bulk->body);
    free(bulk->identity);
    buffer_fini(&bulk->answer);
    free(bulk);
}

void bulks_free(struct bulks *bulks)
{
    while (bulks != NULL && !LIST_EMPTY(&bulks->all)) {
        bulk_free(LIST_FIRST(&bulks->all));
    }
    free(bulks);
}

static struct bulks *bulks_of(struct http_request *request)
{
    struct http_parts *parts = http_parts(request);
    if (parts->bulks == NULL) {
        parts->bulks = calloc(1, sizeof(*parts->bulks));
    }
    return parts->bulks;
}

/* --- the end ------------------------------------------------------------------------------------------------------- */

/* Nothing has been published: say why. BULK is gone afterwards. */
static void refuse(struct bulk *bulk, unsigned status, const char *detail)
{
    struct http_request *request = bulk->request;
    const struct bulk_shape *shape = bulk->shape;
    idempotency_drop(bulk->worker->place, bulk->key);
    bulk_free(bulk);
    if (request != NULL) {
        shape->refuse(request, status, detail);
    }
}

/* One item that is at fault refuses all. FAULT is taken. */
static void refuse_item(struct bulk *bulk, json_t *fault)
{
    struct http_request *request = bulk->request;
    bulk_free(bulk); /* routes of this kind have no keys */
    if (request != NULL) {
        http_reply_json(request, 400, fault);
    } else {
        json_decref(fault);
    }
}

static void give_up(struct bulk *bulk, const char *detail)
{
    struct http_request *request = bulk->request;
    idempotency_drop(bulk->worker->place, bulk->key);
    bulk_free(bulk);
    if (request != NULL) {
        http_problem(request, 503, "%s", detail);
    }
}

static void reply(struct place_wait *wait)
{
    struct bulk *bulk = (struct bulk *)wait;
    const struct buffer *answer = &bulk->answer;
    if (bulk->request != NULL) {
        idempotency_reply(bulk->request, bulk->key, bulk->status, "application/json", answer->at, answer->len);
    } else {
        idempotency_finish(bulk->worker->place, bulk->key, bulk->status, "application/json", answer->at, answer->len);
    }
    bulk_free(bulk);
}

/* All are on disk. Only then the answer is kept for repetitions: should the gateway fail now, they are published once more, and none is missing. */
static void on_stored(struct place_wait *wait)
{
    struct bulk *bulk = (struct bulk *)wait;
    const struct buffer *answer = &bulk->answer;
    if (wait->failed) {
        give_up(bulk, "out of memory: not all of the messages were taken");
        return;
    }
    struct place *place = bulk->worker->place;
    struct store_ticket ticket = STORE_TICKET_DONE;
    struct store_write *write;
    if (idempotency_store(place, bulk->key, bulk->status, "application/json", answer->at, answer->len, &write)) {
        (void)place_write(place, write, &ticket); /* without memory a restart forgets the key */
    }
    wait->done = reply;
    place_await(place, wait, ticket);
}

/* All are published: answer when they are on disk. Who has sent a key will come again and wants to know; another who is gone does not. */
static void confirm(struct bulk *bulk)
{
    buffer_add_text(&bulk->answer, "]");
    if (bulk->request == NULL && bulk->key == NULL) {
        bulk_free(bulk);
        return;
    }
    if (bulk->answer.has_failed) {
        give_up(bulk, "the messages were published, but there is no memory to tell their results");
        return;
    }
    bulk->status = bulk->shape->status(&bulk->sum);
    bulk->is_waiting = true;
    size_t count = bulk->sum.ticket_count;
    bulk->sum.ticket_count = 0; /* they are the wait's now */
    place_await_all(bulk->worker->place, &bulk->wait, bulk->sum.tickets, count);
}

/* --- items --------------------------------------------------------------------------------------------------------- */

static bool reserve(struct bulk *bulk)
{
    if (bulk->count < bulk->capacity) {
        return true;
    }
    size_t capacity = bulk->capacity > 0 ? bulk->capacity * 2 : ITEMS_FIRST;
    json_t **larger = realloc(bulk->items, capacity * sizeof(*larger));
    if (larger == NULL) {
        return false;
    }
    bulk->items = larger;
    bulk->capacity = capacity;
    return true;
}

/* @return false if BULK is gone */
static bool take_item(struct bulk *bulk, struct bytes text)
{
    char detail[DETAIL_BYTES + JSON_ERROR_TEXT_LENGTH];
    json_error_t error;
    struct place_publication message;
    json_t *fault = NULL;
    if (bulk->count == BULK_ITEMS_MAX) {
        refuse(bulk, 422, "1 to 10000 messages can be published at once");
        return false;
    }
    json_t *item = json_loadb((const char *)text.data, text.len,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (item == NULL) {
        (void)snprintf(detail, sizeof(detail), "%s %zu is not JSON: %s", bulk->cut.is_lines ? "line" : "item",
                       bulk->cut.count, error.text);
        refuse(bulk, 400, detail);
        return false;
    }
    if (!reserve(bulk)) {
        json_decref(item);
        give_up(bulk, "out of memory");
        return false;
    }
    bulk->items[bulk->count++] = item;
    if (!bulk->shape->is_whole) {
        return true;
    }
    struct arena arena = {NULL};
    bool is_fine = bulk->shape->read(&arena, item, &message, &fault);
    arena_fini(&arena);
    if (!is_fine) {
        refuse_item(bulk, fault);
    }
    return is_fine;
}

/* @return false if BULK is gone */
static bool parse_next(struct bulk *bulk)
{
    char detail[DETAIL_BYTES];
    struct bytes item;
    switch (json_items_next(&bulk->cut, &item)) {
    case JSON_ITEMS_ONE:
        return take_item(bulk, item);
    case JSON_ITEMS_END:
        if (bulk->count == 0) {
            refuse(bulk, 422, "1 to 10000 messages can be published at once");
            return false;
        }
        free(bulk->body);
        bulk->body = NULL;
        bulk->is_parsed = true;
        return true;
    case JSON_ITEMS_TOO_LARGE:
        (void)snprintf(detail, sizeof(detail),
                       "item %zu is too large: as JSON %u bytes and %u values are taken; POST /topics takes more",
                       bulk->cut.count, JSON_ITEM_BYTES_MAX, JSON_ITEM_VALUES_MAX);
        refuse(bulk, 413, detail);
        return false;
    default:
        refuse(bulk, 400,
               bulk->cut.count == 0
                   ? "the body must be an array of messages, or lines of messages as application/x-ndjson"
                   : "the body is not JSON: the array of messages does not go on or end as it should");
        return false;
    }
}

static void add_result(struct bulk *bulk, json_t *result)
{
    char *text = result != NULL ? json_dumps(result, JSON_COMPACT) : NULL;
    if (text == NULL) {
        bulk->answer.has_failed = true;
    } else {
        buffer_add_text(&bulk->answer, bulk->at > 0 ? "," : "[");
        buffer_add_text(&bulk->answer, text);
    }
    free(text);
    json_decref(result);
}

static void publish_next(struct bulk *bulk)
{
    struct arena arena = {NULL};
    struct place_publication message;
    json_t *result = NULL;
    json_t *item = bulk->items[bulk->at];
    if (bulk->shape->read(&arena, item, &message, &result)) {
        message.identity = bulk->identity;
        result = bulk->shape->publish(bulk->worker->place, &message, &bulk->sum);
    }
    arena_fini(&arena);
    add_result(bulk, result);
    json_decref(item);
    bulk->items[bulk->at++] = NULL;
}

/* --- turns --------------------------------------------------------------------------------------------------------- */

/* Do one thing. @return false if there is nothing more to do; BULK may be gone */
static bool step(struct bulk *bulk)
{
    if (!bulk->is_parsed) {
        return parse_next(bulk);
    }
    if (bulk->sum.tickets == NULL) {
        bulk->sum.tickets = calloc(bulk->count, sizeof(*bulk->sum.tickets));
        if (bulk->sum.tickets == NULL) {
            give_up(bulk, "out of memory");
            return false;
        }
    }
    publish_next(bulk);
    if (bulk->at < bulk->count) {
        return true;
    }
    confirm(bulk);
    return false;
}

/* Parse and publish for a few milliseconds. BULK may be gone afterwards. */
static void go_on(struct bulk *bulk)
{
    const struct worker_clock *clock = &bulk->worker->workers->clock;
    uint64_t begun_ms = clock->monotonic_ms();
    uint64_t now_ms = begun_ms;
    while (now_ms - begun_ms < SLICE_MS) {
        if (!step(bulk)) {
            return;
        }
        now_ms = clock->monotonic_ms();
    }
    timer_wheel_set(bulk->timers, &bulk->timer, now_ms + NEXT_TURN_MS);
}

static void on_turn(struct timer *timer)
{
    go_on(TG_CONTAINER_OF(timer, struct bulk, timer));
}

static void on_gone(void *arg)
{
    struct bulk *bulk = arg;
    bulk->request = NULL;
    if (!bulk->is_waiting) {
        while (bulk->worker->is_draining && step(bulk)) { /* there may be no more turns */
        }
    } else if (bulk->key == NULL) {
        place_await_cancel(bulk->worker->place, &bulk->wait);
        bulk_free(bulk);
    }
}

void bulk_begin(struct http_request *request, const struct bulk_shape *shape, bool is_lines, struct idempotency *key)
{
    struct bulks *bulks = bulks_of(request);
    struct bulk *bulk = bulks != NULL ? calloc(1, sizeof(*bulk)) : NULL;
    size_t len;
    if (bulk != NULL && !http_copy_identity(http_identity(request), &bulk->identity)) {
        free(bulk);
        bulk = NULL;
    }
    if (bulk == NULL) {
        idempotency_drop(http_place(request), key);
        http_problem(request, 503, "out of memory");
        return;
    }
    LIST_INSERT_HEAD(&bulks->all, bulk, link);
    bulk->wait.done = on_stored;
    timer_init(&bulk->timer, on_turn);
    bulk->shape = shape;
    bulk->request = request;
    bulk->worker = http_worker(request);
    bulk->timers = http_timers(request);
    bulk->key = key;
    bulk->body = http_take_body(request, &len);
    json_items_init(&bulk->cut, (struct bytes){bulk->body, len}, is_lines);
    http_hold(request, on_gone, bulk);
    http_outlast_drain(request);
    go_on(bulk);
}
