/*
 * The PROXY header: what is decided about the whole input is decided the same about every shorter piece of it, unless that is
 * too short to tell; nothing behind the input is read; a header that was accepted is within its bounds.
 */
#include "gateway/net/proxy.h"

#include "tests/fuzz/fuzz.h"

static ssize_t decode(const uint8_t *data, size_t size, struct proxy_header *header)
{
    uint8_t *copy = exact_copy(data, size);
    ssize_t len = proxy_header_decode(copy, size, header);
    free(copy);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole;
    struct proxy_header part;
    memset(&whole, 0xEE, sizeof whole);
    memset(&part, 0xEE, sizeof part);
    struct proxy_header untouched = whole;
    size_t capped = size < PROXY_HEADER_BYTES_MAX + 64 ? size : PROXY_HEADER_BYTES_MAX + 64;
    ssize_t len = decode(data, capped, &whole);

    REQUIRE(len >= -1 && len <= (ssize_t)PROXY_HEADER_BYTES_MAX && len <= (ssize_t)capped);
    REQUIRE(len != 0 || capped < PROXY_HEADER_BYTES_MAX);
    REQUIRE(len > 0 || memcmp(&whole, &untouched, sizeof whole) == 0);
    for (size_t cut = 0; cut < capped; cut++) {
        ssize_t cut_len = decode(data, cut, &part);
        if (len > 0 && cut >= (size_t)len) {
            REQUIRE(cut_len == len);
            REQUIRE(part.has_source == whole.has_source && part.source_port == whole.source_port);
            REQUIRE(memcmp(part.source, whole.source, sizeof part.source) == 0);
        } else {
            REQUIRE(cut_len == 0 || (cut_len == -1 && len == -1));
        }
    }
    return 0;
}
