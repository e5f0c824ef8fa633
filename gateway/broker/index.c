/*
 * The trie over the level table, the filters that hang off its nodes, and the generations.
 *
 * '#' needs no node of its own: it can only be the last level, so its filter is the "rest" of the node above. A node
 * goes when nothing hangs off it; a reader that still stands on it can still go on and climb back, because its parent can only
 * have been taken out after it and is freed after it.
 */
#include "gateway/broker/index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/hash.h"
#include "gateway/broker/level_table.h"
#include "protocol/topic.h"

struct index {
    struct tg_rcu_head rcu; /* of the batch; first: a callback gets it */
    struct index_generations generations;
    struct level_table table;
    struct level_node *root;
    uint64_t seed;
    unsigned places;
    pthread_mutex_t mutex;
    index_interest_fn on_interest;
    void *on_interest_arg;
    _Atomic size_t filter_count; /* written under the mutex */
    size_t bytes;                /* of nodes and filters; mutex */

    struct index_retired *waiting; /* for the next batch; mutex */
    bool is_freeing;               /* a batch waits for its grace period or is being freed; mutex */
    struct index_retired *batch;   /* owner: the callback, while there is one */
};

static const struct bytes plus_level = {(const uint8_t *)"+", 1};

/* Never less than the struct with its padding: compilers load what lies behind "len" together with it. */
static size_t node_size(uint16_t len)
{
    size_t size = offsetof(struct level_node, level) + len;
    return size > sizeof(struct level_node) ? size : sizeof(struct level_node);
}

static struct level_node *node_new(struct index *index, struct level_node *parent, struct bytes level)
{
    struct level_node *node = malloc(node_size((uint16_t)level.len));
    if (node == NULL) {
        return NULL;
    }
    node->hash = 0;
    node->parent = parent;
    atomic_init(&node->plus, NULL);
    atomic_init(&node->exact, NULL);
    atomic_init(&node->rest, NULL);
    atomic_init(&node->children, 0);
    node->len = (uint16_t)level.len;
    if (level.len > 0) {
        memcpy(node->level, level.data, level.len);
    }
    index->bytes += node_size(node->len);
    return node;
}

static bool is_plus(const struct level_node *node)
{
    return node->len == 1 && node->level[0] == '+';
}

static bool begins_with_wildcard(struct bytes text)
{
    return text.data[0] == '+' || text.data[0] == '#';
}

static size_t filter_size(const struct filter *filter)
{
    return (size_t)filter->text_offset + filter->text_len;
}

static struct filter *filter_new(struct index *index, struct level_node *node, struct bytes text)
{
    size_t receivers_size = index->places * sizeof(struct filter_receivers);
    struct filter *filter = malloc(sizeof(*filter) + receivers_size + text.len);
    if (filter == NULL) {
        return NULL;
    }
    atomic_init(&filter->interest, 0);
    atomic_init(&filter->durable, 0);
    atomic_init(&filter->groups, NULL);
    filter->node = node;
    filter->refs = 0;
    filter->stripe = begins_with_wildcard(text) ? INDEX_WILD : index_stripe(index, text);
    atomic_init(&filter->full, 0);
    filter->text_len = (uint16_t)text.len;
    filter->text_offset = (uint16_t)(sizeof(*filter) + receivers_size);
    memset(filter->local, 0, receivers_size);
    memcpy((char *)filter + filter->text_offset, text.data, text.len);
    index->bytes += filter_size(filter);
    return filter;
}

struct index *index_new(unsigned places, uint64_t seed, index_interest_fn on_interest, void *arg)
{
    TG_ASSERT(places >= 1 && places <= INDEX_PLACES_MAX);
    struct index *index = calloc(1, sizeof(*index));
    if (index == NULL) {
        return NULL;
    }
    index->seed = seed;
    index->places = places;
    index->on_interest = on_interest;
    index->on_interest_arg = arg;
    index->root = node_new(index, NULL, (struct bytes){NULL, 0});
    if (index->root == NULL || !level_table_init(&index->table, seed)) {
        free(index->root);
        free(index);
        return NULL;
    }
    pthread_mutex_init(&index->mutex, NULL);
    return index;
}

void index_lock(struct index *index)
{
    pthread_mutex_lock(&index->mutex);
}

void index_unlock(struct index *index)
{
    pthread_mutex_unlock(&index->mutex);
}

/*
 * Nodes and filters are freed in batches: what is taken out while one batch waits for its grace period makes up the
 * next. So an object needs one pointer for it, and a grace period one callback, however many subscriptions end at once.
 */
_Static_assert(offsetof(struct level_node, retired) == 0 && offsetof(struct filter, retired) == 0, "freed by it");

static void batch_free(struct tg_rcu_head *rcu);

/* Under the mutex, when no batch is on its way. */
static void batch_start(struct index *index)
{
    index->is_freeing = index->waiting != NULL;
    if (index->is_freeing) {
        index->batch = index->waiting;
        index->waiting = NULL;
        tg_rcu_call(&index->rcu, batch_free);
    }
}

static void batch_free(struct tg_rcu_head *rcu)
{
    struct index *index = (struct index *)rcu; /* its first member */
    struct index_retired *retired = index->batch;
    while (retired != NULL) {
        struct index_retired *next = retired->next;
        free(retired);
        retired = next;
    }
    index_lock(index);
    batch_start(index);
    index_unlock(index);
}

/* Free the object that begins with RETIRED, which no new reader finds, a grace period from now. Under the mutex. */
static void retire(struct index *index, struct index_retired *retired)
{
    retired->next = index->waiting;
    index->waiting = retired;
    if (!index->is_freeing) {
        batch_start(index);
    }
}

static bool is_freeing(struct index *index)
{
    index_lock(index);
    bool answer = index->is_freeing;
    index_unlock(index);
    return answer;
}

/* Free the literal NODE and the chain of '+' below it; the literal nodes below those are in the table too. */
static void free_with_plus(void *arg, struct level_node *node)
{
    (void)arg;
    while (node != NULL) {
        struct level_node *next = atomic_load_explicit(&node->plus, memory_order_relaxed);
        free(atomic_load_explicit(&node->exact, memory_order_relaxed));
        free(atomic_load_explicit(&node->rest, memory_order_relaxed));
        free(node);
        node = next;
    }
}

void index_free(struct index *index)
{
    if (index == NULL) {
        return;
    }
    while (is_freeing(index)) {
        tg_rcu_barrier();
    }
    level_table_for_each(&index->table, free_with_plus, NULL);
    level_table_fini(&index->table);
    free_with_plus(NULL, index->root);
    pthread_mutex_destroy(&index->mutex);
    free(index);
}

/* ---- writers: all under the mutex ---- */

/* The child LEVEL of NODE, made if there is none; NULL without memory. */
static struct level_node *child_get(struct index *index, struct level_node *node, struct bytes level)
{
    bool plus = bytes_equal(level, plus_level);
    uint64_t hash = level_table_hash(&index->table, node, level);
    struct level_node *child =
        plus ? tg_rcu_dereference(node->plus) : level_table_find(&index->table, node, level, hash);
    if (child != NULL) {
        return child;
    }
    child = node_new(index, node, level);
    if (child == NULL) {
        return NULL;
    }
    if (plus) {
        tg_rcu_assign(node->plus, child);
        return child;
    }
    child->hash = hash;
    if (level_table_add(&index->table, child) != TG_OK) {
        index->bytes -= node_size(child->len);
        free(child);
        return NULL;
    }
    atomic_fetch_add_explicit(&node->children, 1, memory_order_release);
    return child;
}

static bool has_something(const struct level_node *node)
{
    return tg_rcu_dereference(node->plus) != NULL || tg_rcu_dereference(node->exact) != NULL ||
           tg_rcu_dereference(node->rest) != NULL || tg_rcu_dereference(node->children) != 0;
}

/* Take NODE out if nothing hangs off it any more, then its parent, and so on. */
static void prune(struct index *index, struct level_node *node)
{
    while (node != index->root && !has_something(node)) {
        struct level_node *parent = node->parent;
        if (is_plus(node)) {
            tg_rcu_assign(parent->plus, NULL);
        } else {
            level_table_remove(&index->table, node);
            atomic_fetch_sub_explicit(&parent->children, 1, memory_order_release);
        }
        index->bytes -= node_size(node->len);
        retire(index, &node->retired);
        node = parent;
    }
}

static void count_filters(struct index *index, size_t by)
{
    atomic_fetch_add_explicit(&index->filter_count, by, memory_order_relaxed);
}

static enum tg_err acquire_locked(struct index *index, struct bytes text, struct filter **out)
{
    struct level_node *node = index->root;
    bool ends_in_rest = false;
    struct bytes rest = text;
    struct bytes level;
    while (topic_next_level(&rest, &level)) {
        if (level.len == 1 && level.data[0] == '#') {
            ends_in_rest = true;
            break;
        }
        struct level_node *child = child_get(index, node, level);
        if (child == NULL) {
            prune(index, node);
            return TG_ERR_NO_MEMORY;
        }
        node = child;
    }
    _Atomic(struct filter *) *at = ends_in_rest ? &node->rest : &node->exact;
    struct filter *filter = tg_rcu_dereference(*at);
    if (filter == NULL) {
        filter = filter_new(index, node, text);
        if (filter == NULL) {
            prune(index, node);
            return TG_ERR_NO_MEMORY;
        }
        tg_rcu_assign(*at, filter);
        count_filters(index, 1);
    }
    filter->refs++;
    *out = filter;
    return TG_OK;
}

enum tg_err index_acquire(struct index *index, struct bytes text, struct filter **out)
{
    index_lock(index);
    enum tg_err err = acquire_locked(index, text, out);
    index_unlock(index);
    return err;
}

void index_release(struct index *index, struct filter *filter)
{
    index_lock(index);
    TG_ASSERT(filter->refs > 0);
    if (--filter->refs == 0) {
        TG_ASSERT(atomic_load(&filter->interest) == 0 && atomic_load(&filter->groups) == NULL);
        struct level_node *node = filter->node;
        _Atomic(struct filter *) *at = tg_rcu_dereference(node->exact) == filter ? &node->exact : &node->rest;
        tg_rcu_assign(*at, NULL);
        count_filters(index, (size_t)-1);
        index->bytes -= filter_size(filter);
        retire(index, &filter->retired);
        prune(index, node);
    }
    index_unlock(index);
}

void index_changed(struct index *index, struct filter *filter)
{
    _Atomic uint32_t *generation =
        filter->stripe == INDEX_WILD ? &index->generations.wild : &index->generations.stripes[filter->stripe];
    atomic_fetch_add_explicit(generation, 1, memory_order_release);
}

/* Set or clear BIT. @return what was there before */
static uint64_t set_bit(_Atomic uint64_t *bits, uint64_t bit, bool on)
{
    return on ? atomic_fetch_or_explicit(bits, bit, memory_order_release)
              : atomic_fetch_and_explicit(bits, ~bit, memory_order_release);
}

void index_set_interest(struct index *index, struct filter *filter, unsigned place, bool any, bool durable)
{
    TG_ASSERT(place < index->places);
    uint64_t bit = UINT64_C(1) << place;
    index_lock(index);
    uint64_t had_any = set_bit(&filter->interest, bit, any);
    uint64_t had_durable = set_bit(&filter->durable, bit, durable);
    if (((had_any & bit) != 0) != any || ((had_durable & bit) != 0) != durable) {
        index_changed(index, filter);
    }
    bool had_some = had_any != 0;
    bool has_some = any || (had_any & ~bit) != 0;
    if (had_some != has_some && index->on_interest != NULL) {
        index->on_interest(index->on_interest_arg, filter_text(filter), has_some);
    }
    index_unlock(index);
}

size_t index_bytes(struct index *index)
{
    index_lock(index);
    size_t bytes = sizeof(*index) + index->bytes + level_table_bytes(&index->table);
    index_unlock(index);
    return bytes;
}

/* ---- readers ---- */

size_t index_filter_count(const struct index *index)
{
    return atomic_load_explicit(&index->filter_count, memory_order_relaxed);
}

const struct index_generations *index_generations(const struct index *index)
{
    return &index->generations;
}

uint64_t index_seed(const struct index *index)
{
    return index->seed;
}

uint32_t index_stripe(const struct index *index, struct bytes topic)
{
    const uint8_t *slash = memchr(topic.data, '/', topic.len);
    size_t len = slash != NULL ? (size_t)(slash - topic.data) : topic.len;
    return (uint32_t)(tg_hash(topic.data, len, index->seed) % INDEX_STRIPES);
}

struct matches {
    struct filter **out;
    size_t max;
    size_t count;  /* in out */
    size_t beyond; /* found when out was full */
};

/* True if somebody would get something by FILTER. */
static bool has_interest(struct filter *filter)
{
    return atomic_load_explicit(&filter->interest, memory_order_relaxed) != 0 ||
           atomic_load_explicit(&filter->groups, memory_order_relaxed) != NULL;
}

/* Interest is looked at in the end, when the filters have come nearer. */
static void take(struct matches *matches, struct filter *filter)
{
    if (filter == NULL) {
        return;
    }
    if (matches->count < matches->max) {
        __builtin_prefetch(filter);
        matches->out[matches->count++] = filter;
    } else if (has_interest(filter)) {
        matches->beyond++;
    }
}

static size_t keep_wanted(struct matches *matches)
{
    if (matches->beyond > 0) {
        return matches->count + matches->beyond;
    }
    size_t kept = 0;
    for (size_t i = 0; i < matches->count; i++) {
        struct filter *filter = matches->out[i];
        if (has_interest(filter)) {
            matches->out[kept++] = filter;
        }
    }
    return kept;
}

/*
 * Where a walk stands: on NODE, DEPTH levels below the root, having used up the topic before AT. A walk takes the literal
 * child first and leaves a mark for the '+' beside it; at a dead end it climbs to the deepest mark. So it needs no stack, however
 * many levels a topic has. Marks of depth 63 and more share the last bit, which says: look at every '+' on the way up.
 */
struct walk {
    struct bytes topic;
    const struct level_node *node;
    size_t at; /* where the next level begins; topic.len + 1: no level is left */
    uint32_t depth;
    uint64_t marks;
};

#define MARKS 64u

static uint64_t mark_of(uint32_t depth)
{
    return UINT64_C(1) << (depth < MARKS - 1 ? depth : MARKS - 1);
}

static struct bytes next_level(const struct walk *walk)
{
    const uint8_t *start = walk->topic.data + walk->at;
    size_t left = walk->topic.len - walk->at;
    const uint8_t *slash = memchr(start, '/', left);
    return (struct bytes){start, slash != NULL ? (size_t)(slash - start) : left};
}

static void step_down(struct walk *walk, const struct level_node *child, size_t level_len)
{
    walk->node = child;
    walk->at += level_len + 1;
    walk->depth++;
}

static void step_up(struct walk *walk)
{
    walk->node = walk->node->parent;
    walk->depth--;
    size_t at = walk->at - 1; /* the end of the level that is given back */
    while (at > 0 && walk->topic.data[at - 1] != '/') {
        at--;
    }
    walk->at = at;
    if (walk->depth < MARKS - 1) {
        walk->marks &= ~mark_of(MARKS - 1);
    }
}

/* Go to a child that matches the next level. @return false at a dead end */
static bool go_on(const struct index *index, struct walk *walk)
{
    if (walk->at > walk->topic.len) {
        return false;
    }
    const struct level_node *node = walk->node;
    struct bytes level = next_level(walk);
    const struct level_node *plus = tg_rcu_dereference(node->plus);
    if (walk->depth == 0 && walk->topic.data[0] == '$') {
        plus = NULL; /* [MQTT-4.7.2-1] */
    }
    const struct level_node *child = NULL;
    if (tg_rcu_dereference(node->children) != 0) {
        child = level_table_find(&index->table, node, level, level_table_hash(&index->table, node, level));
    }
    if (child != NULL && plus != NULL) {
        walk->marks |= mark_of(walk->depth);
    }
    child = child != NULL ? child : plus;
    if (child == NULL) {
        return false;
    }
    step_down(walk, child, level.len);
    return true;
}

/* Climb to the deepest mark and take the '+' there. @return false if there is none: the walk is over */
static bool go_back(struct walk *walk)
{
    while (walk->marks != 0) {
        bool was_literal = !is_plus(walk->node);
        size_t level_end = walk->at - 1;
        step_up(walk);
        uint64_t mark = mark_of(walk->depth);
        if (!was_literal || (walk->marks & mark) == 0) {
            continue;
        }
        if (walk->depth < MARKS - 1) {
            walk->marks &= ~mark;
        }
        const struct level_node *plus = tg_rcu_dereference(walk->node->plus);
        if (plus != NULL) {
            step_down(walk, plus, level_end - walk->at);
            return true;
        }
    }
    return false;
}

size_t index_match(struct index *index, struct bytes topic, struct filter **out, size_t max)
{
    struct matches matches = {.out = out, .max = max};
    struct walk walk = {.topic = topic, .node = index->root};
    if (topic.data[0] != '$') {
        take(&matches, tg_rcu_dereference(index->root->rest));
    }
    while (go_on(index, &walk) || go_back(&walk)) {
        take(&matches, tg_rcu_dereference(walk.node->rest));
        if (walk.at > topic.len) {
            take(&matches, tg_rcu_dereference(walk.node->exact));
        }
    }
    return keep_wanted(&matches);
}
