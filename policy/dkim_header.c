/* The hash of a header: canonical forms (RFC 6376 3.4.1, 3.4.2) and the choice of fields (5.4.2).
 *
 * h= takes fields from the bottom up, name by name. The names are sorted once; each field of the header then finds its
 * name by binary search and takes the newest of as many places as h= names it. So a header costs O(octets * log names)
 * whatever stands in it: nothing is hashed that collisions could slow down (ATTACKS H06, H08).
 */
#include "dkim.h"

/* ---- canonical forms ---- */

/* A field value on its way into the hash in relaxed form. */
struct relaxed {
    struct sha256 *sha;
    bool blank; /* white space waits to become one SP, unless the field ends */
    bool begun; /* something stands before it */
};

static size_t plain_length(struct str s)
{
    size_t n = 0;

    while (n < s.n && !ascii_is_blank(s.p[n]) && s.p[n] != '\r')
        n++;
    return n;
}

/* Length of white space and fold ends at the front. A CR or LF alone is content as any other octet. */
static size_t space_length(struct str s)
{
    size_t n = 0;

    while (n < s.n) {
        if (ascii_is_blank(s.p[n]))
            n++;
        else if (s.n - n >= 2 && s.p[n] == '\r' && s.p[n + 1] == '\n')
            n += 2;
        else
            break;
    }
    return n;
}

static void relaxed_add(struct relaxed *r, struct str text)
{
    while (text.n > 0) {
        size_t space = space_length(text), plain;

        r->blank = r->blank || space > 0;
        text = str_skip(text, space);
        plain = plain_length(text);
        if (plain == 0 && text.n > 0) /* a bare CR */
            plain = 1;
        if (plain == 0)
            break;
        if (r->blank && r->begun)
            sha256_add(r->sha, STR(" "));
        r->blank = false;
        r->begun = true;
        sha256_add(r->sha, str_from(text.p, plain));
        text = str_skip(text, plain);
    }
}

/* "name:" in lower case, in pieces: names may be long. */
static void relaxed_add_name(struct sha256 *sha, struct str name)
{
    char room[64];

    while (name.n > 0) {
        size_t n = name.n < sizeof room ? name.n : sizeof room;

        for (size_t i = 0; i < n; i++)
            room[i] = ascii_lower(name.p[i]);
        sha256_add(sha, str_from(room, n));
        name = str_skip(name, n);
    }
    sha256_add(sha, STR(":"));
}

static struct str without_crlf(struct str raw)
{
    if (raw.n >= 2 && raw.p[raw.n - 2] == '\r' && raw.p[raw.n - 1] == '\n')
        raw.n -= 2;
    return raw;
}

/* The field without its final CRLF, in two pieces with a hole between them (which may be empty). */
static void add_around(struct header_hash *hash, const struct header_field *field, struct str hole)
{
    struct relaxed r = { .sha = &hash->sha };
    const char *start = hash->is_relaxed ? field->value.p : field->raw.p;
    struct str raw = without_crlf(field->raw);
    struct str before = str_from(start, (size_t)(hole.p - start));
    struct str after = str_from(hole.p + hole.n, (size_t)(raw.p + raw.n - (hole.p + hole.n)));

    if (hash->is_relaxed) {
        relaxed_add_name(&hash->sha, field->name);
        relaxed_add(&r, before);
        relaxed_add(&r, after);
    } else {
        sha256_add(&hash->sha, before);
        sha256_add(&hash->sha, after);
    }
}

void header_hash_add(struct header_hash *hash, const struct header_field *field)
{
    struct str end = str_skip(field->value, field->value.n);

    add_around(hash, field, end);
    sha256_add(&hash->sha, STR("\r\n"));
}

void header_hash_add_signature(struct header_hash *hash, const struct header_field *field,
                               const struct dkim_signature *s)
{
    add_around(hash, field, s->b_text);
}

/* ---- the fields that h= names ---- */

static const uint32_t NONE = UINT32_MAX; /* no field */

/* The names of h= and what they select. The first of equal names, in sorted order, keeps the books for all of them. */
struct selection {
    struct str name[HEADER_NAMES_MAX];
    uint16_t sorted[HEADER_NAMES_MAX]; /* places in h=, ordered by name and place */
    uint32_t named[HEADER_NAMES_MAX];  /* of the first: how often h= has the name */
    uint32_t seen[HEADER_NAMES_MAX];   /* of the first: fields of that name so far */
    uint32_t offset[HEADER_NAMES_MAX]; /* the newest `named` fields, round and round */
    uint32_t chosen[HEADER_NAMES_MAX]; /* by place in h=: offset of the field, or NONE */
    size_t n;
};

/* Names in ASCII order of their lower case. */
static int compare(struct str a, struct str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        char x = ascii_lower(a.p[i]), y = ascii_lower(b.p[i]);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

static bool is_before(const struct selection *s, uint16_t a, uint16_t b)
{
    int order = compare(s->name[a], s->name[b]);

    return order < 0 || (order == 0 && a < b);
}

static void sift_down(struct selection *s, size_t at, size_t n)
{
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        uint16_t moved = s->sorted[at];

        if (child + 1 < n && is_before(s, s->sorted[child], s->sorted[child + 1]))
            child++;
        if (!is_before(s, moved, s->sorted[child]))
            return;
        s->sorted[at] = s->sorted[child];
        s->sorted[child] = moved;
        at = child;
    }
}

/* Heap sort: no worse on any input. */
static void sort_names(struct selection *s)
{
    for (size_t i = s->n / 2; i > 0; i--)
        sift_down(s, i - 1, s->n);
    for (size_t n = s->n; n > 1; n--) {
        uint16_t last = s->sorted[n - 1];

        s->sorted[n - 1] = s->sorted[0];
        s->sorted[0] = last;
        sift_down(s, 0, n - 1);
    }
}

static void selection_begin(struct selection *s, struct str names)
{
    s->n = 0;
    while (s->n < HEADER_NAMES_MAX && colon_list_next(&names, &s->name[s->n])) {
        s->sorted[s->n] = (uint16_t)s->n;
        s->n++;
    }
    sort_names(s);
    for (size_t i = 0, first = 0; i < s->n; i++) {
        if (!str_ieq(s->name[s->sorted[first]], s->name[s->sorted[i]]))
            first = i;
        s->named[i] = s->seen[i] = 0;
        s->named[first]++;
    }
}

/* The first place in sorted order of this name; s->n when h= does not have it. */
static size_t find_name(const struct selection *s, struct str name)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(s->name[s->sorted[middle]], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->n && str_ieq(s->name[s->sorted[low]], name) ? low : s->n;
}

static void selection_add(struct selection *s, const struct header_field *field, size_t offset)
{
    size_t first = find_name(s, field->name);

    if (first < s->n) {
        s->offset[first + s->seen[first] % s->named[first]] = (uint32_t)offset;
        s->seen[first]++;
    }
}

/* 5.4.2: the k-th place of a name takes the k-th field of that name from the bottom, as long as there are any. */
static void selection_end(struct selection *s)
{
    for (size_t first = 0; first < s->n; first += s->named[first]) {
        uint32_t named = s->named[first], seen = s->seen[first];

        for (uint32_t k = 0; k < named; k++)
            s->chosen[s->sorted[first + k]] = k < seen ? s->offset[first + (seen - 1 - k) % named] : NONE;
    }
}

void dkim_header_digest(struct str header, const struct header_field *self, const struct dkim_signature *signature,
                        uint8_t digest[SHA256_SIZE])
{
    struct header_hash hash = { .is_relaxed = signature->header_relaxed };
    struct selection selection;
    struct header_field field;

    selection_begin(&selection, signature->header_names);
    for (struct str rest = header; header_next_anywhere(&rest, &field);)
        if (field.raw.p != self->raw.p) /* 3.5: a signature does not sign itself through h= */
            selection_add(&selection, &field, (size_t)(field.raw.p - header.p));
    selection_end(&selection);

    sha256_begin(&hash.sha);
    for (size_t i = 0; i < selection.n; i++) {
        struct str rest = selection.chosen[i] != NONE ? str_skip(header, selection.chosen[i]) : str_from(NULL, 0);

        if (rest.n > 0 && header_next(&rest, &field))
            header_hash_add(&hash, &field);
    }
    header_hash_add_signature(&hash, self, signature);
    sha256_end(&hash.sha, digest);
}
