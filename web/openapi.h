/**
 * The description of the HTTP API, made from the table of routes (routes.c): OpenAPI 3.1.
 */
#ifndef WEB_OPENAPI_H
#define WEB_OPENAPI_H

#include <jansson.h>

struct http_request;

/** The whole description. @return owned; NULL without memory */
json_t *openapi_document(void);

/** GET /openapi.json. The worker's thread. */
void openapi_handle(struct http_request *request);

#endif
