/**
 * The numbers that the gateway tells about itself: one table for /metrics and /api/v1/stats.
 */
#ifndef WEB_FIGURES_H
#define WEB_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/broker/stats.h"
#include "gateway/store/store.h"

struct broker;

enum { FIGURE_LABELS = 2 };

/** One number. Those of one family follow each other. */
struct figure {
    const char *family; /* "messages_total", without the prefix */
    const char *help;   /* of the family; NULL: as the row before */
    bool is_counter;    /* it only grows; else a gauge */
    const char *labels[FIGURE_LABELS];
    const char *values[FIGURE_LABELS]; /* of the labels; NULL: no such label */
    size_t offset;                     /* of a uint64_t in struct figures */
};

/** What the offsets refer to. */
struct figures {
    struct stats stats; /* of all places */
    uint64_t retained_messages;
    uint64_t retained_bytes;
    uint64_t memory_bytes;
    struct store_figures store;
    uint64_t store_free_bytes;
};

extern const struct figure figure_rows[];
extern const size_t figure_count;

/** Read all of them; STORE may be NULL. Any thread; never waits; not of one instant. */
void figures_read(const struct broker *broker, struct store *store, struct figures *out);

/** The number that ROW stands for. */
uint64_t figure_value(const struct figures *figures, const struct figure *row);

/** True if row number INDEX is the first of its family. */
bool figure_begins_family(size_t index);

/** What the process itself uses. */
struct process_figures {
    uint64_t resident_bytes; /* 0: not known */
    uint64_t virtual_bytes;
    uint64_t cpu_ns;
    uint64_t descriptors_max;
};

void process_figures_read(struct process_figures *out);

#endif
