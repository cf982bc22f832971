"""Many clients in one thread: each is a generator that yields what it waits for, and the loop resumes it.

    yield loop.sleep(0.1)
    yield loop.wait(sock, seconds)      # until something happened to the socket; False after the seconds

A socket is watched for all events at their edges: whoever waits has met BlockingIOError before."""
import heapq
import itertools
import select
import time

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Loop:
    def __init__(self):
        self._epoll = select.epoll()
        self._waiting = {}          # fd -> ticket of its waiter
        self._news = set()          # fds to which something happened while nobody waited
        self._timers = []
        self._tickets = {}          # ticket -> task
        self._number = itertools.count()
        self.running = 0

    # ---- for tasks ----

    def watch(self, sock):
        self._epoll.register(sock.fileno(), EDGES)

    def forget(self, sock):
        """Before it is closed."""
        fd = sock.fileno()
        self._news.discard(fd)
        self._waiting.pop(fd, None)
        if fd >= 0:
            self._epoll.unregister(fd)

    @staticmethod
    def sleep(seconds):
        return None, seconds

    @staticmethod
    def wait(sock, seconds):
        return sock.fileno(), seconds

    # ---- tasks ----

    def spawn(self, task):
        self.running += 1
        self._resume(task, None)

    def _resume(self, task, value):
        while True:
            try:
                fd, seconds = task.send(value)
            except StopIteration:
                self.running -= 1
                return
            if fd is None or fd not in self._news:
                break
            self._news.discard(fd)
            value = True
        ticket = next(self._number)
        self._tickets[ticket] = task, fd
        heapq.heappush(self._timers, (time.monotonic() + seconds, ticket))
        if fd is not None:
            self._waiting[fd] = ticket

    def _expire(self, now):
        while self._timers and self._timers[0][0] <= now:
            _, ticket = heapq.heappop(self._timers)
            if ticket in self._tickets:
                task, fd = self._tickets.pop(ticket)
                self._waiting.pop(fd, None)
                self._resume(task, False)

    def _next(self):
        """Seconds until a timer that still has a task."""
        while self._timers and self._timers[0][1] not in self._tickets:
            heapq.heappop(self._timers)
        return max(0, self._timers[0][0] - time.monotonic()) if self._timers else 1

    def turn(self, most=1.0):
        """Waits for what comes first, but no longer than `most`, and lets those concerned go on."""
        looked = time.monotonic()       # what was there by then is seen: whoever stood still has not waited in vain
        for fd, _ in self._epoll.poll(min(most, self._next())):
            ticket = self._waiting.pop(fd, None)
            if ticket is None:
                self._news.add(fd)
            else:
                self._resume(self._tickets.pop(ticket)[0], True)
        self._expire(looked)

    def run(self):
        """Until every task has ended."""
        while self.running:
            self.turn()
