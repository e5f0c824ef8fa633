/* The main() of every conformance program. */
#include "tests/check_main.h"
#include "tests/conformance/conformance.h"

enum { TESTS_MAX = 256 };

static const TTest *tests[TESTS_MAX];
static size_t tests_len;

void conformance_add(const TTest *test)
{
    if (tests_len == TESTS_MAX) {
        abort();
    }
    tests[tests_len++] = test;
}

static Suite *conformance_suite(void)
{
    Suite *suite = suite_create("conformance");
    TCase *rules = tcase_create("rules");
    for (size_t i = 0; i < tests_len; i++) {
        tcase_add_loop_test(rules, tests[i], 0, 2);
    }
    suite_add_tcase(suite, rules);
    return suite;
}

CHECK_MAIN(conformance_suite)
