/* Attachments: by what they call themselves, by what they say they are, and by their first octets (mime.h). Judged at the end
 * of the message, which is withheld until then even when the rest was streamed. Only names that programs run by when somebody
 * opens them are refused as they come; nothing is unpacked.
 */
#include "mime.h"
#include "rule.h"
#include "utf8.h"

/* What can be held against a part, in the order in which it is said. */
enum kind { LISTED, CONTENT, ARCHIVED, OVER, DOUBLE, ENCRYPTED, MALFORMED, KINDS };

struct found {
    bool is_set;
    struct str path, name;
    const char *what;
    struct str detail; /* "exe" */
};

/* The value at hand. */
struct part {
    struct str path, name;
    struct found found[KINDS];
};

/* ---- extensions ---- */

enum { EXTENSION_MAX = 32, NAME_CUTS_MAX = 8, NAME_MAX = 512 };

static bool is_blank(uint32_t code)
{
    return code == 0xA0 || code == 0x3000 || (code >= 0x2000 && code <= 0x200A);
}

/* A character of a name as it counts: 0 for one that nobody sees, a blank for all blanks. Returns its length. */
static size_t take_character(struct str s, char *c)
{
    uint32_t code;
    size_t n = utf8_decode(s, &code);

    *c = s.p[0];
    if (n == 0) /* of another character set */
        return 1;
    if (code < ' ' || code == 0x7F || (n > 1 && utf8_is_hidden(code)))
        *c = '\0';
    else if (is_blank(code))
        *c = ' ';
    else
        return 1;
    return n;
}

/* Without what is not seen, and without the dots and blanks that Windows leaves off the end. */
static struct str clean(struct str name, char *out)
{
    size_t n = 0;
    char c;

    if (name.n > NAME_MAX)
        name = str_skip(name, name.n - NAME_MAX);
    while (name.n > 0) {
        name = str_skip(name, take_character(name, &c));
        if (c != '\0')
            out[n++] = c;
    }
    while (n > 0 && (out[n - 1] == '.' || out[n - 1] == ' ' || out[n - 1] == '"' || out[n - 1] == '\''))
        n--;
    return str_from(out, n);
}

/* Cuts the last extension off `*name`, blanks left out; empty when there is none. */
static struct str take_extension(struct str *name, char *out)
{
    size_t at = name->n, n = 0;

    while (at > 0 && name->p[at - 1] != '.')
        at--;
    if (at == 0)
        return STR("");
    for (size_t i = at; i < name->n; i++) {
        if (n == EXTENSION_MAX)
            return STR("");
        if (name->p[i] != ' ')
            out[n++] = ascii_lower(name->p[i]);
    }
    name->n = at - 1;
    return str_from(out, n);
}

static const struct str *find_word(const struct str_list *list, struct str word)
{
    for (size_t i = 0; i < list->n; i++) {
        struct str item = list->item[i];

        if (item.n > 0 && item.p[0] == '.')
            item = str_skip(item, 1);
        if (word.n > 0 && str_ieq(item, word))
            return &list->item[i];
    }
    return NULL;
}

/* The listed extension that `name` ends in, or stands before its last one. */
static const struct str *listed_extension(const struct str_list *list, struct str name, bool *is_last)
{
    char room[NAME_MAX], first[EXTENSION_MAX], second[EXTENSION_MAX];
    struct str rest = clean(name, room), last = take_extension(&rest, first), before;
    const struct str *listed = find_word(list, last);

    *is_last = listed != NULL;
    if (listed != NULL || last.n == 0)
        return listed;
    before = take_extension(&rest, second);
    return str_eq(before, STR("com")) ? NULL : find_word(list, before); /* "www.example.com.pdf" */
}

/* Length of the name as somebody reads it who stops at a NUL, or at the ":" of a stream of NTFS, `n` being the cut before. */
static size_t next_cut(struct str name, size_t n)
{
    for (n++; n < name.n && name.p[n] != '\0' && (name.p[n] != ':' || n < 2); n++)
        ;
    return n;
}

/* ---- what a part has ---- */

static void find(struct part *part, enum kind kind, const char *what, struct str detail, struct str name)
{
    if (!part->found[kind].is_set)
        part->found[kind] = (struct found){ .is_set = true, .name = name, .what = what, .detail = detail };
}

static void look_at_name(const struct attachment_policy *a, struct part *part, struct str name, bool is_member)
{
    size_t n = 0;

    for (int i = 0; i < NAME_CUTS_MAX && n < name.n; i++) {
        const struct str *listed;
        bool is_last;

        n = i + 1 < NAME_CUTS_MAX ? next_cut(name, n) : name.n;
        listed = listed_extension(&a->extensions, str_from(name.p, n), &is_last);
        if (listed == NULL)
            continue;
        if (is_member && is_last)
            find(part, ARCHIVED, "an archive holds a listed extension", *listed, name);
        else if (!is_member)
            find(part, is_last ? LISTED : DOUBLE, is_last ? "extension" : "extension before the last one", *listed,
                 name);
    }
    if (!is_member && part->name.n == 0)
        part->name = name;
}

/* "*" stands for any characters. */
static bool fits(struct str pattern, struct str text)
{
    size_t p = 0, t = 0, star = pattern.n, mark = 0;

    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.n && ascii_lower(pattern.p[p]) == ascii_lower(text.p[t])) {
            p++;
            t++;
        } else if (star < pattern.n) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static void look_at_type(const struct attachment_policy *a, struct part *part, struct str type)
{
    for (size_t i = 0; i < a->types.n; i++)
        if (fits(a->types.item[i], type))
            find(part, LISTED, "type", type, STR(""));
}

static void look_at_content(struct part *part, struct str content)
{
    static const char *const programs[] = { "pe", "elf", "macho", "lnk", "chm" };

    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (str_eq(content, str_of(programs[i])))
            find(part, CONTENT, "content", content, STR(""));
}

static void look_at_word(const struct attachment_policy *a, struct part *part, const struct mime_word *word)
{
    if (str_eq(word->key, STR("name")))
        look_at_name(a, part, word->value, false);
    else if (str_eq(word->key, STR("member")))
        look_at_name(a, part, word->value, true);
    else if (str_eq(word->key, STR("type")))
        look_at_type(a, part, word->value);
    else if (str_eq(word->key, STR("content")))
        look_at_content(part, word->value);
    else if (str_eq(word->key, STR("over")))
        find(part, OVER, "over the limit of", word->value, STR(""));
    else if (str_eq(word->key, STR("odd")))
        find(part, MALFORMED, "malformed", word->value, STR(""));
    else if (word->key.n == 0 && str_eq(word->value, STR("encrypted")))
        find(part, ENCRYPTED, "encrypted", STR("archive"), STR(""));
}

/* The first part that has something of a kind stands for all. False without memory. */
static bool look_at_part(struct pass *pass, struct str value, struct found first[KINDS])
{
    struct part part = { .path = STR_INIT("") };
    struct mime_word word;
    char *room = arena_take(pass->arena, value.n + 1);

    if (room == NULL)
        return false;
    while (mime_word_next(&value, &word, room)) {
        room += word.value.n;
        if (part.path.n == 0)
            part.path = word.value;
        else
            look_at_word(&pass->policy->attachment, &part, &word);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        if (first[kind].is_set || !part.found[kind].is_set)
            continue;
        first[kind] = part.found[kind];
        first[kind].path = part.path;
        if (first[kind].name.n == 0)
            first[kind].name = part.name;
    }
    return true;
}

/* ---- what is said ---- */

enum { SHOWN_MAX = 60 };

/* Printable, and short: the end of a long name is what counts. */
static struct str show(struct pass *pass, struct str name)
{
    struct str front = str_from(name.p, name.n > SHOWN_MAX ? SHOWN_MAX / 2 : name.n);
    struct str back = name.n > SHOWN_MAX ? str_skip(name, name.n - SHOWN_MAX / 2) : str_from(name.p, 0);
    char *text = arena_take(pass->arena, SHOWN_MAX + 2);
    size_t n = 0;

    if (text == NULL)
        return STR("?");
    for (size_t i = 0; i < front.n + back.n; i++) {
        char c = i < front.n ? front.p[i] : back.p[i - front.n];

        if (i == front.n) {
            text[n++] = '.';
            text[n++] = '.';
        }
        text[n++] = c == '"' ? '\'' : c >= ' ' && c <= '~' ? c : '?';
    }
    return str_from(text, n);
}

/* "2.1 "invoice.pdf.exe"", what there is of it. */
static struct str which(struct pass *pass, const struct found *f)
{
    bool has_path = !str_eq(f->path, STR("-"));

    if (f->name.n > 0)
        return arena_printf(pass->arena, "%.*s \"%.*s\"", STR_ARG(f->path), STR_ARG(show(pass, f->name)));
    return has_path ? show(pass, f->path) : STR("");
}

static bool object(struct pass *pass, enum kind kind, const struct found *f, int mode)
{
    struct rule rule = { mode, pass->policy->attachment.rule.weight };
    struct str part = which(pass, f);
    struct objection o = { .code = 550, .enhanced = "5.7.1" };

    o.reason = arena_printf(pass->arena, "%.*s%s%s %.*s", STR_ARG(part), part.n > 0 ? ": " : "", f->what,
                            STR_ARG(show(pass, f->detail)));
    if (kind == OVER || kind == MALFORMED)
        o.text = STR("Message has a MIME structure that is not accepted here");
    else
        o.text = arena_printf(pass->arena, "Attachment %.*s is not accepted here", STR_ARG(part));
    return pass_object(pass, &check_attachment, &rule, &o);
}

/* Some check filled the room for facts, or there was no memory. */
static void object_to_unknown(struct pass *pass)
{
    const struct objection o = { .code = 451,
                                 .enhanced = "4.3.0",
                                 .text = STR("Attachments could not be looked at, try again"),
                                 .reason = STR("attachments are not known") };

    pass_object(pass, &check_attachment, &pass->policy->attachment.rule, &o);
}

static void run(struct pass *pass)
{
    const struct attachment_policy *a = &pass->policy->attachment;
    const int modes[KINDS] = {
        [LISTED] = a->rule.mode,    [CONTENT] = a->content,     [ARCHIVED] = a->archived,  [OVER] = a->limits,
        [DOUBLE] = a->double_names, [ENCRYPTED] = a->encrypted, [MALFORMED] = a->malformed
    };
    struct found first[KINDS] = { { .is_set = false } };
    const struct fact *fact;
    bool is_known;

    if (a->rule.mode == RULE_OFF || policy_is_exempt(pass->policy, pass->envelope))
        return;
    fact = pass_ask(pass, ASK_PARTS, MIME_PARTS_KEY);
    if (fact == NULL)
        return;
    is_known = fact->state == FACT_OK || fact->state == FACT_NODATA;
    for (size_t i = 0; i < fact->n && is_known; i++)
        is_known = look_at_part(pass, fact->value[i], first);
    if (!is_known)
        object_to_unknown(pass);
    for (enum kind kind = 0; kind < KINDS && is_known; kind++)
        if (first[kind].is_set && object(pass, kind, &first[kind], modes[kind]))
            return;
}

#define AT(field) offsetof(struct policy, attachment.field)

/* NOLINTBEGIN(bugprone-macro-parentheses): a designator takes no parentheses */
/* clang-format off */
#define MODE(key_, field, preset_, help_) \
    { .section = "attachment", .key = key_, .type = OPTION_CHOICE, .offset = AT(field), .preset = preset_, \
      .choices = rule_modes, .help = help_ }
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct option options[] = {
    RULE_ROWS("attachment", AT(rule), "reject", "3"),
    { .section = "attachment", .key = "extensions", .type = OPTION_WORDS, .offset = AT(extensions), .max = 256,
      .preset = "ade adp apk appinstaller application appref-ms appx bat chm cmd com cpl diagcab dll exe gadget hlp hta "
                "img inf ins iso isp jar jnlp js jse library-ms lnk mde msc msh msi msix msp mst msu pif ps1 ps1xml "
                "ps2 psc1 psm1 reg scf scr sct search-ms settingcontent-ms shb shs sys udf url vb vbe vbs vhd vhdx vxd wim ws "
                "wsc wsf wsh xbap xll xnk",
      .help = "What a name must not end in: by default what Windows runs or mounts when it is opened. Dots and blanks behind "
              "it, characters that nobody sees, and what follows a NUL or a colon are left out." },
    { .section = "attachment", .key = "types", .type = OPTION_WORDS, .offset = AT(types), .max = 64,
      .preset = "application/hta application/vnd.microsoft.portable-executable application/x-dosexec application/x-msdos-program "
                "application/x-msdownload application/x-ms-shortcut message/partial",
      .help = "Content types that are not accepted; * stands for any characters. A message/partial is put together from "
              "several messages, so that no gateway sees all of it (RFC 2046 5.2.2)." },
    MODE("content", content, "reject", "A part that is a program whatever it calls itself: Windows (MZ), ELF, Mach-O, a shortcut, "
         "or compiled help, by its first octets."),
    MODE("archived", archived, "score", "A ZIP archive with one of the extensions among the names in its first 4 KB. It is never "
         "unpacked."),
    MODE("encrypted", encrypted, "score", "An encrypted ZIP or RAR archive, as far as its first 4 KB say so: nobody on the way can "
         "look into it."),
    MODE("double_extensions", double_names, "score", "A name with one of the extensions (not com) before its last one: "
         "invoice.exe.zip."),
    MODE("limits", limits, "reject", "A message with more levels or parts than allowed, with header fields of parts over 12 KB, "
         "or with more names than fit into 7 KB."),
    MODE("malformed", malformed, "score", "A message that mail programs read differently: lines in part headers that are no "
         "fields, doubtful boundaries and encodings, quotes without end, names with NULs or direction marks."),
    { .section = "attachment", .key = "depth", .type = OPTION_NUMBER, .offset = AT(depth), .preset = "100", .min = 1,
      .max = MIME_DEPTH_MAX, .unit = "levels", .help = "Multiparts and messages within each other." },
    { .section = "attachment", .key = "parts", .type = OPTION_NUMBER, .offset = AT(parts), .preset = "1000", .min = 1,
      .max = 100000, .unit = "parts", .help = "Parts of a message, of all levels together." },
};
/* clang-format on */

const struct check check_attachment = {
    .name = "attachment",
    .stages = 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help =
        "What messages must not bring along. All parts are looked at while the message goes by, at what they are "
        "called and "
        "at their first octets; nothing is unpacked or changed. mode is for listed extensions and types; off switches "
        "all of it off.",
    .rule = offsetof(struct policy, attachment.rule),
};
