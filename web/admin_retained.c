/* The retained messages under a filter, whoever may read them. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/container.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/retained.h"
#include "gateway/store/message.h"
#include "protocol/topic.h"
#include "web/admin.h"
#include "web/list.h"

#define WALK_BATCH 16u
#define SLICE_MS   2u

struct values { /* owner: the worker's thread */
    struct list list;
    struct retained *retained;
    struct retained_cursor cursor;
    struct message *last; /* shares: told last; NULL: none */
};

static void add_value(struct values *values, struct message *message)
{
    struct http_request *request = values->list.request;
    if (place_may_read(http_place(request), http_identity(request), message_topic(message))) {
        admin_add_message(list_add_item(&values->list), message, http_now_ms(request));
    }
    message_unref(values->last);
    values->last = message_ref(message);
}

static enum list_state fill(struct list *list)
{
    struct values *values = TG_CONTAINER_OF(list, struct values, list);
    struct message *batch[WALK_BATCH];
    uint64_t begun_ms = list_clock_ms(list);
    while (!values->cursor.done && !list_is_full(list) && list_clock_ms(list) - begun_ms < SLICE_MS) {
        size_t max = list->left < WALK_BATCH ? (size_t)list->left : WALK_BATCH;
        size_t count = retained_cursor_next(values->retained, &values->cursor, http_now_ms(list->request), batch, max);
        size_t told = 0;
        while (told < count && !list_is_full(list)) {
            add_value(values, batch[told++]);
        }
        if (told > 0 && told < count) {
            retained_cursor_put_back(values->retained, &values->cursor, batch[told - 1]);
        }
        for (size_t i = 0; i < count; i++) {
            message_unref(batch[i]);
        }
    }
    if (values->cursor.done) {
        return LIST_ENDS;
    }
    if (list->left > 0) {
        return LIST_MORE;
    }
    if (values->last != NULL) {
        struct bytes topic = message_topic(values->last);
        list->long_cursor = strndup((const char *)topic.data, topic.len);
        list->is_incomplete = list->is_incomplete || list->long_cursor == NULL;
    }
    return LIST_ENDS;
}

static void values_free(struct list *list)
{
    struct values *values = TG_CONTAINER_OF(list, struct values, list);
    retained_cursor_fini(&values->cursor);
    message_unref(values->last);
    free(values);
}

static const struct list_ops values_ops = {fill, values_free};

/* cursor=TOPIC: go on behind it. @return false without memory */
static bool resume(struct values *values, struct bytes topic, bool has_wildcard)
{
    if (!has_wildcard) {
        values->cursor.done = true; /* it was all there is */
        return true;
    }
    struct message *position = message_new(topic.len, 0, 0);
    if (position == NULL) {
        return false;
    }
    memcpy(position->bytes, topic.data, topic.len);
    retained_cursor_put_back(values->retained, &values->cursor, position);
    message_unref(position);
    return true;
}

void admin_list_retained(struct http_request *request)
{
    struct bytes filter = http_query(request, "filter");
    struct bytes cursor = http_query(request, "cursor");
    struct topic_filter parsed;
    if (!admin_is_allowed(request)) {
        return;
    }
    if (filter.data == NULL) {
        filter = bytes_from_string("#");
    }
    if (!topic_filter_parse(filter, &parsed) || parsed.share_name.len > 0) {
        http_problem(request, 400, "filter is not a valid topic filter");
        return;
    }
    if (cursor.data != NULL && !topic_name_is_valid(cursor)) {
        http_problem(request, 400, "cursor must be one that a list ended with");
        return;
    }
    struct values *values = calloc(1, sizeof(*values));
    bool ok = values != NULL;
    if (ok) {
        values->retained = place_retained_values(http_place(request));
        ok = retained_cursor_init(&values->cursor, filter, retained_stamp(values->retained)) == TG_OK &&
             (cursor.data == NULL || resume(values, cursor, parsed.has_wildcard));
    }
    if (!ok) {
        if (values != NULL) {
            values_free(&values->list);
        }
        http_problem(request, 503, "out of memory");
        return;
    }
    if (!list_begin(&values->list, &values_ops, request)) {
        values_free(&values->list);
    }
}
