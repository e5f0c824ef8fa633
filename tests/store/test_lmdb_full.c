/* No room: in the file, on the disk. Nothing is called done that is not on disk, and deletes make room again. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "gateway/base/be.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
#include "tests/check_main.h"
#include "tests/store/lmdb_kit.h"

enum { LIMIT = 2 << 20, RECORDS_MAX = 2000, BYTES = 1500 };

static struct kit kit;
static struct store_record *records[RECORDS_MAX];
static uint32_t record_count;
static uint8_t payload[BYTES];

static void set_up(void)
{
    kit_init(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = LIMIT});
    record_count = 0;
}

static void tear_down(void)
{
    for (uint32_t i = 0; i < record_count; i++) {
        store_record_unref(records[i]);
    }
    kit_fini(&kit);
}

static struct store_record *put_at(struct store_port *port)
{
    struct store_record *record = kit_record("t", payload, sizeof(payload), &(uint64_t){1}, 1);
    store_port_close(port, record);
    ck_assert_uint_lt(record_count, RECORDS_MAX);
    records[record_count++] = record;
    return record;
}

static void fill_until_refused(void)
{
    while (store_admit(kit.store, sizeof(payload)) == STORE_ADMITTED) {
        for (unsigned i = 0; i < 10; i++) {
            put_at(kit.ports[0]);
        }
        kit_wait_record(&kit, records[record_count - 1]);
    }
    kit_settle(&kit);
    ck_assert_int_eq(store_admit(kit.store, sizeof(payload)), STORE_FULL);
}

START_TEST(messages_are_refused_before_the_file_is_full)
{
    struct store_figures figures;
    fill_until_refused();
    kit.store->engine->figures(kit.store, &figures);
    ck_assert_uint_eq(figures.limit_bytes, LIMIT);
    ck_assert_uint_gt(figures.used_bytes, LIMIT / 2);
    ck_assert_uint_lt(figures.used_bytes, LIMIT);
    /* What was admitted by then has its room still. */
    for (unsigned i = 0; i < 20; i++) {
        kit_wait_record(&kit, put_at(kit.ports[0]));
    }
}
END_TEST

static void wait_until_admitted(void)
{
    /* Deletes are lazy: they take place within a second or so, with nobody doing anything. The measure of the test is that it ends. */
    while (store_admit(kit.store, sizeof(payload)) != STORE_ADMITTED) {
        sched_yield();
    }
}

START_TEST(deletes_make_room_again)
{
    fill_until_refused();
    for (uint32_t i = 0; i < record_count; i++) {
        kit_finish(&kit, records[i], 0);
    }
    kit_settle(&kit);
    wait_until_admitted();
    kit_wait_record(&kit, put_at(kit.ports[0]));
}
END_TEST

START_TEST(what_is_beyond_the_limit_waits_and_is_never_called_done)
{
    fill_until_refused();
    uint32_t before = record_count;
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    for (unsigned i = 0; i < 600; i++) { /* by someone who does not ask */
        put_at(kit.ports[0]);
    }
    store_port_flush(kit.ports[0]);
    /* A port of its own writes nothing: its finishes go through, although they stand behind. */
    for (uint32_t i = 0; i < before; i++) {
        store_port_finish(kit.ports[1], store_record_ref(records[i]), 0);
    }
    ck_assert_int_eq(store_admit(kit.store, 1), STORE_FULL);
    store_port_flush(kit.ports[1]);
    kit_wait_record(&kit, records[record_count - 1]);
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = LIMIT});
    ck_assert_uint_eq(kit.message_count, record_count - before);
}
END_TEST

static struct store_write *session_entry(uint64_t session, size_t len)
{
    uint8_t key[8];
    tg_put_be(key, session, 8);
    struct store_write *write = store_write_new(STORE_SESSIONS, key, sizeof(key), len);
    ck_assert_ptr_nonnull(write);
    memset(write->value, 'x', len);
    write->is_delete = len == 0;
    return write;
}

START_TEST(deletes_of_small_entries_get_through_where_nothing_can_be_put)
{
    struct store_ticket ticket;
    uint64_t sessions = 0;
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    while (store_admit(kit.store, sizeof(payload)) == STORE_ADMITTED) {
        for (unsigned i = 0; i < 10; i++) {
            ck_assert(store_port_write(kit.ports[2], session_entry(++sessions, sizeof(payload)), &ticket));
        }
        kit_wait(&kit, ticket);
    }
    for (unsigned i = 0; i < 600; i++) {
        put_at(kit.ports[0]);
    }
    store_port_flush(kit.ports[0]);
    /* In another domain, some beside the batch and some behind it. */
    for (uint64_t session = 1; session <= sessions; session++) {
        if (session % 2 == 0) {
            ticket = store_port_end_session(kit.ports[1], session);
        } else {
            ck_assert(store_port_write(kit.ports[1], session_entry(session, 0), &ticket));
        }
        if (session % 100 == 0) {
            store_port_flush(kit.ports[1]);
        }
    }
    kit_wait(&kit, ticket);
    kit_wait_record(&kit, records[record_count - 1]); /* they have made room for it */
    struct store_figures figures;
    kit_settle(&kit);
    kit.store->engine->figures(kit.store, &figures);
    ck_assert_uint_eq(figures.waiting_bytes, 0);
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = LIMIT});
    ck_assert_uint_eq(kit.message_count, 600);
    ck_assert_uint_eq(kit.entry_count, 0);
}
END_TEST

START_TEST(deletes_do_not_pass_what_their_own_domain_has_put_before_them)
{
    struct store_ticket ticket;
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    ck_assert(store_port_write(kit.ports[0], session_entry(1, 4), &ticket));
    kit_wait(&kit, ticket);
    fill_until_refused();
    uint32_t before = record_count;
    for (unsigned i = 0; i < 900; i++) {
        put_at(kit.ports[0]);
    }
    ticket = store_port_end_session(kit.ports[0], 1);
    kit_settle(&kit); /* gives up */
    ck_assert(!store_is_done(kit.store, &ticket));
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = LIMIT});
    ck_assert_uint_eq(kit.message_count, before);
    ck_assert_ptr_nonnull(kit_found_entry(&kit, STORE_SESSIONS, 1));
}
END_TEST

START_TEST(end_of_a_session_that_could_not_be_put_deletes_nothing)
{
    enum { ENTRIES = 1500 }; /* more than go in one transaction */
    struct store_ticket ticket = kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "it");
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    for (uint64_t i = 0; i < ENTRIES; i++) {
        ticket = kit_write(&kit, STORE_SENT, 1, i, 16, "x");
    }
    kit_wait(&kit, ticket);
    fill_until_refused();
    put_at(kit.ports[0]);
    ticket = store_port_end_session(kit.ports[0], 1);
    for (unsigned i = 0; i < 900; i++) {
        put_at(kit.ports[0]);
    }
    kit_settle(&kit); /* gives up */
    ck_assert(!store_is_done(kit.store, &ticket));
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = LIMIT});
    ck_assert_uint_eq(kit.entry_count, 1 + ENTRIES);
}
END_TEST

START_TEST(what_never_fits_is_given_up_when_it_stops_and_was_not_called_done)
{
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    fill_until_refused();
    uint32_t before = record_count;
    for (unsigned i = 0; i < 900; i++) {
        put_at(kit.ports[0]);
    }
    kit_settle(&kit);
    for (uint32_t i = before; i < record_count; i++) {
        ck_assert(!store_record_is_done(records[i]));
        kit_finish(&kit, records[i], 0); /* whoever has it from memory knows nothing of it */
    }
    kit_settle(&kit);
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = LIMIT});
    ck_assert_uint_eq(kit.message_count, before);
}
END_TEST

static size_t entries_in(enum lmdb_table table)
{
    struct lmdb_store *lmdb = lmdb_of(kit.store);
    MDB_txn *txn;
    MDB_stat stat;
    ck_assert_int_eq(mdb_txn_begin(lmdb->files.env, NULL, MDB_RDONLY, &txn), 0);
    ck_assert_int_eq(mdb_stat(txn, lmdb->files.tables[table], &stat), 0);
    mdb_txn_abort(txn);
    return stat.ms_entries;
}

START_TEST(what_was_begun_of_a_message_that_does_not_fit_is_taken_away)
{
    enum { LEN = 8000000 };
    uint8_t *large = calloc(1, LEN);
    struct store_figures figures;
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = 6 << 20});
    struct store_record *record = kit_record("t", large, LEN, &(uint64_t){1}, 1);
    records[record_count++] = record;
    store_port_close(kit.ports[0], record);
    kit_settle(&kit);
    kit.store->engine->figures(kit.store, &figures);
    ck_assert_uint_gt(figures.commits, 0); /* it was begun */
    ck_assert(!store_record_is_done(record));
    ck_assert_uint_eq(entries_in(LMDB_PARTS), 0);
    ck_assert_uint_eq(entries_in(LMDB_MESSAGES), 0);
    free(large);
}
END_TEST

START_TEST(store_that_has_no_room_to_delete_in_stops_all_the_same)
{
    static MDB_txn *reader; /* as long as it looks, no page can be used again */
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    fill_until_refused();
    uint32_t before = record_count;
    ck_assert_int_eq(mdb_txn_begin(lmdb_of(kit.store)->files.env, NULL, MDB_RDONLY, &reader), 0);
    for (uint32_t i = 0; i < before; i++) {
        kit_finish(&kit, records[i], 0);
    }
    kit_settle(&kit);
    struct store_ticket ticket;
    uint64_t n = 0;
    do { /* until all pages are taken */
        ticket = kit_write(&kit, STORE_SESSIONS, ++n, 0, 8, "x");
        kit_settle(&kit);
    } while (store_is_done(kit.store, &ticket));
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = LIMIT});
    ck_assert_uint_gt(kit.message_count, 0); /* it could not delete all */
}
END_TEST

START_TEST(disk_that_is_full_refuses_messages_and_keeps_what_is_there)
{
    kit_close(&kit);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {3 << 20, RLIM_INFINITY}; /* the file may not become larger: as good as a full disk */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = 256 << 20});
    uint32_t acknowledged = 0;
    while (store_admit(kit.store, sizeof(payload)) == STORE_ADMITTED) {
        for (unsigned i = 0; i < 10; i++) {
            put_at(kit.ports[0]);
        }
        kit_wait_record(&kit, records[record_count - 1]);
        acknowledged += 10;
    }
    ck_assert_int_eq(store_admit(kit.store, 1), STORE_FULL);
    /* Finishing everything needs no more of the disk. */
    for (uint32_t i = 0; i < record_count; i += 2) {
        kit_finish(&kit, records[i], 0);
    }
    kit_close(&kit);
    limit.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    kit_open_with(&kit, &(struct store_lmdb_options){.size_limit_bytes = 256 << 20});
    ck_assert_uint_eq(kit.message_count, acknowledged / 2);
    ck_assert_int_eq(store_admit(kit.store, sizeof(payload)), STORE_ADMITTED);
}
END_TEST

START_TEST(much_that_waits_holds_up_whoever_can_wait)
{
    struct store_record *record = put_at(kit.ports[0]);
    uint32_t n = 0;
    /* All of it is in front of the thread at once, which has at most begun with it. */
    while (store_admit(kit.store, sizeof(payload)) == STORE_ADMITTED && n < 300) {
        put_at(kit.ports[0]);
        if (++n % 100 == 0) {
            store_port_flush(kit.ports[0]);
        }
    }
    kit_wait_record(&kit, records[record_count - 1]);
    kit_settle(&kit);
    ck_assert(store_record_is_done(record));
    ck_assert_int_eq(store_admit(kit.store, sizeof(payload)), STORE_ADMITTED);
    struct store_figures figures;
    kit.store->engine->figures(kit.store, &figures);
    ck_assert_uint_eq(figures.waiting_bytes, 0);
    ck_assert_uint_eq(figures.oldest_waiting_ms, 0);
    struct lmdb_store *lmdb = lmdb_of(kit.store);
    lmdb_waiting_add(lmdb, 200000);
    ck_assert_int_eq(store_admit(kit.store, 1), STORE_BUSY);
    lmdb_waiting_remove(lmdb, 150000);
    ck_assert_int_eq(store_admit(kit.store, 1), STORE_BUSY); /* until it has fallen by half */
    lmdb_waiting_remove(lmdb, 50000);
    ck_assert_int_eq(store_admit(kit.store, 1), STORE_ADMITTED);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lmdb_full");
    TCase *full = tcase_create("full");
    tcase_add_checked_fixture(full, set_up, tear_down);
    tcase_set_timeout(full, 30);
    tcase_add_test(full, messages_are_refused_before_the_file_is_full);
    tcase_add_test(full, deletes_make_room_again);
    tcase_add_test(full, what_is_beyond_the_limit_waits_and_is_never_called_done);
    tcase_add_test(full, deletes_of_small_entries_get_through_where_nothing_can_be_put);
    tcase_add_test(full, deletes_do_not_pass_what_their_own_domain_has_put_before_them);
    tcase_add_test(full, end_of_a_session_that_could_not_be_put_deletes_nothing);
    tcase_add_test(full, what_never_fits_is_given_up_when_it_stops_and_was_not_called_done);
    tcase_add_test(full, what_was_begun_of_a_message_that_does_not_fit_is_taken_away);
    tcase_add_test(full, store_that_has_no_room_to_delete_in_stops_all_the_same);
    tcase_add_test(full, disk_that_is_full_refuses_messages_and_keeps_what_is_there);
    tcase_add_test(full, much_that_waits_holds_up_whoever_can_wait);
    suite_add_tcase(s, full);
    return s;
}

CHECK_MAIN(suite)
