/* Ports: what a thread submits is collected in a list, which the engine gets once a turn. */
#include "gateway/store/store.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/assert.h"
#include "gateway/store/record_engine.h"

#define FINISHES_MAX 56u /* less than 1 KiB of them: malloc() tidies up all that was freed before it gives more */

struct store_port { /* owner: its thread */
    struct store *store;
    uint32_t domain;
    uint64_t number; /* of the last operation */
    struct store_operation *first;
    struct store_operation **end;
    struct store_operation *finishes; /* the last of the list, if it takes more; NULL: none */
};

struct finishes {
    struct store_operation operation;
    struct store_finish items[FINISHES_MAX];
};

/* --- what operations are made of ------------------------------------------------------------------------------------------------ */

struct store_write *store_write_new(enum store_table table, const uint8_t *key, size_t key_len, size_t value_len)
{
    TG_ASSERT(key_len <= STORE_KEY_BYTES);
    struct store_write *write = malloc(sizeof(*write) + value_len);
    if (write == NULL) {
        return NULL;
    }
    *write =
        (struct store_write){.table = (uint8_t)table, .key_len = (uint8_t)key_len, .value_len = (uint32_t)value_len};
    memcpy(write->key, key, key_len);
    return write;
}

void store_writes_free(struct store_write *writes)
{
    while (writes != NULL) {
        struct store_write *write = writes;
        writes = write->next;
        free(write);
    }
}

void store_operation_free(struct store_operation *operation)
{
    if (operation->kind == STORE_RECORD) {
        struct store_record *record = operation->record;
        store_record_drop_pending(record); /* OPERATION is part of it */
        store_record_unref(record);
        return;
    }
    store_writes_free(operation->writes);
    for (uint32_t i = 0; i < operation->finish_count; i++) {
        store_record_unref(operation->finishes[i].record);
    }
    free(operation);
}

/* --- tickets -------------------------------------------------------------------------------------------------------------------- */

bool store_is_done(const struct store *store, const struct store_ticket *ticket)
{
    if (ticket->record != NULL) {
        return store_record_is_done(ticket->record);
    }
    return ticket->number == 0 ||
           ticket->number <= atomic_load_explicit(&store->done[ticket->domain], memory_order_acquire);
}

bool store_ticket_is_incomplete(const struct store_ticket *ticket)
{
    return ticket->record != NULL && store_record_is_incomplete(ticket->record);
}

void store_ticket_release(struct store_ticket *ticket)
{
    store_record_unref(ticket->record);
    *ticket = STORE_TICKET_DONE;
}

/* --- ports ---------------------------------------------------------------------------------------------------------------------- */

struct store_port *store_port_new(struct store *store, uint32_t domain)
{
    TG_ASSERT(domain < STORE_DOMAINS_MAX);
    struct store_port *port = store->is_durable ? calloc(1, sizeof(*port)) : NULL;
    if (port != NULL) {
        port->store = store;
        port->domain = domain;
        port->end = &port->first;
    }
    return port;
}

void store_port_free(struct store_port *port)
{
    if (port != NULL) {
        store_port_flush(port);
        free(port);
    }
}

static void append(struct store_port *port, struct store_operation *operation)
{
    operation->next = NULL;
    operation->domain = port->domain;
    operation->number = ++port->number;
    *port->end = operation;
    port->end = &operation->next;
    port->finishes = NULL;
}

bool store_port_write(struct store_port *port, struct store_write *writes, struct store_ticket *out)
{
    struct store_operation *operation = calloc(1, sizeof(*operation));
    if (operation == NULL) {
        store_writes_free(writes);
        return false;
    }
    operation->kind = STORE_WRITES;
    operation->writes = writes;
    append(port, operation);
    *out = (struct store_ticket){.number = operation->number, .domain = port->domain};
    return true;
}

struct store_ticket store_port_end_session(struct store_port *port, uint64_t session)
{
    struct store_operation *operation = calloc(1, sizeof(*operation));
    if (operation == NULL) {
        return STORE_TICKET_DONE;
    }
    operation->kind = STORE_SESSION_END;
    operation->session = session;
    append(port, operation);
    return (struct store_ticket){.number = operation->number, .domain = port->domain};
}

void store_port_finish(struct store_port *port, struct store_record *record, uint32_t number)
{
    struct store_operation *operation = port->finishes;
    if (operation == NULL || operation->finish_count == FINISHES_MAX) {
        struct finishes *fresh = malloc(sizeof(*fresh));
        if (fresh == NULL) {
            store_record_unref(record); /* it comes again after a restart */
            return;
        }
        fresh->operation = (struct store_operation){.kind = STORE_FINISHES, .finishes = fresh->items};
        operation = &fresh->operation;
        append(port, operation);
        port->finishes = operation;
    }
    operation->finishes[operation->finish_count++] = (struct store_finish){record, number};
}

void store_port_close(struct store_port *port, struct store_record *record)
{
    if (atomic_fetch_sub_explicit(&record->pending->open, 1, memory_order_acq_rel) == 1) {
        struct store_operation *operation = &record->pending->operation;
        operation->record = store_record_ref(record);
        append(port, operation);
    }
}

void store_port_flush(struct store_port *port)
{
    struct store_operation *list = port->first;
    if (list == NULL) {
        return;
    }
    port->first = NULL;
    port->end = &port->first;
    port->finishes = NULL;
    port->store->engine->submit(port->store, list);
}
