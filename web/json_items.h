/**
 * Cuts an array of JSON, or lines of JSON, into its items without making anything of them, so that a large body can be parsed item by
 * item, as time allows. Only brackets, strings and commas are looked at: whether an item is JSON at all the parser of the item says.
 *
 * What an item costs to parse is bounded here: by its bytes, and by the values in it.
 */
#ifndef WEB_JSON_ITEMS_H
#define WEB_JSON_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/bytes.h"

#define JSON_ITEM_BYTES_MAX  262144u /* 3 ms of parsing, about */
#define JSON_ITEM_VALUES_MAX 16384u  /* 2 ms, about, with writing them out again */

enum json_items_found {
    JSON_ITEMS_ONE,
    JSON_ITEMS_END,
    JSON_ITEMS_MALFORMED, /* neither an array nor the end of one, or something between items that does not belong there */
    JSON_ITEMS_TOO_LARGE, /* the next item has too many bytes or values */
};

struct json_items {
    struct bytes rest;
    bool is_lines;
    bool has_begun; /* the bracket has been passed */
    size_t count;   /* items, or lines, seen, the one at fault included */
};

/** Begin with TEXT (borrowed until the end): an array, or LINES of one item each, blank ones among them. */
void json_items_init(struct json_items *items, struct bytes text, bool lines);

/**
 * Find the next item.
 * @param item  out, if JSON_ITEMS_ONE: without white space around it; not empty
 * @return after anything but JSON_ITEMS_ONE nothing more can be found
 */
enum json_items_found json_items_next(struct json_items *items, struct bytes *item);

/** True if TEXT, a single value, is within the bounds of an item. */
bool json_items_is_light(struct bytes text);

#endif
