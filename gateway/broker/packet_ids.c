/* A bitmap in 64 pieces of 1024 ids, each piece there only while it has a member: clients number their packets
 * in a row, so a session's few open ids lie in one or two pieces. */
#include "gateway/broker/packet_ids.h"

#include <stdlib.h>

#define PIECES      64u
#define PIECE_BITS  1024u
#define PIECE_WORDS (PIECE_BITS / 64u)

struct piece {
    uint32_t count;
    uint64_t words[PIECE_WORDS];
};

struct packet_ids { /* owner: the session's place */
    uint32_t count;
    struct piece *pieces[PIECES];
};

bool packet_ids_has(const struct packet_ids *set, uint16_t id)
{
    const struct piece *piece = set != NULL ? set->pieces[id / PIECE_BITS] : NULL;
    return piece != NULL && (piece->words[id % PIECE_BITS / 64] >> (id % 64) & 1) != 0;
}

bool packet_ids_add(struct packet_ids **set, uint16_t id)
{
    if (packet_ids_has(*set, id)) {
        return true;
    }
    struct packet_ids *ids = *set != NULL ? *set : calloc(1, sizeof(*ids));
    if (ids == NULL) {
        return false;
    }
    struct piece *piece = ids->pieces[id / PIECE_BITS];
    if (piece == NULL) {
        piece = calloc(1, sizeof(*piece));
        if (piece == NULL) {
            if (*set == NULL) {
                free(ids);
            }
            return false;
        }
        ids->pieces[id / PIECE_BITS] = piece;
    }
    piece->words[id % PIECE_BITS / 64] |= UINT64_C(1) << (id % 64);
    piece->count++;
    ids->count++;
    *set = ids;
    return true;
}

bool packet_ids_remove(struct packet_ids **set, uint16_t id)
{
    if (!packet_ids_has(*set, id)) {
        return false;
    }
    struct packet_ids *ids = *set;
    struct piece *piece = ids->pieces[id / PIECE_BITS];
    piece->words[id % PIECE_BITS / 64] &= ~(UINT64_C(1) << (id % 64));
    if (--piece->count == 0) {
        free(piece);
        ids->pieces[id / PIECE_BITS] = NULL;
    }
    if (--ids->count == 0) {
        free(ids);
        *set = NULL;
    }
    return true;
}

uint32_t packet_ids_count(const struct packet_ids *set)
{
    return set != NULL ? set->count : 0;
}

void packet_ids_free(struct packet_ids *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < PIECES; i++) {
        free(set->pieces[i]);
    }
    free(set);
}
