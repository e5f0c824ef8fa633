/**
 * A hash table of objects that have their link inside: chains, doubled when there are more links than chains. Whoever owns the table
 * says who may touch it.
 */
#ifndef GATEWAY_BROKER_LINK_TABLE_H
#define GATEWAY_BROKER_LINK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link {
    struct link *next; /* in the same chain */
    uint64_t hash;     /* of the object's key, seeded */
};

/** Zeros are an empty table. */
struct link_table {
    struct link **chains; /* owned; NULL until the first link is added */
    size_t chain_count;   /* power of two, or 0 */
    size_t count;
};

/** Free the table of TABLE; what it links is the caller's business. */
void link_table_fini(struct link_table *table);

/** Add LINK, which is in no table, with HASH. @return false without memory, then nothing changed */
bool link_table_add(struct link_table *table, struct link *link, uint64_t hash) __attribute__((warn_unused_result));

/** Take LINK, which is in TABLE, out. */
void link_table_remove(struct link_table *table, struct link *link);

/** A link with HASH, NULL if there is none; and the next one with the same hash. The caller compares keys. */
struct link *link_table_first(const struct link_table *table, uint64_t hash);
struct link *link_table_next(const struct link *link);

#endif
