/* The tools themselves are the engine's (gateway/store/lmdb_tool.h); here it is found out what they are to work on. */
#include "gateway/store_command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/report.h"
#include "gateway/account.h"
#include "gateway/store/lmdb_tool.h"
#include "gateway/store_folder.h"

#define EXIT_REFUSED 2

struct request {
    const char *config_path; /* NULL: none was given */
    const char *path;        /* of the store's folder; NULL: the configuration says */
    const char *file;        /* of a backup; NULL: the command takes none */
    bool is_forced;
    struct config *config; /* owned; NULL: not needed */
    char *folder;          /* owned */
};

struct command {
    const char *name;
    bool takes_file;
    int (*run)(const struct request *request);
};

/* --- commands ---------------------------------------------------------------------------------------------------------------------- */

static int check(const struct request *request)
{
    return lmdb_tool_check(request->folder, stdout);
}

static int dump(const struct request *request)
{
    return lmdb_tool_dump(request->folder, stdout);
}

static int backup(const struct request *request)
{
    return lmdb_tool_backup(request->folder, request->file);
}

static int compact(const struct request *request)
{
    return lmdb_tool_compact(request->folder, stdout);
}

static int restore(const struct request *request)
{
    return lmdb_tool_restore(request->file, request->folder, request->is_forced);
}

static const struct command commands[] = {
    {"check", false, check},     {"dump", false, dump},      {"backup", true, backup},
    {"compact", false, compact}, {"restore", true, restore},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* --- command line ------------------------------------------------------------------------------------------------------------------ */

static void print_help(FILE *stream)
{
    fputs(
        "usage: tidegate store check|dump|compact [--config FILE.json | --path FOLDER]\n"
        "       tidegate store backup FILE        [--config FILE.json | --path FOLDER]\n"
        "       tidegate store restore FILE       [--config FILE.json | --path FOLDER] [--force]\n"
        "\n"
        "  check              read everything, verify it, and print counts\n"
        "  dump               print everything, one JSON object in a line\n"
        "  backup             copy the store to the new file FILE\n"
        "  compact            give back the room that the store does not need; not while a gateway has it open\n"
        "  restore            make the store what FILE, a backup, holds; not while a gateway has it open\n"
        "\n"
        "  -c, --config FILE  work on the store of this configuration; without it and --path, on that of a gateway "
        "without one\n"
        "      --path FOLDER  work on the store in FOLDER\n"
        "      --force        let restore take the place of a store that is there\n"
        "      --help         print this\n"
        "\n"
        "exit status: 0; 1 if the store has damaged entries; 2 if the command line is wrong or it could not be done\n",
        stream);
}

static int refuse(const char *problem, const char *what)
{
    fprintf(stderr, "tidegate store: %s%s%s\n", problem, what[0] != '\0' ? ": " : "", what);
    return EXIT_REFUSED;
}

/* @return -1 to go on, else the exit status */
static int parse(int argc, char **argv, struct request *request, const struct command **command)
{
    enum { OPTION_PATH = 256, OPTION_FORCE, OPTION_HELP };
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"path", required_argument, NULL, OPTION_PATH},
        {"force", no_argument, NULL, OPTION_FORCE},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:", known, NULL)) != -1;) {
        switch (option) {
        case 'c':
            request->config_path = optarg;
            break;
        case OPTION_PATH:
            request->path = optarg;
            break;
        case OPTION_FORCE:
            request->is_forced = true;
            break;
        case OPTION_HELP:
            print_help(stdout);
            return EXIT_SUCCESS;
        default:
            print_help(stderr);
            return EXIT_REFUSED;
        }
    }
    *command = optind < argc ? find(argv[optind]) : NULL;
    bool fits = *command != NULL && argc - optind == ((*command)->takes_file ? 2 : 1) &&
                (request->path == NULL || request->config_path == NULL) &&
                (!request->is_forced || (*command)->run == restore);
    if (!fits) {
        print_help(stderr);
        return EXIT_REFUSED;
    }
    request->file = (*command)->takes_file ? argv[optind + 1] : NULL;
    return -1;
}

/* --- what it works on ------------------------------------------------------------------------------------------------------------ */

/* @return owned; NULL: what is wrong has been printed */
static struct config *load(const char *path)
{
    struct config_report report;
    if (path == NULL) {
        struct config *config = config_default();
        if (config == NULL) {
            refuse("out of memory", "");
        }
        return config;
    }
    config_report_init(&report);
    struct config *config = config_load_file(path, &report);
    if (config == NULL) {
        config_report_print(&report, stderr, path);
    }
    config_report_fini(&report);
    return config;
}

/* Find the folder. @return -1 to go on, else the exit status */
static int find_folder(struct request *request)
{
    if (request->path != NULL) {
        request->folder = strdup(request->path);
        return request->folder != NULL ? -1 : refuse("out of memory", "");
    }
    request->config = load(request->config_path);
    if (request->config == NULL) {
        return EXIT_REFUSED;
    }
    if (request->config->store.memory) {
        return refuse("the configuration keeps nothing on disk", "\"store\" is null");
    }
    request->folder = store_folder_path(request->config, geteuid() == 0);
    if (request->folder == NULL) {
        return refuse("there is no store", "neither XDG_STATE_HOME nor HOME is set; --path says where it is");
    }
    return -1;
}

/* --- whose files they are ---------------------------------------------------------------------------------------------------------- */

/* A file that root has made in a folder of another account. Its owner may have put a link in its place: that is left alone. */
static void give_file(int folder, const char *name, const struct stat *owner)
{
    struct stat file;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 1 && file.st_uid == 0 &&
        fchown(fd, owner->st_uid, owner->st_gid) != 0) {
        fprintf(stderr, "tidegate store: %s stays root's: %s\n", name, strerror(errno));
    }
    close(fd);
}

/* What root has done to the store of another account must not lock that out. */
static void give_back(const char *path)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "tidegate.lock", "quarantine.ndjson"};
    struct stat owner;
    int folder = geteuid() == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0) {
        return;
    }
    if (fstat(folder, &owner) == 0 && owner.st_uid != 0) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            give_file(folder, names[i], &owner);
        }
    }
    close(folder);
}

/* A store is restored to where there is none: its folder is made as at a start. @return false: said why not */
static bool make_folder(const struct request *request)
{
    struct account account;
    const char *user = request->config != NULL ? request->config->user : NULL;
    bool is_given = user != NULL && geteuid() == 0;
    const char *problem = is_given ? account_find(user, &account) : NULL;
    if (problem != NULL) {
        refuse(problem, user);
        return false;
    }
    if (!store_folder_make(request->folder, is_given ? &account : NULL)) {
        refuse(request->folder, strerror(errno));
        return false;
    }
    return true;
}

/* --- all together ------------------------------------------------------------------------------------------------------------------ */

static int run(const struct command *command, const struct request *request)
{
    if (command->run == restore && !make_folder(request)) {
        return EXIT_REFUSED;
    }
    int status = command->run(request);
    give_back(request->folder);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return refuse("the output could not be written", "");
    }
    return status;
}

int store_command(int argc, char **argv)
{
    struct request request = {0};
    const struct command *command = NULL;
    int status = parse(argc, argv, &request, &command);
    if (status >= 0) {
        return status;
    }
    status = find_folder(&request);
    if (status < 0) {
        status = run(command, &request);
    }
    config_free(request.config);
    free(request.folder);
    return status;
}
