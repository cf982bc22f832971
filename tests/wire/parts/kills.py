"""Kill loops (ATTACKS O1, O2): kill -9 of workers, supervisors, whole gateways and back ends at random moments, in rounds of a few
hundred, each with its own captures and accounts."""
import random
import time

from parts.account import Account
from parts.loop import Loop
from parts.rig import Rig
from parts.wires import Wires

# kind -> weight and the rig's task
KINDS = {"worker": 25, "supervisor": 20, "all": 30, "backend": 22, "backend_away": 3}
PAUSE = 0.03        # seconds: the longest random wait before a kill, some sessions long
LEDGER = {"before": 3000, "after": 3000, "lose": 1000, "late": 200, "late-ms": 1500}
LEAVE = 0.004       # of the clients go away behind their end of data
PATIENCE = 40       # seconds until mail must flow again after a kill: it takes less than 8, and five times as long on a slow machine
SHORT_ROUND = 120   # kills, where there is less than a minute


class Killing:
    """A number of kills over a number of rigs."""

    def __init__(self, loop, rigs, account, kills, per_kill):
        self.loop, self.rigs, self.account, self.left = loop, rigs, account, kills
        self.per_kill = per_kill
        self.busy = len(rigs)

    def task(self, rig):
        """Kills one rig until the kills are used up."""
        rng = rig.rng
        while self.left > 0:
            if not (yield from rig.until_acknowledged(rng.randint(self.per_kill // 2, self.per_kill * 3 // 2), PATIENCE)):
                self.account.violate("rig %d: no mail within %d s after a kill" % (rig.number, PATIENCE))
            yield self.loop.sleep(rng.uniform(0, PAUSE))
            if self.left <= 0:
                break
            kind = rng.choices(list(KINDS), KINDS.values())[0]
            states = rig.states()
            if not (yield from getattr(rig, "kill_" + kind)()):
                continue
            self.left -= 1
            self.account.injected[kind] += 1
            for state in states:
                self.account.phases[kind, state] += 1
        self.busy -= 1
        if self.busy == 0:
            for each in self.rigs:
                each.is_over = True


def settle(rigs):
    """What clients have left behind may still be on its way to the book."""
    last, since = None, time.monotonic()
    while time.monotonic() - since < 0.15:
        time.sleep(0.02)
        now = [rig.ledger.book.count for rig in rigs]
        if now != last:
            last, since = now, time.monotonic()


def play_round(options, account, number, kills, ledger=None, with_captures=True):
    """One round with fresh rigs."""
    loop, seed = Loop(), "%s/kill/%d" % (options.seed, number)
    rigs = [Rig(loop, n, seed, options.clients, LEAVE, {**LEDGER, **(ledger or {})}, is_started=False) for n in range(options.rigs)]
    wires = Wires(options, rigs, "kill-%d" % number)
    began = time.monotonic()
    try:
        if with_captures:
            wires.start()       # first, so that they show what the back end offers: gateways ask at once, and maybe never again
        for rig in rigs:
            rig.service.start()
        for rig in rigs:
            rig.service.wait_serving()
        began = time.monotonic()
        killing = Killing(loop, rigs, account, kills, options.per_kill)
        for rig in rigs:
            rig.begin()
            loop.spawn(killing.task(rig))
        loop.run()
        settle(rigs)
    finally:
        account.seconds += time.monotonic() - began
        wires.stop()
        for rig in rigs:
            rig.service.stop()
        for rig in rigs:
            collect(rig, account)
            rig.ledger.stop()
    wires.judge(account)


def collect(rig, account):
    lost = [entry for entry in rig.ledger.book.entries() if entry.fate == "lose"]
    late = [entry for entry in rig.ledger.book.entries() if entry.fate == "late"]
    account.injected["answer lost"] += len(lost)
    account.injected["answer late"] += len(late)
    account.injected["client left"] += sum(attempt.end == "left" for attempt in rig.attempts)
    if rig.ledger.book.strangers:
        account.violate("rig %d: %d messages without a token" % (rig.number, rig.ledger.book.strangers))
    for sender in rig.senders:
        if sender.token:
            account.violate("rig %d: %s.%d does not get through: %r" % (rig.number, sender.token, sender.tries, rig.attempts[-1:]))
    account.add(rig.attempts, list(rig.ledger.book.entries()), rig.events, rig.south_end, rig.south is not None,
                rig.service.text())


def campaign(options):
    """The whole of it: rounds until the kills are done or the time is up."""
    account = Account("kill")
    end = time.monotonic() + options.minutes * 60 if options.minutes else None
    done, number = 0, 0
    random.seed(options.seed)
    while (options.kills and done < options.kills) or (not options.kills and time.monotonic() < end):
        if end and time.monotonic() > end:
            account.notes.append("the time was up after %d kills" % done)
            break
        kills = min(options.round, options.kills - done) if options.kills else options.round if options.minutes >= 1 else SHORT_ROUND
        play_round(options, account, number, kills)
        done += kills
        number += 1
        options.say("kill: round %d, %d kills, %d acknowledged, %d violations, %.0f ms a kill" % (
            number, done, account.acknowledged, len(account.violations), 1000 * account.seconds / done))
        if len(account.violations) > 50:
            account.notes.append("given up: too many violations")
            break
    if options.messages and account.acknowledged < options.messages:
        account.violate("only %d messages were acknowledged" % account.acknowledged)
    return [account]


def proof(options):
    """The campaign can fail: a ledger that forgets messages it has answered, and one that enters them twice, must be found out."""
    accounts = []
    for wrong, words in (("forget", "LOST"), ("double", "A-10")):
        found, account = Account("kill"), Account("found out: " + wrong)
        play_round(options, found, 0, 20, {wrong: 20000}, with_captures=False)
        account.injected, account.acknowledged, account.seconds = found.injected, 0, found.seconds
        account.notes.append("%d violations" % len(found.violations))
        if not any(words in violation for violation in found.violations):
            account.violate("a ledger that does so was not noticed: " + wrong)
        accounts.append(account)
    return accounts
