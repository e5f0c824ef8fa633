#include "gateway/access/access_open.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "protocol/reason.h"

struct access_open {
    struct access access;
    _Atomic bool anonymous;
};

static void open_connect(struct access *access, struct access_request *request)
{
    struct access_open *open = (struct access_open *)access;
    if (request->method.data != NULL) {
        request->outcome = ACCESS_REFUSED;
        request->reason_code = REASON_BAD_AUTHENTICATION_METHOD;
        request->why = "authentication method is not known here";
    } else if (!atomic_load_explicit(&open->anonymous, memory_order_relaxed)) {
        request->outcome = ACCESS_REFUSED;
        request->reason_code = REASON_NOT_AUTHORIZED;
        request->why = "anonymous access is off";
    } else {
        request->outcome = ACCESS_GRANTED;
    }
    request->done(request);
}

static void open_cancel(struct access *access, struct access_request *request)
{
    (void)access;
    (void)request;
}

static bool open_may_publish(struct access *access, const struct access_identity *identity, struct bytes topic,
                             bool retain)
{
    (void)access;
    (void)identity;
    (void)topic;
    (void)retain;
    return true;
}

static enum access_class open_classify(struct access *access, const struct access_identity *identity,
                                       struct bytes filter)
{
    (void)access;
    (void)identity;
    (void)filter;
    return ACCESS_ALL;
}

static bool open_may_read(struct access *access, const struct access_identity *identity, struct bytes topic)
{
    return open_may_publish(access, identity, topic, false);
}

static void open_forget(struct access *access, struct access_identity *identity)
{
    (void)access;
    (void)identity;
}

static void open_free(struct access *access)
{
    free(access);
}

static const struct access_provider open_provider = {
    .name = "open",
    .connect = open_connect,
    .cancel = open_cancel,
    .may_publish = open_may_publish,
    .classify = open_classify,
    .may_read = open_may_read,
    .forget = open_forget,
    .free = open_free,
};

struct access *access_open_new(bool anonymous)
{
    struct access_open *open = calloc(1, sizeof(*open));
    if (open == NULL) {
        return NULL;
    }
    open->access.provider = &open_provider;
    open->access.allows_all = true;
    atomic_init(&open->anonymous, anonymous);
    return &open->access;
}

void access_open_set_anonymous(struct access *access, bool anonymous)
{
    atomic_store_explicit(&((struct access_open *)access)->anonymous, anonymous, memory_order_relaxed);
}
