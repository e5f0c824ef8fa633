/**
 * How things are written in the LMDB file. All numbers are big-endian; every value begins with
 *
 *      version 1 | check 4 | ...
 *
 * The check is the low half of XXH3-64 over what follows, seeded with table and key, so that a value that got under another key is
 * damaged, too. (XXH3 rather than CRC-32C: its values are fixed for good since xxHash 0.8, it is a dependency already, and as quick without
 * instructions of certain processors.)
 *
 *      database       key                        value
 *      meta           text                       numbers, without a header: schema 4, node 16, boot 8, clean 1, next_session 8
 *      messages       be64 mid                   see struct lmdb_message
 *      recipients     be64 mid, be32 number      encoded recipients beyond those that stand in the message, some 60 each
 *      parts          be64 mid, be32 number      topic, properties and payload of a large message, in pieces
 *      sessions ...   see enum store_table       what the port's owner wrote
 *
 * Mids are given in the order of commits, so that messages are appended at the right edge of their tree. What a message consists of is put in
 * front of it, in earlier transactions if it is very much: recipients and parts without their message are a fan-out that was cut off
 * before anybody had been told of it.
 */
#ifndef GATEWAY_STORE_LMDB_CODE_H
#define GATEWAY_STORE_LMDB_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lmdb.h>

#include "gateway/store/store.h"
#include "protocol/bytes.h"

enum lmdb_table {
    LMDB_META,
    LMDB_MESSAGES,
    LMDB_RECIPIENTS,
    LMDB_PARTS,
    LMDB_ENTRIES, /* and on: those of enum store_table */
    LMDB_TABLES = LMDB_ENTRIES + STORE_TABLES,
};

#define LMDB_VALUE_VERSION 1u
#define LMDB_HEAD_BYTES    5u
#define LMDB_MESSAGE_BYTES 61u                              /* of a message's value before its recipients */
#define LMDB_WHOLE_MAX     65536u                           /* a message with more than that is put in parts */
#define LMDB_PART_BYTES    (32768u - 16u - LMDB_HEAD_BYTES) /* with LMDB's and our header: eight pages */
#define LMDB_INLINE_MAX    64u                              /* recipients in the message itself, */
#define LMDB_INLINE_BYTES  8192u                            /* and their bytes */
#define LMDB_CHUNK_MAX     60u                              /* recipients of one entry, */
#define LMDB_CHUNK_BYTES   1300u /* and their bytes, unless it is one: two entries fit into a page */

enum {
    LMDB_FLAG_RETAIN = 1,   /* as published */
    LMDB_FLAG_RETAINED = 2, /* it is its topic's retained value, as far as the file knows */
    LMDB_FLAG_PARTS = 4,
    LMDB_FLAG_MORE = 8, /* recipients elsewhere */
};

/** The value of `messages`: head as in lmdb_message_encode(), recipients, then topic, properties and payload unless they are in parts. */
struct lmdb_message {
    uint8_t flags;
    uint8_t qos;
    uint16_t topic_len;
    uint32_t properties_len;
    uint32_t payload_len;
    uint64_t expires_ms;
    uint64_t stored_ms;
    uint64_t version;
    uint64_t publisher;
    uint32_t more_count;      /* recipients elsewhere */
    uint32_t recipient_count; /* here */
    uint32_t recipients_len;
    struct bytes recipients; /* decoded: borrowed from the value */
    struct bytes body;       /* topic, properties, payload; empty if they are in parts */
};

/** Names of tables, for the file, messages and dumps. */
extern const char *const lmdb_table_names[LMDB_TABLES];

/** Write the header of the LEN bytes at VALUE, which are otherwise complete. */
void lmdb_seal(enum lmdb_table table, const MDB_val *key, uint8_t *value, size_t len);

/** Check VALUE's header. @return what follows it; data is NULL if it is damaged or of a version that is not known */
struct bytes lmdb_unseal(enum lmdb_table table, const MDB_val *key, const MDB_val *value);

/** Length of the topic, properties and payload of MESSAGE. */
static inline size_t lmdb_body_len(const struct lmdb_message *message)
{
    return (size_t)message->topic_len + message->properties_len + message->payload_len;
}

/** Write what stands in front of the recipients to VALUE, header excepted, LMDB_MESSAGE_BYTES in all. @return behind it */
uint8_t *lmdb_message_encode(const struct lmdb_message *message, uint8_t *value);

/** Read a message's value, as lmdb_unseal() returned it. @return false: damaged */
bool lmdb_message_decode(struct bytes value, struct lmdb_message *out);

/** The flags of a message's VALUE that is to stay, without looking at the rest. */
uint8_t lmdb_message_flags(const MDB_val *value);

/** Change them; lmdb_seal() is due then. */
void lmdb_message_set_flags(uint8_t *value, uint8_t flags);

/** Length of the recipient that starts at ENCODED, which is known to be sound. */
size_t lmdb_recipient_len(const uint8_t *encoded);

/** Count recipients in ENCODED. @return false: damaged */
bool lmdb_recipients_count(struct bytes encoded, uint32_t *out);

#endif
