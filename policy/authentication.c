#include "authentication.h"

static const char *const result_names[AUTH_RESULTS] = {
    [AUTH_ABSENT] = "absent",   [AUTH_NONE] = "none",           [AUTH_PASS] = "pass",
    [AUTH_FAIL] = "fail",       [AUTH_SOFTFAIL] = "softfail",   [AUTH_NEUTRAL] = "neutral",
    [AUTH_POLICY] = "policy",   [AUTH_TEMPERROR] = "temperror", [AUTH_PERMERROR] = "permerror",
    [AUTH_PENDING] = "pending",
};

const char *auth_result_name(enum auth_result result)
{
    return (size_t)result < AUTH_RESULTS ? result_names[result] : "?";
}
