/*
 * UTF-8 and topic name validity against a reference that does it by arithmetic: decode the code point, then see
 * whether its value is allowed and whether it needed that many bytes.
 */
#include "protocol/topic.h"
#include "protocol/utf8.h"

#include "tests/fuzz/fuzz.h"

struct verdict {
    bool text;   /* well-formed */
    bool string; /* and without U+0000 */
    bool topic;  /* and without wildcards, not empty, not too long */
};

static size_t bytes_needed(uint32_t code_point)
{
    if (code_point < 0x80) {
        return 1;
    }
    if (code_point < 0x800) {
        return 2;
    }
    return code_point < 0x10000 ? 3 : 4;
}

/* Decode one code point of LEFT bytes, shortest or not. Returns its length, 0 if there is none. */
static size_t decode_code_point(const uint8_t *at, size_t left, uint32_t *code_point)
{
    static const struct {
        uint8_t mask, pattern;
    } leads[] = {{0x80, 0x00}, {0xE0, 0xC0}, {0xF0, 0xE0}, {0xF8, 0xF0}};
    for (size_t i = 0; i < 4; i++) {
        if ((at[0] & leads[i].mask) != leads[i].pattern) {
            continue;
        }
        if (left < i + 1) {
            return 0;
        }
        *code_point = at[0] & (uint8_t)~leads[i].mask;
        for (size_t k = 1; k <= i; k++) {
            if (at[k] / 64 != 2) {
                return 0;
            }
            *code_point = *code_point * 64 + at[k] % 64;
        }
        return i + 1;
    }
    return 0;
}

static struct verdict judge(const uint8_t *data, size_t size)
{
    struct verdict verdict = {true, true, size > 0 && size <= 65535};
    for (size_t i = 0; i < size;) {
        uint32_t code_point = 0;
        size_t len = decode_code_point(data + i, size - i, &code_point);
        bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
        if (len == 0 || len != bytes_needed(code_point) || surrogate || code_point > 0x10FFFF) {
            return (struct verdict){false, false, false};
        }
        if (code_point == 0) {
            verdict.string = verdict.topic = false;
        }
        if (code_point == '+' || code_point == '#') {
            verdict.topic = false;
        }
        i += len;
    }
    return verdict;
}

static void check(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);
    struct bytes s = {copy, size};
    struct verdict verdict = judge(copy, size);
    REQUIRE(utf8_is_valid_text(s) == verdict.text);
    REQUIRE(utf8_is_valid_string(s) == verdict.string);
    REQUIRE(topic_name_is_valid(s) == verdict.topic);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    /* the same behind ASCII of every length that shifts it against the eight bytes of a block */
    if (size <= 64) {
        uint8_t shifted[8 + 64 + 8];
        memset(shifted, 'a', sizeof shifted);
        for (size_t shift = 1; shift <= 8; shift++) {
            memset(shifted, 'a', shift);
            if (size > 0) {
                memcpy(shifted + shift, data, size);
            }
            memset(shifted + shift + size, 'z', 8);
            check(shifted, shift + size);
            check(shifted, shift + size + 8);
        }
    }
    return 0;
}
