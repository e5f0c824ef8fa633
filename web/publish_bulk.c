/* POST /publish: many messages in one request, as a JSON array or one JSON object a line. Each item succeeds or fails by itself; the answer
 * tells in the same order. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gateway/broker/place_publish.h"
#include "protocol/reason.h"
#include "web/http.h"
#include "web/idempotency.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/topics.h"

#define ITEMS_MAX 10000u

/* A bulk whose answer waits for the store. */
struct bulk {
    struct place_wait wait;
    struct http_request *request;
    struct place *place;
    struct idempotency *key;
    char *answer; /* owned */
    unsigned status;
};

static void bulk_free(struct bulk *bulk)
{
    free(bulk->answer);
    free(bulk);
}

static void on_stored(struct place_wait *wait)
{
    struct bulk *bulk = (struct bulk *)wait;
    idempotency_reply(bulk->request, bulk->key, bulk->status, "application/json", bulk->answer, strlen(bulk->answer));
    bulk_free(bulk);
}

static void on_gone(void *arg)
{
    struct bulk *bulk = arg;
    place_await_cancel(bulk->place, &bulk->wait);
    idempotency_drop(bulk->place, bulk->key);
    bulk_free(bulk);
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
                http_problem(request, 400, "line %zu is not JSON: %s", number, item == NULL ? error.text : "out of memory");
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
        http_problem(request, 400, "the body is not JSON: %s (line %d, column %d)", error.text, error.line, error.column);
        return NULL;
    }
    if (!json_is_array(items)) {
        json_decref(items);
        http_problem(request, 400, "the body must be an array of messages, or lines of messages as application/x-ndjson");
        return NULL;
    }
    return items;
}

/* The result of one item. @return owned; NULL without memory */
static json_t *publish_item(struct http_request *request, const json_t *item, struct store_ticket *last, bool *published)
{
    static const struct message_json_names names = {.json_payload = true};
    struct place_publication message;
    struct message_fault fault;
    char id[PUBLISH_ID_BYTES];
    if (!message_of_json(request, item, &names, &message, &fault)) {
        return json_pack("{s:i, s:s, s:s*}", "status", 400, "detail", fault.text, "field", fault.field);
    }
    struct place_published result = place_publish(http_place(request), &message);
    if (result.reason_code != REASON_SUCCESS) {
        return json_pack("{s:i, s:s}", "status", (int)publish_status(result.reason_code), "detail",
                         result.why != NULL ? result.why : "the message was not taken");
    }
    if (result.ticket.number > 0) {
        *last = result.ticket;
    }
    *published = true;
    publish_id(id);
    return json_pack("{s:i, s:s, s:b}", "status", result.matched || message.retain ? 200 : 202, "id", id, "matched",
                     result.matched);
}

static void publish_items(struct http_request *request, struct idempotency *key, const json_t *items)
{
    struct store_ticket last = {0, 0};
    bool any = false;
    json_t *results = json_array();
    for (size_t i = 0; results != NULL && i < json_array_size(items); i++) {
        if (json_array_append_new(results, publish_item(request, json_array_get(items, i), &last, &any)) != 0) {
            json_decref(results);
            results = NULL;
        }
    }
    struct bulk *bulk = calloc(1, sizeof(*bulk));
    char *answer = results != NULL ? json_dumps(results, JSON_COMPACT) : NULL;
    json_decref(results);
    if (bulk == NULL || answer == NULL) {
        free(bulk);
        free(answer);
        idempotency_drop(http_place(request), key);
        http_problem(request, 503, "out of memory after some of the messages were published");
        return;
    }
    bulk->wait.done = on_stored;
    bulk->request = request;
    bulk->place = http_place(request);
    bulk->key = key;
    bulk->answer = answer;
    bulk->status = any ? 200 : 422;
    http_hold(request, on_gone, bulk);
    place_await(bulk->place, &bulk->wait, last);
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
        publish_items(request, key, items);
    }
    json_decref(items);
}
