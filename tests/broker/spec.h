/**
 * Bytes of a packet written down so that a reader of a test sees what is in them.
 *
 *      10 { <MQTT> 05 02 003c { session_expiry:60 user:<k><v> } <id> }
 *
 *      3a 003c      bytes in hexadecimal
 *      <text>       a string: two bytes of length, then the characters as they stand
 *      [ ... ]      the same with anything inside: a string that is none, say
 *      'text'       the characters alone
 *      { ... }      a Variable Byte Integer that counts what is inside, then that: Remaining Length, Property Length
 *      name:7       a numeric property, by the name that spec.c's table gives it
 *      name:<text>  any other property; its value is whatever follows
 */
#ifndef TESTS_BROKER_SPEC_H
#define TESTS_BROKER_SPEC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/** Bytes on the heap; free data with free(). */
struct spec_bytes {
    uint8_t *data;
    size_t len;
};

/** The bytes that TEXT stands for; NULL stands for none. Returns owned. A mistake in TEXT fails the test. */
struct spec_bytes spec_encode(const char *text);

/** The same after printf. */
struct spec_bytes spec_vencode(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static inline struct bytes spec_view(struct spec_bytes b)
{
    return (struct bytes){b.data, b.len};
}

#endif
