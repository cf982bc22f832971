/* What the parts of wirecheck share: slices of captured octets, arrays that grow, and ends in plain words.
 *
 * These are tools for a person's or a CI machine's desk: out of memory ends them with exit status 70, never with a verdict. */
#ifndef WIRE_BYTES_H
#define WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets that somebody else owns (a capture, a stream); not terminated. */
struct slice {
    const uint8_t *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })
#define SLICE_ARG(s) (int)(s).n, (const char *)(s).p /* for "%.*s" */

struct slice slice_of(const char *text);
bool slice_equal(struct slice a, struct slice b);
/* Letters of US-ASCII are the same in both cases. */
bool slice_equal_nocase(struct slice a, struct slice b);
/* The place of `what` in `s` at or after `from`; s.n when there is none. An empty `what` is found at `from`. */
size_t slice_find(struct slice s, struct slice what, size_t from);
/* From octet `from` up to, not including, octet `to`; both are cut to the slice. */
struct slice slice_part(struct slice s, size_t from, size_t to);

/* Octets that grow. {0} is empty; free with buffer_free(). */
struct buffer {
    uint8_t *p;
    size_t n, size;
};

void buffer_add(struct buffer *b, const void *p, size_t n);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_free(struct buffer *b);
struct slice buffer_slice(const struct buffer *b);

/* Makes room for one more element in an array that doubles: `array` of `n` elements of `size` octets. Returns the array. */
void *array_grow(void *array, size_t n, size_t size) __attribute__((returns_nonnull));
/* malloc() of zeros that does not return when there is no memory. */
void *fresh(size_t size) __attribute__((returns_nonnull));

/* Who is dying: "wirecheck" unless a program says otherwise. */
extern const char *die_name;
/* "wirecheck: text" on stderr, exit(status). 64 usage, 65 bad input, 66 no such file, 70 ourselves. */
void die(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Prints octets as C escapes between quotes, at most `max` of them ("..." follows when there are more). */
void buffer_add_quoted(struct buffer *b, struct slice s, size_t max);

#endif
