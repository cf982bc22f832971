/* Asks DNS questions through the resolver, as one session would, and prints the facts.
 *
 *     dns_ask TIMEOUT_MS TRIES SERVER... <QUESTIONS     a question a line: "TXT example.org"; keys as in facts.h's text form
 *
 * Then a line with the resolver's counts, and one with the milliseconds it took.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/resolver.h"

enum { SOCKETS = 1024, INPUT_MAX = 1 << 20, MEMORY = 1 << 22, FACTS = 4096, ASKER = 7 };

static struct pollfd watched[SOCKETS];
static nfds_t watched_n;
static uint64_t now;

static void set_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_watch(void *owner, int fd, bool readable, bool writable)
{
    nfds_t i = 0;

    (void)owner;
    while (i < watched_n && watched[i].fd != fd)
        i++;
    if (!readable && !writable) {
        if (i < watched_n)
            watched[i] = watched[--watched_n];
        return;
    }
    if (i == SOCKETS)
        abort();
    watched[i] = (struct pollfd){ fd, (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)), 0 };
    watched_n += i == watched_n;
}

static size_t take_answers(struct resolver *r, struct facts *facts)
{
    struct resolver_answer a;
    size_t n = 0;

    for (; resolver_next(r, &a); n++)
        facts_answer(facts, a.question, a.state, a.value, a.n);
    return n;
}

static void turn(struct resolver *r)
{
    struct pollfd fd[SOCKETS];
    nfds_t n = watched_n;
    uint64_t deadline = resolver_deadline(r);

    memcpy(fd, watched, n * sizeof fd[0]);
    poll(fd, n, deadline == UINT64_MAX ? 1000 : deadline > now ? (int)(deadline - now) : 0);
    set_clock();
    for (nfds_t i = 0; i < n; i++)
        if (fd[i].revents != 0)
            resolver_ready(r, fd[i].fd, (fd[i].revents & ~POLLOUT) != 0, (fd[i].revents & POLLOUT) != 0);
    if (now >= deadline)
        resolver_tick(r);
}

/* The questions become facts that are asked but not answered: "TXT example.org UNKNOWN". */
static void read_questions(struct facts *facts)
{
    static char text[INPUT_MAX], line[1024];
    size_t n = 0;

    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        n += (size_t)snprintf(text + n, sizeof text - n, "%s UNKNOWN\n", line);
    }
    if (facts_load(facts, str_from(text, n)) != 0) {
        fprintf(stderr, "dns_ask: bad question\n");
        exit(64);
    }
}

static void print_facts(const struct facts *facts, const struct resolver *r, uint64_t took)
{
    static char memory[2 * MEMORY];
    struct resolver_counts counts = resolver_counts(r);
    struct arena arena;
    struct str text;

    arena_init(&arena, memory, sizeof memory);
    text = facts_dump(facts, &arena);
    fwrite(text.p, 1, text.n, stdout);
    printf("queries %llu hits %llu in_flight %llu\ntook %llu\n", (unsigned long long)counts.queries,
           (unsigned long long)counts.hits, (unsigned long long)counts.in_flight, (unsigned long long)took);
}

int main(int argc, char **argv)
{
    static struct fact table[FACTS];
    static char memory[MEMORY];
    struct endpoint server[DNS_SERVERS_MAX];
    struct dns_settings settings = {
        .servers = { server, 0 }, .in_flight = 64, .in_flight_session = 16, .cache_size = 1 << 20, .cache_ttl = 3600000
    };
    struct facts facts;
    struct resolver *r;
    uint64_t began;
    size_t answers = 0;

    for (int i = 3; i < argc && settings.servers.n < DNS_SERVERS_MAX; i++)
        if (endpoint_parse(str_of(argv[i]), 53, &server[settings.servers.n]))
            settings.servers.n++;
    if (argc < 4)
        return 64;
    settings.timeout = strtoul(argv[1], NULL, 10);
    settings.tries = strtoul(argv[2], NULL, 10);
    facts_init(&facts, table, FACTS, memory, sizeof memory);
    read_questions(&facts);
    set_clock();
    began = now;
    r = resolver_new(&settings, &now, on_watch, NULL);
    if (r == NULL)
        return 1;
    for (size_t i = 0; i < facts.n; i++)
        resolver_ask(r, ASKER, facts.fact[i].q);
    answers = take_answers(r, &facts);
    while (answers < facts.n) {
        turn(r);
        answers += take_answers(r, &facts);
    }
    print_facts(&facts, r, now - began);
    resolver_free(r);
    return watched_n == 0 ? 0 : 1;
}
