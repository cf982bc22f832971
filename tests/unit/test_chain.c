/* Byte queues and the budget they count against. */
#include "../../proxy/chain.h"

#include <stdlib.h>

#include "test.h"

enum { LONG = 3 * CHUNK_ROOM + 17 };

static char text[LONG];

static struct str long_text(void)
{
    for (size_t i = 0; i < LONG; i++)
        text[i] = (char)('a' + i % 26);
    return str_from(text, LONG);
}

static bool holds(const struct chain *chain, struct str expected)
{
    struct str slice[16];
    size_t n = chain_slices(chain, slice, 16);
    size_t at = 0;

    if (chain->n != expected.n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (at + slice[i].n > expected.n || memcmp(slice[i].p, expected.p + at, slice[i].n) != 0)
            return false;
        at += slice[i].n;
    }
    return at == expected.n;
}

static void what_goes_in_comes_out_in_order(void)
{
    struct pool pool;
    struct chain chain = { 0 };
    struct str all = long_text();

    pool_init(&pool, 1 << 20);
    for (size_t at = 0; at < all.n; at += 1000)
        CHECK(chain_put(&chain, &pool, str_from(all.p + at, all.n - at < 1000 ? all.n - at : 1000), CHAIN_BUDGET));
    CHECK(holds(&chain, all));
    for (size_t left = all.n; left > 0; left -= left < 777 ? left : 777) {
        CHECK(holds(&chain, str_skip(all, all.n - left)));
        chain_drop(&chain, left < 777 ? left : 777);
    }
    CHECK_EQ_INT(chain.n, 0);
    CHECK(chain_front(&chain).p == NULL);
    CHECK_EQ_INT(pool.used, 0);
    pool_free(&pool);
}

static void a_put_over_the_budget_changes_nothing(void)
{
    struct pool pool;
    struct chain chain = { 0 };

    pool_init(&pool, 2 * CHUNK_SIZE);
    CHECK(chain_put(&chain, &pool, STR("first"), CHAIN_BUDGET));
    CHECK(!chain_put(&chain, &pool, long_text(), CHAIN_BUDGET));
    CHECK(holds(&chain, STR("first")));
    CHECK_EQ_INT(pool.used, CHUNK_SIZE);
    CHECK(pool_fits(&pool, CHUNK_ROOM));
    CHECK(!pool_fits(&pool, CHUNK_ROOM + 1));
    CHECK(chain_put(&chain, &pool, long_text(), CHAIN_FORCE));
    CHECK_EQ_INT(chain.n, 5 + LONG);
    CHECK(!pool_fits(&pool, 1));
    chain_clear(&chain);
    CHECK_EQ_INT(pool.used, 0);
    pool_free(&pool);
}

static void a_budget_is_used_to_its_last_chunk(void)
{
    struct pool pool;
    struct chain chain = { 0 };

    pool_init(&pool, 4 * CHUNK_SIZE);
    CHECK(chain_put(&chain, &pool, long_text(), CHAIN_BUDGET));
    CHECK_EQ_INT(pool.used, 4 * CHUNK_SIZE);
    CHECK(!pool_charge(&pool, 1));
    chain_drop(&chain, LONG);
    CHECK(pool_charge(&pool, 4 * CHUNK_SIZE));
    CHECK(!chain_put(&chain, &pool, STR("x"), CHAIN_BUDGET));
    pool_release(&pool, 4 * CHUNK_SIZE);
    CHECK_EQ_INT(pool.used, 0);
    CHECK_EQ_INT(pool.peak, 4 * CHUNK_SIZE);
    pool_free(&pool);
}

static void moving_keeps_bytes_and_budget(void)
{
    struct pool pool;
    struct chain from = { 0 }, to = { 0 };

    pool_init(&pool, 1 << 20);
    CHECK(chain_put(&from, &pool, long_text(), CHAIN_BUDGET));
    chain_move_some(&to, &from, CHUNK_ROOM + 1);
    CHECK_EQ_INT(to.n, 2 * CHUNK_ROOM);
    CHECK_EQ_INT(from.n, LONG - 2 * CHUNK_ROOM);
    chain_move(&to, &from);
    CHECK(holds(&to, long_text()));
    CHECK(from.head == NULL && from.tail == NULL && from.n == 0);
    CHECK_EQ_INT(pool.used, 4 * CHUNK_SIZE);
    chain_clear(&to);
    pool_free(&pool);
}

static const struct test_case tests[] = {
    TEST(what_goes_in_comes_out_in_order),
    TEST(a_put_over_the_budget_changes_nothing),
    TEST(a_budget_is_used_to_its_last_chunk),
    TEST(moving_keeps_bytes_and_budget),
};
TEST_MAIN(tests)
