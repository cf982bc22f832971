/* What fuzz targets share. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "../../policy/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A claim about every input; unlike assert it is there in every build. */
#define REQUIRE(claim) \
    do { \
        if (!(claim)) \
            abort(); \
    } while (0)

/* Lengths of segments to cut an input into, drawn from a seed: short ones mostly, now and then all that is
 * left.
 */
struct cuts {
    uint32_t state;
};

static inline size_t cut_next(struct cuts *c, size_t left)
{
    size_t n;

    c->state = c->state * 1664525 + 1013904223;
    n = (c->state >> 24 & 15) == 0 ? left : (c->state >> 28) + 1;
    return n < left ? n : left;
}

#endif
