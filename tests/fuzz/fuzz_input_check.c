/*
 * The second look at HTTP input: however it is cut, it is mended to the same, or found wrong, and nothing behind it is read or written.
 */
#include "web/input_check.h"

#include "tests/fuzz/fuzz.h"

#define GROWTH 32 /* bytes that one can become, and some more */

static const char *const names[] = {":method",   "accept", "content-length",    "get ",   "host",
                                    "http/1.1 ", "te",     "transfer-encoding", "upgrade"};

/* SIZE bytes of DATA as they are mended in pieces: of one byte, or cut once at CUT. @return their length; WRONG tells whether something is */
static size_t mend(const uint8_t *data, size_t size, size_t cut, uint8_t *out, bool *wrong)
{
    struct input_check check = {0};
    size_t len = 0;
    *wrong = false;
    for (size_t at = 0, piece; at < size && !*wrong; at += piece) {
        piece = cut == 0 ? 1 : at < cut ? cut - at : size - at;
        size_t room = GROWTH * piece, left = piece;
        uint8_t *bytes = malloc(room);
        REQUIRE(bytes != NULL);
        memcpy(bytes, data + at, piece);
        *wrong = input_check_bytes(&check, bytes, &left, room) != NULL;
        REQUIRE(left <= room);
        if (!*wrong) {
            memcpy(out + len, bytes, left);
            len += left;
        }
        free(bytes);
    }
    return len;
}

/* With as much room as there is in earnest. */
static void mend_in_little_room(const uint8_t *data, size_t size)
{
    struct input_check check = {0};
    size_t len = input_check_room(&check, size);
    uint8_t *bytes = exact_copy(data, size);
    (void)input_check_bytes(&check, bytes, &len, size);
    REQUIRE(len <= size);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_check_open(names, sizeof names / sizeof names[0]);
    if (size == 0) {
        return 0;
    }
    bool wrong_at_once, wrong_by_byte, wrong_in_halves;
    uint8_t *at_once = malloc(GROWTH * size), *by_byte = malloc(GROWTH * size), *in_halves = malloc(GROWTH * size);
    REQUIRE(at_once != NULL && by_byte != NULL && in_halves != NULL);
    size_t len = mend(data, size, size, at_once, &wrong_at_once);
    size_t len_by_byte = mend(data, size, 0, by_byte, &wrong_by_byte);
    size_t len_in_halves = mend(data, size, data[0] % size, in_halves, &wrong_in_halves);
    REQUIRE(wrong_at_once == wrong_by_byte && wrong_at_once == wrong_in_halves);
    if (!wrong_at_once) {
        REQUIRE(len == len_by_byte && memcmp(at_once, by_byte, len) == 0);
        REQUIRE(len == len_in_halves && memcmp(at_once, in_halves, len) == 0);
    }
    free(at_once);
    free(by_byte);
    free(in_halves);
    mend_in_little_room(data, size);
    return 0;
}
