/*
 * One mapping per block: pages for the content, pushed against their end, and one page without rights.
 */
#include "tests/protocol/guarded.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_len(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t content_pages_len(size_t len)
{
    return (len + page_len()) / page_len() * page_len();
}

static void fail(const char *what)
{
    fprintf(stderr, "guarded: %s\n", what);
    abort();
}

uint8_t *guarded_alloc(size_t len)
{
    size_t pages_len = content_pages_len(len);
    uint8_t *map = mmap(NULL, pages_len + page_len(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + pages_len, page_len(), PROT_NONE) != 0) {
        fail("no memory");
    }
    return map + pages_len - len;
}

struct bytes guarded_copy(struct bytes b)
{
    uint8_t *copy = guarded_alloc(b.len);
    if (b.len > 0) {
        memcpy(copy, b.data, b.len);
    }
    return (struct bytes){copy, b.len};
}

static uint8_t hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));
    if (at == NULL) {
        fail("not a hexadecimal digit");
        return 0;
    }
    return (uint8_t)(at - digits);
}

struct bytes guarded_hex(const char *hex)
{
    uint8_t *buf = malloc(strlen(hex) + 1);
    size_t len = 0;
    if (buf == NULL) {
        fail("no memory");
        return (struct bytes){NULL, 0};
    }
    for (const char *at = hex; *at != '\0';) {
        if (*at == ' ') {
            at++;
        } else if (*at == '\'') {
            for (at++; *at != '\'' && *at != '\0'; at++) {
                buf[len++] = (uint8_t)*at;
            }
            at += *at == '\'';
        } else {
            buf[len++] = (uint8_t)(hex_digit(at[0]) << 4 | hex_digit(at[1]));
            at += 2;
        }
    }
    struct bytes copy = guarded_copy((struct bytes){buf, len});
    free(buf);
    return copy;
}

void guarded_free(const uint8_t *data, size_t len)
{
    size_t pages_len = content_pages_len(len);
    const uint8_t *map = data + len - pages_len;
    if (munmap((void *)(uintptr_t)map, pages_len + page_len()) != 0) {
        fail("not a guarded block");
    }
}
