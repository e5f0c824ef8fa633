/* Password files, line by line as Mosquitto reads them; and that a name that is not there costs the same as one that is. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/access/password_file.h"
#include "tests/access/hashes.h"
#include "tests/check_main.h"

static struct password_file *parse(const char *text)
{
    struct rule_fault fault;
    struct password_file *file = password_file_parse(bytes_from_string(text), &fault);
    ck_assert_msg(file != NULL, "line %u: %s", fault.line, fault.text);
    return file;
}

static bool has(const struct password_file *file, const char *name)
{
    return password_file_has(file, bytes_from_string(name));
}

static bool is_right(const struct password_file *file, const char *name)
{
    return password_file_check(file, bytes_from_string(name), bytes_from_string("secret"));
}

static void expect_fault(struct bytes text, unsigned line, const char *why)
{
    struct rule_fault fault;
    struct password_file *file = password_file_parse(text, &fault);
    ck_assert_msg(file == NULL, "%s is accepted", (const char *)text.data);
    ck_assert_uint_eq(fault.line, line);
    ck_assert_msg(strstr(fault.text, why) != NULL, "%s", fault.text);
}

START_TEST(reads_each_line_as_mosquitto_does)
{
    struct password_file *file = parse("# a comment: with a colon\r\n"
                                       "\n"
                                       "a line without that is passed over\n"
                                       "alice:" HASH_S6_12 "\r\n"
                                       "  bob the\tsecond \t: \t" HASH_S7_12 " \n"
                                       "carol:" HASH_S6_64 ":ignored:too\n"
                                       " # no comment:" HASH_S6_12 "\n"
                                       "\xc3\xa9"
                                       "ve:" HASH_ARGON2);
    ck_assert_uint_eq(password_file_users(file), 5);
    ck_assert(is_right(file, "alice") && is_right(file, "bob the\tsecond") && is_right(file, "carol"));
    ck_assert(is_right(file, "# no comment") && is_right(file, "\xc3\xa9ve"));
    ck_assert(has(file, "alice"));
    ck_assert(!has(file, "Alice") && !has(file, "") && !has(file, "ignored") && !has(file, " alice"));
    ck_assert(!is_right(file, "nobody"));
    ck_assert(!password_file_check(file, bytes_from_string("alice"), bytes_from_string("Secret")));
    ck_assert(!password_file_check(file, (struct bytes){(const uint8_t *)"alice\0x", 7}, bytes_from_string("secret")));
    password_file_unref(file);
}
END_TEST

START_TEST(a_line_that_is_wrong_makes_the_file_wrong)
{
    expect_fault(bytes_from_string("a:" HASH_S6_12 "\n\n#\na:" HASH_S6_64 "\n"), 4, "there has been this user name");
    expect_fault(bytes_from_string("a:" HASH_S6_12 "\n a :" HASH_S6_64 "\n"), 2, "there has been this user name");
    expect_fault(bytes_from_string(":" HASH_S6_12), 1, "user name is empty");
    expect_fault(bytes_from_string(" \t :" HASH_S6_12), 1, "user name is empty");
    expect_fault(bytes_from_string("x\na:\n"), 2, "no password hash");
    expect_fault(bytes_from_string("a::" HASH_S6_12), 1, "no password hash");
    expect_fault(bytes_from_string("a:secret"), 1, "not to be written in clear");
    expect_fault(bytes_from_string("a:$6$x"), 1, "parts");
    expect_fault((struct bytes){(const uint8_t *)"a\0b:" HASH_S6_12, 4 + sizeof(HASH_S6_12) - 1}, 1, "byte 0");
}
END_TEST

START_TEST(an_empty_file_lets_nobody_in)
{
    struct password_file *file = parse("");
    ck_assert_uint_eq(password_file_users(file), 0);
    ck_assert(!has(file, "a") && !is_right(file, "a") && !is_right(file, ""));
    password_file_unref(file);
}
END_TEST

START_TEST(finds_each_of_many_users)
{
    enum { USERS = 5000 };
    static char text[USERS * (sizeof(HASH_S6_12) + 8)];
    char name[16];
    size_t len = 0;
    for (int i = 0; i < USERS; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "u%d:%s\n", i, HASH_S6_12);
    }
    struct password_file *file = parse(text);
    ck_assert_uint_eq(password_file_users(file), USERS);
    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof(name), "u%d", i);
        ck_assert(is_right(file, name));
        snprintf(name, sizeof(name), "v%d", i);
        ck_assert(!is_right(file, name));
    }
    password_file_unref(file);
}
END_TEST

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t best_of(const struct password_file *file, const char *name, int rounds)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < rounds; i++) {
        uint64_t begun = cpu_ns();
        (void)password_file_check(file, bytes_from_string(name), bytes_from_string("wrong"));
        uint64_t took = cpu_ns() - begun;
        best = took < best ? took : best;
    }
    return best;
}

/* The least CPU time of several tries, which other load cannot make smaller. The hash takes hundreds of times what a look-up takes. */
START_TEST(a_name_that_is_not_there_costs_what_a_known_one_costs)
{
    struct password_file *file = parse("alice:" HASH_S7_64 "\nbob:" HASH_S7_64 "\n");
    uint64_t known = best_of(file, "alice", 30);
    uint64_t unknown = best_of(file, "nobody", 30);
    ck_assert_msg(unknown * 10 > known * 7 && known * 10 > unknown * 7, "known %llu ns, unknown %llu ns",
                  (unsigned long long)known, (unsigned long long)unknown);
    password_file_unref(file);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("password_file");
    TCase *tc = tcase_create("file");
    tcase_add_test(tc, reads_each_line_as_mosquitto_does);
    tcase_add_test(tc, a_line_that_is_wrong_makes_the_file_wrong);
    tcase_add_test(tc, an_empty_file_lets_nobody_in);
    tcase_add_test(tc, finds_each_of_many_users);
    tcase_add_test(tc, a_name_that_is_not_there_costs_what_a_known_one_costs);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
