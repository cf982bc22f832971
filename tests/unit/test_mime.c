/* The MIME walker: messages, and what is told of their parts, whole and in every cut (ATTACKS J04, J05, J08). */
#include "policy/mime.h"

#include <stdlib.h>

#include "test.h"

enum { TEXT_MAX = 16384 };

static struct walk {
    struct mime mime;
    struct facts facts;
    struct fact table[4];
    char memory[16384];
    char text[TEXT_MAX]; /* the values, a line each */
    size_t n;
} walks[2];

static const struct mime_limits wide = { 100, 1000 };

static void begin(struct walk *w, struct str header, const struct mime_limits *limits)
{
    mime_begin(&w->mime, header, limits);
}

static struct str end(struct walk *w)
{
    const struct fact *fact;

    facts_init(&w->facts, w->table, 4, w->memory, sizeof w->memory);
    mime_end(&w->mime, &w->facts);
    fact = facts_find(&w->facts, (struct question){ ASK_PARTS, MIME_PARTS_KEY });
    CHECK(fact != NULL && fact->state == (fact->n > 0 ? FACT_OK : FACT_NODATA));
    w->n = 0;
    for (size_t i = 0; fact != NULL && i < fact->n && w->n + fact->value[i].n < TEXT_MAX; i++) {
        memcpy(w->text + w->n, fact->value[i].p, fact->value[i].n);
        w->n += fact->value[i].n;
        w->text[w->n++] = '\n';
    }
    return str_from(w->text, w->n);
}

/* Header section and body, as they are behind each other. */
static struct str split(struct str message, struct str *header)
{
    bool complete;
    size_t n = 0;

    while (n < message.n && !(message.n - n >= 2 && memcmp(message.p + n, "\r\n", 2) == 0)) {
        const char *lf = memchr(message.p + n, '\n', message.n - n);

        n = lf != NULL ? (size_t)(lf - message.p) + 1 : message.n;
    }
    complete = n < message.n;
    *header = str_from(message.p, n);
    return str_skip(message, n + (complete ? 2 : 0));
}

static struct str walk(struct str message, const struct mime_limits *limits)
{
    struct str header, body = split(message, &header);

    begin(&walks[0], header, limits);
    mime_add(&walks[0].mime, body);
    return end(&walks[0]);
}

static void check_cuts(struct str message, const struct mime_limits *limits)
{
    struct str header, body = split(message, &header), whole = walk(message, limits);

    for (size_t cut = 0; cut <= body.n; cut++) {
        begin(&walks[1], header, limits);
        mime_add(&walks[1].mime, str_from(body.p, cut));
        mime_add(&walks[1].mime, str_skip(body, cut));
        CHECK(str_eq(end(&walks[1]), whole));
    }
    begin(&walks[1], header, limits);
    for (size_t i = 0; i < body.n; i++)
        mime_add(&walks[1].mime, str_from(body.p + i, 1));
    CHECK(str_eq(end(&walks[1]), whole));
}

/* ---- messages ---- */

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define ONE(fields) fields "\r\n\r\nx\r\n"
#define PART(fields) "--b\r\n" fields "\r\n\r\nx\r\n"
#define TYPED(rest) ONE("Content-Type: a/b; " rest)
#define NAMED(rest) ONE("Content-Disposition: attachment; " rest)
#define BASE64 "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n"

/* clang-format off */
static const struct row {
    const char *label;
    struct str message;
    const char *told;
} rows[] = {
#define ROW(label, message, told) { label, STR_INIT(message), told }
    ROW("no header at all", "", ""),
    ROW("plain text", "Subject: x\r\n\r\nhello\r\n", ""),
    ROW("no body, no empty line", "Subject: x\r\n", ""),
    ROW("one file", ONE("Content-Type: application/zip; name=a.zip"), "1 type=application/zip name=a.zip\n"),
    ROW("MIME-Version is not asked for; a multipart", MIXED PART("Content-Type: text/plain") PART("Content-Type: image/png; name=a.png") "--b--\r\n",
        "2 type=image/png name=a.png\n"),
    ROW("without an end", MIXED PART("Content-Type: image/png"), "1 type=image/png\n"),
    ROW("ends in a header", MIXED "--b\r\nContent-Type: image/png; name=x", "1 type=image/png name=x\n"),
    ROW("a boundary line as the last octets", MIXED PART("Content-Type: image/png") "--b", "1 type=image/png\n"),
    ROW("preamble and epilogue", MIXED "Content-Type: a/b\r\n\r\n" PART("Content-Type: image/png") "--b--\r\nContent-Type: c/d\r\n\r\n", "1 type=image/png\n"),
    ROW("behind the closing boundary", MIXED "--b--\r\n" PART("Content-Type: a/b; name=x.exe"), "1 type=a/b name=x.exe\n"),
    ROW("nested", MIXED "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c\r\nContent-Type: a/b\r\n\r\n--c--\r\n" PART("Content-Type: c/d"),
        "1.2 type=a/b\n2 type=c/d\n"),
    ROW("an outer boundary ends what is open", MIXED "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: a/b\r\n\r\n" PART("Content-Type: c/d"),
        "1.1 type=a/b\n2 type=c/d\n"),
    ROW("the inner boundary begins with the outer", MIXED "--b\r\nContent-Type: multipart/x; boundary=bb\r\n\r\n--bb\r\nContent-Type: a/b\r\n\r\n--bb--\r\n" PART("Content-Type: c/d"),
        "1.1 type=a/b\n2 type=c/d\n"),
    ROW("the outer boundary begins with the inner", "Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\nContent-Type: multipart/x; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\n--bb\r\nContent-Type: c/d\r\n\r\n",
        "1.1 type=a/b\n2 type=c/d\n- odd=boundary\n"),
    ROW("a line that only begins as a boundary", MIXED PART("Content-Type: a/b") "--bx\r\nContent-Type: c/d\r\n\r\n", "1 type=a/b\n2 type=c/d\n- odd=boundary\n"),
    ROW("blanks behind a boundary", MIXED "--b \t\r\nContent-Type: a/b\r\n\r\n--b-- \r\n--b-\r\nContent-Type: c/d\r\n\r\n", "1 type=a/b\n2 type=c/d\n- odd=boundary\n"),
    ROW("a multipart without a boundary", ONE("Content-Type: multipart/mixed"), "- odd=boundary\n"),
    ROW("two boundaries", "Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n" PART("Content-Type: a/b") "--c\r\nContent-Type: c/d\r\n\r\n" PART("Content-Type: e/f"),
        "1 type=a/b\n2 type=c/d\n3 type=e/f\n"),
    ROW("two Content-Type fields", "Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" PART("Content-Type: a/b"), "1 type=a/b\n"),
    ROW("a boundary in quotes, with blanks", "Content-Type: multipart/mixed; boundary=\"a b\"\r\n\r\n--a b\r\nContent-Type: a/b\r\n\r\n", "1 type=a/b\n"),
    ROW("a boundary in segments", "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\nContent-Type: a/b\r\n\r\n", "1 type=a/b\n"),
    ROW("LF ends a line", MIXED "--b\nContent-Type: a/b\n\nx\n--b--\n", "1 type=a/b\n"),
    ROW("a boundary line within a header", MIXED "--b\r\nContent-Type: a/b;\r\n--b\r\nContent-Type: c/d\r\n\r\n", "1 type=a/b\n2 type=c/d\n"),
    ROW("a line that is no field", MIXED "--b\r\nhello\r\nContent-Type: a/b\r\n\r\n", "1 type=a/b\n- odd=header\n"),
    ROW("a message in a message", MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: a/b\r\n\r\nx\r\n" PART("Content-Type: c/d"),
        "1 type=message/rfc822\n1.1 type=a/b\n2 type=c/d\n"),
    ROW("a multipart in a message", MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\nContent-Type: a/b\r\n\r\n",
        "1 type=message/rfc822\n1.1 type=a/b\n"),
    ROW("a message in base64", ONE("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64"), "1 type=message/rfc822\n- odd=encoding\n"),
    ROW("a digest", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nContent-Type: a/b; name=x\r\n\r\n--b\r\nContent-Type: c/d\r\n\r\n",
        "1.1 type=a/b name=x\n2 type=c/d\n"),
    ROW("a partial message", ONE("Content-Type: message/partial; id=\"x\"; number=1"), "1 type=message/partial\n"),

    ROW("filename", NAMED("filename=x.exe"), "1 name=x.exe\n"),
    ROW("in quotes, with a quoted pair", NAMED("filename=\"a\\\"b.exe\""), "1 name=a%22b.exe name=a%5Cb.exe\n"),
    ROW("a quoted pair in the extension", NAMED("filename=\"a.ex\\e\""), "1 name=a.exe name=a.ex%5Ce\n"),
    ROW("the same name twice is told once", ONE("Content-Type: a/b; name=x.y\r\nContent-Disposition: attachment; filename=\"x.y\""), "1 type=a/b name=x.y\n"),
    ROW("two names", TYPED("name=a.txt; name=b.exe"), "1 type=a/b name=a.txt name=b.exe\n"),
    ROW("name and filename differ", ONE("Content-Type: a/b; name=a.txt\r\nContent-Disposition: attachment; filename=b.exe"), "1 type=a/b name=a.txt name=b.exe\n"),
    ROW("blanks without quotes", NAMED("filename=my file.exe"), "1 name=my name=my%20file.exe\n"),
    ROW("text behind quotes", NAMED("filename=\"a.txt\".exe"), "1 name=a.txt name=a.txt.exe\n"),
    ROW("quotes without end", NAMED("filename=\"a.exe; x=y"), "1 name=a.exe\n- odd=quotes\n"),
    ROW("a ; in quotes", NAMED("filename=\"a;b.exe\""), "1 name=a;b.exe\n"),
    ROW("comments", NAMED("(c) filename (d) = (e) x.exe (f)"), "1 name=x.exe name=x.exe%20(f)\n"),
    ROW("a comment for one reader hides a name from the other", TYPED("name=a.txt (; name=b.exe; c=)"), "1 type=a/b name=a.txt name=a.txt%20(;%20name=b.exe;%20c=) name=a.txt%20( name=b.exe\n"),
    ROW("no ; behind the type", ONE("Content-Disposition: attachment filename=x.exe"), "1 name=x.exe\n"),
    ROW("no type", ONE("Content-Disposition: filename=x.exe"), "1 name=x.exe\n"),
    ROW("any case, blanks before the colon", ONE("CONTENT-disposition : ATTACHMENT; FILENAME = x.EXE"), "1 name=x.EXE\n"),
    ROW("folded", NAMED("\r\n filename=\"a\r\n b.exe\""), "1 name=a%20b.exe\n"),
    ROW("percent-encoded (RFC 2231 4)", NAMED("filename*=UTF-8'en'%e2%82%ac%2Eexe"), "1 name=%E2%82%AC.exe\n"),
    ROW("percent-encoded without a character set", NAMED("filename*=a%2Eexe"), "1 name=a.exe\n"),
    ROW("segments (RFC 2231 3)", NAMED("filename*0=\"a.\"; filename*1=ex; filename*2*=%65"), "1 name=a.exe\n"),
    ROW("segments out of order", NAMED("filename*1=.exe; filename*0=a"), "1 name=a.exe\n"),
    ROW("a segment given twice", NAMED("filename*0=a.; filename*1=txt; filename*1=exe"), "1 name=a.txt name=a.exe\n"),
    ROW("encoded words in quotes", NAMED("filename=\"=?utf-8?B?YS5l?= =?utf-8?q?x=65?=\""), "1 name==?utf-8?B?YS5l?=%20=?utf-8?q?x=65?= name=a.exe\n"),
    ROW("an encoded word in UTF-16", NAMED("filename=\"=?utf-16be?B?AGEALgBlAHgAZQ==?=\""), "1 name==?utf-16be?B?AGEALgBlAHgAZQ==?= name=%00a%00.%00e%00x%00e\n- odd=name\n"),
    ROW("right to left", NAMED("filename=\"a\xe2\x80\xaegpj.exe\""), "1 name=a%E2%80%AEgpj.exe\n- odd=name\n"),

    ROW("a program in base64", BASE64 "TVqQAAMAAAAEAAAA//8AALgAAAAAAAAAQAAAAAAAAAA=\r\n", "1 type=a/b content=pe\n"),
    ROW("in short lines and with what is no base64", BASE64 "TV\r\nqQ\r\n!AAMAAAAEAAAA\r\n", "1 type=a/b content=pe\n"),
    ROW("in quoted-printable", "Content-Transfer-Encoding: quoted-printable\r\n\r\nM=5A=\r\n=90=00=03=00\r\n", "1 content=pe\n"),
    ROW("as it is", "Subject: x\r\n\r\nMZ\x90\0\3\r\n", "1 content=pe\n"),
    ROW("a text that begins with MZ", "Subject: x\r\n\r\nMZ is short for Mark Zbikowski.\r\n", ""),
    ROW("ELF", BASE64 "f0VMRgIBAQ==\r\n", "1 type=a/b content=elf\n"),
    ROW("a script", "Subject: x\r\n\r\n#!/bin/sh\r\n", "1 content=script\n"),
    ROW("a ZIP archive", BASE64 "UEsDBBQAAAAAAAAAIQAAAAAAAAAAAAAAAAAFAAAAYS5leGU=\r\n", "1 type=a/b content=zip member=a.exe\n"),
    ROW("an encrypted one", BASE64 "UEsDBBQAAQAAAAAAIQAAAAAAAAAAAAAAAAAFAAAAYS5leGU=\r\n", "1 type=a/b content=zip encrypted member=a.exe\n"),
    ROW("cut in its header", BASE64 "UEsDBBQAAQAA\r\n", "1 type=a/b content=zip\n"),
    ROW("RAR 4, headers encrypted", BASE64 "UmFyIRoHAM6Zc4AADQAAAAAAAAA=\r\n", "1 type=a/b content=rar encrypted\n"),
    ROW("RAR 5, headers encrypted", BASE64 "UmFyIRoHAQAAAAAAIQQAAA==\r\n", "1 type=a/b content=rar encrypted\n"),
    ROW("7z", BASE64 "N3q8ryccAAQ=\r\n", "1 type=a/b content=7z\n"),
    ROW("uuencoded", "Subject: x\r\n\r\nhi\r\nbegin 644 a b.exe \r\nM\r\nend\r\n", "1 content=uuencode name=a%20b.exe\n"),
    ROW("a sentence", "Subject: x\r\n\r\nbegin 900 or so\r\nbegin 64 x\r\nbegin\r\n", ""),
    ROW("two encodings", ONE("Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64"), "- odd=encoding\n"),
};
/* clang-format on */

static void parts_are_told(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str told = walk(rows[i].message, &wide);

        CHECK_ROW(rows[i].label);
        CHECK_EQ_STR(told.p, told.n, rows[i].told);
    }
}

static void cuts_make_no_difference(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].label);
        check_cuts(rows[i].message, &wide);
    }
}

/* ---- bounds ---- */

static char *big;
static size_t big_n;

static void add(const char *text)
{
    memcpy(big + big_n, text, strlen(text));
    big_n += strlen(text);
}

static void add_many(char c, size_t n)
{
    memset(big + big_n, c, n);
    big_n += n;
}

static struct str told_of_big(size_t piece)
{
    struct str header, rest = split(str_from(big, big_n), &header);

    begin(&walks[0], header, &wide);
    while (rest.n > 0) {
        struct str next = str_from(rest.p, piece < rest.n ? piece : rest.n);

        mime_add(&walks[0].mime, next);
        rest = str_skip(rest, next.n);
    }
    return end(&walks[0]);
}

static bool holds(struct str s, const char *what)
{
    for (size_t i = 0; i + strlen(what) <= s.n; i++)
        if (memcmp(s.p + i, what, strlen(what)) == 0)
            return true;
    return false;
}

static void nest(size_t depth)
{
    char line[128];

    big_n = 0;
    for (size_t i = 0; i < depth; i++) {
        if (i == 0)
            snprintf(line, sizeof line, "Content-Type: multipart/mixed; boundary=n00000\r\n\r\n");
        else
            snprintf(line, sizeof line, "--n%05zu\r\nContent-Type: multipart/mixed; boundary=n%05zu\r\n\r\n", i - 1, i);
        add(line);
    }
    snprintf(line, sizeof line, "--n%05zu\r\nContent-Type: a/b; name=x.exe\r\n\r\nx\r\n", depth - 1);
    add(line);
}

/* J04 */
static void depth_is_bounded(void)
{
    nest(100);
    CHECK(holds(told_of_big(999), "type=a/b name=x.exe"));
    CHECK(!holds(told_of_big(999), "over"));
    nest(101);
    CHECK(holds(told_of_big(999), "- over=depth\n"));
    nest(TEST_LESS(10000));
    CHECK(holds(told_of_big(999), "- over=depth\n"));
}

static void parts_are_bounded(void)
{
    for (size_t parts = 999; parts <= 1000; parts++) {
        big_n = 0;
        add(MIXED);
        for (size_t i = 0; i < parts; i++)
            add("--b\r\n\r\n");
        CHECK_EQ_INT(holds(told_of_big(999), "- over=parts\n"), parts == 1000);
    }
    big_n = 0;
    add(MIXED);
    for (size_t i = 0; i < TEST_LESS(1000000); i++)
        add("--b\r\n\r\n");
    CHECK(holds(told_of_big(999), "- over=parts\n"));
}

/* J05, in the message's header and in a part's. */
static void long_boundaries_count(void)
{
    for (int in_part = 0; in_part < 2; in_part++) {
        struct str told;

        big_n = 0;
        if (in_part)
            add(MIXED "--b\r\n");
        add("Content-Type: multipart/mixed; boundary=\"");
        add_many('x', 10240);
        add("\"\r\n\r\n--");
        add_many('x', 10239);
        add("\r\nContent-Type: no/part\r\n\r\n--");
        add_many('x', 10240);
        add("\r\nContent-Type: a/b; name=x.exe\r\n\r\nx\r\n");
        told = told_of_big(777);
        CHECK_EQ_STR(told.p, told.n, in_part ? "1.1 type=a/b name=x.exe\n" : "1 type=a/b name=x.exe\n");
    }
}

/* A parameter of 1 MB: what stands behind it is seen, and that something was left out is said. */
static void long_fields_are_cut_in_their_middle(void)
{
    for (size_t piece = 1; piece < 100000; piece = piece * 7 + 1) {
        struct str told;

        big_n = 0;
        add(MIXED "--b\r\nContent-Type: a/b; x=");
        add_many('x', 1 << 20);
        add("; name=x.exe\r\n\r\nx\r\n");
        told = told_of_big(piece);
        CHECK_EQ_STR(told.p, told.n, "1 type=a/b name=x.exe\n- over=field\n");
    }
}

/* The end of a name counts. */
static void long_names_keep_their_end(void)
{
    big_n = 0;
    add("Content-Disposition: attachment; filename=\"");
    add_many('x', 5000);
    add(".exe\"\r\n\r\n");
    CHECK(holds(told_of_big(99), ".exe\n"));
    CHECK(told_of_big(99).n < 140);
}

static void many_fields_are_bounded(void)
{
    big_n = 0;
    add(MIXED "--b\r\n");
    for (int i = 0; i < 9; i++)
        add("Content-Type: a/b\r\n");
    add("\r\n");
    CHECK(holds(told_of_big(99), "- over=field\n"));
}

static void names_of_a_part_are_bounded(void)
{
    for (int names = 60; names <= 70; names += 10) {
        big_n = 0;
        add(MIXED "--b\r\nContent-Type: a/b");
        for (int i = 0; i < names / 2; i++)
            add("; name=x");
        add("\r\n\r\n");
        CHECK_EQ_INT(holds(told_of_big(99), "over=report"), names == 70);
    }
}

/* 900 pictures are one kind of part after the first ones, 900 different names are more than is told. */
static void the_report_is_bounded(void)
{
    for (int differ = 0; differ < 2; differ++) {
        struct str told;

        big_n = 0;
        add(MIXED);
        for (int i = 0; i < 900; i++) {
            char line[128];

            snprintf(line, sizeof line, "--b\r\nContent-Type: image/png; name=%s%d.png\r\n\r\n", differ ? "i." : "i",
                     i);
            add(line);
        }
        add("--b\r\nContent-Type: image/png; name=i.exe\r\n\r\n");
        told = told_of_big(4096);
        CHECK(told.n <= MIME_REPORT_MAX + MIME_TOLD_MAX);
        CHECK_EQ_INT(holds(told, "- over=report\n"), differ);
        CHECK_EQ_INT(holds(told, "901 type=image/png name=i.exe\n"), !differ);
    }
}

/* ---- reading it again ---- */

static void words_are_read(void)
{
    struct str rest = STR("1.2 type=a/b name=a%20b%2G%2 encrypted");
    static const char *const want[][2] = {
        { "", "1.2" }, { "type", "a/b" }, { "name", "a b%2G%2" }, { "", "encrypted" }
    };
    struct mime_word word;
    char room[MIME_RECORD_MAX];

    for (size_t i = 0; i < 4; i++) {
        CHECK(mime_word_next(&rest, &word, room));
        CHECK_EQ_STR(word.key.p, word.key.n, want[i][0]);
        CHECK_EQ_STR(word.value.p, word.value.n, want[i][1]);
    }
    CHECK(!mime_word_next(&rest, &word, room));
}

static const struct test_case tests[] = {
    TEST(parts_are_told),
    TEST(cuts_make_no_difference),
    TEST(depth_is_bounded),
    TEST(parts_are_bounded),
    TEST(long_boundaries_count),
    TEST(long_fields_are_cut_in_their_middle),
    TEST(long_names_keep_their_end),
    TEST(many_fields_are_bounded),
    TEST(names_of_a_part_are_bounded),
    TEST(the_report_is_bounded),
    TEST(words_are_read),
};

int main(void)
{
    int result;

    big = malloc(16 << 20);
    if (big == NULL)
        return 1;
    result = test_main(tests, sizeof tests / sizeof *tests);
    free(big);
    return result;
}
