/**
 * Where answers of a provider that come later reach the thread that asked: a stack that any thread pushes on and its owner takes whole.
 * Each place has one, and runs it at the beginning of a turn.
 */
#ifndef GATEWAY_ACCESS_ACCESS_PORT_H
#define GATEWAY_ACCESS_ACCESS_PORT_H

#include <stdatomic.h>
#include <stdint.h>

/** An answer on its way; embedded in its owner. */
struct access_answer {
    struct access_answer *next;
    /** Called by the port's thread. ANSWER is its receiver's again. */
    void (*deliver)(struct access_answer *answer);
};

struct access_port {
    _Atomic(struct access_answer *) newest;  /* any thread */
    void (*wake)(void *arg, unsigned index); /* makes the owner run the port soon; any thread */
    void *wake_arg;
    unsigned index;  /* of the place: below the number of places that the provider was told of */
    uint64_t now_ms; /* monotonic, of this turn; its thread sets it */
};

/** Set up PORT. */
void access_port_init(struct access_port *port, unsigned index, void (*wake)(void *arg, unsigned index),
                      void *wake_arg);

/** Have ANSWER delivered. Any thread, as long as PORT's owner lives. */
void access_port_post(struct access_port *port, struct access_answer *answer);

/** Deliver what has come, oldest first. The port's thread. */
void access_port_run(struct access_port *port);

#endif
