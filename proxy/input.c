#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 512 << 20 /* octets of a file: nothing larger is a message or a record */ };

static char *read_stream(FILE *in, size_t *n)
{
    char *octets = NULL, *grown;
    size_t room = 0;

    *n = 0;
    do {
        if (*n == room) {
            room = room > 0 ? 2 * room : 65536;
            grown = room <= INPUT_MAX ? realloc(octets, room) : NULL;
            if (grown == NULL) {
                free(octets);
                errno = room > INPUT_MAX ? EFBIG : ENOMEM;
                return NULL;
            }
            octets = grown;
        }
        *n += fread(octets + *n, 1, room - *n, in);
    } while (!feof(in) && !ferror(in));
    if (!ferror(in))
        return octets;
    free(octets);
    return NULL;
}

char *input_read(const char *path, size_t *n)
{
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *octets;
    int err;

    if (in == NULL)
        return NULL;
    octets = read_stream(in, n);
    err = errno;
    if (in != stdin)
        fclose(in);
    errno = err;
    return octets;
}
