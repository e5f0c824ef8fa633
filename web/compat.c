/* The shapes that scripts for other brokers speak: POST /api/v5/publish and .../bulk, GET /retainedMessage/TOPIC. Same checks, same rights, same
 * delivery as everywhere; only the answers look different. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gateway/base/base64.h"
#include "gateway/broker/place_publish.h"
#include "gateway/store/message.h"
#include "protocol/property.h"
#include "protocol/reason.h"
#include "protocol/topic.h"
#include "web/bulk.h"
#include "web/http.h"
#include "web/json_items.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/topics.h"

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
    if (wait->failed) {
        json_decref(answer);
        http_problem(compat->request, 503, "out of memory");
    } else {
        reply(compat->request, compat->status, answer);
    }
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
        store_ticket_release(&ticket);
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
    http_outlast_drain(request);
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

static json_t *too_large_answer(void)
{
    return reason_answer(REASON_QUOTA_EXCEEDED, "packet_too_large");
}

/* Check what can be checked without publishing. */
static bool read_item(struct arena *arena, const json_t *object, struct place_publication *out, json_t **fault)
{
    static const struct message_json_names names = {.json_payload = false};
    struct message_fault what;
    if (!message_of_json(arena, object, &names, out, &what)) {
        *fault = fault_answer(&what);
        return false;
    }
    if (!topic_name_is_valid(out->topic)) {
        *fault = reason_answer(REASON_TOPIC_NAME_INVALID, "topic_name_invalid");
        return false;
    }
    return true;
}

/* Publish MESSAGE. @return the item's answer, with *STATUS; owned, NULL without memory */
static json_t *publish_item(struct place *place, const struct place_publication *message, unsigned *status,
                            struct store_ticket *ticket)
{
    struct place_published result = place_publish(place, message);
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
        return too_large_answer();
    default:
        *status = 503;
        return reason_answer(REASON_IMPLEMENTATION_SPECIFIC_ERROR, "failed_to_dispatch");
    }
    *ticket = result.ticket;
    if (!result.matched) {
        *status = 202;
        return reason_answer(REASON_NO_MATCHING_SUBSCRIBERS, "no_matching_subscribers");
    }
    *status = 200;
    publish_id(id);
    return json_pack("{s:s}", "id", id);
}

/* @return false: REQUEST has been answered */
static bool check_type(struct http_request *request)
{
    struct bytes type = http_header(request, "content-type");
    static const char json_type[] = "application/json";
    if (type.len >= sizeof(json_type) - 1 && memcmp(type.data, json_type, sizeof(json_type) - 1) == 0) {
        return true;
    }
    reply(request, 415, code_answer("UNSUPPORTED_MEDIA_TYPE", "content-type must be application/json"));
    return false;
}

/* The body as JSON. @return owned; NULL: REQUEST has been answered */
static json_t *parse(struct http_request *request)
{
    struct bytes body = http_body(request);
    json_error_t error;
    if (!json_items_is_light(body)) {
        reply(request, 400, too_large_answer());
        return NULL;
    }
    json_t *value = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        reply(request, 400, code_answer("BAD_REQUEST", error.text));
    }
    return value;
}

void compat_publish(struct http_request *request)
{
    struct place_publication message;
    struct store_ticket ticket = STORE_TICKET_DONE;
    unsigned status;
    json_t *fault = NULL;
    json_t *object = check_type(request) ? parse(request) : NULL;
    if (object == NULL) {
        return;
    }
    if (read_item(http_arena(request), object, &message, &fault)) {
        message.identity = http_identity(request);
        json_t *answer = publish_item(http_place(request), &message, &status, &ticket);
        reply_when_stored(request, ticket, status, answer);
    } else {
        reply(request, 400, fault);
    }
    json_decref(object);
}

/* --- bulk -------------------------------------------------------------------------------------------------------------------- */

static json_t *publish_of_bulk(struct place *place, const struct place_publication *message, struct bulk_sum *sum)
{
    unsigned status;
    struct store_ticket ticket = STORE_TICKET_DONE;
    json_t *answer = publish_item(place, message, &status, &ticket);
    sum->tickets[sum->ticket_count++] = ticket;
    sum->any_failed |= status >= 400;
    sum->any_unmatched |= status == 202;
    return answer;
}

static unsigned status_of_bulk(const struct bulk_sum *sum)
{
    return sum->any_failed ? 503 : sum->any_unmatched ? 202 : 200;
}

static void refuse_bulk(struct http_request *request, unsigned status, const char *detail)
{
    reply(request, 400, status == 413 ? too_large_answer() : code_answer("BAD_REQUEST", detail));
}

void compat_publish_bulk(struct http_request *request)
{
    static const struct bulk_shape shape = {.is_whole = true,
                                            .read = read_item,
                                            .publish = publish_of_bulk,
                                            .refuse = refuse_bulk,
                                            .status = status_of_bulk};
    if (check_type(request)) {
        bulk_begin(request, &shape, false, NULL);
    }
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
    if (!place_may_read(place, http_identity(request), topic)) {
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
