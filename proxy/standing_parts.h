/* What standing.c and standing_file.c share. Nobody else includes this. */
#ifndef PROXY_STANDING_PARTS_H
#define PROXY_STANDING_PARTS_H

#include "standing.h"

struct standing {
    struct shared_table *table;
    struct standing_policy policy;
};

/* A value of the table: good (8 bits), bad (8), hour (20, since the epoch: until 2089). */
struct standing_record {
    uint64_t good, bad, hour;
};
#define STANDING_HOURS ((UINT64_C(1) << 20) - 1)

/* Nobody is remembered for nothing. */
bool standing_value_is_valid(uint64_t value);

#endif
