/**
 * The packets that every workload needs from a client: queue them to a peer, check the answers. What is sent a million times
 * is built by the workloads themselves.
 */
#ifndef TESTS_BENCH_MQTT_H
#define TESTS_BENCH_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"
#include "protocol/packet.h"
#include "tests/bench/loop.h"

/** First bytes of packets: type and flags. */
enum mqtt_first {
    MQTT_CONNACK = PACKET_CONNACK << 4,
    MQTT_PUBACK = PACKET_PUBACK << 4,
    MQTT_PUBREC = PACKET_PUBREC << 4,
    MQTT_PUBREL = PACKET_PUBREL << 4 | 2,
    MQTT_PUBCOMP = PACKET_PUBCOMP << 4,
    MQTT_SUBACK = PACKET_SUBACK << 4,
    MQTT_PINGREQ = PACKET_PINGREQ << 4,
    MQTT_PINGRESP = PACKET_PINGRESP << 4,
    MQTT_DISCONNECT = PACKET_DISCONNECT << 4,
};

/** What becomes of a client's session. */
enum mqtt_session {
    MQTT_SESSION_CLEAN, /* begins with the connection and ends with it */
    MQTT_SESSION_KEPT,  /* goes on where it was left, and outlives the connection: by an hour in 5.0 */
};

/** Queue CONNECT: keep-alive of an hour; the client id is PREFIX and NUMBER. */
void mqtt_queue_connect(struct loop *loop, struct peer *peer, const char *prefix, uint32_t number,
                        enum mqtt_session session, enum mqtt_version version);

/** Queue SUBSCRIBE to COUNT filters, all with QOS. Dies if it would be larger than 1 MiB. */
void mqtt_queue_subscribe(struct loop *loop, struct peer *peer, uint16_t packet_id, const struct bytes *filters,
                          size_t count, uint8_t qos, enum mqtt_version version);

/** Queue a packet without a body: FIRST is MQTT_PINGREQ or MQTT_DISCONNECT. */
void mqtt_queue_empty(struct loop *loop, struct peer *peer, enum mqtt_first first);

/** Queue the acknowledgement FIRST of PACKET_ID. */
void mqtt_queue_ack(struct loop *loop, struct peer *peer, enum mqtt_first first, uint16_t packet_id);

/** Die unless FIRST and BODY are a CONNACK that accepts, and says SESSION_PRESENT. */
void mqtt_check_connack(uint8_t first, const uint8_t *body, size_t len, bool session_present,
                        enum mqtt_version version);

/** Die unless FIRST and BODY are a SUBACK that grants QOS to COUNT filters. */
void mqtt_check_suback(uint8_t first, const uint8_t *body, size_t len, size_t count, uint8_t qos,
                       enum mqtt_version version);

/** The packet id that an acknowledgement's BODY begins with; dies if there is none or a reason code says failure. */
uint16_t mqtt_ack_id(const uint8_t *body, size_t len);

#endif
