/**
 * What else may come to a port where MQTT is spoken: the first bytes of protocols that a client, or what stands before us, is often set up for
 * by mistake.
 */
#ifndef PROTOCOL_GREETING_H
#define PROTOCOL_GREETING_H

#include <stddef.h>
#include <stdint.h>

/**
 * Tell by the first bytes of a connection, which are no MQTT, what they are and what to set up otherwise.
 *
 * @param buf  bytes received so far; borrowed for the call
 * @return static text for the log; NULL if nothing is known that begins so. Never anything for a CONNECT
 */
const char *greeting_recognize(const uint8_t *buf, size_t len);

#endif
