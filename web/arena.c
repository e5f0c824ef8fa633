#include "web/arena.h"

#include <stdlib.h>

struct arena_piece {
    struct arena_piece *next;
    max_align_t bytes[];
};

void *arena_alloc(struct arena *arena, size_t len)
{
    struct arena_piece *piece = malloc(sizeof(*piece) + len);
    if (piece == NULL) {
        return NULL;
    }
    piece->next = arena->pieces;
    arena->pieces = piece;
    return piece->bytes;
}

void arena_fini(struct arena *arena)
{
    while (arena->pieces != NULL) {
        struct arena_piece *piece = arena->pieces;
        arena->pieces = piece->next;
        free(piece);
    }
}
