#include "web/http_login.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/access/access.h"
#include "gateway/base/base64.h"
#include "gateway/base/log.h"
#include "gateway/broker/place_publish.h"
#include "protocol/reason.h"
#include "web/http_request.h"
#include "web/web.h"

#define CHALLENGE "Basic realm=\"Tidegate\", charset=\"UTF-8\""

struct http_login { /* in the request's arena */
    struct access_request ask;
    struct http_request *request;
    void (*go_on)(struct http_request *request); /* NULL: the provider has not returned yet */
    uint8_t *secret; /* decoded user name and password; wiped when it is not needed any more */
    size_t secret_len;
    bool is_asked; /* the provider owes an answer */
};

static struct access *access_of(const struct http_request *request)
{
    return place_access(http_place(request));
}

/* --- who it is ------------------------------------------------------------------------------------------------------------- */

const struct access_identity *http_identity(const struct http_request *request)
{
    return request->identity;
}

bool http_copy_identity(const struct access_identity *identity, struct access_identity **out)
{
    *out = NULL;
    if (identity == NULL) {
        return true;
    }
    struct access_identity *copy = calloc(1, sizeof(*copy) + identity->user_name.len);
    if (copy == NULL) {
        return false;
    }
    uint8_t *name = (uint8_t *)(copy + 1);
    if (identity->user_name.len > 0) {
        memcpy(name, identity->user_name.data, identity->user_name.len);
    }
    copy->user_name = (struct bytes){name, identity->user_name.len};
    *out = copy;
    return true;
}

/* @return false without memory */
static bool set_identity(struct http_request *request, struct access_request *ask)
{
    struct access *access = access_of(request);
    struct access_identity identity = {.user_name = ask->user_name, .rules = ask->rules};
    if (access->allows_all) {
        return true;
    }
    if (!http_copy_identity(&identity, &request->identity)) {
        access->provider->forget(access, &identity);
        return false;
    }
    request->identity->rules = ask->rules;
    return true;
}

/* --- answers --------------------------------------------------------------------------------------------------------------- */

static void refuse(struct http_request *request, const char *why)
{
    log_info("request refused", LOG_STR("peer", http_peer(request)), LOG_STR("reason", why));
    if (http_settings(request)->config->access.password_file == NULL) {
        http_problem(request, 403, "%s", why); /* no password would help */
        return;
    }
    http_add_header(request, "WWW-Authenticate", CHALLENGE);
    http_problem(request, 401, "%s", why);
}

static void wipe(struct http_login *login)
{
    if (login->secret_len > 0) {
        explicit_bzero(login->secret, login->secret_len);
        login->secret_len = 0;
    }
}

/* @return true: the request goes on; else it has been answered */
static bool settle(struct http_login *login)
{
    struct http_request *request = login->request;
    const struct access_request *ask = &login->ask;
    request->login = NULL;
    bool is_set = ask->outcome == ACCESS_GRANTED && set_identity(request, &login->ask);
    wipe(login);
    if (is_set) {
        return true;
    }
    if (ask->outcome == ACCESS_GRANTED) {
        http_problem(request, 503, "out of memory");
    } else if (ask->outcome == ACCESS_REFUSED &&
               (ask->reason_code == REASON_SERVER_BUSY || ask->reason_code == REASON_QUOTA_EXCEEDED ||
                ask->reason_code == REASON_SERVER_SHUTTING_DOWN)) {
        http_add_header(request, "Retry-After", "1");
        http_problem(request, 503, "%s", ask->why);
    } else {
        refuse(request, ask->outcome == ACCESS_REFUSED ? ask->why : "more than a password is needed");
    }
    return false;
}

static void on_answer(struct access_request *ask)
{
    struct http_login *login = (struct http_login *)ask;
    struct http_request *request = login->request;
    void (*go_on)(struct http_request *) = login->go_on;
    login->is_asked = false;
    if (go_on == NULL) {
        return; /* at once: http_login() looks at the outcome */
    }
    if (settle(login)) {
        go_on(request);
    }
}

/* The peer has gone, or the server stops. */
static void on_gone(void *arg)
{
    http_login_fini(arg);
}

/* --- questions ------------------------------------------------------------------------------------------------------------- */

/* Read the header into LOGIN. @return what is wrong, static; NULL: nothing */
static const char *read_credentials(struct http_login *login)
{
    static const char scheme[] = "Basic ";
    struct bytes value = http_header(login->request, "authorization");
    size_t scheme_len = sizeof(scheme) - 1;
    if (value.data == NULL) {
        return NULL;
    }
    if (value.len < scheme_len || strncasecmp((const char *)value.data, scheme, scheme_len) != 0) {
        return "the only way to log in is Basic";
    }
    while (scheme_len < value.len && value.data[scheme_len] == ' ') {
        scheme_len++;
    }
    struct bytes text = {value.data + scheme_len, value.len - scheme_len};
    login->secret = http_alloc(login->request, base64_decoded_size(text.len));
    size_t len = login->secret != NULL ? base64_decode(text, login->secret) : SIZE_MAX;
    const uint8_t *colon = len != SIZE_MAX && len > 0 ? memchr(login->secret, ':', len) : NULL;
    if (colon == NULL) {
        return "the Authorization header is not base64 of a user name, a colon and a password";
    }
    login->secret_len = len;
    login->ask.user_name = (struct bytes){login->secret, (size_t)(colon - login->secret)};
    login->ask.password = (struct bytes){colon + 1, len - login->ask.user_name.len - 1};
    return NULL;
}

enum http_login_state http_login(struct http_request *request, void (*go_on)(struct http_request *request))
{
    struct access *access = access_of(request);
    struct http_login *login = http_alloc(request, sizeof(*login));
    if (login == NULL) {
        http_problem(request, 503, "out of memory");
        return HTTP_LOGIN_ANSWERED;
    }
    *login = (struct http_login){.request = request, .is_asked = true};
    login->ask.done = on_answer;
    login->ask.port = place_access_port(http_place(request));
    const char *wrong = access->allows_all ? NULL : read_credentials(login);
    if (wrong != NULL) {
        refuse(request, wrong);
        return HTTP_LOGIN_ANSWERED;
    }
    login->ask.peer = http_peer(request);
    request->login = login;
    access->provider->connect(access, &login->ask);
    if (login->is_asked) {
        login->go_on = go_on;
        http_hold(request, on_gone, request);
        return HTTP_LOGIN_WAITS;
    }
    return settle(login) ? HTTP_LOGIN_IN : HTTP_LOGIN_ANSWERED;
}

void http_login_fini(struct http_request *request)
{
    struct http_login *login = request->login;
    struct access *access = access_of(request);
    request->login = NULL;
    if (login != NULL) {
        if (login->is_asked) {
            access->provider->cancel(access, &login->ask);
        }
        wipe(login);
    }
    if (request->identity != NULL) {
        access->provider->forget(access, request->identity);
        free(request->identity);
        request->identity = NULL;
    }
}
