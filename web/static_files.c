#include "web/static_files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/hash.h"
#include "gateway/base/log.h"
#include "web/http_request.h"

#define INDEX_NAME "/index.html"
#define ETAG_BYTES 20u /* a quoted number of 16 digits */

struct static_file { /* immutable but for its count; any thread */
    char *path;      /* owned; as in a URL: "/app/index.html" */
    const char *type;
    uint8_t *bytes; /* owned */
    size_t len;
    char etag[ETAG_BYTES];
    _Atomic uint32_t refs;
};

struct static_files {           /* immutable */
    struct static_file **files; /* owned, sorted by path */
    size_t count;
    size_t cap;
    size_t bytes;
    uint64_t fingerprint;
};

/* --- media types ------------------------------------------------------------------------------------------------- */

static const char *media_type(const char *path)
{
    static const struct {
        const char *extension;
        const char *type;
    } types[] = {
        {"html", "text/html; charset=utf-8"},
        {"htm", "text/html; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"},
        {"mjs", "text/javascript; charset=utf-8"},
        {"json", "application/json"},
        {"map", "application/json"},
        {"webmanifest", "application/manifest+json"},
        {"txt", "text/plain; charset=utf-8"},
        {"md", "text/markdown; charset=utf-8"},
        {"csv", "text/csv; charset=utf-8"},
        {"xml", "application/xml"},
        {"svg", "image/svg+xml"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},
        {"webp", "image/webp"},
        {"avif", "image/avif"},
        {"ico", "image/x-icon"},
        {"woff", "font/woff"},
        {"woff2", "font/woff2"},
        {"ttf", "font/ttf"},
        {"wasm", "application/wasm"},
        {"pdf", "application/pdf"},
        {"mp3", "audio/mpeg"},
        {"mp4", "video/mp4"},
    };
    const char *dot = strrchr(path, '.');
    const char *slash = strrchr(path, '/');
    if (dot == NULL || (slash != NULL && dot < slash)) {
        return "application/octet-stream";
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(dot + 1, types[i].extension) == 0) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

/* --- reading the folder ------------------------------------------------------------------------------------------ */

static void file_unref(struct static_file *file)
{
    if (file != NULL && atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) == 1) {
        free(file->path);
        free(file->bytes);
        free(file);
    }
}

static bool read_all(int fd, uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, bytes + done, len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* @return owned; NULL if the file at PATH cannot be read or memory is short */
static struct static_file *file_new(const char *path, const char *url_path)
{
    struct stat status;
    struct static_file *file = calloc(1, sizeof(*file));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file == NULL || fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        goto fail;
    }
    atomic_init(&file->refs, 1);
    file->len = (size_t)status.st_size;
    if (file->len > STATIC_FILES_BYTES_MAX) {
        errno = EFBIG;
        goto fail;
    }
    file->bytes = malloc(file->len + 1);
    file->path = strdup(url_path);
    if (file->bytes == NULL || file->path == NULL || !read_all(fd, file->bytes, file->len)) {
        goto fail;
    }
    close(fd);
    file->type = media_type(url_path);
    snprintf(file->etag, sizeof file->etag, "\"%016" PRIx64 "\"", tg_hash(file->bytes, file->len, 0));
    return file;
fail:
    if (fd >= 0) {
        close(fd);
    }
    if (file != NULL) {
        free(file->path);
        free(file->bytes);
        free(file);
    }
    return NULL;
}

/* @return false without memory, or if there are too many */
static bool add_file(struct static_files *files, struct static_file *file)
{
    if (files->count == files->cap) {
        size_t cap = files->cap == 0 ? 64 : files->cap * 2;
        struct static_file **larger = cap > STATIC_FILES_MAX * 2 ? NULL : realloc(files->files, cap * sizeof(*larger));
        if (larger == NULL) {
            return false;
        }
        files->files = larger;
        files->cap = cap;
    }
    files->files[files->count++] = file;
    files->bytes += file->len;
    return files->count <= STATIC_FILES_MAX && files->bytes <= STATIC_FILES_BYTES_MAX;
}

static FTS *open_folder(const char *path)
{
    char *paths[2] = {(char *)(uintptr_t)path, NULL};
    return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
}

/* The next file below FTS that is served; NULL at the end. */
static FTSENT *next_file(FTS *fts)
{
    for (FTSENT *entry; (entry = fts_read(fts)) != NULL;) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.') {
            fts_set(fts, entry, FTS_SKIP);
        } else if (entry->fts_info == FTS_F) {
            return entry;
        }
    }
    return NULL;
}

static uint64_t mix(uint64_t fingerprint, const FTSENT *entry)
{
    const struct stat *status = entry->fts_statp;
    uint64_t parts[5] = {
        fingerprint,
        tg_hash(entry->fts_path, entry->fts_pathlen, 0),
        (uint64_t)status->st_size,
        (uint64_t)status->st_mtim.tv_sec,
        (uint64_t)status->st_mtim.tv_nsec,
    };
    return tg_hash(parts, sizeof parts, 0);
}

/* Independent of the order in which a folder lists its files. */
static uint64_t add_to_fingerprint(uint64_t fingerprint, const FTSENT *entry)
{
    return fingerprint + mix(0, entry);
}

uint64_t static_files_fingerprint(const char *path)
{
    uint64_t fingerprint = 0;
    FTS *fts = access(path, R_OK | X_OK) == 0 ? open_folder(path) : NULL;
    if (fts == NULL) {
        return STATIC_FILES_UNREADABLE;
    }
    for (FTSENT *entry; (entry = next_file(fts)) != NULL;) {
        fingerprint = add_to_fingerprint(fingerprint, entry);
    }
    fts_close(fts);
    return fingerprint;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp((*(struct static_file *const *)a)->path, (*(struct static_file *const *)b)->path);
}

static bool load_all(struct static_files *files, FTS *fts, size_t root_len, const char **reason)
{
    for (FTSENT *entry; (entry = next_file(fts)) != NULL;) {
        files->fingerprint = add_to_fingerprint(files->fingerprint, entry);
        struct static_file *file = file_new(entry->fts_path, entry->fts_path + root_len);
        if (file == NULL) {
            log_warning("file not served", LOG_STR("path", entry->fts_path), LOG_ERRNO(errno));
            continue;
        }
        if (!add_file(files, file)) {
            *reason = "too many files or bytes, or no memory";
            if (files->count == 0 || files->files[files->count - 1] != file) {
                file_unref(file);
            }
            return false;
        }
    }
    return true;
}

struct static_files *static_files_load(const char *path)
{
    const char *reason = "no memory";
    size_t root_len = strlen(path);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        log_error("cannot serve files", LOG_STR("path", path), LOG_ERRNO(errno));
        return NULL;
    }
    close(folder); /* it is one, and may be read: walking along it would just find nothing otherwise */
    struct static_files *files = calloc(1, sizeof(*files));
    FTS *fts = open_folder(path);
    while (root_len > 0 && path[root_len - 1] == '/') {
        root_len--; /* so that what follows begins with a slash */
    }
    bool ok = files != NULL && fts != NULL && load_all(files, fts, root_len, &reason);
    if (fts != NULL) {
        fts_close(fts);
    }
    if (!ok) {
        log_error("cannot serve files", LOG_STR("path", path), LOG_STR("reason", reason));
        static_files_free(files);
        return NULL;
    }
    if (files->count > 1) {
        qsort(files->files, files->count, sizeof(*files->files), compare_files);
    }
    log_info("serving files", LOG_STR("path", path), LOG_UNUM("files", files->count), LOG_UNUM("bytes", files->bytes));
    return files;
}

void static_files_free(struct static_files *files)
{
    if (files == NULL) {
        return;
    }
    for (size_t i = 0; i < files->count; i++) {
        file_unref(files->files[i]);
    }
    free(files->files);
    free(files);
}

uint64_t static_files_fingerprint_of(const struct static_files *files)
{
    return files->fingerprint;
}

/* --- answering --------------------------------------------------------------------------------------------------- */

static struct static_file *find(const struct static_files *files, const char *path)
{
    size_t low = 0, high = files->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(path, files->files[middle]->path);
        if (order == 0) {
            return files->files[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* The file that PATH stands for. IS_FOLDER: it is the name of a folder without its slash, from which relative links would go wrong. */
static struct static_file *look_up(struct http_request *request, const struct static_files *files, bool *is_folder)
{
    size_t len = request->path_len;
    bool ends_in_slash = len > 0 && request->path[len - 1] == '/';
    struct static_file *file = ends_in_slash ? NULL : find(files, request->path);
    if (file != NULL) {
        return file;
    }
    char *index = http_alloc(request, len + sizeof INDEX_NAME);
    if (index == NULL) {
        return NULL;
    }
    memcpy(index, request->path, len);
    memcpy(index + len - (ends_in_slash ? 1 : 0), INDEX_NAME, sizeof INDEX_NAME);
    *is_folder = !ends_in_slash;
    return find(files, index);
}

static void redirect_to_folder(struct http_request *request)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-._~";
    char *location = http_alloc(request, request->path_len * 3 + 2);
    if (location == NULL) {
        http_problem(request, 503, NULL);
        return;
    }
    char *at = location;
    for (size_t i = 0; i < request->path_len; i++) {
        char c = request->path[i];
        if (strchr(plain, c) != NULL) {
            *at++ = c;
        } else {
            at += snprintf(at, 4, "%%%02X", (unsigned)(unsigned char)c);
        }
    }
    memcpy(at, "/", 2);
    http_add_header(request, "Location", location);
    http_reply(request, 308, NULL, NULL, 0);
}

static void release_file(void *file)
{
    file_unref(file);
}

static void handle(struct http_request *request)
{
    const struct static_files *files = http_settings(request)->files;
    bool is_folder = false;
    struct static_file *file = files != NULL ? look_up(request, files, &is_folder) : NULL;
    if (file == NULL) {
        http_problem(request, 404, "there is nothing at this path");
        return;
    }
    if (is_folder) {
        redirect_to_folder(request);
        return;
    }
    struct bytes seen = http_header(request, "if-none-match");
    http_add_header(request, "ETag", file->etag);
    http_add_header(request, "Cache-Control", "no-cache");
    if (seen.len > 0 && strstr((const char *)seen.data, file->etag) != NULL) {
        http_reply(request, 304, NULL, NULL, 0);
        return;
    }
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    http_reply_shared(request, 200, file->type, file->bytes, file->len, (struct http_shared){release_file, file});
}

const struct http_route static_files_route = {
    HTTP_GET, "/*", handle, .summary = "A file of http.directory", .tag = "files", .is_public = true,
};
