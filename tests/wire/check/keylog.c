/* The NSS key log, as browsers, openssl s_client -keylogfile and our wire build write it: a label, the client random, a
 * secret, in hexadecimal, one line each (draft-ietf-tls-keylogfile).
 *
 * A campaign's log has a million lines, in any order, and several of them for each session: they are sorted once. */
#include "keylog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM = 32, SECRET_MAX = 48, EXIT_NO_INPUT = 66 };

struct line {
    uint8_t random[RANDOM];
    uint8_t kind;
    uint8_t secret_n;
    uint8_t secret[SECRET_MAX];
};

struct keylog {
    struct line *line; /* sorted by random and kind */
    size_t n, sessions;
};

static const char *const labels[] = {
    [SECRET_MASTER] = "CLIENT_RANDOM",
    [SECRET_CLIENT_HANDSHAKE] = "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    [SECRET_SERVER_HANDSHAKE] = "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    [SECRET_CLIENT_TRAFFIC] = "CLIENT_TRAFFIC_SECRET_0",
    [SECRET_SERVER_TRAFFIC] = "SERVER_TRAFFIC_SECRET_0",
};

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The octets that `hex` stands for; false when it is not that, or more than `max`. */
static bool read_hex(struct slice hex, uint8_t *out, size_t max, size_t *n)
{
    if (hex.n % 2 || hex.n / 2 > max)
        return false;
    *n = hex.n / 2;
    for (size_t i = 0; i < *n; i++) {
        int high = digit(hex.p[2 * i]), low = digit(hex.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* The next word of `*s`, which is taken from it. */
static struct slice next_word(struct slice *s)
{
    size_t from = 0;

    while (from < s->n && (s->p[from] == ' ' || s->p[from] == '\t'))
        from++;
    size_t to = from;
    while (to < s->n && s->p[to] != ' ' && s->p[to] != '\t' && s->p[to] != '\r')
        to++;
    struct slice word = slice_part(*s, from, to);
    *s = slice_part(*s, to, s->n);
    return word;
}

static bool read_kind(struct slice word, uint8_t *kind)
{
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (slice_equal(word, slice_of(labels[i]))) {
            *kind = (uint8_t)i;
            return true;
        }
    return false;
}

/* Comments, labels that are not used here and lines that a crash cut short are no lines. */
static bool read_line(struct slice text, struct line *l)
{
    size_t n;

    *l = (struct line){ 0 };
    if (!read_kind(next_word(&text), &l->kind))
        return false;
    if (!read_hex(next_word(&text), l->random, RANDOM, &n) || n != RANDOM)
        return false;
    if (!read_hex(next_word(&text), l->secret, SECRET_MAX, &n))
        return false;
    l->secret_n = (uint8_t)n;
    return n == 32 || n == 48; /* SHA-256, SHA-384; a master secret has 48 (RFC 5246 8.1) */
}

static int compare(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int order = memcmp(x->random, y->random, RANDOM);

    return order != 0 ? order : (int)x->kind - (int)y->kind;
}

static size_t count_sessions(const struct keylog *k)
{
    size_t sessions = 0;

    for (size_t i = 0; i < k->n; i++)
        sessions += i == 0 || memcmp(k->line[i].random, k->line[i - 1].random, RANDOM) != 0;
    return sessions;
}

static void read_lines(struct keylog *k, struct slice text)
{
    while (text.n > 0) {
        size_t end = slice_find(text, SLICE("\n"), 0);
        struct line line;

        if (read_line(slice_part(text, 0, end), &line)) {
            k->line = array_grow(k->line, k->n, sizeof *k->line);
            k->line[k->n++] = line;
        }
        text = slice_part(text, end + 1, text.n);
    }
}

static void read_file(struct buffer *text, const char *path)
{
    FILE *file = fopen(path, "rb");
    char part[65536];
    size_t n;

    if (file == NULL)
        die(EXIT_NO_INPUT, "%s: %s", path, strerror(errno));
    while ((n = fread(part, 1, sizeof part, file)) > 0)
        buffer_add(text, part, n);
    if (ferror(file))
        die(EXIT_NO_INPUT, "%s: %s", path, strerror(errno));
    fclose(file);
}

struct keylog *keylog_read(const char *path)
{
    struct keylog *k = fresh(sizeof *k);
    struct buffer text = { 0 };

    read_file(&text, path);
    read_lines(k, buffer_slice(&text));
    buffer_free(&text);
    if (k->n > 0)
        qsort(k->line, k->n, sizeof *k->line, compare);
    k->sessions = count_sessions(k);
    return k;
}

size_t keylog_count(const struct keylog *k)
{
    return k->sessions;
}

struct slice keylog_find(const struct keylog *k, const uint8_t client_random[32], enum secret_kind kind)
{
    struct line wanted = { .kind = (uint8_t)kind };

    if (k == NULL || k->n == 0)
        return (struct slice){ NULL, 0 };
    memcpy(wanted.random, client_random, RANDOM);
    const struct line *found = bsearch(&wanted, k->line, k->n, sizeof *k->line, compare);
    return found ? (struct slice){ found->secret, found->secret_n } : (struct slice){ NULL, 0 };
}

void keylog_free(struct keylog *k)
{
    if (k == NULL)
        return;
    free(k->line);
    free(k);
}
