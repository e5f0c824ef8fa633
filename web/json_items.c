#include "web/json_items.h"

#include <stdint.h>
#include <string.h>

void json_items_init(struct json_items *items, struct bytes text, bool lines)
{
    *items = (struct json_items){.rest = text, .is_lines = lines};
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip(struct bytes *text, size_t len)
{
    text->data += len;
    text->len -= len;
}

static void skip_space(struct bytes *text)
{
    while (text->len > 0 && is_space(text->data[0])) {
        skip(text, 1);
    }
}

/* @return where the string that begins at AT ends: behind its quote, or END */
static const uint8_t *end_of_string(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '"') {
            return at + 1;
        }
    }
    return end;
}

/* The length of the value that TEXT begins with: up to a comma or bracket that is not within it, or all. SIZE_MAX: it is too large */
static size_t value_len(struct bytes text)
{
    size_t depth = 0;
    size_t values = 1;
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + (text.len <= JSON_ITEM_BYTES_MAX ? text.len : JSON_ITEM_BYTES_MAX + 1);
    while (at < end && values <= JSON_ITEM_VALUES_MAX) {
        uint8_t c = *at;
        if (c == '"') {
            at = end_of_string(at, end);
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
            break;
        }
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        values += c == ',' || c == ':' || c == '[' || c == '{';
        at++;
    }
    size_t len = (size_t)(at - text.data);
    return len > JSON_ITEM_BYTES_MAX || values > JSON_ITEM_VALUES_MAX ? SIZE_MAX : len;
}

static enum json_items_found next_line(struct json_items *items, struct bytes *item)
{
    while (items->rest.len > 0) {
        const uint8_t *end = memchr(items->rest.data, '\n', items->rest.len);
        struct bytes line = {items->rest.data, end != NULL ? (size_t)(end - items->rest.data) : items->rest.len};
        skip(&items->rest, end != NULL ? line.len + 1 : line.len);
        items->count++;
        skip_space(&line);
        while (line.len > 0 && is_space(line.data[line.len - 1])) {
            line.len--;
        }
        if (line.len > 0) {
            *item = line;
            return json_items_is_light(line) ? JSON_ITEMS_ONE : JSON_ITEMS_TOO_LARGE;
        }
    }
    return JSON_ITEMS_END;
}

/* Pass what stands before an item: a bracket or a comma. */
static enum json_items_found pass_to_item(struct json_items *items)
{
    struct bytes *rest = &items->rest;
    bool is_first = !items->has_begun;
    skip_space(rest);
    if (rest->len == 0 || (is_first ? rest->data[0] != '[' : rest->data[0] != ',' && rest->data[0] != ']')) {
        return JSON_ITEMS_MALFORMED;
    }
    bool is_end = rest->data[0] == ']';
    items->has_begun = true;
    skip(rest, 1);
    skip_space(rest);
    if (is_first && rest->len > 0 && rest->data[0] == ']') {
        skip(rest, 1);
        skip_space(rest);
        is_end = true;
    }
    if (is_end) {
        skip_space(rest);
        return rest->len == 0 ? JSON_ITEMS_END : JSON_ITEMS_MALFORMED;
    }
    return JSON_ITEMS_ONE;
}

enum json_items_found json_items_next(struct json_items *items, struct bytes *item)
{
    if (items->is_lines) {
        return next_line(items, item);
    }
    enum json_items_found found = pass_to_item(items);
    if (found != JSON_ITEMS_ONE) {
        return found;
    }
    items->count++;
    size_t len = value_len(items->rest);
    if (len == SIZE_MAX) {
        return JSON_ITEMS_TOO_LARGE;
    }
    *item = (struct bytes){items->rest.data, len};
    skip(&items->rest, len);
    while (item->len > 0 && is_space(item->data[item->len - 1])) {
        item->len--;
    }
    return item->len > 0 ? JSON_ITEMS_ONE : JSON_ITEMS_MALFORMED;
}

bool json_items_is_light(struct bytes text)
{
    return text.len <= JSON_ITEM_BYTES_MAX && value_len(text) != SIZE_MAX; /* what follows a value is not parsed */
}
