/**
 * Every packet type in every version, cut at every byte, in two ways that must not be confused:
 *
 *   - the stream is cut: the header decoder says "need more", or says how long the body is, and there is less;
 *   - the body is cut and its length says so: a decoder refuses it, unless what is left is a packet by itself.
 *
 * The second list is part of each sample, so that a decoder that begins to accept less than it must have fails here.
 */
#include "protocol/ack.h"
#include "protocol/connect.h"
#include "protocol/disconnect.h"
#include "protocol/packet.h"
#include "protocol/publish.h"
#include "protocol/subscribe.h"

#include "tests/protocol/expect.h"

#define CLIENT  true
#define SERVER  false
#define PAYLOAD 0x80u /* with a length: from there on all cuts are packets, for what is cut is payload or a list */

static const struct sample {
    enum mqtt_version version;
    bool from_client;
    const char *hex;
    uint8_t whole_cuts[8]; /* body lengths of cuts that are packets by themselves */
    size_t whole_cut_count;
} samples[] = {
    {MQTT_3_1,
     CLIENT,
     "10 22 0006 'MQIsdp' 03 f6 001e 0002 'id' 0003 'w/t' 0004 'gone' 0001 'u' 0002 'pw'",
     {27, 30},
     2}, /* in 3.1 user name and password may be missing though flagged */
    {MQTT_3_1_1, CLIENT, "10 20 0004 'MQTT' 04 f6 001e 0002 'id' 0003 'w/t' 0004 'gone' 0001 'u' 0002 'pw'", {0}, 0},
    {MQTT_5_0,
     CLIENT,
     "10 34 0004 'MQTT' 05 f6 001e 08 21 0005 26 0000 0000 0002 'id' 0a 18 00000006 26 0000 0000 0003 'w/t' "
     "0004 'gone' 0001 'u' 0002 'pw'",
     {0},
     0},
    {MQTT_3_1, SERVER, "20 02 00 00", {0}, 0},
    {MQTT_3_1_1, SERVER, "20 02 01 00", {0}, 0},
    {MQTT_5_0, SERVER, "20 13 01 00 10 21 0007 1f 0003 'why' 26 0001 'k' 0001 'v'", {0}, 0},
    {MQTT_3_1, CLIENT, "33 0a 0003 'a/b' 0001 'xyz'", {PAYLOAD | 7}, 1},
    {MQTT_3_1_1, CLIENT, "30 08 0003 'a/b' 'xyz'", {PAYLOAD | 5}, 1},
    {MQTT_5_0, CLIENT, "32 13 0003 'a/b' 0001 08 02 00000009 23 0001 'xyz'", {PAYLOAD | 16}, 1},
    {MQTT_5_0, SERVER, "30 0b 0001 'a' 02 0b 05 'hello'", {PAYLOAD | 6}, 1},
    {MQTT_3_1_1, CLIENT, "40 02 0001", {0}, 0},
    {MQTT_5_0, CLIENT, "40 09 0001 97 05 26 0000 0000", {2, 3}, 2},
    {MQTT_3_1_1, SERVER, "50 02 0001", {0}, 0},
    {MQTT_5_0, SERVER, "50 09 0001 97 05 1f 0002 'no'", {2, 3}, 2},
    {MQTT_3_1, CLIENT, "62 02 0001", {0}, 0},
    {MQTT_5_0, CLIENT, "62 09 0001 92 05 1f 0002 'no'", {2, 3}, 2},
    {MQTT_3_1_1, CLIENT, "70 02 0001", {0}, 0},
    {MQTT_5_0, CLIENT, "70 04 0001 92 00", {2, 3}, 2},
    {MQTT_3_1, CLIENT, "82 0c 0001 0003 'a/#' 01 0001 'b' 02", {8}, 1},
    {MQTT_3_1_1, CLIENT, "82 0c 0001 0003 'a/#' 01 0001 'b' 02", {8}, 1},
    {MQTT_5_0, CLIENT, "82 13 0001 07 0b 05 26 0000 0000 0002 'ab' 2d 0001 'b' 02", {15}, 1},
    {MQTT_3_1_1, SERVER, "90 05 0001 00 01 80", {PAYLOAD | 3}, 1},
    {MQTT_5_0, SERVER, "90 0a 0001 05 1f 0002 'no' 00 97", {9}, 1},
    {MQTT_3_1_1, CLIENT, "a2 0a 0001 0003 'a/#' 0001 'b'", {7}, 1},
    {MQTT_5_0, CLIENT, "a2 10 0001 05 26 0000 0000 0003 'a/#' 0001 'b'", {13}, 1},
    {MQTT_3_1_1, SERVER, "b0 02 0001", {0}, 0},
    {MQTT_5_0, SERVER, "b0 05 0001 00 00 11", {4}, 1},
    {MQTT_3_1, CLIENT, "c0 00", {0}, 0},
    {MQTT_5_0, SERVER, "d0 00", {0}, 0},
    {MQTT_3_1_1, CLIENT, "e0 00", {0}, 0},
    {MQTT_5_0, CLIENT, "e0 0c 04 0a 11 0000000a 26 0000 0000", {0, 1}, 2},
    {MQTT_5_0, SERVER, "e0 06 9d 04 1c 0001 'b'", {0, 1}, 2},
    {MQTT_5_0, CLIENT, "f0 0a 18 08 15 0001 'm' 16 0001 00", {0}, 0},
    {MQTT_5_0, SERVER, "f0 06 00 04 15 0001 'm'", {0}, 1},
};

#define SAMPLE_COUNT ((int)(sizeof samples / sizeof samples[0]))

static bool decode_body(const struct sample *s, const struct packet_header *header, struct bytes body,
                        struct fault *fault)
{
    union {
        struct connect connect;
        struct connack connack;
        struct publish publish;
        struct ack ack;
        struct subscribe subscribe;
        struct unsubscribe unsubscribe;
        struct suback suback;
        struct disconnect disconnect;
    } out;
    switch (header->type) {
    case PACKET_CONNECT:
        return connect_decode(body, &out.connect, fault);
    case PACKET_CONNACK:
        return connack_decode(body, s->version, &out.connack, fault);
    case PACKET_PUBLISH:
        return publish_decode(body, header->flags, s->version, s->from_client, &out.publish, fault);
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
        return ack_decode(body, header->type, s->version, &out.ack, fault);
    case PACKET_SUBSCRIBE:
        return subscribe_decode(body, s->version, &out.subscribe, fault);
    case PACKET_UNSUBSCRIBE:
        return unsubscribe_decode(body, s->version, &out.unsubscribe, fault);
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        return suback_decode(body, header->type, s->version, &out.suback, fault);
    case PACKET_DISCONNECT:
    case PACKET_AUTH:
        return disconnect_decode(body, header->type, s->version, s->from_client, &out.disconnect, fault);
    default:
        return body.len == 0;
    }
}

/* True if S says that the first LEN bytes of its body are a packet. */
static bool is_whole_cut(const struct sample *s, size_t len)
{
    for (size_t i = 0; i < s->whole_cut_count; i++) {
        uint8_t cut = s->whole_cuts[i];
        if ((cut & PAYLOAD) != 0 ? len >= (cut & ~PAYLOAD) : len == cut) {
            return true;
        }
    }
    return false;
}

START_TEST(cut_stream_needs_more)
{
    const struct sample *s = &samples[_i];
    struct bytes packet = guarded_hex(s->hex);
    for (size_t len = 0; len < packet.len; len++) {
        struct bytes cut = guarded_copy((struct bytes){packet.data, len});
        struct packet_header header;
        struct fault fault;
        int header_len = packet_header_decode(cut.data, cut.len, s->version, &header, &fault);
        ck_assert_int_ge(header_len, 0);
        ck_assert(header_len == 0 || (size_t)header_len + header.body_len > len);
        guarded_free(cut.data, cut.len);
    }
}
END_TEST

START_TEST(whole_packet_is_accepted)
{
    const struct sample *s = &samples[_i];
    struct packet_header header;
    struct fault fault = {0, NULL};
    struct bytes body = expect_header(guarded_hex(s->hex), s->version, &header);
    ck_assert_msg(decode_body(s, &header, body, &fault), "%s: %s", s->hex, fault.why);
}
END_TEST

START_TEST(cut_body_is_refused_unless_it_is_a_packet_itself)
{
    const struct sample *s = &samples[_i];
    struct packet_header header;
    struct bytes body = expect_header(guarded_hex(s->hex), s->version, &header);
    for (size_t len = 0; len < body.len; len++) {
        struct bytes cut = guarded_copy((struct bytes){body.data, len});
        struct fault fault = {0, NULL};
        bool accepted = decode_body(s, &header, cut, &fault);
        ck_assert_msg(accepted == is_whole_cut(s, len), "%s cut to %zu bytes", s->hex, len);
        ck_assert(accepted || (fault.reason_code >= 0x80 && fault.why != NULL));
        guarded_free(cut.data, cut.len);
    }
}
END_TEST

START_TEST(byte_behind_the_last_field_is_refused)
{
    const struct sample *s = &samples[_i];
    struct packet_header header;
    struct bytes body = expect_header(guarded_hex(s->hex), s->version, &header);
    uint8_t *longer = guarded_alloc(body.len + 1);
    memcpy(longer, body.data, body.len);
    longer[body.len] = 0;
    struct fault fault = {0, NULL};
    bool takes_any = header.type == PACKET_PUBLISH || header.type == PACKET_SUBACK ||
                     (header.type == PACKET_UNSUBACK && s->version == MQTT_5_0);
    ck_assert(decode_body(s, &header, (struct bytes){longer, body.len + 1}, &fault) == takes_any);
}
END_TEST

START_TEST(samples_are_of_every_type)
{
    unsigned seen = 0;
    for (int i = 0; i < SAMPLE_COUNT; i++) {
        struct bytes packet = guarded_hex(samples[i].hex);
        seen |= 1u << (packet.data[0] >> 4);
    }
    ck_assert_uint_eq(seen, 0xFFFE);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("truncation");
    TCase *cuts = tcase_create("cuts");

    tcase_add_test(cuts, samples_are_of_every_type);
    tcase_add_loop_test(cuts, whole_packet_is_accepted, 0, SAMPLE_COUNT);
    tcase_add_loop_test(cuts, cut_stream_needs_more, 0, SAMPLE_COUNT);
    tcase_add_loop_test(cuts, cut_body_is_refused_unless_it_is_a_packet_itself, 0, SAMPLE_COUNT);
    tcase_add_loop_test(cuts, byte_behind_the_last_field_is_refused, 0, SAMPLE_COUNT);
    suite_add_tcase(s, cuts);
    return s;
}

CHECK_MAIN(suite)
