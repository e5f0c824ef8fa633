#include "gateway/start_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "gateway/account.h"
#include "gateway/base/log.h"
#include "gateway/store/lmdb.h"
#include "gateway/store/memory.h"
#include "gateway/store_folder.h"

static char *backup_folder(const struct config *config, const char *folder)
{
    char *path;
    if (config->store.backup_path != NULL) {
        return strdup(config->store.backup_path);
    }
    return asprintf(&path, "%s/backups", folder) >= 0 ? path : NULL;
}

bool start_store_folder(const struct config *config, const struct account *account, char **path, char **backups)
{
    *path = *backups = NULL;
    if (config->store.memory) {
        return true;
    }
    char *folder = store_folder_path(config, geteuid() == 0);
    if (folder == NULL && errno == ENOENT) {
        log_error("cannot start",
                  LOG_STR("reason", "neither XDG_STATE_HOME nor HOME is set: store.path must say where the store "
                                    "is, or \"store\": null that there is none"));
        return false;
    }
    if (folder == NULL || !store_folder_make(folder, account)) {
        log_error("cannot start", LOG_STR("reason", "the store's folder cannot be made or used"),
                  LOG_STR("path", folder), LOG_ERRNO(errno));
        free(folder);
        return false;
    }
    *backups = backup_folder(config, folder);
    if (*backups == NULL) {
        log_error("cannot start", LOG_STR("reason", "out of memory"));
        free(folder);
        return false;
    }
    *path = folder;
    return true;
}

static struct store *open_memory(const struct config *config)
{
    struct store *store = store_memory_new();
    if (store == NULL) {
        log_error("cannot start", LOG_STR("reason", "out of memory"));
        return NULL;
    }
    log_info("nothing survives a restart", LOG_STR("store", "memory"),
             LOG_STR("reason", config->store.given ? "\"store\" is null" : "the durable store needs a 64-bit machine"));
    return store;
}

struct store *start_store_open(const struct config *config, const char *path)
{
    char why[STORE_LMDB_WHY_BYTES];
    struct store_figures figures;
    bool waits = config->store.sync == STORE_SYNC_ALWAYS;
    if (path == NULL) {
        return open_memory(config);
    }
    struct store_lmdb_options options = {
        .path = path,
        .size_limit_bytes = config->store.size_limit_bytes,
        .interval_ms = waits ? 0 : config->store.interval_ms,
    };
    struct store *store = store_lmdb_new(&options, why, sizeof why);
    if (store == NULL) {
        log_error("cannot start", LOG_STR("reason", why), LOG_STR("store", path));
        return NULL;
    }
    store->engine->figures(store, &figures);
    log_info("store opened", LOG_STR("path", path), LOG_STR("sync", waits ? "always" : "interval"),
             LOG_UNUM("used_bytes", figures.used_bytes), LOG_UNUM("limit_bytes", figures.limit_bytes));
    if (!waits) {
        log_warning("what was acknowledged may be lost if the gateway or the machine fails",
                    LOG_STR("reason", "store.sync is \"interval\""), LOG_UNUM("at_most_ms", config->store.interval_ms));
    }
    return store;
}
