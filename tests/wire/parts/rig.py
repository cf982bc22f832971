"""A rig: a gateway, a ledger behind it and clients in front of it, with the means to kill each and to start it again as an init
system would. Several stand side by side in one loop."""
import contextlib
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import time

from parts import family
from parts.book import Book
from parts.gateway import Gateway, binary, children, environment
from parts.place import BUILD, ROOT, fresh_endpoint, fresh_folder, until
from parts.relay import Relay
from parts.sender import SIZES, Sender

RESTART = 40    # seconds until a gateway must have started again, also on a slow machine
HOLD = "64k"    # bodies below and above: held for the verdict, or streamed
SECTIONS = {"limits": {"hold": HOLD, "sessions_per_address": 1000, "transactions": 1000},
            "timeouts": {"probe": "1s", "drain": "10s", "south_end": "1s"}}


def is_alive(pid, needle):
    """Whether this is still a process of ours: its command line has the needle, which is the path of our ini or book."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return str(needle).encode() in file.read()
    except OSError:
        return False


def handles(pids):
    """Of processes that are there."""
    found = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found


def has_ended(handle):
    """Its descriptors are closed, then: the kernel says so last (do_exit())."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def kernel_end_of(local, remote):
    """Of a TCP connection on this machine: its state, whether it waits to send octets again that were not acknowledged (timer 1 of
    proc_net_tcp.txt), and the processes that hold it."""
    def words(endpoint):
        return "%08X:%04X" % (int.from_bytes(socket.inet_aton(endpoint[0]), "little"), endpoint[1])
    with open("/proc/net/tcp") as file:
        found = [line.split() for line in file if words(local) in line and words(remote) in line]
    for row in found:
        if row[1] != words(local):
            continue
        holders = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                holders += [pid for fd in os.listdir("/proc/%s/fd" % pid)
                            if os.readlink("/proc/%s/fd/%s" % (pid, fd)) == "socket:[%s]" % row[9]]
        again = ", is sent again (%d times so far)" % int(row[6], 16) if row[5].startswith("01:") and int(row[6], 16) else ""
        return "state %s, queues %s%s, inode %s, held by %s" % (row[3], row[4], again, row[9], holders or "nobody")
    return "none"


class Ledger:
    """The back end. The listening socket is ours and is handed down, so that it can outlive its server; or not, see away()."""

    def __init__(self, options, seed, endpoint=None):
        self.endpoint = endpoint or fresh_endpoint()
        self.book = Book(fresh_folder("book") / "book")
        self.options = ["--%s=%s" % pair for pair in options.items()]
        self.seed = seed
        self.starts = 0
        self.output = open(self.book.path.with_name("output"), "wb")    # pylint: disable=consider-using-with
        self.process = None
        self.listen()
        self.start()

    def listen(self):
        self.listener = socket.create_server(self.endpoint, backlog=512)

    def start(self):
        self.starts += 1
        program = ROOT / "build" / BUILD / "ledger"
        number = self.listener.fileno()
        self.process = family.start([program, "--fd=%d" % number, "--book=%s" % self.book.path, *self.options,
                                     "--seed=%d" % (self.seed * 1000 + self.starts)],
                                    pass_fds=[number], stdout=self.output, stderr=self.output)

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        """Its status, when it had ended by itself."""
        status = self.process.poll()
        self.process.kill()
        self.process.wait()
        return status

    def stop(self):
        status = self.kill()
        self.output.close()
        self.listener.close()
        self.book.close()
        if status is not None:
            raise AssertionError("the ledger had ended by itself: %s" % status)


class Service:
    """`postern run` that is started again and again; its log goes on through all its lives."""

    def __init__(self, back, sections, wrapper=(), program=None, env=None, log=None):
        self.ini_of = Gateway(back, sections, start=False)
        self.front, self.ini = self.ini_of.smtp, self.ini_of.ini
        self.log = log or self.ini.parent / "log"
        self.keys = self.ini.parent / "keys"
        self.wrapper, self.program, self.env = list(wrapper), program or binary(), environment(**(env or {}))
        self.process = None
        self.known = set()      # workers once seen, which may outlive their supervisor

    def start(self):
        with open(self.log, "ab") as log:
            self.log_began = log.tell()
            self.process = family.start([*self.wrapper, self.program, "run", "-c", self.ini, "--keylog", self.keys],
                                        stdout=log, stderr=log, env=self.env)
        return self

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        pids = children(self.pid)
        self.known.update(pids)
        return pids

    def is_running(self):
        return self.process.poll() is None

    def wait_serving(self, loop=None):
        """`loop`: what it has to reach meanwhile, relays to begin with, lives there."""
        def serves():
            if not self.is_running():
                raise AssertionError("the gateway has ended:\n" + self.text()[-2000:])
            if loop:
                loop.turn(0.005)
            return b"event=serving" in self.log.read_bytes()[self.log_began:]
        until(serves, "the gateway serves")

    def kill_supervisor(self):
        self.workers()
        self.process.kill()
        self.process.wait()

    def kill_all(self, workers):
        """As the end of a control group or a power cut of the process tree does."""
        self.process.kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """For good: orderly, then by force. Returns the exit status."""
        status = None
        if self.process and self.is_running():
            self.workers()
            self.process.terminate()
            try:
                status = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.known:
            if is_alive(pid, self.ini):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return status

    def text(self):
        return pathlib.Path(self.log).read_text(errors="replace")


class Rig:
    """`events`: what was done to it, as (kind, before, after) in seconds of time.monotonic()."""

    def __init__(self, loop, number, seed, clients=8, leave=0.0, ledger=None, sections=None, tls_every=8, sizes=SIZES,
                 relays=False, is_started=True, **service):
        """`tls_every`: each so many-th client uses STARTTLS. `relays`: one on each side, see relay.py. `is_started`: or else begin with
        service.start(), when captures run."""
        self.loop, self.number, self.source, self.sizes = loop, number, None, sizes
        self.rng = random.Random("%s/%d" % (seed, number))
        self.ledger = Ledger(ledger or {}, self.rng.getrandbits(32))
        self.south = Relay(self, "south", self.ledger.endpoint) if relays else None
        merged = {name: {**SECTIONS.get(name, {}), **(sections or {}).get(name, {})}
                  for name in {**SECTIONS, **(sections or {})}}
        self.service = Service(self.south.endpoint if relays else self.ledger.endpoint, merged, **service)
        if is_started:
            self.service.start()
        self.north = Relay(self, "north", self.service.front) if relays else None
        self.south_end = float(merged["timeouts"]["south_end"].removesuffix("s"))
        self.front = self.north.endpoint if relays else self.service.front
        self.is_over, self.over_at = True, None
        self.is_paused = False      # clients begin no session
        self.label = ""
        self.attempts, self.events = [], []
        self.acknowledged = 0
        self.senders = [Sender(loop, self, n, random.Random("%s/%d/%d" % (seed, number, n)), leave,
                               tls_every and n % tls_every == tls_every - 1) for n in range(clients)]

    # ---- mail ----

    def begin(self):
        """Clients begin to send; set is_over for their end."""
        self.is_over = False
        self.attempts, self.events = [], []
        for sender in self.senders:
            self.loop.spawn(sender.run())

    def tell(self, attempt):
        self.attempts.append(attempt)
        self.acknowledged += attempt.end == 250

    def is_given_up(self):
        """Clients see their last token through, but not for ever."""
        if not self.is_over:
            self.over_at = None
        elif self.over_at is None:
            self.over_at = time.monotonic()
        return self.is_over and time.monotonic() > self.over_at + 60

    def states(self):
        return [sender.state for sender in self.senders]

    def on_silence(self, sender):
        """What the system knows of the other end of a client's connection that is answered no more."""
        if sender.sock is None:
            return b""
        own = sender.sock.getsockname()
        end = "%s; own end: %s" % (kernel_end_of(self.front, own), kernel_end_of(own, self.front))
        return ("other end: %s; gateway %d, workers %s" % (end, self.service.pid, self.service.workers())).encode()

    def until_acknowledged(self, n, patience):
        """A task's wait, False when it took too long."""
        wanted, end = self.acknowledged + n, time.monotonic() + patience
        while self.acknowledged < wanted:
            if time.monotonic() > end:
                return False
            yield self.loop.sleep(0.003)
        return True

    # ---- faults; each is a task ----

    @contextlib.contextmanager
    def event(self, kind):
        before = time.monotonic()
        yield
        self.events.append((kind, before, time.monotonic()))

    def begin_event(self, kind, pids):
        """To be called before they are killed, or told: the event lasts until these processes have ended. A killed one has its sockets until
        it gets a processor to end on. Returns when it began."""
        before, ends = time.monotonic(), handles(pids)

        def watch():
            for end in ends:
                while not has_ended(end):
                    yield self.loop.sleep(0.005)
                os.close(end)
            self.events.append((kind, before, time.monotonic()))
        self.loop.spawn(watch())
        return before

    def restart(self, since):
        """As an init system does. The ports may be held a moment longer by the workers of before; `since` then nobody listens."""
        self.service.start()
        end = time.monotonic() + RESTART
        while time.monotonic() < end:
            yield self.loop.sleep(0.002)
            if not self.service.is_running():
                self.service.start()
            elif len(children(self.service.pid)) > 0:
                self.events.append(("away", since, time.monotonic()))
                return
        raise AssertionError("the gateway does not start again:\n" + self.service.text()[-2000:])

    def kill_worker(self):
        workers = self.service.workers()
        if workers:
            self.kill_one(self.rng.choice(workers))
        return bool(workers)
        yield   # pylint: disable=unreachable  (a task like the others)

    def kill_one(self, worker):
        self.begin_event("worker", [worker])
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)

    def kill_supervisor(self):
        before = self.begin_event("supervisor", self.service.workers())
        self.service.kill_supervisor()
        yield from self.restart(before)
        return True

    def kill_all(self):
        workers = self.service.workers()
        before = self.begin_event("all", [self.service.pid, *workers])
        self.service.kill_all(workers)
        yield from self.restart(before)
        return True

    def kill_backend(self):
        with self.event("backend"):
            self.ledger.kill()
        self.ledger.start()
        return True
        yield   # pylint: disable=unreachable

    def kill_backend_away(self):
        """Its port is closed for a while, too."""
        with self.event("backend"):
            self.ledger.kill()
            self.ledger.listener.close()
        yield self.loop.sleep(self.rng.uniform(0, 0.03))
        self.ledger.listen()
        self.ledger.start()
        return True

    def stop(self):
        status = self.service.stop()
        self.ledger.stop()
        for relay in (self.north, self.south):
            if relay:
                relay.stop()
        return status
