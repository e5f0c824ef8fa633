/**
 * What a session has to send: the window of QoS 1 and 2 messages that were sent and not yet finished, and the queue behind it.
 *
 *      sent, unfinished (window)        not sent (queue)
 *      [seq 41][seq 42][seq 44]         [seq 45][seq 46] ...
 *       PUBLISH PUBREL  PUBLISH
 *
 * Each message has a sequence number of its session; the packet id is 1 + seq mod 65535, so that ids survive whatever the session survives.
 * A message is sent only while seq < lowest unfinished + 65535. Taking from the front and adding at the end
 * are O(1); finishing in the middle moves the shorter side.
 */
#ifndef GATEWAY_BROKER_OUTGOING_H
#define GATEWAY_BROKER_OUTGOING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message;
struct store_record;
struct subscription;

enum outgoing_state {
    OUTGOING_QUEUED,    /* not sent on any connection */
    OUTGOING_RESEND,    /* PUBLISH was sent on an earlier connection: to be repeated with DUP */
    OUTGOING_SENT,      /* PUBLISH sent, waits for PUBACK or PUBREC */
    OUTGOING_RELEASED,  /* PUBREC came; PUBREL sent, or waits for its ticket; then waits for PUBCOMP */
    OUTGOING_RERELEASE, /* PUBREL was due or sent on an earlier connection: to be repeated */
};

/** Further Subscription Identifiers of one delivery. */
struct outgoing_ids {
    uint32_t count;
    uint32_t ids[];
};

struct outgoing_entry {      /* owner: the session's place */
    struct message *message; /* holds a reference; NULL once PUBREC came, or while the record alone has it */
    struct store_record
        *record; /* holds a reference; NULL: not durable, or finished as far as the store is concerned */
    uint64_t seq;
    struct subscription *shared; /* the shared subscription it came by; NULL: none, or unsubscribed since */
    struct outgoing_ids *more;   /* owned; NULL: subscription_id is all */
    uint32_t subscription_id;    /* 0: none */
    uint32_t recipient;          /* its number in the record */
    uint8_t state;
    uint8_t qos; /* effective: 0..2 */
    bool retain;
    bool is_restored; /* it is not known whether it was sent before the restart */
};

struct outgoing_ring {
    struct outgoing_entry *slots; /* NULL while capacity is 0 */
    uint32_t capacity;            /* power of two */
    uint32_t head;
    uint32_t count;
};

struct outgoing {                /* owner: the session's place */
    struct outgoing_ring window; /* ascending seq */
    struct outgoing_ring queue;  /* ascending seq, all above the window's */
    uint64_t next_seq;           /* of the next message queued */
    size_t queue_bytes;          /* of the queue's messages */
    uint32_t resend;             /* how many of the window are OUTGOING_RESEND or OUTGOING_RERELEASE */
    uint32_t rerelease;          /* how many of these are OUTGOING_RERELEASE */
    uint32_t resend_from;        /* none of them stands before this place in the window */
};

/** The AT-th oldest entry, AT < count. Valid until the ring changes. */
static inline struct outgoing_entry *outgoing_at(const struct outgoing_ring *ring, uint32_t at)
{
    return &ring->slots[(ring->head + at) & (ring->capacity - 1)];
}

/** Append ENTRY (its references go with it). @return false without memory. */
bool outgoing_push(struct outgoing_ring *ring, const struct outgoing_entry *entry);

/** Take the oldest entry out; count > 0. */
struct outgoing_entry outgoing_pop(struct outgoing_ring *ring);

/** Take the AT-th entry out. */
struct outgoing_entry outgoing_remove(struct outgoing_ring *ring, uint32_t at);

/** Where the window has the message with PACKET_ID; -1 if nowhere. */
int64_t outgoing_find(const struct outgoing *outgoing, uint16_t packet_id);

/** Packet id of SEQ: 1..65535. */
static inline uint16_t outgoing_packet_id(uint64_t seq)
{
    return (uint16_t)(1 + seq % 65535);
}

/** ENTRY, which is in the window, is not to be repeated any more, if it was; its state is set by the caller. */
void outgoing_unmark(struct outgoing *outgoing, const struct outgoing_entry *entry);

/** Bytes of ENTRY's message, be it in memory or not; 0 once PUBREC came. */
size_t outgoing_size(const struct outgoing_entry *entry);

/** Put ENTRIES (their references go with them; ascending seq) into RING, which is empty. @return false without memory: then they are the caller's. */
bool outgoing_fill(struct outgoing_ring *ring, const struct outgoing_entry *entries, uint32_t count);

/** Give back what ENTRY refers to. */
void outgoing_entry_fini(struct outgoing_entry *entry);

/** Free the slots of RING, which is empty. */
void outgoing_ring_fini(struct outgoing_ring *ring);

#endif
