#include "check.h"

#include <stdlib.h>
#include <sysexits.h>

#include "setup.h"

int check_file(const char *path)
{
    struct setup setup;

    if (!setup_load(&setup, path, NULL, stderr))
        return EX_CONFIG;
    config_print(setup.config, stdout);
    printf("\n");
    config_print_checks(setup.config, stdout);
    config_prove_memory(setup.config, stdout);
    setup_free(&setup);
    return EXIT_SUCCESS;
}

void check_print_defaults(void)
{
    config_print_defaults(stdout);
}

void check_print_manual(void)
{
    config_print_manual(stdout);
}
