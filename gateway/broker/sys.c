/*
 * Three tables: plain numbers, each a row of (topic, member); the rates whose averages are published, each a row of (topic,
 * counter); and the spans of those averages. Beside each topic stands what was last published, as an integer: the number
 * itself, or hundredths. So "changed" means "reads differently".
 */
#include "gateway/broker/sys.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PREFIX          "$SYS/broker/"
#define TEXT_BYTES_MAX  64u
#define NOT_PUBLISHED   UINT64_MAX
#define MS_PER_MINUTE   60000.0
#define MS_PER_S        1000u

/* What the rows refer to: the values of this update, and what follows from them. */
struct numbers {
    struct sys_values now;
    uint64_t clients_total;
    uint64_t clients_maximum;
    uint64_t heap_maximum;
};

struct number_row {
    const char *topic;
    size_t offset; /* of a uint64_t in struct numbers */
};

#define NOW(member) offsetof(struct numbers, now.member)

static const struct number_row number_rows[] = {
    {"clients/total", offsetof(struct numbers, clients_total)},
    {"clients/maximum", offsetof(struct numbers, clients_maximum)},
    {"clients/connected", NOW(clients_connected)},
    {"clients/active", NOW(clients_connected)}, /* old name */
    {"clients/disconnected", NOW(clients_disconnected)},
    {"clients/inactive", NOW(clients_disconnected)}, /* old name */
    {"clients/expired", NOW(clients_expired)},
    {"messages/received", NOW(packets_received)},
    {"messages/sent", NOW(packets_sent)},
    {"messages/stored", NOW(stored_messages)}, /* old name */
    {"store/messages/count", NOW(stored_messages)},
    {"store/messages/bytes", NOW(stored_bytes)},
    {"retained messages/count", NOW(retained_messages)},
    {"subscriptions/count", NOW(subscriptions)},
    {"shared_subscriptions/count", NOW(shared_subscriptions)},
    {"publish/messages/received", NOW(publish_received)},
    {"publish/messages/sent", NOW(publish_sent)},
    {"publish/messages/dropped", NOW(publish_dropped)},
    {"publish/bytes/received", NOW(publish_bytes_received)},
    {"publish/bytes/sent", NOW(publish_bytes_sent)},
    {"bytes/received", NOW(bytes_received)},
    {"bytes/sent", NOW(bytes_sent)},
    {"heap/current", NOW(heap_bytes)},
    {"heap/maximum", offsetof(struct numbers, heap_maximum)},
};

static const struct number_row load_rows[] = {
    {"load/messages/received", NOW(packets_received)},
    {"load/messages/sent", NOW(packets_sent)},
    {"load/publish/received", NOW(publish_received)},
    {"load/publish/sent", NOW(publish_sent)},
    {"load/publish/dropped", NOW(publish_dropped)},
    {"load/bytes/received", NOW(bytes_received)},
    {"load/bytes/sent", NOW(bytes_sent)},
    {"load/sockets", NOW(sockets_opened)},
    {"load/connections", NOW(connects_received)},
};

static const struct {
    const char *name;
    double minutes;
} spans[] = {{"1min", 1.0}, {"5min", 5.0}, {"15min", 15.0}};

struct load {
    uint64_t counted;                    /* the counter at the last update */
    double average[COUNT_OF(spans)];     /* per minute */
    uint64_t published[COUNT_OF(spans)]; /* in hundredths, or NOT_PUBLISHED */
};

struct sys { /* owner: one thread */
    struct numbers numbers;
    uint64_t updated_ms;                       /* uptime at the last update */
    uint64_t published[COUNT_OF(number_rows)]; /* or NOT_PUBLISHED */
    uint64_t uptime_published_s;
    struct load loads[COUNT_OF(load_rows)];
    bool version_is_published;
    char version[TEXT_BYTES_MAX]; /* the payload */
};

/* Where an update publishes to. */
struct outlet {
    sys_publish_fn publish;
    void *arg;
};

struct sys *sys_new(const char *version)
{
    struct sys *sys = calloc(1, sizeof(*sys));
    if (sys == NULL) {
        return NULL;
    }
    snprintf(sys->version, sizeof(sys->version), "tidegate version %s", version);
    sys->uptime_published_s = NOT_PUBLISHED;
    for (size_t i = 0; i < COUNT_OF(number_rows); i++) {
        sys->published[i] = NOT_PUBLISHED;
    }
    for (size_t i = 0; i < COUNT_OF(load_rows); i++) {
        for (size_t span = 0; span < COUNT_OF(spans); span++) {
            sys->loads[i].published[span] = NOT_PUBLISHED;
        }
    }
    return sys;
}

void sys_free(struct sys *sys)
{
    free(sys);
}

static uint64_t number_at(const struct numbers *numbers, size_t offset)
{
    uint64_t number;
    memcpy(&number, (const char *)numbers + offset, sizeof(number));
    return number;
}

static bool publish_text(const struct outlet *outlet, const char *topic, const char *payload)
{
    return outlet->publish(outlet->arg, bytes_from_string(topic), bytes_from_string(payload));
}

static void publish_numbers(struct sys *sys, const struct outlet *outlet)
{
    for (size_t i = 0; i < COUNT_OF(number_rows); i++) {
        uint64_t number = number_at(&sys->numbers, number_rows[i].offset);
        if (number == sys->published[i]) {
            continue;
        }
        char topic[TEXT_BYTES_MAX];
        char payload[TEXT_BYTES_MAX];
        snprintf(topic, sizeof(topic), PREFIX "%s", number_rows[i].topic);
        snprintf(payload, sizeof(payload), "%" PRIu64, number);
        sys->published[i] = publish_text(outlet, topic, payload) ? number : NOT_PUBLISHED;
    }
}

/* Take the time since the last update into LOAD's averages; COUNTER is where its counter stands now. */
static void load_advance(struct load *load, uint64_t counter, uint64_t elapsed_ms)
{
    if (elapsed_ms == 0) {
        return; /* what came in no time counts in the next update */
    }
    double minutes = (double)elapsed_ms / MS_PER_MINUTE;
    double rate = (double)(counter - load->counted) / minutes;
    for (size_t span = 0; span < COUNT_OF(spans); span++) {
        load->average[span] = rate + exp(-minutes / spans[span].minutes) * (load->average[span] - rate);
    }
    load->counted = counter;
}

static void publish_loads(struct sys *sys, const struct outlet *outlet)
{
    for (size_t i = 0; i < COUNT_OF(load_rows); i++) {
        struct load *load = &sys->loads[i];
        for (size_t span = 0; span < COUNT_OF(spans); span++) {
            uint64_t hundredths = (uint64_t)llround(load->average[span] * 100);
            if (hundredths == load->published[span]) {
                continue;
            }
            char topic[TEXT_BYTES_MAX];
            char payload[TEXT_BYTES_MAX];
            snprintf(topic, sizeof(topic), PREFIX "%s/%s", load_rows[i].topic, spans[span].name);
            snprintf(payload, sizeof(payload), "%" PRIu64 ".%02" PRIu64, hundredths / 100, hundredths % 100);
            load->published[span] = publish_text(outlet, topic, payload) ? hundredths : NOT_PUBLISHED;
        }
    }
}

static void publish_uptime(struct sys *sys, const struct outlet *outlet)
{
    uint64_t uptime_s = sys->numbers.now.uptime_ms / MS_PER_S;
    if (uptime_s == sys->uptime_published_s) {
        return;
    }
    char payload[TEXT_BYTES_MAX];
    snprintf(payload, sizeof(payload), "%" PRIu64 " seconds", uptime_s);
    sys->uptime_published_s = publish_text(outlet, PREFIX "uptime", payload) ? uptime_s : NOT_PUBLISHED;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void sys_update(struct sys *sys, const struct sys_values *values, sys_publish_fn publish, void *arg)
{
    const struct outlet outlet = {publish, arg};
    struct numbers *numbers = &sys->numbers;
    numbers->now = *values;
    numbers->clients_total = values->clients_connected + values->clients_disconnected;
    numbers->clients_maximum = larger(numbers->clients_maximum, values->clients_connected);
    numbers->heap_maximum = larger(numbers->heap_maximum, values->heap_bytes);
    for (size_t i = 0; i < COUNT_OF(load_rows); i++) {
        load_advance(&sys->loads[i], number_at(numbers, load_rows[i].offset), values->uptime_ms - sys->updated_ms);
    }
    sys->updated_ms = values->uptime_ms;

    if (!sys->version_is_published) {
        sys->version_is_published = publish_text(&outlet, PREFIX "version", sys->version);
    }
    publish_uptime(sys, &outlet);
    publish_numbers(sys, &outlet);
    publish_loads(sys, &outlet);
}
