#include "worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "worker_parts.h"

enum {
    GIVE_BACK_MS = 10000,     /* from most sessions' end to the return of their memory */
    OPEN_AT_LATEST_MS = 1000, /* what a back end that is slow to answer the first probe may cost */
    LOG_RETRY_MS = 100,
    CHUNKS_PER_SESSION = 4 /* of replies and command lines, both legs */
};

/* ---- time and log ---- */

/* The loop reads the monotonic clock once a turn; the wall clock is read when that has moved. */
void worker_clock(struct worker *w)
{
    uint64_t now = uv_now(&w->loop);
    struct timespec wall;

    if (now == w->env.now)
        return;
    w->env.now = now;
    clock_gettime(CLOCK_REALTIME, &wall);
    w->env.unix_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    log_set_time(w->env.log, w->env.unix_ms);
}

static void flush_log(struct worker *w);

static void on_retry_log(uv_timer_t *timer)
{
    flush_log(timer->data);
}

static void flush_log(struct worker *w)
{
    if (!log_flush(w->env.log))
        uv_timer_start(&w->retry_log, on_retry_log, LOG_RETRY_MS, 0);
}

/* ---- stress ---- */

enum {
    STRESS_MS = 100, /* between two looks; each adds up all rows of the counts */
    LOOK_MS = 1000   /* while nothing happens */
};

static bool is_short_of_sessions(const struct worker *w)
{
    const struct limits *limits = &w->config->limits;

    return limits->stress > 0 && counts_total(w->start->counts) * 100 >= limits->stress * limits->sessions;
}

static void on_next_look(uv_timer_t *timer)
{
    (void)timer; /* the turn of the loop is what counts */
}

/* Once a turn of the loop, where no session is being served; now and then while all are silent: others may fill the rest. */
static void look_at_stress(struct worker *w)
{
    bool is_stressed;

    worker_clock(w);
    if (w->open > 0 && !uv_is_active((uv_handle_t *)&w->next_look) && !uv_is_closing((uv_handle_t *)&w->next_look))
        uv_timer_start(&w->next_look, on_next_look, LOOK_MS, 0);
    if (w->env.now < w->stress_at)
        return;
    w->stress_at = w->env.now + STRESS_MS;
    is_stressed = is_short_of_sessions(w);
    if (is_stressed == w->env.is_stressed)
        return;
    w->env.is_stressed = is_stressed;
    log_begin(w->env.log, LOG_WARN, "stress");
    log_text(w->env.log, "is", is_stressed ? "on" : "off");
    log_num(w->env.log, "sessions", (int64_t)counts_total(w->start->counts));
    log_end(w->env.log);
    connections_stressed(w);
}

static void on_before_poll(uv_prepare_t *prepare)
{
    look_at_stress(prepare->data);
    lookups_go_on(prepare->data);
    probes_arm(prepare->data);
    flush_log(prepare->data);
}

/* ---- memory ---- */

/* Free memory between what is in use stays with the process until it is asked to return it. It is asked when most
 * sessions have left and not come back: asking costs time, and so does needing it again.
 */
static void on_give_back(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    if (w->open > w->open_peak / 2)
        return;
    w->open_peak = w->open;
    pool_free(&w->env.messages);
    pool_free(&w->env.control);
    malloc_trim(0);
}

void worker_counts_one_more(struct worker *w)
{
    w->open++;
    if (w->open > w->open_peak)
        w->open_peak = w->open;
}

void worker_counts_one_less(struct worker *w)
{
    w->open--;
    if (w->open <= w->open_peak / 2 && w->state < WORKER_RETIRING && !uv_is_active((uv_handle_t *)&w->give_back))
        uv_timer_start(&w->give_back, on_give_back, GIVE_BACK_MS, 0);
}

struct tls_client *worker_tls_client(const struct worker *w, const struct route *route)
{
    return w->start->tls_client[route - w->config->routes];
}

/* ---- service ---- */

static bool say_ready(const struct worker *w)
{
    bool is_said;

    if (w->start->ready_fd < 0)
        return true;
    is_said = write(w->start->ready_fd, "r", 1) == 1;
    if (!is_said)
        log_say(w->env.log, LOG_WARN, "worker", "nobody waits for this worker");
    close(w->start->ready_fd);
    return is_said;
}

static void on_give_up(uv_timer_t *);

/* A worker that is deaf at a port, or of which the supervisor does not hear, ends, and another one begins: the kernel would go on
 * to give it its share of the clients, and the supervisor would wait for it.
 */
void worker_serve(struct worker *w)
{
    bool is_open;

    if (w->state != WORKER_STARTING)
        return;
    w->state = WORKER_SERVING;
    uv_timer_stop(&w->open_doors);
    is_open = doors_open(w);
    if (!is_open)
        log_say(w->env.log, LOG_ERROR, "worker", "not all ports could be opened");
    if (!is_open || !say_ready(w))
        uv_timer_start(&w->open_doors, on_give_up, 0, 0); /* not here: the probe that reports goes on */
}

static void on_open_doors(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    worker_clock(w);
    worker_serve(w);
}

/* ---- retreat ---- */

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Without its handles the signals would kill again: an order that comes now comes too late, and is no crash. */
static void be_deaf(struct worker *w)
{
    sigset_t orders;

    sigemptyset(&orders);
    sigaddset(&orders, SIGTERM);
    sigaddset(&orders, SIGUSR1);
    sigaddset(&orders, SIGUSR2);
    sigprocmask(SIG_BLOCK, &orders, NULL);
    close_handle((uv_handle_t *)&w->on_term);
    close_handle((uv_handle_t *)&w->on_retire);
    close_handle((uv_handle_t *)&w->on_dump);
}

/* The last handle to be closed ends the loop by itself. */
void worker_check_end(struct worker *w)
{
    uv_timer_t *const timers[] = { &w->open_doors, &w->retry_accept, &w->retry_log, &w->next_probe,    &w->drain_end,
                                   &w->give_back,  &w->dns_due,      &w->next_look, &w->next_list_test };

    if (w->state < WORKER_RETIRING || w->connections != NULL)
        return;
    probes_stop(w);
    lookups_close(w);
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        close_handle((uv_handle_t *)timers[i]);
    be_deaf(w);
    close_handle((uv_handle_t *)&w->before_poll);
}

static void retire(struct worker *w)
{
    if (w->state >= WORKER_RETIRING)
        return;
    w->state = WORKER_RETIRING;
    doors_close(w);
    worker_check_end(w);
}

static void end_now(struct worker *w)
{
    w->state = WORKER_ENDING;
    connections_end(w);
    worker_check_end(w);
}

static void on_give_up(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    worker_clock(w);
    doors_close(w);
    end_now(w);
}

static void on_drain_end(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    worker_clock(w);
    end_now(w);
}

static void drain(struct worker *w)
{
    retire(w);
    w->state = WORKER_DRAINING;
    connections_drain(w);
    if (w->connections != NULL)
        uv_timer_start(&w->drain_end, on_drain_end, w->config->timeouts.drain, 0);
}

static void on_signal(uv_signal_t *handle, int signal)
{
    struct worker *w = handle->data;

    worker_clock(w);
    if (signal == SIGUSR1)
        retire(w);
    else if (w->state < WORKER_DRAINING)
        drain(w);
    else
        end_now(w);
}

/* A disk that is slow makes the sessions wait: somebody asked for it. */
static void on_dump(uv_signal_t *handle, int signal)
{
    struct worker *w = handle->data;
    struct record_counts counts = record_ring_counts(w->env.records);
    size_t n;

    (void)signal;
    worker_clock(w);
    if (w->env.records == NULL || w->start->record_fd < 0)
        return;
    if (record_dump(w->env.records, w->start->record_fd, &n))
        log_say(w->env.log, LOG_INFO, "record", "%zu transactions written, %zu octets; %llu were too large to be kept",
                n, counts.octets, (unsigned long long)counts.too_large);
    else
        log_say(w->env.log, LOG_ERROR, "record", "%zu of %zu transactions written: %s", n, counts.kept,
                strerror(errno));
}

/* ---- life ---- */

/* Without memory for it, mail goes on and nothing is recorded. */
static void open_records(struct worker *w)
{
    const struct record_settings *record = &w->config->record;

    if (record->transactions == 0 || w->start->record_fd < 0)
        return;
    w->env.records = record_ring_new((size_t)record->transactions, (size_t)(record->memory / w->start->workers));
    if (w->env.records == NULL)
        log_say(w->env.log, LOG_ERROR, "record", "no memory: nothing is recorded");
}

static bool open_env(struct worker *w)
{
    const struct config *config = w->config;
    struct session_env *env = &w->env;

    env->config = config;
    env->log = log_new((enum log_format)config->log_format, (enum log_target)config->log_target,
                       (enum log_level)config->log_level, w->start->log_fd);
    if (env->log == NULL || !servers_init(&w->servers, config) || !probes_init(w))
        return false;
    env->servers = &w->servers;
    env->past = w->start->past;
    env->lists = w->start->lists;
    env->standing = w->start->standing;
    env->greylist = w->start->greylist;
    env->recipients = w->start->recipients;
    env->rates = w->start->rates;
    env->counts = w->start->counts;
    env->row = w->start->row;
    env->geo = w->start->geo;
    pool_init(&env->messages, (size_t)(config->limits.message_memory / w->start->workers));
    open_records(w);
    pool_init(&env->control, (size_t)config->limits.sessions * CHUNKS_PER_SESSION * CHUNK_SIZE);
    return true;
}

static void close_env(struct worker *w)
{
    pool_free(&w->env.messages);
    pool_free(&w->env.control);
    servers_free(&w->servers);
    record_ring_free(w->env.records);
    free(w->probe);
    free(w->door);
    if (w->env.log != NULL)
        log_flush(w->env.log);
    log_free(w->env.log);
}

/* The supervisor forks with signals blocked, so that none is lost before somebody listens. */
static bool listen_to_signals(struct worker *w)
{
    sigset_t none;

    uv_signal_init(&w->loop, &w->on_term);
    uv_signal_init(&w->loop, &w->on_retire);
    uv_signal_init(&w->loop, &w->on_dump);
    w->on_term.data = w->on_retire.data = w->on_dump.data = w;
    sigemptyset(&none);
    return uv_signal_start(&w->on_term, on_signal, SIGTERM) == 0 &&
           uv_signal_start(&w->on_retire, on_signal, SIGUSR1) == 0 &&
           uv_signal_start(&w->on_dump, on_dump, SIGUSR2) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

static bool open_loop(struct worker *w)
{
    uv_timer_t *const timers[] = { &w->open_doors, &w->retry_accept, &w->retry_log, &w->next_probe,    &w->drain_end,
                                   &w->give_back,  &w->dns_due,      &w->next_look, &w->next_list_test };

    if (uv_loop_init(&w->loop) != 0)
        return false;
    stream_loop_init(&w->streams, &w->loop);
    TAILQ_INIT(&w->answered);
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        uv_timer_init(&w->loop, timers[i]);
        timers[i]->data = w;
    }
    uv_prepare_init(&w->loop, &w->before_poll);
    w->before_poll.data = w;
    return uv_prepare_start(&w->before_poll, on_before_poll) == 0 && listen_to_signals(w);
}

static void serve(struct worker *w)
{
    worker_clock(w);
    if (w->env.geo != NULL)
        geoip_begin(w->env.geo, w->env.log, w->env.now);
    lookups_open(w);
    lists_open(w);
    uv_timer_start(&w->open_doors, on_open_doors, OPEN_AT_LATEST_MS, 0);
    probes_look(w);
    if (w->probes_out == 0)
        worker_serve(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    stream_loop_close(&w->streams);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

int worker_run(const struct worker_start *start)
{
    struct worker *w = calloc(1, sizeof *w);
    int status = 1;

    if (w == NULL)
        return status;
    w->start = start;
    w->config = start->config;
    if (open_env(w) && open_loop(w)) {
        serve(w);
        status = uv_loop_close(&w->loop) == 0 ? 0 : 1;
    }
    close_env(w);
    free(w);
    return status;
}
