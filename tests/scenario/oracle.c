#include "oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void oracle_object(struct oracle *o, const char *format, ...)
{
    va_list args;

    if (o->broken[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(o->broken, sizeof o->broken, format, args);
    va_end(args);
}

const char *oracle_broken(const struct oracle *o)
{
    return o->broken[0] == '\0' ? NULL : o->broken;
}

static void reset_transaction(struct oracle *o)
{
    o->mail_is_open = o->end_seen = o->s_odd = false;
    o->ends_sent = 0;
    o->end_reply = 0;
    paths_clear(&o->rcpt);
    bytes_clear(&o->n.body);
}

/* ---- north ---- */

static void north_line(void *owner, enum awaited_kind kind, struct str line)
{
    (void)owner;
    (void)kind;
    (void)line;
}

static void north_end_of_data(void *owner)
{
    struct oracle *o = owner;

    o->end_seen = true;
}

/* F-7: printable ASCII, 512 octets, 100 lines, one code: the last two are the conversation's. */
static void north_reply_line(void *owner, struct str line)
{
    struct oracle *o = owner;

    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] < ' ' || line.p[i] > '~')
            oracle_object(o, "F-7: octet %02x in a reply north", (unsigned char)line.p[i]);
}

/* what may be answered to the end of data. */
static void judge_end(struct oracle *o, int code)
{
    int south = o->end_reply / 100, north = code / 100;
    bool is_answer = south == 2 || south == 4 || south == 5;
    bool excused = o->s_mad || o->s_odd || o->rules->memory_fails || o->rules->north_stalls;

    if (north == 2 && ++o->accepted > o->s_accepted)
        oracle_object(o, "A-9: %u messages accepted north, %u south", o->accepted, o->s_accepted);
    if (o->rules->north_stalls)
        reset_transaction(o); /* what was said when cannot be told any more */
    else if (north == 2 && (south != 2 || o->ends_sent != 1))
        oracle_object(o, "A-1: %d north, but the back end's answer to the end of data is %d", code, o->end_reply);
    else if (north == 2 && !o->end_seen)
        oracle_object(o, "A-1: 250 to an end of data that has not come");
    else if (is_answer && north != south && !excused)
        oracle_object(o, "A-3: the back end said %d, the client heard %d", o->end_reply, code);
    else if (!is_answer && o->ends_sent > 0 && north != 4)
        oracle_object(o, "A-3: the outcome is unknown, the client heard %d", code);
    reset_transaction(o);
}

/* P-13: what needs an open transaction, or recipients. */
static void need_transaction(struct oracle *o, const char *what, bool with_recipients)
{
    if (!o->mail_is_open)
        oracle_object(o, "P-13: %s was accepted without MAIL", what);
    else if (with_recipients && o->rcpt.n == 0)
        oracle_object(o, "A-7: %s was accepted without a recipient", what);
}

static void north_mail(struct oracle *o, const char *path)
{
    if (o->mail_is_open)
        oracle_object(o, "P-13: MAIL was accepted within a transaction");
    o->mail_is_open = true;
    o->mails++;
    free(o->mail_path);
    o->mail_path = must_copy(str_of(path));
}

static void north_accepted(struct oracle *o, const struct awaited *to)
{
    switch (to->kind) {
    case AWAIT_MAIL: north_mail(o, to->path); break;
    case AWAIT_RCPT:
        need_transaction(o, "RCPT", false);
        paths_add(&o->rcpt, to->path);
        break;
    case AWAIT_BDAT: need_transaction(o, "BDAT", true); break;
    case AWAIT_HELO:
    case AWAIT_RSET: reset_transaction(o); break;
    default: break;
    }
}

/* Codes that mean something must mean it in their place. */
static void judge_place(struct oracle *o, enum awaited_kind kind, int code)
{
    bool ok = true;

    if (code == 354)
        ok = kind == AWAIT_DATA;
    else if (code == 334 || code == 235)
        ok = kind == AWAIT_AUTH || kind == AWAIT_AUTH_LINE;
    else if (code == 220)
        ok = kind == AWAIT_GREETING || kind == AWAIT_STARTTLS;
    else if (code / 100 == 2)
        ok = kind != AWAIT_DATA && kind != AWAIT_GREETING && kind != AWAIT_STARTTLS && kind != AWAIT_AUTH;
    if (!ok)
        oracle_object(o, "P-12: %d does not answer what was asked", code);
}

/* A word that nobody asked for is the last one: a timeout, a shutdown, another protocol. */
static void north_last_word(struct oracle *o, int code)
{
    if (code / 100 < 4)
        oracle_object(o, "P-12: %d, and nothing was asked", code);
    o->n_parted = true;
}

static void north_reply(void *owner, const struct awaited *to, int code)
{
    struct oracle *o = owner;

    if (o->n_parted && (code != 421 || o->n_last == 421))
        oracle_object(o, "P-12: %d behind the last word", code);
    o->n_last = code;
    if (to == NULL) {
        north_last_word(o, code);
        return;
    }
    judge_place(o, to->kind, code);
    o->n_parted = code == 421;
    if (to->kind == AWAIT_END || to->kind == AWAIT_BDAT_LAST)
        judge_end(o, code);
    else if (to->kind == AWAIT_DATA && code == 354)
        need_transaction(o, "DATA", true);
    else if (to->kind == AWAIT_BDAT && code / 100 != 2)
        reset_transaction(o);
    else if (to->kind == AWAIT_DATA && code / 100 != 3 && code != 500 && code != 501 && code != 503)
        reset_transaction(o); /* the transaction failed; it was not DATA that was out of place */
    else if (to->kind == AWAIT_STARTTLS && code == 220)
        reset_transaction(o);
    else if (code == 235)
        o->rules->may_relay = true;
    else if (code / 100 == 2)
        north_accepted(o, to);
}

static void north_broken(void *owner, const char *why)
{
    oracle_object(owner, "F-7: %s (north)", why);
}

static const struct heard north_heard = { north_line, north_end_of_data, north_reply_line, north_reply, north_broken };

void oracle_north_open(struct oracle *o)
{
    conversation_begin(&o->n, &north_heard, o, true);
    o->n_gone = o->n_parted = false;
    o->n_last = 0;
    reset_transaction(o);
}

void oracle_north_in(struct oracle *o, struct str in)
{
    conversation_commands(&o->n, in);
}

void oracle_north_out(struct oracle *o, struct str out)
{
    conversation_replies(&o->n, out);
}

/* Nothing of the plain phase remains; whoever spoke before the handshake must greet again (T-3). With
 * implicit TLS the greeting is still to come.
 */
void oracle_north_tls(struct oracle *o)
{
    conversation_secured(&o->n);
}

void oracle_north_gone(struct oracle *o)
{
    o->n_gone = true;
}

void oracle_north_end(struct oracle *o)
{
    bool excused = o->n_gone || o->n_parted || o->rules->memory_fails || o->rules->north_stalls;

    if (bytes_all(&o->n.replies).n > 0 && !excused)
        oracle_object(o, "F-7: the last reply north has no end");
    /* A refusal may close; what stands behind it in the same segment hears nothing then. */
    if (conversation_awaits(&o->n) != NULL && o->n_last < 400 && !excused)
        oracle_object(o, "P-12: closed without an answer to what was asked");
}

/* ---- south ---- */

static bool is_quarantined(const struct oracle *o)
{
    return o->rules->quarantine[0] != '\0' && o->s_rcpt.n == 1 && strcmp(o->s_rcpt.item[0], o->rules->quarantine) == 0;
}

/* may this end of data stand? */
static void judge_south_end(struct oracle *o)
{
    o->ends_sent++;
    if (o->rules->north_stalls)
        return;
    if (!o->end_seen)
        oracle_object(o, "A-5/A-6: end of data south without one north");
    if (o->ends_sent > 1)
        oracle_object(o, "A-10: a second end of data south for one message");
    if (is_quarantined(o))
        return;
    if (o->s_rcpt.n != o->rcpt.n)
        oracle_object(o, "A-7: %zu recipients accepted north, %zu south", o->rcpt.n, o->s_rcpt.n);
    for (size_t i = 0; i < o->rcpt.n && i < o->s_rcpt.n; i++) {
        struct str path = str_of(o->rcpt.item[i]);
        bool plain = str_find(path, '"') == path.n && path.n > 0 && path.p[path.n - 1] != '.' && path.p[0] != '@';

        if (plain && strcmp(o->rcpt.item[i], o->s_rcpt.item[i]) != 0)
            oracle_object(o, "A-7: recipient %s north is %s south", o->rcpt.item[i], o->s_rcpt.item[i]);
    }
}

static void south_end_of_data(void *owner)
{
    struct oracle *o = owner;

    judge_south_end(o);
    oracle_judge_body(o);
    bytes_clear(&o->s.body);
    bytes_clear(&o->s.raw);
}

static void south_mail(struct oracle *o, const char *path)
{
    const char *north = o->mail_path == NULL ? "" : o->mail_path;
    size_t n = strlen(north);
    bool plain = strchr(north, '"') == NULL && north[0] != '@' && (n == 0 || north[n - 1] != '.');

    unsigned each = o->rules->quarantine[0] != '\0' ? 2 : 1; /* what goes to quarantine has two MAILs */

    if (++o->s_mails > each * o->mails && !o->rules->north_stalls)
        oracle_object(o, "P-6: MAIL south without one accepted north");
    if (plain && !o->rules->north_stalls && strcmp(north, path) != 0)
        oracle_object(o, "A-8: MAIL path <%s> north is <%s> south", north, path);
    o->s_mail_is_open = false;
    paths_clear(&o->s_rcpt);
    bytes_clear(&o->s.body);
}

static void south_line(void *owner, enum awaited_kind kind, struct str line)
{
    struct oracle *o = owner;
    const struct awaited *last = &o->s.awaited[o->s.n - 1];

    oracle_judge_command(o, kind, line);
    if (kind == AWAIT_MAIL)
        south_mail(o, last->path);
    else if (kind == AWAIT_RCPT)
        oracle_judge_recipient(o, str_of(last->path));
    if (kind != AWAIT_DATA && kind != AWAIT_BDAT && kind != AWAIT_BDAT_LAST)
        return;
    if (o->s_rcpt.n == 0 || conversation_awaits_any(&o->s, AWAIT_RCPT) || conversation_awaits_any(&o->s, AWAIT_MAIL))
        oracle_object(o, "A-7: DATA or BDAT south before a recipient was accepted");
}

static void south_reply_line(void *owner, struct str line)
{
    struct oracle *o = owner;
    const struct awaited *to = conversation_awaits(&o->s);
    size_t used = strlen(o->s_offers), word = 4;

    for (size_t i = 0; i < line.n; i++)
        if ((line.p[i] < ' ' || line.p[i] == 127) && line.p[i] != '\t')
            o->s_odd = true;
    if (to == NULL || to->kind != AWAIT_HELO || line.n < 4)
        return;
    while (word < line.n && line.p[word] != ' ')
        word++;
    if (used + word + 2 < sizeof o->s_offers)
        snprintf(o->s_offers + used, sizeof o->s_offers - used, " %.*s ", (int)(word - 4), line.p + 4);
}

static void south_reply(void *owner, const struct awaited *to, int code)
{
    struct oracle *o = owner;

    if (to == NULL) {
        o->s_mad = true;
        return;
    }
    if (to->kind == AWAIT_END || to->kind == AWAIT_BDAT_LAST) {
        o->end_reply = code;
        o->s_accepted += code / 100 == 2;
        paths_clear(&o->s_rcpt);
    } else if (to->kind == AWAIT_RCPT && code / 100 == 2) {
        paths_add(&o->s_rcpt, to->path);
    } else if (to->kind == AWAIT_RSET || to->kind == AWAIT_HELO) {
        paths_clear(&o->s_rcpt);
    } else if (to->kind == AWAIT_XCLIENT && code == 220) {
        o->s_offers[0] = '\0';
    }
}

static void south_broken(void *owner, const char *why)
{
    struct oracle *o = owner;

    (void)why;
    o->s_mad = true;
}

static const struct heard south_heard = { south_line, south_end_of_data, south_reply_line, south_reply, south_broken };

/* P-3, P-6: a connection needs a recipient or an AUTH that waits for its answer. Commands sent without waiting for the end
 * of an AUTH exchange stand unread here until its answer is on the wire: one of them may be such a recipient.
 */
void oracle_south_open(struct oracle *o)
{
    bool called_for = conversation_awaits_any(&o->n, AWAIT_RCPT) || conversation_awaits_any(&o->n, AWAIT_AUTH) ||
                      bytes_all(&o->n.commands).n > 0;

    oracle_south_end(o);
    if (!called_for && !o->rules->north_stalls)
        oracle_object(o, "P-3: a back-end connection, and no RCPT or AUTH waits for an answer");
    conversation_begin(&o->s, &south_heard, o, true);
    o->s_open = o->s_begins = true;
    o->s_mad = false;
    o->s_offers[0] = '\0';
    o->connections++;
}

void oracle_south_in(struct oracle *o, struct str in)
{
    if (o->s_open && !o->s_mad)
        conversation_replies(&o->s, in);
}

/* Length of the PROXY header at the front of `in`; 0: none. SIZE_MAX: more is needed to tell. */
static size_t proxy_header(struct str in)
{
    static const char v2[] = "\r\n\r\n\0\r\nQUIT\n";
    size_t end = str_search(in, STR("\r\n"));

    if (in.n >= 6 && memcmp(in.p, "PROXY ", 6) == 0)
        return end == in.n ? SIZE_MAX : end + 2;
    if (in.n == 0 || (memcmp(in.p, v2, in.n < 12 ? in.n : 12) != 0 && memcmp(in.p, "PROXY ", in.n < 6 ? in.n : 6) != 0))
        return 0;
    return in.n < 16 ? SIZE_MAX : 16 + (size_t)((unsigned char)in.p[14] << 8 | (unsigned char)in.p[15]);
}

void oracle_south_out(struct oracle *o, struct str out)
{
    size_t n;

    if (!o->s_begins) {
        conversation_commands(&o->s, out);
        return;
    }
    bytes_put(&o->s_preamble, out);
    n = proxy_header(bytes_all(&o->s_preamble));
    if (n == SIZE_MAX || n > bytes_all(&o->s_preamble).n)
        return;
    o->s_begins = false;
    conversation_commands(&o->s, str_skip(bytes_all(&o->s_preamble), n));
    bytes_clear(&o->s_preamble);
}

void oracle_south_tls(struct oracle *o)
{
    conversation_secured(&o->s);
    o->s_offers[0] = '\0';
}

void oracle_south_end(struct oracle *o)
{
    conversation_free(&o->s);
    paths_clear(&o->s_rcpt);
    bytes_clear(&o->s_preamble);
    o->s_open = o->s_begins = false;
}

/* ---- begin and end ---- */

void oracle_init(struct oracle *o, struct oracle_rules *rules)
{
    *o = (struct oracle){ .rules = rules };
}

void oracle_free(struct oracle *o)
{
    conversation_free(&o->n);
    conversation_free(&o->s);
    paths_clear(&o->rcpt);
    paths_clear(&o->s_rcpt);
    bytes_free(&o->s_preamble);
    free(o->mail_path);
}
