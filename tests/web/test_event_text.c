/* Claims about cursors of event streams and the text of events. */
#include "web/event_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/property.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"
#include "web/event_cursor.h"

#define TOKEN "abcdefghijklmnopqrst-_"

static const uint8_t secret[EVENT_SECRET_BYTES] = "secret";

static bool parses(const char *text, struct event_cursor *cursor)
{
    return event_cursor_parse(bytes_from_string(text), cursor);
}

/* --- cursors ----------------------------------------------------------------------------------------------------- */

START_TEST(a_cursor_comes_back_from_its_text)
{
    static const uint64_t seqs[] = {0, 1, 1795550198143999, UINT64_MAX};
    for (size_t i = 0; i < 8; i++) {
        struct event_cursor cursor = {.token = ""};
        struct event_cursor again;
        char text[EVENT_CURSOR_BYTES];
        ck_assert(i % 2 == 0 || event_cursor_begin(&cursor));
        cursor.seq = seqs[i / 2];
        ck_assert_uint_eq(event_cursor_write(&cursor, text), strlen(text));
        ck_assert(parses(text, &again));
        ck_assert_str_eq(again.token, cursor.token);
        ck_assert_uint_eq(again.seq, cursor.seq);
    }
}
END_TEST

START_TEST(a_fresh_token_is_one_that_nobody_has)
{
    struct event_cursor a;
    struct event_cursor b;
    ck_assert(event_cursor_begin(&a) && event_cursor_begin(&b));
    ck_assert_uint_eq(strlen(a.token), EVENT_TOKEN_CHARS);
    ck_assert_str_ne(a.token, b.token);
}
END_TEST

START_TEST(what_is_no_cursor_is_refused_and_changes_nothing)
{
    static const char *const texts[] = {"",
                                        ".",
                                        "1",
                                        TOKEN,
                                        TOKEN ".",
                                        TOKEN "1",
                                        TOKEN ".1x",
                                        TOKEN ".-1",
                                        TOKEN ". 1",
                                        TOKEN ".18446744073709551616",
                                        "x" TOKEN ".1",
                                        "abc.1",
                                        "..1",
                                        ".1.",
                                        TOKEN "..1",
                                        "abcdefghijklmnopqrst-/.1",
                                        "abcdefghijklmnopqrst-\xff.1",
                                        " .1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct event_cursor cursor = {.token = "as it was", .seq = 7};
        ck_assert_msg(!parses(texts[i], &cursor), "%s", texts[i]);
        ck_assert_str_eq(cursor.token, "as it was");
        ck_assert_uint_eq(cursor.seq, 7);
    }
    struct event_cursor cursor;
    ck_assert(!event_cursor_parse((struct bytes){(const uint8_t *)".1\0"
                                                                  "2",
                                                 4},
                                  &cursor));
    ck_assert(!event_cursor_parse((struct bytes){NULL, 0}, &cursor));
}
END_TEST

START_TEST(a_client_id_depends_on_token_user_and_secret_and_on_nothing_else)
{
    struct event_cursor cursor = {.token = TOKEN, .seq = 1};
    struct event_cursor moved = {.token = TOKEN, .seq = 2};
    struct event_cursor other = {.token = "bbcdefghijklmnopqrst-_", .seq = 1};
    static const uint8_t other_secret[EVENT_SECRET_BYTES] = "Secret";
    char ids[6][EVENT_CLIENT_ID_BYTES];
    ck_assert(event_cursor_client_id(&cursor, (struct bytes){NULL, 0}, secret, ids[0]));
    ck_assert(event_cursor_client_id(&moved, bytes_from_string(""), secret, ids[1]));
    ck_assert_str_eq(ids[0], ids[1]);
    ck_assert_ptr_null(strstr(ids[0], "abcdef"));
    ck_assert(event_cursor_client_id(&other, (struct bytes){NULL, 0}, secret, ids[2]));
    ck_assert(event_cursor_client_id(&cursor, bytes_from_string("user"), secret, ids[3]));
    ck_assert(event_cursor_client_id(&cursor, bytes_from_string("user2"), secret, ids[4]));
    ck_assert(event_cursor_client_id(&cursor, (struct bytes){NULL, 0}, other_secret, ids[5]));
    for (size_t i = 1; i < 6; i++) {
        for (size_t j = i + 1; j < 6; j++) {
            ck_assert_str_ne(ids[i], ids[j]);
        }
    }
}
END_TEST

/* --- events ------------------------------------------------------------------------------------------------------ */

static const struct event_cursor at_17 = {.token = TOKEN, .seq = 17};

static struct message_view view_of(const char *topic, const char *payload)
{
    return (struct message_view){.topic = bytes_from_string(topic), .payload = bytes_from_string(payload), .qos = 1};
}

static bool holds(const struct event_buffer *buffer, const char *text)
{
    return event_buffer_left(buffer) == strlen(text) && memcmp(buffer->text.at + buffer->sent, text, strlen(text)) == 0;
}

START_TEST(each_form_has_its_frame)
{
    static const char *const expected[][3] = {
        [EVENT_STREAM] = {"id: " TOKEN
                          ".17\ndata: {\"topic\":\"t\",\"payload\":\"a\\nb\",\"qos\":1,\"retain\":false}\n\n",
                          "data: {\"topic\":\"t\",\"payload\":\"a\\nb\",\"qos\":1,\"retain\":false}\n\n",
                          "event: gap\nid: " TOKEN ".17\ndata: {}\n\n"},
        [EVENT_LINES] = {"{\"id\":\"" TOKEN ".17\",\"topic\":\"t\",\"payload\":\"a\\nb\",\"qos\":1,\"retain\":false}\n",
                         "{\"topic\":\"t\",\"payload\":\"a\\nb\",\"qos\":1,\"retain\":false}\n",
                         "{\"event\":\"gap\",\"id\":\"" TOKEN ".17\"}\n"},
        [EVENT_ARRAY] = {",{\"id\":\"" TOKEN ".17\",\"topic\":\"t\",\"payload\":\"a\\nb\",\"qos\":1,\"retain\":false}",
                         ",{\"topic\":\"t\",\"payload\":\"a\\nb\",\"qos\":1,\"retain\":false}",
                         ",{\"event\":\"gap\",\"id\":\"" TOKEN ".17\"}"},
    };
    struct event_text *text = event_text_new();
    const struct message_view view = view_of("t", "a\nb");
    for (int format = EVENT_STREAM; format <= EVENT_ARRAY; format++) {
        struct event_buffer buffer = {.sent = 0};
        ck_assert(event_text_message(text, &buffer, (enum event_format)format, &at_17, &view));
        ck_assert(holds(&buffer, expected[format][0]));
        event_buffer_fini(&buffer);
        ck_assert(event_text_message(text, &buffer, (enum event_format)format, NULL, &view));
        ck_assert(holds(&buffer, expected[format][1]));
        event_buffer_fini(&buffer);
        ck_assert(event_text_mark(&buffer, (enum event_format)format, &at_17, "gap"));
        ck_assert(holds(&buffer, expected[format][2]));
        event_buffer_fini(&buffer);
    }
    event_text_free(text);
}
END_TEST

/* Messages that differ in one thing each: what was made for one must not be given for another. */
START_TEST(every_message_is_given_as_itself)
{
    uint8_t property[32];
    size_t property_len =
        property_encode_user(property, sizeof property, bytes_from_string("k"), bytes_from_string("v"));
    struct message_view views[9];
    for (size_t i = 0; i < 9; i++) {
        views[i] = view_of("topic", "payload");
    }
    views[1].topic = bytes_from_string("topid");
    views[2].payload = bytes_from_string("paymoad");
    views[3].qos = 0;
    views[4].retain = true;
    views[5].properties = (struct bytes){property, property_len};
    views[6].has_expiry = true;
    views[6].expiry_s = 1;
    views[7] = views[6];
    views[7].expiry_s = 2;
    views[8] = view_of("topicp", "ayload"); /* the same bytes in a row */
    char *alone[9];
    for (size_t i = 0; i < 9; i++) {
        struct event_text *fresh = event_text_new();
        struct event_buffer buffer = {.sent = 0};
        ck_assert(event_text_message(fresh, &buffer, EVENT_LINES, NULL, &views[i]));
        alone[i] = strndup(buffer.text.at, buffer.text.len);
        event_buffer_fini(&buffer);
        event_text_free(fresh);
    }
    struct event_text *text = event_text_new();
    for (size_t i = 0; i < 9; i++) {
        for (size_t j = 0; j < 9; j++) {
            struct event_buffer buffer = {.sent = 0};
            ck_assert(event_text_message(text, &buffer, EVENT_LINES, NULL, &views[i]));
            event_buffer_fini(&buffer);
            ck_assert(event_text_message(text, &buffer, EVENT_LINES, NULL, &views[j]));
            ck_assert(holds(&buffer, alone[j]));
            ck_assert(i == j || strcmp(alone[i], alone[j]) != 0);
            event_buffer_fini(&buffer);
        }
    }
    for (size_t i = 0; i < 9; i++) {
        free(alone[i]);
    }
    event_text_free(text);
}
END_TEST

START_TEST(a_message_larger_than_what_is_kept_is_made_each_time)
{
    static char payload[100001];
    memset(payload, 'x', sizeof payload - 1);
    struct event_text *text = event_text_new();
    const struct message_view view = view_of("t", payload);
    for (int i = 0; i < 2; i++) {
        struct event_buffer buffer = {.sent = 0};
        ck_assert(event_text_message(text, &buffer, EVENT_LINES, &at_17, &view));
        json_t *value = json_loadb(buffer.text.at, buffer.text.len, 0, NULL);
        ck_assert_str_eq(json_string_value(json_object_get(value, "payload")), payload);
        json_decref(value);
        event_buffer_fini(&buffer);
    }
    event_text_free(text);
}
END_TEST

START_TEST(without_memory_nothing_is_left_half)
{
    for (uint64_t n = 1;; n++) {
        struct event_text *text = event_text_new();
        struct event_buffer buffer = {.sent = 0};
        const struct message_view view =
            view_of("t", "\xff not text, and long enough to need more room than there is at first");
        bool ok = event_buffer_add(&buffer, "before\n");
        malloc_fail_at(n);
        for (int i = 0; i < 20; i++) {
            size_t len = buffer.text.len;
            bool added = event_text_message(text, &buffer, EVENT_STREAM, &at_17, &view);
            ok = ok && (added ? memcmp(buffer.text.at + buffer.text.len - 2, "\n\n", 2) == 0 : buffer.text.len == len);
            len = buffer.text.len;
            added = event_text_mark(&buffer, EVENT_STREAM, &at_17, "gap");
            ok = ok && (added || buffer.text.len == len) && !buffer.text.has_failed;
        }
        bool failed = malloc_fail_end();
        ck_assert(ok);
        event_buffer_fini(&buffer);
        event_text_free(text);
        if (!failed) {
            break;
        }
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event_text");
    TCase *cursor = tcase_create("cursor");
    tcase_add_test(cursor, a_cursor_comes_back_from_its_text);
    tcase_add_test(cursor, a_fresh_token_is_one_that_nobody_has);
    tcase_add_test(cursor, what_is_no_cursor_is_refused_and_changes_nothing);
    tcase_add_test(cursor, a_client_id_depends_on_token_user_and_secret_and_on_nothing_else);
    suite_add_tcase(s, cursor);
    TCase *text = tcase_create("text");
    tcase_add_test(text, each_form_has_its_frame);
    tcase_add_test(text, every_message_is_given_as_itself);
    tcase_add_test(text, a_message_larger_than_what_is_kept_is_made_each_time);
    tcase_add_test(text, without_memory_nothing_is_left_half);
    suite_add_tcase(s, text);
    return s;
}

CHECK_MAIN(suite)
