/**
 * Addresses and networks as an operator writes them. Names are never looked up: what a name resolves to may differ
 * between two starts.
 */
#ifndef CONFIG_ADDRESS_H
#define CONFIG_ADDRESS_H

#include "config/config.h"

#define NETWORK_TEXT_BYTES 52u /* what network_text() writes at most, with the NUL */

/**
 * Read "127.0.0.1:1883", "[::1]:1883", "[fe80::1%eth0]:1883" or "*:1883" (both families).
 *
 * @param listener  out: address, address_len, ipv6_only; untouched on failure
 *
 * @return NULL, or what is wrong: static text
 */
const char *address_parse(const char *text, struct config_listener *listener);

/** True if LISTENER can be reached from this machine alone: a unix socket, 127.0.0.0/8 or ::1. */
bool address_is_local(const struct config_listener *listener);

/** True if both listen on the same address and port, or at the same path. Port 0 is never the same. */
bool address_is_same(const struct config_listener *a, const struct config_listener *b);

/**
 * Read "10.0.0.0/8", "fd00::/8" or a single address.
 *
 * @param network  out: untouched on failure
 *
 * @return NULL, or what is wrong: static text
 */
const char *network_parse(const char *text, struct config_network *network);

/** Write NETWORK to OUT as network_parse() reads it. */
void network_text(const struct config_network *network, char out[NETWORK_TEXT_BYTES]);

#endif
