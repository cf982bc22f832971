"""Stories of a gateway's wires as data: what was said, edited into what must never be said. tests/wire/mutants.txt explains the words."""
import re
import shlex
import ssl

from .weave import Tls, Weave

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)")
_SIMPLE = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\", b'"': b'"'}
_UNITS = {"ns": 1, "ms": 10**6, "s": 10**9, "h": 3600 * 10**9}
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ScriptError(Exception):
    """What is wrong with the script, with its line."""


def octets_of(text):
    """`"a\\r\\n" repeat 3 "b"`: quoted pieces one after the other, each with a count in front, if any."""
    out, times = b"", 1
    for match in re.finditer(r'\s*(?:"((?:[^"\\]|\\.)*)"|repeat (\d+))', text):
        if match[2]:
            times = int(match[2])
            continue
        raw = match[1].encode()
        out += times * _ESCAPE.sub(lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" else _SIMPLE[m[1]], raw)
        times = 1
    return out


class Script:
    """The definitions, stories and mutants of one file."""

    def __init__(self, path):
        self.path, self.config, self.definitions, self.stories, self.mutants = path, [], {}, {}, []
        self._lines = list(enumerate(path.read_text().splitlines(), 1))
        self._at = 0
        while self._at < len(self._lines):
            self._item(self._next()[1])

    def _next(self):
        line = self._lines[self._at]
        self._at += 1
        return line

    def _item(self, line):
        if not line.strip() or line.startswith("#"):
            return
        word, _, rest = line.partition(" ")
        if word == "config:":
            self.config.append(rest.strip())
        elif word == "define":
            self.definitions[rest.strip()] = self._block()
        elif word == "story:":
            self.stories[rest.strip()] = self._block()
        elif word == "mutant:":
            self._mutant(rest)
        else:
            raise ScriptError("%s:%d: no such item: %s" % (self.path, self._at, line))

    def _block(self):
        """Steps up to `end`, definitions filled in."""
        steps = []
        while True:
            number, line = self._next()
            line = line.strip()
            if line == "end":
                return steps
            plus = "+ " if line.startswith("+ use ") else ""
            if line.startswith(plus + "use "):
                words = line[len(plus) + 4:].split("|")
                name = words[0].strip()
                if name not in self.definitions:
                    raise ScriptError("%s:%d: nothing defined as %s" % (self.path, number, name))
                for step in self.definitions[name]:
                    for n, word in enumerate(words[1:], 1):
                        step = step.replace("{%d}" % n, word.strip())
                    steps.append(plus + step)
            elif line and not line.startswith("#"):
                steps.append(line)

    def _mutant(self, rest):
        ids, _, title = rest.partition("|")
        mutant = Mutant(ids.split(), title.strip(), self._at)
        edits = self._block()
        if not edits or not edits[0].startswith("of: ") or edits[0][4:] not in self.stories:
            raise ScriptError("%s:%d: a mutant is `of:` a story" % (self.path, mutant.line))
        mutant.story = edits[0][4:]
        mutant.steps, mutant.config = edit(self.stories[mutant.story], edits[1:], "%s:%d" % (self.path, mutant.line))
        self.mutants.append(mutant)


class Mutant:
    """A story with something wrong in it, and the invariants that it breaks."""

    def __init__(self, ids, title, line):
        self.ids, self.title, self.line = ids, title, line
        self.story, self.steps, self.config = None, [], []


def edit(steps, edits, where):
    """`drop`, `replace`, `before`, `after` name a step, `swap` two; `+` lines are what comes in. Returns (steps, config lines)."""
    steps, config, at = list(steps), [], None
    for line in edits:
        word, _, rest = line.partition(" ")
        if word == "+":
            if at is None:
                raise ScriptError("%s: where does %r go?" % (where, rest))
            steps.insert(at, rest)
            at += 1
            continue
        if word == "config:":
            config.append(rest)
            continue
        if word == "swap":
            one, other = (find(steps, part.strip(), where) for part in rest.split(" with "))
            steps[one], steps[other] = steps[other], steps[one]
            continue
        at = find(steps, rest.strip(), where)
        if word in ("drop", "replace"):
            del steps[at]
        elif word == "after":
            at += 1
        elif word != "before":
            raise ScriptError("%s: no such edit: %s" % (where, line))
    return steps, config


def find(steps, text, where):
    """The step that is `text`; with a number in front, `2: text`, the second one."""
    nth, at = 1, -1
    if re.match(r"\d+: ", text):
        nth, text = int(text.split(":")[0]), text.split(": ", 1)[1]
    for _ in range(nth):
        if text not in steps[at + 1:]:
            raise ScriptError("%s: no step %r in the story" % (where, text))
        at = steps.index(text, at + 1)
    return at


class Player:
    """Turns steps into captures."""

    def __init__(self, folder, certificate):
        self.folder, self.certificate = folder, certificate
        self.weave = Weave()
        self.legs = {"north": None, "south": None}
        self.keylog = folder / "keys"
        self.keylog.write_bytes(b"")
        self.port = {}
        self.segment = 1448

    def play(self, steps):
        for step in steps:
            try:
                self.step(step)
            except (ValueError, KeyError, IndexError, AttributeError) as error:
                raise ScriptError("step %r: %s" % (step, error)) from error
        self.weave.save(self.folder)

    # A mark: the wire and the side that speaks.
    MARKS = {">": ("north", 0), "<": ("north", 1), "[": ("south", 0), "]": ("south", 1)}

    def step(self, step):
        mark, _, rest = step.partition(" ")
        if mark[0] in self.MARKS:
            wire, side = self.MARKS[mark[0]]
            if len(mark) == 1:
                self.legs[wire].say(side, rest.encode() + b"\r\n", self.segment)
            elif mark[1] == "!":
                self.legs[wire].say_raw(side, octets_of(rest), self.segment)
            elif mark[1] == "-":
                self.legs[wire].lose(side, octets_of(rest))
            else:
                self.legs[wire].say(side, octets_of(rest), self.segment)
        else:
            getattr(self, "do_" + mark.rstrip(":"))(rest)

    def do_north(self, rest):
        """north opens [from ADDRESS] [port N]"""
        words = rest.split()
        settings = dict(zip(words[1::2], words[2::2]))
        self.legs["north"] = self.weave.north(settings.get("from", "198.51.100.7"), int(settings.get("port", 25))).open()

    def do_south(self, rest):
        """south opens, south is refused (the next one has the port again)"""
        self.legs["south"] = self.weave.south()
        if rest.startswith("opens"):
            self.legs["south"].open()
        else:
            self.legs["south"].refuse()
            self.weave.ports["south"] -= 1

    def _end(self, wire, side, how):
        leg = self.legs[wire]
        leg.close(side) if how == "closes" else leg.reset(side)

    def do_client(self, rest):
        self._end("north", 0, rest)

    def do_server(self, rest):
        self._end("south", 1, rest)

    def do_gateway(self, rest):
        """gateway closes north"""
        how, wire = rest.split()
        self._end(wire, 1 if wire == "north" else 0, how)

    def do_wait(self, rest):
        number, unit = re.fullmatch(r"([\d.]+)(ns|ms|s|h)", rest).groups()
        self.weave.clock.tick(int(float(number) * _UNITS[unit]))

    def do_segments(self, rest):
        self.segment = int(rest)

    def do_log(self, rest):
        self.weave.lines.append(self._filled(rest))

    def _filled(self, text):
        for wire, side, name in (("north", 0, "client"), ("north", 1, "address"), ("south", 0, "via"), ("south", 1, "backend")):
            if self.legs[wire]:
                text = text.replace("{%s}" % name, "%s:%d" % self.legs[wire].ends[side])
        seconds, rest = divmod(self.weave.clock.now, 10**9)
        return ("time=%s.%03dZ " % (_utc(seconds), rest // 10**6) + text).encode()

    def do_tls(self, rest):
        """tls VERSION [suite NAME] [tickets N] [sends EDIT]"""
        words = shlex.split(rest)
        settings = dict(zip(words[1::2], words[2::2]))
        leg = self.legs["north"]
        leg.tls = Tls(leg, self.certificate, VERSIONS[words[0]], self.keylog, settings.get("suite"),
                      int(settings.get("tickets", 0)), server_hello_edit(settings.get("sends")))

    def do_close_notify(self, rest):
        side = ("client", "gateway").index(rest)
        leg = self.legs["north"]
        leg.say_raw(side, leg.tls.close_notify(side))

    def do_dns(self, rest):
        """dns asks TYPE NAME [id N] [port N] [of ADDRESS]; dns answers TYPE NAME VALUE...; dns datagram OCTETS"""
        from .dnswire import answer, question
        if rest.startswith("datagram "):
            self.weave.ask(octets_of(rest[9:]))
            return
        words = shlex.split(rest)
        key = tuple(words[1:3])
        settings = dict(zip(words[3::2], words[4::2])) if words[0] == "asks" else {}
        ident = int(settings.get("id", 1 + sum(map(ord, words[2])) % 65000))
        if words[0] == "asks":
            port = settings.get("port")
            self.port[key] = ident, self.weave.ask(question(ident, *key), settings.get("of", "10.77.3.2"), int(port) if port else None)
        else:
            ident, port = self.port[key]
            self.weave.tell(answer(ident, *key, words[3:]), port)


    def do_asking(self, rest):
        """asking COUNT TYPE NAME [id START+{n}]: NAME holds {n}"""
        count, kind, name, *more = rest.split()
        start = int(more[1].split("+")[0]) if more else None
        for n in range(int(count)):
            self.do_dns("asks %s %s%s" % (kind, name.replace("{n}", str(n)), "" if start is None else " id %d" % (start + n)))


def _utc(seconds):
    import time
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


# What a server could say in its hello that it must not: (pattern, replacement) on the octets of its first flight, the ServerHello being
# type 2 behind the record header of five octets. 2 version, 32 random, session id, 2 suite, 1 compression, extensions.
def server_hello_edit(what):
    if what is None:
        return None

    def change(side, octets):
        if side == 0 or octets[:1] != b"\x16" or octets[5:6] != b"\x02":
            return octets
        hello = bytearray(octets)
        behind = 44 + hello[43]      # of the session id
        if what == "version-1.1":
            hello[9:11] = b"\x03\x02"
        elif what == "compression":
            hello[behind + 2] = 1
        elif what.startswith("suite-"):
            hello[behind:behind + 2] = bytes.fromhex(what[6:])
        elif what == "no-ems":
            hello = hello.replace(b"\x00\x17\x00\x00", b"\x0a\x0a\x00\x00", 1)
        elif what == "no-renegotiation-info":
            hello = hello.replace(b"\xff\x01\x00\x01\x00", b"\x0a\x0a\x00\x01\x00", 1)
        elif what.startswith("group-"):
            hello = hello.replace(b"\x00\x33\x00\x24\x00\x1d", b"\x00\x33\x00\x24" + bytes.fromhex(what[6:]), 1)
        else:
            raise ValueError("no such edit of the ServerHello: " + what)
        if bytes(hello) == octets:
            raise ValueError("the ServerHello has no place for " + what)
        return bytes(hello)
    return change
