/* Records from text: whatever is read goes through a ring and comes back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FACTS = 64, MEMORY = 1 << 16, RING = 1 << 20 };

static void must(bool claim)
{
    if (!claim)
        abort();
}

static bool load(struct facts *facts, struct str text)
{
    static struct fact table[FACTS];
    static char memory[MEMORY];

    facts_init(facts, table, FACTS, memory, MEMORY);
    return facts_load(facts, text) == 0;
}

/* The entry that a session would have made of it. */
static struct record_entry entry_of(const struct record *r, const struct facts *facts)
{
    static struct record_rcpt rcpt[RECORD_RCPTS_MAX];
    static char enhanced[RECORD_CHECK_MAX], check[RECORD_CHECK_MAX];

    for (size_t i = 0; i < r->rcpts; i++)
        rcpt[i] = (struct record_rcpt){ r->rcpt[i].text, r->fate[i] };
    memcpy(enhanced, r->enhanced.p, r->enhanced.n);
    enhanced[r->enhanced.n] = '\0';
    memcpy(check, r->check.p, r->check.n);
    check[r->check.n] = '\0';
    return (struct record_entry){
        .id = r->id,
        .number = r->number,
        .time = r->time,
        .client = r->client,
        .helo = r->helo,
        .is_esmtp = r->is_esmtp,
        .is_tls = r->is_tls,
        .is_authenticated = r->is_authenticated,
        .is_smtputf8 = r->is_smtputf8,
        .mail_from = r->mail_from.text,
        .rcpt = rcpt,
        .rcpts = r->rcpts,
        .rcpts_all = r->rcpts_all,
        .size = r->size,
        .has_header = r->has_header,
        .header = r->header,
        .facts = facts,
        .verdict = { .action = r->action, .code = r->code, .enhanced = enhanced, .check = check },
    };
}

static struct str through_ring(const struct record_entry *e)
{
    static char text[RING];
    struct record_ring *ring = record_ring_new(4, RING);
    int fd = memfd_create("records", 0);
    ssize_t n;
    size_t written;

    must(ring != NULL && fd >= 0);
    record_add(ring, e);
    must(record_ring_counts(ring).kept == 1 && record_dump(ring, fd, &written) && written == 1);
    n = pread(fd, text, sizeof text, 0);
    must(n > 0);
    close(fd);
    record_ring_free(ring);
    return str_from(text, (size_t)n);
}

static void must_equal(const struct record *a, const struct record *b)
{
    must(str_eq(a->id, b->id) && a->number == b->number && a->time == b->time && str_eq(a->helo, b->helo));
    must(a->client.port == b->client.port && address_eq(&a->client.address, &b->client.address));
    must(a->is_esmtp == b->is_esmtp && a->is_tls == b->is_tls && a->is_authenticated == b->is_authenticated);
    must(a->is_smtputf8 == b->is_smtputf8 && str_eq(a->mail_from.text, b->mail_from.text));
    must(a->rcpts == b->rcpts && a->rcpts_all == b->rcpts_all && a->size == b->size);
    for (size_t i = 0; i < a->rcpts; i++)
        must(a->fate[i] == b->fate[i] && str_eq(a->rcpt[i].text, b->rcpt[i].text));
    must(a->action == b->action && a->code == b->code);
    must(a->has_header == b->has_header && str_eq(a->header, b->header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record first, second;
    struct str rest = str_from((const char *)data, size), again;
    size_t line = 1, same = 1;
    struct facts facts;
    struct record_entry e;

    if (size == 0 || size > MEMORY / 4 || record_read(&rest, &line, &first) != NULL || !load(&facts, first.facts))
        return 0;
    must(line <= size + 1);
    if (memchr(first.check.p, '\0', first.check.n) != NULL || memchr(first.enhanced.p, '\0', first.enhanced.n) != NULL)
        return 0; /* no check has such a name */
    e = entry_of(&first, &facts);
    again = through_ring(&e);
    must(record_read(&again, &same, &second) == NULL && again.n == 0);
    must_equal(&first, &second);
    must(str_eq(first.check, second.check) && str_eq(first.enhanced, second.enhanced));
    return 0;
}
