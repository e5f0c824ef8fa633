/**
 * The codecs of the packets that travel in both directions, for fuzz_packet.c and fuzz_packet_client.c.
 */
#ifndef TESTS_FUZZ_PACKET_CODECS_H
#define TESTS_FUZZ_PACKET_CODECS_H

#include "protocol/ack.h"
#include "protocol/connect.h"
#include "protocol/disconnect.h"
#include "protocol/publish.h"
#include "protocol/subscribe.h"

#include "tests/fuzz/packet_check.h"

struct packet_state {
    bool from_client;
    union packet_any {
        struct connect connect;
        struct connack connack;
        struct publish publish;
        struct ack ack;
        struct subscribe subscribe;
        struct unsubscribe unsubscribe;
        struct suback suback;
        struct disconnect disconnect;
    } slot[2];
};

extern const struct packet_codec publish_codec;
extern const struct packet_codec ack_codec;
extern const struct packet_codec disconnect_codec; /* DISCONNECT and AUTH */
extern const struct packet_codec ping_codec;       /* PINGREQ and PINGRESP */

#endif
