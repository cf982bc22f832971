"""Links that break (ATTACKS N05, O4): a session on each side cut after every octet in either direction, by FIN, RST, silence and one-way
silence; then many sessions at once over links that jitter and are cut anywhere."""
import random
import time

from parts.account import Account
from parts.kills import collect, settle
from parts.loop import Loop
from parts.relay import DOWN, MANNERS, UP, Cut
from parts.rig import Rig
from parts.sender import PATIENCE

LANES = 16
QUICK = {"timeouts": {"probe": "3600s", "south_end": "1s", "south_command": "1s", "south_data_start": "1s",
                      "south_block": "1s", "greeting": "1s", "connect": "1s"},
         "server": {"workers": 1}}
SHORT = 0.4         # seconds a client waits on a link that is silent; the gateway's own bounds are 1 s
HAZARD = 2e-5       # cuts an octet, where they come at random


class Cutting:
    """Plans, shared by lanes. A lane is a rig with one client, which plays one plan after the other: the session that is cut, then
    sessions until the message is through, which the first of them should do."""

    def __init__(self, loop, account, end):
        self.loop, self.account, self.end = loop, account, end
        self.plans, self.done = None, 0

    def make_plans(self, rig, rng):
        """Every octet of a session as the relays have just counted them; the last one stands for "nothing was cut"."""
        self.plans = [(relay.side, Cut(way, octets, manner))
                      for relay in (rig.north, rig.south) for way in (UP, DOWN)
                      for octets in range(relay.last.passed[way] + 1) for manner in MANNERS]
        self.account.notes.append("octets of a session: " + ", ".join(
            "%s %s %d" % (relay.side, way, relay.last.passed[way]) for relay in (rig.north, rig.south) for way in (UP, DOWN)))
        self.all = len(self.plans)
        rng.shuffle(self.plans)

    def deliver(self, rig, sender, what):
        """Sends until it is answered 250."""
        end = time.monotonic() + 3 * PATIENCE
        while True:
            yield from sender.session()
            if sender.token is None:
                return
            if time.monotonic() > end:
                self.account.violate("%s: no message gets through afterwards: %r" % (what, rig.attempts[-1]))
                sender.token = None
                return
            yield self.loop.sleep(0.02)

    def lane(self, rig, sender, rng):
        rig.is_over = False
        yield from self.deliver(rig, sender, "at the start")
        yield self.loop.sleep(0.1)      # QUIT in the south
        if self.plans is None:
            self.make_plans(rig, rng)
        while self.plans and time.monotonic() < self.end:
            side, plan = self.plans.pop()
            relay = rig.north if side == "north" else rig.south
            relay.arm(plan)
            rig.label = "%s %s" % (side, plan)
            sender.gives_up = (SHORT, lambda: rig.north.is_silent)
            yield from sender.session()
            sender.gives_up = None
            self.account.phases[side, rig.attempts[-1].state] += 1
            relay.disarm()
            self.account.injected["%s %s %s" % (side, plan.way, plan.manner)] += 1
            self.done += 1
            yield from self.deliver(rig, sender, "%s %s" % (side, plan))
        rig.is_over = True
        rig.north.stop()
        yield self.loop.sleep(0.1)
        rig.south.stop()


def lanes(options, seconds):
    loop, account, seed = Loop(), Account("cuts"), "%s/cuts" % options.seed
    rigs = [Rig(loop, n, seed, 1, sections=QUICK, tls_every=0, sizes=(300,), relays=True) for n in range(LANES)]
    began = time.monotonic()
    cutting = Cutting(loop, account, began + seconds)
    try:
        for rig in rigs:
            rig.service.wait_serving(loop)
        for n, rig in enumerate(rigs):
            sender = rig.senders[0]
            sender.messages, sender.pieces, sender.grouped = (1,), 0, 0
            loop.spawn(cutting.lane(rig, sender, random.Random(seed)))
        loop.run()
        settle(rigs)
    finally:
        account.seconds += time.monotonic() - began
        for rig in rigs:
            rig.service.stop()
    for rig in rigs:
        collect(rig, account)
        rig.stop()
    account.notes.append("%d of %d cuts were played" % (cutting.done, cutting.all))
    return account


def noise(options, seconds):
    """Ordinary traffic over bad links."""
    loop, account, seed = Loop(), Account("jitter"), "%s/jitter" % options.seed
    rigs = [Rig(loop, n, seed, options.clients, 0.01, {"before": 2000, "after": 2000}, relays=True) for n in range(2)]
    began = time.monotonic()
    try:
        for rig in rigs:
            rig.service.wait_serving(loop)
            for relay in (rig.north, rig.south):
                relay.jitter, relay.hazard = 0.004, HAZARD
            rig.begin()
        while time.monotonic() < began + seconds:
            loop.turn(0.1)
        for rig in rigs:
            rig.is_over = True
            for relay in (rig.north, rig.south):
                relay.jitter, relay.hazard = 0.0, 0.0
        while any(state != "idle" or sender.token for rig in rigs for sender in rig.senders for state in [sender.state]):
            loop.turn(0.1)
        settle(rigs)
        for rig in rigs:
            for relay in (rig.north, rig.south):
                account.injected[relay.side + " cut"] += relay.cuts
    finally:
        account.seconds += time.monotonic() - began
        for rig in rigs:
            rig.service.stop()
    for rig in rigs:
        collect(rig, account)
        rig.stop()
    return account


def campaign(options):
    seconds = 60 * (options.minutes or 10)
    return [lanes(options, seconds * 0.7), noise(options, seconds * 0.3)]
