/* A database of strangers, from opening to answers: what comes out is text of the promised form, whatever the file says. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"
#include "proxy/geoip.h"

enum { ROOM = 1 << 16 };

static char path[64];
static struct log *log_kept;

static void at_exit(void)
{
    unlink(path);
    log_free(log_kept);
}

static void begin(void)
{
    snprintf(path, sizeof path, "%s/fuzz-geoip.%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    log_kept = log_new(LOG_LOGFMT, LOG_TO_STDERR, LOG_INFO, -1);
    REQUIRE(log_kept != NULL);
    atexit(at_exit);
}

static void put(const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    REQUIRE(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static void check_code(const char *code)
{
    REQUIRE(strlen(code) == 0 ||
            (strlen(code) == 2 && code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z'));
}

static void ask(struct geoip *geo, const char *text)
{
    struct address address;
    struct geoip_origin o;
    enum geoip_state state;

    REQUIRE(address_parse(str_of(text), &address));
    state = geoip_lookup(geo, &address, &o);
    check_code(o.country);
    check_code(o.continent);
    REQUIRE(strspn(o.asn, "0123456789") == strlen(o.asn) && o.asn[0] != '0');
    for (const char *c = o.owner; *c != '\0'; c++)
        REQUIRE(*c >= ' ' && *c <= '~');
    REQUIRE(state == GEOIP_FOUND || (o.country[0] == '\0' && o.continent[0] == '\0' && o.asn[0] == '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const spread[] = { "0.0.0.0", "64.1.1.1",    "128.0.0.1", "203.0.113.9", "255.255.255.255",
                                          "::",      "2001:db8::1", "4000::1",   "8000::1",     "fe80::1" };
    struct geo_policy policy = { .refresh = 1 };
    struct geoip *geo;

    if (size > ROOM)
        return 0;
    if (log_kept == NULL)
        begin();
    put(data, size);
    policy.country_database = policy.asn_database = str_of(path);
    geo = geoip_new(&policy);
    REQUIRE(geo != NULL);
    log_clear(log_kept);
    geoip_begin(geo, log_kept, 0);
    for (size_t i = 0; i < sizeof spread / sizeof *spread; i++)
        ask(geo, spread[i]);
    geoip_free(geo);
    return 0;
}
