"""A stage for scenarios: one gateway with one configuration, the back ends behind it, its DNS server, and the addresses
of them all in a laboratory. Several scenarios may be played on one stage, one after the other."""
import ipaddress
import os
import re
import shutil
import signal
import socket
import struct
import time

from e2e.parts import dns as dns_parts
from e2e.parts.certs import certificate
from e2e.parts.gateway import BAD_NEWS, Process, children, environment

from .legs import OPEN, SMALL_WINDOW, Leg, Pump

CLIENT = "203.0.113.9"
GATEWAY, GATEWAY6 = "192.0.2.25", "2001:db8:25::25"
DNS = "10.0.53.53"
BLACK_HOLE = "10.0.0.66"    # a back end that nobody answers for
SERVER_PORT = re.compile(r":25\b")
START = 10              # seconds for a gateway to serve
GLANCE = 0.0008         # seconds between two looks at whether it rests
BASE = (                # as in tests/scenario/world.c
    ("server", "hostname", "gw.local.example"), ("listen mx", "tls", "off"), ("backend", "servers", "10.0.0.1:25"),
    ("relay", "domains", "local.example"), ("author", "strict", "no"), ("spf", "check", "no"), ("dkim", "check", "no"),
    ("arc", "check", "no"), ("dmarc", "mode", "off"), ("attachment", "mode", "off"), ("standing", "mode", "off"),
    ("recipients", "mode", "off"), ("door", "pause", "0"), ("tarpit", "sessions", "0"), ("lookalike", "mode", "off"),
    ("impersonation", "mode", "off"), ("rdns", "mode", "off"), ("rdns", "unconfirmed", "off"),
    ("helo", "impostor", "off"), ("helo", "literal", "off"), ("helo", "unqualified", "off"),
    ("helo", "unresolvable", "off"), ("helo", "mismatch", "off"), ("sender", "exists", "off"),
    ("sender", "null_mx", "off"), ("sender", "bounces", "off"), ("rates", "builtin", "no"),
    ("brownout", "mode", "off"),
    # The wire's own: no probe but the first comes in between, and the scenario, not the clock, ends a question.
    ("server", "workers", "1"), ("timeouts", "probe", "3600s"), ("dns", "timeout", "10s"), ("dns", "tries", "5"),
)
SETTING = re.compile(r"\[([^\]]*)\] *([^= ]*) *= *(.*)")


class Places:
    """Which address of a scenario is which on the wire. In namespaces every place simply has the scenario's addresses; on
    loopback they are put in the place of the others wherever a scenario writes them."""
    LOOPBACK = ((r"203\.0\.113\.", "127.77.1."), (r"192\.0\.2\.25\b", "127.77.1.25"), (r"10\.0\.0\.", "127.77.2."),
                (r"10\.0\.53\.", "127.77.3."))

    def __init__(self, lab):
        self.lab = lab
        self.is_loopback = lab.is_loopback()
        self._rules = [(re.compile(pattern), new) for pattern, new in self.LOOPBACK] if self.is_loopback else []

    def text(self, text):
        for pattern, new in self._rules:
            text = pattern.sub(new, text)
        return text

    def packed(self, octets):
        """The same for octets in which addresses are four of them each."""
        for address in (CLIENT, GATEWAY):
            octets = octets.replace(ipaddress.ip_address(address).packed, ipaddress.ip_address(self.text(address)).packed)
        return octets


def sections_of(settings, tls_listener=None):
    """The ini's sections: the base, and over it the scenario's "[section] key = value" lines."""
    sections = {}
    for section, key, value in BASE:
        sections.setdefault(section, {})[key] = value
    for line in settings:
        section, key, value = SETTING.fullmatch(line).groups()
        sections.setdefault(section, {})[key] = value
    if tls_listener:
        sections["listen mx"]["tls"] = tls_listener
        sections["certificate main"] = {}
    return sections


class ScriptedDNS(dns_parts.DNS):
    """Answers as tests/scenario/dns.c does: names that are not in the zone do not exist, silent ones wait for a step."""

    def __init__(self, address):
        super().__init__({}, address=address, by_hand=True)
        self.silent, self.garbled = set(), {}
        self.is_dead = False

    def entry(self, name):
        if self.is_dead or name in self.silent:
            return dns_parts.DROP
        found = self.zone.get(name)
        return self.garbled[name](found) if name in self.garbled else found

    def begin(self, zone, settings):
        """Another scenario: nothing has been asked. Settings: `silent NAME`, `garbles NAME HOW`."""
        self.zone, self.silent, self.garbled = {}, set(), {}
        for word, name, how in ((setting + "  ").split(" ", 2) for setting in settings):
            if word == "garbles":
                self.garbled[name.lower()] = garbled(how.strip())
            else:
                self.silent.add(name.lower())
        for name, kind, values in zone:
            self.zone.setdefault(name.lower(), Name()).records.setdefault(kind, []).extend(values)
        with self._lock:
            self.queries.clear()

    def waiting(self, name, kind=None):
        """Questions about a silent name that nobody has answered."""
        return [query for query in self.asked(name, kind) if not getattr(query, "is_answered", False)]

    def answer(self, queries, values):
        name = Name()
        for query in queries:
            name.records = {query.type: values}
            query.is_answered = True
            self.answer_late(query, name)


class Name:
    """What is known of a name: type -> values, or one of the words NODATA, NXDOMAIN, TEMP as the only value."""
    STATES = ("NODATA", "NXDOMAIN", "TEMP")

    def __init__(self):
        self.records = {}

    def __call__(self, dns, query):
        values = self.records.get(query.type, ["NODATA"])
        if values == ["TEMP"]:
            return dns_parts.SERVFAIL(dns, query)
        if values == ["NXDOMAIN"]:
            return dns_parts.NXDOMAIN(dns, query)
        if values == ["NODATA"]:
            values = []
        if query.type == "TXT":
            values = [value.encode("latin-1") for value in values]
        return dns.of([(query.type, value) for value in values], query)


def only(forge):
    """The forgery, and never the answer."""
    return lambda then: lambda dns, query: [forge(query, octets) for octets in dns.of(then, query)]


# What `dns: garbles NAME HOW` makes of the answer that the zone has (ATTACKS L01): HOW -> records or mode -> mode.
GARBLED = {
    "truncated": dns_parts.truncated,
    "truncated by tcp": lambda then: lambda dns, query: [dns_parts.message(query, flags=dns_parts.TC)],
    "wrong id first": lambda then: dns_parts.before(dns_parts.wrong_id, then),
    "wrong name first": lambda then: dns_parts.before(dns_parts.wrong_name, then),
    "wrong type first": lambda then: dns_parts.before(dns_parts.wrong_type, then),
    "wrong port first": lambda then: dns_parts.before(dns_parts.wrong_port, then),
    "question first": lambda then: dns_parts.before(dns_parts.no_answer_bit, then),
    "wrong id": only(dns_parts.wrong_id), "wrong name": only(dns_parts.wrong_name), "wrong type": only(dns_parts.wrong_type),
    "wrong port": only(dns_parts.wrong_port), "question": only(dns_parts.no_answer_bit),
    "pointer loop": lambda then: dns_parts.raw(dns_parts.pointer_loop),
    "pointer forward": lambda then: dns_parts.raw(dns_parts.pointer_forward),
    "pointer out": lambda then: dns_parts.raw(dns_parts.pointer_out),
    "label of 64": lambda then: dns_parts.raw(dns_parts.label_64),
    "name of 256": lambda then: dns_parts.raw(dns_parts.name_256),
    "too many counted": lambda then: dns_parts.raw(dns_parts.lying_counts(1, 9, 0, 0)),
    "text of nothing": lambda then: dns_parts.records([("TXT", [])]),
    "64 kB by tcp": lambda then: dns_parts.records([("TXT", "x" * 60000)]),
    "1000 records": lambda then: dns_parts.records([("TXT", "x%d" % n) for n in range(1000)]),
    "itself": lambda then: lambda dns, query: dns_parts.records([("CNAME", query.name)])(dns, query),
    "50 times": lambda then: dns_parts.repeated(50, then),
    "late": lambda then: dns_parts.late(1.5, then),
    "refused": lambda then: dns_parts.REFUSED, "not implemented": lambda then: dns_parts.NOTIMP,
    "failed": lambda then: dns_parts.SERVFAIL,
}


def garbled(how):
    """`cut N`: after so many octets."""
    return (lambda then: dns_parts.cut(int(how[4:]), then)) if how.startswith("cut ") else GARBLED[how]


def read_record(text):
    """'NAME TYPE "value"...' to (name, type, values)."""
    name, kind, rest = text.split(" ", 2)
    return name, kind, [quoted if quoted or not bare else bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', rest)]


class Probe:
    """A worker's look at a back end: greeting, EHLO, perhaps STARTTLS, QUIT."""

    def __init__(self, leg, offers):
        self.leg, self.offers = leg, offers
        self.waits_for_header = True
        self.is_shaking = False
        self.said_hello = False
        leg.send(b"220 mx.local.example ESMTP\r\n")

    def skip_header(self):
        """The PROXY header of a probe, which says that there is no client."""
        octets = self.leg.incoming
        if octets.startswith(b"\r\n\r\n\0\r\nQUIT\n") and len(octets) >= 16:
            del octets[:16 + struct.unpack("!H", octets[14:16])[0]]
        elif octets.startswith(b"PROXY ") and b"\r\n" in octets:
            del octets[:octets.index(b"\r\n") + 2]
        self.waits_for_header = len(octets) == 0

    def step(self):
        if self.is_shaking:
            self.is_shaking = not self.leg.shake()
            return
        if self.waits_for_header:
            self.skip_header()
        while b"\r\n" in self.leg.incoming and not self.is_shaking:
            end = self.leg.incoming.index(b"\r\n")
            line = bytes(self.leg.incoming[:end]).upper()
            del self.leg.incoming[:end + 2]
            self.answer(line.split(b" ")[0])

    def answer(self, verb):
        if verb == b"EHLO":
            words = ["mx.local.example"] + [word for word in self.offers if word != "STARTTLS" or not self.leg.tls]
            self.leg.send("".join("250%s%s\r\n" % (" " if i == len(words) - 1 else "-", word)
                                  for i, word in enumerate(words)).encode())
        elif verb == b"STARTTLS":
            self.leg.send(b"220 go ahead\r\n")
            self.leg.start_tls(certificate().server(), True)
            self.is_shaking = True
        elif verb == b"QUIT":
            self.leg.send(b"221 bye\r\n")
            self.leg.finish()
        else:
            self.leg.send(b"502 5.5.1 what?\r\n")


class Log:
    """The gateway's log as it grows."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.rest = b""
        self.lines = []         # text
        self.other = []         # what is no log line: a sanitizer's words, a message of the start

    def look(self):
        self.rest += self.file.read()
        *whole, self.rest = self.rest.split(b"\n")
        for line in whole:
            text = line.decode("latin-1")
            (self.lines if text.startswith("time=") else self.other).append(text)
        return self.lines


class Stage:
    """`sections` as sections_of() gives them; `keywords`: what the back ends offer to probes."""

    def __init__(self, lab, places, binary, port, sections, keywords, keylog, client_is_ipv6=False, small_window=False):
        self.lab, self.places, self.port, self.keywords = lab, places, port, keywords
        self.pump = Pump()
        self.listeners = {}             # address of a back end -> socket
        self.arrivals = []              # (address, Leg): connections south that no step has asked for yet
        self.transcripts = []
        self.small_window = small_window
        self.is_spoiled = False         # not fit for another scenario
        self.has_killed = False         # a worker died by our hand
        self.gateway_address = GATEWAY6 if client_is_ipv6 else places.text(GATEWAY)
        self.endpoint = self.gateway_address, port
        self.sections = sections
        if sections["backend"].get("tls") == "required":    # a back end without it would be down from the start
            self.keywords = keywords + ["STARTTLS"]
        self.servers = self._servers()
        self._open_dns()
        self._start(binary, keylog)

    # ---- beginning ----

    def _servers(self):
        """The addresses of all back ends of the configuration, the default route's first."""
        found = []
        for section, keys in self.sections.items():
            if section == "backend" or section.startswith("route "):
                found += [self._address_of(word) for word in keys.get("servers", "").split(",")]
        return list(dict.fromkeys(found))

    def _address_of(self, server):
        return self.places.text(server.strip().rsplit(":25", 1)[0].strip("[]"))

    def _open_dns(self):
        address = self.places.text(DNS)
        self.lab.name_addresses("dns", [address])
        with self.lab.at("dns"):
            self.dns = ScriptedDNS(address)
        self.pump.readers[self.dns.udp] = self.dns.serve_datagram

    def ini(self):
        """The configuration with this stage's addresses."""
        text = []
        for section, keys in self.sections.items():
            keys = dict(keys)
            if section.startswith("listen "):
                form = "[%s]:%d" if ":" in self.gateway_address else "%s:%d"
                keys["address"] = form % self.endpoint
            if section.startswith("certificate "):
                keys.update(certificate().keys)
            if "servers" in keys and section != "dns":
                keys["servers"] = SERVER_PORT.sub(":%d" % self.port, keys["servers"])
            if section == "dns":
                keys["servers"] = self.dns.text
            text.append("[%s]\n%s" % (section, "".join("%s = %s\n" % pair for pair in keys.items())))
        return self.places.text("".join(text))

    def listen(self, address):
        """A back end comes up."""
        if address in self.listeners or address == BLACK_HOLE:
            return
        with self.lab.at("server"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            door = socket.socket(family)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.small_window:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
            door.bind((address, self.port))
            door.listen(64)
        door.setblocking(False)
        self.listeners[address] = door
        self.pump.doors[door] = lambda sock: self._arrive(address, sock)

    def stop_listening(self, address):
        """A back end goes down: who connects is refused."""
        door = self.listeners.pop(address, None)
        if door:
            del self.pump.doors[door]
            door.close()

    def _arrive(self, address, sock):
        try:
            leg = Leg("south", sock)
        except OSError:     # it has gone already
            sock.close()
            return
        self.transcripts.append(leg.transcript)
        self.pump.legs.append(leg)
        self.arrivals.append((address, leg))

    def _start(self, binary, keylog):
        self.lab.name_addresses("gateway", [self.gateway_address])
        self.lab.name_addresses("nowhere", [BLACK_HOLE])
        self.lab.name_addresses("server", [address for address in self.servers if address != BLACK_HOLE])
        for address in self.servers:
            self.listen(address)
        self.folder = keylog.parent
        self.ini_file = self.folder / "gateways" / ("%d" % self.port) / "postern.ini"
        self.ini_file.parent.mkdir(parents=True)
        self.ini_file.write_text(self.ini())
        (self.ini_file.parent / "keys").symlink_to(os.path.relpath(keylog, self.ini_file.parent))
        with self.lab.at("gateway"):
            self.process = Process([binary, "run", "-c", self.ini_file, "--keylog", keylog], env=environment(),
                                   name="stage-%d-" % os.getpid())
        self.log = Log(self.process.output)
        self._serve_probes(lambda probes: any("event=serving" in line for line in self.log.look()))
        self.pids = [self.process.pid] + children(self.process.pid)

    def kill_workers(self):
        """kill -9. Others take their place, and look at the back ends first (H-7)."""
        self.has_killed = True
        victims = self.pids[1:]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        self._serve_probes(lambda probes: len(probes) >= len(self.listeners) and set(children(self.process.pid)) - set(victims))
        self.pids = [self.process.pid] + children(self.process.pid)

    def dns_goes_away(self):
        """Whoever asks hears from the kernel that nobody is there."""
        del self.pump.readers[self.dns.udp]
        self.dns.stop()

    def _serve_probes(self, is_up):
        probes = {}

        def serves():
            for _, leg in self.arrivals:
                if leg not in probes:
                    probes[leg] = Probe(leg, self.keywords)
            for leg, probe in probes.items():
                if leg.state == OPEN:
                    probe.step()
            if not self.process.is_running():
                raise AssertionError("the gateway has ended:\n" + self.process.text())
            return is_up(probes) and all(leg.state != OPEN for leg in probes)
        if not self.pump.until(serves, START):
            raise AssertionError("the gateway does not serve:\n" + self.process.text())
        self.arrivals.clear()

    # ---- clients ----

    def connect(self, client):
        """A client's connection; `client` is (address, port), port 0: any."""
        family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
        self.lab.name_addresses("client", [client[0]])
        with self.lab.at("client"):
            sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(client)
        sock.settimeout(START)
        sock.connect(self.endpoint)
        leg = Leg("north", sock)
        self.transcripts.append(leg.transcript)
        self.pump.legs.append(leg)
        return leg

    # ---- rest ----

    def _activity(self):
        """How often each process of the gateway has run; None while one is running."""
        counts = []
        for pid in self.pids:
            try:
                with open("/proc/%d/stat" % pid) as file:
                    if file.read().rsplit(") ", 1)[1][0] not in "SZ":
                        return None
                with open("/proc/%d/schedstat" % pid) as file:
                    counts.append(file.read().split()[2])
            except (FileNotFoundError, ProcessLookupError):
                counts.append("gone")
        return counts

    def settle(self, seconds=3):
        """Until everything sent has been worked on: the gateway sleeps, twice in a row, and nothing is under way."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            self.pump.rest(GLANCE)
            now = (self._activity(), [len(t.received) + len(t.sent) for t in self.transcripts],
                   any(leg.outgoing for leg in self.pump.legs if leg.state == OPEN))
            if now[0] is not None and now == last:
                return
            last = now

    # ---- end ----

    def drop_legs(self):
        """The connections of a scenario that is over; what the other side has said to the end is read."""
        for leg in self.pump.legs:
            leg.close()
        self.pump.legs.clear()
        self.arrivals.clear()

    def is_well(self):
        return self.process.is_running() and not self.bad_news(self.log.other)

    def bad_news(self, lines):
        """A sanitizer's words, or a death that was not our doing."""
        return BAD_NEWS.search("\n".join(line for line in lines if not (self.has_killed and "died of signal 9" in line)))

    def stop(self):
        """Returns what is wrong with its end, or None."""
        self.drop_legs()
        for address in list(self.listeners):
            self.stop_listening(address)
        if self.process.is_running():
            self.process.signal(signal.SIGTERM)
            self.pump.until(lambda: not self.process.is_running(), 3)
        status = self.process.process.poll()
        self.process.kill()
        self.dns.stop()
        self.log.look()
        shutil.copy(self.process.output, self.ini_file.parent / "log")      # for tests/wire/judge
        bad = self.bad_news(self.log.lines + self.log.other)
        if status != 0 or bad:
            return "the gateway ended with status %s: %s" % (status, "\n".join(self.log.other[-20:]))
        return None
