"""Plays one scenario (tests/scenario/README.md) on a stage: what its steps say happens on real wires, and what they
expect is looked for there. What no wire can show is not played, with the reason (Scenario.reason_not_to_play)."""
import random
import re
import signal
import ssl
import time

from e2e.parts.certs import certificate
from e2e.parts.wire import any_certificate

from . import tokens
from .legs import CLOSED, GONE, OPEN, RESET
from .stage import BLACK_HOLE, read_record, sections_of

SOON = 5                # seconds for whatever must come
SLACK = 0.1             # seconds between two waits that belong together
LOG_SOON = 3            # the same for a line of the log
BULK, BULK_EDGE, BULK_PIECE = 8192, 2048, 251   # of large sends only the edges go octet by octet
STANDARD_OFFERS = ["PIPELINING", "SIZE 20000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]
DATE = "Sun, 22 Nov 2026 12:00:00 +0000"        # of every scenario's clock
ABOUT_TLS = re.compile(r"\[(listen [^\]]*|certificate [^\]]*)\]")
REMEMBERED = re.compile(r"\[(standing|greylist|recipients|rates?|harvest)\b[^\]]*\]")     # in what workers share
CANNOT = {"admission:": "admission is decided by counts of real connections",
          "balancer:": "on a wire it takes a PROXY header (tests/wire/scenarios/ends.txt)",
          "listener:": "a gateway of the wires listens at one port",
          "message pool:": "no such small message pool",
          "sessions run short": "it takes hundreds of them (tests/e2e/test_door.py)",
          "sessions are plenty": "the same", "others in the tarpit": "it takes a second worker (tests/e2e/test_door.py)",
          "others hold": "other sessions' memory cannot be held", "north takes": "the kernel takes what it likes",
          "south takes": "the kernel takes what it likes"}
# Before these something may have come that is expected later: who is gone hears nothing, and connections are the kernel's.
UNHEARD = ("north closes", "south closes", "north resets", "south resets", "south connects", "south refuses",
           "tls south")
# What the in-memory player sees at once and a wire shows otherwise, by title: found, judged, reported.
DIFFERENT = {
    "a listener that is left out": "a gateway of the wires listens at one port",
    "a database that cannot be read is told once, whoever connects":
        "it is told at the start, before the first client (tests/e2e/test_geo.py)",
    "a client that is gone while its recipient waits":
        "nothing is read north while a recipient waits, so the reset is seen when the answer is written",
    "more rounds of questions than allowed are the sender's error":
        "answers of a real server come in other rounds, and the DMARC record is asked before the rounds are used up",
}
UNSEEN = ("read", "not read")   # of `north is`: nothing on the wire shows it


class Failed(Exception):
    pass


class Struck(Exception):
    """The conversation has been broken off, as this run wants it."""


class Scenario:
    """An expanded scenario (scenarios --expand): [line, word, rest] for each setting and step."""

    def __init__(self, raw):
        self.title, self.file, self.line = raw["title"], raw["file"], raw["line"]
        self.settings, self.steps = raw["settings"], raw["steps"]
        self.config = self.of("config:")
        for domains in self.of("domains:"):
            self.config.append("[relay] domains = " + domains)
        for name in self.of("authserv-id:"):
            self.config.append("[server] authserv_id = " + name)

    def of(self, word):
        return [rest for _, key, rest in self.settings if key == word]

    def last(self, word, default=None):
        return (self.of(word) or [default])[-1]

    def servers(self):
        return [line.split("=", 1)[1].replace(":25", "") for line in self.config
                if re.match(r"\[backend\] servers *=", line)]

    def words(self):
        return {word for _, word, _ in self.settings + self.steps}

    def offers(self):
        """What probes have learnt of the back ends."""
        said = self.last("back end offers:")
        return STANDARD_OFFERS if said is None else [word.strip() for word in said.split(",") if word.strip()]

    def client(self):
        """(address, port); 0 where the port does not matter."""
        text = self.last("client:", "203.0.113.9")
        address, _, port = text.rpartition(":") if re.fullmatch(r"\[.*\]:\d+|[^:]*:\d+", text) else (text, "", "0")
        shows_port = any("40000" in rest or b"\x9c\x40" in rest.encode("latin-1") for _, _, rest in self.steps)
        return address.strip("[]"), int(port) or (40000 if shows_port else 0)

    def is_remembered(self):
        """Whether the gateway is another one for whoever comes next."""
        return any(REMEMBERED.match(line) for line in self.config)

    def is_greeted_with_a_pause(self):
        return any(word in ("<", "<<") and rest.startswith("220-") for _, word, rest in self.steps)

    def waits(self):
        return sum(duration(rest) for _, word, rest in self.steps if word == "wait")

    def octets(self):
        return sum(len(rest) for _, word, rest in self.steps if word in (">", ">>", "]", "]]"))

    def reason_not_to_play(self, mode, patience, is_loopback):
        """Why this mode cannot play it, or None."""
        if self.title in DIFFERENT:
            return "the wire differs: " + DIFFERENT[self.title]
        if is_loopback and any(":" in address for address in [self.client()[0]] + self.servers()):
            return "loopback has no such IPv6 addresses"
        if is_loopback and any(BLACK_HOLE in line for line in self.config):
            return "loopback answers at every address"
        for word, why in CANNOT.items():
            if word in self.words():
                return why
        if len(self.of("client:")) > 1:
            return "it takes clients at several addresses (tests/e2e/test_rates.py)"
        if "unknown" in self.of("back end offers:"):
            return "a gateway serves when it knows its back ends"
        if self.waits() > patience:
            return "it waits %g s" % self.waits()
        if mode.is_tls and (any(ABOUT_TLS.match(line) for line in self.config) or
                            any(rest.upper().startswith("STARTTLS") for _, word, rest in self.steps if word in (">", ">>"))):
            return "it is about TLS itself"
        if mode.is_tls and self.is_greeted_with_a_pause():
            return "who begins with TLS is greeted at once"
        if mode.cuts and "segments matter" in self.of("rule:"):
            return "its segments matter"
        if "south stalls" in self.words() and (mode.cuts or self.waits()):
            return "the kernel reads for a back end that stalls, a little at least"
        return self._black_hole()

    def _black_hole(self):
        """A connection that nobody answers needs a back end at the address where nobody is."""
        after = [word for _, word, _ in self.steps]
        for i, word in enumerate(after):
            if word == "= opens backend" and after[i + 1:i + 2] not in (["south connects"], ["south refuses"]):
                return "a connection without an answer"
        return None


class Mode:
    """How scenarios are played. `cuts`: None, "octets" (each alone), "all" or how many places to cut at, one in each run.
    `strike`: what befalls the sender at the cut, "resets" or "closes"; from there on no step counts, only that the gateway stays
    well and that its log tells of the connection."""

    def __init__(self, name, is_tls=False, cuts=None, strike=None):
        self.name, self.is_tls, self.cuts, self.strike = name, is_tls, cuts, strike

    def key(self, scenario):
        """Scenarios with equal keys may share a stage."""
        return (tuple(scenario.config), tuple(scenario.offers()), self.is_tls, ":" in scenario.client()[0],
                "south stalls" in scenario.words())

    def sections(self, scenario):
        return sections_of(scenario.config, "implicit" if self.is_tls else None)


def duration(text):
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


def pattern_of(text):
    """`*` is anything, `\\*` a star."""
    parts = re.split(r"(\\\*|\*)", text)
    text = "".join({"*": ".*", "\\*": r"\*"}.get(part, re.escape(part)) for part in parts)
    return re.compile(text.encode("latin-1"), re.S)


def shown(octets, n=150):
    return repr(bytes(octets[:n]))[2:-1] + ("..." if len(octets) > n else "")


class Player:
    def __init__(self, stage, scenario, mode, cut_at=None):
        self.stage, self.scenario, self.mode, self.cut_at = stage, scenario, mode, cut_at
        self.steps = tokens.put_into(scenario.steps) if tokens.may_have(scenario) else scenario.steps
        self.pump = stage.pump
        self.north = self.south = None
        self.segment, self.to = bytearray(), None
        self.sent = 0               # octets by both peers, for the cut
        self.reply = []
        self.transcript = []        # for the reader of a failure
        self.at = None
        self.connections = 0        # south
        self.sessions = []          # the north connections' own ends
        self.south_ehlo = False     # the step before was the gateway's EHLO
        self.notes = []             # what could not be looked at
        self.was_drained = self.was_struck = False
        self.killed = set()         # north connections of workers that were killed: they have no last line
        self.others = []            # connections that say nothing
        self.clock = None           # when the last wait was to end
        self.client = scenario.client()
        self.log_start = len(stage.log.look())

    # ---- telling ----

    def fail(self, text):
        line, word, rest = self.at
        raise Failed("%s:%s: %s %s\n    %s" % (self.scenario.file, line, word, shown(rest.encode("latin-1")), text))

    def tell(self, mark, octets):
        for line in bytes(octets[:4000]).splitlines(True)[:20]:
            self.transcript.append("%s %s" % (mark, shown(line)))

    # ---- the whole ----

    def play(self):
        """Raises Failed, or returns."""
        self.at = [self.scenario.line, "scenario:", self.scenario.title]
        self._set_up()
        try:
            for self.at in self.steps:
                self._step(*self.at)
            self.flush()
            self.stage.settle()
            self.need_silence()
        except Struck:
            self.stage.settle()
            self.was_struck = self.stage.is_spoiled = True
        self._finish()

    def _set_up(self):
        dns = self.stage.dns
        dns.begin([read_record(self.map(text)) for text in self.scenario.of("zone:")], self.scenario.of("dns:"))
        for address in self.stage.servers:
            self._prepare(address, 0)
        self._connect()

    def map(self, text):
        return self.stage.places.text(text)

    def _connect(self):
        self.north = self.stage.connect((self.map(self.client[0]), self.client[1]))
        self.south = None
        self.sessions.append(self.north.transcript.local)
        if self.mode.is_tls:
            self._shake(self.north, any_certificate(), False)

    def _prepare(self, address, after):
        """Whether the back end at `address` takes the next connection to it (from step `after` on), or refuses it."""
        for i in range(after, len(self.scenario.steps) - 1):
            _, word, rest = self.scenario.steps[i]
            if word == "= opens backend" and self._backend(rest) == address:
                if self.scenario.steps[i + 1][1] == "south refuses":
                    self.stage.stop_listening(address)
                    return
                break
        self.stage.listen(address)

    def _backend(self, text):
        return self.stage.places.text(text.rsplit(":25", 1)[0].strip("[]")) if text else self.stage.servers[0]

    def _step(self, line, word, rest):
        act = ACTS[word]
        kind = KINDS[word]
        if kind != SEND:
            self.flush()
        if kind == EVENT:
            if word not in UNHEARD:
                self.pump.now()
                self.need_silence()
            if word not in ("south connects", "south refuses"):
                self.stage.settle()
            self.transcript.append("* %s %s" % (word, rest))
        act(self, rest)
        if kind == EVENT and word.endswith(("closes", "resets")):
            self.stage.settle()     # it is seen before anything else happens

    # ---- sending ----

    def leg(self, word):
        is_north = word in (">", ">>", "<", "<<", "<*") or word.startswith(("north", "nothing north"))
        return self.north if is_north else self.south

    def gather(self, word, octets):
        leg = self.leg(word)
        if self.to is not leg:
            if self.to is not None:
                self.flush()
                self.stage.settle()
            self.pump.now()
            self.need_silence()
        if leg is None:
            self.fail("there is no such connection")
        self.to = leg
        self.segment += octets

    def flush(self):
        if self.to is None:
            return
        leg, octets = self.to, bytes(self.segment)
        self.to, self.segment = None, bytearray()
        self.tell(">" if leg is self.north else "]", octets)
        before, self.sent = self.sent, self.sent + len(octets)
        if self.mode.cuts == "octets":
            self._send_in_octets(leg, octets)
        elif self.cut_at is not None and before < self.cut_at < self.sent:
            leg.send(octets[:self.cut_at - before])
            self.stage.settle()
            if self.mode.strike:
                leg.reset() if self.mode.strike == "resets" else leg.finish()
                raise Struck
            leg.send(octets[self.cut_at - before:])
        elif octets:
            leg.send(octets)

    def _send_in_octets(self, leg, octets):
        i = 0
        while i < len(octets):
            inside = len(octets) > BULK and BULK_EDGE < i < len(octets) - BULK_EDGE - BULK_PIECE
            n = BULK_PIECE if inside else 1
            leg.send(octets[i:i + n])
            i += n
            if i % 64 == 0 or leg.outgoing:
                self.pump.now()

    def send(self, rest):
        octets = rest.encode("latin-1")
        if self.at[1] in ("]", "]]"):
            self._judge_hello(octets)
        self.gather(self.at[1], octets)

    def send_beneath(self, rest):
        """Octets as they are, where the others see records."""
        self.north.send_beneath(rest.encode("latin-1"))
        self.stage.settle()

    def _judge_hello(self, octets):
        """A stage whose back end has offered something else than to probes knows other things now."""
        if self.south_ehlo and octets.startswith(b"250") or octets.startswith(b"250-mx.local.example"):
            said = re.findall(r"250[- ]([^\r\n]*)", octets.decode("latin-1"))[1:]
            if any(word not in self.scenario.offers() for word in said) or len(said) < 4:
                self.stage.is_spoiled = True
        self.south_ehlo = False

    # ---- expecting ----

    def need_silence(self):
        for name, leg in (("north", self.north), ("south", self.south)):
            if leg is not None and leg.incoming:
                self.tell("<" if name == "north" else "[", leg.incoming)
                self.fail("%s got what no step expects: %s" % (name, shown(leg.incoming)))

    def _want(self, leg):
        if leg is None:
            self.fail("there is no such connection")
        return leg

    def _line(self, leg):
        """The next line without its end, or None. It is taken away."""
        self.pump.until(lambda: b"\r\n" in leg.incoming or leg.state != OPEN, SOON)
        if b"\r\n" not in leg.incoming:
            return None
        end = leg.incoming.index(b"\r\n")
        line = bytes(leg.incoming[:end])
        del leg.incoming[:end + 2]
        self.tell("<" if leg is self.north else "[", line)
        return line

    def expect_line(self, rest):
        leg = self._want(self.leg(self.at[1]))
        pattern = self.map(rest).replace("(S1)", "(*)")
        line = self._line(leg)
        if line is None or not pattern_of(pattern).fullmatch(line):
            self.fail("got nothing; so far: %s, %s" % (shown(leg.incoming), leg.state) if line is None else
                      "got " + shown(line))
        self.south_ehlo = rest.startswith(("EHLO ", "HELO ")) and leg is self.south

    def expect_raw(self, rest):
        leg = self._want(self.leg(self.at[1]))
        want = self._own_ports(self.map(rest).encode("latin-1"))
        self.pump.until(lambda: len(leg.incoming) >= len(want) or leg.state != OPEN, SOON + len(want) / 1e6)
        got = bytes(leg.incoming[:len(want)])
        self.tell("<" if leg is self.north else "[", got)
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            self.fail("at octet %d of %d: got %s" % (at, len(want), shown(got[at:])))
        del leg.incoming[:len(want)]

    def _own_ports(self, octets):
        """A PROXY header names the gateway's port, which is not 25 here."""
        port = self.stage.port
        octets = octets.replace(b" 40000 25\r\n", b" 40000 %d\r\n" % port)
        if not octets.startswith(b"\r\n\r\n\0"):
            return octets
        return self.stage.places.packed(octets).replace(b"\x9c\x40\x00\x19", b"\x9c\x40" + port.to_bytes(2, "big"))

    def expect_reply(self, rest):
        leg = self._want(self.leg(self.at[1]))
        self.reply = []
        while True:
            line = self._line(leg)
            if line is None or line[:3] != rest.encode():
                self.fail("got %s, %s" % (line if line is None else shown(line), leg.state))
            self.reply.append(line[4:])
            if line[3:4] != b"-":
                return

    def expect_field(self, rest):
        """A header field with its continuation lines: it ends where the next line begins with something else."""
        leg = self._want(self.leg(self.at[1]))
        whole = re.compile(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*(?=[^ \t])")
        match = self.pump.until(lambda: whole.match(leg.incoming) or leg.state != OPEN, SOON)
        match = whole.match(bytes(leg.incoming) + b"|")
        pattern = re.sub(r"id S\d+\.", "id *.", self.map(rest)).replace(DATE, "*")
        if self.mode.is_tls:
            pattern = pattern.replace("with ESMTP\t", "with ESMTPS*\t").replace("with SMTP\t", "with SMTP*\t")
        got = match.group().replace(b"\r\n", b"") if match else b""
        self.tell("[", got)
        if not match or not pattern_of(pattern).fullmatch(got):
            self.fail("got %s" % shown(bytes(leg.incoming), 600))
        del leg.incoming[:match.end()]

    def reply_has(self, rest):
        if not any(pattern_of(rest).fullmatch(line) for line in self.reply):
            self.fail("the reply is %s" % self.reply)

    def reply_lacks(self, rest):
        if any(pattern_of(rest).fullmatch(line) for line in self.reply):
            self.fail("the reply is %s" % self.reply)

    # ---- log ----

    def log(self):
        return self.stage.log.look()[self.log_start:]

    def _log_count(self, rest):
        text = re.sub(r"\bid=S\d+", "id=*", self.map(rest)).replace(DATE, "*").replace("via=10.0.0.1:33000", "via=*")
        # A reset is seen when the reply is written: then it is an event behind the transaction's line.
        pattern = pattern_of("*%s*" % text.replace('outcome="accepted', '="accepted'))
        return sum(1 for line in self.log() if pattern.fullmatch(line.encode("latin-1")))

    def log_has(self, rest):
        if not self.pump.until(lambda: self._log_count(rest), LOG_SOON):
            self.fail("the log has no such line:\n" + "\n".join(self.log()))

    def log_lacks(self, rest):
        self.stage.settle()
        if self._log_count(rest):
            self.fail("the log has such a line:\n" + "\n".join(self.log()))

    def log_counts(self, rest):
        want, rest = rest.split(" ", 1)
        self.pump.until(lambda: self._log_count(rest) >= int(want), LOG_SOON)
        self.stage.settle()
        if self._log_count(rest) != int(want):
            self.fail("the log has %d such lines:\n%s" % (self._log_count(rest), "\n".join(self.log())))

    # ---- connections south ----

    def _next_steps(self):
        at = next(i for i, step in enumerate(self.steps) if step is self.at)
        return self.steps[at + 1:at + 2], at

    def opens_backend(self, rest):
        following, at = self._next_steps()
        self.wanted = self._backend(rest)
        if following and following[0][1] == "south refuses":
            return      # nobody listens: what the gateway does next shows it
        if not self.pump.until(lambda: self.stage.arrivals, SOON):
            self.fail("no connection to a back end")
        address, self.south = self.stage.arrivals.pop(0)
        self.connections += 1
        if rest and address != self.wanted:
            self.fail("the connection goes to %s" % address)
        self._prepare(address, at + 1)

    def south_connects(self, _):
        pass            # the kernel has taken it

    def south_refuses(self, _):
        """The next connection may be meant for the same back end: it must not be up before it has been down."""
        _, at = self._next_steps()
        before = self._log_count("backend_down")
        self.pump.until(lambda: self._log_count("backend_down") > before or self.north.incoming or self.stage.arrivals,
                        0.3)
        self.connections += 1
        self.stage.is_spoiled = True
        self.stage.settle()
        self._prepare(self.wanted, at)

    # ---- events ----

    def closes(self, _):
        self._want(self.leg(self.at[1])).finish()

    def resets(self, _):
        self._want(self.leg(self.at[1])).reset()

    def stalls(self, _):
        self._want(self.leg(self.at[1])).is_stalled = True

    def resumes(self, _):
        self._want(self.leg(self.at[1])).is_stalled = False

    def _shake(self, leg, context, server_side):
        leg.start_tls(context, server_side)
        try:
            done = self.pump.until(lambda: leg.shake() or (leg.state != OPEN and "ended"), SOON)
        except OSError as error:
            self.fail("the handshake fails: %s" % error)
        if done is not True:
            self.fail("no handshake; the connection is %s" % leg.state)

    def tls_north(self, how):
        if how.startswith("ok"):
            context = any_certificate()
            if how == "ok over 1.2":
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            self._shake(self.north, context, False)
        else:
            self._spoil(self.north)

    def tls_south(self, how):
        if how == "ok":
            self._shake(self.south, certificate().server(), True)
        else:
            self._spoil(self.south)

    def _spoil(self, leg):
        leg.only_records = True
        leg.send(b"EHLO this.is.no.handshake\r\n")
        if leg is self.south:       # what came of a handshake is its own first message
            self.pump.until(lambda: leg.state != OPEN, SOON)
            leg.incoming.clear()

    def wait(self, rest):
        """Waits in a row add up to what they say, whatever happens in between."""
        if self.clock is None or time.monotonic() - self.clock > SLACK:
            self.clock = time.monotonic()
        self.clock += duration(rest)
        self.pump.rest(max(0, self.clock - time.monotonic()))

    def pause(self, _):
        pass

    def drain(self, _):
        self.was_drained = self.stage.is_spoiled = True
        self.stage.process.signal(signal.SIGTERM)

    def worker_is_killed(self, _):
        self.stage.is_spoiled = True
        self.killed |= set(self.sessions)
        self.stage.kill_workers()

    def others_connect(self, rest):
        """So many clients, each from an address of its own as far as there are addresses, who say nothing."""
        for n in range(int(rest)):
            self.others.append(self.stage.connect((self.map("203.0.113.%d" % (100 + n % 100)), 0)))

    def others_leave(self, _):
        for leg in self.others:
            leg.reset() if self.at[1] == "others reset" else leg.finish()

    def tls_floods(self, rest):
        """`tls floods 100 key updates`, `tls floods 1 renegotiations`"""
        times, what = rest.split(" ", 1)
        for _ in range(int(times)):
            self.north.tls_message(what)
        self.stage.settle()

    def new_session(self, _):
        if self.sessions[-1] not in self.killed:
            self.session_is_over("")
        self._connect()

    # ---- DNS ----

    def dns_falls_silent(self, _):
        self.stage.dns.is_dead = self.stage.is_spoiled = True

    def dns_goes_away(self, _):
        self.stage.is_spoiled = True
        self.stage.dns_goes_away()

    def dns_answers(self, rest):
        name, kind, values = read_record(self.map(rest))
        queries = self.pump.until(lambda: self.stage.dns.waiting(name, kind), SOON)
        if not queries:
            self.fail("nobody waits for this answer; asked was %s" % self.stage.dns.queries)
        self.stage.dns.answer(queries, values)
        self.stage.settle()

    def dns_fails(self, name):
        """Each try gets the same answer, until there are no more tries."""
        dns = self.stage.dns
        if not self.pump.until(lambda: dns.waiting(name), SOON):
            self.fail("nothing is asked about this name")
        while dns.waiting(name):
            dns.answer(dns.waiting(name), ["TEMP"])
            self.stage.settle()

    def _was_asked(self, what):
        pattern = pattern_of(what.lower())
        asked = [("%s %s" % (q.type, q.name)).lower().encode("latin-1") for q in self.stage.dns.asked()]
        return any(pattern.fullmatch(line) for line in asked)

    def dns_asked(self, what):
        self.stage.settle()
        if self.stage.dns.asked() if what == "nothing" else not self._was_asked(what):
            self.fail("asked was %s" % self.stage.dns.asked())

    def dns_not_asked(self, what):
        self.stage.settle()
        if self._was_asked(what):
            self.fail("asked was %s" % self.stage.dns.asked())

    # ---- states ----

    def wire_is(self, what):
        leg = self.leg(self.at[1])
        if what in UNSEEN:
            self.notes.append("%s %s" % (self.at[1], what))
            return
        if what == "open":
            self.stage.settle()
            if leg is None or leg.state != OPEN:
                self.fail("it is %s" % (leg and leg.state))
            return
        leg = self._want(leg)
        if what in ("closed", "reset"):
            was_stalled, leg.is_stalled = leg.is_stalled, False
            self.pump.until(lambda: leg.state != OPEN, SOON)
            leg.is_stalled = was_stalled
        # A kernel resets when its program closes and has not read everything.
        fits = {"closed": (CLOSED, RESET), "reset": (RESET,), "gone": (GONE,)}[what]
        if leg.state not in fits:
            self.fail("it is %s" % leg.state)
        if leg.state != what:
            self.notes.append("%s closed: by a reset" % self.at[1])

    def session_is_over(self, _):
        if not self.pump.until(lambda: self._connection_lines(self.sessions[-1]), SOON):
            self.fail("no last line of the connection in the log:\n" + "\n".join(self.log()))

    def _has_lines(self, client):
        """Enough last lines of connections from there. In a conversation that broke off whoever still comes south is turned
        away."""
        while self.was_struck and self.stage.arrivals:
            self.stage.arrivals.pop()[1].reset()
        return len(self._connection_lines(client)) >= self.sessions.count(client)

    def _is_introduced(self):
        """By a load balancer: the log has the client that it names."""
        return any("proxy_from" in line for line in self.scenario.config)

    def _connection_lines(self, client):
        if self._is_introduced():
            return [line for line in self.log() if "event=connection " in line]
        form = " client=[%s]:%d " if ":" in client[0] else " client=%s:%d "
        return [line for line in self.log() if "event=connection " in line and form % client in line]

    def nothing(self, _):
        self.stage.settle()
        self.need_silence()

    def nothing_on(self, _):
        self.stage.settle()
        leg = self.leg("north" if self.at[1] == "nothing north" else "south")
        if leg is not None and leg.incoming:
            self.fail("it got %s" % shown(leg.incoming))

    def whatever(self, _):
        self.stage.settle()
        leg = self.leg("north" if self.at[1] == "whatever north" else "south")
        if leg is not None:
            leg.incoming.clear()

    def no_backend(self, _):
        self.stage.settle()
        if self.connections or self.stage.arrivals:
            self.fail("a back end was connected")

    # ---- the end ----

    def _finish(self):
        """Whatever is still open is closed; then every connection has its line in the log, once (L-1)."""
        self.at = [0, "", "after the last step"]
        if self.stage.arrivals and not self.was_struck:
            self.fail("a connection to a back end that no step expects")
        for leg in (self.north, self.south):
            if leg is not None:
                leg.is_stalled = False
        if self.north.state == OPEN:
            self.north.finish()
            self.pump.until(lambda: self.north.state != OPEN, 0.05)
        if self.south is not None:
            self.south.finish()
        self.north.close()
        for leg in self.others:
            leg.close()
        for client in set(self.sessions) - self.killed:
            if self._is_introduced() and any("event=proxy_header " in line for line in self.log()):
                continue        # it was not let in
            if not self.pump.until(lambda: self._has_lines(client), SOON):
                self.fail("L-1: no last line of the connection in the log:\n" + "\n".join(self.log()))
            if len(self._connection_lines(client)) != self.sessions.count(client):
                self.fail("L-1: more last lines than connections:\n" + "\n".join(self.log()))
        for line in self.log():
            if re.search(r"[^ -~]", line):
                self.fail("L-2: %s" % shown(line.encode("latin-1")))
        if "backend_down" in " ".join(self.log()) or self.stage.dns.asked() or self.scenario.is_remembered():
            self.stage.is_spoiled = True
        if self.was_drained:
            self.stage.pump.until(lambda: not self.stage.process.is_running(), SOON)
        elif not self.stage.is_well():
            self.fail("the gateway is not well:\n" + "\n".join(self.stage.log.other[-20:]))


SEND, EVENT, LOOK = range(3)
TABLE = (
    (SEND, Player.send, ">", ">>", "]", "]]"), (EVENT, Player.send_beneath, ">>>"),
    (LOOK, Player.expect_line, "<", "["), (LOOK, Player.expect_raw, "<<", "[["), (LOOK, Player.expect_reply, "<*"),
    (LOOK, Player.expect_field, "[*"), (LOOK, Player.reply_has, "reply has"), (LOOK, Player.reply_lacks, "reply lacks"),
    (LOOK, Player.log_has, "log has"), (LOOK, Player.log_lacks, "log lacks"), (LOOK, Player.log_counts, "log counts"),
    (LOOK, Player.opens_backend, "= opens backend"), (EVENT, Player.south_connects, "south connects"),
    (EVENT, Player.south_refuses, "south refuses"), (EVENT, Player.closes, "north closes", "south closes"),
    (EVENT, Player.resets, "north resets", "south resets"), (EVENT, Player.stalls, "north stalls", "south stalls"),
    (EVENT, Player.resumes, "north resumes", "south resumes"), (EVENT, Player.tls_north, "tls north"),
    (EVENT, Player.tls_south, "tls south"), (EVENT, Player.wait, "wait"), (EVENT, Player.pause, "pause"),
    (EVENT, Player.worker_is_killed, "worker is killed"), (EVENT, Player.dns_falls_silent, "dns falls silent"),
    (EVENT, Player.dns_goes_away, "dns goes away"), (EVENT, Player.others_connect, "others connect"),
    (EVENT, Player.others_leave, "others reset", "others close"), (EVENT, Player.tls_floods, "tls floods"),
    (EVENT, Player.drain, "drain"), (EVENT, Player.new_session, "new session"), (EVENT, Player.dns_answers, "dns answers"),
    (EVENT, Player.dns_fails, "dns fails"), (LOOK, Player.dns_asked, "dns asked"), (LOOK, Player.dns_not_asked, "dns not asked"),
    (LOOK, Player.wire_is, "north is", "south is"), (LOOK, Player.session_is_over, "session is over"),
    (LOOK, Player.whatever, "whatever north", "whatever south"),
    (LOOK, Player.nothing_on, "nothing north", "nothing south"),
    (LOOK, Player.nothing, "nothing"), (LOOK, Player.no_backend, "no back end"),
)
ACTS = {word: act for _, act, *words in TABLE for word in words}
KINDS = {word: kind for kind, _, *words in TABLE for word in words}


def cuts_of(scenario, wish, seed):
    """Where to cut a scenario: at `wish` octets chosen by the seed, or at all."""
    octets = range(1, scenario.octets())
    if wish == "all" or int(wish) >= len(octets):
        return list(octets)
    return sorted(random.Random("%s %s" % (seed, scenario.title)).sample(octets, int(wish)))
