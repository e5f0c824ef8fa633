#include "tests/broker/test_client.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/client.h"
#include "gateway/broker/outq.h"
#include "tests/broker/harness.h"
#include "tests/broker/spec.h"

enum { IOV_MAX_USED = 16, PACKET_IDS = 65536 };

struct tc_packet {
    struct tc_packet *older; /* in c->all */
    struct tc_packet *newer;
    enum packet_type type;
    bool taken; /* the test has looked at it */
    union {     /* by type; point into bytes */
        struct connack connack;
        struct publish publish;
        struct ack ack;
        struct suback suback;
        struct disconnect disconnect;
    };
    uint8_t bytes[];
};

static const char *at_file = "";
static int at_line;

void tc_at(const char *file, int line)
{
    at_file = file;
    at_line = line;
}

__attribute__((format(printf, 2, 3), noreturn)) static void fail_test(const struct tc *c, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    ck_abort_msg("%s:%d: client \"%s\": %s", at_file, at_line, c->id, text);
    abort(); /* ck_abort_msg() returns in no mode that we use */
}

static void *must(void *memory)
{
    ck_assert_ptr_nonnull(memory);
    return memory;
}

/* --- what must hold always --------------------------------------------------------------------------------------------- */

static void check_connack(struct tc *c, const struct connack *connack)
{
    if (c->has_connack) {
        fail_test(c, "second CONNACK [MQTT-3.2.0-2]");
    }
    c->has_connack = true;
    if (connack->session_present && connack->reason_code != 0) {
        fail_test(c, "Session Present with reason code 0x%02X [MQTT-3.2.2-6]", connack->reason_code);
    }
}

static void resolve_alias(struct tc *c, struct publish *publish)
{
    if (!properties_has(&publish->properties, PROPERTY_TOPIC_ALIAS)) {
        return;
    }
    uint16_t alias = publish->properties.topic_alias;
    if (alias > c->alias_max) {
        fail_test(c, "topic alias %u above the maximum %u [MQTT-3.1.2-26]", alias, c->alias_max);
    }
    if (publish->topic.len > 0) {
        c->aliases[alias] = publish->topic;
    }
    if (c->aliases[alias].len == 0) {
        fail_test(c, "topic alias %u without a topic", alias);
    }
    publish->topic = c->aliases[alias];
}

static void check_publish(struct tc *c, struct publish *publish)
{
    resolve_alias(c, publish);
    if (publish->qos == 0) {
        return; /* the decoder refuses DUP [MQTT-3.3.1-2] */
    }
    if (c->open[publish->packet_id]) {
        fail_test(c, "packet id %u is in use already [MQTT-2.2.1-4]", publish->packet_id);
    }
    c->open[publish->packet_id] = 1;
    if (++c->open_count > c->receive_max) {
        fail_test(c, "%u PUBLISH packets unacknowledged, Receive Maximum is %u [MQTT-3.3.4-9]", c->open_count,
                  c->receive_max);
    }
}

static void check_always(struct tc *c, struct tc_packet *packet)
{
    if (c->has_disconnect) {
        fail_test(c, "%s behind DISCONNECT [MQTT-3.14.4-1]", packet_name(packet->type));
    }
    if (packet->type == PACKET_CONNACK) {
        check_connack(c, &packet->connack);
        return;
    }
    if (!c->has_connack && packet->type != PACKET_AUTH) {
        fail_test(c, "%s before CONNACK [MQTT-3.2.0-1]", packet_name(packet->type));
    }
    if (packet->type == PACKET_DISCONNECT) {
        c->has_disconnect = true;
        if (c->version != MQTT_5_0) {
            fail_test(c, "DISCONNECT to a client of 3.x");
        }
    } else if (packet->type == PACKET_PUBLISH) {
        check_publish(c, &packet->publish);
    }
}

/* --- receiving --------------------------------------------------------------------------------------------------------- */

static bool decode(const struct tc *c, struct tc_packet *packet, struct bytes body, uint8_t flags, struct fault *fault)
{
    switch (packet->type) {
    case PACKET_CONNACK:
        return connack_decode(body, c->version, &packet->connack, fault);
    case PACKET_PUBLISH:
        return publish_decode(body, flags, c->version, false, &packet->publish, fault);
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
        return ack_decode(body, packet->type, c->version, &packet->ack, fault);
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        return suback_decode(body, packet->type, c->version, &packet->suback, fault);
    case PACKET_DISCONNECT:
    case PACKET_AUTH:
        return disconnect_decode(body, packet->type, c->version, false, &packet->disconnect, fault);
    case PACKET_PINGRESP:
        return true;
    case PACKET_CONNECT:
    case PACKET_SUBSCRIBE:
    case PACKET_UNSUBSCRIBE:
    case PACKET_PINGREQ:
        break;
    }
    *fault = (struct fault){0x82, "packet that only a client may send"};
    return false;
}

/* Take the packet of LEN bytes at BYTES, whose header is HEADER. */
static void arrive(struct tc *c, const struct packet_header *header, const uint8_t *bytes, size_t len)
{
    struct tc_packet *packet = must(calloc(1, sizeof(*packet) + len));
    memcpy(packet->bytes, bytes, len);
    packet->type = header->type;
    packet->older = c->all;
    c->all = packet;
    if (c->last != NULL) {
        c->last->newer = packet;
    }
    c->last = packet;
    if (c->first == NULL) {
        c->first = packet;
    }
    struct fault fault = {0, NULL};
    if (!decode(c, packet, (struct bytes){packet->bytes + header->len, header->body_len}, header->flags, &fault)) {
        fail_test(c, "malformed %s: %s", packet_name(packet->type), fault.why);
    }
    if (c->packet_max != 0 && len > c->packet_max) {
        fail_test(c, "%s of %zu bytes, Maximum Packet Size is %u [MQTT-3.1.2-24]", packet_name(packet->type), len,
                  c->packet_max);
    }
    check_always(c, packet);
}

static void arrive_bytes(struct tc *c, const void *bytes, size_t len)
{
    c->partial = must(realloc(c->partial, c->partial_len + len + 1));
    memcpy(c->partial + c->partial_len, bytes, len);
    c->partial_len += len;
    size_t used = 0;
    for (;;) {
        struct packet_header header;
        struct fault fault = {0, NULL};
        int header_len = packet_header_decode(c->partial + used, c->partial_len - used, c->version, &header, &fault);
        if (header_len < 0) {
            fail_test(c, "malformed fixed header: %s", fault.why);
        }
        if (header_len == 0 || c->partial_len - used < (size_t)header.len + header.body_len) {
            break;
        }
        arrive(c, &header, c->partial + used, (size_t)header.len + header.body_len);
        used += (size_t)header.len + header.body_len;
    }
    c->partial_len -= used;
    memmove(c->partial, c->partial + used, c->partial_len);
}

/* --- the transport ----------------------------------------------------------------------------------------------------- */

static void on_flush(void *transport)
{
    struct tc *c = transport;
    const struct outq *output = client_output(c->client);
    struct iovec iov[IOV_MAX_USED];
    while (output->len > 0 && c->room > 0) {
        int count = outq_iov(output, iov, IOV_MAX_USED);
        size_t sent = 0;
        for (int i = 0; i < count && c->room > 0; i++) {
            size_t len = iov[i].iov_len < c->room ? iov[i].iov_len : c->room;
            arrive_bytes(c, iov[i].iov_base, len);
            sent += len;
            c->room -= c->room == SIZE_MAX ? 0 : len;
        }
        client_written(c->client, sent, sent < output->len && c->room == 0);
    }
    if (output->len > 0) {
        client_written(c->client, 0, true);
    }
}

static void on_pause(void *transport, bool paused)
{
    struct tc *c = transport;
    c->paused = paused;
    if (!paused && c->unread_len > 0) {
        c->h->woken[c->place] = true; /* another turn, which reads it */
    }
}

static void gone(struct tc *c, enum client_end why)
{
    struct client *client = c->client;
    c->client = NULL;
    harness_place(c->h, c->place);
    client_gone(client, why);
}

static void on_close(void *transport)
{
    struct tc *c = transport;
    ck_assert_msg(!c->closed, "a transport is closed twice");
    c->closed = true;
    if (!c->h->closes_late && client_output(c->client)->len == 0) {
        gone(c, CLIENT_END_CLOSED);
    }
}

static void on_describe(void *transport, char *buf, size_t cap)
{
    snprintf(buf, cap, "test:%s", ((struct tc *)transport)->id);
}

static const struct client_transport test_transport = {
    .flush = on_flush,
    .pause = on_pause,
    .close = on_close,
    .describe = on_describe,
    .name = "test",
};

bool tc_turn(struct tc *c)
{
    if (c->client == NULL) {
        return false;
    }
    bool acted = false;
    if (client_output(c->client)->len > 0 && c->room > 0) {
        on_flush(c);
        acted = true;
    }
    if (c->closed) {
        if (client_output(c->client)->len == 0) {
            gone(c, CLIENT_END_CLOSED);
            acted = true;
        }
        return acted;
    }
    if (c->unread_len > 0 && !c->paused) {
        uint8_t *unread = c->unread;
        size_t len = c->unread_len;
        c->unread = NULL;
        c->unread_len = 0;
        client_receive(c->client, unread, len);
        free(unread);
        acted = true;
    }
    return acted;
}

struct tc *tc_open(struct harness *h, unsigned place)
{
    harness_start(h);
    struct tc *c = must(calloc(1, sizeof(*c)));
    c->h = h;
    c->place = (place + (h->spreads ? h->opened++ : 0)) % h->places;
    c->version = MQTT_5_0;
    c->room = SIZE_MAX;
    c->receive_max = UINT16_MAX;
    c->open = must(calloc(PACKET_IDS, 1));
    c->aliases = must(calloc(1, sizeof(c->aliases[0])));
    c->next = h->clients;
    h->clients = c;
    c->client = must(client_new(harness_place(h, c->place), &test_transport, c));
    harness_run(h);
    return c;
}

void tc_name(struct tc *c, const char *name)
{
    snprintf(c->id, sizeof(c->id), "%s", name);
}

void tc_hang_up(struct tc *c)
{
    if (c->client != NULL) {
        gone(c, CLIENT_END_PEER);
        harness_run(c->h);
    }
}

void tc_set_room(struct tc *c, size_t room)
{
    c->room = room;
    harness_run(c->h);
}

void tc_free(struct tc *c)
{
    while (c->all != NULL) {
        struct tc_packet *older = c->all->older;
        free(c->all);
        c->all = older;
    }
    free(c->unread);
    free(c->partial);
    free(c->aliases);
    free(c->open);
    free(c);
}

/* --- sending ----------------------------------------------------------------------------------------------------------- */

/* An acknowledgement that the test sends frees its packet id for the broker. */
static void note_ack(struct tc *c, const uint8_t *bytes, size_t len)
{
    struct packet_header header;
    struct fault fault;
    struct ack ack;
    if (packet_header_decode(bytes, len, c->version, &header, &fault) <= 0 || header.type < PACKET_PUBACK ||
        header.type > PACKET_PUBCOMP || (size_t)header.len + header.body_len != len ||
        !ack_decode((struct bytes){bytes + header.len, header.body_len}, header.type, c->version, &ack, &fault)) {
        return;
    }
    bool is_end = header.type == PACKET_PUBACK || header.type == PACKET_PUBCOMP ||
                  (header.type == PACKET_PUBREC && ack.reason_code >= 0x80);
    if (is_end && c->open[ack.packet_id]) {
        c->open[ack.packet_id] = 0;
        c->open_count--;
    }
}

void tc_feed(struct tc *c, const void *bytes, size_t len)
{
    if (c->client == NULL || c->closed) {
        return; /* a peer may write into a connection that the broker has closed */
    }
    note_ack(c, bytes, len);
    if (c->paused || c->unread_len > 0) {
        c->unread = must(realloc(c->unread, c->unread_len + len + 1));
        memcpy(c->unread + c->unread_len, bytes, len);
        c->unread_len += len;
        return;
    }
    harness_place(c->h, c->place);
    uint8_t *copy = must(malloc(len + 1)); /* so that a read behind its end, or after the call, is seen */
    memcpy(copy, bytes, len);
    client_receive(c->client, copy, len);
    free(copy);
}

void tc_send(struct tc *c, const void *bytes, size_t len)
{
    tc_feed(c, bytes, len);
    harness_run(c->h);
}

void tc_send_spec(struct tc *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct spec_bytes bytes = spec_vencode(format, arguments);
    va_end(arguments);
    tc_send(c, bytes.data, bytes.len);
    free(bytes.data);
}

static struct bytes text(const char *s)
{
    return s != NULL ? bytes_from_string(s) : (struct bytes){NULL, 0};
}

/* Note what the client's CONNECT promises and demands. */
static void note_connect(struct tc *c, const struct tc_options *options, struct bytes properties)
{
    tc_name(c, options->id);
    c->version = options->version != 0 ? options->version : MQTT_5_0;
    struct property_entry entry;
    while (c->version == MQTT_5_0 && properties_next(&properties, &entry)) {
        if (entry.id == PROPERTY_MAXIMUM_PACKET_SIZE) {
            c->packet_max = entry.number;
        } else if (entry.id == PROPERTY_RECEIVE_MAXIMUM) {
            c->receive_max = (uint16_t)entry.number;
        } else if (entry.id == PROPERTY_TOPIC_ALIAS_MAXIMUM) {
            c->alias_max = (uint16_t)entry.number;
        }
    }
    free(c->aliases);
    c->aliases = must(calloc(c->alias_max + 1u, sizeof(c->aliases[0])));
}

void tc_send_connect(struct tc *c, struct tc_options options)
{
    struct spec_bytes properties = spec_encode(options.properties);
    struct spec_bytes will_properties = spec_encode(options.will.properties);
    note_connect(c, &options, spec_view(properties));
    struct connect connect = {
        .version = c->version,
        .clean_start = !options.resume,
        .has_will = options.will.topic != NULL,
        .will_retain = options.will.retain,
        .will_qos = options.will.qos,
        .has_user_name = options.user_name != NULL,
        .has_password = options.password != NULL,
        .keep_alive_s = options.keep_alive_s,
        .client_id = text(options.id),
        .will_topic = text(options.will.topic),
        .will_payload = text(options.will.payload),
        .user_name = text(options.user_name),
        .password = text(options.password),
    };
    size_t len = connect_encoded_len(&connect, spec_view(properties), spec_view(will_properties));
    uint8_t *buf = must(malloc(len));
    ck_assert_uint_eq(connect_encode(buf, len, &connect, spec_view(properties), spec_view(will_properties)), len);
    tc_send(c, buf, len);
    free(buf);
    free(properties.data);
    free(will_properties.data);
}

struct tc *tc_try_connect(struct harness *h, struct tc_options options)
{
    struct tc *c = tc_open(h, options.place);
    tc_send_connect(c, options);
    return c;
}

static uint16_t next_id(struct tc *c)
{
    c->next_packet_id = c->next_packet_id == UINT16_MAX ? 1 : (uint16_t)(c->next_packet_id + 1);
    return c->next_packet_id;
}

uint16_t tc_send_publish(struct tc *c, struct tc_message message)
{
    struct spec_bytes properties = spec_encode(message.properties);
    struct bytes payload = message.payload_len > 0
                               ? (struct bytes){(const uint8_t *)message.payload, message.payload_len}
                               : text(message.payload);
    const struct publish_head head = {
        .dup = message.dup,
        .retain = message.retain,
        .qos = message.qos,
        .packet_id = message.qos == 0  ? 0
                     : message.id != 0 ? message.id
                                       : next_id(c),
        .topic = text(message.topic),
        .forwarded_properties = spec_view(properties),
        .payload_len = payload.len,
    };
    size_t len = publish_encoded_len(&head, c->version);
    uint8_t *buf = must(malloc(len + 1));
    size_t head_len = publish_encode_head(buf, len, &head, c->version, NULL);
    ck_assert_uint_eq(head_len + payload.len, len);
    if (payload.len > 0) {
        memcpy(buf + head_len, payload.data, payload.len);
    }
    tc_send(c, buf, len);
    free(buf);
    free(properties.data);
    return head.packet_id;
}

uint16_t tc_send_subscribe(struct tc *c, struct tc_subscription subscription)
{
    const struct subscribe_entry entry = {
        .filter = text(subscription.filter),
        .qos = subscription.qos,
        .no_local = subscription.no_local,
        .retain_as_published = subscription.retain_as_published,
        .retain_handling = subscription.retain_handling,
    };
    size_t cap = entry.filter.len + 64;
    uint8_t *buf = must(malloc(cap));
    uint16_t id = next_id(c);
    size_t len = subscribe_encode(buf, cap, id, &entry, 1, subscription.id, (struct bytes){NULL, 0}, c->version);
    ck_assert_uint_gt(len, 0);
    tc_send(c, buf, len);
    free(buf);
    return id;
}

uint16_t tc_send_unsubscribe(struct tc *c, const char *filter)
{
    struct bytes f = text(filter);
    size_t cap = f.len + 64;
    uint8_t *buf = must(malloc(cap));
    uint16_t id = next_id(c);
    size_t len = unsubscribe_encode(buf, cap, id, &f, 1, (struct bytes){NULL, 0}, c->version);
    ck_assert_uint_gt(len, 0);
    tc_send(c, buf, len);
    free(buf);
    return id;
}

void tc_send_ack(struct tc *c, enum packet_type type, uint16_t packet_id, uint8_t reason_code)
{
    uint8_t buf[16];
    size_t len = ack_encode(buf, sizeof(buf), type, packet_id, reason_code, (struct bytes){NULL, 0}, 0, c->version);
    ck_assert_uint_gt(len, 0);
    tc_send(c, buf, len);
}

void tc_send_ping(struct tc *c)
{
    tc_send_spec(c, "c000");
}

void tc_disconnect(struct tc *c)
{
    tc_send_spec(c, "e000");
    tc_hang_up(c);
}

/* --- expectations ------------------------------------------------------------------------------------------------------ */

static void describe(const struct tc_packet *packet, char *buf, size_t cap)
{
    switch (packet->type) {
    case PACKET_PUBLISH:
        snprintf(buf, cap, "PUBLISH %.*s \"%.*s\" qos %u id %u%s%s", (int)packet->publish.topic.len,
                 (const char *)packet->publish.topic.data,
                 (int)(packet->publish.payload.len < 60 ? packet->publish.payload.len : 60),
                 (const char *)packet->publish.payload.data, packet->publish.qos, packet->publish.packet_id,
                 packet->publish.dup ? " dup" : "", packet->publish.retain ? " retain" : "");
        break;
    case PACKET_CONNACK:
        snprintf(buf, cap, "CONNACK 0x%02X%s", packet->connack.reason_code,
                 packet->connack.session_present ? " session present" : "");
        break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP:
        snprintf(buf, cap, "%s %u 0x%02X", packet_name(packet->type), packet->ack.packet_id, packet->ack.reason_code);
        break;
    case PACKET_SUBACK:
    case PACKET_UNSUBACK:
        snprintf(buf, cap, "%s %u of %zu codes, first 0x%02X", packet_name(packet->type), packet->suback.packet_id,
                 packet->suback.reason_codes.len,
                 packet->suback.reason_codes.len > 0 ? packet->suback.reason_codes.data[0] : 0);
        break;
    case PACKET_DISCONNECT:
    case PACKET_AUTH:
        snprintf(buf, cap, "%s 0x%02X", packet_name(packet->type), packet->disconnect.reason_code);
        break;
    default:
        snprintf(buf, cap, "%s", packet_name(packet->type));
    }
}

__attribute__((noreturn)) static void fail_expected(const struct tc *c, const char *expected,
                                                    const struct tc_packet *packet)
{
    char got[256];
    if (packet == NULL) {
        fail_test(c, "expected %s, got nothing%s", expected, c->closed ? ", and the connection is closed" : "");
    }
    describe(packet, got, sizeof(got));
    fail_test(c, "expected %s, got %s", expected, got);
}

static struct tc_packet *oldest(struct tc *c)
{
    while (c->first != NULL && c->first->taken) {
        c->first = c->first->newer;
    }
    return c->first;
}

static struct tc_packet *take(struct tc *c, enum packet_type type, const char *expected)
{
    struct tc_packet *packet = oldest(c);
    if (packet == NULL || packet->type != type) {
        fail_expected(c, expected, packet);
    }
    packet->taken = true;
    return packet;
}

const struct connack *tc_expect_connack_(struct tc *c, bool session_present, uint8_t reason_code)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "CONNACK 0x%02X%s", reason_code, session_present ? " session present" : "");
    struct tc_packet *packet = take(c, PACKET_CONNACK, expected);
    if (packet->connack.session_present != session_present || packet->connack.reason_code != reason_code) {
        fail_expected(c, expected, packet);
    }
    return &packet->connack;
}

const struct publish *tc_expect_any_publish_(struct tc *c)
{
    return &take(c, PACKET_PUBLISH, "PUBLISH")->publish;
}

const struct publish *tc_expect_publish_(struct tc *c, const char *topic, const char *payload, uint8_t qos)
{
    char expected[256];
    snprintf(expected, sizeof(expected), "PUBLISH %s \"%.60s\" qos %u", topic, payload, qos);
    struct tc_packet *packet = take(c, PACKET_PUBLISH, expected);
    if (!bytes_equal(packet->publish.topic, text(topic)) || !bytes_equal(packet->publish.payload, text(payload)) ||
        packet->publish.qos != qos) {
        fail_expected(c, expected, packet);
    }
    return &packet->publish;
}

/* An acknowledgement that says success; what came before it is left for the test to look at. */
static void take_success(struct tc *c, enum packet_type type, uint16_t packet_id)
{
    struct tc_packet *packet = oldest(c);
    while (packet != NULL && (packet->taken || packet->type != type || packet->ack.packet_id != packet_id)) {
        packet = packet->newer;
    }
    if (packet == NULL || packet->ack.reason_code >= 0x80) {
        char expected[64];
        snprintf(expected, sizeof(expected), "%s %u that says success", packet_name(type), packet_id);
        fail_expected(c, expected, packet != NULL ? packet : oldest(c));
    }
    packet->taken = true;
}

const struct publish *tc_receive_(struct tc *c, const char *topic, const char *payload, uint8_t qos)
{
    const struct publish *publish = tc_expect_publish_(c, topic, payload, qos);
    if (qos == 1) {
        tc_puback(c, publish->packet_id);
    } else if (qos == 2) {
        tc_pubrec(c, publish->packet_id);
        take_success(c, PACKET_PUBREL, publish->packet_id);
        tc_pubcomp(c, publish->packet_id);
    }
    return publish;
}

void tc_skip_(struct tc *c)
{
    struct tc_packet *packet = oldest(c);
    if (packet == NULL) {
        fail_expected(c, "any packet", NULL);
    }
    packet->taken = true;
}

const struct ack *tc_take_ack_(struct tc *c, enum packet_type type)
{
    return &take(c, type, packet_name(type))->ack;
}

const struct ack *tc_expect_ack_(struct tc *c, enum packet_type type, uint16_t packet_id, uint8_t reason_code)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "%s %u 0x%02X", packet_name(type), packet_id, reason_code);
    struct tc_packet *packet = take(c, type, expected);
    if (packet->ack.packet_id != packet_id || packet->ack.reason_code != reason_code) {
        fail_expected(c, expected, packet);
    }
    return &packet->ack;
}

const struct ack *tc_expect_any_ack_(struct tc *c, enum packet_type type, uint16_t packet_id)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "%s %u", packet_name(type), packet_id);
    struct tc_packet *packet = take(c, type, expected);
    if (packet_id != 0 && packet->ack.packet_id != packet_id) {
        fail_expected(c, expected, packet);
    }
    return &packet->ack;
}

const struct ack *tc_expect_success_(struct tc *c, enum packet_type type, uint16_t packet_id)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "%s %u that says success", packet_name(type), packet_id);
    struct tc_packet *packet = take(c, type, expected);
    if (packet->ack.packet_id != packet_id || packet->ack.reason_code >= 0x80) {
        fail_expected(c, expected, packet);
    }
    return &packet->ack;
}

const struct suback *tc_expect_suback_(struct tc *c, enum packet_type type, uint16_t packet_id, const char *codes)
{
    char expected[256];
    snprintf(expected, sizeof(expected), "%s %u %s", packet_name(type), packet_id, codes);
    struct tc_packet *packet = take(c, type, expected);
    struct spec_bytes bytes = spec_encode(codes);
    if (packet->suback.packet_id != packet_id || !bytes_equal(packet->suback.reason_codes, spec_view(bytes))) {
        fail_expected(c, expected, packet);
    }
    free(bytes.data);
    return &packet->suback;
}

const struct suback *tc_expect_any_suback_(struct tc *c, uint16_t packet_id)
{
    char expected[32];
    snprintf(expected, sizeof(expected), "SUBACK %u", packet_id);
    struct tc_packet *packet = take(c, PACKET_SUBACK, expected);
    if (packet->suback.packet_id != packet_id) {
        fail_expected(c, expected, packet);
    }
    return &packet->suback;
}

void tc_expect_pingresp_(struct tc *c)
{
    take(c, PACKET_PINGRESP, "PINGRESP");
}

const struct disconnect *tc_expect_auth_(struct tc *c, uint8_t reason_code)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "AUTH 0x%02X", reason_code);
    struct tc_packet *packet = take(c, PACKET_AUTH, expected);
    if (packet->disconnect.reason_code != reason_code) {
        fail_expected(c, expected, packet);
    }
    return &packet->disconnect;
}

void tc_expect_closed_(struct tc *c)
{
    if (oldest(c) != NULL) {
        fail_expected(c, "the end of the connection", c->first);
    }
    if (!c->closed) {
        fail_test(c, "expected the end of the connection, but it stands");
    }
}

const struct disconnect *tc_expect_refused_(struct tc *c, uint8_t reason_code)
{
    if (c->version != MQTT_5_0) {
        tc_expect_closed_(c);
        return NULL;
    }
    char expected[64];
    snprintf(expected, sizeof(expected), "DISCONNECT 0x%02X", reason_code);
    struct tc_packet *packet = take(c, PACKET_DISCONNECT, expected);
    if (packet->disconnect.reason_code != reason_code) {
        fail_expected(c, expected, packet);
    }
    tc_expect_closed_(c);
    return &packet->disconnect;
}

void tc_expect_nothing_(struct tc *c)
{
    if (oldest(c) != NULL) {
        fail_expected(c, "nothing", c->first);
    }
    if (c->closed) {
        fail_test(c, "expected nothing, but the connection is closed");
    }
}

size_t tc_count(const struct tc *c)
{
    size_t count = 0;
    for (const struct tc_packet *packet = c->first; packet != NULL; packet = packet->newer) {
        count += !packet->taken;
    }
    return count;
}

unsigned tc_next_type(struct tc *c)
{
    const struct tc_packet *packet = oldest(c);
    return packet != NULL ? (unsigned)packet->type : 0;
}

const uint8_t *tc_last_bytes(const struct tc *c)
{
    ck_assert_ptr_nonnull(c->last);
    return c->last->bytes;
}

bool tc_next_is(struct tc *c, enum packet_type type)
{
    const struct tc_packet *packet = oldest(c);
    return packet != NULL && packet->type == type;
}

bool tc_has_properties(const struct properties *properties, const char *expected)
{
    struct spec_bytes bytes = spec_encode(expected);
    bool equal = bytes_equal(properties->raw, spec_view(bytes));
    free(bytes.data);
    return equal;
}

/* --- whole exchanges --------------------------------------------------------------------------------------------------- */

struct tc *tc_connect_with_(struct harness *h, struct tc_options options)
{
    struct tc *c = tc_try_connect(h, options);
    struct tc_packet *packet = take(c, PACKET_CONNACK, "CONNACK 0x00");
    if (packet->connack.reason_code != 0) {
        fail_expected(c, "CONNACK 0x00", packet);
    }
    return c;
}

struct tc *tc_connect_at_(struct harness *h, unsigned place, const char *id, enum mqtt_version version)
{
    return tc_connect_with_(h, (struct tc_options){.id = id, .version = version, .place = place});
}

struct tc *tc_connect_persistent_(struct harness *h, unsigned place, const char *id, enum mqtt_version version)
{
    return tc_connect_with_(h, (struct tc_options){.id = id,
                                                   .version = version,
                                                   .place = place,
                                                   .resume = true,
                                                   .properties = version == MQTT_5_0 ? "session_expiry:3600" : NULL});
}

void tc_subscribe_(struct tc *c, struct tc_subscription subscription)
{
    uint16_t id = tc_send_subscribe(c, subscription);
    struct tc_packet *packet = oldest(c);
    while (packet != NULL && (packet->taken || packet->type != PACKET_SUBACK || packet->suback.packet_id != id)) {
        packet = packet->newer;
    }
    struct bytes granted = {&subscription.qos, 1};
    if (packet == NULL || !bytes_equal(packet->suback.reason_codes, granted)) {
        fail_expected(c, "SUBACK that grants what was asked for", packet != NULL ? packet : oldest(c));
    }
    packet->taken = true;
}

void tc_unsubscribe_(struct tc *c, const char *filter)
{
    uint16_t id = tc_send_unsubscribe(c, filter);
    tc_expect_suback_(c, PACKET_UNSUBACK, id, c->version == MQTT_5_0 ? "00" : "");
}

void tc_publish_(struct tc *c, struct tc_message message)
{
    uint16_t id = tc_send_publish(c, message);
    if (message.qos == 1) {
        take_success(c, PACKET_PUBACK, id);
    } else if (message.qos == 2) {
        take_success(c, PACKET_PUBREC, id);
        tc_pubrel(c, id);
        take_success(c, PACKET_PUBCOMP, id);
    }
}

void tc_expect_alive_(struct tc *c)
{
    tc_send_ping(c);
    tc_expect_pingresp_(c);
}
