/** Handlers of the routes that tell numbers. The worker's thread; reading never makes another worker wait. */
#ifndef WEB_METRICS_H
#define WEB_METRICS_H

struct http_request;

/** GET /metrics: the text format of Prometheus, version 0.0.4. */
void metrics_handle(struct http_request *request);

/** GET /api/v1/stats: the same as JSON. */
void metrics_handle_stats(struct http_request *request);

#endif
