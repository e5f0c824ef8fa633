/**
 * The provider of files: users and passwords from a password file, rules from an ACL file, as Mosquitto's.
 *
 *      no user name     let in if anonymous clients are; the rules for clients without a user name are theirs
 *      user name        the password must be that of the file. Without a password file names cannot be verified and are not believed:
 *                       such a client is one without
 *      no ACL file      everybody who is in may do everything
 *
 * Passwords are checked on threads of their own; answers come back through the asking thread's port (access_request.port). Those that were
 * right are remembered for a minute (verified_cache.h).
 *
 * What the files say is one immutable struct behind a pointer (RCU: asking threads are registered readers). A reload makes a new one, or,
 * if anything is wrong with a file, keeps the old one; then access.generation rises, everything that was decided by older rules is
 * decided again, and who is not welcome any more is disconnected.
 */
#ifndef GATEWAY_ACCESS_ACCESS_FILES_H
#define GATEWAY_ACCESS_ACCESS_FILES_H

#include <stdbool.h>

#include "gateway/access/access.h"
#include "gateway/access/rule_text.h"

struct access_files_options {  /* borrowed for the call */
    const char *password_file; /* NULL: none */
    const char *acl_file;      /* NULL: none */
    bool anonymous;            /* clients without a user name are let in */
};

/** What is wrong with which file; FILE is one of the options'. */
struct access_files_fault {
    const char *file;
    struct rule_fault fault;
};

/**
 * Read the files of OPTIONS and forget them. @return false: FAULT is set
 */
bool access_files_check(const struct access_files_options *options, struct access_files_fault *fault)
    __attribute__((warn_unused_result));

/**
 * A provider for ports numbered below PLACES. Returns owned, NULL with FAULT set (file NULL: no memory). Main thread.
 */
struct access *access_files_new(const struct access_files_options *options, unsigned places,
                                struct access_files_fault *fault);

/**
 * Read the files again and follow OPTIONS. @return false: FAULT is set, and nothing has changed. One thread at a time, a registered RCU
 * reader that is online.
 */
bool access_files_reload(struct access *access, const struct access_files_options *options,
                         struct access_files_fault *fault) __attribute__((warn_unused_result));

#endif
