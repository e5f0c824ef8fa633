/**
 * The store that the configuration asks for: where it is, opening it, and what is said about it in the log.
 */
#ifndef GATEWAY_START_STORE_H
#define GATEWAY_START_STORE_H

#include <stdbool.h>

struct account;
struct config;
struct store;

/**
 * Find and make the folder of CONFIG's store while we may, for ACCOUNT (NULL: us). Main thread.
 *
 * @param path out: owned by the caller; NULL if the store is in memory
 * @param backups out: owned by the caller; the folder for copies of it, which need not be there; NULL like PATH
 * @return false: why has been logged
 */
bool start_store_folder(const struct config *config, const struct account *account, char **path, char **backups)
    __attribute__((warn_unused_result));

/** Open the store in the folder PATH (NULL: in memory), and log what it promises. @return owned; NULL: why has been logged */
struct store *start_store_open(const struct config *config, const char *path);

#endif
