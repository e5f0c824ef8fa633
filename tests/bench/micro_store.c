/**
 * What the durable engine costs by itself: CPU of the persistence thread for each message put for an offline session, and deleted later, and the
 * time to read a store back.
 *
 *     micro_store FOLDER [MESSAGES [WAITING]]    default 1000000 of each kind, 4096 submitted and not yet durable
 *
 * FOLDER must be empty or absent; it tells for which file system the figures hold. Messages have 256 bytes of payload, QoS 1.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "gateway/store/lmdb_engine.h"
#include "gateway/store/message.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;

static void on_progress(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&moved);
    pthread_mutex_unlock(&lock);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "micro_store: %s\n", why);
    exit(1);
}

struct bench {
    struct store *store;
    struct store_port *port;
    struct store_record **records;
    uint32_t count;
    uint32_t waiting;
    uint32_t found;
};

static struct message *make_message(uint32_t number, bool retain)
{
    char topic[32];
    int topic_len = snprintf(topic, sizeof(topic), "plant/line-7/machine/%07u", number);
    struct message *message = message_new((size_t)topic_len, 0, 256);
    if (message == NULL) {
        give_up("out of memory");
    }
    memcpy(message->bytes, topic, (size_t)topic_len);
    memset(message->bytes + topic_len, (int)number, 256);
    message->qos = 1;
    message->retain = retain;
    message->version = retain ? number + 1 : 0;
    return message;
}

static void put(struct bench *bench, uint32_t number, bool retain)
{
    struct message *message = make_message(number, retain);
    struct store_record *record = store_record_new(message, 1, STORE_NEVER_EXPIRES, retain);
    struct store_recipient recipient = {.session = 1 + number % 1000, .seq = number / 1000 + 1, .qos = 1};
    uint32_t ordinal;
    if (record == NULL || (!retain && !store_record_add(record, 0, &recipient, &ordinal))) {
        give_up("out of memory");
    }
    message_unref(message);
    store_port_close(bench->port, record);
    bench->records[number] = record;
}

/* Wait until the record that many before NUMBER is done. */
static void hold_back(struct bench *bench, uint32_t number)
{
    if (number < bench->waiting) {
        return;
    }
    pthread_mutex_lock(&lock);
    while (!store_record_is_done(bench->records[number - bench->waiting])) {
        pthread_cond_wait(&moved, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static double writer_cpu(struct bench *bench)
{
    clockid_t clock;
    pthread_getcpuclockid(lmdb_of(bench->store)->writer, &clock);
    return seconds(clock);
}

static uint64_t blocks_written(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_oublock * 512;
}

static void measure_puts(struct bench *bench, bool retain)
{
    struct store_figures before;
    struct store_figures after;
    bench->store->engine->figures(bench->store, &before);
    uint64_t blocks = blocks_written();
    double cpu = writer_cpu(bench);
    double begun = seconds(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < bench->count; i++) {
        put(bench, i, retain);
        if (i % 64 == 63) {
            store_port_flush(bench->port);
            hold_back(bench, i);
        }
    }
    store_port_flush(bench->port);
    bench->store->engine->settle(bench->store);
    double ended = seconds(CLOCK_MONOTONIC);
    cpu = writer_cpu(bench) - cpu;
    bench->store->engine->figures(bench->store, &after);
    printf("%-9s %8.0f messages/s  %6.2f us CPU each  %6.0f bytes to the device each  %llu commits, %.2f ms each\n",
           retain ? "retained" : "queued", bench->count / (ended - begun), cpu * 1e6 / bench->count,
           (double)(blocks_written() - blocks) / bench->count, (unsigned long long)(after.commits - before.commits),
           (double)(after.commit_us_sum - before.commit_us_sum) / 1000 / (double)(after.commits - before.commits));
}

static void measure_deletes(struct bench *bench)
{
    double cpu = writer_cpu(bench);
    for (uint32_t i = 0; i < bench->count; i++) {
        store_port_finish(bench->port, bench->records[i], 0);
        if (i % 4096 == 0) {
            store_port_flush(bench->port);
        }
    }
    store_port_flush(bench->port);
    bench->store->engine->settle(bench->store);
    struct store_ticket ticket = store_port_end_session(bench->port, 1); /* a commit, so that it is measured */
    (void)ticket;
    store_port_flush(bench->port);
    struct store_figures figures;
    do {
        usleep(100000);
        bench->store->engine->figures(bench->store, &figures);
    } while (figures.messages > bench->count);
    printf("%-9s %31.2f us CPU each\n", "deleted", (writer_cpu(bench) - cpu) * 1e6 / bench->count);
}

static bool on_entry(void *arg, enum store_table table, struct bytes key, struct bytes value)
{
    (void)arg;
    (void)table;
    (void)key;
    (void)value;
    return true;
}

static enum tg_err on_message(void *arg, const struct store_found *found)
{
    struct bench *bench = arg;
    bench->records[bench->found++] = store_record_ref(found->record);
    return TG_OK;
}

static void open_store(struct bench *bench, const char *folder)
{
    char why[STORE_LMDB_WHY_BYTES];
    const struct store_lmdb_options options = {.path = folder, .size_limit_bytes = 16ULL << 30};
    double begun = seconds(CLOCK_MONOTONIC);
    bench->store = store_lmdb_new(&options, why, sizeof(why));
    if (bench->store == NULL) {
        give_up(why);
    }
    bench->store->on_progress = on_progress;
    double opened = seconds(CLOCK_MONOTONIC);
    const struct store_visitor visitor = {.entry = on_entry, .message = on_message, .arg = bench};
    bench->found = 0;
    if (bench->store->engine->recover(bench->store, &visitor) != TG_OK) {
        give_up("recovery failed");
    }
    if (bench->found > 0) {
        printf("%-9s %u messages in %.2f s, and %.2f s before to look at every page\n", "recovered", bench->found,
               seconds(CLOCK_MONOTONIC) - opened, opened - begun);
    }
    bench->port = store_port_new(bench->store, 0);
}

static void close_store(struct bench *bench)
{
    store_port_free(bench->port);
    bench->store->engine->settle(bench->store);
    store_free(bench->store);
}

static void forget(struct bench *bench, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        store_record_unref(bench->records[i]);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {.count = 1000000, .waiting = 4096};
    if (argc < 2 || argc > 4) {
        give_up("usage: micro_store FOLDER [MESSAGES [WAITING]]");
    }
    bench.count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : bench.count;
    bench.waiting = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : bench.waiting;
    setlinebuf(stdout);
    bench.records = calloc(2 * (size_t)bench.count + 1, sizeof(*bench.records));
    if (bench.records == NULL || bench.count == 0) {
        give_up("out of memory, or nothing to do");
    }
    open_store(&bench, argv[1]);
    if (bench.found > 0) {
        give_up("there is something in FOLDER");
    }
    measure_puts(&bench, true);
    forget(&bench, bench.count);
    measure_puts(&bench, false);
    forget(&bench, bench.count);
    close_store(&bench);
    open_store(&bench, argv[1]);
    forget(&bench, bench.count); /* the retained ones; the rest's references go with being finished */
    memmove(bench.records, bench.records + bench.count, bench.count * sizeof(*bench.records));
    measure_deletes(&bench);
    close_store(&bench);
    free(bench.records);
    return 0;
}
