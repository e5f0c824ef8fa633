/* A copy while the gateway runs. LMDB writes one snapshot, compacted, into a pipe; we write it to the file, no faster than the disk has to spare,
 * and give up when it takes too long or the store fills up: as long as a snapshot is read, pages that are freed cannot be used again. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/store/lmdb_copy.h"
#include "gateway/store/lmdb_engine.h"

#define PIPE_BYTES (1 << 20)
#define BUF_BYTES  (64u << 10)

struct copier {
    MDB_env *env;
    int fd; /* the pipe's end; closed by the thread */
    int rc;
};

static void *copier_main(void *arg)
{
    struct copier *copier = arg;
    copier->rc = mdb_env_copyfd2(copier->env, copier->fd, MDB_CP_COMPACT);
    close(copier->fd);
    return NULL;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        }
    }
    return true;
}

/* Hold back so that BYTES since BEGUN_MS are not more than the rate allows. */
static void pace(const struct lmdb_copy *copy, uint64_t begun_ms, uint64_t bytes)
{
    if (copy->bytes_per_s == 0) {
        return;
    }
    uint64_t due_ms = begun_ms + bytes * 1000 / copy->bytes_per_s;
    uint64_t now = now_ms();
    if (due_ms > now) {
        uint64_t ms = due_ms - now;
        struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
        nanosleep(&wait, NULL);
    }
}

/* From the pipe to FD. */
static enum tg_err pump(const struct lmdb_copy *copy, int from, int fd, int *error)
{
    uint64_t begun_ms = now_ms();
    uint64_t bytes = 0;
    uint8_t *buf = malloc(BUF_BYTES);
    enum tg_err err = buf != NULL ? TG_OK : TG_ERR_NO_MEMORY;
    while (err == TG_OK) {
        ssize_t len = read(from, buf, BUF_BYTES);
        if (len == 0) {
            break;
        }
        if (len < 0) {
            if (errno != EINTR) {
                *error = errno;
                err = TG_ERR_IO;
            }
            continue;
        }
        if (!write_all(fd, buf, (size_t)len)) {
            *error = errno;
            err = TG_ERR_IO;
            break;
        }
        bytes += (uint64_t)len;
        pace(copy, begun_ms, bytes);
        if ((copy->limit_ms > 0 && now_ms() - begun_ms > copy->limit_ms) ||
            (copy->must_stop != NULL && copy->must_stop(copy->arg))) {
            err = TG_ERR_LIMIT;
        }
    }
    free(buf);
    return err;
}

static enum tg_err copy_through_pipe(MDB_env *env, const struct lmdb_copy *copy, int fd, int *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        *error = errno;
        return TG_ERR_IO;
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    struct copier copier = {.env = env, .fd = ends[1]};
    pthread_t thread;
    sigset_t all;
    sigset_t old;
    sigfillset(&all); /* SIGPIPE above all: the thread has it when we give up */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&thread, NULL, copier_main, &copier);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        close(ends[0]);
        close(ends[1]);
        *error = rc;
        return TG_ERR_IO;
    }
    enum tg_err err = pump(copy, ends[0], fd, error);
    close(ends[0]);
    pthread_join(thread, NULL);
    if (err == TG_OK && copier.rc != 0) {
        *error = copier.rc;
        err = TG_ERR_IO;
    }
    return err;
}

static bool sync_parent(const char *path)
{
    char *folder = strdup(path);
    if (folder == NULL) {
        return false;
    }
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    bool is_done = lmdb_sync_folder(slash != NULL ? folder : ".");
    free(folder);
    return is_done;
}

/* The file has another name until it is whole; link() rather than rename(), so that nothing is replaced. */
static enum tg_err finish_file(int fd, const char *partial, const char *path, int *error)
{
    if (fsync(fd) < 0 || link(partial, path) < 0 || unlink(partial) < 0 || !sync_parent(path)) {
        *error = errno;
        return errno == EEXIST ? TG_ERR_EXISTS : TG_ERR_IO;
    }
    return TG_OK;
}

enum tg_err lmdb_copy(MDB_env *env, const char *path, const struct lmdb_copy *copy, int *error)
{
    size_t size = strlen(path) + sizeof(".partial");
    char *partial = malloc(size);
    *error = 0;
    if (partial == NULL) {
        return TG_ERR_NO_MEMORY;
    }
    snprintf(partial, size, "%s.partial", path);
    enum tg_err err = TG_OK;
    int fd = -1;
    if (access(path, F_OK) == 0) {
        err = TG_ERR_EXISTS;
        *error = EEXIST;
    } else {
        unlink(partial); /* of an earlier attempt that was cut off */
        fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            *error = errno;
            err = TG_ERR_IO;
        }
    }
    if (err == TG_OK) {
        err = copy_through_pipe(env, copy, fd, error);
        err = err != TG_OK ? err : finish_file(fd, partial, path, error);
        close(fd);
        if (err != TG_OK) {
            unlink(partial);
        }
    }
    free(partial);
    return err;
}

/* --- while it runs -------------------------------------------------------------------------------------------------------------- */

#define LIVE_BYTES_PER_S (128ULL << 20)
#define LIVE_LIMIT_MS    (15u * 60 * 1000)

static bool is_filling_up(void *arg)
{
    const struct lmdb_store *lmdb = arg;
    return atomic_load_explicit(&lmdb->is_full, memory_order_relaxed) ||
           atomic_load_explicit(&lmdb->used_bytes, memory_order_relaxed) > lmdb->size_limit_bytes / 10 * 9 ||
           atomic_load(&lmdb->is_stopping);
}

enum tg_err lmdb_backup(struct store *store, const char *path)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    struct lmdb_copy copy = {LIVE_BYTES_PER_S, LIVE_LIMIT_MS, is_filling_up, lmdb};
    int error = 0;
    if (atomic_exchange(&lmdb->backup_is_running, true)) {
        return TG_ERR_LIMIT;
    }
    enum tg_err err = lmdb_copy(lmdb->files.env, path, &copy, &error);
    atomic_store(&lmdb->backup_is_running, false);
    if (err == TG_OK) {
        log_info("store copied", LOG_STR("path", path));
    } else {
        log_error("store not copied", LOG_STR("path", path),
                  LOG_STR("reason", error != 0 ? mdb_strerror(error) : tg_strerror(err)));
    }
    return err;
}
