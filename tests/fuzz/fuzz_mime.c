/* The MIME walker: one octet that says how to cut, one for the bounds, then a message. What it tells must not depend on the cuts,
 * must keep within its bounds, and must read as words.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/header.h"
#include "policy/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct walk {
    struct mime mime;
    struct facts facts;
    struct fact table[4];
    char memory[16384];
} walks[2];

static void must(bool claim)
{
    if (!claim)
        abort();
}

static const struct fact *walk(struct walk *w, struct str header, struct str rest, const struct mime_limits *limits,
                               unsigned cut)
{
    const struct fact *fact;

    facts_init(&w->facts, w->table, 4, w->memory, sizeof w->memory);
    mime_begin(&w->mime, header, limits);
    for (size_t n = cut; rest.n > 0; n = 1 + n * 7 % 251) {
        struct str piece = str_from(rest.p, n < rest.n && cut > 0 ? n : rest.n);

        mime_add(&w->mime, piece);
        rest = str_skip(rest, piece.n);
    }
    mime_end(&w->mime, &w->facts);
    fact = facts_find(&w->facts, (struct question){ ASK_PARTS, MIME_PARTS_KEY });
    must(fact != NULL && fact->n <= MIME_TOLD_MAX && fact->state == (fact->n > 0 ? FACT_OK : FACT_NODATA));
    return fact;
}

static size_t read_words(struct str value)
{
    static char room[MIME_RECORD_MAX];
    struct mime_word word;
    size_t n = 0;

    for (; mime_word_next(&value, &word, room); n++)
        must(n == 0 ? word.key.n == 0 : word.key.n > 0 || str_eq(word.value, STR("encrypted")));
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mime_limits limits = { 100, 1000 };
    const struct fact *whole, *cut;
    struct str message, header;
    size_t octets = 0;
    bool complete;

    if (size < 2)
        return 0;
    if ((data[1] & 1) != 0)
        limits = (struct mime_limits){ 1 + (data[1] >> 1 & 7), 1 + (data[1] >> 4) };
    message = header = str_from((const char *)data + 2, size - 2);
    header.n = header_length(message, &complete);
    message = str_skip(message, header.n + (complete ? 2 : 0));
    whole = walk(&walks[0], header, message, &limits, 0);
    cut = walk(&walks[1], header, message, &limits, data[0]);
    must(whole->n == cut->n);
    for (size_t i = 0; i < whole->n; i++) {
        must(str_eq(whole->value[i], cut->value[i]));
        must(whole->value[i].n <= MIME_RECORD_MAX && read_words(whole->value[i]) > 0);
        octets += whole->value[i].n;
    }
    must(octets <= MIME_REPORT_MAX);
    return 0;
}
