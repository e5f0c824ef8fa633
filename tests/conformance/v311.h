/**
 * What the tests of MQTT 3.1.1 share: connections that speak it from the first byte on, and strings that are none.
 */
#ifndef TESTS_CONFORMANCE_V311_H
#define TESTS_CONFORMANCE_V311_H

#include "tests/conformance/conformance.h"

/** A connection that has sent nothing, whose answers are read as those of 3.1.1. */
static inline struct tc *v311_open(struct harness *h)
{
    struct tc *c = tc_open(h, 0);
    c->version = MQTT_3_1_1;
    return c;
}

/** Clean session. */
static inline struct tc *v311_connect(struct harness *h, const char *id)
{
    return tc_connect_at_(h, 0, id, MQTT_3_1_1);
}

/** CleanSession 0. */
static inline struct tc *v311_resume(struct harness *h, const char *id)
{
    return tc_connect_persistent_(h, 0, id, MQTT_3_1_1);
}

/**
 * Run a step for each string, as a packet spec, that UTF-8 does not allow: a lone continuation byte, a byte that never
 * occurs, an overlong form, a surrogate, a number above U+10FFFF, a sequence cut short.
 */
#define V311_FOR_ILL_FORMED(text)                                                                                      \
    for (const char *const *text##_at = v311_ill_formed, *text; (text = *text##_at) != NULL; text##_at++)

static const char *const v311_ill_formed[] __attribute__((unused)) = {
    "['a'80'b']",     "['a'ff]",          "['a'c0af'b']", "['a'c080'b']", "['a'eda080'b']",
    "['a'edbfbf'b']", "['a'f4908080'b']", "['a'e282]",    NULL,
};

#endif
