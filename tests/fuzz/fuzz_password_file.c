/*
 * Password files: nothing behind the text is read; a fault names a line of the text; a hash that is accepted is within its bounds. Only
 * cheap ones are computed.
 */
#include "gateway/access/password_file.h"
#include "gateway/access/password_hash.h"

#include "tests/fuzz/fuzz.h"

static void look_at_hash(struct bytes text)
{
    struct password_hash hash;
    if (password_hash_parse(text, &hash) != NULL) {
        return;
    }
    REQUIRE(hash.hash_len >= 16 && hash.hash_len <= sizeof(hash.hash));
    REQUIRE(hash.salt_len >= 8 && hash.salt_len <= sizeof(hash.salt));
    REQUIRE(hash.kind == PASSWORD_SHA512 || (hash.iterations >= 1 && hash.iterations <= PASSWORD_ITERATIONS_MAX));
    if (hash.kind == PASSWORD_ARGON2ID) {
        REQUIRE(hash.memory_kib <= PASSWORD_ARGON2_KIB_MAX && hash.parallelism <= PASSWORD_ARGON2_P_MAX);
    } else if (hash.iterations < 100) {
        (void)password_hash_check(&hash, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);
    struct bytes text = {copy, size};
    struct rule_fault fault = {.line = 0};
    look_at_hash(text);
    struct password_file *file = password_file_parse(text, &fault);
    if (file == NULL) {
        size_t lines = 1;
        for (size_t i = 0; i < size; i++) {
            lines += data[i] == '\n';
        }
        REQUIRE(fault.line >= 1 && fault.line <= lines && fault.text[0] != '\0');
    } else {
        REQUIRE(!password_file_has(file, (struct bytes){NULL, 0}));
        REQUIRE(password_file_users(file) <= size);
        password_file_unref(file);
    }
    free(copy);
    return 0;
}
