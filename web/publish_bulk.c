/* POST /publish: many messages in one request, as a JSON array or one JSON object a line. Each item succeeds or fails by itself; the answer
 * tells in the same order. */
#include <string.h>

#include <jansson.h>

#include "gateway/broker/place_publish.h"
#include "protocol/reason.h"
#include "web/bulk.h"
#include "web/http.h"
#include "web/idempotency.h"
#include "web/message_source.h"
#include "web/publish_status.h"
#include "web/topics.h"

static bool starts_with(struct bytes s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}

static bool read_item(struct arena *arena, const json_t *item, struct place_publication *out, json_t **fault)
{
    static const struct message_json_names names = {.json_payload = true};
    struct message_fault what;
    if (message_of_json(arena, item, &names, out, &what)) {
        return true;
    }
    *fault = json_pack("{s:i, s:s, s:s*}", "status", 400, "detail", what.text, "field", what.field);
    return false;
}

static json_t *publish_item(struct place *place, const struct place_publication *message, struct bulk_sum *sum)
{
    char id[PUBLISH_ID_BYTES];
    struct place_published result = place_publish(place, message);
    if (result.reason_code != REASON_SUCCESS) {
        return json_pack("{s:i, s:s}", "status", (int)publish_status(result.reason_code), "detail",
                         result.why != NULL ? result.why : "the message was not taken");
    }
    sum->tickets[sum->ticket_count++] = result.ticket;
    sum->any_taken = true;
    publish_id(id);
    return json_pack("{s:i, s:s, s:b}", "status", result.matched || message->retain ? 200 : 202, "id", id, "matched",
                     result.matched);
}

static void refuse(struct http_request *request, unsigned status, const char *detail)
{
    http_problem(request, status, "%s", detail);
}

static unsigned status_of(const struct bulk_sum *sum)
{
    return sum->any_taken ? 200 : 422;
}

void publish_bulk(struct http_request *request)
{
    static const struct bulk_shape shape = {
        .read = read_item, .publish = publish_item, .refuse = refuse, .status = status_of};
    struct bytes type = http_header(request, "content-type");
    bool is_lines = starts_with(type, "application/x-ndjson") || starts_with(type, "application/jsonl");
    struct idempotency *key;
    if (type.data != NULL && !is_lines && !starts_with(type, "application/json")) {
        http_problem(request, 415, "send application/json or application/x-ndjson");
    } else if (idempotency_begin(request, &key)) {
        bulk_begin(request, &shape, is_lines, key);
    }
}
