/* One byte of flags (bit 0: forward-path, bit 1: SMTPUTF8), then a path. What is accepted fits its room, is
 * printable, is its own canonical form, and takes apart into the parts it was put together from.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/path.h"
#include "policy/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_be_printable(struct str text, bool is_utf8)
{
    bool seen = false;

    must(utf8_is_valid(text));
    for (size_t i = 0; i < text.n; i++) {
        must((unsigned char)text.p[i] >= 0x20 && text.p[i] != 0x7F);
        seen = seen || (unsigned char)text.p[i] >= 0x80;
    }
    must(seen == is_utf8);
}

/* The oracle's own way of cutting an address (ORACLE P-1): at the last @. */
static void must_cut_at_the_last_at(const struct path *path)
{
    size_t at = path->text.n;

    while (at > 0 && path->text.p[at - 1] != '@')
        at--;
    if (path->domain.n == 0) {
        must(str_eq(path->text, path->local));
        return;
    }
    must(at > 0 && str_eq(path->local, str_from(path->text.p, at - 1)));
    must(str_eq(path->domain, str_skip(path->text, at)));
}

static void must_have_a_valid_domain(const struct path *path)
{
    char name[PATH_DOMAIN_MAX + 1];

    if (path->is_literal)
        must(address_literal_is_valid(path->domain));
    else if (path->domain.n > 0)
        must(domain_check(path->domain, PATH_UTF8) == PATH_OK);
    if (path->domain.n > 0 && !path->is_utf8 && path->domain.n <= 253)
        must(domain_canonical(path->domain, name).n == path->domain.n);
}

static void must_be_a_fixed_point(const struct path *path, enum path_kind kind, unsigned flags)
{
    char again[PATH_ROOM + 2], room[PATH_ROOM];
    struct path second;
    size_t used = 0;

    again[0] = '<';
    memcpy(again + 1, path->text.p, path->text.n);
    again[path->text.n + 1] = '>';
    must(path_parse(str_from(again, path->text.n + 2), kind, flags, room, &second, &used) == PATH_OK);
    must(used == path->text.n + 2);
    must(str_eq(second.text, path->text) && str_eq(second.unquoted, path->unquoted));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum path_kind kind = size > 0 && (data[0] & 1) != 0 ? PATH_FORWARD : PATH_REVERSE;
    unsigned flags = size > 0 && (data[0] & 2) != 0 ? PATH_UTF8 : 0;
    char room[PATH_ROOM];
    struct path path;
    struct str in;
    size_t used = 0;

    if (size == 0)
        return 0;
    in = str_from((const char *)data + 1, size - 1);
    if (path_parse(in, kind, flags, room, &path, &used) != PATH_OK) {
        must(path.text.p == NULL && path.domain.p == NULL && used == 0);
        return 0;
    }
    must(used >= 2 && used <= in.n && in.p[0] == '<' && in.p[used - 1] == '>');
    must(path.text.p >= room && path.text.p + path.text.n <= room + sizeof room);
    must(path.is_null == (path.text.n == 0) && !(path.is_null && kind == PATH_FORWARD));
    must(!path.is_utf8 || flags == PATH_UTF8);
    must_be_printable(path.text, path.is_utf8);
    must_cut_at_the_last_at(&path);
    must_have_a_valid_domain(&path);
    must_be_a_fixed_point(&path, kind, flags);
    return 0;
}
