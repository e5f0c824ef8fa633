/*
 * The second look at HTTP input: what is wrong is found at the same byte however the input is cut, and nothing behind the input is read.
 */
#include "web/input_check.h"

#include "tests/fuzz/fuzz.h"

static const char *const names[] = {":method",   "accept", "content-length",    "get ",   "host",
                                    "http/1.1 ", "te",     "transfer-encoding", "upgrade"};

/* @return how many bytes are right; SIZE if all are */
static size_t right_bytes(const uint8_t *data, size_t size)
{
    struct input_check check = {0};
    for (size_t i = 0; i < size; i++) {
        if (input_check_bytes(&check, data + i, 1) != NULL) {
            return i;
        }
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input_check whole = {0}, halves = {0};
    input_check_open(names, sizeof names / sizeof names[0]);
    if (size == 0) {
        return 0;
    }
    size_t cut = data[0] % size;
    uint8_t *copy = exact_copy(data, size);
    size_t right = right_bytes(copy, size);
    REQUIRE((input_check_bytes(&whole, copy, size) == NULL) == (right == size));
    uint8_t *first = exact_copy(data, cut);
    if (input_check_bytes(&halves, first, cut) == NULL) {
        REQUIRE(right >= cut);
        REQUIRE((input_check_bytes(&halves, copy + cut, size - cut) == NULL) == (right == size));
    } else {
        REQUIRE(right < cut);
    }
    free(first);
    free(copy);
    return 0;
}
