/* What an arena gives, and what it says when it is full. */
#include "policy/arena.h"

#include <limits.h>
#include <stdint.h>

#include "test.h"

static void gives_zeroed_aligned_memory(void)
{
    char memory[512];
    struct arena arena;

    memset(memory, 0xAA, sizeof memory);
    arena_init(&arena, memory + 1, sizeof memory - 1);
    for (size_t n = 1; n < 20; n++) {
        const unsigned char *p = arena_take(&arena, n);

        CHECK(p != NULL && (uintptr_t)p % _Alignof(max_align_t) == 0);
        for (size_t i = 0; p != NULL && i < n; i++)
            CHECK_EQ_INT(p[i], 0);
    }
    CHECK(!arena.overflowed);
}

static void pieces_do_not_overlap(void)
{
    char memory[256];
    struct arena arena;
    struct str word;
    char *first, *second;

    arena_init(&arena, memory, sizeof memory);
    first = arena_take(&arena, 10);
    word = arena_copy(&arena, STR("word"));
    second = arena_take(&arena, 10);
    CHECK(first != NULL && second != NULL);
    if (first == NULL || second == NULL)
        return;
    memset(first, 'a', 10);
    memset(second, 'b', 10);
    CHECK_EQ_STR(word.p, word.n, "word");
    CHECK_EQ_INT(first[9], 'a');
}

static void gives_all_it_has_and_no_more(void)
{
    _Alignas(max_align_t) char memory[64];
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    CHECK(arena_take(&arena, 64) == memory);
    CHECK(!arena.overflowed);
    CHECK(arena_take(&arena, 0) != NULL);
    CHECK(arena_take(&arena, 1) == NULL);
    CHECK(arena.overflowed);
}

static void a_request_that_does_not_fit_takes_nothing(void)
{
    static const size_t sizes[] = { 65, 1000, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char memory[64];
        struct arena arena;
        struct str word;

        arena_init(&arena, memory, sizeof memory);
        word = arena_copy(&arena, STR("x"));
        CHECK_EQ_STR(word.p, word.n, "x");
        CHECK(arena_take(&arena, sizes[i]) == NULL);
        CHECK(arena.overflowed);
        CHECK_EQ_INT(arena.used, 1);
        word = arena_copy(&arena, STR("still here"));
        CHECK_EQ_STR(word.p, word.n, "still here");
    }
}

static void an_arena_without_memory_is_full(void)
{
    struct arena arena;

    arena_init(&arena, NULL, 0);
    CHECK(arena_take(&arena, 1) == NULL);
    CHECK(arena_copy(&arena, STR("x")).p == NULL);
    CHECK(arena_printf(&arena, "%d", 1).p == NULL);
    CHECK(arena.overflowed);
}

static void a_reset_gives_everything_back(void)
{
    char memory[64];
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    CHECK(arena_take(&arena, 100) == NULL);
    CHECK(arena_copy(&arena, STR("old")).n == 3);
    arena_reset(&arena);
    CHECK(!arena.overflowed);
    CHECK(arena_copy(&arena, STR("new")).p == memory);
}

static void copies_any_bytes(void)
{
    char memory[64];
    struct arena arena;
    struct str copy;

    arena_init(&arena, memory, sizeof memory);
    copy = arena_copy(&arena, STR("a\0b"));
    CHECK(str_eq(copy, STR("a\0b")));
    copy = arena_copy(&arena, str_from(NULL, 0));
    CHECK(copy.p != NULL && copy.n == 0);
}

static void prints_into_itself(void)
{
    char memory[64];
    struct arena arena;
    struct str first, second;

    arena_init(&arena, memory, sizeof memory);
    first = arena_printf(&arena, "%d-%.*s", 42, STR_ARG(STR("slices")));
    second = arena_printf(&arena, "%s", "next");
    CHECK_EQ_STR(first.p, first.n, "42-slices");
    CHECK_EQ_STR(second.p, second.n, "next");
}

static void prints_numbers_as_libc_does(void)
{
    static const int values[] = { 0, 7, -1, 42, INT_MAX, INT_MIN };
    char memory[128], expected[128];
    struct arena arena;
    struct str text;

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        arena_init(&arena, memory, sizeof memory);
        text = arena_printf(&arena, "%d|%u|%llu|%%", values[i], (unsigned)values[i], (unsigned long long)values[i]);
        snprintf(expected, sizeof expected, "%d|%u|%llu|%%", values[i], (unsigned)values[i],
                 (unsigned long long)values[i]);
        CHECK_EQ_STR(text.p, text.n, expected);
    }
}

static void a_text_that_does_not_fit_is_not_cut(void)
{
    char memory[8];
    struct arena arena;
    struct str text;

    arena_init(&arena, memory, sizeof memory);
    CHECK(arena_printf(&arena, "%s%d", "1234567", 89).p == NULL);
    CHECK(arena.overflowed);
    CHECK_EQ_INT(arena.used, 0);
    text = arena_printf(&arena, "%s", "12345678");
    CHECK_EQ_STR(text.p, text.n, "12345678");
}

static const struct test_case tests[] = {
    TEST(gives_zeroed_aligned_memory),
    TEST(pieces_do_not_overlap),
    TEST(gives_all_it_has_and_no_more),
    TEST(a_request_that_does_not_fit_takes_nothing),
    TEST(an_arena_without_memory_is_full),
    TEST(a_reset_gives_everything_back),
    TEST(copies_any_bytes),
    TEST(prints_into_itself),
    TEST(prints_numbers_as_libc_does),
    TEST(a_text_that_does_not_fit_is_not_cut),
};
TEST_MAIN(tests)
