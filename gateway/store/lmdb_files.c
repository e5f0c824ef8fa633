#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "gateway/base/be.h"
#include "gateway/store/lmdb_engine.h"

#define LOCK_NAME "tidegate.lock"
#define DATA_NAME "data.mdb"

#define LOOK_ATTEMPTS 1000u /* at a file that another process writes to */

const struct lmdb_schema lmdb_schema = {.current = 1};

static enum tg_err say(enum tg_err err, char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static enum tg_err say(enum tg_err err, char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, why_size, format, arguments);
    va_end(arguments);
    return err;
}

char *lmdb_path(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) {
        snprintf(path, size, "%s/%s", folder, name);
    }
    return path;
}

bool lmdb_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool is_done = fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return is_done;
}

bool lmdb_give_to_owner(const char *folder, const char *path)
{
    struct stat st;
    return geteuid() != 0 || (stat(folder, &st) == 0 && lchown(path, st.st_uid, st.st_gid) == 0);
}

/* --- the folder ---------------------------------------------------------------------------------------------------------------- */

/* Make PATH and what is missing above it. The name of what is made is on disk before anything is put into it. */
static bool make_folders(char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return true;
    }
    char *slash = strrchr(path, '/');
    if (errno != ENOENT || slash == NULL || slash == path) {
        return false;
    }
    *slash = '\0';
    bool is_made = make_folders(path) && lmdb_sync_folder(path);
    *slash = '/';
    return is_made && (mkdir(path, 0700) == 0 || errno == EEXIST);
}

enum tg_err lmdb_make_folder(const char *folder, char *why, size_t why_size)
{
    char *path = strdup(folder);
    if (path == NULL) {
        return say(TG_ERR_NO_MEMORY, why, why_size, "out of memory");
    }
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        path[--len] = '\0';
    }
    bool is_made = make_folders(path);
    int error = errno;
    free(path);
    return is_made ? TG_OK
                   : say(error == EACCES || error == EROFS ? TG_ERR_DENIED : TG_ERR_IO, why, why_size,
                         "%s cannot be made: %s", folder, strerror(error));
}

static bool is_remote(const char *folder)
{
    struct statfs fs;
    if (statfs(folder, &fs) < 0) {
        return false;
    }
    switch ((uint32_t)fs.f_type) {
    case 0x6969u:     /* NFS */
    case 0x517Bu:     /* SMB */
    case 0xFF534D42u: /* CIFS */
    case 0xFE534D42u: /* SMB 2 */
        return true;
    default:
        return false;
    }
}

static const char *user_name(uid_t uid, char *buf, size_t size)
{
    const struct passwd *user = getpwuid(uid); /* at the start, in one thread */
    snprintf(buf, size, "%s (uid %lu)", user != NULL ? user->pw_name : "unknown", (unsigned long)uid);
    return buf;
}

/* PATH is ours to write, or is_new. */
static enum tg_err check_owner(const char *path, const struct stat *st, char *why, size_t why_size)
{
    char owner[64];
    char self[64];
    if (st->st_uid != geteuid()) {
        return say(TG_ERR_DENIED, why, why_size, "%s belongs to user %s, and this process runs as %s", path,
                   user_name(st->st_uid, owner, sizeof(owner)), user_name(geteuid(), self, sizeof(self)));
    }
    if (eaccess(path, R_OK | W_OK | (S_ISDIR(st->st_mode) ? X_OK : 0)) < 0) {
        return say(TG_ERR_DENIED, why, why_size, "%s cannot be written: %s", path, strerror(errno));
    }
    return TG_OK;
}

static enum tg_err check_folder(const char *folder, enum lmdb_access access, char *why, size_t why_size)
{
    struct stat st;
    if (stat(folder, &st) < 0) {
        return say(errno == ENOENT ? TG_ERR_NOT_FOUND : TG_ERR_IO, why, why_size, "%s: %s", folder, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return say(TG_ERR_INVALID, why, why_size, "%s is not a folder", folder);
    }
    if (access == LMDB_LOOK) {
        return TG_OK;
    }
    if (is_remote(folder)) {
        return say(TG_ERR_UNSUPPORTED, why, why_size,
                   "%s is on a network file system, where neither locks nor memory maps can be relied on", folder);
    }
    return check_owner(folder, &st, why, why_size);
}

int lmdb_lock(const char *folder, enum tg_err *err, char *why, size_t why_size)
{
    char *path = lmdb_path(folder, LOCK_NAME);
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (fd < 0) {
        *err = path == NULL ? TG_ERR_NO_MEMORY : errno == EACCES || errno == EROFS ? TG_ERR_DENIED : TG_ERR_IO;
        say(*err, why, why_size, "%s/" LOCK_NAME ": %s", folder, path == NULL ? "out of memory" : strerror(errno));
        free(path);
        return -1;
    }
    char holder[32] = "";
    (void)lmdb_give_to_owner(folder, path); /* else its gateway says that it cannot be opened */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        ssize_t len = read(fd, holder, sizeof(holder) - 1);
        holder[len > 0 ? len : 0] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        *err = say(TG_ERR_AGAIN, why, why_size, "%s is in use%s%s (%s is locked)", folder,
                   holder[0] != '\0' ? " by process " : "", holder, path);
        close(fd);
        free(path);
        return -1;
    }
    free(path);
    /* Only for the message above. */
    int len = snprintf(holder, sizeof(holder), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, holder, (size_t)len, 0) < 0) {
        errno = 0;
    }
    return fd;
}

/* --- the environment ------------------------------------------------------------------------------------------------------------ */

/* What LMDB itself would only find out by crashing. */
static enum tg_err check_data(const char *folder, enum lmdb_access access, char *why, size_t why_size)
{
    char *path = lmdb_path(folder, DATA_NAME);
    if (path == NULL) {
        return say(TG_ERR_NO_MEMORY, why, why_size, "out of memory");
    }
    enum tg_err err = TG_OK;
    struct stat st;
    int fd = -1;
    char text[STORE_LMDB_WHY_BYTES];
    if (stat(path, &st) < 0) {
        if (errno != ENOENT || access == LMDB_LOOK) {
            err = say(errno == ENOENT ? TG_ERR_NOT_FOUND : TG_ERR_IO, why, why_size, "%s: %s", path, strerror(errno));
        }
    } else if (!S_ISREG(st.st_mode)) {
        err = say(TG_ERR_INVALID, why, why_size, "%s is not a file", path);
    } else if (access == LMDB_OWN && (err = check_owner(path, &st, why, why_size)) != TG_OK) {
        /* said */
    } else if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        err = say(errno == EACCES ? TG_ERR_DENIED : TG_ERR_IO, why, why_size, "%s: %s", path, strerror(errno));
    } else if (st.st_size > 0 && !lmdb_head_is_sound(fd, text, sizeof(text))) {
        err = say(TG_ERR_CORRUPT, why, why_size, "%s is damaged: %s", path, text);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return err;
}

static enum tg_err say_lmdb(int rc, const struct lmdb_files *files, char *why, size_t why_size)
{
    enum tg_err err =
        rc == EACCES || rc == EROFS ? TG_ERR_DENIED
        : rc == ENOMEM              ? TG_ERR_NO_MEMORY
        : rc == MDB_CORRUPTED || rc == MDB_INVALID || rc == MDB_PAGE_NOTFOUND || rc == MDB_VERSION_MISMATCH
            ? TG_ERR_CORRUPT
            : TG_ERR_IO;
    return say(err, why, why_size, "%s/" DATA_NAME ": %s%s", files->folder, mdb_strerror(rc),
               rc == ENOMEM ? " (does a limit of the address space, ulimit -v, keep the file from being mapped?)" : "");
}

static enum tg_err open_environment(struct lmdb_files *files, enum lmdb_access access, uint64_t size_limit_bytes,
                                    char *why, size_t why_size)
{
    unsigned flags = MDB_NOTLS | (access == LMDB_LOOK ? MDB_RDONLY : 0);
    int rc = mdb_env_create(&files->env);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(files->env, LMDB_TABLES + 1);
    }
    if (rc == 0 && size_limit_bytes > 0) {
        rc = mdb_env_set_mapsize(files->env, (size_t)(size_limit_bytes & ~(uint64_t)0xFFFF));
    }
    if (rc == 0) {
        rc = mdb_env_open(files->env, files->folder, flags, 0600);
    }
    if (rc != 0) {
        return say_lmdb(rc, files, why, why_size);
    }
    char *lock = lmdb_path(files->folder, "lock.mdb");
    if (lock != NULL && access == LMDB_LOOK) {
        (void)lmdb_give_to_owner(files->folder, lock); /* LMDB makes it if it is absent */
    }
    free(lock);
    /* Every page is looked at before LMDB, which trusts them all, follows it. */
    char text[STORE_LMDB_WHY_BYTES] = "";
    enum tg_err err = TG_ERR_AGAIN;
    for (unsigned i = 0; err == TG_ERR_AGAIN && i < LOOK_ATTEMPTS; i++) {
        MDB_txn *txn;
        rc = mdb_txn_begin(files->env, NULL, MDB_RDONLY, &txn);
        if (rc != 0) {
            return say_lmdb(rc, files, why, why_size);
        }
        err = lmdb_pages_check(files->env, txn, text, sizeof(text));
        mdb_txn_abort(txn);
    }
    return err == TG_OK ? TG_OK
                        : say(err, why, why_size, "%s/" DATA_NAME "%s: %s", files->folder,
                              err == TG_ERR_CORRUPT ? " is damaged" : "", text);
}

int lmdb_meta_put(MDB_txn *txn, MDB_dbi meta, const char *key, uint64_t value, unsigned bytes)
{
    uint8_t buf[8];
    tg_put_be(buf, value, bytes);
    return mdb_put(txn, meta, &(MDB_val){strlen(key), (void *)(uintptr_t)key}, &(MDB_val){bytes, buf}, 0);
}

/* A number from `meta`; 0 if it is absent. */
static int meta_get(MDB_txn *txn, MDB_dbi meta, const char *key, unsigned bytes, uint64_t *out)
{
    MDB_val value;
    int rc = mdb_get(txn, meta, &(MDB_val){strlen(key), (void *)(uintptr_t)key}, &value);
    *out = rc == 0 && value.mv_size == bytes ? tg_get_be(value.mv_data, bytes) : 0;
    return rc == 0 && value.mv_size != bytes ? MDB_CORRUPTED : rc == MDB_NOTFOUND ? 0 : rc;
}

/* Bring the store from schema AT to that of SCHEMA. */
static int migrate(MDB_txn *txn, MDB_dbi meta, uint64_t at, const struct lmdb_schema *schema)
{
    for (; at < schema->current; at++) {
        const struct lmdb_step *step = NULL;
        for (size_t i = 0; i < schema->step_count; i++) {
            if (schema->steps[i].from == at) {
                step = &schema->steps[i];
            }
        }
        int rc = step != NULL ? step->run(txn) : MDB_INCOMPATIBLE;
        if (rc != 0) {
            return rc;
        }
    }
    return lmdb_meta_put(txn, meta, "schema", at, 4);
}

static int open_node(struct lmdb_files *files, MDB_txn *txn, bool is_new)
{
    MDB_val key = {4, (void *)(uintptr_t) "node"};
    MDB_val value = {sizeof(files->node), files->node};
    if (is_new) {
        if (getrandom(files->node, sizeof(files->node), 0) != (ssize_t)sizeof(files->node)) {
            return EIO;
        }
        return mdb_put(txn, files->tables[LMDB_META], &key, &value, 0);
    }
    int rc = mdb_get(txn, files->tables[LMDB_META], &key, &value);
    if (rc != 0 || value.mv_size != sizeof(files->node)) {
        return rc != 0 && rc != MDB_NOTFOUND ? rc : MDB_CORRUPTED;
    }
    memcpy(files->node, value.mv_data, sizeof(files->node));
    return 0;
}

/* Read `meta` and open all tables in TXN; with LMDB_OWN also bring the schema up to date, and mark the store as open. */
static enum tg_err open_tables(struct lmdb_files *files, MDB_txn *txn, enum lmdb_access access,
                               const struct lmdb_schema *schema, char *why, size_t why_size)
{
    unsigned create = access == LMDB_OWN ? MDB_CREATE : 0;
    MDB_dbi *meta = &files->tables[LMDB_META];
    uint64_t at = 0;
    uint64_t clean = 0;
    int rc = mdb_dbi_open(txn, lmdb_table_names[LMDB_META], create, meta);
    if (rc == MDB_NOTFOUND) {
        return say(TG_ERR_UNSUPPORTED, why, why_size, "%s/" DATA_NAME " is no store of this program", files->folder);
    }
    rc = rc != 0 ? rc : meta_get(txn, *meta, "schema", 4, &at);
    if (rc != 0) {
        return say_lmdb(rc, files, why, why_size);
    }
    bool is_new = at == 0 && access == LMDB_OWN;
    if (is_new) {
        MDB_stat stat;
        rc = mdb_stat(txn, 1, &stat); /* tables; `meta` is one */
        if (rc == 0 && stat.ms_entries > 1) {
            return say(TG_ERR_UNSUPPORTED, why, why_size, "%s/" DATA_NAME " is no store of this program",
                       files->folder);
        }
        at = schema->current;
    }
    if (at > schema->current) {
        return say(TG_ERR_UNSUPPORTED, why, why_size,
                   "%s was written by a newer version (its schema is %llu, this version knows up to %u)", files->folder,
                   (unsigned long long)at, schema->current);
    }
    if (at < schema->current && access == LMDB_LOOK) {
        return say(TG_ERR_UNSUPPORTED, why, why_size,
                   "%s was written by an older version (schema %llu); start the gateway on it first", files->folder,
                   (unsigned long long)at);
    }
    for (unsigned t = LMDB_META + 1; rc == 0 && t < LMDB_TABLES; t++) {
        rc = mdb_dbi_open(txn, lmdb_table_names[t], create, &files->tables[t]);
    }
    if (rc == 0 && access == LMDB_OWN) {
        rc = migrate(txn, *meta, at, schema);
        if (rc == MDB_INCOMPATIBLE) {
            return say(TG_ERR_UNSUPPORTED, why, why_size, "%s has schema %llu, which is too old for this version",
                       files->folder, (unsigned long long)at);
        }
    }
    rc = rc != 0 ? rc : open_node(files, txn, is_new);
    rc = rc != 0 ? rc : meta_get(txn, *meta, "boot", 8, &files->boot);
    rc = rc != 0 ? rc : meta_get(txn, *meta, "next_session", 8, &files->next_session);
    rc = rc != 0 ? rc : meta_get(txn, *meta, "clean", 1, &clean);
    files->was_clean = clean != 0;
    files->next_session = files->next_session > 0 ? files->next_session : 1;
    if (rc == 0 && access == LMDB_OWN) {
        rc = lmdb_meta_put(txn, *meta, "boot", ++files->boot, 8);
        rc = rc != 0 ? rc : lmdb_meta_put(txn, *meta, "clean", 0, 1);
    }
    return rc != 0 ? say_lmdb(rc, files, why, why_size) : TG_OK;
}

enum tg_err lmdb_files_open(struct lmdb_files *out, const char *folder, enum lmdb_access access,
                            uint64_t size_limit_bytes, const struct lmdb_schema *schema, char *why, size_t why_size)
{
    struct lmdb_files files = {.folder = strdup(folder), .lock_fd = -1};
    enum tg_err err = TG_OK;
    MDB_txn *txn = NULL;
    if (files.folder == NULL) {
        return say(TG_ERR_NO_MEMORY, why, why_size, "out of memory");
    }
    size_t len = strlen(files.folder);
    while (len > 1 && files.folder[len - 1] == '/') {
        files.folder[--len] = '\0';
    }
    if (access == LMDB_OWN && !make_folders(files.folder)) {
        err = say(errno == EACCES || errno == EROFS ? TG_ERR_DENIED : TG_ERR_IO, why, why_size, "%s cannot be made: %s",
                  files.folder, strerror(errno));
        goto fail;
    }
    err = check_folder(files.folder, access, why, why_size);
    if (err == TG_OK && access == LMDB_OWN) {
        files.lock_fd = lmdb_lock(files.folder, &err, why, why_size);
    }
    if (err == TG_OK) {
        err = check_data(files.folder, access, why, why_size);
    }
    if (err == TG_OK) {
        err = open_environment(&files, access, size_limit_bytes, why, why_size);
    }
    if (err != TG_OK) {
        goto fail;
    }
    int rc = mdb_txn_begin(files.env, NULL, access == LMDB_LOOK ? MDB_RDONLY : 0, &txn);
    if (rc != 0) {
        txn = NULL;
        err = say_lmdb(rc, &files, why, why_size);
        goto fail;
    }
    err = open_tables(&files, txn, access, schema, why, why_size);
    if (err != TG_OK) {
        goto fail;
    }
    rc = mdb_txn_commit(txn);
    txn = NULL;
    if (rc == 0 && access == LMDB_OWN && !lmdb_sync_folder(files.folder)) {
        rc = errno;
    }
    if (rc != 0) {
        err = say_lmdb(rc, &files, why, why_size);
        goto fail;
    }
    *out = files;
    return TG_OK;
fail:
    mdb_txn_abort(txn);
    lmdb_files_close(&files);
    return err;
}

void lmdb_files_close(struct lmdb_files *files)
{
    if (files->env != NULL) {
        mdb_env_close(files->env);
    }
    if (files->lock_fd >= 0) {
        close(files->lock_fd);
    }
    free(files->folder);
    *files = (struct lmdb_files){.lock_fd = -1};
}
