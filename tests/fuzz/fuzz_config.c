/* Any bytes as an ini: no crash, and what is accepted is printed so that it reads back the same. */
#include <stdint.h>
#include <stdlib.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const struct config *config, size_t *n)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, n);

    config_print(config, out);
    fclose(out);
    return text;
}

static void read_back(const char *printed, size_t n)
{
    struct config *config = config_parse(str_from(printed, n), "printed", stderr);
    size_t again_n;
    char *again;

    if (config == NULL)
        abort();
    again = print(config, &again_n);
    if (!str_eq(str_from(again, again_n), str_from(printed, n)))
        abort();
    free(again);
    config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *report = NULL, *printed;
    size_t n;
    FILE *errors = open_memstream(&report, &n);
    struct config *config = config_parse(str_from((const char *)data, size), "fuzz", errors);

    fclose(errors);
    if ((config == NULL) != (n > 0) && strstr(report, "warning: ") == NULL)
        abort();
    if (config != NULL) {
        printed = print(config, &n);
        read_back(printed, n);
        free(printed);
    }
    config_free(config);
    free(report);
    return 0;
}
