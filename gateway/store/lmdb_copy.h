/**
 * Private to gateway/store: a compact copy of an environment, consistent whoever writes to it meanwhile.
 */
#ifndef GATEWAY_STORE_LMDB_COPY_H
#define GATEWAY_STORE_LMDB_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include <lmdb.h>

#include "gateway/base/err.h"

struct lmdb_copy {                /* how it is done */
    uint64_t bytes_per_s;         /* 0: as fast as it goes */
    uint64_t limit_ms;            /* 0: however long it takes */
    bool (*must_stop)(void *arg); /* asked in between; NULL: no */
    void *arg;
};

/**
 * Copy what ENV holds to a new file PATH; it has that name only when all of it is on disk.
 *
 * @param error out: why, for mdb_strerror(); 0 if the result says it all
 * @return TG_OK, TG_ERR_EXISTS, TG_ERR_LIMIT (time, or must_stop), TG_ERR_IO, TG_ERR_NO_MEMORY; nothing is left of it then
 */
enum tg_err lmdb_copy(MDB_env *env, const char *path, const struct lmdb_copy *copy, int *error) TG_MUST_CHECK;

#endif
