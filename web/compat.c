/* The shapes that scripts for other brokers speak: POST /api/v5/publish and .../bulk, GET /retainedMessage/TOPIC. Same checks, same rights, same
 * delivery as everywhere; only the answers look different. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gateway/base/container.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/store/message.h"
#include "gateway/broker/place_publish.h"
#include "gateway/net/worker.h"
#include "protocol/property.h"
#include "protocol/reason.h"
#include "protocol/topic.h"
#include "web/base64.h"
#include "web/http.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/topics.h"

#define ITEMS_MAX    10000u
#define SLICE_MS     2u /* of a turn, about: then it is that of others */
#define CLOCK_EVERY  16u
#define NEXT_TURN_MS 1u

/* An answer that waits for the store. */
struct compat {
    struct place_wait wait;
    struct http_request *request;
    struct place *place;
    json_t *answer; /* owned */
    unsigned status;
};

/* Answer with VALUE (taken; NULL: without memory), which is application/json here whatever the status. */
static void reply(struct http_request *request, unsigned status, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (text == NULL) {
        http_problem(request, 503, "out of memory");
        return;
    }
    http_reply(request, status, "application/json", text, strlen(text));
    free(text);
}

static void on_stored(struct place_wait *wait)
{
    struct compat *compat = (struct compat *)wait;
    json_t *answer = compat->answer;
    compat->answer = NULL;
    reply(compat->request, compat->status, answer);
    free(compat);
}

static void on_gone(void *arg)
{
    struct compat *compat = arg;
    place_await_cancel(compat->place, &compat->wait);
    json_decref(compat->answer);
    free(compat);
}

/* Answer with STATUS and ANSWER (taken) once TICKET is done. */
static void reply_when_stored(struct http_request *request, struct store_ticket ticket, unsigned status, json_t *answer)
{
    struct compat *compat = calloc(1, sizeof(*compat));
    if (compat == NULL || answer == NULL) {
        json_decref(answer);
        free(compat);
        http_problem(request, 503, "out of memory");
        return;
    }
    compat->wait.done = on_stored;
    compat->request = request;
    compat->place = http_place(request);
    compat->answer = answer;
    compat->status = status;
    http_hold(request, on_gone, compat);
    place_await(compat->place, &compat->wait, ticket);
}

static json_t *code_answer(const char *code, const char *message)
{
    return json_pack("{s:s, s:s}", "code", code, "message", message);
}

static json_t *reason_answer(int reason_code, const char *message)
{
    return json_pack("{s:i, s:s}", "reason_code", reason_code, "message", message);
}

/* --- one message ------------------------------------------------------------------------------------------------------------ */

/* What is wrong with an item. @return owned; NULL without memory */
static json_t *fault_answer(const struct message_fault *fault)
{
    if (fault->is_base64) {
        return reason_answer(REASON_IMPLEMENTATION_SPECIFIC_ERROR, "invalid_base64_payload");
    }
    return json_pack("{s:s, s:s, s:s*}", "code", "BAD_REQUEST", "message", fault->text, "field", fault->field);
}

/* Read OBJECT and check what can be checked without publishing. @return true if it is fine; else REQUEST has been answered */
static bool read_item(struct http_request *request, const json_t *object, struct place_publication *message)
{
    static const struct message_json_names names = {.json_payload = false};
    struct message_fault fault;
    if (!message_of_json(request, object, &names, message, &fault)) {
        reply(request, 400, fault_answer(&fault));
        return false;
    }
    if (!topic_name_is_valid(message->topic)) {
        reply(request, 400, reason_answer(REASON_TOPIC_NAME_INVALID, "topic_name_invalid"));
        return false;
    }
    return true;
}

/* Publish MESSAGE. @return the item's answer, with *STATUS; owned, NULL without memory */
static json_t *publish_item(struct http_request *request, const struct place_publication *message, unsigned *status,
                            struct store_ticket *last)
{
    struct place_published result = place_publish(http_place(request), message);
    char id[PUBLISH_ID_BYTES];
    switch (result.reason_code) {
    case REASON_SUCCESS:
        break;
    case REASON_NOT_AUTHORIZED:
        *status = 403;
        return code_answer("FORBIDDEN", result.why);
    case REASON_TOPIC_NAME_INVALID:
        *status = 400;
        return reason_answer(REASON_TOPIC_NAME_INVALID, "topic_name_invalid");
    case REASON_PACKET_TOO_LARGE:
        *status = 400;
        return reason_answer(REASON_QUOTA_EXCEEDED, "packet_too_large");
    default:
        *status = 503;
        return reason_answer(REASON_IMPLEMENTATION_SPECIFIC_ERROR, "failed_to_dispatch");
    }
    if (result.ticket.number > 0) {
        *last = result.ticket;
    }
    if (!result.matched) {
        *status = 202;
        return reason_answer(REASON_NO_MATCHING_SUBSCRIBERS, "no_matching_subscribers");
    }
    *status = 200;
    publish_id(id);
    return json_pack("{s:s}", "id", id);
}

/* The body as JSON. @return owned; NULL: REQUEST has been answered */
static json_t *parse(struct http_request *request)
{
    struct bytes type = http_header(request, "content-type");
    struct bytes body = http_body(request);
    static const char json_type[] = "application/json";
    if (type.len < sizeof(json_type) - 1 || memcmp(type.data, json_type, sizeof(json_type) - 1) != 0) {
        reply(request, 415, code_answer("UNSUPPORTED_MEDIA_TYPE", "content-type must be application/json"));
        return NULL;
    }
    json_error_t error;
    json_t *value = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        reply(request, 400, code_answer("BAD_REQUEST", error.text));
    }
    return value;
}

void compat_publish(struct http_request *request)
{
    struct place_publication message;
    struct store_ticket ticket = {0, 0};
    unsigned status;
    json_t *object = parse(request);
    if (object != NULL && read_item(request, object, &message)) {
        json_t *answer = publish_item(request, &message, &status, &ticket);
        reply_when_stored(request, ticket, status, answer);
    }
    json_decref(object);
}

/* --- bulk -------------------------------------------------------------------------------------------------------------------- */

/* Many messages that are all fine, while they are published. owner: the worker's thread */
struct bulk {
    struct timer timer; /* until the next turn */
    struct timer_wheel *timers;
    struct http_request *request;
    json_t *items;                            /* owned; the messages borrow from it */
    const struct place_publication *messages; /* in the request's memory */
    size_t count;
    size_t at;       /* of the message that is next */
    json_t *answers; /* owned; NULL: without memory */
    struct store_ticket last;
    unsigned status;
};

static void bulk_free(struct bulk *bulk)
{
    timer_wheel_stop(bulk->timers, &bulk->timer);
    json_decref(bulk->items);
    json_decref(bulk->answers);
    free(bulk);
}

static void publish_next(struct bulk *bulk)
{
    unsigned status;
    json_t *answer = publish_item(bulk->request, &bulk->messages[bulk->at++], &status, &bulk->last);
    if (status >= 400) {
        bulk->status = 503;
    } else if (status == 202 && bulk->status == 200) {
        bulk->status = 202;
    }
    if (bulk->answers == NULL) {
        json_decref(answer);
    } else if (json_array_append_new(bulk->answers, answer) != 0) {
        json_decref(bulk->answers);
        bulk->answers = NULL;
    }
}

/* All or nothing: what is left is published all the same. */
static void on_bulk_gone(void *arg)
{
    struct bulk *bulk = arg;
    while (bulk->at < bulk->count) {
        publish_next(bulk);
    }
    bulk_free(bulk);
}

/* Publish for a few milliseconds. BULK may be gone afterwards. */
static void go_on(struct bulk *bulk)
{
    const struct worker_clock *clock = &http_worker(bulk->request)->workers->clock;
    uint64_t begun_ms = clock->monotonic_ms();
    while (bulk->at < bulk->count) {
        publish_next(bulk);
        if (bulk->at % CLOCK_EVERY == 0 && bulk->at < bulk->count && clock->monotonic_ms() - begun_ms >= SLICE_MS) {
            timer_wheel_set(bulk->timers, &bulk->timer, http_now_ms(bulk->request) + NEXT_TURN_MS);
            return;
        }
    }
    json_t *answers = bulk->answers;
    bulk->answers = NULL;
    reply_when_stored(bulk->request, bulk->last, bulk->status, answers);
    bulk_free(bulk);
}

static void on_turn(struct timer *timer)
{
    go_on(TG_CONTAINER_OF(timer, struct bulk, timer));
}

/* One bad item: nothing is published. @return true if all are fine, with their messages; else REQUEST has been answered */
static bool read_all(struct http_request *request, const json_t *items, struct place_publication *messages)
{
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (!read_item(request, json_array_get(items, i), &messages[i])) {
            return false;
        }
    }
    return true;
}

/* ITEMS is taken. */
static void publish_all(struct http_request *request, const struct place_publication *messages, json_t *items)
{
    struct bulk *bulk = calloc(1, sizeof(*bulk));
    if (bulk == NULL) {
        json_decref(items);
        http_problem(request, 503, "out of memory");
        return;
    }
    timer_init(&bulk->timer, on_turn);
    bulk->timers = http_timers(request);
    bulk->request = request;
    bulk->items = items;
    bulk->messages = messages;
    bulk->count = json_array_size(items);
    bulk->answers = json_array();
    bulk->status = 200;
    http_hold(request, on_bulk_gone, bulk);
    go_on(bulk);
}

void compat_publish_bulk(struct http_request *request)
{
    json_t *items = parse(request);
    if (items == NULL) {
        return;
    }
    size_t count = json_array_size(items);
    if (!json_is_array(items) || count == 0 || count > ITEMS_MAX) {
        reply(request, 400, code_answer("BAD_REQUEST", "the body must be an array of 1 to 10000 messages"));
        json_decref(items);
        return;
    }
    struct place_publication *messages = http_alloc(request, count * sizeof(*messages));
    if (messages == NULL) {
        http_problem(request, 503, "out of memory");
    } else if (read_all(request, items, messages)) {
        publish_all(request, messages, json_incref(items));
    }
    json_decref(items);
}

/* --- retained ---------------------------------------------------------------------------------------------------------------- */

/* User properties as that shape has them: an array of objects of one member each. */
static json_t *user_array(const struct message *message)
{
    json_t *array = json_array();
    struct bytes cursor = message_properties(message);
    struct property_entry entry;
    while (array != NULL && properties_next(&cursor, &entry)) {
        if (entry.id != PROPERTY_USER_PROPERTY) {
            continue;
        }
        char *key = strndup((const char *)entry.name.data, entry.name.len);
        json_t *object = json_object();
        if (key == NULL ||
            json_object_set_new(object, key, json_stringn((const char *)entry.value.data, entry.value.len)) != 0 ||
            json_array_append(array, object) != 0) {
            json_decref(array);
            array = NULL;
        }
        free(key);
        json_decref(object);
    }
    return array;
}

void compat_retained(struct http_request *request)
{
    struct bytes topic = message_topic_of(request);
    struct place *place = http_place(request);
    if (!topic_name_is_valid(topic)) {
        reply(request, 400, code_answer("BAD_REQUEST", "topic name is not valid"));
        return;
    }
    if (!place_may_read(place, NULL, topic)) {
        reply(request, 403, code_answer("FORBIDDEN", "not allowed to read this topic"));
        return;
    }
    struct message *message = place_retained(place, topic);
    if (message == NULL) {
        reply(request, 404, code_answer("NOT_FOUND", "nothing is retained for this topic"));
        return;
    }
    struct bytes payload = message_payload(message);
    char *encoded = malloc(base64_encoded_size(payload.len));
    json_t *answer = NULL;
    if (encoded != NULL) {
        (void)base64_encode(payload, encoded);
        answer = json_pack("{s:s%, s:s, s:i, s:I, s:o?}", "topic", (const char *)topic.data, topic.len, "payload",
                           encoded, "qos", message->qos, "lastModifiedTime", (json_int_t)message->stored_ms,
                           "userProperties", user_array(message));
    }
    free(encoded);
    message_unref(message);
    reply(request, 200, answer);
}
