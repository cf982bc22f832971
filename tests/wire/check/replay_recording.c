/* From a captured connection to its scripts: what can be played of it, and what of TLS a key log opens. See
 * replay.h. */
#include "replay.h"

#include "dialogue.h"
#include "proxy_header.h"

/* --- What is no SMTP --- */

/* FTP greets with 220, too, and takes QUIT: only what the client says tells it. */
static bool says_smtp(struct slice client)
{
    static const char *const verbs[] = { "EHLO", "HELO", "MAIL" };

    for (size_t at = 0; at < client.n; at = slice_find(client, SLICE("\n"), at) + 1) {
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
            struct slice word = slice_part(client, at, at + 4);
            bool has_end = at + 4 >= client.n || client.p[at + 4] <= ' ';
            if (has_end && slice_equal_nocase(word, slice_of(verbs[i])))
                return true;
        }
    }
    return false;
}

static const char *what_else(struct slice server, struct slice client)
{
    size_t at = 0;

    if (server.n == 0)
        return "nothing was said";
    int code = reply_next(server, &at);
    if (code / 100 != 2 && code / 100 != 4 && code / 100 != 5)
        return "no SMTP: the server does not begin with a reply";
    return says_smtp(client) ? NULL : "no SMTP: the client says neither EHLO, HELO nor MAIL";
}

/* Why a connection cannot be played, whatever it says. */
static const char *damage(const struct connection *c)
{
    if (c->is_refused)
        return "the connection was refused";
    if (c->stream[SERVER].octets.n == 0 && c->stream[CLIENT].octets.n > 0)
        return "one side only: no octet of the server was captured";
    return c->doubt;
}

/* --- Scripts --- */

static const struct stream *last_streams(const struct recording *r, const struct connection *c,
                                         const struct dialogue *d)
{
    return r->is_implicit_tls ? d->tls->plain : c->stream;
}

static void make_clear(struct recording *r, const struct connection *c, const struct dialogue *d,
                       const struct mapping *mapping)
{
    const struct stream *stream = last_streams(r, c, d);

    r->why_not =
        what_else(buffer_slice(&stream[SERVER].octets),
                  slice_part(buffer_slice(&stream[CLIENT].octets), r->is_implicit_tls ? 0 : r->proxy_header, SIZE_MAX));
    if (r->why_not)
        return;
    script_make(&r->part[0], stream, true, mapping);
    r->part_n = 1;
}

/* Behind STARTTLS. */
static void make_sealed(struct recording *r, const struct dialogue *d, const struct mapping *mapping)
{
    if (!r->part[0].has_starttls)
        return;
    if (d->tls == NULL || !d->tls->is_decrypted) {
        r->sealed = d->tls != NULL && d->tls->why_not != NULL ? d->tls->why_not : "its TLS does not begin";
        return;
    }
    script_make(&r->part[1], d->tls->plain, false, mapping);
    r->part_n = 2;
}

void recording_make(struct recording *r, const struct connection *c, const struct keylog *keys,
                    const struct mapping *mapping)
{
    struct slice client = buffer_slice(&c->stream[CLIENT].octets);
    struct dialogue_hints hints = { .may_have_proxy_header = true, .keys = keys };
    struct dialogue d;

    *r = (struct recording){ .why_not = damage(c), .proxy_header = proxy_header_length(client) };
    if (r->why_not)
        return;
    dialogue_read(&d, c, &hints);
    if (d.is_implicit_tls && d.tls != NULL && d.tls->is_decrypted && d.tls->is_established)
        r->is_implicit_tls = true;
    else if (d.is_implicit_tls || (client.n > r->proxy_header && client.p[r->proxy_header] == 0x16))
        r->why_not = "TLS from the first octet";
    if (!r->why_not)
        make_clear(r, c, &d, mapping);
    if (r->part_n && !r->is_implicit_tls)
        make_sealed(r, &d, mapping);
    dialogue_free(&d);
}

void recording_free(struct recording *r)
{
    for (size_t i = 0; i < r->part_n; i++)
        script_free(&r->part[i]);
    *r = (struct recording){ 0 };
}
