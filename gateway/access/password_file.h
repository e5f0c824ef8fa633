/**
 * A file of user names and password hashes, as Mosquitto reads it: "NAME:HASH" a line.
 *
 * Comments and lines without ':' are passed over; blanks around name and hash do not count; what stands behind another ':' is ignored. An
 * empty or repeated name, a missing or unreadable hash (password_hash.h) and a password in clear make the whole file invalid.
 */
#ifndef GATEWAY_ACCESS_PASSWORD_FILE_H
#define GATEWAY_ACCESS_PASSWORD_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/access/rule_text.h"
#include "protocol/bytes.h"

struct password_file; /* immutable; shared by references, from any thread */

/** Read TEXT (borrowed). Returns owned (password_file_unref()); NULL: FAULT says why. */
struct password_file *password_file_parse(struct bytes text, struct rule_fault *fault);

struct password_file *password_file_ref(struct password_file *file);
void password_file_unref(struct password_file *file); /* NULL is a no-op */

size_t password_file_users(const struct password_file *file);

/** True if there is a user of this NAME. */
bool password_file_has(const struct password_file *file, struct bytes name);

/**
 * True if PASSWORD is that of user NAME. Slow, see password_hash_check(). For a name that is not there it takes as long as for one that is:
 * each such name is checked in vain against an entry that is the same one until the file is read again, chosen by a secret.
 */
bool password_file_check(const struct password_file *file, struct bytes name, struct bytes password);

#endif
