#include "gateway/access/acl_file.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/hash.h"
#include "protocol/topic.h"
#include "protocol/utf8.h"

#define TOPIC_BYTES_MAX 65535u
#define FRESH_LEVEL     0xFFu /* stands for a level that no rule names: it is in no text that is valid UTF-8 */
#define NAME_SHOWN      40

enum {
    READ = 1,
    WRITE = 2,
    DENY = 4,
};

enum { LIST_ANONYMOUS, LIST_PATTERNS, LIST_USERS }; /* numbers of lists; users' from the last on */

struct node {
    struct bytes level; /* what leads here, if it is neither wildcard nor placeholder */
    uint32_t parent;
    uint32_t plus;   /* child for '+'; 0: none, as below */
    uint32_t client; /* child for %c */
    uint32_t user;   /* child for %u */
    uint8_t here;    /* READ, WRITE, DENY of filters that end here */
    uint8_t below;   /* of filters that end in '#' here */
};

struct rule {
    struct bytes filter;
    uint32_t next; /* of its list; UINT32_MAX: none */
    uint8_t access;
};

struct list {
    struct bytes user; /* whose it is, if its number is LIST_USERS or more */
    uint32_t root;     /* of its trie */
    uint32_t first;    /* rule; UINT32_MAX: none */
    uint32_t last;
};

/* An array that grows. */
struct array {
    void *items;
    uint32_t len;
    uint32_t cap;
};

struct acl {
    uint8_t *text; /* owned; names and filters point into it */
    uint64_t seed;
    struct array nodes; /* struct node; 0 is no node */
    struct array rules; /* struct rule */
    struct array lists; /* struct list */
    uint32_t *edges;    /* numbers of nodes by the hash of parent and level; 0: free */
    size_t edges_mask;
    uint32_t *users; /* numbers of lists by the hash of their user; 0: free */
    size_t users_mask;
    unsigned levels_max; /* of all filters */
    unsigned plain_pattern_line;
    bool has_user_patterns;
};

static struct node *node_at(const struct acl *acl, uint32_t number)
{
    return (struct node *)acl->nodes.items + number;
}

static struct rule *rule_at(const struct acl *acl, uint32_t number)
{
    return (struct rule *)acl->rules.items + number;
}

static struct list *list_at(const struct acl *acl, uint32_t number)
{
    return (struct list *)acl->lists.items + number;
}

/* --- tables ---------------------------------------------------------------------------------------------------------------- */

/* Append a zeroed item of SIZE. @return its number; UINT32_MAX without memory */
static uint32_t append(struct array *array, size_t size)
{
    if (array->len == array->cap) {
        uint32_t cap = array->cap == 0 ? 16 : 2 * array->cap;
        void *larger = array->cap < UINT32_MAX / 4 ? realloc(array->items, cap * size) : NULL;
        if (larger == NULL) {
            return UINT32_MAX;
        }
        array->items = larger;
        array->cap = cap;
    }
    memset((uint8_t *)array->items + array->len * size, 0, size);
    return array->len++;
}

/* @return the slot of LEVEL below PARENT, or the free one where it belongs */
static size_t find_edge(const struct acl *acl, uint32_t parent, struct bytes level)
{
    size_t at = (size_t)tg_hash(level.data, level.len, acl->seed + parent) & acl->edges_mask;
    for (; acl->edges[at] != 0; at = (at + 1) & acl->edges_mask) {
        const struct node *node = node_at(acl, acl->edges[at]);
        if (node->parent == parent && bytes_equal(node->level, level)) {
            break;
        }
    }
    return at;
}

static size_t find_user(const struct acl *acl, struct bytes name)
{
    size_t at = (size_t)tg_hash(name.data, name.len, acl->seed) & acl->users_mask;
    while (acl->users[at] != 0 && !bytes_equal(list_at(acl, acl->users[at])->user, name)) {
        at = (at + 1) & acl->users_mask;
    }
    return at;
}

/* Keep the table *SLOTS of what USED entries need at most half full; on growth it is empty. @return false without memory */
static bool grow_table(uint32_t **slots, size_t *mask, size_t used, bool *has_grown)
{
    *has_grown = false;
    if (*slots != NULL && 2 * used <= *mask) {
        return true;
    }
    size_t count = *slots == NULL ? 16 : 2 * (*mask + 1);
    uint32_t *larger = calloc(count, sizeof(*larger));
    if (larger == NULL) {
        return false;
    }
    free(*slots);
    *slots = larger;
    *mask = count - 1;
    *has_grown = true;
    return true;
}

static bool make_room_for_edge(struct acl *acl)
{
    bool has_grown;
    if (!grow_table(&acl->edges, &acl->edges_mask, acl->nodes.len + 1u, &has_grown)) {
        return false;
    }
    for (uint32_t i = 1; has_grown && i < acl->nodes.len; i++) {
        if (node_at(acl, i)->level.data != NULL) {
            acl->edges[find_edge(acl, node_at(acl, i)->parent, node_at(acl, i)->level)] = i;
        }
    }
    return true;
}

static bool make_room_for_user(struct acl *acl)
{
    bool has_grown;
    if (!grow_table(&acl->users, &acl->users_mask, acl->lists.len + 1u, &has_grown)) {
        return false;
    }
    for (uint32_t i = LIST_USERS; has_grown && i < acl->lists.len; i++) {
        acl->users[find_user(acl, list_at(acl, i)->user)] = i;
    }
    return true;
}

/* @return false without memory */
static bool add_list(struct acl *acl, struct bytes user)
{
    uint32_t root = append(&acl->nodes, sizeof(struct node));
    uint32_t number = root != UINT32_MAX ? append(&acl->lists, sizeof(struct list)) : UINT32_MAX;
    if (number == UINT32_MAX) {
        return false;
    }
    *list_at(acl, number) = (struct list){.user = user, .root = root, .first = UINT32_MAX};
    return true;
}

/* @return the number of USER's list, which is made if need be; UINT32_MAX without memory */
static uint32_t list_of_user(struct acl *acl, struct bytes user)
{
    if (!make_room_for_user(acl)) {
        return UINT32_MAX;
    }
    size_t slot = find_user(acl, user);
    if (acl->users[slot] == 0) {
        if (!add_list(acl, user)) {
            return UINT32_MAX;
        }
        acl->users[slot] = acl->lists.len - 1;
    }
    return acl->users[slot];
}

/* --- building -------------------------------------------------------------------------------------------------------------- */

static bool is_word(struct bytes text, const char *word)
{
    return bytes_equal(text, bytes_from_string(word));
}

/* The member of node AT that is its child for a level that stands for others; NULL: LEVEL is a plain one. */
static uint32_t *special_child(const struct acl *acl, uint32_t at, struct bytes level, bool is_pattern)
{
    if (is_word(level, "+")) {
        return &node_at(acl, at)->plus;
    }
    if (is_pattern && is_word(level, "%c")) {
        return &node_at(acl, at)->client;
    }
    return is_pattern && is_word(level, "%u") ? &node_at(acl, at)->user : NULL;
}

/* @return the child of node AT for LEVEL, which is made if need be; UINT32_MAX without memory */
static uint32_t child_of(struct acl *acl, uint32_t at, struct bytes level, bool is_pattern)
{
    if (!make_room_for_edge(acl)) {
        return UINT32_MAX;
    }
    uint32_t *special = special_child(acl, at, level, is_pattern);
    size_t slot = special == NULL ? find_edge(acl, at, level) : 0;
    uint32_t number = special != NULL ? *special : acl->edges[slot];
    if (number != 0) {
        return number;
    }
    number = append(&acl->nodes, sizeof(struct node));
    if (number == UINT32_MAX) {
        return UINT32_MAX;
    }
    special = special_child(acl, at, level, is_pattern); /* nodes may have moved */
    node_at(acl, number)->parent = at;
    if (special != NULL) {
        *special = number;
    } else {
        node_at(acl, number)->level = level;
        acl->edges[slot] = number;
    }
    return number;
}

/* @return false without memory */
static bool add_to_trie(struct acl *acl, uint32_t root, struct bytes filter, uint8_t access, bool is_pattern)
{
    struct bytes level;
    uint32_t at = root;
    while (topic_next_level(&filter, &level)) {
        if (is_word(level, "#")) {
            node_at(acl, at)->below |= access;
            return true;
        }
        at = child_of(acl, at, level, is_pattern);
        if (at == UINT32_MAX) {
            return false;
        }
    }
    node_at(acl, at)->here |= access;
    return true;
}

static bool add_rule(struct acl *acl, uint32_t number, struct bytes filter, uint8_t access)
{
    uint32_t added = append(&acl->rules, sizeof(struct rule));
    if (added == UINT32_MAX) {
        return false;
    }
    *rule_at(acl, added) = (struct rule){.filter = filter, .next = UINT32_MAX, .access = access};
    struct list *list = list_at(acl, number);
    if (list->first == UINT32_MAX) {
        list->first = added;
    } else {
        rule_at(acl, list->last)->next = added;
    }
    list->last = added;
    return add_to_trie(acl, list->root, filter, access, number == LIST_PATTERNS);
}

/* --- reading --------------------------------------------------------------------------------------------------------------- */

struct reader {
    struct acl *acl;
    struct rule_fault *fault;
    unsigned line;
    uint32_t list; /* where "topic" lines go */
};

static struct bytes skip_spaces(struct bytes text)
{
    while (text.len > 0 && text.data[0] == ' ') {
        text.data++;
        text.len--;
    }
    return text;
}

/* Take the next word, which ends at a space. Empty: there is none. */
static struct bytes take_word(struct bytes *rest)
{
    struct bytes text = skip_spaces(*rest);
    const uint8_t *end = text.len > 0 ? memchr(text.data, ' ', text.len) : NULL;
    size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
    *rest = (struct bytes){text.data + len, text.len - len};
    return (struct bytes){text.data, len};
}

static bool read_access(struct bytes word, uint8_t *access)
{
    static const struct {
        const char *word;
        uint8_t access;
    } words[] = {{"read", READ}, {"write", WRITE}, {"readwrite", READ | WRITE}, {"deny", DENY}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (is_word(word, words[i].word)) {
            *access = words[i].access;
            return true;
        }
    }
    return false;
}

/* @return false with a fault */
static bool check_filter(struct reader *r, struct bytes filter)
{
    struct bytes rest = filter, level;
    unsigned levels = 0;
    if (filter.len > TOPIC_BYTES_MAX || !utf8_is_valid_string(filter)) {
        return rule_fault_set(r->fault, r->line, "the topic filter is too long, or not UTF-8");
    }
    while (topic_next_level(&rest, &level)) {
        bool has_wildcard = level.len > 0 && (memchr(level.data, '+', level.len) || memchr(level.data, '#', level.len));
        levels++;
        if (has_wildcard && (level.len > 1 || (level.data[0] == '#' && rest.data != NULL))) {
            return rule_fault_set(r->fault, r->line,
                                  "the topic filter is not valid: '+' and '#' stand for whole levels, "
                                  "'#' only at the end");
        }
    }
    if (levels > ACL_LEVELS_MAX) {
        return rule_fault_set(r->fault, r->line, "the topic filter has more than %u levels", ACL_LEVELS_MAX);
    }
    r->acl->levels_max = levels > r->acl->levels_max ? levels : r->acl->levels_max;
    return true;
}

static void note_pattern(struct reader *r, struct bytes filter)
{
    struct bytes level;
    bool has_placeholder = false;
    while (topic_next_level(&filter, &level)) {
        r->acl->has_user_patterns |= is_word(level, "%u");
        has_placeholder |= is_word(level, "%u") || is_word(level, "%c");
    }
    if (!has_placeholder && r->acl->plain_pattern_line == 0) {
        r->acl->plain_pattern_line = r->line;
    }
}

/* REST is what follows "topic" or "pattern". */
static bool read_rule(struct reader *r, struct bytes rest, uint32_t list)
{
    uint8_t access = READ | WRITE;
    struct bytes word = take_word(&rest);
    struct bytes filter = rule_text_trim(rest);
    if (word.len == 0) {
        return rule_fault_set(r->fault, r->line, "there is no topic");
    }
    if (filter.len == 0) {
        filter = word; /* the only word is the topic, even if it is "read" */
        if (memchr(word.data, '\t', word.len) != NULL) {
            return rule_fault_set(r->fault, r->line, "words must be separated by spaces, not by a tab");
        }
    } else if (!read_access(word, &access)) {
        return rule_fault_set(r->fault, r->line, "\"%.*s\" is not read, write, readwrite or deny",
                              word.len < NAME_SHOWN ? (int)word.len : NAME_SHOWN, (const char *)word.data);
    }
    if (!check_filter(r, filter)) {
        return false;
    }
    if (list == LIST_PATTERNS) {
        note_pattern(r, filter);
    }
    return add_rule(r->acl, list, filter, access) || rule_fault_set(r->fault, 0, "out of memory");
}

static bool read_user(struct reader *r, struct bytes rest)
{
    struct bytes name = rule_text_trim(rest);
    if (name.len == 0) {
        return rule_fault_set(r->fault, r->line, "there is no user name");
    }
    r->list = list_of_user(r->acl, name);
    return r->list != UINT32_MAX || rule_fault_set(r->fault, 0, "out of memory");
}

static bool read_line(struct reader *r, struct bytes line)
{
    if (rule_text_trim(line).len == 0) {
        return true;
    }
    if (memchr(line.data, '\0', line.len) != NULL) {
        return rule_fault_set(r->fault, r->line, "there is a byte 0");
    }
    struct bytes word = take_word(&line);
    if (is_word(word, "topic")) {
        return read_rule(r, line, r->list);
    }
    if (is_word(word, "pattern")) {
        return read_rule(r, line, LIST_PATTERNS);
    }
    if (is_word(word, "user")) {
        return read_user(r, line);
    }
    return rule_fault_set(r->fault, r->line, "the line begins with none of topic, pattern, user and a space");
}

static struct acl *acl_new(struct bytes text)
{
    const struct bytes nobody = {NULL, 0};
    struct acl *acl = calloc(1, sizeof(*acl));
    if (acl == NULL) {
        return NULL;
    }
    acl->seed = tg_hash_seed_new();
    acl->text = malloc(text.len + 1);
    if (acl->text == NULL || append(&acl->nodes, sizeof(struct node)) == UINT32_MAX || !make_room_for_edge(acl) ||
        !make_room_for_user(acl) || !add_list(acl, nobody) || !add_list(acl, nobody)) {
        acl_free(acl);
        return NULL;
    }
    if (text.len > 0) {
        memcpy(acl->text, text.data, text.len);
    }
    return acl;
}

struct acl *acl_parse(struct bytes text, struct rule_fault *fault)
{
    struct acl *acl = acl_new(text);
    if (acl == NULL) {
        rule_fault_set(fault, 0, "out of memory");
        return NULL;
    }
    struct reader r = {.acl = acl, .fault = fault, .list = LIST_ANONYMOUS};
    struct rule_lines lines = {.rest = {acl->text, text.len}};
    struct bytes line;
    while (rule_lines_next(&lines, &line)) {
        r.line = lines.line;
        if (!read_line(&r, line)) {
            acl_free(acl);
            return NULL;
        }
    }
    return acl;
}

void acl_free(struct acl *acl)
{
    if (acl == NULL) {
        return;
    }
    free(acl->nodes.items);
    free(acl->rules.items);
    free(acl->lists.items);
    free(acl->edges);
    free(acl->users);
    free(acl->text);
    free(acl);
}

bool acl_has_users(const struct acl *acl)
{
    return acl->lists.len > LIST_USERS || acl->has_user_patterns;
}

unsigned acl_plain_pattern_line(const struct acl *acl)
{
    return acl->plain_pattern_line;
}

/* --- one topic ------------------------------------------------------------------------------------------------------------- */

/* If *REST, which begins a level, begins with the whole levels TEXT (not empty): step over them. */
static bool take_levels(struct bytes *rest, struct bytes text)
{
    if (text.len == 0 || rest->len < text.len || memcmp(rest->data, text.data, text.len) != 0) {
        return false;
    }
    if (rest->len == text.len) {
        *rest = (struct bytes){NULL, 0};
        return true;
    }
    if (rest->data[text.len] != '/') {
        return false;
    }
    *rest = (struct bytes){rest->data + text.len + 1, rest->len - text.len - 1};
    return true;
}

/* All that the filters below node AT say of REST, what is left of a topic; IS_FIRST: that is all of it. */
static unsigned walk(const struct acl *acl, const struct acl_client *client, uint32_t at, struct bytes rest,
                     bool is_first)
{
    const struct node *node = node_at(acl, at);
    bool is_reserved = is_first && rest.len > 0 && rest.data[0] == '$';
    unsigned found = is_reserved ? 0 : node->below;
    if (rest.data == NULL) {
        return found | node->here;
    }
    struct bytes behind = rest, level;
    if (!is_reserved && node->client != 0 && take_levels(&behind, client->client_id)) {
        found |= walk(acl, client, node->client, behind, false);
    }
    behind = rest;
    if (!is_reserved && node->user != 0 && take_levels(&behind, client->user_name)) {
        found |= walk(acl, client, node->user, behind, false);
    }
    topic_next_level(&rest, &level);
    if (!is_reserved && node->plus != 0) {
        found |= walk(acl, client, node->plus, rest, false);
    }
    uint32_t child = acl->edges[find_edge(acl, at, level)];
    return child != 0 ? found | walk(acl, client, child, rest, false) : found;
}

/* @return the list of CLIENT; NULL: its user has none */
static const struct list *own_list(const struct acl *acl, const struct acl_client *client)
{
    if (client->user_name.len == 0) {
        return list_at(acl, LIST_ANONYMOUS);
    }
    uint32_t number = acl->users[find_user(acl, client->user_name)];
    return number != 0 ? list_at(acl, number) : NULL;
}

static bool has_wildcard(struct bytes text)
{
    return text.len > 0 && (memchr(text.data, '+', text.len) != NULL || memchr(text.data, '#', text.len) != NULL);
}

static bool may_use_patterns(const struct acl *acl, const struct acl_client *client)
{
    return list_at(acl, LIST_PATTERNS)->first != UINT32_MAX && !has_wildcard(client->user_name) &&
           !has_wildcard(client->client_id);
}

static bool may(const struct acl *acl, const struct acl_client *client, struct bytes topic, unsigned access)
{
    const struct list *own = own_list(acl, client);
    unsigned found = own != NULL ? walk(acl, client, own->root, topic, true) : 0;
    if ((found & (DENY | access)) == 0 && may_use_patterns(acl, client)) {
        found = walk(acl, client, list_at(acl, LIST_PATTERNS)->root, topic, true);
    }
    return (found & DENY) == 0 && (found & access) != 0;
}

bool acl_may_write(const struct acl *acl, const struct acl_client *client, struct bytes topic)
{
    return may(acl, client, topic, WRITE);
}

bool acl_may_read(const struct acl *acl, const struct acl_client *client, struct bytes topic)
{
    return may(acl, client, topic, READ);
}

/* --- a filter -------------------------------------------------------------------------------------------------------------- */

/* The levels of a filter, placeholders filled in. */
struct levels {
    struct bytes rest;
    struct bytes inserted;           /* levels of what a placeholder stands for */
    const struct acl_client *client; /* NULL: there are no placeholders */
};

static bool next_level(struct levels *levels, struct bytes *level)
{
    if (levels->inserted.data != NULL) {
        return topic_next_level(&levels->inserted, level);
    }
    if (!topic_next_level(&levels->rest, level)) {
        return false;
    }
    if (levels->client != NULL && (is_word(*level, "%c") || is_word(*level, "%u"))) {
        levels->inserted = level->data[1] == 'c' ? levels->client->client_id : levels->client->user_name;
        return topic_next_level(&levels->inserted, level);
    }
    return true;
}

/* True if all placeholders of RULE stand for something. */
static bool is_filled(const struct rule *rule, const struct acl_client *client)
{
    struct bytes rest = rule->filter, level;
    while (topic_next_level(&rest, &level)) {
        if ((is_word(level, "%c") && client->client_id.len == 0) ||
            (is_word(level, "%u") && client->user_name.len == 0)) {
            return false;
        }
    }
    return true;
}

/* What two filters both match: one filter again. */
struct common {
    uint8_t *text; /* TOPIC_BYTES_MAX; levels that are '+' in both are FRESH_LEVEL. NULL: not wanted */
    size_t len;
    unsigned levels;
    bool is_open; /* any number of further levels may follow */
};

/* @return false if no topic is so long */
static bool put_level(struct common *common, struct bytes level)
{
    static const uint8_t fresh = FRESH_LEVEL;
    if (is_word(level, "+")) {
        level = (struct bytes){&fresh, 1};
    }
    if (common->len + level.len + 1 > TOPIC_BYTES_MAX) {
        return false;
    }
    if (common->text != NULL) {
        if (common->levels > 0) {
            common->text[common->len] = '/';
        }
        if (level.len > 0) {
            memcpy(common->text + common->len + (common->levels > 0), level.data, level.len);
        }
    }
    common->len += level.len + (common->levels > 0);
    common->levels++;
    return true;
}

/* LEVEL and what is left of LEVELS goes into COMMON, up to '#'. */
static bool put_rest(struct common *common, struct levels *levels, struct bytes level)
{
    do {
        if (is_word(level, "#")) {
            common->is_open = true;
            return true;
        }
        if (!put_level(common, level)) {
            return false;
        }
    } while (next_level(levels, &level));
    return true;
}

/* One step along both. @return 1: go on; 0: that was all; -1: they have nothing in common */
static int put_common_level(struct common *common, struct levels *a, struct levels *b)
{
    struct bytes from_a, from_b;
    bool has_a = next_level(a, &from_a);
    bool has_b = next_level(b, &from_b);
    if (!has_a || !has_b) {
        return (has_a && !is_word(from_a, "#")) || (has_b && !is_word(from_b, "#")) ? -1 : 0;
    }
    if (is_word(from_a, "#")) {
        return put_rest(common, b, from_b) ? 0 : -1;
    }
    if (is_word(from_b, "#")) {
        return put_rest(common, a, from_a) ? 0 : -1;
    }
    if (is_word(from_a, "+")) {
        return put_level(common, from_b) ? 1 : -1;
    }
    if (!is_word(from_b, "+") && !bytes_equal(from_a, from_b)) {
        return -1;
    }
    return put_level(common, from_a) ? 1 : -1;
}

/* True if FILTER speaks of topics that begin with '$'. */
static bool is_reserved(struct bytes filter)
{
    return filter.len > 0 && filter.data[0] == '$';
}

/* @return false if RULE and FILTER have no topic in common */
static bool intersect(const struct rule *rule, const struct acl_client *client, struct bytes filter,
                      struct common *common)
{
    struct levels a = {.rest = rule->filter, .client = client}, b = {.rest = filter};
    int step = 1;
    common->len = common->levels = 0;
    common->is_open = false;
    if (is_reserved(rule->filter) != is_reserved(filter) || (client != NULL && !is_filled(rule, client))) {
        return false;
    }
    if (client != NULL && !is_reserved(filter)) { /* what a placeholder stands for does not make a rule one for '$' */
        struct levels first = a;
        struct bytes level;
        if (next_level(&first, &level) && is_reserved(level)) {
            return false;
        }
    }
    while (step > 0) {
        step = put_common_level(common, &a, &b);
    }
    return step == 0;
}

/* True if RULE matches all that FILTER matches. */
static bool covers(const struct rule *rule, const struct acl_client *client, struct bytes filter)
{
    struct levels a = {.rest = rule->filter, .client = client}, b = {.rest = filter};
    struct bytes of_rule, of_filter;
    if (is_reserved(rule->filter) != is_reserved(filter) || (client != NULL && !is_filled(rule, client))) {
        return false;
    }
    while (next_level(&a, &of_rule)) {
        bool has_level = next_level(&b, &of_filter);
        if (is_word(of_rule, "#")) {
            return true;
        }
        if (!has_level || is_word(of_filter, "#") || (!is_word(of_rule, "+") && !bytes_equal(of_rule, of_filter))) {
            return false;
        }
    }
    return !next_level(&b, &of_filter);
}

/* What the rules of a list say of a filter. */
struct opinion {
    bool denies_some;
    bool grants_all;
    bool grants_some;
};

static struct opinion ask_list(const struct acl *acl, const struct list *list, const struct acl_client *client,
                               struct bytes filter)
{
    struct opinion opinion = {false, false, false};
    struct common common = {.text = NULL};
    for (uint32_t i = list != NULL ? list->first : UINT32_MAX; i != UINT32_MAX; i = rule_at(acl, i)->next) {
        const struct rule *rule = rule_at(acl, i);
        if ((rule->access & (DENY | READ)) == 0 || !intersect(rule, client, filter, &common)) {
            continue;
        }
        if ((rule->access & DENY) != 0) {
            opinion.denies_some = true;
        } else {
            opinion.grants_some = true;
            opinion.grants_all = opinion.grants_all || covers(rule, client, filter);
        }
    }
    return opinion;
}

/* May any topic of COMMON be read? Those with the same number of levels are all matched by a filter that matches the one whose wildcards
 * are levels that nobody names; and above what any filter has, their number makes no difference. */
static bool has_readable_topic(const struct acl *acl, const struct acl_client *asker, struct common *common)
{
    const struct bytes any = bytes_from_string("+");
    for (unsigned more = 0; more <= acl->levels_max + 1; more++) {
        if (common->levels > 0 && acl_may_read(acl, asker, (struct bytes){common->text, common->len})) {
            return true;
        }
        if (!common->is_open || !put_level(common, any)) {
            return false;
        }
    }
    return false;
}

/* Is there a topic that a grant of LIST and FILTER match, and that may be read? */
static bool grants_readable_topic(const struct acl *acl, const struct list *list, bool is_pattern,
                                  const struct acl_client *asker, struct bytes filter, struct common *common)
{
    for (uint32_t i = list != NULL ? list->first : UINT32_MAX; i != UINT32_MAX; i = rule_at(acl, i)->next) {
        const struct rule *rule = rule_at(acl, i);
        if ((rule->access & READ) != 0 && intersect(rule, is_pattern ? asker : NULL, filter, common) &&
            has_readable_topic(acl, asker, common)) {
            return true;
        }
    }
    return false;
}

enum access_class acl_classify(const struct acl *acl, const struct acl_client *client, struct bytes filter)
{
    const struct list *own = own_list(acl, client);
    const struct list *patterns = may_use_patterns(acl, client) ? list_at(acl, LIST_PATTERNS) : NULL;
    struct opinion by_own = ask_list(acl, own, NULL, filter);
    struct opinion by_patterns = ask_list(acl, patterns, client, filter);
    if (!by_own.denies_some && (by_own.grants_all || (by_patterns.grants_all && !by_patterns.denies_some))) {
        return ACCESS_ALL;
    }
    if (!by_own.grants_some && !by_patterns.grants_some) {
        return ACCESS_NONE;
    }
    if (!by_own.denies_some && (by_own.grants_some || !by_patterns.denies_some)) {
        return ACCESS_SOME;
    }
    struct common common = {.text = malloc(TOPIC_BYTES_MAX)};
    bool is_readable = common.text == NULL || grants_readable_topic(acl, own, false, client, filter, &common) ||
                       grants_readable_topic(acl, patterns, true, client, filter, &common);
    free(common.text);
    return is_readable ? ACCESS_SOME : ACCESS_NONE;
}
