/* Claims about what is seen in bytes before the library sees them. */
#include "web/input_check.h"

#include <string.h>

#include "tests/check_main.h"

static const char *const names[] = {":method", "accept",    "accept-encoding",   "content-length", "get ",
                                    "host",    "http/1.1 ", "transfer-encoding", "upgrade",        "x-forwarded-for"};

static void set_up(void)
{
    input_check_open(names, sizeof names / sizeof names[0]);
}

#define ROOM 20 /* more than a byte can become */

/* What is wrong with TEXT of LEN bytes, looked at in pieces of STEP bytes. OUT gets what is left of it. */
static const char *check_in_steps(const char *text, size_t len, size_t step, char *out, size_t *out_len)
{
    struct input_check check = {0};
    *out_len = 0;
    for (size_t at = 0; at < len; at += step) {
        uint8_t piece[1024];
        size_t piece_len = len - at < step ? len - at : step;
        memcpy(piece, text + at, piece_len);
        const char *wrong = input_check_bytes(&check, piece, &piece_len, 2 * piece_len + ROOM);
        if (wrong != NULL) {
            return wrong;
        }
        memcpy(out + *out_len, piece, piece_len);
        *out_len += piece_len;
    }
    return NULL;
}

/* TEXT becomes MENDED, however it is cut; or something is wrong, if MENDED is NULL. */
static void expect_mended(const char *text, size_t len, const char *mended, size_t mended_len)
{
    char out[1024];
    size_t out_len;
    for (size_t step = 1; step <= len; step++) {
        const char *wrong = check_in_steps(text, len, step, out, &out_len);
        ck_assert_msg((wrong == NULL) == (mended != NULL), "%s, in steps of %zu: %s",
                      wrong != NULL ? wrong : "accepted", step, text);
        ck_assert_msg(mended == NULL || (out_len == mended_len && memcmp(out, mended, out_len) == 0),
                      "in steps of %zu: %s", step, text);
    }
}

static void expect(const char *text, size_t len, bool good)
{
    expect_mended(text, len, good ? text : NULL, len);
}

#define BECOMES(text, mended) expect_mended(text, sizeof(text) - 1, mended, sizeof(mended) - 1)
#define GOOD(text)            expect(text, sizeof(text) - 1, true)
#define BAD(text)             expect(text, sizeof(text) - 1, false)
#define LINE                  "GET / HTTP/1.1\r\n"

START_TEST(accepts_requests_one_behind_the_other)
{
    GOOD(LINE "Host: a\r\nHOST: b\r\nX-Own_1: \t v \r\n\r\n" LINE "\r\n");
    GOOD("GET / HTTP/1.1\nHost: a\n\n" LINE "\r\n");
    GOOD(LINE "Accept-Encodingx: a\r\nAccepts: b\r\nHosts: c\r\nx-forwarded-fort: e\r\n\r\n");
    GOOD(LINE "a-name-that-is-much-longer-than-any-that-the-library-knows-about-and-goes-on-for-a-very-very-very-very-"
              "very-very-long-"
              "while-until-its-length-does-not-fit-into-one-byte-any-more-which-takes-some-more-letters-than-one-might-"
              "think-at-first-"
              "sight-but-in-the-end-it-does: x\r\n\r\n");
}
END_TEST

START_TEST(passes_over_bodies)
{
    GOOD(LINE "Content-Length: 5\r\n\r\n\0\r\r \n" LINE "\r\n");
    GOOD(LINE "content-length:0\r\n\r\n" LINE "\r\n");
    BAD(LINE "Content-Length: 4\r\n\r\n\0\r\r \n" LINE " bad: x\r\n\r\n");
}
END_TEST

START_TEST(mends_names_that_would_swallow_the_next_line)
{
    BECOMES(LINE "Accep: x\r\n\r\n", LINE "Accep!: x\r\n\r\n");
    BECOMES(LINE "X:\r\nht:x\r\naccept-: x\r\n\r\n", LINE "X!:\r\nht!:x\r\naccept-!: x\r\n\r\n");
    BECOMES(LINE "Content-Lengt: 5\r\n\r\n" LINE "\r\n", LINE "Content-Lengt!: 5\r\n\r\n" LINE "\r\n");
    BECOMES(LINE "Content-Length: 1\r\n\r\nx" LINE "Hos: x\r\n\r\n",
            LINE "Content-Length: 1\r\n\r\nx" LINE "Hos!: x\r\n\r\n");
}
END_TEST

START_TEST(says_that_a_body_is_empty_where_nothing_is_said)
{
    BECOMES("POST /a HTTP/1.1\r\nHost: a\r\n\r\n" LINE "\r\n",
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" LINE "\r\n");
    BECOMES("PUT /a HTTP/1.1\n\nPATCH /a HTTP/1.1\r\n\r\n",
            "PUT /a HTTP/1.1\nContent-Length: 0\r\n\nPATCH /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    GOOD("POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /a HTTP/1.1\r\n\r\n");
    GOOD("POST /a HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n");
    GOOD("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    GOOD("POST /a HTTP/1.0\r\n\r\n");
    GOOD("DELETE /a HTTP/1.1\r\n\r\nPOSTS /a HTTP/1.1\r\n\r\nPUTT /a HTTP/1.1\r\n\r\n POST /a HTTP/1.1\r\n\r\n");
}
END_TEST

START_TEST(leaves_what_there_is_no_room_for_to_others)
{
    static const char text[] = "POST / HTTP/1.1\r\n\r\n", bad[] = LINE "X: x\r\n";
    struct input_check check = {0};
    uint8_t bytes[sizeof text + sizeof bad];
    size_t len = sizeof text - 1;
    memcpy(bytes, text, len);
    ck_assert_ptr_null(input_check_bytes(&check, bytes, &len, len));
    ck_assert_uint_eq(len, sizeof text - 1);
    ck_assert_mem_eq(bytes, text, len);
    len = sizeof bad - 1;
    memcpy(bytes, bad, len);
    ck_assert_ptr_nonnull(input_check_bytes(&check, bytes, &len, len));
}
END_TEST

START_TEST(takes_empty_lines_in_front_of_a_request_away)
{
    BECOMES("\r\n\n" LINE "\r\n\r\n\r\n" LINE "Content-Length: 1\r\n\r\nx\r\n" LINE "\r\n",
            LINE "\r\n" LINE "Content-Length: 1\r\n\r\nx" LINE "\r\n");
    BAD("\r" LINE "\r\n");
    BAD("\r\r\n" LINE "\r\n");
    BECOMES("\n\n\n\n\n\n\n\nPOST / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    BAD("\n\n\n\n\n\n\n\n\n" LINE "\r\n");
}
END_TEST

START_TEST(refuses_methods_in_small_letters)
{
    BAD("get / HTTP/1.1\r\n\r\n");
    BAD("GEt / HTTP/1.1\r\n\r\n");
}
END_TEST

START_TEST(refuses_names_that_are_none)
{
    BAD(LINE ": x\r\n");
    BAD(LINE "Host : x\r\n");
    BAD(LINE " Host: x\r\n");
    BAD(LINE "Ho st: x\r\n");
    BAD(LINE "Host\t: x\r\n");
    BAD(LINE "Host\r\n");
    BAD(LINE "H\0st: x\r\n");
    BAD(LINE "H\xC3\xA4: x\r\n");
}
END_TEST

START_TEST(refuses_line_ends_that_are_none)
{
    BAD(LINE "Zz: a\rb\r\n");
    BAD("GET / HTTP/1.1\rHost: a\r\n");
    BAD(LINE "Zz: a\0b\r\n");
    BAD(LINE "Zz: a\x0B\r\n");
    BAD(LINE "\r\r\n");
    BAD("GET /\x7F HTTP/1.1\r\n");
}
END_TEST

START_TEST(refuses_an_empty_length)
{
    BAD(LINE "Content-Length:\r\n\r\n");
    BAD(LINE "Content-Length: \r\n\r\n");
}
END_TEST

/* Whoever refuses them closes the connection, so what follows is of no interest. */
START_TEST(leaves_lengths_that_are_not_accepted_to_others)
{
    GOOD(LINE "Content-Length: 5, 5\r\n\r\n\r\r\r");
    GOOD(LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n\r\r\r");
    GOOD(LINE "Content-Length: -1\r\n\r\n\r\r\r");
    GOOD(LINE "Content-Length: 1234567890\r\n\r\n\r\r\r");
    GOOD(LINE "Transfer-Encoding: chunked\r\n\r\n\r\r\r");
}
END_TEST

START_TEST(wants_frames_with_a_mask_after_an_upgrade)
{
    static const char head[] = LINE "Upgrade: WebSocket\r\n\r\n";
    static const char mask[] =
        "\x82\x82mask\r\r\x82\xFE\0\1mask\r\x82\xFF\0\0\0\0\0\0\0\2mask\r\r\x89\x80mask\x82\x80mask";
    static const char no_mask[] = "\x82\x81maskx\x82\x01x";
    char text[128];
    memcpy(text, head, sizeof head - 1);
    memcpy(text + sizeof head - 1, mask, sizeof mask - 1);
    expect(text, sizeof head + sizeof mask - 2, true);
    memcpy(text + sizeof head - 1, no_mask, sizeof no_mask - 1);
    expect(text, sizeof head + sizeof no_mask - 2, false);
    BAD(LINE "Upgrade: websocket\r\n\r\n\x89\xFE");
    BAD(LINE "Upgrade: websocket\r\n\r\n\x82\xFF\x80\0\0\0\0\0\0\0");
    GOOD(LINE "Upgrade: websocket\r\n\r\n\x82\xFF\x7F\0\0\0\0\0\0\0");
    BAD(LINE "Upgrade: websockets\r\n\r\n\x82\x81mask\rx");
    BAD(LINE "Upgrade: h2c\r\n\r\n\x82\x81mask\rx");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("input check");
    TCase *requests = tcase_create("requests");
    tcase_add_checked_fixture(requests, set_up, NULL);
    tcase_add_test(requests, accepts_requests_one_behind_the_other);
    tcase_add_test(requests, passes_over_bodies);
    tcase_add_test(requests, mends_names_that_would_swallow_the_next_line);
    tcase_add_test(requests, says_that_a_body_is_empty_where_nothing_is_said);
    tcase_add_test(requests, leaves_what_there_is_no_room_for_to_others);
    tcase_add_test(requests, takes_empty_lines_in_front_of_a_request_away);
    tcase_add_test(requests, refuses_methods_in_small_letters);
    tcase_add_test(requests, refuses_an_empty_length);
    tcase_add_test(requests, refuses_names_that_are_none);
    tcase_add_test(requests, refuses_line_ends_that_are_none);
    tcase_add_test(requests, leaves_lengths_that_are_not_accepted_to_others);
    tcase_add_test(requests, wants_frames_with_a_mask_after_an_upgrade);
    suite_add_tcase(s, requests);
    return s;
}

CHECK_MAIN(suite)
