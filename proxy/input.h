/* Files that the command line names, read whole. */
#ifndef PROXY_INPUT_H
#define PROXY_INPUT_H

#include <stddef.h>

/* The octets of a file, or of standard input ("-"), in malloc'd memory; NULL and errno on failure. */
char *input_read(const char *path, size_t *n);

#endif
