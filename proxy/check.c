#include "check.h"

#include <stdlib.h>
#include <sysexits.h>

#include "setup.h"
#include "standing.h"

/* What wears out a flash disk; the log is the operator's. */
static void print_writes(const struct config *config)
{
    const struct standing_policy *standing = &config->policy.standing;

    if (standing->checkpoint.n > 0)
        printf("# written per day: %llu octets to %.*s ([standing] checkpoint), and as many at each stop\n",
               (unsigned long long)standing_file_size(standing), STR_ARG(standing->checkpoint));
    else
        printf("# written per day: nothing\n");
}

int check_file(const char *path)
{
    struct setup setup;

    if (!setup_load(&setup, path, NULL, stderr))
        return EX_CONFIG;
    config_print(setup.config, stdout);
    printf("\n");
    config_print_checks(setup.config, stdout);
    config_prove_memory(setup.config, stdout);
    print_writes(setup.config);
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
