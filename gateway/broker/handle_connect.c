/* CONNECT: checked, authorised, bound to its session, answered. [MQTT 5.0, 3.1.4 and 3.2] */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "gateway/base/assert.h"
#include "gateway/base/log.h"
#include "gateway/broker/connecting.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/directory.h"
#include "gateway/broker/kept.h"
#include "gateway/broker/local.h"
#include "gateway/broker/local_client.h"
#include "gateway/broker/session.h"
#include "gateway/broker/topic_rules.h"
#include "gateway/broker/will.h"
#include "gateway/store/message.h"
#include "gateway/store/store.h"
#include "protocol/connect.h"
#include "protocol/publish.h"
#include "protocol/utf8.h"

#define PEER_TEXT_BYTES  128u
#define LOCAL_SEQ_PER_MS 1000u

static void acquire_session(struct client *client);

/* --- taking it down ---------------------------------------------------------------------------------------------------- */

void connecting_free(struct client *client)
{
    struct connecting *connecting = client->connecting;
    if (connecting == NULL) {
        return;
    }
    client->connecting = NULL;
    free(connecting->auth_data);
    free(connecting->final_data);
    free(connecting);
}

void connecting_cancel(struct client *client)
{
    struct connecting *connecting = client->connecting;
    if (connecting != NULL) {
        struct access *access = client->place->broker->access;
        session_identity_free(client->place, connecting->identity);
        if (connecting->access_asked || connecting->access.state != NULL) {
            access->provider->cancel(access, &connecting->access);
        }
        if (connecting->access.rules != NULL) { /* granted, and nobody's yet */
            struct access_identity identity = {.rules = connecting->access.rules};
            access->provider->forget(access, &identity);
        }
        if (connecting->acquire != NULL) {
            connecting->acquire->client = NULL;
        }
        connecting_free(client);
    }
    free(client->auth_method);
    client->auth_method = NULL;
}

void connecting_set_pending(struct client *client, struct acquire *pending)
{
    client->connecting->acquire = pending;
}

/* --- checks ------------------------------------------------------------------------------------------------------------ */

static uint8_t check_will(const struct client *client, const struct connect *c, const char **why)
{
    const struct config_limits *limits = &client->place->settings->limits;
    if (!c->has_will) {
        return REASON_SUCCESS;
    }
    if (c->will_qos > limits->qos_max) {
        *why = "will QoS is above the Maximum QoS"; /* [MQTT-3.2.2-12] */
        return REASON_QOS_NOT_SUPPORTED;
    }
    if (c->will_retain && !limits->retain_available) {
        *why = "retained messages are not available"; /* [MQTT-3.2.2-13] */
        return REASON_RETAIN_NOT_SUPPORTED;
    }
    if (!topic_is_within_levels(c->will_topic, limits->filter_levels)) {
        *why = "will topic has too many levels";
        return REASON_TOPIC_NAME_INVALID;
    }
    if (topic_is_reserved(c->will_topic)) {
        *why = "will topic is reserved for the server";
        return REASON_NOT_AUTHORIZED;
    }
    const struct properties *p = &c->will_properties;
    if (limits->check_payload_format && properties_has(p, PROPERTY_PAYLOAD_FORMAT_INDICATOR) &&
        p->payload_format_indicator == 1 && !utf8_is_valid_text(c->will_payload)) {
        *why = "will payload is not the UTF-8 it is said to be";
        return REASON_PAYLOAD_FORMAT_INVALID;
    }
    if (p->user_properties > limits->user_properties_max) {
        *why = "too many user properties";
        return REASON_QUOTA_EXCEEDED;
    }
    return REASON_SUCCESS;
}

static uint8_t check(const struct client *client, const struct connect *c, const char **why)
{
    if (client->place->draining) {
        *why = "server is shutting down";
        return REASON_SERVER_SHUTTING_DOWN;
    }
    if (c->client_id.len == 0 && (c->version == MQTT_3_1 || (c->version == MQTT_3_1_1 && !c->clean_start))) {
        *why = "client id is empty"; /* [MQTT311-3.1.3-8] */
        return REASON_CLIENT_IDENTIFIER_NOT_VALID;
    }
    if (c->properties.user_properties > client->place->settings->limits.user_properties_max) {
        *why = "too many user properties";
        return REASON_QUOTA_EXCEEDED;
    }
    if (c->version == MQTT_5_0 && properties_has(&c->properties, PROPERTY_AUTHENTICATION_DATA) &&
        !properties_has(&c->properties, PROPERTY_AUTHENTICATION_METHOD)) {
        *why = "authentication data without a method";
        return REASON_PROTOCOL_ERROR;
    }
    return check_will(client, c, why);
}

/* --- what the client may expect, and we of it -------------------------------------------------------------------------- */

static bool has(const struct connect *c, enum property_id id)
{
    return c->version == MQTT_5_0 && properties_has(&c->properties, id);
}

static uint32_t wanted_expiry_s(const struct connect *c)
{
    if (c->version != MQTT_5_0) {
        return c->clean_start ? 0 : SESSION_NEVER_EXPIRES;
    }
    return has(c, PROPERTY_SESSION_EXPIRY_INTERVAL) ? c->properties.session_expiry_interval_s : 0;
}

/* @return false without memory */
static bool negotiate(struct client *client)
{
    struct connecting *connecting = client->connecting;
    const struct connect *c = &connecting->connect;
    const struct config_limits *limits = &client->place->settings->limits;
    uint32_t receive_maximum =
        has(c, PROPERTY_RECEIVE_MAXIMUM) ? c->properties.receive_maximum : UINT16_MAX; /* [MQTT-3.3.4-9] */
    client->window =
        (uint16_t)(receive_maximum < limits->inflight_messages ? receive_maximum : limits->inflight_messages);
    client->receive_maximum =
        (uint16_t)(limits->inflight_messages < UINT16_MAX ? limits->inflight_messages : UINT16_MAX);
    client->packet_bytes = (uint32_t)limits->packet_bytes;
    client->topic_alias_max = limits->topic_alias_max;
    client->qos_max = limits->qos_max;
    client->retain_available = limits->retain_available;
    client->keep_alive_s = c->keep_alive_s;
    if (c->version == MQTT_5_0 && limits->keep_alive_s_max > 0 &&
        (c->keep_alive_s == 0 || c->keep_alive_s > limits->keep_alive_s_max)) {
        client->keep_alive_s = limits->keep_alive_s_max;
        connecting->keep_alive_changed = true;
    }
    connecting->wants_response_information =
        has(c, PROPERTY_REQUEST_RESPONSE_INFORMATION) && c->properties.request_response_information == 1;
    uint16_t alias_max = has(c, PROPERTY_TOPIC_ALIAS_MAXIMUM) ? c->properties.topic_alias_maximum : 0;
    return alias_out_init(client, alias_max < limits->topic_alias_out_max ? alias_max : limits->topic_alias_out_max);
}

/* --- access ------------------------------------------------------------------------------------------------------------ */

static struct client *client_of(const struct access_request *request)
{
    return ((const struct connecting *)request)->client;
}

static bool keep_final_data(struct connecting *connecting)
{
    struct bytes data = connecting->access.method_data;
    if (data.data == NULL) {
        return true;
    }
    connecting->final_data = malloc(data.len + 1);
    if (connecting->final_data == NULL) {
        return false;
    }
    memcpy(connecting->final_data, data.data, data.len);
    connecting->final_data_len = data.len;
    return true;
}

/* True if CLIENT, which was let in, may publish its will. Asked before it takes over what it has no right to. */
static bool will_is_allowed(const struct client *client)
{
    const struct connecting *connecting = client->connecting;
    const struct connect *c = &connecting->connect;
    struct access *access = client->place->broker->access;
    const struct access_identity identity = {.client_id = connecting->access.client_id,
                                             .user_name = connecting->access.user_name,
                                             .rules = connecting->access.rules};
    return access->allows_all || !c->has_will ||
           access->provider->may_publish(access, &identity, c->will_topic, c->will_retain);
}

static void on_answer(struct access_request *request)
{
    struct client *client = client_of(request);
    struct connecting *connecting = client->connecting;
    connecting->access_asked = false;
    if (connecting->is_re_authentication) {
        auth_answered(client);
        return;
    }
    switch (request->outcome) {
    case ACCESS_REFUSED:
        client_close(client, request->reason_code, request->why);
        return;
    case ACCESS_CONTINUE:
        client->state = CLIENT_AUTHENTICATING;
        auth_send(client, REASON_CONTINUE_AUTHENTICATION, request->method_data);
        client_resume_input(client);
        return;
    case ACCESS_GRANTED:
        if (!keep_final_data(connecting)) {
            client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
            return;
        }
        if (!will_is_allowed(client)) {
            client_close(client, REASON_NOT_AUTHORIZED, "not allowed to publish to the will topic");
            return;
        }
        acquire_session(client);
        return;
    }
}

void connecting_ask(struct client *client)
{
    struct connecting *connecting = client->connecting;
    struct access *access = client->place->broker->access;
    char peer[PEER_TEXT_BYTES];
    client->ops->describe(client->transport, peer, sizeof(peer));
    if (!connecting->is_re_authentication) {
        client->state = CLIENT_CONNECTING;
    }
    connecting->access.peer = peer;
    connecting->access.port = &client->place->access_port;
    connecting->access.done = on_answer;
    connecting->access_asked = true;
    access->provider->connect(access, &connecting->access);
    if (client->state == CLIENT_CONNECTING) {
        client_set_paused(client, CLIENT_PAUSE_CONNECTING, true);
    }
    if (client->connecting == connecting) {
        connecting->access.peer = NULL;
    }
}

static void prepare_request(struct client *client)
{
    struct connecting *connecting = client->connecting;
    const struct connect *c = &connecting->connect;
    struct access_request *request = &connecting->access;
    request->client_id = c->client_id;
    if (connecting->assigned_id[0] != '\0') {
        request->client_id = bytes_from_string(connecting->assigned_id);
    }
    if (c->has_user_name) {
        request->user_name = c->user_name;
    }
    if (c->has_password) {
        request->password = c->password;
    }
    if (client->auth_method != NULL) {
        request->method = c->properties.authentication_method;
        if (has(c, PROPERTY_AUTHENTICATION_DATA)) {
            request->data = c->properties.authentication_data;
        }
    }
}

/* --- CONNECT ----------------------------------------------------------------------------------------------------------- */

/* [MQTT-3.1.3-6] A client id that nobody has: 120 random bits. */
static bool assign_id(struct connecting *connecting)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    uint8_t random[ASSIGNED_ID_BYTES - 1];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        connecting->assigned_id[i] = digits[random[i] % 32];
    }
    return true;
}

static bool keep_auth_method(struct client *client, const struct connect *c)
{
    if (!has(c, PROPERTY_AUTHENTICATION_METHOD)) {
        return true;
    }
    struct bytes method = c->properties.authentication_method;
    client->auth_method = malloc(sizeof(*client->auth_method) + method.len);
    if (client->auth_method == NULL) {
        return false;
    }
    client->auth_method->len = method.len;
    memcpy(client->auth_method->name, method.data, method.len);
    return true;
}

void handle_connect(struct client *client, struct bytes body)
{
    struct connecting *connecting = calloc(1, sizeof(*connecting) + 2 * body.len);
    if (connecting == NULL) {
        client_end_quietly(client, false, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    connecting->client = client;
    connecting->scratch = connecting->bytes + body.len;
    memcpy(connecting->bytes, body.data, body.len);
    client->connecting = connecting;
    struct connect *c = &connecting->connect;
    struct fault fault;
    bool decoded = connect_decode((struct bytes){connecting->bytes, body.len}, c, &fault);
    client->version = (uint8_t)c->version;
    client->problem_information = true;
    if (!decoded) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    client->max_packet = has(c, PROPERTY_MAXIMUM_PACKET_SIZE) ? c->properties.maximum_packet_size : 0;
    client->problem_information =
        !has(c, PROPERTY_REQUEST_PROBLEM_INFORMATION) || c->properties.request_problem_information == 1;
    const char *why = NULL;
    uint8_t reason_code = check(client, c, &why);
    if (reason_code != REASON_SUCCESS) {
        client_close(client, reason_code, why);
        return;
    }
    if ((c->client_id.len == 0 && !assign_id(connecting)) || !keep_auth_method(client, c) || !negotiate(client)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    prepare_request(client);
    connecting_ask(client);
}

bool connecting_open_local(struct client *client, const struct local_options *options, struct access_identity *identity)
{
    struct connecting *connecting = calloc(1, sizeof(*connecting) + options->client_id.len);
    if (connecting == NULL || (options->client_id.len == 0 && !assign_id(connecting))) {
        session_identity_free(client->place, identity);
        free(connecting);
        return false;
    }
    connecting->client = client;
    connecting->identity = identity;
    client->connecting = connecting;
    if (options->client_id.len > 0) {
        memcpy(connecting->bytes, options->client_id.data, options->client_id.len);
        connecting->access.client_id = (struct bytes){connecting->bytes, options->client_id.len};
    } else {
        connecting->access.client_id = bytes_from_string(connecting->assigned_id);
    }
    struct connect *c = &connecting->connect;
    c->version = MQTT_5_0;
    c->clean_start = options->clean_start;
    c->properties.session_expiry_interval_s = options->expiry_s;
    properties_set(&c->properties, PROPERTY_SESSION_EXPIRY_INTERVAL);
    connecting->keeps_qos0 = options->keeps_qos0;
    connecting->is_transient = options->is_transient;
    connecting->sessions_max = options->sessions_max;
    connecting->queue_max = options->queued_messages;
    connecting->queue_bytes_max = options->queued_bytes;
    client->version = MQTT_5_0;
    client->window = options->window;
    client->qos_max = 1;
    acquire_session(client);
    return true;
}

/* --- the session --------------------------------------------------------------------------------------------------------- */

static void acquire_session(struct client *client)
{
    struct connecting *connecting = client->connecting;
    struct acquire *pending = NULL;
    client->state = CLIENT_CONNECTING;
    directory_acquire(client->place, client, connecting->access.client_id, connecting->connect.clean_start, &pending);
    if (pending != NULL) {
        connecting->acquire = pending;
        client_set_paused(client, CLIENT_PAUSE_CONNECTING, true);
    }
}

/* @return false without memory */
static bool set_identity(struct client *client, struct session *session)
{
    struct connecting *connecting = client->connecting;
    struct bytes user_name = connecting->access.user_name;
    struct access_identity *identity = connecting->identity;
    connecting->identity = NULL;
    if (identity != NULL) {
        identity->client_id = session_client_id(session);
    } else if (!client->place->broker->access->allows_all) {
        identity = session_identity_new(session, user_name);
        if (identity == NULL) {
            return false;
        }
        identity->rules = connecting->access.rules;
        connecting->access.rules = NULL;
    }
    session_set_identity(client->place, session, identity);
    return true;
}

/* @return false without memory */
static bool set_will(struct connecting *connecting, struct session *session)
{
    const struct connect *c = &connecting->connect;
    if (!c->has_will) {
        return true;
    }
    struct bytes properties = {NULL, 0};
    if (c->version == MQTT_5_0) {
        properties = properties_forwarded(&c->will_properties, connecting->scratch);
    }
    struct message *message = message_of_parts(c->will_topic, properties, c->will_payload);
    if (message == NULL) {
        return false;
    }
    message->qos = c->will_qos;
    message->retain = c->will_retain;
    message->publisher = session->hash;
    session->will = will_new(session, message);
    if (session->will == NULL) {
        return false;
    }
    const struct properties *p = &c->will_properties;
    if (c->version == MQTT_5_0) {
        session->will->delay_s = properties_has(p, PROPERTY_WILL_DELAY_INTERVAL) ? p->will_delay_interval_s : 0;
        session->will->has_expiry = properties_has(p, PROPERTY_MESSAGE_EXPIRY_INTERVAL);
        session->will->expiry_interval_s = session->will->has_expiry ? p->message_expiry_interval_s : 0;
    }
    return true;
}

/* True unless SESSION is known to be another user's than the one who connects. */
static bool is_owner(const struct connecting *connecting, const struct session *session)
{
    struct bytes user_name =
        connecting->identity != NULL ? connecting->identity->user_name : connecting->access.user_name;
    return session->identity == NULL || bytes_equal(session->identity->user_name, user_name);
}

/* Local clients tell their peers sequence numbers, and are told them again after the session has ended: a new session's numbers are
 * above all of an old one with the same id, provided that it was given less than LOCAL_SEQ_PER_MS messages a millisecond. */
static void number_anew(const struct place *place, struct session *session)
{
    uint64_t seq = place->wall_ms * LOCAL_SEQ_PER_MS;
    if (session->outgoing.next_seq < seq) {
        session->outgoing.next_seq = seq;
    }
}

void connecting_acquired(struct client *client, struct session *session, bool present, uint8_t reason_code,
                         const char *why)
{
    struct place *place = client->place;
    struct connecting *connecting = client->connecting;
    connecting->acquire = NULL;
    if (session == NULL) {
        client_close(client, reason_code, why);
        return;
    }
    if (present && !is_owner(connecting, session)) {
        session_reset(place, session); /* who knows a client id does not get what waits for its owner */
        present = false;
    }
    const struct connect *c = &connecting->connect;
    session_attach(place, session, client);
    session->version = client->version;
    session_set_keeps_qos0(place, session, connecting->keeps_qos0);
    session->is_transient = connecting->is_transient;
    session->queue_max = connecting->queue_max;
    session->queue_bytes_max =
        connecting->queue_bytes_max < UINT32_MAX ? (uint32_t)connecting->queue_bytes_max : UINT32_MAX;
    if (client->is_local && !present) {
        number_anew(place, session);
    }
    uint32_t wanted_s = wanted_expiry_s(c);
    uint32_t max_s = place->settings->limits.session_expiry_s_max;
    connecting->expiry_changed = wanted_s > max_s;
    connecting->session_present = present;
    session_set_expiry(place, session, wanted_s < max_s ? wanted_s : max_s);
    if (!set_identity(client, session) || !set_will(connecting, session)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    if (!session_is_welcome(place, session)) { /* the rules have changed since it was let in */
        client_close(client, REASON_NOT_AUTHORIZED, "the rules of who may connect have changed");
        return;
    }
    if (present) {
        session_classify(place, session); /* its rules may be others than last time */
    }
    bool needs_room = session->will != NULL || (session_is_lasting(session) && !present);
    if (needs_room && store_admit(place->broker->store, session->client_id_len) == STORE_FULL) {
        client_close(client, REASON_QUOTA_EXCEEDED, "store is full");
        return;
    }
    struct store_ticket ticket;
    if (!kept_put(place, session, &ticket)) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    reply_connack(client, ticket);
}

/* --- CONNACK ------------------------------------------------------------------------------------------------------------- */

/* Response Information: a prefix for response topics that is this client's. Empty: none. */
static struct bytes response_information(struct client *client, uint8_t *buf, size_t cap)
{
    const struct broker_settings *settings = client->place->settings;
    struct bytes id = session_client_id(client->session);
    size_t len = settings->response_information_len + id.len;
    if (!client->connecting->wants_response_information || settings->response_information_len == 0 || len > cap ||
        memchr(id.data, '+', id.len) != NULL || memchr(id.data, '#', id.len) != NULL) {
        return (struct bytes){NULL, 0};
    }
    memcpy(buf, settings->response_information, settings->response_information_len);
    memcpy(buf + settings->response_information_len, id.data, id.len);
    return (struct bytes){buf, len};
}

/* What a 5.0 client is told of our limits, where they differ from what it would assume. */
static void announce(const struct client *client, struct properties *p)
{
    const struct connecting *connecting = client->connecting;
    if (connecting->expiry_changed) {
        p->session_expiry_interval_s = client->session->expiry_s; /* [MQTT-3.2.2-18] and its section */
        properties_set(p, PROPERTY_SESSION_EXPIRY_INTERVAL);
    }
    if (client->receive_maximum < UINT16_MAX) {
        p->receive_maximum = client->receive_maximum;
        properties_set(p, PROPERTY_RECEIVE_MAXIMUM);
    }
    if (client->qos_max < 2) {
        p->maximum_qos = client->qos_max; /* [MQTT-3.2.2-9] */
        properties_set(p, PROPERTY_MAXIMUM_QOS);
    }
    if (!client->retain_available) {
        p->retain_available = 0;
        properties_set(p, PROPERTY_RETAIN_AVAILABLE);
    }
    if (client->packet_bytes < PACKET_BODY_MAX + PACKET_HEADER_MAX) {
        p->maximum_packet_size = client->packet_bytes;
        properties_set(p, PROPERTY_MAXIMUM_PACKET_SIZE);
    }
    if (client->topic_alias_max > 0) {
        p->topic_alias_maximum = client->topic_alias_max;
        properties_set(p, PROPERTY_TOPIC_ALIAS_MAXIMUM);
    }
    if (connecting->keep_alive_changed) {
        p->server_keep_alive_s = client->keep_alive_s; /* [MQTT-3.2.2-22] */
        properties_set(p, PROPERTY_SERVER_KEEP_ALIVE);
    }
    if (connecting->assigned_id[0] != '\0') {
        p->assigned_client_identifier = session_client_id(client->session); /* [MQTT-3.1.3-7] */
        properties_set(p, PROPERTY_ASSIGNED_CLIENT_IDENTIFIER);
    }
    if (client->auth_method != NULL) {
        p->authentication_method = (struct bytes){client->auth_method->name, client->auth_method->len};
        properties_set(p, PROPERTY_AUTHENTICATION_METHOD);
        if (connecting->final_data != NULL) {
            p->authentication_data = (struct bytes){connecting->final_data, connecting->final_data_len};
            properties_set(p, PROPERTY_AUTHENTICATION_DATA);
        }
    }
}

/* @return false if CONNACK does not fit the client's Maximum Packet Size */
static bool send_connack(struct client *client)
{
    struct connecting *connecting = client->connecting;
    struct connack connack = {.session_present = connecting->session_present && client->version != MQTT_3_1};
    uint8_t response[512];
    if (client->version == MQTT_5_0) {
        announce(client, &connack.properties);
        struct bytes information = response_information(client, response, sizeof(response));
        if (information.len > 0) {
            connack.properties.response_information = information;
            properties_set(&connack.properties, PROPERTY_RESPONSE_INFORMATION);
        }
    }
    size_t cap = 128 + sizeof(response) + connack.properties.assigned_client_identifier.len +
                 (client->auth_method != NULL ? client->auth_method->len : 0) + connecting->final_data_len;
    uint8_t *room = client_append(client, cap);
    if (room == NULL) {
        client_doom(client);
        return true;
    }
    size_t len = connack_encode(room, cap, &connack, (struct bytes){NULL, 0}, client->version);
    if (client->max_packet > 0 && len > client->max_packet) {
        connack.properties.present &= ~(UINT64_C(1) << PROPERTY_RESPONSE_INFORMATION);
        len = connack_encode(room, cap, &connack, (struct bytes){NULL, 0}, client->version);
    }
    if (client->max_packet > 0 && len > client->max_packet) {
        client_unappend(client, cap); /* [MQTT-3.1.2-24] */
        return false;
    }
    client_unappend(client, cap - len);
    STATS_ADD(&client->place->stats, packets_sent, 1);
    return true;
}

static void log_connected(const struct client *client)
{
    char peer[PEER_TEXT_BYTES];
    client->ops->describe(client->transport, peer, sizeof(peer));
    struct bytes id = client_id(client);
    static const char *const versions[] = {[MQTT_3_1] = "3.1", [MQTT_3_1_1] = "3.1.1", [MQTT_5_0] = "5.0"};
    log_info("client connected", LOG_BYTES("client_id", id.data, id.len), LOG_STR("peer", peer),
             LOG_STR("protocol", versions[client->version]),
             LOG_BOOL("session_present", client->connecting->session_present),
             LOG_UNUM("keep_alive_s", client->keep_alive_s));
}

void connecting_finish(struct client *client)
{
    struct place *place = client->place;
    struct session *session = client->session;
    if (client->is_local && !local_may_open(client)) {
        return;
    }
    log_connected(client);
    bool session_present = client->connecting->session_present;
    if (!client->is_local && !send_connack(client)) {
        /* [MQTT-3.2.0-1] nothing may be sent without it, so there is no connection; nor was there one to have a will */
        client_end_quietly(client, false, REASON_PACKET_TOO_LARGE, "CONNACK exceeds the client's Maximum Packet Size");
        return;
    }
    connecting_free(client);
    STATS_ADD(&place->stats, connects_accepted, 1);
    client_connected(client);
    if (client->is_local) {
        local_opened(client, session_present);
        if (client->state != CLIENT_CONNECTED) {
            return;
        }
    }
    session_resume(place, session);
    session_update_room(place, session);
    client_resume_input(client);
}
