#include "tests/broker/ram_store.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/store/message.h"
#include "gateway/store/record_engine.h"

struct ram_entry {
    uint8_t key_len;
    uint8_t key[STORE_KEY_BYTES];
    uint32_t value_len;
    uint8_t value[];
};

struct ram_recipient {
    uint32_t number;
    uint32_t offset; /* in what is encoded */
    uint32_t len;
    bool is_finished;
};

struct ram_message {
    struct message *message; /* a reference */
    uint64_t id;
    uint64_t expires_ms;              /* wall clock */
    struct ram_recipient *recipients; /* owned */
    uint32_t recipient_count;
    uint8_t *encoded; /* owned */
    uint32_t encoded_len;
    uint32_t live;
    bool was_retained; /* when it was put */
    bool is_retained;  /* and still is */
    bool is_damaged;   /* reads find nothing */
    bool is_deferred;  /* a tombstone that is finished: goes with the next sweep */
};

/* A delivery that was finished before its record came. */
struct ram_early {
    struct ram_early *next;
    struct store_record *record; /* holds a reference */
    uint32_t number;
};

/* --- memory, which does not fail where a test lets that of the broker fail ------------------------------------------------------ */

static void *take(size_t size)
{
    void *block = memalign(16, size > 0 ? size : 1);
    TG_ASSERT(block != NULL);
    memset(block, 0, size);
    return block;
}

/* A larger copy of BLOCK, which is freed. */
static void *grow(void *block, size_t size, size_t larger)
{
    void *copy = take(larger);
    if (block != NULL) {
        memcpy(copy, block, size);
        free(block);
    }
    return copy;
}

/* --- tables --------------------------------------------------------------------------------------------------------------------- */

static int compare(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static struct bytes key_of(const struct ram_entry *entry)
{
    return (struct bytes){entry->key, entry->key_len};
}

/* Where the first entry that is not below KEY stands. */
static size_t seek(const struct ram_table *table, struct bytes key)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare(key_of(table->entries[middle]), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct ram_table *table, size_t at, struct bytes key)
{
    return at < table->count && compare(key_of(table->entries[at]), key) == 0;
}

static void delete_at(struct ram_table *table, size_t at, size_t count)
{
    if (count == 0) {
        return;
    }
    for (size_t i = at; i < at + count; i++) {
        free(table->entries[i]);
    }
    memmove(table->entries + at, table->entries + at + count, (table->count - at - count) * sizeof(table->entries[0]));
    table->count -= count;
}

static void insert_at(struct ram_table *table, size_t at, struct ram_entry *entry)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity > 0 ? 2 * table->capacity : 64;
        table->entries =
            grow(table->entries, table->count * sizeof(table->entries[0]), capacity * sizeof(table->entries[0]));
        table->capacity = capacity;
    }
    memmove(table->entries + at + 1, table->entries + at, (table->count - at) * sizeof(table->entries[0]));
    table->entries[at] = entry;
    table->count++;
}

static void apply_write(struct ram_store *ram, const struct store_write *write)
{
    struct ram_table *table = &ram->tables[write->table];
    struct bytes key = {write->key, write->key_len};
    size_t at = seek(table, key);
    if (is_at(table, at, key)) {
        delete_at(table, at, 1);
    }
    if (write->is_delete) {
        return;
    }
    struct ram_entry *entry = take(sizeof(*entry) + write->value_len);
    entry->key_len = write->key_len;
    memcpy(entry->key, write->key, write->key_len);
    entry->value_len = write->value_len;
    memcpy(entry->value, write->value, write->value_len);
    insert_at(table, at, entry);
    ram->done.bytes_written += write->key_len + write->value_len;
}

static void apply_writes(struct ram_store *ram, const struct store_write *writes)
{
    for (; writes != NULL; writes = writes->next) {
        apply_write(ram, writes);
    }
}

static bool belongs_to_sessions(enum store_table table)
{
    return table != STORE_WILLS && table != STORE_IDEMPOTENCY;
}

static void end_session(struct ram_store *ram, uint64_t session)
{
    uint8_t prefix[8];
    for (unsigned i = 0; i < 8; i++) {
        prefix[i] = (uint8_t)(session >> (56 - 8 * i));
    }
    for (unsigned t = 0; t < STORE_TABLES; t++) {
        struct ram_table *table = &ram->tables[t];
        if (!belongs_to_sessions(t)) {
            continue;
        }
        size_t from = seek(table, (struct bytes){prefix, 8});
        size_t to = from;
        while (to < table->count && memcmp(table->entries[to]->key, prefix, 8) == 0) {
            to++;
        }
        delete_at(table, from, to - from);
    }
}

/* --- messages ------------------------------------------------------------------------------------------------------------------- */

static struct ram_message *message_at(const struct ram_store *ram, uint64_t id)
{
    return id > 0 && id <= ram->last_id ? ram->messages[id] : NULL;
}

static void forget(struct ram_store *ram, struct ram_message *m)
{
    ram->messages[m->id] = NULL;
    message_unref(m->message);
    free(m->recipients);
    free(m->encoded);
    free(m);
}

static uint64_t next_id(struct ram_store *ram)
{
    uint64_t id = ++ram->last_id;
    if (id >= ram->message_capacity) {
        size_t capacity = ram->message_capacity > 0 ? 2 * ram->message_capacity : 64;
        ram->messages =
            grow(ram->messages, ram->message_capacity * sizeof(ram->messages[0]), capacity * sizeof(ram->messages[0]));
        ram->message_capacity = capacity;
    }
    return id;
}

/* Nobody needs M any more. */
static void delete_message(struct ram_store *ram, struct ram_message *m)
{
    if (!atomic_load(&ram->deletes_late)) {
        forget(ram, m);
    }
}

/* M has one delivery less, or its retained value is one no more. */
static void strike(struct ram_message *m, uint32_t number)
{
    if (number == STORE_RETAINED) {
        TG_ASSERT(m->is_retained);
        m->is_retained = false;
        m->live--;
        return;
    }
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        if (m->recipients[i].number == number) {
            TG_ASSERT(!m->recipients[i].is_finished);
            m->recipients[i].is_finished = true;
            m->live--;
            return;
        }
    }
    TG_ASSERT(false); /* it never was a recipient */
}

static bool is_tombstone(const struct ram_message *m)
{
    return m->message->retain && m->message->payload_len == 0;
}

static void finish(struct ram_store *ram, struct store_record *record, uint32_t number)
{
    if (record->state == RECORD_OPEN) {
        record->live--;
        struct ram_early *early = take(sizeof(*early));
        *early = (struct ram_early){.next = ram->early, .record = store_record_ref(record), .number = number};
        ram->early = early;
        return;
    }
    TG_ASSERT(record->state == RECORD_TAKEN || record->state == RECORD_PUT);
    struct ram_message *m = message_at(ram, record->id);
    TG_ASSERT(m != NULL);
    if (number == STORE_RETAINED && is_tombstone(m)) {
        TG_ASSERT(!m->is_deferred);
        m->is_deferred = true;
        return;
    }
    strike(m, number);
    record->live = (int32_t)m->live;
    if (m->live == 0 && record->state == RECORD_PUT) {
        record->state = RECORD_DELETED;
        delete_message(ram, m);
    }
}

static void read_report(struct ram_message *m, unsigned place, const struct store_report *report)
{
    memcpy(m->encoded + m->encoded_len, report->bytes, report->len);
    for (uint32_t n = 0; n < report->count; n++) {
        struct store_recipient recipient;
        struct bytes left = {m->encoded + m->encoded_len, report->len};
        size_t len = store_recipient_decode(left, &recipient);
        TG_ASSERT(len > 0);
        m->recipients[m->recipient_count++] = (struct ram_recipient){
            .number = record_recipient(place, n), .offset = m->encoded_len, .len = (uint32_t)len};
        m->encoded_len += (uint32_t)len;
    }
}

/* What has been finished before RECORD came. */
static void apply_early(struct ram_store *ram, struct store_record *record)
{
    struct ram_early **at = &ram->early;
    while (*at != NULL) {
        struct ram_early *early = *at;
        if (early->record != record) {
            at = &early->next;
            continue;
        }
        *at = early->next;
        finish(ram, record, early->number);
        store_record_unref(early->record);
        free(early);
    }
}

static void take_record(struct ram_store *ram, struct store_record *record)
{
    struct store_pending *pending = record->pending;
    struct ram_message *m = NULL;
    TG_ASSERT(record->state == RECORD_OPEN);
    record->state = RECORD_TAKEN;
    if (record->message != NULL) {
        uint32_t count = 0;
        size_t len = 0;
        for (unsigned p = 0; p < pending->places; p++) {
            const struct store_report *report = pending->reports[p];
            count += report != NULL ? report->count : 0;
            len += report != NULL ? report->len : 0;
        }
        m = take(sizeof(*m));
        *m = (struct ram_message){
            .message = message_ref(store_record_peek(record)),
            .id = next_id(ram),
            .expires_ms = record->expires_ms,
            .recipients = take(count * sizeof(m->recipients[0])),
            .encoded = take(len),
            .live = count + pending->is_retained,
            .is_retained = pending->is_retained,
        };
        for (unsigned p = 0; p < pending->places; p++) {
            if (pending->reports[p] != NULL) {
                read_report(m, p, pending->reports[p]);
            }
        }
        ram->messages[m->id] = m;
        record->id = m->id;
        record->live = (int32_t)m->live;
        apply_early(ram, record);
    }
    if (pending->replaces != NULL) {
        finish(ram, pending->replaces, pending->replaced);
    }
}

/* Only who is still to get it is put. */
static void drop_finished(struct ram_message *m)
{
    uint32_t count = 0;
    uint32_t len = 0;
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        struct ram_recipient *r = &m->recipients[i];
        if (!r->is_finished) {
            memmove(m->encoded + len, m->encoded + r->offset, r->len);
            m->recipients[count] = *r;
            m->recipients[count++].offset = len;
            len += r->len;
        }
    }
    m->recipient_count = count;
    m->encoded_len = len;
}

static void put_record(struct ram_store *ram, struct store_record *record)
{
    struct ram_message *m = message_at(ram, record->id);
    if (m == NULL || m->live == 0) {
        record->state = RECORD_CANCELLED;
        if (m != NULL) {
            forget(ram, m);
            record->id = 0;
            ram->done.cancelled++;
        }
        return;
    }
    drop_finished(m);
    m->was_retained = m->is_retained;
    record->has_many = m->live > 1;
    record->state = RECORD_PUT;
    ram->done.bytes_written += m->message->topic_len + m->message->payload_len + m->encoded_len;
}

/* --- transactions --------------------------------------------------------------------------------------------------------------- */

static void apply(struct ram_store *ram, struct store_operation *operation)
{
    switch (operation->kind) {
    case STORE_RECORD:
        take_record(ram, operation->record);
        break;
    case STORE_WRITES:
        break;
    case STORE_FINISHES:
        for (uint32_t i = 0; i < operation->finish_count; i++) {
            finish(ram, operation->finishes[i].record, operation->finishes[i].recipient);
        }
        break;
    case STORE_SESSION_END:
        end_session(ram, operation->session);
        break;
    }
    apply_writes(ram, operation->writes);
}

/* Everything in LIST is durable. */
static void commit(struct ram_store *ram, struct store_operation *list)
{
    for (struct store_operation *o = list; o != NULL; o = o->next) {
        apply(ram, o);
        ram->done.operations++;
    }
    for (struct store_operation *o = list; o != NULL; o = o->next) {
        if (o->kind == STORE_RECORD) {
            put_record(ram, o->record);
        }
    }
    ram->done.commits++;
    while (list != NULL) {
        struct store_operation *operation = list;
        list = operation->next;
        uint32_t domain = operation->domain;
        uint64_t number = operation->number;
        if (operation->kind == STORE_RECORD) {
            store_record_drop_message(operation->record);
            store_record_set_done(operation->record);
        }
        store_operation_free(operation);
        TG_ASSERT(atomic_load(&ram->store.done[domain]) == number - 1);
        atomic_store_explicit(&ram->store.done[domain], number, memory_order_release);
    }
}

static void discard(struct store_operation *list)
{
    while (list != NULL) {
        struct store_operation *operation = list;
        list = operation->next;
        store_operation_free(operation);
    }
}

static void count_writes(struct ram_counts *counts, const struct store_write *writes)
{
    for (; writes != NULL; writes = writes->next) {
        (writes->is_delete ? counts->deletes : counts->puts)[writes->table]++;
    }
}

static void append(struct ram_store *ram, struct store_operation *list)
{
    *ram->end = list;
    for (struct store_operation *o = list; o != NULL; o = o->next) {
        count_writes(&ram->submitted, o->writes);
        ram->submitted.records += o->kind == STORE_RECORD;
        ram->submitted.finishes += o->finish_count;
        ram->submitted.session_ends += o->kind == STORE_SESSION_END;
        ram->waiting += o->kind != STORE_FINISHES;
        ram->end = &o->next;
    }
}

/* Take the first COUNT operations, as ram_store_complete() says. */
static struct store_operation *take_first(struct ram_store *ram, size_t count)
{
    struct store_operation **at = &ram->first;
    while (*at != NULL && (count > 0 || (*at)->kind == STORE_FINISHES)) {
        if ((*at)->kind != STORE_FINISHES) {
            ram->waiting--;
            if (--count == 0) {
                at = &(*at)->next;
                break;
            }
        }
        at = &(*at)->next;
    }
    struct store_operation *list = at != &ram->first ? ram->first : NULL;
    if (list != NULL) {
        struct store_operation *rest = *at;
        *at = NULL;
        ram->first = rest;
        if (rest == NULL) {
            ram->end = &ram->first;
        }
    }
    return list;
}

void ram_store_complete(struct ram_store *ram, size_t count)
{
    pthread_mutex_lock(&ram->mutex);
    struct store_operation *list = count > 0 ? take_first(ram, count) : NULL;
    if (list != NULL) {
        commit(ram, list);
    }
    pthread_mutex_unlock(&ram->mutex);
    if (ram->store.on_progress != NULL) {
        ram->store.on_progress(ram->store.on_progress_arg);
    }
}

static void ram_submit(struct store *store, struct store_operation *list)
{
    struct ram_store *ram = TG_CONTAINER_OF(store, struct ram_store, store);
    pthread_mutex_lock(&ram->mutex);
    bool is_lost = ram->has_crashed;
    if (is_lost) {
        discard(list);
    } else {
        append(ram, list);
        pthread_cond_signal(&ram->changed);
    }
    pthread_mutex_unlock(&ram->mutex);
    if (!is_lost && !atomic_load(&ram->is_held)) {
        ram_store_complete(ram, SIZE_MAX);
    }
}

static void sweep(struct ram_store *ram)
{
    for (uint64_t id = 1; id <= ram->last_id; id++) {
        struct ram_message *m = ram->messages[id];
        if (m != NULL && m->is_deferred) {
            m->is_deferred = false;
            strike(m, STORE_RETAINED);
        }
        if (m != NULL && m->live == 0) {
            forget(ram, m);
        }
    }
}

void ram_store_sweep(struct ram_store *ram)
{
    pthread_mutex_lock(&ram->mutex);
    sweep(ram);
    pthread_mutex_unlock(&ram->mutex);
}

/* --- reading -------------------------------------------------------------------------------------------------------------------- */

static void answer(struct ram_store *ram, struct store_fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->count; i++) {
        struct store_fetched *item = &fetch->items[i];
        const struct ram_message *m = item->record->state == RECORD_PUT || item->record->state == RECORD_DELETED
                                          ? message_at(ram, item->record->id)
                                          : NULL;
        bool is_there = m != NULL && !m->is_damaged && !atomic_load(&ram->reads_fail);
        item->status = atomic_load(&ram->reads_fail) ? STORE_FETCH_AGAIN
                       : is_there                    ? STORE_FETCH_FOUND
                                                     : STORE_FETCH_GONE;
        item->message = is_there ? message_ref(m->message) : NULL;
        ram->done.fetched += is_there;
    }
}

void ram_store_answer_reads(struct ram_store *ram, size_t count)
{
    for (; count > 0; count--) {
        pthread_mutex_lock(&ram->mutex);
        struct store_fetch *fetch = ram->reads;
        if (fetch != NULL) {
            ram->reads = fetch->next;
            if (ram->reads == NULL) {
                ram->reads_end = &ram->reads;
            }
            answer(ram, fetch);
        }
        pthread_mutex_unlock(&ram->mutex);
        if (fetch == NULL) {
            return;
        }
        fetch->done(fetch);
    }
}

static void ram_fetch(struct store *store, struct store_fetch *fetch)
{
    struct ram_store *ram = TG_CONTAINER_OF(store, struct ram_store, store);
    pthread_mutex_lock(&ram->mutex);
    fetch->next = NULL;
    *ram->reads_end = fetch;
    ram->reads_end = &fetch->next;
    ram->submitted.reads += fetch->count;
    pthread_cond_signal(&ram->changed);
    pthread_mutex_unlock(&ram->mutex);
    if (!atomic_load(&ram->holds_reads)) {
        ram_store_answer_reads(ram, SIZE_MAX);
    }
}

void ram_store_run(struct ram_store *ram)
{
    bool is_ending = false;
    while (!is_ending) {
        pthread_mutex_lock(&ram->mutex);
        while (ram->first == NULL && ram->reads == NULL && !ram->is_ending) {
            pthread_cond_wait(&ram->changed, &ram->mutex);
        }
        is_ending = ram->is_ending;
        pthread_mutex_unlock(&ram->mutex);
        ram_store_complete(ram, SIZE_MAX);
        ram_store_answer_reads(ram, SIZE_MAX);
    }
}

void ram_store_end(struct ram_store *ram)
{
    pthread_mutex_lock(&ram->mutex);
    ram->is_ending = true;
    pthread_cond_signal(&ram->changed);
    pthread_mutex_unlock(&ram->mutex);
}

/* --- the rest of an engine ------------------------------------------------------------------------------------------------------ */

static enum store_admission ram_admit(struct store *store, size_t bytes)
{
    (void)bytes;
    return (enum store_admission)atomic_load(&TG_CONTAINER_OF(store, struct ram_store, store)->admission);
}

static void describe(const struct ram_message *m, struct store_found *out)
{
    *out = (struct store_found){
        .topic = message_topic(m->message),
        .properties = message_properties(m->message),
        .payload = message_payload(m->message),
        .expires_ms = m->expires_ms,
        .stored_ms = m->message->stored_ms,
        .version = m->message->version,
        .publisher = m->message->publisher,
        .qos = m->message->qos,
        .retain = m->message->retain,
        .is_retained = m->was_retained,
        .recipient_count = m->recipient_count,
        .recipients = {m->encoded, m->encoded_len},
    };
}

/* A copy of what TABLE has now: who is shown it may submit. */
static struct ram_table snapshot(struct ram_store *ram, enum store_table table)
{
    struct ram_table copy = {0};
    pthread_mutex_lock(&ram->mutex);
    for (size_t at = 0; at < ram->tables[table].count; at++) {
        const struct ram_entry *entry = ram->tables[table].entries[at];
        struct ram_entry *twin = take(sizeof(*twin) + entry->value_len);
        memcpy(twin, entry, sizeof(*twin) + entry->value_len);
        insert_at(&copy, at, twin);
    }
    pthread_mutex_unlock(&ram->mutex);
    return copy;
}

/* An entry that makes no sense is put aside. */
static void drop_damaged(struct ram_store *ram, enum store_table table, struct bytes key)
{
    pthread_mutex_lock(&ram->mutex);
    size_t at = seek(&ram->tables[table], key);
    if (is_at(&ram->tables[table], at, key)) {
        delete_at(&ram->tables[table], at, 1);
    }
    ram->done.damaged++;
    pthread_mutex_unlock(&ram->mutex);
}

static void show_entries(struct ram_store *ram, const struct store_visitor *visitor)
{
    for (unsigned t = 0; t < STORE_TABLES; t++) {
        struct ram_table table = snapshot(ram, t);
        for (size_t at = 0; at < table.count; at++) {
            const struct ram_entry *entry = table.entries[at];
            if (!visitor->entry(visitor->arg, t, key_of(entry), (struct bytes){entry->value, entry->value_len})) {
                drop_damaged(ram, t, key_of(entry));
            }
        }
        delete_at(&table, 0, table.count);
        free(table.entries);
    }
}

/* Of what was finished the disk knows nothing, unless it was deleted. */
static void revive(struct ram_message *m)
{
    for (uint32_t i = 0; i < m->recipient_count; i++) {
        m->recipients[i].number = i;
        m->recipients[i].is_finished = false;
    }
    m->is_retained = m->was_retained;
    m->is_deferred = false;
    m->live = m->recipient_count + m->is_retained;
}

static enum tg_err show_message(struct ram_store *ram, const struct store_visitor *visitor, uint64_t id)
{
    struct store_found found;
    pthread_mutex_lock(&ram->mutex);
    struct ram_message *m = ram->messages[id];
    if (m == NULL) {
        pthread_mutex_unlock(&ram->mutex);
        return TG_OK;
    }
    revive(m);
    describe(m, &found);
    struct message *message = message_ref(m->message);
    uint8_t *recipients = take(m->encoded_len);
    memcpy(recipients, m->encoded, m->encoded_len);
    found.recipients.data = recipients;
    found.record = store_record_found(m->id, message_size(message), m->expires_ms, (int32_t)m->live, message->retain);
    pthread_mutex_unlock(&ram->mutex);
    enum tg_err err = found.record != NULL ? visitor->message(visitor->arg, &found) : TG_ERR_NO_MEMORY;
    store_record_unref(found.record);
    message_unref(message);
    free(recipients);
    if (err == TG_ERR_CORRUPT) {
        pthread_mutex_lock(&ram->mutex);
        forget(ram, m);
        ram->done.damaged++;
        pthread_mutex_unlock(&ram->mutex);
        return TG_OK;
    }
    return err;
}

static enum tg_err ram_recover(struct store *store, const struct store_visitor *visitor)
{
    struct ram_store *ram = TG_CONTAINER_OF(store, struct ram_store, store);
    enum tg_err err = TG_OK;
    show_entries(ram, visitor);
    for (uint64_t id = 1; id <= ram->last_id && err == TG_OK; id++) {
        err = show_message(ram, visitor, id);
    }
    if (visitor->progress != NULL) {
        visitor->progress(visitor->arg, 1, 1);
    }
    return err;
}

static void ram_figures(struct store *store, struct store_figures *out)
{
    struct ram_store *ram = TG_CONTAINER_OF(store, struct ram_store, store);
    size_t messages = ram_store_messages(ram);
    pthread_mutex_lock(&ram->mutex);
    *out = ram->done;
    out->messages = messages;
    pthread_mutex_unlock(&ram->mutex);
}

static enum tg_err ram_backup(struct store *store, const char *path)
{
    (void)store;
    (void)path;
    return TG_ERR_UNSUPPORTED;
}

static void ram_settle(struct store *store)
{
    struct ram_store *ram = TG_CONTAINER_OF(store, struct ram_store, store);
    ram_store_complete(ram, SIZE_MAX);
    ram_store_answer_reads(ram, SIZE_MAX);
    if (!ram->has_crashed) {
        ram_store_sweep(ram);
    }
}

static void ram_free(struct store *store)
{
    ram_store_fini(TG_CONTAINER_OF(store, struct ram_store, store));
}

static const struct store_engine ram_engine = {
    .name = "ram",
    .admit = ram_admit,
    .submit = ram_submit,
    .fetch = ram_fetch,
    .recover = ram_recover,
    .figures = ram_figures,
    .backup = ram_backup,
    .settle = ram_settle,
    .free = ram_free,
};

/* --- beginning and end ---------------------------------------------------------------------------------------------------------- */

void ram_store_init(struct ram_store *ram)
{
    memset(ram, 0, sizeof(*ram));
    ram->store.engine = &ram_engine;
    ram->store.is_durable = true;
    atomic_init(&ram->store.next_session, 1);
    TG_ASSERT(pthread_mutex_init(&ram->mutex, NULL) == 0 && pthread_cond_init(&ram->changed, NULL) == 0);
    ram->end = &ram->first;
    ram->reads_end = &ram->reads;
}

static void forget_early(struct ram_store *ram)
{
    while (ram->early != NULL) {
        struct ram_early *early = ram->early;
        ram->early = early->next;
        store_record_unref(early->record);
        free(early);
    }
}

static void lose_waiting(struct ram_store *ram)
{
    discard(ram->first);
    ram->first = NULL;
    ram->end = &ram->first;
    ram->waiting = 0;
    forget_early(ram);
}

void ram_store_clear(struct ram_store *ram)
{
    lose_waiting(ram);
    for (uint64_t id = 1; id <= ram->last_id; id++) {
        if (ram->messages[id] != NULL) {
            forget(ram, ram->messages[id]);
        }
    }
    for (unsigned t = 0; t < STORE_TABLES; t++) {
        if (ram->tables[t].count > 0) {
            delete_at(&ram->tables[t], 0, ram->tables[t].count);
        }
    }
    memset(&ram->submitted, 0, sizeof(ram->submitted));
    memset(&ram->done, 0, sizeof(ram->done));
}

void ram_store_fini(struct ram_store *ram)
{
    ram_store_clear(ram);
    for (unsigned t = 0; t < STORE_TABLES; t++) {
        free(ram->tables[t].entries);
    }
    free(ram->messages);
    pthread_cond_destroy(&ram->changed);
    pthread_mutex_destroy(&ram->mutex);
}

void ram_store_crash(struct ram_store *ram)
{
    pthread_mutex_lock(&ram->mutex);
    ram->has_crashed = true;
    lose_waiting(ram);
    pthread_mutex_unlock(&ram->mutex);
}

void ram_store_reopen(struct ram_store *ram)
{
    ram->has_crashed = false;
    ram->store.on_progress = NULL;
    forget_early(ram);
    for (unsigned d = 0; d < STORE_DOMAINS_MAX; d++) {
        atomic_store(&ram->store.done[d], 0);
    }
}

bool ram_store_is_empty(struct ram_store *ram)
{
    bool is_empty = ram_store_messages(ram) == 0;
    for (unsigned t = 0; t < STORE_TABLES; t++) {
        is_empty = is_empty && ram_store_entries(ram, t) == 0;
    }
    return is_empty;
}

/* --- for tests to look at ------------------------------------------------------------------------------------------------------- */

struct ram_counts ram_store_submitted(struct ram_store *ram)
{
    pthread_mutex_lock(&ram->mutex);
    struct ram_counts counts = ram->submitted;
    pthread_mutex_unlock(&ram->mutex);
    return counts;
}

size_t ram_store_entries(struct ram_store *ram, enum store_table table)
{
    pthread_mutex_lock(&ram->mutex);
    size_t count = ram->tables[table].count;
    pthread_mutex_unlock(&ram->mutex);
    return count;
}

bool ram_store_entry(struct ram_store *ram, enum store_table table, size_t at, struct bytes *key, struct bytes *value)
{
    pthread_mutex_lock(&ram->mutex);
    const struct ram_entry *entry = at < ram->tables[table].count ? ram->tables[table].entries[at] : NULL;
    pthread_mutex_unlock(&ram->mutex);
    if (entry == NULL) {
        return false;
    }
    *key = key_of(entry);
    *value = (struct bytes){entry->value, entry->value_len};
    return true;
}

/* Messages of TOPIC (data NULL: of any); *NEWEST: the last put of them. */
static size_t count_messages(struct ram_store *ram, struct bytes topic, struct ram_message **newest)
{
    size_t count = 0;
    pthread_mutex_lock(&ram->mutex);
    for (uint64_t id = 1; id <= ram->last_id; id++) {
        struct ram_message *m = ram->messages[id];
        if (m != NULL && (topic.data == NULL || bytes_equal(message_topic(m->message), topic))) {
            count++;
            *newest = m;
        }
    }
    pthread_mutex_unlock(&ram->mutex);
    return count;
}

size_t ram_store_messages(struct ram_store *ram)
{
    struct ram_message *newest = NULL;
    return count_messages(ram, (struct bytes){NULL, 0}, &newest);
}

size_t ram_store_messages_of(struct ram_store *ram, const char *topic)
{
    struct ram_message *newest = NULL;
    return count_messages(ram, bytes_from_string(topic), &newest);
}

bool ram_store_message(struct ram_store *ram, const char *topic, struct store_found *out)
{
    struct ram_message *newest = NULL;
    if (count_messages(ram, bytes_from_string(topic), &newest) == 0) {
        return false;
    }
    describe(newest, out);
    return true;
}

size_t ram_store_live(struct ram_store *ram, const char *topic)
{
    struct ram_message *newest = NULL;
    return count_messages(ram, bytes_from_string(topic), &newest) > 0 ? newest->live : 0;
}

void ram_store_damage(struct ram_store *ram, const char *topic)
{
    struct ram_message *newest = NULL;
    TG_ASSERT(count_messages(ram, bytes_from_string(topic), &newest) > 0);
    newest->is_damaged = true;
}
