/**
 * Private to the LMDB engine: its parts and who owns them.
 *
 * lmdb.c has the engine's face and figures; lmdb_files.c folder, lock and environment; lmdb_writer.c the persistence thread; lmdb_batch.c what
 * operations mean; lmdb_put.c what a batch becomes on disk; lmdb_delete.c lazy deletes; lmdb_space.c room; lmdb_reader.c fetches;
 * lmdb_walk.c and lmdb_recover.c reading it all; lmdb_quarantine.c what is damaged; lmdb_pages.c the structure of the file; lmdb_backup.c copies.
 */
#ifndef GATEWAY_STORE_LMDB_ENGINE_H
#define GATEWAY_STORE_LMDB_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lmdb.h>

#include "gateway/base/err.h"
#include "gateway/store/lmdb.h"
#include "gateway/store/lmdb_code.h"
#include "gateway/store/record_engine.h"
#include "gateway/store/store.h"

#define LMDB_BATCH_OPERATIONS 4096u
#define LMDB_BATCH_BYTES      (4u << 20) /* of a transaction; what is more begins another one */
#define LMDB_DELETES_AT       2000u      /* lazy deletes begin when so many have come together, */
#define LMDB_DELETES_MS       1000u      /* or after so long, */
#define LMDB_DELETES_SLICE    1000u      /* and this is how many a commit does at least */
#define LMDB_MEASURE_MS       1000
#define LMDB_GRAVE_MS         10000u
#define LMDB_SESSIONS_BLOCK   (1u << 20)

/* --- folder and file ----------------------------------------------------------------------------------------------------------- */

/** One step from an older schema. Runs in the transaction that opens the store; what it did is gone if it fails. */
struct lmdb_step {
    uint32_t from; /* to from + 1 */
    int (*run)(MDB_txn *txn);
};

/** What this version reads and writes, and how to get there. */
struct lmdb_schema {
    uint32_t current;
    const struct lmdb_step *steps;
    size_t step_count;
};

extern const struct lmdb_schema lmdb_schema;

enum lmdb_access {
    LMDB_OWN,  /* to write; nobody else has it */
    LMDB_LOOK, /* to read beside an owner */
};

/** An open store folder. */
struct lmdb_files {
    char *folder; /* owned */
    int lock_fd;  /* -1: not locked */
    MDB_env *env;
    MDB_dbi tables[LMDB_TABLES];
    bool was_clean;
    uint64_t boot;
    uint8_t node[16];
    uint64_t next_session;
};

/**
 * Open FOLDER; with LMDB_OWN it is made if it is absent, and marked as not stopped cleanly.
 *
 * @param size_limit_bytes of data.mdb; 0 with LMDB_LOOK: as it is
 * @return TG_OK, or WHY says why not and OUT is empty: TG_ERR_NOT_FOUND, TG_ERR_DENIED, TG_ERR_AGAIN (in use), TG_ERR_CORRUPT,
 *         TG_ERR_UNSUPPORTED (schema, file system), TG_ERR_IO, TG_ERR_NO_MEMORY
 */
enum tg_err lmdb_files_open(struct lmdb_files *out, const char *folder, enum lmdb_access access,
                            uint64_t size_limit_bytes, const struct lmdb_schema *schema, char *why,
                            size_t why_size) TG_MUST_CHECK;

/** Close; everything that was open is no more. */
void lmdb_files_close(struct lmdb_files *files);

/** FOLDER/NAME. Returns owned; NULL without memory. */
char *lmdb_path(const char *folder, const char *name);

/** Lock FOLDER for this process. @return its descriptor; -1: WHY says why not, ERR is set */
int lmdb_lock(const char *folder, enum tg_err *err, char *why, size_t why_size);

/** Put VALUE into `meta`. @return as mdb_put() */
int lmdb_meta_put(MDB_txn *txn, MDB_dbi meta, const char *key, uint64_t value, unsigned bytes);

/** Make FOLDER and what is missing above it, all 0700. @return TG_OK, or WHY says why not: TG_ERR_DENIED, TG_ERR_IO, TG_ERR_NO_MEMORY */
enum tg_err lmdb_make_folder(const char *folder, char *why, size_t why_size) TG_MUST_CHECK;

/** If root does something for the user whose FOLDER it is: PATH, in it, is that user's. @return false: it is not, errno says why */
bool lmdb_give_to_owner(const char *folder, const char *path);

/** fsync() the folder PATH. @return false: errno says why */
bool lmdb_sync_folder(const char *path);

/* --- bells: how a thread is woken ------------------------------------------------------------------------------------------------ */

struct lmdb_bell {
    int fd;
    atomic_bool is_armed; /* its thread sleeps, or is about to */
};

bool lmdb_bell_init(struct lmdb_bell *bell);
void lmdb_bell_fini(struct lmdb_bell *bell);
/** Wake the thread that waits. Any thread. */
void lmdb_bell_ring(struct lmdb_bell *bell);
/** Before the last look at what to do; from now on rings are kept. */
void lmdb_bell_arm(struct lmdb_bell *bell);
/** Wait for a ring since lmdb_bell_arm(), for at most TIMEOUT_MS; -1: for ever. */
void lmdb_bell_wait(struct lmdb_bell *bell, int timeout_ms);

/* --- the engine ------------------------------------------------------------------------------------------------------------------ */

struct lmdb_early {          /* a delivery that was over before its record was submitted */
    struct lmdb_early *next; /* of the same record */
    struct lmdb_early *all_next;
    struct lmdb_early **all_link;
    struct store_record *record; /* holds a reference */
    uint32_t recipient;
};

#define LMDB_NO_DOMAIN UINT32_MAX

struct lmdb_deletion {
    uint64_t mid;
    uint32_t behind;    /* not before the batch has nothing to put of this domain */
    bool only_retained; /* the message stays, without the flag */
};

struct lmdb_deletions {
    struct lmdb_deletion *items;
    size_t count;
    size_t capacity;
};

struct lmdb_grave {
    uint64_t mid;
    uint64_t when; /* not before this, monotonic; once that is past, not before so many lazy deletes are through */
    bool only_retained;
};

struct lmdb_session_end { /* more small entries than one transaction should delete */
    struct lmdb_session_end *next;
    uint64_t session;
};

struct lmdb_batch {
    struct store_operation *first;
    struct store_operation **end;
    size_t operations;
    size_t bytes;
    uint64_t since_ms; /* when its first operation was taken */
    size_t announced;  /* of `operations`, with interval_ms: are called done already */
    uint64_t cancelled;
};

struct lmdb_passing { /* goes through operations that may be put before the batch is */
    struct store_operation **link;
    size_t before; /* operations of the batch in front of it */
    bool is_in_queue;
    bool is_blocked[STORE_DOMAINS_MAX]; /* something else of the domain is in front */
};

struct lmdb_store {
    struct store store; /* first */
    struct lmdb_files files;
    uint32_t interval_ms;
    uint64_t size_limit_bytes;
    uint64_t (*monotonic_ms)(void);
    uint64_t (*wall_ms)(void);
    pthread_t writer;
    pthread_t reader;

    /* any thread */
    _Atomic(struct store_operation *) intake; /* a stack: newest first */
    _Atomic(struct store_fetch *) fetches;    /* the same */
    _Atomic uint64_t intake_since_ms;         /* when the oldest of it came */
    _Atomic uint64_t batch_since_ms;          /* 0: there is no batch */
    _Atomic uint64_t waiting_bytes;
    _Atomic uint64_t used_bytes;
    _Atomic uint64_t damaged;
    _Atomic uint64_t fetched;
    atomic_bool is_busy; /* waiting_bytes was above the mark, and has not fallen far enough */
    atomic_bool is_full; /* the file or the disk is */
    atomic_bool is_stopping;
    atomic_bool is_settling;
    _Atomic uint64_t operations_submitted;
    _Atomic uint64_t operations_done; /* and whoever waits for them told */
    _Atomic uint64_t fetches_asked;
    _Atomic uint64_t fetches_done;
    pthread_mutex_t settle_lock;
    pthread_cond_t settled; /* one of the counts above has changed */
    struct lmdb_bell writer_bell;
    struct lmdb_bell reader_bell;
    pthread_mutex_t quarantine_lock;
    pthread_mutex_t figures_lock;
    struct store_figures counts; /* lock: figures_lock */
    atomic_bool backup_is_running;

    /* the persistence thread's */
    struct store_operation *queue; /* taken from the intake, oldest first, not part of a batch yet */
    struct store_operation **queue_end;
    struct lmdb_batch batch;
    uint64_t next_mid;
    uint64_t sessions_reserved;        /* numbers below are; as committed */
    struct lmdb_early *early;          /* all */
    struct lmdb_session_end *ending;   /* sessions with small entries left */
    bool writes_of[STORE_DOMAINS_MAX]; /* the batch has something to put of this domain */
    struct lmdb_deletions dead;        /* collected */
    struct lmdb_deletions after;       /* the same, once what they are behind is committed */
    struct lmdb_deletions round;       /* sorted, being deleted */
    size_t round_at;
    uint64_t dead_since_ms; /* the first of `dead` */
    uint64_t deaths;        /* that ever came into `dead` */
    uint64_t deaths_done;   /* of these: committed, by whole rounds */
    struct lmdb_grave
        *graves; /* a queue: from graves_at to graves_count; those before graves_stamped wait for a round */
    size_t graves_at;
    size_t graves_stamped;
    size_t graves_count;
    size_t graves_capacity;
    uint64_t allocated_bytes; /* of the file, on disk */
    uint64_t measured_ms;
    uint64_t put_bytes;          /* since it was opened */
    uint64_t measured_put_bytes; /* at the last measurement */
    bool is_unmeasured;          /* something was committed since */
    bool can_allocate;
    bool disk_is_full;
    bool is_stuck;     /* said so in the log */
    bool is_recovered; /* who recovers; then who frees */
};

static inline struct lmdb_store *lmdb_of(struct store *store)
{
    return (struct lmdb_store *)store;
}

/** Say what happened, and end the process: what is on disk is in doubt. The text is static. */
_Noreturn void lmdb_fatal(const char *what, int rc);

/** Tell who waits in settle() that counts have changed. */
void lmdb_tell_settled(struct lmdb_store *lmdb);

/** True if RC says that there is no room: in the file, or on the disk. */
bool lmdb_is_room_error(int rc);

/* lmdb_writer.c */
void *lmdb_writer_main(void *arg);
void lmdb_submit(struct store *store, struct store_operation *list);

/* lmdb_batch.c: what operations mean. The persistence thread's. */
/** Take OPERATION into the batch: finishes take effect in memory. */
void lmdb_batch_add(struct lmdb_store *lmdb, struct store_operation *operation);
/** True if the batch has anything to write. */
bool lmdb_batch_has_writes(const struct lmdb_store *lmdb);
/** Call what is in the batch done, and not yet called so. */
void lmdb_batch_announce(struct lmdb_store *lmdb);
/** The batch is on disk, or needs not be: call it done, and free it. */
void lmdb_batch_complete(struct lmdb_store *lmdb);
/**
 * The next operation, in the batch or the queue, that only deletes small entries and has nothing else of its domain in front of it but finishes: with a
 * batch that cannot be put it goes first. PASSING is all zero in the beginning.
 * @return where it is linked; NULL: there is none
 */
struct store_operation **lmdb_passing_next(struct lmdb_store *lmdb, struct lmdb_passing *passing);
/** Go past the operation that it has found. */
void lmdb_passing_skip(struct lmdb_passing *passing);
/** The first COUNT of these are on disk: call them done, and free them. */
void lmdb_passing_complete(struct lmdb_store *lmdb, size_t count);
/** Forget the batch, with nothing called done. */
void lmdb_batch_abandon(struct lmdb_store *lmdb);
/** Free OPERATION, which will never be done: what comes for its record from now on means nothing. */
void lmdb_operation_abandon(struct store_operation *operation);
/** Forget what was finished of records that never came: at the end. */
void lmdb_early_free(struct lmdb_store *lmdb);
/** Delivery NUMBER of RECORD is over. */
void lmdb_finish(struct lmdb_store *lmdb, struct store_record *record, uint32_t number, bool is_replaced);
/** True if the message of RECORD, which was submitted, has to be put. */
bool lmdb_record_is_needed(const struct store_record *record);

/* lmdb_put.c */
struct lmdb_put {
    struct lmdb_store *lmdb;
    MDB_txn *txn;
    MDB_cursor *messages;
    size_t bytes;       /* in this transaction */
    size_t total_bytes; /* of all that the batch took */
    uint64_t next_mid;
    struct lmdb_session_end *ending; /* that are begun in this transaction and not through */
    bool is_alone;                   /* nothing of another operation is in this transaction */
    uint64_t begun_mid;              /* the message of which something is committed already; 0: of none */
};
/** Write the batch and commit, with a slice of lazy deletes. @return 0, or an error of LMDB, with nothing of it that anybody would find */
int lmdb_put_batch(struct lmdb_store *lmdb);
/** Put up to MAX of what passes, and commit. @param out how many; lmdb_passing_complete() then @return an error of LMDB */
int lmdb_put_passing(struct lmdb_store *lmdb, size_t max, size_t *out);

/* lmdb_delete.c */
/** Message MID, or only its retained flag, is to be deleted. With IS_GRAVE not before what it hides; else not before the batch has
 * nothing to put of domain BEHIND; LMDB_NO_DOMAIN: at once. */
void lmdb_delete_later(struct lmdb_store *lmdb, uint64_t mid, bool only_retained, bool is_grave, uint32_t behind);
/** What waited for domains of which the batch has nothing to put any more may be deleted now. */
void lmdb_deletes_release(struct lmdb_store *lmdb);
/** Begin a round if it is time. @return true if there is something to delete now */
bool lmdb_deletes_are_due(struct lmdb_store *lmdb, bool is_pressed);
/** Milliseconds until something is due; -1: nothing waits. */
int lmdb_deletes_due_ms(const struct lmdb_store *lmdb);
/** Delete up to COUNT in TXN. @param out how many it were; lmdb_deletes_advance() once they are committed @return an error of LMDB */
int lmdb_deletes_slice(struct lmdb_store *lmdb, MDB_txn *txn, size_t count, size_t *out);
void lmdb_deletes_advance(struct lmdb_store *lmdb, size_t count);
/** How many a commit should do. */
size_t lmdb_deletes_slice_size(const struct lmdb_store *lmdb);
/** Delete up to COUNT in a transaction of its own. @return an error of LMDB */
int lmdb_deletes_commit(struct lmdb_store *lmdb, size_t count);
/** Delete message MID with all that belongs to it. @return an error of LMDB; 0 if it is not there, too */
int lmdb_delete_message(const struct lmdb_files *files, MDB_txn *txn, uint64_t mid);
/** Delete up to *LEFT entries whose key begins with be64 PREFIX. LEFT is reduced. */
int lmdb_delete_prefix(MDB_txn *txn, MDB_dbi dbi, uint64_t prefix, size_t *left);
/** Delete small entries of SESSION, up to *LEFT; the session's own first. */
int lmdb_delete_session(const struct lmdb_files *files, MDB_txn *txn, uint64_t session, size_t *left);
void lmdb_deletes_free(struct lmdb_store *lmdb);

/* lmdb_space.c */
enum store_admission lmdb_admit(struct store *store, size_t bytes);
/** Submitted, and not yet done. Any thread. */
void lmdb_waiting_add(struct lmdb_store *lmdb, size_t bytes);
void lmdb_waiting_remove(struct lmdb_store *lmdb, size_t bytes);
/** Have the disk's room for the next transactions. */
void lmdb_space_prepare(struct lmdb_store *lmdb);
/** Measure, if it is time. */
void lmdb_space_measure(struct lmdb_store *lmdb, bool now);
/** Bytes of the file that hold something. */
uint64_t lmdb_space_used(MDB_env *env, MDB_txn *txn);

/* lmdb_reader.c */
void *lmdb_reader_main(void *arg);
void lmdb_fetch(struct store *store, struct store_fetch *fetch);
/* lmdb_recover.c */
enum tg_err lmdb_recover(struct store *store, const struct store_visitor *visitor);

/* lmdb_quarantine.c */
/** Copy an entry as it is to the quarantine file of LMDB, say so in the log, and count it. WHY is static. Any thread. */
void lmdb_quarantine(struct lmdb_store *lmdb, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                     const char *why);

/* lmdb_pages.c */
/**
 * Check that what TXN, which has just begun, sees of the file of ENV can be walked and changed safely.
 * @return TG_OK; TG_ERR_CORRUPT: WHY says what is wrong; TG_ERR_AGAIN: another process has written meanwhile; TG_ERR_NO_MEMORY, TG_ERR_IO: WHY is set
 */
enum tg_err lmdb_pages_check(MDB_env *env, MDB_txn *txn, char *why, size_t why_size) TG_MUST_CHECK;
/** The same for the first two pages, before anything else may look at the file behind FD. @return false: WHY says what is wrong */
bool lmdb_head_is_sound(int fd, char *why, size_t why_size);

/* lmdb_backup.c */
enum tg_err lmdb_backup(struct store *store, const char *path);

#endif
