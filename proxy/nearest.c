#include "nearest.h"

/* Longer names are near nothing. */
enum { NEAREST_MAX = 40 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

static bool is_swap(struct str a, struct str b, size_t i, size_t j)
{
    return i > 1 && j > 1 && ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 2]) &&
           ascii_lower(a.p[i - 2]) == ascii_lower(b.p[j - 1]);
}

/* Optimal string alignment: cost[i][j] is the distance of the first i letters of a from the first j of b. */
static size_t distance(struct str a, struct str b)
{
    size_t cost[NEAREST_MAX + 1][NEAREST_MAX + 1];

    for (size_t i = 0; i <= a.n; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= b.n; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= a.n; i++)
        for (size_t j = 1; j <= b.n; j++) {
            size_t differs = ascii_lower(a.p[i - 1]) != ascii_lower(b.p[j - 1]);

            cost[i][j] = least(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + differs);
            if (is_swap(a, b, i, j) && cost[i - 2][j - 2] + 1 < cost[i][j])
                cost[i][j] = cost[i - 2][j - 2] + 1;
        }
    return cost[a.n][b.n];
}

const char *nearest_name(struct str wrong, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    size_t fewest = NEAREST_MAX + 1;

    if (wrong.n > NEAREST_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        struct str name = str_of(names[i]);
        size_t allowed = name.n > 3 ? name.n / 3 : 1;
        size_t errors = name.n <= NEAREST_MAX ? distance(wrong, name) : NEAREST_MAX + 1;

        if (errors <= allowed && errors < fewest) {
            fewest = errors;
            nearest = names[i];
        }
    }
    return nearest;
}
