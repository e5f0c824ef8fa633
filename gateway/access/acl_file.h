/**
 * Who may publish and read what, from a file as Mosquitto reads it.
 *
 *      topic [ACCESS] FILTER       before the first "user": for clients without a user name, and for them alone
 *      user NAME                   what follows is for this user; may come again, rules add up
 *      topic [ACCESS] FILTER
 *      pattern [ACCESS] FILTER     for everybody, wherever it stands; a level %c is the client id, a level %u the user name
 *
 * ACCESS is read, write, readwrite (when nothing stands there) or deny. Words are separated by spaces, not tabs.
 *
 *      1. the client's own rules (of its user, or those for clients without): a deny that matches decides, else a grant that matches
 *      2. only if none of them did: the patterns, in the same way; none for who has '+' or '#' in its id or name (CVE-2017-7650)
 *      3. no
 *
 * So a "pattern deny" does not take what a user's own "topic" gives. Topics that begin with '$' are matched by rules that begin with '$' alone.
 *
 * The order of rules within a list means nothing, so each list is a trie whose nodes say what ends there: a question costs what the levels of
 * its topic cost, however long the list is. All tries share one array of nodes and one hash table of (parent, level).
 */
#ifndef GATEWAY_ACCESS_ACL_FILE_H
#define GATEWAY_ACCESS_ACL_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/access/access.h"
#include "gateway/access/rule_text.h"
#include "protocol/bytes.h"

#define ACL_LEVELS_MAX 200u /* of a filter in the file */

struct acl; /* immutable; any thread */

/** Read TEXT (borrowed). Returns owned (acl_free()); NULL: FAULT says why. */
struct acl *acl_parse(struct bytes text, struct rule_fault *fault);

void acl_free(struct acl *acl); /* NULL is a no-op */

/** Whom is asked about. */
struct acl_client {
    struct bytes client_id; /* empty: has none; then no %c is it */
    struct bytes user_name; /* empty: has none */
};

bool acl_may_write(const struct acl *acl, const struct acl_client *client, struct bytes topic);
bool acl_may_read(const struct acl *acl, const struct acl_client *client, struct bytes topic);

/**
 * How much of what FILTER (valid, without "$share/NAME/") matches CLIENT may read. ACCESS_NONE exactly if there is no topic that it
 * matches and that may be read; ACCESS_ALL only if all may be. Without memory ACCESS_SOME instead of ACCESS_NONE.
 */
enum access_class acl_classify(const struct acl *acl, const struct acl_client *client, struct bytes filter);

/** True if some rule is for a user name, or has %u: it means something only where names are verified. */
bool acl_has_users(const struct acl *acl);

/** The line of the first pattern that has neither %c nor %u, which is probably a mistake; 0: none. */
unsigned acl_plain_pattern_line(const struct acl *acl);

#endif
