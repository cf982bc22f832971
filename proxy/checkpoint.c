#include "checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The path with a NUL, or its directory. False when it is too long. */
static bool path_of(const struct standing_policy *policy, char path[PATH_MAX])
{
    int n = snprintf(path, PATH_MAX, "%.*s", STR_ARG(policy->checkpoint));

    return n >= 0 && n < PATH_MAX;
}

static bool is_place_to_write(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];

    if (slash == NULL)
        return access(".", W_OK | X_OK) == 0;
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path) + 1, path);
    return access(directory, W_OK | X_OK) == 0;
}

bool checkpoint_begin(struct standing *standing, const struct standing_policy *policy, struct log *log, FILE *errors)
{
    char path[PATH_MAX];
    const char *fault;
    bool is_missing;

    if (policy->checkpoint.n == 0)
        return true;
    if (!path_of(policy, path) || !is_place_to_write(path)) {
        fprintf(errors, "postern: [standing] checkpoint: cannot write to %.*s: %s\n", STR_ARG(policy->checkpoint),
                strerror(errno));
        return false;
    }
    fault = standing_load(standing, path, &is_missing);
    if (fault != NULL)
        log_say(log, LOG_WARN, "standing", "%s is not read, nobody is known: %s", path, fault);
    else
        log_say(log, LOG_INFO, "standing", is_missing ? "%s is not there yet" : "%s was read", path);
    return true;
}

void checkpoint_write(const struct standing *standing, const struct standing_policy *policy, struct log *log)
{
    char path[PATH_MAX];
    const char *fault;

    if (policy->checkpoint.n == 0 || !path_of(policy, path))
        return;
    fault = standing_save(standing, path, (uint64_t)time(NULL));
    if (fault != NULL)
        log_say(log, LOG_ERROR, "standing", "%s: %s: %s", path, fault, strerror(errno));
    else
        log_say(log, LOG_INFO, "standing", "%s written", path);
}
