/* The provider of files: who is let in, when the answer comes, what a reload changes, and that nothing is left behind by who does not wait. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/access/access_files.h"
#include "gateway/access/access_port.h"
#include "gateway/access/verified_cache.h"
#include "gateway/base/rcu.h"
#include "protocol/reason.h"
#include "tests/access/hashes.h"
#include "tests/check_main.h"

#define SLOW_HASHES 15000 /* iterations: long enough that many of them fill a queue */

static char password_path[64], acl_path[64];
static struct access *access_under_test;
static struct access_port port;
static pthread_mutex_t wake_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake_signal = PTHREAD_COND_INITIALIZER;
static bool is_woken;

static void wake(void *arg, unsigned index)
{
    (void)arg;
    ck_assert_uint_eq(index, port.index);
    pthread_mutex_lock(&wake_lock);
    is_woken = true;
    pthread_cond_signal(&wake_signal);
    pthread_mutex_unlock(&wake_lock);
}

static void run_port_when_woken(void)
{
    pthread_mutex_lock(&wake_lock);
    while (!is_woken) {
        pthread_cond_wait(&wake_signal, &wake_lock);
    }
    is_woken = false;
    pthread_mutex_unlock(&wake_lock);
    access_port_run(&port);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static struct access_files_options options_of(bool passwords, bool acl, bool anonymous)
{
    return (struct access_files_options){passwords ? password_path : NULL, acl ? acl_path : NULL, anonymous};
}

static void setup(void)
{
    snprintf(password_path, sizeof(password_path), "/tmp/tidegate-passwords-XXXXXX");
    snprintf(acl_path, sizeof(acl_path), "/tmp/tidegate-acl-XXXXXX");
    int passwords = mkstemp(password_path), acl = mkstemp(acl_path);
    ck_assert(passwords >= 0 && acl >= 0);
    close(passwords);
    close(acl);
    tg_rcu_register_thread();
    access_port_init(&port, 1, wake, NULL);
    port.now_ms = 1000;
    is_woken = false;
}

static void teardown(void)
{
    access_stop(access_under_test);
    access_port_run(&port);
    access_free(access_under_test);
    access_under_test = NULL;
    tg_rcu_barrier();
    tg_rcu_unregister_thread();
    unlink(password_path);
    unlink(acl_path);
}

static void start(bool passwords, bool acl, bool anonymous)
{
    struct access_files_options options = options_of(passwords, acl, anonymous);
    struct access_files_fault fault;
    access_under_test = access_files_new(&options, 2, &fault);
    ck_assert_msg(access_under_test != NULL, "%s:%u %s", fault.file, fault.fault.line, fault.fault.text);
}

static bool reload(bool passwords, bool acl, bool anonymous, struct access_files_fault *fault)
{
    struct access_files_options options = options_of(passwords, acl, anonymous);
    bool ok = access_files_reload(access_under_test, &options, fault);
    tg_rcu_quiescent();
    return ok;
}

struct asking {
    struct access_request request;
    unsigned answers;
};

static void on_done(struct access_request *request)
{
    ((struct asking *)request)->answers++;
}

static void ask(struct asking *asking, const char *user, const char *password)
{
    *asking = (struct asking){.request = {.done = on_done, .port = &port}};
    if (user != NULL) {
        asking->request.user_name = bytes_from_string(user);
    }
    if (password != NULL) {
        asking->request.password = bytes_from_string(password);
    }
    access_under_test->provider->connect(access_under_test, &asking->request);
}

static void await_answer(struct asking *asking)
{
    while (asking->answers == 0) {
        run_port_when_woken();
    }
    ck_assert_uint_eq(asking->answers, 1);
}

/* @return the reason code, 0: granted */
static uint8_t login(const char *user, const char *password)
{
    struct asking asking;
    ask(&asking, user, password);
    await_answer(&asking);
    ck_assert_int_eq(asking.request.outcome == ACCESS_GRANTED, asking.request.reason_code == 0);
    return asking.request.reason_code;
}

static bool is_answered_at_once(const char *user, const char *password)
{
    struct asking asking;
    ask(&asking, user, password);
    bool at_once = asking.answers > 0;
    await_answer(&asking);
    return at_once;
}

START_TEST(lets_in_who_has_the_password)
{
    write_file(password_path, "alice:" HASH_S7_12 "\nbob:" HASH_ARGON2 "\n");
    start(true, false, false);
    ck_assert_uint_eq(login("alice", "secret"), 0);
    ck_assert_uint_eq(login("bob", "secret"), 0);
    ck_assert_uint_eq(login("alice", "Secret"), REASON_BAD_USER_NAME_OR_PASSWORD);
    ck_assert_uint_eq(login("alice", ""), REASON_BAD_USER_NAME_OR_PASSWORD);
    ck_assert_uint_eq(login("alice", NULL), REASON_BAD_USER_NAME_OR_PASSWORD);
    ck_assert_uint_eq(login("carol", "secret"), REASON_BAD_USER_NAME_OR_PASSWORD);
    ck_assert_uint_eq(login("", "secret"), REASON_BAD_USER_NAME_OR_PASSWORD);
    ck_assert_uint_eq(login(NULL, NULL), REASON_NOT_AUTHORIZED);
    ck_assert_uint_eq(login(NULL, "secret"), REASON_NOT_AUTHORIZED);
    struct asking asking = {.request = {.done = on_done, .port = &port, .method = bytes_from_string("X")}};
    access_under_test->provider->connect(access_under_test, &asking.request);
    ck_assert_uint_eq(asking.request.reason_code, REASON_BAD_AUTHENTICATION_METHOD);
}
END_TEST

START_TEST(anonymous_clients_are_let_in_but_not_with_a_wrong_password)
{
    write_file(password_path, "alice:" HASH_S7_12 "\n");
    start(true, false, true);
    ck_assert_uint_eq(login(NULL, NULL), 0);
    ck_assert_uint_eq(login("alice", "wrong"), REASON_BAD_USER_NAME_OR_PASSWORD);
    ck_assert_uint_eq(login("alice", "secret"), 0);
}
END_TEST

START_TEST(a_name_that_cannot_be_verified_is_not_believed)
{
    struct asking asking;
    write_file(acl_path, "user alice\ntopic a\n");
    start(false, true, true);
    ask(&asking, "alice", "secret");
    await_answer(&asking);
    ck_assert_int_eq(asking.request.outcome, ACCESS_GRANTED);
    ck_assert_uint_eq(asking.request.user_name.len, 0);
}
END_TEST

START_TEST(remembers_for_a_while_who_was_right)
{
    write_file(password_path, "alice:" HASH_S7_12 "\n");
    start(true, false, false);
    ck_assert(!is_answered_at_once("alice", "secret"));
    ck_assert(is_answered_at_once("alice", "secret"));
    ck_assert(!is_answered_at_once("alice", "wrong"));
    ck_assert(!is_answered_at_once("alice", "wrong")); /* who was wrong is not remembered */
    ck_assert(!is_answered_at_once("alices", "ecret"));
    port.now_ms += VERIFIED_MS - 1;
    ck_assert(is_answered_at_once("alice", "secret"));
    port.now_ms += 1;
    ck_assert(!is_answered_at_once("alice", "secret"));
    struct access_files_fault fault;
    ck_assert(reload(true, false, false, &fault));
    ck_assert(!is_answered_at_once("alice", "secret"));
}
END_TEST

START_TEST(a_reload_decides_for_everybody_from_then_on)
{
    struct access_files_fault fault;
    struct access_identity alice = {bytes_from_string("c"), bytes_from_string("alice"), NULL};
    write_file(password_path, "alice:" HASH_S7_12 "\n");
    write_file(acl_path, "user alice\ntopic read a\n");
    start(true, true, false);
    const struct access_provider *provider = access_under_test->provider;
    uint64_t generation = atomic_load(&access_under_test->generation);
    ck_assert_uint_eq(login("alice", "secret"), 0);
    ck_assert(provider->may_read(access_under_test, &alice, bytes_from_string("a")));
    ck_assert(!provider->may_publish(access_under_test, &alice, bytes_from_string("a"), false));
    ck_assert_int_eq(provider->classify(access_under_test, &alice, bytes_from_string("b")), ACCESS_NONE);
    ck_assert(provider->is_welcome(access_under_test, &alice));
    ck_assert(!provider->is_welcome(access_under_test, NULL));

    write_file(password_path, "bob:" HASH_S7_12 "\n");
    write_file(acl_path, "user alice\ntopic write a\ntopic read b\n");
    ck_assert(reload(true, true, true, &fault));
    ck_assert_uint_gt(atomic_load(&access_under_test->generation), generation);
    ck_assert(!provider->may_read(access_under_test, &alice, bytes_from_string("a")));
    ck_assert(provider->may_publish(access_under_test, &alice, bytes_from_string("a"), false));
    ck_assert_int_eq(provider->classify(access_under_test, &alice, bytes_from_string("b")), ACCESS_ALL);
    ck_assert(!provider->is_welcome(access_under_test, &alice));
    ck_assert(provider->is_welcome(access_under_test, NULL));
    ck_assert_uint_eq(login("alice", "secret"), REASON_BAD_USER_NAME_OR_PASSWORD);
    ck_assert_uint_eq(login("bob", "secret"), 0);
}
END_TEST

START_TEST(a_file_that_is_wrong_changes_nothing)
{
    struct access_files_fault fault;
    write_file(password_path, "alice:" HASH_S7_12 "\n");
    write_file(acl_path, "topic read a\n");
    start(true, true, true);
    uint64_t generation = atomic_load(&access_under_test->generation);
    write_file(password_path, "bob:" HASH_S7_12 "\n");
    write_file(acl_path, "topic read a\n\ntopic raed b\n");
    ck_assert(!reload(true, true, false, &fault));
    ck_assert_str_eq(fault.file, acl_path);
    ck_assert_uint_eq(fault.fault.line, 3);
    unlink(acl_path);
    ck_assert(!reload(true, true, false, &fault));
    ck_assert_uint_eq(fault.fault.line, 0);
    ck_assert_ptr_nonnull(strstr(fault.fault.text, "No such file"));
    ck_assert_uint_eq(atomic_load(&access_under_test->generation), generation);
    ck_assert_uint_eq(login("alice", "secret"), 0);
    ck_assert_uint_eq(login(NULL, NULL), 0);
    struct access_files_options options = {.password_file = "/tmp", .anonymous = true};
    ck_assert(!access_files_check(&options, &fault));
    ck_assert_str_eq(fault.fault.text, "is not a file");
}
END_TEST

START_TEST(a_login_under_way_meets_the_rules_of_its_end)
{
    struct access_files_fault fault;
    struct asking asking;
    write_file(password_path, "alice:" HASH_S7_64 "\n");
    start(true, false, false);
    ask(&asking, "alice", "secret");
    write_file(password_path, "bob:" HASH_S7_64 "\n");
    ck_assert(reload(true, false, false, &fault));
    await_answer(&asking);
    ck_assert_uint_eq(asking.request.reason_code, REASON_BAD_USER_NAME_OR_PASSWORD);
}
END_TEST

/* More logins than the queue holds, with a hash that takes long: some are refused at once, each is answered once. */
START_TEST(a_flood_is_refused_above_the_bound_and_who_leaves_is_not_answered)
{
    enum { FLOOD = 600 };
    static struct asking asking[FLOOD];
    char text[256];
    snprintf(text, sizeof(text), "alice:$7$%d$AAECAwQFBgcICQoL$%s\n", SLOW_HASHES, strrchr(HASH_S7_12, '$') + 1);
    write_file(password_path, text);
    start(true, false, false);
    unsigned refused = 0;
    for (int i = 0; i < FLOOD; i++) {
        ask(&asking[i], "alice", "wrong");
        refused += asking[i].answers > 0 && asking[i].request.reason_code == REASON_SERVER_BUSY;
    }
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_lt(refused, FLOOD / 2);
    for (int i = 10; i < FLOOD; i++) {
        if (asking[i].answers == 0) {
            access_under_test->provider->cancel(access_under_test, &asking[i].request);
            asking[i].answers = 100;
        }
    }
    for (int i = 0; i < 10; i++) {
        await_answer(&asking[i]);
        ck_assert_uint_eq(asking[i].request.reason_code, REASON_BAD_USER_NAME_OR_PASSWORD);
    }
    ck_assert_uint_eq(login("bob", "wrong"), REASON_BAD_USER_NAME_OR_PASSWORD); /* behind all of them */
    for (int i = 0; i < FLOOD; i++) {
        ck_assert(asking[i].answers == 1 || asking[i].answers == 100);
    }
}
END_TEST

START_TEST(who_waits_when_it_stops_is_answered)
{
    struct asking asking[20];
    char text[256];
    snprintf(text, sizeof(text), "alice:$7$%d$AAECAwQFBgcICQoL$%s\n", SLOW_HASHES, strrchr(HASH_S7_12, '$') + 1);
    write_file(password_path, text);
    start(true, false, false);
    for (int i = 0; i < 20; i++) {
        ask(&asking[i], "alice", "wrong");
    }
    access_stop(access_under_test);
    access_port_run(&port);
    for (int i = 0; i < 20; i++) {
        ck_assert_uint_eq(asking[i].answers, 1);
        ck_assert_int_eq(asking[i].request.outcome, ACCESS_REFUSED);
    }
    ck_assert_uint_eq(asking[19].request.reason_code, REASON_SERVER_SHUTTING_DOWN);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("access_files");
    TCase *tc = tcase_create("provider");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, lets_in_who_has_the_password);
    tcase_add_test(tc, anonymous_clients_are_let_in_but_not_with_a_wrong_password);
    tcase_add_test(tc, a_name_that_cannot_be_verified_is_not_believed);
    tcase_add_test(tc, remembers_for_a_while_who_was_right);
    tcase_add_test(tc, a_reload_decides_for_everybody_from_then_on);
    tcase_add_test(tc, a_file_that_is_wrong_changes_nothing);
    tcase_add_test(tc, a_login_under_way_meets_the_rules_of_its_end);
    tcase_add_test(tc, a_flood_is_refused_above_the_bound_and_who_leaves_is_not_answered);
    tcase_add_test(tc, who_waits_when_it_stops_is_answered);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
