/**
 * What all fifteen MQTT control packets share: type, fixed header, protocol version, and how a fault is told.
 *
 *      bit    7 6 5 4   3 2 1 0
 *           +---------+---------+----------------------+---------------------------+
 *           |  type   |  flags  | remaining length 1-4 | body: variable header ... |
 *           +---------+---------+----------------------+---------------------------+
 *
 * The layer is sans-I/O: a caller finds where a packet ends with packet_header_decode(), waits until it has all
 * of it, and hands the body to the decoder of that type (connect.h, publish.h, ack.h, subscribe.h, disconnect.h).
 * Decoders never allocate, never read behind the body and point their results into it. Encoders write into the
 * caller's buffer and never behind its end; where they return 0 for a CAP that is too small they do so too if a
 * field is longer than its length prefix can say, or the whole longer than a packet can be.
 *
 * All of protocol/ is free of global state; every function may be called from any thread.
 */
#ifndef PROTOCOL_PACKET_H
#define PROTOCOL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

/** Protocol Level byte of CONNECT. */
enum mqtt_version {
    MQTT_3_1 = 3,
    MQTT_3_1_1 = 4,
    MQTT_5_0 = 5,
};

enum packet_type {
    PACKET_CONNECT = 1,
    PACKET_CONNACK = 2,
    PACKET_PUBLISH = 3,
    PACKET_PUBACK = 4,
    PACKET_PUBREC = 5,
    PACKET_PUBREL = 6,
    PACKET_PUBCOMP = 7,
    PACKET_SUBSCRIBE = 8,
    PACKET_SUBACK = 9,
    PACKET_UNSUBSCRIBE = 10,
    PACKET_UNSUBACK = 11,
    PACKET_PINGREQ = 12,
    PACKET_PINGRESP = 13,
    PACKET_DISCONNECT = 14,
    PACKET_AUTH = 15,
};

#define PACKET_BODY_MAX         268435455u /* largest Remaining Length */
#define PACKET_HEADER_MAX       5u         /* bytes of the largest fixed header */
#define PACKET_RETURN_CODE_V3_1 1u         /* CONNACK return code "unacceptable protocol version" of 3.x */

/**
 * Why a packet was refused: the peer's fault, told in MQTT's terms.
 * Decoders fill it only when they fail.
 */
struct fault {
    uint8_t reason_code; /* >= 0x80; what to answer a 5.0 peer */
    const char *why;     /* static, one lower-case clause for logs and Reason String: "topic name is empty" */
};

struct packet_header {
    enum packet_type type;
    uint8_t flags;     /* low four bits of the first byte, checked against the type */
    uint32_t body_len; /* Remaining Length, 0 .. PACKET_BODY_MAX */
    uint8_t len;       /* bytes of this fixed header, 2..5 */
};

/**
 * Decode the fixed header at the start of BUF. [MQTT-1.5.5-1] [MQTT-2.1.3-1]
 *
 * Checks that the type exists for VERSION (0 is never valid, AUTH only in 5.0), that the flags are those the
 * specification prescribes for the type (DUP/QoS/RETAIN of PUBLISH are taken as they are, except that QoS 3 is
 * refused), and that the body length suits the types whose length is fixed (PINGREQ, PINGRESP; in 3.x also
 * PUBACK..PUBCOMP, UNSUBACK, CONNACK and DISCONNECT). Before CONNECT the version is not known: pass MQTT_5_0.
 * 3.1 alone allows DUP on a repeated PUBREL, SUBSCRIBE and UNSUBSCRIBE.
 *
 * @param buf   bytes received so far; borrowed for the call
 * @param len   bytes in BUF, may be 0
 * @param out   untouched unless the call returns > 0
 * @param fault filled only if the call returns -1
 *
 * @return length of the fixed header (2..5); 0 if BUF ends inside it (nothing wrong so far); -1 if malformed,
 *         which is told as early as the first byte that shows it.
 */
int packet_header_decode(const uint8_t *buf, size_t len, enum mqtt_version version, struct packet_header *out,
                         struct fault *fault);

/**
 * Write a fixed header: FIRST is type << 4 | flags, BODY_LEN <= PACKET_BODY_MAX.
 *
 * @param buf at least PACKET_HEADER_MAX bytes
 * @return bytes written (2..5)
 */
size_t packet_header_encode(uint8_t *buf, uint8_t first, uint32_t body_len);

/** Bytes of a whole packet whose body has BODY_LEN bytes (<= PACKET_BODY_MAX): 2..5 more. */
size_t packet_len(uint32_t body_len);

/** "CONNECT", "PUBLISH", ...; "?" for a value that is no type. Static string. */
const char *packet_name(enum packet_type type);

/**
 * Write a PINGREQ or PINGRESP.
 * @return 2; 0 if CAP < 2.
 */
size_t packet_encode_ping(uint8_t *buf, size_t cap, enum packet_type type);

#endif
