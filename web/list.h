/**
 * A long list as an answer: a JSON object that is streamed in slices, one for each turn of the loop, as fast as the reader takes it.
 *
 *      {"items":[
 *      {...},
 *      {...}
 *      ],"cursor":"..."}
 *
 * `cursor` is null at the end of the whole; otherwise the same request with &cursor=... goes on. "incomplete":true says that memory ran
 * out. A list fills its buffer when it is asked to; one that waits for something says so, and calls list_go_on() when that has come.
 *
 *      list_begin() -> fill() -> ... -> free()
 *
 * owner: the worker's thread
 */
#ifndef WEB_LIST_H
#define WEB_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/timer_wheel.h"
#include "web/buffer.h"
#include "web/http.h"

#define LIST_SLICE_BYTES 32768u /* of a slice, about: then it is the turn of others */
#define LIST_LIMIT       1000u  /* items, unless the request asks for another number */
#define LIST_LIMIT_MAX   1000000u

struct list;

enum list_state {
    LIST_MORE,  /* ask again in the next turn */
    LIST_WAITS, /* list_go_on() will be called */
    LIST_ENDS,  /* that was all, or the limit: the cursor is set */
};

struct list_ops {
    /** Add items until the slice is full (list_is_full()) or for a few milliseconds. */
    enum list_state (*fill)(struct list *list);
    /** It is over, at whatever point: free what the list is embedded in. */
    void (*free)(struct list *list);
};

struct list { /* embedded in its owner */
    const struct list_ops *ops;
    struct http_request *request;
    struct timer timer; /* until the next turn */
    struct timer_wheel *wheel;
    struct buffer text; /* not sent yet */
    size_t sent;        /* of it */
    size_t item_at;     /* where the last item begins in it */
    uint64_t left;      /* items that may still be added */
    char cursor[32];    /* where the whole goes on; "": nowhere */
    char *long_cursor;  /* owned; instead of it; NULL: none */
    bool is_incomplete;
    bool has_items;
    bool is_waiting;
    bool has_ended; /* the last slice is in the buffer */
};

/**
 * Read the parameter `limit`, and begin the answer; the first fill() comes in the next turn. OPS is static.
 * @return false: REQUEST is gone, and LIST was not begun: ops->free was not called
 */
bool list_begin(struct list *list, const struct list_ops *ops, struct http_request *request)
    __attribute__((warn_unused_result));

/** fill() said LIST_WAITS, and what it waited for is there. Not from within fill(). LIST may be gone afterwards. */
void list_go_on(struct list *list);

/** The slice is full, or the limit is reached. */
bool list_is_full(const struct list *list);

/** Begin an item: what is added to the buffer that is returned, an object, belongs to it. Not if the limit is reached. */
struct buffer *list_add_item(struct list *list);

/** Milliseconds of this machine, to bound a slice by. */
uint64_t list_clock_ms(const struct list *list);

#endif
