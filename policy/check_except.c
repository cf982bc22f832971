/* [except NAME]: who is not objected to. Nothing is checked here; rule.c looks into the list. */
#include "rule.h"

/* Never called: it has no stage. */
static void run(struct pass *pass)
{
    (void)pass;
}

#define AT(field) offsetof(struct exception, field)

/* clang-format off */
static const struct option rows[] = {
    { .section = "except", .key = "checks", .type = OPTION_WORDS, .offset = AT(checks),
      .help = "Checks that are not to object, by the names of their sections. When left out, all that have a mode." },
    { .section = "except", .key = "networks", .type = OPTION_NETWORKS, .offset = AT(networks), .help = "Clients in these networks." },
    { .section = "except", .key = "countries", .type = OPTION_WORDS, .offset = AT(countries),
      .help = "Clients in these countries, by two letters (ISO 3166). Needs [geo] country_database." },
    { .section = "except", .key = "asns", .type = OPTION_WORDS, .offset = AT(asns),
      .help = "Clients in these autonomous systems, such as AS64500. Needs [geo] asn_database." },
    { .section = "except", .key = "senders", .type = OPTION_DOMAINS, .offset = AT(senders),
      .help = "Mail from these domains in MAIL FROM. Anybody can write there what he likes, so give networks or asns, too. "
              "What is refused before MAIL does not know it." },
    { .section = "except", .key = "recipients", .type = OPTION_DOMAINS, .offset = AT(recipients),
      .help = "Mail to these domains. Checks of the whole message do not know it." },
};

static const struct repeated lists[] = {
    { "except", "partner", rows, sizeof rows / sizeof *rows, offsetof(struct policy, exceptions), sizeof(struct exception), 64,
      "An exception. Everything given must hold: networks and senders together stand for these senders from these networks. "
      "Another section is another exception. Authenticated clients, those in [relay] networks, and mail for the postmaster "
      "need none." },
};
/* clang-format on */

const struct check check_except = {
    .name = "except",
    .run = run,
    .lists = lists,
    .lists_n = sizeof lists / sizeof *lists,
};
