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

static const struct {
    uint32_t first, last;
} HIDDEN[] = {
    { 0x80, 0x9F },       /* C1 controls */
    { 0xAD, 0xAD },       /* soft hyphen */
    { 0x61C, 0x61C },     /* Arabic letter mark */
    { 0x200B, 0x200B },   /* zero width space; U+200C and U+200D are letters' joiners and stay */
    { 0x200E, 0x200F },   /* direction marks */
    { 0x2028, 0x202E },   /* line and paragraph separators, direction embeddings and overrides */
    { 0x2060, 0x206F },   /* invisible operators, direction isolates */
    { 0xFDD0, 0xFDEF },   /* noncharacters */
    { 0xFEFF, 0xFEFF },   /* byte order mark */
    { 0xFFF0, 0xFFFF },   /* interlinear marks, replacement characters, noncharacters */
    { 0xE0000, 0xE0FFF }, /* tags */
};

bool utf8_is_hidden(uint32_t code_point)
{
    for (size_t i = 0; i < sizeof HIDDEN / sizeof HIDDEN[0]; i++)
        if (code_point >= HIDDEN[i].first && code_point <= HIDDEN[i].last)
            return true;
    return false;
}
