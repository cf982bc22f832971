"""Kill loops of the DNS (ATTACKS O3): kill -9 of the server that SPF, DKIM and DMARC ask, at random moments; it stays away for a while, or
stands still. Every message is of an author with p=reject and passes by its signature alone. What cannot be asked is answered 451: never
5xx, never a lost connection, and never a 250 of a message that nobody could have judged while the DNS was away."""
import os
import random
import signal
import sys
import time

from parts import family, signing
from parts.account import Account
from parts.calls import SECTIONS, SignedSender, zone
from parts.kills import collect, settle
from parts.loop import Loop
from parts.place import ROOT, fresh_endpoint, text
from parts.rig import Rig

KINDS = {"killed": 50, "away": 30, "stopped": 20}
CLIENTS = 6
SETTINGS = {"timeout": "100ms", "tries": 2, "cache_size": "0"}     # asked for every message

PROGRAM = """
import sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from parts import dns
dns.DNS(eval(sys.argv[2]), address=sys.argv[3], port=int(sys.argv[4]))
time.sleep(3600)
"""


class Server:
    """A DNS server that can be killed."""

    def __init__(self, records):
        self.endpoint, self.records = fresh_endpoint(), records
        self.process = None

    def start(self):
        self.process = family.start([sys.executable, "-c", PROGRAM, ROOT / "tests" / "e2e", repr(self.records), self.endpoint[0],
                                     str(self.endpoint[1])])

    def kill(self):
        self.process.kill()
        self.process.wait()


class Resolvers:
    def __init__(self, options, seconds):
        self.account, self.seconds = Account("dns"), seconds
        self.rng = random.Random("%s/dns" % options.seed)
        self.loop = Loop()
        key = signing.Key(bits=2048)
        self.server = Server(zone(key))
        # Nobody's handshake is disturbed here, and a slow machine may take its time.
        timeouts = {**SECTIONS["timeouts"], "tls_handshake": "60s"}
        sections = {**SECTIONS, "timeouts": timeouts, "server": {"workers": 2}, "dns": {"servers": text(self.server.endpoint), **SETTINGS}}
        self.rig = Rig(self.loop, 0, self.rng.getrandbits(32), 0, sections=sections)
        self.rig.senders = [SignedSender(self.loop, self.rig, n, random.Random(self.rng.getrandbits(32)), key=key) for n in range(CLIENTS)]

    def away(self, seconds):
        """Killed, and not there for a while."""
        self.server.kill()
        killed, n = time.monotonic(), len(self.rig.attempts)
        yield self.loop.sleep(seconds)
        unasked = [attempt for attempt in self.rig.attempts[n:] if attempt.end == 250 and attempt.began > killed]
        if unasked:
            self.account.violate("%d messages were accepted without a DNS to ask: %r" % (len(unasked), unasked[0]))
        self.server.start()

    def stopped(self, seconds):
        os.kill(self.server.process.pid, signal.SIGSTOP)
        yield self.loop.sleep(seconds)
        os.kill(self.server.process.pid, signal.SIGCONT)

    def task(self):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if not (yield from self.rig.until_acknowledged(self.rng.randint(5, 15), 60)):
                self.account.violate("no mail within 20 s, with the DNS there: %r" % self.rig.attempts[-1:])
                break
            yield self.loop.sleep(self.rng.uniform(0, 0.1))
            kind = self.rng.choices(list(KINDS), KINDS.values())[0]
            for state in self.rig.states():
                self.account.phases[kind, state] += 1
            if kind == "stopped":
                yield from self.stopped(self.rng.uniform(0.1, 1))
            else:
                yield from self.away(0 if kind == "killed" else self.rng.uniform(0.7, 1.5))
            self.account.injected[kind] += 1
        self.rig.is_over = True

    def run(self):
        began = time.monotonic()
        try:
            self.server.start()
            self.rig.service.wait_serving(self.loop)
            self.rig.begin()
            self.loop.spawn(self.task())
            self.loop.run()
            settle([self.rig])
        finally:
            self.account.seconds = time.monotonic() - began
            status = self.rig.service.stop()
            self.server.kill()
        if status != 0:
            self.account.violate("the gateway ended with status %s" % status)
        collect(self.rig, self.account)
        self.rig.ledger.stop()
        for attempt in self.rig.attempts:
            if attempt.end not in (250, 451):
                self.account.violate("neither 250 nor 451: %r" % attempt)
        return self.account


def campaign(options):
    return [Resolvers(options, 60 * (options.minutes or 5)).run()]
