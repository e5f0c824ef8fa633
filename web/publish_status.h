/**
 * What an HTTP client is told of a publication: a status for each MQTT reason code.
 */
#ifndef WEB_PUBLISH_STATUS_H
#define WEB_PUBLISH_STATUS_H

#include <stdint.h>

/** The HTTP status for reason code CODE (0: 200). */
unsigned publish_status(uint8_t code);

/** A fresh id for an answer: 32 hexadecimal digits and a NUL. Aborts if the kernel has no random bytes to give. */
#define PUBLISH_ID_BYTES 33u
void publish_id(char out[PUBLISH_ID_BYTES]);

#endif
