/* Header and body of a message on its way: whatever the pieces it comes in, the same two parts come out. */
#include "../../proxy/message.h"

#include <stdlib.h>

#include "test.h"

struct sample {
    const char *what;
    const char *message;
    const char *header;
    const char *body; /* in the form it leaves in: dots stuffed */
};

static const struct sample samples[] = {
    { "header, empty line, body", "A: 1\r\nB: 2\r\n\r\nbody\r\n", "A: 1\r\nB: 2\r\n", "\r\nbody\r\n" },
    { "no body", "A: 1\r\n", "A: 1\r\n", "" },
    { "no header", "\r\nbody\r\n", "", "\r\nbody\r\n" },
    { "nothing at all", "", "", "" },
    { "folds belong to their field", "A: 1\r\n\t2\r\n 3\r\n\r\nx\r\n", "A: 1\r\n\t2\r\n 3\r\n", "\r\nx\r\n" },
    { "a fold of blanks does not end the header", "A: 1\r\n  \r\nB: 2\r\n\r\n", "A: 1\r\n  \r\nB: 2\r\n", "\r\n" },
    { "a line that is no field does not end it", "A: 1\r\nno field\r\n\r\n", "A: 1\r\nno field\r\n", "\r\n" },
    { "a first line that is a fold is in it", " x\r\nA: 1\r\n", " x\r\nA: 1\r\n", "" },
    { "dots at line starts are stuffed", "A: 1\r\n\r\n.\r\n..a\r\nb.\r\n", "A: 1\r\n", "\r\n..\r\n...a\r\nb.\r\n" },
    { "a dot line in the header is not yet stuffed", "A: 1\r\n.x\r\n\r\n", "A: 1\r\n.x\r\n", "\r\n" },
};

static size_t read_chain(const struct chain *chain, char *out)
{
    struct str slice[8];
    size_t n = 0;

    for (size_t i = 0, count = chain_slices(chain, slice, 8); i < count; i++) {
        memcpy(out + n, slice[i].p, slice[i].n);
        n += slice[i].n;
    }
    return n;
}

static void check(const struct sample *s, size_t piece)
{
    struct message_store m;
    struct pool pool;
    struct str all = str_of(s->message);
    char body[256];
    size_t n;

    pool_init(&pool, 1 << 20);
    message_init(&m, &pool, 65536, false);
    for (size_t at = 0; at < all.n; at += piece)
        CHECK_EQ_INT(message_add(&m, str_from(all.p + at, all.n - at < piece ? all.n - at : piece), CHAIN_BUDGET),
                     MESSAGE_OK);
    CHECK_EQ_INT(message_finish(&m), MESSAGE_OK);
    CHECK(m.header_done);
    CHECK_EQ_INT(m.size, all.n);
    CHECK_EQ_STR(message_header(&m).p, message_header(&m).n, s->header);
    n = read_chain(&m.body, body);
    CHECK_EQ_STR(body, n, s->body);
    message_free(&m);
    CHECK_EQ_INT(pool.used, 0);
    pool_free(&pool);
}

static void header_and_body_part_the_same_for_every_piece_size(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        CHECK_ROW(samples[i].what);
        for (size_t piece = 1; piece <= strlen(samples[i].message) + 1; piece++)
            check(&samples[i], piece);
    }
}

static void a_header_may_be_as_long_as_its_limit_and_no_longer(void)
{
    struct message_store m;
    struct pool pool;
    char line[1026];

    memset(line, 'x', sizeof line);
    memcpy(line, "A: ", 3);
    memcpy(line + 1022, "\r\n", 2);
    pool_init(&pool, 1 << 20);
    message_init(&m, &pool, 4 * 1024, false);
    for (int i = 0; i < 4; i++)
        CHECK_EQ_INT(message_add(&m, str_from(line, 1024), CHAIN_BUDGET), MESSAGE_OK);
    CHECK_EQ_INT(message_add(&m, STR("\r\n"), CHAIN_BUDGET), MESSAGE_OK);
    CHECK(m.header_done);
    message_free(&m);
    message_init(&m, &pool, 4 * 1024 - 1, false);
    for (int i = 0; i < 3; i++)
        CHECK_EQ_INT(message_add(&m, str_from(line, 1024), CHAIN_BUDGET), MESSAGE_OK);
    CHECK_EQ_INT(message_add(&m, str_from(line, 1024), CHAIN_BUDGET), MESSAGE_HEADER_TOO_LONG);
    message_free(&m);
    pool_free(&pool);
}

static void a_message_counts_against_its_pool(void)
{
    struct message_store m;
    struct pool pool;
    char block[CHUNK_SIZE] = { 0 };

    pool_init(&pool, 8 * CHUNK_SIZE);
    message_init(&m, &pool, 65536, false);
    CHECK_EQ_INT(message_add(&m, STR("A: 1\r\n\r\n"), CHAIN_BUDGET), MESSAGE_OK);
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 6; i++)
        CHECK_EQ_INT(message_add(&m, str_from(block, sizeof block), CHAIN_BUDGET), MESSAGE_OK);
    CHECK_EQ_INT(message_add(&m, str_from(block, sizeof block), CHAIN_BUDGET), MESSAGE_NO_ROOM);
    CHECK_EQ_INT(message_add(&m, str_from(block, sizeof block), CHAIN_FORCE), MESSAGE_OK);
    message_free(&m);
    CHECK_EQ_INT(pool.used, 0);
    pool_free(&pool);
}

static void a_last_line_without_its_end_gets_one(void)
{
    struct message_store m;
    struct pool pool;
    char body[64];
    size_t n;

    pool_init(&pool, 1 << 20);
    message_init(&m, &pool, 65536, false);
    CHECK_EQ_INT(message_add(&m, STR("A: 1\r\n\r\nlast"), CHAIN_BUDGET), MESSAGE_OK);
    CHECK_EQ_INT(message_finish(&m), MESSAGE_OK);
    n = read_chain(&m.body, body);
    CHECK_EQ_STR(body, n, "\r\nlast\r\n");
    message_free(&m);
    pool_free(&pool);
}

static void binary_mail_is_left_as_it_is(void)
{
    struct message_store m;
    struct pool pool;
    char body[64];
    size_t n;

    pool_init(&pool, 1 << 20);
    message_init(&m, &pool, 65536, true);
    CHECK_EQ_INT(message_add(&m, STR("A: 1\r\n\r\n.\n.\r\n.\rx"), CHAIN_BUDGET), MESSAGE_OK);
    CHECK_EQ_INT(message_finish(&m), MESSAGE_OK);
    n = read_chain(&m.body, body);
    CHECK_EQ_STR(body, n, "\r\n.\n.\r\n.\rx");
    message_free(&m);
    pool_free(&pool);
}

/* RFC 6376 3.4: what is hashed begins behind the empty line, has no stuffed dots, and ends as the body ends. */
static void check_hash(const char *body, const char *digest, size_t piece, bool is_raw)
{
    struct fact table[4];
    char memory[1024], text[512];
    struct facts facts;
    struct message_store m;
    struct pool pool;
    const struct fact *fact;
    struct str all;

    snprintf(text, sizeof text,
             "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.example; s=k; h=from; "
             "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n\r\n%s",
             body);
    all = str_of(text);
    facts_init(&facts, table, 4, memory, sizeof memory);
    pool_init(&pool, 1 << 20);
    message_init(&m, &pool, 65536, is_raw);
    message_hash_body(&m, 5);
    for (size_t at = 0; at < all.n; at += piece)
        CHECK_EQ_INT(message_add(&m, str_from(all.p + at, all.n - at < piece ? all.n - at : piece), CHAIN_BUDGET),
                     MESSAGE_OK);
    CHECK_EQ_INT(message_finish(&m), MESSAGE_OK);
    message_answer_body(&m, &facts);
    fact = facts_find(&facts, (struct question){ ASK_BODY, STR_INIT("relaxed") });
    CHECK(fact != NULL && fact->state == FACT_OK && fact->n > 0);
    if (fact != NULL && fact->n > 0)
        CHECK_EQ_STR(fact->value[0].p, fact->value[0].n, digest);
    message_free(&m);
    CHECK_EQ_INT(pool.used, 0);
    pool_free(&pool);
}

static void the_body_is_hashed_as_it_comes(void)
{
    static const struct {
        const char *body, *digest; /* computed with another program */
    } rows[] = {
        { "Hi Bob.\r\n", "kmjWRdQb+kpvA4ZSXI9Gm/RUAw0QJguOg7YOVst7P7Q=" },
        { "Hi Bob.\r\n\r\n\r\n", "kmjWRdQb+kpvA4ZSXI9Gm/RUAw0QJguOg7YOVst7P7Q=" },
        { "Hi Bob.", "kmjWRdQb+kpvA4ZSXI9Gm/RUAw0QJguOg7YOVst7P7Q=" }, /* BDAT: its line gets an end */
        { ".\r\n..dots\r\n", "SmUx64MVAJ1tFgWlgMkxw+BrBocgMXVok+WtWEnbQaU=" },
        { "", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }, /* RFC 6376 3.4.4 */
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 200; piece += 7) {
            CHECK_ROW(rows[i].body);
            check_hash(rows[i].body, rows[i].digest, piece, false);
            check_hash(rows[i].body, rows[i].digest, piece, true);
        }
}

static void without_signatures_nothing_is_hashed(void)
{
    struct message_store m;
    struct pool pool;

    pool_init(&pool, 1 << 20);
    message_init(&m, &pool, 65536, false);
    message_hash_body(&m, 5);
    CHECK_EQ_INT(message_add(&m, STR("From: a@b.example\r\n\r\nbody\r\n"), CHAIN_BUDGET), MESSAGE_OK);
    CHECK(m.hashes == NULL);
    message_free(&m);
    CHECK_EQ_INT(pool.used, 0);
    pool_free(&pool);
}

static const struct test_case tests[] = {
    TEST(header_and_body_part_the_same_for_every_piece_size),
    TEST(a_header_may_be_as_long_as_its_limit_and_no_longer),
    TEST(a_message_counts_against_its_pool),
    TEST(a_last_line_without_its_end_gets_one),
    TEST(binary_mail_is_left_as_it_is),
    TEST(the_body_is_hashed_as_it_comes),
    TEST(without_signatures_nothing_is_hashed),
};
TEST_MAIN(tests)
