/**
 * Private to gateway/broker: a CONNECT, or a re-authentication, under way.
 *
 *      CONNECT --> access asked <--> AUTH exchange --> session acquired --> store --> CONNACK
 *
 * Every step may be answered at once or later, on the place's thread.
 */
#ifndef GATEWAY_BROKER_CONNECTING_H
#define GATEWAY_BROKER_CONNECTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/access/access.h"
#include "protocol/connect.h"

struct acquire;
struct client;

#define ASSIGNED_ID_BYTES 25u

/** The authentication method of a connection, which must stay the same. [MQTT-4.12.1-1] */
struct auth_method {
    size_t len;
    uint8_t name[];
};

struct connecting { /* owner: the client's place */
    struct access_request access;
    struct client *client;
    struct acquire *acquire; /* not NULL: the session is on its way */
    bool access_asked;       /* the provider owes an answer */
    bool is_re_authentication;
    bool session_present;
    bool expiry_changed; /* the Session Expiry Interval in force is not what was asked for */
    bool keep_alive_changed;
    bool wants_response_information;
    bool is_transient;                /* the same */
    bool keeps_qos0;                  /* see struct local_options */
    uint32_t sessions_max;            /* the same */
    uint32_t queue_max;               /* the same */
    size_t queue_bytes_max;           /* the same */
    struct access_identity *identity; /* owned: whose session it will be, if that is known beforehand */
    uint8_t *auth_data;               /* owned: data of the client's last AUTH */
    uint8_t *final_data;              /* owned: the server's last authentication data, for CONNACK */
    size_t final_data_len;
    char assigned_id[ASSIGNED_ID_BYTES]; /* empty: the client brought its own id */
    struct connect connect;              /* points into bytes; undefined in a re-authentication */
    uint8_t *scratch;                    /* behind the packet in bytes, as long as it */
    uint8_t bytes[];
};

/** Send an AUTH with REASON_CODE (0x18, or 0x00 at the end of a re-authentication) and the provider's data. */
void auth_send(struct client *client, uint8_t reason_code, struct bytes data);

/** The provider has answered a re-authentication. */
void auth_answered(struct client *client);

/** Ask the provider, with what client->connecting->access says. It answers to handle_connect.c or handle_auth.c. */
void connecting_ask(struct client *client);

/** Free client->connecting and what it holds. */
void connecting_free(struct client *client);

#endif
