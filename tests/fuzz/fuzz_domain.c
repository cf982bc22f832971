/* A domain name. Its canonical form is printable lower-case ASCII within the DNS limits and its own canonical
 * form; a Domain of mail has one, unless it is longer than the DNS allows.
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

static size_t count_dots(struct str s)
{
    size_t dots = 0;

    for (size_t i = 0; i < s.n; i++)
        dots += s.p[i] == '.';
    return dots;
}

static void must_be_canonical(struct str name)
{
    char second[PATH_DOMAIN_MAX + 1];
    size_t label = 0;

    must(name.n > 0 && name.n <= 253 && name.p[name.n] == '\0');
    for (size_t i = 0; i < name.n; i++) {
        must(name.p[i] >= 0x20 && name.p[i] < 0x7F && ascii_lower(name.p[i]) == name.p[i]);
        label = name.p[i] == '.' ? 0 : label + 1;
        must(label <= 63 && (name.p[i] != '.' || (i > 0 && name.p[i - 1] != '.')));
    }
    must(name.p[name.n - 1] != '.' && str_eq(domain_canonical(name, second), name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_from((const char *)data, size);
    char out[PATH_DOMAIN_MAX + 1];
    struct str name = domain_canonical(in, out);
    enum path_error error = domain_check(in, PATH_UTF8);

    if (name.p != NULL) {
        must_be_canonical(name);
        must(utf8_is_valid(in));
        must(count_dots(name) + (size > 0 && in.p[size - 1] == '.') == count_dots(in));
    }
    must(error == PATH_OK || error == PATH_BAD_DOMAIN || error == PATH_DOMAIN_TOO_LONG);
    must(error != PATH_OK || size > 85 || name.p != NULL); /* with its dots, an octet makes at most three */
    must(!domain_is_valid(in) || error == PATH_OK);
    must(!domain_is_valid(in) || size > 253 || (name.n == size && domain_is_valid(name)));
    must(!address_literal_is_valid(in) || error == PATH_BAD_DOMAIN);
    return 0;
}
