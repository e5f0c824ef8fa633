/**
 * Tests of what the specification demands, one or more per statement, named by its number: mqtt_3_3_1_5_... is
 * [MQTT-3.3.1-5] of MQTT 5.0, mqtt311_3_3_1_5_... that of 3.1.1. tests/conformance/generate.py lists them by these names.
 *
 *      CONFORMANCE_TEST(mqtt_3_12_4_1_answers_pingreq)
 *      {
 *          struct tc *c = tc_connect(h, "c", MQTT_5_0);
 *          ...
 *      }
 *
 * Each runs twice: with a broker of one place, and with one of three whose clients are spread over the places in turn. main() is in main.c.
 */
#ifndef TESTS_CONFORMANCE_CONFORMANCE_H
#define TESTS_CONFORMANCE_CONFORMANCE_H

#include <check.h>

#include "protocol/property.h"
#include "protocol/reason.h"
#include "tests/broker/harness.h"
#include "tests/broker/test_client.h"

/** Add TEST to the program's suite; called before main(). */
void conformance_add(const TTest *test);

#define CONFORMANCE_TEST(name)                                                                                         \
    static void name##_steps(struct harness *h);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        struct harness *h = harness_new(_i == 0 ? 1 : 3);                                                              \
        h->spreads = _i != 0;                                                                                          \
        name##_steps(h);                                                                                               \
        harness_free(h);                                                                                               \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    __attribute__((constructor)) static void name##_add(void)                                                          \
    {                                                                                                                  \
        conformance_add(name);                                                                                         \
    }                                                                                                                  \
    static void name##_steps(struct harness *h)

/** True if PUBLISH (or another decoded packet) has the property. */
#define HAS(packet, id) properties_has(&(packet)->properties, PROPERTY_##id)

#endif
