/* Claims about a session's window and queue, and about the set of packet ids received. */
#include "gateway/broker/outgoing.h"

#include <string.h>

#include "gateway/broker/packet_ids.h"
#include "gateway/store/message.h"
#include "tests/check_main.h"

START_TEST(gives_packet_ids_from_1_to_65535_and_never_0_mqtt_2_2_1_4)
{
    ck_assert_uint_eq(outgoing_packet_id(0), 1);
    ck_assert_uint_eq(outgoing_packet_id(65534), 65535);
    ck_assert_uint_eq(outgoing_packet_id(65535), 1);
}
END_TEST

START_TEST(finds_each_message_of_a_window_with_holes_by_its_packet_id)
{
    static const uint64_t lowest[] = {0, 1, 65530, 65534, 65535, UINT64_C(1) << 40};
    for (size_t l = 0; l < sizeof(lowest) / sizeof(lowest[0]); l++) {
        struct outgoing outgoing = {0};
        for (uint64_t i = 0; i < 200; i++) {
            if (i % 7 != 3) {
                struct outgoing_entry entry = {.seq = lowest[l] + i};
                ck_assert(outgoing_push(&outgoing.window, &entry));
            }
        }
        for (uint64_t i = 0; i < 300; i++) {
            int64_t at = outgoing_find(&outgoing, outgoing_packet_id(lowest[l] + i));
            if (i < 200 && i % 7 != 3) {
                ck_assert_int_ge(at, 0);
                ck_assert_uint_eq(outgoing_at(&outgoing.window, (uint32_t)at)->seq, lowest[l] + i);
            } else {
                ck_assert_int_eq(at, -1);
            }
        }
        ck_assert_int_eq(outgoing_find(&outgoing, 0), -1);
        while (outgoing.window.count > 0) {
            outgoing_pop(&outgoing.window);
        }
        outgoing_ring_fini(&outgoing.window);
    }
}
END_TEST

/* Push, pop and remove anywhere, against a plain array. */
START_TEST(keeps_order_under_random_operations)
{
    enum { STEPS = 20000, MODEL = 600 };
    struct outgoing_ring ring = {0};
    static uint64_t model[MODEL];
    uint32_t count = 0;
    uint64_t next = 0;
    uint32_t random = 7;
    for (size_t step = 0; step < STEPS; step++) {
        random = random * 1664525u + 1013904223u;
        uint32_t action = (random >> 16) % 8;
        if (count < MODEL && (action < 4 || count == 0)) {
            struct outgoing_entry entry = {.seq = next};
            ck_assert(outgoing_push(&ring, &entry));
            model[count++] = next++;
        } else {
            uint32_t at = action < 6 ? 0 : (random >> 8) % count;
            struct outgoing_entry entry = at == 0 ? outgoing_pop(&ring) : outgoing_remove(&ring, at);
            ck_assert_uint_eq(entry.seq, model[at]);
            memmove(&model[at], &model[at + 1], (count - at - 1) * sizeof(model[0]));
            count--;
        }
        ck_assert_uint_eq(ring.count, count);
        for (uint32_t i = 0; i < count; i += 1 + count / 8) {
            ck_assert_uint_eq(outgoing_at(&ring, i)->seq, model[i]);
        }
    }
    while (ring.count > 0) {
        outgoing_pop(&ring);
    }
    outgoing_ring_fini(&ring);
}
END_TEST

START_TEST(an_entry_gives_back_its_message)
{
    struct message *message = message_new(1, 2, 3);
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(message_topic(message).len, 1);
    ck_assert_uint_eq(message_properties(message).len, 2);
    ck_assert_uint_eq(message_payload(message).len, 3);
    ck_assert_ptr_eq(message_payload(message).data, message->bytes + 3);
    ck_assert_uint_eq(message_size(message), sizeof(*message) + 6);
    struct outgoing_entry entry = {.message = message_ref(message)};
    outgoing_entry_fini(&entry);
    ck_assert_uint_eq(atomic_load(&message->refs), 1);
    message_unref(message);
    message_unref(NULL);
}
END_TEST

START_TEST(a_message_too_large_for_mqtt_is_not_made)
{
    ck_assert_ptr_null(message_new(65536, 0, 0));
    ck_assert_ptr_null(message_new(1, (size_t)1 << 33, 0));
}
END_TEST

START_TEST(remembers_exactly_the_packet_ids_added)
{
    struct packet_ids *set = NULL;
    ck_assert(!packet_ids_has(set, 1));
    ck_assert(!packet_ids_remove(&set, 1));
    for (uint32_t id = 1; id <= 65535; id += 13) {
        ck_assert(packet_ids_add(&set, (uint16_t)id));
        ck_assert(packet_ids_add(&set, (uint16_t)id));
    }
    ck_assert_uint_eq(packet_ids_count(set), (65535 - 1) / 13 + 1);
    for (uint32_t id = 0; id <= 65535; id++) {
        ck_assert(packet_ids_has(set, (uint16_t)id) == (id % 13 == 1));
    }
    for (uint32_t id = 1; id <= 65535; id += 13) {
        ck_assert(packet_ids_remove(&set, (uint16_t)id));
        ck_assert(!packet_ids_remove(&set, (uint16_t)id));
    }
    ck_assert_ptr_null(set);
    ck_assert(packet_ids_add(&set, 65535));
    packet_ids_free(set);
}
END_TEST

static Suite *outgoing_suite(void)
{
    Suite *suite = suite_create("outgoing");
    TCase *window = tcase_create("window");
    tcase_add_test(window, gives_packet_ids_from_1_to_65535_and_never_0_mqtt_2_2_1_4);
    tcase_add_test(window, finds_each_message_of_a_window_with_holes_by_its_packet_id);
    tcase_add_test(window, keeps_order_under_random_operations);
    tcase_add_test(window, an_entry_gives_back_its_message);
    tcase_add_test(window, a_message_too_large_for_mqtt_is_not_made);
    suite_add_tcase(suite, window);
    TCase *ids = tcase_create("packet_ids");
    tcase_add_test(ids, remembers_exactly_the_packet_ids_added);
    suite_add_tcase(suite, ids);
    return suite;
}

CHECK_MAIN(outgoing_suite)
