/* The first octets of a part, and what they are. */
#include "base64.h"
#include "mime_parts.h"

/* ---- decoding ---- */

static void put(struct mime *m, uint32_t octet)
{
    if (m->window_n < MIME_WINDOW)
        m->window[m->window_n++] = (char)(octet & 0xFF);
}

/* RFC 2045 6.8: what is not of the alphabet is passed over, "=" too: some readers stop there, some go on. */
static void take_base64(struct mime *m, char c)
{
    unsigned value = base64_value(c);

    if (value == BASE64_NONE)
        return;
    m->bits = m->bits << 6 | value;
    m->bits_n += 6;
    if (m->bits_n >= 8)
        put(m, m->bits >> (m->bits_n -= 8));
}

static unsigned hex_value(char c)
{
    c = ascii_lower(c);
    return ascii_is_digit(c) ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* RFC 2045 6.7. `bits_n` octets of a code were seen: "=", or "=" and a digit that is in `bits`. */
static void take_quoted(struct mime *m, char c)
{
    unsigned digit = hex_value(c);

    if (m->bits_n == 0 && c != '=') {
        put(m, (unsigned char)c);
    } else if (m->bits_n == 0) {
        m->bits_n = 1;
    } else if (m->bits_n == 1) {
        m->bits = digit;
        m->bits_n = digit < 16 ? 2 : c == '\n' ? 0 : 1; /* "=" CR LF, blanks before it: the line goes on */
    } else {
        if (digit < 16)
            put(m, m->bits << 4 | digit);
        m->bits_n = 0;
    }
}

void mime_window_open(struct mime *m)
{
    m->window_is_open = true;
    m->bits = m->bits_n = 0;
    m->window_n = 0;
}

void mime_window_add(struct mime *m, struct str octets)
{
    if (m->entity.encoding == MIME_BASE64) {
        for (size_t i = 0; i < octets.n && m->window_n < MIME_WINDOW; i++)
            take_base64(m, octets.p[i]);
    } else if (m->entity.encoding == MIME_QUOTED) {
        for (size_t i = 0; i < octets.n && m->window_n < MIME_WINDOW; i++)
            take_quoted(m, octets.p[i]);
    } else {
        size_t n = octets.n < MIME_WINDOW - m->window_n ? octets.n : MIME_WINDOW - m->window_n;

        memcpy(m->window + m->window_n, octets.p, n);
        m->window_n += n;
    }
    if (m->window_n == MIME_WINDOW)
        mime_window_close(m);
}

/* ---- numbers in it ---- */

static uint32_t little(struct str w, size_t at, size_t octets)
{
    uint32_t value = 0;

    for (size_t i = octets; i-- > 0 && at + i < w.n;)
        value = value << 8 | (unsigned char)w.p[at + i];
    return value;
}

static bool has(struct str w, size_t at, struct str what)
{
    return at <= w.n && w.n - at >= what.n && memcmp(w.p + at, what.p, what.n) == 0;
}

/* ---- ZIP (APPNOTE.TXT 4.3.7) ---- */

enum {
    ZIP_HEADER = 30,
    ZIP_ENCRYPTED = 1 << 0,
    ZIP_SIZES_BEHIND = 1 << 3, /* in a data descriptor */
    ZIP_STRONG = 1 << 6,
    ZIP_METHOD_AES = 99,
    ZIP_MEMBERS_MAX = 8
};

/* True when the entry names how far away the next one is. */
static bool zip_entry(struct mime *m, struct str w, size_t *at)
{
    uint32_t flags = little(w, *at + 6, 2), packed = little(w, *at + 18, 4);
    size_t name = little(w, *at + 26, 2), extra = little(w, *at + 28, 2);
    struct str rest = str_skip(w, *at + ZIP_HEADER);

    if ((flags & (ZIP_ENCRYPTED | ZIP_STRONG)) != 0 || little(w, *at + 8, 2) == ZIP_METHOD_AES)
        mime_tell(m, "encrypted", STR(""));
    mime_tell_name(m, "member=", str_from(rest.p, name < rest.n ? name : rest.n));
    *at += ZIP_HEADER + name + extra;
    if ((flags & ZIP_SIZES_BEHIND) != 0 || packed >= MIME_WINDOW)
        return false;
    *at += packed;
    return true;
}

static void look_at_zip(struct mime *m, struct str w)
{
    size_t at = has(w, 0, STR("PK00PK\3\4")) ? 4 : 0; /* of one that was split */
    bool goes_on = true;

    for (int i = 0; i < ZIP_MEMBERS_MAX && goes_on && has(w, at, STR("PK\3\4")) && w.n - at > ZIP_HEADER; i++)
        goes_on = zip_entry(m, w, &at);
}

/* ---- RAR ---- */

/* RAR 4: a main header (0x73), whose flag 0x80 says that the rest is encrypted; then the first file's (0x74), flag 4. */
static void look_at_rar4(struct mime *m, struct str w)
{
    size_t file = 7 + little(w, 12, 2);

    if (little(w, 9, 1) != 0x73)
        return;
    if ((little(w, 10, 2) & 0x80) != 0 || (little(w, file + 2, 1) == 0x74 && (little(w, file + 3, 2) & 4) != 0))
        mime_tell(m, "encrypted", STR(""));
}

/* RAR 5: CRC32, then header size and type as vint; type 4 is the encryption header. */
static void look_at_rar5(struct mime *m, struct str w)
{
    size_t at = 12;

    while (at < w.n && at < 15 && ((unsigned char)w.p[at] & 0x80) != 0)
        at++;
    if (little(w, at + 1, 1) == 4)
        mime_tell(m, "encrypted", STR(""));
}

/* ---- what it is ---- */

/* A text may begin with "MZ", too. */
static bool is_pe(struct str w)
{
    uint32_t header = little(w, 0x3C, 4);

    if (!has(w, 0, STR("MZ")) && !has(w, 0, STR("ZM")))
        return false;
    return (header < w.n && has(w, header, STR("PE\0\0"))) || memchr(w.p, '\0', w.n < 64 ? w.n : 64) != NULL;
}

static const struct {
    struct str front;
    const char *name;
    void (*look)(struct mime *, struct str window);
} kinds[] = {
    { STR_INIT("\x7f"
               "ELF"),
      "elf", NULL },
    { STR_INIT("\xfe\xed\xfa\xce"), "macho", NULL },
    { STR_INIT("\xfe\xed\xfa\xcf"), "macho", NULL },
    { STR_INIT("\xce\xfa\xed\xfe"), "macho", NULL },
    { STR_INIT("\xcf\xfa\xed\xfe"), "macho", NULL },
    { STR_INIT("\x4c\0\0\0\1\x14\2\0\0\0\0\0\xc0\0\0\0\0\0\0\x46"), "lnk", NULL },
    { STR_INIT("ITSF\3\0\0\0"), "chm", NULL },
    { STR_INIT("#!"), "script", NULL },
    { STR_INIT("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "ole2", NULL },
    { STR_INIT("7z\xbc\xaf\x27\x1c"), "7z", NULL },
    { STR_INIT("PK\3\4"), "zip", look_at_zip },
    { STR_INIT("PK00PK\3\4"), "zip", look_at_zip },
    { STR_INIT("Rar!\x1a\7\0"), "rar", look_at_rar4 },
    { STR_INIT("Rar!\x1a\7\1\0"), "rar", look_at_rar5 },
};

static void tell_kind(struct mime *m, const char *name)
{
    m->record_is_worth = true;
    mime_tell(m, "content=", str_of(name));
}

void mime_window_close(struct mime *m)
{
    struct str w = str_from(m->window, m->window_n);

    if (!m->window_is_open)
        return;
    m->window_is_open = false;
    if (is_pe(w)) {
        tell_kind(m, "pe");
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!has(w, 0, kinds[i].front))
            continue;
        tell_kind(m, kinds[i].name);
        if (kinds[i].look != NULL)
            kinds[i].look(m, w);
        return;
    }
}
