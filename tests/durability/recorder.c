/*
 * LD_PRELOAD: writes down, in order, what a process does to the files in one folder, with content, and when it sends to a socket.
 *
 *      RECORDER_LOG        file to write
 *      RECORDER_FOLDER     absolute path of the folder
 *      RECORDER_FAIL_SYNC  from the sync with this number on, each fails with EIO
 *      RECORDER_CLOCK      seconds by which the wall clock is wrong
 *
 * The log is a sequence of entries, each a struct entry and `content_len` bytes, in the byte order of the machine. A write is entered before it is
 * made, so that nothing is on disk that is not in the log; the end of a sync after it is over. power_cut.py reads it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    ENTRY_OPEN = 1,   /* content: path; offset: flags */
    ENTRY_WRITE,      /* content: what; extra: 1 if the write returns only when it is on disk */
    ENTRY_WRITTEN,    /* such a write has returned */
    ENTRY_SYNC_BEGIN, /* of the whole file */
    ENTRY_SYNC_END,   /* extra: 0 if it succeeded */
    ENTRY_TRUNCATE,   /* offset: new size */
    ENTRY_ALLOCATE,   /* offset: least size from now on */
    ENTRY_RENAME,     /* content: old path, NUL, new path */
    ENTRY_UNLINK,     /* content: path */
    ENTRY_SEND,       /* to a socket; extra: port of the peer */
};

struct entry {
    uint64_t ns; /* CLOCK_MONOTONIC */
    uint64_t offset;
    uint32_t kind;
    uint32_t thread;
    int32_t file; /* number of the file, by inode; -1: none */
    uint32_t extra;
    uint64_t content_len;
};

#define FDS_MAX   65536
#define FILES_MAX 256

struct opened {
    int32_t file; /* number + 1; 0: not one of ours */
    bool is_dsync;
    bool is_append;
};

static struct opened fds[FDS_MAX];
static ino_t files[FILES_MAX];
static unsigned file_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *folder;
static size_t folder_len;

#define REAL(name)  static __typeof__(&name) real_##name
#define FIND(name)  (real_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define READY(name) (real_##name != NULL || FIND(name) != NULL)

REAL(open);
REAL(open64);
REAL(openat);
REAL(openat64);
REAL(close);
REAL(write);
REAL(writev);
REAL(pwrite);
REAL(pwrite64);
REAL(pwritev);
REAL(pwritev64);
REAL(send);
REAL(sendto);
REAL(sendmsg);
REAL(fsync);
REAL(fdatasync);
REAL(ftruncate);
REAL(ftruncate64);
REAL(fallocate);
REAL(posix_fallocate);
REAL(rename);
REAL(unlink);
REAL(clock_gettime);

static unsigned long fail_sync;
static _Atomic unsigned long sync_count;
static long clock_offset;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("RECORDER_LOG");
    const char *fail = getenv("RECORDER_FAIL_SYNC");
    const char *offset = getenv("RECORDER_CLOCK");
    fail_sync = fail != NULL ? strtoul(fail, NULL, 10) : 0;
    clock_offset = offset != NULL ? strtol(offset, NULL, 10) : 0;
    folder = getenv("RECORDER_FOLDER");
    if (path != NULL && folder != NULL && READY(open)) {
        folder_len = strlen(folder);
        log_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

static void log_entry(enum kind kind, int32_t file, uint64_t offset, uint32_t extra, const struct iovec *content,
                      int count)
{
    struct iovec parts[66];
    struct entry entry = {.offset = offset, .kind = kind, .file = file, .extra = extra};
    struct timespec now;
    int saved = errno;

    if (log_fd < 0 || count > 65) {
        return;
    }
    for (int i = 0; i < count; i++) {
        entry.content_len += content[i].iov_len;
        parts[i + 1] = content[i];
    }
    parts[0] = (struct iovec){&entry, sizeof(entry)};
    entry.thread = (uint32_t)syscall(SYS_gettid);
    pthread_mutex_lock(&mutex);
    clock_gettime(CLOCK_MONOTONIC, &now);
    entry.ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    ssize_t written = READY(writev) ? real_writev(log_fd, parts, count + 1) : -1;
    if (written < 0 || (size_t)written != sizeof(entry) + entry.content_len) {
        log_fd = -1; /* a log that lacks something is worse than one that ends */
    }
    pthread_mutex_unlock(&mutex);
    errno = saved;
}

static void log_text(enum kind kind, int32_t file, uint64_t offset, const char *text, size_t len)
{
    struct iovec part = {(void *)(uintptr_t)text, len};
    log_entry(kind, file, offset, 0, &part, 1);
}

static struct opened *opened(int fd)
{
    return fd >= 0 && fd < FDS_MAX && fds[fd].file != 0 ? &fds[fd] : NULL;
}

/* FD was opened with FLAGS: is it one of ours? */
static int note_open(int fd, int flags)
{
    char link[64], path[4096];
    struct stat st;
    int saved = errno;

    if (fd < 0 || fd >= FDS_MAX || log_fd < 0) {
        return fd;
    }
    fds[fd].file = 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path));
    if (len >= (ssize_t)folder_len && memcmp(path, folder, folder_len) == 0 && fstat(fd, &st) == 0) {
        pthread_mutex_lock(&mutex);
        unsigned at = 0;
        while (at < file_count && files[at] != st.st_ino) {
            at++;
        }
        if (at == file_count && at < FILES_MAX) {
            files[file_count++] = st.st_ino;
        }
        pthread_mutex_unlock(&mutex);
        fds[fd].is_dsync = (flags & O_DSYNC) != 0; /* O_SYNC has this bit, too */
        fds[fd].is_append = (flags & O_APPEND) != 0;
        fds[fd].file = (int32_t)at + 1;
        log_text(ENTRY_OPEN, (int32_t)at, (uint64_t)(unsigned)flags, path, (size_t)len);
    }
    errno = saved;
    return fd;
}

static uint64_t position(int fd, const struct opened *file)
{
    off_t at = lseek(fd, 0, file->is_append ? SEEK_END : SEEK_CUR);
    return at < 0 ? 0 : (uint64_t)at;
}

static void before_write(const struct opened *file, uint64_t offset, const struct iovec *iov, int count)
{
    log_entry(ENTRY_WRITE, file->file - 1, offset, file->is_dsync, iov, count);
}

static void after_write(const struct opened *file, uint64_t offset, ssize_t result)
{
    if (file->is_dsync && result >= 0) {
        log_entry(ENTRY_WRITTEN, file->file - 1, offset, (uint32_t)result, NULL, 0);
    }
}

/* About to send to FD, if that is a connection. */
static void note_send(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_storage room;
    } peer;
    socklen_t len = sizeof(peer);
    int saved = errno;

    if (log_fd >= 0 && fd > 2 && getpeername(fd, &peer.any, &len) == 0 && peer.any.sa_family == AF_INET) {
        log_entry(ENTRY_SEND, -1, 0, ntohs(peer.v4.sin_port), NULL, 0);
    }
    errno = saved;
}

#define OPEN_MODE(flags)                                                                                               \
    mode_t mode = 0;                                                                                                   \
    if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) {                                                  \
        va_list args;                                                                                                  \
        va_start(args, flags);                                                                                         \
        mode = va_arg(args, mode_t);                                                                                   \
        va_end(args);                                                                                                  \
    }

int open(const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    return READY(open) ? note_open(real_open(path, flags, mode), flags) : -1;
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    return READY(open64) ? note_open(real_open64(path, flags, mode), flags) : -1;
}

int openat(int at, const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    return READY(openat) ? note_open(real_openat(at, path, flags, mode), flags) : -1;
}

int openat64(int at, const char *path, int flags, ...)
{
    OPEN_MODE(flags)
    return READY(openat64) ? note_open(real_openat64(at, path, flags, mode), flags) : -1;
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        fds[fd].file = 0;
    }
    return READY(close) ? real_close(fd) : -1;
}

ssize_t write(int fd, const void *buf, size_t len)
{
    const struct opened *file = opened(fd);
    struct iovec part = {(void *)(uintptr_t)buf, len};

    if (!READY(write)) {
        return -1;
    }
    if (file == NULL) {
        note_send(fd);
        return real_write(fd, buf, len);
    }
    uint64_t offset = position(fd, file);
    before_write(file, offset, &part, 1);
    ssize_t result = real_write(fd, buf, len);
    after_write(file, offset, result);
    return result;
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    const struct opened *file = opened(fd);

    if (!READY(writev)) {
        return -1;
    }
    if (file == NULL) {
        note_send(fd);
        return real_writev(fd, iov, count);
    }
    uint64_t offset = position(fd, file);
    before_write(file, offset, iov, count);
    ssize_t result = real_writev(fd, iov, count);
    after_write(file, offset, result);
    return result;
}

#define PWRITE(name, offset_type)                                                                                      \
    ssize_t name(int fd, const void *buf, size_t len, offset_type offset)                                              \
    {                                                                                                                  \
        const struct opened *file = opened(fd);                                                                        \
        struct iovec part = {(void *)(uintptr_t)buf, len};                                                             \
        if (!READY(name)) {                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (file == NULL) {                                                                                            \
            return real_##name(fd, buf, len, offset);                                                                  \
        }                                                                                                              \
        before_write(file, (uint64_t)offset, &part, 1);                                                                \
        ssize_t result = real_##name(fd, buf, len, offset);                                                            \
        after_write(file, (uint64_t)offset, result);                                                                   \
        return result;                                                                                                 \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PWRITEV(name, offset_type)                                                                                     \
    ssize_t name(int fd, const struct iovec *iov, int count, offset_type offset)                                       \
    {                                                                                                                  \
        const struct opened *file = opened(fd);                                                                        \
        if (!READY(name)) {                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (file == NULL) {                                                                                            \
            return real_##name(fd, iov, count, offset);                                                                \
        }                                                                                                              \
        before_write(file, (uint64_t)offset, iov, count);                                                              \
        ssize_t result = real_##name(fd, iov, count, offset);                                                          \
        after_write(file, (uint64_t)offset, result);                                                                   \
        return result;                                                                                                 \
    }

PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    note_send(fd);
    return READY(send) ? real_send(fd, buf, len, flags) : -1;
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
    note_send(fd);
    return READY(sendto) ? real_sendto(fd, buf, len, flags, to, to_len) : -1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    note_send(fd);
    return READY(sendmsg) ? real_sendmsg(fd, message, flags) : -1;
}

#define SYNC(name)                                                                                                     \
    int name(int fd)                                                                                                   \
    {                                                                                                                  \
        const struct opened *file = opened(fd);                                                                        \
        if (!READY(name)) {                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (file == NULL) {                                                                                            \
            return real_##name(fd);                                                                                    \
        }                                                                                                              \
        log_entry(ENTRY_SYNC_BEGIN, file->file - 1, 0, 0, NULL, 0);                                                    \
        bool fails = fail_sync != 0 && ++sync_count >= fail_sync;                                                      \
        int result = fails ? -1 : real_##name(fd);                                                                     \
        log_entry(ENTRY_SYNC_END, file->file - 1, 0, result != 0, NULL, 0);                                            \
        if (fails) {                                                                                                   \
            errno = EIO;                                                                                               \
        }                                                                                                              \
        return result;                                                                                                 \
    }

SYNC(fsync)
SYNC(fdatasync)

#define FTRUNCATE(name, offset_type)                                                                                   \
    int name(int fd, offset_type size)                                                                                 \
    {                                                                                                                  \
        const struct opened *file = opened(fd);                                                                        \
        if (file != NULL) {                                                                                            \
            log_entry(ENTRY_TRUNCATE, file->file - 1, (uint64_t)size, 0, NULL, 0);                                     \
        }                                                                                                              \
        return READY(name) ? real_##name(fd, size) : -1;                                                               \
    }

FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    const struct opened *file = opened(fd);
    if (file != NULL && mode == 0) {
        log_entry(ENTRY_ALLOCATE, file->file - 1, (uint64_t)(offset + len), 0, NULL, 0);
    }
    return READY(fallocate) ? real_fallocate(fd, mode, offset, len) : -1;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    const struct opened *file = opened(fd);
    if (file != NULL) {
        log_entry(ENTRY_ALLOCATE, file->file - 1, (uint64_t)(offset + len), 0, NULL, 0);
    }
    return READY(posix_fallocate) ? real_posix_fallocate(fd, offset, len) : ENOSYS;
}

int rename(const char *from, const char *to)
{
    if (log_fd >= 0 && strncmp(to, folder, folder_len) == 0) {
        char both[8192];
        int len = snprintf(both, sizeof(both), "%s%c%s", from, 0, to);
        log_text(ENTRY_RENAME, -1, 0, both, (size_t)len);
    }
    return READY(rename) ? real_rename(from, to) : -1;
}

int unlink(const char *path)
{
    if (log_fd >= 0 && strncmp(path, folder, folder_len) == 0) {
        log_text(ENTRY_UNLINK, -1, 0, path, strlen(path));
    }
    return READY(unlink) ? real_unlink(path) : -1;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!READY(clock_gettime)) {
        return -1;
    }
    int result = real_clock_gettime(clock, out);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        out->tv_sec += clock_offset;
    }
    return result;
}
