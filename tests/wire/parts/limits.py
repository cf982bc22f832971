"""Scarcity and stops (ATTACKS O7-O9, O11): processes that stand still for seconds, a log on a full disk, few descriptors, little memory.
Each is a rig of its own with ordinary traffic; while descriptors or memory are short the workers' processor time is measured (ORACLE
R-6)."""
import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import time

from parts.account import Account
from parts.gateway import status_of
from parts.kills import collect, settle
from parts.loop import Loop
from parts.place import fresh_folder
from parts.rig import Rig

TICKS = os.sysconf("SC_CLK_TCK")
IDLE_MOST = 0.05        # of a processor, R-6
OTHER_LINES = 50        # of a log: starts, back ends
ROOM = 300_000        # octets of address space for a worker beyond what it has when it has nothing to do


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICKS


class Limit:
    """A rig, traffic, and something that is wrong with it for a while."""
    name, clients, relays = "", 8, False
    sections, ledger, service = {}, {}, {}
    leave = 0.0

    def __init__(self, options, seconds):
        self.options, self.seconds = options, seconds
        self.account = Account(self.name)

    # ---- for each kind ----

    def before(self):
        """Keywords for the rig's service."""
        return dict(self.service)

    def task(self, rig):
        """Goes wrong; ends with things as they should be."""
        yield from ()

    def after(self, rig):
        """Claims of its own; also when nothing else is left."""

    # ---- what they share ----

    def flows(self, rig, what, patience=60):
        """Mail goes through."""
        if not (yield from rig.until_acknowledged(10, patience)):
            self.account.violate("%s: no mail within %d s" % (what, patience))

    def run(self):
        account, loop = self.account, Loop()
        settings = self.before()
        rig = Rig(loop, 0, "%s/%s" % (self.options.seed, self.name), self.clients, self.leave,
                  {"before": 1000, "after": 1000, **self.ledger}, self.sections, **settings)
        self.loop, began = loop, time.monotonic()

        def script():
            yield from self.flows(rig, "at the start")
            yield from self.task(rig)
            yield from self.flows(rig, "afterwards")
            rig.is_over = True
        try:
            rig.service.wait_serving(loop)
            rig.begin()
            loop.spawn(script())
            loop.run()
            settle([rig])
            self.after(rig)
        finally:
            account.seconds += time.monotonic() - began
            status = rig.service.stop()
        if status != 0:
            account.violate("the gateway ended with status %s" % status)
        collect(rig, account)
        rig.stop()
        self.clean()
        return account

    def clean(self):
        pass


class Stops(Limit):
    """SIGSTOP and SIGCONT of a worker or the back end. The gateway gives a standing back end south_end (2 s here), then says 451."""
    name = "stop"
    sections = {"timeouts": {"south_end": "2s"}}

    def task(self, rig):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            what = rig.rng.choice(("worker", "backend"))
            pids = [rig.ledger.pid] if what == "backend" else rig.service.workers()
            pid = rig.rng.choice(pids)
            length = rig.rng.uniform(1, min(5, max(1.5, self.seconds / 2)))
            before = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            try:
                yield self.loop.sleep(length)
            finally:
                os.kill(pid, signal.SIGCONT)
            # What the standing back end had in its socket it takes only now: late, but taken (X3). What a standing worker missed it finds
            # in its sockets: no reason for a 451.
            if what == "backend":
                rig.events.append(("south silent", before, time.monotonic() + 3))
            self.account.injected[what] += 1
            for state in rig.states():
                self.account.phases[what, state] += 1
            yield from self.flows(rig, "after the stop of a " + what)


class FullDisk(Limit):
    """The log is on a disk of 64 kB (L-5): mail goes on."""
    name = "full disk"

    def before(self):
        self.disk = fresh_folder("disk")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "tmpfs", self.disk], check=True)
        return {"log": self.disk / "log"}

    def task(self, rig):
        end = time.monotonic() + max(60, self.seconds)
        while time.monotonic() < end:
            used = os.statvfs(self.disk)
            if used.f_bavail == 0 and (self.disk / "log").stat().st_size % used.f_bsize == 0:      # the last block, too
                self.account.injected["full"] += 1
                break
            yield self.loop.sleep(0.05)
        else:
            self.account.violate("the disk did not get full")
        n, self.rig = rig.acknowledged, rig
        # Each of two workers keeps as much as the disk has room for: n messages' lines. More than twice as many, and lines are dropped.
        if not (yield from rig.until_acknowledged(n * 9 // 4, 180)):
            self.account.violate("with a full disk: %d messages within 180 s" % (rig.acknowledged - n))
        self.account.notes.append("%d messages while the disk was full" % (rig.acknowledged - n))
        at = (self.disk / "log").stat().st_size
        subprocess.run(["mount", "-o", "remount,size=64m", self.disk], check=True)     # room again: what follows must be logged
        yield from rig.until_acknowledged(200, 20)
        yield self.loop.sleep(0.5)
        if b"event=transaction" not in (self.disk / "log").read_bytes()[at:]:
            self.account.violate("nothing is logged when there is room again")

    def count_lines(self, text):
        """What is in the log and what it says is missing must be the lines of all transactions and connections (L-5)."""
        written = len(re.findall(r"event=(?:transaction|connection) ", text))
        accepted = len(re.findall(r"event=transaction .*outcome=accepted", text))
        dropped = sum(map(int, re.findall(r"event=log_dropped lines=(\d+)", text)))
        attempts, acknowledged = len(self.rig.attempts), self.rig.acknowledged
        # Each attempt is a transaction, unless it was refused before MAIL, and has at most one connection. Where the disk
        # was full a line may be broken by one of another worker.
        self.account.notes.append("%d messages acknowledged, %d of them in the log; %d lines dropped, says the log" % (
            acknowledged, accepted, dropped))
        if dropped == 0 or accepted + dropped + 2 < acknowledged:
            self.account.violate("L-5: %d acknowledged, %d in the log, %d dropped" % (acknowledged, accepted, dropped))
        if written + dropped > 2 * attempts + OTHER_LINES:
            self.account.violate("L-5: %d lines written and %d dropped, of %d attempts" % (written, dropped, attempts))

    def clean(self):
        if hasattr(self, "rig"):
            self.count_lines((self.disk / "log").read_text(errors="replace"))
        subprocess.run(["umount", self.disk], check=False)


class Hungry(Limit):
    """The resource is used up by clients who come and stay; others wait or are told 421, and the workers do not spin."""
    idle = 0

    def crowd(self, rig, n):
        """Connections that say nothing."""
        for _ in range(n):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(rig.front)
            yield sock

    def task(self, rig):
        began = time.monotonic()
        crowd = list(self.crowd(rig, self.idle))
        yield self.loop.sleep(0.5)
        rig.is_paused = True
        yield from self.come_to_rest(rig)
        pids = rig.service.workers()
        before, at = sum(map(cpu_seconds, pids)), time.monotonic()
        yield self.loop.sleep(max(2, min(5, self.seconds / 3)))
        share = (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - at) / max(1, len(pids))
        rig.is_paused = False
        self.account.notes.append("%d idle clients, %.1f %% of a processor for each worker" % (self.idle, 100 * share))
        self.account.injected["starved"] += 1
        if rig.service.workers() != pids:
            self.account.violate("a worker has ended")
        if share > IDLE_MOST:
            self.account.violate("R-6: %.1f %% of a processor while starved" % (100 * share))
        self.while_starved(rig, pids)
        for sock in crowd:
            with contextlib.suppress(OSError):
                sock.close()
        yield self.loop.sleep(0.3)
        rig.events.append(("starved", began, time.monotonic()))

    def come_to_rest(self, rig):
        """Clients under way get through, or wait for what there is none of."""
        n, end = -1, time.monotonic() + 10
        while len(rig.attempts) != n and time.monotonic() < end:
            n = len(rig.attempts)
            yield self.loop.sleep(0.7)

    def while_starved(self, rig, pids):
        if "out of" not in rig.service.text() and "emory" not in rig.service.text():
            self.account.notes.append("it was not scarce enough to be noticed")


class FewDescriptors(Hungry):
    """ulimit -n 64 (O9)."""
    name = "descriptors"
    idle = 200

    def before(self):
        return {"wrapper": ["prlimit", "--nofile=64:64"]}

    def while_starved(self, rig, pids):
        most = max(len(os.listdir("/proc/%d/fd" % pid)) for pid in pids)
        self.account.notes.append("%d descriptors in use" % most)
        if most < 55:
            self.account.violate("descriptors were not scarce: %d" % most)


class LittleMemory(Hungry):
    """Address space for the process and little more (O8): each client costs some, and some get none."""
    name = "memory"
    idle = 250
    sections = {"limits": {"sessions": 400}}

    def task(self, rig):
        size = max(int(status_of(pid)["VmSize"].split()[0]) * 1024 for pid in rig.service.workers())
        resource.prlimit(rig.service.pid, resource.RLIMIT_AS, (size + ROOM, resource.RLIM_INFINITY))
        began = time.monotonic()
        yield from self.renew_workers(rig)
        yield from self.big_mail(rig)
        yield from super().task(rig)
        resource.prlimit(rig.service.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        yield from self.renew_workers(rig)
        # Without memory for TLS or an answer there is nothing left but to hang up.
        rig.events.append(("no memory", began, time.monotonic()))

    def renew_workers(self, rig):
        """They inherit the supervisor's limit: nobody may set it for a process without privileges."""
        for pid in rig.service.workers():
            rig.kill_one(pid)
            yield self.loop.sleep(1.2)

    def big_mail(self, rig):
        """Traffic while memory is short; 452 and 421 are fine."""
        yield self.loop.sleep(max(2, self.seconds / 3))


def campaign(options):
    seconds = 60 * (options.minutes or 2) / 4
    kinds = [Stops]
    kinds += [FullDisk, FewDescriptors, LittleMemory] if os.geteuid() == 0 else []
    accounts = [kind(options, seconds).run() for kind in kinds]
    if os.geteuid() != 0:
        accounts.append(Account.skip("full disk, descriptors, memory", "need root"))
    return accounts
