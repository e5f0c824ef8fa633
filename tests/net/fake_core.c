/* Everything is behind one mutex with one condition: speed does not matter here, and it makes each count exact. Clients are
 * touched by their worker's thread alone. */
#include "tests/net/fake_core.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#include "gateway/broker/broker.h"
#include "gateway/broker/client.h"
#include "gateway/broker/outq.h"
#include "gateway/broker/place.h"
#include "gateway/net/connection.h"

#define PATIENCE_S  30
#define LINE_BYTES  256
#define CHUNK_BYTES 60000u

struct client {
    TAILQ_ENTRY(client) link;
    struct place *place;
    const struct client_transport *ops;
    void *transport;
    struct outq output;
    char line[LINE_BYTES];
    size_t line_len;
    bool is_blocked;
    bool is_paused;
    bool wants_close;
    bool is_closed;
};

TAILQ_HEAD(client_list, client);

struct place {
    struct broker *broker;
    struct outq_pool *pool;
    struct client_list clients;
    uint64_t now_ms;
    size_t client_count; /* mutex */
    size_t turns;        /* mutex */
    bool is_draining;
};

struct broker {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t counts[FAKE_COUNTS];
    size_t resumes; /* calls of fake_resume() */
    bool is_short;
    bool no_memory;
    uint64_t next_ms;
    size_t next_passed;
    unsigned places;
    void (*wake)(void *arg, unsigned place);
    void *wake_arg;
    struct place place[];
};

/* --- for tests --------------------------------------------------------------------------------------------------- */

struct broker *fake_new(unsigned places, void (*wake)(void *arg, unsigned place), void *wake_arg)
{
    struct broker *broker = calloc(1, sizeof(*broker) + places * sizeof(struct place));
    if (broker == NULL) {
        abort();
    }
    pthread_mutex_init(&broker->mutex, NULL);
    pthread_cond_init(&broker->changed, NULL);
    broker->places = places;
    broker->wake = wake;
    broker->wake_arg = wake_arg;
    broker->next_ms = UINT64_MAX;
    for (unsigned i = 0; i < places; i++) {
        broker->place[i].broker = broker;
        broker->place[i].pool = outq_pool_new();
        TAILQ_INIT(&broker->place[i].clients);
    }
    return broker;
}

void fake_free(struct broker *broker)
{
    for (unsigned i = 0; i < broker->places; i++) {
        outq_pool_free(broker->place[i].pool);
    }
    pthread_cond_destroy(&broker->changed);
    pthread_mutex_destroy(&broker->mutex);
    free(broker);
}

static void add(struct broker *broker, enum fake_count count, size_t n)
{
    pthread_mutex_lock(&broker->mutex);
    broker->counts[count] += n;
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->mutex);
}

size_t fake_get(struct broker *broker, enum fake_count count)
{
    pthread_mutex_lock(&broker->mutex);
    size_t value = broker->counts[count];
    pthread_mutex_unlock(&broker->mutex);
    return value;
}

size_t fake_clients_at(struct broker *broker, unsigned place)
{
    pthread_mutex_lock(&broker->mutex);
    size_t value = broker->place[place].client_count;
    pthread_mutex_unlock(&broker->mutex);
    return value;
}

size_t fake_turns(struct broker *broker, unsigned place)
{
    pthread_mutex_lock(&broker->mutex);
    size_t value = broker->place[place].turns;
    pthread_mutex_unlock(&broker->mutex);
    return value;
}

static bool wait_range(struct broker *broker, const size_t *value, size_t min, size_t max)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&broker->mutex);
    int error = 0;
    while (error == 0 && (*value < min || *value > max)) {
        error = pthread_cond_timedwait(&broker->changed, &broker->mutex, &end);
    }
    pthread_mutex_unlock(&broker->mutex);
    return error == 0;
}

bool fake_wait_at_least(struct broker *broker, enum fake_count count, size_t value)
{
    return wait_range(broker, &broker->counts[count], value, SIZE_MAX);
}

bool fake_wait_exactly(struct broker *broker, enum fake_count count, size_t value)
{
    return wait_range(broker, &broker->counts[count], value, value);
}

bool fake_wait_turn(struct broker *broker, unsigned place)
{
    size_t turns = fake_turns(broker, place);
    broker->wake(broker->wake_arg, place);
    if (!wait_range(broker, &broker->place[place].turns, turns + 1, SIZE_MAX)) {
        return false;
    }
    broker->wake(broker->wake_arg, place); /* the first may have been under way */
    return wait_range(broker, &broker->place[place].turns, turns + 2, SIZE_MAX);
}

static void wake_all(struct broker *broker)
{
    for (unsigned i = 0; i < broker->places; i++) {
        broker->wake(broker->wake_arg, i);
    }
}

void fake_resume(struct broker *broker)
{
    pthread_mutex_lock(&broker->mutex);
    broker->resumes++;
    pthread_mutex_unlock(&broker->mutex);
    wake_all(broker);
}

void fake_set_memory_short(struct broker *broker, bool is_short)
{
    pthread_mutex_lock(&broker->mutex);
    broker->is_short = is_short;
    pthread_mutex_unlock(&broker->mutex);
}

void fake_set_no_memory(struct broker *broker, bool none)
{
    pthread_mutex_lock(&broker->mutex);
    broker->no_memory = none;
    pthread_mutex_unlock(&broker->mutex);
}

void fake_set_next_ms(struct broker *broker, uint64_t ms)
{
    pthread_mutex_lock(&broker->mutex);
    broker->next_ms = ms;
    broker->next_passed = 0;
    pthread_mutex_unlock(&broker->mutex);
    wake_all(broker);
}

bool fake_wait_next_passed(struct broker *broker)
{
    return wait_range(broker, &broker->next_passed, 1, 1);
}

uint8_t fake_pattern(size_t at)
{
    return (uint8_t)(at * 2654435761u >> 16);
}

/* --- broker.h ---------------------------------------------------------------------------------------------------- */

struct place *broker_place(struct broker *broker, unsigned index)
{
    return &broker->place[index];
}

unsigned broker_places(const struct broker *broker)
{
    return broker->places;
}

bool broker_is_memory_short(const struct broker *broker)
{
    struct broker *mutable = (struct broker *)(uintptr_t)broker;
    pthread_mutex_lock(&mutable->mutex);
    bool is_short = broker->is_short;
    pthread_mutex_unlock(&mutable->mutex);
    return is_short;
}

/* --- place.h ----------------------------------------------------------------------------------------------------- */

void place_set_time(struct place *place, uint64_t now_ms, uint64_t wall_ms)
{
    (void)wall_ms;
    place->now_ms = now_ms;
}

bool place_receive_mail(struct place *place)
{
    struct client *client;
    pthread_mutex_lock(&place->broker->mutex);
    size_t resumes = place->broker->resumes;
    if (resumes > 0) {
        place->broker->resumes = 0;
    }
    pthread_mutex_unlock(&place->broker->mutex);
    TAILQ_FOREACH(client, &place->clients, link)
    {
        if (resumes > 0 && client->is_paused) {
            client->is_paused = false;
            client->ops->pause(client->transport, false);
        }
    }
    return false;
}

bool place_end_turn(struct place *place)
{
    struct broker *broker = place->broker;
    struct client *client;
    TAILQ_FOREACH(client, &place->clients, link)
    {
        if (client->output.len > 0 && !client->is_closed) {
            add(broker, FAKE_FLUSHES, 1);
            client->ops->flush(client->transport);
        }
        if ((client->wants_close || place->is_draining) && !client->is_closed) {
            client->is_closed = true;
            client->ops->close(client->transport);
        }
    }
    pthread_mutex_lock(&broker->mutex);
    place->turns++;
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->mutex);
    return false;
}

uint64_t place_next_ms(const struct place *place)
{
    struct broker *broker = place->broker;
    pthread_mutex_lock(&broker->mutex);
    if (broker->next_ms <= place->now_ms) {
        broker->next_ms = UINT64_MAX;
        broker->next_passed = 1;
        pthread_cond_broadcast(&broker->changed);
    }
    uint64_t next_ms = broker->next_ms;
    pthread_mutex_unlock(&broker->mutex);
    return next_ms;
}

void place_drain(struct place *place)
{
    place->is_draining = true;
}

bool place_is_drained(const struct place *place)
{
    return TAILQ_EMPTY(&place->clients);
}

/* --- client.h ---------------------------------------------------------------------------------------------------- */

struct client *client_new(struct place *place, const struct client_transport *ops, void *transport)
{
    struct broker *broker = place->broker;
    const struct connection *connection = transport;
    int nodelay = 0;
    socklen_t len = sizeof nodelay;
    pthread_mutex_lock(&broker->mutex);
    bool fail = broker->no_memory;
    pthread_mutex_unlock(&broker->mutex);
    struct client *client = fail ? NULL : calloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    client->place = place;
    client->ops = ops;
    client->transport = transport;
    TAILQ_INSERT_TAIL(&place->clients, client, link);
    if (getsockopt(connection->io.fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len) == 0 && nodelay != 0) {
        add(broker, FAKE_NODELAY, 1);
    }
    pthread_mutex_lock(&broker->mutex);
    place->client_count++;
    pthread_mutex_unlock(&broker->mutex);
    add(broker, FAKE_CLIENTS_EVER, 1);
    add(broker, FAKE_CLIENTS, 1);
    return client;
}

static void answer(struct client *client, const char *text)
{
    size_t len = strlen(text);
    uint8_t *room = outq_append(client->place->pool, &client->output, len + 1);
    memcpy(room, text, len);
    room[len] = '\n';
}

static void answer_pattern(struct client *client, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t part = len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES;
        uint8_t *room = outq_append(client->place->pool, &client->output, part);
        for (size_t i = 0; i < part; i++) {
            room[i] = fake_pattern(at + i);
        }
        at += part;
    }
}

static bool set_send_buffer(struct client *client, int bytes)
{
    const struct connection *connection = client->transport;
    return setsockopt(connection->io.fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) == 0;
}

static void obey(struct client *client, const char *line)
{
    char peer[128];
    if (strncmp(line, "echo ", 5) == 0) {
        answer(client, line + 5);
    } else if (strncmp(line, "send ", 5) == 0) {
        answer_pattern(client, strtoul(line + 5, NULL, 10));
    } else if (strncmp(line, "bye ", 4) == 0) {
        answer(client, line + 4);
        client->wants_close = true;
    } else if (strcmp(line, "close") == 0) {
        client->wants_close = true;
    } else if (strcmp(line, "pause") == 0) {
        client->is_paused = true;
        client->ops->pause(client->transport, true);
        add(client->place->broker, FAKE_PAUSES, 1);
    } else if (strncmp(line, "buffer ", 7) == 0) {
        answer(client, set_send_buffer(client, atoi(line + 7)) ? "yes" : "no");
    } else if (strcmp(line, "peer") == 0) {
        client->ops->describe(client->transport, peer, sizeof peer);
        answer(client, peer);
    }
}

void client_receive(struct client *client, const uint8_t *buf, size_t len)
{
    if (client->is_closed) {
        abort(); /* the transport breaks the contract */
    }
    for (size_t i = 0; i < len && !client->wants_close; i++) {
        if (buf[i] == '\n') {
            client->line[client->line_len] = '\0';
            client->line_len = 0;
            obey(client, client->line);
        } else if (client->line_len < LINE_BYTES - 1) {
            client->line[client->line_len++] = (char)buf[i];
        }
    }
    add(client->place->broker, FAKE_RECEIVED, len);
}

const struct outq *client_output(const struct client *client)
{
    return &client->output;
}

void client_written(struct client *client, size_t sent, bool blocked)
{
    outq_consume(client->place->pool, &client->output, sent);
    if (blocked && client->output.len > 0) {
        outq_settle(client->place->pool, &client->output);
    }
    if (blocked && !client->is_blocked) {
        add(client->place->broker, FAKE_BLOCKED, 1);
    }
    if (!blocked && client->is_blocked) {
        add(client->place->broker, FAKE_UNBLOCKED, 1);
    }
    client->is_blocked = blocked;
}

void client_gone(struct client *client, enum client_end why)
{
    struct broker *broker = client->place->broker;
    pthread_mutex_lock(&broker->mutex);
    client->place->client_count--;
    pthread_mutex_unlock(&broker->mutex);
    TAILQ_REMOVE(&client->place->clients, client, link);
    outq_clear(client->place->pool, &client->output);
    add(broker, (enum fake_count)(FAKE_GONE_PEER + (int)why), 1);
    add(broker, FAKE_CLIENTS, (size_t)-1);
    free(client);
}
