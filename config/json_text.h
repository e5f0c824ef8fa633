/**
 * JSON text to jansson's values, also when memory runs out.
 */
#ifndef CONFIG_JSON_TEXT_H
#define CONFIG_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * Read JSON text: any value, with nothing behind it; a key that stands twice in an object is an error.
 *
 * The first call sets jansson's allocation functions for the whole process, to such as malloc(3) and free(3) may
 * take the place of.
 *
 * @param error          out: set if the call returns NULL and *OUT_OF_MEMORY is false
 * @param out_of_memory  out: true if memory ran out; then the call returns NULL
 *
 * @return owned; NULL on failure
 */
json_t *json_text_parse(const char *text, size_t len, json_error_t *error, bool *out_of_memory)
    __attribute__((warn_unused_result));

#endif
