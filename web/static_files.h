/**
 * Files of http.directory, read into memory as a whole: a worker never waits for a disk, a path can name nothing that was not found by
 * walking the folder (there is no way up and out), and what is served does not change in the middle.
 *
 * Regular files only; names that begin with a dot and symbolic links are passed over. "/" and every folder stand for their index.html. The
 * main thread looks now and then whether the folder has changed, and then reads it again.
 */
#ifndef WEB_STATIC_FILES_H
#define WEB_STATIC_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "web/http.h"

struct static_files;

#define STATIC_FILES_MAX       10000u
#define STATIC_FILES_BYTES_MAX (256u * 1024u * 1024u)

/**
 * Read the folder at PATH. Main thread.
 * @return owned; NULL if it cannot be read or is too large, or memory is short: why has been logged
 */
struct static_files *static_files_load(const char *path);

/** Free FILES; what is being sent of them lives on until that is done. NULL is a no-op. Any thread. */
void static_files_free(struct static_files *files);

/** A number that changes when the folder at PATH, names, sizes or times of its files do; the first if it is not there or not to be read. Main thread. */
#define STATIC_FILES_UNREADABLE UINT64_MAX
uint64_t static_files_fingerprint(const char *path);

/** The fingerprint of what FILES was read from. */
uint64_t static_files_fingerprint_of(const struct static_files *files);

/** What answers paths that no other route has. */
extern const struct http_route static_files_route;

#endif
