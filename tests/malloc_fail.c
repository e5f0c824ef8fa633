/* The linker turns each call of malloc into one of __wrap_malloc, and __real_malloc into the allocator. */
#include "tests/malloc_fail.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

static _Atomic uint64_t countdown; /* 0: nothing is to fail */
static _Atomic bool failed;
static _Atomic uint64_t run; /* how many are to fail when countdown is at 1 */

void malloc_fail_run(uint64_t n, uint64_t count)
{
    atomic_store(&failed, false);
    atomic_store(&run, count);
    atomic_store(&countdown, n);
}

void malloc_fail_at(uint64_t n)
{
    malloc_fail_run(n, 1);
}

bool malloc_fail_end(void)
{
    atomic_store(&countdown, 0);
    return atomic_load(&failed);
}

/* True if the call that asks is the one that fails. */
static bool is_due(void)
{
    uint64_t left = atomic_load(&countdown);
    do {
        if (left == 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&countdown, &left, left - 1));
    if (left != 1) {
        return false;
    }
    if (atomic_fetch_sub(&run, 1) > 1) {
        atomic_store(&countdown, 1); /* the next one is due, too */
    }
    atomic_store(&failed, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_due() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_due() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return is_due() ? NULL : __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_due() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t size)
{
    return is_due() ? ENOMEM : __real_posix_memalign(block, alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return is_due() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return is_due() ? NULL : __real_strndup(text, len);
}
