"""Failures while the gateway starts (ATTACKS O6, ORACLE X14): the k-th call of the supervisor or of its workers fails before anybody was let
in. Either it ends, with a status that is no signal's and a line that says why, or it serves: never a crash, never a port at which
nobody answers. And the form for a single failure by hand, POSTERN_FAULT=write:17:ENOBUFS, does what it says."""
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time

from parts import family
from parts.account import Account
from parts.faulty import FATES, SUPERVISOR, WORKERS, Faulty, fate_name
from parts.gateway import Gateway, children, environment
from parts.loop import Loop
from parts.place import ROOT, home
from parts.rig import Rig

WAIT = 15           # seconds for a start: under the sanitizers, and once more for a worker that failed
ANSWER = 20         # seconds for a greeting
NOISE = re.compile(r"^\s*#\d+ |^\s*$|^time=.*event=(backend_up|serving)")
SECTIONS = {"server": {"workers": 1}, "timeouts": {"probe": "3600s", "drain": "1s"}, "spf": {"check": "yes"}}
# libuv 1.44 ends the process when it cannot watch a descriptor; the supervisor starts another.
ABORTS = {("epoll_ctl", "ENOMEM"), ("epoll_ctl", "ENOSPC")}


class Starts:
    def __init__(self, options, seconds):
        self.options, self.account = options, Account("starts")
        self.rng = random.Random("%s/starts" % options.seed)
        self.end = time.monotonic() + seconds
        self.faulty = Faulty()
        self.program = home() / "postern-faulty"
        if not self.program.exists():
            self.program.write_bytes((ROOT / "build" / "asan" / "postern-faulty").read_bytes())
            self.program.chmod(0o755)
        self.rig = Rig(Loop(), 0, self.rng.getrandbits(32), 0, is_started=False)     # for its ledger
        self.gateway = Gateway(self.rig.ledger.endpoint, SECTIONS, start=False)
        self.log = self.gateway.ini.parent / "log"
        self.ended, self.served = 0, 0

    def start(self):
        with open(self.log, "wb") as log:
            return family.start([self.program, "run", "-c", self.gateway.ini], stdout=log, stderr=log,
                                env=environment(POSTERN_FAULTS=str(self.faulty.path), ASAN_OPTIONS="detect_leaks=0:abort_on_error=0"))

    def text(self):
        return self.log.read_text(errors="replace")

    def outcome(self, process):
        """Its exit status, "serves", or None."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if process.poll() is not None:
                return process.returncode
            if "event=serving" in self.text():
                return "serves"
            time.sleep(0.01)
        # The line may have been the write that failed: it is there when the log is written next.
        return "serves" if self.greeting() else None

    def greeting(self):
        end = time.monotonic() + ANSWER
        while time.monotonic() < end:   # a worker may just have failed: the next one is there after a second
            with contextlib.suppress(OSError), socket.create_connection(self.gateway.smtp, ANSWER) as sock:
                code = sock.recv(3)
                if code:
                    return code
            time.sleep(0.05)
        return b""

    @staticmethod
    def stop(process):
        """Orderly; its status."""
        workers = children(process.pid) if process.poll() is None else []
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(40)
        for pid in [process.pid, *workers]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        return "killed"

    @staticmethod
    def name_of(who, name, at, fate):
        return "%s:%s:%d:%s" % ("supervisor" if who == SUPERVISOR else "worker", name, at, fate_name(fate))

    def play(self, who, name, at, fate):
        what = self.name_of(who, name, at, fate)
        self.faulty.arm(who, name, at, fate)
        process = self.start()
        outcome = self.outcome(process)
        greeting = self.greeting() if outcome == "serves" else b""
        if not self.faulty.disarm():
            self.stop(process)
            return
        self.account.injected["%s %s" % (name, fate_name(fate))] += 1
        status = self.stop(process)
        text = self.text()
        words = [line for line in text.splitlines() if not NOISE.match(line)]
        if re.search(r"ERROR: AddressSanitizer|runtime error:", text) and (name, fate_name(fate)) not in ABORTS:
            self.account.violate("%s: a crash: %s" % (what, text[-1500:]))
        elif outcome is None:
            self.account.violate("%s: neither serves nor ends within %d s: %s" % (what, WAIT, words[-5:]))
        elif outcome == "serves" and greeting not in (b"220", b"421"):
            self.account.violate("%s: it serves, but nobody answers: %s" % (what, words[-5:]))
        elif outcome == "serves" and "event=serving" not in text:
            self.account.violate("%s: it answers, but is never ready: %s" % (what, words[-5:]))
        elif outcome == "serves" and status != 0:
            self.account.violate("%s: it served, and ended with status %s: %s" % (what, status, words[-5:]))
        elif outcome != "serves" and (outcome <= 0 or not words):
            self.account.violate("%s: ended with status %s, and says %s" % (what, outcome, words[-5:]))
        self.served += outcome == "serves"
        self.ended += outcome != "serves"

    def by_hand(self):
        """POSTERN_FAULT: the first write of a worker behind its first client fails; the second program is not asked to."""
        for wish, is_hit in (("write:1:EPIPE", True), ("write:100000:EPIPE", False)):
            with open(self.log, "wb") as log:
                process = family.start([self.program, "run", "-c", self.gateway.ini], stdout=log, stderr=log,
                                       env=environment(POSTERN_FAULT=wish, ASAN_OPTIONS="detect_leaks=0"))
            outcome = self.outcome(process)
            if outcome != "serves":
                self.account.violate("POSTERN_FAULT=%s: ended with %s: %s" % (wish, outcome, self.text()[-1500:]))
                self.stop(process)
                continue
            code = b""
            with contextlib.suppress(OSError), socket.create_connection(self.gateway.smtp, ANSWER) as sock:     # it may hang up at once
                code = sock.recv(3)
            self.stop(process)
            stacks = self.text().count("in __wrap_") + len(re.findall(r"^\s*#0 ", self.text(), re.M))
            if (code == b"" or stacks > 0) != is_hit:
                self.account.violate("POSTERN_FAULT=%s: greeting %r, %d stacks" % (wish, code, stacks))

    def plans(self):
        plans = []
        for who in (SUPERVISOR, WORKERS):
            self.faulty.count(who)
            process = self.start()
            if self.outcome(process) != "serves":
                raise AssertionError("does not start:\n" + self.text()[-2000:])
            counts = self.faulty.counts()
            self.faulty.disarm()
            self.stop(process)
            self.account.notes.append("calls of a %s's start: %s" % ("supervisor" if who == SUPERVISOR else "worker", ", ".join(
                "%s %d" % pair for pair in counts.items() if pair[1])))
            plans += [(who, name, at, fate) for name, fates in FATES.items() for fate in fates for at in range(1, counts.get(name, 0) + 1)]
        # Single calls in turn with allocations, of which there are many more.
        self.rng.shuffle(plans)
        many, few = [plan for plan in plans if plan[1] == "alloc"], [plan for plan in plans if plan[1] != "alloc"]
        mixed = [plan for pair in zip(few, many) for plan in pair]
        return mixed + few[len(many):] + many[len(few):]

    def run(self):
        began = time.monotonic()
        try:
            self.by_hand()
            plans = self.plans()
            played = 0
            if self.options.only:
                plans = [plan for plan in plans if re.match(self.options.only, self.name_of(*plan))]
            for plan in plans:
                if time.monotonic() > self.end or len(self.account.violations) > 20:
                    break
                self.play(*plan)
                played += 1
            self.account.notes.append("%d of %d failures were played: %d served all the same, %d ended and said why" % (
                played, len(plans), self.served, self.ended))
        finally:
            self.account.seconds = time.monotonic() - began
            self.rig.stop()
        return self.account


def campaign(options):
    if not (ROOT / "build" / "asan" / "postern-faulty").exists():
        return [Account.skip("starts", "there is no build/asan/postern-faulty")]
    return [Starts(options, 60 * (options.minutes or 10)).run()]
