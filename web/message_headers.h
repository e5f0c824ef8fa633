/**
 * A message as an HTTP answer: its payload is the body, its properties are headers.
 */
#ifndef WEB_MESSAGE_HEADERS_H
#define WEB_MESSAGE_HEADERS_H

#include "protocol/bytes.h"

struct http_request;

/**
 * Add headers that say what PROPERTIES (encoded entries) do, and that keep the body from acting as a page of this origin: whoever may publish
 * chooses these bytes.
 *
 * @return the media type of the payload; lives as long as REQUEST
 */
const char *message_headers_add(struct http_request *request, struct bytes properties);

#endif
