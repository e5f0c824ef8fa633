/**
 * The durable engine: LMDB, one environment in one folder, written by one thread.
 *
 *      ports -> intake -> [persistence thread: batch -> transaction -> commit] -> done
 *                                                                  ^
 *      fetches -> [reader thread: short read transactions]         | lazy deletes, in slices
 *
 * The duration of a commit is the time in which the next batch comes together; there is no timer. What is in the folder:
 *
 *      data.mdb, lock.mdb   LMDB's own
 *      tidegate.lock        held by the process that has it open
 *      quarantine.ndjson    entries that were found damaged, as they were
 */
#ifndef GATEWAY_STORE_LMDB_H
#define GATEWAY_STORE_LMDB_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/store/store.h"

#define STORE_LMDB_WHY_BYTES 512u
#define STORE_LMDB_SIZE_MIN  (1u << 20)

struct store_lmdb_options {
    const char *path;          /* of the folder; made (0700, those above it too) if it is absent; borrowed */
    uint64_t size_limit_bytes; /* most that data.mdb may take; address space, not memory */
    uint32_t
        interval_ms; /* 0: acknowledgements wait for the disk; else what is acknowledged gets there at most so much later */
    uint64_t (*monotonic_ms)(void); /* NULL: the system's clock */
    uint64_t (*wall_ms)(void);      /* since the epoch; NULL: the system's clock */
};

/**
 * Open the store at options->path, or make one. It is this process's alone until it is freed with store_free(). A file whose structure is damaged
 * is refused; single entries that are damaged are put aside by recover().
 *
 * From then on an error of the disk that leaves doubts ends the process: it is logged, and nothing more is called done.
 *
 * @param why out: on failure a sentence for people, cut to WHY_SIZE bytes
 * @return owned; NULL: WHY says why not
 */
struct store *store_lmdb_new(const struct store_lmdb_options *options, char *why, size_t why_size);

#endif
