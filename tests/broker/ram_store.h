/**
 * A durable store in RAM, for tests: it takes operations as any engine does, and what it calls its disk is tables and messages that a test can
 * look at, count, and start another broker on.
 *
 * Without `is_held` each hand-over of a port is a transaction of its own, durable at once. While held, operations wait until the test completes
 * some of them: these are one transaction then. Reads are answered at once, or, with `holds_reads`, when the test says so. A delivery that is
 * finished twice, or by somebody who never was a recipient, fails the test.
 *
 * Any thread may call; engines' callbacks are made on the thread that completes.
 */
#ifndef TESTS_BROKER_RAM_STORE_H
#define TESTS_BROKER_RAM_STORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/store/store.h"

struct ram_entry;
struct ram_message;
struct ram_early;

/** What was submitted, whatever has become of it. */
struct ram_counts {
    size_t records;
    size_t puts[STORE_TABLES]; /* with those that came with records */
    size_t deletes[STORE_TABLES];
    size_t finishes; /* deliveries */
    size_t session_ends;
    size_t reads; /* messages asked for */
};

struct ram_table {
    struct ram_entry **entries; /* owned; ascending keys */
    size_t count;
    size_t capacity;
};

struct ram_store {
    struct store store;
    _Atomic bool is_held;
    _Atomic bool holds_reads;
    _Atomic bool reads_fail;   /* for a reason that passes */
    _Atomic bool deletes_late; /* messages that nobody needs stay on disk until ram_store_sweep(), and in a crash */
    _Atomic int admission;     /* enum store_admission: the answer to whoever asks */

    pthread_mutex_t mutex;  /* guards what follows */
    pthread_cond_t changed; /* something was submitted or asked for, or is_ending */
    bool is_ending;
    struct ram_counts submitted;
    struct store_figures done;
    struct store_operation *first; /* submitted and not durable, oldest first */
    struct store_operation **end;
    size_t waiting; /* of these, those that somebody may wait for: all but STORE_FINISHES */
    struct store_fetch *reads;
    struct store_fetch **reads_end;
    struct ram_table tables[STORE_TABLES];
    struct ram_message **messages; /* owned; by id; NULL: gone */
    size_t message_capacity;
    uint64_t last_id;
    struct ram_early *early; /* finished before their records came */
    bool has_crashed;        /* nothing gets to the disk any more */
};

void ram_store_init(struct ram_store *ram);
/** Free all that it holds; no broker uses it any more. */
void ram_store_fini(struct ram_store *ram);

/**
 * Let the COUNT (SIZE_MAX: all) oldest operations that are held be durable, in one transaction, with the finishes before them; and
 * with SIZE_MAX those behind them.
 */
void ram_store_complete(struct ram_store *ram, size_t count);

/** Answer the COUNT oldest reads that are held. */
void ram_store_answer_reads(struct ram_store *ram, size_t count);

/** Be an engine's thread: complete and answer whatever comes, as soon as it does, until ram_store_end(). Only while all is held. */
void ram_store_run(struct ram_store *ram);
void ram_store_end(struct ram_store *ram);

/** The lazy deletes that are due take place; so do those of tombstones. */
void ram_store_sweep(struct ram_store *ram);

/** From now on nothing gets durable: what waits is lost, and what comes. The broker is to be freed next. */
void ram_store_crash(struct ram_store *ram);

/** Another broker begins: after a crash things get to the disk again, and numbers begin anew. */
void ram_store_reopen(struct ram_store *ram);

/** The newest message of TOPIC cannot be read any more. */
void ram_store_damage(struct ram_store *ram, const char *topic);

/** Forget everything that is on disk, and all counts. No broker uses it. */
void ram_store_clear(struct ram_store *ram);

/** What was submitted so far. */
struct ram_counts ram_store_submitted(struct ram_store *ram);

/* --- what is on disk ------------------------------------------------------------------------------------------------------ */

/** True if nothing at all is. */
bool ram_store_is_empty(struct ram_store *ram);

size_t ram_store_entries(struct ram_store *ram, enum store_table table);

/** The AT-th entry of TABLE, by key; borrowed until the next operation. @return false if there are not so many */
bool ram_store_entry(struct ram_store *ram, enum store_table table, size_t at, struct bytes *key, struct bytes *value);

/** Messages; and those of TOPIC. */
size_t ram_store_messages(struct ram_store *ram);
size_t ram_store_messages_of(struct ram_store *ram, const char *topic);

/** The newest message of TOPIC, as a recovery would show it but for its record; borrowed until the next operation. @return false if there is none */
bool ram_store_message(struct ram_store *ram, const char *topic, struct store_found *out);

/** Recipients of the newest message of TOPIC that are not finished, its retained value counted; 0: there is none */
size_t ram_store_live(struct ram_store *ram, const char *topic);

#endif
