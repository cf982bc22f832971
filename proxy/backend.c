#include "backend.h"

#include <stdio.h>

#include "proxy_protocol.h"

enum { COMMAND_ROOM = 4096 };
#define NEVER UINT64_MAX

void backend_open(struct backend *b, const struct config *config, const struct route *route,
                  const struct endpoint *server, const struct backend_client *client, struct chain *out,
                  struct pool *pool, uint64_t now)
{
    *b = (struct backend){
        .state = BACKEND_CONNECTING,
        .config = config,
        .route = route,
        .server = server,
        .client = client,
        .out = out,
        .pool = pool,
        .deadline = now + config->timeouts.connect,
        .why = "",
    };
    reply_reader_init(&b->reader);
}

bool backend_is_open(const struct backend *b)
{
    return b->state == BACKEND_READY || b->state == BACKEND_BODY;
}

bool backend_takes(const struct backend *b)
{
    return b->state == BACKEND_READY && (b->asked_n == 0 || (b->caps.bits & CAP_PIPELINING) != 0);
}

static enum backend_event end_with(struct backend *b, const char *why)
{
    bool was_open = backend_is_open(b) || b->state == BACKEND_BROKEN;
    bool was_leaving = b->state == BACKEND_QUITTING || b->state == BACKEND_CLOSED;

    b->state = BACKEND_CLOSED;
    b->deadline = NEVER;
    b->asked_n = 0;
    b->start_tls = false;
    b->why = why;
    if (was_leaving)
        return BACKEND_IDLE;
    return was_open ? BACKEND_LOST : BACKEND_UNUSABLE;
}

enum backend_event backend_failed(struct backend *b, const char *why)
{
    b->was_reply = false;
    return end_with(b, b->state == BACKEND_BROKEN ? "out of memory" : why);
}

enum backend_event backend_expired(struct backend *b, uint64_t now)
{
    static const char *const why[] = {
        [BACKEND_CONNECTING] = "connect timed out", [BACKEND_GREETING] = "no greeting in time",
        [BACKEND_TLS] = "TLS handshake timed out",  [BACKEND_BODY] = "back end does not read the message",
        [BACKEND_BROKEN] = "out of memory",
    };
    const char *text = b->state < sizeof why / sizeof why[0] ? why[b->state] : NULL;

    if (now < b->deadline)
        return BACKEND_IDLE;
    b->was_reply = false;
    return end_with(b, text != NULL ? text : "no reply in time");
}

/* Printing may fail only for want of memory. A command that is not on the wire must not be waited for as if it
 * were: the machine is broken from here on, and its owner is told at once through the deadline.
 */
static void put(struct backend *b, struct str line)
{
    if (b->state == BACKEND_BROKEN || chain_put(b->out, b->pool, line, CHAIN_FORCE))
        return;
    b->state = BACKEND_BROKEN;
    b->deadline = 0;
}

static void await(struct backend *b, enum backend_state state, uint64_t timeout_ms, uint64_t now)
{
    if (b->state == BACKEND_BROKEN)
        return;
    b->state = state;
    b->deadline = now + timeout_ms;
}

static void send_hello(struct backend *b, const char *verb, enum backend_state state, uint64_t now)
{
    char line[300];
    int n = snprintf(line, sizeof line, "%s %.*s\r\n", verb, STR_ARG(b->config->hostname));

    put(b, str_from(line, (size_t)n));
    await(b, state, b->config->timeouts.south_command, now);
}

/* A probe has no client: its header says that the connection speaks for itself (UNKNOWN in version 1, LOCAL in 2). */
static struct str proxy_header_of_probe(int version)
{
    return version == 1 ? STR("PROXY UNKNOWN\r\n") : STR("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
}

static void send_proxy_header(struct backend *b)
{
    char header[PROXY_HEADER_MAX];
    int version = b->route->client_info == CLIENT_INFO_PROXY_V1 ? 1 : 2;

    if (b->route->client_info != CLIENT_INFO_PROXY_V1 && b->route->client_info != CLIENT_INFO_PROXY_V2)
        return;
    if (b->client == NULL)
        put(b, proxy_header_of_probe(version));
    else
        put(b, str_from(header, proxy_header_print(version, &b->client->client, &b->client->server, header)));
}

enum backend_event backend_connected(struct backend *b, uint64_t now)
{
    b->connected = true;
    send_proxy_header(b);
    await(b, BACKEND_GREETING, b->config->timeouts.greeting, now);
    return BACKEND_IDLE;
}

enum backend_event backend_secured(struct backend *b, uint64_t now)
{
    b->tls_done = true;
    send_hello(b, "EHLO", BACKEND_EHLO, now); /* RFC 3207 4.2: what was learnt before is void */
    return BACKEND_IDLE;
}

/* ---- EHLO ---- */

static void cap_size(struct str rest, struct backend_caps *caps)
{
    unsigned long long size;

    caps->bits |= CAP_SIZE;
    caps->size = str_to_u64(str_trim(rest), INT64_MAX, &size) ? size : 0;
}

static void cap_limits(struct str rest, struct backend_caps *caps)
{
    struct str word;
    unsigned long long n;

    while (str_word(&rest, &word)) /* RFC 9422 */
        if (str_istarts(word, STR("RCPTMAX=")) && str_to_u64(str_skip(word, 8), UINT32_MAX, &n) && n > 0)
            caps->rcpt_max = n;
}

static void cap_xclient(struct str rest, struct backend_caps *caps)
{
    static const struct {
        struct str name;
        unsigned bit;
    } rows[] = {
        { STR_INIT("ADDR"), XCLIENT_ADDR }, { STR_INIT("PORT"), XCLIENT_PORT },   { STR_INIT("NAME"), XCLIENT_NAME },
        { STR_INIT("HELO"), XCLIENT_HELO }, { STR_INIT("PROTO"), XCLIENT_PROTO }, { STR_INIT("LOGIN"), XCLIENT_LOGIN },
    };
    struct str word;

    caps->bits |= CAP_XCLIENT;
    while (str_word(&rest, &word))
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (str_ieq(word, rows[i].name))
                caps->xclient |= rows[i].bit;
}

static void cap_auth(struct str rest, struct backend_caps *caps)
{
    struct str word;
    size_t n = 0;

    while (str_word(&rest, &word) && n + word.n + 2 < sizeof caps->auth) {
        if (n > 0)
            caps->auth[n++] = ' ';
        for (size_t i = 0; i < word.n; i++)
            caps->auth[n++] = (char)(word.p[i] >= 'a' && word.p[i] <= 'z' ? word.p[i] - 32 : word.p[i]);
    }
    caps->auth[n] = '\0';
    if (n > 0)
        caps->bits |= CAP_AUTH;
}

static void cap_read(struct str line, struct backend_caps *caps)
{
    static const struct {
        struct str keyword;
        unsigned bit;
        void (*read)(struct str rest, struct backend_caps *);
    } rows[] = {
        { STR_INIT("PIPELINING"), CAP_PIPELINING, NULL },
        { STR_INIT("8BITMIME"), CAP_8BITMIME, NULL },
        { STR_INIT("SMTPUTF8"), CAP_SMTPUTF8, NULL },
        { STR_INIT("DSN"), CAP_DSN, NULL },
        { STR_INIT("CHUNKING"), CAP_CHUNKING, NULL },
        { STR_INIT("BINARYMIME"), CAP_BINARYMIME, NULL },
        { STR_INIT("STARTTLS"), CAP_STARTTLS, NULL },
        { STR_INIT("ENHANCEDSTATUSCODES"), CAP_ENHANCED, NULL },
        { STR_INIT("SIZE"), 0, cap_size },
        { STR_INIT("LIMITS"), 0, cap_limits },
        { STR_INIT("XCLIENT"), 0, cap_xclient },
        { STR_INIT("AUTH"), 0, cap_auth },
    };
    struct str keyword = str_from(line.p, str_find(line, ' '));

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!str_ieq(keyword, rows[i].keyword))
            continue;
        caps->bits |= rows[i].bit;
        if (rows[i].read != NULL)
            rows[i].read(str_skip(line, keyword.n), caps);
    }
}

void backend_caps_read(struct str text, struct backend_caps *caps)
{
    bool is_first = true; /* the first line is the server's name and greeting, RFC 5321 4.1.1.1 */

    *caps = (struct backend_caps){ .known = true };
    while (text.n > 0) {
        struct str line = str_from(text.p, str_find(text, '\n'));

        if (!is_first)
            cap_read(line, caps);
        is_first = false;
        text = str_skip(text, line.n < text.n ? line.n + 1 : line.n);
    }
    if (!(caps->bits & CAP_CHUNKING)) /* RFC 3030 3: BINARYMIME means nothing without CHUNKING */
        caps->bits &= ~(unsigned)CAP_BINARYMIME;
}

/* ---- from the greeting to READY ---- */

/* "ADDR=IPV6:2001:db8::1" (Postfix XCLIENT_README); IPv4 plain. */
static int xclient_address(const struct backend *b, char *out, size_t size)
{
    char text[ADDRESS_TEXT_MAX];

    address_print(&b->client->client.address, text);
    return snprintf(out, size, " ADDR=%s%s", address_is_v4(&b->client->client.address) ? "" : "IPV6:", text);
}

static size_t xclient_helo(const struct backend *b, char *out, size_t size)
{
    char xtext[800];
    size_t n = xtext_print(b->client->helo, xtext, sizeof xtext);

    if (n == 0)
        return 0;
    return (size_t)snprintf(out, size, " HELO=%.*s", (int)n, xtext);
}

static void send_xclient(struct backend *b, uint64_t now)
{
    char line[COMMAND_ROOM] = "XCLIENT";
    size_t n = 7;
    unsigned offered = b->caps.xclient;

    if (offered & XCLIENT_NAME)
        n += (size_t)snprintf(line + n, sizeof line - n, " NAME=[UNAVAILABLE]");
    if (offered & XCLIENT_ADDR)
        n += (size_t)xclient_address(b, line + n, sizeof line - n);
    if (offered & XCLIENT_PORT)
        n += (size_t)snprintf(line + n, sizeof line - n, " PORT=%u", (unsigned)b->client->client.port);
    if (offered & XCLIENT_HELO)
        n += xclient_helo(b, line + n, sizeof line - n);
    if (offered & XCLIENT_PROTO)
        n += (size_t)snprintf(line + n, sizeof line - n, " PROTO=%s", b->client->is_esmtp ? "ESMTP" : "SMTP");
    n += (size_t)snprintf(line + n, sizeof line - n, "\r\n");
    put(b, str_from(line, n));
    await(b, BACKEND_XCLIENT, b->config->timeouts.south_command, now);
}

static enum backend_event opened(struct backend *b)
{
    if (b->state == BACKEND_BROKEN)
        return BACKEND_IDLE;
    b->state = BACKEND_READY;
    b->deadline = NEVER;
    return BACKEND_OPENED;
}

static enum backend_event start_tls(struct backend *b, uint64_t now)
{
    put(b, STR("STARTTLS\r\n"));
    await(b, BACKEND_STARTTLS, b->config->timeouts.south_command, now);
    return BACKEND_IDLE;
}

/* TLS is as it should be (or will not be had): hand over the client's address, or be ready. The configured
 * hand-over must work: a back end that took Postern's own address for the client's would trust the whole Internet
 * as its neighbour.
 */
static enum backend_event introduce(struct backend *b, uint64_t now)
{
    if (b->client == NULL || b->xclient_done || b->route->client_info != CLIENT_INFO_XCLIENT)
        return opened(b);
    if (!(b->caps.xclient & XCLIENT_ADDR))
        return backend_failed(b, "back end does not offer XCLIENT");
    send_xclient(b, now);
    return BACKEND_IDLE;
}

static enum backend_event hello_done(struct backend *b, uint64_t now)
{
    bool offers_tls = (b->caps.bits & CAP_STARTTLS) != 0;

    if (!b->tls_done && b->route->tls == SOUTH_TLS_REQUIRED && !offers_tls)
        return backend_failed(b, "back end does not offer STARTTLS"); /* T-8: stripped or gone, never in clear */
    if (!b->tls_done && b->route->tls != SOUTH_TLS_OFF && offers_tls)
        return start_tls(b, now);
    return introduce(b, now);
}

static enum backend_event refused(struct backend *b, const char *why)
{
    b->was_reply = true;
    return end_with(b, why);
}

static enum backend_event on_greeting(struct backend *b, uint64_t now)
{
    if (b->reply.code != 220)
        return refused(b, "back end refuses connections");
    send_hello(b, "EHLO", BACKEND_EHLO, now);
    return BACKEND_IDLE;
}

static enum backend_event on_ehlo(struct backend *b, uint64_t now)
{
    if (b->reply.code == 250) {
        backend_caps_read(b->reply.text, &b->caps);
        return hello_done(b, now);
    }
    if (b->reply.code / 100 != 5 || b->tls_done)
        return refused(b, "back end refuses EHLO");
    send_hello(b, "HELO", BACKEND_HELO, now); /* RFC 5321 3.2: a server of RFC 821 */
    return BACKEND_IDLE;
}

static enum backend_event on_helo(struct backend *b, uint64_t now)
{
    if (b->reply.code != 250)
        return refused(b, "back end refuses HELO");
    b->caps = (struct backend_caps){ .known = true };
    return hello_done(b, now);
}

static enum backend_event on_starttls(struct backend *b, uint64_t now)
{
    if (b->reply.code == 220) {
        b->start_tls = true;
        await(b, BACKEND_TLS, b->config->timeouts.tls_handshake, now);
        return BACKEND_IDLE;
    }
    if (b->route->tls == SOUTH_TLS_REQUIRED)
        return refused(b, "back end refuses STARTTLS");
    return introduce(b, now);
}

static enum backend_event on_xclient(struct backend *b, uint64_t now)
{
    if (b->reply.code != 220)
        return refused(b, "back end refuses XCLIENT");
    b->xclient_done = true;
    send_hello(b, "EHLO", BACKEND_EHLO, now); /* the session starts over, Postfix XCLIENT_README */
    return BACKEND_IDLE;
}

/* ---- commands ---- */

static void ask(struct backend *b, enum backend_ask what, struct str line, uint64_t timeout_ms, uint64_t now)
{
    put(b, line);
    if (b->state == BACKEND_BROKEN)
        return;
    if (b->asked_n == BACKEND_ASKED_MAX) {
        b->state = BACKEND_BROKEN;
        b->deadline = 0;
        return;
    }
    b->asked[b->asked_n++] = what;
    b->deadline = now + timeout_ms;
}

void backend_reset(struct backend *b, uint64_t now)
{
    if (!b->in_transaction || b->state != BACKEND_READY)
        return;
    b->in_transaction = false;
    ask(b, ASKED_RSET, STR("RSET\r\n"), b->config->timeouts.south_command, now);
}

void backend_mail(struct backend *b, const struct mail_command *mail, unsigned use, uint64_t now)
{
    char line[COMMAND_ROOM];

    b->in_transaction = true;
    ask(b, ASKED_MAIL, str_from(line, command_print_mail(mail, use, line, sizeof line)),
        b->config->timeouts.south_command, now);
}

void backend_rcpt(struct backend *b, const struct rcpt_command *rcpt, unsigned use, uint64_t now)
{
    char line[COMMAND_ROOM];

    ask(b, ASKED_RCPT, str_from(line, command_print_rcpt(rcpt, use, line, sizeof line)),
        b->config->timeouts.south_command, now);
}

void backend_data(struct backend *b, uint64_t now)
{
    ask(b, ASKED_DATA, STR("DATA\r\n"), b->config->timeouts.south_data_start, now);
}

void backend_end(struct backend *b, uint64_t timeout_ms, uint64_t now)
{
    ask(b, ASKED_END, STR(".\r\n"), timeout_ms, now);
    if (b->state == BACKEND_BODY)
        b->state = BACKEND_READY;
}

void backend_bdat(struct backend *b, uint64_t n, bool last, uint64_t timeout_ms, uint64_t now)
{
    char line[48];
    int length = snprintf(line, sizeof line, "BDAT %llu%s\r\n", (unsigned long long)n, last ? " LAST" : "");

    ask(b, last ? ASKED_END : ASKED_BDAT, str_from(line, (size_t)length), timeout_ms, now);
}

void backend_auth(struct backend *b, struct str line, uint64_t now)
{
    put(b, line);
    ask(b, ASKED_AUTH, STR("\r\n"), b->config->timeouts.south_command, now);
}

void backend_quit(struct backend *b, uint64_t now)
{
    enum { PATIENCE_MS = 5000 };
    uint64_t longest = b->config->timeouts.south_command;

    if (b->state != BACKEND_READY)
        return;
    put(b, STR("QUIT\r\n"));
    await(b, BACKEND_QUITTING, longest < PATIENCE_MS ? longest : PATIENCE_MS, now);
}

void backend_progress(struct backend *b, uint64_t now)
{
    if (b->state == BACKEND_BODY && b->asked_n == 0)
        b->deadline = b->out->n > 0 ? now + b->config->timeouts.south_block : NEVER;
}

/* Which replies a command may have (RFC 5321 4.3.2). Any other means that the two sides no longer speak of the
 * same thing.
 */
static bool fits(enum backend_ask asked, int code)
{
    int class = code / 100;

    if (class == 4 || class == 5)
        return true;
    if (asked == ASKED_DATA)
        return code == 354;
    if (asked == ASKED_AUTH)
        return code == 334 || code == 235;
    return class == 2;
}

static enum backend_event answered(struct backend *b, uint64_t now)
{
    enum backend_ask what = b->asked[0];

    if (!fits(what, b->reply.code))
        return refused(b, "back end desync: the reply does not fit the command");
    if (b->asked_n == 1 && b->out->n > 0) /* X15: it cannot have read what it answers */
        return refused(b, "back end desync: a reply to what is not sent yet");
    b->asked_n--;
    memmove(b->asked, b->asked + 1, b->asked_n * sizeof b->asked[0]);
    b->deadline = b->asked_n > 0 ? now + b->config->timeouts.south_command : NEVER;
    b->replied_to = what;
    if (what == ASKED_RSET && b->reply.code != 250)
        return refused(b, "back end refuses RSET");
    if (what == ASKED_END || (what == ASKED_MAIL && b->reply.code / 100 != 2))
        b->in_transaction = false;
    if (what == ASKED_DATA && b->reply.code == 354)
        b->state = BACKEND_BODY;
    return BACKEND_REPLIED;
}

static enum backend_event on_ready(struct backend *b, uint64_t now)
{
    if (b->asked_n == 0)
        return refused(b, b->state == BACKEND_BODY ? "back end desync: a reply before the end of data"
                                                   : "back end desync: a reply nobody asked for");
    return answered(b, now);
}

static enum backend_event on_quit(struct backend *b, uint64_t now)
{
    (void)now;
    return end_with(b, "");
}

static enum backend_event on_reply(struct backend *b, uint64_t now)
{
    static enum backend_event (*const step[])(struct backend *, uint64_t) = {
        [BACKEND_GREETING] = on_greeting, [BACKEND_EHLO] = on_ehlo,       [BACKEND_HELO] = on_helo,
        [BACKEND_STARTTLS] = on_starttls, [BACKEND_XCLIENT] = on_xclient, [BACKEND_READY] = on_ready,
        [BACKEND_BODY] = on_ready,        [BACKEND_QUITTING] = on_quit,
    };

    if (b->reply.code == 421) /* RFC 5321 3.8: the server is about to close, whatever was asked */
        return refused(b, "back end closes with 421");
    return step[b->state](b, now);
}

static bool may_read(const struct backend *b)
{
    return b->state != BACKEND_CONNECTING && b->state != BACKEND_TLS && !b->excess;
}

enum backend_event backend_input(struct backend *b, struct str in, size_t *used, uint64_t now)
{
    enum backend_event event;

    *used = in.n;
    b->was_reply = false;
    if (b->state == BACKEND_CLOSED)
        return BACKEND_IDLE;
    if (b->state == BACKEND_BROKEN)
        return backend_failed(b, "out of memory");
    if (!may_read(b)) /* T-8: also what stands in clear behind the 220 of STARTTLS */
        return backend_failed(b, "back end desync: bytes nobody asked for");
    switch (reply_read(&b->reader, in, used)) {
    case REPLY_NONE: return BACKEND_IDLE;
    case REPLY_BROKEN: return backend_failed(b, "back end desync: malformed reply");
    case REPLY_READY: break;
    }
    b->reply = reply_take(&b->reader);
    event = on_reply(b, now);
    b->excess = *used < in.n && b->asked_n == 0 && b->state != BACKEND_QUITTING;
    return event;
}
