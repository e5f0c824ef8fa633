/* The thread and the request share a job. The request looks at it now and then; should it be gone, the copy is finished all the same. */
#include "web/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/container.h"
#include "gateway/base/err.h"
#include "gateway/base/log.h"
#include "gateway/base/timer_wheel.h"
#include "gateway/store/store.h"
#include "web/admin.h"
#include "web/http.h"

#define LOOK_MS    20u
#define NAME_BYTES 64u
#define NS_PER_MS  1000000u

struct backup {
    struct store *store;
    atomic_bool is_busy; /* taken by who begins, given back by the thread's last word */
    bool has_thread;     /* that is to be joined; owner: who has set is_busy */
    pthread_t thread;    /* the same */
    char folder[];       /* immutable */
};

struct job {
    _Atomic unsigned refs;
    atomic_bool is_over; /* what follows is valid */
    enum tg_err err;
    int error; /* errno; 0: none that says more */
    uint64_t bytes;
    uint64_t ms;
    struct backup *backup;
    char name[NAME_BYTES]; /* immutable */
};

static void job_unref(struct job *job)
{
    if (atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) == 1) {
        free(job);
    }
}

/* --- the thread -------------------------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / NS_PER_MS;
}

/* What was renamed or made in FOLDER outlives a power cut. */
static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* A copy gets its name when it is complete. */
static enum tg_err make_copy(struct job *job, const char *part, const char *path)
{
    struct stat file;
    const char *folder = job->backup->folder;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        job->error = errno;
        return TG_ERR_IO;
    }
    unlink(part);
    struct store *store = job->backup->store;
    errno = 0;
    enum tg_err err = store->engine->backup(store, part);
    if (err == TG_OK && (stat(part, &file) != 0 || rename(part, path) != 0 || !sync_folder(folder))) {
        err = TG_ERR_IO;
    }
    if (err != TG_OK) {
        job->error = errno;
        unlink(part);
        return err;
    }
    job->bytes = (uint64_t)file.st_size;
    return TG_OK;
}

static void work(struct job *job)
{
    uint64_t begun_ms = now_ms(CLOCK_MONOTONIC);
    char *part = NULL, *path = NULL;
    job->err = TG_ERR_NO_MEMORY;
    if (asprintf(&part, "%s/part.mdb", job->backup->folder) < 0) {
        part = NULL;
    }
    if (asprintf(&path, "%s/%s", job->backup->folder, job->name) < 0) {
        path = NULL;
    }
    if (part != NULL && path != NULL) {
        job->err = make_copy(job, part, path);
    }
    job->ms = now_ms(CLOCK_MONOTONIC) - begun_ms;
    if (job->err == TG_OK) {
        log_info("backup written", LOG_STR("path", path), LOG_UNUM("bytes", job->bytes), LOG_UNUM("ms", job->ms));
    } else {
        log_error("backup failed", LOG_STR("path", path), LOG_STR("reason", tg_strerror(job->err)),
                  LOG_ERRNO(job->error));
    }
    free(part);
    free(path);
}

static void *backup_main(void *arg)
{
    struct job *job = arg;
    struct backup *backup = job->backup;
    work(job);
    atomic_store_explicit(&job->is_over, true, memory_order_release);
    job_unref(job);
    atomic_store_explicit(&backup->is_busy, false, memory_order_release);
    return NULL;
}

/* --- the request ------------------------------------------------------------------------------------------------------------------- */

struct waiting { /* owner: the worker's thread */
    struct timer timer;
    struct timer_wheel *timers;
    struct http_request *request;
    struct job *job; /* holds a reference */
};

static void waiting_free(struct waiting *waiting)
{
    timer_wheel_stop(waiting->timers, &waiting->timer);
    job_unref(waiting->job);
    free(waiting);
}

static void on_gone(void *arg)
{
    waiting_free(arg);
}

static void answer(struct http_request *request, const struct job *job)
{
    if (job->err == TG_OK) {
        http_reply_json(request, 201,
                        json_pack("{s:s, s:s, s:I, s:I}", "file", job->name, "folder", job->backup->folder, "bytes",
                                  (json_int_t)job->bytes, "ms", (json_int_t)job->ms));
    } else if (job->error == ENOSPC || job->error == EDQUOT) {
        http_problem(request, 507, "there is no room for the copy");
    } else if (job->err == TG_ERR_LIMIT) {
        http_problem(request, 503, "the copy took too long; it was given up");
    } else {
        http_problem(request, 500, "the copy could not be written: %s",
                     job->error != 0 ? strerror(job->error) : tg_strerror(job->err));
    }
}

static void on_time(struct timer *timer)
{
    struct waiting *waiting = TG_CONTAINER_OF(timer, struct waiting, timer);
    struct http_request *request = waiting->request;
    if (!atomic_load_explicit(&waiting->job->is_over, memory_order_acquire)) {
        timer_wheel_set(waiting->timers, timer, http_now_ms(request) + LOOK_MS);
        return;
    }
    struct job *job = waiting->job;
    atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
    waiting_free(waiting);
    answer(request, job);
    job_unref(job);
}

/* "tidegate-20261124T231309.123Z.mdb" */
static void name_copy(char name[NAME_BYTES])
{
    uint64_t wall_ms = now_ms(CLOCK_REALTIME);
    time_t seconds = (time_t)(wall_ms / 1000u);
    struct tm utc;
    char text[32] = "";
    if (gmtime_r(&seconds, &utc) != NULL) {
        strftime(text, sizeof text, "%Y%m%dT%H%M%S", &utc);
    }
    snprintf(name, NAME_BYTES, "tidegate-%s.%03uZ.mdb", text, (unsigned)(wall_ms % 1000u));
}

/* BACKUP is ours alone. @return false without memory; then it is so no more */
static bool begin(struct backup *backup, struct http_request *request)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    struct job *job = calloc(1, sizeof(*job));
    if (waiting == NULL || job == NULL) {
        goto fail;
    }
    if (backup->has_thread) {
        pthread_join(backup->thread, NULL); /* it has said its last word */
        backup->has_thread = false;
    }
    job->backup = backup;
    atomic_init(&job->refs, 2);
    name_copy(job->name);
    backup->has_thread = true;
    if (pthread_create(&backup->thread, NULL, backup_main, job) != 0) {
        backup->has_thread = false;
        goto fail;
    }
    timer_init(&waiting->timer, on_time);
    waiting->timers = http_timers(request);
    waiting->request = request;
    waiting->job = job;
    timer_wheel_set(waiting->timers, &waiting->timer, http_now_ms(request) + LOOK_MS);
    http_hold(request, on_gone, waiting);
    return true;
fail:
    free(waiting);
    free(job);
    atomic_store_explicit(&backup->is_busy, false, memory_order_release);
    return false;
}

void backup_post(struct http_request *request)
{
    struct backup *backup = http_backup(request);
    if (!admin_is_allowed(request)) {
        return;
    }
    if (backup == NULL) {
        http_problem(request, 409, "the store is in memory alone: there is nothing that a copy could be made of");
        return;
    }
    if (atomic_exchange_explicit(&backup->is_busy, true, memory_order_acq_rel)) {
        http_add_header(request, "Retry-After", "1");
        http_problem(request, 409, "another backup is being written");
        return;
    }
    if (!begin(backup, request)) {
        http_problem(request, 503, "out of memory");
    }
}

/* --- life -------------------------------------------------------------------------------------------------------------------------- */

struct backup *backup_new(struct store *store, const char *folder)
{
    size_t len = strlen(folder);
    struct backup *backup = calloc(1, sizeof(*backup) + len + 1);
    if (backup != NULL) {
        backup->store = store;
        memcpy(backup->folder, folder, len);
    }
    return backup;
}

void backup_free(struct backup *backup)
{
    if (backup != NULL && backup->has_thread) {
        pthread_join(backup->thread, NULL);
    }
    free(backup);
}
