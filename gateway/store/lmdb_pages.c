/* The structure of the file, before LMDB follows it. LMDB trusts every page: a bit that flipped on the disk would lead it out of its map. So each
 * page that can be reached is looked at first, once: that it is the page it should be, that its nodes lie within it side by side, that keys ascend,
 * that no page is used twice or also free. What the values hold is another matter, for their own checks.
 *
 *      page     number 8 | pad 2 | flags 2 | lower 2, upper 2 (or, of overflow, pages 4) | offsets of nodes, 2 each ... nodes
 *      node     size or child, low 2, high 2 | flags 2, or child 2 | key length 2 | key | data, or number of its overflow page 8
 *      meta     magic 4 | version 4 | address 8 | size of the map 8 | free list, tables: struct table | last page 8 | transaction 8
 *
 * All of it is in the byte order of the machine (lmdb 0.9, data version 1). */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/store/lmdb_engine.h"

#define MAGIC          0xBEEFC0DEu
#define DATA_VERSION   1u
#define PAGE_HEAD      16u
#define PAGE_BYTES_MAX 65536u
#define NODE_HEAD      8u
#define KEY_MAX        511u
#define DEPTH_MAX      32u
#define FREE_FLAGS     8u /* of the free list: its keys are integers */
#define NO_PAGE        UINT64_MAX

enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 };
enum { NODE_BIG = 1, NODE_TABLE = 2 };

struct table {    /* as it is in the file */
    uint32_t pad; /* of the free list: size of a page */
    uint16_t flags;
    uint16_t depth;
    uint64_t branch_pages;
    uint64_t leaf_pages;
    uint64_t overflow_pages;
    uint64_t entries;
    uint64_t root;
};

struct meta {
    uint32_t magic;
    uint32_t version;
    uint64_t address;
    uint64_t map_size;
    struct table tables[2];
    uint64_t last_page;
    uint64_t transaction;
};

struct check {
    const uint8_t *map;
    uint64_t map_bytes;
    uint32_t page_bytes;
    uint64_t last_page;
    uint64_t transaction;
    uint64_t *seen; /* bits: pages that are in use, or free */
    char *why;
    size_t why_size;
    uint8_t starts[PAGE_BYTES_MAX / 2 / 8]; /* bits: where nodes of a page begin */
};

struct key {
    const uint8_t *bytes;
    size_t len; /* 0: no bound */
};

struct tree { /* a table that is being walked */
    const char *name;
    struct table table;
    struct table found; /* counted */
    bool is_free_list;
    bool is_main;
};

static bool bad(char *why, size_t why_size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool bad(char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, why_size, format, arguments);
    va_end(arguments);
    return false;
}

static uint16_t u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* --- the head ------------------------------------------------------------------------------------------------------------------ */

static bool meta_is_sound(const uint8_t *page, unsigned number, struct meta *out)
{
    struct meta meta;
    memcpy(&meta, page + PAGE_HEAD, sizeof(meta));
    uint32_t size = meta.tables[0].pad;
    if (u64(page) != number || u16(page + 10) != META || meta.magic != MAGIC || meta.version != DATA_VERSION ||
        size < 512 || size > PAGE_BYTES_MAX || (size & (size - 1)) != 0 || meta.tables[0].flags != FREE_FLAGS ||
        meta.tables[1].flags != 0 || meta.address != 0 || meta.last_page < 1 ||
        (meta.transaction != 0 && meta.transaction % 2 != number)) {
        return false;
    }
    *out = meta;
    return true;
}

bool lmdb_head_is_sound(int fd, char *why, size_t why_size)
{
    uint8_t page[PAGE_HEAD + sizeof(struct meta)];
    struct meta metas[2];
    if (pread(fd, page, sizeof(page), 0) != (ssize_t)sizeof(page) || !meta_is_sound(page, 0, &metas[0]) ||
        pread(fd, page, sizeof(page), metas[0].tables[0].pad) != (ssize_t)sizeof(page) ||
        !meta_is_sound(page, 1, &metas[1]) || metas[0].tables[0].pad != metas[1].tables[0].pad) {
        return bad(why, why_size, "its first two pages are not those of a store");
    }
    uint64_t a = metas[0].transaction;
    uint64_t b = metas[1].transaction;
    if ((a > b ? a - b : b - a) > 1) {
        return bad(why, why_size, "its first two pages do not fit together");
    }
    return true;
}

/* --- pages --------------------------------------------------------------------------------------------------------------------- */

/* COUNT pages from NUMBER on are in the file, and nobody else's. */
static bool claim(struct check *check, const char *name, uint64_t number, uint64_t count)
{
    if (number < 2 || count == 0 || number > check->last_page || count > check->last_page - number + 1) {
        return bad(check->why, check->why_size, "table %s refers to page %" PRIu64 ", which is not there", name,
                   number);
    }
    for (uint64_t i = number; i < number + count; i++) {
        if ((check->seen[i / 64] >> (i % 64) & 1) != 0) {
            return bad(check->why, check->why_size, "page %" PRIu64 " is used twice (table %s)", i, name);
        }
        check->seen[i / 64] |= 1ULL << (i % 64);
    }
    return true;
}

static const uint8_t *page_at(const struct check *check, uint64_t number, uint64_t count)
{
    uint64_t pages = check->map_bytes / check->page_bytes;
    return number < pages && count <= pages - number ? check->map + number * check->page_bytes : NULL;
}

static int compare(const struct tree *tree, struct key a, struct key b)
{
    if (tree->is_free_list) {
        uint64_t x = u64(a.bytes);
        uint64_t y = u64(b.bytes);
        return x < y ? -1 : x > y;
    }
    size_t len = a.len < b.len ? a.len : b.len;
    int diff = memcmp(a.bytes, b.bytes, len);
    return diff != 0 ? diff : a.len < b.len ? -1 : a.len > b.len;
}

/* What a value needs of overflow pages: they are there, and enough. */
static bool check_overflow(struct check *check, struct tree *tree, const uint8_t *data, uint64_t len)
{
    uint64_t number = u64(data);
    const uint8_t *page = number >= 2 ? page_at(check, number, 1) : NULL;
    uint32_t pages = 0;
    if (page != NULL) {
        memcpy(&pages, page + 12, sizeof(pages));
    }
    if (page == NULL || u64(page) != number || u16(page + 10) != OVERFLOW ||
        pages < (len + PAGE_HEAD - 1) / check->page_bytes + 1 || page_at(check, number, pages) == NULL) {
        return bad(check->why, check->why_size, "page %" PRIu64 " is not the large value that table %s has there",
                   number, tree->name);
    }
    tree->found.overflow_pages += pages;
    return claim(check, tree->name, number, pages);
}

/* Pages that are free: none of them may be in use, or LMDB would write over it. */
static bool check_free(struct check *check, const uint8_t *data, uint64_t len)
{
    uint64_t count = len >= 8 ? u64(data) : 0;
    if (len < 8 || count > len / 8 - 1) {
        return bad(check->why, check->why_size, "the list of free pages is damaged");
    }
    for (uint64_t i = 1; i <= count; i++) {
        if (!claim(check, "of free pages", u64(data + 8 * i), 1)) {
            return false;
        }
        if (i > 1 && u64(data + 8 * i) >= u64(data + 8 * (i - 1))) {
            return bad(check->why, check->why_size, "the list of free pages is not sorted");
        }
    }
    return true;
}

static bool bad_page(struct check *check, const struct tree *tree, const uint8_t *page, const char *what)
{
    return bad(check->why, check->why_size, "page %" PRIu64 " (table %s): %s",
               (uint64_t)(page - check->map) / check->page_bytes, tree->name, what);
}

struct node {
    struct key key;
    const uint8_t *data;
    uint64_t value; /* length, or child */
    uint16_t flags;
    size_t size; /* in the page */
};

/* Node AT of PAGE. @return false if it does not lie within it */
static bool read_node(const struct check *check, const uint8_t *page, unsigned at, bool is_leaf, struct node *out)
{
    size_t offset = u16(page + PAGE_HEAD + 2 * (size_t)at);
    if (offset % 2 != 0 || offset < u16(page + 14) || offset + NODE_HEAD > check->page_bytes) {
        return false;
    }
    const uint8_t *node = page + offset;
    uint16_t flags = u16(node + 4);
    out->value = u16(node) | (uint64_t)u16(node + 2) << 16 | (is_leaf ? 0 : (uint64_t)flags << 32);
    out->flags = is_leaf ? flags : 0;
    out->key = (struct key){node + NODE_HEAD, u16(node + 6)};
    out->data = node + NODE_HEAD + out->key.len;
    size_t data_len = !is_leaf ? 0 : (out->flags & NODE_BIG) != 0 ? 8 : out->value;
    if (out->key.len > KEY_MAX || data_len > check->page_bytes) {
        return false;
    }
    out->size = (NODE_HEAD + out->key.len + data_len + 1) & ~(size_t)1;
    return offset + out->size <= check->page_bytes;
}

/* Nodes lie side by side, from `upper` to the end of the page. */
static bool nodes_tile(struct check *check, const uint8_t *page, unsigned count, bool is_leaf)
{
    struct node node;
    size_t offset = u16(page + 14);
    memset(check->starts, 0, check->page_bytes / 2 / 8);
    for (unsigned i = 0; i < count; i++) {
        size_t start = u16(page + PAGE_HEAD + 2 * (size_t)i) / 2u;
        if (!read_node(check, page, i, is_leaf, &node) || (check->starts[start / 8] >> (start % 8) & 1) != 0) {
            return false;
        }
        check->starts[start / 8] |= (uint8_t)(1u << (start % 8));
    }
    for (unsigned i = 0; i < count; i++) {
        if (offset >= check->page_bytes || (check->starts[offset / 16] >> (offset / 2 % 8) & 1) == 0) {
            return false;
        }
        const uint8_t *at = page + offset;
        size_t len = u16(at) | (size_t)u16(at + 2) << 16;
        size_t data_len = !is_leaf ? 0 : (u16(at + 4) & NODE_BIG) != 0 ? 8 : len;
        offset += (NODE_HEAD + u16(at + 6) + data_len + 1) & ~(size_t)1;
    }
    return offset == check->page_bytes;
}

static bool check_page(struct check *check, struct tree *tree, uint64_t number, unsigned level, struct key low,
                       struct key high);

static bool check_table(struct check *check, const char *name, const struct table *table, bool is_free_list,
                        bool is_main);

static bool check_leaf_node(struct check *check, struct tree *tree, const uint8_t *page, const struct node *node)
{
    tree->found.entries++;
    if (node->key.len == 0 || (tree->is_free_list && node->key.len != 8)) {
        return bad_page(check, tree, page, "length of a key");
    }
    if ((node->flags & ~(NODE_BIG | NODE_TABLE)) != 0 || (node->flags == NODE_TABLE) != tree->is_main) {
        return bad_page(check, tree, page, "kind of an entry");
    }
    if (node->flags == NODE_BIG && !check_overflow(check, tree, node->data, node->value)) {
        return false;
    }
    if (tree->is_free_list) {
        const uint8_t *data = node->flags == NODE_BIG ? page_at(check, u64(node->data), 1) + PAGE_HEAD : node->data;
        return u64(node->key.bytes) <= check->transaction ? check_free(check, data, node->value)
                                                          : bad_page(check, tree, page, "a transaction to come");
    }
    return true;
}

/* The tables that are named in the main one. */
static bool check_named(struct check *check, const struct node *node)
{
    char name[32];
    struct table table;
    if (node->value != sizeof(table) || node->key.len >= sizeof(name)) {
        return bad(check->why, check->why_size, "the list of tables is damaged");
    }
    memcpy(name, node->key.bytes, node->key.len);
    name[node->key.len] = '\0';
    memcpy(&table, node->data, sizeof(table));
    return check_table(check, name, &table, false, false);
}

static bool check_nodes(struct check *check, struct tree *tree, const uint8_t *page, unsigned count, unsigned level,
                        struct key low, struct key high)
{
    bool is_leaf = level == tree->table.depth;
    struct key last = low;
    for (unsigned i = 0; i < count; i++) {
        struct node node;
        if (!read_node(check, page, i, is_leaf, &node)) {
            return bad_page(check, tree, page, "an entry leaves it");
        }
        struct key key = node.key;
        bool has_key = is_leaf || i > 0; /* of the first in a branch nobody looks at it */
        if (has_key) {
            if (key.len == 0 || (tree->is_free_list && key.len != 8)) {
                return bad_page(check, tree, page, "length of a key");
            }
            int order = last.len > 0 ? compare(tree, last, key) : -1;
            if (order > 0 || (order == 0 && i > (is_leaf ? 0u : 1u)) ||
                (high.len > 0 && compare(tree, key, high) >= 0)) {
                return bad_page(check, tree, page, "keys are not in order");
            }
            last = key;
        }
        if (!is_leaf) {
            struct node next;
            struct key end = high;
            if (i + 1 < count) {
                if (!read_node(check, page, i + 1, false, &next) || next.key.len == 0 ||
                    (tree->is_free_list && next.key.len != 8)) {
                    return bad_page(check, tree, page, "an entry leaves it");
                }
                end = next.key;
            }
            if (!check_page(check, tree, node.value, level + 1, has_key ? key : low, end)) {
                return false;
            }
        } else if (!check_leaf_node(check, tree, page, &node) || (tree->is_main && !check_named(check, &node))) {
            return false;
        }
    }
    return true;
}

static bool check_page(struct check *check, struct tree *tree, uint64_t number, unsigned level, struct key low,
                       struct key high)
{
    bool is_leaf = level == tree->table.depth;
    if (!claim(check, tree->name, number, 1)) {
        return false;
    }
    const uint8_t *page = page_at(check, number, 1);
    if (page == NULL) {
        return bad(check->why, check->why_size, "the file is too short: page %" PRIu64 " (table %s) is missing", number,
                   tree->name);
    }
    unsigned lower = u16(page + 12);
    unsigned upper = u16(page + 14);
    if (u64(page) != number || u16(page + 10) != (is_leaf ? LEAF : BRANCH)) {
        return bad_page(check, tree, page, "it is another page");
    }
    if (lower < PAGE_HEAD || lower % 2 != 0 || lower > upper || upper > check->page_bytes) {
        return bad_page(check, tree, page, "its bounds");
    }
    unsigned count = (lower - PAGE_HEAD) / 2;
    if (count < (is_leaf || tree->is_free_list ? 1u : 2u) || !nodes_tile(check, page, count, is_leaf)) {
        return bad_page(check, tree, page, "its entries do not fill it");
    }
    if (is_leaf) {
        tree->found.leaf_pages++;
    } else {
        tree->found.branch_pages++;
    }
    return check_nodes(check, tree, page, count, level, low, high);
}

static bool check_table(struct check *check, const char *name, const struct table *table, bool is_free_list,
                        bool is_main)
{
    struct tree tree = {.name = name, .table = *table, .is_free_list = is_free_list, .is_main = is_main};
    if (table->flags != (is_free_list ? FREE_FLAGS : 0) || table->depth > DEPTH_MAX ||
        (table->root == NO_PAGE) != (table->depth == 0)) {
        return bad(check->why, check->why_size, "table %s: its head", name);
    }
    if (table->root != NO_PAGE &&
        !check_page(check, &tree, table->root, 1, (struct key){NULL, 0}, (struct key){NULL, 0})) {
        return false;
    }
    if (tree.found.entries != table->entries || tree.found.leaf_pages != table->leaf_pages ||
        tree.found.branch_pages != table->branch_pages || tree.found.overflow_pages != table->overflow_pages) {
        return bad(check->why, check->why_size, "table %s: its numbers are not what is there", name);
    }
    return true;
}

/* --- all of it ----------------------------------------------------------------------------------------------------------------- */

static bool find_meta(const uint8_t *map, uint64_t transaction, struct meta *out)
{
    struct meta metas[2];
    if (!meta_is_sound(map, 0, &metas[0]) || !meta_is_sound(map + metas[0].tables[0].pad, 1, &metas[1])) {
        return false;
    }
    /* As LMDB chooses. */
    *out = metas[metas[0].transaction < metas[1].transaction ? 1 : 0];
    if (out->transaction != transaction) {
        *out = metas[metas[0].transaction < metas[1].transaction ? 0 : 1];
    }
    return out->transaction == transaction;
}

static enum tg_err check_map(struct check *check, MDB_txn *txn)
{
    struct meta meta;
    if (!find_meta(check->map, mdb_txn_id(txn), &meta)) {
        bad(check->why, check->why_size, "it changes too quickly to be looked at");
        return TG_ERR_AGAIN;
    }
    check->page_bytes = meta.tables[0].pad;
    check->last_page = meta.last_page;
    check->transaction = meta.transaction;
    if (meta.last_page > check->map_bytes / check->page_bytes * 2 + 1024) {
        bad(check->why, check->why_size, "the file is too short");
        return TG_ERR_CORRUPT;
    }
    check->seen = calloc(meta.last_page / 64 + 1, sizeof(*check->seen));
    if (check->seen == NULL) {
        bad(check->why, check->why_size, "out of memory");
        return TG_ERR_NO_MEMORY;
    }
    bool is_sound = check_table(check, "of tables", &meta.tables[1], false, true) &&
                    check_table(check, "of free pages", &meta.tables[0], true, false);
    free(check->seen);
    return is_sound ? TG_OK : TG_ERR_CORRUPT;
}

enum tg_err lmdb_pages_check(MDB_env *env, MDB_txn *txn, char *why, size_t why_size)
{
    mdb_filehandle_t fd;
    struct stat st;
    if (mdb_env_get_fd(env, &fd) != 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)(2 * PAGE_HEAD)) {
        bad(why, why_size, "%s", strerror(errno));
        return TG_ERR_IO;
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        bad(why, why_size, "%s", strerror(errno));
        return errno == ENOMEM ? TG_ERR_NO_MEMORY : TG_ERR_IO;
    }
    struct check *check = malloc(sizeof(*check));
    enum tg_err err = TG_ERR_NO_MEMORY;
    if (check != NULL) {
        check->map = map;
        check->map_bytes = (uint64_t)st.st_size;
        check->why = why;
        check->why_size = why_size;
        err = check_map(check, txn);
    } else {
        bad(why, why_size, "out of memory");
    }
    free(check);
    munmap(map, (size_t)st.st_size);
    return err;
}
