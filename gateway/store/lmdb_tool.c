#include "gateway/store/lmdb_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/be.h"
#include "gateway/store/lmdb_copy.h"
#include "gateway/store/lmdb_engine.h"
#include "gateway/store/lmdb_walk.h"

#define DATA_NAME  "data.mdb"
#define STAGE_NAME ".stage" /* a folder in that of the store, where its next file is made ready */
#define BUF_BYTES  (64u << 10)

enum { DONE = 0, DAMAGED = 1, FAILED = 2 };

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tidegate store: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return FAILED;
}

/* Open FOLDER to read, and a transaction. @return false: said why not */
static bool look(const char *folder, struct lmdb_files *files, MDB_txn **txn)
{
    char why[STORE_LMDB_WHY_BYTES];
    if (lmdb_files_open(files, folder, LMDB_LOOK, 0, &lmdb_schema, why, sizeof(why)) != TG_OK) {
        fail("%s", why);
        return false;
    }
    int rc = mdb_txn_begin(files->env, NULL, MDB_RDONLY, txn);
    if (rc != 0) {
        fail("%s: %s", folder, mdb_strerror(rc));
        lmdb_files_close(files);
        return false;
    }
    return true;
}

static void print_hex(FILE *out, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len; i++) {
        fprintf(out, "%02x", from[i]);
    }
}

/* --- check --------------------------------------------------------------------------------------------------------------------- */

struct census {
    uint64_t entries[STORE_TABLES];
    uint64_t messages;
    uint64_t retained;
    uint64_t recipients;
    uint64_t body_bytes;
    uint64_t leftovers;
    uint64_t damaged;
};

static bool count_entry(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
    struct census *census = arg;
    (void)key;
    (void)value;
    census->entries[table]++;
    return true;
}

static enum tg_err count_message(void *arg, uint64_t mid, const struct lmdb_message *message)
{
    struct census *census = arg;
    (void)mid;
    census->messages++;
    census->retained += (message->flags & LMDB_FLAG_RETAINED) != 0 ? 1 : 0;
    census->recipients += message->recipient_count;
    census->body_bytes += message->body.len;
    return TG_OK;
}

static enum tg_err report_damaged(void *arg, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                                  const char *why)
{
    struct census *census = arg;
    census->damaged++;
    fprintf(stderr, "tidegate store: damaged entry in %s, key ", lmdb_table_names[table]);
    print_hex(stderr, key->mv_data, key->mv_size);
    fprintf(stderr, ", %zu bytes: %s\n", value->mv_size, why);
    return TG_OK;
}

static enum tg_err count_leftover(void *arg, enum lmdb_table table, const MDB_val *key)
{
    struct census *census = arg;
    (void)table;
    (void)key;
    census->leftovers++;
    return TG_OK;
}

static void print_census(const struct census *census, const struct lmdb_files *files, uint64_t used, FILE *out)
{
    fprintf(out, "node          ");
    print_hex(out, files->node, sizeof(files->node));
    fprintf(out, "\nstarts        %" PRIu64 "%s\n", files->boot,
            files->was_clean ? "" : ", in use or not stopped cleanly");
    fprintf(out, "bytes         %" PRIu64 "\n", used);
    fprintf(out, "messages      %" PRIu64 ", %" PRIu64 " of them retained values; %" PRIu64 " bytes\n",
            census->messages, census->retained, census->body_bytes);
    fprintf(out, "deliveries    %" PRIu64 "\n", census->recipients);
    for (unsigned t = 0; t < STORE_TABLES; t++) {
        fprintf(out, "%-13s %" PRIu64 "\n", lmdb_table_names[LMDB_ENTRIES + t], census->entries[t]);
    }
    fprintf(out, "leftovers     %" PRIu64 " (the gateway deletes them when it starts)\n", census->leftovers);
    fprintf(out, "damaged       %" PRIu64 "\n", census->damaged);
}

/* @return exit status */
static int end_walk(enum tg_err err, int rc, const char *folder, FILE *out)
{
    if (err != TG_OK) {
        return fail("%s: %s", folder, rc != 0 ? mdb_strerror(rc) : tg_strerror(err));
    }
    if (fflush(out) != 0 || ferror(out)) {
        return fail("output: %s", strerror(errno));
    }
    return DONE;
}

int lmdb_tool_check(const char *folder, FILE *out)
{
    struct lmdb_files files;
    struct census census = {0};
    MDB_txn *txn;
    if (!look(folder, &files, &txn)) {
        return FAILED;
    }
    const struct lmdb_walker walker = {.entry = count_entry,
                                       .message = count_message,
                                       .damaged = report_damaged,
                                       .leftover = count_leftover,
                                       .arg = &census};
    int rc;
    enum tg_err err = lmdb_walk(&files, txn, &walker, &rc);
    if (err == TG_OK) {
        print_census(&census, &files, lmdb_space_used(files.env, txn), out);
    }
    mdb_txn_abort(txn);
    int status = end_walk(err, rc, folder, out);
    lmdb_files_close(&files);
    return status != DONE ? status : census.damaged > 0 ? DAMAGED : DONE;
}

/* --- dump ---------------------------------------------------------------------------------------------------------------------- */

struct dump {
    FILE *out;
    uint64_t damaged;
};

static void dump_bytes(FILE *out, const char *name, struct bytes bytes)
{
    fprintf(out, ",\"%s\":\"", name);
    print_hex(out, bytes.data, bytes.len);
    fputc('"', out);
}

/* A topic; it is UTF-8, which a broker has checked. */
static void dump_text(FILE *out, const char *name, struct bytes text)
{
    fprintf(out, ",\"%s\":\"", name);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7F) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

static bool dump_entry(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
    const struct dump *dump = arg;
    fprintf(dump->out, "{\"table\":\"%s\"", lmdb_table_names[LMDB_ENTRIES + table]);
    if (table == STORE_IDEMPOTENCY) {
        dump_bytes(dump->out, "key", key);
    } else {
        fprintf(dump->out, ",\"number\":%" PRIu64, tg_get_be(key.data, 8));
        if (key.len > 8) {
            fprintf(dump->out, ",\"part\":%" PRIu64, tg_get_be(key.data + 8, (unsigned)key.len - 8));
        }
    }
    dump_bytes(dump->out, "value", value);
    fputs("}\n", dump->out);
    return true;
}

static void dump_recipients(FILE *out, struct bytes encoded)
{
    bool is_first = true;
    fputs(",\"recipients\":[", out);
    while (encoded.len > 0) {
        struct store_recipient one;
        size_t len = store_recipient_decode(encoded, &one);
        if (len == 0) {
            break; /* not reached: they were counted */
        }
        fprintf(out, "%s{\"session\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"qos\":%u,\"retain\":%s,\"shared\":%u,\"ids\":[",
                is_first ? "" : ",", one.session, one.seq, one.qos, one.retain ? "true" : "false", one.shared);
        for (uint16_t i = 0; i < one.id_count; i++) {
            fprintf(out, "%s%u", i == 0 ? "" : ",", store_recipient_id(&one, i));
        }
        fputs("]}", out);
        encoded.data += len;
        encoded.len -= len;
        is_first = false;
    }
    fputc(']', out);
}

static enum tg_err dump_message(void *arg, uint64_t mid, const struct lmdb_message *message)
{
    const struct dump *dump = arg;
    const uint8_t *body = message->body.data;
    fprintf(dump->out, "{\"table\":\"messages\",\"number\":%" PRIu64, mid);
    dump_text(dump->out, "topic", (struct bytes){body, message->topic_len});
    fprintf(dump->out,
            ",\"qos\":%u,\"retain\":%s,\"is_retained\":%s,\"version\":%" PRIu64 ",\"stored_ms\":%" PRIu64
            ",\"publisher\":\"%016" PRIx64 "\"",
            message->qos, (message->flags & LMDB_FLAG_RETAIN) != 0 ? "true" : "false",
            (message->flags & LMDB_FLAG_RETAINED) != 0 ? "true" : "false", message->version, message->stored_ms,
            message->publisher);
    if (message->expires_ms != STORE_NEVER_EXPIRES) {
        fprintf(dump->out, ",\"expires_ms\":%" PRIu64, message->expires_ms);
    }
    dump_recipients(dump->out, message->recipients);
    dump_bytes(dump->out, "properties", (struct bytes){body + message->topic_len, message->properties_len});
    dump_bytes(dump->out, "payload",
               (struct bytes){body + message->topic_len + message->properties_len, message->payload_len});
    fputs("}\n", dump->out);
    return ferror(dump->out) ? TG_ERR_CLOSED : TG_OK;
}

static enum tg_err dump_damaged(void *arg, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                                const char *why)
{
    struct dump *dump = arg;
    struct census census = {0};
    dump->damaged++;
    return report_damaged(&census, table, key, value, why);
}

static enum tg_err dump_leftover(void *arg, enum lmdb_table table, const MDB_val *key)
{
    (void)arg;
    (void)table;
    (void)key;
    return TG_OK;
}

int lmdb_tool_dump(const char *folder, FILE *out)
{
    struct lmdb_files files;
    struct dump dump = {.out = out};
    MDB_txn *txn;
    if (!look(folder, &files, &txn)) {
        return FAILED;
    }
    fprintf(out, "{\"schema\":%u,\"node\":\"", lmdb_schema.current);
    print_hex(out, files.node, sizeof(files.node));
    fprintf(out, "\",\"starts\":%" PRIu64 ",\"was_stopped_cleanly\":%s}\n", files.boot,
            files.was_clean ? "true" : "false");
    const struct lmdb_walker walker = {
        .entry = dump_entry, .message = dump_message, .damaged = dump_damaged, .leftover = dump_leftover, .arg = &dump};
    int rc;
    enum tg_err err = lmdb_walk(&files, txn, &walker, &rc);
    mdb_txn_abort(txn);
    int status = end_walk(err, rc, folder, out);
    lmdb_files_close(&files);
    return status != DONE ? status : dump.damaged > 0 ? DAMAGED : DONE;
}

/* --- copies -------------------------------------------------------------------------------------------------------------------- */

static int copy_to(const char *folder, const char *path)
{
    struct lmdb_files files;
    char why[STORE_LMDB_WHY_BYTES];
    int error = 0;
    const struct lmdb_copy copy = {0};
    if (lmdb_files_open(&files, folder, LMDB_LOOK, 0, &lmdb_schema, why, sizeof(why)) != TG_OK) {
        return fail("%s", why);
    }
    enum tg_err err = lmdb_copy(files.env, path, &copy, &error);
    lmdb_files_close(&files);
    return err == TG_OK ? DONE : fail("%s: %s", path, error != 0 ? mdb_strerror(error) : tg_strerror(err));
}

int lmdb_tool_backup(const char *folder, const char *path)
{
    return copy_to(folder, path);
}

/* Where FOLDER's next data.mdb is made ready. */
struct stage {
    char *folder;
    char *data;
    char *lock; /* of LMDB, if it was opened there */
    char *partial;
};

static void stage_clear(const struct stage *stage)
{
    if (stage->folder != NULL && stage->data != NULL && stage->lock != NULL && stage->partial != NULL) {
        unlink(stage->data);
        unlink(stage->lock);
        unlink(stage->partial);
        rmdir(stage->folder);
    }
}

static void stage_fini(struct stage *stage)
{
    stage_clear(stage);
    free(stage->folder);
    free(stage->data);
    free(stage->lock);
    free(stage->partial);
}

static bool stage_init(struct stage *stage, const char *folder)
{
    *stage = (struct stage){.folder = lmdb_path(folder, STAGE_NAME)};
    if (stage->folder != NULL) {
        stage->data = lmdb_path(stage->folder, DATA_NAME);
        stage->lock = lmdb_path(stage->folder, "lock.mdb");
        stage->partial = lmdb_path(stage->folder, DATA_NAME ".partial");
    }
    if (stage->data == NULL || stage->lock == NULL || stage->partial == NULL) {
        fail("out of memory");
        return false;
    }
    stage_clear(stage); /* of an earlier attempt that was cut off */
    if (mkdir(stage->folder, 0700) < 0) {
        fail("%s: %s", stage->folder, strerror(errno));
        return false;
    }
    return true;
}

/* What is ready becomes the store. LMDB's lock file speaks of the old one, and is made anew. */
static int stage_commit(const struct stage *stage, const char *folder)
{
    int status = DONE;
    char *data = lmdb_path(folder, DATA_NAME);
    char *lock = lmdb_path(folder, "lock.mdb");
    if (data == NULL || lock == NULL) {
        status = fail("out of memory");
    } else if (!lmdb_give_to_owner(folder, stage->data) || rename(stage->data, data) < 0) {
        status = fail("%s: %s", data, strerror(errno));
    } else if ((unlink(lock) < 0 && errno != ENOENT) || !lmdb_sync_folder(folder)) {
        status = fail("%s: %s", folder, strerror(errno));
    }
    free(data);
    free(lock);
    return status;
}

static long long data_bytes(const char *folder)
{
    struct stat st;
    char *data = lmdb_path(folder, DATA_NAME);
    long long bytes = data != NULL && stat(data, &st) == 0 ? (long long)st.st_size : -1;
    free(data);
    return bytes;
}

int lmdb_tool_compact(const char *folder, FILE *out)
{
    char why[STORE_LMDB_WHY_BYTES];
    enum tg_err err;
    struct stage stage = {0};
    long long before = data_bytes(folder);
    if (before < 0) {
        return fail("%s: there is no store", folder);
    }
    int lock_fd = lmdb_lock(folder, &err, why, sizeof(why));
    if (lock_fd < 0) {
        return fail("%s", why);
    }
    int status = stage_init(&stage, folder) ? copy_to(folder, stage.data) : FAILED;
    if (status == DONE) {
        status = stage_commit(&stage, folder);
    }
    stage_fini(&stage);
    close(lock_fd);
    if (status == DONE) {
        fprintf(out, "%lld bytes before, %lld now\n", before, data_bytes(folder));
    }
    return status;
}

/* --- restore ------------------------------------------------------------------------------------------------------------------- */

static int copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) {
        return fail("%s: %s", from, strerror(errno));
    }
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    uint8_t *buf = malloc(BUF_BYTES);
    int status = buf == NULL ? fail("out of memory") : out < 0 ? fail("%s: %s", to, strerror(errno)) : DONE;
    while (status == DONE) {
        ssize_t len = read(in, buf, BUF_BYTES);
        if (len == 0) {
            break;
        }
        if (len < 0) {
            status = fail("%s: %s", from, strerror(errno));
        } else if (write(out, buf, (size_t)len) != len) {
            status = fail("%s: it cannot be written completely", to);
        }
    }
    if (status == DONE && fsync(out) < 0) {
        status = fail("%s: %s", to, strerror(errno));
    }
    if (out >= 0) {
        close(out);
    }
    close(in);
    free(buf);
    return status;
}

/* It is a store that this version can read. */
static int prove(const char *folder, const char *path)
{
    struct lmdb_files files;
    char why[STORE_LMDB_WHY_BYTES];
    if (lmdb_files_open(&files, folder, LMDB_LOOK, 0, &lmdb_schema, why, sizeof(why)) != TG_OK) {
        return fail("%s is no backup that can be used: %s", path, why);
    }
    lmdb_files_close(&files);
    return DONE;
}

int lmdb_tool_restore(const char *path, const char *folder, bool is_forced)
{
    char why[STORE_LMDB_WHY_BYTES];
    enum tg_err err;
    struct stage stage = {0};
    if (lmdb_make_folder(folder, why, sizeof(why)) != TG_OK) {
        return fail("%s", why);
    }
    int lock_fd = lmdb_lock(folder, &err, why, sizeof(why));
    if (lock_fd < 0) {
        return fail("%s", why);
    }
    int status = DONE;
    if (data_bytes(folder) >= 0 && !is_forced) {
        status = fail("%s holds a store already, which --force would replace", folder);
    } else if (!stage_init(&stage, folder)) {
        status = FAILED;
    } else {
        status = copy_file(path, stage.data);
        status = status != DONE ? status : prove(stage.folder, path);
        status = status != DONE ? status : stage_commit(&stage, folder);
    }
    stage_fini(&stage);
    close(lock_fd);
    return status;
}
