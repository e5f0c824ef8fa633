#include "web/event_text.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_BYTES_MAX 65536u /* a larger message is made into JSON for each reader */

struct event_text {
    struct message_view view; /* points into bytes */
    uint8_t *bytes;           /* owned; topic, payload, properties */
    char *json;               /* owned; NULL: nothing is kept */
    size_t json_len;
};

struct event_text *event_text_new(void)
{
    return calloc(1, sizeof(struct event_text));
}

static void forget(struct event_text *text)
{
    free(text->json);
    free(text->bytes);
    *text = (struct event_text){0};
}

void event_text_free(struct event_text *text)
{
    if (text != NULL) {
        forget(text);
        free(text);
    }
}

/* --- buffers ----------------------------------------------------------------------------------------------------- */

void event_buffer_fini(struct event_buffer *buffer)
{
    buffer_fini(&buffer->text);
    buffer->sent = 0;
}

/* What was added behind LEN is whole. @return false without memory: then it has been taken back */
static bool settle(struct event_buffer *buffer, size_t len)
{
    bool is_whole = !buffer->text.has_failed;
    if (!is_whole) {
        buffer_cut(&buffer->text, len);
    }
    return is_whole;
}

bool event_buffer_add(struct event_buffer *buffer, const char *text)
{
    size_t len = buffer->text.len;
    buffer_add_text(&buffer->text, text);
    return settle(buffer, len);
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

static bool is_kept(const struct event_text *text, const struct message_view *message)
{
    const struct message_view *kept = &text->view;
    return text->json != NULL && kept->retain == message->retain && kept->qos == message->qos &&
           kept->has_expiry == message->has_expiry && (!kept->has_expiry || kept->expiry_s == message->expiry_s) &&
           bytes_equal(kept->topic, message->topic) && bytes_equal(kept->payload, message->payload) &&
           bytes_equal(kept->properties, message->properties);
}

static struct bytes copy_part(uint8_t **at, struct bytes part)
{
    struct bytes copy = {*at, part.len};
    if (part.len > 0) {
        memcpy(*at, part.data, part.len);
    }
    *at += part.len;
    return copy;
}

/* Remember what MESSAGE was made into, if it is not too large. JSON is taken. */
static void keep(struct event_text *text, const struct message_view *message, char *json, size_t json_len)
{
    forget(text);
    text->json = json;
    text->json_len = json_len;
    size_t len = message->topic.len + message->payload.len + message->properties.len;
    text->bytes = len + json_len <= KEPT_BYTES_MAX ? malloc(len) : NULL;
    if (text->bytes == NULL) {
        text->view = (struct message_view){.topic = {NULL, 0}}; /* no message has an empty topic */
        return;
    }
    uint8_t *at = text->bytes;
    text->view = *message;
    text->view.topic = copy_part(&at, message->topic);
    text->view.payload = copy_part(&at, message->payload);
    text->view.properties = copy_part(&at, message->properties);
}

/* Let text->json be what MESSAGE is as JSON. */
static bool make(struct event_text *text, const struct message_view *message)
{
    if (is_kept(text, message)) {
        return true;
    }
    json_t *object = message_json(message);
    char *json = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (json == NULL) {
        return false;
    }
    keep(text, message, json, strlen(json));
    return true;
}

bool event_text_message(struct event_text *text, struct event_buffer *buffer, enum event_format format,
                        const struct event_cursor *cursor, const struct message_view *message)
{
    struct buffer *out = &buffer->text;
    size_t len = out->len;
    char id[EVENT_CURSOR_BYTES];
    if (!make(text, message)) {
        return false;
    }
    if (cursor != NULL) {
        (void)event_cursor_write(cursor, id);
    }
    if (format == EVENT_STREAM) {
        if (cursor != NULL) {
            buffer_add_f(out, "id: %s\n", id);
        }
        buffer_add_text(out, "data: ");
        buffer_add(out, text->json, text->json_len);
    } else {
        buffer_add_text(out, format == EVENT_ARRAY ? ",{" : "{");
        if (cursor != NULL) {
            buffer_add_f(out, "\"id\":\"%s\",", id);
        }
        buffer_add(out, text->json + 1, text->json_len - 1); /* without its brace */
    }
    buffer_add_text(out, format == EVENT_STREAM ? "\n\n" : format == EVENT_LINES ? "\n" : "");
    if (text->bytes == NULL) {
        forget(text); /* large, or there is no memory: not to be kept */
    }
    return settle(buffer, len);
}

bool event_text_mark(struct event_buffer *buffer, enum event_format format, const struct event_cursor *cursor,
                     const char *name)
{
    struct buffer *out = &buffer->text;
    size_t len = out->len;
    char id[EVENT_CURSOR_BYTES];
    (void)event_cursor_write(cursor, id);
    if (format == EVENT_STREAM) {
        buffer_add_f(out, "event: %s\nid: %s\ndata: {}\n\n", name, id);
    } else {
        buffer_add_f(out, "%s{\"event\":\"%s\",\"id\":\"%s\"}%s", format == EVENT_ARRAY ? "," : "", name, id,
                     format == EVENT_LINES ? "\n" : "");
    }
    return settle(buffer, len);
}
