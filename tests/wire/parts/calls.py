"""Failures within the gateway (ATTACKS O5, O6): the k-th system call, allocation or DNS answer of one whole session fails: STARTTLS, a
message that passes for its DKIM signature alone, DMARC's p=reject, the DNS, a back end that accepts. Under the sanitizers.

No memory and no descriptor is no reason to refuse mail for good: whatever fails, the client is told 250 or 4xx, or loses its connection
(ORACLE X14), another client's session goes on, and the next message gets through."""
import collections
import random
import re
import subprocess
import time

from parts import dns, signing
from parts.account import Account
from parts.faulty import FATES, Faulty, fate_name
from parts.gateway import BAD_NEWS
from parts.kills import collect, settle
from parts.loop import Loop
from parts.place import ROOT, home
from parts.rig import Rig
from parts.sender import Lost, Refused, Sender, Silent

SECONDS = 40        # a client waits for an answer: beyond all of the gateway's bounds here
SECTIONS = {"server": {"workers": 1},
            "author": {"strict": "no"}, "spf": {"check": "yes"}, "dkim": {"check": "yes"}, "arc": {"check": "yes"}, "dmarc": {"mode": "enforce"},
            "timeouts": {"probe": "3600s", "south_end": "2s", "south_command": "2s", "south_data_start": "2s", "greeting": "2s",
                         "connect": "2s", "tls_handshake": "10s", "verdict": "3s"}}
# libuv 1.44 ends the process when it cannot watch a descriptor (uv__io_poll): nothing is lost, and the supervisor starts another.
# Crashes of libraries for want of memory, by the function they happen in: nothing is lost either.
KNOWN = {"server_increment_failures": "c-ares 1.34.9 looks at the server of a query that has no connection (process_timeouts)"}
# What may cost a client its connection. A transfer of its own that failed for good; memory for its session, its TLS or the answer; the
# set-up of its connection; the TLS handshake's random numbers. Nothing that merely came short or is to be tried again, and nothing of
# the south, the DNS, the log.
HARMLESS = ("short", "EINTR", "EAGAIN")
OF_CLIENTS = ("alloc", "accept", "name", "option", "fcntl", "random")


def may_hang_up(name, fate, fired):
    return name in OF_CLIENTS or (name in ("read", "write", "recv", "send") and fired == 2 and fate not in HARMLESS)


ABORTS = {("epoll_ctl", "ENOMEM"), ("epoll_ctl", "ENOSPC")}


def zone(key):
    """Of an author whose mail is refused but for the signature."""
    return {"signed.example": [("TXT", "v=spf1 -all"), ("A", "192.0.2.1"), ("MX", (10, "signed.example"))],
            "_dmarc.signed.example": [("TXT", "v=DMARC1; p=reject")],
            "s._domainkey.signed.example": [("TXT", key.record)],
            "sender.example": [("TXT", "v=spf1 ip4:127.0.0.0/8 -all"), ("A", "192.0.2.1")]}


class SignedSender(Sender):
    """Its messages differ in a field that is not signed, and so share a signature."""

    def __init__(self, *arguments, key=None):
        super().__init__(*arguments, tls=True)
        head = b"From: <ann@signed.example>\r\nSubject: signed\r\n"
        body = b"Hello.\r\n" + b"A line of some length, which makes the message a real one.\r\n" * 40
        self.signed = signing.signed(head + b"\r\n" + body, key, "signed.example")
        self.messages, self.grouped, self.pieces, self.patience = (1,), 0, 0, SECONDS

    def message(self):
        import zlib
        message = b"Message-ID: <%s.%d@client.example>\r\n" % (self.token.encode(), self.attempt.number) + self.signed
        self.attempt.sum, self.attempt.size = zlib.crc32(message), len(message)
        return message


class Bystander(Sender):
    """Another client, which must not notice anything."""

    def greet(self):
        self.token, self.tries = "bystander", 1
        self.begin()
        yield from self.open()

    def ask_noop(self):
        """Whether it is still there."""
        try:
            yield from self.ask(b"NOOP\r\n", 250)
            return True
        except (Lost, Silent, Refused):
            return False


class Calls:
    def __init__(self, options, seconds):
        self.options, self.account = options, Account("calls")
        self.rng = random.Random("%s/calls" % options.seed)
        self.end = time.monotonic() + seconds
        self.loop = Loop()
        self.faulty = Faulty()
        self.key = signing.Key(bits=2048)
        self.dns = dns.DNS(zone(self.key))
        program = home() / "postern-faulty"
        program.write_bytes((ROOT / "build" / "asan" / "postern-faulty").read_bytes())
        program.chmod(0o755)
        sections = {**SECTIONS, "dns": {"servers": self.dns.text, "timeout": "200ms", "tries": 2, "cache_size": "0"}}
        self.rig = Rig(self.loop, 0, self.rng.getrandbits(32), 0, sections=sections, program=program,
                       env={"POSTERN_FAULTS": str(self.faulty.path), "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"})
        self.sender = SignedSender(self.loop, self.rig, 0, random.Random(self.rng.getrandbits(32)), key=self.key)
        self.played = 0
        self.lost_in = {}
        self.known, self.crashes = collections.Counter(), 0

    # ---- one failure ----

    def worker(self):
        """The worker, once there is one that serves."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pids = self.rig.service.workers()
            if len(pids) == 1 and self.rig.service.log.read_bytes().count(b"event=backend_up") > 0:
                return pids[0]
            yield self.loop.sleep(0.02)
        raise AssertionError("no worker:\n" + self.rig.service.text()[-3000:])

    def session(self):
        yield from self.sender.session()

    def through(self, what):
        """The next messages, until the token is answered 250; a back end found down is looked at after a second."""
        end = time.monotonic() + 60
        while self.sender.token is not None:
            yield from self.sender.session()
            if self.sender.token is not None and time.monotonic() > end:
                self.account.violate("%s: nothing gets through afterwards: %r" % (what, self.rig.attempts[-1]))
                self.sender.token = None
            elif self.sender.token is not None:
                yield self.loop.sleep(0.05)

    def bystander(self):
        other = Bystander(self.loop, self.rig, 1, random.Random(1))
        other.patience = SECONDS
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                yield from other.greet()
                other.attempt = None
                return other
            except (Lost, Silent, Refused):
                other.drop()
                yield self.loop.sleep(0.05)
        raise AssertionError("nobody is let in any more, ledger's status %s:\n%s" % (
            self.rig.ledger.process.poll(), self.rig.service.text()[-1500:]))

    def play(self, name, at, fate):
        """False when there is no such call any more."""
        what = "%s:%d:%s" % (name, at, fate_name(fate))
        pid = yield from self.worker()
        other = yield from self.bystander()
        text_at = self.rig.service.log.stat().st_size
        self.faulty.arm(pid, name, at, fate)
        n = len(self.rig.attempts)
        before = time.monotonic()
        self.rig.label = what
        yield from self.session()
        self.rig.label = "behind " + what
        yield self.loop.sleep(0.01)     # what follows the answer: QUIT in the south, the log
        fired = self.faulty.disarm()
        if fired:
            explains = may_hang_up(name, fate_name(fate), fired)
            self.rig.events.append(("call" if explains else "harmless call", before, time.monotonic()))
            self.account.injected["%s %s" % (name, fate_name(fate))] += 1
            attempt = self.rig.attempts[n]
            self.account.phases[name, attempt.state] += 1
            if attempt.end == "lost":
                self.lost_in[attempt.state, name] = self.lost_in.get((attempt.state, name), 0) + 1
        crashed = pid not in self.rig.service.workers()
        fine = (yield from other.ask_noop()) if not crashed else True
        other.drop()
        self.judge(what, (name, fate_name(fate)), crashed, fine, text_at)
        yield from self.through(what)
        self.played += 1
        return fired

    def judge(self, what, pair, crashed, fine, text_at):
        text = self.rig.service.log.read_bytes()[text_at:].decode("utf-8", "replace")
        report = re.search(r"ERROR: AddressSanitizer|runtime error:[^\n]*", text)
        if report and not (pair in ABORTS and "SEGV" not in text and "heap" not in text):
            stack = self.stack(text[report.start():])
            known = [name for name in KNOWN if name in stack[:3]]
            if known:
                self.known[known[0]] += 1
                self.crashes += 1
            else:
                self.account.violate("%s: %s in %s; failed: %s" % (what, report[0], " < ".join(stack), " < ".join(self.stack(text))))
        elif crashed and pair not in ABORTS:
            self.account.violate("%s: the worker has ended: %s" % (what, text[-700:]))
        if crashed and report:
            now = time.monotonic()
            self.rig.events.append(("worker", now - 1, now))
        elif crashed:
            self.aborts = getattr(self, "aborts", 0) + 1
            now = time.monotonic()
            self.rig.events.append(("worker", now - 1, now))
        if not fine:
            self.account.violate("%s: another client was disturbed" % what)

    def stack(self, text):
        """The functions of the first stack in a sanitizer's words, innermost first."""
        addresses = []
        for number, address in re.findall(r"#(\d+) 0x[0-9a-f]+ .*?\+(0x[0-9a-f]+)\)", text):
            if int(number) != len(addresses):
                break
            addresses.append(address)
        if not addresses:
            return []
        done = subprocess.run(["addr2line", "-fe", ROOT / "build" / "asan" / "postern-faulty", *addresses], capture_output=True,
                              text=True, check=False)
        return done.stdout.split("\n")[::2]

    # ---- the campaign ----

    def task(self):
        self.rig.is_over = False
        yield from self.through_new()
        pid = yield from self.worker()
        self.faulty.count(pid)
        yield from self.through_new()
        yield self.loop.sleep(0.1)
        counts = self.faulty.counts()
        self.faulty.disarm()
        self.account.notes.append("calls of a session: " + ", ".join("%s %d" % pair for pair in counts.items() if pair[1]))
        plans = [(name, at, fate) for name, fates in FATES.items() for fate in fates for at in range(1, counts.get(name, 0) + 3)]
        if self.options.only:
            plans = [plan for plan in plans if re.match(self.options.only, "%s:%d:%s" % (*plan[:2], fate_name(plan[2])))]
        self.rng.shuffle(plans)
        for n, (name, at, fate) in enumerate(plans):
            if time.monotonic() > self.end or len(self.account.violations) > 30:
                break
            self.new_token()
            yield from self.play(name, at, fate)
        self.account.notes.append("%d of %d failures were played" % (self.played, len(plans)))
        at = self.rig.service.log.stat().st_size
        yield self.loop.sleep(1)
        restless = re.findall(rb"event=(?!connection|transaction)[^\n]*", self.rig.service.log.read_bytes()[at:])
        if len(restless) > 2:
            self.account.violate("not at rest: %s" % restless[:3])
        if not self.options.only:
            yield from self.answers()
        self.rig.is_over = True

    def new_token(self):
        self.sender.token, self.sender.attempt = None, None

    def through_new(self):
        """A message that must get through at once."""
        self.new_token()
        self.sender.begin()
        yield from self.through("a message")

    def answers(self):
        """The k-th DNS answer is dropped, says SERVFAIL, is truncated, or lies."""
        names = ("signed.example", "_dmarc.signed.example", "s._domainkey.signed.example", "sender.example")
        good = dict(self.dns.zone)
        modes = {"dropped": dns.DROP, "SERVFAIL": dns.SERVFAIL, "REFUSED": dns.REFUSED, "FORMERR": dns.FORMERROR}
        for name in names:
            shapes = {**modes, "late": dns.late(0.15, good[name] if name in good else []), "truncated": dns.truncated(good[name]),
                      "cut": dns.cut(20, good[name]), "wrong id first": dns.before(dns.wrong_id, good[name]),
                      "twice": dns.repeated(2, good[name]), "pointer loop": dns.raw(dns.pointer_loop)}
            for shape, mode in shapes.items():
                self.dns.zone[name] = mode
                self.new_token()
                before = time.monotonic()
                self.rig.label = "DNS %s %s" % (name, shape)
                yield from self.session()
                self.rig.label = ""
                self.rig.events.append(("harmless call", before, time.monotonic()))
                self.account.injected["dns " + shape] += 1
                self.dns.zone[name] = good[name]
                yield from self.through("DNS %s %s" % (name, shape))

    def run(self):
        began = time.monotonic()
        try:
            self.rig.service.wait_serving(self.loop)
            self.loop.spawn(self.task())
            self.loop.run()
            settle([self.rig])
        finally:
            self.account.seconds += time.monotonic() - began
            status = self.rig.service.stop()
            self.dns.stop()
        text = self.rig.service.text()
        for name, n in self.known.items():
            self.account.notes.append("KNOWN CRASH, %d times: %s" % (n, KNOWN[name]))
        if status != 0 or (BAD_NEWS.search(text) and not getattr(self, "aborts", 0) and not self.crashes):
            self.account.violate("the gateway ended with status %s: %s" % (status, text[-500:]))
        if getattr(self, "aborts", 0):
            self.account.notes.append("libuv ended the worker %d times, where epoll_ctl failed" % self.aborts)
        if self.lost_in:
            self.account.notes.append("connections lost: " + ", ".join("%s by %s %d" % (*key, n) for key, n in sorted(self.lost_in.items())))
        collect(self.rig, self.account)
        self.rig.stop()
        return self.account


def campaign(options):
    if not (ROOT / "build" / "asan" / "postern-faulty").exists():
        return [Account.skip("calls", "there is no build/asan/postern-faulty (cmake --build --preset asan --target postern-faulty)")]
    return [Calls(options, 60 * (options.minutes or 30)).run()]
