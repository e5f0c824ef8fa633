/* Room. Three walls: the configured size of the file, the disk, and memory for what waits to be written. Whoever publishes is refused before any
 * of them is reached; what is left is for what was admitted by then, and for deletes, which need pages themselves.
 *
 * The disk's room is taken ahead in steps, so that a commit finds it there: a full disk is seen here, not in the midst of a transaction. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"

#define WAITING_MAX     (32ULL << 20)
#define WAITING_MIN     (64ULL << 10)
#define STEP_MAX        (64ULL << 20)
#define STEP_MIN        (256ULL << 10)
#define DISK_RESERVE    (64ULL << 20) /* where room cannot be taken ahead */
#define READERS_CHECK_S 10u

/* --- what waits ---------------------------------------------------------------------------------------------------------------- */

static uint64_t waiting_max(const struct lmdb_store *lmdb)
{
    uint64_t share = lmdb->size_limit_bytes / 32; /* a third of what is kept free for it */
    return share > WAITING_MAX ? WAITING_MAX : share < WAITING_MIN ? WAITING_MIN : share;
}

void lmdb_waiting_add(struct lmdb_store *lmdb, size_t bytes)
{
    uint64_t waiting = atomic_fetch_add_explicit(&lmdb->waiting_bytes, bytes, memory_order_relaxed) + bytes;
    if (waiting > waiting_max(lmdb)) {
        atomic_store_explicit(&lmdb->is_busy, true, memory_order_relaxed);
    }
}

void lmdb_waiting_remove(struct lmdb_store *lmdb, size_t bytes)
{
    uint64_t waiting = atomic_fetch_sub_explicit(&lmdb->waiting_bytes, bytes, memory_order_relaxed) - bytes;
    if (waiting < waiting_max(lmdb) / 2) {
        atomic_store_explicit(&lmdb->is_busy, false, memory_order_relaxed);
    }
}

enum store_admission lmdb_admit(struct store *store, size_t bytes)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    uint64_t used = atomic_load_explicit(&lmdb->used_bytes, memory_order_relaxed);
    uint64_t waiting = atomic_load_explicit(&lmdb->waiting_bytes, memory_order_relaxed);
    if (atomic_load_explicit(&lmdb->is_full, memory_order_relaxed) || used + bytes > lmdb->size_limit_bytes / 10 * 9) {
        return STORE_FULL;
    }
    if (atomic_load_explicit(&lmdb->is_busy, memory_order_relaxed) || waiting + bytes > 2 * waiting_max(lmdb)) {
        /* A message that is larger than all that may wait goes when nothing does. */
        return waiting == 0 ? STORE_ADMITTED : STORE_BUSY;
    }
    return STORE_ADMITTED;
}

/* --- the file ------------------------------------------------------------------------------------------------------------------ */

/* Pages in the free list, as far as TXN sees it. */
static int count_free(MDB_txn *txn, uint64_t *out)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, 0, &cursor); /* LMDB's own table: transaction -> count, pages */
    if (rc != 0) {
        return rc;
    }
    uint64_t pages = 0;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count;
        memcpy(&count, value.mv_data, sizeof(count));
        pages += count;
    }
    mdb_cursor_close(cursor);
    *out = pages;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

uint64_t lmdb_space_used(MDB_env *env, MDB_txn *txn)
{
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t free_pages = 0;
    mdb_env_info(env, &info);
    mdb_env_stat(env, &stat);
    if (count_free(txn, &free_pages) != 0) {
        free_pages = 0;
    }
    uint64_t pages = (uint64_t)info.me_last_pgno + 1;
    return (pages > free_pages ? pages - free_pages : 0) * stat.ms_psize;
}

static uint64_t file_end(const struct lmdb_store *lmdb)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(lmdb->files.env, &info);
    mdb_env_stat(lmdb->files.env, &stat);
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static uint64_t step_bytes(const struct lmdb_store *lmdb)
{
    uint64_t share = lmdb->size_limit_bytes / 64;
    return share > STEP_MAX ? STEP_MAX : share < STEP_MIN ? STEP_MIN : share;
}

static void set_disk_full(struct lmdb_store *lmdb, bool is_full, int error)
{
    if (is_full && !lmdb->disk_is_full) {
        log_error("disk is full: messages that must last are refused", LOG_STR("folder", lmdb->files.folder),
                  LOG_ERRNO(error));
    } else if (!is_full && lmdb->disk_is_full) {
        log_info("disk has room again", LOG_STR("folder", lmdb->files.folder));
    }
    lmdb->disk_is_full = is_full;
}

/* Where room cannot be taken ahead: look how much there is. */
static void look_at_disk(struct lmdb_store *lmdb, int fd)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) == 0) {
        set_disk_full(lmdb, (uint64_t)fs.f_bavail * fs.f_frsize < DISK_RESERVE, ENOSPC);
    }
}

void lmdb_space_prepare(struct lmdb_store *lmdb)
{
    mdb_filehandle_t fd;
    uint64_t step = step_bytes(lmdb);
    uint64_t end = file_end(lmdb);
    if (mdb_env_get_fd(lmdb->files.env, &fd) != 0) {
        return;
    }
    if (!lmdb->can_allocate) {
        look_at_disk(lmdb, fd);
    } else if (lmdb->allocated_bytes < end + step && lmdb->allocated_bytes < lmdb->size_limit_bytes) {
        struct stat st;
        if (lmdb->allocated_bytes == 0 && fstat(fd, &st) == 0) {
            lmdb->allocated_bytes = (uint64_t)st.st_size;
        }
        uint64_t target = end + 2 * step;
        target = target > lmdb->size_limit_bytes ? lmdb->size_limit_bytes : target;
        if (target > lmdb->allocated_bytes) {
            int rc = fallocate(fd, 0, (off_t)lmdb->allocated_bytes, (off_t)(target - lmdb->allocated_bytes));
            int error = rc < 0 ? errno : 0;
            if (rc == 0) {
                lmdb->allocated_bytes = target;
                set_disk_full(lmdb, false, 0);
            } else if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
                set_disk_full(lmdb, true, error);
            } else if (error != EINTR) {
                lmdb->can_allocate = false;
            }
        }
    } else {
        set_disk_full(lmdb, false, 0); /* enough is free within the file again */
    }
    if (lmdb->disk_is_full) {
        atomic_store_explicit(&lmdb->is_full, true, memory_order_relaxed);
    }
}

void lmdb_space_measure(struct lmdb_store *lmdb, bool now)
{
    uint64_t time_ms = lmdb->monotonic_ms();
    uint64_t put = lmdb->put_bytes - lmdb->measured_put_bytes;
    if (!now && time_ms - lmdb->measured_ms < LMDB_MEASURE_MS && put < lmdb->size_limit_bytes / 256) {
        lmdb->is_unmeasured = true;
        return;
    }
    MDB_txn *txn;
    MDB_stat stat = {0};
    if (mdb_txn_begin(lmdb->files.env, NULL, MDB_RDONLY, &txn) != 0) {
        return;
    }
    uint64_t used = lmdb_space_used(lmdb->files.env, txn);
    mdb_stat(txn, lmdb->files.tables[LMDB_MESSAGES], &stat);
    mdb_txn_abort(txn);
    if (lmdb->measured_ms / 1000 / READERS_CHECK_S != time_ms / 1000 / READERS_CHECK_S) {
        int dead;
        mdb_reader_check(lmdb->files.env,
                         &dead); /* a tool that was killed beside us would keep pages from being used again */
    }
    lmdb->measured_ms = time_ms;
    lmdb->is_unmeasured = false;
    lmdb->measured_put_bytes = lmdb->put_bytes;
    atomic_store_explicit(&lmdb->used_bytes, used, memory_order_relaxed);
    atomic_store_explicit(&lmdb->is_full, lmdb->is_stuck || lmdb->disk_is_full, memory_order_relaxed);
    pthread_mutex_lock(&lmdb->figures_lock);
    lmdb->counts.messages = stat.ms_entries;
    pthread_mutex_unlock(&lmdb->figures_lock);
}
