/**
 * Private to gateway/store: going through all that a store holds, checking every value.
 */
#ifndef GATEWAY_STORE_LMDB_WALK_H
#define GATEWAY_STORE_LMDB_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lmdb.h>

#include "gateway/base/err.h"
#include "gateway/store/lmdb_code.h"
#include "gateway/store/store.h"
#include "protocol/bytes.h"

struct lmdb_files;

/** What is told of what is found; all of it is borrowed for the call. An error ends the walk. */
struct lmdb_walker {
    /** A small entry that is sound. @return false: its content makes no sense */
    bool (*entry)(void *arg, enum store_table table, struct bytes key, struct bytes value);
    /** A message, with all recipients and all of its body, wherever they lie. @return TG_ERR_CORRUPT: its content makes no sense */
    enum tg_err (*message)(void *arg, uint64_t mid, const struct lmdb_message *message);
    /** An entry that is damaged, or a piece of one, which is told again then; WHY is static. */
    enum tg_err (*damaged)(void *arg, enum lmdb_table table, const MDB_val *key, const MDB_val *value, const char *why);
    /** An entry that leads nowhere: a piece of a message that is not there, or of a session that is not. */
    enum tg_err (*leftover)(void *arg, enum lmdb_table table, const MDB_val *key);
    /** After each entry; NULL: not of interest. */
    void (*step)(void *arg);
    void *arg;
};

/**
 * Walk all that TXN sees: small entries by table, keys ascending, then messages as they were put.
 *
 * @param rc out: if the result is TG_ERR_IO, LMDB's error, or 0 if it was the walker's
 * @return TG_OK, TG_ERR_IO, TG_ERR_NO_MEMORY, or what the walker said
 */
enum tg_err lmdb_walk(const struct lmdb_files *files, MDB_txn *txn, const struct lmdb_walker *walker,
                      int *rc) TG_MUST_CHECK;

/** Entries that TXN sees, in all tables. */
uint64_t lmdb_walk_total(const struct lmdb_files *files, MDB_txn *txn);

/** Room for one more item of SIZE bytes, beyond COUNT. @return false without memory */
bool lmdb_walk_grow(void **items, size_t count, size_t *capacity, size_t size) TG_MUST_CHECK;

#endif
