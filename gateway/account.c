#include "gateway/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

const char *account_find(const char *name, struct account *out)
{
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (entry == NULL) {
        return errno != 0 ? "the account cannot be looked up" : "there is no such account";
    }
    *out = (struct account){name, entry->pw_uid, entry->pw_gid};
    return NULL;
}

static bool is_nothing_else(const struct account *account)
{
    uid_t real_uid, effective_uid, saved_uid;
    gid_t real_gid, effective_gid, saved_gid;
    return getresuid(&real_uid, &effective_uid, &saved_uid) == 0 &&
           getresgid(&real_gid, &effective_gid, &saved_gid) == 0 && real_uid == account->uid &&
           effective_uid == account->uid && saved_uid == account->uid && real_gid == account->gid &&
           effective_gid == account->gid && saved_gid == account->gid;
}

const char *account_become(const struct account *account)
{
    errno = 0;
    if (geteuid() != 0) {
        return is_nothing_else(account) ? NULL : "only root can become another account";
    }
    if (initgroups(account->name, account->gid) != 0) {
        return "the groups of the account cannot be taken";
    }
    if (setresgid(account->gid, account->gid, account->gid) != 0) {
        return "the group of the account cannot be taken";
    }
    if (setresuid(account->uid, account->uid, account->uid) != 0) {
        return "the account cannot be taken";
    }
    errno = 0;
    if (!is_nothing_else(account) || (account->uid != 0 && setuid(0) == 0)) {
        return "root could not be given up";
    }
    return NULL;
}
