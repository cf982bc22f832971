/* Postern's log, read back: one record for each line that is one (logfmt or JSON). */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "bytes.h"

struct field {
    struct slice key, value; /* value less its quotes and escapes */
};

struct session;

struct record {
    size_t line;       /* from 1 */
    struct slice text; /* the whole line */
    struct field *field;
    size_t n;
    const char *broken; /* why it could not be read, NULL */
    struct session
        *session; /* whose connection, transaction or refusal it tells of, found by join.c; NULL: nobody's here */
};

struct records {
    struct record *record;
    size_t n;
    struct buffer text;   /* of the file; the slices point into it */
    struct buffer memory; /* of unescaped values */
};

/* Ends the program when the file cannot be read. Lines of other programs (a sanitizer's) become broken records. */
void records_read(struct records *r, const char *path);
void records_free(struct records *r);
/* The value of `key`; n = 0 and p = NULL when there is none. */
struct slice record_value(const struct record *r, const char *key);
bool record_is(const struct record *r, const char *event);

#endif
