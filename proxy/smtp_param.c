/* MAIL and RCPT parameters, a row each, and their printers. */
#include "smtp_param.h"

#include <assert.h>

#include "../policy/utf8.h"

enum {
    SIZE_DIGITS_MAX = 20, /* RFC 1870 4 */
    ENVID_MAX = 100,      /* RFC 3461 5.4 */
    ORCPT_MAX = 500,      /* RFC 3461 5.4 */
    AUTH_MAX = 500        /* RFC 4954 3: what the parameter may add to the command */
};

static bool is_between(char c, char low, char high)
{
    return c >= low && c <= high;
}

static bool is_alnum(char c)
{
    return is_between(c, '0', '9') || is_between(ascii_lower(c), 'a', 'z');
}

/* ---- xtext ---- */

/* The value of an upper-case hexadecimal digit (RFC 3461 4 knows no other), -1 for anything else. */
static int hex_value(char c)
{
    if (is_between(c, '0', '9'))
        return c - '0';
    return is_between(c, 'A', 'F') ? c - 'A' + 10 : -1;
}

static bool is_xchar(char c)
{
    return is_between(c, '!', '~') && c != '+' && c != '=';
}

/* True for "+XX" at the front of `s`, when it stands for a printable octet: the decoded value ends up in
 * delivery reports, and "+0D+0A" would start a field there (RFC 3461 4.2, 4.4).
 */
static bool is_hexchar(struct str s)
{
    int high, low;

    if (s.n < 3 || s.p[0] != '+')
        return false;
    high = hex_value(s.p[1]);
    low = hex_value(s.p[2]);
    return high >= 2 && high <= 7 && low >= 0 && (high < 7 || low < 15);
}

bool xtext_is_valid(struct str s)
{
    while (s.n > 0) {
        if (is_xchar(s.p[0]))
            s = str_skip(s, 1);
        else if (is_hexchar(s))
            s = str_skip(s, 3);
        else
            return false;
    }
    return true;
}

size_t xtext_print(struct str in, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        size_t need = is_xchar(in.p[i]) ? 1 : 3;

        if (size - n < need)
            return 0;
        if (need == 1) {
            out[n] = in.p[i];
        } else {
            out[n] = '+';
            out[n + 1] = digits[c >> 4];
            out[n + 2] = digits[c & 15];
        }
        n += need;
    }
    return n;
}

/* ---- base64 ---- */

bool base64_is_valid(struct str s)
{
    size_t padding = 0;

    if (s.n == 0 || s.n % 4 != 0)
        return false;
    while (padding < 2 && s.p[s.n - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < s.n - padding; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '+' && s.p[i] != '/')
            return false;
    return true;
}

/* ---- values ---- */

struct word_value {
    struct str word;
    unsigned value;
};

/* Finds `s` among `n` words, in any case of letters. */
static bool find_word(struct str s, const struct word_value *words, size_t n, unsigned *value)
{
    for (size_t i = 0; i < n; i++) {
        if (str_ieq(s, words[i].word)) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

/* RFC 1870 4: 1*20DIGIT. Above 2^63 - 1 no arithmetic on sizes could be trusted, and no mail server could
 * either.
 */
static bool parse_size(struct str value, bool smtputf8, struct command *out)
{
    unsigned long long size;

    (void)smtputf8;
    if (value.n > SIZE_DIGITS_MAX || !str_to_u64(value, INT64_MAX, &size))
        return false;
    out->mail.size = size;
    return true;
}

static const struct word_value body_words[] = {
    { STR_INIT("7BIT"), BODY_7BIT },             /* RFC 6152 3 */
    { STR_INIT("8BITMIME"), BODY_8BITMIME },     /* RFC 6152 3 */
    { STR_INIT("BINARYMIME"), BODY_BINARYMIME }, /* RFC 3030 3 */
};

static bool parse_body(struct str value, bool smtputf8, struct command *out)
{
    unsigned body;

    (void)smtputf8;
    if (!find_word(value, body_words, sizeof body_words / sizeof *body_words, &body))
        return false;
    out->mail.body = (enum body_type)body;
    return true;
}

/* RFC 3461 4.3 */
static const struct word_value ret_words[] = {
    { STR_INIT("FULL"), RET_FULL },
    { STR_INIT("HDRS"), RET_HDRS },
};

static bool parse_ret(struct str value, bool smtputf8, struct command *out)
{
    unsigned ret;

    (void)smtputf8;
    if (!find_word(value, ret_words, sizeof ret_words / sizeof *ret_words, &ret))
        return false;
    out->mail.ret = (enum dsn_ret)ret;
    return true;
}

static bool parse_envid(struct str value, bool smtputf8, struct command *out)
{
    (void)smtputf8;
    out->mail.envid = value;
    return value.n <= ENVID_MAX && xtext_is_valid(value);
}

/* RFC 4954 5: an xtext mailbox or "<>", both of which are xtext. */
static bool parse_auth(struct str value, bool smtputf8, struct command *out)
{
    (void)smtputf8;
    out->mail.auth = value;
    return value.n <= AUTH_MAX && xtext_is_valid(value);
}

/* RFC 3461 4.1, in the order they are printed in */
static const struct word_value notify_words[] = {
    { STR_INIT("NEVER"), NOTIFY_NEVER },
    { STR_INIT("SUCCESS"), NOTIFY_SUCCESS },
    { STR_INIT("FAILURE"), NOTIFY_FAILURE },
    { STR_INIT("DELAY"), NOTIFY_DELAY },
};
enum { NOTIFY_WORDS = sizeof notify_words / sizeof *notify_words };

/* RFC 3461 4.1: NEVER stands alone. A word said twice means what it means once. */
static bool parse_notify(struct str value, bool smtputf8, struct command *out)
{
    unsigned notify = 0;
    size_t at = 0;

    (void)smtputf8;
    while (at <= value.n) { /* "a," ends in an empty word, which no row has */
        struct str rest = str_skip(value, at);
        size_t n = str_find(rest, ',');
        unsigned bit;

        if (!find_word(str_from(rest.p, n), notify_words, NOTIFY_WORDS, &bit))
            return false;
        notify |= bit;
        at += n + 1;
    }
    out->rcpt.notify = notify;
    return notify == NOTIFY_NEVER || (notify & NOTIFY_NEVER) == 0;
}

/* A character of UTF-8 that may stand in a report's field: no C1 control, no U+2028 or U+2029. */
static bool is_printable_wide(uint32_t code_point)
{
    return code_point >= 0xa0 && code_point != 0x2028 && code_point != 0x2029;
}

/* RFC 6533 3: the address type "utf-8" may hold UTF-8 as it is once SMTPUTF8 is in force, and "\x{2B}" for
 * what xtext would write as "+2B". Both pass as they came; of ASCII it holds what xtext holds.
 */
static bool utf8_address_is_valid(struct str s, bool smtputf8)
{
    while (s.n > 0) {
        uint32_t code_point;
        size_t n = utf8_decode(s, &code_point);

        if (n > 1 && (!smtputf8 || !is_printable_wide(code_point)))
            return false;
        if (n == 1 && !is_xchar(s.p[0]))
            n = is_hexchar(s) ? 3 : 0;
        if (n == 0)
            return false;
        s = str_skip(s, n);
    }
    return true;
}

/* RFC 5322 3.2.3, without the "=" that no esmtp-value can hold (RFC 5321 4.1.2) */
static bool atom_is_valid(struct str s)
{
    static const struct str marks = STR_INIT("!#$%&'*+-/?^_`{|}~");

    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && str_find(marks, s.p[i]) == marks.n)
            return false;
    return s.n > 0;
}

/* RFC 3461 4.2: addr-type ";" xtext, addr-type = atom */
static bool parse_orcpt(struct str value, bool smtputf8, struct command *out)
{
    size_t n = str_find(value, ';');
    struct str type = str_from(value.p, n), address;

    if (value.n > ORCPT_MAX || n + 1 >= value.n || !atom_is_valid(type))
        return false;
    address = str_skip(value, n + 1);
    out->rcpt.orcpt = value;
    return str_ieq(type, STR("utf-8")) ? utf8_address_is_valid(address, smtputf8) : xtext_is_valid(address);
}

/* ---- the table ---- */

/* A row's `flag` is one of enum mail_has or rcpt_has; `parse` is NULL for a keyword without a value. */
struct param {
    struct str keyword;
    enum verb verb;
    unsigned flag;
    bool (*parse)(struct str value, bool smtputf8, struct command *out);
};

static const struct param params[] = {
    { STR_INIT("SIZE"), VERB_MAIL, HAS_SIZE, parse_size },       /* RFC 1870 */
    { STR_INIT("BODY"), VERB_MAIL, HAS_BODY, parse_body },       /* RFC 6152, RFC 3030 */
    { STR_INIT("SMTPUTF8"), VERB_MAIL, HAS_SMTPUTF8, NULL },     /* RFC 6531 3.4: "MUST not accept a value" */
    { STR_INIT("RET"), VERB_MAIL, HAS_RET, parse_ret },          /* RFC 3461 4.3 */
    { STR_INIT("ENVID"), VERB_MAIL, HAS_ENVID, parse_envid },    /* RFC 3461 4.4 */
    { STR_INIT("AUTH"), VERB_MAIL, HAS_AUTH, parse_auth },       /* RFC 4954 5 */
    { STR_INIT("NOTIFY"), VERB_RCPT, HAS_NOTIFY, parse_notify }, /* RFC 3461 4.1 */
    { STR_INIT("ORCPT"), VERB_RCPT, HAS_ORCPT, parse_orcpt },    /* RFC 3461 4.2 */
};

static const struct param *find_param(enum verb verb, struct str keyword)
{
    for (size_t i = 0; i < sizeof params / sizeof *params; i++)
        if (params[i].verb == verb && str_ieq(keyword, params[i].keyword))
            return &params[i];
    return NULL;
}

/* RFC 5321 4.1.2: esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-") */
static bool keyword_is_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && (s.p[i] != '-' || i == 0))
            return false;
    return s.n > 0;
}

/* One "KEYWORD" or "KEYWORD=value"; "KEYWORD=" is a value of no octets, which no parameter takes. */
static enum command_error parse_param(struct str word, bool smtputf8, struct command *out)
{
    unsigned *has = out->verb == VERB_MAIL ? &out->mail.has : &out->rcpt.has;
    size_t n = str_find(word, '=');
    struct str keyword = str_from(word.p, n);
    const struct param *param;

    if (!keyword_is_valid(keyword))
        return COMMAND_SYNTAX;
    param = find_param(out->verb, keyword);
    if (param == NULL)
        return COMMAND_UNKNOWN_PARAMETER;
    if (*has & param->flag)
        return COMMAND_BAD_PARAMETER;
    *has |= param->flag;
    if (param->parse == NULL)
        return n == word.n ? COMMAND_OK : COMMAND_BAD_PARAMETER;
    if (n + 1 >= word.n || !param->parse(str_skip(word, n + 1), smtputf8, out))
        return COMMAND_BAD_PARAMETER;
    return COMMAND_OK;
}

/* Several blanks between parameters are tolerated: they have one reading, and are not passed on. */
enum command_error params_parse(struct str rest, bool smtputf8, struct command *out)
{
    if (rest.n > 0 && rest.p[0] != ' ')
        return COMMAND_SYNTAX;
    while (rest.n > 0) {
        size_t n = str_find(rest, ' ');
        enum command_error e = n > 0 ? parse_param(str_from(rest.p, n), smtputf8, out) : COMMAND_OK;

        if (e != COMMAND_OK)
            return e;
        rest = str_skip(rest, n < rest.n ? n + 1 : n);
    }
    return COMMAND_OK;
}

/* ---- printing ---- */

/* A command being written: `n` counts what would have been written, so that "too long" is judged once, at the
 * end.
 */
struct printer {
    char *out;
    size_t size;
    size_t n;
};

static void put(struct printer *to, struct str s)
{
    if (s.n > 0 && to->n < to->size && s.n <= to->size - to->n)
        memcpy(to->out + to->n, s.p, s.n);
    to->n += s.n;
}

static void put_number(struct printer *to, uint64_t value)
{
    char digits[SIZE_DIGITS_MAX];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    put(to, str_from(digits + at, sizeof digits - at));
}

static void put_word(struct printer *to, const struct word_value *words, size_t n, unsigned value)
{
    for (size_t i = 0; i < n; i++)
        if (words[i].value == value)
            put(to, words[i].word);
}

static void put_notify(struct printer *to, unsigned notify)
{
    const char *comma = "";

    put(to, STR(" NOTIFY="));
    for (size_t i = 0; i < NOTIFY_WORDS; i++) {
        if (notify & notify_words[i].value) {
            put(to, str_of(comma));
            put(to, notify_words[i].word);
            comma = ",";
        }
    }
}

static size_t end_command(struct printer *to)
{
    put(to, STR("\r\n"));
    return to->n <= to->size ? to->n : 0;
}

static void put_mail_params(struct printer *to, const struct mail_command *mail, unsigned has)
{
    if (has & HAS_SIZE) {
        put(to, STR(" SIZE="));
        put_number(to, mail->size);
    }
    if (has & HAS_BODY) {
        put(to, STR(" BODY="));
        put_word(to, body_words, sizeof body_words / sizeof *body_words, mail->body);
    }
    if (has & HAS_SMTPUTF8)
        put(to, STR(" SMTPUTF8"));
    if (has & HAS_RET) {
        put(to, STR(" RET="));
        put_word(to, ret_words, sizeof ret_words / sizeof *ret_words, mail->ret);
    }
    if (has & HAS_ENVID) {
        put(to, STR(" ENVID="));
        put(to, mail->envid);
    }
    if (has & HAS_AUTH) {
        put(to, STR(" AUTH="));
        put(to, mail->auth);
    }
}

size_t command_print_mail(const struct mail_command *mail, unsigned use, char *out, size_t size)
{
    struct printer to = { out, size, 0 };
    unsigned has = mail->has & use;

    if (mail->path.is_utf8 && (has & HAS_SMTPUTF8) == 0)
        return 0; /* RFC 6531 3.5; P-5 */
    put(&to, STR("MAIL FROM:<"));
    put(&to, mail->path.text);
    put(&to, STR(">"));
    put_mail_params(&to, mail, has);
    return end_command(&to);
}

size_t command_print_rcpt(const struct rcpt_command *rcpt, unsigned use, char *out, size_t size)
{
    struct printer to = { out, size, 0 };
    unsigned has = rcpt->has & use;

    assert(!rcpt->path.is_null);
    put(&to, STR("RCPT TO:<"));
    put(&to, rcpt->path.text);
    put(&to, STR(">"));
    if (has & HAS_NOTIFY)
        put_notify(&to, rcpt->notify);
    if (has & HAS_ORCPT) {
        put(&to, STR(" ORCPT="));
        put(&to, rcpt->orcpt);
    }
    return end_command(&to);
}
