/* Header sections with ARC sets, from a shorthand: "R1 M1 S1n R2 M2 S2p" is two whole sets. R is an
 * ARC-Authentication-Results, M an ARC-Message-Signature, S an ARC-Seal; the letter behind its instance is its cv=: none,
 * pass, fail, or "x" for a value that does not exist, "-" for no cv= at all. Set 2 is of s2.example. A word in any other
 * form is an error of the test.
 */
#ifndef TESTS_ARC_HEADER_H
#define TESTS_ARC_HEADER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/str.h"

/* Any 256 octets: whether a signature is right is a fact here, as everywhere in policy/. */
#define ARC_B43 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY" /* 43 characters */
#define ARC_B ARC_B43 ARC_B43 ARC_B43 ARC_B43 ARC_B43 ARC_B43 ARC_B43 "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkQ=="
#define ARC_BH "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" /* of no octet at all */

static const struct {
    char letter;
    const char *cv;
} arc_cvs[] = { { 'n', " cv=none;" }, { 'p', " cv=pass;" }, { 'f', " cv=fail;" }, { 'x', " cv=maybe;" }, { '-', "" } };

static inline const char *arc_cv(char letter)
{
    for (size_t i = 0; i < sizeof arc_cvs / sizeof *arc_cvs; i++)
        if (arc_cvs[i].letter == letter)
            return arc_cvs[i].cv;
    abort();
}

static inline int arc_field(const char *word, char *out, size_t size)
{
    char *end;
    unsigned i = (unsigned)strtoul(word + 1, &end, 10);

    switch (word[0]) {
    case 'R':
        return snprintf(
            out, size,
            "ARC-Authentication-Results: i=%u; mx.s%u.example;\r\n\tspf=fail smtp.mailfrom=x@author.example;"
            " dmarc=pass (p=none)\r\n header.from=author.example\r\n",
            i, i);
    case 'M':
        return snprintf(out, size,
                        "ARC-Message-Signature: i=%u; a=rsa-sha256; c=relaxed/relaxed; d=s%u.example; s=k;\r\n"
                        "\th=from:subject; bh=" ARC_BH ";\r\n\tb=" ARC_B "\r\n",
                        i, i);
    case 'S':
        return snprintf(out, size, "ARC-Seal: i=%u; a=rsa-sha256; t=12345;%s d=s%u.example; s=k;\r\n\tb=" ARC_B "\r\n",
                        i, arc_cv(*end), i);
    default: abort();
    }
}

/* Appends From, and the fields of `sets` above it, to out. */
static inline struct str arc_header(const char *sets, char *out, size_t size)
{
    struct str rest = str_of(sets), word;
    char text[16];
    size_t n = 0;

    while (str_word(&rest, &word)) {
        snprintf(text, sizeof text, "%.*s", STR_ARG(word));
        n += (size_t)arc_field(text, out + n, size - n);
    }
    n += (size_t)snprintf(out + n, size - n, "From: a@author.example\r\nSubject: s\r\n");
    if (n >= size)
        abort();
    return str_from(out, n);
}

/* "R1 M1 S1n R2 M2 S2p ..." of n whole sets. */
static inline const char *arc_sets(unsigned n)
{
    static char text[1024];
    size_t at = 0;

    text[0] = '\0';
    for (unsigned i = 1; i <= n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "R%u M%u S%u%c ", i, i, i, i == 1 ? 'n' : 'p');
    return text;
}

#endif
