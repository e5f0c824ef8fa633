/*
 * set_schema FILE NUMBER: let the LMDB file of a store say that it is of another schema, for the tests of what a gateway does with one that it does not
 * know. No gateway may be using it.
 */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, mdb_strerror(rc));
    return 1;
}

int main(int argc, char **argv)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    int rc;

    if (argc != 3) {
        fprintf(stderr, "set_schema FILE NUMBER\n");
        return 2;
    }
    uint32_t number = (uint32_t)strtoul(argv[2], NULL, 10);
    uint8_t bytes[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    MDB_val key = {sizeof("schema") - 1, (void *)(uintptr_t) "schema"};
    MDB_val value = {sizeof(bytes), bytes};
    if ((rc = mdb_env_create(&env)) != 0) {
        return fail("mdb_env_create", rc);
    }
    mdb_env_set_maxdbs(env, 32);
    if ((rc = mdb_env_open(env, argv[1], MDB_NOSUBDIR, 0600)) != 0 || (rc = mdb_txn_begin(env, NULL, 0, &txn)) != 0) {
        mdb_env_close(env);
        return fail(argv[1], rc);
    }
    rc = mdb_dbi_open(txn, "meta", 0, &meta);
    if (rc == 0) {
        rc = mdb_put(txn, meta, &key, &value, 0);
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
    return rc == 0 ? 0 : fail("meta", rc);
}
