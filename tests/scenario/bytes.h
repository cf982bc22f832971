/* Growable byte queues for the scenario player. Test code: out of memory ends the program. */
#ifndef SCENARIO_BYTES_H
#define SCENARIO_BYTES_H

#include "../../policy/str.h"

/* Bytes p[start..n) are in use; zero it to start. */
struct bytes {
    char *p;
    size_t start, n, size;
};

void bytes_put(struct bytes *, struct str);
void bytes_printf(struct bytes *, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct str bytes_all(const struct bytes *);
/* Removes `n` from the front. */
void bytes_drop(struct bytes *, size_t n);
void bytes_clear(struct bytes *);
void bytes_free(struct bytes *);

/* malloc, realloc and copies that cannot fail. */
void *must_grow(void *, size_t n);
char *must_copy(struct str);

/* Position of `needle` in `s`, or s.n. */
size_t str_search(struct str s, struct str needle);
/* `pattern` with '*' for any run of bytes ("\\*": a star), against the whole of `s`. */
bool str_glob(struct str s, struct str pattern);
/* Appends `s` so that a reader sees every byte: \r \n \t \xNN. */
void bytes_put_escaped(struct bytes *, struct str s);

#endif
