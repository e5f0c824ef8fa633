#include "tests/store/lmdb_kit.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/be.h"

#define WAIT_S 60

static void on_progress(void *arg)
{
    struct kit *kit = arg;
    pthread_mutex_lock(&kit->lock);
    pthread_cond_broadcast(&kit->moved);
    pthread_mutex_unlock(&kit->lock);
}

void kit_init(struct kit *kit)
{
    memset(kit, 0, sizeof(*kit));
    strcpy(kit->folder, "/tmp/tidegate-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(kit->folder));
    strcat(kit->folder, "/a/b");
    pthread_mutex_init(&kit->lock, NULL);
    pthread_cond_init(&kit->moved, NULL);
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    if (dir == NULL) {
        unlink(path);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            char below[512];
            snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
            remove_tree(below);
        }
    }
    closedir(dir);
    rmdir(path);
}

static void forget(struct kit *kit)
{
    for (size_t i = 0; i < kit->message_count; i++) {
        free(kit->messages[i].payload);
        free(kit->messages[i].sessions);
        store_record_unref(kit->messages[i].record);
    }
    free(kit->messages);
    free(kit->entries);
    kit->messages = NULL;
    kit->entries = NULL;
    kit->message_count = 0;
    kit->entry_count = 0;
}

void kit_fini(struct kit *kit)
{
    if (kit->store != NULL) {
        kit_close(kit);
    }
    forget(kit);
    char *end = strstr(kit->folder, "/a/b");
    *end = '\0';
    remove_tree(kit->folder);
    pthread_mutex_destroy(&kit->lock);
    pthread_cond_destroy(&kit->moved);
}

/* --- recovery ------------------------------------------------------------------------------------------------------------------ */

static bool visit_entry(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
    struct kit *kit = arg;
    kit->entries = realloc(kit->entries, (kit->entry_count + 1) * sizeof(*kit->entries));
    ck_assert_ptr_nonnull(kit->entries);
    struct kit_entry *entry = &kit->entries[kit->entry_count++];
    *entry = (struct kit_entry){.table = table, .key_len = key.len, .value_len = value.len};
    ck_assert_uint_le(key.len, sizeof(entry->key));
    memcpy(entry->key, key.data, key.len);
    if (value.len < sizeof(entry->value)) {
        memcpy(entry->value, value.data, value.len);
    }
    return strcmp(entry->value, "nonsense") != 0;
}

static enum tg_err visit_message(void *arg, const struct store_found *found)
{
    struct kit *kit = arg;
    if (kit->refuses_messages) {
        return TG_ERR_CORRUPT;
    }
    kit->messages = realloc(kit->messages, (kit->message_count + 1) * sizeof(*kit->messages));
    ck_assert_ptr_nonnull(kit->messages);
    struct kit_message *message = &kit->messages[kit->message_count++];
    *message = (struct kit_message){
        .payload = malloc(found->payload.len + 1),
        .payload_len = found->payload.len,
        .version = found->version,
        .recipient_count = found->recipient_count,
        .sessions = calloc(found->recipient_count + 1, sizeof(uint64_t)),
        .is_retained = found->is_retained,
        .record = store_record_ref(found->record),
    };
    ck_assert_uint_lt(found->topic.len, sizeof(message->topic));
    memcpy(message->topic, found->topic.data, found->topic.len);
    memcpy(message->payload, found->payload.data, found->payload.len);
    message->payload[found->payload.len] = '\0';
    struct bytes left = found->recipients;
    for (uint32_t i = 0; i < found->recipient_count; i++) {
        struct store_recipient recipient;
        size_t len = store_recipient_decode(left, &recipient);
        if (len == 0) {
            ck_abort_msg("recipient %u is damaged", i);
        }
        message->sessions[i] = recipient.session;
        left.data += len;
        left.len -= len;
    }
    ck_assert_uint_eq(left.len, 0);
    return TG_OK;
}

void kit_open_with(struct kit *kit, const struct store_lmdb_options *options)
{
    char why[STORE_LMDB_WHY_BYTES];
    struct store_lmdb_options all = *options;
    all.path = kit->folder;
    all.size_limit_bytes = all.size_limit_bytes > 0 ? all.size_limit_bytes : KIT_SIZE_LIMIT;
    kit->store = store_lmdb_new(&all, why, sizeof(why));
    ck_assert_msg(kit->store != NULL, "%s", why);
    kit->store->on_progress = on_progress;
    kit->store->on_progress_arg = kit;
    forget(kit);
    const struct store_visitor visitor = {.entry = visit_entry, .message = visit_message, .arg = kit};
    ck_assert_int_eq(kit->store->engine->recover(kit->store, &visitor), TG_OK);
    for (uint32_t i = 0; i < 3; i++) {
        kit->ports[i] = store_port_new(kit->store, i);
        ck_assert_ptr_nonnull(kit->ports[i]);
    }
}

void kit_open(struct kit *kit)
{
    kit_open_with(kit, &(struct store_lmdb_options){0});
}

void kit_close(struct kit *kit)
{
    for (size_t i = 0; i < 3; i++) {
        store_port_free(kit->ports[i]);
        kit->ports[i] = NULL;
    }
    kit->store->engine->settle(kit->store);
    store_free(kit->store);
    kit->store = NULL;
}

void kit_reopen(struct kit *kit)
{
    kit_close(kit);
    kit_open(kit);
}

/* --- what is done -------------------------------------------------------------------------------------------------------------- */

static void flush(struct kit *kit)
{
    for (size_t i = 0; i < 3; i++) {
        store_port_flush(kit->ports[i]);
    }
}

void kit_wait(struct kit *kit, struct store_ticket ticket)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    flush(kit);
    pthread_mutex_lock(&kit->lock);
    while (!store_is_done(kit->store, &ticket)) {
        ck_assert_msg(pthread_cond_timedwait(&kit->moved, &kit->lock, &until) != ETIMEDOUT, "it does not get done");
    }
    pthread_mutex_unlock(&kit->lock);
}

void kit_wait_record(struct kit *kit, struct store_record *record)
{
    kit_wait(kit, (struct store_ticket){.record = record});
}

void kit_settle(struct kit *kit)
{
    flush(kit);
    kit->store->engine->settle(kit->store);
}

struct message *kit_message(const char *topic, const void *payload, size_t payload_len, bool retain, uint64_t version)
{
    size_t topic_len = strlen(topic);
    struct message *message = message_new(topic_len, 0, payload_len);
    ck_assert_ptr_nonnull(message);
    memcpy(message->bytes, topic, topic_len);
    if (payload_len > 0) {
        memcpy(message->bytes + topic_len, payload, payload_len);
    }
    message->qos = 1;
    message->retain = retain;
    message->version = version;
    message->expires_ms = MESSAGE_NEVER_EXPIRES;
    message->publisher = 77;
    message->stored_ms = 1700000000000;
    return message;
}

static void add_recipient(struct store_record *record, uint64_t session, uint32_t expected)
{
    uint32_t number;
    const uint32_t id = 9;
    struct store_recipient recipient = {.session = session, .seq = 1, .ids = &id, .id_count = 1, .qos = 1};
    /* No assertion for each: libcheck writes down every one that holds. */
    if (!store_record_add(record, 0, &recipient, &number) || number != expected) {
        ck_abort_msg("recipient %u is not added as such", expected);
    }
}

struct store_record *kit_record(const char *topic, const void *payload, size_t payload_len, const uint64_t *sessions,
                                uint32_t count)
{
    struct message *message = kit_message(topic, payload, payload_len, false, 0);
    struct store_record *record = store_record_new(message, 1, STORE_NEVER_EXPIRES, false);
    ck_assert_ptr_nonnull(record);
    message_unref(message);
    for (uint32_t i = 0; i < count; i++) {
        add_recipient(record, sessions[i], i);
    }
    return record;
}

struct store_record *kit_put(struct kit *kit, const char *topic, const char *text, uint64_t session)
{
    struct store_record *record = kit_record(topic, text, strlen(text), &session, 1);
    store_port_close(kit->ports[0], record);
    return record;
}

struct store_record *kit_retain(struct kit *kit, const char *topic, const char *text, uint64_t version,
                                struct store_record *old, uint32_t count)
{
    struct message *message = kit_message(topic, text, strlen(text), true, version);
    struct store_record *record = store_record_new(message, 1, STORE_NEVER_EXPIRES, true);
    ck_assert_ptr_nonnull(record);
    message_unref(message);
    for (uint32_t i = 0; i < count; i++) {
        add_recipient(record, i + 1, i);
    }
    if (old != NULL) {
        store_record_replace(record, store_record_ref(old), STORE_RETAINED);
    }
    store_port_close(kit->ports[0], record);
    return record;
}

void kit_finish(struct kit *kit, struct store_record *record, uint32_t number)
{
    store_port_finish(kit->ports[0], store_record_ref(record), number);
}

struct store_ticket kit_write(struct kit *kit, enum store_table table, uint64_t session, uint64_t number,
                              size_t key_len, const char *value)
{
    uint8_t key[STORE_KEY_BYTES];
    struct store_ticket ticket;
    tg_put_be(key, session, 8);
    if (key_len > 8) {
        tg_put_be(key + 8, number, (unsigned)key_len - 8);
    }
    struct store_write *write = store_write_new(table, key, key_len, strlen(value));
    ck_assert_ptr_nonnull(write);
    memcpy(write->value, value, strlen(value));
    ck_assert(store_port_write(kit->ports[0], write, &ticket));
    return ticket;
}

/* --- what is found ------------------------------------------------------------------------------------------------------------- */

const struct kit_message *kit_found(const struct kit *kit, const char *topic)
{
    const struct kit_message *found = NULL;
    for (size_t i = 0; i < kit->message_count; i++) {
        if (strcmp(kit->messages[i].topic, topic) == 0) {
            found = &kit->messages[i];
        }
    }
    return found;
}

const struct kit_entry *kit_found_entry(const struct kit *kit, enum store_table table, uint64_t session)
{
    for (size_t i = 0; i < kit->entry_count; i++) {
        if (kit->entries[i].table == table && tg_get_be(kit->entries[i].key, 8) == session) {
            return &kit->entries[i];
        }
    }
    return NULL;
}

static void fetch_done(struct store_fetch *fetch)
{
    (void)fetch;
}

enum store_fetch_status kit_try_fetch(struct kit *kit, struct store_record *record, struct message **out)
{
    struct store_fetched item = {.record = record};
    struct store_fetch fetch = {.done = fetch_done, .count = 1, .items = &item};
    kit->store->engine->fetch(kit->store, &fetch);
    kit_settle(kit);
    *out = item.message;
    return item.status;
}

struct message *kit_fetch(struct kit *kit, struct store_record *record)
{
    struct message *message;
    enum store_fetch_status status = kit_try_fetch(kit, record, &message);
    ck_assert_int_eq(status, message != NULL ? STORE_FETCH_FOUND : STORE_FETCH_GONE);
    return message;
}

long kit_file_size(const struct kit *kit, const char *name)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", kit->folder, name);
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}
