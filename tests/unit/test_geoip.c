/* Databases of where addresses are: right answers, files that are broken in every way (ATTACKS M01), replacement at run time. */
#include "proxy/geoip.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/mmdb_value.h"
#include "test.h"

enum { ROOM = 8 << 20, REFRESH = 60000, WATCHDOG = 30 /* seconds, for what takes milliseconds */ };

static struct log *log_kept;
static struct geoip *geo;
static uint64_t now;
static char folder[64], path_a[96], path_b[96];
static char octets[ROOM];

/* ---- files ---- */

/* A file of the suite, in POSTERN_SHARED or in ../shared beside the project; two at a time. */
static const char *suite(const char *name)
{
    static char path[2][4096];
    static unsigned turn;
    const char *shared = getenv("POSTERN_SHARED");

    turn++;
    snprintf(path[turn % 2], sizeof path[0], "%s/suites/mmdb/test-data/%s", shared != NULL ? shared : "../shared",
             name);
    return path[turn % 2];
}

static void begin(void)
{
    snprintf(folder, sizeof folder, "%s/test-geoip.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path_a, sizeof path_a, "%s/a.mmdb", folder);
    snprintf(path_b, sizeof path_b, "%s/b.mmdb", folder);
    log_kept = log_new(LOG_LOGFMT, LOG_TO_STDERR, LOG_INFO, -1);
    CHECK(log_kept != NULL);
    now = 1000;
    alarm(WATCHDOG);
}

static void end(void)
{
    alarm(0);
    geoip_free(geo);
    geo = NULL;
    log_free(log_kept);
    unlink(path_a);
    unlink(path_b);
    rmdir(folder);
}

/* As an operator should: a new file, renamed over the old one. */
static void put(const char *path, const char *what, size_t n)
{
    char fresh[112];
    FILE *file;

    snprintf(fresh, sizeof fresh, "%s.new", path);
    file = fopen(fresh, "wb");
    CHECK(file != NULL && fwrite(what, 1, n, file) == n && fclose(file) == 0 && rename(fresh, path) == 0);
}

static size_t load(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t n = 0;

    if (file != NULL) {
        n = fread(octets, 1, sizeof octets, file);
        fclose(file);
    }
    return n;
}

static bool copy(const char *from, const char *to)
{
    size_t n = load(from);

    if (n > 0)
        put(to, octets, n);
    return n > 0;
}

static void use(const char *country, const char *asn)
{
    const struct geo_policy policy = { .country_database = str_of(country),
                                       .asn_database = str_of(asn),
                                       .refresh = REFRESH };

    geoip_free(geo);
    log_clear(log_kept);
    geo = geoip_new(&policy);
    CHECK(geo != NULL);
    geoip_begin(geo, log_kept, now);
}

static size_t count_log(const char *text)
{
    struct str log = log_peek(log_kept);
    size_t n = 0;

    for (const char *at; log.n > 0 && (at = memmem(log.p, log.n, text, strlen(text))) != NULL; n++)
        log = str_skip(log, (size_t)(at - log.p) + 1);
    return n;
}

/* ---- answers ---- */

static enum geoip_state look(const char *address, struct geoip_origin *origin)
{
    struct address a;

    CHECK(address_parse(str_of(address), &a));
    return geoip_lookup(geo, &a, origin);
}

/* "FOUND DE EU 64500 Example" */
static void check_origin(const char *address, const char *want)
{
    static const char *const states[] = { "FOUND", "NOWHERE", "BROKEN" };
    struct geoip_origin o;
    char text[160];
    enum geoip_state state = look(address, &o);
    int n = snprintf(text, sizeof text, "%s %s %s %s %s", states[state], o.country, o.continent, o.asn, o.owner);

    CHECK_ROW(address);
    CHECK_EQ_STR(text, (size_t)n, want);
}

static const char *const spread[] = {
    "0.0.0.0",   "1.2.3.4",     "67.43.156.9", "81.2.69.160",
    "128.0.0.1", "192.168.1.1", "203.0.113.9", "255.255.255.255",
    "::1",       "2001:db8::1", "2001:218::1", "2a02:d500::1",
    "4000::1",   "8000::1",     "fe80::1",     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
};

/* Whatever they say, it is text that can be told. */
static void ask_spread(void)
{
    for (size_t i = 0; i < sizeof spread / sizeof *spread; i++) {
        struct geoip_origin o;

        look(spread[i], &o);
        CHECK(strlen(o.country) == 0 || strlen(o.country) == 2);
        CHECK(strlen(o.continent) == 0 || strlen(o.continent) == 2);
        for (const char *c = o.owner; *c != '\0'; c++)
            CHECK(*c >= ' ' && *c <= '~');
    }
}

/* Values as the suite's own files have them, read by another program. */
static void answers_as_the_suite_has_it(void)
{
    if (load(suite("GeoLite2-Country-Test.mmdb")) == 0 || load(suite("GeoLite2-ASN-Test.mmdb")) == 0)
        SKIP("the suite mmdb is not here");
    begin();
    use(suite("GeoLite2-Country-Test.mmdb"), suite("GeoLite2-ASN-Test.mmdb"));
    check_origin("2.125.160.216", "FOUND GB EU  ");
    check_origin("67.43.156.0", "FOUND BT AS 35908 ");
    check_origin("81.2.69.160", "FOUND GB EU  ");
    check_origin("89.160.20.112", "FOUND SE EU 29518 Bredband2 AB");
    check_origin("89.160.20.129", "FOUND SE EU 29518 Bredband2 AB");
    check_origin("::ffff:89.160.20.112", "FOUND SE EU 29518 Bredband2 AB");
    check_origin("111.235.160.1", "FOUND CN AS  ");
    check_origin("1.0.0.1", "FOUND   15169 Google Inc.");
    check_origin("1.128.0.0", "FOUND   1221 Telstra Pty Ltd");
    check_origin("12.81.92.0", "FOUND   7018 AT&T Services");
    check_origin("2a02:d500::1", "FOUND  EU  ");
    check_origin("192.0.2.1", "NOWHERE    ");
    check_origin("::1", "NOWHERE    ");
    CHECK_EQ_INT(count_log("in use"), 2);
    end();
}

static void answers_from_small_ones(void)
{
    begin();
    use("tests/scenario/origins.mmdb", "tests/scenario/systems.mmdb");
    check_origin("203.0.113.9", "FOUND DE EU 64500 Example Net");
    check_origin("203.0.114.0", "NOWHERE    ");
    check_origin("198.51.100.255", "FOUND FR EU 64501 Caf?? \"quoted\"");
    check_origin("192.0.2.1", "FOUND US NA  ");
    check_origin("2001:db8:ffff::1", "FOUND DE EU 64500 Example Net");
    check_origin("2001:db9::1", "FOUND US NA  ");
    check_origin("2001:dba::1", "NOWHERE    ");
    end();
}

/* IPv4 and IPv6 trees, three sizes of records, flat and nested records. */
static void reads_every_layout(void)
{
    static const char *const v4[] = { "v4-24", "v4-28", "v4-32" }, *const v6[] = { "v6-24", "v6-28", "v6-32" };
    char path[96];

    begin();
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "tests/fuzz/corpus/geoip/%s", v4[i]);
        use(path, path);
        check_origin("203.0.113.255", "FOUND DE EU  "); /* which it does not say */
        check_origin("127.0.0.1", "FOUND   64500 Example");
        check_origin("1.1.1.1", "NOWHERE    ");
        check_origin("2001:db8::1", "NOWHERE    "); /* IPv6 in a database of IPv4 */
        check_origin("::ffff:127.0.0.1", "FOUND   64500 Example");
        snprintf(path, sizeof path, "tests/fuzz/corpus/geoip/%s", v6[i]);
        use(path, path);
        check_origin("8000::1", "FOUND DE EU  ");
        check_origin("4000::1", "FOUND   64500 Ex");
        check_origin("1.1.1.1", "NOWHERE    ");
    }
    use("tests/fuzz/corpus/geoip/deep", "");
    check_origin("128.0.0.1", "FOUND DE EU  ");
    end();
}

static void tells_facts(void)
{
    struct fact table[8];
    char memory[2048], text[512];
    struct facts facts;
    struct arena arena;
    struct str dump;
    static const char *const keys[] = { "203.0.113.9", "192.0.2.9", "10.0.0.1", "no address" };

    begin();
    use("tests/scenario/origins.mmdb", "tests/scenario/words.txt");
    facts_init(&facts, table, 8, memory, sizeof memory);
    for (size_t i = 0; i < 3; i++)
        geo_answer(&facts, &(struct question){ ASK_GEO, str_of(keys[i]) }, geo);
    geo_answer(&facts, &(struct question){ ASK_GEO, str_of(keys[3]) }, geo);
    geo_answer(&facts, &(struct question){ ASK_GEO, STR("203.0.113.10") }, NULL);
    use("tests/scenario/words.txt", "");
    geo_answer(&facts, &(struct question){ ASK_GEO, STR("203.0.113.11") }, geo);
    arena_init(&arena, text, sizeof text);
    dump = facts_dump(&facts, &arena);
    CHECK_EQ_STR(dump.p, dump.n,
                 "GEO 203.0.113.9 OK \"DE\" \"EU\" \"?\" \"\"\nGEO 192.0.2.9 OK \"US\" \"NA\" \"?\" \"\"\n"
                 "GEO 10.0.0.1 OK \"\" \"\" \"?\" \"\"\n"
                 "GEO \"no address\" NODATA\nGEO 203.0.113.10 NODATA\nGEO 203.0.113.11 TEMP\n");
    end();
}

/* ---- broken files ---- */

static void opens_all_of_the_suite(void)
{
    DIR *folder_of = opendir(suite(""));
    struct dirent *entry;
    const char *path;
    size_t n = 0;

    if (folder_of == NULL)
        SKIP("the suite mmdb is not here");
    begin();
    while ((entry = readdir(folder_of)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        path = suite(entry->d_name);
        CHECK_ROW(entry->d_name);
        use(path, path);
        ask_spread();
        if (strstr(entry->d_name, ".mmdb") != NULL && strstr(entry->d_name, "Invalid-Node-Count") == NULL)
            CHECK_EQ_INT(count_log("in use"), 2);
        n++;
    }
    closedir(folder_of);
    CHECK(n >= 40);
    end();
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* Whether it opens or not: no crash, no end of time. */
static void try(const char *what, size_t n)
{
    put(path_a, what, n);
    use(path_a, path_a);
    ask_spread();
}

static void survives_cuts(const char *path)
{
    size_t n = load(path);
    char *whole = malloc(n + 1);

    CHECK(n > 0 && whole != NULL);
    memcpy(whole, octets, n);
    for (size_t i = 0; i<n; i += n> 4096 ? 4096 : 7)
        try(whole, i);
    free(whole);
}

static void survives_mutants(void)
{
    static const char *const seeds[] = { "tests/scenario/origins.mmdb", "tests/scenario/systems.mmdb",
                                         "tests/fuzz/corpus/geoip/v4-24", "tests/fuzz/corpus/geoip/pointers" };
    uint32_t random = 1;

    begin();
    alarm(10 * WATCHDOG);
    for (size_t i = 0; i < (size_t)TEST_LESS(10000); i++) {
        size_t n = load(seeds[i % 4]), flips = 1 + next_random(&random) % 4;

        for (size_t k = 0; k < flips; k++)
            octets[next_random(&random) % n] = (char)next_random(&random);
        try(octets, n);
        if (test_now.failed)
            break;
    }
    survives_cuts("tests/scenario/systems.mmdb");
    if (access(suite("GeoIP2-ISP-Test.mmdb"), R_OK) == 0)
        survives_cuts(suite("GeoIP2-ISP-Test.mmdb"));
    end();
}

/* Every octet of a small one: each bit of it. */
static void survives_every_bit(void)
{
    char whole[512];
    size_t n;

    begin();
    alarm(10 * WATCHDOG);
    n = load("tests/fuzz/corpus/geoip/v4-24");
    CHECK(n > 0 && n < sizeof whole);
    memcpy(whole, octets, n);
    for (size_t i = 0; i < 8 * n; i++) {
        whole[i / 8] = (char)(whole[i / 8] ^ 1 << i % 8);
        try(whole, n);
        whole[i / 8] = (char)(whole[i / 8] ^ 1 << i % 8);
    }
    end();
}

/* ---- files made to hurt: a tree of one IPv4 node, both of whose sides lead to one record ---- */

static size_t add(size_t n, const char *what, size_t size)
{
    memcpy(octets + n, what, size);
    return n + size;
}

#define ADD(n, text) add((n), (text), sizeof(text) - 1)

static size_t add_tree(void)
{
    return ADD(0, "\0\0\x11\0\0\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

/* The metadata but their languages, a map of 9 pairs. */
static size_t add_metadata(size_t n)
{
    n = ADD(n, "\xab\xcd\xefMaxMind.com\xe9\x5b"
               "binary_format_major_version\xa1\x02\x5b"
               "binary_format_minor_version\xa0");
    return n;
}

static size_t add_rest_of_metadata(size_t n)
{
    n = ADD(n, "\x4a"
               "node_count\xc1\x01\x4b"
               "record_size\xa1\x18\x4a"
               "ip_version\xa1\x04");
    n = ADD(n, "\x4d"
               "database_type\x4c"
               "\x1b[31m\ntype\"x");
    return ADD(n, "\x4b"
                  "description\xe0\x4b"
                  "build_epoch\x01\x02\x01");
}

static void a_record_of_many_levels_ends_the_search(void)
{
    enum { LEVELS = 1000000 };
    size_t n;

    begin();
    n = ADD(add_tree(), "\xe2\x44"
                        "deep");
    for (size_t i = 0; i < LEVELS; i++)
        n = ADD(n, "\x01\x04");
    n = ADD(n, "\x41x\x4c"
               "country_code\x42"
               "DE");
    n = ADD(add_rest_of_metadata(add_metadata(n)), "\x49"
                                                   "languages\x01\x04\x42"
                                                   "en");
    try(octets, n);
    CHECK_EQ_INT(count_log("in use"), 2);
    check_origin("203.0.113.9", "NOWHERE    ");
    end();
}

static void a_record_of_many_items_ends_the_search(void)
{
    size_t n;

    begin();
    n = ADD(add_tree(), "\xe2\x44"
                        "long\x1f\x04\x2e\xff\xff"); /* 3145727 + 65821 items */
    memset(octets + n, '\x40', 0x2effff + 65821);
    n += 0x2effff + 65821;
    n = ADD(n, "\x4c"
               "country_code\x42"
               "DE");
    n = ADD(add_rest_of_metadata(add_metadata(n)), "\x49"
                                                   "languages\x01\x04\x42"
                                                   "en");
    try(octets, n);
    CHECK_EQ_INT(count_log("in use"), 2);
    check_origin("203.0.113.9", "NOWHERE    ");
    end();
}

/* Lists of two pointers to the list before: 2 to the 60 items, in a file of a kilobyte. */
static void metadata_that_fan_out_are_refused(void)
{
    size_t n, start, list;

    begin();
    n = ADD(add_tree(), "\xe0");
    start = n + 14;
    n = add_rest_of_metadata(add_metadata(n));
    n = ADD(n, "\x49"
               "languages\x1d\x04\x1f"); /* 60 items */
    list = n - start;
    n = ADD(n, "\x41x");
    for (size_t i = 0, last = list; i < 59; i++) {
        size_t at = n - start;

        n = ADD(n, "\x02\x04");
        for (size_t k = 0; k < 2; k++) {
            octets[n++] = '\x38';
            for (unsigned shift = 32; shift > 0; shift -= 8)
                octets[n++] = (char)(last >> (shift - 8));
        }
        last = at;
    }
    try(octets, n);
    CHECK_EQ_INT(count_log("its metadata are too large"), 2);
    end();
}

static void metadata_have_bounds(void)
{
    static const char head[] = "\xab\xcd\xefMaxMind.com";
    char text[4096];
    size_t n = sizeof head - 1;

    memcpy(text, head, n);
    text[n++] = '\x1e'; /* no map */
    text[n++] = '\x04';
    CHECK_EQ_STR("its metadata cannot be read", strlen("its metadata cannot be read"),
                 mmdb_metadata_trouble(str_from(text, n)));
    memcpy(text + n - 2, "\xe1\x41x\x1e\x04\x02\xe1",
           7); /* a list of 285 + 737 = 1022 items: with map, key and list 1025 */
    n += 5;
    memset(text + n, '\x40', 1022);
    CHECK(mmdb_metadata_trouble(str_from(text, n + 1022)) != NULL);
    text[n - 1] = '\xe0'; /* one less */
    CHECK(mmdb_metadata_trouble(str_from(text, n + 1021)) == NULL);
    CHECK(mmdb_metadata_trouble(str_from(text, n + 1020)) != NULL);
    CHECK(mmdb_metadata_trouble(STR("")) != NULL);
}

/* Strings of strangers in the log: one line, printable. */
static void its_type_is_safe_in_the_log(void)
{
    struct str log;
    size_t n;

    begin();
    n = ADD(add_rest_of_metadata(add_metadata(ADD(add_tree(), "\xe0"))), "\x49"
                                                                         "languages\x01\x04\x42"
                                                                         "en");
    put(path_a, octets, n);
    use(path_a, "");
    log = log_peek(log_kept);
    CHECK_EQ_INT(count_log("\n"), 1);
    CHECK_EQ_INT(count_log("in use"), 1);
    for (size_t i = 0; i + 1 < log.n; i++)
        CHECK(log.p[i] >= ' ' && log.p[i] <= '~');
    end();
}

/* ---- replacement ---- */

static void later(void)
{
    log_clear(log_kept);
    now += REFRESH;
    geoip_refresh(geo, now);
}

static void is_replaced_at_run_time(void)
{
    begin();
    CHECK(copy("tests/scenario/origins.mmdb", path_a));
    use(path_a, "");
    check_origin("203.0.113.9", "FOUND DE EU  ");
    CHECK(copy("tests/fuzz/corpus/geoip/v6-24", path_a));
    log_clear(log_kept);
    now += REFRESH - 1;
    geoip_refresh(geo, now);
    check_origin("203.0.113.9", "FOUND DE EU  ");
    now -= REFRESH - 1;
    later();
    check_origin("203.0.113.9", "NOWHERE    ");
    CHECK_EQ_INT(count_log("replaced"), 1);
    later();
    CHECK_EQ_INT(log_peek(log_kept).n, 0);
    end();
}

static void a_broken_one_leaves_the_old_one(void)
{
    begin();
    CHECK(copy("tests/scenario/origins.mmdb", path_a));
    use(path_a, "");
    put(path_a, "rubbish", 7);
    later();
    check_origin("203.0.113.9", "FOUND DE EU  ");
    CHECK_EQ_INT(count_log("the one before stays in use"), 1);
    later();
    CHECK_EQ_INT(log_peek(log_kept).n, 0);
    unlink(path_a);
    later();
    check_origin("203.0.113.9", "FOUND DE EU  ");
    CHECK_EQ_INT(count_log("No such file"), 1);
    CHECK(copy("tests/fuzz/corpus/geoip/v6-24", path_a));
    later();
    check_origin("203.0.113.9", "NOWHERE    ");
    end();
}

static void a_missing_one_is_told_once_and_used_when_it_comes(void)
{
    begin();
    use(path_a, "");
    check_origin("203.0.113.9", "BROKEN    ");
    CHECK_EQ_INT(count_log("No such file"), 1);
    for (int i = 0; i < 3; i++) {
        later();
        CHECK_EQ_INT(log_peek(log_kept).n, 0);
    }
    CHECK(copy("tests/scenario/origins.mmdb", path_a));
    later();
    check_origin("203.0.113.9", "FOUND DE EU  ");
    CHECK_EQ_INT(count_log("in use"), 1);
    end();
}

static void two_bad_files_are_told_once_each(void)
{
    begin();
    put(path_a, "rubbish", 7);
    put(path_b, "", 0);
    use(path_a, path_b);
    CHECK_EQ_INT(count_log("level=warn event=geoip"), 2);
    CHECK_EQ_INT(count_log("a.mmdb"), 1);
    CHECK_EQ_INT(count_log("b.mmdb"), 1);
    ask_spread();
    later();
    CHECK_EQ_INT(log_peek(log_kept).n, 0);
    put(path_a, "rubbisH", 7); /* another file, another line */
    later();
    CHECK_EQ_INT(count_log("level=warn event=geoip"), 1);
    end();
}

/* As an operator should not: what is mapped is there no more. */
static void one_that_is_written_into_is_given_up(void)
{
    FILE *file;

    begin();
    CHECK(copy("tests/scenario/origins.mmdb", path_a));
    use(path_a, "");
    check_origin("203.0.113.9", "FOUND DE EU  ");
    log_clear(log_kept);
    CHECK(truncate(path_a, 0) == 0);
    check_origin("203.0.113.9", "BROKEN    ");
    check_origin("198.51.100.9", "BROKEN    ");
    CHECK_EQ_INT(count_log("was written into while in use"), 1);
    CHECK_EQ_INT(count_log("\n"), 2); /* and that it cannot be read */
    CHECK_EQ_INT(count_log("stays in use"), 0);
    later();
    CHECK_EQ_INT(log_peek(log_kept).n, 0);
    file = fopen(path_a, "wb");
    CHECK(file != NULL && load("tests/scenario/origins.mmdb") > 0);
    CHECK(fwrite(octets, 1, load("tests/scenario/origins.mmdb"), file) > 0 && fclose(file) == 0);
    later();
    check_origin("203.0.113.9", "FOUND DE EU  ");
    file = fopen(path_a, "wb"); /* another one, at once */
    CHECK(file != NULL && fwrite(octets, 1, load("tests/fuzz/corpus/geoip/v6-24"), file) > 0 && fclose(file) == 0);
    check_origin("203.0.113.9", "NOWHERE    ");
    check_origin("8000::1", "FOUND DE EU  ");
    end();
}

static void a_command_gives_it_up_silently(void)
{
    struct geo_policy policy;

    begin();
    CHECK(copy("tests/scenario/origins.mmdb", path_a));
    policy = (struct geo_policy){ .country_database = str_of(path_a), .refresh = REFRESH };
    geo = geoip_open(&policy);
    CHECK(geo != NULL);
    check_origin("203.0.113.9", "FOUND DE EU  ");
    CHECK(truncate(path_a, 0) == 0);
    check_origin("203.0.113.9", "BROKEN    ");
    end();
}

/* The old one has no name any more; who writes into the new one does it no harm. */
static void the_one_before_outlives_what_is_written_later(void)
{
    begin();
    CHECK(copy("tests/scenario/origins.mmdb", path_a));
    use(path_a, "");
    put(path_a, "rubbish", 7);
    later();
    CHECK(truncate(path_a, 3) == 0);
    check_origin("203.0.113.9", "FOUND DE EU  ");
    CHECK_EQ_INT(count_log("was written into"), 0);
    end();
}

/* No folder, no name, no file, a path that is too long: told, never opened. */
static void odd_paths_are_told(void)
{
    char path[512];

    begin();
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    use("/nonexistent/folder/a.mmdb", path);
    CHECK_EQ_INT(count_log("No such file or directory"), 1);
    CHECK_EQ_INT(count_log("File name too long"), 1);
    use(folder, "/");
    CHECK_EQ_INT(count_log("not a regular file") + count_log("No such file"), 2);
    check_origin("203.0.113.9", "BROKEN    ");
    CHECK(mkfifo(path_a, 0600) == 0);
    use(path_a, "/dev/zero");
    CHECK_EQ_INT(count_log("not a regular file"), 2);
    end();
}

/* No descriptor is free: the file is looked at again when there may be some. */
static void a_shortage_passes(void)
{
    struct rlimit before, none;

    begin();
    CHECK(copy("tests/scenario/origins.mmdb", path_a));
    use(path_a, "");
    CHECK(copy("tests/fuzz/corpus/geoip/v6-24", path_a));
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){ 0, before.rlim_max };
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    later();
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_EQ_INT(count_log("Too many open files; the one before stays in use"), 1);
    check_origin("203.0.113.9", "FOUND DE EU  ");
    later();
    check_origin("203.0.113.9", "NOWHERE    ");
    end();
}

/* As in a worker's empty root: paths lead elsewhere once the folders are open. */
static void paths_matter_at_the_beginning_alone(void)
{
    const struct geo_policy policy = { .country_database = STR_INIT("tests/scenario/origins.mmdb"),
                                       .refresh = REFRESH };
    char home[4096];

    begin();
    CHECK(getcwd(home, sizeof home) != NULL);
    geo = geoip_new(&policy);
    CHECK(geo != NULL && chdir("/") == 0);
    geoip_begin(geo, log_kept, now);
    check_origin("203.0.113.9", "FOUND DE EU  ");
    CHECK(access("proxy", F_OK) != 0); /* still in / */
    CHECK(chdir(home) == 0);
    end();
}

static const struct test_case tests[] = {
    TEST(answers_as_the_suite_has_it),
    TEST(answers_from_small_ones),
    TEST(reads_every_layout),
    TEST(tells_facts),
    TEST(opens_all_of_the_suite),
    TEST(survives_mutants),
    TEST(survives_every_bit),
    TEST(a_record_of_many_levels_ends_the_search),
    TEST(a_record_of_many_items_ends_the_search),
    TEST(metadata_that_fan_out_are_refused),
    TEST(metadata_have_bounds),
    TEST(its_type_is_safe_in_the_log),
    TEST(is_replaced_at_run_time),
    TEST(a_broken_one_leaves_the_old_one),
    TEST(a_missing_one_is_told_once_and_used_when_it_comes),
    TEST(two_bad_files_are_told_once_each),
    TEST(one_that_is_written_into_is_given_up),
    TEST(a_command_gives_it_up_silently),
    TEST(the_one_before_outlives_what_is_written_later),
    TEST(odd_paths_are_told),
    TEST(a_shortage_passes),
    TEST(paths_matter_at_the_beginning_alone),
};
TEST_MAIN(tests)
