/**
 * Memory that is given out piece by piece and freed as a whole: what a request, or an item of a bulk, needs while it is worked on.
 *
 * A struct of zeros is an empty arena.
 */
#ifndef WEB_ARENA_H
#define WEB_ARENA_H

#include <stddef.h>

struct arena {
    struct arena_piece *pieces; /* owned list */
};

/** LEN bytes, aligned for anything, that live until arena_fini(). @return NULL without memory */
void *arena_alloc(struct arena *arena, size_t len);

/** Free all of it; ARENA is empty afterwards. */
void arena_fini(struct arena *arena);

#endif
