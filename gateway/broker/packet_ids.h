/**
 * A set of packet ids: the QoS 2 PUBLISHes received and not yet released. Empty it costs nothing, and it
 * grows with what is in it, up to 8 KiB for all 65 535.
 */
#ifndef GATEWAY_BROKER_PACKET_IDS_H
#define GATEWAY_BROKER_PACKET_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct packet_ids; /* owner: the session's place */

/** Add ID to *SET, which may be NULL. @return false without memory; then nothing changed. */
bool packet_ids_add(struct packet_ids **set, uint16_t id);
/** Remove ID. *SET becomes NULL with the last one. @return true if it was there. */
bool packet_ids_remove(struct packet_ids **set, uint16_t id);
bool packet_ids_has(const struct packet_ids *set, uint16_t id);
uint32_t packet_ids_count(const struct packet_ids *set);
void packet_ids_free(struct packet_ids *set);

#endif
