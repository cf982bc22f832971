"""A DNS server that does as it is told, over UDP and TCP on loopback, and remembers what it was asked.

    with DNS({"example.org": [("TXT", "v=spf1 mx -all"), ("MX", (10, "mx.example.org"))],
              "mx.example.org": [("A", "192.0.2.1"), ("AAAA", "2001:db8::1", 60)],
              "broken.example": SERVFAIL,
              "slow.example": late(2, [("TXT", "v=spf1 -all")])}) as dns:
        ini = {"dns": {"servers": dns.text}}        # or (dns.address, dns.port)
        ...
        dns.queries         # [Query]: .name (lower case), .type ("TXT"), .tcp; in the order they came
        dns.count("example.org", "TXT")

A zone maps names to records: (type, value) or (type, value, ttl). Values: TXT a text, or a list of the strings of one record;
MX (preference, name); A, AAAA, PTR, CNAME text; any other type, or octets as the value, is the record's data as it is. A name
"*.example.org" answers for every name below. It answers as a recursive resolver does: with the whole chain of CNAMEs, NODATA for
names that exist, NXDOMAIN for others, both with a SOA (`negative_ttl`; None: without), with TC over UDP when it does not fit.

Instead of records a name may have a mode: a function (dns, query) that returns what to send, a list whose items are messages,
or (seconds, message) to send it later, or Stray(message) to send it from another port. The modes below are named after what they
do; `dns.zone` may be changed at any time."""
import ipaddress
import socket
import struct
import threading
import time

from .place import ADDRESS, text

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "OPT": 41, "RRSIG": 46,
         "TLSA": 52, "SPF": 99}
NAMES = {number: name for name, number in TYPES.items()}
NOERROR, FORMERR, SERVFAIL_, NXDOMAIN_, NOTIMP_, REFUSED_ = range(6)
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
TTL = 300
CHAIN_MAX = 30


# ---- octets ----

def encode_name(name):
    """A name as text (latin-1) to the wire, uncompressed."""
    octets = name.encode("latin-1") if isinstance(name, str) else name
    labels = [label for label in octets.split(b".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_strings(value):
    """The strings of one TXT record: a long text is cut as zone files are."""
    if isinstance(value, (list, tuple)):
        strings = [part if isinstance(part, bytes) else part.encode() for part in value]
    else:
        whole = value if isinstance(value, bytes) else value.encode()
        strings = [whole[at:at + 255] for at in range(0, len(whole), 255)] or [b""]
    return b"".join(bytes([len(part)]) + part for part in strings)


def encode_data(kind, value):
    if isinstance(value, bytes) and kind != "TXT":
        return value
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "TXT":
        return encode_strings(value)
    if kind == "MX":
        preference, name = value.split() if isinstance(value, str) else value
        return struct.pack("!H", int(preference)) + encode_name(name)
    if kind == "SOA":
        return encode_name(".") + encode_name(".") + struct.pack("!5I", 1, 3600, 600, 86400, value)
    return encode_name(value)


def type_number(kind):
    return kind if isinstance(kind, int) else TYPES[kind]


def encode_record(owner, kind, value, ttl=TTL, klass=1):
    """`owner` is a name, or octets as they are (b"\\xc0\\x0c": the question's name)."""
    data = encode_data(kind, value)
    owner = owner if isinstance(owner, bytes) else encode_name(owner)
    return owner + struct.pack("!HHIH", type_number(kind), klass, ttl & 0xffffffff, len(data)) + data


class Query:
    def __init__(self, message, peer, tcp):
        self.message, self.peer, self.tcp = message, peer, tcp
        self.time = time.monotonic()
        self.id, self.flags = struct.unpack("!HH", message[:4])
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]])
            at += 1 + message[at]
        self.name_sent = b".".join(labels).decode("latin-1")    # as it was written, mixed case and all
        self.name = self.name_sent.lower()
        number, = struct.unpack("!H", message[at + 1:at + 3])
        self.type = NAMES.get(number, str(number))
        self.question = message[12:at + 5]
        self.room = 65535 if tcp else self._edns_room(message, at + 5)

    @staticmethod
    def _edns_room(message, at):
        """RFC 6891 6.2.3: what the OPT record, the only one of a query, says."""
        if len(message) >= at + 11 and message[at:at + 3] == b"\0\0\x29":
            return max(512, struct.unpack("!H", message[at + 3:at + 5])[0])
        return 512

    def __repr__(self):
        return "%s %s%s" % (self.type, self.name, " (TCP)" if self.tcp else "")


def message(query, answers=(), authority=(), additional=(), rcode=NOERROR, flags=0, id=None, question=None, counts=None):
    """A whole answer; records are octets. `counts` lies about how many there are: (questions, answers, authority, additional)."""
    question = query.question if question is None else question
    head = struct.pack("!HH4H", query.id if id is None else id, QR | RD | RA | flags | rcode,
                       *(counts or (1 if question else 0, len(answers), len(authority), len(additional))))
    return head + question + b"".join(answers) + b"".join(authority) + b"".join(additional)


class Stray(bytes):
    """A message to send from another port than the one asked."""


# ---- modes ----

def rcode(number):
    return lambda dns, query: [message(query, rcode=number)]


SERVFAIL, FORMERROR, REFUSED, NOTIMP = rcode(SERVFAIL_), rcode(FORMERR), rcode(REFUSED_), rcode(NOTIMP_)


def NXDOMAIN(dns, query):
    return [message(query, rcode=NXDOMAIN_, authority=dns.soa())]


def DROP(dns, query):
    return []


def records(zone_records):
    """Answers with these whatever the type asked for; through dns.fit, as ordinary answers go."""
    return lambda dns, query: [dns.fit(query, [encode_record(b"\xc0\x0c", *record) for record in zone_records])]


def late(seconds, then):
    """`then` (records or a mode), later."""
    return lambda dns, query: [(seconds, octets) for octets in dns.of(then, query)]


def after(n, then, first=DROP):
    """`first` for the first n queries, `then` from there on."""
    seen = []

    def mode(dns, query):
        seen.append(query)
        return dns.of(first if len(seen) <= n else then, query)
    return mode


def truncated(then):
    """TC over UDP, the answer over TCP (RFC 7766)."""
    return lambda dns, query: dns.of(then, query) if query.tcp else [message(query, flags=TC)]


def repeated(n, then):
    """The same answer n times."""
    return lambda dns, query: dns.of(then, query) * n


def before(forge, then):
    """A forgery of the answer, then the answer: forge(query, octets) -> octets."""
    def mode(dns, query):
        answers = dns.of(then, query)
        return [forge(query, octets) for octets in answers] + answers
    return mode


def poison(octets_of):
    """For `before`: what an attacker who does not see the question would send; octets_of(query) are its records."""
    return lambda query, octets: message(query, octets_of(query), id=query.id ^ 0x5555)


def wrong_id(query, octets):
    return struct.pack("!H", query.id ^ 1) + octets[2:]


def wrong_name(query, octets):
    """Of the same length, so that everything behind stays where it was."""
    return octets[:12] + bytes([query.question[0]]) + bytes([octets[13] ^ 1 if octets[13] != 0x41 else 0x42]) + octets[14:]


def wrong_type(query, octets):
    at = 12 + len(query.question) - 4
    return octets[:at] + struct.pack("!H", 13) + octets[at + 2:]


def wrong_port(query, octets):
    return Stray(octets)


def no_answer_bit(query, octets):
    """QR clear: a question, not an answer."""
    return octets[:2] + bytes([octets[2] & 0x7f]) + octets[3:]


def cut(length, then):
    """The answer cut after `length` octets (negative: before its end)."""
    return lambda dns, query: [octets[:length] for octets in dns.of(then, query)]


def raw(make):
    """make(query) -> the message's octets."""
    return lambda dns, query: [make(query)]


def pointer_loop(query):
    """An owner name that points to itself."""
    at = 12 + len(query.question)
    return message(query, [struct.pack("!H", 0xc000 | at) + struct.pack("!HHIH", 16, 1, TTL, 2) + b"\x01x"])


def pointer_forward(query):
    """An owner name that points behind itself (RFC 1035 4.1.4: prior occurrences only)."""
    at = 12 + len(query.question)
    return message(query, [struct.pack("!H", 0xc000 | at + 12) + struct.pack("!HHIH", 16, 1, TTL, 2) + b"\x01x"])


def pointer_out(query):
    return message(query, [b"\xff\xff" + struct.pack("!HHIH", 16, 1, TTL, 2) + b"\x01x"])


def label_64(query):
    return message(query, [b"\x40" + b"a" * 64 + b"\0" + struct.pack("!HHIH", 16, 1, TTL, 2) + b"\x01x"])


def name_256(query):
    return message(query, [b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0" + struct.pack("!HHIH", 16, 1, TTL, 2) +
                           b"\x01x"])


def lying_counts(*counts):
    """One record, but other counts: (questions, answers, authority, additional)."""
    return lambda query: message(query, [encode_record(b"\xc0\x0c", query.type if query.type in TYPES else "TXT",
                                                       SAMPLE.get(query.type, b"\x01x"))], counts=counts)


SAMPLE = {"TXT": "v=spf1 -all", "A": "192.0.2.1", "AAAA": "2001:db8::1", "MX": (10, "mx.example.org"), "PTR": "host.example.org",
          "CNAME": "other.example.org"}


def noisy(zone_records):
    """The answer among records that nobody asked for: signatures, another class, another owner, OPT, additional ones."""
    def mode(dns, query):
        answers = [encode_record(b"\xc0\x0c", "RRSIG", b"\0" * 30), encode_record("elsewhere.example", "TXT", "v=spf1 +all"),
                   encode_record(b"\xc0\x0c", "TXT", "v=spf1 +all", TTL, 3)]
        answers += [encode_record(b"\xc0\x0c", *record) for record in zone_records]
        extra = [encode_record(b"\0", "OPT", b"", 0, 1232), encode_record(b"\xc0\x0c", "TXT", "v=spf1 +all")]
        return [message(query, answers, [encode_record(b"\xc0\x0c", "NS", "ns.example")], extra)]
    return mode


# ---- the server ----

class DNS:
    def __init__(self, zone=None, negative_ttl=60, address=ADDRESS, port=None, by_hand=False):
        """`by_hand`: nobody waits for datagrams; the owner calls serve_datagram() when `udp` is readable."""
        self.zone = zone if zone is not None else {}
        self.negative_ttl = negative_ttl
        self.queries = []
        self.default = None         # a mode for names that are not in the zone, instead of NXDOMAIN
        self.connections = 0        # over TCP
        self._lock = threading.Lock()
        self._over = False
        self._open(address, port)
        self.address, self.port = self._udp.getsockname()[:2]
        self.endpoint = self.address, self.port
        self.text = text(self.endpoint)
        for run in (self._serve_tcp,) if by_hand else (self._serve_udp, self._serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _open(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for _ in range(100):
            self._udp = socket.socket(family, socket.SOCK_DGRAM)
            self._tcp = socket.socket(family, socket.SOCK_STREAM)
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._udp.bind((address, port or 0))
                self._tcp.bind((address, self._udp.getsockname()[1]))
                self._tcp.listen(64)
                break
            except OSError:
                self._udp.close()
                self._tcp.close()
                if port:
                    raise
        else:
            raise OSError("no port free for both UDP and TCP")
        self._stray = socket.socket(family, socket.SOCK_DGRAM)
        self._stray.bind((address, 0))

    def stop(self):
        """Nobody listens any more: what is asked from now on meets a closed port."""
        if self._over:
            return
        self._over = True
        try:
            self._tcp.shutdown(socket.SHUT_RDWR)    # wakes accept()
        except OSError:
            pass
        try:
            self._udp.shutdown(socket.SHUT_RDWR)    # wakes recvfrom(), although it is not connected
        except OSError:
            pass
        for sock in (self._tcp, self._udp, self._stray):
            sock.close()

    # ---- what was asked ----

    def asked(self, name=None, kind=None):
        """The queries, those for one name or type alone."""
        with self._lock:
            return [query for query in self.queries if (name is None or query.name == name.lower().rstrip(".")) and
                    (kind is None or query.type == kind)]

    def count(self, name=None, kind=None):
        return len(self.asked(name, kind))

    # ---- what is answered ----

    def entry(self, name):
        """Records or mode of a name; None when there is none."""
        zone = {key.lower().rstrip("."): value for key, value in self.zone.items()}
        if name in zone:
            return zone[name]
        if any(key.endswith("." + name) and not key.startswith("*.") for key in zone):
            return []                                   # an empty non-terminal (RFC 8020)
        labels = name.split(".")
        for at in range(1, len(labels)):
            wild = ".".join(["*"] + labels[at:])
            if wild in zone:
                return zone[wild]
        return None

    def soa(self, zone="example"):
        return [] if self.negative_ttl is None else [encode_record(zone, "SOA", self.negative_ttl, self.negative_ttl)]

    def of(self, what, query):
        """What a mode, or records, answer to a query."""
        if callable(what):
            return what(self, query)
        return [self._answer(query, what)]

    def fit(self, query, answers, **more):
        octets = message(query, answers, **more)
        return octets if len(octets) <= query.room else message(query, flags=TC)

    def _answer(self, query, found):
        """Records of the question's name; CNAMEs are followed through the zone."""
        answers, owner, name = [], b"\xc0\x0c", query.name
        for _ in range(CHAIN_MAX):
            if found is None:
                return self.fit(query, answers, authority=self.soa(), rcode=NXDOMAIN_)
            if callable(found):
                return self.fit(query, answers)         # its own story is told when it is asked for itself
            matches = [record for record in found if record[0] == query.type]
            aliases = [record for record in found if record[0] == "CNAME"]
            answers += [encode_record(owner, *record) for record in matches]
            if matches or not aliases:
                break
            answers.append(encode_record(owner, *aliases[0]))
            owner = name = aliases[0][1].lower().rstrip(".")
            found = self.entry(name)
        else:
            return self.fit(query, answers)
        return self.fit(query, answers, authority=[] if matches else self.soa())

    def _reply(self, octets, peer, tcp):
        query = Query(octets, peer, tcp)
        with self._lock:
            self.queries.append(query)
        what = self.entry(query.name)
        if what is None and self.default is not None:
            what = self.default
        return self.of(what, query)

    # ---- the wire ----

    def _send_later(self, replies, send):
        for reply in replies:
            if isinstance(reply, tuple):
                timer = threading.Timer(reply[0], send, [reply[1]])
                timer.daemon = True
                timer.start()
            else:
                send(reply)

    def _send_datagram(self, reply, peer):
        try:
            (self._stray if isinstance(reply, Stray) else self._udp).sendto(reply, peer)
        except OSError:
            pass

    def serve_datagram(self):
        """Waits for one question and answers it."""
        octets, peer = self._udp.recvfrom(65535)
        if len(octets) > 12:
            self._send_later(self._reply(octets, peer, False), lambda reply: self._send_datagram(reply, peer))

    @property
    def udp(self):
        return self._udp

    def answer_late(self, query, then):
        """Answers a question that came over UDP and got no answer (DROP): `then` is what a zone holds."""
        for reply in self.of(then, query):
            self._send_datagram(reply, query.peer)

    def _serve_udp(self):
        while not self._over:
            try:
                self.serve_datagram()
            except OSError:
                return

    def _serve_tcp(self):
        while not self._over:
            try:
                sock, peer = self._tcp.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve_connection, args=(sock, peer), daemon=True).start()

    def _serve_connection(self, sock, peer):
        def send(reply):
            try:
                sock.sendall(struct.pack("!H", len(reply)) + reply)
            except OSError:
                pass
        with sock, sock.makefile("rb") as stream:
            while not self._over:
                try:
                    head = stream.read(2)
                    octets = stream.read(struct.unpack("!H", head)[0]) if len(head) == 2 else b""
                except OSError:
                    return
                if len(octets) <= 12:
                    return
                self._send_later(self._reply(octets, peer, True), send)
