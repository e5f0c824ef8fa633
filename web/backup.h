/**
 * POST /api/v1/backup: a consistent copy of the store, written by a thread of its own while the gateway serves.
 *
 * Where it goes is for the configuration to say alone; the answer tells the name that it was given. One at a time.
 */
#ifndef WEB_BACKUP_H
#define WEB_BACKUP_H

struct backup;
struct http_request;
struct store;

/** For copies of STORE (borrowed) in FOLDER (copied), which is made when it is needed. Returns owned; NULL without memory. */
struct backup *backup_new(struct store *store, const char *folder);

/** Wait until the one that is under way has ended, and free BACKUP. No worker runs any more. NULL is a no-op. */
void backup_free(struct backup *backup);

/** The handler. */
void backup_post(struct http_request *request);

#endif
