/* Connects at a steady rate and waits to be turned away: a client for tests/bench/door.
 *
 *     knock HOST PORT FROM RATE SECONDS      FROM: the address to come from
 *
 * Prints one line: connects tried, answered with 421, the seconds it took, and milliseconds from connect() to the first octet:
 * median, 99th percentile, longest. What is not answered after two seconds counts as not answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_MAX_AT_ONCE = 8000, EVENTS = 256 };

static const double PATIENCE = 2;

struct knock {
    double since;
    int is_heard;
};

static struct sockaddr_in from, to;
static struct knock *knocks; /* by descriptor */
static double *latency;      /* ms */
static size_t tried, heard, open_now, skipped;
static int poll_fd;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "knock: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address(const char *host, int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };

    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        fail(host);
    return a;
}

/* The port is chosen at connect(), so that closed ones in TIME_WAIT are no obstacle. */
static void knock(double at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    if (fd < 0 || fd >= 2 * OPEN_MAX_AT_ONCE)
        fail("socket");
    setsockopt(fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
        fail("bind");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        fail("connect");
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
    knocks[fd] = (struct knock){ at, 0 };
    tried++;
    open_now++;
}

static void drop(int fd)
{
    close(fd);
    knocks[fd].since = 0;
    open_now--;
}

static void hear(int fd)
{
    char in[512];
    ssize_t n = read(fd, in, sizeof in);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && !knocks[fd].is_heard && memcmp(in, "421", n < 3 ? (size_t)n : 3) == 0) {
        knocks[fd].is_heard = 1;
        latency[heard++] = 1000 * (now() - knocks[fd].since);
    }
    if (n <= 0)
        drop(fd);
}

static void listen_for(int ms)
{
    struct epoll_event event[EVENTS];
    int n = epoll_wait(poll_fd, event, EVENTS, ms);

    for (int i = 0; i < n; i++)
        hear(event[i].data.fd);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(double p)
{
    return heard > 0 ? latency[(size_t)((double)(heard - 1) * p)] : 0;
}

int main(int argc, char **argv)
{
    double rate = argc == 6 ? atof(argv[4]) : 0, seconds = argc == 6 ? atof(argv[5]) : 0, begin, end;
    size_t wanted = (size_t)(rate * seconds);

    if (wanted == 0 || (poll_fd = epoll_create1(0)) < 0) {
        fprintf(stderr, "knock HOST PORT FROM RATE SECONDS\n");
        return 64;
    }
    to = address(argv[1], atoi(argv[2]));
    from = address(argv[3], 0);
    knocks = calloc(2 * OPEN_MAX_AT_ONCE, sizeof *knocks);
    latency = calloc(wanted + 1, sizeof *latency);
    if (knocks == NULL || latency == NULL)
        fail("memory");
    begin = now();
    while (tried + skipped < wanted) {
        double at = now();

        while (tried + skipped < wanted && (double)(tried + skipped) < (at - begin) * rate) {
            if (open_now < OPEN_MAX_AT_ONCE)
                knock(at);
            else
                skipped++; /* nobody takes them any more: told as a rate that was not reached */
        }
        listen_for(1);
    }
    end = now();
    while (open_now > 0 && now() < end + PATIENCE)
        listen_for(100);
    qsort(latency, heard, sizeof *latency, compare);
    printf("%zu %zu %.3f %.3f %.3f %.3f\n", tried, heard, end - begin, percentile(0.5), percentile(0.99),
           percentile(1));
    return 0;
}
