/* For tests of the checks of names: an operator's ini, a client, what the DNS says, and what one check makes of it.
 *
 *     kit_operator("[rdns]\nmode = reject\n");
 *     kit_client("203.0.113.9", "helo.example", "<a@sender.example>", "<b@local.example>");
 *     kit_judge(&check_rdns, AT_RCPT, "PTR 9.113.0.203.in-addr.arpa OK host.example\n", false)->code
 *
 * Whatever is not said does not exist. Answers come all at once, or one a pass and the last first.
 */
#ifndef TESTS_NAMES_KIT_H
#define TESTS_NAMES_KIT_H

#include "policy/rule.h"
#include "proxy/config.h"

#include <stdlib.h>

#include "test.h"

static struct kit {
    struct config *config;
    struct outcome outcome;
    struct envelope envelope;
    struct path mail_from, rcpt;
    char from_room[PATH_ROOM], rcpt_room[PATH_ROOM], memory[POLICY_ARENA_SIZE], fact_memory[FACTS_ROOM_BYTES];
    struct fact table[FACTS_ROOM_MAX];
    struct facts facts;
} kit;

static inline void kit_operator(const char *ini)
{
    static const char base[] = "[server]\nhostname = mx.example.org\n[backend]\nservers = 192.0.2.1\ntls = off\n"
                               "[listen a]\naddress = 192.0.2.25:25 [2001:db8:25::25]:25\ntls = off\n"
                               "[relay]\ndomains = local.example *.local.example\nnetworks = 198.51.100.0/24\n";
    char text[4096];
    int n = snprintf(text, sizeof text, "%s%s", base, ini);

    config_free(kit.config);
    kit.config = config_parse(str_from(text, (size_t)n), "test", stderr);
    CHECK(kit.config != NULL);
}

static inline void kit_client(const char *address, const char *helo, const char *from, const char *to)
{
    size_t used;

    kit.envelope = (struct envelope){ .helo = str_of(helo), .mail_from = &kit.mail_from, .rcpt = &kit.rcpt };
    CHECK(address_parse(str_of(address), &kit.envelope.client.address));
    CHECK(path_parse(str_of(from), PATH_REVERSE, PATH_UTF8, kit.from_room, &kit.mail_from, &used) == PATH_OK);
    CHECK(path_parse(str_of(to), PATH_FORWARD, PATH_UTF8, kit.rcpt_room, &kit.rcpt, &used) == PATH_OK);
}

static inline void kit_pass(const struct check *check, enum stage stage)
{
    struct arena arena;

    kit.envelope.rcpt = stage == AT_RCPT ? &kit.rcpt : NULL;
    arena_init(&arena, kit.memory, sizeof kit.memory);
    policy_evaluate_with(&check, 1, &kit.config->policy, stage, &kit.envelope, NULL, &kit.facts, &arena, &kit.outcome);
}

static inline void kit_facts(const char *known)
{
    facts_init(&kit.facts, kit.table, FACTS_ROOM_MAX, kit.fact_memory, sizeof kit.fact_memory);
    CHECK_EQ_INT(facts_load(&kit.facts, str_of(known)), 0);
}

/* Passes until it is decided. `known` is what the DNS says; a zone of its own, so that nothing is known before it is asked. */
static inline const struct verdict *kit_judge(const struct check *check, enum stage stage, const char *known, bool one)
{
    static struct fact table[FACTS_ROOM_MAX];
    static char memory[FACTS_ROOM_BYTES];
    struct facts zone;

    facts_init(&zone, table, FACTS_ROOM_MAX, memory, sizeof memory);
    CHECK_EQ_INT(facts_load(&zone, str_of(known)), 0);
    kit_facts("");
    for (kit_pass(check, stage); !kit.outcome.decided; kit_pass(check, stage)) {
        size_t n = kit.outcome.questions;

        CHECK(n > 0);
        for (size_t i = n; i > (one ? n - 1 : 0); i--) {
            struct question q = kit.outcome.question[i - 1];
            const struct fact *fact = facts_find(&zone, q);
            enum fact_state state = facts_state(&zone, q);

            facts_answer(&kit.facts, q, state == FACT_UNKNOWN ? FACT_NXDOMAIN : state,
                         fact != NULL ? fact->value : NULL, fact != NULL ? fact->n : 0);
        }
    }
    return &kit.outcome.verdict;
}

static inline bool kit_asked(enum ask kind, const char *key)
{
    return facts_find(&kit.facts, (struct question){ kind, str_of(key) }) != NULL;
}

static inline bool kit_found(const char *result)
{
    for (size_t i = 0; i < kit.outcome.findings; i++)
        if (strcmp(kit.outcome.finding[i].result, result) == 0)
            return true;
    return false;
}

/* What it adds to the score; -1: nothing is said. */
static inline int kit_points(void)
{
    return kit.outcome.scores.n > 0 ? (int)kit.outcome.scores.item[0].points : -1;
}

#endif
