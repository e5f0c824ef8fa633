#include "tests/bench/mqtt.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/connect.h"
#include "protocol/subscribe.h"

#define KEEP_ALIVE_S        3600
#define SESSION_EXPIRY_S    3600
#define CONNECT_BYTES       128u
#define SUBSCRIBE_BYTES_MAX (1024u * 1024u)

static const struct bytes nothing = {NULL, 0};

void mqtt_queue_connect(struct loop *loop, struct peer *peer, const char *prefix, uint32_t number,
                        enum mqtt_session session, enum mqtt_version version)
{
    char id[32];
    (void)snprintf(id, sizeof id, "%s%u", prefix, number);
    struct connect c = {.version = version,
                        .clean_start = session == MQTT_SESSION_CLEAN,
                        .keep_alive_s = KEEP_ALIVE_S,
                        .client_id = bytes_from_string(id)};
    if (session == MQTT_SESSION_KEPT && version == MQTT_5_0) {
        c.properties.session_expiry_interval_s = SESSION_EXPIRY_S;
        properties_set(&c.properties, PROPERTY_SESSION_EXPIRY_INTERVAL);
    }
    size_t len = connect_encode(peer_reserve(peer, CONNECT_BYTES), CONNECT_BYTES, &c, nothing, nothing);
    peer_commit(peer, len);
    peer_mark_dirty(loop, peer);
}

void mqtt_queue_subscribe(struct loop *loop, struct peer *peer, uint16_t packet_id, const struct bytes *filters,
                          size_t count, uint8_t qos, enum mqtt_version version)
{
    struct subscribe_entry *entries = must_calloc(count, sizeof *entries);
    size_t room = 16;
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct subscribe_entry){.filter = filters[i], .qos = qos};
        room += filters[i].len + 3;
    }
    if (room > SUBSCRIBE_BYTES_MAX) {
        die("a SUBSCRIBE of %zu bytes is too large", room);
    }
    size_t len = subscribe_encode(peer_reserve(peer, room), room, packet_id, entries, count, 0, nothing, version);
    peer_commit(peer, len);
    peer_mark_dirty(loop, peer);
    free(entries);
}

void mqtt_queue_empty(struct loop *loop, struct peer *peer, enum mqtt_first first)
{
    const uint8_t packet[2] = {(uint8_t)first, 0};
    peer_queue(loop, peer, packet, sizeof packet);
}

void mqtt_queue_ack(struct loop *loop, struct peer *peer, enum mqtt_first first, uint16_t packet_id)
{
    const uint8_t packet[4] = {(uint8_t)first, 2, (uint8_t)(packet_id >> 8), (uint8_t)packet_id};
    peer_queue(loop, peer, packet, sizeof packet);
}

void mqtt_check_connack(uint8_t first, const uint8_t *body, size_t len, bool session_present, enum mqtt_version version)
{
    struct connack answer;
    struct fault fault;
    if (first != MQTT_CONNACK) {
        die("the server answered CONNECT with a packet of type %u", first >> 4);
    }
    if (!connack_decode((struct bytes){body, len}, version, &answer, &fault)) {
        die("CONNACK: %s", fault.why);
    }
    if (answer.reason_code != 0 || answer.session_present != session_present) {
        die("CONNACK: reason code %u, session present %d", answer.reason_code, answer.session_present);
    }
}

void mqtt_check_suback(uint8_t first, const uint8_t *body, size_t len, size_t count, uint8_t qos,
                       enum mqtt_version version)
{
    struct suback answer;
    struct fault fault;
    if (first != MQTT_SUBACK) {
        die("the server answered SUBSCRIBE with a packet of type %u", first >> 4);
    }
    if (!suback_decode((struct bytes){body, len}, PACKET_SUBACK, version, &answer, &fault)) {
        die("SUBACK: %s", fault.why);
    }
    if (answer.reason_codes.len != count) {
        die("SUBACK: %zu reason codes for %zu filters", answer.reason_codes.len, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (answer.reason_codes.data[i] != qos) {
            die("SUBACK: reason code %u for a filter with QoS %u", answer.reason_codes.data[i], qos);
        }
    }
}

uint16_t mqtt_ack_id(const uint8_t *body, size_t len)
{
    if (len < 2 || (len > 2 && body[2] >= 0x80)) {
        die("the server refused a message with reason code %u", len > 2 ? body[2] : 0);
    }
    return (uint16_t)(body[0] << 8 | body[1]);
}
