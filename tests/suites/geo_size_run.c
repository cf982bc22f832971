/* A database of real size, for tests/suites/geo_size.py: how long answers take, what they cost, how many countries there are.
 *
 *     geo_size_run FILE     lookups a second, RSS in KB before and after, answers of each kind, countries, answers with a country
 *                           and without a continent
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../proxy/geoip.h"

enum { LOOKUPS = 1000000 };

static long rss_kb(void)
{
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 32;
}

/* Half of them IPv4, half IPv6 in 2000::/4. */
static struct address random_address(uint64_t *state)
{
    struct address a = { { 0 } };
    bool is_v4 = (next_random(state) & 1) != 0;

    if (is_v4)
        a.byte[10] = a.byte[11] = 0xff;
    for (size_t i = is_v4 ? 12 : 0; i < 16; i++)
        a.byte[i] = (uint8_t)next_random(state);
    if (!is_v4)
        a.byte[0] = (uint8_t)(0x20 | (a.byte[0] & 15));
    return a;
}

int main(int argc, char **argv)
{
    static bool seen[26 * 26];
    const struct geo_policy policy = { .country_database = str_of(argc > 1 ? argv[1] : ""), .refresh = 1000 };
    struct geoip *geo = geoip_open(&policy);
    uint64_t state = 1;
    size_t answers[3] = { 0 }, countries = 0, unplaced = 0;
    long before = rss_kb();
    double begun, took;

    if (geo == NULL)
        return EXIT_FAILURE;
    begun = cpu_now();
    for (size_t i = 0; i < LOOKUPS; i++) {
        struct address address = random_address(&state);
        struct geoip_origin o;

        answers[geoip_lookup(geo, &address, &o)]++;
        if (o.country[0] != '\0')
            seen[(o.country[0] - 'A') * 26 + o.country[1] - 'A'] = true;
        unplaced += o.country[0] != '\0' && o.continent[0] == '\0';
    }
    took = cpu_now() - begun;
    for (size_t i = 0; i < sizeof seen; i++)
        countries += seen[i];
    printf("%.0f %ld %ld %zu %zu %zu %zu %zu\n", LOOKUPS / took, before, rss_kb(), answers[GEOIP_FOUND],
           answers[GEOIP_NOWHERE], answers[GEOIP_BROKEN], countries, unplaced);
    geoip_free(geo);
    return EXIT_SUCCESS;
}
