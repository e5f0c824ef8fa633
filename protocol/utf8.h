/**
 * UTF-8 as MQTT wants it. [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.4-3]
 */
#ifndef PROTOCOL_UTF8_H
#define PROTOCOL_UTF8_H

#include <stdbool.h>

#include "protocol/bytes.h"

/**
 * True if S is well-formed UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF) without U+0000. U+FEFF is a
 * character like any other. Fast for ASCII. The empty string is valid.
 */
bool utf8_is_valid_string(struct bytes s);

/** The same, but U+0000 is allowed: a payload whose Payload Format Indicator is 1. */
bool utf8_is_valid_text(struct bytes s);

#endif
