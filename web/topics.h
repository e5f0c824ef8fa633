/**
 * The routes on /topics: a topic as a resource. Publish by POST, keep the last value by PUT, read it by GET, drop it by DELETE.
 */
#ifndef WEB_TOPICS_H
#define WEB_TOPICS_H

struct http_request;

void topics_post(struct http_request *request);
void topics_put(struct http_request *request);
void topics_delete(struct http_request *request);

/** The retained value, raw. */
void topics_get(struct http_request *request);

/** GET /topics?filter=F: retained messages under a filter, one JSON object a line. */
void topics_list(struct http_request *request);

/** POST /publish: an array or lines of messages. */
void publish_bulk(struct http_request *request);

/** The shapes of the widespread POST /api/v5/publish, .../bulk and of GET /retainedMessage/TOPIC. */
void compat_publish(struct http_request *request);
void compat_publish_bulk(struct http_request *request);
void compat_retained(struct http_request *request);

#endif
