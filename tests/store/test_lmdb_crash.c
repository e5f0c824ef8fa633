/* A process that writes is killed again and again. It tells through a pipe what was acknowledged, and what it is about to give up: everything
 * that was acknowledged and is not given up must be found afterwards, whole. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/be.h"
#include "gateway/store/lmdb_engine.h"
#include "tests/check_main.h"
#include "tests/store/lmdb_kit.h"

enum { BATCH = 20, NUMBERS_MAX = 200000, LARGE = 150000, MANY = 300 };

enum told { NOTHING, ACKNOWLEDGED, GIVEN_UP, RETAINED };

struct line { /* through the pipe, in one piece */
    uint32_t number;
    uint32_t told;
};

static struct kit kit;

static void set_up(void)
{
    kit_init(&kit);
}

static void tear_down(void)
{
    kit_fini(&kit);
}

static void tell(int fd, uint32_t number, enum told told)
{
    struct line line = {number, told};
    if (write(fd, &line, sizeof(line)) != (ssize_t)sizeof(line)) {
        _exit(1);
    }
}

/* What a message is follows from its number. */
static uint32_t recipients_of(uint32_t number)
{
    return number % 9 == 4 ? MANY : 1 + number % 3;
}

static size_t payload_of(uint32_t number, uint8_t *buf)
{
    size_t len = number % 13 == 5 ? LARGE : 4 + number % 300;
    for (size_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)(number + i / 3);
    }
    tg_put_be(buf, number, 4);
    return len;
}

static struct store_record *put_number(uint32_t number, uint8_t *buf)
{
    static uint64_t sessions[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        sessions[i] = number + i + 1;
    }
    size_t len = payload_of(number, buf);
    struct store_record *record = kit_record("m", buf, len, sessions, recipients_of(number));
    store_port_close(kit.ports[0], record);
    return record;
}

/* The child: numbers from FIRST on, until it is killed. */
static void write_for_ever(int fd, uint32_t first)
{
    struct store_record *open[BATCH];
    struct store_record *retained = NULL;
    static uint8_t buf[LARGE];
    kit_open(&kit);
    for (uint32_t number = first;;) {
        for (unsigned i = 0; i < BATCH; i++) {
            open[i] = put_number(number + i, buf);
        }
        for (unsigned i = 0; i < BATCH; i++) {
            kit_wait_record(&kit, open[i]);
            tell(fd, number + i, ACKNOWLEDGED);
        }
        struct store_record *value = kit_retain(&kit, "r", "value", number, retained, 0);
        kit_wait_record(&kit, value);
        tell(fd, number, RETAINED);
        store_record_unref(retained);
        retained = value;
        for (unsigned i = 0; i < BATCH; i++) {
            if (i % 3 == 0) {
                tell(fd, number + i, GIVEN_UP);
                for (uint32_t r = 0; r < recipients_of(number + i); r++) {
                    kit_finish(&kit, open[i], r);
                }
            }
            store_record_unref(open[i]);
        }
        number += BATCH;
    }
}

static uint8_t told[NUMBERS_MAX];
static uint32_t highest_retained;

static bool listen_to(int fd, uint32_t *highest)
{
    struct line line;
    size_t have = 0;
    while (have < sizeof(line)) {
        ssize_t len = read(fd, (uint8_t *)&line + have, sizeof(line) - have);
        if (len <= 0) {
            return false;
        }
        have += (size_t)len;
    }
    ck_assert_uint_lt(line.number, NUMBERS_MAX);
    if (line.told == RETAINED) {
        highest_retained = line.number;
    } else {
        told[line.number] = (uint8_t)line.told;
    }
    *highest = line.number > *highest ? line.number : *highest;
    return true;
}

static void check_found(void)
{
    static bool found[NUMBERS_MAX];
    static uint8_t expected[LARGE];
    uint64_t retained = 0;
    memset(found, 0, sizeof(found));
    for (size_t i = 0; i < kit.message_count; i++) {
        const struct kit_message *message = &kit.messages[i];
        if (message->is_retained) {
            retained = message->version > retained ? message->version : retained;
            continue;
        }
        ck_assert_uint_ge(message->payload_len, 4);
        uint32_t number = (uint32_t)tg_get_be(message->payload, 4);
        ck_assert_uint_lt(number, NUMBERS_MAX);
        ck_assert_uint_eq(message->payload_len, payload_of(number, expected));
        ck_assert_mem_eq(message->payload, expected, message->payload_len);
        /* One that was given up before it was put has fewer; none here was. */
        ck_assert_uint_eq(message->recipient_count, recipients_of(number));
        ck_assert(!found[number]);
        found[number] = true;
    }
    for (uint32_t n = 0; n < NUMBERS_MAX; n++) {
        if (told[n] == ACKNOWLEDGED && !found[n]) {
            ck_abort_msg("%u was acknowledged and is lost", n);
        }
    }
    ck_assert_uint_ge(retained, highest_retained);
    struct store_figures figures;
    kit.store->engine->figures(kit.store, &figures);
    ck_assert_uint_eq(figures.damaged, 0);
}

START_TEST(nothing_acknowledged_is_lost_by_kill_9)
{
    enum { KILLS = 6 };
    uint32_t first = 1;
    uint32_t seed = 12345;
    for (unsigned round = 0; round < KILLS; round++) {
        int ends[2];
        uint32_t highest = first;
        ck_assert_int_eq(pipe(ends), 0);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            write_for_ever(ends[1], first);
        }
        close(ends[1]);
        seed = seed * 1103515245 + 12345;
        for (uint32_t lines = 20 + (seed >> 16) % 300; lines > 0 && listen_to(ends[0], &highest); lines--) {
        }
        usleep((seed >> 8) % 4000); /* somewhere in a commit */
        kill(child, SIGKILL);
        while (listen_to(ends[0], &highest)) {
        }
        close(ends[0]);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        kit_open(&kit);
        ck_assert(!kit.store->was_stopped_cleanly);
        check_found();
        kit_close(&kit);
        first = highest + BATCH + 1;
    }
    uint32_t acknowledged = 0;
    for (uint32_t n = 0; n < NUMBERS_MAX; n++) {
        acknowledged += told[n] == ACKNOWLEDGED;
    }
    ck_assert_uint_gt(acknowledged, 100);
}
END_TEST

enum { HUGE_FAN = 400000 }; /* some three transactions */

/* The number of the last transaction that is in the file. */
static uint64_t last_transaction(void)
{
    char path[128];
    uint64_t last = 0;
    snprintf(path, sizeof(path), "%s/data.mdb", kit.folder);
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    for (off_t page = 0; page < 2; page++) {
        uint64_t number = 0;
        if (pread(fd, &number, sizeof(number), page * 4096 + 16 + 128) == (ssize_t)sizeof(number) && number > last) {
            last = number;
        }
    }
    close(fd);
    return last;
}

/* The child: one message to very many. Says "r" when it is ready, waits for a byte, says "d" when it is done. */
static void put_huge(int fd)
{
    char byte;
    uint64_t *sessions = malloc(HUGE_FAN * sizeof(*sessions));
    for (uint32_t i = 0; i < HUGE_FAN; i++) {
        sessions[i] = i + 1;
    }
    kit_open(&kit);
    struct store_record *record = kit_record("huge", "x", 1, sessions, HUGE_FAN);
    store_port_close(kit.ports[0], record);
    if (write(fd, "r", 1) != 1 || read(fd, &byte, 1) != 1) {
        _exit(1);
    }
    kit_wait_record(&kit, record);
    if (write(fd, "d", 1) != 1) {
        _exit(1);
    }
    pause();
}

START_TEST(fan_out_over_several_commits_is_whole_or_not_there)
{
    unsigned whole = 0;
    unsigned cut = 0;
    for (unsigned commits = 0; commits < 4; commits++) { /* after so many it is killed, or at the end */
        int ends[2];
        char byte = 0;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            put_huge(ends[1]);
        }
        close(ends[1]);
        ck_assert_int_eq(read(ends[0], &byte, 1), 1);
        uint64_t begun = last_transaction();
        ck_assert_int_eq(write(ends[0], "g", 1), 1);
        while (commits > 0 && last_transaction() < begun + commits) {
            sched_yield();
        }
        if (commits == 0) {
            ck_assert_int_eq(read(ends[0], &byte, 1), 1);
        }
        kill(child, SIGKILL);
        bool is_acknowledged = commits == 0 || read(ends[0], &byte, 1) == 1;
        close(ends[0]);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        kit_open(&kit);
        ck_assert(kit.message_count == 1 || (kit.message_count == 0 && !is_acknowledged));
        if (kit.message_count == 1) {
            whole++;
            ck_assert_uint_eq(kit.messages[0].recipient_count, HUGE_FAN);
            for (uint32_t i = 0; i < HUGE_FAN; i++) {
                kit_finish(&kit, kit.messages[0].record, i);
            }
        } else {
            cut++;
        }
        kit_reopen(&kit);
        ck_assert_uint_eq(kit.message_count, 0);
        kit_close(&kit);
    }
    ck_assert_uint_ge(whole, 1);
    ck_assert_uint_ge(cut, 1);
}
END_TEST

static void put_piece(const struct lmdb_files *files, MDB_txn *txn, enum lmdb_table table, uint64_t mid,
                      uint32_t number)
{
    uint8_t key_bytes[12];
    uint8_t value[LMDB_HEAD_BYTES + 100] = {0};
    tg_put_be(tg_put_be(key_bytes, mid, 8), number, 4);
    MDB_val key = {sizeof(key_bytes), key_bytes};
    lmdb_seal(table, &key, value, sizeof(value));
    ck_assert_int_eq(mdb_put(txn, files->tables[table], &key, &(MDB_val){sizeof(value), value}, 0), 0);
}

START_TEST(pieces_without_their_message_are_deleted_and_their_number_is_not_used_again)
{
    struct lmdb_files files;
    char why[STORE_LMDB_WHY_BYTES];
    MDB_txn *txn;
    MDB_stat stat;
    kit_open(&kit);
    struct store_record *record = kit_put(&kit, "a", "x", 1);
    kit_wait_record(&kit, record);
    store_record_unref(record);
    kit_close(&kit);
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_OWN, KIT_SIZE_LIMIT, &lmdb_schema, why, sizeof(why)),
                     TG_OK);
    ck_assert_int_eq(mdb_txn_begin(files.env, NULL, 0, &txn), 0);
    put_piece(&files, txn, LMDB_RECIPIENTS, 2, 0);
    put_piece(&files, txn, LMDB_RECIPIENTS, 2, 1);
    put_piece(&files, txn, LMDB_PARTS, 2, 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    lmdb_files_close(&files);
    kit_open(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    record = kit_put(&kit, "b", "x", 1); /* would be number 2 */
    kit_wait_record(&kit, record);
    ck_assert_uint_eq(record->id, 3);
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 2);
    kit_close(&kit);
    ck_assert_int_eq(lmdb_files_open(&files, kit.folder, LMDB_LOOK, 0, &lmdb_schema, why, sizeof(why)), TG_OK);
    ck_assert_int_eq(mdb_txn_begin(files.env, NULL, MDB_RDONLY, &txn), 0);
    ck_assert_int_eq(mdb_stat(txn, files.tables[LMDB_RECIPIENTS], &stat), 0);
    ck_assert_uint_eq(stat.ms_entries, 0);
    ck_assert_int_eq(mdb_stat(txn, files.tables[LMDB_PARTS], &stat), 0);
    ck_assert_uint_eq(stat.ms_entries, 0);
    mdb_txn_abort(txn);
    lmdb_files_close(&files);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lmdb_crash");
    TCase *crash = tcase_create("crash");
    tcase_add_checked_fixture(crash, set_up, tear_down);
    tcase_set_timeout(crash, 30);
    tcase_add_test(crash, nothing_acknowledged_is_lost_by_kill_9);
    tcase_add_test(crash, fan_out_over_several_commits_is_whole_or_not_there);
    tcase_add_test(crash, pieces_without_their_message_are_deleted_and_their_number_is_not_used_again);
    suite_add_tcase(s, crash);
    return s;
}

CHECK_MAIN(suite)
