/* Memory that runs out while files are read, or somebody is let in: the file is not read, or the client refused, and nothing leaks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/access/access_files.h"
#include "gateway/access/acl_file.h"
#include "gateway/access/password_file.h"
#include "gateway/base/rcu.h"
#include "tests/access/hashes.h"
#include "tests/check_main.h"
#include "tests/malloc_fail.h"

static const char acl_text[] =
    "topic read a/#\ntopic deny a\nuser u1\ntopic b/+/c\nuser u2\ntopic write b/1/2/3/4/5/6/7/8\n"
    "pattern read x/%c/%u/9/10/11/12/13/14\nuser u3\ntopic read a/#\ntopic deny a/#\nuser u4\n"
    "topic c\nuser u5\ntopic c\nuser u6\ntopic c\nuser u7\ntopic c\nuser u8\ntopic c\n";
static const char password_text[] = "alice:" HASH_S6_12 "\nbob:" HASH_S6_64 "\n";

START_TEST(acl_file_is_read_whole_or_not_at_all)
{
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct rule_fault fault = {.line = 99};
        malloc_fail_at(n);
        struct acl *acl = acl_parse(bytes_from_string(acl_text), &fault);
        failed = malloc_fail_end();
        ck_assert_int_eq(acl == NULL, failed);
        ck_assert(acl != NULL || (fault.line == 0 && strcmp(fault.text, "out of memory") == 0));
        acl_free(acl);
    }
}
END_TEST

START_TEST(password_file_is_read_whole_or_not_at_all)
{
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct rule_fault fault = {.line = 99};
        malloc_fail_at(n);
        struct password_file *file = password_file_parse(bytes_from_string(password_text), &fault);
        failed = malloc_fail_end();
        ck_assert_int_eq(file == NULL, failed);
        ck_assert(file != NULL || (fault.line == 0 && strcmp(fault.text, "out of memory") == 0));
        password_file_unref(file);
    }
}
END_TEST

START_TEST(a_class_without_memory_is_checked_by_message)
{
    struct rule_fault fault;
    struct acl *acl = acl_parse(bytes_from_string(acl_text), &fault);
    ck_assert_ptr_nonnull(acl);
    struct acl_client client = {bytes_from_string("c"), bytes_from_string("u3")};
    malloc_fail_at(1);
    enum access_class class = acl_classify(acl, &client, bytes_from_string("a/#"));
    bool failed = malloc_fail_end();
    ck_assert(failed && class == ACCESS_SOME);
    ck_assert_int_eq(acl_classify(acl, &client, bytes_from_string("a/#")), ACCESS_NONE);
    acl_free(acl);
}
END_TEST

START_TEST(provider_starts_and_reloads_whole_or_not_at_all)
{
    char path[] = "/tmp/tidegate-passwords-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, password_text, strlen(password_text)), (ssize_t)strlen(password_text));
    close(fd);
    tg_rcu_register_thread();
    const struct access_files_options options = {.password_file = path};
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct access_files_fault fault;
        malloc_fail_at(n);
        struct access *access = access_files_new(&options, 2, &fault);
        failed = malloc_fail_end();
        ck_assert_int_eq(access == NULL, failed);
        access_free(access);
    }
    struct access_files_fault fault;
    struct access *access = access_files_new(&options, 1, &fault);
    ck_assert_ptr_nonnull(access);
    failed = true;
    for (uint64_t n = 1; failed; n++) {
        malloc_fail_at(n);
        bool ok = access_files_reload(access, &options, &fault);
        failed = malloc_fail_end();
        ck_assert_int_eq(ok, !failed);
    }
    access_free(access);
    tg_rcu_barrier();
    tg_rcu_unregister_thread();
    unlink(path);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("access_memory");
    TCase *tc = tcase_create("memory");
    tcase_add_test(tc, acl_file_is_read_whole_or_not_at_all);
    tcase_add_test(tc, password_file_is_read_whole_or_not_at_all);
    tcase_add_test(tc, a_class_without_memory_is_checked_by_message);
    tcase_add_test(tc, provider_starts_and_reloads_whole_or_not_at_all);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
