#include "confusables.h"

#include "str.h"

/* A row of `skeletons`: the character, and where its skeleton begins in the pool. */
enum { PLACE_BITS = 15, PLACE_MASK = (1 << PLACE_BITS) - 1, LAST_OF_SKELETON = 1 << 21 };

struct fold_run {
    uint32_t first, last;
    uint32_t step;
    int32_t delta;
};

#include "confusables_table.h"

uint32_t case_fold(uint32_t c)
{
    size_t low = 0, high = sizeof folds / sizeof *folds;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct fold_run *run = &folds[middle];

        if (c > run->last)
            low = middle + 1;
        else if (c < run->first)
            high = middle;
        else
            return (c - run->first) % run->step == 0 ? (uint32_t)((int32_t)c + run->delta) : c;
    }
    return c;
}

/* What does not show, or is a mark on a letter: dropped. confusables.awk has the same list. */
static bool is_dropped(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } rows[] = {
        { 0xAD, 0xAD },     { 0x300, 0x36F },   { 0x1AB0, 0x1AFF }, { 0x1DC0, 0x1DFF }, { 0x200B, 0x200F },   { 0x202A, 0x202E },
        { 0x2060, 0x206F }, { 0x20D0, 0x20FF }, { 0xFE00, 0xFE0F }, { 0xFE20, 0xFE2F }, { 0xFEFF, 0xFEFF }, { 0xE0000, 0xE0FFF },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows && c >= rows[i].first; i++)
        if (c <= rows[i].last)
            return true;
    return false;
}

static const uint32_t *find(uint32_t c)
{
    size_t low = 0, high = sizeof skeletons / sizeof *skeletons;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t at = skeletons[middle] >> PLACE_BITS;

        if (at == c)
            return &pool[skeletons[middle] & PLACE_MASK];
        if (at < c)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

size_t skeleton_of(uint32_t c, uint32_t out[SKELETON_MAX])
{
    const uint32_t *skeleton;
    size_t n = 0;

    if (is_dropped(c))
        return 0;
    skeleton = find(c);
    if (skeleton == NULL) {
        out[0] = c;
        return 1;
    }
    do
        out[n++] = *skeleton & (LAST_OF_SKELETON - 1);
    while ((*skeleton++ & LAST_OF_SKELETON) == 0 && n < SKELETON_MAX);
    return n;
}
