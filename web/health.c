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
    uint64_t done, total;
    http_add_header(request, "Cache-Control", "no-store");
    if (http_is_ready(request)) {
        http_reply(request, 200, "application/json", body, sizeof body - 1);
        return;
    }
    http_add_header(request, "Retry-After", "1");
    if (http_recovery(request, &done, &total)) {
        http_problem_with(request, 503, json_pack("{s:I, s:I}", "done", (json_int_t)done, "total", (json_int_t)total),
                          "the gateway is reading its store");
    } else {
        http_problem(request, 503, "the gateway is starting or stopping");
    }
}
