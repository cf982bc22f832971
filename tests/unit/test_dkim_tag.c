/* Tag lists and base64 (RFC 6376 3.2, 2.10). */
#include "dkim_kit.h"
#include "test.h"

/* "name=value|name=value", or "!" in front when the list is none. */
static const struct row {
    struct str list;
    const char *want;
} rows[] = {
    { STR_INIT("a=1"), "a=1" },
    { STR_INIT("a=1;"), "a=1" },
    { STR_INIT(" a = 1 ; b =\r\n 2 ;\r\n\t"), "a=1|b=2" },
    { STR_INIT("a=;b="), "a=|b=" },
    { STR_INIT("a=b=c;d==="), "a=b=c|d===" },
    { STR_INIT("a=1 \r\n 2"), "a=1 \r\n 2" },
    { STR_INIT("a_1=x;A=y"), "a_1=x|A=y" },
    { STR_INIT("n=caf\xc3\xa9"), "n=caf\xc3\xa9" },
    { STR_INIT(""), "" },
    { STR_INIT(" "), "" },
    { STR_INIT(";"), "!" },
    { STR_INIT("a=1;;"), "!a=1" },
    { STR_INIT("a=1; ;b=2"), "!a=1" },
    { STR_INIT("a"), "!" },
    { STR_INIT("=1"), "!" },
    { STR_INIT("1a=1"), "!" },
    { STR_INIT("_a=1"), "!" },
    { STR_INIT("a b=1"), "!" },
    { STR_INIT("a-b=1"), "!" },
    { STR_INIT("a=1;b=\0"), "!a=1" },
    { STR_INIT("a=\x7f"), "!" },
    { STR_INIT("a=1\r2"), "!" },
    { STR_INIT("a=1\n 2"), "!" },
    { STR_INIT("a=1\r\n2"), "!" },
    { STR_INIT("a=1\r\n"), "!" },
};

static void tags_come_one_by_one(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char got[128] = "";
        struct str rest = rows[i].list;
        struct tag tag;
        size_t n = 0;

        while (tag_next(&rest, &tag)) {
            if (n > 0)
                got[n++] = '|';
            memcpy(got + n, tag.name.p, tag.name.n);
            got[n + tag.name.n] = '=';
            memcpy(got + n + tag.name.n + 1, tag.value.p, tag.value.n);
            n += tag.name.n + 1 + tag.value.n;
        }
        CHECK_ROW(rows[i].list.p);
        CHECK((rest.n > 0) == (rows[i].want[0] == '!'));
        CHECK_EQ_STR(got, n, rows[i].want + (rows[i].want[0] == '!'));
    }
}

static void lists_are_read_by_name(void)
{
    static const char *const names[] = { "a", "b" };
    struct tag found[2];

    CHECK(tags_read(STR("b= 1 ;x=2"), names, 2, found) == NULL);
    CHECK(found[0].name.p == NULL);
    CHECK_EQ_STR(found[1].value.p, found[1].value.n, "1");
    CHECK_EQ_STR(found[1].text.p, found[1].text.n, " 1 ");
    CHECK(tags_read(STR(""), names, 2, found) == NULL);
    CHECK(tags_read(STR("a=1;b"), names, 2, found) != NULL);
    CHECK(tags_read(STR("a=1;a=1"), names, 2, found) != NULL);
    CHECK(tags_read(STR("x=1;a=2;x=1"), names, 2, found) != NULL); /* whatever the tag */
    CHECK(tags_read(STR("a=1;A=1"), names, 2, found) == NULL);
}

/* A megabyte of tags is no work: it ends at the 65th. */
static void more_than_64_tags_are_no_list(void)
{
    static char text[1 << 20];
    static const char *const names[] = { "a" };
    struct tag found;
    size_t n = 0;

    for (unsigned i = 0; i < 65; i++) {
        text[n++] = (char)('A' + i / 26);
        text[n++] = (char)('a' + i % 26);
        memcpy(text + n, "=1;", 3);
        n += 3;
        CHECK((tags_read(str_from(text, n), names, 1, &found) == NULL) == (i < 64));
    }
}

static void colon_lists_come_item_by_item(void)
{
    static const struct {
        struct str list;
        const char *want;
    } lists[] = {
        { STR_INIT("a"), "a" }, { STR_INIT("a:b"), "a|b" }, { STR_INIT(" a \r\n\t: b "), "a|b" },
        { STR_INIT(""), "" },   { STR_INIT("a:"), "a|" },   { STR_INIT("a::b"), "a||b" },
    };
    struct str none = { NULL, 0 }, item;

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct str rest = lists[i].list;
        char got[64];
        size_t n = 0;

        for (bool more = false; colon_list_next(&rest, &item); more = true) {
            memcpy(got + n, "|", more);
            n += more;
            memcpy(got + n, item.p, item.n);
            n += item.n;
        }
        CHECK_EQ_STR(got, n, lists[i].want);
    }
    CHECK(!colon_list_next(&none, &item));
    CHECK(colon_list_holds(STR("sha1 : SHA256"), STR("sha256")));
    CHECK(!colon_list_holds(STR("sha1:sha2567"), STR("sha256")));
    CHECK(!colon_list_holds(none, STR("")));
}

/* ---- base64 ---- */

static const struct base64_row {
    const char *label;
    struct str text;
    const char *want; /* NULL: malformed */
} base64_rows[] = {
    { "nothing", STR_INIT(""), "" },
    { "one octet", STR_INIT("Zg=="), "f" },
    { "two octets", STR_INIT("Zm8="), "fo" },
    { "three octets", STR_INIT("Zm9v"), "foo" },
    { "four octets", STR_INIT("Zm9vYg=="), "foob" },
    { "all bits", STR_INIT("/+8="), "\xff\xef" },
    { "white space anywhere", STR_INIT(" Z\r\n m\t9 v\r\n"), "foo" },
    { "white space between padding", STR_INIT("Zg= ="), "f" },
    { "no padding", STR_INIT("Zg"), NULL },
    { "half a padding", STR_INIT("Zg="), NULL },
    { "too much padding", STR_INIT("Zm9v===="), NULL },
    { "three times padding", STR_INIT("Z==="), NULL },
    { "padding alone", STR_INIT("===="), NULL },
    { "padding and more", STR_INIT("Zg==Zm9v"), NULL },
    { "stray bits behind one octet", STR_INIT("Zh=="), NULL },
    { "stray bits behind two octets", STR_INIT("Zm9="), NULL },
    { "a lone sextet", STR_INIT("Zm9vZ"), NULL },
    { "the alphabet of URLs", STR_INIT("_-8="), NULL },
    { "a star", STR_INIT("Zm*v"), NULL },
    { "NUL", STR_INIT("Zm\0v"), NULL },
};

static void base64_is_strict_but_for_white_space(void)
{
    for (size_t i = 0; i < sizeof base64_rows / sizeof *base64_rows; i++) {
        const struct base64_row *row = &base64_rows[i];
        struct str got = base64_read(row->text, 100, kit_arena());
        size_t n = 100;

        CHECK_ROW(row->label);
        CHECK((got.p != NULL) == (row->want != NULL));
        CHECK(base64_size(row->text, &n) == (row->want != NULL));
        if (row->want != NULL) {
            CHECK_EQ_STR(got.p, got.n, row->want);
            CHECK_EQ_INT(n, strlen(row->want));
        }
    }
}

static void base64_is_bounded(void)
{
    char memory[4];
    struct arena arena;

    CHECK(base64_read(STR("Zm9v"), 3, kit_arena()).n == 3);
    CHECK(base64_read(STR("Zm9v"), 2, kit_arena()).p == NULL);
    arena_init(&arena, memory, 2);
    CHECK(base64_read(STR("Zm9v"), 3, &arena).p == NULL);
    CHECK(base64_print(STR("f"), &arena).p == NULL);
}

static void base64_comes_back(void)
{
    char octets[100];

    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (char)(i * 151 + 7);
    for (size_t n = 0; n <= sizeof octets; n++) {
        struct str text = base64_print(str_from(octets, n), kit_arena());
        struct str back = base64_read(text, sizeof octets, kit_arena());

        CHECK_EQ_INT(text.n, (n + 2) / 3 * 4);
        CHECK(back.p != NULL && str_eq(back, str_from(octets, n)));
    }
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(tags_come_one_by_one),
    TEST(lists_are_read_by_name),
    TEST(more_than_64_tags_are_no_list),
    TEST(colon_lists_come_item_by_item),
    TEST(base64_is_strict_but_for_white_space),
    TEST(base64_is_bounded),
    TEST(base64_comes_back),
};
/* clang-format on */
TEST_MAIN(tests)
