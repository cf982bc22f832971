#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>

#include "world.h"

/* What is left of the story. */
struct story {
    struct str rest;
    struct world *w;
};

static unsigned next(struct story *s)
{
    unsigned char c;

    if (s->rest.n == 0)
        return 0;
    c = (unsigned char)s->rest.p[0];
    s->rest = str_skip(s->rest, 1);
    return c;
}

/* ---- settings ---- */

#define CERTIFICATE \
    "[certificate main] chain = tests/scenario/words.txt\n[certificate main] key = tests/scenario/words.txt\n"

#define AUTHENTICATION \
    "[author] strict = yes\n[spf] check = yes\n[dkim] check = yes\n[arc] check = yes\n" \
    "[dmarc] mode = enforce\n[dmarc] quarantine = redirect\n[dmarc] quarantine_mailbox = jail@local.example\n"

static const struct variant {
    const char *ini;
    const char *offers;
    bool normalises;
    bool authenticates; /* with the zone below */
} variants[] = {
    { "", "PIPELINING\nSIZE 20000000\n8BITMIME\nSMTPUTF8\nDSN", false, false },
    { "[limits] hold = 0\n", "PIPELINING\n8BITMIME", false, false },
    { "[limits] hold = 0\n[limits] message_size = 65536\n", "8BITMIME\nCHUNKING\nBINARYMIME", false, false },
    { "[listen mx] tls = starttls\n[listen mx] auth = yes\n" CERTIFICATE, "PIPELINING\nAUTH PLAIN LOGIN", false,
      false },
    { "[listen mx] tls = implicit\n[listen mx] auth = yes\n" CERTIFICATE, "AUTH PLAIN LOGIN\nDSN", false, false },
    { "[framing] mode = normalise\n", "PIPELINING\nSMTPUTF8", true, false },
    { "[backend] servers = 10.0.0.1:25, 10.0.0.2:25\n[backend] client_info = xclient\n[limits] errors = 3\n", "", false,
      false },
    { "[backend] tls = required\n[backend] client_info = proxy-v2\n[limits] header_size = 16384\n", "STARTTLS", false,
      false },
    { "[route other.example] servers = 10.0.0.9:25\n[relay] domains = local.example other.example\n", "PIPELINING",
      false, false },
    { AUTHENTICATION, "PIPELINING\nSIZE 20000000\n8BITMIME\nSMTPUTF8\nDSN", false, true },
    { AUTHENTICATION "[limits] hold = 0\n", "PIPELINING\n8BITMIME\nCHUNKING\nBINARYMIME", false, true },
    { AUTHENTICATION "[spf] fail = reject\n[dmarc] mode = monitor\n", "", false, true },
};

/* slow.example answers when the story says so. */
static const char *const zone[] = {
    "sender.example TXT \"v=spf1 ip4:198.51.100.1 include:slow.example -all\"",
    "_dmarc.sender.example TXT \"v=DMARC1; p=quarantine\"",
    "k1._domainkey.sender.example TXT \"v=DKIM1; k=ed25519; p=zWO0rF356opWnRr3M9FDiqf8bA2X7NoF6WV8XsaAT9E=\"",
    "_dmarc.b.example TXT \"v=DMARC1; p=reject\"",
};

static void set_up_dns(struct world *w)
{
    for (size_t i = 0; i < sizeof zone / sizeof *zone; i++)
        dns_add(&w->dns, str_of(zone[i]));
    dns_silence(&w->dns, STR("slow.example"));
    snprintf(w->rules.quarantine, sizeof w->rules.quarantine, "jail@local.example");
}

static void set_up(struct world *w, unsigned choice)
{
    const struct variant *v = &variants[choice % (sizeof variants / sizeof *variants)];

    bytes_put(&w->setting.ini, str_of(v->ini));
    if (v->authenticates)
        set_up_dns(w);
    if (v->offers[0] != '\0')
        bytes_printf(&w->setting.offers, "mx.local.example\n%s", v->offers);
    w->rules.normalises = v->normalises;
    snprintf(w->rules.domains, sizeof w->rules.domains, "local.example other.example");
}

/* ---- what is said ---- */

static const char *const north_words[] = {
    "EHLO client.example\r\n",
    "HELO client.example\r\n",
    "MAIL FROM:<alice@sender.example>\r\n",
    "MAIL FROM:<a@b.example> BODY=BINARYMIME\r\n",
    "MAIL FROM:<> SIZE=100 RET=HDRS\r\n",
    "RCPT TO:<bob@local.example>\r\n",
    "RCPT TO:<carol@other.example>\r\n",
    "RCPT TO:<v%x@local.example>\r\n",
    "RCPT TO:<dave@local.example> NOTIFY=NEVER\r\n",
    "RCPT TO:<postmaster>\r\n",
    "DATA\r\n",
    "Subject: x\r\n\r\n",
    "a line of text\r\n",
    ".\r\n",
    "..\r\n",
    ".",
    "\r",
    "\n",
    "\r\n",
    "BDAT 5\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 12 LAST\r\n",
    "hello",
    "BDAT 7\r\nhello\r\n",
    "BDAT x\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "VRFY bob\r\n",
    "QUIT\r\n",
    "STARTTLS\r\n",
    "AUTH PLAIN AGEAYg==\r\n",
    "AUTH LOGIN\r\n",
    "YQ==\r\n",
    "*\r\n",
    "FOO\r\n",
    " folded\r\n",
    "Authentication-Results: gw.local.example; x\r\n",
    "GET / HTTP/1.0\r\n",
    "\0\0",
    "EHLO client.example\r\nMAIL FROM:<alice@sender.example>\r\n",
    "MAIL FROM:<alice@sender.example>\r\nRCPT TO:<bob@local.example>\r\nDATA\r\n",
    "RSET\r\nMAIL FROM:<alice@sender.example>\r\nRCPT TO:<bob@local.example>\r\nRCPT TO:<carol@local.example>\r\n",
    "From: Alice <alice@sender.example>\r\n\r\n",
    "From: a@b.example\r\n\r\ntext\r\n.\r\n",
};

static const char *const south_words[] = {
    "220 mx.local.example ESMTP\r\n",
    "250 2.0.0 Ok\r\n",
    "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 DSN\r\n",
    "250-mx\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 AUTH PLAIN LOGIN\r\n",
    "250-mx\r\n250-STARTTLS\r\n250 XCLIENT ADDR\r\n",
    "354 go\r\n",
    "451 4.3.0 later\r\n",
    "550 5.7.1 no\r\n",
    "421 4.3.2 bye\r\n",
    "334 YQ==\r\n",
    "235 2.7.0 welcome\r\n",
    "535 5.7.8 no\r\n",
    "221 bye\r\n",
    "250 a\r\n250 b\r\n",
    "250-half",
    "25",
    "garbage\r\n",
    "250 x\x1b\r\n",
    "\r\n",
};

/* The answer a good back end gives to what it was asked first and has not answered. */
static const char *good_answer(const struct oracle *o)
{
    const struct awaited *asked = conversation_awaits(&o->s);

    if (asked == NULL)
        return "";
    switch (asked->kind) {
    case AWAIT_GREETING:
    case AWAIT_STARTTLS:
    case AWAIT_XCLIENT: return "220 mx.local.example\r\n";
    case AWAIT_HELO:
        return "250-mx\r\n250-PIPELINING\r\n250-SIZE "
               "99999\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n"
               "250-BINARYMIME\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN\r\n250 XCLIENT ADDR PORT HELO\r\n";
    case AWAIT_DATA: return "354 go\r\n";
    case AWAIT_AUTH: return "334 YQ==\r\n";
    case AWAIT_AUTH_LINE: return "235 2.7.0 welcome\r\n";
    case AWAIT_QUIT: return "221 2.0.0 bye\r\n";
    default: return "250 2.0.0 Ok\r\n";
    }
}

/* ---- what happens ---- */

static void north_says(struct story *s)
{
    world_send(s->w, &s->w->north, str_of(north_words[next(s) % (sizeof north_words / sizeof *north_words)]));
}

static void south_says(struct story *s)
{
    world_send(s->w, &s->w->south, str_of(south_words[next(s) % (sizeof south_words / sizeof *south_words)]));
}

static void raw(struct story *s, struct wire *wire)
{
    size_t n = next(s);

    if (n > s->rest.n)
        n = s->rest.n;
    world_send(s->w, wire, str_from(s->rest.p, n));
    s->rest = str_skip(s->rest, n);
}

static void north_raw(struct story *s)
{
    raw(s, &s->w->north);
}

static void south_raw(struct story *s)
{
    raw(s, &s->w->south);
}

static void north_floods(struct story *s)
{
    size_t n = 1 + 512 * next(s);
    char *text = must_grow(NULL, n);

    for (size_t i = 0; i < n; i++)
        text[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
    world_send(s->w, &s->w->north, str_from(text, n));
    free(text);
}

static void south_answers(struct story *s)
{
    world_connected(s->w);
    world_secured(s->w, &s->w->south);
    world_send(s->w, &s->w->south, str_of(good_answer(&s->w->oracle)));
}

static void south_answers_all(struct story *s)
{
    for (int i = 0; i < 8 && s->w->session != NULL; i++)
        south_answers(s);
}

static void connection_made(struct story *s)
{
    world_connected(s->w);
}

static void south_breaks(struct story *s)
{
    world_fail(s->w, &s->w->south, "connection reset");
}

static void south_ends(struct story *s)
{
    if (s->w->south.state == WIRE_OPEN)
        world_fin(s->w, &s->w->south);
}

static void north_breaks(struct story *s)
{
    world_fail(s->w, &s->w->north, "connection reset");
}

static void north_ends(struct story *s)
{
    if (s->w->north.state == WIRE_OPEN)
        world_fin(s->w, &s->w->north);
}

static void tls_done(struct story *s)
{
    world_secured(s->w, next(s) % 2 == 0 ? &s->w->north : &s->w->south);
}

static void time_passes(struct story *s)
{
    static const uint64_t ms[] = { 1, 1000, 10000, 31000, 61000, 121000, 301000, 591000 };

    world_wait(s->w, ms[next(s) % (sizeof ms / sizeof *ms)]);
}

static void south_reads(struct story *s)
{
    unsigned room = next(s);

    world_room(s->w, &s->w->south, room == 255 ? SIZE_MAX : (size_t)room * room);
}

static void north_reads(struct story *s)
{
    unsigned room = next(s);

    world_room(s->w, &s->w->north, room == 255 ? SIZE_MAX : (size_t)room * room);
}

static void stop(struct story *s)
{
    world_drain(s->w);
}

static void another_session(struct story *s)
{
    world_new_session(s->w);
}

static void whole_message(struct story *s)
{
    world_send(s->w, &s->w->north, STR("Subject: hello\r\n\r\nHi.\r\n.\r\n"));
}

#define SIGNED \
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=sender.example; s=k1; h=from:to:subject;" \
    " bh=kmjWRdQb+kpvA4ZSXI9Gm/RUAw0QJguOg7YOVst7P7Q=; b=mK6u6AZStSBdNjKBBcnjbtFABdFZoYGlKlzkIJ+FbC+s9hcZR7N1mfPG3mrH" \
    "dzWq/Q6/M1eA0Bxd3MFCdT8eCw==\r\nFrom: Alice <alice@sender.example>\r\nTo: bob@local.example\r\nSubject: " \
    "signed\r\n\r\n"

static void signed_header(struct story *s)
{
    world_send(s->w, &s->w->north, STR(SIGNED));
}

static void signed_message(struct story *s)
{
    world_send(s->w, &s->w->north, next(s) % 2 == 0 ? STR(SIGNED "Hi Bob.\r\n.\r\n") : STR(SIGNED "Hi Eve.\r\n.\r\n"));
}

/* Answers what is asked first and was not answered yet. */
static void dns_says(struct story *s)
{
    static const struct str texts[] = { STR_INIT("v=spf1 +all"), STR_INIT("v=spf1 -all"),
                                        STR_INIT("v=spf1 include:slow.example include:sender.example"),
                                        STR_INIT("v=DMARC1; p=reject") };
    unsigned choice = next(s);
    const struct facts *facts = s->w->session != NULL ? session_facts(s->w->session) : NULL;
    struct str text = texts[choice % (sizeof texts / sizeof *texts)];
    struct dns_record r = { .state = choice < 200   ? FACT_OK
                                     : choice < 230 ? FACT_TEMP
                                                    : FACT_NXDOMAIN,
                            .value = &text,
                            .n = choice < 200 };

    for (size_t i = 0; facts != NULL && i < facts->n; i++) {
        if (facts->fact[i].state != FACT_UNKNOWN)
            continue;
        r.q = facts->fact[i].q;
        world_answer(s->w, &r);
        return;
    }
}

/* Sensible things stand more than once. */
static void (*const acts[])(struct story *) = {
    north_says,      north_says,    north_says,    north_says,        north_says,        north_says,     south_answers,
    south_answers,   south_answers, south_answers, south_answers_all, south_answers_all, south_says,     south_says,
    north_raw,       south_raw,     north_floods,  connection_made,   south_breaks,      south_ends,     north_breaks,
    north_ends,      tls_done,      tls_done,      time_passes,       south_reads,       north_reads,    stop,
    another_session, whole_message, whole_message, whole_message,     signed_header,     signed_message, signed_message,
    dns_says,        dns_says,      dns_says,
};

static const char *judge(const struct world *w)
{
    return w->broken != NULL ? w->broken : oracle_broken(&w->oracle);
}

static const char *play(struct world *w, struct story *s)
{
    const char *broken = judge(w);

    while (broken == NULL && s->rest.n > 0) {
        acts[next(s) % (sizeof acts / sizeof *acts)](s);
        broken = judge(w);
    }
    if (broken == NULL)
        world_end(w);
    if (broken == NULL)
        broken = judge(w);
    if (broken == NULL && (w->env->messages.used > 0 || w->env->control.used > 0))
        broken = "R-3: chunks are left behind";
    return broken;
}

const char *chaos_play(struct str story)
{
    static char what[800];
    struct world w;
    struct story s = { story, &w };
    struct bytes errors = { 0 };
    const char *broken = NULL;

    what[0] = '\0';
    world_init(&w);
    set_up(&w, next(&s));
    if (!world_start(&w, &errors))
        snprintf(what, sizeof what, "%.*s", STR_ARG(bytes_all(&errors)));
    else
        broken = play(&w, &s);
    if (broken != NULL)
        snprintf(what, sizeof what, "%s", broken);
    if (getenv("CHAOS_TRACE") != NULL)
        fprintf(stderr, "N:\n%.*s\nS:\n%.*s\nlog:\n%.*s\n", STR_ARG(bytes_all(&w.north.sent)),
                STR_ARG(bytes_all(&w.south.sent)), STR_ARG(bytes_all(&w.log)));
    world_free(&w);
    bytes_free(&errors);
    return broken == NULL && what[0] == '\0' ? NULL : what;
}
