/* Claims about how much memory there is, in a folder that looks like the root of some machine. */
#include "config/config.h"
#include "config/memory.h"

#include "tests/check_main.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIB ((uint64_t)1024 * 1024 * 1024)

#define MOUNT_V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1                                                                                                       \
    "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"                                                      \
    "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define MEMINFO "MemTotal:        8388608 kB\nMemFree:          100 kB\n"

static char root[64];

static void setup(void)
{
    strcpy(root, "/tmp/test_memory_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void teardown(void)
{
    nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/** Write CONTENT to the file PATH below the root; makes its folders. */
static void put(const char *path, const char *content)
{
    char whole[1024];

    snprintf(whole, sizeof(whole), "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        ck_assert(mkdir(whole, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    ck_assert_ptr_nonnull(file);
    fputs(content, file);
    fclose(file);
}

START_TEST(nothing_is_known_of_an_empty_machine)
{
    ck_assert_uint_eq(memory_available_bytes(root), 0);
    ck_assert_uint_eq(memory_available_bytes("/nonexistent"), 0);
}
END_TEST

START_TEST(ram_counts_where_no_group_limits)
{
    put("/proc/meminfo", MEMINFO);
    ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
    put("/proc/self/cgroup", "0::/user.slice\n");
    ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/user.slice/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/memory.high", "max\n");
    ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
}
END_TEST

START_TEST(lowest_group_above_counts)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "1:name=systemd:/x\n0::/a/b/c\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/a/b/c/memory.max", "3221225472\n");
    ck_assert_uint_eq(memory_available_bytes(root), 3 * GIB);
    put("/sys/fs/cgroup/a/memory.max", "1073741824\n");
    ck_assert_uint_eq(memory_available_bytes(root), GIB);
    put("/sys/fs/cgroup/a/b/memory.high", "1073741823\n");
    ck_assert_uint_eq(memory_available_bytes(root), GIB - 1);
    put("/sys/fs/cgroup/memory.max", "1000000\n");
    ck_assert_uint_eq(memory_available_bytes(root), 1000000);
    put("/sys/fs/cgroup/other/memory.max", "1\n");
    ck_assert_uint_eq(memory_available_bytes(root), 1000000);
}
END_TEST

START_TEST(ram_counts_below_a_larger_limit)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/a/memory.max", "1099511627776\n");
    ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
}
END_TEST

START_TEST(container_sees_its_group_as_the_root)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/memory.max", "2147483648\n");
    ck_assert_uint_eq(memory_available_bytes(root), 2 * GIB);
}
END_TEST

START_TEST(mount_of_a_group_is_subtracted)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/docker/abc/inner\n");
    put("/proc/self/mountinfo", "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/memory.max", "2147483648\n");
    put("/sys/fs/cgroup/inner/memory.max", "1073741824\n");
    ck_assert_uint_eq(memory_available_bytes(root), GIB);
    put("/proc/self/cgroup", "0::/docker/abcdef\n"); /* elsewhere */
    ck_assert_uint_eq(memory_available_bytes(root), 2 * GIB);
    put("/proc/self/cgroup", "0::/../other\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    ck_assert_uint_eq(memory_available_bytes(root), 2 * GIB);
}
END_TEST

START_TEST(version_1_is_read_where_its_controller_is_mounted)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:hugetlb,memory:/y/z\n0::/\n");
    put("/proc/self/mountinfo", MOUNT_V1);
    put("/sys/fs/cgroup/memory/y/z/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
    put("/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "536870912\n");
    put("/sys/fs/cgroup/cpu/x/memory.limit_in_bytes", "1\n");
    ck_assert_uint_eq(memory_available_bytes(root), GIB / 2);
}
END_TEST

START_TEST(mount_points_with_blanks_are_unescaped)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
    put("/my groups/a/memory.max", "1073741824\n");
    ck_assert_uint_eq(memory_available_bytes(root), GIB);
}
END_TEST

START_TEST(nonsense_is_passed_over)
{
    static const char *const cgroups[] = {"", "\n", ":", "::", "0:", "0::", "no colons\n", "::/a\n"};
    static const char *const mounts[] = {
        "",          "\n", " - ", " - cgroup2", " - cgroup2 x y\n", "1 2 3 - cgroup2 x y\n", "a - b - cgroup2 c rw\n",
        "1 2 3 /\n",
    };

    put("/proc/meminfo", "MemTotal: many kB\nMemTotal: 99999999999999999999 kB\nMemTotal: 18446744073709551615 kB\n");
    ck_assert_uint_eq(memory_available_bytes(root), 0);
    put("/proc/meminfo", MEMINFO);
    for (size_t i = 0; i < sizeof(cgroups) / sizeof(cgroups[0]); i++) {
        put("/proc/self/cgroup", cgroups[i]);
        for (size_t j = 0; j < sizeof(mounts) / sizeof(mounts[0]); j++) {
            put("/proc/self/mountinfo", mounts[j]);
            ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
        }
    }
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/a/memory.max", "lots\n");
    ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
    put("/sys/fs/cgroup/a/memory.max", "");
    ck_assert_uint_eq(memory_available_bytes(root), 8 * GIB);
}
END_TEST

START_TEST(bound_is_what_is_written_or_half)
{
    struct config_limits limits = {.memory_bytes = 12345678};

    ck_assert_uint_eq(memory_limit_bytes(&limits), 12345678);
    limits.memory_bytes = 0;
    uint64_t available = memory_available_bytes("");
    ck_assert_uint_gt(available, 0);
    ck_assert_uint_eq(memory_limit_bytes(&limits), available / 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("memory");
    TCase *tc = tcase_create("memory");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_is_known_of_an_empty_machine);
    tcase_add_test(tc, ram_counts_where_no_group_limits);
    tcase_add_test(tc, lowest_group_above_counts);
    tcase_add_test(tc, ram_counts_below_a_larger_limit);
    tcase_add_test(tc, container_sees_its_group_as_the_root);
    tcase_add_test(tc, mount_of_a_group_is_subtracted);
    tcase_add_test(tc, version_1_is_read_where_its_controller_is_mounted);
    tcase_add_test(tc, mount_points_with_blanks_are_unescaped);
    tcase_add_test(tc, nonsense_is_passed_over);
    tcase_add_test(tc, bound_is_what_is_written_or_half);
    suite_add_tcase(s, tc);
    return s;
}

CHECK_MAIN(suite)
