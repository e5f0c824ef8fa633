/** Handlers of the routes by which supervisors ask how the gateway is. The worker's thread. */
#ifndef WEB_HEALTH_H
#define WEB_HEALTH_H

struct http_request;

/** 200 as long as this worker answers at all. */
void health_handle_alive(struct http_request *request);

/** 200 if the gateway takes clients, 503 before that and while it stops. */
void health_handle_ready(struct http_request *request);

#endif
