/* The worker processes: start, watch, restart. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server_parts.h"
#include "worker.h"

enum {
    BACK_OFF_MS = 1000 /* from one start of a slot's worker to the next, at least */
};

/* ---- in the child ---- */

static void reset_signals(void)
{
    static const int to_default[] = { SIGCHLD, SIGTERM, SIGUSR1, SIGUSR2 };
    /* From a terminal these reach all processes at once; the supervisor alone decides what they mean. */
    static const int to_ignore[] = { SIGHUP, SIGINT, SIGPIPE };

    for (size_t i = 0; i < sizeof to_default / sizeof to_default[0]; i++)
        signal(to_default[i], SIG_DFL);
    for (size_t i = 0; i < sizeof to_ignore / sizeof to_ignore[0]; i++)
        signal(to_ignore[i], SIG_IGN);
}

static void close_foreign(struct supervisor *s)
{
    for (unsigned i = 0; i < COUNTS_ROWS; i++)
        if (s->process[i].ready_fd >= 0)
            close(s->process[i].ready_fd);
    ports_close(&s->gone, &s->ports);
    notify_close(&s->notify);
}

static bool give_up_privileges(struct supervisor *s, pid_t supervisor)
{
    const char *failed = privileges_drop(&s->setup.identity, s->empty_root);

    if (failed != NULL) {
        log_say(s->log, LOG_ERROR, "worker", "cannot %s: %s", failed, strerror(errno));
        log_flush(s->log);
        return false;
    }
    /* Without its supervisor a worker finishes its sessions and ends. Set last: a change of user resets it. */
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == supervisor;
}

/* Their folders, while paths still lead there. */
static bool open_databases(struct supervisor *s, struct worker_start *start)
{
    const struct geo_policy *policy = &s->setup.config->policy.geo;

    if (!geoip_is_configured(policy))
        return true;
    start->geo = geoip_new(policy);
    if (start->geo == NULL)
        log_say(s->log, LOG_ERROR, "worker", "out of memory");
    return start->geo != NULL;
}

static int run_child(struct supervisor *s, unsigned row, int ready_fd, pid_t supervisor)
{
    struct worker_port port[CONFIG_LISTENERS_MAX * 8];
    unsigned slot = s->process[row].slot;
    struct dns_settings dns = setup_dns(&s->setup);
    struct worker_start start = {
        .config = s->setup.config,
        .dns = &dns,
        .tls = s->setup.tls,
        .tls_client = s->setup.tls_client,
        .counts = s->counts,
        .past = s->past,
        .lists = s->lists,
        .standing = s->standing,
        .greylist = s->greylist,
        .recipients = s->recipients,
        .rates = s->rates,
        .row = row,
        .workers = s->workers,
        .port = port,
        .log_fd = s->log_fd,
        .ready_fd = ready_fd,
        .record_fd = s->record_fd,
    };
    int status;

    reset_signals();
    close_foreign(s);
    start.ports = ports_of_worker(&s->ports, slot, s->setup.config, s->counted_as, port, sizeof port / sizeof port[0]);
    if (!open_databases(s, &start) || !give_up_privileges(s, supervisor))
        return EXIT_FAILURE;
    if (s->empty_root >= 0)
        close(s->empty_root);
    status = worker_run(&start);
    geoip_free(start.geo);
    return status;
}

/* ---- start ---- */

static unsigned free_row(const struct supervisor *s)
{
    unsigned row = 0;

    while (row < COUNTS_ROWS && s->process[row].pid != 0)
        row++;
    return row;
}

bool workers_have_room(const struct supervisor *s)
{
    unsigned n = 0;

    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        n += s->process[row].pid == 0;
    return n >= 2 * s->workers; /* and some for those who crash meanwhile */
}

static bool start_worker(struct supervisor *s, unsigned slot, uint64_t now)
{
    unsigned row = free_row(s);
    pid_t supervisor = getpid(), pid;
    int ready[2];

    if (row == COUNTS_ROWS || pipe2(ready, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    log_flush(s->log); /* or both would write it */
    s->process[row] =
        (struct process){ .slot = slot, .generation = s->generation, .ready_fd = ready[0], .started = now };
    pid = fork();
    if (pid == 0)
        exit(run_child(s, row, ready[1], supervisor));
    close(ready[1]);
    if (pid < 0) {
        close(ready[0]);
        s->process[row].ready_fd = -1;
        return false;
    }
    s->process[row].pid = pid;
    return true;
}

void workers_start_due(struct supervisor *s, uint64_t now)
{
    for (unsigned slot = 0; slot < s->workers; slot++) {
        if (s->is_stopping || s->start_at[slot] > now)
            continue;
        s->start_at[slot] = UINT64_MAX;
        if (!start_worker(s, slot, now)) {
            log_say(s->log, LOG_ERROR, "worker", "cannot start worker %u: %s", slot, strerror(errno));
            s->start_at[slot] = now + BACK_OFF_MS;
        }
    }
}

void workers_start_all(struct supervisor *s)
{
    for (unsigned slot = 0; slot < s->workers; slot++)
        s->start_at[slot] = 0;
    workers_start_due(s, server_now());
}

/* ---- end ---- */

static void log_end_of(struct supervisor *s, const struct process *p, int status)
{
    if (WIFSIGNALED(status))
        log_say(s->log, LOG_ERROR, "worker", "worker %u (process %d) died of signal %d", p->slot, (int)p->pid,
                WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0 || !p->is_told)
        log_say(s->log, LOG_ERROR, "worker", "worker %u (process %d) ended with status %d", p->slot, (int)p->pid,
                WEXITSTATUS(status));
    else
        log_say(s->log, LOG_INFO, "worker", "worker %u (process %d) has finished", p->slot, (int)p->pid);
}

static void on_end(struct supervisor *s, unsigned row, int status)
{
    struct process *p = &s->process[row];

    log_end_of(s, p, status);
    if (p->ready_fd >= 0)
        close(p->ready_fd);
    counts_clear(s->counts, row);
    if (p->generation == s->generation && !s->is_stopping)
        s->start_at[p->slot] = p->started + BACK_OFF_MS; /* mostly past: at once */
    *p = (struct process){ .ready_fd = -1 };
}

void workers_reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned row = 0; row < COUNTS_ROWS; row++)
            if (s->process[row].pid == pid)
                on_end(s, row, status);
}

/* ---- ready ---- */

bool workers_are_ready(const struct supervisor *s)
{
    unsigned n = 0;

    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        n += s->process[row].pid != 0 && s->process[row].generation == s->generation && s->process[row].is_ready;
    return n == s->workers;
}

static void read_ready(struct process *p)
{
    char octet;
    ssize_t n = read(p->ready_fd, &octet, 1);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return; /* poll says so again */
    p->is_ready = n == 1;
    if (n < 0)
        kill(p->pid, SIGKILL); /* or it would be waited for; the next one begins */
    close(p->ready_fd);
    p->ready_fd = -1;
}

void workers_poll(struct supervisor *s, int timeout_ms)
{
    struct pollfd fd[COUNTS_ROWS];
    struct process *of[COUNTS_ROWS];
    struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
    nfds_t n = 0; /* as few as there are: more than RLIMIT_NOFILE is an error, whatever they hold */
    sigset_t none;

    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        if (s->process[row].ready_fd >= 0) {
            of[n] = &s->process[row];
            fd[n++] = (struct pollfd){ .fd = s->process[row].ready_fd, .events = POLLIN };
        }
    sigemptyset(&none);
    if (ppoll(fd, n, &timeout, &none) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        if (fd[i].revents != 0)
            read_ready(of[i]);
}

/* ---- orders ---- */

bool workers_are_left(const struct supervisor *s)
{
    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        if (s->process[row].pid != 0)
            return true;
    return false;
}

void workers_retire(struct supervisor *s)
{
    for (unsigned row = 0; row < COUNTS_ROWS; row++) {
        struct process *p = &s->process[row];

        if (p->pid == 0 || p->is_told || p->generation == s->generation)
            continue;
        p->is_told = true;
        kill(p->pid, SIGUSR1);
    }
}

/* Once: the second SIGTERM would cut the sessions off. */
static void drain(struct process *p)
{
    if (p->pid == 0 || p->is_draining)
        return;
    p->is_told = p->is_draining = true;
    kill(p->pid, SIGTERM);
}

void workers_drain_oldest(struct supervisor *s)
{
    unsigned oldest = s->generation;

    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        if (s->process[row].pid != 0 && s->process[row].generation < oldest)
            oldest = s->process[row].generation;
    for (unsigned row = 0; row < COUNTS_ROWS && oldest != s->generation; row++)
        if (s->process[row].generation == oldest)
            drain(&s->process[row]);
}

void workers_stop(struct supervisor *s, bool now)
{
    for (unsigned row = 0; row < COUNTS_ROWS; row++) {
        struct process *p = &s->process[row];

        if (now && p->is_draining && p->pid != 0)
            kill(p->pid, SIGTERM);
        drain(p);
    }
}

void workers_dump(const struct supervisor *s)
{
    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        if (s->process[row].pid != 0)
            kill(s->process[row].pid, SIGUSR2);
}

void workers_kill(const struct supervisor *s)
{
    for (unsigned row = 0; row < COUNTS_ROWS; row++)
        if (s->process[row].pid != 0)
            kill(s->process[row].pid, SIGKILL);
}
