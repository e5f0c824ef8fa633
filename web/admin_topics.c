/* One level of the tree of topics that have a retained message: a walk over all of them below a prefix, of which the names that come first
 * are kept. How many are kept is bounded by the limit, so the walk is done again for each page; it takes a few milliseconds at a time. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/container.h"
#include "gateway/broker/place_publish.h"
#include "gateway/broker/retained.h"
#include "gateway/store/message.h"
#include "protocol/topic.h"
#include "web/admin.h"
#include "web/list.h"

#define WALK_BATCH     64u
#define SLICE_MS       2u
#define TREE_LIMIT_MAX 10000u /* names are kept in memory, unlike those of other lists */

struct level {     /* a name */
    uint8_t *name; /* owned */
    size_t len;
    uint64_t topics;         /* with this name at this level, deeper ones included */
    struct message *message; /* shares: of the topic that ends here; NULL: none */
};

struct tree { /* owner: the worker's thread */
    struct list list;
    struct retained *retained;
    struct retained_cursor cursor;
    struct bytes prefix; /* "a/b" without a slash at the end; empty: the root. Of the request */
    bool has_prefix;
    struct bytes after;  /* names up to this one were told before; data NULL: none. Of the request */
    bool is_system_next; /* "$SYS" is no part of "#": walk it as well */
    bool is_walked;
    bool has_more;        /* names that come behind the last one were left out */
    struct level *levels; /* owned array, sorted by name */
    size_t count;
    size_t max;
    size_t at;                          /* the next one to be told */
    struct message *values[WALK_BATCH]; /* scratch */
};

static int compare(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.data, b.data, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static void level_fini(struct level *level)
{
    message_unref(level->message);
    free(level->name);
}

/* Where NAME is among the levels, or would be. */
static size_t position_of(const struct tree *tree, struct bytes name, bool *is_there)
{
    size_t low = 0, high = tree->count;
    *is_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare((struct bytes){tree->levels[middle].name, tree->levels[middle].len}, name);
        if (order == 0) {
            *is_there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The level called NAME. @return NULL: it comes behind those that are kept, or memory ran out */
static struct level *level_of(struct tree *tree, struct bytes name)
{
    bool is_there;
    size_t at = position_of(tree, name, &is_there);
    if (is_there) {
        return &tree->levels[at];
    }
    if (at == tree->max) {
        tree->has_more = true;
        return NULL;
    }
    uint8_t *copy = malloc(name.len + 1);
    if (copy == NULL) {
        tree->list.is_incomplete = true;
        return NULL;
    }
    if (name.len > 0) {
        memcpy(copy, name.data, name.len);
    }
    if (tree->count ==
        tree->max) { /* the last one has no place any more; it will not come back, for the others only get smaller */
        level_fini(&tree->levels[--tree->count]);
        tree->has_more = true;
    }
    memmove(&tree->levels[at + 1], &tree->levels[at], (tree->count - at) * sizeof(tree->levels[0]));
    tree->count++;
    tree->levels[at] = (struct level){.name = copy, .len = name.len};
    return &tree->levels[at];
}

/* What of TOPIC lies below the prefix. @return false: it is the prefix itself */
static bool below_prefix(const struct tree *tree, struct bytes topic, struct bytes *rest)
{
    size_t skip = tree->has_prefix ? tree->prefix.len + 1 : 0;
    if (topic.len < skip) {
        return false;
    }
    *rest = (struct bytes){topic.data + skip, topic.len - skip};
    return true;
}

static void count_value(struct tree *tree, struct message *message)
{
    struct bytes rest, name;
    if (!below_prefix(tree, message_topic(message), &rest) || !topic_next_level(&rest, &name) ||
        (tree->after.data != NULL && compare(name, tree->after) <= 0)) {
        return;
    }
    struct level *level = level_of(tree, name);
    if (level == NULL) {
        return;
    }
    level->topics++;
    if (rest.data == NULL && level->message == NULL) {
        level->message = message_ref(message);
    }
}

/* Begin a walk for FILTER. @return false without memory */
static bool walk(struct tree *tree, struct bytes filter)
{
    retained_cursor_fini(&tree->cursor);
    return retained_cursor_init(&tree->cursor, filter, retained_stamp(tree->retained)) == TG_OK;
}

/* Go on walking for a few milliseconds. @return true at the end */
static bool walk_on(struct tree *tree)
{
    struct http_request *request = tree->list.request;
    uint64_t begun_ms = list_clock_ms(&tree->list);
    while (!tree->cursor.done && list_clock_ms(&tree->list) - begun_ms < SLICE_MS) {
        size_t count = retained_cursor_next(tree->retained, &tree->cursor, http_now_ms(tree->list.request),
                                            tree->values, WALK_BATCH);
        for (size_t i = 0; i < count; i++) {
            if (place_may_read(http_place(request), http_identity(request), message_topic(tree->values[i]))) {
                count_value(tree, tree->values[i]);
            }
            message_unref(tree->values[i]);
        }
    }
    if (tree->cursor.done && tree->is_system_next) {
        tree->is_system_next = false;
        if (!walk(tree, bytes_from_string("$SYS/#"))) {
            tree->list.is_incomplete = true;
        }
    }
    return tree->cursor.done;
}

static void add_level(struct tree *tree, const struct level *level)
{
    struct buffer *out = list_add_item(&tree->list);
    struct buffer topic = {0};
    buffer_add(&topic, tree->prefix.data, tree->prefix.len);
    buffer_add(&topic, "/", tree->has_prefix ? 1 : 0);
    buffer_add(&topic, level->name, level->len);
    buffer_add_text(out, "{\"level\":");
    buffer_add_json(out, (struct bytes){level->name, level->len});
    buffer_add_text(out, ",\"topic\":");
    buffer_add_json(out, (struct bytes){(const uint8_t *)topic.at, topic.len});
    buffer_add_f(out, ",\"topics\":%llu,\"has_children\":%s", (unsigned long long)level->topics,
                 level->topics > (level->message != NULL) ? "true" : "false");
    if (topic.has_failed) {
        out->has_failed = true;
    }
    buffer_fini(&topic);
    if (level->message != NULL) {
        buffer_add_text(out, ",\"retained\":");
        admin_add_message(out, level->message, http_now_ms(tree->list.request));
    }
    buffer_add_text(out, "}");
}

static enum list_state fill(struct list *list)
{
    struct tree *tree = TG_CONTAINER_OF(list, struct tree, list);
    if (!tree->is_walked) {
        tree->is_walked = walk_on(tree);
        return LIST_MORE;
    }
    while (tree->at < tree->count && !list_is_full(list)) {
        add_level(tree, &tree->levels[tree->at++]);
    }
    if (tree->at < tree->count) {
        return LIST_MORE;
    }
    if (tree->has_more && tree->count > 0) {
        const struct level *last = &tree->levels[tree->count - 1];
        list->long_cursor = strndup((const char *)last->name, last->len);
        list->is_incomplete = list->is_incomplete || list->long_cursor == NULL;
    }
    return LIST_ENDS;
}

static void tree_free(struct list *list)
{
    struct tree *tree = TG_CONTAINER_OF(list, struct tree, list);
    for (size_t i = 0; i < tree->count; i++) {
        level_fini(&tree->levels[i]);
    }
    free(tree->levels);
    retained_cursor_fini(&tree->cursor);
    free(tree);
}

static const struct list_ops tree_ops = {fill, tree_free};

/* The filter of all below PREFIX; of the request's memory. @return data NULL without memory */
static struct bytes filter_below(struct http_request *request, struct bytes prefix, bool has_prefix)
{
    size_t len = has_prefix ? prefix.len + 2 : 1;
    char *filter = http_alloc(request, len);
    if (filter != NULL && has_prefix) {
        memcpy(filter, prefix.data, prefix.len);
        filter[prefix.len] = '/';
        filter[prefix.len + 1] = '#';
    } else if (filter != NULL) {
        filter[0] = '#';
    }
    return (struct bytes){(const uint8_t *)filter, filter != NULL ? len : 0};
}

void admin_list_topics(struct http_request *request)
{
    struct bytes prefix = http_query(request, "prefix");
    bool has_prefix = prefix.len > 0;
    uint64_t limit = LIST_LIMIT;
    if (!admin_is_allowed(request)) {
        return;
    }
    if (has_prefix && !topic_name_is_valid(prefix)) {
        http_problem(request, 400, "prefix must be the levels of a topic, without wildcards");
        return;
    }
    if (!http_query_number(request, "limit", 1, TREE_LIMIT_MAX, &limit)) {
        return;
    }
    struct tree *tree = calloc(1, sizeof(*tree));
    struct bytes filter = filter_below(request, prefix, has_prefix);
    struct level *levels = calloc((size_t)limit, sizeof(*levels));
    if (tree != NULL && levels != NULL && filter.data != NULL) {
        tree->retained = place_retained_values(http_place(request));
        tree->levels = levels;
        tree->max = (size_t)limit;
        tree->prefix = prefix;
        tree->has_prefix = has_prefix;
        tree->after = http_query(request, "cursor");
        tree->is_system_next = !has_prefix;
    }
    if (tree == NULL || levels == NULL || filter.data == NULL || !walk(tree, filter)) {
        free(levels);
        free(tree);
        http_problem(request, 503, "out of memory");
        return;
    }
    if (!list_begin(&tree->list, &tree_ops, request)) {
        tree_free(&tree->list);
    }
}
