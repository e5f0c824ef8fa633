#include "config/text_check.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/topic.h"

#define ACCOUNT_BYTES_MIN 1024u
#define ACCOUNT_BYTES_MAX (1024u * 1024u) /* of what the system knows about one account */

const char *text_check_absolute_path(const char *text)
{
    if (text[0] != '/')
        return "must be an absolute path";
    return text[strlen(text) - 1] == '/' ? "must name a file, not a folder" : NULL;
}

const char *text_check_account(const char *text)
{
    struct passwd account, *found = NULL;
    char *buffer = NULL;
    int error = ERANGE;

    for (size_t bytes = ACCOUNT_BYTES_MIN; error == ERANGE && bytes <= ACCOUNT_BYTES_MAX; bytes *= 4) {
        char *larger = realloc(buffer, bytes);
        if (!larger) {
            error = ENOMEM;
            break;
        }
        buffer = larger;
        error = getpwnam_r(text, &account, buffer, bytes, &found);
    }
    free(buffer);
    if (found)
        return NULL;
    return error == ENOMEM || error == ERANGE || error == EIO || error == EMFILE || error == ENFILE
               ? "cannot be looked up among the accounts of this machine"
               : "must be an account of this machine";
}

const char *text_check_topic_prefix(const char *text)
{
    if (text[0] == '\0')
        return NULL;
    if (!topic_name_is_valid(bytes_from_string(text)))
        return "must not contain '+' or '#'";
    return text[0] == '$' ? "must not begin with '$'" : NULL;
}
