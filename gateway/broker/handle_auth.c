/* AUTH from a client: a step of an enhanced authentication, or the beginning of a re-authentication. [MQTT 5.0, 4.12] */
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/connecting.h"
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/session.h"
#include "protocol/disconnect.h"

void auth_send(struct client *client, uint8_t reason_code, struct bytes data)
{
    struct disconnect auth = {.reason_code = reason_code};
    auth.properties.authentication_method = (struct bytes){client->auth_method->name, client->auth_method->len};
    properties_set(&auth.properties, PROPERTY_AUTHENTICATION_METHOD);
    if (data.data != NULL) {
        auth.properties.authentication_data = data;
        properties_set(&auth.properties, PROPERTY_AUTHENTICATION_DATA);
    }
    size_t cap = 32 + client->auth_method->len + data.len;
    uint8_t *room = client_append(client, cap);
    if (room == NULL) {
        client_doom(client);
        return;
    }
    size_t len =
        disconnect_encode(room, cap, PACKET_AUTH, &auth, (struct bytes){NULL, 0}, client->max_packet, MQTT_5_0);
    if (client->max_packet > 0 && len > client->max_packet) {
        len = 0;
    }
    client_unappend(client, cap - len);
    STATS_ADD(&client->place->stats, packets_sent, len > 0);
}

/* What the provider knows of the client from now on. */
static void take_rules(struct client *client)
{
    struct access_request *request = &client->connecting->access;
    struct access *access = client->place->broker->access;
    struct access_identity *identity = client->session->identity;
    struct access_identity old = {.rules = request->rules};
    if (request->rules == NULL) {
        return;
    }
    if (identity != NULL) {
        old.rules = identity->rules;
        identity->rules = request->rules;
        session_classify(client->place, client->session);
    }
    request->rules = NULL;
    access->provider->forget(access, &old);
}

void auth_answered(struct client *client)
{
    struct access_request *request = &client->connecting->access;
    switch (request->outcome) {
    case ACCESS_CONTINUE:
        auth_send(client, REASON_CONTINUE_AUTHENTICATION, request->method_data);
        return;
    case ACCESS_GRANTED:
        take_rules(client);
        auth_send(client, REASON_SUCCESS, request->method_data);
        connecting_free(client);
        return;
    case ACCESS_REFUSED:
        /* [MQTT-3.14.2-1] CONNACK has words for a refusal that DISCONNECT lacks */
        client_close(client,
                     reason_is_allowed(PACKET_DISCONNECT, request->reason_code, false) ? request->reason_code
                                                                                       : REASON_NOT_AUTHORIZED,
                     request->why);
        return;
    }
}

/* Keep the client's data for the provider. @return false if the client was closed */
static bool set_data(struct client *client, const struct properties *properties)
{
    struct connecting *connecting = client->connecting;
    free(connecting->auth_data);
    connecting->auth_data = NULL;
    connecting->access.data = (struct bytes){NULL, 0};
    if (!properties_has(properties, PROPERTY_AUTHENTICATION_DATA)) {
        return true;
    }
    struct bytes data = properties->authentication_data;
    connecting->auth_data = malloc(data.len + 1);
    if (connecting->auth_data == NULL) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return false;
    }
    if (data.len > 0) {
        memcpy(connecting->auth_data, data.data, data.len);
    }
    connecting->access.data = (struct bytes){connecting->auth_data, data.len};
    return true;
}

static void begin_re_authentication(struct client *client, const struct disconnect *packet)
{
    struct connecting *connecting = calloc(1, sizeof(*connecting));
    if (connecting == NULL) {
        client_close(client, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    connecting->client = client;
    connecting->is_re_authentication = true;
    client->connecting = connecting;
    connecting->access.client_id = client_id(client);
    connecting->access.method = (struct bytes){client->auth_method->name, client->auth_method->len};
    connecting->access.re_authenticate = true;
    if (set_data(client, &packet->properties)) {
        connecting_ask(client);
    }
}

void handle_auth(struct client *client, struct bytes body)
{
    struct disconnect packet;
    struct fault fault;
    if (!disconnect_decode(body, PACKET_AUTH, client->version, true, &packet, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    const struct auth_method *method = client->auth_method;
    if (method == NULL) {
        client_close(client, REASON_PROTOCOL_ERROR, "AUTH although CONNECT named no authentication method");
        return;
    }
    if (!bytes_equal(packet.properties.authentication_method, (struct bytes){method->name, method->len})) {
        /* [MQTT-4.12.0-5] [MQTT-4.12.1-1] */
        client_close(client, REASON_PROTOCOL_ERROR, "authentication method differs from that of CONNECT");
        return;
    }
    struct connecting *connecting = client->connecting;
    bool is_answer = packet.reason_code == REASON_CONTINUE_AUTHENTICATION;
    if (is_answer && connecting != NULL && !connecting->access_asked) {
        if (set_data(client, &packet.properties)) {
            connecting_ask(client);
        }
    } else if (!is_answer && connecting == NULL && client->state == CLIENT_CONNECTED) {
        begin_re_authentication(client, &packet);
    } else {
        client_close(client, REASON_PROTOCOL_ERROR, "AUTH that nobody asked for");
    }
}
