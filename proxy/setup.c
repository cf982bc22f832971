#include "setup.h"

#include <stdlib.h>

#include "resolver.h"

enum { ERROR_MAX = 512 };

static void free_clients(struct tls_client **client, size_t n)
{
    for (size_t i = 0; client != NULL && i < n; i++)
        tls_client_free(client[i]);
    free(client);
}

static bool load_server(const struct config *config, struct tls_server **out, FILE *errors)
{
    char error[ERROR_MAX] = "";

    *out = NULL;
    if (config->certificates_n == 0)
        return true;
    *out = tls_server_new(config, error, sizeof error);
    if (*out == NULL)
        fprintf(errors, "%.*s: %s\n", STR_ARG(config->path), error);
    return *out != NULL;
}

static struct tls_client **load_clients(const struct config *config, FILE *errors)
{
    struct tls_client **client = calloc(config->routes_n, sizeof(struct tls_client *));
    char error[ERROR_MAX] = "out of memory";
    bool ok = client != NULL;

    for (size_t i = 0; ok && i < config->routes_n; i++) {
        if (config->routes[i].tls == SOUTH_TLS_OFF)
            continue;
        client[i] = tls_client_new(config, &config->routes[i], error, sizeof error);
        ok = client[i] != NULL;
    }
    if (ok)
        return client;
    fprintf(errors, "%.*s: %s\n", STR_ARG(config->path), error);
    free_clients(client, config->routes_n);
    return NULL;
}

static bool load_tls(struct setup *s, FILE *errors)
{
    s->stamp = tls_files_stamp(s->config); /* first: a file that changes meanwhile is loaded again */
    if (!load_server(s->config, &s->tls, errors))
        return false;
    s->tls_client = load_clients(s->config, errors);
    return s->tls_client != NULL;
}

static void free_tls(struct setup *s)
{
    tls_server_free(s->tls);
    if (s->tls_client != NULL)
        free_clients(s->tls_client, s->config->routes_n);
}

/* The proof is long: it is shown only when it fails. */
static bool prove_memory(const struct config *config, FILE *errors)
{
    char *text = NULL;
    size_t n = 0;
    FILE *proof = open_memstream(&text, &n);
    bool ok = proof != NULL && config_prove_memory(config, proof);

    if (proof != NULL)
        fclose(proof);
    if (!ok)
        fprintf(errors, "%.*s: the limits do not fit [limits] memory:\n%s", STR_ARG(config->path),
                text != NULL ? text : "");
    free(text);
    return ok;
}

/* The command line goes before the ini. It outlives the setup. */
static bool heed_record_wish(struct config *config, const struct record_wish *wish, FILE *errors)
{
    if (wish != NULL && wish->has_transactions)
        config->record.transactions = wish->transactions;
    if (wish != NULL && wish->file != NULL)
        config->record.file = str_of(wish->file);
    if (config->record.transactions == 0 || config->record.file.n > 0)
        return true;
    fprintf(errors, "postern: --record needs --record-file FILE, or [record] file in the configuration\n");
    return false;
}

/* Read here, because a worker in its empty root has no such file. */
static void find_dns_servers(struct setup *s, FILE *errors)
{
    bool found;

    if (s->config->dns.servers.n > 0)
        return;
    s->dns_servers = resolver_system_servers(s->dns_server, &found);
    if (!found)
        fprintf(errors, "%.*s: [dns] servers: warning: none, and none in /etc/resolv.conf: 127.0.0.1 is asked\n",
                STR_ARG(s->config->path));
}

struct dns_settings setup_dns(const struct setup *s)
{
    struct dns_settings dns = s->config->dns;

    if (dns.servers.n == 0)
        dns.servers = (struct endpoint_list){ s->dns_server, s->dns_servers };
    return dns;
}

bool setup_load(struct setup *s, const char *path, const struct record_wish *record, FILE *errors)
{
    *s = (struct setup){ .config = config_load(path, errors) };
    if (s->config == NULL)
        return false;
    find_dns_servers(s, errors);
    if (heed_record_wish(s->config, record, errors) && prove_memory(s->config, errors) &&
        identity_find(s->config->user, &s->identity, errors) && load_tls(s, errors))
        return true;
    setup_free(s);
    return false;
}

bool setup_reload_tls(struct setup *s, FILE *errors)
{
    struct setup fresh = { .config = s->config };

    if (!load_tls(&fresh, errors)) {
        s->stamp = fresh.stamp; /* said once, and again only when the files change once more */
        free_tls(&fresh);
        return false;
    }
    free_tls(s);
    s->tls = fresh.tls;
    s->tls_client = fresh.tls_client;
    s->stamp = fresh.stamp;
    return true;
}

void setup_free(struct setup *s)
{
    if (s->config == NULL)
        return;
    free_tls(s);
    config_free(s->config);
    *s = (struct setup){ 0 };
}
