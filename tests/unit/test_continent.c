/* Countries and their continents. */
#include "policy/continent.h"

#include "test.h"

/* clang-format off */
static const struct { const char *country, *continent; } rows[] = {
    { "DE", "EU" }, { "de", "EU" }, { "RU", "EU" }, { "CY", "EU" }, { "XK", "EU" }, { "TR", "AS" }, { "GE", "AS" },
    { "AE", "AS" }, { "YE", "AS" }, { "AO", "AF" }, { "ZW", "AF" }, { "AQ", "AN" }, { "TF", "AN" }, { "US", "NA" },
    { "AN", "NA" }, { "VI", "NA" }, { "TL", "OC" }, { "WS", "OC" }, { "AR", "SA" }, { "VE", "SA" },
    { "NA", "AF" }, { "SA", "AS" }, { "AS", "OC" }, { "AF", "AS" }, /* codes of continents, too */
    { "OB", "" }, /* the end of one and the beginning of the next */
    { "UK", "" }, { "EU", "" }, { "OC", "" }, { "ZZ", "" }, { "", "" }, { "D", "" }, { "DEU", "" }, { "AOBF", "" },
};
/* clang-format on */

static void tells_continents(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str continent = continent_of(str_of(rows[i].country));

        CHECK_ROW(rows[i].country);
        CHECK_EQ_STR(continent.p, continent.n, rows[i].continent);
    }
}

/* ISO 3166-1 has 249 codes; XK and AN come on top. Each lies on one continent that is known. */
static void knows_all_countries(void)
{
    size_t n = 0;

    for (char a = 'A'; a <= 'Z'; a++)
        for (char b = 'A'; b <= 'Z'; b++) {
            const char code[2] = { a, b };
            struct str continent = continent_of(str_from(code, 2));

            n += continent.n > 0;
            CHECK(continent.n == 0 || continent_is_known(continent));
        }
    CHECK_EQ_INT(n, 251);
    CHECK(continent_is_known(STR("eu")) && !continent_is_known(STR("XX")) && !continent_is_known(STR("E")) &&
          !continent_is_known(STR("")));
}

static const struct test_case tests[] = { TEST(tells_continents), TEST(knows_all_countries) };
TEST_MAIN(tests)
