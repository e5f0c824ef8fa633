/* A connection's life: bytes to packets, packets to handlers, output to the transport, deadlines, the end.
 *
 * Complete packets are handled in the transport's buffer; only a cut one is copied, and its memory grows with what has come,
 * never with what was announced. Whatever ends a connection goes through end(): the session is detached there and then,
 * the transport is closed at the end of the turn. */
#include "gateway/broker/client.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/base/log.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/outgoing.h"
#include "gateway/broker/route.h"
#include "gateway/broker/session.h"
#include "gateway/broker/will.h"
#include "gateway/store/message.h"
#include "protocol/connect.h"
#include "protocol/disconnect.h"
#include "protocol/greeting.h"
#include "protocol/reason.h"

#define PARTIAL_BYTES_MIN  512u
#define PROGRESS_BYTES     1024u /* of a large packet under way, which count as a sign of life */
#define PARKED_MAX         1000u /* acknowledgements that wait for the store before we stop reading */
#define LARGE_PACKET_BYTES 4096u /* whose sender is paused while memory is short */
#define MEMORY_CHECK_MS    100u
#define PEER_TEXT_BYTES    128u

static void on_connect_deadline(struct timer *timer);
static void on_keep_alive(struct timer *timer);

/* Put CLIENT at the head of its place's list. */
static void link_client(struct client *client)
{
    client->prev = NULL;
    client->next = client->place->clients;
    if (client->next != NULL) {
        client->next->prev = client;
    }
    client->place->clients = client;
}

static void log_opened(const struct client *client)
{
    char peer[PEER_TEXT_BYTES];
    if (log_is_on(LOG_LEVEL_DEBUG)) {
        client->ops->describe(client->transport, peer, sizeof(peer));
        log_debug("connection opened", LOG_STR("peer", peer), LOG_STR("transport", client->ops->name));
    }
}

struct client *client_new(struct place *place, const struct client_transport *ops, void *transport)
{
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    client->place = place;
    client->ops = ops;
    client->transport = transport;
    client->heard_ms = (uint32_t)place->now_ms;
    link_client(client);
    STATS_ADD(&place->stats, connections_opened, 1);
    log_opened(client);
    timer_init(&client->timer, on_connect_deadline);
    timer_wheel_set(place->wheel, &client->timer, place->now_ms + place->settings->limits.connect_timeout_ms);
    if (place->draining) {
        client_end_quietly(client, false, REASON_SERVER_SHUTTING_DOWN, "server is shutting down");
    }
    return client;
}

struct bytes client_id(const struct client *client)
{
    return client->session != NULL ? session_client_id(client->session) : (struct bytes){NULL, 0};
}

/* --- output ----------------------------------------------------------------------------------------------------------- */

uint8_t *client_append(struct client *client, size_t len)
{
    uint8_t *room = outq_append(client->place->pool, &client->out, len);
    if (room != NULL) {
        client_touch(client);
    }
    return room;
}

void client_unappend(struct client *client, size_t len)
{
    outq_unappend(client->place->pool, &client->out, len);
}

const struct outq *client_output(const struct client *client)
{
    return &client->out;
}

void client_written(struct client *client, size_t sent, bool blocked)
{
    outq_consume(client->place->pool, &client->out, sent);
    STATS_ADD(&client->place->stats, bytes_sent, sent);
    client->blocked = blocked;
    if ((client->paused & CLIENT_PAUSE_OUTPUT) != 0 &&
        client->out.len <= client->place->settings->limits.output_bytes) {
        client_set_paused(client, CLIENT_PAUSE_OUTPUT, false);
    }
    if (blocked) {
        outq_settle(client->place->pool, &client->out);
        return;
    }
    struct session *session = client->session;
    if (session != NULL && client->state == CLIENT_CONNECTED &&
        (session->outgoing.queue.count > 0 || session->outgoing.resend > 0 || session->walks != NULL)) {
        session_pump(client->place, session);
    }
}

/* --- pausing ---------------------------------------------------------------------------------------------------------- */

static void unlink_client(struct client *client)
{
    if (client->prev != NULL) {
        client->prev->next = client->next;
    } else {
        client->place->clients = client->next;
    }
    if (client->next != NULL) {
        client->next->prev = client->prev;
    }
}

static bool waits_for_place(const struct client *client)
{
    return (client->paused & CLIENT_PAUSE_BY_PLACE) != 0;
}

/* CLIENT begins, or ceases, to wait for its place. */
static void note_waiting(struct client *client)
{
    struct place *place = client->place;
    if (!waits_for_place(client)) {
        place->held_clients--;
        return;
    }
    place->held_clients++;
    unlink_client(client);
    link_client(client);
}

void client_unpause_all(struct place *place, enum client_pause reason)
{
    size_t left = place->held_clients;
    for (struct client *client = place->clients; left > 0; client = client->next) {
        if (waits_for_place(client)) {
            left--;
            if ((client->paused & reason) != 0) {
                client_set_paused(client, reason, false);
            }
        }
    }
}

void client_set_paused(struct client *client, enum client_pause reason, bool paused)
{
    uint8_t before = client->paused;
    bool waited = waits_for_place(client);
    client->paused = (uint8_t)(paused ? before | reason : before & ~(unsigned)reason);
    if (waits_for_place(client) != waited) {
        note_waiting(client);
    }
    if ((before != 0) == (client->paused != 0) || client->close_asked) {
        return;
    }
    if (!paused) {
        client->heard_ms = (uint32_t)client->place->now_ms; /* its keep alive stood still */
    }
    client->ops->pause(client->transport, paused);
}

/* --- the end ---------------------------------------------------------------------------------------------------------- */

static void log_end(const struct client *client, uint8_t reason_code, const char *why)
{
    char peer[PEER_TEXT_BYTES];
    client->ops->describe(client->transport, peer, sizeof(peer));
    struct bytes id = client_id(client);
    if (client->state == CLIENT_CONNECTED) {
        log_info("client disconnected", LOG_BYTES("client_id", id.data, id.len), LOG_STR("peer", peer),
                 LOG_CODE("reason_code", reason_code), LOG_STR("reason", why));
    } else {
        log_info("connection closed before it was accepted", LOG_STR("peer", peer),
                 LOG_CODE("reason_code", reason_code), LOG_STR("reason", why));
    }
}

/* Rights may have changed since CONNECT. */
static bool will_is_allowed(const struct place *place, const struct session *session)
{
    struct access *access = place->broker->access;
    return access->allows_all || session->will == NULL ||
           access->provider->may_publish(access, session->identity, message_topic(session->will->message),
                                         session->will->message->retain);
}

/* Everything of the protocol is over; the transport may still have to carry what is in `out`. */
static void end(struct client *client, bool with_will, uint8_t reason_code, const char *why)
{
    struct place *place = client->place;
    log_end(client, reason_code, why);
    bool was_connected = client->state == CLIENT_CONNECTED;
    connecting_cancel(client);
    reply_drop_parked(client);
    timer_wheel_stop(place->wheel, &client->timer);
    client->state = CLIENT_CLOSING;
    if (was_connected) {
        STATS_ADD(&place->stats, clients_connected, -1);
        STATS_ADD(&place->stats, clients_by_transport[client->ops->kind], -1);
    }
    struct session *session = client->session;
    client->session = NULL;
    if (session != NULL) {
        session->client = NULL;
        session_detach(place, session, with_will && will_is_allowed(place, session));
    }
    client_touch(client);
}

static void append_disconnect(struct client *client, uint8_t reason_code, const char *why)
{
    struct disconnect disconnect = {.reason_code = reason_code};
    if (why != NULL) {
        disconnect.properties.reason_string = bytes_from_string(why);
        properties_set(&disconnect.properties, PROPERTY_REASON_STRING);
    }
    uint8_t buf[512];
    size_t len = disconnect_encode(buf, sizeof(buf), PACKET_DISCONNECT, &disconnect, (struct bytes){NULL, 0},
                                   client_max_packet(client), MQTT_5_0);
    uint8_t *room = len > 0 && len <= client_max_packet(client) ? client_append(client, len) : NULL;
    if (room != NULL) {
        memcpy(room, buf, len);
        STATS_ADD(&client->place->stats, packets_sent, 1);
    }
}

/* Refuse before CONNACK: with a CONNACK if the client's version has a word for it [MQTT-3.2.2-7] [MQTT311-3.2.2-6]. */
static void append_refusal(struct client *client, uint8_t reason_code, const char *why)
{
    enum mqtt_version version = client->version;
    if (!reason_is_allowed(PACKET_CONNACK, reason_code, false)) {
        reason_code = REASON_SERVER_UNAVAILABLE; /* shutting down, taken over: words that only DISCONNECT has */
    }
    struct connack connack = {.reason_code = reason_code};
    if (version == MQTT_5_0) {
        connack.properties.reason_string = bytes_from_string(why);
        properties_set(&connack.properties, PROPERTY_REASON_STRING);
    } else {
        connack.reason_code = reason_to_connack_v3(reason_code);
        if (connack.reason_code == 0) {
            return;
        }
    }
    uint8_t buf[512];
    size_t max_len = client_max_packet(client);
    size_t len = connack_encode(buf, sizeof(buf), &connack, (struct bytes){NULL, 0}, version);
    if (len > max_len) {
        connack.properties.present = 0; /* [MQTT-3.2.2-19] the reason string makes it too large */
        len = connack_encode(buf, sizeof(buf), &connack, (struct bytes){NULL, 0}, version);
    }
    uint8_t *room = len > 0 && len <= max_len ? client_append(client, len) : NULL;
    if (room != NULL) {
        memcpy(room, buf, len);
        STATS_ADD(&client->place->stats, packets_sent, 1);
    }
}

void client_close(struct client *client, uint8_t reason_code, const char *why)
{
    if (client->state == CLIENT_CLOSING) {
        return;
    }
    if (client->is_local) {
        local_note_end(client, reason_code, why);
    } else if (client->state == CLIENT_CONNECTED) {
        if (client->version == MQTT_5_0) {
            append_disconnect(client, reason_code, why);
        }
    } else if (client->version != 0) {
        STATS_ADD(&client->place->stats, connects_refused, 1);
        append_refusal(client, reason_code, why);
    }
    end(client, true, reason_code, why);
}

void client_end_quietly(struct client *client, bool with_will, uint8_t reason_code, const char *why)
{
    if (client->state != CLIENT_CLOSING) {
        end(client, with_will, reason_code, why);
    }
}

void client_doom(struct client *client)
{
    STATS_ADD(&client->place->stats, dropped_no_memory, 1);
    client->doomed = true;
    client_touch(client);
}

static const char *end_text(enum client_end why)
{
    switch (why) {
    case CLIENT_END_WRITE_STALL:
        return "peer takes no output";
    case CLIENT_END_IO_ERROR:
        return "input/output error";
    case CLIENT_END_NO_PROXY_HEADER:
        return "no valid PROXY header came, which the listener's proxy_protocol asks for";
    case CLIENT_END_PEER:
    case CLIENT_END_CLOSED:
        break;
    }
    return "peer closed the connection";
}

static void unlink_dirty(struct client *client)
{
    if (!client->is_dirty) {
        return;
    }
    struct client **at = &client->place->dirty;
    while (*at != client && *at != NULL) {
        at = &(*at)->dirty_next;
    }
    if (*at != NULL) {
        *at = client->dirty_next;
    }
}

void client_gone(struct client *client, enum client_end why)
{
    struct place *place = client->place;
    client->close_asked = true; /* the transport is not to be called any more */
    client_end_quietly(client, true, REASON_UNSPECIFIED_ERROR, end_text(why));
    unlink_dirty(client);
    place->held_clients -= waits_for_place(client);
    unlink_client(client);
    if (client->partial != NULL) {
        STATS_ADD(&place->stats, input_bytes, -(uint64_t)client->partial_capacity);
        free(client->partial);
    }
    outq_clear(place->pool, &client->out);
    aliases_free(client);
    free(client);
}

/* --- deadlines -------------------------------------------------------------------------------------------------------- */

static struct client *client_of_timer(struct timer *timer)
{
    return TG_CONTAINER_OF(timer, struct client, timer);
}

static void on_connect_deadline(struct timer *timer)
{
    struct client *client = client_of_timer(timer);
    client_close(client, REASON_MAXIMUM_CONNECT_TIME,
                 client->state == CLIENT_NEW ? "no complete CONNECT in time" : "connecting took too long");
}

static uint64_t keep_alive_ms(const struct client *client)
{
    return (uint64_t)client->keep_alive_s * 1500u;
}

static void on_keep_alive(struct timer *timer)
{
    struct client *client = client_of_timer(timer);
    struct place *place = client->place;
    /* Modulo 2^32 ms, that is 49 days; the longest keep alive is 27 hours. */
    uint32_t silent_ms = client->paused != 0 ? 0 : (uint32_t)place->now_ms - client->heard_ms;
    if (silent_ms < keep_alive_ms(client)) {
        timer_wheel_set(place->wheel, timer, place->now_ms + keep_alive_ms(client) - silent_ms);
        return;
    }
    /* [MQTT-3.1.2-22] */
    client_close(client, REASON_KEEP_ALIVE_TIMEOUT, "no packet within 1.5 times the keep alive");
}

/* --- input ------------------------------------------------------------------------------------------------------------ */

/* Keep LEN bytes at BUF; at most MAX will be needed in all. */
static bool partial_add(struct client *client, const uint8_t *buf, size_t len, size_t max)
{
    size_t need = client->partial_len + len;
    if (need > client->partial_capacity) {
        size_t capacity = (size_t)client->partial_capacity * 2;
        capacity = capacity < PARTIAL_BYTES_MIN ? PARTIAL_BYTES_MIN : capacity;
        capacity = capacity > max ? max : capacity;
        capacity = capacity < need ? need : capacity;
        uint8_t *grown = capacity <= UINT32_MAX ? realloc(client->partial, capacity) : NULL;
        if (grown == NULL) {
            return false;
        }
        STATS_ADD(&client->place->stats, input_bytes, capacity - client->partial_capacity);
        client->partial = grown;
        client->partial_capacity = (uint32_t)capacity;
    }
    memcpy(client->partial + client->partial_len, buf, len);
    client->partial_len = (uint32_t)need;
    return true;
}

/* True if packets of a client in this state are read now. */
static bool is_reading(const struct client *client)
{
    return client->state == CLIENT_NEW || client->state == CLIENT_AUTHENTICATING || client->state == CLIENT_CONNECTED;
}

/* The largest packet CLIENT may send now. */
static size_t packet_bytes_max(const struct client *client)
{
    const struct config_limits *limits = &client->place->settings->limits;
    return client->state == CLIENT_CONNECTED ? client->packet_bytes : limits->connect_bytes;
}

static void out_of_memory(struct client *client)
{
    STATS_ADD(&client->place->stats, dropped_no_memory, 1);
    client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
}

static void handle_packet(struct client *client, const struct packet_header *header, struct bytes body)
{
    STATS_ADD(&client->place->stats, packets_received, 1);
    client->heard_ms = (uint32_t)client->place->now_ms;
    if (client->state == CLIENT_NEW) {
        if (header->type == PACKET_CONNECT) {
            handle_connect(client, body);
        } else {
            /* [MQTT-3.1.0-1] */
            client_end_quietly(client, false, REASON_PROTOCOL_ERROR, "first packet is not CONNECT");
        }
        return;
    }
    if (client->state == CLIENT_AUTHENTICATING && header->type != PACKET_AUTH && header->type != PACKET_DISCONNECT) {
        /* [MQTT-3.1.2-30] */
        client_close(client, REASON_PROTOCOL_ERROR, "only AUTH or DISCONNECT may come before CONNACK");
        return;
    }
    switch (header->type) {
    case PACKET_PUBLISH:
        handle_publish(client, header->flags, body);
        break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
        handle_ack(client, header->type, body);
        break;
    case PACKET_SUBSCRIBE:
        handle_subscribe(client, body);
        break;
    case PACKET_UNSUBSCRIBE:
        handle_unsubscribe(client, body);
        break;
    case PACKET_PINGREQ:
        handle_pingreq(client);
        break;
    case PACKET_DISCONNECT:
        handle_disconnect(client, body);
        break;
    case PACKET_AUTH:
        handle_auth(client, body);
        break;
    case PACKET_CONNECT:
        /* [MQTT-3.1.0-2] */
        client_close(client, REASON_PROTOCOL_ERROR, "second CONNECT");
        break;
    case PACKET_CONNACK:
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
    case PACKET_PINGRESP:
        client_close(client, REASON_PROTOCOL_ERROR, "packet that only a server may send");
        break;
    }
}

/* Decode the fixed header at BUF. @return the whole packet's length; 0: more is needed, or the client was closed. */
static size_t packet_begin(struct client *client, const uint8_t *buf, size_t len, struct packet_header *header)
{
    struct fault fault;
    enum mqtt_version version = client->version != 0 ? client->version : MQTT_5_0;
    const char *greeting = client->state == CLIENT_NEW ? greeting_recognize(buf, len) : NULL;
    if (greeting != NULL) {
        client_end_quietly(client, false, REASON_PROTOCOL_ERROR, greeting);
        return 0;
    }
    int header_len = packet_header_decode(buf, len, version, header, &fault);
    if (header_len < 0) {
        client_close(client, fault.reason_code, fault.why);
        return 0;
    }
    if (client->state == CLIENT_NEW && len > 0 && buf[0] >> 4 != PACKET_CONNECT) {
        client_end_quietly(client, false, REASON_PROTOCOL_ERROR, "first packet is not CONNECT");
        return 0;
    }
    if (header_len == 0) {
        return 0;
    }
    size_t total = (size_t)header_len + header->body_len;
    if (total > packet_bytes_max(client)) {
        client_close(client, REASON_PACKET_TOO_LARGE,
                     client->state == CLIENT_CONNECTED ? "packet exceeds the Maximum Packet Size"
                                                       : "packet before CONNACK is too large");
        return 0;
    }
    return total;
}

/* Continue the cut packet in `partial` with what is at *BUF. @return false if all was consumed or the client is closed. */
static bool continue_partial(struct client *client, const uint8_t **buf, size_t *len)
{
    struct packet_header header;
    size_t total = packet_begin(client, client->partial, client->partial_len, &header);
    while (total == 0) {
        if (client->state == CLIENT_CLOSING || *len == 0) {
            return false;
        }
        if (!partial_add(client, *buf, 1, PARTIAL_BYTES_MIN)) { /* a header is at most five bytes */
            out_of_memory(client);
            return false;
        }
        (*buf)++;
        (*len)--;
        total = packet_begin(client, client->partial, client->partial_len, &header);
    }
    size_t missing = total - client->partial_len;
    size_t take = missing < *len ? missing : *len;
    uint32_t before = client->partial_len;
    if (!partial_add(client, *buf, take, total)) {
        out_of_memory(client);
        return false;
    }
    *buf += take;
    *len -= take;
    if (take < missing) {
        if (before / PROGRESS_BYTES != client->partial_len / PROGRESS_BYTES) {
            client->heard_ms = (uint32_t)client->place->now_ms;
        }
        return false;
    }
    uint8_t *packet = client->partial;
    uint32_t capacity = client->partial_capacity;
    client->partial = NULL; /* a handler that keeps what comes behind starts anew */
    client->partial_len = 0;
    client->partial_capacity = 0;
    handle_packet(client, &header, (struct bytes){packet + header.len, header.body_len});
    STATS_ADD(&client->place->stats, input_bytes, -(uint64_t)capacity);
    free(packet);
    return client->state != CLIENT_CLOSING;
}

/* Handle the packets in BUF, as long as the client's state lets us; keep the rest. */
static void receive_packets(struct client *client, const uint8_t *buf, size_t len)
{
    if (is_reading(client) && client->partial != NULL && !continue_partial(client, &buf, &len)) {
        return;
    }
    while (len > 0 && is_reading(client)) {
        struct packet_header header;
        size_t total = packet_begin(client, buf, len, &header);
        if (client->state == CLIENT_CLOSING) {
            return;
        }
        if (total == 0 || total > len) {
            if (!partial_add(client, buf, len, total > 0 ? total : PARTIAL_BYTES_MIN)) {
                out_of_memory(client);
            }
            return;
        }
        handle_packet(client, &header, (struct bytes){buf + header.len, header.body_len});
        buf += total;
        len -= total;
    }
    if (len > 0 && client->state == CLIENT_CONNECTING) {
        size_t limit = client->place->settings->limits.connect_bytes;
        if (client->partial_len > limit) {
            client_close(client, REASON_PACKET_TOO_LARGE, "too much sent before CONNACK");
        } else if (!partial_add(client, buf, len, SIZE_MAX)) {
            out_of_memory(client);
        }
    }
}

/* While memory is short, whoever is sending something large waits. */
static void pause_if_memory_is_short(struct client *client)
{
    struct place *place = client->place;
    if (client->partial_len < LARGE_PACKET_BYTES || !broker_is_memory_short(place->broker)) {
        return;
    }
    client_set_paused(client, CLIENT_PAUSE_MEMORY, true);
    place->memory_short = true;
    if (!timer_is_set(&place->memory_timer)) {
        timer_wheel_set(place->wheel, &place->memory_timer, place->now_ms + MEMORY_CHECK_MS);
    }
}

void client_receive(struct client *client, const uint8_t *buf, size_t len)
{
    struct place *place = client->place;
    STATS_ADD(&place->stats, bytes_received, len);
    receive_packets(client, buf, len);
    if (client->state != CLIENT_CONNECTED) {
        return;
    }
    if (client->partial_len >= LARGE_PACKET_BYTES) {
        pause_if_memory_is_short(client);
    }
    if (client->parked_count > PARKED_MAX) {
        client_set_paused(client, CLIENT_PAUSE_PARKED, true);
    }
    /* Messages leave off at output_bytes, the last one above it; more than that are answers. A client that writes before
     * it reads must not be stopped for messages: neither side would go on. */
    const struct config_limits *limits = &place->settings->limits;
    if (client->out.len > limits->output_bytes + limits->packet_bytes) {
        client_set_paused(client, CLIENT_PAUSE_OUTPUT, true);
    }
}

void client_connected(struct client *client)
{
    struct place *place = client->place;
    client->state = CLIENT_CONNECTED;
    client->heard_ms = (uint32_t)place->now_ms;
    STATS_ADD(&place->stats, clients_connected, 1);
    STATS_ADD(&place->stats, clients_by_transport[client->ops->kind], 1);
    timer_wheel_stop(place->wheel, &client->timer);
    timer_init(&client->timer, on_keep_alive);
    if (client->keep_alive_s > 0) {
        timer_wheel_set(place->wheel, &client->timer, place->now_ms + keep_alive_ms(client));
    }
}

void client_resume_input(struct client *client)
{
    client_set_paused(client, CLIENT_PAUSE_CONNECTING, false);
    if (client->partial == NULL) {
        return;
    }
    uint8_t *kept = client->partial;
    uint32_t len = client->partial_len;
    uint32_t capacity = client->partial_capacity;
    client->partial = NULL;
    client->partial_len = 0;
    client->partial_capacity = 0;
    receive_packets(client, kept, len);
    STATS_ADD(&client->place->stats, input_bytes, -(uint64_t)capacity);
    free(kept);
}

void handle_pingreq(struct client *client)
{
    /* [MQTT-3.12.4-1] */
    uint8_t *room = client_append(client, 2);
    if (room == NULL) {
        out_of_memory(client);
        return;
    }
    (void)packet_encode_ping(room, 2, PACKET_PINGRESP);
    STATS_ADD(&client->place->stats, packets_sent, 1);
}
