#include "sink_session.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtp_reply.h"

enum { LINE_OCTETS = 12288, PATH_OCTETS = 4096 };

/* ---- text ---- */

static bool text_add(struct text *t, struct str s)
{
    size_t size = t->size > 0 ? t->size : 1024;
    char *p;

    while (size < t->n + s.n)
        size *= 2;
    if (size > t->size) {
        p = realloc(t->p, size);
        if (p == NULL)
            return false;
        t->p = p;
        t->size = size;
    }
    if (s.n > 0)
        memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
    return true;
}

static void text_free(struct text *t)
{
    free(t->p);
    *t = (struct text){ 0 };
}

/* ---- replies ---- */

static void reply(struct guest *g, int code, const char *enhanced, const char *text)
{
    const struct reply r = { code, str_of(enhanced), str_of(text) };

    g->out_n += reply_print(&r, STR(""), g->out + g->out_n, sizeof g->out - g->out_n);
}

/* ---- transactions ---- */

static void forget(struct guest *g)
{
    g->has_sender = g->is_utf8 = g->in_bdat = g->is_spoilt = false;
    g->recipients = 0;
    g->envelope.n = g->who.n = g->message.n = 0;
}

static bool write_file(const char *dir, unsigned number, const char *suffix, const struct text *text)
{
    char path[PATH_OCTETS];
    FILE *file;
    bool ok;

    snprintf(path, sizeof path, "%s/%u.%s", dir, number, suffix);
    file = fopen(path, "we");
    if (file == NULL)
        return false;
    ok = text->n == 0 || fwrite(text->p, 1, text->n, file) == text->n;
    return fclose(file) == 0 && ok;
}

/* The envelope comes last: who sees it may read the message. */
static bool keep(const struct guest *g, unsigned number)
{
    const char *dir = g->options->dir;

    return dir == NULL || (write_file(dir, number, "eml", &g->message) && write_file(dir, number, "env", &g->envelope));
}

static void take_message(struct guest *g)
{
    unsigned number = *g->messages + 1;

    if (g->data.fault != DATA_CLEAN)
        reply(g, 550, "5.5.2", "Bare CR, bare LF or NUL");
    else if (g->is_spoilt)
        reply(g, 552, "5.3.4", "Message too large");
    else if (!keep(g, number))
        reply(g, 451, "4.3.0", strerror(errno));
    else {
        *g->messages = number;
        printf("message %u: %zu octets %.*s\n", number, g->message.n, (int)g->who.n, g->who.p);
        fflush(stdout);
        reply(g, 250, "2.0.0", "Taken");
    }
    forget(g);
    g->phase = GUEST_COMMANDS;
}

static void add_body(struct guest *g, struct str chunk)
{
    if (g->is_spoilt)
        return;
    g->is_spoilt = g->message.n + chunk.n > GUEST_MESSAGE_MAX || !text_add(&g->message, chunk);
}

/* ---- commands ---- */

static void hello(struct guest *g, const struct command *command)
{
    forget(g);
    if (command->verb == VERB_HELO)
        reply(g, 250, "", "postern sink");
    else
        reply(g, 250, "",
              "postern sink\nPIPELINING\nSIZE 268435456\n8BITMIME\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\nCHUNKING");
}

static void mail(struct guest *g, const struct command *command)
{
    char line[PATH_OCTETS];
    size_t n = command_print_mail(&command->mail, ~0U, line, sizeof line);

    if (g->has_sender) {
        reply(g, 503, "5.5.1", "One sender is enough");
        return;
    }
    forget(g);
    text_add(&g->envelope, str_from(line, n));
    text_add(&g->who, STR("from <"));
    text_add(&g->who, command->mail.path.text);
    text_add(&g->who, STR("> to "));
    g->has_sender = true;
    g->is_utf8 = (command->mail.has & HAS_SMTPUTF8) != 0;
    reply(g, 250, "2.1.0", "Sender taken");
}

static bool is_refused(const struct guest *g, struct str recipient)
{
    for (size_t i = 0; i < g->options->refused_n; i++)
        if (str_ieq(str_of(g->options->refused[i]), recipient))
            return true;
    return false;
}

static void rcpt(struct guest *g, const struct command *command)
{
    char line[PATH_OCTETS];
    size_t n = command_print_rcpt(&command->rcpt, ~0U, line, sizeof line);

    if (!g->has_sender) {
        reply(g, 503, "5.5.1", "MAIL first");
        return;
    }
    if (is_refused(g, command->rcpt.path.text)) {
        reply(g, 550, "5.1.1", "No such recipient");
        return;
    }
    text_add(&g->envelope, str_from(line, n));
    text_add(&g->who, g->recipients > 0 ? STR(", <") : STR("<"));
    text_add(&g->who, command->rcpt.path.text);
    text_add(&g->who, STR(">"));
    g->recipients++;
    reply(g, 250, "2.1.5", "Recipient taken");
}

static void data(struct guest *g)
{
    if (g->recipients == 0 || g->in_bdat) {
        reply(g, 503, "5.5.1", "Not now");
        return;
    }
    data_init(&g->data, false, false, false);
    g->phase = GUEST_DATA;
    reply(g, 354, "", "Go on");
}

static void bdat(struct guest *g, const struct command *command)
{
    g->bdat_refused = g->recipients == 0;
    if (!g->in_bdat)
        data_init(&g->data, true, false, false);
    g->in_bdat = true;
    g->bdat_left = command->bdat.size;
    g->bdat_last = command->bdat.last;
    g->phase = GUEST_BDAT;
}

static void obey(struct guest *g, const struct command *command)
{
    switch (command->verb) {
    case VERB_HELO:
    case VERB_EHLO: hello(g, command); break;
    case VERB_MAIL: mail(g, command); break;
    case VERB_RCPT: rcpt(g, command); break;
    case VERB_DATA: data(g); break;
    case VERB_BDAT: bdat(g, command); break;
    case VERB_RSET:
        forget(g);
        reply(g, 250, "2.0.0", "Forgotten");
        break;
    case VERB_NOOP: reply(g, 250, "2.0.0", "Nothing done"); break;
    case VERB_QUIT:
        reply(g, 221, "2.0.0", "Bye");
        g->phase = GUEST_LEAVING;
        break;
    default: reply(g, 502, "5.5.1", "Not here"); break;
    }
}

static size_t feed_command(struct guest *g, struct str in)
{
    struct command command;
    enum command_error error = COMMAND_UNKNOWN;
    size_t used = 0;
    enum line_event event = line_read(&g->lines, in, &used);

    if (event == LINE_NONE)
        return used;
    if (event == LINE_READY)
        error = command_parse(g->lines.line, g->is_utf8, &command);
    if (error == COMMAND_OK)
        obey(g, &command);
    else
        reply(g, command_errors[error].code, command_errors[error].enhanced, command_errors[error].text);
    if (event == LINE_FLOOD)
        g->phase = GUEST_LEAVING;
    return used;
}

/* ---- bodies ---- */

static size_t feed_data(struct guest *g, struct str in)
{
    size_t used = 0;
    enum data_event event = data_read(&g->data, in, &used);

    if (event == DATA_CHUNK)
        add_body(g, g->data.chunk);
    if (event == DATA_END)
        take_message(g);
    return used;
}

static void end_chunk(struct guest *g)
{
    g->phase = GUEST_COMMANDS;
    if (g->bdat_refused) {
        forget(g);
        reply(g, 503, "5.5.1", "Not now");
    } else if (g->bdat_last) {
        data_finish(&g->data);
        take_message(g);
    } else {
        reply(g, 250, "2.0.0", "Chunk taken");
    }
}

static size_t feed_bdat(struct guest *g, struct str in)
{
    size_t used = 0;

    if (g->bdat_left < in.n)
        in.n = (size_t)g->bdat_left;
    if (in.n > 0 && data_read(&g->data, in, &used) == DATA_CHUNK)
        add_body(g, g->data.chunk);
    g->bdat_left -= used;
    if (g->bdat_left == 0)
        end_chunk(g);
    return used;
}

/* ---- life ---- */

void guest_init(struct guest *g, const struct sink_options *options, unsigned *messages)
{
    *g = (struct guest){ .options = options, .messages = messages };
    line_init(&g->lines, LINE_OCTETS);
    reply(g, 220, "", "postern sink ESMTP");
}

void guest_free(struct guest *g)
{
    line_free(&g->lines);
    text_free(&g->envelope);
    text_free(&g->who);
    text_free(&g->message);
}

static size_t feed_once(struct guest *g, struct str in)
{
    switch (g->phase) {
    case GUEST_DATA: return feed_data(g, in);
    case GUEST_BDAT: return feed_bdat(g, in);
    case GUEST_COMMANDS: return feed_command(g, in);
    default: return 0;
    }
}

/* "BDAT 0 LAST" is over before any octet of it has come. */
static bool is_due(const struct guest *g, struct str in)
{
    return in.n > 0 || (g->phase == GUEST_BDAT && g->bdat_left == 0);
}

size_t guest_feed(struct guest *g, struct str in)
{
    size_t all = in.n;

    while (is_due(g, in) && g->phase != GUEST_LEAVING && g->out_n + GUEST_REPLY <= sizeof g->out)
        in = str_skip(in, feed_once(g, in));
    return all - in.n;
}
