#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/store/lmdb_engine.h"

#define FILE_NAME      "quarantine.ndjson"
#define FILE_BYTES_MAX (256ULL << 20) /* damaged entries beyond are counted and logged, not kept */

static char *put_hex(char *at, const MDB_val *bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes->mv_data;
    for (size_t i = 0; i < bytes->mv_size; i++) {
        *at++ = digits[from[i] >> 4];
        *at++ = digits[from[i] & 15];
    }
    return at;
}

/* One line for an entry. Returns owned; NULL without memory. */
static char *make_line(uint64_t time_ms, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                       const char *why, size_t *len)
{
    char *line = malloc(256 + 2 * (key->mv_size + value->mv_size));
    if (line == NULL) {
        return NULL;
    }
    char *at = line + snprintf(line, 200, "{\"time_ms\":%llu,\"table\":\"%s\",\"why\":\"%s\",\"key\":\"",
                               (unsigned long long)time_ms, lmdb_table_names[table], why);
    at = put_hex(at, key);
    at = stpcpy(at, "\",\"value\":\"");
    at = put_hex(at, value);
    at = stpcpy(at, "\"}\n");
    *len = (size_t)(at - line);
    return line;
}

/* @return 0, or an errno */
static int append(const char *folder, const char *line, size_t len)
{
    char *path = lmdb_path(folder, FILE_NAME);
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    int error = path == NULL ? ENOMEM : fd < 0 ? errno : 0;
    free(path);
    if (fd < 0) {
        return error;
    }
    if (lseek(fd, 0, SEEK_END) > (off_t)FILE_BYTES_MAX) {
        error = EFBIG;
    }
    while (error == 0 && len > 0) {
        ssize_t written = write(fd, line, len);
        if (written >= 0) {
            line += written;
            len -= (size_t)written;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    if (error == 0 && fdatasync(fd) < 0) {
        error = errno;
    }
    close(fd);
    return error;
}

void lmdb_quarantine(struct lmdb_store *lmdb, enum lmdb_table table, const MDB_val *key, const MDB_val *value,
                     const char *why)
{
    size_t len = 0;
    char *line = make_line(lmdb->wall_ms(), table, key, value, why, &len);
    int error = ENOMEM;
    atomic_fetch_add_explicit(&lmdb->damaged, 1, memory_order_relaxed);
    if (line != NULL) {
        pthread_mutex_lock(&lmdb->quarantine_lock);
        error = append(lmdb->files.folder, line, len);
        pthread_mutex_unlock(&lmdb->quarantine_lock);
        free(line);
    }
    log_error("damaged entry in the store", LOG_STR("table", lmdb_table_names[table]), LOG_STR("reason", why),
              LOG_UNUM("bytes", value->mv_size), LOG_STR("kept_in", error == 0 ? FILE_NAME : strerrordesc_np(error)));
}
