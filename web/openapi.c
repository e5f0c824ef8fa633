/* A path of the table that ends in a star becomes a template: "/topics/" and the star, with a parameter that is in the path and called
 * "topic", become "/topics/{topic}". Answers that the table does not list, such as 413, are the operation's default: a problem. */
#include "web/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "web/http.h"
#include "web/routes.h"

#define TEXT_MAX  256u
#define PROBLEM   "application/problem+json"
#define REST_NAME "path" /* what the star stands for, if no parameter says so */

/* Each `put` takes VALUE, also on failure, and refuses NULL: so a failure anywhere is seen where it ends up. */
static bool put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

static bool put_text(json_t *object, const char *name, const char *text)
{
    return put(object, name, json_string(text));
}

/* VALUE, or NULL in its place if something went wrong with it. */
static json_t *whole(json_t *value, bool is_whole)
{
    if (!is_whole) {
        json_decref(value);
        return NULL;
    }
    return value;
}

/* --- parameters ---------------------------------------------------------------------------------------------------- */

static bool has_star(const struct http_route *route)
{
    size_t len = strlen(route->path);
    return len >= 2 && strcmp(route->path + len - 2, "/*") == 0;
}

static const char *star_name(const struct http_route *route)
{
    for (const struct http_param *param = route->params; param != NULL && param->name != NULL; param++) {
        if (strcmp(param->in, "path") == 0) {
            return param->name;
        }
    }
    return REST_NAME;
}

static json_t *param_json(const char *name, const char *in, const char *schema, const char *text, bool is_required)
{
    json_t *object = json_object();
    json_t *parsed = schema != NULL ? json_loads(schema, 0, NULL) : json_pack("{s:s}", "type", "string");
    bool ok = put_text(object, "name", name) && put_text(object, "in", in) && put_text(object, "description", text) &&
              (!is_required || put(object, "required", json_true()));
    ok = put(object, "schema", parsed) && ok;
    return whole(object, ok);
}

static json_t *params_json(const struct http_route *route)
{
    json_t *array = json_array();
    bool names_star = false, ok = array != NULL;
    for (const struct http_param *param = route->params; ok && param != NULL && param->name != NULL; param++) {
        bool in_path = strcmp(param->in, "path") == 0;
        names_star = names_star || in_path;
        ok = json_array_append_new(array, param_json(param->name, param->in, param->schema, param->text,
                                                     param->required || in_path)) == 0;
    }
    if (ok && has_star(route) && !names_star) {
        ok = json_array_append_new(array, param_json(REST_NAME, "path", NULL, "The rest of the path.", true)) == 0;
    }
    return whole(array, ok);
}

/* --- bodies ---------------------------------------------------------------------------------------------------------- */

/* What is known of a body of TYPE. */
static json_t *schema_json(const char *type)
{
    if (strcmp(type, PROBLEM) == 0) {
        return json_pack("{s:s}", "$ref", "#/components/schemas/Problem");
    }
    return strncmp(type, "text/", 5) == 0 ? json_pack("{s:s}", "type", "string") : json_object();
}

/* TYPES, one or several separated by ", ". */
static json_t *content_json(const char *types)
{
    char text[TEXT_MAX];
    char *rest = text;
    json_t *object = json_object();
    bool ok = object != NULL;
    snprintf(text, sizeof text, "%s", types);
    for (char *type; ok && (type = strsep(&rest, ",")) != NULL;) {
        type += strspn(type, " ");
        ok = put(object, type, json_pack("{s:o}", "schema", schema_json(type)));
    }
    return whole(object, ok);
}

/* One answer. A status that the table has twice is one answer: its texts follow each other, its types stand beside each other. */
static bool put_outcome(json_t *responses, const struct http_outcome *outcome)
{
    char status[16], both[2 * TEXT_MAX];
    snprintf(status, sizeof status, "%u", outcome->status);
    json_t *response = json_object_get(responses, status);
    const char *before = json_string_value(json_object_get(response, "description"));
    if (response == NULL) {
        if (!put(responses, status, json_object())) {
            return false;
        }
        response = json_object_get(responses, status);
    }
    snprintf(both, sizeof both, "%s%s%s", before != NULL ? before : "", before != NULL ? " " : "", outcome->text);
    if (!put_text(response, "description", both)) {
        return false;
    }
    if (outcome->type == NULL) {
        return true;
    }
    json_t *content = content_json(outcome->type);
    json_t *known = json_object_get(response, "content");
    if (known == NULL) {
        return put(response, "content", content);
    }
    bool ok = content != NULL && json_object_update(known, content) == 0;
    json_decref(content);
    return ok;
}

static json_t *responses_json(const struct http_route *route)
{
    static const struct http_outcome success = {200, NULL, "Done."};
    json_t *object = json_object();
    bool ok = put(object, "default", json_pack("{s:s}", "$ref", "#/components/responses/Problem"));
    if (route->outcomes == NULL) {
        ok = ok && put_outcome(object, &success);
    }
    for (const struct http_outcome *outcome = route->outcomes; ok && outcome != NULL && outcome->status != 0;
         outcome++) {
        ok = put_outcome(object, outcome);
    }
    return whole(object, ok);
}

/* --- operations -------------------------------------------------------------------------------------------------------- */

static const char *method_name(enum http_method method)
{
    static const char *const names[HTTP_METHODS] = {"get", "head", "post", "put", "patch", "delete", "options"};
    return names[method];
}

/* "get_api_v1_clients_client_id". */
static void write_operation_id(char *out, size_t cap, const struct http_route *route)
{
    int len = snprintf(out, cap, "%s%.*s%s%s", method_name(route->method),
                       (int)(strlen(route->path) - (has_star(route) ? 2 : 0)), route->path, has_star(route) ? "_" : "",
                       has_star(route) ? star_name(route) : "");
    for (int i = 0; i < len && (size_t)i < cap - 1; i++) {
        out[i] = isalnum((unsigned char)out[i]) ? out[i] : '_';
    }
}

static json_t *operation_json(const struct http_route *route)
{
    char id[TEXT_MAX];
    json_t *object = json_object();
    json_t *params = params_json(route);
    write_operation_id(id, sizeof id, route);
    bool ok = put_text(object, "operationId", id) && put_text(object, "summary", route->summary) &&
              put(object, "tags", json_pack("[s]", route->tag));
    if (ok && route->body_type != NULL) {
        ok = put(object, "requestBody", json_pack("{s:o}", "content", content_json(route->body_type)));
    }
    ok = ok && put(object, "responses", responses_json(route));
    if (ok && !route->any_origin && !route->is_public) {
        ok = put(object, "security", json_pack("[{}, {s:[]}]", "basic")) &&
             put(json_object_get(object, "responses"), "401",
                 json_pack("{s:s}", "$ref", "#/components/responses/Login"));
    }
    if (params != NULL && json_array_size(params) == 0) {
        json_decref(params);
    } else {
        ok = put(object, "parameters", params) && ok;
    }
    return whole(object, ok);
}

static bool put_route(json_t *paths, const struct http_route *route)
{
    char path[TEXT_MAX];
    if (has_star(route)) {
        snprintf(path, sizeof path, "%.*s/{%s}", (int)strlen(route->path) - 2, route->path, star_name(route));
    } else {
        snprintf(path, sizeof path, "%s", route->path);
    }
    json_t *item = json_object_get(paths, path);
    if (item == NULL && put(paths, path, json_object())) {
        item = json_object_get(paths, path);
    }
    return item != NULL && put(item, method_name(route->method), operation_json(route));
}

static json_t *paths_json(void)
{
    json_t *object = json_object();
    bool ok = object != NULL;
    for (size_t i = 0; i < web_route_count && ok; i++) {
        ok = put_route(object, &web_routes[i]);
    }
    return whole(object, ok);
}

static json_t *components_json(void)
{
    static const char text[] =
        "{\"schemas\":{\"Problem\":{\"description\":\"What went wrong (RFC 9457).\",\"type\":\"object\","
        "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
        "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"}},"
        "\"required\":[\"type\",\"title\",\"status\"]}},"
        "\"securitySchemes\":{\"basic\":{\"type\":\"http\",\"scheme\":\"basic\","
        "\"description\":\"User and password as of an MQTT client; needed unless anonymous access is on.\"}},"
        "\"responses\":{\"Login\":{\"description\":\"A user name and its password are needed, or they are wrong.\","
        "\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}},"
        "\"Problem\":{\"description\":\"The request was not done.\","
        "\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}}";
    return json_loads(text, 0, NULL);
}

json_t *openapi_document(void)
{
    json_t *document = json_object();
    bool ok = put_text(document, "openapi", "3.1.0");
    ok = put(document, "info",
             json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "title", "Tidegate", "version", PACKAGE_VERSION, "description",
                       "MQTT by HTTP: publish, read retained values, subscribe, and see what goes on.", "license",
                       "name", "MIT", "identifier", "MIT")) &&
         ok;
    ok = put(document, "servers", json_pack("[{s:s}]", "url", "/")) && ok;
    ok = put(document, "paths", paths_json()) && ok;
    ok = put(document, "components", components_json()) && ok;
    return whole(document, ok);
}

void openapi_handle(struct http_request *request)
{
    http_reply_json(request, 200, openapi_document());
}
