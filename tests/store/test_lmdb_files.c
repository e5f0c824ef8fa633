/* Opening: what is refused and with which words, and what a damaged file does. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
#include "tests/check_main.h"
#include "tests/store/lmdb_kit.h"

static struct kit kit;
static char why[STORE_LMDB_WHY_BYTES];

static void set_up(void)
{
    kit_init(&kit);
    why[0] = '\0';
}

static void tear_down(void)
{
    kit_fini(&kit);
}

static struct store *try_open(void)
{
    const struct store_lmdb_options options = {.path = kit.folder, .size_limit_bytes = KIT_SIZE_LIMIT};
    return store_lmdb_new(&options, why, sizeof(why));
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", kit.folder, name);
    return path;
}

static void make_store(void)
{
    kit_open(&kit);
    kit_close(&kit);
}

START_TEST(missing_folder_is_made_for_its_owner_alone)
{
    struct stat st;
    make_store();
    ck_assert_int_eq(stat(kit.folder, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    ck_assert_int_eq(stat(path_of("data.mdb"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(second_opening_is_refused_naming_the_holder)
{
    char pid[32];
    kit_open(&kit);
    ck_assert_ptr_null(try_open());
    snprintf(pid, sizeof(pid), "process %ld ", (long)getpid());
    ck_assert_msg(strstr(why, pid) != NULL && strstr(why, kit.folder) != NULL, "%s", why);
}
END_TEST

START_TEST(second_process_is_refused)
{
    kit_open(&kit);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        _exit(try_open() == NULL && strstr(why, "is in use by process") != NULL ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(folder_is_free_again_after_closing)
{
    make_store();
    struct store *store = try_open();
    ck_assert_ptr_nonnull(store);
    store->engine->settle(store);
    store_free(store);
}
END_TEST

START_TEST(file_in_place_of_the_folder_is_refused)
{
    char *slash = strrchr(kit.folder, '/');
    *slash = '\0';
    ck_assert_int_eq(mkdir(kit.folder, 0700), 0);
    *slash = '/';
    int fd = open(kit.folder, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_ptr_null(try_open());
    ck_assert_msg(strstr(why, "is not a folder") != NULL, "%s", why);
    unlink(kit.folder);
}
END_TEST

/* As another user in a child, if this one may become one. */
static int as_nobody(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) < 0 || setuid(65534) < 0) {
            _exit(77);
        }
        struct store *store = try_open();
        fprintf(stderr, "said: %s\n", why);
        _exit(store == NULL && strstr(why, kit.folder) != NULL ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(folder_of_another_user_is_refused)
{
    char parent[64];
    make_store();
    strcpy(parent, kit.folder);
    *strstr(parent, "/a/b") = '\0';
    ck_assert_int_eq(chmod(parent, 0755), 0);
    strcat(parent, "/a");
    ck_assert_int_eq(chmod(parent, 0755), 0);
    ck_assert_int_eq(chmod(kit.folder, 0755), 0);
    int status = as_nobody();
    ck_assert(status == 0 || status == 77);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(kit.folder, 65534, 65534), 0);
        ck_assert_ptr_null(try_open());
        ck_assert_msg(strstr(why, "belongs to user nobody") != NULL, "%s", why);
        ck_assert_int_eq(as_nobody(), 0); /* the folder is its own now, the file is not */
    }
}
END_TEST

START_TEST(read_only_folder_is_refused)
{
    make_store();
    ck_assert_int_eq(chmod(kit.folder, 0500), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(kit.folder, 65534, 65534), 0);
        char parent[64];
        strcpy(parent, kit.folder);
        *strstr(parent, "/a/b") = '\0';
        ck_assert_int_eq(chmod(parent, 0755), 0);
        strcat(parent, "/a");
        ck_assert_int_eq(chmod(parent, 0755), 0);
        ck_assert_int_eq(as_nobody(), 0);
    } else {
        ck_assert_ptr_null(try_open());
        ck_assert_msg(strstr(why, "cannot be written") != NULL, "%s", why);
    }
    ck_assert_int_eq(chmod(kit.folder, 0700), 0);
}
END_TEST

/* --- schemas ------------------------------------------------------------------------------------------------------------------- */

static void set_meta(const char *name, uint32_t value)
{
    struct lmdb_files files;
    MDB_txn *txn;
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_OWN, KIT_SIZE_LIMIT, &lmdb_schema, why, sizeof(why)),
                     TG_OK);
    ck_assert_int_eq(mdb_txn_begin(files.env, NULL, 0, &txn), 0);
    ck_assert_int_eq(lmdb_meta_put(txn, files.tables[LMDB_META], name, value, 4), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    lmdb_files_close(&files);
}

static uint8_t *read_file(const char *name, size_t *len)
{
    struct stat st;
    int fd = open(path_of(name), O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    uint8_t *bytes = malloc((size_t)st.st_size);
    ck_assert_int_eq(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *len = (size_t)st.st_size;
    return bytes;
}

START_TEST(newer_schema_is_refused_and_left_untouched)
{
    size_t before_len;
    size_t after_len;
    make_store();
    set_meta("schema", 99);
    uint8_t *before = read_file("data.mdb", &before_len);
    ck_assert_ptr_null(try_open());
    ck_assert_msg(strstr(why, "newer version (its schema is 99") != NULL, "%s", why);
    uint8_t *after = read_file("data.mdb", &after_len);
    ck_assert_uint_eq(before_len, after_len);
    ck_assert_mem_eq(before, after, before_len);
    free(before);
    free(after);
}
END_TEST

static int steps_run;

static int step_to_two(MDB_txn *txn)
{
    (void)txn;
    steps_run = steps_run * 10 + 1;
    return 0;
}

/* Sessions get a letter in front of their value. */
static int step_to_three(MDB_txn *txn)
{
    MDB_dbi sessions;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    steps_run = steps_run * 10 + 2;
    int rc = mdb_dbi_open(txn, "sessions", 0, &sessions);
    rc = rc != 0 ? rc : mdb_cursor_open(txn, sessions, &cursor);
    if (rc != 0) {
        return rc;
    }
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct bytes plain = lmdb_unseal(LMDB_ENTRIES + STORE_SESSIONS, &key, &value);
        uint8_t buf[64];
        if (plain.data == NULL || plain.len > 32) {
            return MDB_CORRUPTED;
        }
        buf[LMDB_HEAD_BYTES] = '+';
        memcpy(buf + LMDB_HEAD_BYTES + 1, plain.data, plain.len);
        MDB_val next = {LMDB_HEAD_BYTES + 1 + plain.len, buf};
        lmdb_seal(LMDB_ENTRIES + STORE_SESSIONS, &key, buf, next.mv_size);
        rc = mdb_cursor_put(cursor, &key, &next, MDB_CURRENT);
        if (rc != 0) {
            return rc;
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int step_that_fails(MDB_txn *txn)
{
    return step_to_three(txn) != 0 ? 0 : MDB_CORRUPTED;
}

START_TEST(older_schema_is_migrated_step_by_step_or_not_at_all)
{
    struct lmdb_files files;
    const struct lmdb_step failing[] = {{1, step_to_two}, {2, step_that_fails}};
    const struct lmdb_step gap[] = {{2, step_to_three}};
    const struct lmdb_step steps[] = {{2, step_to_three}, {1, step_to_two}};
    const struct lmdb_schema broken = {.current = 3, .steps = failing, .step_count = 2};
    const struct lmdb_schema incomplete = {.current = 3, .steps = gap, .step_count = 1};
    const struct lmdb_schema three = {.current = 3, .steps = steps, .step_count = 2};
    kit_open(&kit);
    kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "one");
    kit_close(&kit);
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_OWN, KIT_SIZE_LIMIT, &broken, why, sizeof(why)),
                     TG_ERR_CORRUPT);
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_OWN, KIT_SIZE_LIMIT, &incomplete, why, sizeof(why)),
                     TG_ERR_UNSUPPORTED);
    ck_assert_msg(strstr(why, "too old") != NULL, "%s", why);
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_LOOK, 0, &three, why, sizeof(why)), TG_ERR_UNSUPPORTED);
    ck_assert_msg(strstr(why, "older version") != NULL, "%s", why);
    kit_open(&kit); /* nothing of it happened */
    ck_assert_str_eq(kit_found_entry(&kit, STORE_SESSIONS, 1)->value, "one");
    kit_close(&kit);
    steps_run = 0;
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_OWN, KIT_SIZE_LIMIT, &three, why, sizeof(why)), TG_OK);
    ck_assert_int_eq(steps_run, 12);
    lmdb_files_close(&files);
    ck_assert_ptr_null(try_open()); /* it is newer than this version now */
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_OWN, KIT_SIZE_LIMIT, &three, why, sizeof(why)), TG_OK);
    MDB_txn *txn;
    ck_assert_int_eq(mdb_txn_begin(files.env, NULL, 0, &txn), 0);
    ck_assert_int_eq(lmdb_meta_put(txn, files.tables[LMDB_META], "schema", 1, 4), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    lmdb_files_close(&files);
    ck_assert_int_eq(steps_run, 12); /* not a second time */
    kit_open(&kit);
    ck_assert_str_eq(kit_found_entry(&kit, STORE_SESSIONS, 1)->value, "+one");
}
END_TEST

/* --- damage -------------------------------------------------------------------------------------------------------------------- */

static void fill_store(void)
{
    static uint64_t many[200];
    static uint8_t large[70000];
    char topic[16];
    kit_open(&kit);
    for (unsigned i = 0; i < 200; i++) {
        many[i] = i + 1;
        kit_write(&kit, STORE_SESSIONS, i + 1, 0, 8, "session");
        kit_write(&kit, STORE_SUBSCRIPTIONS, i + 1, i, 12, "filter");
        snprintf(topic, sizeof(topic), "t/%u", i);
        store_record_unref(kit_put(&kit, topic, "some payload that takes a little room", i + 1));
        if (i % 20 == 0) {
            kit_settle(&kit); /* so that there are free pages */
        }
    }
    memset(large, 7, sizeof(large));
    struct store_record *record = kit_record("fan", "x", 1, many, 200);
    store_port_close(kit.ports[0], record);
    store_record_unref(record);
    record = kit_record("large", large, sizeof(large), many, 2);
    store_port_close(kit.ports[0], record);
    store_record_unref(record);
    record = kit_record("overflow", large, 5000, many, 2);
    store_port_close(kit.ports[0], record);
    store_record_unref(record);
    kit_close(&kit);
}

static void write_file(const char *name, const uint8_t *bytes, size_t len)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

START_TEST(flipped_bit_is_quarantined_or_refused_and_crashes_nothing)
{
    enum { ROUNDS = 150 };
    size_t len;
    unsigned refused = 0;
    unsigned quarantined = 0;
    unsigned unnoticed = 0;
    uint64_t state = 88172645463325252ULL + (unsigned)_i;
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 1});
    fill_store();
    uint8_t *whole = read_file("data.mdb", &len);
    while (len > 4096 && whole[len - 1] == 0) {
        len--; /* room that was taken ahead */
    }
    len = (len + 4095) / 4096 * 4096;
    for (unsigned i = 0; i < ROUNDS; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        size_t at = i % 3 == 0 ? (state >> 3) % len / 4096 * 4096 + (state >> 40) % 128 : (state >> 3) % len;
        at = i < 30 ? at % 8192 : at; /* the first two pages are few among many */
        whole[at] ^= (uint8_t)(1u << (state & 7));
        write_file("data.mdb", whole, len);
        whole[at] ^= (uint8_t)(1u << (state & 7));
        struct store *store = try_open();
        if (store == NULL) {
            refused++;
            ck_assert_msg(strstr(why, kit.folder) != NULL, "%s", why);
            continue;
        }
        store->engine->settle(store);
        store_free(store);
        kit_open(&kit);
        struct store_figures figures;
        kit.store->engine->figures(kit.store, &figures);
        quarantined += figures.damaged > 0;
        unnoticed += figures.damaged == 0;
        ck_assert_uint_ge(kit.message_count + figures.damaged, 203);
        /* It is fit for use: everything can be deleted, and something be put. */
        for (size_t m = 0; m < kit.message_count; m++) {
            for (uint32_t n = 0; n < kit.messages[m].recipient_count; n++) {
                kit_finish(&kit, kit.messages[m].record, n);
            }
        }
        struct store_record *record = kit_put(&kit, "new", "x", 1);
        kit_wait_record(&kit, record);
        store_record_unref(record);
        kit_reopen(&kit);
        ck_assert_uint_eq(kit.message_count, 1);
        kit_close(&kit);
    }
    free(whole);
    ck_assert_uint_gt(refused, ROUNDS / 20);
    ck_assert_uint_gt(quarantined, ROUNDS / 20);
    ck_assert_uint_lt(unnoticed, ROUNDS * 3 / 4); /* in free pages, and in what pages do not use */
    fprintf(stderr, "%u refused, %u quarantined, %u where nothing is\n", refused, quarantined, unnoticed);
}
END_TEST

START_TEST(file_that_is_cut_off_is_refused)
{
    size_t len;
    fill_store();
    uint8_t *whole = read_file("data.mdb", &len);
    for (size_t pages = 1; pages <= 40; pages += 3) {
        write_file("data.mdb", whole, pages * 4096);
        ck_assert_ptr_null(try_open());
        ck_assert_msg(strstr(why, "data.mdb") != NULL, "%s", why);
    }
    write_file("data.mdb", whole, 100);
    ck_assert_ptr_null(try_open());
    free(whole);
}
END_TEST

START_TEST(foreign_file_is_refused)
{
    static uint8_t text[20000];
    make_store();
    memset(text, 'x', sizeof(text));
    write_file("data.mdb", text, sizeof(text));
    ck_assert_ptr_null(try_open());
    ck_assert_msg(strstr(why, "not those of a store") != NULL, "%s", why);
}
END_TEST

START_TEST(value_under_another_key_is_damaged)
{
    struct lmdb_files files;
    MDB_txn *txn;
    kit_open(&kit);
    kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "one");
    kit_close(&kit);
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_OWN, KIT_SIZE_LIMIT, &lmdb_schema, why, sizeof(why)),
                     TG_OK);
    ck_assert_int_eq(mdb_txn_begin(files.env, NULL, 0, &txn), 0);
    uint8_t from[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t to[8] = {0, 0, 0, 0, 0, 0, 0, 2};
    uint8_t copy[64];
    MDB_val value;
    MDB_dbi sessions = files.tables[LMDB_ENTRIES + STORE_SESSIONS];
    ck_assert_int_eq(mdb_get(txn, sessions, &(MDB_val){8, from}, &value), 0);
    memcpy(copy, value.mv_data, value.mv_size);
    ck_assert_int_eq(mdb_put(txn, sessions, &(MDB_val){8, to}, &(MDB_val){value.mv_size, copy}, 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    lmdb_files_close(&files);
    kit_open(&kit);
    ck_assert_uint_eq(kit.entry_count, 1);
    struct store_figures figures;
    kit.store->engine->figures(kit.store, &figures);
    ck_assert_uint_eq(figures.damaged, 1);
}
END_TEST

START_TEST(failed_start_does_not_hide_an_unclean_stop)
{
    kit_open(&kit);
    fflush(NULL);
    kit_close(&kit);
    pid_t child = fork(); /* before the store is open */
    if (child == 0) {
        kit_open(&kit);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    struct store *store = try_open(); /* and the gateway finds its port in use, say */
    ck_assert_ptr_nonnull(store);
    ck_assert(!store->was_stopped_cleanly);
    store->engine->settle(store);
    store_free(store);
    kit_open(&kit);
    ck_assert(!kit.store->was_stopped_cleanly);
    kit_reopen(&kit);
    ck_assert(kit.store->was_stopped_cleanly);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lmdb_files");
    TCase *open = tcase_create("open");
    tcase_add_checked_fixture(open, set_up, tear_down);
    tcase_add_test(open, missing_folder_is_made_for_its_owner_alone);
    tcase_add_test(open, second_opening_is_refused_naming_the_holder);
    tcase_add_test(open, second_process_is_refused);
    tcase_add_test(open, folder_is_free_again_after_closing);
    tcase_add_test(open, file_in_place_of_the_folder_is_refused);
    tcase_add_test(open, folder_of_another_user_is_refused);
    tcase_add_test(open, read_only_folder_is_refused);
    tcase_add_test(open, failed_start_does_not_hide_an_unclean_stop);
    suite_add_tcase(s, open);
    TCase *schema = tcase_create("schema");
    tcase_add_checked_fixture(schema, set_up, tear_down);
    tcase_add_test(schema, newer_schema_is_refused_and_left_untouched);
    tcase_add_test(schema, older_schema_is_migrated_step_by_step_or_not_at_all);
    suite_add_tcase(s, schema);
    TCase *damage = tcase_create("damage");
    tcase_add_checked_fixture(damage, set_up, tear_down);
    tcase_set_timeout(damage, 30);
    tcase_add_loop_test(damage, flipped_bit_is_quarantined_or_refused_and_crashes_nothing, 0, 1);
    tcase_add_test(damage, file_that_is_cut_off_is_refused);
    tcase_add_test(damage, foreign_file_is_refused);
    tcase_add_test(damage, value_under_another_key_is_damaged);
    suite_add_tcase(s, damage);
    return s;
}

CHECK_MAIN(suite)
