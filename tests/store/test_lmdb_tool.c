#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/store/lmdb_engine.h"
#include "gateway/store/lmdb_tool.h"
#include "tests/check_main.h"
#include "tests/store/lmdb_kit.h"

static struct kit kit;
static char *text; /* what the last tool printed */
static char backup[128];
static char elsewhere[128];

static void set_up(void)
{
    kit_init(&kit);
    kit_open(&kit);
    kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "one");
    kit_write(&kit, STORE_SUBSCRIPTIONS, 1, 3, 12, "filter");
    store_record_unref(kit_put(&kit, "a/\"b\"", "text", 1));
    store_record_unref(kit_retain(&kit, "r", "value", 5, NULL, 0));
    static uint8_t large[100000];
    static uint64_t sessions[100];
    for (unsigned i = 0; i < 100; i++) {
        sessions[i] = i + 1;
    }
    struct store_record *record = kit_record("large", large, sizeof(large), sessions, 100);
    store_port_close(kit.ports[0], record);
    store_record_unref(record);
    kit_settle(&kit);
    snprintf(backup, sizeof(backup), "%.*s/backup.mdb", (int)(strlen(kit.folder) - 2), kit.folder);
    snprintf(elsewhere, sizeof(elsewhere), "%.*s/x/y", (int)(strlen(kit.folder) - 2), kit.folder);
}

static void tear_down(void)
{
    free(text);
    text = NULL;
    kit_fini(&kit);
}

/* Run TOOL on FOLDER, with what it prints in `text`. */
static int run(int (*tool)(const char *folder, FILE *out), const char *folder)
{
    size_t len;
    free(text);
    FILE *out = open_memstream(&text, &len);
    int status = tool(folder, out);
    fclose(out);
    return status;
}

static void check_restored(const char *folder)
{
    ck_assert_int_eq(run(lmdb_tool_check, folder), 0);
    ck_assert_msg(strstr(text, "messages      3, 1 of them retained values") != NULL, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "deliveries    101\n"));
}

static void flip_in_payload(void)
{
    char path[128];
    uint8_t byte;
    struct stat st;
    snprintf(path, sizeof(path), "%s/data.mdb", kit.folder);
    int fd = open(path, O_RDWR);
    ck_assert_int_eq(fstat(fd, &st), 0);
    uint8_t *bytes = malloc((size_t)st.st_size);
    ck_assert_int_eq(read(fd, bytes, (size_t)st.st_size), st.st_size);
    for (off_t at = 0; at + 10 < st.st_size; at++) { /* in old copies of the page, too */
        if (memcmp(bytes + at, "a/\"b\"text", 9) == 0) {
            byte = 'X';
            ck_assert_int_eq(pwrite(fd, &byte, 1, at + 6), 1);
        }
    }
    free(bytes);
    close(fd);
}

START_TEST(check_counts_what_is_there_beside_the_owner)
{
    check_restored(kit.folder);
    ck_assert_ptr_nonnull(strstr(text, "sessions      1\n"));
    ck_assert_ptr_nonnull(strstr(text, "damaged       0\n"));
    ck_assert_ptr_nonnull(strstr(text, "in use or not stopped cleanly"));
}
END_TEST

START_TEST(check_says_what_is_damaged_and_changes_nothing)
{
    kit_close(&kit);
    flip_in_payload();
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(run(lmdb_tool_check, kit.folder), 1);
        ck_assert_ptr_nonnull(strstr(text, "damaged       1\n"));
        ck_assert_ptr_nonnull(strstr(text, "messages      2, "));
    }
}
END_TEST

static atomic_bool is_checked;

/* Puts and deletes, so that pages are used again, until the check is through with it. */
static void *write_meanwhile(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_checked)) {
        struct store_record *records[40];
        for (unsigned i = 0; i < 40; i++) {
            records[i] = kit_put(&kit, "busy", "some text that goes again", 1);
        }
        kit_wait_record(&kit, records[39]);
        for (unsigned i = 0; i < 40; i++) {
            kit_finish(&kit, records[i], 0);
            store_record_unref(records[i]);
        }
    }
    return NULL;
}

/* As it is used: by another process than the owner. LMDB allows one environment a process. */
static int check_from_outside(const char *folder)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        bool is_sound = run(lmdb_tool_check, folder) == 0 && strstr(text, "damaged       0\n") != NULL;
        _exit(is_sound ? 0 : 1);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

START_TEST(check_finds_nothing_wrong_while_the_owner_writes)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_meanwhile, NULL), 0);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_int_eq(check_from_outside(kit.folder), 0);
    }
    atomic_store(&is_checked, true);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(check_refuses_what_is_no_store)
{
    ck_assert_int_eq(run(lmdb_tool_check, "/nonexistent/folder"), 2);
    ck_assert_int_eq(run(lmdb_tool_dump, elsewhere), 2);
    ck_assert_int_eq(lmdb_tool_backup(elsewhere, backup), 2);
    ck_assert_int_eq(run(lmdb_tool_compact, elsewhere), 2);
    ck_assert_int_eq(access(elsewhere, F_OK), -1); /* nothing of it was made */
}
END_TEST

START_TEST(dump_prints_a_line_for_everything)
{
    ck_assert_int_eq(run(lmdb_tool_dump, kit.folder), 0);
    unsigned lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    ck_assert_uint_eq(lines, 1 + 2 + 3);
    ck_assert_ptr_nonnull(strstr(text, "{\"schema\":1,\"node\":\""));
    ck_assert_ptr_nonnull(strstr(text, "{\"table\":\"sessions\",\"number\":1,\"value\":\"6f6e65\"}\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "{\"table\":\"subscriptions\",\"number\":1,\"part\":3,\"value\":\"66696c746572\"}\n"));
    ck_assert_ptr_nonnull(strstr(text, "\"topic\":\"a/\\\"b\\\"\",\"qos\":1,\"retain\":false,\"is_retained\":false"));
    ck_assert_ptr_nonnull(strstr(text,
                                 "\"recipients\":[{\"session\":1,\"seq\":1,\"qos\":1,\"retain\":false,\"shared\":0,"
                                 "\"ids\":[9]}],\"properties\":\"\",\"payload\":\"74657874\"}\n"));
    ck_assert_ptr_nonnull(strstr(text, "\"topic\":\"r\",\"qos\":1,\"retain\":true,\"is_retained\":true,\"version\":5"));
}
END_TEST

START_TEST(backup_beside_the_owner_is_restored_elsewhere)
{
    ck_assert_int_eq(lmdb_tool_backup(kit.folder, backup), 0);
    struct store_record *record = kit_put(&kit, "later", "x", 1);
    kit_wait_record(&kit, record);
    store_record_unref(record);
    ck_assert_int_eq(lmdb_tool_backup(kit.folder, backup), 2); /* it replaces nothing */
    ck_assert_int_eq(lmdb_tool_restore(backup, elsewhere, false), 0);
    check_restored(elsewhere);
    ck_assert_int_eq(lmdb_tool_restore(backup, elsewhere, false), 2); /* nor does this, */
    ck_assert_int_eq(lmdb_tool_restore(backup, elsewhere, true), 0);  /* unless it is to */
    check_restored(elsewhere);
    ck_assert_int_eq(lmdb_tool_restore(backup, kit.folder, true), 2); /* that is in use */
}
END_TEST

START_TEST(engine_copies_itself_while_it_writes)
{
    struct store_record *record = kit_put(&kit, "more", "x", 1);
    store_port_flush(kit.ports[0]);
    ck_assert_int_eq(kit.store->engine->backup(kit.store, backup), TG_OK);
    kit_wait_record(&kit, record);
    store_record_unref(record);
    ck_assert_int_eq(kit.store->engine->backup(kit.store, backup), TG_ERR_EXISTS);
    ck_assert_int_eq(kit.store->engine->backup(kit.store, "/nonexistent/folder/backup"), TG_ERR_IO);
    kit_close(&kit);
    ck_assert_int_eq(lmdb_tool_restore(backup, kit.folder, true), 0);
    kit_open(&kit);
    ck_assert_uint_ge(kit.message_count, 3);
    ck_assert(!kit.store->was_stopped_cleanly);
    ck_assert_ptr_nonnull(kit_found(&kit, "large"));
}
END_TEST

START_TEST(compaction_gives_room_back_and_keeps_everything)
{
    struct store_record *records[300];
    static uint8_t payload[4000];
    for (unsigned i = 0; i < 300; i++) {
        records[i] = kit_record("gone", payload, sizeof(payload), &(uint64_t){1}, 1);
        store_port_close(kit.ports[0], records[i]);
    }
    kit_settle(&kit);
    for (unsigned i = 0; i < 300; i++) {
        kit_finish(&kit, records[i], 0);
        store_record_unref(records[i]);
    }
    ck_assert_int_eq(run(lmdb_tool_compact, kit.folder), 2); /* in use */
    kit_close(&kit);
    long before = kit_file_size(&kit, "data.mdb");
    ck_assert_int_eq(run(lmdb_tool_compact, kit.folder), 0);
    ck_assert_int_lt(kit_file_size(&kit, "data.mdb"), before / 2);
    ck_assert_int_eq(kit_file_size(&kit, ".stage"), -1);
    check_restored(kit.folder);
    kit_open(&kit);
    ck_assert_uint_eq(kit.message_count, 3);
    ck_assert(kit.store->was_stopped_cleanly);
    struct store_record *record = kit_put(&kit, "new", "x", 1);
    kit_wait_record(&kit, record);
    store_record_unref(record);
}
END_TEST

START_TEST(what_root_does_belongs_to_the_owner_of_the_folder)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "tidegate.lock"};
    char path[128];
    struct stat st;
    if (geteuid() != 0) {
        return;
    }
    kit_close(&kit);
    ck_assert_int_eq(chown(kit.folder, 65534, 65534), 0);
    ck_assert_int_eq(run(lmdb_tool_compact, kit.folder), 0);
    ck_assert_int_eq(run(lmdb_tool_check, kit.folder), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", kit.folder, names[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_uid, 65534);
    }
}
END_TEST

START_TEST(restore_refuses_what_is_no_backup)
{
    FILE *file = fopen(backup, "w");
    fputs("not a store at all, but long enough for some pages of it to be looked at", file);
    fclose(file);
    ck_assert_int_eq(lmdb_tool_restore(backup, elsewhere, false), 2);
    ck_assert_int_eq(lmdb_tool_restore("/nonexistent/backup", elsewhere, false), 2);
    kit_close(&kit);
    ck_assert_int_eq(lmdb_tool_restore(backup, kit.folder, true), 2);
    check_restored(kit.folder); /* the store is as it was */
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lmdb_tool");
    TCase *tool = tcase_create("tool");
    tcase_add_checked_fixture(tool, set_up, tear_down);
    tcase_add_test(tool, check_counts_what_is_there_beside_the_owner);
    tcase_add_test(tool, check_says_what_is_damaged_and_changes_nothing);
    tcase_add_test(tool, check_finds_nothing_wrong_while_the_owner_writes);
    tcase_add_test(tool, check_refuses_what_is_no_store);
    tcase_add_test(tool, dump_prints_a_line_for_everything);
    tcase_add_test(tool, backup_beside_the_owner_is_restored_elsewhere);
    tcase_add_test(tool, engine_copies_itself_while_it_writes);
    tcase_add_test(tool, compaction_gives_room_back_and_keeps_everything);
    tcase_add_test(tool, what_root_does_belongs_to_the_owner_of_the_folder);
    tcase_add_test(tool, restore_refuses_what_is_no_backup);
    suite_add_tcase(s, tool);
    return s;
}

CHECK_MAIN(suite)
