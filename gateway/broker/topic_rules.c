#include "gateway/broker/topic_rules.h"

#include <string.h>

bool topic_is_within_levels(struct bytes topic, uint32_t max)
{
    if (topic.len < max) { /* N levels take at least N - 1 bytes */
        return true;
    }
    uint32_t levels = 1;
    const uint8_t *at = topic.data;
    const uint8_t *end = topic.data + topic.len;
    while (at < end && (at = memchr(at, '/', (size_t)(end - at))) != NULL) {
        if (++levels > max) {
            return false;
        }
        at++;
    }
    return true;
}

static bool is_below(struct bytes topic, const char *root)
{
    size_t len = strlen(root);
    return topic.len >= len && memcmp(topic.data, root, len) == 0 && (topic.len == len || topic.data[len] == '/');
}

bool topic_is_reserved(struct bytes topic)
{
    return topic.len > 0 && topic.data[0] == '$' && (is_below(topic, "$SYS") || is_below(topic, "$share"));
}

bool filter_is_reserved(struct bytes filter)
{
    return filter.len > 0 && filter.data[0] == '$' && is_below(filter, "$tidegate");
}
