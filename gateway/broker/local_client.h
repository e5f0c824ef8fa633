/**
 * Private to gateway/broker: what the rest of the core tells a local client (local.h).
 */
#ifndef GATEWAY_BROKER_LOCAL_CLIENT_H
#define GATEWAY_BROKER_LOCAL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

struct client;
struct local_message;

/* CLIENT->is_local in all of them. */

/** May on_open() be called now? Else connecting_finish() is called again at the end of the turn. */
bool local_may_open(struct client *client);
void local_opened(struct client *client, bool session_present);
void local_deliver(struct client *client, const struct local_message *message);
void local_synced(struct client *client);
void local_end_turn(struct client *client);
/** A message of QoS 0 was dropped. */
void local_note_dropped(struct client *client);
/** The connection ends: what on_close() is to be told. */
void local_note_end(struct client *client, uint8_t reason_code, const char *why);

#endif
