/* The floor: what the same reads and writes cost with almost no logic. An epoll loop that speaks just enough MQTT 3.1.1 to
 * forward: CONNECT and SUBSCRIBE are accepted unseen, a PUBLISH goes as it is to whoever subscribed to exactly its topic (a
 * filter with '+' gets everything), QoS 1 is acknowledged at once. One read per event, one write per connection and turn,
 * like the servers it is compared with.
 *
 *     forward PORT      prints "ready" when it listens
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/packet.h"

enum {
    TOPICS = 4096,      /* power of two */
    TOPICS_USED = 2048, /* at most */
    READ_BYTES = 256 * 1024,
    EVENTS = 512,
    TOPIC_BYTES_MAX = 64,
};

struct connection {
    int fd;
    bool is_dirty;
    bool is_blocked;
    uint8_t *rest;
    size_t rest_len;
    uint8_t *out;
    size_t out_len;
    size_t out_capacity;
};

struct topic {
    uint8_t name[TOPIC_BYTES_MAX];
    size_t len;
    struct connection **receivers;
    size_t count;
};

static int epoll_fd;
static struct connection **dirty; /* have output in this turn */
static size_t dirty_count;
static size_t dirty_capacity;
static struct topic topics[TOPICS];
static size_t topics_used;
static struct topic everything; /* receivers of filters with a wildcard: of every message */

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void *must_realloc(void *old, size_t size)
{
    void *room = realloc(old, size);
    if (room == NULL) {
        fail("realloc");
    }
    return room;
}

static struct topic *topic_of(const uint8_t *name, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ name[i]) * 16777619u;
    }
    struct topic *topic = &topics[hash % TOPICS];
    while (topic->len != 0 && (topic->len != len || memcmp(topic->name, name, len) != 0)) {
        topic = topic == &topics[TOPICS - 1] ? topics : topic + 1;
    }
    return topic;
}

static void queue(struct connection *c, const uint8_t *bytes, size_t len)
{
    if (c->out_len + len > c->out_capacity) {
        c->out_capacity = (c->out_len + len) * 2;
        c->out = must_realloc(c->out, c->out_capacity);
    }
    memcpy(c->out + c->out_len, bytes, len);
    c->out_len += len;
    if (!c->is_dirty) {
        if (dirty_count == dirty_capacity) {
            dirty_capacity = (dirty_capacity + 32) * 2;
            dirty = must_realloc(dirty, dirty_capacity * sizeof(struct connection *));
        }
        c->is_dirty = true;
        dirty[dirty_count++] = c;
    }
}

static void flush(struct connection *c)
{
    ssize_t sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (sent < 0) {
        sent = errno == EAGAIN ? 0 : (ssize_t)c->out_len; /* a peer that is gone: its end is read soon */
    }
    c->out_len -= (size_t)sent;
    memmove(c->out, c->out + sent, c->out_len);
    bool blocked = c->out_len > 0;
    if (blocked != c->is_blocked) {
        c->is_blocked = blocked;
        struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0u), .data.ptr = c};
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
    }
}

static void on_publish(struct connection *c, const uint8_t *packet, size_t len, size_t header_len)
{
    const uint8_t *body = packet + header_len;
    size_t topic_len = (size_t)body[0] << 8 | body[1];
    unsigned qos = packet[0] >> 1 & 3u;
    if (topic_len == 0 || topic_len > TOPIC_BYTES_MAX || header_len + 2 + topic_len + 2 > len) {
        return;
    }
    const struct topic *lists[] = {topic_of(body + 2, topic_len), &everything};
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            queue(lists[l]->receivers[i], packet, len);
        }
    }
    if (qos == 1) {
        const uint8_t puback[] = {PACKET_PUBACK << 4, 2, body[2 + topic_len], body[3 + topic_len]};
        queue(c, puback, sizeof(puback));
    }
}

static void on_subscribe(struct connection *c, const uint8_t *body, size_t len)
{
    uint8_t codes = 0;
    for (size_t at = 2; at + 3 <= len; codes++) {
        size_t topic_len = (size_t)body[at] << 8 | body[at + 1];
        if (topic_len == 0 || topic_len > TOPIC_BYTES_MAX || at + 2 + topic_len + 1 > len) {
            return;
        }
        struct topic *topic = &everything;
        if (memchr(body + at + 2, '+', topic_len) == NULL) {
            topic = topic_of(body + at + 2, topic_len);
            if (topic->len == 0 && topics_used++ == TOPICS_USED) {
                errno = ENOSPC;
                fail("topics");
            }
            memcpy(topic->name, body + at + 2, topic_len);
            topic->len = topic_len;
        }
        topic->receivers = must_realloc(topic->receivers, (topic->count + 1) * sizeof(struct connection *));
        topic->receivers[topic->count++] = c;
        uint8_t suback[] = {PACKET_SUBACK << 4, 3, body[0], body[1], body[at + 2 + topic_len]};
        queue(c, suback, sizeof(suback));
        at += topic_len + 3;
    }
}

static void on_packet(struct connection *c, const uint8_t *packet, size_t len, const struct packet_header *header)
{
    static const uint8_t connack[] = {PACKET_CONNACK << 4, 2, 0, 0};
    switch (header->type) {
    case PACKET_CONNECT:
        queue(c, connack, sizeof(connack));
        break;
    case PACKET_SUBSCRIBE:
        on_subscribe(c, packet + header->len, header->body_len);
        break;
    case PACKET_PUBLISH:
        on_publish(c, packet, len, header->len);
        break;
    default:
        break;
    }
}

static void remove_receiver(struct topic *topic, const struct connection *c)
{
    for (size_t i = 0; i < topic->count;) {
        if (topic->receivers[i] == c) {
            topic->receivers[i] = topic->receivers[--topic->count];
        } else {
            i++;
        }
    }
}

static void close_connection(struct connection *c)
{
    for (size_t t = 0; t < TOPICS; t++) {
        remove_receiver(&topics[t], c);
    }
    remove_receiver(&everything, c);
    for (size_t i = 0; i < dirty_count; i++) {
        if (dirty[i] == c) {
            dirty[i--] = dirty[--dirty_count];
        }
    }
    close(c->fd);
    free(c->rest);
    free(c->out);
    free(c);
}

/* @return bytes left over: the beginning of a packet that is not whole */
static size_t packets(struct connection *c, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        struct packet_header header;
        struct fault fault;
        int header_len = packet_header_decode(bytes, len, MQTT_3_1_1, &header, &fault);
        if (header_len <= 0 || header.len + header.body_len > len) {
            return len;
        }
        size_t total = header.len + header.body_len;
        on_packet(c, bytes, total, &header);
        bytes += total;
        len -= total;
    }
    return 0;
}

/* @return false if it is gone */
static bool receive(struct connection *c)
{
    static uint8_t buffer[READ_BYTES];
    if (c->rest_len > 0) {
        memcpy(buffer, c->rest, c->rest_len);
    }
    ssize_t got = recv(c->fd, buffer + c->rest_len, sizeof(buffer) - c->rest_len, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) {
            return true;
        }
        close_connection(c);
        return false;
    }
    size_t len = c->rest_len + (size_t)got;
    size_t left = packets(c, buffer, len);
    if (left > 0) {
        c->rest = must_realloc(c->rest, left);
        memcpy(c->rest, buffer + len - left, left);
    }
    c->rest_len = left;
    return true;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct connection *c = calloc(1, sizeof(*c));
        if (c == NULL) {
            fail("calloc");
        }
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
            fail("epoll_ctl");
        }
    }
}

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1024) != 0) {
        fail("listen");
    }
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "forward PORT\n");
        return 2;
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on((uint16_t)strtoul(argv[1], NULL, 10));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) != 0) {
        fail("epoll");
    }
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        static struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL) {
                accept_all(listener);
            } else if ((events[i].events & EPOLLIN) == 0 || receive(c)) {
                if ((events[i].events & EPOLLOUT) != 0) {
                    flush(c);
                }
            }
        }
        for (size_t i = 0; i < dirty_count; i++) {
            dirty[i]->is_dirty = false;
            if (!dirty[i]->is_blocked) {
                flush(dirty[i]);
            }
        }
        dirty_count = 0;
    }
}
