#include "gateway/store_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "gateway/account.h"

#define SYSTEM_FOLDER "/var/lib/tidegate"
#define OWN_MODE      0700
#define SHARED_MODE   0755

/* --- where it is ----------------------------------------------------------------------------------------------------------------- */

/* An absolute path from the environment. @return NULL if there is none */
static const char *path_in(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

/* The first LEN bytes of FOLDER, and BELOW. @return owned; NULL without memory */
static char *join(const char *folder, size_t len, const char *below)
{
    char *path;
    return asprintf(&path, "%.*s%s", (int)len, folder, below) >= 0 ? path : NULL;
}

char *store_folder_path(const struct config *config, bool is_root)
{
    const char *base;
    errno = ENOMEM;
    if (config->store.path != NULL) {
        return strdup(config->store.path);
    }
    if ((base = path_in("STATE_DIRECTORY")) != NULL) {
        return join(base, strcspn(base, ":"), "");
    }
    if (is_root && config->user != NULL) {
        return strdup(SYSTEM_FOLDER);
    }
    if ((base = path_in("XDG_STATE_HOME")) != NULL) {
        return join(base, strlen(base), "/tidegate");
    }
    if ((base = path_in("HOME")) != NULL) {
        return join(base, strlen(base), "/.local/state/tidegate");
    }
    errno = ENOENT;
    return NULL;
}

/* --- making it ------------------------------------------------------------------------------------------------------------------- */

static bool make_one(const char *path, mode_t mode)
{
    struct stat there;
    if (mkdir(path, mode) == 0) {
        return true;
    }
    if (errno == EEXIST && stat(path, &there) == 0 && !S_ISDIR(there.st_mode)) {
        errno = ENOTDIR;
    }
    return false;
}

/* Make what is missing above PATH, which is changed meanwhile. */
static bool make_parents(char *path, mode_t mode)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = make_one(path, mode);
        bool is_there = made || errno == EEXIST;
        *slash = '/';
        if (!is_there) {
            return false;
        }
    }
    return true;
}

static bool is_empty(int folder)
{
    bool found = false;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    if (names == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    for (struct dirent *name; !found && (name = readdir(names)) != NULL;) {
        found = strcmp(name->d_name, ".") != 0 && strcmp(name->d_name, "..") != 0;
    }
    closedir(names);
    return !found;
}

/* A folder that root has made in advance is taken for the account; one in which there is something is not ours to give away. */
static bool give_to(const char *path, const struct account *account, bool was_made)
{
    struct stat there;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return false;
    }
    bool ok = fstat(folder, &there) == 0;
    if (ok && (was_made || (there.st_uid == 0 && is_empty(folder)))) {
        ok = fchown(folder, account->uid, account->gid) == 0;
    }
    int error = errno;
    close(folder);
    errno = error;
    return ok;
}

bool store_folder_make(const char *path, const struct account *account)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        errno = ENOMEM;
        return false;
    }
    for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--) {
        copy[len - 1] = '\0';
    }
    bool ok = make_parents(copy, account != NULL ? SHARED_MODE : OWN_MODE);
    bool was_made = ok && make_one(copy, OWN_MODE);
    ok = ok && (was_made || errno == EEXIST);
    if (ok && account != NULL) {
        ok = give_to(copy, account, was_made);
    }
    int error = errno;
    free(copy);
    errno = error;
    return ok;
}
