/*
 * One table of the reason codes: the name of each, and the packets that may carry it.
 */
#include "protocol/reason.h"

#include <stddef.h>

/* A set of packet types has bit n for type n. Bit 0 is no type's: it stands for a DISCONNECT of a client. */
#define IN(type)          (1u << (unsigned)(type))
#define CONNACK           IN(PACKET_CONNACK)
#define PUBLISH_ACKS      (IN(PACKET_PUBACK) | IN(PACKET_PUBREC))
#define RELEASE_ACKS      (IN(PACKET_PUBREL) | IN(PACKET_PUBCOMP))
#define SUBACK            IN(PACKET_SUBACK)
#define UNSUBACK          IN(PACKET_UNSUBACK)
#define DISCONNECT_SERVER IN(PACKET_DISCONNECT)
#define DISCONNECT_CLIENT 1u
#define DISCONNECT_EITHER (DISCONNECT_SERVER | DISCONNECT_CLIENT)
#define AUTH              IN(PACKET_AUTH)

struct reason {
    const char *name;
    uint16_t packets;
};

static const struct reason reasons[] = {
    [REASON_SUCCESS] = {"Success",
                        CONNACK | PUBLISH_ACKS | RELEASE_ACKS | SUBACK | UNSUBACK | DISCONNECT_EITHER | AUTH},
    [REASON_GRANTED_QOS_1] = {"Granted QoS 1", SUBACK},
    [REASON_GRANTED_QOS_2] = {"Granted QoS 2", SUBACK},
    [REASON_DISCONNECT_WITH_WILL] = {"Disconnect with Will Message", DISCONNECT_CLIENT},
    [REASON_NO_MATCHING_SUBSCRIBERS] = {"No matching subscribers", PUBLISH_ACKS},
    [REASON_NO_SUBSCRIPTION_EXISTED] = {"No subscription existed", UNSUBACK},
    [REASON_CONTINUE_AUTHENTICATION] = {"Continue authentication", AUTH},
    [REASON_RE_AUTHENTICATE] = {"Re-authenticate", AUTH},
    [REASON_UNSPECIFIED_ERROR] = {"Unspecified error", CONNACK | PUBLISH_ACKS | SUBACK | UNSUBACK | DISCONNECT_EITHER},
    [REASON_MALFORMED_PACKET] = {"Malformed Packet", CONNACK | DISCONNECT_EITHER},
    [REASON_PROTOCOL_ERROR] = {"Protocol Error", CONNACK | DISCONNECT_EITHER},
    [REASON_IMPLEMENTATION_SPECIFIC_ERROR] = {"Implementation specific error",
                                              CONNACK | PUBLISH_ACKS | SUBACK | UNSUBACK | DISCONNECT_EITHER},
    [REASON_UNSUPPORTED_PROTOCOL_VERSION] = {"Unsupported Protocol Version", CONNACK},
    [REASON_CLIENT_IDENTIFIER_NOT_VALID] = {"Client Identifier not valid", CONNACK},
    [REASON_BAD_USER_NAME_OR_PASSWORD] = {"Bad User Name or Password", CONNACK},
    [REASON_NOT_AUTHORIZED] = {"Not authorized", CONNACK | PUBLISH_ACKS | SUBACK | UNSUBACK | DISCONNECT_SERVER},
    [REASON_SERVER_UNAVAILABLE] = {"Server unavailable", CONNACK},
    [REASON_SERVER_BUSY] = {"Server busy", CONNACK | DISCONNECT_SERVER},
    [REASON_BANNED] = {"Banned", CONNACK},
    [REASON_SERVER_SHUTTING_DOWN] = {"Server shutting down", DISCONNECT_SERVER},
    /* table 2-6 of the specification has DISCONNECT here, table 3-10 forgot it */
    [REASON_BAD_AUTHENTICATION_METHOD] = {"Bad authentication method", CONNACK | DISCONNECT_SERVER},
    [REASON_KEEP_ALIVE_TIMEOUT] = {"Keep Alive timeout", DISCONNECT_SERVER},
    [REASON_SESSION_TAKEN_OVER] = {"Session taken over", DISCONNECT_SERVER},
    [REASON_TOPIC_FILTER_INVALID] = {"Topic Filter invalid", SUBACK | UNSUBACK | DISCONNECT_SERVER},
    [REASON_TOPIC_NAME_INVALID] = {"Topic Name invalid", CONNACK | PUBLISH_ACKS | DISCONNECT_EITHER},
    [REASON_PACKET_IDENTIFIER_IN_USE] = {"Packet Identifier in use", PUBLISH_ACKS | SUBACK | UNSUBACK},
    [REASON_PACKET_IDENTIFIER_NOT_FOUND] = {"Packet Identifier not found", RELEASE_ACKS},
    [REASON_RECEIVE_MAXIMUM_EXCEEDED] = {"Receive Maximum exceeded", DISCONNECT_EITHER},
    [REASON_TOPIC_ALIAS_INVALID] = {"Topic Alias invalid", DISCONNECT_EITHER},
    [REASON_PACKET_TOO_LARGE] = {"Packet too large", CONNACK | DISCONNECT_EITHER},
    [REASON_MESSAGE_RATE_TOO_HIGH] = {"Message rate too high", DISCONNECT_EITHER},
    [REASON_QUOTA_EXCEEDED] = {"Quota exceeded", CONNACK | PUBLISH_ACKS | SUBACK | DISCONNECT_EITHER},
    [REASON_ADMINISTRATIVE_ACTION] = {"Administrative action", DISCONNECT_EITHER},
    [REASON_PAYLOAD_FORMAT_INVALID] = {"Payload format invalid", CONNACK | PUBLISH_ACKS | DISCONNECT_EITHER},
    [REASON_RETAIN_NOT_SUPPORTED] = {"Retain not supported", CONNACK | DISCONNECT_SERVER},
    [REASON_QOS_NOT_SUPPORTED] = {"QoS not supported", CONNACK | DISCONNECT_SERVER},
    [REASON_USE_ANOTHER_SERVER] = {"Use another server", CONNACK | DISCONNECT_SERVER},
    [REASON_SERVER_MOVED] = {"Server moved", CONNACK | DISCONNECT_SERVER},
    [REASON_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED] = {"Shared Subscriptions not supported", SUBACK | DISCONNECT_SERVER},
    [REASON_CONNECTION_RATE_EXCEEDED] = {"Connection rate exceeded", CONNACK | DISCONNECT_SERVER},
    [REASON_MAXIMUM_CONNECT_TIME] = {"Maximum connect time", DISCONNECT_SERVER},
    [REASON_SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED] = {"Subscription Identifiers not supported",
                                                       SUBACK | DISCONNECT_SERVER},
    [REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED] = {"Wildcard Subscriptions not supported",
                                                     SUBACK | DISCONNECT_SERVER},
};

#define REASON_COUNT (sizeof reasons / sizeof reasons[0])

const char *reason_name(uint8_t code)
{
    return code < REASON_COUNT && reasons[code].name != NULL ? reasons[code].name : "unknown";
}

bool reason_is_allowed(enum packet_type type, uint8_t code, bool from_client)
{
    if (code >= REASON_COUNT || (unsigned)type == 0 || (unsigned)type > PACKET_AUTH) {
        return false;
    }
    if (type == PACKET_DISCONNECT && from_client) {
        return (reasons[code].packets & DISCONNECT_CLIENT) != 0;
    }
    if (type == PACKET_AUTH && code == (from_client ? REASON_SUCCESS : REASON_RE_AUTHENTICATE)) {
        return false; /* success is the server's to say, re-authentication the client's to begin */
    }
    return (reasons[code].packets & IN(type)) != 0;
}

uint8_t reason_to_connack_v3(uint8_t code)
{
    switch (code) {
    case REASON_UNSUPPORTED_PROTOCOL_VERSION:
        return PACKET_RETURN_CODE_V3_1;
    case REASON_CLIENT_IDENTIFIER_NOT_VALID:
        return 2;
    case REASON_SERVER_UNAVAILABLE:
    case REASON_SERVER_BUSY:
    case REASON_SERVER_SHUTTING_DOWN:
    case REASON_QUOTA_EXCEEDED:
    case REASON_USE_ANOTHER_SERVER:
    case REASON_SERVER_MOVED:
    case REASON_CONNECTION_RATE_EXCEEDED:
        return 3; /* server unavailable */
    case REASON_BAD_USER_NAME_OR_PASSWORD:
    case REASON_BAD_AUTHENTICATION_METHOD:
        return 4;
    case REASON_NOT_AUTHORIZED:
    case REASON_BANNED:
        return 5;
    default:
        return 0;
    }
}
