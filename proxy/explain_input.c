#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "../policy/header.h"
#include "date.h"
#include "explain_parts.h"
#include "input.h"
#include "received.h"

static int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(stderr, "postern: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    return status;
}

/* ---- the configuration ---- */

/* The presets with what an ini must say: a mail server, which is never spoken to, and as local domains those of the recipients
 * asked about.
 */
static char *preset_text(const struct explanation *e)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    if (out == NULL)
        return NULL;
    fprintf(out, "[server]\nhostname = postern.invalid\n[listen smtp]\naddress = 127.0.0.1:25\ntls = "
                 "off\n[backend]\nservers = 127.0.0.1\n[relay]\ndomains = postern.invalid");
    for (size_t i = 0; i < e->options->rcpts; i++)
        if (domain_is_valid(e->rcpt[i].domain))
            fprintf(out, "\n    %.*s", STR_ARG(e->rcpt[i].domain));
    fprintf(out, "\n");
    return fclose(out) == 0 ? text : NULL;
}

static struct config *preset_config(const struct explanation *e)
{
    struct config *config = NULL;
    char *text = preset_text(e), *said = NULL;
    size_t n;
    FILE *errors = text != NULL ? open_memstream(&said, &n) : NULL;

    if (errors != NULL) {
        config = config_parse(str_of(text), "presets", errors);
        fclose(errors);
        if (config == NULL)
            fprintf(stderr, "%s", said != NULL ? said : "");
    }
    free(said);
    free(text);
    return config;
}

static int read_config(struct explanation *e, const char *default_config)
{
    const char *path = e->options->config != NULL ? e->options->config : default_config;

    if (e->options->config == NULL && access(path, F_OK) != 0) {
        e->config = preset_config(e);
        e->config_name = NULL;
    } else {
        e->config = config_load(path, stderr);
        e->config_name = path;
    }
    return e->config != NULL ? 0 : EX_CONFIG;
}

/* ---- message and facts ---- */

static int decode_message(struct explanation *e, bool normalise)
{
    judge_message_free(&e->message);
    e->has_message = judge_message_read(&e->message, str_from(e->octets, e->octets_n), normalise);
    return e->has_message ? 0 : complain(EX_OSERR, "%s: out of memory", e->options->message);
}

static int read_message(struct explanation *e)
{
    if (e->options->message == NULL)
        return 0;
    e->octets = input_read(e->options->message, &e->octets_n);
    if (e->octets == NULL)
        return complain(EX_DATAERR, "%s: %s", e->options->message, strerror(errno));
    return decode_message(e, e->config->framing == FRAMING_NORMALISE);
}

/* Once the client is known: messages of some are repaired. */
static int mend_message(struct explanation *e)
{
    if (!e->has_message || e->message.fault == RULE_NONE || !message_is_normalised(e->config, &e->client.address))
        return 0;
    return decode_message(e, true);
}

static int read_facts(struct explanation *e)
{
    const char *path = e->options->facts;
    char *octets;
    unsigned line;
    bool fits;
    size_t n;

    if (path == NULL)
        return 0;
    octets = input_read(path, &n);
    if (octets == NULL)
        return complain(EX_DATAERR, "%s: %s", path, strerror(errno));
    line = judge_known_read(&e->known, str_from(octets, n), &e->known_memory, &fits);
    free(octets);
    if (!fits)
        return complain(EX_OSERR, "%s: out of memory", path);
    if (line != 0)
        return complain(EX_DATAERR, "%s:%u: not an answer, or a second one to the same question", path, line);
    return 0;
}

/* ---- the envelope, as given ---- */

bool explain_read_path(const char *text, enum path_kind kind, char room[PATH_ROOM], struct path *path)
{
    char in[2 * PATH_ROOM + 16];
    bool has_brackets = text[0] == '<';
    int n = snprintf(in, sizeof in, "%s%s%s", has_brackets ? "" : "<", text, has_brackets ? "" : ">");
    size_t used;

    if (n < 0 || (size_t)n >= sizeof in)
        return false;
    return path_parse(str_from(in, (size_t)n), kind, PATH_UTF8, room, path, &used) == PATH_OK && used == (size_t)n;
}

/* As the command parser takes it (RFC 5321 4.1.1.1). */
static bool set_helo(struct explanation *e, struct str helo)
{
    if (helo.n > 1 && helo.p[helo.n - 1] == '.')
        helo.n--;
    if (helo.n == 0 || helo.n >= sizeof e->helo || (!domain_is_valid(helo) && !address_literal_is_valid(helo)))
        return false;
    memcpy(e->helo, helo.p, helo.n);
    e->helo[helo.n] = '\0';
    return true;
}

static int read_given(struct explanation *e)
{
    const struct explain_options *o = e->options;

    if (o->ip != NULL && !address_parse(str_of(o->ip), &e->client.address))
        return complain(EX_USAGE, "--ip: '%s' is no address", o->ip);
    if (o->helo != NULL && !set_helo(e, str_of(o->helo)))
        return complain(EX_USAGE, "--helo: '%s' is no domain name and no address literal", o->helo);
    if (o->mail_from != NULL && !explain_read_path(o->mail_from, PATH_REVERSE, e->mail_from_room, &e->mail_from))
        return complain(EX_USAGE, "--mail-from: '%s' is no address", o->mail_from);
    for (size_t i = 0; i < o->rcpts; i++)
        if (!explain_read_path(o->rcpt[i], PATH_FORWARD, e->rcpt_room[i], &e->rcpt[i]))
            return complain(EX_USAGE, "--rcpt: '%s' is no address", o->rcpt[i]);
    e->now = time(NULL);
    if (o->now != NULL && !date_read(str_of(o->now), &e->now))
        return complain(EX_USAGE, "--now: '%s' is neither seconds nor a date", o->now);
    return 0;
}

/* ---- the envelope, as the message tells it ---- */

/* The first field of a name: the newest, since trace fields are put in front. `*n` counts all of them. */
static bool first_field(const struct explanation *e, struct str name, struct header_field *out, size_t *n)
{
    struct str rest = e->message.header;
    struct header_field field;

    *n = 0;
    while (e->has_message && header_next(&rest, &field))
        if (header_is(&field, name) && (*n)++ == 0)
            *out = field;
    return *n > 0;
}

static int find_client(struct explanation *e)
{
    struct received received = { 0 };
    struct header_field field;
    size_t n;

    if (e->options->ip != NULL && e->options->helo != NULL)
        return 0;
    if (first_field(e, STR("Received"), &field, &n))
        received_read(field.value, &received);
    if (e->options->ip == NULL) {
        if (received.addresses != 1)
            return complain(EX_USAGE, "--ip is needed: the newest Received field names %s client address",
                            received.addresses > 1 ? "more than one" : "no");
        e->client.address = received.address;
        e->ip_from = "newest Received field";
    }
    if (e->options->helo == NULL) {
        if (!set_helo(e, received.helo))
            return complain(EX_USAGE, "--helo is needed: the newest Received field names none");
        e->helo_from = "newest Received field";
    }
    return 0;
}

static int find_mail_from(struct explanation *e)
{
    struct header_field field;
    size_t n;
    char text[PATH_ROOM + 64];

    if (e->options->mail_from != NULL)
        return 0;
    if (!first_field(e, STR("Return-Path"), &field, &n) || n != 1)
        return complain(EX_USAGE, "--mail-from is needed: the message has %s Return-Path field",
                        n > 1 ? "more than one" : "no");
    snprintf(text, sizeof text, "%.*s",
             (int)(str_trim(field.value).n < sizeof text ? str_trim(field.value).n : sizeof text - 1),
             str_trim(field.value).p);
    if (text[0] != '<' || !explain_read_path(text, PATH_REVERSE, e->mail_from_room, &e->mail_from))
        return complain(EX_USAGE, "--mail-from is needed: the Return-Path field cannot be read");
    e->mail_from_from = "Return-Path field";
    return 0;
}

int explain_read(struct explanation *e, const char *default_config)
{
    int status = read_given(e);

    if (status == 0)
        status = read_config(e, default_config);
    if (status == 0)
        status = read_message(e);
    if (status == 0)
        status = read_facts(e);
    if (status == 0)
        status = find_client(e);
    if (status == 0)
        status = mend_message(e);
    return status == 0 ? find_mail_from(e) : status;
}

void explain_drop(struct explanation *e)
{
    judge_end(&e->judge);
    judge_message_free(&e->message);
    free(e->octets);
    free(e->known_memory);
    geoip_free(e->geo);
    config_free(e->config);
}
