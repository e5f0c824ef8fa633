#include "gateway/access/password_hash.h"

#include <string.h>

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "gateway/base/base64.h"

#define SALT_OLD_BYTES    12u
#define SALT_NEW_BYTES    64u
#define SHA512_BYTES      64u
#define ARGON2_SALT_MIN   8u
#define ARGON2_HASH_MIN   16u
#define ENCODED_BYTES_MAX 88u /* base64 of 64 bytes */

/* Take what stands in REST up to SEPARATOR, or all of it if there is none. @return false: REST was used up */
static bool take_field(struct bytes *rest, char separator, struct bytes *field)
{
    if (rest->data == NULL) {
        return false;
    }
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    if (end == NULL) {
        *field = *rest;
        *rest = (struct bytes){NULL, 0};
        return true;
    }
    *field = (struct bytes){rest->data, (size_t)(end - rest->data)};
    *rest = (struct bytes){end + 1, rest->len - field->len - 1};
    return true;
}

/* A decimal number from 1 to MAX, no sign, no blanks. */
static bool read_number(struct bytes text, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 10) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (value < 1 || value > max) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

/* Decode TEXT; IS_PADDED: '=' at its end as the standard wants, else none. @return bytes in OUT, at most 64; 0: it is not that */
static uint8_t read_base64(struct bytes text, bool is_padded, uint8_t out[64])
{
    uint8_t padded[ENCODED_BYTES_MAX + 4];
    uint8_t decoded[ENCODED_BYTES_MAX + 4];
    if (text.len == 0 || text.len > ENCODED_BYTES_MAX || (!is_padded && text.data[text.len - 1] == '=')) {
        return 0;
    }
    memcpy(padded, text.data, text.len);
    size_t len = text.len;
    while (!is_padded && len % 4 != 0) {
        padded[len++] = '=';
    }
    size_t decoded_len = base64_decode((struct bytes){padded, len}, decoded);
    if (decoded_len == SIZE_MAX || decoded_len > 64) {
        return 0;
    }
    memcpy(out, decoded, decoded_len);
    return (uint8_t)decoded_len;
}

static const char *parse_salt_and_hash(struct bytes rest, struct password_hash *out)
{
    struct bytes salt, hash;
    if (!take_field(&rest, '$', &salt) || !take_field(&rest, '$', &hash) || rest.data != NULL) {
        return "the password hash has not the parts that its kind has";
    }
    out->salt_len = read_base64(salt, true, out->salt);
    if (out->salt_len != SALT_OLD_BYTES && out->salt_len != SALT_NEW_BYTES) {
        return "the salt of the password hash is not base64 of 12 or 64 bytes";
    }
    out->hash_len = read_base64(hash, true, out->hash);
    return out->hash_len == SHA512_BYTES ? NULL : "the password hash is not base64 of 64 bytes";
}

static const char *parse_pbkdf2(struct bytes rest, struct password_hash *out)
{
    struct bytes iterations;
    if (!take_field(&rest, '$', &iterations) || !read_number(iterations, PASSWORD_ITERATIONS_MAX, &out->iterations)) {
        return "the number of iterations of the password hash is not one from 1 to 100000000";
    }
    return parse_salt_and_hash(rest, out);
}

/* "m=65536" */
static bool read_parameter(struct bytes *rest, char name, uint32_t max, uint32_t *out)
{
    struct bytes field;
    if (!take_field(rest, ',', &field) || field.len < 2 || field.data[0] != name || field.data[1] != '=') {
        return false;
    }
    return read_number((struct bytes){field.data + 2, field.len - 2}, max, out);
}

static const char *parse_argon2id(struct bytes rest, struct password_hash *out)
{
    struct bytes version, parameters, salt, hash;
    if (!take_field(&rest, '$', &version) || !take_field(&rest, '$', &parameters) || !take_field(&rest, '$', &salt) ||
        !take_field(&rest, '$', &hash) || rest.data != NULL) {
        return "the password hash has not the parts that its kind has";
    }
    if (!bytes_equal(version, bytes_from_string("v=19"))) {
        return "the version of the Argon2 password hash is not 19";
    }
    if (!read_parameter(&parameters, 'm', PASSWORD_ARGON2_KIB_MAX, &out->memory_kib) ||
        !read_parameter(&parameters, 't', PASSWORD_ARGON2_T_MAX, &out->iterations) ||
        !read_parameter(&parameters, 'p', PASSWORD_ARGON2_P_MAX, &out->parallelism) || parameters.data != NULL ||
        out->memory_kib < 8 * out->parallelism) {
        return "the parameters of the Argon2 password hash are not valid, or too large";
    }
    out->salt_len = read_base64(salt, false, out->salt);
    out->hash_len = read_base64(hash, false, out->hash);
    if (out->salt_len < ARGON2_SALT_MIN || out->hash_len < ARGON2_HASH_MIN) {
        return "salt or hash of the Argon2 password hash is not base64 of 8 or 16 to 64 bytes";
    }
    return NULL;
}

static bool has_prefix(struct bytes text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

const char *password_hash_parse(struct bytes text, struct password_hash *out)
{
    static const struct {
        const char *prefix;
        enum password_kind kind;
        const char *(*parse)(struct bytes rest, struct password_hash *out);
    } kinds[] = {
        {"$6$", PASSWORD_SHA512, parse_salt_and_hash},
        {"$7$", PASSWORD_PBKDF2, parse_pbkdf2},
        {"$argon2id$", PASSWORD_ARGON2ID, parse_argon2id},
    };
    if (text.len == 0) {
        return "there is no password hash";
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i].prefix);
        if (has_prefix(text, kinds[i].prefix)) {
            *out = (struct password_hash){.kind = kinds[i].kind};
            return kinds[i].parse((struct bytes){text.data + len, text.len - len}, out);
        }
    }
    return text.data[0] == '$' ? "the password hash is of a kind that is not known here"
                               : "this is not a password hash; passwords are not to be written in clear";
}

static bool make_sha512(const struct password_hash *hash, struct bytes password, uint8_t *out)
{
    unsigned len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, password.data, password.len) == 1 &&
              EVP_DigestUpdate(ctx, hash->salt, hash->salt_len) == 1 && EVP_DigestFinal_ex(ctx, out, &len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok && len == SHA512_BYTES;
}

static bool make(const struct password_hash *hash, struct bytes password, uint8_t *out)
{
    switch (hash->kind) {
    case PASSWORD_SHA512:
        return make_sha512(hash, password, out);
    case PASSWORD_PBKDF2:
        return PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.len, hash->salt, hash->salt_len,
                                 (int)hash->iterations, EVP_sha512(), hash->hash_len, out) == 1;
    case PASSWORD_ARGON2ID:
        return argon2id_hash_raw(hash->iterations, hash->memory_kib, hash->parallelism, password.data, password.len,
                                 hash->salt, hash->salt_len, out, hash->hash_len) == ARGON2_OK;
    }
    return false;
}

bool password_hash_check(const struct password_hash *hash, struct bytes password)
{
    static const uint8_t nothing;
    uint8_t made[64];
    struct bytes counted = {password.len > 0 ? password.data : &nothing, password.len};
    bool is_same = make(hash, counted, made) && CRYPTO_memcmp(made, hash->hash, hash->hash_len) == 0;
    OPENSSL_cleanse(made, sizeof(made));
    return is_same;
}
