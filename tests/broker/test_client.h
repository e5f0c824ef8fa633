/**
 * An MQTT client for tests, with the transport that it speaks through: it sends what the test says, keeps what the broker
 * answers, and the test says what that must have been.
 *
 *      struct tc *c = tc_connect(h, "id", MQTT_5_0);
 *      tc_subscribe(c, "a/+", 1);
 *      tc_publish(c, "a/b", "x", 1);
 *      tc_puback(c, tc_expect_publish(c, "a/b", "x", 1)->packet_id);
 *      tc_expect_nothing(c);
 *
 * Beside what a test expects, every packet that comes is checked against what must hold always: it is well-formed and has a reason
 * code that its type may have; CONNACK comes first and once; nothing follows DISCONNECT; Maximum Packet Size, Receive
 * Maximum and Topic Alias Maximum are kept; QoS 0 has no DUP; no packet id is used twice at a time. [MQTT-3.2.0-1] [MQTT-3.2.0-2]
 * [MQTT-3.14.4-1] [MQTT-3.1.2-24] [MQTT-3.3.4-9] [MQTT-3.1.2-26] [MQTT-3.3.1-2] [MQTT-2.2.1-4]
 *
 * What the expectations return stays valid until harness_free().
 */
#ifndef TESTS_BROKER_TEST_CLIENT_H
#define TESTS_BROKER_TEST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/ack.h"
#include "protocol/connect.h"
#include "protocol/disconnect.h"
#include "protocol/packet.h"
#include "protocol/publish.h"
#include "protocol/subscribe.h"

struct client;
struct harness;
struct tc_packet;

struct tc {
    struct harness *h;
    struct tc *next;       /* in h->clients */
    struct client *client; /* NULL once the transport is gone */
    char id[64];           /* as in CONNECT, for messages */
    unsigned place;
    enum mqtt_version version;
    uint16_t next_packet_id;

    /* the transport */
    size_t room;     /* bytes that the socket still takes; SIZE_MAX: any number */
    bool paused;     /* by the broker */
    bool closed;     /* by the broker */
    uint8_t *unread; /* owned; sent by the test while paused */
    size_t unread_len;
    uint8_t *partial; /* owned; bytes of a packet that is not complete */
    size_t partial_len;
    struct tc_packet *all;   /* owned; every packet that came, newest first */
    struct tc_packet *first; /* the test has looked at all that are older */
    struct tc_packet *last;

    /* what must hold always */
    uint32_t packet_max; /* 0: none announced */
    uint16_t receive_max;
    uint16_t alias_max;
    struct bytes *aliases; /* owned; alias_max + 1 topics, borrowed from packets */
    uint32_t open_count;
    uint8_t *open; /* owned; by packet id: PUBLISH sent and not finished */
    bool has_connack;
    bool has_disconnect;
};

/** What a CONNECT says. Zero is: 5.0, Clean Start, no keep alive, no properties, no will, place 0. */
struct tc_options {
    const char *id;
    enum mqtt_version version;
    unsigned place;
    bool resume; /* Clean Start (CleanSession) is 0 */
    uint16_t keep_alive_s;
    const char *properties; /* a packet spec, see spec.h */
    const char *user_name;
    const char *password;
    struct {
        const char *topic; /* NULL: no will */
        const char *payload;
        uint8_t qos;
        bool retain;
        const char *properties;
    } will;
};

/** What a PUBLISH says. */
struct tc_message {
    const char *topic;
    const char *payload;
    size_t payload_len; /* 0: payload is a string or NULL */
    const char *properties;
    uint16_t id; /* 0: the next free one, if there is a QoS */
    uint8_t qos;
    bool retain;
    bool dup;
};

/** One subscription. */
struct tc_subscription {
    const char *filter;
    uint8_t qos;
    bool no_local;
    bool retain_as_published;
    uint8_t retain_handling;
    uint32_t id;
};

/* --- connections ------------------------------------------------------------------------------------------------------ */

/** A connection at PLACE that has sent nothing. Freed by harness_free(). */
struct tc *tc_open(struct harness *h, unsigned place);

/** Open a connection and send CONNECT; expect nothing. */
struct tc *tc_try_connect(struct harness *h, struct tc_options options);

/** Send a CONNECT on the connection C. */
void tc_send_connect(struct tc *c, struct tc_options options);

/** What failures call C until it sends CONNECT. */
void tc_name(struct tc *c, const char *name);

/** The peer is gone: end of file or reset. A no-op if the transport has ended. */
void tc_hang_up(struct tc *c);

/** The socket takes ROOM more bytes (SIZE_MAX: any number), from now on; run. */
void tc_set_room(struct tc *c, size_t room);

/** For harness.c: let the transport do what it can. @return true if it did something */
bool tc_turn(struct tc *c);
void tc_free(struct tc *c);

/* --- sending ---------------------------------------------------------------------------------------------------------- */

/** Send bytes and run. */
void tc_send(struct tc *c, const void *bytes, size_t len);

/** Send without letting the broker end its turn. */
void tc_feed(struct tc *c, const void *bytes, size_t len);

/** Send packets written as spec.h says, after printf; run. */
void tc_send_spec(struct tc *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Send without more. @return the packet id, 0 for QoS 0 */
uint16_t tc_send_publish(struct tc *c, struct tc_message message);
uint16_t tc_send_subscribe(struct tc *c, struct tc_subscription subscription);
uint16_t tc_send_unsubscribe(struct tc *c, const char *filter);

/** Send an acknowledgement of TYPE. */
void tc_send_ack(struct tc *c, enum packet_type type, uint16_t packet_id, uint8_t reason_code);
#define tc_puback(c, packet_id)  tc_send_ack((c), PACKET_PUBACK, (packet_id), 0)
#define tc_pubrec(c, packet_id)  tc_send_ack((c), PACKET_PUBREC, (packet_id), 0)
#define tc_pubrel(c, packet_id)  tc_send_ack((c), PACKET_PUBREL, (packet_id), 0)
#define tc_pubcomp(c, packet_id) tc_send_ack((c), PACKET_PUBCOMP, (packet_id), 0)

/** PINGREQ. */
void tc_send_ping(struct tc *c);

/** DISCONNECT without will, then hang up. */
void tc_disconnect(struct tc *c);

/* --- expectations; each looks at the oldest packet not looked at ------------------------------------------------------- */

/** Where the test is, for messages; the macros below say it. */
void tc_at(const char *file, int line);
#define TC_AT(call) (tc_at(__FILE__, __LINE__), call)

/** CONNACK with these; RETURN_CODE is 3.x's for a 3.x client. */
const struct connack *tc_expect_connack_(struct tc *c, bool session_present, uint8_t reason_code);
/** PUBLISH with these; QoS is not answered. */
const struct publish *tc_expect_publish_(struct tc *c, const char *topic, const char *payload, uint8_t qos);
/** The same, then answer it to the end of its handshake. */
const struct publish *tc_receive_(struct tc *c, const char *topic, const char *payload, uint8_t qos);
/** Any PUBLISH. */
const struct publish *tc_expect_any_publish_(struct tc *c);
/** Whatever comes first. */
void tc_skip_(struct tc *c);
/** Any acknowledgement of TYPE, for whatever. */
const struct ack *tc_take_ack_(struct tc *c, enum packet_type type);
const struct ack *tc_expect_ack_(struct tc *c, enum packet_type type, uint16_t packet_id, uint8_t reason_code);
/** An acknowledgement whose reason code is below 0x80. */
const struct ack *tc_expect_success_(struct tc *c, enum packet_type type, uint16_t packet_id);
/** An acknowledgement with any reason code, and with any id if PACKET_ID is 0. */
const struct ack *tc_expect_any_ack_(struct tc *c, enum packet_type type, uint16_t packet_id);
/** CODES: a packet spec. */
const struct suback *tc_expect_suback_(struct tc *c, enum packet_type type, uint16_t packet_id, const char *codes);
/** Any SUBACK that answers the request PACKET_ID. */
const struct suback *tc_expect_any_suback_(struct tc *c, uint16_t packet_id);
void tc_expect_pingresp_(struct tc *c);
const struct disconnect *tc_expect_auth_(struct tc *c, uint8_t reason_code);
/** 5.0: DISCONNECT with REASON_CODE, then the end of the connection. 3.x: that end alone. NULL for 3.x. */
const struct disconnect *tc_expect_refused_(struct tc *c, uint8_t reason_code);
/** No packet is left and the broker has closed the connection. */
void tc_expect_closed_(struct tc *c);
/** No packet is left and the connection stands. */
void tc_expect_nothing_(struct tc *c);

#define tc_expect_connack(...)     TC_AT(tc_expect_connack_(__VA_ARGS__))
#define tc_expect_publish(...)     TC_AT(tc_expect_publish_(__VA_ARGS__))
#define tc_receive(...)            TC_AT(tc_receive_(__VA_ARGS__))
#define tc_expect_any_publish(...) TC_AT(tc_expect_any_publish_(__VA_ARGS__))
#define tc_skip(c)                 TC_AT(tc_skip_(c))
#define tc_take_ack(...)           TC_AT(tc_take_ack_(__VA_ARGS__))
#define tc_expect_ack(...)         TC_AT(tc_expect_ack_(__VA_ARGS__))
#define tc_expect_any_ack(...)     TC_AT(tc_expect_any_ack_(__VA_ARGS__))
#define tc_expect_puback(c, id)    TC_AT(tc_expect_success_((c), PACKET_PUBACK, (id)))
#define tc_expect_pubrec(c, id)    TC_AT(tc_expect_success_((c), PACKET_PUBREC, (id)))
#define tc_expect_pubrel(c, id)    TC_AT(tc_expect_success_((c), PACKET_PUBREL, (id)))
#define tc_expect_pubcomp(c, id)   TC_AT(tc_expect_success_((c), PACKET_PUBCOMP, (id)))
#define tc_expect_suback(c, ...)   TC_AT(tc_expect_suback_((c), PACKET_SUBACK, __VA_ARGS__))
#define tc_expect_unsuback(c, ...) TC_AT(tc_expect_suback_((c), PACKET_UNSUBACK, __VA_ARGS__))
#define tc_expect_any_suback(...)  TC_AT(tc_expect_any_suback_(__VA_ARGS__))
#define tc_expect_pingresp(c)      TC_AT(tc_expect_pingresp_(c))
#define tc_expect_auth(...)        TC_AT(tc_expect_auth_(__VA_ARGS__))
#define tc_expect_refused(...)     TC_AT(tc_expect_refused_(__VA_ARGS__))
#define tc_expect_closed(c)        TC_AT(tc_expect_closed_(c))
#define tc_expect_nothing(c)       TC_AT(tc_expect_nothing_(c))

/** How many packets the test has not looked at. */
size_t tc_count(const struct tc *c);

/** Type of the oldest packet not looked at; 0: there is none. */
unsigned tc_next_type(struct tc *c);

/** The packet that came last, as it stood on the wire. */
const uint8_t *tc_last_bytes(const struct tc *c);

/** True if the oldest packet not looked at is of TYPE; it stays where it is. */
bool tc_next_is(struct tc *c, enum packet_type type);

/** True if the properties that came are exactly those of the packet spec EXPECTED, in that order. */
bool tc_has_properties(const struct properties *properties, const char *expected);

/* --- whole exchanges -------------------------------------------------------------------------------------------------- */

/** Connect with Clean Start; CONNACK must be 0x00. */
struct tc *tc_connect_at_(struct harness *h, unsigned place, const char *id, enum mqtt_version version);
/** Connect as OPTIONS say; CONNACK must be 0x00, with any Session Present. */
struct tc *tc_connect_with_(struct harness *h, struct tc_options options);
/** Connect without Clean Start, with a session that lasts for an hour (3.x: for ever). */
struct tc *tc_connect_persistent_(struct harness *h, unsigned place, const char *id, enum mqtt_version version);
/** Subscribe and be granted the QoS asked for. Retained messages, which may have come before the SUBACK, are left for the test to look at. */
void tc_subscribe_(struct tc *c, struct tc_subscription subscription);
/** Unsubscribe from something that is subscribed to. */
void tc_unsubscribe_(struct tc *c, const char *filter);
/** Publish to the end of the handshake; what else comes meanwhile is left for the test to look at. */
void tc_publish_(struct tc *c, struct tc_message message);
/** PINGREQ and PINGRESP: the connection lives and the broker reads. */
void tc_expect_alive_(struct tc *c);

#define tc_connect(h, id, version)                      TC_AT(tc_connect_at_((h), 0, (id), (version)))
#define tc_connect_at(h, place, id, version)            TC_AT(tc_connect_at_((h), (place), (id), (version)))
#define tc_connect_with(h, ...)                         TC_AT(tc_connect_with_((h), (struct tc_options){__VA_ARGS__}))
#define tc_connect_persistent(h, id, version)           TC_AT(tc_connect_persistent_((h), 0, (id), (version)))
#define tc_connect_persistent_at(h, place, id, version) TC_AT(tc_connect_persistent_((h), (place), (id), (version)))
#define tc_subscribe(c, filter_, qos_)                                                                                 \
    TC_AT(tc_subscribe_((c), (struct tc_subscription){.filter = (filter_), .qos = (qos_)}))
#define tc_subscribe_with(c, ...) TC_AT(tc_subscribe_((c), (struct tc_subscription){__VA_ARGS__}))
#define tc_unsubscribe(c, filter) TC_AT(tc_unsubscribe_((c), (filter)))
#define tc_publish(c, topic_, payload_, qos_)                                                                          \
    TC_AT(tc_publish_((c), (struct tc_message){.topic = (topic_), .payload = (payload_), .qos = (qos_)}))
#define tc_publish_with(c, ...) TC_AT(tc_publish_((c), (struct tc_message){__VA_ARGS__}))
#define tc_retain(c, topic_, payload_, qos_)                                                                           \
    TC_AT(tc_publish_((c),                                                                                             \
                      (struct tc_message){.topic = (topic_), .payload = (payload_), .qos = (qos_), .retain = true}))
#define tc_expect_alive(c) TC_AT(tc_expect_alive_(c))

#endif
