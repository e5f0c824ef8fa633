#include "web/admin.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/broker/place_publish.h"
#include "gateway/broker/publication.h"
#include "gateway/store/message.h"
#include "web/buffer.h"
#include "web/http.h"
#include "web/message_json.h"

bool admin_is_allowed(struct http_request *request)
{
    if (!http_is_from_here(request)) {
        http_problem(request, 403, "this is told only to who asks from the same machine, and not through a proxy");
        return false;
    }
    if (!place_may_read_all(http_place(request), http_identity(request), bytes_from_string("$SYS/#"))) {
        http_problem(request, 403, "this is told only to who may read $SYS/#");
        return false;
    }
    return true;
}

static json_t *message_object(const struct message *message, uint64_t now_ms)
{
    bool is_omitted = message->payload_len > ADMIN_PAYLOAD_MAX;
    struct message_view view = {
        .topic = message_topic(message),
        .payload = is_omitted ? (struct bytes){NULL, 0} : message_payload(message),
        .properties = message_properties(message),
        .has_expiry = message->expires_ms != MESSAGE_NEVER_EXPIRES,
        .expiry_s = publication_remaining_s(message->expires_ms, now_ms),
        .qos = message->qos,
        .retain = true,
    };
    json_t *object = message_json(&view);
    if (object == NULL || json_object_set_new(object, "payload_bytes", json_integer(message->payload_len)) != 0 ||
        json_object_set_new(object, "stored_ms", json_integer((json_int_t)message->stored_ms)) != 0 ||
        (is_omitted && json_object_set_new(object, "payload_omitted", json_true()) != 0)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

void admin_add_message(struct buffer *out, const struct message *message, uint64_t now_ms)
{
    json_t *object = message_object(message, now_ms);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text != NULL) {
        buffer_add_text(out, text);
        free(text);
    } else {
        out->has_failed = true;
    }
}
