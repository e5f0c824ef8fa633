#include "web/health.h"

#include "web/http.h"

void health_handle_alive(struct http_request *request)
{
    static const char body[] = "{\"status\":\"ok\"}\n";
    http_add_header(request, "Cache-Control", "no-store");
    http_reply(request, 200, "application/json", body, sizeof body - 1);
}

void health_handle_ready(struct http_request *request)
{
    static const char body[] = "{\"status\":\"ready\"}\n";
    http_add_header(request, "Cache-Control", "no-store");
    if (http_is_ready(request)) {
        http_reply(request, 200, "application/json", body, sizeof body - 1);
    } else {
        http_add_header(request, "Retry-After", "1");
        http_problem(request, 503, "the gateway is starting or stopping");
    }
}
