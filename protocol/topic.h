/**
 * Topic names and topic filters: validity, matching, levels, and the two parts of a shared filter. [MQTT 5.0, 4.7]
 *
 * Nothing is normalised: bytes are compared as they are [MQTT-4.7.3-4]. A level is what stands between two slashes,
 * and may be empty: "/a" has the levels "" and "a".
 */
#ifndef PROTOCOL_TOPIC_H
#define PROTOCOL_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/**
 * True if NAME may be published to: 1..65535 bytes of valid UTF-8 without U+0000, '+' or '#'.
 * [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
 */
bool topic_name_is_valid(struct bytes name);

struct topic_filter {
    struct bytes share_name; /* empty: not shared */
    struct bytes filter;     /* what topics are matched against: FULL without "$share/name/" */
    bool has_wildcard;
    unsigned levels; /* >= 1 */
};

/**
 * Check a topic filter and take it apart. [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
 *
 * FULL must be 1..65535 bytes of valid UTF-8 without U+0000; "#" only alone in the last level, "+" only alone in a
 * level. "$share/name/filter" needs a name without '+' and '#' and a valid filter behind it; "$share" and
 * "$share/name" without more are not valid.
 *
 * @param out points into FULL; undefined if the call returns false
 */
bool topic_filter_parse(struct bytes full, struct topic_filter *out);

/**
 * True if the valid topic NAME matches the valid FILTER (without "$share/..."). "a/#" matches "a" [MQTT 5.0, 4.7.1.2]; a
 * filter that begins with a wildcard does not match a name that begins with '$' [MQTT-4.7.2-1].
 */
bool topic_matches(struct bytes filter, struct bytes name);

/**
 * Step through the levels of a name or filter.
 *
 * @param rest  in/out: what is left; start with the whole. After the last level rest->data is NULL.
 * @param level out
 * @return true and *LEVEL; false when rest->data is NULL
 */
static inline bool topic_next_level(struct bytes *rest, struct bytes *level)
{
    if (rest->data == NULL) {
        return false;
    }
    const uint8_t *slash = rest->len > 0 ? memchr(rest->data, '/', rest->len) : NULL;
    if (slash == NULL) {
        *level = *rest;
        *rest = (struct bytes){NULL, 0};
    } else {
        size_t level_len = (size_t)(slash - rest->data);
        *level = (struct bytes){rest->data, level_len};
        *rest = (struct bytes){slash + 1, rest->len - level_len - 1};
    }
    return true;
}

#endif
