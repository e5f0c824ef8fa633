#include "gateway/access/password_file.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/access/password_hash.h"
#include "gateway/base/hash.h"

#define NAME_BYTES_MAX 65535u

struct password_user {
    struct bytes name; /* in the file's text */
    struct password_hash hash;
};

struct password_file {
    _Atomic size_t references;
    uint64_t seed;
    uint8_t *text; /* owned */
    struct password_user *users;
    size_t users_len;
    size_t users_cap;
    uint32_t *slots; /* 1 + number of a user, by the hash of its name; 0: free */
    size_t slots_mask;
};

/* @return the slot of NAME, or the free one where it belongs */
static size_t find_slot(const struct password_file *file, struct bytes name)
{
    size_t at = (size_t)tg_hash(name.data, name.len, file->seed) & file->slots_mask;
    while (file->slots[at] != 0 && !bytes_equal(file->users[file->slots[at] - 1].name, name)) {
        at = (at + 1) & file->slots_mask;
    }
    return at;
}

static const struct password_user *find_user(const struct password_file *file, struct bytes name)
{
    uint32_t number = file->slots[find_slot(file, name)];
    return number != 0 ? &file->users[number - 1] : NULL;
}

static bool add_user(struct password_file *file, struct bytes name, struct bytes hash, unsigned line,
                     struct rule_fault *fault)
{
    if (file->users_len == file->users_cap) {
        size_t cap = file->users_cap == 0 ? 16 : 2 * file->users_cap;
        struct password_user *larger = realloc(file->users, cap * sizeof(*larger));
        if (larger == NULL) {
            return rule_fault_set(fault, 0, "out of memory");
        }
        file->users = larger;
        file->users_cap = cap;
    }
    struct password_user *user = &file->users[file->users_len];
    user->name = name;
    const char *wrong = password_hash_parse(hash, &user->hash);
    if (wrong != NULL) {
        return rule_fault_set(fault, line, "%s", wrong);
    }
    size_t slot = find_slot(file, name);
    if (file->slots[slot] != 0) {
        return rule_fault_set(fault, line, "there has been this user name before");
    }
    file->slots[slot] = (uint32_t)++file->users_len;
    return true;
}

static bool parse_line(struct password_file *file, struct bytes line, unsigned number, struct rule_fault *fault)
{
    const uint8_t *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;
    if (line.len > 0 && memchr(line.data, '\0', line.len) != NULL) {
        return rule_fault_set(fault, number, "there is a byte 0");
    }
    if (colon == NULL) {
        return true;
    }
    struct bytes name = rule_text_trim((struct bytes){line.data, (size_t)(colon - line.data)});
    struct bytes hash = {colon + 1, line.len - (size_t)(colon - line.data) - 1};
    const uint8_t *end = hash.len > 0 ? memchr(hash.data, ':', hash.len) : NULL;
    hash.len = end != NULL ? (size_t)(end - hash.data) : hash.len;
    if (name.len == 0) {
        return rule_fault_set(fault, number, "the user name is empty");
    }
    if (name.len > NAME_BYTES_MAX) {
        return rule_fault_set(fault, number, "the user name is longer than %u bytes", NAME_BYTES_MAX);
    }
    return add_user(file, name, rule_text_trim(hash), number, fault);
}

/* No file has more users than colons. */
static size_t slots_for(struct bytes text)
{
    size_t colons = 0, slots = 16;
    for (size_t i = 0; i < text.len; i++) {
        colons += text.data[i] == ':';
    }
    while (slots < 2 * colons) {
        slots *= 2;
    }
    return slots;
}

struct password_file *password_file_parse(struct bytes text, struct rule_fault *fault)
{
    struct password_file *file = calloc(1, sizeof(*file));
    size_t slots = slots_for(text);
    if (file != NULL) {
        atomic_init(&file->references, 1);
        file->seed = tg_hash_seed_new();
        file->text = malloc(text.len + 1);
        file->slots = calloc(slots, sizeof(*file->slots));
        file->slots_mask = slots - 1;
    }
    if (file == NULL || file->text == NULL || file->slots == NULL) {
        rule_fault_set(fault, 0, "out of memory");
        password_file_unref(file);
        return NULL;
    }
    if (text.len > 0) {
        memcpy(file->text, text.data, text.len);
    }
    struct rule_lines lines = {.rest = {file->text, text.len}};
    struct bytes line;
    while (rule_lines_next(&lines, &line)) {
        if (!parse_line(file, line, lines.line, fault)) {
            password_file_unref(file);
            return NULL;
        }
    }
    return file;
}

struct password_file *password_file_ref(struct password_file *file)
{
    atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    return file;
}

void password_file_unref(struct password_file *file)
{
    if (file == NULL || atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    free(file->users);
    free(file->slots);
    free(file->text);
    free(file);
}

size_t password_file_users(const struct password_file *file)
{
    return file->users_len;
}

bool password_file_has(const struct password_file *file, struct bytes name)
{
    return find_user(file, name) != NULL;
}

bool password_file_check(const struct password_file *file, struct bytes name, struct bytes password)
{
    if (file->users_len == 0) {
        return false;
    }
    const struct password_user *user = find_user(file, name);
    bool is_known = user != NULL;
    if (!is_known) {
        user = &file->users[tg_hash(name.data, name.len, ~file->seed) % file->users_len];
    }
    return password_hash_check(&user->hash, password) && is_known;
}
