/**
 * MQTT 5.0 reason codes [MQTT 5.0, 2.4], their names, and what becomes of them for older clients.
 *
 * The broker reasons in 5.0 codes only. A 3.x client has no word for most of them: connack codes are translated
 * by reason_to_connack_v3(), everything else is a closed connection.
 */
#ifndef PROTOCOL_REASON_H
#define PROTOCOL_REASON_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/packet.h"

enum reason_code {
    REASON_SUCCESS = 0x00, /* also: normal disconnection, granted QoS 0 */
    REASON_GRANTED_QOS_1 = 0x01,
    REASON_GRANTED_QOS_2 = 0x02,
    REASON_DISCONNECT_WITH_WILL = 0x04,
    REASON_NO_MATCHING_SUBSCRIBERS = 0x10,
    REASON_NO_SUBSCRIPTION_EXISTED = 0x11,
    REASON_CONTINUE_AUTHENTICATION = 0x18,
    REASON_RE_AUTHENTICATE = 0x19,
    REASON_UNSPECIFIED_ERROR = 0x80,
    REASON_MALFORMED_PACKET = 0x81,
    REASON_PROTOCOL_ERROR = 0x82,
    REASON_IMPLEMENTATION_SPECIFIC_ERROR = 0x83,
    REASON_UNSUPPORTED_PROTOCOL_VERSION = 0x84,
    REASON_CLIENT_IDENTIFIER_NOT_VALID = 0x85,
    REASON_BAD_USER_NAME_OR_PASSWORD = 0x86,
    REASON_NOT_AUTHORIZED = 0x87,
    REASON_SERVER_UNAVAILABLE = 0x88,
    REASON_SERVER_BUSY = 0x89,
    REASON_BANNED = 0x8A,
    REASON_SERVER_SHUTTING_DOWN = 0x8B,
    REASON_BAD_AUTHENTICATION_METHOD = 0x8C,
    REASON_KEEP_ALIVE_TIMEOUT = 0x8D,
    REASON_SESSION_TAKEN_OVER = 0x8E,
    REASON_TOPIC_FILTER_INVALID = 0x8F,
    REASON_TOPIC_NAME_INVALID = 0x90,
    REASON_PACKET_IDENTIFIER_IN_USE = 0x91,
    REASON_PACKET_IDENTIFIER_NOT_FOUND = 0x92,
    REASON_RECEIVE_MAXIMUM_EXCEEDED = 0x93,
    REASON_TOPIC_ALIAS_INVALID = 0x94,
    REASON_PACKET_TOO_LARGE = 0x95,
    REASON_MESSAGE_RATE_TOO_HIGH = 0x96,
    REASON_QUOTA_EXCEEDED = 0x97,
    REASON_ADMINISTRATIVE_ACTION = 0x98,
    REASON_PAYLOAD_FORMAT_INVALID = 0x99,
    REASON_RETAIN_NOT_SUPPORTED = 0x9A,
    REASON_QOS_NOT_SUPPORTED = 0x9B,
    REASON_USE_ANOTHER_SERVER = 0x9C,
    REASON_SERVER_MOVED = 0x9D,
    REASON_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E,
    REASON_CONNECTION_RATE_EXCEEDED = 0x9F,
    REASON_MAXIMUM_CONNECT_TIME = 0xA0,
    REASON_SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1,
    REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2,
};

/**
 * Name of CODE as the specification spells it, e.g. "Topic Name invalid"; "unknown" for a value it does not list.
 * 0x00 is "Success". The string is static. Any thread.
 */
const char *reason_name(uint8_t code);

/**
 * True if a packet of TYPE may carry reason CODE [MQTT-3.2.2-8, 3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1, 3.9.3-2,
 * 3.11.3-2, 3.14.2-1, 3.15.2-1]; FROM_CLIENT tells the direction, which matters for DISCONNECT and AUTH.
 * False for types that have no reason code.
 */
bool reason_is_allowed(enum packet_type type, uint8_t code, bool from_client);

/**
 * The 3.1/3.1.1 CONNACK return code for a 5.0 refusal CODE (>= 0x80).
 *
 * @return 1..5; 0 if no listed return code fits, then the server closes without a CONNACK [MQTT311-3.2.2-6].
 */
uint8_t reason_to_connack_v3(uint8_t code);

#endif
