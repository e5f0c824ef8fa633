/* Connections over real sockets, with the fake core behind them. */
#include "gateway/net/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "gateway/net/listener.h"
#include "gateway/net/worker.h"
#include "tests/check_main.h"
#include "tests/net/fake_core.h"
#include "tests/net/sockets.h"

#define BIG              (8u * 1024u * 1024u) /* more than the buffers of both sockets hold */
#define BIG_LINE         "send 8388608\n"
#define SMALL_BUFFER     4096
#define STALL_MS         30000u
#define START_MS         1000000u
#define PROXY_TEST_BYTES 4096

static _Atomic uint64_t now_ms;
static struct workers *workers;
static struct broker *broker;
static uint16_t port;

static uint64_t test_clock(void)
{
    return atomic_load(&now_ms);
}

static void wake(void *arg, unsigned place)
{
    (void)arg;
    workers_wake(workers, place);
}

static void start_with(const struct config_listener *config)
{
    static const struct worker_clock clock = {test_clock, test_clock};
    struct config_limits limits = {.write_stall_timeout_ms = STALL_MS};
    struct listener *listener;

    atomic_store(&now_ms, START_MS);
    workers = workers_new(1, &clock);
    ck_assert_ptr_nonnull(workers);
    workers_set_limits(workers, &limits);
    ck_assert_int_eq(listener_open(config, &listener), TG_OK);
    port = listener_port(listener);
    workers_add_listener(workers, listener);
    broker = fake_new(1, wake, NULL);
    ck_assert_int_eq(workers_start(workers, broker), TG_OK);
}

static void start(void)
{
    struct config_listener config;
    socket_loopback(&config);
    start_with(&config);
}

static void stop(void)
{
    workers_stop(workers);
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 0);
    fake_free(broker);
    workers_free(workers);
}

static void pass_time(uint64_t ms)
{
    atomic_fetch_add(&now_ms, ms);
    ck_assert(fake_wait_turn(broker, 0));
}

/* Read LEN bytes that must be the pattern from byte AT on. */
static void check_pattern(int fd, size_t at, size_t len)
{
    static uint8_t buf[65536];
    while (len > 0) {
        size_t part = len < sizeof buf ? len : sizeof buf;
        ck_assert_uint_eq(socket_read(fd, buf, part), part);
        for (size_t i = 0; i < part; i++) {
            if (buf[i] != fake_pattern(at + i)) {
                ck_abort_msg("byte %zu of the output is wrong", at + i);
            }
        }
        at += part;
        len -= part;
    }
}

/* A client that has asked for BIG bytes and reads none of them, so that its connection is blocked. */
static int slow_reader(void)
{
    size_t blocked = fake_get(broker, FAKE_BLOCKED);
    int fd = socket_new(AF_INET, SMALL_BUFFER);
    ck_assert(socket_connect(fd, port));
    ck_assert(socket_say(fd, BIG_LINE));
    ck_assert(fake_wait_at_least(broker, FAKE_BLOCKED, blocked + 1));
    return fd;
}

START_TEST(carries_bytes_both_ways)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "echo one\nec"));
    ck_assert(socket_hears(fd, "one\n"));
    ck_assert(socket_say(fd, "ho two\necho three\n"));
    ck_assert(socket_hears(fd, "two\nthree\n"));
    close(fd);
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_PEER, 1));
}
END_TEST

START_TEST(sets_nodelay_on_accepted_connections)
{
    int fd = socket_connected(port);
    ck_assert(fake_wait_at_least(broker, FAKE_CLIENTS, 1));
    ck_assert_uint_eq(fake_get(broker, FAKE_NODELAY), 1);
    close(fd);
}
END_TEST

START_TEST(names_its_peer)
{
    struct sockaddr_in self;
    socklen_t len = sizeof self;
    char expected[64];
    int fd = socket_connected(port);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&self, &len), 0);
    snprintf(expected, sizeof expected, "127.0.0.1:%u\n", (unsigned)ntohs(self.sin_port));
    ck_assert(socket_say(fd, "peer\n"));
    ck_assert(socket_hears(fd, expected));
    close(fd);
}
END_TEST

START_TEST(flushes_once_for_all_output_of_a_turn)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "echo 1\necho 2\necho 3\necho 4\n"));
    ck_assert(socket_hears(fd, "1\n2\n3\n4\n"));
    ck_assert_uint_eq(fake_get(broker, FAKE_FLUSHES), 1);
    close(fd);
}
END_TEST

START_TEST(delivers_every_byte_in_order_to_a_reader_that_is_slower)
{
    int fd = slow_reader();
    check_pattern(fd, 0, BIG);
    ck_assert(socket_say(fd, "echo and on\n"));
    ck_assert(socket_hears(fd, "and on\n"));
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 1);
    close(fd);
}
END_TEST

START_TEST(serves_others_while_one_reads_nothing)
{
    int slow = slow_reader();
    int other = socket_connected(port);
    for (int i = 0; i < 100; i++) {
        ck_assert(socket_say(other, "echo still here\n"));
        ck_assert(socket_hears(other, "still here\n"));
    }
    close(other);
    close(slow);
}
END_TEST

START_TEST(does_not_spin_while_a_socket_is_full)
{
    int fd = slow_reader();
    ck_assert(fake_wait_turn(broker, 0));
    size_t turns = fake_turns(broker, 0);
    for (int i = 0; i < 5; i++) {
        ck_assert(fake_wait_turn(broker, 0));
    }
    ck_assert_uint_le(fake_turns(broker, 0), turns + 15); /* two wake-ups each, and one for good measure */
    close(fd);
}
END_TEST

START_TEST(takes_output_again_after_a_turn_that_wrote_as_much_as_one_may)
{
    char answer[4] = "";
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "buffer 16777216\n"));
    ck_assert_uint_eq(socket_read(fd, answer, 3), 3);
    if (strcmp(answer, "yes") != 0) {
        close(fd); /* takes a privilege, without which the socket is full long before */
        return;
    }
    ck_assert(socket_hears(fd, "\n"));
    ck_assert(socket_say(fd, "send 4194304\n"));
    ck_assert(fake_wait_at_least(broker, FAKE_UNBLOCKED, 1));
    check_pattern(fd, 0, 4194304);
    ck_assert(socket_say(fd, "echo more\n"));
    ck_assert(socket_hears(fd, "more\n"));
    close(fd);
}
END_TEST

START_TEST(ends_a_connection_whose_output_does_not_move)
{
    int fd = slow_reader();
    pass_time(STALL_MS - 1);
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 1);
    pass_time(WORKER_SWEEP_MS);
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_WRITE_STALL, 1));
    close(fd);
}
END_TEST

START_TEST(counts_a_stall_from_the_last_byte_that_moved)
{
    int first = slow_reader();
    pass_time(STALL_MS / 2);
    int second = slow_reader(); /* later in the list, due later */
    pass_time(STALL_MS / 2 - 1);
    check_pattern(first, 0, BIG / 2); /* moves: is due last from now on */
    /* its socket was full, so reading half of BIG made it writable; let that have happened */
    for (int i = 0; i < 3; i++) {
        ck_assert(fake_wait_turn(broker, 0));
    }
    pass_time(STALL_MS / 2 + 1);
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_WRITE_STALL, 1));
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 1);
    check_pattern(first, BIG / 2, BIG / 2);
    close(first);
    close(second);
}
END_TEST

START_TEST(never_ends_an_idle_connection)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "echo x\n"));
    ck_assert(socket_hears(fd, "x\n"));
    for (int i = 0; i < 5; i++) {
        pass_time(STALL_MS * 10);
    }
    ck_assert(socket_say(fd, "echo y\n"));
    ck_assert(socket_hears(fd, "y\n"));
    close(fd);
}
END_TEST

START_TEST(reads_nothing_while_paused)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "pause\n"));
    ck_assert(fake_wait_at_least(broker, FAKE_PAUSES, 1));
    ck_assert(socket_say(fd, "echo later\n"));
    ck_assert(fake_wait_turn(broker, 0));
    ck_assert(socket_is_silent(fd));
    ck_assert_uint_eq(fake_get(broker, FAKE_RECEIVED), strlen("pause\n"));
    fake_resume(broker);
    ck_assert(socket_hears(fd, "later\n"));
    close(fd);
}
END_TEST

START_TEST(writes_while_reading_is_paused)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "pause\n" BIG_LINE)); /* in one piece: was read already, so it is obeyed */
    check_pattern(fd, 0, BIG);
    fake_resume(broker);
    ck_assert(socket_say(fd, "echo up\n"));
    ck_assert(socket_hears(fd, "up\n"));
    close(fd);
}
END_TEST

START_TEST(notices_a_peer_that_left_while_paused)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "pause\n"));
    ck_assert(fake_wait_at_least(broker, FAKE_PAUSES, 1));
    close(fd);
    ck_assert(fake_wait_turn(broker, 0));
    fake_resume(broker);
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_PEER, 1));
}
END_TEST

START_TEST(closes_with_the_last_bytes_delivered)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "bye farewell\n"));
    ck_assert(socket_hears(fd, "farewell\n"));
    ck_assert(socket_ends(fd));
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_CLOSED, 1));
    close(fd);
}
END_TEST

START_TEST(delivers_the_last_bytes_although_the_peer_goes_on_sending)
{
    static char junk[512 * 1024];
    int fd = socket_connected(port);
    memset(junk, 'j', sizeof junk - 1);
    ck_assert(socket_say(fd, "bye farewell\n"));
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_CLOSED, 1));
    for (int i = 0; i < 8; i++) {
        ck_assert_msg(socket_say(fd, junk), "reset: %s", strerror(errno));
    }
    ck_assert(socket_hears(fd, "farewell\n"));
    ck_assert(socket_ends(fd));
    close(fd);
}
END_TEST

START_TEST(delivers_all_output_that_is_left_when_the_core_closes)
{
    int fd = slow_reader();
    ck_assert(socket_say(fd, "bye end\n"));
    ck_assert(fake_wait_turn(broker, 0));
    check_pattern(fd, 0, BIG);
    ck_assert(socket_hears(fd, "end\n"));
    ck_assert(socket_ends(fd));
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_CLOSED, 1));
    close(fd);
}
END_TEST

START_TEST(waits_only_so_long_for_the_output_that_is_left)
{
    int fd = slow_reader();
    size_t received = fake_get(broker, FAKE_RECEIVED);
    ck_assert(socket_say(fd, "close\n"));
    ck_assert(fake_wait_at_least(broker, FAKE_RECEIVED, received + strlen("close\n")));
    pass_time(CONNECTION_FLUSH_MS - 1);
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 1);
    pass_time(WORKER_SWEEP_MS);
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_CLOSED, 1));
    close(fd);
}
END_TEST

START_TEST(waits_only_so_long_for_the_peer_to_close_too)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "bye x\n"));
    ck_assert(socket_hears(fd, "x\n"));
    ck_assert(socket_ends(fd));
    ck_assert(fake_wait_turn(broker, 0));
    ck_assert_uint_eq(atomic_load(&workers->connections), 1);
    pass_time(CONNECTION_LINGER_MS + WORKER_SWEEP_MS);
    ck_assert(fake_wait_turn(broker, 0));
    ck_assert_uint_eq(atomic_load(&workers->connections), 0);
    ck_assert(socket_say(fd, "?")); /* to nobody: the reset shows that the socket is gone */
    ck_assert(socket_is_over(fd) || socket_is_over(fd));
    close(fd);
}
END_TEST

START_TEST(frees_a_lingering_connection_when_the_peer_closes)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "bye x\n"));
    ck_assert(socket_hears(fd, "x\n"));
    ck_assert(socket_ends(fd));
    close(fd);
    while (atomic_load(&workers->connections) > 0) {
        ck_assert(fake_wait_turn(broker, 0));
    }
}
END_TEST

START_TEST(closes_without_ceremony_when_it_has_said_nothing)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "close\n"));
    ck_assert(socket_is_over(fd));
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_CLOSED, 1));
    ck_assert(fake_wait_turn(broker, 0));
    ck_assert_uint_eq(atomic_load(&workers->connections), 0);
    close(fd);
}
END_TEST

START_TEST(survives_a_reset)
{
    struct linger reset = {.l_onoff = 1};
    int fd = slow_reader();
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(fd);
    ck_assert(fake_wait_exactly(broker, FAKE_CLIENTS, 0));
    ck_assert_uint_eq(fake_get(broker, FAKE_GONE_PEER), 1);
}
END_TEST

START_TEST(tells_every_client_when_the_worker_stops)
{
    int silent = socket_connected(port);
    int slow = slow_reader();
    int closing = slow_reader();
    int lingering = socket_connected(port);
    size_t received = fake_get(broker, FAKE_RECEIVED);
    ck_assert(socket_say(closing, "close\n"));
    ck_assert(socket_say(lingering, "bye x\n"));
    ck_assert(fake_wait_at_least(broker, FAKE_RECEIVED, received + 12));
    ck_assert(fake_wait_exactly(broker, FAKE_CLIENTS, 3));
    workers_stop(workers);
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS), 0);
    ck_assert_uint_eq(fake_get(broker, FAKE_GONE_CLOSED), 4);
    ck_assert_uint_eq(atomic_load(&workers->connections), 0);
    close(silent);
    close(slow);
    close(closing);
    close(lingering);
}
END_TEST

/* --- PROXY header ------------------------------------------------------------------------------------------------ */

static void start_with_proxy_from(uint8_t first_byte)
{
    struct config_network trusted = {.address = {[10] = 0xFF, 0xFF, first_byte}, .prefix_bits = 104};
    struct config_listener config;
    socket_loopback(&config);
    config.proxy_protocol = true;
    config.proxy_trusted = &trusted;
    config.proxy_trusted_len = 1;
    start_with(&config);
}

static void start_with_proxy(void)
{
    start_with_proxy_from(127);
}

static void start_with_distant_proxy(void)
{
    start_with_proxy_from(10);
}

START_TEST(takes_the_peer_from_a_proxy_header)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\npeer\n"));
    ck_assert(socket_hears(fd, "192.0.2.7:4711\n"));
    close(fd);
    fd = socket_connected(port);
    ck_assert(socket_say(fd, "PROXY TCP6 2001:db8::7 ::1 4711 1883\r\npeer\n"));
    ck_assert(socket_hears(fd, "[2001:db8::7]:4711\n"));
    close(fd);
}
END_TEST

START_TEST(takes_a_proxy_header_that_comes_in_pieces)
{
    static const char text[] = "PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\npeer\n";
    int fd = socket_connected(port);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char piece[2] = {text[i], '\0'};
        ck_assert(socket_say(fd, piece));
        ck_assert(fake_wait_turn(broker, 0));
    }
    ck_assert(socket_hears(fd, "192.0.2.7:4711\n"));
    ck_assert_uint_eq(fake_get(broker, FAKE_RECEIVED), strlen("peer\n"));
    close(fd);
}
END_TEST

START_TEST(closes_a_connection_without_a_valid_proxy_header)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "PROXY TC"));
    ck_assert(fake_wait_turn(broker, 0));
    ck_assert(socket_say(fd, "X4 \r\n"));
    ck_assert(socket_is_over(fd));
    close(fd);
    fd = socket_connected(port);
    ck_assert(socket_say(fd, "echo x\n"));
    ck_assert(socket_is_over(fd));
    ck_assert_uint_eq(fake_get(broker, FAKE_RECEIVED), 0);
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_NO_PROXY_HEADER, 2));
    close(fd);
}
END_TEST

START_TEST(closes_a_connection_that_only_begins_a_long_proxy_header)
{
    static char junk[PROXY_TEST_BYTES];
    int fd = socket_connected(port);
    memset(junk, 'x', sizeof junk);
    junk[sizeof junk - 1] = '\0';
    ck_assert(socket_say(fd, "PROXY UNKNOWN "));
    ck_assert(fake_wait_turn(broker, 0));
    (void)socket_say(fd, junk);
    ck_assert(socket_is_over(fd));
    close(fd);
}
END_TEST

START_TEST(frees_a_cut_proxy_header_with_its_connection)
{
    int fd = socket_connected(port);
    ck_assert(socket_say(fd, "PROXY"));
    ck_assert(fake_wait_at_least(broker, FAKE_CLIENTS, 1));
    ck_assert(fake_wait_turn(broker, 0));
    close(fd);
    ck_assert(fake_wait_at_least(broker, FAKE_GONE_PEER, 1));
}
END_TEST

START_TEST(refuses_a_proxy_that_is_not_trusted)
{
    int fd = socket_connected(port);
    ck_assert(socket_is_over(fd));
    ck_assert_uint_eq(fake_get(broker, FAKE_CLIENTS_EVER), 0);
    close(fd);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("connection");
    TCase *bytes = tcase_create("bytes");
    tcase_add_checked_fixture(bytes, start, stop);
    tcase_add_test(bytes, carries_bytes_both_ways);
    tcase_add_test(bytes, sets_nodelay_on_accepted_connections);
    tcase_add_test(bytes, names_its_peer);
    tcase_add_test(bytes, flushes_once_for_all_output_of_a_turn);
    tcase_add_test(bytes, delivers_every_byte_in_order_to_a_reader_that_is_slower);
    tcase_add_test(bytes, serves_others_while_one_reads_nothing);
    tcase_add_test(bytes, does_not_spin_while_a_socket_is_full);
    tcase_add_test(bytes, takes_output_again_after_a_turn_that_wrote_as_much_as_one_may);
    suite_add_tcase(suite, bytes);
    TCase *stall = tcase_create("stall");
    tcase_add_checked_fixture(stall, start, stop);
    tcase_add_test(stall, ends_a_connection_whose_output_does_not_move);
    tcase_add_test(stall, counts_a_stall_from_the_last_byte_that_moved);
    tcase_add_test(stall, never_ends_an_idle_connection);
    suite_add_tcase(suite, stall);
    TCase *pause = tcase_create("pause");
    tcase_add_checked_fixture(pause, start, stop);
    tcase_add_test(pause, reads_nothing_while_paused);
    tcase_add_test(pause, writes_while_reading_is_paused);
    tcase_add_test(pause, notices_a_peer_that_left_while_paused);
    suite_add_tcase(suite, pause);
    TCase *end = tcase_create("end");
    tcase_add_checked_fixture(end, start, stop);
    tcase_add_test(end, closes_with_the_last_bytes_delivered);
    tcase_add_test(end, delivers_the_last_bytes_although_the_peer_goes_on_sending);
    tcase_add_test(end, delivers_all_output_that_is_left_when_the_core_closes);
    tcase_add_test(end, waits_only_so_long_for_the_output_that_is_left);
    tcase_add_test(end, waits_only_so_long_for_the_peer_to_close_too);
    tcase_add_test(end, frees_a_lingering_connection_when_the_peer_closes);
    tcase_add_test(end, closes_without_ceremony_when_it_has_said_nothing);
    tcase_add_test(end, survives_a_reset);
    tcase_add_test(end, tells_every_client_when_the_worker_stops);
    suite_add_tcase(suite, end);
    TCase *proxy = tcase_create("proxy");
    tcase_add_checked_fixture(proxy, start_with_proxy, stop);
    tcase_add_test(proxy, takes_the_peer_from_a_proxy_header);
    tcase_add_test(proxy, takes_a_proxy_header_that_comes_in_pieces);
    tcase_add_test(proxy, closes_a_connection_without_a_valid_proxy_header);
    tcase_add_test(proxy, closes_a_connection_that_only_begins_a_long_proxy_header);
    tcase_add_test(proxy, frees_a_cut_proxy_header_with_its_connection);
    suite_add_tcase(suite, proxy);
    TCase *distant = tcase_create("distant");
    tcase_add_checked_fixture(distant, start_with_distant_proxy, stop);
    tcase_add_test(distant, refuses_a_proxy_that_is_not_trusted);
    suite_add_tcase(suite, distant);
    return suite;
}

CHECK_MAIN(suite)
