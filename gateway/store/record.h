/**
 * A commit record: one published message that must last, and who is still to get it.
 *
 * It stands beside the immutable message. While it is open, the places that route the message add their persistent recipients, each in a report of its
 * own; the last to close it submits it as one operation (store.h). From then on it stands for what is on disk: deliveries are finished
 * against it, and when nobody is left the engine deletes it. A delivery that is finished before the record is put is taken out of it, and a record
 * without recipients is never put at all.
 *
 *      new -> open/add/close by several places -> [submitted] -> put, or cancelled -> is_done -> deleted
 */
#ifndef GATEWAY_STORE_RECORD_H
#define GATEWAY_STORE_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/bytes.h"

struct message;
struct store_record;
struct store_write;

/** Who is finished in place of a recipient when a retained value has been superseded, cleared, or has expired. */
#define STORE_RETAINED UINT32_MAX

#define STORE_NEVER_EXPIRES UINT64_MAX

/**
 * One persistent session that is to get a message. Encoded it is part of what is on disk, big-endian:
 *
 *      session 8 | seq 8 | flags 1 | count of ids 2 | [number of the shared subscription 4] | ids 4 each
 */
struct store_recipient {
    uint64_t session; /* its number in the store, not 0 */
    uint64_t seq;
    const uint32_t *ids;    /* Subscription Identifiers to encode; NULL in one that was decoded */
    const uint8_t *raw_ids; /* of one that was decoded: id_count of 4 bytes each, see store_recipient_id() */
    uint16_t id_count;
    uint32_t shared; /* number of the shared subscription it came by; 0: none */
    uint8_t qos;     /* effective: 1 or 2 */
    bool retain;
};

/** Bytes that RECIPIENT takes encoded. */
size_t store_recipient_size(const struct store_recipient *recipient);

/** Write RECIPIENT to BUF, which has room for store_recipient_size(). */
void store_recipient_encode(const struct store_recipient *recipient, uint8_t *buf);

/** Read one from the start of ENCODED. @return bytes consumed; 0: damaged */
size_t store_recipient_decode(struct bytes encoded, struct store_recipient *out);

/** Identifier AT of a decoded RECIPIENT. */
uint32_t store_recipient_id(const struct store_recipient *recipient, uint16_t at);

/**
 * A record of MESSAGE (shares; NULL: it only carries writes), open once, for PLACES places to report to.
 *
 * @param expires_ms  wall clock, ms since the epoch; STORE_NEVER_EXPIRES
 * @param is_retained it is the retained value of its topic, which is one more recipient: STORE_RETAINED
 * @return owned, one reference; NULL without memory
 */
struct store_record *store_record_new(struct message *message, unsigned places, uint64_t expires_ms, bool is_retained);

/** Any thread. */
struct store_record *store_record_ref(struct store_record *record);
/** Give a reference back; NULL is a no-op. Any thread. */
void store_record_unref(struct store_record *record);

/** One more will close RECORD, which is open: called by one who has it open. */
void store_record_open(struct store_record *record);

/**
 * Add a recipient at PLACE, whose thread this is, while it has RECORD open.
 * @param out its number in RECORD, by which it is finished
 * @return false without memory, or with more than 16 million recipients at PLACE
 */
bool store_record_add(struct store_record *record, unsigned place, const struct store_recipient *recipient,
                      uint32_t *out) __attribute__((warn_unused_result));

/** Put WRITES (taken, a list) in the same transaction. By who made RECORD, before it is closed the first time. */
void store_record_attach(struct store_record *record, struct store_write *writes);

/** RECORD takes the place of recipient NUMBER of OLD (its reference is taken), which is finished as soon as RECORD is submitted: a
 * retained value is superseded, a delivery moves to another session. Once, by who made RECORD, before it is closed the first time. */
void store_record_replace(struct store_record *record, struct store_record *old, uint32_t number);

/** The message, as long as it is in memory: until the record is put, at least. Returns owned (message_unref()); NULL: it is to be fetched. Any thread. */
struct message *store_record_message(struct store_record *record);

/** Someone who should be a recipient could not be added. By who has RECORD open. */
void store_record_set_incomplete(struct store_record *record);
bool store_record_is_incomplete(const struct store_record *record);

/** True once the transaction with RECORD is durable (or it needed none). Any thread. */
bool store_record_is_done(const struct store_record *record);

/** True if RECORD had more than one recipient, a retained value counted; valid once it is done. Any thread. */
bool store_record_has_many(const struct store_record *record);

/** Bytes of the message in memory, as message_size() says; wall-clock expiry. Any thread. */
size_t store_record_message_size(const struct store_record *record);
uint64_t store_record_expires_ms(const struct store_record *record);

#endif
