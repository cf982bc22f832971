"""Messages per second, CPU and latency. Each round measures every way in turn, so that what else this machine does falls
on all of them; of the rounds the medians count."""
import os
import statistics
import subprocess
import time

import rig
from client import Client

SIZE = 4096
MESSAGES = 600              # of each measurement of throughput: short, so that the ways take turns quickly
AT_ONCE = 20                # connections
LATENCY_MESSAGES = 200
TLS_MESSAGES = 60


class Run:
    """One measurement: wall time, and CPU time of each party."""

    def __init__(self, messages, seconds, source, middle, sink):
        self.rate = messages / seconds
        self.latency = seconds * 1e3 / messages
        self.middle = middle * 1e3 / messages       # seconds per 1000 messages
        self.all = (source + middle + sink) * 1e3 / messages


class Way:
    """From smtp-source to smtp-sink, directly or through a middle process."""

    def __init__(self, name, endpoint, sink, middle=None):
        self.name, self.endpoint, self.sink, self.middle = name, endpoint, sink, middle

    def measure(self, messages, source):
        """`source()` sends `messages` and returns its CPU seconds."""
        middle = self.middle.cpu() if self.middle else 0
        sink = self.sink.cpu()
        begun = time.monotonic()
        source_cpu = source()
        seconds = time.monotonic() - begun
        return Run(messages, seconds, source_cpu, self.middle.cpu() - middle if self.middle else 0,
                   self.sink.cpu() - sink)


def smtp_source(endpoint, sessions, messages, reuse):
    """Returns the CPU seconds it took. With `reuse` its sessions share the messages out among themselves."""
    arguments = ["smtp-source", *(["-d"] if reuse else []), "-s", str(sessions), "-m", str(messages), "-l", str(SIZE),
                 "-M", "bench.local.example", "-f", "a@bench.local.example", "-t", "b@local.example",
                 rig.text(endpoint)]
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit("smtp-source to %s failed" % rig.text(endpoint))
    return usage.ru_utime + usage.ru_stime


def one_each(way):
    return way.measure(MESSAGES, lambda: smtp_source(way.endpoint, AT_ONCE, MESSAGES, reuse=False))


def ten_each(way):
    """AT_ONCE connections with ten messages each, over and over."""
    part = AT_ONCE * 10

    def source():
        return sum(smtp_source(way.endpoint, AT_ONCE, part, reuse=True) for _ in range(MESSAGES // part))
    return way.measure(MESSAGES, source)


def alone_one_each(way):
    return way.measure(LATENCY_MESSAGES, lambda: smtp_source(way.endpoint, 1, LATENCY_MESSAGES, reuse=False))


def alone_all_in_one(way):
    return way.measure(LATENCY_MESSAGES, lambda: smtp_source(way.endpoint, 1, LATENCY_MESSAGES, reuse=True))


def over_tls(way, each):
    def source():
        for _ in range(TLS_MESSAGES // each):
            client = Client(tls=True)
            for _ in range(each):
                client.send()
            client.quit()
        return 0
    return way.measure(TLS_MESSAGES, source)


KINDS = {"one": one_each, "ten": ten_each, "alone one": alone_one_each, "alone all": alone_all_in_one}


class Speeds:
    """The runs of all rounds by (way, kind); a figure is their median."""

    def __init__(self):
        self.runs = {}

    def add(self, way, kind, run):
        self.runs.setdefault((way, kind), []).append(run)

    def median(self, way, kind, figure):
        return statistics.median(getattr(run, figure) for run in self.runs[way, kind])

    def spread(self, way, kind, figure):
        values = [getattr(run, figure) for run in self.runs[way, kind]]
        return min(values), max(values)

    def ratio(self, way, other, kind, figure):
        """The median of the rounds' ratios: both sides of each were measured within seconds."""
        pairs = zip(self.runs[way, kind], self.runs[other, kind])
        return statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in pairs)

    def added(self, way, kind, figure):
        """What `way` adds to the direct way: the median of the rounds' differences."""
        pairs = zip(self.runs[way, kind], self.runs["direct", kind])
        return statistics.median(getattr(a, figure) - getattr(b, figure) for a, b in pairs)


def measure_plain(speeds, rounds):
    with rig.smtp_sink() as sink, rig.haproxy() as haproxy, rig.postern() as postern:
        ways = [Way("direct", rig.SINK, sink), Way("haproxy", rig.HAPROXY, sink, haproxy),
                Way("postern", rig.POSTERN, sink, postern)]
        for kind in (one_each, ten_each):           # warm caches and pools are what a gateway has
            for way in ways:
                kind(way)
        for _ in range(rounds):
            for name, kind in KINDS.items():
                for way in ways:
                    speeds.add(way.name, name, kind(way))


def measure_tls(speeds, rounds):
    with rig.smtp_sink() as sink, rig.postern(tls=True) as postern:
        way = Way("postern", rig.POSTERN, sink, postern)
        for _ in range(rounds):
            speeds.add(way.name, "tls one", over_tls(way, 1))
            speeds.add(way.name, "tls ten", over_tls(way, 10))


def measure(rounds):
    speeds = Speeds()
    measure_plain(speeds, rounds)
    measure_tls(speeds, rounds)
    return speeds
