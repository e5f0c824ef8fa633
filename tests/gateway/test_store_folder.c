/* Where the store is when nobody says, and whose its folder is. */
#include "gateway/store_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "gateway/account.h"
#include "tests/check_main.h"

#define OTHER 12345u

static char folder[64];
static struct config *config;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_store_folder.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    config = config_default();
    ck_assert_ptr_nonnull(config);
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/x", 1);
}

static void teardown(void)
{
    char command[96];
    config_free(config);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): the name is ours */
}

static void expect(bool is_root, const char *path)
{
    char *found = store_folder_path(config, is_root);
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found, path);
    free(found);
}

/* --- where ----------------------------------------------------------------------------------------------------------------------- */

START_TEST(is_where_the_configuration_says)
{
    setenv("STATE_DIRECTORY", "/var/lib/x", 1);
    config->store.path = strdup("/srv/store");
    expect(false, "/srv/store");
    expect(true, "/srv/store");
}
END_TEST

START_TEST(takes_the_first_folder_that_the_service_manager_made)
{
    setenv("XDG_STATE_HOME", "/home/x/state", 1);
    setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
    expect(true, "/var/lib/a");
    setenv("STATE_DIRECTORY", "/var/lib/a", 1);
    expect(false, "/var/lib/a");
}
END_TEST

START_TEST(is_the_systems_when_root_becomes_another_account)
{
    config->user = strdup("somebody");
    expect(true, "/var/lib/tidegate");
    expect(false, "/home/x/.local/state/tidegate");
}
END_TEST

START_TEST(is_in_the_users_place_for_state)
{
    expect(false, "/home/x/.local/state/tidegate");
    expect(true, "/home/x/.local/state/tidegate");
    setenv("XDG_STATE_HOME", "/home/x/state", 1);
    expect(false, "/home/x/state/tidegate");
}
END_TEST

START_TEST(passes_over_what_is_no_absolute_path)
{
    setenv("STATE_DIRECTORY", "", 1);
    setenv("XDG_STATE_HOME", "state", 1);
    expect(false, "/home/x/.local/state/tidegate");
    setenv("HOME", "x", 1);
    errno = 0;
    ck_assert_ptr_null(store_folder_path(config, false));
    ck_assert_int_eq(errno, ENOENT);
    unsetenv("HOME");
    ck_assert_ptr_null(store_folder_path(config, false));
}
END_TEST

/* --- making it ------------------------------------------------------------------------------------------------------------------- */

static struct stat look(const char *below)
{
    char path[160];
    struct stat there;
    snprintf(path, sizeof path, "%s%s", folder, below);
    ck_assert_int_eq(stat(path, &there), 0);
    return there;
}

static bool make(const char *below, const struct account *account)
{
    char path[160];
    snprintf(path, sizeof path, "%s%s", folder, below);
    return store_folder_make(path, account);
}

START_TEST(makes_it_and_what_is_missing_above_for_its_owner_alone)
{
    umask(0);
    ck_assert(make("/a/b/store", NULL));
    ck_assert_uint_eq(look("/a").st_mode & 07777, 0700);
    ck_assert_uint_eq(look("/a/b").st_mode & 07777, 0700);
    ck_assert_uint_eq(look("/a/b/store").st_mode & 07777, 0700);
    ck_assert(make("/a/b/store", NULL));
    ck_assert(make("/a/b/store/", NULL));
    ck_assert(make("/c//d///", NULL));
    ck_assert_uint_eq(look("/c/d").st_mode & 07777, 0700);
}
END_TEST

START_TEST(says_what_is_in_the_way)
{
    char path[160];
    snprintf(path, sizeof path, "%s/file", folder);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert(!make("/file", NULL));
    ck_assert_int_eq(errno, ENOTDIR);
    ck_assert(!make("/file/store", NULL));
    ck_assert_int_eq(errno, ENOTDIR);
}
END_TEST

START_TEST(gives_what_it_makes_to_the_account)
{
    struct account account = {"other", OTHER, OTHER};
    if (geteuid() != 0) {
        return;
    }
    umask(022);
    ck_assert(make("/a/store", &account));
    ck_assert_uint_eq(look("/a").st_uid, 0);
    ck_assert_uint_eq(look("/a").st_mode & 07777, 0755);
    ck_assert_uint_eq(look("/a/store").st_uid, OTHER);
    ck_assert_uint_eq(look("/a/store").st_gid, OTHER);
    ck_assert_uint_eq(look("/a/store").st_mode & 07777, 0700);
    ck_assert(make("/a/store", &account));
}
END_TEST

START_TEST(gives_an_empty_folder_of_root_to_the_account_and_no_other)
{
    struct account account = {"other", OTHER, OTHER};
    if (geteuid() != 0) {
        return;
    }
    ck_assert(make("/empty", NULL));
    ck_assert(make("/full/x", NULL));
    ck_assert(make("/empty", &account));
    ck_assert_uint_eq(look("/empty").st_uid, OTHER);
    ck_assert(make("/full", &account));
    ck_assert_uint_eq(look("/full").st_uid, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store folder");
    TCase *where = tcase_create("where");
    TCase *making = tcase_create("making");
    tcase_add_checked_fixture(where, setup, teardown);
    tcase_add_test(where, is_where_the_configuration_says);
    tcase_add_test(where, takes_the_first_folder_that_the_service_manager_made);
    tcase_add_test(where, is_the_systems_when_root_becomes_another_account);
    tcase_add_test(where, is_in_the_users_place_for_state);
    tcase_add_test(where, passes_over_what_is_no_absolute_path);
    suite_add_tcase(s, where);
    tcase_add_checked_fixture(making, setup, teardown);
    tcase_add_test(making, makes_it_and_what_is_missing_above_for_its_owner_alone);
    tcase_add_test(making, says_what_is_in_the_way);
    tcase_add_test(making, gives_what_it_makes_to_the_account);
    tcase_add_test(making, gives_an_empty_folder_of_root_to_the_account_and_no_other);
    suite_add_tcase(s, making);
    return s;
}

CHECK_MAIN(suite)
