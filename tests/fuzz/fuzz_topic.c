/*
 * Filters and matching against a reference that splits both into arrays of levels and matches them recursively.
 * The input is "filter NUL name".
 */
#include "protocol/topic.h"
#include "protocol/utf8.h"

#include "tests/fuzz/fuzz.h"

#define SIZE_LIMIT 2048u /* the reference is recursive */

struct levels {
    struct bytes level[SIZE_LIMIT + 1];
    size_t count;
};

static void split(struct bytes whole, struct levels *out)
{
    size_t start = 0;
    out->count = 0;
    for (size_t i = 0; i <= whole.len; i++) {
        if (i == whole.len || whole.data[i] == '/') {
            out->level[out->count++] = (struct bytes){whole.data + start, i - start};
            start = i + 1;
        }
    }
}

static bool level_is(struct bytes level, const char *text)
{
    return bytes_equal(level, bytes_from_string(text));
}

static bool level_has_wildcard(struct bytes level)
{
    for (size_t i = 0; i < level.len; i++) {
        if (level.data[i] == '+' || level.data[i] == '#') {
            return true;
        }
    }
    return false;
}

struct judged_filter {
    bool valid;
    bool shared;
    bool has_wildcard;
    size_t first; /* level at which the filter without "$share/name" begins */
};

static struct judged_filter judge_filter(struct bytes full, const struct levels *levels)
{
    struct judged_filter f = {.valid = full.len > 0 && utf8_is_valid_string(full)};
    f.shared = level_is(levels->level[0], "$share");
    if (f.shared) {
        f.first = 2;
        f.valid = f.valid && levels->count >= 3 && levels->level[1].len > 0 && !level_has_wildcard(levels->level[1]);
        f.valid = f.valid && !(levels->count == 3 && levels->level[2].len == 0);
    }
    for (size_t i = f.first; i < levels->count; i++) {
        bool plus = level_is(levels->level[i], "+");
        bool hash = level_is(levels->level[i], "#");
        f.has_wildcard = f.has_wildcard || plus || hash;
        if (!plus && !hash && level_has_wildcard(levels->level[i])) {
            f.valid = false;
        }
        if (hash && i + 1 != levels->count) {
            f.valid = false;
        }
    }
    return f;
}

static bool matches_from(const struct levels *filter, size_t f, const struct levels *name, size_t n)
{
    if (f < filter->count && level_is(filter->level[f], "#")) {
        return true;
    }
    if (f == filter->count || n == name->count) {
        return f == filter->count && n == name->count;
    }
    if (!level_is(filter->level[f], "+") && !bytes_equal(filter->level[f], name->level[n])) {
        return false;
    }
    return matches_from(filter, f + 1, name, n + 1);
}

static bool judge_match(const struct levels *filter, size_t first, const struct levels *name)
{
    struct bytes top = filter->level[first];
    if (name->level[0].len > 0 && name->level[0].data[0] == '$' && (level_is(top, "#") || level_is(top, "+"))) {
        return false;
    }
    return matches_from(filter, first, name, 0);
}

static void check_levels(struct bytes whole, const struct levels *levels, size_t first)
{
    struct bytes rest = whole;
    struct bytes level;
    for (size_t i = first; i < levels->count; i++) {
        REQUIRE(topic_next_level(&rest, &level));
        REQUIRE(bytes_equal(level, levels->level[i]));
    }
    REQUIRE(!topic_next_level(&rest, &level));
}

static void check_match(const struct topic_filter *parsed, const struct levels *filter, size_t first, struct bytes name)
{
    static struct levels name_levels;
    if (!topic_name_is_valid(name)) {
        return;
    }
    split(name, &name_levels);
    check_levels(name, &name_levels, 0);
    bool matched = topic_matches(parsed->filter, name);
    REQUIRE(matched == judge_match(filter, first, &name_levels));
    REQUIRE(parsed->has_wildcard || matched == bytes_equal(parsed->filter, name));
}

static void check_filter(struct bytes full, struct bytes name)
{
    static struct levels levels;
    split(full, &levels);
    struct judged_filter judged = judge_filter(full, &levels);
    struct topic_filter parsed;
    REQUIRE(topic_filter_parse(full, &parsed) == judged.valid);
    if (!judged.valid) {
        return;
    }
    REQUIRE(parsed.has_wildcard == judged.has_wildcard);
    REQUIRE(parsed.levels == levels.count - judged.first);
    REQUIRE(judged.shared ? bytes_equal(parsed.share_name, levels.level[1]) : parsed.share_name.len == 0);
    REQUIRE(parsed.filter.len > 0 && parsed.filter.data + parsed.filter.len == full.data + full.len);
    check_levels(parsed.filter, &levels, judged.first);
    check_match(&parsed, &levels, judged.first, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t filter_len = nul != NULL ? (size_t)(nul - data) : size;
    size_t name_len = nul != NULL ? size - filter_len - 1 : 0;
    if (size > SIZE_LIMIT) {
        return 0;
    }
    uint8_t *filter = exact_copy(data, filter_len);
    uint8_t *name = exact_copy(data + size - name_len, name_len);
    check_filter((struct bytes){filter, filter_len}, (struct bytes){name, name_len});
    check_filter((struct bytes){name, name_len}, (struct bytes){filter, filter_len});
    free(filter);
    free(name);
    return 0;
}
