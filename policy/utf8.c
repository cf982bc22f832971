#include "utf8.h"

/* The rows of RFC 3629 section 4: which lead octets there are, and what the second octet may be after each.
 * The narrowed ranges are what shuts out overlong forms (E0, F0), surrogates (ED) and code points above
 * U+10FFFF (F4).
 */
static const struct lead {
    uint8_t first, last;
    uint8_t length;
    uint8_t second_first, second_last;
} LEADS[] = {
    /* clang-format off */
    { 0xC2, 0xDF, 2, 0x80, 0xBF },
    { 0xE0, 0xE0, 3, 0xA0, 0xBF },
    { 0xE1, 0xEC, 3, 0x80, 0xBF },
    { 0xED, 0xED, 3, 0x80, 0x9F },
    { 0xEE, 0xEF, 3, 0x80, 0xBF },
    { 0xF0, 0xF0, 4, 0x90, 0xBF },
    { 0xF1, 0xF3, 4, 0x80, 0xBF },
    { 0xF4, 0xF4, 4, 0x80, 0x8F },
    /* clang-format on */
};

static const struct lead *lead_of(uint8_t octet)
{
    for (size_t i = 0; i < sizeof LEADS / sizeof LEADS[0]; i++)
        if (octet >= LEADS[i].first && octet <= LEADS[i].last)
            return &LEADS[i];
    return NULL;
}

static size_t decode_multibyte(const uint8_t *octet, size_t n, uint32_t *code_point)
{
    const struct lead *lead = lead_of(octet[0]);

    if (lead == NULL || n < lead->length || octet[1] < lead->second_first || octet[1] > lead->second_last)
        return 0;
    *code_point = octet[0] & (0x7FU >> lead->length);
    for (size_t i = 1; i < lead->length; i++) {
        if ((octet[i] & 0xC0) != 0x80)
            return 0;
        *code_point = *code_point << 6 | (octet[i] & 0x3FU);
    }
    return lead->length;
}

size_t utf8_decode(struct str s, uint32_t *code_point)
{
    const uint8_t *octet = (const uint8_t *)s.p;

    *code_point = 0;
    if (s.n == 0)
        return 0;
    if (octet[0] < 0x80) {
        *code_point = octet[0];
        return 1;
    }
    return decode_multibyte(octet, s.n, code_point);
}

bool utf8_is_valid(struct str s)
{
    uint32_t code_point;

    while (s.n > 0) {
        size_t length = utf8_decode(s, &code_point);

        if (length == 0)
            return false;
        s = str_skip(s, length);
    }
    return true;
}
