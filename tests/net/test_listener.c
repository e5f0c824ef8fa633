/* Listeners over real sockets: who may connect, who is dealt where, and what happens to socket files. */
#include "gateway/net/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"
#include "gateway/net/worker.h"
#include "tests/check_main.h"
#include "tests/net/fake_core.h"
#include "tests/net/sockets.h"

#define WAITING 16

static struct workers *workers;
static struct broker *broker;
static char folder[64];
static char path[96];

static void wake(void *arg, unsigned place)
{
    (void)arg;
    workers_wake(workers, place);
}

static void make(unsigned count, uint32_t connections)
{
    struct config_limits limits = {.write_stall_timeout_ms = 30000, .connections = connections};
    workers = workers_new(count, &worker_system_clock);
    ck_assert_ptr_nonnull(workers);
    workers_set_limits(workers, &limits);
    broker = fake_new(count, wake, NULL);
}

static uint16_t listen_on(const struct config_listener *config)
{
    struct listener *listener;
    ck_assert_int_eq(listener_open(config, &listener), TG_OK);
    workers_add_listener(workers, listener);
    return listener_port(listener);
}

static uint16_t listen_with_limit(uint32_t connections)
{
    struct config_listener config;
    socket_loopback(&config);
    config.connections = connections;
    return listen_on(&config);
}

static void run(void)
{
    ck_assert_int_eq(workers_start(workers, broker), TG_OK);
}

static void stop(void)
{
    workers_stop(workers);
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 0);
    ck_assert_uint_eq(atomic_load(&workers->connections), 0);
    fake_free(broker);
    workers_free(workers);
}

static bool serves(int fd)
{
    return socket_say(fd, "echo hello\n") && socket_hears(fd, "hello\n");
}

/* --- dealing and limits ------------------------------------------------------------------------------------------ */

START_TEST(spreads_connections_evenly_over_workers)
{
    int fds[4 * 3];
    make(4, 0);
    uint16_t port = listen_with_limit(0);
    run();
    for (size_t i = 0; i < 12; i++) {
        fds[i] = socket_connected(port);
        ck_assert(serves(fds[i]));
    }
    for (unsigned place = 0; place < 4; place++) {
        ck_assert_uint_eq(fake_clients_at(broker, place), 3);
    }
    for (size_t i = 0; i < 12; i++) {
        close(fds[i]);
    }
    ck_assert(fake_wait_exactly(broker, FAKE_CLIENTS, 0));
    stop();
}
END_TEST

START_TEST(spreads_listeners_over_workers)
{
    make(2, 0);
    for (int i = 0; i < 4; i++) {
        listen_with_limit(0);
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct listener *first = workers->worker[i].listeners;
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_nonnull(first->next);
        ck_assert_ptr_null(first->next->next);
    }
    stop();
}
END_TEST

START_TEST(takes_many_that_come_at_once)
{
    int fds[100];
    make(2, 0);
    uint16_t port = listen_with_limit(0);
    for (size_t i = 0; i < 100; i++) {
        fds[i] = socket_connected(port); /* nobody accepts yet */
    }
    run();
    ck_assert(fake_wait_exactly(broker, FAKE_CLIENTS, 100));
    ck_assert_uint_eq(fake_clients_at(broker, 0), 50);
    for (size_t i = 0; i < 100; i++) {
        ck_assert(serves(fds[i]));
        close(fds[i]);
    }
    stop();
}
END_TEST

START_TEST(refuses_more_connections_than_its_own_limit)
{
    make(2, 0);
    uint16_t limited = listen_with_limit(2);
    uint16_t free_port = listen_with_limit(0);
    run();
    int first = socket_connected(limited);
    int second = socket_connected(limited);
    ck_assert(serves(first));
    ck_assert(serves(second));
    int third = socket_connected(limited);
    ck_assert(socket_is_over(third));
    close(third);
    int elsewhere = socket_connected(free_port);
    ck_assert(serves(elsewhere));
    close(first);
    ck_assert(fake_wait_exactly(broker, FAKE_CLIENTS, 2));
    while (atomic_load(&workers->connections) > 2) {
        ck_assert(
            fake_wait_turn(broker, 0)); /* it is counted until its worker has freed it, just after telling the core */
        ck_assert(fake_wait_turn(broker, 1));
    }
    third = socket_connected(limited);
    ck_assert(serves(third));
    close(second);
    close(third);
    close(elsewhere);
    stop();
}
END_TEST

START_TEST(refuses_more_connections_than_all_may_have)
{
    struct config_limits raised = {.write_stall_timeout_ms = 30000, .connections = 3};
    make(1, 2);
    uint16_t one = listen_with_limit(0);
    uint16_t other = listen_with_limit(0);
    run();
    int first = socket_connected(one);
    int second = socket_connected(other);
    ck_assert(serves(first));
    ck_assert(serves(second));
    int third = socket_connected(one);
    ck_assert(socket_is_over(third));
    close(third);
    workers_set_limits(workers, &raised);
    third = socket_connected(one);
    ck_assert(serves(third));
    close(first);
    close(second);
    close(third);
    stop();
}
END_TEST

START_TEST(refuses_connections_while_memory_is_short)
{
    make(1, 0);
    uint16_t port = listen_with_limit(0);
    run();
    fake_set_memory_short(broker, true);
    int fd = socket_connected(port);
    ck_assert(socket_is_over(fd));
    close(fd);
    fake_set_memory_short(broker, false);
    fake_set_no_memory(broker, true);
    fd = socket_connected(port);
    ck_assert(socket_is_over(fd));
    close(fd);
    fake_set_no_memory(broker, false);
    fd = socket_connected(port);
    ck_assert(serves(fd));
    close(fd);
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS_EVER), 1);
    stop();
}
END_TEST

static int highest_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    close(fd);
    return fd - 1; /* the lowest free one is above all others: nothing here leaves holes */
}

START_TEST(refuses_and_recovers_when_descriptors_run_out)
{
    struct rlimit limit;
    int fds[WAITING];
    make(1, 0);
    uint16_t port = listen_with_limit(0);
    run();
    ck_assert(fake_wait_turn(broker, 0));
    for (size_t i = 0; i < WAITING; i++) {
        fds[i] = socket_new(AF_INET, 0);
    }
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)highest_descriptor() + 1 + 4; /* room for four connections */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);

    for (size_t i = 0; i < 4; i++) {
        ck_assert(socket_connect(fds[i], port));
        ck_assert(serves(fds[i]));
    }
    ck_assert(socket_connect(fds[4], port));
    ck_assert(socket_is_over(fds[4])); /* refused by means of the one in reserve, not left to wait */
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(serves(fds[i]));
    }
    size_t turns = fake_turns(broker, 0);
    ck_assert(socket_connect(fds[5], port));
    ck_assert(socket_is_over(fds[5]));
    ck_assert_uint_le(fake_turns(broker, 0), turns + 10); /* it slept through the pause */
    close(fds[0]);
    ck_assert(fake_wait_exactly(broker, FAKE_CLIENTS, 3));
    ck_assert(socket_connect(fds[6], port));
    ck_assert(serves(fds[6])); /* in the descriptor of the first */
    for (size_t i = 1; i < WAITING; i++) {
        close(fds[i]);
    }
    stop();
}
END_TEST

/* A guest that says hello and goodbye. */
static void greet(void *arg, struct worker *worker, int fd, struct listener *listener, const uint8_t *address,
                  uint16_t port)
{
    (void)arg;
    (void)address;
    (void)port;
    ck_assert_int_eq(write(fd, "guest\n", 6), 6);
    close(fd);
    connection_count_out(worker, listener);
}

static bool do_nothing(void *arg, struct worker *worker)
{
    (void)arg;
    (void)worker;
    return false;
}

static void end_nothing(void *arg, struct worker *worker)
{
    (void)arg;
    (void)worker;
}

static const struct worker_guest greeter = {NULL, greet, do_nothing, end_nothing, end_nothing};

static uint16_t listen_for_guest(void)
{
    struct config_listener config;
    socket_loopback(&config);
    config.protocol = CONFIG_PROTOCOL_HTTP;
    return listen_on(&config);
}

START_TEST(lets_clients_wait_that_are_held_but_not_those_of_the_guest)
{
    make(1, 0);
    uint16_t port = listen_with_limit(0);
    uint16_t guest_port = listen_for_guest();
    workers_set_guest(workers, &greeter, 1000);
    workers_hold(workers);
    run();
    int early = socket_connected(port);
    ck_assert(socket_say(early, "echo hello\n"));
    int guest = socket_connected(guest_port);
    ck_assert(socket_hears(guest, "guest\n"));
    ck_assert(socket_is_silent(early));
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 0);
    workers_release(workers);
    ck_assert(socket_hears(early, "hello\n"));
    workers_release(workers);
    int late = socket_connected(port);
    ck_assert(serves(late));
    close(early);
    close(guest);
    close(late);
    stop();
}
END_TEST

START_TEST(stops_while_clients_are_held)
{
    make(2, 0);
    uint16_t port = listen_with_limit(0);
    workers_hold(workers);
    run();
    int fd = socket_connected(port);
    workers_drain(workers);
    ck_assert(socket_is_over(fd));
    workers_release(workers); /* too late to change anything */
    while (!workers_are_drained(workers)) {
        sched_yield();
    }
    close(fd);
    stop();
}
END_TEST

START_TEST(closes_its_socket_and_every_connection_when_draining)
{
    make(2, 0);
    uint16_t port = listen_with_limit(0);
    run();
    int first = socket_connected(port);
    int second = socket_connected(port);
    ck_assert(serves(first));
    ck_assert(serves(second));
    ck_assert(!workers_are_drained(workers));
    workers_drain(workers);
    ck_assert(socket_is_over(first));
    ck_assert(socket_is_over(second));
    ck_assert(fake_wait_turn(broker, 0));
    ck_assert(fake_wait_turn(broker, 1));
    int late = socket_new(AF_INET, 0);
    ck_assert(!socket_connect(late, port));
    close(first);
    close(second);
    close(late);
    while (!workers_are_drained(workers)) {
        ck_assert(fake_wait_turn(broker, 0));
        ck_assert(fake_wait_turn(broker, 1));
    }
    stop();
}
END_TEST

/* --- workers ----------------------------------------------------------------------------------------------------- */

START_TEST(knows_whether_every_worker_moves)
{
    make(2, 0);
    listen_with_limit(0);
    ck_assert(!workers_have_moved(workers));
    run();
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(fake_wait_turn(broker, i));
    }
    ck_assert(workers_have_moved(workers));
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(fake_wait_turn(broker, i));
    }
    ck_assert(workers_have_moved(workers));
    workers_stop(workers);
    (void)workers_have_moved(workers);
    ck_assert(!workers_have_moved(workers));
    stop();
}
END_TEST

START_TEST(sleeps_no_longer_than_the_place_allows)
{
    make(1, 0);
    listen_with_limit(0);
    run();
    ck_assert(fake_wait_turn(broker, 0));
    uint64_t begun_ms = worker_system_clock.monotonic_ms();
    fake_set_next_ms(broker, begun_ms + 50);
    ck_assert(fake_wait_next_passed(broker));
    ck_assert_uint_ge(worker_system_clock.monotonic_ms(), begun_ms + 50);
    stop();
}
END_TEST

/* --- addresses --------------------------------------------------------------------------------------------------- */

START_TEST(says_where_it_really_listens)
{
    struct config_listener config;
    struct listener *listener;
    char expected[64];
    socket_loopback(&config);
    ck_assert_int_eq(listener_open(&config, &listener), TG_OK);
    ck_assert_uint_ne(listener_port(listener), 0);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", (unsigned)listener_port(listener));
    ck_assert_str_eq(listener->name, expected);
    listener_free(listener);
}
END_TEST

START_TEST(refuses_a_port_that_is_in_use)
{
    struct config_listener config;
    struct listener *first;
    struct listener *second = NULL;
    struct sockaddr_in address;
    socket_loopback(&config);
    ck_assert_int_eq(listener_open(&config, &first), TG_OK);
    memcpy(&address, &config.address, sizeof address);
    address.sin_port = htons(listener_port(first));
    memcpy(&config.address, &address, sizeof address);
    config.optional = true; /* which means the address family, not a port that somebody has */
    ck_assert_int_eq(listener_open(&config, &second), TG_ERR_EXISTS);
    ck_assert_ptr_null(second);
    listener_free(first);
    ck_assert_int_eq(listener_open(&config, &second), TG_OK);
    listener_free(second);
}
END_TEST

START_TEST(skips_only_an_optional_address_that_this_machine_lacks)
{
    struct config_listener config;
    struct listener *listener = NULL;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::1", &address.sin6_addr), 1); /* reserved for documentation */
    socket_loopback(&config);
    memcpy(&config.address, &address, sizeof address);
    config.address_len = sizeof address;
    config.optional = true;
    ck_assert_int_eq(listener_open(&config, &listener), TG_ERR_UNSUPPORTED);
    config.optional = false;
    ck_assert_int_ne(listener_open(&config, &listener), TG_OK);
    ck_assert_ptr_null(listener);
}
END_TEST

/* --- unix sockets ------------------------------------------------------------------------------------------------ */

static void unix_config(struct config_listener *config)
{
    *config = (struct config_listener){.name = path, .unix_path = path, .unix_mode = 0640, .backlog = 16};
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_listener.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/mqtt.sock", folder);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

/* A socket file that nobody listens on, as a killed process leaves it. */
static void leave_stale_file(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket_new(AF_UNIX, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    close(fd);
    ck_assert_int_eq(access(path, F_OK), 0);
}

START_TEST(serves_a_unix_socket_and_removes_its_file)
{
    struct config_listener config;
    struct stat file;
    char expected[128];
    unix_config(&config);
    make(1, 0);
    ck_assert_uint_eq(listen_on(&config), 0);
    run();
    ck_assert_int_eq(stat(path, &file), 0);
    ck_assert_uint_eq(file.st_mode & 0777u, 0640);
    int fd = socket_connected_unix(path);
    ck_assert_int_ge(fd, 0);
    ck_assert(serves(fd));
    snprintf(expected, sizeof expected, "unix:%s\n", path);
    ck_assert(socket_say(fd, "peer\n"));
    ck_assert(socket_hears(fd, expected));
    ck_assert(socket_say(fd, "bye now\n"));
    ck_assert(socket_hears(fd, "now\n"));
    ck_assert(socket_ends(fd));
    close(fd);
    stop();
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(replaces_a_stale_socket_file)
{
    struct config_listener config;
    unix_config(&config);
    leave_stale_file();
    make(1, 0);
    listen_on(&config);
    run();
    int fd = socket_connected_unix(path);
    ck_assert_int_ge(fd, 0);
    ck_assert(serves(fd));
    close(fd);
    stop();
}
END_TEST

START_TEST(refuses_a_socket_file_that_somebody_listens_on)
{
    struct config_listener config;
    struct listener *first;
    struct listener *second = NULL;
    unix_config(&config);
    ck_assert_int_eq(listener_open(&config, &first), TG_OK);
    ck_assert_int_eq(listener_open(&config, &second), TG_ERR_EXISTS);
    ck_assert_ptr_null(second);
    int fd = socket_connected_unix(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    listener_free(first);
}
END_TEST

START_TEST(never_removes_a_file_that_is_no_socket)
{
    struct config_listener config;
    struct listener *listener = NULL;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "precious", 8), 8);
    close(fd);
    unix_config(&config);
    ck_assert_int_eq(listener_open(&config, &listener), TG_ERR_EXISTS);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(leaves_a_file_alone_that_another_process_has_put_in_its_place)
{
    struct config_listener config;
    struct listener *listener;
    unix_config(&config);
    ck_assert_int_eq(listener_open(&config, &listener), TG_OK);
    ck_assert_int_eq(unlink(path), 0);
    int other = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(other, 0);
    listener_free(listener);
    ck_assert_int_eq(access(path, F_OK), 0);
    close(other);
}
END_TEST

START_TEST(takes_whoever_connects_for_a_proxy_on_a_unix_socket)
{
    struct config_listener config;
    unix_config(&config);
    config.proxy_protocol = true;
    make(1, 0);
    listen_on(&config);
    run();
    int fd = socket_connected_unix(path);
    ck_assert_int_ge(fd, 0);
    ck_assert(socket_say(fd, "PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\npeer\n"));
    ck_assert(socket_hears(fd, "192.0.2.7:4711\n"));
    close(fd);
    stop();
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("listener");
    TCase *connections = tcase_create("connections");
    tcase_add_test(connections, spreads_connections_evenly_over_workers);
    tcase_add_test(connections, spreads_listeners_over_workers);
    tcase_add_test(connections, takes_many_that_come_at_once);
    tcase_add_test(connections, refuses_more_connections_than_its_own_limit);
    tcase_add_test(connections, refuses_more_connections_than_all_may_have);
    tcase_add_test(connections, refuses_connections_while_memory_is_short);
    tcase_add_test(connections, refuses_and_recovers_when_descriptors_run_out);
    tcase_add_test(connections, lets_clients_wait_that_are_held_but_not_those_of_the_guest);
    tcase_add_test(connections, stops_while_clients_are_held);
    tcase_add_test(connections, closes_its_socket_and_every_connection_when_draining);
    suite_add_tcase(suite, connections);
    TCase *worker = tcase_create("worker");
    tcase_add_test(worker, knows_whether_every_worker_moves);
    tcase_add_test(worker, sleeps_no_longer_than_the_place_allows);
    suite_add_tcase(suite, worker);
    TCase *addresses = tcase_create("addresses");
    tcase_add_test(addresses, says_where_it_really_listens);
    tcase_add_test(addresses, refuses_a_port_that_is_in_use);
    tcase_add_test(addresses, skips_only_an_optional_address_that_this_machine_lacks);
    suite_add_tcase(suite, addresses);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, serves_a_unix_socket_and_removes_its_file);
    tcase_add_test(files, replaces_a_stale_socket_file);
    tcase_add_test(files, refuses_a_socket_file_that_somebody_listens_on);
    tcase_add_test(files, never_removes_a_file_that_is_no_socket);
    tcase_add_test(files, leaves_a_file_alone_that_another_process_has_put_in_its_place);
    tcase_add_test(files, takes_whoever_connects_for_a_proxy_on_a_unix_socket);
    suite_add_tcase(suite, files);
    return suite;
}

CHECK_MAIN(suite)
