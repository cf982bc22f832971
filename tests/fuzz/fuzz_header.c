/* Header sections: fields lie end to end in the text, and everything handed out lies within it. */
#include <stdint.h>
#include <stdlib.h>

#include "policy/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool claim)
{
    if (!claim)
        abort();
}

static void check_value(struct str value)
{
    struct str rest = header_skip_cfws(value);
    char id[16];
    size_t n;

    must(rest.n <= value.n && rest.p + rest.n == value.p + value.n);
    must(rest.n == 0 || (rest.p[0] != ' ' && rest.p[0] != '\t' && rest.p[0] != '('));
    if (header_authserv_id(value, id, sizeof id, &n))
        must(n > 0 && n <= sizeof id);
}

static void check_field(struct str before, const struct header_field *field)
{
    must(field->raw.p == before.p && field->raw.n <= before.n);
    must(field->name.p == field->raw.p && field->name.n > 0 && field->name.n < field->raw.n);
    must(str_find(field->name, ':') == field->name.n && str_find(field->name, '\0') == field->name.n);
    must(field->value.p > field->name.p && field->value.p + field->value.n <= field->raw.p + field->raw.n);
    must(header_is(field, field->name));
    check_value(field->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    struct str text = { size > 0 ? (const char *)data : nothing, size }, rest = text, before = text;
    struct header_field field;
    size_t n = 0, length, fields = 0, seen = 0;
    bool complete;

    for (; header_next(&rest, &field); before = rest) {
        check_field(before, &field);
        n += field.raw.n;
        fields++;
        must(rest.p == text.p + n && rest.n == text.n - n);
    }
    length = header_length(text, &complete);
    must(length >= n || !complete);
    must(!complete || (text.n - length >= 2 && memcmp(text.p + length, "\r\n", 2) == 0));
    for (rest = text; header_next_anywhere(&rest, &field); seen++)
        must(field.raw.p >= text.p && field.raw.p + field.raw.n <= text.p + text.n);
    must(seen >= fields);
    must(!complete || rest.p == text.p + length);
    check_value(text);
    return 0;
}
