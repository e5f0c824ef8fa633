/* The order is that of the API description. Static files (http.directory) answer what no line here does. */
#include "web/routes.h"

#include "web/admin.h"
#include "web/backup.h"
#include "web/events.h"
#include "web/health.h"
#include "web/metrics.h"
#include "web/openapi.h"
#include "web/rpc.h"
#include "web/topics.h"
#include "web/ws.h"

static const struct http_outcome alive_outcomes[] = {
    {200, "application/json", "The gateway is alive."},
    {0, NULL, NULL},
};

static const struct http_outcome ready_outcomes[] = {
    {200, "application/json", "The gateway serves clients."},
    {503, "application/problem+json",
     "It is starting or stopping; while it reads its store, done and total tell how many entries it has read of how "
     "many, about."},
    {0, NULL, NULL},
};

static const struct http_outcome websocket_outcomes[] = {
    {101, NULL, "The connection is a WebSocket now; its binary frames carry MQTT."},
    {400, "application/problem+json",
     "The request for a WebSocket is malformed, or offers no sub-protocol \"mqtt\" or \"mqttv3.1\"."},
    {403, "application/problem+json", "Pages of this origin may not use the server."},
    {426, "application/problem+json",
     "The request does not ask for a WebSocket, or for one of another version than 13."},
    {0, NULL, NULL},
};

/* --- topics ---------------------------------------------------------------------------------------------------------------- */

#define STRING  "{\"type\":\"string\"}"
#define SECONDS "{\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295}"
#define QOS     "{\"type\":\"integer\",\"minimum\":0,\"maximum\":2}"
#define BOOLEAN "{\"type\":\"boolean\"}"
#define STRINGS "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"

#define TOPIC_PARAM                                                                                                    \
    {"topic", "path", STRING, "The topic; its slashes may be written as they are.", true},                             \
    {                                                                                                                  \
        "topic", "query", STRING, "The topic, exactly: for topics whose bytes a path cannot carry.", false             \
    }

static const struct http_param publish_params[] = {
    TOPIC_PARAM,
    {"qos", "query", QOS, "Quality of service of the message; 0 by default.", false},
    {"retain", "query", BOOLEAN, "Keep the message as the topic's retained value.", false},
    {"contentType", "query", STRING, "MQTT content type; by default the request's own Content-Type.", false},
    {"responseTopic", "query", STRING, "Topic that a reply is wanted on.", false},
    {"messageExpiry", "query", SECONDS, "Seconds after which the message is worth nothing.", false},
    {"correlationData", "query", STRING, "Correlation data, in base64.", false},
    {"userProperty", "query", STRINGS, "A user property NAME:VALUE; may be repeated.", false},
    {"x-amz-mqtt5-user-properties", "header", STRING, "User properties: a JSON array of objects, in base64.", false},
    {"x-amz-mqtt5-payload-format-indicator", "header", STRING, "UTF8_DATA or UNSPECIFIED_BYTES.", false},
    {"x-amz-mqtt5-correlation-data", "header", STRING, "Correlation data, in base64.", false},
    {"Idempotency-Key", "header", STRING,
     "A request repeated with the same key gets the first answer and publishes nothing.", false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_param topic_params[] = {
    TOPIC_PARAM,
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_param read_params[] = {
    TOPIC_PARAM,
    {"filter", "query", STRING, "Without a topic: list the retained messages under this topic filter.", false},
    {"limit", "query", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000}", "Lines of the list; 1000 by default.",
     false},
    {"cursor", "query", STRING, "Topic of the last line received: the list goes on behind it.", false},
    {"If-None-Match", "header", STRING, "ETags that the caller has: 304 if the value is one of them.", false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_param key_params[] = {
    {"Idempotency-Key", "header", STRING,
     "A request repeated with the same key gets the first answer and publishes nothing.", false},
    {NULL, NULL, NULL, NULL, false},
};

#define REFUSALS                                                                                                       \
    {400, "application/problem+json", "The topic, or a parameter, is not valid, or there is no such parameter."},      \
        {403, "application/problem+json", "The caller may not do this."},                                              \
        {413, "application/problem+json", "The message is larger than the broker takes."},                             \
        {422, "application/problem+json", "The broker does not take this QoS, retained messages, or this payload."},   \
    {                                                                                                                  \
        507, "application/problem+json", "There is no room for the message; try again later."                          \
    }

static const struct http_outcome publish_outcomes[] = {
    {200, "application/json", "The message was taken: {\"id\": ..., \"matched\": true or false}."},
    {202, "application/json", "The message was taken, but nobody is subscribed and it is not retained."},
    REFUSALS,
    {0, NULL, NULL},
};

static const struct http_outcome delete_outcomes[] = {
    {204, NULL, "The retained value is gone."},
    {404, "application/problem+json", "Nothing was retained for this topic."},
    REFUSALS,
    {0, NULL, NULL},
};

static const struct http_outcome read_outcomes[] = {
    {200, "*/*",
     "The value, with its own content type; or with filter, one JSON object a line (application/x-ndjson)."},
    {304, NULL, "The caller has this value already."},
    {400, "application/problem+json",
     "The topic, the filter or a parameter is not valid, or there is no such parameter."},
    {403, "application/problem+json", "The caller may not read this topic."},
    {404, "application/problem+json", "Nothing is retained for this topic."},
    {0, NULL, NULL},
};

static const struct http_outcome bulk_outcomes[] = {
    {200, "application/json",
     "The items' results, in order: {\"status\": ..., \"id\": ..., \"matched\": ...} or a detail."},
    {400, "application/problem+json", "The body is not JSON, or there is a query parameter."},
    {413, "application/problem+json", "The body, or as JSON one of its items, is too large (256 KiB, 16384 values)."},
    {415, "application/problem+json", "The body is neither application/json nor application/x-ndjson."},
    {422, "application/json", "No item was taken; or there are none, or too many."},
    {0, NULL, NULL},
};

static const struct http_outcome compat_outcomes[] = {
    {200, "application/json", "{\"id\": ...}: somebody is subscribed; of bulk, an array of these."},
    {202, "application/json", "{\"reason_code\": 16, ...}: nobody is subscribed."},
    {400, "application/json", "The message is not valid, or too large as JSON; of bulk, nothing was published."},
    {403, "application/json", "The caller may not publish this."},
    {415, "application/json", "The body is not application/json."},
    {503, "application/json", "{\"reason_code\": 131, ...}: the message was not taken."},
    {0, NULL, NULL},
};

static const struct http_outcome compat_retained_outcomes[] = {
    {200, "application/json",
     "{\"topic\", \"payload\": base64, \"qos\", \"lastModifiedTime\": ms, \"userProperties\"}"},
    {400, "application/json", "The topic is not valid."},
    {404, "application/json", "Nothing is retained for this topic."},
    {0, NULL, NULL},
};

/* --- events and calls ------------------------------------------------------------------------------------------------------ */

static const struct http_param event_params[] = {
    {"filter", "query", STRINGS, "A topic filter; may be repeated.", true},
    {"qos", "query", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1}",
     "Quality of service of the subscriptions; 0 by default, 1 with client_id.", false},
    {"retained", "query", "{\"enum\":[\"send\",\"skip\"]}",
     "Whether retained values are sent first; they are by default.", false},
    {"wait", "query", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":300}",
     "Answer as soon as there is something, or with 204 after so many seconds; X-Cursor says where to go on.", false},
    {"since", "query", STRING, "The id of the last event received: go on behind it.", false},
    {"client_id", "query", STRING,
     "Client id of a durable session, in place of one that is made up; it is subscribed to these filters alone from "
     "now on. A browser must send Origin, Sec-Fetch-Site or the Referer of a page of this server with it.",
     false},
    {"session_expiry", "query", SECONDS, "Seconds that this session lives on for without a reader.", false},
    {"Last-Event-ID", "header", STRING, "As since, which it goes before; browsers send it by themselves.", false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_outcome event_outcomes[] = {
    {200, "text/event-stream",
     "Events without end: gap (something was lost, it begins anew), messages, synced (all retained values were sent). "
     "As lines of JSON by "
     "Accept: application/x-ndjson; with wait as application/json, too."},
    {204, NULL, "Nothing has come while the poll waited."},
    {400, "application/problem+json",
     "A filter or parameter is not valid or unknown, or the cursor is not one of this stream."},
    {403, "application/problem+json",
     "The caller may read nothing of what a filter matches, or is a page of another site that asks as for an image or "
     "a link."},
    {406, "application/problem+json", "Accept names no form that events have."},
    {409, "application/problem+json", "Another client has taken the session while the poll waited."},
    {410, "application/problem+json", "What since stands for is not kept any more."},
    {503, "application/problem+json", "There are too many subscriptions, or no memory."},
    {0, NULL, NULL},
};

static const struct http_param rpc_params[] = {
    TOPIC_PARAM,
    {"timeout", "query", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":300}",
     "Seconds to wait for the reply; 5 by default.", false},
    {"reply", "query", STRING,
     "Topic that the device replies to, if it knows no response topics (MQTT 3). A level :id here and in the topic is "
     "replaced "
     "by the id of the call.",
     false},
    {"qos", "query", QOS, "Quality of service of the request; 0 by default.", false},
    {"contentType", "query", STRING, "MQTT content type; by default the request's own Content-Type.", false},
    {"messageExpiry", "query", SECONDS, "Seconds after which the request is worth nothing; the timeout by default.",
     false},
    {"userProperty", "query", STRINGS, "A user property NAME:VALUE; may be repeated.", false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_outcome rpc_outcomes[] = {
    {200, "*/*", "The reply, with its own content type; its user properties are headers X-MQTT-User-Property."},
    REFUSALS,
    {503, "application/problem+json", "Nobody is subscribed to the topic, or too many requests wait."},
    {504, "application/problem+json", "No reply came in time."},
    {0, NULL, NULL},
};

/* --- what goes on ------------------------------------------------------------------------------------------------ */

#define LIMIT  "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000,\"default\":1000}"
#define LEVELS "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000,\"default\":1000}"

#define PAGE_PARAMS                                                                                                    \
    {"limit", "query", LIMIT, "Items of the list.", false},                                                            \
    {                                                                                                                  \
        "cursor", "query", STRING, "What a list ended with: go on behind it.", false                                   \
    }

#define CLIENT_PARAMS                                                                                                  \
    {"client_id", "query", STRING, "Only this client.", false},                                                        \
    {                                                                                                                  \
        "prefix", "query", STRING, "Only clients whose id begins like this.", false                                    \
    }

static const struct http_param client_list_params[] = {
    CLIENT_PARAMS,
    {"connected", "query", BOOLEAN, "Only those that are connected, or only those that are not.", false},
    PAGE_PARAMS,
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_param client_params[] = {
    {"client_id", "path", STRING, "The client; one whose id a path cannot carry is found by the list.", true},
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_param subscription_params[] = {
    CLIENT_PARAMS,
    {"filter", "query", STRING, "Only subscriptions to exactly this filter, \"$share/...\" included.", false},
    {"topic", "query", STRING, "Only subscriptions that match this topic.", false},
    PAGE_PARAMS,
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_param tree_params[] = {
    {"prefix", "query", STRING, "Levels above those to be listed, \"home/kitchen\"; the root by default.", false},
    {"limit", "query", LEVELS, "Items of the list.", false},
    {"cursor", "query", STRING, "What a list ended with: go on behind it.", false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct http_param retained_params[] = {
    {"filter", "query", STRING, "Only topics that this filter matches; \"#\" by default.", false},
    PAGE_PARAMS,
    {NULL, NULL, NULL, NULL, false},
};

#define LOCAL_ONLY                                                                                                     \
    {                                                                                                                  \
        403, "application/problem+json", "The caller is not on this machine, or may not read $SYS/#."                  \
    }

static const struct http_outcome list_outcomes[] = {
    {200, "application/json", "{\"items\": [...], \"cursor\": where it goes on, or null}."},
    {400, "application/problem+json", "A parameter is not valid."},
    LOCAL_ONLY,
    {0, NULL, NULL},
};

static const struct http_outcome client_outcomes[] = {
    {200, "application/json", "The client."},
    LOCAL_ONLY,
    {404, "application/problem+json", "There is no such client."},
    {0, NULL, NULL},
};

static const struct http_outcome stats_outcomes[] = {
    {200, "application/json", "All counters."},
    LOCAL_ONLY,
    {0, NULL, NULL},
};

static const struct http_outcome backup_outcomes[] = {
    {201, "application/json", "The copy is complete: {\"file\": its name, \"folder\", \"bytes\", \"ms\"}."},
    {400, "application/problem+json", "There is a query parameter: where copies go is for the configuration to say."},
    LOCAL_ONLY,
    {409, "application/problem+json", "Another copy is being written, or the store is in memory alone."},
    {500, "application/problem+json", "The copy could not be written."},
    {503, "application/problem+json", "It took too long, or there is no memory."},
    {507, "application/problem+json", "There is no room for it."},
    {0, NULL, NULL},
};

static const struct http_outcome metrics_outcomes[] = {
    {200, "text/plain", "All counters, in the text format of Prometheus."},
    LOCAL_ONLY,
    {0, NULL, NULL},
};

static const struct http_outcome openapi_outcomes[] = {
    {200, "application/json", "This description."},
    {0, NULL, NULL},
};

/* --- the table --------------------------------------------------------------------------------------------------------------- */

const struct http_route web_routes[] = {
    {HTTP_POST, "/topics/*", topics_post, "Publish the raw body", "topics", .params = publish_params,
     .outcomes = publish_outcomes, .body_type = "*/*", .query_is_closed = true, .is_for_clients = true},
    {HTTP_PUT, "/topics/*", topics_put, "Publish the raw body and keep it as the retained value", "topics",
     .params = publish_params, .outcomes = publish_outcomes, .body_type = "*/*", .query_is_closed = true,
     .is_for_clients = true},
    {HTTP_GET, "/topics/*", topics_get, "The retained value of a topic, or a list under a filter", "topics",
     .params = read_params, .outcomes = read_outcomes, .query_is_closed = true, .is_for_clients = true},
    {HTTP_DELETE, "/topics/*", topics_delete, "Clear the retained value", "topics", .params = topic_params,
     .outcomes = delete_outcomes, .query_is_closed = true, .is_for_clients = true},
    {HTTP_POST, "/publish", publish_bulk, "Publish many messages, as a JSON array or one a line", "topics",
     .params = key_params, .outcomes = bulk_outcomes, .body_type = "application/json", .query_is_closed = true,
     .is_for_clients = true},
    {HTTP_GET, "/events", events_get, "Messages as they come, as an event stream or by polling", "events",
     .params = event_params, .outcomes = event_outcomes, .query_is_closed = true, .is_for_clients = true},
    {HTTP_POST, "/rpc/*", rpc_post, "Publish a request and answer with its reply", "rpc", .params = rpc_params,
     .outcomes = rpc_outcomes, .body_type = "*/*", .query_is_closed = true, .is_for_clients = true},
    {HTTP_POST, "/api/v5/publish", compat_publish, "Publish one message, in the shape of other brokers",
     "compatibility", .outcomes = compat_outcomes, .body_type = "application/json", .is_for_clients = true},
    {HTTP_POST, "/api/v5/publish/bulk", compat_publish_bulk, "Publish many messages, in the shape of other brokers",
     "compatibility", .outcomes = compat_outcomes, .body_type = "application/json", .is_for_clients = true},
    {HTTP_GET, "/retainedMessage/*", compat_retained, "The retained value of a topic as JSON", "compatibility",
     .params = topic_params, .outcomes = compat_retained_outcomes, .is_for_clients = true},
    {HTTP_GET, "/healthz", health_handle_alive, "Is the gateway alive?", "health", .outcomes = alive_outcomes,
     .any_origin = true, .when_starting = true},
    {HTTP_GET, "/readyz", health_handle_ready, "Does the gateway serve clients?", "health", .outcomes = ready_outcomes,
     .any_origin = true, .when_starting = true},
    {HTTP_GET, "/metrics", metrics_handle, "Numbers for Prometheus", "health", .outcomes = metrics_outcomes,
     .when_starting = true},
    {HTTP_GET, "/openapi.json", openapi_handle, "The description of this API", "health", .outcomes = openapi_outcomes,
     .is_public = true},
    {HTTP_GET, "/api/v1/clients", admin_list_clients, "Clients and their connections", "admin",
     .params = client_list_params, .outcomes = list_outcomes},
    {HTTP_GET, "/api/v1/clients/*", admin_get_client, "One client", "admin", .params = client_params,
     .outcomes = client_outcomes},
    {HTTP_GET, "/api/v1/sessions", admin_list_sessions, "What is kept for clients: queues, expiry", "admin",
     .params = client_list_params, .outcomes = list_outcomes},
    {HTTP_GET, "/api/v1/sessions/*", admin_get_session, "One client's session", "admin", .params = client_params,
     .outcomes = client_outcomes},
    {HTTP_GET, "/api/v1/subscriptions", admin_list_subscriptions, "Subscriptions", "admin",
     .params = subscription_params, .outcomes = list_outcomes},
    {HTTP_GET, "/api/v1/topics", admin_list_topics, "One level of the tree of topics with a retained message", "admin",
     .params = tree_params, .outcomes = list_outcomes},
    {HTTP_GET, "/api/v1/retained", admin_list_retained, "Retained messages", "admin", .params = retained_params,
     .outcomes = list_outcomes},
    {HTTP_GET, "/api/v1/stats", metrics_handle_stats, "All counters as JSON", "admin", .outcomes = stats_outcomes},
    {HTTP_POST, "/api/v1/backup", backup_post, "Copy the store to a file beside it", "admin",
     .outcomes = backup_outcomes, .query_is_closed = true},
    {HTTP_GET, "/mqtt", ws_handle_plain_request, "MQTT over WebSocket", "mqtt", .outcomes = websocket_outcomes,
     .is_public = true},
};

const size_t web_route_count = sizeof web_routes / sizeof web_routes[0];
