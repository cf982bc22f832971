/* Command lines from any stream, cut anywhere; what is accepted must go to the back end as ORACLE P-5 says,
 * and be read back as the same command. Input: an octet for the mode, an octet for the cuts, the stream.
 */
#include "fuzz.h"

#include "../../proxy/smtp_command.h"

enum { LINE_LIMIT = 2048 };

/* P-5: printable, UTF-8 only where it was asked for, exactly one CRLF, at the end. */
static void require_sound(struct str line, bool may_be_utf8)
{
    REQUIRE(line.n >= 2 && line.n <= COMMAND_LINE_MAX);
    REQUIRE(str_eq(str_skip(line, line.n - 2), STR("\r\n")));
    for (size_t i = 0; i < line.n - 2; i++) {
        unsigned char c = (unsigned char)line.p[i];

        REQUIRE(c >= ' ' && c != 0x7f && (c < 0x80 || may_be_utf8));
    }
}

static size_t print(const struct command *c, char *out, size_t size)
{
    return c->verb == VERB_MAIL ? command_print_mail(&c->mail, ~0U, out, size)
                                : command_print_rcpt(&c->rcpt, ~0U, out, size);
}

/* What is printed must be accepted, and printed from that, come out the same. */
static void require_same_again(const struct command *c, bool smtputf8)
{
    char first[COMMAND_LINE_MAX], second[COMMAND_LINE_MAX];
    size_t n = print(c, first, sizeof first);
    struct command again;

    require_sound(str_from(first, n), c->verb == VERB_MAIL ? (c->mail.has & HAS_SMTPUTF8) != 0 : smtputf8);
    REQUIRE(command_parse(str_from(first, n - 2), smtputf8, &again) == COMMAND_OK);
    REQUIRE(print(&again, second, sizeof second) == n && memcmp(first, second, n) == 0);
}

static void take_line(struct str line, bool smtputf8)
{
    struct command c;
    enum command_error e = command_parse(line, smtputf8, &c);

    REQUIRE(e < COMMAND_ERRORS);
    REQUIRE(e != COMMAND_UNKNOWN || c.verb == VERB_UNKNOWN);
    if (e == COMMAND_OK && (c.verb == VERB_MAIL || c.verb == VERB_RCPT))
        require_same_again(&c, smtputf8);
}

/* Reads the stream in pieces of its own memory; parses the lines when `smtputf8` is not NULL. The octets of
 * all lines.
 */
static size_t read_lines(struct str in, struct cuts *cuts, const bool *smtputf8)
{
    struct line_reader r;
    enum line_event event = LINE_NONE;
    size_t total = 0;

    line_init(&r, LINE_LIMIT);
    while (in.n > 0 && event != LINE_FLOOD) {
        size_t n = cuts != NULL ? cut_next(cuts, in.n) : in.n, used;
        char *piece = malloc(n);

        REQUIRE(piece != NULL);
        memcpy(piece, in.p, n);
        for (size_t at = 0; at < n && event != LINE_FLOOD; at += used) {
            event = line_read(&r, str_from(piece + at, n - at), &used);
            REQUIRE(used > 0 && used <= n - at && r.held_size <= LINE_LIMIT + 1);
            if (event == LINE_READY) {
                total = total * 31 + r.line.n + 1;
                if (smtputf8 != NULL)
                    take_line(r.line, *smtputf8);
            }
        }
        free(piece);
        in = str_skip(in, n);
    }
    line_free(&r);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in;
    struct cuts cuts;
    bool smtputf8;

    if (size < 2)
        return 0;
    smtputf8 = data[0] & 1;
    cuts.state = data[1];
    in = str_from((const char *)data + 2, size - 2);
    REQUIRE(read_lines(in, &cuts, &smtputf8) == read_lines(in, NULL, NULL));
    return 0;
}
