/* Allocations that fail on purpose. The player is linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc; only what the product asks for (world_in_product) is
 * counted and fails.
 */
#ifndef SCENARIO_ALLOC_H
#define SCENARIO_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the `k`-th allocation fails (0: none); when `all_after`, the later ones, too. */
void alloc_fail_at(size_t k, bool all_after);
/* Allocations since then. */
size_t alloc_count(void);

#endif
