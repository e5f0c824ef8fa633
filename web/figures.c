#include "web/figures.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "gateway/broker/broker.h"

#define STAT(member)  offsetof(struct figures, stats.member)
#define STORE(member) offsetof(struct figures, store.member)
#define COUNTER(help) help, true
#define GAUGE(help)   help, false

/* clang-format off */
const struct figure figure_rows[] = {
    {"connections", GAUGE("Clients connected, by what carries them."), {"transport"}, {"tcp"},
     STAT(clients_by_transport[TRANSPORT_TCP])},
    {"connections", GAUGE(NULL), {"transport"}, {"unix"}, STAT(clients_by_transport[TRANSPORT_UNIX])},
    {"connections", GAUGE(NULL), {"transport"}, {"websocket"}, STAT(clients_by_transport[TRANSPORT_WEBSOCKET])},
    {"connections", GAUGE(NULL), {"transport"}, {"http"}, STAT(clients_by_transport[TRANSPORT_LOCAL])},

    {"connections_opened_total", COUNTER("Connections that were opened for MQTT or an event stream."), {0}, {0},
     STAT(connections_opened)},
    {"connects_total", COUNTER("Answers to CONNECT."), {"result"}, {"accepted"}, STAT(connects_accepted)},
    {"connects_total", COUNTER(NULL), {"result"}, {"refused"}, STAT(connects_refused)},
    {"takeovers_total", COUNTER("Connections ended because the client connected anew."), {0}, {0}, STAT(takeovers)},
    {"handovers_total", COUNTER("Sessions that moved to the worker of their new connection."), {0}, {0},
     STAT(handovers)},

    {"sessions", GAUGE("Sessions, with a connection or without."), {0}, {0}, STAT(sessions)},
    {"event_sessions", GAUGE("Sessions of event streams without a client id, which events.sessions bounds."), {0}, {0},
     STAT(stream_sessions)},
    {"sessions_refused_total", COUNTER("Sessions that were not begun, for there were limits.sessions or events.sessions."), {0}, {0},
     STAT(sessions_refused)},
    {"sessions_expired_total", COUNTER("Sessions that ended because nobody came back in time."), {0}, {0},
     STAT(sessions_expired)},
    {"subscriptions", GAUGE("Subscriptions, shared ones included."), {0}, {0}, STAT(subscriptions)},
    {"shared_subscriptions", GAUGE("Shared subscriptions."), {0}, {0}, STAT(shared_subscriptions)},

    {"packets_total", COUNTER("MQTT control packets."), {"direction"}, {"received"}, STAT(packets_received)},
    {"packets_total", COUNTER(NULL), {"direction"}, {"sent"}, STAT(packets_sent)},
    {"bytes_total", COUNTER("Bytes of MQTT."), {"direction"}, {"received"}, STAT(bytes_received)},
    {"bytes_total", COUNTER(NULL), {"direction"}, {"sent"}, STAT(bytes_sent)},

    {"messages_total", COUNTER("Messages published to the gateway, and sent by it."), {"direction", "qos"},
     {"received", "0"}, STAT(publish_received[0])},
    {"messages_total", COUNTER(NULL), {"direction", "qos"}, {"received", "1"}, STAT(publish_received[1])},
    {"messages_total", COUNTER(NULL), {"direction", "qos"}, {"received", "2"}, STAT(publish_received[2])},
    {"messages_total", COUNTER(NULL), {"direction", "qos"}, {"sent", "0"}, STAT(publish_sent[0])},
    {"messages_total", COUNTER(NULL), {"direction", "qos"}, {"sent", "1"}, STAT(publish_sent[1])},
    {"messages_total", COUNTER(NULL), {"direction", "qos"}, {"sent", "2"}, STAT(publish_sent[2])},
    {"payload_bytes_total", COUNTER("Bytes of those messages' payloads."), {"direction", "qos"}, {"received", "0"},
     STAT(publish_bytes_received[0])},
    {"payload_bytes_total", COUNTER(NULL), {"direction", "qos"}, {"received", "1"}, STAT(publish_bytes_received[1])},
    {"payload_bytes_total", COUNTER(NULL), {"direction", "qos"}, {"received", "2"}, STAT(publish_bytes_received[2])},
    {"payload_bytes_total", COUNTER(NULL), {"direction", "qos"}, {"sent", "0"}, STAT(publish_bytes_sent[0])},
    {"payload_bytes_total", COUNTER(NULL), {"direction", "qos"}, {"sent", "1"}, STAT(publish_bytes_sent[1])},
    {"payload_bytes_total", COUNTER(NULL), {"direction", "qos"}, {"sent", "2"}, STAT(publish_bytes_sent[2])},
    {"wills_published_total", COUNTER("Wills of clients that went away."), {0}, {0}, STAT(wills_published)},

    {"messages_dropped_total", COUNTER("Messages that a receiver did not get."), {"cause"}, {"output_full"},
     STAT(dropped_output_full)},
    {"messages_dropped_total", COUNTER(NULL), {"cause"}, {"queue_full"}, STAT(dropped_queue_full)},
    {"messages_dropped_total", COUNTER(NULL), {"cause"}, {"expired"}, STAT(dropped_expired)},
    {"messages_dropped_total", COUNTER(NULL), {"cause"}, {"too_large"}, STAT(dropped_too_large)},
    {"messages_dropped_total", COUNTER(NULL), {"cause"}, {"denied"}, STAT(dropped_denied)},
    {"messages_dropped_total", COUNTER(NULL), {"cause"}, {"no_memory"}, STAT(dropped_no_memory)},
    {"messages_dropped_total", COUNTER(NULL), {"cause"}, {"damaged"}, STAT(dropped_damaged)},
    {"messages_dropped_total", COUNTER(NULL), {"cause"}, {"no_member"}, STAT(dropped_no_member)},

    {"queued_messages", GAUGE("Messages that wait in sessions."), {0}, {0}, STAT(queued_messages)},
    {"queued_bytes", GAUGE("Bytes of those messages."), {0}, {0}, STAT(queued_bytes)},
    {"parked_acknowledgements", GAUGE("Acknowledgements that wait until their message is stored."), {0}, {0},
     STAT(parked_acknowledgements)},
    {"partial_packet_bytes", GAUGE("Bytes kept for packets of which a part has come."), {0}, {0}, STAT(input_bytes)},
    {"retained_messages", GAUGE("Topics with a retained message."), {0}, {0},
     offsetof(struct figures, retained_messages)},
    {"retained_bytes", GAUGE("Bytes of the retained messages."), {0}, {0}, offsetof(struct figures, retained_bytes)},
    {"memory_bytes", GAUGE("Bytes of what limits.memory_bytes bounds: queues, partial packets, sessions, subscriptions, retained messages."),
     {0}, {0}, offsetof(struct figures, memory_bytes)},

    {"store_commits_total", COUNTER("Transactions of the store that are on disk."), {0}, {0}, STORE(commits)},
    {"store_operations_total", COUNTER("What was submitted to the store and is done; for each commit: the batch size."), {0},
     {0}, STORE(operations)},
    {"store_cancelled_messages_total", COUNTER("Messages that all receivers had before they had to be written."), {0}, {0},
     STORE(cancelled)},
    {"store_fetched_messages_total", COUNTER("Messages read back from the store, for queues."), {0}, {0}, STORE(fetched)},
    {"store_damaged_entries_total", COUNTER("Entries of the store that made no sense and were put aside."), {0}, {0},
     STORE(damaged)},
    {"store_written_bytes_total", COUNTER("Bytes of keys and values given to the store."), {0}, {0}, STORE(bytes_written)},
    {"store_messages", GAUGE("Messages in the store."), {0}, {0}, STORE(messages)},
    {"store_used_bytes", GAUGE("Bytes of the store's file that are in use."), {0}, {0}, STORE(used_bytes)},
    {"store_limit_bytes", GAUGE("Bytes that the store's file may have; 0: nothing is on disk."), {0}, {0}, STORE(limit_bytes)},
    {"store_free_bytes", GAUGE("Bytes that are left of them; with less than a tenth what would be kept is refused."), {0}, {0},
     offsetof(struct figures, store_free_bytes)},
    {"store_waiting_bytes", GAUGE("Bytes submitted to the store that are not on disk yet."), {0}, {0}, STORE(waiting_bytes)},
};
/* clang-format on */

const size_t figure_count = sizeof figure_rows / sizeof figure_rows[0];

void figures_read(const struct broker *broker, struct store *store, struct figures *out)
{
    *out = (struct figures){0};
    if (store != NULL) {
        store->engine->figures(store, &out->store);
    }
    if (out->store.limit_bytes > out->store.used_bytes) {
        out->store_free_bytes = out->store.limit_bytes - out->store.used_bytes;
    }
    size_t retained_bytes;
    broker_sum_stats(broker, &out->stats);
    out->retained_messages = broker_retained(broker, &retained_bytes);
    out->retained_bytes = retained_bytes;
    out->memory_bytes = broker_memory(broker);
}

uint64_t figure_value(const struct figures *figures, const struct figure *row)
{
    uint64_t value;
    memcpy(&value, (const char *)figures + row->offset, sizeof value);
    return value;
}

bool figure_begins_family(size_t index)
{
    return index == 0 || strcmp(figure_rows[index - 1].family, figure_rows[index].family) != 0;
}

/* --- the process ------------------------------------------------------------------------------------------------- */

static void read_memory(struct process_figures *out)
{
    char text[128] = "";
    char *rest;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1; /* the kernel makes it, nothing waits for a disk */
    if (fd >= 0) {
        close(fd);
    }
    if (len > 0) { /* two numbers of pages, and more */
        uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
        out->virtual_bytes = strtoull(text, &rest, 10) * page_bytes;
        out->resident_bytes = strtoull(rest, NULL, 10) * page_bytes;
    }
}

void process_figures_read(struct process_figures *out)
{
    struct timespec cpu;
    struct rlimit limit;
    *out = (struct process_figures){0};
    read_memory(out);
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
        out->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out->descriptors_max = limit.rlim_cur;
    }
}
