/**
 * Private to gateway/store: what an engine sees and changes of a commit record.
 *
 * `pending` belongs to whoever has the record open, part by part, then to the operation, and from submit on to the engine's thread; the engine
 * frees it once the record is put or needs no put. `id` and `live` are the engine's alone.
 */
#ifndef GATEWAY_STORE_RECORD_ENGINE_H
#define GATEWAY_STORE_RECORD_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/store/record.h"
#include "gateway/store/store.h"

#define RECORD_ORDINAL_BITS 24u

struct lmdb_early;

struct store_report { /* recipients that one place has added, encoded one behind the other */
    uint32_t count;
    uint32_t len;
    uint32_t capacity;
    union {              /* which of them are over, the first in the lowest bit; the engine's once submitted */
        uint64_t word;   /* of up to 64 */
        uint64_t *words; /* of more: owned; NULL: none yet */
    } finished;
    uint8_t bytes[];
};

struct store_pending {
    _Atomic uint32_t open;            /* how often the record is open */
    struct store_operation operation; /* by which it is submitted: no memory is needed then */
    struct store_record *replaces;    /* holds a reference; NULL: nothing */
    uint32_t replaced;                /* its recipient */
    bool is_retained;                 /* no one has finished STORE_RETAINED; the engine's once submitted */
    unsigned places;
    struct store_report *reports[]; /* of each place; NULL: none */
};

/* Where the engine stands with a record. */
enum record_state {
    RECORD_OPEN,      /* not submitted; finishes may have come already */
    RECORD_TAKEN,     /* the engine has it, it is not put */
    RECORD_PUT,       /* on disk, or in the transaction that is under way */
    RECORD_CANCELLED, /* nobody was left: never put */
    RECORD_DELETED,   /* to be deleted, or deleted */
};

struct store_record {
    _Atomic uint32_t refs;
    _Atomic bool is_done;
    bool has_many;           /* written before is_done */
    uint8_t state : 6;       /* enum record_state; the engine's, as the next two are */
    uint8_t is_replaced : 1; /* STORE_RETAINED was finished by a record that takes its place */
    uint8_t outlives : 1;    /* it was finished otherwise: what it hides is to be gone before it is */
    bool retain;             /* as published; immutable */
    uint32_t message_size;
    int32_t
        live; /* recipients, with the retained value, that are not finished; below 0 while finishes are ahead of the submit; the engine's */
    union {   /* the engine's */
        uint64_t id;              /* its key on disk; 0: none */
        struct lmdb_early *early; /* before it is submitted: who is over already; NULL: nobody */
    };
    uint64_t expires_ms;
    struct message *message;       /* lock: see record.c; the engine takes it out once it is put */
    struct store_pending *pending; /* NULL once the engine is through with it */
    _Atomic bool is_incomplete;    /* see store_record_set_incomplete() */
};

/** A record of what is on disk already, put and done. Returns owned; NULL without memory. */
struct store_record *store_record_found(uint64_t id, size_t message_size, uint64_t expires_ms, int32_t live,
                                        bool retain);

/** Number of a recipient: where it stands in the reports. */
static inline uint32_t record_recipient(unsigned place, uint32_t ordinal)
{
    return (uint32_t)place << RECORD_ORDINAL_BITS | ordinal;
}

/** The 64 recipients from 64 * WORD of REPORT that are over, as bits. */
static inline uint64_t store_report_finished(const struct store_report *report, uint32_t word)
{
    if (report->count <= 64) {
        return report->finished.word;
    }
    return report->finished.words != NULL ? report->finished.words[word] : 0;
}

/** Recipient ORDINAL of REPORT, to which no more are added, is over. @return false: it was already, or there is no memory to note it. The engine's thread. */
bool store_report_finish(struct store_report *report, uint32_t ordinal);

/** The message, borrowed; the engine's thread, until store_record_drop_message(). */
static inline struct message *store_record_peek(const struct store_record *record)
{
    return record->message;
}

/** It need not be in memory any more on the record's account. The engine's thread. */
void store_record_drop_message(struct store_record *record);

/** Free what was only needed to put it. The engine's thread. */
void store_record_drop_pending(struct store_record *record);

/** RECORD is durable, or needs not be: whoever waits for it may go on. The engine's thread. */
void store_record_set_done(struct store_record *record);

#endif
