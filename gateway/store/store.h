/**
 * The ticket interface to durable storage.
 *
 * Whoever wants something kept submits an operation through the port of its thread and gets a ticket; an acknowledgement is sent when its ticket is
 * done. Nobody ever blocks. A ticket is a commit record (record.h), or the number of an operation in its domain: each port is a domain, and
 * within one, operations are done in order.
 *
 * Admission is asked for once, before a message is routed (store_admit()); after that a submit cannot fail for want of room.
 *
 * With the engine `memory` nothing is durable: there are no ports, and who has none need not submit anything.
 */
#ifndef GATEWAY_STORE_STORE_H
#define GATEWAY_STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/err.h"
#include "gateway/store/record.h"
#include "protocol/bytes.h"

#define STORE_DOMAINS_MAX 66u /* a place each, and who recovers */
#define STORE_KEY_BYTES   16u

struct message;
struct store;
struct store_port;

/* --- small entries --------------------------------------------------------------------------------------------------------- */

/** Tables of small entries. What the values say is their writers' business; the engine adds a version and a checksum. */
enum store_table {
    STORE_SESSIONS,      /* be64 session */
    STORE_WILLS,         /* be64 number of the will: they outlive their sessions */
    STORE_SUBSCRIPTIONS, /* be64 session, be32 number */
    STORE_POSITIONS,     /* be64 session: which deliveries are finished */
    STORE_RECEIVED,      /* be64 session, be16 packet id: QoS 2 received, not released */
    STORE_SENT,          /* be64 session, be64 seq: PUBREC came, PUBREL is due */
    STORE_IDEMPOTENCY,   /* 16 bytes: answers to Idempotency-Key */
    STORE_TABLES,
};

/** An entry to be put or deleted. Taken with the operation that it belongs to. */
struct store_write {
    struct store_write *next;
    uint8_t table; /* enum store_table */
    uint8_t key_len;
    bool is_delete; /* of something that may be absent */
    uint8_t key[STORE_KEY_BYTES];
    uint32_t value_len;
    uint8_t value[];
};

/** A write of VALUE_LEN bytes, to be filled in. Returns owned; NULL without memory. */
struct store_write *store_write_new(enum store_table table, const uint8_t *key, size_t key_len, size_t value_len);
/** Free a list of them; NULL is a no-op. */
void store_writes_free(struct store_write *writes);

/* --- operations: from ports to engines -------------------------------------------------------------------------------------- */

enum store_operation_kind {
    STORE_RECORD,      /* a message with its recipients, and writes, in one transaction */
    STORE_WRITES,      /* writes alone, in one transaction */
    STORE_FINISHES,    /* deliveries are over: no one waits for it */
    STORE_SESSION_END, /* delete whatever small entries have this session in their key, and then writes */
};

struct store_finish {
    struct store_record *record; /* holds a reference */
    uint32_t recipient;          /* as store_record_add() said, or STORE_RETAINED */
};

/** owner: the port until flushed, then the engine, which frees it with store_operation_free() */
struct store_operation {
    struct store_operation *next;
    enum store_operation_kind kind;
    uint32_t domain;
    uint64_t number;             /* in its domain, ascending */
    struct store_record *record; /* STORE_RECORD: holds a reference */
    struct store_write *writes;
    uint64_t session;              /* STORE_SESSION_END */
    struct store_finish *finishes; /* STORE_FINISHES */
    uint32_t finish_count;
    size_t bytes; /* that it takes, about; the engine's */
};

void store_operation_free(struct store_operation *operation);

/* --- tickets ---------------------------------------------------------------------------------------------------------------- */

struct store_ticket {            /* a value; one with a record holds a reference, see store_ticket_release() */
    struct store_record *record; /* NULL: number and domain count */
    uint64_t number;             /* 0: done from the beginning */
    uint32_t domain;
};

#define STORE_TICKET_DONE ((struct store_ticket){0})
#define STORE_NEVER       UINT64_MAX /* the number of what could not be submitted */

static inline bool store_ticket_is_never(const struct store_ticket *ticket)
{
    return ticket->record == NULL && ticket->number == STORE_NEVER;
}

/** True if TICKET, which is done, stands for a record that not all of its recipients are in: then nobody may be told that it was taken. */
bool store_ticket_is_incomplete(const struct store_ticket *ticket);

/** True if what TICKET stands for is durable. Any thread. */
bool store_is_done(const struct store *store, const struct store_ticket *ticket);

/** Give back what TICKET holds, whether it is done or not. */
void store_ticket_release(struct store_ticket *ticket);

/* --- a thread's port --------------------------------------------------------------------------------------------------------- */

/** A port for DOMAIN (below STORE_DOMAINS_MAX). Returns owned; NULL without memory, or if STORE is not durable (store->is_durable). */
struct store_port *store_port_new(struct store *store, uint32_t domain);
/** Flushes. NULL is a no-op. */
void store_port_free(struct store_port *port);

/** Submit WRITES (taken) as one transaction. @return false without memory */
bool store_port_write(struct store_port *port, struct store_write *writes, struct store_ticket *out)
    __attribute__((warn_unused_result));

/** Delete what small entries SESSION has. Without memory they stay, and come back after a restart. */
struct store_ticket store_port_end_session(struct store_port *port, uint64_t session);

/** Recipient NUMBER of RECORD (its reference is taken) needs it no more. */
void store_port_finish(struct store_port *port, struct store_record *record, uint32_t number);

/** Whoever has RECORD open is through with it: the last one submits it. References are the callers' own. */
void store_port_close(struct store_port *port, struct store_record *record);

/** Hand over to the engine what was submitted. Once a turn, and before the thread sleeps. */
void store_port_flush(struct store_port *port);

/* --- reading ------------------------------------------------------------------------------------------------------------------- */

/** What became of the attempt to read a message. */
enum store_fetch_status {
    STORE_FETCH_AGAIN, /* no memory, or something else that passes: it is there as far as anybody knows, ask again later */
    STORE_FETCH_FOUND,
    STORE_FETCH_GONE, /* damaged, or deleted */
};

struct store_fetched {
    struct store_record *record;    /* the caller's reference */
    struct message *message;        /* out: owned; NULL unless it was found */
    enum store_fetch_status status; /* out */
};

/** A request for messages that are not in memory; embedded in its owner, not to be touched until done() is called. */
struct store_fetch {
    struct store_fetch *next;
    /** Called once, on the engine's reader thread. Must not block. */
    void (*done)(struct store_fetch *fetch);
    uint32_t count;
    struct store_fetched *items;
};

/* --- recovery ------------------------------------------------------------------------------------------------------------------ */

/** A message as it was found on disk; all of it borrowed for the call but for the record, to which the visitor may take a reference. */
struct store_found {
    struct store_record *record; /* done; its recipients and its retained value are all to be finished one by one */
    struct bytes topic;
    struct bytes properties;
    struct bytes payload;
    uint64_t expires_ms; /* wall clock */
    uint64_t stored_ms;  /* wall clock */
    uint64_t version;
    uint64_t publisher;
    uint8_t qos;
    bool retain; /* as published */
    bool
        is_retained; /* it was the retained value of its topic, or with an empty payload says that there is none, when it was put */
    uint32_t recipient_count;
    struct bytes recipients; /* encoded; number N of them is finished as recipient N */
};

struct store_visitor {
    /** An entry of a table; tables come in the order of enum store_table, keys ascending. @return false: what is in it makes no sense; it is put aside as damaged */
    bool (*entry)(void *arg, enum store_table table, struct bytes key, struct bytes value);
    /** Messages come after all tables, in the order in which they were put. @return TG_OK; TG_ERR_CORRUPT: put aside as damaged; any other ends the recovery */
    enum tg_err (*message)(void *arg, const struct store_found *found);
    /** DONE of TOTAL entries (approximate) are read; about every 100 ms. */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};

/* --- the store ------------------------------------------------------------------------------------------------------------------- */

enum store_admission {
    STORE_ADMITTED,
    STORE_BUSY, /* much waits to be written: take no more from whoever can be made to wait */
    STORE_FULL, /* near the configured size, or the disk is full: refuse */
};

#define STORE_COMMIT_BUCKETS   16u
#define STORE_COMMIT_BUCKET_US 64u

/** Numbers for operators. */
struct store_figures {
    uint64_t commits;
    uint64_t operations;    /* that were part of a commit, or needed none */
    uint64_t cancelled;     /* messages that were finished before they had to be written */
    uint64_t bytes_written; /* of values and keys */
    uint64_t commit_us_sum;
    uint64_t commit_us_max; /* since it was read last */
    uint64_t commit_us_buckets
        [STORE_COMMIT_BUCKETS]; /* bucket b: up to STORE_COMMIT_BUCKET_US << b microseconds, the last: above */
    uint64_t messages;          /* on disk */
    uint64_t used_bytes;
    uint64_t limit_bytes;
    uint64_t waiting_bytes;     /* submitted and not yet durable */
    uint64_t oldest_waiting_ms; /* age of the oldest of these; 0: none */
    uint64_t damaged;           /* entries put aside since the start */
    uint64_t fetched;           /* messages read back */
};

struct store_engine {
    const char *name;
    /** May BYTES more be published? Any thread. */
    enum store_admission (*admit)(struct store *store, size_t bytes);
    /** Take LIST (oldest first, of one domain). Any thread; never blocks. */
    void (*submit)(struct store *store, struct store_operation *list);
    /** Read what FETCH asks for. Any thread. */
    void (*fetch)(struct store *store, struct store_fetch *fetch);
    /** Read everything there is. Once, before the first submit; any thread, which may block for seconds. */
    enum tg_err (*recover)(struct store *store, const struct store_visitor *visitor);
    /** Any thread. */
    void (*figures)(struct store *store, struct store_figures *out);
    /** A consistent copy at PATH, which must not exist; blocks for seconds. Any thread but one at a time. @return TG_OK, TG_ERR_EXISTS, TG_ERR_LIMIT (another one is under way, or it took too long), TG_ERR_IO */
    enum tg_err (*backup)(struct store *store, const char *path);
    /** Wait until all that was submitted is durable and all that was asked for is read: no callback comes until something else is submitted. All
     * other threads have ended. */
    void (*settle)(struct store *store);
    /** Free; settled before. */
    void (*free)(struct store *store);
};

/** Called by the engine, on its own thread, when something is done. Must not block. */
typedef void (*store_progress_fn)(void *arg);

struct store {
    const struct store_engine *engine;
    bool is_durable;
    bool was_stopped_cleanly;      /* the last time; from the start on, as the next two. False for a new store */
    uint64_t boot;                 /* how often it was opened, from 1 */
    uint8_t node[16];              /* identity of this store, random */
    store_progress_fn on_progress; /* set once before the first submit; may be NULL */
    void *on_progress_arg;
    _Atomic uint64_t next_session; /* numbers for sessions; above all that are on disk once recovery is through */
    _Atomic uint64_t done[STORE_DOMAINS_MAX]; /* highest number of each domain that is durable; the engine writes */
};

static inline enum store_admission store_admit(struct store *store, size_t bytes)
{
    return store->engine->admit(store, bytes);
}

static inline void store_free(struct store *store)
{
    if (store != NULL) {
        store->engine->free(store);
    }
}

#endif
