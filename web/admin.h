/**
 * Handlers of the routes below /api/v1 that read: clients, sessions, subscriptions, topics, retained messages. Lists are streams (list.h). The
 * worker's thread.
 */
#ifndef WEB_ADMIN_H
#define WEB_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

struct buffer;
struct http_request;
struct message;

/** True if REQUEST may see what goes on in the gateway: it comes from this machine, and from who may read all of $SYS. Else it has been answered with 403. */
bool admin_is_allowed(struct http_request *request) __attribute__((warn_unused_result));

/** GET /api/v1/clients: ids, connections. */
void admin_list_clients(struct http_request *request);

/** GET /api/v1/clients/ID. */
void admin_get_client(struct http_request *request);

/** GET /api/v1/sessions: queues and what else is kept for clients. */
void admin_list_sessions(struct http_request *request);

/** GET /api/v1/sessions/ID. */
void admin_get_session(struct http_request *request);

/** GET /api/v1/subscriptions. */
void admin_list_subscriptions(struct http_request *request);

/** GET /api/v1/topics: one level of the tree of retained messages. */
void admin_list_topics(struct http_request *request);

/** GET /api/v1/retained: retained messages under a filter. */
void admin_list_retained(struct http_request *request);

#define ADMIN_PAYLOAD_MAX 65536u /* a larger payload is not shown in a list, for it would hold up others */

/** Add the retained MESSAGE to OUT as the object of message_json.h, with stored_ms, payload_bytes and perhaps payload_omitted. NOW_MS: monotonic. */
void admin_add_message(struct buffer *out, const struct message *message, uint64_t now_ms);

#endif
