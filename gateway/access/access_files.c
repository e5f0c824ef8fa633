#include "gateway/access/access_files.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "gateway/access/access_port.h"
#include "gateway/access/acl_file.h"
#include "gateway/access/password_file.h"
#include "gateway/access/verified_cache.h"
#include "gateway/access/work_pool.h"
#include "gateway/base/assert.h"
#include "gateway/base/container.h"
#include "gateway/base/log.h"
#include "gateway/base/rcu.h"
#include "protocol/reason.h"

#define POOL_THREADS   2u
#define POOL_QUEUE_MAX 512u

/* What the files say. Immutable but for `rcu`. */
struct rules {
    struct tg_rcu_head rcu;
    uint64_t generation;
    bool anonymous;
    struct password_file *passwords; /* shared; NULL: none */
    struct acl *acl;                 /* owned; NULL: none */
};

struct access_files {
    struct access access;
    _Atomic(struct rules *) rules; /* RCU */
    struct work_pool *pool;
    unsigned places;
    struct verified_cache *verified[]; /* by place; owner: its thread */
};

/* A password that is being checked. */
struct login {
    struct work work;
    struct access_answer answer;
    struct access_files *files;
    struct access_request *request; /* owner: the port's thread. NULL: cancelled */
    struct access_port *port;
    struct password_file *passwords; /* shared */
    uint64_t generation;
    _Atomic bool is_cancelled;
    bool is_right;
    bool is_given_up; /* the pool ended first */
    bool has_key;
    struct verified_key key;
    struct bytes name;
    struct bytes password; /* behind name in bytes */
    uint8_t bytes[];
};

/* --- the files ------------------------------------------------------------------------------------------------------------- */

static void rules_free(struct rules *rules)
{
    if (rules != NULL) {
        password_file_unref(rules->passwords);
        acl_free(rules->acl);
        free(rules);
    }
}

static void rules_free_later(struct tg_rcu_head *head)
{
    rules_free(TG_CONTAINER_OF(head, struct rules, rcu));
}

static bool read_passwords(struct rules *rules, const char *path, struct access_files_fault *fault)
{
    struct bytes text;
    fault->file = path;
    if (path == NULL) {
        return true;
    }
    if (!rule_file_read(path, &text, &fault->fault)) {
        return false;
    }
    rules->passwords = password_file_parse(text, &fault->fault);
    OPENSSL_cleanse((uint8_t *)(uintptr_t)text.data, text.len);
    free((uint8_t *)(uintptr_t)text.data);
    return rules->passwords != NULL;
}

static bool read_acl(struct rules *rules, const char *path, struct access_files_fault *fault)
{
    struct bytes text;
    fault->file = path;
    if (path == NULL) {
        return true;
    }
    if (!rule_file_read(path, &text, &fault->fault)) {
        return false;
    }
    rules->acl = acl_parse(text, &fault->fault);
    free((uint8_t *)(uintptr_t)text.data);
    return rules->acl != NULL;
}

/* @return owned; NULL with FAULT */
static struct rules *rules_read(const struct access_files_options *options, struct access_files_fault *fault)
{
    struct rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL) {
        fault->file = NULL;
        rule_fault_set(&fault->fault, 0, "out of memory");
        return NULL;
    }
    rules->anonymous = options->anonymous;
    if (!read_passwords(rules, options->password_file, fault) || !read_acl(rules, options->acl_file, fault)) {
        rules_free(rules);
        return NULL;
    }
    return rules;
}

static void log_read(const struct rules *rules, const struct access_files_options *options)
{
    if (rules->passwords != NULL) {
        log_info("password file read", LOG_STR("file", options->password_file),
                 LOG_UNUM("users", password_file_users(rules->passwords)));
    }
    if (rules->acl == NULL) {
        return;
    }
    log_info("access rules read", LOG_STR("file", options->acl_file));
    if (acl_plain_pattern_line(rules->acl) != 0) {
        log_warning("a pattern has neither %c nor %u", LOG_STR("file", options->acl_file),
                    LOG_UNUM("line", acl_plain_pattern_line(rules->acl)));
    }
    if (rules->passwords == NULL && acl_has_users(rules->acl)) {
        log_warning("rules for users are without effect", LOG_STR("file", options->acl_file),
                    LOG_STR("reason", "without access.password_file user names cannot be verified"));
    }
}

bool access_files_check(const struct access_files_options *options, struct access_files_fault *fault)
{
    struct rules *rules = rules_read(options, fault);
    rules_free(rules);
    return rules != NULL;
}

/* --- logins ---------------------------------------------------------------------------------------------------------------- */

static void login_free(struct login *login)
{
    password_file_unref(login->passwords);
    OPENSSL_cleanse(login->bytes, login->name.len + login->password.len);
    free(login);
}

static void answer(struct access_request *request, enum access_outcome outcome, uint8_t reason_code, const char *why)
{
    request->outcome = outcome;
    request->reason_code = reason_code;
    request->why = why;
    request->done(request);
}

static void refuse(struct access_request *request, uint8_t reason_code, const char *why)
{
    answer(request, ACCESS_REFUSED, reason_code, why);
}

static void grant(struct access_request *request)
{
    answer(request, ACCESS_GRANTED, REASON_SUCCESS, NULL);
}

/* One answer for a name that is not there, a password that is wrong and one that is missing. */
static void refuse_credentials(struct access_request *request)
{
    refuse(request, REASON_BAD_USER_NAME_OR_PASSWORD, "user name or password is wrong");
}

static void files_connect(struct access *access, struct access_request *request);

static void deliver(struct access_answer *delivered)
{
    struct login *login = TG_CONTAINER_OF(delivered, struct login, answer);
    struct access_files *files = login->files;
    struct access_request *request = login->request;
    if (request == NULL) {
        login_free(login);
        return;
    }
    const struct rules *rules = tg_rcu_dereference(files->rules);
    bool is_right = login->is_right, is_given_up = login->is_given_up;
    bool is_current = rules->generation == login->generation;
    if (is_right && is_current && login->has_key) {
        verified_cache_add(files->verified[login->port->index], login->generation, &login->key, login->port->now_ms);
    }
    request->state = NULL;
    login_free(login);
    if (is_given_up) {
        refuse(request, REASON_SERVER_SHUTTING_DOWN, "server is shutting down");
    } else if (!is_current) {
        files_connect(&files->access, request); /* the file has been read again since */
    } else if (is_right) {
        grant(request);
    } else {
        refuse_credentials(request);
    }
}

static void run_login(struct work *work, bool is_on)
{
    struct login *login = TG_CONTAINER_OF(work, struct login, work);
    login->is_given_up = !is_on;
    if (is_on && !atomic_load_explicit(&login->is_cancelled, memory_order_relaxed)) {
        login->is_right = password_file_check(login->passwords, login->name, login->password);
    }
    access_port_post(login->port, &login->answer);
}

static struct login *login_new(struct access_files *files, const struct rules *rules, struct access_request *request)
{
    struct login *login = calloc(1, sizeof(*login) + request->user_name.len + request->password.len);
    if (login == NULL) {
        return NULL;
    }
    memcpy(login->bytes, request->user_name.data, request->user_name.len);
    if (request->password.len > 0) {
        memcpy(login->bytes + request->user_name.len, request->password.data, request->password.len);
    }
    login->name = (struct bytes){login->bytes, request->user_name.len};
    login->password = (struct bytes){login->bytes + request->user_name.len, request->password.len};
    login->work.run = run_login;
    login->answer.deliver = deliver;
    login->files = files;
    login->request = request;
    login->port = request->port;
    login->passwords = password_file_ref(rules->passwords);
    login->generation = rules->generation;
    return login;
}

static void check_password(struct access_files *files, const struct rules *rules, struct access_request *request)
{
    TG_ASSERT(request->port->index < files->places);
    struct verified_cache *verified = files->verified[request->port->index];
    struct verified_key key;
    bool has_key = verified_cache_key(verified, request->user_name, request->password, &key);
    if (has_key && verified_cache_has(verified, rules->generation, &key, request->port->now_ms)) {
        grant(request);
        return;
    }
    struct login *login = login_new(files, rules, request);
    if (login == NULL) {
        refuse(request, REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    login->has_key = has_key;
    login->key = key;
    request->state = login;
    if (!work_pool_submit(files->pool, &login->work)) {
        request->state = NULL;
        login_free(login);
        refuse(request, REASON_SERVER_BUSY, "too many logins at the same time");
    }
}

static void files_connect(struct access *access, struct access_request *request)
{
    struct access_files *files = (struct access_files *)access;
    const struct rules *rules = tg_rcu_dereference(files->rules);
    if (request->method.data != NULL) {
        refuse(request, REASON_BAD_AUTHENTICATION_METHOD, "authentication method is not known here");
    } else if (request->user_name.data == NULL || rules->passwords == NULL) {
        request->user_name = (struct bytes){NULL, 0}; /* a name that is not verified is none */
        if (rules->anonymous) {
            grant(request);
        } else {
            refuse(request, REASON_NOT_AUTHORIZED, "anonymous access is off");
        }
    } else if (request->user_name.len == 0 || request->password.data == NULL) {
        refuse_credentials(request);
    } else {
        check_password(files, rules, request);
    }
}

static void files_cancel(struct access *access, struct access_request *request)
{
    struct login *login = request->state;
    (void)access;
    if (login != NULL) {
        request->state = NULL;
        login->request = NULL;
        atomic_store_explicit(&login->is_cancelled, true, memory_order_relaxed);
    }
}

/* --- rights ---------------------------------------------------------------------------------------------------------------- */

static const struct rules *rules_of(struct access *access)
{
    return tg_rcu_dereference(((struct access_files *)access)->rules);
}

static struct acl_client client_of(const struct access_identity *identity)
{
    return identity != NULL ? (struct acl_client){identity->client_id, identity->user_name} : (struct acl_client){0};
}

static bool files_may_publish(struct access *access, const struct access_identity *identity, struct bytes topic,
                              bool retain)
{
    const struct acl *acl = rules_of(access)->acl;
    const struct acl_client client = client_of(identity);
    (void)retain;
    return acl == NULL || acl_may_write(acl, &client, topic);
}

static bool files_may_read(struct access *access, const struct access_identity *identity, struct bytes topic)
{
    const struct acl *acl = rules_of(access)->acl;
    const struct acl_client client = client_of(identity);
    return acl == NULL || acl_may_read(acl, &client, topic);
}

static enum access_class files_classify(struct access *access, const struct access_identity *identity,
                                        struct bytes filter)
{
    const struct acl *acl = rules_of(access)->acl;
    const struct acl_client client = client_of(identity);
    return acl == NULL ? ACCESS_ALL : acl_classify(acl, &client, filter);
}

static bool files_is_welcome(struct access *access, const struct access_identity *identity)
{
    const struct rules *rules = rules_of(access);
    if (identity == NULL || identity->user_name.len == 0) {
        return rules->anonymous;
    }
    return rules->passwords != NULL && password_file_has(rules->passwords, identity->user_name);
}

static void files_forget(struct access *access, struct access_identity *identity)
{
    (void)access; /* identities hold nothing of ours */
    (void)identity;
}

/* --- birth, change, death -------------------------------------------------------------------------------------------------- */

static void files_stop(struct access *access)
{
    work_pool_stop(((struct access_files *)access)->pool);
}

static void files_free(struct access *access)
{
    struct access_files *files = (struct access_files *)access;
    work_pool_free(files->pool);
    rules_free(atomic_load(&files->rules));
    for (unsigned i = 0; i < files->places; i++) {
        verified_cache_free(files->verified[i]);
    }
    free(files);
}

static const struct access_provider files_provider = {
    .name = "files",
    .connect = files_connect,
    .cancel = files_cancel,
    .may_publish = files_may_publish,
    .classify = files_classify,
    .may_read = files_may_read,
    .is_welcome = files_is_welcome,
    .forget = files_forget,
    .stop = files_stop,
    .free = files_free,
};

/* @return false without memory; then FILES can be freed */
static bool files_init(struct access_files *files, unsigned places)
{
    for (; files->places < places; files->places++) {
        files->verified[files->places] = verified_cache_new();
        if (files->verified[files->places] == NULL) {
            return false;
        }
    }
    files->pool = work_pool_new(POOL_THREADS, POOL_QUEUE_MAX);
    return files->pool != NULL;
}

struct access *access_files_new(const struct access_files_options *options, unsigned places,
                                struct access_files_fault *fault)
{
    struct rules *rules = rules_read(options, fault);
    if (rules == NULL) {
        return NULL;
    }
    struct access_files *files = calloc(1, sizeof(*files) + places * sizeof(files->verified[0]));
    if (files == NULL) {
        rules_free(rules);
    } else {
        files->access.provider = &files_provider;
        atomic_init(&files->rules, rules);
        if (files_init(files, places)) {
            log_read(rules, options);
            return &files->access;
        }
        files_free(&files->access);
    }
    fault->file = NULL;
    rule_fault_set(&fault->fault, 0, "no memory for the checking of passwords");
    return NULL;
}

bool access_files_reload(struct access *access, const struct access_files_options *options,
                         struct access_files_fault *fault)
{
    struct access_files *files = (struct access_files *)access;
    struct rules *rules = rules_read(options, fault);
    if (rules == NULL) {
        return false;
    }
    struct rules *old = atomic_load_explicit(&files->rules, memory_order_relaxed);
    rules->generation = old->generation + 1;
    log_read(rules, options);
    tg_rcu_assign(files->rules, rules);
    atomic_store_explicit(&access->generation, rules->generation, memory_order_release);
    tg_rcu_call(&old->rcu, rules_free_later);
    return true;
}
