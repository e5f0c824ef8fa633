#include "gateway/store/record.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/be.h"
#include "gateway/store/message.h"
#include "gateway/store/record_engine.h"

#define HEAD_BYTES       19u /* of an encoded recipient */
#define FLAG_QOS         3u
#define FLAG_RETAIN      4u
#define FLAG_SHARED      8u
#define REPORT_BYTES_MIN 40u
#define LOCKS            64u
#define ORDINALS         (1u << RECORD_ORDINAL_BITS)

/* A record's message is looked at by places when they send it, and taken out by the engine once it is on disk: both are rare and short,
 * so that a few mutexes serve all records. */
static pthread_mutex_t locks[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

static pthread_mutex_t *lock_of(const struct store_record *record)
{
    return &locks[((uintptr_t)record >> 6) % LOCKS];
}

/* --- recipients ---------------------------------------------------------------------------------------------------------------- */

size_t store_recipient_size(const struct store_recipient *recipient)
{
    return HEAD_BYTES + (recipient->shared != 0 ? 4 : 0) + 4 * (size_t)recipient->id_count;
}

void store_recipient_encode(const struct store_recipient *recipient, uint8_t *buf)
{
    uint8_t *at = tg_put_be(buf, recipient->session, 8);
    at = tg_put_be(at, recipient->seq, 8);
    *at++ = (uint8_t)((recipient->qos & FLAG_QOS) | (recipient->retain ? FLAG_RETAIN : 0) |
                      (recipient->shared != 0 ? FLAG_SHARED : 0));
    at = tg_put_be(at, recipient->id_count, 2);
    if (recipient->shared != 0) {
        at = tg_put_be(at, recipient->shared, 4);
    }
    for (uint16_t i = 0; i < recipient->id_count; i++) {
        at = tg_put_be(at, recipient->ids[i], 4);
    }
}

size_t store_recipient_decode(struct bytes encoded, struct store_recipient *out)
{
    if (encoded.len < HEAD_BYTES) {
        return 0;
    }
    uint8_t flags = encoded.data[16];
    *out = (struct store_recipient){
        .session = tg_get_be(encoded.data, 8),
        .seq = tg_get_be(encoded.data + 8, 8),
        .qos = flags & FLAG_QOS,
        .retain = (flags & FLAG_RETAIN) != 0,
        .id_count = (uint16_t)tg_get_be(encoded.data + 17, 2),
    };
    bool is_shared = (flags & FLAG_SHARED) != 0;
    size_t len = HEAD_BYTES + (is_shared ? 4 : 0) + 4 * (size_t)out->id_count;
    if (encoded.len < len || out->session == 0 || out->qos < 1 || out->qos > 2 || flags > 15) {
        return 0;
    }
    out->shared = is_shared ? (uint32_t)tg_get_be(encoded.data + HEAD_BYTES, 4) : 0;
    out->raw_ids = encoded.data + HEAD_BYTES + (is_shared ? 4 : 0);
    return len;
}

uint32_t store_recipient_id(const struct store_recipient *recipient, uint16_t at)
{
    return (uint32_t)tg_get_be(recipient->raw_ids + 4 * (size_t)at, 4);
}

/* --- a record ------------------------------------------------------------------------------------------------------------------ */

struct store_record *store_record_new(struct message *message, unsigned places, uint64_t expires_ms, bool is_retained)
{
    size_t pending_size = sizeof(struct store_pending) + places * sizeof(struct store_report *);
    struct store_record *record =
        malloc(sizeof(*record)); /* not calloc(), which passes over what the thread has at hand */
    struct store_pending *pending = malloc(pending_size);
    if (record == NULL || pending == NULL) {
        free(record);
        free(pending);
        return NULL;
    }
    memset(record, 0, sizeof(*record));
    memset(pending, 0, pending_size);
    atomic_init(&record->refs, 1);
    record->expires_ms = expires_ms;
    if (message != NULL) {
        record->message = message_ref(message);
        record->message_size = (uint32_t)message_size(message);
        record->retain = message->retain;
    }
    atomic_init(&pending->open, 1);
    pending->operation.kind = STORE_RECORD;
    pending->is_retained = is_retained;
    pending->places = places;
    record->pending = pending;
    return record;
}

struct store_record *store_record_found(uint64_t id, size_t message_size, uint64_t expires_ms, int32_t live,
                                        bool retain)
{
    struct store_record *record = calloc(1, sizeof(*record));
    if (record == NULL) {
        return NULL;
    }
    atomic_init(&record->refs, 1);
    atomic_init(&record->is_done, true);
    record->has_many = live > 1;
    record->state = RECORD_PUT;
    record->retain = retain;
    record->message_size = (uint32_t)message_size;
    record->live = live;
    record->id = id;
    record->expires_ms = expires_ms;
    return record;
}

struct store_record *store_record_ref(struct store_record *record)
{
    atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
    return record;
}

void store_record_unref(struct store_record *record)
{
    if (record == NULL || atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    store_record_drop_pending(record);
    message_unref(record->message);
    free(record);
}

void store_record_open(struct store_record *record)
{
    atomic_fetch_add_explicit(&record->pending->open, 1, memory_order_relaxed);
}

bool store_record_add(struct store_record *record, unsigned place, const struct store_recipient *recipient,
                      uint32_t *out)
{
    struct store_pending *pending = record->pending;
    TG_ASSERT(place < pending->places);
    struct store_report *report = pending->reports[place];
    size_t size = store_recipient_size(recipient);
    size_t len = report != NULL ? report->len : 0;
    if (len + size > UINT32_MAX / 2 || (report != NULL && report->count == ORDINALS - 1)) {
        return false;
    }
    if (report == NULL || report->capacity - report->len < size) {
        size_t capacity = len > 0 ? (len + size) * 2 : size > REPORT_BYTES_MIN ? size : REPORT_BYTES_MIN;
        struct store_report *grown = realloc(report, sizeof(*grown) + capacity);
        if (grown == NULL) {
            return false;
        }
        if (report == NULL) {
            *grown = (struct store_report){0};
        }
        grown->capacity = (uint32_t)capacity;
        report = grown;
        pending->reports[place] = report;
    }
    store_recipient_encode(recipient, report->bytes + report->len);
    report->len += (uint32_t)size;
    *out = record_recipient(place, report->count++);
    return true;
}

void store_record_attach(struct store_record *record, struct store_write *writes)
{
    struct store_write **end = &record->pending->operation.writes;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = writes;
}

void store_record_replace(struct store_record *record, struct store_record *old, uint32_t number)
{
    TG_ASSERT(record->pending->replaces == NULL);
    record->pending->replaces = old;
    record->pending->replaced = number;
}

struct message *store_record_message(struct store_record *record)
{
    pthread_mutex_t *lock = lock_of(record);
    pthread_mutex_lock(lock);
    struct message *message = record->message != NULL ? message_ref(record->message) : NULL;
    pthread_mutex_unlock(lock);
    return message;
}

void store_record_set_incomplete(struct store_record *record)
{
    atomic_store_explicit(&record->is_incomplete, true, memory_order_relaxed);
}

bool store_record_is_incomplete(const struct store_record *record)
{
    return atomic_load_explicit(&record->is_incomplete, memory_order_relaxed);
}

bool store_record_is_done(const struct store_record *record)
{
    return atomic_load_explicit(&record->is_done, memory_order_acquire);
}

bool store_record_has_many(const struct store_record *record)
{
    return record->has_many;
}

size_t store_record_message_size(const struct store_record *record)
{
    return record->message_size;
}

uint64_t store_record_expires_ms(const struct store_record *record)
{
    return record->expires_ms;
}

/* --- for engines --------------------------------------------------------------------------------------------------------------- */

bool store_report_finish(struct store_report *report, uint32_t ordinal)
{
    uint64_t *word = &report->finished.word;
    if (report->count > 64) {
        if (report->finished.words == NULL) {
            report->finished.words = calloc((report->count + 63u) / 64u, sizeof(uint64_t));
            if (report->finished.words == NULL) {
                return false;
            }
        }
        word = &report->finished.words[ordinal / 64];
    }
    uint64_t bit = 1ULL << (ordinal % 64);
    bool is_news = (*word & bit) == 0;
    *word |= bit;
    return is_news;
}

void store_record_drop_message(struct store_record *record)
{
    pthread_mutex_t *lock = lock_of(record);
    pthread_mutex_lock(lock);
    struct message *message = record->message;
    record->message = NULL;
    pthread_mutex_unlock(lock);
    message_unref(message);
}

void store_record_drop_pending(struct store_record *record)
{
    struct store_pending *pending = record->pending;
    if (pending == NULL) {
        return;
    }
    record->pending = NULL;
    for (unsigned p = 0; p < pending->places; p++) {
        if (pending->reports[p] != NULL && pending->reports[p]->count > 64) {
            free(pending->reports[p]->finished.words);
        }
        free(pending->reports[p]);
    }
    store_writes_free(pending->operation.writes);
    store_record_unref(pending->replaces);
    free(pending);
}

void store_record_set_done(struct store_record *record)
{
    atomic_store_explicit(&record->is_done, true, memory_order_release);
}
