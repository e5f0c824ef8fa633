/**
 * A published message: one block of memory, immutable after publish, shared by reference.
 *
 * A message exists only where the bytes must outlive the packet they came in: QoS 1 and 2, retained values, wills, and
 * everything that is handed to another place with a large payload. QoS 0 between clients of one place needs none.
 *
 *      struct message | topic | properties | payload
 */
#ifndef GATEWAY_STORE_MESSAGE_H
#define GATEWAY_STORE_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

#define MESSAGE_NEVER_EXPIRES UINT64_MAX

struct message { /* immutable after publish, but for refs; any thread */
    _Atomic uint32_t refs;
    uint32_t payload_len;
    uint32_t properties_len; /* encoded entries that travel on, see properties_forwarded() */
    uint16_t topic_len;
    uint8_t qos;         /* as published */
    bool retain;         /* as published */
    uint64_t expires_ms; /* monotonic; MESSAGE_NEVER_EXPIRES */
    uint64_t publisher;  /* keyed hash of the publisher's client id, for No Local; 0: the broker itself */
    uint64_t version;    /* retained version, 0 for a message that is not retained */
    uint64_t stored_ms;  /* wall clock of the publish, ms since the epoch */
    uint8_t bytes[];
};

/**
 * A message with room for the given parts, one reference, everything but refs and the lengths zero.
 * The caller fills bytes[] and the other members before anybody else sees it. Returns owned; NULL without memory.
 */
struct message *message_new(size_t topic_len, size_t properties_len, size_t payload_len);

/** The same with copies of its parts, any of which may be empty; the other members are zero. */
struct message *message_of_parts(struct bytes topic, struct bytes properties, struct bytes payload);

/** A further reference to MESSAGE. Any thread. */
static inline struct message *message_ref(struct message *message)
{
    atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    return message;
}

/** Give a reference back; the last one frees. NULL is a no-op. Any thread. */
void message_unref(struct message *message);

static inline struct bytes message_topic(const struct message *message)
{
    return (struct bytes){message->bytes, message->topic_len};
}

static inline struct bytes message_properties(const struct message *message)
{
    return (struct bytes){message->bytes + message->topic_len, message->properties_len};
}

static inline struct bytes message_payload(const struct message *message)
{
    return (struct bytes){message->bytes + message->topic_len + message->properties_len, message->payload_len};
}

/** Bytes that MESSAGE takes in memory. */
static inline size_t message_size(const struct message *message)
{
    return sizeof(*message) + message->topic_len + message->properties_len + message->payload_len;
}

#endif
