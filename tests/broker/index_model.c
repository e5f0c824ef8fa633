/*
 * Levels come from a handful of words, so that random topics and filters share them; the empty level and "$" words are
 * among them.
 */
#include "tests/broker/index_model.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/topic.h"
#include "tests/check_main.h"

uint32_t model_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}

static const char *random_word(uint64_t *random, bool is_first)
{
    static const char *const words[] = {"a", "b", "c", "", "d", "aa", "ab", "a longer word than the others", "$b"};
    static const char *const first_words[] = {"$SYS", "$", "$b"};
    if (is_first && model_random(random) % 8 == 0) {
        return first_words[model_random(random) % 3];
    }
    return words[model_random(random) % (sizeof words / sizeof words[0])];
}

static void append(char text[MODEL_TEXT_MAX], const char *word, bool is_first)
{
    size_t len = strlen(text);
    size_t word_len = strlen(word);
    ck_assert_uint_lt(len + word_len + 2, MODEL_TEXT_MAX);
    if (!is_first) {
        text[len++] = '/';
    }
    memcpy(text + len, word, word_len + 1);
}

void model_random_topic(uint64_t *random, char text[MODEL_TEXT_MAX])
{
    do {
        text[0] = '\0';
        size_t levels = 1 + model_random(random) % 5;
        for (size_t i = 0; i < levels; i++) {
            append(text, random_word(random, i == 0), i == 0);
        }
    } while (text[0] == '\0');
}

void model_random_filter(uint64_t *random, char text[MODEL_TEXT_MAX])
{
    do {
        text[0] = '\0';
        size_t levels = 1 + model_random(random) % 5;
        for (size_t i = 0; i < levels; i++) {
            if (model_random(random) % 3 == 0) {
                append(text, "+", i == 0);
            } else if (i + 1 == levels && model_random(random) % 3 == 0) {
                append(text, "#", i == 0);
            } else {
                append(text, random_word(random, i == 0), i == 0);
            }
        }
    } while (text[0] == '\0');
}

void model_init(struct model *model, unsigned places)
{
    model->index = index_new(places, 42, NULL, NULL);
    model->filters = calloc(MODEL_FILTERS_MAX, sizeof(*model->filters));
    model->count = 0;
    ck_assert_ptr_nonnull(model->index);
    ck_assert_ptr_nonnull(model->filters);
}

void model_fini(struct model *model)
{
    while (model->count > 0) {
        model_remove(model, model->count - 1);
    }
    ck_assert_uint_eq(index_filter_count(model->index), 0);
    index_free(model->index);
    free(model->filters);
}

void model_add_random(struct model *model, uint64_t *random)
{
    ck_assert_uint_lt(model->count, MODEL_FILTERS_MAX);
    struct model_filter *added = &model->filters[model->count];
    model_random_filter(random, added->text);
    for (size_t i = 0; i < model->count; i++) {
        if (strcmp(model->filters[i].text, added->text) == 0) {
            return;
        }
    }
    ck_assert_int_eq(index_acquire(model->index, bytes_from_string(added->text), &added->filter), TG_OK);
    added->any = true;
    added->durable = model_random(random) % 2 == 0;
    index_set_interest(model->index, added->filter, 0, true, added->durable);
    model->count++;
}

void model_remove(struct model *model, size_t at)
{
    struct model_filter *removed = &model->filters[at];
    index_set_interest(model->index, removed->filter, 0, false, false);
    index_release(model->index, removed->filter);
    *removed = model->filters[--model->count];
}

size_t model_match(const struct model *model, struct bytes topic, struct filter **out)
{
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_filter *filter = &model->filters[i];
        if (filter->any && topic_matches(bytes_from_string(filter->text), topic)) {
            out[count++] = filter->filter;
        }
    }
    return count;
}

static int compare_pointers(const void *a, const void *b)
{
    const struct filter *const *x = a;
    const struct filter *const *y = b;
    return *x < *y ? -1 : *x > *y;
}

void model_check(const struct model *model, struct bytes topic, struct filter *const *filters, size_t count)
{
    static struct filter *expected[MODEL_FILTERS_MAX];
    static struct filter *sorted[MODEL_FILTERS_MAX];
    size_t expected_count = model_match(model, topic, expected);
    ck_assert_msg(count == expected_count, "topic \"%.*s\": %zu filters instead of %zu", (int)topic.len,
                  (const char *)topic.data, count, expected_count);
    memcpy(sorted, filters, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), compare_pointers);
    qsort(expected, count, sizeof(expected[0]), compare_pointers);
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_eq(sorted[i], expected[i]);
    }
}
