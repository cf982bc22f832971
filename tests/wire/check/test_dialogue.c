/* Conversations and how they are read. Each row is a conversation and, in one line, what was understood of it:
 *
 *     220; EHLO 250, MAIL 250, RCPT 250 550, DATA 354, QUIT 221; <a@x> to <b@y>: 12 octets, 250 (message)
 *
 * greeting; commands with their replies ("-" none, "!" early, "~" a line without end); transactions; what answers
 * nothing. */
#include "dialogue.h"

#include <stdlib.h>

#include "tell.h"
#include "test.h"
#include "weave.h"

/* ---- TLS, without its secrets: application data records whose payload is in clear ---- */

static bool tls_can_be_read;

static size_t record_length(struct slice s, size_t at)
{
    return at + 5 > s.n ? s.n - at : 5 + ((size_t)s.p[at + 3] << 8 | s.p[at + 4]);
}

static void add_plain(struct stream *plain, const struct stream *s, size_t at, size_t n)
{
    struct span span = *stream_span(s, at + n - 1);

    span.at = plain->octets.n;
    plain->span = array_grow(plain->span, plain->span_n, sizeof span);
    plain->span[plain->span_n++] = span;
    buffer_add(&plain->octets, s->octets.p + at + 5, n - 5);
}

/* Stands in for tls.c, which the linker then leaves out: what the dialogue does with TLS is tested here, not how
 * that is read. */
void tls_read(struct tls_session *t, const struct connection *c, const size_t start[2], const struct keylog *keys)
{
    (void)keys;
    *t = (struct tls_session){ .why_not = "no key" };
    for (enum side side = CLIENT; side <= SERVER; side++) {
        const struct stream *s = &c->stream[side];
        struct slice all = buffer_slice(&s->octets);

        t->start[side] = start[side];
        for (size_t at = start[side], n; at < all.n; at += n) {
            n = record_length(all, at);
            if (all.p[at] != 0x17 || n < 6 || at + n > all.n)
                continue;
            t->is_established = true;
            if (tls_can_be_read)
                add_plain(&t->plain[side], s, at, n);
        }
    }
    t->is_decrypted = tls_can_be_read || !t->is_established;
}

void tls_free(struct tls_session *t)
{
    for (enum side side = CLIENT; side <= SERVER; side++) {
        buffer_free(&t->plain[side].octets);
        free(t->plain[side].span);
    }
}

/* ---- conversations ---- */

enum act { SAY, SAY_IN_TLS, HELLO_IN_TLS, CLOSE, RESET, LOSE };

struct turn {
    enum side by;
    const char *text;
    enum act act;
    size_t n; /* of the text; 0: it ends at its NUL */
};

enum { TURNS = 24 };

/* clang-format off */
#define C(text) { CLIENT, text "\r\n", SAY, 0 }
#define S(text) { SERVER, text "\r\n", SAY, 0 }
#define C_RAW(text) { CLIENT, text, SAY, sizeof(text) - 1 }
#define S_RAW(text) { SERVER, text, SAY, sizeof(text) - 1 }
#define C_TLS(text) { CLIENT, text "\r\n", SAY_IN_TLS, 0 }
#define S_TLS(text) { SERVER, text "\r\n", SAY_IN_TLS, 0 }
#define HANDSHAKE { CLIENT, "", HELLO_IN_TLS, 0 }, { SERVER, "", HELLO_IN_TLS, 0 }
#define C_CLOSE { CLIENT, "", CLOSE, 0 }
#define S_CLOSE { SERVER, "", CLOSE, 0 }
#define C_RESET { CLIENT, "", RESET, 0 }
#define C_LOSE { CLIENT, "", LOSE, 0 }
#define S_LOSE { SERVER, "", LOSE, 0 }
#define HELLO S("220 mx"), C("EHLO c"), S("250 mx")
#define ENVELOPE HELLO, C("MAIL FROM:<a@x>"), S("250 ok"), C("RCPT TO:<b@y>"), S("250 ok")
/* clang-format on */

static void say_record(struct weave *w, enum side by, uint8_t type, struct slice payload)
{
    uint8_t head[5] = { type, 3, 3, (uint8_t)(payload.n >> 8), (uint8_t)payload.n };
    struct buffer record = { 0 };

    buffer_add(&record, head, sizeof head);
    buffer_add(&record, payload.p, payload.n);
    weave_octets(w, by, record.p, record.n);
    buffer_free(&record);
}

static void weave_turn(struct weave *w, const struct turn *t)
{
    struct slice text = slice_of(t->text);

    if (t->n > 0)
        text.n = t->n;
    switch (t->act) {
    case SAY: weave_octets(w, t->by, text.p, text.n); break;
    case SAY_IN_TLS: say_record(w, t->by, 0x17, text); break;
    case HELLO_IN_TLS: say_record(w, t->by, 0x16, SLICE("a hello")); break;
    case CLOSE: weave_close(w, t->by); break;
    case RESET: weave_reset(w, t->by); break;
    case LOSE: weave_lose(w, t->by); break;
    }
}

static void weave_turns(struct weave *w, const struct turn turns[TURNS], size_t segment)
{
    weave_begin(w);
    w->segment = segment;
    for (size_t i = 0; i < TURNS && turns[i].text != NULL; i++)
        weave_turn(w, &turns[i]);
}

struct row {
    const char *name;
    struct turn turns[TURNS];
    const char *told;
};

static void check_told(const struct row *row, size_t segment)
{
    static const struct dialogue_hints hints = { .may_have_proxy_header = true };
    struct buffer told = { 0 };
    struct dialogue d;
    struct weave w;

    weave_turns(&w, row->turns, segment);
    dialogue_read(&d, &w.connection, &hints);
    dialogue_tell(&told, &d);
    CHECK_EQ_STR((const char *)told.p, told.n, row->told);
    buffer_free(&told);
    dialogue_free(&d);
    weave_free(&w);
}

/* Each conversation must read the same, whether a turn is one segment, each octet is one, or something between. */
static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CHECK_ROW(rows[i].name);
        for (size_t segment = 0; segment < 4; segment++)
            check_told(&rows[i], segment);
    }
}

#define CHECK_ROWS(rows) check_rows((rows), sizeof(rows) / sizeof *(rows))

static void reads_a_session(void)
{
    static const struct row rows[] = {
        { "a message",
          { ENVELOPE, C("DATA"), S("354 go"), C("Subject: hi\r\n\r\nhello\r\n."), S("250 2.0.0 taken"), C("QUIT"),
            S("221 bye"), S_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354, QUIT 221; <a@x> to <b@y> 250: \"Subject: "
          "hi\\r\\n\\r\\nhello\\r\\n\" 250 (message)" },
        { "two messages, a recipient refused",
          { ENVELOPE, C("RCPT TO:<c@y>"), S("550 5.1.1 who?"), C("DATA"), S("354 go"), C("x\r\n."), S("550 no"),
            C("MAIL FROM:<>"), S("250 ok"), C("RCPT TO:<d@y>"), S("250 ok"), C("DATA"), S("354 go"), C("y\r\n."),
            S("250 ok"), C_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, RCPT 550, DATA 354, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250 "
          "<c@y> 550: \"x\\r\\n\" 550 (message); <> to <d@y> 250: \"y\\r\\n\" 250 (message)" },
        { "pipelined",
          { HELLO, C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA"),
            S("250 ok\r\n250 ok\r\n450 later\r\n354 go"), C("z\r\n.\r\nQUIT"), S("250 ok\r\n221 bye"), S_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, RCPT 450, DATA 354, QUIT 221; <a@x> to <b@y> 250 <c@y> 450: \"z\\r\\n\" "
          "250 (message)" },
        { "RSET, EHLO and QUIT in the middle",
          { HELLO, C("MAIL FROM:<a@x>"), S("250 ok"), C("RSET"), S("250 ok"), C("MAIL FROM:<b@x>"), S("250 ok"),
            C("EHLO c"), S("250 mx"), C("MAIL FROM:<c@x>"), S("250 ok"), C("QUIT"), S("221 bye"), S_CLOSE },
          "220; EHLO 250, MAIL 250, RSET 250, MAIL 250, EHLO 250, MAIL 250, QUIT 221; <a@x> to (RSET); <b@x> to "
          "(hello); <c@x> to (QUIT)" },
        { "a refused EHLO, QUIT and DATA end nothing",
          { ENVELOPE, C("EHLO"), S("501 who?"), C("QUIT now"), S("501 no"), C("DATA"), S("451 later"), C("Subject: x"),
            S("500 what?"), C("DATA"), S("354 go"), C("."), S("250 ok"), C_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, EHLO 501, QUIT 501, DATA 451, ? 500, DATA 354; <a@x> to <b@y> 250: "
          "\"\" 250 (message)" },
        { "refused MAIL opens nothing",
          { HELLO, C("MAIL FROM:<a@x>"), S("530 TLS first"), C("RCPT TO:<b@y>"), S("503 no"), C_CLOSE },
          "220; EHLO 250, MAIL 530, RCPT 503" },
        { "another MAIL in the middle",
          { HELLO, C("MAIL FROM:<a@x>"), S("250 ok"), C("MAIL FROM:<b@x>"), S("250 ok"), S_CLOSE },
          "220; EHLO 250, MAIL 250, MAIL 250; <a@x> to (open); <b@x> to (close)" },
        { "AUTH",
          { HELLO, C("AUTH LOGIN"), S("334 VXNlcm5hbWU6"), C("QUIT"), S("334 UGFzc3dvcmQ6"), C("c2VjcmV0"), S("235 ok"),
            C("AUTH PLAIN AGEAYg=="), S("503 again?"), C("QUIT"), S("221 bye") },
          "220; EHLO 250, AUTH 334, (AUTH) 334, (AUTH) 235, AUTH 503, QUIT 221" },
        { "XCLIENT greets again",
          { S("220 mx"), C("EHLO gw"), S("250-mx\r\n250 XCLIENT ADDR"), C("XCLIENT ADDR=192.0.2.7"), S("220 mx"),
            C("EHLO c"), S("250 mx"), C_CLOSE },
          "220; EHLO 250, XCLIENT 220, EHLO 250" },
        { "still open when the capture ends",
          { HELLO, C("MAIL FROM:<a@x>"), S("250 ok") },
          "220; EHLO 250, MAIL 250; <a@x> to (open)" },
        { "a PROXY line in front", { C("PROXY TCP4 192.0.2.7 192.0.2.1 1 25"), HELLO }, "220; EHLO 250" },
        { "a binary PROXY header in front",
          { C_RAW("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C"
                  "0123456789ab"),
            HELLO },
          "220; EHLO 250" },
    };

    CHECK_ROWS(rows);
}

static void finds_the_end_of_data(void)
{
    static const struct row rows[] = {
        { "dots are unstuffed",
          { ENVELOPE, C("DATA"), S("354 go"), C("..a\r\n.b\r\nc.\r\n..\r\n."), S("250 ok") },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \".a\\r\\nb\\r\\nc.\\r\\n.\\r\\n\" 250 "
          "(message)" },
        { "no other end is one (F-4)",
          { ENVELOPE, C("DATA"), S("354 go"),
            C_RAW("a\n.\nb\r.\rc\n.\r\nd\r\n.\ne\r\n.\rf\r\r\n.\r\r\ng\r\n\0.\r\nMAIL FROM:<e@x>\r\n.\r\n"),
            S("550 5.5.2 no"), C("QUIT"), S("221 bye") },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354, QUIT 221; <a@x> to <b@y> 250: \"a\\n.\\nb\\r.\\rc\\n.\\r\\nd"
          "\\r\\n\\ne\\r\\n\\rf\\r\\r\\n\\r\\r\\ng\\r\\n\\x00.\\r\\nMAIL FROM:<e@x>\\r\\n\" 550 (message)" },
        { "nothing in it",
          { ENVELOPE, C("DATA"), S("354 go"), C("."), S("250 ok") },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"\" 250 (message)" },
        { "an empty line in it",
          { ENVELOPE, C("DATA"), S("354 go"), C("\r\n."), S("250 ok") },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"\\r\\n\" 250 (message)" },
        { "the client leaves",
          { ENVELOPE, C("DATA"), S("354 go"), C_RAW("half\r\n.\r"), C_RESET },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"half\\r\\n\\r\"... - (close)" },
        { "the reply is lost (X2)",
          { ENVELOPE, C("DATA"), S("354 go"), C("x\r\n."), S_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"x\\r\\n\" - (close)" },
        { "pipelined with its content, accepted (B02)",
          { ENVELOPE, C("DATA\r\nx\r\n."), S("354 go\r\n250 ok") },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"x\\r\\n\" 250 (message)" },
        { "pipelined with its content, refused (B02)",
          { ENVELOPE, C("DATA\r\nx\r\n."), S("503 no\r\n500 what?\r\n500 what?"), S_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 503, ? 500, ? 500; <a@x> to <b@y> 250 (close)" },
        { "354 without a transaction",
          { HELLO, C("DATA"), S("354 go"), C("..x\r\n.\r\nQUIT"), S("250 ok\r\n221 bye") },
          "220; EHLO 250, DATA 354, QUIT 221" },
    };

    CHECK_ROWS(rows);
}

static void counts_octets_of_bdat(void)
{
    static const struct row rows[] = {
        { "one chunk",
          { ENVELOPE, C_RAW("BDAT 5 LAST\r\nab\r\nc"), S("250 ok") },
          "220; EHLO 250, MAIL 250, RCPT 250, BDAT 250 of 5; <a@x> to <b@y> 250: \"ab\\r\\nc\" 250 (message)" },
        { "chunks, pipelined, commands in the payload",
          { ENVELOPE, C_RAW("BDAT 6\r\nRSET\r\nBDAT 3\r\n.\r\nBDAT 0 last\r\nQUIT\r\n"),
            S("250 ok\r\n250 ok\r\n250 done\r\n221 bye") },
          "220; EHLO 250, MAIL 250, RCPT 250, BDAT 250 of 6, BDAT 250 of 3, BDAT 250 of 0, QUIT 221; <a@x> to <b@y> "
          "250: "
          "\"RSET\\r\\n.\\r\\n\" 250 (message)" },
        { "the payload of a refused chunk is payload",
          { HELLO, C_RAW("BDAT 6 LAST\r\nQUIT\r\nRSET\r\n"), S("503 no\r\n250 ok") },
          "220; EHLO 250, BDAT 503 of 6, RSET 250" },
        { "but not where nobody knows BDAT",
          { HELLO, C_RAW("BDAT 6 LAST\r\nQUIT\r\n"), S("500 what?\r\n221 bye") },
          "220; EHLO 250, BDAT 500 of 0, QUIT 221" },
        { "unless CHUNKING was offered",
          { S("220 mx"), C("EHLO c"), S("250-mx\r\n250-Chunking\r\n250 DSN"), C_RAW("BDAT 6\r\nQUIT\r\n"),
            S("500 long") },
          "220; EHLO 250, BDAT 500 of 6" },
        { "a chunk that ends within a CRLF",
          { ENVELOPE, C_RAW("BDAT 1 LAST\r\n\r\nNOOP\r\nQUIT\r\n"), S("250 ok\r\n500 what?\r\n221 bye") },
          "220; EHLO 250, MAIL 250, RCPT 250, BDAT 250 of 1, ? 500, QUIT 221; <a@x> to <b@y> 250: \"\\r\" 250 "
          "(message)" },
        { "octets are missing",
          { ENVELOPE, C_RAW("BDAT 10 LAST\r\nabc"), C_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, BDAT - of 3; <a@x> to <b@y> 250: \"abc\"... - (close)" },
        { "a size beyond all",
          { ENVELOPE, C_RAW("BDAT 18446744073709551615\r\nabc"), C_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, BDAT - of 3; <a@x> to <b@y> 250: \"abc\"... - (close)" },
        { "sizes that are none",
          { ENVELOPE, C("BDAT"), S("501 no"), C("BDAT -1"), S("501 no"), C("BDAT 18446744073709551616"), S("501 no"),
            C("BDAT 1 LAST x"), S("501 no"), C("BDAT  1"), S("501 no"), C("BDAT 1 FIRST"), S("501 no") },
          "220; EHLO 250, MAIL 250, RCPT 250, BDAT 501 of 0, BDAT 501 of 0, BDAT 501 of 0, BDAT 501 of 0, BDAT 501 of "
          "0, BDAT 501 of 0; <a@x> to <b@y> 250 (open)" },
    };

    CHECK_ROWS(rows);
}

static void tells_replies_that_are_out_of_step(void)
{
    static const struct row rows[] = {
        { "accepted before the end was sent (X15)",
          { ENVELOPE, C("DATA"), S("354 go"), C("x"), S("250 ok"), C("."), C_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"x\\r\\n\" 250! (message)" },
        { "two replies for one command (X16)",
          { HELLO, C("MAIL FROM:<a@x>"), S("250 ok\r\n250 ok"), C("RCPT TO:<b@y>"), S("550 no"), C("QUIT"),
            S("221 x") },
          "220; EHLO 250, MAIL 250, RCPT 250!, QUIT 550!; <a@x> to <b@y> 250! (open); unasked 221" },
        { "refused before the end came",
          { ENVELOPE, C("DATA"), S("354 go"), C("x"), S("552 too big"), S_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"x\\r\\n\"... 552! (close)" },
        { "text that nobody asked for",
          { HELLO, S("250 by the way"), S("251 and") },
          "220; EHLO 250; unasked 250; unasked 251" },
        { "idle for too long", { HELLO, S("421 4.4.2 timeout"), S_CLOSE }, "220; EHLO 250; farewell 421" },
        { "idle for too long, and QUIT came at last",
          { HELLO, S("421 4.4.2 timeout"), C("QUIT"), S_CLOSE },
          "220; EHLO 250, QUIT -; farewell 421" },
        { "half a command for too long",
          { HELLO, C_RAW("MAI"), S("421 4.4.2 timeout"), S_CLOSE },
          "220; EHLO 250, ?~ -; farewell 421" },
        { "half a message for too long",
          { ENVELOPE, C("DATA"), S("354 go"), C("x"), S("421 4.4.2 timeout"), S_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"x\\r\\n\"... - (close); farewell 421" },
        { "421 is an answer, too, and the last",
          { ENVELOPE, C("DATA\r\nx\r\nQUIT"), S("421 4.3.2 stop\r\n250 ghost"), S_CLOSE },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 421, ? -, QUIT -; <a@x> to <b@y> 250 (QUIT); unasked 250" },
        { "421 for a greeting", { S("421 full"), C("EHLO c"), S_CLOSE }, "421; EHLO -" },
        { "the client talks first (B01)", { C("EHLO c"), S("220 mx\r\n250 mx") }, "220; EHLO 250" },
        { "a browser comes by (B03)",
          { C("GET / HTTP/1.1\r\nHost: x\r\n"), S("220 mx\r\n221 no"), S_CLOSE },
          "220; ? 221, ? -, ? -" },
        { "a line that is too long, answered at once",
          { HELLO, C_RAW("NOOP xxxxx"), S("500 long"), C_RAW("xx\r\nRSET\r\n"), S("250 ok") },
          "220; EHLO 250, NOOP 500!, RSET 250" },
        { "a line that never ends",
          { HELLO, C_RAW("NOOP xxxxx"), S("500 long"), S_CLOSE },
          "220; EHLO 250, NOOP~ 500!" },
    };

    CHECK_ROWS(rows);
}

static void follows_starttls(void)
{
    static const struct row rows[] = {
        { "a session in TLS",
          { HELLO, C("STARTTLS"), S("220 go"), HANDSHAKE, C_TLS("EHLO c"), S_TLS("250 mx"),
            C_TLS("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA"), S_TLS("250 ok\r\n250 ok\r\n354 go"), C_TLS("x\r\n."),
            S_TLS("250 ok"), C_CLOSE },
          "220; EHLO 250, STARTTLS 220, in TLS EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"x\\r\\n\" "
          "250 (message)" },
        { "refused, and then mail in clear",
          { HELLO, C("STARTTLS"), S("454 no"), C("MAIL FROM:<a@x>"), S("250 ok"), C_CLOSE },
          "220; EHLO 250, STARTTLS 454, MAIL 250; <a@x> to (close)" },
        { "it drops a transaction",
          { HELLO, C("MAIL FROM:<a@x>"), S("250 ok"), C("STARTTLS"), S("220 go"), HANDSHAKE },
          "220; EHLO 250, MAIL 250, STARTTLS 220; <a@x> to (STARTTLS)" },
        { "commands injected behind it (T-2)",
          { HELLO, C("STARTTLS\r\nMAIL FROM:<e@x>"), S("220 go"), HANDSHAKE, C_TLS("EHLO c"), S_TLS("250 mx") },
          "220; EHLO 250, STARTTLS 220, in TLS EHLO 250; injected 17" },
        { "TLS from the first octet",
          { HANDSHAKE, S_TLS("220 mx"), C_TLS("EHLO c"), S_TLS("250 mx") },
          "220; in TLS EHLO 250; implicit TLS" },
        { "STARTTLS in TLS is a command as any other",
          { HANDSHAKE, S_TLS("220 mx"), C_TLS("STARTTLS"), S_TLS("220 hm"), C_TLS("NOOP"), S_TLS("250 ok") },
          "220; in TLS STARTTLS 220, NOOP 250; implicit TLS" },
        { "a ClientHello in answer to a greeting (B04)",
          { S("220 mx"), { CLIENT, "", HELLO_IN_TLS, 0 }, S("500 what?"), S_CLOSE },
          "220; ?~ 500!" },
    };
    static const struct row hidden[] = {
        { "no key",
          { HELLO, C("STARTTLS"), S("220 go"), HANDSHAKE, C_TLS("EHLO c"), S_TLS("250 mx") },
          "220; EHLO 250, STARTTLS 220; in doubt" },
        { "a handshake that came to nothing hides nothing",
          { HELLO, C("STARTTLS"), S("220 go"), HANDSHAKE, C_CLOSE },
          "220; EHLO 250, STARTTLS 220" },
        { "TLS from the first octet without a key",
          { HANDSHAKE, S_TLS("220 mx"), C_TLS("EHLO c") },
          "-; implicit TLS; no SMTP; in doubt" },
    };

    tls_can_be_read = true;
    CHECK_ROWS(rows);
    tls_can_be_read = false;
    CHECK_ROWS(hidden);
}

static void doubts_what_was_not_captured(void)
{
    static const struct row rows[] = {
        { "the client is lost in a message",
          { ENVELOPE, C("DATA"), S("354 go"), C("x"), C_LOSE, C("."), S("250 ok") },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA 354; <a@x> to <b@y> 250: \"x\\r\\n\"... - (open); in doubt" },
        { "the client is lost in a command",
          { HELLO, C_RAW("MAIL"), C_LOSE, C(" FROM:<a@x>"), S("250 ok"), S("250 x") },
          "220; EHLO 250, MAIL~ -; in doubt" },
        { "the server is lost before 354: is it data or are they commands?",
          { ENVELOPE, C("DATA"), S_LOSE, S("354 go"), C("QUIT\r\n."), S("250 ok") },
          "220; EHLO 250, MAIL 250, RCPT 250, DATA -; <a@x> to <b@y> 250 (open); in doubt" },
        { "the server is lost in a reply",
          { HELLO, C("NOOP"), S_RAW("25"), S_LOSE, S("0 ok") },
          "220; EHLO 250, NOOP -; in doubt" },
        { "the capture ends in a reply", { HELLO, C("NOOP"), S_RAW("25") }, "220; EHLO 250, NOOP -; in doubt" },
        { "only the client", { C("EHLO c"), S_LOSE }, "-; no SMTP; in doubt" },
        { "another protocol", { S("SSH-2.0-x"), C("SSH-2.0-y") }, "0; no SMTP" },
        { "nothing at all", { C_CLOSE }, "-; no SMTP" },
    };

    CHECK_ROWS(rows);
}

static void judges_replies(void)
{
    static const struct {
        const char *reply;
        int code;
        const char *enhanced;
        bool is_malformed;
    } rows[] = {
        { "250 ok\r\n", 250, "", false },
        { "250\r\n", 250, "", false },
        { "250-a\r\n250-\r\n250 c\r\n", 250, "", false },
        { "250 2.1.5 ok\r\n", 250, "2.1.5", false },
        { "550 5.7.26\r\n", 550, "5.7.26", false },
        { "550 5.7.1234 x\r\n", 550, "", false },
        { "550 5.7x\r\n", 550, "", false },
        { "550 55.7.1 x\r\n", 550, "", false },
        { "550 1.7.1 x\r\n", 550, "", false },
        { "250 gr\xC3\xBC\xC3\x9F dich\r\n", 250, "", true },
        { "250 a\tb\r\n", 250, "", true },
        { "250 a\x1B[31mb\r\n", 250, "", true },
        { "250-a\r\n550 b\r\n", 0, "", true },
        { "250-a\r\nb\r\n250 c\r\n", 0, "", true },
        { "hello\r\n", 0, "", true },
        { "25\r\n", 0, "", true },
        { "\r\n", 0, "", true },
        { "2500 x\r\n", 0, "", true },
        { "250x\r\n", 0, "", true },
        { "150 x\r\n", 0, "", true },
        { "650 x\r\n", 0, "", true },
        { "250 a\nb\r\n", 0, "", true },
        { "250 a\rb\r\n", 0, "", true },
        { "250-a\r\n", 0, "", true },
        { "250 o", 0, "", true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static const struct dialogue_hints hints;
        struct dialogue d;
        struct weave w;

        CHECK_ROW(rows[i].reply);
        weave_begin(&w);
        weave_say(&w, SERVER, "220 mx\r\n");
        weave_say(&w, CLIENT, "NOOP\r\n");
        weave_say(&w, SERVER, rows[i].reply);
        weave_close(&w, SERVER);
        dialogue_read(&d, &w.connection, &hints);
        CHECK(d.command_n == 1 && d.command[0].reply != NULL);
        if (d.command_n == 1 && d.command[0].reply != NULL) {
            const struct reply *r = d.command[0].reply;

            CHECK_EQ_INT(r->code, rows[i].code);
            CHECK_EQ_STR(r->enhanced, strlen(r->enhanced), rows[i].enhanced);
            CHECK_EQ_INT(r->malformed != NULL, rows[i].is_malformed);
            CHECK_EQ_STR((const char *)r->octets.p, r->octets.n, rows[i].reply);
        }
        dialogue_free(&d);
        weave_free(&w);
    }
}

/* Makes a dialogue of a greeting, `client`, and the reply that `server` makes. */
static void converse(struct weave *w, struct dialogue *d, struct slice client, struct slice server)
{
    static const struct dialogue_hints hints;

    weave_begin(w);
    weave_say(w, SERVER, "220 mx\r\n");
    weave_octets(w, CLIENT, client.p, client.n);
    weave_octets(w, SERVER, server.p, server.n);
    weave_close(w, SERVER);
    dialogue_read(d, &w->connection, &hints);
}

static void finish(struct weave *w, struct dialogue *d)
{
    dialogue_free(d);
    weave_free(w);
}

/* ORACLE F-7, F-8: 512 octets to a line, 100 lines. */
static void bounds_replies(void)
{
    static const struct {
        const char *name;
        size_t line, lines;
        int code;
    } rows[] = { { "512 octets", 512, 1, 250 },
                 { "513 octets", 513, 1, 0 },
                 { "100 lines", 100, 100, 250 },
                 { "101 lines", 10, 101, 0 } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer reply = { 0 };
        struct dialogue d;
        struct weave w;

        CHECK_ROW(rows[i].name);
        for (size_t k = 1; k <= rows[i].lines; k++)
            buffer_printf(&reply, "250%c%0*d\r\n", k < rows[i].lines ? '-' : ' ', (int)rows[i].line - 6, 0);
        converse(&w, &d, SLICE("NOOP\r\n"), buffer_slice(&reply));
        CHECK_EQ_INT(d.command[0].reply->code, rows[i].code);
        CHECK_EQ_INT(d.command[0].reply->lines, rows[i].lines);
        CHECK_EQ_INT(d.unasked_n, 0);
        finish(&w, &d);
        buffer_free(&reply);
    }
}

static void tells_strange_octets_in_commands(void)
{
    static const struct {
        const char *line;
        size_t n;
        bool is_strange;
    } rows[] = {
        { "NOOP x\r\n", 8, false }, { "NOOP\nRSET\r\n", 11, true }, { "NOOP\rRSET\r\n", 11, true },
        { "NO\0OP\r\n", 7, true },  { "NOOP\r\r\n", 7, true },      { "NOOP \xFF\r\n", 8, false },
        { "NOOP\r", 5, false },     { "NOOP\n", 5, true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dialogue d;
        struct weave w;

        CHECK_ROW(rows[i].line);
        converse(&w, &d, (struct slice){ (const uint8_t *)rows[i].line, rows[i].n }, SLICE("250 ok\r\n"));
        CHECK_EQ_INT(d.command_n, 1);
        CHECK_EQ_INT(d.command[0].has_strange_octets, rows[i].is_strange);
        finish(&w, &d);
    }
}

static void hides_credentials(void)
{
    struct slice shown;
    struct dialogue d;
    struct weave w;

    converse(&w, &d, SLICE("auth PLAIN AGEAYg==\r\nAUTH LOGIN\r\nc2VjcmV0\r\nNOOP x\r\n"),
             SLICE("535 no\r\n334 \r\n235 ok\r\n250 ok\r\n"));
    CHECK_EQ_INT(d.command_n, 4);
    shown = command_shown(&d.command[0]);
    CHECK_EQ_STR((const char *)shown.p, shown.n, "auth PLAIN");
    shown = command_shown(&d.command[1]);
    CHECK_EQ_STR((const char *)shown.p, shown.n, "AUTH LOGIN");
    shown = command_shown(&d.command[2]);
    CHECK_EQ_STR((const char *)shown.p, shown.n, "(a line of AUTH)");
    shown = command_shown(&d.command[3]);
    CHECK_EQ_STR((const char *)shown.p, shown.n, "NOOP x");
    finish(&w, &d);
}

#define TOKEN "0123456789abcdef0123456789abcdef"

static void finds_tokens(void)
{
    static const struct {
        const char *name, *token;
    } rows[] = {
        { TOKEN ".example", TOKEN }, { "x-" TOKEN, TOKEN }, { "[" TOKEN "]", TOKEN },
        { TOKEN "0", "" },           { "0123", "" },        { "0123456789ABCDEF0123456789ABCDEF", "" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer client = { 0 };
        struct dialogue d;
        struct weave w;

        CHECK_ROW(rows[i].name);
        buffer_printf(&client, "EHLO %s\r\nMAIL FROM:<%s@x>\r\n", rows[i].name, rows[i].name);
        converse(&w, &d, buffer_slice(&client), SLICE("250 mx\r\n250 ok\r\n"));
        CHECK_EQ_STR(d.token, strlen(d.token), rows[i].token);
        CHECK_EQ_STR(d.transaction[0].token, strlen(d.transaction[0].token), rows[i].token);
        finish(&w, &d);
        buffer_free(&client);
    }
}

static void keeps_keywords(void)
{
    struct dialogue d;
    struct weave w;

    converse(&w, &d, SLICE("EHLO a\r\nEHLO b\r\nEHLO\r\n"),
             SLICE("250-mx\r\n250 DSN\r\n250-mx\r\n250-SIZE 9\r\n250 8BITMIME\r\n501 who?\r\n"));
    CHECK_EQ_STR((const char *)d.keywords.p, d.keywords.n, "250-SIZE 9\r\n250 8BITMIME\r\n");
    finish(&w, &d);
}

/* The places of a message whose end comes in pieces, with times a person can add up: a frame is a millisecond. */
static void knows_frames_and_times(void)
{
    static const struct dialogue_hints hints;
    struct weave w;
    struct dialogue d;
    const struct message *m;

    weave_begin(&w); /* frames 1, 2 */
    weave_say(&w, SERVER, "220 mx\r\n");
    weave_say(&w, CLIENT, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDA");
    weave_say(&w, SERVER, "250 ok\r\n250 ok\r\n");
    weave_say(&w, CLIENT, "TA\r\n");
    weave_say(&w, SERVER, "354 go\r\n");
    weave_say(&w, CLIENT, "body\r\n"); /* 8 */
    weave_wait(&w, 1000000000);
    weave_say(&w, CLIENT, ".\r");
    weave_say(&w, CLIENT, "\nQUIT\r\n"); /* 10 */
    weave_say(&w, SERVER, "250 ok\r\n221 bye\r\n");
    weave_close(&w, SERVER); /* 12 */
    dialogue_read(&d, &w.connection, &hints);
    CHECK(d.command_n == 4 && d.transaction_n == 1);
    CHECK_EQ_INT(d.command[2].place.first_frame, 4);
    CHECK_EQ_INT(d.command[2].place.last_frame, 6);
    m = &d.transaction[0].message;
    CHECK_EQ_INT(m->place.first_frame, 8);
    CHECK_EQ_INT(m->place.last_frame, 10);
    CHECK_EQ_INT(m->end.first_frame, 8);
    CHECK_EQ_INT(m->end.last_frame, 10);
    CHECK_EQ_INT(m->end.last_time - m->end.first_time, 1002000000);
    CHECK_EQ_INT(m->end.at, 42);
    CHECK_EQ_INT(m->reply->place.first_frame, 11);
    CHECK_EQ_INT(d.transaction[0].place.first_frame, 4);
    CHECK_EQ_INT(d.transaction[0].place.last_frame, 11);
    CHECK_EQ_STR((const char *)m->raw.p, m->raw.n, "body\r\n");
    CHECK(m->body.p == m->raw.p);
    finish(&w, &d);
}

/* A segment that was lost and sent again: what came before it in the stream is complete only then. */
static void waits_for_segments_that_were_overtaken(void)
{
    static const struct dialogue_hints hints;
    struct weave w;
    struct dialogue d;
    struct span *span;

    weave_begin(&w);
    weave_say(&w, SERVER, "220 mx\r\n");
    weave_say(&w, CLIENT, "NOOP 1\r\n"); /* 4 */
    weave_say(&w, CLIENT, "NOOP 2\r\n"); /* 5 */
    weave_say(&w, SERVER, "250 ok\r\n250 ok\r\n");
    span = w.connection.stream[CLIENT].span;
    span[0].frame = 5;
    span[1].frame = 4;
    dialogue_read(&d, &w.connection, &hints);
    CHECK_EQ_INT(d.command[1].place.first_frame, 4);
    CHECK_EQ_INT(d.command[1].place.last_frame, 5);
    finish(&w, &d);
}

/* Octets changed, put in and cut off at random: nothing overruns (the sanitizers look on), and each octet is read
 * once at most. */
static void survives_mutants(void)
{
    static const struct turn seeds[][TURNS] = {
        { ENVELOPE, C("DATA"), S("354 go"), C("..a\r\n.b\r\n."), S("250 2.0.0 ok"), C("RSET"), S("250-x\r\n250 y"),
          C("QUIT"), S("221 bye"), S_CLOSE },
        { ENVELOPE, C_RAW("BDAT 6\r\nRSET\r\nBDAT 3 LAST\r\n.\r\nAUTH PLAIN x\r\n"), S("250 ok\r\n250 ok\r\n334 "),
          C("eA=="), S("235 ok"), S("421 bye"), C_CLOSE },
        { C("PROXY TCP4 192.0.2.7 192.0.2.1 1 25"), HELLO, C("STARTTLS\r\nNOOP"), S("220 go"), HANDSHAKE,
          C_TLS("EHLO c"), S_TLS("250 mx"), C_TLS("MAIL FROM:<@a,@b:\"x\\\"@\"@[192.0.2.1]> SIZE=1"), S_TLS("250 ok") },
    };
    static const struct dialogue_hints hints = { .may_have_proxy_header = true };
    static const char octets[] = "\r\n. \0<>@\"0259-DATBE\x16\x17\x03\xFF";
    uint64_t random = 42;

    tls_can_be_read = true;
    for (int i = 0; i < TEST_LESS(12000); i++) {
        struct dialogue d;
        struct weave w;

        weave_turns(&w, seeds[i % 3], (size_t)(i / 3) % 3);
        for (int k = 0; k < 1 + i % 4; k++) {
            struct stream *s;

            random = random * 6364136223846793005 + 1442695040888963407;
            s = &w.connection.stream[random >> 63];
            s->octets.p[(random >> 40) % s->octets.n] = (uint8_t)octets[(random >> 33) % (sizeof octets - 1)];
            if (random >> 58 == 7)
                s->octets.n = 1 + (random >> 40) % s->octets.n;
        }
        dialogue_read(&d, &w.connection, &hints);
        for (size_t k = 0; k < d.command_n; k++)
            CHECK(k == 0 || d.command[k].place.in_tls != d.command[k - 1].place.in_tls ||
                  d.command[k].place.at > d.command[k - 1].place.at);
        for (size_t k = 0; k < d.transaction_n; k++)
            CHECK(d.transaction[k].message.body.n <= w.connection.stream[CLIENT].octets.n);
        finish(&w, &d);
    }
    tls_can_be_read = false;
}

/* Much of everything, in linear time: were it quadratic, this test would never end. */
static void reads_large_connections(void)
{
    size_t messages = TEST_LESS(20000), lines = TEST_LESS(1000000);
    struct buffer client = { 0 }, server = { 0 };
    struct dialogue d;
    struct weave w;

    for (size_t i = 0; i < messages; i++) {
        buffer_printf(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n%01000d\r\n.\r\n", 0);
        buffer_printf(&server, "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n");
    }
    converse(&w, &d, buffer_slice(&client), buffer_slice(&server));
    CHECK_EQ_INT(d.transaction_n, messages);
    CHECK_EQ_INT(d.transaction[messages - 1].end, END_MESSAGE);
    finish(&w, &d);
    client.n = server.n = 0;
    buffer_printf(&client, "MAIL FROM:<a@x>\r\nDATA\r\n");
    for (size_t i = 0; i < lines; i++)
        buffer_printf(&client, "..\r\n");
    buffer_printf(&client, ".\r\nNOOP %0*d", 10000000, 0);
    converse(&w, &d, buffer_slice(&client), SLICE("250 ok\r\n354 go\r\n250 ok\r\n"));
    CHECK_EQ_INT(d.transaction[0].message.body.n, 3 * lines);
    CHECK_EQ_INT(d.command_n, 3);
    CHECK(!d.command[2].is_complete);
    finish(&w, &d);
    buffer_free(&client);
    buffer_free(&server);
}

/* A message looks like commands, and TLS like replies, to a reader that does not know what was before. */
static void does_not_read_from_the_middle(void)
{
    struct weave w;
    struct dialogue d;

    weave_begin(&w);
    w.connection.has_start = false;
    w.connection.doubt = "its start was not captured";
    weave_say(&w, SERVER, "250 ok\r\n\x17\x03\x03\r\n");
    weave_say(&w, CLIENT, "Subject: x\r\n\r\nVRFY root\r\n");
    dialogue_read(&d, &w.connection, &(struct dialogue_hints){ .keys = NULL });
    CHECK_EQ_INT(d.command_n, 0);
    CHECK_EQ_INT(d.reply_n, 0);
    CHECK(!d.is_readable && d.doubt != NULL);
    dialogue_free(&d);
    weave_free(&w);
}

static const struct test_case tests[] = {
    TEST(does_not_read_from_the_middle),
    TEST(reads_a_session),
    TEST(finds_the_end_of_data),
    TEST(counts_octets_of_bdat),
    TEST(tells_replies_that_are_out_of_step),
    TEST(follows_starttls),
    TEST(doubts_what_was_not_captured),
    TEST(judges_replies),
    TEST(bounds_replies),
    TEST(tells_strange_octets_in_commands),
    TEST(hides_credentials),
    TEST(finds_tokens),
    TEST(keeps_keywords),
    TEST(knows_frames_and_times),
    TEST(waits_for_segments_that_were_overtaken),
    TEST(survives_mutants),
    TEST(reads_large_connections),
};
TEST_MAIN(tests)
