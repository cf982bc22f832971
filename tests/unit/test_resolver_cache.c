/* The parts of the resolver that know no wire: names, answers remembered, the table, resolv.conf. */
#include <stdlib.h>

#include "proxy/resolver_parts.h"
#include "test.h"

static struct question question(enum ask kind, const char *key)
{
    return (struct question){ kind, str_of(key) };
}

static struct dns_answer *answer(enum fact_state state, uint64_t keep, const char *text)
{
    struct str value = str_of(text);

    return dns_answer_new(state, keep, &value, 1);
}

/* Gives the answer to the cache alone. */
static void put(struct dns_cache *cache, const char *key, uint64_t keep, const char *text, uint64_t now)
{
    struct dns_answer *a = answer(FACT_OK, keep, text);

    dns_cache_put(cache, question(ASK_TXT, key), a, now);
    dns_answer_drop(a);
}

static bool holds(struct dns_cache *cache, const char *key, uint64_t now)
{
    return dns_cache_find(cache, question(ASK_TXT, key), now) != NULL;
}

static void what_is_not_used_goes_first(void)
{
    struct dns_cache cache;
    size_t one;

    CHECK(dns_cache_init(&cache, 1 << 20, 1000000));
    put(&cache, "a", 1000, "x", 0);
    one = cache.octets;
    cache.size = 3 * one;
    put(&cache, "b", 1000, "x", 0);
    put(&cache, "c", 1000, "x", 0);
    CHECK(holds(&cache, "a", 1)); /* used again */
    put(&cache, "d", 1000, "x", 1);
    CHECK(holds(&cache, "a", 1) && !holds(&cache, "b", 1) && holds(&cache, "c", 1) && holds(&cache, "d", 1));
    CHECK_EQ_INT(cache.octets, 3 * one);
    dns_cache_free(&cache);
}

static void time_is_up_to_the_millisecond(void)
{
    struct dns_cache cache;

    CHECK(dns_cache_init(&cache, 1 << 20, 5000));
    put(&cache, "a", 1000, "x", 100);
    CHECK(holds(&cache, "a", 1099));
    CHECK(!holds(&cache, "a", 1100));
    CHECK_EQ_INT(cache.octets, 0); /* gone when it was found to be old */
    put(&cache, "a", 9000, "x", 0);
    CHECK(holds(&cache, "a", 4999));
    CHECK(!holds(&cache, "a", 5000)); /* the cache's own longest */
    put(&cache, "a", 0, "x", 0);
    CHECK(!holds(&cache, "a", 0));
    dns_cache_free(&cache);
}

static void a_later_answer_takes_the_place_of_an_earlier_one(void)
{
    struct dns_cache cache;
    struct dns_answer *held;

    CHECK(dns_cache_init(&cache, 1 << 20, 5000));
    put(&cache, "a", 1000, "old", 0);
    held = dns_answer_hold(dns_cache_find(&cache, question(ASK_TXT, "a"), 0));
    put(&cache, "a", 1000, "new", 0);
    CHECK_EQ_STR(dns_cache_find(&cache, question(ASK_TXT, "a"), 0)->value[0].p, 3, "new");
    CHECK_EQ_STR(held->value[0].p, held->value[0].n, "old"); /* for whoever still looks at it */
    dns_answer_drop(held);
    put(&cache, "a", 0, "now", 0); /* not to be kept: then neither is what it replaces */
    CHECK(!holds(&cache, "a", 0));
    dns_cache_free(&cache);
}

static void what_is_larger_than_the_cache_is_not_kept(void)
{
    struct dns_cache cache;

    CHECK(dns_cache_init(&cache, 200, 5000));
    put(&cache, "a", 1000, "................................................................................", 0);
    CHECK_EQ_INT(cache.octets, 0);
    dns_cache_free(&cache);
}

static void a_table_finds_what_is_in_it(void)
{
    enum { KEYS = 3000 };
    static struct dns_key key[KEYS];
    static char name[KEYS][16];
    struct dns_table table;
    size_t longest = 0;

    CHECK(dns_table_init(&table));
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(name[i], sizeof name[i], "n%u.example", i);
        key[i].q = question((enum ask)(i % 5), name[i]);
        dns_table_add(&table, &key[i]);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK(dns_table_find(&table, question((enum ask)(i % 5), name[i])) == &key[i]);
        CHECK(dns_table_find(&table, question((enum ask)((i + 1) % 5), name[i])) == NULL);
    }
    for (size_t i = 0; i < table.chains; i++) {
        size_t n = 0;

        for (const struct dns_key *k = table.chain[i]; k != NULL; k = k->next)
            n++;
        longest = n > longest ? n : longest;
    }
    CHECK(longest < 16); /* it has grown with them */
    for (unsigned i = 0; i < KEYS; i += 2)
        dns_table_remove(&table, &key[i]);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK((dns_table_find(&table, key[i].q) != NULL) == (i % 2 == 1));
    dns_table_free(&table);
}

static const struct {
    const char *from, *to; /* NULL: refused */
} names[] = {
    { "mx.example", "mx.example" },
    { "MX.Example.", "mx.example" },
    { "", "." },
    { ".", "." },
    { "a\\(b\\).example", "a(b).example" },
    { "\\228\\189.example", "\xe4\xbd.example" },
    { "a\\.b.example", "a\\046b.example" },
    { "a\\046b.example", "a\\046b.example" },
    { "a\\000b", "a\\000b" },
    { "a\\\\b", "a\\b" },
    { "a\\065", "aa" }, /* in lower case, however written */
    { "a\\", NULL },
    { "a\\1", NULL },
    { "a\\12x", NULL },
    { "a\\256", NULL },
};

static void names_from_c_ares_in_our_form(void)
{
    char out[DNS_TEXT_MAX];
    size_t n;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        bool ok = dns_name_read(names[i].from, out, &n);

        CHECK_ROW(names[i].from);
        CHECK_EQ_INT(ok, names[i].to != NULL);
        if (ok && names[i].to != NULL)
            CHECK_EQ_STR(out, n, names[i].to);
    }
}

static const struct {
    const char *label, *text, *want;
} files[] = {
    { "the usual", "search example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions rotate\n",
      "192.0.2.1:53 [2001:db8::1]:53" },
    { "three at most", "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
      "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53" },
    { "no newline at the end", "nameserver\t192.0.2.1", "192.0.2.1:53" },
    { "CRLF", "nameserver 192.0.2.1\r\n", "192.0.2.1:53" },
    { "a zone", "nameserver fe80::1%eth0\nnameserver 192.0.2.1\n", "192.0.2.1:53" },
    { "words behind", "nameserver 192.0.2.1 # ours\n", "192.0.2.1:53" },
    { "comments and blanks in front", "#nameserver 192.0.2.1\n;nameserver 192.0.2.1\n nameserver 192.0.2.1\n", "" },
    { "no address", "nameserver localhost\nnameserver\nnameserver 192.0.2.256\n", "" },
    { "nothing", "", "" },
};

static void servers_of_the_system(void)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct endpoint server[DNS_SERVERS_MAX];
        size_t found = resolver_servers_of(str_of(files[i].text), server), n = 0;
        char text[DNS_SERVERS_MAX * (ENDPOINT_TEXT_MAX + 1) + 1] = "", one[ENDPOINT_TEXT_MAX];

        CHECK_ROW(files[i].label);
        for (size_t k = 0; k < found; k++) {
            endpoint_print(&server[k], one);
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", k > 0 ? " " : "", one);
        }
        CHECK_EQ_STR(text, n, files[i].want);
    }
}

static const struct test_case tests[] = {
    TEST(what_is_not_used_goes_first),
    TEST(time_is_up_to_the_millisecond),
    TEST(a_later_answer_takes_the_place_of_an_earlier_one),
    TEST(what_is_larger_than_the_cache_is_not_kept),
    TEST(a_table_finds_what_is_in_it),
    TEST(names_from_c_ares_in_our_form),
    TEST(servers_of_the_system),
};

TEST_MAIN(tests)
