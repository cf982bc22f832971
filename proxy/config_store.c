/* The memory of a configuration, and files read whole. */
#include "config_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK_SIZE = 16 << 10,
    FILE_MAX = 64 << 20 /* octets of an ini, or of a file of domains */
};

struct config_chunk {
    struct config_chunk *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

void *config_take(struct config_store *store, size_t n)
{
    struct config_chunk *chunk = store->first;
    size_t align = _Alignof(max_align_t);

    n = (n + align - 1) / align * align;
    if (chunk == NULL || n > chunk->size - chunk->used) {
        size_t size = n > CHUNK_SIZE ? n : CHUNK_SIZE;

        chunk = calloc(1, sizeof *chunk + size);
        if (chunk == NULL)
            return NULL;
        chunk->size = size;
        chunk->next = store->first;
        store->first = chunk;
    }
    chunk->used += n;
    return chunk->data + chunk->used - n;
}

void config_release(struct config_store *store)
{
    while (store->first != NULL) {
        struct config_chunk *next = store->first->next;

        free(store->first);
        store->first = next;
    }
}

size_t config_store_size(const struct config_store *store)
{
    size_t n = 0;

    for (const struct config_chunk *chunk = store->first; chunk != NULL; chunk = chunk->next)
        n += sizeof *chunk + chunk->size;
    return n;
}

/* ---- files ---- */

/* More room when there is none; false when that is too much, or memory is short (errno). */
static bool make_room(char **data, size_t n, size_t *size)
{
    size_t larger = *size > 0 ? 2 * *size : CHUNK_SIZE;
    char *grown;

    if (*size - n > 1)
        return true;
    if (n > FILE_MAX) {
        errno = EFBIG;
        return false;
    }
    grown = realloc(*data, larger);
    if (grown == NULL)
        return false;
    *data = grown;
    *size = larger;
    return true;
}

static char *read_all(int fd, size_t *n)
{
    char *data = NULL;
    size_t size = 0;

    *n = 0;
    while (make_room(&data, *n, &size)) {
        ssize_t got = read(fd, data + *n, size - *n - 1);

        if (got > 0)
            *n += (size_t)got;
        if (got == 0) {
            data[*n] = '\0';
            return data;
        }
        if (got < 0 && errno != EINTR)
            break;
    }
    free(data);
    return NULL;
}

static bool is_regular(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return false;
    errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    return S_ISREG(st.st_mode);
}

/* O_NONBLOCK: a FIFO without a writer must not hold up who asks for a regular file. */
static int open_file(const char *path, bool regular)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (regular ? O_NONBLOCK : 0));
}

char *config_read_file(const char *path, bool regular, size_t *n)
{
    bool is_stdin = !regular && strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open_file(path, regular);
    char *data = NULL;
    int why;

    if (fd < 0)
        return NULL;
    if (!regular || is_regular(fd))
        data = read_all(fd, n);
    why = errno;
    if (!is_stdin)
        close(fd);
    errno = why;
    return data;
}

int config_file_trouble(const char *path)
{
    int fd = open_file(path, true);
    int why = 0;

    if (fd < 0)
        return errno;
    if (!is_regular(fd))
        why = errno;
    close(fd);
    return why;
}
