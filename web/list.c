#include "web/list.h"

#include <stdlib.h>

#include "gateway/base/container.h"
#include "gateway/net/worker.h"

#define NEXT_TURN_MS 1u

static void list_end(struct list *list)
{
    timer_wheel_stop(list->wheel, &list->timer);
    buffer_fini(&list->text);
    free(list->long_cursor);
    list->long_cursor = NULL;
    list->ops->free(list);
}

static void on_gone(void *arg)
{
    list_end(arg);
}

static void on_timer(struct timer *timer)
{
    list_go_on(TG_CONTAINER_OF(timer, struct list, timer));
}

/* @return false: there is no room, or the connection is broken; an op follows */
static bool send_text(struct list *list)
{
    while (list->sent < list->text.len) {
        size_t left = list->text.len - list->sent;
        size_t room = http_stream_room(list->request);
        size_t len = left < room ? left : room;
        if (room == 0 || !http_stream_write(list->request, list->text.at + list->sent, len)) {
            return false;
        }
        list->sent += len;
    }
    buffer_cut(&list->text, 0);
    list->item_at = 0;
    list->sent = 0;
    return true;
}

static void add_end(struct list *list)
{
    buffer_add_text(&list->text, "\n],\"cursor\":");
    if (list->long_cursor != NULL || list->cursor[0] != '\0') {
        buffer_add_json(&list->text, bytes_from_string(list->long_cursor != NULL ? list->long_cursor : list->cursor));
    } else {
        buffer_add_text(&list->text, "null");
    }
    buffer_add_text(&list->text, list->is_incomplete ? ",\"incomplete\":true}\n" : "}\n");
    list->has_ended = true;
}

static void fill(struct list *list)
{
    enum list_state state = list->ops->fill(list);
    if (list->text.has_failed) { /* in the middle of an item: there is room for the end at least */
        buffer_cut(&list->text, list->item_at);
        list->is_incomplete = true;
        list->cursor[0] = '\0';
        state = LIST_ENDS;
    }
    if (state == LIST_ENDS) {
        add_end(list);
    }
    list->is_waiting = state == LIST_WAITS;
}

void list_go_on(struct list *list)
{
    list->is_waiting = false;
    if (!send_text(list)) {
        return;
    }
    if (!list->has_ended) {
        fill(list);
        if (!send_text(list)) {
            return;
        }
    }
    if (list->has_ended) {
        http_stream_end(list->request);
        list_end(list);
    } else if (!list->is_waiting) {
        timer_wheel_set(list->wheel, &list->timer, http_now_ms(list->request) + NEXT_TURN_MS);
    }
}

static void on_writable(void *arg)
{
    struct list *list = arg;
    if (!send_text(list)) {
        return;
    }
    if (!list->is_waiting) {
        list_go_on(list);
    }
}

static const struct http_stream_ops stream_ops = {.writable = on_writable, .gone = on_gone};

bool list_begin(struct list *list, const struct list_ops *ops, struct http_request *request)
{
    uint64_t limit = LIST_LIMIT;
    if (!http_query_number(request, "limit", 1, LIST_LIMIT_MAX, &limit)) {
        return false;
    }
    list->ops = ops;
    list->request = request;
    list->wheel = http_timers(request);
    list->left = limit;
    timer_init(&list->timer, on_timer);
    http_add_header(request, "Cache-Control", "no-store");
    if (!http_stream_begin(request, 200, "application/json", &stream_ops, list)) {
        return false;
    }
    buffer_add_text(&list->text, "{\"items\":[");
    timer_wheel_set(list->wheel, &list->timer, http_now_ms(request) + NEXT_TURN_MS);
    return true;
}

bool list_is_full(const struct list *list)
{
    return list->left == 0 || list->text.len >= LIST_SLICE_BYTES || list->text.has_failed;
}

struct buffer *list_add_item(struct list *list)
{
    list->item_at = list->text.len;
    buffer_add_text(&list->text, list->has_items ? ",\n" : "\n");
    list->has_items = true;
    list->left--;
    return &list->text;
}

uint64_t list_clock_ms(const struct list *list)
{
    return http_worker(list->request)->workers->clock.monotonic_ms();
}
