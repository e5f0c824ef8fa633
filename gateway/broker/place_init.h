/**
 * Private to gateway/broker: how broker.c makes and frees its places.
 */
#ifndef GATEWAY_BROKER_PLACE_INIT_H
#define GATEWAY_BROKER_PLACE_INIT_H

#include <stdint.h>

struct broker;
struct place;

/** Place number INDEX of BROKER, whose other parts are there. Returns owned; NULL without memory. */
struct place *place_new(struct broker *broker, unsigned index, uint64_t now_ms, uint64_t wall_ms);

/** Free PLACE, which has no mail, client or session any more. NULL is a no-op. */
void place_free(struct place *place);

/** Let the store have what PLACE has submitted. */
void place_flush_port(struct place *place);

#endif
