/**
 * A process lies in a control group, and each group above it may have a limit, too. /proc/self/cgroup tells the
 * group's path, /proc/self/mountinfo where the tree of groups is mounted and which group its root is (in a
 * container not the topmost):
 *
 *      /proc/self/cgroup     0::/a/b/c
 *      mountinfo             ... /a /sys/fs/cgroup ... - cgroup2 ...
 *      files asked           /sys/fs/cgroup/b/c/memory.max, /sys/fs/cgroup/b/memory.max, /sys/fs/cgroup/memory.max
 */
#include "config/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define LIMIT_UNKNOWN ((size_t)256 * 1024 * 1024)

/** One hierarchy of control groups. */
struct hierarchy {
    const char *fs_type;
    const char *controller; /* NULL: the one of version 2, which has no name */
    const char *files[2];   /* that hold a limit; NULL: no more */
};

static const struct hierarchy hierarchies[] = {
    {"cgroup2", NULL, {"memory.max", "memory.high"}},
    {"cgroup", "memory", {"memory.limit_in_bytes", NULL}},
};

/** Open the file whose path is these parts, one behind the other; NULL if that can't be done. */
static FILE *open_path(const char *root, const char *folder, const char *group, const char *name)
{
    FILE *file = NULL;
    char *path;

    if (asprintf(&path, "%s%s%s/%s", root, folder, group, name) < 0)
        return NULL;
    file = fopen(path, "re");
    free(path);
    return file;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/** RAM of the machine; UINT64_MAX if it does not tell. */
static uint64_t machine_bytes(const char *root)
{
    FILE *file = open_path(root, "/proc", "", "meminfo");
    uint64_t kib = 0;
    char line[256];

    if (!file)
        return UINT64_MAX;
    while (kib == 0 && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) != 1)
            kib = 0;
    }
    fclose(file);
    return kib == 0 || kib > UINT64_MAX / 1024 ? UINT64_MAX : kib * 1024;
}

/** The limit that the file NAME of a group states; UINT64_MAX if there is none ("max", or no such file). */
static uint64_t limit_in(const char *root, const char *mount, const char *group, const char *name)
{
    uint64_t bytes = UINT64_MAX;
    FILE *file = open_path(root, mount, group, name);

    if (!file)
        return UINT64_MAX;
    if (fscanf(file, "%" SCNu64, &bytes) != 1 || bytes == 0)
        bytes = UINT64_MAX;
    fclose(file);
    return bytes;
}

/** The lowest limit of the groups from MOUNT/GROUP up to MOUNT itself. GROUP: "" or "/b/c"; it is cut. */
static uint64_t lowest_limit(const char *root, const struct hierarchy *h, const char *mount, char *group)
{
    uint64_t lowest = UINT64_MAX;

    for (;;) {
        for (size_t i = 0; i < sizeof(h->files) / sizeof(h->files[0]) && h->files[i]; i++)
            lowest = lesser(lowest, limit_in(root, mount, group, h->files[i]));
        char *slash = strrchr(group, '/');
        if (!slash)
            return lowest;
        *slash = '\0';
    }
}

/** True if COMMA_LIST has WORD. */
static bool has_word(const char *comma_list, const char *word)
{
    size_t word_len = strlen(word);

    for (const char *p = comma_list; *p;) {
        size_t len = strcspn(p, ",");
        if (len == word_len && memcmp(p, word, len) == 0)
            return true;
        p += len;
        if (*p == ',')
            p++;
    }
    return false;
}

/**
 * Find the group of this process in H.
 *
 * @param line  out: buffer of getline(3)
 *
 * @return its path, inside *LINE; NULL if there is none
 */
static char *find_group(const char *root, const struct hierarchy *h, char **line, size_t *cap)
{
    FILE *file = open_path(root, "/proc/self", "", "cgroup");
    char *group = NULL;

    while (file && !group && getline(line, cap, file) > 0) {
        char *controllers = strchr(*line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;

        (*line)[strcspn(*line, "\n")] = '\0';
        if (!path)
            continue;
        *controllers++ = '\0';
        *path++ = '\0';
        if (h->controller ? has_word(controllers, h->controller) : controllers[0] == '\0')
            group = path;
    }
    if (file)
        fclose(file);
    return group;
}

/** Undo the octal escapes of mountinfo (blank, tab, newline, backslash) in place. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *p = text; *p;) {
        if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3) {
            *to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 4;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
}

/** What LINE of mountinfo says: the group that is mounted and where, if it is of H. Cuts LINE. */
static bool parse_mount(char *line, const struct hierarchy *h, char **mounted_group, char **mount)
{
    char *field[6] = {NULL};
    char *rest = strstr(line, " - ");
    char *state = NULL;

    if (!rest)
        return false;
    *rest = '\0';
    char *fs_type = strtok_r(rest + 3, " \n", &state);
    char *source = strtok_r(NULL, " \n", &state);
    char *options = strtok_r(NULL, " \n", &state);
    if (!fs_type || strcmp(fs_type, h->fs_type) != 0)
        return false;
    if (h->controller && !(source && options && has_word(options, h->controller)))
        return false;
    field[0] = strtok_r(line, " ", &state);
    for (size_t i = 1; i < sizeof(field) / sizeof(field[0]) && field[i - 1]; i++)
        field[i] = strtok_r(NULL, " ", &state);
    if (!field[4])
        return false;
    unescape(field[3]);
    unescape(field[4]);
    *mounted_group = field[3];
    *mount = field[4];
    return true;
}

/** What of GROUP lies below MOUNTED_GROUP; "" if it is elsewhere: then the mount's root is all we can see. */
static char *below(char *group, const char *mounted_group)
{
    size_t len = strcmp(mounted_group, "/") == 0 ? 0 : strlen(mounted_group);
    char *end = group + strlen(group);

    if (strncmp(group, mounted_group, len) != 0 || (group[len] != '/' && group[len] != '\0'))
        return end;
    if (strcmp(group + len, "/") == 0 || strstr(group + len, "/../"))
        return end;
    return group + len;
}

static uint64_t group_bytes(const char *root, const struct hierarchy *h)
{
    char *group_line = NULL, *line = NULL, *mounted_group, *mount;
    size_t group_cap = 0, cap = 0;
    uint64_t bytes = UINT64_MAX;
    char *group = find_group(root, h, &group_line, &group_cap);
    FILE *file = group ? open_path(root, "/proc/self", "", "mountinfo") : NULL;

    while (file && getline(&line, &cap, file) > 0) {
        if (parse_mount(line, h, &mounted_group, &mount)) {
            bytes = lowest_limit(root, h, mount, below(group, mounted_group));
            break;
        }
    }
    if (file)
        fclose(file);
    free(line);
    free(group_line);
    return bytes;
}

uint64_t memory_available_bytes(const char *root)
{
    uint64_t bytes = machine_bytes(root);

    for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++)
        bytes = lesser(bytes, group_bytes(root, &hierarchies[i]));
    return bytes == UINT64_MAX ? 0 : bytes;
}

size_t memory_limit_bytes(const struct config_limits *limits)
{
    uint64_t half;

    if (limits->memory_bytes > 0)
        return limits->memory_bytes;
    half = memory_available_bytes("") / 2;
    if (half == 0)
        return LIMIT_UNKNOWN;
    return half < SIZE_MAX / 2 ? (size_t)half : SIZE_MAX / 2;
}
