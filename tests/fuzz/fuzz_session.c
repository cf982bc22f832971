/* Fuzzes whole sessions: the input is a story (tests/scenario/chaos.h), the oracle of the scenarios judges
 * both wires.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../scenario/chaos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *broken = chaos_play(str_from((const char *)data, size));

    if (broken != NULL) {
        fprintf(stderr, "%s\n", broken);
        abort();
    }
    return 0;
}
