#include "gateway/access/access_port.h"

#include <stddef.h>

void access_port_init(struct access_port *port, unsigned index, void (*wake)(void *arg, unsigned index), void *wake_arg)
{
    atomic_init(&port->newest, NULL);
    port->wake = wake;
    port->wake_arg = wake_arg;
    port->index = index;
    port->now_ms = 0;
}

void access_port_post(struct access_port *port, struct access_answer *answer)
{
    struct access_answer *newest = atomic_load_explicit(&port->newest, memory_order_relaxed);
    do {
        answer->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&port->newest, &newest, answer, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (newest == NULL) {
        port->wake(port->wake_arg, port->index);
    }
}

void access_port_run(struct access_port *port)
{
    if (atomic_load_explicit(&port->newest, memory_order_relaxed) == NULL) {
        return;
    }
    struct access_answer *answer = atomic_exchange_explicit(&port->newest, NULL, memory_order_acq_rel);
    struct access_answer *oldest = NULL;
    while (answer != NULL) {
        struct access_answer *next = answer->next;
        answer->next = oldest;
        oldest = answer;
        answer = next;
    }
    while (oldest != NULL) {
        struct access_answer *next = oldest->next;
        oldest->deliver(oldest);
        oldest = next;
    }
}
