/* tls_streams CAPTURE [KEYLOG]: what each TCP connection of a capture carries in TLS, from its first octet on.
 *
 * For people who wonder, and for tests/wire/tls_compare, which compares it with tshark's. Three lines each: what it
 * is, and the octets of either side in hexadecimal. */
#include <stdio.h>

#include "flow.h"
#include "tls.h"

enum { EXIT_USAGE = 64 };

static void print_stream(const char *who, const struct stream *s)
{
    printf("%s ", who);
    for (size_t i = 0; i < s->octets.n; i++)
        printf("%02x", s->octets.p[i]);
    printf("\n");
}

static void print_session(const struct connection *c, const struct tls_session *t)
{
    char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

    printf("session %s %s %s %s %s%s", endpoint_print(&c->end[CLIENT], client), endpoint_print(&c->end[SERVER], server),
           tls_version_name(t->version), tls_suite_name(t->suite), tls_group_name(t->group),
           t->is_established ? " established" : "");
    printf("%s%s%s tickets=%u renegotiations=%u hellos=%u %s\n", t->is_resumed ? " resumed" : "",
           t->is_hrr ? " retry" : "", t->is_renegotiated ? " renegotiated" : "", t->tickets, t->renegotiations,
           t->client_hellos, t->is_decrypted ? "decrypted" : t->why_not);
    print_stream("client", &t->plain[CLIENT]);
    print_stream("server", &t->plain[SERVER]);
}

int main(int argc, char **argv)
{
    static const size_t start[2] = { 0, 0 };
    struct capture capture;
    struct flows flows;

    if (argc < 2 || argc > 3)
        die(EXIT_USAGE, "usage: tls_streams CAPTURE [KEYLOG]");
    struct keylog *keys = argc == 3 ? keylog_read(argv[2]) : NULL;
    capture_read(&capture, argv[1], true);
    flows_read(&flows, &capture, 0);
    for (size_t i = 0; i < flows.n; i++) {
        struct tls_session t;

        tls_read(&t, &flows.connection[i], start, keys);
        print_session(&flows.connection[i], &t);
        tls_free(&t);
    }
    flows_free(&flows);
    capture_free(&capture);
    keylog_free(keys);
    return 0;
}
