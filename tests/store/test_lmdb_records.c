#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"
#include "tests/store/lmdb_kit.h"

static struct kit kit;

static void set_up(void)
{
    kit_init(&kit);
    kit_open(&kit);
}

static void tear_down(void)
{
    kit_fini(&kit);
}

static struct store_figures figures(void)
{
    struct store_figures out;
    kit.store->engine->figures(kit.store, &out);
    return out;
}

START_TEST(message_and_its_recipients_are_found_after_a_restart)
{
    const uint64_t sessions[] = {5, 3, 900};
    struct store_record *record = kit_record("a/b", "hello", 5, sessions, 3);
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    ck_assert(store_record_has_many(record));
    ck_assert_ptr_null(store_record_message(record));
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    const struct kit_message *found = kit_found(&kit, "a/b");
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq((const char *)found->payload, "hello");
    ck_assert_uint_eq(found->recipient_count, 3);
    ck_assert_mem_eq(found->sessions, sessions, sizeof(sessions));
    ck_assert(!found->is_retained);
}
END_TEST

START_TEST(messages_are_found_in_the_order_in_which_they_were_put)
{
    struct store_record *records[100];
    char topic[16];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(topic, sizeof(topic), "t/%u", i);
        records[i] = kit_put(&kit, topic, "x", 1);
        if (i % 7 == 0) {
            kit_wait_record(&kit, records[i]);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        store_record_unref(records[i]);
    }
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 100);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(topic, sizeof(topic), "t/%u", i);
        ck_assert_str_eq(kit.messages[i].topic, topic);
    }
}
END_TEST

START_TEST(record_is_deleted_once_all_its_recipients_are_finished)
{
    const uint64_t sessions[] = {1, 2};
    struct store_record *record = kit_record("a", "x", 1, sessions, 2);
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    kit_finish(&kit, record, 1);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    /* After a restart it stands for both again, and is finished anew. */
    kit_finish(&kit, kit.messages[0].record, 0);
    kit_finish(&kit, kit.messages[0].record, 1);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 0);
    store_record_unref(record);
}
END_TEST

START_TEST(record_that_is_finished_before_it_is_put_is_never_written)
{
    struct store_record *record = kit_put(&kit, "a", "x", 1);
    kit_finish(&kit, record, 0);
    kit_wait_record(&kit, record);
    kit_settle(&kit);
    ck_assert_uint_eq(figures().cancelled, 1);
    ck_assert_uint_eq(figures().commits, 0);
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 0);
}
END_TEST

START_TEST(finish_may_come_before_its_record_is_submitted)
{
    const uint64_t sessions[] = {1, 2, 3};
    struct store_record *record = kit_record("a", "x", 1, sessions, 3);
    kit_finish(&kit, record, 1);
    kit_settle(&kit);
    store_port_finish(kit.ports[1], store_record_ref(record), 0);
    kit_settle(&kit);
    ck_assert(!store_record_is_done(record));
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    ck_assert_uint_eq(kit.messages[0].recipient_count, 1);
    ck_assert_uint_eq(kit.messages[0].sessions[0], 3);
}
END_TEST

START_TEST(all_finishes_may_come_before_the_record)
{
    struct store_record *record = kit_record("a", "x", 1, &(uint64_t){7}, 1);
    kit_finish(&kit, record, 0);
    kit_settle(&kit);
    store_port_close(kit.ports[1], record);
    kit_wait_record(&kit, record);
    ck_assert_uint_eq(figures().cancelled, 1);
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 0);
}
END_TEST

START_TEST(record_that_never_comes_is_forgotten_with_its_finishes)
{
    struct store_record *record = kit_record("a", "x", 1, &(uint64_t){7}, 1);
    kit_finish(&kit, record, 0);
    kit_settle(&kit);
    kit_close(&kit);
    store_record_unref(record); /* the last reference, or the sanitizer says so */
}
END_TEST

START_TEST(retained_value_is_superseded_by_its_successor)
{
    struct store_record *first = kit_retain(&kit, "r", "one", 1, NULL, 0);
    kit_wait_record(&kit, first);
    ck_assert(!store_record_has_many(first));
    struct store_record *second = kit_retain(&kit, "r", "two", 2, first, 0);
    kit_wait_record(&kit, second);
    store_record_unref(first);
    store_record_unref(second);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    ck_assert_str_eq((const char *)kit.messages[0].payload, "two");
    ck_assert(kit.messages[0].is_retained);
    ck_assert_uint_eq(kit.messages[0].version, 2);
}
END_TEST

START_TEST(superseded_value_that_is_still_queued_is_retained_no_more)
{
    struct store_record *first = kit_retain(&kit, "r", "one", 1, NULL, 2);
    kit_wait_record(&kit, first);
    struct store_record *second = kit_retain(&kit, "r", "two", 2, first, 0);
    kit_wait_record(&kit, second);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 2);
    ck_assert_str_eq((const char *)kit.messages[0].payload, "one");
    ck_assert(!kit.messages[0].is_retained);
    ck_assert_uint_eq(kit.messages[0].recipient_count, 2);
    ck_assert(kit.messages[1].is_retained);
    store_record_unref(first);
    store_record_unref(second);
}
END_TEST

START_TEST(successor_in_the_same_batch_cancels_a_value)
{
    struct store_record *first = kit_retain(&kit, "r", "one", 1, NULL, 0);
    struct store_record *second = kit_retain(&kit, "r", "two", 2, first, 0);
    kit_wait_record(&kit, second);
    ck_assert(store_record_is_done(first));
    ck_assert_uint_eq(figures().cancelled, 1);
    store_record_unref(first);
    store_record_unref(second);
}
END_TEST

START_TEST(successor_may_come_before_the_value_it_supersedes)
{
    struct message *message = kit_message("r", "one", 3, true, 1);
    struct store_record *first = store_record_new(message, 1, STORE_NEVER_EXPIRES, true);
    struct store_record *second = kit_retain(&kit, "r", "two", 2, first, 0);
    message_unref(message);
    kit_wait_record(&kit, second);
    store_port_close(kit.ports[1], first);
    kit_wait_record(&kit, first);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    ck_assert_str_eq((const char *)kit.messages[0].payload, "two");
    store_record_unref(first);
    store_record_unref(second);
}
END_TEST

static uint64_t test_clock_ms = 1000000;

static uint64_t test_clock(void)
{
    return __atomic_load_n(&test_clock_ms, __ATOMIC_RELAXED);
}

START_TEST(tombstone_stays_until_what_it_hides_is_gone)
{
    kit_close(&kit);
    const struct store_lmdb_options options = {.monotonic_ms = test_clock};
    kit_open_with(&kit, &options);
    struct store_record *value = kit_retain(&kit, "r", "one", 1, NULL, 0);
    kit_wait_record(&kit, value);
    struct store_record *tombstone = kit_retain(&kit, "r", "", 2, value, 0);
    kit_finish(&kit, tombstone, STORE_RETAINED);
    kit_wait_record(&kit, tombstone);
    ck_assert_uint_eq(figures().cancelled, 0);
    store_record_unref(value);
    store_record_unref(tombstone);
    kit_close(&kit);
    kit_open_with(&kit, &options); /* the clock has not moved: the value is deleted, the tombstone is not */
    ck_assert_uint_eq(kit.message_count, 1);
    ck_assert(kit.messages[0].is_retained);
    ck_assert_uint_eq(kit.messages[0].payload_len, 0);
    ck_assert_uint_eq(kit.messages[0].version, 2);
    kit_finish(&kit, kit.messages[0].record, STORE_RETAINED);
    kit_settle(&kit);
    __atomic_fetch_add(&test_clock_ms, 10001, __ATOMIC_RELAXED);
    kit_close(&kit);
    kit_open_with(&kit, &options);
    ck_assert_uint_eq(kit.message_count, 0);
}
END_TEST

START_TEST(tombstone_that_is_finished_before_it_is_submitted_is_put)
{
    kit_close(&kit);
    const struct store_lmdb_options options = {.monotonic_ms = test_clock};
    kit_open_with(&kit, &options);
    struct message *message = kit_message("r", "", 0, true, 2);
    struct store_record *tombstone = store_record_new(message, 1, STORE_NEVER_EXPIRES, true);
    message_unref(message);
    kit_finish(&kit, tombstone, STORE_RETAINED);
    kit_settle(&kit); /* the engine has seen that */
    store_port_close(kit.ports[0], tombstone);
    kit_wait_record(&kit, tombstone);
    ck_assert_uint_eq(figures().cancelled, 0);
    store_record_unref(tombstone);
    kit_close(&kit);
    kit_open_with(&kit, &options); /* the value that it hides may be under way from another place */
    ck_assert_uint_eq(kit.message_count, 1);
    ck_assert(kit.messages[0].is_retained);
    ck_assert_uint_eq(kit.messages[0].version, 2);
}
END_TEST

START_TEST(fan_out_beyond_the_inline_list_is_found_whole)
{
    enum { COUNT = 1000 };
    static uint64_t sessions[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        sessions[i] = i + 1;
    }
    struct store_record *record = kit_record("fan", "x", 1, sessions, COUNT);
    for (uint32_t i = 0; i < COUNT; i += 10) {
        kit_finish(&kit, record, i); /* some are over before */
    }
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    struct store_record *after = kit_put(&kit, "after", "y", 1);
    kit_wait_record(&kit, after);
    store_record_unref(after);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 2);
    ck_assert_uint_eq(kit.messages[0].recipient_count, COUNT - COUNT / 10);
    for (uint32_t i = 0, at = 0; i < COUNT; i++) {
        if (i % 10 != 0) {
            ck_assert_uint_eq(kit.messages[0].sessions[at++], i + 1);
        }
    }
    for (uint32_t i = 0; i < COUNT - COUNT / 10; i++) {
        kit_finish(&kit, kit.messages[0].record, i);
    }
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    store_record_unref(record);
}
END_TEST

START_TEST(large_message_comes_back_from_its_parts)
{
    enum { LEN = 3000000 };
    uint8_t *payload = malloc(LEN);
    for (size_t i = 0; i < LEN; i++) {
        payload[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    const uint64_t sessions[] = {1, 2};
    struct store_record *record = kit_record("large", payload, LEN, sessions, 2);
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    struct message *message = kit_fetch(&kit, record);
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(message_payload(message).len, LEN);
    ck_assert_mem_eq(message_payload(message).data, payload, LEN);
    message_unref(message);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.messages[0].payload_len, LEN);
    ck_assert_mem_eq(kit.messages[0].payload, payload, LEN);
    ck_assert_uint_eq(kit.messages[0].recipient_count, 2);
    kit_finish(&kit, kit.messages[0].record, 0);
    kit_finish(&kit, kit.messages[0].record, 1);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 0);
    store_record_unref(record);
    free(payload);
}
END_TEST

START_TEST(nothing_is_committed_of_a_batch_before_the_rest_of_it)
{
    /* With what it takes around each part it is more than a transaction should hold, but not more than fits into the batch with another. */
    enum { LEN = (4 << 20) - 2000 };
    uint8_t *payload = calloc(1, LEN);
    uint64_t commits = figures().commits;
    struct store_record *small = kit_put(&kit, "small", "x", 1);
    struct store_record *large = kit_record("large", payload, LEN, &(uint64_t){1}, 1);
    store_port_close(kit.ports[0], large);
    kit_wait_record(&kit, large);
    ck_assert_uint_eq(figures().commits, commits + 1);
    ck_assert_uint_gt(figures().bytes_written, 4 << 20);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 2);
    store_record_unref(small);
    store_record_unref(large);
    free(payload);
}
END_TEST

START_TEST(fetch_brings_back_all_of_a_message)
{
    struct message *original = kit_message("a/b", "payload", 7, false, 0);
    struct store_record *record = store_record_new(original, 1, 1700000005000, false);
    uint32_t number;
    struct store_recipient recipient = {.session = 4, .seq = 1, .qos = 2};
    ck_assert(store_record_add(record, 0, &recipient, &number));
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    ck_assert_ptr_null(store_record_message(record));
    struct message *message = kit_fetch(&kit, record);
    ck_assert_ptr_nonnull(message);
    ck_assert(bytes_equal(message_topic(message), message_topic(original)));
    ck_assert(bytes_equal(message_payload(message), message_payload(original)));
    ck_assert_uint_eq(message->qos, 1);
    ck_assert_uint_eq(message->publisher, 77);
    ck_assert_uint_eq(message->stored_ms, original->stored_ms);
    ck_assert_uint_ne(message->expires_ms, MESSAGE_NEVER_EXPIRES);
    ck_assert_uint_eq(figures().fetched, 1);
    message_unref(message);
    message_unref(original);
    store_record_unref(record);
}
END_TEST

START_TEST(fetch_of_what_is_deleted_brings_nothing)
{
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.monotonic_ms = test_clock});
    struct store_record *record = kit_put(&kit, "a", "x", 1);
    kit_wait_record(&kit, record);
    kit_finish(&kit, record, 0);
    kit_settle(&kit);
    __atomic_fetch_add(&test_clock_ms, 1001, __ATOMIC_RELAXED);
    struct store_record *other = kit_put(&kit, "b", "x", 1); /* its commit takes the delete along */
    kit_wait_record(&kit, other);
    ck_assert_ptr_null(kit_fetch(&kit, record));
    store_record_unref(record);
    store_record_unref(other);
}
END_TEST

START_TEST(fetch_that_fails_for_a_reason_that_passes_says_so)
{
    enum { READERS = 1000 };
    static MDB_txn *readers[READERS];
    uint32_t count = 0;
    static uint8_t payload[100000];
    memset(payload, 'x', sizeof(payload));
    struct store_record *record = kit_record("large", payload, sizeof(payload), &(uint64_t){1}, 1);
    struct message *message;
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    /* No transaction: too many others read. */
    log_configure(&(struct log_options){.level = LOG_LEVEL_ERROR, .lines_per_s = 5});
    while (count < READERS && mdb_txn_begin(lmdb_of(kit.store)->files.env, NULL, MDB_RDONLY, &readers[count]) == 0) {
        count++;
    }
    ck_assert_uint_lt(count, READERS);
    ck_assert_int_eq(kit_try_fetch(&kit, record, &message), STORE_FETCH_AGAIN);
    ck_assert_ptr_null(message);
    while (count > 0) {
        mdb_txn_abort(readers[--count]);
    }
    /* No memory. */
    malloc_fail_at(1);
    enum store_fetch_status status = kit_try_fetch(&kit, record, &message);
    ck_assert(malloc_fail_end());
    ck_assert_int_eq(status, STORE_FETCH_AGAIN);
    ck_assert_ptr_null(message);
    ck_assert_uint_eq(figures().fetched, 0);
    ck_assert_uint_eq(figures().damaged, 0);
    ck_assert_int_eq(kit_try_fetch(&kit, record, &message), STORE_FETCH_FOUND);
    ck_assert_uint_eq(message_payload(message).len, sizeof(payload));
    message_unref(message);
    store_record_unref(record);
}
END_TEST

START_TEST(small_entries_are_put_replaced_and_deleted)
{
    kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "one");
    kit_write(&kit, STORE_SESSIONS, 2, 0, 8, "two");
    kit_write(&kit, STORE_SUBSCRIPTIONS, 1, 4, 12, "filter");
    kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "uno");
    uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 2};
    struct store_write *delete = store_write_new(STORE_SESSIONS, key, 8, 0);
    struct store_write *absent = store_write_new(STORE_POSITIONS, key, 8, 0);
    struct store_ticket ticket;
    delete->is_delete = true;
    absent->is_delete = true;
    delete->next = absent;
    ck_assert(store_port_write(kit.ports[0], delete, &ticket));
    kit_wait(&kit, ticket);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.entry_count, 2);
    ck_assert_str_eq(kit_found_entry(&kit, STORE_SESSIONS, 1)->value, "uno");
    ck_assert_str_eq(kit_found_entry(&kit, STORE_SUBSCRIPTIONS, 1)->value, "filter");
}
END_TEST

START_TEST(end_of_a_session_takes_all_its_entries_however_many)
{
    for (uint64_t session = 1; session <= 3; session++) {
        kit_write(&kit, STORE_SESSIONS, session, 0, 8, "s");
        kit_write(&kit, STORE_SENT, session, 99, 16, "p");
        kit_write(&kit, STORE_RECEIVED, session, 7, 10, "r");
        kit_write(&kit, STORE_POSITIONS, session, 0, 8, "o");
    }
    for (uint64_t n = 0; n < 3000; n++) {
        kit_write(&kit, STORE_SUBSCRIPTIONS, 2, n, 12, "f");
    }
    kit_settle(&kit);
    struct store_ticket ticket = store_port_end_session(kit.ports[0], 2);
    kit_wait(&kit, ticket);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.entry_count, 8);
    ck_assert_ptr_null(kit_found_entry(&kit, STORE_SESSIONS, 2));
    ck_assert_ptr_null(kit_found_entry(&kit, STORE_SUBSCRIPTIONS, 2));
}
END_TEST

START_TEST(entries_of_a_session_that_is_not_there_are_not_shown)
{
    kit_write(&kit, STORE_SESSIONS, 3, 0, 8, "s");
    kit_write(&kit, STORE_POSITIONS, 2, 0, 8, "o");
    kit_write(&kit, STORE_POSITIONS, 3, 0, 8, "o");
    kit_write(&kit, STORE_WILLS, 8, 0, 8, "will"); /* is of no session */
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.entry_count, 3);
    ck_assert_ptr_null(kit_found_entry(&kit, STORE_POSITIONS, 2));
    ck_assert_ptr_nonnull(kit_found_entry(&kit, STORE_POSITIONS, 3));
    ck_assert_ptr_nonnull(kit_found_entry(&kit, STORE_WILLS, 8));
}
END_TEST

START_TEST(writes_of_a_record_are_in_its_transaction)
{
    struct store_record *record = kit_record("a", "x", 1, &(uint64_t){1}, 1);
    uint8_t key[16] = {1, 2, 3};
    struct store_write *write = store_write_new(STORE_IDEMPOTENCY, key, 16, 2);
    memcpy(write->value, "ok", 2);
    store_record_attach(record, write);
    kit_finish(&kit, record, 0); /* the message is not needed, what came with it is */
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    ck_assert_uint_eq(figures().commits, 1);
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 0);
    ck_assert_uint_eq(kit.entry_count, 1);
    ck_assert_str_eq(kit.entries[0].value, "ok");
}
END_TEST

START_TEST(record_without_a_message_carries_writes)
{
    struct store_record *record = store_record_new(NULL, 0, STORE_NEVER_EXPIRES, false);
    uint8_t key[16] = {5};
    store_record_attach(record, store_write_new(STORE_IDEMPOTENCY, key, 16, 0));
    store_port_close(kit.ports[0], record);
    kit_wait_record(&kit, record);
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.entry_count, 1);
}
END_TEST

START_TEST(delivery_that_moves_is_with_one_of_both_sessions)
{
    struct store_record *old = kit_put(&kit, "a", "x", 1);
    kit_wait_record(&kit, old);
    struct store_record *moved = kit_record("a", "x", 1, &(uint64_t){2}, 1);
    store_record_replace(moved, store_record_ref(old), 0);
    store_port_close(kit.ports[1], moved);
    kit_wait_record(&kit, moved);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    ck_assert_uint_eq(kit.messages[0].sessions[0], 2);
    store_record_unref(old);
    store_record_unref(moved);
}
END_TEST

START_TEST(numbers_of_sessions_are_never_given_twice)
{
    uint64_t first = atomic_fetch_add(&kit.store->next_session, 10);
    kit_write(&kit, STORE_SESSIONS, first, 0, 8, "s");
    kit_settle(&kit);
    kit_reopen(&kit);
    ck_assert_uint_ge(atomic_load(&kit.store->next_session), first + 10);
    struct store_ticket ticket = store_port_end_session(kit.ports[0], first);
    kit_wait(&kit, ticket);
    kit_reopen(&kit);
    ck_assert_uint_ge(atomic_load(&kit.store->next_session), first + 10);
}
END_TEST

START_TEST(identity_stays_and_boots_are_counted)
{
    uint8_t node[16];
    memcpy(node, kit.store->node, sizeof(node));
    ck_assert_uint_eq(kit.store->boot, 1);
    ck_assert(!kit.store->was_stopped_cleanly);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.store->boot, 2);
    ck_assert(kit.store->was_stopped_cleanly);
    ck_assert_mem_eq(node, kit.store->node, sizeof(node));
}
END_TEST

START_TEST(interval_acknowledges_at_once_and_writes_in_the_end)
{
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.interval_ms = 3600000});
    struct store_record *record = kit_put(&kit, "a", "x", 1);
    kit_wait_record(&kit, record);
    ck_assert_uint_eq(figures().commits, 0);
    struct message *message = store_record_message(record);
    ck_assert_ptr_nonnull(message); /* it is nowhere else */
    message_unref(message);
    kit_wait(&kit, kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "s"));
    ck_assert_uint_eq(figures().commits, 0);
    store_record_unref(record);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, 1);
    ck_assert_uint_eq(kit.entry_count, 1);
}
END_TEST

START_TEST(entry_whose_content_makes_no_sense_is_put_aside)
{
    kit_write(&kit, STORE_SESSIONS, 1, 0, 8, "nonsense");
    kit_write(&kit, STORE_SESSIONS, 2, 0, 8, "sense");
    store_record_unref(kit_put(&kit, "a", "x", 1));
    kit_reopen(&kit);
    ck_assert_uint_eq(figures().damaged, 1);
    ck_assert_int_gt(kit_file_size(&kit, "quarantine.ndjson"), 0);
    kit.refuses_messages = true;
    kit_reopen(&kit);
    ck_assert_uint_eq(figures().damaged, 1);
    ck_assert_ptr_null(kit_found_entry(&kit, STORE_SESSIONS, 1));
    kit.refuses_messages = false;
    kit_reopen(&kit);
    ck_assert_uint_eq(figures().damaged, 0);
    ck_assert_uint_eq(kit.message_count, 0);
    ck_assert_uint_eq(kit.entry_count, 1);
}
END_TEST

/* --- two threads ---------------------------------------------------------------------------------------------------------------- */

enum { ROUNDS = 2000 };

static struct store_record *shared[ROUNDS];
static pthread_barrier_t barrier;

/* Two places report to every record; each finishes what it added to every second one, whoever submits. */
static void *work(void *arg)
{
    unsigned place = (unsigned)(uintptr_t)arg;
    struct store_port *port = kit.ports[place];
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t number;
        struct store_recipient recipient = {.session = place + 1, .seq = i + 1, .qos = 1};
        if (!store_record_add(shared[i], place, &recipient, &number)) {
            abort();
        }
        if (i % 2 == 0) {
            store_port_finish(port, store_record_ref(shared[i]), number);
        }
        store_port_close(port, shared[i]);
        if (i % 16 == place * 5) {
            store_port_flush(port);
        }
    }
    store_port_flush(port);
    return NULL;
}

START_TEST(with_an_interval_what_is_done_stays_done)
{
    enum { WRITES = 4000 };
    struct store_figures now;
    uint64_t seen = 0;
    uint64_t backwards = 0;
    kit_close(&kit);
    kit_open_with(&kit, &(struct store_lmdb_options){.interval_ms = 5});
    for (uint64_t round = 1; round <= 5; round++) {
        for (uint64_t i = 0; i < WRITES; i++) {
            kit_write(&kit, STORE_SESSIONS, i + 1, 0, 8, "x");
        }
        store_port_flush(kit.ports[0]);
        do { /* it is called done before it is committed, and freed after that */
            for (unsigned i = 0; i < 1000; i++) {
                uint64_t done = atomic_load(&kit.store->done[0]);
                backwards += done < seen;
                seen = done;
            }
            kit.store->engine->figures(kit.store, &now);
        } while (now.operations < round * WRITES);
    }
    ck_assert_uint_eq(backwards, 0);
}
END_TEST

START_TEST(two_threads_share_records)
{
    pthread_t threads[2];
    pthread_barrier_init(&barrier, NULL, 2);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct message *message = kit_message("t", &i, sizeof(i), false, 0);
        shared[i] = store_record_new(message, 2, STORE_NEVER_EXPIRES, false);
        store_record_open(shared[i]);
        message_unref(message);
    }
    for (uintptr_t p = 0; p < 2; p++) {
        ck_assert_int_eq(pthread_create(&threads[p], NULL, work, (void *)p), 0);
    }
    for (unsigned p = 0; p < 2; p++) {
        pthread_join(threads[p], NULL);
    }
    kit_settle(&kit);
    for (unsigned i = 0; i < ROUNDS; i++) {
        ck_assert(store_record_is_done(shared[i]));
        store_record_unref(shared[i]);
    }
    pthread_barrier_destroy(&barrier);
    kit_reopen(&kit);
    ck_assert_uint_eq(kit.message_count, ROUNDS / 2);
    bool seen[ROUNDS] = {false};
    for (size_t i = 0; i < kit.message_count; i++) {
        unsigned n;
        ck_assert_uint_eq(kit.messages[i].recipient_count, 2);
        memcpy(&n, kit.messages[i].payload, sizeof(n));
        ck_assert_uint_lt(n, ROUNDS);
        ck_assert(n % 2 == 1 && !seen[n]);
        seen[n] = true;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("lmdb_records");
    TCase *records = tcase_create("records");
    tcase_add_checked_fixture(records, set_up, tear_down);
    tcase_add_test(records, message_and_its_recipients_are_found_after_a_restart);
    tcase_add_test(records, messages_are_found_in_the_order_in_which_they_were_put);
    tcase_add_test(records, record_is_deleted_once_all_its_recipients_are_finished);
    tcase_add_test(records, record_that_is_finished_before_it_is_put_is_never_written);
    tcase_add_test(records, finish_may_come_before_its_record_is_submitted);
    tcase_add_test(records, all_finishes_may_come_before_the_record);
    tcase_add_test(records, record_that_never_comes_is_forgotten_with_its_finishes);
    tcase_add_test(records, fan_out_beyond_the_inline_list_is_found_whole);
    tcase_add_test(records, large_message_comes_back_from_its_parts);
    tcase_add_test(records, nothing_is_committed_of_a_batch_before_the_rest_of_it);
    tcase_add_test(records, fetch_brings_back_all_of_a_message);
    tcase_add_test(records, fetch_of_what_is_deleted_brings_nothing);
    tcase_add_test(records, fetch_that_fails_for_a_reason_that_passes_says_so);
    tcase_add_test(records, delivery_that_moves_is_with_one_of_both_sessions);
    tcase_add_test(records, interval_acknowledges_at_once_and_writes_in_the_end);
    tcase_add_test(records, with_an_interval_what_is_done_stays_done);
    tcase_add_test(records, two_threads_share_records);
    suite_add_tcase(s, records);
    TCase *retained = tcase_create("retained");
    tcase_add_checked_fixture(retained, set_up, tear_down);
    tcase_add_test(retained, retained_value_is_superseded_by_its_successor);
    tcase_add_test(retained, superseded_value_that_is_still_queued_is_retained_no_more);
    tcase_add_test(retained, successor_in_the_same_batch_cancels_a_value);
    tcase_add_test(retained, successor_may_come_before_the_value_it_supersedes);
    tcase_add_test(retained, tombstone_that_is_finished_before_it_is_submitted_is_put);
    tcase_add_test(retained, tombstone_stays_until_what_it_hides_is_gone);
    suite_add_tcase(s, retained);
    TCase *entries = tcase_create("entries");
    tcase_add_checked_fixture(entries, set_up, tear_down);
    tcase_add_test(entries, small_entries_are_put_replaced_and_deleted);
    tcase_add_test(entries, end_of_a_session_takes_all_its_entries_however_many);
    tcase_add_test(entries, entries_of_a_session_that_is_not_there_are_not_shown);
    tcase_add_test(entries, writes_of_a_record_are_in_its_transaction);
    tcase_add_test(entries, record_without_a_message_carries_writes);
    tcase_add_test(entries, numbers_of_sessions_are_never_given_twice);
    tcase_add_test(entries, identity_stays_and_boots_are_counted);
    tcase_add_test(entries, entry_whose_content_makes_no_sense_is_put_aside);
    suite_add_tcase(s, entries);
    return s;
}

CHECK_MAIN(suite)
