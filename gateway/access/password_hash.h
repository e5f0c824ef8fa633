/**
 * One password hash as Mosquitto's tools write it, read and checked.
 *
 *      $6$SALT$HASH                            SHA-512 of password and salt, one round
 *      $7$ITERATIONS$SALT$HASH                 PBKDF2 with HMAC-SHA-512
 *      $argon2id$v=19$m=KIB,t=N,p=N$SALT$HASH  Argon2id, a PHC string
 *
 * SALT and HASH are base64, with padding in the first two, without in the third. In the first two SALT is 12 (Mosquitto up to 2.0) or 64
 * bytes, HASH 64 bytes. Passwords are counted bytes: a byte 0 is one like any other.
 */
#ifndef GATEWAY_ACCESS_PASSWORD_HASH_H
#define GATEWAY_ACCESS_PASSWORD_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/bytes.h"

#define PASSWORD_ITERATIONS_MAX 100000000u
#define PASSWORD_ARGON2_KIB_MAX (1024u * 1024u) /* 1 GiB for one check */
#define PASSWORD_ARGON2_T_MAX   1000u
#define PASSWORD_ARGON2_P_MAX   64u

enum password_kind {
    PASSWORD_SHA512,
    PASSWORD_PBKDF2,
    PASSWORD_ARGON2ID,
};

struct password_hash {
    enum password_kind kind;
    uint32_t iterations;  /* PBKDF2 and Argon2id */
    uint32_t memory_kib;  /* Argon2id */
    uint32_t parallelism; /* Argon2id */
    uint8_t salt_len;
    uint8_t hash_len;
    uint8_t salt[64];
    uint8_t hash[64];
};

/** Read TEXT into OUT. @return NULL; or what is wrong, static text. Any thread. */
const char *password_hash_parse(struct bytes text, struct password_hash *out) __attribute__((warn_unused_result));

/**
 * True if PASSWORD is the one that HASH was made of. Takes as long for a wrong one as for the right one; that may be a second: never on a
 * worker's thread. Memory that runs out makes it false.
 */
bool password_hash_check(const struct password_hash *hash, struct bytes password);

#endif
