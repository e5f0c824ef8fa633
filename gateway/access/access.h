/**
 * The access interface: who may connect, publish and subscribe.
 *
 * The broker asks; what answers is one of several providers: access_open, which lets everybody do everything, or nobody in; access_files,
 * which follows a password file and an ACL file. CONNECT and AUTH are asked asynchronously, because a password hash or a callback
 * takes time; everything in the hot path is answered at once and may be cached for as long as the generation stands.
 */
#ifndef GATEWAY_ACCESS_ACCESS_H
#define GATEWAY_ACCESS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct access;
struct access_port;

/** Who a connection is, once it is let in. */
struct access_identity { /* owner: the connection's place */
    struct bytes client_id;
    struct bytes user_name; /* empty: anonymous */
    void *rules;            /* the provider's own; freed by forget() */
};

enum access_outcome {
    ACCESS_GRANTED,
    ACCESS_REFUSED,  /* reason_code and why are set */
    ACCESS_CONTINUE, /* enhanced authentication: send method_data to the client in an AUTH and wait for its answer */
};

/**
 * One CONNECT, or one step of an enhanced authentication, that waits for an answer. Embedded in its owner.
 * The provider calls done() exactly once per ask, on the asking thread, perhaps before the ask returns; after cancel() not any more.
 */
struct access_request {
    struct bytes client_id;
    struct bytes user_name;   /* data NULL: none given. When granted: whose identity it is; the provider may clear it */
    struct bytes password;    /* data NULL: none given */
    struct bytes method;      /* authentication method; data NULL: none */
    struct bytes data;        /* authentication data of the client, data NULL: none */
    const char *peer;         /* address as text; borrowed for the call */
    struct access_port *port; /* of the asking thread: where an answer that takes time comes back */
    bool re_authenticate;     /* an established connection starts over */
    void *state;              /* the provider's own between steps; NULL at first */

    enum access_outcome outcome;
    uint8_t reason_code;      /* when refused: >= 0x80 */
    const char *why;          /* when refused: static text for the log */
    struct bytes method_data; /* to send to the client with CONTINUE or GRANTED; valid during done() */
    void *rules;              /* when granted: becomes the identity's */
    void (*done)(struct access_request *request);
};

/** How much of what a filter matches may be read. */
enum access_class {
    ACCESS_ALL,  /* everything: no check per message */
    ACCESS_SOME, /* each message is checked with may_read() */
    ACCESS_NONE, /* nothing: the subscription is refused with 0x87 */
};

struct access_provider {
    const char *name;
    void (*connect)(struct access *access, struct access_request *request);
    /** The request's owner is gone; its state is to be dropped. */
    void (*cancel)(struct access *access, struct access_request *request);
    bool (*may_publish)(struct access *access, const struct access_identity *identity, struct bytes topic, bool retain);
    enum access_class (*classify)(struct access *access, const struct access_identity *identity, struct bytes filter);
    bool (*may_read)(struct access *access, const struct access_identity *identity, struct bytes topic);
    /**
     * May who was let in as IDENTITY (NULL: anonymous) stay, by the rules of now? Asked when the generation has risen. NULL: always.
     */
    bool (*is_welcome)(struct access *access, const struct access_identity *identity);
    /** Free identity->rules. */
    void (*forget)(struct access *access, struct access_identity *identity);
    /** Answer all requests that are under way, and use their ports no more once this returns. NULL: there never are any. */
    void (*stop)(struct access *access);
    void (*free)(struct access *access);
};

struct access {
    const struct access_provider *provider;
    _Atomic uint64_t generation; /* verdicts may be cached while it stands */
    bool allows_all;             /* may_publish and classify would always say yes: need not be asked. Immutable. */
};

/** Use no port any more; to be called before those who own ports end. ACCESS may be NULL. */
static inline void access_stop(struct access *access)
{
    if (access != NULL && access->provider->stop != NULL) {
        access->provider->stop(access);
    }
}

static inline void access_free(struct access *access)
{
    if (access != NULL) {
        access->provider->free(access);
    }
}

#endif
