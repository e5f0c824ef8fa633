/**
 * Characters of untrusted text, for those who show it to people: is this one, and may it be shown as it is?
 */
#ifndef GATEWAY_BASE_CHARACTER_H
#define GATEWAY_BASE_CHARACTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Read the UTF-8 character at P.
 *
 * @param len        bytes at P, at least 1
 * @param character  out: its number; untouched if there is none
 *
 * @return bytes it takes (1..4); 0 if no well-formed character begins at P
 */
size_t character_decode(const uint8_t *p, size_t len, uint32_t *character);

/**
 * True for characters that change how a terminal or a reader sees the rest of the line: C0 and C1 controls,
 * invisible ones, line separators, marks of text direction, tags.
 */
bool character_is_deceptive(uint32_t character);

/** Where text of LEN bytes at P is cut to at most LIMIT bytes: not inside a character, if it is UTF-8 at all. */
size_t character_cut(const uint8_t *p, size_t len, size_t limit);

#endif
