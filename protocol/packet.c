/*
 * The fixed header, from one table of the fifteen types.
 *
 * A type whose body has one fixed length always has one below 128, and the shortest form of such a length is the
 * byte itself. So the first length byte already shows whether it is right.
 */
#include "protocol/packet.h"

#include "protocol/publish.h"
#include "protocol/reason.h"
#include "protocol/varint.h"
#include "protocol/wire.h"

#define ANY_LEN 0xFFu

struct type_rule {
    const char *name;
    uint8_t flags;          /* [MQTT-2.1.3-1] what the low four bits must be */
    uint8_t unchecked_v3_1; /* flag bits that 3.1 leaves free: DUP on a repeated request */
    uint8_t body_len_v3;    /* 3.x: the only possible Remaining Length, or ANY_LEN */
    uint8_t body_len_v5;    /* 5.0: the same */
};

static const struct type_rule type_rules[16] = {
    [PACKET_CONNECT] = {"CONNECT", 0, 0, ANY_LEN, ANY_LEN},
    [PACKET_CONNACK] = {"CONNACK", 0, 0, 2, ANY_LEN},
    [PACKET_PUBLISH] = {"PUBLISH", 0, 0, ANY_LEN, ANY_LEN}, /* its flags are looked at by themselves */
    [PACKET_PUBACK] = {"PUBACK", 0, 0, 2, ANY_LEN},
    [PACKET_PUBREC] = {"PUBREC", 0, 0, 2, ANY_LEN},
    [PACKET_PUBREL] = {"PUBREL", 2, PUBLISH_DUP, 2, ANY_LEN}, /* [MQTT-3.6.1-1] */
    [PACKET_PUBCOMP] = {"PUBCOMP", 0, 0, 2, ANY_LEN},
    [PACKET_SUBSCRIBE] = {"SUBSCRIBE", 2, PUBLISH_DUP, ANY_LEN, ANY_LEN}, /* [MQTT-3.8.1-1] */
    [PACKET_SUBACK] = {"SUBACK", 0, 0, ANY_LEN, ANY_LEN},
    [PACKET_UNSUBSCRIBE] = {"UNSUBSCRIBE", 2, PUBLISH_DUP, ANY_LEN, ANY_LEN}, /* [MQTT-3.10.1-1] */
    [PACKET_UNSUBACK] = {"UNSUBACK", 0, 0, 2, ANY_LEN},
    [PACKET_PINGREQ] = {"PINGREQ", 0, 0, 0, 0},
    [PACKET_PINGRESP] = {"PINGRESP", 0, 0, 0, 0},
    [PACKET_DISCONNECT] = {"DISCONNECT", 0, 0, 0, ANY_LEN}, /* [MQTT-3.14.1-1] */
    [PACKET_AUTH] = {"AUTH", 0, 0, ANY_LEN, ANY_LEN},       /* [MQTT-3.15.1-1] */
};

static int header_refuse(struct fault *fault, const char *why)
{
    wire_refuse(fault, REASON_MALFORMED_PACKET, why);
    return -1;
}

/* What is wrong with the FIRST byte of a packet; NULL if nothing is. */
static const char *first_byte_fault(uint8_t first, enum mqtt_version version)
{
    unsigned type = first >> 4;
    const struct type_rule *rule = &type_rules[type];
    if (type == PACKET_PUBLISH) {
        return (first & 0x06u) == 0x06u ? "QoS is 3" : NULL; /* [MQTT-3.3.1-4] */
    }
    if (rule->name == NULL || (type == PACKET_AUTH && version != MQTT_5_0)) {
        return "packet type is reserved";
    }
    unsigned unchecked = version == MQTT_3_1 ? rule->unchecked_v3_1 : 0;
    return (first & 0x0Fu & ~unchecked) != rule->flags ? "reserved flags of the fixed header are wrong" : NULL;
}

int packet_header_decode(const uint8_t *buf, size_t len, enum mqtt_version version, struct packet_header *out,
                         struct fault *fault)
{
    if (len == 0) {
        return 0;
    }
    const char *why = first_byte_fault(buf[0], version);
    if (why != NULL) {
        return header_refuse(fault, why);
    }
    if (len == 1) {
        return 0;
    }
    const struct type_rule *rule = &type_rules[buf[0] >> 4];
    uint8_t only_len = version == MQTT_5_0 ? rule->body_len_v5 : rule->body_len_v3;
    if (only_len != ANY_LEN && buf[1] != only_len) {
        return header_refuse(fault, "remaining length is wrong for the packet type");
    }
    uint32_t body_len = buf[1];
    int used = 1;
    if (body_len >= 0x80) {
        used = varint_decode(buf + 1, len - 1, &body_len);
        if (used == 0) {
            return 0;
        }
        if (used < 0) {
            return header_refuse(fault, "remaining length is malformed");
        }
    }
    *out = (struct packet_header){
        .type = (enum packet_type)(buf[0] >> 4),
        .flags = buf[0] & 0x0Fu,
        .body_len = body_len,
        .len = (uint8_t)(1 + used),
    };
    return 1 + used;
}

size_t packet_header_encode(uint8_t *buf, uint8_t first, uint32_t body_len)
{
    return (size_t)(wire_put_varint(wire_put_u8(buf, first), body_len) - buf);
}

size_t packet_len(uint32_t body_len)
{
    return 1 + varint_len(body_len) + (size_t)body_len;
}

const char *packet_name(enum packet_type type)
{
    unsigned index = (unsigned)type;
    return index < 16 && type_rules[index].name != NULL ? type_rules[index].name : "?";
}

size_t packet_encode_ping(uint8_t *buf, size_t cap, enum packet_type type)
{
    if (cap < 2) {
        return 0;
    }
    return packet_header_encode(buf, (uint8_t)(type << 4), 0);
}
