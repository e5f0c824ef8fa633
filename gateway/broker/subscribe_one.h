/**
 * One Topic Filter of a SUBSCRIBE, wherever it comes from: checked, put into the index, its retained values on their way. [MQTT 5.0, 3.8.4]
 */
#ifndef GATEWAY_BROKER_SUBSCRIBE_ONE_H
#define GATEWAY_BROKER_SUBSCRIBE_ONE_H

#include <stdint.h>

struct client;
struct store_write;
struct subscribe_entry;

/**
 * Subscribe CLIENT, which is connected, to ENTRY with Subscription Identifier ID (0: none). The place's thread.
 *
 * @param writes in and out: what is to be stored before the client is told is put in front of this list
 * @param why out: static text if refused, else untouched
 * @return the granted QoS 0..2, or a reason code >= 0x80: then nothing changed
 */
uint8_t subscribe_one(struct client *client, const struct subscribe_entry *entry, uint32_t id,
                      struct store_write **writes, const char **why);

#endif
