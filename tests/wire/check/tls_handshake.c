/* Handshake messages, read with a cursor that cannot leave its slice. See tls_handshake.h. */
#include "tls_handshake.h"

#include <string.h>

enum {
    MESSAGE_HEADER = 4,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_EXTENDED_MASTER_SECRET = 23,
    EXTENSION_PRE_SHARED_KEY = 41,
    EXTENSION_EARLY_DATA = 42,
    EXTENSION_SUPPORTED_VERSIONS = 43,
    EXTENSION_KEY_SHARE = 51,
    EXTENSION_RENEGOTIATION_INFO = 0xFF01,
    SUITE_RENEGOTIATION_INFO = 0x00FF, /* TLS_EMPTY_RENEGOTIATION_INFO_SCSV, RFC 5746 3.3 */
    CURVE_NAMED = 3
};

/* --- Messages out of records ------------------------------------------------------------------------------------- */

/* Only what is not a message yet is kept: a stream of small messages needs no more memory than the largest. */
void handshake_add(struct handshake_queue *q, struct slice octets)
{
    if (q->at == q->octets.n)
        q->at = q->octets.n = 0;
    buffer_add(&q->octets, octets.p, octets.n);
}

bool handshake_next(struct handshake_queue *q, struct handshake_message *m)
{
    struct slice left = slice_part(buffer_slice(&q->octets), q->at, q->octets.n);

    if (left.n < MESSAGE_HEADER)
        return false;
    size_t n = (size_t)left.p[1] << 16 | (size_t)left.p[2] << 8 | left.p[3];
    if (n > left.n - MESSAGE_HEADER)
        return false;
    m->type = left.p[0];
    m->body = slice_part(left, MESSAGE_HEADER, MESSAGE_HEADER + n);
    q->at += MESSAGE_HEADER + n;
    return true;
}

bool handshake_is_idle(const struct handshake_queue *q)
{
    return q->at == q->octets.n;
}

/* --- A cursor ---------------------------------------------------------------------------------------------------- */

struct cursor {
    struct slice left;
    bool failed; /* something was not there; all that is taken afterwards is zero and empty */
};

static struct slice take(struct cursor *c, size_t n)
{
    if (n > c->left.n) {
        c->failed = true;
        c->left.n = 0;
        return (struct slice){ NULL, 0 };
    }
    struct slice taken = slice_part(c->left, 0, n);
    c->left = slice_part(c->left, n, c->left.n);
    return taken;
}

/* A number of `n` octets, big-endian. */
static size_t take_number(struct cursor *c, size_t n)
{
    struct slice s = take(c, n);
    size_t number = 0;

    for (size_t i = 0; i < s.n; i++)
        number = number << 8 | s.p[i];
    return number;
}

/* A vector behind its length of `length_n` octets. */
static struct slice take_vector(struct cursor *c, size_t length_n)
{
    return take(c, take_number(c, length_n));
}

static void take_random(struct cursor *c, uint8_t random[32])
{
    struct slice s = take(c, 32);

    if (s.n == 32)
        memcpy(random, s.p, 32);
}

/* Takes one extension; false at the end, and where the rest makes no sense. */
static bool take_extension(struct cursor *c, size_t *type, struct slice *content)
{
    if (c->left.n == 0)
        return false;
    *type = take_number(c, 2);
    *content = take_vector(c, 2);
    return !c->failed;
}

static size_t number_of(struct slice s)
{
    return take_number(&(struct cursor){ .left = s }, 2);
}

/* --- Hellos ------------------------------------------------------------------------------------------------------ */

/* RFC 6066 3: the first name of type host_name. A report must not carry control characters. */
static void read_server_name(struct slice content, char name[256])
{
    struct cursor c = { .left = content };
    struct cursor list = { .left = take_vector(&c, 2) };

    if (take_number(&list, 1) != 0)
        return;
    struct slice host = take_vector(&list, 2);
    size_t n = host.n < 255 ? host.n : 255;
    for (size_t i = 0; i < n; i++)
        name[i] = host.p[i] > ' ' && host.p[i] <= '~' ? (char)host.p[i] : '?';
    name[n] = '\0';
}

static bool has_suite(struct slice suites, unsigned suite)
{
    for (size_t i = 0; i + 2 <= suites.n; i += 2)
        if (((unsigned)suites.p[i] << 8 | suites.p[i + 1]) == suite)
            return true;
    return false;
}

bool client_hello_read(struct client_hello *h, struct slice body)
{
    struct cursor c = { .left = body };
    size_t type;
    struct slice content;

    *h = (struct client_hello){ 0 };
    (void)take_number(&c, 2); /* legacy version */
    take_random(&c, h->random);
    h->session_id = take_vector(&c, 1);
    h->has_renegotiation_info = has_suite(take_vector(&c, 2), SUITE_RENEGOTIATION_INFO);
    (void)take_vector(&c, 1); /* compression methods */
    if (c.failed)
        return false;
    struct cursor extensions = { .left = take_vector(&c, 2) };
    while (take_extension(&extensions, &type, &content)) {
        if (type == EXTENSION_SERVER_NAME)
            read_server_name(content, h->server_name);
        else if (type == EXTENSION_EARLY_DATA)
            h->has_early_data = true;
        else if (type == EXTENSION_EXTENDED_MASTER_SECRET)
            h->has_ems = true;
        else if (type == EXTENSION_RENEGOTIATION_INFO)
            h->has_renegotiation_info = true;
    }
    return true;
}

static void read_server_extension(struct server_hello *h, size_t type, struct slice content)
{
    switch (type) {
    case EXTENSION_EXTENDED_MASTER_SECRET: h->has_ems = true; break;
    case EXTENSION_PRE_SHARED_KEY: h->has_psk = true; break;
    case EXTENSION_RENEGOTIATION_INFO: h->has_renegotiation_info = true; break;
    case EXTENSION_SUPPORTED_VERSIONS: h->version = (uint16_t)number_of(content); break;
    case EXTENSION_KEY_SHARE: h->group = (uint16_t)number_of(content); break;
    default: break;
    }
}

/* RFC 8446 4.1.3: the SHA-256 of "HelloRetryRequest" */
static const uint8_t retry_random[32] = { 0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C,
                                          0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB,
                                          0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C };

bool server_hello_read(struct server_hello *h, struct slice body)
{
    struct cursor c = { .left = body };
    size_t type;
    struct slice content;

    *h = (struct server_hello){ 0 };
    h->version = (uint16_t)take_number(&c, 2);
    take_random(&c, h->random);
    h->session_id = take_vector(&c, 1);
    h->suite = (uint16_t)take_number(&c, 2);
    h->compression = (uint8_t)take_number(&c, 1);
    if (c.failed)
        return false;
    struct cursor extensions = { .left = take_vector(&c, 2) };
    while (take_extension(&extensions, &type, &content))
        read_server_extension(h, type, content);
    h->is_retry = memcmp(h->random, retry_random, sizeof retry_random) == 0;
    return true;
}

/* --- The others -------------------------------------------------------------------------------------------------- */

uint16_t key_exchange_group(struct slice body)
{
    struct cursor c = { .left = body };

    if (take_number(&c, 1) != CURVE_NAMED)
        return 0;
    return (uint16_t)take_number(&c, 2);
}

bool extensions_have_early_data(struct slice body)
{
    struct cursor c = { .left = body };
    struct cursor extensions = { .left = take_vector(&c, 2) };
    size_t type;
    struct slice content;

    while (take_extension(&extensions, &type, &content))
        if (type == EXTENSION_EARLY_DATA)
            return true;
    return false;
}

bool ticket_has_early_data(struct slice body)
{
    struct cursor c = { .left = body };

    (void)take(&c, 8);        /* lifetime, what is added to the age */
    (void)take_vector(&c, 1); /* nonce */
    (void)take_vector(&c, 2); /* ticket */
    return extensions_have_early_data(c.left);
}
