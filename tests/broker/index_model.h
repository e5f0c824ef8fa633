/**
 * The slow truth that index and route cache are compared with: a list of filters and topic_matches(); and random filters
 * and topics that meet often.
 */
#ifndef TESTS_BROKER_INDEX_MODEL_H
#define TESTS_BROKER_INDEX_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/broker/index.h"
#include "protocol/bytes.h"

enum {
    MODEL_FILTERS_MAX = 4096,
    MODEL_TEXT_MAX = 256,
};

/** One filter of the model, in the index too, with one reference. */
struct model_filter {
    char text[MODEL_TEXT_MAX];
    struct filter *filter;
    bool any;     /* interest of place 0 */
    bool durable; /* durable interest of place 0 */
};

struct model {
    struct index *index;
    struct model_filter *filters; /* heap, MODEL_FILTERS_MAX */
    size_t count;
};

/** Make MODEL empty, with an index for PLACES places. Ends the test without memory. */
void model_init(struct model *model, unsigned places);

/** Take every filter out again and free what the index still holds. */
void model_fini(struct model *model);

/** Add a random filter with interest, at most one reference each. */
void model_add_random(struct model *model, uint64_t *random);

/** Remove filter number AT. */
void model_remove(struct model *model, size_t at);

/** How many filters with interest match TOPIC, by topic_matches(). */
size_t model_match(const struct model *model, struct bytes topic, struct filter **out);

/** Fail the test unless FILTERS are exactly those which the model says match TOPIC. */
void model_check(const struct model *model, struct bytes topic, struct filter *const *filters, size_t count);

/** The next value of *STATE (not 0): 32 good bits, the same at every run. */
uint32_t model_random(uint64_t *state);

/** Write a random valid topic, or filter, as a string. */
void model_random_topic(uint64_t *random, char text[MODEL_TEXT_MAX]);
void model_random_filter(uint64_t *random, char text[MODEL_TEXT_MAX]);

#endif
