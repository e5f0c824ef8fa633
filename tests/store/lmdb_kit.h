/**
 * For tests of the durable engine: a store in a folder of its own, messages to put into it, and what is found there afterwards.
 */
#ifndef TESTS_STORE_LMDB_KIT_H
#define TESTS_STORE_LMDB_KIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/store/lmdb.h"
#include "gateway/store/message.h"
#include "gateway/store/record.h"
#include "gateway/store/store.h"

#define KIT_SIZE_LIMIT (64u << 20)

struct kit_message { /* as it was found */
    char topic[64];
    uint8_t *payload; /* owned */
    size_t payload_len;
    uint64_t version;
    uint32_t recipient_count;
    uint64_t *sessions; /* owned, in order */
    bool is_retained;
    struct store_record *record; /* holds a reference */
};

struct kit_entry {
    enum store_table table;
    uint8_t key[STORE_KEY_BYTES];
    size_t key_len;
    char value[32];
    size_t value_len;
};

struct kit {
    char folder[64];
    struct store *store; /* NULL: closed */
    struct store_port *ports[3];
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct kit_message *messages; /* of the last recovery */
    size_t message_count;
    struct kit_entry *entries;
    size_t entry_count;
    bool refuses_messages; /* the visitor calls them corrupt */
};

/** A folder that does not exist yet, below one that does. */
void kit_init(struct kit *kit);
/** Close, and remove the folder. */
void kit_fini(struct kit *kit);

/** Open the store and read it; fails the test if that fails. */
void kit_open(struct kit *kit);
/** The same, with a size limit, an interval, clocks. */
void kit_open_with(struct kit *kit, const struct store_lmdb_options *options);
/** Settle and close, with what was found. */
void kit_close(struct kit *kit);
void kit_reopen(struct kit *kit);

/** Flush all ports and wait until TICKET is done. */
void kit_wait(struct kit *kit, struct store_ticket ticket);
/** Flush all ports and wait until RECORD is done. */
void kit_wait_record(struct kit *kit, struct store_record *record);
/** Flush all ports and wait until everything is through. */
void kit_settle(struct kit *kit);

/** A message to TOPIC; owned. */
struct message *kit_message(const char *topic, const void *payload, size_t payload_len, bool retain, uint64_t version);

/** A record of a message to TOPIC with QoS 1 recipients SESSIONS (COUNT of them), seq 1, open; owned. Recipient N is number N. */
struct store_record *kit_record(const char *topic, const void *payload, size_t payload_len, const uint64_t *sessions,
                                uint32_t count);

/** The same with text, for one session, closed at port 0. */
struct store_record *kit_put(struct kit *kit, const char *topic, const char *text, uint64_t session);

/** A retained value of TOPIC that takes the place of OLD (NULL: of none), for COUNT recipients 1, 2..., closed at port 0; owned. */
struct store_record *kit_retain(struct kit *kit, const char *topic, const char *text, uint64_t version,
                                struct store_record *old, uint32_t count);

/** Recipient NUMBER of RECORD needs it no more, says port 0. */
void kit_finish(struct kit *kit, struct store_record *record, uint32_t number);

/** Write VALUE for SESSION (and NUMBER, in KEY_LEN - 8 bytes) into TABLE at port 0. */
struct store_ticket kit_write(struct kit *kit, enum store_table table, uint64_t session, uint64_t number,
                              size_t key_len, const char *value);

/** What was found under TOPIC by the last recovery; NULL: nothing. */
const struct kit_message *kit_found(const struct kit *kit, const char *topic);
/** The entry of TABLE for SESSION; NULL: none. */
const struct kit_entry *kit_found_entry(const struct kit *kit, enum store_table table, uint64_t session);

/** Read the message of RECORD back. @param out owned, NULL unless it is found @return an enum store_fetch_status */
enum store_fetch_status kit_try_fetch(struct kit *kit, struct store_record *record, struct message **out);
/** The same; NULL: it is not there. */
struct message *kit_fetch(struct kit *kit, struct store_record *record);

/** The size of FOLDER/NAME, -1: it is not there. */
long kit_file_size(const struct kit *kit, const char *name);

#endif
