/**
 * Small assertions that the tests of the codec share.
 */
#ifndef TESTS_PROTOCOL_EXPECT_H
#define TESTS_PROTOCOL_EXPECT_H

#include "protocol/packet.h"

#include "tests/check_main.h"
#include "tests/protocol/guarded.h"

#define NO_BYTES ((struct bytes){NULL, 0})

/** Loop bounds of tests that hold for all versions. */
#define FIRST_VERSION MQTT_3_1
#define END_VERSION   (MQTT_5_0 + 1)

#define expect_bytes(actual, text)                                                                                     \
    do {                                                                                                               \
        struct bytes actual_ = (actual);                                                                               \
        struct bytes expected_ = bytes_from_string(text);                                                              \
        ck_assert_uint_eq(actual_.len, expected_.len);                                                                 \
        ck_assert(bytes_equal(actual_, expected_));                                                                    \
    } while (0)

/** LEN bytes at BUF are what HEX spells. */
#define expect_hex(buf, length, hex)                                                                                   \
    do {                                                                                                               \
        struct bytes expected_ = guarded_hex(hex);                                                                     \
        ck_assert_uint_eq((length), expected_.len);                                                                    \
        ck_assert_mem_eq((buf), expected_.data, expected_.len);                                                        \
        guarded_free(expected_.data, expected_.len);                                                                   \
    } while (0)

/** FAULT was filled with CODE and a text. */
#define expect_fault(fault, code)                                                                                      \
    do {                                                                                                               \
        ck_assert_ptr_nonnull((fault).why);                                                                            \
        ck_assert_msg((fault).reason_code == (code), "reason code is 0x%02X (%s), not 0x%02X", (fault).reason_code,    \
                      (fault).why, (unsigned)(code));                                                                  \
    } while (0)

/** Decode the header of PACKET, which must be whole, and return its body. */
static inline struct bytes expect_header(struct bytes packet, enum mqtt_version version, struct packet_header *header)
{
    struct fault fault = {0, NULL};
    int len = packet_header_decode(packet.data, packet.len, version, header, &fault);
    ck_assert_msg(len > 0, "header: %s", fault.why != NULL ? fault.why : "more bytes needed");
    ck_assert_uint_eq((size_t)len + header->body_len, packet.len);
    return (struct bytes){packet.data + len, packet.len - (size_t)len};
}

#endif
