/* DISCONNECT from a client. [MQTT 5.0, 3.14.4] */
#include "gateway/broker/connection_state.h"
#include "gateway/broker/core.h"
#include "gateway/broker/session.h"
#include "protocol/disconnect.h"

/* The Session Expiry Interval that the packet asks for takes effect. @return false if the client was closed */
static bool change_expiry(struct client *client, const struct properties *properties)
{
    if (client->version != MQTT_5_0 || !properties_has(properties, PROPERTY_SESSION_EXPIRY_INTERVAL)) {
        return true;
    }
    struct session *session = client->session;
    uint32_t expiry_s = properties->session_expiry_interval_s;
    if (session->expiry_s == 0 && expiry_s > 0) {
        /* [MQTT-3.14.2-2] */
        client_close(client, REASON_PROTOCOL_ERROR, "session expiry 0 of CONNECT cannot be raised in DISCONNECT");
        return false;
    }
    uint32_t max_s = client->place->settings->limits.session_expiry_s_max;
    session_set_expiry(client->place, session, expiry_s < max_s ? expiry_s : max_s);
    return true;
}

void handle_disconnect(struct client *client, struct bytes body)
{
    struct disconnect packet;
    struct fault fault;
    if (!disconnect_decode(body, PACKET_DISCONNECT, client->version, true, &packet, &fault)) {
        client_close(client, fault.reason_code, fault.why);
        return;
    }
    if (client->state != CLIENT_CONNECTED) {
        client_end_quietly(client, false, packet.reason_code, "client gave up before CONNACK");
        return;
    }
    if (change_expiry(client, &packet.properties)) {
        /* [MQTT-3.14.4-3] only a normal disconnection takes the will back */
        client_end_quietly(client, packet.reason_code != REASON_SUCCESS, packet.reason_code,
                           packet.reason_code == REASON_SUCCESS ? "client has disconnected"
                                                                : "client has disconnected with a reason");
    }
}
