/*
 * Runs a fuzz target without a fuzzer: fuzz_NAME DIRECTORY gives it every file of a saved corpus once, in gcc and
 * cross builds too. A crash or a sanitizer's report is the failure; the count printed is that of the files read.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The buffer is exactly as long as the file, so that ASan sees a read past its end. */
static int replay(const char *directory, const char *name)
{
    char path[4096];
    uint8_t *data;
    long size;
    FILE *file;

    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return -1;
    file = fopen(path, "rb");
    if (!file)
        return -1;
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0) {
        fclose(file);
        return -1;
    }
    data = malloc(size ? (size_t)size : 1);
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
        free(data);
        fclose(file);
        return -1;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    struct dirent *entry;
    DIR *directory;

    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
        return 64;
    }
    directory = opendir(argv[1]);
    if (!directory) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        if (replay(argv[1], entry->d_name) == 0) {
            passed++;
        } else {
            fprintf(stderr, "%s/%s: cannot read\n", argv[1], entry->d_name);
            failed++;
        }
    }
    closedir(directory);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
