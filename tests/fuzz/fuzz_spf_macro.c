/* SPF macros: line 1 is a sender, line 2 a HELO name, the rest a domain-spec or an explanation. A target name is a name
 * that the DNS takes, whatever the values; an expansion never leaves its room.
 */
#include "fuzz.h"
#include "policy/spf_macro.h"

static struct str take_line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str line = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return line;
}

static struct spf_macros make_macros(struct str sender, struct str helo)
{
    struct spf_macros m = { 0 };
    size_t at = str_find(sender, '@');

    m.value['s' - 'a'] = sender;
    m.value['l' - 'a'] = str_from(sender.p, at);
    m.value['o' - 'a'] = m.value['d' - 'a'] = str_skip(sender, at < sender.n ? at + 1 : at);
    m.value['h' - 'a'] = m.value['p' - 'a'] = helo;
    m.value['i' - 'a'] = m.value['c' - 'a'] = STR("192.0.2.3");
    m.value['v' - 'a'] = STR("in-addr");
    m.value['r' - 'a'] = STR("unknown");
    m.value['t' - 'a'] = STR("1700000000");
    return m;
}

static void must_be_name(struct str name)
{
    size_t label = 0;

    REQUIRE(name.n > 0 && name.n <= 253);
    for (size_t i = 0; i < name.n; i++) {
        REQUIRE(name.p[i] >= ' ' && name.p[i] <= '~' && !(name.p[i] >= 'A' && name.p[i] <= 'Z'));
        label = name.p[i] == '.' ? 0 : label + 1;
        REQUIRE(label <= 63 && (label > 0 || (i > 0 && name.p[i - 1] != '.')));
    }
    REQUIRE(label > 0);
}

/* Without macros a text says what it is. */
static void must_be_itself(struct str text, struct str expanded)
{
    if (str_find(text, '%') == text.n)
        REQUIRE(str_eq(text, expanded));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    struct str text = { size > 0 ? (const char *)data : nothing, size };
    struct str sender = take_line(&text), helo = take_line(&text);
    struct spf_macros macros = make_macros(sender, helo);
    char first[PATH_DOMAIN_MAX + 1], second[PATH_DOMAIN_MAX + 1];
    static char small[64], large[1 << 16];

    if (spf_domain_spec_is_valid(text)) {
        struct str a = spf_target_name(text, &macros, first), b = spf_target_name(text, &macros, second);

        REQUIRE(spf_macro_string_is_valid(text, SPF_IN_TERM) && (a.p == NULL) == (b.p == NULL) && str_eq(a, b));
        if (a.p != NULL)
            must_be_name(a);
    }
    if (spf_macro_string_is_valid(text, SPF_IN_EXPLANATION)) {
        struct str a = spf_macro_expand(text, &macros, small, sizeof small);
        struct str b = spf_macro_expand(text, &macros, large, sizeof large);

        REQUIRE(a.p == NULL || str_eq(a, b));
        REQUIRE(a.p != NULL || b.p == NULL || b.n > sizeof small);
        if (b.p != NULL)
            must_be_itself(text, b);
    }
    return 0;
}
