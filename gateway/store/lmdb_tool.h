/**
 * What an administrator does with a store from the command line: `tidegate store check|dump|backup|compact|restore`.
 *
 * Each function prints what went wrong to stderr, one line for each problem, and returns an exit status: 0; 1 if the store has damaged entries; 2 if the thing
 * could not be done.
 */
#ifndef GATEWAY_STORE_LMDB_TOOL_H
#define GATEWAY_STORE_LMDB_TOOL_H

#include <stdbool.h>
#include <stdio.h>

/** Read everything in FOLDER, verify it, and print counts to OUT. Beside a running gateway, too. */
int lmdb_tool_check(const char *folder, FILE *out);

/** Print everything in FOLDER to OUT, one JSON object in a line; binary as hexadecimal digits. Beside a running gateway, too. */
int lmdb_tool_dump(const char *folder, FILE *out);

/** A compact copy of what is in FOLDER as a new file PATH. Beside a running gateway, too; it takes as long as it takes. */
int lmdb_tool_backup(const char *folder, const char *path);

/** Give back the room that FOLDER does not need, and print how much it was to OUT. Not while a gateway has it. */
int lmdb_tool_compact(const char *folder, FILE *out);

/** Make FOLDER hold what the backup PATH does. Not while a gateway has it; if there is a store, only with IS_FORCED. */
int lmdb_tool_restore(const char *path, const char *folder, bool is_forced);

#endif
