/**
 * Text of files with rules, line by line: what password and ACL files have in common.
 *
 * Lines end with a newline, with or without a carriage return before it; the last one may end with the file. A line whose first byte is
 * '#' is a comment. A byte 0 is an error wherever it stands: other readers of these files would not see what is behind it.
 */
#ifndef GATEWAY_ACCESS_RULE_TEXT_H
#define GATEWAY_ACCESS_RULE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/bytes.h"

#define RULE_FILE_BYTES_MAX (64u * 1024u * 1024u) /* a larger file is refused unread */

/** What is wrong with a file. */
struct rule_fault {
    unsigned line; /* from 1; 0: the file as a whole */
    char text[128];
};

/** Say that LINE is wrong, in words made like printf(3); always returns false. */
bool rule_fault_set(struct rule_fault *fault, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Where a reader is; begin with {.rest = the whole text}. */
struct rule_lines {
    struct bytes rest;
    unsigned line; /* of the line that was read last */
};

/** Read the next line that is not a comment, without its end. @return false: there is none */
bool rule_lines_next(struct rule_lines *lines, struct bytes *line);

/** TEXT without blanks (space, tab, vertical tab, form feed, carriage return) at both ends. */
struct bytes rule_text_trim(struct bytes text);

/**
 * Read the file PATH. It must be a regular file of at most RULE_FILE_BYTES_MAX.
 * @param out owned on success, free(out->data); may be empty. On failure FAULT is set
 */
bool rule_file_read(const char *path, struct bytes *out, struct rule_fault *fault) __attribute__((warn_unused_result));

#endif
