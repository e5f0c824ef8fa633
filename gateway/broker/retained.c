/*
 * Sixteen red-black trees, each behind its mutex. Few enough that a subscription to one device's own topics, which asks
 * every shard, stays cheap; enough that publishers seldom meet.
 *
 * A value is a node that holds a reference to its message; replacing a value swaps the reference and leaves the tree as it is.
 * What is given up is freed after the mutex is.
 *
 * A walk keeps its place between slices by a reference to the message it visited last: that keeps the topic readable
 * whatever becomes of the value, and can't fail for want of memory.
 */
#include "gateway/broker/retained.h"

#include "gateway/base/assert.h"
#include "gateway/base/hash.h"
#include "gateway/store/store.h"
#include "protocol/topic.h"

#include <bsd/sys/tree.h>

#include <pthread.h>
#include <stdlib.h>

#define SHARDS        16u
#define SLICE_ENTRIES 256u /* looked at per call of a walk or sweep */
#define CACHE_LINE    64u

struct value { /* lock: shard.mutex */
    RB_ENTRY(value) entry;
    struct message *message;     /* shares */
    struct store_record *record; /* shares: what the store has of it; NULL: nothing */
};

RB_HEAD(values, value);

struct shard {
    pthread_mutex_t mutex;
    struct values values;
    struct value *sweep; /* where the next sweep goes on; NULL: at the first */
    size_t expiring;     /* values that can expire */
    bool has_tombstones; /* perhaps; only while the store is read */
} __attribute__((aligned(CACHE_LINE)));

struct retained {
    _Atomic uint64_t version; /* newest given; changed under the mutex of the topic's shard */
    _Atomic size_t messages;
    _Atomic size_t bytes;
    _Atomic size_t messages_max; /* 0: no bound */
    _Atomic size_t bytes_max;
    _Atomic uint32_t sweep_shard;
    uint64_t seed;
    struct shard shards[SHARDS];
};

/* Where BYTE stands in the order of topics: the separator first, so that "a/b" comes before "a!" and "a/" is contiguous
 * behind "a". No topic contains U+0000. */
static unsigned byte_rank(uint8_t byte)
{
    return byte == '/' ? 0 : byte;
}

static int topic_compare(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= len; i += sizeof(uint64_t)) {
        if (memcmp(a.data + i, b.data + i, sizeof(uint64_t)) != 0) {
            break;
        }
    }
    for (; i < len; i++) {
        if (a.data[i] != b.data[i]) {
            return byte_rank(a.data[i]) < byte_rank(b.data[i]) ? -1 : 1;
        }
    }
    return (a.len > b.len) - (a.len < b.len);
}

static int value_compare(const struct value *a, const struct value *b)
{
    return topic_compare(message_topic(a->message), message_topic(b->message));
}

RB_GENERATE_INTERNAL(values, value, entry, value_compare, __attribute__((unused)) static)

/* The first value whose topic is at or after KEY, or after it if AFTER. */
static struct value *shard_seek(struct shard *shard, struct bytes key, bool after)
{
    struct value *best = NULL;
    struct value *value = RB_ROOT(&shard->values);
    while (value != NULL) {
        int order = topic_compare(message_topic(value->message), key);
        if (order < 0 || (order == 0 && after)) {
            value = RB_RIGHT(value, entry);
        } else {
            best = value;
            value = order == 0 ? NULL : RB_LEFT(value, entry);
        }
    }
    return best;
}

static struct value *shard_find(struct shard *shard, struct bytes topic)
{
    struct value *value = RB_ROOT(&shard->values);
    while (value != NULL) {
        /* In a large tree each step waits for memory: let the next node be on its way while the topic is. */
        __builtin_prefetch(RB_LEFT(value, entry));
        __builtin_prefetch(RB_RIGHT(value, entry));
        int order = topic_compare(topic, message_topic(value->message));
        if (order == 0) {
            break;
        }
        value = order < 0 ? RB_LEFT(value, entry) : RB_RIGHT(value, entry);
    }
    return value;
}

static struct shard *shard_of(struct retained *retained, struct bytes topic)
{
    return &retained->shards[tg_hash(topic.data, topic.len, retained->seed) % SHARDS];
}

static bool can_expire(const struct message *message)
{
    return message->expires_ms != MESSAGE_NEVER_EXPIRES;
}

static bool is_expired(const struct message *message, uint64_t now_ms)
{
    return can_expire(message) && message->expires_ms <= now_ms;
}

/* What a value with MESSAGE counts for against bytes_max: what it takes in memory. */
static size_t value_bytes(const struct message *message)
{
    return sizeof(struct value) + message_size(message);
}

struct retained *retained_new(size_t messages_max, size_t bytes_max, uint64_t seed)
{
    struct retained *retained = aligned_alloc(CACHE_LINE, sizeof(*retained));
    if (retained == NULL) {
        return NULL;
    }
    memset(retained, 0, sizeof(*retained));
    retained->seed = seed;
    retained_set_limits(retained, messages_max, bytes_max);
    for (size_t i = 0; i < SHARDS; i++) {
        RB_INIT(&retained->shards[i].values);
        TG_ASSERT(pthread_mutex_init(&retained->shards[i].mutex, NULL) == 0);
    }
    return retained;
}

void retained_free(struct retained *retained)
{
    if (retained == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &retained->shards[i];
        struct value *next = NULL;
        for (struct value *value = RB_MIN(values, &shard->values); value != NULL; value = next) {
            next = RB_NEXT(values, &shard->values, value);
            RB_REMOVE(values, &shard->values, value);
            message_unref(value->message);
            store_record_unref(value->record);
            free(value);
        }
        pthread_mutex_destroy(&shard->mutex);
    }
    free(retained);
}

void retained_set_limits(struct retained *retained, size_t messages_max, size_t bytes_max)
{
    atomic_store_explicit(&retained->messages_max, messages_max, memory_order_relaxed);
    atomic_store_explicit(&retained->bytes_max, bytes_max, memory_order_relaxed);
}

/* Add MORE to *USED unless that exceeds MAX (0: no bound). */
static bool reserve(_Atomic size_t *used, size_t more, size_t max)
{
    size_t now = atomic_load_explicit(used, memory_order_relaxed);
    do {
        if (max != 0 && (now > max || more > max - now)) {
            return false;
        }
    } while (
        !atomic_compare_exchange_weak_explicit(used, &now, now + more, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void give_back(_Atomic size_t *used, size_t less)
{
    atomic_fetch_sub_explicit(used, less, memory_order_relaxed);
}

/* The next version. A release, and retained_stamp() an acquire, in one order of changes: a subscriber whose stamp is below
 * this version published its subscription before, and who got the version sees that subscription. */
static uint64_t version_next(struct retained *retained)
{
    return atomic_fetch_add_explicit(&retained->version, 1, memory_order_acq_rel) + 1;
}

uint64_t retained_stamp(struct retained *retained)
{
    return atomic_fetch_add_explicit(&retained->version, 0, memory_order_acq_rel);
}

/* Take VALUE out of SHARD; the caller frees it. */
static void value_remove(struct retained *retained, struct shard *shard, struct value *value)
{
    if (shard->sweep == value) {
        shard->sweep = RB_NEXT(values, &shard->values, value);
    }
    RB_REMOVE(values, &shard->values, value);
    shard->expiring -= can_expire(value->message);
    give_back(&retained->messages, 1);
    give_back(&retained->bytes, value_bytes(value->message));
}

static void value_free(struct value *value)
{
    if (value != NULL) {
        message_unref(value->message);
        store_record_unref(value->record);
        free(value);
    }
}

/* Free VALUE, and let the store forget it. */
static void value_drop(struct value *value, struct store_port *port)
{
    if (value->record != NULL) {
        store_port_finish(port, value->record, STORE_RETAINED);
        value->record = NULL;
    }
    value_free(value);
}

/* Let VALUE be kept by RECORD (shares, may be NULL) from now on; *OLD: by what it was, if by anything. */
static void take_record(struct value *value, struct store_record *record, struct store_record **old)
{
    if (value->record != NULL) {
        *old = value->record;
    }
    value->record = record != NULL ? store_record_ref(record) : NULL;
}

/* Delete the topic of MESSAGE, whose payload is empty. [MQTT-3.3.1-6] [MQTT-3.3.1-7] */
static void clear_topic(struct retained *retained, struct shard *shard, struct message *message,
                        struct store_record **old)
{
    pthread_mutex_lock(&shard->mutex);
    struct value *value = shard_find(shard, message_topic(message));
    if (value != NULL) {
        value_remove(retained, shard, value);
        take_record(value, NULL, old);
    }
    message->version = version_next(retained);
    pthread_mutex_unlock(&shard->mutex);
    value_free(value);
}

/* Put MESSAGE in the place of the one in VALUE, which goes to *OLD. */
static enum tg_err replace(struct retained *retained, struct shard *shard, struct value *value, struct message *message,
                           bool is_bound, struct message **old)
{
    size_t bytes = value_bytes(message);
    size_t old_bytes = value_bytes(value->message);
    if (bytes > old_bytes) {
        size_t bytes_max = atomic_load_explicit(&retained->bytes_max, memory_order_relaxed);
        if (!reserve(&retained->bytes, bytes - old_bytes, is_bound ? bytes_max : 0)) {
            return TG_ERR_LIMIT;
        }
    } else if (bytes < old_bytes) {
        give_back(&retained->bytes, old_bytes - bytes);
    }
    shard->expiring -= can_expire(value->message);
    *old = value->message;
    value->message = message_ref(message);
    return TG_OK;
}

/* Make a value for MESSAGE, whose topic has none. */
static enum tg_err insert(struct retained *retained, struct shard *shard, struct message *message, bool is_bound,
                          struct value **out)
{
    size_t messages_max = atomic_load_explicit(&retained->messages_max, memory_order_relaxed);
    size_t bytes_max = atomic_load_explicit(&retained->bytes_max, memory_order_relaxed);
    if (!reserve(&retained->messages, 1, is_bound ? messages_max : 0)) {
        return TG_ERR_LIMIT;
    }
    if (!reserve(&retained->bytes, value_bytes(message), is_bound ? bytes_max : 0)) {
        give_back(&retained->messages, 1);
        return TG_ERR_LIMIT;
    }
    struct value *value = malloc(sizeof(*value));
    if (value == NULL) {
        give_back(&retained->messages, 1);
        give_back(&retained->bytes, value_bytes(message));
        return TG_ERR_NO_MEMORY;
    }
    *value = (struct value){.message = message_ref(message)};
    RB_INSERT(values, &shard->values, value);
    *out = value;
    return TG_OK; /* NOLINT(clang-analyzer-unix.Malloc): the tree has it */
}

/* Put MESSAGE, whose topic has *VALUE or none; *BEFORE: what was there. */
static enum tg_err put(struct retained *retained, struct shard *shard, struct value **value, struct message *message,
                       bool is_bound, struct message **before)
{
    enum tg_err err = *value != NULL ? replace(retained, shard, *value, message, is_bound, before)
                                     : insert(retained, shard, message, is_bound, value);
    if (err == TG_OK) {
        shard->expiring += can_expire(message);
    }
    return err;
}

enum tg_err retained_store(struct retained *retained, struct message *message, struct store_record *record,
                           struct store_record **old)
{
    struct shard *shard = shard_of(retained, message_topic(message));
    if (message->payload_len == 0) {
        clear_topic(retained, shard, message, old);
        return TG_OK;
    }
    struct message *before = NULL;
    message->version = 0;
    pthread_mutex_lock(&shard->mutex);
    struct value *value = shard_find(shard, message_topic(message));
    enum tg_err err = put(retained, shard, &value, message, true, &before);
    if (err == TG_OK) {
        take_record(value, record, old);
        message->version = version_next(retained);
    }
    pthread_mutex_unlock(&shard->mutex);
    message_unref(before);
    return err;
}

enum tg_err retained_restore(struct retained *retained, struct message *message, struct store_record *record,
                             struct store_record **loser)
{
    struct shard *shard = shard_of(retained, message_topic(message));
    struct message *before = NULL;
    enum tg_err err = TG_OK;
    pthread_mutex_lock(&shard->mutex);
    struct value *value = shard_find(shard, message_topic(message));
    if (value != NULL && value->message->version > message->version) {
        *loser = store_record_ref(record);
    } else {
        err = put(retained, shard, &value, message, false, &before); /* it was accepted once */
        if (err == TG_OK) {
            take_record(value, record, loser);
            shard->has_tombstones = shard->has_tombstones || message->payload_len == 0;
        }
    }
    pthread_mutex_unlock(&shard->mutex);
    message_unref(before);
    return err;
}

void retained_continue_at(struct retained *retained, uint64_t version)
{
    uint64_t now = atomic_load(&retained->version);
    while (now < version && !atomic_compare_exchange_weak(&retained->version, &now, version)) {
    }
}

void retained_sweep_tombstones(struct retained *retained, struct store_port *port)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &retained->shards[i];
        pthread_mutex_lock(&shard->mutex);
        struct value *next = NULL;
        struct value *first = shard->has_tombstones ? RB_MIN(values, &shard->values) : NULL;
        shard->has_tombstones = false;
        for (struct value *value = first; value != NULL; value = next) {
            next = RB_NEXT(values, &shard->values, value);
            if (value->message->payload_len == 0) {
                value_remove(retained, shard, value);
                value_drop(value, port);
            }
        }
        pthread_mutex_unlock(&shard->mutex);
    }
}

/* The value of TOPIC if it is not above STAMP. */
static struct message *find_up_to(struct retained *retained, struct bytes topic, uint64_t now_ms, uint64_t stamp)
{
    struct shard *shard = shard_of(retained, topic);
    struct message *message = NULL;
    pthread_mutex_lock(&shard->mutex);
    struct value *value = shard_find(shard, topic);
    if (value != NULL && value->message->version <= stamp && !is_expired(value->message, now_ms)) {
        message = message_ref(value->message);
    }
    pthread_mutex_unlock(&shard->mutex);
    return message;
}

struct message *retained_get(struct retained *retained, struct bytes topic, uint64_t now_ms)
{
    return find_up_to(retained, topic, now_ms, UINT64_MAX);
}

size_t retained_count(const struct retained *retained)
{
    return atomic_load_explicit(&retained->messages, memory_order_relaxed);
}

size_t retained_bytes(const struct retained *retained)
{
    return atomic_load_explicit(&retained->bytes, memory_order_relaxed);
}

/* --- walks ------------------------------------------------------------------------------------------------------ */

/* Where in the order of topics a filter's matches lie. */
struct range {
    struct bytes prefix; /* they all begin with it */
    bool has_wildcard;   /* false: PREFIX is the one topic */
    bool is_subtree;     /* they are PREFIX itself and what stands below it: no need to match one by one */
    bool begins_wild;    /* the filter begins with a wildcard: no topic that begins with '$' [MQTT-4.7.2-1] */
    bool is_everything;  /* the filter "#" */
};

static struct range range_of(struct bytes filter)
{
    size_t wild = 0;
    while (wild < filter.len && filter.data[wild] != '+' && filter.data[wild] != '#') {
        wild++;
    }
    struct range range = {.prefix = {filter.data, wild}, .has_wildcard = wild < filter.len};
    if (range.has_wildcard) {
        bool is_hash = filter.data[wild] == '#';
        range.begins_wild = wild == 0;
        range.is_everything = wild == 0 && is_hash;
        range.is_subtree = wild > 0 && is_hash;
        range.prefix.len -= range.is_subtree; /* "a/#" matches "a" [MQTT 5.0, 4.7.1.2] */
    }
    return range;
}

/* True if TOPIC, at or after the beginning of RANGE, still lies in it. */
static bool range_has(const struct range *range, struct bytes topic)
{
    size_t len = range->prefix.len;
    if (topic.len < len || memcmp(topic.data, range->prefix.data, len) != 0) {
        return false;
    }
    return !range->is_subtree || topic.len == len || topic.data[len] == '/';
}

static bool range_matches(const struct range *range, struct bytes filter, struct bytes topic)
{
    return range->is_subtree || range->is_everything || topic_matches(filter, topic);
}

enum tg_err retained_cursor_init(struct retained_cursor *cursor, struct bytes filter, uint64_t stamp)
{
    uint8_t *copy = malloc(filter.len > 0 ? filter.len : 1);
    if (copy == NULL) {
        return TG_ERR_NO_MEMORY;
    }
    memcpy(copy, filter.data, filter.len);
    *cursor = (struct retained_cursor){.filter = {copy, filter.len}, .stamp = stamp};
    return TG_OK;
}

void retained_cursor_fini(struct retained_cursor *cursor)
{
    free((void *)cursor->filter.data);
    message_unref(cursor->position);
    *cursor = (struct retained_cursor){.done = true};
}

static struct value *cursor_resume(struct shard *shard, const struct retained_cursor *cursor, const struct range *range)
{
    if (cursor->position != NULL) {
        return shard_seek(shard, message_topic(cursor->position), true);
    }
    return range->prefix.len > 0 ? shard_seek(shard, range->prefix, false) : RB_MIN(values, &shard->values);
}

/* Go on in the cursor's shard, looking at *BUDGET entries at most. Returns how many are in OUT. */
static size_t cursor_walk_shard(struct retained *retained, struct retained_cursor *cursor, const struct range *range,
                                uint64_t now_ms, struct message **out, size_t max, size_t *budget)
{
    static const struct bytes behind_dollar = {(const uint8_t *)"%", 1};
    struct shard *shard = &retained->shards[cursor->shard];
    struct message *before = cursor->position;
    struct message *last = NULL;
    size_t count = 0;

    pthread_mutex_lock(&shard->mutex);
    struct value *value = cursor_resume(shard, cursor, range);
    while (value != NULL && count<max && * budget> 0) {
        struct message *message = value->message;
        struct bytes topic = message_topic(message);
        if (!range_has(range, topic)) {
            value = NULL;
            break;
        }
        --*budget;
        last = message;
        if (range->begins_wild && topic.len > 0 && topic.data[0] == '$') {
            value = shard_seek(shard, behind_dollar, false);
            continue;
        }
        value = RB_NEXT(values, &shard->values, value);
        if (message->version <= cursor->stamp && !is_expired(message, now_ms) &&
            range_matches(range, cursor->filter, topic)) {
            out[count++] = message_ref(message);
        }
    }
    cursor->position = value != NULL ? message_ref(last) : NULL;
    pthread_mutex_unlock(&shard->mutex);

    message_unref(before);
    if (cursor->position == NULL) {
        cursor->shard++;
        cursor->done = cursor->shard == SHARDS;
    }
    return count;
}

size_t retained_cursor_next(struct retained *retained, struct retained_cursor *cursor, uint64_t now_ms,
                            struct message **out, size_t max)
{
    cursor->cost = 0;
    if (cursor->done || max == 0) {
        return 0;
    }
    struct range range = range_of(cursor->filter);
    if (!range.has_wildcard) {
        cursor->done = true;
        cursor->cost = 1;
        out[0] = find_up_to(retained, cursor->filter, now_ms, cursor->stamp);
        return out[0] != NULL;
    }
    size_t count = 0;
    size_t budget = SLICE_ENTRIES;
    while (!cursor->done && count < max && budget > 0) {
        count += cursor_walk_shard(retained, cursor, &range, now_ms, out + count, max - count, &budget);
        cursor->cost++;
    }
    cursor->cost += (uint32_t)(SLICE_ENTRIES - budget);
    return count;
}

void retained_cursor_put_back(struct retained *retained, struct retained_cursor *cursor, struct message *message)
{
    struct message *before = cursor->position;
    cursor->shard = (uint32_t)(shard_of(retained, message_topic(message)) - retained->shards);
    cursor->position = message_ref(message);
    cursor->done = false;
    message_unref(before);
}

/* --- expiry ----------------------------------------------------------------------------------------------------- */

/* Go on sweeping SHARD, looking at *BUDGET entries at most; what went is in DROPPED. Returns how many. */
static size_t sweep_shard(struct retained *retained, struct shard *shard, uint64_t now_ms, struct value **dropped,
                          size_t *budget)
{
    size_t count = 0;
    pthread_mutex_lock(&shard->mutex);
    struct value *value = shard->sweep != NULL ? shard->sweep : RB_MIN(values, &shard->values);
    shard->sweep = NULL;
    while (value != NULL && shard->expiring > 0 && *budget > 0) {
        struct value *next = RB_NEXT(values, &shard->values, value);
        --*budget;
        if (is_expired(value->message, now_ms)) {
            value_remove(retained, shard, value);
            dropped[count++] = value;
        }
        value = next;
    }
    shard->sweep = shard->expiring > 0 ? value : NULL;
    bool is_through = shard->sweep == NULL;
    pthread_mutex_unlock(&shard->mutex);
    if (is_through) {
        atomic_fetch_add_explicit(&retained->sweep_shard, 1, memory_order_relaxed);
    }
    return count;
}

size_t retained_sweep(struct retained *retained, uint64_t now_ms, struct store_port *port)
{
    struct value *dropped[SLICE_ENTRIES];
    size_t count = 0;
    size_t budget = SLICE_ENTRIES;
    for (unsigned i = 0; i < SHARDS && budget > 0; i++) {
        uint32_t at = atomic_load_explicit(&retained->sweep_shard, memory_order_relaxed) % SHARDS;
        count += sweep_shard(retained, &retained->shards[at], now_ms, dropped + count, &budget);
    }
    for (size_t i = 0; i < count; i++) {
        value_drop(dropped[i], port);
    }
    return count;
}
