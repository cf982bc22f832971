#include "mmdb_value.h"

static const char marker[] = "\xab\xcd\xefMaxMind.com";

/* ---- one value ---- */

static unsigned octet_at(struct str s, size_t i)
{
    return (unsigned char)s.p[i];
}

/* `n` octets, the highest first; `*at` moves behind them. */
static bool take_number(struct str s, size_t *at, unsigned n, uint64_t *number)
{
    if (*at > s.n || n > s.n - *at)
        return false;
    for (; n > 0; n--)
        *number = *number << 8 | octet_at(s, (*at)++);
    return true;
}

static bool read_pointer(struct str s, unsigned control, struct mmdb_value *v)
{
    static const uint32_t base[] = { 0, 2048, 526336, 0 };
    unsigned size = control >> 3 & 3;

    v->size = size < 3 ? control & 7 : 0;
    if (!take_number(s, &v->next, size + 1, &v->size))
        return false;
    v->size += base[size];
    return true;
}

static bool read_size(struct str s, unsigned control, struct mmdb_value *v)
{
    static const uint32_t base[] = { 29, 285, 65821 };
    unsigned size = control & 31;
    uint64_t more = 0;

    v->size = size;
    if (size < 29)
        return true;
    if (!take_number(s, &v->next, size - 28, &more))
        return false;
    v->size = base[size - 29] + more;
    return true;
}

static bool is_known(unsigned type)
{
    return type >= MMDB_POINTER && type <= 15 && type != 12 && type != 13; /* cache container, end marker */
}

static bool read_payload(struct str s, struct mmdb_value *v)
{
    uint64_t number = 0;
    size_t at = v->at;

    if (v->type == MMDB_MAP || v->type == MMDB_ARRAY || v->type == MMDB_BOOLEAN)
        return true;
    if (v->size > s.n - v->at)
        return false;
    v->next = v->at + (size_t)v->size;
    if (v->type == MMDB_STRING)
        v->text = str_from(s.p + v->at, (size_t)v->size);
    if (v->type != MMDB_UINT32)
        return true;
    if (v->size > 4 || !take_number(s, &at, (unsigned)v->size, &number))
        return false;
    v->number = (uint32_t)number;
    return true;
}

static bool read_value(struct str s, size_t at, struct mmdb_value *v)
{
    uint64_t control = 0, extended = 0;

    *v = (struct mmdb_value){ .next = at };
    if (!take_number(s, &v->next, 1, &control))
        return false;
    v->type = (unsigned)control >> 5;
    if (v->type == MMDB_POINTER)
        return read_pointer(s, (unsigned)control, v);
    if (v->type == 0 && !take_number(s, &v->next, 1, &extended))
        return false;
    if (v->type == 0)
        v->type = extended > 0 ? 7 + (unsigned)extended : 0;
    if (!is_known(v->type) || !read_size(s, (unsigned)control, v))
        return false;
    v->at = v->next;
    return read_payload(s, v);
}

/* The same, or what it points to: then `next` stands behind the pointer. A pointer leads to no other pointer. */
static bool read_through(struct str s, size_t at, struct mmdb_value *v)
{
    size_t next;

    if (!read_value(s, at, v))
        return false;
    if (v->type != MMDB_POINTER)
        return true;
    next = v->next;
    if (v->size >= s.n || !read_value(s, (size_t)v->size, v) || v->type == MMDB_POINTER)
        return false;
    v->next = next;
    return true;
}

static uint64_t items_in(const struct mmdb_value *v)
{
    return v->type == MMDB_MAP ? 2 * v->size : v->type == MMDB_ARRAY ? v->size : 0;
}

/* ---- searching ---- */

/* Moves `*at` behind a value and all that is in it; pointers are not followed. */
static bool skip(struct str s, size_t *at, unsigned *items)
{
    struct mmdb_value v;

    for (uint64_t left = 1; left > 0; left += items_in(&v) - 1) {
        if (*items == 0 || !read_value(s, *at, &v))
            return false;
        (*items)--;
        *at = v.next;
    }
    return true;
}

static bool find_key(struct str s, const char *key, struct mmdb_value *v, unsigned *items)
{
    size_t at = v->at;

    for (uint64_t left = v->type == MMDB_MAP ? v->size : 0; left > 0 && *items > 0; left--) {
        (*items)--;
        if (!read_through(s, at, v) || v->type != MMDB_STRING)
            return false;
        at = v->next;
        if (str_eq(v->text, str_of(key)))
            return read_through(s, at, v);
        if (!skip(s, &at, items))
            return false;
    }
    return false;
}

bool mmdb_find(struct str section, size_t at, const char *const *path, struct mmdb_value *v)
{
    unsigned items = MMDB_ITEMS_MAX;

    if (!read_through(section, at, v))
        return false;
    for (; *path != NULL; path++)
        if (!find_key(section, *path, v, &items))
            return false;
    return true;
}

/* ---- metadata ---- */

/* What stands behind the last marker, as libmaxminddb has it. */
static struct str find_metadata(struct str tail)
{
    const size_t mark = sizeof marker - 1;
    struct str found = { NULL, 0 };
    const char *at;

    while ((at = tail.n > 0 ? memmem(tail.p, tail.n, marker, mark) : NULL) != NULL)
        tail = found = str_skip(tail, (size_t)(at - tail.p) + mark);
    return found;
}

/* Each pointer leads to something plain: then there is no more to see than what stands there. */
static bool leads_far(struct str s, const struct mmdb_value *pointer)
{
    struct mmdb_value v;

    return pointer->size >= s.n || !read_value(s, (size_t)pointer->size, &v) || v.type == MMDB_POINTER ||
           items_in(&v) > 0;
}

const char *mmdb_metadata_trouble(struct str tail)
{
    struct str s = find_metadata(tail);
    size_t at = 0, items = 0;
    struct mmdb_value v;

    if (s.p == NULL)
        return "it is no database in MaxMind's format, or cut short";
    for (uint64_t left = 1; left > 0; left += items_in(&v) - 1) {
        if (!read_value(s, at, &v) || (at == 0 && v.type != MMDB_MAP))
            return "its metadata cannot be read";
        if (++items > MMDB_METADATA_ITEMS_MAX || (v.type == MMDB_POINTER && leads_far(s, &v)))
            return "its metadata are too large";
        at = v.next;
    }
    return NULL;
}
