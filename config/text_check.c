#include "config/text_check.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
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

const char *text_check_file(const char *text)
{
    return text[0] != '\0' && text[strlen(text) - 1] == '/' ? "must name a file, not a folder" : NULL;
}

const char *text_check_folder(const char *text)
{
    return text[0] == '/' ? NULL : "must be an absolute path";
}

#define DIGITS     "0123456789"
#define LOWER      "abcdefghijklmnopqrstuvwxyz"
#define UPPER      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NAME_CHARS DIGITS LOWER UPPER "-."

const char *text_check_host(const char *text)
{
    size_t len = strspn(text, NAME_CHARS);

    if (strcmp(text, "*") == 0)
        return NULL;
    if (len == 0 || text[len] != '\0' || strchr("-.", text[0]) || strchr("-.", text[len - 1]))
        return "must be the name of a host, without port, or \"*\"";
    return NULL;
}

/** Length of the host that TEXT begins with: a lower case name, or an address in brackets. 0: there is none. */
static size_t origin_host_len(const char *text)
{
    size_t len;

    if (text[0] != '[')
        return strspn(text, DIGITS LOWER "-._");
    len = 1 + strspn(text + 1, DIGITS "abcdef:.");
    return text[len] == ']' ? len + 1 : 0;
}

const char *text_check_origin(const char *text)
{
    static const char wrong[] =
        "must be an origin as browsers write it: scheme and host in lower case, a port if it is not "
        "the scheme's own, no path, such as \"https://app.example\"";
    bool secure = strncmp(text, "https://", 8) == 0;
    const char *host = text + (secure ? 8 : 7);

    if (!secure && strncmp(text, "http://", 7) != 0)
        return wrong;
    const char *rest = host + origin_host_len(host);
    if (rest == host || strcmp(rest, secure ? ":443" : ":80") == 0)
        return wrong;
    if (*rest == ':') {
        size_t digits = strspn(rest + 1, DIGITS);
        rest += digits > 0 && digits <= 5 ? 1 + digits : 0;
    }
    return *rest == '\0' ? NULL : wrong;
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
