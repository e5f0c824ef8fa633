/*
 * UTF-8 validity after table 3-7 of the Unicode standard: the lead byte decides how many bytes follow and which
 * range the second one has; that range is what excludes overlong forms, surrogates and values above U+10FFFF.
 */
#include "protocol/utf8.h"

#include "protocol/utf8_scan.h"

/* Length of the multi-byte sequence at AT, of which LEFT bytes are there; 0 if it is ill-formed or cut. */
static size_t sequence_len(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    uint8_t lowest = 0x80;
    uint8_t highest = 0xBF;
    size_t len;
    if (lead < 0xC2) {
        return 0; /* a continuation byte, or an overlong form of ASCII */
    }
    if (lead < 0xE0) {
        len = 2;
    } else if (lead < 0xF0) {
        len = 3;
        lowest = lead == 0xE0 ? 0xA0 : 0x80;
        highest = lead == 0xED ? 0x9F : 0xBF; /* [MQTT-1.5.4-1] no surrogates */
    } else if (lead < 0xF5) {
        len = 4;
        lowest = lead == 0xF0 ? 0x90 : 0x80;
        highest = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (left < len || at[1] < lowest || at[1] > highest) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xC0u) != 0x80) {
            return 0;
        }
    }
    return len;
}

static bool ascii_is_accepted(uint8_t c, unsigned rules)
{
    if (c == 0) {
        return (rules & UTF8_SCAN_NO_NUL) == 0; /* [MQTT-1.5.4-2] */
    }
    return (c != '+' && c != '#') || (rules & UTF8_SCAN_NO_WILDCARDS) == 0;
}

bool utf8_scan_characters(const uint8_t *at, size_t len, unsigned rules)
{
    const uint8_t *end = at + len;
    while (at < end) {
        size_t left = (size_t)(end - at);
        if (*at >= 0x80) {
            size_t step = sequence_len(at, left);
            if (step == 0) {
                return false;
            }
            at += step;
        } else if (left >= 8 && utf8_scan_block(utf8_scan_load(at), rules)) {
            at += 8;
        } else if (ascii_is_accepted(*at, rules)) {
            at++;
        } else {
            return false;
        }
    }
    return true;
}

bool utf8_is_valid_string(struct bytes s)
{
    return utf8_scan(s, UTF8_SCAN_NO_NUL);
}

bool utf8_is_valid_text(struct bytes s)
{
    return utf8_scan(s, 0);
}
