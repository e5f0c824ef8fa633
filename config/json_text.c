/**
 * jansson 2.14 does not notice when the buffer of the word it is reading can't grow: it drops the byte and goes
 * on, so that a number becomes another one, and a string that loses its closing quote is read far beyond its end.
 *
 * Remedy: a reserve, taken in advance, as large as that buffer can become. The first allocation that fails gets
 * it, so no byte is lost, and from that moment the text has come to its end. As it is handed over byte by byte,
 * nothing that jansson can still do needs a larger buffer; all its other allocations it checks.
 */
#include "config/json_text.h"

#include <pthread.h>
#include <stdlib.h>

/** The text on its way to jansson. owner: the calling thread */
struct source {
    const char *text;
    size_t len;
    size_t at;
    char *reserve;      /* owned */
    size_t reserve_len; /* what jansson's buffer takes at most: it doubles until all is in */
    bool out_of_memory;
};

static _Thread_local struct source *current; /* NULL: this thread is not in json_text_parse() */

static void *allocate(size_t bytes)
{
    void *block = malloc(bytes);

    if (block || !current || current->out_of_memory)
        return block;
    current->out_of_memory = true;
    return bytes <= current->reserve_len ? current->reserve : NULL;
}

static void release(void *block)
{
    if (!current || block != current->reserve)
        free(block);
}

static void set_functions(void)
{
    json_set_alloc_funcs(allocate, release);
}

/** jansson's callback: the next byte. */
static size_t next_byte(void *buffer, size_t cap, void *data)
{
    struct source *source = data;

    if (cap == 0 || source->at == source->len || source->out_of_memory)
        return 0;
    *(char *)buffer = source->text[source->at++];
    return 1;
}

json_t *json_text_parse(const char *text, size_t len, json_error_t *error, bool *out_of_memory)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct source source = {.text = text, .len = len, .reserve_len = 2 * len + 64};

    pthread_once(&once, set_functions);
    source.reserve = malloc(source.reserve_len);
    *out_of_memory = source.reserve == NULL;
    if (!source.reserve)
        return NULL;
    current = &source;
    json_t *root = json_load_callback(next_byte, &source, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, error);
    if (source.out_of_memory) {
        json_decref(root);
        root = NULL;
    }
    current = NULL;
    free(source.reserve);
    *out_of_memory = source.out_of_memory;
    return root;
}
