/* What follows "xn--" in a label. What is decoded are characters; the same again as a U-label gives the label it came from, where
 * there is one way to write it.
 */
#include "fuzz.h"
#include "policy/path.h"
#include "policy/punycode.h"

/* UTF-8; its length. */
static size_t put(char *out, uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(n == 1 ? c : (0xF00U >> n & 0xF0) | c);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { size > 0 ? (const char *)data : "", size };
    uint32_t out[PUNYCODE_MAX];
    char utf8[4 * PUNYCODE_MAX], room[PATH_DOMAIN_MAX + 1];
    struct str label;
    bool is_wide = false, is_label = size > 0 && data[0] != '-'; /* one without ASCII has no hyphen in front */
    size_t n = 0, length = 0;

    if (!punycode_decode(text, out, &n))
        return 0;
    REQUIRE(n <= PUNYCODE_MAX && n <= size);
    for (size_t i = 0; i < n; i++) {
        REQUIRE(out[i] <= 0x10FFFF && (out[i] < 0xD800 || out[i] > 0xDFFF));
        is_wide = is_wide || out[i] >= 0x80;
        is_label = is_label && out[i] != '.';
        length += put(utf8 + length, out[i]);
    }
    label = domain_canonical(str_from(utf8, length), room);
    if (is_wide && is_label && label.n > 4)
        REQUIRE(str_ieq(str_skip(label, 4), text));
    return 0;
}
