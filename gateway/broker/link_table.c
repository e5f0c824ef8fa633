#include "gateway/broker/link_table.h"

#include <stdlib.h>

#define CHAINS_MIN 16u

void link_table_fini(struct link_table *table)
{
    free(table->chains);
    *table = (struct link_table){0};
}

static struct link **chain_of(const struct link_table *table, uint64_t hash)
{
    return &table->chains[hash & (table->chain_count - 1)];
}

static void push(const struct link_table *table, struct link *link)
{
    struct link **chain = chain_of(table, link->hash);
    link->next = *chain;
    *chain = link;
}

/* Without memory the chains get longer, no more. @return false if there is no chain at all */
static bool grow(struct link_table *table)
{
    if (table->count < table->chain_count) {
        return true;
    }
    struct link_table grown = {.chain_count = table->chain_count > 0 ? table->chain_count * 2 : CHAINS_MIN,
                               .count = table->count};
    grown.chains = calloc(grown.chain_count, sizeof(struct link *));
    if (grown.chains == NULL) {
        return table->chain_count > 0;
    }
    for (size_t i = 0; i < table->chain_count; i++) {
        while (table->chains[i] != NULL) {
            struct link *link = table->chains[i];
            table->chains[i] = link->next;
            push(&grown, link);
        }
    }
    free(table->chains);
    *table = grown;
    return true;
}

bool link_table_add(struct link_table *table, struct link *link, uint64_t hash)
{
    if (!grow(table)) {
        return false;
    }
    link->hash = hash;
    push(table, link);
    table->count++;
    return true;
}

void link_table_remove(struct link_table *table, struct link *link)
{
    struct link **at = chain_of(table, link->hash);
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    table->count--;
}

static struct link *with_hash(struct link *link, uint64_t hash)
{
    while (link != NULL && link->hash != hash) {
        link = link->next;
    }
    return link;
}

struct link *link_table_first(const struct link_table *table, uint64_t hash)
{
    return table->chain_count > 0 ? with_hash(*chain_of(table, hash), hash) : NULL;
}

struct link *link_table_next(const struct link *link)
{
    return with_hash(link->next, link->hash);
}
