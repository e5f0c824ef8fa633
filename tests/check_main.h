/**
 * The main() of every unit test program: run one suite, say every failure by name, exit 1 if there is one.
 *
 *     CHECK_MAIN(suite)       with    static Suite *suite(void)
 *
 * CK_RUN_CASE=decode runs one test case alone, CK_FORK=no runs it in this process (for a debugger).
 */
#ifndef TESTS_CHECK_MAIN_H
#define TESTS_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

#define CHECK_MAIN(make_suite)                                                                                         \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        SRunner *runner = srunner_create(make_suite());                                                                \
        srunner_run_all(runner, CK_ENV);                                                                               \
        int failed = srunner_ntests_failed(runner);                                                                    \
        srunner_free(runner);                                                                                          \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                                              \
    }

#endif
