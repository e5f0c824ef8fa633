/* The program: reads the configuration, wires the layers together from the bottom up, and then only waits for signals,
 * for all work is done by the workers.
 *
 *      start   listeners are bound, the store's folder is made, root is given up, the store is opened, the broker is made, workers run
 *      then    the store is read; until that is done MQTT clients wait, and HTTP says how far it is
 *      SIGHUP  read the file again; what is wrong with it leaves everything as it is
 *      SIGTERM, SIGINT   drain and exit 0; a second one exits at once
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "config/reload.h"
#include "config/report.h"
#include "gateway/access/access.h"
#include "gateway/account.h"
#include "gateway/base/log.h"
#include "gateway/base/rcu.h"
#include "gateway/broker/broker.h"
#include "gateway/net/listener.h"
#include "gateway/net/worker.h"
#include "gateway/recovery.h"
#include "gateway/service.h"
#include "gateway/start_access.h"
#include "gateway/start_store.h"
#include "gateway/store/store.h"
#include "gateway/store_command.h"
#include "web/web.h"

#define EXIT_USAGE  2 /* the command line or the configuration is wrong: starting again will not help */
#define LOG_TICK_MS 1000u
#define POLL_MS     10u /* while something is about to end */
#define MS_PER_S    1000u
#define NS_PER_MS   1000000L

struct options {
    const char *config_path; /* NULL: none was given */
    bool check;
};

struct gateway { /* owner: main thread */
    const char *config_path;
    struct config *config; /* in use */
    char *store_path;      /* owned; of its folder; NULL: it is in memory */
    char *backup_path;     /* owned; of the folder for copies of it; NULL: it is in memory */
    struct store *store;
    struct access *access;
    struct broker *broker;
    struct workers *workers;
    struct web *web; /* NULL: no listener for HTTP */
    struct recovery recovery;
    uint64_t watchdog_ms; /* UINT64_MAX: not watched */
    uint64_t fed_ms;
    uint64_t ticked_ms;
};

/* --- command line ------------------------------------------------------------------------------------------------ */

static void print_help(FILE *stream)
{
    fputs(
        "usage: tidegate [--config FILE.json] [--check]\n"
        "       tidegate store check|dump|backup|compact|restore ...\n"
        "\n"
        "  -c, --config FILE  read the configuration from FILE; without it this machine alone is served, on 127.0.0.1\n"
        "                     and ::1: MQTT on port 1883, HTTP and MQTT over WebSocket on port 8080\n"
        "      --check        only say what is wrong with the configuration: exit 2, or 0 if it is valid\n"
        "      --version      print the version\n"
        "      --help         print this\n"
        "\n"
        "What must last is kept in a store on disk; tidegate store --help tells how to check, copy and restore it.\n"
        "SIGHUP reads the configuration again; SIGTERM and SIGINT stop cleanly.\n",
        stream);
}

/* @return -1 to go on, else the exit status */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { OPTION_CHECK = 256, OPTION_VERSION, OPTION_HELP };
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:", known, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options->config_path = optarg;
            break;
        case OPTION_CHECK:
            options->check = true;
            break;
        case OPTION_VERSION:
            puts("tidegate " PACKAGE_VERSION);
            return EXIT_SUCCESS;
        case OPTION_HELP:
            print_help(stdout);
            return EXIT_SUCCESS;
        default:
            print_help(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "tidegate: unexpected argument \"%s\"\n", argv[optind]);
        print_help(stderr);
        return EXIT_USAGE;
    }
    return -1;
}

/* @return NULL: what is wrong has been printed */
static struct config *load(const char *path)
{
    struct config_report report;
    struct config *config;
    if (path == NULL) {
        config = config_default();
        if (config == NULL) {
            fputs("tidegate: out of memory\n", stderr);
        }
        return config;
    }
    config_report_init(&report);
    config = config_load_file(path, &report);
    if (config == NULL) {
        config_report_print(&report, stderr, path);
    }
    config_report_fini(&report);
    return config;
}

/* --- start ------------------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ms(void)
{
    return worker_system_clock.monotonic_ms();
}

/* Signals are taken by the main thread when it waits; blocked before there are other threads, they go nowhere else. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigprocmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            log_warning("file descriptor limit stays low", LOG_UNUM("limit", limit.rlim_cur), LOG_ERRNO(errno));
        }
    }
}

static unsigned worker_count(const struct config *config)
{
    cpu_set_t cores;
    unsigned count = config->workers;
    if (count == 0) {
        count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? (unsigned)CPU_COUNT(&cores) : 1;
    }
    return count < 1 ? 1 : count > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : count;
}

static bool fail_to_start(const char *reason)
{
    log_error("cannot start", LOG_STR("reason", reason));
    return false;
}

static bool open_listeners(struct gateway *gateway, const struct account *account)
{
    const struct config *config = gateway->config;
    bool any = false;
    for (size_t i = 0; i < config->listeners_len; i++) {
        struct listener *listener;
        enum tg_err err = listener_open(&config->listeners[i], &listener);
        if (err == TG_ERR_UNSUPPORTED) {
            continue;
        }
        if (err != TG_OK) {
            return false;
        }
        if (account != NULL && !listener_give_to(listener, account->uid, account->gid)) {
            log_error("cannot start", LOG_STR("reason", "the socket file cannot be given to the account"),
                      LOG_STR("listener", listener->name), LOG_ERRNO(errno));
            listener_free(listener);
            return false;
        }
        log_info("listening", LOG_STR("address", listener->name),
                 LOG_STR("protocol", config->listeners[i].protocol == CONFIG_PROTOCOL_HTTP ? "http" : "mqtt"),
                 LOG_BOOL("proxy_protocol", listener->has_proxy_header));
        workers_add_listener(gateway->workers, listener);
        any = true;
    }
    return any || fail_to_start("this machine has none of the addresses to listen on");
}

/* What only root may do, or what is to be ACCOUNT's (NULL: ours). */
static bool prepare(struct gateway *gateway, const struct account *account)
{
    return open_listeners(gateway, account) &&
           start_store_folder(gateway->config, account, &gateway->store_path, &gateway->backup_path);
}

/* Bind while we may, then become the account that the configuration names. */
static bool prepare_and_drop_root(struct gateway *gateway)
{
    struct account account;
    const char *user = gateway->config->user;
    if (user == NULL) {
        return prepare(gateway, NULL);
    }
    const char *problem = account_find(user, &account);
    if (problem == NULL) {
        if (!prepare(gateway, geteuid() == 0 ? &account : NULL)) {
            return false;
        }
        problem = account_become(&account);
    }
    if (problem != NULL) {
        log_error("cannot start", LOG_STR("reason", problem), LOG_STR("user", user));
    }
    return problem == NULL;
}

static bool has_http(const struct config *config)
{
    for (size_t i = 0; i < config->listeners_len; i++) {
        if (config->listeners[i].protocol == CONFIG_PROTOCOL_HTTP) {
            return true;
        }
    }
    return false;
}

/* A closed door is no error, but hardly what is wanted. */
static bool nobody_may_connect(const struct config *config)
{
    return !config->access.anonymous && config->access.password_file == NULL;
}

static const char nobody_text[] = "false, and there is no access.password_file: all are refused";

static void warn_if_nobody_may_connect(const struct config *config)
{
    if (nobody_may_connect(config)) {
        log_warning("nobody can connect", LOG_STR("path", "access.anonymous"), LOG_STR("reason", nobody_text));
    }
}

static bool start(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    unsigned count = worker_count(config);

    gateway->workers = workers_new(count, &worker_system_clock);
    if (gateway->workers == NULL) {
        return fail_to_start("no memory or file descriptors for the workers");
    }
    if (!prepare_and_drop_root(gateway)) {
        return false;
    }
    gateway->store = start_store_open(config, gateway->store_path);
    if (gateway->store == NULL) {
        return false; /* why has been logged */
    }
    gateway->access = start_access_open(config, count);
    if (gateway->access == NULL) {
        return false; /* why has been logged */
    }
    struct broker_env env = {
        .wake = workers_wake,
        .wake_arg = gateway->workers,
        .store = gateway->store,
        .access = gateway->access,
        .now_ms = worker_system_clock.monotonic_ms(),
        .wall_ms = worker_system_clock.wall_ms(),
    };
    gateway->broker = broker_new(config, count, &env);
    if (gateway->broker == NULL) {
        return fail_to_start("out of memory");
    }
    if (has_http(config)) {
        gateway->web = web_new(config, gateway->workers);
        if (gateway->web == NULL) {
            return false; /* why has been logged */
        }
        if (!web_set_store(gateway->web, gateway->store, gateway->backup_path)) {
            return fail_to_start("out of memory");
        }
    }
    workers_set_limits(gateway->workers, &config->limits);
    if (gateway->store->is_durable) {
        workers_hold(gateway->workers);
    }
    if (workers_start(gateway->workers, gateway->broker) != TG_OK) {
        return fail_to_start("no memory for the workers' threads");
    }
    if (gateway->web != NULL) {
        gateway->recovery.progress.answer = web_restore_answer;
        gateway->recovery.progress.arg = gateway->web;
    }
    if (gateway->store->is_durable && !recovery_start(&gateway->recovery, gateway->broker, monotonic_ms())) {
        return fail_to_start("no memory for the thread that reads the store");
    }
    warn_if_nobody_may_connect(config);
    return true;
}

static void tear_down(struct gateway *gateway)
{
    recovery_cancel(&gateway->recovery);
    (void)recovery_join(&gateway->recovery, monotonic_ms());
    if (gateway->workers != NULL) {
        workers_stop(gateway->workers);
    }
    access_stop(gateway->access);
    web_free(gateway->web);
    broker_free(gateway->broker);
    workers_free(gateway->workers);
    access_free(gateway->access);
    store_free(gateway->store);
    free(gateway->store_path);
    free(gateway->backup_path);
    config_free(gateway->config);
    log_tick();
}

/* --- running ----------------------------------------------------------------------------------------------------- */

/* Once a second report what the log held back; feed the watchdog if every worker has moved since it was fed. */
static void tick(struct gateway *gateway)
{
    uint64_t now_ms = monotonic_ms();
    if (now_ms - gateway->ticked_ms >= LOG_TICK_MS) {
        gateway->ticked_ms = now_ms;
        log_tick();
        if (gateway->web != NULL) {
            web_refresh(gateway->web);
        }
    }
    if (gateway->watchdog_ms != UINT64_MAX && now_ms - gateway->fed_ms >= gateway->watchdog_ms) {
        gateway->fed_ms = now_ms;
        if (workers_have_moved(gateway->workers)) {
            service_is_alive();
        }
    }
}

/* Wait for a signal of SET, at most TIMEOUT_MS. @return its number, or -1 */
static int wait_for_signal(struct gateway *gateway, const sigset_t *set, uint64_t timeout_ms)
{
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ms / MS_PER_S),
        .tv_nsec = (long)(timeout_ms % MS_PER_S) * NS_PER_MS,
    };
    tick(gateway);
    tg_rcu_offline();
    int number = sigtimedwait(set, NULL, &timeout);
    tg_rcu_online();
    return number;
}

static void log_changes(const struct config_report *report, const char *effect)
{
    for (size_t i = 0; i < report->len; i++) {
        log_info("configuration changed", LOG_STR("path", report->problems[i].path),
                 LOG_STR("change", report->problems[i].text), LOG_STR("effect", effect));
    }
}

/* Follow NEXT (taken), as far as a running gateway can. */
static void apply(struct gateway *gateway, struct config *next)
{
    struct config_changes changes;
    config_changes_init(&changes);
    struct config *merged = config_reload(gateway->config, next, &changes);
    config_free(next);
    if (merged == NULL) {
        log_error("configuration not reloaded", LOG_STR("reason", "out of memory"));
        config_changes_fini(&changes);
        return;
    }
    log_configure(&merged->log);
    workers_set_limits(gateway->workers, &merged->limits);
    start_access_reload(gateway->access, merged);
    broker_reload(gateway->broker, merged);
    for (unsigned i = 0; i < gateway->workers->count; i++) {
        workers_wake(gateway->workers, i); /* new rules hold from now on, not from the next message on */
    }
    if (gateway->web != NULL && !web_reload(gateway->web, merged)) {
        log_error("the http section was not reloaded");
    }
    config_free(gateway->config);
    gateway->config = merged;
    log_changes(&changes.now, "applied");
    log_changes(&changes.connections, "applied to connections to come");
    log_changes(&changes.restart, "needs a restart");
    warn_if_nobody_may_connect(merged);
    log_info("configuration reloaded", LOG_UNUM("applied", changes.now.len + changes.connections.len),
             LOG_UNUM("needing_restart", changes.restart.len));
    config_changes_fini(&changes);
}

static void reload(struct gateway *gateway)
{
    struct config_report report;
    if (gateway->config_path == NULL) {
        log_info("configuration not reloaded", LOG_STR("reason", "started without a file"));
        return;
    }
    service_reloading();
    config_report_init(&report);
    struct config *next = config_load_file(gateway->config_path, &report);
    if (next != NULL) {
        apply(gateway, next);
    } else {
        for (size_t i = 0; i < report.len; i++) {
            log_error("configuration not reloaded", LOG_STR("file", gateway->config_path),
                      LOG_STR("path", report.problems[i].path), LOG_STR("reason", report.problems[i].text));
        }
    }
    config_report_fini(&report);
    service_ready("Serving");
}

/* From here on nothing waits for a peer; should it hang all the same, a signal ends it. */
static void let_signals_end_it(const sigset_t *set)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, set, NULL);
}

static void drain(struct gateway *gateway, const sigset_t *set)
{
    uint64_t limit_ms = (uint64_t)gateway->config->drain_s * MS_PER_S;
    uint64_t begun_ms = monotonic_ms();
    service_stopping();
    if (gateway->web != NULL) {
        web_set_ready(gateway->web, false);
    }
    log_info("stopping", LOG_UNUM("connections", broker_connections(gateway->broker)));
    workers_drain(gateway->workers);
    while (!workers_are_drained(gateway->workers) && monotonic_ms() - begun_ms < limit_ms) {
        int number = wait_for_signal(gateway, set, POLL_MS);
        if (number == SIGTERM || number == SIGINT) {
            log_warning("stopped at once", LOG_STR("reason", "second signal"));
            _exit(EXIT_FAILURE);
        }
    }
    if (!workers_are_drained(gateway->workers)) {
        log_warning("stopped before every connection was",
                    LOG_UNUM("connections", broker_connections(gateway->broker)));
    }
    let_signals_end_it(set);
}

/* How the time until clients are let in has ended. */
enum opening {
    OPENING_DONE,
    OPENING_STOPPED, /* by a signal */
    OPENING_FAILED,  /* the store cannot be read */
};

/* The store is being read: say how far it is. A SIGHUP waits until *RELOADS can be followed. */
static enum opening wait_for_store(struct gateway *gateway, const sigset_t *set, bool *reloads)
{
    uint64_t done, total;
    while (!recovery_look(&gateway->recovery, monotonic_ms(), &done, &total)) {
        service_recovering(done, total);
        if (gateway->web != NULL) {
            web_set_recovery(gateway->web, done, total);
        }
        int number = wait_for_signal(gateway, set, POLL_MS);
        *reloads = *reloads || number == SIGHUP;
        if (number == SIGTERM || number == SIGINT) {
            log_info("stopping", LOG_STR("reason", "told to while the store was being read"));
            recovery_cancel(&gateway->recovery);
            let_signals_end_it(set);
            return OPENING_STOPPED;
        }
    }
    return recovery_join(&gateway->recovery, monotonic_ms()) == TG_OK ? OPENING_DONE : OPENING_FAILED;
}

/* Let clients in. */
static void open_up(struct gateway *gateway)
{
    workers_release(gateway->workers);
    if (gateway->web != NULL) {
        web_set_ready(gateway->web, true);
    }
    log_info("ready", LOG_STR("version", PACKAGE_VERSION), LOG_UNUM("workers", gateway->workers->count),
             LOG_STR("config", gateway->config_path));
    service_ready("Serving");
}

/* @return false: the store cannot be read */
static bool run(struct gateway *gateway, const sigset_t *set)
{
    bool reloads = false;
    gateway->watchdog_ms = service_watchdog_ms();
    gateway->ticked_ms = gateway->fed_ms = monotonic_ms();
    uint64_t pause_ms = gateway->watchdog_ms < LOG_TICK_MS ? gateway->watchdog_ms : LOG_TICK_MS;
    enum opening opening = gateway->store->is_durable ? wait_for_store(gateway, set, &reloads) : OPENING_DONE;
    if (opening != OPENING_DONE) {
        return opening == OPENING_STOPPED;
    }
    open_up(gateway);
    if (reloads) {
        reload(gateway);
    }
    for (;;) {
        int number = wait_for_signal(gateway, set, pause_ms);
        if (number == SIGHUP) {
            reload(gateway);
        } else if (number == SIGTERM || number == SIGINT) {
            drain(gateway, set);
            return true;
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct gateway gateway = {0};
    sigset_t signals;

    if (argc > 1 && strcmp(argv[1], "store") == 0) {
        return store_command(argc - 1, argv + 1);
    }
    int status = parse_options(argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    gateway.config_path = options.config_path;
    gateway.config = load(options.config_path);
    if (gateway.config == NULL) {
        return EXIT_USAGE;
    }
    if (options.check && !start_access_check(gateway.config, stderr)) {
        config_free(gateway.config);
        return EXIT_USAGE;
    }
    if (options.check) {
        printf("%s: valid\n", options.config_path != NULL ? options.config_path : "default configuration");
        if (nobody_may_connect(gateway.config)) {
            fprintf(stderr, "warning: access.anonymous: %s\n", nobody_text);
        }
        config_free(gateway.config);
        return EXIT_SUCCESS;
    }
    log_configure(&gateway.config->log);
    block_signals(&signals);
    raise_descriptor_limit();
    tg_rcu_register_thread();
    bool ok = start(&gateway) && run(&gateway, &signals);
    tear_down(&gateway);
    tg_rcu_unregister_thread();
    if (ok) {
        log_info("stopped");
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
