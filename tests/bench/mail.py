"""Authenticated mail: CPU of Postern with SPF, DKIM and DMARC on, beside HAProxy and beside Postern without them, on the
same signed messages in the same round."""
import pathlib
import socket
import statistics
import sys
import threading

import rig
import signed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from parts.dns import DNS  # noqa: E402

SMALL, LARGE = 4096, 10 * 1000 * 1000
SMALLS, LARGES = 400, 5         # messages of each measurement
WARM = 100                      # messages before the first one
AT_ONCE = 10                    # connections
WAIT_S = 60


class Sender(threading.Thread):
    """Sends a message `n` times, `each` per connection, without pipelining."""

    def __init__(self, endpoint, message, n, each):
        super().__init__(daemon=True)
        self.endpoint, self.octets, self.n, self.each = endpoint, message, n, each
        self.error = None

    def run(self):
        try:
            for at in range(0, self.n, self.each):
                self.session(min(self.each, self.n - at))
        except OSError as e:
            self.error = e

    def session(self, messages):
        with socket.create_connection(self.endpoint, timeout=WAIT_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.say(sock, None, b"220")
            self.say(sock, b"HELO %s\r\n" % signed.HELO.encode(), b"250")
            for _ in range(messages):
                self.say(sock, b"MAIL FROM:<a@%s>\r\n" % signed.DOMAIN.encode(), b"250")
                self.say(sock, b"RCPT TO:<b@local.example>\r\n", b"250")
                self.say(sock, b"DATA\r\n", b"354")
                self.say(sock, self.octets, b"250")
            self.say(sock, b"QUIT\r\n", b"221")

    @staticmethod
    def say(sock, octets, code):
        if octets is not None:
            sock.sendall(octets)
        reply = b""
        while not reply.endswith(b"\n"):
            more = sock.recv(4096)
            if not more:
                raise OSError("the session ended after %r" % reply)
            reply += more
        if not reply.startswith(code):
            raise OSError("%r came instead of %r" % (reply, code))


def send(endpoint, message, n, each):
    senders = [Sender(endpoint, message, n // AT_ONCE, each) for _ in range(AT_ONCE)] if n >= AT_ONCE else \
        [Sender(endpoint, message, n, each)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
        if sender.error is not None:
            raise SystemExit("to %s: %s" % (rig.text(endpoint), sender.error))


def wire(message):
    """As DATA has it: dots stuffed, and the end."""
    return message.replace(b"\r\n.", b"\r\n..") + b".\r\n"


class Way:
    """A middle process under measurement."""

    def __init__(self, name, endpoint, program):
        self.name, self.endpoint, self.program = name, endpoint, program

    def cpu(self, message, n, each):
        """Seconds per 1000 messages, user and system."""
        before = self.program.cpu()
        send(self.endpoint, message, n, each)
        return (self.program.cpu() - before) * 1e3 / n


class Mail:
    """CPU seconds per 1000 messages by (way, kind), a list of rounds each."""

    def __init__(self, rounds):
        key = signed.Key(rig.home, "rsa")
        self.kinds = {
            "one": (wire(signed.message(SMALL, key)), SMALLS, 1),
            "ten": (wire(signed.message(SMALL, key)), SMALLS, 10),
            "large relaxed": (wire(signed.message(LARGE, key)), LARGES, 1),
            "large simple": (wire(signed.message(LARGE, key, "simple")), LARGES, 1),
        }
        self.runs = {}
        with DNS({name: [("TXT", text)] for name, text in signed.dns_of([key]).items()}) as dns, rig.smtp_sink(), \
                rig.haproxy() as haproxy:
            for number in range(rounds):
                self.round("haproxy", rig.HAPROXY, haproxy, number)
                for name, settings in (("unjudged", {}), ("uncached", {"dns": dns.text, "cache": False}),
                                       ("postern", {"dns": dns.text})):
                    with rig.postern(**settings) as postern:
                        self.round(name, rig.POSTERN, postern, number)
                dns.queries.clear()

    def round(self, name, endpoint, program, number):
        way = Way(name, endpoint, program)
        send(endpoint, self.kinds["one"][0], WARM, 1)     # warm pools and caches are what a gateway has
        for kind, (message, n, each) in self.kinds.items():
            if name == "uncached" and n < AT_ONCE:
                continue
            self.runs.setdefault((name, kind), []).append(way.cpu(message, n, each))

    def median(self, way, kind):
        return statistics.median(self.runs[way, kind])

    def ratio(self, way, other, kind):
        """The median of the rounds' ratios: both sides of each were measured within seconds."""
        return statistics.median(a / b for a, b in zip(self.runs[way, kind], self.runs[other, kind]))


def row(title, mail, way, kind, to_reach=""):
    return (title, "", "%.3f" % mail.median("haproxy", kind), "%.3f" % mail.median(way, kind),
            "%.2f" % mail.ratio(way, "haproxy", kind), to_reach)


def rows(rounds):
    mail = Mail(rounds)
    for title, kind, to_reach in (("signed 4 KB, one per connection", "one", "0.300"),
                                  ("signed 4 KB, ten per connection", "ten", "0.300"),
                                  ("signed 10 MB, relaxed", "large relaxed", "30"),
                                  ("signed 10 MB, simple", "large simple", "30")):
        yield row(title + ": CPU s per 1000, unjudged", mail, "unjudged", kind)
        yield row(title + ": CPU s per 1000, SPF, DKIM, DMARC", mail, "postern", kind, to_reach)
        if ("uncached", kind) in mail.runs:
            yield row(title + ": the same without a cache of answers", mail, "uncached", kind)
