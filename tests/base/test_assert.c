/**
 * gateway/base/assert.h: a broken promise ends the process and says where.
 */
#include "gateway/base/assert.h"

#include "tests/check_main.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(true_condition_goes_on_and_is_evaluated_once)
{
    int evaluated = 0;

    TG_ASSERT(++evaluated == 1);
    ck_assert_int_eq(evaluated, 1);
}
END_TEST

START_TEST(false_condition_aborts_and_names_condition_and_place)
{
    char said[600] = "";
    int pipe_fds[2];
    int status;

    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        TG_ASSERT(child == 12345);
        _exit(0);
    }
    close(pipe_fds[1]);
    ssize_t len = read(pipe_fds[0], said, sizeof said - 1);
    ck_assert_int_gt(len, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_ptr_nonnull(strstr(said, "\"child == 12345\""));
    ck_assert_ptr_nonnull(strstr(said, "test_assert.c:"));
    ck_assert_int_eq(said[len - 1], '\n');
    close(pipe_fds[0]);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("assert");
    TCase *conditions = tcase_create("conditions");

    tcase_add_test(conditions, true_condition_goes_on_and_is_evaluated_once);
    tcase_add_test(conditions, false_condition_aborts_and_names_condition_and_place);
    suite_add_tcase(s, conditions);
    return s;
}

CHECK_MAIN(suite)
