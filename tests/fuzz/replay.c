/**
 * The main() of a fuzz target in a plain build: run it over its corpus, so that every input that once mattered
 * is tried by `make check`, under each sanitizer.
 *
 *     tests/fuzz/fuzz_x              all files of $srcdir/tests/fuzz/corpus/x (srcdir: default ".")
 *     tests/fuzz/fuzz_x FILE...      these files alone
 *
 * Each input lies in its own heap block of exactly its size, so that address sanitizer sees one byte read too
 * far. A corpus that is missing or empty is a failure.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;
    int ok = 0;

    if (file == NULL)
        goto out;
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
        goto out;
    data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size)
        goto out;
    if (size == 0) {
        free(data);
        data = NULL;
    }
    LLVMFuzzerTestOneInput(data, (size_t)size);
    ok = 1;
out:
    if (!ok)
        perror(path);
    free(data);
    if (file != NULL)
        fclose(file);
    return ok;
}

static int replay_folder(const char *folder)
{
    char path[2048];
    DIR *dir = opendir(folder);
    int count = 0;
    int ok = 1;

    if (dir == NULL) {
        perror(folder);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        ok &= replay_file(path);
        count++;
    }
    closedir(dir);
    printf("%s: %d inputs\n", folder, count);
    return ok && count > 0;
}

int main(int argc, char **argv)
{
    const char *srcdir = getenv("srcdir");
    const char *name = strstr(argv[0], "fuzz_");
    char folder[1024];
    int ok = 1;

    for (int i = 1; i < argc; i++)
        ok &= replay_file(argv[i]);
    if (argc > 1)
        return ok ? EXIT_SUCCESS : EXIT_FAILURE;
    if (name == NULL) {
        fprintf(stderr, "%s: not named fuzz_*\n", argv[0]);
        return EXIT_FAILURE;
    }
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".", name + strlen("fuzz_"));
    return replay_folder(folder) ? EXIT_SUCCESS : EXIT_FAILURE;
}
