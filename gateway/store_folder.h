/**
 * The folder of the durable store: where it is when nobody says, and that it is there before root is given up.
 */
#ifndef GATEWAY_STORE_FOLDER_H
#define GATEWAY_STORE_FOLDER_H

#include <stdbool.h>

struct account;
struct config;

/**
 * The path of the store's folder: what CONFIG says, or else the first that there is of
 *
 *      $STATE_DIRECTORY                 a system service (the first of several, divided by colons)
 *      /var/lib/tidegate                another account is to be taken (IS_ROOT, and CONFIG names one)
 *      $XDG_STATE_HOME/tidegate         the user's place for such things
 *      $HOME/.local/state/tidegate
 *
 * Variables that are no absolute path are passed over. Main thread.
 *
 * @return owned, absolute; NULL without memory (errno is ENOMEM), or if there is none of these (ENOENT)
 */
char *store_folder_path(const struct config *config, bool is_root);

/**
 * Let there be a folder at PATH. Folders that are missing above it are made, too: for others to pass through if ACCOUNT is not NULL. The
 * folder itself is for its owner alone, and belongs to ACCOUNT (NULL: whoever we are) if it was made here, or is empty and root's. Main thread.
 *
 * @return false with errno set: ENOTDIR if something else is there
 */
bool store_folder_make(const char *path, const struct account *account) __attribute__((warn_unused_result));

#endif
