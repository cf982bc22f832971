/*
 * Our unit tests' helper. A test program is named after the file it tests, lists its tests and says how many passed:
 *
 *     static void folds_case(void)
 *     {
 *         CHECK_EQ_STR(label.p, label.len, "example.org");
 *     }
 *
 *     static const struct test_case tests[] = { TEST(folds_case), TEST(refuses_nul) };
 *     TEST_MAIN(tests)
 *
 * A test goes on after a failed check: each tells file, line, values and, in table tests, the row named by CHECK_ROW.
 */
#ifndef POSTERN_TEST_H
#define POSTERN_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* How often something is repeated, or how large it is, that takes minutes where the processor is emulated. */
#ifdef TEST_EMULATED
#    define TEST_LESS(n) ((n) / 20)
#else
#    define TEST_LESS(n) (n)
#endif

static struct {
    const char *test; /* the running test */
    const char *row;  /* of its table; NULL outside of one */
    bool failed, skipped;
} test_now;

struct test_case {
    const char *name;
    void (*run)(void);
};

static inline bool test_check(bool ok, const char *file, int line, const char *text)
{
    if (!ok) {
        printf("%s:%d: %s%s%s: %s", file, line, test_now.test, test_now.row ? " / " : "",
               test_now.row ? test_now.row : "", text);
        test_now.failed = true;
    }
    return ok;
}

/* Printable bytes as they are, the rest as \xNN: what a wire carries must not reach a terminal. */
static inline void test_print(const char *label, const char *p, size_t len)
{
    printf("\n    %s \"", label);
    for (size_t i = 0; i < len; i++)
        printf(p[i] >= ' ' && p[i] <= '~' ? "%c" : "\\x%02x", (unsigned char)p[i]);
    printf("\"");
}

static inline void test_eq_int(long long got, long long want, const char *file, int line, const char *text)
{
    if (!test_check(got == want, file, line, text))
        printf(" is %lld, not %lld\n", got, want);
}

static inline void test_eq_str(const char *got, size_t len, const char *want, const char *file, int line,
                               const char *text)
{
    if (!test_check(len == strlen(want) && (len == 0 || memcmp(got, want, len) == 0), file, line, text)) {
        test_print("is ", got, len);
        test_print("not", want, strlen(want));
        printf("\n");
    }
}

/* Labels the checks that follow, until the test ends. */
#define CHECK_ROW(label) (test_now.row = (label))
#define CHECK(cond) (test_check((cond), __FILE__, __LINE__, #cond) ? (void)0 : (void)printf(" is false\n"))
#define CHECK_EQ_INT(got, want) test_eq_int((long long)(got), (long long)(want), __FILE__, __LINE__, #got)
#define CHECK_EQ_STR(got, len, want) test_eq_str((got), (len), (want), __FILE__, __LINE__, #got)
/* Leaves the test: what it needs is not here. */
#define SKIP(why) \
    do { \
        printf("%s:%d: %s: skipped: %s\n", __FILE__, __LINE__, test_now.test, (why)); \
        test_now.skipped = true; \
        return; \
    } while (0)

/* Processes that count together: qemu-user makes nothing atomic that a process with one thread does. */
#ifdef TEST_EMULATED
#    define NEEDS_SHARED_ATOMICS() SKIP("emulated processes have no atomics in common")
#else
#    define NEEDS_SHARED_ATOMICS() ((void)0)
#endif

/* clang-format off */
#define TEST(function) { #function, function }
#define TEST_MAIN(tests) \
    int main(void) { return test_main((tests), sizeof(tests) / sizeof *(tests)); }
/* clang-format on */

static inline int test_main(const struct test_case *tests, size_t n)
{
    int passed = 0, failed = 0, skipped = 0;

    setvbuf(stdout, NULL, _IOLBF, 0); /* a crash must not swallow what was found before it */
    for (size_t i = 0; i < n; i++) {
        test_now.test = tests[i].name;
        test_now.row = NULL;
        test_now.failed = test_now.skipped = false;
        tests[i].run();
        if (test_now.failed)
            failed++;
        else if (test_now.skipped)
            skipped++;
        else
            passed++;
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}

#endif
