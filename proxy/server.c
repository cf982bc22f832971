#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "checkpoint.h"
#include "record.h"
#include "server_parts.h"

enum {
    CHECK_FILES_MS = 30000,
    DAY_S = 86400,
    WARN_AHEAD_S = 15 * DAY_S - 1,
    HUNG_AFTER_MS = 5000, /* beyond timeouts.drain */
    RELOAD_RETRY_MS = 1000,
    DESCRIPTORS_BESIDE_SESSIONS = 128
};

static volatile sig_atomic_t is_told_to_stop, is_told_to_reload, is_told_to_dump, a_child_ended;

uint64_t server_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- errors of the operator ---- */

/* Collects what setup and ports complain of, to be logged line by line. */
struct complaints {
    char *text;
    size_t n;
    FILE *file;
};

static bool complaints_open(struct complaints *c)
{
    *c = (struct complaints){ 0 };
    c->file = open_memstream(&c->text, &c->n);
    return c->file != NULL;
}

static void complaints_log(struct complaints *c, struct log *log, const char *event)
{
    struct str rest;

    fclose(c->file);
    rest = str_from(c->text, c->n);
    while (rest.n > 0) {
        size_t n = str_find(rest, '\n');

        if (n > 0)
            log_say(log, LOG_ERROR, event, "%.*s", STR_ARG(str_from(rest.p, n)));
        rest = str_skip(rest, n < rest.n ? n + 1 : n);
    }
    free(c->text);
}

/* ---- certificates ---- */

/* Once a day, when two weeks or less are left. */
static void warn_of_expiry(struct supervisor *s)
{
    int64_t now = time(NULL), left;
    struct str name = { NULL, 0 };

    if (s->setup.tls == NULL || now / DAY_S == s->warned_on)
        return;
    left = tls_server_expiry(s->setup.tls, &name) - now;
    if (left > WARN_AHEAD_S)
        return;
    s->warned_on = now / DAY_S;
    if (left < 0)
        log_say(s->log, LOG_ERROR, "certificate", "[certificate %.*s] has expired", STR_ARG(name));
    else
        log_say(s->log, LOG_WARN, "certificate", "[certificate %.*s] expires in %d days", STR_ARG(name),
                (int)(left / DAY_S));
}

/* ---- a new generation ---- */

static void take_over(struct supervisor *s)
{
    struct str name[CONFIG_LISTENERS_MAX];

    for (size_t i = 0; i < s->setup.config->listeners_n; i++)
        name[i] = s->setup.config->listeners[i].name;
    counts_listeners(s->counts, name, s->setup.config->listeners_n, s->counted_as);
    standing_set(s->standing, &s->setup.config->policy.standing);
    s->generation++;
    s->is_taking_over = true;
    workers_start_all(s);
}

static void taken_over(struct supervisor *s)
{
    s->is_taking_over = false;
    ports_close(&s->gone, &s->ports);
    workers_retire(s);
    log_say(s->log, LOG_INFO, "serving", "%u workers, configuration %.*s", s->workers, STR_ARG(s->setup.config->path));
    notify_say(&s->notify, "READY=1");
}

static void set_log_time(const struct supervisor *s)
{
    struct timespec wall;

    clock_gettime(CLOCK_REALTIME, &wall);
    log_set_time(s->log, (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000);
}

/* The log may have changed its place, form or threshold. */
static bool open_log(struct supervisor *s, const struct config *config)
{
    int fd = log_open_sink((enum log_target)config->log_target);
    struct log *log = fd < 0 ? NULL
                             : log_new((enum log_format)config->log_format, (enum log_target)config->log_target,
                                       (enum log_level)config->log_level, fd);

    if (log == NULL) {
        if (fd > STDERR_FILENO)
            close(fd);
        return false;
    }
    if (s->log != NULL)
        log_flush(s->log);
    log_free(s->log);
    if (s->log_fd > STDERR_FILENO)
        close(s->log_fd);
    s->log = log;
    s->log_fd = fd;
    set_log_time(s);
    return true;
}

static void adopt(struct supervisor *s, const struct setup *setup, const struct ports *ports)
{
    setup_free(&s->setup);
    s->setup = *setup;
    ports_close(&s->gone, &s->ports);
    s->gone = s->ports;
    s->ports = *ports;
    s->warned_on = 0;
    shared_table_clear(s->recipients); /* the operator may have made a mailbox */
    take_over(s);
}

static void complain_of_tables(const struct policy *old, const struct policy *new, FILE *errors)
{
    if (old->standing.memory != new->standing.memory)
        fprintf(errors, "[standing] memory changes with a restart only\n");
    if (old->greylist.memory != new->greylist.memory)
        fprintf(errors, "[greylist] memory changes with a restart only\n");
    if (old->rates.memory != new->rates.memory)
        fprintf(errors, "[rates] memory changes with a restart only\n");
    if (old->recipients.memory != new->recipients.memory)
        fprintf(errors, "[recipients] memory changes with a restart only\n");
}

static bool load_anew(struct supervisor *s, FILE *errors)
{
    struct setup setup;
    struct ports ports;

    if (!setup_load(&setup, s->path, &s->record, errors))
        return false;
    if (!ports_open(&ports, setup.config, s->workers, &s->ports, errors)) {
        setup_free(&setup);
        return false;
    }
    if (!open_log(s, setup.config))
        fprintf(errors, "cannot open the new log: %s\n", strerror(errno));
    if (setup.config->record.transactions > 0 && s->record_fd < 0)
        fprintf(errors, "[record] file changes with a restart only\n");
    if (setup.config->workers != s->workers)
        fprintf(errors, "[server] workers changes with a restart only\n");
    complain_of_tables(&s->setup.config->policy, &setup.config->policy, errors);
    adopt(s, &setup, &ports);
    return true;
}

static void reload(struct supervisor *s)
{
    struct complaints complaints;
    bool ok;

    s->reload_waits = !workers_have_room(s);
    if (s->reload_waits) {
        workers_drain_oldest(s);
        return;
    }
    if (!complaints_open(&complaints))
        return;
    notify_reloading(&s->notify);
    ok = load_anew(s, complaints.file);
    complaints_log(&complaints, s->log, "reload");
    if (ok)
        return;
    log_say(s->log, LOG_ERROR, "reload", "the configuration in force stays");
    notify_say(&s->notify, "READY=1");
}

static void check_files(struct supervisor *s)
{
    struct complaints complaints;
    bool ok;

    warn_of_expiry(s);
    if (tls_files_stamp(s->setup.config) == s->setup.stamp || !workers_have_room(s) || !complaints_open(&complaints))
        return;
    ok = setup_reload_tls(&s->setup, complaints.file);
    complaints_log(&complaints, s->log, "certificate");
    log_say(s->log, ok ? LOG_INFO : LOG_ERROR, "certificate",
            ok ? "certificate files have changed and are in force" : "the certificates in force stay");
    if (ok) {
        s->warned_on = 0;
        take_over(s);
    }
}

/* ---- signals ---- */

static void on_signal(int signal)
{
    if (signal == SIGCHLD)
        a_child_ended = 1;
    else if (signal == SIGHUP)
        is_told_to_reload = 1;
    else if (signal == SIGUSR2)
        is_told_to_dump = 1;
    else
        is_told_to_stop = 1;
}

/* Blocked but for the wait in workers_poll, so that none comes between a look at its flag and the wait. */
static void catch_signals(void)
{
    static const int caught[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2 };
    struct sigaction action = { .sa_handler = on_signal };
    sigset_t blocked;

    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        sigaction(caught[i], &action, NULL);
        sigaddset(&blocked, caught[i]);
    }
    sigaddset(&blocked, SIGUSR1); /* the workers' own */
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
}

static void stop(struct supervisor *s, uint64_t now)
{
    if (!s->is_stopping) {
        log_say(s->log, LOG_INFO, "stopping", "sessions have %u s to finish",
                (unsigned)(s->setup.config->timeouts.drain / 1000));
        notify_say(&s->notify, "STOPPING=1");
        s->kill_at = now + s->setup.config->timeouts.drain + HUNG_AFTER_MS;
        ports_close(&s->gone, &s->ports);
        ports_close(&s->ports, NULL);
    }
    workers_stop(s, s->is_stopping);
    s->is_stopping = true;
}

/* Each worker logs how many it has written. */
static void dump_records(const struct supervisor *s)
{
    if (s->record_fd < 0)
        log_say(s->log, LOG_WARN, "record", "there is no file for records: see [record]");
    else
        workers_dump(s);
}

static void heed_signals(struct supervisor *s, uint64_t now)
{
    if (a_child_ended) {
        a_child_ended = 0;
        workers_reap(s);
    }
    if (is_told_to_stop) {
        is_told_to_stop = 0;
        stop(s, now);
    }
    if (is_told_to_dump) {
        is_told_to_dump = 0;
        dump_records(s);
    }
    if ((is_told_to_reload || s->reload_waits) && !s->is_stopping) {
        is_told_to_reload = 0;
        reload(s);
    }
}

/* ---- life ---- */

static void do_what_is_due(struct supervisor *s, uint64_t now)
{
    workers_start_due(s, now);
    if (now >= s->check_files_at && !s->is_stopping) {
        s->check_files_at = now + CHECK_FILES_MS;
        check_files(s);
    }
    if (s->notify.watchdog_ms > 0 && now >= s->watchdog_at) {
        s->watchdog_at = now + s->notify.watchdog_ms;
        notify_say(&s->notify, "WATCHDOG=1");
    }
    if (now >= s->checkpoint_at && !s->is_stopping) {
        s->checkpoint_at = now + CHECKPOINT_EVERY_MS;
        checkpoint_write(s->standing, &s->setup.config->policy.standing, s->log);
    }
    if (s->is_stopping && now >= s->kill_at) {
        log_say(s->log, LOG_ERROR, "stopping", "some workers do not end");
        workers_kill(s);
        s->kill_at = UINT64_MAX;
    }
}

static int until_next(const struct supervisor *s, uint64_t now)
{
    uint64_t next = s->check_files_at;

    if (s->reload_waits)
        next = now + RELOAD_RETRY_MS;
    if (s->notify.watchdog_ms > 0 && s->watchdog_at < next)
        next = s->watchdog_at;
    if (s->is_stopping)
        next = s->kill_at < now + CHECK_FILES_MS ? s->kill_at : now + CHECK_FILES_MS;
    else
        for (unsigned slot = 0; slot < s->workers; slot++)
            if (s->start_at[slot] < next)
                next = s->start_at[slot];
    return next > now ? (int)(next - now) : 0;
}

static void serve(struct supervisor *s)
{
    uint64_t now = server_now();

    set_log_time(s);
    take_over(s);
    s->check_files_at = now;
    s->checkpoint_at = now + CHECKPOINT_EVERY_MS;
    while (!s->is_stopping || workers_are_left(s)) {
        do_what_is_due(s, now);
        log_flush(s->log);
        workers_poll(s, until_next(s, now));
        now = server_now();
        set_log_time(s);
        heed_signals(s, now);
        if (s->is_taking_over && !s->is_stopping && workers_are_ready(s))
            taken_over(s);
    }
    checkpoint_write(s->standing, &s->setup.config->policy.standing, s->log);
}

/* Two a session, one a DNS query; and what a worker cannot have, it cannot use. */
static void raise_descriptor_limit(const struct supervisor *s)
{
    struct rlimit limit;
    rlim_t wanted =
        (rlim_t)(2 * s->setup.config->limits.sessions + s->setup.config->dns.in_flight + DESCRIPTORS_BESIDE_SESSIONS);

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_say(s->log, LOG_WARN, "start", "[limits] sessions may need %llu descriptors, but the system grants %llu",
                (unsigned long long)wanted, (unsigned long long)limit.rlim_cur);
}

/* Before privileges are dropped; O_APPEND, so that the workers do not write over each other. */
static bool open_record_file(struct supervisor *s)
{
    const struct record_settings *record = &s->setup.config->record;
    char path[PATH_MAX];

    if (record->transactions == 0 || record->file.n >= sizeof path)
        return record->transactions == 0;
    memcpy(path, record->file.p, record->file.n);
    path[record->file.n] = '\0';
    s->record_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, S_IRUSR | S_IWUSR);
    if (s->record_fd < 0)
        fprintf(stderr, "postern: [record] file: cannot open %s: %s\n", path, strerror(errno));
    return s->record_fd >= 0;
}

static bool open_tables(struct supervisor *s)
{
    const struct policy *policy = &s->setup.config->policy;

    s->standing = standing_new(&policy->standing);
    s->greylist = shared_table_new(policy->greylist.memory);
    s->recipients = shared_table_new(policy->recipients.memory);
    s->rates = rates_new(policy->rates.memory);
    return s->standing != NULL && s->greylist != NULL && s->recipients != NULL && s->rates != NULL;
}

/* An exit status when that is not possible, else 0. What is wrong goes to stderr, wherever the log is. */
static int prepare(struct supervisor *s)
{
    if (!setup_load(&s->setup, s->path, &s->record, stderr))
        return EX_CONFIG;
    s->workers = (unsigned)s->setup.config->workers;
    s->counts = counts_new(s->setup.config->limits.sessions);
    s->past = past_new();
    s->lists = list_states_new();
    if (s->counts == NULL || s->past == NULL || s->lists == NULL || !open_tables(s) || !open_log(s, s->setup.config)) {
        fprintf(stderr, "postern: cannot start: %s\n", strerror(errno));
        return EX_OSERR;
    }
    raise_descriptor_limit(s);
    if (!ports_open(&s->ports, s->setup.config, s->workers, NULL, stderr))
        return EX_OSERR;
    if (!open_record_file(s) || !checkpoint_begin(s->standing, &s->setup.config->policy.standing, s->log, stderr))
        return EX_CANTCREAT;
    if (!privileges_limit()) {
        fprintf(stderr, "postern: cannot give up privileges: %s\n", strerror(errno));
        return EX_OSERR;
    }
    if (geteuid() == 0)
        s->empty_root = empty_root_open();
    if (geteuid() == 0 && s->empty_root < 0)
        log_say(s->log, LOG_WARN, "start", "no empty root directory for the workers: %s", strerror(errno));
    return 0;
}

static void finish(struct supervisor *s)
{
    ports_close(&s->ports, NULL);
    counts_free(s->counts);
    past_free(s->past);
    list_states_free(s->lists);
    standing_free(s->standing);
    shared_table_free(s->greylist);
    shared_table_free(s->recipients);
    rates_free(s->rates);
    if (s->empty_root >= 0)
        close(s->empty_root);
    if (s->record_fd >= 0)
        close(s->record_fd);
    setup_free(&s->setup);
    notify_close(&s->notify);
    if (s->log != NULL)
        log_flush(s->log);
    log_free(s->log);
}

static bool read_record_wish(const struct server_options *options, struct record_wish *wish)
{
    unsigned long long n = 0;

    wish->has_transactions = options->record != NULL;
    if (options->record == NULL || str_to_u64(str_of(options->record), RECORD_TRANSACTIONS_MAX, &n)) {
        wish->transactions = n;
        return true;
    }
    fprintf(stderr, "postern: --record: '%s' is no number up to %d\n", options->record, RECORD_TRANSACTIONS_MAX);
    return false;
}

int server_run(const struct server_options *options)
{
    struct supervisor s = {
        .path = options->config,
        .record = { .file = options->record_file },
        .record_fd = -1,
        .empty_root = -1,
        .log_fd = -1,
        .notify = { .fd = -1 },
    };
    int status;

    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        s.process[row].ready_fd = -1;
#ifdef POSTERN_KEYLOG
    if (options->keylog != NULL)
        tls_keylog_open(options->keylog);
#endif
    status = read_record_wish(options, &s.record) ? prepare(&s) : EX_USAGE;
    if (status == 0) {
        notify_open(&s.notify);
        catch_signals();
        serve(&s);
        log_say(s.log, LOG_INFO, "stopped", "all workers have ended");
    }
    finish(&s);
    return status;
}
