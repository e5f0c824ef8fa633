/*
 * Topic names and filters. Each check is one pass over the bytes: a filter of thirty thousand levels costs what its
 * length costs.
 */
#include "protocol/topic.h"

#include "protocol/utf8.h"
#include "protocol/utf8_scan.h"

#define TOPIC_BYTES_MAX 65535u /* [MQTT-4.7.3-3] */

static const char share_prefix[] = "$share/";
#define SHARE_WORD_LEN   (sizeof share_prefix - 2) /* "$share" */
#define SHARE_PREFIX_LEN (sizeof share_prefix - 1)

bool topic_name_is_valid(struct bytes name)
{
    return name.len > 0 && name.len <= TOPIC_BYTES_MAX && utf8_scan(name, UTF8_SCAN_NO_NUL | UTF8_SCAN_NO_WILDCARDS);
}

/* Check the wildcards of OUT->filter, count its levels. */
static bool filter_take_apart(struct topic_filter *out)
{
    const uint8_t *start = out->filter.data;
    size_t len = out->filter.len;
    out->has_wildcard = false;
    out->levels = 1;
    for (size_t i = 0; i < len; i++) {
        if (start[i] == '/') {
            out->levels++;
        } else if (start[i] == '+' || start[i] == '#') {
            bool begins_level = i == 0 || start[i - 1] == '/';
            bool ends_level = i + 1 == len || (start[i] == '+' && start[i + 1] == '/');
            if (!begins_level || !ends_level) {
                return false; /* [MQTT-4.7.1-1] [MQTT-4.7.1-2] */
            }
            out->has_wildcard = true;
        }
    }
    return len > 0; /* [MQTT-4.7.3-1] */
}

/* Split "$share/name/filter" in OUT->filter. [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
static bool share_take_apart(struct topic_filter *out)
{
    struct bytes name = {out->filter.data + SHARE_PREFIX_LEN, out->filter.len - SHARE_PREFIX_LEN};
    const uint8_t *slash = name.len > 0 ? memchr(name.data, '/', name.len) : NULL;
    if (slash == NULL) {
        return false;
    }
    out->filter = (struct bytes){slash + 1, (size_t)(name.data + name.len - (slash + 1))};
    name.len = (size_t)(slash - name.data);
    if (name.len == 0 || memchr(name.data, '+', name.len) != NULL || memchr(name.data, '#', name.len) != NULL) {
        return false;
    }
    out->share_name = name;
    return true;
}

static bool is_shared(struct bytes full)
{
    if (full.len < SHARE_WORD_LEN || memcmp(full.data, share_prefix, SHARE_WORD_LEN) != 0) {
        return false;
    }
    return full.len == SHARE_WORD_LEN || full.data[SHARE_WORD_LEN] == '/';
}

bool topic_filter_parse(struct bytes full, struct topic_filter *out)
{
    if (full.len == 0 || full.len > TOPIC_BYTES_MAX || !utf8_is_valid_string(full)) {
        return false;
    }
    out->share_name = (struct bytes){NULL, 0};
    out->filter = full;
    if (is_shared(full)) {
        if (full.len <= SHARE_PREFIX_LEN || !share_take_apart(out)) {
            return false;
        }
    }
    return filter_take_apart(out);
}

bool topic_matches(struct bytes filter, struct bytes name)
{
    if (filter.len == 0 || name.len == 0) {
        return false;
    }
    const uint8_t *f = filter.data;
    const uint8_t *f_end = f + filter.len;
    const uint8_t *n = name.data;
    const uint8_t *n_end = n + name.len;
    if (*n == '$' && (*f == '+' || *f == '#')) {
        return false; /* [MQTT-4.7.2-1] */
    }
    while (f < f_end) {
        if (*f == '#') {
            return true;
        }
        if (*f == '+') {
            const uint8_t *slash = memchr(n, '/', (size_t)(n_end - n));
            n = slash != NULL ? slash : n_end;
        } else if (n < n_end && *f == *n) {
            n++;
        } else {
            /* "a/#" matches "a" too: the name is at its end, and of the filter "/#" is left */
            return n == n_end && f_end - f == 2 && f[0] == '/' && f[1] == '#';
        }
        f++;
    }
    return n == n_end;
}
